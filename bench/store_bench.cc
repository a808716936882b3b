// The store against an unlocked absl::flat_hash_map (the limit for one thread) and against
// std::unordered_map under a std::shared_mutex (what many programs have).
//
//   store_bench [KEYS] [ROUNDS]      default: 1000000 7
//
// One thread: get with a handle, get of an absent key, overwrite (set returns the old value, put
// does not), delete and insert in turns, batch get of 256. Two threads: mixes of get and set with
// 80, 50 and 20 % reads. 16 threads, however many cores there are: throughput and the worst waits.
// Keys have 14 bytes, values 100; ratios are medians over the rounds, see workload.h.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "bench/peers.h"
#include "bench/workload.h"

namespace rkvs::bench {
namespace {

constexpr size_t kSegment = 50'000;

struct Setup {
  std::vector<std::string> keys;
  std::vector<std::string> absent;
  std::vector<uint32_t> access;
  std::string value = std::string(100, 'v');
  size_t rounds;

  const std::string& key(size_t i) const { return keys[access[i % access.size()]]; }
};

template <typename Store>
void fill(Store& store, const Setup& setup) {
  for (const uint32_t i : random_order(setup.keys.size(), 1)) store.set(setup.keys[i], setup.value);
}

// Runs `operation(store, i)` for the indices of a segment.
template <typename Store, typename Operation>
Candidate segment_of(std::string name, Store& store, Operation operation) {
  return {std::move(name), [&store, operation](size_t segment) {
            const auto start = Clock::now();
            for (size_t i = segment * kSegment; i < (segment + 1) * kSegment; ++i) {
              operation(store, i);
            }
            return seconds_since(start);
          }};
}

template <typename Operation>
void ask(const Setup& setup, std::string_view question, UnlockedAbsl& absl, Rkvs& rkvs,
         LockedStd& std_map, Operation operation) {
  const std::vector<Candidate> candidates = {segment_of("absl, unlocked", absl, operation),
                                             segment_of("rkvs", rkvs, operation),
                                             segment_of("std + shared_mutex", std_map, operation)};
  const size_t segments = 10;
  print_ratios(question, candidates, take_turns(candidates, setup.rounds, segments),
               segments * kSegment);
}

void one_thread(const Setup& setup, UnlockedAbsl& absl, Rkvs& rkvs, LockedStd& std_map) {
  ask(setup, "get", absl, rkvs, std_map, [&setup](auto& store, size_t i) {
    typename std::remove_reference_t<decltype(store)>::Handle handle;
    if (!store.get(setup.key(i), handle)) std::abort();
    keep(handle);
  });
  ask(setup, "get of an absent key", absl, rkvs, std_map, [&setup](auto& store, size_t i) {
    typename std::remove_reference_t<decltype(store)>::Handle handle;
    if (store.get(setup.absent[setup.access[i % setup.access.size()]], handle)) std::abort();
  });
  ask(setup, "overwrite, set", absl, rkvs, std_map,
      [&setup](auto& store, size_t i) { store.set(setup.key(i), setup.value); });
  ask(setup, "overwrite, put", absl, rkvs, std_map,
      [&setup](auto& store, size_t i) { store.put(setup.key(i), setup.value); });
  ask(setup, "delete + insert", absl, rkvs, std_map, [&setup](auto& store, size_t i) {
    if (!store.erase(setup.key(i))) std::abort();
    store.set(setup.key(i + kSegment / 2), setup.value);
    store.set(setup.key(i), setup.value);
  });

  constexpr size_t kBatch = 256;
  const auto batches = [&setup, &rkvs](size_t segment) {
    std::vector<std::string_view> keys(kBatch);
    const auto start = Clock::now();
    for (size_t i = segment * kSegment; i < (segment + 1) * kSegment; i += kBatch) {
      for (size_t j = 0; j < kBatch; ++j) keys[j] = setup.key(i + j);
      if (!rkvs.ns->get_multiple(keys, BatchMode::kAllOrNothing).is_success()) std::abort();
    }
    return seconds_since(start);
  };
  const std::vector<Candidate> candidates = {segment_of("absl, unlocked, one by one", absl,
                                                        [&setup](auto& store, size_t i) {
                                                          Blob handle;
                                                          if (!store.get(setup.key(i), handle))
                                                            std::abort();
                                                          keep(handle);
                                                        }),
                                             {"rkvs, get_multiple", batches}};
  print_ratios("batch get of 256", candidates, take_turns(candidates, setup.rounds, 10),
               10 * kSegment);
}

// `threads` threads work through the access order from different places; seconds for all.
template <typename Store>
double mixed(Store& store, const Setup& setup, size_t threads, unsigned read_percent,
             size_t segment, size_t operations) {
  std::atomic<size_t> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> workers;
  for (size_t t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      std::mt19937_64 random(segment * 64 + t);
      const size_t offset = random() % setup.access.size();
      ++ready;
      while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
      for (size_t i = 0; i < operations; ++i) {
        const std::string& key = setup.key(offset + i);
        if (random() % 100 < read_percent) {
          typename Store::Handle handle;
          keep(store.get(key, handle));
        } else {
          store.set(key, setup.value);
        }
      }
    });
  }
  while (ready != threads) std::this_thread::yield();
  const auto start = Clock::now();
  go.store(true, std::memory_order_release);
  for (auto& worker : workers) worker.join();
  return seconds_since(start);
}

