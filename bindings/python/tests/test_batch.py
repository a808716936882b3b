import pytest

import rkvs
from rkvs import AtomicBatch, BatchMode, StatusCode

ALL = BatchMode.ALL_OR_NOTHING
BEST = BatchMode.BEST_EFFORT


def test_many_keys_in_input_order_with_duplicates(ns):
    ns.set_many({"a": "1", "b": "2", "c": "3"})
    assert ns.get_many(["c", "a", "no", "c"]) == [b"3", b"1", None, b"3"]
    assert ns.get_many(["no"], b"?") == [b"?"]
    assert ns.get_many([]) == [] and ns.get_many(iter(["a"])) == [b"1"]
    assert ns.exists_many(["a", "no", "b"]) == [True, False, True]
    assert ns.consume_many(["a", "a"]) == [b"1", None]
    assert ns.delete_many(["b", "b", "no"]) == 1
    assert dict(ns) == {b"c": b"3"}
    ns.set_many([("c", "4"), ("c", "5")])
    assert ns["c"] == b"5"
    assert ns.update_many({"c": "6"}) == 1 and ns["c"] == b"6"


def test_all_or_nothing_changes_nothing_where_one_item_fails(ns):
    ns.update(a="1", b="2")
    for batch in (
        lambda: ns.get_many(["a", "no", "b"], mode=ALL),
        lambda: ns.consume_many(["a", "no", "b"], mode=ALL),
        lambda: ns.delete_many(["a", "no", "b"], mode=ALL),
        lambda: ns.update_many({"a": "x", "no": "x", "b": "x"}),
    ):
        with pytest.raises(KeyError) as caught:
            batch()
        assert isinstance(caught.value, rkvs.KeyNotFoundError)
        assert caught.value.index == 1 and caught.value.key == b"no"
        assert dict(ns) == {b"a": b"1", b"b": b"2"}
    with pytest.raises(rkvs.KeyNotFoundError) as caught:
        ns.delete_many(["a", "no"], mode=ALL)
    assert caught.value.result.statuses == [StatusCode.NOT_APPLIED, StatusCode.NOT_FOUND]


def test_best_effort_does_what_it_can(ns):
    ns.update(a="1", b="2")
    assert ns.update_many({"a": "x", "no": "x", "b": "y"}, mode=BEST) == 2
    assert ns.delete_many(["a", "no"]) == 1
    ns.set_max_keys(2)
    with pytest.raises(rkvs.TooManyKeysError) as caught:
        ns.set_many({"b": "1", "c": "2", "d": "3", "e": "4"}, mode=BEST)
    assert caught.value.index == 2 and caught.value.key == b"d"
    assert caught.value.result.total_processed == 2
    assert dict(ns) == {b"b": b"1", b"c": b"2"}
    with pytest.raises(rkvs.TooManyKeysError) as caught:
        ns.set_many({"b": "x", "d": "x"})
    assert caught.value.index == 1 and caught.value.key == b"d"
    assert ns["b"] == b"1"


def test_results_have_a_status_for_each_item(ns):
    ns["a"] = "1"
    result = ns.set_multiple({"a": "2", "b": "3"})
    assert result.is_success() and result.status == StatusCode.OK and len(result) == 2
    assert result.values == [b"1", None] == list(result)
    assert result.total_processed == 2 and result.duration >= 0 and result.error() is None
    result = ns.get_multiple(["a", "no"])
    assert not result.is_success() and result.status == StatusCode.NOT_FOUND
    assert result.statuses == [StatusCode.NOT_APPLIED, StatusCode.NOT_FOUND]
    assert result.index == 1 and "NOT_FOUND" in repr(result)
    with pytest.raises(rkvs.KeyNotFoundError):
        result.raise_for_status()
    result = ns.get_multiple(["a", "no"], BEST)
    assert result.status == StatusCode.OK and not result.is_success()
    assert result.values == [b"2", None] and result.total_processed == 1
    result.raise_for_status()
    assert ns.exists_multiple(["a", "no"]).statuses == [0, 1]
    assert ns.update_multiple([("a", "4"), ("no", "5")], BEST).values == [b"2", None]
    assert ns.consume_multiple(["a", "a"], BEST).values == [b"4", None]
    assert ns.delete_multiple(["b", "b"], BEST).statuses == [0, 1]
    assert ns.delete_multiple([], ALL).is_success()


