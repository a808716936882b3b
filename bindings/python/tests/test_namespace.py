import asyncio
import copy
import datetime
import pickle
import threading
import time
from array import array
from collections.abc import MutableMapping

import pytest

import rkvs
from rkvs import StatusCode
from conftest import SCALE


def test_a_namespace_is_a_mutable_mapping(ns):
    assert isinstance(ns, MutableMapping)
    ns["a"] = b"1"
    ns[b"b"] = "2"
    assert dict(ns) == {b"a": b"1", b"b": b"2"}
    assert ns == {b"a": b"1", b"b": b"2"}
    assert ns != {b"a": b"1"}
    assert len(ns) == 2 and bool(ns)
    assert sorted(ns) == [b"a", b"b"]
    assert sorted(ns.keys()) == [b"a", b"b"]
    assert sorted(ns.values()) == [b"1", b"2"]
    assert sorted(ns.items()) == [(b"a", b"1"), (b"b", b"2")]
    assert (b"a", b"1") in ns.items() and b"2" in ns.values() and b"3" not in ns.values()
    assert ns.keys() & {b"a", b"z"} == {b"a"}
    assert repr(ns) == "<rkvs.Namespace 'test'>" and ns.name == "test"
    with pytest.raises(TypeError):
        hash(ns)


def test_missing_keys_are_key_errors_that_show_the_key(ns):
    for missing in (
        lambda: ns["no"],
        lambda: ns.pop("no"),
        lambda: ns.consume("no"),
        lambda: ns.__delitem__("no"),
        lambda: ns.ttl("no"),
        lambda: ns.update_existing("no", "1"),
    ):
        with pytest.raises(KeyError) as caught:
            missing()
        assert isinstance(caught.value, rkvs.KeyNotFoundError)
        assert caught.value.code == StatusCode.NOT_FOUND
        assert caught.value.key == b"no"
        assert str(caught.value) == "b'no'"
    assert ns.get("no") is None and ns.get("no", 5) == 5 and ns.pop("no", None) is None
    with pytest.raises(KeyError):
        ns.popitem()
    assert len(ns) == 0


def test_an_empty_value_is_not_a_missing_one(ns):
    ns[b""] = b""
    assert ns[b""] == b"" and ns.get(b"", b"x") == b"" and b"" in ns
    assert ns.get_view(b"") == b""
    assert ns.set(b"", b"1") == b""
    assert ns.pop(b"") == b"1"


