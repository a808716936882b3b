#include "store/namespace_write.h"

#include <rkvs/namespace.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/hot_path.h"
#include "store/byte_charge.h"
#include "store/fresh_entry.h"
#include "store/reclaimed.h"

namespace rkvs::internal {
namespace {

// Values up to this size are copied under the shard's lock where that saves a block; larger ones
// would hold it for too long.
constexpr size_t kLargestInPlace = 4096;

constexpr int64_t kLatestExpiry = ExpiryQueue::kNever - 1;

// Whether an absent key makes the write an outcome before its size can be an error: a key may be
// there that is longer than max_key_size has become.
bool needs_key(const WriteRequest& request) { return request.when == WriteRequest::When::kPresent; }

StatusCode check_sizes(const NamespaceImpl& self, const WriteRequest& request) {
  if (!needs_key(request)) {
    const StatusCode code = self.check_key(request.key);
    if (code != StatusCode::kOk) return code;
  }
  return self.check_value(request.value);
}

// What goes through here has only codes: a Status with a message is made at the end, for errors.
class Write {
 public:
  Write(NamespaceImpl& self, const WriteRequest& request, Deadline& deadline, WriteOutcome& outcome)
      : self_(self),
        request_(request),
        outcome_(outcome),
        hashed_(self.shards().hashed(request.key)),
        deadline_(deadline),
        time_(self.time()),
        fresh_(request.key, request.value, request.expiry.change.sets()) {}

  StatusCode run() {
    if (!fresh_.has_memory()) return StatusCode::kNoMemory;
    for (int tries = 0;; ++tries) {
      spare_ = 0;
      const StatusCode code = attempt();
      if (spare_ != 0) {
        if (!TableMemory::add_spare(spare_)) return StatusCode::kNoMemory;
        continue;
      }
      if (code != StatusCode::kTooManyKeys && code != StatusCode::kMemoryLimit) [[likely]]
        return code;
      if (!self_.reclaim_for_room(time_, deadline_, code)) return code;
      if (is_too_late(tries, deadline_)) return StatusCode::kTimeout;
    }
  }

 private:
  // One try with the shard locked. Where the shard has to be unlocked to get memory for its table,
  // spare_ says how much, nothing is done, and the caller comes again.
  StatusCode attempt() {
    Reclaimed reclaimed;
    EntryRef old;  // freed when the shard is unlocked
    time_.reset();
    OwnerLock<Access::kWrite> lock(self_.shards(), hashed_, deadline_);
    if (!lock.held()) return lock.code();
    Shard& shard = lock.shard();
    shard.mutex.assert_held();
    if (const StatusCode code = check_sizes(self_, request_); code != StatusCode::kOk) return code;
    if (!reclaimed.before_write(self_.usage(), shard, hashed_, time_)) return StatusCode::kNoMemory;
    ByteCharge charge(self_.usage(), shard);
    Entry** slot = shard.find_slot(hashed_);
    if (const StatusCode code = refusal(slot); code != StatusCode::kOk) return code;
    const int64_t at =
        request_.expiry.applied_to(slot == nullptr ? 0 : (*slot)->expires_at(), time_);
    if (at != 0) {
      if (!charge.reserve(shard.expiries_growth(1))) return StatusCode::kMemoryLimit;
      if (!shard.prepare_expiries(1)) return StatusCode::kNoMemory;
    }
    if (slot != nullptr) return replace(shard, charge, slot, at, old);
    const StatusCode code = insert(shard, charge, at);
    if (code != StatusCode::kOk || spare_ != 0) return code;
    const size_t size = shard.size();
    charge.settle();
    lock.unlock();
    if (self_.resizer().wants_help(size)) self_.resizer().help(size);
    return StatusCode::kOk;
  }

  StatusCode refusal(Entry** slot) const {
    using When = WriteRequest::When;
    if (request_.when == When::kAlways) return StatusCode::kOk;
    if (request_.when == When::kAbsent) {
      return slot == nullptr ? StatusCode::kOk : StatusCode::kExists;
    }
    if (slot == nullptr) return StatusCode::kNotFound;
    if (request_.version.has_value() && (*slot)->version() != *request_.version) {
      return StatusCode::kVersionMismatch;
    }
    return StatusCode::kOk;
  }

