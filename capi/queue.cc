#include "capi/queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

using rkvs::Status;
using rkvs::StatusCode;
using rkvs::internal::MutexLock;
using namespace rkvs::capi;

using Clock = std::chrono::steady_clock;

rkvs_queue::~rkvs_queue() {
  const MutexLock lock(mutex_);
  while (first_ != nullptr) delete std::exchange(first_, first_->next);
  ::close(fd_);
}

void rkvs_queue::raise() noexcept {
  if (std::exchange(raised_, true)) return;
  // The counter is 0 here: this cannot fail.
  (void)eventfd_write(fd_, 1);
}

void rkvs_queue::lower() noexcept {
  if (!std::exchange(raised_, false)) return;
  eventfd_t ignored = 0;
  (void)eventfd_read(fd_, &ignored);
}

bool rkvs_queue::begin() noexcept {
  const MutexLock lock(mutex_);
  if (closed_) return false;
  ++on_their_way_;
  return true;
}

void rkvs_queue::give_up() noexcept {
  const MutexLock lock(mutex_);
  --on_their_way_;
  if (is_over() && waiting_ != 0) changed_.notify_all();
}

void rkvs_queue::push(std::unique_ptr<CompletionNode> node) noexcept {
  const MutexLock lock(mutex_);
  --on_their_way_;
  CompletionNode* added = node.release();
  (first_ == nullptr ? first_ : last_->next) = added;
  last_ = added;
  raise();
  if (waiting_ != 0) changed_.notify_all();
}

Status rkvs_queue::poll(rkvs_completion* completions, std::size_t capacity,
                        std::size_t& count) noexcept {
  CompletionNode* taken = nullptr;
  {
    const MutexLock lock(mutex_);
    if (is_over()) return StatusCode::kClosed;
    taken = first_;
    CompletionNode* last = nullptr;
    for (count = 0; count < capacity && first_ != nullptr; ++count) {
      last = std::exchange(first_, first_->next);
    }
    if (last == nullptr) return Status();
    last->next = nullptr;
    if (first_ == nullptr) last_ = nullptr;
    // A closed queue stays readable.
    if (first_ == nullptr && !closed_) lower();
  }
  for (std::size_t i = 0; taken != nullptr; ++i) {
    const std::unique_ptr<CompletionNode> node(std::exchange(taken, taken->next));
    completions[i] = std::exchange(node->completion, {});
  }
  return Status();
}

Status rkvs_queue::wait(Clock::time_point until) noexcept {
  const MutexLock lock(mutex_);
  ++waiting_;
  while (first_ == nullptr && !is_over() && Clock::now() < until) {
    changed_.wait_until(mutex_, until);
  }
  --waiting_;
  if (first_ != nullptr) return Status();
  return is_over() ? StatusCode::kClosed : StatusCode::kTimeout;
}

void rkvs_queue::close() noexcept {
  const MutexLock lock(mutex_);
  closed_ = true;
  raise();
  changed_.notify_all();
}

// --- Entry points
// ---------------------------------------------------------------------------------

rkvs_status rkvs_queue_create(rkvs_queue** queue, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (queue == nullptr) return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "no queue");
    *queue = nullptr;
    if (forked()) return refuse_argument(RKVS_E_FORKED, error, "");
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
      return refuse(errno == ENOMEM ? StatusCode::kNoMemory : StatusCode::kIo, error,
                    "no file descriptor for a queue, errno ", errno);
    }
    *queue = new (std::nothrow) rkvs_queue(fd);
    if (*queue != nullptr) return RKVS_OK;
    ::close(fd);
    return report(StatusCode::kNoMemory, error);
  });
}

int32_t rkvs_queue_fd(rkvs_queue* queue) { return check(queue) == RKVS_OK ? queue->fd() : -1; }

rkvs_status rkvs_queue_poll(rkvs_queue* queue, rkvs_completion* completions, size_t capacity,
                            size_t* count, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (count == nullptr || (completions == nullptr && capacity != 0)) {
      return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "no place for completions");
    }
    *count = 0;
    if (const rkvs_status bad = check(queue)) return refuse_argument(bad, error, "not a queue");
    return finish(queue->poll(completions, capacity, *count), error);
  });
}

rkvs_status rkvs_queue_wait(rkvs_queue* queue, int64_t timeout_ms, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(queue)) return refuse_argument(bad, error, "not a queue");
    if (in_callback()) return refuse(StatusCode::kWouldDeadlock, error, "a callback cannot wait");
    // Beyond a year it is for ever.
    constexpr int64_t kLong = int64_t{366} * 24 * 3600 * 1000;
    const auto until = timeout_ms < 0 || timeout_ms > kLong
                           ? Clock::time_point::max()
                           : Clock::now() + std::chrono::milliseconds(timeout_ms);
    return finish(queue->wait(until), error);
  });
}

rkvs_status rkvs_queue_close(rkvs_queue* queue, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(queue)) return refuse_argument(bad, error, "not a queue");
    queue->close();
    return RKVS_OK;
  });
}

rkvs_queue* rkvs_queue_retain(rkvs_queue* queue) { return retain(queue); }
void rkvs_queue_release(rkvs_queue* queue) { release(queue); }
