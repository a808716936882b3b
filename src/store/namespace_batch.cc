// Batch operations of a namespace.
//
// Each locks every shard that its items need, in ascending order, and works on all items with all
// of them held: so a batch is one instant, and its items act in input order. All-or-nothing batches
// look at every item before they change anything. Best effort works in slices, so that one long
// batch does not hold up everybody else.
#include <rkvs/namespace.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <new>
#include <utility>
#include <vector>

#include "store/batch_call.h"
#include "store/batch_plan.h"
#include "store/byte_charge.h"
#include "store/namespace_atomic_batch.h"
#include "store/namespace_impl.h"
#include "store/namespace_write.h"

namespace rkvs {

using internal::Access;
using internal::BatchCall;
using internal::BatchPlan;
using internal::ByteCharge;
using internal::Entry;
using internal::EntryRef;
using internal::GroupLock;
using internal::NamespaceImpl;
using internal::Shard;
using internal::TableMemory;
using internal::Usage;

namespace {

// A set of entries, to tell a key that a batch names twice.
class EntrySet {
 public:
  explicit EntrySet(size_t size) : slots_(std::bit_ceil(size * 2 + 1)) {}

  // False if it is in already.
  bool add(const Entry* entry) {
    // Entries are aligned to 8: the lowest bits say nothing.
    size_t i = (reinterpret_cast<uintptr_t>(entry) >> 3) * 0x9E3779B97F4A7C15U >> 20;
    for (;; ++i) {
      const Entry*& slot = slots_[i & (slots_.size() - 1)];
      if (slot == entry) return false;
      if (slot == nullptr) {
        slot = entry;
        return true;
      }
    }
  }

 private:
  std::vector<const Entry*> slots_;
};

enum class Read { kValues, kExistence };

BatchResult read_batch(NamespaceImpl& self, std::span<const std::string_view> keys, BatchMode mode,
                       Read read) {
  BatchCall batch(self, keys.size(), mode);
  batch.in_slices([&](size_t begin, size_t end) {
    BatchPlan plan(self.shards(), end - begin, [&](size_t i) { return keys[begin + i]; });
    size_t found = 0;
    const StatusCode code = plan.run<Access::kRead>(batch.deadline(), [&](auto&) {
      batch.time().reset();
      plan.for_each_entry([&](size_t i, Entry* entry) {
        BatchItem& item = batch.item(begin + i);
        if (entry == nullptr || !entry->is_live(batch.time())) {
          item.code = StatusCode::kNotFound;
          return;
        }
        ++found;
        item.code = StatusCode::kOk;
        if (read == Read::kValues) item.value = entry->share();
      });
      return true;
    });
    if (code != StatusCode::kOk) {
      batch.fail_rest(code);
      return end;
    }
    self.reads().count_many(found, plan.size() - found);
    if (self.metrics() != nullptr) {
      for (size_t i = 0; i < plan.size(); ++i) {
        const bool hit = batch.item(begin + i).code == StatusCode::kOk;
        plan.shard(i).count_reads(hit ? 1 : 0, hit ? 0 : 1);
      }
    }
    // Asking whether a key is there cannot fail because it is not.
    if (batch.atomic() && read == Read::kValues && found != plan.size()) batch.fails_by_items();
    return end;
  });
  return std::move(batch).finish();
}

BatchResult remove_batch(NamespaceImpl& self, std::span<const std::string_view> keys,
                         BatchMode mode, bool want_values) {
  BatchCall batch(self, keys.size(), mode);
  batch.in_slices([&](size_t begin, size_t end) {
    BatchPlan plan(self.shards(), end - begin, [&](size_t i) { return keys[begin + i]; });
    EntrySet seen(batch.atomic() ? plan.size() : 0);
    std::vector<EntryRef> removed;
    const StatusCode code = plan.run<Access::kWrite>(batch.deadline(), [&](auto&) {
      batch.time().reset();
      if (!plan.reclaim(self.usage(), batch.time(), removed)) throw std::bad_alloc();
      const ByteCharge charge(self.usage(), plan);
      removed.reserve(removed.size() + plan.size());
      if (batch.atomic()) {
        plan.for_each([&](size_t i) {
          const Shard& shard = plan.shard(i);
          shard.mutex.assert_held();
          const Entry* entry = shard.find(plan.key(i));
          batch.item(begin + i).code =
              entry != nullptr && seen.add(entry) ? StatusCode::kOk : StatusCode::kNotFound;
          return true;
        });
        if (batch.fails_by_items()) return true;
      }
      if (!plan.prepare_write(1)) throw std::bad_alloc();
      uint64_t count = 0;
      plan.for_each([&](size_t i) {
        Shard& shard = plan.shard(i);
        shard.mutex.assert_held();
        Entry* entry = shard.remove(plan.key(i));
        if (entry != nullptr) shard.drop_emptied_table();
        BatchItem& item = batch.item(begin + i);
        item.code = entry == nullptr ? StatusCode::kNotFound : StatusCode::kOk;
        if (entry == nullptr) return true;
        ++count;
        if (want_values) {
          item.value = Entry::adopt(entry);
        } else {
          removed.emplace_back(entry);
        }
        return true;
      });
      self.usage().release(count);
      return true;
    });
    TableMemory::free_dropped();
    if (code != StatusCode::kOk) batch.fail_rest(code);
    return end;
  });
  return std::move(batch).finish();
}

// What all items of a set or update have in common.
struct WriteRule {
  internal::ExpiryChange expiry;
  bool only_present = false;  // an update

