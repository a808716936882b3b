"""The C library: where it is, its functions and structures, and how bytes get in and out of it.

The only module of the package that knows ctypes. FUNCTIONS and the structures below say once what
``rkvs.h`` declares; ``tests/test_ffi.py`` compares them with the header and with the library.

Calls come in three kinds:

* ``lib`` lets go of the interpreter lock: for whatever may wait or take long, and for whatever may
  call back (logs, progress).
* ``held`` keeps it: for what is done in well under a millisecond. It is safe because the library
  never calls back with a lock of its own held.
* ``quick(name)`` is ``held`` without a conversion of arguments, which halves the cost of a call.
  What goes in must be right: prepared references, ``bytes``, ``None``, and numbers below 2**31.
"""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
from array import array
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_char,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from itertools import accumulate
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

__all__: List[str] = []

ABI_VERSION = 1

# --- Functions -----------------------------------------------------------------------------------

# Without "rkvs_": result, colon, parameters. v nothing, i int32_t, u uint32_t, l int64_t,
# q uint64_t, z size_t, p a pointer, s text that ends with NUL.
FUNCTIONS: Dict[str, str] = {
    "abi_version": "u:",
    "version_string": "s:",
    "status_name": "s:i",
    "has_feature": "i:i",
    "sizeof": "z:i",
    "error_code": "i:p",
    "error_message": "s:p",
    "error_index": "l:p",
    "error_retain": "p:p",
    "error_release": "v:p",
    "value_data": "p:p",
    "value_size": "z:p",
    "value_view": "v:ppp",
    "value_retain": "p:p",
    "value_release": "v:p",
    "list_count": "z:p",
    "list_item": "i:pzppp",
    "list_packed": "i:ppppp",
    "list_numbers": "i:pppp",
    "list_retain": "p:p",
    "list_release": "v:p",
    "namespace_config_init": "i:pz",
    "manager_config_init": "i:pz",
    "autosave_config_init": "i:pz",
    "manager_options_init": "i:pz",
    "write_options_init": "i:pz",
    "counter_options_init": "i:pz",
    "scan_options_init": "i:pz",
    "operation_options_init": "i:pz",
    "namespace_stats_init": "i:pz",
    "autosave_status_init": "i:pz",
    "manager_open": "i:uppp",
    "manager_initialize": "i:pp",
    "manager_initialize_file": "i:pspp",
    "manager_load_report": "i:ppp",
    "manager_is_initialized": "i:p",
    "manager_has_persistence": "i:p",
    "manager_close": "i:pp",
    "manager_retain": "p:p",
    "manager_release": "v:p",
    "load_report_file": "s:p",
    "load_report_namespaces": "q:p",
    "load_report_keys": "q:p",
    "load_report_skipped_count": "z:p",
    "load_report_skipped": "i:pzpppp",
    "list_load_report": "i:ppp",
    "load_report_retain": "p:p",
    "load_report_release": "v:p",
    "manager_create_namespace": "i:psppp",
    "manager_get_namespace": "i:pspp",
    "manager_delete_namespace": "i:psp",
    "manager_clone_namespace": "i:pssppp",
    "manager_list_namespaces": "i:ppp",
    "manager_update_namespace_config": "i:pspp",
    "manager_get_config": "i:ppp",
    "list_manager_config": "i:pzpp",
    "manager_update_config": "i:ppp",
    "manager_namespace_stats": "i:pspp",
    "manager_all_namespace_stats": "i:ppp",
    "list_namespace_stats": "i:pzpp",
    "manager_metrics_text": "i:ppp",
    "manager_namespace_count": "i:ppp",
    "manager_total_key_count": "i:ppp",
    "manager_save_all": "i:pspp",
    "manager_save_namespace": "i:psspp",
    "manager_load_namespace": "i:psppp",
    "manager_load_namespace_as": "i:pssspp",
    "manager_add_namespace_autosave_task": "i:pspp",
    "manager_start_namespace_autosave_task": "i:psp",
    "manager_start_missing_autosave_tasks": "i:ppp",
    "manager_list_autosave_tasks": "i:ppp",
    "list_autosave_status": "i:pzpp",
    "manager_stop_namespace_autosave": "i:psp",
    "manager_stop_manager_autosave": "i:pp",
    "namespace_name": "s:p",
    "namespace_retain": "p:p",
    "namespace_release": "v:p",
    "namespace_get": "i:ppzpp",
    "namespace_get_into": "i:ppzpzpp",
    "namespace_get_with_version": "i:ppzppp",
    "namespace_exists": "i:ppzp",
    "namespace_set": "i:ppzpzppp",
    "namespace_put": "i:ppzpzpp",
    "namespace_add": "i:ppzpzppp",
    "namespace_update": "i:ppzpzppp",
    "namespace_compare_and_set": "i:ppzqpzppp",
    "namespace_compare_and_delete": "i:ppzqp",
    "namespace_delete_key": "i:ppzp",
    "namespace_consume": "i:ppzpp",
    "namespace_ttl": "i:ppzpp",
    "namespace_touch": "i:ppzpp",
    "namespace_persist": "i:ppzpp",
    "namespace_increment": "i:ppzlppp",
    "namespace_decrement": "i:ppzlppp",
    "transform_set": "i:ppz",
    "transform_remove": "i:p",
    "namespace_transform": "i:ppzpppp",
    "namespace_get_multiple": "i:ppzipp",
    "namespace_get_multiple_packed": "i:pppzipp",
    "namespace_exists_multiple": "i:ppzipp",
    "namespace_exists_multiple_packed": "i:pppzipp",
    "namespace_set_multiple": "i:pppzippp",
    "namespace_set_multiple_packed": "i:pppppzippp",
    "namespace_update_multiple": "i:pppzippp",
    "namespace_update_multiple_packed": "i:pppppzippp",
    "namespace_delete_multiple": "i:ppzipp",
    "namespace_delete_multiple_packed": "i:pppzipp",
    "namespace_consume_multiple": "i:ppzipp",
    "namespace_consume_multiple_packed": "i:pppzipp",
    "batch_item_init": "i:pz",
    "batch_view_init": "i:pz",
    "batch_result_count": "z:p",
    "batch_result_status": "i:p",
    "batch_result_item_status": "i:pz",
    "batch_result_item": "i:pzpp",
    "batch_result_value": "p:pz",
    "batch_result_view": "i:ppp",
    "batch_result_retain": "p:p",
    "batch_result_release": "v:p",
    "atomic_batch_create": "i:pp",
    "atomic_batch_retain": "p:p",
    "atomic_batch_release": "v:p",
    "atomic_batch_size": "z:p",
    "atomic_batch_clear": "i:pp",
    "atomic_batch_set": "i:ppzpzpp",
    "atomic_batch_add": "i:ppzpzpp",
    "atomic_batch_update": "i:ppzpzpp",
    "atomic_batch_delete_key": "i:ppzp",
    "atomic_batch_consume": "i:ppzp",
    "atomic_batch_compare_and_set": "i:ppzqpzpp",
    "atomic_batch_compare_and_delete": "i:ppzqp",
    "atomic_batch_increment": "i:ppzlpp",
    "atomic_batch_decrement": "i:ppzlpp",
    "atomic_batch_check_version": "i:ppzqp",
    "atomic_batch_check_exists": "i:ppzp",
    "atomic_batch_check_absent": "i:ppzp",
    "namespace_apply": "i:pppp",
    "namespace_list_keys": "i:ppp",
    "namespace_scan_open": "i:pppp",
    "scan_next": "i:pzpp",
    "scan_is_done": "i:p",
    "scan_retain": "p:p",
    "scan_release": "v:p",
    "namespace_delete_prefix": "i:ppzpp",
    "namespace_clear": "i:ppp",
    "namespace_get_config": "i:ppp",
    "list_namespace_config": "i:pzpp",
    "namespace_set_max_keys": "i:pqp",
    "namespace_set_max_bytes": "i:pqp",
    "namespace_set_max_value_size": "i:pqp",
    "namespace_set_lock_timeout": "i:pqp",
    "namespace_update_config": "i:ppp",
    "namespace_resize_shards": "i:pupp",
    "namespace_metadata": "i:ppp",
    "namespace_shard_stats": "i:ppzzpp",
    "list_shard_stats": "i:pzpzp",
    "namespace_shard_key_counts": "i:ppzpp",
    "completion_retain": "v:p",
    "completion_clear": "v:p",
    "async_init": "i:pz",
    "queue_create": "i:pp",
    "queue_fd": "i:p",
    "queue_poll": "i:ppzpp",
    "queue_wait": "i:plp",
    "queue_close": "i:pp",
    "queue_retain": "p:p",
    "queue_release": "v:p",
    "operation_cancel": "i:pp",
    "operation_retain": "p:p",
    "operation_release": "v:p",
    "namespace_get_async": "i:ppzpppp",
    "namespace_get_into_async": "i:ppzpzpppp",
    "namespace_get_with_version_async": "i:ppzpppp",
    "namespace_exists_async": "i:ppzpppp",
    "namespace_set_async": "i:ppzpzppppp",
    "namespace_put_async": "i:ppzpzppppp",
    "namespace_add_async": "i:ppzpzppppp",
    "namespace_update_async": "i:ppzpzppppp",
    "namespace_compare_and_set_async": "i:ppzqpzppppp",
    "namespace_compare_and_delete_async": "i:ppzqpppp",
    "namespace_delete_key_async": "i:ppzpppp",
    "namespace_consume_async": "i:ppzpppp",
    "namespace_ttl_async": "i:ppzpppp",
    "namespace_touch_async": "i:ppzppppp",
    "namespace_persist_async": "i:ppzpppp",
    "namespace_increment_async": "i:ppzlppppp",
    "namespace_decrement_async": "i:ppzlppppp",
    "namespace_transform_async": "i:ppzpppppp",
    "namespace_get_multiple_async": "i:ppzipppp",
    "namespace_get_multiple_packed_async": "i:pppzipppp",
    "namespace_exists_multiple_async": "i:ppzipppp",
    "namespace_exists_multiple_packed_async": "i:pppzipppp",
    "namespace_set_multiple_async": "i:pppzippppp",
    "namespace_set_multiple_packed_async": "i:pppppzippppp",
    "namespace_update_multiple_async": "i:pppzippppp",
    "namespace_update_multiple_packed_async": "i:pppppzippppp",
    "namespace_delete_multiple_async": "i:ppzipppp",
    "namespace_delete_multiple_packed_async": "i:pppzipppp",
    "namespace_consume_multiple_async": "i:ppzipppp",
    "namespace_consume_multiple_packed_async": "i:pppzipppp",
    "namespace_apply_async": "i:pppppp",
    "scan_next_async": "i:pzpppp",
    "namespace_list_keys_async": "i:ppppp",
    "namespace_delete_prefix_async": "i:ppzpppp",
    "namespace_clear_async": "i:ppppp",
    "namespace_resize_shards_async": "i:pupppp",
    "namespace_get_config_async": "i:ppppp",
    "namespace_set_max_keys_async": "i:pqpppp",
    "namespace_set_max_bytes_async": "i:pqpppp",
    "namespace_set_max_value_size_async": "i:pqpppp",
    "namespace_set_lock_timeout_async": "i:pqpppp",
    "namespace_update_config_async": "i:pppppp",
    "namespace_metadata_async": "i:ppppp",
    "namespace_shard_stats_async": "i:ppppp",
    "namespace_shard_key_counts_async": "i:ppppp",
    "manager_initialize_async": "i:ppppp",
    "manager_initialize_file_async": "i:pspppp",
    "manager_load_report_async": "i:ppppp",
    "manager_close_async": "i:ppppp",
    "manager_create_namespace_async": "i:psppppp",
    "manager_get_namespace_async": "i:pspppp",
    "manager_delete_namespace_async": "i:pspppp",
    "manager_clone_namespace_async": "i:psspppp",
    "manager_list_namespaces_async": "i:ppppp",
    "manager_update_namespace_config_async": "i:psppppp",
    "manager_get_config_async": "i:ppppp",
    "manager_update_config_async": "i:pppppp",
    "manager_namespace_stats_async": "i:pspppp",
    "manager_all_namespace_stats_async": "i:ppppp",
    "manager_metrics_text_async": "i:ppppp",
    "manager_namespace_count_async": "i:ppppp",
    "manager_total_key_count_async": "i:ppppp",
    "manager_save_all_async": "i:pspppp",
    "manager_save_namespace_async": "i:psspppp",
    "manager_load_namespace_async": "i:pspppp",
    "manager_load_namespace_as_async": "i:pssspppp",
    "manager_add_namespace_autosave_task_async": "i:psppppp",
    "manager_start_namespace_autosave_task_async": "i:pspppp",
    "manager_start_missing_autosave_tasks_async": "i:ppppp",
    "manager_list_autosave_tasks_async": "i:ppppp",
    "manager_stop_namespace_autosave_async": "i:pspppp",
    "manager_stop_manager_autosave_async": "i:ppppp",
}

