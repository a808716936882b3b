// The writer alone: what it puts where, and what it refuses.
#include "snapshot/writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "tests/snapshot/snapshot_model.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using testing::is_ok;
using testing::Model;
using testing::ModelNamespace;
using testing::StringSink;

SnapshotNamespace announced(uint64_t entries = 10, uint64_t value_bytes = uint64_t{1} << 40) {
  SnapshotNamespace info;
  info.name = "n";
  info.entry_count = entries;
  info.value_bytes = value_bytes;
  info.last_version = 1000;
  return info;
}

SnapshotHeader header_of(uint64_t namespaces) {
  SnapshotHeader header;
  header.namespace_count = namespaces;
  return header;
}

struct Frame {
  FrameHeader header;
  size_t offset;
  std::string payload;
};

// The frames of a file, by their lengths alone.
std::vector<Frame> frames_of(const std::string& bytes) {
  std::vector<Frame> frames;
  for (size_t at = 0; at + sizeof(FrameHeader) <= bytes.size();) {
    Frame frame;
    frame.offset = at;
    std::memcpy(&frame.header, bytes.data() + at, sizeof frame.header);
    at += sizeof frame.header;
    frame.payload = bytes.substr(at, frame.header.payload_length);
    at += frame.header.payload_length;
    frames.push_back(std::move(frame));
  }
  return frames;
}

TEST(SnapshotWriter, FramesAreAsDocumented) {
  const std::string bytes = testing::file_of(testing::small_model());
  ASSERT_FALSE(bytes.empty());
  EXPECT_EQ(bytes.substr(0, 4), "RKVS");
  EXPECT_EQ(bytes.substr(4, 2), std::string("\1\0", 2));  // kind
  EXPECT_EQ(bytes.substr(6, 10), std::string(10, '\0'));  // flags, sequence, reserved
  EXPECT_EQ(bytes.substr(32 + 4, 4), "RKVS");             // the FlatBuffer's file id
  const std::vector<Frame> frames = frames_of(bytes);
  using enum FrameKind;
  const std::vector<FrameKind> expected = {kHeader,    kNamespace, kChunk, kNamespace,
                                           kNamespace, kChunk,     kFooter};
  ASSERT_EQ(frames.size(), expected.size());
  for (size_t i = 0; i < frames.size(); ++i) {
    const Frame& frame = frames[i];
    EXPECT_EQ(frame.header.magic, kFrameMagic);
    EXPECT_EQ(frame.header.kind, expected[i]);
    EXPECT_EQ(frame.header.sequence, i);
    EXPECT_EQ(frame.header.payload_length % 8, 0U);
    EXPECT_EQ(frame.offset % 8, 0U);
    EXPECT_EQ(frame.header.checksum,
              XXH3_64bits((bytes.substr(frame.offset, 24) + frame.payload).data(),
                          24 + frame.payload.size()));
  }
}

TEST(SnapshotWriter, ColumnsAreAlignedForDirectUse) {
  Model model;
  ModelNamespace& ns = model.add("n");
  for (size_t i = 0; i < 9; ++i) {
    ns.entries.push_back(
        {std::string(i, 'k'), std::string(i * 3, 'v'), i + 1, static_cast<int64_t>(i)});
    // The reader refuses columns that are not.
    EXPECT_TRUE(is_ok(testing::read_model(testing::file_of(model.announce())))) << i;
  }
}

TEST(SnapshotWriter, ChunksKeepToTheirSize) {
  Model model;
  ModelNamespace& ns = model.add("n");
  for (int i = 0; i < 20000; ++i) ns.entries.push_back({std::to_string(i), "0123456789", 1, 0});
  const size_t chunk_size = 20000;
  const auto frames = frames_of(testing::file_of(model.announce(), chunk_size));
  size_t chunks = 0;
  for (const Frame& frame : frames) {
    if (frame.header.kind != FrameKind::kChunk) continue;
    ++chunks;
    EXPECT_LE(frame.header.payload_length, chunk_size + 512);
    if (chunks < frames.size() - 3) {
      EXPECT_GE(frame.header.payload_length, chunk_size / 2);
    }
  }
  EXPECT_GT(chunks, 20U);
}

TEST(SnapshotWriter, VersionsAndExpiriesCostNothingWhereThereAreNone) {
  const auto size_with = [](uint64_t version, int64_t expiry) {
    Model model;
    ModelNamespace& ns = model.add("n");
    for (int i = 0; i < 1000; ++i) ns.entries.push_back({"k", "v", 0, 0});
    ns.entries[500].version = version;
    ns.entries[500].expires_at_ms = expiry;
    return testing::file_of(model.announce()).size();
  };
  const size_t plain = size_with(0, 0);
  EXPECT_LT(plain, 1000U * 10 + 1000);
  EXPECT_GE(size_with(1, 0), plain + 8000);
  EXPECT_GE(size_with(0, 1), plain + 8000);
  EXPECT_GE(size_with(1, 1), plain + 16000);
}

