"""rkvs.aio has what rkvs has."""

import asyncio
import inspect

import pytest

import rkvs
from rkvs.aio import AsyncNamespace, AsyncStorageManager

# What has no form to await, and why.
ALONE = {
    rkvs.Namespace: {
        "aio": "gives what is compared here",
        # Going through them waits: `async for` over the namespace and scan() do that.
        "items": "scan()",
        "keys": "scan_keys()",
        "values": "scan()",
    },
    rkvs.StorageManager: {"aio": "gives what is compared here"},
}
# Of asyncio alone.
MORE = {"sync"}


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("plain", "awaited"),
    [(rkvs.Namespace, AsyncNamespace), (rkvs.StorageManager, AsyncStorageManager)],
)
def test_every_operation_has_a_form_to_await(plain, awaited):
    assert public(plain) - public(awaited) == set(ALONE[plain])
    assert public(awaited) - public(plain) == MORE
    for name in public(plain) & public(awaited):
        one, other = getattr(plain, name), getattr(awaited, name)
        if isinstance(one, property):
            assert isinstance(other, property) and name == "name"
            continue
        assert inspect.iscoroutinefunction(other) or inspect.isasyncgenfunction(other), name
        mine, theirs = inspect.signature(one).parameters, inspect.signature(other).parameters
        assert list(mine) == list(theirs), name
        for parameter in mine:
            assert mine[parameter].kind == theirs[parameter].kind, (name, parameter)
            if "MISSING" not in repr(mine[parameter].default):
                assert mine[parameter].default == theirs[parameter].default, (name, parameter)
        assert other.__doc__, name


def test_limits_and_figures_are_those_of_the_other_class(store, ns):
    async def main():
        aio = ns.aio
        await aio.set_many({"a": "1", "b": "22"})
        await aio.set_max_keys(5)
        await aio.set_max_bytes(1 << 20)
        await aio.set_max_value_size(100)
        await aio.set_lock_timeout(7)
        config = await aio.get_config()
        assert config == ns.get_config() and config.max_keys == 5 and config.lock_timeout == 7
        assert config.max_bytes == 1 << 20 and config.max_value_size == 100
        with pytest.raises(rkvs.InvalidArgumentError):
            await aio.set_lock_timeout(4000)
        with pytest.raises(rkvs.LimitBelowUseError):
            await aio.set_max_keys(1)
        await aio.resize_shards(4)
        assert await aio.metadata() == await aio.stats() == ns.metadata()
        assert await aio.shard_stats() == ns.shard_stats()
        assert await aio.shard_key_counts() == ns.shard_key_counts() and len(ns.shard_stats()) == 4
        assert await store.aio.namespace_stats("test") == ns.metadata()
        assert await store.aio.all_namespace_stats() == [ns.metadata()]
        assert await store.aio.get_config() == store.get_config()
        assert (await store.aio.metrics_text()).splitlines()[0] == store.metrics_text().splitlines()[0]
        assert await store.aio.load_report() == store.load_report()
        with pytest.raises(rkvs.NamespaceNotFoundError):
            await store.aio.namespace_stats("absent")

    asyncio.run(main())


def test_a_view_can_be_awaited(ns):
    value = bytes(range(256)) * 1000
    ns.update({"a": value, "empty": ""})

    async def main():
        view = await ns.aio.get_view("a")
        assert view.readonly and view == value
        assert await ns.aio.get_view("absent") is None
        assert await ns.aio.get_view("empty") == b""
        del ns["a"]
        await ns.aio.put("b", bytes(len(value)))
        return view

    assert asyncio.run(main()) == value


def test_views_of_operations_that_have_to_wait(ns):
    # Whoever has to wait gets the view through the queue.
    ns["a"] = bytes(1000)

    async def main():
        aio, stop = ns.aio, False

        async def write():
            while not stop:
                await aio.set_many({b"%d" % i: b"" for i in range(500)} | {b"a": bytes(1000)})

        writers = [asyncio.create_task(write()) for _ in range(4)]
        for _ in range(300):
            views = await asyncio.gather(*(aio.get_view("a") for _ in range(20)))
            assert all(view.readonly and view == bytes(1000) for view in views)
        stop = True
        await asyncio.gather(*writers)

    asyncio.run(main())
