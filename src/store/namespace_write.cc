#include "store/namespace_write.h"

#include <rkvs/namespace.h>

#include <algorithm>
#include <utility>

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
  Write(NamespaceImpl& self, const WriteRequest& request, WriteOutcome& outcome)
      : self_(self),
        request_(request),
        outcome_(outcome),
        hashed_(self.shards().hashed(request.key)),
        deadline_(self.deadline()),
        time_(self.time()),
        fresh_(request.key, request.value, request.expiry.kind == ExpiryChange::Kind::kSet) {}

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
    const int64_t at = request_.expiry.applied_to(slot == nullptr ? 0 : (*slot)->expires_at());
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
    if (grew_) TableMemory::free_dropped();
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
    if (spare != 0) shard.make_room(1);
    grew_ = spare != 0;
    // Whatever can fail comes before the key is reserved: a refusal for lack of room must be true.
    if (!shard.prepare_write(0) ||
        (shard.candidate(hashed_.hash) != nullptr && !shard.prepare_collisions(1))) {
      return StatusCode::kNoMemory;
    }
    if (!self_.usage().reserve(1)) return StatusCode::kTooManyKeys;
    fresh_.take();
    static_cast<void>(shard.insert(hashed_.hash, entry));
    outcome_.version = entry->version();
    return StatusCode::kOk;
  }

  NamespaceImpl& self_;
  const WriteRequest& request_;
  WriteOutcome& outcome_;
  const HashedKey hashed_;
  Deadline deadline_;
  OperationTime time_;
  FreshEntry fresh_;
  size_t spare_ = 0;  // the block that the shard's table needs to grow
  bool grew_ = false;
};

// The way of most overwrites: a value of the same size that nobody holds needs no new entry, and
// so no memory. NotApplied, with nothing done, for everything else.
StatusCode overwrite(NamespaceImpl& self, std::string_view key, std::string_view value) {
  constexpr StatusCode kElse = StatusCode::kNotApplied;
  if (value.size() > kLargestInPlace || self.check_key(key) != StatusCode::kOk ||
      self.check_value(value) != StatusCode::kOk) {
    return kElse;
  }
  const HashedKey hashed = self.shards().hashed(key);
  Deadline deadline = self.deadline();
  const OwnerLock<Access::kWrite> lock(self.shards(), hashed, deadline);
  // What has waited for the whole of lock_timeout must not begin again.
  if (!lock.held()) return lock.code();
  Shard& shard = lock.shard();
  shard.mutex.assert_held();
  // Where entries expire, this one may have; and a limit may have shrunk before the lock was had.
  if (shard.next_expiry() != ExpiryQueue::kNever || self.check_key(key) != StatusCode::kOk ||
      self.check_value(value) != StatusCode::kOk) {
    return kElse;
  }
  Entry** slot = shard.find_slot(hashed);
  const bool done = slot != nullptr && shard.overwrite_in_place(hashed.hash, slot, value, 0);
  return done ? StatusCode::kOk : kElse;
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

Result<ExpiryChange> expiry_change(const NamespaceImpl& self, const WriteOptions& options,
                                   ExpiryChange::Kind otherwise) {
  const int given = (options.expire_after.has_value() ? 1 : 0) +
                    (options.expire_at.has_value() ? 1 : 0) + (options.keep_ttl ? 1 : 0);
  if (given > 1) {
    return make_error(StatusCode::kInvalidArgument,
                      "only one of expire_after, expire_at and keep_ttl may be given");
  }
  ExpiryChange change{otherwise};
  if (options.keep_ttl) change.kind = ExpiryChange::Kind::kKeep;
  if (given == 0 || options.keep_ttl) return change;
  const int64_t now = self.time().steady_ms();
  int64_t left = 0;
  if (options.expire_after.has_value()) {
    left = options.expire_after->count();
    if (left < 1) {
      return make_error(StatusCode::kInvalidArgument, "expire_after is ", left,
                        " ms; the least is 1 ms");
    }
  } else {
    using std::chrono::milliseconds;
    const auto at = std::chrono::floor<milliseconds>(options.expire_at->time_since_epoch());
    left = at.count() - self.time().unix_ms();
  }
  change.kind = ExpiryChange::Kind::kSet;
  change.at = left > kLatestExpiry - now ? kLatestExpiry : std::max<int64_t>(now + left, 1);
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
  if (request.expiry.kind == ExpiryChange::Kind::kSet) self.note_expiries();
  const StatusCode code = Write(self, request, outcome).run();
  if (code == StatusCode::kOk) [[likely]]
    return Status();
  return refused(self, code, request);
}

}  // namespace rkvs::internal

namespace rkvs {

using internal::expiry_change;
using internal::ExpiryChange;
using internal::write;
using internal::WriteOutcome;
using When = internal::WriteRequest::When;

Result<std::optional<Value>> Namespace::set(std::string_view key, std::string_view value) {
  WriteOutcome outcome;
  const Status status = write(*impl_, {.key = key, .value = value, .want_old = true}, outcome);
  if (!status.ok()) return status;
  return std::move(outcome.old);
}

Result<std::optional<Value>> Namespace::set(std::string_view key, std::string_view value,
                                            const WriteOptions& options) {
  const auto expiry = expiry_change(*impl_, options);
  if (!expiry.ok()) return expiry.status();
  WriteOutcome outcome;
  const Status status =
      write(*impl_, {.key = key, .value = value, .expiry = *expiry, .want_old = true}, outcome);
  if (!status.ok()) return status;
  return std::move(outcome.old);
}

Status Namespace::put(std::string_view key, std::string_view value) {
  if (impl_->metrics() == nullptr) {
    const StatusCode code = internal::overwrite(*impl_, key, value);
    if (code == StatusCode::kOk) return Status();
    if (code != StatusCode::kNotApplied) return impl_->error(code);
  }
  WriteOutcome outcome;
  return write(*impl_, {.key = key, .value = value}, outcome);
}

Status Namespace::put(std::string_view key, std::string_view value, const WriteOptions& options) {
  const auto expiry = expiry_change(*impl_, options);
  if (!expiry.ok()) return expiry.status();
  WriteOutcome outcome;
  return write(*impl_, {.key = key, .value = value, .expiry = *expiry}, outcome);
}

Result<Value> Namespace::update(std::string_view key, std::string_view value,
                                const WriteOptions& options) {
  const auto expiry = expiry_change(*impl_, options);
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
  const auto expiry = expiry_change(*impl_, options);
  if (!expiry.ok()) return expiry.status();
  WriteOutcome outcome;
  const Status status = write(
      *impl_, {.key = key, .value = value, .when = When::kAbsent, .expiry = *expiry}, outcome);
  if (!status.ok()) return status;
  return outcome.version;
}

Result<uint64_t> Namespace::compare_and_set(std::string_view key, uint64_t expected_version,
                                            std::string_view value, const WriteOptions& options) {
  const auto expiry = expiry_change(*impl_, options, ExpiryChange::Kind::kKeep);
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
