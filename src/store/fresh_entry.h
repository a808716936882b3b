// FreshEntry: the memory for an entry, obtained before a shard is locked.
#ifndef RKVS_STORE_FRESH_ENTRY_H_
#define RKVS_STORE_FRESH_ENTRY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "store/entry.h"

namespace rkvs::internal {

// Nothing is copied into it until it is certain that it is needed: a value that can be written over
// the old one is copied once.
class FreshEntry {
 public:
  // `expires`: whether to leave room for an expiry.
  FreshEntry(std::string_view key, std::string_view value, bool expires)
      : key_(key),
        value_(value),
        size_(Entry::size_of(key.size(), value.size(), expires)),
        expires_(expires),
        block_(Entry::allocate_block(size_)) {}
  ~FreshEntry() {
    if (entry_ != nullptr) {
      entry_->release();
    } else if (block_ != nullptr) {
      Entry::free_block(block_, size_);
    }
  }
  FreshEntry(const FreshEntry&) = delete;
  FreshEntry& operator=(const FreshEntry&) = delete;

  bool has_memory() const { return block_ != nullptr; }
  // What it will occupy.
  size_t memory() const { return Arena::packed_block_size(size_); }

  // The entry, with one reference that stays here until take(). An expiry (0 = none) that there is
  // no room for makes it another block: nullptr where there is no memory for that.
  Entry* make(int64_t expires_at) {
    if (entry_ != nullptr) {
      if (entry_->expires_at() == expires_at) return entry_;
      // Made for another state of the key than the one that it is in now.
      Entry* other = Entry::create(key_, value_, expires_at);
      if (other == nullptr) return nullptr;
      entry_->release();
      return entry_ = other;
    }
    if (expires_at != 0 && !expires_) {
      entry_ = Entry::create(key_, value_, expires_at);
      if (entry_ != nullptr) Entry::free_block(block_, size_);
      return entry_;
    }
    entry_ = Entry::construct(block_, key_, value_, expires_, expires_at);
    return entry_;
  }
  void take() {
    entry_ = nullptr;
    block_ = nullptr;
  }

 private:
  const std::string_view key_;
  const std::string_view value_;
  const size_t size_;
  const bool expires_;
  void* block_;
  Entry* entry_ = nullptr;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_FRESH_ENTRY_H_
