// What must hold whatever many threads do at once: with single operations, batches, resizes, saves
// and the coming and going of namespaces all mixed. Made for ThreadSanitizer as much as for the
// assertions. Which operation wins is luck; the assertions are about what no luck may bring.
//
// RKVS_TEST_SCALE multiplies the length of each test.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <mutex>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/test_util.h"

namespace rkvs {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Random = std::mt19937_64;
using testing::TempDir;

std::chrono::milliseconds length() { return 500ms * testing::test_scale(); }

// A machine that is busy enough must not make an operation fail.
NamespaceConfig patient(NamespaceConfig config = {}) {
  config.lock_timeout = kMaxLockTimeout;
  return config;
}

// Threads that do their work again and again until the test has gone on for long enough, and each
// of them at least once.
class Crew {
 public:
  explicit Crew(std::chrono::milliseconds time = length()) : until_(Clock::now() + time) {}
  ~Crew() { join(); }

  template <typename Work>  // void(Random&)
  void add(Work work) {
    threads_.emplace_back([this, work, seed = threads_.size() + 1]() mutable {
      Random random(seed);
      do {
        work(random);
      } while (Clock::now() < until_);
    });
  }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  const Clock::time_point until_;
  std::vector<std::thread> threads_;
};

void resize_at_random(Namespace ns, Random& random) {
  const Status status = ns.resize_shards(static_cast<uint32_t>(1 + random() % 9));
  // Another thread may be at it.
  ASSERT_TRUE(status.ok() || status.code() == StatusCode::kBusy) << status.to_string();
  std::this_thread::sleep_for(200us);
}

// Every figure of a namespace that nobody uses at the moment, against what is really in it.
void expect_figures_agree(const Namespace& ns) {
  const auto keys = ns.list_keys();
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(std::set<std::string>(keys->begin(), keys->end()).size(), keys->size());
  uint64_t value_bytes = 0;
  uint64_t key_bytes = 0;
  for (const std::string& key : *keys) {
    const auto value = ns.get(key);
    ASSERT_TRUE(value.ok()) << key;
    value_bytes += value->size();
    key_bytes += key.size();
  }
  const auto stats = ns.metadata();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->key_count, keys->size());
  EXPECT_EQ(stats->total_size, value_bytes);
  EXPECT_GE(stats->memory_bytes, value_bytes + key_bytes);
  const auto shards = ns.shard_key_counts();
  ASSERT_TRUE(shards.ok());
  EXPECT_EQ(shards->size(), stats->shard_count);
  EXPECT_EQ(std::accumulate(shards->begin(), shards->end(), uint64_t{0}), keys->size());
}

// --- Money moves between accounts, and none is lost ----------------------------------------------

// The accounts of a few tellers, spread over all shards. Only its teller writes to an account, two
// at a time in one all-or-nothing batch, so the sum for each teller is always the same.
class Bank {
 public:
  static constexpr size_t kTellers = 3;
  static constexpr size_t kAccounts = 16;  // of each teller
  static constexpr int64_t kMoney = 1000;  // in each account at first

  explicit Bank(const Namespace& ns) : ns_(ns) {
    for (size_t i = 0; i < kTellers * kAccounts; ++i) {
      keys_.push_back("account " + std::to_string(i));
    }
    views_.assign(keys_.begin(), keys_.end());
    for (const std::string& key : keys_) EXPECT_TRUE(ns_.put(key, text_of(kMoney)).ok());
  }

  const Namespace& ns() const { return ns_; }

  void transfer(size_t teller, Random& random) {
    const size_t from = teller * kAccounts + random() % kAccounts;
    const size_t to = teller * kAccounts + random() % kAccounts;
    if (from == to) return;
    const BatchResult before = ns_.get_multiple({views_[from], views_[to]}, kAll);
    ASSERT_TRUE(before.is_success()) << before.status.to_string();
    const auto amount = static_cast<int64_t>(random() % 100);
    const std::string less = text_of(amount_of(*before.items[0].value) - amount);
    const std::string more = text_of(amount_of(*before.items[1].value) + amount);
    const BatchResult after = ns_.set_multiple(
        {{.key = views_[from], .value = less}, {.key = views_[to], .value = more}}, kAll);
    ASSERT_TRUE(after.is_success()) << after.status.to_string();
    EXPECT_EQ(after.items[0].value, before.items[0].value);
    EXPECT_EQ(after.items[1].value, before.items[1].value);
  }

