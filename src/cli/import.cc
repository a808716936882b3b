// rkvs import: JSON lines into a snapshot.
#include <rkvs/version.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/entry_spool.h"
#include "cli/input.h"
#include "cli/json_lines.h"
#include "cli/json_output.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "snapshot/writer.h"
#include "store/namespace_impl.h"

namespace rkvs::cli {
namespace {

using internal::concat;
using internal::make_error;
using internal::SnapshotNamespace;

struct Options {
  std::string input;
  std::string snapshot;
  SnapshotNamespace info;  // name and limits
  bool json = false;
};

// The input is at fault, at the reader's line.
Status bad_line(const LineReader& reader, std::string_view what) {
  return make_error(StatusCode::kSnapshotCorrupt, reader.name(), ", line ", reader.line_number(),
                    ": ", what);
}

Status check_limits(const SnapshotNamespace& info, const JsonEntry& entry) {
  if (entry.key.size() > info.max_key_size) {
    return make_error(StatusCode::kKeyTooLarge, "the key has ", entry.key.size(),
                      " bytes; the limit is ", info.max_key_size, " (--max-key-size)");
  }
  if (info.max_value_size != 0 && entry.value.size() > info.max_value_size) {
    return make_error(StatusCode::kValueTooLarge, "the value has ", entry.value.size(),
                      " bytes; the limit is ", info.max_value_size, " (--max-value-size)");
  }
  return {};
}

Status read_lines(LineReader& reader, const SnapshotNamespace& info, EntrySpool& spool) {
  Progress progress("import", reader.size());
  JsonEntry entry;
  for (;;) {
    const auto line = reader.next();
    if (!line.ok()) {
      const bool too_long = line.code() == StatusCode::kInvalidArgument;
      return too_long ? bad_line(reader, line.status().message()) : line.status();
    }
    if (!line->has_value()) return {};
    if (Status s = progress.step(reader.offset()); !s.ok()) return s;
    if (is_blank_line(**line)) continue;
    Status good = parse_json_line(**line, entry);
    if (good.ok()) good = check_limits(info, entry);
    if (!good.ok()) return bad_line(reader, good.message());
    if (Status s = spool.add(entry.view()); !s.ok()) return s;
    if (info.max_keys != 0 && spool.totals().entries > info.max_keys) {
      return bad_line(reader,
                      concat("more keys than the limit of ", info.max_keys, " (--max-keys)"));
    }
  }
}

Status write_snapshot(const Options& options, EntrySpool& spool) {
  auto output = file_output(options.snapshot);
  if (!output.ok()) return output.status();
  internal::SnapshotHeader header;
  header.created_unix_ms = unix_ms_now();
  header.library_version = RKVS_VERSION_STRING;
  header.namespace_count = 1;
  SnapshotNamespace info = options.info;
  info.entry_count = spool.totals().entries;
  info.value_bytes = spool.totals().value_bytes;
  info.last_version = spool.last_version();
  internal::SnapshotWriter writer(**output);
  if (Status s = writer.begin(header); !s.ok()) return s;
  if (Status s = writer.begin_namespace(info); !s.ok()) return s;
  Progress progress("write", spool.size());
  if (Status s = spool.write_to(writer, progress); !s.ok()) return s;
  if (Status s = writer.end_namespace(); !s.ok()) return s;
  if (Status s = writer.finish(); !s.ok()) return s;
  return (*output)->finish();
}

Status print_summary(const Options& options, const LineReader& reader, const EntrySpool& spool) {
  const internal::SnapshotTotals& totals = spool.totals();
  if (options.json) {
    Json json = {{"file", options.snapshot}, {"namespace", options.info.name}};
    json.update(json_of(totals));
    json.update({{"lines", reader.line_number() - 1}, {"superseded_lines", spool.duplicates()}});
    return print_json(json);
  }
  std::string text =
      concat(printable(options.snapshot), ": ", counted(totals.entries, "entry", "entries"),
             " in namespace \"", printable(options.info.name), "\"");
  if (spool.duplicates() != 0) {
    text += concat("; ", counted(spool.duplicates(), "line", "lines"), " superseded by later ones");
  }
  return print(text + "\n");
}

ExitCode import(const Options& options) {
  if (Status s = internal::validate_namespace_name(options.info.name); !s.ok()) return report(s);
  // What can be known to fail beforehand should not fail after an hour.
  if (const auto output = file_output(options.snapshot); !output.ok()) {
    return report(output.status());
  }
  const auto reader = LineReader::open(options.input, kMaxJsonLineSize);
  if (!reader.ok()) return report(reader.status());
  if (options.input != "-" && is_same_file(options.input, options.snapshot)) {
    return report_usage("input and snapshot are the same file");
  }
  const auto spool = EntrySpool::create(directory_of(options.snapshot), DuplicateRule::kLast);
  if (!spool.ok()) return report(spool.status());
  if (Status s = read_lines(**reader, options.info, **spool); !s.ok()) return report(s);
  if (Status s = write_snapshot(options, **spool); !s.ok()) return report(s);
  return report(print_summary(options, **reader, **spool));
}

void add_limit_options(CLI::App* command, SnapshotNamespace& info) {
  const auto within = [](uint64_t low, uint64_t high) {
    return CLI::Range(low, high, concat(low, " to ", high));
  };
  command
      ->add_option("--max-keys", info.max_keys, "Limit of the namespace: keys; 0 = none (default)")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--max-key-size", info.max_key_size,
                   "Limit of the namespace: bytes of a key (default 65536)")
      ->check(within(1, internal::kMaxSnapshotKeySize));
  command
      ->add_option("--max-value-size", info.max_value_size,
                   "Limit of the namespace: bytes of a value; 0 = none (default)")
      ->check(within(0, internal::kMaxSnapshotValueSize));
  command
      ->add_option("--shard-count", info.shard_count,
                   "Shards of the namespace; 0 = automatic (default)")
      ->check(within(0, kMaxShardCount));
  command
      ->add_option("--lock-timeout-ms", info.lock_timeout_ms,
                   "Lock timeout of the namespace in milliseconds (default 500)")
      ->check(within(kMinLockTimeout.count(), kMaxLockTimeout.count()));
}

}  // namespace

