// absl::flat_hash_map without a lock, and std::unordered_map under a std::shared_mutex.
#ifndef RKVS_BENCH_STORES_MAP_STORE_H_
#define RKVS_BENCH_STORES_MAP_STORE_H_

#include <absl/container/flat_hash_map.h>

#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "bench/stores/blob.h"

namespace rkvs::bench {

// What a lock is where there is none.
struct NoMutex {
  void lock() {}
  void unlock() {}
  void lock_shared() {}
  void unlock_shared() {}
};

template <typename Map, typename Mutex>
struct MapStore {
  using Handle = Blob;
  static constexpr bool kHasThreads = !std::is_same_v<Mutex, NoMutex>;
  static constexpr bool kHasBatches = false;
  static constexpr size_t kSlowness = 1;

  Map map;
  Mutex mutex;

  bool get(std::string_view key, Handle& handle) {
    const std::shared_lock lock(mutex);
    const auto it = map.find(key);
    if (it == map.end()) return false;
    handle = it->second;
    return true;
  }
  bool copy(std::string_view key, std::string& copy) {
    const std::shared_lock lock(mutex);
    const auto it = map.find(key);
    if (it == map.end()) return false;
    copy.assign(it->second.view());
    return true;
  }
  bool exists(std::string_view key) {
    const std::shared_lock lock(mutex);
    return map.find(key) != map.end();
  }
  // Allocates before it locks and frees after it.
  void set(std::string_view key, std::string_view value, Handle& old) {
    Blob blob(value);
    const std::unique_lock lock(mutex);
    const auto it = map.find(key);
    if (it != map.end()) {
      it->second.swap(blob);
      old.swap(blob);
    } else {
      map.try_emplace(std::string(key), std::move(blob));
    }
  }
  void put(std::string_view key, std::string_view value) {
    Blob blob(value);
    const std::unique_lock lock(mutex);
    const auto it = map.find(key);
    if (it != map.end()) {
      it->second.swap(blob);
    } else {
      map.try_emplace(std::string(key), std::move(blob));
    }
  }
  bool update(std::string_view key, std::string_view value, Handle& old) {
    Blob blob(value);
    const std::unique_lock lock(mutex);
    const auto it = map.find(key);
    if (it == map.end()) return false;
    it->second.swap(blob);
    old.swap(blob);
    return true;
  }
  bool erase(std::string_view key) {
    Handle old;
    return consume(key, old);
  }
  bool consume(std::string_view key, Handle& handle) {
    const std::unique_lock lock(mutex);
    const auto it = map.find(key);
    if (it == map.end()) return false;
    handle = std::move(it->second);
    map.erase(it);
    return true;
  }
};

// The limit for one thread.
using AbslStore =
    MapStore<absl::flat_hash_map<std::string, Blob, StringHash, std::equal_to<>>, NoMutex>;
// What many programs have.
using StdStore =
    MapStore<std::unordered_map<std::string, Blob, StringHash, std::equal_to<>>, std::shared_mutex>;

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_MAP_STORE_H_
