// Operations on one key.
#include <optional>
#include <utility>

#include "capi/manager.h"
#include "capi/options.h"
#include "capi/value.h"

using rkvs::CounterOptions;
using rkvs::Result;
using rkvs::Status;
using rkvs::Value;
using rkvs::VersionedValue;
using rkvs::WriteOptions;
using namespace rkvs::capi;

namespace {

rkvs_status check_namespace_and_key(const rkvs_namespace* ns, const void* key, size_t key_size,
                                    rkvs_error** error) {
  if (const rkvs_status bad = check(ns)) [[unlikely]]
    return refuse_argument(bad, error, "not a namespace");
  if (const rkvs_status bad = check_key(key, key_size)) [[unlikely]]
    return refuse_argument(bad, error, "the key is NULL");
  return RKVS_OK;
}

rkvs_status check_write(const rkvs_namespace* ns, const void* key, size_t key_size,
                        const void* value, size_t value_size, rkvs_error** error) {
  if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) [[unlikely]]
    return bad;
  if (const rkvs_status bad = check_value(value, value_size)) [[unlikely]]
    return refuse_argument(bad, error, "the value is NULL");
  return RKVS_OK;
}

}  // namespace

rkvs_status rkvs_namespace_get(rkvs_namespace* ns, const void* key, size_t key_size,
                               rkvs_value** value, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(value, error)) return bad;
    *value = nullptr;
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    Result<Value> got = ns->ns.get(view(key, key_size));
    if (!got.ok()) return finish(got.status(), error);
    *value = value_handle(std::move(got.value()));
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_get_into(rkvs_namespace* ns, const void* key, size_t key_size,
                                    void* buffer, size_t capacity, size_t* size,
                                    rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(size, error)) return bad;
    *size = 0;
    if (buffer == nullptr && capacity != 0) {
      return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "the buffer is NULL");
    }
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    const Result<Value> got = ns->ns.get(view(key, key_size));
    if (!got.ok()) return finish(got.status(), error);
    const std::string_view bytes = got.value().view();
    *size = bytes.size();
    if (!bytes.empty() && bytes.size() <= capacity) std::memcpy(buffer, bytes.data(), bytes.size());
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_get_with_version(rkvs_namespace* ns, const void* key, size_t key_size,
                                            rkvs_value** value, uint64_t* version,
                                            rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (value != nullptr) *value = nullptr;
    if (version != nullptr) *version = 0;
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    Result<VersionedValue> got = ns->ns.get_with_version(view(key, key_size));
    if (!got.ok()) return finish(got.status(), error);
    if (value != nullptr) *value = value_handle(std::move(got->value));
    if (version != nullptr) *version = got->version;
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_exists(rkvs_namespace* ns, const void* key, size_t key_size,
                                  rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    const Result<bool> found = ns->ns.exists(view(key, key_size));
    if (!found.ok()) return finish(found.status(), error);
    return *found ? RKVS_OK : RKVS_NOT_FOUND;
  });
}

rkvs_status rkvs_namespace_set(rkvs_namespace* ns, const void* key, size_t key_size,
                               const void* value, size_t value_size,
                               const rkvs_write_options* options, rkvs_value** old_value,
                               rkvs_error** error) {
  if (old_value == nullptr) {
    return rkvs_namespace_put(ns, key, key_size, value, value_size, options, error);
  }
  return guarded(error, [&]() -> rkvs_status {
    *old_value = nullptr;
    if (const rkvs_status bad = check_write(ns, key, key_size, value, value_size, error)) {
      return bad;
    }
    WriteOptions write;
    if (const Status bad = to_write_options(options, write); !bad.ok()) return finish(bad, error);
    auto old = ns->ns.set(view(key, key_size), view(value, value_size), write);
    if (!old.ok()) return finish(old.status(), error);
    *old_value = value_handle(std::move(old.value()));
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_put(rkvs_namespace* ns, const void* key, size_t key_size,
                               const void* value, size_t value_size,
                               const rkvs_write_options* options, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_write(ns, key, key_size, value, value_size, error)) {
      return bad;
    }
    if (options == nullptr) {
      return finish(ns->ns.put(view(key, key_size), view(value, value_size)), error);
    }
    WriteOptions write;
    if (const Status bad = to_write_options(options, write); !bad.ok()) return finish(bad, error);
    return finish(ns->ns.put(view(key, key_size), view(value, value_size), write), error);
  });
}

