// What size and threads do to a store.
//
//   scale [--sizes=1e3,1e4,1e5,1e6,1e7] [--value=100] [--rounds=7] [--calls=100000]
//         [--large=] [--large_value=8] [--threads=2,4,8,16,32,64] [--thread_keys=1e6]
//         [--seconds=1] [--stores=rkvs,std,boost,tbb] [--json=FILE]
//
//   sizes    get, put and get of an absent key, by the number of keys, rkvs and the unlocked
//            absl::flat_hash_map in turns; and the memory a key, each in a process of its own
//   large    (--large=1e8, which takes 8.3 GB with values of 8 B) rkvs alone, in a process of its
//   own:
//            inserts, gets and memory, keys made on the way
//   threads  half reads, half overwrites, more threads than cores: operations a second, p99.9 and
//   the
//            worst wait of reads and writes, and the share of the slowest thread (1: all had as
//            many calls); a store that starves writers shows here
#include "bench/child.h"
#include "bench/suite.h"

namespace rkvs::bench {
namespace {

void sizes(const Options& options, Report& report) {
  if (options.list("sizes").empty()) return;
  std::map<size_t, Figures> gets;
  for (const size_t keys : options.numbers("sizes")) {
    {
      const Workload workload(keys, options.number("value"));
      const Field field({"absl", "rkvs"}, workload, report);
      const size_t calls = options.number("calls");
      for (const Op op : {Op::kGet, Op::kMiss, Op::kPut}) {
        std::vector<Side> sides;
        for (const auto& [name, contender] : field.all()) {
          Contender* const one = contender.get();
          sides.push_back({name, one->name(), [=](size_t segment, std::vector<double>* samples) {
                             return one->run(op, segment * calls, calls, samples);
                           }});
        }
        const Figures figures =
            compare(std::string(name_of(op)) + ", " + std::to_string(keys) + " keys",
                    {{"part", "sizes"}, {"keys", keys}, {"operation", name_of(op)}}, sides,
                    options.number("rounds"), report);
        if (op == Op::kGet) gets[keys] = figures;
      }
    }
    for (const char* name : {"rkvs", "absl"}) {
      std::string reason;
      const auto figures = ask_child(name, keys, options.number("value"), reason);
      if (figures.empty()) die(std::string("memory of ") + name + ": " + reason);
      std::printf("memory, %zu keys, %s: %.1f bytes a key\n", keys, name, figures[0]);
      std::fflush(stdout);
      report.row({{"part", "sizes"},
                  {"keys", keys},
                  {"operation", "memory"},
                  {"contender", name},
                  {"bytes", figures[0]}});
    }
  }
  const auto from = gets.find(1'000);
  const auto to = gets.find(10'000'000);
  if (from == gets.end() || to == gets.end()) {
    report.missing("self.get_growth", "it needs sizes of 1,000 and of 10,000,000 keys");
    return;
  }
  // How many times as much a get costs, round by round.
  std::vector<double> ours, theirs;
  for (size_t i = 0; i < from->second["rkvs"].size(); ++i) {
    ours.push_back(to->second["rkvs"][i] / from->second["rkvs"][i]);
    theirs.push_back(to->second["absl"][i] / from->second["absl"][i]);
  }
  report.target("self.get_growth", ours, theirs, "x", "theirs: the unlocked absl::flat_hash_map");
}

void large(const Options& options, Report& report) {
  for (const size_t keys : options.numbers("large")) {
    std::string reason;
    const auto figures = ask_child("rkvs", keys, options.number("large_value"), reason);
    if (figures.size() < 3) die(reason);
    std::printf("%zu keys, values of %zu B: %.1f bytes a key, insert %.0f ns, get %.0f ns\n", keys,
                options.number("large_value"), figures[0], figures[1], figures[2]);
    report.row({{"part", "large"},
                {"keys", keys},
                {"value", options.number("large_value")},
                {"bytes", figures[0]},
                {"insert_ns", figures[1]},
                {"get_ns", figures[2]}});
  }
}

void threads(const Options& options, Report& report) {
  if (options.list("threads").empty()) return;
  const Workload workload(options.number("thread_keys"), options.number("value"));
  const Field field(options.list("stores"), workload, report);
  for (const size_t count : options.numbers("threads")) {
    for (const auto& [name, contender] : field.all()) {
      const StressResult result =
          contender->stress({.threads = count, .seconds = std::stod(options.text("seconds"))});
      const auto calls = static_cast<double>(result.reads.size() + result.writes.size());
      const Latency reads = latency_of(result.reads);
      const Latency writes = latency_of(result.writes);
      const double share =
          static_cast<double>(*std::min_element(result.calls.begin(), result.calls.end())) *
          static_cast<double>(count) / calls;
      std::printf(
          "%2zu threads %-8s %7.2f M/s  reads p99.9 %9.1f worst %9.1f us  "
          "writes p99.9 %9.1f worst %9.1f us  slowest thread %.2f of its share\n",
          count, name.c_str(), calls / result.seconds / 1e6, reads.p999 / 1e3, reads.max / 1e3,
          writes.p999 / 1e3, writes.max / 1e3, share);
      std::fflush(stdout);
      report.row({{"part", "threads"},
                  {"threads", count},
                  {"contender", name},
                  {"per_second", calls / result.seconds},
                  {"reads", to_json(reads)},
                  {"writes", to_json(writes)},
                  {"slowest_share", share}});
    }
  }
}

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"sizes", "1e3,1e4,1e5,1e6,1e7"},
                         {"value", "100"},
                         {"rounds", "7"},
                         {"calls", "100000"},
                         {"large", ""},
                         {"large_value", "8"},
                         {"threads", "2,4,8,16,32,64"},
                         {"thread_keys", "1e6"},
                         {"seconds", "1"},
                         {"stores", "rkvs,std,boost,tbb"},
                         {"child", ""},
                         {"json", RKVS_BENCH_JSON}});
  if (!options.text("child").empty()) return answer_parent(options.text("child"));
  Report report("scale", options);
  sizes(options, report);
  large(options, report);
  threads(options, report);
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
