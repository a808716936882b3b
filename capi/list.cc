#include "capi/list.h"

#include <memory>

#include "capi/options.h"

using rkvs::StatusCode;
using namespace rkvs::capi;

namespace rkvs::capi {

rkvs_list* make_list(const std::vector<std::string>& items) {
  auto list = std::make_unique<rkvs_list>();
  std::size_t size = 0;
  for (const std::string& item : items) size += item.size();
  list->bytes.reserve(size);
  list->offsets.reserve(items.size() + 1);
  for (const std::string& item : items) list->append(item);
  return list.release();
}

}  // namespace rkvs::capi

namespace {

// A forked child may read what it has: lists take no lock.
rkvs_status check_item(const rkvs_list* list, size_t index, size_t count, rkvs_error** error) {
  if (index < count) return RKVS_OK;
  return refuse(StatusCode::kInvalidArgument, error, "item ", index, " of ", list->count());
}

}  // namespace

size_t rkvs_list_count(const rkvs_list* list) { return is_valid(list) ? list->count() : 0; }

rkvs_status rkvs_list_item(const rkvs_list* list, size_t index, const void** data, size_t* size,
                           rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (!is_valid(list)) return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "not a list");
    if (const rkvs_status bad = check_item(list, index, list->count(), error)) return bad;
    const uint64_t begin = list->offsets[index];
    if (data != nullptr) *data = list->bytes.data() + begin;
    if (size != nullptr) *size = list->offsets[index + 1] - begin;
    return RKVS_OK;
  });
}

rkvs_status rkvs_list_packed(const rkvs_list* list, const void** bytes, const uint64_t** offsets,
                             size_t* count, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (!is_valid(list)) return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "not a list");
    if (bytes != nullptr) *bytes = list->bytes.data();
    if (offsets != nullptr) *offsets = list->offsets.data();
    if (count != nullptr) *count = list->count();
    return RKVS_OK;
  });
}

rkvs_status rkvs_list_namespace_stats(const rkvs_list* list, size_t index,
                                      rkvs_namespace_stats* stats, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (!is_valid(list)) return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "not a list");
    if (const rkvs_status bad = check_item(list, index, list->stats.size(), error)) return bad;
    return finish(rkvs::capi::write_struct(rkvs::capi::from_stats(list->stats[index]), stats),
                  error);
  });
}

rkvs_status rkvs_list_autosave_status(const rkvs_list* list, size_t index,
                                      rkvs_autosave_status* status, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (!is_valid(list)) return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "not a list");
    if (const rkvs_status bad = check_item(list, index, list->autosave.size(), error)) return bad;
    return finish(
        rkvs::capi::write_struct(rkvs::capi::from_autosave_status(list->autosave[index]), status),
        error);
  });
}

rkvs_list* rkvs_list_retain(rkvs_list* list) { return rkvs::capi::retain(list); }
void rkvs_list_release(rkvs_list* list) { rkvs::capi::release(list); }
