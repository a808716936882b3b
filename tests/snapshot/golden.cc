#include "tests/snapshot/golden.h"

#include <cstdint>
#include <utility>

namespace rkvs::testing {
namespace {

// Long enough not to be a round number of anything.
std::string pattern(size_t size, uint32_t seed) {
  std::string bytes;
  bytes.reserve(size);
  uint32_t state = seed;
  while (bytes.size() < size) {
    state = state * 1664525 + 1013904223;  // Numerical Recipes' generator: the same everywhere
    bytes.push_back(static_cast<char>(state >> 24));
  }
  return bytes;
}

Model named(std::string library_version = "0.9.0") {
  Model model;
  model.header.created_unix_ms = 1767323045678;  // 2026-01-02T03:04:05.678Z
  model.header.library_version = std::move(library_version);
  return model;
}

Model binary() {
  Model model = named();
  ModelNamespace& ns = model.add("binary");
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  ns.entries = {{all, std::string(all.rbegin(), all.rend()), 0, 0},
                {std::string(1, '\0'), std::string(2, '\0'), 0, 0},
                {std::string("\0a", 2), "\xff", 0, 0},
                {"a", "not that of the key before", 0, 0},
                {"\xff\xfe", std::string("\r\n\x1a\x7f\x80", 5), 0, 0}};
  return model;
}

Model many_namespaces() {
  Model model = named();
  for (int i = 0; i < 30; ++i) {
    ModelNamespace& ns = model.add("namespace " + std::to_string(i));
    for (int k = 0; k < i % 4; ++k) {
      ns.entries.push_back({"key " + std::to_string(k), "value " + std::to_string(i), 0, 0});
    }
  }
  model.add(std::string(128, 'n')).entries = {{"longest", "name", 0, 0}};
  model.add("zähler/用户/🎄").entries = {{"{ns}", "../%2f", 0, 0}};
  return model;
}

Model versions() {
  Model model = named();
  ModelNamespace& some = model.add("some");
  some.entries = {{"none", "0", 0, 0}, {"first", "1", 1, 0}, {"later", "2", 4711, 0}};
  ModelNamespace& deleted = model.add("last of a deleted key");
  deleted.info.last_version = 1000;
  deleted.entries = {{"k", "v", 998, 0}};
  ModelNamespace& large = model.add("largest");
  large.entries = {{"k", "v", internal::kMaxSnapshotVersion, 0}};
  ModelNamespace& gone = model.add("all deleted");
  gone.info.last_version = 77;
  return model;
}

Model expiries() {
  Model model = named();
  model.add("some").entries = {{"never", "1", 1, 0},
                               {"soon", "2", 2, 1893456000000},  // 2030-01-01
                               {"long ago", "3", 3, 1},
                               {"at the end of time", "4", 4, INT64_MAX}};
  model.add("without versions").entries = {{"k", "v", 0, 4102444800000}};  // 2100-01-01
  return model;
}

Model limits() {
  Model model = named();
  ModelNamespace& all = model.add("all");
  all.info.max_keys = 1000;
  all.info.max_value_size = 65536;
  all.info.max_bytes = 10'000'000;
  all.info.max_key_size = 1048576;
  all.info.shard_count = 16;
  all.info.shards_in_use = 12;
  all.info.lock_timeout_ms = 1;
  all.info.autosave = internal::SnapshotAutosave{60000, 500, "{ns}-{ts}.rkvs"};
  all.entries = {{"k", "v", 1, 0}};
  ModelNamespace& most = model.add("most");
  most.info.max_keys = UINT64_MAX;
  most.info.max_value_size = uint64_t{1} << 30;
  most.info.max_bytes = UINT64_MAX;
  most.info.max_key_size = 1;
  most.info.shard_count = 4096;
  most.info.shards_in_use = 4096;
  most.info.lock_timeout_ms = 3600000;
  most.info.autosave = internal::SnapshotAutosave{UINT64_MAX, UINT64_MAX, std::string(200, 'p')};
  ModelNamespace& by_changes = model.add("by changes alone");
  by_changes.info.autosave = internal::SnapshotAutosave{0, 1, "f"};
  return model;
}

// The first and the last chunk have no versions, the second alone has an expiry.
Model chunks() {
  Model model = named();
  ModelNamespace& ns = model.add("chunked");
  for (uint32_t i = 0; i < 120; ++i) {
    const uint64_t version = i < 30 || i >= 100 ? 0 : i;
    ns.entries.push_back({"key " + std::to_string(i), pattern(i % 40, i), version,
                          i == 33 ? int64_t{1893456000000} : 0});
  }
  model.add("one chunk").entries = {{"k", "v", 0, 0}};
  return model;
}

Model large_entries() {
  Model model = named();
  model.add("large").entries = {{"small", "before", 1, 0},
                                {"large value", pattern(9001, 1), 2, 0},
                                {pattern(5003, 2), "of a large key", 3, 1893456000000},
                                {"small", "behind", 4, 0},
                                {pattern(3001, 3), pattern(3011, 4), 0, 0}};
  model.namespaces[0].entries[3].key = "small too";
  return model;
}

Model header_options() {
  Model model = named(std::string(64, 'v'));
  model.header.created_unix_ms = -1;
  model.header.max_namespaces = 3;
  model.header.max_bytes = UINT64_MAX;
  model.add("n");
  return model;
}

// Announced is what there was; what had expired is left out.
Model announced_more() {
  Model model = named();
  model.add("n").entries = {{"k", "value", 5, 0}, {"l", "", 6, 0}};
  model.announce();
  model.namespaces[0].info.entry_count = 5;
  model.namespaces[0].info.value_bytes = 50;
  return model;
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text = "\"";
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      text += i + j > bytes.size() ? '=' : digits[group >> (18 - 6 * j) & 63];
    }
  }
  return text + '"';
}

