// Histories of the real store, made while its shards are resized, and whether they are
// linearizable; and whether the checker that says so can be trusted.
//
// RKVS_TEST_SCALE multiplies the number of histories and the time for them.
#include "tests/support/linearizability.h"

#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/key_hash.h"
#include "store/namespace_image.h"
#include "store/namespace_impl.h"
#include "store/routing.h"
#include "tests/support/linearizable_store.h"
#include "tests/support/manual_time.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kThreads = 4;
constexpr int kOpsPerThread = 8;
// How long each case makes histories, if it does not have enough before.
constexpr std::chrono::milliseconds kTime = is_instrumented() ? 2500ms : 1000ms;

// --- The checker judges hand-written histories ---------------------------------------------------

Op single(OpKind kind, int key, int64_t called, int64_t returned, uint16_t written = kAbsent,
          uint16_t seen = kAbsent, StatusCode code = StatusCode::kOk) {
  Op op;
  op.kind = kind;
  op.keys[0] = static_cast<uint8_t>(key);
  op.written[0] = written;
  op.seen[0] = seen;
  op.code = code;
  op.called = called;
  op.returned = returned;
  return op;
}
Op put(int key, uint16_t value, int64_t called, int64_t returned) {
  return single(OpKind::kPut, key, called, returned, value);
}
Op get(int key, uint16_t seen, int64_t called, int64_t returned) {
  return single(OpKind::kGet, key, called, returned, kAbsent, seen,
                seen == kAbsent ? StatusCode::kNotFound : StatusCode::kOk);
}
Op consume(int key, uint16_t seen, int64_t called, int64_t returned) {
  Op op = get(key, seen, called, returned);
  op.kind = OpKind::kConsume;
  return op;
}
Op update(int key, uint16_t value, uint16_t seen, int64_t called, int64_t returned) {
  Op op = get(key, seen, called, returned);
  op.kind = OpKind::kUpdate;
  op.written[0] = value;
  return op;
}
Op pair(OpKind kind, std::array<uint16_t, 2> written, std::array<uint16_t, 2> seen, int64_t called,
        int64_t returned) {
  Op op;
  op.kind = kind;
  op.keys = {0, 1};
  op.written = written;
  op.seen = seen;
  op.called = called;
  op.returned = returned;
  return op;
}
Op set_pair(uint16_t a, uint16_t b, std::array<uint16_t, 2> old, int64_t called, int64_t returned) {
  return pair(OpKind::kSetPair, {a, b}, old, called, returned);
}
Op get_pair(uint16_t a, uint16_t b, int64_t called, int64_t returned) {
  return pair(OpKind::kGetPair, {}, {a, b}, called, returned);
}

bool holds(const History& history, const Model& model = {}) {
  return is_linearizable(history, model);
}

TEST(LinearizabilityChecker, AcceptsTheEmptyHistoryAndASequentialOne) {
  EXPECT_TRUE(holds({}));
  EXPECT_TRUE(
      holds({put(0, 1, 0, 1), get(0, 1, 2, 3), consume(0, 1, 4, 5), get(0, kAbsent, 6, 7)}));
}

TEST(LinearizabilityChecker, LetsAReadSeeAConcurrentWriteOrNot) {
  EXPECT_TRUE(holds({put(0, 1, 0, 10), get(0, 1, 1, 2)}));
  EXPECT_TRUE(holds({put(0, 1, 0, 10), get(0, kAbsent, 1, 2)}));
  // Both, in this order only.
  EXPECT_TRUE(holds({put(0, 1, 0, 10), get(0, kAbsent, 1, 2), get(0, 1, 3, 4)}));
  EXPECT_FALSE(holds({put(0, 1, 0, 10), get(0, 1, 1, 2), get(0, kAbsent, 3, 4)}));
}

TEST(LinearizabilityChecker, RefusesAStaleRead) {
  EXPECT_FALSE(holds({put(0, 1, 0, 1), put(0, 2, 2, 3), get(0, 1, 4, 5)}));
  EXPECT_FALSE(holds({put(0, 1, 0, 1), get(0, kAbsent, 2, 3)}));
}

TEST(LinearizabilityChecker, RefusesAValueThatNobodyWrote) {
  EXPECT_FALSE(holds({put(0, 1, 0, 10), get(0, 2, 1, 2)}));
  Model model;
  model.initial[0] = 2;
  EXPECT_TRUE(holds({put(0, 1, 0, 10), get(0, 2, 1, 2)}, model));
}

