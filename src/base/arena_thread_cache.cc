#include "base/arena_thread_cache.h"

#include <pthread.h>

#include <algorithm>
#include <new>

#include "base/arena_central.h"
#include "base/arena_region.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"

namespace rkvs::internal::arena {
namespace {

// A new bin fetches one block, then two, four, ...: a class that is hardly used stays small.
constexpr uint32_t kFirstLimit = 2;

constexpr size_t total_cache_blocks() {
  size_t total = 0;
  for (const SizeClass& size_class : kSizeClasses) total += size_class.cache_blocks;
  return total;
}

// Mapped, not allocated, and never unmapped but used again for later threads.
struct ThreadCache {
  Bin bins[kClasses];
  ThreadCache* previous;
  ThreadCache* next;
  void* blocks[total_cache_blocks()];
};

// All caches, and the key whose destructor takes a thread's cache down.
class Registry {
 public:
  constexpr Registry() = default;

  // Makes a cache for the calling thread; false when that is not possible.
  bool add_own() RKVS_EXCLUDES(mutex_);
  void remove_own(ThreadCache* cache) RKVS_EXCLUDES(mutex_);
  CacheFigures figures() RKVS_EXCLUDES(mutex_);

  void before_fork() RKVS_ACQUIRE(mutex_) { mutex_.lock(); }
  void after_fork_in_parent() RKVS_RELEASE(mutex_) { mutex_.unlock(); }
  void after_fork_in_child() RKVS_NO_THREAD_SAFETY_ANALYSIS { new (&mutex_) Mutex(); }

 private:
  ThreadCache* obtain() RKVS_REQUIRES(mutex_);

