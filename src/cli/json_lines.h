// One entry as one line of JSON, and back.
//
//   {"key":"user:1","value":"ada","version":3,"expires_at":1893456000000}
//
// "key" and "value" are strings of any UTF-8; bytes that are not UTF-8 stand as "key_base64" and
// "value_base64" instead (RFC 4648 section 4, with padding). "version" and "expires_at" (Unix
// milliseconds) are integers, left out where they are 0. docs/cli.md is the whole description.
#ifndef RKVS_CLI_JSON_LINES_H_
#define RKVS_CLI_JSON_LINES_H_

#include <rkvs/status.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "snapshot/format.h"

namespace rkvs::cli {

// No line that says something permitted is longer: each byte may be written as \u00XX, and the rest
// is names and numbers. Spaces beyond that are not worth waiting for the end of.
inline constexpr uint64_t kMaxJsonLineSize =
    6 * (internal::kMaxSnapshotKeySize + internal::kMaxSnapshotValueSize) + 4096;

// An entry that owns its bytes.
struct JsonEntry {
  std::string key = {};
  std::string value = {};
  uint64_t version = 0;
  int64_t expires_at_ms = 0;

  internal::SnapshotEntry view() const { return {key, value, version, expires_at_ms}; }

  friend bool operator==(const JsonEntry&, const JsonEntry&) = default;
};

// Reads one line, without its end. InvalidArgument with a message that says what is wrong with it:
// anything but one JSON object (RFC 8259; no byte order mark), fields unknown, missing, given twice
// or of the wrong type, a key or value over the format's limits, a version over 2^62, a negative
// expiry. `entry` is overwritten, and anything after an error; its memory is used again. Throws
// std::bad_alloc.
Status parse_json_line(std::string_view line, JsonEntry& entry);

// Whether there is nothing on the line but JSON's white space.
bool is_blank_line(std::string_view line);

// Appends the entry as one object in one line, its end ('\n') included. With `ns`, the field
// "namespace" comes first; it must be UTF-8. Throws std::bad_alloc.
void append_json_line(std::string& to, const internal::SnapshotEntry& entry,
                      std::optional<std::string_view> ns = std::nullopt);

}  // namespace rkvs::cli

#endif  // RKVS_CLI_JSON_LINES_H_
