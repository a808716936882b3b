// Expiries: what has expired is nowhere to be seen, counts for nothing, and goes away.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "store/namespace_image.h"
#include "store/namespace_restore.h"
#include "tests/support/manual_time.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using internal::NamespaceImpl;
using internal::OperationTime;
using std::chrono::milliseconds;
using testing::ManualTime;
using namespace std::chrono_literals;  // NOLINT

class TtlTest : public ::testing::TestWithParam<testing::HashStrength> {
 protected:
  Namespace make(NamespaceConfig config = testing::patient()) {
    auto impl = NamespaceImpl::create("test", config, 0, testing::key_hash(GetParam()), time_);
    EXPECT_TRUE(impl.ok());
    return NamespaceImpl::handle(*std::move(impl));
  }
  static NamespaceImpl& impl_of(const Namespace& ns) { return NamespaceImpl::of(ns); }
  static uint64_t reclaim(const Namespace& ns, OperationTime& now) {
    internal::Deadline never = internal::Deadline::never();
    return impl_of(ns).reclaim_expired(now, never);
  }
  // What is in memory, expired or not.
  static uint64_t stored(const Namespace& ns) {
    uint64_t keys = 0;
    auto& shards = impl_of(ns).shards();
    for (uint32_t i = 0; i < shards.constructed(); ++i) {
      const internal::ReaderLock lock(shards[i].mutex);
      keys += shards[i].size();
    }
    return keys;
  }

  ManualTime time_;
};

INSTANTIATE_TEST_SUITE_P(Hashes, TtlTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

constexpr StatusCode kNotFound = StatusCode::kNotFound;

TEST_P(TtlTest, ExpiredIsInvisibleToEverythingAtOnce) {
  Namespace ns = make();
  ASSERT_TRUE(ns.put("k", "v", {.expire_after = 100ms}).ok());
  ASSERT_TRUE(ns.put("stays", "v").ok());
  time_.advance(99ms);
  EXPECT_EQ(ns.get("k")->view(), "v");
  time_.advance(1ms);
  EXPECT_EQ(ns.get("k").code(), kNotFound);
  EXPECT_EQ(ns.get_with_version("k").code(), kNotFound);
  EXPECT_FALSE(*ns.exists("k"));
  EXPECT_EQ(ns.ttl("k").code(), kNotFound);
  for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
    EXPECT_EQ(ns.get_multiple({"k"}, mode).items[0].code, kNotFound);
    EXPECT_EQ(ns.exists_multiple({"k"}, mode).items[0].code, kNotFound);
  }
  EXPECT_EQ(*ns.list_keys(), std::vector<std::string>{"stays"});
  Scan scan = *ns.scan();
  size_t scanned = 0;
  while (!scan.is_done()) scanned += scan.next()->size();
  EXPECT_EQ(scanned, 1U);
  EXPECT_EQ(stored(ns), 2U) << "reading takes nothing out";
  EXPECT_EQ(ns.metadata()->key_count, 1U);
  EXPECT_EQ(ns.metadata()->total_size, 1U);
}

TEST_P(TtlTest, EveryWriteTakesAnExpiredKeyForAbsent) {
  const auto expired = [&](const NamespaceConfig& config = testing::patient()) {
    Namespace ns = make(config);
    EXPECT_TRUE(ns.put("k", "old", {.expire_after = 10ms}).ok());
    time_.advance(10ms);
    return ns;
  };
  EXPECT_EQ(*expired().set("k", "v"), std::nullopt);
  EXPECT_TRUE(expired().add("k", "v").ok());
  EXPECT_EQ(expired().update("k", "v").code(), kNotFound);
  EXPECT_FALSE(*expired().delete_key("k"));
  EXPECT_EQ(expired().consume("k").code(), kNotFound);
  EXPECT_EQ(expired().compare_and_set("k", 1, "v").code(), kNotFound);
  EXPECT_EQ(expired().compare_and_delete("k", 1).code(), kNotFound);
  EXPECT_EQ(expired().touch("k", 1s).code(), kNotFound);
  EXPECT_EQ(expired().persist("k").code(), kNotFound);
  EXPECT_EQ(*expired().increment("k", 5), 5);
  EXPECT_EQ((*expired().transform("k",
                                  [](auto value) {
                                    EXPECT_EQ(value, std::nullopt);
                                    return std::optional<std::string>("new");
                                  }))
                ->view(),
            "new");
  for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
    EXPECT_EQ(expired().set_multiple({{"k", "v"}}, mode).items[0].value, std::nullopt);
    EXPECT_EQ(expired().update_multiple({{"k", "v"}}, mode).items[0].code, kNotFound);
    EXPECT_EQ(expired().delete_multiple({"k"}, mode).items[0].code, kNotFound);
    EXPECT_EQ(expired().consume_multiple({"k"}, mode).items[0].code, kNotFound);
  }
  EXPECT_TRUE(expired().apply(AtomicBatch().add("k", "v")).is_success());
  EXPECT_EQ(expired().apply(AtomicBatch().check_exists("k")).status.code(), kNotFound);
}

