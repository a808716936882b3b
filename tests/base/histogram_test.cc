#include "base/histogram.h"

#include <gtest/gtest.h>

namespace rkvs::internal {
namespace {

TEST(Histogram, CountsEachDurationInTheClassWhoseBoundItDoesNotExceed) {
  for (size_t i = 0; i + 1 < Histogram::kClasses; ++i) {
    Histogram histogram;
    const auto bound = static_cast<int64_t>(Histogram::bound(i));
    histogram.record(std::chrono::nanoseconds(bound));
    EXPECT_EQ(histogram.count(i), 1U) << i;
    histogram.record(std::chrono::nanoseconds(bound + 1));
    EXPECT_EQ(histogram.count(i), 1U) << i;
    EXPECT_EQ(histogram.count(i + 1), 1U) << i;
    EXPECT_EQ(histogram.sum(), static_cast<uint64_t>(2 * bound + 1));
  }
  Histogram histogram;
  histogram.record(std::chrono::hours(1000));
  histogram.record(std::chrono::nanoseconds(0));
  histogram.record(std::chrono::nanoseconds(-5));
  EXPECT_EQ(histogram.count(Histogram::kClasses - 1), 1U);
  EXPECT_EQ(histogram.count(0), 2U);
}

}  // namespace
}  // namespace rkvs::internal
