// rkvs export and rkvs dump: entries as JSON lines.
#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/json_lines.h"
#include "cli/output.h"
#include "cli/snapshot_file.h"

namespace rkvs::cli {
namespace {

using internal::make_error;
using internal::SnapshotEvent;

struct Options {
  std::string snapshot;
  std::optional<std::string> ns;  // of export; dump writes all
  std::string output;             // empty = standard output
};

Status write_lines(const Options& options) {
  const bool to_file = !options.output.empty() && options.output != "-";
  if (to_file && is_same_file(options.snapshot, options.output)) {
    return make_error(StatusCode::kInvalidArgument, "the output \"", options.output,
                      "\" is the snapshot itself");
  }
  auto opened = SnapshotFile::open(options.snapshot, options.ns ? "export" : "dump");
  if (!opened.ok()) return opened.status();
  SnapshotFile& file = **opened;
  std::unique_ptr<Output> output;
  if (to_file) {
    auto created = file_output(options.output);
    if (!created.ok()) return created.status();
    output = *std::move(created);
  } else {
    output = standard_output();
  }

  bool wanted = false;
  bool found = false;
  std::string line;
  for (;;) {
    const auto event = file.next();
    if (!event.ok()) {
      // What came before the damage was read rightly; a file is not left with half of it.
      if (!to_file) static_cast<void>(output->finish());
      return event.status();
    }
    if (*event == SnapshotEvent::kEnd) break;
    if (*event == SnapshotEvent::kNamespace) {
      wanted = !options.ns || *options.ns == file.current().name;
      found |= wanted;
      continue;
    }
    if (!wanted) continue;
    std::optional<std::string_view> shown_name;
    if (!options.ns) shown_name = file.current().name;
    for (size_t i = 0; i < file.chunk().size(); ++i) {
      line.clear();
      append_json_line(line, file.chunk().entry(i), shown_name);
      if (Status s = output->append(line); !s.ok()) return s;
    }
  }
  if (!found && options.ns) {
    return make_error(StatusCode::kNamespaceNotFound, "\"", options.snapshot,
                      "\" holds no namespace \"", *options.ns, "\"");
  }
  return output->finish();
}

void add_common_options(CLI::App* command, Action& action,
                        const std::shared_ptr<Options>& options) {
  command->add_option("SNAPSHOT", options->snapshot, "The snapshot to read")->required();
  command->add_option("-o,--output", options->output,
                      "Write to this file instead of standard output; it appears, or is replaced, "
                      "only when everything has been written");
  command->callback(
      [&action, options] { action = [options] { return report(write_lines(*options)); }; });
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "export", "Write the entries of a namespace as JSON lines",
      "Each entry becomes one line, such as\n\n"
      "  {\"key\":\"user:1\",\"value\":\"ada\",\"version\":3,\"expires_at\":1893456000000}\n\n"
      "Keys and values that are not UTF-8 stand as \"key_base64\" and \"value_base64\" instead.\n"
      "\"version\" and \"expires_at\" (Unix milliseconds) are left out where they are 0. Entries "
      "that\nhave expired meanwhile are written like all others. `rkvs import` reads these "
      "lines.\n\n"
      "The file is written as it is read. Where it is damaged, lines up to the damage may be out\n"
      "already: the exit code tells.",
      "  rkvs export store.rkvs --namespace users > users.jsonl\n"
      "  rkvs export store.rkvs --namespace users | jq -r .key | sort\n");
  command
      ->add_option_function<std::string>(
          "-n,--namespace", [options](const std::string& name) { options->ns = name; },
          "The namespace to write")
      ->required();
  add_common_options(command, action, options);
}

void add_dump(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "dump", "Write the entries of all namespaces as JSON lines",
      "The lines are those of `rkvs export` with a field \"namespace\" in front. Namespaces "
      "without\n"
      "entries do not appear; `rkvs info --json` shows them, and the configuration of all.",
      "  rkvs dump store.rkvs | grep '\"session:'\n"
      "  rkvs dump store.rkvs | jq -r .namespace | uniq -c\n"
      "  diff <(rkvs dump monday.rkvs | sort) <(rkvs dump tuesday.rkvs | sort)\n");
  add_common_options(command, action, options);
}

}  // namespace rkvs::cli
