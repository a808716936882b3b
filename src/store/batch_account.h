// BatchAccount: what the keys and bytes of a namespace come to while a batch is played through.
#ifndef RKVS_STORE_BATCH_ACCOUNT_H_
#define RKVS_STORE_BATCH_ACCOUNT_H_

#include <rkvs/status.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/thread_annotations.h"
#include "store/entry.h"
#include "store/shard.h"
#include "store/table_memory.h"
#include "store/usage.h"

namespace rkvs::internal {

// Refuses what the same operations, each by itself and one after another, would be refused: a key
// or a byte that an operation frees is there for those behind it, and not for those before it.
//
// Of single writes it takes over what they ask for: the entry, or as much as it is larger than the
// one before it; a whole new table beside the old one where the key needs it; and what the queue of
// expiries grows by.
class BatchAccount {
 public:
  // How much more fits, less than nothing included: see Budget. And what is asked for: what it
  // comes to, and the most that it came to when somebody asked for more.
  struct Room {
    int64_t keys = std::numeric_limits<int64_t>::max();
    int64_t bytes = std::numeric_limits<int64_t>::max();
  };
  struct Sum {
    int64_t net = 0;
    int64_t most = Budget::kNoPeak;

    bool add(int64_t amount, int64_t room) {
      if (!reach(amount, room)) return false;
      net += amount;
      return true;
    }
    // Whether so much more would fit now. What asks for nothing always does.
    bool reach(int64_t amount, int64_t room) {
      if (amount <= 0) return true;
      const int64_t sum = net + amount;
      if (sum > room) return false;
      most = std::max(most, sum);
      return true;
    }
  };

  // Of a shard, where bytes are counted.
  struct Forecast {
    EntryTable::Forecast table;
    ExpiryQueue::Forecast expiries;
  };

  // `counts_bytes`: whether any limit of bytes is there.
  void begin(const Room& room, bool counts_bytes) {
    room_ = room;
    counts_bytes_ = counts_bytes;
    keys_ = bytes_ = {};
    shards_.clear();
    blocks_.clear();
  }
  bool counts_bytes() const { return counts_bytes_; }
  const Room& room() const { return room_; }
  const Sum& keys() const { return keys_; }
  const Sum& bytes() const { return bytes_; }
  const Forecast& forecast(uint32_t shard) const { return shards_[shard]; }
  // The table blocks that are needed, in this order.
  const std::vector<size_t>& blocks() const { return blocks_; }

  // Of each shard once, as it is; returns its number. Throws std::bad_alloc.
  uint32_t add_shard(const Shard& shard) RKVS_REQUIRES_SHARED(shard.mutex) {
    shards_.push_back({shard.table_forecast(), shard.expiries_forecast()});
    return static_cast<uint32_t>(shards_.size() - 1);
  }

  // `fresh` takes the place of `old`, which may be absent. Ok, MemoryLimit, TooManyKeys. Throws
  // std::bad_alloc.
  StatusCode put(uint32_t shard, const Entry* old, const Entry& fresh, bool expires_at_once) {
    if (counts_bytes_ && !reach_bytes(shards_[shard], old, fresh)) return StatusCode::kMemoryLimit;
    if (old == nullptr && !keys_.add(1, room_.keys)) return StatusCode::kTooManyKeys;
    if (counts_bytes_) {
      Forecast& forecast = shards_[shard];
      bytes_.net += memory(fresh) - (old == nullptr ? 0 : memory(*old));
      if (old == nullptr) insert_into(forecast.table);
      const int64_t at = fresh.expires_at();
      const bool is_noted = at == 0 || (old != nullptr && old->expires_at() == at);
      if (!is_noted && !expires_at_once) forecast.expiries.push();
    }
    return StatusCode::kOk;
  }
  void remove(uint32_t shard, const Entry& old) {
    --keys_.net;
    if (!counts_bytes_) return;
    shards_[shard].table.erase();
    bytes_.net -= memory(old);
  }

 private:
  static int64_t memory(const Entry& entry) { return static_cast<int64_t>(entry.memory()); }

  bool reach_bytes(Forecast& forecast, const Entry* old, const Entry& fresh) {
    if (fresh.expires_at() != 0) {
      const auto growth = static_cast<int64_t>(forecast.expiries.growth());
      if (!bytes_.add(growth, room_.bytes)) return false;
      forecast.expiries.prepare();
    }
    if (old != nullptr) {
      return bytes_.reach(std::max<int64_t>(memory(fresh) - memory(*old), 0), room_.bytes);
    }
    const size_t block = forecast.table.spare_needed();
    const int64_t table = block == 0 ? 0 : static_cast<int64_t>(TableMemory::block_size(block));
    return bytes_.reach(memory(fresh) + table, room_.bytes);
  }

  // Of a key that is not refused any more.
  void insert_into(EntryTable::Forecast& table) {
    if (const size_t block = table.spare_needed(); block != 0) {
      blocks_.push_back(block);
      const auto before = static_cast<int64_t>(table.memory());
      table.make_room();
      bytes_.net += static_cast<int64_t>(table.memory()) - before;
    }
    table.insert();
  }

  Room room_;
  bool counts_bytes_ = false;
  Sum keys_;
  Sum bytes_;
  std::vector<Forecast> shards_;
  std::vector<size_t> blocks_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_BATCH_ACCOUNT_H_
