// What shards cost, how evenly keys fall into them, and what changing their number takes.
//
//   sharding_overhead [--keys=1e5] [--value=256] [--shards=1,2,4,8,16,32,64,128,0] [--rounds=5]
//                     [--calls=100000] [--stores=rkvs,rkvs_rs]
//                     [--resize_keys=1e6] [--resize_value=100] [--json=FILE] ...
//
//   get, set   one thread, by shard count (0: the default of a store); as in the suite operations
//   spread     the keys of each shard: the standard deviation and the fullest shard, beside keys /
//              shards, and what a fair die would give (which is not zero)
//   resize     4 -> 16 shards and back, RESIZE_KEYS keys; meanwhile one thread reads and another
//              overwrites (rkvs; rkvs-rs blocks both): operations that failed, and the longest one
#include <atomic>
#include <cmath>
#include <numeric>
#include <thread>

#include "bench/stores/process_contender.h"
#include "bench/stores/rkvs_store.h"
#include "bench/suite.h"

namespace rkvs::bench {
namespace {

void overhead(const Options& options, Report& report) {
  const size_t calls = options.number("calls");
  for (const size_t shards : options.numbers("shards")) {
    const Workload workload(options.number("keys"), options.number("value"),
                            static_cast<uint32_t>(shards));
    const Field field(options.list("stores"), workload, report);
    for (const Op op : {Op::kGet, Op::kSet}) {
      std::vector<Side> sides;
      for (const auto& [name, contender] : field.all()) {
        Contender* const one = contender.get();
        sides.push_back({name, one->name(), [=](size_t segment, std::vector<double>* samples) {
                           return one->run(op, segment * calls, calls, samples);
                         }});
      }
      compare(std::string(name_of(op)) + ", " + std::to_string(shards) + " shards",
              {{"part", "overhead"}, {"operation", name_of(op)}, {"shards", shards}}, sides,
              options.number("rounds"), report);
    }
  }
}

std::vector<double> keys_of_shards(Contender& contender) {
  std::vector<double> result;
  if (auto* const rkvs = dynamic_cast<InProcess<RkvsStore>*>(&contender)) {
    const auto counts = rkvs->store().ns->shard_key_counts();
    expect(counts.ok());
    for (const uint64_t count : *counts) result.push_back(static_cast<double>(count));
  } else if (auto* const process = dynamic_cast<ProcessContender*>(&contender)) {
    std::istringstream answer(process->answer("counts"));
    for (double count = 0; answer >> count;) result.push_back(count);
  }
  return result;
}

void spread(const Options& options, Report& report) {
  for (const size_t shards : options.numbers("shards")) {
    const Workload workload(options.number("keys"), options.number("value"),
                            static_cast<uint32_t>(shards));
    const Field field(options.list("stores"), workload, report);
    for (const auto& [name, contender] : field.all()) {
      const std::vector<double> counts = keys_of_shards(*contender);
      if (counts.empty()) continue;
      const auto number = static_cast<double>(counts.size());
      const double even = std::accumulate(counts.begin(), counts.end(), 0.0) / number;
      double square = 0;
      for (const double count : counts) square += (count - even) * (count - even);
      const double deviation = 100 * std::sqrt(square / number) / even;
      const double fair = 100 * std::sqrt((1 - 1 / number) / even);
      const double fullest = 100 * (*std::max_element(counts.begin(), counts.end()) / even - 1);
      std::printf(
          "spread, %zu shards asked for %-15s %-20s %5zu shards: deviation %.2f %% "
          "(a fair die: %.2f %%), fullest +%.2f %%\n",
          shards, "", name.c_str(), counts.size(), deviation, fair, fullest);
      std::fflush(stdout);
      report.row({{"part", "spread"},
                  {"contender", name},
                  {"shards", shards},
                  {"shards_there", counts.size()},
                  {"deviation_percent", deviation},
                  {"fair_percent", fair},
                  {"fullest_percent", fullest}});
    }
  }
}

// Seconds of a resize with a reader and a writer beside it.
double resize_beside_work(RkvsStore& store, const Workload& workload, uint32_t shards,
                          size_t& failed, double& longest) {
  std::atomic<bool> stop{false};
  std::atomic<size_t> failures{0};
  std::vector<double> most(2);
  std::vector<std::thread> workers;
  for (size_t t = 0; t < 2; ++t) {
    workers.emplace_back([&, t] {
      for (size_t i = t * 1000; !stop.load(std::memory_order_relaxed); ++i) {
        const auto start = Clock::now();
        const bool ok = t == 0 ? store.ns->get(workload.key(i)).ok()
                               : store.ns->put(workload.key(i), workload.value).ok();
        most[t] = std::max(most[t], seconds_since(start));
        if (!ok) ++failures;
      }
    });
  }
  const auto start = Clock::now();
  expect(store.ns->resize_shards(shards).ok());
  const double seconds = seconds_since(start);
  stop = true;
  for (auto& worker : workers) worker.join();
  failed += failures;
  longest = std::max({longest, most[0], most[1]});
  return seconds;
}

void resize(const Options& options, Report& report) {
  const Workload workload(options.number("resize_keys"), options.number("resize_value"), 4);
  RkvsStore store(workload);
  for (const std::string& key : workload.keys) store.put(key, workload.value);
  std::string reason;
  const auto peer = make_contender("rkvs_rs", workload, reason);
  if (peer == nullptr) {
    report.missing("rkvs_rs", reason);
  } else {
    peer->fill();
  }
  std::vector<double> alone, beside, theirs;
  size_t failed = 0;
  double longest = 0;
  for (size_t round = 0; round < options.number("rounds"); ++round) {
    const auto start = Clock::now();
    expect(store.ns->resize_shards(16).ok());
    alone.push_back(seconds_since(start));
    expect(store.ns->resize_shards(4).ok());
    beside.push_back(resize_beside_work(store, workload, 16, failed, longest));
    expect(store.ns->resize_shards(4).ok());
    if (auto* const process = dynamic_cast<ProcessContender*>(peer.get())) {
      theirs.push_back(process->tell("resize 16"));
      expect(theirs.back() >= 0);
      // What it would take back to 4 is not asked for: it refuses to shrink.
      peer->fill();
    }
  }
  std::printf(
      "resize 4 -> 16: %.4f s; beside a reader and a writer %.4f s, %zu operations failed, "
      "the longest took %.0f us\n",
      median(alone), median(beside), failed, longest * 1e6);
  if (!theirs.empty()) {
    std::printf("resize 4 -> 16, rkvs-rs: %.4f s\n", median(theirs));
    report.target("rkvs_rs.resize", alone, theirs, "s");
  }
  report.target("rkvs_rs.resize_failures", {static_cast<double>(failed)}, {}, "operations");
  report.row({{"part", "resize"},
              {"keys", workload.keys.size()},
              {"seconds", median(alone)},
              {"seconds_beside_work", median(beside)},
              {"failed", failed},
              {"longest_us", longest * 1e6},
              {"rkvs_rs_seconds", theirs.empty() ? json(nullptr) : json(median(theirs))}});
}

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e5"},
                         {"value", "256"},
                         {"shards", "1,2,4,8,16,32,64,128,0"},
                         {"rounds", "5"},
                         {"calls", "100000"},
                         {"stores", "rkvs,rkvs_rs"},
                         {"resize_keys", "1e6"},
                         {"resize_value", "100"},
                         {"json", RKVS_BENCH_JSON}});
  Report report("sharding_overhead", options);
  overhead(options, report);
  spread(options, report);
  resize(options, report);
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
