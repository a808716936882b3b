// StorageManager and its files: what comes back, what is refused, and what is left untouched.
// Saving under load and with failing disks is in manager_save_test.cc.
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "manager/manager_impl.h"
#include "snapshot/writer.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using namespace std::chrono_literals;
using internal::AtomicFile;
using internal::Directory;
using internal::KeyHash;
using internal::ManagerImpl;
using internal::NamespaceImpl;
using internal::SnapshotNamespace;
using internal::SnapshotWriter;

class ManagerPersistence : public ::testing::Test {
 protected:
  // A manager that is ready and empty.
  StorageManager empty(StorageConfig config = {}) {
    StorageManager manager = manager_in(directory_, config);
    EXPECT_OK(manager.initialize());
    return manager;
  }
  // A manager that is ready with what the file holds.
  StorageManager loaded(std::string_view file, StorageConfig config = {}) {
    StorageManager manager = manager_in(directory_, config);
    EXPECT_OK(manager.initialize(file));
    return manager;
  }
  // Writes a file past all checks of the manager: what a hostile or broken program could write.
  void forge(std::string_view file, const std::vector<SnapshotNamespace>& namespaces,
             const std::vector<std::vector<internal::SnapshotEntry>>& entries,
             uint64_t max_namespaces = 0) {
    auto directory = Directory::open(directory_.path().string());
    ASSERT_OK(directory);
    auto target = AtomicFile::create(*directory, file);
    ASSERT_OK(target);
    SnapshotWriter writer(**target);
    ASSERT_OK(writer.begin({.created_unix_ms = 1,
                            .library_version = "forged",
                            .max_namespaces = max_namespaces,
                            .namespace_count = namespaces.size()}));
    for (size_t i = 0; i < namespaces.size(); ++i) {
      SnapshotNamespace info = namespaces[i];
      info.entry_count = std::max<uint64_t>(info.entry_count, entries[i].size());
      for (const auto& entry : entries[i]) info.value_bytes += entry.value.size();
      ASSERT_OK(writer.begin_namespace(info));
      for (const auto& entry : entries[i]) ASSERT_OK(writer.add(entry));
      ASSERT_OK(writer.end_namespace());
    }
    ASSERT_OK(writer.finish());
    ASSERT_OK((*target)->commit());
  }
  // A valid file with two keys in one namespace.
  std::string good_file() {
    StorageManager manager = empty();
    Namespace ns = *manager.create_namespace("n");
    fill(ns, {{"a", "1"}, {"b", std::string(5000, 'b')}});
    EXPECT_OK(manager.save_all("good"));
    return read_file(directory_ / "good");
  }

  TempDir directory_;
};

// --- Round trips ---------------------------------------------------------------------------------

TEST_F(ManagerPersistence, SaveAllAndInitializeBringEverythingBack) {
  const Contents binary = {
      {"", "the empty key"},
      {"empty value", ""},
      {std::string("\0", 1), std::string("\0\0", 2)},
      {std::string("a\0b", 3), "NUL inside"},
      {std::string("a\0c", 3), "another one"},
      {"\xFF\xFE", "\x80 not UTF-8 \xC0"},
      {"\xFF\xFD", "told apart from the one before"},
      {std::string(64 * 1024, 'k'), "the largest key"},
      {"large", std::string(3 << 20, '\x01')},
  };
  const NamespaceConfig first{.max_keys = 100,
                              .max_value_size = 4 << 20,
                              .max_key_size = 1 << 16,
                              .shard_count = 7,
                              .lock_timeout = 1234ms};
  const NamespaceConfig second{.shard_count = 0, .lock_timeout = 1h};
  {
    StorageManager manager = empty({.max_namespaces = 5});
    fill(*manager.create_namespace("\xC3\xA9t\xC3\xA9", first), binary);
    fill(*manager.create_namespace("automatic", second), {{"k", "v"}});
    ASSERT_OK(manager.create_namespace("nothing in it", {.max_keys = 1}));
    ASSERT_OK(manager.save_all("store.rkvs"));
  }
  StorageManager manager = loaded("store.rkvs");
  EXPECT_EQ(manager.get_config().max_namespaces, 5U);
  EXPECT_EQ(*manager.list_namespaces(),
            (std::vector<std::string>{"automatic", "nothing in it", "\xC3\xA9t\xC3\xA9"}));
  const Namespace back = find(manager, "\xC3\xA9t\xC3\xA9");
  EXPECT_EQ(contents_of(back), binary);
  EXPECT_EQ(back.get_config(), first);
  EXPECT_EQ(back.shard_key_counts()->size(), 7U);
  EXPECT_EQ(back.metadata()->key_count, binary.size());
  uint64_t bytes = 0;
  for (const auto& [key, value] : binary) bytes += value.size();
  EXPECT_EQ(back.metadata()->total_size, bytes);
  EXPECT_EQ(find(manager, "automatic").get_config(), second);
  EXPECT_EQ(contents_of(find(manager, "automatic")), (Contents{{"k", "v"}}));
  EXPECT_EQ(find(manager, "nothing in it").get_config().max_keys, 1U);
  EXPECT_EQ(find(manager, "nothing in it").metadata()->key_count, 0U);
}

