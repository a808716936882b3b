// Moving to another number of shards, asked for or automatic, alone and under load.
#include "store/resizer.h"

#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "tests/support/namespace_util.h"

namespace rkvs::internal {
namespace {

using testing::count_of;
using testing::HashedTest;
using testing::is_ok;
using testing::make_namespace;
using testing::numbered;
using testing::scaled_down;
using testing::sorted_keys;
using testing::stats_of;
using testing::StopAtExit;
using testing::Threads;
using testing::value_of;

Resizer& resizer_of(const Namespace& ns) { return NamespaceImpl::of(ns).resizer(); }

NamespaceConfig with_shards(uint32_t shard_count) {
  NamespaceConfig config = testing::patient();
  config.shard_count = shard_count;
  return config;
}

std::vector<std::string> fill(Namespace& ns, int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) {
    keys.push_back(numbered("key", i));
    EXPECT_TRUE(is_ok(ns.put(keys.back(), numbered("value", i))));
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

// Every key is where it can be found, once, and the figures agree.
void expect_whole(const Namespace& ns, const std::vector<std::string>& keys) {
  uint64_t bytes = 0;
  for (const std::string& key : keys) {
    const std::string value = value_of(ns, key);
    ASSERT_EQ(value, "value" + key.substr(3)) << key;
    bytes += value.size();
  }
  ASSERT_EQ(sorted_keys(ns), keys);
  EXPECT_EQ(stats_of(ns).key_count, keys.size());
  EXPECT_EQ(stats_of(ns).total_size, bytes);
  const auto counts = ns.shard_key_counts();
  ASSERT_TRUE(is_ok(counts));
  EXPECT_EQ(std::accumulate(counts->begin(), counts->end(), uint64_t{0}), keys.size());
}

// Puts an absent key in its shard as the store does, without helping a resize that is on.
void insert_without_help(Namespace& ns, std::string_view key, std::string_view value) {
  ShardSet& set = NamespaceImpl::of(ns).shards();
  const HashedKey hashed = set.hashed(key);
  Deadline never = Deadline::never();
  for (;;) {
    OwnerLock<Access::kWrite> lock(set, hashed, never);
    Shard& shard = lock.shard();
    shard.mutex.assert_held();
    const size_t spare = shard.spare_needed(1);
    if (spare == 0 || TableMemory::has_spare(spare)) {
      shard.make_room(1);
      shard.insert(hashed.hash, Entry::create(key, value));
      break;
    }
    lock.unlock();
    ASSERT_TRUE(TableMemory::add_spare(spare));
  }
  TableMemory::free_dropped();
}

class ResizeTest : public HashedTest {};
INSTANTIATE_TEST_SUITE_P(Hashes, ResizeTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

TEST_P(ResizeTest, D20_KeepsEveryKeyUpAndDown) {
  Namespace ns = make(with_shards(4));
  const auto keys = fill(ns, key_count(5000));
  for (const uint32_t count : {5U, 16U, 1U, 2U, 4096U, 100U, 1U, 64U, 63U, 64U}) {
    ASSERT_TRUE(is_ok(ns.resize_shards(count)));
    EXPECT_EQ(ns.get_config().shard_count, count);
    EXPECT_EQ(stats_of(ns).shard_count, count);
    EXPECT_EQ(ns.shard_key_counts()->size(), count);
    ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys));
  }
  for (const std::string& key : keys) ASSERT_TRUE(*ns.delete_key(key));
  EXPECT_EQ(count_of(ns), 0U);
}

TEST_P(ResizeTest, OfAnEmptyNamespaceWorks) {
  Namespace ns = make(with_shards(1));
  for (const uint32_t count : {4096U, 1U, 7U}) ASSERT_TRUE(is_ok(ns.resize_shards(count)));
  EXPECT_TRUE(is_ok(ns.put("k", "v")));
  EXPECT_EQ(value_of(ns, "k"), "v");
}

TEST_P(ResizeTest, KeepsVersionsAndNeverGivesOneTwice) {
  Namespace ns = make(with_shards(3));
  const auto keys = fill(ns, 500);
  ShardSet& set = NamespaceImpl::of(ns).shards();
  const auto version_of = [&](const std::string& key) {
    Deadline never = Deadline::never();
    const HashedKey hashed = set.hashed(key);
    const OwnerLock<Access::kRead> lock(set, hashed, never);
    lock.shard().mutex.assert_held_shared();
    const Entry* entry = lock.shard().find(hashed);
    return entry == nullptr ? uint64_t{0} : entry->version();
  };
  std::map<std::string, uint64_t> versions;
  for (const std::string& key : keys) versions[key] = version_of(key);
  for (const uint32_t count : {9U, 2U, 5U}) {
    ASSERT_TRUE(is_ok(ns.resize_shards(count)));
    for (const std::string& key : keys) ASSERT_EQ(version_of(key), versions[key]);
    for (size_t i = 0; i < keys.size(); i += 3) {
      // Also over a delete: the version only grows.
      if (i % 2 == 0) {
        ASSERT_TRUE(*ns.delete_key(keys[i]));
      }
      ASSERT_TRUE(is_ok(ns.put(keys[i], "value" + keys[i].substr(3))));
      ASSERT_GT(version_of(keys[i]), versions[keys[i]]);
      versions[keys[i]] = version_of(keys[i]);
    }
  }
}

TEST_P(ResizeTest, ValuesThatAreHeldStayWhereTheyAre) {
  Namespace ns = make(with_shards(2));
  const auto keys = fill(ns, 300);
  std::vector<Value> values;
  for (const std::string& key : keys) values.push_back(*ns.get(key));
  ASSERT_TRUE(is_ok(ns.resize_shards(31)));
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(ns.get(keys[i])->data(), values[i].data()) << "references move, not bytes";
  }
}

TEST_P(ResizeTest, CountsAgainstMaxKeysStayRight) {
  NamespaceConfig config = with_shards(2);
  config.max_keys = 101;
  Namespace ns = make(config);
  fill(ns, 100);
  for (const uint32_t count : {8U, 3U}) ASSERT_TRUE(is_ok(ns.resize_shards(count)));
  EXPECT_TRUE(is_ok(ns.put("one", "v")));
  EXPECT_EQ(ns.put("two", "v").code(), StatusCode::kTooManyKeys);
}

TEST_P(ResizeTest, WithoutMemoryLosesNothingAndCanBeDoneAgain) {
  for (const uint32_t to : {11U, 2U}) {
    bool failed = true;
    int failures = 0;
    for (int n = 1; failed && n < 200; n += 1 + n / 8) {
      Namespace ns = make(with_shards(5));
      const auto keys = fill(ns, 600);
      Status status;
      testing::on_fresh_thread([&] {
        Arena::fail_nth_allocation_for_testing(n);
        status = ns.resize_shards(to);
        Arena::fail_nth_allocation_for_testing(0);
      });
      failed = !status.ok();
      if (failed) {
        ++failures;
        EXPECT_EQ(status.code(), StatusCode::kNoMemory);
      }
      ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys)) << "allocation " << n;
      ASSERT_TRUE(is_ok(ns.resize_shards(to)));
      ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys));
      EXPECT_EQ(ns.shard_key_counts()->size(), to);
    }
    EXPECT_FALSE(failed) << "no run without a failure";
    EXPECT_GT(failures, 0) << "no run with a failure";
  }
}