TEST(LinearizabilityChecker, RefusesALostUpdate) {
  Model model;
  model.initial[0] = 1;
  // Two updates cannot both replace 1.
  EXPECT_FALSE(holds({update(0, 2, 1, 0, 10), update(0, 3, 1, 0, 10)}, model));
  EXPECT_TRUE(holds({update(0, 2, 1, 0, 10), update(0, 3, 2, 0, 10)}, model));
}

TEST(LinearizabilityChecker, RefusesADoubleConsume) {
  Model model;
  model.initial[0] = 1;
  EXPECT_FALSE(holds({consume(0, 1, 0, 10), consume(0, 1, 0, 10)}, model));
  EXPECT_TRUE(holds({consume(0, 1, 0, 10), consume(0, kAbsent, 0, 10)}, model));
}

TEST(LinearizabilityChecker, RefusesATornPair) {
  Model model;
  model.initial = {1, 1};
  EXPECT_FALSE(holds({set_pair(2, 2, {1, 1}, 0, 10), get_pair(2, 1, 1, 9)}, model));
  EXPECT_FALSE(holds({set_pair(2, 2, {1, 1}, 0, 10), get(0, 2, 1, 2), get(1, 1, 3, 4)}, model));
  EXPECT_TRUE(holds({set_pair(2, 2, {1, 1}, 0, 10), get(0, 1, 1, 2), get(1, 2, 3, 4)}, model));
}

TEST(LinearizabilityChecker, RefusesAnOrderThatRealTimeRulesOut) {
  // Each read alone is fine, and so would both be in the other order.
  EXPECT_FALSE(holds({put(0, 1, 0, 10), put(0, 2, 11, 20), get(0, 2, 30, 31), get(0, 1, 32, 33)}));
  // Operations that touch in time may be ordered either way.
  EXPECT_TRUE(holds({put(0, 1, 0, 10), put(0, 2, 10, 20), get(0, 1, 21, 22)}));
  EXPECT_FALSE(holds({put(0, 1, 0, 10), put(0, 2, 11, 20), get(0, 1, 21, 22)}));
}

TEST(LinearizabilityChecker, RefusesReadersThatDisagreeOnAnOrder) {
  const History writes = {put(0, 1, 0, 50), put(0, 2, 0, 50)};
  History history = writes;
  history.insert(history.end(), {get(0, 1, 1, 2), get(0, 2, 3, 4), get(0, 1, 5, 6)});
  EXPECT_FALSE(holds(history));
  history.back() = get(0, 2, 5, 6);
  EXPECT_TRUE(holds(history));
}

TEST(LinearizabilityChecker, SeesAViolationThatTakesTwoKeys) {
  // Linearizable for each key alone, were the keys not read and written together.
  EXPECT_FALSE(holds({set_pair(1, 1, {}, 0, 10), set_pair(2, 2, {1, kAbsent}, 0, 10)}));
  EXPECT_TRUE(holds({set_pair(1, 1, {}, 0, 10), set_pair(2, 2, {1, 1}, 0, 10)}));
}

TEST(LinearizabilityChecker, JoinsKeysThatPairsConnect) {
  // Keys 0 and 1, then 1 and 2, then 2 and 0, in both directions.
  const auto linked = [](uint8_t a, uint8_t b, uint16_t value, std::array<uint16_t, 2> old,
                         int64_t called) {
    Op op = pair(OpKind::kSetPair, {value, value}, old, called, called + 1);
    op.keys = {a, b};
    return op;
  };
  EXPECT_TRUE(holds({linked(0, 1, 1, {}, 0), linked(1, 2, 2, {1, kAbsent}, 2),
                     linked(2, 0, 3, {2, 1}, 4), get(0, 3, 6, 7), get(1, 2, 8, 9)}));
  EXPECT_TRUE(holds({linked(1, 0, 1, {}, 0), linked(2, 1, 2, {kAbsent, 1}, 2),
                     linked(0, 2, 3, {1, 2}, 4), get(2, 3, 6, 7), get(1, 2, 8, 9)}));
  EXPECT_FALSE(holds({linked(1, 0, 1, {}, 0), linked(2, 1, 2, {kAbsent, 1}, 2),
                      linked(0, 2, 3, {1, 2}, 4), get(2, 2, 6, 7), get(1, 2, 8, 9)}));
}

