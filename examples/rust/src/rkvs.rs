//! A safe wrapper around the functions of [`ffi`]: handles that release themselves, `Result` for
//! what can fail, `Option` for what may be absent. A whole binding would go on like this.

use crate::ffi;
use std::{
    ffi::{CStr, CString},
    fmt, mem,
    ops::Deref,
    os::raw::{c_char, c_void},
    ptr,
    time::Duration,
};

// --- Errors -----------------------------------------------------------------------------------

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Below zero for an error; above zero for an outcome (such as RKVS_NOT_FOUND) that the caller
    /// of a batch asked not to have.
    pub code: i32,
    pub message: String,
    /// In batches: of the first item that failed.
    pub index: Option<usize>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The name of the code, such as "RKVS_E_VALUE_TOO_LARGE".
    pub fn name(&self) -> &'static str {
        unsafe { text(ffi::rkvs_status_name(self.code)) }
    }

    /// # Safety
    /// `error` is null or an error that is given to this function for good.
    unsafe fn take(code: i32, error: *mut ffi::rkvs_error) -> Error {
        if error.is_null() {
            return Error { code, message: String::new(), index: None };
        }
        let taken = Error {
            code: ffi::rkvs_error_code(error),
            message: CStr::from_ptr(ffi::rkvs_error_message(error)).to_string_lossy().into_owned(),
            index: usize::try_from(ffi::rkvs_error_index(error)).ok(),
        };
        ffi::rkvs_error_release(error);
        taken
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code)?;
        if let Some(index) = self.index {
            write!(f, ", item {index}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Error {}

/// Calls a function whose last argument is the slot for an error. Ok holds RKVS_OK or an outcome.
fn check(call: impl FnOnce(*mut *mut ffi::rkvs_error) -> i32) -> Result<i32> {
    let mut error = ptr::null_mut();
    match call(&mut error) {
        status if status >= 0 => Ok(status),
        code => Err(unsafe { Error::take(code, error) }),
    }
}

/// # Safety
/// `text` ends with NUL and lives as long as the program.
unsafe fn text(text: *const c_char) -> &'static str {
    CStr::from_ptr(text).to_str().unwrap_or("?")
}

/// Names that hold a NUL would end early; C cannot refuse them, so this does.
fn c_string(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Error {
        code: -2, // RKVS_E_INVALID_NAME
        message: format!("the name {name:?} holds a NUL"),
        index: None,
    })
}

/// The version of the library that the program runs with.
pub fn version() -> &'static str {
    unsafe { text(ffi::rkvs_version_string()) }
}

// --- Handles ----------------------------------------------------------------------------------

/// A reference-counted handle: Clone retains, Drop releases. Any thread may use and drop it, and
/// handles may go in any order: the library keeps alive what another one needs.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $raw:ident, $release:ident $(, $retain:ident)?) => {
        $(#[$doc])*
        pub struct $name(ptr::NonNull<ffi::$raw>);

        unsafe impl Send for $name {}
        unsafe impl Sync for $name {}

        impl $name {
            /// # Safety
            /// `raw` is null or a reference that is given to the new handle for good.
            #[allow(dead_code)]
            unsafe fn from_raw(raw: *mut ffi::$raw) -> Option<$name> {
                ptr::NonNull::new(raw).map($name)
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                unsafe { ffi::$release(self.0.as_ptr()) }
            }
        }

        $(impl Clone for $name {
            fn clone(&self) -> $name {
                unsafe { ffi::$retain(self.0.as_ptr()) };
                $name(self.0)
            }
        })?
    };
}

handle!(
    /// The bytes of a value, which are the store's own and never change. May outlive the store.
    Value, rkvs_value, rkvs_value_release, rkvs_value_retain
);

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let (mut data, mut size) = (ptr::null(), 0);
        unsafe {
            ffi::rkvs_value_view(self.0.as_ptr(), &mut data, &mut size);
            std::slice::from_raw_parts(data.cast(), size)
        }
    }
}

// --- The store --------------------------------------------------------------------------------

handle!(
    /// A store.
    Manager, rkvs_manager, rkvs_manager_release, rkvs_manager_retain
);

impl Manager {
    /// Opens a store whose snapshots live in `directory`, with what `file` holds.
    pub fn open(directory: &str, file: &str) -> Result<Manager> {
        check_layout();
        let directory = c_string(directory)?;
        let file = c_string(file)?;
        let mut raw = ptr::null_mut();
        unsafe {
            let mut options = mem::zeroed::<ffi::rkvs_manager_options>();
            check(|_| ffi::rkvs_manager_options_init(&mut options, mem::size_of_val(&options)))?;
            options.directory = directory.as_ptr();
            check(|e| ffi::rkvs_manager_open(ffi::RKVS_ABI_VERSION, &options, &mut raw, e))?;
            let manager = Manager(ptr::NonNull::new_unchecked(raw));
            check(|e| ffi::rkvs_manager_initialize_file(raw, file.as_ptr(), ptr::null(), e))?;
            Ok(manager)
        }
    }