_TYPES: Dict[str, Any] = {
    "v": None,
    "i": c_int32,
    "u": c_uint32,
    "l": c_int64,
    "q": c_uint64,
    "z": c_size_t,
    "p": c_void_p,
    "s": c_char_p,
}

# --- Constants -----------------------------------------------------------------------------------

SET_MAX_NAMESPACES = 1
SET_MAX_BYTES = 2
DETAILED_METRICS = 4
AUTOSAVE_FINAL_SAVE = 1
KEEP_TTL = 1
SCAN_KEYS_ONLY = 1
ALLOW_INLINE = 1
ALL_OR_NOTHING = 0
BEST_EFFORT = 1
OK = 0
DONE = 16
PENDING = 17
OP_SCAN_NEXT = 39

# --- Structures ----------------------------------------------------------------------------------


class NamespaceConfigStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("shard_count", c_uint32),
        ("max_keys", c_uint64),
        ("max_value_size", c_uint64),
        ("max_key_size", c_uint64),
        ("max_bytes", c_uint64),
        ("lock_timeout_ms", c_uint64),
    ]


class ManagerConfigStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("max_namespaces", c_uint64),
        ("max_bytes", c_uint64),
    ]


class AutosaveConfigStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("interval_ms", c_uint64),
        ("changes", c_uint64),
        ("file", c_char_p),
    ]


