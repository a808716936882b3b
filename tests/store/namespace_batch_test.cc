// Batch operations, one thread at a time.
#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using testing::codes_of;
using testing::count_of;
using testing::HashedTest;
using testing::is_ok;
using testing::numbered;
using testing::stats_of;
using testing::value_of;

constexpr StatusCode kOk = StatusCode::kOk;
constexpr StatusCode kNotFound = StatusCode::kNotFound;
constexpr StatusCode kNotApplied = StatusCode::kNotApplied;
constexpr StatusCode kTooManyKeys = StatusCode::kTooManyKeys;
constexpr BatchMode kAll = BatchMode::kAllOrNothing;
constexpr BatchMode kBest = BatchMode::kBestEffort;
using Codes = std::vector<StatusCode>;
using Texts = std::vector<std::string>;

// The items' values in order; "-" where there is none.
Texts values_of(const BatchResult& result) {
  Texts values;
  for (const BatchItem& item : result.items) {
    values.push_back(item.value.has_value() ? item.value->to_string() : "-");
  }
  return values;
}

class NamespaceBatchTest : public HashedTest {
 protected:
  static Namespace make_with(std::initializer_list<KeyValue> items,
                             const NamespaceConfig& config = {}) {
    Namespace ns = make(config);
    for (const KeyValue& item : items) EXPECT_TRUE(is_ok(ns.set(item.key, item.value)));
    return ns;
  }
  static Namespace make_limited(uint64_t max_keys, std::initializer_list<KeyValue> items) {
    NamespaceConfig config;
    config.max_keys = max_keys;
    return make_with(items, config);
  }
};
INSTANTIATE_TEST_SUITE_P(Hashes, NamespaceBatchTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

// --- Outcomes ------------------------------------------------------------------------------------

TEST_P(NamespaceBatchTest, D29_SuccessIsSuccessInEveryOperationAndMode) {
  for (const BatchMode mode : {kAll, kBest}) {
    Namespace ns = make();
    const BatchResult set = ns.set_multiple({{"a", "1"}, {"b", "2"}}, mode);
    const BatchResult again = ns.set_multiple({{"b", "22"}, {"c", ""}}, mode);
    const BatchResult get = ns.get_multiple({"c", "b", "a"}, mode);
    const BatchResult deleted = ns.delete_multiple({"a"}, mode);
    const BatchResult consumed = ns.consume_multiple({"c", "b"}, mode);
    for (const BatchResult* result : {&set, &again, &get, &deleted, &consumed}) {
      EXPECT_TRUE(result->is_success());
      EXPECT_TRUE(result->status.ok());
      EXPECT_EQ(result->total_processed, result->items.size());
      EXPECT_EQ(codes_of(*result), Codes(result->items.size(), kOk));
      EXPECT_GT(result->duration.count(), 0);
    }
    EXPECT_EQ(values_of(set), (Texts{"-", "-"}));
    EXPECT_EQ(values_of(again), (Texts{"2", "-"}));
    EXPECT_EQ(values_of(get), (Texts{"", "22", "1"}));
    EXPECT_EQ(values_of(deleted), Texts{"-"});
    EXPECT_EQ(values_of(consumed), (Texts{"", "22"}));
    EXPECT_EQ(count_of(ns), 0U);
    EXPECT_EQ(stats_of(ns).total_size, 0U);
  }
}

TEST_P(NamespaceBatchTest, D29_FailureIsNotSuccess) {
  Namespace ns = make_with({{"a", "1"}});
  for (const BatchMode mode : {kAll, kBest}) {
    EXPECT_FALSE(ns.get_multiple({"a", "x"}, mode).is_success());
    EXPECT_FALSE(ns.delete_multiple({"x"}, mode).is_success());
    EXPECT_FALSE(ns.consume_multiple({"x", "y"}, mode).is_success());
  }
  EXPECT_EQ(value_of(ns, "a"), "1");
}

TEST_P(NamespaceBatchTest, EmptyBatchIsSuccess) {
  Namespace ns = make();
  for (const BatchMode mode : {kAll, kBest}) {
    for (const BatchResult& result :
         {ns.get_multiple({}, mode), ns.set_multiple({}, mode), ns.delete_multiple({}, mode),
          ns.consume_multiple({}, mode)}) {
      EXPECT_TRUE(result.is_success());
      EXPECT_TRUE(result.items.empty());
      EXPECT_EQ(result.total_processed, 0U);
    }
  }
}

TEST_P(NamespaceBatchTest, D31_BestEffortSaysForEachItemWhatCameOfIt) {
  Namespace ns = make_with({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  const BatchResult get = ns.get_multiple({"x", "a", "y", "b"}, kBest);
  EXPECT_TRUE(get.status.ok());
  EXPECT_FALSE(get.is_success());
  EXPECT_EQ(codes_of(get), (Codes{kNotFound, kOk, kNotFound, kOk}));
  EXPECT_EQ(values_of(get), (Texts{"-", "1", "-", "2"}));
  EXPECT_EQ(get.total_processed, 2U);

  const BatchResult deleted = ns.delete_multiple({"x", "a"}, kBest);
  EXPECT_EQ(codes_of(deleted), (Codes{kNotFound, kOk}));
  EXPECT_EQ(values_of(deleted), (Texts{"-", "-"}));
  const BatchResult consumed = ns.consume_multiple({"a", "b", "x"}, kBest);
  EXPECT_EQ(codes_of(consumed), (Codes{kNotFound, kOk, kNotFound}));
  EXPECT_EQ(values_of(consumed), (Texts{"-", "2", "-"}));
  EXPECT_EQ(consumed.total_processed, 1U);
  EXPECT_EQ(count_of(ns), 1U);
}

TEST_P(NamespaceBatchTest, D31_AllOrNothingSaysWhichItemsFailedAndKeepsTheOthersBack) {
  Namespace ns = make_with({{"a", "1"}, {"b", "2"}});
  const Codes expected = {kNotApplied, kNotFound, kNotApplied, kNotFound};
  for (const BatchResult& result :
       {ns.get_multiple({"a", "x", "b", "y"}, kAll), ns.delete_multiple({"a", "x", "b", "y"}, kAll),
        ns.consume_multiple({"a", "x", "b", "y"}, kAll)}) {
    EXPECT_EQ(result.status.code(), kNotFound);
    EXPECT_NE(result.status.message().find("item 1 of 4"), std::string_view::npos)
        << result.status.to_string();
    EXPECT_EQ(codes_of(result), expected);
    EXPECT_EQ(values_of(result), Texts(4, "-"));
    EXPECT_EQ(result.total_processed, 0U);
    EXPECT_FALSE(result.is_success());
  }
  EXPECT_EQ(value_of(ns, "a"), "1");
  EXPECT_EQ(value_of(ns, "b"), "2");
  EXPECT_EQ(count_of(ns), 2U);
}

TEST_P(NamespaceBatchTest, D31_ResultsStandInInputOrder) {
  Namespace ns = make();
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) keys.push_back(numbered("key", (i * 7919) % 300));
  std::vector<KeyValue> items;
  for (const std::string& key : keys) items.push_back({key, key});
  ASSERT_TRUE(ns.set_multiple(items, kAll).is_success());
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  for (const BatchMode mode : {kAll, kBest}) {
    EXPECT_EQ(values_of(ns.get_multiple(views, mode)), keys);
  }
  EXPECT_EQ(values_of(ns.consume_multiple(views, kAll)), keys);
}

TEST_P(NamespaceBatchTest, ItemsThatAreTooLargeSaySo) {
  NamespaceConfig config;
  config.max_key_size = 3;
  config.max_value_size = 4;
  const std::initializer_list<KeyValue> items = {
      {"a", "1"}, {"key!", "1"}, {"b", "value"}, {"c", "4444"}, {"key!", "value"}};
  Namespace best = make(config);
  const BatchResult partly = best.set_multiple(items, kBest);
  EXPECT_EQ(codes_of(partly), (Codes{kOk, StatusCode::kKeyTooLarge, StatusCode::kValueTooLarge, kOk,
                                     StatusCode::kKeyTooLarge}));
  EXPECT_TRUE(partly.status.ok());
  EXPECT_EQ(partly.total_processed, 2U);
  EXPECT_EQ(count_of(best), 2U);

  Namespace all = make(config);
  const BatchResult failed = all.set_multiple(items, kAll);
  EXPECT_EQ(codes_of(failed),
            (Codes{kNotApplied, StatusCode::kKeyTooLarge, StatusCode::kValueTooLarge, kNotApplied,
                   StatusCode::kKeyTooLarge}));
  EXPECT_EQ(failed.status.code(), StatusCode::kKeyTooLarge) << "the first one's";
  EXPECT_NE(failed.status.message().find("item 1 of 5"), std::string_view::npos);
  EXPECT_EQ(count_of(all), 0U);
}

TEST_P(NamespaceBatchTest, D32_KeysAreAnyBytes) {
  Namespace ns = make();
  const std::string_view one("a\0b", 3);
  const std::string_view two("a\0c", 3);
  const std::string_view bad("\xFF\xFE", 2);
  ASSERT_TRUE(ns.set_multiple({{one, "1"}, {two, "2"}, {bad, "3"}, {"", "4"}}, kAll).is_success());
  EXPECT_EQ(values_of(ns.get_multiple({"", bad, two, one}, kAll)), (Texts{"4", "3", "2", "1"}));
  EXPECT_EQ(count_of(ns), 4U);
}

// --- Duplicates ----------------------------------------------------------------------------------

TEST_P(NamespaceBatchTest, D26_DuplicateKeysInSetCountOnce) {
  for (const BatchMode mode : {kAll, kBest}) {
    Namespace ns = make_with({{"old", "0123456789"}});
    const BatchResult result =
        ns.set_multiple({{"k", "1"}, {"old", "a"}, {"k", "22"}, {"old", "bb"}, {"k", "333"}}, mode);
    EXPECT_TRUE(result.is_success());
    EXPECT_EQ(values_of(result), (Texts{"-", "0123456789", "1", "a", "22"}));
    EXPECT_EQ(count_of(ns), 2U);
    EXPECT_EQ(stats_of(ns).total_size, 5U);
    EXPECT_EQ(value_of(ns, "k"), "333");
    EXPECT_EQ(value_of(ns, "old"), "bb");
  }
}

TEST_P(NamespaceBatchTest, D26_DuplicateKeysInGetAreReadEach) {
  Namespace ns = make_with({{"k", "v"}});
  for (const BatchMode mode : {kAll, kBest}) {
    EXPECT_EQ(values_of(ns.get_multiple({"k", "k", "k"}, mode)), Texts(3, "v"));
  }
}

TEST_P(NamespaceBatchTest, D30_SecondRemovalOfAKeyIsNotFound) {
  Namespace ns = make_with({{"a", "1"}, {"b", "2"}});
  for (const BatchResult& failed :
       {ns.consume_multiple({"a", "a"}, kAll), ns.delete_multiple({"a", "a"}, kAll)}) {
    EXPECT_EQ(failed.status.code(), kNotFound);
    EXPECT_EQ(codes_of(failed), (Codes{kNotApplied, kNotFound}));
  }
  EXPECT_EQ(value_of(ns, "a"), "1") << "nothing was applied";

  const BatchResult consumed = ns.consume_multiple({"a", "a"}, kBest);
  EXPECT_EQ(codes_of(consumed), (Codes{kOk, kNotFound}));
  EXPECT_EQ(values_of(consumed), (Texts{"1", "-"}));
  EXPECT_EQ(codes_of(ns.delete_multiple({"b", "b", "b"}, kBest)),
            (Codes{kOk, kNotFound, kNotFound}));
  EXPECT_EQ(count_of(ns), 0U);
}

TEST_P(NamespaceBatchTest, D30_DuplicatesFarApartAreFound) {
  Namespace ns = make();
  std::vector<std::string> keys;
  for (int i = 0; i < 500; ++i) keys.push_back(numbered("k", i));
  for (const std::string& key : keys) ASSERT_TRUE(is_ok(ns.put(key, "v")));
  std::vector<std::string_view> views(keys.begin(), keys.end());
  views.push_back(keys[0]);
  const BatchResult failed = ns.delete_multiple(views, kAll);
  EXPECT_EQ(failed.status.code(), kNotFound);
  EXPECT_EQ(failed.items.back().code, kNotFound);
  EXPECT_EQ(failed.items.front().code, kNotApplied);
  EXPECT_EQ(count_of(ns), 500U);
  views.pop_back();
  EXPECT_TRUE(ns.delete_multiple(views, kAll).is_success());
  EXPECT_EQ(count_of(ns), 0U);
}

// --- Limits --------------------------------------------------------------------------------------

TEST_P(NamespaceBatchTest, D24_BestEffortRespectsMaxKeysInInputOrder) {
  Namespace ns = make_limited(3, {{"old", "0"}});
  const BatchResult result = ns.set_multiple(
      {{"a", "1"}, {"old", "1"}, {"b", "2"}, {"c", "3"}, {"a", "11"}, {"c", "33"}, {"old", "2"}},
      kBest);
  EXPECT_EQ(codes_of(result), (Codes{kOk, kOk, kOk, kTooManyKeys, kOk, kTooManyKeys, kOk}));
  EXPECT_EQ(values_of(result), (Texts{"-", "0", "-", "-", "1", "-", "1"}));
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.total_processed, 5U);
  EXPECT_EQ(count_of(ns), 3U);
  EXPECT_EQ(value_of(ns, "c"), "<NotFound>");
}

TEST_P(NamespaceBatchTest, D24_AllOrNothingRespectsMaxKeysAsAWhole) {
  Namespace ns = make_limited(3, {{"old", "0"}});
  const BatchResult failed =
      ns.set_multiple({{"a", "1"}, {"old", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}, kAll);
  EXPECT_EQ(failed.status.code(), kTooManyKeys);
  EXPECT_EQ(codes_of(failed),
            (Codes{kNotApplied, kNotApplied, kNotApplied, kTooManyKeys, kTooManyKeys}));
  EXPECT_NE(failed.status.message().find("item 3 of 5"), std::string_view::npos)
      << failed.status.to_string();
  EXPECT_NE(failed.status.message().find("max_keys = 3"), std::string_view::npos)
      << failed.status.to_string();
  EXPECT_EQ(count_of(ns), 1U);
  EXPECT_EQ(value_of(ns, "old"), "0");
  // Exactly as many as fit do.
  EXPECT_TRUE(ns.set_multiple({{"a", "1"}, {"old", "1"}, {"b", "2"}}, kAll).is_success());
  EXPECT_EQ(count_of(ns), 3U);
}

TEST_P(NamespaceBatchTest, D26_DuplicatesCountOnceAgainstMaxKeys) {
  Namespace ns = make_limited(2, {});
  EXPECT_TRUE(ns.set_multiple({{"a", "1"}, {"a", "2"}, {"b", "1"}, {"a", "3"}, {"b", "2"}}, kAll)
                  .is_success());
  EXPECT_EQ(count_of(ns), 2U);
  EXPECT_EQ(value_of(ns, "a"), "3");
}

TEST_P(NamespaceBatchTest, DuplicatesOfAKeyThatDoesNotFitAllSaySo) {
  Namespace ns = make_limited(1, {});
  const BatchResult failed =
      ns.set_multiple({{"a", "1"}, {"b", "1"}, {"a", "2"}, {"b", "2"}}, kAll);
  EXPECT_EQ(codes_of(failed), (Codes{kNotApplied, kTooManyKeys, kNotApplied, kTooManyKeys}));
  EXPECT_EQ(count_of(ns), 0U);
}

TEST_P(NamespaceBatchTest, AFullNamespaceTakesBatchesThatAddNothing) {
  Namespace ns = make_limited(2, {{"a", "1"}, {"b", "2"}});
  for (const BatchMode mode : {kAll, kBest}) {
    EXPECT_TRUE(ns.set_multiple({{"a", "x"}, {"b", "y"}, {"a", "z"}}, mode).is_success());
    EXPECT_EQ(codes_of(ns.set_multiple({{"c", "x"}}, mode)), Codes{kTooManyKeys});
  }
  EXPECT_TRUE(ns.delete_multiple({"a"}, kAll).is_success());
  EXPECT_TRUE(ns.set_multiple({{"c", "x"}}, kAll).is_success());
  EXPECT_TRUE(ns.consume_multiple({"b", "c"}, kBest).is_success());
  EXPECT_TRUE(ns.set_multiple({{"d", "x"}, {"e", "y"}}, kAll).is_success());
  EXPECT_EQ(count_of(ns), 2U);
}

// --- Size ----------------------------------------------------------------------------------------

TEST_P(NamespaceBatchTest, LargeBatchesOfAnyModeDoEveryItem) {
  // More than several slices of a best-effort batch.
  const int count = key_count(5000);
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back(numbered("key", i));
  std::vector<KeyValue> items;
  for (const std::string& key : keys) items.push_back({key, key});
  std::vector<std::string_view> views(keys.begin(), keys.end());
  for (const BatchMode mode : {kAll, kBest}) {
    Namespace ns = make();
    const BatchResult set = ns.set_multiple(items, mode);
    EXPECT_TRUE(set.is_success());
    EXPECT_EQ(set.total_processed, keys.size());
    EXPECT_EQ(count_of(ns), keys.size());
    EXPECT_EQ(values_of(ns.get_multiple(views, mode)), keys);
    EXPECT_EQ(values_of(ns.set_multiple(items, mode)), keys);
    EXPECT_EQ(values_of(ns.consume_multiple(views, mode)), keys);
    EXPECT_EQ(count_of(ns), 0U);
    const BatchResult none = ns.delete_multiple(views, mode);
    EXPECT_EQ(codes_of(none), Codes(keys.size(), kNotFound));
    EXPECT_EQ(stats_of(ns).total_size, 0U);
  }
}

TEST_P(NamespaceBatchTest, DuplicatesAcrossSlicesActInInputOrder) {
  std::vector<std::string> keys;
  for (int i = 0; i < 3000; ++i) keys.push_back(numbered("k", i % 50));
  std::vector<KeyValue> items;
  std::vector<std::string> numbers;
  for (int i = 0; i < 3000; ++i) numbers.push_back(std::to_string(i));
  for (size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], numbers[i]});
  for (const BatchMode mode : {kAll, kBest}) {
    Namespace ns = make();
    const BatchResult result = ns.set_multiple(items, mode);
    ASSERT_TRUE(result.is_success());
    for (size_t i = 50; i < keys.size(); ++i) {
      ASSERT_EQ(result.items[i].value->to_string(), numbers[i - 50]);
    }
    EXPECT_EQ(count_of(ns), 50U);
  }
}

TEST_P(NamespaceBatchTest, BatchOfExactlySevenNewKeysInOneShardKeepsTheAccountOfRoom) {
  // Seven is where the smallest tables' own rule for their room differs.
  for (int first = 1; first < 30; ++first) {
    NamespaceConfig config;
    config.shard_count = 1;
    Namespace ns = make(config);
    std::vector<std::string> keys;
    for (int i = 0; i < first; ++i) keys.push_back(numbered("k", i));
    std::vector<KeyValue> items;
    for (const std::string& key : keys) items.push_back({key, "v"});
    ASSERT_TRUE(ns.set_multiple(items, kAll).is_success());
    auto& shard = internal::NamespaceImpl::of(ns).shards()[0];
    const internal::ReaderLock lock(shard.mutex);
    ASSERT_NE(shard.spare_needed(1000), 0U) << "after a batch of " << first;
  }
}

}  // namespace
}  // namespace rkvs
