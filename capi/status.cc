// Codes, errors, forks, and what a program can ask the library about itself.
#include <pthread.h>
#include <rkvs/version.h>

#include <new>

#include "capi/internal.h"

using rkvs::StatusCode;

namespace rkvs::capi {

std::atomic<bool> is_forked{false};
__thread int callback_depth __attribute__((tls_model("initial-exec"))) = 0;

namespace {

// There has to be something to hand out where there is no memory for an error. Never destroyed.
rkvs_error& no_memory_error() noexcept {
  alignas(rkvs_error) static unsigned char place[sizeof(rkvs_error)];
  static auto* const error = new (place) rkvs_error(Status(StatusCode::kNoMemory), -1);
  return *error;
}

void note_fork() noexcept { is_forked.store(true, std::memory_order_relaxed); }

}  // namespace

void watch_forks() {
  static const bool watching = [] {
    (void)no_memory_error();
    if (pthread_atfork(nullptr, nullptr, note_fork) != 0) throw std::bad_alloc();
    return true;
  }();
  (void)watching;
}

rkvs_status report(const Status& status, rkvs_error** error, int64_t index) noexcept {
  if (error != nullptr) {
    *error = status.is_error() ? new (std::nothrow) rkvs_error(status, index) : nullptr;
    if (*error == nullptr && status.is_error()) *error = &no_memory_error();
  }
  return code_of(status.code());
}

rkvs_status refuse_argument(rkvs_status status, rkvs_error** error, const char* what) noexcept {
  if (error == nullptr) return status;
  switch (status) {
    case RKVS_E_FORKED:
      return refuse(StatusCode::kForked, error, "this process is a fork of the one with the store");
    case RKVS_E_KEY_TOO_LARGE:
      return refuse(StatusCode::kKeyTooLarge, error, "a key is at most ", kLargestMaxKeySize,
                    " bytes long");
    case RKVS_E_VALUE_TOO_LARGE:
      return refuse(StatusCode::kValueTooLarge, error, "a value is at most ", kLargestValueSize,
                    " bytes long");
    default: return refuse(static_cast<StatusCode>(status), error, what);
  }
}

}  // namespace rkvs::capi

// --- Codes
// ----------------------------------------------------------------------------------------

#define RKVS_CHECK_CODE(c, cpp) static_assert((c) == static_cast<int32_t>(StatusCode::cpp))
RKVS_CHECK_CODE(RKVS_OK, kOk);
RKVS_CHECK_CODE(RKVS_NOT_FOUND, kNotFound);
RKVS_CHECK_CODE(RKVS_EXISTS, kExists);
RKVS_CHECK_CODE(RKVS_VERSION_MISMATCH, kVersionMismatch);
RKVS_CHECK_CODE(RKVS_NOT_APPLIED, kNotApplied);
RKVS_CHECK_CODE(RKVS_E_INVALID_ARGUMENT, kInvalidArgument);
RKVS_CHECK_CODE(RKVS_E_INVALID_NAME, kInvalidName);
RKVS_CHECK_CODE(RKVS_E_NOT_INITIALIZED, kNotInitialized);
RKVS_CHECK_CODE(RKVS_E_CLOSED, kClosed);
RKVS_CHECK_CODE(RKVS_E_NAMESPACE_NOT_FOUND, kNamespaceNotFound);
RKVS_CHECK_CODE(RKVS_E_NAMESPACE_EXISTS, kNamespaceExists);
RKVS_CHECK_CODE(RKVS_E_NAMESPACE_DELETED, kNamespaceDeleted);
RKVS_CHECK_CODE(RKVS_E_TOO_MANY_NAMESPACES, kTooManyNamespaces);
RKVS_CHECK_CODE(RKVS_E_TOO_MANY_KEYS, kTooManyKeys);
RKVS_CHECK_CODE(RKVS_E_LIMIT_BELOW_USE, kLimitBelowUse);
RKVS_CHECK_CODE(RKVS_E_KEY_TOO_LARGE, kKeyTooLarge);
RKVS_CHECK_CODE(RKVS_E_VALUE_TOO_LARGE, kValueTooLarge);
RKVS_CHECK_CODE(RKVS_E_MEMORY_LIMIT, kMemoryLimit);
RKVS_CHECK_CODE(RKVS_E_NO_MEMORY, kNoMemory);
RKVS_CHECK_CODE(RKVS_E_TIMEOUT, kTimeout);
RKVS_CHECK_CODE(RKVS_E_CANCELLED, kCancelled);
RKVS_CHECK_CODE(RKVS_E_NOT_A_NUMBER, kNotANumber);
RKVS_CHECK_CODE(RKVS_E_OVERFLOW, kOverflow);
RKVS_CHECK_CODE(RKVS_E_NO_PERSISTENCE, kNoPersistence);
RKVS_CHECK_CODE(RKVS_E_SNAPSHOT_NOT_FOUND, kSnapshotNotFound);
RKVS_CHECK_CODE(RKVS_E_SNAPSHOT_CORRUPT, kSnapshotCorrupt);
RKVS_CHECK_CODE(RKVS_E_SNAPSHOT_VERSION, kSnapshotVersion);
RKVS_CHECK_CODE(RKVS_E_IO, kIo);
RKVS_CHECK_CODE(RKVS_E_DIRECTORY_LOCKED, kDirectoryLocked);
RKVS_CHECK_CODE(RKVS_E_AUTOSAVE_EXISTS, kAutosaveExists);
RKVS_CHECK_CODE(RKVS_E_AUTOSAVE_NOT_CONFIGURED, kAutosaveNotConfigured);
RKVS_CHECK_CODE(RKVS_E_AUTOSAVE_NOT_RUNNING, kAutosaveNotRunning);
RKVS_CHECK_CODE(RKVS_E_BUSY, kBusy);
RKVS_CHECK_CODE(RKVS_E_WOULD_DEADLOCK, kWouldDeadlock);
RKVS_CHECK_CODE(RKVS_E_FORKED, kForked);
RKVS_CHECK_CODE(RKVS_E_UNSUPPORTED, kUnsupported);
RKVS_CHECK_CODE(RKVS_E_INTERNAL, kInternal);
#undef RKVS_CHECK_CODE

