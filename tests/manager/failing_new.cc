// Replaces every operator new and delete of the program; in a file of its own, so that the compiler
// sees no pair of them at once.
#include "tests/manager/failing_new.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <utility>

namespace {

struct Failures {
  int64_t countdown = 0;  // 0: no failures; otherwise which allocation from now on fails
  bool for_good = false;
  bool failed = false;
};
thread_local Failures failures;

// Of the threads that are not spared.
std::atomic<int64_t> others_countdown{0};
std::atomic<bool> others_for_good{false};
std::atomic<bool> others_failed{false};
thread_local bool is_spared = false;

struct Memory {
  int64_t in_use = 0;
  int64_t peak = 0;
};
thread_local Memory memory;

void* count(void* block) noexcept {
  memory.in_use += static_cast<int64_t>(malloc_usable_size(block));
  memory.peak = std::max(memory.peak, memory.in_use);
  return block;
}

void release(void* block) noexcept {
  memory.in_use -= static_cast<int64_t>(malloc_usable_size(block));
  std::free(block);
}

bool others_may_allocate() noexcept {
  int64_t left = others_countdown.load(std::memory_order_relaxed);
  do {
    if (left == 0) return true;
    if (left == 1 && others_for_good.load(std::memory_order_relaxed)) break;
  } while (!others_countdown.compare_exchange_weak(left, left - 1, std::memory_order_relaxed));
  if (left > 1) return true;
  others_failed.store(true, std::memory_order_relaxed);
  return false;
}

bool may_allocate() noexcept {
  if (!is_spared && !others_may_allocate()) return false;
  if (failures.countdown == 0) return true;
  if (failures.countdown > 1) {
    --failures.countdown;
    return true;
  }
  failures.failed = true;
  if (!failures.for_good) failures.countdown = 0;
  return false;
}

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (!may_allocate()) return nullptr;
  if (size == 0) size = 1;
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) return count(std::malloc(size));
  return count(std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment));
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* block = allocate(size, alignment);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

namespace rkvs::manager_test {

void fail_allocations_of_this_thread(int64_t n, bool for_good) noexcept {
  failures = {n, for_good, false};
}

void fail_allocations_of_other_threads(int64_t n, bool for_good) noexcept {
  is_spared = true;
  others_failed.store(false, std::memory_order_relaxed);
  others_for_good.store(for_good, std::memory_order_relaxed);
  others_countdown.store(n, std::memory_order_relaxed);
}

bool stop_failing_allocations() noexcept {
  others_countdown.store(0, std::memory_order_relaxed);
  is_spared = false;
  const bool others = others_failed.exchange(false, std::memory_order_relaxed);
  return std::exchange(failures, {}).failed || others;
}

void start_counting_memory() noexcept { memory = {}; }

int64_t peak_of_memory() noexcept { return memory.peak; }

}  // namespace rkvs::manager_test

void* operator new(std::size_t size) { return allocate_or_throw(size, 0); }
void* operator new[](std::size_t size) { return allocate_or_throw(size, 0); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, 0); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { release(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { release(block); }
void operator delete(void* block, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { release(block); }
