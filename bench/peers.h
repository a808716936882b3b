// What the store is measured against, behind one interface.
#ifndef RKVS_BENCH_PEERS_H_
#define RKVS_BENCH_PEERS_H_

#include <absl/container/flat_hash_map.h>
#include <rkvs/all.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rkvs::bench {

// A refcounted immutable value, so that the peers do what rkvs does: a get takes a handle.
class Blob {
 public:
  Blob() = default;
  explicit Blob(std::string_view value)
      : body_(static_cast<Body*>(std::malloc(sizeof(Body) + value.size()))) {
    new (body_) Body{{1}, value.size()};
    std::memcpy(static_cast<void*>(body_ + 1), value.data(), value.size());
  }
  Blob(const Blob& other) : body_(other.body_) {
    if (body_ != nullptr) body_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  Blob(Blob&& other) noexcept : body_(std::exchange(other.body_, nullptr)) {}
  Blob& operator=(Blob other) noexcept {
    std::swap(body_, other.body_);
    return *this;
  }
  ~Blob() {
    if (body_ == nullptr) return;
    if (body_->refs.load(std::memory_order_acquire) == 1 ||
        body_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      std::free(body_);
    }
  }
  size_t size() const { return body_->size; }

 private:
  struct Body {
    std::atomic<uint32_t> refs;
    size_t size;
  };
  Body* body_ = nullptr;
};

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view key) const { return XXH3_64bits(key.data(), key.size()); }
};

struct Rkvs {
  using Handle = Value;
  StorageManager manager;
  std::optional<Namespace> ns;

  explicit Rkvs(NamespaceConfig config = {}) {
    if (!manager.initialize().ok()) std::abort();
    ns.emplace(*manager.create_namespace("bench", config));
  }
  bool get(std::string_view key, Handle& handle) {
    auto found = ns->get(key);
    if (!found.ok()) return false;
    handle = *std::move(found);
    return true;
  }
  void set(std::string_view key, std::string_view value) { keep_status(ns->set(key, value).ok()); }
  void put(std::string_view key, std::string_view value) { keep_status(ns->put(key, value).ok()); }
  bool erase(std::string_view key) { return *ns->delete_key(key); }
  static void keep_status(bool ok) {
    if (!ok) std::abort();
  }
};

// The limit for one thread: no lock, no second thread.
struct UnlockedAbsl {
  using Handle = Blob;
  absl::flat_hash_map<std::string, Blob, StringHash, std::equal_to<>> map;

  bool get(std::string_view key, Handle& handle) {
    const auto it = map.find(key);
    if (it == map.end()) return false;
    handle = it->second;
    return true;
  }
  void set(std::string_view key, std::string_view value) {
    Blob blob(value);
    const auto it = map.find(key);
    if (it != map.end()) {
      it->second = std::move(blob);
    } else {
      map.try_emplace(key, std::move(blob));
    }
  }
  void put(std::string_view key, std::string_view value) { set(key, value); }
  bool erase(std::string_view key) {
    const auto it = map.find(key);
    if (it == map.end()) return false;
    map.erase(it);
    return true;
  }
};

// What many programs have.
struct LockedStd {
  using Handle = Blob;
  std::unordered_map<std::string, Blob, StringHash, std::equal_to<>> map;
  std::shared_mutex mutex;

  bool get(std::string_view key, Handle& handle) {
    const std::shared_lock lock(mutex);
    const auto it = map.find(key);
    if (it == map.end()) return false;
    handle = it->second;
    return true;
  }
  void set(std::string_view key, std::string_view value) {
    Blob blob(value);
    const std::unique_lock lock(mutex);
    const auto it = map.find(key);
    if (it != map.end()) {
      std::swap(it->second, blob);
    } else {
      map.try_emplace(std::string(key), std::move(blob));
    }
  }
  void put(std::string_view key, std::string_view value) { set(key, value); }
  bool erase(std::string_view key) {
    const std::unique_lock lock(mutex);
    const auto it = map.find(key);
    if (it == map.end()) return false;
    map.erase(it);
    return true;
  }
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_PEERS_H_
