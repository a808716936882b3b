// AsyncOperation: what one asynchronous call is on its way. For <rkvs/async.h> and the C API; a
// program has no use for it.
#ifndef RKVS_ASYNC_OPERATION_H_
#define RKVS_ASYNC_OPERATION_H_

#include <rkvs/operation.h>
#include <rkvs/status.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

namespace rkvs::internal {

class Executor;

// What an operation does with its thread. Those that only wait for a lock have one to themselves,
// so that no save stands before them.
enum class AsyncLane { kLong, kWait };

// An operation that runs on a worker thread and completes exactly once, whatever meets first: its
// end, its deadline, cancel(), the closing of its manager, or an executor that drops it.
//
// Whoever makes one derives from it, with the operation's arguments (copied) and a place for its
// result, and hands it to an Executor, which keeps it alive until it has completed.
class AsyncOperation : public std::enable_shared_from_this<AsyncOperation> {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~AsyncOperation() = default;
  AsyncOperation(const AsyncOperation&) = delete;
  AsyncOperation& operator=(const AsyncOperation&) = delete;

  // Ends it as Cancelled if it has not begun, and else as soon as it can be ended; one that is done
  // by then completes as it would have. At any time, on any thread.
  void cancel() noexcept;

 protected:
  // Throws std::bad_alloc.
  AsyncOperation() : token_(CancelToken::create()) {}

  // For the operation's own OperationOptions.
  const CancelToken& cancel_token() const noexcept { return token_; }

  // Does the operation, on a worker thread, keeps its result, and returns its code. Called again if
  // that was an error for which a wait was refused. Must not throw.
  virtual StatusCode run() noexcept = 0;
  // Hands over the result of run() or, where `not_run` is an error, that error. Called once, with
  // no lock held, on a worker thread or on whichever called cancel() or closes the manager.
  virtual void complete(const Status& not_run) noexcept = 0;

 private:
  friend class Executor;
  enum class State : uint8_t { kNew, kQueued, kRunning, kDone };

  const CancelToken token_;
  std::atomic<State> state_{State::kNew};

  // The executor's, from its start() on.
  std::shared_ptr<Executor> executor_;
  AsyncLane lane_ = AsyncLane::kLong;
  std::optional<Clock::time_point> deadline_;
  std::shared_ptr<AsyncOperation> self_;
  AsyncOperation* next_ = nullptr;
  AsyncOperation* previous_ = nullptr;
  bool is_closing_ = false;
};

}  // namespace rkvs::internal

#endif  // RKVS_ASYNC_OPERATION_H_
