import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

import rkvs
import rkvs.aio
from conftest import SCALE
from rkvs import AtomicBatch, BatchMode, _loop, aio
from rkvs.aio import AsyncNamespace, AsyncStorageManager


def run(main):
    return asyncio.run(asyncio.wait_for(main, 120))


# Operations that a loop has in flight.
def in_flight():
    return sum(len(state.waiting) for state in list(_loop._loops.values()))


def test_every_operation_can_be_awaited(tmp_path):
    async def main():
        async with AsyncStorageManager(tmp_path) as store:
            ns = await store.create_namespace("a", max_keys=10_000)
            assert isinstance(ns, AsyncNamespace) and ns.name == "a"
            assert await ns.get("k") is None and await ns.get("k", b"d") == b"d"
            await ns.put("k", "1")
            await ns.put(b"k", b"1")
            assert await ns.get(b"k") == b"1" and await ns.exists("k")
            assert await ns.set("k", bytearray(b"2")) == b"1"
            assert await ns.set("new", "x", expire=50) is None
            assert 49 < await ns.ttl("new") <= 50
            assert await ns.add("k", "3") is None and await ns.add("l", "3") > 0
            assert await ns.update_existing("k", "4") == b"2"
            value, version = await ns.get_with_version("k")
            newer = await ns.compare_and_set("k", version, "5")
            assert newer > version and await ns.compare_and_set("k", version, "6") is None
            assert not await ns.compare_and_delete("k", version)
            assert await ns.compare_and_delete("k", newer)
            assert await ns.get_with_version("k") is None
            assert await ns.touch("l", 10) and await ns.persist("l")
            assert not await ns.persist("l") and not await ns.touch("no", 1)
            assert await ns.incr("n", 5) == 5 and await ns.decr("n") == 4
            assert await ns.consume("n") == b"4" and await ns.pop("n", None) is None
            assert await ns.delete("l") and not await ns.delete_key("l")
            for missing in (ns.consume("no"), ns.ttl("no"), ns.update_existing("no", "x")):
                with pytest.raises(KeyError) as caught:
                    await missing
                assert caught.value.key == b"no"

            await ns.clear()
            await ns.set_many({f"k{i}": str(i) for i in range(3000)})
            assert await ns.get_many(["k5", "no", "k2999"]) == [b"5", None, b"2999"]
            assert await ns.get_many(["no"], b"?") == [b"?"]
            assert await ns.exists_many(["k1", "no"]) == [True, False]
            assert await ns.update_many({"k1": "x"}) == 1
            assert await ns.consume_many(["k1", "k1"]) == [b"x", None]
            assert await ns.delete_many(["k2", "no"]) == 1
            with pytest.raises(rkvs.KeyNotFoundError) as caught:
                await ns.delete_many(["k3", "no"], mode=BatchMode.ALL_OR_NOTHING)
            assert caught.value.index == 1
            result = await ns.get_multiple(["k3", "no"], BatchMode.BEST_EFFORT)
            assert result.statuses == [0, 1] and result.values == [b"3", None]
            result = await ns.set_multiple({"k3": "y"})
            assert result.values == [b"3"]
            result = await ns.apply(AtomicBatch().incr("count", 2).set("z", "1"))
            assert result.values[0] == b"2"
            with pytest.raises(rkvs.KeyExistsError):
                await ns.apply(AtomicBatch().add("z", "1"))

            keys = [key async for key in ns.scan_keys("k", step=100)]
            assert sorted(keys) == sorted(f"k{i}".encode() for i in range(3000) if i not in (1, 2))
            pairs = {key: value async for key, value in ns.scan("k29")}
            assert pairs == {b"k29": b"29"} | {
                f"k29{i}".encode(): b"29%d" % i for i in range(10)
            } | {f"k29{i:02}".encode(): b"29%02d" % i for i in range(100)}
            assert len(await ns.list_keys()) == (await ns.stats()).key_count == 3000
            assert len([key async for key in ns]) == 3000
            assert await ns.delete_prefix("k29") == 111
            seen = []
            await ns.resize_shards(64, progress=seen.append)
            assert seen and (await ns.get_config()).shard_count == 64
            assert len(await ns.shard_key_counts()) == len(await ns.shard_stats()) == 64
            await ns.update_config(max_keys=5000, shard_count=8)
            assert (await ns.get_config()).max_keys == 5000

            await store.save_all("s", progress=seen.append)
            await store.save_namespace("a", "a")
            copy = await store.clone_namespace("a", "b")
            assert copy.sync == ns.sync
            await store.delete_namespace("a")
            with pytest.raises(rkvs.NamespaceDeletedError):
                await ns.get("z")
            ns = await store.load_namespace("a")
            assert ns.sync == copy.sync
            await store.load_namespace_as("s", "c", "a")
            with pytest.raises(FileNotFoundError):
                await store.load_namespace("no")
            assert await store.list_namespaces() == ["a", "b", "c"]
            assert await store.namespace_count() == 3
            assert "TYPE" in await store.metrics_text()
            assert len(await store.all_namespace_stats()) == 3
        async with aio.open(tmp_path, "s") as store:
            assert (await store.load_report()).namespaces == 1
            assert await (await store.get_namespace("a")).get("z") == b"1"
        store = await aio.open()
        assert await store.is_initialized() and not await store.has_persistence()
        await store.close()
        with pytest.raises(rkvs.ClosedError):
            await store.create_namespace("x")

    run(main())


