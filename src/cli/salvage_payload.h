// Payloads of single frames, taken without the frames before them.
//
// SnapshotReader reads whole snapshots and nothing else. Here a payload stands alone: its checksum
// was right, but what it refers to may be lost. So it is checked for what it says by itself, and
// nothing it says is used before.
#ifndef RKVS_CLI_SALVAGE_PAYLOAD_H_
#define RKVS_CLI_SALVAGE_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "snapshot/format.h"

namespace rkvs::cli {

// All take a payload that is aligned to 8 bytes, and return nullopt where it is not a valid one of
// its kind. They throw std::bad_alloc.

struct LoneHeader {
  uint32_t format_version = 0;
  internal::SnapshotHeader header;  // meaningless in another version than ours
};
std::optional<LoneHeader> decode_header(std::string_view payload);

std::optional<internal::SnapshotNamespace> decode_namespace(std::string_view payload);

struct LoneFooter {
  std::vector<internal::SnapshotTotals> totals;  // of each namespace
  uint64_t frame_count = 0;                      // before the footer
};
std::optional<LoneFooter> decode_footer(std::string_view payload);

// Entries; the views point into the payload.
class LoneChunk {
 public:
  size_t size() const { return size_; }
  uint32_t namespace_index() const { return namespace_index_; }
  internal::SnapshotEntry entry(size_t i) const {
    const uint32_t key_begin = i == 0 ? 0 : key_ends_[i - 1];
    const uint32_t value_begin = i == 0 ? 0 : value_ends_[i - 1];
    return {{keys_ + key_begin, key_ends_[i] - key_begin},
            {values_ + value_begin, value_ends_[i] - value_begin},
            versions_ == nullptr ? 0 : versions_[i],
            expiries_ == nullptr ? 0 : expiries_[i]};
  }

 private:
  friend std::optional<LoneChunk> decode_chunk(std::string_view payload);

  size_t size_ = 0;
  uint32_t namespace_index_ = 0;
  const uint32_t* key_ends_ = nullptr;
  const uint32_t* value_ends_ = nullptr;
  const uint64_t* versions_ = nullptr;
  const int64_t* expiries_ = nullptr;
  const char* keys_ = nullptr;
  const char* values_ = nullptr;
};
std::optional<LoneChunk> decode_chunk(std::string_view payload);

}  // namespace rkvs::cli

#endif  // RKVS_CLI_SALVAGE_PAYLOAD_H_
