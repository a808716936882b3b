import logging
import os
import subprocess
import sys
import threading
import time

import pytest

import rkvs
from rkvs import AutosaveConfig, AutosaveState, ManagerConfig, StorageManager


def test_operations_need_an_initialised_store():
    manager = StorageManager()
    assert not manager.is_initialized() and not manager.has_persistence()
    with pytest.raises(rkvs.NotInitializedError):
        manager.create_namespace("a")
    manager.initialize()
    manager.initialize()
    assert manager.is_initialized()
    assert manager.load_report() == ("", 0, 0, ())
    manager.close()
    manager.close()
    with pytest.raises(rkvs.ClosedError):
        manager.list_namespaces()


def test_with_initialises_and_closes():
    with StorageManager() as manager:
        ns = manager.create_namespace("a")
        ns["k"] = "v"
        view = ns.get_view("k")
    with pytest.raises(rkvs.ClosedError):
        ns["k"]
    assert view == b"v"


def test_namespaces(store):
    users = store.create_namespace("users", max_keys=5)
    users["alice"] = "admin"
    with pytest.raises(rkvs.NamespaceExistsError):
        store.create_namespace("users")
    with pytest.raises(KeyError):
        store.get_namespace("nobody")
    assert store["users"]["alice"] == b"admin"
    assert store.namespace("users").get_config().max_keys == 5
    store.namespace("größe")["x"] = "y"
    assert store.list_namespaces() == ["größe", "users"] == list(store)
    assert "users" in store and "nobody" not in store and 5 not in store
    assert len(store) == store.namespace_count() == 2 and store.total_key_count() == 2
    clone = store.clone_namespace("users", "copy")
    users["alice"] = "user"
    assert clone["alice"] == b"admin" and clone.get_config().max_keys == 5
    store.update_namespace_config("users", max_keys=7)
    assert users.get_config().max_keys == 7
    store.update_namespace_config("users", rkvs.NamespaceConfig(max_keys=9))
    assert users.get_config().max_keys == 9
    store.delete_namespace("copy")
    with pytest.raises(rkvs.NamespaceNotFoundError):
        store.delete_namespace("copy")
    assert [stats.name for stats in store.all_namespace_stats()] == ["größe", "users"]
    assert store.namespace_stats("users").key_count == 1


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "a\0b"])
def test_names_that_are_not_allowed(store, name):
    with pytest.raises(ValueError):
        store.create_namespace(name)
    with pytest.raises(TypeError):
        store.create_namespace(b"bytes")


def test_limits_of_the_whole_store():
    with StorageManager(max_namespaces=1, max_bytes=1 << 20) as manager:
        ns = manager.create_namespace("a")
        with pytest.raises(rkvs.TooManyNamespacesError):
            manager.create_namespace("b")
        assert manager.get_config() == ManagerConfig(1, 1 << 20)
        with pytest.raises(MemoryError):
            ns["large"] = bytes(2 << 20)
        manager.update_config(ManagerConfig(max_namespaces=2))
        manager.create_namespace("b")
        ns["large"] = bytes(2 << 20)
        assert manager.get_config().max_namespaces == 2


def test_snapshots(tmp_path):
    directory = tmp_path / "data"
    with rkvs.open(directory, "store.rkvs") as store:
        assert store.has_persistence()
        users = store.create_namespace("users")
        users.set_many({b"%d" % i: bytes([i % 256]) * i for i in range(1000)})
        store.create_namespace("empty")
        store.save_all("store.rkvs")
        store.save_namespace("users", "users.rkvs")
    with rkvs.open(directory, "store.rkvs") as store:
        assert store.load_report() == ("store.rkvs", 2, 1000, ())
        assert store["users"]["999"] == bytes([999 % 256]) * 999
        with pytest.raises(rkvs.NamespaceExistsError):
            store.load_namespace("users.rkvs")
        seen = []
        again = store.load_namespace_as("users.rkvs", "again", progress=seen.append)
        assert again == store["users"] and seen
        picked = store.load_namespace_as("store.rkvs", "picked", "users")
        assert len(picked) == 1000
        store.delete_namespace("users")
        assert store.load_namespace("users.rkvs").name == "users"
        with pytest.raises(FileNotFoundError) as caught:
            store.load_namespace("no.rkvs")
        assert isinstance(caught.value, rkvs.SnapshotNotFoundError)
        for name in ("../x", ".x", "a/b", ""):
            with pytest.raises(rkvs.InvalidNameError):
                store.save_all(name)
    assert sorted(os.listdir(directory))[-2:] == ["store.rkvs", "users.rkvs"]


