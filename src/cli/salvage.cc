// rkvs salvage: what is left of a damaged snapshot.
#include <rkvs/version.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/entry_spool.h"
#include "cli/json_output.h"
#include "cli/output.h"
#include "cli/salvage_plan.h"
#include "cli/salvage_scan.h"
#include "cli/text.h"
#include "snapshot/writer.h"

namespace rkvs::cli {
namespace {

using internal::concat;
using internal::make_error;
using internal::SnapshotNamespace;
using internal::SnapshotTotals;

// Stretches that the report lists.
constexpr size_t kMostStretchesShown = 20;

struct Options {
  std::string damaged;
  std::string snapshot;
  bool json = false;
};

// What became of one namespace.
struct Outcome {
  std::string name;
  bool name_lost = false;
  SnapshotTotals totals;
  uint64_t duplicates = 0;
  // Entries that were in the file and are not in the new one: exact, or at most so many, or
  // unknown.
  std::optional<uint64_t> lost;
  bool lost_is_exact = false;
};

struct Salvage {
  ScanReport scan;
  SalvagePlan plan;
  std::vector<Outcome> outcomes;
  std::optional<uint64_t> namespaces_lost;  // with nothing left of them

  bool complete() const {
    return scan.damaged.empty() && scan.frames_lost == 0 && scan.footer_found;
  }
};

Status find_frames(const internal::ByteSource& source, Salvage& salvage) {
  Progress progress("scan", source.size());
  SalvagePlan& plan = salvage.plan;
  auto scan = scan_frames(
      source,
      [&plan](const FoundFrame& frame, std::string_view payload) {
        return plan.take(frame, payload);
      },
      progress);
  if (!scan.ok()) return scan.status();
  salvage.scan = *std::move(scan);
  if (plan.unknown_version() != 0) {
    return make_error(StatusCode::kSnapshotVersion, "\"", source.name(), "\": format version ",
                      plan.unknown_version(), "; this version of rkvs reads version ",
                      internal::kSnapshotFormatVersion);
  }
  const bool is_empty_snapshot = salvage.complete() && plan.namespaces().empty();
  if (plan.namespaces().empty() && !is_empty_snapshot) {
    return make_error(StatusCode::kSnapshotCorrupt, "\"", source.name(),
                      "\": no namespace and no entry can be saved");
  }
  std::optional<uint64_t> namespaces;
  if (plan.footer().has_value()) {
    namespaces = plan.footer()->totals.size();
  } else if (plan.header().has_value()) {
    namespaces = plan.header()->namespace_count;
  }
  if (namespaces.has_value() && *namespaces >= plan.namespaces().size()) {
    salvage.namespaces_lost = *namespaces - plan.namespaces().size();
  }
  return {};
}

// A name for a namespace whose own is lost, taken by none of the others.
std::string name_for(const SalvagedNamespace& ns, std::unordered_set<std::string>& names) {
  std::string name = concat("recovered-namespace-", ns.index.value_or(0));
  while (!names.insert(name).second) name += "-x";
  return name;
}

Status spool_entries(const internal::ByteSource& source, const SalvagedNamespace& ns,
                     EntrySpool& spool) {
  PayloadBuffer buffer;
  for (const FoundFrame& frame : ns.chunks) {
    const auto payload = read_payload(source, frame, buffer);
    if (!payload.ok()) return payload.status();
    const auto chunk = decode_chunk(*payload);
    if (!chunk.has_value()) {
      return make_error(StatusCode::kIo, "\"", source.name(), "\" has changed meanwhile");
    }
    for (size_t i = 0; i < chunk->size(); ++i) {
      if (Status s = spool.add(chunk->entry(i)); !s.ok()) return s;
    }
  }
  return {};
}

Outcome outcome_of(const SalvagedNamespace& ns, const EntrySpool& spool, const Salvage& salvage) {
  Outcome outcome;
  outcome.name_lost = !ns.info.has_value();
  outcome.totals = spool.totals();
  outcome.duplicates = spool.duplicates();
  const uint64_t read = spool.totals().entries + spool.duplicates();
  const auto& footer = salvage.plan.footer();
  if (salvage.complete()) {
    outcome.lost = 0;
    outcome.lost_is_exact = true;
  } else if (footer.has_value() && ns.index.has_value() && *ns.index < footer->totals.size()) {
    const uint64_t entries = footer->totals[*ns.index].entries;
    outcome.lost = entries - std::min(entries, read);
    outcome.lost_is_exact = entries >= read;
  } else if (ns.info.has_value()) {
    outcome.lost = ns.info->entry_count - std::min(ns.info->entry_count, read);
  }
  return outcome;
}

Status write_namespace(const internal::ByteSource& source, const std::string& directory,
                       const SalvagedNamespace& ns, std::unordered_set<std::string>& names,
                       internal::SnapshotWriter& writer, Salvage& salvage) {
  const auto spool = EntrySpool::create(directory, DuplicateRule::kHighestVersion);
  if (!spool.ok()) return spool.status();
  if (Status s = spool_entries(source, ns, **spool); !s.ok()) return s;
  Outcome outcome = outcome_of(ns, **spool, salvage);
  SnapshotNamespace info;
  // Nobody knows the limits of a namespace whose frame is lost: none that its entries might break.
  info.max_key_size = internal::kMaxSnapshotKeySize;
  if (ns.info.has_value()) info = *ns.info;
  if (!ns.info.has_value()) info.name = name_for(ns, names);
  info.entry_count = (*spool)->totals().entries;
  info.value_bytes = (*spool)->totals().value_bytes;
  info.last_version = std::max(info.last_version, (*spool)->last_version());
  outcome.name = info.name;
  salvage.outcomes.push_back(std::move(outcome));
  if (Status s = writer.begin_namespace(info); !s.ok()) return s;
  Progress progress("write", (*spool)->size());
  if (Status s = (*spool)->write_to(writer, progress); !s.ok()) return s;
  return writer.end_namespace();
}

Status write_snapshot(const internal::ByteSource& source, const Options& options,
                      Salvage& salvage) {
  auto output = file_output(options.snapshot);
  if (!output.ok()) return output.status();
  std::unordered_set<std::string> names;
  for (const SalvagedNamespace& ns : salvage.plan.namespaces()) {
    if (ns.info.has_value()) names.insert(ns.info->name);
  }
  internal::SnapshotHeader header;
  header.created_unix_ms = unix_ms_now();
  if (salvage.plan.header().has_value()) header = *salvage.plan.header();
  header.library_version = RKVS_VERSION_STRING;
  header.namespace_count = salvage.plan.namespaces().size();
  internal::SnapshotWriter writer(**output);
  if (Status s = writer.begin(header); !s.ok()) return s;
  const std::string directory = directory_of(options.snapshot);
  for (const SalvagedNamespace& ns : salvage.plan.namespaces()) {
    Status s = write_namespace(source, directory, ns, names, writer, salvage);
    if (!s.ok()) return s;
  }
  if (Status s = writer.finish(); !s.ok()) return s;
  return (*output)->finish();
}

// --- The report ----------------------------------------------------------------------------------

uint64_t damaged_bytes(const ScanReport& scan) {
  uint64_t sum = 0;
  for (const DamagedStretch& stretch : scan.damaged) sum += stretch.size;
  return sum;
}

SnapshotTotals totals_of(const std::vector<Outcome>& outcomes) {
  std::vector<SnapshotTotals> totals;
  totals.reserve(outcomes.size());
  for (const Outcome& outcome : outcomes) totals.push_back(outcome.totals);
  return sum_of(totals);
}

template <typename T>
Json json_or_null(const std::optional<T>& value) {
  return value.has_value() ? Json(*value) : Json();
}

Status print_report_json(const Options& options, const Salvage& salvage) {
  const ScanReport& scan = salvage.scan;
  Json namespaces = Json::array();
  for (const Outcome& outcome : salvage.outcomes) {
    Json json = {{"name", outcome.name}, {"name_lost", outcome.name_lost}};
    json.update(json_of(outcome.totals));
    json.update({{"lost_entries", json_or_null(outcome.lost)},
                 {"lost_entries_exact", outcome.lost_is_exact},
                 {"duplicates_dropped", outcome.duplicates}});
    namespaces.push_back(std::move(json));
  }
  Json stretches = Json::array();
  for (size_t i = 0; i < std::min(scan.damaged.size(), kMostStretchesShown); ++i) {
    stretches.push_back({{"offset", scan.damaged[i].offset}, {"size", scan.damaged[i].size}});
  }
  return print_json({{"file", options.damaged},
                     {"saved_to", options.snapshot},
                     {"complete", salvage.complete()},
                     {"frames_found", scan.frames_found},
                     {"frames_lost", scan.frames_lost},
                     {"end_found", scan.footer_found},
                     {"gave_up", scan.gave_up},
                     {"header_lost", !salvage.plan.header().has_value()},
                     {"namespaces_lost", json_or_null(salvage.namespaces_lost)},
                     {"damaged_bytes", damaged_bytes(scan)},
                     {"damaged_stretches", scan.damaged.size()},
                     {"damaged", std::move(stretches)},
                     {"totals", json_of(totals_of(salvage.outcomes))},
                     {"namespaces", std::move(namespaces)}});
}

std::string text_of(const Outcome& outcome) {
  std::string text =
      concat("  namespace \"", printable(outcome.name),
             "\": ", counted(outcome.totals.entries, "entry", "entries"), " saved, ");
  if (!outcome.lost.has_value()) {
    text += "an unknown number lost";
  } else {
    text += concat(outcome.lost_is_exact || *outcome.lost == 0 ? "" : "at most ",
                   grouped(*outcome.lost), " lost");
  }
  if (outcome.name_lost) text += "; its name and limits are lost";
  if (outcome.duplicates != 0) {
    text += concat("; ", counted(outcome.duplicates, "older entry", "older entries"),
                   " of keys that came twice dropped");
  }
  return text + "\n";
}

std::string report_text(const Options& options, const Salvage& salvage) {
  const ScanReport& scan = salvage.scan;
  std::string text =
      concat(printable(options.snapshot), ": ",
             counted(salvage.outcomes.size(), "namespace", "namespaces"), ", ",
             counted(totals_of(salvage.outcomes).entries, "entry", "entries"), " saved from ",
             printable(options.damaged), salvage.complete() ? ", which is whole\n" : "\n");
  for (const Outcome& outcome : salvage.outcomes) text += text_of(outcome);
  if (salvage.complete()) return text;
  text += "lost:\n";
  if (scan.frames_lost != 0)
    text += concat("  ", counted(scan.frames_lost, "frame", "frames"), "\n");
  if (!scan.footer_found) text += "  the end of the file, with whatever it held\n";
  if (scan.gave_up) text += "  what follows too much that looks like frames and is none\n";
  if (!salvage.plan.header().has_value()) text += "  the header, with the store's limits\n";
  if (salvage.namespaces_lost.value_or(0) != 0) {
    text += concat("  ", counted(*salvage.namespaces_lost, "whole namespace", "whole namespaces"),
                   "\n");
  }
  for (size_t i = 0; i < std::min(scan.damaged.size(), kMostStretchesShown); ++i) {
    text += concat("  ", grouped(scan.damaged[i].size), " bytes at offset ",
                   grouped(scan.damaged[i].offset), "\n");
  }
  if (scan.damaged.size() > kMostStretchesShown) {
    text += concat(
        "  ", counted(scan.damaged.size() - kMostStretchesShown, "more stretch", "more stretches"),
        "\n");
  }
  return text;
}

ExitCode salvage(const Options& options) {
  if (is_same_file(options.damaged, options.snapshot)) {
    return report_usage("the damaged file itself is not to be replaced; salvage to another name");
  }
  const auto source = internal::ReadableFile::open(options.damaged);
  if (!source.ok()) return report(source.status());
  Salvage result;
  if (Status s = find_frames(**source, result); !s.ok()) return report(s);
  if (Status s = write_snapshot(**source, options, result); !s.ok()) return report(s);
  return report(options.json ? print_report_json(options, result)
                             : print(report_text(options, result)));
}

}  // namespace

void add_salvage(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "salvage", "Save what a damaged snapshot still holds",
      "Looks through a damaged or truncated file for frames whose checksums are right, writes a "
      "new\n"
      "snapshot of their entries, and reports what is lost. Nothing is guessed: an entry is saved\n"
      "as it was, in the namespace it belongs to, or not at all. Where a namespace's own frame is\n"
      "lost, its entries go to a namespace named recovered-namespace-N, without limits.\n\n"
      "A damaged file may hold a key twice. Then the entry with the highest version is saved; of\n"
      "equal versions, the last.\n\n"
      "The damaged file is left as it is. The exit code is 0 when the new snapshot has been "
      "written,\nwhatever is lost; the report tells. It is 2 when nothing can be saved; nothing is "
      "written then.\n"
      "Memory and disk are needed as for `rkvs import`.",
      "  rkvs salvage store.rkvs --to rescued.rkvs\n"
      "  rkvs salvage store.rkvs --to rescued.rkvs --json | jq .namespaces\n");
  command->add_option("DAMAGED", options->damaged, "The file to save from")->required();
  command->add_option("-t,--to", options->snapshot, "The snapshot to write")->required();
  command->add_flag("--json", options->json, "Print the report as JSON");
  command->callback([&action, options] { action = [options] { return salvage(*options); }; });
}

}  // namespace rkvs::cli
