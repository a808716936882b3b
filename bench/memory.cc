// Memory a key.
//
//   memory [--keys=1e6] [--values=16,100] [--stores=NAME,...] [--json=FILE]
//
// Each store is filled in a process of its own, which is this program again, key by key in an order
// that has nothing to do with the keys'; what its resident memory grows by, by the number of keys.
// Keys have 14 bytes. Nothing is overwritten or deleted. Not LMDB, whose pages are the page
// cache's, and not Redis, which is no table in the program.
#include <map>

#include "bench/child.h"
#include "bench/report.h"

namespace rkvs::bench {
namespace {

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e6"},
                         {"values", "16,100"},
                         {"stores", "rkvs,absl,boost,std,tbb,rkvs_rs_4,rkvs_rs_16,dashmap"},
                         {"child", ""},
                         {"json", ""}});
  if (!options.text("child").empty()) return answer_parent(options.text("child"));
  const size_t keys = options.number("keys");
  Report report("memory", options);
  for (const size_t value : options.numbers("values")) {
    std::map<std::string, double> bytes;
    for (const std::string& name : options.list("stores")) {
      std::string reason;
      const std::vector<double> costs = ask_child(name, keys, value, reason);
      if (costs.empty()) {
        report.missing(name.rfind("rkvs_rs", 0) == 0 ? "rkvs_rs" : name, reason);
        continue;
      }
      const double per_key = costs[0];
      bytes[name] = per_key;
      std::printf("%zu keys, values of %3zu B: %-12s %7.1f bytes a key\n", keys, value,
                  name.c_str(), per_key);
      std::fflush(stdout);
      report.row({{"keys", keys}, {"value", value}, {"contender", name}, {"bytes", per_key}});
    }
    const std::string what = ".memory_" + std::to_string(value);
    if (bytes.count("rkvs") == 0) continue;
    if (bytes.count("boost") != 0) {
      report.target("boost" + what, {bytes["rkvs"]}, {bytes["boost"]}, "B");
    }
    if (bytes.count("rkvs_rs_4") != 0 && bytes.count("rkvs_rs_16") != 0) {
      report.target("rkvs_rs" + what, {bytes["rkvs"]},
                    {std::min(bytes["rkvs_rs_4"], bytes["rkvs_rs_16"])}, "B");
    }
  }
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
