// Progress and cancel of a resize.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store/routing.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using internal::NamespaceImpl;
using testing::HeldShard;
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

// How many entries the shards from `first` to `last` have.
size_t entries_in(const Namespace& ns, uint32_t first, uint32_t last) {
  auto& shards = NamespaceImpl::of(ns).shards();
  size_t count = 0;
  for (uint32_t i = first; i <= last; ++i) {
    const internal::ReaderLock lock(shards[i].mutex);
    count += shards[i].size();
  }
  return count;
}

// Keeps writers out of a shard, a resize among them.
class HeldForReading {
 public:
  HeldForReading(const Namespace& ns, uint32_t index) RKVS_NO_THREAD_SAFETY_ANALYSIS
      : mutex_(NamespaceImpl::of(ns).shards()[index].mutex) {
    mutex_.lock_shared();
  }
  ~HeldForReading() RKVS_NO_THREAD_SAFETY_ANALYSIS { mutex_.unlock_shared(); }
  HeldForReading(const HeldForReading&) = delete;
  HeldForReading& operator=(const HeldForReading&) = delete;

 private:
  internal::SharedMutex& mutex_;
};

// The resize is held up at the last shard that it empties, on its way and on its way back.
TEST(ResizeCancel, KeysThatHaveMovedAndMovedBackAreFoundMeanwhile) {
  Namespace ns = filled(4);
  const auto expect_all_but_those_in = [&](uint32_t shard) {
    int missing = 0;
    for (int i = 0; i < kKeys; ++i) {
      if (HeldShard::index_of(ns, key_of(i)) == shard) continue;
      missing += ns.get(key_of(i)).ok() ? 0 : 1;
    }
    EXPECT_EQ(missing, 0);
  };
  const auto& after = *internal::route_table(64);
  size_t leaving = 0;
  for (int i = 0; i < kKeys; ++i) {
    const uint32_t bucket =
        internal::bucket_of(NamespaceImpl::of(ns).shards().hashed(key_of(i)).hash);
    if (HeldShard::index_of(ns, key_of(i)) < 3 && after[bucket] > 3) ++leaving;
  }
  ASSERT_GT(leaving, static_cast<size_t>(kKeys / 2));

  OperationOptions options;
  options.cancel = CancelToken::create();
  auto held = std::make_unique<HeldForReading>(ns, 3);
  std::thread resize([&, handle = ns]() mutable {
    EXPECT_EQ(handle.resize_shards(64, options).code(), StatusCode::kCancelled);
  });
  while (NamespaceImpl::of(ns).shards().constructed() < 64 || entries_in(ns, 4, 63) < leaving)
    std::this_thread::yield();
  expect_all_but_those_in(3);

  auto last = std::make_unique<HeldForReading>(ns, 63);
  options.cancel.cancel();
  held.reset();
  while (entries_in(ns, 4, 62) != 0) std::this_thread::yield();
  expect_all_but_those_in(63);
  last.reset();
  resize.join();
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
