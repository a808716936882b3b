// The locks: exclusion, deadlines, fairness, and nothing left behind.
//
// Exclusion is tested with plain data, so that under ThreadSanitizer a broken lock is a data race
// as well as a torn pair. Tests of wake-ups wait with a deadline of kLong and then ask whether it
// took long, so that a lost one is a failure and not a hang, where that can be had. Time limits are
// upper bounds for broken locks, not expectations of speed.
#include "base/mutex.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/futex.h"

namespace rkvs::internal {

// Reaches into the word, for situations that otherwise depend on luck.
struct SharedMutexPeer {
  static std::atomic<uint32_t>& word(SharedMutex& mutex) { return mutex.word_; }
  static bool reader_parked(SharedMutex& mutex) {
    return (mutex.word_ & SharedMutex::kReadersParked) != 0;
  }
  static bool writer_parked(SharedMutex& mutex) {
    return (mutex.word_ & SharedMutex::kWritersParked) != 0;
  }
  static bool reader_reserved(SharedMutex& mutex) {
    return (mutex.word_ & SharedMutex::kReaderReservedMask) != 0;
  }
  static bool writer_reserved(SharedMutex& mutex) {
    return (mutex.word_ & SharedMutex::kWriterReserved) != 0;
  }
  static uint32_t readers(SharedMutex& mutex) {
    return (mutex.word_ & SharedMutex::kReaderMask) / SharedMutex::kReader;
  }
  static constexpr uint32_t kReservedWriterMarks =
      SharedMutex::kWriterPending | SharedMutex::kWriterReserved;
};

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Peer = SharedMutexPeer;

constexpr auto kLong = 30s;     // Longer than any machine that is not broken takes.
constexpr auto kTooLong = 20s;  // What has lasted this long was not woken.
constexpr uint32_t kEveryone = 0xffffffff;

int scale() {
  const char* text = std::getenv("RKVS_TEST_SCALE");
  return text == nullptr ? 1 : std::max(1, std::atoi(text));
}

void run_threads(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (auto& thread : threads) thread.join();
}

// Waits for a condition of another thread; false if it never comes.
bool eventually(const std::function<bool()>& condition) {
  const auto limit = Clock::now() + kTooLong;
  while (!condition()) {
    if (Clock::now() > limit) return false;
    std::this_thread::sleep_for(100us);
  }
  return true;
}

// ---- What the analysis of the compiler must accept

class Account {
 public:
  void put(int amount) {
    WriterLock lock(mutex_);
    balance_ += amount;
  }
  int balance() const {
    ReaderLock lock(mutex_);
    return balance_;
  }
  bool put_until(int amount, Deadline& deadline) {
    if (!mutex_.lock_until(deadline)) return false;
    balance_ += amount;
    mutex_.unlock();
    return true;
  }
  bool balance_until(int& balance, Deadline& deadline) const {
    if (!mutex_.lock_shared_until(deadline)) return false;
    balance = balance_;
    mutex_.unlock_shared();
    return true;
  }
  int visits() {
    MutexLock lock(visits_mutex_);
    return ++visits_;
  }

 private:
  mutable SharedMutex mutex_;
  int balance_ RKVS_GUARDED_BY(mutex_) = 0;
  Mutex visits_mutex_;
  int visits_ RKVS_GUARDED_BY(visits_mutex_) = 0;
};

TEST(SharedMutex, GuardsWhatIsDeclaredGuarded) {
  Account account;
  account.put(3);
  Deadline deadline(0ns);
  EXPECT_TRUE(account.put_until(4, deadline));
  EXPECT_EQ(account.balance(), 7);
  int balance = 0;
  EXPECT_TRUE(account.balance_until(balance, deadline));
  EXPECT_EQ(balance, 7);
  EXPECT_EQ(account.visits(), 1);
}

// From here on threads pass locks around in ways that the analysis cannot follow.
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wthread-safety-analysis"
#endif

// ---- Threads that use a lock hard

// What the lock guards in these tests: two plain numbers that are equal whenever nobody is inside.
struct Pair {
  uint64_t first = 0;
  uint64_t second = 0;