void two_threads(const Setup& setup, Rkvs& rkvs, LockedStd& std_map) {
  for (const unsigned reads : {80U, 50U, 20U}) {
    const std::vector<Candidate> candidates = {
        {"std + shared_mutex",
         [&](size_t segment) { return mixed(std_map, setup, 2, reads, segment, kSegment); }},
        {"rkvs", [&](size_t segment) { return mixed(rkvs, setup, 2, reads, segment, kSegment); }}};
    print_ratios("2 threads, " + std::to_string(reads) + " % reads", candidates,
                 take_turns(candidates, setup.rounds, 4), 4 * 2 * kSegment);
  }
}

// Every call is timed: more threads than cores, half reads, and the longest that any call took.
template <typename Store>
void oversubscribed(const char* name, Store& store, const Setup& setup) {
  constexpr size_t kThreads = 16;
  std::atomic<bool> stop{false};
  std::vector<std::vector<double>> reads(kThreads);
  std::vector<std::vector<double>> writes(kThreads);
  std::vector<std::thread> workers;
  for (size_t t = 0; t < kThreads; ++t) {
    workers.emplace_back([&, t] {
      std::mt19937_64 random(t);
      size_t i = random() % setup.access.size();
      while (!stop.load(std::memory_order_relaxed)) {
        const bool read = random() % 2 == 0;
        const std::string& key = setup.key(i++);
        const auto start = Clock::now();
        if (read) {
          typename Store::Handle handle;
          keep(store.get(key, handle));
        } else {
          store.set(key, setup.value);
        }
        (read ? reads : writes)[t].push_back(seconds_since(start) * 1e6);
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(3));
  stop = true;
  for (auto& worker : workers) worker.join();
  const auto show = [&](const char* what, std::vector<std::vector<double>>& by_thread) {
    std::vector<double> all;
    size_t least = SIZE_MAX;
    for (const auto& times : by_thread) {
      all.insert(all.end(), times.begin(), times.end());
      least = std::min(least, times.size());
    }
    const size_t count = all.size();
    const double p999 = percentile(all, 0.999);
    std::printf(
        "16 threads             %-20s %-6s %6.2f M/s  p99.9 %8.1f us  worst %8.1f us  "
        "slowest thread %zu of %zu\n",
        name, what, static_cast<double>(count) / 3e6, p999, all.back(), least, count / kThreads);
  };
  show("reads", reads);
  show("writes", writes);
}

int main_of(int argc, char** argv) {
  const size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000;
  Setup setup;
  setup.keys = make_keys(count);
  setup.absent = make_keys(count, "no__");
  setup.access = random_order(count, 2);
  setup.rounds = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 7;
  UnlockedAbsl absl;
  Rkvs rkvs;
  LockedStd std_map;
  fill(absl, setup);
  fill(rkvs, setup);
  fill(std_map, setup);
  std::printf("%zu keys in %u shards\n", count, rkvs.ns->metadata()->shard_count);
  one_thread(setup, absl, rkvs, std_map);
  two_threads(setup, rkvs, std_map);
  oversubscribed("rkvs", rkvs, setup);
  oversubscribed("std + shared_mutex", std_map, setup);
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