  StatusCode check_sizes(const NamespaceImpl& self, const KeyValue& item) const {
    // A key may be there that is longer than max_key_size has become since.
    StatusCode code = StatusCode::kOk;
    if (!only_present)
      code = self.check_key(item.key);
    else if (item.key.size() > kLargestMaxKeySize)
      code = StatusCode::kNotFound;
    return code != StatusCode::kOk ? code : self.check_value(item.value);
  }
};

// What a set_multiple remembers from one slice to the next.
struct SetProgress {
  static constexpr size_t kNone = SIZE_MAX;
  // The item for whose sake what has expired was reclaimed last.
  size_t reclaimed_for = kNone;
  // Whether all namespaces were asked to do that.
  bool asked_all = false;
};

// The part of a set_multiple that runs with the locks of one slice held. All-or-nothing batches
// under a limit of bytes are apply()'s.
class SetSlice {
 public:
  SetSlice(BatchCall& batch, std::span<const KeyValue> items, size_t begin, const WriteRule& rule,
           SetProgress& progress)
      : batch_(batch),
        items_(items),
        begin_(begin),
        rule_(rule),
        progress_(progress),
        plan_(batch.self().shards(), items.size(), [&](size_t i) { return items[i].key; }),
        fresh_(items.size()) {
    // Entries are made before the locks are taken.
    for (size_t i = 0; i < items.size(); ++i) {
      if (item(i).code != StatusCode::kOk) continue;
      fresh_[i] = EntryRef(Entry::create(items[i].key, items[i].value, rule.expiry.at));
      if (!fresh_[i]) item(i).code = StatusCode::kNoMemory;
    }
    all_valid_ = std::all_of(fresh_.begin(), fresh_.end(),
                             [](const EntryRef& entry) { return static_cast<bool>(entry); });
  }

