"""Many keys in one call: modes, results, and batches of different operations."""

from __future__ import annotations

import datetime
import enum
import math
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Sequence, Union

from rkvs import _ffi
from rkvs._handle import Handle, call, failure, signed, to_key, unsigned
from rkvs.errors import InvalidArgumentError, RkvsError, make_error, to_status

if TYPE_CHECKING:
    from typing_extensions import Buffer

    #: What is taken as a key or a value: any buffer, or str as UTF-8.
    BytesLike = Union[Buffer, str]

__all__ = ["AtomicBatch", "BatchMode", "BatchResult", "Expire", "ExpireAt"]

#: How long from now: seconds, or a timedelta.
Expire = Union[float, datetime.timedelta]
#: When: as time.time(), or a datetime (a naive one is local time).
ExpireAt = Union[float, datetime.datetime]


class BatchMode(enum.IntEnum):
    """What a batch does when one of its items cannot be done."""

    #: Checked first, then applied whole or not at all, in one instant; reads are of one instant.
    ALL_OR_NOTHING = 0
    #: Every item that can be done is done.
    BEST_EFFORT = 1


def _milliseconds(what: str, seconds: float) -> int:
    if not 0 < seconds < 9e15:
        raise InvalidArgumentError(f"{what} = {seconds}: a time above 0 is needed")
    return math.ceil(seconds * 1000)


def expire_milliseconds(expire: Optional[Expire]) -> int:
    if expire is None:
        return 0
    if isinstance(expire, datetime.timedelta):
        expire = expire.total_seconds()
    return _milliseconds("expire", expire)


def write_options(
    expire: Optional[Expire], expire_at: Optional[ExpireAt], keep_ttl: bool = False
) -> Any:
    """A reference to the options for C, None for the defaults."""
    if expire is None and expire_at is None and not keep_ttl:
        return None
    options = _ffi.sized(_ffi.WriteOptionsStruct)
    options.flags = _ffi.KEEP_TTL if keep_ttl else 0
    options.expire_after_ms = expire_milliseconds(expire)
    if expire_at is not None:
        if isinstance(expire_at, datetime.datetime):
            expire_at = expire_at.timestamp()
        options.expire_at_unix_ms = _milliseconds("expire_at", expire_at)
    return _ffi.ref(options)


def counter_options(initial: int, expire: Optional[Expire]) -> Any:
    if not initial and expire is None:
        return None
    options = _ffi.sized(_ffi.CounterOptionsStruct)
    options.initial = signed("initial", initial)
    options.expire_after_ms = expire_milliseconds(expire)
    return _ffi.ref(options)


class BatchResult:
    """What came of each item of a batch, in input order.

    >>> import rkvs
    >>> with rkvs.open() as store:
    ...     ns = store.create_namespace("example")
    ...     ns["a"] = b"1"
    ...     result = ns.get_multiple(["a", "b"], rkvs.BatchMode.BEST_EFFORT)
    >>> result.values, result.statuses[1].name, result.total_processed
    ([b'1', None], 'NOT_FOUND', 1)
    """

    __slots__ = (
        "duration",
        "index",
        "message",
        "status",
        "total_processed",
        "values",
        "versions",
        "_codes",
    )

    #: Of the batch as a whole.
    status: int
    #: The values that were read, replaced or removed; None where there is none.
    values: List[Optional[bytes]]
    #: In atomic batches; else 0.
    versions: List[int]
    #: How many items are OK.
    total_processed: int
    #: Seconds.
    duration: float
    #: The first item that failed, where the whole batch did; otherwise -1.
    index: int
    #: Why the batch failed; "" where it did not.
    message: str

    def __init__(self, raw: _ffi.RawBatch, message: str = "", index: int = -1) -> None:
        self.status = to_status(raw.status)
        self.values = raw.values
        self.versions = raw.versions
        self.total_processed = raw.total_processed
        self.duration = raw.duration_ns / 1e9
        self.index = index
        self.message = message
        self._codes = raw.statuses

    @property
    def statuses(self) -> List[Any]:
        """A :class:`StatusCode` for each item."""
        return [to_status(code) for code in self._codes]

    def is_success(self) -> bool:
        """Whether every item is OK."""
        return self.status == 0 and self.total_processed == len(self._codes)

    def __len__(self) -> int:
        return len(self._codes)

    def __iter__(self) -> Iterator[Optional[bytes]]:
        return iter(self.values)

    def __repr__(self) -> str:
        return (
            f"<rkvs.BatchResult {_ffi.status_name(int(self.status))}: "
            f"{self.total_processed} of {len(self._codes)} items are OK>"
        )

    def error(self, keys: Optional[Sequence[bytes]] = None) -> Optional[RkvsError]:
        """The first item that is an error, or the error of the whole batch; None without one.

        In best effort, an item that is merely absent, or there already, is none.
        """
        status, index = int(self.status), self.index
        if status == 0:
            for index, status in enumerate(self._codes):
                if status < 0:
                    break
            else:
                return None
        key = keys[index] if keys is not None and 0 <= index < len(keys) else None
        message = self.message
        if not message:
            message = repr(key) if key is not None and status > 0 else _ffi.status_name(status)
        return make_error(status, message, index=index, key=key, result=self)

    def raise_for_status(self) -> None:
        """Raises :meth:`error`, if there is one."""
        error = self.error()
        if error is not None:
            raise error


def run_batch(function: Any, *arguments: Any) -> BatchResult:
    """Calls a function that ends with slots for a result and an error, and reads the result.

    Raises only where there is no result: then no item was looked at.
    """
    result, error = _ffi.pointer_slot(), _ffi.pointer_slot()
    status = function(*arguments, _ffi.ref(result), _ffi.ref(error))
    if not result.value:
        raise failure(status, error.value)
    try:
        message, index = _ffi.read_error(error.value)
        if index < 0 and status != 0:
            index = _ffi.first_failed(result.value, status)
        return BatchResult(_ffi.read_batch(result.value), message, index)
    finally:
        _ffi.lib.batch_result_release(result.value)


