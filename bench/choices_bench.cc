// The choices inside the store, each against its alternatives.
//
//   choices_bench shards     [KEYS] [ROUNDS]  entries a shard: get, set, batch get by shard count
//   choices_bench header     [KEYS] [ROUNDS]  20 bytes of entry header against 32
//   choices_bench mover      [KEYS] [ROUNDS]  who moves the buckets of an automatic resize: how
//                                             long a thread that inserts waits at most
//   choices_bench pages      [KEYS] [ROUNDS]  with transparent huge pages and without, each in a
//                                             process of its own: fill, get, put, batch get, memory
//   choices_bench allocators [KEYS] [ROUNDS]  the same under glibc's malloc, with its huge pages,
//                                             and those of jemalloc, mimalloc, tcmalloc that are
//                                             there
//
// Each writes <build>/choices_<question>.json. docs/design.md and docs/performance.md show the
// figures and say what was chosen.
#include <sys/prctl.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
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

// What is asked, with the name of the file that the answer goes to.
Report report_of(const std::string& question) {
  const std::filesystem::path folder = std::filesystem::path(RKVS_BENCH_JSON).parent_path();
  return {"choices_" + question,
          Options(0, nullptr, {{"json", folder / ("choices_" + question + ".json")}})};
}

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
  Report report = report_of("shards");
  const auto ask = [&](const char* question, auto work) {
    std::vector<Candidate> candidates;
    for (size_t s = 0; s < stores.size(); ++s) {
      candidates.push_back({names[s], [&, s](size_t segment) {
                              const auto start = Clock::now();
                              work(*stores[s], segment * kSegment);
                              return seconds_since(start);
                            }});
    }
    report.ratios(question, candidates, take_turns(candidates, rounds, 6), 6 * kSegment, 4);
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
  report.write();
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
  Report report = report_of("header");
  report.ratios("get", gets, take_turns(gets, rounds, 10), 10 * kSegment);
  report.ratios("overwrite", sets, take_turns(sets, rounds, 10), 10 * kSegment);
  report.write();
}

// --- mover ---------------------------------------------------------------------------------------

constexpr uint64_t kThreshold = 6000;

// Of the calls of one round.
struct Waits {
  double per_second = 0;
  double p999_us = 0;
  double p9999_us = 0;
  double max_us = 0;
};

// Inserts all keys; `after(inserted)` runs inside the timed call.
template <typename Store, typename After>
Waits insert_all(Store& store, const std::vector<std::string>& keys, After after) {
  std::vector<double> waits;
  waits.reserve(keys.size());
  const auto begun = Clock::now();
  for (const uint32_t i : random_order(keys.size(), 1)) {
    const auto start = Clock::now();
    store.put(keys[i], kValue);
    after(waits.size() + 1);
    waits.push_back(seconds_since(start) * 1e6);
  }
  const double total = seconds_since(begun);
  Waits result;
  result.per_second = static_cast<double>(waits.size()) / total;
  result.p999_us = percentile(waits, 0.999);
  result.p9999_us = percentile(waits, 0.9999);
  result.max_us = waits.back();
  return result;
}

struct Mover {
  std::string name;
  std::function<Waits(const std::vector<std::string>& keys)> run;
};

std::vector<Mover> movers() {
  std::vector<Mover> result;
  const auto nothing = [](size_t) {};
  result.push_back({"absl, unlocked, one table", [=](const auto& keys) {
                      AbslStore store;
                      return insert_all(store, keys, nothing);
                    }});
  for (const uint32_t fixed : {64U, 4096U}) {
    result.push_back({std::to_string(fixed) + " shards from the beginning", [=](const auto& keys) {
                        RkvsStore store({.shard_count = fixed});
                        return insert_all(store, keys, nothing);
                      }});
  }
  result.push_back({"automatic: each insert moves a little", [=](const auto& keys) {
                      RkvsStore store(NamespaceConfig{});
                      return insert_all(store, keys, nothing);
                    }});
  result.push_back({"the insert that finds it full moves it all", [](const auto& keys) {
                      RkvsStore store({.shard_count = 16});
                      uint32_t shards = 16;
                      return insert_all(store, keys, [&](size_t inserted) {
                        if (inserted > shards * kThreshold && shards < 4096) {
                          expect(store.ns->resize_shards(shards *= 4).ok());
                        }
                      });
                    }});
  result.push_back({"a thread of its own moves", [](const auto& keys) {
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
                      const Waits waits = insert_all(store, keys, [&](size_t inserted) {
                        keys_now.store(inserted, std::memory_order_relaxed);
                      });
                      stop = true;
                      background.join();
                      return waits;
                    }});
  return result;
}

void mover(size_t count, size_t rounds) {
  Report report = report_of("mover");
  const std::vector<std::string> keys = make_keys(count);
  const std::vector<Mover> all = movers();
  std::vector<std::vector<Waits>> found(all.size());
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t turn = (i + round) % all.size();
      found[turn].push_back(all[turn].run(keys));
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const auto middle = [&](double Waits::*figure) {
      std::vector<double> values;
      for (const Waits& waits : found[i]) values.push_back(waits.*figure);
      return median(values);
    };
    std::printf("%-44s %6.2f M inserts/s  p99.9 %7.1f us  p99.99 %8.1f us  worst %9.1f us\n",
                all[i].name.c_str(), middle(&Waits::per_second) / 1e6, middle(&Waits::p999_us),
                middle(&Waits::p9999_us), middle(&Waits::max_us));
    report.row({{"contender", all[i].name},
                {"keys", count},
                {"per_second", middle(&Waits::per_second)},
                {"p999_us", middle(&Waits::p999_us)},
                {"p9999_us", middle(&Waits::p9999_us)},
                {"max_us", middle(&Waits::max_us)}});
  }
  report.write();
}

