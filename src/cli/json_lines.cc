#include "cli/json_lines.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/base64.h"
#include "cli/text.h"

namespace rkvs::cli {
namespace {

using internal::make_error;
using Json = nlohmann::json;

enum Field : size_t { kKey, kKeyBase64, kValue, kValueBase64, kVersion, kExpiresAt, kFieldCount };
constexpr std::array<std::string_view, kFieldCount> kFieldNames = {
    "key", "key_base64", "value", "value_base64", "version", "expires_at"};

// How much of something wrong a message repeats.
constexpr size_t kShown = 64;

std::string shown(std::string_view text) {
  return text.size() <= kShown ? std::string(text) : std::string(text.substr(0, kShown)) + "...";
}

// What nlohmann's message says beyond place and token, which may be as long as the line.
std::string reason_of(std::string_view what) {
  if (const size_t column = what.find(", column "); column != std::string_view::npos) {
    const size_t colon = what.find(": ", column);
    if (colon != std::string_view::npos) what.remove_prefix(colon + 2);
  } else if (const size_t bracket = what.find("] "); bracket != std::string_view::npos) {
    what.remove_prefix(bracket + 2);
  }
  what = what.substr(0, what.find("; last read: "));
  return std::string(what.substr(0, 200));
}

// Receives the line piece by piece, and ends the parse (by returning false) at the first piece that
// does not belong into an entry: nothing is ever nested, and no tree is built. The names of the
// functions are nlohmann's.
class EntryHandler {
 public:
  explicit EntryHandler(JsonEntry& entry) : entry_(entry) {}

  Status status() const { return status_; }

