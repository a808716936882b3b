// Single-key operations.
#include <gtest/gtest.h>
#include <rkvs/namespace.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using internal::Arena;
using internal::NamespaceImpl;
using testing::count_of;
using testing::HashedTest;
using testing::is_ok;
using testing::make_namespace;
using testing::numbered;
using testing::sorted_keys;
using testing::stats_of;
using testing::Threads;
using testing::value_of;

using namespace std::string_literals;

// What an operation returns when it returns an old value: "<none>", the value, or the code.
std::string text_of(const Result<std::optional<Value>>& old) {
  if (!old.ok()) return "<" + std::string(status_code_name(old.code())) + ">";
  return old->has_value() ? (*old)->to_string() : "<none>";
}
std::string text_of(const Result<Value>& value) {
  if (!value.ok()) return "<" + std::string(status_code_name(value.code())) + ">";
  return value->to_string();
}

class NamespaceTest : public HashedTest {};
INSTANTIATE_TEST_SUITE_P(Hashes, NamespaceTest,
                         ::testing::Values(testing::HashStrength::kFull,
                                           testing::HashStrength::kWeak),
                         testing::hash_name);

TEST_P(NamespaceTest, AbsentKeyIsAnOutcomeOfEachOperation) {
  Namespace ns = make();
  const auto got = ns.get("k");
  EXPECT_EQ(got.code(), StatusCode::kNotFound);
  EXPECT_FALSE(got.status().is_error());
  EXPECT_TRUE(got.status().message().empty());
  const auto exists = ns.exists("k");
  ASSERT_TRUE(is_ok(exists));
  EXPECT_FALSE(*exists);
  EXPECT_EQ(text_of(ns.update("k", "v")), "<NotFound>");
  EXPECT_EQ(value_of(ns, "k"), "<NotFound>") << "update stores nothing";
  EXPECT_EQ(text_of(ns.consume("k")), "<NotFound>");
  const auto deleted = ns.delete_key("k");
  ASSERT_TRUE(is_ok(deleted));
  EXPECT_FALSE(*deleted);
  EXPECT_EQ(text_of(ns.set("k", "v")), "<none>");
  EXPECT_TRUE(is_ok(ns.put("k2", "v")));
  EXPECT_EQ(count_of(ns), 2U);
}

TEST_P(NamespaceTest, PresentKeyGivesItsOldValueToEachOperation) {
  Namespace ns = make();
  ASSERT_TRUE(is_ok(ns.set("k", "1")));
  EXPECT_EQ(text_of(ns.get("k")), "1");
  EXPECT_TRUE(*ns.exists("k"));
  EXPECT_EQ(text_of(ns.set("k", "22")), "1");
  EXPECT_EQ(text_of(ns.update("k", "333")), "22");
  EXPECT_TRUE(is_ok(ns.put("k", "4444")));
  EXPECT_EQ(text_of(ns.consume("k")), "4444");
  EXPECT_EQ(text_of(ns.get("k")), "<NotFound>");
  EXPECT_EQ(text_of(ns.set("k", "5")), "<none>");
  EXPECT_TRUE(*ns.delete_key("k"));
  EXPECT_FALSE(*ns.delete_key("k"));
  EXPECT_EQ(count_of(ns), 0U);
}

TEST_P(NamespaceTest, EmptyKeyIsAKey) {
  Namespace ns = make();
  EXPECT_FALSE(*ns.exists(""));
  EXPECT_EQ(text_of(ns.set("", "v")), "<none>");
  EXPECT_EQ(text_of(ns.get("")), "v");
  EXPECT_EQ(text_of(ns.get(std::string_view())), "v");
  EXPECT_EQ(text_of(ns.update("", "w")), "v");
  EXPECT_EQ(sorted_keys(ns), std::vector<std::string>{""});
  EXPECT_EQ(text_of(ns.consume("")), "w");
  EXPECT_FALSE(*ns.delete_key(""));
}

