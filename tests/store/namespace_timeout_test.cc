// What operations do when a lock cannot be had in time.
#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using testing::codes_of;
using testing::HeldShard;
using testing::is_ok;
using testing::make_namespace;
using testing::numbered;
using testing::value_of;

constexpr auto kTimeout = StatusCode::kTimeout;

// Eight shards, 40 keys, all with value "old", and a lock_timeout of 20 ms.
class TimeoutTest : public ::testing::Test {
 protected:
  TimeoutTest() {
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(is_ok(ns_.put(numbered("k", i), "old")));
    EXPECT_TRUE(is_ok(ns_.set_lock_timeout(20ms)));
    while (shard_of(other_) == shard_of("k0")) other_ += "x";
    while (shard_of(absent_) != shard_of("k0")) absent_ += "x";
  }

  static Namespace make() {
    NamespaceConfig config;
    config.shard_count = 8;
    return make_namespace(config);
  }
  uint32_t shard_of(std::string_view key) const { return HeldShard::index_of(ns_, key); }

  // Nothing is changed, nothing is lost, nothing is locked.
  void expect_untouched() {
    for (int i = 0; i < 40; ++i) EXPECT_EQ(value_of(ns_, numbered("k", i)), "old");
    EXPECT_EQ(testing::count_of(ns_), 40U);
    EXPECT_EQ(value_of(ns_, absent_), "<NotFound>");
    EXPECT_EQ(value_of(ns_, other_), "<NotFound>");
    testing::expect_all_locks_free(ns_);
  }

  Namespace ns_ = make();
  std::string other_ = "other";    // absent, in another shard than k0
  std::string absent_ = "absent";  // absent, in the shard of k0
};

TEST_F(TimeoutTest, D28_SingleKeyOperationsSayTimeout) {
  {
    const HeldShard held(ns_, "k0");
    EXPECT_EQ(ns_.get("k0").code(), kTimeout);
    EXPECT_EQ(ns_.get(absent_).code(), kTimeout) << "never NotFound";
    EXPECT_EQ(ns_.exists("k0").code(), kTimeout) << "never false";
    EXPECT_EQ(ns_.set("k0", "new").code(), kTimeout);
    EXPECT_EQ(ns_.set(absent_, "new").code(), kTimeout);
    EXPECT_EQ(ns_.put("k0", "new").code(), kTimeout);
    EXPECT_EQ(ns_.put(absent_, std::string(100000, 'n')).code(), kTimeout);
    EXPECT_EQ(ns_.update("k0", "new").code(), kTimeout);
    EXPECT_EQ(ns_.delete_key("k0").code(), kTimeout) << "never false";
    EXPECT_EQ(ns_.consume("k0").code(), kTimeout);
    EXPECT_EQ(value_of(ns_, other_), "<NotFound>") << "other shards go on";
    const Status status = ns_.get("k0").status();
    EXPECT_TRUE(status.is_error());
    EXPECT_NE(status.message().find("20 ms"), std::string_view::npos) << status.to_string();
    EXPECT_NE(status.message().find("test"), std::string_view::npos) << status.to_string();
  }
  expect_untouched();
}

TEST_F(TimeoutTest, D28_WholeNamespaceOperationsSayTimeout) {
  {
    const HeldShard held(ns_, "k0");
    EXPECT_EQ(ns_.list_keys().code(), kTimeout) << "never a part of the keys";
    EXPECT_EQ(ns_.metadata().code(), kTimeout);
    EXPECT_EQ(ns_.shard_key_counts().code(), kTimeout);
    EXPECT_EQ(ns_.set_max_keys(100).code(), kTimeout);
    NamespaceConfig config = ns_.get_config();
    config.max_keys = 100;
    config.max_value_size = 1;
    EXPECT_EQ(ns_.update_config(config).code(), kTimeout);
    EXPECT_EQ(ns_.get_config().max_keys, 0U);
    EXPECT_EQ(ns_.get_config().max_value_size, 0U);
  }
  expect_untouched();
}

