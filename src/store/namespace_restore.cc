#include "store/namespace_restore.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "store/byte_charge.h"

namespace rkvs::internal {

namespace {

// Takes over `entry` and sets it to nullptr, if it succeeds.
StatusCode insert_into(NamespaceImpl& into, Shard& shard, uint64_t hash, Entry*& entry)
    RKVS_REQUIRES(shard.mutex) {
  if (shard.find({entry->key(), hash}) != nullptr) return StatusCode::kExists;
  if (!into.usage().reserve(1)) return StatusCode::kTooManyKeys;
  const uint64_t version = entry->version();
  shard.insert_as_is(hash, std::exchange(entry, nullptr));
  shard.raise_version(version);
  return StatusCode::kOk;
}

StatusCode insert_one(NamespaceImpl& into, uint64_t hash, Entry*& entry) {
  Deadline never = Deadline::never();
  const HashedKey hashed{entry->key(), hash};
  for (size_t spare = 0;;) {
    if (spare != 0 && !TableMemory::add_spare(spare)) return StatusCode::kNoMemory;
    const OwnerLock<Access::kWrite> lock(into.shards(), hashed, never);
    if (!lock.held()) return lock.code();
    Shard& shard = lock.shard();
    shard.mutex.assert_held();
    const ByteCharge charge(into.usage(), shard);
    if (entry->has_expiry() && !shard.prepare_expiries(1)) return StatusCode::kNoMemory;
    spare = shard.spare_needed(1);
    if (spare != 0 && !TableMemory::has_spare(spare)) continue;
    shard.make_room(1);
    return insert_into(into, shard, hash, entry);
  }
}

}  // namespace

void Restorer::drop_items() {
  for (const Item& item : items_) {
    if (item.entry != nullptr) item.entry->release();
  }
  items_.clear();
}

StatusCode Restorer::add(NamespaceImpl& into, std::span<const RestoredEntry> entries) try {
  drop_items();
  items_.reserve(entries.size());
  for (const RestoredEntry& source : entries) {
    if (source.key.size() > kLargestMaxKeySize) return StatusCode::kKeyTooLarge;
    if (source.value.size() > kLargestValueSize) return StatusCode::kValueTooLarge;
    Entry* entry = Entry::create(source.key, source.value, source.expires_at);
    if (entry == nullptr) return StatusCode::kNoMemory;
    if (source.expires_at != 0) into.note_expiries();
    entry->set_version(source.version);
    items_.push_back({into.shards().hashed(source.key).hash, entry});
  }
  return insert_items(into);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

StatusCode Restorer::share(NamespaceImpl& into, std::span<Entry* const> entries,
                           OperationTime& time) try {
  constexpr size_t kAhead = 16;
  drop_items();
  items_.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i + kAhead < entries.size()) __builtin_prefetch(entries[i + kAhead]);
    if (!entries[i]->is_live(time)) continue;
    if (entries[i]->has_expiry()) into.note_expiries();
    entries[i]->retain();
    items_.push_back({into.shards().hashed(entries[i]->key()).hash, entries[i]});
  }
  return insert_items(into);
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

// Counting sort by shard.
StatusCode Restorer::insert_items(NamespaceImpl& into) {
  const Routing& routing = into.shards().routing();
  shards_.resize(items_.size());
  order_.resize(items_.size());
  ends_.assign(kMaxShardCount + 1, 0);
  for (size_t i = 0; i < items_.size(); ++i) {
    shards_[i] = routing.shard_of(bucket_of(items_[i].hash));
    if (shards_[i] == Routing::kNoShard) return into.shards().closed_code();
    ++ends_[shards_[i] + 1];
  }
  for (uint32_t shard = 0; shard < kMaxShardCount; ++shard) ends_[shard + 1] += ends_[shard];
  for (size_t i = 0; i < items_.size(); ++i) {
    order_[ends_[shards_[i]]++] = static_cast<uint32_t>(i);
  }
  uint32_t begin = 0;
  for (uint32_t shard = 0; shard < kMaxShardCount && begin < items_.size(); ++shard) {
    const uint32_t end = ends_[shard];
    if (end == begin) continue;
    const auto group = std::span<const uint32_t>(order_).subspan(begin, end - begin);
    if (const StatusCode code = insert_group(into, shard, group); code != StatusCode::kOk)
      return code;
    begin = end;
  }
  // What a resize moved away between routing and locking.
  for (Item& item : items_) {
    if (item.entry == nullptr) continue;
    if (const StatusCode code = insert_one(into, item.hash, item.entry); code != StatusCode::kOk)
      return code;
  }
  items_.clear();
  return StatusCode::kOk;
}

StatusCode Restorer::insert_group(NamespaceImpl& into, uint32_t index,
                                  std::span<const uint32_t> group) {
  Shard& shard = into.shards()[index];
  size_t size = 0;
  const auto expiries = static_cast<size_t>(std::count_if(
      group.begin(), group.end(), [&](uint32_t i) { return items_[i].entry->has_expiry(); }));
  for (size_t spare = 0;;) {
    if (spare != 0 && !TableMemory::add_spare(spare)) return StatusCode::kNoMemory;
    const WriterLock lock(shard.mutex);
    const ByteCharge charge(into.usage(), shard);
    if (expiries != 0 && !shard.prepare_expiries(expiries)) return StatusCode::kNoMemory;
    spare = shard.spare_needed(group.size());
    if (spare != 0 && !TableMemory::has_spare(spare)) continue;
    shard.make_room(group.size());
    for (const uint32_t i : group) {
      Item& item = items_[i];
      if (!into.shards().routing().owns(index, bucket_of(item.hash))) continue;
      if (const StatusCode code = insert_into(into, shard, item.hash, item.entry);
          code != StatusCode::kOk)
        return code;
    }
    size = shard.size();
    break;
  }
  TableMemory::free_dropped();
  if (into.resizer().wants_help(size)) into.resizer().help(size);
  return StatusCode::kOk;
}

bool restore_room(NamespaceImpl& into, uint64_t keys) {
  const uint32_t count = into.shards().routing().shard_count();
  const uint64_t mean = keys / count;
  // Few shards get more than four standard deviations over the mean; those grow by themselves.
  const auto room = mean + 4 * static_cast<uint64_t>(std::sqrt(static_cast<double>(mean)));
  if (room == 0) return true;
  for (uint32_t i = 0; i < count; ++i) {
    Shard& shard = into.shards()[i];
    for (size_t spare = 0;;) {
      if (spare != 0 && !TableMemory::add_spare(spare)) return false;
      const WriterLock lock(shard.mutex);
      const ByteCharge charge(into.usage(), shard);
      spare = shard.spare_needed(room);
      if (spare != 0 && !TableMemory::has_spare(spare)) continue;
      shard.make_room(room);
      break;
    }
  }
  TableMemory::free_dropped();
  return true;
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