@pytest.mark.parametrize("size", [0, 1, 100, 16383, 16384, 16385, 65536, 65537, 1 << 20])
def test_values_of_any_size_come_back_as_they_went_in(ns, size):
    value = bytes(range(256)) * (size // 256) + bytes(size % 256)
    ns["put"] = value
    assert ns["put"] == value and ns.get("put") == value
    assert ns.get_view("put") == value
    assert ns.set("put", b"") == value
    ns["put"] = bytearray(value)
    assert ns.pop("put") == value


def test_keys_and_values_may_be_any_buffer(ns):
    ns[bytearray(b"k1")] = bytearray(b"v1")
    ns[memoryview(b"k2")] = memoryview(b"xv2x")[1:3]
    ns["schlüssel"] = "wert ü"
    ns["array"] = array("I", [1, 2])
    ns["stride"] = memoryview(b"a-b-c-")[::2]
    assert ns[b"k1"] == b"v1" and ns["k2"] == b"v2"
    assert ns["schlüssel".encode()] == "wert ü".encode()
    assert ns["array"] == array("I", [1, 2]).tobytes()
    assert ns["stride"] == b"abc"
    large = bytearray(100_000)
    ns["large"] = large
    large.append(1)  # nobody holds it any more
    ns["large view"] = memoryview(bytes(200_000))[::2]
    assert len(ns["large"]) == 100_000 and len(ns["large view"]) == 100_000
    assert ns.get_many([bytearray(b"k1"), memoryview(b"k2"), "no"]) == [b"v1", b"v2", None]
    ns.set_many([(array("H", [7]), array("I", [1, 2])), (b"k3", memoryview(b"v-3-")[::2])])
    assert ns[array("H", [7]).tobytes()] == array("I", [1, 2]).tobytes()
    assert ns["k3"] == b"v3"


def test_numpy_arrays_are_buffers(ns):
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(100_000, dtype="<f8")
    ns["numbers"] = numbers
    view = ns.get_view("numbers")
    assert (numpy.frombuffer(view, dtype="<f8") == numbers).all()
    ns["every second"] = numbers[::2]
    assert (numpy.frombuffer(ns["every second"], dtype="<f8") == numbers[::2]).all()


def test_what_cannot_be_there_is_not_there(ns):
    ns["a"] = "1"
    for wrong in (None, 5, [], {}, (), ("a", "1"), object()):
        assert wrong not in ns and wrong not in ns.keys() and wrong not in ns.values()
        assert (wrong, "1") not in ns.items() and ("a", wrong) not in ns.items()
    assert 5 not in ns.items() and (1, 2, 3) not in ns.items()
    assert "a" in ns.keys() and ("a", "1") in ns.items() and ("a", "2") not in ns.items()
    assert ns.keys() & {1, b"a"} == {b"a"} and ns.items() & {(1, 2), (b"a", b"1")}
    assert ns != {1: 2} and ns.keys() == {b"a"}
    with pytest.raises(rkvs.KeyTooLargeError):
        bytes(1 << 21) in ns


def test_a_union_is_a_dict(ns):
    ns["a"] = "1"
    assert ns | {"a": "2", b"b": "3"} == {b"a": b"2", b"b": b"3"}
    assert {"a": "2", "b": bytearray(b"3")} | ns == {b"a": b"1", b"b": b"3"}
    assert type(ns | ns) is type({} | ns) is dict and dict(ns) == {b"a": b"1"}
    ns |= {"c": "4"}
    assert isinstance(ns, rkvs.Namespace) and ns["c"] == b"4"
    for wrong in (5, [("a", "1")]):
        with pytest.raises(TypeError):
            ns | wrong
        with pytest.raises(TypeError):
            wrong | ns


def test_keys_and_values_that_lie_about_their_size(ns):
    class Liar(bytes):
        def __len__(self):
            return 1 << 15

    class Word(str):
        def encode(self, *_):
            return b"something else"

    ns[Liar(b"key")] = Liar(b"value")
    ns.set_many({Liar(b"other"): Liar(b"value"), Word("word"): Word("word")})
    assert ns.pop("key") == ns[Liar(b"other")] == b"value" and ns["word"] == b"word"
    assert ns.get_many([Liar(b"other")]) == [b"value"] and len(ns) == 2

    class Uneven(dict):
        def values(self):
            return [b"1"]

    with pytest.raises(ValueError, match="not as many values as keys"):
        ns.set_many(Uneven(a=b"1", b=b"2"))


@pytest.mark.parametrize("wrong", [None, 5, 5.0, [], object()])
def test_what_is_no_buffer_is_a_type_error(ns, wrong):
    for use in (
        lambda: ns[wrong],
        lambda: ns.get(wrong),
        lambda: ns.exists(wrong),
        lambda: ns.__setitem__(wrong, b""),
        lambda: ns.__setitem__(b"", wrong),
        lambda: ns.set(b"", wrong),
        lambda: ns.set_many([(b"", wrong)]),
        lambda: ns.get_many([wrong]),
        lambda: ns.delete(wrong),
    ):
        with pytest.raises(TypeError, match="bytes, str or another buffer"):
            use()
    assert len(ns) == 0


def test_get_view_is_read_only_and_outlives_everything():
    manager = rkvs.open()
    ns = manager.create_namespace("views")
    ns["a"] = b"0123456789" * 1000
    view = ns.get_view("a")
    part = view[3:6]
    assert view.readonly and view.nbytes == 10_000
    with pytest.raises(TypeError):
        view[0] = 1
    ns["a"] = b"other"
    del ns["a"]
    manager.delete_namespace("views")
    manager.close()
    del ns, manager
    assert view == b"0123456789" * 1000
    del view
    assert part == b"345"
    assert rkvs.open().create_namespace("x").get_view("no") is None


def test_set_returns_the_old_value_and_put_does_not(ns):
    assert ns.set("a", "1") is None
    assert ns.set("a", "2") == b"1"
    assert ns.put("a", "3") is None
    assert ns.set("a", "4", expire=10) == b"3"
    assert ns.update_existing("a", "5") == b"4"
    assert ns["a"] == b"5"


def test_add_setdefault_and_exists(ns):
    assert ns.add("a", "1") > 0
    assert ns.add("a", "2") is None
    assert ns.setdefault("a", "3") == b"1"
    assert ns.setdefault("b", "4") == b"4"
    assert ns.exists("b") and not ns.exists("c") and "b" in ns
    assert ns.delete("b") and not ns.delete("b") and not ns.delete_key("b")


def test_versions(ns):
    assert ns.get_with_version("a") is None
    assert ns.compare_and_set("a", 1, "x") is None
    assert not ns.compare_and_delete("a", 1)
    first = ns.add("a", "1")
    assert ns.get_with_version("a") == (b"1", first)
    second = ns.compare_and_set("a", first, "2")
    assert second > first
    assert ns.compare_and_set("a", first, "3") is None
    assert not ns.compare_and_delete("a", first)
    assert ns["a"] == b"2"
    assert ns.compare_and_delete("a", second) and "a" not in ns
    for wrong in (-1, 1 << 64):
        with pytest.raises(rkvs.InvalidArgumentError):
            ns.compare_and_set("a", wrong, "x")


def test_transform_sees_every_change_of_others(ns):
    assert ns.transform("n", lambda old: str(int(old or 0) + 1)) == b"1"
    assert ns.transform("n", lambda old: None) is None and "n" not in ns
    assert ns.transform("n", lambda old: None) is None

    def add_one():
        for _ in range(200):
            ns.transform("n", lambda old: str(int(old or 0) + 1))

    threads = [threading.Thread(target=add_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ns["n"] == b"800"


def test_expiry(ns):
    ns.put("a", "1", expire=100)
    assert 99 < ns.ttl("a") <= 100
    ns.put("a", "2", keep_ttl=True)
    assert 99 < ns.ttl("a") <= 100 and ns["a"] == b"2"
    ns["a"] = "3"
    assert ns.ttl("a") is None
    assert ns.touch("a", datetime.timedelta(hours=1)) and 3599 < ns.ttl("a") <= 3600
    assert ns.touch("a", expire_at=time.time() + 50) and 48 < ns.ttl("a") <= 51
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=20)
    assert ns.touch("a", expire_at=soon) and 18 < ns.ttl("a") <= 21
    assert ns.persist("a") and not ns.persist("a") and ns.ttl("a") is None
    assert not ns.touch("no", 5) and not ns.persist("no")
    ns.put("b", "1", expire=0.001)
    time.sleep(0.01)
    assert "b" not in ns and ns.get("b") is None and len(ns) == 1
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError):
            ns.put("a", "x", expire=wrong)
    with pytest.raises(rkvs.InvalidArgumentError):
        ns.put("a", "x", expire=5, keep_ttl=True)
    with pytest.raises(rkvs.InvalidArgumentError):
        ns.touch("a")


def test_counters(ns):
    assert ns.incr("n") == 1 and ns.increment("n", 41) == 42
    assert ns.decr("n", 2) == 40 and ns["n"] == b"40"
    assert ns.incr("m", initial=100, expire=60) == 101 and ns.ttl("m") > 59
    ns["text"] = "abc"
    with pytest.raises(rkvs.NotANumberError) as caught:
        ns.incr("text")
    assert isinstance(caught.value, ValueError)
    ns["big"] = str(2**63 - 1)
    with pytest.raises(OverflowError):
        ns.incr("big")
    with pytest.raises(rkvs.InvalidArgumentError):
        ns.incr("n", 1 << 63)
    assert ns.incr("low", -(1 << 63)) == -(1 << 63)


def test_popitem_and_clear(ns):
    ns.update({"a": b"1", "b": b"2"})
    taken = {ns.popitem() for _ in range(2)}
    assert taken == {(b"a", b"1"), (b"b", b"2")}
    ns.update(a="1", b="2")
    ns.update([("c", "3")], d="4")
    ns |= {"e": b"5"}
    assert len(ns) == 5
    ns.update()
    ns.clear()
    assert len(ns) == 0 and not ns


def test_scan_sees_every_key_that_stays_exactly_once(ns):
    count = 5000
    ns.set_many({f"stay:{i}": b"v" for i in range(count)})
    seen = []
    for number, (key, value) in enumerate(ns.scan("stay:", step=100)):
        assert value == b"v"
        seen.append(key)
        if number % 500 == 0:
            ns.set_many({f"other:{number}:{i}": b"x" for i in range(100)})
            ns.resize_shards(1 + number % 7)
    assert sorted(seen) == sorted(b"stay:%d" % i for i in range(count))
    assert sorted(ns.scan_keys("stay:")) == sorted(seen)
    assert set(ns.list_keys()) == set(ns)
    assert list(ns.scan("nothing")) == []
    assert ns.delete_prefix("other:") == 1000
    assert len(ns) == count
    with pytest.raises(rkvs.InvalidArgumentError):
        list(ns.scan(step=0))


def test_binary_prefixes(ns):
    ns[b"\0a"] = b"1"
    ns[b"\0b\0"] = b"2"
    ns[b"a"] = b"3"
    assert sorted(ns.scan(b"\0")) == [(b"\0a", b"1"), (b"\0b\0", b"2")]
    assert list(ns.scan(b"\0b\0")) == [(b"\0b\0", b"2")]
    assert ns.delete_prefix(b"\0b\0") == 1


def test_limits_are_errors_with_numbers_in_them(store):
    ns = store.create_namespace(
        "small", max_keys=2, max_value_size=10, max_key_size=4, max_bytes=1 << 20
    )
    ns.update(a="1", b="2")
    with pytest.raises(rkvs.TooManyKeysError) as full:
        ns["c"] = "3"
    assert "2" in str(full.value) and full.value.code == -9
    with pytest.raises(rkvs.ValueTooLargeError) as large:
        ns["a"] = bytes(11)
    assert "11" in str(large.value) and isinstance(large.value, ValueError)
    with pytest.raises(rkvs.KeyTooLargeError):
        ns["12345"] = "x"
    with pytest.raises(rkvs.KeyTooLargeError):
        ns[bytes((1 << 20) + 1)]
    ns.set_max_keys(0)
    ns.set_max_value_size(0)
    with pytest.raises(MemoryError) as memory:
        for i in range(100):
            ns[str(i)] = bytes(60_000)
    assert isinstance(memory.value, rkvs.MemoryLimitError)
    with pytest.raises(rkvs.LimitBelowUseError):
        ns.set_max_keys(1)
    for wrong in (-1, 1 << 64):
        with pytest.raises(rkvs.InvalidArgumentError):
            ns.set_max_keys(wrong)
        with pytest.raises(rkvs.InvalidArgumentError):
            ns.set_max_bytes(wrong)


def test_configuration(store):
    config = rkvs.NamespaceConfig(shard_count=4, max_keys=100, lock_timeout=0.25)
    ns = store.create_namespace("configured", config)
    assert ns.get_config() == rkvs.NamespaceConfig(
        shard_count=4, max_keys=100, lock_timeout=0.25, max_key_size=65536
    )
    ns.update_config(max_keys=200, lock_timeout=2)
    assert ns.get_config().max_keys == 200 and ns.get_config().lock_timeout == 2
    with pytest.raises(rkvs.InvalidArgumentError):
        ns.update_config(max_keys=1, lock_timeout=4000)
    assert ns.get_config().max_keys == 200
    with pytest.raises(rkvs.InvalidArgumentError):
        ns.set_lock_timeout(0)
    ns.set_lock_timeout(0.5)
    ns.set_max_bytes(1 << 30)
    assert ns.get_config().max_bytes == 1 << 30
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError):
            store.create_namespace("wrong", lock_timeout=wrong)
    with pytest.raises(TypeError):
        store.create_namespace("wrong", max_kyes=5)


