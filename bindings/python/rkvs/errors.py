"""Codes and exceptions.

Every exception of this package is an :class:`RkvsError` with the ``code`` of the C library, one
class for each code. Where Python has a word for the same thing it is a base as well: a missing key
is a ``KeyError``, a time-out a ``TimeoutError``, a full store a ``MemoryError``.

>>> issubclass(KeyNotFoundError, KeyError), issubclass(OperationTimeoutError, TimeoutError)
(True, True)
>>> error_class(-15).__name__
'OperationTimeoutError'
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple, Type

if TYPE_CHECKING:
    from rkvs.batch import BatchResult

__all__ = [
    "AutosaveExistsError",
    "AutosaveNotConfiguredError",
    "AutosaveNotRunningError",
    "BusyError",
    "ClosedError",
    "CounterOverflowError",
    "DirectoryLockedError",
    "ForkedError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidNameError",
    "KeyExistsError",
    "KeyNotFoundError",
    "KeyTooLargeError",
    "LimitBelowUseError",
    "MemoryLimitError",
    "NamespaceDeletedError",
    "NamespaceExistsError",
    "NamespaceNotFoundError",
    "NoMemoryError",
    "NoPersistenceError",
    "NotANumberError",
    "NotAppliedError",
    "NotInitializedError",
    "OperationCancelledError",
    "OperationTimeoutError",
    "RkvsError",
    "SnapshotCorruptError",
    "SnapshotNotFoundError",
    "SnapshotVersionError",
    "StatusCode",
    "StorageIOError",
    "TooManyKeysError",
    "TooManyNamespacesError",
    "UnsupportedError",
    "ValueTooLargeError",
    "VersionMismatchError",
    "WouldDeadlockError",
    "error_class",
]


class StatusCode(enum.IntEnum):
    """What came of an operation: above zero an outcome of normal use, below zero an error.

    A newer C library may have codes that are not here; those are plain ``int``.
    """

    OK = 0
    NOT_FOUND = 1
    EXISTS = 2
    VERSION_MISMATCH = 3
    NOT_APPLIED = 4
    INVALID_ARGUMENT = -1
    INVALID_NAME = -2
    NOT_INITIALIZED = -3
    CLOSED = -4
    NAMESPACE_NOT_FOUND = -5
    NAMESPACE_EXISTS = -6
    NAMESPACE_DELETED = -7
    TOO_MANY_NAMESPACES = -8
    TOO_MANY_KEYS = -9
    LIMIT_BELOW_USE = -10
    KEY_TOO_LARGE = -11
    VALUE_TOO_LARGE = -12
    MEMORY_LIMIT = -13
    NO_MEMORY = -14
    TIMEOUT = -15
    CANCELLED = -16
    NOT_A_NUMBER = -17
    OVERFLOW = -18
    NO_PERSISTENCE = -19
    SNAPSHOT_NOT_FOUND = -20
    SNAPSHOT_CORRUPT = -21
    SNAPSHOT_VERSION = -22
    IO = -23
    DIRECTORY_LOCKED = -24
    AUTOSAVE_EXISTS = -25
    AUTOSAVE_NOT_CONFIGURED = -26
    AUTOSAVE_NOT_RUNNING = -27
    BUSY = -28
    WOULD_DEADLOCK = -29
    FORKED = -30
    UNSUPPORTED = -31
    INTERNAL = -32


def _restore(
    cls: Type[RkvsError], message: str, code: int, index: int, key: Optional[bytes]
) -> RkvsError:
    return cls(message, code=code, index=index, key=key)


class RkvsError(Exception):
    """The base of all exceptions of this package.

    ``code``
        a :class:`StatusCode`, or an ``int`` that this package has no name for.
    ``message``
        what happened, with the value and the limit in it.
    ``index``
        in a batch the first item that failed, otherwise -1.
    ``key``
        the key that it is about, where there is one.
    ``result``
        of a batch, what came of each item.
    """

    code: int = StatusCode.INTERNAL

    def __init__(
        self,
        message: str = "",
        *,
        code: Optional[int] = None,
        index: int = -1,
        key: Optional[bytes] = None,
        result: Optional[BatchResult] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.index = index
        self.key = key
        self.result = result

    def __str__(self) -> str:
        return self.message or type(self).__name__

    def __reduce__(self) -> Tuple[Any, ...]:
        return _restore, (type(self), self.message, int(self.code), self.index, self.key)


class KeyNotFoundError(RkvsError, KeyError):
    """The key is not there."""

    code = StatusCode.NOT_FOUND


class KeyExistsError(RkvsError):
    """The key is there already."""

    code = StatusCode.EXISTS


class VersionMismatchError(RkvsError):
    """The entry has another version than the one asked for."""

    code = StatusCode.VERSION_MISMATCH


class NotAppliedError(RkvsError):
    """An item without fault of its own, in a batch that failed."""

    code = StatusCode.NOT_APPLIED


class InvalidArgumentError(RkvsError, ValueError):
    """An argument is out of its range."""

    code = StatusCode.INVALID_ARGUMENT


class InvalidNameError(RkvsError, ValueError):
    """A name of a namespace or file that is not allowed."""

    code = StatusCode.INVALID_NAME


class NotInitializedError(RkvsError):
    """``initialize`` has not succeeded yet."""

    code = StatusCode.NOT_INITIALIZED


class ClosedError(RkvsError):
    """The manager was closed."""

    code = StatusCode.CLOSED


class NamespaceNotFoundError(RkvsError, KeyError):
    """There is no namespace of this name."""

    code = StatusCode.NAMESPACE_NOT_FOUND


class NamespaceExistsError(RkvsError):
    """There is a namespace of this name already."""

    code = StatusCode.NAMESPACE_EXISTS


class NamespaceDeletedError(RkvsError):
    """The namespace of this handle was deleted."""

    code = StatusCode.NAMESPACE_DELETED


class TooManyNamespacesError(RkvsError):
    """``max_namespaces`` is reached."""

    code = StatusCode.TOO_MANY_NAMESPACES


class TooManyKeysError(RkvsError):
    """``max_keys`` is reached."""

    code = StatusCode.TOO_MANY_KEYS


class LimitBelowUseError(RkvsError, ValueError):
    """A new limit is below what is in use."""

    code = StatusCode.LIMIT_BELOW_USE


class KeyTooLargeError(RkvsError, ValueError):
    """The key is longer than ``max_key_size``."""

    code = StatusCode.KEY_TOO_LARGE


class ValueTooLargeError(RkvsError, ValueError):
    """The value is longer than ``max_value_size``."""

    code = StatusCode.VALUE_TOO_LARGE


class MemoryLimitError(RkvsError, MemoryError):
    """``max_bytes`` is reached."""

    code = StatusCode.MEMORY_LIMIT


class NoMemoryError(RkvsError, MemoryError):
    """The system has no memory left."""

    code = StatusCode.NO_MEMORY


class OperationTimeoutError(RkvsError, TimeoutError):
    """``lock_timeout`` passed before the operation could be done; nothing has changed."""

    code = StatusCode.TIMEOUT


class OperationCancelledError(RkvsError):
    """The operation was cancelled by its progress callback, or because the store was closed."""

    code = StatusCode.CANCELLED


class NotANumberError(RkvsError, ValueError):
    """The value to be counted up or down is not a decimal number."""

    code = StatusCode.NOT_A_NUMBER


class CounterOverflowError(RkvsError, OverflowError):
    """The counter would leave the range of 64 bits."""

    code = StatusCode.OVERFLOW


class NoPersistenceError(RkvsError):
    """The manager was opened without a directory."""

    code = StatusCode.NO_PERSISTENCE


class SnapshotNotFoundError(RkvsError, FileNotFoundError):
    """There is no such file."""

    code = StatusCode.SNAPSHOT_NOT_FOUND


class SnapshotCorruptError(RkvsError):
    """The file is damaged, or is no snapshot."""

    code = StatusCode.SNAPSHOT_CORRUPT


class SnapshotVersionError(RkvsError):
    """The file has a format that this library does not read."""

    code = StatusCode.SNAPSHOT_VERSION


class StorageIOError(RkvsError, OSError):
    """A file could not be read or written."""

    code = StatusCode.IO


class DirectoryLockedError(RkvsError, OSError):
    """Another process saves into the directory."""

    code = StatusCode.DIRECTORY_LOCKED


class AutosaveExistsError(RkvsError):
    """The autosave task runs already."""

    code = StatusCode.AUTOSAVE_EXISTS


class AutosaveNotConfiguredError(RkvsError):
    """The namespace has no autosave task that could be started."""

    code = StatusCode.AUTOSAVE_NOT_CONFIGURED


class AutosaveNotRunningError(RkvsError):
    """There is no running autosave task to stop."""

    code = StatusCode.AUTOSAVE_NOT_RUNNING


class BusyError(RkvsError):
    """Another operation of this kind is running."""

    code = StatusCode.BUSY


class WouldDeadlockError(RkvsError, RuntimeError):
    """Called by a function that rkvs is calling, where that cannot work."""

    code = StatusCode.WOULD_DEADLOCK


class ForkedError(RkvsError, RuntimeError):
    """The process is a fork of one that had opened a store."""

    code = StatusCode.FORKED


class UnsupportedError(RkvsError):
    """The C library does not know how to do this."""

    code = StatusCode.UNSUPPORTED


class InternalError(RkvsError, RuntimeError):
    """A mistake of the library: please report it."""

    code = StatusCode.INTERNAL


_CLASSES: Dict[int, Type[RkvsError]] = {cls.code: cls for cls in RkvsError.__subclasses__()}


def error_class(code: int) -> Type[RkvsError]:
    """The exception for a code; RkvsError itself for one that this package does not know."""
    return _CLASSES.get(code, RkvsError)


def make_error(
    code: int,
    message: str = "",
    *,
    index: int = -1,
    key: Optional[bytes] = None,
    result: Optional[BatchResult] = None,
) -> RkvsError:
    """An exception object for a code that the C library returned."""
    known = _CLASSES.get(code)
    if known is not None:
        return known(message, index=index, key=key, result=result)
    return RkvsError(message or f"status {code}", code=code, index=index, key=key, result=result)


def to_status(code: int) -> int:
    """The StatusCode of a number, or the number where there is none."""
    try:
        return StatusCode(code)
    except ValueError:
        return code