TEST_P(ResizeTest, LongJournalLosesNothing) {
  // The first step lists what leaves the first shard; then far more comes in than a journal holds.
  Namespace ns = make();
  std::vector<std::string> keys;
  const auto add = [&](int from, int to) {
    for (int i = from; i < to; ++i) {
      keys.push_back(numbered("key", i));
      insert_without_help(ns, keys.back(), numbered("value", i));
    }
  };
  const bool weak = GetParam() == testing::HashStrength::kWeak;
  add(0, 200);
  resizer_of(ns).help();
  const auto& routing = NamespaceImpl::of(ns).shards().routing();
  ASSERT_FALSE(Routing::is_settled(routing.generation()));
  add(200, weak ? 2000 : 100000);
  if (!weak) {
    Shard& shard = NamespaceImpl::of(ns).shards()[0];
    const WriterLock lock(shard.mutex);
    std::vector<uint64_t> journal;
    EXPECT_TRUE(shard.swap_journal(journal));
    EXPECT_GT(journal.size(), 4000U) << "the test does not do what it is for";
    EXPECT_TRUE(shard.swap_journal(journal));
  }
  // Some that were listed go, some of those come again: now listed and in the journal.
  for (int i = 0; i < 200; i += 2) ASSERT_TRUE(*ns.delete_key(numbered("key", i)));
  for (int i = 0; i < 200; i += 2) {
    insert_without_help(ns, numbered("key", i), numbered("value", i));
  }
  std::sort(keys.begin(), keys.end());
  ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys));
  while (!Routing::is_settled(routing.generation())) resizer_of(ns).help();
  EXPECT_EQ(routing.shard_count(), 64U);
  ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys));
}

