// max_bytes of all namespaces together, counters, and expiries through saves, loads and clones.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "manager/manager_impl.h"
#include "store/namespace_image.h"
#include "tests/manager/manager_test_util.h"
#include "tests/support/manual_time.h"

namespace rkvs::manager_test {
namespace {

using internal::ManagerImpl;
using internal::NamespaceImpl;
using namespace std::chrono_literals;  // NOLINT

// --- max_bytes -----------------------------------------------------------------------------------

uint64_t memory_of_all(const StorageManager& manager) {
  uint64_t bytes = 0;
  for (const NamespaceStats& stats : *manager.all_namespace_stats()) bytes += stats.memory_bytes;
  return bytes;
}

// Writes until it is refused.
Status fill_up(Namespace ns, const std::string& prefix) {
  for (int i = 0;; ++i) {
    if (Status s = ns.put(prefix + std::to_string(i), std::string(200, 'v')); !s.ok()) return s;
  }
}

TEST(ManagerMaxBytes, IsOneLimitForAllNamespaces) {
  constexpr uint64_t kLimit = 1 << 20;
  StorageManager manager({.config = {.max_bytes = kLimit}});
  ASSERT_OK(manager.initialize());
  Namespace a = *manager.create_namespace("a");
  Namespace b = *manager.create_namespace("b");
  const Status full = fill_up(a, "k");
  EXPECT_CODE(full, kMemoryLimit);
  EXPECT_NE(full.message().find("manager"), std::string_view::npos) << full.message();
  EXPECT_CODE(b.put("k", std::string(10000, 'v')), kMemoryLimit);
  EXPECT_LE(memory_of_all(manager), kLimit);
  EXPECT_GT(memory_of_all(manager), kLimit * 9 / 10);
  EXPECT_CODE(manager.clone_namespace("a", "c"), kMemoryLimit);
  EXPECT_OK(a.get("k0"));
  ASSERT_OK(manager.delete_namespace("a"));
  EXPECT_OK(b.put("k", std::string(10000, 'v'))) << "what is deleted gives its room to others";
  EXPECT_CODE(fill_up(b, "k"), kMemoryLimit);
  EXPECT_GT(memory_of_all(manager), kLimit * 9 / 10);
}

TEST(ManagerMaxBytes, CanBeChangedWhileNamespacesAreInUse) {
  StorageManager manager;
  ASSERT_OK(manager.initialize());
  Namespace a = *manager.create_namespace("a");
  Namespace b = *manager.create_namespace("b");
  for (int i = 0; i < 1000; ++i) ASSERT_OK(a.put(std::to_string(i), std::string(100, 'v')));
  const uint64_t now = memory_of_all(manager);
  EXPECT_CODE(manager.update_config({.max_bytes = now - 1}), kLimitBelowUse);
  EXPECT_EQ(manager.get_config().max_bytes, std::optional<uint64_t>(0));
  ASSERT_OK(manager.update_config({.max_bytes = now + 1000}));
  EXPECT_CODE(b.put("k", std::string(5000, 'v')), kMemoryLimit);
  ASSERT_OK(manager.update_config({.max_bytes = now + 100000}));
  EXPECT_OK(b.put("k", std::string(5000, 'v')));
  ASSERT_OK(manager.update_config({}));
  EXPECT_OK(b.put("l", std::string(1 << 20, 'v')));
}

TEST(ManagerMaxBytes, ComesFromTheFileWhereTheProgramSaysNothing) {
  TempDir directory;
  {
    StorageManager manager = manager_in(directory, {.max_bytes = 1 << 20});
    ASSERT_OK(manager.initialize());
    Namespace ns = *manager.create_namespace("n", {.max_bytes = 1 << 19});
    ASSERT_OK(ns.put("k", "v"));
    ASSERT_OK(manager.save_all("s.rkvs"));
  }
  StorageManager same = manager_in(directory);
  ASSERT_OK(same.initialize("s.rkvs"));
  EXPECT_EQ(same.get_config().max_bytes, std::optional<uint64_t>(1 << 20));
  Namespace ns = find(same, "n");
  EXPECT_EQ(ns.get_config().max_bytes, uint64_t{1} << 19);
  EXPECT_CODE(fill_up(ns, "k"), kMemoryLimit);
  EXPECT_LE(ns.metadata()->memory_bytes, uint64_t{1} << 19);
  // What was filled to the limit comes back, whatever the tables take here.
  EXPECT_OK(same.save_all("full.rkvs"));
  StorageManager again = manager_in(directory);
  EXPECT_OK(again.initialize("full.rkvs"));
  EXPECT_EQ(*again.total_key_count(), *same.total_key_count());
  StorageManager other = manager_in(directory, {.max_bytes = 100});
  EXPECT_CODE(other.initialize("full.rkvs"), kMemoryLimit);
}

TEST(ManagerMaxBytes, WhatHasExpiredElsewhereIsNoReasonToRefuse) {
  testing::ManualTime time;
  ManagerImpl manager({.config = {.max_bytes = 1 << 20}}, internal::FileSystem::posix(),
                      internal::AutosaveClock::real(), time);
  ASSERT_OK(manager.initialize(std::nullopt));
  Namespace a = NamespaceImpl::handle(*manager.create("a", {}));
  Namespace b = NamespaceImpl::handle(*manager.create("b", {}));
  for (int i = 0; a.put(std::to_string(i), std::string(5000, 'v'), {.expire_after = 10s}).ok();)
    ++i;
  EXPECT_CODE(b.put("k", std::string(50000, 'v')), kMemoryLimit);
  time.advance(10s);
  EXPECT_OK(b.put("k", std::string(50000, 'v')));
}

TEST(ManagerMaxBytes, NobodyWaitsForAChangeThatWaitsForAShard) {
  StorageManager manager;
  ASSERT_OK(manager.initialize());
  Namespace a = *manager.create_namespace("a", {.lock_timeout = 1h});
  std::thread updater;
  {
    const internal::WriterLock held(NamespaceImpl::of(a).shards()[0].mutex);
    updater = std::thread([&] { EXPECT_OK(manager.update_config({.max_bytes = 1 << 30})); });
    std::this_thread::sleep_for(20ms);  // so that it has most probably come to the shard
    EXPECT_OK(manager.get_namespace("a"));
    EXPECT_EQ(*manager.namespace_count(), 1U);
  }
  updater.join();
  EXPECT_EQ(manager.get_config().max_bytes, uint64_t{1 << 30});
}

TEST(ManagerMaxBytes, AccountStaysRightWhenNamespacesLeaveWhileItChanges) {
  StorageManager manager;
  ASSERT_OK(manager.initialize());
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (uint64_t i = 0; !stop; ++i) {
      static_cast<void>(manager.update_config({.max_bytes = i % 2 * (uint64_t{1} << 40)}));
    }
  });
  for (int i = 0; i < 300; ++i) {
    Namespace ns = *manager.create_namespace("n");
    EXPECT_OK(ns.put("k", std::string(10000, 'v')));
    EXPECT_OK(manager.delete_namespace("n"));
  }
  stop = true;
  other.join();
  ASSERT_OK(manager.update_config({.max_bytes = 1 << 20}));
  Namespace ns = *manager.create_namespace("n");
  EXPECT_OK(ns.put("k", std::string(500000, 'v'))) << "the account has fallen below nothing";
  EXPECT_CODE(ns.put("l", std::string(700000, 'v')), kMemoryLimit);
}

