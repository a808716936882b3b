// What the benchmarks work on: keys, values, and the orders in which keys are asked for.
#ifndef RKVS_BENCH_WORKLOAD_H_
#define RKVS_BENCH_WORKLOAD_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace rkvs::bench {

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

// Numbers below `count` in which the k-th most frequent one is drawn in proportion to 1 / k^0.99,
// after J. Gray et al., "Quickly generating billion-record synthetic databases" (SIGMOD 1994),
// section 3.2, as YCSB does. rank() 0 is the most frequent.
class Zipf {
 public:
  static constexpr double kTheta = 0.99;

  explicit Zipf(size_t count) : count_(count) {
    for (size_t i = 1; i <= count; ++i) zeta_ += std::pow(1.0 / static_cast<double>(i), kTheta);
    const double zeta_2 = 1.0 + std::pow(0.5, kTheta);
    eta_ = (1 - std::pow(2.0 / static_cast<double>(count), 1 - kTheta)) / (1 - zeta_2 / zeta_);
  }
  template <typename Random>
  size_t rank(Random& random) const {
    const double u = std::uniform_real_distribution<double>(0, 1)(random);
    const double uz = u * zeta_;
    if (uz < 1) return 0;
    if (uz < 1 + std::pow(0.5, kTheta)) return std::min<size_t>(1, count_ - 1);
    const double place = std::pow(eta_ * u - eta_ + 1, 1 / (1 - kTheta));
    return std::min(count_ - 1, static_cast<size_t>(static_cast<double>(count_) * place));
  }

 private:
  const size_t count_;
  double zeta_ = 0;
  double eta_ = 0;
};

// `length` keys' numbers, drawn by Zipf; which keys are the frequent ones is random.
inline std::vector<uint32_t> zipf_order(size_t count, size_t length, uint64_t seed) {
  const Zipf zipf(count);
  const std::vector<uint32_t> place = random_order(count, seed + 1);
  std::mt19937_64 random(seed);
  std::vector<uint32_t> order(length);
  for (uint32_t& i : order) i = place[zipf.rank(random)];
  return order;
}

// Everything that a scenario needs to know, the same for all that take part in it.
struct Workload {
  Workload(size_t key_count, size_t value_size, uint32_t shard_count = 0)
      : keys(make_keys(key_count)),
        absent(make_keys(key_count, "no__")),
        uniform(random_order(key_count, 2)),
        value(value_size, 'v'),
        shards(shard_count) {}

  const std::vector<std::string> keys;
  const std::vector<std::string> absent;
  const std::vector<uint32_t> uniform;
  const std::string value;
  uint32_t shards;               // for what has shards: 0 = its default
  std::vector<uint32_t> zipf{};  // filled by those that use it
  std::string directory = ".";   // for what needs files

  const std::string& key(size_t i) const { return keys[uniform[i % uniform.size()]]; }
  const std::string& absent_key(size_t i) const { return absent[uniform[i % uniform.size()]]; }
};

// Keeps the compiler from removing what computes `value`.
template <typename T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_WORKLOAD_H_
