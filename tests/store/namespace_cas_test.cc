// Versions, compare-and-set, add, counters and transform.
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using testing::make_namespace;

constexpr StatusCode kNotFound = StatusCode::kNotFound;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

uint64_t version(const Namespace& ns, std::string_view key) {
  return ns.get_with_version(key)->version;
}

TEST(Versions, GrowWithEveryWriteAndNeverComeBack) {
  Namespace ns = make_namespace();
  ASSERT_TRUE(ns.put("k", "1").ok());
  uint64_t last = version(ns, "k");
  const auto expect_greater = [&] {
    EXPECT_GT(version(ns, "k"), last);
    last = version(ns, "k");
  };
  ASSERT_TRUE(ns.put("k", "2").ok());  // in place
  expect_greater();
  ASSERT_TRUE(ns.set("k", "2").ok());
  expect_greater();
  ASSERT_TRUE(ns.increment("k").ok());
  expect_greater();
  ASSERT_TRUE(ns.set_multiple({{"k", "v"}}, BatchMode::kAllOrNothing).is_success());
  expect_greater();
  ASSERT_TRUE(*ns.delete_key("k"));
  ASSERT_TRUE(ns.put("k", "1").ok());
  expect_greater();
  ASSERT_TRUE(ns.clear().ok());
  ASSERT_TRUE(ns.resize_shards(100).ok());
  ASSERT_TRUE(ns.resize_shards(1).ok());
  ASSERT_TRUE(ns.put("k", "1").ok());
  expect_greater();
  const BatchResult batch = ns.apply(AtomicBatch().set("k", "x"));
  EXPECT_EQ(batch.items[0].version, version(ns, "k"));
  expect_greater();
}

TEST(Versions, ComeWithTheValueTheyBelongTo) {
  Namespace ns = make_namespace();
  ASSERT_TRUE(ns.put("k", "a").ok());
  const VersionedValue a = *ns.get_with_version("k");
  ASSERT_TRUE(ns.put("k", "b").ok());
  const VersionedValue b = *ns.get_with_version("k");
  EXPECT_EQ(a.value, "a");
  EXPECT_EQ(b.value, "b");
  EXPECT_LT(a.version, b.version);
  EXPECT_EQ(ns.get_with_version("absent").code(), kNotFound);
}

TEST(CompareAndSet, ChangesOnlyTheVersionItWasGiven) {
  Namespace ns = make_namespace();
  EXPECT_EQ(ns.compare_and_set("k", 0, "x").code(), kNotFound);
  ASSERT_TRUE(ns.put("k", "a").ok());
  const uint64_t first = version(ns, "k");
  EXPECT_EQ(ns.compare_and_set("k", first + 1, "x").code(), StatusCode::kVersionMismatch);
  EXPECT_EQ(ns.get("k")->view(), "a");
  const auto second = ns.compare_and_set("k", first, "b");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*second, version(ns, "k"));
  EXPECT_EQ(ns.compare_and_set("k", first, "c").code(), StatusCode::kVersionMismatch);
  EXPECT_EQ(ns.get("k")->view(), "b");
  EXPECT_EQ(ns.compare_and_delete("k", first).code(), StatusCode::kVersionMismatch);
  EXPECT_TRUE(ns.compare_and_delete("k", *second).ok());
  EXPECT_EQ(ns.compare_and_delete("k", *second).code(), kNotFound);
  ASSERT_TRUE(ns.put("k", "again").ok());
  EXPECT_EQ(ns.compare_and_set("k", *second, "x").code(), StatusCode::kVersionMismatch)
      << "a key that came back is another entry";
}

TEST(CompareAndSet, OneOfManyWins) {
  Namespace ns = make_namespace();
  ASSERT_TRUE(ns.put("k", "0").ok());
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int done = 0; done < kRounds;) {
        const VersionedValue seen = *ns.get_with_version("k");
        const int next = std::stoi(seen.value.to_string()) + 1;
        const auto set = ns.compare_and_set("k", seen.version, std::to_string(next));
        if (set.ok())
          ++done;
        else
          ASSERT_EQ(set.code(), StatusCode::kVersionMismatch);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ns.get("k")->view(), std::to_string(kThreads * kRounds));
}

