// A clock for autosave that stands still until a test moves it.
#ifndef RKVS_TESTS_SUPPORT_MANUAL_CLOCK_H_
#define RKVS_TESTS_SUPPORT_MANUAL_CLOCK_H_

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "runtime/autosave.h"

namespace rkvs::testing {

// Safe for concurrent use.
class ManualClock final : public internal::AutosaveClock {
 public:
  std::chrono::steady_clock::time_point now() override {
    std::function<void()> call;
    {
      const std::lock_guard lock(mutex_);
      if (std::this_thread::get_id() == called_on_) call.swap(in_next_now_);
    }
    if (call) call();
    const std::lock_guard lock(mutex_);
    return now_;
  }
  // Called once, when this thread asks for the time next; the autosave thread may do so before.
  void call_in_next_now(std::function<void()> call) {
    const std::lock_guard lock(mutex_);
    in_next_now_ = std::move(call);
    called_on_ = std::this_thread::get_id();
  }
  std::chrono::system_clock::time_point wall_time() override {
    const std::lock_guard lock(mutex_);
    return wall_;
  }
  // Looks again every millisecond.
  void wait_until(internal::Condition& condition, internal::Mutex& mutex,
                  std::chrono::steady_clock::time_point until) override RKVS_REQUIRES(mutex) {
    {
      const std::lock_guard lock(mutex_);
      if (until > now_) ++idle_rounds_;
    }
    condition.wait_until(mutex, std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
  }

  void advance(std::chrono::nanoseconds by) {
    const std::lock_guard lock(mutex_);
    now_ += by;
    wall_ += std::chrono::duration_cast<std::chrono::system_clock::duration>(by);
  }
  void set_wall_time(std::chrono::system_clock::time_point to) {
    const std::lock_guard lock(mutex_);
    wall_ = to;
  }

  // Returns when the autosave thread has found, from now on, that it has nothing to do before the
  // clock moves. There must be such a thread.
  void await_idle() {
    const uint64_t enough = idle_rounds() + 2;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (idle_rounds() < enough) {
      if (std::chrono::steady_clock::now() > limit) {
        ADD_FAILURE() << "autosave is busy for ever, or is not at work";
        return;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  void advance_and_settle(std::chrono::nanoseconds by) {
    advance(by);
    await_idle();
  }

 private:
  uint64_t idle_rounds() {
    const std::lock_guard lock(mutex_);
    return idle_rounds_;
  }

  std::mutex mutex_;
  std::chrono::steady_clock::time_point now_{std::chrono::hours(1000)};
  // 2026-01-02 03:04:05.678
  std::chrono::system_clock::time_point wall_ =
      std::chrono::sys_days(std::chrono::year(2026) / 1 / 2) + std::chrono::hours(3) +
      std::chrono::minutes(4) + std::chrono::milliseconds(5678);
  uint64_t idle_rounds_ = 0;
  std::function<void()> in_next_now_;
  std::thread::id called_on_;
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_MANUAL_CLOCK_H_