def test_resize_and_figures(ns):
    ns.set_many({str(i): b"12345" for i in range(1000)})
    seen = []
    ns.resize_shards(32, progress=lambda progress: seen.append(progress))
    assert seen and seen[-1].entries_done > 0
    assert ns.get_config().shard_count == 32
    assert sum(ns.shard_key_counts()) == 1000 and len(ns.shard_key_counts()) == 32
    shards = ns.shard_stats()
    assert len(shards) == 32 and sum(shard.key_count for shard in shards) == 1000
    ns.resize_shards(100)
    assert len(ns.shard_stats()) == 100 and len(ns.shard_key_counts()) == 100
    stats = ns.metadata()
    assert stats.name == "test" and stats.key_count == 1000 and stats.total_size == 5000
    assert stats.shard_count == 100 and stats.memory_bytes > 5000 and stats.sets == 1000
    ns.get("1"), ns.get("no")
    assert ns.stats().hits == 1 and ns.stats().misses == 1
    with pytest.raises(rkvs.InvalidArgumentError):
        ns.resize_shards(5000)
    with pytest.raises(rkvs.InvalidArgumentError):
        ns.resize_shards(-1)


def test_what_a_progress_hook_raises_comes_out(ns):
    ns.set_many({str(i): b"x" for i in range(5000)})

    def fail(progress):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        ns.resize_shards(64, progress=fail)
    assert len(ns) == 5000 and all(str(i) in ns for i in range(0, 5000, 50))


