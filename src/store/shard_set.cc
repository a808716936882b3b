#include "store/shard_set.h"

#include <sys/mman.h>

#include <new>

namespace rkvs::internal {
namespace {

constexpr size_t kReservedBytes = sizeof(Shard) * kMaxShardCount;

}  // namespace

Result<std::unique_ptr<ShardSet>> ShardSet::create(uint32_t shard_count, const KeyHash& hash) {
  const RouteTable* table = route_table(shard_count);
  if (table == nullptr) return StatusCode::kNoMemory;
  void* memory = mmap(nullptr, kReservedBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return StatusCode::kNoMemory;
  auto* set =
      new (std::nothrow) ShardSet(static_cast<Shard*>(memory), table, shard_count, hash);
  if (set == nullptr) {
    munmap(memory, kReservedBytes);
    return StatusCode::kNoMemory;
  }
  return std::unique_ptr<ShardSet>(set);
}

ShardSet::ShardSet(Shard* shards, const RouteTable* table, uint32_t shard_count,
                   const KeyHash& hash)
    : shards_(shards), hash_(hash), routing_(table, shard_count) {
  construct_shards(shard_count);
}

ShardSet::~ShardSet() {
  for (uint32_t i = 0; i < constructed_; ++i) shards_[i].~Shard();
  munmap(shards_, kReservedBytes);
  TableMemory::free_dropped();
}

void ShardSet::construct_shards(uint32_t count) {
  for (; constructed_ < count; ++constructed_) new (shards_ + constructed_) Shard;
}

void ShardSet::close(StatusCode code) {
  Deadline never = Deadline::never();
  const AllLock<Access::kWrite> all(*this, never);
  if (!all.held()) return;  // closed before
  closed_code_.store(code, std::memory_order_release);
  routing_.close();
}

void ShardSet::clear() {
  for (uint32_t i = 0; i < constructed_; ++i) {
    EntryTable table;
    std::unique_ptr<ShardExtra> extra;
    {
      const WriterLock lock(shards_[i].mutex);
      shards_[i].swap_out(table, extra);
    }
    table.for_each([](uint64_t, Entry* entry) { entry->release(); });
    if (extra == nullptr) continue;
    for (const auto& [hash, entry] : extra->overflow) entry->release();
  }
  TableMemory::free_dropped();
}

}  // namespace rkvs::internal