TEST_P(NamespaceTest, EmptyValueIsNotAMissingOne) {
  Namespace ns = make();
  EXPECT_TRUE(is_ok(ns.put("a", "")));
  EXPECT_TRUE(is_ok(ns.set("b", std::string_view())));
  for (const char* key : {"a", "b"}) {
    EXPECT_TRUE(*ns.exists(key));
    const auto value = ns.get(key);
    ASSERT_TRUE(is_ok(value));
    EXPECT_EQ(value->size(), 0U);
    const auto old = ns.set(key, "");
    ASSERT_TRUE(is_ok(old));
    ASSERT_TRUE(old->has_value()) << "an empty old value is an old value";
    EXPECT_TRUE((*old)->empty());
    EXPECT_TRUE(is_ok(ns.update(key, "")));
    EXPECT_TRUE(is_ok(ns.put(key, "")));
    EXPECT_TRUE(is_ok(ns.consume(key)));
  }
  EXPECT_EQ(count_of(ns), 0U);
}

TEST_P(NamespaceTest, D32_KeysAndValuesAreAnyBytes) {
  Namespace ns = make();
  std::vector<std::string> keys = {"a\0b"s, "a\0c"s,     "a"s,        "a\0"s,          "\0"s,
                                   "\0\0"s, "\xFF\xFE"s, "\xC3\x28"s, "\xEF\xBF\xBD"s, ""s};
  for (int byte = 0; byte < 256; ++byte)
    keys.push_back("x" + std::string(1, static_cast<char>(byte)));
  for (const std::string& key : keys) EXPECT_EQ(text_of(ns.set(key, key + "\0!"s)), "<none>");
  EXPECT_EQ(count_of(ns), keys.size());
  for (const std::string& key : keys) EXPECT_EQ(value_of(ns, key), key + "\0!"s);
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(sorted_keys(ns), keys);
}

TEST_P(NamespaceTest, KeyMayBeAsLargeAsTheLimitAndNoLarger) {
  NamespaceConfig config;
  config.max_key_size = 10;
  Namespace ns = make(config);
  const std::string fits(10, 'k');
  const std::string larger(11, 'k');
  EXPECT_TRUE(is_ok(ns.set(fits, "v")));
  EXPECT_TRUE(is_ok(ns.put(fits, "v")));
  for (const Status& status : {ns.set(larger, "v").status(), ns.put(larger, "v")}) {
    EXPECT_EQ(status.code(), StatusCode::kKeyTooLarge);
    EXPECT_NE(status.message().find("11"), std::string_view::npos) << status.to_string();
    EXPECT_NE(status.message().find("10"), std::string_view::npos) << status.to_string();
  }
  // To everything that stores no key, it is just absent.
  EXPECT_EQ(text_of(ns.get(larger)), "<NotFound>");
  EXPECT_EQ(text_of(ns.update(larger, "v")), "<NotFound>");
  EXPECT_EQ(text_of(ns.consume(larger)), "<NotFound>");
  EXPECT_FALSE(*ns.exists(larger));
  EXPECT_FALSE(*ns.delete_key(larger));
  EXPECT_EQ(count_of(ns), 1U);
}

TEST_P(NamespaceTest, LargestKeyThereIsWorks) {
  NamespaceConfig config;
  config.max_key_size = kLargestMaxKeySize;
  Namespace ns = make(config);
  std::string key(kLargestMaxKeySize, 'k');
  ASSERT_TRUE(is_ok(ns.set(key, "v")));
  EXPECT_EQ(value_of(ns, key), "v");
  EXPECT_EQ(text_of(ns.update(key, "w")), "v");
  key.push_back('k');
  EXPECT_EQ(ns.set(key, "v").code(), StatusCode::kKeyTooLarge);
  EXPECT_EQ(text_of(ns.update(key, "v")), "<NotFound>");
}

TEST_P(NamespaceTest, KeyOfDefaultConfigMayHave64KiB) {
  Namespace ns = make();
  EXPECT_TRUE(is_ok(ns.put(std::string(65536, 'k'), "v")));
  EXPECT_EQ(ns.put(std::string(65537, 'k'), "v").code(), StatusCode::kKeyTooLarge);
}

