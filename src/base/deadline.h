// The one time limit of an operation.
#ifndef RKVS_BASE_DEADLINE_H_
#define RKVS_BASE_DEADLINE_H_

#include <chrono>

namespace rkvs::internal {

// A budget of time whose clock starts at the first call of `when()`.
//
// An operation that never has to wait never reads the clock: the lock asks for the point in time
// only after its fast path failed. From then on the point is fixed, so that one Deadline passed to
// several locks bounds their waits together. Not thread-safe: it belongs to one operation.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Deadline(std::chrono::nanoseconds budget) : budget_(budget) {}

  // Waits for ever: `when()` is the end of time.
  static Deadline never() { return Deadline(std::chrono::nanoseconds::max()); }

  Clock::time_point when() {
    if (!started_) {
      started_ = true;
      if (budget_ != std::chrono::nanoseconds::max()) when_ = Clock::now() + budget_;
    }
    return when_;
  }

 private:
  std::chrono::nanoseconds budget_;
  Clock::time_point when_ = Clock::time_point::max();
  bool started_ = false;
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_DEADLINE_H_
