// Operations that read a value, change it, and write it back with its shard locked: counters and
// transform.
#include <rkvs/namespace.h>

#include <new>
#include <utility>

#include "store/byte_charge.h"
#include "store/callback_scope.h"
#include "store/decimal.h"
#include "store/namespace_impl.h"
#include "store/namespace_write.h"
#include "store/reclaimed.h"

namespace rkvs {

namespace internal {

__thread bool callback_is_running __attribute__((tls_model("initial-exec"))) = false;

}  // namespace internal

using internal::Access;
using internal::add_to_counter;
using internal::ByteCharge;
using internal::CallbackScope;
using internal::CounterSum;
using internal::Deadline;
using internal::Entry;
using internal::EntryRef;
using internal::HashedKey;
using internal::NamespaceImpl;
using internal::OperationTime;
using internal::OwnerLock;
using internal::Reclaimed;
using internal::Shard;
using internal::TableMemory;

namespace {

// What `change` decided about the key.
struct Change {
  StatusCode code = StatusCode::kOk;  // otherwise nothing is changed
  bool keep = true;                   // false: the key is removed, or stays absent
  std::string_view value = {};        // valid until `change` is called again or destroyed
  int64_t expires_at = 0;             // of a key that was absent
};

// Calls `change(std::optional<std::string_view>)`, which returns a Change, with the key's shard
// locked, and does what it says. Called again where the first time there was no room. `now` is the
// value that the key has afterwards.
template <typename Decide>
class Modify {
 public:
  Modify(NamespaceImpl& self, std::string_view key, Decide& decide)
      : self_(self),
        key_(key),
        decide_(decide),
        hashed_(self.shards().hashed(key)),
        deadline_(self.deadline()),
        time_(self.time()) {}

  Status run(std::optional<Value>* now) {
    const internal::HistogramTimer timer(self_.histogram(internal::OperationKind::kWrite));
    Status status = try_again_and_again(now);
    if (!status.ok()) self_.count_refusal(status.code(), key_);
    return status;
  }

 private:
  Status try_again_and_again(std::optional<Value>* now) {
    for (int tries = 0;; ++tries) {
      size_t spare = 0;
      Status status = attempt(now, spare);
      if (spare != 0) {
        if (!TableMemory::add_spare(spare)) return StatusCode::kNoMemory;
        continue;
      }
      const bool full =
          status.code() == StatusCode::kTooManyKeys || status.code() == StatusCode::kMemoryLimit;
      if (!full || !self_.reclaim_for_room(time_, deadline_, status.code())) return status;
      if (internal::is_too_late(tries, deadline_)) return self_.error(StatusCode::kTimeout);
    }
  }

  Status attempt(std::optional<Value>* now, size_t& spare) {
    Reclaimed reclaimed;
    EntryRef old;
    size_t size = 0;
    time_.reset();
    {
      OwnerLock<Access::kWrite> lock(self_.shards(), hashed_, deadline_);
      if (!lock.held()) return self_.error(lock.code());
      Shard& shard = lock.shard();
      shard.mutex.assert_held();
      if (!reclaimed.before_write(self_.usage(), shard, hashed_, time_)) {
        return StatusCode::kNoMemory;
      }
      ByteCharge charge(self_.usage(), shard);
      if (Entry** slot = shard.find_slot(hashed_)) {
        return replace(shard, charge, slot, old, now);
      }
      // All that may have to be tried again comes before the decision.
      spare = shard.spare_needed(1);
      if (spare != 0 && !TableMemory::has_spare(spare)) return Status();
      const size_t table = std::exchange(spare, 0);
      if (Status status = insert(shard, charge, table, now); !status.ok()) return status;
      size = shard.size();
    }
    if (self_.resizer().wants_help(size)) self_.resizer().help(size);
    return Status();
  }

