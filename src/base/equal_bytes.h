// equal_bytes: whether two short pieces of memory are the same.
#ifndef RKVS_BASE_EQUAL_BYTES_H_
#define RKVS_BASE_EQUAL_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rkvs::internal {

// Bits that are not the same in both.
template <typename Word>
inline Word difference_at(const char* a, const char* b, size_t offset) {
  Word in_a;
  Word in_b;
  std::memcpy(&in_a, a + offset, sizeof in_a);
  std::memcpy(&in_b, b + offset, sizeof in_b);
  return in_a ^ in_b;
}

// memcmp() == 0 in a few instructions for the usual sizes of keys, where the call would take more
// than all of the comparison. (An operation that misses the cache runs beside the one before it for
// as long as the processor can keep both in sight, some 500 instructions: every one counts.)
inline bool equal_bytes(const char* a, const char* b, size_t size) {
  if (size >= 8 && size <= 32) [[likely]] {
    // Words from the front, and one that ends with the last byte.
    uint64_t difference =
        difference_at<uint64_t>(a, b, 0) | difference_at<uint64_t>(a, b, size - 8);
    if (size > 16) {
      difference |= difference_at<uint64_t>(a, b, 8) | difference_at<uint64_t>(a, b, size - 16);
    }
    return difference == 0;
  }
  if (size >= 4 && size < 8) {
    return (difference_at<uint32_t>(a, b, 0) | difference_at<uint32_t>(a, b, size - 4)) == 0;
  }
  return size == 0 || std::memcmp(a, b, size) == 0;
}

}  // namespace rkvs::internal

#endif  // RKVS_BASE_EQUAL_BYTES_H_
