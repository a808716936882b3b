#include "base/arena_page_heap.h"

#include <bit>
#include <cassert>
#include <new>

namespace rkvs::internal::arena {
namespace {

// Below this much use the arena does without a reserve and its thread: a small store costs little.
constexpr size_t kReserveFrom = kUsablePages / 2;

// A region that is used up faster than this asks for a larger reserve. Touching a region takes
// 0.1 to 5 ms, and a busy machine may let the thread wait for some ms more.
constexpr std::chrono::milliseconds kFastGrowth{20};
constexpr size_t kMaxReserve = 4;

}  // namespace

constinit PageHeap g_page_heap;

Span* PageHeap::allocate(size_t pages, Span::Kind kind, uint8_t size_class) {
  bool huge;
  {
    MutexLock lock(mutex_);
    Span* span = take_run(pages);
    if (span == nullptr && reserve_ != nullptr) {
      Region* region = reserve_;
      reserve_ = region->next;
      --reserve_count_;
      add_region(region);
      span = take_run(pages);
    }
    if (span != nullptr) {
      use(span, kind, size_class);
      return span;
    }
    huge = regions_ != 0 && touching_is_fast_;
  }
  // The first region of a small store, or the reserve comes too late and the caller pays.
  void* memory = map_region(huge);
  if (memory == nullptr) return nullptr;
  Region* region = format_region(memory, huge);
  MutexLock lock(mutex_);
  if (regions_++ != 0) ++late_regions_;
  add_region(region);
  Span* span = take_run(pages);
  assert(span != nullptr);
  use(span, kind, size_class);
  return span;
}

void PageHeap::use(Span* span, Span::Kind kind, uint8_t size_class) {
  Region* region = region_of(span);
  const size_t first = first_page_of(span);
  const size_t pages = span->pages;
  span->kind = kind;
  span->size_class = size_class;
  if (kind == Span::Kind::kCarved) {
    span->carved = 0;
    span->taken = 0;
    for (size_t page = first; page < first + pages; ++page) {
      region->run_of[page] = static_cast<uint16_t>(first);
    }
  } else {
    block_pages_ += pages;
  }
  region->used_pages += static_cast<uint32_t>(pages);
  used_pages_ += pages;
  note_chores();
}

void PageHeap::deallocate(Span* span) {
  MutexLock lock(mutex_);
  Region* region = region_of(span);
  const size_t pages = span->pages;
  assert(span->kind == Span::Kind::kPages || span->kind == Span::Kind::kCarved);
  if (span->kind == Span::Kind::kPages) block_pages_ -= pages;
  region->used_pages -= static_cast<uint32_t>(pages);
  used_pages_ -= pages;

  size_t first = first_page_of(span);
  size_t end = first + pages;
  if (end < kRegionPages && region->spans[end].kind == Span::Kind::kFree) {
    Span* right = &region->spans[end];
    remove_run(right);
    end += right->pages;
  }
  Span* left = &region->spans[region->run_of[first - 1]];
  if (left->kind == Span::Kind::kFree) {
    remove_run(left);
    first = first_page_of(left);
  }
  Span* run = &region->spans[first];
  run->kind = Span::Kind::kFree;
  run->pages = static_cast<uint16_t>(end - first);
  if (region->used_pages == 0) {
    assert(run->pages == kUsablePages);
    retire(region);
  } else {
    insert_run(run);
  }
  note_chores();
}

// Takes a run of just this length off the shortest free one that holds it.
Span* PageHeap::take_run(size_t pages) {
  size_t word = pages / 64;
  uint64_t lengths = lengths_[word] & (~uint64_t{0} << (pages % 64));
  while (lengths == 0) {
    if (++word == kRegionPages / 64) return nullptr;
    lengths = lengths_[word];
  }
  Span* run = runs_[word * 64 + static_cast<size_t>(std::countr_zero(lengths))];
  remove_run(run);
  Region* region = region_of(run);
  const size_t first = first_page_of(run);
  if (run->pages > pages) {
    Span* rest = &region->spans[first + pages];
    rest->kind = Span::Kind::kFree;
    rest->pages = static_cast<uint16_t>(run->pages - pages);
    insert_run(rest);
    run->pages = static_cast<uint16_t>(pages);
  }
  region->run_of[first + pages - 1] = static_cast<uint16_t>(first);
  return run;
}

void PageHeap::insert_run(Span* run) {
  const size_t pages = run->pages;
  run->previous = nullptr;
  run->next = runs_[pages];
  if (run->next != nullptr) run->next->previous = run;
  runs_[pages] = run;
  lengths_[pages / 64] |= uint64_t{1} << (pages % 64);
  const size_t first = first_page_of(run);
  region_of(run)->run_of[first + pages - 1] = static_cast<uint16_t>(first);
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

// Brings an empty region into use.
void PageHeap::add_region(Region* region) {
  if (regions_ > 1) {
    const Clock::time_point now = Clock::now();
    if (now - last_taken_ >= kFastGrowth) {
      reserve_target_ = 1;
    } else if (reserve_target_ < kMaxReserve) {
      ++reserve_target_;
    }
    last_taken_ = now;
  }
  insert_run(&region->spans[kHeaderPages]);
}

// Takes a region that has become empty out of use.
void PageHeap::retire(Region* region) {
  reset_region(region);
  // A region of ordinary pages is not worth keeping unless it is the only one.
  const bool keep = reserve_count_ < reserve_target_ && (region->huge || regions_ == 1);
  Region*& list = keep ? reserve_ : doomed_;
  region->next = list;
  list = region;
  if (keep) ++reserve_count_;
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
  bool wake = false;
  {
    MutexLock lock(mutex_);
    chores_due_.store(false, std::memory_order_relaxed);
    if (wants_reserve()) {
      start = !thread_runs_;
      wake = thread_runs_ && thread_sleeps_;
      thread_runs_ = true;
      thread_sleeps_ = false;
    }
  }
  if (start) start_thread();
  if (wake) call_thread();
  unmap_doomed();
}

void PageHeap::unmap_doomed() {
  for (;;) {
    Region* region;
    {
      MutexLock lock(mutex_);
      region = doomed_;
      if (region == nullptr) return;
      doomed_ = region->next;
      --regions_;
    }
    if (unmap_region(region)) continue;
    // Only possible when unmapping would split a mapping and the process has too many of them.
    MutexLock lock(mutex_);
    ++regions_;
    region->next = reserve_;
    reserve_ = region;
    ++reserve_count_;
    return;
  }
}

void PageHeap::trim() {
  {
    MutexLock lock(mutex_);
    while (reserve_ != nullptr) {
      Region* region = reserve_;
      reserve_ = region->next;
      --reserve_count_;
      region->next = doomed_;
      doomed_ = region;
    }
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
  figures.block_pages = block_pages_;
  return figures;
}

// Only the forking thread lives on, and its lock may carry marks of threads that wait no more.
void PageHeap::after_fork_in_child() RKVS_NO_THREAD_SAFETY_ANALYSIS {
  new (&mutex_) Mutex();
  if (populating_ != nullptr) {
    unmap_memory(populating_, kRegionSize);
    populating_ = nullptr;
    --regions_;
  }
  thread_runs_ = false;
  thread_sleeps_ = false;
}

}  // namespace rkvs::internal::arena
