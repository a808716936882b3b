// Limits and configuration of a namespace.
#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using namespace std::chrono_literals;
using testing::count_of;
using testing::HeldShard;
using testing::is_ok;
using testing::make_namespace;
using testing::numbered;
using testing::scaled_down;
using testing::stats_of;
using testing::Threads;

NamespaceConfig with_max_keys(uint64_t max_keys) {
  NamespaceConfig config = testing::patient();
  config.max_keys = max_keys;
  return config;
}

void fill(Namespace& ns, int count) {
  for (int i = 0; i < count; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("k", i), "v")));
}

TEST(NamespaceConfig, IsReportedAsGiven) {
  NamespaceConfig config;
  config.max_keys = 100;
  config.max_value_size = 200;
  config.max_key_size = 300;
  config.shard_count = 5;
  config.lock_timeout = 777ms;
  const Namespace ns = make_namespace(config);
  EXPECT_EQ(ns.get_config(), config);
  EXPECT_EQ(stats_of(ns).shard_count, 5U);
  EXPECT_EQ(ns.shard_key_counts()->size(), 5U);
}

TEST(NamespaceConfig, DefaultIsUnlimitedAndAutomatic) {
  const NamespaceConfig config = make_namespace(NamespaceConfig{}).get_config();
  EXPECT_EQ(config.max_keys, 0U);
  EXPECT_EQ(config.max_value_size, 0U);
  EXPECT_EQ(config.max_key_size, 65536U);
  EXPECT_EQ(config.shard_count, 0U);
  EXPECT_EQ(config.lock_timeout, 500ms);
}

TEST(NamespaceConfig, MaxKeysCanBeLoweredToTheUseButNotBelow) {
  Namespace ns = make_namespace();
  fill(ns, 10);
  const Status refused = ns.set_max_keys(9);
  EXPECT_EQ(refused.code(), StatusCode::kLimitBelowUse);
  EXPECT_NE(refused.message().find("9"), std::string_view::npos) << refused.to_string();
  EXPECT_NE(refused.message().find("10"), std::string_view::npos) << refused.to_string();
  EXPECT_EQ(ns.get_config().max_keys, 0U);
  EXPECT_TRUE(is_ok(ns.put("more", "v"))) << "still without a limit";

  ASSERT_TRUE(is_ok(ns.set_max_keys(11)));
  EXPECT_EQ(ns.get_config().max_keys, 11U);
  EXPECT_EQ(ns.put("another", "v").code(), StatusCode::kTooManyKeys);
  ASSERT_TRUE(is_ok(ns.set_max_keys(12)));
  EXPECT_TRUE(is_ok(ns.put("another", "v")));
  EXPECT_EQ(ns.put("third", "v").code(), StatusCode::kTooManyKeys);
  EXPECT_EQ(ns.set_max_keys(11).code(), StatusCode::kLimitBelowUse);
  EXPECT_EQ(ns.put("third", "v").code(), StatusCode::kTooManyKeys) << "a refusal changes nothing";
  ASSERT_TRUE(is_ok(ns.set_max_keys(0)));
  EXPECT_TRUE(is_ok(ns.put("third", "v")));
  ASSERT_TRUE(*ns.delete_key("third"));
  ASSERT_TRUE(*ns.delete_key("another"));
  EXPECT_TRUE(is_ok(ns.set_max_keys(11))) << "what came and went without a limit counts";
  EXPECT_EQ(ns.put("third", "v").code(), StatusCode::kTooManyKeys);
}

