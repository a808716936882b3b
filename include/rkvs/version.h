// The version of these headers, and of the library that the program runs with.
#ifndef RKVS_VERSION_H_
#define RKVS_VERSION_H_

#include <string_view>

#define RKVS_VERSION_MAJOR 0
#define RKVS_VERSION_MINOR 9
#define RKVS_VERSION_PATCH 0
#define RKVS_VERSION_STRING "0.9.0"

namespace rkvs {

// RKVS_VERSION_STRING as it was when the library was built.
std::string_view version() noexcept;

}  // namespace rkvs

#endif  // RKVS_VERSION_H_
