// The lines of `rkvs import`: whatever the parser takes, a JSON parser that builds a tree takes as
// well and says the same of; and what the tool writes of it comes back as it was. Bytes of any kind
// can be written. The input as a file is read as the lines that it has.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/file.h"
#include "cli/base64.h"
#include "cli/input.h"
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

// What a reader must make of `input`, from where it stands: takes the next line off, without its
// end.
std::string_view next_line(std::string_view& input) {
  const size_t end = input.find('\n');
  const std::string_view line = input.substr(0, end);
  input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
  return line;
}

// Reads the lines of the file, up to the first that is too long.
void read_lines(const std::string& path, std::string_view input, uint64_t max_line_size) {
  const auto reader = rkvs::cli::LineReader::open(path, max_line_size);
  RKVS_FUZZ_CHECK(reader.ok());
  RKVS_FUZZ_CHECK((*reader)->size() == input.size());
  const std::string_view all = input;
  for (uint64_t number = 1;; ++number) {
    const auto line = (*reader)->next();
    RKVS_FUZZ_CHECK((*reader)->line_number() == number);
    if (input.empty()) {
      RKVS_FUZZ_CHECK(line.ok() && !line->has_value());
      return;
    }
    std::string_view expected = next_line(input);
    if (expected.size() > max_line_size) {
      RKVS_FUZZ_CHECK(line.status().code() == rkvs::StatusCode::kInvalidArgument);
      return;
    }
    if (number == 1 && expected.starts_with("\xEF\xBB\xBF")) expected.remove_prefix(3);
    if (expected.ends_with('\r')) expected.remove_suffix(1);
    RKVS_FUZZ_CHECK(line.ok() && *line == expected);
    RKVS_FUZZ_CHECK((*reader)->offset() == all.size() - input.size());
  }
}

// With lines of any size, then of what the input's last byte says at most; some are copied behind
// one another beyond what the reader reads at once.
void try_reader(std::string_view input) {
  const uint8_t last = input.empty() ? uint8_t{0} : static_cast<uint8_t>(input.back());
  std::string content(input);
  if (last == 'x') {
    while (content.size() < (size_t{600} << 10)) content += input;
  }
  const rkvs::internal::FileHandle file(rkvs::internal::FileSystem::posix(),
                                        memfd_create("lines", MFD_CLOEXEC));
  RKVS_FUZZ_CHECK(file.fd() >= 0);
  RKVS_FUZZ_CHECK(write(file.fd(), content.data(), content.size()) ==
                  static_cast<ssize_t>(content.size()));
  const std::string path = "/proc/self/fd/" + std::to_string(file.fd());
  read_lines(path, content, UINT64_MAX);
  read_lines(path, content, last);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try_reader(input);
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
