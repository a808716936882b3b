// Histories of the real store, made while its shards are resized, and whether they are
// linearizable; and maps with a mistake each, which the same threads and the same checker find.
//
// RKVS_TEST_SCALE multiplies the number of histories and the time for them.
#include "tests/support/linearizability.h"

#include <gtest/gtest.h>
#include <rkvs/manager.h>
#include <rkvs/namespace.h>
#include <sched.h>

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
#include "tests/support/history_maker.h"
#include "tests/support/linearizable_store.h"
#include "tests/support/manual_time.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// How long each case makes histories, if it does not have enough before.
constexpr std::chrono::milliseconds kTime = is_instrumented() ? 1500ms : 1000ms;

// --- Making histories ----------------------------------------------------------------------------

// How many histories to make in which operations were on at the same time, the others being made
// by the way: `most`, or as many as fit into the time, but at least `least`, for which there is
// kPatience. Machines that are slow or instrumented make fewer. On one processor all count.
struct Amount {
  int least;
  int most;
  Clock::duration time;
};

constexpr auto kPatience = 60s;

struct Outcome {
  int made = 0;
  bool violated = false;
  std::string violation;  // the last history
  // Pairs of operations of two threads that were on at the same time, and histories with any.
  uint64_t overlaps = 0;
  int overlapping = 0;
  int counted = 0;
};

// Histories that are made while others are checked.
constexpr int kRound = 16;

// Makes histories one after another on the same keys, each from where the one before ended, until
// one is not linearizable.
Outcome make_histories(HistoryMaker& maker, Subject& subject, Model model, const Amount& amount) {
  const auto limit = Clock::now() + amount.time;
  const auto patience = std::max(limit, Clock::now() + kPatience);
  Outcome outcome;
  std::vector<History> making;
  int ordered = 0;
  const bool all_count = count_processors() < 2;
  const auto start_next = [&] {
    const int wanted = Clock::now() < limit ? amount.most : amount.least;
    const bool enough = outcome.counted >= wanted || Clock::now() >= patience;
    making.resize(enough ? 0 : kRound);
    if (making.empty()) return;
    maker.start(subject, ordered, making);
    ordered += kRound;
  };
  std::vector<History> made;
  for (start_next(); !making.empty() && !outcome.violated;) {
    maker.wait();
    made.swap(making);
    start_next();
    for (const History& history : made) {
      ++outcome.made;
      const uint64_t overlaps = count_overlaps(history);
      outcome.overlaps += overlaps;
      outcome.overlapping += overlaps != 0 ? 1 : 0;
      outcome.counted += overlaps != 0 || all_count ? 1 : 0;
      if (!is_linearizable(history, model)) {
        outcome.violated = true;
        outcome.violation = to_string(history, model);
        break;
      }
      for (size_t k = 0; k < kKeys; ++k) {
        model.initial[k] = history[history.size() - kKeys + k].seen[0];
      }
    }
  }
  maker.wait();
  return outcome;
}

