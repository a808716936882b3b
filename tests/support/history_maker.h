// Threads that make histories of operations for the checker of linearizability.
#ifndef RKVS_TESTS_SUPPORT_HISTORY_MAKER_H_
#define RKVS_TESTS_SUPPORT_HISTORY_MAKER_H_

#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/linearizability.h"
#include "tests/support/linearizable_store.h"

namespace rkvs::testing {

inline constexpr int kThreads = 4;
inline constexpr int kOpsPerThread = 8;

// Where the threads of a history meet.
class Barrier {
 public:
  explicit Barrier(uint32_t size) : size_(size) {}

  // The last one that comes does `work()` while the others wait.
  template <typename Work>
  void arrive_and_wait(Work work) {
    const uint32_t phase = phase_.load();
    if (arrived_.fetch_add(1) + 1 == size_) {
      work();
      arrived_.store(0);
      phase_.fetch_add(1);
      phase_.notify_all();
      return;
    }
    // Threads that come in awake start together. Where something else wants the processor, sleeping
    // gets it back sooner than yielding does: those that yield wait for a whole resize to end, and
    // no operation meets one.
    for (int i = 0; i < kSpins; ++i) {
      if (phase_.load() != phase) return;
    }
    phase_.wait(phase);
  }

 private:
  static constexpr int kSpins = 500;  // a microsecond or two

  const uint32_t size_;
  std::atomic<uint32_t> arrived_{0};
  std::atomic<uint32_t> phase_{0};
};

// Where operations meet: whoever comes waits a moment for another one, and the two go on together.
// An operation takes less time than it takes to wake the next thread, so that without this whole
// histories are done one thread after another.
class Meeting {
 public:
  // Not longer than so many looks: the others may not be running.
  void wait(int looks) {
    uint32_t waiting = came_.fetch_add(1) + 1;
    if (waiting % 2 == 0) return;
    for (; looks > 0; --looks) {
      if (came_.load() != waiting) return;
    }
    came_.compare_exchange_strong(waiting, waiting - 1);  // nobody came
  }

 private:
  alignas(64) std::atomic<uint32_t> came_{0};
};

// That the calling thread may run on.
inline size_t count_processors() {
  cpu_set_t allowed;
  return sched_getaffinity(0, sizeof(allowed), &allowed) == 0
             ? static_cast<size_t>(CPU_COUNT(&allowed))
             : 1;
}

// Keeps the calling thread on one of the processors that it may run on: threads that wake each
// other all the time are otherwise put side by side onto one of them, while others run elsewhere,
// and then two operations are hardly ever on at the same time.
inline void stay_on_processor(size_t number) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  const auto count = static_cast<size_t>(CPU_COUNT(&allowed));
  if (count < 2) return;
  size_t at = 0;
  for (size_t skip = number % count; !CPU_ISSET(at, &allowed) || skip-- > 0;) ++at;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(at, &one);
  static_cast<void>(sched_setaffinity(0, sizeof(one), &one));
}

// Makes histories in rounds: one after another on the same keys, with no more between them than
// that all threads have come to the end of theirs. Meanwhile the caller can check those of the
// round before.
class HistoryMaker {
 public:
  HistoryMaker(Mix mix, uint64_t seed) : mix_(mix), gate_(kThreads) {
    for (int t = 0; t < kThreads; ++t) {
      threads_.emplace_back(
          [this, t, seed] { work(t, seed * kThreads + static_cast<uint64_t>(t)); });
    }
  }
  ~HistoryMaker() {
    wait();
    begin({});
    for (std::thread& thread : threads_) thread.join();
  }

  // Begins a round of round.size() histories, which are `round` when wait() comes back. `first` is
  // the number of histories before.
  void start(Subject& subject, int first, std::vector<History>& round) {
    begin({.subject = &subject, .first = first, .round = &round});
  }
  void wait() { made_.wait(false); }

 private:
  using Clock = std::chrono::steady_clock;

  // Looks for another thread's operation: at the start the others are being woken, later they are
  // a random spin away.
  static constexpr int kFirstLooks = 10000;
  static constexpr int kLooks = 500;

