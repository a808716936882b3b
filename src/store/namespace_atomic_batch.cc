// Namespace::apply: a list of different operations, all or nothing.
//
// The operations are played through first, with the shards locked, on the states of the keys and
// not on the store: a key named several times is one state, and an account of keys and bytes goes
// along. When all of them succeed, and what they need on the way was to be had, they are done, one
// after another.
#include "store/namespace_atomic_batch.h"

#include <rkvs/namespace.h>

#include <algorithm>
#include <new>
#include <numeric>
#include <utility>
#include <vector>

#include "store/batch_account.h"
#include "store/batch_call.h"
#include "store/batch_plan.h"
#include "store/byte_charge.h"
#include "store/decimal.h"
#include "store/namespace_write.h"

namespace rkvs {

using internal::Access;
using internal::BatchAccount;
using internal::BatchCall;
using internal::BatchPlan;
using internal::ByteCharge;
using internal::CounterSum;
using internal::Entry;
using internal::EntryRef;
using internal::expiry_change;
using internal::ExpiryChange;
using internal::GroupLock;
using internal::NamespaceImpl;
using internal::Shard;
using internal::TableMemory;
using Op = AtomicBatch::Op;
using Operation = AtomicBatch::Operation;

namespace {

// What a key is while the batch is played through.
struct KeyState {
  uint32_t first = 0;        // the first operation that names it
  Entry* stored = nullptr;   // what the store has
  Entry* present = nullptr;  // what it would have now; owned by the batch where it is not stored
  uint32_t shard = 0;        // its number in the account
  // The last operation that changed it, if that wrote a value: also one that has expired already.
  uint32_t written_by = kNone;

  static constexpr uint32_t kNone = UINT32_MAX;
  bool is_changed() const { return present != stored; }
};

bool removes(Op op) {
  return op == Op::kDelete || op == Op::kConsume || op == Op::kCompareAndDelete;
}

class AtomicCall {
 public:
  AtomicCall(NamespaceImpl& self, const std::vector<Operation>& operations,
             const ExpiryChange* expiry)
      : self_(self),
        operations_(operations),
        expiry_(expiry),
        call_(self, operations.size(), BatchMode::kAllOrNothing),
        plan_(self.shards(), call_.failed() ? 0 : operations.size(),
              [&](size_t i) { return operations[i].key; }) {}

  BatchResult run() && {
    if (call_.failed()) return std::move(call_).finish();
    if (Status status = prepare(); !status.ok()) return std::move(call_).refused(std::move(status));
    call_.in_slices([&](size_t, size_t end) {
      for (int tries = 0; run_locked(); ++tries) {
        if (internal::is_too_late(tries, call_.deadline())) {
          call_.fail_rest(StatusCode::kTimeout);
          break;
        }
      }
      return end;
    });
    for (size_t i = 0; i < operations_.size(); ++i) {
      self_.count_refusal(call_.item(i).code, operations_[i].key);
    }
    return std::move(call_).finish();
  }

 private:
  // What needs no lock: expiries, which operations name the same key, and most of the entries.
  Status prepare() {
    expiries_.reserve(operations_.size());
    made_.resize(operations_.size());
    for (size_t i = 0; i < operations_.size(); ++i) {
      const Operation& operation = operations_[i];
      const bool keeps = operation.op == Op::kCompareAndSet || operation.op == Op::kIncrement;
      const Result<ExpiryChange> expiry =
          expiry_ != nullptr
              ? *expiry_
              : expiry_change(self_, operation.options,
                              keeps ? ExpiryChange::Kind::kKeep : ExpiryChange::Kind::kNone);
      if (!expiry.ok()) return expiry.status();
      if (expiry->kind == ExpiryChange::Kind::kSet) self_.note_expiries();
      expiries_.push_back(*expiry);
      const bool has_value = !removes(operation.op) && operation.op < Op::kIncrement;
      if (has_value && check_sizes(operation) == StatusCode::kOk &&
          operation.key.size() <= kLargestMaxKeySize) {
        made_[i] = EntryRef(Entry::create(operation.key, operation.value, expiry->at));
        if (!made_[i]) throw std::bad_alloc();
      }
    }
    std::vector<uint32_t> order(operations_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      if (plan_.key(a).hash != plan_.key(b).hash) return plan_.key(a).hash < plan_.key(b).hash;
      return plan_.key(a).key < plan_.key(b).key;
    });
    state_of_.resize(operations_.size());
    for (size_t i = 0; i < order.size(); ++i) {
      if (i == 0 || plan_.key(order[i]).key != plan_.key(order[i - 1]).key) {
        states_.push_back({.first = order[i]});
      }
      state_of_[order[i]] = static_cast<uint32_t>(states_.size() - 1);
    }
    return Status();
  }