TEST(LinearizabilityChecker, KnowsWhatAFailedPairSays) {
  Model model;
  model.initial = {1, kAbsent};
  Op op = pair(OpKind::kConsumePair, {}, {}, 0, 1);
  op.code = StatusCode::kNotFound;
  op.item_codes = {StatusCode::kNotApplied, StatusCode::kNotFound};
  EXPECT_TRUE(holds({op, get(0, 1, 2, 3)}, model));
  EXPECT_FALSE(holds({op, get(0, kAbsent, 2, 3)}, model));
  op.item_codes[0] = StatusCode::kOk;
  EXPECT_FALSE(holds({op}, model));
  // A key that is named twice is consumed once.
  Op twice = pair(OpKind::kConsumePair, {}, {}, 0, 1);
  twice.keys = {0, 0};
  twice.code = StatusCode::kNotFound;
  twice.item_codes = {StatusCode::kNotApplied, StatusCode::kNotFound};
  EXPECT_TRUE(holds({twice}, model));
}

TEST(LinearizabilityChecker, KnowsTheLimitOnKeys) {
  Model model;
  model.max_keys = 1;
  const auto refused = [](int key, int64_t called, int64_t returned) {
    return single(OpKind::kPut, key, called, returned, 9, kAbsent, StatusCode::kTooManyKeys);
  };
  EXPECT_TRUE(holds({put(0, 1, 0, 1), refused(1, 2, 3)}, model));
  EXPECT_FALSE(holds({put(0, 1, 0, 1), put(1, 1, 2, 3)}, model));
  // Refused although there was room all the time.
  EXPECT_FALSE(holds({put(0, 1, 0, 1), consume(0, 1, 2, 3), refused(1, 4, 5)}, model));
  EXPECT_TRUE(holds({put(0, 1, 0, 1), consume(0, 1, 2, 4), refused(1, 3, 5)}, model));
}

Op compare_and_set(int key, uint16_t expected, uint16_t value, int64_t called, int64_t returned,
                   StatusCode code = StatusCode::kOk) {
  Op op = single(OpKind::kCompareAndSet, key, called, returned, value, kAbsent, code);
  op.expected = expected;
  return op;
}

TEST(LinearizabilityChecker, RefusesTwoCompareAndSetsOverOneValue) {
  const StatusCode kMismatch = StatusCode::kVersionMismatch;
  Model model;
  model.initial[0] = 1;
  EXPECT_FALSE(holds({compare_and_set(0, 1, 2, 0, 10), compare_and_set(0, 1, 3, 0, 10)}, model));
  EXPECT_TRUE(
      holds({compare_and_set(0, 1, 2, 0, 10), compare_and_set(0, 1, 3, 0, 10, kMismatch)}, model));
  // Refused although nobody else wrote.
  EXPECT_FALSE(holds({compare_and_set(0, 1, 2, 0, 10, kMismatch)}, model));
  EXPECT_FALSE(holds({compare_and_set(1, 1, 2, 0, 10, kMismatch)}, model)) << "it is absent";
}

TEST(LinearizabilityChecker, KnowsAddsAndCounters) {
  const auto add = [](uint16_t value, StatusCode code) {
    return single(OpKind::kAdd, 0, 0, 10, value, kAbsent, code);
  };
  const auto increment = [](uint16_t sum) {
    return single(OpKind::kIncrement, 1, 0, 10, kAbsent, sum);
  };
  EXPECT_FALSE(holds({add(1, StatusCode::kOk), add(2, StatusCode::kOk)}));
  EXPECT_TRUE(holds({add(1, StatusCode::kOk), add(2, StatusCode::kExists), get(0, 1, 11, 12)}));
  EXPECT_FALSE(holds({increment(1), increment(1)}));
  EXPECT_TRUE(holds({increment(2), increment(1)}));
}

TEST(LinearizabilityChecker, KnowsThatACounterMayReachAValueThatIsWrittenLater) {
  // 1, then 2 by the counter, 5, and 2 once more by the put, which began before all of this.
  const History history = {
      single(OpKind::kPut, 0, 0, 1, 1), single(OpKind::kIncrement, 0, 2, 3, kAbsent, 2),
      single(OpKind::kSet, 0, 4, 5, 5, 2), single(OpKind::kPut, 0, 2, 9, 2), get(0, 2, 10, 11)};
  EXPECT_TRUE(holds(history));
}