// Remembers where the bytes it was given lay.
class PointerSink : public ByteSink {
 public:
  Status append(std::string_view data) override {
    seen.push_back(data);
    return {};
  }
  std::vector<std::string_view> seen;
};

TEST(SnapshotWriter, LargeValueIsWrittenFromWhereItLies) {
  PointerSink sink;
  SnapshotWriter writer(sink);
  const std::string value(5 << 20, 'v');
  ASSERT_TRUE(is_ok(writer.begin(header_of(1))));
  ASSERT_TRUE(is_ok(writer.begin_namespace(announced())));
  ASSERT_TRUE(is_ok(writer.add({"small", "x"})));
  ASSERT_TRUE(is_ok(writer.add({"large", value})));
  bool found = false;
  for (const std::string_view piece : sink.seen) found |= piece.data() == value.data();
  EXPECT_TRUE(found);
  EXPECT_EQ(writer.totals()[0].entries, 2U);  // the small one went first
}

TEST(SnapshotWriter, KeepsNoViewAfterAdd) {
  StringSink sink;
  SnapshotWriter writer(sink);
  ASSERT_TRUE(is_ok(writer.begin(header_of(1))));
  ASSERT_TRUE(is_ok(writer.begin_namespace(announced(3))));
  for (int i = 0; i < 3; ++i) {
    std::string key = "key" + std::to_string(i);
    std::string value(i == 1 ? 3000000 : 10, static_cast<char>('a' + i));
    ASSERT_TRUE(is_ok(writer.add({key, value, 0, 0})));
    key.assign(key.size(), '?');
    value.assign(value.size(), '?');
  }
  ASSERT_TRUE(is_ok(writer.end_namespace()));
  ASSERT_TRUE(is_ok(writer.finish()));
  EXPECT_EQ(sink.bytes().find("????"), std::string::npos);
  EXPECT_EQ(writer.bytes_written(), sink.bytes().size());
  EXPECT_EQ(writer.totals(), (std::vector<SnapshotTotals>{{3, 12, 3000020}}));
}

// --- What it refuses -----------------------------------------------------------------------------

TEST(SnapshotWriter, RefusesCallsOutOfOrder) {
  {
    StringSink sink;
    SnapshotWriter writer(sink);
    EXPECT_EQ(writer.begin_namespace(announced()).code(), StatusCode::kInternal);
    EXPECT_EQ(writer.begin(header_of(0)).code(), StatusCode::kInternal);  // final
    EXPECT_TRUE(sink.bytes().empty());
  }
  {
    StringSink sink;
    SnapshotWriter writer(sink);
    ASSERT_TRUE(is_ok(writer.begin(header_of(2))));
    EXPECT_EQ(writer.add({"k", "v"}).code(), StatusCode::kInternal);
  }
  {
    StringSink sink;
    SnapshotWriter writer(sink);
    ASSERT_TRUE(is_ok(writer.begin(header_of(2))));
    ASSERT_TRUE(is_ok(writer.begin_namespace(announced())));
    ASSERT_TRUE(is_ok(writer.add({"k", "v"})));
    EXPECT_EQ(writer.finish().code(), StatusCode::kInternal);
    EXPECT_EQ(writer.add({"l", "v"}).code(), StatusCode::kInternal);  // final
  }
  {
    StringSink sink;
    SnapshotWriter writer(sink);
    ASSERT_TRUE(is_ok(writer.begin(header_of(1))));
    ASSERT_TRUE(is_ok(writer.begin_namespace(announced())));
    ASSERT_TRUE(is_ok(writer.add({"k", "v"})));
    ASSERT_TRUE(is_ok(writer.end_namespace()));
    EXPECT_EQ(writer.add({"k", "v"}).code(), StatusCode::kInternal);
  }
  {
    StringSink sink;
    SnapshotWriter writer(sink);
    ASSERT_TRUE(is_ok(writer.begin(header_of(0))));
    ASSERT_TRUE(is_ok(writer.finish()));
    EXPECT_EQ(writer.finish().code(), StatusCode::kInternal);
  }
}

// The status of writing one entry, at end_namespace() at the latest.
Status write_one(const SnapshotNamespace& info, const SnapshotEntry& entry) {
  StringSink sink;
  SnapshotWriter writer(sink);
  if (Status s = writer.begin(header_of(1)); !s.ok()) return s;
  if (Status s = writer.begin_namespace(info); !s.ok()) return s;
  if (Status s = writer.add(entry); !s.ok()) return s;
  return writer.end_namespace();
}

