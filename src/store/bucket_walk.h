// BucketWalk: every bucket of a namespace once, whatever resizes do meanwhile.
#ifndef RKVS_STORE_BUCKET_WALK_H_
#define RKVS_STORE_BUCKET_WALK_H_

#include <rkvs/status.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/key_hash.h"
#include "base/thread_annotations.h"
#include "base/time_source.h"
#include "store/entry.h"
#include "store/shard_set.h"

namespace rkvs::internal {

// Takes a shard's worth of buckets at a time: a bucket is read at one instant under the lock of the
// shard that owns it, and the set of buckets that were read is remembered. So each key that stays
// is seen exactly once. Used by one thread at a time.
class BucketWalk {
 public:
  explicit BucketWalk(ShardSet& set) : set_(set) {}

  bool is_done() const { return next_ == kBucketCount; }
  // Appends references to those entries of the next shard's unseen buckets whose keys begin with
  // `prefix` and that have not expired. Ok, Timeout, WouldDeadlock or the set's closed_code();
  // after a failure it can be called again. Throws std::bad_alloc with no lock held.
  StatusCode next(Deadline& deadline, OperationTime& time, std::string_view prefix,
                  std::vector<EntryRef>& entries);

 private:
  bool seen(uint32_t bucket) const { return (seen_[bucket / 64] >> (bucket % 64) & 1) != 0; }
  void mark_seen(uint32_t bucket) { seen_[bucket / 64] |= uint64_t{1} << (bucket % 64); }
  void read(uint32_t index, const Shard& shard, OperationTime& time, std::string_view prefix,
            std::vector<EntryRef>& entries) RKVS_REQUIRES_SHARED(shard.mutex);
  void list_buckets();

  ShardSet& set_;
  uint32_t next_ = 0;  // the first bucket that was not seen
  std::array<uint64_t, kBucketCount / 64> seen_{};

  // The buckets by the shard that holds them, and where in by_shard_ those of each shard begin, as
  // of the settled generation `listed_`.
  static constexpr uint64_t kNotListed = ~uint64_t{0};  // never that of a settled routing
  uint64_t listed_ = kNotListed;
  std::vector<uint32_t> begin_;
  std::vector<uint16_t> by_shard_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_BUCKET_WALK_H_
