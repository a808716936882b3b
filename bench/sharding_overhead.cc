// What shards cost, how evenly keys fall into them, and what changing their number takes.
//
//   sharding_overhead [--keys=1e5] [--value=256] [--shards=1,2,4,8,16,32,64,128,0] [--rounds=5]
//                     [--calls=100000] [--stores=rkvs,rkvs_rs]
//                     [--resize_keys=1e6] [--resize_value=100] [--json=FILE] ...
//
//   get, set   one thread, by shard count (0: the default of a store); as in the suite operations
//   spread     the keys of each shard: the standard deviation and the fullest shard, beside keys /
//              shards, and what a fair die would give (which is not zero)
//   resize     4 -> 16 shards and back, RESIZE_KEYS keys; also while one thread reads and another
//              overwrites (rkvs; rkvs-rs blocks both), whose operations have a line of their own:
//              nanoseconds of wall clock an operation of both together, and how many failed
//
// Each line but those of the spread, as in the other suites: nanoseconds an operation, the median
// of the rounds; operations a second; the ratio to rkvs; of single calls min, mean, p99 and max. Of
// resizes an operation is a resize and the single ones are those of all rounds; of what is done
// beside them each 16th is one, and the longest of all is the max.
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

std::vector<double> in_seconds(std::vector<double> ns) {
  for (double& one : ns) one *= 1e-9;
  return ns;
}

// What a reader and a writer did beside resizes.
struct Work {
  size_t failed = 0;
  std::vector<double> ns;       // of wall clock an operation of both together, by resize
  std::vector<double> samples;  // of each 16th operation
  double longest = 0;           // nanoseconds, of all
};

// Nanoseconds of a resize with a reader and a writer beside it.
double resize_beside_work(RkvsStore& store, const Workload& workload, uint32_t shards, Work& work) {
  std::atomic<bool> stop{false};
  std::vector<Work> done(2);
  std::atomic<size_t> operations{0};
  std::vector<std::thread> workers;
  const auto begin = Clock::now();
  for (size_t t = 0; t < done.size(); ++t) {
    workers.emplace_back([&, t] {
      Work mine;
      size_t count = 0;
      for (; !stop.load(std::memory_order_relaxed); ++count) {
        const std::string& key = workload.key(t * 1000 + count);
        const auto start = Clock::now();
        const bool ok = t == 0 ? store.ns->get(key).ok() : store.ns->put(key, workload.value).ok();
        const double took = seconds_since(start) * 1e9;
        mine.longest = std::max(mine.longest, took);
        if (count % 16 == 0) mine.samples.push_back(took);
        if (!ok) ++mine.failed;
      }
      operations += count;
      done[t] = std::move(mine);
    });
  }
  const auto start = Clock::now();
  expect(store.ns->resize_shards(shards).ok());
  const double ns = seconds_since(start) * 1e9;
  stop = true;
  const double all = seconds_since(begin) * 1e9;
  for (auto& worker : workers) worker.join();
  for (const Work& one : done) {
    work.failed += one.failed;
    work.samples.insert(work.samples.end(), one.samples.begin(), one.samples.end());
    work.longest = std::max(work.longest, one.longest);
  }
  work.ns.push_back(all / static_cast<double>(std::max<size_t>(1, operations)));
  return ns;
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
  std::vector<double> alone, beside, theirs;  // nanoseconds
  Work work;
  for (size_t round = 0; round < options.number("rounds"); ++round) {
    const auto start = Clock::now();
    expect(store.ns->resize_shards(16).ok());
    alone.push_back(seconds_since(start) * 1e9);
    expect(store.ns->resize_shards(4).ok());
    beside.push_back(resize_beside_work(store, workload, 16, work));
    expect(store.ns->resize_shards(4).ok());
    if (auto* const process = dynamic_cast<ProcessContender*>(peer.get())) {
      theirs.push_back(process->tell("resize 16") * 1e9);
      expect(theirs.back() >= 0);
      // What it would take back to 4 is not asked for: it refuses to shrink.
      peer->fill();
    }
  }
  const std::string keys = std::to_string(workload.keys.size()) + " keys";
  const auto line = [&](const char* name, const char* title, const std::vector<double>& ns) {
    add_line("resize 4 -> 16, " + keys, {{"part", "resize"}, {"keys", workload.keys.size()}}, name,
             title, ns, alone, latency_of(ns), report);
  };
  line("rkvs", "rkvs", alone);
  line("rkvs_beside_work", "rkvs, beside two threads", beside);
  if (!theirs.empty()) {
    line("rkvs_rs", "rkvs-rs", theirs);
    report.target("rkvs_rs.resize", in_seconds(alone), in_seconds(theirs), "s");
  }
  Latency operations = latency_of(work.samples);
  operations.max = work.longest;
  add_line("a get or put beside a resize, " + keys,
           {{"part", "beside_resize"}, {"keys", workload.keys.size()}, {"failed", work.failed}},
           "rkvs", "rkvs", work.ns, work.ns, operations, report);
  report.target("rkvs_rs.resize_failures", {static_cast<double>(work.failed)}, {}, "operations");
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
