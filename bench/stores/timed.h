// Runs in which time passes: schedules, threads that crowd a store, growth, YCSB. Templates on the
// classes that in_process.h describes.
#ifndef RKVS_BENCH_STORES_TIMED_H_
#define RKVS_BENCH_STORES_TIMED_H_

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/contender.h"
#include "bench/measure.h"

namespace rkvs::bench {

// What a store is asked must come out as it must: anything else is a broken benchmark.
inline void expect(bool what) {
  if (!what) {
    std::fprintf(stderr, "a store gave a wrong answer\n");
    std::abort();
  }
}

// A key with a number, made in a few nanoseconds: four letters and ten digits.
class NumberedKey {
 public:
  NumberedKey(const char* prefix, size_t number) {
    std::copy(prefix, prefix + 4, text_);
    for (int i = 13; i >= 4; --i, number /= 10) text_[i] = static_cast<char>('0' + number % 10);
  }
  std::string_view view() const { return {text_, sizeof text_}; }

 private:
  char text_[14];
};

// George Marsaglia's xorshift64.
class FastRandom {
 public:
  explicit FastRandom(uint64_t seed) : state_((seed + 1) * 0x9E3779B97F4A7C15U) {}
  using result_type = uint64_t;
  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return UINT64_MAX; }
  uint64_t operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

 private:
  uint64_t state_;
};

template <typename Call>  // void(size_t)
std::vector<double> keep_schedule(const Schedule& schedule, Call call) {
  const auto count = static_cast<size_t>(schedule.per_second * schedule.seconds);
  const double period = 1e9 / schedule.per_second;
  std::vector<double> result(count);
  const auto start = Clock::now();
  for (size_t i = 0; i < count; ++i) {
    const auto intended =
        start + std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(i) * period));
    while (Clock::now() < intended) {
    }
    call(i);
    result[i] = seconds_since(intended) * 1e9;
  }
  return result;
}

inline long involuntary_switches() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

template <typename Store>
Growth run_growth(Store& store, const Workload& workload, size_t keys) {
  constexpr double kSlow = 50'000;
  Growth growth;
  growth.ns.resize(keys);
  long switches = involuntary_switches();
  // A stride that has nothing to do with the keys' order.
  size_t step = static_cast<size_t>(static_cast<double>(keys) * 0.618) | 1;
  while (std::gcd(step, keys) != 1) step += 2;
  for (size_t n = 0, i = 0; n < keys; ++n, i = (i + step) % keys) {
    const NumberedKey key("key_", i);
    const auto start = Clock::now();
    store.put(key.view(), workload.value);
    growth.ns[n] = seconds_since(start) * 1e9;
    // Often enough that what is found after a slow call happened around it.
    if (n % 256 != 0 && growth.ns[n] <= kSlow) continue;
    const long now = involuntary_switches();
    if (now == std::exchange(switches, now)) {
      growth.worst_not_preempted = std::max(growth.worst_not_preempted, growth.ns[n]);
    }
  }
  return growth;
}