TEST_P(TtlTest, ExpiryFollowsTheOptions) {
  Namespace ns = make();
  const auto left = [&](std::string_view key = "k") { return *ns.ttl(key); };
  ASSERT_TRUE(ns.put("k", "v").ok());
  EXPECT_EQ(left(), std::nullopt);
  // In place and not, to an entry with room for an expiry and to one without.
  for (const char* value : {"v", "longer"}) {
    ASSERT_TRUE(ns.put("k", value, {.expire_after = 50ms}).ok());
    EXPECT_EQ(left(), 50ms);
    ASSERT_TRUE(ns.put("k", value, {.keep_ttl = true}).ok());
    EXPECT_EQ(left(), 50ms);
    ASSERT_TRUE(ns.set("k", value, {.keep_ttl = true}).ok());
    EXPECT_EQ(left(), 50ms);
    ASSERT_TRUE(ns.put("k", value).ok());
    EXPECT_EQ(left(), std::nullopt);
    ASSERT_TRUE(ns.set("k", value, {.expire_after = 70ms}).ok());
    EXPECT_EQ(left(), 70ms);
    ASSERT_TRUE(ns.update("k", value).ok());
    EXPECT_EQ(left(), std::nullopt);
    ASSERT_TRUE(ns.update("k", value, {.expire_after = 80ms}).ok());
    const uint64_t version = ns.get_with_version("k")->version;
    ASSERT_TRUE(ns.compare_and_set("k", version, value).ok());
    EXPECT_EQ(left(), 80ms) << "compare_and_set keeps it";
    ASSERT_TRUE(ns.transform("k", [](auto) { return std::optional<std::string>("12"); }).ok());
    EXPECT_EQ(left(), 80ms) << "transform keeps it";
    ASSERT_TRUE(ns.increment("k").ok());
    EXPECT_EQ(left(), 80ms) << "increment keeps it";
    for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
      EXPECT_TRUE(ns.set_multiple({{"k", value}}, mode, {.keep_ttl = true}).is_success());
      EXPECT_EQ(left(), 80ms);
      EXPECT_TRUE(ns.set_multiple({{"k", value}}, mode, {.expire_after = 90ms}).is_success());
      EXPECT_EQ(left(), 90ms);
      EXPECT_TRUE(ns.update_multiple({{"k", value}}, mode).is_success());
      EXPECT_EQ(left(), std::nullopt);
      EXPECT_TRUE(ns.update_multiple({{"k", value}}, mode, {.expire_after = 80ms}).is_success());
    }
    ASSERT_TRUE(ns.put("k", value).ok());
  }
  ASSERT_TRUE(ns.add("new", "v", {.expire_after = 5ms}).ok());
  EXPECT_EQ(left("new"), 5ms);
}

TEST_P(TtlTest, TouchAndPersistLeaveValueAndVersion) {
  Namespace ns = make();
  ASSERT_TRUE(ns.put("k", "v").ok());
  const Value held = *ns.get("k");  // so that nothing can be done in place
  const uint64_t version = ns.get_with_version("k")->version;
  ASSERT_TRUE(ns.touch("k", 30ms).ok());
  EXPECT_EQ(*ns.ttl("k"), 30ms);
  ASSERT_TRUE(ns.touch("k", 20ms).ok());
  EXPECT_EQ(*ns.ttl("k"), 20ms);
  EXPECT_TRUE(*ns.persist("k"));
  EXPECT_FALSE(*ns.persist("k"));
  EXPECT_EQ(*ns.ttl("k"), std::nullopt);
  EXPECT_EQ(ns.get_with_version("k")->version, version);
  EXPECT_EQ(ns.get("k")->view(), "v");
  time_.advance(1h);
  EXPECT_TRUE(*ns.exists("k")) << "neither of the old times counts any more";
  EXPECT_EQ(ns.touch("absent", 1s).code(), kNotFound);
  EXPECT_EQ(ns.persist("absent").code(), kNotFound);
}