class NamespaceAutosaveStruct(Structure):
    _fields_ = [("name", c_char_p), ("config", POINTER(AutosaveConfigStruct))]


class ManagerOptionsStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("max_namespaces", c_uint64),
        ("max_bytes", c_uint64),
        ("max_load_bytes", c_uint64),
        ("directory", c_char_p),
        ("log", c_void_p),
        ("log_user", c_void_p),
        ("worker_threads", c_uint32),
        ("reserved", c_uint32),
        ("manager_autosave", POINTER(AutosaveConfigStruct)),
        ("namespace_autosave", POINTER(NamespaceAutosaveStruct)),
        ("namespace_autosave_count", c_size_t),
    ]


class WriteOptionsStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("expire_after_ms", c_int64),
        ("expire_at_unix_ms", c_int64),
    ]


class CounterOptionsStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("initial", c_int64),
        ("expire_after_ms", c_int64),
    ]


class ScanOptionsStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("prefix", c_char_p),
        ("prefix_size", c_size_t),
    ]


class ProgressStruct(Structure):
    _fields_ = [
        ("entries_done", c_uint64),
        ("entries_total", c_uint64),
        ("bytes_done", c_uint64),
        ("bytes_total", c_uint64),
    ]


class OperationOptionsStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("progress", c_void_p),
        ("progress_user", c_void_p),
    ]


class NamespaceStatsStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("shard_count", c_uint32),
        ("key_count", c_uint64),
        ("total_size", c_uint64),
        ("memory_bytes", c_uint64),
        ("hits", c_uint64),
        ("misses", c_uint64),
        ("sets", c_uint64),
        ("deletes", c_uint64),
        ("expired", c_uint64),
        ("rejected", c_uint64),
        ("timeouts", c_uint64),
        ("lock_waits", c_uint64),
    ]


class ShardStatsStruct(Structure):
    _fields_ = [
        ("key_count", c_uint64),
        ("total_size", c_uint64),
        ("memory_bytes", c_uint64),
        ("hits", c_uint64),
        ("misses", c_uint64),
        ("sets", c_uint64),
        ("deletes", c_uint64),
        ("expired", c_uint64),
        ("rejected", c_uint64),
        ("timeouts", c_uint64),
        ("lock_waits", c_uint64),
    ]


class AutosaveStatusStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("is_manager", c_int32),
        ("state", c_int32),
        ("flags", c_uint32),
        ("interval_ms", c_uint64),
        ("changes", c_uint64),
        ("file", c_char_p),
        ("saves", c_uint64),
        ("failures", c_uint64),
        ("skipped_ticks", c_uint64),
        ("unchanged_ticks", c_uint64),
        ("last_file", c_char_p),
        ("last_success_unix_ms", c_int64),
        ("last_failure_unix_ms", c_int64),
        ("last_error_message", c_char_p),
        ("last_error", c_int32),
        ("reserved", c_uint32),
        ("last_duration_ms", c_uint64),
    ]


