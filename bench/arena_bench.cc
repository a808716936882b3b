// The arena against malloc, at the work of a store.
//
//   pair       allocate and free one block at once: the cost of the thread's cache
//   churn      replace a random one of 100,000 blocks of 64 to 256 bytes (random lifetimes)
//   handover   one thread allocates, another frees, through a ring of 4,096 blocks
//   fill       write 1,000,000 blocks of 144 bytes into an empty allocator; time a block
//   tables     allocate, touch once a page, and free blocks of 4 to 280 KiB, 32 alive
//   growth     write 600 MB of 144-byte blocks as fast as possible, each call timed by itself;
//              "awake" leaves out stretches in which the system gave the processor to others
//   resident   growth of resident memory while 1,000,000 blocks of 134 bytes are made
//
// Every workload has the same code for all sides; the table at the end divides them. Interleave and
// repeat for figures worth keeping:
//   arena_bench --benchmark_repetitions=7 --benchmark_enable_random_interleaving=true
// The table goes to <build>/arena_bench.json as well (--json=FILE; none with --json=).
#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "base/arena.h"
#include "bench/report.h"

namespace {

using Clock = std::chrono::steady_clock;

struct ArenaSide {
  static constexpr const char* kName = "arena";
  static void* allocate(size_t bytes) { return rkvs::internal::Arena::allocate(bytes); }
  static void deallocate(void* block, size_t bytes) {
    rkvs::internal::Arena::deallocate(block, bytes);
  }
  static void trim() { rkvs::internal::Arena::trim(); }
};

// Aligned to 8 bytes only, as the entries of the store are.
struct PackedSide {
  static constexpr const char* kName = "packed";
  static void* allocate(size_t bytes) { return rkvs::internal::Arena::allocate_packed(bytes); }
  static void deallocate(void* block, size_t bytes) {
    rkvs::internal::Arena::deallocate_packed(block, bytes);
  }
  static void trim() { rkvs::internal::Arena::trim(); }
};

struct MallocSide {
  static constexpr const char* kName = "malloc";
  static void* allocate(size_t bytes) { return std::malloc(bytes); }
  static void deallocate(void* block, size_t) { std::free(block); }
  static void trim() {
#if defined(__GLIBC__)
    ::malloc_trim(0);
#endif
  }
};

// What every owner does with a new block: writes its header.
void touch(void* block) { *static_cast<volatile uint64_t*>(block) = 1; }

size_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long mapped = 0;
  unsigned long resident = 0;
  const int fields = std::fscanf(file, "%lu %lu", &mapped, &resident);
  std::fclose(file);
  return fields == 2 ? resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

template <typename Side>
void pair(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    void* block = Side::allocate(bytes);
    touch(block);
    benchmark::DoNotOptimize(block);
    Side::deallocate(block, bytes);
  }
}

template <typename Side>
void churn(benchmark::State& state) {
  constexpr size_t kLive = 100'000;
  constexpr size_t kPlan = size_t{1} << 16;
  std::mt19937_64 random(1);
  std::vector<uint32_t> plan(kPlan);
  for (uint32_t& step : plan) step = static_cast<uint32_t>(random() % kLive);
  std::vector<std::pair<void*, size_t>> blocks(kLive);
  for (auto& [block, bytes] : blocks) {
    bytes = 64 + random() % 193;
    block = Side::allocate(bytes);
    touch(block);
  }
  size_t i = 0;
  for (auto _ : state) {
    auto& [block, bytes] = blocks[(plan[i % kPlan] + i / kPlan * 7) % kLive];
    const size_t next = 64 + (i * 11) % 193;
    Side::deallocate(block, bytes);
    bytes = next;
    block = Side::allocate(next);
    touch(block);
    ++i;
  }
  for (const auto& [block, bytes] : blocks) Side::deallocate(block, bytes);
}