  Mutex mutex_;
  ThreadCache* in_use_ RKVS_GUARDED_BY(mutex_) = nullptr;
  ThreadCache* spare_ RKVS_GUARDED_BY(mutex_) = nullptr;
  size_t in_use_count_ RKVS_GUARDED_BY(mutex_) = 0;
  size_t mapped_ RKVS_GUARDED_BY(mutex_) = 0;
  pthread_key_t key_ RKVS_GUARDED_BY(mutex_) = 0;
  bool has_key_ RKVS_GUARDED_BY(mutex_) = false;
};

constinit Registry g_registry;

// The bins of threads that have no cache yet, and of those that had one: after the destructors of
// its thread-local variables a thread gets no second one, which nobody would take down.
constinit Bin g_no_bins[kClasses];
constinit Bin g_ended_bins[kClasses];

bool is_cache(const Bin* bins) { return bins != g_no_bins && bins != g_ended_bins; }

void empty_bin(Bin* bins, size_t size_class, size_t keep) {
  Bin& bin = bins[size_class];
  const size_t count = bin.count.load(std::memory_order_relaxed);
  if (count <= keep) return;
  // The oldest go: the newest are the likeliest to be in the processor's cache.
  const size_t given = count - keep;
  g_central_lists[size_class].give(size_class, bin.blocks, given);
  std::copy(bin.blocks + given, bin.blocks + count, bin.blocks);
  bin.count.store(static_cast<uint32_t>(keep), std::memory_order_relaxed);
}

void empty_bins(Bin* bins) {
  for (size_t c = 0; c < kClasses; ++c) empty_bin(bins, c, 0);
}

void grow_limit(Bin& bin, size_t size_class) {
  bin.limit = std::min<uint32_t>(bin.limit * 2, kSizeClasses[size_class].cache_blocks);
}

void end_thread(void* cache) { g_registry.remove_own(static_cast<ThreadCache*>(cache)); }

ThreadCache* Registry::obtain() {
  if (!has_key_) {
    if (::pthread_key_create(&key_, &end_thread) != 0) return nullptr;
    has_key_ = true;
  }
  ThreadCache* cache = spare_;
  if (cache != nullptr) {
    spare_ = cache->next;
  } else {
    const size_t bytes = round_to_system_pages(sizeof(ThreadCache));
    cache = static_cast<ThreadCache*>(map_memory(bytes));
    if (cache == nullptr) return nullptr;
    mapped_ += bytes;
  }
  void** blocks = cache->blocks;
  for (size_t c = 0; c < kClasses; ++c) {
    Bin* bin = new (&cache->bins[c]) Bin();
    bin->blocks = blocks;
    bin->limit = kFirstLimit;
    blocks += kSizeClasses[c].cache_blocks;
  }
  return cache;
}

bool Registry::add_own() {
  ThreadCache* cache;
  pthread_key_t key;
  {
    MutexLock lock(mutex_);
    cache = obtain();
    if (cache == nullptr) return false;
    key = key_;
    cache->previous = nullptr;
    cache->next = in_use_;
    if (in_use_ != nullptr) in_use_->previous = cache;
    in_use_ = cache;
    ++in_use_count_;
  }
  if (::pthread_setspecific(key, cache) != 0) {
    remove_own(cache);
    t_bins = g_no_bins;
    return false;
  }
  t_bins = cache->bins;
  return true;
}

void Registry::remove_own(ThreadCache* cache) {
  t_bins = g_ended_bins;
  empty_bins(cache->bins);
  MutexLock lock(mutex_);
  if (cache->next != nullptr) cache->next->previous = cache->previous;
  if (cache->previous != nullptr) {
    cache->previous->next = cache->next;
  } else {
    in_use_ = cache->next;
  }
  --in_use_count_;
  cache->next = spare_;
  spare_ = cache;
}

CacheFigures Registry::figures() {
  CacheFigures figures;
  MutexLock lock(mutex_);
  figures.threads = in_use_count_;
  figures.bytes_reserved = mapped_;
  for (const ThreadCache* cache = in_use_; cache != nullptr; cache = cache->next) {
    for (size_t c = 0; c < kClasses; ++c) {
      figures.bytes_cached +=
          cache->bins[c].count.load(std::memory_order_relaxed) * size_t{kSizeClasses[c].size};
    }
  }
  return figures;
}

}  // namespace

constinit thread_local Bin* t_bins RKVS_ARENA_TLS_MODEL = g_no_bins;

void* refill_bin(size_t size_class) {
  CentralList& central = g_central_lists[size_class];
  if (!is_cache(t_bins) && (t_bins == g_ended_bins || !g_registry.add_own())) {
    void* block;
    return central.take(size_class, &block, 1) == 0 ? nullptr : block;
  }
  Bin& bin = t_bins[size_class];
  const size_t wanted = bin.limit / 2;
  const size_t taken = central.take(size_class, bin.blocks, wanted);
  grow_limit(bin, size_class);
  if (taken == 0) return nullptr;
  // The bin is a stack: what is best used first goes on top.
  std::reverse(bin.blocks, bin.blocks + taken);
  bin.count.store(static_cast<uint32_t>(taken - 1), std::memory_order_relaxed);
  return bin.blocks[taken - 1];
}

void drain_bin(size_t size_class, void* block) {
  if (!is_cache(t_bins) && (t_bins == g_ended_bins || !g_registry.add_own())) {
    g_central_lists[size_class].give(size_class, &block, 1);
    return;
  }
  Bin& bin = t_bins[size_class];
  const uint32_t limit = bin.limit;
  grow_limit(bin, size_class);
  if (bin.limit == limit) empty_bin(t_bins, size_class, limit / 2);
  const uint32_t count = bin.count.load(std::memory_order_relaxed);
  bin.blocks[count] = block;
  bin.count.store(count + 1, std::memory_order_relaxed);
}

void empty_own_bins() {
  if (is_cache(t_bins)) empty_bins(t_bins);
}

CacheFigures cache_figures() { return g_registry.figures(); }

void before_fork_caches() RKVS_NO_THREAD_SAFETY_ANALYSIS { g_registry.before_fork(); }
void after_fork_caches_in_parent() RKVS_NO_THREAD_SAFETY_ANALYSIS {
  g_registry.after_fork_in_parent();
}
void after_fork_caches_in_child() { g_registry.after_fork_in_child(); }

}  // namespace rkvs::internal::arena
