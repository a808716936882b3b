// Builds the message of an error where there is memory for it.
#ifndef RKVS_BASE_ERROR_H_
#define RKVS_BASE_ERROR_H_

#include <rkvs/status.h>

#include <new>
#include <string>
#include <string_view>
#include <type_traits>

namespace rkvs::internal {

// The parts, texts and integers, one behind the other.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::string text;
  const auto append = [&text](const auto& part) {
    if constexpr (std::is_integral_v<std::remove_cvref_t<decltype(part)>>) {
      text += std::to_string(part);
    } else {
      text += std::string_view(part);
    }
  };
  (append(parts), ...);
  return text;
}

// A Status with such a message; without memory for it, with the code alone.
template <typename... Parts>
Status make_error(StatusCode code, const Parts&... parts) noexcept {
  try {
    return Status(code, concat(parts...));
  } catch (const std::bad_alloc&) {
    return Status(code);
  }
}

}  // namespace rkvs::internal

#endif  // RKVS_BASE_ERROR_H_