def test_batches_larger_than_a_slice(ns):
    items = {b"%06d" % i: b"%d" % i * (i % 7) for i in range(20_000)}
    for mode in (ALL, BEST):
        ns.set_many(items, mode=mode)
        assert ns.get_many(items, mode=mode) == list(items.values())
        assert ns.exists_many(items) == [True] * len(items)
        assert ns.delete_many(items, mode=mode) == len(items)
    assert len(ns) == 0


def test_expiry_of_batches(ns):
    ns.set_many({"a": "1", "b": "2"}, expire=100)
    assert 99 < ns.ttl("a") <= 100
    ns.set_many({"a": "1"}, keep_ttl=True)
    assert ns.ttl("a") is not None
    ns.update_many({"b": "1"})
    assert ns.ttl("b") is None


def test_atomic_batches_happen_whole_or_not_at_all(ns):
    ns.update(a="1", b="2")
    version = ns.get_with_version("b")[1]
    batch = (
        AtomicBatch()
        .set("a", "x", expire=50)
        .add("new", bytearray(b"n"))
        .update("a", "y", keep_ttl=True)
        .increment("count", 5)
        .decrement("count")
        .compare_and_set("b", version, "3")
        .check_exists("a")
        .check_absent("nothing")
        .consume("new")
    )
    assert len(batch) == 9
    result = ns.apply(batch)
    assert result.is_success()
    assert result.values[3:5] == [b"5", b"4"] and result.values[8] == b"n"
    assert dict(ns) == {b"a": b"y", b"b": b"3", b"count": b"4"}
    assert ns.ttl("a") > 49

    before = dict(ns)
    stale = AtomicBatch().set("a", "z").check_version("b", version)
    with pytest.raises(rkvs.VersionMismatchError) as caught:
        ns.apply(stale)
    assert caught.value.index == 1
    assert caught.value.result.statuses == [4, StatusCode.VERSION_MISMATCH]
    for failing, error in (
        (AtomicBatch().set("a", "z").add("b", "1"), rkvs.KeyExistsError),
        (AtomicBatch().set("a", "z").delete("no"), rkvs.KeyNotFoundError),
        (AtomicBatch().delete_key("a").incr("b", 1).incr("a", 2**63 - 1).incr("a"), OverflowError),
        (AtomicBatch().set("a", "z").compare_and_delete("b", version), rkvs.VersionMismatchError),
    ):
        with pytest.raises(error):
            ns.apply(failing)
    assert dict(ns) == before
    assert len(stale.clear()) == 0 and ns.apply(stale).is_success()


def test_an_atomic_batch_copies_what_it_is_given(ns):
    value = bytearray(b"before")
    batch = AtomicBatch().set("a", value)
    value[:] = b"after!"
    ns.apply(batch)
    ns.apply(batch)
    assert ns["a"] == b"before"


@pytest.mark.parametrize("count", [1, 2, 1000, 4096, 4097])
@pytest.mark.parametrize("size", [0, 1, 100])
def test_items_of_one_size_and_of_almost_one_size(ns, count, size):
    keys = [b"%06d" % i for i in range(count)]
    values = [bytes([i % 256]) * size for i in range(count)]
    ns.set_many(zip(keys, values))
    assert ns.get_many(keys) == values
    values[-1] += b"!"
    ns.set_many(zip(keys, values))
    assert ns.get_many(keys) == values
    assert ns.get_many([b""] * count) == [None] * count
