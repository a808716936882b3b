// The largest values there are, through a file and back.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;

// No two stretches of it are the same, as far as pieces of a file could be exchanged.
std::string long_value(size_t size) {
  std::string value(size, '\0');
  uint64_t state = size;
  for (size_t i = 0; i + 8 <= size; i += 8) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    value.replace(i, 8, reinterpret_cast<const char*>(&state), 8);
  }
  return value;
}

// EXPECT_EQ would print them.
void expect_same(std::string_view value, std::string_view expected) {
  ASSERT_EQ(value.size(), expected.size());
  const auto [at, other] = std::mismatch(value.begin(), value.end(), expected.begin());
  EXPECT_TRUE(at == value.end()) << "differs at byte " << at - value.begin();
}

void save_and_load(size_t value_size) {
  const TempDir directory;
  const std::string large_key(kLargestMaxKeySize, 'k');
  {
    StorageManager manager = manager_in(directory);
    ASSERT_OK(manager.initialize());
    Namespace ns = *manager.create_namespace("n", {.max_key_size = kLargestMaxKeySize});
    ASSERT_OK(ns.put("small", "before"));
    ASSERT_OK(ns.put(large_key, long_value(value_size)));
    ASSERT_OK(ns.put("small too", "behind"));
    ASSERT_OK(manager.save_all("f"));
  }
  StorageManager manager = manager_in(directory);
  ASSERT_OK(manager.initialize("f"));
  const Namespace ns = find(manager, "n");
  EXPECT_EQ(*ns.get("small"), "before");
  EXPECT_EQ(*ns.get("small too"), "behind");
  const auto value = ns.get(large_key);
  ASSERT_OK(value);
  expect_same(value->view(), long_value(value_size));
}

TEST(LargeValue, Of20MiBAndALargestKeyComeBack) { save_and_load(size_t{20} << 20); }

TEST(LargeValue, Of16MiBAndTheBytesAroundComeBack) {
  for (const size_t around : {size_t{0}, size_t{1}, size_t{2}}) {
    save_and_load((size_t{16} << 20) - 1 + around);
  }
}

// Takes 3 GiB of memory and 1 GiB of disk.
TEST(LargeValue, OfTheLargestSizeComesBack) {
  if (test_scale() < 10) GTEST_SKIP() << "RKVS_TEST_SCALE=10 runs it";
  save_and_load(kLargestValueSize);
}

}  // namespace
}  // namespace rkvs