TEST_P(ResizeTest, FloodOfInsertsAtAnyPointOfAMoveLosesNothing) {
  // Whatever the resize has got to do next: a shard gets many more entries than it had, and some
  // that the resize knows of go and come back.
  const bool weak = GetParam() == testing::HashStrength::kWeak;
  for (const int steps : {1, 2, 3, 5, 10, 100}) {
    Namespace ns = make();
    std::vector<std::string> keys;
    const auto add = [&](int from, int to) {
      for (int i = from; i < to; ++i) {
        keys.push_back(numbered("key", i));
        insert_without_help(ns, keys.back(), numbered("value", i));
      }
    };
    add(0, weak ? 200 : 2000);
    const auto& routing = NamespaceImpl::of(ns).shards().routing();
    for (int i = 0; i < steps; ++i) resizer_of(ns).help();
    ASSERT_FALSE(Routing::is_settled(routing.generation()));
    add(weak ? 200 : 2000, weak ? 800 : 8000);
    for (int i = 0; i < 200; i += 2) ASSERT_TRUE(*ns.delete_key(numbered("key", i)));
    for (int i = 0; i < 200; i += 2) {
      insert_without_help(ns, numbered("key", i), numbered("value", i));
    }
    std::sort(keys.begin(), keys.end());
    ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys)) << "after " << steps << " steps";
    while (!Routing::is_settled(routing.generation())) resizer_of(ns).help();
    EXPECT_EQ(routing.shard_count(), 64U);
    ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys)) << "after " << steps << " steps";
  }
}

TEST_P(ResizeTest, EveryStepOfAMoveLeavesEveryKeyInItsPlace) {
  Namespace ns = make();
  std::vector<std::string> keys;
  for (int i = 0; i < 1500; ++i) keys.push_back(numbered("key", i));
  for (const std::string& key : keys) insert_without_help(ns, key, "value" + key.substr(3));
  const auto& routing = NamespaceImpl::of(ns).shards().routing();
  std::sort(keys.begin(), keys.end());
  int steps = 0;
  do {
    resizer_of(ns).help();
    ++steps;
    const size_t i = static_cast<size_t>(steps) * 7 % keys.size();
    ASSERT_EQ(value_of(ns, keys[i]), "value" + keys[i].substr(3));
    if (steps % scaled_down(500, 1) == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys));
    }
  } while (!Routing::is_settled(routing.generation()));
  EXPECT_GT(steps, 100) << "steps are small";
  ASSERT_NO_FATAL_FAILURE(expect_whole(ns, keys));
}

TEST(Resize, ToTheSameCountFixesIt) {
  Namespace ns = make_namespace();
  const auto keys = fill(ns, 100);
  const auto count = static_cast<uint32_t>(ns.shard_key_counts()->size());
  EXPECT_TRUE(resizer_of(ns).is_automatic());
  ASSERT_TRUE(is_ok(ns.resize_shards(count)));
  EXPECT_EQ(ns.get_config().shard_count, count);
  EXPECT_FALSE(resizer_of(ns).is_automatic());
  ASSERT_TRUE(is_ok(ns.resize_shards(count)));
  expect_whole(ns, keys);
  ASSERT_TRUE(is_ok(ns.resize_shards(0)));
  EXPECT_EQ(ns.get_config().shard_count, 0U);
  EXPECT_TRUE(resizer_of(ns).is_automatic());
  expect_whole(ns, keys);
}

