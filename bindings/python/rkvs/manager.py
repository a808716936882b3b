"""StorageManager: namespaces, snapshots, autosave."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Type, Union

from rkvs import _ffi
from rkvs._callbacks import ProgressHook, forget_log, register_log
from rkvs._ffi import lib, ref
from rkvs._handle import Handle, call, failure, name_bytes, unsigned
from rkvs.config import (
    AutosaveConfig,
    AutosaveStatus,
    LoadReport,
    ManagerConfig,
    NamespaceConfig,
    NamespaceStats,
    SkippedFile,
)
from rkvs.errors import NamespaceExistsError, NamespaceNotFoundError, RkvsError, make_error
from rkvs.namespace import Namespace, run_with_progress

if TYPE_CHECKING:
    from rkvs._callbacks import LogHook
    from rkvs.aio import AsyncStorageManager

__all__ = ["StorageManager", "open"]

Path = Union[str, "os.PathLike[str]"]


class _Store(Handle):
    """A manager's handle, with the number of its log hook."""

    __slots__ = ("log_number",)

    log_number: int

    def __del__(self) -> None:
        # The release waits like close(), for the last one of a store; then nothing logs any more.
        super().__del__()
        forget_log(self.log_number)


# Closed when the interpreter ends: no thread of the library may call into it afterwards.
_open_stores: weakref.WeakSet[_Store] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for store in list(_open_stores):
        error = _ffi.pointer_slot()
        status = lib.manager_close(store.pointer, ref(error))
        if status < 0 and status != -30:  # a forked child has nothing to close
            sys.stderr.write(f"rkvs: closing a store at exit: {failure(status, error.value)}\n")


