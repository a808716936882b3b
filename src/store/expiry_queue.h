// ExpiryQueue: which entries of a shard expire next.
#ifndef RKVS_STORE_EXPIRY_QUEUE_H_
#define RKVS_STORE_EXPIRY_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <utility>
#include <vector>

namespace rkvs::internal {

// A binary heap of times and hashes. Nothing is taken out when an entry is removed or gets another
// time: its item is stale from then on, which shows when it comes up, or when sweep() passes. Each
// push sweeps over two items, so that about as many are stale as are not at most, whatever is
// written.
//
// Guarded by the shard's lock.
class ExpiryQueue {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  struct Item {
    int64_t at;  // steady milliseconds
    uint64_t hash;
  };

  // What becomes of a queue to which items are added one by one, without a queue.
  class Forecast {
   public:
    // nullptr for one that would have to be made first.
    explicit Forecast(const ExpiryQueue* queue)
        : exists_(queue != nullptr),
          size_(exists_ ? queue->items_.size() : 0),
          capacity_(exists_ ? queue->items_.capacity() : 0) {}

    size_t growth() const {
      return (exists_ ? 0 : sizeof(ExpiryQueue)) + (grown() - capacity_) * sizeof(Item);
    }
    void prepare() {
      capacity_ = grown();
      exists_ = true;
    }
    void push() { ++size_; }

    bool exists() const { return exists_; }
    size_t capacity() const { return capacity_; }

   private:
    size_t grown() const { return capacity_for(1, size_, capacity_); }

    bool exists_;
    size_t size_;
    size_t capacity_;
  };

  size_t size() const { return items_.size(); }
  size_t memory() const { return sizeof(*this) + items_.capacity() * sizeof(Item); }

  // Bytes that prepare() would add for so many pushes.
  size_t growth(size_t pushes) const {
    return (capacity_for(pushes) - items_.capacity()) * sizeof(Item);
  }
  // Makes sure that so many pushes cannot fail. False where there is no memory.
  bool prepare(size_t pushes) noexcept { return reserve(capacity_for(pushes)); }
  bool reserve(size_t capacity) noexcept {
    try {
      items_.reserve(capacity);
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }
  void push(Item item) {
    items_.push_back(item);
    sift_up(items_.size() - 1);
  }

  int64_t earliest() const { return items_.empty() ? kNever : items_.front().at; }
  // There must be one.
  const Item& front() const { return items_.front(); }
  Item pop() {
    const Item item = items_.front();
    remove(0);
    return item;
  }

  // Calls `visit(item)` for every item whose time has come by `now`, in no particular order.
  template <typename Visit>
  void for_each_due(int64_t now, Visit visit) const {
    for (size_t i = 0;;) {
      if (i < items_.size() && items_[i].at <= now) {
        visit(items_[i]);
        i = 2 * i + 1;
        continue;
      }
      // Nothing is due below here: up from the right children, and on from a left one to its
      // neighbour.
      while (i != 0 && i % 2 == 0) i = (i - 1) / 2;
      if (i == 0) return;
      ++i;
    }
  }

  // Looks at the next `count` items, over and over again from one call to the next, and takes out
  // those of which `is_stale(item)` holds.
  template <typename IsStale>
  void sweep(size_t count, IsStale is_stale) {
    for (; count != 0 && !items_.empty(); --count) {
      if (cursor_ >= items_.size()) cursor_ = 0;
      if (is_stale(items_[cursor_])) {
        remove(cursor_);
      } else {
        ++cursor_;
      }
    }
  }

 private:
  size_t capacity_for(size_t pushes) const {
    return capacity_for(pushes, items_.size(), items_.capacity());
  }
  static size_t capacity_for(size_t pushes, size_t size, size_t capacity) {
    const size_t needed = size + pushes;
    return needed <= capacity ? capacity : std::max(needed, 2 * size);
  }
  void remove(size_t i) {
    items_[i] = items_.back();
    items_.pop_back();
    if (i == items_.size()) return;
    sift_down(sift_up(i));
  }
  size_t sift_up(size_t i) {
    while (i != 0 && items_[i].at < items_[(i - 1) / 2].at) {
      std::swap(items_[i], items_[(i - 1) / 2]);
      i = (i - 1) / 2;
    }
    return i;
  }
  void sift_down(size_t i) {
    for (;;) {
      size_t child = 2 * i + 1;
      if (child >= items_.size()) return;
      if (child + 1 < items_.size() && items_[child + 1].at < items_[child].at) ++child;
      if (items_[i].at <= items_[child].at) return;
      std::swap(items_[i], items_[child]);
      i = child;
    }
  }

  std::vector<Item> items_;
  size_t cursor_ = 0;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_EXPIRY_QUEUE_H_
