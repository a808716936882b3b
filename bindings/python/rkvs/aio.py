"""The store for ``asyncio``: every operation can be awaited.

An operation on one key takes well under a microsecond and is done at once, without a thread and
without a turn of the event loop. Where it would have to wait, for a lock that is held, a long batch,
a save, the library's own threads take it over, and its completion comes through a file descriptor
that the running loop watches. No thread of the library enters Python.

A task that is cancelled cancels its operation: what had not begun never happens, saves and resizes
end early and leave everything as it was. Any number of loops may be used at the same time.

>>> import asyncio
>>> from rkvs.aio import AsyncStorageManager
>>> async def main():
...     async with AsyncStorageManager() as store:
...         users = await store.create_namespace("users")
...         await users.put("alice", "admin")
...         return await users.get("alice")
>>> asyncio.run(main())
b'admin'
"""

from __future__ import annotations

import dataclasses
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Dict,
    Generator,
    Iterable,
    List,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
    overload,
)

from rkvs import _ffi
from rkvs._callbacks import ProgressHook
from rkvs._ffi import HELD_BYTES, LARGE_VALUE, MAX_KEY, Batch, Borrowed, chunks, held, lib, ref, to_bytes
from rkvs._handle import Handle, call, failure, name_bytes, signed, to_key, unsigned
from rkvs._loop import (
    DONE,
    Front,
    NoLoop,
    Outcome,
    find_loop,
    get_ident,
    new_slot,
    running_loop,
)
from rkvs.batch import (
    AtomicBatch,
    BatchMode,
    BatchResult,
    Expire,
    ExpireAt,
    check_batch,
    counter_options,
    write_options,
)
from rkvs.config import (
    AutosaveConfig,
    AutosaveStatus,
    LoadReport,
    ManagerConfig,
    NamespaceConfig,
    NamespaceStats,
    ShardStats,
    milliseconds,
)
from rkvs.errors import KeyNotFoundError, NamespaceExistsError, NamespaceNotFoundError
from rkvs.manager import (
    Path,
    StorageManager,
    autosave_item,
    namespace_config,
    read_load_report,
    stats_item,
)
from rkvs.namespace import (
    _MISSING,
    LARGE,
    Column,
    Items,
    Namespace,
    failed_key,
    for_batch,
    split_items,
    update_items,
)

if TYPE_CHECKING:
    from rkvs.batch import BytesLike

__all__ = ["AsyncNamespace", "AsyncStorageManager", "open"]

T = TypeVar("T")

_get_async = _ffi.quick("namespace_get_async")
_exists_async = _ffi.quick("namespace_exists_async")
_put_async = _ffi.quick("namespace_put_async")
_delete_async = _ffi.quick("namespace_delete_key_async")
_clear = _ffi.quick("completion_clear")
_STEP = 1024


