// What the writer writes, the reader reads.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "tests/snapshot/snapshot_model.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

// Both ways, and the same.
void expect_round_trip(const Model& model, size_t chunk_size = internal::kTargetChunkSize) {
  const std::string bytes = file_of(model, chunk_size);
  ASSERT_FALSE(bytes.empty());
  const Result<Model> read = read_model(bytes);
  ASSERT_TRUE(is_ok(read));
  EXPECT_TRUE(*read == model);
}

TEST(SnapshotRoundTrip, EmptyStore) {
  Model model;
  expect_round_trip(model.announce());
}

TEST(SnapshotRoundTrip, EveryFieldOfHeaderAndNamespace) {
  Model model;
  model.header = {-5, "1.2.3-rc.4", 7, UINT64_MAX, 0};
  ModelNamespace& ns = model.add(std::string(128, 'n'));
  ns.info.max_keys = 1;
  ns.info.max_value_size = 2;
  ns.info.max_bytes = UINT64_MAX;
  ns.info.max_key_size = 1048576;
  ns.info.shard_count = 4096;
  ns.info.shards_in_use = 4095;
  ns.info.lock_timeout_ms = 1;
  ns.info.autosave = internal::SnapshotAutosave{UINT64_MAX, 9, std::string(200, 'p')};
  ns.info.last_version = internal::kMaxSnapshotVersion;
  expect_round_trip(model.announce());
}

TEST(SnapshotRoundTrip, LittleOfEverything) { expect_round_trip(small_model()); }

TEST(SnapshotRoundTrip, EmptyKeyAndEmptyValueAreEntries) {
  Model model;
  model.add("a").entries = {{"", "", 0, 0}};
  model.add("b").entries = {{"", "v", 0, 0}, {"k", "", 0, 0}};
  expect_round_trip(model.announce());
}

TEST(SnapshotRoundTrip, BinaryKeysAndValues) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  Model model;
  ModelNamespace& ns = model.add("binary");
  for (int i = 0; i < 256; ++i) {
    ns.entries.push_back({all.substr(static_cast<size_t>(i)), all.substr(0, 256U - i), 1, 0});
  }
  expect_round_trip(model.announce());
}

TEST(SnapshotRoundTrip, VersionsAndExpiriesInSomeChunksOnly) {
  Model model;
  ModelNamespace& ns = model.add("n");
  for (int i = 0; i < 400; ++i) {
    ModelEntry entry{"key" + std::to_string(i), "value", 0, 0};
    if (i % 100 == 7) entry.version = internal::kMaxSnapshotVersion - static_cast<uint64_t>(i);
    if (i % 150 == 9) entry.expires_at_ms = INT64_MAX - i;
    ns.entries.push_back(entry);
  }
  for (const size_t chunk_size : {size_t{1}, size_t{64}, size_t{1000}, size_t{100000}}) {
    expect_round_trip(model.announce(), chunk_size);
  }
}

TEST(SnapshotRoundTrip, ManyNamespaces) {
  Model model;
  for (int i = 0; i < 5000; ++i) {
    ModelNamespace& ns = model.add("namespace " + std::to_string(i));
    if (i % 3 == 0) ns.entries = {{"k", std::to_string(i), 0, 0}};
  }
  expect_round_trip(model.announce());
}

TEST(SnapshotRoundTrip, LargeEntriesAmongSmallOnes) {
  Model model;
  ModelNamespace& ns = model.add("large");
  ns.entries = {
      {"a", "small", 1, 0},
      {"b", std::string(20 << 20, 'B'), 2, 5},  // over the 16 MiB of other chunks
      {std::string(1 << 20, 'k'), "largest key", 3, 0},
      {std::string(1 << 20, 'l'), std::string(17 << 20, 'L'), 4, 0},
      {"c", "small", 5, 0},
      {"d", std::string((1 << 20) - 24 - 1, 'D'), 6, 0},  // fills a chunk exactly
      {"e", std::string((1 << 20) - 24, 'E'), 7, 0},      // one byte more than a chunk
  };
  expect_round_trip(model.announce());
}

TEST(SnapshotRoundTrip, RandomSizesWithEveryChunkSize) {
  std::mt19937_64 random(7);
  for (const size_t chunk_size : {size_t{0}, size_t{100}, size_t{4096}, size_t{1} << 40}) {
    Model model;
    for (int n = 0; n < 3; ++n) {
      ModelNamespace& ns = model.add(std::to_string(n));
      for (int i = 0; i < 1000; ++i) {
        ns.entries.push_back({std::string(random() % 50, static_cast<char>(random())),
                              std::string(random() % 20 == 0 ? random() % 9000 : random() % 100,
                                          static_cast<char>(random())),
                              random() % 3 == 0 ? random() >> 2 : 0, 0});
      }
    }
    expect_round_trip(model.announce(), chunk_size);
  }
}

TEST(SnapshotRoundTrip, LargestValue) {
  if (test_scale() < 10) GTEST_SKIP() << "takes 3 GiB of memory; RKVS_TEST_SCALE=10 runs it";
  Model model;
  model.add("huge").entries = {{std::string(1 << 20, 'k'), std::string(size_t{1} << 30, 'v'), 1, 1},
                               {"after", "it", 2, 0}};
  model.announce();
  const TempDir scratch;
  const auto directory = internal::Directory::open(scratch.path().string());
  ASSERT_TRUE(is_ok(directory));
  auto file = internal::AtomicFile::create(*directory, "huge");
  ASSERT_TRUE(is_ok(file));
  internal::SnapshotWriter writer(**file);
  ASSERT_TRUE(is_ok(write_model(model, writer)));
  ASSERT_TRUE(is_ok((*file)->commit()));
  auto source = directory->open_file("huge");
  ASSERT_TRUE(is_ok(source));
  const Result<Model> read = read_model(std::move(*source));
  ASSERT_TRUE(is_ok(read));
  EXPECT_TRUE(*read == model);
}

TEST(SnapshotRoundTrip, ThroughTheDisk) {
  const TempDir scratch;
  const auto directory = internal::Directory::open(scratch.path().string());
  ASSERT_TRUE(is_ok(directory));
  Model model = small_model();
  for (int save = 0; save < 3; ++save) {
    model.header.created_unix_ms = save;
    auto file = internal::AtomicFile::create(*directory, "store.rkvs");
    ASSERT_TRUE(is_ok(file));
    internal::SnapshotWriter writer(**file);
    ASSERT_TRUE(is_ok(write_model(model, writer)));
    EXPECT_EQ(writer.bytes_written(), (*file)->size());
    ASSERT_TRUE(is_ok((*file)->commit()));
  }
  for (uint32_t age = 0; age < 3; ++age) {
    auto source = directory->open_file(internal::generation_name("store.rkvs", age));
    ASSERT_TRUE(is_ok(source));
    const Result<Model> read = read_model(std::move(*source));
    ASSERT_TRUE(is_ok(read));
    EXPECT_EQ(read->header.created_unix_ms, 2 - age);
    EXPECT_TRUE(read->namespaces == model.namespaces);
  }
}

}  // namespace
}  // namespace rkvs::testing
