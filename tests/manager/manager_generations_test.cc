// Older generations of a snapshot: kept, and fallen back to.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/manager/manager_test_util.h"

namespace rkvs::manager_test {
namespace {

// Saves the numbers 1 to `count` to store.rkvs, one after another.
void save_numbers(const TempDir& directory, int count) {
  StorageManager manager({.directory = directory.path()});
  ASSERT_TRUE(manager.initialize().ok());
  auto ns = manager.create_namespace("ns");
  for (int i = 1; i <= count; ++i) {
    ASSERT_TRUE(ns->set("number", std::to_string(i)).ok());
    ASSERT_TRUE(manager.save_all("store.rkvs").ok());
  }
}

void damage(const std::filesystem::path& path) {
  std::string bytes = read_file(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x10);
  write_file(path, bytes);
}

struct Opened {
  std::vector<std::pair<LogLevel, std::string>> logged;
  StorageManager manager;
  Status status;

  explicit Opened(const TempDir& directory)
      : manager({.directory = directory.path(),
                 .log = [this](LogLevel level, std::string_view message) {
                   logged.emplace_back(level, message);
                 }}) {
    status = manager.initialize("store.rkvs");
  }
  std::string number() { return manager.get_namespace("ns")->get("number")->to_string(); }
};

TEST(Generations, TheNewestIsLoadedAndReported) {
  const TempDir directory;
  save_numbers(directory, 5);
  EXPECT_EQ(directory.names(),
            (std::vector<std::string>{"store.rkvs", "store.rkvs.1", "store.rkvs.2"}));
  Opened opened(directory);
  ASSERT_TRUE(opened.status.ok());
  EXPECT_EQ(opened.number(), "5");
  const LoadReport report = *opened.manager.load_report();
  EXPECT_EQ(report.file, "store.rkvs");
  EXPECT_EQ(report.namespaces, 1U);
  EXPECT_EQ(report.keys, 1U);
  EXPECT_TRUE(report.skipped.empty());
  EXPECT_TRUE(opened.logged.empty());
}

TEST(Generations, D2_ADamagedFileFallsBackToTheNewestWholeOneAndSaysSo) {
  const TempDir directory;
  save_numbers(directory, 3);
  damage(directory / "store.rkvs");
  damage(directory / "store.rkvs.1");
  const std::string before = read_file(directory / "store.rkvs");
  Opened opened(directory);
  ASSERT_TRUE(opened.status.ok()) << opened.status.to_string();
  EXPECT_EQ(opened.number(), "1");
  const LoadReport report = *opened.manager.load_report();
  EXPECT_EQ(report.file, "store.rkvs.2");
  ASSERT_EQ(report.skipped.size(), 2U);
  EXPECT_EQ(report.skipped[0].file, "store.rkvs");
  EXPECT_EQ(report.skipped[0].reason.code(), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(report.skipped[1].file, "store.rkvs.1");
  ASSERT_EQ(opened.logged.size(), 3U);
  EXPECT_NE(opened.logged[0].second.find("\"store.rkvs\""), std::string::npos);
  EXPECT_NE(opened.logged[2].second.find("store.rkvs.2"), std::string::npos);
  // The evidence is still there.
  EXPECT_EQ(read_file(directory / "store.rkvs"), before);
}

TEST(Generations, NoWholeOneIsSnapshotCorruptAndChangesNothing) {
  const TempDir directory;
  save_numbers(directory, 2);
  damage(directory / "store.rkvs");
  damage(directory / "store.rkvs.1");
  Opened opened(directory);
  EXPECT_CODE(opened.status, kSnapshotCorrupt);
  EXPECT_FALSE(opened.manager.is_initialized());
  EXPECT_CODE(opened.manager.load_report(), kNotInitialized);
}

TEST(Generations, AMissingFileStartsEmptyWhateverOlderOnesThereAre) {
  const TempDir directory;
  save_numbers(directory, 2);
  std::filesystem::remove(directory / "store.rkvs");
  Opened opened(directory);
  ASSERT_TRUE(opened.status.ok());
  EXPECT_EQ(*opened.manager.namespace_count(), 0U);
  EXPECT_TRUE(opened.manager.load_report()->file.empty());
}

TEST(Generations, AHookThatThrowsHarmsNothing) {
  const TempDir directory;
  save_numbers(directory, 2);
  damage(directory / "store.rkvs");
  StorageManager manager(
      {.directory = directory.path(), .log = [](LogLevel, std::string_view) { throw 1; }});
  EXPECT_TRUE(manager.initialize("store.rkvs").ok());
}

}  // namespace
}  // namespace rkvs::manager_test
