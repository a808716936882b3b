// BucketLists: the hashes that a resize will move, by bucket.
#ifndef RKVS_STORE_BUCKET_LISTS_H_
#define RKVS_STORE_BUCKET_LISTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/key_hash.h"

namespace rkvs::internal {

// Linked lists in one vector, so that adding is cheap in any order. Used by one thread at a time.
// Functions that take memory throw std::bad_alloc and change nothing then.
class BucketLists {
 public:
  // Forgets everything; from now on takes hashes of these buckets alone.
  void reset(std::span<const uint16_t> buckets) {
    heads_.assign(kBucketCount, kIgnored);
    nodes_.clear();
    for (const uint16_t bucket : buckets) heads_[bucket] = kEmpty;
  }

  void reserve(size_t more) {
    if (nodes_.capacity() - nodes_.size() >= more) return;
    nodes_.reserve(nodes_.size() * 2 + more);
  }
  // Without taking memory: needs reserve(). A hash may be added more than once.
  void add(std::span<const uint64_t> hashes) {
    for (const uint64_t hash : hashes) {
      uint32_t& head = heads_[bucket_of(hash)];
      if (head == kIgnored) continue;
      if (head == kEmpty || nodes_[head].count == kPerNode) {
        nodes_.push_back({{}, head, 0});
        head = static_cast<uint32_t>(nodes_.size() - 1);
      }
      Node& node = nodes_[head];
      node.hashes[node.count++] = hash;
    }
  }

  template <typename Visit>  // void(uint64_t hash)
  void for_each(uint32_t bucket, Visit visit) const {
    for (uint32_t i = heads_[bucket]; i < kIgnored; i = nodes_[i].next) {
      const Node& node = nodes_[i];
      for (uint32_t k = 0; k < node.count; ++k) visit(node.hashes[k]);
    }
  }
  size_t count(uint32_t bucket) const {
    size_t count = 0;
    for_each(bucket, [&count](uint64_t) { ++count; });
    return count;
  }
  // Takes no more hashes of this bucket.
  void drop(uint32_t bucket) { heads_[bucket] = kIgnored; }

 private:
  static constexpr uint32_t kEmpty = UINT32_MAX;        // a list's end
  static constexpr uint32_t kIgnored = UINT32_MAX - 1;  // not a list

  // A cache line: to follow a list costs one wait for each.
  static constexpr uint32_t kPerNode = 7;
  struct Node {
    uint64_t hashes[kPerNode];
    uint32_t next;
    uint32_t count;
  };
  std::vector<uint32_t> heads_;
  std::vector<Node> nodes_;
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_BUCKET_LISTS_H_
