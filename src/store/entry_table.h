// EntryTable: the hash table of a shard.
#ifndef RKVS_STORE_ENTRY_TABLE_H_
#define RKVS_STORE_ENTRY_TABLE_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "base/byte_match.h"
#include "store/entry.h"
#include "store/table_memory.h"

namespace rkvs::internal {

// The entries of a shard by the 64-bit hash of their key. Several may have the same hash: whoever
// looks for one says how to know it.
//
// A bucket is one cache line: seven entries, for each a byte of its hash, and the number of entries
// that wanted in and had to go on to a later bucket. A look at a key that is there therefore reads
// one line of the table and then its entry, at all loads that are allowed, nearly always. (Seven
// tags compared at once in a general register, as in Lamport's "Multiple byte processing with
// full-word instructions", 1975; counted overflows, which make an erased slot free at once, as in
// Facebook's F14, 2019.) The whole hashes stand behind the buckets, for growing and for resizes.
//
// It never allocates by surprise: make_room() makes it grow from a spare block that the caller
// obtained before taking the shard's lock.
//
//   while (size_t bytes = table.spare_needed(1); bytes != 0 && !TableMemory::has_spare(bytes)) {
//     unlock; TableMemory::add_spare(bytes); lock again
//   }
//   table.make_room(1);
//   table.insert(hash, entry);
//
// Not thread-safe; guarded by the shard's lock, but for prefetch().
class EntryTable {
 public:
  EntryTable() = default;
  EntryTable(const EntryTable&) = delete;
  EntryTable& operator=(const EntryTable&) = delete;
  // Entries are references that somebody else counts.
  ~EntryTable() { drop_block(); }

  void swap(EntryTable& other) noexcept;

  size_t size() const { return size_; }
  // Bytes that the table occupies.
  size_t memory() const { return memory_of(bucket_count()); }

  // What becomes of a table whose keys come and go one by one, without a table.
  class Forecast {
   public:
    explicit Forecast(const EntryTable& table)
        : size_(table.size_), buckets_(table.bucket_count()) {}

    size_t memory() const { return memory_of(buckets_); }
    size_t spare_needed() const {
      return size_ < capacity_of(buckets_) ? 0 : block_bytes(buckets_for(size_ + 1));
    }
    void make_room() {
      if (size_ == capacity_of(buckets_)) buckets_ = buckets_for(size_ + 1);
    }
    void insert() { ++size_; }
    void erase() { --size_; }

   private:
    size_t size_;
    size_t buckets_;
  };

  // The place of the entry with this hash that is wanted, or nullptr. Valid until the table grows
  // or the entry is erased. `wanted` is asked about entries with other hashes too, now and then.
  template <typename Wanted>  // bool(const Entry&)
  Entry** find(uint64_t hash, Wanted wanted) const {
    // Most often it is the first one with its tag in the first bucket.
    Bucket& bucket = home_of(hash);
    const ByteMatch found = bucket.match(hash);
    if (found.any()) [[likely]] {
      Entry** slot = &bucket.entries[found.first()];
      if (wanted(**slot)) [[likely]]
        return slot;
    } else if (bucket.overflow() == 0) [[likely]] {
      return nullptr;
    }
    return find_further(hash, wanted);
  }
  // The same where one look at one bucket tells: false if it does not.
  template <typename Wanted>  // bool(const Entry&)
  bool find_at_once(uint64_t hash, Wanted wanted, Entry*& entry) const {
    Bucket& bucket = home_of(hash);
    const ByteMatch found = bucket.match(hash);
    if (found.any()) [[likely]] {
      entry = bucket.entries[found.first()];
      return wanted(*entry);
    }
    entry = nullptr;
    return bucket.overflow() == 0;
  }
  template <typename Wanted>  // bool(const Entry&)
  bool find_slot_at_once(uint64_t hash, Wanted wanted, Entry**& slot) const {
    Bucket& bucket = home_of(hash);
    const ByteMatch found = bucket.match(hash);
    if (found.any()) [[likely]] {
      slot = &bucket.entries[found.first()];
      return wanted(**slot);
    }
    slot = nullptr;
    return bucket.overflow() == 0;
  }
  // The same as find() among those that have exactly this hash.
  template <typename Wanted>  // bool(const Entry&)
  Entry** find_exactly(uint64_t hash, Wanted wanted) const {
    Entry** found = nullptr;
    for_each_with(hash, [&](Entry** slot) {
      if (!wanted(**slot)) return true;
      found = slot;
      return false;
    });
    return found;
  }
  // Calls `visit` with the place of each entry that has exactly this hash, until it answers false.
  template <typename Visit>  // bool(Entry** slot)
  void for_each_with(uint64_t hash, Visit visit) const;

  // For pipelines, without certainty: the entry that find(hash) will ask about first, or nullptr.
  Entry* candidate(uint64_t hash) const {
    Bucket& bucket = home_of(hash);
    const ByteMatch found = bucket.match(hash);
    return found.any() ? bucket.entries[found.first()] : nullptr;
  }
  // Starts loading what find(hash) will look at first. May be called without the lock.
  void prefetch(uint64_t hash) const { __builtin_prefetch(&home_of(hash)); }

