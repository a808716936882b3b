#include "store/namespace_restore.h"

#include <utility>

namespace rkvs::internal {

StatusCode restore_entry(NamespaceImpl& into, const RestoredEntry& source) {
  if (source.key.size() > kLargestMaxKeySize) return StatusCode::kKeyTooLarge;
  if (source.value.size() > kLargestValueSize) return StatusCode::kValueTooLarge;
  EntryRef entry(Entry::create(source.key, source.value));
  if (!entry) return StatusCode::kNoMemory;
  entry->set_version(source.version);
  const HashedKey hashed = into.shards().hashed(source.key);
  Deadline never = Deadline::never();
  for (;;) {
    size_t spare = 0;
    size_t size = 0;
    {
      const OwnerLock<Access::kWrite> lock(into.shards(), hashed, never);
      if (!lock.held()) return lock.code();
      Shard& shard = lock.shard();
      shard.mutex.assert_held();
      if (shard.find(hashed) != nullptr) return StatusCode::kExists;
      spare = shard.spare_needed(1);
      if (spare == 0 || TableMemory::has_spare(spare)) {
        if (!into.usage().reserve(1)) return StatusCode::kTooManyKeys;
        shard.make_room(1);
        if (!shard.insert_as_is(hashed.hash, entry.get())) return StatusCode::kNoMemory;
        entry.take();
        shard.raise_version(source.version);
        size = shard.size();
      }
    }
    if (!entry) {
      if (spare != 0) TableMemory::free_dropped();
      if (into.resizer().wants_help(size)) into.resizer().help();
      return StatusCode::kOk;
    }
    if (!TableMemory::add_spare(spare)) return StatusCode::kNoMemory;
  }
}

void restore_last_version(NamespaceImpl& into, uint64_t last_version) {
  Deadline never = Deadline::never();
  const AllLock<Access::kWrite> all(into.shards(), never);
  for (uint32_t i = 0; i < all.count(); ++i) {
    Shard& shard = into.shards()[i];
    shard.mutex.assert_held();
    shard.raise_version(last_version);
  }
}

}  // namespace rkvs::internal