TEST_P(TtlTest, OptionsThatMakeNoSenseAreRefusedAndChangeNothing) {
  Namespace ns = make();
  ASSERT_TRUE(ns.put("k", "v").ok());
  const auto at = std::chrono::system_clock::now();
  for (const WriteOptions& options :
       {WriteOptions{.expire_after = 0ms}, WriteOptions{.expire_after = -1ms},
        WriteOptions{.expire_after = 1s, .expire_at = at},
        WriteOptions{.expire_after = 1s, .keep_ttl = true},
        WriteOptions{.expire_at = at, .keep_ttl = true}}) {
    const auto code = StatusCode::kInvalidArgument;
    EXPECT_EQ(ns.put("k", "x", options).code(), code);
    EXPECT_EQ(ns.set("k", "x", options).code(), code);
    EXPECT_EQ(ns.add("n", "x", options).code(), code);
    EXPECT_EQ(ns.update("k", "x", options).code(), code);
    EXPECT_EQ(ns.compare_and_set("k", 1, "x", options).code(), code);
    EXPECT_EQ(ns.touch("k", options).code(), code);
    const BatchResult batch = ns.set_multiple({{"k", "x"}}, BatchMode::kBestEffort, options);
    EXPECT_EQ(batch.status.code(), code);
    EXPECT_EQ(batch.items[0].code, code);
    EXPECT_EQ(ns.apply(AtomicBatch().set("k", "x", options)).status.code(), code);
  }
  EXPECT_EQ(ns.touch("k", WriteOptions{}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ns.touch("k", WriteOptions{.keep_ttl = true}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ns.increment("k", 1, {.expire_after = 0ms}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ns.get("k")->view(), "v");
  EXPECT_EQ(ns.metadata()->key_count, 1U);
}

TEST_P(TtlTest, ExpiryAtATimeOfDay) {
  Namespace ns = make();
  const auto now = std::chrono::system_clock::time_point(milliseconds(time_.unix_ms()));
  ASSERT_TRUE(ns.put("k", "v", {.expire_at = now + 1s}).ok());
  EXPECT_EQ(*ns.ttl("k"), 1s);
  time_.set_wall_clock_by(10h);
  EXPECT_EQ(*ns.ttl("k"), 1s) << "setting the clock moves no deadline";
  time_.set_wall_clock_by(-20h);
  EXPECT_EQ(*ns.ttl("k"), 1s);
  time_.advance(1s);
  EXPECT_FALSE(*ns.exists("k"));
  ASSERT_TRUE(ns.put("past", "v", {.expire_at = now - 100h}).ok());
  EXPECT_FALSE(*ns.exists("past"));
  ASSERT_TRUE(ns.put("far", "v", {.expire_after = milliseconds::max()}).ok());
  time_.advance(1000000h);
  EXPECT_TRUE(*ns.exists("far"));
}

TEST_P(TtlTest, ExpiredKeysCountForNoLimit) {
  NamespaceConfig config = testing::patient();
  config.max_keys = 20;
  for (const int way : {0, 1, 2, 3, 4}) {
    SCOPED_TRACE(way);
    Namespace ns = make(config);
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(ns.put("old " + std::to_string(i), "v", {.expire_after = 10ms}).ok());
    }
    EXPECT_EQ(ns.put("one more", "v").code(), StatusCode::kTooManyKeys);
    time_.advance(10ms);
    for (int i = 0; i < 20; ++i) {
      const std::string key = "new " + std::to_string(i);
      switch (way) {
        case 0: ASSERT_TRUE(ns.put(key, "v").ok()) << i; break;
        case 1: ASSERT_TRUE(ns.increment(key).ok()) << i; break;
        case 2:
          ASSERT_TRUE(ns.set_multiple({{key, "v"}}, BatchMode::kAllOrNothing).is_success());
          break;
        case 3:
          ASSERT_TRUE(ns.set_multiple({{key, "v"}}, BatchMode::kBestEffort).is_success());
          break;
        case 4: ASSERT_TRUE(ns.apply(AtomicBatch().set(key, "v")).is_success()) << i; break;
      }
    }
    EXPECT_EQ(ns.put("one more", "v").code(), StatusCode::kTooManyKeys);
    EXPECT_EQ(ns.metadata()->key_count, 20U);
  }
}

TEST_P(TtlTest, MemoryComesBackByWritesAlone) {
  Namespace ns = make();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(ns.put("old " + std::to_string(i), "v", {.expire_after = 10ms}).ok());
  }
  time_.advance(10ms);
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(ns.put("new " + std::to_string(i % 400), "v").ok());
  EXPECT_EQ(stored(ns), 400U);
}

TEST_P(TtlTest, ReclaimTakesOutWhatHasExpiredAndNothingElse) {
  Namespace ns = make();
  for (int i = 0; i < 600; ++i) {
    const auto after = i % 3 == 0 ? 10ms : 20ms;
    ASSERT_TRUE(ns.put(std::to_string(i), "v", {.expire_after = after}).ok());
  }
  // Stale items: those of keys that were removed, persisted, or touched since.
  for (int i = 0; i < 30; i += 3) ASSERT_TRUE(*ns.delete_key(std::to_string(i)));
  for (int i = 30; i < 60; i += 3) ASSERT_TRUE(*ns.persist(std::to_string(i)));
  for (int i = 60; i < 90; i += 3) ASSERT_TRUE(ns.touch(std::to_string(i), 20ms).ok());
  time_.advance(10ms);
  OperationTime now(time_);
  EXPECT_EQ(reclaim(ns, now), 170U);
  EXPECT_EQ(stored(ns), 600U - 10 - 170);
  time_.advance(10ms);
  now.reset();
  EXPECT_EQ(reclaim(ns, now), 410U);
  EXPECT_EQ(stored(ns), 10U);
  EXPECT_EQ(impl_of(ns).next_expiry(), internal::ExpiryQueue::kNever);
}

TEST_P(TtlTest, KeysThatAreSetAgainAndAgainLeaveNoGarbage) {
  Namespace ns = make(testing::patient({.shard_count = 1}));
  ASSERT_TRUE(ns.put("k", "v", {.expire_after = 1h}).ok());
  const uint64_t before = ns.metadata()->memory_bytes;
  for (int i = 0; i < 20000; ++i) {
    time_.advance(1ms);
    ASSERT_TRUE(ns.put("k", "v", {.expire_after = 1h}).ok());
    ASSERT_TRUE(ns.touch("k", 2h).ok());
  }
  EXPECT_LT(ns.metadata()->memory_bytes, before + 4096);
}

TEST_P(TtlTest, ExpiriesMoveWithTheirEntries) {
  Namespace ns = make(testing::patient({.shard_count = 3}));
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(ns.put(std::to_string(i), "v", {.expire_after = milliseconds(10 + i % 2)}).ok());
  }
  for (const uint32_t shards : {64U, 2U, 0U}) ASSERT_TRUE(ns.resize_shards(shards).ok());
  time_.advance(10ms);
  EXPECT_EQ(ns.metadata()->key_count, 150U);
  OperationTime now(time_);
  reclaim(ns, now);
  EXPECT_EQ(stored(ns), 150U);
  time_.advance(1ms);
  now.reset();
  reclaim(ns, now);
  EXPECT_EQ(stored(ns), 0U);
}