  // Reads all accounts of `ns` in one batch.
  void audit(const Namespace& ns) const {
    const BatchResult all = ns.get_multiple(views_, kAll);
    ASSERT_TRUE(all.is_success()) << all.status.to_string();
    for (size_t teller = 0; teller < kTellers; ++teller) {
      int64_t sum = 0;
      for (size_t i = 0; i < kAccounts; ++i) {
        sum += amount_of(*all.items[teller * kAccounts + i].value);
      }
      ASSERT_EQ(sum, kMoney * static_cast<int64_t>(kAccounts)) << "teller " << teller;
    }
  }

  // The figures never change: keys and sizes stay what they are.
  void expect_steady_figures() const {
    const auto stats = ns_.metadata();
    ASSERT_TRUE(stats.ok());
    EXPECT_EQ(stats->key_count, keys_.size());
    EXPECT_EQ(stats->total_size, keys_.size() * text_of(kMoney).size());
    const auto shards = ns_.shard_key_counts();
    ASSERT_TRUE(shards.ok());
    EXPECT_EQ(std::accumulate(shards->begin(), shards->end(), uint64_t{0}), keys_.size());
    auto listed = ns_.list_keys();
    ASSERT_TRUE(listed.ok());
    EXPECT_EQ(listed->size(), keys_.size());
    EXPECT_EQ(std::set<std::string>(listed->begin(), listed->end()),
              std::set<std::string>(keys_.begin(), keys_.end()));
  }

 private:
  static constexpr BatchMode kAll = BatchMode::kAllOrNothing;

  static std::string text_of(int64_t amount) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%+012lld", static_cast<long long>(amount));
    return text.data();
  }
  static int64_t amount_of(const Value& value) { return std::stoll(value.to_string()); }

  Namespace ns_;
  std::vector<std::string> keys_;
  std::vector<std::string_view> views_;
};

TEST(Concurrent, NoMoneyIsLostWhileShardsAreResized) {
  StorageManager manager;
  ASSERT_TRUE(manager.initialize().ok());
  Bank bank(*manager.create_namespace("bank", patient({.shard_count = 5})));
  Crew crew;
  for (size_t teller = 0; teller < Bank::kTellers; ++teller) {
    crew.add([&bank, teller](Random& random) { bank.transfer(teller, random); });
  }
  crew.add([&bank](Random&) { bank.audit(bank.ns()); });
  crew.add([&bank](Random&) { bank.expect_steady_figures(); });
  crew.add([&bank](Random& random) { resize_at_random(bank.ns(), random); });
  crew.join();
  bank.audit(bank.ns());
  expect_figures_agree(bank.ns());
}

TEST(Concurrent, EverySnapshotHoldsAllTheMoney) {
  const TempDir directory;
  StorageManager manager({.config = {}, .directory = directory.path(), .log = {}});
  ASSERT_TRUE(manager.initialize().ok());
  Bank bank(*manager.create_namespace("bank", patient({.shard_count = 3})));
  Bank second(*manager.create_namespace("second bank", patient()));
  std::atomic<int> loaded{0};
  Crew crew;
  for (size_t teller = 0; teller < Bank::kTellers; ++teller) {
    crew.add([&bank, teller](Random& random) { bank.transfer(teller, random); });
  }
  crew.add([&second](Random& random) { second.transfer(0, random); });
  crew.add([&bank](Random& random) { resize_at_random(bank.ns(), random); });
  for (const std::string file : {"one.rkvs", "two.rkvs"}) {
    crew.add([&, file](Random& random) {
      const Status saved =
          random() % 4 == 0 ? manager.save_namespace("bank", file) : manager.save_all(file);
      ASSERT_TRUE(saved.ok()) << saved.to_string();
      StorageManager other({.config = {}, .directory = directory.path(), .log = {}});
      const Status initialized = other.initialize(file);
      ASSERT_TRUE(initialized.ok()) << initialized.to_string();
      const auto names = other.list_namespaces();
      ASSERT_TRUE(names.ok() && !names->empty());
      for (const std::string& name : *names) bank.audit(*other.get_namespace(name));
      loaded.fetch_add(1);
    });
  }
  crew.join();
  EXPECT_GE(loaded.load(), 2);
  bank.audit(bank.ns());
  second.audit(second.ns());
}

