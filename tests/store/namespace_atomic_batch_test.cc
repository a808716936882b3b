// AtomicBatch: different operations, all or nothing.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using testing::make_namespace;

class AtomicBatchTest : public testing::HashedTest {};

INSTANTIATE_TEST_SUITE_P(Hashes, AtomicBatchTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

std::vector<StatusCode> codes(const BatchResult& result) {
  std::vector<StatusCode> codes;
  for (const BatchItem& item : result.items) codes.push_back(item.code);
  return codes;
}

TEST_P(AtomicBatchTest, DoesEverythingInOrder) {
  Namespace ns = make();
  ASSERT_TRUE(ns.put("a", "old").ok());
  ASSERT_TRUE(ns.put("gone", "x").ok());
  ASSERT_TRUE(ns.put("n", "41").ok());
  const uint64_t version = ns.get_with_version("a")->version;
  AtomicBatch batch;
  batch.check_version("a", version)
      .check_exists("gone")
      .check_absent("new")
      .compare_and_set("a", version, "1")
      .set("a", "2")
      .update("a", "3")
      .add("new", "n1")
      .consume("gone")
      .delete_key("new")
      .add("new", "n2")
      .increment("n")
      .decrement("n", 2)
      .increment("fresh", 5, {.initial = 10});
  const BatchResult result = ns.apply(batch);
  ASSERT_TRUE(result.is_success()) << result.status.to_string();
  EXPECT_EQ(result.total_processed, batch.size());
  EXPECT_EQ(ns.get("a")->view(), "3");
  EXPECT_EQ(ns.get("new")->view(), "n2");
  EXPECT_FALSE(*ns.exists("gone"));
  EXPECT_EQ(ns.get("n")->view(), "40");
  EXPECT_EQ(ns.get("fresh")->view(), "15");
  EXPECT_EQ(result.items[4].value->view(), "1") << "set gives what was there before it";
  EXPECT_EQ(result.items[5].value->view(), "2");
  EXPECT_EQ(result.items[7].value->view(), "x");
  EXPECT_EQ(result.items[10].value->view(), "42");
  EXPECT_EQ(result.items[11].value->view(), "40");
  EXPECT_EQ(result.items[5].version, ns.get_with_version("a")->version);
  EXPECT_EQ(result.items[4].version, 0U) << "replaced within the batch";
  EXPECT_EQ(ns.metadata()->key_count, 4U);
}

TEST_P(AtomicBatchTest, OneFailureKeepsEverythingBack) {
  Namespace ns = make();
  ASSERT_TRUE(ns.put("a", "1").ok());
  ASSERT_TRUE(ns.put("text", "x").ok());
  const uint64_t version = ns.get_with_version("a")->version;
  const auto before = ns.metadata();
  using C = StatusCode;
  const auto expect = [&](const AtomicBatch& batch, std::vector<StatusCode> expected) {
    const BatchResult result = ns.apply(batch);
    EXPECT_EQ(codes(result), expected);
    EXPECT_FALSE(result.is_success());
    EXPECT_EQ(result.total_processed, 0U);
    for (const BatchItem& item : result.items) EXPECT_FALSE(item.value.has_value());
    EXPECT_EQ(ns.get("a")->view(), "1");
    EXPECT_EQ(ns.get_with_version("a")->version, version);
    EXPECT_EQ(ns.metadata()->key_count, before->key_count);
    EXPECT_EQ(ns.metadata()->total_size, before->total_size);
  };
  expect(AtomicBatch().set("a", "2").add("a", "3"), {C::kNotApplied, C::kExists});
  expect(AtomicBatch().set("b", "2").update("c", "3"), {C::kNotApplied, C::kNotFound});
  expect(AtomicBatch().delete_key("a").delete_key("a"), {C::kNotApplied, C::kNotFound});
  expect(AtomicBatch().consume("z").set("b", "1"), {C::kNotFound, C::kNotApplied});
  expect(AtomicBatch().check_version("a", version + 1), {C::kVersionMismatch});
  expect(AtomicBatch().set("a", "2").check_version("a", version),
         {C::kNotApplied, C::kVersionMismatch});
  // What the batch itself has written has no version that anybody could know, 0 among them.
  expect(AtomicBatch().set("a", "2").check_version("a", 0), {C::kNotApplied, C::kVersionMismatch});
  expect(AtomicBatch().set("b", "2").compare_and_set("b", 0, "3"),
         {C::kNotApplied, C::kVersionMismatch});
  expect(AtomicBatch().compare_and_delete("a", version + 1), {C::kVersionMismatch});
  expect(AtomicBatch().compare_and_set("z", 1, "v"), {C::kNotFound});
  expect(AtomicBatch().check_absent("a").check_exists("z"), {C::kExists, C::kNotFound});
  expect(AtomicBatch().increment("a").increment("text"), {C::kNotApplied, C::kNotANumber});
  expect(AtomicBatch().increment("a", INT64_MAX), {C::kOverflow});
}

TEST_P(AtomicBatchTest, MaxKeysHoldsAtEveryStepOfTheBatch) {
  Namespace ns = make(testing::patient({.max_keys = 3}));
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(ns.put(key, "v").ok());
  using C = StatusCode;
  EXPECT_TRUE(ns.apply(AtomicBatch().delete_key("a").set("d", "v")).is_success());
  EXPECT_EQ(codes(ns.apply(AtomicBatch().set("e", "v").delete_key("b"))),
            (std::vector<C>{C::kTooManyKeys, C::kNotApplied}));
  EXPECT_EQ(codes(ns.apply(AtomicBatch().delete_key("b").set("e", "v").set("f", "v"))),
            (std::vector<C>{C::kNotApplied, C::kNotApplied, C::kTooManyKeys}));
  EXPECT_EQ(ns.metadata()->key_count, 3U);
  // And the account is right afterwards.
  ASSERT_TRUE(*ns.delete_key("b"));
  ASSERT_TRUE(ns.put("e", "v").ok());
  EXPECT_EQ(ns.put("f", "v").code(), C::kTooManyKeys);
}

TEST_P(AtomicBatchTest, SizesAreChecked) {
  Namespace ns = make(testing::patient({.max_value_size = 3, .max_key_size = 3}));
  using C = StatusCode;
  EXPECT_EQ(codes(ns.apply(AtomicBatch().set("k", "1234").set("long", "v").set("k", "v"))),
            (std::vector<C>{C::kValueTooLarge, C::kKeyTooLarge, C::kNotApplied}));
  EXPECT_EQ(ns.apply(AtomicBatch().increment("k", 1000)).status.code(), C::kValueTooLarge);
  // Before anything else, as for one key.
  EXPECT_EQ(codes(ns.apply(AtomicBatch().update("absent", "1234"))),
            (std::vector<C>{C::kValueTooLarge}));
  EXPECT_EQ(codes(ns.apply(AtomicBatch().compare_and_set("absent", 1, "1234"))),
            (std::vector<C>{C::kValueTooLarge}));
  EXPECT_EQ(codes(ns.apply(AtomicBatch().add("long", "v"))), (std::vector<C>{C::kKeyTooLarge}));
  EXPECT_EQ(ns.metadata()->key_count, 0U);
}

TEST_P(AtomicBatchTest, EmptyIsOk) {
  Namespace ns = make();
  EXPECT_TRUE(ns.apply(AtomicBatch()).is_success());
}

TEST_P(AtomicBatchTest, ManyKeysGrowTheTables) {
  Namespace ns = make();
  const int count = GetParam() == testing::HashStrength::kWeak ? 300 : 20000;
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back("key " + std::to_string(i));
  AtomicBatch batch;
  for (const std::string& key : keys) batch.set(key, key);
  ASSERT_TRUE(ns.apply(batch).is_success());
  for (const std::string& key : keys) ASSERT_EQ(ns.get(key)->view(), key);
  batch.clear();
  for (const std::string& key : keys) batch.consume(key);
  ASSERT_TRUE(ns.apply(batch).is_success());
  EXPECT_EQ(ns.metadata()->key_count, 0U);
}

// What a batch would do to a map, one operation after another.
struct Model {
  struct Value {
    std::string value;
    uint64_t version;  // 0: written by this batch
  };
  std::map<std::string, Value> keys;

  StatusCode apply(const AtomicBatch::Operation& o) {
    using Op = AtomicBatch::Op;
    const std::string key(o.key);
    const auto it = keys.find(key);
    const bool there = it != keys.end();
    const auto put = [&](std::string value) {
      keys[key] = {std::move(value), 0};
      return StatusCode::kOk;
    };
    const auto remove = [&] {
      keys.erase(key);
      return StatusCode::kOk;
    };
    const auto versioned = [&] {
      if (!there) return StatusCode::kNotFound;
      return it->second.version != 0 && it->second.version == o.version
                 ? StatusCode::kOk
                 : StatusCode::kVersionMismatch;
    };
    switch (o.op) {
      case Op::kSet: return put(std::string(o.value));
      case Op::kAdd: return there ? StatusCode::kExists : put(std::string(o.value));
      case Op::kUpdate: return there ? put(std::string(o.value)) : StatusCode::kNotFound;
      case Op::kDelete:
      case Op::kConsume: return there ? remove() : StatusCode::kNotFound;
      case Op::kCompareAndSet:
        return versioned() == StatusCode::kOk ? put(std::string(o.value)) : versioned();
      case Op::kCompareAndDelete: return versioned() == StatusCode::kOk ? remove() : versioned();
      case Op::kCheckVersion: return versioned();
      case Op::kCheckExists: return there ? StatusCode::kOk : StatusCode::kNotFound;
      case Op::kCheckAbsent: return there ? StatusCode::kExists : StatusCode::kOk;
      case Op::kIncrement: {
        int64_t number = o.initial;
        if (there) {
          char* end = nullptr;
          number = std::strtoll(it->second.value.c_str(), &end, 10);
          if (it->second.value.empty() || *end != '\0') return StatusCode::kNotANumber;
        }
        return put(std::to_string(o.subtract ? number - o.delta : number + o.delta));
      }
    }
    return StatusCode::kInternal;
  }
};

TEST_P(AtomicBatchTest, DoesWhatAMapWould) {
  Namespace ns = make();
  std::mt19937_64 random(7);
  const auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const std::vector<std::string> keys = {"a", "b", "c", "d", "", "f"};
  const std::vector<std::string> values = {"1", "22", "-3", "x", ""};
  size_t good = 0;
  for (int round = 0; round < 4000; ++round) {
    Model before;
    for (const std::string& key : keys) {
      const auto value = ns.get_with_version(key);
      if (value.ok()) before.keys[key] = {value->value.to_string(), value->version};
    }
    AtomicBatch batch;
    for (size_t n = pick(5); n-- > 0;) {
      const std::string& key = keys[pick(keys.size())];
      const std::string& value = values[pick(values.size())];
      const auto it = before.keys.find(key);
      const uint64_t version = it == before.keys.end() ? 1 : it->second.version + pick(5) / 4;
      switch (pick(11)) {
        case 0: batch.set(key, value); break;
        case 1: batch.add(key, value); break;
        case 2: batch.update(key, value); break;
        case 3: batch.delete_key(key); break;
        case 4: batch.consume(key); break;
        case 5: batch.compare_and_set(key, version, value); break;
        case 6: batch.compare_and_delete(key, version); break;
        case 7: batch.check_version(key, version); break;
        case 8: batch.check_exists(key); break;
        case 9: batch.check_absent(key); break;
        case 10: batch.increment(key, 3, {.initial = 5}); break;
      }
    }
    Model after = before;
    std::vector<StatusCode> expected;
    bool fails = false;
    for (const auto& operation : batch.operations()) {
      expected.push_back(after.apply(operation));
      fails = fails || expected.back() != StatusCode::kOk;
    }
    if (fails) {
      std::replace(expected.begin(), expected.end(), StatusCode::kOk, StatusCode::kNotApplied);
      after = before;
    } else {
      ++good;
    }
    ASSERT_EQ(codes(ns.apply(batch)), expected) << "round " << round;
    for (const std::string& key : keys) {
      const auto value = ns.get(key);
      const auto it = after.keys.find(key);
      ASSERT_EQ(value.ok(), it != after.keys.end()) << "round " << round << " key " << key;
      if (!value.ok()) continue;
      ASSERT_EQ(value->view(), it->second.value) << "round " << round;
    }
    ASSERT_EQ(ns.metadata()->key_count, after.keys.size());
  }
  EXPECT_GT(good, 500U);
}

TEST(AtomicBatchConcurrent, TransfersLoseNothingAndAreNeverSeenHalfDone) {
  Namespace ns = make_namespace();
  constexpr int kAccounts = 16;
  std::vector<std::string> accounts;
  for (int i = 0; i < kAccounts; ++i) {
    accounts.push_back("account " + std::to_string(i));
    ASSERT_TRUE(ns.put(accounts.back(), "100").ok());
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      for (int i = 0; i < 3000; ++i) {
        const std::string& from = accounts[random() % kAccounts];
        const std::string& to = accounts[random() % kAccounts];
        const auto amount = static_cast<int64_t>(random() % 10);
        ASSERT_TRUE(
            ns.apply(AtomicBatch().decrement(from, amount).increment(to, amount)).is_success());
      }
    });
  }
  const std::vector<std::string_view> views(accounts.begin(), accounts.end());
  for (int i = 0; i < 300; ++i) {
    const BatchResult all = ns.get_multiple(views, BatchMode::kAllOrNothing);
    ASSERT_TRUE(all.is_success());
    int64_t sum = 0;
    for (const BatchItem& item : all.items) sum += std::stoll(item.value->to_string());
    ASSERT_EQ(sum, kAccounts * 100);
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace rkvs