TEST_F(TimeoutTest, D28_AllOrNothingBatchesTimeOutAsAWhole) {
  {
    const HeldShard held(ns_, "k0");
    const std::vector<StatusCode> all(3, kTimeout);
    for (const BatchResult& result :
         {ns_.get_multiple({"k1", "k0", other_}, BatchMode::kAllOrNothing),
          ns_.set_multiple({{other_, "n"}, {"k0", "n"}, {"k1", "n"}}, BatchMode::kAllOrNothing),
          ns_.delete_multiple({"k1", "k0", "k2"}, BatchMode::kAllOrNothing),
          ns_.consume_multiple({"k1", "k0", "k2"}, BatchMode::kAllOrNothing)}) {
      EXPECT_EQ(result.status.code(), kTimeout);
      EXPECT_EQ(codes_of(result), all);
      EXPECT_EQ(result.total_processed, 0U);
      for (const BatchItem& item : result.items) EXPECT_FALSE(item.value.has_value());
    }
  }
  expect_untouched();
}

TEST_F(TimeoutTest, D28_BestEffortMarksOnlyTheItemsThatWereNotDone) {
  // The first slice of 1,024 items avoids the held shard.
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < 1024; ++i) {
    std::string key = numbered("new", i);
    if (shard_of(key) != shard_of("k0")) keys.push_back(std::move(key));
  }
  keys.emplace_back("k0");
  keys.push_back(other_);
  std::vector<KeyValue> items;
  for (const std::string& key : keys) items.push_back({key, "n"});
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<StatusCode> expected(1024, StatusCode::kOk);
  expected.resize(1026, kTimeout);
  {
    const HeldShard held(ns_, "k0");
    const BatchResult set = ns_.set_multiple(items, BatchMode::kBestEffort);
    EXPECT_TRUE(set.status.ok());
    EXPECT_EQ(codes_of(set), expected);
    EXPECT_EQ(set.total_processed, 1024U);
    EXPECT_FALSE(set.is_success());
    EXPECT_EQ(codes_of(ns_.get_multiple(views, BatchMode::kBestEffort)), expected);
    EXPECT_EQ(codes_of(ns_.delete_multiple(views, BatchMode::kBestEffort)), expected);
  }
  expect_untouched();
}

TEST_F(TimeoutTest, D28_BestEffortKeepsTheFaultsThatItemsHaveAnyhow) {
  ASSERT_TRUE(is_ok(ns_.set_max_value_size(5)));
  {
    const HeldShard held(ns_, "k0");
    const BatchResult result =
        ns_.set_multiple({{"k0", "n"}, {"k1", "too large"}, {"k2", "n"}}, BatchMode::kBestEffort);
    EXPECT_EQ(codes_of(result),
              (std::vector<StatusCode>{kTimeout, StatusCode::kValueTooLarge, kTimeout}));
  }
  expect_untouched();
}

TEST_F(TimeoutTest, D34_OneDeadlineCoversAWholeOperation) {
  // The first shard is free after three quarters of the lock_timeout, the last one never: whoever
  // counts anew for each lock, or for each slice, waits 1,400 ms instead of 800.
  constexpr auto kLimit = 800ms;
  constexpr auto kFirst = 600ms;
  constexpr auto kTooLong = 1200ms;
  ASSERT_TRUE(is_ok(ns_.set_lock_timeout(kLimit)));
  // A slice of keys in the first shard, then one in the last.
  std::vector<std::string> first;
  std::vector<std::string> last;
  for (int i = 0; first.size() < 1024 || last.empty(); ++i) {
    std::string key = numbered("new", i);
    if (shard_of(key) == 0 && first.size() < 1024) {
      first.push_back(std::move(key));
    } else if (shard_of(key) == 7 && last.empty()) {
      last.push_back(std::move(key));
    }
  }
  std::vector<std::string_view> keys(first.begin(), first.end());
  keys.emplace_back(last[0]);
  std::vector<KeyValue> items;
  for (const std::string_view key : keys) items.push_back({key, "n"});

  const HeldShard held_last(ns_, last[0]);
  const std::pair<const char*, std::function<void()>> operations[] = {
      {"all or nothing",
       [&] {
         EXPECT_EQ(ns_.set_multiple(items, BatchMode::kAllOrNothing).status.code(), kTimeout);
       }},
      {"best effort",
       [&] {
         EXPECT_EQ(ns_.get_multiple(keys, BatchMode::kBestEffort).items.back().code, kTimeout);
       }},
      {"metadata", [&] { EXPECT_EQ(ns_.metadata().code(), kTimeout); }},
      {"set_max_keys", [&] { EXPECT_EQ(ns_.set_max_keys(1000).code(), kTimeout); }},
  };
  for (const auto& [name, operation] : operations) {
    auto held_first = std::make_unique<HeldShard>(ns_, first[0]);
    std::chrono::nanoseconds taken{0};
    testing::Threads threads;
    threads.start([&taken, &run = operation] {
      const auto begin = Clock::now();
      run();
      taken = Clock::now() - begin;
    });
    std::this_thread::sleep_for(kFirst);
    held_first.reset();
    threads.join();
    EXPECT_GE(taken, kLimit) << name;
    EXPECT_LT(taken, kTooLong) << name;
  }
}