  void advance() {
    ++first;
    std::atomic_signal_fence(std::memory_order_seq_cst);  // Keeps the compiler from merging them.
    ++second;
  }
  bool whole() const { return first == second; }
};

// The operations of a randomized thread, with what it has to report at the end.
class Worker {
 public:
  Worker(SharedMutex& mutex, Pair& pair, uint32_t seed)
      : mutex_(mutex), pair_(pair), random_(seed) {}

  void read() {
    mutex_.lock_shared();
    look_and_leave();
  }
  void write() {
    mutex_.lock();
    advance_and_leave();
  }
  void read_until(std::chrono::nanoseconds budget) {
    Deadline deadline(budget);
    if (mutex_.lock_shared_until(deadline)) look_and_leave();
  }
  void write_until(std::chrono::nanoseconds budget) {
    Deadline deadline(budget);
    if (mutex_.lock_until(deadline)) advance_and_leave();
  }
  void try_read() {
    if (mutex_.try_lock_shared()) look_and_leave();
  }
  void try_write() {
    if (mutex_.try_lock()) advance_and_leave();
  }

  uint32_t below(uint32_t bound) {
    return std::uniform_int_distribution<uint32_t>(0, bound - 1)(random_);
  }
  uint64_t writes() const { return writes_; }
  uint64_t torn() const { return torn_; }

 private:
  void look_and_leave() {
    if (!pair_.whole()) ++torn_;
    dawdle();
    if (!pair_.whole()) ++torn_;
    mutex_.unlock_shared();
  }
  void advance_and_leave() {
    if (!pair_.whole()) ++torn_;
    ++pair_.first;
    dawdle();
    ++pair_.second;
    ++writes_;
    mutex_.unlock();
  }
  // Now and then holds the lock across a change of threads, or long enough to send others to sleep.
  void dawdle() {
    switch (below(256)) {
      case 0: std::this_thread::yield(); break;
      case 1: std::this_thread::sleep_for(50us); break;
      default: std::atomic_signal_fence(std::memory_order_seq_cst);
    }
  }

  SharedMutex& mutex_;
  Pair& pair_;
  std::minstd_rand random_;
  uint64_t writes_ = 0;
  uint64_t torn_ = 0;
};

// Runs `step` `rounds` times in each of `threads` threads and checks that the lock kept its word.
void stress(int threads, int rounds, const std::function<void(Worker&)>& step) {
  SharedMutex mutex;
  Pair pair;
  std::atomic<uint64_t> writes{0};
  std::atomic<uint64_t> torn{0};
  run_threads(threads, [&](int index) {
    Worker worker(mutex, pair, static_cast<uint32_t>(index) + 1);
    for (int round = 0; round < rounds; ++round) step(worker);
    writes += worker.writes();
    torn += worker.torn();
  });
  EXPECT_EQ(torn, 0u);
  EXPECT_EQ(pair.first, writes);
  EXPECT_EQ(pair.second, writes);
  EXPECT_TRUE(mutex.is_free());
}

// Threads that take and leave one lock without a pause until the end of the scope.
class Hammer {
 public:
  Hammer(SharedMutex& mutex, int readers, int writers) : mutex_(mutex) {
    for (int i = 0; i < readers; ++i) threads_.emplace_back([this] { read(); });
    for (int i = 0; i < writers; ++i) threads_.emplace_back([this] { write(); });
    while (turns_.load(std::memory_order_relaxed) == 0) std::this_thread::yield();
  }
  ~Hammer() {
    stop_ = true;
    for (auto& thread : threads_) thread.join();
  }

 private:
  void read() {
    while (!stop_.load(std::memory_order_relaxed)) {
      ReaderLock lock(mutex_);
      hold();
    }
  }
  void write() {
    while (!stop_.load(std::memory_order_relaxed)) {
      WriterLock lock(mutex_);
      hold();
    }
  }
  void hold() {
    for (int i = 0; i < 200; ++i) turns_.fetch_add(1, std::memory_order_relaxed);
  }

