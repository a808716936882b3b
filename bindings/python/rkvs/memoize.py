"""memoize: what a function returned, kept in a namespace."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import inspect
import pickle
import threading
from typing import Any, Callable, Dict, Optional, Tuple, TypeVar, cast

from rkvs.batch import Expire, expire_milliseconds
from rkvs.errors import MemoryLimitError, TooManyKeysError, ValueTooLargeError
from rkvs.namespace import Namespace

__all__ = ["memoize"]

Function = TypeVar("Function", bound=Callable[..., Any])

# A longer key, of many or large arguments, ends with a digest of them instead.
_LONG_KEY = 1024
# The namespace has no place for a result: the caller gets it all the same.
_NO_PLACE = (MemoryLimitError, TooManyKeysError, ValueTooLargeError)


def memoize(
    namespace: Any,
    expire: Optional[Expire] = None,
    *,
    name: Optional[str] = None,
    typed: bool = False,
    dumps: Callable[[Any], bytes] = pickle.dumps,
    loads: Callable[[bytes], Any] = pickle.loads,
) -> Callable[[Function], Function]:
    """Keeps what a function, plain or ``async``, returns for the same arguments.

    ``namespace``
        a :class:`Namespace` or :class:`rkvs.aio.AsyncNamespace`.
    ``expire``
        how long: seconds or a timedelta; None: as long as it lasts.
    ``name``
        what keys begin with; the function's full name, unless given. Functions that have the same
        one, which lambdas and functions made by a function do, need one each: they would be given
        each other's results.
    ``typed``
        whether 1 and 1.0 are different arguments.
    ``dumps``, ``loads``
        how results are stored: pickle, unless given. Whoever can write the namespace can make
        ``pickle`` run code.

    Of several threads (or tasks) that call with the same arguments at the same time, one runs the
    function and the others wait for its result. An exception is not kept, nor is a result for which
    the namespace has no place. The function gets
    ``key(*args)``, ``forget(*args)`` and, as ``__wrapped__``, itself.

    >>> import rkvs
    >>> cache = rkvs.open().create_namespace("cache")
    >>> @rkvs.memoize(cache, expire=60)
    ... def square(x):
    ...     print("computing")
    ...     return x * x
    >>> square(4), square(4)
    computing
    (16, 16)
    >>> square.forget(4)
    True
    """
    store = namespace if isinstance(namespace, Namespace) else getattr(namespace, "sync", None)
    if not isinstance(store, Namespace):
        raise TypeError(f"memoize() takes a namespace, not {type(namespace).__name__!r}")
    expire_milliseconds(expire)  # raises now rather than when the first result is there

    def decorate(function: Function) -> Function:
        prefix = (name or f"{function.__module__}.{function.__qualname__}").encode() + b"\0"

        def key(*args: Any, **kwargs: Any) -> bytes:
            parts: Tuple[Any, ...] = (args, tuple(sorted(kwargs.items())))
            if typed:
                parts += (
                    tuple(type(value) for value in args),
                    tuple(type(value) for _, value in parts[1]),
                )
            else:
                parts = cast(Tuple[Any, ...], _untyped(parts))
            # Without memo: equal arguments must give equal bytes, whoever else refers to them.
            data = _plain_dumps(parts)
            if len(prefix) + len(data) > _LONG_KEY:
                data = b"\0" + hashlib.sha256(data).digest()
            return prefix + data

        if inspect.iscoroutinefunction(function):
            wrapper = _asynchronous(function, store, key, expire, dumps, loads)
        else:
            wrapper = _synchronous(function, store, key, expire, dumps, loads)
        functools.update_wrapper(wrapper, function)
        wrapper.key = key  # type: ignore[attr-defined]
        wrapper.forget = lambda *args, **kwargs: store.delete_key(  # type: ignore[attr-defined]
            key(*args, **kwargs)
        )
        return cast(Function, wrapper)

    return decorate


def _untyped(value: Any) -> Any:
    """Numbers that are equal become the same number."""
    if isinstance(value, tuple):
        return tuple(map(_untyped, value))
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value


def _plain_dumps(value: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=4)
    pickler.fast = True
    pickler.dump(value)
    return buffer.getvalue()


def _synchronous(
    function: Callable[..., Any],
    store: Namespace,
    key: Callable[..., bytes],
    expire: Optional[Expire],
    dumps: Callable[[Any], bytes],
    loads: Callable[[bytes], Any],
) -> Callable[..., Any]:
    guard = threading.Lock()
    # A lock and how many use it, for each key that is being computed.
    running: Dict[bytes, Tuple[threading.RLock, int]] = {}

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        name = key(*args, **kwargs)
        found = store.get(name)
        if found is not None:
            return loads(found)
        with guard:
            lock, users = running.get(name) or (threading.RLock(), 0)
            running[name] = lock, users + 1
        try:
            with lock:
                found = store.get(name)
                if found is not None:
                    return loads(found)
                result = function(*args, **kwargs)
                with contextlib.suppress(*_NO_PLACE):
                    store.put(name, dumps(result), expire=expire)
                return result
        finally:
            with guard:
                lock, users = running[name]
                if users == 1:
                    del running[name]
                else:
                    running[name] = lock, users - 1

    return wrapper


def _asynchronous(
    function: Callable[..., Any],
    store: Namespace,
    key: Callable[..., bytes],
    expire: Optional[Expire],
    dumps: Callable[[Any], bytes],
    loads: Callable[[bytes], Any],
) -> Callable[..., Any]:
    # The task that computes, for each key and event loop.
    running: Dict[Tuple[int, bytes], "asyncio.Task[Any]"] = {}

    async def compute(name: bytes, args: Any, kwargs: Any) -> Any:
        result = await function(*args, **kwargs)
        with contextlib.suppress(*_NO_PLACE):
            await store.aio.put(name, dumps(result), expire=expire)
        return result

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        name = key(*args, **kwargs)
        found = await store.aio.get(name)
        if found is not None:
            return loads(found)
        loop = asyncio.get_running_loop()
        slot = id(loop), name
        task = running.get(slot)
        if task is None or task.get_loop() is not loop:
            task = loop.create_task(compute(name, args, kwargs))
            running[slot] = task
            task.add_done_callback(lambda done: running.pop(slot, None))
        # A caller that is cancelled leaves the others what they wait for.
        return await asyncio.shield(task)

    return wrapper
