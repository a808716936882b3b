// rkvs get: one value.
#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/base64.h"
#include "cli/commands.h"
#include "cli/json_lines.h"
#include "cli/output.h"
#include "cli/snapshot_file.h"

namespace rkvs::cli {
namespace {

using internal::make_error;
using internal::SnapshotEntry;
using internal::SnapshotEvent;

struct Options {
  std::string snapshot;
  std::string ns;
  std::string key;
  bool key_is_base64 = false;
  bool json = false;
};

// The entry out of a file that has been read, and found whole, to its end.
Result<JsonEntry> find(const Options& options, const std::string& key) {
  auto opened = SnapshotFile::open(options.snapshot, "get");
  if (!opened.ok()) return opened.status();
  SnapshotFile& file = **opened;
  std::optional<JsonEntry> found;
  bool has_namespace = false;
  bool wanted = false;
  for (;;) {
    const auto event = file.next();
    if (!event.ok()) return event.status();
    if (*event == SnapshotEvent::kEnd) break;
    if (*event == SnapshotEvent::kNamespace) {
      wanted = file.current().name == options.ns;
      has_namespace |= wanted;
      continue;
    }
    for (size_t i = 0; wanted && i < file.chunk().size(); ++i) {
      const SnapshotEntry entry = file.chunk().entry(i);
      if (entry.key != key) continue;
      if (found.has_value()) {
        return make_error(StatusCode::kSnapshotCorrupt, "snapshot \"", options.snapshot,
                          "\": the key stands in it twice");
      }
      found = JsonEntry{std::string(entry.key), std::string(entry.value), entry.version,
                        entry.expires_at_ms};
    }
  }
  if (found.has_value()) return *std::move(found);
  if (!has_namespace) {
    return make_error(StatusCode::kNamespaceNotFound, "\"", options.snapshot,
                      "\" holds no namespace \"", options.ns, "\"");
  }
  return make_error(StatusCode::kNotFound, "namespace \"", options.ns, "\" holds no such key");
}

ExitCode get(const Options& options) {
  std::string key = options.key;
  if (options.key_is_base64 && !decode_base64(options.key, key)) {
    return report_usage("the key is not base64");
  }
  const auto entry = find(options, key);
  if (!entry.ok()) return report(entry.status());
  if (!options.json) return report(print(entry->value));
  std::string line;
  append_json_line(line, entry->view());
  return report(print(line));
}

}  // namespace

void add_get(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "get", "Print the value of one key",
      "The value's bytes come out as they are, nothing added. The whole file is read and checked\n"
      "first. An entry that has expired meanwhile is found like any other.",
      "  rkvs get store.rkvs --namespace users user:1\n"
      "  rkvs get store.rkvs --namespace users --json user:1\n"
      "  rkvs get store.rkvs --namespace blobs --key-base64 AP8= > blob\n"
      "  rkvs get store.rkvs --namespace users -- --a-key-that-looks-like-an-option\n");
  command->add_option("SNAPSHOT", options->snapshot, "The snapshot to read")->required();
  command->add_option("KEY", options->key, "The key")->required();
  command->add_option("-n,--namespace", options->ns, "The namespace that holds the key")
      ->required();
  command->add_flag("--key-base64", options->key_is_base64, "KEY is base64: for keys of any bytes");
  command->add_flag("--json", options->json, "Print the entry as a line of `rkvs export`");
  command->callback([&action, options] { action = [options] { return get(*options); }; });
}

}  // namespace rkvs::cli
