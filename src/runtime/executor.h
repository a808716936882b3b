// Executor: the threads on which a manager's asynchronous operations run.
#ifndef RKVS_RUNTIME_EXECUTOR_H_
#define RKVS_RUNTIME_EXECUTOR_H_

#include <rkvs/async_operation.h>
#include <rkvs/options.h>
#include <rkvs/status.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/condition.h"
#include "base/mutex.h"
#include "base/process_mark.h"
#include "base/thread_annotations.h"

namespace rkvs::internal {

// Runs operations on threads of its own, which start when first needed, or on the caller's
// executor. Shared by the manager and its namespaces, and by every operation that is on.
class Executor : public std::enable_shared_from_this<Executor> {
 public:
  using Lane = AsyncLane;

  // `threads`: of the long lane; 0 = one for each processor, kMostDefaultThreads at most. With
  // `post` there are none: it runs what it is given on another thread, or later on this one.
  static constexpr uint32_t kMostDefaultThreads = 4;
  Executor(uint32_t threads, PostHook post);
  // After close(), or when nothing was ever started.
  ~Executor();

  // Begins an operation. When this is an error, it has not begun and will not complete: Closed,
  // Forked, or NoMemory where there is no thread to be had. `deadline`: when it ends as Timeout;
  // without one, the operation minds its own.
  Status start(std::shared_ptr<AsyncOperation> operation, Lane lane,
               std::optional<AsyncOperation::Clock::time_point> deadline);

  // Runs `work` soon, on a worker thread, also while closing: for completions. False where it
  // cannot be had, for want of memory; then `work` has not run and will not.
  bool post(std::function<void()> work) noexcept;

  // Whether the calling thread is running an operation, or a completion, for this executor.
  bool on_worker_thread() const noexcept { return current_ == this; }

  // Ends all operations, those that have not begun as Closed, and waits until the others have
  // completed. For good; start() is Closed from now on. Not on a worker thread.
  void close() noexcept;

 private:
  friend class AsyncOperation;
  using State = AsyncOperation::State;
  class Job;
  class Pool;
  class PostEnd;
  class OnWorkerThread;

  // What a contended operation may wait in one go, before the next one in its lane has a turn.
  static constexpr std::chrono::microseconds kWaitSlice{500};

  bool enqueue(Lane lane, std::function<void()> work) noexcept;
  bool enqueue(AsyncOperation& operation) noexcept;
  // The pool of a lane, which stays until PostEnd; nullptr when all is over. Throws where there is
  // no memory or no thread.
  Pool* begin_post(Lane lane);
  void work(AsyncOperation& operation) noexcept;
  bool is_late(const AsyncOperation& operation) const;
  // False: it is to be tried again.
  bool attempt(AsyncOperation& operation) noexcept;
  // Completes one that is queued, if it is.
  void end(AsyncOperation& operation, const Status& why) noexcept;
  void complete(AsyncOperation& operation, const Status& not_run) noexcept;
  void forget(AsyncOperation& operation) noexcept;
  std::shared_ptr<AsyncOperation> next_to_close();

  // NOLINTNEXTLINE(readability-identifier-naming): see WaitLimit
  static __thread const Executor* current_ __attribute__((tls_model("initial-exec")));

  const uint32_t threads_;
  const PostHook post_;
  const ProcessMark process_;

  Mutex close_mutex_;  // before mutex_
  Mutex mutex_;
  Condition idle_;
  bool closed_ RKVS_GUARDED_BY(mutex_) = false;   // nothing starts any more
  bool joined_ RKVS_GUARDED_BY(mutex_) = false;   // the threads are gone, or never were
  uint32_t posting_ RKVS_GUARDED_BY(mutex_) = 0;  // threads that use a pool at this moment
  // Those that have not completed, the newest first.
  AsyncOperation* operations_ RKVS_GUARDED_BY(mutex_) = nullptr;
  std::unique_ptr<Pool> long_ RKVS_GUARDED_BY(mutex_);
  std::unique_ptr<Pool> wait_ RKVS_GUARDED_BY(mutex_);
};

}  // namespace rkvs::internal

#endif  // RKVS_RUNTIME_EXECUTOR_H_