  StatusCode replace(Shard& shard, ByteCharge<Shard>& charge, Entry** slot, int64_t at,
                     EntryRef& old) RKVS_REQUIRES(shard.mutex) {
    if (!request_.want_old && request_.value.size() <= kLargestInPlace &&
        shard.overwrite_in_place(hashed_.hash, slot, request_.value, at)) {
      outcome_.version = (*slot)->version();
      return StatusCode::kOk;
    }
    Entry* entry = fresh_.make(at);
    if (entry == nullptr || !shard.prepare_write(1)) return StatusCode::kNoMemory;
    const size_t before = (*slot)->memory();
    if (entry->memory() > before && !charge.reserve(entry->memory() - before)) {
      return StatusCode::kMemoryLimit;
    }
    fresh_.take();
    Entry* replaced = shard.replace(hashed_.hash, slot, entry);
    outcome_.version = entry->version();
    if (request_.want_old) {
      outcome_.old = Entry::adopt(replaced);
    } else {
      old = EntryRef(replaced);
    }
    return StatusCode::kOk;
  }

  // Stores an absent key.
  StatusCode insert(Shard& shard, ByteCharge<Shard>& charge, int64_t at)
      RKVS_REQUIRES(shard.mutex) {
    Entry* entry = fresh_.make(at);
    if (entry == nullptr) return StatusCode::kNoMemory;
    const size_t spare = shard.spare_needed(1);
    if (spare != 0 && !TableMemory::has_spare(spare)) {
      spare_ = spare;
      return StatusCode::kOk;
    }
    if (!charge.reserve(entry->memory() + (spare == 0 ? 0 : TableMemory::block_size(spare)))) {
      return StatusCode::kMemoryLimit;
    }
    // Whatever can fail comes before the key is reserved: a refusal for lack of room must be true.
    if (!shard.prepare_write(0)) return StatusCode::kNoMemory;
    if (!self_.usage().reserve(1)) return StatusCode::kTooManyKeys;
    // With its block at hand. Not before: a key that is refused is to leave no larger table.
    if (spare != 0) shard.make_room(1);
    fresh_.take();
    shard.insert(hashed_.hash, entry);
    outcome_.version = entry->version();
    return StatusCode::kOk;
  }

