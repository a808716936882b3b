// How asynchronous front ends reach the store behind a handle. For <rkvs/async.h> and the C API; a
// program has no use for it.
#ifndef RKVS_ASYNC_ACCESS_H_
#define RKVS_ASYNC_ACCESS_H_

#include <rkvs/async_operation.h>
#include <rkvs/batch.h>
#include <rkvs/manager.h>
#include <rkvs/namespace.h>
#include <rkvs/status.h>
#include <rkvs/value.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace rkvs::internal {

// Calls `run(context)` with no wait for a lock allowed. False if that was not to be: then `run` has
// changed nothing, its result means nothing, and it is to run on a worker thread. Not for
// best-effort batches of more than one slice, which may be left half done.
bool try_now(StatusCode (*run)(void* context), void* context);

// What the asynchronous front ends need of handles.
struct AsyncAccess {
  // Begins an operation on the handle's manager. `timeout` bounds, from now on, all waits for locks
  // and for a thread; without one it is, for AsyncLane::kWait, the namespace's lock_timeout. When
  // this is an error, the operation has not begun and will not complete: Closed, NoMemory.
  static Status start(const Namespace& handle, std::shared_ptr<AsyncOperation> operation,
                      AsyncLane lane, std::optional<std::chrono::milliseconds> timeout);
  static Status start(const StorageManager& handle, std::shared_ptr<AsyncOperation> operation,
                      std::optional<std::chrono::milliseconds> timeout);
  // Runs `work` on a worker thread of the handle's manager. False if there is none to be had; then
  // it has not run and will not.
  static bool post(const Namespace& handle, std::function<void()> work) noexcept;
  static bool post(const StorageManager& handle, std::function<void()> work) noexcept;

  // Namespace::transform for whom exceptions of `change` cannot reach: they are Internal, with what
  // they say, std::bad_alloc is NoMemory. Either way nothing has changed.
  static Result<std::optional<Value>> transform(
      Namespace& handle, std::string_view key, const Namespace::TransformFunction& change) noexcept;

  // A handle for an operation: it keeps the manager in memory, and does not close it.
  static StorageManager share(const StorageManager& handle);

  // Whether a batch of `items` may be run by try_now() and is short enough for it. A best-effort
  // write may not where limits could make it wait in mid-work.
  static bool is_short_read(std::size_t items) noexcept { return items <= kShortBatch; }
  static bool is_short_write(const Namespace& handle, std::size_t items, BatchMode mode) noexcept;

  // Some 20 microseconds.
  static constexpr std::size_t kShortBatch = 128;
};

}  // namespace rkvs::internal

#endif  // RKVS_ASYNC_ACCESS_H_
