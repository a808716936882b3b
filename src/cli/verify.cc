// rkvs verify: whether a snapshot is whole.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/unordered/unordered_flat_set.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/fingerprint.h"
#include "cli/json_output.h"
#include "cli/output.h"
#include "cli/snapshot_file.h"
#include "cli/text.h"

namespace rkvs::cli {
namespace {

using internal::concat;
using internal::SnapshotEntry;
using internal::SnapshotEvent;
using internal::SnapshotNamespace;
using internal::SnapshotTotals;

// A namespace full of one key must not fill the memory with complaints.
constexpr size_t kMostProblemsShown = 20;
constexpr size_t kShownKeySize = 64;

struct Options {
  std::string snapshot;
  bool json = false;
};

// What was found in one namespace.
struct Findings {
  std::string name;
  SnapshotTotals totals;
  uint64_t duplicates = 0;
  uint64_t expired = 0;            // at the time of the snapshot
  uint64_t over_max_key_size = 0;  // from before the limit was set: no damage
  uint64_t over_max_value_size = 0;
};

class Verifier {
 public:
  // The status is Ok, SnapshotCorrupt for problems found, or why nothing can be said.
  Status verify(const std::string& path) {
    auto opened = SnapshotFile::open(path, "verify");
    if (!opened.ok()) return damage(opened.status());
    SnapshotFile& file = **opened;
    for (;;) {
      const auto event = file.next();
      file_size_ = file.reader().file_size();
      if (!event.ok()) return damage(event.status());
      switch (*event) {
        case SnapshotEvent::kNamespace: begin(file); break;
        case SnapshotEvent::kChunk: check_chunk(file); break;
        case SnapshotEvent::kEnd:
          end_namespace();
          check_store(file.reader().header());
          return problem_count_ == 0 ? Status() : StatusCode::kSnapshotCorrupt;
      }
    }
  }

  const std::vector<Findings>& findings() const { return findings_; }
  // The first of them, in words, and how many there are.
  const std::vector<std::string>& problems() const { return problems_; }
  uint64_t problem_count() const { return problem_count_; }
  uint64_t file_size() const { return file_size_; }

 private:
  Status damage(const Status& status) {
    if (exit_code_of(status.code()) == ExitCode::kDamaged)
      add_problem(std::string(status.message()));
    return status;
  }

  void add_problem(std::string problem) {
    ++problem_count_;
    if (problems_.size() < kMostProblemsShown) problems_.push_back(std::move(problem));
  }

  void begin(const SnapshotFile& file) {
    end_namespace();
    info_ = file.current();
    findings_.emplace_back();
    findings_.back().name = info_.name;
    seen_.clear();
    seen_.reserve(std::min(info_.entry_count, kMostReserved));
  }

  void check_chunk(const SnapshotFile& file) {
    Findings& findings = findings_.back();
    const int64_t created = file.reader().header().created_unix_ms;
    for (size_t i = 0; i < file.chunk().size(); ++i) {
      const SnapshotEntry entry = file.chunk().entry(i);
      if (!seen_.insert(fingerprint_of_(entry.key)).second) {
        ++findings.duplicates;
        add_problem(concat("namespace \"", info_.name, "\": the key \"",
                           entry.key.substr(0, kShownKeySize),
                           entry.key.size() > kShownKeySize ? "...\" twice" : "\" twice"));
      }
      if (entry.expires_at_ms != 0 && entry.expires_at_ms <= created) ++findings.expired;
      if (entry.key.size() > info_.max_key_size) ++findings.over_max_key_size;
      if (info_.max_value_size != 0 && entry.value.size() > info_.max_value_size) {
        ++findings.over_max_value_size;
      }
    }
    findings.totals = file.reader().totals().back();
  }

  void end_namespace() {
    if (findings_.empty()) return;
    const SnapshotTotals& totals = findings_.back().totals;
    if (info_.max_keys != 0 && totals.entries > info_.max_keys) {
      add_problem(concat("namespace \"", info_.name, "\": ", totals.entries,
                         " entries; its own max_keys is ", info_.max_keys));
    }
    if (info_.max_value_size > internal::kMaxSnapshotValueSize) {
      add_problem(concat("namespace \"", info_.name, "\": max_value_size ", info_.max_value_size,
                         " is over ", internal::kMaxSnapshotValueSize));
    }
  }

  void check_store(const internal::SnapshotHeader& header) {
    if (header.max_namespaces != 0 && findings_.size() > header.max_namespaces) {
      add_problem(concat(findings_.size(), " namespaces; the store's own max_namespaces is ",
                         header.max_namespaces));
    }
  }

