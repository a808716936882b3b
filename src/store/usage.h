// Usage: the account of keys that makes max_keys exact.
#ifndef RKVS_STORE_USAGE_H_
#define RKVS_STORE_USAGE_H_

#include <atomic>
#include <cstdint>

namespace rkvs::internal {

// Without a limit nothing is counted: shards know their own sizes, and no line of memory is shared
// by all writers. With a limit every new key is reserved here first.
//
// reserve() is called with the lock of the key's shard held, when it is certain that the key will
// be inserted, and release() when one was removed, with the lock still held. So whoever is refused
// was refused at an instant at which the namespace really held max_keys. set_limit() is called with
// all shards locked exclusively.
class Usage {
 public:
  uint64_t max_keys() const { return max_keys_.load(std::memory_order_relaxed); }

  // Sets the limit (0 = none) for a namespace that holds `keys` now.
  void set_limit(uint64_t max_keys, uint64_t keys) {
    max_keys_.store(max_keys, std::memory_order_relaxed);
    keys_.store(keys, std::memory_order_relaxed);
  }

  // Accounts for `count` new keys, all or none; if none, `fitting` says how many would have fitted
  // at that instant.
  bool reserve(uint64_t count, uint64_t* fitting = nullptr) {
    const uint64_t limit = max_keys();
    if (limit == 0) [[likely]]
      return true;
    uint64_t keys = keys_.load(std::memory_order_relaxed);
    do {
      const uint64_t room = keys < limit ? limit - keys : 0;
      if (room < count) {
        if (fitting != nullptr) *fitting = room;
        return false;
      }
    } while (!keys_.compare_exchange_weak(keys, keys + count, std::memory_order_relaxed));
    return true;
  }
  // How many more keys fit at this moment; only with a limit.
  uint64_t headroom() const {
    const uint64_t keys = keys_.load(std::memory_order_relaxed);
    return keys < max_keys() ? max_keys() - keys : 0;
  }
  void release(uint64_t count) {
    if (max_keys() != 0) keys_.fetch_sub(count, std::memory_order_relaxed);
  }

 private:
  std::atomic<uint64_t> max_keys_{0};
  std::atomic<uint64_t> keys_{0};
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_USAGE_H_
