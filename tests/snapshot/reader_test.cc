// The reader against files that are damaged, forged, or something else.
#include "snapshot/reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/file.h"
#include "snapshot/snapshot_generated.h"
#include "tests/snapshot/snapshot_model.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using testing::is_ok;
using testing::MemorySource;
using testing::Model;
using testing::read_model;

using Builder = flatbuffers::FlatBufferBuilder;

StatusCode code_of(std::string bytes) { return read_model(std::move(bytes)).code(); }

// --- Forging -------------------------------------------------------------------------------------

// Files frame by frame, with all that makes them formally right: sequence numbers, lengths,
// checksums and a footer that agrees. What a test sets is left as it is.
class Forgery {
 public:
  struct Frame {
    FrameHeader header;
    std::string payload;
    bool keep_header = false;
  };

  std::vector<Frame> frames;

  static Frame frame(FrameKind kind, std::string payload) {
    Frame frame;
    frame.header.kind = kind;
    frame.payload = std::move(payload);
    return frame;
  }
  static Forgery of(const std::string& bytes) {
    Forgery forgery;
    for (size_t at = 0; at < bytes.size();) {
      Frame frame;
      std::memcpy(&frame.header, bytes.data() + at, sizeof frame.header);
      at += sizeof frame.header;
      frame.payload = bytes.substr(at, frame.header.payload_length);
      at += frame.payload.size();
      forgery.frames.push_back(std::move(frame));
    }
    return forgery;
  }

  // With lengths, sequence numbers and checksums made right.
  std::string sealed() {
    for (size_t i = 0; i < frames.size(); ++i) {
      Frame& f = frames[i];
      f.payload.append((8 - f.payload.size() % 8) % 8, '\0');
      if (f.keep_header) continue;
      f.header.sequence = static_cast<uint32_t>(i);
      f.header.payload_length = f.payload.size();
    }
    return checksummed();
  }
  // With checksums made right alone.
  std::string checksummed() {
    std::string bytes;
    for (Frame& f : frames) {
      Checksum checksum;
      checksum.update(f.header.checked_bytes());
      checksum.update(f.payload);
      f.header.checksum = checksum.digest();
      bytes.append(f.header.bytes()).append(f.payload);
    }
    return bytes;
  }

  // What a footer behind all these frames has to say.
  struct Footer {
    std::vector<fb::NamespaceTotals> totals;
    uint64_t frame_count = 0;
    uint64_t file_length = 0;
    uint64_t checksum = 0;
  };
  // Sealed, with a footer of these totals; `edit` may change what it says.
  std::string with_footer(std::vector<fb::NamespaceTotals> totals,
                          const std::function<void(Footer&)>& edit = {}) {
    Footer footer;
    footer.totals = std::move(totals);
    footer.file_length = sealed().size();
    footer.frame_count = frames.size();
    Checksum checksums;
    for (const Frame& f : frames) checksums.update(f.header.checksum_bytes());
    footer.checksum = checksums.digest();
    if (edit) edit(footer);
    Builder b;
    const auto vector = b.CreateVectorOfStructs(footer.totals);
    const auto body =
        fb::CreateFooter(b, vector, footer.frame_count, footer.file_length, footer.checksum);
    frames.push_back(frame(FrameKind::kFooter, finish(b, fb::Body::Footer, body.Union())));
    std::string bytes = sealed();
    frames.pop_back();
    return bytes;
  }

  static std::string finish(Builder& b, fb::Body type, flatbuffers::Offset<void> body) {
    fb::FinishFrameBuffer(b, fb::CreateFrame(b, type, body));
    return {reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize()};
  }
};

std::string header_payload(uint32_t version = 1, uint64_t namespaces = 1) {
  Builder b;
  const auto library = b.CreateString("0.9.0");
  const auto body = fb::CreateHeader(b, version, 0, library, 0, 0, namespaces);
  return Forgery::finish(b, fb::Body::Header, body.Union());
}

struct NamespaceFields {
  std::string name = "n";
  uint64_t max_value_size = 0;
  uint64_t max_key_size = 65536;
  uint32_t shard_count = 0;
  uint32_t shards_in_use = 0;
  uint64_t lock_timeout_ms = 500;
  uint64_t entry_count = 100;
  uint64_t value_bytes = uint64_t{1} << 30;
  uint64_t last_version = 100;
};

std::string namespace_payload(const NamespaceFields& f = {}) {
  Builder b;
  const auto name = b.CreateString(f.name);
  const auto body = fb::CreateNamespace(b, name, 0, f.max_value_size, 0, f.max_key_size,
                                        f.shard_count, f.shards_in_use, f.lock_timeout_ms, 0,
                                        f.entry_count, f.value_bytes, f.last_version);
  return Forgery::finish(b, fb::Body::Namespace, body.Union());
}

struct ChunkFields {
  uint32_t namespace_index = 0;
  std::vector<uint32_t> key_ends = {1, 2};
  std::vector<uint32_t> value_ends = {3, 6};
  std::string keys = "ab";
  std::string values = "onetwo";
  std::vector<uint64_t> versions = {};
  std::vector<int64_t> expiries = {};
};