class StorageManager:
    """A store: namespaces in memory, and snapshots of them in a directory if there is one.

    ``with StorageManager(...) as store`` initialises it, unless that was done, and closes it. A
    store that nobody closes is closed when the last reference to it and its namespaces is gone, or
    when the interpreter ends.

    ``directory``
        where snapshots live; None: no persistence. It is made when first used.
    ``max_namespaces``, ``max_bytes``
        limits of the whole store, 0 = none; None leaves them to the file that is loaded.
    ``max_load_bytes``
        most bytes that one load may bring.
    ``worker_threads``
        for asynchronous operations, started when first needed; 0: as many as cores, at most 4.
    ``log``
        what the library has to tell: ``log(level, message)``, or a ``logging.Logger``. It is called
        on threads of the library.
    ``manager_autosave``, ``namespace_autosave``
        saves by itself: all namespaces, and single ones by name.
    ``detailed_metrics``
        also measure how long operations take.

    >>> from rkvs import StorageManager
    >>> with StorageManager(max_bytes=1 << 30) as store:
    ...     users = store.create_namespace("users", max_keys=1000)
    ...     users["alice"] = "admin"
    ...     store.list_namespaces(), store.total_key_count()
    (['users'], 1)
    """

    __slots__ = ("_handle", "__weakref__")

    def __init__(
        self,
        directory: Optional[Path] = None,
        *,
        max_namespaces: Optional[int] = None,
        max_bytes: Optional[int] = None,
        max_load_bytes: int = 0,
        worker_threads: int = 0,
        log: Any = None,
        manager_autosave: Optional[AutosaveConfig] = None,
        namespace_autosave: Optional[Mapping[str, AutosaveConfig]] = None,
        detailed_metrics: bool = False,
    ) -> None:
        options = _ffi.sized(_ffi.ManagerOptionsStruct)
        ManagerConfig(max_namespaces, max_bytes).fill(options)
        if detailed_metrics:
            options.flags |= _ffi.DETAILED_METRICS
        options.max_load_bytes = unsigned("max_load_bytes", max_load_bytes)
        options.worker_threads = unsigned("worker_threads", worker_threads, 32)
        if directory is not None:
            options.directory = name_bytes(os.fspath(directory))
        if manager_autosave is not None:
            options.manager_autosave = _ffi.pointer_to(manager_autosave.to_struct())
        tasks = list((namespace_autosave or {}).items())
        if tasks:
            array = _ffi.array_of(_ffi.NamespaceAutosaveStruct, len(tasks))
            for entry, (name, config) in zip(array, tasks):
                entry.name = name_bytes(name)
                entry.config = _ffi.pointer_to(config.to_struct())
            options.namespace_autosave = array
            options.namespace_autosave_count = len(tasks)
        log_number = register_log(options, log) if log is not None else 0
        opened = _ffi.pointer_slot()
        try:
            call(lib.manager_open, _ffi.ABI_VERSION, ref(options), ref(opened))
        except RkvsError:
            forget_log(log_number)
            raise
        self._handle = _Store(opened.value, lib.manager_release)
        self._handle.log_number = log_number
        _open_stores.add(self._handle)

    def __repr__(self) -> str:
        return f"<rkvs.StorageManager at {self._handle.pointer:#x}>"

    def __enter__(self) -> StorageManager:
        if not self.is_initialized():
            self.initialize()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    @property
    def aio(self) -> AsyncStorageManager:
        """The same store for ``await``."""
        from rkvs.aio import AsyncStorageManager

        return AsyncStorageManager(self)

    # --- Life ------------------------------------------------------------------------------------

    def initialize(
        self, file: Optional[str] = None, progress: Optional[ProgressHook] = None
    ) -> None:
        """Makes the store ready: empty, or with what ``file`` in its directory holds.

        Empty as well when there is no such file. When it is damaged, the newest older generation
        that is whole is loaded instead: see :meth:`load_report`. A second call changes nothing.
        """
        if file is None:
            call(lib.manager_initialize, self._handle.pointer)
        else:
            name = name_bytes(file)
            run_with_progress(
                progress, lib.manager_initialize_file, self._handle.pointer, name
            )

    def load_report(self) -> LoadReport:
        """What initialising found."""
        slot = _ffi.pointer_slot()
        call(lib.manager_load_report, self._handle.pointer, ref(slot))
        return read_load_report(slot.value)

    def _flag(self, function: Any) -> bool:
        status = function(self._handle.pointer)
        if status < 0:
            raise failure(status, None)
        return bool(status)

    def is_initialized(self) -> bool:
        return self._flag(lib.manager_is_initialized)

    def has_persistence(self) -> bool:
        return self._flag(lib.manager_has_persistence)

    def close(self) -> None:
        """Ends the store: asynchronous operations, autosave with its last saves, namespaces.

        Everything that still has a reference to it raises :class:`ClosedError` from now on; views
        of values stay valid. Raises the first error of the last saves. A second call is the same.
        """
        call(lib.manager_close, self._handle.pointer)

    # --- Namespaces ------------------------------------------------------------------------------

    def _namespace(self, pointer: int) -> Namespace:
        return Namespace(Handle(pointer, lib.namespace_release, self._handle))

    def create_namespace(
        self, name: str, config: Optional[NamespaceConfig] = None, **limits: Any
    ) -> Namespace:
        """Adds an empty namespace. ``limits`` are the fields of :class:`NamespaceConfig`.

        Names are 1 to 128 bytes of UTF-8 without control characters.
        """
        struct = namespace_config(config, limits)
        slot = _ffi.pointer_slot()
        call(
            lib.manager_create_namespace,
            self._handle.pointer,
            name_bytes(name),
            struct,
            ref(slot),
        )
        return self._namespace(slot.value)

    def get_namespace(self, name: str) -> Namespace:
        """The namespace of this name; raises :class:`NamespaceNotFoundError`, a ``KeyError``."""
        slot = _ffi.pointer_slot()
        call(lib.manager_get_namespace, self._handle.pointer, name_bytes(name), ref(slot))
        return self._namespace(slot.value)

    def namespace(
        self, name: str, config: Optional[NamespaceConfig] = None, **limits: Any
    ) -> Namespace:
        """The namespace of this name, made with these limits where it is absent.

        >>> import rkvs
        >>> store = rkvs.open()
        >>> store.namespace("users")["alice"] = "admin"
        >>> store.namespace("users")["alice"]
        b'admin'
        """
        while True:
            try:
                return self.get_namespace(name)
            except NamespaceNotFoundError:
                pass
            try:
                return self.create_namespace(name, config, **limits)
            except NamespaceExistsError:
                pass

    def __getitem__(self, name: str) -> Namespace:
        return self.get_namespace(name)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        try:
            self.get_namespace(name)
        except NamespaceNotFoundError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.list_namespaces())

    def __len__(self) -> int:
        return self.namespace_count()

    def __bool__(self) -> bool:
        return True

    def delete_namespace(self, name: str) -> None:
        """Removes the namespace and its data; handles raise :class:`NamespaceDeletedError`."""
        call(lib.manager_delete_namespace, self._handle.pointer, name_bytes(name))

    def clone_namespace(
        self, name: str, new_name: str, progress: Optional[ProgressHook] = None
    ) -> Namespace:
        """Adds a namespace with the configuration and content of another, of one instant."""
        slot = _ffi.pointer_slot()
        run_with_progress(
            progress,
            lib.manager_clone_namespace,
            self._handle.pointer,
            name_bytes(name),
            name_bytes(new_name),
            after=(ref(slot),),
        )
        return self._namespace(slot.value)

    def _names(self, function: Any, item: Any = None) -> List[Any]:
        """The names of a list, or what `item(list, index, name)` makes of each."""
        slot = _ffi.pointer_slot()
        call(function, self._handle.pointer, ref(slot))
        try:
            names = [name.decode() for name in _ffi.list_items(slot)]
            if item is None:
                return names
            return [item(slot, index, name) for index, name in enumerate(names)]
        finally:
            lib.list_release(slot)

    def list_namespaces(self) -> List[str]:
        """The names, sorted."""
        return self._names(lib.manager_list_namespaces)

    def update_namespace_config(
        self, name: str, config: Optional[NamespaceConfig] = None, **changes: Any
    ) -> None:
        """As :meth:`Namespace.update_config`."""
        if config is None:
            self.get_namespace(name).update_config(**changes)
            return
        struct = namespace_config(config, changes)
        call(
            lib.manager_update_namespace_config, self._handle.pointer, name_bytes(name), struct
        )

    # --- Configuration and figures ---------------------------------------------------------------

    def get_config(self) -> ManagerConfig:
        """What is in force."""
        struct = _ffi.sized(_ffi.ManagerConfigStruct)
        call(lib.manager_get_config, self._handle.pointer, ref(struct))
        return ManagerConfig.from_struct(struct)

    def update_config(self, config: ManagerConfig) -> None:
        """What is None becomes its default."""
        struct = _ffi.sized(_ffi.ManagerConfigStruct)
        config.fill(struct)
        call(lib.manager_update_config, self._handle.pointer, ref(struct))

    def namespace_stats(self, name: str) -> NamespaceStats:
        """The figures of one namespace, of one instant."""
        struct = _ffi.sized(_ffi.NamespaceStatsStruct)
        call(lib.manager_namespace_stats, self._handle.pointer, name_bytes(name), ref(struct))
        return NamespaceStats.from_struct(name, struct)

    def all_namespace_stats(self) -> List[NamespaceStats]:
        """Of all, sorted by name."""
        return self._names(lib.manager_all_namespace_stats, stats_item)

    def metrics_text(self) -> str:
        """All figures in Prometheus' text format."""
        text = _ffi.pointer_slot()
        call(lib.manager_metrics_text, self._handle.pointer, ref(text))
        return _ffi.value_bytes(text).decode()

    def _number(self, function: Any) -> int:
        number = _ffi.number64()
        call(function, self._handle.pointer, ref(number))
        value: int = number.value
        return value

    def namespace_count(self) -> int:
        return self._number(lib.manager_namespace_count)

    def total_key_count(self) -> int:
        """Of all namespaces."""
        return self._number(lib.manager_total_key_count)

    # --- Snapshots -------------------------------------------------------------------------------

    def save_all(self, file: str, progress: Optional[ProgressHook] = None) -> None:
        """Saves one instant of all namespaces to a file in the directory, while writers go on.

        When this returns, the file is complete, synced and under its name; whatever fails, the one
        before it is there still. Its two predecessors stay as ``FILE.1`` and ``FILE.2``.
        """
        name = name_bytes(file)
        run_with_progress(progress, lib.manager_save_all, self._handle.pointer, name)

    def save_namespace(
        self, name: str, file: str, progress: Optional[ProgressHook] = None
    ) -> None:
        """As :meth:`save_all`, of one namespace."""
        run_with_progress(
            progress,
            lib.manager_save_namespace,
            self._handle.pointer,
            name_bytes(name),
            name_bytes(file),
        )

    def load_namespace(self, file: str, progress: Optional[ProgressHook] = None) -> Namespace:
        """Adds the one namespace that the file holds, under its own name."""
        name = _ffi.pointer_slot()
        run_with_progress(
            progress,
            lib.manager_load_namespace,
            self._handle.pointer,
            name_bytes(file),
            after=(ref(name),),
        )
        return self.get_namespace(_ffi.value_bytes(name).decode())

    def load_namespace_as(
        self,
        file: str,
        new_name: str,
        source: Optional[str] = None,
        progress: Optional[ProgressHook] = None,
    ) -> Namespace:
        """Adds a namespace of the file under another name; ``source`` says which of several."""
        run_with_progress(
            progress,
            lib.manager_load_namespace_as,
            self._handle.pointer,
            name_bytes(file),
            name_bytes(new_name),
            None if source is None else name_bytes(source),
        )
        return self.get_namespace(new_name)

    # --- Autosave --------------------------------------------------------------------------------

    def add_namespace_autosave_task(self, name: str, config: AutosaveConfig) -> None:
        """Starts to save the namespace by itself."""
        call(
            lib.manager_add_namespace_autosave_task,
            self._handle.pointer,
            name_bytes(name),
            ref(config.to_struct()),
        )

    def start_namespace_autosave_task(self, name: str) -> None:
        """Starts a task that was stopped, or came from a file."""
        call(
            lib.manager_start_namespace_autosave_task, self._handle.pointer, name_bytes(name)
        )

    def start_missing_autosave_tasks(self) -> int:
        """Starts every task that is stopped and has something to save; returns how many."""
        return self._number(lib.manager_start_missing_autosave_tasks)

    def list_autosave_tasks(self) -> List[AutosaveStatus]:
        """All tasks: the store's first, the others by the names of their namespaces."""
        return self._names(lib.manager_list_autosave_tasks, autosave_item)

    def stop_namespace_autosave(self, name: str) -> None:
        """Stops the task, and waits for a save that is on."""
        call(lib.manager_stop_namespace_autosave, self._handle.pointer, name_bytes(name))

    def stop_manager_autosave(self) -> None:
        """Stops the task of the whole store, and waits for a save that is on."""
        call(lib.manager_stop_manager_autosave, self._handle.pointer)


