// Memory a key.
//
//   memory [--keys=1e6] [--values=16,100] [--stores=NAME,...] [--json=FILE]
//
// Each store is filled in a process of its own, which is this program again, key by key in an order
// that has nothing to do with the keys'; what its resident memory grows by, by the number of keys.
// Keys have 14 bytes. Nothing is overwritten or deleted. Not LMDB, whose pages are the page
// cache's, and not Redis, which is no table in the program.
#include <unistd.h>

#include <map>

#include "bench/contender.h"
#include "bench/report.h"

namespace rkvs::bench {
namespace {

// The child: one number, or a reason.
int measure_one(const std::string& name, size_t keys, size_t value) {
  std::string reason;
  const double bytes = measure_memory(name, keys, value, reason);
  if (bytes < 0) {
    std::printf("! %s\n", reason.c_str());
  } else {
    std::printf("%.0f\n", bytes);
  }
  return 0;
}

// Bytes a key; negative, with the reason, where there is nothing.
double ask_child(const std::string& name, size_t keys, size_t value, std::string& reason) {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) die("this program has no name");
  const std::string command = "'" + std::string(path, static_cast<size_t>(length)) +
                              "' --one=" + name + " --keys=" + std::to_string(keys) +
                              " --values=" + std::to_string(value);
  std::FILE* const child = ::popen(command.c_str(), "r");
  if (child == nullptr) die("cannot start " + command);
  char line[1024] = "";
  const bool answered = std::fgets(line, sizeof line, child) != nullptr;
  const int status = ::pclose(child);
  if (!answered || status != 0) {
    reason = "its process failed";
    return -1;
  }
  if (line[0] == '!') {
    reason = std::string(line + 2);
    while (!reason.empty() && reason.back() == '\n') reason.pop_back();
    return -1;
  }
  return std::strtod(line, nullptr) / static_cast<double>(keys);
}

int main_of(int argc, char** argv) {
  const Options options(argc, argv,
                        {{"keys", "1e6"},
                         {"values", "16,100"},
                         {"stores", "rkvs,absl,boost,std,tbb,rkvs_rs_4,rkvs_rs_16,dashmap"},
                         {"one", ""},
                         {"json", ""}});
  const size_t keys = options.number("keys");
  if (!options.text("one").empty()) {
    return measure_one(options.text("one"), keys, options.number("values"));
  }
  Report report("memory", options);
  for (const size_t value : options.numbers("values")) {
    std::map<std::string, double> bytes;
    for (const std::string& name : options.list("stores")) {
      std::string reason;
      const double per_key = ask_child(name, keys, value, reason);
      if (per_key < 0) {
        report.missing(name.rfind("rkvs_rs", 0) == 0 ? "rkvs_rs" : name, reason);
        continue;
      }
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
