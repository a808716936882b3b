#include "base/mutex.h"

#include <climits>

#include "base/futex.h"

namespace rkvs::internal {
namespace {

// Rounds of waiting on the processor before sleeping: about 2 microseconds, several times what the
// store does under a lock and less than a sleep costs.
constexpr int kSpins = 40;
constexpr int kSpinsAfterSleep = 20;

// Sleeps, fruitless ones, after which a waiter makes a reservation.
constexpr int kPatience = 1;

// What a sleeper listens to.
constexpr uint32_t kWakeReaders = 1;
constexpr uint32_t kWakeWriters = 2;
constexpr uint32_t kWakeReserved = 4;  // Writers with a reservation.

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

Deadline::Clock::time_point limit_of(Deadline* deadline) {
  return deadline == nullptr ? Deadline::Clock::time_point::max() : deadline->when();
}

bool has_passed(Deadline::Clock::time_point limit) {
  return limit != Deadline::Clock::time_point::max() && Deadline::Clock::now() >= limit;
}

}  // namespace

// Why nobody sleeps for ever. A thread goes to sleep only on a word that bars it and that carries
// its parked flag; the kernel compares the word once more before it puts the thread to sleep. Every
// operation that can lift a bar (an exclusive unlock, the last shared unlock, a waiter that gives
// up) is one read-modify-write of the same word, so it sees that flag, or comes after an operation
// that saw it, cleared it and wakes. For readers this wakes all. For writers it wakes one, and that
// one answers for the rest: see kWritersParked.

bool SharedMutex::lock_slow(Deadline* deadline) {
  int spins = kSpins;
  int sleeps = 0;
  bool reserved = false;     // This thread waited long enough to claim kWriterReserved.
  uint32_t still_parked = 0;  // kWritersParked once a wake-up may have cleared it on our behalf.
  uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    const uint32_t barred = kWriter | kReaderMask | kReaderReservedMask |
                            (reserved ? 0u : kWriterReserved);
    if ((word & barred) == 0) {
      const uint32_t taken =
          (word & ~(kWriterPending | kWriterReserved)) | kWriter | still_parked;
      if (word_.compare_exchange_weak(word, taken, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
      continue;
    }
    uint32_t marks = kWriterPending | (reserved ? kWriterReserved : 0u);
    if (spins == 0) marks |= kWritersParked;
    if ((word & marks) != marks) {
      if (!word_.compare_exchange_weak(word, word | marks, std::memory_order_relaxed)) continue;
      word |= marks;
    }
    if (spins > 0) {
      --spins;
      relax();
      word = word_.load(std::memory_order_relaxed);
      continue;
    }
    const auto limit = limit_of(deadline);
    if (has_passed(limit)) {
      // The marks may be other writers' as well; those that are awake, or wake now, set them again.
      constexpr uint32_t kMarks =
          kWriterPending | kWriterReserved | kReadersParked | kWritersParked;
      const uint32_t before = word_.fetch_and(~kMarks, std::memory_order_relaxed);
      wake_parked((before & ~kWriterReserved) | still_parked);
      return false;
    }
    futex_wait(word_, word, limit, reserved ? kWakeReserved : kWakeWriters);
    still_parked = kWritersParked;
    spins = kSpinsAfterSleep;
    if (++sleeps > kPatience) reserved = true;
    word = word_.load(std::memory_order_relaxed);
  }
}

bool SharedMutex::lock_shared_slow(Deadline* deadline) {
  count_out(std::memory_order_relaxed);
  int spins = kSpins;
  int sleeps = 0;
  bool passed = false;    // A writer has had its turn: pending ones do not bar us any more.
  bool reserved = false;  // We are one of the readers in kReaderReservedMask.
  uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    if ((word & kWriter) != 0) passed = true;
    const uint32_t barred = kWriter | (passed ? 0u : kWriterPending);
    if ((word & barred) == 0) {
      const uint32_t taken = word + kReader - (reserved ? kReaderReserved : 0u);
      if (word_.compare_exchange_weak(word, taken, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
      continue;
    }
    if (spins > 0) {
      --spins;
      relax();
      word = word_.load(std::memory_order_relaxed);
      continue;
    }
    const auto limit = limit_of(deadline);
    if (has_passed(limit)) {
      if (reserved) {
        const uint32_t before = word_.fetch_sub(kReaderReserved, std::memory_order_relaxed);
        constexpr uint32_t kMask = kReaderMask | kReaderReservedMask | kWriter | kWritersParked;
        if ((before & kMask) == (kReaderReserved | kWritersParked)) wake_writer();
      }
      return false;
    }
    const bool reserve = !reserved && sleeps >= kPatience &&
                         (word & kReaderReservedMask) != kReaderReservedMask;
    const uint32_t marked = (word | kReadersParked) + (reserve ? kReaderReserved : 0u);
    if (word != marked) {
      if (!word_.compare_exchange_weak(word, marked, std::memory_order_relaxed)) continue;
      reserved = reserved || reserve;
    }
    futex_wait(word_, marked, limit, kWakeReaders);
    passed = true;
    spins = kSpinsAfterSleep;
    ++sleeps;
    word = word_.load(std::memory_order_relaxed);
  }
}

void SharedMutex::unlock_slow(uint32_t word) {
  uint32_t next;
  do {
    next = word & ~(kWriter | kReadersParked | kWritersParked);
    if ((word & kWriterReserved) == 0) next &= ~kWriterPending;
  } while (!word_.compare_exchange_weak(word, next, std::memory_order_release,
                                        std::memory_order_relaxed));
  wake_parked(word);
}

void SharedMutex::wake_writer() {
  wake_parked(word_.fetch_and(~kWritersParked, std::memory_order_relaxed) & ~kReadersParked);
}

void SharedMutex::wake_parked(uint32_t word) {
  if ((word & kReadersParked) != 0) futex_wake(word_, INT_MAX, kWakeReaders);
  if ((word & kWritersParked) != 0) {
    futex_wake(word_, 1,
               (word & kWriterReserved) != 0 ? kWakeReserved : kWakeWriters | kWakeReserved);
  }
}

}  // namespace rkvs::internal
