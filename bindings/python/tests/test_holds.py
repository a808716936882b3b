"""The interpreter lock is not held for work that grows with bytes or items.

No clock is asked here: that the calls which keep the lock get little to do, and that those which get
much let go of it, can be counted. ``bench/python/holds.py`` measures how long it is held.
"""

import asyncio
import ctypes

import pytest

import rkvs
from rkvs import _ffi, namespace

LARGE = 1 << 25


def many():
    return {b"%d" % i: b"value %d" % i for i in range(20_000)}


def large():
    return {b"a": bytes(LARGE), "b": bytearray(LARGE), b"c": "x" * LARGE, b"d": b"small"}


@pytest.fixture
def bounds(monkeypatch):
    """Records what is done with the lock held, and fails where it is much."""
    seen = {"held": 0, "released": 0}

    def copy_held(pointer, size=-1):
        assert 0 <= size <= _ffi.HELD_BYTES
        seen["held"] = max(seen["held"], size)
        return original(pointer, size)

    def copy_released(target, source, size):
        seen["released"] = max(seen["released"], size)
        return memmove(target, source, size)

    original, memmove = _ffi._copy_held, _ffi._copy_released
    monkeypatch.setattr(_ffi, "_copy_held", copy_held)
    monkeypatch.setattr(_ffi, "_copy_released", copy_released)

    def bounded(name, signature, function):
        sizes = [i for i, kind in enumerate(signature.split(":")[1]) if kind == "z"]

        def call(*arguments):
            for index in sizes:
                assert arguments[index] <= max(_ffi.LARGE_VALUE, _ffi.HELD_ITEMS), name
            return function(*arguments)

        return call

    for name, signature in _ffi.FUNCTIONS.items():
        function = getattr(_ffi.held, name)
        monkeypatch.setattr(_ffi.held, name, bounded(name, signature, function))

    def quick(name, position):
        function = getattr(namespace, name)

        def call(*arguments):
            assert arguments[position] <= _ffi.LARGE_VALUE, name
            return function(*arguments)

        monkeypatch.setattr(namespace, name, call)
        monkeypatch.setitem(namespace._HOLDING, name, call)

    quick("_put", 4)
    quick("_set", 4)
    return seen


def test_large_values_are_copied_without_the_lock(ns, bounds):
    value, other = bytes(LARGE), b"y" * LARGE
    for written in (value, bytearray(value), memoryview(value), "\0" * LARGE):
        ns["a"] = written
        assert ns["a"] == ns.get("a") == ns.pop("a") == value
    assert bounds["released"] == LARGE
    assert ns.set("a", value) is None and ns.set("a", other) == value
    assert ns.set("a", b"small") == other and ns.set("a", value) == b"small"
    _, version = ns.get_with_version("a")
    assert ns.compare_and_set("a", version, other)
    assert ns.update_existing("a", value) == other
    assert ns.add("b", value) and ns.setdefault("b", b"") == value
    assert ns.transform("b", lambda old: bytearray(old)) == value
    assert bytes(ns.get_view("b")) == value
    assert dict(ns.scan()) == {b"a": value, b"b": value}
    assert ns.apply(rkvs.AtomicBatch().set("c", other).consume("c")).values == [None, other]
    assert bounds["held"] <= _ffi.HELD_BYTES


def test_text_and_buffers_with_gaps_are_taken_in_pieces(ns, bounds):
    text = "ä€x😀" * (1 << 18)
    ns["text"] = text
    assert ns["text"] == text.encode()
    gaps = memoryview(bytes(range(256)) * (1 << 13))[::3]
    ns["gaps"] = gaps
    assert ns["gaps"] == gaps.tobytes()
    with pytest.raises(UnicodeEncodeError):
        ns["text"] = "\ud800" * (1 << 20)
    ns.set_many({"a": text, "b": gaps})
    assert ns.get_many(["a", "b"]) == [text.encode(), gaps.tobytes()]


