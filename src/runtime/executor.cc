#include "runtime/executor.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/signals_blocked.h"
#include "base/wait_limit.h"

namespace rkvs::internal {

__thread const Executor* Executor::current_ __attribute__((tls_model("initial-exec"))) = nullptr;

namespace {

Status cancelled() { return make_error(StatusCode::kCancelled, "the operation was cancelled"); }
Status closed() { return make_error(StatusCode::kClosed, "the StorageManager is closed"); }
Status late() {
  return make_error(StatusCode::kTimeout, "the time was over before the operation began");
}

}  // namespace

// Marks the calling thread as one that works for an executor, which may end before the mark does.
class Executor::OnWorkerThread {
 public:
  explicit OnWorkerThread(const Executor& executor) : outer_(std::exchange(current_, &executor)) {}
  ~OnWorkerThread() { current_ = outer_; }
  OnWorkerThread(const OnWorkerThread&) = delete;
  OnWorkerThread& operator=(const OnWorkerThread&) = delete;

 private:
  const Executor* const outer_;
};

// Threads of its own around an io_context: boost::asio::thread_pool waits for ever in its
// constructor when the second of its threads cannot be had.
class Executor::Pool {
 public:
  // Throws where not even one thread is to be had; with fewer than asked for it makes do.
  explicit Pool(uint32_t threads) : context_(static_cast<int>(threads)) {
    threads_.reserve(threads);
    try {
      while (threads_.size() < threads) threads_.emplace_back([this] { context_.run(); });
    } catch (const std::bad_alloc&) {
      if (threads_.empty()) throw;
    } catch (const std::system_error&) {
      if (threads_.empty()) throw;
    }
  }
  ~Pool() { join(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void post(std::function<void()> work) { boost::asio::post(context_, std::move(work)); }
  // Does what has been posted, and ends the threads.
  void join() {
    more_to_come_.reset();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  using Context = boost::asio::io_context;

  Context context_;
  boost::asio::executor_work_guard<Context::executor_type> more_to_come_ =
      boost::asio::make_work_guard(context_);
  std::vector<std::thread> threads_;
};

// An operation's place in the queue of a pool or of the caller's executor. One that is destroyed
// there without having been reached ends the operation.
class Executor::Job {
 public:
  explicit Job(std::shared_ptr<AsyncOperation> operation) : operation_(std::move(operation)) {}
  ~Job() {
    if (operation_ != nullptr) operation_->executor_->end(*operation_, closed());
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void run() {
    std::shared_ptr<AsyncOperation> operation = std::move(operation_);
    if (operation == nullptr) return;
    // Still marked when the operation goes: what goes with it may be the last of its manager, which
    // this thread cannot wait for.
    const OnWorkerThread mark(*operation->executor_);
    operation->executor_->work(*operation);
    operation.reset();
  }
  // It has not come into any queue, and ends nothing.
  void disarm() { operation_.reset(); }

 private:
  std::shared_ptr<AsyncOperation> operation_;
};

// The end of what begin_post() began.
class Executor::PostEnd {
 public:
  explicit PostEnd(Executor& executor) : executor_(executor) {}
  ~PostEnd() {
    const MutexLock lock(executor_.mutex_);
    if (--executor_.posting_ == 0) executor_.idle_.notify_all();
  }
  PostEnd(const PostEnd&) = delete;
  PostEnd& operator=(const PostEnd&) = delete;

 private:
  Executor& executor_;
};

Executor::Executor(uint32_t threads, PostHook post)
    // The manager refuses more than the most before anything is started.
    : threads_(threads != 0
                   ? std::min(threads, kMaxWorkerThreads)
                   : std::clamp(std::thread::hardware_concurrency(), 1U, kMostDefaultThreads)),
      post_(std::move(post)) {}

Executor::~Executor() = default;

// By value: it keeps the operation to the end.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Status Executor::start(std::shared_ptr<AsyncOperation> operation, Lane lane,
                       std::optional<AsyncOperation::Clock::time_point> deadline) {
  if (process_.is_forked()) return ProcessMark::error();
  AsyncOperation& started = *operation;
  started.executor_ = shared_from_this();
  started.lane_ = lane;
  started.deadline_ = deadline;
  {
    const MutexLock lock(mutex_);
    if (closed_) return closed();
    started.next_ = operations_;
    if (operations_ != nullptr) operations_->previous_ = &started;
    operations_ = &started;
    started.self_ = operation;
    started.state_.store(State::kQueued);
  }
  if (started.token_.is_cancelled()) {
    end(started, cancelled());
    return Status();
  }
  if (enqueue(started)) return Status();
  // Whoever cancels or closes at this moment may have completed it.
  State queued = State::kQueued;
  if (!started.state_.compare_exchange_strong(queued, State::kDone)) return Status();
  forget(started);
  return make_error(StatusCode::kNoMemory, "no thread or no memory for an asynchronous operation");
}

bool Executor::post(std::function<void()> work) noexcept {
  if (process_.is_forked()) return false;
  try {
    return enqueue(Lane::kWait, [self = shared_from_this(), work = std::move(work)]() mutable {
      const OnWorkerThread mark(*self);
      work();
      work = nullptr;
    });
  } catch (const std::bad_alloc&) {
    return false;
  }
}

bool Executor::enqueue(AsyncOperation& operation) noexcept {
  std::shared_ptr<Job> job;
  try {
    job = std::make_shared<Job>(operation.weak_from_this().lock());
    if (enqueue(operation.lane_, [job] { job->run(); })) return true;
  } catch (const std::bad_alloc&) {
    // As if the queue had refused it.
  }
  if (job != nullptr) job->disarm();
  return false;
}

bool Executor::enqueue(Lane lane, std::function<void()> work) noexcept {
  try {
    if (post_) {
      post_(std::move(work));
      return true;
    }
    Pool* const pool = begin_post(lane);
    if (pool == nullptr) return false;
    // Not with the lock held: what finds no memory is destroyed, and a Job then ends its operation.
    const PostEnd end(*this);
    pool->post(std::move(work));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  } catch (const std::system_error&) {
    return false;  // no thread to be had
  }
}

Executor::Pool* Executor::begin_post(Lane lane) {
  const MutexLock lock(mutex_);
  if (joined_) return nullptr;
  std::unique_ptr<Pool>& pool = lane == Lane::kLong ? long_ : wait_;
  if (pool == nullptr) {
    const SignalsBlocked signals;
    pool = std::make_unique<Pool>(lane == Lane::kLong ? threads_ : 1);
  }
  ++posting_;
  return pool.get();
}

void Executor::work(AsyncOperation& operation) noexcept {
  State queued = State::kQueued;
  if (operation.state_.compare_exchange_strong(queued, State::kRunning)) {
    if (is_late(operation)) {
      complete(operation, late());
    } else if (attempt(operation)) {
      complete(operation, Status());
    } else {
      operation.state_.store(State::kQueued);
      if (operation.token_.is_cancelled()) {
        end(operation, cancelled());
      } else if (!enqueue(operation)) {
        end(operation, StatusCode::kNoMemory);
      }
    }
  }
}

bool Executor::is_late(const AsyncOperation& operation) const {
  // One that has waited for a lock all the time looks at the lock once more.
  return operation.lane_ == Lane::kLong && operation.deadline_.has_value() &&
         AsyncOperation::Clock::now() >= *operation.deadline_;
}

bool Executor::attempt(AsyncOperation& operation) noexcept {
  if (!operation.deadline_.has_value()) {
    operation.run();
    return true;
  }
  auto until = *operation.deadline_;
  bool is_last = true;
  if (operation.lane_ == Lane::kWait) {
    const auto slice = AsyncOperation::Clock::now() + kWaitSlice;
    is_last = slice >= until;
    until = std::min(until, slice);
  }
  WaitLimit limit(until, is_last ? WaitLimit::End::kTimeout : WaitLimit::End::kTryAgain);
  const StatusCode code = operation.run();
  return is_last || !is_error(code) || !limit.was_refused();
}

void Executor::end(AsyncOperation& operation, const Status& why) noexcept {
  State queued = State::kQueued;
  if (operation.state_.compare_exchange_strong(queued, State::kDone)) complete(operation, why);
}

void Executor::complete(AsyncOperation& operation, const Status& not_run) noexcept {
  const std::shared_ptr<AsyncOperation> alive = operation.weak_from_this().lock();
  operation.state_.store(State::kDone);
  operation.complete(not_run);
  forget(operation);
}

void Executor::forget(AsyncOperation& operation) noexcept {
  std::shared_ptr<AsyncOperation> last;  // dropped without the lock
  const MutexLock lock(mutex_);
  if (operation.previous_ != nullptr) {
    operation.previous_->next_ = operation.next_;
  } else {
    operations_ = operation.next_;
  }
  if (operation.next_ != nullptr) operation.next_->previous_ = operation.previous_;
  last.swap(operation.self_);
  if (operations_ == nullptr) idle_.notify_all();
}

void Executor::close() noexcept {
  const MutexLock closing(close_mutex_);
  {
    const MutexLock lock(mutex_);
    closed_ = true;
  }
  while (const std::shared_ptr<AsyncOperation> operation = next_to_close()) {
    // In this order: one that begins in between would say that it was cancelled.
    end(*operation, closed());
    operation->token_.cancel();
  }
  std::unique_ptr<Pool> pools[2];
  {
    const MutexLock lock(mutex_);
    while (operations_ != nullptr) idle_.wait(mutex_);
    joined_ = true;
    while (posting_ != 0) idle_.wait(mutex_);
    pools[0] = std::move(long_);
    pools[1] = std::move(wait_);
  }
  for (const auto& pool : pools) {
    if (pool != nullptr) pool->join();
  }
}

std::shared_ptr<AsyncOperation> Executor::next_to_close() {
  const MutexLock lock(mutex_);
  for (AsyncOperation* operation = operations_; operation != nullptr;
       operation = operation->next_) {
    if (!std::exchange(operation->is_closing_, true)) return operation->self_;
  }
  return nullptr;
}

void AsyncOperation::cancel() noexcept {
  token_.cancel();
  if (state_.load() != State::kNew) executor_->end(*this, cancelled());
}

}  // namespace rkvs::internal