template <typename T>
flatbuffers::Offset<flatbuffers::Vector<T>> column(Builder& b, const std::vector<T>& values) {
  return b.CreateVector(values.data(), values.size());
}
flatbuffers::Offset<flatbuffers::Vector<uint8_t>> column(Builder& b, const std::string& bytes) {
  return b.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

std::string chunk_payload(const ChunkFields& f = {}) {
  Builder b;
  const auto versions = column(b, f.versions);
  const auto expiries = column(b, f.expiries);
  const auto key_ends = column(b, f.key_ends);
  const auto value_ends = column(b, f.value_ends);
  const auto keys = column(b, f.keys);
  const auto values = column(b, f.values);
  const auto body =
      fb::CreateChunk(b, f.namespace_index, key_ends, value_ends, keys, values,
                      f.versions.empty() ? 0 : versions, f.expiries.empty() ? 0 : expiries);
  return Forgery::finish(b, fb::Body::Chunk, body.Union());
}

// A file of one namespace and these chunks.
Forgery forgery_of(const std::vector<std::string>& chunks, const NamespaceFields& fields = {}) {
  Forgery forgery;
  forgery.frames.push_back(Forgery::frame(FrameKind::kHeader, header_payload()));
  forgery.frames.push_back(Forgery::frame(FrameKind::kNamespace, namespace_payload(fields)));
  for (const std::string& chunk : chunks) {
    forgery.frames.push_back(Forgery::frame(FrameKind::kChunk, chunk));
  }
  return forgery;
}

Result<Model> read_chunk(const ChunkFields& fields, const fb::NamespaceTotals& totals = {2, 2, 6}) {
  return read_model(forgery_of({chunk_payload(fields)}).with_footer({totals}));
}

// Otherwise none of the tests below would mean anything.
TEST(SnapshotForgery, IsAcceptedWhenNothingIsWrong) {
  const Result<Model> model = read_chunk({});
  ASSERT_TRUE(is_ok(model));
  ASSERT_EQ(model->namespaces.size(), 1U);
  EXPECT_EQ(model->namespaces[0].entries,
            (std::vector<testing::ModelEntry>{{"a", "one", 0, 0}, {"b", "two", 0, 0}}));
  const std::string bytes = testing::file_of(testing::small_model());
  EXPECT_EQ(Forgery::of(bytes).sealed(), bytes);
}

// --- Damage --------------------------------------------------------------------------------------

TEST(SnapshotReader, D5_TruncationAtEveryByteIsAnError) {
  const std::string bytes = testing::file_of(testing::small_model());
  ASSERT_TRUE(is_ok(read_model(bytes)));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(code_of(bytes.substr(0, size)), StatusCode::kSnapshotCorrupt) << size;
  }
}

TEST(SnapshotReader, D5_EveryFlippedBitIsAnError) {
  const std::string bytes = testing::file_of(testing::small_model());
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 1 << bit);
      EXPECT_EQ(code_of(damaged), StatusCode::kSnapshotCorrupt) << at << "." << bit;
    }
  }
}

