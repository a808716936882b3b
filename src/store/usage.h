// Usage: the accounts of keys and bytes that make max_keys and max_bytes exact.
#ifndef RKVS_STORE_USAGE_H_
#define RKVS_STORE_USAGE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "base/schedule.h"

namespace rkvs::internal {

// An amount with a limit. Counted only where there is one: then everything is reserved here before
// it happens. 0 = no limit.
class Budget {
 public:
  uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t headroom() const {
    const uint64_t used = this->used();
    return used < limit() ? limit() - used : 0;
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
  void set(uint64_t limit, uint64_t used) {
    limit_.store(limit, std::memory_order_relaxed);
    used_.store(used, std::memory_order_relaxed);
  }

  // All or nothing; if nothing, `fitting` says how much would have fitted at that instant.
  bool reserve(uint64_t amount, uint64_t* fitting = nullptr) {
    const uint64_t limit = this->limit();
    if (limit == 0) return true;
    uint64_t used = this->used();
    do {
      const uint64_t room = used < limit ? limit - used : 0;
      if (room < amount) {
        if (fitting != nullptr) *fitting = room;
        return false;
      }
      RKVS_SCHEDULE_POINT();
    } while (!used_.compare_exchange_weak(used, used + amount, std::memory_order_relaxed));
    return true;
  }
  // Of several changes that happen as one: the most that one of them, which asks for more, takes
  // the sum to, `peak`, must fit; then only what they come to is reserved, if that is more than
  // nothing. So nobody else is refused for the sake of a peak that nobody sees.
  static constexpr int64_t kNoPeak = std::numeric_limits<int64_t>::min();  // none asks for more
  bool reserve_peak(int64_t peak, int64_t net, int64_t* fitting) {
    const uint64_t limit = this->limit();
    if (limit == 0) return true;
    const uint64_t amount = net > 0 ? static_cast<uint64_t>(net) : 0;
    uint64_t used = this->used();
    do {
      const int64_t room = room_of(limit, used);
      if (room < peak) {
        *fitting = room;
        return false;
      }
      RKVS_SCHEDULE_POINT();
    } while (!used_.compare_exchange_weak(used, used + amount, std::memory_order_relaxed));
    return true;
  }
  // Whether it fits or not. `amount` may be negative: two's complement adds up.
  void charge(int64_t amount) {
    RKVS_SCHEDULE_POINT();
    if (limit() != 0) used_.fetch_add(static_cast<uint64_t>(amount), std::memory_order_relaxed);
  }

 private:
  static int64_t room_of(uint64_t limit, uint64_t used) {
    constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
    return used <= limit ? static_cast<int64_t>(std::min(limit - used, kMost))
                         : -static_cast<int64_t>(std::min(used - limit, kMost));
  }

  std::atomic<uint64_t> limit_{0};
  std::atomic<uint64_t> used_{0};
};

// Without a limit nothing is counted: shards know their own sizes, and no line of memory is shared
// by all writers.
//
// Keys: reserve() is called with the lock of the key's shard held, when it is certain that the key
// will be inserted, and release() when one was removed, with the lock still held. So whoever is
// refused was refused at an instant at which the namespace really held max_keys. Limits are set
// with all shards locked exclusively.
class Usage {
 public:
  uint64_t max_keys() const { return keys_.limit(); }

  // Sets the limit (0 = none) for a namespace that holds `keys` now.
  void set_limit(uint64_t max_keys, uint64_t keys) { keys_.set(max_keys, keys); }

  // Accounts for `count` new keys, all or none; if none, `fitting` says how many would have fitted
  // at that instant.
  bool reserve(uint64_t count, uint64_t* fitting = nullptr) {
    return keys_.reserve(count, fitting);
  }
  // See Budget.
  bool reserve_peak(int64_t peak, int64_t net, int64_t* fitting) {
    return keys_.reserve_peak(peak, net, fitting);
  }
  // How many more keys fit at this moment; only with a limit.
  uint64_t headroom() const { return keys_.headroom(); }
  int64_t keys_fitting() const { return keys_.fitting(); }
  void release(uint64_t count) { keys_.charge(-static_cast<int64_t>(count)); }

  // Bytes, of this namespace and of all together.
  uint64_t max_bytes() const { return bytes_.limit(); }
  uint64_t byte_headroom() const { return bytes_.headroom(); }
  bool counts_bytes() const { return counts_bytes_.load(std::memory_order_relaxed); }
  void set_byte_limit(uint64_t max_bytes, uint64_t used) {
    bytes_.set(max_bytes, used);
    note_counting();
  }
  // The account of several namespaces together. Before anybody else has this one.
  void share(std::shared_ptr<Budget> shared) {
    shared_ = std::move(shared);
    note_counting();
  }
  const Budget* shared() const { return shared_.get(); }
  // To be called when the limit of the shared account has changed, with all shards locked.
  void note_counting() {
    counts_bytes_.store(bytes_.limit() != 0 || (shared_ != nullptr && shared_->limit() != 0),
                        std::memory_order_relaxed);
  }
  // False if either limit is in the way; then nothing is reserved.
  bool reserve_bytes(uint64_t bytes) {
    if (!bytes_.reserve(bytes)) return false;
    if (shared_ == nullptr || shared_->reserve(bytes)) return true;
    bytes_.charge(-static_cast<int64_t>(bytes));
    return false;
  }
  bool reserve_peak_bytes(int64_t peak, int64_t net, int64_t* fitting) {
    if (!bytes_.reserve_peak(peak, net, fitting)) return false;
    if (shared_ == nullptr || shared_->reserve_peak(peak, net, fitting)) return true;
    if (net > 0) bytes_.charge(-net);
    return false;
  }
  // How many more bytes fit at this moment; see Budget.
  int64_t bytes_fitting() const {
    const int64_t own = bytes_.fitting();
    return shared_ == nullptr ? own : std::min(own, shared_->fitting());
  }
  void charge_bytes(int64_t bytes) {
    if (bytes == 0) return;
    bytes_.charge(bytes);
    if (shared_ != nullptr) shared_->charge(bytes);
  }

 private:
  Budget keys_;
  Budget bytes_;
  std::shared_ptr<Budget> shared_;
  std::atomic<bool> counts_bytes_{false};
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_USAGE_H_