// Whatever can be made can be saved, and whatever can be saved can be loaded.
TEST_F(ManagerPersistence, ManyNamespacesOfManyShardsComeBackThoughNothingIsInThem) {
  constexpr int kNamespaces = 200;
  constexpr uint32_t kShards = 200;
  {
    StorageManager manager = empty();
    for (int i = 0; i < kNamespaces; ++i) {
      ASSERT_OK(manager.create_namespace(std::to_string(i), {.shard_count = kShards}));
    }
    ASSERT_OK(manager.create_namespace("most", {.shard_count = kMaxShardCount}));
    ASSERT_OK(manager.create_namespace("as many", {.shard_count = kMaxShardCount}));
    ASSERT_OK(manager.save_all("f"));
  }
  StorageManager manager = loaded("f");
  ASSERT_TRUE(manager.is_initialized());
  EXPECT_EQ(*manager.namespace_count(), kNamespaces + 2U);
  EXPECT_EQ(find(manager, "7").shard_key_counts()->size(), kShards);
  EXPECT_EQ(find(manager, "most").shard_key_counts()->size(), kMaxShardCount);
}

TEST_F(ManagerPersistence, AnEmptyStoreIsAFileToo) {
  ASSERT_OK(empty().save_all("nothing"));
  StorageManager manager = loaded("nothing");
  EXPECT_EQ(*manager.namespace_count(), 0U);
  EXPECT_OK(manager.create_namespace("n"));
}

TEST_F(ManagerPersistence, LoadedNamespacesAreInUseLikeAnyOther) {
  {
    StorageManager manager = empty();
    Namespace ns = *manager.create_namespace("n", {.max_keys = 3, .max_value_size = 4});
    fill(ns, {{"a", "1"}, {"b", "2"}});
    ASSERT_OK(manager.save_all("f"));
  }
  StorageManager manager = loaded("f");
  Namespace ns = find(manager, "n");
  EXPECT_OK(ns.put("c", "3"));
  EXPECT_CODE(ns.put("d", "4"), kTooManyKeys);
  EXPECT_CODE(ns.put("a", "12345"), kValueTooLarge);
  EXPECT_EQ(*ns.consume("a"), "1");
  EXPECT_OK(ns.put("d", "4"));
  EXPECT_OK(ns.resize_shards(9));
  EXPECT_EQ(contents_of(ns), (Contents{{"b", "2"}, {"c", "3"}, {"d", "4"}}));
  // And saved again, over the file they came from.
  ASSERT_OK(manager.save_all("f"));
  EXPECT_EQ(contents_of(find(loaded("f"), "n")), (Contents{{"b", "2"}, {"c", "3"}, {"d", "4"}}));
}