  NamespaceImpl& self_;
  const WriteRequest& request_;
  WriteOutcome& outcome_;
  const HashedKey hashed_;
  Deadline& deadline_;
  OperationTime time_;
  FreshEntry fresh_;
  size_t spare_ = 0;  // the block that the shard's table needs to grow
};

// The way of most writes: a value without an expiry, into a shard where nothing expires, with room
// and memory at hand. One lock decides between all that can happen. Everything else is NotApplied,
// with nothing done, and goes the long way. In few instructions; see read() in namespace.cc.
enum class Plain { kPut, kSet, kUpdate };

// Asked with the shard locked: limits shrink while all shards are held.
template <Plain kind>
bool takes_plain(const NamespaceImpl& self, const Shard& shard, std::string_view key,
                 std::string_view value) {
  return shard.next_expiry() == ExpiryQueue::kNever &&
         (kind == Plain::kUpdate || self.check_key(key) == StatusCode::kOk) &&
         self.check_value(value) == StatusCode::kOk;
}

// Puts `fresh` into the shard, which is locked, or in the place of the slot's entry, and unlocks
// it.
template <Plain kind>
[[gnu::noinline]] StatusCode store_fresh(
    NamespaceImpl& self, Shard& shard, uint64_t hash, Entry** slot, EntryRef fresh,
    std::optional<Value>* old_value) RKVS_NO_THREAD_SAFETY_ANALYSIS {
  EntryRef gone;  // freed when the shard is unlocked
  size_t size = 0;
  {
    const HeldShard<Access::kWrite> held(shard);
    if (!fresh) return StatusCode::kNotApplied;
    if (slot == nullptr && kind == Plain::kUpdate) return StatusCode::kNotFound;
    ByteCharge charge(self.usage(), shard);
    if (charge.counts()) [[unlikely]] {
      const size_t before = slot == nullptr ? 0 : (*slot)->memory();
      const size_t after = fresh->memory();
      if (after > before && !charge.reserve(after - before)) return StatusCode::kNotApplied;
    }
    if (slot != nullptr) {
      if (!shard.prepare_write(1)) return StatusCode::kNotApplied;
      Entry* replaced = shard.replace(hash, slot, fresh.take());
      if (kind == Plain::kPut) {
        gone = EntryRef(replaced);
      } else {
        *old_value = Entry::adopt(replaced);
      }
    } else {
      if (shard.spare_needed(1) != 0 || !shard.prepare_write(0) || !self.usage().reserve(1)) {
        return StatusCode::kNotApplied;
      }
      shard.insert(hash, fresh.take());
      size = shard.size();
    }
  }
  if (size != 0 && self.resizer().wants_help(size)) self.resizer().help(size);
  return StatusCode::kOk;
}

StatusCode put_plain(NamespaceImpl& self, std::string_view key,
                     std::string_view value) RKVS_NO_THREAD_SAFETY_ANALYSIS {
  // What is too long for any namespace is not even hashed.
  if (key.size() > kLargestMaxKeySize || value.size() > kLargestInPlace ||
      self.metrics() != nullptr || is_called_back()) [[unlikely]] {
    return StatusCode::kNotApplied;
  }
  const HashedKey hashed = self.shards().hashed(key);
  Shard* shard;
  if (!OwnerLock<Access::kWrite>::lock_at_once(self.shards(), hashed, shard)) [[unlikely]]
    return StatusCode::kNotApplied;
  if (!takes_plain<Plain::kPut>(self, *shard, key, value)) [[unlikely]] {
    unlock_shard<Access::kWrite>(*shard);
    return StatusCode::kNotApplied;
  }
  Entry** slot;
  if (!shard->find_slot_at_once(hashed, slot)) [[unlikely]]
    slot = shard->find_slot_carefully(key, hashed.hash);
  // A value of the same size, which nobody holds, needs no memory.
  if (slot != nullptr && shard->overwrite_in_place(hashed.hash, slot, value, 0)) [[likely]] {
    unlock_shard<Access::kWrite>(*shard);
    return StatusCode::kOk;
  }
  void* block = Entry::block_at_hand(Entry::size_of(key.size(), value.size(), false));
  EntryRef fresh(block == nullptr ? nullptr : Entry::construct(block, key, value, false, 0));
  return store_fresh<Plain::kPut>(self, *shard, hashed.hash, slot, std::move(fresh), nullptr);
}

template <Plain kind>
StatusCode set_plain(NamespaceImpl& self, std::string_view key, std::string_view value,
                     std::optional<Value>* old_value) RKVS_NO_THREAD_SAFETY_ANALYSIS {
  if (key.size() > kLargestMaxKeySize || value.size() > kLargestInPlace ||
      self.metrics() != nullptr || is_called_back()) [[unlikely]] {
    return StatusCode::kNotApplied;
  }
  EntryRef fresh(Entry::create(key, value));
  if (!fresh) return StatusCode::kNotApplied;
  const HashedKey hashed = self.shards().hashed(key);
  Shard* shard;
  if (!OwnerLock<Access::kWrite>::lock_at_once(self.shards(), hashed, shard)) [[unlikely]]
    return StatusCode::kNotApplied;
  if (!takes_plain<kind>(self, *shard, key, value)) [[unlikely]] {
    unlock_shard<Access::kWrite>(*shard);
    return StatusCode::kNotApplied;
  }
  Entry** slot;
  if (!shard->find_slot_at_once(hashed, slot)) [[unlikely]]
    slot = shard->find_slot_carefully(key, hashed.hash);
  if (slot == nullptr || shard->is_being_saved() || self.usage().counts_bytes()) [[unlikely]] {
    return store_fresh<kind>(self, *shard, hashed.hash, slot, std::move(fresh), old_value);
  }
  Entry* replaced = shard->replace(hashed.hash, slot, fresh.take());
  unlock_shard<Access::kWrite>(*shard);
  *old_value = Entry::adopt(replaced);
  return StatusCode::kOk;
}

Status refused(const NamespaceImpl& self, StatusCode code, const WriteRequest& request) {
  self.count_refusal(code, request.key);
  switch (code) {
    case StatusCode::kKeyTooLarge: return self.key_error(request.key);
    case StatusCode::kValueTooLarge: return self.value_error(request.value);
    default: return self.error(code);
  }
}

}  // namespace

int64_t ExpiryRule::later(int64_t now, int64_t left) {
  int64_t at = 0;
  if (__builtin_add_overflow(now, left, &at)) at = left < 0 ? 1 : kLatestExpiry;
  return std::clamp<int64_t>(at, 1, kLatestExpiry);
}

Result<ExpiryRule> expiry_rule(const NamespaceImpl& self, const WriteOptions& options,
                               ExpiryChange::Kind otherwise) {
  const int given = (options.expire_after.has_value() ? 1 : 0) +
                    (options.expire_at.has_value() ? 1 : 0) + (options.keep_ttl ? 1 : 0);
  if (given > 1) {
    return make_error(StatusCode::kInvalidArgument,
                      "only one of expire_after, expire_at and keep_ttl may be given");
  }
  ExpiryRule rule{{otherwise}};
  if (options.keep_ttl) rule.change.kind = ExpiryChange::Kind::kKeep;
  if (given == 0 || options.keep_ttl) return rule;
  rule.change.kind = ExpiryChange::Kind::kSet;
  if (options.expire_after.has_value()) {
    rule.left = options.expire_after->count();
    if (rule.left < 1) {
      return make_error(StatusCode::kInvalidArgument, "expire_after is ", rule.left,
                        " ms; the least is 1 ms");
    }
    return rule;
  }
  using std::chrono::milliseconds;
  const auto at = std::chrono::floor<milliseconds>(options.expire_at->time_since_epoch());
  int64_t left = 0;
  if (__builtin_sub_overflow(at.count(), self.time().unix_ms(), &left)) {
    left = at.count() < 0 ? std::numeric_limits<int64_t>::min() : kLatestExpiry;
  }
  rule.change.at = ExpiryRule::later(self.time().steady_ms(), left);
  return rule;
}

Result<ExpiryChange> expiry_change(const NamespaceImpl& self, const WriteOptions& options,
                                   ExpiryChange::Kind otherwise) {
  const auto rule = expiry_rule(self, options, otherwise);
  if (!rule.ok()) return rule.status();
  ExpiryChange change = rule->change;
  if (rule->left != 0) change.at = ExpiryRule::later(self.time().steady_ms(), rule->left);
  return change;
}

Status write(NamespaceImpl& self, const WriteRequest& request, WriteOutcome& outcome) {
  const HistogramTimer timer(self.histogram(OperationKind::kWrite));
  if (const StatusCode code = check_sizes(self, request); code != StatusCode::kOk) {
    return refused(self, code, request);
  }
  if (request.key.size() > kLargestMaxKeySize) {
    return self.error(self.shards().routing().is_closed() ? self.shards().closed_code()
                                                          : StatusCode::kNotFound);
  }
  if (request.expiry.change.sets()) self.note_expiries();
  Deadline deadline = self.deadline();
  const StatusCode code = Write(self, request, deadline, outcome).run();
  if (code == StatusCode::kOk) [[likely]]
    return Status();
  return refused(self, code, request);
}

namespace {

// Whether a write with these options is one without any.
bool says_nothing(const WriteOptions& options) {
  return !options.expire_after && !options.expire_at && !options.keep_ttl;
}

// What the short way left undone.
[[gnu::noinline]] Status write_long(NamespaceImpl& self, std::string_view key,
                                    std::string_view value, Plain kind, StatusCode code,
                                    std::optional<Value>* old) {
  using When = WriteRequest::When;
  if (code != StatusCode::kNotApplied) return self.error(code);
  WriteOutcome outcome;
  Status status = write(self,
                        {.key = key,
                         .value = value,
                         .when = kind == Plain::kUpdate ? When::kPresent : When::kAlways,
                         .want_old = kind != Plain::kPut},
                        outcome);
  if (old != nullptr) *old = std::move(outcome.old);
  return status;
}

}  // namespace

}  // namespace rkvs::internal

