#include "base/arena_region.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/arena_poison.h"

namespace rkvs::internal::arena {
namespace {

char* map(size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

// Maps `bytes`, aligned to a region. The system usually puts one mapping right below the other,
// so that the first try succeeds; otherwise map more and return what is too much.
char* map_aligned(size_t bytes) {
  const auto excess = [](const char* memory) {
    return reinterpret_cast<uintptr_t>(memory) % kRegionSize;
  };
  char* memory = map(bytes);
  if (memory == nullptr || excess(memory) == 0) return memory;
  ::munmap(memory, bytes);
  const size_t more = bytes + kRegionSize;
  memory = map(more);
  if (memory == nullptr) return nullptr;
  const size_t before = (kRegionSize - excess(memory)) % kRegionSize;
  const size_t after = more - bytes - before;
  if (before != 0) ::munmap(memory, before);
  if (after != 0) ::munmap(memory + before + bytes, after);
  return memory + before;
}

void advise_huge([[maybe_unused]] void* memory, [[maybe_unused]] size_t bytes,
                 [[maybe_unused]] bool huge) {
#if defined(MADV_HUGEPAGE) && defined(MADV_NOHUGEPAGE)
  // Only advice: where the system has no huge pages, ordinary ones serve.
  ::madvise(memory, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#endif
}

}  // namespace

constinit RegionMap g_region_map;

char* map_region(bool huge) {
  char* memory = map_aligned(kRegionSize);
  if (memory == nullptr) return nullptr;
  advise_huge(memory, kRegionSize, huge);
  add_leak_root(memory, kRegionSize);
  return memory;
}

bool unmap_region(char* memory) { return unmap_memory(memory, kRegionSize); }

// Plain stores and not MADV_POPULATE_WRITE, which holds the lock of the whole address space while
// it works: every mmap() in the process then waits for it, 9 ms and more in one case of a hundred
// (measured on Linux 6.18) against 0.05 ms with stores.
void populate_region(char* memory) {
  for (size_t offset = 0; offset < kRegionSize; offset += kPageSize) {
    *static_cast<volatile char*>(memory + offset) = 0;
  }
}

void promote_region(char* memory) {
  advise_huge(memory, kRegionSize, true);
#if defined(__linux__)
  // Touches a huge page first and gives it back, since the system most likely takes the same again:
  // on a virtual machine, memory that the host has not given yet takes ten times as long, and
  // whoever wants something of the region would have to wait for that as well.
  if (char* target = map_region(true)) {
    populate_region(target);
    unmap_region(target);
  }
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, of Linux 6.1
  static_cast<void>(::madvise(memory, kRegionSize, kCollapse));
#endif
}

void* map_memory(size_t bytes) {
  char* memory = bytes >= kRegionSize ? map_aligned(bytes) : map(bytes);
  if (memory == nullptr) return nullptr;
  if (bytes >= kRegionSize) advise_huge(memory, bytes, true);
  add_leak_root(memory, bytes);
  return memory;
}

bool unmap_memory(void* memory, size_t bytes) {
  remove_leak_root(memory, bytes);
  unpoison(memory, bytes);
  if (::munmap(memory, bytes) == 0) return true;
  // It would split a mapping, and the process has too many: give back at least what is in it.
  ::madvise(memory, bytes, MADV_DONTNEED);
  poison(memory, bytes);
  add_leak_root(memory, bytes);
  return false;
}

size_t round_to_system_pages(size_t bytes) {
  static const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

bool RegionMap::set(const void* address, Region* region) {
  const uintptr_t number = reinterpret_cast<uintptr_t>(address) >> kRegionBits;
  if (number / kPerTable >= kTables) return false;
  Region**& table = tables_[number / kPerTable];
  if (table == nullptr) {
    table = static_cast<Region**>(map_memory(kTableSize));
    if (table == nullptr) return false;
    ++table_count_;
  }
  table[number % kPerTable] = region;
  return true;
}

}  // namespace rkvs::internal::arena
