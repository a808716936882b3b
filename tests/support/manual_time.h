// A clock that stands still until a test moves it.
#ifndef RKVS_TESTS_SUPPORT_MANUAL_TIME_H_
#define RKVS_TESTS_SUPPORT_MANUAL_TIME_H_

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/time_source.h"

namespace rkvs::testing {

class ManualTime final : public internal::TimeSource {
 public:
  int64_t steady_ms() const override { return steady_; }
  int64_t unix_ms() const override { return unix_; }

  // Both clocks go on.
  void advance(std::chrono::milliseconds by) {
    steady_ += by.count();
    unix_ += by.count();
  }
  // Somebody sets the time of day.
  void set_wall_clock_by(std::chrono::milliseconds by) { unix_ += by.count(); }

 private:
  std::atomic<int64_t> steady_{1'000'000};
  std::atomic<int64_t> unix_{1'800'000'000'000};
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_MANUAL_TIME_H_