namespace rkvs {

using internal::expiry_rule;
using internal::ExpiryChange;
using internal::Plain;
using internal::put_plain;
using internal::says_nothing;
using internal::set_plain;
using internal::write;
using internal::write_long;
using internal::WriteOutcome;
using When = internal::WriteRequest::When;

Result<std::optional<Value>> Namespace::set(std::string_view key, std::string_view value) {
  Result<std::optional<Value>> old{std::optional<Value>()};
  const StatusCode code = set_plain<Plain::kSet>(*impl_, key, value, &*old);
  if (code != StatusCode::kOk) [[unlikely]] {
    Status status = write_long(*impl_, key, value, Plain::kSet, code, &*old);
    if (!status.ok()) old = std::move(status);
  }
  return old;
}

Result<std::optional<Value>> Namespace::set(std::string_view key, std::string_view value,
                                            const WriteOptions& options) {
  if (says_nothing(options)) return set(key, value);
  const auto expiry = expiry_rule(*impl_, options);
  if (!expiry.ok()) return expiry.status();
  WriteOutcome outcome;
  const Status status =
      write(*impl_, {.key = key, .value = value, .expiry = *expiry, .want_old = true}, outcome);
  if (!status.ok()) return status;
  return std::move(outcome.old);
}

RKVS_SCALARS_ONLY Status Namespace::put(std::string_view key, std::string_view value) {
  const StatusCode code = put_plain(*impl_, key, value);
  if (code == StatusCode::kOk) [[likely]]
    return Status();
  return write_long(*impl_, key, value, Plain::kPut, code, nullptr);
}

Status Namespace::put(std::string_view key, std::string_view value, const WriteOptions& options) {
  if (says_nothing(options)) return put(key, value);
  const auto expiry = expiry_rule(*impl_, options);
  if (!expiry.ok()) return expiry.status();
  WriteOutcome outcome;
  return write(*impl_, {.key = key, .value = value, .expiry = *expiry}, outcome);
}

Result<Value> Namespace::update(std::string_view key, std::string_view value,
                                const WriteOptions& options) {
  if (says_nothing(options)) {
    std::optional<Value> old;
    const StatusCode code = set_plain<Plain::kUpdate>(*impl_, key, value, &old);
    if (code != StatusCode::kOk) {
      Status status = write_long(*impl_, key, value, Plain::kUpdate, code, &old);
      if (!status.ok()) return status;
    }
    return *std::move(old);
  }
  const auto expiry = expiry_rule(*impl_, options);
  if (!expiry.ok()) return expiry.status();
  WriteOutcome outcome;
  const Status status = write(
      *impl_,
      {.key = key, .value = value, .when = When::kPresent, .expiry = *expiry, .want_old = true},
      outcome);
  if (!status.ok()) return status;
  return *std::move(outcome.old);
}

Result<uint64_t> Namespace::add(std::string_view key, std::string_view value,
                                const WriteOptions& options) {
  const auto expiry = expiry_rule(*impl_, options);
  if (!expiry.ok()) return expiry.status();
  WriteOutcome outcome;
  const Status status = write(
      *impl_, {.key = key, .value = value, .when = When::kAbsent, .expiry = *expiry}, outcome);
  if (!status.ok()) return status;
  return outcome.version;
}

Result<uint64_t> Namespace::compare_and_set(std::string_view key, uint64_t expected_version,
                                            std::string_view value, const WriteOptions& options) {
  const auto expiry = expiry_rule(*impl_, options, ExpiryChange::Kind::kKeep);
  if (!expiry.ok()) return expiry.status();
  WriteOutcome outcome;
  const Status status = write(*impl_,
                              {.key = key,
                               .value = value,
                               .when = When::kPresent,
                               .version = expected_version,
                               .expiry = *expiry},
                              outcome);
  if (!status.ok()) return status;
  return outcome.version;
}

}  // namespace rkvs
