// The snapshot format, version 1: frame header, kinds, limits, and what a file says in plain
// structs.
//
// docs/snapshot_format.md is the whole description, byte by byte. Writer and reader share nothing
// but this header and the schema.
#ifndef RKVS_SNAPSHOT_FORMAT_H_
#define RKVS_SNAPSHOT_FORMAT_H_

#include <rkvs/options.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace rkvs::internal {

inline constexpr uint32_t kSnapshotFormatVersion = 1;

// --- Frames --------------------------------------------------------------------------------------

// "RKVS" as a little-endian number.
inline constexpr uint32_t kFrameMagic = 0x53564b52;

enum class FrameKind : uint16_t {
  kHeader = 1,     // once, first
  kNamespace = 2,  // before the chunks of its namespace
  kChunk = 3,
  kFooter = 4,  // once, last
};

// What stands before each payload, byte for byte.
struct FrameHeader {
  uint32_t magic = kFrameMagic;
  FrameKind kind = FrameKind::kHeader;
  uint16_t flags = 0;     // none known yet; room for compressed chunks
  uint32_t sequence = 0;  // 0, 1, 2, ... through the file
  uint32_t reserved = 0;
  uint64_t payload_length = 0;  // a multiple of kPayloadAlignment
  uint64_t checksum = 0;        // XXH3-64 of the 24 bytes before it and the payload

  // The bytes in a file.
  std::string_view bytes() const { return {reinterpret_cast<const char*>(this), sizeof *this}; }
  // Those of them that the checksum is over.
  std::string_view checked_bytes() const { return bytes().substr(0, sizeof *this - 8); }
  std::string_view checksum_bytes() const { return bytes().substr(sizeof *this - 8); }
};
static_assert(sizeof(FrameHeader) == 32 && std::is_trivially_copyable_v<FrameHeader>);

// Files are little-endian, and both headers and columns are taken as they lie in memory.
static_assert(std::endian::native == std::endian::little,
              "snapshots can be read and written on little-endian machines alone");

// --- Limits --------------------------------------------------------------------------------------

inline constexpr size_t kPayloadAlignment = 8;

// What a writer aims at for the payload of a chunk. Measured with 100-byte values: see the table in
// docs/snapshot_format.md.
inline constexpr size_t kTargetChunkSize = size_t{1} << 20;

// The largest payload of a chunk of several entries.
inline constexpr uint64_t kMaxChunkSize = uint64_t{16} << 20;

// Keys and values in a file are no larger than rkvs allows in memory.
inline constexpr uint64_t kMaxSnapshotKeySize = uint64_t{1} << 20;
inline constexpr uint64_t kMaxSnapshotValueSize = uint64_t{1} << 30;
static_assert(kMaxSnapshotKeySize == kLargestMaxKeySize);
static_assert(kMaxSnapshotValueSize == kLargestValueSize);

// The largest payload of a chunk of one entry: key, value, and room for the tables. Far below the
// 2 GiB at which a FlatBuffer ends, and within the uint32 of the columns' ends.
inline constexpr uint64_t kMaxSingleEntryChunkSize =
    kMaxSnapshotKeySize + kMaxSnapshotValueSize + 4096;

// The least that an entry takes in a file: its two ends.
inline constexpr uint64_t kMinEntrySize = 8;

// The largest payload of a Header or a Namespace frame.
inline constexpr uint64_t kMaxInfoSize = uint64_t{64} << 10;

// A Footer has one struct for each namespace and a little beside.
inline constexpr uint64_t kFooterBaseSize = 1024;
inline constexpr uint64_t kFooterSizePerNamespace = 24;

// Versions count writes: a shard would need a century at a thousand million a second to get here. A
// file that claims more would let the counters wrap.
inline constexpr uint64_t kMaxSnapshotVersion = uint64_t{1} << 62;

inline constexpr size_t kMaxLibraryVersionSize = 64;
inline constexpr size_t kMaxAutosavePatternSize = 200;

// The FlatBuffers Verifier's limits. No frame has more than Frame, its body and an Autosave.
inline constexpr uint32_t kVerifierMaxDepth = 4;
inline constexpr uint32_t kVerifierMaxTables = 16;

// --- What a file says ----------------------------------------------------------------------------

