// What a program found: printed as it comes, and written as one JSON file in the end.
//
// The file is {program, arguments, rows, targets, missing}, and what a program attaches for a
// script of its own. `rows` are everything measured, for tables and plots. `targets` are what
// bench/report.py judges by bench/targets.json: {id, ours, theirs, ratio, unit, note}, costs
// throughout (time, bytes: less is better), with ratio = theirs / ours, the median of the rounds'
// ratios. `missing` says for the first part of an id why there is nothing about it. Programs in
// other languages write the same.
#ifndef RKVS_BENCH_REPORT_H_
#define RKVS_BENCH_REPORT_H_

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/measure.h"
#include "bench/options.h"

namespace rkvs::bench {

using nlohmann::json;

[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

class Report {
 public:
  // `options` has "json", the file's name; empty = none. Its default is RKVS_BENCH_JSON, which
  // the build defines for each program: <build>/<program>.json.
  Report(const std::string& program, const Options& options) : file_(options.text("json")) {
    root_["program"] = program;
    root_["arguments"] = options.all();
    root_["rows"] = json::array();
    root_["targets"] = json::array();
    root_["missing"] = json::object();
  }

  void row(json row) { root_["rows"].push_back(std::move(row)); }

  // print_ratios(), and a row for each candidate with what is in `about`.
  void ratios(const std::string& question, const std::vector<Candidate>& candidates,
              const std::vector<std::vector<double>>& rounds, size_t operations, size_t base = 0,
              const json& about = json::object()) {
    print_ratios(question, candidates, rounds, operations, base);
    for (size_t i = 0; i < candidates.size(); ++i) {
      std::vector<double> ns, ratios;
      for (const auto& round : rounds) {
        ns.push_back(round[i] / static_cast<double>(operations) * 1e9);
        ratios.push_back(round[i] / round[base]);
      }
      json one = about;
      one.update({{"operation", question},
                  {"contender", candidates[i].name},
                  {"ns", median(ns)},
                  {"ratio", median(ratios)}});
      row(std::move(one));
    }
  }

  // Something else for the file, under a name of its own.
  void attach(const char* name, json what) { root_[name] = std::move(what); }

  // Both by round. `theirs` may be empty: then the target is a figure of ours alone.
  void target(const std::string& id, const std::vector<double>& ours,
              const std::vector<double>& theirs, const char* unit, const std::string& note = "") {
    json target = {{"id", id}, {"ours", median(ours)}, {"unit", unit}};
    if (!theirs.empty()) {
      std::vector<double> ratios;
      for (size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
        if (ours[i] > 0) ratios.push_back(theirs[i] / ours[i]);
      }
      target["theirs"] = median(theirs);
      if (!ratios.empty()) {
        target["ratio"] = median(ratios);
        const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
        target["ratio_min"] = *least;
        target["ratio_max"] = *most;
      }
    }
    if (!note.empty()) target["note"] = note;
    std::printf("  -> %-28s ours %.4g %s", id.c_str(), median(ours), unit);
    if (target.contains("ratio")) {
      std::printf(", theirs %.4g: x%.2f (%.2f to %.2f)", median(theirs),
                  target["ratio"].get<double>(), target["ratio_min"].get<double>(),
                  target["ratio_max"].get<double>());
    }
    std::printf("\n");
    std::fflush(stdout);
    root_["targets"].push_back(std::move(target));
  }

  void missing(const std::string& peer, const std::string& reason) {
    std::printf("without %s: %s\n", peer.c_str(), reason.c_str());
    std::fflush(stdout);
    root_["missing"][peer] = reason;
  }

  void write() const {
    if (file_.empty()) return;
    std::ofstream file(file_);
    file << root_.dump(1) << '\n';
    if (!file.flush()) die("cannot write " + file_);
  }

 private:
  std::string file_;
  json root_;
};

inline json to_json(const Latency& latency) {
  return {{"count", latency.count}, {"min", latency.min}, {"mean", latency.mean},
          {"p50", latency.p50},     {"p99", latency.p99}, {"p999", latency.p999},
          {"p9999", latency.p9999}, {"max", latency.max}};
}

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_REPORT_H_
