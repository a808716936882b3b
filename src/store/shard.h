// Shard: one lock, one table, and the accounts of what is in it.
#ifndef RKVS_STORE_SHARD_H_
#define RKVS_STORE_SHARD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/key_hash.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "base/time_source.h"
#include "store/entry.h"
#include "store/entry_table.h"
#include "store/expiry_queue.h"
#include "store/shard_image.h"

namespace rkvs::internal {

// While a resize takes keys out of a shard.
struct ShardLeaving {
  // The hashes that came after it had begun to look. A hash for which there is no memory sets
  // journal_lost instead, and the resize looks again.
  std::vector<uint64_t> journal;
  bool journal_lost = false;
  // How far it has looked through the table.
  size_t position = 0;
};

struct ShardUsage {
  uint64_t keys = 0;  // those that have expired and are still here included
  uint64_t value_bytes = 0;
  uint64_t memory_bytes = 0;
};

// Holds one reference to each of its entries. The lock word shares a cache line with the head of
// the table, which is all that a read touches; what only writes touch has the second line.
//
// Functions never allocate, the journal of a resize aside, and never free: callers prepare entries
// and table space before they lock, and drop what they get back after.
class alignas(64) Shard {
 public:
  Shard() = default;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  mutable SharedMutex mutex;

  // --- Reading ----------------------------------------------------------------------------------

  // The entry of the key, or nullptr. Keeps its own reference: take one before unlocking.
  Entry* find(const HashedKey& key) const RKVS_REQUIRES_SHARED(mutex) {
    Entry* const* slot = table_.find(key.hash, HasKey{key.key});
    return slot == nullptr ? nullptr : *slot;
  }
  // The same where that is easy to say and the entry, if there is one, never expires; false if not.
  bool find_at_once(const HashedKey& key, Entry*& entry) const RKVS_REQUIRES_SHARED(mutex) {
    return table_.find_at_once(key.hash, IsPlainWithKey{key.key}, entry);
  }
  // The same where the entry has not expired.
  Entry* find_live(const HashedKey& key, OperationTime& time) const RKVS_REQUIRES_SHARED(mutex) {
    Entry* entry = find(key);
    return entry == nullptr || entry->is_live(time) ? entry : nullptr;
  }
  // For pipelines, without certainty: the entry that find(key) will look at first.
  Entry* candidate(uint64_t hash) const RKVS_REQUIRES_SHARED(mutex) {
    return table_.candidate(hash);
  }
  // Starts loading what find() will look at first. May be called without the lock.
  void prefetch(uint64_t hash) const RKVS_NO_THREAD_SAFETY_ANALYSIS { table_.prefetch(hash); }

  // The same for move_entries(), in the source and in the target.
  void prefetch_move(uint64_t hash) const RKVS_NO_THREAD_SAFETY_ANALYSIS {
    table_.prefetch_hashed(hash);
  }

  size_t size() const RKVS_REQUIRES_SHARED(mutex) { return table_.size(); }
  ShardUsage usage() const RKVS_REQUIRES_SHARED(mutex) { return {size(), value_bytes_, memory()}; }
  // Keys and values without what has expired by `now`, though it is here still, as memory_bytes
  // says. Throws std::bad_alloc.
  ShardUsage live_usage(int64_t now) const RKVS_REQUIRES_SHARED(mutex);
  uint64_t entry_memory() const RKVS_REQUIRES_SHARED(mutex) { return entry_memory_; }
  // Of entries, table and queue, in bytes.
  uint64_t memory() const RKVS_REQUIRES_SHARED(mutex) {
    return entry_memory_ + table_.memory() + (expiries_ == nullptr ? 0 : expiries_->memory());
  }
  uint64_t last_version() const RKVS_REQUIRES_SHARED(mutex) { return last_version_; }
  // How many entries were written, removed or reclaimed here since the namespace was made; moves
  // are none. They only grow. May be read at any time, without the lock.
  uint64_t sets() const { return sets_.load(std::memory_order_relaxed); }
  uint64_t deletes() const { return deletes_.load(std::memory_order_relaxed); }
  uint64_t expired() const { return expired_.load(std::memory_order_relaxed); }