class SliceStruct(Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t)]


class BatchItemStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("status", c_int32),
        ("has_value", c_int32),
        ("reserved", c_uint32),
        ("version", c_uint64),
        ("value", c_void_p),
        ("value_size", c_size_t),
        ("key", c_void_p),
        ("key_size", c_size_t),
    ]


class BatchViewStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("status", c_int32),
        ("count", c_uint64),
        ("total_processed", c_uint64),
        ("duration_ns", c_uint64),
        ("statuses", c_void_p),
        ("versions", c_void_p),
        ("has_value", c_void_p),
        ("values", c_void_p),
        ("value_offsets", c_void_p),
        ("keys", c_void_p),
        ("key_offsets", c_void_p),
    ]


class CompletionStruct(Structure):
    # `data` is a pointer to characters: a slice of it is bytes, in one step.
    _fields_ = [
        ("tag", c_uint64),
        ("user", c_void_p),
        ("status", c_int32),
        ("kind", c_int32),
        ("value", c_void_p),
        ("data", POINTER(c_char)),
        ("size", c_uint64),
        ("version", c_uint64),
        ("number", c_int64),
        ("batch", c_void_p),
        ("list", c_void_p),
        ("ns", c_void_p),
        ("error", c_void_p),
        ("reserved", c_uint64 * 3),
    ]


class AsyncStruct(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("queue", c_void_p),
        ("callback", c_void_p),
        ("user", c_void_p),
        ("tag", c_uint64),
        ("timeout_ms", c_uint64),
        ("progress", c_void_p),
        ("progress_user", c_void_p),
    ]


# The numbers of rkvs_type, for rkvs_sizeof.
STRUCTURES: Dict[int, Any] = {
    1: ManagerOptionsStruct,
    2: ManagerConfigStruct,
    3: NamespaceConfigStruct,
    4: AutosaveConfigStruct,
    5: AutosaveStatusStruct,
    6: WriteOptionsStruct,
    7: CounterOptionsStruct,
    8: ScanOptionsStruct,
    9: OperationOptionsStruct,
    10: NamespaceStatsStruct,
    11: ShardStatsStruct,
    12: BatchItemStruct,
    13: BatchViewStruct,
    14: AsyncStruct,
    15: CompletionStruct,
    16: SliceStruct,
    17: NamespaceAutosaveStruct,
    18: ProgressStruct,
}

LogFunction = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_void_p, c_size_t)
ProgressFunction = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(ProgressStruct))

# --- The library ---------------------------------------------------------------------------------

LIBRARY_NAME = "librkvs.so.1"


def find_library() -> str:
    """RKVS_LIBRARY, else the copy beside this file, else whatever the system calls librkvs.so.1."""
    override = os.environ.get("RKVS_LIBRARY")
    if override:
        return override
    own = pathlib.Path(__file__).with_name(LIBRARY_NAME)
    return str(own) if own.exists() else LIBRARY_NAME


