// What the suites share: who takes part, taking turns, a line for each scenario as it ends.
#ifndef RKVS_BENCH_SUITE_H_
#define RKVS_BENCH_SUITE_H_

#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/contender.h"
#include "bench/measure.h"
#include "bench/report.h"

namespace rkvs::bench {

// The contenders of a scenario by their short names, all filled.
class Field {
 public:
  Field(const std::vector<std::string>& names, const Workload& workload, Report& report) {
    for (const std::string& name : names) {
      std::string reason;
      auto contender = make_contender(name, workload, reason);
      if (contender == nullptr) {
        report.missing(peer_of(name), reason);
        continue;
      }
      contender->fill();
      contenders_.emplace_back(name, std::move(contender));
    }
  }
  const std::vector<std::pair<std::string, std::unique_ptr<Contender>>>& all() const {
    return contenders_;
  }
  Contender* find(const std::string& name) const {
    for (const auto& [short_name, contender] : contenders_) {
      if (short_name == name) return contender.get();
    }
    return nullptr;
  }

 private:
  std::vector<std::pair<std::string, std::unique_ptr<Contender>>> contenders_;
};

// One side of a scenario: nanoseconds an operation of segment `i`; with samples, those of single
// calls too.
struct Side {
  std::string name;   // short, by which figures are found again
  std::string title;  // for people
  std::function<double(size_t segment, std::vector<double>* samples)> run;
};

// Nanoseconds an operation, by side and round.
using Figures = std::map<std::string, std::vector<double>>;

// Prints and reports one line of a scenario: `ns` an operation and those of the side that ratios
// are to, by round; of single calls, which there must be, min, mean, p99 and max. `about` is what
// the row says beside the figures, and `scenario` and `title` what people read.
inline void add_line(const std::string& scenario, json about, const std::string& name,
                     const std::string& title, const std::vector<double>& ns,
                     const std::vector<double>& first, const Latency& latency, Report& report) {
  if (latency.count == 0) die(scenario + ", " + title + ": no call was timed by itself");
  std::vector<double> ratios;
  for (size_t i = 0; i < ns.size(); ++i) ratios.push_back(ns[i] / first[i]);
  const auto [least, most] = std::minmax_element(ns.begin(), ns.end());
  const double per_second = 1e9 / median(ns);
  std::printf("%-44s %-32s %9.1f ns %12.*f/s x%-6.2f min %.0f mean %.0f p99 %.0f max %.0f\n",
              scenario.c_str(), title.c_str(), median(ns), per_second < 100 ? 2 : 0, per_second,
              median(ratios), latency.min, latency.mean, latency.p99, latency.max);
  std::fflush(stdout);
  json row = std::move(about);
  row["scenario"] = scenario;
  row["contender"] = name;
  row["title"] = title;
  row["ns"] = median(ns);
  row["ns_min"] = *least;
  row["ns_max"] = *most;
  row["per_second"] = per_second;
  row["ratio_to_first"] = median(ratios);
  row["latency"] = to_json(latency);
  report.row(std::move(row));
}

// Every side's turns, then one more each with samples, and a line each. Ratios are to the first
// side.
inline Figures compare(const std::string& scenario, const json& about,
                       const std::vector<Side>& sides, size_t rounds, Report& report,
                       size_t segments = 1) {
  Figures figures;
  if (sides.empty()) return figures;
  std::vector<Candidate> candidates;
  for (const Side& side : sides) {
    candidates.push_back(
        {side.name, [&side](size_t segment) { return side.run(segment, nullptr); }});
  }
  for (const auto& round : take_turns(candidates, rounds, segments)) {
    for (size_t i = 0; i < sides.size(); ++i) {
      figures[sides[i].name].push_back(round[i] / static_cast<double>(segments));
    }
  }
  for (const Side& side : sides) {
    std::vector<double> samples;
    side.run(rounds * segments, &samples);
    add_line(scenario, about, side.name, side.title, figures[side.name], figures[sides[0].name],
             latency_of(std::move(samples)), report);
  }
  return figures;
}

// The better of rkvs-rs with 4 and with 16 shards; nullptr where there is neither.
inline const std::vector<double>* better_rkvs_rs(const Figures& figures) {
  const std::vector<double>* best = nullptr;
  for (const char* name : {"rkvs_rs_4", "rkvs_rs_16"}) {
    const auto found = figures.find(name);
    if (found == figures.end()) continue;
    if (best == nullptr || median(found->second) < median(*best)) best = &found->second;
  }
  return best;
}

// A target `<against>.<what>` where both sides are there. rkvs_rs stands for its better one.
inline void judge(Report& report, const std::string& against, const std::string& what,
                  const Figures& figures, const std::string& note = "",
                  const std::string& ours = "rkvs", const std::string& theirs = "") {
  const auto our_side = figures.find(ours);
  if (our_side == figures.end()) return;
  if (against == "rkvs_rs" && theirs.empty()) {
    const auto* best = better_rkvs_rs(figures);
    if (best != nullptr) report.target("rkvs_rs." + what, our_side->second, *best, "ns", note);
    return;
  }
  const auto their_side = figures.find(theirs.empty() ? against : theirs);
  if (their_side == figures.end()) return;
  report.target(against + "." + what, our_side->second, their_side->second, "ns", note);
}

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_SUITE_H_