  // True where limits were in the way that are not any more: then nothing was done, and it should
  // be called again.
  bool run_locked() {
    auto& usage = self_.usage();
    // What has expired must not be in the way of a limit.
    const bool is_limited = usage.max_keys() != 0 || usage.counts_bytes();
    if (is_limited) self_.reclaim_expired(call_.time(), call_.deadline());
    bool no_memory = false;
    std::vector<EntryRef> gone;
    const StatusCode code =
        plan_.run<Access::kWrite>(call_.deadline(), [&](GroupLock<Access::kWrite>& lock) {
          call_.time().reset();
          if (!plan_.reclaim(usage, call_.time(), gone)) throw std::bad_alloc();
          ByteCharge charge(usage, plan_);
          gone.reserve(gone.size() + 2 * operations_.size());
          play({usage.keys_fitting(), usage.bytes_fitting()});
          if (call_.fails_by_items()) return true;
          no_memory = !make_room() || !plan_.prepare_write(self_.has_expiries() ? 2 : 1);
          if (!no_memory && !missing_.empty()) {
            charge.settle();
            lock.unlock();
            no_memory = !TableMemory::add_spares(missing_.data(), missing_.size());
            if (!no_memory) return false;
          }
          if (no_memory) return true;
          if (!reserve(charge)) return call_.failed();
          no_memory = !prepare_expiries();
          if (no_memory) {
            if (account_.keys().net > 0) {
              usage.release(static_cast<uint64_t>(account_.keys().net));
            }
            return true;
          }
          write(gone);
          return true;
        });
    TableMemory::free_dropped();
    added_.clear();
    if (code != StatusCode::kOk) {
      call_.fail_rest(code);
    } else if (no_memory) {
      call_.fail_rest(StatusCode::kNoMemory);
    } else if (is_limited && call_.failed()) {
      return has_room_now();
    }
    auto& resizer = self_.resizer();
    for (size_t i = 0; i < inserted_ && resizer.wants_help(largest_); ++i) resizer.help(largest_);
    return false;
  }

  // After a refusal: what expired between the first look and the locks, or in other namespaces,
  // must not have been the reason.
  bool has_room_now() {
    for (const StatusCode refusal : {StatusCode::kTooManyKeys, StatusCode::kMemoryLimit}) {
      for (size_t i = 0; i < operations_.size(); ++i) {
        if (call_.item(i).code != refusal) continue;
        const int64_t fitting = std::max<int64_t>(account_.room().keys, 0);
        if (!self_.reclaim_for_room(call_.time(), call_.deadline(), refusal,
                                    static_cast<uint64_t>(fitting))) {
          break;
        }
        call_.begin_again();
        return true;
      }
    }
    return false;
  }

  // --- Playing ----------------------------------------------------------------------------------

  void play(const BatchAccount::Room& room) {
    account_.begin(room, self_.usage().counts_bytes());
    inserts_.assign(operations_.size(), false);
    shard_numbers_.clear();
    plan_.for_each([&](size_t i) {
      KeyState& state = states_[state_of_[i]];
      if (state.first != i) return true;
      const Shard& shard = plan_.shard(i);
      shard.mutex.assert_held_shared();
      state.stored = shard.find(plan_.key(i));
      state.present = state.stored;
      state.written_by = KeyState::kNone;
      if (account_.counts_bytes()) state.shard = number_of(plan_.shard_index(i));
      return true;
    });
    for (size_t i = 0; i < operations_.size(); ++i) {
      call_.item(i) = {StatusCode::kOk, std::nullopt};
      call_.item(i).code = play(i, states_[state_of_[i]]);
    }
  }

  uint32_t number_of(uint32_t shard_index) {
    if (shard_numbers_.empty()) shard_numbers_.resize(kMaxShardCount);
    uint32_t& number = shard_numbers_[shard_index];  // one more than the number
    if (number == 0) {
      const Shard& shard = self_.shards()[shard_index];
      shard.mutex.assert_held_shared();
      number = account_.add_shard(shard) + 1;
    }
    return number - 1;
  }

  // As the functions for one key: what is too large is an error whatever the key has. Counters are
  // checked when it is known what they come to.
  StatusCode check_sizes(const Operation& operation) const {
    switch (operation.op) {
      case Op::kSet:
      case Op::kAdd:
        if (self_.check_key(operation.key) != StatusCode::kOk) return StatusCode::kKeyTooLarge;
        [[fallthrough]];
      case Op::kUpdate:
      case Op::kCompareAndSet: return self_.check_value(operation.value);
      default: return StatusCode::kOk;
    }
  }

