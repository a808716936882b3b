"""AsyncStorageManager: a store whose operations are awaited."""

from __future__ import annotations

from types import TracebackType
from typing import Any, List, Optional, Type, Union

from rkvs import _ffi
from rkvs._callbacks import ProgressHook
from rkvs._ffi import lib, ref
from rkvs._handle import call, name_bytes
from rkvs._loop import Front, NoLoop, Outcome
from rkvs._async_namespace import AsyncNamespace
from rkvs.config import (
    AutosaveConfig,
    AutosaveStatus,
    LoadReport,
    ManagerConfig,
    NamespaceConfig,
    NamespaceStats,
)
from rkvs.errors import NamespaceExistsError, NamespaceNotFoundError
from rkvs.manager import (
    Path,
    StorageManager,
    autosave_item,
    namespace_config,
    read_load_report,
    stats_item,
)

__all__ = ["AsyncStorageManager"]


class AsyncStorageManager(Front):
    """A :class:`StorageManager` whose operations are awaited; see there for what each does.

    Takes the same arguments, or a manager. ``async with`` initialises it and closes it.
    """

    __slots__ = ("sync",)

    #: The same store without ``await``.
    sync: StorageManager

    def __init__(
        self, directory: Union[Path, StorageManager, None] = None, **options: Any
    ) -> None:
        if isinstance(directory, StorageManager):
            self.sync = directory
        else:
            self.sync = StorageManager(directory, **options)
        self._handle = self.sync._handle
        self._loop = NoLoop

    def __repr__(self) -> str:
        return f"<rkvs.aio.AsyncStorageManager of {self.sync!r}>"

    async def __aenter__(self) -> AsyncStorageManager:
        if not self.sync.is_initialized():
            await self.initialize()
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    async def _manage(self, function: Any, *arguments: Any) -> Outcome:
        return await self._call(function, self._handle.pointer, *arguments)

    # --- Life ------------------------------------------------------------------------------------

    async def initialize(
        self, file: Optional[str] = None, progress: Optional[ProgressHook] = None
    ) -> None:
        """Makes the store ready: empty, or with what ``file`` in its directory holds."""
        if file is None:
            await self._manage(lib.manager_initialize_async)
            return
        await self._call_with_progress(
            progress, lib.manager_initialize_file_async, self._handle.pointer, name_bytes(file)
        )

    async def load_report(self) -> LoadReport:
        """What initialising found."""
        found = (await self._manage(lib.manager_load_report_async)).list
        assert found is not None
        report = _ffi.pointer_slot()
        call(lib.list_load_report, found.pointer, ref(report))
        return read_load_report(report.value)

    async def is_initialized(self) -> bool:
        """Whether the store is ready."""
        return self.sync.is_initialized()

    async def has_persistence(self) -> bool:
        """Whether it has a directory."""
        return self.sync.has_persistence()

    async def close(self) -> None:
        """Ends the store; operations in flight end as cancelled or closed. A task that is cancelled
        meanwhile waits no longer, and the store ends all the same."""
        await self._manage(lib.manager_close_async)

    # --- Namespaces ------------------------------------------------------------------------------

    def _namespace(self, outcome: Outcome) -> AsyncNamespace:
        assert outcome.ns is not None
        return AsyncNamespace(self.sync._namespace(outcome.ns))

    async def create_namespace(
        self, name: str, config: Optional[NamespaceConfig] = None, **limits: Any
    ) -> AsyncNamespace:
        """Adds an empty namespace. ``limits`` are the fields of :class:`NamespaceConfig`."""
        struct = namespace_config(config, limits)
        return self._namespace(
            await self._manage(lib.manager_create_namespace_async, name_bytes(name), struct)
        )

    async def get_namespace(self, name: str) -> AsyncNamespace:
        """The namespace of this name; raises :class:`NamespaceNotFoundError`, a ``KeyError``."""
        return self._namespace(
            await self._manage(lib.manager_get_namespace_async, name_bytes(name))
        )

    async def namespace(
        self, name: str, config: Optional[NamespaceConfig] = None, **limits: Any
    ) -> AsyncNamespace:
        """The namespace of this name, made with these limits where it is absent."""
        while True:
            try:
                return await self.get_namespace(name)
            except NamespaceNotFoundError:
                pass
            try:
                return await self.create_namespace(name, config, **limits)
            except NamespaceExistsError:
                pass

    async def delete_namespace(self, name: str) -> None:
        """Removes the namespace and its data; handles raise :class:`NamespaceDeletedError`."""
        await self._call(
            lib.manager_delete_namespace_async, self._handle.pointer, name_bytes(name)
        )

    async def clone_namespace(
        self, name: str, new_name: str, progress: Optional[ProgressHook] = None
    ) -> AsyncNamespace:
        """Adds a namespace with the configuration and content of another, of one instant."""
        outcome = await self._call_with_progress(
            progress,
            lib.manager_clone_namespace_async,
            self._handle.pointer,
            name_bytes(name),
            name_bytes(new_name),
        )
        return self._namespace(outcome)

    async def list_namespaces(self) -> List[str]:
        """The names, sorted."""
        outcome = await self._manage(lib.manager_list_namespaces_async)
        return [name.decode() for name in outcome.items()]

    async def update_namespace_config(
        self, name: str, config: Optional[NamespaceConfig] = None, **changes: Any
    ) -> None:
        """As :meth:`AsyncNamespace.update_config`."""
        if config is None:
            await (await self.get_namespace(name)).update_config(**changes)
            return
        struct = namespace_config(config, changes)
        await self._manage(
            lib.manager_update_namespace_config_async, name_bytes(name), struct
        )

    # --- Configuration and figures ---------------------------------------------------------------

    async def get_config(self) -> ManagerConfig:
        """What is in force."""
        found = (await self._manage(lib.manager_get_config_async)).list
        assert found is not None
        struct = _ffi.sized(_ffi.ManagerConfigStruct)
        call(lib.list_manager_config, found.pointer, 0, ref(struct))
        return ManagerConfig.from_struct(struct)

    async def update_config(self, config: ManagerConfig) -> None:
        """What is None becomes its default."""
        struct = _ffi.sized(_ffi.ManagerConfigStruct)
        config.fill(struct)
        await self._manage(lib.manager_update_config_async, ref(struct))

    async def namespace_stats(self, name: str) -> NamespaceStats:
        """The figures of one namespace, of one instant."""
        outcome = await self._manage(lib.manager_namespace_stats_async, name_bytes(name))
        (figures,) = outcome.read(stats_item)
        return figures

    async def all_namespace_stats(self) -> List[NamespaceStats]:
        """Of all, sorted by name."""
        return (await self._manage(lib.manager_all_namespace_stats_async)).read(stats_item)

    async def metrics_text(self) -> str:
        """All figures in Prometheus' text format."""
        text: bytes = (await self._manage(lib.manager_metrics_text_async)).value or b""
        return text.decode()

    async def namespace_count(self) -> int:
        """How many namespaces there are."""
        return (await self._manage(lib.manager_namespace_count_async)).number

    async def total_key_count(self) -> int:
        """Of all namespaces."""
        return (await self._manage(lib.manager_total_key_count_async)).number

    # --- Snapshots -------------------------------------------------------------------------------

    async def save_all(self, file: str, progress: Optional[ProgressHook] = None) -> None:
        """Saves one instant of all namespaces to a file in the directory, while writers go on."""
        await self._call_with_progress(
            progress, lib.manager_save_all_async, self._handle.pointer, name_bytes(file)
        )

    async def save_namespace(
        self, name: str, file: str, progress: Optional[ProgressHook] = None
    ) -> None:
        """As :meth:`save_all`, of one namespace."""
        await self._call_with_progress(
            progress,
            lib.manager_save_namespace_async,
            self._handle.pointer,
            name_bytes(name),
            name_bytes(file),
        )

    async def load_namespace(
        self, file: str, progress: Optional[ProgressHook] = None
    ) -> AsyncNamespace:
        """Adds the one namespace that the file holds, under its own name."""
        outcome = await self._call_with_progress(
            progress, lib.manager_load_namespace_async, self._handle.pointer, name_bytes(file)
        )
        return await self.get_namespace((outcome.value or b"").decode())

    async def load_namespace_as(
        self,
        file: str,
        new_name: str,
        source: Optional[str] = None,
        progress: Optional[ProgressHook] = None,
    ) -> AsyncNamespace:
        """Adds a namespace of the file under another name; ``source`` says which of several."""
        await self._call_with_progress(
            progress,
            lib.manager_load_namespace_as_async,
            self._handle.pointer,
            name_bytes(file),
            name_bytes(new_name),
            None if source is None else name_bytes(source),
        )
        return await self.get_namespace(new_name)

    # --- Autosave --------------------------------------------------------------------------------

    async def add_namespace_autosave_task(self, name: str, config: AutosaveConfig) -> None:
        """Starts to save the namespace by itself."""
        struct = config.to_struct()
        await self._manage(
            lib.manager_add_namespace_autosave_task_async, name_bytes(name), ref(struct)
        )

    async def start_namespace_autosave_task(self, name: str) -> None:
        """Starts a task that was stopped, or came from a file."""
        await self._manage(lib.manager_start_namespace_autosave_task_async, name_bytes(name))

    async def start_missing_autosave_tasks(self) -> int:
        """Starts every task that is stopped and has something to save; returns how many."""
        return (await self._manage(lib.manager_start_missing_autosave_tasks_async)).number

    async def list_autosave_tasks(self) -> List[AutosaveStatus]:
        """All tasks: the store's first, the others by the names of their namespaces."""
        return (await self._manage(lib.manager_list_autosave_tasks_async)).read(autosave_item)

    async def stop_namespace_autosave(self, name: str) -> None:
        """Stops the task, and waits for a save that is on."""
        await self._manage(lib.manager_stop_namespace_autosave_async, name_bytes(name))

    async def stop_manager_autosave(self) -> None:
        """Stops the task of the whole store, and waits for a save that is on."""
        await self._manage(lib.manager_stop_manager_autosave_async)
