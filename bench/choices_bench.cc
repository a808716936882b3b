// The choices inside the store, each against its alternatives.
//
//   choices_bench shards [KEYS] [ROUNDS]   entries a shard: get, set and batch get by shard count
//   choices_bench header [KEYS] [ROUNDS]   20 bytes of entry header against 32
//   choices_bench mover  [KEYS]            who moves the buckets of an automatic resize: how long
//                                          a thread that inserts waits at most
//   choices_bench pages  [KEYS] [ROUNDS] [JSON]
//                                          with transparent huge pages and without, each in a
//                                          process of its own: fill, get, put
//
// docs/design.md says what was chosen and shows the figures.
#include <sys/prctl.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "base/arena.h"
#include "bench/measure.h"
#include "bench/report.h"
#include "bench/stores/map_store.h"
#include "bench/stores/rkvs_store.h"
#include "bench/workload.h"
#include "store/entry.h"

namespace rkvs::bench {
namespace {

const std::string kValue(100, 'v');
constexpr size_t kSegment = 50'000;

// --- shards --------------------------------------------------------------------------------------

void shards(size_t count, size_t rounds) {
  const std::vector<std::string> keys = make_keys(count);
  const std::vector<uint32_t> access = random_order(count, 2);
  const auto key = [&](size_t i) -> const std::string& { return keys[access[i % count]]; };

  std::vector<std::unique_ptr<RkvsStore>> stores;
  std::vector<std::string> names;
  for (const uint32_t shard_count : {4U, 16U, 64U, 128U, 256U, 1024U, 4096U}) {
    stores.push_back(std::make_unique<RkvsStore>(NamespaceConfig{.shard_count = shard_count}));
    for (const uint32_t i : random_order(count, 1)) stores.back()->put(keys[i], kValue);
    names.push_back(std::to_string(shard_count) + " shards, " +
                    std::to_string(count / shard_count) + " entries each");
  }
  const auto ask = [&](const char* question, auto work) {
    std::vector<Candidate> candidates;
    for (size_t s = 0; s < stores.size(); ++s) {
      candidates.push_back({names[s], [&, s](size_t segment) {
                              const auto start = Clock::now();
                              work(*stores[s], segment * kSegment);
                              return seconds_since(start);
                            }});
    }
    print_ratios(question, candidates, take_turns(candidates, rounds, 6), 6 * kSegment, 4);
  };
  ask("get", [&](RkvsStore& store, size_t first) {
    for (size_t i = first; i < first + kSegment; ++i) {
      Value value;
      if (!store.get(key(i), value)) std::abort();
    }
  });
  ask("set", [&](RkvsStore& store, size_t first) {
    for (size_t i = first; i < first + kSegment; ++i) store.put(key(i), kValue);
  });
  ask("batch get of 100", [&](RkvsStore& store, size_t first) {
    std::vector<std::string_view> batch(100);
    for (size_t i = first; i < first + kSegment; i += batch.size()) {
      for (size_t j = 0; j < batch.size(); ++j) batch[j] = key(i + j);
      if (!store.ns->get_multiple(batch, BatchMode::kAllOrNothing).is_success()) std::abort();
    }
  });
}

// --- header --------------------------------------------------------------------------------------

// An entry like the store's with a header of `kHeader` bytes, of which the first are the
// references.
template <size_t kHeader>
struct Block {
  static size_t size(std::string_view key, std::string_view value) {
    return kHeader + key.size() + value.size();
  }
  static char* make(std::string_view key, std::string_view value) {
    auto* block = static_cast<char*>(internal::Arena::allocate(size(key, value)));
    std::memset(block, 0, kHeader);
    std::memcpy(block + kHeader, key.data(), key.size());
    std::memcpy(block + kHeader + key.size(), value.data(), value.size());
    return block;
  }
};

struct IdentityHash {
  size_t operator()(uint64_t hash) const { return hash; }
};

template <size_t kHeader>
struct HeaderStore {
  absl::flat_hash_map<uint64_t, char*, IdentityHash> map;