  // The same for those who will put an entry there, or ask for the exact hash.
  void prefetch_hashed(uint64_t hash) const {
    prefetch(hash);
    __builtin_prefetch(&hash_at(hash & mask_.load(std::memory_order_relaxed), 0), 1);
  }

  // 0 when `inserts` more entries fit; else the size of the spare block for make_room().
  size_t spare_needed(size_t inserts) const {
    return inserts <= room_ ? 0 : block_bytes(buckets_for(size_ + inserts));
  }
  // Cannot fail where the spare is at hand. Else it may throw std::bad_alloc, with nothing changed.
  void make_room(size_t inserts) {
    if (inserts > room_) grow(inserts);
  }
  // Needs room.
  void insert(uint64_t hash, Entry* entry) {
    put(hash, entry);
    ++size_;
    --room_;
  }
  // The slot comes from find(hash). Makes room for one more.
  void erase(uint64_t hash, Entry** slot);
  // An empty table of more than 1 KiB is given back.
  void drop_if_emptied() {
    if (size_ == 0 && bucket_count() > kKeptBuckets) [[unlikely]]
      reset();
  }

  template <typename Visit>  // void(Entry* entry)
  void for_each(Visit visit) const {
    for_each_slot(0, [&](size_t, Bucket& bucket, uint32_t slot) {
      visit(bucket.entries[slot]);
      return true;
    });
  }
  // Copies the pointers to `to`, where there is room for size() + 1, and returns their end. No
  // branch asks what is free, which nobody can foretell: less than half the time of for_each().
  Entry** copy_to(Entry** to) const {
    const Bucket* const buckets = buckets_.load(std::memory_order_relaxed);
    for (size_t number = 0, count = bucket_count(); number < count; ++number) {
      for (uint32_t slot = 0; slot < kSlots; ++slot) {
        *to = buckets[number].entries[slot];
        to += buckets[number].is_free(slot) ? 0 : 1;
      }
    }
    return to;
  }
  template <typename Visit>  // void(uint64_t hash, Entry* entry)
  void for_each_hashed(Visit visit) const {
    for_each_slot(0, [&](size_t number, Bucket& bucket, uint32_t slot) {
      visit(hash_at(number * sizeof(Bucket), slot), bucket.entries[slot]);
      return true;
    });
  }

  // Goes on at `position`, 0 for the start, and appends the hashes of entries until there are at
  // least `limit` more, or so many buckets have been looked at. True if there may be more, at the
  // `position` that it leaves. Entries keep their place, so a scan in steps meets everything that
  // is there all the time, unless the table grows in between.
  bool scan(size_t& position, size_t limit, std::vector<uint64_t>& out) const;
  // How many there may be beyond the limit.
  static constexpr size_t kScanExcess = 6;

  // Forgets the entries, and gives the memory back.
  void reset();

 private:
  static constexpr uint32_t kSlots = 7;
  static constexpr size_t kKeptBuckets = 8;

  struct alignas(64) Bucket {
    // The tag of each slot, 0 where it is free, from the lowest byte, and the overflow.
    uint64_t tags;
    Entry* entries[kSlots];

    // The slots with the hash's tag.
    ByteMatch match(uint64_t hash) const { return ByteMatch(tags, tag_of(hash)); }
    ByteMatch free_slots() const { return ByteMatch(tags, 0); }
    bool is_free(uint32_t slot) const { return (tags >> (slot * 8) & 0xFF) == 0; }

    // How many entries passed by because the bucket was full. Once there are too many to count,
    // that is forgotten no more until the table grows.
    uint64_t overflow() const { return tags >> kOverflowShift; }
    void pass() {
      if (overflow() != kMostOverflow) tags += uint64_t{1} << kOverflowShift;
    }
    void unpass() {
      if (overflow() != kMostOverflow) tags -= uint64_t{1} << kOverflowShift;
    }

    static constexpr int kOverflowShift = 56;
    static constexpr uint64_t kMostOverflow = 255;
  };
  static_assert(sizeof(Bucket) == 64);

  // The position of a bucket is in bits 6 and up of the hash, the tag in the highest eight: between
  // them are those of routing, which all entries of a shard have in common in part.
  static uint64_t tag_of(uint64_t hash) {
    const uint64_t tag = hash >> 56;
    return tag + (tag == 0 ? 1 : 0);
  }

  // Where a table without memory looks: nobody writes there, since it has no room.
  static inline Bucket nothing;

  static size_t buckets_for(size_t entries) {
    if (entries <= kSlots) return 1;
    // A power of two, so that capacity_of() is enough.
    return std::bit_ceil((entries * 2 + 10) / 11);
  }
  // How many entries a table takes: at most 11/14 of the slots. Then one entry in twenty is not in
  // its first bucket when the table is full, and one in a hundred when it is as full as most are.
  static size_t capacity_of(size_t buckets) {
    return buckets <= 1 ? buckets * kSlots : buckets * 11 / 2;
  }
  // Buckets, hashes, and what it may take to begin at a cache line.
  static size_t block_bytes(size_t buckets) {
    return buckets * (sizeof(Bucket) + kSlots * sizeof(uint64_t)) + alignof(Bucket) - 16;
  }
  static size_t memory_of(size_t buckets) {
    return buckets == 0 ? 0 : TableMemory::block_size(block_bytes(buckets));
  }

