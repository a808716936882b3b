//! The part of `<rkvs.h>` that this example uses, by hand. What each function does, and who owns
//! what, is said there. bindgen makes the same of the whole header: all numbers have a fixed width,
//! codes are integers with constants, and there are no macros to miss but RKVS_ABI_VERSION.

#![allow(non_camel_case_types)]

use std::os::raw::{c_char, c_void};

pub type rkvs_status = i32;
pub type rkvs_batch_mode = i32;

pub const RKVS_ABI_VERSION: u32 = 1;

pub const RKVS_OK: rkvs_status = 0;
pub const RKVS_NOT_FOUND: rkvs_status = 1;
pub const RKVS_PENDING: rkvs_status = 17;
pub const RKVS_E_VALUE_TOO_LARGE: rkvs_status = -12;
pub const RKVS_E_TIMEOUT: rkvs_status = -15;

pub const RKVS_ALL_OR_NOTHING: rkvs_batch_mode = 0;
pub const RKVS_BEST_EFFORT: rkvs_batch_mode = 1;

// For rkvs_sizeof.
pub const RKVS_TYPE_MANAGER_OPTIONS: i32 = 1;
pub const RKVS_TYPE_NAMESPACE_CONFIG: i32 = 3;
pub const RKVS_TYPE_ASYNC: i32 = 14;
pub const RKVS_TYPE_COMPLETION: i32 = 15;
pub const RKVS_TYPE_SLICE: i32 = 16;

/// Types that are only ever seen through a pointer.
macro_rules! opaque {
    ($($name:ident)*) => { $(
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
        }
    )* };
}
opaque! {
    rkvs_manager rkvs_namespace rkvs_value rkvs_batch_result rkvs_list rkvs_queue rkvs_operation
    rkvs_error rkvs_write_options rkvs_operation_options
}

#[repr(C)]
pub struct rkvs_slice {
    pub data: *const c_void,
    pub size: usize,
}

#[repr(C)]
pub struct rkvs_namespace_config {
    pub struct_size: u32,
    pub shard_count: u32,
    pub max_keys: u64,
    pub max_value_size: u64,
    pub max_key_size: u64,
    pub max_bytes: u64,
    pub lock_timeout_ms: u64,
}

#[repr(C)]
pub struct rkvs_manager_options {
    pub struct_size: u32,
    pub flags: u32,
    pub max_namespaces: u64,
    pub max_bytes: u64,
    pub max_load_bytes: u64,
    pub directory: *const c_char,
    pub log: Option<extern "C" fn(*mut c_void, i32, *const c_char, usize)>,
    pub log_user: *mut c_void,
    pub worker_threads: u32,
    pub reserved: u32,
    pub manager_autosave: *const c_void,
    pub namespace_autosave: *const c_void,
    pub namespace_autosave_count: usize,
}

#[repr(C)]
pub struct rkvs_async {
    pub struct_size: u32,
    pub flags: u32,
    pub queue: *mut rkvs_queue,
    pub callback: Option<extern "C" fn(*mut c_void, *const rkvs_completion)>,
    pub user: *mut c_void,
    pub tag: u64,
    pub timeout_ms: u64,
    pub progress: *const c_void, // a callback; none here
    pub progress_user: *mut c_void,
}

#[repr(C)]
pub struct rkvs_completion {
    pub tag: u64,
    pub user: *mut c_void,
    pub status: rkvs_status,
    pub kind: i32,
    pub value: *mut rkvs_value,
    pub data: *const c_void,
    pub size: u64,
    pub version: u64,
    pub number: i64,
    pub batch: *mut rkvs_batch_result,
    pub list: *mut rkvs_list,
    pub ns: *mut rkvs_namespace,
    pub error: *mut rkvs_error,
    pub reserved: [u64; 3],
}

