#include "store/shard.h"

#include <algorithm>
#include <new>
#include <utility>

namespace rkvs::internal {

void Shard::insert_as_is(uint64_t hash, Entry* entry) {
  table_.insert(hash, entry);
  account_added(*entry);
  if (entry->has_expiry()) [[unlikely]]
    note_expiry(hash, *entry, 0);
  if (leaving_ != nullptr) [[unlikely]] {
    try {
      leaving_->journal.push_back(hash);
    } catch (const std::bad_alloc&) {
      leaving_->journal_lost = true;
    }
  }
}

Entry** Shard::find_slot_carefully(std::string_view key, uint64_t hash) {
  return find_slot({key, hash});
}

ShardUsage Shard::live_usage(int64_t now) const {
  ShardUsage usage = this->usage();
  if (next_expiry() > now) return usage;
  std::vector<const Entry*> gone;
  expiries_->for_each_due(now, [&](const ExpiryQueue::Item& item) RKVS_NO_THREAD_SAFETY_ANALYSIS {
    table_.for_each_with(item.hash, [&](Entry* const* slot) {
      if ((*slot)->expires_at() == item.at) gone.push_back(*slot);
      return true;
    });
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

Entry** Shard::find_item(const ExpiryQueue::Item& item) const {
  return table_.find_exactly(item.hash,
                             [&](const Entry& entry) { return entry.expires_at() == item.at; });
}

Entry* Shard::take_next_expired() {
  const ExpiryQueue::Item item = expiries_->pop();
  next_expiry_.store(expiries_->earliest(), std::memory_order_relaxed);
  Entry** slot = find_item(item);
  if (slot == nullptr) return nullptr;
  count(expired_);
  return take_out(item.hash, slot);
}

Entry* Shard::reclaim_key(const HashedKey& key, int64_t now) {
  Entry** slot = find_slot(key);
  if (slot == nullptr || !(*slot)->has_expired_by(now)) return nullptr;
  Entry* entry = take_out(key.hash, slot);
  count(expired_);
  // Its item is most often the first one, and of no use any more.
  if (expiries_->earliest() <= now && find_item(expiries_->front()) == nullptr) {
    static_cast<void>(expiries_->pop());
    next_expiry_.store(expiries_->earliest(), std::memory_order_relaxed);
  }
  return entry;
}

bool Shard::start_journal() {
  leaving_.reset(new (std::nothrow) ShardLeaving);
  return leaving_ != nullptr;
}

bool Shard::scan_hashes(size_t limit, std::vector<uint64_t>& out) const {
  return table_.scan(leaving_->position, limit, out);
}

void Shard::stop_journal() { leaving_.reset(); }

bool Shard::prepare_move(Shard& target, size_t entries) const {
  return expiries_ == nullptr || target.prepare_expiries(entries);
}

void Shard::move_entries(uint64_t hash, Shard& target) {
  const auto any = [](const Entry&) { return true; };
  while (Entry** slot = table_.find_exactly(hash, any)) {
    account_removed(**slot);
    target.insert_as_is(hash, *slot);
    table_.erase(hash, slot);
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
    // The next shard, for which the memory is used again, may have some more. One more than there
    // are, for copy_to(). What is in it already need not be cleared, with the lock held.
    if (entries.capacity() <= most) entries.reserve(most + most / 8 + 1);
    entries.resize(most + 1);
  } catch (const std::bad_alloc&) {
    return false;
  }
  entries.resize(static_cast<size_t>(table_.copy_to(entries.data()) - entries.data()));
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

void Shard::clear_into(EntryTable& table) {
  if (images_ != nullptr) {
    for_each([this](Entry* entry) RKVS_NO_THREAD_SAFETY_ANALYSIS { bury(entry); });
  }
  deletes_.store(deletes() + size(), std::memory_order_relaxed);
  swap_out(table);
}

void Shard::swap_out(EntryTable& table) {
  // A resize that is looking through the table has nothing left to find: what comes from now on it
  // is told.
  table_.swap(table);
  value_bytes_ = 0;
  entry_memory_ = 0;
  drop_expiries();
}

Shard::~Shard() {
  // Nobody else can reach it any more; the lock is for the analysis.
  const WriterLock lock(mutex);
  for_each([](Entry* entry) { entry->release(); });
}

}  // namespace rkvs::internal
