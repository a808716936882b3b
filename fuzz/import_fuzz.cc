// The lines of `rkvs import`: whatever the parser takes, a JSON parser that builds a tree takes as
// well and says the same of; and what the tool writes of it comes back as it was. Bytes of any kind
// can be written.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cli/base64.h"
#include "cli/json_lines.h"
#include "cli/text.h"
#include "fuzz/fuzz_input.h"

namespace {

using nlohmann::json;
using rkvs::cli::append_json_line;
using rkvs::cli::JsonEntry;
using rkvs::cli::parse_json_line;

// The bytes of a field that may stand as base64.
std::string bytes_of(const json& tree, const std::string& name) {
  if (tree.contains(name)) return tree[name].get<std::string>();
  std::string bytes;
  RKVS_FUZZ_CHECK(rkvs::cli::decode_base64(tree[name + "_base64"].get<std::string>(), bytes));
  return bytes;
}

void check_against_tree(std::string_view line, const JsonEntry& entry) {
  const json tree = json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions*/ false);
  RKVS_FUZZ_CHECK(tree.is_object());
  RKVS_FUZZ_CHECK(bytes_of(tree, "key") == entry.key);
  RKVS_FUZZ_CHECK(bytes_of(tree, "value") == entry.value);
  RKVS_FUZZ_CHECK(tree.value("version", uint64_t{0}) == entry.version);
  RKVS_FUZZ_CHECK(tree.value("expires_at", int64_t{0}) == entry.expires_at_ms);
}

// Writes the entry, reads it back, and returns the line.
std::string round_trip(const JsonEntry& entry) {
  std::string line;
  append_json_line(line, entry.view());
  RKVS_FUZZ_CHECK(std::count(line.begin(), line.end(), '\n') == 1 && line.ends_with('\n'));
  line.pop_back();
  JsonEntry back;
  RKVS_FUZZ_CHECK(parse_json_line(line, back).ok());
  RKVS_FUZZ_CHECK(back == entry);
  check_against_tree(line, entry);
  return line;
}

void try_line(std::string_view line) {
  JsonEntry entry;
  const rkvs::Status status = parse_json_line(line, entry);
  if (!status.ok()) {
    RKVS_FUZZ_CHECK(status.code() == rkvs::StatusCode::kInvalidArgument);
    RKVS_FUZZ_CHECK(!status.message().empty() && status.message().size() < 1000);
    return;
  }
  check_against_tree(line, entry);
  const std::string written = round_trip(entry);
  RKVS_FUZZ_CHECK(parse_json_line(written, entry).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (size_t begin = 0; begin <= input.size();) {
    const size_t end = std::min(input.find('\n', begin), input.size());
    try_line(input.substr(begin, end - begin));
    begin = end + 1;
  }
  // The input itself as a key and a value.
  JsonEntry entry;
  entry.key = input.substr(0, size / 2);
  entry.value = input.substr(size / 2);
  entry.version = size;
  round_trip(entry);
  return 0;
}
