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

Status no_memory() { return Status(StatusCode::kNoMemory); }

// Whether an absent key makes the write an outcome before its size can be an error: a key may be
// there that is longer than max_key_size has become.
bool needs_key(const WriteRequest& request) { return request.when == WriteRequest::When::kPresent; }

Status check_sizes(const NamespaceImpl& self, const WriteRequest& request) {
  if (!needs_key(request)) return self.check_sizes(request.key, request.value);
  if (self.check_value(request.value) != StatusCode::kOk) return self.value_error(request.value);
  return Status();
}

enum class Step { kDone, kLookAgain };

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

  Status run() {
    if (!fresh_.has_memory()) return no_memory();
    for (int tries = 0;; ++tries) {
      Status status;
      EntryRef old;
      if (attempt(status, old) == Step::kDone) {
        const bool full =
            status.code() == StatusCode::kTooManyKeys || status.code() == StatusCode::kMemoryLimit;
        if (!full || !self_.reclaim_for_room(time_, status.code())) return status;
        if (is_too_late(tries, deadline_)) return self_.error(StatusCode::kTimeout);
        continue;
      }
      if (spare_ != 0 && !TableMemory::add_spare(spare_)) return no_memory();
    }
  }

 private:
  // One try with the shard locked. `old` is freed after it is unlocked.
  Step attempt(Status& status, EntryRef& old) {
    Reclaimed reclaimed;
    spare_ = 0;
    size_t size = 0;
    time_.reset();
    {
      OwnerLock<Access::kWrite> lock(self_.shards(), hashed_, deadline_);
      if (!lock.held()) {
        status = self_.error(lock.code());
        return Step::kDone;
      }
      Shard& shard = lock.shard();
      shard.mutex.assert_held();
      if (status = check_sizes(self_, request_); !status.ok()) return Step::kDone;
      ByteCharge charge(self_.usage(), shard);
      if (!reclaimed.before_write(self_.usage(), shard, hashed_, time_)) {
        status = no_memory();
        return Step::kDone;
      }
      Entry** slot = shard.find_slot(hashed_);
      if (const StatusCode code = refusal(slot); code != StatusCode::kOk) {
        status = code;
        return Step::kDone;
      }
      const int64_t at = request_.expiry.applied_to(slot == nullptr ? 0 : (*slot)->expires_at());
      if (at != 0 && !shard.prepare_expiries(1)) {
        status = no_memory();
        return Step::kDone;
      }
      if (slot != nullptr) {
        status = replace(shard, charge, slot, at, old);
        return Step::kDone;
      }
      if (insert(shard, charge, at, status) == Step::kLookAgain) return Step::kLookAgain;
      if (!status.ok()) return Step::kDone;
      size = shard.size();
    }
    TableMemory::free_dropped();
    if (self_.resizer().wants_help(size)) self_.resizer().help(size);
    return Step::kDone;
  }

  StatusCode refusal(Entry** slot) const {
    using When = WriteRequest::When;
    if (slot == nullptr) {
      return request_.when == When::kPresent ? StatusCode::kNotFound : StatusCode::kOk;
    }
    if (request_.when == When::kAbsent) return StatusCode::kExists;
    if (request_.version.has_value() && (*slot)->version() != *request_.version) {
      return StatusCode::kVersionMismatch;
    }
    return StatusCode::kOk;
  }

  Status replace(Shard& shard, ByteCharge& charge, Entry** slot, int64_t at, EntryRef& old)
      RKVS_REQUIRES(shard.mutex) {
    if (!request_.want_old && request_.value.size() <= kLargestInPlace &&
        shard.overwrite_in_place(hashed_.hash, slot, request_.value, at)) {
      outcome_.version = (*slot)->version();
      return Status();
    }
    Entry* entry = fresh_.make(at);
    if (entry == nullptr || !shard.prepare_write(1)) return no_memory();
    const size_t before = (*slot)->memory();
    if (entry->memory() > before && !charge.reserve(entry->memory() - before)) {
      return self_.error(StatusCode::kMemoryLimit);
    }
    fresh_.take();
    old = EntryRef(shard.replace(hashed_.hash, slot, entry));
    outcome_.version = entry->version();
    if (request_.want_old) outcome_.old = Entry::adopt(old.take());
    return Status();
  }

  // Stores an absent key. The shard may have to be unlocked to get memory for its table; then
  // nothing is done, and the caller looks again.
  Step insert(Shard& shard, ByteCharge& charge, int64_t at, Status& status)
      RKVS_REQUIRES(shard.mutex) {
    Entry* entry = fresh_.make(at);
    if (entry == nullptr) {
      status = no_memory();
      return Step::kDone;
    }
    spare_ = shard.spare_needed(1);
    if (spare_ != 0 && !TableMemory::has_spare(spare_)) return Step::kLookAgain;
    const size_t table = spare_ == 0 ? 0 : TableMemory::block_size(spare_);
    if (!charge.reserve(entry->memory() + table)) {
      status = self_.error(StatusCode::kMemoryLimit);
      return Step::kDone;
    }
    if (spare_ != 0) shard.make_room(1);
    // Whatever can fail comes before the key is reserved: a refusal for lack of room must be true.
    if (!shard.prepare_write(0) ||
        (shard.candidate(hashed_.hash) != nullptr && !shard.prepare_collisions(1))) {
      status = no_memory();
      return Step::kDone;
    }
    if (!self_.usage().reserve(1)) {
      status = self_.error(StatusCode::kTooManyKeys);
      return Step::kDone;
    }
    fresh_.take();
    static_cast<void>(shard.insert(hashed_.hash, entry));
    outcome_.version = entry->version();
    return Step::kDone;
  }

  NamespaceImpl& self_;
  const WriteRequest& request_;
  WriteOutcome& outcome_;
  const HashedKey hashed_;
  Deadline deadline_;
  OperationTime time_;
  FreshEntry fresh_;
  size_t spare_ = 0;  // the block that the shard's table needs to grow
};

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
  if (Status status = check_sizes(self, request); !status.ok()) {
    self.count_refusal(status.code(), request.key);
    return status;
  }
  if (request.key.size() > kLargestMaxKeySize) {
    return self.error(self.shards().routing().is_closed() ? self.shards().closed_code()
                                                          : StatusCode::kNotFound);
  }
  if (request.expiry.kind == ExpiryChange::Kind::kSet) self.note_expiries();
  Status status = Write(self, request, outcome).run();
  if (!status.ok()) self.count_refusal(status.code(), request.key);
  return status;
}

}  // namespace rkvs::internal

namespace rkvs {

using internal::expiry_change;
using internal::ExpiryChange;
using internal::write;
using internal::WriteOutcome;
using internal::WriteRequest;
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
