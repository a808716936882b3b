// The value of the tables that rkvs is compared with: refcounted and immutable, so that they do
// what rkvs does, a get taking a handle and no copy.
#ifndef RKVS_BENCH_STORES_BLOB_H_
#define RKVS_BENCH_STORES_BLOB_H_

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <string_view>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace rkvs::bench {

class Blob {
 public:
  Blob() = default;
  explicit Blob(std::string_view value)
      : body_(static_cast<Body*>(std::malloc(sizeof(Body) + value.size()))) {
    if (body_ == nullptr) throw std::bad_alloc();
    new (body_) Body{{1}, static_cast<uint32_t>(value.size())};
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
  // What has two of them: no reference is counted, nothing looked at.
  void swap(Blob& other) noexcept { std::swap(body_, other.body_); }
  std::string_view view() const { return {reinterpret_cast<const char*>(body_ + 1), body_->size}; }

 private:
  struct Body {
    std::atomic<uint32_t> refs;
    uint32_t size;
  };
  Body* body_ = nullptr;
};

// The hash that rkvs uses, for all, so that tables are compared and not hashes.
struct StringHash {
  using is_transparent = void;
  using is_avalanching = void;
  size_t operator()(std::string_view key) const { return XXH3_64bits(key.data(), key.size()); }
};

}  // namespace rkvs::bench

#endif  // RKVS_BENCH_STORES_BLOB_H_