class AsyncNamespace(Front):
    """A :class:`Namespace` whose operations are awaited; see there for what each does.

    >>> import asyncio, rkvs
    >>> async def main():
    ...     store = rkvs.open()
    ...     users = store.create_namespace("users").aio
    ...     await users.put("alice", "admin", expire=60)
    ...     await users.set_many({"bob": "user", "carol": "user"})
    ...     return await users.get("alice"), sorted([key async for key in users.scan_keys()])
    >>> asyncio.run(main())
    (b'admin', [b'alice', b'bob', b'carol'])
    """

    __slots__ = ("sync",)

    #: The same namespace without ``await``.
    sync: Namespace

    def __init__(self, namespace: Namespace) -> None:
        self.sync = namespace
        self._handle = namespace._handle
        self._argument = namespace._argument
        self._loop = NoLoop

    @property
    def name(self) -> str:
        return self.sync.name

    def __repr__(self) -> str:
        return f"<rkvs.aio.AsyncNamespace {self.name!r}>"

    # --- One key ---------------------------------------------------------------------------------

    @overload
    async def get(self, key: BytesLike, default: None = None) -> Optional[bytes]: ...
    @overload
    async def get(self, key: BytesLike, default: bytes) -> bytes: ...
    @overload
    async def get(self, key: BytesLike, default: T) -> Union[bytes, T]: ...

    async def get(self, key: BytesLike, default: Any = None) -> Any:
        """The value of a key, or the default."""
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        loop = self._loop
        if loop.thread != get_ident() or not loop.is_running():
            loop = self._loop = find_loop(running_loop())
        try:
            slot = loop.take()
        except IndexError:
            slot = new_slot(loop.queue.pointer)
        out, how_ref, out_ref, operation_ref, error_ref, _, _, _ = slot
        status = _get_async(
            self._argument, key, len(key), how_ref, out_ref, operation_ref, error_ref
        )
        if status == DONE:
            found = out.status
            if found == 0 and out.size <= HELD_BYTES:
                value = out.data[: out.size]
                _clear(out_ref)
                loop.give(slot)
                return value
            if found == 1:
                loop.give(slot)
                return default
        outcome = await self._finish(status, loop, slot)
        if outcome.error is not None:
            raise outcome.error
        return default if outcome.value is None else outcome.value

    async def get_view(self, key: BytesLike) -> Optional[memoryview]:
        """The value as a read-only view of the store's own memory, without a copy."""
        data = to_key(key)
        outcome = await self._call(
            held.namespace_get_async, self._handle.pointer, data, len(data), view=True
        )
        return outcome.view

    async def get_with_version(self, key: BytesLike) -> Optional[Tuple[bytes, int]]:
        """Value and version, for :meth:`compare_and_set`; None if the key is absent."""
        data = to_key(key)
        outcome = await self._call(
            held.namespace_get_with_version_async, self._handle.pointer, data, len(data)
        )
        return None if outcome.value is None else (outcome.value, outcome.version)

    async def exists(self, key: BytesLike) -> bool:
        """Whether the key is there."""
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        loop = self._loop
        if loop.thread != get_ident() or not loop.is_running():
            loop = self._loop = find_loop(running_loop())
        try:
            slot = loop.take()
        except IndexError:
            slot = new_slot(loop.queue.pointer)
        out, how_ref, out_ref, operation_ref, error_ref, _, _, _ = slot
        status = _exists_async(
            self._argument, key, len(key), how_ref, out_ref, operation_ref, error_ref
        )
        if status == DONE:
            found = out.status
            if found >= 0:
                loop.give(slot)
                return bool(found == 0)
        outcome = await self._finish(status, loop, slot)
        if outcome.error is not None:
            raise outcome.error
        return outcome.status == 0

    async def put(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> None:
        """Gives the key this value, whether or not it had one."""
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        options = None
        if expire is not None or expire_at is not None or keep_ttl:
            options = write_options(expire, expire_at, keep_ttl)
        if value.__class__ is not bytes or len(value) > LARGE_VALUE:
            await self._write(lib.namespace_put_async, key, value, options)
            return
        loop = self._loop
        if loop.thread != get_ident() or not loop.is_running():
            loop = self._loop = find_loop(running_loop())
        try:
            slot = loop.take()
        except IndexError:
            slot = new_slot(loop.queue.pointer)
        out, how_ref, out_ref, operation_ref, error_ref, _, _, _ = slot
        status = _put_async(
            self._argument,
            key,
            len(key),
            value,
            len(value),
            options,
            how_ref,
            out_ref,
            operation_ref,
            error_ref,
        )
        if status == DONE and out.status == 0:
            loop.give(slot)
            return
        outcome = await self._finish(status, loop, slot)
        if outcome.error is not None:
            outcome.error.key = key
            raise outcome.error

    async def _write(self, function: Any, key: bytes, value: Any, options: Any) -> Outcome:
        with Borrowed(value) as (pointer, size):
            loop, slot = self._slot()
            status = function(
                self._handle.pointer, key, len(key), pointer, size, options, *slot[1:5]
            )
        outcome = await self._finish(status, loop, slot)
        if outcome.error is not None:
            outcome.error.key = key
            raise outcome.error
        return outcome

    async def set(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> Optional[bytes]:
        """As :meth:`put`, and returns the value that was replaced, None if there was none."""
        options = write_options(expire, expire_at, keep_ttl)
        outcome = await self._write(lib.namespace_set_async, to_key(key), value, options)
        return outcome.value

    async def add(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
    ) -> Optional[int]:
        """Stores a key that is absent. Returns its version, or None if the key is there already."""
        options = write_options(expire, expire_at)
        outcome = await self._write(lib.namespace_add_async, to_key(key), value, options)
        return outcome.version if outcome.status == 0 else None

    async def update_existing(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> bytes:
        """Gives a key that is there another value, and returns the one before."""
        data = to_key(key)
        options = write_options(expire, expire_at, keep_ttl)
        outcome = await self._write(lib.namespace_update_async, data, value, options)
        if outcome.status or outcome.value is None:
            raise KeyNotFoundError(repr(data), key=data)
        return outcome.value

    async def compare_and_set(
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
        None if somebody else was faster."""
        data = to_key(key)
        options = write_options(expire, expire_at, keep_ttl)
        expected = unsigned("version", version)
        with Borrowed(value) as (pointer, size):
            loop, slot = self._slot()
            status = lib.namespace_compare_and_set_async(
                self._handle.pointer,
                data,
                len(data),
                expected,
                pointer,
                size,
                options,
                *slot[1:5],
            )
        outcome = await self._finish(status, loop, slot)
        if outcome.error is not None:
            raise outcome.error
        return outcome.version if outcome.status == 0 else None

    async def compare_and_delete(self, key: BytesLike, version: int) -> bool:
        """Removes the key if it has this version still. Says whether it did."""
        data = to_key(key)
        outcome = await self._call(
            held.namespace_compare_and_delete_async,
            self._handle.pointer,
            data,
            len(data),
            unsigned("version", version),
        )
        return outcome.status == 0

    async def delete_key(self, key: BytesLike) -> bool:
        """Removes the key. Says whether it was there."""
        if key.__class__ is not bytes or len(key) > MAX_KEY:
            key = to_key(key)
        loop = self._loop
        if loop.thread != get_ident() or not loop.is_running():
            loop = self._loop = find_loop(running_loop())
        try:
            slot = loop.take()
        except IndexError:
            slot = new_slot(loop.queue.pointer)
        out, how_ref, out_ref, operation_ref, error_ref, _, _, _ = slot
        status = _delete_async(
            self._argument, key, len(key), how_ref, out_ref, operation_ref, error_ref
        )
        if status == DONE:
            found = out.status
            if found >= 0:
                loop.give(slot)
                return bool(found == 0)
        outcome = await self._finish(status, loop, slot)
        if outcome.error is not None:
            raise outcome.error
        return outcome.status == 0

    delete = delete_key

    async def consume(self, key: BytesLike) -> bytes:
        """Removes the key and returns its value: of several callers exactly one gets it."""
        return await self.pop(key)

    @overload
    async def pop(self, key: BytesLike) -> bytes: ...
    @overload
    async def pop(self, key: BytesLike, default: bytes) -> bytes: ...
    @overload
    async def pop(self, key: BytesLike, default: T) -> Union[bytes, T]: ...

    async def pop(self, key: BytesLike, default: Any = _MISSING) -> Any:
        """As :meth:`consume`; with a default for a key that is absent, if there is one."""
        data = to_key(key)
        outcome = await self._call(
            held.namespace_consume_async, self._handle.pointer, data, len(data)
        )
        if outcome.value is not None:
            return outcome.value
        if default is _MISSING:
            raise KeyNotFoundError(repr(data), key=data)
        return default

    async def setdefault(self, key: BytesLike, default: BytesLike = b"") -> bytes:
        """The value of the key; where it is absent, it gets the default first."""
        data = to_key(key)
        while True:
            value = await self.get(data)
            if value is not None:
                return value
            new = to_bytes(default)
            if await self.add(data, new) is not None:
                return new

    async def popitem(self) -> Tuple[bytes, bytes]:
        """Removes some key and returns it with its value; of several callers each gets another."""
        async for key in self.scan_keys(step=1):
            value = await self.pop(key, None)
            if value is not None:
                return key, value
        raise KeyNotFoundError("popitem(): the namespace is empty")

    async def transform(
        self, key: BytesLike, function: Callable[[Optional[bytes]], Optional[BytesLike]]
    ) -> Optional[bytes]:
        """Reads, changes and writes a key with nobody in between, and returns the new value.

        ``function``, a plain one, gets the value or None and returns the new one, None to remove
        the key; it is called again when the key changed meanwhile. Keeps the expiry."""
        data = to_key(key)
        while True:
            found = await self.get_with_version(data)
            answer = function(None if found is None else found[0])
            new = None if answer is None else to_bytes(answer)
            if found is None:
                if new is None or await self.add(data, new) is not None:
                    return new
            elif new is None:
                if await self.compare_and_delete(data, found[1]):
                    return None
            elif await self.compare_and_set(data, found[1], new) is not None:
                return new

    # --- Expiry, counters ------------------------------------------------------------------------

    async def ttl(self, key: BytesLike) -> Optional[float]:
        """How many seconds the entry has left, None if it does not expire."""
        data = to_key(key)
        outcome = await self._call(
            held.namespace_ttl_async, self._handle.pointer, data, len(data)
        )
        if outcome.status:
            raise KeyNotFoundError(repr(data), key=data)
        return None if outcome.number < 0 else outcome.number / 1000

    async def touch(
        self,
        key: BytesLike,
        expire: Optional[Expire] = None,
        *,
        expire_at: Optional[ExpireAt] = None,
    ) -> bool:
        """Gives the entry another expiry. Says whether the key is there."""
        data = to_key(key)
        options = write_options(expire, expire_at)
        outcome = await self._call(
            held.namespace_touch_async, self._handle.pointer, data, len(data), options
        )
        return outcome.status == 0

    async def persist(self, key: BytesLike) -> bool:
        """Takes the expiry away. Says whether there was one."""
        data = to_key(key)
        outcome = await self._call(
            held.namespace_persist_async, self._handle.pointer, data, len(data)
        )
        return outcome.status == 0 and bool(outcome.number)

    async def _count(
        self, function: Any, key: BytesLike, delta: int, initial: int, expire: Optional[Expire]
    ) -> int:
        data = to_key(key)
        outcome = await self._call(
            function,
            self._handle.pointer,
            data,
            len(data),
            signed("delta", delta),
            counter_options(initial, expire),
            key=data,
        )
        return outcome.number

    async def increment(
        self,
        key: BytesLike,
        delta: int = 1,
        *,
        initial: int = 0,
        expire: Optional[Expire] = None,
    ) -> int:
        """Adds to the decimal number that the value is, and returns the sum."""
        return await self._count(held.namespace_increment_async, key, delta, initial, expire)

    async def decrement(
        self,
        key: BytesLike,
        delta: int = 1,
        *,
        initial: int = 0,
        expire: Optional[Expire] = None,
    ) -> int:
        """Takes from the decimal number that the value is, and returns what is left."""
        return await self._count(held.namespace_decrement_async, key, delta, initial, expire)

    incr = increment
    decr = decrement

    # --- Many keys -------------------------------------------------------------------------------

    async def _batch(
        self,
        operation: str,
        keys: Column,
        values: Optional[Column],
        mode: BatchMode,
        *options: Any,
        check: bool = True,
    ) -> BatchResult:
        """Raises what an item or the batch failed with, unless that is not to be checked."""
        with Batch(keys) if values is None else Batch(keys, values) as batch:
            with for_batch(batch.count, batch.size):
                outcome = await self._call(
                    batch.function(operation, asynchronous=True),
                    self._handle.pointer,
                    *batch.arguments,
                    int(mode),
                    *options,
                )
            result = outcome.batch
            assert result is not None
            if check and (result.status or result.total_processed != len(result)):
                error = result.error()
                if error is not None:
                    raise failed_key(keys, error)
        return result

    async def get_many(
        self,
        keys: Iterable[BytesLike],
        default: Any = None,
        *,
        mode: BatchMode = BatchMode.BEST_EFFORT,
    ) -> List[Any]:
        """The values of these keys in the same order, the default where there is none."""
        return _values(await self._batch("get", chunks(keys), None, mode), default)

    async def consume_many(
        self,
        keys: Iterable[BytesLike],
        default: Any = None,
        *,
        mode: BatchMode = BatchMode.BEST_EFFORT,
    ) -> List[Any]:
        """Removes these keys and returns their values, the default where there was none."""
        return _values(await self._batch("consume", chunks(keys), None, mode), default)

    async def exists_many(self, keys: Iterable[BytesLike]) -> List[bool]:
        """Whether each of these keys is there, all at one instant."""
        batch = await self._batch("exists", chunks(keys), None, BatchMode.ALL_OR_NOTHING)
        return [code == 0 for code in batch._codes]

    async def set_many(
        self,
        items: Items,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
        mode: BatchMode = BatchMode.ALL_OR_NOTHING,
    ) -> None:
        """Stores a mapping, or pairs, in one step: nobody sees half of it."""
        options = write_options(expire, expire_at, keep_ttl)
        await self._batch("set", *split_items(items), mode, options)

    async def update(self, items: Any = (), /, **more: BytesLike) -> None:
        """As dict's: takes over a mapping or pairs, all in one step."""
        await self.set_many(update_items(items, more))

    async def update_many(
        self,
        items: Items,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
        mode: BatchMode = BatchMode.ALL_OR_NOTHING,
    ) -> int:
        """Gives keys that are there other values, and returns how many it were."""
        options = write_options(expire, expire_at, keep_ttl)
        return (await self._batch("update", *split_items(items), mode, options)).total_processed

    async def delete_many(
        self, keys: Iterable[BytesLike], *, mode: BatchMode = BatchMode.BEST_EFFORT
    ) -> int:
        """Removes these keys and returns how many were there."""
        return (await self._batch("delete", chunks(keys), None, mode)).total_processed

    async def get_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`get_many`, with a status for each item in place of exceptions."""
        return await self._batch("get", chunks(keys), None, mode, check=False)

    async def exists_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`exists_many`, with a status for each item; an absent key fails nothing."""
        return await self._batch("exists", chunks(keys), None, mode, check=False)

    async def delete_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`delete_many`, with a status for each item in place of exceptions."""
        return await self._batch("delete", chunks(keys), None, mode, check=False)

    async def consume_multiple(
        self, keys: Iterable[BytesLike], mode: BatchMode = BatchMode.ALL_OR_NOTHING
    ) -> BatchResult:
        """As :meth:`consume_many`, with a status for each item in place of exceptions."""
        return await self._batch("consume", chunks(keys), None, mode, check=False)

    async def set_multiple(
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
        return await self._batch("set", *split_items(items), mode, options, check=False)

    async def update_multiple(
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
        return await self._batch("update", *split_items(items), mode, options, check=False)

    async def apply(self, batch: AtomicBatch) -> BatchResult:
        """Does all of an :class:`AtomicBatch`, or nothing; then the first that failed is raised."""
        check_batch(batch)
        with for_batch(len(batch), batch._bytes):
            outcome = await self._call(
                lib.namespace_apply_async, self._handle.pointer, batch.pointer
            )
        assert outcome.batch is not None
        outcome.batch.raise_for_status()
        return outcome.batch

    # --- All keys --------------------------------------------------------------------------------

    async def _steps(
        self, prefix: BytesLike, keys_only: bool, step: int
    ) -> AsyncIterator[Outcome]:
        wanted, step = to_bytes(prefix), unsigned("step", step)
        options = _ffi.sized(_ffi.ScanOptionsStruct)
        options.flags = _ffi.SCAN_KEYS_ONLY if keys_only else 0
        options.prefix = wanted
        options.prefix_size = len(wanted)
        opened, error = _ffi.pointer_slot(), _ffi.pointer_slot()
        status = lib.namespace_scan_open(
            self._handle.pointer, ref(options), ref(opened), ref(error)
        )
        if status < 0:
            raise failure(status, error.value)
        scan = Handle(opened.value, lib.scan_release, self._handle)
        done = False
        while not done:
            outcome = await self._call(lib.scan_next_async, scan.pointer, step)
            if outcome.batch is not None and outcome.batch.status < 0:
                outcome.batch.raise_for_status()
            done = bool(outcome.number)
            yield outcome

    async def scan(
        self, prefix: BytesLike = b"", *, step: int = _STEP
    ) -> AsyncIterator[Tuple[bytes, bytes]]:
        """Keys and values, in no particular order, of the keys that begin with ``prefix``."""
        async for outcome in self._steps(prefix, False, step):
            if outcome.batch is not None:
                for key, value in zip(outcome.keys, outcome.batch.values):
                    yield key, value or b""

    async def scan_keys(
        self, prefix: BytesLike = b"", *, step: int = _STEP
    ) -> AsyncIterator[bytes]:
        """As :meth:`scan`, without the values."""
        async for outcome in self._steps(prefix, True, step):
            for key in outcome.keys:
                yield key

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.scan_keys()

    async def list_keys(self) -> List[bytes]:
        """All keys, in no particular order."""
        outcome = await self._call(lib.namespace_list_keys_async, self._handle.pointer)
        return outcome.items()

    async def delete_prefix(self, prefix: BytesLike) -> int:
        """Removes the keys that begin with ``prefix``, shard by shard; returns how many."""
        data = to_bytes(prefix)
        outcome = await self._call(
            lib.namespace_delete_prefix_async, self._handle.pointer, data, len(data)
        )
        return outcome.number

    async def clear(self) -> None:
        """Removes all keys at one instant."""
        with LARGE:
            await self._call(lib.namespace_clear_async, self._handle.pointer)

    # --- Limits, shards, figures -----------------------------------------------------------------

    async def get_config(self) -> NamespaceConfig:
        """What is in force."""
        outcome = await self._call(lib.namespace_get_config_async, self._handle.pointer)
        (config,) = outcome.read(_config_item)
        return config

    async def update_config(
        self, config: Optional[NamespaceConfig] = None, **changes: Any
    ) -> None:
        """Checks everything, then applies everything, or nothing; then moves the shards."""
        wanted = dataclasses.replace(config or await self.get_config(), **changes)
        await self._call(
            lib.namespace_update_config_async, self._handle.pointer, ref(wanted.to_struct())
        )

    async def set_max_keys(self, max_keys: int) -> None:
        """0: no limit."""
        number = unsigned("max_keys", max_keys)
        await self._call(lib.namespace_set_max_keys_async, self._handle.pointer, number)

    async def set_max_bytes(self, max_bytes: int) -> None:
        """0: no limit."""
        number = unsigned("max_bytes", max_bytes)
        await self._call(lib.namespace_set_max_bytes_async, self._handle.pointer, number)

    async def set_max_value_size(self, max_value_size: int) -> None:
        """0: no limit but 1 GiB."""
        number = unsigned("max_value_size", max_value_size)
        await self._call(lib.namespace_set_max_value_size_async, self._handle.pointer, number)

    async def set_lock_timeout(self, seconds: float) -> None:
        """How long an operation may wait in all: 0.001 to 3600 seconds."""
        number = milliseconds("lock_timeout", seconds)
        await self._call(lib.namespace_set_lock_timeout_async, self._handle.pointer, number)

    async def resize_shards(
        self, shard_count: int, progress: Optional[ProgressHook] = None
    ) -> None:
        """Moves the data to so many shards while all other operations go on; 0: automatic again.

        A hook runs on a thread of the library."""
        count = unsigned("shard_count", shard_count, 32)
        await self._call_with_progress(
            progress, lib.namespace_resize_shards_async, self._handle.pointer, count
        )

    async def metadata(self) -> NamespaceStats:
        """All figures, of one instant."""
        outcome = await self._call(lib.namespace_metadata_async, self._handle.pointer)
        (figures,) = outcome.read(stats_item)
        return figures

    stats = metadata

    async def shard_stats(self) -> List[ShardStats]:
        """The figures of each shard, of one instant."""
        outcome = await self._call(lib.namespace_shard_stats_async, self._handle.pointer)
        return outcome.read(_shard_item)

    async def shard_key_counts(self) -> List[int]:
        """The number of keys of each shard, of one instant."""
        outcome = await self._call(lib.namespace_shard_key_counts_async, self._handle.pointer)
        return [] if outcome.list is None else _ffi.list_numbers(outcome.list.pointer)


def _config_item(handle: Any, index: int, _: str) -> NamespaceConfig:
    struct = _ffi.sized(_ffi.NamespaceConfigStruct)
    call(lib.list_namespace_config, handle, index, ref(struct))
    return NamespaceConfig.from_struct(struct)


def _shard_item(handle: Any, index: int, _: str) -> ShardStats:
    struct, size = _ffi.ShardStatsStruct(), _ffi.size_of(_ffi.ShardStatsStruct)
    call(lib.list_shard_stats, handle, index, ref(struct), size)
    return ShardStats.from_struct(struct)


def _values(batch: BatchResult, default: Any) -> List[Any]:
    if default is None:
        return batch.values
    return [default if value is None else value for value in batch.values]


class AsyncStorageManager(Front):
    """A :class:`StorageManager` whose operations are awaited; see there for what each does.

    Takes the same arguments, or a manager. ``async with`` initialises it and closes it.
    """

    __slots__ = ("sync",)

    #: The same store without ``await``.
    sync: StorageManager

    def __init__(
        self, directory: Union[Path, StorageManager, None] = None, **options: Any
    ) -> None:
        if isinstance(directory, StorageManager):
            self.sync = directory
        else:
            self.sync = StorageManager(directory, **options)
        self._handle = self.sync._handle
        self._loop = NoLoop

    def __repr__(self) -> str:
        return f"<rkvs.aio.AsyncStorageManager of {self.sync!r}>"

    async def __aenter__(self) -> AsyncStorageManager:
        if not self.sync.is_initialized():
            await self.initialize()
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    async def _manage(self, function: Any, *arguments: Any) -> Outcome:
        return await self._call(function, self._handle.pointer, *arguments)

    # --- Life ------------------------------------------------------------------------------------

    async def initialize(
        self, file: Optional[str] = None, progress: Optional[ProgressHook] = None
    ) -> None:
        """Makes the store ready: empty, or with what ``file`` in its directory holds."""
        if file is None:
            await self._manage(lib.manager_initialize_async)
            return
        await self._call_with_progress(
            progress, lib.manager_initialize_file_async, self._handle.pointer, name_bytes(file)
        )

    async def load_report(self) -> LoadReport:
        """What initialising found."""
        found = (await self._manage(lib.manager_load_report_async)).list
        assert found is not None
        report = _ffi.pointer_slot()
        call(lib.list_load_report, found.pointer, ref(report))
        return read_load_report(report.value)

    async def is_initialized(self) -> bool:
        """Whether the store is ready."""
        return self.sync.is_initialized()

    async def has_persistence(self) -> bool:
        """Whether it has a directory."""
        return self.sync.has_persistence()

    async def close(self) -> None:
        """Ends the store; operations in flight end as cancelled or closed. A task that is cancelled
        meanwhile waits no longer, and the store ends all the same."""
        await self._manage(lib.manager_close_async)

    # --- Namespaces ------------------------------------------------------------------------------

    def _namespace(self, outcome: Outcome) -> AsyncNamespace:
        assert outcome.ns is not None
        return AsyncNamespace(self.sync._namespace(outcome.ns))

    async def create_namespace(
        self, name: str, config: Optional[NamespaceConfig] = None, **limits: Any
    ) -> AsyncNamespace:
        """Adds an empty namespace. ``limits`` are the fields of :class:`NamespaceConfig`."""
        struct = namespace_config(config, limits)
        return self._namespace(
            await self._manage(lib.manager_create_namespace_async, name_bytes(name), struct)
        )

    async def get_namespace(self, name: str) -> AsyncNamespace:
        """The namespace of this name; raises :class:`NamespaceNotFoundError`, a ``KeyError``."""
        return self._namespace(
            await self._manage(lib.manager_get_namespace_async, name_bytes(name))
        )

    async def namespace(
        self, name: str, config: Optional[NamespaceConfig] = None, **limits: Any
    ) -> AsyncNamespace:
        """The namespace of this name, made with these limits where it is absent."""
        while True:
            try:
                return await self.get_namespace(name)
            except NamespaceNotFoundError:
                pass
            try:
                return await self.create_namespace(name, config, **limits)
            except NamespaceExistsError:
                pass

    async def delete_namespace(self, name: str) -> None:
        """Removes the namespace and its data; handles raise :class:`NamespaceDeletedError`."""
        await self._call(
            lib.manager_delete_namespace_async, self._handle.pointer, name_bytes(name)
        )

    async def clone_namespace(
        self, name: str, new_name: str, progress: Optional[ProgressHook] = None
    ) -> AsyncNamespace:
        """Adds a namespace with the configuration and content of another, of one instant."""
        outcome = await self._call_with_progress(
            progress,
            lib.manager_clone_namespace_async,
            self._handle.pointer,
            name_bytes(name),
            name_bytes(new_name),
        )
        return self._namespace(outcome)

    async def list_namespaces(self) -> List[str]:
        """The names, sorted."""
        outcome = await self._manage(lib.manager_list_namespaces_async)
        return [name.decode() for name in outcome.items()]

    async def update_namespace_config(
        self, name: str, config: Optional[NamespaceConfig] = None, **changes: Any
    ) -> None:
        """As :meth:`AsyncNamespace.update_config`."""
        if config is None:
            await (await self.get_namespace(name)).update_config(**changes)
            return
        struct = namespace_config(config, changes)
        await self._manage(
            lib.manager_update_namespace_config_async, name_bytes(name), struct
        )

    # --- Configuration and figures ---------------------------------------------------------------

    async def get_config(self) -> ManagerConfig:
        """What is in force."""
        found = (await self._manage(lib.manager_get_config_async)).list
        assert found is not None
        struct = _ffi.sized(_ffi.ManagerConfigStruct)
        call(lib.list_manager_config, found.pointer, 0, ref(struct))
        return ManagerConfig.from_struct(struct)

    async def update_config(self, config: ManagerConfig) -> None:
        """What is None becomes its default."""
        struct = _ffi.sized(_ffi.ManagerConfigStruct)
        config.fill(struct)
        await self._manage(lib.manager_update_config_async, ref(struct))

    async def namespace_stats(self, name: str) -> NamespaceStats:
        """The figures of one namespace, of one instant."""
        outcome = await self._manage(lib.manager_namespace_stats_async, name_bytes(name))
        (figures,) = outcome.read(stats_item)
        return figures

    async def all_namespace_stats(self) -> List[NamespaceStats]:
        """Of all, sorted by name."""
        return (await self._manage(lib.manager_all_namespace_stats_async)).read(stats_item)

    async def metrics_text(self) -> str:
        """All figures in Prometheus' text format."""
        text: bytes = (await self._manage(lib.manager_metrics_text_async)).value or b""
        return text.decode()

    async def namespace_count(self) -> int:
        """How many namespaces there are."""
        return (await self._manage(lib.manager_namespace_count_async)).number

    async def total_key_count(self) -> int:
        """Of all namespaces."""
        return (await self._manage(lib.manager_total_key_count_async)).number

    # --- Snapshots -------------------------------------------------------------------------------

    async def save_all(self, file: str, progress: Optional[ProgressHook] = None) -> None:
        """Saves one instant of all namespaces to a file in the directory, while writers go on."""
        await self._call_with_progress(
            progress, lib.manager_save_all_async, self._handle.pointer, name_bytes(file)
        )

    async def save_namespace(
        self, name: str, file: str, progress: Optional[ProgressHook] = None
    ) -> None:
        """As :meth:`save_all`, of one namespace."""
        await self._call_with_progress(
            progress,
            lib.manager_save_namespace_async,
            self._handle.pointer,
            name_bytes(name),
            name_bytes(file),
        )

    async def load_namespace(
        self, file: str, progress: Optional[ProgressHook] = None
    ) -> AsyncNamespace:
        """Adds the one namespace that the file holds, under its own name."""
        outcome = await self._call_with_progress(
            progress, lib.manager_load_namespace_async, self._handle.pointer, name_bytes(file)
        )
        return await self.get_namespace((outcome.value or b"").decode())

    async def load_namespace_as(
        self,
        file: str,
        new_name: str,
        source: Optional[str] = None,
        progress: Optional[ProgressHook] = None,
    ) -> AsyncNamespace:
        """Adds a namespace of the file under another name; ``source`` says which of several."""
        await self._call_with_progress(
            progress,
            lib.manager_load_namespace_as_async,
            self._handle.pointer,
            name_bytes(file),
            name_bytes(new_name),
            None if source is None else name_bytes(source),
        )
        return await self.get_namespace(new_name)

    # --- Autosave --------------------------------------------------------------------------------

    async def add_namespace_autosave_task(self, name: str, config: AutosaveConfig) -> None:
        """Starts to save the namespace by itself."""
        struct = config.to_struct()
        await self._manage(
            lib.manager_add_namespace_autosave_task_async, name_bytes(name), ref(struct)
        )

    async def start_namespace_autosave_task(self, name: str) -> None:
        """Starts a task that was stopped, or came from a file."""
        await self._manage(lib.manager_start_namespace_autosave_task_async, name_bytes(name))

    async def start_missing_autosave_tasks(self) -> int:
        """Starts every task that is stopped and has something to save; returns how many."""
        return (await self._manage(lib.manager_start_missing_autosave_tasks_async)).number

    async def list_autosave_tasks(self) -> List[AutosaveStatus]:
        """All tasks: the store's first, the others by the names of their namespaces."""
        return (await self._manage(lib.manager_list_autosave_tasks_async)).read(autosave_item)

    async def stop_namespace_autosave(self, name: str) -> None:
        """Stops the task, and waits for a save that is on."""
        await self._manage(lib.manager_stop_namespace_autosave_async, name_bytes(name))

    async def stop_manager_autosave(self) -> None:
        """Stops the task of the whole store, and waits for a save that is on."""
        await self._manage(lib.manager_stop_manager_autosave_async)


class _Opening(Awaitable[AsyncStorageManager]):
    """What open() returns: to be awaited, or for ``async with``."""

    __slots__ = ("_file", "_manager")

    def __init__(self, manager: AsyncStorageManager, file: Optional[str]) -> None:
        self._manager = manager
        self._file = file

    async def _open(self) -> AsyncStorageManager:
        await self._manager.initialize(self._file)
        return self._manager

    def __await__(self) -> Generator[Any, None, AsyncStorageManager]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncStorageManager:
        return await self._open()

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self._manager.close()


def open(  # noqa: A001
    directory: Optional[Path] = None, file: Optional[str] = None, **options: Any
) -> _Opening:
    """As :func:`rkvs.open`: ``store = await open(...)``, or ``async with open(...) as store``."""
    return _Opening(AsyncStorageManager(directory, **options), file)