TEST_F(ManagerPersistence, OneNamespaceGoesToAFileAndComesBack) {
  StorageManager manager = empty();
  const NamespaceConfig config{.max_keys = 9, .shard_count = 2};
  fill(*manager.create_namespace("one", config), {{"k", "v"}});
  fill(*manager.create_namespace("two"), {{"k", "w"}});
  ASSERT_OK(manager.save_namespace("one", "one.rkvs"));

  // Under its own name in another store, beside what is there.
  StorageManager other = empty();
  ASSERT_OK(other.create_namespace("two"));
  const auto name = other.load_namespace("one.rkvs");
  ASSERT_OK(name);
  EXPECT_EQ(*name, "one");
  EXPECT_EQ(contents_of(find(other, "one")), (Contents{{"k", "v"}}));
  EXPECT_EQ(find(other, "one").get_config(), config);
  EXPECT_EQ(find(other, "two").metadata()->key_count, 0U);

  // As a copy beside itself, twice, and independent of it.
  EXPECT_EQ(*manager.load_namespace_as("one.rkvs", "copy"), "copy");
  EXPECT_EQ(*manager.load_namespace_as("one.rkvs", "copy of one", "one"), "copy of one");
  EXPECT_EQ(find(manager, "copy").name(), "copy");
  ASSERT_OK(find(manager, "copy").put("k", "changed"));
  EXPECT_EQ(*find(manager, "one").get("k"), "v");
  EXPECT_EQ(*find(manager, "copy of one").get("k"), "v");
  EXPECT_EQ(*manager.namespace_count(), 4U);
}

TEST_F(ManagerPersistence, OneOfSeveralNamespacesIsNamed) {
  StorageManager manager = empty();
  for (const char* name : {"a", "b", "c"}) {
    fill(*manager.create_namespace(name), {{"I am", name}});
  }
  ASSERT_OK(manager.save_all("three"));
  StorageManager other = empty();
  const auto unnamed = other.load_namespace("three");
  EXPECT_CODE(unnamed, kInvalidArgument);
  EXPECT_EQ(unnamed.status().message(),
            "\"three\" holds 3 namespaces; name the one to load, or load a file that holds one");
  EXPECT_CODE(other.load_namespace_as("three", "x"), kInvalidArgument);
  EXPECT_CODE(other.load_namespace_as("three", "x", "d"), kNamespaceNotFound);
  EXPECT_EQ(*other.namespace_count(), 0U);
  EXPECT_EQ(*other.load_namespace_as("three", "x", "b"), "x");
  EXPECT_EQ(*other.load_namespace_as("three", "c", "c"), "c");
  EXPECT_EQ(contents_of(find(other, "x")), (Contents{{"I am", "b"}}));
  EXPECT_EQ(contents_of(find(other, "c")), (Contents{{"I am", "c"}}));

  ASSERT_OK(empty().save_all("none"));
  EXPECT_CODE(other.load_namespace("none"), kInvalidArgument);
  EXPECT_CODE(other.load_namespace_as("none", "y", "a"), kNamespaceNotFound);
}

TEST_F(ManagerPersistence, VersionsComeBackAndNeverRepeat) {
  uint64_t highest = 0;
  {
    StorageManager manager = empty();
    Namespace ns = *manager.create_namespace("n", {.shard_count = 1});
    for (int i = 0; i < 3; ++i) ASSERT_OK(ns.put("a", std::to_string(i)));
    ASSERT_OK(ns.put("b", "x"));
    EXPECT_EQ(version_of(ns, "a"), 3U);
    EXPECT_EQ(version_of(ns, "b"), 4U);
    // The greatest version of all goes with its key.
    ASSERT_OK(ns.put("gone", "x"));
    highest = *version_of(ns, "gone");
    EXPECT_TRUE(*ns.delete_key("gone"));
    ASSERT_OK(manager.save_all("f"));
  }
  for (const uint32_t shards : {0U, 1U, 5U}) {
    StorageManager manager = loaded("f");
    Namespace ns = find(manager, "n");
    ASSERT_OK(ns.resize_shards(shards));
    EXPECT_EQ(version_of(ns, "a"), 3U);
    EXPECT_EQ(version_of(ns, "b"), 4U);
    ASSERT_OK(ns.put("gone", "again"));
    EXPECT_GT(*version_of(ns, "gone"), highest);
    ASSERT_OK(ns.put("a", "later"));
    EXPECT_GT(*version_of(ns, "a"), highest);
  }
}

