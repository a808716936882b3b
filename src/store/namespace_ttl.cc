// Expiries of a namespace's entries.
#include <rkvs/namespace.h>

#include <algorithm>

#include "store/byte_charge.h"
#include "store/namespace_impl.h"
#include "store/namespace_write.h"
#include "store/reclaimed.h"

namespace rkvs {

using internal::Access;
using internal::ByteCharge;
using internal::Deadline;
using internal::Entry;
using internal::EntryRef;
using internal::HashedKey;
using internal::NamespaceImpl;
using internal::OperationTime;
using internal::OwnerLock;
using internal::Reclaimed;
using internal::Shard;

namespace {

// Gives the key's entry the expiry `at`, 0 for none; returns the one that it had.
Result<int64_t> change_expiry(NamespaceImpl& self, std::string_view key, int64_t at) {
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  OperationTime time(self.time());
  Reclaimed reclaimed;
  EntryRef old;
  const OwnerLock<Access::kWrite> lock(self.shards(), hashed, deadline);
  if (!lock.held()) return self.error(lock.code());
  Shard& shard = lock.shard();
  shard.mutex.assert_held();
  if (!reclaimed.before_write(self.usage(), shard, hashed, time)) return StatusCode::kNoMemory;
  ByteCharge charge(self.usage(), shard);
  Entry** slot = shard.find_slot(hashed);
  if (slot == nullptr) return StatusCode::kNotFound;
  const int64_t before = (*slot)->expires_at();
  if (before == at) return before;
  if (at != 0) {
    if (!charge.reserve(shard.expiries_growth(1))) return self.error(StatusCode::kMemoryLimit);
    if (!shard.prepare_expiries(1)) return StatusCode::kNoMemory;
  }
  if (shard.change_expiry_in_place(hashed.hash, slot, at)) return before;
  // Somebody holds the entry, or it has no room for an expiry: a copy takes its place.
  EntryRef copy(Entry::create(key, (*slot)->value(), at));
  if (!copy || !shard.complete_images(1)) return StatusCode::kNoMemory;
  if (copy->memory() > (*slot)->memory() && !charge.reserve(copy->memory() - (*slot)->memory())) {
    return self.error(StatusCode::kMemoryLimit);
  }
  copy->set_version((*slot)->version());
  old = EntryRef(shard.replace_as_is(hashed.hash, slot, copy.take()));
  return before;
}

}  // namespace

Result<std::optional<std::chrono::milliseconds>> Namespace::ttl(std::string_view key) const {
  NamespaceImpl& self = *impl_;
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  OperationTime time(self.time());
  const OwnerLock<Access::kRead> lock(self.shards(), hashed, deadline);
  if (!lock.held()) return self.error(lock.code());
  const Shard& shard = lock.shard();
  shard.mutex.assert_held_shared();
  const Entry* entry = shard.find_live(hashed, time);
  if (entry == nullptr) return StatusCode::kNotFound;
  const int64_t at = entry->expires_at();
  if (at == 0) return std::optional<std::chrono::milliseconds>();
  return std::optional(std::chrono::milliseconds(std::max<int64_t>(at - time.now(), 1)));
}

Status Namespace::touch(std::string_view key, const WriteOptions& options) {
  NamespaceImpl& self = *impl_;
  const auto expiry = internal::expiry_change(self, options);
  if (!expiry.ok()) return expiry.status();
  if (expiry->kind != internal::ExpiryChange::Kind::kSet) {
    return internal::make_error(StatusCode::kInvalidArgument,
                                "touch needs expire_after or expire_at");
  }
  self.note_expiries();
  return change_expiry(self, key, expiry->at).status();
}

Result<bool> Namespace::persist(std::string_view key) {
  const auto before = change_expiry(*impl_, key, 0);
  if (!before.ok()) return before.status();
  return *before != 0;
}

}  // namespace rkvs
