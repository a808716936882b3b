"""Namespace against dict: whatever sequence of operations, both are the same afterwards."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import rkvs
from conftest import SCALE
from rkvs import AtomicBatch, BatchMode

# Few keys, so that operations meet; some that look alike, and one of every kind of length.
KEYS = st.sampled_from(
    [b"", b"\0", b"\0\0", b"a", b"b", b"ab", b"abc", b"x" * 300, "é".encode(), b"\xff"]
)
SIZES = {"empty": 0, "buffer": 16384, "more": 16385, "large": 70_000}
VALUES = st.one_of(
    st.binary(max_size=20),
    st.integers(-100, 100).map(lambda number: b"%d" % number),
    st.sampled_from(sorted(SIZES)).map(lambda name: bytes(SIZES[name])),
)
ITEMS = st.lists(st.tuples(KEYS, VALUES), max_size=6)
MODES = st.sampled_from(list(BatchMode))


class Machine(RuleBasedStateMachine):
    store = None

    @initialize(shards=st.sampled_from([0, 1, 4]))
    def open(self, shards):
        self.store = rkvs.open()
        self.ns = self.store.create_namespace("model", shard_count=shards)
        self.model = {}

    def teardown(self):
        if self.store is not None:
            assert dict(self.ns) == self.model
            self.store.close()

    @rule(key=KEYS)
    def read(self, key):
        expected = self.model.get(key)
        assert self.ns.get(key) == expected
        assert (key in self.ns) == (expected is not None)
        view = self.ns.get_view(key)
        assert (None if view is None else bytes(view)) == expected
        found = self.ns.get_with_version(key)
        assert (None if found is None else found[0]) == expected
        if expected is None:
            with pytest.raises(KeyError):
                self.ns[key]
        else:
            assert self.ns[key] == expected

    @rule(key=KEYS, value=VALUES, how=st.sampled_from(["item", "put", "buffer"]))
    def write(self, key, value, how):
        if how == "item":
            self.ns[key] = value
        elif how == "put":
            self.ns.put(key, value)
        else:
            self.ns[bytearray(key)] = memoryview(value)
        self.model[key] = value

    @rule(key=KEYS, value=VALUES)
    def set(self, key, value):
        assert self.ns.set(key, value) == self.model.get(key)
        self.model[key] = value

    @rule(key=KEYS, value=VALUES)
    def add(self, key, value):
        assert (self.ns.add(key, value) is not None) == (key not in self.model)
        self.model.setdefault(key, value)

    @rule(key=KEYS, value=VALUES)
    def setdefault(self, key, value):
        assert self.ns.setdefault(key, value) == self.model.setdefault(key, value)

    @rule(key=KEYS, value=VALUES)
    def update_existing(self, key, value):
        if key in self.model:
            assert self.ns.update_existing(key, value) == self.model[key]
            self.model[key] = value
        else:
            with pytest.raises(KeyError):
                self.ns.update_existing(key, value)

    @rule(key=KEYS)
    def pop(self, key):
        assert self.ns.pop(key, None) == self.model.pop(key, None)

    @rule(key=KEYS)
    def delete(self, key):
        assert self.ns.delete(key) == (self.model.pop(key, None) is not None)

    @rule()
    def popitem(self):
        if self.model:
            key, value = self.ns.popitem()
            assert self.model.pop(key) == value

    @rule(key=KEYS, value=VALUES, stale=st.booleans())
    def compare_and_set(self, key, value, stale):
        found = self.ns.get_with_version(key)
        if found is None:
            assert self.ns.compare_and_set(key, 1, value) is None
        elif stale:
            assert self.ns.compare_and_set(key, found[1] + 1, value) is None
        else:
            assert self.ns.compare_and_set(key, found[1], value) > found[1]
            self.model[key] = value

    @rule(key=KEYS, delta=st.integers(-50, 50))
    def increment(self, key, delta):
        old = self.model.get(key, b"0")
        try:
            number = int(old) if old == b"%d" % int(old) else None
        except ValueError:
            number = None
        if number is None:
            with pytest.raises(rkvs.NotANumberError):
                self.ns.incr(key, delta)
        else:
            assert self.ns.incr(key, delta) == number + delta
            self.model[key] = b"%d" % (number + delta)

    @rule(items=ITEMS, mode=MODES)
    def set_many(self, items, mode):
        self.ns.set_many(items, mode=mode)
        self.model.update(items)

    @rule(keys=st.lists(KEYS, max_size=8))
    def get_many(self, keys):
        assert self.ns.get_many(keys) == [self.model.get(key) for key in keys]
        assert self.ns.exists_many(keys) == [key in self.model for key in keys]

    @rule(keys=st.lists(KEYS, max_size=5), mode=MODES)
    def delete_many(self, keys, mode):
        whole = len(set(keys)) == len(keys) and all(key in self.model for key in keys)
        if mode == BatchMode.ALL_OR_NOTHING and not whole:
            with pytest.raises(KeyError):
                self.ns.delete_many(keys, mode=mode)
            return
        assert self.ns.delete_many(keys, mode=mode) == sum(
            self.model.pop(key, None) is not None for key in keys
        )

    @rule(keys=st.lists(KEYS, max_size=5))
    def consume_many(self, keys):
        assert self.ns.consume_many(keys) == [self.model.pop(key, None) for key in keys]

    @rule(items=ITEMS, extra=KEYS)
    def apply(self, items, extra):
        batch = AtomicBatch()
        for key, value in items:
            batch.set(key, value)
        batch.add(extra, b"added")
        after = {**self.model, **dict(items)}
        if extra in after:
            with pytest.raises(rkvs.KeyExistsError):
                self.ns.apply(batch)
        else:
            self.ns.apply(batch)
            self.model = {**after, extra: b"added"}

    @rule(prefix=st.sampled_from([b"", b"\0", b"a", b"ab", b"q"]))
    def scan(self, prefix):
        expected = {key: value for key, value in self.model.items() if key.startswith(prefix)}
        found = list(self.ns.scan(prefix, step=3))
        assert len(found) == len(expected) and dict(found) == expected

    @rule(prefix=st.sampled_from([b"\0", b"a", b"q"]))
    def delete_prefix(self, prefix):
        doomed = [key for key in self.model if key.startswith(prefix)]
        assert self.ns.delete_prefix(prefix) == len(doomed)
        for key in doomed:
            del self.model[key]

    @rule(shards=st.sampled_from([0, 1, 2, 7, 16]))
    def resize(self, shards):
        self.ns.resize_shards(shards)

    @rule()
    def clear(self):
        self.ns.clear()
        self.model.clear()

    @invariant()
    def as_many_keys(self):
        if self.store is not None:
            assert len(self.ns) == len(self.model)


# 20 runs of 50 steps; RKVS_TEST_SCALE=10 makes that tens of thousands.
Machine.TestCase.settings = settings(
    max_examples=20 * SCALE,
    stateful_step_count=50 * (1 if SCALE == 1 else 3),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestModel = Machine.TestCase
