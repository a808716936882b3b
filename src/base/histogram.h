// Histogram: how long something took, counted in classes.
#ifndef RKVS_BASE_HISTOGRAM_H_
#define RKVS_BASE_HISTOGRAM_H_

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace rkvs::internal {

// Classes of durations whose bounds double, from 64 ns to about 69 s; what takes longer is in the
// last one. Safe for concurrent use.
class Histogram {
 public:
  static constexpr size_t kClasses = 32;
  // The upper bound of class `i`, in nanoseconds; the last class has none.
  static constexpr uint64_t bound(size_t i) { return uint64_t{64} << i; }

  void record(std::chrono::nanoseconds took) {
    const auto ns = static_cast<uint64_t>(took.count() < 0 ? 0 : took.count());
    // Bounds belong to their class: one less before the bits are counted.
    const size_t wide = ns <= bound(0) ? 0 : static_cast<size_t>(std::bit_width((ns - 1) >> 6));
    classes_[wide < kClasses ? wide : kClasses - 1].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(ns, std::memory_order_relaxed);
  }

  uint64_t count(size_t i) const { return classes_[i].load(std::memory_order_relaxed); }
  // Nanoseconds of all together.
  uint64_t sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<uint64_t>, kClasses> classes_{};
  std::atomic<uint64_t> sum_{0};
};

// Records how long it lives, if it is given a histogram.
class HistogramTimer {
 public:
  using Clock = std::chrono::steady_clock;

  explicit HistogramTimer(Histogram* histogram) : histogram_(histogram) {
    if (histogram_ != nullptr) [[unlikely]]
      started_ = Clock::now();
  }
  ~HistogramTimer() {
    if (histogram_ != nullptr) [[unlikely]]
      histogram_->record(Clock::now() - started_);
  }
  HistogramTimer(const HistogramTimer&) = delete;
  HistogramTimer& operator=(const HistogramTimer&) = delete;

 private:
  Histogram* const histogram_;
  Clock::time_point started_{};
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_HISTOGRAM_H_
