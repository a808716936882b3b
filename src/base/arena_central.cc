#include "base/arena_central.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <iterator>
#include <new>

#include "base/arena_page_heap.h"

namespace rkvs::internal::arena {
namespace {

// Blocks between asking for a cache line and using it.
constexpr size_t kAhead = 8;

// Blocks that are given back with the lock held once. Each may be some cache misses, and a thread
// that needs blocks waits as long: with 120 at a time, for 15 us while a save frees what it held
// back.
constexpr size_t kPerLock = 16;

// Takes up to `count` blocks of a span of this class: free ones first, then fresh ones.
size_t take_from(Span* span, const SizeClass& size_class, void** blocks, size_t count) {
  char* const start = span->start;
  const size_t size = size_class.size;
  count = std::min<size_t>(count, size_class.span_blocks - span->taken);
  const size_t used_before = std::min<size_t>(count, span->carved - span->taken);
  size_t taken = 0;
  size_t word = span->first_word;
  while (taken < used_before) {
    uint64_t bits = span->free_blocks[word];
    for (; bits != 0 && taken < used_before; bits &= bits - 1) {
      blocks[taken++] = start + (word * 64 + static_cast<size_t>(std::countr_zero(bits))) * size;
    }
    span->free_blocks[word] = bits;
    if (bits == 0) ++word;
  }
  span->first_word = static_cast<uint16_t>(word);
  size_t index = span->carved;
  for (; taken < count; ++taken, ++index) blocks[taken] = start + index * size;
  span->carved = static_cast<uint16_t>(index);
  span->taken = static_cast<uint16_t>(span->taken + count);
  return count;
}

void mark_free(Span* span, const SizeClass& size_class, const void* block) {
  const auto offset = static_cast<uint64_t>(static_cast<const char*>(block) - span->start);
  const size_t index = offset * size_class.inverse >> 32;
  const uint64_t bit = uint64_t{1} << (index % 64);
  assert(index * size_class.size == offset && "not the address of a block");
  assert((span->free_blocks[index / 64] & bit) == 0 && "a block was freed twice");
  span->free_blocks[index / 64] |= bit;
  span->first_word = std::min(span->first_word, static_cast<uint16_t>(index / 64));
}

// Blocks that come back lie anywhere, so that what describes them is a cache miss each unless it is
// asked for early: first the place that names the span, then the span.
void prefetch_place(const void* block) { __builtin_prefetch(g_region_map.place_of(block)); }
void prefetch_span(const void* block) {
  const Span* span = g_region_map.find_span(block);
  __builtin_prefetch(span, 1);
  __builtin_prefetch(&span->free_blocks, 1);
}

}  // namespace

constinit std::array<CentralList, kClasses> g_central_lists;

size_t CentralList::take(size_t size_class, void** blocks, size_t count) {
  const SizeClass& figures = kSizeClasses[size_class];
  MutexLock lock(mutex_);
  size_t taken = 0;
  while (taken < count) {
    Span* span = spans_;
    if (span == nullptr) {
      span = g_page_heap.allocate(figures.span_pages, Span::Kind::kCarved,
                                  static_cast<uint8_t>(size_class));
      if (span == nullptr) break;
      push_front(span);
    }
    taken += take_from(span, figures, blocks + taken, count - taken);
    if (span->taken == figures.span_blocks) remove(span);
  }
  taken_ += taken;
  return taken;
}

void CentralList::give(size_t size_class, void* const* blocks, size_t count) {
  const SizeClass& figures = kSizeClasses[size_class];
  for (size_t i = 0; i < std::min(count, 2 * kAhead); ++i) prefetch_place(blocks[i]);
  for (size_t first = 0; first < count; first += kPerLock) {
    const size_t end = std::min(count, first + kPerLock);
    MutexLock lock(mutex_);
    for (size_t i = first; i < std::min(count, first + kAhead); ++i) prefetch_span(blocks[i]);
    for (size_t i = first; i < end; ++i) {
      if (i + 2 * kAhead < count) prefetch_place(blocks[i + 2 * kAhead]);
      if (i + kAhead < end) prefetch_span(blocks[i + kAhead]);
      Span* span = g_region_map.find_span(blocks[i]);
      assert(span->kind == Span::Kind::kCarved && span->size_class == size_class);
      mark_free(span, figures, blocks[i]);
      if (span->taken == figures.span_blocks) push_front(span);
      if (--span->taken == 0) {
        remove(span);
        std::fill(std::begin(span->free_blocks), std::end(span->free_blocks), uint64_t{0});
        g_page_heap.deallocate(span);
      }
    }
    taken_ -= end - first;
  }
}

size_t CentralList::taken() {
  MutexLock lock(mutex_);
  return taken_;
}

void CentralList::push_front(Span* span) {
  span->previous = nullptr;
  span->next = spans_;
  if (spans_ != nullptr) spans_->previous = span;
  spans_ = span;
}

void CentralList::remove(Span* span) {
  if (span->next != nullptr) span->next->previous = span->previous;
  if (span->previous != nullptr) {
    span->previous->next = span->next;
  } else {
    spans_ = span->next;
  }
}

void CentralList::after_fork_in_child() RKVS_NO_THREAD_SAFETY_ANALYSIS { new (&mutex_) Mutex(); }

}  // namespace rkvs::internal::arena
