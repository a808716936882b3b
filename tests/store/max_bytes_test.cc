// max_bytes: exact, refused without effect, and by the allocator's own figures.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/arena.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using internal::NamespaceImpl;
using testing::make_namespace;

uint64_t memory(const Namespace& ns) { return ns.metadata()->memory_bytes; }
uint64_t used(const Namespace& ns) {
  return NamespaceImpl::of(ns).usage().max_bytes() - NamespaceImpl::of(ns).usage().byte_headroom();
}

NamespaceConfig limited(uint64_t max_bytes, uint32_t shard_count = 0) {
  NamespaceConfig config = testing::patient();
  config.max_bytes = max_bytes;
  config.shard_count = shard_count;
  return config;
}

TEST(MaxBytes, AWriteBeyondItIsRefusedAndChangesNothing) {
  constexpr uint64_t kLimit = 1 << 20;
  Namespace ns = make_namespace(limited(kLimit));
  int stored = 0;
  Status status;
  while ((status = ns.put("key " + std::to_string(stored), std::string(100, 'v'))).ok()) ++stored;
  EXPECT_EQ(status.code(), StatusCode::kMemoryLimit);
  EXPECT_NE(status.message().find("max_bytes"), std::string_view::npos);
  EXPECT_GT(stored, 4000);
  EXPECT_LE(memory(ns), kLimit);
  EXPECT_EQ(ns.metadata()->key_count, static_cast<uint64_t>(stored));
  // Everything else goes on.
  EXPECT_TRUE(ns.put("key 0", std::string(100, 'w')).ok());
  EXPECT_TRUE(ns.put("key 0", "smaller").ok());
  EXPECT_EQ(ns.put("key 1", std::string(100000, 'v')).code(), StatusCode::kMemoryLimit);
  EXPECT_EQ(ns.get("key 1")->view(), std::string(100, 'v'));
  EXPECT_EQ(ns.set("x", std::string(kLimit, 'v')).code(), StatusCode::kMemoryLimit);
  EXPECT_EQ(ns.add("x", std::string(kLimit, 'v')).code(), StatusCode::kMemoryLimit);
  EXPECT_EQ(ns.update("key 1", std::string(kLimit, 'v')).code(), StatusCode::kMemoryLimit);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(*ns.delete_key("key " + std::to_string(i)));
  EXPECT_TRUE(ns.put("again", std::string(5000, 'v')).ok());
  EXPECT_LE(memory(ns), kLimit);
  EXPECT_EQ(used(ns), memory(ns));
}

TEST(MaxBytes, BatchesAreRefusedAsTheyShould) {
  Namespace ns = make_namespace(limited(100000, 4));
  const std::string large(30000, 'v');
  const std::vector<KeyValue> items = {{"a", large}, {"b", large}, {"c", large}, {"d", large}};
  const BatchResult whole = ns.set_multiple(items, BatchMode::kAllOrNothing);
  EXPECT_EQ(whole.status.code(), StatusCode::kMemoryLimit);
  EXPECT_EQ(ns.metadata()->key_count, 0U);
  const BatchResult part = ns.set_multiple(items, BatchMode::kBestEffort);
  EXPECT_TRUE(part.status.ok());
  EXPECT_EQ(part.total_processed, 3U);
  EXPECT_EQ(part.items[3].code, StatusCode::kMemoryLimit);
  EXPECT_EQ(ns.apply(AtomicBatch().set("x", large)).status.code(), StatusCode::kMemoryLimit);
  EXPECT_TRUE(ns.apply(AtomicBatch().set("a", large).set("y", "1")).is_success());
  EXPECT_LE(memory(ns), 100000U);
  EXPECT_EQ(used(ns), memory(ns));
}

TEST(MaxBytes, AWriteThatIsRefusedForTooManyKeysTakesNoBytes) {
  NamespaceConfig config = limited(uint64_t{1} << 20, 1);
  // As many as the smallest table takes, so that the next one would need a larger one.
  config.max_keys = 7;
  Namespace ns = make_namespace(config);
  for (uint64_t i = 0; i < config.max_keys; ++i) {
    ASSERT_TRUE(ns.put("key " + std::to_string(i), "value").ok());
  }
  const uint64_t before = memory(ns);
  constexpr StatusCode kRefused = StatusCode::kTooManyKeys;
  EXPECT_EQ(ns.put("x", "value").code(), kRefused);
  EXPECT_EQ(memory(ns), before);
  EXPECT_EQ(ns.set("x", "value").code(), kRefused);
  EXPECT_EQ(ns.add("x", "value").code(), kRefused);
  EXPECT_EQ(memory(ns), before);
  EXPECT_EQ(ns.increment("x", 1).code(), kRefused);
  const auto make = [](std::optional<std::string_view>) { return std::optional("value"); };
  EXPECT_EQ(ns.transform("x", make).code(), kRefused);
  EXPECT_EQ(memory(ns), before);
  const std::vector<KeyValue> items = {{"x", "value"}, {"y", "value"}};
  EXPECT_EQ(ns.set_multiple(items, BatchMode::kBestEffort).items[1].code, kRefused);
  EXPECT_EQ(memory(ns), before);
  EXPECT_EQ(ns.set_multiple(items, BatchMode::kAllOrNothing).status.code(), kRefused);
  EXPECT_EQ(ns.apply(AtomicBatch().set("x", "value")).status.code(), kRefused);
  EXPECT_EQ(memory(ns), before);
  EXPECT_EQ(used(ns), before);
  // And with room for one more key it does come, into a larger table.
  ASSERT_TRUE(ns.set_max_keys(8).ok());
  EXPECT_TRUE(ns.put("x", "value").ok());
  EXPECT_GT(memory(ns), before + 64);
  EXPECT_EQ(used(ns), memory(ns));
}

