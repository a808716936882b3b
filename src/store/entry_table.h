// EntryTable: the hash table of a shard, from a 64-bit hash to an entry.
#ifndef RKVS_STORE_ENTRY_TABLE_H_
#define RKVS_STORE_ENTRY_TABLE_H_

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "store/entry.h"
#include "store/table_memory.h"

namespace rkvs::internal {

// An absl::flat_hash_map keyed by the hash itself (16-byte slots, no second hashing), which never
// allocates by surprise: it counts the inserts that are certainly possible without growing, and
// make_room() grows it from a spare block that the caller obtained before taking the shard's lock.
//
//   while (size_t bytes = table.spare_needed(1); bytes != 0 && !TableMemory::has_spare(bytes)) {
//     unlock; TableMemory::add_spare(bytes); lock again
//   }
//   table.make_room(1);
//   table.insert(hash, entry);
//
// Not thread-safe; guarded by the shard's lock.
class EntryTable {
 public:
  size_t size() const { return map_.size(); }
  // Bytes that the table occupies.
  size_t memory() const { return memory_of(map_.capacity()); }

  // What becomes of a table whose keys come and go one by one, without a table.
  class Forecast {
   public:
    explicit Forecast(const EntryTable& table)
        : size_(table.size()), capacity_(table.map_.capacity()), budget_(table.budget_) {}

    size_t memory() const { return memory_of(capacity_); }
    size_t spare_needed() const {
      return budget_ != 0 ? 0 : table_bytes(capacity_for(target_size(1, size_, capacity_)));
    }
    void make_room() {
      if (budget_ != 0) return;
      capacity_ = capacity_for(target_size(1, size_, capacity_));
      budget_ = safe_growth(capacity_) - std::min(safe_growth(capacity_), size_);
    }
    void insert() {
      ++size_;
      --budget_;
    }
    void erase() {
      if (--size_ == 0 && capacity_ > kKeptCapacity) capacity_ = budget_ = 0;
    }

   private:
    size_t size_;
    size_t capacity_;
    size_t budget_;
  };

  // The place of the entry with this hash, or nullptr. Valid until the next insert or erase.
  Entry** find(uint64_t hash) {
    const auto it = map_.find(hash);
    return it == map_.end() ? nullptr : &it->second;
  }
  Entry* const* find(uint64_t hash) const { return const_cast<EntryTable*>(this)->find(hash); }

  // Starts loading what find(hash) will look at first.
  void prefetch(uint64_t hash) const { map_.prefetch(hash); }

  // 0 when `inserts` more entries certainly fit; else the size of the spare block for make_room.
  size_t spare_needed(size_t inserts) const {
    return inserts <= budget_
               ? 0
               : table_bytes(capacity_for(target_size(inserts, size(), map_.capacity())));
  }
  // Cannot fail where the spare is at hand. Else it may throw std::bad_alloc and leave the table
  // broken: so have it at hand.
  void make_room(size_t inserts) {
    if (inserts <= budget_) return;
    map_.reserve(target_size(inserts, size(), map_.capacity()));
    budget_ = clamp(safe_growth(map_.capacity()) - std::min(safe_growth(map_.capacity()), size()));
  }
  // False when there is an entry with this hash already; then nothing changed. Needs room.
  bool insert(uint64_t hash, Entry* entry) {
    const bool inserted = map_.try_emplace(hash, entry).second;
    if (inserted) --budget_;
    return inserted;
  }
  // There must be one. The last one takes a large table with it, which must fill again before that
  // can happen another time.
  void erase(uint64_t hash) {
    map_.erase(hash);
    if (map_.empty() && map_.capacity() > kKeptCapacity) reset();
  }

  // The same for the entry with this hash if it is `wanted`, with one look at the table: returns
  // it, or nullptr.
  template <typename Wanted>  // bool(const Entry&)
  Entry* take(uint64_t hash, Wanted wanted) {
    const auto it = map_.find(hash);
    if (it == map_.end() || !wanted(*it->second)) return nullptr;
    Entry* const entry = it->second;
    map_.erase(it);
    if (map_.empty() && map_.capacity() > kKeptCapacity) reset();
    return entry;
  }

  template <typename Visit>  // void(uint64_t hash, Entry* entry)
  void for_each(Visit visit) const {
    for (const auto& [hash, entry] : map_) visit(hash, entry);
  }

  // Goes on with the entry of hash `*from`, or at the start, and appends up to `limit` hashes. True
  // if there are more: then `next` is the hash to go on with, as long as it is in the table and the
  // table does not grow.
  bool scan(const uint64_t* from, size_t limit, std::vector<uint64_t>& out, uint64_t& next) const {
    auto it = from == nullptr ? map_.begin() : map_.find(*from);
    for (; it != map_.end() && limit != 0; ++it, --limit) out.push_back(it->first);
    if (it == map_.end()) return false;
    next = it->first;
    return true;
  }
  // The hash behind the one of an entry that is there; false at the end.
  bool next_hash(uint64_t hash, uint64_t& next) const {
    auto it = map_.find(hash);
    if (++it == map_.end()) return false;
    next = it->first;
    return true;
  }

  // Empties the table and gives its memory back.
  void reset() {
    Map().swap(map_);
    budget_ = 0;
  }

 private:
  // An empty table of up to this many slots stays: 1 KiB.
  static constexpr size_t kKeptCapacity = 63;

  struct IdentityHash {
    size_t operator()(uint64_t hash) const { return hash; }
  };
  using Map = absl::flat_hash_map<uint64_t, Entry*, IdentityHash, std::equal_to<uint64_t>,
                                  TableAllocator<std::pair<const uint64_t, Entry*>>>;

  static uint32_t clamp(size_t n) {
    return static_cast<uint32_t>(std::min<size_t>(n, std::numeric_limits<uint32_t>::max()));
  }
  // A lower bound of absl's own rule (7/8 of the capacity, one less in the smallest tables).
  static size_t safe_growth(size_t capacity) {
    return capacity - capacity / 8 - (capacity == 7 ? 1 : 0);
  }
  // An upper bound of what absl asks for: slots, control bytes, cloned group, its own header.
  static size_t table_bytes(size_t capacity) { return capacity * 17 + 64; }
  static size_t memory_of(size_t capacity) {
    return capacity == 0 ? 0 : TableMemory::block_size(table_bytes(capacity));
  }
  static size_t capacity_for(size_t entries) {
    return std::bit_ceil(entries + (entries - 1) / 7 + 1) - 1;
  }
  // How many entries to make room for. A table that is full of deleted slots is cleaned up at its
  // size, one that is more than 25/32 full doubles: absl's own threshold, below which a clean-up
  // is paid for by the inserts that it makes possible.
  static size_t target_size(size_t inserts, size_t size, size_t capacity) {
    const size_t wanted = size + inserts;
    const size_t grown =
        wanted * 32 > capacity * 25 ? safe_growth(capacity) + 2 : safe_growth(capacity);
    const size_t target = std::max({wanted, grown, size_t{1}});
    // Asked for 7, absl may settle for a capacity of 7, of which safe_growth() counts on 6 only.
    return target == 7 ? 8 : target;
  }

  Map map_;
  // Inserts that surely need no growth: absl may be able to do more, as erasing can free a slot.
  uint32_t budget_ = 0;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_ENTRY_TABLE_H_
