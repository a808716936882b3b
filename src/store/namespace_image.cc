#include "store/namespace_image.h"

#include <algorithm>
#include <new>
#include <utility>

namespace rkvs::internal {
namespace {

using AllReadLock = AllLock<Access::kRead>;

void copy_locked(NamespaceImpl& from, const AllReadLock& all, NamespaceImage& image) {
  size_t keys = 0;
  for (uint32_t i = 0; i < all.count(); ++i) {
    const Shard& shard = from.shards()[i];
    shard.mutex.assert_held_shared();
    const ShardUsage usage = shard.usage();
    keys += usage.keys;
    image.value_bytes += usage.value_bytes;
    image.last_version = std::max(image.last_version, shard.last_version());
  }
  image.entries.reserve(keys);
  for (uint32_t i = 0; i < all.count(); ++i) {
    const Shard& shard = from.shards()[i];
    shard.mutex.assert_held_shared();
    shard.for_each([&](uint64_t, Entry* entry) {
      entry->retain();
      image.entries.emplace_back(entry);
    });
  }
}

}  // namespace

Result<std::vector<NamespaceImage>> take_images(
    std::vector<std::shared_ptr<NamespaceImpl>> namespaces) {
  try {
    std::sort(namespaces.begin(), namespaces.end(),
              [](const auto& a, const auto& b) { return a->id() < b->id(); });
    std::vector<NamespaceImage> images(namespaces.size());
    std::chrono::nanoseconds longest{0};
    for (size_t i = 0; i < namespaces.size(); ++i) {
      // Configurations have a lock that comes before those of shards.
      images[i].name = namespaces[i]->name();
      images[i].config = namespaces[i]->get_config();
      longest = std::max<std::chrono::nanoseconds>(longest, images[i].config.lock_timeout);
    }
    Deadline deadline(longest);
    std::vector<std::unique_ptr<AllReadLock>> locks;
    for (const auto& impl : namespaces) {
      locks.push_back(std::make_unique<AllReadLock>(impl->shards(), deadline));
      if (locks.back()->code() == StatusCode::kTimeout) return impl->error(StatusCode::kTimeout);
    }
    size_t kept = 0;
    for (size_t i = 0; i < namespaces.size(); ++i) {
      if (!locks[i]->held()) continue;
      copy_locked(*namespaces[i], *locks[i], images[i]);
      images[i].shards_in_use = namespaces[i]->shards().routing().shard_count();
      if (kept != i) images[kept] = std::move(images[i]);
      ++kept;
    }
    images.resize(kept);
    return Result<std::vector<NamespaceImage>>(std::move(images));
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

StatusCode restore_entry(NamespaceImpl& into, const RestoredEntry& restored) {
  if (restored.key.size() > kLargestMaxKeySize) return StatusCode::kKeyTooLarge;
  if (restored.value.size() > kLargestValueSize) return StatusCode::kValueTooLarge;
  EntryRef entry(Entry::create(restored.key, restored.value));
  if (!entry) return StatusCode::kNoMemory;
  entry->set_version(restored.version);
  const HashedKey hashed = into.shards().hashed(restored.key);
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
        shard.raise_version(restored.version);
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
