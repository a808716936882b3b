// StorageManager: its life, its namespaces, its configuration and figures. Files are in
// manager_persistence_test.cc.
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using namespace std::chrono_literals;

StorageManager initialized(StorageConfig config = {}) {
  StorageManager manager({.config = config});
  EXPECT_OK(manager.initialize());
  return manager;
}

// --- Life ----------------------------------------------------------------------------------------

TEST(StorageManager, BeforeInitializeEveryOperationIsNotInitialized) {
  const TempDir directory;
  StorageManager manager = manager_in(directory);
  EXPECT_FALSE(manager.is_initialized());
  EXPECT_CODE(manager.create_namespace("a"), kNotInitialized);
  EXPECT_CODE(manager.get_namespace("a"), kNotInitialized);
  EXPECT_CODE(manager.delete_namespace("a"), kNotInitialized);
  EXPECT_CODE(manager.list_namespaces(), kNotInitialized);
  EXPECT_CODE(manager.update_namespace_config("a", {}), kNotInitialized);
  EXPECT_CODE(manager.update_config({}), kNotInitialized);
  EXPECT_CODE(manager.namespace_stats("a"), kNotInitialized);
  EXPECT_CODE(manager.all_namespace_stats(), kNotInitialized);
  EXPECT_CODE(manager.namespace_count(), kNotInitialized);
  EXPECT_CODE(manager.total_key_count(), kNotInitialized);
  EXPECT_CODE(manager.load_report(), kNotInitialized);
  EXPECT_CODE(manager.save_namespace("a", "f"), kNotInitialized);
  EXPECT_CODE(manager.load_namespace("f"), kNotInitialized);
  EXPECT_CODE(manager.load_namespace_as("f", "a"), kNotInitialized);
  EXPECT_CODE(manager.load_namespace_as("f", "a", "b"), kNotInitialized);
  EXPECT_CODE(manager.clone_namespace("a", "b"), kNotInitialized);
  EXPECT_CODE(manager.metrics_text(), kNotInitialized);
  EXPECT_CODE(manager.add_namespace_autosave_task("a", {}), kNotInitialized);
  EXPECT_CODE(manager.start_namespace_autosave_task("a"), kNotInitialized);
  EXPECT_CODE(manager.start_missing_autosave_tasks(), kNotInitialized);
  EXPECT_CODE(manager.list_autosave_tasks(), kNotInitialized);
  EXPECT_CODE(manager.stop_namespace_autosave("a"), kNotInitialized);
  EXPECT_CODE(manager.stop_manager_autosave(), kNotInitialized);
  EXPECT_FALSE(manager.is_initialized());
}

TEST(StorageManager, ClosedEveryOperationIsClosedAndItsConfigurationStays) {
  const TempDir directory;
  StorageManager manager = manager_in(directory, {.max_namespaces = 7});
  ASSERT_OK(manager.initialize());
  ASSERT_OK(manager.create_namespace("a"));
  ASSERT_OK(manager.save_all("f"));
  ASSERT_OK(manager.close());
  EXPECT_EQ(manager.get_config().max_namespaces, 7U);
  EXPECT_CODE(manager.initialize(), kClosed);
  EXPECT_CODE(manager.initialize("f"), kClosed);
  EXPECT_CODE(manager.create_namespace("b"), kClosed);
  EXPECT_CODE(manager.get_namespace("a"), kClosed);
  EXPECT_CODE(manager.delete_namespace("a"), kClosed);
  EXPECT_CODE(manager.clone_namespace("a", "b"), kClosed);
  EXPECT_CODE(manager.list_namespaces(), kClosed);
  EXPECT_CODE(manager.update_namespace_config("a", {}), kClosed);
  EXPECT_CODE(manager.update_config({}), kClosed);
  EXPECT_CODE(manager.namespace_stats("a"), kClosed);
  EXPECT_CODE(manager.all_namespace_stats(), kClosed);
  EXPECT_CODE(manager.metrics_text(), kClosed);
  EXPECT_CODE(manager.namespace_count(), kClosed);
  EXPECT_CODE(manager.total_key_count(), kClosed);
  EXPECT_CODE(manager.load_report(), kClosed);
  EXPECT_CODE(manager.save_all("g"), kClosed);
  EXPECT_CODE(manager.save_namespace("a", "g"), kClosed);
  EXPECT_CODE(manager.load_namespace("f"), kClosed);
  EXPECT_CODE(manager.load_namespace_as("f", "b"), kClosed);
  EXPECT_CODE(manager.load_namespace_as("f", "b", "a"), kClosed);
  EXPECT_CODE(manager.add_namespace_autosave_task("a", {}), kClosed);
  EXPECT_CODE(manager.start_namespace_autosave_task("a"), kClosed);
  EXPECT_CODE(manager.start_missing_autosave_tasks(), kClosed);
  EXPECT_CODE(manager.list_autosave_tasks(), kClosed);
  EXPECT_CODE(manager.stop_namespace_autosave("a"), kClosed);
  EXPECT_CODE(manager.stop_manager_autosave(), kClosed);
  EXPECT_OK(manager.close()) << "again";
  EXPECT_EQ(directory.names(), std::vector<std::string>{"f"});
}