  SharedMutex& mutex_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> turns_{0};
  std::vector<std::thread> threads_;
};

// ---- Shape and single-thread rules

TEST(SharedMutex, IsOneWordThatIsFreeWhenZero) {
  EXPECT_EQ(sizeof(SharedMutex), 4u);
  static constinit SharedMutex mutex;
  const std::array<unsigned char, sizeof(SharedMutex)> zero{};
  EXPECT_EQ(std::memcmp(&mutex, zero.data(), zero.size()), 0);
  EXPECT_TRUE(mutex.is_free());
}

TEST(SharedMutex, TryLockFailsWhileAnyoneHoldsIt) {
  SharedMutex mutex;
  ASSERT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock_shared());
  mutex.unlock();
  ASSERT_TRUE(mutex.try_lock_shared());
  EXPECT_FALSE(mutex.try_lock());
  EXPECT_TRUE(mutex.try_lock_shared());
  mutex.unlock_shared();
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock_shared();
  EXPECT_TRUE(mutex.is_free());
  ASSERT_TRUE(mutex.try_lock());
  mutex.unlock();
  EXPECT_TRUE(mutex.is_free());
}

TEST(SharedMutex, GuardsHoldForTheirScope) {
  SharedMutex mutex;
  {
    WriterLock lock(mutex);
    EXPECT_FALSE(mutex.try_lock_shared());
  }
  {
    ReaderLock lock(mutex);
    EXPECT_FALSE(mutex.try_lock());
    ReaderLock second(mutex);
  }
  EXPECT_TRUE(mutex.is_free());
}

// ---- Exclusion

class SharedMutexThreads : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Counts, SharedMutexThreads, testing::Values(2, 8, 32, 64));

TEST_P(SharedMutexThreads, WritersExcludeEachOther) {
  stress(GetParam(), 200'000 * scale() / GetParam(), [](Worker& worker) { worker.write(); });
}

TEST_P(SharedMutexThreads, ReadersNeverSeeAWriterAtWork) {
  stress(GetParam(), 200'000 * scale() / GetParam(), [](Worker& worker) {
    if (worker.below(4) == 0) {
      worker.write();
    } else {
      worker.read();
    }
  });
}

TEST_P(SharedMutexThreads, RandomDeadlinesLeaveNothingBehind) {
  stress(GetParam(), 100'000 * scale() / GetParam(), [](Worker& worker) {
    const auto budget = std::chrono::microseconds(worker.below(8) == 0 ? 0 : worker.below(400));
    switch (worker.below(8)) {
      case 0: worker.read(); break;
      case 1: worker.write(); break;
      case 2: worker.try_read(); break;
      case 3: worker.try_write(); break;
      case 4:
      case 5: worker.read_until(budget); break;
      default: worker.write_until(budget);
    }
  });
}

TEST(SharedMutex, ReadersShareIt) {
  SharedMutex mutex;
  std::atomic<int> inside{0};
  run_threads(8, [&](int) {
    ReaderLock lock(mutex);
    ++inside;
    EXPECT_TRUE(eventually([&] { return inside == 8; }));
  });
  EXPECT_TRUE(mutex.is_free());
}

// ---- Deadlines

TEST(SharedMutexDeadline, PassesInBothModesWhileAWriterHoldsIt) {
  SharedMutex mutex;
  WriterLock held(mutex);
  std::thread([&] {
    for (const auto budget : {1ms, 20ms, 100ms}) {
      auto start = Clock::now();
      Deadline write(budget);
      EXPECT_FALSE(mutex.lock_until(write));
      EXPECT_GE(Clock::now() - start, budget);
      EXPECT_LT(Clock::now() - start, kTooLong);
      start = Clock::now();
      Deadline read(budget);
      EXPECT_FALSE(mutex.lock_shared_until(read));
      EXPECT_GE(Clock::now() - start, budget);
      EXPECT_LT(Clock::now() - start, kTooLong);
    }
  }).join();
}