TEST_P(NamespaceTest, ValueMayBeAsLargeAsTheLimitAndNoLarger) {
  NamespaceConfig config;
  config.max_value_size = 5000;
  Namespace ns = make(config);
  const std::string fits(5000, 'v');
  const std::string larger(5001, 'w');
  EXPECT_TRUE(is_ok(ns.set("k", fits)));
  EXPECT_TRUE(is_ok(ns.update("k", fits)));
  EXPECT_TRUE(is_ok(ns.put("k", fits)));
  for (const Status& status :
       {ns.set("k", larger).status(), ns.put("k", larger), ns.update("k", larger).status()}) {
    EXPECT_EQ(status.code(), StatusCode::kValueTooLarge);
    EXPECT_NE(status.message().find("5001"), std::string_view::npos) << status.to_string();
    EXPECT_NE(status.message().find("5000"), std::string_view::npos) << status.to_string();
  }
  EXPECT_EQ(ns.set("new", larger).code(), StatusCode::kValueTooLarge);
  EXPECT_EQ(value_of(ns, "k"), fits);
  EXPECT_EQ(count_of(ns), 1U);
}

TEST_P(NamespaceTest, SmallValueLimitHoldsForInPlaceWritesToo) {
  NamespaceConfig config;
  config.max_value_size = 3;
  Namespace ns = make(config);
  ASSERT_TRUE(is_ok(ns.put("k", "123")));
  EXPECT_EQ(ns.put("k", "1234").code(), StatusCode::kValueTooLarge);
  ASSERT_TRUE(is_ok(ns.set_max_value_size(2)));
  EXPECT_EQ(ns.put("k", "456").code(), StatusCode::kValueTooLarge);
  EXPECT_EQ(value_of(ns, "k"), "123") << "larger ones stay";
}

TEST_P(NamespaceTest, PutTakesEveryPathByValueSize) {
  // In place, a block for each, a run of pages, a mapping; larger and smaller than before.
  Namespace ns = make();
  const size_t sizes[] = {0,    1,     100,   100,     99,      4096,    4096, 4097,
                          4097, 32768, 40000, 1048576, 3000000, 3000000, 10,   0};
  char fill = 'a';
  for (const size_t size : sizes) {
    const std::string value(size, fill++);
    ASSERT_TRUE(is_ok(ns.put("k", value)));
    ASSERT_EQ(value_of(ns, "k"), value);
    ASSERT_EQ(stats_of(ns).total_size, size);
  }
}

TEST_P(NamespaceTest, D35_TooManyKeysNamesTheNamespaceAndTheLimit) {
  NamespaceConfig config;
  config.max_keys = 2;
  Namespace ns = make(config);
  ASSERT_TRUE(is_ok(ns.set("a", "1")));
  ASSERT_TRUE(is_ok(ns.put("b", "2")));
  for (const Status& status : {ns.set("c", "3").status(), ns.put("c", "3")}) {
    EXPECT_EQ(status.code(), StatusCode::kTooManyKeys);
    EXPECT_NE(status.message().find("test"), std::string_view::npos) << status.to_string();
    EXPECT_NE(status.message().find("2"), std::string_view::npos) << status.to_string();
  }
  EXPECT_FALSE(*ns.exists("c"));
  // What adds no key works.
  EXPECT_TRUE(is_ok(ns.set("a", "11")));
  EXPECT_TRUE(is_ok(ns.put("b", "22")));
  EXPECT_TRUE(is_ok(ns.update("a", "111")));
  EXPECT_TRUE(*ns.delete_key("a"));
  EXPECT_TRUE(is_ok(ns.set("c", "3")));
  EXPECT_EQ(ns.set("a", "1").code(), StatusCode::kTooManyKeys);
  EXPECT_TRUE(is_ok(ns.consume("b")));
  EXPECT_TRUE(is_ok(ns.put("a", "1")));
  EXPECT_EQ(count_of(ns), 2U);
}

TEST_P(NamespaceTest, ValuesStayWhatTheyWere) {
  Namespace ns = make();
  ASSERT_TRUE(is_ok(ns.set("k", "first")));
  const Value first = *ns.get("k");
  ASSERT_TRUE(is_ok(ns.put("k", "other")));  // same size: not in place, as somebody looks
  const Value second = *ns.get("k");
  ASSERT_TRUE(is_ok(ns.set("k", "third")));
  const Value third = *ns.get("k");
  ASSERT_TRUE(is_ok(ns.update("k", "4th..")));
  const Value fourth = *ns.consume("k");
  EXPECT_EQ(first, "first");
  EXPECT_EQ(second, "other");
  EXPECT_EQ(third, "third");
  EXPECT_EQ(fourth, "4th..");
}

