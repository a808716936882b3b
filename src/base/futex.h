// The two futex calls that the locks use.
#ifndef RKVS_BASE_FUTEX_H_
#define RKVS_BASE_FUTEX_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/schedule.h"

namespace rkvs::internal {

// The kernel reads the word itself, so the atomic must be nothing but its value.
static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
static_assert(std::atomic<uint32_t>::is_always_lock_free);
// SYS_futex takes the kernel's own `long` timespec; 32-bit systems would need futex_time64.
static_assert(sizeof(time_t) == sizeof(long), "64-bit Linux only");

// Sleeps while `word` holds `expected`, until a wake-up whose mask meets `mask`, or until `until`
// (the end of time: no limit). May return at any time for no reason at all: the caller looks at its
// condition and its clock again. Wake-ups reach threads of this process only.
inline void futex_wait(std::atomic<uint32_t>& word, uint32_t expected,
                       std::chrono::steady_clock::time_point until, uint32_t mask) {
#ifdef RKVS_SCHEDULES
  if (schedule::wait(word, expected, mask)) return;
#endif
  timespec at{};
  const timespec* limit = nullptr;
  if (until != std::chrono::steady_clock::time_point::max()) {
    // steady_clock is CLOCK_MONOTONIC, which is the clock of FUTEX_WAIT_BITSET.
    const auto since = until.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    at.tv_sec = static_cast<time_t>(seconds.count());
    at.tv_nsec = static_cast<long>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count());
    if (at.tv_sec < 0) return;  // Before boot: long past, and the kernel would refuse it.
    limit = &at;
  }
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, limit, nullptr,
            mask);
}

// Wakes up to `count` threads that sleep on `word` with a mask that meets `mask`, oldest first.
// Only the address counts: the word is not read.
inline void futex_wake(std::atomic<uint32_t>& word, int count, uint32_t mask) {
#ifdef RKVS_SCHEDULES
  schedule::wake(word, count, mask);
#endif
  ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr,
            mask);
}

}  // namespace rkvs::internal

#endif  // RKVS_BASE_FUTEX_H_