def test_threads_hammering_one_namespace(ns):
    rounds = 2000 * SCALE
    failed = []

    def work(number):
        try:
            for i in range(rounds):
                key = b"%d:%d" % (number, i % 50)
                value = b"%d" % i * (i % 200 + 1)
                ns[key] = value
                assert ns[key] == value
                assert ns.set(key, b"x") == value
                ns.incr("counter")
                if i % 100 == 0:
                    batch = {b"%d:batch:%d" % (number, j): value for j in range(50)}
                    ns.set_many(batch)
                    assert ns.get_many(list(batch)) == [value] * 50
                assert ns.pop(key) == b"x"
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert ns["counter"] == b"%d" % (6 * rounds)


def test_errors_can_be_pickled(ns):
    try:
        ns["no"]
    except rkvs.KeyNotFoundError as error:
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is rkvs.KeyNotFoundError
        assert copy.key == b"no" and copy.code == 1 and str(copy) == str(error)


def test_every_code_has_a_class_of_its_own():
    classes = {rkvs.error_class(code) for code in StatusCode if code != 0}
    assert len(classes) == len(StatusCode) - 1
    assert rkvs.error_class(-999) is rkvs.RkvsError
    for code, base in {
        StatusCode.NOT_FOUND: KeyError,
        StatusCode.NAMESPACE_NOT_FOUND: KeyError,
        StatusCode.TIMEOUT: TimeoutError,
        StatusCode.MEMORY_LIMIT: MemoryError,
        StatusCode.NO_MEMORY: MemoryError,
        StatusCode.INVALID_ARGUMENT: ValueError,
        StatusCode.OVERFLOW: OverflowError,
        StatusCode.SNAPSHOT_NOT_FOUND: FileNotFoundError,
        StatusCode.IO: OSError,
    }.items():
        assert issubclass(rkvs.error_class(code), (base,))