// "name": value, each on a line of its own.
class Fields {
 public:
  explicit Fields(std::string indent) : indent_(std::move(indent)) {}
  template <typename Number>
  Fields& number(std::string_view name, Number value) {
    return raw(name, std::to_string(value));
  }
  Fields& text(std::string_view name, std::string_view value) { return raw(name, base64(value)); }
  Fields& raw(std::string_view name, const std::string& value) {
    fields_ += fields_.empty() ? "\n" : ",\n";
    fields_.append(indent_).append("  \"").append(name).append("\": ").append(value);
    return *this;
  }
  std::string object() const { return "{" + fields_ + "\n" + indent_ + "}"; }

 private:
  const std::string indent_;
  std::string fields_;
};

std::string array_of(const std::vector<std::string>& elements, const std::string& indent) {
  if (elements.empty()) return "[]";
  std::string text = "[";
  for (size_t i = 0; i < elements.size(); ++i) {
    text.append(i == 0 ? "\n" : ",\n").append(indent).append("  ").append(elements[i]);
  }
  return text + "\n" + indent + "]";
}

std::string json_of(const ModelNamespace& ns) {
  const SnapshotNamespace& info = ns.info;
  const std::string indent = "    ";
  Fields fields(indent);
  fields.text("name", info.name)
      .number("max_keys", info.max_keys)
      .number("max_value_size", info.max_value_size)
      .number("max_bytes", info.max_bytes)
      .number("max_key_size", info.max_key_size)
      .number("shard_count", info.shard_count)
      .number("shards_in_use", info.shards_in_use)
      .number("lock_timeout_ms", info.lock_timeout_ms);
  if (info.autosave) {
    fields.raw("autosave", Fields(indent + "  ")
                               .number("interval_ms", info.autosave->interval_ms)
                               .number("changes", info.autosave->changes)
                               .text("pattern", info.autosave->pattern)
                               .object());
  } else {
    fields.raw("autosave", "null");
  }
  fields.number("entry_count", info.entry_count)
      .number("value_bytes", info.value_bytes)
      .number("last_version", info.last_version);
  std::vector<std::string> entries;
  for (const ModelEntry& e : ns.entries) {
    entries.push_back("[" + base64(e.key) + ", " + base64(e.value) + ", " +
                      std::to_string(e.version) + ", " + std::to_string(e.expires_at_ms) + "]");
  }
  return fields.raw("entries", array_of(entries, indent + "  ")).object();
}

}  // namespace

std::vector<Golden> all_golden() {
  std::vector<Golden> all;
  all.push_back({"empty_store", named()});
  Model empty_namespace = named();
  empty_namespace.add("empty");
  all.push_back({"empty_namespace", empty_namespace});
  all.push_back({"many_namespaces", many_namespaces()});
  all.push_back({"binary", binary()});
  Model empty_bytes = named();
  empty_bytes.add("both").entries = {{"", "", 0, 0}};
  empty_bytes.add("each").entries = {{"", "value", 0, 0}, {"key", "", 0, 0}};
  empty_bytes.add("values alone").entries = {{"a", "", 0, 0}, {"b", "", 0, 0}, {"c", "", 0, 0}};
  all.push_back({"empty_key_and_value", empty_bytes});
  all.push_back({"versions", versions()});
  all.push_back({"expiries", expiries()});
  all.push_back({"limits", limits()});
  all.push_back({"chunks", chunks(), 1024});
  all.push_back({"large_entries", large_entries(), 1024});
  all.push_back({"header_options", header_options()});
  for (Golden& golden : all) golden.model.announce();
  all.push_back({"announced_more", announced_more()});
  all.back().model.header.namespace_count = 1;
  return all;
}

std::string json_of(const Model& model) {
  std::vector<std::string> namespaces;
  for (const ModelNamespace& ns : model.namespaces) namespaces.push_back(json_of(ns));
  return Fields("")
             .number("format_version", internal::kSnapshotFormatVersion)
             .number("created_unix_ms", model.header.created_unix_ms)
             .text("library_version", model.header.library_version)
             .number("max_namespaces", model.header.max_namespaces)
             .number("max_bytes", model.header.max_bytes)
             .raw("namespaces", array_of(namespaces, "  "))
             .object() +
         "\n";
}

}  // namespace rkvs::testing