TEST(StorageManager, MoreWorkerThreadsThanThereMayBeAreRefusedAtTheStart) {
  const TempDir directory;
  StorageManager manager({.directory = directory.path(), .worker_threads = 257});
  const Status status = manager.initialize();
  EXPECT_CODE(status, kInvalidArgument);
  EXPECT_NE(status.message().find("257"), std::string_view::npos) << status.message();
  EXPECT_FALSE(manager.is_initialized());
}

TEST(StorageManager, D1_AStoreThatIsNotInitializedNeverWritesAFile) {
  const TempDir directory;
  write_file(directory / "store.rkvs", "precious");
  StorageManager manager = manager_in(directory);
  EXPECT_CODE(manager.save_all("store.rkvs"), kNotInitialized);
  EXPECT_CODE(manager.save_namespace("a", "store.rkvs"), kNotInitialized);
  EXPECT_EQ(directory.names(), std::vector<std::string>{"store.rkvs"});
  EXPECT_EQ(read_file(directory / "store.rkvs"), "precious");
}

TEST(StorageManager, TellsItsConfigurationBeforeInitialize) {
  const TempDir directory;
  EXPECT_EQ(manager_in(directory, {.max_namespaces = 7}).get_config().max_namespaces, 7U);
  EXPECT_TRUE(manager_in(directory).has_persistence());
  EXPECT_FALSE(StorageManager().has_persistence());
}

TEST(StorageManager, D15_ASecondInitializeIsOkAndChangesNothing) {
  const TempDir directory;
  {
    StorageManager other = manager_in(directory);
    ASSERT_OK(other.initialize());
    ASSERT_OK(other.create_namespace("from the file"));
    ASSERT_OK(other.save_all("store.rkvs"));
  }
  StorageManager manager = manager_in(directory);
  ASSERT_OK(manager.initialize());
  ASSERT_OK(manager.create_namespace("live")->put("k", "v"));
  EXPECT_OK(manager.initialize());
  EXPECT_OK(manager.initialize("store.rkvs"));
  EXPECT_OK(manager.initialize("no such file"));
  EXPECT_OK(manager.initialize("../not even a name"));
  EXPECT_EQ(*manager.list_namespaces(), std::vector<std::string>{"live"});
  EXPECT_EQ(*find(manager, "live").get("k"), "v");
}

