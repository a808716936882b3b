// ReadCounters: how many reads found their key.
#ifndef RKVS_STORE_READ_COUNTERS_H_
#define RKVS_STORE_READ_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "base/thread_slot.h"

namespace rkvs::internal {

struct ReadCounts {
  uint64_t hits = 0;
  uint64_t misses = 0;
};

// Readers share nothing that they write: each thread counts in a line of its own, with a plain load
// and store, which costs about a nanosecond; a locked addition to a shared line would take several
// times that, and stop the readers of one shard from going side by side. Exact. Safe for concurrent
// use.
class ReadCounters {
 public:
  void count(bool hit) {
    uint32_t slot;
    if (has_own_thread_slot(slot)) [[likely]] {
      count(slot, hit);
    } else {
      count_without_slot(hit);
    }
  }
  // The same for those who know that this is the slot of their own.
  void count(uint32_t slot, bool hit) {
    std::atomic<uint64_t>& counter = hit ? lines_[slot].hits : lines_[slot].misses;
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  // Of several reads.
  void count_many(uint64_t hits, uint64_t misses) {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    uint32_t slot;
    if (has_own_thread_slot(slot)) [[likely]] {
      Line& line = lines_[slot];
      line.hits.store(line.hits.load(kRelaxed) + hits, kRelaxed);
      line.misses.store(line.misses.load(kRelaxed) + misses, kRelaxed);
    } else {
      Line& line = lines_[thread_slot()];
      line.hits.fetch_add(hits, kRelaxed);
      line.misses.fetch_add(misses, kRelaxed);
    }
  }

  ReadCounts sum() const {
    ReadCounts sum;
    for (const Line& line : lines_) {
      sum.hits += line.hits.load(std::memory_order_relaxed);
      sum.misses += line.misses.load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  // The first time of a thread, or of one too many.
  [[gnu::noinline]] void count_without_slot(bool hit) {
    Line& line = lines_[thread_slot()];
    (hit ? line.hits : line.misses).fetch_add(1, std::memory_order_relaxed);
  }

  struct alignas(64) Line {
    std::atomic<uint64_t> hits{0};
    std::atomic<uint64_t> misses{0};
  };
  std::array<Line, kThreadSlots> lines_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_READ_COUNTERS_H_
