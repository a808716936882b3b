// Ticker: calls a function again and again, on a thread of its own.
#ifndef RKVS_RUNTIME_TICKER_H_
#define RKVS_RUNTIME_TICKER_H_

#include <chrono>
#include <functional>
#include <thread>

#include "base/condition.h"
#include "base/deadline.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace rkvs::internal {

// The thread begins with start(), and never if that is not called.
class Ticker {
 public:
  // `tick` is called every `interval`, with no lock held; it must not throw.
  Ticker(std::chrono::milliseconds interval, std::function<void()> tick)
      : interval_(interval), tick_(std::move(tick)) {}
  ~Ticker() { stop(); }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  // From any thread. False where there is no thread to be had: then it may be called again.
  bool start() noexcept;
  // Ticks now, on the calling thread, unless it has been stopped or another tick lasts until the
  // deadline.
  void tick_now(Deadline& limit);
  // Waits for a tick that is on. For good.
  void stop();

 private:
  void run();

  const std::chrono::milliseconds interval_;
  const std::function<void()> tick_;

  // Held during a tick; before mutex_.
  Mutex tick_mutex_;
  Mutex mutex_;
  Condition wake_;
  bool stopped_ RKVS_GUARDED_BY(mutex_) = false;
  std::thread thread_ RKVS_GUARDED_BY(mutex_);
};

}  // namespace rkvs::internal

#endif  // RKVS_RUNTIME_TICKER_H_
