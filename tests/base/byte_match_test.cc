#include "base/byte_match.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <random>
#include <vector>

namespace rkvs::internal {
namespace {

using Places = std::vector<uint32_t>;

template <typename Match>
Places places(uint64_t bytes, uint64_t value) {
  Places found;
  for (Match match(bytes, value); match.any(); match.drop_first()) found.push_back(match.first());
  return found;
}

Places looked_for(uint64_t bytes, uint64_t value) {
  Places found;
  for (uint32_t i = 0; i < 7; ++i) {
    if ((bytes >> (i * 8) & 0xFF) == value) found.push_back(i);
  }
  return found;
}

void expect_right(uint64_t bytes, uint64_t value) {
  const Places right = looked_for(bytes, value);
  ASSERT_EQ(places<ByteMatch>(bytes, value), right) << std::hex << bytes << " for " << value;
  ASSERT_EQ(places<PortableByteMatch>(bytes, value), right)
      << std::hex << bytes << " for " << value;
}

TEST(ByteMatch, FindsEachValueInEachPlace) {
  for (uint64_t value = 0; value < 256; ++value) {
    for (uint64_t others : {0x00U, 0x01U, 0x7FU, 0x80U, 0xFFU}) {
      const uint64_t background = others * 0x0101010101010101U;
      expect_right(background, value);
      for (int place = 0; place < 8; ++place) {
        const uint64_t cleared = background & ~(uint64_t{0xFF} << (place * 8));
        expect_right(cleared | value << (place * 8), value);
      }
    }
  }
}

TEST(ByteMatch, EighthByteIsNeverFound) {
  EXPECT_EQ(places<ByteMatch>(0x42FFFFFFFFFFFFFF, 0x42), Places{});
  EXPECT_EQ(places<PortableByteMatch>(0x42FFFFFFFFFFFFFF, 0x42), Places{});
  EXPECT_EQ(places<ByteMatch>(0x00FFFFFFFFFFFFFF, 0), Places{});
  EXPECT_EQ(places<PortableByteMatch>(0x00FFFFFFFFFFFFFF, 0), Places{});
}

// Where a subtraction or a sum over the whole word goes wrong is beside a byte that matches, and
// differs in the lowest or the highest bit.
TEST(ByteMatch, NeighboursThatDifferInOneBitAreNotFound) {
  constexpr std::array<uint64_t, 6> kChanges = {0x00, 0x01, 0x80, 0x81, 0x7F, 0xFF};
  for (const uint64_t value : {0x00U, 0x01U, 0x42U, 0x7FU, 0x80U, 0xFEU, 0xFFU}) {
    for (int digits = 0; digits < 6 * 6 * 6 * 6; ++digits) {
      uint64_t bytes = 0;
      int left = digits;
      for (int place = 0; place < 8; ++place) {
        bytes |= (value ^ kChanges[static_cast<size_t>(left % 6)]) << (place * 8);
        left = left / 6 + (place == 3 ? digits : 0);
      }
      expect_right(bytes, value);
    }
  }
}

TEST(ByteMatch, IsRightForRandomWords) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    uint64_t bytes = random();
    // Few values, so that several places match.
    if (i % 2 == 0) bytes &= 0x0301038103010381U;
    expect_right(bytes, bytes >> (random() % 7 * 8) & 0xFF);
    expect_right(bytes, random() & 0xFF);
  }
}

}  // namespace
}  // namespace rkvs::internal
