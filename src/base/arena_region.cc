#include "base/arena_region.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/arena_poison.h"

namespace rkvs::internal::arena {
namespace {

char* map(size_t bytes) {
  void* memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

// Maps `bytes`, aligned to a region. The system usually puts one mapping right below the other,
// so that the first try succeeds; otherwise map more and return what is too much.
char* map_aligned(size_t bytes) {
  char* memory = map(bytes);
  if (memory == nullptr || offset_in_region(memory) == 0) return memory;
  ::munmap(memory, bytes);
  const size_t more = bytes + kRegionSize;
  memory = map(more);
  if (memory == nullptr) return nullptr;
  const size_t before = (kRegionSize - offset_in_region(memory)) % kRegionSize;
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

void* map_region(bool huge) {
  char* memory = map_aligned(kRegionSize);
  if (memory != nullptr) advise_huge(memory, kRegionSize, huge);
  return memory;
}

// Plain stores and not MADV_POPULATE_WRITE, which holds the lock of the whole address space while
// it works: every mmap() in the process then waits for it, 9 ms and more in one case of a hundred
// (measured on Linux 6.18) against 0.05 ms with stores.
void populate_region(void* memory) {
  for (size_t offset = 0; offset < kRegionSize; offset += kPageSize) {
    *static_cast<volatile char*>(static_cast<char*>(memory) + offset) = 0;
  }
}

Region* format_region(void* memory, bool huge) {
  // Fresh memory is zero, and so are the description's first values: a constructor would touch
  // pages for nothing.
  Region* region = static_cast<Region*>(memory);
  region->huge = huge;
  region->spans[0].kind = Span::Kind::kHeader;
  reset_region(region);
  poison(page_address(region, kHeaderPages), kUsablePages * kPageSize);
  add_leak_root(memory, kRegionSize);
  return region;
}

bool unmap_region(Region* region) {
  remove_leak_root(region, kRegionSize);
  unpoison(region, kRegionSize);
  if (::munmap(region, kRegionSize) == 0) return true;
  poison(page_address(region, kHeaderPages), kUsablePages * kPageSize);
  add_leak_root(region, kRegionSize);
  return false;
}

void reset_region(Region* region) {
  region->next = nullptr;
  region->used_pages = 0;
  Span& run = region->spans[kHeaderPages];
  run.previous = nullptr;
  run.next = nullptr;
  run.pages = kUsablePages;
  run.kind = Span::Kind::kFree;
  region->run_of[kHeaderPages - 1] = 0;
  region->run_of[kRegionPages - 1] = kHeaderPages;
}

size_t round_to_system_pages(size_t bytes) {
  static const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
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
  return ::munmap(memory, bytes) == 0;
}

}  // namespace rkvs::internal::arena
