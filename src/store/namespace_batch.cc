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

// Of the items of a slice that were looked for.
void count_reads(NamespaceImpl& self, const BatchPlan& plan, BatchCall& batch, size_t begin) {
  const bool by_shard = self.metrics() != nullptr;
  for (size_t i = 0; i < plan.size(); ++i) {
    const bool found = batch.item(begin + i).code == StatusCode::kOk;
    if (by_shard) {
      self.count_read<true>(plan.shard(i), found);
    } else {
      self.count_read<false>(plan.shard(i), found);
    }
  }
}

BatchResult read_batch(NamespaceImpl& self, std::span<const std::string_view> keys, BatchMode mode,
                       Read read) {
  BatchCall batch(self, keys.size(), mode);
  batch.in_slices([&](size_t begin, size_t end) {
    BatchPlan plan(self.shards(), end - begin, [&](size_t i) { return keys[begin + i]; });
    const StatusCode code = plan.run<Access::kRead>(batch.deadline(), [&](auto&) {
      batch.time().reset();
      plan.for_each([&](size_t i) {
        const Shard& shard = plan.shard(i);
        shard.mutex.assert_held_shared();
        Entry* entry = shard.find_live(plan.key(i), batch.time());
        BatchItem& item = batch.item(begin + i);
        item.code = entry == nullptr ? StatusCode::kNotFound : StatusCode::kOk;
        if (entry != nullptr && read == Read::kValues) item.value = entry->share();
        return true;
      });
      return true;
    });
    if (code != StatusCode::kOk) return batch.fail_rest(code);
    count_reads(self, plan, batch, begin);
    // Asking whether a key is there cannot fail because it is not.
    if (batch.atomic() && read == Read::kValues) batch.fails_by_items();
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
      const ByteCharge charge(self.usage(), plan);
      if (!plan.reclaim(self.usage(), batch.time(), removed)) throw std::bad_alloc();
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
      if (!plan.prepare_write()) throw std::bad_alloc();
      uint64_t count = 0;
      plan.for_each([&](size_t i) {
        Shard& shard = plan.shard(i);
        shard.mutex.assert_held();
        Entry* entry = shard.remove(plan.key(i));
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

// The part of a set_multiple that runs with the locks of one slice held.
class SetSlice {
 public:
  SetSlice(BatchCall& batch, std::span<const KeyValue> items, size_t begin, const WriteRule& rule)
      : batch_(batch),
        items_(items),
        begin_(begin),
        rule_(rule),
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

  void run() {
    const NamespaceImpl& self = batch_.self();
    bool no_memory = false;
    std::vector<EntryRef> gone;
    // What has expired must not be in the way of a limit.
    Usage& usage = batch_.self().usage();
    if (usage.max_keys() != 0 || usage.counts_bytes()) {
      batch_.self().reclaim_expired(batch_.time(), batch_.deadline());
    }
    const StatusCode code =
        plan_.run<Access::kWrite>(batch_.deadline(), [&](GroupLock<Access::kWrite>& lock) {
          batch_.time().reset();
          ByteCharge charge(usage, plan_);
          if (!plan_.reclaim(usage, batch_.time(), gone)) throw std::bad_alloc();
          // Once more: a limit may have shrunk before the locks were had.
          for (size_t i = 0; i < items_.size(); ++i) {
            if (fresh_[i]) check_sizes(self, i);
          }
          find_absent();
          if (rule_.only_present) refuse_absent();
          if (batch_.atomic() && !all_valid_) {
            mark_beyond(batch_.self().usage().headroom());
            batch_.fails_by_items();
            return true;
          }
          no_memory = !make_room(charge) || !plan_.prepare_write() || !prepare_expiries(charge);
          if (!no_memory && !missing_.empty()) {
            charge.settle();
            lock.unlock();
            no_memory = !TableMemory::add_spares(missing_.data(), missing_.size());
            if (!no_memory) return false;
          }
          if (no_memory) return true;
          if (!batch_.atomic() || (reserve_bytes(charge) && reserve_all())) apply(charge);
          return true;
        });
    TableMemory::free_dropped();
    if (code != StatusCode::kOk) return batch_.fail_rest(code);
    if (no_memory) return batch_.fail_rest(StatusCode::kNoMemory);
    // One call does a bounded amount for a resize: as many steps as there were inserts.
    auto& resizer = batch_.self().resizer();
    for (size_t i = 0; i < inserted_ && resizer.wants_help(largest_); ++i) resizer.help(largest_);
  }

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
      if (shard.find(plan_.key(i)) == nullptr) absent_.push_back(static_cast<uint32_t>(i));
      return true;
    });
  }

  // For updates: what is not there is not stored.
  void refuse_absent() {
    for (const uint32_t i : absent_) {
      item(i).code = StatusCode::kNotFound;
      fresh_[i] = EntryRef();
      all_valid_ = false;
    }
    absent_.clear();
  }

  // Room in the queues for every entry that expires, as far as a limit of bytes allows it: the
  // items beyond it say so. Those that keep the expiry of the entry before get another block for it
  // where they need one. False where there is no memory; throws std::bad_alloc as well.
  bool prepare_expiries(ByteCharge<BatchPlan>& charge) {
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
    for (size_t i = 0; i < items_.size(); ++i) {
      if (!fresh_[i] || !fresh_[i]->has_expiry()) continue;
      Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      // The first item of a shard makes room for all of them.
      const size_t count = std::exchange(expiring[plan_.shard_index(i)], 0);
      if (charge.reserve(shard.expiries_growth(count))) {
        if (!shard.prepare_expiries(count)) return false;
      } else {
        refuse_expiring(plan_.shard_index(i));
      }
    }
    return true;
  }
  void refuse_expiring(uint32_t shard) {
    for (size_t i = 0; i < items_.size(); ++i) {
      if (plan_.shard_index(i) != shard || !fresh_[i] || !fresh_[i]->has_expiry()) continue;
      item(i).code = StatusCode::kMemoryLimit;
      fresh_[i] = EntryRef();
    }
    all_valid_ = false;
  }

  // What an item adds to the bytes of the namespace, the table aside.
  uint64_t added_bytes(size_t i) {
    Shard& shard = plan_.shard(i);
    shard.mutex.assert_held();
    const Entry* old = shard.find(plan_.key(i));
    const uint64_t before = old == nullptr ? 0 : old->memory();
    const uint64_t after = fresh_[i]->memory();
    return after > before ? after - before : 0;
  }

  // Of an all-or-nothing batch. False if that fails: then the items that do not fit say so.
  bool reserve_bytes(ByteCharge<BatchPlan>& charge) {
    if (!charge.counts()) return true;
    bool fits = true;
    plan_.for_each([&](size_t i) {
      if (fresh_[i] && !charge.reserve(added_bytes(i))) {
        item(i).code = StatusCode::kMemoryLimit;
        fits = false;
      }
      return true;
    });
    if (!fits) batch_.fails_by_items();
    return fits;
  }

  // Grows the tables that the absent keys go to, as far as there are spare blocks; the sizes of the
  // blocks that are missing are left in missing_. A growth that turns out to be for nothing does no
  // harm, nor one that a limit of bytes refuses: the items that needed it say so. False where there
  // is no memory.
  bool make_room(ByteCharge<BatchPlan>& charge) {
    missing_.clear();
    // By shard, to know how many each will get, and by hash, to see which may collide. Keys that
    // come twice count twice, which only makes a little more room.
    by_shard_.assign(absent_.begin(), absent_.end());
    const auto place = [&](uint32_t i) {
      return std::pair(plan_.shard_index(i), plan_.key(i).hash);
    };
    std::sort(by_shard_.begin(), by_shard_.end(),
              [&](uint32_t a, uint32_t b) { return place(a) < place(b); });
    for (size_t first = 0, last = 0; first < by_shard_.size(); first = last) {
      Shard& shard = plan_.shard(by_shard_[first]);
      shard.mutex.assert_held();
      size_t collisions = 0;
      for (; last < by_shard_.size() && &plan_.shard(by_shard_[last]) == &shard; ++last) {
        const uint64_t hash = plan_.key(by_shard_[last]).hash;
        const bool same_as_before = last > first && plan_.key(by_shard_[last - 1]).hash == hash;
        if (same_as_before || shard.candidate(hash) != nullptr) ++collisions;
      }
      if (collisions != 0 && !shard.prepare_collisions(collisions)) return false;
      const size_t spare = shard.spare_needed(last - first);
      if (spare == 0) continue;
      if (TableMemory::has_spare(spare)) {
        if (!charge.reserve(TableMemory::block_size(spare))) {
          refuse(std::span(by_shard_).subspan(first, last - first), StatusCode::kMemoryLimit);
          continue;
        }
        shard.make_room(last - first);
      } else {
        missing_.push_back(spare);
      }
    }
    return true;
  }

  void refuse(std::span<const uint32_t> items, StatusCode code) {
    for (const uint32_t i : items) {
      item(i).code = code;
      fresh_[i] = EntryRef();
    }
    all_valid_ = false;
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
    uint64_t fitting = 0;
    if (usage.reserve(find_new_keys().size(), &fitting)) return true;
    mark_beyond(fitting);
    batch_.fails_by_items();
    return false;
  }

  void apply(ByteCharge<BatchPlan>& charge) {
    plan_.for_each([&](size_t i) {
      if (!fresh_[i]) return true;
      Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      if (!batch_.atomic() && charge.counts() && !charge.reserve(added_bytes(i))) {
        item(i).code = StatusCode::kMemoryLimit;
        return true;
      }
      if (Entry** slot = shard.find_slot(plan_.key(i))) {
        item(i).value = Entry::adopt(shard.replace(plan_.key(i).hash, slot, fresh_[i].take()));
        return true;
      }
      // All-or-nothing batches have reserved their keys.
      if (!batch_.atomic() && !batch_.self().usage().reserve(1)) {
        item(i).code = StatusCode::kTooManyKeys;
        return true;
      }
      // Cannot fail: make_room() has seen to it.
      static_cast<void>(shard.insert(plan_.key(i).hash, fresh_[i].take()));
      ++inserted_;
      largest_ = std::max(largest_, shard.size());
      return true;
    });
  }

  BatchCall& batch_;
  const std::span<const KeyValue> items_;
  const size_t begin_;
  const WriteRule& rule_;
  BatchPlan plan_;
  // None where the item is not valid.
  std::vector<EntryRef> fresh_;
  bool all_valid_ = true;
  std::vector<uint32_t> absent_;
  std::vector<uint32_t> by_shard_;
  std::vector<size_t> missing_;
  size_t inserted_ = 0;
  size_t largest_ = 0;
};

BatchResult set_batch(NamespaceImpl& self, std::span<const KeyValue> items, BatchMode mode,
                      const WriteOptions& options, bool only_present) {
  BatchCall batch(self, items.size(), mode);
  const auto expiry = internal::expiry_change(self, options);
  if (!expiry.ok()) return std::move(batch).refused(expiry.status());
  const WriteRule rule{*expiry, only_present};
  if (expiry->at != 0) self.note_expiries();
  for (size_t i = 0; i < batch.size(); ++i) {
    batch.item(i).code = rule.check_sizes(self, items[i]);
  }
  batch.in_slices([&](size_t begin, size_t end) {
    SetSlice(batch, items.subspan(begin, end - begin), begin, rule).run();
  });
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
