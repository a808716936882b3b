#include "base/time_source.h"

#include <ctime>

namespace rkvs::internal {
namespace {

int64_t read_ms(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

class RealTime final : public TimeSource {
 public:
  // One more, so that a machine that has just started is not at 0.
  int64_t steady_ms() const override { return read_ms(CLOCK_BOOTTIME) + 1; }
  int64_t unix_ms() const override { return read_ms(CLOCK_REALTIME); }
};

}  // namespace

const TimeSource& TimeSource::real() {
  static const RealTime time;
  return time;
}

}  // namespace rkvs::internal