TEST_P(NamespaceTest, ValuesOutliveOverwriteDeleteAndNamespace) {
  Value overwritten;
  Value deleted;
  Value closed;
  const size_t before = Arena::stats().bytes_in_use;
  {
    Namespace ns = make();
    for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(is_ok(ns.set(key, std::string(100, *key))));
    overwritten = *ns.get("a");
    deleted = *ns.get("b");
    closed = *ns.get("c");
    ASSERT_TRUE(is_ok(ns.put("a", "new")));
    ASSERT_TRUE(*ns.delete_key("b"));
    NamespaceImpl::of(ns).close(StatusCode::kNamespaceDeleted);
  }
  EXPECT_EQ(overwritten, std::string(100, 'a'));
  EXPECT_EQ(deleted, std::string(100, 'b'));
  EXPECT_EQ(closed, std::string(100, 'c'));
  EXPECT_GT(Arena::stats().bytes_in_use, before);
}

TEST_P(NamespaceTest, PutInPlaceKeepsTheBytesWhereNobodyLooks) {
  Namespace ns = make();
  ASSERT_TRUE(is_ok(ns.put("k", "12345")));
  const char* place = ns.get("k")->data();
  ASSERT_TRUE(is_ok(ns.put("k", "abcde")));
  EXPECT_EQ(ns.get("k")->data(), place);
  EXPECT_EQ(value_of(ns, "k"), "abcde");
}

TEST_P(NamespaceTest, SetOfAKeyToItsOwnValueWorks) {
  Namespace ns = make();
  ASSERT_TRUE(is_ok(ns.set("k", "some value")));
  const Value value = *ns.get("k");
  EXPECT_EQ(text_of(ns.set("k", value.view())), "some value");
  EXPECT_TRUE(is_ok(ns.put("k", value.view())));
  EXPECT_TRUE(is_ok(ns.update("k", value.view())));
  EXPECT_EQ(value_of(ns, "k"), "some value");
}

TEST_P(NamespaceTest, CopiesOfAHandleAreTheSameNamespace) {
  Namespace ns = make();
  Namespace copy = ns;
  ASSERT_TRUE(is_ok(copy.set("k", "v")));
  EXPECT_EQ(value_of(ns, "k"), "v");
  const Namespace moved = std::move(copy);
  EXPECT_EQ(value_of(moved, "k"), "v");
  EXPECT_EQ(moved.name(), "test");
}

TEST_P(NamespaceTest, ManyKeysAreAllFoundAndAllGo) {
  Namespace ns = make();
  const int count = key_count(testing::scaled_down(50000));
  uint64_t bytes = 0;
  for (int i = 0; i < count; ++i) {
    const std::string value = numbered("value", i);
    bytes += value.size();
    ASSERT_EQ(text_of(ns.set(numbered("key", i), value)), "<none>");
  }
  EXPECT_EQ(count_of(ns), static_cast<uint64_t>(count));
  EXPECT_EQ(stats_of(ns).total_size, bytes);
  for (int i = 0; i < count; ++i) ASSERT_EQ(value_of(ns, numbered("key", i)), numbered("value", i));
  for (int i = 0; i < count; ++i) ASSERT_EQ(value_of(ns, numbered("miss", i)), "<NotFound>");
  for (int i = 0; i < count; ++i) ASSERT_TRUE(*ns.delete_key(numbered("key", i)));
  EXPECT_EQ(count_of(ns), 0U);
  EXPECT_EQ(stats_of(ns).total_size, 0U);
  EXPECT_TRUE(sorted_keys(ns).empty());
}

TEST(Namespace, ValueOverOneGiBIsRefusedWithoutBeingTouched) {
  // Address space without memory behind it: reading it all would take gigabytes.
  constexpr size_t kSize = kLargestValueSize + 1;
  void* memory =
      mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::string_view value(static_cast<const char*>(memory), kSize);
  Namespace ns = make_namespace();
  ASSERT_TRUE(is_ok(ns.set("k", "v")));
  const size_t before = Arena::stats().bytes_in_use;
  const size_t reserved = Arena::stats().bytes_reserved;
  for (const Status& status :
       {ns.set("k", value).status(), ns.put("k", value), ns.update("k", value).status(),
        ns.set("absent", value).status(), ns.update("absent", value).status()}) {
    EXPECT_EQ(status.code(), StatusCode::kValueTooLarge);
    EXPECT_NE(status.message().find("1073741825"), std::string_view::npos) << status.to_string();
    EXPECT_NE(status.message().find("1073741824"), std::string_view::npos) << status.to_string();
  }
  const auto batch = ns.set_multiple({{"a", "1"}, {"k", value}}, BatchMode::kBestEffort);
  EXPECT_EQ(batch.items[1].code, StatusCode::kValueTooLarge);
  EXPECT_EQ(Arena::stats().bytes_reserved, reserved);
  EXPECT_LT(Arena::stats().bytes_in_use, before + 4096);
  EXPECT_EQ(value_of(ns, "k"), "v");
  munmap(memory, kSize);
}

