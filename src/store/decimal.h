// Numbers as counters keep them.
#ifndef RKVS_STORE_DECIMAL_H_
#define RKVS_STORE_DECIMAL_H_

#include <rkvs/status.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace rkvs::internal {

// What a counter becomes, as text.
struct CounterSum {
  StatusCode code = StatusCode::kOk;  // NotANumber, Overflow
  int64_t sum = 0;
  std::array<char, std::numeric_limits<int64_t>::digits10 + 3> text{};
  size_t size = 0;

  std::string_view view() const { return {text.data(), size}; }
};

// `present` is the value that is there, nothing if the key is absent: then it counts from
// `initial`.
inline CounterSum add_to_counter(std::optional<std::string_view> present, int64_t initial,
                                 int64_t delta, bool subtract) {
  CounterSum result;
  int64_t number = initial;
  if (present.has_value()) {
    const char* const end = present->data() + present->size();
    const auto [stop, error] = std::from_chars(present->data(), end, number);
    if (error != std::errc() || stop != end) {
      result.code = StatusCode::kNotANumber;
      return result;
    }
  }
  const bool overflows = subtract ? __builtin_sub_overflow(number, delta, &result.sum)
                                  : __builtin_add_overflow(number, delta, &result.sum);
  if (overflows) {
    result.code = StatusCode::kOverflow;
    return result;
  }
  char* const begin = result.text.data();
  const auto written = std::to_chars(begin, begin + result.text.size(), result.sum);
  result.size = static_cast<size_t>(written.ptr - begin);
  return result;
}

}  // namespace rkvs::internal

#endif  // RKVS_STORE_DECIMAL_H_