TEST(Add, StoresOnlyWhatIsAbsent) {
  Namespace ns = make_namespace(testing::patient({.max_keys = 2}));
  const auto added = ns.add("k", "first");
  ASSERT_TRUE(added.ok());
  EXPECT_EQ(*added, version(ns, "k"));
  EXPECT_EQ(ns.add("k", "second").code(), StatusCode::kExists);
  EXPECT_EQ(ns.get("k")->view(), "first");
  ASSERT_TRUE(ns.add("l", "").ok());
  EXPECT_EQ(ns.add("m", "").code(), StatusCode::kTooManyKeys);
  EXPECT_EQ(ns.add("k", "").code(), StatusCode::kExists) << "at the limit too";
  EXPECT_EQ(ns.add("", std::string(10, 'x')).code(), StatusCode::kTooManyKeys);
}

TEST(Counter, CountsFromWhatIsThereOrTheInitialValue) {
  Namespace ns = make_namespace();
  EXPECT_EQ(*ns.increment("a"), 1);
  EXPECT_EQ(*ns.increment("a", 41), 42);
  EXPECT_EQ(*ns.decrement("a", 50), -8);
  EXPECT_EQ(ns.get("a")->view(), "-8");
  EXPECT_EQ(*ns.increment("b", 1, {.initial = 100}), 101);
  EXPECT_EQ(*ns.increment("b", 1, {.initial = 100}), 102);
  EXPECT_EQ(*ns.decrement("c", 1, {.initial = kMin + 1}), kMin);
  EXPECT_EQ(*ns.increment("d", kMin, {.initial = kMax}), -1);
  EXPECT_EQ(*ns.decrement("e", kMin, {.initial = -1}), kMax);
}

TEST(Counter, WhatIsNoNumberOrTooLargeIsAnErrorAndStays) {
  Namespace ns = make_namespace();
  for (const std::string& value :
       {std::string(), std::string("x"), std::string("1x"), std::string(" 1"), std::string("+1"),
        std::string("1.0"), std::string("-"), std::string("9223372036854775808"),
        std::string("1\0", 2)}) {
    ASSERT_TRUE(ns.put("k", value).ok());
    EXPECT_EQ(ns.increment("k").code(), StatusCode::kNotANumber) << value;
    EXPECT_EQ(ns.get("k")->view(), value);
  }
  ASSERT_TRUE(ns.put("k", std::to_string(kMax)).ok());
  EXPECT_EQ(ns.increment("k").code(), StatusCode::kOverflow);
  EXPECT_EQ(*ns.increment("k", 0), kMax);
  EXPECT_EQ(ns.decrement("k", kMin).code(), StatusCode::kOverflow);
  EXPECT_EQ(ns.increment("n", 1, {.initial = kMax}).code(), StatusCode::kOverflow);
  EXPECT_FALSE(*ns.exists("n"));
  EXPECT_FALSE(ns.increment("k").status().message().empty());
}

TEST(Counter, NoneIsLostBetweenThreads) {
  Namespace ns = make_namespace();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) ASSERT_TRUE(ns.increment("k", 3).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ns.get("k")->view(), "60000");
}

TEST(Counter, LimitsHold) {
  Namespace ns = make_namespace(testing::patient({.max_keys = 1, .max_value_size = 2}));
  EXPECT_EQ(*ns.increment("a", 99), 99);
  EXPECT_EQ(ns.increment("a").code(), StatusCode::kValueTooLarge);
  EXPECT_EQ(ns.get("a")->view(), "99");
  EXPECT_EQ(ns.increment("b").code(), StatusCode::kTooManyKeys);
}

using Text = std::optional<std::string>;

