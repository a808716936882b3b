"""Event loops and the library's completion queues: what ``rkvs.aio`` stands on."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple, TypeVar

from rkvs import _ffi
from rkvs._callbacks import ProgressCall, ProgressHook
from rkvs._ffi import HELD_BYTES, held, lib, ref
from rkvs._handle import Handle, failure
from rkvs.batch import BatchResult
from rkvs.errors import RkvsError

__all__ = ["Front", "Outcome"]

T = TypeVar("T")

_clear = _ffi.quick("completion_clear")
running_loop = asyncio.get_running_loop
get_ident = threading.get_ident

DONE = _ffi.DONE
_PENDING = _ffi.PENDING
_POLLED_AT_ONCE = 64

_tags = itertools.count(1)


def clear(completion: Any) -> None:
    """Gives back what a completion owns, without the interpreter lock where that is much."""
    if completion.batch or completion.list or completion.size > HELD_BYTES:
        lib.completion_clear(ref(completion))
    else:
        _clear(ref(completion))



class Outcome:
    """What came of an operation, as Python objects."""

    __slots__ = (
        "batch",
        "error",
        "keys",
        "list",
        "ns",
        "number",
        "status",
        "value",
        "version",
        "view",
    )

    def __init__(self, completion: Any, view: bool = False) -> None:
        """Takes everything out of a completion and clears it; of the value a copy, or a view."""
        status: int = completion.status
        self.status = status
        self.number: int = completion.number
        self.version: int = completion.version
        self.value: Optional[bytes] = None
        self.view: Optional[memoryview] = None
        self.batch: Optional[BatchResult] = None
        self.keys: List[bytes] = []
        self.list: Optional[Handle] = None
        self.ns: Optional[int] = None
        self.error: Optional[RkvsError] = None
        try:
            if completion.value:
                if view:
                    self.view = _ffi.value_memory(held.value_retain(completion.value))
                else:
                    self.value = _ffi.value_of(completion)
            message, index = "", -1
            if completion.error:
                message, index = _ffi.read_error(completion.error)
                completion.error = None
            if completion.batch:
                if index < 0 and status != 0:
                    index = _ffi.first_failed(completion.batch, status)
                raw = _ffi.read_batch(completion.batch)
                self.batch = BatchResult(raw, message, index)
                self.keys = raw.keys or []
            elif status < 0:
                self.error = failure(status, None)
                self.error.message = message or self.error.message
                self.error.index = index
            if completion.list:
                self.list = Handle(held.list_retain(completion.list), lib.list_release)
            if completion.ns:
                self.ns = held.namespace_retain(completion.ns)
        finally:
            clear(completion)

    def items(self) -> List[bytes]:
        """Of the list."""
        return [] if self.list is None else _ffi.list_items(self.list.pointer)

    def read(self, read: Callable[[Any, int, str], T]) -> List[T]:
        """What `read(list, index, name)` makes of each item of the list."""
        if self.list is None:
            return []
        pointer = self.list.pointer
        return [read(pointer, i, name.decode()) for i, name in enumerate(self.items())]


# Prepared arguments of one asynchronous call: a completion; references to how, completion,
# operation and error, in the order in which every _async function ends; then what they refer to.
_Slot = Tuple[Any, Any, Any, Any, Any, Any, Any, Any]


def new_slot(queue: int) -> _Slot:
    how = _ffi.sized(_ffi.AsyncStruct)
    how.flags = _ffi.ALLOW_INLINE
    how.queue = queue
    how.tag = next(_tags)
    out, operation, error = _ffi.CompletionStruct(), _ffi.pointer_slot(), _ffi.pointer_slot()
    return out, ref(how), ref(out), ref(operation), ref(error), how, operation, error


def _never() -> bool:
    return False


class NoLoop:
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
        # And whether the value is to be a view.
        self.waiting: Dict[int, Tuple["asyncio.Future[Outcome]", bool]] = {}
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
            for lost, _ in waiting.values():
                if not lost.done():
                    lost.set_exception(error)
            return
        for index in range(self._count[0]):
            completion = self._polled[index]
            future, view = self._take_waiting(completion.tag)
            if future is None or future.done():
                clear(completion)
                continue
            try:
                outcome = Outcome(completion, view)
            except BaseException as caught:
                future.set_exception(caught)
            else:
                future.set_result(outcome)

    def _take_waiting(self, tag: int) -> "Tuple[Optional[asyncio.Future[Outcome]], bool]":
        return self.waiting.pop(tag) if tag in self.waiting else (None, False)

    async def wait(self, slot: _Slot, view: bool = False) -> Outcome:
        """For the operation that was begun with this slot, which goes back to the others."""
        future: "asyncio.Future[Outcome]" = asyncio.get_running_loop().create_future()
        how = slot[5]
        self.waiting[how.tag] = future, view
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


def find_loop(loop: asyncio.AbstractEventLoop) -> _Loop:
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


class Front:
    """What AsyncNamespace and AsyncStorageManager share."""

    __slots__ = ("_handle", "_argument", "_loop", "__weakref__")

    _handle: Handle
    _loop: Any

    def _slot(self) -> Tuple[_Loop, _Slot]:
        loop: _Loop = self._loop
        if loop.thread != get_ident() or not loop.is_running():
            loop = self._loop = find_loop(running_loop())
        try:
            return loop, loop.take()
        except IndexError:
            return loop, new_slot(loop.queue.pointer)

    async def _finish(
        self, status: int, loop: _Loop, slot: _Slot, view: bool = False
    ) -> Outcome:
        if status == _PENDING:
            return await loop.wait(slot, view)
        if status == DONE:
            outcome = Outcome(slot[0], view)
            loop.give(slot)
            return outcome
        error, slot[7].value = slot[7].value, None
        raise failure(status, error)

    async def _call(
        self,
        function: Any,
        *arguments: Any,
        key: Optional[bytes] = None,
        view: bool = False,
    ) -> Outcome:
        """Raises errors, returns outcomes; those of a batch are for the caller to look at."""
        loop, slot = self._slot()
        status = function(*arguments, *slot[1:5])
        if status == _PENDING:
            # Nothing of the arguments is needed any more.
            del arguments
        outcome = await self._finish(status, loop, slot, view)
        if outcome.error is not None:
            outcome.error.key = key
            raise outcome.error
        return outcome

    async def _call_with_progress(
        self, progress: Optional[ProgressHook], function: Any, *arguments: Any
    ) -> Outcome:
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
