// Several threads that read and overwrite.
//
//   concurrent [--keys=1e6] [--value=100] [--rounds=7] [--operations=100000] [--stores=NAME,...]
//              [--grid_keys=1e5] [--grid_shards=1,5,10,15,128] [--grid_tasks=8,16,32,64,128]
//              [--grid_operations=400000] [--grid_rounds=3] [--grid_value=256]
//              [--apart_stores=rkvs,boost] [--json=FILE] ...
//
// Three parts. The first compares: two threads, rkvs at its defaults, every store; 100, 80, 50 and
// 20 % reads; keys uniform, or drawn by Zipf (0.99). The second goes through shard counts and
// numbers of tasks as the benchmark of rkvs-rs does (80, 50 and 20 % reads), with rkvs and rkvs-rs
// alone; a task is a thread here, a task of tokio there. A read takes a handle; an overwrite
// returns nothing (rkvs-rs: the old value, it has no other). Each line: nanoseconds of wall clock
// an operation of all threads together, the median of the rounds; operations a second; the ratio to
// rkvs; of each 16th call by itself (of Redis: of whole pipelines) min, mean, p99 and max.
//
// The third takes apart what a second thread costs: one thread; two, each with a store of its own,
// which have the memory and the machine in common; two with one store, which have its locks and
// counts in common as well. Nanoseconds here are those of one thread's operation, and operations a
// second those of one thread.
#include <algorithm>
#include <thread>

#include "bench/suite.h"

namespace rkvs::bench {
namespace {

Figures measure(const Field& field, Mix mix, const std::string& scenario, json about, size_t rounds,
                Report& report) {
  std::vector<Side> sides;
  for (const auto& [name, contender] : field.all()) {
    if (!contender->has_threads()) continue;
    Contender* const one = contender.get();
    sides.push_back({name, one->name(), [=](size_t segment, std::vector<double>* samples) {
                       Mix turn = mix;
                       turn.seed = segment;
                       return one->mix(turn, samples);
                     }});
  }
  about["threads"] = mix.threads;
  about["reads"] = mix.read_percent;
  about["keys_drawn"] = mix.zipf ? "zipf" : "uniform";
  return compare(scenario, about, sides, rounds, report);
}

void compare_all(const Options& options, Report& report) {
  Workload workload(options.number("keys"), options.number("value"));
  workload.directory = options.text("directory");
  workload.zipf = zipf_order(workload.keys.size(), size_t{1} << 20, 8);
  const Field field(options.list("stores"), workload, report);
  for (const bool zipf : {false, true}) {
    for (const unsigned reads : {100U, 80U, 50U, 20U}) {
      const std::string scenario = std::string("2 threads, ") + (zipf ? "zipf, " : "uniform, ") +
                                   std::to_string(reads) + " % reads";
      const Figures figures =
          measure(field,
                  {.threads = 2,
                   .read_percent = reads,
                   .zipf = zipf,
                   .operations = options.number("operations")},
                  scenario, {{"part", "compare"}, {"keys", workload.keys.size()}},
                  options.number("rounds"), report);
      if (reads == 100) continue;
      const std::string what = "mix_" + std::to_string(reads);
      if (zipf) {
        judge(report, "boost", "zipf_" + what, figures);
      } else {
        judge(report, "boost", what, figures);
        judge(report, "rkvs_rs", what, figures);
      }
    }
  }
}

// What two threads have in common, one thing after the other.
void take_apart(const Options& options, Report& report) {
  Workload workload(options.number("keys"), options.number("value"));
  workload.directory = options.text("directory");
  const Field field(options.list("apart_stores"), workload, report);
  const Field others(options.list("apart_stores"), workload, report);
  for (const unsigned reads : {80U, 20U}) {
    std::vector<Side> sides;
    for (const auto& [name, contender] : field.all()) {
      Contender* const one = contender.get();
      Contender* const other = others.find(name);
      const auto mix_of = [&options, reads](size_t threads, size_t segment) {
        return Mix{.threads = threads,
                   .read_percent = reads,
                   .operations = options.number("operations"),
                   .seed = segment};
      };
      sides.push_back({name + "_alone", one->name() + ", one thread",
                       [=](size_t segment, std::vector<double>* samples) {
                         return one->mix(mix_of(1, segment), samples);
                       }});
      sides.push_back({name + "_apart", one->name() + ", two, a store each",
                       [=](size_t segment, std::vector<double>* samples) {
                         double beside = 0;
                         std::vector<double> theirs;
                         std::thread thread([&] {
                           beside = other->mix(mix_of(1, segment + 1),
                                               samples == nullptr ? nullptr : &theirs);
                         });
                         const double ns = one->mix(mix_of(1, segment), samples);
                         thread.join();
                         if (samples != nullptr) {
                           samples->insert(samples->end(), theirs.begin(), theirs.end());
                         }
                         return std::max(ns, beside);
                       }});
      sides.push_back({name + "_together", one->name() + ", two, one store",
                       [=](size_t segment, std::vector<double>* samples) {
                         return 2 * one->mix(mix_of(2, segment), samples);
                       }});
    }
    compare("taken apart, uniform, " + std::to_string(reads) + " % reads",
            {{"part", "apart"}, {"keys", workload.keys.size()}, {"reads", reads}}, sides,
            options.number("rounds"), report);
  }
}

void grid(const Options& options, Report& report) {
  for (const size_t keys : options.numbers("grid_keys")) {
    for (const size_t shards : options.numbers("grid_shards")) {
      const Workload workload(keys, options.number("grid_value"), static_cast<uint32_t>(shards));
      const Field field(options.list("grid_stores"), workload, report);
      for (const size_t tasks : options.numbers("grid_tasks")) {
        for (const unsigned reads : {80U, 50U, 20U}) {
          const std::string scenario = std::to_string(shards) + " shards, " +
                                       std::to_string(tasks) + " tasks, " + std::to_string(reads) +
                                       " % reads";
          measure(field,
                  {.threads = tasks,
                   .read_percent = reads,
                   .operations = options.number("grid_operations") / tasks},
                  scenario, {{"part", "grid"}, {"keys", keys}, {"shards", shards}},
                  options.number("grid_rounds"), report);
        }
      }
    }
  }
}

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e6"},
                         {"value", "100"},
                         {"rounds", "7"},
                         {"operations", "100000"},
                         {"stores",
                          "rkvs,boost,boost_one_call,std,tbb,rkvs_rs_4,rkvs_rs_16,dashmap,lmdb,"
                          "redis"},
                         {"grid_keys", "1e5"},
                         {"grid_value", "256"},
                         {"grid_shards", "1,5,10,15,128"},
                         {"grid_tasks", "8,16,32,64,128"},
                         {"grid_operations", "400000"},
                         {"grid_rounds", "3"},
                         {"grid_stores", "rkvs,rkvs_rs"},
                         {"apart_stores", "rkvs,boost"},
                         {"directory", "."},
                         {"json", RKVS_BENCH_JSON}});
  Report report("concurrent", options);
  if (options.number("keys") != 0) {
    compare_all(options, report);
    take_apart(options, report);
  }
  grid(options, report);
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
