// rkvs info: what a snapshot holds.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/output.h"
#include "cli/snapshot_file.h"
#include "cli/text.h"

namespace rkvs::cli {
namespace {

using internal::SnapshotEvent;
using internal::SnapshotHeader;
using internal::SnapshotNamespace;
using internal::SnapshotTotals;

struct Options {
  std::string snapshot;
  bool json = false;
};

struct Contents {
  SnapshotHeader header;
  uint64_t file_size = 0;
  std::vector<SnapshotNamespace> namespaces;
  std::vector<SnapshotTotals> totals;  // of each
};

Result<Contents> read_contents(const std::string& path) {
  auto file = SnapshotFile::open(path, "info");
  if (!file.ok()) return file.status();
  Contents contents;
  for (;;) {
    const auto event = (*file)->next();
    if (!event.ok()) return event.status();
    if (*event == SnapshotEvent::kNamespace) contents.namespaces.push_back((*file)->current());
    if (*event == SnapshotEvent::kEnd) break;
  }
  contents.header = (*file)->reader().header();
  contents.file_size = (*file)->reader().file_size();
  contents.totals = (*file)->reader().totals();
  return contents;
}

Json json_of_contents(const std::string& path, const Contents& contents) {
  Json namespaces = Json::array();
  for (size_t i = 0; i < contents.namespaces.size(); ++i) {
    const SnapshotNamespace& info = contents.namespaces[i];
    Json json = {{"name", info.name}};
    json.update(json_of(contents.totals[i]));
    json.update({{"last_version", info.last_version},
                 {"max_keys", info.max_keys},
                 {"max_key_size", info.max_key_size},
                 {"max_value_size", info.max_value_size},
                 {"max_bytes", info.max_bytes},
                 {"shard_count", info.shard_count},
                 {"shards_in_use", info.shards_in_use},
                 {"lock_timeout_ms", info.lock_timeout_ms},
                 {"autosave", nullptr}});
    if (info.autosave) {
      json["autosave"] = {{"interval_ms", info.autosave->interval_ms},
                          {"changes", info.autosave->changes},
                          {"pattern", info.autosave->pattern}};
    }
    namespaces.push_back(std::move(json));
  }
  return {{"file", path},
          {"file_size", contents.file_size},
          {"format_version", internal::kSnapshotFormatVersion},
          {"library_version", contents.header.library_version},
          {"created", iso_time(contents.header.created_unix_ms)},
          {"created_unix_ms", contents.header.created_unix_ms},
          {"max_namespaces", contents.header.max_namespaces},
          {"max_bytes", contents.header.max_bytes},
          {"totals", json_of(sum_of(contents.totals))},
          {"namespaces", std::move(namespaces)}};
}

std::string limit(uint64_t value) { return value == 0 ? "none" : grouped(value); }

std::string bytes(uint64_t value) {
  return value < 1024 ? grouped(value) + " B" : grouped(value) + " B (" + human_size(value) + ")";
}

std::string size_limit(uint64_t value) { return value == 0 ? "none" : bytes(value); }

void append_row(std::string& text, size_t indent, const std::string& name,
                const std::string& value) {
  constexpr size_t kNameWidth = 18;
  text.append(indent, ' ').append(name);
  text.append(name.size() < kNameWidth ? kNameWidth - name.size() : 1, ' ');
  text.append(value).append(1, '\n');
}

std::string text_of(const SnapshotNamespace& info, const SnapshotTotals& totals) {
  std::string text = "\nnamespace \"" + printable(info.name) + "\"\n";
  append_row(text, 2, "entries", grouped(totals.entries));
  append_row(text, 2, "keys", bytes(totals.key_bytes));
  append_row(text, 2, "values", bytes(totals.value_bytes));
  append_row(text, 2, "last version", grouped(info.last_version));
  append_row(text, 2, "max keys", limit(info.max_keys));
  append_row(text, 2, "max key size", size_limit(info.max_key_size));
  append_row(text, 2, "max value size", size_limit(info.max_value_size));
  append_row(text, 2, "max bytes", size_limit(info.max_bytes));
  append_row(text, 2, "shards",
             (info.shard_count == 0 ? "automatic" : grouped(info.shard_count)) +
                 (info.shards_in_use == 0 ? "" : ", " + grouped(info.shards_in_use) + " in use"));
  append_row(text, 2, "lock timeout", grouped(info.lock_timeout_ms) + " ms");
  std::string autosave = "none";
  if (info.autosave) {
    autosave = "to \"" + printable(info.autosave->pattern) + "\"";
    if (info.autosave->interval_ms != 0) {
      autosave += ", every " + grouped(info.autosave->interval_ms) + " ms";
    }
    if (info.autosave->changes != 0) {
      autosave += ", after " + grouped(info.autosave->changes) + " changes";
    }
  }
  append_row(text, 2, "autosave", autosave);
  return text;
}

std::string text_of(const std::string& path, const Contents& contents) {
  const SnapshotTotals sum = sum_of(contents.totals);
  std::string text = "snapshot \"" + printable(path) + "\"\n";
  append_row(text, 2, "file size", bytes(contents.file_size));
  append_row(text, 2, "format version", std::to_string(internal::kSnapshotFormatVersion));
  append_row(text, 2, "written by", "rkvs " + printable(contents.header.library_version));
  append_row(text, 2, "created", iso_time(contents.header.created_unix_ms));
  append_row(text, 2, "max namespaces", limit(contents.header.max_namespaces));
  append_row(text, 2, "max bytes", size_limit(contents.header.max_bytes));
  append_row(text, 2, "namespaces", grouped(contents.namespaces.size()));
  append_row(text, 2, "entries", grouped(sum.entries));
  append_row(text, 2, "keys", bytes(sum.key_bytes));
  append_row(text, 2, "values", bytes(sum.value_bytes));
  for (size_t i = 0; i < contents.namespaces.size(); ++i) {
    text += text_of(contents.namespaces[i], contents.totals[i]);
  }
  return text;
}

ExitCode info(const Options& options) {
  const auto contents = read_contents(options.snapshot);
  if (!contents.ok()) return report(contents.status());
  return report(options.json ? print_json(json_of_contents(options.snapshot, *contents))
                             : print(text_of(options.snapshot, *contents)));
}

}  // namespace

void add_info(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "info", "Show what a snapshot holds",
      "Prints the file's header, and for each namespace its limits, how many entries and bytes it\n"
      "holds, and its autosave. The whole file is read and its checksums are checked on the way.\n"
      "A limit of 0 (in JSON) or none is no limit.",
      "  rkvs info store.rkvs\n"
      "  rkvs info --json store.rkvs | jq '.namespaces[] | {name, entries}'\n");
  command->add_option("SNAPSHOT", options->snapshot, "The snapshot to read")->required();
  command->add_flag("--json", options->json, "Print JSON instead of text");
  command->callback([&action, options] { action = [options] { return info(*options); }; });
}

}  // namespace rkvs::cli
