// The arena's background thread: keeps the reserve of touched regions filled.
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "base/arena_page_heap.h"
#include "base/arena_poison.h"
#include "base/futex.h"

namespace rkvs::internal::arena {
namespace {

// How long the thread waits for work before it ends.
constexpr std::chrono::seconds kIdle{1};
// How long nothing must have been wanted before it turns to regions that are in use, and how long
// it leaves everybody alone between two of them: twenty times what one takes.
constexpr std::chrono::milliseconds kPause{500};
constexpr std::chrono::milliseconds kBetween{10};
// A region is worth a huge page when so much of it is in use that nearly nothing is added.
constexpr uint32_t kWorthPages = kRegionPages / 8 * 7;

// The thread needs little, but the thread-local memory of the whole program comes out of this too.
constexpr size_t kStackSize = 256 * 1024;
constexpr uint32_t kAnyCall = 1;

}  // namespace

void PageHeap::start_thread() {
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) == 0) {
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    // Refused where the minimum is larger, and then the default does as well.
    ::pthread_attr_setstacksize(&attributes, kStackSize);
    // Signals are for the threads of the program.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const int error = ::pthread_create(&thread, &attributes, &PageHeap::run_thread, this);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_attr_destroy(&attributes);
    if (error == 0) return;
  }
  // Then the arena lives without a reserve, and tries again when it grows.
  MutexLock lock(mutex_);
  thread_runs_ = false;
}

void PageHeap::call_thread() {
  calls_.fetch_add(1, std::memory_order_release);
  futex_wake(calls_, 1, kAnyCall);
}

void* PageHeap::run_thread(void* heap) {
#if defined(__linux__)
  ::pthread_setname_np(::pthread_self(), "rkvs-arena");
  // A thread of the common policy would often take the processor from the one that has just woken
  // it, and keep it for as long as the touching takes. Measured on two busy processors, one call in
  // 100,000 then stood for 2 to 5 ms; with this policy for 0.1 ms.
  sched_param parameters{};
  ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &parameters);
#endif
  static_cast<PageHeap*>(heap)->work();
  return nullptr;
}

void PageHeap::work() {
  for (;;) {
    const uint32_t seen = calls_.load(std::memory_order_acquire);
    while (add_to_reserve()) {
    }
    const Clock::time_point until = Clock::now() + kIdle;
    const auto is_called_before = [&](Clock::time_point end) {
      while (calls_.load(std::memory_order_acquire) == seen && Clock::now() < end) {
        futex_wait(calls_, seen, end, kAnyCall);
      }
      return calls_.load(std::memory_order_acquire) != seen;
    };
    bool called = is_called_before(Clock::now() + kPause);
    while (!called && promote_one()) called = is_called_before(Clock::now() + kBetween);
    if (!is_called_before(until) && end_if_asleep()) break;
  }
  unmap_doomed();
}

// Maps and touches one region if one is wanted. If there is nothing (more) to do returns false, and
// from then on who wants something calls.
bool PageHeap::add_to_reserve() {
  {
    MutexLock lock(mutex_);
    if (!wants_reserve()) {
      thread_sleeps_ = true;
      return false;
    }
  }
  char* memory = map_region(true);
  bool wanted;
  {
    MutexLock lock(mutex_);
    // Mapping took its time, and the store may have become small meanwhile.
    wanted = memory != nullptr && wants_reserve();
    if (wanted) {
      populating_ = memory;
      ++regions_;
    } else {
      thread_sleeps_ = true;
    }
  }
  if (!wanted) {
    if (memory != nullptr) unmap_region(memory);
    return false;
  }
  populate_region(memory);
  poison(memory, kRegionSize);
  Region* region;
  {
    MutexLock lock(mutex_);
    populating_ = nullptr;
    region = describe(memory, true);
    if (region != nullptr) {
      push_reserve(region);
    } else {
      --regions_;
      thread_sleeps_ = true;
    }
  }
  if (region == nullptr) unmap_region(memory);
  return region != nullptr;
}

// Makes a huge page of one of the regions that were needed before the reserve had one. False if
// there is none that is worth it.
bool PageHeap::promote_one() {
  Region* region;
  {
    MutexLock lock(mutex_);
    region = ordinary_;
    while (region != nullptr && region->used_pages < kWorthPages) region = region->next_ordinary;
    if (region == nullptr) return false;
    forget_ordinary(region);
    region->huge = true;
    promoting_ = region;
  }
  promote_region(region->memory);
  {
    MutexLock lock(mutex_);
    promoting_ = nullptr;
    ++promoted_regions_;
  }
  unmap_doomed();
  return true;
}

// False: somebody has called meanwhile.
bool PageHeap::end_if_asleep() {
  MutexLock lock(mutex_);
  if (!thread_sleeps_) return false;
  thread_runs_ = false;
  thread_sleeps_ = false;
  // Growth has ended, so one region is enough.
  reserve_target_ = 1;
  while (reserve_count_ > reserve_target_) doom(pop_reserve());
  return true;
}

}  // namespace rkvs::internal::arena