TEST(MaxBytes, AccountFollowsEverythingThatHappens) {
  Namespace ns = make_namespace(limited(uint64_t{1} << 30));
  std::mt19937_64 random(3);
  for (int i = 0; i < 60000; ++i) {
    const std::string key = "key " + std::to_string(random() % 20000);
    const std::string value(random() % 300, 'v');
    switch (random() % 10) {
      case 0: static_cast<void>(ns.delete_key(key)); break;
      case 1: ASSERT_TRUE(ns.set(key, value).ok()); break;
      case 2:
        ASSERT_TRUE(ns.set_multiple({{key, value}}, BatchMode::kAllOrNothing).is_success());
        break;
      case 3: static_cast<void>(ns.consume_multiple({key}, BatchMode::kBestEffort)); break;
      case 4: ASSERT_TRUE(ns.apply(AtomicBatch().set(key, value)).is_success()); break;
      case 5: ASSERT_TRUE(ns.put(key, value, {.expire_after = std::chrono::hours(1)}).ok()); break;
      case 6: static_cast<void>(ns.touch(key, std::chrono::hours(2))); break;
      case 7:
        ASSERT_TRUE(ns.transform(key, [&](auto) { return std::optional(value); }).ok());
        break;
      default: ASSERT_TRUE(ns.put(key, value).ok());
    }
    if (i % 20000 != 7) continue;
    ASSERT_TRUE(ns.resize_shards(i % 3 == 0 ? 100 : 3).ok());
  }
  EXPECT_EQ(used(ns), memory(ns));
  ASSERT_TRUE(ns.delete_prefix("key 1").ok());
  EXPECT_EQ(used(ns), memory(ns));
  ASSERT_TRUE(ns.clear().ok());
  EXPECT_EQ(used(ns), memory(ns));
}

TEST(MaxBytes, CanBeSetAndLiftedLater) {
  Namespace ns = make_namespace();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ns.put(std::to_string(i), "v").ok());
  const uint64_t now = memory(ns);
  EXPECT_EQ(ns.set_max_bytes(now - 1).code(), StatusCode::kLimitBelowUse);
  EXPECT_EQ(ns.get_config().max_bytes, 0U);
  ASSERT_TRUE(ns.set_max_bytes(now).ok());
  EXPECT_EQ(ns.put("new", std::string(100, 'v')).code(), StatusCode::kMemoryLimit);
  ASSERT_TRUE(ns.set_max_bytes(0).ok());
  EXPECT_TRUE(ns.put("new", std::string(100, 'v')).ok());
}

TEST(MaxBytes, HoldsWithManyWriters) {
  constexpr uint64_t kLimit = 300000;
  Namespace ns = make_namespace(limited(kLimit, 16));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      for (int i = 0; i < 5000; ++i) {
        const std::string key = std::to_string(random() % 5000);
        const std::string value(random() % 400, 'v');
        const std::string other = std::to_string(random() % 5000);
        Status status;
        switch (random() % 6) {
          case 0: static_cast<void>(ns.delete_key(key)); break;
          case 1:
            status =
                ns.set_multiple({{key, value}, {other, value}}, BatchMode::kAllOrNothing).status;
            break;
          case 2:
            status = ns.set_multiple({{key, value}, {other, value}}, BatchMode::kBestEffort).status;
            break;
          case 3: status = ns.apply(AtomicBatch().set(key, value).set(other, value)).status; break;
          default: status = ns.put(key, value);
        }
        ASSERT_TRUE(status.ok() || status.code() == StatusCode::kMemoryLimit) << status.to_string();
      }
    });
  }
  for (int i = 0; i < 200; ++i) ASSERT_LE(memory(ns), kLimit);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(used(ns), memory(ns));
}

TEST(MaxBytes, FiguresAreTheAllocatorsOwn) {
  for (const size_t value_size : {16U, 100U, 3000U}) {
    const uint64_t before = internal::Arena::stats().bytes_in_use;
    Namespace ns = make_namespace();
    for (int i = 0; i < 50000; ++i) {
      ASSERT_TRUE(ns.put("key " + std::to_string(i), std::string(value_size, 'v')).ok());
    }
    const auto really = static_cast<double>(internal::Arena::stats().bytes_in_use - before);
    const auto counted = static_cast<double>(memory(ns));
    EXPECT_NEAR(counted / really, 1.0, 0.05) << value_size;
  }
}

}  // namespace
}  // namespace rkvs
