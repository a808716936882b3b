#include "store/shard_set.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using namespace std::chrono_literals;
using rkvs::testing::Threads;

class ShardSetTest : public ::testing::Test {
 protected:
  static std::unique_ptr<ShardSet> make(uint32_t count) {
    return std::move(ShardSet::create(count, KeyHash(1))).value_or(nullptr);
  }
  static bool is_locked(const ShardSet& set, uint32_t index) { return !set[index].mutex.is_free(); }
  static std::vector<uint32_t> locked(const ShardSet& set, uint32_t count) {
    std::vector<uint32_t> all;
    for (uint32_t i = 0; i < count; ++i) {
      if (is_locked(set, i)) all.push_back(i);
    }
    return all;
  }
  // Moves the whole set to `to` shards; it is empty.
  static void move_buckets(ShardSet& set, uint32_t to) {
    Routing& routing = set.routing();
    ASSERT_TRUE(routing.prepare());
    set.construct_shards(to);
    routing.begin(route_table(to), std::max(routing.shard_count(), to));
    for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) routing.bucket_moved(bucket);
    routing.end(to);
  }
};

TEST_F(ShardSetTest, KeysSpreadOverAllShards) {
  const auto set = make(8);
  std::vector<int> load(8);
  for (int i = 0; i < 4000; ++i) {
    ++load[set->routing().shard_of(bucket_of(set->hashed("key" + std::to_string(i)).hash))];
  }
  for (const int count : load) EXPECT_NEAR(count, 500, 200);
}

TEST_F(ShardSetTest, LargestCountWorks) {
  const auto set = make(kMaxShardCount);
  ASSERT_NE(set, nullptr);
  Deadline deadline = Deadline::never();
  const AllLock<Access::kWrite> all(*set, deadline);
  EXPECT_TRUE(all.held());
  EXPECT_EQ(all.count(), kMaxShardCount);
}

TEST_F(ShardSetTest, OwnerLockHoldsTheKeysShardAlone) {
  const auto set = make(8);
  const HashedKey key = set->hashed("key");
  const uint32_t index = set->routing().shard_of(bucket_of(key.hash));
  Deadline deadline(1s);
  {
    OwnerLock<Access::kWrite> lock(*set, key, deadline);
    ASSERT_TRUE(lock.held());
    EXPECT_EQ(&lock.shard(), &(*set)[index]);
    EXPECT_EQ(locked(*set, 8), std::vector<uint32_t>{index});
    lock.unlock();
    EXPECT_FALSE(lock.held());
    EXPECT_TRUE(locked(*set, 8).empty());
  }
  {
    const OwnerLock<Access::kRead> one(*set, key, deadline);
    const OwnerLock<Access::kRead> two(*set, key, deadline);
    EXPECT_TRUE(one.held());
    EXPECT_TRUE(two.held());
  }
  EXPECT_TRUE(locked(*set, 8).empty());
}

TEST_F(ShardSetTest, D28_OwnerLockThatRunsOutOfTimeSaysTimeout) {
  const auto set = make(1);
  const HashedKey key = set->hashed("key");
  Deadline never = Deadline::never();
  const OwnerLock<Access::kWrite> holder(*set, key, never);
  Deadline deadline(5ms);
  const OwnerLock<Access::kRead> late(*set, key, deadline);
  EXPECT_FALSE(late.held());
  EXPECT_EQ(late.code(), StatusCode::kTimeout);
}

TEST_F(ShardSetTest, D19_OwnerLockFollowsABucketThatMovesWhileItWaits) {
  const auto set = make(1);
  // A key that leaves shard 0.
  std::string name = "key";
  while ((*route_table(2))[bucket_of(set->hashed(name).hash)] == 0) name += "x";
  const HashedKey key = set->hashed(name);
  std::atomic<bool> started{false};
  std::atomic<bool> right{false};
  Threads threads;
  {
    Deadline never = Deadline::never();
    const OwnerLock<Access::kWrite> holder(*set, key, never);
    ASSERT_EQ(&holder.shard(), &(*set)[0]);
    threads.start([&] {
      started = true;
      Deadline forever = Deadline::never();
      const OwnerLock<Access::kWrite> lock(*set, key, forever);
      right = lock.held() && &lock.shard() == &(*set)[1] && !is_locked(*set, 0);
    });
    while (!started) std::this_thread::yield();
    std::this_thread::sleep_for(20ms);  // most likely it waits for shard 0 by now
    move_buckets(*set, 2);
  }
  threads.join();
  EXPECT_TRUE(right);
}

