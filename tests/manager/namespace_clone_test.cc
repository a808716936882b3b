// clone_namespace.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/manager/manager_test_util.h"

namespace rkvs::manager_test {
namespace {

class CloneTest : public ::testing::Test {
 protected:
  CloneTest() { EXPECT_OK(manager_.initialize()); }

  StorageManager manager_;
};

TEST_F(CloneTest, HasContentConfigurationAndVersions) {
  NamespaceConfig config;
  config.max_keys = 5000;
  config.max_value_size = 100;
  config.shard_count = 5;
  Namespace ns = *manager_.create_namespace("a", config);
  Contents contents;
  for (int i = 0; i < 1000; ++i) contents["key " + std::to_string(i)] = std::to_string(i * i);
  contents[""] = "";
  contents[std::string("\0\xff", 2)] = std::string("\n\0", 2);
  fill(ns, contents);
  ASSERT_TRUE(*ns.delete_key("key 7"));
  contents.erase("key 7");

  auto clone = manager_.clone_namespace("a", "b");
  ASSERT_OK(clone);
  EXPECT_EQ(clone->name(), "b");
  EXPECT_EQ(contents_of(*clone), contents);
  EXPECT_EQ(clone->get_config(), config);
  EXPECT_EQ(clone->metadata()->total_size, ns.metadata()->total_size);
  for (const auto& [key, value] : contents) EXPECT_EQ(version_of(*clone, key), version_of(ns, key));
  // A key that was deleted before the clone gets a version there that it never had.
  ASSERT_OK(ns.put("key 7", "x"));
  ASSERT_OK(clone->put("key 7", "x"));
  EXPECT_GE(*version_of(*clone, "key 7"), *version_of(ns, "key 7"));
}

TEST_F(CloneTest, BothGoTheirOwnWays) {
  Namespace a = *manager_.create_namespace("a");
  fill(a, {{"both", "old"}, {"left", "old"}, {"right", "old"}, {"gone", "old"}});
  Namespace b = *manager_.clone_namespace("a", "b");
  // Same sizes: what could be overwritten in place must not be seen on the other side.
  ASSERT_OK(a.put("left", "new"));
  ASSERT_OK(b.put("right", "new"));
  ASSERT_OK(a.put("both", "aaa"));
  ASSERT_OK(b.put("both", "bbb"));
  ASSERT_TRUE(*a.delete_key("gone"));
  ASSERT_OK(a.put("added", "1"));
  EXPECT_EQ(contents_of(a),
            (Contents{{"both", "aaa"}, {"left", "new"}, {"right", "old"}, {"added", "1"}}));
  EXPECT_EQ(contents_of(b),
            (Contents{{"both", "bbb"}, {"left", "old"}, {"right", "new"}, {"gone", "old"}}));
  ASSERT_OK(manager_.delete_namespace("a"));
  EXPECT_EQ(b.get("left")->view(), "old");
}

TEST_F(CloneTest, SharesTheDataUntilItChanges) {
  Namespace a = *manager_.create_namespace("a");
  ASSERT_OK(a.put("k", std::string(1000, 'v')));
  Namespace b = *manager_.clone_namespace("a", "b");
  EXPECT_EQ(a.get("k")->view().data(), b.get("k")->view().data());
}

TEST_F(CloneTest, IsOneInstantOfEveryBatch) {
  Namespace a = *manager_.create_namespace("a", {.lock_timeout = std::chrono::minutes(5)});
  constexpr int kKeys = 200;
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i) keys.push_back(std::to_string(i));
  std::atomic<bool> stop{false};
  const auto write = [&](int round) {
    const std::string value = std::to_string(round);
    std::vector<KeyValue> items;
    for (const std::string& key : keys) items.push_back({key, value});
    return a.set_multiple(items, BatchMode::kAllOrNothing).status;
  };
  ASSERT_OK(write(0));
  std::thread writer([&] {
    for (int round = 1; !stop; ++round) ASSERT_OK(write(round));
  });
  for (int i = 0; i < 50; ++i) {
    const std::string name = "clone " + std::to_string(i);
    auto clone = manager_.clone_namespace("a", name);
    ASSERT_OK(clone);
    const Contents contents = contents_of(*clone);
    ASSERT_EQ(contents.size(), keys.size());
    for (const auto& [key, value] : contents) ASSERT_EQ(value, contents.at("0"));
    ASSERT_OK(manager_.delete_namespace(name));
  }
  stop = true;
  writer.join();
}

TEST_F(CloneTest, RefusalsChangeNothing) {
  StorageManager small({.config = {.max_namespaces = 2}});
  EXPECT_CODE(small.clone_namespace("a", "b"), kNotInitialized);
  ASSERT_OK(small.initialize());
  EXPECT_CODE(small.clone_namespace("a", "b"), kNamespaceNotFound);
  ASSERT_OK(small.create_namespace("a"));
  EXPECT_CODE(small.clone_namespace("a", "a"), kNamespaceExists);
  EXPECT_CODE(small.clone_namespace("a", ""), kInvalidName);
  EXPECT_CODE(small.clone_namespace("a", "new\nline"), kInvalidName);
  ASSERT_OK(small.clone_namespace("a", "b"));
  EXPECT_CODE(small.clone_namespace("a", "c"), kTooManyNamespaces);
  EXPECT_EQ(*small.list_namespaces(), (std::vector<std::string>{"a", "b"}));
}

TEST_F(CloneTest, CancelledAddsNothing) {
  Namespace a = *manager_.create_namespace("a");
  for (int i = 0; i < 30000; ++i) ASSERT_OK(a.put(std::to_string(i), "v"));
  OperationOptions options;
  options.cancel = CancelToken::create();
  options.progress = [token = options.cancel](const Progress&) { token.cancel(); };
  EXPECT_CODE(manager_.clone_namespace("a", "b", options), kCancelled);
  EXPECT_EQ(*manager_.list_namespaces(), std::vector<std::string>{"a"});
  EXPECT_OK(manager_.clone_namespace("a", "b"));
}

}  // namespace
}  // namespace rkvs::manager_test
