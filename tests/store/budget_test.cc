#include "store/budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using rkvs::testing::scaled_down;
using rkvs::testing::Threads;

constexpr uint64_t kPortion = 4;
// So large that threads keep something while less than half is in use.
constexpr uint64_t kLimit = 4 * kThreadSlots * kPortion;

void on_another_thread(const std::function<void()>& work) { std::thread(work).join(); }

TEST(Budget, WhatAThreadTookInAdvanceIsNotInUse) {
  Budget budget(kPortion);
  budget.set(kLimit, 0);
  EXPECT_TRUE(budget.reserve(1));
  EXPECT_EQ(budget.used(), 1U);
  EXPECT_EQ(budget.headroom(), kLimit - 1);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(budget.reserve(1));
  EXPECT_EQ(budget.used(), 21U);
  EXPECT_EQ(budget.fitting(), static_cast<int64_t>(kLimit) - 21);
}

TEST(Budget, WhatAThreadGaveBackIsNotInUse) {
  Budget budget(kPortion);
  budget.set(kLimit, 50);
  for (uint64_t i = 1; i <= 50; ++i) {
    budget.charge(-1);
    if (i % 7 == 0) {
      EXPECT_EQ(budget.used(), 50 - i);
    }
  }
  EXPECT_EQ(budget.used(), 0U);
}

TEST(Budget, NobodyIsRefusedWhatAnotherThreadOnlyKeeps) {
  Budget budget(kPortion);
  budget.set(kLimit, 0);
  EXPECT_TRUE(budget.reserve(1));  // and keeps a portion
  on_another_thread([&] {
    EXPECT_TRUE(budget.reserve(kLimit - 2));
    EXPECT_TRUE(budget.reserve(1));
    uint64_t fitting = 99;
    EXPECT_FALSE(budget.reserve(1, &fitting));
    EXPECT_EQ(fitting, 0U);
  });
  EXPECT_FALSE(budget.reserve(1)) << "what it kept has been collected";
  EXPECT_EQ(budget.used(), kLimit);
}

TEST(Budget, APeakMayTakeWhatOthersOnlyKeep) {
  Budget budget(kPortion);
  budget.set(kLimit, 0);
  EXPECT_TRUE(budget.reserve(1));
  const auto rest = static_cast<int64_t>(kLimit) - 1;
  int64_t fitting = 0;
  on_another_thread([&] {
    EXPECT_FALSE(budget.reserve_peak(rest + 1, 1, &fitting));
    EXPECT_EQ(fitting, rest);
    EXPECT_TRUE(budget.reserve_peak(rest, rest, &fitting));
  });
  EXPECT_EQ(budget.headroom(), 0U);
}

TEST(Budget, BeyondTheLimitNothingThatIsKeptIsSpent) {
  for (const int64_t beyond : {0, 1, 2000}) {
    Budget budget(kPortion);
    budget.set(kLimit, 0);
    EXPECT_TRUE(budget.reserve(1));  // and keeps a portion
    budget.charge(static_cast<int64_t>(kLimit) - 1 + beyond);
    EXPECT_FALSE(budget.reserve(1)) << beyond;
    EXPECT_EQ(budget.fitting(), -beyond);
    budget.charge(-beyond - 1);
    EXPECT_TRUE(budget.reserve(1));
    EXPECT_FALSE(budget.reserve(1));
  }
}

TEST(Budget, AnotherLimitForgetsWhatIsKept) {
  Budget budget(kPortion);
  budget.set(kLimit, 0);
  EXPECT_TRUE(budget.reserve(1));
  budget.set(10, 1);
  EXPECT_EQ(budget.headroom(), 9U);
  EXPECT_TRUE(budget.reserve(9));
  EXPECT_FALSE(budget.reserve(1));
  budget.set(0, 0);
  EXPECT_TRUE(budget.reserve(UINT64_MAX));
  budget.charge(-5);
  budget.set(kLimit, 10);
  EXPECT_EQ(budget.used(), 10U);
}

TEST(Budget, ThreadsThatTakeOneByOneGetExactlyTheLimit) {
  for (int round = 0; round < scaled_down(50); ++round) {
    Budget budget(kPortion);
    budget.set(kLimit, 0);
    std::atomic<uint64_t> granted{0};
    {
      Threads threads;
      for (int t = 0; t < 4; ++t) {
        threads.start([&] {
          while (budget.reserve(1)) ++granted;
        });
      }
    }
    ASSERT_EQ(granted, kLimit);
    ASSERT_EQ(budget.used(), kLimit);
  }
}

// Each thread announces what it takes after it has it, and what it gives back before: so the sum
// that is announced is never more than what is in use.
TEST(Budget, NeverGivesOutMoreThanThereIsNorLosesAny) {
  for (int round = 0; round < scaled_down(20); ++round) {
    Budget budget(kPortion);
    budget.set(kLimit, 0);
    std::atomic<int64_t> announced{0};
    std::atomic<bool> too_much{false};
    {
      Threads threads;
      for (unsigned t = 0; t < 4; ++t) {
        threads.start([&, t] {
          std::minstd_rand random(t + 1);
          std::vector<uint64_t> mine;
          for (int i = 0; i < 3000; ++i) {
            const uint64_t amount = 1 + random() % (i % 100 == 0 ? kLimit / 3 : kPortion);
            if (random() % 5 < 3 && budget.reserve(amount)) {
              mine.push_back(amount);
              announced += static_cast<int64_t>(amount);
              if (announced > static_cast<int64_t>(kLimit)) too_much = true;
            } else if (!mine.empty()) {
              announced -= static_cast<int64_t>(mine.back());
              budget.charge(-static_cast<int64_t>(mine.back()));
              mine.pop_back();
            }
            if (random() % 64 == 0 && budget.used() > kLimit) too_much = true;
          }
        });
      }
    }
    ASSERT_FALSE(too_much);
    ASSERT_EQ(budget.used(), static_cast<uint64_t>(announced));
    const uint64_t rest = kLimit - budget.used();
    ASSERT_FALSE(budget.reserve(rest + 1));
    ASSERT_TRUE(budget.reserve(rest));
  }
}

}  // namespace
}  // namespace rkvs::internal
