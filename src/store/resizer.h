// Resizer: moves the buckets of a namespace to another number of shards, step by step.
#ifndef RKVS_STORE_RESIZER_H_
#define RKVS_STORE_RESIZER_H_

#include <rkvs/status.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/mutex.h"
#include "base/operation_monitor.h"
#include "base/thread_annotations.h"
#include "store/bucket_lists.h"
#include "store/shard_set.h"
#include "store/usage.h"

namespace rkvs::internal {

// How much one step may do; it does at least one thing.
struct StepBudget {
  size_t buckets;
  size_t entries;
};

// A resize goes through the shards that give buckets away, one after another. Of each it first
// lists the hashes that will leave, some thousands at a time under the shared lock; what is
// inserted from then on, the shard notes in its journal. Then bucket by bucket: lock both shards in
// ascending order, move the references, mark the bucket as moved. No operation ever misses a key,
// and none waits for more than a slice of the list or one bucket.
//
// Two kinds of callers: resize() works until it is done; help() does a little, and with an
// automatic shard count also begins when a shard has become too full. Writers call it after an
// insert, so that a namespace grows exactly as fast as it is filled, without a thread of its own.
class Resizer {
 public:
  // With an automatic shard count, a shard with more entries makes the namespace grow. A table of
  // 8,191 slots holds 7,168; what comes in during the move must fit as well.
  static constexpr size_t kSplitThreshold = 6000;
  static constexpr size_t kFullShard = 7000;

  Resizer(ShardSet& shards, Usage& usage, bool automatic);

  bool is_automatic() const { return automatic_.load(std::memory_order_relaxed); }

  // Whether help() has something to do, seen from a shard with this many entries.
  bool wants_help(size_t shard_size) const {
    return !Routing::is_settled(shards_.routing().generation()) ||
           (shard_size > kSplitThreshold && is_automatic());
  }
  // Does nothing if another thread is at it, unless it is called for a shard with more than
  // kFullShard entries: then it waits for a moment, so that inserts cannot run away from the
  // resize. Without memory it does nothing and the next call tries again.
  void help(size_t shard_size = 0);

  // One caller at a time may resize(): the one whose claim() was true, until unclaim().
  bool claim() { return !claimed_.exchange(true, std::memory_order_acquire); }
  void unclaim() { claimed_.store(false, std::memory_order_release); }
  // Moves everything to `shard_count` shards, or makes the count automatic if it is 0. Ok,
  // NoMemory (what has not moved by then is moved by later calls and by help()), Cancelled (what
  // had moved is back), or the code that the set was closed with. Progress is that of the buckets,
  // scaled to the entries that there were at the beginning.
  StatusCode resize(uint32_t shard_count, OperationMonitor& monitor);

  // Whether a resize to this count is on, or was left half done for lack of memory.
  bool is_moving_to(uint32_t shard_count) {
    const MutexLock lock(mutex_);
    return active_ && to_count_ == shard_count;
  }

  // Closes the set, with no step running.
  void close(StatusCode code);

 private:
  enum class Step { kMore, kDone, kNoMemory };

  StatusCode begin(uint32_t to) RKVS_REQUIRES(mutex_);
  // Turns a resize that is on around.
  bool turn_back() RKVS_REQUIRES(mutex_);
  // Sorts the buckets that move by the shard that they leave. Throws std::bad_alloc.
  template <typename Moves>  // bool(uint32_t bucket)
  void sort_buckets(Moves moves) RKVS_REQUIRES(mutex_);
  Step step(StepBudget budget) RKVS_REQUIRES(mutex_);
  // The phases of one source. begin_source() and move_bucket() are false without memory, the others
  // throw std::bad_alloc; nothing is lost either way. `moved` counts entries.
  bool begin_source() RKVS_REQUIRES(mutex_);
  void scan_slice() RKVS_REQUIRES(mutex_);
  bool move_bucket(uint32_t bucket, size_t* moved) RKVS_REQUIRES(mutex_);
  void prefetch_next() const RKVS_REQUIRES(mutex_);
  void absorb_journal() RKVS_REQUIRES(mutex_);
  void leave_source() RKVS_REQUIRES(mutex_);
  void finish() RKVS_REQUIRES(mutex_);
  uint64_t scaled(uint64_t entries) const RKVS_REQUIRES(mutex_);
  uint64_t count_entries() const;

  ShardSet& shards_;
  Usage& usage_;
  std::atomic<bool> automatic_;
  std::atomic<bool> claimed_{false};

  // Held for one step at a time, and taken before any shard's lock.
  Mutex mutex_;
  bool active_ RKVS_GUARDED_BY(mutex_) = false;
  // From `from_` to `to_`, the way back included, for which Routing has them the other way round.
  bool turned_back_ RKVS_GUARDED_BY(mutex_) = false;
  const RouteTable* from_ RKVS_GUARDED_BY(mutex_) = nullptr;
  const RouteTable* to_ RKVS_GUARDED_BY(mutex_) = nullptr;
  uint32_t from_count_ RKVS_GUARDED_BY(mutex_) = 0;
  uint32_t to_count_ RKVS_GUARDED_BY(mutex_) = 0;
  // The buckets that move, by the shard they leave; leaving_[i] is where those of shard i begin.
  std::vector<uint16_t> buckets_ RKVS_GUARDED_BY(mutex_);
  std::vector<uint32_t> leaving_ RKVS_GUARDED_BY(mutex_);
  uint32_t source_ RKVS_GUARDED_BY(mutex_) = 0;
  uint32_t next_ RKVS_GUARDED_BY(mutex_) = 0;  // index into buckets_
  enum class Phase { kBegin, kScan, kMove };
  Phase phase_ RKVS_GUARDED_BY(mutex_) = Phase::kBegin;
  // Of the present source: what leaves it, and what is still to be put into the lists.
  BucketLists lists_ RKVS_GUARDED_BY(mutex_);
  std::vector<uint64_t> journal_ RKVS_GUARDED_BY(mutex_);
  std::vector<uint64_t> found_ RKVS_GUARDED_BY(mutex_);
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_RESIZER_H_
