#include "store/shard.h"

#include <algorithm>
#include <new>
#include <utility>

namespace rkvs::internal {
namespace {

ShardExtra* get_or_make(std::unique_ptr<ShardExtra>& extra) noexcept {
  if (extra == nullptr) extra.reset(new (std::nothrow) ShardExtra);
  return extra.get();
}

}  // namespace

bool Shard::prepare_collisions(size_t count) {
  ShardExtra* extra = get_or_make(extra_);
  if (extra == nullptr) return false;
  auto& overflow = extra->overflow;
  const size_t needed = overflow.size() + count;
  if (needed <= overflow.capacity()) return true;
  try {
    overflow.reserve(std::max(needed, overflow.size() * 2));
    return true;
  } catch (const std::bad_alloc&) {
    drop_unused_extra();
    return false;
  }
}

bool Shard::insert_as_is(uint64_t hash, Entry* entry) {
  if (!table_.insert(hash, entry)) {
    if (!prepare_collisions(1)) return false;
    extra_->overflow.push_back({hash, entry});
  }
  account_added(*entry);
  if (entry->has_expiry()) [[unlikely]]
    note_expiry(hash, *entry, 0);
  if (extra_ != nullptr && extra_->journaling) [[unlikely]] {
    try {
      extra_->journal.push_back(hash);
    } catch (const std::bad_alloc&) {
      extra_->journal_lost = true;
    }
  }
  return true;
}

Entry* Shard::remove(const HashedKey& key) {
  Entry* entry = nullptr;
  if (extra_ == nullptr) [[likely]] {
    entry = table_.take(key.hash, [&](const Entry& found) { return found.has_key(key.key); });
    if (entry == nullptr) return nullptr;
  } else if (Entry** slot = table_.find(key.hash); slot != nullptr && (*slot)->has_key(key.key)) {
    entry = *slot;
    erase_from_table(key.hash);
  } else {
    entry = find_overflow(key.hash, key.key);
    if (entry == nullptr) return nullptr;
    erase_from_overflow(entry);
  }
  account_removed(*entry);
  count(deletes_);
  return unlink(entry);
}

void Shard::erase_from_overflow(Entry* entry) {
  auto& overflow = extra_->overflow;
  for (auto& collision : overflow) {
    if (collision.entry != entry) continue;
    collision = overflow.back();
    overflow.pop_back();
    break;
  }
  drop_unused_extra();
}

void Shard::take_out(const HashedKey& key, Entry* entry) {
  if (Entry** slot = table_.find(key.hash); slot != nullptr && *slot == entry) {
    erase_from_table(key.hash);
  } else {
    erase_from_overflow(entry);
  }
  account_removed(*entry);
  unlink(entry);
}

ShardUsage Shard::live_usage(int64_t now) const {
  ShardUsage usage = this->usage();
  if (next_expiry() > now) return usage;
  std::vector<const Entry*> gone;
  expiries_->for_each_due(now, [&](const ExpiryQueue::Item& item) RKVS_NO_THREAD_SAFETY_ANALYSIS {
    const auto look_at = [&](const Entry* entry) {
      if (entry->expires_at() == item.at) gone.push_back(entry);
    };
    if (Entry* const* slot = table_.find(item.hash); slot != nullptr) look_at(*slot);
    if (extra_ == nullptr) return;
    for (const auto& [hash, entry] : extra_->overflow) {
      if (hash == item.hash) look_at(entry);
    }
  });
  // One that was removed and came back with the same expiry has two items.
  std::sort(gone.begin(), gone.end());
  gone.erase(std::unique(gone.begin(), gone.end()), gone.end());
  for (const Entry* entry : gone) {
    --usage.keys;
    usage.value_bytes -= entry->value_size;
  }
  return usage;
}

bool Shard::prepare_expiries(size_t count) {
  if (expiries_ == nullptr) expiries_.reset(new (std::nothrow) ExpiryQueue);
  return expiries_ != nullptr && expiries_->prepare(count);
}

bool Shard::prepare_expiries(const ExpiryQueue::Forecast& forecast) {
  return !forecast.exists() || (prepare_expiries(0) && expiries_->reserve(forecast.capacity()));
}

void Shard::note_expiry(uint64_t hash, const Entry& entry, int64_t before) {
  const int64_t at = entry.expires_at();
  // One that was there already with this time is in the queue.
  if (at == 0 || at == before) return;
  expiries_->push({at, hash});
  expiries_->sweep(2, [this](const ExpiryQueue::Item& item)
                          RKVS_NO_THREAD_SAFETY_ANALYSIS { return find_item(item) == nullptr; });
  next_expiry_.store(expiries_->earliest(), std::memory_order_relaxed);
}

Entry* Shard::find_item(const ExpiryQueue::Item& item) const {
  const auto is_it = [&](const Entry& entry) { return entry.expires_at() == item.at; };
  Entry* const* slot = table_.find(item.hash);
  if (slot != nullptr && is_it(**slot)) return *slot;
  if (extra_ == nullptr) return nullptr;
  for (const auto& [hash, entry] : extra_->overflow) {
    if (hash == item.hash && is_it(*entry)) return entry;
  }
  return nullptr;
}

Entry* Shard::take_next_expired() {
  const ExpiryQueue::Item item = expiries_->pop();
  next_expiry_.store(expiries_->earliest(), std::memory_order_relaxed);
  Entry* entry = find_item(item);
  if (entry == nullptr) return nullptr;
  take_out({entry->key(), item.hash}, entry);
  count(expired_);
  return entry;
}

Entry* Shard::reclaim_key(const HashedKey& key, int64_t now) {
  Entry* entry = find(key);
  if (entry == nullptr || !entry->has_expired_by(now)) return nullptr;
  take_out(key, entry);
  count(expired_);
  // Its item is most often the first one, and of no use any more.
  if (expiries_->earliest() <= now && find_item(expiries_->front()) == nullptr) {
    static_cast<void>(expiries_->pop());
    next_expiry_.store(expiries_->earliest(), std::memory_order_relaxed);
  }
  return entry;
}

Entry* Shard::find_overflow(uint64_t hash, std::string_view key) const {
  for (const auto& [other, entry] : extra_->overflow) {
    if (other == hash && entry->has_key(key)) return entry;
  }
  return nullptr;
}

Entry** Shard::find_overflow_slot(const HashedKey& key) {
  for (auto& [hash, entry] : extra_->overflow) {
    if (hash == key.hash && entry->has_key(key.key)) return &entry;
  }
  return nullptr;
}

bool Shard::start_journal() {
  ShardExtra* extra = get_or_make(extra_);
  if (extra == nullptr) return false;
  extra->journal.clear();
  extra->journaling = true;
  extra->journal_lost = false;
  extra->scan = ShardExtra::Scan::kFromStart;
  return true;
}

bool Shard::scan_hashes(size_t limit, std::vector<uint64_t>& out) const {
  using Scan = ShardExtra::Scan;
  ShardExtra& extra = *extra_;
  if (extra.scan == Scan::kAtEnd) return false;
  if (extra.scan == Scan::kFromStart) {
    for (const auto& collision : extra.overflow) out.push_back(collision.hash);
  }
  const bool more = table_.scan(extra.scan == Scan::kFromHash ? &extra.scan_hash : nullptr, limit,
                                out, extra.scan_hash);
  extra.scan = more ? Scan::kFromHash : Scan::kAtEnd;
  return more;
}

void Shard::erase_from_table(uint64_t hash) {
  if (extra_ != nullptr && extra_->scan == ShardExtra::Scan::kFromHash &&
      extra_->scan_hash == hash) {
    // The scan was to go on with this one: now with the one behind it.
    if (!table_.next_hash(hash, extra_->scan_hash)) extra_->scan = ShardExtra::Scan::kAtEnd;
  }
  table_.erase(hash);
}

void Shard::stop_journal() {
  if (extra_ == nullptr) return;
  extra_->journaling = false;
  extra_->journal = {};
  extra_->scan = ShardExtra::Scan::kAtEnd;
  drop_unused_extra();
}

bool Shard::prepare_move(Shard& target, size_t hashes) const {
  const size_t collisions = extra_ == nullptr ? 0 : extra_->overflow.size();
  if (expiries_ != nullptr && !target.prepare_expiries(hashes + collisions)) return false;
  // Entries with one hash are in one bucket, so the target holds none that they could meet: they
  // can only meet each other.
  return collisions == 0 || target.prepare_collisions(collisions);
}

void Shard::move_entries(uint64_t hash, Shard& target) {
  if (Entry** slot = table_.find(hash); slot != nullptr) {
    account_removed(**slot);
    target.insert_as_is(hash, *slot);
    erase_from_table(hash);
  }
  if (extra_ == nullptr) return;
  auto& overflow = extra_->overflow;
  for (size_t i = 0; i < overflow.size();) {
    if (overflow[i].hash != hash) {
      ++i;
      continue;
    }
    account_removed(*overflow[i].entry);
    target.insert_as_is(hash, overflow[i].entry);
    overflow[i] = overflow.back();
    overflow.pop_back();
  }
}

void ShardImage::select(uint64_t greatest_version) {
  // Entries lie anywhere: ask for each a little ahead.
  constexpr size_t kAhead = 16;
  size_t kept = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i + kAhead < entries.size()) __builtin_prefetch(entries[i + kAhead]);
    if (entries[i]->version() <= greatest_version) entries[kept++] = entries[i];
  }
  entries.resize(kept);
}

