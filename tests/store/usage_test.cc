#include "store/usage.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using rkvs::testing::scaled_down;
using rkvs::testing::Threads;

TEST(Usage, WithoutLimitReservesAnything) {
  Usage usage;
  EXPECT_EQ(usage.max_keys(), 0U);
  EXPECT_TRUE(usage.reserve(UINT64_MAX));
  EXPECT_TRUE(usage.reserve(UINT64_MAX));
  usage.release(1);
}

TEST(Usage, ReservesUpToTheLimit) {
  Usage usage;
  usage.set_limit(3, 0);
  EXPECT_EQ(usage.headroom(), 3U);
  EXPECT_TRUE(usage.reserve(2));
  EXPECT_FALSE(usage.reserve(2));  // all or none
  EXPECT_EQ(usage.headroom(), 1U);
  EXPECT_TRUE(usage.reserve(1));
  EXPECT_FALSE(usage.reserve(1));
  EXPECT_TRUE(usage.reserve(0));
  usage.release(2);
  EXPECT_EQ(usage.headroom(), 2U);
  EXPECT_TRUE(usage.reserve(2));
}

TEST(Usage, APeakMustFitAndIsNotReserved) {
  Usage usage;
  usage.set_limit(10, 5);
  int64_t fitting = 0;
  EXPECT_FALSE(usage.reserve_peak(6, 1, &fitting));
  EXPECT_EQ(fitting, 5);
  EXPECT_TRUE(usage.reserve_peak(5, 1, &fitting));
  EXPECT_EQ(usage.headroom(), 4U);
  EXPECT_TRUE(usage.reserve_peak(4, -3, &fitting));
  EXPECT_EQ(usage.headroom(), 4U) << "what is given back is released later";
}

TEST(Usage, BeyondTheLimitAPeakFitsOnceEnoughIsGivenBack) {
  Usage usage;
  usage.set_byte_limit(10, 15);
  EXPECT_EQ(usage.bytes_fitting(), -5);
  int64_t fitting = 0;
  EXPECT_TRUE(usage.reserve_peak_bytes(Budget::kNoPeak, -1, &fitting)) << "nothing is asked for";
  EXPECT_FALSE(usage.reserve_peak_bytes(-4, -4, &fitting));
  EXPECT_EQ(fitting, -5);
  EXPECT_TRUE(usage.reserve_peak_bytes(-5, -5, &fitting));
  usage.set_byte_limit(UINT64_MAX, 0);
  EXPECT_EQ(usage.bytes_fitting(), INT64_MAX);
  usage.set_byte_limit(1, UINT64_MAX);
  EXPECT_EQ(usage.bytes_fitting(), -INT64_MAX);
}

TEST(Usage, LargeCountsDoNotWrap) {
  Usage usage;
  usage.set_limit(10, 5);
  EXPECT_FALSE(usage.reserve(UINT64_MAX));
  EXPECT_FALSE(usage.reserve(UINT64_MAX - 4));
  EXPECT_EQ(usage.headroom(), 5U);
  usage.set_limit(UINT64_MAX, 0);
  EXPECT_TRUE(usage.reserve(UINT64_MAX));
  EXPECT_FALSE(usage.reserve(1));
}

TEST(Usage, NewLimitStartsFromTheGivenCount) {
  Usage usage;
  usage.set_limit(10, 8);
  EXPECT_EQ(usage.headroom(), 2U);
  usage.set_limit(8, 8);
  EXPECT_EQ(usage.headroom(), 0U);
  EXPECT_FALSE(usage.reserve(1));
  usage.set_limit(0, 8);
  EXPECT_TRUE(usage.reserve(1000));
}

TEST(Usage, D24_ConcurrentReservationsNeverExceedTheLimit) {
  constexpr uint64_t kLimit = 100;
  Usage usage;
  usage.set_limit(kLimit, 0);
  std::atomic<uint64_t> held{0};
  std::atomic<bool> exceeded{false};
  Threads threads;
  threads.start(4, [&](int thread) {
    const auto count = static_cast<uint64_t>(thread + 20);
    for (int i = 0; i < scaled_down(20000); ++i) {
      if (!usage.reserve(count)) continue;
      if (held.fetch_add(count) + count > kLimit) exceeded.store(true);
      held.fetch_sub(count);
      usage.release(count);
    }
  });
  threads.join();
  EXPECT_FALSE(exceeded.load());
  EXPECT_EQ(usage.headroom(), kLimit);
}

}  // namespace
}  // namespace rkvs::internal
