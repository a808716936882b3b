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

from types import TracebackType
from typing import Any, Awaitable, Generator, Optional, Type

from rkvs._async_manager import AsyncStorageManager
from rkvs._async_namespace import AsyncNamespace
from rkvs.manager import Path

__all__ = ["AsyncNamespace", "AsyncStorageManager", "open"]


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
