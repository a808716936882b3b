// Scans, delete_prefix and clear: what they must see whatever else happens.
#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/support/manual_time.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using testing::HashedTest;
using testing::is_ok;
using testing::numbered;
using testing::scaled_down;
using testing::StopAtExit;
using testing::Threads;

// All items of a walk, by key; a key that comes twice fails the test.
std::map<std::string, ScanItem> scan_all(const Namespace& ns, const ScanOptions& options = {},
                                         size_t limit = 100) {
  std::map<std::string, ScanItem> items;
  auto scan = ns.scan(options);
  EXPECT_TRUE(is_ok(scan));
  while (!scan->is_done()) {
    auto step = scan->next(limit);
    EXPECT_TRUE(is_ok(step));
    if (!step.ok()) break;
    EXPECT_LE(step->size(), limit);
    for (ScanItem& item : *step) {
      std::string key = item.key;
      EXPECT_TRUE(items.emplace(key, std::move(item)).second) << key << " came twice";
    }
  }
  return items;
}

std::vector<std::string> keys_of(const std::map<std::string, ScanItem>& items) {
  std::vector<std::string> keys;
  for (const auto& item : items) keys.push_back(item.first);
  return keys;
}

class ScanTest : public HashedTest {
 protected:
  static std::vector<std::string> fill(Namespace& ns, std::string_view prefix, int count) {
    std::vector<std::string> keys;
    for (int i = 0; i < count; ++i) {
      keys.push_back(numbered(prefix, i));
      EXPECT_TRUE(is_ok(ns.put(keys.back(), "value of " + keys.back())));
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }

  // Other keys come and go, values change, and shards grow and shrink, while `work()` runs.
  template <typename Work>
  static void under_writers(const Namespace& ns, std::vector<std::string> stable, Work work) {
    std::atomic<bool> stop{false};
    Threads threads;
    const StopAtExit stop_at_exit(stop);
    threads.start([&stop, handle = ns]() mutable {
      for (uint32_t i = 0; !stop; ++i) ASSERT_TRUE(is_ok(handle.resize_shards(1 + i * 7 % 40)));
    });
    threads.start([&stop, handle = ns]() mutable {
      for (int i = 0; !stop; ++i) {
        ASSERT_TRUE(is_ok(handle.put(numbered("other", i % 500), "v")));
        ASSERT_TRUE(is_ok(handle.delete_key(numbered("other", (i + 250) % 500))));
      }
    });
    threads.start([&stop, &stable, handle = ns]() mutable {
      for (size_t i = 0; !stop && !stable.empty(); ++i) {
        const std::string& key = stable[i % stable.size()];
        const auto updated = handle.update(key, "value of " + key);
        ASSERT_TRUE(updated.ok() || updated.code() == StatusCode::kNotFound);
      }
    });
    work();
  }
};

INSTANTIATE_TEST_SUITE_P(Hashes, ScanTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

TEST_P(ScanTest, OfAnEmptyNamespaceEnds) {
  const Namespace ns = make();
  Scan scan = *ns.scan();
  EXPECT_FALSE(scan.is_done());
  while (!scan.is_done()) EXPECT_TRUE(scan.next()->empty());
  EXPECT_TRUE(scan.next()->empty()) << "behind the end there is nothing";
}

TEST_P(ScanTest, GivesEveryKeyOnceWithValueAndVersion) {
  for (const uint32_t shard_count : {0U, 1U, 7U, 500U}) {
    Namespace ns = make(testing::patient({.shard_count = shard_count}));
    const auto keys = fill(ns, "k", key_count(2000));
    const auto items = scan_all(ns);
    ASSERT_EQ(keys_of(items), keys) << shard_count;
    for (const auto& [key, item] : items) {
      ASSERT_EQ(*item.value, "value of " + key);
      ASSERT_EQ(item.version, ns.get_with_version(key)->version);
    }
  }
}

TEST_P(ScanTest, LeavesValuesOutWhereNotWanted) {
  Namespace ns = make();
  fill(ns, "k", 50);
  const auto items = scan_all(ns, {.with_values = false});
  ASSERT_EQ(items.size(), 50U);
  for (const auto& [key, item] : items) {
    EXPECT_FALSE(item.value.has_value());
    EXPECT_EQ(item.version, ns.get_with_version(key)->version);
  }
}

TEST_P(ScanTest, LimitBoundsEveryStep) {
  Namespace ns = make(testing::patient({.shard_count = 3}));
  const auto keys = fill(ns, "k", 300);
  for (const size_t limit : {size_t{1}, size_t{7}, size_t{100}, size_t{1000}, SIZE_MAX}) {
    EXPECT_EQ(keys_of(scan_all(ns, {}, limit)), keys) << limit;
  }
  Scan scan = *ns.scan();
  EXPECT_EQ(scan.next(0).code(), StatusCode::kInvalidArgument);
  size_t seen = 0;
  while (!scan.is_done()) seen += scan.next(10)->size();
  EXPECT_EQ(seen, keys.size()) << "the walk goes on after an error";
}

TEST_P(ScanTest, PrefixIsOfBytesAndMayBeAWholeKey) {
  Namespace ns = make();
  using Keys = std::vector<std::string>;
  const Keys keys = {"",
                     std::string(1, '\0'),
                     std::string("\0a", 2),
                     "a",
                     std::string("a\0", 2),
                     std::string("a\0b", 3),
                     "ab",
                     "abc",
                     "b",
                     "\xff",
                     "\xff\xfe"};
  for (const std::string& key : keys) ASSERT_TRUE(is_ok(ns.put(key, "v")));
  const auto begin_with = [&](const std::string& prefix) {
    Keys found;
    for (const std::string& key : keys) {
      if (key.compare(0, prefix.size(), prefix) == 0) found.push_back(key);
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  const auto sorted = [](Keys some) {
    std::sort(some.begin(), some.end());
    return some;
  };
  for (const std::string& prefix : keys) {
    EXPECT_EQ(sorted(keys_of(scan_all(ns, {.prefix = prefix}))), begin_with(prefix));
  }
  EXPECT_EQ(begin_with(std::string("a\0", 2)).size(), 2U) << "the test itself";
  EXPECT_TRUE(scan_all(ns, {.prefix = "abcd"}).empty());
}

TEST_P(ScanTest, D32_BinaryKeysComeWhole) {
  Namespace ns = make();
  std::set<std::string> keys;
  for (int i = 0; i < 256; ++i) {
    const auto c = static_cast<char>(i);
    for (const std::string& key : {std::string(1, c), std::string("k\0", 2) + c,
                                   std::string(3, c) + '\0', "\xc3\x28" + std::string(1, c)}) {
      ASSERT_TRUE(is_ok(ns.put(key, key)));
      keys.insert(key);
    }
  }
  const auto items = scan_all(ns, {}, 7);
  ASSERT_EQ(items.size(), keys.size());
  for (const auto& [key, item] : items) {
    EXPECT_TRUE(keys.contains(key));
    EXPECT_EQ(*item.value, key);
  }
}

TEST_P(ScanTest, ValuesStayWhatTheyWereWhenListed) {
  Namespace ns = make(testing::patient({.shard_count = 1}));
  const auto keys = fill(ns, "k", 100);
  Scan scan = *ns.scan();
  auto first = *scan.next(1);
  for (const std::string& key : keys) ASSERT_TRUE(is_ok(ns.put(key, "VALUE OF " + key)));
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(*first[0].value, "value of " + first[0].key);
  // The others of the shard were listed with it, at one instant.
  while (!scan.is_done()) {
    const auto items = *scan.next(10);
    for (const ScanItem& item : items) EXPECT_EQ(*item.value, "value of " + item.key);
  }
}

TEST_P(ScanTest, OutlivesItsHandleAndTellsOfDeletion) {
  Scan scan = [] {
    Namespace ns = make(testing::patient({.shard_count = 2}));
    fill(ns, "k", 100);
    return *ns.scan();
  }();
  size_t seen = 0;
  while (!scan.is_done()) seen += scan.next(30)->size();
  EXPECT_EQ(seen, 100U);

  Namespace ns = make();
  fill(ns, "k", 100);
  Scan walk = *ns.scan();
  testing::NamespaceImpl::of(ns).close(StatusCode::kNamespaceDeleted);
  EXPECT_EQ(walk.next().code(), StatusCode::kNamespaceDeleted);
}

TEST_P(ScanTest, ATimeoutCanBeTriedAgain) {
  NamespaceConfig config = testing::patient({.shard_count = 1});
  config.lock_timeout = std::chrono::milliseconds(20);
  Namespace ns = make(config);
  const auto keys = fill(ns, "k", 100);
  Scan scan = *ns.scan();
  {
    const testing::HeldShard held(ns, "k");
    EXPECT_EQ(scan.next().code(), StatusCode::kTimeout);
    EXPECT_FALSE(scan.is_done());
  }
  ASSERT_TRUE(is_ok(ns.set_lock_timeout(std::chrono::minutes(5))));
  size_t seen = 0;
  while (!scan.is_done()) seen += scan.next(30)->size();
  EXPECT_EQ(seen, keys.size());
}

TEST_P(ScanTest, D32_StableKeysComeExactlyOnceWhileOthersComeAndGoAndShardsChange) {
  Namespace ns = make();
  const auto stable = fill(ns, "stable", key_count(scaled_down(4000)));
  under_writers(ns, stable, [&] {
    for (int i = 0; i < scaled_down(30, 5) && !HasFailure(); ++i) {
      const auto items = scan_all(ns, {.prefix = i % 2 == 0 ? "stable" : ""}, 1 + i * 37 % 500);
      std::vector<std::string> found;
      for (const auto& [key, item] : items) {
        if (!key.starts_with("stable")) continue;
        found.push_back(key);
        ASSERT_EQ(*item.value, "value of " + key);
      }
      ASSERT_EQ(found, stable);
    }
  });
}

TEST(ScanGrowth, D32_StableKeysComeExactlyOnceWhileTheNamespaceGrowsByItself) {
  Namespace ns = testing::make_namespace();
  std::set<std::string> stable;
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(is_ok(ns.put(*stable.insert(numbered("stable", i)).first, "v")));
  }
  std::atomic<bool> stop{false};
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  const int count = scaled_down(150000, 1);
  threads.start([&] {
    for (int i = 0; i < count && !stop; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("other", i), "v")));
    stop = true;
  });
  do {
    const auto items = scan_all(ns, {.prefix = "stable", .with_values = false});
    ASSERT_EQ(items.size(), stable.size());
    for (const auto& item : items) ASSERT_TRUE(stable.contains(item.first));
  } while (!stop && !HasFailure());
  threads.join();
  EXPECT_GT(testing::stats_of(ns).shard_count, 16U) << "it did not grow";
}

// --- delete_prefix and clear
// -----------------------------------------------------------------------

class DeletePrefixTest : public ScanTest {};

INSTANTIATE_TEST_SUITE_P(Hashes, DeletePrefixTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

TEST_P(DeletePrefixTest, RemovesTheseAndNothingElse) {
  Namespace ns = make();
  const auto kept = fill(ns, "kept", key_count(1000));
  fill(ns, "gone", key_count(1000));
  ASSERT_TRUE(is_ok(ns.put(std::string("gone\0\xff", 6), "v")));
  EXPECT_EQ(*ns.delete_prefix("gone"), static_cast<uint64_t>(key_count(1000)) + 1);
  EXPECT_EQ(*ns.delete_prefix("gone"), 0U);
  EXPECT_EQ(testing::sorted_keys(ns), kept);
  EXPECT_EQ(*ns.delete_prefix(""), kept.size());
  EXPECT_EQ(testing::count_of(ns), 0U);
}

TEST_P(DeletePrefixTest, CountsAndRemovesNothingThatHasExpired) {
  testing::ManualTime time;
  auto impl = testing::NamespaceImpl::create("test", testing::patient(), 0,
                                             testing::key_hash(GetParam()), time);
  Namespace ns = testing::NamespaceImpl::handle(*std::move(impl));
  using std::chrono::milliseconds;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(is_ok(ns.put(numbered("k", i), "v", {.expire_after = milliseconds(1 + i % 2)})));
  }
  time.advance(milliseconds(1));
  EXPECT_EQ(*ns.delete_prefix("k"), 50U);
  EXPECT_EQ(*ns.clear(), 0U);
}

TEST_P(DeletePrefixTest, UnderWritersAndResizesTakesEveryStableKeyAndLeavesTheRest) {
  Namespace ns = make();
  const auto kept = fill(ns, "stable", key_count(scaled_down(1000)));
  under_writers(ns, kept, [&] {
    for (int i = 0; i < scaled_down(20, 4) && !HasFailure(); ++i) {
      const auto gone = fill(ns, "gone", key_count(300));
      ASSERT_EQ(*ns.delete_prefix("gone"), gone.size());
      for (const std::string& key : gone) ASSERT_FALSE(*ns.exists(key));
      for (const std::string& key : kept) ASSERT_TRUE(*ns.exists(key));
    }
  });
}

class ClearTest : public ScanTest {};

INSTANTIATE_TEST_SUITE_P(Hashes, ClearTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

TEST_P(ClearTest, LeavesNothingAndTheNamespaceUsable) {
  Namespace ns = make(testing::patient({.max_keys = 3000}));
  fill(ns, "k", key_count(3000));
  const Value held = *ns.get("k1");
  EXPECT_EQ(*ns.clear(), static_cast<uint64_t>(key_count(3000)));
  EXPECT_EQ(*ns.clear(), 0U);
  EXPECT_TRUE(ns.list_keys()->empty());
  EXPECT_EQ(testing::stats_of(ns).total_size, 0U);
  EXPECT_EQ(held, "value of k1") << "who holds a value keeps it";
  const auto keys = fill(ns, "n", key_count(3000));
  EXPECT_EQ(testing::sorted_keys(ns), keys) << "the limit is free again";
}

TEST_P(ClearTest, IsOneInstantForAllKeys) {
  Namespace ns = make();
  std::atomic<bool> stop{false};
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  threads.start([&] {
    for (uint32_t i = 0; !stop; ++i) ASSERT_TRUE(is_ok(ns.resize_shards(1 + i * 7 % 40)));
  });
  threads.start([&] {
    while (!stop) ASSERT_TRUE(is_ok(ns.clear()));
  });
  threads.start([&] {
    // Both or none: written together, cleared together.
    while (!stop) {
      ASSERT_TRUE(ns.set_multiple({{"a", "1"}, {"b", "1"}}, BatchMode::kAllOrNothing).is_success());
    }
  });
  int both = 0;
  int none = 0;
  for (int i = 0; i < scaled_down(20000) || ((both == 0 || none == 0) && i < 10'000'000); ++i) {
    const BatchResult seen = ns.exists_multiple({"a", "b"}, BatchMode::kAllOrNothing);
    ASSERT_TRUE(is_ok(seen.status));
    ASSERT_NE(seen.total_processed, 1U);
    ++(seen.total_processed == 2 ? both : none);
  }
  EXPECT_GT(both, 0);
  EXPECT_GT(none, 0);
}

TEST_P(ClearTest, UnderWritersLosesNothingThatCameAfter) {
  Namespace ns = make();
  under_writers(ns, {}, [&] {
    for (int i = 0; i < scaled_down(30, 4) && !HasFailure(); ++i) {
      const auto keys = fill(ns, "mine", 50);
      for (const std::string& key : keys) ASSERT_TRUE(*ns.exists(key));
      ASSERT_GE(*ns.clear(), keys.size());
      for (const std::string& key : keys) ASSERT_FALSE(*ns.exists(key));
    }
  });
  const auto counts = ns.shard_key_counts();
  uint64_t sum = 0;
  for (const uint64_t count : *counts) sum += count;
  EXPECT_EQ(sum, ns.list_keys()->size());
}

}  // namespace
}  // namespace rkvs
