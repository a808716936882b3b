#include "store/bucket_walk.h"

namespace rkvs::internal {

StatusCode BucketWalk::next(Deadline& deadline, OperationTime& time, std::string_view prefix,
                            std::vector<EntryRef>& entries) {
  if (is_called_back()) return StatusCode::kWouldDeadlock;
  while (!is_done()) {
    list_buckets();
    const uint32_t index = set_.routing().shard_of(next_);
    if (index == Routing::kNoShard) return set_.closed_code();
    Shard& shard = set_[index];
    if (!lock_shard<Access::kRead>(shard, deadline)) return StatusCode::kTimeout;
    shard.mutex.assert_held_shared();
    if (!set_.routing().owns(index, next_)) {
      unlock_shard<Access::kRead>(shard);
      continue;
    }
    const size_t size = shard.size();
    const bool fits = entries.capacity() - entries.size() >= size;
    if (fits) read(index, shard, time, prefix, entries);
    unlock_shard<Access::kRead>(shard);
    if (fits) {
      while (!is_done() && seen(next_)) ++next_;
      break;
    }
    entries.reserve(entries.size() + size + size / 8 + 16);
  }
  return StatusCode::kOk;
}

void BucketWalk::read(uint32_t index, const Shard& shard, OperationTime& time,
                      std::string_view prefix, std::vector<EntryRef>& entries) {
  shard.for_each_hashed([&](uint64_t hash, Entry* entry) {
    if (seen(bucket_of(hash))) return;
    if (!prefix.empty() && !entry->key().starts_with(prefix)) return;
    if (!entry->is_live(time)) return;
    entry->retain();
    entries.emplace_back(entry);
  });
  if (listed_ != kNotListed && set_.routing().generation() == listed_) {
    for (uint32_t i = begin_[index]; i < begin_[index + 1]; ++i) mark_seen(by_shard_[i]);
    return;
  }
  for (uint32_t bucket = next_; bucket < kBucketCount; ++bucket) {
    if (set_.routing().owns(index, bucket)) mark_seen(bucket);
  }
}

// Lists the buckets of each shard while no resize is on, with no lock held: to ask for each bucket
// whether a shard owns it takes as long as everything else for thousands of keys.
void BucketWalk::list_buckets() {
  const Routing& routing = set_.routing();
  const uint64_t generation = routing.generation();
  if (!Routing::is_settled(generation) || generation == listed_) return;
  const RouteTable& table = *routing.table();
  if (routing.generation() != generation) return;
  listed_ = kNotListed;
  begin_.assign(kMaxShardCount + 1, 0);
  by_shard_.resize(kBucketCount);
  for (const uint16_t shard : table) ++begin_[shard + 1U];
  for (uint32_t i = 0; i < kMaxShardCount; ++i) begin_[i + 1] += begin_[i];
  std::vector<uint32_t> cursor(begin_.begin(), begin_.end() - 1);
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    by_shard_[cursor[table[bucket]]++] = static_cast<uint16_t>(bucket);
  }
  listed_ = generation;
}

}  // namespace rkvs::internal
