// What all files of the C API share: handles, the guard of every entry point, errors.
#ifndef RKVS_CAPI_INTERNAL_H_
#define RKVS_CAPI_INTERNAL_H_

#include <rkvs/batch.h>
#include <rkvs/manager.h>
#include <rkvs/namespace.h>
#include <rkvs/status.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "capi/rkvs.h"

namespace rkvs::capi {

// --- Fork -------------------------------------------------------------------------------------

// Set in the child of a process that has opened a store: its threads are gone and its locks may be
// held for ever. One load an entry point.
extern std::atomic<bool> is_forked;

inline bool forked() noexcept { return is_forked.load(std::memory_order_relaxed); }

// To be called before the first store is opened. Throws std::bad_alloc.
void watch_forks();

// --- Callbacks --------------------------------------------------------------------------------

// How deep the calling thread is in functions of the program that the library called.
extern __thread int callback_depth __attribute__((tls_model("initial-exec")));

class CallbackGuard {
 public:
  CallbackGuard() { ++callback_depth; }
  ~CallbackGuard() { --callback_depth; }
  CallbackGuard(const CallbackGuard&) = delete;
  CallbackGuard& operator=(const CallbackGuard&) = delete;
};

inline bool in_callback() noexcept { return callback_depth != 0; }

// --- Handles ----------------------------------------------------------------------------------

// The beginning of every handle. `magic` says which kind it is: handles of the wrong kind are
// refused, and most that were released. An rkvs_value is none of these: see value.h.
struct Handle {
  explicit constexpr Handle(uint32_t kind) : magic(kind) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  uint32_t magic;
  std::atomic<uint32_t> refs{1};
};

// Whether `handle` points to one of its type.
template <typename T>
bool is_valid(const T* handle) noexcept {
  // Values have an odd address, everything else that comes from here is aligned.
  return handle != nullptr && (reinterpret_cast<uintptr_t>(handle) & 7U) == 0 &&
         handle->magic == T::kMagic;
}

// RKVS_OK, RKVS_E_INVALID_ARGUMENT or RKVS_E_FORKED.
template <typename T>
rkvs_status check(const T* handle) noexcept {
  if (forked()) [[unlikely]]
    return RKVS_E_FORKED;
  return is_valid(handle) ? RKVS_OK : RKVS_E_INVALID_ARGUMENT;
}

template <typename T>
T* retain(T* handle) noexcept {
  if (!forked() && is_valid(handle)) handle->refs.fetch_add(1, std::memory_order_relaxed);
  return handle;
}

// Gives up one reference; true where it was the last one, and the caller is to destroy the handle.
template <typename T>
bool drop(T* handle) noexcept {
  if (forked() || !is_valid(handle)) return false;
  if (handle->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  handle->magic = 0;
  return true;
}

template <typename T>
void release(T* handle) noexcept {
  if (drop(handle)) delete handle;
}

// --- Errors -----------------------------------------------------------------------------------

constexpr rkvs_status code_of(StatusCode code) noexcept { return static_cast<rkvs_status>(code); }

// Fills the slot, if there is one, where `status` is an error; returns its code.
rkvs_status report(const Status& status, rkvs_error** error, int64_t index = -1) noexcept;

// The same with a message of these parts.
template <typename... Parts>
rkvs_status refuse(StatusCode code, rkvs_error** error, const Parts&... parts) noexcept {
  if (error == nullptr) return code_of(code);
  return report(internal::make_error(code, parts...), error);
}

// For what check() and its like return.
rkvs_status refuse_argument(rkvs_status status, rkvs_error** error, const char* what) noexcept;

inline rkvs_status finish(const Status& status, rkvs_error** error) noexcept {
  return status.is_error() ? report(status, error) : code_of(status.code());
}

// Runs the body of an entry point: nothing that it throws leaves the library.
template <typename Body>  // rkvs_status()
rkvs_status guarded(rkvs_error** error, Body body) noexcept {
  if (error != nullptr) *error = nullptr;
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return report(Status(StatusCode::kNoMemory), error);
  } catch (...) {
    return report(Status(StatusCode::kInternal), error);
  }
}

// --- Arguments --------------------------------------------------------------------------------

inline std::string_view view(const void* data, std::size_t size) noexcept {
  return {static_cast<const char*>(data), size};
}

// RKVS_OK or RKVS_E_INVALID_ARGUMENT. No object is larger than half of the address space.
inline rkvs_status check_bytes(const void* data, std::size_t size) noexcept {
  if (size == 0) return RKVS_OK;
  return data != nullptr && size <= PTRDIFF_MAX ? RKVS_OK : RKVS_E_INVALID_ARGUMENT;
}

inline rkvs_status check_key(const void* key, std::size_t size) noexcept {
  if (size > kLargestMaxKeySize) [[unlikely]]
    return RKVS_E_KEY_TOO_LARGE;
  return key != nullptr || size == 0 ? RKVS_OK : RKVS_E_INVALID_ARGUMENT;
}

inline rkvs_status check_value(const void* value, std::size_t size) noexcept {
  if (size > kLargestValueSize) [[unlikely]]
    return RKVS_E_VALUE_TOO_LARGE;
  return value != nullptr || size == 0 ? RKVS_OK : RKVS_E_INVALID_ARGUMENT;
}

}  // namespace rkvs::capi

// --- The handles ------------------------------------------------------------------------------

struct rkvs_error : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B4531;
  rkvs_error(rkvs::Status why, int64_t at) : Handle(kMagic), status(std::move(why)), index(at) {}

  const rkvs::Status status;
  const int64_t index;
};

struct rkvs_manager : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B4D31;
  explicit rkvs_manager(rkvs::StorageOptions options)
      : Handle(kMagic), manager(std::move(options)) {}

  rkvs::StorageManager manager;
};

struct rkvs_namespace : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B4E31;
  // Adds a reference to `owner`.
  rkvs_namespace(rkvs_manager* owner, rkvs::Namespace handle)
      : Handle(kMagic), manager(rkvs::capi::retain(owner)), ns(std::move(handle)) {}
  ~rkvs_namespace() { rkvs_manager_release(manager); }

  rkvs_manager* const manager;
  rkvs::Namespace ns;
};

#endif  // RKVS_CAPI_INTERNAL_H_