TEST(Resize, SecondOneAtATimeIsBusy) {
  Namespace ns = make_namespace(with_shards(4));
  const auto keys = fill(ns, 100);
  ASSERT_TRUE(resizer_of(ns).claim());
  const Status busy = ns.resize_shards(8);
  EXPECT_EQ(busy.code(), StatusCode::kBusy);
  EXPECT_NE(busy.message().find("test"), std::string_view::npos) << busy.to_string();
  NamespaceConfig config = ns.get_config();
  config.max_keys = 1000;
  EXPECT_EQ(ns.update_config(config).code(), StatusCode::kBusy);
  EXPECT_EQ(ns.get_config().max_keys, 0U) << "refused as a whole";
  EXPECT_TRUE(is_ok(ns.set_max_keys(500))) << "needs no resize";
  resizer_of(ns).unclaim();
  EXPECT_TRUE(is_ok(ns.resize_shards(8)));
  expect_whole(ns, keys);
}

TEST(Resize, ManyAtATimeAreDoneOrBusy) {
  Namespace ns = make_namespace();
  const auto keys = fill(ns, 2000);
  std::atomic<int> done{0};
  Threads threads;
  threads.start(4, [&](int thread) {
    for (int i = 0; i < 10; ++i) {
      const Status status = ns.resize_shards(static_cast<uint32_t>(1 + (i * 4 + thread) % 30));
      if (status.ok()) {
        done.fetch_add(1);
      } else {
        EXPECT_EQ(status.code(), StatusCode::kBusy) << status.to_string();
      }
    }
  });
  threads.join();
  EXPECT_GT(done.load(), 0);
  EXPECT_EQ(ns.shard_key_counts()->size(), ns.get_config().shard_count);
  expect_whole(ns, keys);
}

TEST(Resize, FailedForWantOfMemoryIsInForceAndGoesOnWithLaterInserts) {
  Namespace ns = make_namespace();
  fill(ns, 3000);
  Status status;
  testing::on_fresh_thread([&] {
    Arena::fail_nth_allocation_for_testing(1);
    status = ns.resize_shards(3);
    Arena::fail_nth_allocation_for_testing(0);
  });
  ASSERT_EQ(status.code(), StatusCode::kNoMemory);
  // The move had begun: this is what the namespace is on the way to.
  EXPECT_EQ(ns.get_config().shard_count, 3U);
  EXPECT_FALSE(resizer_of(ns).is_automatic());
  const auto& routing = NamespaceImpl::of(ns).shards().routing();
  for (int i = 0; !Routing::is_settled(routing.generation()); ++i) {
    ASSERT_LT(i, 1'000'000);
    ASSERT_TRUE(ns.put("more" + std::to_string(i), "v").ok());
  }
  EXPECT_EQ(ns.shard_key_counts()->size(), 3U);
}

TEST(Resize, D33_EndsWhenTheNamespaceIsClosed) {
  for (int round = 0; round < scaled_down(20); ++round) {
    Namespace ns = make_namespace();
    fill(ns, 3000);
    std::atomic<int> resizes{0};
    Threads threads;
    threads.start([&] {
      for (uint32_t i = 0;; ++i) {
        const Status status = ns.resize_shards(1 + i % 50);
        resizes.fetch_add(1);
        if (status.ok()) continue;
        EXPECT_EQ(status.code(), StatusCode::kNamespaceDeleted) << status.to_string();
        break;
      }
    });
    while (resizes < 1 + round % 3) std::this_thread::yield();
    NamespaceImpl::of(ns).close(StatusCode::kNamespaceDeleted);
    threads.join();
    EXPECT_EQ(ns.get("key1").code(), StatusCode::kNamespaceDeleted);
  }
}

// --- Under load ----------------------------------------------------------------------------------

