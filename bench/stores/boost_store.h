// boost::concurrent_flat_map, from Boost 1.83 on; its batch gets are bulk visits, from 1.84 on.
//
// Overwrites visit first and insert when nothing was there: an overwrite is one visit with a key
// that need not become a std::string. BoostOneCallStore does what is shorter to write, one call
// that inserts or visits: that looks at the counter of insertions as well and makes a std::string
// first, so it inserts faster and overwrites slower. Either way each overwrite makes a new value,
// before there is a lock, and frees the old one when there is none any more.
#ifndef RKVS_BENCH_STORES_BOOST_STORE_H_
#define RKVS_BENCH_STORES_BOOST_STORE_H_

#include <boost/unordered/concurrent_flat_map.hpp>
#include <boost/version.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/stores/blob.h"
#include "bench/stores/in_process.h"

namespace rkvs::bench {

struct BoostStore {
  using Handle = Blob;
  static constexpr bool kHasThreads = true;
  static constexpr bool kHasBatches = true;
  static constexpr size_t kSlowness = 1;

  boost::concurrent_flat_map<std::string, Blob, StringHash, std::equal_to<>> map;

  bool get(std::string_view key, Handle& handle) {
    return map.cvisit(key, [&](const auto& entry) { handle = entry.second; }) != 0;
  }
  bool copy(std::string_view key, std::string& copy) {
    return map.cvisit(key, [&](const auto& entry) { copy.assign(entry.second.view()); }) != 0;
  }
  bool exists(std::string_view key) { return map.contains(key); }
  void set(std::string_view key, std::string_view value, Handle& old) {
    Blob blob(value);
    if (map.visit(key, [&](auto& entry) { entry.second.swap(blob); }) != 0) {
      old.swap(blob);
      return;
    }
    map.insert_or_assign(std::string(key), std::move(blob));
  }
  void put(std::string_view key, std::string_view value) {
    Blob blob(value);
    if (map.visit(key, [&](auto& entry) { entry.second.swap(blob); }) != 0) return;
    map.insert_or_assign(std::string(key), std::move(blob));
  }
  bool update(std::string_view key, std::string_view value, Handle& old) {
    Blob blob(value);
    if (map.visit(key, [&](auto& entry) { entry.second.swap(blob); }) == 0) return false;
    old.swap(blob);
    return true;
  }
  bool erase(std::string_view key) { return map.erase(key) != 0; }
  bool consume(std::string_view key, Handle& handle) {
    return map.erase_if(key, [&](auto& entry) {
      handle = std::move(entry.second);
      return true;
    }) != 0;
  }

  void get_batch(std::span<const std::string_view> keys, bool) {
    std::vector<Handle> handles(keys.size());
#if BOOST_VERSION >= 108400
    // Visits come in the order of the keys, but are not told which key they are for.
    size_t found = 0;
    map.cvisit(keys.begin(), keys.end(),
               [&](const auto& entry) { handles[found++] = entry.second; });
    expect(found == keys.size());
#else
    for (size_t i = 0; i < keys.size(); ++i) expect(get(keys[i], handles[i]));
#endif
    keep(handles.data());
  }
  void set_batch(std::span<const KeyValue> items, bool) {
    std::vector<Handle> olds(items.size());
    for (size_t i = 0; i < items.size(); ++i) set(items[i].key, items[i].value, olds[i]);
    keep(olds.data());
  }
  void erase_batch(std::span<const std::string_view> keys, bool) {
    for (const std::string_view key : keys) expect(erase(key));
  }
  void consume_batch(std::span<const std::string_view> keys, bool) {
    std::vector<Handle> handles(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) expect(consume(keys[i], handles[i]));
    keep(handles.data());
  }
};

struct BoostOneCallStore : BoostStore {
  void put(std::string_view key, std::string_view value) {
    Blob blob(value);
    // What it does not insert it does not move from.
    map.try_emplace_or_visit(std::string(key), std::move(blob),
                             [&](auto& entry) { entry.second.swap(blob); });
  }
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_BOOST_STORE_H_
