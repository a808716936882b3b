// StatusCode as boost::system::error_code, for <rkvs/async.h>.
#ifndef RKVS_ASYNC_ERROR_H_
#define RKVS_ASYNC_ERROR_H_

#include <rkvs/status.h>

#include <boost/asio/error.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>
#include <boost/system/is_error_code_enum.hpp>
#include <string>
#include <type_traits>

template <>
struct boost::system::is_error_code_enum<rkvs::StatusCode> : std::true_type {};

namespace rkvs {

namespace internal {

// Boost's class is no base to delete by; gcc warns all the same.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
class AsyncErrorCategory final : public boost::system::error_category {
 public:
  constexpr AsyncErrorCategory() noexcept : error_category(0x726b7673'00000001U) {}

  const char* name() const noexcept override { return "rkvs"; }
  std::string message(int code) const override {
    return std::string(status_code_name(static_cast<StatusCode>(code)));
  }
  // An outcome is no error.
  bool failed(int code) const noexcept override { return code < 0; }
  // What generic code asks for: `ec == boost::system::errc::timed_out`.
  boost::system::error_condition default_error_condition(int code) const noexcept override {
    namespace errc = boost::system::errc;
    switch (static_cast<StatusCode>(code)) {
      case StatusCode::kInvalidArgument: return make_error_condition(errc::invalid_argument);
      case StatusCode::kNoMemory: return make_error_condition(errc::not_enough_memory);
      case StatusCode::kTimeout: return make_error_condition(errc::timed_out);
      case StatusCode::kCancelled: return make_error_condition(errc::operation_canceled);
      case StatusCode::kIo: return make_error_condition(errc::io_error);
      case StatusCode::kBusy: return make_error_condition(errc::device_or_resource_busy);
      case StatusCode::kWouldDeadlock:
        return make_error_condition(errc::resource_deadlock_would_occur);
      case StatusCode::kUnsupported: return make_error_condition(errc::not_supported);
      default: return boost::system::error_condition(code, *this);
    }
  }
};
#pragma GCC diagnostic pop

inline constexpr AsyncErrorCategory kAsyncErrorCategory{};

}  // namespace internal

// The category of the errors of asynchronous operations; its name is "rkvs". The values are those
// of StatusCode.
inline const boost::system::error_category& error_category() noexcept {
  return internal::kAsyncErrorCategory;
}

// Cancelled is what every Asio operation calls it, boost::asio::error::operation_aborted: both
// `ec == StatusCode::kCancelled` and `ec == boost::asio::error::operation_aborted` hold.
inline boost::system::error_code make_error_code(StatusCode code) noexcept {
  if (code == StatusCode::kOk) return {};
  if (code == StatusCode::kCancelled) return boost::asio::error::operation_aborted;
  return {static_cast<int>(code), error_category()};
}

// The way back, for errors that rkvs reported. Internal for others.
inline StatusCode status_code_of(const boost::system::error_code& error) noexcept {
  if (!error.failed() && error.category() != error_category()) return StatusCode::kOk;
  if (error == boost::asio::error::operation_aborted) return StatusCode::kCancelled;
  return error.category() == error_category() ? static_cast<StatusCode>(error.value())
                                              : StatusCode::kInternal;
}

}  // namespace rkvs

#endif  // RKVS_ASYNC_ERROR_H_