// Each thread uses the store as soon as its own initialize() has returned: had another one's come
// later and replaced the data, what it wrote would be gone.
TEST(StorageManager, D15_ConcurrentInitializeKeepsWhatIsWritten) {
  constexpr int kThreads = 4;
  const TempDir directory;
  {
    StorageManager other = manager_in(directory);
    ASSERT_OK(other.initialize());
    ASSERT_OK(other.create_namespace("shared")->put("loaded", "yes"));
    ASSERT_OK(other.save_all("store.rkvs"));
  }
  for (int round = 0; round < 40; ++round) {
    StorageManager manager = manager_in(directory);
    std::barrier start(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        start.arrive_and_wait();
        EXPECT_OK(manager.initialize("store.rkvs"));
        EXPECT_TRUE(manager.is_initialized());
        EXPECT_OK(find(manager, "shared").put("by " + std::to_string(t), "here"));
        EXPECT_OK(manager.create_namespace("own " + std::to_string(t)));
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(*manager.namespace_count(), 1U + kThreads);
    EXPECT_EQ(contents_of(find(manager, "shared")).size(), 1U + kThreads);
  }
}

TEST(StorageManager, MovingItKeepsHandlesAndLeavesTheOldOneClosed) {
  const TempDir directory;
  StorageManager first = manager_in(directory);
  ASSERT_OK(first.initialize());
  Namespace ns = *first.create_namespace("n");
  StorageManager second = std::move(first);
  EXPECT_OK(ns.put("k", "v"));
  EXPECT_EQ(*find(second, "n").get("k"), "v");

  // NOLINTBEGIN(bugprone-use-after-move)
  EXPECT_FALSE(first.is_initialized());
  EXPECT_FALSE(first.has_persistence());
  EXPECT_EQ(first.get_config(), StorageConfig());
  EXPECT_CODE(first.initialize(), kClosed);
  EXPECT_CODE(first.initialize("f"), kClosed);
  EXPECT_CODE(first.create_namespace("a"), kClosed);
  EXPECT_CODE(first.get_namespace("n"), kClosed);
  EXPECT_CODE(first.delete_namespace("n"), kClosed);
  EXPECT_CODE(first.list_namespaces(), kClosed);
  EXPECT_CODE(first.update_namespace_config("n", {}), kClosed);
  EXPECT_CODE(first.update_config({}), kClosed);
  EXPECT_CODE(first.namespace_stats("n"), kClosed);
  EXPECT_CODE(first.all_namespace_stats(), kClosed);
  EXPECT_CODE(first.namespace_count(), kClosed);
  EXPECT_CODE(first.total_key_count(), kClosed);
  EXPECT_CODE(first.load_report(), kClosed);
  EXPECT_CODE(first.save_all("f"), kClosed);
  EXPECT_CODE(first.save_namespace("n", "f"), kClosed);
  EXPECT_CODE(first.load_namespace("f"), kClosed);
  EXPECT_CODE(first.load_namespace_as("f", "a"), kClosed);
  EXPECT_CODE(first.load_namespace_as("f", "a", "n"), kClosed);
  EXPECT_CODE(first.clone_namespace("n", "m"), kClosed);
  EXPECT_CODE(first.metrics_text(), kClosed);
  EXPECT_CODE(first.add_namespace_autosave_task("n", {}), kClosed);
  EXPECT_CODE(first.start_namespace_autosave_task("n"), kClosed);
  EXPECT_CODE(first.start_missing_autosave_tasks(), kClosed);
  EXPECT_CODE(first.list_autosave_tasks(), kClosed);
  EXPECT_CODE(first.stop_namespace_autosave("n"), kClosed);
  EXPECT_CODE(first.stop_manager_autosave(), kClosed);
  // NOLINTEND(bugprone-use-after-move)

  first = std::move(second);
  EXPECT_EQ(*find(first, "n").get("k"), "v");
}

TEST(StorageManager, AssigningAnotherOneClosesTheNamespacesThatItHad) {
  StorageManager manager = initialized();
  Namespace old = *manager.create_namespace("old");
  manager = initialized();
  EXPECT_CODE(old.get("k"), kClosed);
  EXPECT_EQ(*manager.namespace_count(), 0U);
}

TEST(StorageManagerBuilder, PassesEverythingOn) {
  const TempDir directory;
  StorageManagerBuilder builder;
  builder.with_config({.max_namespaces = 1}).with_persistence(directory.path());
  StorageManager first = builder.build();
  StorageManager second = builder.build();
  EXPECT_TRUE(first.has_persistence());
  EXPECT_EQ(first.get_config().max_namespaces, 1U);
  ASSERT_OK(first.initialize());
  ASSERT_OK(first.create_namespace("only"));
  EXPECT_CODE(first.create_namespace("more"), kTooManyNamespaces);
  ASSERT_OK(first.save_all("f"));
  ASSERT_OK(second.initialize("f"));
  EXPECT_EQ(*second.list_namespaces(), std::vector<std::string>{"only"});
}

// --- Handles that outlive what they mean ---------------------------------------------------------

// Every operation of a handle, and that none of them does anything.
void expect_everything_is(StatusCode code, Namespace ns) {
  const auto expect = [code](const auto& outcome, const char* what) {
    EXPECT_TRUE(has_code(outcome, code)) << what;
  };
  expect(ns.get("k"), "get");
  expect(ns.exists("k"), "exists");
  expect(ns.set("k", "w"), "set");
  expect(ns.put("k", "w"), "put");
  expect(ns.update("k", "w"), "update");
  expect(ns.delete_key("k"), "delete_key");
  expect(ns.consume("k"), "consume");
  for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
    for (const BatchResult& result :
         {ns.get_multiple({"k", "l"}, mode), ns.set_multiple({{"k", "w"}, {"l", "w"}}, mode),
          ns.delete_multiple({"k", "l"}, mode), ns.consume_multiple({"k", "l"}, mode)}) {
      expect(result, "batch");
      ASSERT_EQ(result.items.size(), 2U);
      for (const BatchItem& item : result.items) {
        EXPECT_EQ(item.code, code);
        EXPECT_FALSE(item.value.has_value());
      }
      EXPECT_EQ(result.total_processed, 0U);
    }
  }
  expect(ns.list_keys(), "list_keys");
  expect(ns.set_max_keys(1), "set_max_keys");
  expect(ns.set_max_value_size(1), "set_max_value_size");
  expect(ns.set_lock_timeout(1ms), "set_lock_timeout");
  expect(ns.update_config({}), "update_config");
  expect(ns.resize_shards(2), "resize_shards");
  expect(ns.metadata(), "metadata");
  expect(ns.shard_key_counts(), "shard_key_counts");
  EXPECT_EQ(ns.name(), "n");
}

