// What may be compared differs as soon as one of its members does.
#include <gtest/gtest.h>
#include <rkvs/autosave.h>
#include <rkvs/options.h>
#include <rkvs/stats.h>

#include <chrono>
#include <functional>
#include <vector>

namespace rkvs {
namespace {

template <typename T>
void expect_each_counts(const std::vector<std::function<void(T&)>>& changes) {
  EXPECT_TRUE(T{} == T{});
  for (size_t i = 0; i < changes.size(); ++i) {
    T changed{};
    changes[i](changed);
    EXPECT_FALSE(changed == T{}) << "member " << i;
    EXPECT_TRUE(changed == T{changed}) << "member " << i;
  }
}

TEST(Comparison, EachMemberOfANamespaceConfigCounts) {
  using T = NamespaceConfig;
  expect_each_counts<T>({[](T& t) { t.max_keys = 1; }, [](T& t) { t.max_value_size = 1; },
                         [](T& t) { t.max_key_size = 1; }, [](T& t) { t.max_bytes = 1; },
                         [](T& t) { t.shard_count = 1; },
                         [](T& t) { t.lock_timeout = std::chrono::milliseconds(1); }});
}

TEST(Comparison, EachMemberOfAStorageConfigCounts) {
  using T = StorageConfig;
  expect_each_counts<T>({[](T& t) { t.max_namespaces = 0; }, [](T& t) { t.max_bytes = 0; }});
}

TEST(Comparison, EachMemberOfAnAutosaveConfigCounts) {
  using T = AutosaveConfig;
  expect_each_counts<T>({[](T& t) { t.interval = std::chrono::milliseconds(1); },
                         [](T& t) { t.changes = 1; }, [](T& t) { t.file = "f"; },
                         [](T& t) { t.final_save = true; }});
}

TEST(Comparison, EachMemberOfTheStatsOfANamespaceCounts) {
  using T = NamespaceStats;
  expect_each_counts<T>(
      {[](T& t) { t.name = "n"; }, [](T& t) { t.key_count = 1; }, [](T& t) { t.total_size = 1; },
       [](T& t) { t.memory_bytes = 1; }, [](T& t) { t.shard_count = 1; }, [](T& t) { t.hits = 1; },
       [](T& t) { t.misses = 1; }, [](T& t) { t.sets = 1; }, [](T& t) { t.deletes = 1; },
       [](T& t) { t.expired = 1; }, [](T& t) { t.rejected = 1; }, [](T& t) { t.timeouts = 1; },
       [](T& t) { t.lock_waits = 1; }});
}

}  // namespace
}  // namespace rkvs