  // Returns the item to go on with.
  size_t run() {
    NamespaceImpl& self = batch_.self();
    Usage& usage = self.usage();
    // What has expired must not be in the way of a limit.
    const bool is_limited = usage.max_keys() != 0 || usage.counts_bytes();
    if (is_limited) self.reclaim_expired(batch_.time(), batch_.deadline());
    bool no_memory = false;
    std::vector<EntryRef> gone;
    const StatusCode code =
        plan_.run<Access::kWrite>(batch_.deadline(), [&](GroupLock<Access::kWrite>& lock) {
          batch_.time().reset();
          counts_bytes_ = usage.counts_bytes();
          if (counts_bytes_ && batch_.atomic()) return true;
          if (!plan_.reclaim(usage, batch_.time(), gone)) throw std::bad_alloc();
          is_over_ = rule_.expiry.at != 0 && rule_.expiry.at <= batch_.time().now();
          if (is_over_) gone.reserve(gone.size() + items_.size());
          // Once more: a limit may have shrunk before the locks were had.
          for (size_t i = 0; i < items_.size(); ++i) {
            if (fresh_[i]) check_sizes(self, i);
          }
          find_absent();
          if (batch_.atomic() && !all_valid_) {
            mark_beyond(usage.headroom());
            batch_.fails_by_items();
            return true;
          }
          make_room();
          no_memory = !plan_.prepare_write(is_over_ ? 2 : 1) || !prepare_expiries();
          if (!no_memory && !missing_.empty()) {
            lock.unlock();
            no_memory = !TableMemory::add_spares(missing_.data(), missing_.size());
            if (!no_memory) return false;
          }
          if (no_memory) return true;
          if (!batch_.atomic() || reserve_all()) apply(gone);
          return true;
        });
    TableMemory::free_dropped();
    if (code != StatusCode::kOk) {
      batch_.fail_rest(code);
    } else if (no_memory) {
      batch_.fail_rest(StatusCode::kNoMemory);
    } else if (refusal_ != StatusCode::kOk) {
      wants_again_ = self.reclaim_for_room(batch_.time(), batch_.deadline(), refusal_, fitting_);
    }
    // One call does a bounded amount for a resize: as many steps as there were inserts.
    auto& resizer = self.resizer();
    for (size_t i = 0; i < inserted_ && resizer.wants_help(largest_); ++i) resizer.help(largest_);
    return begin_ + done_;
  }
  // Of an all-or-nothing batch: nothing was done, because there is a limit of bytes.
  bool is_for_apply() const { return counts_bytes_ && batch_.atomic(); }
  // Of an all-or-nothing batch: it was refused, and has room now.
  bool wants_again() const { return wants_again_ && batch_.atomic() && batch_.failed(); }

 private:
  BatchItem& item(size_t i) { return batch_.item(begin_ + i); }

  void check_sizes(const NamespaceImpl& self, size_t i) {
    const StatusCode code = rule_.check_sizes(self, items_[i]);
    if (code == StatusCode::kOk) return;
    item(i).code = code;
    fresh_[i] = EntryRef();
    all_valid_ = false;
  }

  void find_absent() {
    absent_.clear();
    plan_.for_each([&](size_t i) {
      if (!fresh_[i]) return true;
      const Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      // What expires at once leaves its key absent for the next item.
      if (is_over_ || shard.find(plan_.key(i)) == nullptr) {
        absent_.push_back(static_cast<uint32_t>(i));
      }
      return true;
    });
    if (!rule_.only_present || is_over_) return;
    // What is not there is not stored.
    for (const uint32_t i : absent_) {
      item(i).code = StatusCode::kNotFound;
      fresh_[i] = EntryRef();
      all_valid_ = false;
    }
    absent_.clear();
  }

  // Room in the queues for every entry that expires. Those that keep the expiry of the entry before
  // get another block for it where they need one. False where there is no memory; throws
  // std::bad_alloc as well.
  bool prepare_expiries() {
    using Kind = internal::ExpiryChange::Kind;
    if (rule_.expiry.kind == Kind::kNone) return true;
    std::vector<uint32_t> expiring(kMaxShardCount);
    for (size_t i = 0; i < items_.size(); ++i) {
      if (!fresh_[i]) continue;
      const Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      if (rule_.expiry.kind == Kind::kKeep) {
        const Entry* old = shard.find(plan_.key(i));
        const int64_t at = old == nullptr ? 0 : old->expires_at();
        if (at != fresh_[i]->expires_at()) {
          fresh_[i] = EntryRef(Entry::create(items_[i].key, items_[i].value, at));
        }
        if (!fresh_[i]) return false;
      }
      if (fresh_[i]->has_expiry()) ++expiring[plan_.shard_index(i)];
    }
    // Where bytes are counted, each item pays for itself.
    if (counts_bytes_) return true;
    for (size_t i = 0; i < items_.size(); ++i) {
      if (!fresh_[i] || !fresh_[i]->has_expiry()) continue;
      Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      // The first item of a shard makes room for all of them.
      const size_t count = std::exchange(expiring[plan_.shard_index(i)], 0);
      if (count != 0 && !shard.prepare_expiries(count)) return false;
    }
    return true;
  }

