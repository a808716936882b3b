#include "store/budget.h"

#include <new>

namespace rkvs::internal {

void Budget::set(uint64_t limit, uint64_t used) {
  const MutexLock lock(mutex_);
  limit_.store(limit, std::memory_order_relaxed);
  used_.store(used);
  AllKept* kept = this->kept();
  if (kept != nullptr) {
    for (Kept& one : *kept) one.word.store(0);
  } else if (limit != 0 && is_plenty(0)) {
    // Without memory for it everybody counts in one place.
    kept_.store(new (std::nothrow) AllKept, std::memory_order_release);
  }
}

bool Budget::keep(uint64_t amount) {
  std::atomic<uint64_t>* const own = this->own();
  if (own == nullptr || amount > portion_) return false;
  uint64_t word = own->load(std::memory_order_relaxed);
  for (;;) {
    if (is_settling_.load() || !is_plenty(used_.load(std::memory_order_relaxed))) return false;
    if ((word & kAmount) + amount > 2 * portion_) break;
    RKVS_SCHEDULE_POINT();
    if (own->compare_exchange_weak(word, word + amount + kGrown)) return true;
  }
  // More than enough: a portion goes back, and this as well, unless all was collected meanwhile.
  if (!mutex_.try_lock()) return false;
  word = own->load(std::memory_order_relaxed);
  const bool has_portion = (word & kAmount) >= portion_;
  if (has_portion) {
    own->store(word - portion_);
    RKVS_SCHEDULE_POINT();
    used_.fetch_sub(portion_ + amount);
  }
  mutex_.unlock();
  return has_portion;
}

bool Budget::reserve_shared(int64_t peak, uint64_t amount, uint64_t more, int64_t* room) {
  const uint64_t limit = this->limit();
  std::atomic<uint64_t>* const own = this->own();
  if (own != nullptr && more != 0 && amount <= more && is_plenty(used_.load()) &&
      mutex_.try_lock()) {
    bool done = false;
    uint64_t used = used_.load();
    while (!done && is_plenty(used) && room_of(limit, used) >= peak) {
      RKVS_SCHEDULE_POINT();
      done = used_.compare_exchange_weak(used, used + amount + more);
    }
    if (done) own->fetch_add(more + kGrown);
    mutex_.unlock();
    if (done) return true;
  }
  for (uint64_t used = used_.load();;) {
    if (room_of(limit, used) < peak) {
      used = this->used();
      *room = room_of(limit, used);
      if (*room < peak) return false;
    }
    RKVS_SCHEDULE_POINT();
    if (used_.compare_exchange_weak(used, used + amount)) return true;
  }
}

uint64_t Budget::settle() const {
  const MutexLock lock(mutex_);
  AllKept& all = *kept();
  is_settling_.store(true);
  std::array<uint64_t, std::tuple_size_v<AllKept>> seen;
  for (;;) {
    for (size_t i = 0; i < all.size(); ++i) {
      uint64_t word = all[i].word.load();
      while ((word & kAmount) != 0) {
        RKVS_SCHEDULE_POINT();
        if (!all[i].word.compare_exchange_weak(word, word & ~kAmount)) continue;
        used_.fetch_sub(word & kAmount);
        word &= ~kAmount;
      }
      seen[i] = word;
    }
    const uint64_t used = used_.load();
    RKVS_SCHEDULE_POINT();
    size_t same = 0;
    while (same < all.size() && all[same].word.load() == seen[same]) ++same;
    if (same == all.size()) {
      is_settling_.store(false);
      return used;
    }
  }
}

}  // namespace rkvs::internal
