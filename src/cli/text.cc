#include "cli/text.h"

#include <time.h>

#include <array>
#include <boost/locale/utf.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>

namespace rkvs::cli {
namespace {

using Utf8 = boost::locale::utf::utf_traits<char>;

// Takes the next code point off the front of `rest`; an invalid one where there is none.
boost::locale::utf::code_point take_code_point(std::string_view& rest) {
  const char* at = rest.data();
  const auto point = Utf8::decode(at, rest.data() + rest.size());
  rest.remove_prefix(static_cast<size_t>(at - rest.data()));
  return point;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    // Most text is ASCII: eight bytes at a time.
    uint64_t word;
    if (bytes.size() >= sizeof word) {
      std::memcpy(&word, bytes.data(), sizeof word);
      if ((word & 0x8080808080808080U) == 0) {
        bytes.remove_prefix(sizeof word);
        continue;
      }
    }
    if (!boost::locale::utf::is_valid_codepoint(take_code_point(bytes))) return false;
  }
  return true;
}

std::string printable(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    std::string_view rest = bytes;
    const auto point = take_code_point(rest);
    const bool good = boost::locale::utf::is_valid_codepoint(point) && point >= 0x20 &&
                      (point < 0x7f || point >= 0xa0);
    const size_t size = good ? bytes.size() - rest.size() : 1;
    if (good) {
      text.append(bytes.substr(0, size));
    } else {
      std::array<char, 8> hex;
      std::snprintf(hex.data(), hex.size(), "\\x%02X", static_cast<unsigned char>(bytes[0]));
      text.append(hex.data());
    }
    bytes.remove_prefix(size);
  }
  return text;
}

std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t i = text.size(); i > 3;) {
    i -= 3;
    text.insert(i, 1, ',');
  }
  return text;
}

std::string counted(uint64_t number, const char* one, const char* many) {
  return grouped(number) + " " + (number == 1 ? one : many);
}

std::string human_size(uint64_t bytes) {
  static constexpr std::array<const char*, 7> kUnits = {"B",   "KiB", "MiB", "GiB",
                                                        "TiB", "PiB", "EiB"};
  size_t unit = 0;
  auto scaled = static_cast<double>(bytes);
  while (scaled >= 1024 && unit + 1 < kUnits.size()) {
    scaled /= 1024;
    ++unit;
  }
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", scaled, kUnits[unit]);
  return text.data();
}

std::string iso_time(int64_t unix_ms) {
  constexpr int64_t kYear0 = -62167219200;
  constexpr int64_t kYear10000 = 253402300800;
  int64_t seconds = unix_ms / 1000;
  int64_t rest = unix_ms % 1000;
  if (rest < 0) {
    rest += 1000;
    --seconds;
  }
  if (seconds < kYear0 || seconds >= kYear10000) return std::to_string(unix_ms);
  const time_t time = seconds;
  struct tm parts = {};
  gmtime_r(&time, &parts);
  // strftime writes years before 1000 with fewer digits than four.
  std::array<char, 96> text;
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                parts.tm_sec, static_cast<int>(rest));
  return text.data();
}

int64_t unix_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace rkvs::cli
