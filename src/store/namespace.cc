// Single-key operations, limits and figures of a namespace.
#include <rkvs/namespace.h>

#include <utility>

#include "store/namespace_impl.h"

namespace rkvs {

using internal::Access;
using internal::AllLock;
using internal::Deadline;
using internal::Entry;
using internal::EntryRef;
using internal::HashedKey;
using internal::NamespaceImpl;
using internal::OwnerLock;
using internal::Shard;
using internal::TableMemory;

namespace {

// Values up to this size are copied under the shard's lock where that saves a block; larger ones
// would hold it for too long.
constexpr size_t kLargestInPlace = 4096;

Status no_memory() { return Status(StatusCode::kNoMemory); }

// Stores an absent key. `lock` holds its shard and is released. The shard may have to be unlocked
// to get memory for its table; then nothing is done, and the caller looks again.
enum class Insertion { kDone, kLookAgain, kTooManyKeys, kNoMemory };

Insertion insert_absent(NamespaceImpl& self, OwnerLock<Access::kWrite>& lock, uint64_t hash,
                        Entry* entry) {
  Shard& shard = lock.shard();
  shard.mutex.assert_held();
  const size_t spare = shard.spare_needed(1);
  if (spare != 0) {
    if (!TableMemory::has_spare(spare)) {
      lock.unlock();
      return TableMemory::add_spare(spare) ? Insertion::kLookAgain : Insertion::kNoMemory;
    }
    shard.make_room(1);
  }
  // Whatever can fail comes before the key is reserved: a refusal for lack of room must be true.
  if (!shard.prepare_write(0)) return Insertion::kNoMemory;
  if (shard.candidate(hash) != nullptr && !shard.prepare_collisions(1)) {
    return Insertion::kNoMemory;
  }
  if (!self.usage().reserve(1)) return Insertion::kTooManyKeys;
  static_cast<void>(shard.insert(hash, entry));
  const size_t size = shard.size();
  lock.unlock();
  if (spare != 0) TableMemory::free_dropped();
  if (self.resizer().wants_help(size)) self.resizer().help(size);
  return Insertion::kDone;
}

Status insertion_error(const NamespaceImpl& self, Insertion insertion) {
  return insertion == Insertion::kTooManyKeys ? self.error(StatusCode::kTooManyKeys) : no_memory();
}

}  // namespace

const std::string& Namespace::name() const noexcept { return impl_->name(); }

Result<Value> Namespace::get(std::string_view key) const {
  NamespaceImpl& self = *impl_;
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  const OwnerLock<Access::kRead> lock(self.shards(), hashed, deadline);
  if (!lock.held()) return self.error(lock.code());
  const Shard& shard = lock.shard();
  shard.mutex.assert_held_shared();
  Entry* entry = shard.find(hashed);
  if (entry == nullptr) return StatusCode::kNotFound;
  return entry->share();
}

Result<bool> Namespace::exists(std::string_view key) const {
  NamespaceImpl& self = *impl_;
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  const OwnerLock<Access::kRead> lock(self.shards(), hashed, deadline);
  if (!lock.held()) return self.error(lock.code());
  const Shard& shard = lock.shard();
  shard.mutex.assert_held_shared();
  return shard.find(hashed) != nullptr;
}

Result<std::optional<Value>> Namespace::set(std::string_view key, std::string_view value) {
  NamespaceImpl& self = *impl_;
  if (Status status = self.check_sizes(key, value); !status.ok()) return status;
  EntryRef fresh(Entry::create(key, value));
  if (!fresh) return no_memory();
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  for (;;) {
    OwnerLock<Access::kWrite> lock(self.shards(), hashed, deadline);
    if (!lock.held()) return self.error(lock.code());
    Shard& shard = lock.shard();
    shard.mutex.assert_held();
    if (Status status = self.check_sizes(key, value); !status.ok()) return status;
    if (Entry** slot = shard.find_slot(hashed)) {
      if (!shard.prepare_write(1)) return no_memory();
      return std::optional<Value>(Entry::adopt(shard.replace(slot, fresh.take())));
    }
    const Insertion insertion = insert_absent(self, lock, hashed.hash, fresh.get());
    if (insertion == Insertion::kLookAgain) continue;
    if (insertion != Insertion::kDone) return insertion_error(self, insertion);
    fresh.take();
    return std::optional<Value>();
  }
}

Status Namespace::put(std::string_view key, std::string_view value) {
  NamespaceImpl& self = *impl_;
  if (value.size() > kLargestInPlace) return set(key, value).status();
  if (Status status = self.check_sizes(key, value); !status.ok()) return status;
  const size_t size = Entry::size_of(key.size(), value.size(), false);
  void* block = Entry::allocate_block(size);
  if (block == nullptr) return no_memory();
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  EntryRef fresh;
  for (;;) {
    OwnerLock<Access::kWrite> lock(self.shards(), hashed, deadline);
    if (!lock.held()) {
      if (!fresh) Entry::free_block(block, size);
      return self.error(lock.code());
    }
    Shard& shard = lock.shard();
    shard.mutex.assert_held();
    if (Status status = self.check_sizes(key, value); !status.ok()) {
      lock.unlock();
      if (!fresh) Entry::free_block(block, size);
      return status;
    }
    Entry** slot = shard.find_slot(hashed);
    if (slot != nullptr && shard.overwrite_in_place(slot, value)) {
      lock.unlock();
      if (!fresh) Entry::free_block(block, size);
      return Status();
    }
    if (!fresh) fresh = EntryRef(Entry::construct(block, key, value, 0));
    if (slot != nullptr) {
      if (!shard.prepare_write(1)) return no_memory();
      const EntryRef old(shard.replace(slot, fresh.take()));
      lock.unlock();
      return Status();
    }
    const Insertion insertion = insert_absent(self, lock, hashed.hash, fresh.get());
    if (insertion == Insertion::kLookAgain) continue;
    if (insertion != Insertion::kDone) return insertion_error(self, insertion);
    fresh.take();
    return Status();
  }
}

Result<Value> Namespace::update(std::string_view key, std::string_view value) {
  NamespaceImpl& self = *impl_;
  if (self.check_value(value) != StatusCode::kOk) return self.value_error(value);
  // Not max_key_size: it may have been lowered since the key came.
  if (key.size() > kLargestMaxKeySize) {
    return self.error(self.shards().routing().is_closed() ? self.shards().closed_code()
                                                          : StatusCode::kNotFound);
  }
  EntryRef fresh(Entry::create(key, value));
  if (!fresh) return no_memory();
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  const OwnerLock<Access::kWrite> lock(self.shards(), hashed, deadline);
  if (!lock.held()) return self.error(lock.code());
  Shard& shard = lock.shard();
  shard.mutex.assert_held();
  if (self.check_value(value) != StatusCode::kOk) return self.value_error(value);
  Entry** slot = shard.find_slot(hashed);
  if (slot == nullptr) return StatusCode::kNotFound;
  if (!shard.prepare_write(1)) return no_memory();
  return Entry::adopt(shard.replace(slot, fresh.take()));
}

Result<Value> Namespace::consume(std::string_view key) {
  NamespaceImpl& self = *impl_;
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  OwnerLock<Access::kWrite> lock(self.shards(), hashed, deadline);
  if (!lock.held()) return self.error(lock.code());
  Shard& shard = lock.shard();
  shard.mutex.assert_held();
  if (shard.is_being_saved()) {
    // A key that is not there is no reason to hand over an image.
    if (shard.find(hashed) == nullptr) return StatusCode::kNotFound;
    if (!shard.prepare_write(1)) return no_memory();
  }
  Entry* entry = shard.remove(hashed);
  if (entry == nullptr) return StatusCode::kNotFound;
  self.usage().release(1);
  const bool emptied = shard.size() == 0;
  lock.unlock();
  if (emptied) TableMemory::free_dropped();
  // A resize that inserts began ends by deletions as well.
  if (self.resizer().wants_help(0)) self.resizer().help();
  return Entry::adopt(entry);
}

Result<bool> Namespace::delete_key(std::string_view key) {
  const Result<Value> old = consume(key);
  if (old.ok()) return true;
  if (old.code() == StatusCode::kNotFound) return false;
  return old.status();
}

NamespaceConfig Namespace::get_config() const { return impl_->get_config(); }
Status Namespace::set_max_keys(uint64_t max_keys) { return impl_->set_max_keys(max_keys); }
Status Namespace::set_max_value_size(uint64_t max_value_size) {
  return impl_->set_max_value_size(max_value_size);
}
Status Namespace::set_lock_timeout(std::chrono::milliseconds lock_timeout) {
  return impl_->set_lock_timeout(lock_timeout);
}
Status Namespace::update_config(const NamespaceConfig& config) {
  return impl_->update_config(config);
}
Status Namespace::resize_shards(uint32_t shard_count, const OperationOptions& options) {
  return impl_->resize_shards(shard_count, options);
}

Result<NamespaceStats> Namespace::metadata() const { return impl_->stats(); }

Result<std::vector<uint64_t>> Namespace::shard_key_counts() const {
  NamespaceImpl& self = *impl_;
  std::vector<uint64_t> counts;
  try {
    counts.reserve(kMaxShardCount);
  } catch (const std::bad_alloc&) {
    return no_memory();
  }
  Deadline deadline = self.deadline();
  const AllLock<Access::kRead> all(self.shards(), deadline);
  if (!all.held()) return self.error(all.code());
  const uint32_t count = self.shards().routing().shard_count();
  for (uint32_t i = 0; i < all.count() && i < count; ++i) {
    const Shard& shard = self.shards()[i];
    shard.mutex.assert_held_shared();
    counts.push_back(shard.size());
  }
  return counts;
}

}  // namespace rkvs
