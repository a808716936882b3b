// Reclaimed: entries whose time has come, on their way out.
#ifndef RKVS_STORE_RECLAIMED_H_
#define RKVS_STORE_RECLAIMED_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/key_hash.h"
#include "base/time_source.h"
#include "store/byte_charge.h"
#include "store/entry.h"
#include "store/shard.h"
#include "store/table_memory.h"
#include "store/usage.h"

namespace rkvs::internal {

// Holds what was taken out of a shard until the shard is unlocked. Make it before the lock.
class Reclaimed {
 public:
  // Items of the queue that a write looks at, beside its own key: more than writes put in.
  static constexpr size_t kPerWrite = 4;
  // And one step of those who do nothing else: some 10 us.
  static constexpr size_t kPerStep = 64;

  Reclaimed() = default;
  // Without a lock held: what tables have given back meanwhile is freed as well.
  ~Reclaimed() {
    drop();
    TableMemory::free_dropped();
  }
  Reclaimed(const Reclaimed&) = delete;
  Reclaimed& operator=(const Reclaimed&) = delete;

  // Makes room. Without a lock held.
  void drop() {
    while (size_ != 0) entries_[--size_]->release();
  }

  // What a write does first: takes out the entry of its key if that has expired, and a few others.
  // False where there is no memory to do it. To be called before the write's own ByteCharge begins:
  // what it frees is there for that.
  bool before_write(Usage& usage, Shard& shard, const HashedKey& key, OperationTime& time)
      RKVS_REQUIRES(shard.mutex) {
    if (shard.next_expiry() == ExpiryQueue::kNever) [[likely]]
      return true;
    if (shard.next_expiry() > time.now()) return true;
    return make_way(usage, shard, key, time);
  }
  // Needs prepare_write(limit). Up to kPerStep. Counts as removing keys, not as bytes.
  void step(Usage& usage, Shard& shard, OperationTime& time, size_t limit)
      RKVS_REQUIRES(shard.mutex) {
    shard.reclaim(time.now(), limit, [&](Entry* entry) { take(usage, entry); });
  }

  size_t size() const { return size_; }

 private:
  [[gnu::noinline]] bool make_way(Usage& usage, Shard& shard, const HashedKey& key,
                                  OperationTime& time) RKVS_REQUIRES(shard.mutex) {
    const ByteCharge charge(usage, shard);
    if (!shard.prepare_write(1 + kPerWrite)) return false;
    if (Entry* entry = shard.reclaim_key(key, time.now())) take(usage, entry);
    step(usage, shard, time, kPerWrite);
    return true;
  }
  void take(Usage& usage, Entry* entry) {
    usage.release(1);
    entries_[size_++] = entry;
  }

  size_t size_ = 0;
  std::array<Entry*, kPerStep + 1> entries_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_RECLAIMED_H_
