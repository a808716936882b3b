// Usage: the accounts of keys and bytes that make max_keys and max_bytes exact.
#ifndef RKVS_STORE_USAGE_H_
#define RKVS_STORE_USAGE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "store/budget.h"

namespace rkvs::internal {

// Without a limit nothing is counted: shards know their own sizes. With one, writers share a count
// only where the limit is near; see Budget.
//
// Keys: reserve() is called with the lock of the key's shard held, when it is certain that the key
// will be inserted, and release() when one was removed, with the lock still held. So whoever is
// refused was refused at an instant at which the namespace really held max_keys. Limits are set
// with all shards locked exclusively.
class Usage {
 public:
  // What a thread takes in advance: so much that the shared count is written once in many writes,
  // and so little that small limits, from which nobody may keep anything, are those below 8,192
  // keys and 8 MiB.
  static constexpr uint64_t kKeysInAdvance = 64;
  static constexpr uint64_t kBytesInAdvance = 64 << 10;

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
  Budget keys_{kKeysInAdvance};
  Budget bytes_{kBytesInAdvance};
  std::shared_ptr<Budget> shared_;
  std::atomic<bool> counts_bytes_{false};
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_USAGE_H_