TEST(SharedMutexDeadline, PassesForAWriterWhileAReaderHoldsIt) {
  SharedMutex mutex;
  ReaderLock held(mutex);
  std::thread([&] {
    const auto start = Clock::now();
    Deadline write(50ms);
    EXPECT_FALSE(mutex.lock_until(write));
    EXPECT_GE(Clock::now() - start, 50ms);
    Deadline read(50ms);
    ASSERT_TRUE(mutex.lock_shared_until(read));
    mutex.unlock_shared();
  }).join();
}

TEST(SharedMutexDeadline, OfZeroOrLessFailsAtOnceOnAHeldLock) {
  SharedMutex mutex;
  WriterLock held(mutex);
  std::thread([&] {
    for (const auto budget : {0ns, -1ns, std::chrono::nanoseconds(-1h)}) {
      const auto start = Clock::now();
      Deadline write(budget);
      EXPECT_FALSE(mutex.lock_until(write));
      Deadline read(budget);
      EXPECT_FALSE(mutex.lock_shared_until(read));
      EXPECT_LT(Clock::now() - start, kTooLong);
    }
  }).join();
}

TEST(SharedMutexDeadline, OfZeroTakesAFreeLock) {
  SharedMutex mutex;
  Deadline deadline(0ns);
  ASSERT_TRUE(mutex.lock_until(deadline));
  mutex.unlock();
  ASSERT_TRUE(mutex.lock_shared_until(deadline));
  ASSERT_TRUE(mutex.lock_shared_until(deadline));
  mutex.unlock_shared();
  mutex.unlock_shared();
  EXPECT_TRUE(mutex.is_free());
}

TEST(SharedMutexDeadline, ClockStartsOnlyWhenTheLockIsTaken) {
  SharedMutex free;
  SharedMutex taken;
  WriterLock held(taken);
  std::thread([&] {
    Deadline deadline(100ms);
    ASSERT_TRUE(free.lock_until(deadline));
    free.unlock();
    ASSERT_TRUE(free.lock_shared_until(deadline));
    free.unlock_shared();
    std::this_thread::sleep_for(150ms);
    const auto start = Clock::now();
    EXPECT_FALSE(taken.lock_until(deadline));
    EXPECT_GE(Clock::now() - start, 100ms);
  }).join();
}

TEST(SharedMutexDeadline, OfNeverWaitsForTheRelease) {
  SharedMutex mutex;
  std::atomic<bool> released{false};
  std::atomic<int> early{0};
  mutex.lock();
  std::thread reader([&] {
    Deadline never = Deadline::never();
    EXPECT_TRUE(mutex.lock_shared_until(never));
    if (!released) ++early;
    mutex.unlock_shared();
  });
  std::thread writer([&] {
    Deadline never = Deadline::never();
    EXPECT_TRUE(mutex.lock_until(never));
    if (!released) ++early;
    mutex.unlock();
  });
  std::this_thread::sleep_for(100ms);
  released = true;
  mutex.unlock();
  reader.join();
  writer.join();
  EXPECT_EQ(early, 0);
  EXPECT_TRUE(mutex.is_free());
}

TEST(SharedMutexDeadline, IsNotCutShortBySignals) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};  // Without SA_RESTART: system calls end with EINTR.
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  SharedMutex mutex;
  mutex.lock();
  std::atomic<int> running{2};
  const auto wait = [&](bool shared) {
    const auto start = Clock::now();
    Deadline deadline(200ms);
    EXPECT_FALSE(shared ? mutex.lock_shared_until(deadline) : mutex.lock_until(deadline));
    EXPECT_GE(Clock::now() - start, 200ms);
    --running;
  };
  std::thread reader(wait, true);
  std::thread writer(wait, false);
  while (running == 2) {
    pthread_kill(reader.native_handle(), SIGUSR1);
    pthread_kill(writer.native_handle(), SIGUSR1);
    std::this_thread::sleep_for(2ms);
  }
  reader.join();
  writer.join();
  mutex.unlock();
  EXPECT_TRUE(mutex.is_free());
  sigaction(SIGUSR1, &before, nullptr);
}

