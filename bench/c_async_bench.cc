// What an asynchronous get of the C API costs beyond a synchronous one, where it is done inline.
//
//   c_async_bench [--keys=1e6] [--value=100] [--rounds=9] [--calls=100000] [--count=sync|async]
//                 [--json=FILE]
//
// sync: rkvs_namespace_get; async: rkvs_namespace_get_async with RKVS_ALLOW_INLINE and a place for
// the completion, which returns RKVS_DONE. Both take a value and release it, through librkvs.so, in
// turns; the goal is about the difference within a round. --count: which of the two callgrind
// counts (instructions.py).
#include <rkvs.h>

#include "bench/report.h"
#include "bench/workload.h"

namespace rkvs::bench {
namespace {

void check(rkvs_status status) {
  if (status != RKVS_OK) die("the C API said " + std::to_string(status));
}

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e6"},
                         {"value", "100"},
                         {"rounds", "9"},
                         {"calls", "100000"},
                         {"count", ""},
                         {"json", RKVS_BENCH_JSON}});
  const Workload workload(options.number("keys"), options.number("value"));
  const size_t calls = options.number("calls");
  rkvs_manager* manager = nullptr;
  rkvs_namespace* ns = nullptr;
  check(rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &manager, nullptr));
  check(rkvs_manager_initialize(manager, nullptr));
  check(rkvs_manager_create_namespace(manager, "bench", nullptr, &ns, nullptr));
  for (const uint32_t i : random_order(workload.keys.size(), 1)) {
    const std::string& key = workload.keys[i];
    check(rkvs_namespace_put(ns, key.data(), key.size(), workload.value.data(),
                             workload.value.size(), nullptr, nullptr));
  }
  rkvs_queue* queue = nullptr;
  check(rkvs_queue_create(&queue, nullptr));
  rkvs_async how;
  check(rkvs_async_init(&how, sizeof how));
  how.flags = RKVS_ALLOW_INLINE;
  how.queue = queue;

  const auto toggle_if = [&](const char* side) {
    if (options.text("count") == side) toggle_collection();
  };
  const std::vector<Candidate> candidates = {
      {"sync",
       [&](size_t segment) {
         const auto start = Clock::now();
         toggle_if("sync");
         for (size_t i = segment * calls; i < (segment + 1) * calls; ++i) {
           const std::string& key = workload.key(i);
           rkvs_value* value = nullptr;
           check(rkvs_namespace_get(ns, key.data(), key.size(), &value, nullptr));
           rkvs_value_release(value);
         }
         toggle_if("sync");
         return seconds_since(start);
       }},
      {"async, inline", [&](size_t segment) {
         const auto start = Clock::now();
         toggle_if("async");
         for (size_t i = segment * calls; i < (segment + 1) * calls; ++i) {
           const std::string& key = workload.key(i);
           rkvs_completion done;
           if (rkvs_namespace_get_async(ns, key.data(), key.size(), &how, &done, nullptr,
                                        nullptr) != RKVS_DONE ||
               done.status != RKVS_OK) {
             die("an asynchronous get was not done at once");
           }
           rkvs_completion_clear(&done);
         }
         toggle_if("async");
         return seconds_since(start);
       }}};
  Report report("c_async_bench", options);
  const auto rounds = take_turns(candidates, options.number("rounds"), 2);
  print_ratios("C get", candidates, rounds, 2 * calls);
  std::vector<double> sync, async, beyond;
  for (const auto& round : rounds) {
    sync.push_back(round[0] / static_cast<double>(2 * calls) * 1e9);
    async.push_back(round[1] / static_cast<double>(2 * calls) * 1e9);
    beyond.push_back(async.back() - sync.back());
  }
  report.row({{"operation", "get"}, {"contender", "C, sync"}, {"ns", median(sync)}});
  report.row({{"operation", "get"}, {"contender", "C, async inline"}, {"ns", median(async)}});
  report.target("self.c_async", beyond, {}, "ns");
  report.write();
  rkvs_queue_release(queue);
  rkvs_namespace_release(ns);
  check(rkvs_manager_close(manager, nullptr));
  rkvs_manager_release(manager);
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