// --- A ring of keys that stays one ring ----------------------------------------------------------

// Each node holds the name of the next one. Writers take a node out of its place and put it into
// another with one batch; whoever reads all nodes in one batch finds one ring through all of them.
class Ring {
 public:
  static constexpr size_t kNodes = 24;

  explicit Ring(const Namespace& ns) : ns_(ns) {
    for (size_t i = 0; i < kNodes; ++i) names_.push_back("node " + std::to_string(i));
    views_.assign(names_.begin(), names_.end());
    for (size_t i = 0; i < kNodes; ++i) {
      EXPECT_TRUE(ns_.put(names_[i], names_[(i + 1) % kNodes]).ok());
    }
  }

  void rotate(Random& random) {
    const std::lock_guard one_writer(writer_);
    const std::string& a = names_[random() % kNodes];
    const std::string b = ns_.get(a)->to_string();
    const std::string c = ns_.get(b)->to_string();
    const std::string d = ns_.get(c)->to_string();
    // a b c d -> a c b d
    const BatchResult result =
        ns_.set_multiple({{.key = a, .value = c}, {.key = b, .value = d}, {.key = c, .value = b}},
                         BatchMode::kAllOrNothing);
    ASSERT_TRUE(result.is_success()) << result.status.to_string();
  }

  void walk() const {
    const BatchResult all = ns_.get_multiple(views_, BatchMode::kAllOrNothing);
    ASSERT_TRUE(all.is_success()) << all.status.to_string();
    size_t at = 0;
    for (size_t steps = 1; steps <= kNodes; ++steps) {
      at = std::stoul(all.items[at].value->to_string().substr(5));
      ASSERT_EQ(at == 0, steps == kNodes) << "after " << steps << " steps";
    }
  }

 private:
  Namespace ns_;
  std::vector<std::string> names_;
  std::vector<std::string_view> views_;
  std::mutex writer_;
};

TEST(Concurrent, TheRingIsNeverBroken) {
  StorageManager manager;
  ASSERT_TRUE(manager.initialize().ok());
  const Namespace ns = *manager.create_namespace("ring", patient({.shard_count = 8}));
  Ring ring(ns);
  Crew crew;
  for (int i = 0; i < 2; ++i) crew.add([&ring](Random& random) { ring.rotate(random); });
  for (int i = 0; i < 2; ++i) crew.add([&ring](Random&) { ring.walk(); });
  crew.add([&ns](Random& random) { resize_at_random(ns, random); });
  crew.join();
  ring.walk();
}

// --- Whatever is done, the figures agree ---------------------------------------------------------

std::string some_key(Random& random) { return "key" + std::to_string(random() % 64); }
std::string some_value(Random& random) { return std::string(random() % 40, 'v'); }

bool is_expected(StatusCode code, std::initializer_list<StatusCode> expected) {
  return std::find(expected.begin(), expected.end(), code) != expected.end();
}

