"""rkvs: an in-memory, namespace-based key-value store inside your program.

>>> import rkvs
>>> with rkvs.open() as store:
...     users = store.namespace("users")
...     users["alice"] = "admin"
...     users["alice"]
b'admin'

:class:`StorageManager` is a store, :class:`Namespace` a mapping in it, :mod:`rkvs.aio` has both for
``asyncio``, and :func:`memoize` keeps what functions return. Every exception is an
:class:`RkvsError` with a ``code``.
"""

from rkvs import _ffi
from rkvs._callbacks import LogHook, ProgressHook
from rkvs.batch import AtomicBatch, BatchMode, BatchResult
from rkvs.config import (
    AutosaveConfig,
    AutosaveState,
    AutosaveStatus,
    LoadReport,
    LogLevel,
    ManagerConfig,
    NamespaceConfig,
    NamespaceStats,
    Progress,
    ShardStats,
    SkippedFile,
)
from rkvs.errors import (
    AutosaveExistsError,
    AutosaveNotConfiguredError,
    AutosaveNotRunningError,
    BusyError,
    ClosedError,
    CounterOverflowError,
    DirectoryLockedError,
    ForkedError,
    InternalError,
    InvalidArgumentError,
    InvalidNameError,
    KeyExistsError,
    KeyNotFoundError,
    KeyTooLargeError,
    LimitBelowUseError,
    MemoryLimitError,
    NamespaceDeletedError,
    NamespaceExistsError,
    NamespaceNotFoundError,
    NoMemoryError,
    NoPersistenceError,
    NotANumberError,
    NotAppliedError,
    NotInitializedError,
    OperationCancelledError,
    OperationTimeoutError,
    RkvsError,
    SnapshotCorruptError,
    SnapshotNotFoundError,
    SnapshotVersionError,
    StatusCode,
    StorageIOError,
    TooManyKeysError,
    TooManyNamespacesError,
    UnsupportedError,
    ValueTooLargeError,
    VersionMismatchError,
    WouldDeadlockError,
    error_class,
)
from rkvs.manager import StorageManager, open
from rkvs.memoize import memoize
from rkvs.namespace import Namespace

__version__ = _ffi.version()

__all__ = [
    "AtomicBatch",
    "AutosaveConfig",
    "AutosaveExistsError",
    "AutosaveNotConfiguredError",
    "AutosaveNotRunningError",
    "AutosaveState",
    "AutosaveStatus",
    "BatchMode",
    "BatchResult",
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
    "LoadReport",
    "LogHook",
    "LogLevel",
    "ManagerConfig",
    "MemoryLimitError",
    "Namespace",
    "NamespaceConfig",
    "NamespaceDeletedError",
    "NamespaceExistsError",
    "NamespaceNotFoundError",
    "NamespaceStats",
    "NoMemoryError",
    "NoPersistenceError",
    "NotANumberError",
    "NotAppliedError",
    "NotInitializedError",
    "OperationCancelledError",
    "OperationTimeoutError",
    "Progress",
    "ProgressHook",
    "RkvsError",
    "ShardStats",
    "SkippedFile",
    "SnapshotCorruptError",
    "SnapshotNotFoundError",
    "SnapshotVersionError",
    "StatusCode",
    "StorageIOError",
    "StorageManager",
    "TooManyKeysError",
    "TooManyNamespacesError",
    "UnsupportedError",
    "ValueTooLargeError",
    "VersionMismatchError",
    "WouldDeadlockError",
    "__version__",
    "error_class",
    "memoize",
    "open",
]
