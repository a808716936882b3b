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

#include "store/batch_plan.h"
#include "store/namespace_impl.h"

namespace rkvs {

using internal::Access;
using internal::BatchPlan;
using internal::Deadline;
using internal::Entry;
using internal::EntryRef;
using internal::GroupLock;
using internal::make_error;
using internal::NamespaceImpl;
using internal::Shard;
using internal::TableMemory;

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBestEffortSlice = 1024;

// What a batch works with: its namespace and its results.
class Batch {
 public:
  Batch(NamespaceImpl& self, size_t size, BatchMode mode)
      : self_(self), mode_(mode), started_(Clock::now()), deadline_(self.deadline()) {
    try {
      result_.items.resize(size);
    } catch (const std::bad_alloc&) {
      fail_whole(StatusCode::kNoMemory);
    }
    // Batches that have items meet this when they lock.
    if (size == 0 && self.shards().routing().is_closed()) fail_whole(self.shards().closed_code());
  }

  NamespaceImpl& self() { return self_; }
  Deadline& deadline() { return deadline_; }
  bool atomic() const { return mode_ == BatchMode::kAllOrNothing; }
  BatchItem& item(size_t i) { return result_.items[i]; }
  size_t size() const { return result_.items.size(); }
  bool failed() const { return !result_.status.ok(); }

  // The slices that are worked on one after another.
  template <typename Work>  // void(size_t begin, size_t end)
  void in_slices(Work work) {
    if (size() == 0 && self_.shards().routing().is_closed()) {
      fail_whole(self_.shards().closed_code());
    }
    const size_t slice = atomic() ? size() : kBestEffortSlice;
    try {
      for (size_t begin = 0; begin < size() && !stopped_ && !failed(); begin += slice) {
        done_ = begin;
        work(begin, std::min(size(), begin + slice));
      }
    } catch (const std::bad_alloc&) {
      fail_rest(StatusCode::kNoMemory);
    }
  }

  // The locks could not be had, or there was no memory: nothing from the present slice on is done.
  void fail_rest(StatusCode code) {
    // A best-effort batch that ran out of time has done what it could, and items that were wrong
    // anyhow say so.
    const bool whole = atomic() || code != StatusCode::kTimeout;
    if (whole) fail_whole(code);
    for (size_t i = done_; i < size(); ++i) {
      BatchItem& item = result_.items[i];
      if (whole || !is_error(item.code)) item = {code, std::nullopt};
    }
    stopped_ = true;
  }
  void fail_whole(StatusCode code) { result_.status = self_.error(code); }

  // Makes an all-or-nothing batch fail if any of its items did: those keep their codes, the others
  // become NotApplied. True if so.
  bool fails_by_items() {
    size_t first = size();
    for (size_t i = size(); i-- > 0;) {
      if (item(i).code != StatusCode::kOk) first = i;
    }
    if (first == size()) return false;
    for (BatchItem& item : result_.items) {
      if (item.code == StatusCode::kOk) item.code = StatusCode::kNotApplied;
      item.value.reset();
    }
    result_.status = item_error(first);
    return true;
  }

  BatchResult finish() && {
    result_.total_processed = static_cast<size_t>(
        std::count_if(result_.items.begin(), result_.items.end(),
                      [](const BatchItem& item) { return item.code == StatusCode::kOk; }));
    result_.duration = Clock::now() - started_;
    return std::move(result_);
  }

 private:
  Status item_error(size_t i) const {
    const StatusCode code = result_.items[i].code;
    const Status detail = self_.error(code);
    return make_error(code, "item ", i, " of ", size(), ": ",
                      detail.message().empty() ? status_code_name(code) : detail.message());
  }

