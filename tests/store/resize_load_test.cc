// Resizes of shards that are large and busy.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "store/namespace_impl.h"

namespace rkvs::internal {
namespace {

std::string key_of(int writer, int i) { return std::to_string(writer) + "/" + std::to_string(i); }

// However fast keys come into the shard that is being emptied, the resize gets to its end and no
// write is held up beyond its deadline.
TEST(ResizeLoad, D21_OfOneLargeShardEndsWhileWritersInsert) {
  const auto impl = *NamespaceImpl::create("test", {.shard_count = 1});
  Namespace ns = NamespaceImpl::handle(impl);
  constexpr int kBefore = 60'000;
  constexpr int kMost = 200'000;
  for (int i = 0; i < kBefore; ++i) ASSERT_TRUE(ns.put(key_of(9, i), "v").ok());
  std::atomic<bool> stop{false};
  std::atomic<int> inserted[2] = {0, 0};
  std::vector<std::thread> writers;
  for (int w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      // Bounded, so that a machine on which resizing gets few turns is not filled meanwhile.
      while (!stop && inserted[w] < kMost) {
        const int i = inserted[w];
        ASSERT_TRUE(ns.put(key_of(w, i), "v").ok());
        // Deletions and overwrites on the way, which the look through the table must survive.
        if (i % 3 == 0) {
          ASSERT_TRUE(*ns.delete_key(key_of(w, i)));
        }
        if (i % 5 == 0) {
          ASSERT_TRUE(ns.put(key_of(9, i % kBefore), "w").ok());
        }
        inserted[w] = i + 1;
      }
    });
  }
  // There and back, with the writers at work throughout.
  for (const uint32_t count : {7U, 1U, 16U, 2U}) {
    const int at_least = std::min(inserted[0] + 1000, kMost);
    while (inserted[0] < at_least) std::this_thread::yield();
    ASSERT_TRUE(ns.resize_shards(count).ok());
    EXPECT_EQ(ns.shard_key_counts()->size(), count);
  }
  stop = true;
  for (auto& writer : writers) writer.join();

  std::set<std::string> expected;
  for (int i = 0; i < kBefore; ++i) expected.insert(key_of(9, i));
  for (int w = 0; w < 2; ++w) {
    for (int i = 0; i < inserted[w]; ++i) {
      if (i % 3 != 0) expected.insert(key_of(w, i));
    }
  }
  const auto listed = ns.list_keys();
  ASSERT_TRUE(listed.ok());
  EXPECT_EQ(listed->size(), expected.size());
  EXPECT_EQ(std::set<std::string>(listed->begin(), listed->end()), expected);
}

TEST(ResizeLoad, ALargeShardThatBecomesAutomaticIsSplitByInserts) {
  const auto impl = *NamespaceImpl::create("test", {.shard_count = 1});
  Namespace ns = NamespaceImpl::handle(impl);
  for (int i = 0; i < 50'000; ++i) ASSERT_TRUE(ns.put(key_of(0, i), "v").ok());
  ASSERT_TRUE(ns.resize_shards(0).ok());
  int i = 50'000;
  while (ns.shard_key_counts()->size() < 16 ||
         !Routing::is_settled(impl->shards().routing().generation())) {
    ASSERT_TRUE(ns.put(key_of(0, i++), "v").ok());
    ASSERT_LT(i, 1'000'000);
  }
  for (int k = 0; k < i; ++k) ASSERT_TRUE(*ns.exists(key_of(0, k))) << k;
}

TEST(ResizeLoad, EndsByDeletionsAloneOnceBegun) {
  const auto impl = *NamespaceImpl::create("test", {});
  Namespace ns = NamespaceImpl::handle(impl);
  int i = 0;
  while (Routing::is_settled(impl->shards().routing().generation())) {
    ASSERT_TRUE(ns.put(key_of(0, i++), "v").ok());
    ASSERT_LT(i, 1'000'000);
  }
  for (int k = 0; k < i; ++k) ASSERT_TRUE(*ns.delete_key(key_of(0, k)));
  EXPECT_TRUE(Routing::is_settled(impl->shards().routing().generation()));
  EXPECT_EQ(ns.metadata()->key_count, 0U);
}

}  // namespace
}  // namespace rkvs::internal