// --- Placement (D12) -----------------------------------------------------------------------------

TEST_F(ManagerPersistence, D12_PlacementIsNotInTheFile) {
  // The same data, saved by processes that hash keys and divide them into shards differently.
  Contents contents;
  for (int i = 0; i < 3000; ++i) contents["key " + std::to_string(i)] = std::to_string(i * i);
  const struct {
    const char* file;
    uint32_t shard_count;
    KeyHash hash;
  } savers[] = {
      {"one shard", 1, KeyHash(1)},
      {"automatic", 0, KeyHash(2)},
      {"many shards", 333, KeyHash(3)},
      {"all keys in 16 buckets", 16, KeyHash(4, uint64_t{0xF} << 40 | 0xFFFF)},
      {"nearly all keys collide", 2, KeyHash(5, 0x3F)},
  };
  for (const auto& saver : savers) {
    SCOPED_TRACE(saver.file);
    ManagerImpl manager({.directory = directory_.path()});
    ASSERT_OK(manager.initialize(std::nullopt));
    auto impl = NamespaceImpl::create("n", {.shard_count = saver.shard_count}, 0, saver.hash);
    ASSERT_OK(impl);
    fill(NamespaceImpl::handle(*impl), contents);
    ASSERT_OK(manager.save({*impl}, saver.file, {}));

    StorageManager reader = loaded(saver.file);
    Namespace ns = find(reader, "n");
    EXPECT_EQ(contents_of(ns), contents);
    EXPECT_EQ(ns.get_config().shard_count, saver.shard_count);
    EXPECT_EQ(ns.shard_key_counts()->size(), saver.shard_count == 0 ? 16U : saver.shard_count);
    for (const auto& [key, value] : contents) EXPECT_TRUE(*ns.delete_key(key)) << key;
    EXPECT_EQ(ns.metadata()->key_count, 0U);
  }
}

TEST_F(ManagerPersistence, D12_AnAutomaticNamespaceGoesOnGrowingAfterALoad) {
  constexpr uint64_t kKeys = 150'000;
  const auto key = [](uint64_t i) { return "key " + std::to_string(i); };
  {
    StorageManager manager = empty();
    Namespace ns = *manager.create_namespace("n");
    for (uint64_t i = 0; i < kKeys; ++i) ASSERT_OK(ns.put(key(i), ""));
    EXPECT_EQ(ns.metadata()->shard_count, 64U);
    ASSERT_OK(manager.save_all("grown"));
  }
  StorageManager manager = loaded("grown");
  Namespace ns = find(manager, "n");
  EXPECT_EQ(ns.metadata()->shard_count, 64U);
  EXPECT_EQ(ns.metadata()->key_count, kKeys);
  EXPECT_EQ(ns.get_config().shard_count, 0U);
  for (uint64_t i = kKeys; i < 4 * kKeys; ++i) ASSERT_OK(ns.put(key(i), ""));
  EXPECT_EQ(ns.metadata()->shard_count, 256U);
  EXPECT_EQ(ns.metadata()->key_count, 4 * kKeys);
}

// --- initialize(file) ----------------------------------------------------------------------------

TEST_F(ManagerPersistence, D13_AMissingFileStartsEmpty) {
  StorageManager manager = loaded("no such file");
  EXPECT_TRUE(manager.is_initialized());
  EXPECT_EQ(*manager.namespace_count(), 0U);
  EXPECT_TRUE(directory_.names().empty()) << "looking for a file makes one";
}

