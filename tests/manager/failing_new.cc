// Replaces every operator new and delete of the program; in a file of its own, so that the compiler
// sees no pair of them at once.
#include "tests/manager/failing_new.h"

#include <malloc.h>

#include <algorithm>
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

bool may_allocate() noexcept {
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

bool stop_failing_allocations() noexcept { return std::exchange(failures, {}).failed; }

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