  // What happened to those who came here, for figures; without the lock.
  struct Visits {
    uint64_t lock_waits = 0;  // the lock was not free at once
    uint64_t timeouts = 0;    // nor in time
    uint64_t rejected = 0;    // refused by a limit
    uint64_t hits = 0;        // only counted with detailed metrics, as misses
    uint64_t misses = 0;
  };
  Visits visits() const {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    return {lock_waits_.load(kRelaxed), timeouts_.load(kRelaxed), rejected_.load(kRelaxed),
            hits_.load(kRelaxed), misses_.load(kRelaxed)};
  }
  void count_wait(bool in_time) {
    lock_waits_.fetch_add(1, std::memory_order_relaxed);
    if (!in_time) timeouts_.fetch_add(1, std::memory_order_relaxed);
  }
  void count_rejected() { rejected_.fetch_add(1, std::memory_order_relaxed); }
  void count_reads(uint64_t hits, uint64_t misses) {
    if (hits != 0) hits_.fetch_add(hits, std::memory_order_relaxed);
    if (misses != 0) misses_.fetch_add(misses, std::memory_order_relaxed);
  }
  // No entry here expires before; ExpiryQueue::kNever where none does. Without the lock it is a
  // hint.
  int64_t next_expiry() const { return next_expiry_.load(std::memory_order_relaxed); }

  template <typename Visit>  // void(Entry* entry)
  void for_each(Visit visit) const RKVS_REQUIRES_SHARED(mutex) {
    table_.for_each(visit);
  }
  template <typename Visit>  // void(uint64_t hash, Entry* entry)
  void for_each_hashed(Visit visit) const RKVS_REQUIRES_SHARED(mutex) {
    table_.for_each_hashed(visit);
  }

  // --- Writing ----------------------------------------------------------------------------------

  EntryTable::Forecast table_forecast() const RKVS_REQUIRES_SHARED(mutex) {
    return EntryTable::Forecast(table_);
  }
  ExpiryQueue::Forecast expiries_forecast() const RKVS_REQUIRES_SHARED(mutex) {
    return ExpiryQueue::Forecast(expiries_.get());
  }

  // See EntryTable.
  size_t spare_needed(size_t inserts) const RKVS_REQUIRES_SHARED(mutex) {
    return table_.spare_needed(inserts);
  }
  void make_room(size_t inserts) RKVS_REQUIRES(mutex) {
    // A table that grows puts its entries in another order.
    if (leaving_ != nullptr && table_.spare_needed(inserts) != 0) leaving_->position = 0;
    table_.make_room(inserts);
  }
  // Gives back the table, if it is large and empty. What comes next needs room again.
  void drop_emptied_table() RKVS_REQUIRES(mutex) { table_.drop_if_emptied(); }

  // To be called before the changes below, with the number of entries that may leave the table,
  // those that have only just come included: makes room in the graveyards of the saves that are on.
  // False where there is no memory.
  bool prepare_write(size_t leaving) RKVS_REQUIRES(mutex) {
    return images_ == nullptr || prepare_graveyards(leaving);
  }
  // The same before replace_as_is(), and before entries come from or go to another shard.
  bool complete_images(size_t leaving) RKVS_REQUIRES(mutex) {
    return images_ == nullptr || (prepare_graveyards(leaving) && copy_pending_images());
  }
  bool is_being_saved() const RKVS_REQUIRES(mutex) { return images_ != nullptr; }

  // Where find() found the entry, for replace() and overwrite(); nullptr if the key is absent.
  // Valid until the shard changes or is unlocked.
  Entry** find_slot(const HashedKey& key) RKVS_REQUIRES(mutex) {
    return table_.find(key.hash, HasKey{key.key});
  }

  // The same where that is easy to say and the entry, if there is one, never expires; false if not.
  bool find_slot_at_once(const HashedKey& key, Entry**& slot) RKVS_REQUIRES(mutex) {
    return table_.find_slot_at_once(key.hash, IsPlainWithKey{key.key}, slot);
  }