def check_batch(batch: Any) -> None:
    if not isinstance(batch, AtomicBatch):
        raise TypeError(f"an AtomicBatch is required, not {type(batch).__name__!r}")


class AtomicBatch:
    """Different operations that happen at one instant, all of them or none.

    Each sees what those before it did. What is an outcome for a single key fails the batch: an
    absent key in ``update``, one that is there in ``add``. Methods return the batch, so that they
    can be chained. To be filled by one thread at a time; may be applied by many, and again.

    >>> import rkvs
    >>> with rkvs.open() as store:
    ...     accounts = store.create_namespace("accounts")
    ...     accounts.update({"alice": b"10", "bob": b"0"})
    ...     batch = rkvs.AtomicBatch().decrement("alice", 4).increment("bob", 4)
    ...     result = accounts.apply(batch)
    ...     accounts["alice"], accounts["bob"]
    (b'6', b'4')
    """

    __slots__ = ("_bytes", "_handle", "__weakref__")

    def __init__(self) -> None:
        self._bytes = 0
        batch = _ffi.pointer_slot()
        call(_ffi.held.atomic_batch_create, _ffi.ref(batch))
        self._handle = Handle(batch.value, _ffi.held.atomic_batch_release)

    @property
    def pointer(self) -> int:
        return self._handle.pointer

    def __len__(self) -> int:
        size: int = _ffi.held.atomic_batch_size(self._handle.pointer)
        return size

    def clear(self) -> AtomicBatch:
        call(_ffi.lib.atomic_batch_clear, self._handle.pointer)
        self._bytes = 0
        return self

    def _write(
        self, name: str, key: BytesLike, value: BytesLike, *more: Any, options: Any
    ) -> AtomicBatch:
        data = to_key(key)
        with _ffi.Borrowed(value) as (pointer, size):
            call(
                getattr(_ffi.lib if size > _ffi.LARGE_VALUE else _ffi.held, name),
                self._handle.pointer,
                data,
                len(data),
                *more,
                pointer,
                size,
                options,
            )
            self._bytes += size
        return self

    def _key(self, function: Any, key: BytesLike, *more: Any) -> AtomicBatch:
        data = to_key(key)
        call(function, self._handle.pointer, data, len(data), *more)
        return self

    def set(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> AtomicBatch:
        """Gives the key this value, whether or not it had one."""
        options = write_options(expire, expire_at, keep_ttl)
        return self._write("atomic_batch_set", key, value, options=options)

    def add(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
    ) -> AtomicBatch:
        """Stores a key that must be absent."""
        options = write_options(expire, expire_at)
        return self._write("atomic_batch_add", key, value, options=options)

    def update(
        self,
        key: BytesLike,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> AtomicBatch:
        """Gives a key that must be there another value."""
        options = write_options(expire, expire_at, keep_ttl)
        return self._write("atomic_batch_update", key, value, options=options)

    def delete_key(self, key: BytesLike) -> AtomicBatch:
        """Removes a key that must be there."""
        return self._key(_ffi.held.atomic_batch_delete_key, key)

    delete = delete_key

    def consume(self, key: BytesLike) -> AtomicBatch:
        """Removes a key that must be there; its value is in the result."""
        return self._key(_ffi.held.atomic_batch_consume, key)

    def compare_and_set(
        self,
        key: BytesLike,
        version: int,
        value: BytesLike,
        *,
        expire: Optional[Expire] = None,
        expire_at: Optional[ExpireAt] = None,
        keep_ttl: bool = False,
    ) -> AtomicBatch:
        """Gives a key that must have this version another value."""
        return self._write(
            "atomic_batch_compare_and_set",
            key,
            value,
            unsigned("version", version),
            options=write_options(expire, expire_at, keep_ttl),
        )

    def compare_and_delete(self, key: BytesLike, version: int) -> AtomicBatch:
        """Removes a key that must have this version."""
        return self._key(
            _ffi.held.atomic_batch_compare_and_delete, key, unsigned("version", version)
        )

    def increment(
        self,
        key: BytesLike,
        delta: int = 1,
        *,
        initial: int = 0,
        expire: Optional[Expire] = None,
    ) -> AtomicBatch:
        """Counts up; the new number is in the result, as decimal digits."""
        return self._key(
            _ffi.held.atomic_batch_increment,
            key,
            signed("delta", delta),
            counter_options(initial, expire),
        )

    def decrement(
        self,
        key: BytesLike,
        delta: int = 1,
        *,
        initial: int = 0,
        expire: Optional[Expire] = None,
    ) -> AtomicBatch:
        """Counts down; the new number is in the result, as decimal digits."""
        return self._key(
            _ffi.held.atomic_batch_decrement,
            key,
            signed("delta", delta),
            counter_options(initial, expire),
        )

    incr = increment
    decr = decrement

    def check_version(self, key: BytesLike, version: int) -> AtomicBatch:
        """Fails the batch unless the key has this version."""
        return self._key(_ffi.held.atomic_batch_check_version, key, unsigned("version", version))

    def check_exists(self, key: BytesLike) -> AtomicBatch:
        """Fails the batch unless the key is there."""
        return self._key(_ffi.held.atomic_batch_check_exists, key)

    def check_absent(self, key: BytesLike) -> AtomicBatch:
        """Fails the batch if the key is there."""
        return self._key(_ffi.held.atomic_batch_check_absent, key)
