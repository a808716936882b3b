"""The child of a process that has opened a store."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    assert done.stderr == ""
    return done.stdout


def test_every_use_in_the_child_is_a_forked_error_and_the_parent_goes_on(tmp_path):
    out = run(
        """
import asyncio, os, sys, rkvs, gc
store = rkvs.open(sys.argv[1], log=lambda level, text: None)
ns = store.create_namespace("a")
ns["k"] = "value"
view = ns.get_view("k")
scan = ns.scan()
asyncio.run(ns.aio.get("k"))

async def use():
    return await ns.aio.get("k")

async def save():
    await store.aio.save_all("s")

pid = os.fork()
if pid == 0:
    uses = [
        lambda: ns["k"], lambda: ns.get("k"), lambda: ns.put("k", "x"), lambda: ns.set("k", "x"),
        lambda: "k" in ns, lambda: ns.pop("k"), lambda: len(ns), lambda: list(ns),
        lambda: ns.get_many(["k"]), lambda: ns.set_many({"k": "x"}), lambda: next(scan),
        lambda: ns.get_view("k"), lambda: ns.incr("k"), lambda: store.list_namespaces(),
        lambda: store.save_all("s"), lambda: rkvs.open(), lambda: store.close(),
        lambda: asyncio.run(use()), lambda: asyncio.run(save()),
    ]
    for number, use_ in enumerate(uses):
        try:
            use_()
        except rkvs.ForkedError as error:
            assert error.code == -30
        else:
            os._exit(100 + number)
    assert bytes(view) == b"value"
    del view, scan, ns, store, use, save, uses, use_
    gc.collect()
    sys.stdout.write("child ")
    sys.exit(0)   # with everything that an ordinary end does
_, status = os.waitpid(pid, 0)
assert status == 0, status
ns["k"] = "after"
assert ns["k"] == b"after" and asyncio.run(use()) == b"after"
asyncio.run(save())
store.close()
print("parent")
""",
        tmp_path,
    )
    assert out == "child parent\n"


def test_a_fork_inside_of_a_running_loop():
    out = run(
        """
import asyncio, os, rkvs
async def main():
    store = rkvs.open()
    ns = store.create_namespace("a").aio
    await ns.put("k", "v")
    await ns.set_many({str(i): "x" for i in range(1000)})
    pid = os.fork()
    if pid == 0:
        try:
            rkvs.open()
        except rkvs.ForkedError:
            os._exit(7)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WEXITSTATUS(status) == 7
    await ns.set_many({str(i): "y" for i in range(1000)})
    return await ns.get("1")
print(asyncio.run(main()))
"""
    )
    assert out == "b'y'\n"


def test_a_process_that_forks_before_it_opens_a_store():
    out = run(
        """
import os, rkvs
pid = os.fork()
store = rkvs.open()
ns = store.create_namespace("a")
ns["k"] = "v"
assert ns["k"] == b"v"
if pid == 0:
    raise SystemExit
_, status = os.waitpid(pid, 0)
print(status)
"""
    )
    assert out == "0\n"


def test_processes_that_are_spawned_have_stores_of_their_own():
    out = run(
        """
import multiprocessing, rkvs
store = rkvs.open()
ns = store.create_namespace("a")
if __name__ == "__main__":
    import subprocess, sys
    print(subprocess.run([sys.executable, "-c",
        "import rkvs; n = rkvs.open().create_namespace('a'); n['k'] = 'v'; print(n['k'])"],
        capture_output=True, text=True).stdout.strip())
"""
    )
    assert out == "b'v'\n"


def test_forks_while_other_threads_use_the_store():
    out = run(
        """
import os, threading, rkvs
store = rkvs.open()
ns = store.create_namespace("a", lock_timeout=60)
stop = False
def work():
    while not stop:
        ns["k"] = "v"
        ns.get_many(["k"] * 10)
        ns.set_many({"x": "1"})
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
bad = 0
for _ in range(10):
    pid = os.fork()
    if pid == 0:
        try:
            ns["k"]
        except rkvs.ForkedError:
            os._exit(0)
        os._exit(1)
    bad += os.waitpid(pid, 0)[1] != 0
stop = True
for thread in threads: thread.join()
print(bad)
"""
    )
    assert out == "0\n"
