"""Options and figures: plain objects that cannot change.

Times are seconds, as everywhere in Python, and sizes bytes. Zero stands for "no limit".
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, NamedTuple, Optional, Tuple

from rkvs import _ffi
from rkvs._handle import name_bytes, unsigned
from rkvs.errors import InvalidArgumentError, RkvsError, make_error

__all__ = [
    "AutosaveConfig",
    "AutosaveState",
    "AutosaveStatus",
    "LoadReport",
    "LogLevel",
    "ManagerConfig",
    "NamespaceConfig",
    "NamespaceStats",
    "Progress",
    "ShardStats",
    "SkippedFile",
]


class LogLevel(enum.IntEnum):
    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class AutosaveState(enum.IntEnum):
    WAITING = 0
    SAVING = 1
    STOPPED = 2


class Progress(NamedTuple):
    """How far a save, load, clone or resize has come. Totals are 0 as long as they are unknown."""

    entries_done: int
    entries_total: int
    bytes_done: int
    bytes_total: int


def milliseconds(what: str, seconds: float) -> int:
    """Seconds as milliseconds, rounded, but never down to 0."""
    if not 0 <= seconds < 1e15:
        raise InvalidArgumentError(f"{what} = {seconds} seconds")
    return max(1, round(seconds * 1000)) if seconds else 0


@dataclasses.dataclass(frozen=True)
class NamespaceConfig:
    """Limits and behaviour of one namespace.

    >>> NamespaceConfig(max_keys=1000).lock_timeout
    0.5
    """

    #: 0: automatic, grows with the data; 1 to 4096: exactly so many.
    shard_count: int = 0
    #: Exact at all times.
    max_keys: int = 0
    #: At most 1 GiB.
    max_value_size: int = 0
    #: 0: 64 KiB; at most 1 MiB.
    max_key_size: int = 0
    #: Of keys, values, their overhead and tables.
    max_bytes: int = 0
    #: How many seconds an operation may wait in all: 0.001 to 3600.
    lock_timeout: float = 0.5

    def to_struct(self) -> Any:
        struct = _ffi.sized(_ffi.NamespaceConfigStruct)
        struct.shard_count = unsigned("shard_count", self.shard_count, 32)
        struct.max_keys = unsigned("max_keys", self.max_keys)
        struct.max_value_size = unsigned("max_value_size", self.max_value_size)
        struct.max_key_size = unsigned("max_key_size", self.max_key_size)
        struct.max_bytes = unsigned("max_bytes", self.max_bytes)
        if not self.lock_timeout > 0:
            raise InvalidArgumentError(f"lock_timeout = {self.lock_timeout} seconds")
        struct.lock_timeout_ms = milliseconds("lock_timeout", self.lock_timeout)
        return struct

    @classmethod
    def from_struct(cls, struct: Any) -> NamespaceConfig:
        return cls(
            shard_count=struct.shard_count,
            max_keys=struct.max_keys,
            max_value_size=struct.max_value_size,
            max_key_size=struct.max_key_size,
            max_bytes=struct.max_bytes,
            lock_timeout=struct.lock_timeout_ms / 1000,
        )


@dataclasses.dataclass(frozen=True)
class ManagerConfig:
    """Limits of a whole store, which travel with its snapshots.

    None leaves a limit open: it comes from the file that initialises the store, or is no limit.
    """

    max_namespaces: Optional[int] = None
    max_bytes: Optional[int] = None

    def fill(self, struct: Any) -> None:
        if self.max_namespaces is not None:
            struct.flags |= _ffi.SET_MAX_NAMESPACES
            struct.max_namespaces = unsigned("max_namespaces", self.max_namespaces)
        if self.max_bytes is not None:
            struct.flags |= _ffi.SET_MAX_BYTES
            struct.max_bytes = unsigned("max_bytes", self.max_bytes)

    @classmethod
    def from_struct(cls, struct: Any) -> ManagerConfig:
        return cls(
            max_namespaces=(
                struct.max_namespaces if struct.flags & _ffi.SET_MAX_NAMESPACES else None
            ),
            max_bytes=struct.max_bytes if struct.flags & _ffi.SET_MAX_BYTES else None,
        )


@dataclasses.dataclass(frozen=True)
class AutosaveConfig:
    """When a task saves by itself, and to which file.

    >>> AutosaveConfig("store.rkvs", interval=60, final_save=True).changes
    0
    """

    #: A file name; ``{ns}`` and ``{ts}`` in it stand for the namespace and the time.
    file: str
    #: Seconds; 0: not by time.
    interval: float = 0
    #: After so many entries written or removed; 0: not by changes.
    changes: int = 0
    #: Once more when the store is closed.
    final_save: bool = False

    def to_struct(self) -> Any:
        struct = _ffi.sized(_ffi.AutosaveConfigStruct)
        struct.flags = _ffi.AUTOSAVE_FINAL_SAVE if self.final_save else 0
        struct.interval_ms = milliseconds("interval", self.interval)
        struct.changes = unsigned("changes", self.changes)
        struct.file = name_bytes(self.file)
        return struct


@dataclasses.dataclass(frozen=True)
class AutosaveStatus:
    """An autosave task at one moment; figures count from when it was added."""

    #: None for the task that saves all namespaces.
    namespace: Optional[str]
    state: AutosaveState
    config: AutosaveConfig
    saves: int
    failures: int
    skipped_ticks: int
    unchanged_ticks: int
    #: What the last successful save wrote, "" before the first.
    last_file: str
    #: As time.time(); None before the first.
    last_success: Optional[float]
    last_failure: Optional[float]
    last_error: Optional[RkvsError]
    #: Seconds.
    last_duration: float

    @classmethod
    def from_struct(cls, name: str, struct: Any) -> AutosaveStatus:
        return cls(
            namespace=None if struct.is_manager else name,
            state=AutosaveState(struct.state),
            config=AutosaveConfig(
                file=struct.file.decode("utf-8", "surrogateescape"),
                interval=struct.interval_ms / 1000,
                changes=struct.changes,
                final_save=bool(struct.flags & _ffi.AUTOSAVE_FINAL_SAVE),
            ),
            saves=struct.saves,
            failures=struct.failures,
            skipped_ticks=struct.skipped_ticks,
            unchanged_ticks=struct.unchanged_ticks,
            last_file=struct.last_file.decode("utf-8", "surrogateescape"),
            last_success=struct.last_success_unix_ms / 1000 or None,
            last_failure=struct.last_failure_unix_ms / 1000 or None,
            last_error=(
                make_error(struct.last_error, struct.last_error_message.decode("utf-8", "replace"))
                if struct.last_error
                else None
            ),
            last_duration=struct.last_duration_ms / 1000,
        )


class SkippedFile(NamedTuple):
    """A snapshot that was there and could not be used."""

    file: str
    error: RkvsError


class LoadReport(NamedTuple):
    """What initialising found: the file or an older generation of it, "" when there was none."""

    file: str
    namespaces: int
    keys: int
    skipped: Tuple[SkippedFile, ...]


class NamespaceStats(NamedTuple):
    """A namespace at one instant; `hits` and what follows count since it was made or loaded."""

    name: str
    shard_count: int
    key_count: int
    #: Of all values.
    total_size: int
    #: Of keys, values and their overhead, tables included.
    memory_bytes: int
    hits: int
    misses: int
    sets: int
    deletes: int
    expired: int
    rejected: int
    timeouts: int
    lock_waits: int

    @classmethod
    def from_struct(cls, name: str, struct: Any) -> NamespaceStats:
        return cls(name, *(getattr(struct, field) for field in cls._fields[1:]))


class ShardStats(NamedTuple):
    """One shard; hits and misses only where the manager has ``detailed_metrics``."""

    key_count: int
    total_size: int
    memory_bytes: int
    hits: int
    misses: int
    sets: int
    deletes: int
    expired: int
    rejected: int
    timeouts: int
    lock_waits: int

    @classmethod
    def from_struct(cls, struct: Any) -> ShardStats:
        return cls(*(getattr(struct, field) for field in cls._fields))