void add_import(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "import", "Make a snapshot out of JSON lines",
      "Reads lines as `rkvs export` writes them, and writes a snapshot that holds one namespace "
      "of\n"
      "them. Fields: \"key\" or \"key_base64\", \"value\" or \"value_base64\", and if wanted "
      "\"version\" (0 to\n2^62) and \"expires_at\" (Unix milliseconds, 0 = never), each once and "
      "no "
      "others. Empty lines\nare skipped.\n\n"
      "Where a key comes more than once, the last line wins. A bad line is an error that names "
      "the\n"
      "line's number, and then nothing is written. The snapshot appears, or replaces the file "
      "that\n"
      "has its name, in one step at the end: it is never half there. No older file is kept.\n\n"
      "Entries are held in a nameless temporary file in the snapshot's directory, which needs "
      "room\n"
      "for them twice; memory grows by 28 to 58 bytes a key.",
      "  rkvs import users.jsonl --namespace users --to users.rkvs\n"
      "  jq -c '{key: .id, value: .name}' users.json | rkvs import - --namespace users --to "
      "users.rkvs\n");
  command->add_option("IN.jsonl", options->input, "The lines; - is standard input")->required();
  command->add_option("-n,--namespace", options->info.name, "The namespace to make")->required();
  command->add_option("-t,--to", options->snapshot, "The snapshot to write")->required();
  add_limit_options(command, options->info);
  command->add_flag("--json", options->json, "Print the summary as JSON");
  command->callback([&action, options] { action = [options] { return import(*options); }; });
}

}  // namespace rkvs::cli
