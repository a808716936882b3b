// Builds the message of an error where there is memory for it.
#ifndef RKVS_BASE_ERROR_H_
#define RKVS_BASE_ERROR_H_

#include <rkvs/status.h>

#include <new>
#include <string>
#include <string_view>
#include <type_traits>

namespace rkvs::internal {

// A Status whose message is the parts, texts and integers, one behind the other. Without memory for
// the message it is the code alone.
template <typename... Parts>
Status make_error(StatusCode code, const Parts&... parts) noexcept {
  try {
    std::string message;
    const auto append = [&message](const auto& part) {
      if constexpr (std::is_integral_v<std::remove_cvref_t<decltype(part)>>) {
        message += std::to_string(part);
      } else {
        message += std::string_view(part);
      }
    };
    (append(parts), ...);
    return Status(code, std::move(message));
  } catch (const std::bad_alloc&) {
    return Status(code);
  }
}

}  // namespace rkvs::internal

#endif  // RKVS_BASE_ERROR_H_