def test_large_batches_are_neither_packed_nor_cut_out_of_one_copy(ns, bounds):
    items = large()
    expected = [_ffi.to_bytes(value) for value in items.values()]
    ns.set_many(items)
    assert ns.get_many(items) == expected
    assert ns.get_many([*items, "absent"], b"") == [*expected, b""]
    assert ns.set_multiple(items).values == expected
    assert ns.update_many(iter(items.items())) == len(items)
    assert ns.get_multiple(list(items)).values == expected
    assert sorted(ns.scan()) == sorted(zip(map(_ffi.to_bytes, items), expected))
    assert ns.consume_many(items) == expected
    assert len(ns) == 0


def test_many_items_are_taken_in_slices(ns, bounds, monkeypatch):
    items = many()
    keys = list(items)
    ns.set_many(items)
    ns.set_many(zip(map(bytearray, keys), items.values()))
    assert ns.get_many(keys) == list(items.values())
    assert ns.get_many([*keys, "absent"]) == [*items.values(), None]
    assert all(ns.exists_many(keys)) and sorted(ns.list_keys()) == sorted(keys)
    assert dict(ns.scan(step=10_000)) == dict(ns.scan()) == items
    result = ns.set_multiple(items)
    assert result.values == list(items.values()) and len(result.versions) == len(items)
    assert ns.delete_many([*keys, b"absent"]) == len(items)
    assert bounds["held"] <= _ffi.HELD_BYTES
    ns.update_config(max_keys=100)
    with pytest.raises(rkvs.TooManyKeysError) as caught:
        ns.set_many(items, mode=rkvs.BatchMode.BEST_EFFORT)
    # The key that is named is that of the item.
    assert caught.value.key == keys[caught.value.index] and caught.value.index >= 100
    assert len(ns) == 100


def test_both_ways_of_finding_addresses_are_the_same():
    items = [b"", b"x", bytes(1000), b"\0\1\2"]
    assert _ffi._slow_addresses(items) == _ffi._quick_addresses(items)


def test_what_awaits_is_no_different(ns, bounds):
    async def main():
        aio, items = ns.aio, large()
        expected = [_ffi.to_bytes(value) for value in items.values()]
        await aio.put("x", items[b"a"])
        assert await aio.get("x") == expected[0] == await aio.pop("x")
        await aio.set_many(items)
        assert await aio.get_many(items) == expected
        assert await aio.consume_many(items) == expected
        await aio.set_many(many())
        assert {key: value async for key, value in aio.scan()} == many()
        assert await aio.get_many(many()) == list(many().values())

    asyncio.run(main())


def test_wrong_items_of_large_batches_are_type_errors(ns):
    for wrong in ({b"a": bytes(LARGE), b"b": 5}, {b"a": bytes(LARGE), 5: b"b"}, [*many(), 5]):
        with pytest.raises(TypeError, match="is required, not 'int'"):
            (ns.set_many if isinstance(wrong, dict) else ns.get_many)(wrong)
    assert len(ns) == 0
    buffer = bytearray(LARGE)
    with pytest.raises(TypeError):
        ns.set_many({"a": buffer, "b": 5})
    buffer.append(1)  # nobody holds it any more


def test_what_lets_go_of_the_lock_and_what_does_not():
    def holds(function):
        return bool(type(function)._flags_ & ctypes._FUNCFLAG_PYTHONAPI)

    assert not holds(_ffi._copy_released)
    for name in _ffi.FUNCTIONS:
        assert holds(getattr(_ffi.held, name)) and not holds(getattr(_ffi.lib, name))
        assert holds(_ffi.quick(name)) and not holds(_ffi.quick(name, hold=False))
    assert all(holds(call) for name, call in namespace._HOLDING.items() if name != "_point")
    assert not any(holds(call) for name, call in namespace._LETTING_GO.items() if name != "_point")
    assert namespace._HOLDING["_point"] is _ffi.held and namespace._LETTING_GO["_point"] is _ffi.lib
