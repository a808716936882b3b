// BatchPlan: the keys of a batch, hashed and routed, and the locks that they need.
#ifndef RKVS_STORE_BATCH_PLAN_H_
#define RKVS_STORE_BATCH_PLAN_H_

#include <rkvs/status.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/deadline.h"
#include "base/key_hash.h"
#include "store/byte_charge.h"
#include "store/shard_set.h"
#include "store/usage.h"

namespace rkvs::internal {

class BatchPlan {
 public:
  // Items are worked on in windows: first all their table slots are asked for, then their entries,
  // then the work is done, so that the waits for memory overlap. Measured flat from 16 to 32.
  static constexpr size_t kWindow = 32;

  // Takes `size` items whose keys `key_of(i)` gives. Throws std::bad_alloc.
  template <typename KeyOf>
  BatchPlan(const ShardSet& set, size_t size, KeyOf key_of) : set_(set) {
    keys_.reserve(size);
    shards_.resize(size);
    for (size_t i = 0; i < size; ++i) keys_.push_back(set.hashed(key_of(i)));
  }

  size_t size() const { return keys_.size(); }
  const HashedKey& key(size_t i) const { return keys_[i]; }
  uint32_t shard_index(size_t i) const { return shards_[i]; }
  Shard& shard(size_t i) const { return set_[shards_[i]]; }

  // Locks the shards of all items and calls `body()`, again as long as it answers false, with the
  // locks released in between. Timeout, WouldDeadlock or the set's closed_code() if that is not
  // possible.
  template <Access kAccess, typename Body>
  StatusCode run(Deadline& deadline, Body body) {
    if (is_called_back()) return StatusCode::kWouldDeadlock;
    for (int tries = 0;; ++tries) {
      const uint64_t generation = set_.routing().generation();
      if (!route()) return set_.closed_code();
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
      leaving[shards_[i]] += static_cast<uint32_t>(per_item);
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
      if (Entry* entry = from.reclaim_key(keys_[i], time.now())) {
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
  void for_each(Visit visit) const RKVS_NO_THREAD_SAFETY_ANALYSIS {
    for (size_t begin = 0; begin < size(); begin += kWindow) {
      const size_t end = std::min(size(), begin + kWindow);
      for (size_t i = begin; i < end; ++i) shard(i).prefetch(keys_[i].hash);
      for (size_t i = begin; i < end; ++i) {
        const Entry* entry = shard(i).candidate(keys_[i].hash);
        if (entry == nullptr) continue;
        __builtin_prefetch(entry);
        __builtin_prefetch(reinterpret_cast<const char*>(entry) + 64);
      }
      for (size_t i = begin; i < end; ++i) {
        if (!visit(i)) return;
      }
    }
  }

 private:
  // False when the set is closed.
  bool route() {
    mask_.clear();
    for (size_t i = 0; i < size(); ++i) {
      const uint32_t index = set_.routing().shard_of(bucket_of(keys_[i].hash));
      if (index == Routing::kNoShard) return false;
      shards_[i] = index;
      mask_.add(index);
    }
    return true;
  }
  bool owns_all() const {
    for (size_t i = 0; i < size(); ++i) {
      if (!set_.routing().owns(shards_[i], bucket_of(keys_[i].hash))) return false;
    }
    return true;
  }

  const ShardSet& set_;
  std::vector<HashedKey> keys_;
  std::vector<uint32_t> shards_;
  ShardMask mask_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_BATCH_PLAN_H_
