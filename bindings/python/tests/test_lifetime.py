"""Handles that are let go of in any order, by any thread, and at the end of the interpreter."""

import gc
import itertools
import os
import random
import subprocess
import sys
import threading
import weakref

import pytest

import rkvs
from conftest import SCALE


def make(tmp_path):
    manager = rkvs.open(tmp_path)
    ns = manager.create_namespace("a")
    ns.set_many({b"%d" % i: b"value" for i in range(3000)})
    scan = ns.scan(step=10)
    next(scan)
    return {
        "manager": manager,
        "namespace": ns,
        "scan": scan,
        "view": ns.get_view("1"),
        "batch": rkvs.AtomicBatch().set("x", "y"),
        "items": iter(ns.items()),
        "asynchronous": ns.aio,
    }


def test_objects_may_go_in_any_order(tmp_path):
    orders = list(itertools.permutations(["manager", "namespace", "scan", "view", "batch"]))
    for number, order in enumerate(random.Random(1).sample(orders, 8 * SCALE)):
        things = make(tmp_path / str(number))
        for name in order:
            del things[name]
        things.clear()
    gc.collect()


def test_objects_in_a_cycle_are_collected(tmp_path):
    things = make(tmp_path)
    things["self"] = things
    gone = weakref.ref(things["manager"]), weakref.ref(things["namespace"])
    del things
    gc.collect()
    assert gone[0]() is None and gone[1]() is None


def test_a_namespace_keeps_its_store_open():
    ns = rkvs.open().create_namespace("a")
    gc.collect()
    ns["k"] = "v"
    assert ns["k"] == b"v"


def test_a_store_that_nobody_closed_is_closed_with_its_last_handle(tmp_path):
    final = rkvs.AutosaveConfig("s", interval=3600, final_save=True)
    manager = rkvs.open(tmp_path, manager_autosave=final)
    ns = manager.create_namespace("a")
    ns["k"] = "v"
    del manager
    gc.collect()
    assert not (tmp_path / "s").exists()
    del ns
    gc.collect()
    assert (tmp_path / "s").exists()


def test_views_outlive_their_store_and_are_freed_by_any_thread():
    views = []
    for i in range(100):
        manager = rkvs.open()
        ns = manager.create_namespace("a")
        ns["k"] = b"%d" % i * 1000
        views.append(ns.get_view("k"))
        manager.close()
    threads = [
        threading.Thread(target=lambda part: part.clear(), args=(views[i::4],)) for i in range(4)
    ]
    assert all(view == b"%d" % i * 1000 for i, view in enumerate(views))
    views.clear()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_scan_ends_with_an_error_when_its_store_is_closed(tmp_path):
    things = make(tmp_path)
    things["manager"].close()
    with pytest.raises(rkvs.ClosedError):
        list(things["scan"])


def test_closing_while_threads_are_at_work():
    for _ in range(5 * SCALE):
        manager = rkvs.open()
        ns = manager.create_namespace("a", lock_timeout=60)
        ends = []

        def work():
            try:
                while True:
                    ns["k"] = "v"
                    ns.get("k")
                    ns.set_many({"a": "1", "b": "2"})
                    ns.get_many(["a", "b"])
                    len(ns)
            except BaseException as error:
                ends.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        manager.close()
        for thread in threads:
            thread.join()
        assert [type(end) for end in ends] == [rkvs.ClosedError] * 4


def test_log_hooks_that_fail_or_use_the_store(tmp_path):
    for name in ("s", "s"):
        with rkvs.open(tmp_path, name) as store:
            store.namespace("a")["k"] = "v"
            store.save_all("s")
    (tmp_path / "s").write_bytes(b"broken")
    told = []
    unraisable = []

    def hook(level, text):
        told.append(text)
        rkvs.open().create_namespace("b")["x"] = "y"
        raise RuntimeError("of the hook")

    old, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with rkvs.open(tmp_path, "s", log=hook) as store:
            assert store["a"]["k"] == b"v"
    finally:
        sys.unraisablehook = old
    assert told and str(unraisable[0].exc_value) == "of the hook"


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stderr == ""
    return done.stdout


def test_a_store_that_is_open_at_the_end_saves_once_more(tmp_path):
    run(
        """
import sys, rkvs
store = rkvs.open(sys.argv[1], manager_autosave=rkvs.AutosaveConfig("s", final_save=True,
                                                                    interval=3600))
store.namespace("a")["k"] = "v"
""",
        tmp_path,
    )
    with rkvs.open(tmp_path, "s") as store:
        assert store["a"]["k"] == b"v"


def test_everything_alive_at_the_end_of_the_interpreter(tmp_path):
    for order in ("", "sys.modules.clear()", "del rkvs", "raise SystemExit(0)"):
        run(
            f"""
import sys, rkvs, threading, builtins
store = rkvs.open(sys.argv[1], log=lambda level, text: None)
ns = store.namespace("a{len(order)}")
ns.set_many({{str(i): "x" for i in range(2000)}})
scan = ns.scan(step=10); next(scan)
builtins.kept = [store, ns, scan, ns.get_view("1"), rkvs.AtomicBatch().set("a", "b"), ns.aio]
class Late:
    def __del__(self, ns=ns):
        try:
            ns["late"] = "x"
        except Exception:
            pass
builtins.late = Late()
{order}
""",
            tmp_path,
        )


def test_handles_made_and_dropped_by_many_threads(store):
    store.create_namespace("a", lock_timeout=60)["k"] = b"x" * 100_000
    failed = []

    def work():
        try:
            for i in range(300 * SCALE):
                ns = store.get_namespace("a")
                view = ns.get_view("k")
                next(iter(ns.items()))
                assert len(view) == 100_000
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_memory_does_not_grow(ns):
    import resource

    def rounds(count):
        for i in range(count):
            ns["k"] = bytes(50_000)
            ns.get("k")
            ns.get_view("k")
            ns.set("k", b"x" * 20_000)
            ns.set_many({"a": bytes(10_000), "b": b""})
            ns.get_many(["a", "b", "no"])
            try:
                ns.incr("a")
            except rkvs.NotANumberError:
                pass
            list(ns.scan())
            ns.get_multiple(["a"])
            rkvs.AtomicBatch().set("x", "y")

    rounds(100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rounds(500)
    # Any of the values, kept, would be 5 to 35 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4_000


def test_other_threads_run_while_a_long_operation_does(tmp_path):
    with rkvs.open(tmp_path) as store:
        ns = store.create_namespace("a")
        ns.set_many({b"%d" % i: bytes(100) for i in range(20_000)})
        inside, ticks = threading.Event(), []

        def tick():
            inside.wait(60)
            ticks.append(1)

        thread = threading.Thread(target=tick)
        thread.start()

        def progress(state):
            # Waits for the other thread: with the interpreter lock held outside it would not run.
            inside.set()
            thread.join(60)

        store.save_all("s", progress=progress)
        assert ticks == [1]
    assert os.path.exists(tmp_path / "s")
