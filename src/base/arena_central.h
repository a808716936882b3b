// The free blocks of one size class, shared by all threads.
#ifndef RKVS_BASE_ARENA_CENTRAL_H_
#define RKVS_BASE_ARENA_CENTRAL_H_

#include <array>
#include <cstddef>

#include "base/arena_region.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace rkvs::internal::arena {

// Carves spans into blocks, and returns spans to the page heap when all their blocks have come
// back. Threads trade with it in batches.
//
// Thread-safe. Takes the lock of the page heap under its own.
class alignas(64) CentralList {
 public:
  constexpr CentralList() = default;
  CentralList(const CentralList&) = delete;
  CentralList& operator=(const CentralList&) = delete;

  // Writes up to `count` free blocks of the class to `blocks`, in the order in which they are best
  // used, and returns their number: less than `count` only when there is no memory for more.
  size_t take(size_t size_class, void** blocks, size_t count) RKVS_EXCLUDES(mutex_);
  void give(size_t size_class, void* const* blocks, size_t count) RKVS_EXCLUDES(mutex_);

  // Number of blocks that are taken and not given back.
  size_t taken() RKVS_EXCLUDES(mutex_);

  void before_fork() RKVS_ACQUIRE(mutex_) { mutex_.lock(); }
  void after_fork_in_parent() RKVS_RELEASE(mutex_) { mutex_.unlock(); }
  void after_fork_in_child();

 private:
  void push_front(Span* span) RKVS_REQUIRES(mutex_);
  void remove(Span* span) RKVS_REQUIRES(mutex_);

  Mutex mutex_;
  // Spans with blocks to give, those that were full a short while ago first: the others get a
  // chance to become empty.
  Span* spans_ RKVS_GUARDED_BY(mutex_) = nullptr;
  size_t taken_ RKVS_GUARDED_BY(mutex_) = 0;
};

extern std::array<CentralList, kClasses> g_central_lists;

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_CENTRAL_H_