TEST(NamespaceConfig, MaxValueSizeAppliesFromNowOn) {
  Namespace ns = make_namespace();
  ASSERT_TRUE(is_ok(ns.set("k", "12345")));
  ASSERT_TRUE(is_ok(ns.set_max_value_size(3)));
  EXPECT_EQ(testing::value_of(ns, "k"), "12345");
  EXPECT_EQ(ns.set("k", "1234").code(), StatusCode::kValueTooLarge);
  EXPECT_TRUE(is_ok(ns.set("k", "123")));
  ASSERT_TRUE(is_ok(ns.set_max_value_size(0)));
  EXPECT_TRUE(is_ok(ns.set("k", "123456")));
  EXPECT_TRUE(is_ok(ns.set_max_value_size(kLargestValueSize)));
  EXPECT_EQ(ns.set_max_value_size(kLargestValueSize + 1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ns.get_config().max_value_size, kLargestValueSize);
}

TEST(NamespaceConfig, D27_LockTimeoutOfZeroIsRefused) {
  Namespace ns = make_namespace(NamespaceConfig{});
  for (const auto timeout : {0ms, -1ms, 3600001ms}) {
    const Status status = ns.set_lock_timeout(timeout);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(std::to_string(timeout.count())), std::string_view::npos);
    NamespaceConfig config;
    config.lock_timeout = timeout;
    EXPECT_EQ(ns.update_config(config).code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(internal::validate_config(config).code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(ns.get_config().lock_timeout, 500ms);
  for (const auto timeout : {1ms, 3600000ms}) {
    EXPECT_TRUE(is_ok(ns.set_lock_timeout(timeout)));
    EXPECT_EQ(ns.get_config().lock_timeout, timeout);
  }
}

TEST(NamespaceConfig, D27_UpdateAppliesEverything) {
  Namespace ns = make_namespace();
  fill(ns, 500);
  NamespaceConfig config;
  config.max_keys = 501;
  config.max_value_size = 2;
  config.max_key_size = 5;
  config.shard_count = 9;
  config.lock_timeout = 1234ms;
  ASSERT_TRUE(is_ok(ns.update_config(config)));
  EXPECT_EQ(ns.get_config(), config);
  EXPECT_EQ(ns.shard_key_counts()->size(), 9U);
  EXPECT_EQ(ns.set("k", "123").code(), StatusCode::kValueTooLarge);
  EXPECT_EQ(ns.set("123456", "1").code(), StatusCode::kKeyTooLarge);
  EXPECT_TRUE(is_ok(ns.set("new", "1")));
  EXPECT_EQ(ns.set("new2", "1").code(), StatusCode::kTooManyKeys);
  EXPECT_EQ(count_of(ns), 501U);
}

TEST(NamespaceConfig, D27_UpdateThatIsWrongInOneFieldChangesNothing) {
  NamespaceConfig before;
  before.max_keys = 100;
  before.shard_count = 4;
  Namespace ns = make_namespace(before);
  fill(ns, 50);
  NamespaceConfig good;
  good.max_keys = 60;
  good.max_value_size = 1;
  good.max_key_size = 10;
  good.shard_count = 8;
  good.lock_timeout = 9ms;

  std::vector<std::pair<NamespaceConfig, StatusCode>> wrong;
  NamespaceConfig config = good;
  config.max_keys = 49;
  wrong.emplace_back(config, StatusCode::kLimitBelowUse);
  config = good;
  config.max_value_size = kLargestValueSize + 1;
  wrong.emplace_back(config, StatusCode::kInvalidArgument);
  for (const uint64_t size : {uint64_t{0}, uint64_t{kLargestMaxKeySize + 1}}) {
    config = good;
    config.max_key_size = size;
    wrong.emplace_back(config, StatusCode::kInvalidArgument);
  }
  config = good;
  config.shard_count = kMaxShardCount + 1;
  wrong.emplace_back(config, StatusCode::kInvalidArgument);
  config = good;
  config.lock_timeout = 0ms;
  wrong.emplace_back(config, StatusCode::kInvalidArgument);

  for (const auto& [bad, code] : wrong) {
    const Status status = ns.update_config(bad);
    EXPECT_EQ(status.code(), code) << status.to_string();
    EXPECT_FALSE(status.message().empty());
    EXPECT_EQ(ns.get_config(), before);
    EXPECT_EQ(ns.shard_key_counts()->size(), 4U);
    EXPECT_TRUE(is_ok(ns.set("k0", "a longer value"))) << "max_value_size is as it was";
  }
  EXPECT_TRUE(is_ok(ns.update_config(good)));
}

TEST(NamespaceConfig, ShardCountAboveTheCapIsRefused) {
  Namespace ns = make_namespace();
  const Status status = ns.resize_shards(kMaxShardCount + 1);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("4097"), std::string_view::npos) << status.to_string();
  EXPECT_NE(status.message().find("4096"), std::string_view::npos) << status.to_string();
  EXPECT_EQ(ns.resize_shards(UINT32_MAX).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ns.get_config().shard_count, 0U);
}

TEST(NamespaceConfig, NamesAreCheckedAsUtf8) {
  using internal::validate_namespace_name;
  for (const std::string_view good :
       {std::string_view("a"), std::string_view("with space / and . dots"),
        std::string_view("\xC3\xA4"), std::string_view("\xE2\x82\xAC"),
        std::string_view("\xF0\x9F\x98\x80")}) {
    EXPECT_TRUE(is_ok(validate_namespace_name(good))) << good;
  }
  EXPECT_TRUE(is_ok(validate_namespace_name(std::string(128, 'n'))));
  for (const std::string_view bad :
       {std::string_view(""), std::string_view("a\0b", 3), std::string_view("a\nb"),
        std::string_view("\x7F"), std::string_view("\xC2\x85"), std::string_view("\xFF"),
        std::string_view("\xC3"), std::string_view("\xC0\xAF"), std::string_view("\xE0\x80\xAF"),
        std::string_view("\xED\xA0\x80"), std::string_view("\xF4\x90\x80\x80"),
        std::string_view("\xF0\x8F\xBF\xBF"), std::string_view("\xE2\x82")}) {
    EXPECT_EQ(validate_namespace_name(bad).code(), StatusCode::kInvalidName);
  }
  EXPECT_EQ(validate_namespace_name(std::string(129, 'n')).code(), StatusCode::kInvalidName);
}

// --- max_keys under concurrency ------------------------------------------------------------------

TEST(NamespaceLimits, D24_MaxKeysIsNeverExceededByWritersOfEveryKind) {
  constexpr uint64_t kLimit = 300;
  for (const uint32_t shard_count : {0U, 3U}) {
    NamespaceConfig config = with_max_keys(kLimit);
    config.shard_count = shard_count;
    Namespace ns = make_namespace(config);
    std::atomic<uint64_t> most{0};
    Threads writers;
    writers.start(8, [&](int thread) {
      for (int i = 0; i < scaled_down(1500, 4); ++i) {
        if (i % 10 == 0) {
          const uint64_t keys = count_of(ns);
          uint64_t before = most.load();
          while (keys > before && !most.compare_exchange_weak(before, keys)) {
          }
        }
        const std::string a = numbered("a", (i * 8 + thread) % 500);
        const std::string b = numbered("b", (i * 5 + thread) % 500);
        switch ((i + thread) % 6) {
          case 0: static_cast<void>(ns.set(a, "v")); break;
          case 1: static_cast<void>(ns.put(b, "v")); break;
          case 2:
            static_cast<void>(
                ns.set_multiple({{a, "v"}, {b, "v"}, {a, "w"}}, BatchMode::kAllOrNothing));
            break;
          case 3:
            static_cast<void>(ns.set_multiple({{b, "v"}, {a, "v"}}, BatchMode::kBestEffort));
            break;
          case 4: static_cast<void>(ns.delete_key(a)); break;
          default: static_cast<void>(ns.consume_multiple({a, b}, BatchMode::kBestEffort)); break;
        }
      }
    });
    writers.join();
    EXPECT_LE(most.load(), kLimit);
    EXPECT_GT(most.load(), kLimit / 2) << "the limit was never near";
    // The account is right: exactly as many as there is room for go in.
    const uint64_t left = count_of(ns);
    ASSERT_LE(left, kLimit);
    for (uint64_t i = left; i < kLimit; ++i) {
      ASSERT_TRUE(is_ok(ns.put(numbered("fill", static_cast<int64_t>(i)), "v")));
    }
    EXPECT_EQ(ns.put("one more", "v").code(), StatusCode::kTooManyKeys);
    EXPECT_EQ(testing::sorted_keys(ns).size(), kLimit);
  }
}

TEST(NamespaceLimits, D24_NobodyIsRefusedWhileThereIsRoom) {
  // Each of eight writers holds at most ten keys at a time, and there is room for eighty.
  constexpr int kWriters = 8;
  constexpr int kEach = 10;
  Namespace ns = make_namespace(with_max_keys(kWriters * kEach));
  std::atomic<int> refused{0};
  Threads threads;
  threads.start(kWriters, [&](int thread) {
    const auto key = [&](int i) { return std::to_string(thread) + "/" + std::to_string(i); };
    for (int round = 0; round < scaled_down(300); ++round) {
      const int base = round * kEach;
      std::vector<std::string> keys;
      for (int i = 0; i < kEach; ++i) keys.push_back(key(base + i));
      std::vector<KeyValue> items;
      for (const std::string& name : keys) items.push_back({name, "v"});
      const std::vector<std::string_view> views(keys.begin(), keys.end());
      switch (round % 3) {
        case 0:
          if (!ns.set_multiple(items, BatchMode::kAllOrNothing).is_success()) refused.fetch_add(1);
          break;
        case 1:
          if (!ns.set_multiple(items, BatchMode::kBestEffort).is_success()) refused.fetch_add(1);
          break;
        default:
          for (const std::string& name : keys) {
            if (!ns.put(name, "v").ok()) refused.fetch_add(1);
          }
      }
      if (round % 2 == 0) {
        EXPECT_TRUE(ns.delete_multiple(views, BatchMode::kAllOrNothing).is_success());
      } else {
        for (const std::string& name : keys) EXPECT_TRUE(*ns.delete_key(name));
      }
    }
  });
  threads.join();
  EXPECT_EQ(refused.load(), 0);
  EXPECT_EQ(count_of(ns), 0U);
}

TEST(NamespaceLimits, D24_LimitThatChangesUnderWritersIsExactAllTheTime) {
  Namespace ns = make_namespace();
  std::atomic<bool> stop{false};
  Threads threads;
  const testing::StopAtExit stop_at_exit(stop);
  threads.start(3, [&](int thread) {
    for (int i = 0; !stop; ++i) {
      const std::string a = numbered("k", (i * 3 + thread) % 400);
      const std::string b = numbered("k", (i * 7 + thread) % 400);
      if (i % 3 == 0) {
        static_cast<void>(ns.set_multiple({{a, "v"}, {b, "v"}}, BatchMode::kAllOrNothing));
      } else if (i % 3 == 1) {
        static_cast<void>(ns.put(a, "v"));
      } else {
        static_cast<void>(ns.delete_key(b));
      }
    }
  });
  int applied = 0;
  for (int i = 0; i < scaled_down(400); ++i) {
    // Around what is in use at the moment: some limits come too late, some are just in time.
    const uint64_t limit = count_of(ns) + static_cast<uint64_t>(1 + i % 20);
    const Status status = ns.set_max_keys(limit);
    if (status.ok()) {
      ++applied;
      for (int look = 0; look < 3; ++look) ASSERT_LE(count_of(ns), limit);
    } else {
      ASSERT_EQ(status.code(), StatusCode::kLimitBelowUse) << status.to_string();
    }
    if (i % 10 == 0) {
      ASSERT_TRUE(is_ok(ns.set_max_keys(0)));
    }
  }
  stop = true;
  threads.join();
  EXPECT_GT(applied, 0);
  const uint64_t left = count_of(ns);
  ASSERT_TRUE(is_ok(ns.set_max_keys(left + 2)));
  EXPECT_TRUE(is_ok(ns.put("new1", "v")));
  EXPECT_TRUE(is_ok(ns.put("new2", "v")));
  EXPECT_EQ(ns.put("new3", "v").code(), StatusCode::kTooManyKeys);
}

}  // namespace
}  // namespace rkvs