  // find_slot() for those whose short way ends here: apart, with nothing of the caller's that would
  // have to be in memory.
  Entry** find_slot_carefully(std::string_view key, uint64_t hash) RKVS_REQUIRES(mutex);

  // Adds an absent key under a new version and takes over one reference. Needs room.
  void insert(uint64_t hash, Entry* entry) RKVS_REQUIRES(mutex) {
    entry->set_version(++last_version_);
    insert_as_is(hash, entry);
    count(sets_);
  }
  // The same for an entry that keeps the version it has: moved from another shard, or loaded.
  void insert_as_is(uint64_t hash, Entry* entry) RKVS_REQUIRES(mutex);

  // Puts `fresh` in the place of the slot's entry, under a new version. Takes over one reference
  // and gives one to the old entry, which is returned.
  Entry* replace(uint64_t hash, Entry** slot, Entry* fresh) RKVS_REQUIRES(mutex) {
    fresh->set_version(++last_version_);
    return replace_as_is(hash, slot, fresh);
  }
  // The same with the version that `fresh` has. Needs complete_images().
  Entry* replace_as_is(uint64_t hash, Entry** slot, Entry* fresh) RKVS_REQUIRES(mutex) {
    Entry* old = *slot;
    *slot = fresh;
    // Of the same key: what differs is the value, and whether there is room for an expiry.
    if (fresh->value_size != old->value_size || fresh->has_expiry() != old->has_expiry()) {
      account_added(*fresh);
      account_removed(*old);
    }
    count(sets_);
    if (fresh->has_expiry()) [[unlikely]]
      note_expiry(hash, *fresh, old->expires_at());
    return unlink(old);
  }
  // Copies the value over the slot's, under a new version and with this expiry (0 = none), if the
  // sizes are equal, there is room for the expiry, and nobody else can see the entry. False, with
  // nothing changed, if not.
  bool overwrite_in_place(uint64_t hash, Entry** slot, std::string_view value, int64_t expires_at)
      RKVS_REQUIRES(mutex) {
    Entry* entry = *slot;
    if (entry->value_size != value.size() || !entry->is_sole_reference()) return false;
    if (images_ != nullptr && is_held(*entry)) return false;
    if (!entry->has_expiry() && expires_at != 0) return false;
    entry->set_version(++last_version_);
    entry->overwrite_value(value);
    count(sets_);
    if (entry->has_expiry()) [[unlikely]] {
      const int64_t before = entry->expires_at();
      entry->set_expires_at(expires_at);
      note_expiry(hash, *entry, before);
    }
    return true;
  }

  // Gives the slot's entry another expiry, 0 for none, if it has room for one and nobody else can
  // see it. The version stays. False, with nothing changed, if not.
  bool change_expiry_in_place(uint64_t hash, Entry** slot, int64_t expires_at)
      RKVS_REQUIRES(mutex) {
    Entry* entry = *slot;
    if (!entry->has_expiry() || !entry->is_sole_reference()) return false;
    if (images_ != nullptr && is_held(*entry)) return false;
    const int64_t before = entry->expires_at();
    entry->set_expires_at(expires_at);
    note_expiry(hash, *entry, before);
    count(sets_);
    return true;
  }

  // Takes the key out and returns its entry with one reference, or nullptr if it is absent.
  Entry* remove(const HashedKey& key) RKVS_REQUIRES(mutex) {
    Entry** slot = find_slot(key);
    return slot == nullptr ? nullptr : remove(key.hash, slot);
  }
  Entry* remove(uint64_t hash, Entry** slot) RKVS_REQUIRES(mutex) {
    count(deletes_);
    return take_out(hash, slot);
  }

  // --- Expiries ---------------------------------------------------------------------------------

