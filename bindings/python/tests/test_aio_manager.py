"""What AsyncStorageManager does, and what awaited operations raise."""

import asyncio

import pytest

import rkvs
from rkvs import AutosaveConfig, AutosaveState, ManagerConfig, NamespaceConfig, aio
from rkvs.aio import AsyncNamespace, AsyncStorageManager


def run(main):
    return asyncio.run(asyncio.wait_for(main, 120))


def test_a_manager_is_initialised_by_with_and_closed():
    async def main():
        store = AsyncStorageManager(max_namespaces=1)
        assert not store.sync.is_initialized()
        with pytest.raises(rkvs.NotInitializedError):
            await store.create_namespace("a")
        async with store as same:
            assert same is store and await store.is_initialized()
            await store.create_namespace("a")
            with pytest.raises(rkvs.TooManyNamespacesError):
                await store.create_namespace("b")
        with pytest.raises(rkvs.ClosedError):
            await store.list_namespaces()

    run(main())


def test_the_same_store_with_and_without_await(store):
    async def main():
        awaited = AsyncStorageManager(store)
        assert awaited.sync is store and repr(store) in repr(awaited)
        async with awaited.sync.aio as again:
            ns = await again.create_namespace("a")
            await ns.put("k", "v")
            assert store["a"]["k"] == b"v"
            assert "'a'" in repr(ns) and ns.name == "a"

    run(main())


def test_namespace_finds_or_makes():
    async def main():
        async with aio.open() as store:
            made = await store.namespace("a", max_keys=3)
            assert isinstance(made, AsyncNamespace)
            await made.put("k", "v")
            # The limits are for a namespace that is made.
            found = await store.namespace("a", max_keys=9)
            assert await found.get("k") == b"v" and (await found.get_config()).max_keys == 3
            of_config = await store.namespace("b", NamespaceConfig(max_keys=5))
            assert (await of_config.get_config()).max_keys == 5
            with pytest.raises(TypeError):
                await store.namespace("c", NamespaceConfig(), max_keys=5)
            with pytest.raises(rkvs.InvalidNameError):
                await store.namespace("")
            all_at_once = await asyncio.gather(*(store.namespace("d") for _ in range(20)))
            store.sync["d"]["k"] = "v"
            assert [await ns.get("k") for ns in all_at_once] == [b"v"] * 20
            assert await store.namespace_count() == 3

    run(main())


def test_namespace_of_a_name_that_comes_and_goes():
    # Whoever finds none and is late in making it looks again, and the other way round.
    async def main():
        async with aio.open() as store:
            find, answers = AsyncStorageManager.get_namespace, [None, None]

            class Late(AsyncStorageManager):
                __slots__ = ()

                async def get_namespace(self, name):
                    if answers:
                        answers.pop()
                        raise rkvs.NamespaceNotFoundError(name)
                    return await find(self, name)

            await (await store.create_namespace("a")).put("k", "v")
            found = await Late(store.sync).namespace("a")
            assert await found.get("k") == b"v" and not answers

    run(main())


def test_configuration_of_a_namespace_by_its_name():
    async def main():
        async with aio.open() as store:
            ns = await store.create_namespace("a", NamespaceConfig(max_keys=2))
            await store.update_namespace_config("a", max_keys=7)
            assert (await ns.get_config()).max_keys == 7
            await store.update_namespace_config("a", NamespaceConfig(max_keys=9))
            assert (await ns.get_config()).max_keys == 9
            await ns.put("k", "v")
            await ns.put("l", "v")
            for changes in ({"max_keys": 1}, {"config": NamespaceConfig(max_keys=1)}):
                with pytest.raises(rkvs.RkvsError) as caught:
                    await store.update_namespace_config("a", **changes)
                assert caught.value.code == rkvs.StatusCode.LIMIT_BELOW_USE
            assert (await ns.get_config()).max_keys == 9
            for changes in ({"max_keys": 5}, {"config": NamespaceConfig(max_keys=5)}):
                with pytest.raises(rkvs.NamespaceNotFoundError):
                    await store.update_namespace_config("no", **changes)

    run(main())


