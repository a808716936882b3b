// Progress and cancel of saves and loads, limits of loads, and the lock on the directory.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs::manager_test {
namespace {

constexpr int kKeys = 30000;

class OperationTest : public ::testing::Test {
 protected:
  // A manager with one namespace "n" of kKeys keys.
  StorageManager filled() {
    StorageManager manager = manager_in(directory_);
    EXPECT_OK(manager.initialize());
    Namespace ns = *manager.create_namespace("n");
    for (int i = 0; i < kKeys; ++i) EXPECT_OK(ns.put(std::to_string(i), std::string(100, 'v')));
    return manager;
  }

  static OperationOptions recorded(std::vector<Progress>& seen) {
    OperationOptions options;
    options.progress = [&seen](const Progress& progress) { seen.push_back(progress); };
    return options;
  }
  // Cancelled by the first report, which is in the middle.
  static OperationOptions cancelled_in_the_middle() {
    OperationOptions options;
    options.cancel = CancelToken::create();
    options.progress = [token = options.cancel](const Progress&) { token.cancel(); };
    return options;
  }

  static void expect_complete(const std::vector<Progress>& seen, uint64_t entries) {
    ASSERT_FALSE(seen.empty());
    Progress last;
    for (const Progress& progress : seen) {
      EXPECT_GE(progress.entries_done, last.entries_done);
      EXPECT_GE(progress.bytes_done, last.bytes_done);
      last = progress;
    }
    EXPECT_EQ(last.entries_done, entries);
    EXPECT_EQ(last.entries_total, entries);
    EXPECT_GT(last.bytes_done, 0U);
    EXPECT_EQ(last.bytes_done, last.bytes_total);
  }