  void set(std::string_view key) {
    char*& slot = map[StringHash()(key)];
    char* old = slot;
    slot = Block<kHeader>::make(key, kValue);
    if (old != nullptr) internal::Arena::deallocate(old, Block<kHeader>::size(key, kValue));
  }
  void get(std::string_view key) {
    char* block = map.find(StringHash()(key))->second;
    if (std::memcmp(block + kHeader, key.data(), key.size()) != 0) std::abort();
    auto* references = reinterpret_cast<std::atomic<uint32_t>*>(block);
    references->fetch_add(1, std::memory_order_relaxed);
    references->fetch_sub(1, std::memory_order_acq_rel);
  }
};

template <size_t kHeader>
void add_header(std::vector<std::shared_ptr<void>>& owners, std::vector<Candidate>& gets,
                std::vector<Candidate>& sets, const std::vector<std::string>& keys,
                const std::vector<uint32_t>& access) {
  auto store = std::make_shared<HeaderStore<kHeader>>();
  for (const uint32_t i : random_order(keys.size(), 1)) store->set(keys[i]);
  const std::string name =
      std::to_string(kHeader) + " bytes of header, " +
      std::to_string(internal::Arena::block_size(Block<kHeader>::size(keys[0], kValue))) +
      " a block";
  const auto candidate = [&](auto work) {
    return Candidate{name, [work, &keys, &access](size_t segment) {
                       const auto start = Clock::now();
                       for (size_t i = 0; i < kSegment; ++i) {
                         work(keys[access[(segment * kSegment + i) % keys.size()]]);
                       }
                       return seconds_since(start);
                     }};
  };
  gets.push_back(candidate([s = store.get()](const std::string& key) { s->get(key); }));
  sets.push_back(candidate([s = store.get()](const std::string& key) { s->set(key); }));
  owners.push_back(store);
}

void header(size_t count, size_t rounds) {
  const std::vector<std::string> keys = make_keys(count);
  const std::vector<uint32_t> access = random_order(count, 2);
  std::vector<std::shared_ptr<void>> owners;
  std::vector<Candidate> gets;
  std::vector<Candidate> sets;
  add_header<32>(owners, gets, sets, keys, access);
  add_header<20>(owners, gets, sets, keys, access);
  print_ratios("get", gets, take_turns(gets, rounds, 10), 10 * kSegment);
  print_ratios("overwrite", sets, take_turns(sets, rounds, 10), 10 * kSegment);
}

// --- mover ---------------------------------------------------------------------------------------

constexpr uint64_t kThreshold = 6000;

void show_waits(const char* name, std::vector<double>& waits, double total) {
  const double p999 = percentile(waits, 0.999);
  const double p9999 = percentile(waits, 0.9999);
  std::printf("%-44s %6.2f M inserts/s  p99.9 %7.1f us  p99.99 %8.1f us  worst %9.1f us\n", name,
              static_cast<double>(waits.size()) / total / 1e6, p999, p9999, waits.back());
  std::fflush(stdout);
}

// Inserts all keys; `after(inserted)` runs inside the timed call.
template <typename Store, typename After>
void insert_all(const char* name, Store& store, const std::vector<std::string>& keys, After after) {
  std::vector<double> waits;
  waits.reserve(keys.size());
  const auto begun = Clock::now();
  for (const uint32_t i : random_order(keys.size(), 1)) {
    const auto start = Clock::now();
    store.put(keys[i], kValue);
    after(waits.size() + 1);
    waits.push_back(seconds_since(start) * 1e6);
  }
  show_waits(name, waits, seconds_since(begun));
}

void mover(size_t count) {
  const std::vector<std::string> keys = make_keys(count);
  {
    AbslStore store;
    insert_all("absl, unlocked, one table", store, keys, [](size_t) {});
  }
  for (const uint32_t fixed : {64U, 4096U}) {
    RkvsStore store({.shard_count = fixed});
    const std::string name = std::to_string(fixed) + " shards from the beginning";
    insert_all(name.c_str(), store, keys, [](size_t) {});
  }
  {
    RkvsStore store(NamespaceConfig{});
    insert_all("automatic: each insert moves a little", store, keys, [](size_t) {});
  }
  {
    RkvsStore store({.shard_count = 16});
    uint32_t shards = 16;
    insert_all("the insert that finds it full moves it all", store, keys, [&](size_t inserted) {
      if (inserted > shards * kThreshold && shards < 4096) {
        expect(store.ns->resize_shards(shards *= 4).ok());
      }
    });
  }
  {
    RkvsStore store({.shard_count = 16});
    std::atomic<size_t> keys_now{0};
    std::atomic<bool> stop{false};
    std::thread background([&] {
      uint32_t shards = 16;
      while (!stop) {
        if (keys_now > shards * kThreshold && shards < 4096) {
          expect(store.ns->resize_shards(shards *= 4).ok());
        } else {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
      }
    });
    insert_all("a thread of its own moves", store, keys,
               [&](size_t inserted) { keys_now.store(inserted, std::memory_order_relaxed); });
    stop = true;
    background.join();
  }
}

// --- pages ---------------------------------------------------------------------------------------

// In the child: nanoseconds a key to fill, get and put.
void fill_and_use(size_t count) {
  const std::vector<std::string> keys = make_keys(count);
  const std::vector<uint32_t> access = random_order(count, 2);
  RkvsStore store(NamespaceConfig{});
  const auto time = [&](const std::vector<uint32_t>& order, auto work) {
    const auto start = Clock::now();
    for (const uint32_t i : order) work(keys[i]);
    std::printf("%.2f ", seconds_since(start) * 1e9 / static_cast<double>(count));
  };
  time(random_order(count, 1), [&](const std::string& key) { store.put(key, kValue); });
  time(access, [&](const std::string& key) {
    Value value;
    expect(store.get(key, value));
  });
  time(access, [&](const std::string& key) { store.put(key, kValue); });
}

void pages(const char* self, size_t count, size_t rounds, const char* json_file) {
  const char* const kOperations[] = {"fill", "get", "put"};
  std::array<std::vector<double>, std::size(kOperations)> with, without, ratios;
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t turn = 0; turn < 2; ++turn) {
      const bool huge = (round + turn) % 2 == 0;
      const std::string command =
          "'" + std::string(self) + "' page_child " + std::to_string(count) + (huge ? " 1" : " 0");
      std::FILE* const child = ::popen(command.c_str(), "r");
      expect(child != nullptr);
      for (auto& figures : huge ? with : without) {
        double ns = 0;
        expect(std::fscanf(child, "%lf", &ns) == 1);
        figures.push_back(ns);
      }
      expect(::pclose(child) == 0);
    }
    for (size_t i = 0; i < ratios.size(); ++i) {
      ratios[i].push_back(without[i].back() / with[i].back());
    }
  }
  const Options options(0, nullptr, {{"json", json_file}});
  Report report("pages", options);
  for (size_t i = 0; i < ratios.size(); ++i) {
    report.row({{"operation", kOperations[i]},
                {"keys", count},
                {"with_ns", median(with[i])},
                {"without_ns", median(without[i])},
                {"ratio", median(ratios[i])}});
    std::printf("%-5s with huge pages %7.1f ns, without %7.1f ns  x%.2f\n", kOperations[i],
                median(with[i]), median(without[i]), median(ratios[i]));
  }
  report.write();
}

int main_of(int argc, char** argv) {
  const std::string_view question = argc > 1 ? argv[1] : "";
  const auto number = [&](int i, size_t otherwise) {
    return argc > i ? std::strtoul(argv[i], nullptr, 10) : otherwise;
  };
  if (question == "shards") {
    shards(number(2, 1'000'000), number(3, 5));
  } else if (question == "header") {
    header(number(2, 1'000'000), number(3, 9));
  } else if (question == "mover") {
    mover(number(2, 4'000'000));
  } else if (question == "pages") {
    pages(argv[0], number(2, 1'000'000), number(3, 7), argc > 4 ? argv[4] : "");
  } else if (question == "page_child") {
    if (number(3, 1) == 0) expect(::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    fill_and_use(number(2, 1'000'000));
  } else {
    std::fprintf(stderr, "usage: choices_bench shards|header|mover|pages [KEYS] [ROUNDS]\n");
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
