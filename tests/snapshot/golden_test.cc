// The golden files are read as they always were, and what is written today is what was written when
// they were made.
#include "tests/snapshot/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

const std::filesystem::path kFolder = RKVS_TEST_DATA "/v1";

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << path;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::vector<std::string> names_in_folder(const std::string& extension) {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(kFolder)) {
    if (file.path().extension() == extension) names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Golden, EveryFileIsReadAsItAlwaysWas) {
  const auto names = names_in_folder(".rkvs");
  EXPECT_GE(names.size(), 12U);
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    auto source = internal::ReadableFile::open((kFolder / (name + ".rkvs")).string());
    ASSERT_TRUE(is_ok(source));
    const Result<Model> read = read_model(std::move(*source));
    ASSERT_TRUE(is_ok(read));
    EXPECT_EQ(json_of(*read), contents_of(kFolder / (name + ".json")));
  }
}

TEST(Golden, WhatIsWrittenTodayIsTheSameByteForByte) {
  std::vector<std::string> names;
  for (const Golden& golden : all_golden()) {
    SCOPED_TRACE(golden.name);
    names.push_back(golden.name);
    // Not EXPECT_EQ: nobody reads these bytes in a message.
    EXPECT_TRUE(file_of(golden.model, golden.chunk_size) ==
                contents_of(kFolder / (golden.name + ".rkvs")));
    EXPECT_EQ(json_of(golden.model), contents_of(kFolder / (golden.name + ".json")));
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, names_in_folder(".rkvs"));
  EXPECT_EQ(names, names_in_folder(".json"));
}

// What the files are there to show is in them.
TEST(Golden, FilesHaveTheChunksTheyAreThereFor) {
  for (const Golden& golden : all_golden()) {
    if (golden.name != "chunks" && golden.name != "large_entries") continue;
    auto source = internal::ReadableFile::open((kFolder / (golden.name + ".rkvs")).string());
    ASSERT_TRUE(is_ok(source));
    auto reader = internal::SnapshotReader::open(std::move(*source));
    ASSERT_TRUE(is_ok(reader));
    internal::SnapshotChunk chunk;
    size_t chunks = 0;
    bool larger = false;
    for (;;) {
      const auto event = (*reader)->next(chunk);
      ASSERT_TRUE(is_ok(event));
      if (*event == internal::SnapshotEvent::kEnd) break;
      if (*event != internal::SnapshotEvent::kChunk) continue;
      ++chunks;
      larger |= chunk.key_bytes() + chunk.value_bytes() > golden.chunk_size;
    }
    EXPECT_GE(chunks, 5U) << golden.name;
    EXPECT_EQ(larger, golden.name == "large_entries");
  }
}

}  // namespace
}  // namespace rkvs::testing