// One operation, whichever; its outcome must be one of those named, Ok and NotFound aside.
void anything(Namespace ns, Random& random, std::initializer_list<StatusCode> expected) {
  const auto check = [&](const char* what, const Status& status) {
    ASSERT_TRUE(status.ok() || status.code() == StatusCode::kNotFound ||
                is_expected(status.code(), expected))
        << what << ": " << status.to_string();
  };
  const std::string key = some_key(random);
  const std::string value = some_value(random);
  const BatchMode mode = random() % 2 == 0 ? BatchMode::kAllOrNothing : BatchMode::kBestEffort;
  std::vector<std::string> names;
  for (size_t n = random() % 8; n > 0; --n) names.push_back(some_key(random));
  const std::vector<std::string_view> keys(names.begin(), names.end());
  std::vector<KeyValue> items;
  for (const std::string_view name : keys) items.push_back({.key = name, .value = value});
  switch (random() % 14) {
    case 0: return check("get", ns.get(key).status());
    case 1: return check("exists", ns.exists(key).status());
    case 2: return check("set", ns.set(key, value).status());
    case 3:
    case 4: return check("put", ns.put(key, value));
    case 5: return check("update", ns.update(key, value).status());
    case 6: return check("delete_key", ns.delete_key(key).status());
    case 7: return check("consume", ns.consume(key).status());
    case 8: return check("get_multiple", ns.get_multiple(keys, mode).status);
    case 9:
    case 10: return check("set_multiple", ns.set_multiple(items, mode).status);
    case 11: return check("delete_multiple", ns.delete_multiple(keys, mode).status);
    case 12: return check("consume_multiple", ns.consume_multiple(keys, mode).status);
    default: return check("metadata", ns.metadata().status());
  }
}

TEST(Concurrent, FiguresAgreeAtEveryQuietPoint) {
  StorageManager manager;
  ASSERT_TRUE(manager.initialize().ok());
  for (int round = 0; round < 8; ++round) {
    Namespace ns = *manager.create_namespace(
        "mixed " + std::to_string(round),
        patient({.max_keys = round % 2 == 0 ? 0U : 40U, .shard_count = round % 3 == 0 ? 0U : 3U}));
    for (int phase = 0; phase < 2; ++phase) {
      Crew crew(length() / 16);
      for (int i = 0; i < 4; ++i) {
        crew.add([ns](Random& random) { anything(ns, random, {StatusCode::kTooManyKeys}); });
      }
      crew.add([ns](Random& random) { resize_at_random(ns, random); });
      crew.join();
      expect_figures_agree(ns);
    }
    // A limit that is set now counts what is there now.
    const uint64_t keys = ns.metadata()->key_count;
    if (keys > 1) {
      EXPECT_EQ(ns.set_max_keys(keys - 1).code(), StatusCode::kLimitBelowUse);
      ASSERT_TRUE(ns.set_max_keys(keys).ok());
      EXPECT_EQ(ns.put("one more", "").code(), StatusCode::kTooManyKeys);
    }
  }
}

TEST(Concurrent, TheLimitOfKeysIsNeverExceeded) {
  constexpr uint64_t kLimit = 24;
  StorageManager manager;
  ASSERT_TRUE(manager.initialize().ok());
  Namespace ns =
      *manager.create_namespace("limited", patient({.max_keys = kLimit, .shard_count = 4}));
  std::atomic<uint64_t> most{0};
  Crew crew;
  for (int i = 0; i < 3; ++i) {
    crew.add([ns](Random& random) { anything(ns, random, {StatusCode::kTooManyKeys}); });
  }
  for (int i = 0; i < 2; ++i) {
    crew.add([&, ns](Random&) {
      const auto stats = ns.metadata();
      ASSERT_TRUE(stats.ok());
      ASSERT_LE(stats->key_count, kLimit);
      uint64_t before = most.load();
      while (before < stats->key_count && !most.compare_exchange_weak(before, stats->key_count)) {
      }
    });
  }
  // Takes the limit away and sets it again, when that is possible.
  crew.add([ns](Random& random) mutable {
    resize_at_random(ns, random);
    const Status status = ns.set_max_keys(kLimit - random() % 2);
    ASSERT_TRUE(status.ok() || status.code() == StatusCode::kLimitBelowUse);
  });
  crew.join();
  EXPECT_GT(most.load(), kLimit / 2);
  expect_figures_agree(ns);
}