  StatusCode play(size_t i, KeyState& state) {
    const Operation& operation = operations_[i];
    Entry* const present = state.present;
    if (const StatusCode code = check_sizes(operation); code != StatusCode::kOk) return code;
    switch (operation.op) {
      case Op::kCheckAbsent:
      case Op::kAdd:
        if (present != nullptr) return StatusCode::kExists;
        break;
      case Op::kSet:
      case Op::kIncrement: break;
      default:
        if (present == nullptr) return StatusCode::kNotFound;
        break;
    }
    switch (operation.op) {
      case Op::kCompareAndSet:
      case Op::kCompareAndDelete:
      case Op::kCheckVersion:
        if (state.is_changed() || present->version() != operation.version) {
          return StatusCode::kVersionMismatch;
        }
        break;
      default: break;
    }
    switch (operation.op) {
      case Op::kCheckAbsent:
      case Op::kCheckExists:
      case Op::kCheckVersion: return StatusCode::kOk;
      case Op::kConsume: call_.item(i).value = present->share(); [[fallthrough]];
      case Op::kDelete:
      case Op::kCompareAndDelete:
        account_.remove(state.shard, *present);
        state.present = nullptr;
        state.written_by = KeyState::kNone;
        return StatusCode::kOk;
      case Op::kIncrement: {
        const CounterSum sum = internal::add_to_counter(
            present == nullptr ? std::nullopt : std::optional(present->value()), operation.initial,
            operation.delta, operation.subtract);
        if (sum.code != StatusCode::kOk) return sum.code;
        // An expiry is for counters that begin; one that is there keeps its own.
        ExpiryChange expiry = expiries_[i];
        if (present != nullptr) expiry.kind = ExpiryChange::Kind::kKeep;
        made_[i] = EntryRef();
        const StatusCode code = put(i, state, sum.view(), expiry);
        if (code == StatusCode::kOk) call_.item(i).value = made_[i].get()->share();
        return code;
      }
      default: break;
    }
    const StatusCode code = put(i, state, operation.value, expiries_[i]);
    if (operation.op == Op::kSet || operation.op == Op::kUpdate) {
      if (present != nullptr && code == StatusCode::kOk) call_.item(i).value = present->share();
    }
    return code;
  }

  StatusCode put(size_t i, KeyState& state, std::string_view value, const ExpiryChange& expiry) {
    const std::string_view key = operations_[i].key;
    if (state.present == nullptr && self_.check_key(key) != StatusCode::kOk) {
      return StatusCode::kKeyTooLarge;
    }
    if (self_.check_value(value) != StatusCode::kOk) return StatusCode::kValueTooLarge;
    const int64_t at =
        expiry.applied_to(state.present == nullptr ? 0 : state.present->expires_at());
    if (!made_[i] || made_[i]->expires_at() != at) {
      made_[i] = EntryRef(Entry::create(key, value, at));
      if (!made_[i]) throw std::bad_alloc();
    }
    Entry& fresh = *made_[i].get();
    const bool is_over = fresh.has_expiry() && fresh.has_expired_by(call_.time().now());
    const StatusCode code = account_.put(state.shard, state.present, fresh, is_over);
    if (code != StatusCode::kOk) return code;
    inserts_[i] = state.present == nullptr;
    state.present = &fresh;
    state.written_by = static_cast<uint32_t>(i);
    if (is_over) {
      account_.remove(state.shard, fresh);
      state.present = nullptr;
    }
    return StatusCode::kOk;
  }

  // --- Room -------------------------------------------------------------------------------------

  // Makes sure that nothing that write() does can fail. The sizes of the blocks that have to be got
  // for it without the locks are left in missing_. False where there is no memory; throws
  // std::bad_alloc as well.
  bool make_room() {
    missing_.clear();
    by_shard_.clear();
    for (uint32_t i = 0; i < operations_.size(); ++i) {
      if (made_[i]) by_shard_.push_back(i);
    }
    std::sort(by_shard_.begin(), by_shard_.end(),
              [&](uint32_t a, uint32_t b) { return plan_.shard_index(a) < plan_.shard_index(b); });
    for (size_t first = 0, last = 0; first < by_shard_.size(); first = last) {
      Shard& shard = plan_.shard(by_shard_[first]);
      shard.mutex.assert_held();
      size_t inserts = 0;
      size_t expiries = 0;
      for (; last < by_shard_.size() && &plan_.shard(by_shard_[last]) == &shard; ++last) {
        const uint32_t i = by_shard_[last];
        if (made_[i]->has_expiry()) ++expiries;
        if (inserts_[i]) ++inserts;
      }
      // Where bytes are counted, tables and queues grow step by step, as the account has it.
      if (account_.counts_bytes()) continue;
      if (expiries != 0 && !shard.prepare_expiries(expiries)) return false;
      const size_t spare = inserts == 0 ? 0 : shard.spare_needed(inserts);
      if (spare == 0) continue;
      if (TableMemory::has_spare(spare)) {
        shard.make_room(inserts);
      } else {
        missing_.push_back(spare);
      }
    }
    if (added_ != account_.blocks()) missing_ = added_ = account_.blocks();
    return true;
  }