void Shard::attach(ShardImage& image, SaveMark& save) {
  image.save = &save;
  image.held_version = last_version_;
  image.pending = true;
  image.next = images_;
  images_ = &image;
}

bool Shard::copy_image(ShardImage& image) const {
  auto& entries = image.entries;
  const size_t most = size() + image.graveyard.size();
  try {
    // The next shard, for which the memory is used again, may have some more.
    if (entries.capacity() < most) entries.reserve(most + most / 8);
  } catch (const std::bad_alloc&) {
    return false;
  }
  for_each([&](uint64_t, Entry* entry) { entries.push_back(entry); });
  image.graveyard.for_each([&](Entry* entry) { entries.push_back(entry); });
  return true;
}

bool Shard::prepare_graveyards(size_t leaving) {
  for (ShardImage* image = images_; image != nullptr; image = image->next) {
    if (!image->graveyard.prepare(leaving)) return false;
  }
  return true;
}

bool Shard::copy_pending_images() {
  for (ShardImage* image = images_; image != nullptr; image = image->next) {
    if (!image->pending) continue;
    if (!copy_image(*image)) return false;
    if (has_news(*image)) image->select(image->held_version);
    image->pending = false;
  }
  return true;
}

void Shard::bury(Entry* entry) {
  for (ShardImage* image = images_; image != nullptr; image = image->next) {
    if (!image->holds(*entry)) continue;
    entry->retain();
    image->graveyard.add(entry);
  }
}