TEST(Concurrent, SixteenThreadsOnFewCores) {
  const TempDir directory;
  StorageManager manager({.config = {}, .directory = directory.path(), .log = {}});
  ASSERT_TRUE(manager.initialize().ok());
  Namespace ns = *manager.create_namespace("crowded", patient({.max_keys = 50, .shard_count = 2}));
  Crew crew;
  for (int i = 0; i < 14; ++i) {
    crew.add([ns](Random& random) { anything(ns, random, {StatusCode::kTooManyKeys}); });
  }
  crew.add([ns](Random& random) { resize_at_random(ns, random); });
  crew.add([&manager](Random&) {
    const Status saved = manager.save_all("crowd.rkvs");
    ASSERT_TRUE(saved.ok()) << saved.to_string();
  });
  crew.join();
  expect_figures_agree(ns);
}

TEST(Concurrent, TimeoutsChangeNothing) {
  // The shortest timeout and far too many threads: some operations may time out, and those that do
  // have done nothing.
  StorageManager manager;
  ASSERT_TRUE(manager.initialize().ok());
  Namespace ns = *manager.create_namespace(
      "hasty", {.max_keys = 40, .shard_count = 1, .lock_timeout = kMinLockTimeout});
  Crew crew(length() / 2);
  for (int i = 0; i < 12; ++i) {
    crew.add([ns](Random& random) {
      anything(ns, random, {StatusCode::kTooManyKeys, StatusCode::kTimeout});
    });
  }
  crew.join();
  ASSERT_TRUE(ns.set_lock_timeout(kMaxLockTimeout).ok());
  expect_figures_agree(ns);
  const uint64_t keys = ns.metadata()->key_count;
  for (uint64_t i = keys; i < 40; ++i) EXPECT_TRUE(ns.put("new " + std::to_string(i), "").ok());
  EXPECT_EQ(ns.put("one more", "").code(), StatusCode::kTooManyKeys);
}

TEST(Concurrent, AutomaticGrowthKeepsEveryKey) {
  constexpr int kWriters = 3;
  constexpr int kKeys = 50'000;  // of each writer; enough for 64 shards
  StorageManager manager;
  ASSERT_TRUE(manager.initialize().ok());
  Namespace ns = *manager.create_namespace("growing", patient());
  const auto key_of = [](int writer, int i) {
    return std::to_string(writer) + '/' + std::to_string(i);
  };
  std::array<std::atomic<int>, kWriters> written{};
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w, handle = ns]() mutable {
      for (int i = 0; i < kKeys; ++i) {
        ASSERT_TRUE(handle.put(key_of(w, i), "x").ok());
        written[static_cast<size_t>(w)].store(i + 1, std::memory_order_release);
      }
    });
  }
  // What is written is there, while the namespace grows under it.
  threads.emplace_back([&, handle = ns] {
    Random random(99);
    for (bool done = false; !done;) {
      done = true;
      for (int w = 0; w < kWriters; ++w) {
        const int known = written[static_cast<size_t>(w)].load(std::memory_order_acquire);
        if (known < kKeys) done = false;
        if (known == 0) continue;
        const std::string key =
            key_of(w, static_cast<int>(random() % static_cast<uint64_t>(known)));
        ASSERT_TRUE(handle.get(key).ok()) << key;
      }
    }
  });
  for (std::thread& thread : threads) thread.join();
  const auto stats = ns.metadata();
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->key_count, uint64_t{kWriters} * kKeys);
  EXPECT_EQ(stats->total_size, uint64_t{kWriters} * kKeys);
  EXPECT_GT(stats->shard_count, 16U);
  for (int w = 0; w < kWriters; ++w) {
    for (int i = 0; i < kKeys; i += 7) ASSERT_TRUE(ns.exists(key_of(w, i)).value_or(false));
  }
}

// --- Who takes what ------------------------------------------------------------------------------