template <typename Side>
void handover(benchmark::State& state) {
  constexpr size_t kSlots = 4096;
  constexpr size_t kBytes = 144;
  std::vector<std::atomic<void*>> ring(kSlots);
  std::atomic<bool> done{false};
  std::thread consumer([&] {
    for (size_t i = 0;; i = (i + 1) % kSlots) {
      void* block;
      while ((block = ring[i].load(std::memory_order_acquire)) == nullptr) {
        if (done.load(std::memory_order_acquire)) return;
        std::this_thread::yield();
      }
      Side::deallocate(block, kBytes);
      ring[i].store(nullptr, std::memory_order_release);
    }
  });
  size_t i = 0;
  for (auto _ : state) {
    void* block = Side::allocate(kBytes);
    touch(block);
    while (ring[i].load(std::memory_order_acquire) != nullptr) std::this_thread::yield();
    ring[i].store(block, std::memory_order_release);
    i = (i + 1) % kSlots;
  }
  done.store(true, std::memory_order_release);
  consumer.join();
  for (std::atomic<void*>& slot : ring) {
    if (slot.load() != nullptr) Side::deallocate(slot.load(), kBytes);
  }
}

template <typename Side>
void fill(benchmark::State& state) {
  constexpr size_t kBlocks = 1'000'000;
  constexpr size_t kBytes = 144;
  std::vector<void*> blocks(kBlocks);
  for (auto _ : state) {
    const Clock::time_point start = Clock::now();
    for (void*& block : blocks) {
      block = Side::allocate(kBytes);
      std::memset(block, 1, kBytes);
    }
    const std::chrono::duration<double> taken = Clock::now() - start;
    state.SetIterationTime(taken.count() / static_cast<double>(kBlocks));
    for (void* block : blocks) Side::deallocate(block, kBytes);
    Side::trim();
  }
}

template <typename Side>
void tables(benchmark::State& state) {
  constexpr size_t kLive = 32;
  std::mt19937_64 random(1);
  std::vector<std::pair<char*, size_t>> blocks(kLive);
  for (auto _ : state) {
    auto& [block, bytes] = blocks[random() % kLive];
    Side::deallocate(block, bytes);
    bytes = (size_t{17} << (8 + random() % 7)) + 16;
    block = static_cast<char*>(Side::allocate(bytes));
    for (size_t i = 0; i < bytes; i += 4096) touch(block + i);
  }
  for (const auto& [block, bytes] : blocks) Side::deallocate(block, bytes);
  Side::trim();
}

// How often the calling thread had to make room on its processor.
long preemptions() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

