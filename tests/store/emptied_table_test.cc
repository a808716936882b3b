// The last entry of a large table takes the table with it, but never before what comes next in the
// same operation has had its room.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/manual_time.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using internal::NamespaceImpl;
using testing::HashStrength;
using testing::numbered;
using testing::value_of;
using namespace std::chrono_literals;  // NOLINT

constexpr uint64_t kLargeTable = 8192;

// With a limit of bytes, batches foresee step by step what tables will take.
class EmptiedTableTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    NamespaceConfig config = testing::patient({.shard_count = 1});
    if (GetParam()) config.max_bytes = 1 << 30;
    auto impl =
        NamespaceImpl::create("test", config, 0, testing::key_hash(HashStrength::kFull), time_);
    ASSERT_TRUE(impl.ok());
    ns_ = NamespaceImpl::handle(*std::move(impl));
    leave_only("last");
  }
  void TearDown() override {
    // What is counted is what is there.
    auto& usage = NamespaceImpl::of(ns_).usage();
    if (GetParam()) {
      EXPECT_EQ(usage.max_bytes() - usage.byte_headroom(), memory());
    }
    testing::expect_all_locks_free(ns_);
  }

  // One key, in a table for a thousand.
  void leave_only(std::string_view key, const WriteOptions& options = {}) {
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ns_.put(numbered("other", i), "v").ok());
    ASSERT_TRUE(ns_.put(key, "v", options).ok());
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(*ns_.delete_key(numbered("other", i)));
    ASSERT_GT(memory(), kLargeTable);
  }
  uint64_t memory() const { return ns_.metadata()->memory_bytes; }
  std::vector<std::string> keys() const { return testing::sorted_keys(ns_); }
  using Keys = std::vector<std::string>;

  testing::ManualTime time_;
  Namespace ns_ = testing::make_namespace();
};

INSTANTIATE_TEST_SUITE_P(Limits, EmptiedTableTest, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& with) {
                           return with.param ? "CountsBytes" : "CountsNoBytes";
                         });

TEST_P(EmptiedTableTest, GoesWithTheLastKeyWhicheverWayThatGoes) {
  const std::vector<std::string_view> last = {"last"};
  const auto expect_gone = [&] {
    EXPECT_EQ(keys(), Keys{});
    EXPECT_LT(memory(), kLargeTable);
    ASSERT_TRUE(ns_.put("next", "1").ok());
    EXPECT_EQ(value_of(ns_, "next"), "1");
    ASSERT_TRUE(*ns_.delete_key("next"));
    leave_only("last");
  };
  ASSERT_TRUE(*ns_.delete_key("last"));
  expect_gone();
  ASSERT_TRUE(ns_.consume("last").ok());
  expect_gone();
  ASSERT_TRUE(ns_.compare_and_delete("last", ns_.get_with_version("last")->version).ok());
  expect_gone();
  ASSERT_TRUE(ns_.delete_multiple(last, BatchMode::kAllOrNothing).is_success());
  expect_gone();
  ASSERT_TRUE(ns_.consume_multiple(last, BatchMode::kBestEffort).is_success());
  expect_gone();
  ASSERT_TRUE(ns_.apply(AtomicBatch().delete_key("last")).is_success());
  expect_gone();
  ASSERT_TRUE(
      ns_.transform("last",
                    [](std::optional<std::string_view>) { return std::optional<std::string>(); })
          .ok());
  expect_gone();
  ASSERT_TRUE(ns_.clear().ok());
  expect_gone();
}

TEST_P(EmptiedTableTest, IsThereForWhatABatchPutsInBehindTheRemovalOfTheLastKey) {
  ASSERT_TRUE(ns_.apply(AtomicBatch().delete_key("last").set("new", "1")).is_success());
  EXPECT_EQ(keys(), Keys{"new"});
  EXPECT_EQ(value_of(ns_, "new"), "1");
  EXPECT_GT(memory(), kLargeTable);
  // The same key; again and again; and nothing in the end.
  ASSERT_TRUE(ns_.apply(AtomicBatch().consume("new").add("new", "2")).is_success());
  EXPECT_EQ(value_of(ns_, "new"), "2");
  AtomicBatch batch;
  for (int i = 0; i < 20; ++i) batch.delete_key("new").set("new", i < 19 ? "3" : "4");
  ASSERT_TRUE(ns_.apply(batch).is_success());
  EXPECT_EQ(value_of(ns_, "new"), "4");
  ASSERT_TRUE(ns_.apply(batch.delete_key("new")).is_success());
  EXPECT_EQ(keys(), Keys{});
  EXPECT_LT(memory(), kLargeTable);
  ASSERT_TRUE(ns_.put("next", "1").ok());
  EXPECT_EQ(value_of(ns_, "next"), "1");
}