  Status replace(Shard& shard, ByteCharge<Shard>& charge, Entry** slot, EntryRef& old,
                 std::optional<Value>* now) RKVS_REQUIRES(shard.mutex) {
    const Change change = decide_(std::optional((*slot)->value()));
    if (change.code != StatusCode::kOk) return change.code;
    if (!change.keep) {
      if (!shard.prepare_write(1)) return StatusCode::kNoMemory;
      old = EntryRef(shard.remove(hashed_));
      shard.drop_emptied_table();
      self_.usage().release(1);
      return Status();
    }
    // The key was allowed when it came.
    if (self_.check_value(change.value) != StatusCode::kOk) return self_.value_error(change.value);
    const int64_t at = (*slot)->expires_at();
    if (now == nullptr && shard.overwrite_in_place(hashed_.hash, slot, change.value, at)) {
      return Status();
    }
    EntryRef fresh(Entry::create(key_, change.value, at));
    if (at != 0 && !charge.reserve(shard.expiries_growth(1))) {
      return self_.error(StatusCode::kMemoryLimit);
    }
    if (!fresh || !shard.prepare_write(1) || (at != 0 && !shard.prepare_expiries(1))) {
      return StatusCode::kNoMemory;
    }
    const size_t before = (*slot)->memory();
    if (fresh->memory() > before && !charge.reserve(fresh->memory() - before)) {
      return self_.error(StatusCode::kMemoryLimit);
    }
    if (now != nullptr) *now = fresh->share();
    old = EntryRef(shard.replace(hashed_.hash, slot, fresh.take()));
    return Status();
  }

  Status insert(Shard& shard, ByteCharge<Shard>& charge, size_t table, std::optional<Value>* now)
      RKVS_REQUIRES(shard.mutex) {
    const Change change = decide_(std::optional<std::string_view>());
    if (change.code != StatusCode::kOk) return change.code;
    if (!change.keep) return Status();
    if (Status status = self_.check_sizes(key_, change.value); !status.ok()) return status;
    const int64_t at = change.expires_at;
    EntryRef fresh(Entry::create(key_, change.value, at));
    if (at != 0 && !charge.reserve(shard.expiries_growth(1))) {
      return self_.error(StatusCode::kMemoryLimit);
    }
    if (!fresh || (at != 0 && !shard.prepare_expiries(1))) return StatusCode::kNoMemory;
    if (!charge.reserve(fresh->memory() + (table == 0 ? 0 : TableMemory::block_size(table)))) {
      return self_.error(StatusCode::kMemoryLimit);
    }
    if (!shard.prepare_write(0)) return StatusCode::kNoMemory;
    if (!self_.usage().reserve(1)) return self_.error(StatusCode::kTooManyKeys);
    // Not before: a key that is refused is to leave no larger table. Its block is at hand, unless
    // what decided has used it up.
    try {
      if (table != 0) shard.make_room(1);
    } catch (const std::bad_alloc&) {
      self_.usage().release(1);
      return StatusCode::kNoMemory;
    }
    if (now != nullptr) *now = fresh->share();
    shard.insert(hashed_.hash, fresh.take());
    return Status();
  }

  NamespaceImpl& self_;
  const std::string_view key_;
  Decide& decide_;
  const HashedKey hashed_;
  Deadline deadline_;
  OperationTime time_;
};

Result<int64_t> add_to(NamespaceImpl& self, std::string_view key, int64_t delta, bool subtract,
                       const CounterOptions& options) {
  const auto expiry = internal::expiry_change(self, {.expire_after = options.expire_after});
  if (!expiry.ok()) return expiry.status();
  if (expiry->at != 0) self.note_expiries();
  CounterSum sum;
  auto decide = [&](std::optional<std::string_view> present) {
    sum = add_to_counter(present, options.initial, delta, subtract);
    return Change{sum.code, true, sum.view(), expiry->at};
  };
  const Status status = Modify(self, key, decide).run(nullptr);
  if (!status.ok()) return status.message().empty() ? self.error(status.code()) : status;
  return sum.sum;
}

}  // namespace

Result<int64_t> Namespace::increment(std::string_view key, int64_t delta,
                                     const CounterOptions& options) {
  return add_to(*impl_, key, delta, false, options);
}

Result<int64_t> Namespace::decrement(std::string_view key, int64_t delta,
                                     const CounterOptions& options) {
  return add_to(*impl_, key, delta, true, options);
}

Result<std::optional<Value>> Namespace::transform(std::string_view key,
                                                  const TransformFunction& change) {
  std::optional<std::string> changed;
  auto decide = [&](std::optional<std::string_view> present) {
    const CallbackScope scope;
    changed = change(present);
    Change decision;
    decision.keep = changed.has_value();
    if (decision.keep) decision.value = *changed;
    return decision;
  };
  std::optional<Value> now;
  const Status status = Modify(*impl_, key, decide).run(&now);
  if (!status.ok()) return status;
  return now;
}

}  // namespace rkvs
