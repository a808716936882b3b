// How far long work is, on a terminal.
#ifndef RKVS_CLI_PROGRESS_H_
#define RKVS_CLI_PROGRESS_H_

#include <rkvs/status.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace rkvs::cli {

// What stands on the line: "import   42 %  1.2 GiB of 2.8 GiB  312.0 MiB/s"; without percentage and
// total where `total` is 0, and without speed in the first instant.
std::string progress_text(const std::string& label, uint64_t done, uint64_t total,
                          std::chrono::milliseconds elapsed);

// One line on standard error that is drawn over and over, and erased in the end. Nothing appears
// where standard error is not a terminal, or where the work is done at once.
class Progress {
 public:
  // `total` in bytes; 0 = unknown.
  explicit Progress(std::string label, uint64_t total = 0);
  ~Progress() { erase(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // So many bytes are done. Cancelled when a signal has asked the tool to end: stop then.
  Status step(uint64_t done);
  void erase();

 private:
  using Clock = std::chrono::steady_clock;

  const std::string label_;
  const uint64_t total_;
  const bool on_terminal_;
  const Clock::time_point start_;
  Clock::time_point next_;
  bool drawn_ = false;
};

}  // namespace rkvs::cli

#endif  // RKVS_CLI_PROGRESS_H_
