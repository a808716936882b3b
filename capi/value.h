// rkvs_value: a reference to an entry of the store, without an object of its own.
#ifndef RKVS_CAPI_VALUE_H_
#define RKVS_CAPI_VALUE_H_

#include <rkvs/value.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "capi/rkvs.h"
#include "store/entry.h"

namespace rkvs::internal {

struct ValueAccess {
  // Takes the reference out of `value`.
  static Entry* take(Value&& value) noexcept {
    value.data_ = "";
    value.size_ = 0;
    return std::exchange(value.entry_, nullptr);
  }
  static Entry* get(const Value& value) noexcept { return value.entry_; }
};

}  // namespace rkvs::internal

namespace rkvs::capi {

// An rkvs_value points one byte behind the beginning of its entry: so it costs no allocation, and
// cannot be taken for any other handle, nor these for it.
inline constexpr uintptr_t kValueTag = 1;

// Takes over one reference. NULL for nullptr.
inline rkvs_value* value_handle(internal::Entry* entry) noexcept {
  if (entry == nullptr) return nullptr;
  return reinterpret_cast<rkvs_value*>(reinterpret_cast<uintptr_t>(entry) + kValueTag);
}
inline rkvs_value* value_handle(Value&& value) noexcept {
  return value_handle(internal::ValueAccess::take(std::move(value)));
}
inline rkvs_value* value_handle(std::optional<Value>&& value) noexcept {
  return value.has_value() ? value_handle(*std::move(value)) : nullptr;
}

// nullptr for what is no value.
inline internal::Entry* entry_of(const rkvs_value* value) noexcept {
  const auto address = reinterpret_cast<uintptr_t>(value);
  if ((address & 7U) != kValueTag) return nullptr;
  return reinterpret_cast<internal::Entry*>(address - kValueTag);
}

// A value of its own that holds these bytes. Throws std::bad_alloc.
rkvs_value* make_value(std::string_view bytes);

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_VALUE_H_
