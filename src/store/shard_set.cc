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
  auto* set = new (std::nothrow) ShardSet(static_cast<Shard*>(memory), table, shard_count, hash);
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
  for (uint32_t i = 0; i < constructed(); ++i) shards_[i].~Shard();
  munmap(shards_, kReservedBytes);
  TableMemory::free_dropped();
}

void ShardSet::construct_shards(uint32_t count) {
  for (uint32_t i = constructed(); i < count; ++i) {
    new (shards_ + i) Shard;
    constructed_.store(i + 1, std::memory_order_release);
  }
}

void ShardSet::close(StatusCode code) {
  Deadline never = Deadline::never();
  const AllLock<Access::kWrite> all(*this, never);
  if (!all.held()) return;  // closed before
  closed_code_.store(code, std::memory_order_release);
  routing_.close();
}

void ShardSet::clear() {
  {
    const MutexLock lock(saves_mutex_);
    clear_when_saved_ = saves_ != 0;
    if (clear_when_saved_) return;
  }
  clear_shards();
}

void ShardSet::begin_save() {
  const MutexLock lock(saves_mutex_);
  ++saves_;
}

void ShardSet::end_save(SaveMark& save) {
  save.finished.store(true, std::memory_order_release);
  for (uint32_t i = 0; i < constructed(); ++i) {
    Graveyard graveyard;  // emptied without the lock
    const WriterLock lock(shards_[i].mutex);
    graveyard = shards_[i].detach(save);
  }
  bool clear_now = false;
  {
    const MutexLock lock(saves_mutex_);
    clear_now = --saves_ == 0 && clear_when_saved_;
    if (clear_now) clear_when_saved_ = false;
  }
  if (clear_now) clear_shards();
}

void ShardSet::clear_shards() {
  for (uint32_t i = 0; i < constructed(); ++i) {
    EntryTable table;
    {
      const WriterLock lock(shards_[i].mutex);
      shards_[i].swap_out(table);
    }
    table.for_each([](Entry* entry) { entry->release(); });
  }
  TableMemory::free_dropped();
}

}  // namespace rkvs::internal
