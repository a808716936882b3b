// OperationMonitor: the inner side of OperationOptions.
#ifndef RKVS_BASE_OPERATION_MONITOR_H_
#define RKVS_BASE_OPERATION_MONITOR_H_

#include <rkvs/operation.h>
#include <rkvs/status.h>

#include <chrono>

#include "base/error.h"

namespace rkvs::internal {

// Tells the hook how far the operation is, not too often, and says when to give up. Used by the
// thread that called the operation, without a lock held.
class OperationMonitor {
 public:
  // `options` must outlive the monitor.
  explicit OperationMonitor(const OperationOptions& options) : options_(options) {}

  bool is_cancelled() const { return options_.cancel.is_cancelled(); }
  static Status cancelled(std::string_view what) {
    return make_error(StatusCode::kCancelled, what, " was cancelled");
  }

  // Cheap enough for every thousand entries.
  void report(const Progress& progress) {
    if (!options_.progress) return;
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + kInterval;
    last_ = progress;
    options_.progress(progress);
  }
  void report_end(const Progress& progress) {
    if (options_.progress && !(last_ == progress)) options_.progress(progress);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kInterval{50};

  const OperationOptions& options_;
  Clock::time_point next_{};
  Progress last_{};
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_OPERATION_MONITOR_H_
