#include "base/mutex.h"

#include <climits>

#include "base/futex.h"

namespace rkvs::internal {
namespace {

// Rounds of waiting on the processor before sleeping: about 2 microseconds, several times what the
// store does under a lock and less than a sleep costs. Measured: 10 lets threads sleep too often,
// 100 and more take the processor from the thread that holds the lock.
constexpr int kSpins = 40;
constexpr int kSpinsAfterSleep = 20;

// What a sleeper listens to.
constexpr uint32_t kWakeReaders = 1;
constexpr uint32_t kWakeWriters = 2;

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
// up) is one read-modify-write of the same word, so it sees that flag and wakes, or another that
// saw it came first, cleared it, and wakes. For readers this wakes all. For writers it wakes one,
// and that one answers for the rest: see kWritersParked.

bool SharedMutex::lock_slow(Deadline* deadline) {
  const HistogramTimer timer(deadline == nullptr ? nullptr : deadline->begin_wait());
  int spins = kSpins;
  // Having slept entitles to a reservation, and makes this thread answer for the writers that still
  // sleep: the wake-up that it may have got cleared kWritersParked.
  bool slept = false;
  uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    RKVS_SCHEDULE_POINT();
    const uint32_t barred =
        kWriter | kReaderMask | kReaderReservedMask | (slept ? 0u : kWriterReserved);
    if ((word & barred) == 0) {
      const uint32_t taken =
          (word & ~(kWriterPending | kWriterReserved)) | kWriter | (slept ? kWritersParked : 0u);
      if (word_.compare_exchange_weak(word, taken, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
      continue;
    }
    const uint32_t marked =
        word | kWriterPending | (slept ? kWriterReserved : 0u) | (spins == 0 ? kWritersParked : 0u);
    if (marked != word) {
      if (!word_.compare_exchange_weak(word, marked, std::memory_order_relaxed)) continue;
      word = marked;
    }
    if (spins > 0) {
      --spins;
      relax();
      word = word_.load(std::memory_order_relaxed);
      continue;
    }
    const auto limit = limit_of(deadline);
    if (has_passed(limit)) {
      // Taken back in one step from a word that still bars this thread, so that nobody gives up a
      // lock that has become free. The marks may be other writers' as well: those that are awake,
      // or wake now, set them again.
      constexpr uint32_t kMarks =
          kWriterPending | kWriterReserved | kReadersParked | kWritersParked;
      if (!word_.compare_exchange_weak(word, word & ~kMarks, std::memory_order_relaxed)) continue;
      wake_parked(word);
      deadline->give_up();
      return false;
    }
    futex_wait(word_, word, limit, kWakeWriters);
    slept = true;
    spins = kSpinsAfterSleep;
    word = word_.load(std::memory_order_relaxed);
  }
}

bool SharedMutex::lock_shared_slow(Deadline* deadline) {
  const HistogramTimer timer(deadline == nullptr ? nullptr : deadline->begin_wait());
  RKVS_SCHEDULE_POINT();
  count_out(std::memory_order_relaxed);
  int spins = kSpins;
  bool passed = false;    // A writer has had its turn: pending ones do not bar this reader.
  bool slept = false;     // Entitled to a reservation.
  bool reserved = false;  // Counted in kReaderReservedMask.
  uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    RKVS_SCHEDULE_POINT();
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
    const bool reserve = slept && !reserved && (word & kReaderReservedMask) != kReaderReservedMask;
    const uint32_t marked =
        (word | (spins == 0 ? kReadersParked : 0u)) + (reserve ? kReaderReserved : 0u);
    if (marked != word) {
      if (!word_.compare_exchange_weak(word, marked, std::memory_order_relaxed)) continue;
      word = marked;
      reserved = reserved || reserve;
    }
    if (spins > 0) {
      --spins;
      relax();
      word = word_.load(std::memory_order_relaxed);
      continue;
    }
    const auto limit = limit_of(deadline);
    if (has_passed(limit)) {
      // Given back while a writer is inside, so that no sleeping writer need hear of it.
      if (reserved &&
          !word_.compare_exchange_weak(word, word - kReaderReserved, std::memory_order_relaxed)) {
        continue;
      }
      deadline->give_up();
      return false;
    }
    futex_wait(word_, word, limit, kWakeReaders);
    // Woken by a writer that leaves or gives up. (Or by nobody; then this reader may go before one
    // writer too many, once.)
    passed = true;
    slept = true;
    spins = kSpinsAfterSleep;
    word = word_.load(std::memory_order_relaxed);
  }
}

// A reservation outlives the unlock, and kWriterPending with it, so that no new reader comes first.
// Otherwise the mark goes: until the writer wakes, readers may use the lock.
void SharedMutex::unlock_slow(uint32_t word) {
  uint32_t next;
  do {
    RKVS_SCHEDULE_POINT();
    next = word & ~(kWriter | kReadersParked | kWritersParked);
    if ((word & kWriterReserved) == 0) next &= ~kWriterPending;
  } while (!word_.compare_exchange_weak(word, next, std::memory_order_release,
                                        std::memory_order_relaxed));
  wake_parked(word);
}

void SharedMutex::wake_writer() {
  RKVS_SCHEDULE_POINT();
  wake_parked(word_.fetch_and(~kWritersParked, std::memory_order_relaxed) & ~kReadersParked);
}

// Wakes for the flags in `word`, which the caller has just cleared in the lock. Any sleeping writer
// will do, even when there is a reservation: once it has slept, it is entitled to that too.
void SharedMutex::wake_parked(uint32_t word) {
  RKVS_SCHEDULE_POINT();
  if ((word & kReadersParked) != 0) futex_wake(word_, INT_MAX, kWakeReaders);
  if ((word & kWritersParked) != 0) futex_wake(word_, 1, kWakeWriters);
}

}  // namespace rkvs::internal
