"""Awaited operations on a namespace: what each of them raises, and what others do meanwhile."""

import asyncio

import pytest

import rkvs
from rkvs import BatchMode, StatusCode, aio


def run(main):
    return asyncio.run(asyncio.wait_for(main, 120))


# Each operation that an AsyncNamespace has, with arguments that are right.
OPERATIONS = {
    "get": lambda ns: ns.get("k"),
    "get_view": lambda ns: ns.get_view("k"),
    "get_with_version": lambda ns: ns.get_with_version("k"),
    "exists": lambda ns: ns.exists("k"),
    "put": lambda ns: ns.put("k", b"v"),
    "put a large value": lambda ns: ns.put("k", bytes(1 << 20)),
    "set": lambda ns: ns.set("k", "v"),
    "add": lambda ns: ns.add("new", "v"),
    "update_existing": lambda ns: ns.update_existing("k", "v"),
    "compare_and_set": lambda ns: ns.compare_and_set("k", 1, "v"),
    "compare_and_delete": lambda ns: ns.compare_and_delete("k", 1),
    "delete_key": lambda ns: ns.delete_key("k"),
    "consume": lambda ns: ns.consume("k"),
    "pop": lambda ns: ns.pop("k", None),
    "setdefault": lambda ns: ns.setdefault("k"),
    "popitem": lambda ns: ns.popitem(),
    "transform": lambda ns: ns.transform("k", lambda old: b"new"),
    "ttl": lambda ns: ns.ttl("k"),
    "touch": lambda ns: ns.touch("k", 5),
    "persist": lambda ns: ns.persist("k"),
    "incr": lambda ns: ns.incr("n"),
    "decr": lambda ns: ns.decr("n"),
    "get_many": lambda ns: ns.get_many(["k"]),
    "set_many": lambda ns: ns.set_many({"k": "v"}),
    "update_many": lambda ns: ns.update_many({"k": "v"}),
    "exists_many": lambda ns: ns.exists_many(["k"]),
    "delete_many": lambda ns: ns.delete_many(["k"]),
    "consume_many": lambda ns: ns.consume_many(["k"]),
    "update": lambda ns: ns.update({"k": "v"}),
    "list_keys": lambda ns: ns.list_keys(),
    "clear": lambda ns: ns.clear(),
    "delete_prefix": lambda ns: ns.delete_prefix("k"),
    "stats": lambda ns: ns.stats(),
    "shard_stats": lambda ns: ns.shard_stats(),
    "shard_key_counts": lambda ns: ns.shard_key_counts(),
    "update_config": lambda ns: ns.update_config(max_keys=5),
    "resize_shards": lambda ns: ns.resize_shards(8),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_after_its_deletion_a_namespace_raises(store, operation):
    async def main():
        ns = store.create_namespace("a").aio
        await ns.put("k", "v")
        await store.aio.delete_namespace("a")
        for _ in range(2):  # what an error has left behind is in nobody's way
            with pytest.raises(rkvs.NamespaceDeletedError):
                await operation(ns)
            with pytest.raises(rkvs.NamespaceDeletedError):
                operation(ns.sync)

    run(main())


@pytest.mark.parametrize(
    "operation",
    [
        lambda ns, key: ns.get(key),
        lambda ns, key: ns.get_view(key),
        lambda ns, key: ns.exists(key),
        lambda ns, key: ns.put(key, b"v"),
        lambda ns, key: ns.set(key, b"v"),
        lambda ns, key: ns.delete_key(key),
        lambda ns, key: ns.transform(key, lambda old: b"v"),
        lambda ns, key: ns.get_many([b"k", key]),
        lambda ns, key: ns.set_many([(b"k", b"v"), (key, b"v")]),
    ],
)
def test_what_is_no_key(ns, operation):
    async def main():
        for key in (5, None, 1.5, ["k"]):
            with pytest.raises(TypeError):
                await operation(ns.aio, key)
        assert len(ns) == 0

    run(main())


def test_a_key_that_is_too_large_is_absent_and_stays_so(ns):
    async def main():
        for key in (bytes(1 << 17), "x" * (1 << 17)):
            for refused in (
                ns.aio.put(key, b"v"),
                ns.aio.put(key, bytes(1 << 20)),
                ns.aio.set(key, b"v"),
                ns.aio.transform(key, lambda old: b"v"),
                ns.aio.set_many([(b"k", b"v"), (key, b"v")]),
            ):
                with pytest.raises(rkvs.KeyTooLargeError):
                    await refused
            assert await ns.aio.get(key) is None and await ns.aio.get_view(key) is None
            assert not await ns.aio.exists(key) and not await ns.aio.delete_key(key)
            assert await ns.aio.get_many([b"k", key]) == [None, None]
        assert len(ns) == 0

    run(main())


def test_keys_of_any_kind_of_bytes(ns):
    async def main():
        for key in ("k", bytearray(b"k"), memoryview(b"k")):
            await ns.aio.put(key, "v")
            assert await ns.aio.get(key) == b"v" and await ns.aio.exists(key)
            view = await ns.aio.get_view(key)
            assert view == b"v"
            assert await ns.aio.consume(key) == b"v" and not await ns.aio.delete_key(key)
            assert await ns.aio.get_view(key) is None and await ns.aio.get(key, 5) == 5
            assert view == b"v"  # for as long as somebody has it

    run(main())


def test_a_full_namespace_says_which_key_it_has_no_room_for(store):
    async def main():
        ns = store.create_namespace("a", max_keys=1).aio
        await ns.put("a", "1")
        for refused in (
            ns.put("b", b"2"),
            ns.put("b", bytearray(1 << 20)),
            ns.set("b", "2"),
            ns.add("b", "2"),
            ns.incr("b"),
        ):
            with pytest.raises(rkvs.TooManyKeysError) as caught:
                await refused
            assert caught.value.key == b"b"
        await ns.put("a", "2", expire=60)
        assert await ns.get("a") == b"2" and await ns.ttl("a") > 50
        await ns.put("a", "3", keep_ttl=True)
        assert await ns.ttl("a") > 50
        await ns.put("a", "4")
        assert await ns.ttl("a") is None

    run(main())


def test_batches_with_a_status_for_each_item(ns):
    async def main():
        awaited = ns.aio
        result = await awaited.set_multiple([("a", "1"), ("b", "2")], expire=60)
        assert result.statuses == [0, 0] and result.values == [None, None]
        assert await awaited.ttl("a") > 50
        result = await awaited.update_multiple({"a": "3", "no": "4"}, BatchMode.BEST_EFFORT)
        assert result.statuses == [0, StatusCode.NOT_FOUND] and result.values[0] == b"1"
        result = await awaited.update_multiple({"a": "5", "no": "6"})
        assert result.status == StatusCode.NOT_FOUND and await awaited.get("a") == b"3"
        result = await awaited.exists_multiple(["a", "no"])
        assert result.statuses == [0, StatusCode.NOT_FOUND] and result.status == 0
        result = await awaited.consume_multiple(["a", "no"])
        assert result.status == StatusCode.NOT_FOUND and await awaited.exists("a")
        result = await awaited.consume_multiple(["a", "no"], BatchMode.BEST_EFFORT)
        assert result.values == [b"3", None]
        result = await awaited.delete_multiple(["b", "no"], BatchMode.BEST_EFFORT)
        assert result.statuses == [0, StatusCode.NOT_FOUND]
        assert len(ns) == 0

    run(main())


@pytest.mark.parametrize("awaited", [True, False])
def test_transform_is_called_again_when_the_key_changed_meanwhile(ns, awaited):
    async def transform(key, function):
        return await ns.aio.transform(key, function) if awaited else ns.transform(key, function)

    async def main():
        # Each case: what is there, what another writer does, what the second call sees.
        def put():
            ns["k"] = "other"

        def delete():
            ns.delete("k")

        for before, meanwhile, after in [
            (None, put, b"other"),
            (b"v", put, b"other"),
            (b"v", delete, None),
        ]:
            for answer in (b"answer", None):
                ns.clear()
                if before is not None:
                    ns["k"] = before
                seen = []

                def function(value):
                    seen.append(value)
                    if len(seen) == 1:
                        meanwhile()
                    return answer

                assert await transform("k", function) == answer
                if before is None and answer is None:  # nothing was to be changed
                    assert ns["k"] == b"other" and seen == [None]
                else:
                    assert ns.get("k") == answer and seen == [before, after]

    run(main())


def test_what_a_transform_raises_changes_nothing(ns):
    async def main():
        ns["k"] = "v"

        def fail(value):
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            await ns.aio.transform("k", fail)
        with pytest.raises(TypeError):
            await ns.aio.transform("k", lambda value: 5)
        assert ns["k"] == b"v"

    run(main())


def test_a_scan_outlives_changes_and_ends_with_the_namespace(store):
    async def main():
        ns = store.create_namespace("a", shard_count=4)
        ns.set_many({b"%d" % i: b"x" for i in range(1000)})
        seen = []
        async for key in ns.aio.scan_keys(step=10):
            seen.append(key)
            ns.delete(key)
            if len(seen) == 500:
                await ns.aio.resize_shards(16)
        assert sorted(seen) == sorted(b"%d" % i for i in range(1000)) and len(ns) == 0

        ns.set_many({b"%d" % i: b"x" for i in range(1000)})
        with pytest.raises(rkvs.NamespaceDeletedError):
            async for _ in ns.aio.scan(step=10):
                if "a" in store:
                    store.delete_namespace("a")
        with pytest.raises(rkvs.NamespaceDeletedError):
            async for _ in ns.aio.scan():
                pass

    run(main())


def test_a_task_that_is_cancelled_before_it_began_has_changed_nothing(ns):
    async def main():
        task = asyncio.create_task(ns.aio.set_many({b"%d" % i: b"x" for i in range(1000)}))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(ns) == 0

    run(main())


def test_an_object_is_used_by_one_loop_after_another(store):
    namespace = store.create_namespace("a").aio
    operations = (
        namespace.get,
        namespace.exists,
        namespace.delete_key,
        lambda key: namespace.put(key, b"v"),
    )
    for operation in operations:
        for _ in range(2):
            asyncio.run(operation(b"k"))
    assert store["a"]["k"] == b"v"


def test_open_loads_a_file_that_is_there(tmp_path):
    async def main():
        async with aio.open(tmp_path) as store:
            await (await store.create_namespace("a")).put("k", "v")
            await store.save_all("s")
        async with aio.open(tmp_path, "s") as store:
            assert await (await store.get_namespace("a")).get("k") == b"v"
        async with aio.open(tmp_path, "no") as store:
            assert await store.list_namespaces() == []
            assert (await store.load_report()).namespaces == 0

    run(main())