def test_what_a_dict_has_can_be_awaited():
    async def main():
        async with aio.open() as store:
            ns = await store.create_namespace("a")
            await ns.update({"a": "1"}, b="2")
            await ns.update([("c", "3")])
            await ns.update()
            assert await ns.pop("a") == b"1" and await ns.pop("a", 5) == 5
            for absent in (ns.pop("a"), ns.consume("a")):
                with pytest.raises(rkvs.KeyNotFoundError):
                    await absent
            assert await ns.setdefault("b", "x") == b"2" and await ns.setdefault("d", "4") == b"4"
            taken = dict(await asyncio.gather(*[ns.popitem() for _ in range(3)]))
            assert taken == {b"b": b"2", b"c": b"3", b"d": b"4"}
            with pytest.raises(KeyError):
                await ns.popitem()
            assert await ns.transform("n", lambda old: (old or b"") + b"x") == b"x"
            assert await ns.transform("n", lambda old: old + b"y") == b"xy"
            assert await ns.transform("n", lambda old: None) is None and not await ns.exists("n")

    run(main())


def test_values_of_any_size():
    async def main():
        ns = rkvs.open().create_namespace("a").aio
        for size in (0, 1, 16384, 65536, 65537, 1 << 20):
            value = bytes(range(256)) * (size // 256) + bytes(size % 256)
            await ns.put("k", value)
            assert await ns.get("k") == value
            await ns.put("k", bytearray(value))
            assert await ns.set("k", memoryview(value)) == value
        with pytest.raises(TypeError):
            await ns.put("k", 5)

    run(main())


def test_point_operations_are_done_inline():
    async def main():
        ns = rkvs.open().create_namespace("a").aio
        coroutine = ns.put(b"a", b"1")
        with pytest.raises(StopIteration):
            coroutine.send(None)
        coroutine = ns.get(b"a")
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)
        assert done.value.value == b"1"
        assert in_flight() == 0

    run(main())


def test_many_operations_in_flight_and_work_of_the_loop_meanwhile():
    async def main():
        ns = rkvs.open().create_namespace("a", lock_timeout=60).aio
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())

        async def work(number):
            items = {b"%d:%d" % (number, i): b"x" * i for i in range(300)}
            for _ in range(3 * SCALE):
                await ns.set_many(items)
                assert await ns.get_many(items) == list(items.values())
                assert await ns.delete_many(items) == 300

        await asyncio.gather(*(work(number) for number in range(20)))
        ticking.cancel()
        assert ticks > 10 and in_flight() == 0

    run(main())


def big(ns, count=300_000):
    """A batch that takes long enough to be caught in flight."""
    return ns.set_many({b"%d" % i: b"x" for i in range(count)})


def test_a_cancelled_task_cancels_its_operation(tmp_path):
    async def main():
        store = rkvs.open(tmp_path)
        ns = store.create_namespace("a")
        ns.set_many({b"%d" % i: bytes(500) for i in range(20_000)})
        started = threading.Event()
        go_on = threading.Event()

        def hold(progress):
            started.set()
            go_on.wait(60)

        saving = asyncio.create_task(store.aio.save_all("s", progress=hold))
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
        go_on.set()
        for _ in range(1000):
            if in_flight() == 0:
                break
            await asyncio.sleep(0.01)
        assert in_flight() == 0
        # Waits for what is left of the save.
        await store.aio.close()
        assert not (tmp_path / "s").exists()

    run(main())


def test_a_timeout_of_asyncio_cancels(tmp_path):
    async def main():
        store = rkvs.open(tmp_path)
        store.create_namespace("a").set_many({b"%d" % i: bytes(500) for i in range(20_000)})
        stop = threading.Event()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(
                store.aio.save_all("s", progress=lambda progress: stop.wait(60)), 0.05
            )
        stop.set()
        await store.aio.close()

    run(main())


