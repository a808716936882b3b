#include "store/routing.h"

#include <gtest/gtest.h>
#include <rkvs/options.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using rkvs::testing::Threads;

TEST(RouteTable, LeadsEveryBucketToAShardOfTheCount) {
  for (const uint32_t count : {1U, 2U, 3U, 16U, 100U, 4096U}) {
    const RouteTable* table = route_table(count);
    ASSERT_NE(table, nullptr);
    EXPECT_LT(*std::max_element(table->begin(), table->end()), count);
  }
}

TEST(RouteTable, IsBuiltOnceForACount) { EXPECT_EQ(route_table(7), route_table(7)); }

TEST(RouteTable, D12_FollowsFromTheCountAlone) {
  const RouteTable& table = *route_table(16);
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    ASSERT_EQ(table[bucket], jump_consistent_hash(uint64_t{bucket} * 0x9E3779B97F4A7C15U, 16));
  }
}

TEST(RouteTable, GivesEveryShardAFairShareOfBuckets) {
  for (const uint32_t count : {2U, 16U, 64U, 256U}) {
    std::vector<uint32_t> load(count);
    for (const uint16_t shard : *route_table(count)) ++load[shard];
    const double fair = double{kBucketCount} / count;
    EXPECT_GT(*std::min_element(load.begin(), load.end()), fair * 0.65) << count;
    EXPECT_LT(*std::max_element(load.begin(), load.end()), fair * 1.35) << count;
  }
}

TEST(RouteTable, GivesEveryOneOf4096ShardsSomething) {
  std::vector<uint32_t> load(kMaxShardCount);
  for (const uint16_t shard : *route_table(kMaxShardCount)) ++load[shard];
  EXPECT_GT(*std::min_element(load.begin(), load.end()), 0U);
}

TEST(RouteTable, GrowingMovesBucketsOnlyToNewShards) {
  const RouteTable& small = *route_table(16);
  const RouteTable& large = *route_table(64);
  uint32_t moved = 0;
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    if (small[bucket] == large[bucket]) continue;
    EXPECT_GE(large[bucket], 16U);
    ++moved;
  }
  EXPECT_NEAR(moved, kBucketCount * 0.75, kBucketCount * 0.02);
}

TEST(RouteTable, AutomaticCountsAreWhatEachWouldBeAlone) {
  ASSERT_TRUE(build_automatic_route_tables());
  for (const uint32_t count : kAutomaticShardCounts) {
    const RouteTable& table = *route_table(count);
    for (uint32_t bucket = 0; bucket < kBucketCount; bucket += 7) {
      ASSERT_EQ(table[bucket], jump_consistent_hash(uint64_t{bucket} * 0x9E3779B97F4A7C15U, count));
    }
  }
}

TEST(RouteTable, ManyThreadsGetTheSameOne) {
  std::atomic<const RouteTable*> first{nullptr};
  std::atomic<bool> differs{false};
  Threads threads;
  threads.start(4, [&](int) {
    const RouteTable* table = route_table(1234);
    const RouteTable* expected = nullptr;
    if (!first.compare_exchange_strong(expected, table) && expected != table) differs = true;
  });
  threads.join();
  EXPECT_FALSE(differs);
}

class RoutingTest : public ::testing::Test {
 protected:
  // A bucket that goes from one shard to another between 4 and 8, and one that does not.
  RoutingTest() {
    while ((*from_)[moving_] == (*to_)[moving_]) ++moving_;
    while ((*from_)[staying_] != (*to_)[staying_]) ++staying_;
  }

  const RouteTable* from_ = route_table(4);
  const RouteTable* to_ = route_table(8);
  uint32_t moving_ = 0;
  uint32_t staying_ = 0;
  Routing routing_{from_, 4};
};