#define RKVS_NAME_CASE(code) \
  case code: return #code
const char* rkvs_status_name(rkvs_status status) {
  switch (status) {
    RKVS_NAME_CASE(RKVS_OK);
    RKVS_NAME_CASE(RKVS_NOT_FOUND);
    RKVS_NAME_CASE(RKVS_EXISTS);
    RKVS_NAME_CASE(RKVS_VERSION_MISMATCH);
    RKVS_NAME_CASE(RKVS_NOT_APPLIED);
    RKVS_NAME_CASE(RKVS_DONE);
    RKVS_NAME_CASE(RKVS_PENDING);
    RKVS_NAME_CASE(RKVS_E_INVALID_ARGUMENT);
    RKVS_NAME_CASE(RKVS_E_INVALID_NAME);
    RKVS_NAME_CASE(RKVS_E_NOT_INITIALIZED);
    RKVS_NAME_CASE(RKVS_E_CLOSED);
    RKVS_NAME_CASE(RKVS_E_NAMESPACE_NOT_FOUND);
    RKVS_NAME_CASE(RKVS_E_NAMESPACE_EXISTS);
    RKVS_NAME_CASE(RKVS_E_NAMESPACE_DELETED);
    RKVS_NAME_CASE(RKVS_E_TOO_MANY_NAMESPACES);
    RKVS_NAME_CASE(RKVS_E_TOO_MANY_KEYS);
    RKVS_NAME_CASE(RKVS_E_LIMIT_BELOW_USE);
    RKVS_NAME_CASE(RKVS_E_KEY_TOO_LARGE);
    RKVS_NAME_CASE(RKVS_E_VALUE_TOO_LARGE);
    RKVS_NAME_CASE(RKVS_E_MEMORY_LIMIT);
    RKVS_NAME_CASE(RKVS_E_NO_MEMORY);
    RKVS_NAME_CASE(RKVS_E_TIMEOUT);
    RKVS_NAME_CASE(RKVS_E_CANCELLED);
    RKVS_NAME_CASE(RKVS_E_NOT_A_NUMBER);
    RKVS_NAME_CASE(RKVS_E_OVERFLOW);
    RKVS_NAME_CASE(RKVS_E_NO_PERSISTENCE);
    RKVS_NAME_CASE(RKVS_E_SNAPSHOT_NOT_FOUND);
    RKVS_NAME_CASE(RKVS_E_SNAPSHOT_CORRUPT);
    RKVS_NAME_CASE(RKVS_E_SNAPSHOT_VERSION);
    RKVS_NAME_CASE(RKVS_E_IO);
    RKVS_NAME_CASE(RKVS_E_DIRECTORY_LOCKED);
    RKVS_NAME_CASE(RKVS_E_AUTOSAVE_EXISTS);
    RKVS_NAME_CASE(RKVS_E_AUTOSAVE_NOT_CONFIGURED);
    RKVS_NAME_CASE(RKVS_E_AUTOSAVE_NOT_RUNNING);
    RKVS_NAME_CASE(RKVS_E_BUSY);
    RKVS_NAME_CASE(RKVS_E_WOULD_DEADLOCK);
    RKVS_NAME_CASE(RKVS_E_FORKED);
    RKVS_NAME_CASE(RKVS_E_UNSUPPORTED);
    RKVS_NAME_CASE(RKVS_E_INTERNAL);
    default: return "RKVS_UNKNOWN";
  }
}
#undef RKVS_NAME_CASE

