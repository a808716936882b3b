// Routing: which shard holds which bucket of keys, also while a resize moves them.
#ifndef RKVS_STORE_ROUTING_H_
#define RKVS_STORE_ROUTING_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/key_hash.h"
#include "base/schedule.h"

namespace rkvs::internal {

// The shard of each bucket for one shard count: jump consistent hash of the bucket. Depends on the
// count alone, so all namespaces of a process share it.
using RouteTable = std::array<uint16_t, kBucketCount>;

// The table for `shard_count` (1 to 4,096), built when first asked for (about 3 ms) and kept for
// the life of the process; nullptr where there is no memory. Thread-safe.
const RouteTable* route_table(uint32_t shard_count) noexcept;

// The counts that automatic scaling goes through, from the first to the last.
inline constexpr std::array<uint32_t, 5> kAutomaticShardCounts = {16, 64, 256, 1024, 4096};

// Builds the tables of all kAutomaticShardCounts in one pass (about 5 ms, once in a process), so
// that no insert has to when it makes a namespace grow. False where there is no memory.
bool build_automatic_route_tables() noexcept;

// Where the buckets of one namespace are.
//
// Settled, a bucket is where the table of the present count says. During a resize from table `from`
// to table `to` a bucket that has moved is where `to` says, one that has not where `from` says.
// Operations ask shard_of(), lock that shard, and then ask owns(): the answer of shard_of() may be
// out of date, that of owns() under the shard's lock cannot be, because of these rules:
//   - bucket_moved() and bucket_moved_back() are called with the locks of the old and the new shard
//     held exclusively;
//   - begin() is called before the first and end() after the last of them; where all that moved has
//     moved back, end_unmoved() takes the place of end();
//   - close() is called with the locks of all shards held.
// Whoever locks a shard that a bucket has left therefore sees that it has.
class Routing {
 public:
  static constexpr uint32_t kNoShard = UINT32_MAX;

  explicit Routing(const RouteTable* table, uint32_t shard_count)
      : settled_(table), table_(table), shard_count_(shard_count) {}

  // A hint, without a lock; kNoShard after close().
  uint32_t shard_of(uint32_t bucket) const {
    RKVS_SCHEDULE_POINT();
    const uint64_t generation = generation_.load(std::memory_order_acquire);
    if ((generation & kUnsettled) == 0) [[likely]] {
      return (*table_.load(std::memory_order_acquire))[bucket];
    }
    return shard_of_unsettled(bucket);
  }

  // With the lock of `shard` held, in either mode: whether the bucket is in it.
  bool owns(uint32_t shard, uint32_t bucket) const { return shard_of(bucket) == shard; }

  // The table in force when settled, otherwise nullptr. For single buckets the shortest way: if it
  // is the same table before routing and with the shard locked, the bucket is there. (Where the
  // bucket has left the shard since, the resize that took it away had begun before it had the lock;
  // and where that has been undone by another one, the bucket is back.)
  const RouteTable* settled_table() const {
    RKVS_SCHEDULE_POINT();
    return settled_.load(std::memory_order_acquire);
  }

  // For a group of buckets at once: if generation() is the same even number before routing and
  // with all locks held, everything routed in between is right.
  uint64_t generation() const {
    RKVS_SCHEDULE_POINT();
    return generation_.load(std::memory_order_acquire);
  }
  static bool is_settled(uint64_t generation) { return (generation & kUnsettled) == 0; }

  // The number of shards that may hold data: the larger of both counts during a resize.
  uint32_t shard_count() const { return shard_count_.load(std::memory_order_acquire); }
  // The table in force when settled.
  const RouteTable* table() const {
    RKVS_SCHEDULE_POINT();
    return table_.load(std::memory_order_acquire);
  }

  // --- One resize at a time; the caller sees to that. -------------------------------------------

  // False where there is no memory.
  bool prepare() noexcept;
  // After prepare(). `shard_count`: the larger of the two counts.
  void begin(const RouteTable* to, uint32_t shard_count) noexcept;
  bool has_moved(uint32_t bucket) const;
  void bucket_moved(uint32_t bucket) noexcept;
  void bucket_moved_back(uint32_t bucket) noexcept;
  // `shard_count`: of the new table.
  void end(uint32_t shard_count) noexcept;
  // `shard_count`: of the old one.
  void end_unmoved(uint32_t shard_count) noexcept;

  void close() noexcept {
    settled_.store(nullptr, std::memory_order_release);
    RKVS_SCHEDULE_POINT();
    generation_.store(kClosed, std::memory_order_release);
  }
  bool is_closed() const { return generation() == kClosed; }

 private:
  // The generation: even = settled, odd = a resize is on, all ones = closed. Changes at begin, end
  // and close, never back.
  static constexpr uint64_t kUnsettled = 1;
  static constexpr uint64_t kClosed = ~uint64_t{0};

  struct Move {
    std::atomic<const RouteTable*> from;
    std::atomic<const RouteTable*> to;
    std::array<std::atomic<uint64_t>, kBucketCount / 64> moved;
  };

  uint32_t shard_of_unsettled(uint32_t bucket) const;
  void settle(const RouteTable* table, uint32_t shard_count) noexcept;

  std::atomic<const RouteTable*> settled_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<const RouteTable*> table_;
  std::atomic<uint32_t> shard_count_;
  // Made by the first resize and kept for the later ones, since readers may still be looking.
  std::unique_ptr<Move> move_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_ROUTING_H_
