// Single-key operations, limits and figures of a namespace.
#include <rkvs/namespace.h>

#include <utility>

#include "store/byte_charge.h"
#include "store/namespace_impl.h"
#include "store/reclaimed.h"

namespace rkvs {

using internal::Access;
using internal::AllLock;
using internal::ByteCharge;
using internal::Deadline;
using internal::Entry;
using internal::HashedKey;
using internal::HistogramTimer;
using internal::NamespaceImpl;
using internal::OperationKind;
using internal::OperationTime;
using internal::OwnerLock;
using internal::Reclaimed;
using internal::Shard;
using internal::TableMemory;

namespace {

Status no_memory() { return Status(StatusCode::kNoMemory); }

// The key's entry if it has not expired, or nullptr.
[[gnu::always_inline]] inline Entry* find_live(NamespaceImpl& self, const Shard& shard,
                                               const HashedKey& key)
    RKVS_REQUIRES_SHARED(shard.mutex) {
  Entry* entry = shard.find(key);
  if (entry != nullptr && entry->has_expiry()) [[unlikely]] {
    OperationTime time(self.time());
    if (!entry->is_live(time)) return nullptr;
  }
  return entry;
}

// Apart, so that whoever returns it has no room on its stack for it.
template <typename R>
[[gnu::noinline]] R refused(const NamespaceImpl& self, StatusCode code) {
  return self.error(code);
}

// read() where nothing is measured. Few instructions: while one read waits for memory, the
// processor goes on with the next ones as far as it can see, and so several reads wait together.
template <typename Visit>
auto read_unmeasured(NamespaceImpl& self, std::string_view key, Visit visit)
    -> decltype(visit(static_cast<Entry*>(nullptr))) {
  const HashedKey hashed = self.shards().hashed(key);
  const OwnerLock<Access::kRead> lock(self.shards(), hashed, [&self] { return self.deadline(); });
  if (!lock.held()) [[unlikely]]
    return refused<decltype(visit(static_cast<Entry*>(nullptr)))>(self, lock.code());
  Shard& shard = lock.shard();
  shard.mutex.assert_held_shared();
  Entry* entry = find_live(self, shard, hashed);
  self.count_read<false>(shard, entry != nullptr);
  return visit(entry);
}

template <typename Visit>
[[gnu::noinline]] auto read_measured(NamespaceImpl& self, std::string_view key, Visit visit)
    -> decltype(visit(static_cast<Entry*>(nullptr))) {
  const HistogramTimer timer(self.histogram(OperationKind::kRead));
  const HashedKey hashed = self.shards().hashed(key);
  const OwnerLock<Access::kRead> lock(self.shards(), hashed, [&self] { return self.deadline(); });
  if (!lock.held()) return self.error(lock.code());
  Shard& shard = lock.shard();
  shard.mutex.assert_held_shared();
  Entry* entry = find_live(self, shard, hashed);
  self.count_read<true>(shard, entry != nullptr);
  return visit(entry);
}

// Calls `visit(entry)` with the key's entry, or nullptr, and its shard locked; returns what it
// returns, or the status of a lock that could not be had.
template <typename Visit>
auto read(NamespaceImpl& self, std::string_view key, Visit visit)
    -> decltype(visit(static_cast<Entry*>(nullptr))) {
  if (self.metrics() != nullptr) [[unlikely]]
    return read_measured(self, key, visit);
  return read_unmeasured(self, key, visit);
}

// Removes the key, if it has this version where one is given.
Result<Value> remove(NamespaceImpl& self, std::string_view key, const uint64_t* version) {
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
  const bool emptied = shard.size() == 0;
  charge.settle();
  lock.unlock();
  if (emptied) TableMemory::free_dropped();
  // A resize that inserts began ends by deletions as well.
  if (self.resizer().wants_help(0)) self.resizer().help();
  return Entry::adopt(entry);
}

}  // namespace

const std::string& Namespace::name() const noexcept { return impl_->name(); }

Result<Value> Namespace::get(std::string_view key) const {
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

Result<bool> Namespace::exists(std::string_view key) const {
  return read(*impl_, key, [](Entry* entry) -> Result<bool> { return entry != nullptr; });
}

Result<Value> Namespace::consume(std::string_view key) { return remove(*impl_, key, nullptr); }

Status Namespace::compare_and_delete(std::string_view key, uint64_t expected_version) {
  return remove(*impl_, key, &expected_version).status();
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