def read_load_report(report: Any) -> LoadReport:
    """What an rkvs_load_report says, which is released."""
    try:
        skipped = []
        for index in range(lib.load_report_skipped_count(report)):
            file, reason, message = _ffi.pointer_slot(), _ffi.number32(), _ffi.pointer_slot()
            call(
                lib.load_report_skipped, report, index, ref(file), ref(reason), ref(message)
            )
            error = make_error(reason.value, _ffi.text_at(message.value))
            skipped.append(SkippedFile(_ffi.text_at(file.value), error))
        return LoadReport(
            lib.load_report_file(report).decode("utf-8", "surrogateescape"),
            lib.load_report_namespaces(report),
            lib.load_report_keys(report),
            tuple(skipped),
        )
    finally:
        lib.load_report_release(report)


def stats_item(handle: Any, index: int, name: str) -> NamespaceStats:
    """An item of a list of figures."""
    struct = _ffi.sized(_ffi.NamespaceStatsStruct)
    call(lib.list_namespace_stats, handle, index, ref(struct))
    return NamespaceStats.from_struct(name, struct)


def autosave_item(handle: Any, index: int, name: str) -> AutosaveStatus:
    """An item of a list of autosave tasks."""
    struct = _ffi.sized(_ffi.AutosaveStatusStruct)
    call(lib.list_autosave_status, handle, index, ref(struct))
    return AutosaveStatus.from_struct(name, struct)


def namespace_config(config: Optional[NamespaceConfig], limits: Mapping[str, Any]) -> Any:
    if config is None:
        if not limits:
            return None
        return ref(NamespaceConfig(**limits).to_struct())
    if limits:
        raise TypeError("either a NamespaceConfig or its fields, not both")
    return ref(config.to_struct())


def open(  # noqa: A001
    directory: Optional[Path] = None, file: Optional[str] = None, **options: Any
) -> StorageManager:
    """A store that is ready: with what ``file`` in ``directory`` holds, or empty without one.

    ``options`` are those of :class:`StorageManager`.

    >>> import rkvs, tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with rkvs.open(directory, "store.rkvs") as store:
    ...         store.namespace("users")["alice"] = "admin"
    ...         store.save_all("store.rkvs")
    ...     with rkvs.open(directory, "store.rkvs") as store:
    ...         store["users"]["alice"]
    b'admin'
    """
    manager = StorageManager(directory, **options)
    manager.initialize(file)
    return manager


