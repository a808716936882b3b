#include "cli/salvage_scan.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/checksum.h"
#include "base/error.h"

namespace rkvs::cli {
namespace {

using internal::FrameHeader;
using internal::FrameKind;

constexpr size_t kWindowSize = size_t{1} << 20;
constexpr uint64_t kHeaderSize = sizeof(FrameHeader);
constexpr uint64_t kMinFrameSize = kHeaderSize + internal::kPayloadAlignment;

// What may be read in vain: see scan_frames().
constexpr uint64_t kWastePerByte = 8;
constexpr uint64_t kFreeWaste = uint64_t{256} << 20;

uint64_t payload_limit(FrameKind kind) {
  switch (kind) {
    case FrameKind::kHeader:
    case FrameKind::kNamespace: return internal::kMaxInfoSize;
    case FrameKind::kChunk: return internal::kMaxSingleEntryChunkSize;
    // How many namespaces there were is not known; a FlatBuffer ends before 2 GiB.
    case FrameKind::kFooter: return uint64_t{1} << 31;
  }
  return 0;
}

class Scanner {
 public:
  Scanner(const internal::ByteSource& source, const FrameVisitor& visit, Progress& progress)
      : source_(source), visit_(visit), progress_(progress), size_(source.size()) {}

  Result<ScanReport> scan() {
    uint64_t offset = 0;
    while (offset + kMinFrameSize <= size_ && !report_.footer_found && !report_.gave_up) {
      const Result<uint64_t> next = step(offset);
      if (!next.ok()) return next.status();
      offset = *next;
      if (Status s = progress_.step(offset); !s.ok()) return s;
    }
    if (size_ > end_) report_.damaged.push_back({end_, size_ - end_});
    return std::move(report_);
  }

 private:
  // Looks at `offset`, and returns where to look next.
  Result<uint64_t> step(uint64_t offset) {
    const Result<FrameHeader> header = header_at(offset);
    if (!header.ok()) return header.status();
    if (header->magic != internal::kFrameMagic) return next_magic(offset);
    const FoundFrame frame = {offset, *header};
    if (!could_be_frame(frame)) return offset + internal::kPayloadAlignment;
    if (wasted_ > kFreeWaste + kWastePerByte * size_) {
      report_.gave_up = true;
      return offset;
    }

    const Result<std::string_view> payload = read_payload(source_, frame, buffer_);
    if (payload.ok()) {
      if (!belongs_here(frame)) {
        foreign_end_ = frame.end();
        foreign_next_ = uint64_t{frame.header.sequence} + 1;
      } else if (visit_(frame, *payload)) {
        accept(frame);
      }
      return frame.end();
    }
    if (payload.code() != StatusCode::kSnapshotCorrupt) return payload.status();
    wasted_ += header->payload_length;
    const Result<bool> bounded = is_bounded(frame);
    if (!bounded.ok()) return bounded.status();
    return *bounded ? frame.end() : offset + internal::kPayloadAlignment;
  }

  bool could_be_frame(const FoundFrame& frame) const {
    const FrameHeader& header = frame.header;
    return header.kind >= FrameKind::kHeader && header.kind <= FrameKind::kFooter &&
           header.flags == 0 && header.reserved == 0 && header.payload_length != 0 &&
           header.payload_length % internal::kPayloadAlignment == 0 &&
           header.payload_length <= payload_limit(header.kind) &&
           header.payload_length <= size_ - frame.offset - kHeaderSize;
  }

  bool belongs_here(const FoundFrame& frame) const {
    const uint64_t sequence = frame.header.sequence;
    if (frame.offset == foreign_end_ && sequence == foreign_next_) return false;
    if (sequence < next_sequence_) return false;
    const uint64_t missing = sequence - next_sequence_;
    const uint64_t gap = frame.offset - end_;
    // Something may stand before the whole file.
    if (missing == 0) return gap == 0 || report_.frames_found == 0;
    return frame.header.kind != FrameKind::kHeader && gap / kMinFrameSize >= missing;
  }

