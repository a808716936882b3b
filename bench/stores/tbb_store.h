// oneTBB's concurrent_hash_map.
#ifndef RKVS_BENCH_STORES_TBB_STORE_H_
#define RKVS_BENCH_STORES_TBB_STORE_H_

#include <oneapi/tbb/concurrent_hash_map.h>

#include <string>
#include <string_view>
#include <utility>

#include "bench/stores/blob.h"

namespace rkvs::bench {

struct TbbStore {
  struct HashCompare {
    using is_transparent = void;
    size_t hash(std::string_view key) const { return StringHash()(key); }
    bool equal(std::string_view a, std::string_view b) const { return a == b; }
  };
  using Map = oneapi::tbb::concurrent_hash_map<std::string, Blob, HashCompare>;
  using Handle = Blob;
  static constexpr bool kHasThreads = true;
  static constexpr bool kHasBatches = false;
  static constexpr size_t kSlowness = 1;

  Map map;

  bool get(std::string_view key, Handle& handle) {
    Map::const_accessor at;
    if (!map.find(at, key)) return false;
    handle = at->second;
    return true;
  }
  bool copy(std::string_view key, std::string& copy) {
    Map::const_accessor at;
    if (!map.find(at, key)) return false;
    copy.assign(at->second.view());
    return true;
  }
  bool exists(std::string_view key) { return map.count(key) != 0; }
  void set(std::string_view key, std::string_view value, Handle& old) {
    Blob blob(value);
    Map::accessor at;
    if (!map.find(at, key)) map.insert(at, std::string(key));
    at->second.swap(blob);
    old.swap(blob);
  }
  void put(std::string_view key, std::string_view value) {
    Handle old;
    set(key, value, old);
  }
  bool update(std::string_view key, std::string_view value, Handle& old) {
    Blob blob(value);
    Map::accessor at;
    if (!map.find(at, key)) return false;
    at->second.swap(blob);
    old.swap(blob);
    return true;
  }
  bool erase(std::string_view key) { return map.erase(key); }
  bool consume(std::string_view key, Handle& handle) {
    Map::accessor at;
    if (!map.find(at, key)) return false;
    handle = std::move(at->second);
    return map.erase(at);
  }
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_TBB_STORE_H_
