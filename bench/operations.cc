// One operation at a time, on one thread.
//
//   operations [--keys=1e6] [--value=100] [--rounds=7] [--calls=100000] [--stores=NAME,...]
//              [--grid_keys=1e3,1e4,1e5,1e6] [--grid_shards=1,4,16,64,128] [--grid_value=256]
//              [--grid_rounds=3] [--grid_calls=30000] [--samples=20000] [--operations=get,...]
//              [--json=FILE] ...
//
// Two parts. The first compares: one size, every store, rkvs at its defaults. The second goes
// through sizes and shard counts as the benchmarks of rkvs-rs do, with rkvs and rkvs-rs alone
// (--grid_keys=1e7 for ten million). Scenarios, keys in random order:
//
//   get      a handle to the value          set      overwrite, the old value comes back
//   copy     get and copy the value         put      overwrite, it does not (rkvs-rs: has no such)
//   miss     get of a key that is absent    update   overwrite that refuses absent keys
//   exists   is the key there               insert   keys that were deleted just before
//   delete   remove                         consume  remove and have the value
//
// Tables that hand no old value out do the same for set, put and update. Each line: the median of
// the rounds' nanoseconds an operation, operations a second, the ratio to rkvs, and of single calls
// (with the clock's 20 to 50 ns; of Redis, of whole pipelines) min, mean, p99 and max. LMDB and
// Redis make fewer calls.
#include "bench/suite.h"

namespace rkvs::bench {
namespace {

Figures measure(const Field& field, Op op, const std::string& scenario, json about, size_t rounds,
                size_t calls, size_t samples, Report& report) {
  std::vector<Side> sides;
  for (const auto& [name, contender] : field.all()) {
    if (!contender->has(op)) continue;
    Contender* const one = contender.get();
    sides.push_back({name, one->name(), [=](size_t segment, std::vector<double>* timed) {
                       return one->run(op, segment * calls,
                                       timed == nullptr ? calls : std::min(calls, samples), timed);
                     }});
  }
  about["operation"] = name_of(op);
  return compare(scenario, about, sides, rounds, report);
}

std::vector<Op> wanted(const Options& options) {
  const std::vector<std::string> names = options.list("operations");
  std::vector<Op> result;
  for (const Op op : kAllOps) {
    if (names.empty() || std::find(names.begin(), names.end(), name_of(op)) != names.end()) {
      result.push_back(op);
    }
  }
  return result;
}

void compare_all(const Options& options, Report& report) {
  Workload workload(options.number("keys"), options.number("value"));
  workload.directory = options.text("directory");
  const Field field(options.list("stores"), workload, report);
  std::map<Op, Figures> figures;
  for (const Op op : wanted(options)) {
    figures[op] = measure(
        field, op, name_of(op),
        {{"part", "compare"}, {"keys", workload.keys.size()}, {"value", workload.value.size()}},
        options.number("rounds"), options.number("calls"), options.number("samples"), report);
  }
  for (const Op op : {Op::kGet, Op::kMiss, Op::kSet, Op::kUpdate, Op::kConsume, Op::kDelete}) {
    judge(report, "rkvs_rs", name_of(op), figures[op]);
  }
  const std::string note = "put, which like theirs returns no old value";
  judge(report, "boost", "get", figures[Op::kGet]);
  judge(report, "boost", "overwrite", figures[Op::kPut], note);
  judge(report, "boost", "overwrite_one_call", figures[Op::kPut], note, "rkvs", "boost_one_call");
  judge(report, "absl", "get", figures[Op::kGet]);
  judge(report, "absl", "overwrite", figures[Op::kPut], note);
  judge(report, "absl", "insert", figures[Op::kInsert]);
  judge(report, "absl", "delete", figures[Op::kDelete]);
}

void grid(const Options& options, Report& report) {
  for (const size_t keys : options.numbers("grid_keys")) {
    for (const size_t shards : options.numbers("grid_shards")) {
      const Workload workload(keys, options.number("grid_value"), static_cast<uint32_t>(shards));
      const Field field(options.list("grid_stores"), workload, report);
      for (const Op op : wanted(options)) {
        const std::string scenario = std::string(name_of(op)) + ", " + std::to_string(keys) +
                                     " keys, " + std::to_string(shards) + " shards";
        measure(field, op, scenario, {{"part", "grid"}, {"keys", keys}, {"shards", shards}},
                options.number("grid_rounds"), options.number("grid_calls"),
                options.number("samples"), report);
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
       {"stores", "rkvs,absl,boost,boost_one_call,std,tbb,rkvs_rs_4,rkvs_rs_16,dashmap,lmdb,redis"},
       {"grid_keys", "1e3,1e4,1e5,1e6"},
       {"grid_shards", "1,4,16,64,128"},
       {"grid_value", "256"},
       {"grid_rounds", "3"},
       {"grid_calls", "30000"},
       {"grid_stores", "rkvs,rkvs_rs"},
       {"samples", "20000"},
       {"operations", ""},
       {"directory", "."},
       {"json", RKVS_BENCH_JSON}});
  Report report("operations", options);
  if (options.number("keys") != 0) compare_all(options, report);
  grid(options, report);
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
