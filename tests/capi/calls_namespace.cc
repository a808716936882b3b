// Every function of the C API on namespaces, but batches, that can fail.
#include <string_view>

#include "tests/capi/call_table.h"

namespace rkvs::capi_test {

namespace {

// Longer than what a std::string keeps inside of itself, so that it allocates.
rkvs_status change(void* /*user*/, const void* /*value*/, size_t /*size*/,
                   rkvs_transform* transform) {
  static constexpr std::string_view kChanged = "changed into something that is longer than before";
  return rkvs_transform_set(transform, kChanged.data(), kChanged.size());
}

struct InAnHour : Sized<rkvs_write_options> {
  InAnHour() { content.expire_after_ms = 3600 * 1000; }
};

struct Prefix : Sized<rkvs_scan_options> {
  Prefix() {
    content.prefix = "k";
    content.prefix_size = 1;
  }
};

struct Limits : Sized<rkvs_namespace_config> {
  Limits() { content.max_keys = 100; }
};

// Some room, for anything.
struct Buffer {
  // NOLINTNEXTLINE(google-explicit-constructor): as Slot
  operator void*() { return bytes; }
  char bytes[16];
};

template <typename T>
struct Array {
  // NOLINTNEXTLINE(google-explicit-constructor): as Slot
  operator T*() { return items; }
  T items[4];
};

}  // namespace

Calls namespace_calls() {
  return {
      RKVS_CALL(rkvs_namespace_get, "k1", 2, Out<rkvs_value>()),
      RKVS_ASYNC_CALL(rkvs_namespace_get_async, "k1", 2),
      RKVS_CALL(rkvs_namespace_get_into, "k1", 2, Buffer(), sizeof(Buffer), Slot<size_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_get_into_async, "k1", 2, Buffer(), sizeof(Buffer)),
      RKVS_CALL(rkvs_namespace_get_with_version, "k1", 2, Out<rkvs_value>(), Slot<uint64_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_get_with_version_async, "k1", 2),
      RKVS_CALL(rkvs_namespace_exists, "k1", 2),
      RKVS_ASYNC_CALL(rkvs_namespace_exists_async, "k1", 2),
      RKVS_CALL(rkvs_namespace_set, "k1", 2, "new", 3, nullptr, Out<rkvs_value>()),
      RKVS_ASYNC_CALL(rkvs_namespace_set_async, "k1", 2, "new", 3, nullptr),
      RKVS_CALL(rkvs_namespace_put, "k1", 2, "new", 3, nullptr),
      RKVS_ASYNC_CALL(rkvs_namespace_put_async, "k1", 2, "new", 3, nullptr),
      RKVS_CALL(rkvs_namespace_add, "absent", 6, "new", 3, nullptr, Slot<uint64_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_add_async, "absent", 6, "new", 3, nullptr),
      RKVS_CALL(rkvs_namespace_update, "k1", 2, "new", 3, nullptr, Out<rkvs_value>()),
      RKVS_ASYNC_CALL(rkvs_namespace_update_async, "k1", 2, "new", 3, nullptr),
      RKVS_CALL(rkvs_namespace_compare_and_set, "k1", 2, w.version, "new", 3, nullptr,
                Slot<uint64_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_compare_and_set_async, "k1", 2, w.version, "new", 3, nullptr),
      RKVS_CALL(rkvs_namespace_compare_and_delete, "k1", 2, w.version),
      RKVS_ASYNC_CALL(rkvs_namespace_compare_and_delete_async, "k1", 2, w.version),
      RKVS_CALL(rkvs_namespace_delete_key, "k1", 2),
      RKVS_ASYNC_CALL(rkvs_namespace_delete_key_async, "k1", 2),
      RKVS_CALL(rkvs_namespace_consume, "k1", 2, Out<rkvs_value>()),
      RKVS_ASYNC_CALL(rkvs_namespace_consume_async, "k1", 2),
      RKVS_CALL(rkvs_namespace_ttl, "k1", 2, Slot<int64_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_ttl_async, "k1", 2),
      RKVS_CALL(rkvs_namespace_touch, "k1", 2, InAnHour()),
      RKVS_ASYNC_CALL(rkvs_namespace_touch_async, "k1", 2, InAnHour()),
      RKVS_CALL(rkvs_namespace_persist, "k1", 2, Slot<int32_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_persist_async, "k1", 2),
      RKVS_CALL(rkvs_namespace_increment, "n", 1, 2, nullptr, Slot<int64_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_increment_async, "n", 1, 2, nullptr),
      RKVS_CALL(rkvs_namespace_decrement, "n", 1, 2, nullptr, Slot<int64_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_decrement_async, "n", 1, 2, nullptr),
      RKVS_CALL(rkvs_namespace_transform, "k1", 2, change, nullptr, Out<rkvs_value>()),
      RKVS_ASYNC_CALL(rkvs_namespace_transform_async, "k1", 2, change, nullptr),

      RKVS_CALL(rkvs_namespace_list_keys, Out<rkvs_list>()),
      RKVS_ASYNC_CALL(rkvs_namespace_list_keys_async),
      RKVS_CALL(rkvs_namespace_scan_open, Prefix(), Out<rkvs_scan>()),
      RKVS_CALL(rkvs_scan_next, 100, Out<rkvs_batch_result>()),
      RKVS_ASYNC_CALL(rkvs_scan_next_async, 100),
      RKVS_CALL(rkvs_namespace_delete_prefix, "k", 1, Slot<uint64_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_delete_prefix_async, "k", 1),
      RKVS_CALL(rkvs_namespace_clear, Slot<uint64_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_clear_async),

      RKVS_CALL(rkvs_namespace_get_config, Sized<rkvs_namespace_config>()),
      RKVS_ASYNC_CALL(rkvs_namespace_get_config_async),
      RKVS_CALL(rkvs_namespace_set_max_keys, 100),
      RKVS_ASYNC_CALL(rkvs_namespace_set_max_keys_async, 100),
      RKVS_CALL(rkvs_namespace_set_max_bytes, 100000000),
      RKVS_ASYNC_CALL(rkvs_namespace_set_max_bytes_async, 100000000),
      RKVS_CALL(rkvs_namespace_set_max_value_size, 1000),
      RKVS_ASYNC_CALL(rkvs_namespace_set_max_value_size_async, 1000),
      RKVS_CALL(rkvs_namespace_set_lock_timeout, 100),
      RKVS_ASYNC_CALL(rkvs_namespace_set_lock_timeout_async, 100),
      RKVS_CALL(rkvs_namespace_update_config, Limits()),
      RKVS_ASYNC_CALL(rkvs_namespace_update_config_async, Limits()),
      RKVS_CALL(rkvs_namespace_resize_shards, 5, nullptr),
      RKVS_ASYNC_CALL(rkvs_namespace_resize_shards_async, 5),
      RKVS_CALL(rkvs_namespace_metadata, Sized<rkvs_namespace_stats>()),
      RKVS_ASYNC_CALL(rkvs_namespace_metadata_async),
      RKVS_CALL(rkvs_namespace_shard_stats, Array<rkvs_shard_stats>(), sizeof(rkvs_shard_stats), 4,
                Slot<size_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_shard_stats_async),
      RKVS_CALL(rkvs_namespace_shard_key_counts, Array<uint64_t>(), 4, Slot<size_t>()),
      RKVS_ASYNC_CALL(rkvs_namespace_shard_key_counts_async),
  };
}

}  // namespace rkvs::capi_test
