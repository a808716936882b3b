#include "store/entry_table.h"

#include <new>

namespace rkvs::internal {

void EntryTable::swap(EntryTable& other) noexcept {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  Bucket* const buckets = buckets_.load(kRelaxed);
  buckets_.store(other.buckets_.load(kRelaxed), kRelaxed);
  other.buckets_.store(buckets, kRelaxed);
  const uint64_t mask = mask_.load(kRelaxed);
  mask_.store(other.mask_.load(kRelaxed), kRelaxed);
  other.mask_.store(mask, kRelaxed);
  std::swap(size_, other.size_);
  std::swap(room_, other.room_);
  std::swap(block_, other.block_);
}

void EntryTable::put(uint64_t hash, Entry* entry) {
  const uint64_t mask = mask_.load(std::memory_order_relaxed);
  Bucket* const buckets = buckets_.load(std::memory_order_relaxed);
  uint64_t at = hash & mask;
  for (;;) {
    Bucket& bucket = at_offset(buckets, at);
    if (const ByteMatch free = bucket.free_slots(); free.any()) [[likely]] {
      const uint32_t slot = free.first();
      bucket.tags |= tag_of(hash) << (slot * 8);
      bucket.entries[slot] = entry;
      hash_at(at, slot) = hash;
      return;
    }
    bucket.pass();
    at = (at + sizeof(Bucket)) & mask;
  }
}

bool EntryTable::scan(size_t& position, size_t limit, std::vector<uint64_t>& out) const {
  const size_t count = bucket_count();
  const Bucket* const buckets = buckets_.load(std::memory_order_relaxed);
  const size_t most = out.size() + limit;
  for (size_t looked = 0; position < count && looked < limit && out.size() < most; ++looked) {
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      if (buckets[position].is_free(slot)) continue;
      out.push_back(hash_at(position * sizeof(Bucket), slot));
    }
    ++position;
  }
  return position < count;
}

void EntryTable::grow(size_t inserts) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const size_t count = buckets_for(size_ + inserts);
  EntryTable larger;
  larger.block_ = TableMemory::take(block_bytes(count));
  const auto address = reinterpret_cast<uintptr_t>(larger.block_);
  auto* const buckets =
      reinterpret_cast<Bucket*>((address + alignof(Bucket) - 1) & ~uintptr_t{alignof(Bucket) - 1});
  for (size_t i = 0; i < count; ++i) buckets[i].tags = 0;
  larger.buckets_.store(buckets, kRelaxed);
  larger.mask_.store((count - 1) * sizeof(Bucket), kRelaxed);
  for_each_hashed([&](uint64_t hash, Entry* entry) { larger.put(hash, entry); });
  larger.size_ = size_;
  larger.room_ = capacity_of(count) - size_;
  swap(larger);
}

void EntryTable::drop_block() {
  if (block_ != nullptr) TableMemory::drop(block_);
}

void EntryTable::reset() {
  EntryTable gone;
  swap(gone);
}

}  // namespace rkvs::internal
