#include "base/arena.h"

#include <pthread.h>

#include <atomic>
#include <limits>

#include "base/arena_central.h"
#include "base/arena_page_heap.h"
#include "base/arena_poison.h"
#include "base/arena_region.h"
#include "base/arena_size_class.h"
#include "base/arena_thread_cache.h"
#include "base/schedule.h"

// Layers, each with its own lock, taken downwards only:
//   caches of threads (no lock)  ->  one central list per class  ->  page heap  ->  system
// A block's size gives its class, so giving it back needs nothing but the thread's own stack. Only
// the central list looks up the block's span.
namespace rkvs::internal {
namespace {

using namespace arena;

// Above this a block gets a mapping of its own: a region has room for two of this size.
constexpr size_t kMaxPaged = size_t{1} << 20;

std::atomic<size_t> g_large_bytes{0};
std::atomic<size_t> g_large_blocks{0};
std::atomic<int64_t> g_calls_until_failure{0};

size_t pages_for(size_t bytes) { return (bytes + kPageSize - 1) / kPageSize; }

size_t large_size(size_t bytes) {
  // No system maps as much; just keep the rounding from overflowing.
  constexpr size_t kMost = std::numeric_limits<size_t>::max() / 4;
  return round_to_system_pages(bytes < kMost ? bytes : kMost);
}

void* allocate_pages(size_t bytes) {
  Span* span = g_page_heap.allocate(pages_for(bytes), Span::Kind::kPages, 0);
  g_page_heap.run_chores();
  return span == nullptr ? nullptr : span->start;
}

void deallocate_pages(void* block) {
  g_page_heap.deallocate_block(block);
  g_page_heap.run_chores();
}

void* allocate_large(size_t bytes) {
  const size_t size = large_size(bytes);
  void* block = map_memory(size);
  if (block == nullptr) return nullptr;
  poison(block, size);
  g_large_bytes.fetch_add(size, std::memory_order_relaxed);
  g_large_blocks.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void deallocate_large(void* block, size_t bytes) {
  const size_t size = large_size(bytes);
  unmap_memory(block, size);
  g_large_bytes.fetch_sub(size, std::memory_order_relaxed);
  g_large_blocks.fetch_sub(1, std::memory_order_relaxed);
}

// The rare ways out of allocate() and deallocate(), apart so that the common way stays short.
[[gnu::noinline]] void* allocate_without_class(size_t bytes) {
  RKVS_SCHEDULE_QUIET();
  void* block = bytes <= kMaxPaged ? allocate_pages(bytes) : allocate_large(bytes);
  if (block != nullptr) unpoison(block, bytes);
  return block;
}

[[gnu::noinline]] void* allocate_after_refill(size_t size_class, size_t bytes) {
  RKVS_SCHEDULE_QUIET();
  void* block = refill_bin(size_class);
  g_page_heap.run_chores();
  if (block != nullptr) unpoison(block, bytes);
  return block;
}

[[gnu::noinline]] void deallocate_without_class(void* block, size_t bytes) {
  RKVS_SCHEDULE_QUIET();
  if (bytes <= kMaxPaged) {
    deallocate_pages(block);
  } else {
    deallocate_large(block, bytes);
  }
}

[[gnu::noinline]] void deallocate_after_drain(size_t size_class, void* block) {
  RKVS_SCHEDULE_QUIET();
  drain_bin(size_class, block);
  g_page_heap.run_chores();
}

[[gnu::noinline]] bool is_call_to_fail() {
  return g_calls_until_failure.fetch_sub(1, std::memory_order_relaxed) == 1;
}

template <Fit fit>
size_t size_of_block(size_t bytes) {
  if (bytes <= kMaxSmall) return kSizeClasses[class_of<fit>(bytes)].size;
  if (bytes <= kMaxPaged) return pages_for(bytes) * kPageSize;
  return large_size(bytes);
}

inline void* take_block_at_hand(size_t size_class, size_t bytes) {
  Bin& bin = t_bins[size_class];
  const uint32_t count = bin.count.load(std::memory_order_relaxed);
  if (count == 0) [[unlikely]]
    return nullptr;
  void* block = bin.blocks[count - 1];
  bin.count.store(count - 1, std::memory_order_relaxed);
  unpoison(block, bytes);
  return block;
}

template <Fit fit>
inline void* allocate_block(size_t bytes) {
  if (g_calls_until_failure.load(std::memory_order_relaxed) > 0) [[unlikely]] {
    if (is_call_to_fail()) return nullptr;
  }
  if (bytes > kMaxSmall) [[unlikely]]
    return allocate_without_class(bytes);
  const size_t size_class = class_of<fit>(bytes);
  void* block = take_block_at_hand(size_class, bytes);
  return block != nullptr ? block : allocate_after_refill(size_class, bytes);
}

template <Fit fit>
inline void deallocate_block(void* block, size_t bytes) {
  if (block == nullptr) return;
  if constexpr (kPoisons) poison(block, size_of_block<fit>(bytes));
  if (bytes > kMaxSmall) [[unlikely]]
    return deallocate_without_class(block, bytes);
  const size_t size_class = class_of<fit>(bytes);
  Bin& bin = t_bins[size_class];
  const uint32_t count = bin.count.load(std::memory_order_relaxed);
  if (count >= bin.limit) [[unlikely]]
    return deallocate_after_drain(size_class, block);
  bin.blocks[count] = block;
  bin.count.store(count + 1, std::memory_order_relaxed);
}

void before_fork() RKVS_NO_THREAD_SAFETY_ANALYSIS {
  before_fork_caches();
  for (CentralList& central : g_central_lists) central.before_fork();
  g_page_heap.before_fork();
}

void after_fork_in_parent() RKVS_NO_THREAD_SAFETY_ANALYSIS {
  g_page_heap.after_fork_in_parent();
  for (CentralList& central : g_central_lists) central.after_fork_in_parent();
  after_fork_caches_in_parent();
}

void after_fork_in_child() {
  g_page_heap.after_fork_in_child();
  for (CentralList& central : g_central_lists) central.after_fork_in_child();
  after_fork_caches_in_child();
}

// Registered while the library is loaded: nothing can have used the arena long before that.
[[maybe_unused]] const int kForkHandlers =
    ::pthread_atfork(&before_fork, &after_fork_in_parent, &after_fork_in_child);

}  // namespace

void* Arena::allocate(size_t bytes) noexcept { return allocate_block<Fit::kAligned>(bytes); }

void Arena::deallocate(void* block, size_t bytes) noexcept {
  deallocate_block<Fit::kAligned>(block, bytes);
}

size_t Arena::block_size(size_t bytes) noexcept { return size_of_block<Fit::kAligned>(bytes); }

void* Arena::allocate_packed(size_t bytes) noexcept { return allocate_block<Fit::kPacked>(bytes); }

void Arena::deallocate_packed(void* block, size_t bytes) noexcept {
  deallocate_block<Fit::kPacked>(block, bytes);
}

void* Arena::allocate_packed_at_hand(size_t bytes) noexcept {
  // What tests make fail has to fail here too; the other way counts the call.
  if (bytes > kMaxSmall || g_calls_until_failure.load(std::memory_order_relaxed) > 0) [[unlikely]]
    return nullptr;
  return take_block_at_hand(class_of<Fit::kPacked>(bytes), bytes);
}

size_t Arena::packed_block_size(size_t bytes) noexcept {
  return size_of_block<Fit::kPacked>(bytes);
}

Arena::Stats Arena::stats() noexcept {
  Stats stats;
  const CacheFigures caches = cache_figures();
  for (size_t c = 0; c < kClasses; ++c) {
    stats.bytes_in_use += g_central_lists[c].taken() * kSizeClasses[c].size;
  }
  const PageHeap::Figures heap = g_page_heap.figures();
  const size_t large_bytes = g_large_bytes.load(std::memory_order_relaxed);
  // While other threads trade blocks, the cached ones may seem to be more than the taken ones.
  stats.bytes_in_use -=
      caches.bytes_cached < stats.bytes_in_use ? caches.bytes_cached : stats.bytes_in_use;
  stats.bytes_in_use += heap.block_pages * kPageSize + large_bytes;
  stats.bytes_cached = caches.bytes_cached;
  stats.bytes_reserved =
      heap.regions * kRegionSize + large_bytes + caches.bytes_reserved + heap.described_bytes;
  stats.regions = heap.regions;
  stats.reserve_regions = heap.reserve_regions;
  stats.late_regions = heap.late_regions;
  stats.promoted_regions = heap.promoted_regions;
  stats.large_blocks = g_large_blocks.load(std::memory_order_relaxed);
  stats.thread_caches = caches.threads;
  return stats;
}

void Arena::trim() noexcept {
  empty_own_bins();
  g_page_heap.trim();
}

void Arena::fail_nth_allocation_for_testing(int64_t n) noexcept {
  g_calls_until_failure.store(n, std::memory_order_relaxed);
}

}  // namespace rkvs::internal
