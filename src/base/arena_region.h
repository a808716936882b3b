// A region: 2 MiB of memory, aligned to 2 MiB, that starts with a description of its own pages.
#ifndef RKVS_BASE_ARENA_REGION_H_
#define RKVS_BASE_ARENA_REGION_H_

#include <cstddef>
#include <cstdint>

#include "base/arena_size_class.h"

namespace rkvs::internal::arena {

inline constexpr size_t kRegionSize = size_t{2} << 20;
inline constexpr size_t kRegionPages = kRegionSize / kPageSize;

struct Region;

// A run of pages of one region: free, or a block of its own, or carved into blocks of one class.
// Kept in the slot of the run's first page.
//
// The page heap's lock guards `pages`, `kind`, and the links while the run is free; the lock of
// the class guards the rest while the run is carved.
struct Span {
  enum class Kind : uint8_t { kFree = 0, kPages = 1, kCarved = 2, kHeader = 3 };

  Span* previous;  // in a list of free runs, or of the spans of a class that have free blocks
  Span* next;
  uint16_t pages;
  Kind kind;
  uint8_t size_class;
  uint16_t carved;      // blocks below this index have been handed out at least once
  uint16_t taken;       // blocks that are handed out now
  uint16_t first_word;  // of Region::free_blocks: no free block of this span lies in an earlier one
  uint16_t padding[3];
};
static_assert(sizeof(Span) == 32);

// One bit for each possible address of a block.
inline constexpr size_t kFreeWords = kRegionSize / kAlignment / 64;
inline constexpr size_t kBytesPerFreeWord = kAlignment * 64;

// The free blocks of a carved run are bits, not links through the blocks: that leaves free memory
// untouched and hands out neighbours together.
struct Region {
  Region* next;         // in a list of empty regions
  uint32_t used_pages;  // without the header
  bool huge;            // advised to be one huge page
  // The first page of the run that covers a page. Kept for all pages of carved runs, and for the
  // last page of every other run.
  uint16_t run_of[kRegionPages];
  Span spans[kRegionPages];
  uint64_t free_blocks[kFreeWords];
};

inline constexpr size_t kHeaderPages = (sizeof(Region) + kPageSize - 1) / kPageSize;
inline constexpr size_t kUsablePages = kRegionPages - kHeaderPages;

inline Region* region_of(const void* address) {
  return reinterpret_cast<Region*>(reinterpret_cast<uintptr_t>(address) & ~(kRegionSize - 1));
}

inline size_t offset_in_region(const void* address) {
  return reinterpret_cast<uintptr_t>(address) & (kRegionSize - 1);
}

inline size_t first_page_of(const Span* span) {
  return static_cast<size_t>(span - region_of(span)->spans);
}

inline char* page_address(Region* region, size_t page) {
  return reinterpret_cast<char*>(region) + page * kPageSize;
}

inline char* address_of(Span* span) {
  return page_address(region_of(span), first_page_of(span));
}

// Maps the memory of a region without touching it, as one huge page or as ordinary pages. nullptr
// when there is none.
void* map_region(bool huge);

// Touches all of the memory of a region that format_region() has not seen yet.
void populate_region(void* memory);

// Makes mapped memory a region whose usable pages are one free run.
Region* format_region(void* memory, bool huge);

// Makes the usable pages of a region without used pages one free run again.
void reset_region(Region* region);

// Returns false when the system refuses, which leaves the region as it was.
bool unmap_region(Region* region);

// Memory by itself, huge pages where they fit. `bytes` is a multiple of the system's page size.
void* map_memory(size_t bytes);
bool unmap_memory(void* memory, size_t bytes);
size_t round_to_system_pages(size_t bytes);

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_REGION_H_
