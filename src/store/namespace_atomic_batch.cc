// Namespace::apply: a list of different operations, all or nothing.
//
// The operations are played through first, with the shards locked, on the states of the keys and
// not on the store: a key named several times is one state. When all of them succeed, and there is
// room for what came out, each state that differs from the store is written.
#include <rkvs/atomic_batch.h>
#include <rkvs/namespace.h>

#include <algorithm>
#include <new>
#include <numeric>
#include <utility>
#include <vector>

#include "store/batch_call.h"
#include "store/batch_plan.h"
#include "store/byte_charge.h"
#include "store/decimal.h"
#include "store/namespace_impl.h"
#include "store/namespace_write.h"

namespace rkvs {

using internal::Access;
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
  uint32_t written_by = 0;   // the operation that made `present`, where it is not stored

  bool is_changed() const { return present != stored; }
};

class AtomicCall {
 public:
  AtomicCall(NamespaceImpl& self, const std::vector<Operation>& operations)
      : self_(self),
        operations_(operations),
        call_(self, operations.size(), BatchMode::kAllOrNothing),
        plan_(self.shards(), call_.failed() ? 0 : operations.size(),
              [&](size_t i) { return operations[i].key; }) {}

  BatchResult run() && {
    if (call_.failed()) return std::move(call_).finish();
    if (Status status = prepare(); !status.ok()) return std::move(call_).refused(std::move(status));
    call_.in_slices([&](size_t, size_t) { run_locked(); });
    for (size_t i = 0; i < operations_.size(); ++i) {
      self_.count_refusal(call_.item(i).code, operations_[i].key);
    }
    return std::move(call_).finish();
  }

