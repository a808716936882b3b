// The arena's regions and the free runs of pages in them.
#ifndef RKVS_BASE_ARENA_PAGE_HEAP_H_
#define RKVS_BASE_ARENA_PAGE_HEAP_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/arena_descriptors.h"
#include "base/arena_region.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace rkvs::internal::arena {

// Hands out runs of pages, best fit, and merges neighbours when they come back. Each free run is
// in the list of its length, so that both take constant time.
//
// What takes long (mapping and touching a region, unmapping it) happens outside the lock, and
// touching happens on a background thread as far as it keeps up. Callers that hold other locks
// leave such work to be done by run_chores() when they have released them.
//
// Thread-safe. Its lock comes last: no other lock is taken while it is held.
class PageHeap {
 public:
  struct Figures {
    size_t regions = 0;           // mapped, the reserve included
    size_t reserve_regions = 0;   // empty
    size_t late_regions = 0;      // mapped by a caller for want of a reserve, since the start
    size_t promoted_regions = 0;  // made huge pages while they were in use, since the start
    size_t block_pages = 0;       // in runs of Kind::kPages
    size_t described_bytes = 0;   // mapped for descriptions of all this
  };

  constexpr PageHeap() = default;
  PageHeap(const PageHeap&) = delete;
  PageHeap& operator=(const PageHeap&) = delete;

  // A run of 1 to kRegionPages pages, for one block (kPages) or to be carved for a class. nullptr
  // when there is no memory.
  Span* allocate(size_t pages, Span::Kind kind, uint8_t size_class) RKVS_EXCLUDES(mutex_);
  void deallocate(Span* span) RKVS_EXCLUDES(mutex_);
  void deallocate_block(void* block) RKVS_EXCLUDES(mutex_);

  // Wakes the background thread and unmaps regions where either is due. Hold no lock here.
  void run_chores() RKVS_EXCLUDES(mutex_) {
    if (chores_due_.load(std::memory_order_relaxed)) do_chores();
  }

  // Returns all empty regions to the system.
  void trim() RKVS_EXCLUDES(mutex_);

  Figures figures() RKVS_EXCLUDES(mutex_);

  // Around fork(): nothing changes between the two, and the child, which has no background
  // thread, goes on without it.
  void before_fork() RKVS_ACQUIRE(mutex_) { mutex_.lock(); }
  void after_fork_in_parent() RKVS_RELEASE(mutex_) { mutex_.unlock(); }
  void after_fork_in_child();

 private:
  using Clock = std::chrono::steady_clock;

  Span* take_run(size_t pages) RKVS_REQUIRES(mutex_);
  void use(Span* span, Span::Kind kind, uint8_t size_class) RKVS_REQUIRES(mutex_);
  void give_back(Span* span) RKVS_REQUIRES(mutex_);
  void insert_run(Span* run) RKVS_REQUIRES(mutex_);
  void remove_run(Span* run) RKVS_REQUIRES(mutex_);

  Region* describe(char* memory, bool huge) RKVS_REQUIRES(mutex_);
  void add_region(Region* region) RKVS_REQUIRES(mutex_);
  void retire(Region* region) RKVS_REQUIRES(mutex_);
  void push_reserve(Region* region) RKVS_REQUIRES(mutex_);
  Region* pop_reserve() RKVS_REQUIRES(mutex_);
  void doom(Region* region) RKVS_REQUIRES(mutex_);
  bool wants_reserve() const RKVS_REQUIRES(mutex_);
  void note_chores() RKVS_REQUIRES(mutex_);
  void do_chores() RKVS_EXCLUDES(mutex_);
  void unmap_doomed() RKVS_EXCLUDES(mutex_);

  void start_thread() RKVS_EXCLUDES(mutex_);
  static void* run_thread(void* heap);
  void work() RKVS_EXCLUDES(mutex_);
  void call_thread();
  bool add_to_reserve() RKVS_EXCLUDES(mutex_);
  bool promote_one() RKVS_EXCLUDES(mutex_);
  void forget_ordinary(Region* region) RKVS_REQUIRES(mutex_);
  bool end_if_asleep() RKVS_EXCLUDES(mutex_);

  Mutex mutex_;
  // Free runs by length, and which of these lists are not empty.
  Span* runs_[kRegionPages + 1] RKVS_GUARDED_BY(mutex_) = {};
  uint64_t lengths_[kRegionPages / 64 + 1] RKVS_GUARDED_BY(mutex_) = {};
  DescriptorPool<Span> span_pool_ RKVS_GUARDED_BY(mutex_);
  DescriptorPool<Region> region_pool_ RKVS_GUARDED_BY(mutex_);

  size_t regions_ RKVS_GUARDED_BY(mutex_) = 0;
  size_t late_regions_ RKVS_GUARDED_BY(mutex_) = 0;
  size_t promoted_regions_ RKVS_GUARDED_BY(mutex_) = 0;
  size_t used_pages_ RKVS_GUARDED_BY(mutex_) = 0;
  size_t block_pages_ RKVS_GUARDED_BY(mutex_) = 0;

  Region* reserve_ RKVS_GUARDED_BY(mutex_) = nullptr;  // empty regions
  size_t reserve_count_ RKVS_GUARDED_BY(mutex_) = 0;
  size_t reserve_target_ RKVS_GUARDED_BY(mutex_) = 1;
  Clock::time_point last_added_ RKVS_GUARDED_BY(mutex_){};
  Region* doomed_ RKVS_GUARDED_BY(mutex_) = nullptr;  // empty regions to be unmapped

  bool thread_runs_ RKVS_GUARDED_BY(mutex_) = false;
  bool thread_sleeps_ RKVS_GUARDED_BY(mutex_) = false;
  char* populating_ RKVS_GUARDED_BY(mutex_) = nullptr;  // what the thread is touching
  Region* ordinary_ RKVS_GUARDED_BY(mutex_) = nullptr;  // regions of ordinary pages
  // The one that the thread is making a huge page of: it must not be unmapped meanwhile.
  Region* promoting_ RKVS_GUARDED_BY(mutex_) = nullptr;

  std::atomic<bool> chores_due_{false};
  std::atomic<uint32_t> calls_{0};  // of the thread; it sleeps on this word
};

extern PageHeap g_page_heap;

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_PAGE_HEAP_H_
