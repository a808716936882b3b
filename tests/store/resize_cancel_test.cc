// Progress and cancel of a resize.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using internal::NamespaceImpl;
using testing::make_namespace;
using testing::stats_of;

constexpr int kKeys = 50000;

NamespaceConfig with_shards(uint32_t shard_count) {
  NamespaceConfig config = testing::patient();
  config.shard_count = shard_count;
  return config;
}

std::string key_of(int i) { return "key " + std::to_string(i); }

Namespace filled(uint32_t shard_count) {
  Namespace ns = make_namespace(with_shards(shard_count));
  for (int i = 0; i < kKeys; ++i) EXPECT_TRUE(ns.put(key_of(i), std::to_string(i)).ok());
  return ns;
}

void expect_whole(const Namespace& ns) {
  for (int i = 0; i < kKeys; ++i) {
    const auto value = ns.get(key_of(i));
    ASSERT_TRUE(value.ok()) << key_of(i) << ": " << value.status().to_string();
    ASSERT_EQ(value->view(), std::to_string(i));
  }
  EXPECT_EQ(ns.list_keys()->size(), static_cast<size_t>(kKeys));
}

// Cancels a resize when the hook is called for the first time, which is after its first step.
OperationOptions cancelled_in_the_middle() {
  OperationOptions options;
  options.cancel = CancelToken::create();
  options.progress = [token = options.cancel](const Progress&) { token.cancel(); };
  return options;
}

TEST(ResizeCancel, MovesEverythingBack) {
  for (const auto& [from, to] : {std::pair(4U, 64U), std::pair(64U, 4U), std::pair(1U, 2U)}) {
    SCOPED_TRACE(std::to_string(from) + " to " + std::to_string(to));
    Namespace ns = filled(from);
    const auto before = *ns.shard_key_counts();
    EXPECT_EQ(ns.resize_shards(to, cancelled_in_the_middle()).code(), StatusCode::kCancelled);
    EXPECT_EQ(ns.get_config().shard_count, from);
    EXPECT_EQ(*ns.shard_key_counts(), before) << "every key is where it was";
    expect_whole(ns);
    EXPECT_TRUE(ns.resize_shards(to).ok()) << "and the next one is free to go";
    EXPECT_EQ(ns.shard_key_counts()->size(), to);
    expect_whole(ns);
  }
}

TEST(ResizeCancel, LeavesAnAutomaticCountAutomatic) {
  Namespace ns = filled(0);
  const uint32_t before = stats_of(ns).shard_count;
  EXPECT_EQ(ns.resize_shards(7, cancelled_in_the_middle()).code(), StatusCode::kCancelled);
  EXPECT_EQ(ns.get_config().shard_count, 0U);
  EXPECT_EQ(stats_of(ns).shard_count, before);
  EXPECT_TRUE(NamespaceImpl::of(ns).resizer().is_automatic());
}

TEST(ResizeCancel, BeforeItBeganChangesNothing) {
  Namespace ns = filled(4);
  OperationOptions options;
  options.cancel = CancelToken::create();
  options.cancel.cancel();
  options.progress = [](const Progress&) { ADD_FAILURE() << "it never began"; };
  EXPECT_EQ(ns.resize_shards(64, options).code(), StatusCode::kCancelled);
  EXPECT_EQ(stats_of(ns).shard_count, 4U);
}

TEST(ResizeCancel, LosesNothingThatIsWrittenMeanwhile) {
  Namespace ns = filled(4);
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      for (int i = w; !stop; i = (i + 2) % kKeys) {
        const std::string extra = "extra " + std::to_string(i);
        ASSERT_TRUE(ns.put(key_of(i), std::to_string(i)).ok());
        ASSERT_TRUE(ns.put(extra, "x").ok());
        ASSERT_TRUE(ns.get(key_of(i)).ok()) << key_of(i);
        ASSERT_TRUE(*ns.delete_key(extra)) << extra;
      }
    });
  }
  // Inserts help a resize along: it may be done before it notices that it shall not.
  for (int round = 0; round < 8; ++round) {
    const uint32_t before = stats_of(ns).shard_count;
    const uint32_t to = before == 64 ? 3 : 64;
    const StatusCode code = ns.resize_shards(to, cancelled_in_the_middle()).code();
    EXPECT_TRUE(code == StatusCode::kCancelled || code == StatusCode::kOk);
    EXPECT_EQ(stats_of(ns).shard_count, code == StatusCode::kCancelled ? before : to);
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  expect_whole(ns);
}

TEST(ResizeProgress, GrowsToAllEntries) {
  Namespace ns = filled(4);
  std::vector<Progress> seen;
  OperationOptions options;
  options.progress = [&](const Progress& progress) { seen.push_back(progress); };
  EXPECT_TRUE(ns.resize_shards(64, options).ok());
  ASSERT_FALSE(seen.empty());
  uint64_t last = 0;
  for (const Progress& progress : seen) {
    EXPECT_EQ(progress.entries_total, static_cast<uint64_t>(kKeys));
    EXPECT_GE(progress.entries_done, last);
    last = progress.entries_done;
  }
  EXPECT_EQ(last, static_cast<uint64_t>(kKeys));
}

}  // namespace
}  // namespace rkvs
