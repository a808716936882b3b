// The one time limit of an operation.
#ifndef RKVS_BASE_DEADLINE_H_
#define RKVS_BASE_DEADLINE_H_

#include <chrono>
#include <cstdint>

#include "base/histogram.h"
#include "base/wait_limit.h"

namespace rkvs::internal {

// A budget of time whose clock starts at the first call of `when()`.
//
// An operation that never has to wait never reads the clock: the lock asks for the point in time
// only after its fast path failed. From then on the point is fixed, so that one Deadline passed to
// several locks bounds their waits together. Where the thread has a WaitLimit, that says the point.
// Not thread-safe: it belongs to one operation.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  // `lock_wait`, where there is one, gets how long each lock was waited for.
  explicit Deadline(std::chrono::nanoseconds budget, Histogram* lock_wait = nullptr)
      : budget_(budget), lock_wait_(lock_wait), limit_(WaitLimit::current()) {}

  // Waits for ever, whatever the thread's limit: `when()` is the end of time.
  static Deadline never() {
    Deadline deadline(std::chrono::nanoseconds::max());
    deadline.limit_ = nullptr;
    return deadline;
  }

  // By a lock that is not free at once.
  Histogram* begin_wait() {
    ++waits_;
    return lock_wait_;
  }
  // How many locks were not.
  uint32_t waits() const { return waits_; }
  // By whoever gives up because the time is over.
  void give_up() {
    if (limit_ != nullptr) limit_->note_refused();
  }
  // False for an operation that is only tried: it leaves alone what could take long.
  bool may_wait() const { return limit_ == nullptr || limit_->until() != WaitLimit::no_wait(); }
  // Whether giving up means no more than that the operation is tried again.
  bool may_try_again() const { return limit_ != nullptr && limit_->may_try_again(); }

  Clock::time_point when() {
    if (!started_) {
      started_ = true;
      if (limit_ != nullptr) {
        when_ = limit_->until();
      } else if (budget_ != std::chrono::nanoseconds::max()) {
        when_ = Clock::now() + budget_;
      }
    }
    return when_;
  }

 private:
  std::chrono::nanoseconds budget_;
  Histogram* lock_wait_ = nullptr;
  WaitLimit* limit_ = nullptr;
  uint32_t waits_ = 0;
  Clock::time_point when_ = Clock::time_point::max();
  bool started_ = false;
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_DEADLINE_H_
