#include "capi/own_thread.h"

#include <cstdint>
#include <cstdlib>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "base/condition.h"
#include "base/mutex.h"
#include "base/signals_blocked.h"
#include "base/thread_annotations.h"
#include "capi/internal.h"

namespace rkvs::capi {

namespace {

using internal::MutexLock;

class OwnThreads {
 public:
  // Never destroyed: threads may outlive everything else.
  static OwnThreads& all() {
    static auto* const threads = new OwnThreads;
    return *threads;
  }

  void begin() noexcept {
    const MutexLock lock(mutex_);
    ++running_;
  }
  void end() noexcept {
    const MutexLock lock(mutex_);
    if (--running_ == 0) none_.notify_all();
  }
  void wait() noexcept {
    const MutexLock lock(mutex_);
    while (running_ != 0) none_.wait(mutex_);
  }

 private:
  // The threads are not joined, so that nobody has to; what they do is over when they say so.
  OwnThreads() {
    (void)std::atexit([] {
      if (!forked() && !in_callback()) all().wait();
    });
  }

  internal::Mutex mutex_;
  internal::Condition none_;
  uint64_t running_ RKVS_GUARDED_BY(mutex_) = 0;
};

}  // namespace

bool run_on_own_thread(std::function<void()> work) noexcept try {
  OwnThreads& threads = OwnThreads::all();
  const internal::SignalsBlocked signals;
  threads.begin();
  try {
    std::thread([&threads, work = std::move(work)]() mutable {
      work();
      work = nullptr;
      threads.end();
    }).detach();
    return true;
  } catch (...) {
    threads.end();
    throw;
  }
} catch (const std::bad_alloc&) {
  return false;
} catch (const std::system_error&) {
  return false;
}

}  // namespace rkvs::capi