TEST(StorageManager, D33_HandlesOfADeletedNamespaceAnswerNamespaceDeleted) {
  StorageManager manager = initialized();
  Namespace ns = *manager.create_namespace("n");
  ASSERT_OK(ns.put("k", "v"));
  const Value value = *ns.get("k");
  ASSERT_OK(manager.delete_namespace("n"));
  expect_everything_is(StatusCode::kNamespaceDeleted, ns);
  EXPECT_EQ(value, "v");

  // One of the same name is another one.
  Namespace reborn = *manager.create_namespace("n");
  EXPECT_CODE(reborn.get("k"), kNotFound);
  EXPECT_CODE(ns.put("k", "w"), kNamespaceDeleted);
  EXPECT_EQ(*manager.total_key_count(), 0U);
}

TEST(StorageManager, HandlesOfADestroyedManagerAnswerClosed) {
  Namespace ns;
  Value value;
  {
    StorageManager manager = initialized();
    ns = *manager.create_namespace("n");
    ASSERT_OK(ns.put("k", "v"));
    value = *ns.get("k");
  }
  expect_everything_is(StatusCode::kClosed, ns);
  EXPECT_EQ(value, "v");
}

// A namespace that was deleted first stays deleted.
TEST(StorageManager, HandlesKeepTheFirstReason) {
  Namespace ns;
  {
    StorageManager manager = initialized();
    ns = *manager.create_namespace("n");
    ASSERT_OK(manager.delete_namespace("n"));
  }
  EXPECT_CODE(ns.get("k"), kNamespaceDeleted);
}

TEST(StorageManager, D33_DeletingAnAbsentNamespaceChangesNothing) {
  StorageManager manager = initialized();
  ASSERT_OK(manager.create_namespace("a")->put("k", "v"));
  EXPECT_CODE(manager.delete_namespace("b"), kNamespaceNotFound);
  ASSERT_OK(manager.delete_namespace("a"));
  EXPECT_CODE(manager.delete_namespace("a"), kNamespaceNotFound);
}

// Whatever writers were told, they were told the truth: what was acknowledged before the end was
// there, and after it nothing is.
TEST(StorageManager, D33_DeletingUnderWritersEndsEachOfThem) {
  constexpr int kWriters = 3;
  for (int round = 0; round < 20 * test_scale(); ++round) {
    StorageManager manager = initialized();
    Namespace ns = *manager.create_namespace("n", {.max_keys = 100'000});
    std::atomic<uint64_t> acknowledged{0};
    std::vector<std::thread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&, w] {
        for (int i = 0;; ++i) {
          // So few keys that the limit is never reached, however late the end comes.
          const std::string key = std::to_string(w) + "/" + std::to_string(i % 5000);
          const Status status = i % 3 == 0
                                    ? ns.set_multiple({{key, "v"}}, BatchMode::kAllOrNothing).status
                                    : ns.put(key, "v");
          if (!status.ok()) {
            EXPECT_CODE(status, kNamespaceDeleted);
            break;
          }
          acknowledged.fetch_add(1);
        }
      });
    }
    while (acknowledged.load() < 200) std::this_thread::yield();
    EXPECT_OK(manager.delete_namespace("n"));
    for (auto& writer : writers) writer.join();
    EXPECT_CODE(ns.metadata(), kNamespaceDeleted);
    EXPECT_EQ(*manager.namespace_count(), 0U);
  }
}

// --- Names ---------------------------------------------------------------------------------------