TEST_P(ResizeTest, D19_D21_NoOperationFailsMissesOrIsLostWhileShardsChange) {
  Namespace ns = make();
  const auto stable = fill(ns, key_count(scaled_down(4000)));
  constexpr int kWriters = 2;
  const int own = GetParam() == testing::HashStrength::kWeak ? 100 : 400;
  std::atomic<bool> stop{false};
  std::atomic<int> resizes{0};
  std::vector<std::map<std::string, std::string>> models(kWriters);
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  // Readers: a key that stays is always there, alone and in batches.
  threads.start([&] {
    for (size_t i = 0; !stop; ++i) {
      const std::string& key = stable[i * 31 % stable.size()];
      ASSERT_EQ(value_of(ns, key), "value" + key.substr(3));
      const auto result =
          ns.get_multiple({stable[i % stable.size()], stable[(i + 7) % stable.size()], key},
                          i % 2 == 0 ? BatchMode::kAllOrNothing : BatchMode::kBestEffort);
      ASSERT_TRUE(result.is_success()) << result.status.to_string();
      ASSERT_TRUE(*ns.exists(key));
    }
  });
  // Writers: each has keys of its own and knows what each of them holds.
  threads.start(kWriters, [&](int thread) {
    auto& model = models[static_cast<size_t>(thread)];
    for (int i = 0; !stop; ++i) {
      const std::string key = numbered(thread == 0 ? "x" : "y", (i * 17) % own);
      const std::string other = numbered(thread == 0 ? "x" : "y", (i * 23 + 5) % own);
      const std::string value = std::to_string(i);
      const auto known = model.find(key);
      switch (i % 5) {
        case 0: {
          const auto old = ns.set(key, value);
          ASSERT_TRUE(is_ok(old));
          ASSERT_EQ(old->has_value(), known != model.end()) << key;
          if (old->has_value()) {
            ASSERT_EQ((*old)->view(), known->second);
          }
          model[key] = value;
          break;
        }
        case 1: {
          const auto old = ns.consume(key);
          ASSERT_EQ(old.ok(), known != model.end()) << old.status().to_string();
          if (old.ok()) {
            ASSERT_EQ(old->view(), known->second);
            model.erase(known);
          }
          break;
        }
        case 2: {
          const auto result =
              ns.set_multiple({{key, value}, {other, value}}, BatchMode::kAllOrNothing);
          ASSERT_TRUE(result.is_success()) << result.status.to_string();
          ASSERT_EQ(result.items[0].value.has_value(), known != model.end());
          model[key] = value;
          model[other] = value;
          break;
        }
        case 3: {
          const auto result = ns.delete_multiple({key}, BatchMode::kBestEffort);
          ASSERT_EQ(result.is_success(), known != model.end());
          model.erase(key);
          break;
        }
        default:
          ASSERT_EQ(value_of(ns, key), known == model.end() ? "<NotFound>" : known->second);
          ASSERT_TRUE(is_ok(ns.put(key, value)));
          model[key] = value;
      }
    }
  });
  for (int i = 0; i < scaled_down(40, 4); ++i) {
    const uint32_t counts[] = {1, 64, 3, 16, 200, 5};
    const Status status = ns.resize_shards(counts[i % 6]);
    ASSERT_TRUE(is_ok(status));
    resizes.fetch_add(1);
  }
  stop = true;
  threads.join();
  std::vector<std::string> expected = stable;
  for (const auto& model : models) {
    for (const auto& [key, value] : model) {
      EXPECT_EQ(value_of(ns, key), value);
      expected.push_back(key);
    }
  }
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(sorted_keys(ns), expected);
  EXPECT_EQ(count_of(ns), expected.size());
  testing::expect_all_locks_free(ns);
}

