// Keys, orders and the interleaving harness that the store benchmarks share.
//
// Machines drift by tens of per cent within minutes, so nothing is compared across runs: all
// candidates take turns in short segments, the order rotates from round to round, and what counts
// are the medians over the rounds of the ratios within a round.
#ifndef RKVS_BENCH_WORKLOAD_H_
#define RKVS_BENCH_WORKLOAD_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rkvs::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// 14 bytes: key_0000000000 and so on.
inline std::vector<std::string> make_keys(size_t count, const char* prefix = "key_") {
  std::vector<std::string> keys;
  keys.reserve(count);
  char buffer[32];
  for (size_t i = 0; i < count; ++i) {
    std::snprintf(buffer, sizeof buffer, "%s%010zu", prefix, i);
    keys.emplace_back(buffer);
  }
  return keys;
}

inline std::vector<uint32_t> random_order(size_t count, uint64_t seed) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::mt19937_64 random(seed);
  std::shuffle(order.begin(), order.end(), random);
  return order;
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

// One candidate's turns at one question: seconds for the segment `i`.
struct Candidate {
  std::string name;
  std::function<double(size_t segment)> run;
};

// Lets the candidates take turns for `rounds` rounds of `segments` segments, and returns for each
// round the seconds of each candidate.
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

// Keeps the compiler from removing what computes `value`.
template <typename T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_WORKLOAD_H_