  // Before entries that expire are put in: makes sure that noting `count` of them cannot fail.
  // False where there is no memory.
  bool prepare_expiries(size_t count) RKVS_REQUIRES(mutex);
  // The same for all that led to the forecast.
  bool prepare_expiries(const ExpiryQueue::Forecast& forecast) RKVS_REQUIRES(mutex);
  // Bytes that this would add.
  size_t expiries_growth(size_t count) const RKVS_REQUIRES_SHARED(mutex) {
    return expiries_ != nullptr ? expiries_->growth(count)
                                : sizeof(ExpiryQueue) + ExpiryQueue().growth(count);
  }
  // Takes out entries whose time has come, looking at no more than `limit` items of the queue, and
  // hands each with one reference to `visit(Entry*)`. Needs prepare_write(limit).
  template <typename Visit>
  void reclaim(int64_t now, size_t limit, Visit visit) RKVS_REQUIRES(mutex) {
    for (; limit != 0 && next_expiry() <= now; --limit) {
      if (Entry* entry = take_next_expired()) visit(entry);
    }
    drop_emptied_table();
  }
  // The same for the entry of `key`, if it is there and its time has come. Needs prepare_write(1).
  Entry* reclaim_key(const HashedKey& key, int64_t now) RKVS_REQUIRES(mutex);

  // --- Moving buckets to another shard ----------------------------------------------------------

  // Notes the hash of each insert from now on, and begins a scan. False where there is no memory.
  bool start_journal() RKVS_REQUIRES(mutex);
  // Appends some `limit` of the hashes that were there when the scan began, some of them twice if
  // the table grows meanwhile. False at the end. `out` needs the capacity. By the resize alone.
  bool scan_hashes(size_t limit, std::vector<uint64_t>& out) const RKVS_REQUIRES_SHARED(mutex);
  // Hands out what was noted since the last call, for an empty vector that takes its place; false
  // if something is missing.
  bool swap_journal(std::vector<uint64_t>& journal) RKVS_REQUIRES(mutex) {
    leaving_->journal.swap(journal);
    return !leaving_->journal_lost;
  }
  void stop_journal() RKVS_REQUIRES(mutex);

  // Makes room in `target` for the expiries that move_entries() of so many entries may bring there.
  // False where there is no memory.
  bool prepare_move(Shard& target, size_t entries) const RKVS_REQUIRES(mutex, target.mutex);
  // Moves every entry with this hash, with its version, to `target`, which needs room for them and
  // prepare_move().
  void move_entries(uint64_t hash, Shard& target) RKVS_REQUIRES(mutex, target.mutex);
  void raise_version(uint64_t version) RKVS_REQUIRES(mutex) {
    if (last_version_ < version) last_version_ = version;
  }

  // --- Saving -----------------------------------------------------------------------------------

  // At a cut: from now on the content of this instant is `image`'s.
  void attach(ShardImage& image, SaveMark& save) RKVS_REQUIRES(mutex);
  // Makes of `image.entries`, whatever it held, what was there at the cut, and maybe what has come
  // since: it has if has_news(). False where there is no memory.
  bool copy_image(ShardImage& image) const RKVS_REQUIRES_SHARED(mutex);
  bool has_news(const ShardImage& image) const RKVS_REQUIRES_SHARED(mutex) {
    return last_version_ != image.held_version;
  }
  // Gives `target`, which will get entries of this shard, a part in the saves that need them. False
  // where there is no memory.
  bool share_images(Shard& target) const RKVS_REQUIRES(mutex, target.mutex);
  // Takes the save's record off, if there is one, and returns its graveyard.
  Graveyard detach(const SaveMark& save) RKVS_REQUIRES(mutex);
  // Takes the record off, and leaves its graveyard in it, unless other shards' images need it.
  void detach_done(const ShardImage& image) RKVS_REQUIRES(mutex);

  // Leaves the shard empty, and its content, with the references, in `table`, which must be empty.
  // Saves keep what they need. Needs prepare_write(size()).
  void clear_into(EntryTable& table) RKVS_REQUIRES(mutex);
  // The same at the end of a namespace, with no save on: not counted.
  void swap_out(EntryTable& table) RKVS_REQUIRES(mutex);
  // Gives back table and queue of a shard that is empty and will stay so.
  void give_back_if_empty() RKVS_REQUIRES(mutex) {
    if (table_.size() != 0) return;
    table_.reset();
    drop_expiries();
  }