// --- The library
// ----------------------------------------------------------------------------------

uint32_t rkvs_abi_version(void) { return RKVS_ABI_VERSION; }

const char* rkvs_version_string(void) { return RKVS_VERSION_STRING; }

int32_t rkvs_has_feature(rkvs_feature feature) {
  return feature >= RKVS_FEATURE_PERSISTENCE && feature <= RKVS_FEATURE_METRICS ? 1 : 0;
}

size_t rkvs_sizeof(rkvs_type type) {
  switch (type) {
    case RKVS_TYPE_MANAGER_OPTIONS: return sizeof(rkvs_manager_options);
    case RKVS_TYPE_MANAGER_CONFIG: return sizeof(rkvs_manager_config);
    case RKVS_TYPE_NAMESPACE_CONFIG: return sizeof(rkvs_namespace_config);
    case RKVS_TYPE_AUTOSAVE_CONFIG: return sizeof(rkvs_autosave_config);
    case RKVS_TYPE_AUTOSAVE_STATUS: return sizeof(rkvs_autosave_status);
    case RKVS_TYPE_WRITE_OPTIONS: return sizeof(rkvs_write_options);
    case RKVS_TYPE_COUNTER_OPTIONS: return sizeof(rkvs_counter_options);
    case RKVS_TYPE_SCAN_OPTIONS: return sizeof(rkvs_scan_options);
    case RKVS_TYPE_OPERATION_OPTIONS: return sizeof(rkvs_operation_options);
    case RKVS_TYPE_NAMESPACE_STATS: return sizeof(rkvs_namespace_stats);
    case RKVS_TYPE_SHARD_STATS: return sizeof(rkvs_shard_stats);
    case RKVS_TYPE_BATCH_ITEM: return sizeof(rkvs_batch_item);
    case RKVS_TYPE_BATCH_VIEW: return sizeof(rkvs_batch_view);
    case RKVS_TYPE_ASYNC: return sizeof(rkvs_async);
    case RKVS_TYPE_COMPLETION: return sizeof(rkvs_completion);
    case RKVS_TYPE_SLICE: return sizeof(rkvs_slice);
    case RKVS_TYPE_NAMESPACE_AUTOSAVE: return sizeof(rkvs_namespace_autosave);
    case RKVS_TYPE_PROGRESS: return sizeof(rkvs_progress);
    default: return 0;
  }
}

// --- Errors
// ---------------------------------------------------------------------------------------

rkvs_status rkvs_error_code(const rkvs_error* error) {
  if (error == nullptr) return RKVS_OK;
  if (!rkvs::capi::is_valid(error)) return RKVS_E_INVALID_ARGUMENT;
  return rkvs::capi::code_of(error->status.code());
}

const char* rkvs_error_message(const rkvs_error* error) {
  if (!rkvs::capi::is_valid(error)) return "";
  // A Status keeps its message in a std::string: a NUL follows it.
  const std::string_view message = error->status.message();
  return message.data() == nullptr ? "" : message.data();
}

int64_t rkvs_error_index(const rkvs_error* error) {
  return rkvs::capi::is_valid(error) ? error->index : -1;
}

rkvs_error* rkvs_error_retain(rkvs_error* error) { return rkvs::capi::retain(error); }

void rkvs_error_release(rkvs_error* error) {
  // The one that is for all never goes.
  if (error != &rkvs::capi::no_memory_error()) rkvs::capi::release(error);
}
