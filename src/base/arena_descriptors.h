// Where the descriptions of runs and regions live.
#ifndef RKVS_BASE_ARENA_DESCRIPTORS_H_
#define RKVS_BASE_ARENA_DESCRIPTORS_H_

#include <cstddef>

#include "base/arena_region.h"

namespace rkvs::internal::arena {

// Hands out objects of one kind from chunks that it maps and never returns. The caller locks.
template <typename T>
class DescriptorPool {
 public:
  constexpr DescriptorPool() = default;

  // All zero the first time, as it was given back later. nullptr when there is no memory.
  T* take() {
    if (unused_ != nullptr) {
      T* object = unused_;
      unused_ = object->next;
      return object;
    }
    if (left_ == 0) {
      void* chunk = map_memory(kChunkSize);
      if (chunk == nullptr) return nullptr;
      ++chunks_;
      // A chunk is never unmapped, so the last one's rest is all that is ever lost.
      fresh_ = static_cast<T*>(chunk);
      left_ = kChunkSize / sizeof(T);
    }
    --left_;
    return fresh_++;
  }

  void give(T* object) {
    object->next = unused_;
    unused_ = object;
  }

  size_t bytes_mapped() const { return chunks_ * kChunkSize; }

 private:
  static constexpr size_t kChunkSize = 256 * 1024;

  T* unused_ = nullptr;
  T* fresh_ = nullptr;
  size_t left_ = 0;
  size_t chunks_ = 0;
};

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_DESCRIPTORS_H_
