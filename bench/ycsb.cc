// The mixes of YCSB, on two threads.
//
//   ycsb [--keys=1e6] [--value=100] [--operations=1000000] [--threads=2] [--rounds=5]
//        [--letters=A,B,C,D,E,F] [--stores=rkvs,boost,std,tbb,lmdb] [--json=FILE]
//
//   A  50 % reads, 50 % overwrites          D  95 % reads of the latest keys, 5 % inserts
//   B  95 % reads, 5 % overwrites           E  95 % scans of 1 to 100 keys, 5 % inserts
//   C  reads                                F  50 % reads, 50 % read, then overwrite
//
// Keys are drawn by Zipf (0.99), D's by how far they are from the last one inserted. A record is
// one value: YCSB's own have ten fields of 100 bytes (--value=1000). E: these stores have no order,
// so that a scan "from a key on" means nothing; each thread goes through the store step by step
// with a Scan, whose next() returns that many keys with their values, and begins again at the end.
// Only rkvs can do that while others write. Each line: nanoseconds of wall clock an operation of
// all threads together (the median of the rounds), operations a second, the ratio to rkvs, and of
// each 16th call min, mean, p99 and max.
#include "bench/suite.h"

namespace rkvs::bench {
namespace {

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e6"},
                         {"value", "100"},
                         {"operations", "1000000"},
                         {"threads", "2"},
                         {"rounds", "5"},
                         {"letters", "A,B,C,D,E,F"},
                         {"stores", "rkvs,boost,std,tbb,lmdb"},
                         {"directory", "."},
                         {"json", RKVS_BENCH_JSON}});
  Report report("ycsb", options);
  Workload workload(options.number("keys"), options.number("value"));
  workload.directory = options.text("directory");
  workload.zipf = zipf_order(workload.keys.size(), size_t{1} << 20, 8);
  const Field field(options.list("stores"), workload, report);
  for (const std::string& letter : options.list("letters")) {
    std::vector<Side> sides;
    for (const auto& [name, contender] : field.all()) {
      Contender* const one = contender.get();
      if (!one->has_ycsb(letter[0])) continue;
      sides.push_back({name, one->name(), [=, &options](size_t segment, auto* samples) {
                         return one->ycsb({.letter = letter[0],
                                           .threads = options.number("threads"),
                                           .operations = options.number("operations") /
                                                         options.number("threads"),
                                           .seed = segment},
                                          samples);
                       }});
    }
    compare("YCSB " + letter, {{"letter", letter}, {"threads", options.number("threads")}}, sides,
            options.number("rounds"), report);
  }
  report.write();
  return 0;
}

}  // namespace
}  // namespace rkvs::bench

int main(int argc, char** argv) { return rkvs::bench::main_of(argc, argv); }