def test_a_deleted_namespace_says_so(store, ns):
    ns["a"] = "1"
    store.delete_namespace("test")
    for use in (
        lambda: ns["a"],
        lambda: ns.get("a"),
        lambda: ns.__setitem__("a", "2"),
        lambda: ns.set("a", "2"),
        lambda: ns.pop("a", None),
        lambda: ns.delete("a"),
        lambda: "a" in ns,
        lambda: len(ns),
        lambda: list(ns),
        lambda: ns.get_many(["a"]),
        lambda: ns.set_many({"a": "1"}),
        lambda: ns.incr("a"),
    ):
        with pytest.raises(rkvs.NamespaceDeletedError):
            use()


@pytest.mark.parametrize(("count", "size"), [(50_000, 1), (200, 1 << 18)])
def test_calls_let_go_of_the_interpreter_while_a_large_batch_runs(ns, count, size):
    from rkvs import namespace

    holding = namespace._get_into
    value = b"x" * size
    items = {b"%d" % i: value for i in range(count)}
    seen = set()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            if namespace.LARGE.running and namespace._get_into is not holding:
                seen.add(ns.get(b"1"))
                ns[b"other"] = b"y"
                ns.incr("n")

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(100):
        ns.set_many(items)
        if seen:
            break
    stop.set()
    thread.join()
    assert seen <= {value, None} and seen
    assert namespace._get_into is holding and namespace._point is namespace.held
    assert namespace.LARGE.running == 0
    assert len(ns) == count + 2


def test_numbers_that_are_none_are_type_errors(ns):
    ns["n"] = "1"
    for wrong in (1.5, "1", None):
        with pytest.raises(TypeError):
            ns.incr("n", wrong)
        with pytest.raises(TypeError):
            ns.compare_and_set("n", wrong, "2")
        with pytest.raises(TypeError):
            list(ns.scan(step=wrong))
    for wrong in (-1, 0, 1 << 70):
        with pytest.raises(rkvs.InvalidArgumentError):
            list(ns.scan(step=wrong))
    assert ns["n"] == b"1"


def test_things_of_the_wrong_kind_are_type_errors(store, ns):
    for wrong in ([1], {"a": "1"}, None):
        with pytest.raises(TypeError, match="an AtomicBatch is required"):
            ns.apply(wrong)
        with pytest.raises(TypeError, match="an AtomicBatch is required"):
            asyncio.run(ns.aio.apply(wrong))
    with pytest.raises(TypeError, match="a log hook is a function or a Logger"):
        rkvs.open(log=5)
    with pytest.raises(TypeError, match="a name is a str"):
        store.create_namespace(b"bytes")
    with pytest.raises(ValueError, match="released"):
        view = memoryview(bytes(1 << 20))
        view.release()
        ns.set_many({"a": "1", "b": view})
    assert len(ns) == 0


def test_copies_share_the_handle_and_nothing_is_pickled(store, ns):
    ns["a"] = "1"
    assert copy.copy(ns)["a"] == b"1" and copy.copy(store)["test"] == ns
    for thing in (ns, ns.aio, store, store.aio, ns._handle, rkvs.AtomicBatch()):
        with pytest.raises(TypeError, match="neither pickled nor deep-copied"):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="neither pickled nor deep-copied"):
            copy.deepcopy(thing)
    assert ns["a"] == b"1"
