// Memory a key.
//
//   memory [--keys=1e6] [--values=16,100] [--rounds=3] [--stores=NAME,...] [--json=FILE]
//
// Each store is filled in processes of their own, which are this program again, key by key in an
// order that has nothing to do with the keys'; what resident memory grows by, by the number of
// keys, the median of the rounds: the seed of the hash decides which tables have just grown. Keys
// have 14 bytes. Nothing is overwritten or deleted. Not LMDB, whose pages are the page cache's, and
// not Redis, which is no table in the program.
//
// Then what rkvs's bytes are, right after filling and when nobody has written for 1.5 seconds:
// entries; tables; what is free in regions in use, left over from tables that have grown, or cached
// by threads; regions in reserve; the rest (shards, routing, pages never touched: less than 0).
#include <map>
#include <numeric>
#include <thread>

#include "base/arena.h"
#include "bench/child.h"
#include "bench/report.h"
#include "bench/stores/rkvs_store.h"
#include "store/entry.h"

namespace rkvs::bench {
namespace {

constexpr const char* kParts[] = {"entries", "tables", "free in regions", "regions in reserve",
                                  "the rest"};
constexpr const char* kPartsOf = "parts";  // a child's name

// In the child: prints the parts in bytes a key, twice.
int print_parts(size_t keys, size_t value_size) {
  using internal::Arena;
  constexpr double kRegion = 2 << 20;
  const std::string value(value_size, 'v');
  size_t step = static_cast<size_t>(static_cast<double>(keys) * 0.618) | 1;
  while (std::gcd(step, keys) != 1) step += 2;
  RkvsStore store{NamespaceConfig{}};
  const size_t before = resident_bytes();
  for (size_t n = 0, i = 0; n < keys; ++n, i = (i + step) % keys) {
    store.put(NumberedKey("key_", i).view(), value);
  }
  for (int at = 0; at < 2; ++at) {
    if (at != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    const auto resident = static_cast<double>(resident_bytes() - before);
    const auto arena = Arena::stats();
    const auto stats = store.manager->namespace_stats("bench");
    expect(stats.ok());
    const auto entries = static_cast<double>(
        keys * Arena::packed_block_size(internal::Entry::size_of(14, value_size, false)));
    const double tables = static_cast<double>(stats->memory_bytes) - entries;
    const double reserve = static_cast<double>(arena.reserve_regions) * kRegion;
    const double free = static_cast<double>(arena.regions) * kRegion - reserve -
                        static_cast<double>(arena.bytes_in_use);
    const double rest = resident - entries - tables - reserve - free;
    for (const double part : {entries, tables, free, reserve, rest}) {
      std::printf("%.2f ", part / static_cast<double>(keys));
    }
  }
  std::printf("\n");
  return 0;
}

void parts(size_t keys, size_t value, Report& report) {
  std::string reason;
  const std::vector<double> bytes = ask_child(kPartsOf, keys, value, reason);
  if (bytes.size() != 2 * std::size(kParts)) die("the parts of rkvs: " + reason);
  for (size_t i = 0; i < std::size(kParts); ++i) {
    const double at_rest = bytes[i + std::size(kParts)];
    std::printf("%zu keys, values of %3zu B: rkvs: %-20s %7.1f bytes a key, at rest %.1f\n", keys,
                value, kParts[i], bytes[i], at_rest);
    report.row({{"part", kParts[i]},
                {"keys", keys},
                {"value", value},
                {"bytes", bytes[i]},
                {"bytes_at_rest", at_rest}});
  }
  std::fflush(stdout);
}

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e6"},
                         {"values", "16,100"},
                         {"rounds", "3"},
                         {"stores", "rkvs,absl,boost,std,tbb,rkvs_rs_4,rkvs_rs_16,dashmap"},
                         {"child", ""},
                         {"json", RKVS_BENCH_JSON}});
  if (!options.text("child").empty()) {
    std::istringstream words(options.text("child"));
    std::string name;
    size_t child_keys = 0;
    size_t child_value = 0;
    words >> name >> child_keys >> child_value;
    if (name == kPartsOf) return print_parts(child_keys, child_value);
    return answer_parent(options.text("child"));
  }
  const size_t keys = options.number("keys");
  Report report("memory", options);
  for (const size_t value : options.numbers("values")) {
    std::map<std::string, std::vector<double>> bytes;
    for (size_t round = 0; round < options.number("rounds"); ++round) {
      for (const std::string& name : options.list("stores")) {
        std::string reason;
        const std::vector<double> costs = ask_child(name, keys, value, reason);
        if (costs.empty()) {
          if (round == 0) report.missing(peer_of(name), reason);
        } else {
          bytes[name].push_back(costs[0]);
        }
      }
    }
    for (const std::string& name : options.list("stores")) {
      if (bytes.count(name) == 0) continue;
      std::printf("%zu keys, values of %3zu B: %-12s %7.1f bytes a key\n", keys, value,
                  name.c_str(), median(bytes[name]));
      std::fflush(stdout);
      report.row(
          {{"keys", keys}, {"value", value}, {"contender", name}, {"bytes", median(bytes[name])}});
    }
    const std::string what = ".memory_" + std::to_string(value);
    if (bytes.count("rkvs") == 0) continue;
    parts(keys, value, report);
    if (bytes.count("boost") != 0) {
      report.target("boost" + what, bytes["rkvs"], bytes["boost"], "B");
    }
    if (bytes.count("rkvs_rs_4") != 0 && bytes.count("rkvs_rs_16") != 0) {
      const bool four = median(bytes["rkvs_rs_4"]) < median(bytes["rkvs_rs_16"]);
      report.target("rkvs_rs" + what, bytes["rkvs"], bytes[four ? "rkvs_rs_4" : "rkvs_rs_16"], "B");
    }
  }
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
