#include "store/routing.h"

#include <rkvs/options.h>

#include <mutex>
#include <new>

#include "base/mutex.h"

namespace rkvs::internal {
namespace {

std::array<std::atomic<const RouteTable*>, kMaxShardCount + 1> tables;
Mutex build_mutex;

// Neighbouring buckets must not jump alike.
uint64_t bucket_key(uint32_t bucket) { return uint64_t{bucket} * 0x9E3779B97F4A7C15U; }

}  // namespace

const RouteTable* route_table(uint32_t shard_count) noexcept {
  auto& slot = tables[shard_count];
  if (const RouteTable* table = slot.load(std::memory_order_acquire)) return table;
  const MutexLock lock(build_mutex);
  if (const RouteTable* table = slot.load(std::memory_order_acquire)) return table;
  auto* table = new (std::nothrow) RouteTable;
  if (table == nullptr) return nullptr;
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    (*table)[bucket] = static_cast<uint16_t>(jump_consistent_hash(bucket_key(bucket), shard_count));
  }
  slot.store(table, std::memory_order_release);
  return table;
}

bool build_automatic_route_tables() noexcept {
  constexpr auto& counts = kAutomaticShardCounts;
  if (tables[counts.back()].load(std::memory_order_acquire) != nullptr) return true;
  const MutexLock lock(build_mutex);
  if (tables[counts.back()].load(std::memory_order_acquire) != nullptr) return true;
  std::array<std::unique_ptr<RouteTable>, counts.size()> built;
  for (auto& table : built) {
    table.reset(new (std::nothrow) RouteTable);
    if (table == nullptr) return false;
  }
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    size_t i = 0;
    jump_consistent_hash_steps(bucket_key(bucket), counts.back(), [&](int64_t shard, int64_t next) {
      for (; i < counts.size() && counts[i] <= next; ++i) {
        (*built[i])[bucket] = static_cast<uint16_t>(shard);
      }
    });
  }
  // The last count last: it stands for all of them above.
  for (size_t i = 0; i < counts.size(); ++i) {
    auto& slot = tables[counts[i]];
    if (slot.load(std::memory_order_acquire) == nullptr) {
      slot.store(built[i].release(), std::memory_order_release);
    }
  }
  return true;
}

uint32_t Routing::shard_of_unsettled(uint32_t bucket) const {
  for (;;) {
    const uint64_t generation = generation_.load(std::memory_order_acquire);
    if (generation == kClosed) return kNoShard;
    RKVS_SCHEDULE_POINT();
    if (is_settled(generation)) return (*table_.load(std::memory_order_acquire))[bucket];
    const bool moved = has_moved(bucket);
    RKVS_SCHEDULE_POINT();
    const RouteTable* table = (moved ? move_->to : move_->from).load(std::memory_order_acquire);
    RKVS_SCHEDULE_POINT();
    // Another resize may have begun over these fields: what it writes it writes after a change of
    // the generation, with release order, so that reading any of it shows the change here.
    if (generation_.load(std::memory_order_acquire) == generation) return (*table)[bucket];
  }
}

bool Routing::prepare() noexcept {
  if (move_ == nullptr) move_.reset(new (std::nothrow) Move);
  return move_ != nullptr;
}

void Routing::begin(const RouteTable* to, uint32_t shard_count) noexcept {
  move_->from.store(table_.load(std::memory_order_relaxed), std::memory_order_release);
  RKVS_SCHEDULE_POINT();
  move_->to.store(to, std::memory_order_release);
  RKVS_SCHEDULE_POINT();
  for (auto& word : move_->moved) word.store(0, std::memory_order_release);
  RKVS_SCHEDULE_POINT();
  shard_count_.store(shard_count, std::memory_order_release);
  RKVS_SCHEDULE_POINT();
  settled_.store(nullptr, std::memory_order_release);
  RKVS_SCHEDULE_POINT();
  generation_.store(generation_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

bool Routing::has_moved(uint32_t bucket) const {
  return (move_->moved[bucket / 64].load(std::memory_order_acquire) >> (bucket % 64) & 1) != 0;
}

void Routing::bucket_moved(uint32_t bucket) noexcept {
  auto& word = move_->moved[bucket / 64];
  word.store(word.load(std::memory_order_relaxed) | uint64_t{1} << (bucket % 64),
             std::memory_order_release);
}

void Routing::bucket_moved_back(uint32_t bucket) noexcept {
  auto& word = move_->moved[bucket / 64];
  word.store(word.load(std::memory_order_relaxed) & ~(uint64_t{1} << (bucket % 64)),
             std::memory_order_release);
}

void Routing::end(uint32_t shard_count) noexcept {
  settle(move_->to.load(std::memory_order_relaxed), shard_count);
}

void Routing::end_unmoved(uint32_t shard_count) noexcept {
  settle(move_->from.load(std::memory_order_relaxed), shard_count);
}

void Routing::settle(const RouteTable* table, uint32_t shard_count) noexcept {
  table_.store(table, std::memory_order_release);
  RKVS_SCHEDULE_POINT();
  shard_count_.store(shard_count, std::memory_order_release);
  RKVS_SCHEDULE_POINT();
  generation_.store(generation_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  RKVS_SCHEDULE_POINT();
  settled_.store(table, std::memory_order_release);
}

}  // namespace rkvs::internal