  bool start_object(size_t) {
    if (in_object_) return wrong_type("an object");
    in_object_ = true;
    return true;
  }
  bool key(std::string& name) {
    const auto found = std::find(kFieldNames.begin(), kFieldNames.end(), name);
    if (found == kFieldNames.end()) return refuse("unknown field \"", shown(name), "\"");
    field_ = static_cast<Field>(found - kFieldNames.begin());
    if (seen_[field_]) return refuse("\"", name, "\" twice");
    seen_[field_] = true;
    return true;
  }
  bool end_object() {
    if (seen_[kKey] == seen_[kKeyBase64]) {
      return refuse(seen_[kKey] ? "both" : "neither", " \"key\" ", seen_[kKey] ? "and" : "nor",
                    " \"key_base64\"");
    }
    if (seen_[kValue] == seen_[kValueBase64]) {
      return refuse(seen_[kValue] ? "both" : "neither", " \"value\" ",
                    seen_[kValue] ? "and" : "nor", " \"value_base64\"");
    }
    return true;
  }
  bool string(std::string& text) {
    if (!in_object_) return wrong_type("a string");
    switch (field_) {
      case kKey: entry_.key.swap(text); return check_key();
      case kValue: entry_.value.swap(text); return check_value();
      case kKeyBase64: return decode(text, entry_.key) && check_key();
      case kValueBase64: return decode(text, entry_.value) && check_value();
      default: return wrong_type("a string");
    }
  }
  bool number_unsigned(uint64_t number) {
    if (in_object_ && field_ == kVersion) {
      entry_.version = number;
      return number <= internal::kMaxSnapshotVersion ||
             refuse("\"version\" ", number, " is over ", internal::kMaxSnapshotVersion, " (2^62)");
    }
    if (in_object_ && field_ == kExpiresAt) {
      entry_.expires_at_ms = static_cast<int64_t>(number);
      return number <= uint64_t{INT64_MAX} ||
             refuse("\"expires_at\" ", number, " is over ", INT64_MAX);
    }
    return wrong_type("a number");
  }
  bool number_integer(int64_t number) {
    if (number >= 0) return number_unsigned(static_cast<uint64_t>(number));
    if (!takes_number()) return wrong_type("a number");
    return refuse("\"", kFieldNames[field_], "\" ", number, " is negative");
  }
  // Integers beyond 64 bits come here as well.
  bool number_float(double, const std::string& text) {
    if (!takes_number()) return wrong_type("a number");
    return refuse("\"", kFieldNames[field_], "\" ", shown(text),
                  " is not an integer, or out of range");
  }
  bool null() { return wrong_type("null"); }
  bool boolean(bool) { return wrong_type("true or false"); }
  bool start_array(size_t) { return wrong_type("an array"); }
  bool end_array() { return true; }
  bool binary(std::vector<uint8_t>&) { return wrong_type("binary"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    return refuse("not JSON at byte ", position, ": ", reason_of(error.what()));
  }

 private:
  template <typename... Parts>
  bool refuse(const Parts&... parts) {
    status_ = make_error(StatusCode::kInvalidArgument, parts...);
    return false;
  }
  bool takes_number() const { return in_object_ && field_ >= kVersion; }
  bool wrong_type(std::string_view type) {
    if (!in_object_) return refuse("an object is needed, not ", type);
    return refuse("\"", kFieldNames[field_], "\" must be ",
                  takes_number() ? "an integer" : "a string", ", not ", type);
  }
  bool decode(std::string_view text, std::string& bytes) {
    return decode_base64(text, bytes) || refuse("\"", kFieldNames[field_], "\" is not base64");
  }
  bool check_key() {
    return entry_.key.size() <= internal::kMaxSnapshotKeySize ||
           refuse("the key has ", entry_.key.size(), " bytes; the limit is ",
                  internal::kMaxSnapshotKeySize);
  }
  bool check_value() {
    return entry_.value.size() <= internal::kMaxSnapshotValueSize ||
           refuse("the value has ", entry_.value.size(), " bytes; the limit is ",
                  internal::kMaxSnapshotValueSize);
  }

  JsonEntry& entry_;
  Status status_;
  bool in_object_ = false;
  Field field_ = kKey;
  std::array<bool, kFieldCount> seen_ = {};
};

// Whether the bytes are their own JSON string: no escapes, no question of encoding.
bool is_plain(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

void append_string(std::string& to, std::string_view text) {
  if (is_plain(text)) {
    to.append(1, '"').append(text).append(1, '"');
  } else {
    to.append(Json(text).dump());
  }
}

// `name` and, where the bytes need it, `name`_base64.
void append_bytes(std::string& to, std::string_view name, std::string_view bytes) {
  const bool plain = is_plain(bytes);
  to.append(1, '"').append(name);
  if (plain || is_utf8(bytes)) {
    to.append("\":");
    append_string(to, bytes);
  } else {
    to.append("_base64\":\"");
    append_base64(to, bytes);
    to.append(1, '"');
  }
}

}  // namespace

Status parse_json_line(std::string_view line, JsonEntry& entry) {
  entry.key.clear();
  entry.value.clear();
  entry.version = 0;
  entry.expires_at_ms = 0;
  // The parser takes a NUL for the end of the line and skips a byte order mark: neither is JSON.
  if (const size_t nul = line.find('\0'); nul != std::string_view::npos) {
    return make_error(StatusCode::kInvalidArgument, "not JSON at byte ", nul + 1, ": a NUL");
  }
  if (line.starts_with("\xEF\xBB\xBF")) {
    return make_error(StatusCode::kInvalidArgument, "not JSON at byte 1: a byte order mark");
  }
  EntryHandler handler(entry);
  const bool good = Json::sax_parse(line.begin(), line.end(), &handler);
  return good ? Status() : handler.status();
}

bool is_blank_line(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

void append_json_line(std::string& to, const internal::SnapshotEntry& entry,
                      std::optional<std::string_view> ns) {
  to.append(1, '{');
  if (ns.has_value()) {
    to.append("\"namespace\":");
    append_string(to, *ns);
    to.append(1, ',');
  }
  append_bytes(to, "key", entry.key);
  to.append(1, ',');
  append_bytes(to, "value", entry.value);
  if (entry.version != 0) to.append(",\"version\":").append(std::to_string(entry.version));
  if (entry.expires_at_ms != 0) {
    to.append(",\"expires_at\":").append(std::to_string(entry.expires_at_ms));
  }
  to.append("}\n");
}

}  // namespace rkvs::cli