class Functions:
    """The functions of the table as attributes, bound when the package is imported."""

    def __init__(self, loader: Any, path: str) -> None:
        library = loader(path)
        for name, signature in FUNCTIONS.items():
            result, parameters = signature.split(":")
            function = library["rkvs_" + name]
            function.restype = _TYPES[result]
            function.argtypes = [_TYPES[parameter] for parameter in parameters]
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _load() -> Tuple[Functions, Functions, Any, Any, str]:
    path = find_library()
    try:
        return (
            Functions(ctypes.CDLL, path),
            Functions(ctypes.PyDLL, path),
            ctypes.CDLL(path),
            ctypes.PyDLL(path),
            path,
        )
    except (OSError, AttributeError) as error:
        raise ImportError(
            f"rkvs cannot use its C library {path!r}: {error}. Set RKVS_LIBRARY to the path of "
            f"{LIBRARY_NAME}, or install the wheel that carries it."
        ) from error


lib, held, _unconverted_lib, _unconverted_held, library_path = _load()
if lib.abi_version() != ABI_VERSION:
    raise ImportError(
        f"{library_path} speaks version {lib.abi_version()} of rkvs's binary interface, "
        f"this package version {ABI_VERSION}"
    )


def quick(name: str, hold: bool = True) -> Callable[..., int]:
    """The function as a bare call, by default with the interpreter lock held; see above."""
    library = _unconverted_held if hold else _unconverted_lib
    function: Callable[..., int] = library["rkvs_" + name]
    return function


def after_fork_in_child(function: Callable[[], None]) -> None:
    """Calls it in the child of every fork, to put right what a thread held that is gone."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def version() -> str:
    text: bytes = lib.version_string()
    return text.decode()


def status_name(code: int) -> str:
    text: bytes = lib.status_name(code)
    return text.decode()


# --- Handles -------------------------------------------------------------------------------------


def argument(pointer: int) -> Any:
    """The address as an argument that quick functions take without any conversion."""
    return byref(c_char.from_address(pointer))


def pointer_slot() -> Any:
    """For a `T **`: hand over ``ref(slot)``, read ``slot.value``, None for NULL."""
    return c_void_p()


ref = byref


# --- Bytes in ------------------------------------------------------------------------------------

# Beyond this a call without conversion would cut the size off; no key may be that long anyway.
MAX_KEY = 1 << 20
# Larger ones are read and written with the interpreter lock released: a copy of this size takes
# some ten microseconds.
LARGE_VALUE = 1 << 16


def to_bytes(data: Any) -> bytes:
    """Any buffer, or str as UTF-8, as bytes."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    try:
        return memoryview(data).tobytes()
    except TypeError:
        raise TypeError(
            f"bytes, str or another buffer is required, not {type(data).__name__!r}"
        ) from None


class _PyBuffer(Structure):
    # Py_buffer of CPython's stable interface.
    _fields_ = [
        ("buf", c_void_p),
        ("obj", c_void_p),
        ("len", c_ssize_t),
        ("itemsize", c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", c_void_p),
        ("shape", c_void_p),
        ("strides", c_void_p),
        ("suboffsets", c_void_p),
        ("internal", c_void_p),
    ]


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, c_void_p, ctypes.c_int]
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [c_void_p]
_release_buffer.restype = None


class Borrowed:
    """The memory of any buffer, without a copy; nobody can resize or free it inside of ``with``.

    ``with Borrowed(data) as (pointer, size):``
    """

    __slots__ = ("_data", "_view", "_taken")

    def __init__(self, data: Any) -> None:
        self._data = data
        self._view = _PyBuffer()
        self._taken = False

    def __enter__(self) -> Tuple[Any, int]:
        data = self._data
        if isinstance(data, str):
            data = data.encode()
        if isinstance(data, bytes):
            self._data = data
            return data, len(data)
        try:
            view = memoryview(data)
        except TypeError:
            to_bytes(data)  # raises
            raise
        if not view.c_contiguous:
            self._data = view.tobytes()
            return self._data, len(self._data)
        _get_buffer(data, byref(self._view), 0)
        self._taken = True
        return self._view.buf, self._view.len

    def __exit__(self, *_: object) -> None:
        if self._taken:
            self._taken = False
            _release_buffer(byref(self._view))