def test_a_damaged_file_falls_back_to_the_one_before(tmp_path):
    with rkvs.open(tmp_path, "s") as store:
        ns = store.create_namespace("a")
        ns["k"] = "old"
        store.save_all("s")
        ns["k"] = "new"
        store.save_all("s")
    whole = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(whole[: len(whole) // 2])
    told = []
    with rkvs.open(tmp_path, "s", log=lambda level, text: told.append((level, text))) as store:
        assert store["a"]["k"] == b"old"
        report = store.load_report()
        assert report.file == "s.1" and report.keys == 1
        (skipped,) = report.skipped
        assert skipped.file == "s" and isinstance(skipped.error, rkvs.SnapshotCorruptError)
    assert told and all(isinstance(level, rkvs.LogLevel) for level, _ in told)
    (tmp_path / "s.1").write_bytes(b"nonsense")
    with pytest.raises(rkvs.SnapshotCorruptError):
        rkvs.open(tmp_path, "s")


def test_without_a_directory_there_is_no_persistence(store):
    with pytest.raises(rkvs.NoPersistenceError):
        store.save_all("x")


def test_saves_can_be_watched_and_cancelled(tmp_path):
    with rkvs.open(tmp_path) as store:
        ns = store.create_namespace("a")
        ns.set_many({b"%d" % i: bytes(100) for i in range(20_000)})
        seen = []
        store.save_all("s", progress=seen.append)
        assert seen[-1].entries_done == 20_000 == seen[-1].entries_total
        with pytest.raises(rkvs.OperationCancelledError):
            store.save_all("t", progress=lambda progress: False)
        assert not (tmp_path / "t").exists()

        class Mine(Exception):
            pass

        def fail(progress):
            raise Mine

        with pytest.raises(Mine):
            store.save_all("t", progress=fail)
        with pytest.raises(Mine):
            store.clone_namespace("a", "b", progress=fail)
        assert "b" not in store


def test_logs_can_go_to_a_logger(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with rkvs.open(tmp_path) as store:
        store.create_namespace("a")["k"] = "v"
        store.save_all("s")
        store.save_all("s")
    (tmp_path / "s").write_bytes(b"broken")
    with rkvs.open(tmp_path, "s", log=logging.getLogger("rkvs.test")) as store:
        assert store["a"]["k"] == b"v"
    (record, *_) = [record for record in caplog.records if record.name == "rkvs.test"]
    assert record.levelno >= logging.WARNING and record.getMessage()


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_autosave(tmp_path):
    whole = AutosaveConfig("all.rkvs", interval=0.02, final_save=True)
    single = AutosaveConfig("{ns}.rkvs", changes=10)
    with rkvs.open(
        tmp_path, manager_autosave=whole, namespace_autosave={"a": single}
    ) as store:
        ns = store.create_namespace("a")
        ns.set_many({str(i): b"x" for i in range(20)})
        wait_for(lambda: (tmp_path / "all.rkvs").exists() and (tmp_path / "a.rkvs").exists())
        wait_for(lambda: all(task.saves for task in store.list_autosave_tasks()))
        first, second = store.list_autosave_tasks()
        assert first.namespace is None and second.namespace == "a"
        assert first.config == whole and second.config == single
        assert first.last_file == "all.rkvs" and first.failures == 0 and first.last_error is None
        assert abs(first.last_success - time.time()) < 60 and first.last_failure is None
        with pytest.raises(rkvs.AutosaveExistsError):
            store.add_namespace_autosave_task("a", single)
        store.stop_namespace_autosave("a")
        with pytest.raises(rkvs.AutosaveNotRunningError):
            store.stop_namespace_autosave("a")
        assert store.list_autosave_tasks()[1].state == AutosaveState.STOPPED
        assert store.start_missing_autosave_tasks() == 1
        store.stop_manager_autosave()
        store.stop_namespace_autosave("a")
        store.start_namespace_autosave_task("a")
        with pytest.raises(rkvs.AutosaveNotConfiguredError):
            store.start_namespace_autosave_task(store.create_namespace("b").name)
        store.add_namespace_autosave_task("b", AutosaveConfig("b-{ts}.rkvs", interval=60))
    with pytest.raises(rkvs.NoPersistenceError):
        rkvs.open(manager_autosave=whole)


def test_metrics_in_prometheus_format():
    with rkvs.open(detailed_metrics=True) as store:
        store.create_namespace("users")["a"] = "1"
        text = store.metrics_text()
    assert "# TYPE" in text and 'namespace="users"' in text


def test_a_second_process_may_not_save_into_the_directory(tmp_path):
    with rkvs.open(tmp_path) as store:
        store.create_namespace("a")
        store.save_all("s")
        code = (
            "import rkvs, sys\n"
            "try:\n"
            "    rkvs.open(sys.argv[1], 's').save_all('s')\n"
            "except rkvs.DirectoryLockedError as error:\n"
            "    assert isinstance(error, OSError)\n"
            "    print('locked')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
        )
    assert done.stdout == "locked\n", done.stderr


def test_namespaces_made_by_many_threads_at_once(store):
    handles = []

    def work():
        for i in range(50):
            handles.append(store.namespace(f"n{i}"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(handles) == 200 and store.namespace_count() == 50


def test_arguments_out_of_range():
    for wrong in (-1, 1 << 64):
        with pytest.raises(rkvs.InvalidArgumentError):
            StorageManager(max_namespaces=wrong)
        with pytest.raises(rkvs.InvalidArgumentError):
            StorageManager(worker_threads=wrong)
    with pytest.raises(rkvs.InvalidArgumentError):
        StorageManager("a\0b")
