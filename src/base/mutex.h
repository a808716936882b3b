// The locks of the store: a reader-writer lock in one word, a plain mutex, and their guards.
#ifndef RKVS_BASE_MUTEX_H_
#define RKVS_BASE_MUTEX_H_

#include <atomic>
#include <cstdint>

#include "base/deadline.h"
#include "base/schedule.h"
#include "base/thread_annotations.h"

namespace rkvs::internal {

// A fair reader-writer lock in 32 bits, with deadlines.
//
// Small enough to share a cache line with what it guards, and free when all its bits are zero, so
// that zeroed memory is a row of free locks. A waiter spins for a moment, then sleeps in the
// kernel. Not recursive, in neither mode, and a holder cannot change its mode. No call on the lock
// may still be running when it is destroyed; in particular an unlock must have returned.
//
// Fairness. When both sides want the lock, they take turns:
//  1. A waiting writer bars the readers that come after it. It waits for the readers inside, and
//     for those that rule 2 lets go first.
//  2. A reader waits for one writer. Once a writer has had the lock since the reader began to wait,
//     pending writers do not bar that reader any more, only one that is inside.
//  3. A thread that is awake may overtake sleepers, because a lock that waits for a thread to wake
//     helps nobody, but only until they wake: a waiter that has slept and finds the lock taken
//     makes a reservation. While readers hold reservations (31 at a time; others wait for a place),
//     no writer gets in; while a writer holds one, no writer that has not slept gets in, and new
//     readers stay out as in rule 1.
// So neither a stream of readers nor one of writers can keep anybody out.
//
// Deadlines are absolute points of CLOCK_MONOTONIC and cost nothing until a thread has to sleep. A
// waiter never gives up early; it may succeed a little after its deadline. One that gives up takes
// back its marks and wakes whoever might have been waiting because of them.
//
// The word: flags in the low 10 bits, the number of readers in the upper 22. A thread counts at
// most once, and Linux never runs more than 2^22 - 1 threads (PID_MAX_LIMIT), so the count cannot
// overflow. A reader that comes while it is barred counts for the moment until it notices.
//
// Every acquisition is an acquiring and every release a releasing read-modify-write of the word,
// with no fence, so that ThreadSanitizer sees the lock itself and needs no annotation.
class RKVS_CAPABILITY("mutex") SharedMutex {
 public:
  constexpr SharedMutex() = default;
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void lock() RKVS_ACQUIRE() {
    RKVS_SCHEDULE_POINT();
    if (!take_free()) lock_slow(nullptr);
  }

  // Takes the lock only if nobody has it or waits for it.
  [[nodiscard]] bool try_lock() RKVS_TRY_ACQUIRE(true) {
    RKVS_SCHEDULE_POINT();
    return take_free();
  }

  // False: the deadline passed, and the lock is not held.
  [[nodiscard]] bool lock_until(Deadline& deadline) RKVS_TRY_ACQUIRE(true) {
    RKVS_SCHEDULE_POINT();
    return take_free() || lock_slow(&deadline);
  }

  void unlock() RKVS_RELEASE() {
    uint32_t word = kWriter;
    if (!word_.compare_exchange_strong(word, 0, std::memory_order_release,
                                       std::memory_order_relaxed)) {
      unlock_slow(word);
    }
    RKVS_SCHEDULE_POINT();
  }

  void lock_shared() RKVS_ACQUIRE_SHARED() {
    RKVS_SCHEDULE_POINT();
    if (!count_in()) lock_shared_slow(nullptr);
  }

  // Takes the lock only if no writer has it or waits for it; in one operation, as a rule.
  [[nodiscard]] bool lock_shared_at_once() RKVS_TRY_ACQUIRE_SHARED(true) {
    RKVS_SCHEDULE_POINT();
    if (count_in()) [[likely]]
      return true;
    RKVS_SCHEDULE_POINT();
    count_out(std::memory_order_relaxed);
    return false;
  }