// --- Counters ------------------------------------------------------------------------------------

TEST(ManagerStats, CountWhatHappens) {
  StorageManager manager({.detailed_metrics = true});
  ASSERT_OK(manager.initialize());
  Namespace ns = *manager.create_namespace("n", {.max_keys = 3, .max_value_size = 5});
  for (const char* key : {"a", "b", "c"}) ASSERT_OK(ns.put(key, "v"));
  EXPECT_CODE(ns.put("d", "v"), kTooManyKeys);
  EXPECT_CODE(ns.put("a", "too large"), kValueTooLarge);
  EXPECT_CODE(ns.set_multiple({{"a", "w"}, {"d", "v"}}, BatchMode::kBestEffort).items[1].code,
              kTooManyKeys);
  ASSERT_OK(ns.get("a"));
  EXPECT_CODE(ns.get("x"), kNotFound);
  EXPECT_FALSE(*ns.exists("y"));
  static_cast<void>(ns.get_multiple({"a", "b", "z"}, BatchMode::kAllOrNothing));
  ASSERT_OK(ns.consume("c"));
  EXPECT_CODE(ns.consume("c"), kNotFound);
  const NamespaceStats stats = *ns.metadata();
  EXPECT_EQ(stats.hits, 3U);
  EXPECT_EQ(stats.misses, 3U);
  EXPECT_EQ(stats.sets, 4U);
  EXPECT_EQ(stats.deletes, 1U);
  EXPECT_EQ(stats.rejected, 3U);
  EXPECT_EQ(stats.expired, 0U);
  EXPECT_EQ(stats.timeouts, 0U);
  ShardStats sum;
  for (const ShardStats& shard : *ns.shard_stats()) {
    sum.key_count += shard.key_count;
    sum.hits += shard.hits;
    sum.misses += shard.misses;
    sum.sets += shard.sets;
    sum.deletes += shard.deletes;
    sum.rejected += shard.rejected;
    sum.memory_bytes += shard.memory_bytes;
  }
  EXPECT_EQ(sum.key_count, stats.key_count);
  EXPECT_EQ(sum.hits, stats.hits);
  EXPECT_EQ(sum.misses, stats.misses);
  EXPECT_EQ(sum.sets, stats.sets);
  EXPECT_EQ(sum.deletes, stats.deletes);
  EXPECT_EQ(sum.rejected, stats.rejected);
  EXPECT_EQ(sum.memory_bytes, stats.memory_bytes);
}

