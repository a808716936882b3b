// Filling a store in a process of its own, which is the same program again: its memory is then
// nobody else's.
#ifndef RKVS_BENCH_CHILD_H_
#define RKVS_BENCH_CHILD_H_

#include <unistd.h>

#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "bench/contender.h"
#include "bench/report.h"

namespace rkvs::bench {

// What a program does that was started with --child=TEXT.
inline int answer_parent(const std::string& text) {
  std::istringstream words(text);
  std::string name;
  size_t keys = 0;
  size_t value = 0;
  words >> name >> keys >> value;
  std::string reason;
  const FillCosts costs = measure_fill(name, keys, value, reason);
  if (costs.bytes < 0) {
    std::printf("! %s\n", reason.c_str());
  } else {
    std::printf("%.3f %.1f %.1f\n", costs.bytes / static_cast<double>(keys), costs.insert_ns,
                costs.get_ns);
  }
  return 0;
}

// Bytes a key, nanoseconds an insert and a get; nothing, with the reason, where there is none.
inline std::vector<double> ask_child(const std::string& name, size_t keys, size_t value,
                                     std::string& reason) {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) die("this program has no name");
  const std::string command = "'" + std::string(path, static_cast<size_t>(length)) +
                              "' '--child=" + name + " " + std::to_string(keys) + " " +
                              std::to_string(value) + "'";
  std::FILE* const child = ::popen(command.c_str(), "r");
  if (child == nullptr) die("cannot start " + command);
  char line[1024] = "";
  const bool answered = std::fgets(line, sizeof line, child) != nullptr;
  const int status = ::pclose(child);
  std::string answer = line;
  while (!answer.empty() && answer.back() == '\n') answer.pop_back();
  std::vector<double> result;
  if (!answered || status != 0) {
    reason = "its process failed";
  } else if (answer[0] == '!') {
    reason = answer.substr(2);
  } else {
    std::istringstream words(answer);
    for (double number = 0; words >> number;) result.push_back(number);
  }
  return result;
}

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_CHILD_H_