  // Takes the lock only if no writer has it or waits for it.
  [[nodiscard]] bool try_lock_shared() RKVS_TRY_ACQUIRE_SHARED(true) {
    uint32_t word = word_.load(std::memory_order_relaxed);
    RKVS_SCHEDULE_POINT();
    while ((word & (kWriter | kWriterPending)) == 0) {
      if (word_.compare_exchange_weak(word, word + kReader, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  // False: the deadline passed, and the lock is not held.
  [[nodiscard]] bool lock_shared_until(Deadline& deadline) RKVS_TRY_ACQUIRE_SHARED(true) {
    RKVS_SCHEDULE_POINT();
    return count_in() || lock_shared_slow(&deadline);
  }

  void unlock_shared() RKVS_RELEASE_SHARED() {
    count_out(std::memory_order_release);
    RKVS_SCHEDULE_POINT();
  }

  // Tell the analysis, not the machine, what a guard that it cannot follow has done.
  void assert_held() const RKVS_ASSERT_CAPABILITY(this) {}
  void assert_held_shared() const RKVS_ASSERT_SHARED_CAPABILITY(this) {}

  // True if nobody holds the lock, waits for it or left a mark in it: what a test asks at the end.
  bool is_free() const { return word_.load(std::memory_order_relaxed) == 0; }

 private:
  friend struct SharedMutexPeer;  // The test, which looks at the marks and forges some.

  // Held by a writer.
  static constexpr uint32_t kWriter = 1u << 0;
  // A writer waits: new readers stay out. Set by any waiting writer that is awake and finds it
  // missing; cleared by the one that gets in, by every exclusive unlock, and by one that gives up.
  static constexpr uint32_t kWriterPending = 1u << 1;
  // Readers sleep. Whoever clears this wakes them all.
  static constexpr uint32_t kReadersParked = 1u << 2;
  // Writers sleep. Whoever clears this wakes one, and that one sets it again when it gets in or
  // goes back to sleep, for those that still sleep; if it gives up it wakes the next.
  static constexpr uint32_t kWritersParked = 1u << 3;
  // Reserved for the writers that waited longest. Never set without kWriterPending.
  static constexpr uint32_t kWriterReserved = 1u << 4;
  // Number of readers with a reservation: while it is not zero no writer gets in.
  static constexpr uint32_t kReaderReserved = 1u << 5;
  static constexpr uint32_t kReaderReservedMask = 31u << 5;
  static constexpr uint32_t kReader = 1u << 10;
  static constexpr uint32_t kReaderMask = ~(kReader - 1);

  bool take_free() {
    uint32_t word = 0;
    return word_.compare_exchange_strong(word, kWriter, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  // Adding first and asking afterwards costs one operation that cannot fail, however many readers
  // come at once. When it answers false the caller still counts, and lock_shared_slow undoes that.
  bool count_in() {
    const uint32_t before = word_.fetch_add(kReader, std::memory_order_acquire);
    return (before & (kWriter | kWriterPending)) == 0;
  }

  // The last one out of a lock that now stands open to a sleeping writer wakes it.
  void count_out(std::memory_order order) {
    const uint32_t before = word_.fetch_sub(kReader, order);
    constexpr uint32_t kMask = kReaderMask | kReaderReservedMask | kWriter | kWritersParked;
    if ((before & kMask) == (kReader | kWritersParked)) wake_writer();
  }

  // The ways of a thread that could not have the lock at once. Counting or timing contended
  // acquisitions belongs at the entry of the two `lock` ones: nothing else here sees only those.
  bool lock_slow(Deadline* deadline);
  bool lock_shared_slow(Deadline* deadline);
  void unlock_slow(uint32_t word);
  void wake_writer();
  void wake_parked(uint32_t word);

  std::atomic<uint32_t> word_{0};
};

static_assert(sizeof(SharedMutex) == 4);

// A mutual exclusion lock with deadlines; the exclusive half of SharedMutex and as small.
class RKVS_CAPABILITY("mutex") Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() RKVS_ACQUIRE() { mutex_.lock(); }
  [[nodiscard]] bool try_lock() RKVS_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  [[nodiscard]] bool lock_until(Deadline& deadline) RKVS_TRY_ACQUIRE(true) {
    return mutex_.lock_until(deadline);
  }
  void unlock() RKVS_RELEASE() { mutex_.unlock(); }
  bool is_free() const { return mutex_.is_free(); }

 private:
  SharedMutex mutex_;
};

// Holds a Mutex for the length of a scope.
class RKVS_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) RKVS_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RKVS_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Holds a SharedMutex, exclusively, for the length of a scope.
class RKVS_SCOPED_CAPABILITY WriterLock {
 public:
  explicit WriterLock(SharedMutex& mutex) RKVS_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~WriterLock() RKVS_RELEASE() { mutex_.unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex& mutex_;
};

// Holds a SharedMutex, together with other readers, for the length of a scope.
class RKVS_SCOPED_CAPABILITY ReaderLock {
 public:
  explicit ReaderLock(SharedMutex& mutex) RKVS_ACQUIRE_SHARED(mutex) : mutex_(mutex) {
    mutex_.lock_shared();
  }
  ~ReaderLock() RKVS_RELEASE_GENERIC() { mutex_.unlock_shared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex& mutex_;
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_MUTEX_H_
