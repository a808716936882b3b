#include "capi/value.h"

#include <new>

#include "capi/internal.h"

using rkvs::capi::entry_of;
using rkvs::internal::Entry;

namespace rkvs::capi {

rkvs_value* make_value(std::string_view bytes) {
  Entry* entry = Entry::create({}, bytes);
  if (entry == nullptr) throw std::bad_alloc();
  return value_handle(entry);
}

}  // namespace rkvs::capi

const void* rkvs_value_data(const rkvs_value* value) {
  const Entry* entry = entry_of(value);
  return entry == nullptr ? nullptr : entry->value().data();
}

size_t rkvs_value_size(const rkvs_value* value) {
  const Entry* entry = entry_of(value);
  return entry == nullptr ? 0 : entry->value_size;
}

void rkvs_value_view(const rkvs_value* value, const void** data, size_t* size) {
  if (data != nullptr) *data = rkvs_value_data(value);
  if (size != nullptr) *size = rkvs_value_size(value);
}

rkvs_value* rkvs_value_retain(rkvs_value* value) {
  Entry* entry = entry_of(value);
  if (entry != nullptr && !rkvs::capi::forked()) entry->retain();
  return value;
}

void rkvs_value_release(rkvs_value* value) {
  Entry* entry = entry_of(value);
  // In a forked child the locks of the arena may be held for ever.
  if (entry != nullptr && !rkvs::capi::forked()) entry->release();
}