    /// `max_value_size`: in bytes; 0 = no limit.
    pub fn create_namespace(&self, name: &str, max_value_size: u64) -> Result<Namespace> {
        let name = c_string(name)?;
        let mut raw = ptr::null_mut();
        unsafe {
            let mut config = mem::zeroed::<ffi::rkvs_namespace_config>();
            check(|_| ffi::rkvs_namespace_config_init(&mut config, mem::size_of_val(&config)))?;
            config.max_value_size = max_value_size;
            check(|e| {
                ffi::rkvs_manager_create_namespace(
                    self.0.as_ptr(),
                    name.as_ptr(),
                    &config,
                    &mut raw,
                    e,
                )
            })?;
            Ok(Namespace(ptr::NonNull::new_unchecked(raw)))
        }
    }

    pub fn get_namespace(&self, name: &str) -> Result<Namespace> {
        let name = c_string(name)?;
        let mut raw = ptr::null_mut();
        unsafe {
            check(|e| {
                ffi::rkvs_manager_get_namespace(self.0.as_ptr(), name.as_ptr(), &mut raw, e)
            })?;
            Ok(Namespace(ptr::NonNull::new_unchecked(raw)))
        }
    }

    /// Begins a save and returns. Its completion arrives in `queue` with this tag, once.
    pub fn save_all_async(&self, file: &str, queue: &Queue, tag: u64) -> Result<()> {
        let file = c_string(file)?;
        let status = unsafe {
            let mut how = mem::zeroed::<ffi::rkvs_async>();
            check(|_| ffi::rkvs_async_init(&mut how, mem::size_of_val(&how)))?;
            how.queue = queue.0.as_ptr();
            how.tag = tag;
            check(|e| {
                ffi::rkvs_manager_save_all_async(
                    self.0.as_ptr(),
                    file.as_ptr(),
                    &how,
                    ptr::null_mut(),
                    ptr::null_mut(),
                    e,
                )
            })?
        };
        debug_assert_eq!(status, ffi::RKVS_PENDING);
        Ok(())
    }

    /// Ends the store now, rather than when the last handle on it goes, and says how that went.
    pub fn close(&self) -> Result<()> {
        check(|e| unsafe { ffi::rkvs_manager_close(self.0.as_ptr(), e) }).map(drop)
    }
}

/// Whether [`ffi`] lays out its structures as the library does. Those with a struct_size may have
/// grown in the library since.
fn check_layout() {
    let size = |kind| unsafe { ffi::rkvs_sizeof(kind) };
    let grown = |kind, ours| assert!(size(kind) >= ours, "structure {kind}");
    grown(ffi::RKVS_TYPE_MANAGER_OPTIONS, mem::size_of::<ffi::rkvs_manager_options>());
    grown(ffi::RKVS_TYPE_NAMESPACE_CONFIG, mem::size_of::<ffi::rkvs_namespace_config>());
    grown(ffi::RKVS_TYPE_ASYNC, mem::size_of::<ffi::rkvs_async>());
    assert_eq!(size(ffi::RKVS_TYPE_COMPLETION), mem::size_of::<ffi::rkvs_completion>());
    assert_eq!(size(ffi::RKVS_TYPE_SLICE), mem::size_of::<ffi::rkvs_slice>());
}

// --- Namespaces -------------------------------------------------------------------------------

handle!(
    /// One of the store's namespaces. Keeps the store alive.
    Namespace, rkvs_namespace, rkvs_namespace_release, rkvs_namespace_retain
);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchMode {
    AllOrNothing = ffi::RKVS_ALL_OR_NOTHING as isize,
    BestEffort = ffi::RKVS_BEST_EFFORT as isize,
}

fn bytes(of: &[u8]) -> (*const c_void, usize) {
    (of.as_ptr().cast(), of.len())
}

fn slice(of: &[u8]) -> ffi::rkvs_slice {
    let (data, size) = bytes(of);
    ffi::rkvs_slice { data, size }
}

