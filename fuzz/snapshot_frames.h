// Files that are formally right whatever is in them: no mutation of bytes would ever guess a
// checksum, a sequence number or the footer's sums.
#ifndef RKVS_FUZZ_SNAPSHOT_FRAMES_H_
#define RKVS_FUZZ_SNAPSHOT_FRAMES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "snapshot/format.h"
#include "snapshot/reader.h"
#include "snapshot/snapshot_generated.h"
#include "tests/support/failing_files.h"

namespace rkvs::fuzz {

struct SnapshotFrames {
  struct Frame {
    internal::FrameHeader header;
    std::string payload;
  };
  std::vector<Frame> frames;

  // Cuts the bytes as the lengths in them say, as far as they make sense; the rest is one frame.
  static SnapshotFrames of(std::string_view bytes) {
    SnapshotFrames result;
    while (bytes.size() > sizeof(internal::FrameHeader)) {
      Frame frame;
      std::memcpy(&frame.header, bytes.data(), sizeof frame.header);
      bytes.remove_prefix(sizeof frame.header);
      const uint64_t length = frame.header.payload_length;
      const bool sensible = length != 0 && length <= bytes.size();
      frame.payload = bytes.substr(0, sensible ? length : bytes.size());
      bytes.remove_prefix(frame.payload.size());
      result.frames.push_back(std::move(frame));
    }
    return result;
  }

  // With magic, sequence, lengths, padding and checksums made right.
  std::string sealed() {
    std::string bytes;
    for (size_t i = 0; i < frames.size(); ++i) {
      Frame& f = frames[i];
      f.payload.append((8 - f.payload.size() % 8) % 8, '\0');
      f.header.magic = internal::kFrameMagic;
      f.header.sequence = static_cast<uint32_t>(i);
      f.header.payload_length = f.payload.size();
      internal::Checksum checksum;
      checksum.update(f.header.checked_bytes());
      checksum.update(f.payload);
      f.header.checksum = checksum.digest();
      bytes.append(f.header.bytes()).append(f.payload);
    }
    return bytes;
  }

  // With the number of namespaces that there are, and a footer that agrees, as well.
  std::string completed() {
    std::erase_if(frames, [](const Frame& f) { return is(f, internal::FrameKind::kFooter); });
    count_namespaces();
    std::string bytes = sealed();
    frames.push_back(footer_of(bytes));
    bytes = sealed();
    frames.pop_back();
    return bytes;
  }

 private:
  static bool is(const Frame& frame, internal::FrameKind kind) { return frame.header.kind == kind; }
  static std::string finish(flatbuffers::FlatBufferBuilder& builder, internal::fb::Body type,
                            flatbuffers::Offset<void> body) {
    internal::fb::FinishFrameBuffer(builder, internal::fb::CreateFrame(builder, type, body));
    return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
  }

  // Writes the first frame again if it is a header.
  void count_namespaces() {
    if (frames.empty() || !is(frames[0], internal::FrameKind::kHeader)) return;
    const std::string& payload = frames[0].payload;
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload.data()),
                                   payload.size());
    if (!internal::fb::VerifyFrameBuffer(verifier)) return;
    const auto* old = internal::fb::GetFrame(payload.data())->body_as_Header();
    if (old == nullptr) return;
    const auto count = std::count_if(frames.begin(), frames.end(), [](const Frame& f) {
      return is(f, internal::FrameKind::kNamespace);
    });
    flatbuffers::FlatBufferBuilder b;
    const auto version = b.CreateString(
        old->library_version() == nullptr ? std::string() : old->library_version()->str());
    const auto body = internal::fb::CreateHeader(b, old->format_version(), old->created_unix_ms(),
                                                 version, old->max_namespaces(), old->max_bytes(),
                                                 static_cast<uint64_t>(count));
    frames[0].payload = finish(b, internal::fb::Body::Header, body.Union());
  }

  // What a footer behind these bytes, sealed, has to say: the reader adds up as far as it gets.
  Frame footer_of(const std::string& bytes) const {
    std::vector<internal::fb::NamespaceTotals> totals;
    if (auto reader =
            internal::SnapshotReader::open(std::make_unique<testing::MemorySource>(bytes));
        reader.ok()) {
      internal::SnapshotChunk chunk;
      while ((*reader)->next(chunk).ok()) {
      }
      for (const internal::SnapshotTotals& t : (*reader)->totals()) {
        totals.emplace_back(t.entries, t.key_bytes, t.value_bytes);
      }
    }
    internal::Checksum checksums;
    for (const Frame& f : frames) checksums.update(f.header.checksum_bytes());
    flatbuffers::FlatBufferBuilder b;
    const auto vector = b.CreateVectorOfStructs(totals);
    const auto body =
        internal::fb::CreateFooter(b, vector, frames.size(), bytes.size(), checksums.digest());
    Frame frame;
    frame.header.kind = internal::FrameKind::kFooter;
    frame.payload = finish(b, internal::fb::Body::Footer, body.Union());
    return frame;
  }
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_SNAPSHOT_FRAMES_H_