  NamespaceImpl& self_;
  const BatchMode mode_;
  const Clock::time_point started_;
  Deadline deadline_;
  BatchResult result_;
  size_t done_ = 0;
  bool stopped_ = false;
};

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

BatchResult get_batch(NamespaceImpl& self, std::span<const std::string_view> keys, BatchMode mode) {
  Batch batch(self, keys.size(), mode);
  batch.in_slices([&](size_t begin, size_t end) {
    BatchPlan plan(self.shards(), end - begin, [&](size_t i) { return keys[begin + i]; });
    const StatusCode code = plan.run<Access::kRead>(batch.deadline(), [&](auto&) {
      plan.for_each([&](size_t i) {
        const Shard& shard = plan.shard(i);
        shard.mutex.assert_held_shared();
        Entry* entry = shard.find(plan.key(i));
        BatchItem& item = batch.item(begin + i);
        item.code = entry == nullptr ? StatusCode::kNotFound : StatusCode::kOk;
        if (entry != nullptr) item.value = entry->share();
        return true;
      });
      return true;
    });
    if (code != StatusCode::kOk) return batch.fail_rest(code);
    if (batch.atomic()) batch.fails_by_items();
  });
  return std::move(batch).finish();
}

BatchResult remove_batch(NamespaceImpl& self, std::span<const std::string_view> keys,
                         BatchMode mode, bool want_values) {
  Batch batch(self, keys.size(), mode);
  batch.in_slices([&](size_t begin, size_t end) {
    BatchPlan plan(self.shards(), end - begin, [&](size_t i) { return keys[begin + i]; });
    EntrySet seen(batch.atomic() ? plan.size() : 0);
    std::vector<EntryRef> removed;
    removed.reserve(plan.size());
    const StatusCode code = plan.run<Access::kWrite>(batch.deadline(), [&](auto&) {
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

// The part of a set_multiple that runs with the locks of one slice held.
class SetSlice {
 public:
  SetSlice(Batch& batch, std::span<const KeyValue> items, size_t begin)
      : batch_(batch),
        items_(items),
        begin_(begin),
        plan_(batch.self().shards(), items.size(), [&](size_t i) { return items[i].key; }),
        fresh_(items.size()) {
    // Entries are made before the locks are taken.
    for (size_t i = 0; i < items.size(); ++i) {
      if (item(i).code != StatusCode::kOk) continue;
      fresh_[i] = EntryRef(Entry::create(items[i].key, items[i].value));
      if (!fresh_[i]) item(i).code = StatusCode::kNoMemory;
    }
    all_valid_ = std::all_of(fresh_.begin(), fresh_.end(),
                             [](const EntryRef& entry) { return static_cast<bool>(entry); });
  }

  void run() {
    const NamespaceImpl& self = batch_.self();
    bool no_memory = false;
    const StatusCode code =
        plan_.run<Access::kWrite>(batch_.deadline(), [&](GroupLock<Access::kWrite>& lock) {
          // Once more: a limit may have shrunk before the locks were had.
          for (size_t i = 0; i < items_.size(); ++i) {
            if (fresh_[i]) check_sizes(self, i);
          }
          find_absent();
          if (batch_.atomic() && !all_valid_) {
            mark_beyond(batch_.self().usage().headroom());
            batch_.fails_by_items();
            return true;
          }
          no_memory = !make_room() || !plan_.prepare_write();
          if (!no_memory && !missing_.empty()) {
            lock.unlock();
            no_memory = !TableMemory::add_spares(missing_.data(), missing_.size());
            if (!no_memory) return false;
          }
          if (no_memory) return true;
          if (!batch_.atomic() || reserve_all()) apply();
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
    const StatusCode key = self.check_key(items_[i].key);
    const StatusCode code = key != StatusCode::kOk ? key : self.check_value(items_[i].value);
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

  // Grows the tables that the absent keys go to, as far as there are spare blocks; the sizes of the
  // blocks that are missing are left in missing_. A growth that turns out to be for nothing does no
  // harm. False where there is no memory.
  bool make_room() {
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
        shard.make_room(last - first);
      } else {
        missing_.push_back(spare);
      }
    }
    return true;
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
    auto& usage = batch_.self().usage();
    if (usage.max_keys() == 0) return true;
    uint64_t fitting = 0;
    if (usage.reserve(find_new_keys().size(), &fitting)) return true;
    mark_beyond(fitting);
    batch_.fails_by_items();
    return false;
  }

  void apply() {
    plan_.for_each([&](size_t i) {
      if (!fresh_[i]) return true;
      Shard& shard = plan_.shard(i);
      shard.mutex.assert_held();
      if (Entry** slot = shard.find_slot(plan_.key(i))) {
        item(i).value = Entry::adopt(shard.replace(slot, fresh_[i].take()));
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

  Batch& batch_;
  const std::span<const KeyValue> items_;
  const size_t begin_;
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

BatchResult set_batch(NamespaceImpl& self, std::span<const KeyValue> items, BatchMode mode) {
  Batch batch(self, items.size(), mode);
  for (size_t i = 0; i < batch.size(); ++i) {
    const StatusCode key = self.check_key(items[i].key);
    batch.item(i).code = key != StatusCode::kOk ? key : self.check_value(items[i].value);
  }
  batch.in_slices([&](size_t begin, size_t end) {
    SetSlice(batch, items.subspan(begin, end - begin), begin).run();
  });
  return std::move(batch).finish();
}

}  // namespace

BatchResult Namespace::get_multiple(std::span<const std::string_view> keys, BatchMode mode) const {
  return get_batch(*impl_, keys, mode);
}

BatchResult Namespace::set_multiple(std::span<const KeyValue> items, BatchMode mode) {
  return set_batch(*impl_, items, mode);
}

BatchResult Namespace::delete_multiple(std::span<const std::string_view> keys, BatchMode mode) {
  return remove_batch(*impl_, keys, mode, false);
}

BatchResult Namespace::consume_multiple(std::span<const std::string_view> keys, BatchMode mode) {
  return remove_batch(*impl_, keys, mode, true);
}

}  // namespace rkvs
