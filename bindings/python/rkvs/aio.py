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

import asyncio
import itertools
import threading
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
from rkvs._callbacks import ProgressCall, ProgressHook
from rkvs._ffi import HELD_BYTES, LARGE_VALUE, MAX_KEY, Batch, Borrowed, chunks, held, lib, ref, to_bytes
from rkvs._handle import Handle, failure, name_bytes, signed, to_key, unsigned
from rkvs.batch import (
    AtomicBatch,
    BatchMode,
    BatchResult,
    Expire,
    ExpireAt,
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
)
from rkvs.errors import KeyNotFoundError, RkvsError
from rkvs.manager import Path, StorageManager
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
_running_loop = asyncio.get_running_loop
_get_ident = threading.get_ident

_DONE = _ffi.DONE
_PENDING = _ffi.PENDING
_POLLED_AT_ONCE = 64
_STEP = 1024

_tags = itertools.count(1)


def clear(completion: Any) -> None:
    """Gives back what a completion owns, without the interpreter lock where that is much."""
    if completion.batch or completion.list or completion.size > HELD_BYTES:
        lib.completion_clear(ref(completion))
    else:
        _clear(ref(completion))



class _Outcome:
    """What came of an operation, as Python objects."""

    __slots__ = ("batch", "error", "list", "ns", "number", "status", "value", "version")

    def __init__(self, completion: Any) -> None:
        """Takes everything out of a completion and clears it."""
        status: int = completion.status
        self.status = status
        self.number: int = completion.number
        self.version: int = completion.version
        self.value: Optional[bytes] = None
        self.batch: Optional[BatchResult] = None
        self.list: Optional[List[bytes]] = None
        self.ns: Optional[int] = None
        self.error: Optional[RkvsError] = None
        try:
            if completion.value:
                self.value = _ffi.value_of(completion)
            message, index = "", -1
            if completion.error:
                message, index = _ffi.read_error(completion.error)
                completion.error = None
            if completion.batch:
                if index < 0 and status != 0:
                    index = _ffi.first_failed(completion.batch, status)
                self.batch = BatchResult(_ffi.read_batch(completion.batch), message, index)
            elif status < 0:
                self.error = failure(status, None)
                self.error.message = message or self.error.message
                self.error.index = index
            if completion.batch and completion.kind == _ffi.OP_SCAN_NEXT:
                self.list = _ffi.read_batch(completion.batch).keys
            if completion.list:
                self.list = _ffi.list_items(completion.list)
            if completion.ns:
                self.ns = held.namespace_retain(completion.ns)
        finally:
            clear(completion)


# Prepared arguments of one asynchronous call: a completion; references to how, completion,
# operation and error, in the order in which every _async function ends; then what they refer to.
_Slot = Tuple[Any, Any, Any, Any, Any, Any, Any, Any]


def _new_slot(queue: int) -> _Slot:
    how = _ffi.sized(_ffi.AsyncStruct)
    how.flags = _ffi.ALLOW_INLINE
    how.queue = queue
    how.tag = next(_tags)
    out, operation, error = _ffi.CompletionStruct(), _ffi.pointer_slot(), _ffi.pointer_slot()
    return out, ref(how), ref(out), ref(operation), ref(error), how, operation, error


def _never() -> bool:
    return False


class _NoLoop:
    """Stands for the loop of an object that none has used yet."""

    thread = 0

    @staticmethod
    def is_running() -> bool:
        return False


