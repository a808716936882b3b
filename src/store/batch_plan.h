// BatchPlan: the keys of a batch, hashed and routed, and the locks that they need.
#ifndef RKVS_STORE_BATCH_PLAN_H_
#define RKVS_STORE_BATCH_PLAN_H_

#include <rkvs/status.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/deadline.h"
#include "base/key_hash.h"
#include "store/byte_charge.h"
#include "store/shard_set.h"
#include "store/usage.h"

namespace rkvs::internal {

class BatchPlan {
 public:
  // How far the work on an item runs behind the request for its entry, and that one behind the
  // request for its bucket, so that the waits for memory overlap. Measured with a million keys and
  // batches of 64 to 1,000: 16 takes 1.04 of the time of 32.
  static constexpr size_t kAhead = 32;

  // Takes `size` items whose keys `key_of(i)` gives. Throws std::bad_alloc.
  template <typename KeyOf>
  BatchPlan(const ShardSet& set, size_t size, KeyOf key_of)
      : set_(set), size_(size), items_(new Item[size]) {
    for (size_t i = 0; i < size; ++i) {
      const HashedKey key = set.hashed(key_of(i));
      items_[i] = {key.key.data(), key.key.size(), key.hash, nullptr};
    }
  }

  size_t size() const { return size_; }
  HashedKey key(size_t i) const { return items_[i].hashed(); }
  Shard& shard(size_t i) const { return *items_[i].shard; }
  uint32_t shard_index(size_t i) const { return static_cast<uint32_t>(items_[i].shard - &set_[0]); }

  // Locks the shards of all items and calls `body()`, again as long as it answers false, with the
  // locks released in between. Timeout, WouldDeadlock or the set's closed_code() if that is not
  // possible.
  template <Access kAccess, typename Body>
  StatusCode run(Deadline& deadline, Body body) {
    if (is_called_back()) return StatusCode::kWouldDeadlock;
    for (int tries = 0;; ++tries) {
      const uint64_t generation = set_.routing().generation();
      if (!route(generation)) return set_.closed_code();
      // The first ones come while the locks are taken.
      for (size_t i = 0; i < std::min(size_, 2 * kAhead); ++i) prefetch_bucket(i);
      GroupLock<kAccess> lock(set_, mask_, deadline);
      if (!lock.held()) return StatusCode::kTimeout;
      const bool unchanged =
          Routing::is_settled(generation) && set_.routing().generation() == generation;
      if (!unchanged && !owns_all()) {
        lock.unlock();
        if (is_too_late(tries, deadline)) return StatusCode::kTimeout;
        continue;
      }
      if (body(lock)) return StatusCode::kOk;
    }
  }

  // Shard::prepare_write for all items, each of which may make so many entries leave its shard: the
  // one that it takes the place of, and where what it writes can have expired already, that as
  // well, which is new, but a save may hold back what is new (ShardImage::holds). With the locks
  // held exclusively. False where there is no memory; throws std::bad_alloc as well.
  bool prepare_write(size_t per_item) const RKVS_NO_THREAD_SAFETY_ANALYSIS {
    std::vector<uint32_t> leaving;
    for (size_t i = 0; i < size(); ++i) {
      if (!shard(i).is_being_saved()) continue;
      leaving.resize(kMaxShardCount);
      leaving[shard_index(i)] += static_cast<uint32_t>(per_item);
    }
    for (uint32_t index = 0; index < leaving.size(); ++index) {
      if (leaving[index] != 0 && !set_[index].prepare_write(leaving[index])) return false;
    }
    return true;
  }

  // Takes out the entries of the items' keys whose time has come, which go to `gone`. With the
  // locks held exclusively. False where there is no memory; throws std::bad_alloc as well.
  bool reclaim(Usage& usage, OperationTime& time,
               std::vector<EntryRef>& gone) const RKVS_NO_THREAD_SAFETY_ANALYSIS {
    for (size_t i = 0; i < size(); ++i) {
      Shard& from = shard(i);
      if (from.next_expiry() == ExpiryQueue::kNever || from.next_expiry() > time.now()) continue;
      gone.reserve(size());
      const ByteCharge charge(usage, from);
      if (!from.prepare_write(1)) return false;
      if (Entry* entry = from.reclaim_key(key(i), time.now())) {
        usage.release(1);
        gone.emplace_back(entry);
        from.drop_emptied_table();
      }
    }
    return true;
  }