  // For the expiries, where bytes are counted. When that is paid for. False where there is no
  // memory.
  bool prepare_expiries() {
    if (!account_.counts_bytes()) return true;
    for (const KeyState& state : states_) {
      Shard& shard = plan_.shard(state.first);
      shard.mutex.assert_held();
      if (!shard.prepare_expiries(account_.forecast(state.shard).expiries)) return false;
    }
    return true;
  }

  // Accounts for the keys and bytes that come. False when others have taken the room meanwhile:
  // then the items that are beyond it say so.
  bool reserve(ByteCharge<BatchPlan>& charge) {
    auto& usage = self_.usage();
    BatchAccount::Room room = account_.room();
    const auto& bytes = account_.bytes();
    const auto& keys = account_.keys();
    if (charge.reserve_peak(bytes.most, bytes.net, &room.bytes) &&
        usage.reserve_peak(keys.most, keys.net, &room.keys)) {
      return true;
    }
    play(room);
    call_.fails_by_items();
    return false;
  }

  // --- Writing ----------------------------------------------------------------------------------

  void write(std::vector<EntryRef>& gone) {
    const int64_t now = self_.has_expiries() ? call_.time().now() : 0;
    plan_.for_each([&](size_t i) {
      Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      const auto& key = plan_.key(i);
      if (removes(operations_[i].op)) gone.emplace_back(shard.remove(key));
      if (!made_[i]) return true;
      Entry* const entry = made_[i].get();
      entry->retain();  // the store's reference, beside that of made_
      if (Entry** slot = shard.find_slot(key)) {
        gone.emplace_back(shard.replace(key.hash, slot, entry));
      } else {
        if (account_.counts_bytes()) shard.make_room(1);
        // Cannot fail: make_room() has seen to it.
        shard.insert(key.hash, entry);
        ++inserted_;
        largest_ = std::max(largest_, shard.size());
      }
      if (entry->has_expiry() && entry->has_expired_by(now)) {
        gone.emplace_back(shard.reclaim_key(key, now));
      }
      return true;
    });
    // Not before: what comes later in the batch may need the room.
    for (size_t i = 0; i < operations_.size(); ++i) {
      Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      shard.drop_emptied_table();
    }
    for (const KeyState& state : states_) {
      if (state.written_by == KeyState::kNone) continue;
      call_.item(state.written_by).version = made_[state.written_by]->version();
    }
    // What is given back must not be taken by others before all is done.
    if (account_.keys().net < 0) {
      self_.usage().release(static_cast<uint64_t>(-account_.keys().net));
    }
  }

  NamespaceImpl& self_;
  const std::vector<Operation>& operations_;
  const ExpiryChange* const expiry_;
  BatchCall call_;
  BatchPlan plan_;
  std::vector<ExpiryChange> expiries_;  // of each operation
  std::vector<uint32_t> state_of_;      // of each operation
  std::vector<KeyState> states_;
  std::vector<EntryRef> made_;  // by each operation, if it writes
  std::vector<bool> inserts_;   // whether each puts a key where none is
  BatchAccount account_;
  std::vector<uint32_t> shard_numbers_;  // in the account, by index
  std::vector<size_t> added_;            // the blocks that were got for it
  std::vector<uint32_t> by_shard_;
  std::vector<size_t> missing_;
  size_t inserted_ = 0;
  size_t largest_ = 0;
};

}  // namespace

BatchResult internal::apply(NamespaceImpl& self, const std::vector<Operation>& operations,
                            const ExpiryChange* expiry) {
  try {
    return AtomicCall(self, operations, expiry).run();
  } catch (const std::bad_alloc&) {
    return BatchCall(self, operations.size(), BatchMode::kAllOrNothing)
        .refused(StatusCode::kNoMemory);
  }
}

BatchResult Namespace::apply(const AtomicBatch& batch) {
  return internal::apply(*impl_, batch.operations());
}

}  // namespace rkvs
