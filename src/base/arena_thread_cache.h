// The free blocks that each thread keeps to itself.
#ifndef RKVS_BASE_ARENA_THREAD_CACHE_H_
#define RKVS_BASE_ARENA_THREAD_CACHE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/arena_size_class.h"

// The plain way to thread-local memory, without a call, in a shared library too. A few bytes of it
// fit into what glibc sets aside for libraries that are loaded late.
#if defined(__GLIBC__)
#define RKVS_ARENA_TLS_MODEL __attribute__((tls_model("initial-exec")))
#else
#define RKVS_ARENA_TLS_MODEL
#endif

namespace rkvs::internal::arena {

// A stack of free blocks of one class. Only its thread writes it; others read `count` for
// statistics.
struct Bin {
  void** blocks = nullptr;
  std::atomic<uint32_t> count{0};
  uint32_t limit = 0;  // grows with use, up to the class's cache_blocks
};

// A thread without a cache has bins that are empty and may hold nothing, so that it takes the slow
// path without being asked.
extern constinit thread_local Bin* t_bins RKVS_ARENA_TLS_MODEL;

// For an empty bin: gets blocks from the central list, and returns one of them. nullptr when there
// is no memory.
void* refill_bin(size_t size_class);

// For a full bin: makes room by giving blocks to the central list, and stores the block.
void drain_bin(size_t size_class, void* block);

// Gives all blocks that the calling thread caches to the central lists.
void empty_own_bins();

struct CacheFigures {
  size_t threads = 0;         // that hold a cache
  size_t bytes_cached = 0;    // in free blocks
  size_t bytes_reserved = 0;  // in the caches themselves, those for future threads included
};
CacheFigures cache_figures();

void before_fork_caches();
void after_fork_caches_in_parent();
void after_fork_caches_in_child();

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_THREAD_CACHE_H_
