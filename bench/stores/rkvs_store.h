// rkvs itself, at its defaults where a workload does not say how many shards.
#ifndef RKVS_BENCH_STORES_RKVS_STORE_H_
#define RKVS_BENCH_STORES_RKVS_STORE_H_

#include <rkvs/all.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "bench/stores/in_process.h"

namespace rkvs::bench {

struct RkvsStore {
  using Handle = Value;
  static constexpr bool kHasThreads = true;
  static constexpr bool kHasBatches = true;
  static constexpr size_t kSlowness = 1;

  std::optional<StorageManager> manager;
  std::optional<Namespace> ns;

  explicit RkvsStore(NamespaceConfig config) { open("", config); }
  explicit RkvsStore(const Workload& workload)
      : RkvsStore(NamespaceConfig{.shard_count = workload.shards}) {}

  // Begins anew, empty, with a directory for snapshots.
  void open(const std::string& directory, NamespaceConfig config = {}) {
    ns.reset();
    manager.emplace(StorageOptions{.directory = directory});
    expect(manager->initialize().ok());
    ns.emplace(*manager->create_namespace("bench", config));
  }

  bool get(std::string_view key, Handle& handle) {
    auto found = ns->get(key);
    if (!found.ok()) return false;
    handle = *std::move(found);
    return true;
  }
  bool copy(std::string_view key, std::string& copy) {
    const auto found = ns->get(key);
    if (!found.ok()) return false;
    copy.assign(found->view());
    return true;
  }
  bool exists(std::string_view key) { return *ns->exists(key); }
  void set(std::string_view key, std::string_view value, Handle& old) {
    auto result = ns->set(key, value);
    expect(result.ok());
    if (result->has_value()) old = std::move(**result);
  }
  void put(std::string_view key, std::string_view value) { expect(ns->put(key, value).ok()); }
  bool update(std::string_view key, std::string_view value, Handle& old) {
    auto result = ns->update(key, value);
    if (!result.ok()) return false;
    old = *std::move(result);
    return true;
  }
  bool erase(std::string_view key) { return *ns->delete_key(key); }
  bool consume(std::string_view key, Handle& handle) {
    auto found = ns->consume(key);
    if (!found.ok()) return false;
    handle = *std::move(found);
    return true;
  }

  // A walk through all keys, in no order, begun again at its end; values come with it.
  class Scanner {
   public:
    explicit Scanner(RkvsStore& store) : store_(store), scan_(begin()) {}
    void next(size_t limit) {
      if (scan_.is_done()) scan_ = begin();
      const auto items = scan_.next(limit);
      expect(items.ok());
      keep(items->data());
    }

   private:
    Scan begin() {
      auto scan = store_.ns->scan();
      expect(scan.ok());
      return *std::move(scan);
    }
    RkvsStore& store_;
    Scan scan_;
  };

  static BatchMode mode(bool all) {
    return all ? BatchMode::kAllOrNothing : BatchMode::kBestEffort;
  }
  void get_batch(std::span<const std::string_view> keys, bool all) {
    expect(ns->get_multiple(keys, mode(all)).is_success());
  }
  void set_batch(std::span<const KeyValue> items, bool all) {
    expect(ns->set_multiple(items, mode(all)).is_success());
  }
  void erase_batch(std::span<const std::string_view> keys, bool all) {
    expect(ns->delete_multiple(keys, mode(all)).is_success());
  }
  void consume_batch(std::span<const std::string_view> keys, bool all) {
    expect(ns->consume_multiple(keys, mode(all)).is_success());
  }
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_RKVS_STORE_H_