TEST_P(TtlTest, ReclaimingLeavesASaveItsImage) {
  Namespace ns = make();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(ns.put(std::to_string(i), "v", {.expire_after = 10ms}).ok());
  }
  std::shared_ptr<NamespaceImpl> impl(&impl_of(ns), [](NamespaceImpl*) {});
  auto cut = internal::Cut::take({impl});
  ASSERT_TRUE(cut.ok());
  time_.advance(10ms);
  OperationTime now(time_);
  EXPECT_EQ(reclaim(ns, now), 100U);
  auto& image = (*cut)->namespaces().front();
  size_t saved = 0;
  for (uint32_t i = 0; i < image.shard_count(); ++i) {
    for (const internal::Entry* entry : *image.entries(i)) {
      EXPECT_FALSE(entry->has_expired_by((*cut)->steady_ms()));
      EXPECT_EQ(entry->value(), "v");
      ++saved;
    }
  }
  EXPECT_EQ(saved, 100U);
}

TEST_P(TtlTest, ABatchThatWaitedSeesWhatHasExpiredMeanwhile) {
  NamespaceConfig config = testing::patient({.shard_count = 1});
  config.max_keys = 10;
  Namespace ns = make(config);
  ASSERT_TRUE(ns.put("k", "old", {.expire_after = 10ms}).ok());
  auto& shard = impl_of(ns).shards()[0];
  BatchResult result;
  std::thread waiting;
  {
    const internal::WriterLock lock(shard.mutex);
    waiting = std::thread([&] {
      result = ns.update_multiple({{"k", "new"}}, BatchMode::kAllOrNothing);
    });
    // Time enough to come to the lock, and to read the clock if that came first.
    std::this_thread::sleep_for(50ms);
    time_.advance(10ms);
  }
  waiting.join();
  EXPECT_EQ(result.items[0].code, kNotFound);
}

