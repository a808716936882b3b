"""Namespace: a mapping of bytes to bytes that lives in a store."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import ItemsView, KeysView, Mapping, MutableMapping, ValuesView
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
    overload,
)

from rkvs import _ffi
from rkvs._callbacks import ProgressCall, ProgressHook
from rkvs._ffi import (
    BUFFER_SIZE,
    LARGE_VALUE,
    MAX_KEY,
    Borrowed,
    held,
    lib,
    new_slot,
    new_value_slot,
    pack,
    ref,
    slots,
    to_bytes,
    value_bytes,
    value_slots,
)
from rkvs._handle import Handle, call, failure, signed, to_key, unsigned
from rkvs.batch import (
    AtomicBatch,
    BatchMode,
    BatchResult,
    Expire,
    ExpireAt,
    counter_options,
    run_batch,
    write_options,
)
from rkvs.config import NamespaceConfig, NamespaceStats, ShardStats, milliseconds
from rkvs.errors import KeyNotFoundError

if TYPE_CHECKING:
    from rkvs.aio import AsyncNamespace
    from rkvs.batch import BytesLike

__all__ = ["Namespace"]

T = TypeVar("T")

#: Pairs of key and value, or a mapping of them.
Items = Union["Mapping[Any, BytesLike]", "Iterable[Tuple[BytesLike, BytesLike]]"]

# Calls on one key hold the interpreter lock, which is fine as long as nobody holds the lock of a
# shard for long. Large batches do: while one runs, these names stand for calls that let go of it.
_get_into = _ffi.quick("namespace_get_into")
_put = _ffi.quick("namespace_put")
_set = _ffi.quick("namespace_set")
_exists = _ffi.quick("namespace_exists")
_delete = _ffi.quick("namespace_delete_key")
_consume = _ffi.quick("namespace_consume")
_point: _ffi.Functions = held

_HOLDING: Dict[str, Any] = {
    name: globals()[name]
    for name in ("_get_into", "_put", "_set", "_exists", "_delete", "_consume", "_point")
}
_LETTING_GO: Dict[str, Any] = {
    "_get_into": _ffi.quick("namespace_get_into", hold=False),
    "_put": _ffi.quick("namespace_put", hold=False),
    "_set": _ffi.quick("namespace_set", hold=False),
    "_exists": _ffi.quick("namespace_exists", hold=False),
    "_delete": _ffi.quick("namespace_delete_key", hold=False),
    "_consume": _ffi.quick("namespace_consume", hold=False),
    "_point": lib,
}


class Large:
    """For the time of a batch of many items: ``with LARGE:``. For all namespaces, by any thread.

    Whoever enters has the interpreter lock, so that no call that holds it can be under way.
    """

    def __init__(self) -> None:
        self.renew()
        _ffi.after_fork_in_child(self.renew)

    def renew(self) -> None:
        self._guard = threading.RLock()
        self.running = 0

    def __enter__(self) -> None:
        with self._guard:
            self.running += 1
            if self.running == 1:
                globals().update(_LETTING_GO)

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self.running -= 1
            if self.running == 0:
                globals().update(_HOLDING)


LARGE = Large()
# Less is done in less than a millisecond.
LARGE_BATCH = 2048
_LARGE_BYTES = 1 << 20
_SMALL: Any = contextlib.nullcontext()


def for_batch(count: int, *packed: bytes) -> Any:
    """What a batch of so many items runs under; `packed` is what it brings."""
    return LARGE if count >= LARGE_BATCH or sum(map(len, packed)) > _LARGE_BYTES else _SMALL


_value_view = _ffi.quick("value_view")
_value_release = _ffi.quick("value_release")

# Off and back onto the lists of prepared arguments.
_take, _give = slots.pop, slots.append
_take_value, _give_value = value_slots.pop, value_slots.append

_MISSING: Any = object()
_TIMED_STEP = 1024


def split_items(items: Items) -> Tuple[List[Any], List[Any]]:
    """Keys and values of a mapping, or of pairs."""
    if isinstance(items, Mapping):
        return list(items.keys()), list(items.values())
    pairs = list(items)
    return [key for key, _ in pairs], [value for _, value in pairs]


def update_items(items: Any, more: Mapping[str, Any]) -> List[Tuple[Any, Any]]:
    """The arguments of update() as pairs."""
    if not isinstance(items, Mapping) and hasattr(items, "keys"):
        items = {key: items[key] for key in items.keys()}
    keys, values = split_items(items)
    return [*zip(keys, values), *more.items()]


class Namespace(MutableMapping[bytes, bytes]):
    """One namespace of a store, used like a ``dict``.

    Keys and values are any bytes; ``str`` is taken as UTF-8, other buffers (``bytearray``,
    ``memoryview``, numpy arrays) as the bytes that they are, and ``bytes`` come back. Any number of
    threads may use it; every operation on one key is atomic. An operation waits at most
    ``lock_timeout`` for others and then raises :class:`OperationTimeoutError`: that is never taken
    for a missing key.

    Comes from :meth:`StorageManager.create_namespace` and its sisters, and keeps the store open.

    >>> import rkvs
    >>> store = rkvs.open()
    >>> users = store.create_namespace("users")
    >>> users["alice"] = "admin"
    >>> users["alice"], "bob" in users, len(users)
    (b'admin', False, 1)
    >>> users.get("bob", b"nobody")
    b'nobody'
    >>> users.pop("alice")
    b'admin'
    """

    __slots__ = ("_handle", "_argument", "_name", "__weakref__")

    __hash__ = None  # type: ignore[assignment]  # as dict: it is compared by what is in it

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._argument = handle.argument
        self._name = (held.namespace_name(handle.pointer) or b"").decode()

    @property
    def name(self) -> str:
        return self._name

    @property
    def aio(self) -> AsyncNamespace:
        """The same namespace for ``await``."""
        from rkvs.aio import AsyncNamespace

        return AsyncNamespace(self)

    def __repr__(self) -> str:
        return f"<rkvs.Namespace {self._name!r}>"

    # --- One key ---------------------------------------------------------------------------------

    def _failed(self, status: int, slot: Any, key: Optional[bytes] = None) -> Exception:
        """The exception of a quick call; the slot's error is taken out of it."""
        error = slot[-2]
        pointer, error.value = error.value, None
        return failure(status, pointer, key)

    def __getitem__(self, key: BytesLike) -> bytes:
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        try:
            slot = _take()
        except IndexError:
            slot = new_slot()
        buffer, buffer_ref, size, size_ref, _, error_ref = slot
        status = _get_into(
            self._argument, key, len(key), buffer_ref, BUFFER_SIZE, size_ref, error_ref
        )
        if status == 0:
            length = size.value
            if length <= BUFFER_SIZE:
                value: bytes = buffer[:length]
                _give(slot)
                return value
            _give(slot)
            large = self._get_large(key)
            if large is not None:
                return large
        elif status < 0:
            raise self._failed(status, slot)
        raise KeyNotFoundError(repr(key), key=key)

    @overload
    def get(self, key: BytesLike, default: None = None) -> Optional[bytes]: ...
    @overload
    def get(self, key: BytesLike, default: bytes) -> bytes: ...
    @overload
    def get(self, key: BytesLike, default: T) -> Union[bytes, T]: ...

    def get(self, key: BytesLike, default: Any = None) -> Any:
        """The value of a key, or the default.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns.get("a"), ns.get("a", b"")
        (None, b'')
        """
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        try:
            slot = _take()
        except IndexError:
            slot = new_slot()
        buffer, buffer_ref, size, size_ref, _, error_ref = slot
        status = _get_into(
            self._argument, key, len(key), buffer_ref, BUFFER_SIZE, size_ref, error_ref
        )
        if status == 0:
            length = size.value
            if length <= BUFFER_SIZE:
                value: bytes = buffer[:length]
                _give(slot)
                return value
            _give(slot)
            large = self._get_large(key)
            return default if large is None else large
        if status < 0:
            raise self._failed(status, slot)
        _give(slot)
        return default

    def _get_large(self, key: bytes) -> Optional[bytes]:
        value = _ffi.pointer_slot()
        call(lib.namespace_get, self._handle.pointer, key, len(key), ref(value))
        return value_bytes(value) if value.value else None

    def get_view(self, key: BytesLike) -> Optional[memoryview]:
        """The value as a read-only view of the store's own memory, without a copy; None if absent.

        It never changes and stays valid, whatever becomes of the key and of the store.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns["a"] = bytes(1000)
        >>> view = ns.get_view("a")
        >>> del ns["a"]
        >>> view.readonly, view.nbytes
        (True, 1000)
        """
        data = to_key(key)
        value = _ffi.pointer_slot()
        call(_point.namespace_get, self._handle.pointer, data, len(data), ref(value))
        return _ffi.value_memory(value.value) if value.value else None

    def get_with_version(self, key: BytesLike) -> Optional[Tuple[bytes, int]]:
        """Value and version, for :meth:`compare_and_set`; None if the key is absent.

        A key's version only grows and never comes back, not even across delete, save and load.
        """
        data = to_key(key)
        value, version = _ffi.pointer_slot(), _ffi.number64()
        call(
            _point.namespace_get_with_version,
            self._handle.pointer,
            data,
            len(data),
            ref(value),
            ref(version),
        )
        return (value_bytes(value), version.value) if value.value else None

    def __contains__(self, key: object) -> bool:
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        try:
            slot = _take()
        except IndexError:
            slot = new_slot()
        status = _exists(self._argument, key, len(key), slot[5])
        if status < 0:
            raise self._failed(status, slot)
        _give(slot)
        return status == 0

    def exists(self, key: BytesLike) -> bool:
        """Whether the key is there; the same as ``key in namespace``."""
        return key in self

    def __setitem__(self, key: BytesLike, value: BytesLike) -> None:
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        if value.__class__ is not bytes or len(value) > LARGE_VALUE:
            self._write(lib.namespace_put, key, value, None)
            return
        try:
            slot = _take()
        except IndexError:
            slot = new_slot()
        status = _put(
            self._argument,
            key,
            len(key),
            value,
            len(value),
            None,
            slot[5],
        )
        if status:
            raise self._failed(status, slot, key)
        _give(slot)

    def put(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> None:
        """Gives the key this value, whether or not it had one.

        ``expire`` says how many seconds the entry lives, ``expire_at`` until when; ``keep_ttl``
        keeps the expiry that it has. With none of them it lives for ever.
        """
        if expire is None and expire_at is None and not keep_ttl:
            self[key] = value
            return
        self._write(lib.namespace_put, to_key(key), value, write_options(expire, expire_at, keep_ttl))

    def _write(self, function: Any, key: bytes, value: Any, options: Any, *outputs: Any) -> int:
        """A write of any kind of value, without the interpreter lock. Returns an outcome."""
        if value.__class__ is not bytes:
            with Borrowed(value) as (pointer, size):
                if size > LARGE_VALUE:
                    return call(
                        function,
                        self._handle.pointer,
                        key,
                        len(key),
                        pointer,
                        size,
                        options,
                        *outputs,
                        key=key,
                    )
                value = to_bytes(value)
        return call(
            function,
            self._handle.pointer,
            key,
            len(key),
            value,
            len(value),
            options,
            *outputs,
            key=key,
        )

    def set(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> Optional[bytes]:
        """As :meth:`put`, and returns the value that was replaced, None if there was none.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns.set("a", "1", expire=60)
        >>> ns.set("a", "2")
        b'1'
        """
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        options = None
        if expire is not None or expire_at is not None or keep_ttl:
            options = write_options(expire, expire_at, keep_ttl)
        if value.__class__ is not bytes or len(value) > LARGE_VALUE:
            old = _ffi.pointer_slot()
            self._write(lib.namespace_set, key, value, options, ref(old))
            return value_bytes(old) if old.value else None
        try:
            slot = _take_value()
        except IndexError:
            slot = new_value_slot()
        status = _set(
            self._argument,
            key,
            len(key),
            value,
            len(value),
            options,
            slot[1],
            slot[7],
        )
        if status:
            raise self._failed(status, slot, key)
        return self._old_value(slot)

    def _old_value(self, slot: Any) -> Optional[bytes]:
        """The value that a call left in the slot, and the slot back to the others."""
        value, _, characters, characters_ref, size, size_ref, _, _ = slot
        result: Optional[bytes] = None
        if value.value:
            _value_view(value, characters_ref, size_ref)
            result = characters[: size.value]
            _value_release(value)
            value.value = None
        _give_value(slot)
        return result

    def add(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
    ) -> Optional[int]:
        """Stores a key that is absent. Returns its version, or None if the key is there already.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> bool(ns.add("a", "1")), ns.add("a", "2"), ns["a"]
        (True, None, b'1')
        """
        version = _ffi.number64()
        options = write_options(expire, expire_at)
        status = self._write(_point.namespace_add, to_key(key), value, options, ref(version))
        return version.value if status == 0 else None

    def update_existing(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> bytes:
        """Gives a key that is there another value, and returns the one before.

        Raises :class:`KeyNotFoundError` if it is absent, and stores nothing. (``update`` of the
        other languages; in Python that is the word for taking over a whole mapping.)
        """
        data = to_key(key)
        old = _ffi.pointer_slot()
        options = write_options(expire, expire_at, keep_ttl)
        if self._write(_point.namespace_update, data, value, options, ref(old)):
            raise KeyNotFoundError(repr(data), key=data)
        return value_bytes(old)

    def compare_and_set(
        self,
        key: BytesLike,
        version: int,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> Optional[int]:
        """Gives the key another value if it has this version still. Returns the new version, or
        None if somebody else was faster: the key has another version, or is gone.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns["a"] = "1"
        >>> value, version = ns.get_with_version("a")
        >>> bool(ns.compare_and_set("a", version, "2")), ns.compare_and_set("a", version, "3")
        (True, None)
        """
        data = to_key(key)
        new_version = _ffi.number64()
        options = write_options(expire, expire_at, keep_ttl)
        with Borrowed(value) as (pointer, size):
            status = call(
                _point.namespace_compare_and_set,
                self._handle.pointer,
                data,
                len(data),
                unsigned("version", version),
                pointer,
                size,
                options,
                ref(new_version),
                key=data,
            )
        return new_version.value if status == 0 else None

    def compare_and_delete(self, key: BytesLike, version: int) -> bool:
        """Removes the key if it has this version still. Says whether it did."""
        data = to_key(key)
        expected = unsigned("version", version)
        return (
            call(
                _point.namespace_compare_and_delete, self._handle.pointer, data, len(data), expected
            )
            == 0
        )

    def __delitem__(self, key: BytesLike) -> None:
        if not self.delete_key(key):
            data = to_key(key)
            raise KeyNotFoundError(repr(data), key=data)

    def delete_key(self, key: BytesLike) -> bool:
        """Removes the key. Says whether it was there."""
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        try:
            slot = _take()
        except IndexError:
            slot = new_slot()
        status = _delete(self._argument, key, len(key), slot[5])
        if status < 0:
            raise self._failed(status, slot)
        _give(slot)
        return status == 0

    delete = delete_key

    def consume(self, key: BytesLike) -> bytes:
        """Removes the key and returns its value: of several callers exactly one gets it.

        Raises :class:`KeyNotFoundError` if it is absent. :meth:`pop` is the same with a default.
        """
        return self.pop(key)

    @overload
    def pop(self, key: BytesLike) -> bytes: ...
    @overload
    def pop(self, key: BytesLike, default: bytes) -> bytes: ...
    @overload
    def pop(self, key: BytesLike, default: T) -> Union[bytes, T]: ...

    def pop(self, key: BytesLike, default: Any = _MISSING) -> Any:
        """As dict's; of several callers exactly one gets the value."""
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        try:
            slot = _take_value()
        except IndexError:
            slot = new_value_slot()
        status = _consume(self._argument, key, len(key), slot[1], slot[7])
        if status == 0:
            return self._old_value(slot)
        if status < 0:
            raise self._failed(status, slot)
        _give_value(slot)
        if default is _MISSING:
            raise KeyNotFoundError(repr(key), key=key)
        return default

    def setdefault(self, key: BytesLike, default: BytesLike = b"") -> bytes:
        """The value of the key; where it is absent, it gets the default first."""
        data = to_key(key)
        while True:
            value = self.get(data)
            if value is not None:
                return value
            new = to_bytes(default)
            if self.add(data, new) is not None:
                return new

    def popitem(self) -> Tuple[bytes, bytes]:
        """Removes some key and returns it with its value; of several callers each gets another."""
        for key in self.scan_keys(step=1):
            value = self.pop(key, None)
            if value is not None:
                return key, value
        raise KeyNotFoundError("popitem(): the namespace is empty")

    # --- Expiry, counters ------------------------------------------------------------------------

    def ttl(self, key: BytesLike) -> Optional[float]:
        """How many seconds the entry has left, None if it does not expire.

        Raises :class:`KeyNotFoundError` if it is absent.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns.put("a", "1", expire=60)
        >>> 59 < ns.ttl("a") <= 60
        True
        >>> ns.persist("a"), ns.ttl("a")
        (True, None)
        """
        data = to_key(key)
        left = _ffi.signed64()
        if call(_point.namespace_ttl, self._handle.pointer, data, len(data), ref(left)):
            raise KeyNotFoundError(repr(data), key=data)
        return None if left.value < 0 else left.value / 1000

    def touch(
        self,
        key: BytesLike,
        expire: Optional[Expire] = None,
        *,
        expire_at: Optional[ExpireAt] = None,
    ) -> bool:
        """Gives the entry another expiry. Says whether the key is there."""
        data = to_key(key)
        options = write_options(expire, expire_at)
        return call(_point.namespace_touch, self._handle.pointer, data, len(data), options) == 0

    def persist(self, key: BytesLike) -> bool:
        """Takes the expiry away. Says whether there was one."""
        data = to_key(key)
        had_one = _ffi.number32()
        call(_point.namespace_persist, self._handle.pointer, data, len(data), ref(had_one))
        return bool(had_one.value)

    def _count(
        self, function: Any, key: BytesLike, delta: int, initial: int, expire: Optional[Expire]
    ) -> int:
        data = to_key(key)
        result = _ffi.signed64()
        call(
            function,
            self._handle.pointer,
            data,
            len(data),
            signed("delta", delta),
            counter_options(initial, expire),
            ref(result),
            key=data,
        )
        number: int = result.value
        return number

    def increment(
        self,
        key: BytesLike,
        delta: int = 1,
        *,
        initial: int = 0,
        expire: Optional[Expire] = None,
    ) -> int:
        """Adds to the decimal number that the value is, and returns the sum.

        An absent key counts from ``initial`` and lives for ``expire`` seconds; one that is there
        keeps its expiry.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns.incr("visits"), ns.incr("visits", 10), ns.decr("visits"), ns["visits"]
        (1, 11, 10, b'10')
        """
        return self._count(_point.namespace_increment, key, delta, initial, expire)

    def decrement(
        self,
        key: BytesLike,
        delta: int = 1,
        *,
        initial: int = 0,
        expire: Optional[Expire] = None,
    ) -> int:
        """Takes from the decimal number that the value is, and returns what is left."""
        return self._count(_point.namespace_decrement, key, delta, initial, expire)

    incr = increment
    decr = decrement

    def transform(
        self, key: BytesLike, function: Callable[[Optional[bytes]], Optional[BytesLike]]
    ) -> Optional[bytes]:
        """Reads, changes and writes a key with nobody in between, and returns the new value.

        ``function`` gets the value, None if the key is absent, and returns the new one, None to
        remove the key. It may take its time and use the store: nothing is locked. When the key
        changes meanwhile, the function is called again with the newer value. Keeps the expiry.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns.transform("log", lambda old: (old or b"") + b"x")
        b'x'
        """
        data = to_key(key)
        while True:
            found = self.get_with_version(data)
            answer = function(None if found is None else found[0])
            new = None if answer is None else to_bytes(answer)
            if found is None:
                if new is None or self.add(data, new) is not None:
                    return new
            elif new is None:
                if self.compare_and_delete(data, found[1]):
                    return None
            elif self.compare_and_set(data, found[1], new) is not None:
                return new

    # --- Many keys -------------------------------------------------------------------------------

    def _keys_batch(
        self, function: Any, keys: Sequence[Any], mode: int
    ) -> Tuple[int, Any, Optional[int]]:
        """Status, result and error of a packed batch of keys."""
        joined, offsets, count = pack(keys)
        result, error = _ffi.pointer_slot(), _ffi.pointer_slot()
        with for_batch(count, joined):
            status = function(
                self._handle.pointer, joined, offsets, count, int(mode), ref(result), ref(error)
            )
        if not result.value:
            raise failure(status, error.value)
        return status, result, error.value

    def _values(self, function: Any, keys: Iterable[BytesLike], mode: int, default: Any) -> Any:
        """What get_many and consume_many have in common."""
        wanted = list(keys)
        status, result, error = self._keys_batch(function, wanted, mode)
        try:
            if status:
                self._raise_batch(result, error, status, wanted)
            values, statuses = _ffi.batch_values(result, default)
            # NotFound is the only outcome here; errors are not to be taken for it.
            if statuses is not None and min(statuses) < 0:
                self._raise_batch(result, error, 0, wanted)
            return values
        finally:
            held.batch_result_release(result)

    def _raise_batch(
        self, result: Any, error: Optional[int], status: int, keys: Sequence[Any]
    ) -> None:
        message, index = _ffi.read_error(error)
        if status and index < 0:
            index = _ffi.first_failed(result, status)
        batch = BatchResult(_ffi.read_batch(result), message, index)
        found = batch.error([to_bytes(key) for key in keys])
        if found is not None:
            raise found

    @overload
    def get_many(
        self, keys: Iterable[BytesLike], default: None = None, *, mode: BatchMode = ...
    ) -> List[Optional[bytes]]: ...
    @overload
    def get_many(
        self, keys: Iterable[BytesLike], default: bytes, *, mode: BatchMode = ...
    ) -> List[bytes]: ...
    @overload
    def get_many(
        self, keys: Iterable[BytesLike], default: T, *, mode: BatchMode = ...
    ) -> List[Union[bytes, T]]: ...

    def get_many(
        self,
        keys: Iterable[BytesLike],
        default: Any = None,
        *,
        mode: BatchMode = BatchMode.BEST_EFFORT,
    ) -> Any:
        """The values of these keys in the same order, the default where there is none.

        With ``BatchMode.ALL_OR_NOTHING`` they are of one instant, and a missing key raises
        :class:`KeyNotFoundError`.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns.set_many({"a": "1", "b": "2"})
        >>> ns.get_many(["b", "c", "a"])
        [b'2', None, b'1']
        """
        return self._values(lib.namespace_get_multiple_packed, keys, mode, default)

    def consume_many(
        self,
        keys: Iterable[BytesLike],
        default: Any = None,
        *,
        mode: BatchMode = BatchMode.BEST_EFFORT,
    ) -> List[Any]:
        """Removes these keys and returns their values, the default where there was none.

        With ``BatchMode.ALL_OR_NOTHING`` a missing key raises :class:`KeyNotFoundError`, and all
        stay.
        """
        values: List[Any] = self._values(
            lib.namespace_consume_multiple_packed, keys, mode, default
        )
        return values

    def exists_many(self, keys: Iterable[BytesLike]) -> List[bool]:
        """Whether each of these keys is there, all at one instant."""
        result = self.exists_multiple(keys)
        result.raise_for_status()
        return [code == 0 for code in result._codes]

    def _write_many(
        self,
        function: Any,
        items: Items,
        mode: int,
        options: Any,
        collect: bool,
    ) -> Optional[BatchResult]:
        """The result, or None where nobody asked for it and all went well."""
        keys, values = split_items(items)
        key_bytes, key_offsets, count = pack(keys)
        value_bytes_, value_offsets, _ = pack(values)
        error = _ffi.pointer_slot()
        arguments = (
            self._handle.pointer,
            key_bytes,
            key_offsets,
            value_bytes_,
            value_offsets,
            count,
            int(mode),
            options,
        )
        result = _ffi.pointer_slot()
        # Without a place for results nobody collects the old values.
        wanted = ref(result) if collect else None
        with for_batch(count, key_bytes, value_bytes_):
            status = function(*arguments, wanted, ref(error))
        if status == 0 and not result.value:
            return None
        if not result.value:
            caught = failure(status, error.value)
            if 0 <= caught.index < len(keys):
                caught.key = to_bytes(keys[caught.index])
            raise caught
        try:
            message, index = _ffi.read_error(error.value)
            if status and index < 0:
                index = _ffi.first_failed(result, status)
            batch = BatchResult(_ffi.read_batch(result), message, index)
        finally:
            held.batch_result_release(result)
        found = batch.error([to_bytes(key) for key in keys])
        if found is not None:
            raise found
        return batch

    def set_many(
        self,
        items: Items,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
        mode: BatchMode = BatchMode.ALL_OR_NOTHING,
    ) -> None:
        """Stores a mapping, or pairs, in one step: nobody sees half of it.

        With ``BatchMode.BEST_EFFORT`` every item that can be stored is, and the first that cannot
        is raised afterwards; its ``result`` says what came of each.
        """
        options = write_options(expire, expire_at, keep_ttl)
        # In all-or-nothing mode the error alone says which item it was.
        collect = mode != BatchMode.ALL_OR_NOTHING
        self._write_many(lib.namespace_set_multiple_packed, items, mode, options, collect)

    def update_many(
        self,
        items: Items,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
        mode: BatchMode = BatchMode.ALL_OR_NOTHING,
    ) -> int:
        """Gives keys that are there other values, and returns how many it were.

        A missing key raises :class:`KeyNotFoundError` and nothing is changed; with
        ``BatchMode.BEST_EFFORT`` it is passed over.
        """
        options = write_options(expire, expire_at, keep_ttl)
        result = self._write_many(
            lib.namespace_update_multiple_packed, items, mode, options, True
        )
        return 0 if result is None else result.total_processed

    def delete_many(
        self, keys: Iterable[BytesLike], *, mode: BatchMode = BatchMode.BEST_EFFORT
    ) -> int:
        """Removes these keys and returns how many were there.

        With ``BatchMode.ALL_OR_NOTHING`` a missing key raises :class:`KeyNotFoundError`, and all
        stay.
        """
        wanted = list(keys)
        status, result, error = self._keys_batch(
            lib.namespace_delete_multiple_packed, wanted, mode
        )
        try:
            message, index = _ffi.read_error(error)
            if status and index < 0:
                index = _ffi.first_failed(result, status)
            batch = BatchResult(_ffi.read_batch(result), message, index)
        finally:
            held.batch_result_release(result)
        found = batch.error([to_bytes(key) for key in wanted])
        if found is not None:
            raise found
        return batch.total_processed

    def _multiple(self, function: Any, keys: Iterable[BytesLike], mode: BatchMode) -> BatchResult:
        joined, offsets, count = pack(list(keys))
        with for_batch(count, joined):
            return run_batch(function, self._handle.pointer, joined, offsets, count, int(mode))

    def _multiple_items(
        self, function: Any, items: Items, mode: BatchMode, options: Any
    ) -> BatchResult:
        keys, values = split_items(items)
        key_bytes, key_offsets, count = pack(keys)
        value_bytes_, value_offsets, _ = pack(values)
        with for_batch(count, key_bytes, value_bytes_):
            return run_batch(
                function,
                self._handle.pointer,
                key_bytes,
                key_offsets,
                value_bytes_,
                value_offsets,
                count,
                int(mode),
                options,
            )

    def get_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`get_many`, with a status for each item in place of exceptions."""
        return self._multiple(lib.namespace_get_multiple_packed, keys, mode)

    def exists_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`exists_many`, with a status for each item; an absent key fails nothing."""
        return self._multiple(lib.namespace_exists_multiple_packed, keys, mode)

    def delete_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`delete_many`, with a status for each item in place of exceptions."""
        return self._multiple(lib.namespace_delete_multiple_packed, keys, mode)

    def consume_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`consume_many`, with a status for each item in place of exceptions."""
        return self._multiple(lib.namespace_consume_multiple_packed, keys, mode)

    def set_multiple(
        self,
        items: Items,
        mode: BatchMode = BatchMode.ALL_OR_NOTHING,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> BatchResult:
        """As :meth:`set_many`, with a status and the old value for each item."""
        options = write_options(expire, expire_at, keep_ttl)
        return self._multiple_items(lib.namespace_set_multiple_packed, items, mode, options)

    def update_multiple(
        self,
        items: Items,
        mode: BatchMode = BatchMode.ALL_OR_NOTHING,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> BatchResult:
        """As :meth:`update_many`, with a status and the old value for each item."""
        options = write_options(expire, expire_at, keep_ttl)
        return self._multiple_items(lib.namespace_update_multiple_packed, items, mode, options)

    def apply(self, batch: AtomicBatch) -> BatchResult:
        """Does all of an :class:`AtomicBatch`, or nothing; then the first that failed is raised."""
        with for_batch(len(batch)):
            result = run_batch(lib.namespace_apply, self._handle.pointer, batch.pointer)
        result.raise_for_status()
        return result

    def update(self, items: Any = (), /, **more: BytesLike) -> None:
        """As dict's: takes over a mapping or pairs, all in one step."""
        pairs = update_items(items, more)
        if pairs:
            self.set_many(pairs)

    def __ior__(self, items: Items) -> Namespace:
        self.update(items)
        return self

    # --- All keys --------------------------------------------------------------------------------

    def _steps(self, prefix: BytesLike, keys_only: bool, step: int) -> Iterator[_ffi.RawBatch]:
        wanted, step = to_bytes(prefix), unsigned("step", step)
        options = _ffi.sized(_ffi.ScanOptionsStruct)
        options.flags = _ffi.SCAN_KEYS_ONLY if keys_only else 0
        options.prefix = wanted
        options.prefix_size = len(wanted)
        opened = _ffi.pointer_slot()
        call(lib.namespace_scan_open, self._handle.pointer, ref(options), ref(opened))
        scan = Handle(opened.value, lib.scan_release, self._handle)
        while not lib.scan_is_done(scan.pointer):
            found = _ffi.pointer_slot()
            call(lib.scan_next, scan.pointer, step, ref(found))
            try:
                raw = _ffi.read_batch(found.value)
            finally:
                held.batch_result_release(found)
            yield raw

    def scan(
        self, prefix: BytesLike = b"", *, step: int = _TIMED_STEP
    ) -> Iterator[Tuple[bytes, bytes]]:
        """Keys and values, in no particular order, of the keys that begin with ``prefix``.

        A key that is there during the whole walk comes exactly once, whatever is written and
        resized meanwhile. Nothing is locked between steps of ``step`` items.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example")
        >>> ns.update({"user:1": b"a", "user:2": b"b", "group:1": b"c"})
        >>> sorted(ns.scan("user:"))
        [(b'user:1', b'a'), (b'user:2', b'b')]
        """
        for raw in self._steps(prefix, False, step):
            yield from zip(raw.keys or (), raw.values)

    def scan_keys(self, prefix: BytesLike = b"", *, step: int = _TIMED_STEP) -> Iterator[bytes]:
        """As :meth:`scan`, without the values."""
        for raw in self._steps(prefix, True, step):
            yield from raw.keys or ()

    def __iter__(self) -> Iterator[bytes]:
        return self.scan_keys()

    def keys(self) -> KeysView[bytes]:
        """A live view, as dict's; going through it is a :meth:`scan`."""
        return KeysView(self)

    def items(self) -> ItemsView[bytes, bytes]:
        """A live view, as dict's; going through it is a :meth:`scan`."""
        return _Items(self)

    def values(self) -> ValuesView[bytes]:
        """A live view, as dict's; going through it is a :meth:`scan`."""
        return _Values(self)

    def list_keys(self) -> List[bytes]:
        """All keys, in no particular order."""
        keys = _ffi.pointer_slot()
        call(lib.namespace_list_keys, self._handle.pointer, ref(keys))
        try:
            return _ffi.list_items(keys)
        finally:
            lib.list_release(keys)

    def __len__(self) -> int:
        stats = _ffi.sized(_ffi.NamespaceStatsStruct)
        call(lib.namespace_metadata, self._handle.pointer, ref(stats))
        count: int = stats.key_count
        return count

    def __bool__(self) -> bool:
        return len(self) > 0

    def delete_prefix(self, prefix: BytesLike) -> int:
        """Removes the keys that begin with ``prefix``, shard by shard; returns how many."""
        data = to_bytes(prefix)
        count = _ffi.number64()
        call(lib.namespace_delete_prefix, self._handle.pointer, data, len(data), ref(count))
        number: int = count.value
        return number

    def clear(self) -> None:
        """Removes all keys at one instant."""
        with LARGE:
            call(lib.namespace_clear, self._handle.pointer, None)

    # --- Limits, shards, figures -----------------------------------------------------------------

    def get_config(self) -> NamespaceConfig:
        """What is in force."""
        config = _ffi.sized(_ffi.NamespaceConfigStruct)
        call(lib.namespace_get_config, self._handle.pointer, ref(config))
        return NamespaceConfig.from_struct(config)

    def update_config(self, config: Optional[NamespaceConfig] = None, **changes: Any) -> None:
        """Checks everything, then applies everything, or nothing; then moves the shards.

        Without a configuration, that in force with these fields changed.

        >>> import rkvs
        >>> ns = rkvs.open().create_namespace("example", max_keys=10)
        >>> ns.update_config(max_keys=20, lock_timeout=1)
        >>> ns.get_config().max_keys
        20
        """
        wanted = dataclasses.replace(config or self.get_config(), **changes)
        call(lib.namespace_update_config, self._handle.pointer, ref(wanted.to_struct()))

    def set_max_keys(self, max_keys: int) -> None:
        """0: no limit."""
        call(lib.namespace_set_max_keys, self._handle.pointer, unsigned("max_keys", max_keys))

    def set_max_bytes(self, max_bytes: int) -> None:
        """0: no limit."""
        call(lib.namespace_set_max_bytes, self._handle.pointer, unsigned("max_bytes", max_bytes))

    def set_max_value_size(self, max_value_size: int) -> None:
        """0: no limit but 1 GiB."""
        size = unsigned("max_value_size", max_value_size)
        call(lib.namespace_set_max_value_size, self._handle.pointer, size)

    def set_lock_timeout(self, seconds: float) -> None:
        """How long an operation may wait in all: 0.001 to 3600 seconds."""
        timeout = milliseconds("lock_timeout", seconds)
        call(lib.namespace_set_lock_timeout, self._handle.pointer, timeout)

    def resize_shards(self, shard_count: int, progress: Optional[ProgressHook] = None) -> None:
        """Moves the data to so many shards while all other operations go on; 0: automatic again.

        ``progress`` is called with a :class:`Progress` some twenty times a second at most; when it
        returns False or raises, everything is moved back and
        :class:`OperationCancelledError`, or what it raised, comes out here.
        """
        count = unsigned("shard_count", shard_count, 32)
        run_with_progress(
            progress, lib.namespace_resize_shards, self._handle.pointer, count
        )

    def metadata(self) -> NamespaceStats:
        """All figures, of one instant."""
        stats = _ffi.sized(_ffi.NamespaceStatsStruct)
        call(lib.namespace_metadata, self._handle.pointer, ref(stats))
        return NamespaceStats.from_struct(self._name, stats)

    stats = metadata

    def shard_stats(self) -> List[ShardStats]:
        """The figures of each shard, of one instant."""
        capacity, count = 64, _ffi.counts(1)
        while True:
            shards = _ffi.array_of(_ffi.ShardStatsStruct, capacity)
            size = _ffi.size_of(_ffi.ShardStatsStruct)
            call(
                lib.namespace_shard_stats, self._handle.pointer, shards, size, capacity, ref(count)
            )
            if count[0] <= capacity:
                return [ShardStats.from_struct(shards[i]) for i in range(count[0])]
            capacity = count[0]

    def shard_key_counts(self) -> List[int]:
        """The number of keys of each shard, of one instant."""
        capacity, count = 64, _ffi.counts(1)
        while True:
            numbers = _ffi.counts(capacity)
            call(
                lib.namespace_shard_key_counts,
                self._handle.pointer,
                numbers,
                capacity,
                ref(count),
            )
            if count[0] <= capacity:
                return list(numbers[: count[0]])
            capacity = count[0]


def run_with_progress(
    progress: Optional[ProgressHook], function: Any, *arguments: Any, after: Tuple[Any, ...] = ()
) -> None:
    """Calls `function(*arguments, options, *after, error)`, with the hook in the options."""
    if progress is None:
        call(function, *arguments, None, *after)
        return
    options = _ffi.sized(_ffi.OperationOptionsStruct)
    with ProgressCall(progress, options) as running:
        try:
            call(function, *arguments, ref(options), *after)
        except Exception as error:
            if running.error is None:
                raise
            # What the hook raised is what matters; it comes out of the block.
            del error


class _Items(ItemsView[bytes, bytes]):
    __slots__ = ()
    _mapping: Namespace

    def __iter__(self) -> Iterator[Tuple[bytes, bytes]]:
        return self._mapping.scan()


class _Values(ValuesView[bytes]):
    __slots__ = ()
    _mapping: Namespace

    def __iter__(self) -> Iterator[bytes]:
        for _, value in self._mapping.scan():
            yield value

    def __contains__(self, value: object) -> bool:
        wanted = to_bytes(value)
        return any(found == wanted for found in self)