TEST(LinearizabilityChecker, KnowsWhenKeysExpire) {
  const auto put_expiring = [](int64_t called, int64_t returned) {
    return single(OpKind::kPutExpiring, 0, called, returned, 1);
  };
  const auto advance = [](int64_t called, int64_t returned) {
    return single(OpKind::kAdvance, 0, called, returned);
  };
  EXPECT_TRUE(holds({put_expiring(0, 1), get(0, 1, 2, 3), advance(4, 5), get(0, kAbsent, 6, 7)}));
  EXPECT_FALSE(holds({put_expiring(0, 1), advance(4, 5), get(0, 1, 6, 7)})) << "too late";
  EXPECT_FALSE(holds({put_expiring(0, 1), get(0, kAbsent, 2, 3), advance(4, 5)})) << "too early";
  EXPECT_FALSE(holds({put_expiring(0, 1), get(0, 1, 4, 5), advance(2, 3)})) << "it had expired";
  // Concurrent: either way.
  EXPECT_TRUE(holds({put_expiring(0, 9), advance(2, 3), get(0, kAbsent, 10, 11)}));
  EXPECT_TRUE(holds({put_expiring(0, 9), advance(2, 3), get(0, 1, 10, 11)}));
}

TEST(LinearizabilityChecker, HandlesTheLongestHistory) {
  // Everything concurrent: 64! orders.
  History history;
  for (uint16_t i = 1; i <= kMaxHistory / 2; ++i) {
    history.push_back(update(0, static_cast<uint16_t>(i + 1), i, 0, 10));
    history.push_back(get(1, kAbsent, 0, 10));
  }
  Model model;
  model.initial[0] = 1;
  EXPECT_TRUE(holds(history, model));
  history.back() = get(1, 7, 0, 10);
  EXPECT_FALSE(holds(history, model));
}

// --- Making histories ----------------------------------------------------------------------------

class Barrier {
 public:
  explicit Barrier(uint32_t size) : size_(size) {}
  void arrive_and_wait() {
    const uint32_t phase = phase_.load();
    if (arrived_.fetch_add(1) + 1 == size_) {
      arrived_.store(0);
      phase_.fetch_add(1);
      phase_.notify_all();
      return;
    }
    // Threads that come in awake start together. On a machine that is busy with other things,
    // sleeping gets the processor back sooner than yielding does.
    for (int i = 0; i < 2000 && phase_.load() == phase; ++i) {
    }
    phase_.wait(phase);
  }

 private:
  const uint32_t size_;
  std::atomic<uint32_t> arrived_{0};
  std::atomic<uint32_t> phase_{0};
};

int64_t now() { return Clock::now().time_since_epoch().count(); }

class Workers {
 public:
  Workers(Mix mix, uint64_t seed) : mix_(mix), start_(kThreads + 1), end_(kThreads + 1) {
    for (int t = 0; t < kThreads; ++t) {
      threads_.emplace_back(
          [this, t, seed] { work(t, seed * kThreads + static_cast<uint64_t>(t)); });
    }
  }
  ~Workers() {
    subject_ = nullptr;
    start_.arrive_and_wait();
    for (std::thread& thread : threads_) thread.join();
  }

  // One history, with a look at every key at its end, so that nothing is lost unseen.
  History make(Subject& subject, int number) {
    subject_ = &subject;
    number_ = number;
    start_.arrive_and_wait();
    end_.arrive_and_wait();
    History history;
    for (const History& own : histories_) history.insert(history.end(), own.begin(), own.end());
    const auto look = [&](OpKind kind, size_t k) {
      Op op;
      op.kind = kind;
      op.keys[0] = static_cast<uint8_t>(k);
      op.thread = kThreads;
      run(subject, op);
      history.push_back(op);
    };
    // Nothing that a later history starts with expires.
    if (mix_[static_cast<size_t>(OpKind::kAdvance)] != 0) look(OpKind::kAdvance, 0);
    for (size_t k = 0; k < kKeys; ++k) look(OpKind::kGet, k);
    return history;
  }

 private:
  static void run(Subject& subject, Op& op) {
    op.called = now();
    subject.run(op);
    op.returned = now();
  }

