#include "runtime/ticker.h"

#include <system_error>
#include <utility>

namespace rkvs::internal {

void Ticker::start() noexcept {
  const MutexLock lock(mutex_);
  if (stopped_ || thread_.joinable()) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    // The next start() tries again.
  }
}

void Ticker::stop() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    thread = std::exchange(thread_, std::thread());
  }
  wake_.notify_all();
  if (thread.joinable()) thread.join();
}

void Ticker::run() {
  for (;;) {
    const auto next = std::chrono::steady_clock::now() + interval_;
    {
      const MutexLock lock(mutex_);
      while (!stopped_ && std::chrono::steady_clock::now() < next) {
        wake_.wait_until(mutex_, next);
      }
      if (stopped_) return;
    }
    tick_();
  }
}

}  // namespace rkvs::internal