  // What the shards of all items take together. With the locks held.
  uint64_t memory() const RKVS_NO_THREAD_SAFETY_ANALYSIS {
    uint64_t bytes = 0;
    mask_.for_each([&](uint32_t index) RKVS_NO_THREAD_SAFETY_ANALYSIS {
      bytes += set_[index].memory();
      return true;
    });
    return bytes;
  }

  // Calls `visit(i)` for the items in order. With the locks held.
  template <typename Visit>  // bool(size_t i); ends at the first false
  void for_each(Visit visit) const {
    in_pipeline([&](size_t i, Entry*) { return visit(i); });
  }

  // Calls `visit(i, entry)` for the items in order, with their entries, nullptr where there is
  // none; those that have expired are entries still. With the locks held, and nothing changes.
  template <typename Visit>  // void(size_t i, Entry* entry)
  void for_each_entry(Visit visit) const RKVS_NO_THREAD_SAFETY_ANALYSIS {
    in_pipeline([&](size_t i, Entry* candidate) RKVS_NO_THREAD_SAFETY_ANALYSIS {
      const HashedKey key = items_[i].hashed();
      if (candidate == nullptr || !candidate->has_key(key.key)) candidate = shard(i).find(key);
      visit(i, candidate);
      return true;
    });
  }

 private:
  struct Item {
    const char* key_data;
    size_t key_size;
    uint64_t hash;
    Shard* shard;

    HashedKey hashed() const { return {{key_data, key_size}, hash}; }
  };

  // False when the set is closed.
  bool route(uint64_t generation) {
    mask_.clear();
    const Routing& routing = set_.routing();
    if (Routing::is_settled(generation)) {
      const RouteTable& table = *routing.table();
      for (size_t i = 0; i < size_; ++i) lead_to(i, table[bucket_of(items_[i].hash)]);
      return true;
    }
    for (size_t i = 0; i < size_; ++i) {
      const uint32_t index = routing.shard_of(bucket_of(items_[i].hash));
      if (index == Routing::kNoShard) return false;
      lead_to(i, index);
    }
    return true;
  }
  void lead_to(size_t i, uint32_t index) {
    items_[i].shard = &set_[index];
    mask_.add(index);
  }
  bool owns_all() const {
    for (size_t i = 0; i < size_; ++i) {
      if (!set_.routing().owns(shard_index(i), bucket_of(items_[i].hash))) return false;
    }
    return true;
  }

  void prefetch_bucket(size_t i) const { shard(i).prefetch(items_[i].hash); }
  Entry* prefetch_entry(size_t i) const RKVS_NO_THREAD_SAFETY_ANALYSIS {
    Entry* entry = shard(i).candidate(items_[i].hash);
    if (entry != nullptr) {
      __builtin_prefetch(entry);
      // Where the key ends, most often another line.
      __builtin_prefetch(reinterpret_cast<const char*>(entry + 1) + items_[i].key_size);
    }
    return entry;
  }
  // Calls `visit(i, candidate)` for the items in order, where the candidate is what the item's
  // shard gave kAhead items before, until it answers false. run() has asked for the first buckets.
  template <typename Visit>
  void in_pipeline(Visit visit) const {
    Entry* candidates[kAhead];
    for (size_t i = 0; i < std::min(size_, kAhead); ++i) candidates[i] = prefetch_entry(i);
    for (size_t i = 0; i < size_; ++i) {
      if (i + 2 * kAhead < size_) prefetch_bucket(i + 2 * kAhead);
      Entry* const candidate = candidates[i % kAhead];
      if (i + kAhead < size_) candidates[i % kAhead] = prefetch_entry(i + kAhead);
      if (!visit(i, candidate)) return;
    }
  }

  const ShardSet& set_;
  const size_t size_;
  const std::unique_ptr<Item[]> items_;
  ShardMask mask_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_BATCH_PLAN_H_
