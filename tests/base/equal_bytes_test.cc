#include "base/equal_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rkvs::internal {
namespace {

// In blocks of their exact size, so that AddressSanitizer sees a byte too many.
bool equal(const std::string& a, const std::string& b) {
  const std::vector<char> in_a(a.begin(), a.end());
  const std::vector<char> in_b(b.begin(), b.end());
  return equal_bytes(in_a.data(), in_b.data(), a.size());
}

TEST(EqualBytes, EveryByteOfEverySizeCounts) {
  for (size_t size = 0; size <= 100; ++size) {
    std::string text;
    for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i % 26);
    EXPECT_TRUE(equal(text, text)) << size;
    for (size_t i = 0; i < size; ++i) {
      std::string other = text;
      other[i] ^= '\x80';
      EXPECT_FALSE(equal(text, other)) << size << " bytes, another at " << i;
    }
  }
}

}  // namespace
}  // namespace rkvs::internal
