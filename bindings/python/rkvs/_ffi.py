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

import bisect
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
from itertools import accumulate, islice
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

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
# No more bytes are copied, and no more items looked at, in one go with the interpreter lock held: a
# fifth of a millisecond. What is larger is copied without it, or in slices of which each ends with
# a chance for other threads.
HELD_BYTES = 1 << 18
HELD_ITEMS = 1 << 12

_new_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_new_bytes.argtypes = [c_void_p, c_ssize_t]
_new_bytes.restype = ctypes.py_object
_utf8_of = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
_utf8_of.argtypes = [ctypes.py_object, c_void_p]
_utf8_of.restype = c_void_p
# These two look alike, but the first keeps the interpreter lock and the second lets go of it.
_copy_held = ctypes.string_at
_copy_released: Any = ctypes.memmove


def bytes_at(pointer: Optional[int], size: int) -> bytes:
    """A copy of so many bytes; of many without the interpreter lock."""
    if not pointer or not size:
        return b""
    if size <= HELD_BYTES:
        return _copy_held(pointer, size)
    # Nobody has seen the new object yet, so that it can be written to.
    made: bytes = _new_bytes(None, size)
    _copy_released(made, pointer, size)
    return made


def _join(pieces: Sequence[bytes]) -> bytes:
    """As b"".join, for pieces that are each small and together are not."""
    made: bytes = _new_bytes(None, sum(map(len, pieces)))
    place: int = _bytes_address(made)
    for piece in pieces:
        _copy_released(place, piece, len(piece))
        place += len(piece)
    return made


def _bytes_address(data: bytes) -> int:
    return ctypes.cast(c_char_p(data), c_void_p).value or 0


def _encode(text: str) -> bytes:
    if len(text) <= HELD_BYTES:
        return str.encode(text)
    pieces = range(0, len(text), HELD_BYTES)
    return _join([str.encode(text[first : first + HELD_BYTES]) for first in pieces])