TEST(Namespace, KeyOverTheLimitIsRefusedWithoutBeingTouched) {
  constexpr size_t kSize = size_t{1} << 32;
  void* memory =
      mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::string_view key(static_cast<const char*>(memory), kSize);
  Namespace ns = make_namespace();
  EXPECT_EQ(ns.set(key, "v").code(), StatusCode::kKeyTooLarge);
  EXPECT_EQ(ns.put(key, "v").code(), StatusCode::kKeyTooLarge);
  EXPECT_EQ(ns.update(key, "v").code(), StatusCode::kNotFound);
  munmap(memory, kSize);
}

TEST(Namespace, LargestValueThereIsIsStored) {
  if (testing::test_scale() < 2) GTEST_SKIP() << "takes two GiB; RKVS_TEST_SCALE=2 runs it";
  Namespace ns = make_namespace();
  const std::string value(kLargestValueSize, 'v');
  ASSERT_TRUE(is_ok(ns.set("k", value)));
  EXPECT_EQ(ns.get("k")->view(), value);
  EXPECT_EQ(stats_of(ns).total_size, kLargestValueSize);
}

TEST(Namespace, D36_GetCopiesNothing) {
  Namespace ns = make_namespace();
  ASSERT_TRUE(is_ok(ns.set("k", std::string(100000, 'v'))));
  const size_t before = Arena::stats().bytes_in_use;
  const Value a = *ns.get("k");
  const Value b = *ns.get("k");
  EXPECT_EQ(a.data(), b.data());
  EXPECT_EQ(Arena::stats().bytes_in_use, before);
}

TEST(Namespace, ConsumeGivesAValueToExactlyOneOfManyThreads) {
  Namespace ns = make_namespace();
  const int count = testing::scaled_down(4000);
  for (int i = 0; i < count; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("k", i), numbered("v", i))));
  std::atomic<int> taken{0};
  Threads threads;
  threads.start(4, [&](int) {
    for (int i = 0; i < count; ++i) {
      const auto value = ns.consume(numbered("k", i));
      if (value.ok()) {
        EXPECT_EQ(*value, numbered("v", i));
        taken.fetch_add(1);
      } else {
        EXPECT_EQ(value.code(), StatusCode::kNotFound);
      }
    }
  });
  threads.join();
  EXPECT_EQ(taken.load(), count);
  EXPECT_EQ(count_of(ns), 0U);
}

TEST(Namespace, SetReturnsEveryValueOnceToManyWriters) {
  // Each set hands back what it replaced: nothing that was written is lost or seen twice.
  Namespace ns = make_namespace();
  constexpr int kThreads = 4;
  const int writes = testing::scaled_down(10000);
  std::vector<std::vector<int>> returned(kThreads);
  Threads threads;
  threads.start(kThreads, [&](int thread) {
    for (int i = 0; i < writes; ++i) {
      const auto old = ns.set("k", std::to_string(thread * writes + i));
      ASSERT_TRUE(is_ok(old));
      if (old->has_value()) {
        returned[static_cast<size_t>(thread)].push_back(std::stoi((*old)->to_string()));
      }
    }
  });
  threads.join();
  std::vector<int> seen(static_cast<size_t>(kThreads * writes));
  for (const auto& values : returned) {
    for (const int value : values) ++seen[static_cast<size_t>(value)];
  }
  ++seen[static_cast<size_t>(std::stoi(value_of(ns, "k")))];
  EXPECT_EQ(*std::min_element(seen.begin(), seen.end()), 1);
  EXPECT_EQ(*std::max_element(seen.begin(), seen.end()), 1);
}