TEST(Resize, D22_D23_BatchesAreWholeWhileShardsChange) {
  // Transfers between accounts: the sum that an all-or-nothing get sees never changes, and pairs
  // that are always written together are always read alike.
  constexpr int kAccounts = 24;
  constexpr int kStart = 1000;
  Namespace ns = make_namespace();
  std::vector<std::string> names;
  for (int i = 0; i < kAccounts; ++i) names.push_back(numbered("account", i));
  for (const std::string& name : names) {
    ASSERT_TRUE(is_ok(ns.put(name, std::to_string(kStart))));
  }
  ASSERT_TRUE(
      ns.set_multiple({{"left", "0"}, {"right", "0"}}, BatchMode::kAllOrNothing).is_success());
  const std::vector<std::string_view> views(names.begin(), names.end());
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> sums{0};
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  threads.start(2, [&](int) {
    while (!stop) {
      const auto all = ns.get_multiple(views, BatchMode::kAllOrNothing);
      ASSERT_TRUE(all.is_success()) << all.status.to_string();
      int sum = 0;
      for (const BatchItem& item : all.items) sum += std::stoi(item.value->to_string());
      if (sum != kAccounts * kStart) wrong.fetch_add(1);
      const auto pair = ns.get_multiple({"right", "left"}, BatchMode::kAllOrNothing);
      ASSERT_TRUE(pair.is_success());
      if (!(*pair.items[0].value == *pair.items[1].value)) wrong.fetch_add(1);
      sums.fetch_add(1);
    }
  });
  threads.start([&] {
    // The only one that transfers, so that reading and writing need not be one instant.
    for (int i = 0; !stop; ++i) {
      const std::string& from = names[static_cast<size_t>(i * 7 % kAccounts)];
      const std::string& to = names[static_cast<size_t>((i * 11 + 5) % kAccounts)];
      if (from == to) continue;
      const int a = std::stoi(value_of(ns, from)) - 1;
      const int b = std::stoi(value_of(ns, to)) + 1;
      ASSERT_TRUE(ns.set_multiple({{from, std::to_string(a)}, {to, std::to_string(b)}},
                                  BatchMode::kAllOrNothing)
                      .is_success());
    }
  });
  threads.start([&] {
    for (int i = 0; !stop; ++i) {
      const std::string value = std::to_string(i);
      ASSERT_TRUE(ns.set_multiple({{"left", value}, {"right", value}}, BatchMode::kAllOrNothing)
                      .is_success());
    }
  });
  for (int i = 0; (i < scaled_down(60, 4) || sums < 100) && !HasFailure(); ++i) {
    ASSERT_TRUE(is_ok(ns.resize_shards(static_cast<uint32_t>(1 + i * 5 % 37))));
  }
  stop = true;
  threads.join();
  EXPECT_EQ(wrong.load(), 0);
}

// --- Automatic -----------------------------------------------------------------------------------

TEST(AutomaticShards, D37_GrowWithTheDataSoThatNoShardGetsLarge) {
  Namespace ns = make_namespace();
  const uint32_t start = stats_of(ns).shard_count;
  EXPECT_LE(start, 16U);
  const int count = 300000 * testing::test_scale();
  uint64_t largest = 0;
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(is_ok(ns.put(numbered("key", i), "v")));
    if (i % 2000 != 0) continue;
    const auto counts = ns.shard_key_counts();
    ASSERT_TRUE(is_ok(counts));
    largest = std::max(largest, *std::max_element(counts->begin(), counts->end()));
  }
  EXPECT_LE(largest, 8000U);
  EXPECT_GE(stats_of(ns).shard_count, static_cast<uint32_t>(count / 8000));
  EXPECT_EQ(count_of(ns), static_cast<uint64_t>(count));
  EXPECT_EQ(ns.get_config().shard_count, 0U);
  for (int i = 0; i < count; i += 7) ASSERT_EQ(value_of(ns, numbered("key", i)), "v");
}

TEST(AutomaticShards, D37_GrowUnderBatchesToo) {
  for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
    Namespace ns = make_namespace();
    constexpr int kBatch = 1000;
    constexpr int kBatches = 150;
    uint64_t largest = 0;
    for (int batch = 0; batch < kBatches; ++batch) {
      std::vector<std::string> keys;
      for (int i = 0; i < kBatch; ++i) keys.push_back(numbered("key", batch * kBatch + i));
      std::vector<KeyValue> items;
      for (const std::string& key : keys) items.push_back({key, key});
      ASSERT_TRUE(ns.set_multiple(items, mode).is_success());
      const auto counts = ns.shard_key_counts();
      largest = std::max(largest, *std::max_element(counts->begin(), counts->end()));
    }
    EXPECT_LE(largest, 8000U);
    EXPECT_GE(stats_of(ns).shard_count, 64U);
    EXPECT_EQ(sorted_keys(ns).size(), static_cast<size_t>(kBatch * kBatches));
  }
}

