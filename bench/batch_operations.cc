// Batches, on one thread.
//
//   batch_operations [--keys=1e6] [--value=100] [--rounds=7] [--calls=100000] [--stores=NAME,...]
//                    [--sizes=64,100,256,1000] [--operations=get,set,delete,consume]
//                    [--ways=all,best,single] [--grid_keys=1e5] [--grid_value=256]
//                    [--grid_shards=1,5,10,15] [--grid_sizes=50,100,200] [--grid_calls=100000]
//                    [--grid_rounds=3] [--json=FILE] ...
//
// Two parts. The first compares batches of get, set (the old values come back), delete and consume
// among all stores, all-or-nothing, and best effort with rkvs and rkvs-rs; beside batch gets stand
// gets one by one of the tables. What has no batches loops. The second goes through shard counts
// and sizes as the benchmark of rkvs-rs does. Each line: nanoseconds an ITEM, the list of keys made
// included, the median of the rounds; items a second; the ratio to rkvs; and of whole BATCHES (of
// gets one by one: of those) min, mean, p99 and max.
#include "bench/suite.h"

namespace rkvs::bench {
namespace {

Side side_of(const std::string& name, Contender* one, Batch batch, size_t calls) {
  return {name, one->name(), [=](size_t segment, std::vector<double>* samples) {
            return one->batch(batch, segment * calls, calls, samples);
          }};
}

std::string describe(const Batch& batch) {
  return std::string("batch ") + name_of(batch.op) + " of " + std::to_string(batch.size) +
         (batch.all_or_nothing ? ", all or nothing" : ", best effort");
}

json about_of(const Batch& batch, const char* part) {
  return {{"part", part},
          {"operation", name_of(batch.op)},
          {"size", batch.size},
          {"mode", batch.all_or_nothing ? "all or nothing" : "best effort"}};
}

void compare_all(const Options& options, Report& report) {
  Workload workload(options.number("keys"), options.number("value"));
  workload.directory = options.text("directory");
  const Field field(options.list("stores"), workload, report);
  const size_t calls = options.number("calls");
  const auto asked = [&](const char* option, const std::string& one) {
    const auto all = options.list(option);
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  for (const size_t size : options.numbers("sizes")) {
    for (const Op op : {Op::kGet, Op::kSet, Op::kDelete, Op::kConsume}) {
      if (!asked("operations", name_of(op))) continue;
      for (const bool all : {true, false}) {
        if (!asked("ways", all ? "all" : "best")) continue;
        const Batch batch{op, size, all};
        std::vector<Side> sides;
        for (const auto& [name, contender] : field.all()) {
          if (!all && name.rfind("rkvs", 0) != 0) continue;
          sides.push_back(side_of(name, contender.get(), batch, calls));
          if (op != Op::kGet || !all || !asked("ways", "single")) continue;
          if (name != "absl" && name != "boost") continue;
          Contender* const one = contender.get();
          sides.push_back({name + "_single", one->name() + ", one by one",
                           [=](size_t segment, std::vector<double>* samples) {
                             return one->run(Op::kGet, segment * calls, calls, samples);
                           }});
        }
        const Figures figures = compare(describe(batch), about_of(batch, "compare"), sides,
                                        options.number("rounds"), report);
        if (!all) continue;
        const std::string what = std::string("batch_") + name_of(op) + "_" + std::to_string(size);
        judge(report, "rkvs_rs", what, figures, "all or nothing");
        if (op != Op::kGet) continue;
        judge(report, "absl", what, figures, "theirs: get, one by one", "rkvs", "absl_single");
        judge(report, "boost", what, figures, "theirs: bulk visit");
        judge(report, "boost", what + "_single", figures, "theirs: get, one by one", "rkvs",
              "boost_single");
      }
    }
  }
}

void grid(const Options& options, Report& report) {
  for (const size_t keys : options.numbers("grid_keys")) {
    for (const size_t shards : options.numbers("grid_shards")) {
      const Workload workload(keys, options.number("grid_value"), static_cast<uint32_t>(shards));
      const Field field(options.list("grid_stores"), workload, report);
      for (const size_t size : options.numbers("grid_sizes")) {
        for (const Op op : {Op::kSet, Op::kGet, Op::kDelete}) {
          for (const bool all : {true, false}) {
            const Batch batch{op, size, all};
            std::vector<Side> sides;
            for (const auto& [name, contender] : field.all()) {
              sides.push_back(side_of(name, contender.get(), batch, options.number("grid_calls")));
            }
            json about = about_of(batch, "grid");
            about["keys"] = keys;
            about["shards"] = shards;
            compare(describe(batch) + ", " + std::to_string(shards) + " shards", about, sides,
                    options.number("grid_rounds"), report);
          }
        }
      }
    }
  }
}

int main_of(int argc, char** argv) {
  const Options options(
      argc, argv,
      {{"keys", "1e6"},
       {"value", "100"},
       {"rounds", "7"},
       {"calls", "100000"},
       {"sizes", "64,100,256,1000"},
       {"operations", "get,set,delete,consume"},
       {"ways", "all,best,single"},
       {"stores", "rkvs,absl,boost,std,tbb,rkvs_rs_4,rkvs_rs_16,dashmap,lmdb,redis"},
       {"grid_keys", "1e5"},
       {"grid_value", "256"},
       {"grid_shards", "1,5,10,15"},
       {"grid_sizes", "50,100,200"},
       {"grid_calls", "100000"},
       {"grid_rounds", "3"},
       {"grid_stores", "rkvs,rkvs_rs"},
       {"directory", "."},
       {"json", RKVS_BENCH_JSON}});
  Report report("batch_operations", options);
  if (options.number("keys") != 0) compare_all(options, report);
  grid(options, report);
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