template <typename Side>
void growth(benchmark::State& state) {
  constexpr size_t kBytes = 144;
  constexpr size_t kBlocks = 600'000'000 / kBytes;
  std::vector<void*> blocks(kBlocks);
  std::vector<float> calls(kBlocks);
  constexpr size_t kStretch = 512;
  for (auto _ : state) {
    long before = preemptions();
    float worst = 0;
    float worst_awake = 0;
    for (size_t i = 0; i < kBlocks; ++i) {
      if (i % kStretch == 0) {
        const long now = preemptions();
        if (now == before) worst_awake = std::max(worst_awake, worst);
        before = now;
        worst = 0;
      }
      const Clock::time_point start = Clock::now();
      blocks[i] = Side::allocate(kBytes);
      std::memset(blocks[i], 1, kBytes);
      calls[i] = std::chrono::duration<float, std::micro>(Clock::now() - start).count();
      worst = std::max(worst, calls[i]);
    }
    std::sort(calls.begin(), calls.end());
    state.SetIterationTime(static_cast<double>(calls.back()) / 1e6);
    state.counters["p50_us"] = calls[kBlocks / 2];
    state.counters["p99.9_us"] = calls[kBlocks - kBlocks / 1000];
    state.counters["p99.99_us"] = calls[kBlocks - kBlocks / 10'000];
    state.counters["p99.999_us"] = calls[kBlocks - kBlocks / 100'000];
    state.counters["max_us"] = calls.back();
    state.counters["awake_max_us"] = worst_awake;
    for (void* block : blocks) Side::deallocate(block, kBytes);
    Side::trim();
  }
}

// The time of this workload is its result in bytes: 1 s is 1 GB.
template <typename Side>
void resident(benchmark::State& state) {
  constexpr size_t kBytes = 134;
  constexpr size_t kBlocks = 1'000'000;
  std::vector<void*> blocks(kBlocks);
  for (auto _ : state) {
    Side::trim();
    const size_t before = resident_bytes();
    for (void*& block : blocks) {
      block = Side::allocate(kBytes);
      std::memset(block, 1, kBytes);
    }
    const double bytes = static_cast<double>(resident_bytes() - before) / double{kBlocks};
    state.SetIterationTime(bytes / 1e9);
    state.counters["bytes_a_block"] = bytes;
    for (void* block : blocks) Side::deallocate(block, kBytes);
    Side::trim();
  }
}

template <typename Side>
void add_side() {
  const std::string side = std::string("/") + Side::kName;
  for (int64_t bytes : {48, 96, 144, 256}) {
    benchmark::RegisterBenchmark(("pair" + side).c_str(), &pair<Side>)->Arg(bytes);
  }
  benchmark::RegisterBenchmark(("churn" + side).c_str(), &churn<Side>);
  benchmark::RegisterBenchmark(("handover" + side).c_str(), &handover<Side>)->UseRealTime();
  benchmark::RegisterBenchmark(("tables" + side).c_str(), &tables<Side>);
  for (const auto& [name, function] :
       {std::pair{"fill", &fill<Side>}, {"growth", &growth<Side>}, {"resident", &resident<Side>}}) {
    benchmark::RegisterBenchmark((name + side).c_str(), function)->UseManualTime()->Iterations(1);
  }
}

// Prints as usual, and at the end each side's share of malloc's figure, median against median.
class RatioReporter : public benchmark::ConsoleReporter {
 public:
  explicit RatioReporter(rkvs::bench::Report& report) : report_(report) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      std::string name = run.run_name.function_name;
      const size_t slash = name.find('/');
      const std::string side = name.substr(slash + 1);
      name = name.substr(0, slash);
      if (!run.run_name.args.empty()) name += " " + run.run_name.args;
      // In the unit of the benchmark, nanoseconds.
      times_[name][side].push_back(run.GetAdjustedRealTime());
      for (const auto& [counter, value] : run.counters) {
        times_[name + " " + counter][side].push_back(value);
      }
    }
  }

  void Finalize() override {
    ConsoleReporter::Finalize();
    GetOutputStream() << "\nratios of medians\n";
    for (auto& [name, sides] : times_) {
      const auto malloc = sides.find(MallocSide::kName);
      if (malloc == sides.end()) continue;
      for (auto& [side, values] : sides) {
        const double ratio = median(values) / median(malloc->second);
        report_.row({{"operation", name},
                     {"contender", side},
                     {"figure", median(values)},
                     {"ratio", ratio}});
        if (side == malloc->first) continue;
        char line[128];
        std::snprintf(line, sizeof line, "%-24s %s / malloc %8.3f\n", name.c_str(), side.c_str(),
                      ratio);
        GetOutputStream() << line;
      }
    }
  }

 private:
  static double median(std::vector<double>& values) {
    std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                     values.end());
    return values[values.size() / 2];
  }

  rkvs::bench::Report& report_;
  std::map<std::string, std::map<std::string, std::vector<double>>> times_;
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const rkvs::bench::Options options(argc, argv, {{"json", RKVS_BENCH_JSON}});
  rkvs::bench::Report report("arena_bench", options);
  add_side<ArenaSide>();
  add_side<PackedSide>();
  add_side<MallocSide>();
  RatioReporter reporter(report);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::Shutdown();
  report.write();
  return 0;
}