def test_configuration_and_figures_of_the_store():
    async def main():
        async with aio.open(max_namespaces=2, max_bytes=1 << 20) as store:
            assert await store.get_config() == ManagerConfig(2, 1 << 20)
            ns = await store.create_namespace("b")
            await (await store.create_namespace("a")).put("k", "v")
            with pytest.raises(MemoryError):
                await ns.put("large", bytes(2 << 20))
            await store.update_config(ManagerConfig(max_namespaces=3))
            assert await store.get_config() == store.sync.get_config()
            await ns.put("large", bytes(2 << 20))
            with pytest.raises(rkvs.RkvsError) as caught:
                await store.update_config(ManagerConfig(max_bytes=4096))
            assert caught.value.code == rkvs.StatusCode.LIMIT_BELOW_USE

            assert await store.total_key_count() == 2 == store.sync.total_key_count()
            figures = await store.namespace_stats("a")
            assert figures.name == "a" and figures.key_count == 1
            assert [of.name for of in await store.all_namespace_stats()] == ["a", "b"]
            with pytest.raises(rkvs.NamespaceNotFoundError):
                await store.namespace_stats("no")

    run(main())


def test_autosave_tasks(tmp_path):
    async def main():
        whole = AutosaveConfig("all", interval=60, final_save=True)
        single = AutosaveConfig("{ns}", changes=1_000_000)
        async with aio.open(tmp_path, manager_autosave=whole) as store:
            await store.create_namespace("a")
            await store.create_namespace("b")
            with pytest.raises(rkvs.AutosaveNotConfiguredError):
                await store.start_namespace_autosave_task("a")
            await store.add_namespace_autosave_task("a", single)
            with pytest.raises(rkvs.AutosaveExistsError):
                await store.add_namespace_autosave_task("a", single)
            with pytest.raises(rkvs.NamespaceNotFoundError):
                await store.add_namespace_autosave_task("no", single)
            first, second = await store.list_autosave_tasks()
            assert (first.namespace, second.namespace) == (None, "a")
            assert (first.config, second.config) == (whole, single)

            await store.stop_namespace_autosave("a")
            with pytest.raises(rkvs.AutosaveNotRunningError):
                await store.stop_namespace_autosave("a")
            assert (await store.list_autosave_tasks())[1].state == AutosaveState.STOPPED
            await store.start_namespace_autosave_task("a")
            await store.stop_namespace_autosave("a")
            await (await store.get_namespace("a")).put("k", "v")
            assert await store.start_missing_autosave_tasks() == 1
            assert await store.start_missing_autosave_tasks() == 0
            await store.stop_manager_autosave()
            with pytest.raises(rkvs.AutosaveNotRunningError):
                await store.stop_manager_autosave()
        # The task of the whole store was stopped, and saved nothing at the end.
        assert not (tmp_path / "all").exists()

    run(main())


def test_saves_and_loads_that_are_refused_name_their_reason(tmp_path):
    async def main():
        async with aio.open() as store:
            await store.create_namespace("a")
            for refused in (store.save_all("s"), store.save_namespace("a", "s")):
                with pytest.raises(rkvs.NoPersistenceError):
                    await refused
        async with aio.open(tmp_path) as store:
            ns = await store.create_namespace("a")
            await ns.put("k", "v")
            await store.save_all("s")
            for refused in (store.load_namespace("s"), store.load_namespace_as("s", "a")):
                with pytest.raises(rkvs.NamespaceExistsError):
                    await refused
            with pytest.raises(rkvs.NamespaceNotFoundError):
                await store.load_namespace_as("s", "b", "no")
            with pytest.raises(rkvs.NamespaceNotFoundError):
                await store.save_namespace("no", "t")
            with pytest.raises(rkvs.InvalidNameError):
                await store.save_all("../s")
            (tmp_path / "s").write_bytes(b"nonsense")
            with pytest.raises(rkvs.SnapshotCorruptError):
                await store.load_namespace_as("s", "b")
            assert await store.list_namespaces() == ["a"] and await ns.get("k") == b"v"

    run(main())


def test_a_clone_can_be_watched_and_cancelled():
    async def main():
        async with aio.open() as store:
            ns = await store.create_namespace("a")
            await ns.set_many({b"%d" % i: b"x" * 100 for i in range(20_000)})
            seen = []
            copy = await store.clone_namespace("a", "b", progress=seen.append)
            assert copy.sync == ns.sync and seen[-1].entries_done == 20_000
            with pytest.raises(rkvs.OperationCancelledError):
                await store.clone_namespace("a", "c", progress=lambda progress: False)
            with pytest.raises(rkvs.NamespaceExistsError):
                await store.clone_namespace("a", "b")
            with pytest.raises(rkvs.NamespaceNotFoundError):
                await store.clone_namespace("no", "d")
            assert await store.list_namespaces() == ["a", "b"]

    run(main())
