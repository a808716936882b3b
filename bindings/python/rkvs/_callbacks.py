"""What the C library calls: one function for logs and one for progress, both made once.

A Python function is known to C as a number. C hands it back with each call, and it is looked up
here: no closure is made for a call, and none can be collected while C still has it.
"""

from __future__ import annotations

import itertools
import logging
from typing import Any, Callable, Dict, Optional

from rkvs import _ffi
from rkvs.config import LogLevel, Progress

__all__ = ["LogHook", "ProgressHook", "ProgressCall", "forget_log", "register_log"]

LogHook = Callable[[LogLevel, str], object]
ProgressHook = Callable[[Progress], object]

_numbers = itertools.count(1)
_logs: Dict[int, LogHook] = {}
_progress: Dict[int, "ProgressCall"] = {}
_LOGGING_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)


def _on_log(user: Optional[int], level: int, message: Optional[int], size: int) -> None:
    hook = _logs.get(user or 0)
    if hook is not None:
        # What it raises is reported through sys.unraisablehook, by ctypes.
        hook(LogLevel(level), _ffi.bytes_at(message, size).decode("utf-8", "replace"))


def _on_progress(user: Optional[int], progress: Any) -> int:
    call = _progress.get(user or 0)
    if call is None:
        return 0
    seen = progress.contents
    try:
        answer = call.hook(
            Progress(seen.entries_done, seen.entries_total, seen.bytes_done, seen.bytes_total)
        )
    except BaseException as error:  # raised where the operation was called
        call.error = error
        return 1
    return 1 if answer is False else 0


_functions: Dict[str, Any] = {}


def _function(name: str) -> Optional[int]:
    """The address of the static function, made when first needed and never given up."""
    if name not in _functions:
        made = (
            _ffi.LogFunction(_on_log) if name == "log" else _ffi.ProgressFunction(_on_progress)
        )
        _functions.setdefault(name, made)
    return _ffi.address_of(_functions[name])


def register_log(options: Any, hook: Any) -> int:
    """Puts a hook, or a logging.Logger, into the options. Returns its number for forget_log."""
    if isinstance(hook, (logging.Logger, logging.LoggerAdapter)):
        logger = hook

        def hook(level: LogLevel, message: str) -> None:
            logger.log(_LOGGING_LEVELS[level], "%s", message)

    if not callable(hook):
        raise TypeError(f"a log hook is a function or a Logger, not {type(hook).__name__!r}")
    number = next(_numbers)
    _logs[number] = hook
    options.log = _function("log")
    options.log_user = number
    return number


def forget_log(number: int) -> None:
    _logs.pop(number, None)


class ProgressCall:
    """A progress hook for the time of one operation: ``with ProgressCall(hook, structure):``

    `structure` is whatever has the fields progress and progress_user. A hook that returns False or
    raises cancels the operation; what it raised is raised again at the end of the block.
    """

    __slots__ = ("error", "hook", "_number")

    def __init__(self, hook: ProgressHook, structure: Any) -> None:
        self.hook = hook
        self.error: Optional[BaseException] = None
        self._number = next(_numbers)
        structure.progress = _function("progress")
        structure.progress_user = self._number

    def __enter__(self) -> ProgressCall:
        _progress[self._number] = self
        return self

    def __exit__(self, *_: object) -> None:
        _progress.pop(self._number, None)
        if self.error is not None:
            raise self.error