extern "C" {
    pub fn rkvs_version_string() -> *const c_char;
    pub fn rkvs_status_name(status: rkvs_status) -> *const c_char;
    pub fn rkvs_sizeof(kind: i32) -> usize;

    pub fn rkvs_error_code(error: *const rkvs_error) -> rkvs_status;
    pub fn rkvs_error_message(error: *const rkvs_error) -> *const c_char;
    pub fn rkvs_error_index(error: *const rkvs_error) -> i64;
    pub fn rkvs_error_release(error: *mut rkvs_error);

    pub fn rkvs_value_view(value: *const rkvs_value, data: *mut *const c_void, size: *mut usize);
    pub fn rkvs_value_retain(value: *mut rkvs_value) -> *mut rkvs_value;
    pub fn rkvs_value_release(value: *mut rkvs_value);

    pub fn rkvs_manager_options_init(
        options: *mut rkvs_manager_options,
        size: usize,
    ) -> rkvs_status;
    pub fn rkvs_manager_open(
        abi_version: u32,
        options: *const rkvs_manager_options,
        manager: *mut *mut rkvs_manager,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_manager_initialize_file(
        manager: *mut rkvs_manager,
        file: *const c_char,
        options: *const rkvs_operation_options,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_manager_create_namespace(
        manager: *mut rkvs_manager,
        name: *const c_char,
        config: *const rkvs_namespace_config,
        ns: *mut *mut rkvs_namespace,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_manager_get_namespace(
        manager: *mut rkvs_manager,
        name: *const c_char,
        ns: *mut *mut rkvs_namespace,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_manager_save_all_async(
        manager: *mut rkvs_manager,
        file: *const c_char,
        how: *const rkvs_async,
        out: *mut rkvs_completion,
        operation: *mut *mut rkvs_operation,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_manager_close(
        manager: *mut rkvs_manager,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_manager_retain(manager: *mut rkvs_manager) -> *mut rkvs_manager;
    pub fn rkvs_manager_release(manager: *mut rkvs_manager);

    pub fn rkvs_namespace_config_init(
        config: *mut rkvs_namespace_config,
        size: usize,
    ) -> rkvs_status;
    pub fn rkvs_namespace_put(
        ns: *mut rkvs_namespace,
        key: *const c_void,
        key_size: usize,
        value: *const c_void,
        value_size: usize,
        options: *const rkvs_write_options,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_namespace_get(
        ns: *mut rkvs_namespace,
        key: *const c_void,
        key_size: usize,
        value: *mut *mut rkvs_value,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_namespace_set_multiple(
        ns: *mut rkvs_namespace,
        keys: *const rkvs_slice,
        values: *const rkvs_slice,
        count: usize,
        mode: rkvs_batch_mode,
        options: *const rkvs_write_options,
        result: *mut *mut rkvs_batch_result,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_namespace_get_multiple(
        ns: *mut rkvs_namespace,
        keys: *const rkvs_slice,
        count: usize,
        mode: rkvs_batch_mode,
        result: *mut *mut rkvs_batch_result,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_namespace_retain(ns: *mut rkvs_namespace) -> *mut rkvs_namespace;
    pub fn rkvs_namespace_release(ns: *mut rkvs_namespace);

    pub fn rkvs_batch_result_item_status(
        result: *const rkvs_batch_result,
        index: usize,
    ) -> rkvs_status;
    pub fn rkvs_batch_result_value(
        result: *const rkvs_batch_result,
        index: usize,
    ) -> *mut rkvs_value;
    pub fn rkvs_batch_result_release(result: *mut rkvs_batch_result);

    pub fn rkvs_async_init(how: *mut rkvs_async, size: usize) -> rkvs_status;
    pub fn rkvs_completion_clear(completion: *mut rkvs_completion);
    pub fn rkvs_queue_create(
        queue: *mut *mut rkvs_queue,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_queue_wait(
        queue: *mut rkvs_queue,
        timeout_ms: i64,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_queue_poll(
        queue: *mut rkvs_queue,
        completions: *mut rkvs_completion,
        capacity: usize,
        count: *mut usize,
        error: *mut *mut rkvs_error,
    ) -> rkvs_status;
    pub fn rkvs_queue_retain(queue: *mut rkvs_queue) -> *mut rkvs_queue;
    pub fn rkvs_queue_release(queue: *mut rkvs_queue);
}