void report(const char* what, const Outcome& all, Clock::time_point since) {
  const double seconds = std::chrono::duration<double>(Clock::now() - since).count();
  std::printf("%s: %d histories with operations at the same time, %.1f pairs in each\n", what,
              all.overlapping, static_cast<double>(all.overlaps) / std::max(all.overlapping, 1));
  std::printf("  of %d histories of %d operations, %.0f histories/s\n", all.made,
              kThreads * kOpsPerThread, all.made / seconds);
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

// What runs on without one is given the processors for milliseconds, and histories wait.
constexpr auto kPause = 100us;

// Calls `work()` on another thread again and again. Threads of histories that are woken get its
// processor at once, in the middle of what it does.
class Background {
 public:
  explicit Background(std::function<void()> work)
      : thread_([this, work = std::move(work)] {
          const sched_param lowest{};
          static_cast<void>(sched_setscheduler(0, SCHED_IDLE, &lowest));
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

// The least histories of each case in which operations were on at the same time.
constexpr int kLeast = 10;

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
    HistoryMaker maker(c.mix, 1);
    const Background resizer([&, handle = ns]() mutable {
      for (const uint32_t shards : {c.other_shards, c.shards}) {
        ASSERT_TRUE(handle.resize_shards(shards).ok());
        resizes.fetch_add(1);
        if (c.saves) save(handle);
        std::this_thread::sleep_for(kPause);
      }
    });
    std::optional<Background> saver;
    if (c.saves) {
      saver.emplace([&] {
        save(ns);
        std::this_thread::sleep_for(kPause);
      });
    }
    outcome = make_histories(maker, store, {.initial = {}, .max_keys = c.max_keys},
                             {kLeast, c.count * test_scale(), kTime * test_scale()});
    EXPECT_FALSE(outcome.violated) << outcome.violation;
    EXPECT_GE(outcome.counted, kLeast);
    while (resizes.load() < 2) std::this_thread::sleep_for(1ms);
  }
  report(c.name, outcome, since);
  std::printf("  %d resizes\n", resizes.load());
  const auto stats = ns.metadata();
  ASSERT_TRUE(stats.ok());
  EXPECT_LE(stats->key_count, crowd.size() + kKeys);
}

TEST(Linearizability, KeysThatMoveBetweenShards) { expect_linearizable({.name = "moving keys"}); }

TEST(Linearizability, KeysWhoseMoveTakesLong) {
  expect_linearizable(
      {.name = "crowded keys", .hash_mask = kFewBuckets, .crowd = 8000, .count = 3000});
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
  HistoryMaker maker(kMix, 2);
  const auto since = Clock::now();
  Outcome all;
  for (int round = 0; round < 3 * test_scale(); ++round) {
    const Namespace ns = make_history_namespace({}, hash);
    Namespace filler = ns;
    for (const std::string& key : filling) ASSERT_TRUE(filler.put(key, "").ok());
    Store store(ns, keys);
    size_t next = 0;
    const Background churn([&, handle = ns]() mutable {
      for (int i = 0; i < 8; ++i) {
        const std::string& key = filling[next++ % filling.size()];
        ASSERT_TRUE(handle.delete_key(key).ok());
        ASSERT_TRUE(handle.put(key, "").ok());
      }
      std::this_thread::yield();
    });
    const Outcome outcome = make_histories(maker, store, {}, {kLeast, 1600, kTime / 2});
    EXPECT_FALSE(outcome.violated) << outcome.violation;
    EXPECT_GE(outcome.counted, kLeast);
    all.made += outcome.made;
    all.overlaps += outcome.overlaps;
    all.overlapping += outcome.overlapping;
    // On a slow machine the growth takes longer than the histories.
    for (auto limit = Clock::now() + 60s; Clock::now() < limit; std::this_thread::sleep_for(1ms)) {
      if (ns.metadata()->shard_count > 16) break;
    }
    EXPECT_GT(ns.metadata()->shard_count, 16u);
  }
  report("automatic growth", all, since);
}

// A namespace that is deleted, and another of its name created at once, by whatever thread draws
// it: handles of the deleted one stay dead.
class DeletedStore : public Store {
 public:
  DeletedStore(StorageManager& manager, const Namespace& first, const Keys& keys)
      : Store(first, keys), manager_(manager) {}

  void run(Op& op) override {
    if (op.kind != OpKind::kDeleteNamespace) return Store::run(op);
    const std::lock_guard<std::mutex> lock(mutex_);
    op.code = manager_.delete_namespace(kName).code();
    created_ = create(manager_);
  }
  void renew() override {
    if (!created_) return;
    use(*std::move(created_));
    created_.reset();
    ++deletes_;
  }
  int deletes() const { return deletes_; }

  static Namespace create(StorageManager& manager) {
    return *manager.create_namespace(kName, {.shard_count = 7, .lock_timeout = kMaxLockTimeout});
  }

  static constexpr const char* kName = "histories";

 private:
  StorageManager& manager_;
  std::mutex mutex_;
  std::optional<Namespace> created_;
  int deletes_ = 0;
};

TEST(Linearizability, NamespacesThatAreDeletedAndCreatedAgain) {
  StorageManager manager;
  ASSERT_TRUE(is_ok(manager.initialize()));
  DeletedStore store(manager, DeletedStore::create(manager), {"a", "b", "c"});
  const auto since = Clock::now();
  Outcome outcome;
  {
    HistoryMaker maker(kMixWithDeletes, 4);
    const Background resizer([&] {
      for (const uint32_t shards : {8u, 7u}) {
        // Now and then there is none, or it is deleted meanwhile.
        auto ns = manager.get_namespace(DeletedStore::kName);
        const StatusCode code = ns.ok() ? ns->resize_shards(shards).code() : ns.code();
        ASSERT_TRUE(code == StatusCode::kOk || code == StatusCode::kNamespaceDeleted ||
                    code == StatusCode::kNamespaceNotFound)
            << status_code_name(code);
        std::this_thread::sleep_for(kPause);
      }
    });
    outcome = make_histories(maker, store, {}, {kLeast, 5000 * test_scale(), kTime * test_scale()});
  }
  EXPECT_FALSE(outcome.violated) << outcome.violation;
  EXPECT_GE(outcome.counted, kLeast);
  report("deletes of the namespace", outcome, since);
  std::printf("  %d of them with a delete\n", store.deletes());
  EXPECT_GT(store.deletes(), 0);
}

// --- Seeded defects: the same harness finds each of them -----------------------------------------

constexpr int kCatchWithin = 1000;

// A correct map, one lock for each key.
class LockedMap : public Subject {
 public:
  explicit LockedMap(uint32_t max_keys = 0) : max_keys_(max_keys) {}
  void run(Op& op) override { locked(op); }
  void renew() override {
    if (state_[0] == kDeleted) state_ = {};
  }

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
  HistoryMaker maker(mix, 3);
  const Outcome outcome = make_histories(maker, subject, {.initial = {}, .max_keys = max_keys},
                                         {kCatchWithin, kCatchWithin, 0s});
  if (outcome.violated) std::printf("found in history %d\n", outcome.made);
  return outcome.violated;
}

TEST(SeededDefect, NoneInTheLockedMap) {
  LockedMap map;
  EXPECT_FALSE(is_caught(map));
  LockedMap deleted;
  EXPECT_FALSE(is_caught(deleted, 0, kMixWithDeletes));
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

TEST(SeededDefect, NamespaceThatIsDeletedKeyByKey) {
  struct Partly : LockedMap {
    void run(Op& op) override {
      if (op.kind == OpKind::kDeleteNamespace) {
        first_is_gone = true;
        let_others_in();
      } else if (first_is_gone && !is_pair(op.kind) && op.keys[0] == 0) {
        op.code = StatusCode::kNamespaceDeleted;
        return;
      }
      locked(op);
    }
    void renew() override {
      LockedMap::renew();
      first_is_gone = false;
    }
    std::atomic<bool> first_is_gone{false};
  } map;
  EXPECT_TRUE(is_caught(map, 0, kMixWithDeletes));
}

TEST(SeededDefect, HandleThatLivesAgain) {
  struct Revived : LockedMap {
    void run(Op& op) override {
      locked(op);
      if (op.kind != OpKind::kDeleteNamespace) return;
      let_others_in();
      const std::scoped_lock lock(mutexes_[0], mutexes_[1], mutexes_[2]);
      renew();
    }
  } map;
  EXPECT_TRUE(is_caught(map, 0, kMixWithDeletes));
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