TEST(SnapshotWriter, RefusesEntriesThatNoReaderTakes) {
  const std::string key((1 << 20) + 1, 'k');
  EXPECT_EQ(write_one(announced(), {key, "v"}).code(), StatusCode::kInternal);
  EXPECT_TRUE(is_ok(write_one(announced(), {std::string_view(key).substr(1), "v"})));
  // Never looked at: only its size is.
  const std::string_view value(key.data(), (size_t{1} << 30) + 1);
  EXPECT_EQ(write_one(announced(), {"k", value}).code(), StatusCode::kInternal);
  EXPECT_EQ(write_one(announced(), {"k", "v", 1001, 0}).code(), StatusCode::kInternal);
  EXPECT_TRUE(is_ok(write_one(announced(), {"k", "v", 1000, 0})));
  EXPECT_EQ(write_one(announced(), {"k", "v", 0, -1}).code(), StatusCode::kInternal);
  EXPECT_EQ(write_one(announced(0), {"k", "v"}).code(), StatusCode::kInternal);
  EXPECT_EQ(write_one(announced(1, 2), {"k", "vvv"}).code(), StatusCode::kInternal);
  EXPECT_TRUE(is_ok(write_one(announced(1, 3), {"k", "vvv"})));
}

TEST(SnapshotWriter, RefusesLargeKeysAlsoWithLargeChunks) {
  StringSink sink;
  SnapshotWriter writer(sink, 8 << 20);
  ASSERT_TRUE(is_ok(writer.begin(header_of(1))));
  ASSERT_TRUE(is_ok(writer.begin_namespace(announced())));
  ASSERT_TRUE(is_ok(writer.add({"k", "v"})));
  EXPECT_EQ(writer.add({std::string((1 << 20) + 1, 'k'), "v"}).code(), StatusCode::kInternal);
}

TEST(SnapshotWriter, RefusesNamespacesThatNoReaderTakes) {
  const auto begin = [](const SnapshotNamespace& info) {
    StringSink sink;
    SnapshotWriter writer(sink);
    if (Status s = writer.begin(header_of(1)); !s.ok()) return s;
    return writer.begin_namespace(info);
  };
  SnapshotNamespace info = announced();
  EXPECT_TRUE(is_ok(begin(info)));
  for (const std::string& name : {std::string(), std::string(129, 'n'), std::string("a\nb"),
                                  std::string("a\0b", 3), std::string("\x7f")}) {
    info.name = name;
    EXPECT_EQ(begin(info).code(), StatusCode::kInternal) << name;
  }
  info = announced();
  info.lock_timeout_ms = 0;
  EXPECT_EQ(begin(info).code(), StatusCode::kInternal);
  info = announced();
  info.shard_count = 4097;
  EXPECT_EQ(begin(info).code(), StatusCode::kInternal);
  info = announced();
  info.max_key_size = 0;
  EXPECT_EQ(begin(info).code(), StatusCode::kInternal);
}

TEST(SnapshotWriter, HoldsTheNumberOfNamespacesToTheAnnouncement) {
  StringSink sink;
  {
    SnapshotWriter writer(sink);
    ASSERT_TRUE(is_ok(writer.begin(header_of(0))));
    EXPECT_EQ(writer.begin_namespace(announced()).code(), StatusCode::kInternal);
  }
  {
    SnapshotWriter writer(sink);
    ASSERT_TRUE(is_ok(writer.begin(header_of(1))));
    EXPECT_EQ(writer.finish().code(), StatusCode::kInternal);
  }
  {
    SnapshotWriter writer(sink);
    ASSERT_TRUE(is_ok(writer.begin(header_of(2))));
    ASSERT_TRUE(is_ok(writer.begin_namespace(announced())));
    ASSERT_TRUE(is_ok(writer.end_namespace()));
    EXPECT_EQ(writer.begin_namespace(announced()).code(), StatusCode::kInternal);  // the same name
  }
}

TEST(SnapshotWriter, D4_FailureOfTheSinkIsFinalWhereverItComes) {
  Model model = testing::small_model();
  model.namespaces[0].entries.push_back({"large", std::string(3 << 20, 'x'), 0, 0});
  const size_t size = testing::file_of(model.announce()).size();
  ASSERT_GT(size, 3U << 20);
  for (size_t capacity = 0; capacity < size; capacity += capacity < 2000 ? 1 : 100003) {
    StringSink sink(capacity);
    SnapshotWriter writer(sink);
    EXPECT_EQ(testing::write_model(model, writer).code(), StatusCode::kIo);
    EXPECT_EQ(writer.finish().code(), StatusCode::kIo);
    EXPECT_EQ(writer.begin(header_of(0)).code(), StatusCode::kIo);
    EXPECT_EQ(writer.add({"k", "v"}).code(), StatusCode::kIo);
  }
}

}  // namespace
}  // namespace rkvs::internal