  // Grows the tables that the absent keys go to, as far as there are spare blocks; the sizes of the
  // blocks that are missing are left in missing_. A growth that turns out to be for nothing does no
  // harm. Where bytes are counted, the tables grow later, step by step, and missing_ is what that
  // may need. Throws std::bad_alloc.
  void make_room() {
    missing_.clear();
    // By shard, to know how many each will get. Keys that come twice count twice, which only makes
    // a little more room.
    by_shard_.assign(absent_.begin(), absent_.end());
    std::sort(by_shard_.begin(), by_shard_.end(),
              [&](uint32_t a, uint32_t b) { return plan_.shard_index(a) < plan_.shard_index(b); });
    for (size_t first = 0, last = 0; first < by_shard_.size(); first = last) {
      Shard& shard = plan_.shard(by_shard_[first]);
      shard.mutex.assert_held();
      while (last < by_shard_.size() && &plan_.shard(by_shard_[last]) == &shard) ++last;
      if (counts_bytes_) {
        auto table = shard.table_forecast();
        for (size_t i = first; i < last; ++i) {
          if (const size_t spare = table.spare_needed(); spare != 0) missing_.push_back(spare);
          table.make_room();
          table.insert();
        }
        continue;
      }
      const size_t spare = shard.spare_needed(last - first);
      if (spare == 0) continue;
      if (TableMemory::has_spare(spare)) {
        shard.make_room(last - first);
      } else {
        missing_.push_back(spare);
      }
    }
    if (counts_bytes_ && std::exchange(has_spares_, true)) missing_.clear();
  }

  // The absent keys, each where it is first named, in input order. Sorts absent_ by key; those that
  // name the same key stay in input order.
  std::vector<uint32_t> find_new_keys() {
    const auto less = [&](uint32_t a, uint32_t b) {
      const auto& ka = plan_.key(a);
      const auto& kb = plan_.key(b);
      if (ka.hash != kb.hash) return ka.hash < kb.hash;
      if (ka.key != kb.key) return ka.key < kb.key;
      return a < b;
    };
    std::sort(absent_.begin(), absent_.end(), less);
    std::vector<uint32_t> first;
    std::unique_copy(absent_.begin(), absent_.end(), std::back_inserter(first),
                     [&](uint32_t a, uint32_t b) { return same_key(a, b); });
    std::sort(first.begin(), first.end());
    return first;
  }
  bool same_key(uint32_t a, uint32_t b) const {
    return plan_.key(a).hash == plan_.key(b).hash && plan_.key(a).key == plan_.key(b).key;
  }

  // Says TooManyKeys of every item whose new key would not be among the first `fitting` ones.
  void mark_beyond(uint64_t fitting) {
    if (batch_.self().usage().max_keys() == 0) return;
    const std::vector<uint32_t> first = find_new_keys();
    if (fitting >= first.size()) return;
    uint32_t naming = 0;  // the first item with the same key
    for (size_t i = 0; i < absent_.size(); ++i) {
      if (i == 0 || !same_key(absent_[i - 1], absent_[i])) naming = absent_[i];
      if (naming >= first[fitting]) item(absent_[i]).code = StatusCode::kTooManyKeys;
    }
  }

  // Reserves the new keys of an all-or-nothing batch, each once however often it is named. False
  // if that fails: then the items that do not fit say so.
  bool reserve_all() {
    if (!all_valid_) {
      batch_.fails_by_items();
      return false;
    }
    auto& usage = batch_.self().usage();
    if (usage.max_keys() == 0) return true;
    if (usage.reserve(find_new_keys().size(), &fitting_)) return true;
    refusal_ = StatusCode::kTooManyKeys;
    mark_beyond(fitting_);
    batch_.fails_by_items();
    return false;
  }

