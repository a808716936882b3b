// SnapshotReader: the frames of a snapshot in, checked namespaces and entries out.
#ifndef RKVS_SNAPSHOT_READER_H_
#define RKVS_SNAPSHOT_READER_H_

#include <rkvs/status.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/file.h"
#include "snapshot/format.h"

namespace rkvs::internal {

// Entries of one namespace as they lie in the file, checked. It owns the bytes that its entries'
// views point into, so that chunks may be worked on by other threads than the reader's; given to
// the reader again, its memory is used again. Const functions are safe for concurrent use.
class SnapshotChunk {
 public:
  SnapshotChunk() = default;
  SnapshotChunk(SnapshotChunk&& other) noexcept { swap(other); }
  SnapshotChunk& operator=(SnapshotChunk&& other) noexcept {
    swap(other);
    return *this;
  }

  // Entries; at least 1 once a reader has filled it, 0 before.
  size_t size() const { return columns_.size; }
  // `i` < size(). The views are valid until the chunk is filled again, moved from or destroyed.
  SnapshotEntry entry(size_t i) const {
    const uint32_t key_begin = i == 0 ? 0 : columns_.key_ends[i - 1];
    const uint32_t value_begin = i == 0 ? 0 : columns_.value_ends[i - 1];
    return {{columns_.keys + key_begin, columns_.key_ends[i] - key_begin},
            {columns_.values + value_begin, columns_.value_ends[i] - value_begin},
            columns_.versions == nullptr ? 0 : columns_.versions[i],
            columns_.expiries == nullptr ? 0 : columns_.expiries[i]};
  }
  // Which namespace of the file, counted from 0.
  uint32_t namespace_index() const { return columns_.namespace_index; }
  uint64_t key_bytes() const { return columns_.key_bytes; }
  uint64_t value_bytes() const { return columns_.value_bytes; }

 private:
  friend class SnapshotReader;

  // Point into the buffer.
  struct Columns {
    size_t size = 0;
    uint32_t namespace_index = 0;
    uint64_t key_bytes = 0;
    uint64_t value_bytes = 0;
    const uint32_t* key_ends = nullptr;
    const uint32_t* value_ends = nullptr;
    const uint64_t* versions = nullptr;
    const int64_t* expiries = nullptr;
    const char* keys = nullptr;
    const char* values = nullptr;
  };

  void swap(SnapshotChunk& other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(capacity_, other.capacity_);
    std::swap(columns_, other.columns_);
  }
  // Empty, with room for a payload of `size` bytes. Throws std::bad_alloc.
  char* prepare(size_t size);

  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = 0;
  Columns columns_;
};

enum class SnapshotEvent {
  kNamespace,  // a namespace begins: current_namespace()
  kChunk,      // entries of it
  kEnd,        // the footer agrees with everything before it; nothing follows
};

struct SnapshotReaderOptions {
  // MemoryLimit when the keys and values of all entries together would exceed this.
  uint64_t max_decoded_bytes = UINT64_MAX;
};

// Reads one snapshot, front to back, one chunk at a time, and trusts nothing in it: lengths are
// checked against file and limits before memory is taken, checksums before contents, every
// offset before it is followed, totals at the end. A file is whole only when kEnd has come: build
// what it holds aside, and throw it away on an error.
//
// Left to the caller, who has the data at hand: a key twice in one namespace is damage
// (SnapshotCorrupt) as well; names must be valid UTF-8; entries must keep the namespace's limits.
//
// SnapshotCorrupt: any damage, with the file, the frame and its offset in the message.
// SnapshotVersion: another format version, or frames and flags that this version does not know.
// Io, NoMemory, MemoryLimit. The first error is final: every later call returns it. Nothing throws.
// Used by one thread at a time.
class SnapshotReader {
 public:
  // Reads the header.
  static Result<std::unique_ptr<SnapshotReader>> open(std::unique_ptr<ByteSource> source,
                                                      const SnapshotReaderOptions& options = {});

  const SnapshotHeader& header() const { return header_; }

  // Reads the next frame; fills `chunk` on kChunk and leaves it empty otherwise. kEnd repeats.
  Result<SnapshotEvent> next(SnapshotChunk& chunk);

  // The namespace that kNamespace announced last, and how many came before it.
  const SnapshotNamespace& current_namespace() const { return current_; }
  uint32_t namespace_index() const { return static_cast<uint32_t>(totals_.size()) - 1; }

  // Of each namespace so far.
  const std::vector<SnapshotTotals>& totals() const { return totals_; }
  // For progress: bytes read, of how many.
  uint64_t offset() const { return offset_; }
  uint64_t file_size() const { return source_->size(); }

 private:
  SnapshotReader(std::unique_ptr<ByteSource> source, const SnapshotReaderOptions& options)
      : source_(std::move(source)), options_(options) {}

  Status read_header();
  Result<SnapshotEvent> read_next(SnapshotChunk& chunk);
  Status read_frame(SnapshotChunk& into);
  Status read_exactly(uint64_t offset, char* to, size_t size) const;
  uint64_t payload_limit(FrameKind kind) const;
  Status take_namespace(const SnapshotChunk& payload);
  Status take_chunk(SnapshotChunk& chunk);
  Status take_footer(const SnapshotChunk& payload);
  void advance();
  uint64_t end_of_frame() const { return offset_ + sizeof(FrameHeader) + frame_.payload_length; }
  template <typename... Parts>
  Status error(StatusCode code, const Parts&... parts) const;
  template <typename... Parts>
  Status corrupt(const Parts&... parts) const;

  const std::unique_ptr<ByteSource> source_;
  const SnapshotReaderOptions options_;
  Status status_;
  bool ended_ = false;
  uint64_t offset_ = 0;  // of the present frame
  uint64_t frames_ = 0;  // before the present one
  FrameHeader frame_;    // the present one
  Checksum checksums_;   // of the checksums of the frames before it
  SnapshotHeader header_;
  std::unordered_set<std::string> names_;
  SnapshotNamespace current_;
  std::vector<SnapshotTotals> totals_;
  uint64_t decoded_bytes_ = 0;
};

}  // namespace rkvs::internal

#endif  // RKVS_SNAPSHOT_READER_H_