TEST_P(EmptiedTableTest, ABatchMayEmptyItAndFillItBeyondItsSize) {
  std::vector<std::string> names;  // the batch does not keep them
  for (int i = 0; i < 3000; ++i) names.push_back(numbered("key", i));
  AtomicBatch batch;
  batch.delete_key("last");
  for (const std::string& name : names) batch.set(name, "v");
  ASSERT_TRUE(ns_.apply(batch).is_success());
  EXPECT_EQ(ns_.metadata()->key_count, 3000U);
  for (const std::string& name : names) ASSERT_EQ(value_of(ns_, name), "v");
}

TEST_P(EmptiedTableTest, NoMoreIsAskedForThanIsThereAlready) {
  if (!GetParam()) GTEST_SKIP() << "where bytes are counted";
  ASSERT_TRUE(ns_.set_max_bytes(memory()).ok());
  ASSERT_TRUE(ns_.apply(AtomicBatch().delete_key("last").set("last", "w")).is_success());
  EXPECT_EQ(value_of(ns_, "last"), "w");
  ASSERT_TRUE(ns_.apply(AtomicBatch().delete_key("last").set("next", "w")).is_success());
  EXPECT_EQ(value_of(ns_, "next"), "w");
}

TEST_P(EmptiedTableTest, AWriteToTheLastKeyThatHasExpiredHasRoom) {
  const auto let_it_expire = [&] {
    ASSERT_TRUE(ns_.clear().ok());
    leave_only("brief", {.expire_after = 100ms});
    time_.advance(200ms);
  };
  let_it_expire();
  ASSERT_TRUE(ns_.put("brief", "1").ok());
  EXPECT_EQ(value_of(ns_, "brief"), "1");
  let_it_expire();
  ASSERT_TRUE(ns_.put("other", "2").ok());
  EXPECT_EQ(keys(), Keys{"other"});
  let_it_expire();
  ASSERT_TRUE(ns_.apply(AtomicBatch().check_absent("brief").set("brief", "3")).is_success());
  EXPECT_EQ(value_of(ns_, "brief"), "3");
  let_it_expire();
  const std::vector<KeyValue> items = {{"a", "4"}, {"b", "4"}, {"brief", "4"}};
  ASSERT_TRUE(ns_.set_multiple(items, BatchMode::kAllOrNothing).is_success());
  EXPECT_EQ(keys(), (Keys{"a", "b", "brief"}));
  let_it_expire();
  ASSERT_TRUE(ns_.set_multiple(items, BatchMode::kBestEffort).is_success());
  EXPECT_EQ(keys(), (Keys{"a", "b", "brief"}));
  let_it_expire();
  ASSERT_TRUE(ns_.increment("brief", 5).ok());
  EXPECT_EQ(value_of(ns_, "brief"), "5");
  let_it_expire();
  ASSERT_TRUE(
      ns_.transform("brief",
                    [](std::optional<std::string_view>) { return std::optional<std::string>("6"); })
          .ok());
  EXPECT_EQ(value_of(ns_, "brief"), "6");
}

TEST_P(EmptiedTableTest, AKeyThatExpiresAtOnceLeavesRoomForTheNext) {
  const std::chrono::system_clock::time_point past(std::chrono::milliseconds(time_.unix_ms() - 5));
  const WriteOptions over{.expire_at = past};
  ASSERT_TRUE(ns_.apply(AtomicBatch()
                            .delete_key("last")
                            .set("gone", "v", over)
                            .set("a", "1")
                            .delete_key("a")
                            .set("b", "2"))
                  .is_success());
  EXPECT_EQ(keys(), Keys{"b"});
  ASSERT_TRUE(*ns_.delete_key("b"));
  const std::vector<KeyValue> items = {{"c", "3"}, {"d", "3"}};
  ASSERT_TRUE(ns_.set_multiple(items, BatchMode::kAllOrNothing, over).is_success());
  EXPECT_EQ(keys(), Keys{});
  ASSERT_TRUE(ns_.put("e", "4").ok());
  EXPECT_EQ(keys(), Keys{"e"});
}

}  // namespace
}  // namespace rkvs
