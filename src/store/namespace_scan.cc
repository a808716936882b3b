// Going through all keys of a namespace.
#include <rkvs/namespace.h>

#include <array>
#include <new>

#include "store/namespace_impl.h"

namespace rkvs {

using internal::Access;
using internal::bucket_of;
using internal::Deadline;
using internal::Entry;
using internal::EntryRef;
using internal::kBucketCount;
using internal::NamespaceImpl;
using internal::Routing;
using internal::Shard;
using internal::ShardSet;

namespace {

// Visits every bucket once, a shard's worth of them at a time, whatever resizes do meanwhile: a
// bucket is read at one instant under the lock of the shard that owns it, and the set of buckets
// that were read is remembered. So each key that stays is seen exactly once.
class BucketWalk {
 public:
  explicit BucketWalk(ShardSet& set) : set_(set) {}

  // Appends references to the entries of the next shard's unseen buckets. False at the end.
  // kTimeout or the closed code in `code` on failure. Throws std::bad_alloc with no lock held.
  bool next(Deadline& deadline, std::vector<EntryRef>& entries, StatusCode& code) {
    while (next_ < kBucketCount && seen(next_)) ++next_;
    if (next_ == kBucketCount) return false;
    for (;;) {
      list_buckets();
      const uint32_t index = set_.routing().shard_of(next_);
      if (index == Routing::kNoShard) {
        code = set_.closed_code();
        return false;
      }
      Shard& shard = set_[index];
      size_t size = 0;
      if (!internal::lock_shard<Access::kRead>(shard, deadline)) {
        code = StatusCode::kTimeout;
        return false;
      }
      shard.mutex.assert_held_shared();
      if (!set_.routing().owns(index, next_)) {
        internal::unlock_shard<Access::kRead>(shard);
        continue;
      }
      size = shard.size();
      const bool fits = entries.capacity() - entries.size() >= size;
      if (fits) read(index, shard, entries);
      internal::unlock_shard<Access::kRead>(shard);
      if (fits) return true;
      entries.reserve(entries.size() + size + size / 8 + 16);
    }
  }

 private:
  bool seen(uint32_t bucket) const { return (seen_[bucket / 64] >> (bucket % 64) & 1) != 0; }

  void read(uint32_t index, const Shard& shard, std::vector<EntryRef>& entries)
      RKVS_REQUIRES_SHARED(shard.mutex) {
    shard.for_each([&](uint64_t hash, Entry* entry) {
      if (seen(bucket_of(hash))) return;
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
  void mark_seen(uint32_t bucket) { seen_[bucket / 64] |= uint64_t{1} << (bucket % 64); }

  // Lists the buckets of each shard while no resize is on, with no lock held: to ask for each
  // bucket whether a shard owns it takes as long as everything else for thousands of keys.
  void list_buckets() {
    const Routing& routing = set_.routing();
    const uint64_t generation = routing.generation();
    if (!Routing::is_settled(generation) || generation == listed_) return;
    const internal::RouteTable& table = *routing.table();
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

  ShardSet& set_;
  uint32_t next_ = 0;
  std::array<uint64_t, kBucketCount / 64> seen_{};

  // The buckets by the shard that holds them, and where in by_shard_ those of each shard begin, as
  // of the settled generation `listed_`.
  static constexpr uint64_t kNotListed = ~uint64_t{0};  // never that of a settled routing
  uint64_t listed_ = kNotListed;
  std::vector<uint32_t> begin_;
  std::vector<uint16_t> by_shard_;
};

}  // namespace

Result<std::vector<std::string>> Namespace::list_keys() const {
  NamespaceImpl& self = *impl_;
  try {
    std::vector<std::string> keys;
    BucketWalk walk(self.shards());
    std::vector<EntryRef> entries;
    for (;;) {
      Deadline deadline = self.deadline();
      StatusCode code = StatusCode::kOk;
      entries.clear();
      if (!walk.next(deadline, entries, code)) {
        if (code != StatusCode::kOk) return self.error(code);
        return keys;
      }
      keys.reserve(keys.size() + entries.size());
      for (const EntryRef& entry : entries) keys.emplace_back(entry->key());
    }
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

}  // namespace rkvs
