// What the files about managers share.
#ifndef RKVS_CAPI_MANAGER_H_
#define RKVS_CAPI_MANAGER_H_

#include "capi/internal.h"

namespace rkvs::capi {

inline rkvs_status check_manager(const rkvs_manager* manager, rkvs_error** error) noexcept {
  const rkvs_status bad = check(manager);
  return bad == RKVS_OK ? RKVS_OK : refuse_argument(bad, error, "not a manager");
}

inline rkvs_status check_namespace(const rkvs_namespace* ns, rkvs_error** error) noexcept {
  const rkvs_status bad = check(ns);
  return bad == RKVS_OK ? RKVS_OK : refuse_argument(bad, error, "not a namespace");
}

// Of a text that must be there.
inline rkvs_status check_name(const char* name, rkvs_error** error) noexcept {
  if (name != nullptr) return RKVS_OK;
  return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "a name is NULL");
}

// Of a pointer to which something is to be written.
inline rkvs_status check_slot(const void* slot, rkvs_error** error) noexcept {
  if (slot != nullptr) return RKVS_OK;
  return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "NULL where a result is to go");
}

// A handle with one reference, which keeps the manager. Throws std::bad_alloc.
rkvs_namespace* make_namespace(rkvs_manager* manager, Namespace ns);

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_MANAGER_H_
