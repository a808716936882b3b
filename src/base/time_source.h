// TimeSource: what time it is, for expiries.
#ifndef RKVS_BASE_TIME_SOURCE_H_
#define RKVS_BASE_TIME_SOURCE_H_

#include <cstdint>

namespace rkvs::internal {

// Tests have one of their own. Safe for concurrent use.
class TimeSource {
 public:
  virtual ~TimeSource() = default;
  // The system's. Lives for ever.
  static const TimeSource& real();

  // Milliseconds of a clock that nobody sets and that goes on while the machine sleeps
  // (CLOCK_BOOTTIME): what expires in ten minutes is gone after a night. Above 0.
  virtual int64_t steady_ms() const = 0;
  // Milliseconds since 1970, as people set it.
  virtual int64_t unix_ms() const = 0;
};

// The time of one operation: read when first asked for, and the same from then on.
class OperationTime {
 public:
  explicit OperationTime(const TimeSource& source) : source_(&source) {}
  // A time that is given.
  explicit OperationTime(int64_t now) : now_(now) {}

  int64_t now() {
    if (now_ == 0) now_ = source_->steady_ms();
    return now_;
  }
  // Reads the clock again at the next now(): for those that waited.
  void reset() {
    if (source_ != nullptr) now_ = 0;
  }

 private:
  const TimeSource* source_ = nullptr;
  int64_t now_ = 0;
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_TIME_SOURCE_H_