TEST(Namespace, PutInPlaceIsNeverSeenHalfDone) {
  Namespace ns = make_namespace();
  ASSERT_TRUE(is_ok(ns.put("k", std::string(1000, '0'))));
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  Threads threads;
  threads.start(2, [&](int) {
    while (!stop.load()) {
      const auto value = ns.get("k");
      ASSERT_TRUE(is_ok(value));
      const std::string first = value->to_string();
      std::this_thread::yield();
      if (first != std::string(1000, first[0]) || *value != first) torn.fetch_add(1);
    }
  });
  for (int i = 0; i < testing::scaled_down(20000); ++i) {
    ASSERT_TRUE(is_ok(ns.put("k", std::string(1000, static_cast<char>('0' + i % 10)))));
  }
  stop = true;
  threads.join();
  EXPECT_EQ(torn.load(), 0);
}

TEST(NamespaceClosed, D33_EveryOperationSaysWhatClosedIt) {
  for (const StatusCode code : {StatusCode::kNamespaceDeleted, StatusCode::kClosed}) {
    Namespace ns = make_namespace();
    ASSERT_TRUE(is_ok(ns.set("k", "v")));
    NamespaceImpl::of(ns).close(code);
    EXPECT_EQ(ns.get("k").code(), code);
    EXPECT_EQ(ns.get("absent").code(), code);
    EXPECT_EQ(ns.exists("k").code(), code);
    EXPECT_EQ(ns.set("k", "w").code(), code);
    EXPECT_EQ(ns.put("k", "w").code(), code);
    EXPECT_EQ(ns.put("new", std::string(100000, 'w')).code(), code);
    EXPECT_EQ(ns.update("k", "w").code(), code);
    EXPECT_EQ(ns.delete_key("k").code(), code);
    EXPECT_EQ(ns.consume("k").code(), code);
    EXPECT_EQ(ns.list_keys().code(), code);
    EXPECT_EQ(ns.metadata().code(), code);
    EXPECT_EQ(ns.shard_key_counts().code(), code);
    EXPECT_EQ(ns.set_max_keys(5).code(), code);
    EXPECT_EQ(ns.set_max_value_size(5).code(), code);
    EXPECT_EQ(ns.set_lock_timeout(std::chrono::milliseconds(5)).code(), code);
    EXPECT_EQ(ns.update_config({}).code(), code);
    EXPECT_EQ(ns.resize_shards(32).code(), code);
    EXPECT_EQ(ns.resize_shards(16).code(), code);
    EXPECT_EQ(ns.resize_shards(0).code(), code);
    EXPECT_NE(ns.get("k").status().message().find("test"), std::string_view::npos);
    EXPECT_EQ(ns.name(), "test");
    EXPECT_EQ(ns.get_config(), testing::patient());
    for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
      for (const BatchResult& result :
           {ns.get_multiple({"k", "a"}, mode), ns.set_multiple({{"k", "1"}, {"a", "2"}}, mode),
            ns.delete_multiple({"k", "a"}, mode), ns.consume_multiple({"k", "a"}, mode)}) {
        EXPECT_EQ(result.status.code(), code);
        EXPECT_EQ(testing::codes_of(result), (std::vector<StatusCode>{code, code}));
        EXPECT_FALSE(result.is_success());
        EXPECT_EQ(result.total_processed, 0U);
      }
      for (const BatchResult& result :
           {ns.get_multiple({}, mode), ns.set_multiple({}, mode), ns.delete_multiple({}, mode),
            ns.consume_multiple({}, mode)}) {
        EXPECT_EQ(result.status.code(), code) << "an empty batch is an operation too";
      }
    }
  }
}

TEST(NamespaceClosed, D33_FreesTheDataAtOnce) {
  Arena::trim();
  Namespace ns = make_namespace();
  testing::on_fresh_thread([&] {
    const size_t before = Arena::stats().bytes_in_use;
    for (int i = 0; i < 10000; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("k", i), "value")));
    EXPECT_GT(Arena::stats().bytes_in_use, before + 10000 * 20);
    NamespaceImpl::of(ns).close(StatusCode::kNamespaceDeleted);
    EXPECT_EQ(Arena::stats().bytes_in_use, before);
  });
}