  void work(int thread, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::discrete_distribution<int> kinds(mix_.begin(), mix_.end());
    for (;;) {
      start_.arrive_and_wait();
      if (subject_ == nullptr) return;
      History& own = histories_[static_cast<size_t>(thread)];
      own.clear();
      OpDraw draw(kinds, random);
      for (int i = 0; i < kOpsPerThread; ++i) {
        // No value comes twice in a history, nor in those next to it.
        const int value =
            1 + (number_ % 256 * kThreads * kOpsPerThread + thread * kOpsPerThread + i) * 2;
        Op op = draw.next(static_cast<uint16_t>(value));
        op.thread = thread;
        run(*subject_, op);
        own.push_back(op);
        draw.note(op);
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
      end_.arrive_and_wait();
    }
  }

  const Mix mix_;
  Barrier start_;
  Barrier end_;
  Subject* subject_ = nullptr;
  int number_ = 0;
  std::array<History, kThreads> histories_;
  std::vector<std::thread> threads_;
};

// How many histories to make: `most`, or as many as fit into the time, but at least `least`.
// Machines that are slow or instrumented make fewer.
struct Amount {
  int least;
  int most;
  Clock::duration time;
};

struct Outcome {
  int made = 0;
  bool violated = false;
  std::string violation;  // the last history
};

// Makes histories one after another on the same keys, each from where the one before ended, until
// one is not linearizable.
Outcome make_histories(Workers& workers, Subject& subject, Model model, const Amount& amount) {
  const auto limit = Clock::now() + amount.time;
  Outcome outcome;
  while (outcome.made < amount.most && (outcome.made < amount.least || Clock::now() < limit)) {
    const History history = workers.make(subject, outcome.made);
    ++outcome.made;
    if (!is_linearizable(history, model)) {
      outcome.violated = true;
      outcome.violation = to_string(history, model);
      break;
    }
    for (size_t k = 0; k < kKeys; ++k) {
      model.initial[k] = history[history.size() - kKeys + k].seen[0];
    }
  }
  return outcome;
}

void report(const char* what, int count, Clock::time_point since) {
  const double seconds = std::chrono::duration<double>(Clock::now() - since).count();
  std::printf("%s: %d histories of %d operations, %.0f histories/s\n", what, count,
              kThreads * kOpsPerThread, count / seconds);
}

// --- The real store ------------------------------------------------------------------------------

// `count` more keys for the bucket of each of `keys`.
std::vector<std::string> crowd_around(const Keys& keys, const KeyHash& hash, size_t count) {
  std::vector<std::string> crowd;
  std::map<uint32_t, size_t> missing;
  for (const std::string& key : keys) missing[bucket_of(hash(key).hash)] = count;
  for (int i = 0; !missing.empty(); ++i) {
    std::string key = "other" + std::to_string(i);
    const auto bucket = missing.find(bucket_of(hash(key).hash));
    if (bucket == missing.end()) continue;
    crowd.push_back(std::move(key));
    if (--bucket->second == 0) missing.erase(bucket);
  }
  return crowd;
}

// Calls `work()` on another thread again and again.
class Background {
 public:
  explicit Background(std::function<void()> work)
      : thread_([this, work = std::move(work)] {
          while (!stop_.load()) work();
        }) {}
  ~Background() {
    stop_.store(true);
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

constexpr uint64_t kFewBuckets = uint64_t{0x1F} << 40 | 0xFFFFFFFF;

struct StoreCase {
  const char* name;
  uint64_t hash_mask = ~uint64_t{0};
  bool same_hash = false;
  uint32_t shards = 7;
  uint32_t other_shards = 8;
  uint32_t max_keys = 0;
  // So many other keys in each bucket make a move take long enough to be met by many operations,
  // which then wait for a shard that the key leaves meanwhile.
  size_t crowd = 0;
  Mix mix = kMix;
  int count = 5000;
  // Another thread takes cuts and images as saves do.
  bool saves = false;
};

// A save without a file.
void save(const Namespace& ns) {
  const std::shared_ptr<NamespaceImpl> impl(&NamespaceImpl::of(ns), [](NamespaceImpl*) {});
  const auto cut = internal::Cut::take({impl});
  ASSERT_TRUE(cut.ok());
  auto& image = (*cut)->namespaces().front();
  for (uint32_t i = 0; i < image.shard_count(); ++i) ASSERT_TRUE(image.entries(i).ok());
}

// Runs the case while another thread resizes the namespace to and fro.
void expect_linearizable(const StoreCase& c) {
  const KeyHash hash(0x5EED, c.hash_mask);
  const Keys keys = moving_keys(hash, c.shards, c.other_shards, c.same_hash);
  std::vector<std::string> crowd;
  if (c.crowd != 0) crowd = crowd_around(keys, hash, c.crowd);
  ManualTime time;
  Namespace ns = make_history_namespace({.shard_count = c.shards}, hash, time);
  for (const std::string& other : crowd) ASSERT_TRUE(ns.put(other, "").ok());
  if (c.max_keys != 0) {
    ASSERT_TRUE(ns.set_max_keys(crowd.size() + c.max_keys).ok());
  }
  Store store(ns, keys, crowd.size(), &time, c.mix[static_cast<size_t>(OpKind::kIncrement)] != 0);
  std::atomic<int> resizes{0};
  Outcome outcome;
  const auto since = Clock::now();
  {
    Workers workers(c.mix, 1);
    const Background resizer([&, handle = ns]() mutable {
      for (const uint32_t shards : {c.other_shards, c.shards}) {
        ASSERT_TRUE(handle.resize_shards(shards).ok());
        resizes.fetch_add(1);
        if (c.saves) save(handle);
        std::this_thread::sleep_for(100us);
      }
    });
    std::optional<Background> saver;
    if (c.saves) saver.emplace([&] { save(ns); });
    outcome = make_histories(workers, store, {.initial = {}, .max_keys = c.max_keys},
                             {10, c.count * test_scale(), kTime * test_scale()});
    EXPECT_FALSE(outcome.violated) << outcome.violation;
    while (resizes.load() < 2) std::this_thread::sleep_for(1ms);
  }
  report(c.name, outcome.made, since);
  std::printf("  %d resizes\n", resizes.load());
  const auto stats = ns.metadata();
  ASSERT_TRUE(stats.ok());
  EXPECT_LE(stats->key_count, crowd.size() + kKeys);
}

TEST(Linearizability, KeysThatMoveBetweenShards) {
  expect_linearizable({.name = "moving keys", .count = 3000});
}

TEST(Linearizability, KeysWhoseMoveTakesLong) {
  expect_linearizable({.name = "crowded keys", .hash_mask = kFewBuckets, .crowd = 8000});
}

TEST(Linearizability, CountsOfAllKeysDuringResizes) {
  expect_linearizable({.name = "counts",
                       .hash_mask = kFewBuckets,
                       .crowd = 4000,
                       .mix = kMixWithCounts,
                       .count = 3000});
}

TEST(Linearizability, CompareAndSetAndAddAndAtomicBatches) {
  expect_linearizable({.name = "compare and set", .mix = kMixOfCompares, .count = 3000});
  expect_linearizable(
      {.name = "compare and set, saves", .mix = kMixOfCompares, .count = 2000, .saves = true});
}

TEST(Linearizability, Counters) {
  expect_linearizable({.name = "counters", .mix = kMixOfCounters, .count = 3000, .saves = true});
}

TEST(Linearizability, KeysThatExpire) {
  expect_linearizable({.name = "expiries", .mix = kMixOfExpiries, .count = 3000});
  expect_linearizable({.name = "expiries, crowded keys, saves",
                       .hash_mask = kFewBuckets,
                       .crowd = 4000,
                       .mix = kMixOfExpiries,
                       .count = 2000,
                       .saves = true});
}

TEST(Linearizability, OneShardBecomesTwo) {
  expect_linearizable({.name = "1 and 2 shards", .shards = 1, .other_shards = 2, .count = 3000});
}

TEST(Linearizability, KeysWithOneHash) {
  // 8 buckets and 16 hashes.
  expect_linearizable({.name = "colliding keys",
                       .hash_mask = uint64_t{7} << 40 | 1,
                       .same_hash = true,
                       .shards = 2,
                       .other_shards = 5,
                       .count = 3000});
}

TEST(Linearizability, ExactLimitOfKeys) {
  expect_linearizable({.name = "two keys of three",
                       .hash_mask = kFewBuckets,
                       .max_keys = 2,
                       .crowd = 4000,
                       .mix = kMixWithLimit,
                       .count = 3000});
  expect_linearizable(
      {.name = "one key of three", .max_keys = 1, .mix = kMixWithCounts, .count = 2000});
}

TEST(Linearizability, AutomaticGrowth) {
  // Few buckets, one of which is so full that its shard never gets small enough: the namespace
  // grows from 16 to 4,096 shards.
  const KeyHash hash(0x5EED, uint64_t{7} << 40 | 0xFFFFFFFF);
  const Keys keys = moving_keys(hash, 16, 4096);
  const uint32_t full_bucket = bucket_of(hash(keys[0]).hash);
  std::vector<std::string> filling;
  for (int i = 0; filling.size() < 6100; ++i) {
    std::string key = "filling" + std::to_string(i);
    if (bucket_of(hash(key).hash) == full_bucket) filling.push_back(std::move(key));
  }
  Workers workers(kMix, 2);
  const auto since = Clock::now();
  int made = 0;
  for (int round = 0; round < 3 * test_scale(); ++round) {
    const Namespace ns = make_history_namespace({}, hash);
    Namespace filler = ns;
    for (const std::string& key : filling) ASSERT_TRUE(filler.put(key, "").ok());
    Store store(ns, keys);
    size_t next = 0;
    const Background churn([&, handle = ns]() mutable {
      const std::string& key = filling[next++ % filling.size()];
      ASSERT_TRUE(handle.delete_key(key).ok());
      ASSERT_TRUE(handle.put(key, "").ok());
    });
    const Outcome outcome = make_histories(workers, store, {}, {10, 600, kTime / 2});
    EXPECT_FALSE(outcome.violated) << outcome.violation;
    made += outcome.made;
    // On a slow machine the growth takes longer than the histories.
    for (auto limit = Clock::now() + 60s; Clock::now() < limit; std::this_thread::sleep_for(1ms)) {
      if (ns.metadata()->shard_count > 16) break;
    }
    EXPECT_GT(ns.metadata()->shard_count, 16u);
  }
  report("automatic growth", made, since);
}

// --- Seeded defects: the same harness finds each of them -----------------------------------------

constexpr int kCatchWithin = 1000;

// A correct map, one lock for each key.
class LockedMap : public Subject {
 public:
  explicit LockedMap(uint32_t max_keys = 0) : max_keys_(max_keys) {}
  void run(Op& op) override { locked(op); }

 protected:
  // Holds everything: simple, and right.
  void locked(Op& op) {
    const std::scoped_lock lock(mutexes_[0], mutexes_[1], mutexes_[2]);
    execute(op, max_keys_, state_);
  }
  // As if `op` were two operations.
  void one_by_one(Op& op, OpKind kind) {
    for (size_t i = 0; i < 2; ++i) {
      Op part = op;
      part.kind = kind;
      part.keys[0] = op.keys[i];
      part.written[0] = op.written[i];
      locked(part);
      op.item_codes[i] = part.code;
      op.seen[i] = part.seen[0];
      let_others_in();
    }
  }
  static void let_others_in() { std::this_thread::yield(); }

  const uint32_t max_keys_;
  std::array<std::mutex, kKeys> mutexes_;
  ModelState state_{};
};

bool is_caught(Subject& subject, uint32_t max_keys = 0, Mix mix = kMix) {
  Workers workers(mix, 3);
  const Outcome outcome = make_histories(workers, subject, {.initial = {}, .max_keys = max_keys},
                                         {kCatchWithin, kCatchWithin, 0s});
  if (outcome.violated) std::printf("found in history %d\n", outcome.made);
  return outcome.violated;
}

TEST(SeededDefect, NoneInTheLockedMap) {
  LockedMap map;
  EXPECT_FALSE(is_caught(map));
  LockedMap limited(2);
  EXPECT_FALSE(is_caught(limited, 2, kMixWithCounts));
}

TEST(SeededDefect, PairWrittenWithoutHoldingBothLocks) {
  struct Torn : LockedMap {
    void run(Op& op) override {
      op.kind == OpKind::kSetPair ? one_by_one(op, OpKind::kSet) : locked(op);
    }
  } map;
  EXPECT_TRUE(is_caught(map));
}

TEST(SeededDefect, PairReadWithoutHoldingBothLocks) {
  struct Torn : LockedMap {
    void run(Op& op) override {
      if (op.kind != OpKind::kGetPair) return locked(op);
      one_by_one(op, OpKind::kGet);
      if (op.item_codes[0] == StatusCode::kOk && op.item_codes[1] == StatusCode::kOk) return;
      locked(op);  // failures are told rightly
    }
  } map;
  EXPECT_TRUE(is_caught(map));
}

TEST(SeededDefect, UpdateThatReadsBeforeItLocks) {
  struct Lossy : LockedMap {
    void run(Op& op) override {
      if (op.kind != OpKind::kUpdate && op.kind != OpKind::kSet) return locked(op);
      Op read = op;
      read.kind = OpKind::kGet;
      locked(read);
      let_others_in();
      locked(op);
      if (op.code == StatusCode::kOk && read.code == StatusCode::kOk) op.seen = read.seen;
    }
  } map;
  EXPECT_TRUE(is_caught(map));
}

TEST(SeededDefect, ConsumeThatReadsAndThenDeletes) {
  struct Double : LockedMap {
    void run(Op& op) override {
      if (op.kind != OpKind::kConsume) return locked(op);
      op.kind = OpKind::kGet;
      locked(op);
      let_others_in();
      Op removal = op;
      removal.kind = OpKind::kDelete;
      locked(removal);
      op.kind = OpKind::kConsume;
    }
  } map;
  EXPECT_TRUE(is_caught(map));
}

TEST(SeededDefect, CompareAndSetThatLooksBeforeItLocks) {
  struct Lossy : LockedMap {
    void run(Op& op) override {
      if (op.kind != OpKind::kCompareAndSet) return locked(op);
      Op read = op;
      read.kind = OpKind::kGet;
      locked(read);
      if (read.code != StatusCode::kOk || read.seen[0] != op.expected) return locked(op);
      let_others_in();
      Op write = op;
      write.kind = OpKind::kPut;
      locked(write);
      op.code = write.code;
    }
  } map;
  EXPECT_TRUE(is_caught(map, 0, kMixOfCompares));
}

TEST(SeededDefect, AtomicBatchThatActsOneByOne) {
  struct Torn : LockedMap {
    void run(Op& op) override {
      if (op.kind != OpKind::kMovePair) return locked(op);
      Op part = op;
      part.kind = OpKind::kConsume;
      locked(part);
      if (part.code != StatusCode::kOk) return locked(op);
      op.code = StatusCode::kOk;
      op.seen[0] = part.seen[0];
      let_others_in();
      part.kind = OpKind::kSet;
      part.keys[0] = op.keys[1];
      part.written[0] = op.written[1];
      locked(part);
      op.seen[1] = part.seen[0];
    }
  } map;
  EXPECT_TRUE(is_caught(map, 0, kMixOfCompares));
}

TEST(SeededDefect, CacheThatDeletesDoNotClear) {
  struct Cached : LockedMap {
    void run(Op& op) override {
      if (op.kind == OpKind::kGet && cache[op.keys[0]] != kAbsent) {
        op.seen[0] = cache[op.keys[0]];
        return;
      }
      locked(op);
      if (op.kind == OpKind::kGet) cache[op.keys[0]] = op.seen[0];
      if (op.kind != OpKind::kSet && op.kind != OpKind::kPut && op.kind != OpKind::kUpdate) return;
      cache[op.keys[0]] = kAbsent;
    }
    std::array<std::atomic<uint16_t>, kKeys> cache{};
  } map;
  EXPECT_TRUE(is_caught(map));
}

TEST(SeededDefect, RoutingThatIsNotCheckedAgainUnderTheLock) {
  struct Misrouted : Subject {
    void run(Op& op) override {
      const size_t side = route.load();
      std::this_thread::yield();
      const std::scoped_lock lock(mutexes[side]);
      execute(op, 0, states[side]);
    }
    void move() {
      const std::scoped_lock lock(mutexes[0], mutexes[1]);
      const size_t from = route.load();
      states[1 - from] = states[from];
      states[from] = {};
      route.store(1 - from);
    }
    std::atomic<size_t> route{0};
    std::array<std::mutex, 2> mutexes;
    std::array<ModelState, 2> states{};
  } map;
  const Background mover([&map] {
    map.move();
    std::this_thread::sleep_for(50us);
  });
  EXPECT_TRUE(is_caught(map));
}

TEST(SeededDefect, LimitThatIsCheckedBeforeTheLock) {
  struct Loose : LockedMap {
    Loose() : LockedMap(0) {}
    void run(Op& op) override {
      const bool inserts = op.kind == OpKind::kSet || op.kind == OpKind::kPut;
      const auto limited = [&] {
        const std::scoped_lock lock(mutexes_[0], mutexes_[1], mutexes_[2]);
        Op trial = op;
        ModelState copy = state_;
        execute(trial, 2, copy);
        if (trial.code == StatusCode::kTooManyKeys || !inserts) {
          op = trial;
          state_ = copy;
          return true;
        }
        return false;
      };
      if (limited()) return;
      let_others_in();
      locked(op);
    }
  } map;
  EXPECT_TRUE(is_caught(map, 2));
}

}  // namespace
}  // namespace rkvs::testing