def _contiguous(view: memoryview) -> bytes:
    """What a view with gaps shows. In one go where it has several dimensions: those of memoryview
    cannot be sliced."""
    if view.nbytes <= HELD_BYTES or view.ndim != 1:
        return view.tobytes()
    step = max(1, HELD_BYTES // view.itemsize)
    return _join([view[i : i + step].tobytes() for i in range(0, len(view), step)])


def to_bytes(data: Any) -> bytes:
    """Any buffer, or str as UTF-8, as bytes."""
    if type(data) is bytes:
        return data
    if isinstance(data, str):
        return _encode(data)
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(
            f"bytes, str or another buffer is required, not {type(data).__name__!r}"
        ) from None
    if view.nbytes <= HELD_BYTES:
        return view.tobytes()
    with Borrowed(view) as (pointer, size):
        return pointer if type(pointer) is bytes else bytes_at(pointer, size)


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
            if len(data) > HELD_BYTES and data.isascii():
                # It is UTF-8 as it is.
                size = c_ssize_t()
                return _utf8_of(data, byref(size)), size.value
            data = _encode(data)
        if type(data) is bytes:
            self._data = data
            return data, len(data)
        try:
            view = memoryview(data)
        except TypeError:
            to_bytes(data)  # raises
            raise
        if not view.c_contiguous:
            self._data = _contiguous(view)
            return self._data, len(self._data)
        _get_buffer(data, byref(self._view), 0)
        self._taken = True
        return self._view.buf, self._view.len

    def __exit__(self, *_: object) -> None:
        if self._taken:
            self._taken = False
            _release_buffer(byref(self._view))


# --- Batches in ----------------------------------------------------------------------------------

# Where the bytes of a bytes object are, from its id() on. Not a promise of Python's, so it is looked
# at before it is used.
_BYTES_HEAD = bytes.__basicsize__ - 1
_BYTES_ALONE = {bytes}


def _heads_are_as_expected() -> bool:
    probes = [b"probe", bytes(1000), b"\0\1"]
    return all(_bytes_address(probe) == id(probe) + _BYTES_HEAD for probe in probes)


def _slow_addresses(items: Sequence[bytes]) -> List[int]:
    return [_bytes_address(item) for item in items]


def _quick_addresses(items: Sequence[bytes]) -> List[int]:
    return [address + _BYTES_HEAD for address in map(id, items)]


_addresses = _quick_addresses if _heads_are_as_expected() else _slow_addresses


def chunks(items: Iterable[Any]) -> List[List[Any]]:
    """The items in lists of HELD_ITEMS each, the last one aside."""
    if isinstance(items, list) and len(items) <= HELD_ITEMS:
        return [items[:]]
    rest = iter(items)
    found = []
    while True:
        chunk = list(islice(rest, HELD_ITEMS))
        found.append(chunk)
        if len(chunk) < HELD_ITEMS:
            return found


def _pack(items: Sequence[Any]) -> Optional[Tuple[bytes, Any]]:
    """A few small items one after another, and their offsets; None if they are not small."""
    if not set(map(type, items)) <= _BYTES_ALONE:
        plain = []
        for item in items:
            if type(item) is not bytes:
                if isinstance(item, str):
                    large = len(item) > HELD_BYTES
                else:
                    large = _nbytes(item) > HELD_BYTES
                if large:
                    return None
                item = to_bytes(item)
            plain.append(item)
        items = plain
    count, sizes = len(items), list(map(len, items))
    if count and sizes.count(sizes[0]) == count:
        if count * sizes[0] > HELD_BYTES:
            return None
        return b"".join(items), _even_offsets(count, sizes[0])
    if sum(sizes) > HELD_BYTES:
        return None
    offsets = array("Q", accumulate(sizes, initial=0))
    return b"".join(items), (c_uint64 * (count + 1)).from_buffer(offsets)


def _nbytes(data: Any) -> int:
    try:
        return memoryview(data).nbytes
    except TypeError:
        return 0  # to_bytes() says what is wrong with it


# Items of one size, in batches of one size, are common; making the numbers takes as long as a fifth
# of the batch.
@functools.lru_cache(maxsize=16)
def _even_offsets(count: int, size: int) -> Any:
    """The offsets of `count` items of `size`; nobody changes them."""
    offsets = array("Q", range(0, (count + 1) * size, size) if size else bytes(8 * (count + 1)))
    return (c_uint64 * (count + 1)).from_buffer(offsets)


class Batch:
    """Keys, or keys and values, on their way into a batch of the C library.

    Few bytes are packed: buffers of any kind are copied one after another. Of many, or of many
    items, nothing is copied here: the library gets the addresses, and inside of ``with`` nobody can
    change, resize or free what is there.

    ``with Batch(keys) as batch: batch.function("get")(handle, *batch.arguments, ...)``
    """

    __slots__ = ("arguments", "count", "size", "_columns", "_kept", "_packed")

    def __init__(self, *columns: List[List[Any]]) -> None:
        self._columns = columns
        self._kept: List[Any] = []
        self.count = sum(map(len, columns[0]))
        self.size = 0
        self.arguments: Tuple[Any, ...] = ()
        self._packed = False
        if any(sum(map(len, column)) != self.count for column in columns):
            raise ValueError("not as many values as keys")

    def __enter__(self) -> Batch:
        try:
            if not self._try_packed():
                self.size = 0
                slices = [self._slices(column) for column in self._columns]
                self.arguments = (*slices, self.count)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _try_packed(self) -> bool:
        if self.count > HELD_ITEMS:
            return False
        arguments: List[Any] = []
        for column in self._columns:
            packed = _pack(column[0])
            if packed is None:
                return False
            self.size += len(packed[0])
            arguments += packed
        self.arguments = (*arguments, self.count)
        self._packed = True
        return True

    def _slices(self, column: List[List[Any]]) -> Any:
        """A column as an array of rkvs_slice."""
        slices = array("Q")
        for chunk in column:
            if set(map(type, chunk)) <= _BYTES_ALONE:
                addresses, sizes = _addresses(chunk), list(map(len, chunk))
            else:
                addresses, sizes = self._borrow(chunk)
            self.size += sum(sizes)
            pairs = array("Q", bytes(16 * len(chunk)))
            pairs[::2] = array("Q", addresses)
            pairs[1::2] = array("Q", sizes)
            slices.extend(pairs)
        self._kept.append(slices)
        return slices.buffer_info()[0]

    def _borrow(self, chunk: List[Any]) -> Tuple[List[int], List[int]]:
        addresses, sizes = [], []
        for index, item in enumerate(chunk):
            if type(item) is not bytes:
                if isinstance(item, str) or _nbytes(item) <= LARGE_VALUE:
                    # The caller's list may have been the last to refer to what was converted.
                    item = chunk[index] = to_bytes(item)
                else:
                    borrowed = Borrowed(item)
                    self._kept.append(borrowed)
                    item, size = borrowed.__enter__()
                    if type(item) is not bytes:
                        addresses.append(item)
                        sizes.append(size)
                        continue
            addresses.append(_bytes_address(item))
            sizes.append(len(item))
        return addresses, sizes

    def __exit__(self, *_: object) -> None:
        for kept in self._kept:
            if isinstance(kept, Borrowed):
                kept.__exit__()
        self._kept.clear()
        for column in self._columns:
            # One by one: to let go of a million items takes a while.
            while len(column) > 1:
                column.pop()

    def function(self, operation: str, asynchronous: bool = False) -> Any:
        """That of the library, for batches as this one is."""
        form = "_packed" if self._packed else ""
        return getattr(lib, f"namespace_{operation}_multiple{form}{'_async' * asynchronous}")


# --- Bytes out -----------------------------------------------------------------------------------


def text_at(pointer: Optional[int]) -> str:
    """Text that ends with NUL."""
    return ctypes.string_at(pointer).decode("utf-8", "replace") if pointer else ""


def _numbers_at(pointer: int, first: int, count: int, kind: str = "Q", size: int = 8) -> List[int]:
    """No more than HELD_ITEMS + 1 numbers of an array."""
    copied: Any = memoryview(_copy_held(pointer + first * size, count * size))
    numbers: List[int] = copied.cast(kind).tolist()
    return numbers


def _all_numbers_at(pointer: int, count: int, kind: str, size: int) -> List[int]:
    numbers: List[int] = []
    for first in range(0, count, HELD_ITEMS):
        numbers += _numbers_at(pointer, first, min(HELD_ITEMS, count - first), kind, size)
    return numbers


def _items_at(data: Optional[int], offsets: int, first: int, count: int) -> List[bytes]:
    """No more than HELD_ITEMS of the items that lie one after another at `data`."""
    ends = _numbers_at(offsets, first, count + 1)
    start = ends[0]
    if ends[-1] - start <= HELD_BYTES:
        if start:
            ends = [end - start for end in ends]
        whole = bytes_at((data or 0) + start, ends[-1])
        return [whole[i:j] for i, j in zip(ends, ends[1:])]
    base, items = data or 0, []
    index = 0
    while index < count:
        start = ends[index]
        # As many as are small together, or one that is not.
        last = bisect.bisect_right(ends, start + HELD_BYTES, index + 1) - 1
        if last <= index + 1:
            items.append(bytes_at(base + start, ends[index + 1] - start))
            index += 1
        else:
            whole = bytes_at(base + start, ends[last] - start)
            items += [
                whole[ends[i] - start : ends[i + 1] - start] for i in range(index, last)
            ]
            index = last
    return items


def _all_items_at(data: Optional[int], offsets: int, count: int) -> List[bytes]:
    if 0 < count <= HELD_ITEMS:
        return _items_at(data, offsets, 0, count)
    items: List[bytes] = []
    for first in range(0, count, HELD_ITEMS):
        items += _items_at(data, offsets, first, min(HELD_ITEMS, count - first))
    return items


def _values_at(view: Any, missing: Any) -> Tuple[List[Any], bool]:
    """The values of a rkvs_batch_view, `missing` where there is none; whether all have one."""
    count: int = view.count
    if count <= HELD_ITEMS:
        return _some_values_at(view, 0, count, missing) if count else ([], True)
    values: List[Any] = []
    all_there = True
    for first in range(0, count, HELD_ITEMS):
        some = _some_values_at(view, first, min(HELD_ITEMS, count - first), missing)
        values += some[0]
        all_there &= some[1]
    return values, all_there


def _some_values_at(view: Any, first: int, count: int, missing: Any) -> Tuple[List[Any], bool]:
    items: List[Any] = _items_at(view.values, view.value_offsets, first, count)
    there = _copy_held(view.has_value + first, count)
    if b"\0" not in there:
        return items, True
    return [item if has else missing for item, has in zip(items, there)], False


def _is_large(count: int, size: int) -> bool:
    """Whether it takes long to give so many items, or so many bytes, back to the system."""
    return count > HELD_ITEMS or size > 16 * HELD_BYTES


def value_bytes(value: Any) -> bytes:
    """The bytes of an rkvs_value, which is released."""
    data = c_void_p()
    size = c_size_t()
    release = held.value_release
    try:
        held.value_view(value, byref(data), byref(size))
        if _is_large(1, size.value):
            release = lib.value_release
        return bytes_at(data.value, size.value)
    finally:
        release(value)


def value_of(completion: Any) -> bytes:
    """The bytes of the value in an rkvs_completion, which is not cleared."""
    size: int = completion.size
    if size <= HELD_BYTES:
        value: bytes = completion.data[:size]
        return value
    return bytes_at(held.value_data(completion.value), size)


class _ValueOwner:
    """Gives a reference to an rkvs_value back when the last view of its bytes is gone."""

    __slots__ = ("_release", "_value")

    def __init__(self, value: int, size: int) -> None:
        self._value = value
        self._release = (lib if _is_large(1, size) else held).value_release

    def __del__(self) -> None:
        self._release(self._value)


def value_memory(value: int) -> memoryview:
    """A read-only view of an rkvs_value, which lives as long as the view and views made of it."""
    size: int = held.value_size(value)
    owner = _ValueOwner(value, size)
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
    return _all_items_at(data.value, offsets.value, count.value)


def list_numbers(handle: Any) -> List[int]:
    """The numbers of an rkvs_list, which is not released."""
    data, count = c_void_p(), c_size_t()
    lib.list_numbers(handle, byref(data), byref(count), None)
    return _all_numbers_at(data.value or 0, count.value, "Q", 8)


class RawBatch(NamedTuple):
    """An rkvs_batch_result as Python objects."""

    status: int
    total_processed: int
    duration_ns: int
    statuses: List[int]
    versions: List[int]
    values: List[Optional[bytes]]
    keys: Optional[List[bytes]]


def _view_batch(handle: Any) -> Any:
    view = BatchViewStruct()
    view.struct_size = ctypes.sizeof(view)
    if lib.batch_result_view(handle, byref(view), None) < 0:
        raise MemoryError("no memory for the values of a batch")
    return view


def batch_values(handle: Any, missing: Any) -> Tuple[List[Any], bool]:
    """The values of an rkvs_batch_result, `missing` where there is none, and whether an item is an
    error. The handle is not released."""
    view = _view_batch(handle)
    values, all_there = _values_at(view, missing)
    if all_there:
        return values, False
    for first in range(0, view.count, HELD_ITEMS):
        some = min(HELD_ITEMS, view.count - first)
        if min(_numbers_at(view.statuses, first, some, "i", 4)) < 0:
            return values, True
    return values, False


def read_batch(handle: Any) -> RawBatch:
    """All of an rkvs_batch_result, which is not released."""
    view = _view_batch(handle)
    count: int = view.count
    keys: Optional[List[bytes]] = None
    if view.key_offsets:
        keys = _all_items_at(view.keys, view.key_offsets, count)
    elif view.keys:
        keys = []
    return RawBatch(
        view.status,
        view.total_processed,
        view.duration_ns,
        _all_numbers_at(view.statuses, count, "i", 4),
        _all_numbers_at(view.versions, count, "Q", 8),
        _values_at(view, None)[0],
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