TEST_F(TimeoutTest, TimedOutWritesLeaveNoMemoryBehind) {
  ASSERT_TRUE(is_ok(ns_.set_lock_timeout(1ms)));
  testing::on_fresh_thread([&] {
    const size_t before = internal::Arena::stats().bytes_in_use;
    const HeldShard held(ns_, "k0");
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(ns_.set("k0", std::string(5000, 'x')).code(), kTimeout);
      EXPECT_EQ(ns_.put("k0", "new").code(), kTimeout);
      EXPECT_EQ(ns_.update("k0", "new").code(), kTimeout);
      EXPECT_EQ(
          ns_.set_multiple({{"k0", "n"}, {other_, "n"}}, BatchMode::kAllOrNothing).status.code(),
          kTimeout);
    }
    EXPECT_EQ(internal::Arena::stats().bytes_in_use, before);
  });
  expect_untouched();
}

TEST_F(TimeoutTest, TimedOutNewKeysAreNotCounted) {
  ASSERT_TRUE(is_ok(ns_.set_max_keys(41)));
  {
    const HeldShard held(ns_, "k0");
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(ns_.put(absent_, "n").code(), kTimeout);
      EXPECT_EQ(ns_.set_multiple({{absent_, "n"}}, BatchMode::kAllOrNothing).status.code(),
                kTimeout);
    }
  }
  EXPECT_TRUE(is_ok(ns_.put(absent_, "v"))) << "there is room for one";
  EXPECT_EQ(ns_.put(other_, "v").code(), StatusCode::kTooManyKeys);
}

TEST_F(TimeoutTest, APutWaitsOnce) {
  const HeldShard held(ns_, "k0");
  auto& shard = internal::NamespaceImpl::of(ns_).shards()[shard_of("k0")];
  const auto before = shard.visits();
  EXPECT_EQ(ns_.put("k0", "new").code(), kTimeout);
  EXPECT_EQ(ns_.set(absent_, "new").code(), kTimeout);
  EXPECT_EQ(ns_.update("k0", "longer than before").code(), kTimeout);
  EXPECT_EQ(shard.visits().lock_waits, before.lock_waits + 3);
  EXPECT_EQ(shard.visits().timeouts, before.timeouts + 3);
}

// What wants to take out first what has expired has no more time for it all.
TEST_F(TimeoutTest, OneDeadlineIsForReclaimingToo) {
  ASSERT_TRUE(is_ok(ns_.put("k0", "v", {.expire_after = 1ms})));
  ASSERT_TRUE(is_ok(ns_.put(other_, "v", {.expire_after = 1ms})));
  while (ns_.exists("k0").value() || ns_.exists(other_).value()) std::this_thread::yield();
  {
    const HeldShard held(ns_, "k0");
    auto& shard = internal::NamespaceImpl::of(ns_).shards()[shard_of("k0")];
    const auto before = shard.visits();
    EXPECT_EQ(ns_.metadata().code(), kTimeout);
    EXPECT_EQ(ns_.shard_key_counts().code(), kTimeout);
    EXPECT_EQ(ns_.shard_stats().code(), kTimeout);
    EXPECT_EQ(ns_.set_max_keys(1000).code(), kTimeout);
    EXPECT_EQ(ns_.clear().code(), kTimeout);
    // For the reclaiming, and, with nothing left of the deadline, for all shards.
    EXPECT_LE(shard.visits().lock_waits, before.lock_waits + 10);
    EXPECT_EQ(ns_.get_config().max_keys, 0U);
  }
  EXPECT_EQ(testing::count_of(ns_), 39U);
  testing::expect_all_locks_free(ns_);
}

}  // namespace
}  // namespace rkvs
