#include "cli/base64.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace rkvs::cli {
namespace {

// RFC 4648, table 1.
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint32_t kNoDigit = 64;

constexpr std::array<uint8_t, 256> kDigits = [] {
  std::array<uint8_t, 256> digits = {};
  digits.fill(kNoDigit);
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  }
  return digits;
}();

uint32_t byte_at(std::string_view bytes, size_t i) { return static_cast<uint8_t>(bytes[i]); }
char digit_at(uint32_t bits, unsigned shift) { return kAlphabet[(bits >> shift) & 63]; }

// Four digits as 24 bits. A digit that is none leaves a bit over these.
uint32_t bits_of(std::string_view digits) {
  uint32_t bits = 0;
  uint32_t wrong = 0;
  for (size_t i = 0; i < 4; ++i) {
    const uint32_t digit = kDigits[byte_at(digits, i)];
    wrong |= digit & kNoDigit;
    bits = bits << 6 | (digit & 63);
  }
  return bits | wrong << 24;
}

}  // namespace

void append_base64(std::string& to, std::string_view bytes) {
  size_t at = to.size();
  to.resize(at + (bytes.size() + 2) / 3 * 4);
  const auto write = [&](uint32_t bits) {
    for (const unsigned shift : {18, 12, 6, 0}) to[at++] = digit_at(bits, shift);
  };
  size_t i = 0;
  for (; bytes.size() - i >= 3; i += 3) {
    write(byte_at(bytes, i) << 16 | byte_at(bytes, i + 1) << 8 | byte_at(bytes, i + 2));
  }
  const size_t rest = bytes.size() - i;
  if (rest == 0) return;
  write(byte_at(bytes, i) << 16 | (rest == 2 ? byte_at(bytes, i + 1) << 8 : 0));
  std::fill(to.end() - static_cast<ptrdiff_t>(3 - rest), to.end(), '=');
}

bool decode_base64(std::string_view text, std::string& bytes) {
  if (text.size() % 4 != 0) return false;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  bytes.resize(text.size() / 4 * 3);
  size_t at = 0;
  uint32_t wrong = 0;
  const auto read = [&](std::string_view digits) {
    const uint32_t bits = bits_of(digits);
    wrong |= bits >> 24;
    for (const unsigned shift : {16, 8, 0}) bytes[at++] = static_cast<char>(bits >> shift);
    return bits;
  };
  const size_t whole = padding == 0 ? text.size() : text.size() - 4;
  for (size_t i = 0; i < whole; i += 4) read(text.substr(i, 4));
  if (padding != 0) {
    std::array<char, 4> last = {'A', 'A', 'A', 'A'};
    text.substr(whole, 4 - padding).copy(last.data(), last.size());
    // What no whole byte holds: 4 or 2 bits of the last digit.
    const uint32_t bits = read({last.data(), last.size()});
    wrong |= bits & (padding == 2 ? 0xffff : 0xff);
    bytes.erase(bytes.size() - padding);
  }
  return wrong == 0;
}

}  // namespace rkvs::cli
