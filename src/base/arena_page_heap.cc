#include "base/arena_page_heap.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <iterator>
#include <new>

#include "base/arena_poison.h"

namespace rkvs::internal::arena {
namespace {

// Below this much use the arena does without a reserve and its thread: a small store costs little.
constexpr size_t kReserveFrom = kRegionPages / 2;

// A region that is used up faster than this asks for a larger reserve. Touching a region takes
// 0.1 to 5 ms, and a busy machine may let the thread wait for some ms more.
constexpr std::chrono::milliseconds kFastGrowth{20};
constexpr size_t kMaxReserve = 4;

size_t first_page_of(const Span* span) {
  return static_cast<size_t>(span->start - span->region->memory) / kPageSize;
}

}  // namespace

constinit PageHeap g_page_heap;

Span* PageHeap::allocate(size_t pages, Span::Kind kind, uint8_t size_class) {
  {
    MutexLock lock(mutex_);
    Span* span = take_run(pages);
    if (span == nullptr && reserve_ != nullptr) {
      add_region(pop_reserve());
      span = take_run(pages);
    }
    if (span != nullptr) {
      use(span, kind, size_class);
      return span;
    }
  }
  // The first region of a small store, or the reserve comes too late. Ordinary pages, touched one
  // by one: a huge page would take the caller up to 5 ms, and its advice is a change of mappings
  // that may have to wait until the thread has touched the region next to it.
  char* memory = map_region(false);
  if (memory == nullptr) return nullptr;
  poison(memory, kRegionSize);
  {
    MutexLock lock(mutex_);
    Region* region = describe(memory, false);
    if (region != nullptr) {
      if (regions_++ != 0) ++late_regions_;
      region->next_ordinary = ordinary_;
      ordinary_ = region;
      add_region(region);
      Span* span = take_run(pages);
      if (span != nullptr) use(span, kind, size_class);
      return span;
    }
  }
  unmap_region(memory);
  return nullptr;
}

void PageHeap::deallocate(Span* span) {
  MutexLock lock(mutex_);
  give_back(span);
}

void PageHeap::deallocate_block(void* block) {
  MutexLock lock(mutex_);
  give_back(g_region_map.find_span(block));
}

void PageHeap::use(Span* span, Span::Kind kind, uint8_t size_class) {
  span->kind = kind;
  span->size_class = size_class;
  if (kind == Span::Kind::kCarved) {
    span->carved = 0;
    span->taken = 0;
    span->first_word = 0;
    Span** const first = &span->region->spans[first_page_of(span)];
    for (size_t i = 0; i < span->pages; ++i) first[i] = span;
  } else {
    block_pages_ += span->pages;
  }
  span->region->used_pages += span->pages;
  used_pages_ += span->pages;
  note_chores();
}

void PageHeap::give_back(Span* span) {
  assert(span->kind != Span::Kind::kFree && "a block was freed twice");
  Region* region = span->region;
  if (span->kind == Span::Kind::kPages) block_pages_ -= span->pages;
  region->used_pages -= span->pages;
  used_pages_ -= span->pages;
  span->kind = Span::Kind::kFree;

  const size_t first = first_page_of(span);
  const size_t end = first + span->pages;
  Span* right = end < kRegionPages ? region->spans[end] : nullptr;
  if (right != nullptr && right->kind == Span::Kind::kFree) {
    remove_run(right);
    span->pages = static_cast<uint16_t>(span->pages + right->pages);
    span_pool_.give(right);
  }
  Span* left = first > 0 ? region->spans[first - 1] : nullptr;
  if (left != nullptr && left->kind == Span::Kind::kFree) {
    remove_run(left);
    span->start = left->start;
    span->pages = static_cast<uint16_t>(span->pages + left->pages);
    span_pool_.give(left);
  }
  if (region->used_pages == 0) {
    assert(span->pages == kRegionPages);
    region->spans[0] = span;
    retire(region);
  } else {
    insert_run(span);
  }
  note_chores();
}

// Takes a run of just this length off the shortest free one that holds it.
Span* PageHeap::take_run(size_t pages) {
  size_t word = pages / 64;
  uint64_t lengths = lengths_[word] & (~uint64_t{0} << (pages % 64));
  while (lengths == 0) {
    if (++word == std::size(lengths_)) return nullptr;
    lengths = lengths_[word];
  }
  Span* run = runs_[word * 64 + static_cast<size_t>(std::countr_zero(lengths))];
  if (run->pages > pages) {
    Span* rest = span_pool_.take();
    if (rest == nullptr) return nullptr;
    remove_run(run);
    rest->region = run->region;
    rest->start = run->start + pages * kPageSize;
    rest->pages = static_cast<uint16_t>(run->pages - pages);
    rest->kind = Span::Kind::kFree;
    insert_run(rest);
    run->pages = static_cast<uint16_t>(pages);
  } else {
    remove_run(run);
  }
  Span** const first = &run->region->spans[first_page_of(run)];
  first[0] = run;
  first[pages - 1] = run;
  return run;
}

void PageHeap::insert_run(Span* run) {
  const size_t pages = run->pages;
  run->previous = nullptr;
  run->next = runs_[pages];
  if (run->next != nullptr) run->next->previous = run;
  runs_[pages] = run;
  lengths_[pages / 64] |= uint64_t{1} << (pages % 64);
  Span** const first = &run->region->spans[first_page_of(run)];
  first[0] = run;
  first[pages - 1] = run;
}

void PageHeap::remove_run(Span* run) {
  const size_t pages = run->pages;
  if (run->next != nullptr) run->next->previous = run->previous;
  if (run->previous != nullptr) {
    run->previous->next = run->next;
  } else {
    runs_[pages] = run->next;
    if (run->next == nullptr) lengths_[pages / 64] &= ~(uint64_t{1} << (pages % 64));
  }
}

// Describes new memory as a region that is one free run, not in any list yet. nullptr when there is
// no memory for that.
Region* PageHeap::describe(char* memory, bool huge) {
  Region* region = region_pool_.take();
  if (region == nullptr) return nullptr;
  Span* run = span_pool_.take();
  if (run == nullptr || !g_region_map.set(memory, region)) {
    if (run != nullptr) span_pool_.give(run);
    region_pool_.give(region);
    return nullptr;
  }
  run->region = region;
  run->start = memory;
  run->pages = kRegionPages;
  run->kind = Span::Kind::kFree;
  region->memory = memory;
  region->used_pages = 0;
  region->huge = huge;
  region->spans[0] = run;
  return region;
}

// Brings an empty region into use.
void PageHeap::add_region(Region* region) {
  if (regions_ > 1) {
    const Clock::time_point now = Clock::now();
    if (now - last_added_ >= kFastGrowth) {
      reserve_target_ = 1;
    } else if (reserve_target_ < std::min(kMaxReserve, 1 + regions_ / 64)) {
      ++reserve_target_;
    }
    last_added_ = now;
  }
  insert_run(region->spans[0]);
}

// Takes a region that has become empty out of use.
void PageHeap::retire(Region* region) {
  // A region of ordinary pages is not worth keeping unless it is the only one.
  if (reserve_count_ < reserve_target_ && (region->huge || regions_ == 1)) {
    push_reserve(region);
  } else {
    doom(region);
  }
}

void PageHeap::push_reserve(Region* region) {
  region->next = reserve_;
  reserve_ = region;
  ++reserve_count_;
}

Region* PageHeap::pop_reserve() {
  Region* region = reserve_;
  reserve_ = region->next;
  --reserve_count_;
  return region;
}

void PageHeap::forget_ordinary(Region* region) {
  for (Region** link = &ordinary_; *link != nullptr; link = &(*link)->next_ordinary) {
    if (*link != region) continue;
    *link = region->next_ordinary;
    break;
  }
}

void PageHeap::doom(Region* region) {
  region->next = doomed_;
  doomed_ = region;
}

bool PageHeap::wants_reserve() const {
  return used_pages_ > kReserveFrom && populating_ == nullptr && reserve_count_ < reserve_target_;
}

void PageHeap::note_chores() {
  if (doomed_ != nullptr || (wants_reserve() && (!thread_runs_ || thread_sleeps_))) {
    chores_due_.store(true, std::memory_order_relaxed);
  }
}

void PageHeap::do_chores() {
  bool start = false;
  bool call = false;
  {
    MutexLock lock(mutex_);
    chores_due_.store(false, std::memory_order_relaxed);
    if (wants_reserve()) {
      start = !thread_runs_;
      call = thread_runs_ && thread_sleeps_;
      thread_runs_ = true;
      thread_sleeps_ = false;
    }
  }
  if (start) start_thread();
  if (call) call_thread();
  unmap_doomed();
}

void PageHeap::unmap_doomed() {
  for (;;) {
    char* memory;
    bool huge;
    {
      MutexLock lock(mutex_);
      Region** link = &doomed_;
      if (*link != nullptr && *link == promoting_) link = &(*link)->next;
      Region* region = *link;
      if (region == nullptr) return;
      *link = region->next;
      if (!region->huge) forget_ordinary(region);
      --regions_;
      memory = region->memory;
      huge = region->huge;
      // The map keeps its entry: nobody holds a block there, and a new region will replace it.
      span_pool_.give(region->spans[0]);
      region_pool_.give(region);
    }
    if (unmap_region(memory)) continue;
    // Refused: then it stays, for later use.
    MutexLock lock(mutex_);
    Region* region = describe(memory, huge);
    if (region == nullptr) return;
    ++regions_;
    if (!huge) {
      region->next_ordinary = ordinary_;
      ordinary_ = region;
    }
    push_reserve(region);
    return;
  }
}

void PageHeap::trim() {
  {
    MutexLock lock(mutex_);
    while (reserve_ != nullptr) doom(pop_reserve());
    reserve_target_ = 1;
  }
  unmap_doomed();
}

PageHeap::Figures PageHeap::figures() {
  MutexLock lock(mutex_);
  Figures figures;
  figures.regions = regions_;
  figures.reserve_regions = reserve_count_;
  figures.late_regions = late_regions_;
  figures.promoted_regions = promoted_regions_;
  figures.block_pages = block_pages_;
  figures.described_bytes =
      span_pool_.bytes_mapped() + region_pool_.bytes_mapped() + g_region_map.bytes_mapped();
  return figures;
}

// Only the forking thread lives on, and its lock may carry marks of threads that wait no more.
void PageHeap::after_fork_in_child() RKVS_NO_THREAD_SAFETY_ANALYSIS {
  new (&mutex_) Mutex();
  if (populating_ != nullptr) {
    unmap_region(populating_);
    populating_ = nullptr;
    --regions_;
  }
  promoting_ = nullptr;
  thread_runs_ = false;
  thread_sleeps_ = false;
}

}  // namespace rkvs::internal::arena
