// Limits, shards and figures of a namespace.
#include <algorithm>

#include "capi/manager.h"
#include "capi/options.h"

using rkvs::NamespaceConfig;
using rkvs::OperationOptions;
using rkvs::Status;
using namespace rkvs::capi;

const char* rkvs_namespace_name(const rkvs_namespace* ns) {
  // Not checked for forks: the name is in the handle, behind no lock.
  return is_valid(ns) ? ns->ns.name().c_str() : nullptr;
}

rkvs_namespace* rkvs_namespace_retain(rkvs_namespace* ns) { return retain(ns); }
void rkvs_namespace_release(rkvs_namespace* ns) { release(ns); }

rkvs_status rkvs_namespace_get_config(rkvs_namespace* ns, rkvs_namespace_config* config,
                                      rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    return finish(write_struct(from_namespace_config(ns->ns.get_config()), config), error);
  });
}

rkvs_status rkvs_namespace_set_max_keys(rkvs_namespace* ns, uint64_t max_keys, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    return finish(ns->ns.set_max_keys(max_keys), error);
  });
}

rkvs_status rkvs_namespace_set_max_bytes(rkvs_namespace* ns, uint64_t max_bytes,
                                         rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    return finish(ns->ns.set_max_bytes(max_bytes), error);
  });
}

rkvs_status rkvs_namespace_set_max_value_size(rkvs_namespace* ns, uint64_t max_value_size,
                                              rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    return finish(ns->ns.set_max_value_size(max_value_size), error);
  });
}

rkvs_status rkvs_namespace_set_lock_timeout(rkvs_namespace* ns, uint64_t lock_timeout_ms,
                                            rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    return finish(ns->ns.set_lock_timeout(to_milliseconds(lock_timeout_ms)), error);
  });
}

rkvs_status rkvs_namespace_update_config(rkvs_namespace* ns, const rkvs_namespace_config* config,
                                         rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    NamespaceConfig limits;
    if (const Status bad = to_given_config(config, limits); !bad.ok()) {
      return finish(bad, error);
    }
    return finish(ns->ns.update_config(limits), error);
  });
}

rkvs_status rkvs_namespace_resize_shards(rkvs_namespace* ns, uint32_t shard_count,
                                         const rkvs_operation_options* options,
                                         rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    OperationOptions operation;
    if (const Status bad = to_operation_options(options, operation); !bad.ok()) {
      return finish(bad, error);
    }
    return finish(ns->ns.resize_shards(shard_count, operation), error);
  });
}

rkvs_status rkvs_namespace_metadata(rkvs_namespace* ns, rkvs_namespace_stats* stats,
                                    rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    const auto figures = ns->ns.metadata();
    if (!figures.ok()) return finish(figures.status(), error);
    return finish(write_struct(from_stats(*figures), stats), error);
  });
}

rkvs_status rkvs_namespace_shard_stats(rkvs_namespace* ns, rkvs_shard_stats* stats,
                                       size_t item_size, size_t capacity, size_t* count,
                                       rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(count, error)) return bad;
    *count = 0;
    if (stats == nullptr && capacity != 0) {
      return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "the array is NULL");
    }
    if (const Status bad = check_size<rkvs_shard_stats>(item_size); !bad.ok()) {
      return finish(bad, error);
    }
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    const auto figures = ns->ns.shard_stats();
    if (!figures.ok()) return finish(figures.status(), error);
    auto* item = reinterpret_cast<unsigned char*>(stats);
    for (size_t i = 0; i < figures->size() && i < capacity; ++i, item += item_size) {
      copy_sized(from_shard_stats((*figures)[i]), item, item_size);
    }
    *count = figures->size();
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_shard_key_counts(rkvs_namespace* ns, uint64_t* counts, size_t capacity,
                                            size_t* count, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(count, error)) return bad;
    *count = 0;
    if (counts == nullptr && capacity != 0) {
      return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "the array is NULL");
    }
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    const auto figures = ns->ns.shard_key_counts();
    if (!figures.ok()) return finish(figures.status(), error);
    std::copy_n(figures->begin(), std::min(capacity, figures->size()), counts);
    *count = figures->size();
    return RKVS_OK;
  });
}