TEST(StorageManager, NamesOfNamespacesAreUtf8WithoutControlCharacters) {
  const struct {
    const char* what;
    std::string name;
    bool allowed;
  } cases[] = {
      {"ASCII", "users", true},
      {"one byte", "a", true},
      {"a space alone", " ", true},
      {"what a path would mind", "../a/b\\c:*?\"<>|", true},
      {"a dot", ".", true},
      {"two bytes", "\xC2\xA0\xDF\xBF", true},
      {"three bytes", "\xE0\xA0\x80\xE1\x80\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF", true},
      {"four bytes", "\xF0\x90\x80\x80\xF1\x80\x80\x80\xF4\x8F\xBF\xBF", true},
      {"exactly 128 bytes", std::string(128, 'x'), true},
      {"128 bytes that end in a four-byte character", std::string(124, 'x') + "\xF0\x9F\x98\x80",
       true},

      {"empty", "", false},
      {"129 bytes", std::string(129, 'x'), false},
      {"129 bytes in fewer characters", std::string(127, 'x') + "\xC3\xA9", false},
      {"a mebibyte", std::string(1 << 20, 'x'), false},
      {"NUL", std::string("a\0b", 3), false},
      {"newline", "a\nb", false},
      {"tab at the end", "a\t", false},
      {"escape at the front", "\x1B[31m", false},
      {"U+001F", "\x1F", false},
      {"DEL", "a\x7F", false},
      {"U+0080", "\xC2\x80", false},
      {"U+009F", "a\xC2\x9F", false},
      {"a continuation byte alone", "\x80", false},
      {"a lead byte alone", "a\xC3", false},
      {"a lead byte before ASCII", "\xC3x", false},
      {"overlong in two bytes", "\xC0\xAF", false},
      {"overlong in two bytes, upper", "\xC1\xBF", false},
      {"overlong in three bytes", "\xE0\x9F\xBF", false},
      {"overlong in four bytes", "\xF0\x8F\xBF\xBF", false},
      {"a surrogate", "\xED\xA0\x80", false},
      {"the last surrogate", "\xED\xBF\xBF", false},
      {"above U+10FFFF", "\xF4\x90\x80\x80", false},
      {"F5", "\xF5\x80\x80\x80", false},
      {"FE", "\xFE", false},
      {"FF", "\xFF", false},
      {"cut off after two of three", "\xE2\x82", false},
      {"cut off after three of four", "\xF0\x9F\x98", false},
      {"the third of four is wrong", "\xF0\x9F\x41\x80", false},
      {"the last of three is wrong", "\xE2\x82\x41", false},
  };
  StorageManager manager = initialized();
  size_t allowed = 0;
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    const auto created = manager.create_namespace(c.name);
    EXPECT_TRUE(has_code(created, c.allowed ? StatusCode::kOk : StatusCode::kInvalidName));
    if (c.allowed) {
      ++allowed;
      EXPECT_EQ(find(manager, c.name).name(), c.name);
    } else {
      EXPECT_CODE(manager.get_namespace(c.name), kNamespaceNotFound);
      EXPECT_LT(created.status().message().size(), 400U) << "a name of any size in a message";
    }
  }
  EXPECT_EQ(*manager.namespace_count(), allowed);
}

// --- Namespaces ----------------------------------------------------------------------------------

