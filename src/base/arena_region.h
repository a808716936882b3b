// Regions of 2 MiB, the runs of pages in them, and the way from an address to its run.
#ifndef RKVS_BASE_ARENA_REGION_H_
#define RKVS_BASE_ARENA_REGION_H_

#include <cstddef>
#include <cstdint>

#include "base/arena_size_class.h"

namespace rkvs::internal::arena {

inline constexpr size_t kRegionBits = 21;
inline constexpr size_t kRegionSize = size_t{1} << kRegionBits;
inline constexpr size_t kRegionPages = kRegionSize / kPageSize;

struct Region;

// A run of pages of one region: free, or one block, or carved into blocks of a class.
//
// The page heap's lock guards the first half, and the links while the run is free or one block;
// the lock of the class guards the rest while the run is carved.
struct alignas(64) Span {
  enum class Kind : uint8_t { kFree, kPages, kCarved };

  Region* region;
  char* start;
  uint16_t pages;
  Kind kind;
  uint8_t size_class;
  uint16_t carved;      // blocks below this index have been handed out at least once
  uint16_t taken;       // blocks that are handed out now
  uint16_t first_word;  // of free_blocks: all earlier ones are zero
  Span* previous;       // in a list of free runs, or of the spans of a class with free blocks
  Span* next;

  // The free blocks below `carved`. Bits and not links through the blocks: that leaves free memory
  // untouched, and hands out neighbours together.
  alignas(64) uint64_t free_blocks[kMaxSpanBlocks / 64];
};
static_assert(sizeof(Span) == 128);

// What is known of a region. It is kept apart from the region's memory, which so is all for
// blocks, and whose alignment would put the descriptions of all regions into the same few sets of
// the processor's cache.
struct alignas(64) Region {
  char* memory;
  Region* next;           // in a list of empty regions, or of unused descriptions
  Region* next_ordinary;  // in the list of regions of ordinary pages
  uint32_t used_pages;
  bool huge;  // advised to be one huge page
  // The run that covers a page. Kept for all pages of carved runs, for the first and the last page
  // of other runs.
  Span* spans[kRegionPages];
};

// Maps the memory of a region without touching it, as one huge page or as ordinary pages. nullptr
// when there is none. `unmap_region` returns false when the system refuses, and nothing changed.
char* map_region(bool huge);
bool unmap_region(char* memory);

// Touches all the memory of a region that no block has been in yet.
void populate_region(char* memory);

// Makes one huge page of a region of ordinary pages, with what is in it: some 0.4 ms, in which who
// touches it waits. Where the system cannot do it at once, it may later.
void promote_region(char* memory);

// Memory by itself, huge pages where they fit. `bytes` is a multiple of the system's page size.
void* map_memory(size_t bytes);
bool unmap_memory(void* memory, size_t bytes);
size_t round_to_system_pages(size_t bytes);

// Finds the region of an address in two steps: the upper bits choose a table, the lower ones a
// place in it. Tables are mapped when first needed and stay.
//
// Looking up takes no lock. A place is written while no block of the region is in anybody's hands,
// and the locks that a block passes through on its way order the writing before the reading.
class RegionMap {
 public:
  constexpr RegionMap() = default;

  Region* find(const void* address) const {
    const uintptr_t number = reinterpret_cast<uintptr_t>(address) >> kRegionBits;
    return tables_[number / kPerTable][number % kPerTable];
  }
  Span* find_span(const void* address) const { return find(address)->spans[page_of(address)]; }
  const void* place_of(const void* address) const {
    return &find(address)->spans[page_of(address)];
  }

  // False when there is no memory for a table, or when the address is beyond what is covered.
  bool set(const void* address, Region* region);

  size_t bytes_mapped() const { return table_count_ * kTableSize; }

 private:
  // No system hands out higher addresses unasked.
  static constexpr size_t kAddressBits = 48;
  static constexpr size_t kPerTable = size_t{1} << 14;
  static constexpr size_t kTableSize = kPerTable * sizeof(void*);
  static constexpr size_t kTables = (size_t{1} << (kAddressBits - kRegionBits)) / kPerTable;

  static size_t page_of(const void* address) {
    return (reinterpret_cast<uintptr_t>(address) >> kPageBits) % kRegionPages;
  }

  Region** tables_[kTables] = {};
  size_t table_count_ = 0;
};

extern RegionMap g_region_map;

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_REGION_H_