template <typename Store>
StressResult run_stress(Store& store, const Workload& workload, const Stress& stress) {
  std::atomic<bool> stop{false};
  StressResult result;
  result.calls.resize(stress.threads);
  std::mutex mutex;
  std::vector<std::thread> workers;
  const auto start = Clock::now();
  for (size_t t = 0; t < stress.threads; ++t) {
    workers.emplace_back([&, t] {
      std::vector<double> reads;
      std::vector<double> writes;
      FastRandom random(t);
      size_t i = random() % workload.keys.size();
      while (!stop.load(std::memory_order_relaxed)) {
        const bool is_read = random() % 100 < stress.read_percent;
        const std::string& key = workload.key(i++);
        const auto before = Clock::now();
        if (is_read) {
          typename Store::Handle handle;
          expect(store.get(key, handle));
        } else {
          store.put(key, workload.value);
        }
        (is_read ? reads : writes).push_back(seconds_since(before) * 1e9);
      }
      const std::scoped_lock lock(mutex);
      result.calls[t] = reads.size() + writes.size();
      result.reads.insert(result.reads.end(), reads.begin(), reads.end());
      result.writes.insert(result.writes.end(), writes.begin(), writes.end());
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(stress.seconds));
  stop = true;
  result.seconds = seconds_since(start);
  for (auto& worker : workers) worker.join();
  return result;
}

// --- YCSB ----------------------------------------------------------------------------------------

template <typename Store>
constexpr bool can_run_ycsb(char letter) {
  return Store::kHasThreads && (letter != 'E' || requires { typename Store::Scanner; });
}

// Nothing where a store cannot scan.
template <typename Store>
struct ScannerOf {
  struct Type {
    explicit Type(Store&) {}
    void next(size_t) {}
  };
};
template <typename Store>
requires requires { typename Store::Scanner; }
struct ScannerOf<Store> {
  using Type = typename Store::Scanner;
};

template <typename Store>
double run_ycsb(Store& store, const Workload& workload, const Ycsb& ycsb,
                std::vector<double>* samples) {
  using Handle = typename Store::Handle;
  const size_t records = workload.keys.size();
  const size_t operations = ycsb.operations / Store::kSlowness;
  const unsigned reads = ycsb.letter == 'A' || ycsb.letter == 'F' ? 50
                         : ycsb.letter == 'C'                     ? 100
                                                                  : 95;
  std::atomic<size_t> inserted{0};
  std::atomic<size_t> ready{0};
  std::atomic<bool> go{false};
  std::mutex mutex;
  std::vector<std::thread> workers;
  for (size_t t = 0; t < ycsb.threads; ++t) {
    workers.emplace_back([&, t] {
      FastRandom random(ycsb.seed * 131 + t);
      typename ScannerOf<Store>::Type scanner(store);
      std::vector<double> mine;
      size_t at = random() % workload.zipf.size();
      const auto next_rank = [&] {
        if (++at >= workload.zipf.size()) at = 0;
        return workload.zipf[at];
      };
      ++ready;
      while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
      for (size_t i = 0; i < operations; ++i) {
        const bool is_timed = samples != nullptr && i % 16 == 0;
        const auto start = is_timed ? Clock::now() : Clock::time_point();
        const bool is_read = random() % 100 < reads;
        Handle handle;
        if (ycsb.letter == 'E' && is_read) {
          scanner.next(1 + random() % 100);
        } else if (ycsb.letter == 'D' && is_read) {
          // The latest are the most popular: so many back from the last one inserted.
          const size_t latest = inserted.load(std::memory_order_relaxed);
          const size_t back = next_rank() % records;
          if (back < latest) {
            // Another thread may have drawn the number and not stored the key yet.
            keep(store.get(NumberedKey("new_", latest - 1 - back).view(), handle));
          } else {
            expect(store.get(workload.keys[records - 1 - (back - latest)], handle));
          }
        } else if (is_read) {
          expect(store.get(workload.keys[next_rank()], handle));
        } else if (ycsb.letter == 'D' || ycsb.letter == 'E') {
          store.put(NumberedKey("new_", inserted++).view(), workload.value);
        } else {
          const std::string& key = workload.keys[next_rank()];
          if (ycsb.letter == 'F') expect(store.get(key, handle));
          store.put(key, workload.value);
        }
        keep(handle);
        if (is_timed) mine.push_back(seconds_since(start) * 1e9);
      }
      if (samples == nullptr) return;
      const std::scoped_lock lock(mutex);
      samples->insert(samples->end(), mine.begin(), mine.end());
    });
  }
  while (ready != ycsb.threads) std::this_thread::yield();
  const auto start = Clock::now();
  go.store(true, std::memory_order_release);
  for (auto& worker : workers) worker.join();
  const double seconds = seconds_since(start);
  for (size_t i = 0; i < inserted; ++i) store.erase(NumberedKey("new_", i).view());
  return seconds * 1e9 / static_cast<double>(operations * ycsb.threads);
}

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_TIMED_H_
