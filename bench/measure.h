// Timing, turns and statistics.
//
// Machines drift by tens of per cent within minutes, so nothing is compared across runs: all
// candidates take turns in short segments, the order rotates from round to round, and what counts
// are the medians over the rounds of the ratios within a round.
#ifndef RKVS_BENCH_MEASURE_H_
#define RKVS_BENCH_MEASURE_H_

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif

namespace rkvs::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Around what instructions.py counts; a few instructions where callgrind does not run the program.
inline void toggle_collection() {
#if defined(CALLGRIND_TOGGLE_COLLECT)
  CALLGRIND_TOGGLE_COLLECT;
#endif
}

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// A percentile (0 to 1) of values that this sorts.
inline double percentile(std::vector<double>& values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(p * static_cast<double>(values.size())))];
}

// Of single calls, in nanoseconds. Two readings of the clock, 20 to 50 ns, are part of each.
struct Latency {
  size_t count = 0;
  double min = 0;
  double mean = 0;
  double p50 = 0;
  double p99 = 0;
  double p999 = 0;
  double p9999 = 0;
  double max = 0;
};

inline Latency latency_of(std::vector<double> ns) {
  Latency result;
  if (ns.empty()) return result;
  result.count = ns.size();
  for (const double one : ns) result.mean += one;
  result.mean /= static_cast<double>(ns.size());
  result.p50 = percentile(ns, 0.5);
  const auto at = [&](double p) {
    return ns[std::min(ns.size() - 1, static_cast<size_t>(p * static_cast<double>(ns.size())))];
  };
  result.min = ns.front();
  result.p99 = at(0.99);
  result.p999 = at(0.999);
  result.p9999 = at(0.9999);
  result.max = ns.back();
  return result;
}

// Bytes of memory that this process has got from the system and uses.
inline size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t size = 0;
  size_t pages = 0;
  file >> size >> pages;
  return pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

// One candidate's turns at one question: the cost (seconds, nanoseconds) of the segment `i`.
struct Candidate {
  std::string name;
  std::function<double(size_t segment)> run;
};

// Lets the candidates take turns for `rounds` rounds of `segments` segments, and returns for each
// round the summed cost of each candidate.
inline std::vector<std::vector<double>> take_turns(const std::vector<Candidate>& candidates,
                                                   size_t rounds, size_t segments) {
  std::vector<std::vector<double>> result;
  for (size_t round = 0; round < rounds; ++round) {
    std::vector<double> total(candidates.size(), 0.0);
    for (size_t segment = 0; segment < segments; ++segment) {
      for (size_t i = 0; i < candidates.size(); ++i) {
        const size_t turn = (i + round + segment) % candidates.size();
        total[turn] += candidates[turn].run(round * segments + segment);
      }
    }
    result.push_back(std::move(total));
  }
  return result;
}

// Prints each candidate's median time an operation, and its median ratio to candidate `base`.
inline void print_ratios(std::string_view question, const std::vector<Candidate>& candidates,
                         const std::vector<std::vector<double>>& rounds, size_t operations,
                         size_t base = 0) {
  for (size_t i = 0; i < candidates.size(); ++i) {
    std::vector<double> times;
    std::vector<double> ratios;
    for (const auto& round : rounds) {
      times.push_back(round[i] / static_cast<double>(operations) * 1e9);
      ratios.push_back(round[i] / round[base]);
    }
    std::printf("%-22s %-30s %8.1f ns  x%.2f\n", std::string(question).c_str(),
                candidates[i].name.c_str(), median(times), median(ratios));
  }
  std::fflush(stdout);
}

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_MEASURE_H_