def pack(items: Sequence[Any]) -> Tuple[bytes, Any, int]:
    """Items one after another, their offsets, and how many they are.

    Buffers of any kind are copied, so that nobody can change or resize them meanwhile.
    """
    if not set(map(type, items)) <= _BYTES_ALONE:
        items = [to_bytes(item) for item in items]
    count, sizes = len(items), list(map(len, items))
    if count <= _EVEN_ITEMS and count and sizes.count(sizes[0]) == count:
        return b"".join(items), _even_offsets(count, sizes[0]), count
    offsets = array("Q", accumulate(sizes, initial=0))
    return b"".join(items), (c_uint64 * (count + 1)).from_buffer(offsets), count


# Items of one size, in batches of one size, are common; making the numbers takes as long as a fifth
# of the batch.
_EVEN_ITEMS = 4096


@functools.lru_cache(maxsize=16)
def _even_offsets(count: int, size: int) -> Any:
    """What pack() returns for `count` items of `size`; nobody changes it."""
    offsets = array("Q", range(0, (count + 1) * size, size) if size else bytes(8 * (count + 1)))
    return (c_uint64 * (count + 1)).from_buffer(offsets)


_BYTES_ALONE = {bytes}

# --- Bytes out -----------------------------------------------------------------------------------


def bytes_at(pointer: Optional[int], size: int) -> bytes:
    return ctypes.string_at(pointer, size) if pointer and size else b""


def text_at(pointer: Optional[int]) -> str:
    """Text that ends with NUL."""
    return ctypes.string_at(pointer).decode("utf-8", "replace") if pointer else ""


def _offsets_at(pointer: int, count: int) -> List[int]:
    return memoryview(ctypes.string_at(pointer, 8 * (count + 1))).cast("Q").tolist()


def value_bytes(value: Any) -> bytes:
    """The bytes of an rkvs_value, which is released."""
    data = c_void_p()
    size = c_size_t()
    try:
        held.value_view(value, byref(data), byref(size))
        return bytes_at(data.value, size.value)
    finally:
        held.value_release(value)


class _ValueOwner:
    """Gives a reference to an rkvs_value back when the last view of its bytes is gone."""

    __slots__ = ("_value",)

    def __init__(self, value: int) -> None:
        self._value = value

    def __del__(self, _release: Any = held.value_release) -> None:
        _release(self._value)


def value_memory(value: int) -> memoryview:
    """A read-only view of an rkvs_value, which lives as long as the view and views made of it."""
    owner = _ValueOwner(value)
    size: int = held.value_size(value)
    if not size:
        return memoryview(b"")
    memory = (c_char * size).from_address(held.value_data(value))
    memory._rkvs_owner = owner  # type: ignore[attr-defined]
    return memoryview(memory).cast("B").toreadonly()


def list_items(handle: Any) -> List[bytes]:
    """The items of an rkvs_list, which is not released."""
    data, offsets, count = c_void_p(), c_void_p(), c_size_t()
    lib.list_packed(handle, byref(data), byref(offsets), byref(count), None)
    if not count.value or offsets.value is None:
        return []
    ends = _offsets_at(offsets.value, count.value)
    whole = bytes_at(data.value, ends[-1])
    return [whole[i:j] for i, j in zip(ends, ends[1:])]


class RawBatch(NamedTuple):
    """An rkvs_batch_result as Python objects."""

    status: int
    total_processed: int
    duration_ns: int
    statuses: List[int]
    versions: List[int]
    values: List[Optional[bytes]]
    keys: Optional[List[bytes]]


def batch_values(handle: Any, missing: Any) -> Tuple[List[Any], Optional[List[int]]]:
    """The values of an rkvs_batch_result, `missing` where there is none, and the statuses of the
    items unless all have a value. The handle is not released."""
    view = BatchViewStruct()
    view.struct_size = ctypes.sizeof(view)
    if lib.batch_result_view(handle, byref(view), None) < 0:
        raise MemoryError("no memory for the values of a batch")
    count: int = view.count
    if not count:
        return [], None
    ends = _offsets_at(view.value_offsets, count)
    whole = bytes_at(view.values, ends[-1])
    has_value = ctypes.string_at(view.has_value, count)
    if has_value.count(1) == count:
        return [whole[i:j] for i, j in zip(ends, ends[1:])], None
    values = [
        whole[i:j] if there else missing for i, j, there in zip(ends, ends[1:], has_value)
    ]
    return values, _int32s_at(view.statuses, count)