// ---- Giving up

TEST(SharedMutexTimeout, OfAWriterDoesNotBarReaders) {
  SharedMutex mutex;
  mutex.lock_shared();
  std::thread([&] {
    Deadline deadline(20ms);
    EXPECT_FALSE(mutex.lock_until(deadline));
  }).join();
  EXPECT_TRUE(mutex.try_lock_shared());
  mutex.unlock_shared();
  mutex.unlock_shared();
  EXPECT_TRUE(mutex.is_free());
}

TEST(SharedMutexTimeout, OfAWriterWakesTheReadersThatSleptBehindIt) {
  for (int round = 0; round < 3; ++round) {
    SharedMutex mutex;
    mutex.lock_shared();  // Until the end: only the writer's mark can bar the others.
    std::atomic<bool> gave_up{false};
    std::thread writer([&] {
      Deadline deadline(200ms);
      EXPECT_FALSE(mutex.lock_until(deadline));
      gave_up = true;
    });
    EXPECT_TRUE(eventually([&] { return Peer::writer_parked(mutex) || gave_up; }));
    run_threads(3, [&](int) {
      const auto start = Clock::now();
      Deadline deadline(kLong);
      ASSERT_TRUE(mutex.lock_shared_until(deadline));
      EXPECT_LT(Clock::now() - start, kTooLong);
      mutex.unlock_shared();
    });
    writer.join();
    mutex.unlock_shared();
    EXPECT_TRUE(mutex.is_free());
    if (HasFailure()) break;
  }
}

TEST(SharedMutexTimeout, OfAWriterLeavesOtherWritersInLine) {
  for (int round = 0; round < 5; ++round) {
    SharedMutex mutex;
    mutex.lock_shared();
    std::thread impatient([&] {
      Deadline deadline(50ms);
      EXPECT_FALSE(mutex.lock_until(deadline));
    });
    std::vector<std::thread> patient;
    for (int i = 0; i < 3; ++i) {
      patient.emplace_back([&] {
        const auto start = Clock::now();
        Deadline deadline(kLong);
        ASSERT_TRUE(mutex.lock_until(deadline));
        EXPECT_LT(Clock::now() - start, kTooLong);
        mutex.unlock();
      });
    }
    impatient.join();
    std::this_thread::sleep_for(20ms);
    mutex.unlock_shared();
    for (auto& writer : patient) writer.join();
    EXPECT_TRUE(mutex.is_free());
    if (HasFailure()) break;
  }
}

void expect_reservation_taken_back(bool shared) {
  SharedMutex mutex;
  const auto reserved = [&] {
    return shared ? Peer::reader_reserved(mutex) : Peer::writer_reserved(mutex);
  };
  // A machine that is slow now may not get as far as the reservation: once more, with more time.
  bool seen = false;
  for (auto budget = 100ms; !seen && budget < kTooLong; budget *= 4) {
    mutex.lock();
    std::atomic<bool> gave_up{false};
    std::thread waiter([&] {
      Deadline deadline(budget);
      EXPECT_FALSE(shared ? mutex.lock_shared_until(deadline) : mutex.lock_until(deadline));
      gave_up = true;
    });
    eventually([&] {
      futex_wake(Peer::word(mutex), 1, kEveryone);
      seen = seen || reserved();
      return seen || gave_up;
    });
    waiter.join();
    EXPECT_FALSE(reserved());
    mutex.unlock();
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
    EXPECT_TRUE(mutex.is_free());
  }
  EXPECT_TRUE(seen);
}

TEST(SharedMutexTimeout, TakesBackTheReservationOfAReader) { expect_reservation_taken_back(true); }