impl Namespace {
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, key_size) = bytes(key.as_ref());
        let (value, value_size) = bytes(value.as_ref());
        check(|e| unsafe {
            ffi::rkvs_namespace_put(
                self.0.as_ptr(),
                key,
                key_size,
                value,
                value_size,
                ptr::null(),
                e,
            )
        })
        .map(drop)
    }

    /// None for a key that is not there.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        let (key, key_size) = bytes(key.as_ref());
        let mut raw = ptr::null_mut();
        unsafe {
            check(|e| ffi::rkvs_namespace_get(self.0.as_ptr(), key, key_size, &mut raw, e))?;
            Ok(Value::from_raw(raw)) // null where the outcome is RKVS_NOT_FOUND
        }
    }

    /// All of it, at one instant, or nothing.
    pub fn set_multiple<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, items: &[(K, V)]) -> Result<()> {
        let keys: Vec<_> = items.iter().map(|(key, _)| slice(key.as_ref())).collect();
        let values: Vec<_> = items.iter().map(|(_, value)| slice(value.as_ref())).collect();
        check(|e| unsafe {
            ffi::rkvs_namespace_set_multiple(
                self.0.as_ptr(),
                keys.as_ptr(),
                values.as_ptr(),
                items.len(),
                ffi::RKVS_ALL_OR_NOTHING,
                ptr::null(),
                ptr::null_mut(),
                e,
            )
        })
        .map(drop)
    }

    /// The values in the order of the keys. In the mode AllOrNothing a key that is not there fails
    /// the call; in BestEffort it is a None.
    pub fn get_multiple<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mode: BatchMode,
    ) -> Result<Vec<Option<Value>>> {
        let slices: Vec<_> = keys.iter().map(|key| slice(key.as_ref())).collect();
        let mut raw = ptr::null_mut();
        let status = check(|e| unsafe {
            ffi::rkvs_namespace_get_multiple(
                self.0.as_ptr(),
                slices.as_ptr(),
                slices.len(),
                mode as i32,
                &mut raw,
                e,
            )
        })?;
        let result = BatchResult(ptr::NonNull::new(raw).expect("a result"));
        if status != ffi::RKVS_OK {
            let index = (0..keys.len()).find(|&index| result.item_status(index) == status);
            return Err(Error { code: status, message: "nothing was read".into(), index });
        }
        (0..keys.len())
            .map(|index| match result.item_status(index) {
                ffi::RKVS_OK | ffi::RKVS_NOT_FOUND => Ok(result.value(index)),
                code => Err(Error { code, message: String::new(), index: Some(index) }),
            })
            .collect()
    }
}

handle!(
    /// What came of a batch.
    BatchResult, rkvs_batch_result, rkvs_batch_result_release
);

impl BatchResult {
    fn item_status(&self, index: usize) -> i32 {
        unsafe { ffi::rkvs_batch_result_item_status(self.0.as_ptr(), index) }
    }

    fn value(&self, index: usize) -> Option<Value> {
        unsafe { Value::from_raw(ffi::rkvs_batch_result_value(self.0.as_ptr(), index)) }
    }
}

// --- Completions ------------------------------------------------------------------------------

handle!(
    /// Where asynchronous calls complete. An event loop would watch rkvs_queue_fd and poll; a
    /// program without one waits, as this wrapper does.
    Queue, rkvs_queue, rkvs_queue_release, rkvs_queue_retain
);

/// What came of an asynchronous call.
pub struct Completion {
    pub tag: u64,
    pub result: Result<()>,
}

impl Queue {
    pub fn new() -> Result<Queue> {
        let mut raw = ptr::null_mut();
        check(|e| unsafe { ffi::rkvs_queue_create(&mut raw, e) })?;
        Ok(Queue(ptr::NonNull::new(raw).expect("a queue")))
    }

    /// The next completion, or None when none arrived in time.
    pub fn next(&self, patience: Duration) -> Result<Option<Completion>> {
        let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        match check(|e| unsafe { ffi::rkvs_queue_wait(self.0.as_ptr(), patience_ms, e) }) {
            Ok(_) => {}
            Err(error) if error.code == ffi::RKVS_E_TIMEOUT => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut count = 0;
        unsafe {
            let mut raw = mem::zeroed::<ffi::rkvs_completion>();
            check(|e| ffi::rkvs_queue_poll(self.0.as_ptr(), &mut raw, 1, &mut count, e))?;
            if count == 0 {
                return Ok(None); // another thread was faster
            }
            let result = if raw.status < 0 {
                // Taken out, so that the rest can be cleared.
                Err(Error::take(raw.status, mem::replace(&mut raw.error, ptr::null_mut())))
            } else {
                Ok(())
            };
            let tag = raw.tag;
            ffi::rkvs_completion_clear(&mut raw);
            Ok(Some(Completion { tag, result }))
        }
    }
}
