#include "base/arena_central.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>

#include "base/arena_page_heap.h"

namespace rkvs::internal::arena {
namespace {

// Blocks between asking for a cache line and using it.
constexpr size_t kAhead = 8;

constexpr size_t kWordsPerPage = kPageSize / kBytesPerFreeWord;

// Takes up to `count` blocks of a span of this class: free ones first, then fresh ones.
size_t take_from(Span* span, const SizeClass& size_class, void** blocks, size_t count) {
  Region* region = region_of(span);
  const size_t first_page = first_page_of(span);
  count = std::min<size_t>(count, size_class.span_blocks - span->taken);
  size_t free_left = std::min<size_t>(count, span->carved - span->taken);
  size_t taken = 0;
  size_t word = span->first_word;
  while (free_left != 0) {
    uint64_t bits = region->free_blocks[word];
    char* const base = reinterpret_cast<char*>(region) + word * kBytesPerFreeWord;
    for (; bits != 0 && free_left != 0; bits &= bits - 1, --free_left) {
      blocks[taken++] = base + static_cast<size_t>(std::countr_zero(bits)) * kAlignment;
    }
    region->free_blocks[word] = bits;
    if (bits == 0) ++word;
  }
  span->first_word = static_cast<uint16_t>(word);
  char* fresh = page_address(region, first_page) + size_t{span->carved} * size_class.size;
  span->carved = static_cast<uint16_t>(span->carved + (count - taken));
  for (; taken < count; ++taken, fresh += size_class.size) blocks[taken] = fresh;
  span->taken = static_cast<uint16_t>(span->taken + count);
  return count;
}

// Blocks that come back lie anywhere, so that each of these is a cache miss unless asked for early.
void prefetch_page(const void* block) {
  Region* region = region_of(block);
  const size_t offset = offset_in_region(block);
  __builtin_prefetch(&region->run_of[offset / kPageSize]);
  __builtin_prefetch(&region->free_blocks[offset / kBytesPerFreeWord], 1);
}

Span* span_of(const void* block) {
  Region* region = region_of(block);
  return &region->spans[region->run_of[offset_in_region(block) / kPageSize]];
}

// Marks a block as free and returns its span.
Span* mark_free(const void* block) {
  Region* region = region_of(block);
  const size_t offset = offset_in_region(block);
  Span* span = span_of(block);
  const size_t word = offset / kBytesPerFreeWord;
  const uint64_t bit = uint64_t{1} << (offset / kAlignment % 64);
  assert((region->free_blocks[word] & bit) == 0 && "a block was freed twice");
  region->free_blocks[word] |= bit;
  span->first_word = std::min(span->first_word, static_cast<uint16_t>(word));
  return span;
}

void clear_free_blocks(Span* span) {
  uint64_t* words = region_of(span)->free_blocks + first_page_of(span) * kWordsPerPage;
  std::fill_n(words, span->pages * kWordsPerPage, uint64_t{0});
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
      span->first_word = static_cast<uint16_t>(first_page_of(span) * kWordsPerPage);
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
  for (size_t i = 0; i < std::min(count, 2 * kAhead); ++i) prefetch_page(blocks[i]);
  MutexLock lock(mutex_);
  for (size_t i = 0; i < std::min(count, kAhead); ++i) __builtin_prefetch(span_of(blocks[i]), 1);
  for (size_t i = 0; i < count; ++i) {
    if (i + 2 * kAhead < count) prefetch_page(blocks[i + 2 * kAhead]);
    if (i + kAhead < count) __builtin_prefetch(span_of(blocks[i + kAhead]), 1);
    Span* span = mark_free(blocks[i]);
    assert(span->kind == Span::Kind::kCarved && span->size_class == size_class);
    if (span->taken == figures.span_blocks) push_front(span);
    if (--span->taken == 0) {
      remove(span);
      clear_free_blocks(span);
      g_page_heap.deallocate(span);
    }
  }
  taken_ -= count;
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
