// Value: the bytes of one stored value, shared and immutable.
#ifndef RKVS_VALUE_H_
#define RKVS_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace rkvs {

namespace internal {
struct Entry;
struct ValueAccess;
void retain_entry(Entry* entry) noexcept;
void release_entry(Entry* entry) noexcept;
}  // namespace internal

// A handle to the bytes that a key had when it was read. Nothing is copied: the handle shares the
// store's own memory, counts as one of its owners, and stays valid after the key is overwritten or
// deleted, after its namespace is deleted and after the StorageManager is gone. The bytes never
// change while a handle to them lives.
//
// Copying shares, moving hands over; neither throws. Different handles to the same bytes may be
// used and dropped by different threads; one handle object needs the usual care of a C++ value.
// A default-constructed Value is an empty one. The bytes have no particular alignment.
class Value {
 public:
  Value() noexcept = default;
  Value(const Value& other) noexcept
      : entry_(other.entry_), data_(other.data_), size_(other.size_) {
    if (entry_ != nullptr) internal::retain_entry(entry_);
  }
  Value(Value&& other) noexcept
      : entry_(std::exchange(other.entry_, nullptr)),
        data_(std::exchange(other.data_, "")),
        size_(std::exchange(other.size_, 0)) {}
  Value& operator=(Value other) noexcept {
    swap(other);
    return *this;
  }
  ~Value() {
    if (entry_ != nullptr) internal::release_entry(entry_);
  }

  void swap(Value& other) noexcept {
    std::swap(entry_, other.entry_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  const char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  // Valid as long as this handle or a copy of it.
  std::string_view view() const noexcept { return {data_, size_}; }
  std::string to_string() const { return std::string(view()); }

  friend bool operator==(const Value& a, std::string_view b) noexcept { return a.view() == b; }
  friend bool operator==(const Value& a, const Value& b) noexcept { return a.view() == b.view(); }

 private:
  friend struct internal::Entry;
  friend struct internal::ValueAccess;
  // Takes over one reference to `entry`.
  Value(internal::Entry* entry, const char* data, std::size_t size) noexcept
      : entry_(entry), data_(data), size_(size) {}

  internal::Entry* entry_ = nullptr;
  const char* data_ = "";
  std::size_t size_ = 0;
};

// A value and the version that its entry had when it was read.
struct VersionedValue {
  Value value;
  uint64_t version = 0;
};

}  // namespace rkvs

#endif  // RKVS_VALUE_H_
