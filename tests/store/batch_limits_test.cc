// Batches near limits of keys and bytes: as their items would be, one after another.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/manual_time.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using internal::NamespaceImpl;
using std::chrono::milliseconds;
using testing::HashStrength;
using testing::make_namespace;
using testing::patient;
using C = StatusCode;
using Op = AtomicBatch::Op;

uint64_t memory(const Namespace& ns) { return ns.metadata()->memory_bytes; }
uint64_t used(const Namespace& ns) {
  return NamespaceImpl::of(ns).usage().max_bytes() - NamespaceImpl::of(ns).usage().byte_headroom();
}
std::vector<C> codes(const BatchResult& result) {
  std::vector<C> codes;
  for (const BatchItem& item : result.items) codes.push_back(item.code);
  return codes;
}

class BatchLimits : public ::testing::Test {
 protected:
  // Of one shard, with `keys`, and `room` bytes below the limit.
  static Namespace full(std::initializer_list<KeyValue> items, uint64_t room) {
    NamespaceConfig config = patient();
    config.shard_count = 1;
    Namespace ns = make_namespace(config);
    // Room in the table for more keys.
    for (int i = 0; i < 25; ++i) EXPECT_TRUE(ns.put("filler " + std::to_string(i), "").ok());
    for (const auto& [key, value] : items) EXPECT_TRUE(ns.put(key, value).ok());
    EXPECT_TRUE(ns.set_max_bytes(memory(ns) + room).ok());
    return ns;
  }
  const std::string large_ = std::string(10000, 'l');
  const std::string small_ = "s";
};

TEST_F(BatchLimits, AnItemThatThereAreTooManyKeysForTakesNoBytesFromThoseBehindIt) {
  for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
    NamespaceConfig config = patient();
    config.shard_count = 1;
    // As many as the smallest table takes, so that the next one would need a larger one.
    config.max_keys = 7;
    Namespace ns = make_namespace(config);
    for (int i = 0; i < 7; ++i) ASSERT_TRUE(ns.put("key " + std::to_string(i), small_).ok());
    // Room for just one value to become so large, or for a new key with its table.
    const uint64_t before = memory(ns);
    ASSERT_TRUE(ns.put("key 0", large_).ok());
    const uint64_t after = memory(ns);
    ASSERT_TRUE(ns.put("key 0", small_).ok());
    ASSERT_EQ(memory(ns), before);
    ASSERT_TRUE(ns.set_max_bytes(after).ok());
    const std::vector<KeyValue> items = {{"x", small_}, {"key 0", large_}};
    const BatchResult result = ns.set_multiple(items, mode);
    const bool whole = mode == BatchMode::kAllOrNothing;
    EXPECT_EQ(codes(result), (std::vector<C>{C::kTooManyKeys, whole ? C::kNotApplied : C::kOk}));
    EXPECT_EQ(memory(ns), whole ? before : after);
    EXPECT_EQ(used(ns), memory(ns));
  }
}

TEST_F(BatchLimits, WhatAnItemFreesIsThereForThoseBehindIt) {
  Namespace ns = full({{"a", large_}}, 500);
  EXPECT_TRUE(ns.apply(AtomicBatch().delete_key("a").set("b", large_)).is_success());
  EXPECT_TRUE(ns.apply(AtomicBatch().update("b", small_).set("c", large_)).is_success());
  EXPECT_TRUE(
      ns.set_multiple({{"c", small_}, {"d", large_}}, BatchMode::kAllOrNothing).is_success());
  EXPECT_TRUE(ns.set_multiple({{"d", small_}, {"e", large_}}, BatchMode::kBestEffort).is_success());
  EXPECT_TRUE(
      ns.update_multiple({{"e", small_}, {"a", small_}}, BatchMode::kBestEffort).items[1].code ==
      C::kNotFound);
  EXPECT_EQ(used(ns), memory(ns));
}

TEST_F(BatchLimits, AndNotForThoseBeforeIt) {
  Namespace ns = full({{"a", large_}}, 500);
  EXPECT_EQ(codes(ns.apply(AtomicBatch().set("b", large_).delete_key("a"))),
            (std::vector<C>{C::kMemoryLimit, C::kNotApplied}));
  EXPECT_EQ(codes(ns.set_multiple({{"b", large_}, {"a", small_}}, BatchMode::kAllOrNothing)),
            (std::vector<C>{C::kMemoryLimit, C::kNotApplied}));
  EXPECT_EQ(codes(ns.set_multiple({{"b", large_}, {"a", small_}}, BatchMode::kBestEffort)),
            (std::vector<C>{C::kMemoryLimit, C::kOk}));
}