  // An announced count may be absurd: so much is believed beforehand.
  static constexpr uint64_t kMostReserved = uint64_t{1} << 20;

  const Fingerprinter fingerprint_of_;
  // Of the present namespace's keys: 16 bytes each, 19 to 39 with the table around them.
  boost::unordered_flat_set<Fingerprint, FingerprintHash> seen_;
  SnapshotNamespace info_;
  std::vector<Findings> findings_;
  std::vector<std::string> problems_;
  uint64_t problem_count_ = 0;
  uint64_t file_size_ = 0;
};

Status print_report_json(const std::string& path, const Verifier& verifier) {
  std::vector<SnapshotTotals> totals;
  Json namespaces = Json::array();
  for (const Findings& findings : verifier.findings()) {
    totals.push_back(findings.totals);
    Json json = {{"name", findings.name}};
    json.update(json_of(findings.totals));
    json.update({{"duplicate_keys", findings.duplicates},
                 {"expired_entries", findings.expired},
                 {"over_max_key_size", findings.over_max_key_size},
                 {"over_max_value_size", findings.over_max_value_size}});
    namespaces.push_back(std::move(json));
  }
  return print_json({{"file", path},
                     {"file_size", verifier.file_size()},
                     {"valid", verifier.problem_count() == 0},
                     {"problem_count", verifier.problem_count()},
                     {"problems", verifier.problems()},
                     {"totals", json_of(sum_of(totals))},
                     {"namespaces", std::move(namespaces)}});
}

Status print_report(const std::string& path, const Verifier& verifier) {
  std::vector<SnapshotTotals> totals;
  std::string notes;
  for (const Findings& findings : verifier.findings()) {
    totals.push_back(findings.totals);
    const auto note = [&](uint64_t count, const char* one, const char* many, const char* what) {
      if (count == 0) return;
      notes += concat("  note: namespace \"", printable(findings.name),
                      "\": ", counted(count, one, many), what, "\n");
    };
    note(findings.over_max_key_size, "key", "keys", " longer than max_key_size, which is newer");
    note(findings.over_max_value_size, "value", "values",
         " larger than max_value_size, which is newer");
    note(findings.expired, "entry", "entries", " that had expired when the snapshot was taken");
  }
  return print(concat(printable(path), ": good, ",
                      counted(totals.size(), "namespace", "namespaces"), ", ",
                      counted(sum_of(totals).entries, "entry", "entries"), ", ",
                      human_size(verifier.file_size()), "\n", notes));
}

ExitCode verify(const Options& options) {
  Verifier verifier;
  const Status status = verifier.verify(options.snapshot);
  const ExitCode code = exit_code_of(status.code());
  // Missing and unreadable files, and signals, say nothing about the file.
  if (code != ExitCode::kGood && code != ExitCode::kDamaged) return report(status);
  if (status.code() == StatusCode::kCancelled) return ExitCode::kGood;
  for (const std::string& problem : verifier.problems()) {
    static_cast<void>(report(Status(StatusCode::kSnapshotCorrupt, problem)));
  }
  if (verifier.problem_count() > verifier.problems().size()) {
    static_cast<void>(
        report(Status(StatusCode::kSnapshotCorrupt,
                      concat(verifier.problem_count() - verifier.problems().size(), " more"))));
  }
  Status printed;
  if (options.json) {
    printed = print_report_json(options.snapshot, verifier);
  } else if (status.ok()) {
    printed = print_report(options.snapshot, verifier);
  }
  return printed.ok() ? code : report(printed);
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, "verify", "Check a snapshot from end to end",
      "Reads everything and checks everything: frames, checksums, contents, totals, names, that "
      "no\n"
      "namespace holds a key twice or more entries than its own max_keys. What is wrong is said "
      "on\n"
      "standard error. Memory grows by 19 to 39 bytes for each key of the largest namespace: keys\n"
      "are told apart by 128-bit hashes (XXH3 with a random seed), so that a false alarm has a\n"
      "chance of about n^2 / 2^129 among n keys.",
      "  rkvs verify store.rkvs && cp store.rkvs /backup/\n"
      "  rkvs verify --json store.rkvs | jq .problems\n");
  command->add_option("SNAPSHOT", options->snapshot, "The snapshot to check")->required();
  command->add_flag("--json", options->json, "Print JSON instead of text, about bad files too");
  command->callback([&action, options] { action = [options] { return verify(*options); }; });
}

}  // namespace rkvs::cli
