// A condition variable for Mutex, with deadlines.
#ifndef RKVS_BASE_CONDITION_H_
#define RKVS_BASE_CONDITION_H_

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>

#include "base/futex.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace rkvs::internal {

// Threads that wait for what a Mutex guards to change. The standard's takes no other mutex than its
// own without an allocation, and ThreadSanitizer does not know its timed wait.
//
// Who changes the state holds the mutex while doing so; who waits holds it from looking at the
// state until wait() gives it back. So a notification between looking and sleeping is not lost: it
// changes the number that the sleeper has read before it let the mutex go.
class Condition {
 public:
  constexpr Condition() = default;
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // Unlocks, sleeps until a notification or until `until`, and locks again. May return for no
  // reason at all: the caller looks at the state and the clock again.
  void wait_until(Mutex& mutex, std::chrono::steady_clock::time_point until) RKVS_REQUIRES(mutex) {
    const uint32_t seen = notifications_.load(std::memory_order_relaxed);
    mutex.unlock();
    futex_wait(notifications_, seen, until, kAnyWaiter);
    mutex.lock();
  }
  void wait(Mutex& mutex) RKVS_REQUIRES(mutex) {
    wait_until(mutex, std::chrono::steady_clock::time_point::max());
  }

  // Wakes everybody who waits.
  void notify_all() {
    notifications_.fetch_add(1, std::memory_order_relaxed);
    futex_wake(notifications_, INT_MAX, kAnyWaiter);
  }

 private:
  static constexpr uint32_t kAnyWaiter = 1;

  std::atomic<uint32_t> notifications_{0};
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_CONDITION_H_