// The tables of more shards take more bytes, and no resize is refused for that.
TEST_F(BatchLimits, BeyondALimitWhatAnItemFreesIsForNobodyUntilItIsEnough) {
  for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
    const bool whole = mode == BatchMode::kAllOrNothing;
    const C other = whole ? C::kNotApplied : C::kOk;
    Namespace ns = full({{"a", large_}, {"b", large_}, {"c", small_}}, 500);
    ASSERT_TRUE(ns.resize_shards(16).ok());
    const uint64_t limit = ns.get_config().max_bytes;
    const uint64_t beyond = memory(ns) - limit;
    ASSERT_GT(memory(ns), limit);
    ASSERT_LT(beyond + 200, large_.size());
    const std::string less(large_.size() - beyond / 2, 'l');
    const std::string more(100, 'm');
    EXPECT_EQ(codes(ns.set_multiple({{"a", less}, {"c", more}}, mode)),
              (std::vector<C>{other, C::kMemoryLimit}));
    if (whole) {
      EXPECT_EQ(codes(ns.apply(AtomicBatch().set("a", less).set("c", more))),
                (std::vector<C>{C::kNotApplied, C::kMemoryLimit}));
    }
    // What grows nothing is done all the same; and so is what grows once there is room.
    EXPECT_TRUE(ns.set_multiple({{"a", less}, {"c", small_}}, mode).is_success());
    EXPECT_TRUE(ns.set_multiple({{"a", small_}, {"c", more}}, mode).is_success());
    EXPECT_LE(memory(ns), limit);
    EXPECT_EQ(used(ns), memory(ns));
  }
}

TEST_F(BatchLimits, AKeyThatComesTwiceIsThereOnce) {
  const std::vector<KeyValue> twice = {{"a", large_}, {"a", large_}};
  Namespace ns = full({}, 11000);
  EXPECT_TRUE(ns.set_multiple(twice, BatchMode::kAllOrNothing).is_success());
  EXPECT_TRUE(ns.set_multiple(twice, BatchMode::kBestEffort).is_success());
  EXPECT_TRUE(ns.update_multiple(twice, BatchMode::kAllOrNothing).is_success());
  Namespace other = full({}, 11000);
  EXPECT_TRUE(
      other.apply(AtomicBatch().set("a", large_).delete_key("a").add("b", large_)).is_success());
  EXPECT_EQ(used(other), memory(other));
}

TEST_F(BatchLimits, OnlyItemsThatDoNotFitAreRefused) {
  NamespaceConfig config = patient();
  config.shard_count = 1;
  Namespace ns = make_namespace(config);
  // The table is full at 11 keys, and the next one is of some 550 bytes.
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(ns.put("key " + std::to_string(i), "").ok());
  ASSERT_TRUE(ns.set_max_bytes(memory(ns) + 300).ok());
  EXPECT_EQ(codes(ns.set_multiple({{"x", ""}, {"y", ""}, {"z", ""}}, BatchMode::kBestEffort)),
            (std::vector<C>{C::kOk, C::kMemoryLimit, C::kMemoryLimit}));
  EXPECT_LE(memory(ns), ns.get_config().max_bytes);
}

TEST(BatchExpiry, WhatHasExpiredAlreadyIsSeenByNoLaterItem) {
  testing::ManualTime time;
  Namespace ns = NamespaceImpl::handle(
      NamespaceImpl::create("n", patient(), 0, testing::key_hash(HashStrength::kFull), time)
          .value());
  const std::chrono::system_clock::time_point past(milliseconds(time.unix_ms() - 5));
  const WriteOptions over{.expire_at = past};
  ASSERT_TRUE(ns.put("a", "old").ok());
  AtomicBatch batch;
  batch.set("a", "1", over).check_absent("a").add("a", "2", over).add("a", "3").increment("n");
  const BatchResult result = ns.apply(batch);
  ASSERT_TRUE(result.is_success()) << result.status.to_string();
  EXPECT_EQ(result.items[0].value->view(), "old");
  EXPECT_EQ(ns.get("a")->view(), "3");
  EXPECT_EQ(codes(ns.apply(AtomicBatch().set("a", "1", over).update("a", "2"))),
            (std::vector<C>{C::kNotApplied, C::kNotFound}));
  for (const BatchMode mode : {BatchMode::kBestEffort, BatchMode::kAllOrNothing}) {
    ASSERT_TRUE(ns.put("a", "old").ok());
    const BatchResult sets = ns.set_multiple({{"a", "1"}, {"b", "1"}, {"a", "2"}}, mode, over);
    EXPECT_TRUE(sets.is_success());
    EXPECT_EQ(sets.items[0].value->view(), "old");
    EXPECT_FALSE(sets.items[2].value.has_value());
    EXPECT_FALSE(*ns.exists("a"));
    ASSERT_TRUE(ns.put("a", "old").ok());
    const bool whole = mode == BatchMode::kAllOrNothing;
    EXPECT_EQ(codes(ns.update_multiple({{"a", "1"}, {"a", "2"}}, mode, over)),
              (std::vector<C>{whole ? C::kNotApplied : C::kOk, C::kNotFound}));
    EXPECT_EQ(*ns.exists("a"), whole);
  }
  EXPECT_EQ(ns.metadata()->key_count, 2U);
}