  struct Order {
    Subject* subject = nullptr;  // none: it is over
    int first = 0;
    std::vector<History>* round = nullptr;
  };

  void begin(Order order) {
    order_ = order;
    made_.store(order.subject == nullptr);
    orders_.fetch_add(1);
    orders_.notify_all();
  }

  static int64_t now() { return Clock::now().time_since_epoch().count(); }

  static void run(Subject& subject, Op& op) {
    op.called = now();
    subject.run(op);
    op.returned = now();
  }

  void work(int thread, uint64_t seed) {
    stay_on_processor(static_cast<size_t>(thread));
    std::mt19937_64 random(seed);
    OpDraw::Kinds kinds(mix_.begin(), mix_.end());
    for (uint32_t known = 0;; ++known) {
      orders_.wait(known);
      const Order order = order_;
      if (order.subject == nullptr) return;
      gate_.arrive_and_wait([] {});
      const size_t size = order.round->size();
      for (size_t i = 0; i < size; ++i) {
        OpDraw draw(kinds, random);
        act(*order.subject, draw, random, thread, order.first + static_cast<int>(i));
        gate_.arrive_and_wait([&] {
          collect(*order.subject, (*order.round)[i]);
          if (i + 1 < size) return;
          made_.store(true);
          made_.notify_all();
        });
      }
    }
  }

  // What one thread does in one history.
  void act(Subject& subject, OpDraw& draw, std::mt19937_64& random, int thread, int number) {
    Own& own = own_[static_cast<size_t>(thread)];
    for (int i = 0; i < kOpsPerThread; ++i) {
      // No value comes twice in a history, nor in those next to it.
      const int value =
          1 + (number % 256 * kThreads * kOpsPerThread + thread * kOpsPerThread + i) * 2;
      Op op = draw.next(static_cast<uint16_t>(value));
      op.thread = thread;
      // Not every time: some operations begin while another one is on.
      if (i % 2 == 0) meeting_.wait(i == 0 ? kFirstLooks : kLooks);
      run(subject, op);
      draw.note(op);
      own.ops[static_cast<size_t>(i)] = op;
      switch (random() % 8) {
        case 0: std::this_thread::yield(); break;
        case 1:
        case 2:
          for (uint64_t spin = random() % 256; spin > 0; --spin) {
            std::atomic_signal_fence(std::memory_order_seq_cst);
          }
          break;
        default: break;
      }
    }
  }

  // The history that all have done their part of, with a look at every key at its end, so that
  // nothing is lost unseen.
  void collect(Subject& subject, History& history) {
    history.clear();
    for (const Own& own : own_) history.insert(history.end(), own.ops.begin(), own.ops.end());
    const auto look = [&](OpKind kind, size_t key) {
      Op op;
      op.kind = kind;
      op.keys[0] = static_cast<uint8_t>(key);
      op.thread = kThreads;
      run(subject, op);
      history.push_back(op);
    };
    // Nothing that a later history starts with expires.
    if (mix_[static_cast<size_t>(OpKind::kAdvance)] != 0) look(OpKind::kAdvance, 0);
    for (size_t k = 0; k < kKeys; ++k) look(OpKind::kGet, k);
    subject.renew();
  }

  // What a thread has done of a history.
  struct alignas(64) Own {
    std::array<Op, kOpsPerThread> ops;
  };

  const Mix mix_;
  Barrier gate_;
  Meeting meeting_;
  std::array<Own, kThreads> own_;
  Order order_;
  std::atomic<uint32_t> orders_{0};
  std::atomic<bool> made_{true};
  std::vector<std::thread> threads_;
};

// The pairs of operations of two of the threads that were on at the same time.
inline uint64_t count_overlaps(const History& history) {
  uint64_t overlaps = 0;
  for (auto a = history.begin(); a != history.end(); ++a) {
    for (auto b = a + 1; b != history.end(); ++b) {
      if (a->thread == b->thread || a->thread == kThreads || b->thread == kThreads) continue;
      if (a->called <= b->returned && b->called <= a->returned) ++overlaps;
    }
  }
  return overlaps;
}

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_HISTORY_MAKER_H_