TEST(SharedMutexTimeout, TakesBackTheReservationOfAWriter) { expect_reservation_taken_back(false); }

// ---- Fairness

TEST(SharedMutexFairness, PendingWriterBarsNewReaders) {
  SharedMutex mutex;
  mutex.lock_shared();
  std::thread writer([&] { WriterLock lock(mutex); });
  EXPECT_TRUE(eventually([&] {
    if (!mutex.try_lock_shared()) return true;
    mutex.unlock_shared();
    return false;
  }));
  mutex.unlock_shared();
  writer.join();
  EXPECT_TRUE(mutex.is_free());
}

TEST(SharedMutexFairness, ReaderThatWaitedForOneWriterPassesTheNext) {
  SharedMutex mutex;
  mutex.lock();
  std::thread reader([&] {
    Deadline deadline(kLong);
    const auto start = Clock::now();
    ASSERT_TRUE(mutex.lock_shared_until(deadline));
    EXPECT_LT(Clock::now() - start, kTooLong);
    mutex.unlock_shared();
  });
  EXPECT_TRUE(eventually([&] { return Peer::reader_parked(mutex); }));
  // A writer that is always about to come.
  Peer::word(mutex) |= Peer::kReservedWriterMarks;
  mutex.unlock();
  EXPECT_FALSE(mutex.try_lock_shared());  // This reader is new: it has to wait for that writer.
  reader.join();
  Peer::word(mutex) &= ~Peer::kReservedWriterMarks;
  EXPECT_TRUE(mutex.is_free());
}

// A waiter that has slept in vain once goes before every writer that comes later. The test makes it
// sleep in vain by waking it for nothing, and is itself the writer that comes later: awake and
// first on the spot, it would win every time.
void expect_turn_after_fruitless_sleep(bool shared) {
  for (int round = 0; round < 50; ++round) {
    SharedMutex mutex;
    mutex.lock();
    bool had_turn = false;  // Guarded by the lock.
    std::thread waiter([&] {
      Deadline deadline(kLong);
      if (shared) {
        ASSERT_TRUE(mutex.lock_shared_until(deadline));
        had_turn = true;
        mutex.unlock_shared();
      } else {
        ASSERT_TRUE(mutex.lock_until(deadline));
        had_turn = true;
        mutex.unlock();
      }
    });
    EXPECT_TRUE(eventually([&] {
      futex_wake(Peer::word(mutex), 1, kEveryone);
      return shared ? Peer::reader_reserved(mutex) : Peer::writer_reserved(mutex);
    }));
    std::this_thread::sleep_for(1ms);  // Back to sleep: it must not win because it is awake.
    mutex.unlock();
    Deadline deadline(kLong);
    const auto start = Clock::now();
    if (mutex.lock_until(deadline)) {
      EXPECT_TRUE(had_turn);
      mutex.unlock();
    } else {
      ADD_FAILURE() << "never let in";
    }
    EXPECT_LT(Clock::now() - start, kTooLong);
    waiter.join();
    EXPECT_TRUE(mutex.is_free());
    if (testing::Test::HasFailure()) break;
  }
}

TEST(SharedMutexFairness, ReaderThatSleptInVainGoesBeforeEveryWriter) {
  expect_turn_after_fruitless_sleep(true);
}

TEST(SharedMutexFairness, WriterThatSleptInVainGoesBeforeEveryOtherWriter) {
  expect_turn_after_fruitless_sleep(false);
}

TEST(SharedMutexFairness, MoreReadersThanReservationsAllGetIn) {
  SharedMutex mutex;
  mutex.lock();
  constexpr int kReaders = 48;  // Places for reservations: 31.
  std::atomic<int> done{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back([&] {
      ReaderLock lock(mutex);
      ++done;
    });
  }
  for (int i = 0; i < 50; ++i) {
    std::this_thread::sleep_for(1ms);
    futex_wake(Peer::word(mutex), kReaders, kEveryone);
  }
  EXPECT_TRUE(Peer::reader_reserved(mutex));
  // One reservation too many would run over into the number of readers.
  EXPECT_TRUE(eventually([&] { return Peer::readers(mutex) == 0; }));
  mutex.unlock();
  EXPECT_TRUE(eventually([&] { return done == kReaders; }));
  for (auto& reader : readers) reader.join();
  EXPECT_TRUE(mutex.is_free());
}

