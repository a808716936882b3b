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
    for (uint32_t bucket = next_; bucket < kBucketCount; ++bucket) {
      if (set_.routing().owns(index, bucket)) seen_[bucket / 64] |= uint64_t{1} << (bucket % 64);
    }
  }

  ShardSet& set_;
  uint32_t next_ = 0;
  std::array<uint64_t, kBucketCount / 64> seen_{};
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