TEST(Transform, MakesChangesAndRemovesAValue) {
  Namespace ns = make_namespace();
  const auto append = [](std::optional<std::string_view> value) -> Text {
    return std::string(value.value_or("start")) + "+";
  };
  EXPECT_EQ((*ns.transform("k", append))->view(), "start+");
  EXPECT_EQ((*ns.transform("k", append))->view(), "start++");
  EXPECT_EQ(ns.get("k")->view(), "start++");
  const auto nothing = [](auto) -> Text { return std::nullopt; };
  EXPECT_EQ(*ns.transform("k", nothing), std::nullopt);
  EXPECT_FALSE(*ns.exists("k"));
  EXPECT_EQ(*ns.transform("k", nothing), std::nullopt);
  EXPECT_EQ(ns.metadata()->key_count, 0U);
}

TEST(Transform, AnExceptionGoesToTheCallerAndChangesNothing) {
  Namespace ns = make_namespace();
  ASSERT_TRUE(ns.put("k", "v").ok());
  const auto throws = [](auto) -> Text { throw std::runtime_error("no"); };
  EXPECT_THROW(static_cast<void>(ns.transform("k", throws)), std::runtime_error);
  EXPECT_THROW(static_cast<void>(ns.transform("absent", throws)), std::runtime_error);
  EXPECT_EQ(ns.get("k")->view(), "v") << "the lock is free again";
  EXPECT_EQ(ns.metadata()->key_count, 1U);
}

TEST(Transform, CallingTheStoreInsideWouldDeadlock) {
  Namespace ns = make_namespace();
  Namespace other = make_namespace();
  ASSERT_TRUE(ns.put("k", "v").ok());
  const auto code = StatusCode::kWouldDeadlock;
  int calls = 0;
  const auto result = ns.transform("k", [&](auto) -> Text {
    ++calls;
    EXPECT_EQ(ns.get("k").code(), code);
    EXPECT_EQ(ns.put("k", "x").code(), code);
    EXPECT_EQ(ns.put("some other key", "x").code(), code);
    EXPECT_EQ(other.get("k").code(), code);
    EXPECT_EQ(ns.increment("k").code(), code);
    EXPECT_EQ(ns.consume("k").code(), code);
    EXPECT_EQ(ns.touch("k", std::chrono::seconds(1)).code(), code);
    EXPECT_EQ(ns.transform("k", [](auto) { return Text("x"); }).code(), code);
    EXPECT_EQ(ns.get_multiple({"k"}, BatchMode::kBestEffort).status.code(), code);
    EXPECT_EQ(ns.set_multiple({{"k", "x"}}, BatchMode::kAllOrNothing).status.code(), code);
    EXPECT_EQ(ns.apply(AtomicBatch().set("k", "x")).status.code(), code);
    EXPECT_EQ(ns.list_keys().code(), code);
    EXPECT_EQ(ns.scan()->next().code(), code);
    EXPECT_EQ(ns.delete_prefix("k").code(), code);
    EXPECT_EQ(ns.clear().code(), code);
    EXPECT_EQ(ns.metadata().code(), code);
    EXPECT_EQ(ns.shard_key_counts().code(), code);
    EXPECT_EQ(ns.resize_shards(4).code(), code);
    EXPECT_EQ(ns.set_max_keys(100).code(), code);
    return "changed";
  });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(ns.get("k")->view(), "changed");
  EXPECT_TRUE(ns.put("k", "x").ok()) << "free again";
}

TEST(Transform, OfOneKeyNeverOverlap) {
  Namespace ns = make_namespace();
  std::atomic<int> inside{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        ASSERT_TRUE(ns.transform("k", [&](auto value) {
                        EXPECT_EQ(inside.fetch_add(1), 0);
                        Text next(std::to_string(
                            value.has_value() ? std::stoi(std::string(*value)) + 1 : 1));
                        inside.fetch_sub(1);
                        return next;
                      }).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ns.get("k")->view(), "4000");
}

}  // namespace
}  // namespace rkvs