def _int32s_at(pointer: int, count: int) -> List[int]:
    return memoryview(ctypes.string_at(pointer, 4 * count)).cast("i").tolist()


def read_batch(handle: Any) -> RawBatch:
    """All of an rkvs_batch_result, which is not released."""
    view = BatchViewStruct()
    view.struct_size = ctypes.sizeof(view)
    if lib.batch_result_view(handle, byref(view), None) < 0:
        raise MemoryError("no memory for the values of a batch")
    count: int = view.count
    keys: Optional[List[bytes]] = None
    if not count:
        if view.keys or view.key_offsets:
            keys = []
        return RawBatch(view.status, view.total_processed, view.duration_ns, [], [], [], keys)
    ends = _offsets_at(view.value_offsets, count)
    whole = bytes_at(view.values, ends[-1])
    has_value = ctypes.string_at(view.has_value, count)
    values: List[Optional[bytes]] = [
        whole[i:j] if there else None for i, j, there in zip(ends, ends[1:], has_value)
    ]
    if view.key_offsets:
        key_ends = _offsets_at(view.key_offsets, count)
        key_bytes = bytes_at(view.keys, key_ends[-1])
        keys = [key_bytes[i:j] for i, j in zip(key_ends, key_ends[1:])]
    versions = memoryview(ctypes.string_at(view.versions, 8 * count)).cast("Q").tolist()
    return RawBatch(
        view.status,
        view.total_processed,
        view.duration_ns,
        _int32s_at(view.statuses, count),
        versions,
        values,
        keys,
    )


def first_failed(handle: Any, status: int) -> int:
    """The first item of a batch with the status that the batch failed with; -1 for none."""
    for index in range(held.batch_result_count(handle)):
        if held.batch_result_item_status(handle, index) == status:
            return index
    return -1


def read_error(pointer: Optional[int]) -> Tuple[str, int]:
    """Message and index of an rkvs_error, which is released."""
    if not pointer:
        return "", -1
    try:
        message: Optional[bytes] = held.error_message(pointer)
        return (message or b"").decode("utf-8", "replace"), held.error_index(pointer)
    finally:
        held.error_release(pointer)


# --- Prepared arguments --------------------------------------------------------------------------

# A value that is not larger is read through a buffer, in one call.
BUFFER_SIZE = 1 << 14

# Prepared arguments that nobody uses at the moment: a call takes a slot off the end and puts it
# back, so that threads never share one. Only a cache: an empty list or a lost slot does no harm.

# buffer, its reference; a 64-bit number, its reference; an error, its reference.
Slot = Tuple[Any, Any, Any, Any, Any, Any]
slots: List[Slot] = []
# value, its reference; characters, their reference; their number, its reference; an error, its
# reference.
ValueSlot = Tuple[Any, Any, Any, Any, Any, Any, Any, Any]
value_slots: List[ValueSlot] = []

_CharPointer = POINTER(c_char)


def new_slot() -> Slot:
    buffer, number, error = (c_char * BUFFER_SIZE)(), c_int64(), c_void_p()
    return buffer, byref(buffer), number, byref(number), error, byref(error)


def new_value_slot() -> ValueSlot:
    value, characters, size, error = c_void_p(), _CharPointer(), c_size_t(), c_void_p()
    return (
        value,
        byref(value),
        characters,
        byref(characters),
        size,
        byref(size),
        error,
        byref(error),
    )


def sized(structure: Any) -> Any:
    """A structure of this type, empty, with its struct_size set."""
    made = structure()
    made.struct_size = ctypes.sizeof(structure)
    return made


def size_of(structure: Any) -> int:
    return ctypes.sizeof(structure)


def array_of(structure: Any, count: int) -> Any:
    return (structure * count)()


def counts(number: int) -> Any:
    return (c_uint64 * number)()


def pointer_to(thing: Any) -> Any:
    return ctypes.pointer(thing)


def address_of(function: Any) -> Optional[int]:
    return ctypes.cast(function, c_void_p).value


def number64() -> Any:
    return c_uint64()


def signed64() -> Any:
    return c_int64()


def number32() -> Any:
    return c_int32()