TEST(BatchExpiry, WhatExpiresAtOnceTakesNoKeyOfTheLimit) {
  testing::ManualTime time;
  NamespaceConfig config = patient();
  config.max_keys = 2;
  Namespace ns = NamespaceImpl::handle(
      NamespaceImpl::create("n", config, 0, testing::key_hash(HashStrength::kFull), time).value());
  const std::chrono::system_clock::time_point past(milliseconds(time.unix_ms() - 5));
  const WriteOptions over{.expire_at = past};
  AtomicBatch batch;
  batch.set("a", "1", over).set("b", "1", over).set("c", "1").set("d", "1");
  EXPECT_TRUE(ns.apply(batch).is_success());
  EXPECT_EQ(ns.metadata()->key_count, 2U);
  EXPECT_EQ(ns.put("e", "").code(), C::kTooManyKeys);
}

// --- Against single operations -------------------------------------------------------------------

struct Trial {
  testing::ManualTime time;
  Namespace ns;
};

// Two namespaces that were made alike: what one does in a batch, the other does item by item.
class TwinTest : public ::testing::TestWithParam<int> {
 protected:
  TwinTest() : random_(static_cast<uint64_t>(GetParam())) {}

  size_t below(size_t limit) { return random_() % limit; }
  bool one_in(size_t n) { return below(n) == 0; }
  static std::string value(size_t size) { return std::string(size, '7'); }
  size_t size() {
    static constexpr std::array<size_t, 8> kSizes = {0, 1, 8, 30, 100, 400, 2000, 9000};
    return kSizes[below(kSizes.size())];
  }
  WriteOptions options() {
    const std::chrono::system_clock::time_point now(milliseconds(batch_.time.unix_ms()));
    switch (below(8)) {
      case 0:
        // The queue of expiries may grow for a batch where single operations would find items in
        // it that are of no use any more.
        if (batch_.ns.get_config().max_bytes != 0) return {};
        return {.expire_after = milliseconds(1 + below(50))};
      case 1: return {.keep_ttl = true};
      case 2: return {.expire_at = now - milliseconds(1)};
      default: return {};
    }
  }

  void set_up() {
    NamespaceConfig config = patient();
    config.shard_count = static_cast<uint32_t>(1 + below(3));
    config.max_keys = one_in(2) ? 0 : 4 + below(60);
    const auto make = [&](Trial& trial) {
      trial.ns = NamespaceImpl::handle(
          NamespaceImpl::create("n", config, 0, testing::key_hash(HashStrength::kFull), trial.time)
              .value());
    };
    make(batch_);
    make(single_);
    for (size_t n = below(60); n > 0; --n) {
      const std::string key = "k" + std::to_string(below(40));
      const std::string text = value(size());
      const bool removes = one_in(4);
      const WriteOptions expiry =
          one_in(4) ? WriteOptions{.expire_after = milliseconds(1 + below(50))} : WriteOptions{};
      for (Trial* trial : {&batch_, &single_}) {
        static_cast<void>(removes ? trial->ns.delete_key(key).status()
                                  : trial->ns.put(key, text, expiry));
      }
    }
    if (one_in(3)) {
      for (Trial* trial : {&batch_, &single_}) trial->time.advance(milliseconds(20));
    }
    ASSERT_EQ(memory(batch_.ns), memory(single_.ns));
    if (one_in(8)) return;
    const uint64_t limit = memory(batch_.ns) + (one_in(2) ? below(600) : below(12000));
    for (Trial* trial : {&batch_, &single_}) ASSERT_TRUE(trial->ns.set_max_bytes(limit).ok());
  }

  C apply_single(const AtomicBatch::Operation& o) {
    Namespace& ns = single_.ns;
    switch (o.op) {
      case Op::kSet: return ns.set(o.key, o.value, o.options).code();
      case Op::kAdd: return ns.add(o.key, o.value, o.options).code();
      case Op::kUpdate: return ns.update(o.key, o.value, o.options).code();
      case Op::kConsume: return ns.consume(o.key).code();
      case Op::kIncrement: return ns.increment(o.key, o.delta).code();
      default: return ns.exists(o.key).code();
    }
  }