// --- pages and allocators ------------------------------------------------------------------------

constexpr const char* kFigures[] = {"fill, ns", "get, ns", "put, ns",
                                    "batch get of 100, ns an item", "memory, bytes a key"};
using Row = std::array<double, std::size(kFigures)>;

// In the child: whether `library` is what it runs with, and the figures.
void fill_and_use(size_t count, const std::string& library) {
  std::ifstream maps("/proc/self/maps");
  const std::string text{std::istreambuf_iterator<char>(maps), {}};
  if (text.find(library) == std::string::npos) {
    std::printf("0\n");
    return;
  }
  const std::vector<std::string> keys = make_keys(count);
  const std::vector<uint32_t> access = random_order(count, 2);
  const std::vector<uint32_t> order = random_order(count, 1);
  RkvsStore store(NamespaceConfig{});
  std::printf("1 ");
  const auto time = [&](auto work) {
    const auto start = Clock::now();
    work();
    std::printf("%.2f ", seconds_since(start) * 1e9 / static_cast<double>(count));
  };
  const size_t before = resident_bytes();
  time([&] {
    for (const uint32_t i : order) store.put(keys[i], kValue);
  });
  const size_t after = resident_bytes();
  time([&] {
    for (const uint32_t i : access) {
      Value value;
      expect(store.get(keys[i], value));
    }
  });
  time([&] {
    for (const uint32_t i : access) store.put(keys[i], kValue);
  });
  time([&] {
    std::vector<std::string_view> batch(100);
    for (size_t i = 0; i < count; i += batch.size()) {
      for (size_t j = 0; j < batch.size(); ++j) batch[j] = keys[access[(i + j) % count]];
      store.get_batch(batch, true);
    }
  });
  std::printf("%.2f\n", static_cast<double>(after - before) / static_cast<double>(count));
}

// What a child found; nothing where it had not the library.
std::optional<Row> ask_process(const char* self, size_t count, const std::string& environment,
                               const std::string& library, bool huge) {
  // The loader complains of a library that it does not find, and goes on.
  const std::string command = environment + " '" + self + "' page_child " + std::to_string(count) +
                              (huge ? " 1 '" : " 0 '") + library + "' 2>/dev/null";
  std::FILE* const child = ::popen(command.c_str(), "r");
  expect(child != nullptr);
  int there = 0;
  expect(std::fscanf(child, "%d", &there) == 1);
  Row row{};
  for (double& figure : row) expect(there == 0 || std::fscanf(child, "%lf", &figure) == 1);
  expect(::pclose(child) == 0);
  return there == 0 ? std::nullopt : std::optional<Row>(row);
}

struct Setting {
  const char* name;
  std::string environment;
  std::string library;  // a part of the name of a file that the process must have mapped
  bool huge = true;     // pages, where the system gives them
};

// Each setting in turns; ratios are to the first.
void in_processes(const char* self, size_t count, size_t rounds, std::vector<Setting> settings,
                  Report& report) {
  std::erase_if(settings, [&](const Setting& one) {
    if (ask_process(self, 100, one.environment, one.library, one.huge)) return false;
    report.missing(one.name, "it is not installed");
    return true;
  });
  std::vector<std::vector<Row>> found(settings.size());
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < settings.size(); ++i) {
      const size_t turn = (i + round) % settings.size();
      const Setting& one = settings[turn];
      const auto row = ask_process(self, count, one.environment, one.library, one.huge);
      expect(row.has_value());
      found[turn].push_back(*row);
    }
  }
  for (size_t figure = 0; figure < std::size(kFigures); ++figure) {
    for (size_t i = 0; i < settings.size(); ++i) {
      std::vector<double> values, ratios;
      for (size_t round = 0; round < rounds; ++round) {
        values.push_back(found[i][round][figure]);
        ratios.push_back(found[i][round][figure] / found[0][round][figure]);
      }
      std::printf("%-30s %-32s %8.1f  x%.2f\n", kFigures[figure], settings[i].name, median(values),
                  median(ratios));
      report.row({{"operation", kFigures[figure]},
                  {"contender", settings[i].name},
                  {"keys", count},
                  {"figure", median(values)},
                  {"ratio", median(ratios)}});
    }
  }
  report.write();
}

void pages(const char* self, size_t count, size_t rounds) {
  Report report = report_of("pages");
  in_processes(self, count, rounds, {{"with", "", ""}, {"without", "", "", false}}, report);
}

void allocators(const char* self, size_t count, size_t rounds) {
  Report report = report_of("allocators");
  in_processes(self, count, rounds,
               {{"glibc", "", ""},
                {"glibc, huge pages", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1", ""},
                {"jemalloc", "LD_PRELOAD=libjemalloc.so.2", "libjemalloc"},
                {"mimalloc", "LD_PRELOAD=libmimalloc.so.2", "libmimalloc"},
                {"tcmalloc", "LD_PRELOAD=libtcmalloc_minimal.so.4", "libtcmalloc"}},
               report);
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
    mover(number(2, 4'000'000), number(3, 5));
  } else if (question == "pages") {
    pages(argv[0], number(2, 1'000'000), number(3, 7));
  } else if (question == "allocators") {
    allocators(argv[0], number(2, 1'000'000), number(3, 7));
  } else if (question == "page_child") {
    if (number(3, 1) == 0) expect(::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    fill_and_use(number(2, 1'000'000), argc > 4 ? argv[4] : "");
  } else {
    std::fprintf(stderr,
                 "usage: choices_bench shards|header|mover|pages|allocators [KEYS] [ROUNDS]\n");
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