  TempDir directory_;
};

TEST_F(OperationTest, SaveAndLoadTellHowFarTheyAre) {
  StorageManager manager = filled();
  std::vector<Progress> seen;
  ASSERT_OK(manager.save_all("s.rkvs", recorded(seen)));
  expect_complete(seen, kKeys);
  seen.clear();
  ASSERT_OK(manager.load_namespace_as("s.rkvs", "again", recorded(seen)));
  expect_complete(seen, kKeys);
  seen.clear();
  StorageManager second = manager_in(directory_);
  ASSERT_OK(second.initialize("s.rkvs", recorded(seen)));
  expect_complete(seen, kKeys);
  seen.clear();
  ASSERT_OK(second.clone_namespace("n", "clone", recorded(seen)));
  expect_complete(seen, kKeys);
}

TEST_F(OperationTest, CancelledSaveLeavesTheFileAndNothingElse) {
  StorageManager manager = filled();
  ASSERT_OK(manager.save_all("s.rkvs"));
  const std::string before = read_file(directory_.path() / "s.rkvs");
  ASSERT_OK(find(manager, "n").put("more", "v"));
  EXPECT_CODE(manager.save_all("s.rkvs", cancelled_in_the_middle()), kCancelled);
  EXPECT_CODE(manager.save_namespace("n", "other.rkvs", cancelled_in_the_middle()), kCancelled);
  EXPECT_EQ(read_file(directory_.path() / "s.rkvs"), before);
  EXPECT_EQ(directory_.names(), std::vector<std::string>{"s.rkvs"});
  EXPECT_OK(manager.save_all("s.rkvs"));
}

TEST_F(OperationTest, CancelledLoadAddsNothing) {
  StorageManager manager = filled();
  ASSERT_OK(manager.save_all("s.rkvs"));
  EXPECT_CODE(manager.load_namespace_as("s.rkvs", "again", cancelled_in_the_middle()), kCancelled);
  EXPECT_CODE(manager.get_namespace("again"), kNamespaceNotFound);

  StorageManager second = manager_in(directory_);
  EXPECT_CODE(second.initialize("s.rkvs", cancelled_in_the_middle()), kCancelled);
  EXPECT_FALSE(second.is_initialized());
  EXPECT_OK(second.initialize("s.rkvs"));
  EXPECT_EQ(*second.total_key_count(), static_cast<uint64_t>(kKeys));
}

TEST_F(OperationTest, InitializeInItsOwnHookWouldDeadlock) {
  ASSERT_OK(filled().save_all("s.rkvs"));
  StorageManager manager = manager_in(directory_);
  OperationOptions options;
  std::atomic<int> calls{0};
  options.progress = [&](const Progress&) {
    ++calls;
    EXPECT_CODE(manager.initialize(), kWouldDeadlock);
    EXPECT_CODE(manager.create_namespace("x"), kNotInitialized);
  };
  EXPECT_OK(manager.initialize("s.rkvs", options));
  EXPECT_GT(calls, 0);
}

TEST_F(OperationTest, LoadStopsAtTheProgramsMemoryLimit) {
  ASSERT_OK(filled().save_all("s.rkvs"));
  StorageManager small({.directory = directory_.path(), .max_load_bytes = 1 << 20});
  EXPECT_CODE(small.initialize("s.rkvs"), kMemoryLimit);
  StorageManager enough({.directory = directory_.path(), .max_load_bytes = 8 << 20});
  EXPECT_OK(enough.initialize("s.rkvs"));
}

// --- A file large enough for several threads
// ------------------------------------------------------

TEST_F(OperationTest, LargeFileIsLoadedWhole) {
  const std::string value(1000, 'v');
  constexpr int kLarge = 40000;  // 40 MB: as many threads as there are processors, up to four
  StorageManager manager = manager_in(directory_);
  ASSERT_OK(manager.initialize());
  NamespaceConfig config;
  config.shard_count = 3;
  for (const auto& ns : {*manager.create_namespace("a"), *manager.create_namespace("b", config)}) {
    Namespace copy = ns;
    for (int i = 0; i < kLarge / 2; ++i) ASSERT_OK(copy.put(std::to_string(i), value));
  }
  ASSERT_OK(manager.save_all("s.rkvs"));
  StorageManager second = manager_in(directory_);
  ASSERT_OK(second.initialize("s.rkvs"));
  for (const char* name : {"a", "b"}) {
    Namespace ns = find(second, name);
    EXPECT_EQ(ns.metadata()->key_count, static_cast<uint64_t>(kLarge / 2));
    EXPECT_EQ(ns.metadata()->total_size, find(manager, name).metadata()->total_size);
    for (int i = 0; i < kLarge / 2; ++i) {
      const std::string key = std::to_string(i);
      ASSERT_EQ(ns.get(key)->view(), value) << key;
      ASSERT_EQ(version_of(ns, key), version_of(find(manager, name), key));
    }
  }
  // A fault near the end is found whichever thread comes to it.
  std::string bytes = read_file(directory_.path() / "s.rkvs");
  bytes[bytes.size() - 4000] ^= 1;
  write_file(directory_.path() / "bad.rkvs", bytes);
  StorageManager third = manager_in(directory_);
  EXPECT_CODE(third.initialize("bad.rkvs"), kSnapshotCorrupt);
}

// --- The lock on the directory
// --------------------------------------------------------------------

// Holds the lock as another process would: by an open file of its own.
internal::Directory locked_elsewhere(const std::filesystem::path& path) {
  auto directory = internal::Directory::open(path.string());
  EXPECT_OK(directory);
  EXPECT_OK(directory->lock());
  return *std::move(directory);
}

TEST_F(OperationTest, OneProcessAtATimeSavesIntoADirectory) {
  ASSERT_OK(filled().save_all("s.rkvs"));
  StorageManager manager = manager_in(directory_);
  {
    const auto other = locked_elsewhere(directory_.path());
    EXPECT_OK(manager.initialize("s.rkvs")) << "loading needs no lock";
    EXPECT_OK(manager.load_namespace_as("s.rkvs", "again"));
    EXPECT_CODE(manager.save_all("s.rkvs"), kDirectoryLocked);
    EXPECT_CODE(manager.save_namespace("n", "n.rkvs"), kDirectoryLocked);
    EXPECT_EQ(directory_.names(), std::vector<std::string>{"s.rkvs"});
  }
  EXPECT_OK(manager.save_all("s.rkvs")) << "free again";
}

TEST_F(OperationTest, ManagersOfOneProcessShareTheLockToTheLastOfThem) {
  auto is_locked = [&] {
    return internal::Directory::open(directory_.path().string())->lock().code() ==
           StatusCode::kDirectoryLocked;
  };
  auto first = std::make_unique<StorageManager>(filled());
  auto second = std::make_unique<StorageManager>(filled());
  EXPECT_FALSE(is_locked()) << "nobody has saved";
  ASSERT_OK(first->save_all("1.rkvs"));
  EXPECT_TRUE(is_locked());
  ASSERT_OK(second->save_all("2.rkvs"));
  first.reset();
  EXPECT_TRUE(is_locked());
  second.reset();
  EXPECT_FALSE(is_locked());
}

TEST_F(OperationTest, FirstSaveRemovesWhatADeadProcessLeft) {
  StorageManager manager = filled();
  ASSERT_OK(manager.save_all("s.rkvs"));
  write_file(directory_.path() / ".s.rkvs.4000000.1.tmp", "half a snapshot");
  ASSERT_OK(manager.save_all("s.rkvs"));
  EXPECT_TRUE(std::filesystem::exists(directory_.path() / ".s.rkvs.4000000.1.tmp"))
      << "looked for once, not with every save";
  manager = filled();
  ASSERT_OK(manager.save_all("s.rkvs"));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / ".s.rkvs.4000000.1.tmp"));
}

}  // namespace
}  // namespace rkvs::manager_test
