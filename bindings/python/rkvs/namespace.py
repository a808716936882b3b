"""Namespace: a mapping of bytes to bytes that lives in a store."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
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
    HELD_BYTES,
    HELD_ITEMS,
    LARGE_VALUE,
    MAX_KEY,
    Batch,
    Borrowed,
    chunks,
    held,
    lib,
    new_slot,
    new_value_slot,
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
    check_batch,
    counter_options,
    run_batch,
    write_options,
)
from rkvs.config import NamespaceConfig, NamespaceStats, ShardStats, milliseconds
from rkvs.errors import KeyNotFoundError, RkvsError

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


def for_batch(count: int, size: int) -> Any:
    """What a batch of so many items and bytes runs under."""
    return LARGE if count >= LARGE_BATCH or size > _LARGE_BYTES else _SMALL


_value_view = _ffi.quick("value_view")
_value_release = _ffi.quick("value_release")

# Off and back onto the lists of prepared arguments.
_take, _give = slots.pop, slots.append
_take_value, _give_value = value_slots.pop, value_slots.append

_MISSING: Any = object()
_TIMED_STEP = 1024


Column = List[List[Any]]


def split_items(items: Items) -> Tuple[Column, Column]:
    """Keys and values of a mapping, or of pairs. A large mapping must not change meanwhile."""
    if isinstance(items, Mapping):
        if len(items) <= HELD_ITEMS:
            return [list(items.keys())], [list(items.values())]
        if type(items) is dict:
            return chunks(items.keys()), chunks(items.values())
        items = items.items()
    pairs = chunks(items)
    keys = [[key for key, _ in chunk] for chunk in pairs]
    values = [[value for _, value in chunk] for chunk in pairs]
    while pairs:
        pairs.pop()
    return keys, values


def update_items(items: Any, more: Mapping[str, Any]) -> Any:
    """The arguments of update() as what set_many() takes."""
    if not isinstance(items, Mapping) and hasattr(items, "keys"):
        items = ((key, items[key]) for key in items.keys())
    if not more:
        return items
    if isinstance(items, Mapping):
        items = items.items()
    return itertools.chain(items, more.items())


def is_bytes_like(data: object) -> bool:
    """Whether it is taken as a key or value."""
    if isinstance(data, (bytes, str)):
        return True
    try:
        memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def as_bytes(items: Mapping[Any, Any]) -> Dict[bytes, bytes]:
    return {to_bytes(key): to_bytes(value) for key, value in items.items()}


def nth(column: Column, index: int) -> bytes:
    """An item of a column as bytes."""
    return to_bytes(column[index // HELD_ITEMS][index % HELD_ITEMS])


def failed_key(keys: Column, error: RkvsError) -> RkvsError:
    """The error of a batch, with the key that it is about."""
    if 0 <= error.index < sum(map(len, keys)):
        error.key = nth(keys, error.index)
    return error


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

        It never changes and stays valid, whatever becomes of the key and of the store. (Its
        attribute ``obj`` is the memory itself, for ctypes, and not for writing to.)

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
        """As dict's: what cannot be a key is not there."""
        try:
            return self.exists(key)  # type: ignore[arg-type]
        except TypeError:
            if is_bytes_like(key):
                raise
            return False

    def exists(self, key: BytesLike) -> bool:
        """As ``key in namespace``, and a TypeError for what cannot be a key."""
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

    def __setitem__(self, key: BytesLike, value: BytesLike) -> None:
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        if value.__class__ is not bytes or len(value) > LARGE_VALUE:
            self._write("namespace_put", key, value, None)
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
        options = write_options(expire, expire_at, keep_ttl)
        self._write("namespace_put", to_key(key), value, options)

    def _write(self, name: str, key: bytes, value: Any, options: Any, *outputs: Any) -> int:
        """A write of any kind of value. Returns an outcome."""
        return self._write_if(name, (key, len(key)), value, options, *outputs)

    def _write_if(
        self, name: str, key: Tuple[Any, ...], value: Any, options: Any, *outputs: Any
    ) -> int:
        """As _write; `key` has its size and whatever else stands before the value."""
        with Borrowed(value) as (pointer, size):
            # Who writes a large value may keep its shard locked while it is copied.
            with LARGE if size > _LARGE_BYTES else _SMALL:
                return call(
                    getattr(lib if size > LARGE_VALUE else _point, name),
                    self._handle.pointer,
                    *key,
                    pointer,
                    size,
                    options,
                    *outputs,
                    key=key[0],
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
            self._write("namespace_set", key, value, options, ref(old))
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
            if size.value <= HELD_BYTES:
                result = characters[: size.value]
                _value_release(value)
            else:
                result = value_bytes(value)
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
        status = self._write("namespace_add", to_key(key), value, options, ref(version))
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
        if self._write("namespace_update", data, value, options, ref(old)):
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
        known = (data, len(data), unsigned("version", version))
        status = self._write_if(
            "namespace_compare_and_set", known, value, options, ref(new_version)
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

    def _call_batch(
        self, batch: Batch, operation: str, mode: int, *options: Any, collect: bool = True
    ) -> Tuple[int, Any, Optional[int]]:
        """Status, result and error of a batch; what the result owns is the caller's to release."""
        result, error = _ffi.pointer_slot(), _ffi.pointer_slot()
        with for_batch(batch.count, batch.size):
            status: int = batch.function(operation)(
                self._handle.pointer,
                *batch.arguments,
                int(mode),
                *options,
                # Without a place for results nobody collects the old values.
                ref(result) if collect else None,
                ref(error),
            )
        if not result.value and (collect or status):
            raise failure(status, error.value)
        return status, result, error.value

    def _result(self, status: int, result: Any, error: Optional[int]) -> BatchResult:
        message, index = _ffi.read_error(error)
        if status and index < 0:
            index = _ffi.first_failed(result, status)
        return BatchResult(_ffi.read_batch(result), message, index)

    def _run_batch(
        self, operation: str, keys: Column, values: Optional[Column], mode: int, *options: Any
    ) -> BatchResult:
        """Raises only where there is no result: then no item was looked at."""
        with Batch(keys) if values is None else Batch(keys, values) as batch:
            status, result, error = self._call_batch(batch, operation, mode, *options)
            try:
                return self._result(status, result, error)
            finally:
                lib.batch_result_release(result)

    def _values(self, operation: str, keys: Iterable[BytesLike], mode: int, default: Any) -> Any:
        """What get_many and consume_many have in common."""
        wanted = chunks(keys)
        with Batch(wanted) as batch:
            status, result, error = self._call_batch(batch, operation, mode)
            try:
                if not status:
                    values, failed = _ffi.batch_values(result, default)
                    # NotFound is the only outcome here; errors are not to be taken for it.
                    if not failed:
                        return values
                found = self._result(status, result, error)
            finally:
                lib.batch_result_release(result)
            caught = found.error()
            assert caught is not None
            raise failed_key(wanted, caught)

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
        return self._values("get", keys, mode, default)

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
        values: List[Any] = self._values("consume", keys, mode, default)
        return values

    def exists_many(self, keys: Iterable[BytesLike]) -> List[bool]:
        """Whether each of these keys is there, all at one instant."""
        result = self.exists_multiple(keys)
        result.raise_for_status()
        return [code == 0 for code in result._codes]

    def _write_many(
        self,
        operation: str,
        keys: Column,
        values: Optional[Column],
        mode: int,
        *options: Any,
        collect: bool = True,
    ) -> int:
        """Raises what an item or the batch failed with; how many went well, if that is collected."""
        with Batch(keys) if values is None else Batch(keys, values) as batch:
            try:
                status, result, error = self._call_batch(
                    batch, operation, mode, *options, collect=collect
                )
            except RkvsError as caught:
                failed_key(keys, caught)
                raise
            if not result.value:
                return batch.count
            try:
                found = self._result(status, result, error)
            finally:
                lib.batch_result_release(result)
            failed = found.error()
            if failed is not None:
                raise failed_key(keys, failed)
            return found.total_processed

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
        self._write_many("set", *split_items(items), mode, options, collect=collect)

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
        return self._write_many("update", *split_items(items), mode, options)

    def delete_many(
        self, keys: Iterable[BytesLike], *, mode: BatchMode = BatchMode.BEST_EFFORT
    ) -> int:
        """Removes these keys and returns how many were there.

        With ``BatchMode.ALL_OR_NOTHING`` a missing key raises :class:`KeyNotFoundError`, and all
        stay.
        """
        return self._write_many("delete", chunks(keys), None, mode)

    def get_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`get_many`, with a status for each item in place of exceptions."""
        return self._run_batch("get", chunks(keys), None, mode)

    def exists_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`exists_many`, with a status for each item; an absent key fails nothing."""
        return self._run_batch("exists", chunks(keys), None, mode)

    def delete_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`delete_many`, with a status for each item in place of exceptions."""
        return self._run_batch("delete", chunks(keys), None, mode)

    def consume_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`consume_many`, with a status for each item in place of exceptions."""
        return self._run_batch("consume", chunks(keys), None, mode)

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
        return self._run_batch("set", *split_items(items), mode, options)

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
        return self._run_batch("update", *split_items(items), mode, options)

    def apply(self, batch: AtomicBatch) -> BatchResult:
        """Does all of an :class:`AtomicBatch`, or nothing; then the first that failed is raised."""
        check_batch(batch)
        with for_batch(len(batch), batch._bytes):
            result = run_batch(lib.namespace_apply, self._handle.pointer, batch.pointer)
        result.raise_for_status()
        return result

    def update(self, items: Any = (), /, **more: BytesLike) -> None:
        """As dict's: takes over a mapping or pairs, all in one step."""
        self.set_many(update_items(items, more))

    def __ior__(self, items: Items) -> Namespace:  # type: ignore[misc]  # as os.environ
        self.update(items)
        return self

    def __or__(self, other: Any) -> Dict[bytes, bytes]:
        """A dict of what is in both, as ``os.environ`` has it: the store is copied."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**dict(self.items()), **as_bytes(other)}

    def __ror__(self, other: Any) -> Dict[bytes, bytes]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**as_bytes(other), **dict(self.items())}

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
                lib.batch_result_release(found)
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

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        key, value = item
        if not (is_bytes_like(key) and is_bytes_like(value)):
            return False
        return self._mapping.get(key) == to_bytes(value)


class _Values(ValuesView[bytes]):
    __slots__ = ()
    _mapping: Namespace

    def __iter__(self) -> Iterator[bytes]:
        for _, value in self._mapping.scan():
            yield value

    def __contains__(self, value: object) -> bool:
        if not is_bytes_like(value):
            return False
        wanted = to_bytes(value)
        return any(found == wanted for found in self)


