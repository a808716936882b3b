#include "runtime/ticker.h"

#include <new>
#include <system_error>
#include <utility>

#include "base/signals_blocked.h"

namespace rkvs::internal {

bool Ticker::start() noexcept {
  const MutexLock lock(mutex_);
  if (stopped_ || thread_.joinable()) return true;
  const SignalsBlocked signals;
  try {
    thread_ = std::thread([this] { run(); });
    return true;
  } catch (const std::system_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void Ticker::tick_now(Deadline& limit) {
  if (!tick_mutex_.lock_until(limit)) return;
  bool stopped = false;
  {
    const MutexLock lock(mutex_);
    stopped = stopped_;
  }
  if (!stopped) tick_();
  tick_mutex_.unlock();
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
  // A tick_now() that is on.
  const MutexLock tick(tick_mutex_);
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
    Deadline never = Deadline::never();
    tick_now(never);
  }
}

}  // namespace rkvs::internal
