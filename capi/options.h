// Between the structures of rkvs.h and the options and figures of the C++ API.
#ifndef RKVS_CAPI_OPTIONS_H_
#define RKVS_CAPI_OPTIONS_H_

#include <rkvs/autosave.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>
#include <rkvs/write_options.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "capi/internal.h"
#include "capi/rkvs.h"

namespace rkvs::capi {

// Nothing that the program may grow to: a struct_size above it was never set.
inline constexpr std::size_t kLargestStruct = 4096;

// What the first version of a structure had. To be specialised for one that grows.
template <typename T>
inline constexpr std::size_t kFirstSize = sizeof(T);

// InvalidArgument.
template <typename T>
Status check_size(std::size_t struct_size) {
  if (struct_size >= kFirstSize<T> && struct_size <= kLargestStruct) return Status();
  return internal::make_error(StatusCode::kInvalidArgument, "a structure of ", struct_size,
                              " bytes; the library's has ", sizeof(T));
}

// A copy of a structure of the caller, as far as this library knows it; zeros for NULL.
// InvalidArgument, Unsupported.
template <typename T>
Status read_struct(const T* from, T& to) {
  if (from != nullptr && from->struct_size == sizeof(T)) [[likely]] {
    to = *from;
    return Status();
  }
  std::memset(&to, 0, sizeof to);
  if (from == nullptr) return Status();
  const std::size_t size = from->struct_size;
  if (Status status = check_size<T>(size); !status.ok()) return status;
  const auto* bytes = reinterpret_cast<const unsigned char*>(from);
  for (std::size_t i = sizeof(T); i < size; ++i) {
    if (bytes[i] != 0) {
      return internal::make_error(StatusCode::kUnsupported,
                                  "a structure with a field that this library does not know");
    }
  }
  std::memcpy(&to, from, std::min(size, sizeof(T)));
  return Status();
}

// Fills the `size` bytes of a structure of the caller: with what fits, and zeros for what this
// library does not know.
template <typename T>
void copy_sized(const T& from, void* to, std::size_t size) {
  auto* bytes = static_cast<unsigned char*>(to);
  if (size > sizeof(T)) std::memset(bytes + sizeof(T), 0, size - sizeof(T));
  std::memcpy(bytes, &from, std::min(size, sizeof(T)));
}

// The same for one that says its size itself. InvalidArgument.
template <typename T>
Status write_struct(T from, T* to) {
  if (to == nullptr)
    return internal::make_error(StatusCode::kInvalidArgument, "nothing to fill in");
  const uint32_t size = to->struct_size;
  if (Status status = check_size<T>(size); !status.ok()) return status;
  from.struct_size = size;
  copy_sized(from, to, size);
  return Status();
}

// Of the functions that are called X_init.
template <typename T>
rkvs_status init_struct(T* structure, std::size_t size) noexcept {
  if (structure == nullptr || size < kFirstSize<T> || size > kLargestStruct) {
    return RKVS_E_INVALID_ARGUMENT;
  }
  std::memset(static_cast<void*>(structure), 0, size);
  structure->struct_size = static_cast<uint32_t>(size);
  return RKVS_OK;
}

// Milliseconds as they are counted here, the largest for what is larger.
std::chrono::milliseconds to_milliseconds(uint64_t ms) noexcept;

// Each: InvalidArgument, Unsupported. NULL stands for defaults. Those of managers may throw
// std::bad_alloc.
Status to_write_options(const rkvs_write_options* from, WriteOptions& to);
Status to_counter_options(const rkvs_counter_options* from, CounterOptions& to);
Status to_namespace_config(const rkvs_namespace_config* from, NamespaceConfig& to);
Status to_storage_config(const rkvs_manager_config* from, StorageConfig& to);
// The two again, with InvalidArgument for NULL.
Status to_given_config(const rkvs_namespace_config* from, NamespaceConfig& to);
Status to_given_config(const rkvs_manager_config* from, StorageConfig& to);
Status to_autosave_config(const rkvs_autosave_config* from, AutosaveConfig& to);
Status to_storage_options(const rkvs_manager_options* from, StorageOptions& to);
// What `to` calls may be called as long as the operation runs.
Status to_operation_options(const rkvs_operation_options* from, OperationOptions& to);

// A hook that calls the program, and cancels `token` when it says so. Empty for NULL.
ProgressHook progress_hook(rkvs_progress_callback callback, void* user, const CancelToken& token);

rkvs_namespace_config from_namespace_config(const NamespaceConfig& from);
rkvs_manager_config from_storage_config(const StorageConfig& from);
rkvs_namespace_stats from_stats(const NamespaceStats& from);
rkvs_shard_stats from_shard_stats(const ShardStats& from);
// Its texts are those of `from`.
rkvs_autosave_status from_autosave_status(const AutosaveStatus& from);

// RKVS_ALL_OR_NOTHING and RKVS_BEST_EFFORT. InvalidArgument.
Status to_mode(rkvs_batch_mode from, BatchMode& to);

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_OPTIONS_H_
