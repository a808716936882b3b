// SnapshotWriter: namespaces and entries in, the frames of a snapshot out.
#ifndef RKVS_SNAPSHOT_WRITER_H_
#define RKVS_SNAPSHOT_WRITER_H_

#include <rkvs/status.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
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
// Entries are copied into the columns of the pending chunk as they come; one too large to share a
// chunk goes from the caller's memory straight to the sink. So no view is kept after a call.
//
// What would make a file that the reader refuses is refused here, with Internal: calls out of
// order, more entries or bytes than announced, keys and values over the format's limits, a name
// twice. Errors of the sink are handed on. The first error is final: every later call returns it,
// aside from add(), which may notice it, or a mistake in an entry, only when the chunk is full; by
// end_namespace() at the latest it comes out. Nothing throws; NoMemory. Used by one thread at a
// time; the sink must outlive it.
class SnapshotWriter {
 public:
  // `chunk_size` is what the payload of a chunk aims at, up to kMaxChunkSize.
  explicit SnapshotWriter(ByteSink& sink, size_t chunk_size = kTargetChunkSize);

  Status begin(const SnapshotHeader& header);
  Status begin_namespace(const SnapshotNamespace& info);
  Status add(const SnapshotEntry& entry) {
    const size_t size = kEntryOverhead + entry.key.size() + entry.value.size();
    if (size > pending_.room || entry.key.size() > kMaxSnapshotKeySize) [[unlikely]] {
      return add_slowly(entry);
    }
    pending_.push(entry);
    return {};
  }
  Status end_namespace();
  Status finish();

  // Of each namespace begun so far; exact for those that have ended.
  const std::vector<SnapshotTotals>& totals() const { return totals_; }
  // Handed to the sink so far.
  uint64_t bytes_written() const { return offset_; }

 private:
  enum class State { kNew, kBetween, kInNamespace, kFinished };

  // What an entry takes in a chunk beside its key and value: two ends, a version, an expiry. The
  // latter two columns may turn out to be absent; then chunks are a little smaller than aimed at.
  static constexpr size_t kEntryOverhead = 4 + 4 + 8 + 8;

  // The columns of the chunk that is being filled. Plain memory for the most that a chunk can hold,
  // not touched before it is used: growing and checking four vectors took half of add()'s time.
  struct Pending {
    size_t room = 0;  // for overhead, keys and values; 0 where nothing may be added
    size_t size = 0;
    size_t key_bytes = 0;
    size_t value_bytes = 0;
    uint64_t greatest_version = 0;
    int64_t expiry_bits = 0;  // of all, or-ed: 0 where there is none, negative where one is
    std::unique_ptr<uint32_t[]> key_ends;
    std::unique_ptr<uint32_t[]> value_ends;
    std::unique_ptr<uint64_t[]> versions;
    std::unique_ptr<int64_t[]> expiries;
    std::unique_ptr<char[]> keys;
    std::unique_ptr<char[]> values;

    // For chunks of up to `chunk_size` bytes. Throws std::bad_alloc.
    void allocate(size_t chunk_size);
    void clear(size_t new_room);
    void push(const SnapshotEntry& entry) {
      room -= kEntryOverhead + entry.key.size() + entry.value.size();
      if (!entry.key.empty()) {
        std::memcpy(keys.get() + key_bytes, entry.key.data(), entry.key.size());
        key_bytes += entry.key.size();
      }
      if (!entry.value.empty()) {
        std::memcpy(values.get() + value_bytes, entry.value.data(), entry.value.size());
        value_bytes += entry.value.size();
      }
      key_ends[size] = static_cast<uint32_t>(key_bytes);
      value_ends[size] = static_cast<uint32_t>(value_bytes);
      versions[size] = entry.version;
      expiries[size] = entry.expires_at_ms;
      greatest_version = std::max(greatest_version, entry.version);
      expiry_bits |= entry.expires_at_ms;
      ++size;
    }
  };
  // A chunk as it is to be written: views of the above, or of a single entry.
  struct ChunkView {
    size_t size = 0;
    uint64_t greatest_version = 0;
    int64_t expiry_bits = 0;
    const uint32_t* key_ends = nullptr;
    const uint32_t* value_ends = nullptr;
    const uint64_t* versions = nullptr;
    const int64_t* expiries = nullptr;
    std::string_view keys = {};
    std::string_view values = {};
  };

  Status check(State expected, const char* call);
  template <typename... Parts>
  Status refuse(const Parts&... parts);
  Status fail(Status status);
  Status add_slowly(const SnapshotEntry& entry);
  Status add_entry(const SnapshotEntry& entry);
  Status write_alone(const SnapshotEntry& entry);
  Status flush();
  Status write_chunk(const ChunkView& chunk);
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
  Pending pending_;
};

}  // namespace rkvs::internal

#endif  // RKVS_SNAPSHOT_WRITER_H_
