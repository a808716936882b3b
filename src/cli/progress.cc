#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cli/interrupt.h"
#include "cli/text.h"

namespace rkvs::cli {
namespace {

using std::chrono::milliseconds;

// Short work shows nothing; long work no more often than eyes can follow.
constexpr milliseconds kBeforeFirst{300};
constexpr milliseconds kBetween{100};

}  // namespace

std::string progress_text(const std::string& label, uint64_t done, uint64_t total,
                          milliseconds elapsed) {
  std::string text = label;
  if (total != 0) {
    const auto percent = static_cast<int>(100.0 * static_cast<double>(std::min(done, total)) /
                                          static_cast<double>(total));
    const std::string number = std::to_string(percent);
    text.append(2, ' ').append(3 - std::min<size_t>(number.size(), 3), ' ');
    text.append(number).append(" %");
  }
  text.append("  ").append(human_size(done));
  if (total != 0) text.append(" of ").append(human_size(total));
  if (elapsed.count() > 0) {
    const double speed = static_cast<double>(done) * 1000 / static_cast<double>(elapsed.count());
    text.append("  ").append(human_size(static_cast<uint64_t>(speed))).append("/s");
  }
  return text;
}

Progress::Progress(std::string label, uint64_t total)
    : label_(std::move(label)),
      total_(total),
      on_terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_(start_ + kBeforeFirst) {}

Status Progress::step(uint64_t done) {
  if (on_terminal_) {
    const Clock::time_point now = Clock::now();
    if (now >= next_) {
      const auto elapsed = std::chrono::duration_cast<milliseconds>(now - start_);
      std::fprintf(stderr, "\r%s\x1b[K", progress_text(label_, done, total_, elapsed).c_str());
      drawn_ = true;
      next_ = now + kBetween;
    }
  }
  return check_interrupted();
}

void Progress::erase() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

}  // namespace rkvs::cli