TEST(ManagerStats, ReadsOfManyThreadsAreCountedExactly) {
  StorageManager manager;
  ASSERT_OK(manager.initialize());
  Namespace ns = *manager.create_namespace("n");
  ASSERT_OK(ns.put("k", "v"));
  // More threads than there are slots, one after another and side by side.
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 70; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          EXPECT_OK(ns.get("k"));
          EXPECT_CODE(ns.get("x"), kNotFound);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(ns.metadata()->hits, 3U * 70 * 50);
  EXPECT_EQ(ns.metadata()->misses, 3U * 70 * 50);
}

TEST(ManagerStats, CountWaitsAndTimeouts) {
  StorageManager manager;
  ASSERT_OK(manager.initialize());
  Namespace ns = *manager.create_namespace("n", {.shard_count = 1, .lock_timeout = 20ms});
  ASSERT_OK(ns.put("k", "v"));
  auto& shard = NamespaceImpl::of(ns).shards()[0];
  {
    const internal::WriterLock lock(shard.mutex);
    std::thread([&] { EXPECT_CODE(ns.get("k"), kTimeout); }).join();
  }
  EXPECT_EQ(ns.metadata()->timeouts, 1U);
  EXPECT_GE(ns.metadata()->lock_waits, 1U);
}

// --- Expiries ------------------------------------------------------------------------------------

class ManagerTtlTest : public ::testing::Test {
 protected:
  ManagerTtlTest()
      : manager_(options(), internal::FileSystem::posix(), internal::AutosaveClock::real(), time_) {
    EXPECT_OK(manager_.initialize(std::nullopt));
    auto created = manager_.create("n", {});
    EXPECT_OK(created);
    ns_ = NamespaceImpl::handle(*created);
  }
  StorageOptions options() const { return {.directory = directory_.path()}; }

  TempDir directory_;
  testing::ManualTime time_;
  ManagerImpl manager_;
  Namespace ns_;
};

TEST_F(ManagerTtlTest, WhatIsLeftGoesThroughAFile) {
  ASSERT_OK(ns_.put("never", "v"));
  ASSERT_OK(ns_.put("long", "v", {.expire_after = 1h}));
  ASSERT_OK(ns_.put("short", "v", {.expire_after = 10s}));
  ASSERT_OK(ns_.put("gone", "v", {.expire_after = 1s}));
  time_.advance(1s);
  ASSERT_OK(manager_.save_namespace("n", "n.rkvs"));
  // While it lies there, half a minute goes by.
  time_.advance(30s);
  ASSERT_OK(manager_.load("n.rkvs", "m", std::nullopt));
  Namespace loaded = NamespaceImpl::handle(*manager_.find("m"));
  EXPECT_EQ(*loaded.ttl("never"), std::nullopt);
  EXPECT_EQ(*loaded.ttl("long"), 1h - 31s);
  EXPECT_CODE(loaded.get("short"), kNotFound);
  EXPECT_CODE(loaded.get("gone"), kNotFound);
  EXPECT_EQ(loaded.metadata()->key_count, 2U);
  time_.advance(1h);
  EXPECT_EQ(loaded.metadata()->key_count, 1U);
}

TEST_F(ManagerTtlTest, ATimeOfDayThatWasSetIsTakenAsItIs) {
  ASSERT_OK(ns_.put("k", "v", {.expire_after = 10s}));
  ASSERT_OK(manager_.save_namespace("n", "n.rkvs"));
  time_.set_wall_clock_by(-1h);
  ASSERT_OK(manager_.load("n.rkvs", "back", std::nullopt));
  EXPECT_EQ(*NamespaceImpl::handle(*manager_.find("back")).ttl("k"), 1h + 10s);
  time_.set_wall_clock_by(2h);
  ASSERT_OK(manager_.load("n.rkvs", "forth", std::nullopt));
  EXPECT_CODE(NamespaceImpl::handle(*manager_.find("forth")).get("k"), kNotFound);
}

