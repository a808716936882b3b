// The process-wide memory of entries, values and tables.
#ifndef RKVS_BASE_ARENA_H_
#define RKVS_BASE_ARENA_H_

#include <cstddef>
#include <cstdint>

namespace rkvs::internal {

// A general allocator for blocks whose owner remembers their size.
//
// Blocks up to 32 KiB come from size classes: 16-byte steps up to 512 bytes (8-byte steps for
// packed blocks), above that eight steps to each doubling, so that rounding up costs at most
// 12.5 %. They are carved from spans of up to 64 KiB (longer ones for the largest classes) inside
// regions: 2 MiB of memory, aligned to 2 MiB. Each thread keeps a bounded stack of free blocks for
// each class; the excess goes in batches to a list shared by all threads. Blocks up to 1 MiB are
// runs of 4 KiB pages of the same regions, larger ones are mappings of their own.
//
// When half of the first region is used, a background thread maps the next one as a huge page and
// touches it ahead of use, because that can take milliseconds. It keeps one such region in reserve,
// up to four while the arena grows fast, and ends itself when growth pauses. The first region, and
// those that were needed before the reserve had one, begin as ordinary pages: a small store costs
// some 40 KiB, and no caller waits for a huge page. When growth pauses, the thread makes huge pages
// of those that are full. Empty regions return to the system, all but the reserve.
//
// The arena is never destroyed: blocks may outlive everything else in the process. All functions
// are thread-safe, none throws, and they work at any time: during static initialisation, while a
// thread or the process ends, and in a forked child (where the blocks that were cached by the
// parent's other threads are lost).
class Arena {
 public:
  // All figures are in bytes unless named otherwise. Exact while no other thread uses the arena;
  // otherwise each figure is one that was true a moment ago.
  struct Stats {
    size_t bytes_in_use = 0;     // sum of block_size() over all live blocks
    size_t bytes_reserved = 0;   // address space mapped from the system, for blocks and caches
    size_t bytes_cached = 0;     // free blocks in the caches of threads
    size_t regions = 0;          // number of 2 MiB regions, the reserve included
    size_t reserve_regions = 0;  // number of empty regions that wait for use
    size_t late_regions = 0;     // number of times a region was needed before the reserve had one
    size_t promoted_regions =
        0;                     // number of times a full region of ordinary pages became a huge page
    size_t large_blocks = 0;   // number of live blocks with a mapping of their own
    size_t thread_caches = 0;  // number of threads that hold a cache
  };

  // Returns a block of at least `bytes` bytes, aligned to 16; nullptr when the system has no
  // memory, and then nothing has changed. `bytes` may be 0. The content is undefined.
  static void* allocate(size_t bytes) noexcept;

  // Gives a block back, from any thread. `bytes` is what allocate() was asked for (any size with
  // the same block_size() will do). `block` may be nullptr.
  static void deallocate(void* block, size_t bytes) noexcept;

  // What allocate(bytes) really occupies. Never shrinks as `bytes` grows.
  static size_t block_size(size_t bytes) noexcept;

  // The same for blocks that are aligned to 8 bytes only, which saves up to 8 bytes a block. A
  // block goes back by the function of the kind that it came from.
  static void* allocate_packed(size_t bytes) noexcept;
  static void deallocate_packed(void* block, size_t bytes) noexcept;
  static size_t packed_block_size(size_t bytes) noexcept;
  // The same where the calling thread has a block at hand, and else nullptr: never waits, and so
  // may be called with a lock held.
  static void* allocate_packed_at_hand(size_t bytes) noexcept;

  static Stats stats() noexcept;

  // Gives the calling thread's cached blocks back to all threads and every empty region, the
  // reserve included, back to the system.
  static void trim() noexcept;

  // For tests: makes the n-th call of allocate() from now on, by whichever thread, return nullptr
  // once. 0 switches it off.
  static void fail_nth_allocation_for_testing(int64_t n) noexcept;
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_ARENA_H_