TEST(AutomaticShards, D37_GrowUnderManyWritersAndReaders) {
  Namespace ns = make_namespace();
  const auto stable = fill(ns, 2000);
  const int each = scaled_down(40000, 1);
  std::atomic<bool> stop{false};
  Threads readers;
  const StopAtExit stop_at_exit(stop);
  readers.start([&] {
    for (size_t i = 0; !stop; ++i) {
      const std::string& key = stable[i * 31 % stable.size()];
      ASSERT_EQ(value_of(ns, key), "value" + key.substr(3));
    }
  });
  Threads writers;
  writers.start(4, [&](int thread) {
    for (int i = 0; i < each; ++i) {
      const auto old = ns.set(numbered(numbered("w", thread) + "/", i), "v");
      ASSERT_TRUE(is_ok(old));
      ASSERT_FALSE(old->has_value());
    }
  });
  writers.join();
  stop = true;
  readers.join();
  EXPECT_EQ(count_of(ns), stable.size() + 4 * static_cast<size_t>(each));
  EXPECT_EQ(ns.list_keys()->size(), stable.size() + 4 * static_cast<size_t>(each));
  const auto counts = ns.shard_key_counts();
  EXPECT_LE(*std::max_element(counts->begin(), counts->end()), 8000U);
}

TEST(AutomaticShards, GivenCountStaysAsGiven) {
  Namespace ns = make_namespace(with_shards(2));
  for (int i = 0; i < 30000; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("key", i), "v")));
  EXPECT_EQ(stats_of(ns).shard_count, 2U);
  // Made automatic, it grows with the next writes.
  ASSERT_TRUE(is_ok(ns.resize_shards(0)));
  for (int i = 30000; i < 60000; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("key", i), "v")));
  EXPECT_GE(stats_of(ns).shard_count, 16U);
  EXPECT_EQ(count_of(ns), 60000U);
}

TEST(AutomaticShards, ExpectedKeysAreRoomFromTheStart) {
  Namespace ns =
      make_namespace(testing::patient(), testing::key_hash(testing::HashStrength::kFull), 200000);
  const uint32_t start = stats_of(ns).shard_count;
  EXPECT_GE(start, 200000U / 8000);
  for (int i = 0; i < 200000; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("key", i), "v")));
  EXPECT_EQ(stats_of(ns).shard_count, start) << "no resize on the way";
}

TEST(AutomaticShards, GrowthWithoutMemoryFailsNoWriteThatCanBeDone) {
  // Every so often an allocation fails: the write that needed it says NoMemory and has changed
  // nothing, or it was only the growth's, and nobody notices.
  Namespace ns = make_namespace();
  std::vector<bool> stored;
  const int count = scaled_down(130000, 1);
  for (int i = 0; i < count; ++i) {
    if (i % 50 == 0) Arena::fail_nth_allocation_for_testing(1 + i / 50 % 3);
    const Status status = ns.put(numbered("key", i), "v");
    if (!status.ok()) {
      ASSERT_EQ(status.code(), StatusCode::kNoMemory) << status.to_string();
    }
    stored.push_back(status.ok());
  }
  Arena::fail_nth_allocation_for_testing(0);
  uint64_t expected = 0;
  for (int i = 0; i < count; ++i) {
    const bool is_stored = stored[static_cast<size_t>(i)];
    expected += is_stored ? 1 : 0;
    ASSERT_EQ(*ns.exists(numbered("key", i)), is_stored) << i;
  }
  EXPECT_LT(expected, static_cast<uint64_t>(count));
  EXPECT_EQ(count_of(ns), expected);
  EXPECT_GE(stats_of(ns).shard_count, 64U);
}

}  // namespace
}  // namespace rkvs::internal