 private:
  // What needs no lock: expiries, and which operations name the same key.
  Status prepare() {
    expiries_.reserve(operations_.size());
    for (const Operation& operation : operations_) {
      const bool keeps = operation.op == Op::kCompareAndSet || operation.op == Op::kIncrement;
      const auto expiry = expiry_change(
          self_, operation.options, keeps ? ExpiryChange::Kind::kKeep : ExpiryChange::Kind::kNone);
      if (!expiry.ok()) return expiry.status();
      if (expiry->kind == ExpiryChange::Kind::kSet) self_.note_expiries();
      expiries_.push_back(*expiry);
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

  void run_locked() {
    auto& usage = self_.usage();
    if (usage.max_keys() != 0 || usage.counts_bytes()) {
      self_.reclaim_expired(call_.time(), call_.deadline());
    }
    bool no_memory = false;
    std::vector<EntryRef> gone;
    const StatusCode code =
        plan_.run<Access::kWrite>(call_.deadline(), [&](GroupLock<Access::kWrite>& lock) {
          call_.time().reset();
          ByteCharge charge(usage, plan_);
          if (!plan_.reclaim(usage, call_.time(), gone)) throw std::bad_alloc();
          gone.reserve(gone.size() + states_.size());
          play();
          if (call_.fails_by_items()) return true;
          no_memory = !make_room(charge) || !plan_.prepare_write();
          if (!no_memory && !missing_.empty()) {
            charge.settle();
            lock.unlock();
            no_memory = !TableMemory::add_spares(missing_.data(), missing_.size());
            if (!no_memory) return false;
          }
          if (no_memory || call_.fails_by_items() || !reserve(charge)) return true;
          write(gone);
          return true;
        });
    made_.clear();
    TableMemory::free_dropped();
    if (code != StatusCode::kOk) return call_.fail_rest(code);
    if (no_memory) return call_.fail_rest(StatusCode::kNoMemory);
    auto& resizer = self_.resizer();
    for (size_t i = 0; i < inserted_ && resizer.wants_help(largest_); ++i) resizer.help(largest_);
  }

  // --- Playing ----------------------------------------------------------------------------------

  void play() {
    made_.clear();
    net_keys_ = 0;
    most_keys_ = 0;
    for (KeyState& state : states_) {
      const Shard& shard = plan_.shard(state.first);
      shard.mutex.assert_held_shared();
      state.stored = shard.find(plan_.key(state.first));
      state.present = state.stored;
    }
    for (size_t i = 0; i < operations_.size(); ++i) {
      call_.item(i) = {StatusCode::kOk, std::nullopt};
      call_.item(i).code = play(i, states_[state_of_[i]]);
    }
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
        state.present = nullptr;
        --net_keys_;
        return StatusCode::kOk;
      case Op::kIncrement: {
        const CounterSum sum = internal::add_to_counter(
            present == nullptr ? std::nullopt : std::optional(present->value()), operation.initial,
            operation.delta, operation.subtract);
        if (sum.code != StatusCode::kOk) return sum.code;
        // An expiry is for counters that begin; one that is there keeps its own.
        ExpiryChange expiry = expiries_[i];
        if (present != nullptr) expiry.kind = ExpiryChange::Kind::kKeep;
        const StatusCode code = put(i, state, sum.view(), expiry);
        if (code == StatusCode::kOk) call_.item(i).value = state.present->share();
        return code;
      }
      default: break;
    }
    if (operation.op == Op::kSet || operation.op == Op::kUpdate) {
      if (present != nullptr) call_.item(i).value = present->share();
    }
    return put(i, state, operation.value, expiries_[i]);
  }

  StatusCode put(size_t i, KeyState& state, std::string_view value, const ExpiryChange& expiry) {
    const std::string_view key = operations_[i].key;
    if (state.present == nullptr && self_.check_key(key) != StatusCode::kOk) {
      return StatusCode::kKeyTooLarge;
    }
    if (self_.check_value(value) != StatusCode::kOk) return StatusCode::kValueTooLarge;
    const int64_t at =
        expiry.applied_to(state.present == nullptr ? 0 : state.present->expires_at());
    EntryRef made(Entry::create(key, value, at));
    if (!made) throw std::bad_alloc();
    made_.push_back(std::move(made));
    if (state.present == nullptr) most_keys_ = std::max(most_keys_, ++net_keys_);
    state.present = made_.back().get();
    state.written_by = static_cast<uint32_t>(i);
    return StatusCode::kOk;
  }

  // --- Room -------------------------------------------------------------------------------------

  bool is_new(const KeyState& state) const {
    return state.stored == nullptr && state.present != nullptr;
  }

  // Grows the tables that new keys go to, as far as there are spare blocks; the sizes of those that
  // are missing are left in missing_. False where there is no memory.
  bool make_room(ByteCharge<BatchPlan>& charge) {
    missing_.clear();
    by_shard_.clear();
    for (uint32_t s = 0; s < states_.size(); ++s) {
      if (states_[s].is_changed() && states_[s].present != nullptr) by_shard_.push_back(s);
    }
    const auto place = [&](uint32_t s) {
      return std::pair(plan_.shard_index(states_[s].first), plan_.key(states_[s].first).hash);
    };
    std::sort(by_shard_.begin(), by_shard_.end(),
              [&](uint32_t a, uint32_t b) { return place(a) < place(b); });
    for (size_t first = 0, last = 0; first < by_shard_.size(); first = last) {
      Shard& shard = plan_.shard(states_[by_shard_[first]].first);
      shard.mutex.assert_held();
      size_t collisions = 0;
      size_t inserts = 0;
      size_t expiries = 0;
      for (;
           last < by_shard_.size() && place(by_shard_[last]).first == place(by_shard_[first]).first;
           ++last) {
        const KeyState& state = states_[by_shard_[last]];
        const uint64_t hash = place(by_shard_[last]).second;
        if (state.present->has_expiry()) ++expiries;
        if (!is_new(state)) continue;
        ++inserts;
        const bool again = last > first && place(by_shard_[last - 1]).second == hash;
        if (again || shard.candidate(hash) != nullptr) ++collisions;
      }
      if (collisions != 0 && !shard.prepare_collisions(collisions)) return false;
      if (expiries != 0 && !charge.reserve(shard.expiries_growth(expiries))) {
        for (size_t i = first; i < last; ++i) {
          const KeyState& state = states_[by_shard_[i]];
          if (state.present->has_expiry()) {
            call_.item(state.written_by).code = StatusCode::kMemoryLimit;
          }
        }
        continue;
      }
      if (expiries != 0 && !shard.prepare_expiries(expiries)) return false;
      const size_t spare = inserts == 0 ? 0 : shard.spare_needed(inserts);
      if (spare == 0) continue;
      if (!TableMemory::has_spare(spare)) {
        missing_.push_back(spare);
      } else if (charge.reserve(TableMemory::block_size(spare))) {
        shard.make_room(inserts);
      } else {
        for (size_t i = first; i < last; ++i) {
          const KeyState& state = states_[by_shard_[i]];
          if (is_new(state)) call_.item(state.written_by).code = StatusCode::kMemoryLimit;
        }
      }
    }
    return true;
  }

  // Accounts for the keys and bytes that come. False when a limit is in the way: then the items
  // that are beyond it say so.
  bool reserve(ByteCharge<BatchPlan>& charge) {
    for (const KeyState& state : states_) {
      if (!state.is_changed() || state.present == nullptr) continue;
      const uint64_t before = state.stored == nullptr ? 0 : state.stored->memory();
      const uint64_t after = state.present->memory();
      if (after > before && !charge.reserve(after - before)) {
        call_.item(state.written_by).code = StatusCode::kMemoryLimit;
      }
    }
    if (call_.fails_by_items()) return false;
    auto& usage = self_.usage();
    if (usage.max_keys() == 0 || most_keys_ <= 0) return true;
    uint64_t fitting = 0;
    // The most that there would be at any time while the operations act one after another.
    if (usage.reserve(static_cast<uint64_t>(most_keys_), &fitting)) return true;
    refuse_beyond(static_cast<int64_t>(fitting));
    call_.fails_by_items();
    return false;
  }

  // Plays the numbers of keys once more.
  void refuse_beyond(int64_t fitting) {
    std::vector<bool> there(states_.size());
    for (size_t s = 0; s < states_.size(); ++s) there[s] = states_[s].stored != nullptr;
    int64_t net = 0;
    for (size_t i = 0; i < operations_.size(); ++i) {
      const size_t s = state_of_[i];
      switch (operations_[i].op) {
        case Op::kSet:
        case Op::kAdd:
        case Op::kIncrement:
          if (!there[s]) {
            if (net == fitting) {
              call_.item(i).code = StatusCode::kTooManyKeys;
              continue;
            }
            ++net;
          }
          there[s] = true;
          break;
        case Op::kDelete:
        case Op::kConsume:
        case Op::kCompareAndDelete:
          if (there[s]) --net;
          there[s] = false;
          break;
        default: break;
      }
    }
  }

  // --- Writing ----------------------------------------------------------------------------------

  void write(std::vector<EntryRef>& gone) {
    auto& usage = self_.usage();
    for (KeyState& state : states_) {
      if (!state.is_changed()) continue;
      Shard& shard = plan_.shard(state.first);
      shard.mutex.assert_held();
      const auto& key = plan_.key(state.first);
      if (state.present == nullptr) {
        gone.emplace_back(shard.remove(key));
        continue;
      }
      state.present->retain();  // the store's reference, beside that of made_
      if (state.stored != nullptr) {
        gone.emplace_back(shard.replace(key.hash, shard.find_slot(key), state.present));
      } else {
        // Cannot fail: make_room() has seen to it.
        static_cast<void>(shard.insert(key.hash, state.present));
        ++inserted_;
        largest_ = std::max(largest_, shard.size());
      }
      call_.item(state.written_by).version = state.present->version();
    }
    // In one step, and downwards: what is given back must not be taken by others before all is
    // done.
    usage.release(static_cast<uint64_t>(most_keys_ - net_keys_));
  }

  NamespaceImpl& self_;
  const std::vector<Operation>& operations_;
  BatchCall call_;
  BatchPlan plan_;
  std::vector<ExpiryChange> expiries_;  // of each operation
  std::vector<uint32_t> state_of_;      // of each operation
  std::vector<KeyState> states_;
  std::vector<EntryRef> made_;
  int64_t net_keys_ = 0;
  int64_t most_keys_ = 0;  // that net_keys_ came to
  std::vector<uint32_t> by_shard_;
  std::vector<size_t> missing_;
  size_t inserted_ = 0;
  size_t largest_ = 0;
};

}  // namespace

BatchResult Namespace::apply(const AtomicBatch& batch) {
  try {
    return AtomicCall(*impl_, batch.operations()).run();
  } catch (const std::bad_alloc&) {
    return BatchCall(*impl_, batch.size(), BatchMode::kAllOrNothing).refused(StatusCode::kNoMemory);
  }
}

}  // namespace rkvs