  // Whether the frame ends where the next one begins, so that its length at least is right.
  Result<bool> is_bounded(const FoundFrame& frame) {
    if (frame.end() == size_) return true;
    if (frame.end() + kMinFrameSize > size_) return false;
    const Result<FrameHeader> next = header_at(frame.end());
    if (!next.ok()) return next.status();
    return next->magic == internal::kFrameMagic && next->sequence == frame.header.sequence + 1;
  }

  void accept(const FoundFrame& frame) {
    if (frame.offset > end_) report_.damaged.push_back({end_, frame.offset - end_});
    report_.frames_lost += frame.header.sequence - next_sequence_;
    ++report_.frames_found;
    report_.footer_found = frame.header.kind == FrameKind::kFooter;
    next_sequence_ = uint64_t{frame.header.sequence} + 1;
    end_ = frame.end();
  }

  // The next multiple of 8 where the magic stands, or the end of what the window holds.
  uint64_t next_magic(uint64_t offset) const {
    offset += internal::kPayloadAlignment;
    while (offset + kHeaderSize <= window_offset_ + window_size_) {
      uint32_t magic;
      std::memcpy(&magic, window_.data() + (offset - window_offset_), sizeof magic);
      if (magic == internal::kFrameMagic) break;
      offset += internal::kPayloadAlignment;
    }
    return offset;
  }

  // There are that many bytes.
  Result<FrameHeader> header_at(uint64_t offset) {
    if (offset < window_offset_ || offset + kHeaderSize > window_offset_ + window_size_) {
      window_.resize(kWindowSize);
      window_size_ = 0;
      const Result<size_t> n = source_.read_at(offset, window_.data(), window_.size());
      if (!n.ok()) return n.status();
      if (*n < kHeaderSize) {
        return internal::make_error(StatusCode::kIo, "\"", source_.name(),
                                    "\" has become shorter meanwhile");
      }
      window_offset_ = offset;
      window_size_ = *n;
    }
    FrameHeader header;
    std::memcpy(&header, window_.data() + (offset - window_offset_), sizeof header);
    return header;
  }

  const internal::ByteSource& source_;
  const FrameVisitor& visit_;
  Progress& progress_;
  const uint64_t size_;
  std::string window_;
  uint64_t window_offset_ = 0;
  size_t window_size_ = 0;
  PayloadBuffer buffer_;
  ScanReport report_;
  uint64_t end_ = 0;                   // of the last frame found
  uint64_t next_sequence_ = 0;         // expected
  uint64_t foreign_end_ = UINT64_MAX;  // of the last frame passed over as another file's
  uint64_t foreign_next_ = 0;
  uint64_t wasted_ = 0;  // bytes of payloads that were none
};

}  // namespace

Result<std::string_view> read_payload(const internal::ByteSource& source, const FoundFrame& frame,
                                      PayloadBuffer& buffer) {
  const uint64_t size = frame.header.payload_length;
  buffer.resize(std::max(buffer.size(), size_t{size / sizeof(uint64_t)}));
  char* const bytes = reinterpret_cast<char*>(buffer.data());
  const Result<size_t> n = source.read_at(frame.offset + kHeaderSize, bytes, size);
  if (!n.ok()) return n.status();
  internal::Checksum checksum;
  checksum.update(frame.header.checked_bytes());
  checksum.update({bytes, *n});
  if (*n != size || checksum.digest() != frame.header.checksum) {
    return internal::make_error(StatusCode::kSnapshotCorrupt, "\"", source.name(),
                                "\": wrong checksum of the frame at offset ", frame.offset);
  }
  return std::string_view(bytes, size);
}

Result<ScanReport> scan_frames(const internal::ByteSource& source, const FrameVisitor& visit,
                               Progress& progress) {
  return Scanner(source, visit, progress).scan();
}

}  // namespace rkvs::cli
