// Finding the frames of a damaged snapshot that are still right.
#ifndef RKVS_CLI_SALVAGE_SCAN_H_
#define RKVS_CLI_SALVAGE_SCAN_H_

#include <rkvs/status.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "cli/progress.h"
#include "snapshot/format.h"

namespace rkvs::cli {

// A frame that was right when it was found.
struct FoundFrame {
  uint64_t offset = 0;
  internal::FrameHeader header;

  uint64_t end() const { return offset + sizeof header + header.payload_length; }
};

// Memory for a payload, aligned as FlatBuffers wants it; used again and again.
using PayloadBuffer = std::vector<uint64_t>;

// The frame's payload, in `buffer`. SnapshotCorrupt where its checksum is not right, Io. Throws
// std::bad_alloc.
Result<std::string_view> read_payload(const internal::ByteSource& source, const FoundFrame& frame,
                                      PayloadBuffer& buffer);

// A stretch of the file that belongs to no frame.
struct DamagedStretch {
  uint64_t offset = 0;
  uint64_t size = 0;

  friend bool operator==(const DamagedStretch&, const DamagedStretch&) = default;
};

struct ScanReport {
  uint64_t frames_found = 0;
  // Sequence numbers missing before the last frame found. What comes after it, nobody knows,
  // unless that one is the footer.
  uint64_t frames_lost = 0;
  bool footer_found = false;
  std::vector<DamagedStretch> damaged;
  bool gave_up = false;  // too much in the file looks like frames and is none
};

// What the frame says, when it is taken; false where it cannot be right.
using FrameVisitor = std::function<bool(const FoundFrame&, std::string_view payload)>;

// Goes through the file and hands each frame that is right to `visit`, in order. Where no frame
// begins, the next is looked for at every multiple of 8, as frames are aligned so: magic, known
// kind, possible length, right checksum. Beyond that a frame counts only where it can be one of
// this file:
//
// - Its sequence number is higher than that of the frame before it, by one exactly if it follows
//   immediately; else there is room for the missing ones (40 bytes each at least) in between.
// - It is not inside of another frame. A frame with a wrong checksum, at the end of which the next
//   one begins (or the file ends), is passed over as a whole.
// - It does not continue a snapshot that lies in this one as a value: such a one begins anew with a
//   header, and is passed over.
//
// So data is lost rather than taken for what it is not. Reads the file once, and what looks like a
// frame and is none at most eight times more. Io, Cancelled, and whatever read_payload says but
// SnapshotCorrupt. Throws std::bad_alloc.
Result<ScanReport> scan_frames(const internal::ByteSource& source, const FrameVisitor& visit,
                               Progress& progress);

}  // namespace rkvs::cli

#endif  // RKVS_CLI_SALVAGE_SCAN_H_