TEST_F(ManagerPersistence, D13_AMissingDirectoryIsMadeAndAMissingParentIsAnError) {
  StorageManager manager({.directory = directory_ / "new"});
  EXPECT_OK(manager.initialize("store.rkvs"));
  struct stat info {};
  ASSERT_EQ(stat((directory_ / "new").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);

  StorageManager nowhere({.directory = directory_ / "no" / "parent"});
  EXPECT_CODE(nowhere.initialize("store.rkvs"), kIo);
  EXPECT_FALSE(nowhere.is_initialized());
}

// Expects that the file cannot be loaded and that trying changes nothing: neither the manager,
// which can still be initialised, nor anything on the disk.
class Refusal {
 public:
  // `from`: a namespace that the file has.
  Refusal(TempDir& directory, std::string file, std::string from = "n")
      : directory_(directory), file_(std::move(file)), from_(std::move(from)) {}

  void expect(StatusCode code, std::string_view words = "") const {
    SCOPED_TRACE(file_);
    const auto names = directory_.names();
    StorageManager manager = manager_in(directory_);
    const Status refused = manager.initialize(file_);
    EXPECT_TRUE(has_code(refused, code));
    EXPECT_NE(refused.message().find(words), std::string::npos) << refused.message();
    EXPECT_FALSE(manager.is_initialized());
    EXPECT_CODE(manager.list_namespaces(), kNotInitialized);
    EXPECT_EQ(directory_.names(), names);

    EXPECT_OK(manager.initialize());
    EXPECT_TRUE(has_code(manager.load_namespace(file_), code));
    EXPECT_TRUE(has_code(manager.load_namespace_as(file_, "x"), code));
    EXPECT_TRUE(has_code(manager.load_namespace_as(file_, "x", from_), code));
    EXPECT_EQ(*manager.namespace_count(), 0U);
    EXPECT_EQ(directory_.names(), names);
  }

 private:
  TempDir& directory_;
  std::string file_;
  std::string from_;
};

// Everything that is there and cannot be read is an error, or a later save would overwrite it.
TEST_F(ManagerPersistence, D13_OnlyWhatIsNotThereIsMissing) {
  std::filesystem::create_directory(directory_ / "directory");
  Refusal(directory_, "directory").expect(StatusCode::kIo, "not a regular file");
  ASSERT_EQ(mkfifo((directory_ / "pipe").c_str(), 0600), 0);
  Refusal(directory_, "pipe").expect(StatusCode::kIo, "not a regular file");
  // Symbolic links are not followed: they could lead anywhere.
  write_file(directory_ / "target", good_file());
  std::filesystem::create_symlink("target", directory_ / "link");
  Refusal(directory_, "link").expect(StatusCode::kIo);
  std::filesystem::create_symlink("nowhere", directory_ / "dangling");
  Refusal(directory_, "dangling").expect(StatusCode::kIo);
  std::filesystem::create_symlink("loop", directory_ / "loop");
  Refusal(directory_, "loop").expect(StatusCode::kIo);
}

TEST_F(ManagerPersistence, D13_AFileWithoutPermissionIsNotMissing) {
  const std::string bytes = good_file();
  ASSERT_EQ(chmod(directory_.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod((directory_ / "good").c_str(), 0000), 0);
  // The superuser may read everything; as somebody else, for this thread's files alone.
  const bool superuser = geteuid() == 0;
  if (superuser) setfsuid(65534);
  StorageManager manager = manager_in(directory_);
  const Status refused = manager.initialize("good");
  if (superuser) setfsuid(0);
  EXPECT_CODE(refused, kIo);
  EXPECT_NE(refused.message().find("Permission denied"), std::string::npos) << refused.message();
  EXPECT_FALSE(manager.is_initialized());
  ASSERT_EQ(chmod((directory_ / "good").c_str(), 0600), 0);
  EXPECT_EQ(read_file(directory_ / "good"), bytes);
  EXPECT_OK(manager.initialize("good"));
  EXPECT_EQ(*manager.namespace_count(), 1U);
}

TEST_F(ManagerPersistence, D5_ADamagedFileIsRefusedAndLeftAsItIs) {
  const std::string good = good_file();
  const auto expect_corrupt = [&](const char* what, const std::string& bytes) {
    SCOPED_TRACE(what);
    write_file(directory_ / "damaged", bytes);
    Refusal(directory_, "damaged").expect(StatusCode::kSnapshotCorrupt, "damaged");
    EXPECT_EQ(read_file(directory_ / "damaged"), bytes);
  };
  expect_corrupt("an empty file", "");
  expect_corrupt("another kind of file", std::string(4096, 'x'));
  expect_corrupt("garbage behind the end", good + std::string(100, '\0'));
  expect_corrupt("twice the same", good + good);
  for (const size_t size : {good.size() - 1, good.size() / 2, size_t{33}, size_t{1}}) {
    expect_corrupt("cut off", good.substr(0, size));
  }
  for (size_t i = 0; i < 16; ++i) {
    std::string flipped = good;
    flipped[i * (good.size() - 1) / 15] ^= static_cast<char>(1 << i % 8);
    expect_corrupt("a flipped bit", flipped);
  }
}

TEST_F(ManagerPersistence, D11_WhatAFileSaysIsHeldToTheRulesOfThisStore) {
  const auto expect_corrupt = [&](const char* file, const SnapshotNamespace& info,
                                  const std::vector<internal::SnapshotEntry>& entries,
                                  std::string_view words) {
    forge(file, {info}, {entries});
    Refusal(directory_, file, info.name).expect(StatusCode::kSnapshotCorrupt, words);
  };
  expect_corrupt("more keys than max_keys", {.name = "n", .max_keys = 1}, {{"a", "1"}, {"b", "2"}},
                 "more keys than its own max_keys");
  expect_corrupt("a key twice", {.name = "n"}, {{"a", "1"}, {"b", "2"}, {"a", "3"}},
                 "a key stands in it twice");
  expect_corrupt("a name that is not UTF-8", {.name = "n\xFF"}, {}, "not UTF-8");
  expect_corrupt("a control character above ASCII", {.name = "n\xC2\x85"}, {}, "control");
  // Duplicate names and limits out of range cannot be written at all: see the tests of the format.
}

TEST_F(ManagerPersistence, D11_AnnouncementsOfManyNamespacesAddUpToNoMoreThanTheFile) {
  std::vector<SnapshotNamespace> namespaces;
  std::vector<std::vector<internal::SnapshotEntry>> entries(60);
  const std::string value(4 << 20, 'v');
  for (size_t i = 0; i < entries.size(); ++i) {
    namespaces.push_back({.name = "n" + std::to_string(i), .entry_count = uint64_t{1} << 40});
  }
  entries.back().push_back({"k", value});
  forge("many", namespaces, entries);
  StorageManager manager = loaded("many");
  uint64_t memory = 0;
  for (const NamespaceStats& stats : *manager.all_namespace_stats()) memory += stats.memory_bytes;
  // Each of them by itself may make room for as many entries as a file of 4 MiB can hold.
  EXPECT_LT(memory, uint64_t{64} << 20);
}

TEST_F(ManagerPersistence, D11_PlacementOfAForgedFileIsNotTrusted) {
  forge("hint", {{.name = "n", .shard_count = 2, .shards_in_use = 4096}}, {{{"a", "1"}}});
  StorageManager manager = loaded("hint");
  EXPECT_EQ(find(manager, "n").shard_key_counts()->size(), 2U);
  EXPECT_EQ(contents_of(find(manager, "n")), (Contents{{"a", "1"}}));
}

// A value may be larger than max_value_size when the limit came later: such a namespace loads.
TEST_F(ManagerPersistence, D14_ValuesOlderThanTheirLimitComeBack) {
  {
    StorageManager manager = empty();
    Namespace ns = *manager.create_namespace("n");
    ASSERT_OK(ns.put("old", "12345"));
    ASSERT_OK(ns.set_max_value_size(2));
    ASSERT_OK(manager.save_all("f"));
  }
  StorageManager manager = loaded("f");
  Namespace ns = find(manager, "n");
  EXPECT_EQ(*ns.get("old"), "12345");
  EXPECT_CODE(ns.put("new", "123"), kValueTooLarge);
}

// --- Limits of the manager -----------------------------------------------------------------------

TEST_F(ManagerPersistence, D14_TheProgramsLimitOfNamespacesWinsOverTheFiles) {
  {
    StorageManager manager = empty({.max_namespaces = 3});
    for (const char* name : {"a", "b", "c"}) ASSERT_OK(manager.create_namespace(name));
    ASSERT_OK(manager.save_all("three"));
  }
  EXPECT_EQ(loaded("three").get_config().max_namespaces, 3U) << "unset takes the file's";
  EXPECT_EQ(loaded("three", {.max_namespaces = 4}).get_config().max_namespaces, 4U);
  StorageManager unlimited = loaded("three", {.max_namespaces = 0});
  EXPECT_EQ(unlimited.get_config().max_namespaces, 0U);
  EXPECT_OK(unlimited.create_namespace("d"));

  StorageManager manager = manager_in(directory_, {.max_namespaces = 2});
  const Status refused = manager.initialize("three");
  EXPECT_CODE(refused, kTooManyNamespaces);
  EXPECT_EQ(refused.message(), "\"three\" holds 3 namespaces; max_namespaces is 2");
  EXPECT_FALSE(manager.is_initialized());
}

TEST_F(ManagerPersistence, D14_LoadingOneMoreKeepsTheLimit) {
  StorageManager manager = empty({.max_namespaces = 2});
  fill(*manager.create_namespace("a"), {{"k", "v"}});
  ASSERT_OK(manager.save_namespace("a", "a"));
  EXPECT_OK(manager.load_namespace_as("a", "b"));
  EXPECT_CODE(manager.load_namespace_as("a", "c"), kTooManyNamespaces);
  ASSERT_OK(manager.delete_namespace("b"));
  EXPECT_CODE(manager.load_namespace("a"), kNamespaceExists);
  EXPECT_OK(manager.load_namespace_as("a", "c"));
  EXPECT_EQ(*manager.list_namespaces(), (std::vector<std::string>{"a", "c"}));
}

TEST_F(ManagerPersistence, LoadingUnderANameInUseChangesNothing) {
  StorageManager manager = empty();
  Namespace ns = *manager.create_namespace("n");
  ASSERT_OK(ns.put("k", "saved"));
  ASSERT_OK(manager.save_namespace("n", "f"));
  ASSERT_OK(ns.put("k", "live"));
  EXPECT_CODE(manager.load_namespace("f"), kNamespaceExists);
  EXPECT_CODE(manager.load_namespace_as("f", "n"), kNamespaceExists);
  EXPECT_CODE(manager.load_namespace_as("f", "n", "n"), kNamespaceExists);
  EXPECT_EQ(*find(manager, "n").get("k"), "live");
  EXPECT_EQ(*ns.get("k"), "live");
  EXPECT_EQ(*manager.namespace_count(), 1U);
}

TEST_F(ManagerPersistence, LoadedNamesAreValidated) {
  StorageManager manager = empty();
  ASSERT_OK(manager.create_namespace("n"));
  ASSERT_OK(manager.save_namespace("n", "f"));
  for (const std::string& name : {std::string(), std::string(129, 'x'), std::string("\n"),
                                  std::string("\xFF"), std::string("\0", 1)}) {
    EXPECT_CODE(manager.load_namespace_as("f", name), kInvalidName);
    EXPECT_CODE(manager.load_namespace_as("f", name, "n"), kInvalidName);
  }
  EXPECT_EQ(*manager.namespace_count(), 1U);
}

// --- Without files -------------------------------------------------------------------------------

TEST(ManagerWithoutPersistence, D14_EverySaveAndLoadIsNoPersistence) {
  StorageManager manager;
  const Status refused = manager.initialize("f");
  EXPECT_CODE(refused, kNoPersistence);
  EXPECT_FALSE(manager.is_initialized());
  ASSERT_OK(manager.initialize());
  ASSERT_OK(manager.create_namespace("n"));
  EXPECT_CODE(manager.save_all("f"), kNoPersistence);
  EXPECT_CODE(manager.save_namespace("n", "f"), kNoPersistence);
  EXPECT_CODE(manager.load_namespace("f"), kNoPersistence);
  EXPECT_CODE(manager.load_namespace_as("f", "m"), kNoPersistence);
  EXPECT_CODE(manager.load_namespace_as("f", "m", "n"), kNoPersistence);
  EXPECT_EQ(*manager.namespace_count(), 1U);
}

TEST_F(ManagerPersistence, AFileThatIsNotThereIsSnapshotNotFoundToALoad) {
  StorageManager manager = empty();
  EXPECT_CODE(manager.load_namespace("f"), kSnapshotNotFound);
  EXPECT_CODE(manager.load_namespace_as("f", "a"), kSnapshotNotFound);
  EXPECT_CODE(manager.load_namespace_as("f", "a", "b"), kSnapshotNotFound);
  EXPECT_CODE(manager.save_namespace("nobody", "f"), kNamespaceNotFound);
  EXPECT_TRUE(directory_.names().empty());
}

// --- Names of files (D10) ------------------------------------------------------------------------

TEST_F(ManagerPersistence, D10_FileNamesAreOneComponentInsideTheDirectory) {
  StorageManager manager = empty();
  ASSERT_OK(manager.create_namespace("n"));
  const std::string outside = (directory_.path().parent_path() / "rkvs_escaped").string();
  const std::string names[] = {
      "",
      ".",
      "..",
      ".hidden",
      "..x",
      "a/b",
      "/",
      "a/",
      "/etc/passwd",
      outside,
      "../rkvs_escaped",
      "x/../../rkvs_escaped",
      std::string("a\0b", 3),
      std::string(201, 'x'),
      std::string(100'000, 'x'),
  };
  for (const std::string& name : names) {
    SCOPED_TRACE(name.substr(0, 40));
    EXPECT_CODE(manager.save_all(name), kInvalidName);
    EXPECT_CODE(manager.save_namespace("n", name), kInvalidName);
    EXPECT_CODE(manager.load_namespace(name), kInvalidName);
    EXPECT_CODE(manager.load_namespace_as(name, "a"), kInvalidName);
    EXPECT_CODE(manager.load_namespace_as(name, "a", "b"), kInvalidName);
    StorageManager other = manager_in(directory_);
    EXPECT_CODE(other.initialize(name), kInvalidName);
    EXPECT_FALSE(other.is_initialized());
  }
  EXPECT_TRUE(directory_.names().empty());
  EXPECT_FALSE(std::filesystem::exists(outside));

  for (const std::string& name :
       {std::string("x"), std::string("a..b"), std::string("-rf"), std::string("with space"),
        std::string("\xFF\xFE\n"), std::string(200, 'x')}) {
    EXPECT_OK(manager.save_all(name));
    EXPECT_OK(manager.load_namespace_as(name, "copy"));
    EXPECT_OK(manager.delete_namespace("copy"));
  }
}

// Names of namespaces never become paths.
TEST_F(ManagerPersistence, D10_NamesOfNamespacesStayData) {
  StorageManager manager = empty();
  fill(*manager.create_namespace("../../escape"), {{"k", "v"}});
  ASSERT_OK(manager.save_namespace("../../escape", "f"));
  EXPECT_EQ(directory_.names(), std::vector<std::string>{"f"});
  StorageManager other = empty();
  EXPECT_EQ(*other.load_namespace("f"), "../../escape");
}

TEST_F(ManagerPersistence, D10_ALinkUnderTheNameIsNotFollowed) {
  write_file(directory_ / "victim", "precious");
  std::filesystem::create_symlink("victim", directory_ / "store.rkvs");
  StorageManager manager = empty();
  EXPECT_CODE(manager.save_all("store.rkvs"), kIo);
  EXPECT_EQ(read_file(directory_ / "victim"), "precious");
}

TEST_F(ManagerPersistence, AFileThatIsSavedIsForItsOwnerAlone) {
  StorageManager manager = empty();
  ASSERT_OK(manager.save_all("f"));
  struct stat info {};
  ASSERT_EQ(stat((directory_ / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

}  // namespace
}  // namespace rkvs
