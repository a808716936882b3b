// Going through all keys.
#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using testing::HashedTest;
using testing::is_ok;
using testing::make_namespace;
using testing::numbered;
using testing::scaled_down;
using testing::sorted_keys;
using testing::StopAtExit;
using testing::Threads;

class ListKeysTest : public HashedTest {
 protected:
  static std::vector<std::string> fill(Namespace& ns, std::string_view prefix, int count) {
    std::vector<std::string> keys;
    for (int i = 0; i < count; ++i) {
      keys.push_back(numbered(prefix, i));
      EXPECT_TRUE(is_ok(ns.put(keys.back(), "v")));
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }
  // Those of `keys`, sorted, that begin with "stable".
  static std::vector<std::string> stable_ones(std::vector<std::string> keys) {
    std::erase_if(keys, [](const std::string& key) { return key.rfind("stable", 0) != 0; });
    std::sort(keys.begin(), keys.end());
    return keys;
  }
};
INSTANTIATE_TEST_SUITE_P(Hashes, ListKeysTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

TEST_P(ListKeysTest, OfAnEmptyNamespaceIsEmpty) {
  const auto keys = make().list_keys();
  ASSERT_TRUE(is_ok(keys));
  EXPECT_TRUE(keys->empty());
}

TEST_P(ListKeysTest, HasEveryKeyOnceWithAnyNumberOfShards) {
  for (const uint32_t shard_count : {0U, 1U, 2U, 7U, 500U}) {
    NamespaceConfig config = testing::patient();
    config.shard_count = shard_count;
    Namespace ns = make(config);
    const auto keys = fill(ns, "k", key_count(3000));
    EXPECT_EQ(sorted_keys(ns), keys);
  }
}

TEST_P(ListKeysTest, HasEveryKeyOnceAfterEachResize) {
  Namespace ns = make();
  const auto keys = fill(ns, "k", key_count(3000));
  for (const uint32_t shard_count : {1U, 40U, 3U, 64U, 2U, 1U}) {
    ASSERT_TRUE(is_ok(ns.resize_shards(shard_count)));
    ASSERT_EQ(sorted_keys(ns), keys) << shard_count;
  }
}

TEST_P(ListKeysTest, D32_StableKeysAreListedExactlyOnceWhileOthersComeAndGoAndShardsChange) {
  Namespace ns = make();
  const auto stable = fill(ns, "stable", key_count(scaled_down(4000)));
  std::atomic<bool> stop{false};
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  threads.start([&] {
    for (uint32_t i = 0; !stop; ++i) {
      ASSERT_TRUE(is_ok(ns.resize_shards(1 + i * 7 % 40)));
    }
  });
  threads.start([&] {
    for (int i = 0; !stop; ++i) {
      ASSERT_TRUE(is_ok(ns.put(numbered("other", i % 500), "v")));
      ASSERT_TRUE(is_ok(ns.delete_key(numbered("other", (i + 250) % 500))));
    }
  });
  for (int i = 0; i < scaled_down(40, 4); ++i) {
    auto keys = ns.list_keys();
    ASSERT_TRUE(is_ok(keys));
    ASSERT_EQ(stable_ones(*std::move(keys)), stable);
  }
}

TEST(ListKeys, D32_StableKeysAreListedExactlyOnceWhileTheNamespaceGrowsByItself) {
  Namespace ns = make_namespace();
  std::vector<std::string> stable;
  for (int i = 0; i < 5000; ++i) {
    stable.push_back(numbered("stable", i));
    ASSERT_TRUE(is_ok(ns.put(stable.back(), "v")));
  }
  std::sort(stable.begin(), stable.end());
  std::atomic<bool> stop{false};
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  const int count = scaled_down(150000, 1);
  threads.start([&] {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("other", i), "v")));
    stop = true;
  });
  do {
    auto keys = ns.list_keys();
    ASSERT_TRUE(is_ok(keys));
    std::erase_if(*keys, [](const std::string& key) { return key[0] != 's'; });
    std::sort(keys->begin(), keys->end());
    ASSERT_TRUE(*keys == stable) << keys->size();
  } while (!stop && !HasFailure());
  threads.join();
  EXPECT_GT(testing::stats_of(ns).shard_count, 16U) << "it did not grow";
  EXPECT_EQ(ns.list_keys()->size(), static_cast<size_t>(count + 5000));
}

}  // namespace
}  // namespace rkvs