TEST_F(RoutingTest, SettledFollowsItsTable) {
  for (uint32_t bucket = 0; bucket < kBucketCount; bucket += 13) {
    EXPECT_EQ(routing_.shard_of(bucket), (*from_)[bucket]);
    EXPECT_TRUE(routing_.owns((*from_)[bucket], bucket));
    EXPECT_FALSE(routing_.owns((*from_)[bucket] + 1U, bucket));
  }
  EXPECT_EQ(routing_.shard_count(), 4U);
  EXPECT_TRUE(Routing::is_settled(routing_.generation()));
}

TEST_F(RoutingTest, EachBucketFollowsTheNewTableOnceItHasMoved) {
  const uint64_t before = routing_.generation();
  ASSERT_TRUE(routing_.prepare());
  routing_.begin(to_, 8);
  EXPECT_FALSE(Routing::is_settled(routing_.generation()));
  EXPECT_NE(routing_.generation(), before);
  EXPECT_EQ(routing_.shard_count(), 8U);
  EXPECT_EQ(routing_.shard_of(moving_), (*from_)[moving_]);
  EXPECT_FALSE(routing_.has_moved(moving_));

  routing_.bucket_moved(moving_);
  EXPECT_TRUE(routing_.has_moved(moving_));
  EXPECT_EQ(routing_.shard_of(moving_), (*to_)[moving_]);
  EXPECT_FALSE(routing_.owns((*from_)[moving_], moving_));
  EXPECT_TRUE(routing_.owns((*to_)[moving_], moving_));
  EXPECT_EQ(routing_.shard_of(staying_), (*from_)[staying_]);

  routing_.end(8);
  EXPECT_TRUE(Routing::is_settled(routing_.generation()));
  EXPECT_EQ(routing_.table(), to_);
  EXPECT_EQ(routing_.shard_of(moving_), (*to_)[moving_]);
}

TEST_F(RoutingTest, SecondMoveBeginsWithNoBucketMoved) {
  ASSERT_TRUE(routing_.prepare());
  routing_.begin(to_, 8);
  routing_.bucket_moved(moving_);
  routing_.end(8);
  ASSERT_TRUE(routing_.prepare());
  routing_.begin(from_, 8);
  EXPECT_FALSE(routing_.has_moved(moving_));
  EXPECT_EQ(routing_.shard_of(moving_), (*to_)[moving_]);
  routing_.bucket_moved(moving_);
  routing_.end(4);
  EXPECT_EQ(routing_.shard_of(moving_), (*from_)[moving_]);
  EXPECT_EQ(routing_.shard_count(), 4U);
}

TEST_F(RoutingTest, ClosedLeadsNowhere) {
  routing_.close();
  EXPECT_TRUE(routing_.is_closed());
  EXPECT_FALSE(Routing::is_settled(routing_.generation()));
  EXPECT_EQ(routing_.shard_of(moving_), Routing::kNoShard);
  EXPECT_FALSE(routing_.owns((*from_)[moving_], moving_));
}

TEST_F(RoutingTest, ClosedDuringAMoveLeadsNowhere) {
  ASSERT_TRUE(routing_.prepare());
  routing_.begin(to_, 8);
  routing_.close();
  EXPECT_EQ(routing_.shard_of(moving_), Routing::kNoShard);
}

TEST_F(RoutingTest, D19_HintsAreAlwaysOneOfTheTwoPlacesWhileMovesGoOn) {
  ASSERT_TRUE(routing_.prepare());
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  Threads threads;
  threads.start(2, [&](int) {
    while (!stop.load(std::memory_order_relaxed)) {
      const uint32_t shard = routing_.shard_of(moving_);
      if (shard != (*from_)[moving_] && shard != (*to_)[moving_]) wrong.fetch_add(1);
      if (routing_.shard_of(staying_) != (*from_)[staying_]) wrong.fetch_add(1);
    }
  });
  for (int i = 0; i < 300; ++i) {
    routing_.begin(i % 2 == 0 ? to_ : from_, 8);
    routing_.bucket_moved(moving_);
    routing_.end(i % 2 == 0 ? 8 : 4);
  }
  stop.store(true);
  threads.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace rkvs::internal
