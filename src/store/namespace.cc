// Single-key operations, limits and figures of a namespace.
#include <rkvs/namespace.h>

#include <utility>

#include "base/hot_path.h"
#include "store/byte_charge.h"
#include "store/namespace_impl.h"
#include "store/reclaimed.h"

namespace rkvs {

using internal::Access;
using internal::AllLock;
using internal::ByteCharge;
using internal::Deadline;
using internal::Entry;
using internal::ExpiryQueue;
using internal::has_own_thread_slot;
using internal::HashedKey;
using internal::HistogramTimer;
using internal::is_called_back;
using internal::NamespaceImpl;
using internal::OperationKind;
using internal::OperationTime;
using internal::OwnerLock;
using internal::Reclaimed;
using internal::Shard;
using internal::unlock_shard;

namespace {

Status no_memory() { return Status(StatusCode::kNoMemory); }

// The key's entry if it has not expired, or nullptr. Apart, with nothing of the caller's that would
// have to be in memory.
[[gnu::noinline]] Entry* find_live(NamespaceImpl& self, const Shard& shard, std::string_view key,
                                   uint64_t hash) RKVS_REQUIRES_SHARED(shard.mutex) {
  OperationTime time(self.time());
  return shard.find_live({key, hash}, time);
}

// read() in every case.
template <typename Visit>
[[gnu::noinline]] auto read_carefully(NamespaceImpl& self, std::string_view key, Visit visit)
    -> decltype(visit(static_cast<Entry*>(nullptr))) {
  const HistogramTimer timer(self.histogram(OperationKind::kRead));
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  const OwnerLock<Access::kRead> lock(self.shards(), hashed, deadline);
  if (!lock.held()) return self.error(lock.code());
  Shard& shard = lock.shard();
  shard.mutex.assert_held_shared();
  Entry* entry = find_live(self, shard, key, hashed.hash);
  self.count_read(shard, entry != nullptr);
  return visit(entry);
}

// Calls `visit(entry)` with the key's entry, or nullptr, and its shard locked; returns what it
// returns, or the status of a lock that could not be had.
//
// What nearly every read needs is here, in few instructions: while one waits for memory, the
// processor goes on with the next ones as far as it can see, and so several reads wait together.
template <typename Visit>
RKVS_NO_THREAD_SAFETY_ANALYSIS auto read(NamespaceImpl& self, std::string_view key, Visit visit)
    -> decltype(visit(static_cast<Entry*>(nullptr))) {
  uint32_t slot;
  if (self.metrics() != nullptr || !has_own_thread_slot(slot)) [[unlikely]]
    return read_carefully(self, key, visit);
  const HashedKey hashed = self.shards().hashed(key);
  Shard* shard;
  if (!OwnerLock<Access::kRead>::lock_at_once(self.shards(), hashed, shard)) [[unlikely]]
    return read_carefully(self, key, visit);
  Entry* entry;
  if (!shard->find_at_once(hashed, entry)) [[unlikely]]
    entry = find_live(self, *shard, key, hashed.hash);
  self.reads().count(slot, entry != nullptr);
  auto result = visit(entry);
  unlock_shard<Access::kRead>(*shard);
  return result;
}

// The way of most removals; see read(). False: nothing is done, and the long way is to be gone.
// Else the entry, with its reference, or nullptr.
bool remove_plain(NamespaceImpl& self, std::string_view key,
                  Entry*& entry) RKVS_NO_THREAD_SAFETY_ANALYSIS {
  if (self.metrics() != nullptr || is_called_back()) [[unlikely]]
    return false;
  const HashedKey hashed = self.shards().hashed(key);
  Shard* shard;
  if (!OwnerLock<Access::kWrite>::lock_at_once(self.shards(), hashed, shard)) [[unlikely]]
    return false;
  if (shard->next_expiry() != ExpiryQueue::kNever || shard->is_being_saved() ||
      self.usage().counts_bytes() || shard->size() == 1) [[unlikely]] {
    unlock_shard<Access::kWrite>(*shard);
    return false;
  }
  Entry** slot;
  if (!shard->find_slot_at_once(hashed, slot)) [[unlikely]]
    slot = shard->find_slot_carefully(key, hashed.hash);
  entry = nullptr;
  if (slot != nullptr) [[likely]] {
    entry = shard->remove(hashed.hash, slot);
    self.usage().release(1);
  }
  unlock_shard<Access::kWrite>(*shard);
  // A resize that inserts began ends by deletions as well.
  if (self.resizer().wants_help(0)) [[unlikely]]
    self.resizer().help();
  return true;
}

// Removes the key, if it has this version where one is given.
[[gnu::noinline]] Result<Value> remove_carefully(NamespaceImpl& self, std::string_view key,
                                                 const uint64_t* version) {
  const HistogramTimer timer(self.histogram(OperationKind::kWrite));
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  OperationTime time(self.time());
  Reclaimed reclaimed;
  OwnerLock<Access::kWrite> lock(self.shards(), hashed, deadline);
  if (!lock.held()) return self.error(lock.code());
  Shard& shard = lock.shard();
  shard.mutex.assert_held();
  if (!reclaimed.before_write(self.usage(), shard, hashed, time)) return no_memory();
  ByteCharge charge(self.usage(), shard);
  if (shard.is_being_saved() || version != nullptr) {
    // For a key that is not there nothing has to be prepared.
    const Entry* present = shard.find(hashed);
    if (present == nullptr) return StatusCode::kNotFound;
    if (version != nullptr && present->version() != *version) return StatusCode::kVersionMismatch;
    if (!shard.prepare_write(1)) return no_memory();
  }
  Entry* entry = shard.remove(hashed);
  if (entry == nullptr) return StatusCode::kNotFound;
  self.usage().release(1);
  shard.drop_emptied_table();
  charge.settle();
  lock.unlock();
  // A resize that inserts began ends by deletions as well.
  if (self.resizer().wants_help(0)) self.resizer().help();
  return Entry::adopt(entry);
}

}  // namespace

const std::string& Namespace::name() const noexcept { return impl_->name(); }

RKVS_SCALARS_ONLY Result<Value> Namespace::get(std::string_view key) const {
  return read(*impl_, key, [](Entry* entry) -> Result<Value> {
    if (entry == nullptr) return StatusCode::kNotFound;
    return entry->share();
  });
}

Result<VersionedValue> Namespace::get_with_version(std::string_view key) const {
  return read(*impl_, key, [](Entry* entry) -> Result<VersionedValue> {
    if (entry == nullptr) return StatusCode::kNotFound;
    return VersionedValue{entry->share(), entry->version()};
  });
}

RKVS_SCALARS_ONLY Result<bool> Namespace::exists(std::string_view key) const {
  return read(*impl_, key, [](Entry* entry) -> Result<bool> { return entry != nullptr; });
}

RKVS_SCALARS_ONLY Result<Value> Namespace::consume(std::string_view key) {
  Entry* entry;
  if (!remove_plain(*impl_, key, entry)) [[unlikely]]
    return remove_carefully(*impl_, key, nullptr);
  if (entry == nullptr) return StatusCode::kNotFound;
  return Entry::adopt(entry);
}

Status Namespace::compare_and_delete(std::string_view key, uint64_t expected_version) {
  return remove_carefully(*impl_, key, &expected_version).status();
}

RKVS_SCALARS_ONLY Result<bool> Namespace::delete_key(std::string_view key) {
  Entry* entry;
  if (remove_plain(*impl_, key, entry)) [[likely]] {
    if (entry != nullptr) entry->release();
    return entry != nullptr;
  }
  const Result<Value> old = remove_carefully(*impl_, key, nullptr);
  if (old.ok()) return true;
  if (old.code() == StatusCode::kNotFound) return false;
  return old.status();
}

NamespaceConfig Namespace::get_config() const { return impl_->get_config(); }
Status Namespace::set_max_keys(uint64_t max_keys) { return impl_->set_max_keys(max_keys); }
Status Namespace::set_max_value_size(uint64_t max_value_size) {
  return impl_->set_max_value_size(max_value_size);
}
Status Namespace::set_max_bytes(uint64_t max_bytes) { return impl_->set_max_bytes(max_bytes); }
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

Result<std::vector<ShardStats>> Namespace::shard_stats() const { return impl_->shard_stats(); }

Result<std::vector<uint64_t>> Namespace::shard_key_counts() const try {
  NamespaceImpl& self = *impl_;
  std::vector<uint64_t> counts;
  counts.reserve(kMaxShardCount);
  Deadline deadline = self.deadline();
  OperationTime time(self.time());
  self.reclaim_expired(time, deadline);
  const AllLock<Access::kRead> all(self.shards(), deadline);
  if (!all.held()) return self.error(all.code());
  const uint32_t count = self.shards().routing().shard_count();
  time.reset();
  for (uint32_t i = 0; i < all.count() && i < count; ++i) {
    const Shard& shard = self.shards()[i];
    shard.mutex.assert_held_shared();
    counts.push_back(self.has_expiries() ? shard.live_usage(time.now()).keys : shard.size());
  }
  return counts;
} catch (const std::bad_alloc&) {
  return no_memory();
}

}  // namespace rkvs
