// Budget: an amount with a limit that is exact at all times.
#ifndef RKVS_STORE_BUDGET_H_
#define RKVS_STORE_BUDGET_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>

#include "base/mutex.h"
#include "base/schedule.h"
#include "base/thread_annotations.h"
#include "base/thread_slot.h"

namespace rkvs::internal {

// Counted only where there is a limit: then everything is reserved here before it happens. 0 = no
// limit. Safe for concurrent use.
//
// So that writers do not all write one count, each thread takes some in advance, `portion` at a
// time, while there is plenty, and keeps as much of what it gives back: used_ has what is in use
// and what is kept. Nothing is refused before all that is kept has been collected, and none was
// there at one instant: settle(). Where the limit is near, nobody begins to keep anything.
class Budget {
 public:
  explicit Budget(uint64_t portion = 1) : portion_(portion) {}
  ~Budget() { delete kept_.load(std::memory_order_relaxed); }
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  // In use, at an instant between call and return.
  uint64_t used() const { return kept() == nullptr ? used_.load() : settle(); }
  uint64_t headroom() const {
    const uint64_t limit = this->limit();
    const uint64_t used = this->used();
    return used < limit ? limit - used : 0;
  }

  // The same, where no limit is the largest number, and less than nothing where more is in use than
  // the limit: a resize may come to that.
  int64_t fitting() const {
    const uint64_t limit = this->limit();
    const int64_t fitting =
        limit == 0 ? std::numeric_limits<int64_t>::max() : room_of(limit, used());
    RKVS_SCHEDULE_POINT();
    return fitting;
  }

  // Sets the limit where `used` is in use now. With everybody who counts kept out.
  void set(uint64_t limit, uint64_t used);

  // All or nothing; if nothing, `fitting` says how much would have fitted at that instant. `amount`
  // is below 2^63.
  bool reserve(uint64_t amount, uint64_t* fitting = nullptr) {
    if (limit() == 0 || spend(amount)) return true;
    int64_t room = 0;
    if (reserve_shared(room_of(amount, 0), amount, portion_, &room)) return true;
    if (fitting != nullptr) *fitting = room > 0 ? static_cast<uint64_t>(room) : 0;
    return false;
  }
  // Of several changes that happen as one: the most that one of them, which asks for more, takes
  // the sum to, `peak`, must fit; then only what they come to is reserved, if that is more than
  // nothing. So nobody else is refused for the sake of a peak that nobody sees.
  static constexpr int64_t kNoPeak = std::numeric_limits<int64_t>::min();  // none asks for more
  bool reserve_peak(int64_t peak, int64_t net, int64_t* fitting) {
    if (limit() == 0) return true;
    return reserve_shared(peak, net > 0 ? static_cast<uint64_t>(net) : 0, 0, fitting);
  }
  // Whether it fits or not. `amount` may be negative: two's complement adds up.
  void charge(int64_t amount) {
    RKVS_SCHEDULE_POINT();
    if (limit() == 0 || (amount < 0 && keep(-static_cast<uint64_t>(amount)))) return;
    used_.fetch_add(static_cast<uint64_t>(amount));
  }

 private:
  // Of one thread: what it keeps, below, and how often that has grown, above. So nobody who has
  // seen the same twice has missed a change from nothing and back.
  struct alignas(64) Kept {
    std::atomic<uint64_t> word{0};
  };
  using AllKept = std::array<Kept, kThreadSlots - 1>;
  static constexpr uint64_t kGrown = uint64_t{1} << 32;
  static constexpr uint64_t kAmount = kGrown - 1;

  static int64_t room_of(uint64_t limit, uint64_t used) {
    constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
    return used <= limit ? static_cast<int64_t>(limit - used < kMost ? limit - used : kMost)
                         : -static_cast<int64_t>(used - limit < kMost ? used - limit : kMost);
  }

  AllKept* kept() const { return kept_.load(std::memory_order_acquire); }
  // The calling thread's; nullptr where nobody keeps anything, or there are too many threads.
  std::atomic<uint64_t>* own() const {
    AllKept* const kept = this->kept();
    if (kept == nullptr) return nullptr;
    const uint32_t slot = thread_slot();
    return slot < kSharedThreadSlot ? &(*kept)[slot].word : nullptr;
  }
  // Whether all threads could keep twice a portion and be far from the limit still.
  bool is_plenty(uint64_t used) const {
    return used < limit() && (limit() - used) / (2 * kThreadSlots) > portion_;
  }

  // Takes it from what the thread keeps, if that is enough.
  bool spend(uint64_t amount) {
    std::atomic<uint64_t>* const own = this->own();
    if (own == nullptr) return false;
    uint64_t word = own->load(std::memory_order_relaxed);
    while ((word & kAmount) >= amount) {
      // Where charge() has gone beyond the limit, what is kept is nobody's to spend.
      if (used_.load() > limit()) return false;
      RKVS_SCHEDULE_POINT();
      if (own->compare_exchange_weak(word, word - amount)) return true;
    }
    return false;
  }
  // Keeps what is given back, if there is plenty and the thread has not got enough.
  bool keep(uint64_t amount);
  // Takes `amount` from used_ if `peak` fits, and where there is plenty `more` to be kept. If not,
  // `room` says what would have fitted at an instant.
  [[gnu::noinline]] bool reserve_shared(int64_t peak, uint64_t amount, uint64_t more,
                                        int64_t* room);
  // Collects all that is kept, and returns what is in use at an instant at which nobody keeps
  // anything.
  uint64_t settle() const RKVS_EXCLUDES(mutex_);

  const uint64_t portion_;
  std::atomic<uint64_t> limit_{0};
  // Made when it is of use for the first time.
  std::atomic<AllKept*> kept_{nullptr};
  // Written by those who have nothing at hand: not in the line of what everybody reads.
  alignas(64) mutable std::atomic<uint64_t> used_{0};
  mutable std::atomic<bool> is_settling_{false};  // nobody begins to keep anything
  // Held by whoever moves amounts between used_ and what is kept, which are in both meanwhile. Only
  // settle() and set() wait for it. Nothing else is locked within.
  mutable Mutex mutex_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_BUDGET_H_