  void expect_same(const BatchResult& result, const std::vector<AtomicBatch::Operation>& items,
                   bool whole) {
    std::vector<C> expected;
    bool fails = false;
    for (const auto& o : items) {
      expected.push_back(apply_single(o));
      fails = fails || expected.back() != C::kOk;
    }
    if (fails && whole) std::replace(expected.begin(), expected.end(), C::kOk, C::kNotApplied);
    ASSERT_EQ(codes(result), expected);
    ASSERT_EQ(used_of(batch_.ns), memory_of(batch_.ns));
    if (fails && whole) return;
    // Without a limit, tables may grow in fewer steps.
    ASSERT_EQ(memory_of(batch_.ns), memory_of(single_.ns));
    ASSERT_EQ(batch_.ns.metadata()->key_count, single_.ns.metadata()->key_count);
    for (const auto& o : items) {
      const auto ours = batch_.ns.get(o.key);
      const auto theirs = single_.ns.get(o.key);
      ASSERT_EQ(ours.code(), theirs.code());
      if (!ours.ok()) continue;
      ASSERT_EQ(ours->view(), theirs->view());
    }
  }
  // The account is what is there, also with what has expired in it.
  static uint64_t memory_of(const Namespace& ns) {
    return ns.get_config().max_bytes == 0 ? 0 : memory(ns);
  }
  static uint64_t used_of(const Namespace& ns) {
    return ns.get_config().max_bytes == 0 ? 0 : used(ns);
  }

  std::mt19937_64 random_;
  Trial batch_;
  Trial single_;
};

INSTANTIATE_TEST_SUITE_P(Seeds, TwinTest, ::testing::Range(1, 4));

TEST_P(TwinTest, ABatchIsRefusedWhatItsItemsWouldBe) {
  const int trials = testing::scaled_down(3000, 6) * testing::test_scale();
  int refused = 0;
  for (int trial = 0; trial < trials; ++trial) {
    SCOPED_TRACE(trial);
    ASSERT_NO_FATAL_FAILURE(set_up());
    const int kind = static_cast<int>(below(3));
    const BatchMode mode = kind == 1 ? BatchMode::kBestEffort : BatchMode::kAllOrNothing;
    const bool updates = one_in(3);
    const WriteOptions common = options();
    const size_t count = 1 + below(one_in(5) ? 40 : 6);
    std::vector<std::string> texts;
    texts.reserve(2 * count);
    AtomicBatch batch;
    std::vector<KeyValue> pairs;
    for (size_t i = 0; i < count; ++i) {
      const size_t operation = kind == 0 ? below(6) : 6;
      const bool counts = operation == 3;
      const std::string& key = texts.emplace_back((counts ? "n" : "k") + std::to_string(below(50)));
      const std::string& text = texts.emplace_back(value(size()));
      pairs.push_back({key, text});
      const bool there = *batch_.ns.exists(key);
      switch (operation) {
        case 0: batch.set(key, text, options()); break;
        case 1: there ? batch.update(key, text, options()) : batch.add(key, text, options()); break;
        case 2: there ? batch.consume(key) : batch.set(key, text); break;
        case 3: batch.increment(key); break;
        case 6: updates ? batch.update(key, text, common) : batch.set(key, text, common); break;
        default: batch.set(key, text); break;
      }
    }
    const BatchResult result = kind == 0 ? batch_.ns.apply(batch)
                               : updates ? batch_.ns.update_multiple(pairs, mode, common)
                                         : batch_.ns.set_multiple(pairs, mode, common);
    for (const BatchItem& item : result.items) {
      if (item.code == C::kMemoryLimit) ++refused;
    }
    ASSERT_NO_FATAL_FAILURE(
        expect_same(result, batch.operations(), mode == BatchMode::kAllOrNothing));
  }
  EXPECT_GT(refused, trials / 10);
}

// --- Nobody else is refused ----------------------------------------------------------------------

TEST(BatchLimitsConcurrent, ThePeakOfABatchRefusesNobodyElse) {
  NamespaceConfig config = patient();
  config.shard_count = 16;
  config.max_keys = 12;
  Namespace ns = make_namespace(config);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(ns.put("key " + std::to_string(i), "v").ok());
  std::atomic<bool> stop{false};
  // Comes to one key more than there were, and to none in the end: with the other thread's one
  // there are never more than twelve.
  std::thread batches([&] {
    while (!stop) {
      const BatchResult result = ns.apply(AtomicBatch()
                                              .set("more", "v")
                                              .set("and more", "v")
                                              .delete_key("more")
                                              .delete_key("and more"));
      ASSERT_TRUE(result.is_success() || result.status.code() == C::kTooManyKeys);
    }
  });
  for (int i = 0; i < testing::scaled_down(40000); ++i) {
    ASSERT_TRUE(ns.put("one", "v").ok());
    ASSERT_TRUE(ns.put("two", "v").ok());
    ASSERT_TRUE(*ns.delete_key("one"));
    ASSERT_TRUE(*ns.delete_key("two"));
  }
  stop = true;
  batches.join();
  EXPECT_EQ(ns.metadata()->key_count, 10U);
}

}  // namespace
}  // namespace rkvs