TEST(SnapshotReader, D5_TrailingBytesAreAnError) {
  const std::string bytes = testing::file_of(testing::small_model());
  EXPECT_EQ(code_of(bytes + '\0'), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(code_of(bytes + std::string(100, 'x')), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(code_of(bytes + bytes), StatusCode::kSnapshotCorrupt);
}

TEST(SnapshotReader, D6_MixedFilesAreAnError) {
  Model one = testing::small_model();
  Model two = testing::small_model();
  two.namespaces[0].entries[0].value = "ADMIN";  // of the same length
  const std::string a = testing::file_of(one);
  const std::string b = testing::file_of(two);
  ASSERT_EQ(a.size(), b.size());
  const Forgery frames_a = Forgery::of(a);
  const Forgery frames_b = Forgery::of(b);
  for (size_t cut = 1; cut < frames_a.frames.size(); ++cut) {
    std::string mixed;
    for (size_t i = 0; i < frames_a.frames.size(); ++i) {
      const auto& frame = i < cut ? frames_a.frames[i] : frames_b.frames[i];
      mixed.append(frame.header.bytes()).append(frame.payload);
    }
    const bool same = mixed == a || mixed == b;
    EXPECT_EQ(code_of(mixed), same ? StatusCode::kOk : StatusCode::kSnapshotCorrupt) << cut;
  }
}

TEST(SnapshotReader, FramesLostRepeatedOrSwappedAreErrors) {
  const std::string bytes = testing::file_of(testing::small_model());
  const size_t count = Forgery::of(bytes).frames.size();
  for (size_t i = 0; i < count; ++i) {
    // As they are, and renumbered with right checksums: the footer still knows.
    for (const bool sealed : {false, true}) {
      Forgery lost = Forgery::of(bytes);
      lost.frames.erase(lost.frames.begin() + static_cast<long>(i));
      EXPECT_EQ(code_of(sealed ? lost.sealed() : lost.checksummed()), StatusCode::kSnapshotCorrupt);
      Forgery repeated = Forgery::of(bytes);
      repeated.frames.insert(repeated.frames.begin() + static_cast<long>(i), repeated.frames[i]);
      EXPECT_EQ(code_of(sealed ? repeated.sealed() : repeated.checksummed()),
                StatusCode::kSnapshotCorrupt);
      if (i + 1 == count) continue;
      Forgery swapped = Forgery::of(bytes);
      std::swap(swapped.frames[i], swapped.frames[i + 1]);
      EXPECT_EQ(code_of(sealed ? swapped.sealed() : swapped.checksummed()),
                StatusCode::kSnapshotCorrupt);
    }
  }
}

TEST(SnapshotReader, OtherFilesAreNotSnapshots) {
  for (const std::string& bytes :
       {std::string(), std::string("RKVS"), std::string(31, '\0'), std::string(4096, '\0'),
        std::string("RKVS") + std::string(4092, '\0'), std::string("{\"a\": 1}"),
        std::string(100, '\xff')}) {
    EXPECT_EQ(code_of(bytes), StatusCode::kSnapshotCorrupt);
  }
  const auto model = read_model(std::string(100, 'x'));
  EXPECT_NE(model.status().message().find("not a snapshot"), std::string_view::npos);
}

TEST(SnapshotReader, ErrorsNameFileFrameAndOffset) {
  const std::string bytes = testing::file_of(testing::small_model());
  const Forgery frames = Forgery::of(bytes);
  const size_t offset =
      2 * sizeof(FrameHeader) + frames.frames[0].payload.size() + frames.frames[1].payload.size();
  std::string damaged = bytes;
  damaged[offset + 50] = static_cast<char>(damaged[offset + 50] + 1);
  const auto model = read_model(damaged);
  const std::string expected = "snapshot \"memory\", frame 2 at offset " + std::to_string(offset);
  EXPECT_EQ(model.status().message().substr(0, expected.size()), expected)
      << model.status().message();
}

// --- Versions ------------------------------------------------------------------------------------

TEST(SnapshotReader, OtherFormatVersionsAreToldAsSuch) {
  for (const uint32_t version : {0U, 2U, 4000000000U}) {
    Forgery forgery;
    forgery.frames.push_back(Forgery::frame(FrameKind::kHeader, header_payload(version)));
    const auto model = read_model(forgery.sealed());
    EXPECT_EQ(model.code(), StatusCode::kSnapshotVersion);
    EXPECT_NE(model.status().message().find(std::to_string(version)), std::string_view::npos);
  }
}

TEST(SnapshotReader, UnknownFlagsKindsAndReservedBitsAreOfAnotherVersion) {
  const auto read_edited = [](const std::function<void(FrameHeader&)>& edit) {
    Forgery forgery = forgery_of({chunk_payload()});
    edit(forgery.frames[2].header);
    return code_of(forgery.with_footer({{2, 2, 6}}));
  };
  EXPECT_EQ(read_edited([](FrameHeader& h) { h.flags = 1; }), StatusCode::kSnapshotVersion);
  EXPECT_EQ(read_edited([](FrameHeader& h) { h.flags = 0x8000; }), StatusCode::kSnapshotVersion);
  EXPECT_EQ(read_edited([](FrameHeader& h) { h.reserved = 1; }), StatusCode::kSnapshotVersion);
  for (const uint16_t kind : {0, 5, 65535}) {
    EXPECT_EQ(read_edited([&](FrameHeader& h) { h.kind = FrameKind{kind}; }),
              StatusCode::kSnapshotVersion);
  }
}

// --- Forged frames -------------------------------------------------------------------------------

TEST(SnapshotReader, ForgedLengthsAreRefusedBeforeMemoryIsTaken) {
  for (const uint64_t length : {uint64_t{1}, uint64_t{1} << 20, uint64_t{1} << 32,
                                uint64_t{1} << 62, UINT64_MAX - 7, UINT64_MAX}) {
    for (size_t i = 0; i < 4; ++i) {
      Forgery forgery = Forgery::of(forgery_of({chunk_payload()}).with_footer({{2, 2, 6}}));
      forgery.frames[i].header.payload_length = length;
      forgery.frames[i].keep_header = true;
      EXPECT_EQ(code_of(forgery.sealed()), StatusCode::kSnapshotCorrupt) << length;
    }
  }
}

// Tells how much it was asked for at once.
class CountingSource : public MemorySource {
 public:
  CountingSource(std::string bytes, size_t* largest)
      : MemorySource(std::move(bytes)), largest_(largest) {}
  Result<size_t> read_at(uint64_t offset, char* to, size_t size) const override {
    *largest_ = std::max(*largest_, size);
    return MemorySource::read_at(offset, to, size);
  }

 private:
  size_t* const largest_;
};

TEST(SnapshotReader, NeverReadsMoreThanTheFileHas) {
  for (const uint64_t length : {uint64_t{4096}, uint64_t{1} << 20, uint64_t{1} << 30}) {
    Forgery forgery = forgery_of({chunk_payload()});
    (void)forgery.sealed();
    forgery.frames[2].header.payload_length = length;
    const std::string bytes = forgery.checksummed();
    size_t largest = 0;
    const auto model = read_model(std::make_unique<CountingSource>(bytes, &largest));
    EXPECT_EQ(model.code(), StatusCode::kSnapshotCorrupt);
    EXPECT_LT(largest, bytes.size());
  }
}

TEST(SnapshotReader, SequenceNumbersMustBeConsecutive) {
  for (size_t i = 0; i < 3; ++i) {
    for (const uint32_t sequence : {0U, 1U, 2U, 3U, UINT32_MAX}) {
      Forgery forgery = forgery_of({chunk_payload()});
      (void)forgery.sealed();
      for (auto& frame : forgery.frames) frame.keep_header = true;
      forgery.frames[i].header.sequence = sequence;
      EXPECT_EQ(code_of(forgery.with_footer({{2, 2, 6}})),
                sequence == i ? StatusCode::kOk : StatusCode::kSnapshotCorrupt);
    }
  }
}

TEST(SnapshotReader, FramesAreHeldToTheLimitOfTheirKind) {
  // A file that could hold them: what is refused is the length, not the end of the file.
  const std::string filler(100000, '\0');
  for (const FrameKind kind : {FrameKind::kHeader, FrameKind::kNamespace, FrameKind::kFooter}) {
    Forgery forgery = forgery_of({});
    forgery.frames.resize(kind == FrameKind::kHeader ? 0 : 1);
    forgery.frames.push_back(Forgery::frame(kind, filler));
    const auto model = read_model(forgery.sealed());
    EXPECT_EQ(model.code(), StatusCode::kSnapshotCorrupt);
    EXPECT_NE(model.status().message().find("limit"), std::string_view::npos)
        << model.status().message();
  }
}

TEST(SnapshotReader, Over16MiBOnlyForOneEntry) {
  ChunkFields large;
  large.values.assign(17 << 20, 'v');
  large.value_ends = {1, static_cast<uint32_t>(large.values.size())};
  const uint64_t size = large.values.size();
  EXPECT_EQ(read_chunk(large, {2, 2, size}).code(), StatusCode::kSnapshotCorrupt);
  large.key_ends = {2};
  large.value_ends = {static_cast<uint32_t>(size)};
  EXPECT_TRUE(is_ok(read_chunk(large, {1, 2, size})));
}

TEST(SnapshotReader, ColumnsThatShareBytesAreRefused) {
  // A value vector of 30,000 bytes; then every other byte vector points into it.
  ChunkFields fields;
  fields.key_ends = {30000};
  fields.value_ends = {30000};
  fields.values.assign(30000, 'v');
  fields.keys.assign(30000, 'k');
  const std::string honest = chunk_payload(fields);
  EXPECT_TRUE(is_ok(read_model(forgery_of({honest}).with_footer({{1, 30000, 30000}}))));

  Builder b;
  const auto key_ends = column(b, fields.key_ends);
  const auto value_ends = column(b, fields.value_ends);
  const auto both = column(b, fields.values);
  const auto body = fb::CreateChunk(b, 0, key_ends, value_ends, both, both);
  const std::string aliasing = Forgery::finish(b, fb::Body::Chunk, body.Union());
  const auto model = read_model(forgery_of({aliasing}).with_footer({{1, 30000, 30000}}));
  EXPECT_EQ(model.code(), StatusCode::kSnapshotCorrupt);
  EXPECT_NE(model.status().message().find("share"), std::string_view::npos);

  // Ends that are versions and expiries too.
  Builder c;
  const auto ends = column(c, std::vector<uint32_t>{0, 0});
  const auto none = column(c, std::string());
  const auto shared = fb::CreateChunk(c, 0, ends, ends, none, none);
  const std::string same_ends = Forgery::finish(c, fb::Body::Chunk, shared.Union());
  EXPECT_EQ(code_of(forgery_of({same_ends}).with_footer({{2, 0, 0}})),
            StatusCode::kSnapshotCorrupt);
}

TEST(SnapshotReader, ColumnsMustFitEachOther) {
  using Edit = std::function<void(ChunkFields&)>;
  const std::vector<std::pair<const char*, Edit>> edits = {
      {"keys fall",
       [](ChunkFields& f) {
         f.key_ends = {3, 2};
       }},
      {"values fall",
       [](ChunkFields& f) {
         f.value_ends = {7, 6};
       }},
      {"keys end early",
       [](ChunkFields& f) {
         f.key_ends = {1, 1};
       }},
      {"keys end late",
       [](ChunkFields& f) {
         f.key_ends = {1, 3};
       }},
      {"values end late",
       [](ChunkFields& f) {
         f.value_ends = {3, 4000000000};
       }},
      {"values end early",
       [](ChunkFields& f) {
         f.value_ends = {0, 0};
       }},
      {"more keys",
       [](ChunkFields& f) {
         f.key_ends = {1, 2, 2};
       }},
      {"more values",
       [](ChunkFields& f) {
         f.value_ends = {3, 6, 6};
       }},
      {"fewer versions", [](ChunkFields& f) { f.versions = {1}; }},
      {"more versions",
       [](ChunkFields& f) {
         f.versions = {1, 2, 3};
       }},
      {"fewer expiries", [](ChunkFields& f) { f.expiries = {1}; }},
      {"more expiries",
       [](ChunkFields& f) {
         f.expiries = {1, 2, 3};
       }},
      {"version over the last",
       [](ChunkFields& f) {
         f.versions = {1, 101};
       }},
      {"negative expiry",
       [](ChunkFields& f) {
         f.expiries = {-1, 5};
       }},
      {"of the next namespace", [](ChunkFields& f) { f.namespace_index = 1; }},
      {"of a namespace far away", [](ChunkFields& f) { f.namespace_index = UINT32_MAX; }},
  };
  for (const auto& [what, edit] : edits) {
    ChunkFields fields;
    edit(fields);
    EXPECT_EQ(read_chunk(fields).code(), StatusCode::kSnapshotCorrupt) << what;
  }
  ChunkFields fields;
  fields.versions = {1, 100};
  fields.expiries = {0, 5};
  EXPECT_TRUE(is_ok(read_chunk(fields)));

  EXPECT_EQ(read_chunk({0, {}, {}, "", "", {}, {}}, {0, 0, 0}).code(),
            StatusCode::kSnapshotCorrupt);

  // Ends that go once around: each step is within the limits, and the last end is right.
  ChunkFields around;
  around.key_ends = {0, 0, 0, 0, 2};
  around.value_ends = {1U << 30, 2U << 30, 3U << 30, UINT32_MAX, 6};
  EXPECT_EQ(read_chunk(around, {5, 2, 6}).code(), StatusCode::kSnapshotCorrupt);
}

// The payload with the vector field of its body pointed at element `element` of the 32-bit vector
// in the field `from`.
std::string with_vector_inside(std::string payload, flatbuffers::voffset_t field,
                               flatbuffers::voffset_t from, size_t element) {
  auto* const frame = flatbuffers::GetMutableRoot<flatbuffers::Table>(payload.data());
  const auto* const body = frame->GetPointer<flatbuffers::Table*>(fb::Frame::VT_BODY);
  const auto* const raw = body->GetPointer<const flatbuffers::Vector<uint32_t>*>(from);
  auto* const slot = const_cast<uint8_t*>(body->GetAddressOf(field));
  const uint8_t* const target = raw->Data() + element * sizeof(uint32_t);
  flatbuffers::WriteScalar(slot, static_cast<flatbuffers::uoffset_t>(target - slot));
  return payload;
}

// The Verifier does not look at the alignment of elements, but they are used where they lie.
TEST(SnapshotReader, ColumnsOutOfAlignmentAreRefused) {
  for (const auto field : {fb::Chunk::VT_VERSIONS, fb::Chunk::VT_EXPIRIES}) {
    size_t accepted = 0;
    for (size_t element = 0; element < 2; ++element) {
      // A vector of two zeros that begins at this element of another; one of both is aligned.
      std::vector<uint32_t> raw(7);
      raw[element] = 2;
      Builder b;
      const auto hiding_place = column(b, raw);
      const auto key_ends = column(b, std::vector<uint32_t>{1, 2});
      const auto value_ends = column(b, std::vector<uint32_t>{3, 6});
      const auto keys = column(b, std::string("ab"));
      const auto values = column(b, std::string("onetwo"));
      const auto start = b.StartTable();
      b.AddOffset(fb::Chunk::VT_KEY_ENDS, key_ends);
      b.AddOffset(fb::Chunk::VT_VALUE_ENDS, value_ends);
      b.AddOffset(fb::Chunk::VT_KEYS, keys);
      b.AddOffset(fb::Chunk::VT_VALUES, values);
      b.AddOffset(field, hiding_place);
      const flatbuffers::Offset<void> body(b.EndTable(start));
      const std::string payload = Forgery::finish(b, fb::Body::Chunk, body);
      accepted += read_model(forgery_of({with_vector_inside(payload, field, field, element)})
                                 .with_footer({{2, 2, 6}}))
                      .ok();
    }
    EXPECT_EQ(accepted, 1U);
  }
}

TEST(SnapshotReader, FooterOutOfAlignmentIsRefused) {
  size_t accepted = 0;
  for (size_t element = 0; element < 2; ++element) {
    std::vector<uint32_t> raw(8);
    raw[element] = 1;  // one namespace with nothing in it
    Forgery forgery = forgery_of({});
    const std::string before = forgery.sealed();
    Checksum checksums;
    for (const auto& f : forgery.frames) checksums.update(f.header.checksum_bytes());
    Builder b;
    const auto hiding_place = column(b, raw);
    const auto start = b.StartTable();
    b.AddElement<uint64_t>(fb::Footer::VT_FRAME_COUNT, 2, 0);
    b.AddElement<uint64_t>(fb::Footer::VT_FILE_LENGTH, before.size(), 0);
    b.AddElement<uint64_t>(fb::Footer::VT_CHECKSUM, checksums.digest(), 0);
    b.AddOffset(fb::Footer::VT_NAMESPACES, hiding_place);
    const flatbuffers::Offset<void> body(b.EndTable(start));
    const std::string payload = Forgery::finish(b, fb::Body::Footer, body);
    forgery.frames.push_back(
        Forgery::frame(FrameKind::kFooter, with_vector_inside(payload, fb::Footer::VT_NAMESPACES,
                                                              fb::Footer::VT_NAMESPACES, element)));
    accepted += read_model(forgery.sealed()).ok();
  }
  EXPECT_EQ(accepted, 1U);
}

TEST(SnapshotReader, KeysAreHeldToTheirLimit) {
  ChunkFields fields;
  fields.keys.assign((1 << 20) + 1, 'k');
  fields.key_ends = {1, (1 << 20) + 1};
  EXPECT_TRUE(is_ok(read_chunk(fields, {2, (1 << 20) + 1, 6})));
  fields.key_ends = {0, (1 << 20) + 1};
  EXPECT_EQ(read_chunk(fields, {2, (1 << 20) + 1, 6}).code(), StatusCode::kSnapshotCorrupt);
}

TEST(SnapshotReader, MissingColumnsAreRefused) {
  for (size_t missing = 0; missing < 4; ++missing) {
    Builder b;
    const auto ends_a = column(b, std::vector<uint32_t>{1});
    const auto ends_b = column(b, std::vector<uint32_t>{1});
    const auto bytes_a = column(b, std::string("k"));
    const auto bytes_b = column(b, std::string("v"));
    // Past the generated builder, which insists on required fields.
    const auto start = b.StartTable();
    if (missing != 0) b.AddOffset(fb::Chunk::VT_KEY_ENDS, ends_a);
    if (missing != 1) b.AddOffset(fb::Chunk::VT_VALUE_ENDS, ends_b);
    if (missing != 2) b.AddOffset(fb::Chunk::VT_KEYS, bytes_a);
    if (missing != 3) b.AddOffset(fb::Chunk::VT_VALUES, bytes_b);
    const flatbuffers::Offset<void> body(b.EndTable(start));
    const std::string payload = Forgery::finish(b, fb::Body::Chunk, body);
    EXPECT_EQ(code_of(forgery_of({payload}).with_footer({{1, 1, 1}})),
              StatusCode::kSnapshotCorrupt);
  }
}

TEST(SnapshotReader, PayloadMustBeOfTheKindOfItsFrame) {
  for (const std::string& payload : {header_payload(), namespace_payload(), std::string(),
                                     std::string(64, '\0'), std::string(64, '\xff')}) {
    EXPECT_EQ(code_of(forgery_of({payload}).with_footer({{0, 0, 0}})),
              StatusCode::kSnapshotCorrupt);
  }
  // A body of no type, or of one that this version does not know.
  for (const int type : {0, 5, 255}) {
    Builder b;
    const auto library = b.CreateString("x");
    const auto body = fb::CreateHeader(b, 1, 0, library, 0, 0, 0);
    Forgery forgery;
    forgery.frames.push_back(Forgery::frame(
        FrameKind::kHeader, Forgery::finish(b, static_cast<fb::Body>(type), body.Union())));
    EXPECT_EQ(code_of(forgery.with_footer({})), StatusCode::kSnapshotCorrupt);
  }
}

TEST(SnapshotReader, FramesMustComeInOrder) {
  const auto header = Forgery::frame(FrameKind::kHeader, header_payload());
  const auto ns = Forgery::frame(FrameKind::kNamespace, namespace_payload());
  const auto chunk = Forgery::frame(FrameKind::kChunk, chunk_payload());
  const std::vector<std::vector<Forgery::Frame>> orders = {
      {ns, header, chunk},         {header, chunk, ns},         {chunk, header, ns},
      {header, header, ns, chunk}, {header, ns, header, chunk}, {ns, chunk},
      {header, ns, ns, chunk}};
  for (size_t i = 0; i < orders.size(); ++i) {
    Forgery forgery;
    forgery.frames = orders[i];
    EXPECT_EQ(code_of(forgery.with_footer({{2, 2, 6}})), StatusCode::kSnapshotCorrupt) << i;
  }
  ChunkFields of_none;
  of_none.namespace_index = UINT32_MAX;
  Forgery no_namespace;
  no_namespace.frames = {header, Forgery::frame(FrameKind::kChunk, chunk_payload(of_none))};
  EXPECT_EQ(code_of(no_namespace.with_footer({{2, 2, 6}})), StatusCode::kSnapshotCorrupt);
  Forgery only_footer;
  EXPECT_EQ(code_of(only_footer.with_footer({})), StatusCode::kSnapshotCorrupt);
}

TEST(SnapshotReader, D11_NamespacesAreHeldToTheRules) {
  const auto read_fields = [](const NamespaceFields& fields) {
    return code_of(forgery_of({chunk_payload()}, fields).with_footer({{2, 2, 6}}));
  };
  EXPECT_EQ(read_fields({}), StatusCode::kOk);
  for (const std::string& name :
       {std::string(), std::string(129, 'n'), std::string("\x1b[2J"), std::string("a\0b", 3)}) {
    NamespaceFields fields;
    fields.name = name;
    EXPECT_EQ(read_fields(fields), StatusCode::kSnapshotCorrupt) << name;
  }
  using Edit = std::function<void(NamespaceFields&)>;
  const std::vector<Edit> edits = {
      [](NamespaceFields& f) { f.max_value_size = (1 << 30) + 1; },
      [](NamespaceFields& f) { f.max_key_size = 0; },
      [](NamespaceFields& f) { f.max_key_size = (1 << 20) + 1; },
      [](NamespaceFields& f) { f.shard_count = 4097; },
      [](NamespaceFields& f) { f.shards_in_use = 4097; },
      [](NamespaceFields& f) { f.lock_timeout_ms = 0; },
      [](NamespaceFields& f) { f.lock_timeout_ms = 3600001; },
      [](NamespaceFields& f) { f.last_version = (uint64_t{1} << 62) + 1; },
      [](NamespaceFields& f) { f.entry_count = 1; },
      [](NamespaceFields& f) { f.value_bytes = 5; },
  };
  for (size_t i = 0; i < edits.size(); ++i) {
    NamespaceFields fields;
    edits[i](fields);
    EXPECT_EQ(read_fields(fields), StatusCode::kSnapshotCorrupt) << i;
  }
}

TEST(SnapshotReader, D11_DuplicateNamespacesAreRefused) {
  Forgery forgery;
  forgery.frames.push_back(Forgery::frame(FrameKind::kHeader, header_payload(1, 2)));
  NamespaceFields fields;
  forgery.frames.push_back(Forgery::frame(FrameKind::kNamespace, namespace_payload(fields)));
  fields.name = "m";
  forgery.frames.push_back(Forgery::frame(FrameKind::kNamespace, namespace_payload(fields)));
  EXPECT_EQ(code_of(forgery.with_footer({{0, 0, 0}, {0, 0, 0}})), StatusCode::kOk);
  forgery.frames[2].payload = forgery.frames[1].payload;
  EXPECT_EQ(code_of(forgery.with_footer({{0, 0, 0}, {0, 0, 0}})), StatusCode::kSnapshotCorrupt);
}

TEST(SnapshotReader, D11_AnnouncementsCannotMakeCallersReserveTooMuch) {
  NamespaceFields fields;
  fields.entry_count = UINT64_MAX;
  fields.value_bytes = UINT64_MAX;
  const std::string bytes = forgery_of({chunk_payload()}, fields).with_footer({{2, 2, 6}});
  const Result<Model> model = read_model(bytes);
  ASSERT_TRUE(is_ok(model));
  EXPECT_LE(model->namespaces[0].info.entry_count, bytes.size() / 8);
  EXPECT_LE(model->namespaces[0].info.value_bytes, bytes.size());
}

TEST(SnapshotReader, NumberOfNamespacesMustBeTheHeaders) {
  for (const uint64_t count : {uint64_t{0}, uint64_t{2}, UINT64_MAX}) {
    Forgery forgery = forgery_of({chunk_payload()});
    forgery.frames[0].payload = header_payload(1, count);
    const auto model = read_model(forgery.with_footer({{2, 2, 6}}));
    EXPECT_EQ(model.code(), StatusCode::kSnapshotCorrupt) << count;
    // As soon as it shows.
    const char* const frame = count == 0 ? "frame 1 " : "frame 3 ";
    EXPECT_NE(model.status().message().find(frame), std::string_view::npos)
        << model.status().message();
  }
}

TEST(SnapshotReader, FooterMustAgreeWithTheFile) {
  const auto read_totals = [](std::vector<fb::NamespaceTotals> totals,
                              const std::function<void(Forgery::Footer&)>& edit = {}) {
    return code_of(forgery_of({chunk_payload()}).with_footer(std::move(totals), edit));
  };
  EXPECT_EQ(read_totals({{2, 2, 6}}), StatusCode::kOk);
  EXPECT_EQ(read_totals({}), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(read_totals({{1, 2, 6}}), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(read_totals({{2, 3, 6}}), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(read_totals({{2, 2, 7}}), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(read_totals({{2, 2, 6}, {0, 0, 0}}), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(read_totals({{2, 2, 6}}, [](auto& f) { ++f.frame_count; }),
            StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(read_totals({{2, 2, 6}}, [](auto& f) { f.file_length += 8; }),
            StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(read_totals({{2, 2, 6}}, [](auto& f) { f.checksum ^= 1; }),
            StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(code_of(forgery_of({chunk_payload()}).sealed()), StatusCode::kSnapshotCorrupt);
}

// Whoever fixes the checksums may change the data, but not more: no crash, nothing read past the
// end (the sanitizers watch), and never more data than the file has bytes.
TEST(SnapshotReader, D11_ForgedPayloadsNeverCrash) {
  const std::string bytes = testing::file_of(testing::small_model());
  const Forgery honest = Forgery::of(bytes);
  size_t accepted = 0;
  size_t refused = 0;
  for (size_t frame = 0; frame < honest.frames.size(); ++frame) {
    for (size_t at = 0; at < honest.frames[frame].payload.size(); ++at) {
      for (const int change : {1, 0x80, 0xff, 4, 0x40}) {
        Forgery forged = honest;
        char& byte = forged.frames[frame].payload[at];
        byte = static_cast<char>(byte ^ change);
        std::vector<fb::NamespaceTotals> totals;
        std::string forgery;
        if (frame + 1 == honest.frames.size()) {
          forgery = forged.sealed();
        } else {
          forged.frames.pop_back();
          forgery = forged.with_footer({{3, 8, 6}, {0, 0, 0}, {1, 2, 1}});
        }
        const Result<Model> model = read_model(forgery);
        if (!model.ok()) {
          ++refused;
          const StatusCode code = model.code();
          EXPECT_TRUE(code == StatusCode::kSnapshotCorrupt || code == StatusCode::kSnapshotVersion);
          continue;
        }
        ++accepted;
        size_t decoded = 0;
        for (const auto& ns : model->namespaces) {
          for (const auto& e : ns.entries) decoded += e.key.size() + e.value.size();
        }
        EXPECT_LE(decoded, bytes.size());
      }
    }
  }
  EXPECT_GT(accepted, 100U);  // the data itself, for one
  EXPECT_GT(refused, 1000U);
}

// --- Reading -------------------------------------------------------------------------------------

TEST(SnapshotReader, ReadErrorsAreIoNotDamage) {
  const std::string bytes = testing::file_of(testing::small_model());
  for (size_t at = 0; at < bytes.size(); at += 7) {
    EXPECT_EQ(read_model(std::make_unique<MemorySource>(bytes, at)).code(), StatusCode::kIo) << at;
  }
}

TEST(SnapshotReader, FileThatShrinksWhileItIsReadIsDamage) {
  const std::string bytes = testing::file_of(testing::small_model());
  for (size_t size = 0; size < bytes.size(); size += 5) {
    auto source = std::make_unique<MemorySource>(bytes.substr(0, size), UINT64_MAX, bytes.size());
    EXPECT_EQ(read_model(std::move(source)).code(), StatusCode::kSnapshotCorrupt) << size;
  }
}

TEST(SnapshotReader, DecodedBytesAreHeldToTheCallersLimit) {
  const std::string bytes =
      forgery_of({chunk_payload(), chunk_payload()}).with_footer({{4, 4, 12}});
  for (const uint64_t limit : {0, 7, 8, 15, 16, 17}) {
    SnapshotReaderOptions options;
    options.max_decoded_bytes = limit;
    auto reader = SnapshotReader::open(std::make_unique<MemorySource>(bytes), options);
    ASSERT_TRUE(is_ok(reader));
    SnapshotChunk chunk;
    Result<SnapshotEvent> event = (*reader)->next(chunk);
    while (event.ok() && *event != SnapshotEvent::kEnd) event = (*reader)->next(chunk);
    EXPECT_EQ(event.code(), limit < 16 ? StatusCode::kMemoryLimit : StatusCode::kOk) << limit;
  }
}

TEST(SnapshotReader, TellsWhereItIs) {
  const Model model = testing::small_model();
  const std::string bytes = testing::file_of(model);
  auto reader = SnapshotReader::open(std::make_unique<MemorySource>(bytes));
  ASSERT_TRUE(is_ok(reader));
  EXPECT_EQ((*reader)->header(), model.header);
  EXPECT_EQ((*reader)->file_size(), bytes.size());
  SnapshotChunk chunk;
  ASSERT_EQ(*(*reader)->next(chunk), SnapshotEvent::kNamespace);
  EXPECT_EQ(chunk.size(), 0U);
  EXPECT_EQ((*reader)->namespace_index(), 0U);
  EXPECT_EQ((*reader)->current_namespace(), model.namespaces[0].info);
  ASSERT_EQ(*(*reader)->next(chunk), SnapshotEvent::kChunk);
  EXPECT_EQ(chunk.namespace_index(), 0U);
  EXPECT_EQ(chunk.size(), 3U);
  EXPECT_EQ(chunk.key_bytes(), 8U);
  EXPECT_EQ(chunk.value_bytes(), 6U);
  ASSERT_EQ(*(*reader)->next(chunk), SnapshotEvent::kNamespace);
  EXPECT_EQ((*reader)->namespace_index(), 1U);
  ASSERT_EQ(*(*reader)->next(chunk), SnapshotEvent::kNamespace);
  ASSERT_EQ(*(*reader)->next(chunk), SnapshotEvent::kChunk);
  EXPECT_LT((*reader)->offset(), bytes.size());
  ASSERT_EQ(*(*reader)->next(chunk), SnapshotEvent::kEnd);
  EXPECT_EQ((*reader)->offset(), bytes.size());
  EXPECT_EQ(*(*reader)->next(chunk), SnapshotEvent::kEnd);
  EXPECT_EQ((*reader)->totals(), (std::vector<SnapshotTotals>{{3, 8, 6}, {0, 0, 0}, {1, 2, 1}}));
}

TEST(SnapshotReader, FirstErrorIsFinal) {
  const std::string bytes = testing::file_of(testing::small_model());
  auto reader =
      SnapshotReader::open(std::make_unique<MemorySource>(bytes.substr(0, bytes.size() - 40)));
  ASSERT_TRUE(is_ok(reader));
  SnapshotChunk chunk;
  Result<SnapshotEvent> event = (*reader)->next(chunk);
  while (event.ok()) event = (*reader)->next(chunk);
  EXPECT_EQ(event.code(), StatusCode::kSnapshotCorrupt);
  EXPECT_EQ(chunk.size(), 0U);
  EXPECT_EQ((*reader)->next(chunk).code(), StatusCode::kSnapshotCorrupt);
}

TEST(SnapshotReader, ChunksOutliveTheReaderAndMoveBetweenThreads) {
  const std::string bytes =
      forgery_of({chunk_payload(), chunk_payload(), chunk_payload()}).with_footer({{6, 6, 18}});
  std::vector<SnapshotChunk> chunks;
  {
    auto reader = SnapshotReader::open(std::make_unique<MemorySource>(bytes));
    ASSERT_TRUE(is_ok(reader));
    SnapshotChunk chunk;
    for (;;) {
      const auto event = (*reader)->next(chunk);
      ASSERT_TRUE(is_ok(event));
      if (*event == SnapshotEvent::kEnd) break;
      if (*event == SnapshotEvent::kChunk) {
        chunks.push_back(std::move(chunk));
        EXPECT_EQ(chunk.size(), 0U);  // NOLINT(bugprone-use-after-move): empty, usable again
      }
    }
  }
  ASSERT_EQ(chunks.size(), 3U);
  testing::Threads threads;
  for (const SnapshotChunk& chunk : chunks) {
    threads.start([&chunk] {
      EXPECT_EQ(chunk.size(), 2U);
      EXPECT_EQ(chunk.entry(0), (SnapshotEntry{"a", "one", 0, 0}));
      EXPECT_EQ(chunk.entry(1), (SnapshotEntry{"b", "two", 0, 0}));
    });
  }
}

TEST(SnapshotReader, D13_OnlyAnAbsentFileIsNotFound) {
  const testing::TempDir scratch;
  const auto directory = Directory::open(scratch.path().string());
  ASSERT_TRUE(is_ok(directory));
  EXPECT_EQ(directory->open_file("none").code(), StatusCode::kSnapshotNotFound);
  // An empty file is there, and damaged.
  auto file = AtomicFile::create(*directory, "empty");
  ASSERT_TRUE(is_ok(file));
  ASSERT_TRUE(is_ok((*file)->commit()));
  auto source = directory->open_file("empty");
  ASSERT_TRUE(is_ok(source));
  EXPECT_EQ(SnapshotReader::open(std::move(*source)).code(), StatusCode::kSnapshotCorrupt);
}

}  // namespace
}  // namespace rkvs::internal