// One thread comes again and again for a lock that others take without a pause.
class SharedMutexHammer : public testing::TestWithParam<int> {
 protected:
  // Takes 60 turns; all of them together must not wait for longer than kTooLong.
  static void expect_turns(SharedMutex& mutex, bool shared) {
    std::chrono::nanoseconds left = kTooLong;
    auto next = Clock::now();
    for (int turn = 0; turn < 60; ++turn) {
      // Lets the others get going again: a thread that comes back at once finds them asleep.
      if (turn % 12 == 0) std::this_thread::sleep_for(200us);
      while (Clock::now() < next) {
      }
      const auto start = Clock::now();
      Deadline deadline(left);
      ASSERT_TRUE(shared ? mutex.lock_shared_until(deadline) : mutex.lock_until(deadline))
          << "after " << turn << " turns";
      next = Clock::now() + 50us;
      left -= next - start;
      if (shared) {
        mutex.unlock_shared();
      } else {
        mutex.unlock();
      }
    }
  }

  SharedMutex mutex_;
};
INSTANTIATE_TEST_SUITE_P(Counts, SharedMutexHammer, testing::Values(2, 8));

TEST_P(SharedMutexHammer, WriterGetsInAmongReaders) {
  {
    Hammer hammer(mutex_, GetParam(), 0);
    expect_turns(mutex_, false);
  }
  EXPECT_TRUE(mutex_.is_free());
}

TEST_P(SharedMutexHammer, ReaderGetsInAmongWriters) {
  {
    Hammer hammer(mutex_, 0, GetParam());
    expect_turns(mutex_, true);
  }
  EXPECT_TRUE(mutex_.is_free());
}

TEST_P(SharedMutexHammer, WriterGetsInAmongWriters) {
  {
    Hammer hammer(mutex_, 0, GetParam());
    expect_turns(mutex_, false);
  }
  EXPECT_TRUE(mutex_.is_free());
}

TEST_P(SharedMutexHammer, BothKindsGetInAmongBoth) {
  {
    Hammer hammer(mutex_, GetParam(), GetParam());
    run_threads(2, [&](int index) { expect_turns(mutex_, index == 0); });
  }
  EXPECT_TRUE(mutex_.is_free());
}

// ---- Mutex

TEST(Mutex, ExcludesAndCounts) {
  Mutex mutex;
  Pair pair;
  constexpr int kThreads = 8;
  const int rounds = 5'000 * scale();
  run_threads(kThreads, [&](int) {
    for (int round = 0; round < rounds; ++round) {
      MutexLock lock(mutex);
      pair.advance();
    }
  });
  EXPECT_TRUE(pair.whole());
  EXPECT_EQ(pair.first, static_cast<uint64_t>(kThreads) * rounds);
  EXPECT_TRUE(mutex.is_free());
}

TEST(Mutex, DeadlinePassesWhileHeld) {
  Mutex mutex;
  ASSERT_TRUE(mutex.try_lock());
  std::thread([&] {
    EXPECT_FALSE(mutex.try_lock());
    const auto start = Clock::now();
    Deadline deadline(20ms);
    EXPECT_FALSE(mutex.lock_until(deadline));
    EXPECT_GE(Clock::now() - start, 20ms);
  }).join();
  mutex.unlock();
  Deadline deadline(0ns);
  ASSERT_TRUE(mutex.lock_until(deadline));
  mutex.unlock();
  EXPECT_TRUE(mutex.is_free());
}

}  // namespace
}  // namespace rkvs::internal