TEST_F(ShardSetTest, ShardMaskVisitsInAscendingOrder) {
  ShardMask mask;
  for (const uint32_t index : {4095U, 64U, 0U, 63U, 64U, 1000U}) mask.add(index);
  std::vector<uint32_t> visited;
  EXPECT_TRUE(mask.for_each([&](uint32_t index) {
    visited.push_back(index);
    return true;
  }));
  EXPECT_EQ(visited, (std::vector<uint32_t>{0, 63, 64, 1000, 4095}));
  visited.clear();
  EXPECT_FALSE(mask.for_each([&](uint32_t index) {
    visited.push_back(index);
    return index < 64;
  }));
  EXPECT_EQ(visited, (std::vector<uint32_t>{0, 63, 64}));
  mask.clear();
  EXPECT_TRUE(mask.for_each([](uint32_t) { return false; }));
}

TEST_F(ShardSetTest, GroupLockHoldsItsShardsOrNone) {
  const auto set = make(8);
  ShardMask mask;
  for (const uint32_t index : {1U, 3U, 6U}) mask.add(index);
  Deadline deadline(1s);
  {
    GroupLock<Access::kWrite> group(*set, mask, deadline);
    ASSERT_TRUE(group.held());
    EXPECT_EQ(locked(*set, 8), (std::vector<uint32_t>{1, 3, 6}));
    group.unlock();
    EXPECT_TRUE(locked(*set, 8).empty());
  }
  for (const uint32_t obstacle : {1U, 3U, 6U}) {
    Deadline never = Deadline::never();
    ShardMask other;
    other.add(obstacle);
    const GroupLock<Access::kWrite> holder(*set, other, never);
    Deadline soon(5ms);
    const GroupLock<Access::kWrite> group(*set, mask, soon);
    EXPECT_FALSE(group.held());
    EXPECT_EQ(locked(*set, 8), std::vector<uint32_t>{obstacle});
  }
  EXPECT_TRUE(locked(*set, 8).empty());
}

TEST_F(ShardSetTest, AllLockHoldsEveryShardOrNone) {
  const auto set = make(5);
  Deadline deadline(1s);
  {
    const AllLock<Access::kRead> all(*set, deadline);
    ASSERT_TRUE(all.held());
    EXPECT_EQ(all.count(), 5U);
    EXPECT_EQ(locked(*set, 5).size(), 5U);
    const AllLock<Access::kRead> second(*set, deadline);
    EXPECT_TRUE(second.held());
  }
  ShardMask mask;
  mask.add(3);
  Deadline never = Deadline::never();
  const GroupLock<Access::kWrite> holder(*set, mask, never);
  Deadline soon(5ms);
  const AllLock<Access::kRead> all(*set, soon);
  EXPECT_FALSE(all.held());
  EXPECT_EQ(all.code(), StatusCode::kTimeout);
  EXPECT_EQ(locked(*set, 5), std::vector<uint32_t>{3});
}

TEST_F(ShardSetTest, AllLockDuringAMoveHoldsOldAndNewShards) {
  for (const auto& [from, to] : {std::pair{3U, 7U}, std::pair{7U, 3U}}) {
    const auto set = make(from);
    ASSERT_TRUE(set->routing().prepare());
    set->construct_shards(to);
    set->routing().begin(route_table(to), std::max(from, to));
    Deadline deadline(1s);
    const AllLock<Access::kWrite> all(*set, deadline);
    EXPECT_EQ(all.count(), 7U);
  }
}

TEST_F(ShardSetTest, D33_ClosedSetAnswersItsCodeToEveryGuard) {
  for (const StatusCode code : {StatusCode::kClosed, StatusCode::kNamespaceDeleted}) {
    const auto set = make(4);
    set->close(code);
    set->close(StatusCode::kInternal);  // the first one counts
    Deadline deadline(1s);
    const OwnerLock<Access::kRead> owner(*set, set->hashed("key"), deadline);
    EXPECT_FALSE(owner.held());
    EXPECT_EQ(owner.code(), code);
    const AllLock<Access::kWrite> all(*set, deadline);
    EXPECT_FALSE(all.held());
    EXPECT_EQ(all.code(), code);
    EXPECT_TRUE(locked(*set, 4).empty());
    set->clear();
  }
}

TEST_F(ShardSetTest, CloseWaitsForWhoIsInside) {
  const auto set = make(2);
  std::atomic<bool> released{false};
  std::atomic<bool> in_order{false};
  Threads threads;
  {
    Deadline never = Deadline::never();
    const OwnerLock<Access::kRead> reader(*set, set->hashed("key"), never);
    threads.start([&] {
      set->close(StatusCode::kClosed);
      in_order = released.load();
    });
    std::this_thread::sleep_for(20ms);
    released = true;
  }
  threads.join();
  EXPECT_TRUE(in_order);
}

}  // namespace
}  // namespace rkvs::internal