TEST(Concurrent, EveryTokenIsConsumedExactlyOnce) {
  constexpr size_t kSlots = 12;
  StorageManager manager;
  ASSERT_TRUE(manager.initialize().ok());
  Namespace ns = *manager.create_namespace("tokens", patient({.shard_count = 3}));
  std::atomic<uint64_t> next{1};
  std::mutex mutex;
  std::vector<uint64_t> taken;
  const auto take = [&](const Value& value) {
    const std::lock_guard lock(mutex);
    taken.push_back(std::stoull(value.to_string()));
  };
  {
    Crew crew;
    for (int i = 0; i < 2; ++i) {
      // Whatever a set replaces was taken by the one who set.
      crew.add([&, ns](Random& random) mutable {
        const std::string key = "slot " + std::to_string(random() % kSlots);
        const auto old = ns.set(key, std::to_string(next.fetch_add(1)));
        ASSERT_TRUE(old.ok());
        if (old->has_value()) take(**old);
      });
      crew.add([&, ns](Random& random) mutable {
        const auto value = ns.consume("slot " + std::to_string(random() % kSlots));
        if (value.ok()) take(*value);
      });
      crew.add([&, ns](Random& random) mutable {
        const std::string a = "slot " + std::to_string(random() % kSlots);
        const std::string b = "slot " + std::to_string(random() % kSlots);
        const BatchResult both = ns.consume_multiple({a, b}, BatchMode::kAllOrNothing);
        for (const BatchItem& item : both.items) {
          ASSERT_EQ(item.value.has_value(), both.is_success());
          if (item.value) take(*item.value);
        }
      });
    }
    crew.add([ns](Random& random) { resize_at_random(ns, random); });
  }
  const std::vector<std::string> left = *ns.list_keys();
  for (const std::string& key : left) take(*ns.consume(key));
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(std::adjacent_find(taken.begin(), taken.end()), taken.end());
  EXPECT_EQ(taken.size(), next.load() - 1);
}

TEST(Concurrent, ValuesStayWhatTheyWereOnWhateverThread) {
  StorageManager manager;
  ASSERT_TRUE(manager.initialize().ok());
  Namespace ns = *manager.create_namespace("values", patient({.shard_count = 2}));
  // Handles wander from the thread that read them to one that looks at them and drops them.
  std::mutex mutex;
  std::vector<Value> wandering;
  Crew crew;
  for (int i = 0; i < 2; ++i) {
    // Equal sizes, so that put() may write in place: not into what somebody still reads.
    crew.add([ns](Random& random) mutable {
      const std::string key = "key" + std::to_string(random() % 4);
      ASSERT_TRUE(ns.put(key, std::string(100, static_cast<char>('a' + random() % 26))).ok());
    });
    crew.add([&, ns](Random& random) {
      auto value = ns.get("key" + std::to_string(random() % 4));
      if (!value.ok()) return;
      const std::lock_guard lock(mutex);
      if (wandering.size() < 100) wandering.push_back(*std::move(value));
    });
    crew.add([&](Random&) {
      std::vector<Value> mine;
      {
        const std::lock_guard lock(mutex);
        mine.swap(wandering);
      }
      for (const Value& value : mine) {
        ASSERT_EQ(value.size(), 100U);
        ASSERT_EQ(value.view().find_first_not_of(value.view()[0]), std::string_view::npos);
      }
    });
  }
  crew.add([ns](Random& random) mutable {
    ASSERT_TRUE(ns.delete_key("key" + std::to_string(random() % 4)).ok());
    resize_at_random(ns, random);
  });
}

// --- Namespaces come and go ----------------------------------------------------------------------

