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

from rkvs import _ffi, errors
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
from rkvs.errors import *  # noqa: F403
from rkvs.manager import StorageManager, open
from rkvs.memoize import memoize
from rkvs.namespace import Namespace

__version__ = _ffi.version()

__all__ = [
    "AtomicBatch",
    "AutosaveConfig",
    "AutosaveState",
    "AutosaveStatus",
    "BatchMode",
    "BatchResult",
    "LoadReport",
    "LogHook",
    "LogLevel",
    "ManagerConfig",
    "Namespace",
    "NamespaceConfig",
    "NamespaceStats",
    "Progress",
    "ProgressHook",
    "ShardStats",
    "SkippedFile",
    "StorageManager",
    "__version__",
    "memoize",
    "open",
]
__all__ += errors.__all__
