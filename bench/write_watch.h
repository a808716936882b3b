// How long each write of a thread took, with what else the machine did to that thread.
#ifndef RKVS_BENCH_WRITE_WATCH_H_
#define RKVS_BENCH_WRITE_WATCH_H_

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "bench/measure.h"
#include "bench/workload.h"

namespace rkvs::bench {

// One thread that does one thing again and again, each time with the clock read before and after.
class WriteWatch {
 public:
  struct Sample {
    int64_t start;      // in nanoseconds of the clock
    uint32_t duration;  // in nanoseconds
    bool preempted;     // another thread was given the processor around it
  };

  explicit WriteWatch(size_t most) : samples_(most) {}

  // From here on samples_ is the thread's, until stop().
  template <typename Operation>  // void(size_t)
  void start(Operation operation) {
    stop_ = false;
    size_ = 0;
    thread_ = std::thread([this, operation] {
      ::pthread_setname_np(::pthread_self(), "writer");  // for bench/slow_writes.py
      long switches = involuntary_switches();
      for (size_t i = 0; !stop_.load(std::memory_order_relaxed); ++i) {
        const auto before = Clock::now();
        operation(i);
        const auto after = Clock::now();
        if (size_ == samples_.size()) continue;
        Sample& sample = samples_[size_++];
        sample = {nanoseconds(before),
                  static_cast<uint32_t>(
                      std::min<int64_t>(UINT32_MAX, nanoseconds(after) - nanoseconds(before))),
                  false};
        // Often enough that what is found after a slow operation happened around it.
        if (i % kCheckEvery == 0 || sample.duration > kSlow) {
          const long now = involuntary_switches();
          sample.preempted = now != std::exchange(switches, now);
        }
      }
    });
  }
  void stop() {
    stop_ = true;
    thread_.join();
  }

  // Of the operations that were on between two instants.
  std::vector<Sample> between(Clock::time_point begin, Clock::time_point end) const {
    std::vector<Sample> result;
    for (size_t i = 0; i < size_; ++i) {
      const Sample& sample = samples_[i];
      if (sample.start < nanoseconds(end) &&
          sample.start + int64_t{sample.duration} > nanoseconds(begin)) {
        result.push_back(sample);
      }
    }
    return result;
  }

  static int64_t nanoseconds(Clock::time_point at) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
  }

 private:
  static constexpr size_t kCheckEvery = 256;
  static constexpr uint32_t kSlow = 50'000;

  static long involuntary_switches() {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
  }

  std::vector<Sample> samples_;
  size_t size_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_WRITE_WATCH_H_