  // Ends early, with done_ at the item, where one needs something that is not to be had with the
  // locks held.
  void apply(std::vector<EntryRef>& gone) {
    NamespaceImpl& self = batch_.self();
    plan_.for_each([&](size_t i) {
      if (!fresh_[i]) return true;
      Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      StatusCode code = StatusCode::kOk;
      if (counts_bytes_) {
        ByteCharge charge(self.usage(), shard);
        code = put(shard, i, &charge);
      } else {
        code = put(shard, i, nullptr);
      }
      if (code == StatusCode::kNotApplied || (code != StatusCode::kOk && may_reclaim(code, i))) {
        done_ = i;
        return false;
      }
      item(i).code = code;
      if (code == StatusCode::kOk && is_over_) {
        const ByteCharge charge(self.usage(), shard);
        gone.emplace_back(shard.reclaim_key(plan_.key(i), rule_.expiry.at));
        self.usage().release(1);
      }
      return true;
    });
    if (is_over_) drop_emptied_tables();
  }

  void drop_emptied_tables() {
    for (size_t i = 0; i < items_.size(); ++i) {
      if (!fresh_[i]) continue;
      Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      const ByteCharge charge(batch_.self().usage(), shard);
      shard.drop_emptied_table();
    }
  }

  // NotApplied: a block is missing for the table.
  StatusCode put(Shard& shard, size_t i, ByteCharge<Shard>* charge) RKVS_REQUIRES(shard.mutex) {
    const auto& key = plan_.key(i);
    Entry** slot = shard.find_slot(key);
    if (slot == nullptr && rule_.only_present) return StatusCode::kNotFound;
    const size_t bytes = fresh_[i]->memory();
    if (charge != nullptr && fresh_[i]->has_expiry()) {
      if (!charge->reserve(shard.expiries_growth(1))) return StatusCode::kMemoryLimit;
      if (!shard.prepare_expiries(1)) return StatusCode::kNoMemory;
    }
    if (slot != nullptr) {
      const size_t before = (*slot)->memory();
      if (charge != nullptr && bytes > before && !charge->reserve(bytes - before)) {
        return StatusCode::kMemoryLimit;
      }
      item(i).value = Entry::adopt(shard.replace(key.hash, slot, fresh_[i].take()));
      return StatusCode::kOk;
    }
    size_t spare = 0;
    if (charge != nullptr) {
      spare = shard.spare_needed(1);
      if (spare != 0 && !TableMemory::has_spare(spare)) return StatusCode::kNotApplied;
      if (!charge->reserve(bytes + (spare == 0 ? 0 : TableMemory::block_size(spare)))) {
        return StatusCode::kMemoryLimit;
      }
    }
    // All-or-nothing batches have reserved their keys.
    if (!batch_.atomic() && !batch_.self().usage().reserve(1)) return StatusCode::kTooManyKeys;
    // Neither can fail: make_room() has seen to it. A key that is refused is to leave no larger
    // table.
    if (spare != 0) shard.make_room(1);
    shard.insert(key.hash, fresh_[i].take());
    ++inserted_;
    largest_ = std::max(largest_, shard.size());
    return StatusCode::kOk;
  }

  // For an item that a limit refused: whether what has expired may have been the reason. Once for
  // each item, and all namespaces once for each call.
  bool may_reclaim(StatusCode code, size_t i) {
    if (code != StatusCode::kTooManyKeys && code != StatusCode::kMemoryLimit) return false;
    if (progress_.reclaimed_for == begin_ + i) return false;
    const NamespaceImpl& self = batch_.self();
    const bool others = code == StatusCode::kMemoryLimit && !progress_.asked_all;
    if (!others && self.next_expiry() > batch_.time().now()) return false;
    if (code == StatusCode::kMemoryLimit) progress_.asked_all = true;
    progress_.reclaimed_for = begin_ + i;
    refusal_ = code;
    return true;
  }