TEST(Concurrent, NamespacesComeAndGoUnderTheirUsers) {
  const TempDir directory;
  std::vector<Namespace> last_handles;
  std::mutex mutex;
  {
    StorageManager manager(
        {.config = {.max_namespaces = 4}, .directory = directory.path(), .log = {}});
    ASSERT_TRUE(manager.initialize().ok());
    const auto some_name = [](Random& random) { return "ns" + std::to_string(random() % 5); };
    Crew crew;
    for (int i = 0; i < 2; ++i) {
      crew.add([&](Random& random) {
        const auto created = manager.create_namespace(
            some_name(random), patient({.shard_count = static_cast<uint32_t>(random() % 4)}));
        ASSERT_TRUE(created.ok() || created.code() == StatusCode::kNamespaceExists ||
                    created.code() == StatusCode::kTooManyNamespaces)
            << created.status().to_string();
        std::this_thread::sleep_for(100us);
        const Status removed = manager.delete_namespace(some_name(random));
        ASSERT_TRUE(removed.ok() || removed.code() == StatusCode::kNamespaceNotFound);
      });
    }
    for (int i = 0; i < 3; ++i) {
      crew.add([&](Random& random) {
        const auto found = manager.get_namespace(some_name(random));
        ASSERT_TRUE(found.ok() || found.code() == StatusCode::kNamespaceNotFound);
        if (!found.ok()) return;
        std::optional<Value> kept;
        for (int n = 0; n < 20; ++n) {
          anything(*found, random, {StatusCode::kNamespaceDeleted});
          auto value = found->get(some_key(random));
          if (value.ok()) kept = *std::move(value);
        }
        if (kept) {
          ASSERT_EQ(kept->view().find_first_not_of('v'), std::string_view::npos);
        }
        const std::lock_guard lock(mutex);
        if (last_handles.size() < 64) last_handles.push_back(*found);
      });
    }
    // Once a namespace is deleted nothing can be done to it any more.
    crew.add([&](Random& random) {
      auto found = manager.get_namespace(some_name(random));
      if (!found.ok()) return;
      std::atomic<bool> deleted{false};
      std::thread user([&, handle = *found]() mutable {
        for (;;) {
          const bool was_deleted = deleted.load();
          const StatusCode code = handle.put("late", "vv").code();
          ASSERT_TRUE(code == StatusCode::kNamespaceDeleted ||
                      (!was_deleted && code == StatusCode::kOk))
              << status_code_name(code);
          if (was_deleted) return;
        }
      });
      // Another thread may be the one that deletes this one, and then a later one of that name.
      while (found->metadata().ok()) {
        static_cast<void>(manager.delete_namespace(found->name()).ok());
      }
      deleted.store(true);
      user.join();
    });
    crew.add([&](Random&) {
      const Status saved = manager.save_all("all.rkvs");
      ASSERT_TRUE(saved.ok()) << saved.to_string();
      const auto stats = manager.all_namespace_stats();
      ASSERT_TRUE(stats.ok());
      ASSERT_LE(stats->size(), 5U);
      const auto count = manager.namespace_count();
      ASSERT_TRUE(count.ok());
      ASSERT_LE(*count, 4U);
    });
    crew.join();
    const std::vector<std::string> names = *manager.list_namespaces();
    for (const std::string& name : names) expect_figures_agree(*manager.get_namespace(name));
    ASSERT_TRUE(manager.save_all("all.rkvs").ok());

    StorageManager other({.config = {}, .directory = directory.path(), .log = {}});
    ASSERT_TRUE(other.initialize("all.rkvs").ok());
    EXPECT_EQ(*other.list_namespaces(), names);
    for (const std::string& name : names) {
      const Namespace loaded = *other.get_namespace(name);
      expect_figures_agree(loaded);
      EXPECT_EQ(loaded.metadata()->key_count, manager.namespace_stats(name)->key_count);
    }
  }
  for (Namespace& handle : last_handles) {
    const StatusCode code = handle.put("key", "value").code();
    EXPECT_TRUE(code == StatusCode::kNamespaceDeleted || code == StatusCode::kClosed);
    EXPECT_EQ(handle.get("key").code(), code);
    EXPECT_EQ(handle.set_multiple({}, BatchMode::kAllOrNothing).status.code(), code);
  }
}

}  // namespace
}  // namespace rkvs