// The file as a whole.
struct SnapshotHeader {
  int64_t created_unix_ms = 0;
  std::string library_version = {};  // of the library that wrote the file; at most 64 bytes
  uint64_t max_namespaces = 0;       // 0 = no limit
  uint64_t max_bytes = 0;            // 0 = no limit
  uint64_t namespace_count = 0;      // exact

  friend bool operator==(const SnapshotHeader&, const SnapshotHeader&) = default;
};

struct SnapshotAutosave {
  uint64_t interval_ms = 0;  // 0 = not by time
  uint64_t changes = 0;      // 0 = not by the number of changes
  std::string pattern = {};  // of the file name; at most 200 bytes

  friend bool operator==(const SnapshotAutosave&, const SnapshotAutosave&) = default;
};

// One namespace, before its entries.
struct SnapshotNamespace {
  std::string name = {};        // 1 to 128 bytes, no control characters
  uint64_t max_keys = 0;        // 0 = no limit
  uint64_t max_value_size = 0;  // 0 = no limit but kMaxSnapshotValueSize, which is the most
  uint64_t max_bytes = 0;       // 0 = no limit
  uint64_t max_key_size = kDefaultMaxKeySize;
  uint32_t shard_count = 0;    // as configured; 0 = automatic
  uint32_t shards_in_use = 0;  // a hint; 0 = unknown
  uint64_t lock_timeout_ms = 500;
  std::optional<SnapshotAutosave> autosave = {};

  // Upper bounds of what follows, for presizing: a snapshot that leaves out expired entries holds
  // fewer. The exact totals are in the footer.
  uint64_t entry_count = 0;
  uint64_t value_bytes = 0;
  // No entry has or ever had a greater version. Loading starts the version counters here, so that
  // the version of a deleted key does not come back.
  uint64_t last_version = 0;

  friend bool operator==(const SnapshotNamespace&, const SnapshotNamespace&) = default;
};

inline bool has_control_characters(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

// What is wrong with it in any file, for a message; nullptr when nothing is. Writer and reader ask
// the same questions, so that no file is written that cannot be read.
inline const char* complaint_about(const SnapshotHeader& header) {
  if (header.library_version.size() > kMaxLibraryVersionSize) return "library version too long";
  if (has_control_characters(header.library_version)) return "control character in a version";
  return nullptr;
}
inline const char* complaint_about(const SnapshotNamespace& info) {
  if (info.name.empty()) return "namespace name empty";
  if (info.name.size() > kMaxNamespaceNameSize) return "namespace name over 128 bytes";
  if (has_control_characters(info.name)) return "control character in a name";
  if (info.max_value_size > kMaxSnapshotValueSize) return "max_value_size over 1073741824";
  if (info.max_key_size == 0 || info.max_key_size > kMaxSnapshotKeySize) {
    return "max_key_size outside 1..1048576";
  }
  if (info.shard_count > kMaxShardCount) return "shard_count over 4096";
  if (info.shards_in_use > kMaxShardCount) return "shards_in_use over 4096";
  if (info.lock_timeout_ms < static_cast<uint64_t>(kMinLockTimeout.count()) ||
      info.lock_timeout_ms > static_cast<uint64_t>(kMaxLockTimeout.count())) {
    return "lock_timeout_ms outside 1..3600000";
  }
  if (info.last_version > kMaxSnapshotVersion) return "last_version over 2^62";
  if (info.autosave && info.autosave->pattern.size() > kMaxAutosavePatternSize) {
    return "autosave pattern over 200 bytes";
  }
  return nullptr;
}

// One entry. The views belong to whoever made it.
struct SnapshotEntry {
  std::string_view key = {};
  std::string_view value = {};
  uint64_t version = 0;
  int64_t expires_at_ms = 0;  // Unix milliseconds; 0 = never

  friend bool operator==(const SnapshotEntry&, const SnapshotEntry&) = default;
};

// What a namespace amounted to.
struct SnapshotTotals {
  uint64_t entries = 0;
  uint64_t key_bytes = 0;
  uint64_t value_bytes = 0;

  friend bool operator==(const SnapshotTotals&, const SnapshotTotals&) = default;
};

}  // namespace rkvs::internal

#endif  // RKVS_SNAPSHOT_FORMAT_H_