bool Shard::is_held(const Entry& entry) const {
  for (const ShardImage* image = images_; image != nullptr; image = image->next) {
    if (image->holds(entry)) return true;
  }
  return false;
}

bool Shard::share_images(Shard& target) const {
  for (const ShardImage* image = images_; image != nullptr; image = image->next) {
    if (image->save->finished.load(std::memory_order_acquire)) continue;
    ShardImage* theirs = target.images_;
    while (theirs != nullptr && theirs->save != image->save) theirs = theirs->next;
    if (theirs == nullptr) {
      theirs = new (std::nothrow) ShardImage;
      if (theirs == nullptr) return false;
      theirs->save = image->save;
      theirs->owned_by_shard = true;
      theirs->next = target.images_;
      target.images_ = theirs;
    }
    theirs->held_version = std::max(theirs->held_version, image->held_version);
    theirs->holds_for_others = true;
  }
  return true;
}

Graveyard Shard::detach(const SaveMark& save) {
  Graveyard graveyard;
  for (ShardImage** link = &images_; *link != nullptr; link = &(*link)->next) {
    ShardImage* image = *link;
    if (image->save != &save) continue;
    *link = image->next;
    graveyard.swap(image->graveyard);
    if (image->owned_by_shard) delete image;
    break;
  }
  return graveyard;
}

void Shard::detach_done(const ShardImage& image) {
  if (image.holds_for_others) return;
  for (ShardImage** link = &images_; *link != nullptr; link = &(*link)->next) {
    if (*link != &image) continue;
    *link = image.next;
    break;
  }
}

void Shard::clear_into(EntryTable& table, std::vector<Entry*>& overflow) {
  if (images_ != nullptr) {
    for_each([this](uint64_t, Entry* entry) RKVS_NO_THREAD_SAFETY_ANALYSIS { bury(entry); });
  }
  deletes_.store(deletes() + size(), std::memory_order_relaxed);
  std::swap(table_, table);
  if (extra_ != nullptr) {
    for (const auto& collision : extra_->overflow) overflow.push_back(collision.entry);
    extra_->overflow.clear();
    // A resize that is looking through the table has nothing left to find: what comes from now on
    // it is told.
    extra_->scan = ShardExtra::Scan::kAtEnd;
    drop_unused_extra();
  }
  value_bytes_ = 0;
  entry_memory_ = 0;
  drop_expiries();
}

void Shard::swap_out(EntryTable& table, std::unique_ptr<ShardExtra>& extra) {
  std::swap(table_, table);
  std::swap(extra_, extra);
  value_bytes_ = 0;
  entry_memory_ = 0;
  drop_expiries();
}

Shard::~Shard() {
  // Nobody else can reach it any more; the lock is for the analysis.
  const WriterLock lock(mutex);
  for_each([](uint64_t, Entry* entry) { entry->release(); });
}

}  // namespace rkvs::internal