def test_what_a_progress_hook_raises_or_refuses(tmp_path):
    async def main():
        async with aio.open(tmp_path) as store:
            ns = await store.create_namespace("a")
            await ns.set_many({b"%d" % i: b"x" for i in range(10_000)})
            with pytest.raises(rkvs.OperationCancelledError):
                await store.save_all("s", progress=lambda progress: False)

            def fail(progress):
                raise LookupError("mine")

            with pytest.raises(LookupError, match="mine"):
                await store.save_all("s", progress=fail)
            assert not (tmp_path / "s").exists()

    run(main())


def test_closing_the_store_ends_what_is_in_flight(tmp_path):
    async def main():
        store = rkvs.open(tmp_path)
        ns = store.create_namespace("a")
        ns.set_many({b"%d" % i: bytes(100) for i in range(50_000)})
        tasks = [
            asyncio.create_task(store.aio.save_all(f"s{i}")) for i in range(4)
        ] + [asyncio.create_task(big(ns.aio, 20_000)) for _ in range(4)]
        await asyncio.sleep(0)
        await store.aio.close()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            assert end is None or isinstance(
                end, (rkvs.ClosedError, rkvs.OperationCancelledError)
            ), end
        assert in_flight() == 0

    run(main())


def test_many_loops_at_the_same_time_and_one_after_another(store):
    ns = store.create_namespace("a", lock_timeout=60)
    shared = ns.aio
    failed = []

    async def work(number):
        items = {b"%d:%d" % (number, i): b"%d" % i for i in range(300)}
        for _ in range(5):
            await shared.put(b"p%d" % number, b"x")
            assert await shared.get(b"p%d" % number) == b"x"
            await shared.set_many(items)
            assert await shared.get_many(items) == list(items.values())

    def thread(number):
        try:
            for _ in range(3):
                run(work(number))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failed


def test_a_loop_closed_with_operations_in_flight_is_forgotten(tmp_path):
    store = rkvs.open(tmp_path)
    ns = store.create_namespace("a")
    ns.set_many({b"%d" % i: bytes(100) for i in range(20_000)})
    go_on = threading.Event()

    loop = asyncio.new_event_loop()

    async def start():
        task = asyncio.ensure_future(
            store.aio.save_all("s", progress=lambda progress: go_on.wait(60))
        )
        await asyncio.sleep(0.01)
        return task

    task = loop.run_until_complete(start())
    task._log_destroy_pending = False
    loop.close()
    go_on.set()
    gone = weakref.ref(loop)
    del loop, task
    # A new loop works as if nothing had been, and lets go of the old one.
    async def again():
        ns.aio
        await ns.aio.put("k", "v")
        return await ns.aio.get("k")

    assert asyncio.run(again()) == b"v"
    gc.collect()
    assert gone() is None
    store.close()


def test_an_interpreter_that_ends_with_operations_in_flight(tmp_path):
    code = """
import asyncio, sys, threading, rkvs
store = rkvs.open(sys.argv[1], log=lambda level, text: None,
                  manager_autosave=rkvs.AutosaveConfig("auto", interval=0.001, final_save=True))
ns = store.create_namespace("a", lock_timeout=60)
ns.set_many({b"%d" % i: bytes(200) for i in range(50_000)})

def hammer():
    while True:
        try:
            ns["k"] = "v"
            ns.get_many([b"1", b"2"])
        except rkvs.ClosedError:
            return

for _ in range(2):
    threading.Thread(target=hammer, daemon=True).start()

async def main():
    loop = asyncio.get_running_loop()
    for i in range(3):
        loop.create_task(store.aio.save_all(f"s{i}", progress=lambda progress: None))
    loop.create_task(ns.aio.set_many({b"x%d" % i: b"x" for i in range(50_000)}))
    await asyncio.sleep(0.01)
    print("ending", flush=True)
    loop.stop()

loop = asyncio.new_event_loop()
loop.create_task(main())
loop.run_forever()
for task in asyncio.all_tasks(loop):
    task._log_destroy_pending = False
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "ending\n" and done.stderr == ""
    with rkvs.open(tmp_path, "auto") as store:
        assert len(store["a"]) >= 50_000


def test_memoize_of_coroutines_runs_once_for_all_who_wait(ns):
    calls = []

    @rkvs.memoize(ns, expire=60)
    async def slow(x, *, y=1):
        """Slow."""
        calls.append((x, y))
        await asyncio.sleep(0.01)
        return x * y

    async def main():
        assert await asyncio.gather(*(slow(3, y=2) for _ in range(50))) == [6] * 50
        assert await slow(3, y=2) == 6 and await slow(4) == 4
        first = asyncio.create_task(slow(10))
        second = asyncio.create_task(slow(10))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == 10

    run(main())
    assert calls == [(3, 2), (4, 1), (10, 1)]
    assert slow.__doc__ == "Slow." and slow.forget(4) and not slow.forget(4)
    run(main_again(slow))


async def main_again(slow):
    assert await slow(3, y=2) == 6
