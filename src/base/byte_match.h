// ByteMatch: which of seven bytes have a value.
#ifndef RKVS_BASE_BYTE_MATCH_H_
#define RKVS_BASE_BYTE_MATCH_H_

#include <bit>
#include <cstdint>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace rkvs::internal {

// The set of those among the seven lower bytes of a word, counted from the lowest, that are equal
// to a value of 0 to 255. With the means of every processor (the carry-free test for zero bytes of
// Lamport's "Multiple byte processing with full-word instructions", 1975).
class PortableByteMatch {
 public:
  PortableByteMatch(uint64_t bytes, uint64_t value) : found_(zeros(bytes ^ value * kOnes)) {}

  bool any() const { return found_ != 0; }
  // The lowest. Only where there is any.
  uint32_t first() const { return static_cast<uint32_t>(std::countr_zero(found_)) / 8; }
  void drop_first() { found_ &= found_ - 1; }

 private:
  static constexpr uint64_t kOnes = 0x0001010101010101;
  static constexpr uint64_t kLow = 0x007F7F7F7F7F7F7F;
  static constexpr uint64_t kHigh = 0x0080808080808080;

  // The highest bit of each byte that is zero.
  static uint64_t zeros(uint64_t bytes) { return ~(((bytes & kLow) + kLow) | bytes) & kHigh; }

  uint64_t found_;
};

#ifdef __SSE2__
// The same in half as many instructions.
class ByteMatch {
 public:
  ByteMatch(uint64_t bytes, uint64_t value)
      : found_(static_cast<uint32_t>(_mm_movemask_epi8(
                   _mm_cmpeq_epi8(_mm_cvtsi64_si128(static_cast<int64_t>(bytes)),
                                  _mm_cvtsi64_si128(static_cast<int64_t>(value * kOnes))))) &
               0x7F) {}

  bool any() const { return found_ != 0; }
  uint32_t first() const { return static_cast<uint32_t>(std::countr_zero(found_)); }
  void drop_first() { found_ &= found_ - 1; }

 private:
  static constexpr uint64_t kOnes = 0x0001010101010101;

  uint32_t found_;
};
#else
using ByteMatch = PortableByteMatch;
#endif

}  // namespace rkvs::internal

#endif  // RKVS_BASE_BYTE_MATCH_H_
