#include "store/expiry_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace rkvs::internal {
namespace {

std::vector<int64_t> drained(ExpiryQueue& queue) {
  std::vector<int64_t> times;
  while (queue.earliest() != ExpiryQueue::kNever) {
    EXPECT_EQ(queue.earliest(), queue.earliest());
    times.push_back(queue.pop().at);
  }
  return times;
}

TEST(ExpiryQueue, GivesItemsInOrderOfTime) {
  std::mt19937_64 random(1);
  ExpiryQueue queue;
  std::vector<int64_t> expected;
  for (int i = 0; i < 2000; ++i) {
    const auto at = static_cast<int64_t>(random() % 500);
    ASSERT_TRUE(queue.prepare(1));
    queue.push({at, random()});
    expected.push_back(at);
  }
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(drained(queue), expected);
  EXPECT_EQ(queue.size(), 0U);
}

TEST(ExpiryQueue, SweepTakesOutWhatIsStaleAndKeepsTheOrder) {
  std::mt19937_64 random(2);
  ExpiryQueue queue;
  ASSERT_TRUE(queue.prepare(1000));
  std::vector<int64_t> kept;
  for (int i = 0; i < 1000; ++i) {
    const auto at = static_cast<int64_t>(random() % 300);
    queue.push({at, static_cast<uint64_t>(i)});
    if (i % 3 == 0) kept.push_back(at);
  }
  // Each item is looked at once, and what takes a removed one's place as well.
  queue.sweep(1000, [](const ExpiryQueue::Item& item) { return item.hash % 3 != 0; });
  queue.sweep(1000, [](const ExpiryQueue::Item& item) { return item.hash % 3 != 0; });
  std::sort(kept.begin(), kept.end());
  EXPECT_EQ(drained(queue), kept);
}

TEST(ExpiryQueue, SweepGoesOnWhereItStopped) {
  ExpiryQueue queue;
  ASSERT_TRUE(queue.prepare(10));
  for (int i = 0; i < 10; ++i) queue.push({i, static_cast<uint64_t>(i)});
  std::vector<uint64_t> seen;
  for (int i = 0; i < 5; ++i) {
    queue.sweep(2, [&](const ExpiryQueue::Item& item) {
      seen.push_back(item.hash);
      return false;
    });
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

}  // namespace
}  // namespace rkvs::internal
