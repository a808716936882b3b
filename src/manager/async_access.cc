#include <rkvs/async_access.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "base/error.h"
#include "base/wait_limit.h"
#include "manager/manager_impl.h"
#include "runtime/executor.h"
#include "store/namespace_impl.h"

namespace rkvs::internal {
namespace {

Status start_on(Executor* executor, std::shared_ptr<AsyncOperation> operation, AsyncLane lane,
                std::optional<std::chrono::nanoseconds> timeout) {
  if (executor == nullptr) return make_error(StatusCode::kClosed, "no StorageManager");
  std::optional<AsyncOperation::Clock::time_point> deadline;
  if (timeout.has_value()) {
    const auto now = AsyncOperation::Clock::now();
    const auto room = AsyncOperation::Clock::time_point::max() - now;
    deadline = now + std::min<std::chrono::nanoseconds>(*timeout, room);
  }
  return executor->start(std::move(operation), lane, deadline);
}

// The handles of a moved-from manager are empty.
Executor* executor_of(const std::shared_ptr<ManagerImpl>& impl) {
  return impl == nullptr ? nullptr : impl->executor().get();
}

std::optional<std::chrono::nanoseconds> in_nanoseconds(
    std::optional<std::chrono::milliseconds> timeout) {
  if (!timeout.has_value()) return std::nullopt;
  // Beyond what nanoseconds can count it is for ever.
  return std::min(*timeout, std::chrono::duration_cast<std::chrono::milliseconds>(
                                std::chrono::nanoseconds::max()));
}

}  // namespace

bool try_now(StatusCode (*run)(void* context), void* context) {
  WaitLimit limit(WaitLimit::no_wait(), WaitLimit::End::kTryAgain);
  const StatusCode code = run(context);
  return !limit.was_refused() || !is_error(code);
}

Status AsyncAccess::start(const Namespace& handle, std::shared_ptr<AsyncOperation> operation,
                          AsyncLane lane, std::optional<std::chrono::milliseconds> timeout) {
  NamespaceImpl& impl = NamespaceImpl::of(handle);
  auto limit = in_nanoseconds(timeout);
  if (!limit.has_value() && lane == AsyncLane::kWait) limit = impl.lock_timeout();
  return start_on(impl.executor().get(), std::move(operation), lane, limit);
}

Status AsyncAccess::start(const StorageManager& handle, std::shared_ptr<AsyncOperation> operation,
                          std::optional<std::chrono::milliseconds> timeout) {
  return start_on(executor_of(handle.impl_), std::move(operation), AsyncLane::kLong,
                  in_nanoseconds(timeout));
}

bool AsyncAccess::post(const Namespace& handle, std::function<void()> work) noexcept {
  Executor* const executor = NamespaceImpl::of(handle).executor().get();
  return executor != nullptr && executor->post(std::move(work));
}

bool AsyncAccess::post(const StorageManager& handle, std::function<void()> work) noexcept {
  Executor* const executor = executor_of(handle.impl_);
  return executor != nullptr && executor->post(std::move(work));
}

Result<std::optional<Value>> AsyncAccess::transform(
    Namespace& handle, std::string_view key, const Namespace::TransformFunction& change) noexcept {
  try {
    return handle.transform(key, change);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kNoMemory);
  } catch (const std::exception& thrown) {
    return make_error(StatusCode::kInternal, "the function of a transform threw: ", thrown.what());
  } catch (...) {
    return make_error(StatusCode::kInternal, "the function of a transform threw");
  }
}

StorageManager AsyncAccess::share(const StorageManager& handle) {
  return StorageManager(handle.impl_ == nullptr ? nullptr : handle.impl_->shared_from_this());
}

bool AsyncAccess::is_short_write(const Namespace& handle, std::size_t items,
                                 BatchMode mode) noexcept {
  if (items > kShortBatch) return false;
  if (mode == BatchMode::kAllOrNothing) return true;
  const Usage& usage = NamespaceImpl::of(handle).usage();
  const Budget* shared = usage.shared();
  return usage.max_keys() == 0 && usage.max_bytes() == 0 &&
         (shared == nullptr || shared->limit() == 0);
}

}  // namespace rkvs::internal
