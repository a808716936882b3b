// Batches, on several threads, each with keys of its own.
//
//   batch_concurrent [--keys=1e5] [--value=256] [--shards=1,5,10,15,0] [--tasks=8,16,32,64,128]
//                    [--sizes=50,100,200] [--operations=100000] [--rounds=3]
//                    [--stores=rkvs,boost,rkvs_rs] [--json=FILE] ...
//
// Sets, gets and deletes in both modes, as in the benchmark of rkvs-rs; every other batch of
// deletes is a set that puts back what the one before removed. 0 shards is the default of a store.
// A task is a thread here, a task of tokio there. Each line: nanoseconds of wall clock an ITEM of
// all threads together, the median of the rounds; items a second; the ratio to rkvs; and of whole
// BATCHES min, mean, p99 and max.
#include "bench/suite.h"

namespace rkvs::bench {
namespace {

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e5"},
                         {"value", "256"},
                         {"shards", "1,5,10,15,0"},
                         {"tasks", "8,16,32,64,128"},
                         {"sizes", "50,100,200"},
                         {"operations", "100000"},
                         {"rounds", "3"},
                         {"stores", "rkvs,boost,rkvs_rs"},
                         {"directory", "."},
                         {"json", RKVS_BENCH_JSON}});
  Report report("batch_concurrent", options);
  for (const size_t shards : options.numbers("shards")) {
    const Workload workload(options.number("keys"), options.number("value"),
                            static_cast<uint32_t>(shards));
    const Field field(options.list("stores"), workload, report);
    for (const size_t tasks : options.numbers("tasks")) {
      for (const size_t size : options.numbers("sizes")) {
        if (tasks * size > workload.keys.size()) {
          std::printf("%zu tasks with batches of %zu: not enough keys for each to have its own\n",
                      tasks, size);
          continue;
        }
        for (const Op op : {Op::kSet, Op::kGet, Op::kDelete}) {
          for (const bool all : {true, false}) {
            const BatchMix mix{{op, size, all}, tasks, options.number("operations") / tasks};
            std::vector<Side> sides;
            for (const auto& [name, contender] : field.all()) {
              Contender* const one = contender.get();
              if (!one->has_batch_mix() || (!all && name == "boost")) continue;
              sides.push_back({name, one->name(), [=](size_t, std::vector<double>* samples) {
                                 return one->batch_mix(mix, samples);
                               }});
            }
            const std::string mode = all ? "all or nothing" : "best effort";
            compare(std::string(op == Op::kDelete ? "delete and set" : name_of(op)) + " of " +
                        std::to_string(size) + ", " + mode + ", " + std::to_string(tasks) +
                        " tasks, " + std::to_string(shards) + " shards",
                    {{"operation", name_of(op)},
                     {"size", size},
                     {"mode", mode},
                     {"threads", tasks},
                     {"shards", shards}},
                    sides, options.number("rounds"), report);
          }
        }
      }
    }
  }
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