  static Bucket& at_offset(Bucket* buckets, uint64_t offset) {
    return *reinterpret_cast<Bucket*>(reinterpret_cast<char*>(buckets) + offset);
  }
  // Both are atomic for prefetch(), which may see the one without the other: then it asks for
  // memory that is of no use.
  Bucket& home_of(uint64_t hash) const {
    return at_offset(buckets_.load(std::memory_order_relaxed),
                     hash & mask_.load(std::memory_order_relaxed));
  }
  size_t bucket_count() const {
    return block_ == nullptr ? 0 : mask_.load(std::memory_order_relaxed) / sizeof(Bucket) + 1;
  }
  // The hash of a slot of the bucket at this offset. Only of a table with memory.
  uint64_t& hash_at(uint64_t offset, uint32_t slot) const {
    char* const hashes = reinterpret_cast<char*>(buckets_.load(std::memory_order_relaxed)) +
                         mask_.load(std::memory_order_relaxed) + sizeof(Bucket);
    // Seven words to each bucket of eight.
    return reinterpret_cast<uint64_t*>(hashes + (offset - offset / 8))[slot];
  }

  // Calls `visit(number of the bucket, bucket, slot)` for each entry from that bucket on, until it
  // answers false.
  template <typename Visit>
  void for_each_slot(size_t number, Visit visit) const {
    Bucket* const buckets = buckets_.load(std::memory_order_relaxed);
    for (const size_t count = bucket_count(); number < count; ++number) {
      Bucket& bucket = buckets[number];
      for (uint32_t slot = 0; slot < kSlots; ++slot) {
        if (bucket.is_free(slot)) continue;
        if (!visit(number, bucket, slot)) return;
      }
    }
  }

  template <typename Wanted>
  [[gnu::noinline]] Entry** find_further(uint64_t hash, Wanted wanted) const {
    Entry** slot = nullptr;
    for_each_tagged(hash, [&](uint64_t, Bucket& bucket, uint32_t index) {
      if (!wanted(*bucket.entries[index])) return true;
      slot = &bucket.entries[index];
      return false;
    });
    return slot;
  }
  // Calls `visit(offset, bucket, index)` for each slot with the tag of the hash where an entry of
  // the hash may be, until it answers false.
  template <typename Visit>
  void for_each_tagged(uint64_t hash, Visit visit) const;

  void put(uint64_t hash, Entry* entry);
  void grow(size_t inserts);
  void drop_block();

  std::atomic<Bucket*> buckets_{&nothing};
  std::atomic<uint64_t> mask_{0};  // of the offset of a bucket, in bytes
  size_t size_ = 0;
  size_t room_ = 0;
  void* block_ = nullptr;
};

template <typename Visit>
void EntryTable::for_each_with(uint64_t hash, Visit visit) const {
  for_each_tagged(hash, [&](uint64_t offset, Bucket& bucket, uint32_t index) {
    if (hash_at(offset, index) != hash) return true;
    return visit(&bucket.entries[index]);
  });
}

template <typename Visit>
void EntryTable::for_each_tagged(uint64_t hash, Visit visit) const {
  const uint64_t mask = mask_.load(std::memory_order_relaxed);
  Bucket* const buckets = buckets_.load(std::memory_order_relaxed);
  uint64_t at = hash & mask;
  for (uint64_t passed = 0;; passed += sizeof(Bucket)) {
    Bucket& bucket = at_offset(buckets, at);
    for (ByteMatch found = bucket.match(hash); found.any(); found.drop_first()) {
      if (!visit(at, bucket, found.first())) return;
    }
    if (bucket.overflow() == 0 || passed == mask) return;
    at = (at + sizeof(Bucket)) & mask;
  }
}

inline void EntryTable::erase(uint64_t hash, Entry** slot) {
  const uint64_t mask = mask_.load(std::memory_order_relaxed);
  Bucket* const buckets = buckets_.load(std::memory_order_relaxed);
  const uint64_t offset =
      static_cast<uint64_t>(reinterpret_cast<char*>(slot) - reinterpret_cast<char*>(buckets));
  const uint64_t place = offset & ~uint64_t{sizeof(Bucket) - 1};
  Bucket& bucket = at_offset(buckets, place);
  const auto index = static_cast<uint32_t>(slot - bucket.entries);
  bucket.tags &= ~(uint64_t{0xFF} << (index * 8));
  for (uint64_t at = hash & mask; at != place; at = (at + sizeof(Bucket)) & mask) {
    at_offset(buckets, at).unpass();
  }
  --size_;
  ++room_;
}

}  // namespace rkvs::internal

#endif  // RKVS_STORE_ENTRY_TABLE_H_