rkvs_status rkvs_namespace_add(rkvs_namespace* ns, const void* key, size_t key_size,
                               const void* value, size_t value_size,
                               const rkvs_write_options* options, uint64_t* version,
                               rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (version != nullptr) *version = 0;
    if (const rkvs_status bad = check_write(ns, key, key_size, value, value_size, error)) {
      return bad;
    }
    WriteOptions write;
    if (const Status bad = to_write_options(options, write); !bad.ok()) return finish(bad, error);
    const auto added = ns->ns.add(view(key, key_size), view(value, value_size), write);
    if (!added.ok()) return finish(added.status(), error);
    if (version != nullptr) *version = *added;
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_update(rkvs_namespace* ns, const void* key, size_t key_size,
                                  const void* value, size_t value_size,
                                  const rkvs_write_options* options, rkvs_value** old_value,
                                  rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (old_value != nullptr) *old_value = nullptr;
    if (const rkvs_status bad = check_write(ns, key, key_size, value, value_size, error)) {
      return bad;
    }
    WriteOptions write;
    if (const Status bad = to_write_options(options, write); !bad.ok()) return finish(bad, error);
    auto old = ns->ns.update(view(key, key_size), view(value, value_size), write);
    if (!old.ok()) return finish(old.status(), error);
    if (old_value != nullptr) *old_value = value_handle(std::move(old.value()));
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_compare_and_set(rkvs_namespace* ns, const void* key, size_t key_size,
                                           uint64_t expected_version, const void* value,
                                           size_t value_size, const rkvs_write_options* options,
                                           uint64_t* version, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (version != nullptr) *version = 0;
    if (const rkvs_status bad = check_write(ns, key, key_size, value, value_size, error)) {
      return bad;
    }
    WriteOptions write;
    if (const Status bad = to_write_options(options, write); !bad.ok()) return finish(bad, error);
    const auto set = ns->ns.compare_and_set(view(key, key_size), expected_version,
                                            view(value, value_size), write);
    if (!set.ok()) return finish(set.status(), error);
    if (version != nullptr) *version = *set;
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_compare_and_delete(rkvs_namespace* ns, const void* key, size_t key_size,
                                              uint64_t expected_version, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    return finish(ns->ns.compare_and_delete(view(key, key_size), expected_version), error);
  });
}

rkvs_status rkvs_namespace_delete_key(rkvs_namespace* ns, const void* key, size_t key_size,
                                      rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    const Result<bool> removed = ns->ns.delete_key(view(key, key_size));
    if (!removed.ok()) return finish(removed.status(), error);
    return *removed ? RKVS_OK : RKVS_NOT_FOUND;
  });
}

rkvs_status rkvs_namespace_consume(rkvs_namespace* ns, const void* key, size_t key_size,
                                   rkvs_value** value, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (value != nullptr) *value = nullptr;
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    Result<Value> old = ns->ns.consume(view(key, key_size));
    if (!old.ok()) return finish(old.status(), error);
    if (value != nullptr) *value = value_handle(std::move(old.value()));
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_ttl(rkvs_namespace* ns, const void* key, size_t key_size,
                               int64_t* ttl_ms, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(ttl_ms, error)) return bad;
    *ttl_ms = -1;
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    const auto left = ns->ns.ttl(view(key, key_size));
    if (!left.ok()) return finish(left.status(), error);
    if (left->has_value()) *ttl_ms = (*left)->count();
    return RKVS_OK;
  });
}

rkvs_status rkvs_namespace_touch(rkvs_namespace* ns, const void* key, size_t key_size,
                                 const rkvs_write_options* options, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    WriteOptions write;
    if (const Status bad = to_write_options(options, write); !bad.ok()) return finish(bad, error);
    return finish(ns->ns.touch(view(key, key_size), write), error);
  });
}

rkvs_status rkvs_namespace_persist(rkvs_namespace* ns, const void* key, size_t key_size,
                                   int32_t* had_expiry, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (had_expiry != nullptr) *had_expiry = 0;
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    const Result<bool> had = ns->ns.persist(view(key, key_size));
    if (!had.ok()) return finish(had.status(), error);
    if (had_expiry != nullptr) *had_expiry = *had ? 1 : 0;
    return RKVS_OK;
  });
}

namespace {

using Count = Result<int64_t> (rkvs::Namespace::*)(std::string_view, int64_t,
                                                   const CounterOptions&);

rkvs_status count(rkvs_namespace* ns, const void* key, size_t key_size, int64_t delta,
                  const rkvs_counter_options* options, int64_t* result, rkvs_error** error,
                  Count operation) {
  return guarded(error, [&]() -> rkvs_status {
    if (result != nullptr) *result = 0;
    if (const rkvs_status bad = check_namespace_and_key(ns, key, key_size, error)) return bad;
    CounterOptions counter;
    if (const Status bad = to_counter_options(options, counter); !bad.ok()) {
      return finish(bad, error);
    }
    const Result<int64_t> sum = (ns->ns.*operation)(view(key, key_size), delta, counter);
    if (!sum.ok()) return finish(sum.status(), error);
    if (result != nullptr) *result = *sum;
    return RKVS_OK;
  });
}

}  // namespace

rkvs_status rkvs_namespace_increment(rkvs_namespace* ns, const void* key, size_t key_size,
                                     int64_t delta, const rkvs_counter_options* options,
                                     int64_t* result, rkvs_error** error) {
  return count(ns, key, key_size, delta, options, result, error, &rkvs::Namespace::increment);
}

rkvs_status rkvs_namespace_decrement(rkvs_namespace* ns, const void* key, size_t key_size,
                                     int64_t delta, const rkvs_counter_options* options,
                                     int64_t* result, rkvs_error** error) {
  return count(ns, key, key_size, delta, options, result, error, &rkvs::Namespace::decrement);
}
