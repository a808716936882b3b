"""Owned handles of the C library, and what every call of it has in common."""

from __future__ import annotations

import operator
from typing import Any, Callable, NoReturn, Optional

from rkvs import _ffi
from rkvs.errors import InvalidArgumentError, KeyTooLargeError, RkvsError, make_error

__all__ = [
    "Handle",
    "call",
    "failure",
    "name_bytes",
    "signed",
    "to_key",
    "unsigned",
]


class Handle:
    """One reference to a C object, given back when this object goes.

    The library allows any order and any thread, and lets releases in a forked child do nothing, so
    that there is nothing to decide here. ``argument`` is for quick calls, ``pointer`` for others.
    """

    __slots__ = ("argument", "parent", "pointer", "_release", "__weakref__")

    def __init__(self, pointer: int, release: Callable[[int], None], parent: Any = None) -> None:
        self.pointer = pointer
        self.argument = _ffi.argument(pointer)
        # Kept for as long as this one: a manager that still has something to log.
        self.parent = parent
        self._release = release

    def __reduce_ex__(self, _: Any) -> NoReturn:
        # A copy would give the same reference back twice; copies of what has a handle share it.
        raise TypeError("what belongs to a store in memory can be neither pickled nor deep-copied")

    def __deepcopy__(self, _: Any) -> NoReturn:
        self.__reduce_ex__(4)

    def __del__(self) -> None:
        pointer, self.pointer = self.pointer, 0
        if pointer:
            self._release(pointer)


def failure(status: int, error: Optional[int], key: Optional[bytes] = None) -> RkvsError:
    """The exception for a status; `error` is the rkvs_error that came with it, and is released."""
    message, index = _ffi.read_error(error)
    if not message:
        message = repr(key) if key is not None and status > 0 else _ffi.status_name(status)
    return make_error(status, message, index=index, key=key)


def call(function: Callable[..., int], *arguments: Any, key: Optional[bytes] = None) -> int:
    """Calls a function whose last parameter is an error slot. Raises errors, returns outcomes."""
    error = _ffi.pointer_slot()
    status = function(*arguments, _ffi.ref(error))
    if status < 0:
        raise failure(status, error.value, key)
    return status


def to_key(key: Any) -> bytes:
    """A key as bytes: str as UTF-8, any other buffer as it is."""
    data = _ffi.to_bytes(key)
    if len(data) > _ffi.MAX_KEY:
        raise KeyTooLargeError(f"a key of {len(data)} bytes; no key may have over {_ffi.MAX_KEY}")
    return data


def name_bytes(name: str) -> bytes:
    """The name of a namespace, file or directory, for C."""
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__!r}")
    if "\0" in name:
        raise InvalidArgumentError(f"a NUL in the name {name!r}")
    return name.encode("utf-8", "surrogateescape")


def unsigned(what: str, number: int, bits: int = 64) -> int:
    """`number`, if it fits: ctypes would cut it off. TypeError for what is no whole number."""
    number = operator.index(number)
    if not 0 <= number < 1 << bits:
        raise InvalidArgumentError(f"{what} = {number} is not from 0 to 2**{bits} - 1")
    return number


def signed(what: str, number: int) -> int:
    number = operator.index(number)
    if not -(1 << 63) <= number < 1 << 63:
        raise InvalidArgumentError(f"{what} = {number} does not fit into 64 bits")
    return number
