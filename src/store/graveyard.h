// Graveyard: entries that left a table and that a save still needs.
#ifndef RKVS_STORE_GRAVEYARD_H_
#define RKVS_STORE_GRAVEYARD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "base/arena.h"
#include "store/entry.h"

namespace rkvs::internal {

// Holds one reference to each of its entries. In blocks of 512 bytes from the arena: it grows by
// every write to a shard that is being saved, and a vector's growth, with memory that nobody has
// touched, was what the slowest of these writes waited for.
//
// Not thread-safe; guarded by the shard's lock.
class Graveyard {
 public:
  Graveyard() = default;
  Graveyard(Graveyard&& other) noexcept { swap(other); }
  Graveyard& operator=(Graveyard&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Graveyard() {
    for_each([](Entry* entry) { entry->release(); });
    free_list(full_);
    free_list(spare_);
  }

  size_t size() const { return size_; }

  // Makes sure that `count` entries can be added. False where there is no memory.
  bool prepare(size_t count) noexcept {
    for (; room_ < count; room_ += kEntries) {
      void* memory = Arena::allocate(sizeof(Block));
      if (memory == nullptr) return false;
      Block* block = new (memory) Block;
      block->next = std::exchange(spare_, block);
    }
    return true;
  }
  // Takes over one reference. Needs prepare().
  void add(Entry* entry) noexcept {
    if (size_ % kEntries == 0) {
      Block* block = std::exchange(spare_, spare_->next);
      block->next = std::exchange(full_, block);
    }
    full_->entries[size_ % kEntries] = entry;
    ++size_;
    --room_;
  }

  template <typename Visit>  // void(Entry*)
  void for_each(Visit visit) const {
    size_t count = size_ == 0 ? 0 : (size_ - 1) % kEntries + 1;
    for (const Block* block = full_; block != nullptr; block = block->next, count = kEntries) {
      for (size_t i = 0; i < count; ++i) visit(block->entries[i]);
    }
  }

  void swap(Graveyard& other) noexcept {
    std::swap(full_, other.full_);
    std::swap(spare_, other.spare_);
    std::swap(size_, other.size_);
    std::swap(room_, other.room_);
  }

 private:
  static constexpr size_t kEntries = 63;
  struct Block {
    Block* next;
    std::array<Entry*, kEntries> entries;
  };
  static_assert(sizeof(Block) == 512);

  static void free_list(Block* block) noexcept {
    while (block != nullptr) Arena::deallocate(std::exchange(block, block->next), sizeof(Block));
  }

  Block* full_ = nullptr;   // the first one only up to size_
  Block* spare_ = nullptr;  // empty ones
  size_t size_ = 0;
  size_t room_ = 0;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_GRAVEYARD_H_
