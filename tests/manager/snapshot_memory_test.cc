// What a save and a load take beside the store itself.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <algorithm>
#include <string>
#include <utility>

#include "tests/manager/failing_new.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;

// Entries live in the arena: what operator new gives is what the save or load itself needs.
TEST(SnapshotMemory, D9_SavesAndLoadsHoldChunksAndNotTheStore) {
  constexpr int kKeys = 20'000;
  constexpr int64_t kValueSize = 2000;
  constexpr int64_t kStoreSize = kKeys * kValueSize;
  // A few chunks of 1 MiB, and 8 bytes an entry for the images.
  constexpr int64_t kAllowed = 6 << 20;
  static_assert(kAllowed < kStoreSize / 5);
  const TempDir directory;
  StorageManager manager = manager_in(directory);
  ASSERT_OK(manager.initialize());
  Namespace ns = *manager.create_namespace("n");
  const std::string value(kValueSize, 'v');
  for (int i = 0; i < kKeys; ++i) ASSERT_OK(ns.put(std::to_string(i), value));

  start_counting_memory();
  ASSERT_OK(manager.save_all("f"));
  EXPECT_LT(peak_of_memory(), kAllowed);
  EXPECT_GT(peak_of_memory(), 100'000) << "nothing was counted";

  StorageManager other = manager_in(directory);
  start_counting_memory();
  ASSERT_OK(other.initialize("f"));
  EXPECT_LT(peak_of_memory(), kAllowed);
  EXPECT_GT(peak_of_memory(), 100'000) << "nothing was counted";
  EXPECT_EQ(*other.total_key_count(), static_cast<uint64_t>(kKeys));
}

}  // namespace
}  // namespace rkvs