 private:
  // Holds the key by value: a reference to it would keep it out of registers.
  struct HasKey {
    std::string_view key;
    bool operator()(const Entry& entry) const { return entry.has_key(key); }
  };
  struct IsPlainWithKey {
    std::string_view key;
    bool operator()(const Entry& entry) const { return entry.is_plain_with_key(key); }
  };

  // Every entry that leaves the table passes through here, with the table's reference, which is for
  // the caller: saves that need the entry get one of their own.
  Entry* unlink(Entry* entry) RKVS_REQUIRES(mutex) {
    if (images_ != nullptr) [[unlikely]]
      bury(entry);
    return entry;
  }
  bool prepare_graveyards(size_t leaving) RKVS_REQUIRES(mutex);
  bool copy_pending_images() RKVS_REQUIRES(mutex);
  void bury(Entry* entry) RKVS_REQUIRES(mutex);
  bool is_held(const Entry& entry) const RKVS_REQUIRES(mutex);

  Entry* take_out(uint64_t hash, Entry** slot) RKVS_REQUIRES(mutex) {
    Entry* entry = *slot;
    table_.erase(hash, slot);
    account_removed(*entry);
    return unlink(entry);
  }
  // The next item's entry, taken out; nullptr for an item that is stale.
  Entry* take_next_expired() RKVS_REQUIRES(mutex);
  // The place of the entry that an item is about, or nullptr.
  Entry** find_item(const ExpiryQueue::Item& item) const RKVS_REQUIRES_SHARED(mutex);
  // Of an entry that is in the table, and had the other expiry before.
  void note_expiry(uint64_t hash, const Entry& entry, int64_t before) RKVS_REQUIRES(mutex);
  void drop_expiries() RKVS_REQUIRES(mutex) {
    expiries_.reset();
    next_expiry_.store(ExpiryQueue::kNever, std::memory_order_relaxed);
  }

  // One writer at a time: no read-modify-write needed.
  static void count(std::atomic<uint64_t>& counter) {
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void account_added(const Entry& entry) RKVS_REQUIRES(mutex) {
    value_bytes_ += entry.value_size;
    entry_memory_ += entry.memory();
  }
  void account_removed(const Entry& entry) RKVS_REQUIRES(mutex) {
    value_bytes_ -= entry.value_size;
    entry_memory_ -= entry.memory();
  }

  EntryTable table_ RKVS_GUARDED_BY(mutex);
  std::unique_ptr<ShardLeaving> leaving_ RKVS_GUARDED_BY(mutex);

  // The second cache line. Versions only grow: each write takes the next one, and a shard that
  // receives entries first takes over their shard's counter if it is higher.
  uint64_t last_version_ RKVS_GUARDED_BY(mutex) = 0;
  uint64_t value_bytes_ RKVS_GUARDED_BY(mutex) = 0;
  uint64_t entry_memory_ RKVS_GUARDED_BY(mutex) = 0;
  // Written with the lock held.
  std::atomic<uint64_t> sets_{0};
  std::atomic<uint64_t> deletes_{0};
  // One for each save that is on.
  ShardImage* images_ RKVS_GUARDED_BY(mutex) = nullptr;
  std::unique_ptr<ExpiryQueue> expiries_ RKVS_GUARDED_BY(mutex);
  std::atomic<int64_t> next_expiry_{ExpiryQueue::kNever};

  // The third one.
  std::atomic<uint64_t> expired_{0};  // written with the lock held
  std::atomic<uint64_t> lock_waits_{0};
  std::atomic<uint64_t> timeouts_{0};
  std::atomic<uint64_t> rejected_{0};
  std::atomic<uint64_t> hits_{0};
  std::atomic<uint64_t> misses_{0};
};

static_assert(sizeof(Shard) == 192);

}  // namespace rkvs::internal

#endif  // RKVS_STORE_SHARD_H_
