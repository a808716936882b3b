// What becomes of the errors of a FileSystem.
#ifndef RKVS_BASE_FILE_ERROR_H_
#define RKVS_BASE_FILE_ERROR_H_

#include <rkvs/status.h>

#include <cerrno>
#include <new>
#include <string_view>
#include <system_error>

#include "base/error.h"

namespace rkvs::internal {

// Io, with the call, the file and the system's words for `error`, an errno.
inline Status io_error(std::string_view call, std::string_view file, int error) noexcept {
  try {
    return make_error(StatusCode::kIo, call, " \"", file,
                      "\": ", std::generic_category().message(error));
  } catch (const std::bad_alloc&) {
    return StatusCode::kIo;
  }
}

// Repeats a call that a signal interrupted before it did anything.
template <typename Call>
auto retry_interrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result != -EINTR) return result;
  }
}

}  // namespace rkvs::internal

#endif  // RKVS_BASE_FILE_ERROR_H_