TEST(StorageManager, CreatesFindsListsAndDeletesNamespaces) {
  StorageManager manager = initialized();
  EXPECT_EQ(*manager.namespace_count(), 0U);
  EXPECT_TRUE(manager.list_namespaces()->empty());
  for (const char* name : {"b", "c", "a"}) ASSERT_OK(manager.create_namespace(name));
  EXPECT_EQ(*manager.list_namespaces(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(*manager.namespace_count(), 3U);

  // Handles to one namespace share it; those to others do not.
  ASSERT_OK(find(manager, "a").put("k", "in a"));
  EXPECT_EQ(*find(manager, "a").get("k"), "in a");
  EXPECT_CODE(find(manager, "b").get("k"), kNotFound);

  EXPECT_OK(manager.delete_namespace("b"));
  EXPECT_CODE(manager.get_namespace("b"), kNamespaceNotFound);
  EXPECT_EQ(*manager.list_namespaces(), (std::vector<std::string>{"a", "c"}));
}

TEST(StorageManager, ADuplicateNameLeavesTheFirstAsItIs) {
  StorageManager manager = initialized();
  Namespace ns = *manager.create_namespace("n", {.max_keys = 5});
  ASSERT_OK(ns.put("k", "v"));
  EXPECT_CODE(manager.create_namespace("n", {.max_keys = 9}), kNamespaceExists);
  EXPECT_EQ(*find(manager, "n").get("k"), "v");
  EXPECT_EQ(find(manager, "n").get_config().max_keys, 5U);
}

TEST(StorageManager, OfManyCreatorsOfOneNameExactlyOneSucceeds) {
  constexpr int kThreads = 4;
  StorageManager manager = initialized({.max_namespaces = 50});
  for (int round = 0; round < 50; ++round) {
    const std::string name = "n" + std::to_string(round);
    std::barrier start(kThreads);
    std::atomic<int> created{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        const auto result = manager.create_namespace(name);
        if (result.ok()) {
          created.fetch_add(1);
        } else if (result.code() != StatusCode::kTooManyNamespaces || round != 49) {
          EXPECT_CODE(result, kNamespaceExists);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(created.load(), 1);
  }
  EXPECT_EQ(*manager.namespace_count(), 50U);
}

TEST(StorageManager, TheLimitOfNamespacesIsExactUnderConcurrency) {
  constexpr int kThreads = 4;
  constexpr int kLimit = 10;
  for (int round = 0; round < 20; ++round) {
    StorageManager manager = initialized({.max_namespaces = kLimit});
    std::barrier start(kThreads);
    std::atomic<int> created{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        start.arrive_and_wait();
        for (int i = 0; i < kLimit; ++i) {
          const auto result = manager.create_namespace(std::to_string(t) + "/" + std::to_string(i));
          if (result.ok()) {
            created.fetch_add(1);
          } else {
            EXPECT_CODE(result, kTooManyNamespaces);
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(created.load(), kLimit);
    EXPECT_EQ(*manager.namespace_count(), static_cast<size_t>(kLimit));
    // Deleting makes room again.
    ASSERT_OK(manager.delete_namespace(manager.list_namespaces()->front()));
    EXPECT_OK(manager.create_namespace("one more"));
    EXPECT_CODE(manager.create_namespace("and another"), kTooManyNamespaces);
  }
}

TEST(StorageManager, AnInvalidConfigurationCreatesNothing) {
  StorageManager manager = initialized();
  EXPECT_CODE(manager.create_namespace("n", {.shard_count = 4097}), kInvalidArgument);
  EXPECT_CODE(manager.create_namespace("n", {.lock_timeout = 0ms}), kInvalidArgument);
  EXPECT_EQ(*manager.namespace_count(), 0U);
  EXPECT_OK(manager.create_namespace("n", {.shard_count = 4096}));
}

// --- Configuration and figures -------------------------------------------------------------------

TEST(StorageManager, UpdatesItsConfigurationUnlessItIsBelowUse) {
  StorageManager manager = initialized();
  EXPECT_EQ(manager.get_config().max_namespaces, 0U) << "unlimited is reported as 0";
  for (const char* name : {"a", "b", "c"}) ASSERT_OK(manager.create_namespace(name));
  const Status refused = manager.update_config({.max_namespaces = 2});
  EXPECT_CODE(refused, kLimitBelowUse);
  EXPECT_EQ(refused.message(), "max_namespaces 2 is below the 3 namespaces that there are");
  EXPECT_EQ(manager.get_config().max_namespaces, 0U);
  EXPECT_OK(manager.update_config({.max_namespaces = 3}));
  EXPECT_EQ(manager.get_config().max_namespaces, 3U);
  EXPECT_CODE(manager.create_namespace("d"), kTooManyNamespaces);
  EXPECT_OK(manager.update_config({}));
  EXPECT_EQ(manager.get_config().max_namespaces, 0U) << "an unset field becomes its default";
  EXPECT_OK(manager.create_namespace("d"));
}

TEST(StorageManager, D27_UpdatesANamespacesConfigurationWholeOrNotAtAll) {
  StorageManager manager = initialized();
  Namespace ns = *manager.create_namespace("n");
  ASSERT_OK(ns.set_multiple({{"a", "1"}, {"b", "2"}, {"c", "3"}}, BatchMode::kAllOrNothing).status);
  const NamespaceConfig before = ns.get_config();

  NamespaceConfig wanted{.max_keys = 10,
                         .max_value_size = 4,
                         .max_key_size = 8,
                         .shard_count = 4,
                         .lock_timeout = 50ms};
  NamespaceConfig below_use = wanted;
  below_use.max_keys = 2;
  NamespaceConfig invalid = wanted;
  invalid.lock_timeout = 0ms;
  EXPECT_CODE(manager.update_namespace_config("n", below_use), kLimitBelowUse);
  EXPECT_CODE(manager.update_namespace_config("n", invalid), kInvalidArgument);
  EXPECT_EQ(ns.get_config(), before);
  EXPECT_NE(ns.shard_key_counts()->size(), 4U);

  EXPECT_OK(manager.update_namespace_config("n", wanted));
  EXPECT_EQ(ns.get_config(), wanted);
  EXPECT_EQ(ns.shard_key_counts()->size(), 4U);
  EXPECT_CODE(ns.put("d", "12345"), kValueTooLarge);
  EXPECT_CODE(manager.update_namespace_config("m", wanted), kNamespaceNotFound);
}

TEST(StorageManager, FiguresAreExact) {
  StorageManager manager = initialized();
  EXPECT_EQ(*manager.total_key_count(), 0U);
  EXPECT_TRUE(manager.all_namespace_stats()->empty());
  Namespace b = *manager.create_namespace("b", {.shard_count = 3});
  Namespace a = *manager.create_namespace("a", {.shard_count = 1});
  ASSERT_OK(a.put("1", std::string(10, 'x')));
  ASSERT_OK(a.put("2", ""));
  ASSERT_OK(b.put("1", std::string(7, 'x')));
  ASSERT_OK(b.put("1", std::string(5, 'x')));

  const auto all = *manager.all_namespace_stats();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "a");
  EXPECT_EQ(all[0].key_count, 2U);
  EXPECT_EQ(all[0].total_size, 10U);
  EXPECT_EQ(all[0].shard_count, 1U);
  EXPECT_EQ(all[1].name, "b");
  EXPECT_EQ(all[1].key_count, 1U);
  EXPECT_EQ(all[1].total_size, 5U);
  EXPECT_EQ(all[1].shard_count, 3U);
  EXPECT_EQ(*manager.namespace_stats("a"), all[0]);
  EXPECT_EQ(*b.metadata(), all[1]);
  EXPECT_EQ(*manager.total_key_count(), 3U);
  EXPECT_CODE(manager.namespace_stats("c"), kNamespaceNotFound);

  const uint64_t with_value = b.metadata()->memory_bytes;
  EXPECT_GT(with_value, 0U);
  ASSERT_OK(b.put("2", std::string(1000, 'x')));
  EXPECT_GE(b.metadata()->memory_bytes, with_value + 1000);
  EXPECT_TRUE(*b.delete_key("2"));
  EXPECT_TRUE(*b.delete_key("1"));
  EXPECT_EQ(b.metadata()->key_count, 0U);
  EXPECT_EQ(b.metadata()->total_size, 0U);
}

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST(StorageManager, ManyEmptyNamespacesStaySmall) {
  constexpr size_t kCount = 2000;
  StorageManager manager = initialized();
  ASSERT_OK(manager.create_namespace("what is made once for all"));
  const uint64_t before = resident_bytes();
  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_OK(manager.create_namespace("namespace " + std::to_string(i)));
  }
  const uint64_t each = (resident_bytes() - before) / kCount;
  EXPECT_EQ(*manager.namespace_count(), kCount + 1);
  EXPECT_LT(manager.namespace_stats("namespace 7")->memory_bytes, 8192U);
  if (!is_instrumented()) {
    EXPECT_LT(each, 12U * 1024) << "bytes of resident memory for an empty namespace";
    EXPECT_GT(each, 0U);
  }
  RecordProperty("bytes_each", std::to_string(each));
}

// --- Limits that nothing gets around -------------------------------------------------------------

TEST(StorageManager, D36_NoWayToWriteGetsAroundTheLimits) {
  StorageManager manager = initialized();
  Namespace ns = *manager.create_namespace(
      "n", {.max_keys = 2, .max_value_size = 4, .max_key_size = 3, .shard_count = 2});
  ASSERT_OK(ns.put("a", "1"));
  ASSERT_OK(ns.put("b", "2"));
  const Contents before = contents_of(ns);
  const std::string_view large = "12345";
  for (const BatchMode mode : {BatchMode::kAllOrNothing, BatchMode::kBestEffort}) {
    EXPECT_EQ(ns.set_multiple({{"c", "3"}}, mode).items[0].code, StatusCode::kTooManyKeys);
    EXPECT_EQ(ns.set_multiple({{"a", large}}, mode).items[0].code, StatusCode::kValueTooLarge);
    EXPECT_EQ(ns.set_multiple({{"long", "3"}}, mode).items[0].code, StatusCode::kKeyTooLarge);
  }
  EXPECT_CODE(ns.set("c", "3"), kTooManyKeys);
  EXPECT_CODE(ns.put("c", "3"), kTooManyKeys);
  EXPECT_CODE(ns.update("c", "3"), kNotFound);
  EXPECT_CODE(ns.set("a", large), kValueTooLarge);
  EXPECT_CODE(ns.put("a", large), kValueTooLarge);
  EXPECT_CODE(ns.update("a", large), kValueTooLarge);
  EXPECT_CODE(ns.set("long", "3"), kKeyTooLarge);
  EXPECT_CODE(ns.put("long", "3"), kKeyTooLarge);
  EXPECT_EQ(contents_of(ns), before);
  // A copy of a handle, another handle and a resize are no way around either.
  Namespace copy = ns;
  ASSERT_OK(copy.resize_shards(5));
  EXPECT_CODE(find(manager, "n").put("c", "3"), kTooManyKeys);
  EXPECT_CODE(copy.put("c", "3"), kTooManyKeys);
  EXPECT_EQ(contents_of(ns), before);
}

// What a get or an old value gives can be read and nothing else, and the store does not change it.
static_assert(std::is_same_v<decltype(std::declval<const Value&>().data()), const char*>);
static_assert(std::is_same_v<decltype(std::declval<Value&>().data()), const char*>);
static_assert(!std::is_constructible_v<Namespace, std::shared_ptr<internal::NamespaceImpl>>);

TEST(StorageManager, D36_ValuesAreSharedAndNeverChange) {
  StorageManager manager = initialized();
  Namespace ns = *manager.create_namespace("n");
  ASSERT_OK(ns.put("k", "before"));
  const Value value = *ns.get("k");
  const Value again = *ns.get("k");
  EXPECT_EQ(value.data(), again.data()) << "a get copies the value";
  const auto batch = ns.get_multiple({"k"}, BatchMode::kAllOrNothing);
  EXPECT_EQ(value.data(), batch.items[0].value->data()) << "a batch copies the value";
  ASSERT_OK(ns.put("k", "after!"));
  EXPECT_EQ(value, "before");
  EXPECT_EQ(*ns.get("k"), "after!");
  ASSERT_OK(manager.delete_namespace("n"));
  EXPECT_EQ(value, "before");
}

// --- Everything at once --------------------------------------------------------------------------

TEST(StorageManager, ServesCreatorsDeletersReadersAndFiguresAtOnce) {
  constexpr int kThreads = 4;
  const int rounds = 300 * test_scale();
  StorageManager manager = initialized({.max_namespaces = 6});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < rounds; ++i) {
        const std::string name = "n" + std::to_string((i + t) % 8);
        auto created = manager.create_namespace(name);
        if (created.ok()) {
          const Status put = created->put("k", name);
          EXPECT_TRUE(put.ok() || put.code() == StatusCode::kNamespaceDeleted) << put.to_string();
        } else {
          EXPECT_TRUE(created.code() == StatusCode::kNamespaceExists ||
                      created.code() == StatusCode::kTooManyNamespaces)
              << text_of(created);
        }
        if (auto found = manager.get_namespace(name); found.ok()) {
          const auto value = found->get("k");
          EXPECT_TRUE(!value.ok() || *value == name);
        }
        const auto stats = manager.all_namespace_stats();
        EXPECT_OK(stats);
        for (const auto& one : *stats) EXPECT_LE(one.key_count, 1U);
        EXPECT_LE(*manager.namespace_count(), 6U);
        const auto names = manager.list_namespaces();
        EXPECT_OK(names);
        EXPECT_TRUE(std::is_sorted(names->begin(), names->end()));
        if (i % 3 == t % 3) {
          const Status deleted = manager.delete_namespace(name);
          EXPECT_TRUE(deleted.ok() || deleted.code() == StatusCode::kNamespaceNotFound);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto names = manager.list_namespaces();
  for (const std::string& name : *names) EXPECT_OK(manager.delete_namespace(name));
  EXPECT_EQ(*manager.namespace_count(), 0U);
}

}  // namespace
}  // namespace rkvs
