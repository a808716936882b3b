// Entry: one key and its value in one refcounted block.
#ifndef RKVS_STORE_ENTRY_H_
#define RKVS_STORE_ENTRY_H_

#include <rkvs/value.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/arena.h"
#include "base/equal_bytes.h"
#include "base/time_source.h"

namespace rkvs::internal {

// The header of a block from the Arena; the bytes behind it are, in this order, the expiry (8
// bytes, only where there is one), the key, the value.
//
// Immutable once it is in a table, with one exception: the shard that holds it may change version,
// expiry and value in place under its exclusive lock while the table's reference is the only one.
// 20 bytes of header and no padding: measured against 32 bytes it saves 16 bytes a key and costs no
// time.
struct Entry {
  static constexpr uint32_t kSizeBits = 21;         // keys up to 1 MiB inclusive
  static constexpr uint32_t kHasExpiry = 1U << 31;  // see expiry_size()

  std::atomic<uint32_t> refs;
  uint32_t value_size;
  uint32_t key_size_and_flags;
  uint32_t version_low;
  uint32_t version_high;

  // A new entry with one reference, version 0, and these bytes copied into it. nullptr where there
  // is no memory. `expires_at`: in milliseconds, 0 = never.
  static Entry* create(std::string_view key, std::string_view value,
                       int64_t expires_at = 0) noexcept;

  // The two halves of create(): the memory of an entry of size_of() bytes, not filled in, and an
  // entry in it. Memory that is not used after all goes back with free_block().
  static void* allocate_block(size_t size) noexcept { return Arena::allocate_packed(size); }
  // nullptr also where the thread has none at hand: for those who hold a lock.
  static void* block_at_hand(size_t size) noexcept { return Arena::allocate_packed_at_hand(size); }
  static void free_block(void* block, size_t size) noexcept {
    Arena::deallocate_packed(block, size);
  }
  static size_t size_of(size_t key_size, size_t value_size, bool has_expiry) noexcept {
    return sizeof(Entry) + (has_expiry ? sizeof(int64_t) : 0) + key_size + value_size;
  }
  static Entry* construct(void* block, std::string_view key, std::string_view value,
                          bool has_expiry, int64_t expires_at) noexcept;

  bool has_expiry() const { return (key_size_and_flags & kHasExpiry) != 0; }
  size_t key_size() const { return key_size_and_flags & ((1U << kSizeBits) - 1); }
  const char* key_data() const { return bytes() + expiry_size(); }
  std::string_view key() const { return {key_data(), key_size()}; }
  std::string_view value() const { return {key_data() + key_size(), value_size}; }
  bool has_key(std::string_view other) const {
    return key_size() == other.size() && equal_bytes(key_data(), other.data(), other.size());
  }
  // Whether it is the key's and has no expiry, in one comparison less than both questions.
  bool is_plain_with_key(std::string_view other) const {
    // With its sign: kHasExpiry must not look like a part of the size of a key of 2 GiB.
    const auto size = static_cast<size_t>(int64_t{static_cast<int32_t>(key_size_and_flags)});
    return size == other.size() && equal_bytes(bytes(), other.data(), other.size());
  }
  // In milliseconds of TimeSource::steady_ms(); 0 = never.
  int64_t expires_at() const {
    int64_t at = 0;
    if (has_expiry()) std::memcpy(&at, bytes(), sizeof at);
    return at;
  }
  // Only where has_expiry(); 0 = never after all. See above for when that is allowed.
  void set_expires_at(int64_t at) { std::memcpy(bytes(), &at, sizeof at); }
  bool has_expired_by(int64_t now) const {
    const int64_t at = expires_at();
    return at != 0 && at <= now;
  }
  bool is_live(OperationTime& time) const { return !has_expiry() || !has_expired_by(time.now()); }

  uint64_t version() const { return uint64_t{version_high} << 32 | version_low; }
  void set_version(uint64_t version) {
    version_low = static_cast<uint32_t>(version);
    version_high = static_cast<uint32_t>(version >> 32);
  }

  // Bytes asked of the Arena, and what they occupy there.
  size_t size() const { return size_of(key_size(), value_size, has_expiry()); }
  size_t memory() const { return Arena::packed_block_size(size()); }

  void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
  // Gives up one reference; the last one frees the block. A sole owner needs no atomic
  // read-modify-write: nobody else is left who could add a reference.
  void release() {
    if (refs.load(std::memory_order_acquire) == 1 ||
        refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      destroy();
    }
  }
  // The same for one that most probably is not the last.
  void release_shared() {
    if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }
  bool is_sole_reference() const { return refs.load(std::memory_order_acquire) == 1; }

  // A handle that takes over one reference.
  static Value adopt(Entry* entry) noexcept {
    const std::string_view value = entry->value();
    return Value(entry, value.data(), value.size());
  }
  // A handle with a reference of its own.
  Value share() {
    retain();
    return adopt(this);
  }

  // Copies `value`, of the same size, over the present one. See above for when that is allowed.
  void overwrite_value(std::string_view value) {
    if (!value.empty()) std::memcpy(bytes() + (value_offset()), value.data(), value.size());
  }

 private:
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  size_t value_offset() const { return expiry_size() + key_size(); }
  // Without a branch.
  size_t expiry_size() const { return (key_size_and_flags >> 31) * sizeof(int64_t); }
  void destroy() noexcept { free_block(this, size()); }
};

static_assert(sizeof(Entry) == 20);
static_assert(alignof(Entry) <= 8);  // what packed blocks have
static_assert(std::atomic<uint32_t>::is_always_lock_free);

// Owns one reference to an entry, or none.
class EntryRef {
 public:
  EntryRef() = default;
  explicit EntryRef(Entry* entry) : entry_(entry) {}
  EntryRef(EntryRef&& other) noexcept : entry_(other.take()) {}
  EntryRef& operator=(EntryRef&& other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~EntryRef() {
    if (entry_ != nullptr) entry_->release();
  }

  explicit operator bool() const { return entry_ != nullptr; }
  Entry* get() const { return entry_; }
  Entry* operator->() const { return entry_; }
  Entry* take() { return std::exchange(entry_, nullptr); }

 private:
  Entry* entry_ = nullptr;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_ENTRY_H_