TEST_P(TtlTest, ClearForgetsExpiries) {
  Namespace ns = make();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(ns.put(std::to_string(i), "v", {.expire_after = 10ms}).ok());
  }
  EXPECT_EQ(*ns.clear(), 50U);
  ASSERT_TRUE(ns.put("1", "v").ok());
  time_.advance(10ms);
  EXPECT_TRUE(*ns.exists("1"));
  EXPECT_EQ(ns.metadata()->key_count, 1U);
}

// Goes on by a millisecond whenever somebody looks.
class RestlessTime final : public internal::TimeSource {
 public:
  int64_t steady_ms() const override { return ++steady_; }
  int64_t unix_ms() const override { return 1'800'000'000'000; }
  int64_t last() const { return steady_; }

 private:
  mutable std::atomic<int64_t> steady_{1000};
};

TEST_P(TtlTest, FiguresCountNothingThatExpiredWhileTheyWereMade) {
  const RestlessTime time;
  auto impl = NamespaceImpl::create("n", testing::patient(), 0, testing::key_hash(GetParam()), time)
                  .value();
  Namespace ns = NamespaceImpl::handle(impl);
  std::vector<int64_t> due;
  for (int i = 0; i < 1000; ++i) {
    const milliseconds after(3000 + i);
    ASSERT_TRUE(ns.put(std::to_string(i), "four", {.expire_after = after}).ok());
    due.push_back(time.last() + after.count());
    if (i % 3 != 0) continue;
    // What was removed is not counted twice.
    ASSERT_TRUE(*ns.delete_key(std::to_string(i)));
    due.pop_back();
  }
  const auto left = [&] {
    return static_cast<uint64_t>(
        std::count_if(due.begin(), due.end(), [&](int64_t at) { return at > time.last(); }));
  };
  uint64_t counted = 0;
  while (left() > 100) {
    const auto counts = ns.shard_key_counts();
    ASSERT_EQ(std::accumulate(counts->begin(), counts->end(), uint64_t{0}), left());
    const auto shards = ns.shard_stats();
    counted = 0;
    for (const ShardStats& shard : *shards) {
      counted += shard.key_count;
      ASSERT_EQ(shard.total_size, 4 * shard.key_count);
    }
    ASSERT_EQ(counted, left());
    const auto stats = ns.metadata();
    ASSERT_EQ(stats->key_count, left());
    ASSERT_EQ(stats->total_size, 4 * left());
  }
  const auto removed = ns.clear();
  EXPECT_EQ(*removed, left());
}

TEST_P(TtlTest, ExpiriesNeedNobodyWhoReclaims) {
  Namespace ns = make(testing::patient({.max_keys = 2}));
  int asked = 0;
  // No thread is to be had for it.
  impl_of(ns).set_hooks(
      [&] {
        ++asked;
        return asked > 3;
      },
      {});
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(ns.put("a" + std::to_string(round), "v", {.expire_after = 10ms}).ok());
    ASSERT_TRUE(ns.put("b" + std::to_string(round), "v", {.expire_after = 10ms}).ok());
    time_.advance(10ms);
    EXPECT_EQ(ns.metadata()->key_count, 0U);
  }
  EXPECT_EQ(asked, 4) << "again as long as there is none";
}

TEST_P(TtlTest, ClocksAtTheirEndsOverflowNothing) {
  class Extreme final : public internal::TimeSource {
   public:
    int64_t steady_ms() const override { return steady; }
    int64_t unix_ms() const override { return unix; }
    int64_t steady = 1;
    int64_t unix = INT64_MIN;
  };
  Extreme time;
  auto impl = NamespaceImpl::create("n", testing::patient(), 0, testing::key_hash(GetParam()), time)
                  .value();
  Namespace ns = NamespaceImpl::handle(impl);
  using Time = std::chrono::system_clock::time_point;
  ASSERT_TRUE(ns.put("k", "v", {.expire_at = Time::max()}).ok());
  EXPECT_TRUE(*ns.exists("k"));
  time.unix = INT64_MAX;
  ASSERT_TRUE(ns.put("k", "v", {.expire_at = Time::min()}).ok());
  EXPECT_FALSE(*ns.exists("k"));
  time.steady = INT64_MAX - 5;
  ASSERT_TRUE(ns.put("k", "v", {.expire_after = milliseconds::max()}).ok());
  EXPECT_TRUE(*ns.exists("k"));
  time.steady = -5;
  ASSERT_TRUE(ns.put("k", "v", {.expire_after = milliseconds::max()}).ok());
  EXPECT_TRUE(*ns.exists("k"));
}

}  // namespace
}  // namespace rkvs