class _Loop:
    """What one event loop has: a completion queue, and the futures that wait for it.

    Used by the loop's thread alone, but for close().
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        queue = _ffi.pointer_slot()
        error = _ffi.pointer_slot()
        status = held.queue_create(ref(queue), ref(error))
        if status < 0:
            raise failure(status, error.value)
        self.queue = Handle(queue.value, held.queue_release)
        # Together they say that this is the running loop, for less than asking which one is.
        self.thread = threading.get_ident()
        self.is_running = loop.is_running
        slots: List[_Slot] = []
        # Slots that nobody uses at the moment.
        self.take, self.give = slots.pop, slots.append
        self.waiting: Dict[int, "asyncio.Future[_Outcome]"] = {}
        self._polled = _ffi.array_of(_ffi.CompletionStruct, _POLLED_AT_ONCE)
        self._count = _ffi.counts(1)
        self._fd = held.queue_fd(queue.value)
        loop.add_reader(self._fd, self._on_ready)

    def close(self) -> None:
        """The loop is gone: what is in flight goes on, and nobody waits for it."""
        self.thread = 0
        self.is_running = _never
        self.waiting.clear()
        error = _ffi.pointer_slot()
        held.queue_close(self.queue.pointer, ref(error))
        _ffi.read_error(error.value)

    def _on_ready(self) -> None:
        status = held.queue_poll(
            self.queue.pointer, self._polled, _POLLED_AT_ONCE, ref(self._count), None
        )
        if status < 0:
            # The child of a fork, which will never see a completion: do not spin.
            asyncio.get_running_loop().remove_reader(self._fd)
            error = failure(status, None)
            waiting, self.waiting = self.waiting, {}
            for lost in waiting.values():
                if not lost.done():
                    lost.set_exception(error)
            return
        for index in range(self._count[0]):
            completion = self._polled[index]
            future = self._take_waiting(completion.tag)
            if future is None or future.done():
                clear(completion)
                continue
            try:
                outcome = _Outcome(completion)
            except BaseException as caught:
                future.set_exception(caught)
            else:
                future.set_result(outcome)

    def _take_waiting(self, tag: int) -> "Optional[asyncio.Future[_Outcome]]":
        return self.waiting.pop(tag) if tag in self.waiting else None

    async def wait(self, slot: _Slot) -> _Outcome:
        """For the operation that was begun with this slot, which goes back to the others."""
        future: "asyncio.Future[_Outcome]" = asyncio.get_running_loop().create_future()
        how = slot[5]
        self.waiting[how.tag] = future
        how.tag = next(_tags)
        operation = slot[6].value
        self.give(slot)
        try:
            return await future
        except asyncio.CancelledError:
            held.operation_cancel(operation, None)
            raise
        finally:
            held.operation_release(operation)


# One for each event loop that has used a store and was not yet seen to be closed.
_loops: Dict[asyncio.AbstractEventLoop, _Loop] = {}
_loops_guard = threading.Lock()


def _new_guard() -> None:
    global _loops_guard
    _loops_guard = threading.Lock()


_ffi.after_fork_in_child(_new_guard)


def _find_loop(loop: asyncio.AbstractEventLoop) -> _Loop:
    with _loops_guard:
        found = _loops.get(loop)
        if found is None:
            # What closed loops leave behind is cleared when the next one comes.
            for other, state in list(_loops.items()):
                if other.is_closed():
                    del _loops[other]
                    state.close()
            found = _loops[loop] = _Loop(loop)
        return found


class _Front:
    """What AsyncNamespace and AsyncStorageManager share."""

    __slots__ = ("_handle", "_argument", "_loop", "__weakref__")

    _handle: Handle
    _loop: Any

    def _slot(self) -> Tuple[_Loop, _Slot]:
        loop: _Loop = self._loop
        if loop.thread != _get_ident() or not loop.is_running():
            loop = self._loop = _find_loop(_running_loop())
        try:
            return loop, loop.take()
        except IndexError:
            return loop, _new_slot(loop.queue.pointer)

    async def _finish(self, status: int, loop: _Loop, slot: _Slot) -> _Outcome:
        if status == _PENDING:
            return await loop.wait(slot)
        if status == _DONE:
            outcome = _Outcome(slot[0])
            loop.give(slot)
            return outcome
        error, slot[7].value = slot[7].value, None
        raise failure(status, error)

    async def _call(
        self, function: Any, *arguments: Any, key: Optional[bytes] = None
    ) -> _Outcome:
        """Raises errors, returns outcomes; those of a batch are for the caller to look at."""
        loop, slot = self._slot()
        status = function(*arguments, *slot[1:5])
        if status == _PENDING:
            # Nothing of the arguments is needed any more.
            del arguments
        outcome = await self._finish(status, loop, slot)
        if outcome.error is not None:
            outcome.error.key = key
            raise outcome.error
        return outcome

    async def _call_with_progress(
        self, progress: Optional[ProgressHook], function: Any, *arguments: Any
    ) -> _Outcome:
        """As _call; the hook runs on a thread of the library."""
        if progress is None:
            return await self._call(function, *arguments)
        loop, slot = self._slot()
        hook = ProgressCall(progress, slot[5])
        with hook:
            try:
                status = function(*arguments, *slot[1:5])
                slot[5].progress = None
                slot[5].progress_user = None
                outcome = await self._finish(status, loop, slot)
                if outcome.error is not None:
                    raise outcome.error
                return outcome
            except RkvsError:
                if hook.error is None:
                    raise
        raise AssertionError("unreachable: the block raises what the hook raised")


class AsyncNamespace(_Front):
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
        self._loop = _NoLoop

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
        if loop.thread != _get_ident() or not loop.is_running():
            loop = self._loop = _find_loop(_running_loop())
        try:
            slot = loop.take()
        except IndexError:
            slot = _new_slot(loop.queue.pointer)
        out, how_ref, out_ref, operation_ref, error_ref, _, _, _ = slot
        status = _get_async(
            self._argument, key, len(key), how_ref, out_ref, operation_ref, error_ref
        )
        if status == _DONE:
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
        if loop.thread != _get_ident() or not loop.is_running():
            loop = self._loop = _find_loop(_running_loop())
        try:
            slot = loop.take()
        except IndexError:
            slot = _new_slot(loop.queue.pointer)
        out, how_ref, out_ref, operation_ref, error_ref, _, _, _ = slot
        status = _exists_async(
            self._argument, key, len(key), how_ref, out_ref, operation_ref, error_ref
        )
        if status == _DONE:
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
        if loop.thread != _get_ident() or not loop.is_running():
            loop = self._loop = _find_loop(_running_loop())
        try:
            slot = loop.take()
        except IndexError:
            slot = _new_slot(loop.queue.pointer)
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
        if status == _DONE and out.status == 0:
            loop.give(slot)
            return
        outcome = await self._finish(status, loop, slot)
        if outcome.error is not None:
            outcome.error.key = key
            raise outcome.error

    async def _write(self, function: Any, key: bytes, value: Any, options: Any) -> _Outcome:
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
        if loop.thread != _get_ident() or not loop.is_running():
            loop = self._loop = _find_loop(_running_loop())
        try:
            slot = loop.take()
        except IndexError:
            slot = _new_slot(loop.queue.pointer)
        out, how_ref, out_ref, operation_ref, error_ref, _, _, _ = slot
        status = _delete_async(
            self._argument, key, len(key), how_ref, out_ref, operation_ref, error_ref
        )
        if status == _DONE:
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
    ) -> AsyncIterator[_Outcome]:
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
                for key, value in zip(outcome.list or (), outcome.batch.values):
                    yield key, value or b""

    async def scan_keys(
        self, prefix: BytesLike = b"", *, step: int = _STEP
    ) -> AsyncIterator[bytes]:
        """As :meth:`scan`, without the values."""
        async for outcome in self._steps(prefix, True, step):
            for key in outcome.list or ():
                yield key

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.scan_keys()

    async def list_keys(self) -> List[bytes]:
        """All keys, in no particular order."""
        outcome = await self._call(lib.namespace_list_keys_async, self._handle.pointer)
        return outcome.list or []

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
        return self.sync.get_config()

    async def update_config(
        self, config: Optional[NamespaceConfig] = None, **changes: Any
    ) -> None:
        """Checks everything, then applies everything, or nothing; then moves the shards."""
        import dataclasses

        wanted = dataclasses.replace(config or self.sync.get_config(), **changes)
        await self._call(
            lib.namespace_update_config_async, self._handle.pointer, ref(wanted.to_struct())
        )

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
        return self.sync.metadata()

    stats = metadata

    async def shard_stats(self) -> List[ShardStats]:
        return self.sync.shard_stats()

    async def shard_key_counts(self) -> List[int]:
        return self.sync.shard_key_counts()


def _values(batch: BatchResult, default: Any) -> List[Any]:
    if default is None:
        return batch.values
    return [default if value is None else value for value in batch.values]


class AsyncStorageManager(_Front):
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
        self._loop = _NoLoop

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

    async def _thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """For what has no asynchronous form and may wait."""
        return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)

    async def initialize(
        self, file: Optional[str] = None, progress: Optional[ProgressHook] = None
    ) -> None:
        """Makes the store ready: empty, or with what ``file`` in its directory holds."""
        if file is None:
            self.sync.initialize()
            return
        await self._call_with_progress(
            progress, lib.manager_initialize_file_async, self._handle.pointer, name_bytes(file)
        )

    async def load_report(self) -> LoadReport:
        return self.sync.load_report()

    async def is_initialized(self) -> bool:
        return self.sync.is_initialized()

    async def has_persistence(self) -> bool:
        return self.sync.has_persistence()

    async def close(self) -> None:
        """Ends the store; operations in flight end as cancelled or closed."""
        await self._thread(self.sync.close)

    # --- Namespaces ------------------------------------------------------------------------------

    async def create_namespace(
        self, name: str, config: Optional[NamespaceConfig] = None, **limits: Any
    ) -> AsyncNamespace:
        return AsyncNamespace(self.sync.create_namespace(name, config, **limits))

    async def get_namespace(self, name: str) -> AsyncNamespace:
        return AsyncNamespace(self.sync.get_namespace(name))

    async def namespace(
        self, name: str, config: Optional[NamespaceConfig] = None, **limits: Any
    ) -> AsyncNamespace:
        return AsyncNamespace(self.sync.namespace(name, config, **limits))

    async def delete_namespace(self, name: str) -> None:
        await self._call(
            lib.manager_delete_namespace_async, self._handle.pointer, name_bytes(name)
        )

    async def clone_namespace(
        self, name: str, new_name: str, progress: Optional[ProgressHook] = None
    ) -> AsyncNamespace:
        outcome = await self._call_with_progress(
            progress,
            lib.manager_clone_namespace_async,
            self._handle.pointer,
            name_bytes(name),
            name_bytes(new_name),
        )
        if outcome.ns is None:
            return await self.get_namespace(new_name)
        return AsyncNamespace(self.sync._namespace(outcome.ns))

    async def list_namespaces(self) -> List[str]:
        return self.sync.list_namespaces()

    async def update_namespace_config(
        self, name: str, config: Optional[NamespaceConfig] = None, **changes: Any
    ) -> None:
        namespace = await self.get_namespace(name)
        await namespace.update_config(config, **changes)

    # --- Configuration and figures ---------------------------------------------------------------

    async def get_config(self) -> ManagerConfig:
        return self.sync.get_config()

    async def update_config(self, config: ManagerConfig) -> None:
        await self._thread(self.sync.update_config, config)

    async def namespace_stats(self, name: str) -> NamespaceStats:
        return self.sync.namespace_stats(name)

    async def all_namespace_stats(self) -> List[NamespaceStats]:
        return await self._thread(self.sync.all_namespace_stats)

    async def metrics_text(self) -> str:
        return await self._thread(self.sync.metrics_text)

    async def namespace_count(self) -> int:
        return self.sync.namespace_count()

    async def total_key_count(self) -> int:
        return self.sync.total_key_count()

    # --- Snapshots -------------------------------------------------------------------------------

    async def save_all(self, file: str, progress: Optional[ProgressHook] = None) -> None:
        await self._call_with_progress(
            progress, lib.manager_save_all_async, self._handle.pointer, name_bytes(file)
        )

    async def save_namespace(
        self, name: str, file: str, progress: Optional[ProgressHook] = None
    ) -> None:
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
        await self._thread(self.sync.add_namespace_autosave_task, name, config)

    async def start_namespace_autosave_task(self, name: str) -> None:
        await self._thread(self.sync.start_namespace_autosave_task, name)

    async def start_missing_autosave_tasks(self) -> int:
        return await self._thread(self.sync.start_missing_autosave_tasks)

    async def list_autosave_tasks(self) -> List[AutosaveStatus]:
        return self.sync.list_autosave_tasks()

    async def stop_namespace_autosave(self, name: str) -> None:
        await self._thread(self.sync.stop_namespace_autosave, name)

    async def stop_manager_autosave(self) -> None:
        await self._thread(self.sync.stop_manager_autosave)


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


