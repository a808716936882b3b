// WaitLimit: what a thread may wait for locks in the operations that it calls now.
#ifndef RKVS_BASE_WAIT_LIMIT_H_
#define RKVS_BASE_WAIT_LIMIT_H_

#include <chrono>

namespace rkvs::internal {

// While one lives, it stands in for the lock_timeout of every operation that its thread calls.
// Asynchronous operations are the ordinary ones under such a limit: first without any wait, on the
// thread of the caller, and where that fails again on a thread that may wait.
class WaitLimit {
 public:
  using Clock = std::chrono::steady_clock;

  // What it means when the time is over.
  enum class End {
    kTimeout,   // the operation has timed out
    kTryAgain,  // it will be tried again: nothing is counted as a timeout
  };

  explicit WaitLimit(Clock::time_point until, End end = End::kTimeout) noexcept
      : until_(until), end_(end), outer_(current_) {
    current_ = this;
  }
  ~WaitLimit() { current_ = outer_; }
  WaitLimit(const WaitLimit&) = delete;
  WaitLimit& operator=(const WaitLimit&) = delete;

  // Of the calling thread; nullptr where lock_timeout is in force.
  static WaitLimit* current() noexcept { return current_; }
  // For an operation that is tried now and may be tried again: no waits at all.
  static Clock::time_point no_wait() noexcept { return Clock::time_point::min(); }

  Clock::time_point until() const noexcept { return until_; }
  bool may_try_again() const noexcept { return end_ == End::kTryAgain; }
  // By whoever gave up a wait because of this limit.
  void note_refused() noexcept { was_refused_ = true; }
  // Whether somebody did: then an error of the operation may be none with more time.
  bool was_refused() const noexcept { return was_refused_; }

 private:
  // One load for every operation: see callback_scope.h.
  // NOLINTNEXTLINE(readability-identifier-naming): taken for a variable outside of the class
  static __thread WaitLimit* current_ __attribute__((tls_model("initial-exec")));

  const Clock::time_point until_;
  const End end_;
  bool was_refused_ = false;
  WaitLimit* const outer_;
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_WAIT_LIMIT_H_