  BatchCall& batch_;
  const std::span<const KeyValue> items_;
  const size_t begin_;
  const WriteRule& rule_;
  SetProgress& progress_;
  BatchPlan plan_;
  // None where the item is not valid.
  std::vector<EntryRef> fresh_;
  bool all_valid_ = true;
  std::vector<uint32_t> absent_;
  std::vector<uint32_t> by_shard_;
  std::vector<size_t> missing_;
  bool counts_bytes_ = false;
  bool is_over_ = false;     // all that is written has expired already
  bool has_spares_ = false;  // those that make_room() asked for
  bool wants_again_ = false;
  StatusCode refusal_ = StatusCode::kOk;  // by a limit, of the item that ended the slice
  uint64_t fitting_ = 0;
  size_t done_ = items_.size();
  size_t inserted_ = 0;
  size_t largest_ = 0;
};

// An all-or-nothing batch of writes as a list of operations.
BatchResult apply_writes(NamespaceImpl& self, std::span<const KeyValue> items,
                         const WriteRule& rule) try {
  std::vector<AtomicBatch::Operation> operations;
  operations.reserve(items.size());
  const auto op = rule.only_present ? AtomicBatch::Op::kUpdate : AtomicBatch::Op::kSet;
  for (const auto& [key, value] : items) {
    operations.push_back({.op = op, .key = key, .value = value});
  }
  BatchResult result = internal::apply(self, operations, &rule.expiry);
  for (BatchItem& item : result.items) item.version = 0;
  return result;
} catch (const std::bad_alloc&) {
  return BatchCall(self, items.size(), BatchMode::kAllOrNothing).refused(StatusCode::kNoMemory);
}

BatchResult set_batch(NamespaceImpl& self, std::span<const KeyValue> items, BatchMode mode,
                      const WriteOptions& options, bool only_present) {
  const auto expiry = internal::expiry_change(self, options);
  if (!expiry.ok()) return BatchCall(self, items.size(), mode).refused(expiry.status());
  const WriteRule rule{*expiry, only_present};
  if (mode == BatchMode::kAllOrNothing) {
    // What each item is has to be known beforehand; and that is not so simple here.
    const bool is_over = expiry->at != 0 && expiry->at <= self.time().steady_ms();
    if (is_over || self.usage().counts_bytes()) return apply_writes(self, items, rule);
  }
  BatchCall batch(self, items.size(), mode);
  if (expiry->at != 0) self.note_expiries();
  SetProgress progress;
  bool is_for_apply = false;
  const auto check = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) batch.item(i).code = rule.check_sizes(self, items[i]);
  };
  check(0, batch.size());
  batch.in_slices([&](size_t begin, size_t end) {
    for (int tries = 0;; ++tries) {
      SetSlice slice(batch, items.subspan(begin, end - begin), begin, rule, progress);
      const size_t done = slice.run();
      is_for_apply = slice.is_for_apply();
      if (!slice.wants_again()) return done;
      if (internal::is_too_late(tries, batch.deadline())) {
        batch.fail_rest(StatusCode::kTimeout);
        return done;
      }
      batch.begin_again();
      check(begin, end);
    }
  });
  if (is_for_apply && !batch.failed()) return apply_writes(self, items, rule);
  for (size_t i = 0; i < batch.size(); ++i) self.count_refusal(batch.item(i).code, items[i].key);
  return std::move(batch).finish();
}

}  // namespace

BatchResult Namespace::get_multiple(std::span<const std::string_view> keys, BatchMode mode) const {
  return read_batch(*impl_, keys, mode, Read::kValues);
}

BatchResult Namespace::exists_multiple(std::span<const std::string_view> keys,
                                       BatchMode mode) const {
  return read_batch(*impl_, keys, mode, Read::kExistence);
}

BatchResult Namespace::set_multiple(std::span<const KeyValue> items, BatchMode mode,
                                    const WriteOptions& options) {
  return set_batch(*impl_, items, mode, options, false);
}

BatchResult Namespace::update_multiple(std::span<const KeyValue> items, BatchMode mode,
                                       const WriteOptions& options) {
  return set_batch(*impl_, items, mode, options, true);
}

BatchResult Namespace::delete_multiple(std::span<const std::string_view> keys, BatchMode mode) {
  return remove_batch(*impl_, keys, mode, false);
}

BatchResult Namespace::consume_multiple(std::span<const std::string_view> keys, BatchMode mode) {
  return remove_batch(*impl_, keys, mode, true);
}

}  // namespace rkvs