TEST_F(ManagerTtlTest, ExpiredKeysOfAFileDoNotCountAgainstItsLimits) {
  ASSERT_OK(ns_.set_max_keys(2));
  ASSERT_OK(ns_.put("a", "v", {.expire_after = 10s}));
  ASSERT_OK(ns_.put("b", "v"));
  ASSERT_OK(manager_.save_namespace("n", "n.rkvs"));
  time_.advance(10s);
  ASSERT_OK(manager_.load("n.rkvs", "m", std::nullopt));
  Namespace loaded = NamespaceImpl::handle(*manager_.find("m"));
  EXPECT_OK(loaded.put("c", "v"));
  EXPECT_CODE(loaded.put("d", "v"), kTooManyKeys);
}

TEST_F(ManagerTtlTest, ACloneHasTheSameDeadlines) {
  ASSERT_OK(ns_.put("k", "v", {.expire_after = 10s}));
  ASSERT_OK(ns_.put("gone", "v", {.expire_after = 1s}));
  time_.advance(1s);
  Namespace clone = NamespaceImpl::handle(*manager_.clone("n", "c"));
  EXPECT_EQ(*clone.ttl("k"), 9s);
  EXPECT_EQ(clone.metadata()->key_count, 1U);
  ASSERT_OK(clone.persist("k"));
  time_.advance(9s);
  EXPECT_OK(clone.get("k"));
  EXPECT_CODE(ns_.get("k"), kNotFound);
}

TEST_F(ManagerTtlTest, WhatIsReclaimedAfterTheEndIsNotCountedTwice) {
  ASSERT_OK(manager_.update_config({.max_bytes = 1 << 20}));
  const auto fits = [&](uint64_t bytes) {
    auto probe = manager_.create("probe", {});
    EXPECT_OK(probe);
    const bool ok = NamespaceImpl::handle(*probe).put("k", std::string(bytes, 'v')).ok();
    EXPECT_OK(manager_.remove("probe"));
    return ok;
  };
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(ns_.put(std::to_string(i), std::string(5000, 'v'), {.expire_after = 10s}));
  }
  EXPECT_FALSE(fits(900000));
  {
    // A save keeps the content when the namespace is deleted.
    auto cut = internal::Cut::take({*manager_.find("n")});
    ASSERT_OK(cut);
    ASSERT_OK(manager_.remove("n"));
    EXPECT_TRUE(fits(900000));
    time_.advance(10s);
    EXPECT_CODE(ns_.metadata(), kNamespaceDeleted);
  }
  EXPECT_TRUE(fits(900000));
  EXPECT_FALSE(fits(1 << 20)) << "the account has not fallen below what there is";
}

TEST(ManagerTransform, CallingTheManagerInsideWouldDeadlock) {
  TempDir directory;
  StorageManager manager = manager_in(directory);
  ASSERT_OK(manager.initialize());
  Namespace ns = *manager.create_namespace("n");
  ASSERT_OK(ns.transform("k", [&](auto) {
    EXPECT_CODE(manager.create_namespace("m"), kWouldDeadlock);
    EXPECT_CODE(manager.delete_namespace("n"), kWouldDeadlock);
    EXPECT_CODE(manager.save_all("s.rkvs"), kWouldDeadlock);
    EXPECT_CODE(manager.update_config({.max_bytes = 100}), kWouldDeadlock);
    EXPECT_CODE(manager.all_namespace_stats(), kWouldDeadlock);
    EXPECT_CODE(manager.clone_namespace("n", "m"), kWouldDeadlock);
    EXPECT_CODE(manager.load_namespace_as("s.rkvs", "m"), kWouldDeadlock);
    EXPECT_CODE(manager.initialize(), kWouldDeadlock);
    EXPECT_CODE(manager.close(), kWouldDeadlock);
    return std::optional<std::string>("v");
  }));
  EXPECT_OK(manager.save_all("s.rkvs"));
}

TEST(ManagerTtl, MemoryComesBackByItself) {
  StorageManager manager;
  ASSERT_OK(manager.initialize());
  Namespace ns = *manager.create_namespace("n");
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK(ns.put(std::to_string(i), "v", {.expire_after = 1ms}));
  }
  auto& shards = NamespaceImpl::of(ns).shards();
  const auto expired = [&] {
    uint64_t count = 0;
    for (uint32_t i = 0; i < shards.constructed(); ++i) count += shards[i].expired();
    return count;
  };
  // Nobody touches the namespace; however slow the machine, it comes to an end.
  while (expired() != 1000U) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(ns.metadata()->expired, 1000U);
}

TEST(ManagerTtl, HandlesMayStoreExpiriesAfterTheManagersEnd) {
  Namespace ns;
  {
    StorageManager manager;
    ASSERT_OK(manager.initialize());
    ns = *manager.create_namespace("n");
  }
  EXPECT_CODE(ns.put("k", "v", {.expire_after = 1ms}), kClosed);
}

}  // namespace
}  // namespace rkvs::manager_test
