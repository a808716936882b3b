// SnapshotWriter: namespaces and entries in, the frames of a snapshot out.
#ifndef RKVS_SNAPSHOT_WRITER_H_
#define RKVS_SNAPSHOT_WRITER_H_

#include <rkvs/status.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/checksum.h"
#include "base/file.h"
#include "snapshot/format.h"

namespace rkvs::internal {

// Writes one snapshot, front to back, without ever holding more than one chunk of it:
//
//   begin(header)
//   for each namespace: begin_namespace(info), add(entry) ..., end_namespace()
//   finish()
//
// and then the sink's owner commits the file. Nothing else is a snapshot: without finish() there is
// no footer, and readers refuse the file.
//
// Entries are copied into the columns of the pending chunk as they come; a value too large to share
// a chunk goes from the caller's memory straight to the sink. So no view is kept after a call.
//
// What would make a file that the reader refuses is refused here, with Internal: calls out of
// order, more entries or bytes than announced, keys and values over the format's limits, a name
// twice. Errors of the sink are handed on. The first error is final: every later call returns it.
// Nothing throws; NoMemory. Used by one thread at a time; the sink must outlive it.
class SnapshotWriter {
 public:
  // `chunk_size` is what the payload of a chunk aims at, up to kMaxChunkSize.
  explicit SnapshotWriter(ByteSink& sink, size_t chunk_size = kTargetChunkSize);

  Status begin(const SnapshotHeader& header);
  Status begin_namespace(const SnapshotNamespace& info);
  Status add(const SnapshotEntry& entry);
  Status end_namespace();
  Status finish();

  // Of each namespace begun so far, the entries of the pending chunk included.
  const std::vector<SnapshotTotals>& totals() const { return totals_; }
  // Handed to the sink so far.
  uint64_t bytes_written() const { return offset_; }

 private:
  enum class State { kNew, kBetween, kInNamespace, kFinished };

  // The columns of the chunk that is being filled.
  struct Columns {
    std::vector<uint32_t> key_ends;
    std::vector<uint32_t> value_ends;
    std::vector<uint64_t> versions;
    std::vector<int64_t> expiries;
    std::string keys;
    std::string values;
    bool any_version = false;
    bool any_expiry = false;

    void clear();  // keeps the memory
  };

  Status check(State expected, const char* call);
  template <typename... Parts>
  Status refuse(const Parts&... parts);
  Status add_entry(const SnapshotEntry& entry);
  size_t pending_size() const;
  Status flush_chunk();
  Status write_chunk(std::string_view values);
  Status write_frame(FrameKind kind, std::vector<std::string_view> pieces);

  ByteSink& sink_;
  const size_t chunk_size_;
  State state_ = State::kNew;
  Status status_;
  uint64_t offset_ = 0;
  uint64_t frames_ = 0;
  Checksum checksums_;  // of the frames' checksums
  uint64_t announced_namespaces_ = 0;
  std::unordered_set<std::string> names_;
  SnapshotNamespace current_;
  std::vector<SnapshotTotals> totals_;
  Columns pending_;
};

}  // namespace rkvs::internal

#endif  // RKVS_SNAPSHOT_WRITER_H_