TEST(NamespaceClosed, D33_NothingIsWrittenIntoTheVoidWhileItCloses) {
  // What was acknowledged before the close is freed by it: nothing is left, nothing crashes.
  for (int round = 0; round < testing::scaled_down(40); ++round) {
    Namespace ns = make_namespace();
    std::atomic<int> running{0};
    Threads threads;
    threads.start(3, [&](int thread) {
      running.fetch_add(1);
      for (int i = 0;; ++i) {
        const Status status = ns.put(numbered("k", i * 3 + thread), "value");
        if (status.ok()) continue;
        EXPECT_EQ(status.code(), StatusCode::kNamespaceDeleted);
        break;
      }
      const auto result = ns.set_multiple({{"a", "1"}, {"b", "2"}}, BatchMode::kAllOrNothing);
      EXPECT_EQ(result.status.code(), StatusCode::kNamespaceDeleted);
    });
    while (running.load() < 3) std::this_thread::yield();
    NamespaceImpl::of(ns).close(StatusCode::kNamespaceDeleted);
    EXPECT_EQ(ns.get("k0").code(), StatusCode::kNamespaceDeleted);
    threads.join();
    auto& shards = NamespaceImpl::of(ns).shards();
    for (uint32_t i = 0; i < shards.routing().shard_count(); ++i) {
      const internal::ReaderLock lock(shards[i].mutex);
      ASSERT_EQ(shards[i].size(), 0U) << "shard " << i;
    }
  }
}

TEST(NamespaceMemory, TotalSizeIsTheSumOfTheValues) {
  Namespace ns = make_namespace();
  ASSERT_TRUE(is_ok(ns.set("a", std::string(100, 'a'))));
  ASSERT_TRUE(is_ok(ns.put("b", "")));
  ASSERT_TRUE(is_ok(ns.put("c", "12345")));
  EXPECT_EQ(stats_of(ns).total_size, 105U);
  ASSERT_TRUE(is_ok(ns.update("a", "1")));
  EXPECT_EQ(stats_of(ns).total_size, 6U);
  ASSERT_TRUE(is_ok(ns.put("c", "54321")));
  EXPECT_EQ(stats_of(ns).total_size, 6U);
  ASSERT_TRUE(is_ok(ns.consume("c")));
  EXPECT_EQ(stats_of(ns).total_size, 1U);
  const NamespaceStats stats = stats_of(ns);
  EXPECT_EQ(stats.name, "test");
  EXPECT_EQ(stats.key_count, 2U);
  EXPECT_GT(stats.shard_count, 0U);
}

TEST(NamespaceMemory, MemoryBytesIsWhatTheArenaGave) {
  testing::on_fresh_thread([] {
    const size_t before = Arena::stats().bytes_in_use;
    Namespace ns = make_namespace();
    EXPECT_EQ(stats_of(ns).memory_bytes, 0U);
    for (int i = 0; i < 5000; ++i) {
      ASSERT_TRUE(
          is_ok(ns.put(numbered("key", i), std::string(static_cast<size_t>(i % 700), 'v'))));
    }
    EXPECT_EQ(stats_of(ns).memory_bytes, Arena::stats().bytes_in_use - before);
  });
}

TEST(NamespaceMemory, DeletingEverythingGivesTheMemoryBack) {
  Namespace ns = make_namespace();
  const int count = testing::scaled_down(100000);
  for (int i = 0; i < count; ++i) ASSERT_TRUE(is_ok(ns.put(numbered("key", i), "0123456789")));
  const uint64_t full = stats_of(ns).memory_bytes;
  for (int i = 0; i < count; ++i) ASSERT_TRUE(*ns.delete_key(numbered("key", i)));
  const NamespaceStats empty = stats_of(ns);
  EXPECT_EQ(empty.key_count, 0U);
  EXPECT_EQ(empty.total_size, 0U);
  // What is left is a small table a shard at most.
  EXPECT_LT(empty.memory_bytes, full / 10);
}

TEST(NamespaceMemory, EmptyNamespaceIsSmall) {
  constexpr int kCount = 200;
  const size_t before = Arena::stats().bytes_in_use;
  std::vector<Namespace> all;
  for (int i = 0; i < kCount; ++i) {
    all.push_back(make_namespace());
    ASSERT_TRUE(is_ok(all.back().put("k", "v")));
  }
  EXPECT_LT((Arena::stats().bytes_in_use - before) / kCount, 4096U);
}

}  // namespace
}  // namespace rkvs
