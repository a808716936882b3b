// Every function of the C API that can fail, with arguments that are right.
#include "tests/capi/world.h"

namespace rkvs::capi_test {

namespace {

// The two items of the batches, packed.
constexpr uint64_t kOffsets[] = {0, 2, 4};
constexpr uint64_t kValueOffsets[] = {0, 1, 3};
constexpr rkvs_slice kKeys[] = {{"k3", 2}, {"k4", 2}};
constexpr rkvs_slice kValues[] = {{"x", 1}, {"yz", 2}};

template <typename T>
T with_size() {
  T made = {};
  made.struct_size = sizeof made;
  return made;
}

rkvs_status change(void* /*user*/, const void* /*value*/, size_t /*size*/,
                   rkvs_transform* transform) {
  return rkvs_transform_set(transform, "changed", 7);
}

rkvs_autosave_config task() {
  auto config = with_size<rkvs_autosave_config>();
  config.interval_ms = 3600 * 1000;
  config.file = "other_auto";
  return config;
}

}  // namespace

#define MANAGER(name, ...)                                                          \
  {                                                                                 \
#name, Kind::kManager, [](World& w, void* h, rkvs_error** e) -> rkvs_status {     \
      (void)w;                                                                        \
      auto* const m = static_cast<rkvs_manager*>(h);                                  \
      __VA_ARGS__                                                                     \
    } \
  }
#define NAMESPACE(name, ...)                                                        \
  {                                                                                 \
#name, Kind::kNamespace, [](World& w, void* h, rkvs_error** e) -> rkvs_status {   \
      (void)w;                                                                        \
      auto* const n = static_cast<rkvs_namespace*>(h);                                \
      __VA_ARGS__                                                                     \
    } \
  }
#define OTHER(kind, type, name, ...)                                                \
  {                                                                                 \
#name, Kind::kind, [](World& w, void* h, rkvs_error** e) -> rkvs_status {         \
      (void)w;                                                                        \
      auto* const x = static_cast<type*>(h);                                          \
      __VA_ARGS__                                                                     \
    } \
  }

const std::vector<Call>& all_calls() {
  static const auto* const calls = new std::vector<Call> {
    MANAGER(rkvs_manager_initialize, return rkvs_manager_initialize(m, e);),
        MANAGER(rkvs_manager_initialize_file,
                return rkvs_manager_initialize_file(m, "saved", nullptr, e);),
        MANAGER(rkvs_manager_initialize_file_async,
                return w.finish(
                    rkvs_manager_initialize_file_async(m, "saved", &w.how, nullptr, nullptr, e));),
        MANAGER(rkvs_manager_load_report, rkvs_load_report* out = nullptr;
                const rkvs_status s = rkvs_manager_load_report(m, &out, e);
                rkvs_load_report_release(out); return s;),
        MANAGER(rkvs_manager_create_namespace, rkvs_namespace* out = nullptr;
                const rkvs_status s = rkvs_manager_create_namespace(m, "fresh", nullptr, &out, e);
                rkvs_namespace_release(out); return s;),
        MANAGER(rkvs_manager_get_namespace, rkvs_namespace* out = nullptr;
                const rkvs_status s = rkvs_manager_get_namespace(m, "users", &out, e);
                rkvs_namespace_release(out); return s;),
        MANAGER(rkvs_manager_delete_namespace,
                return rkvs_manager_delete_namespace(m, "users", e);),
        MANAGER(rkvs_manager_delete_namespace_async,
                return w.finish(
                    rkvs_manager_delete_namespace_async(m, "users", &w.how, nullptr, nullptr, e));),
        MANAGER(rkvs_manager_clone_namespace, rkvs_namespace* out = nullptr;
                const rkvs_status s =
                    rkvs_manager_clone_namespace(m, "users", "copy", nullptr, &out, e);
                rkvs_namespace_release(out); return s;),
        MANAGER(rkvs_manager_clone_namespace_async,
                return w.finish(rkvs_manager_clone_namespace_async(m, "users", "copy", &w.how,
                                                                   nullptr, nullptr, e));),
        MANAGER(rkvs_manager_list_namespaces, rkvs_list* out = nullptr;
                const rkvs_status s = rkvs_manager_list_namespaces(m, &out, e);
                rkvs_list_release(out); return s;),
        MANAGER(rkvs_manager_update_namespace_config, auto c = with_size<rkvs_namespace_config>();
                c.max_keys = 1000; return rkvs_manager_update_namespace_config(m, "users", &c, e);),
        MANAGER(rkvs_manager_get_config, auto c = with_size<rkvs_manager_config>();
                return rkvs_manager_get_config(m, &c, e);),
        MANAGER(rkvs_manager_update_config, auto c = with_size<rkvs_manager_config>();
                c.max_namespaces = 10; return rkvs_manager_update_config(m, &c, e);),
        MANAGER(rkvs_manager_namespace_stats, auto c = with_size<rkvs_namespace_stats>();
                return rkvs_manager_namespace_stats(m, "users", &c, e);),
        MANAGER(rkvs_manager_all_namespace_stats, rkvs_list* out = nullptr;
                const rkvs_status s = rkvs_manager_all_namespace_stats(m, &out, e);
                rkvs_list_release(out); return s;),
        MANAGER(rkvs_manager_metrics_text, rkvs_value* out = nullptr;
                const rkvs_status s = rkvs_manager_metrics_text(m, &out, e);
                rkvs_value_release(out); return s;),
        MANAGER(rkvs_manager_namespace_count, uint64_t count = 0;
                return rkvs_manager_namespace_count(m, &count, e);),
        MANAGER(rkvs_manager_total_key_count, uint64_t count = 0;
                return rkvs_manager_total_key_count(m, &count, e);),
        MANAGER(rkvs_manager_save_all, return rkvs_manager_save_all(m, "all", nullptr, e);),
        MANAGER(rkvs_manager_save_all_async, return w.finish(rkvs_manager_save_all_async(
                                                 m, "all", &w.how, nullptr, nullptr, e));),
        MANAGER(rkvs_manager_save_namespace,
                return rkvs_manager_save_namespace(m, "users", "one", nullptr, e);),
        MANAGER(rkvs_manager_save_namespace_async,
                return w.finish(rkvs_manager_save_namespace_async(m, "users", "one", &w.how,
                                                                  nullptr, nullptr, e));),
        MANAGER(rkvs_manager_load_namespace, rkvs_value* out = nullptr;
                const rkvs_status s = rkvs_manager_load_namespace(m, "saved", nullptr, &out, e);
                rkvs_value_release(out); return s;),
        MANAGER(rkvs_manager_load_namespace_async,
                return w.finish(
                    rkvs_manager_load_namespace_async(m, "saved", &w.how, nullptr, nullptr, e));),
        MANAGER(rkvs_manager_load_namespace_as,
                return rkvs_manager_load_namespace_as(m, "saved", "loaded", "other", nullptr, e);),
        MANAGER(rkvs_manager_load_namespace_as_async,
                return w.finish(rkvs_manager_load_namespace_as_async(
                    m, "saved", "loaded", "other", &w.how, nullptr, nullptr, e));),
        MANAGER(rkvs_manager_stop_namespace_autosave,
                return rkvs_manager_stop_namespace_autosave(m, "users", e);),
        MANAGER(
            rkvs_manager_stop_manager_autosave,
            const rkvs_status s = rkvs_manager_stop_manager_autosave(m, e);
            /* There is none. */ if (s != RKVS_E_AUTOSAVE_NOT_RUNNING) return s; if (e != nullptr) {
              rkvs_error_release(*e);
              *e = nullptr;
            } return RKVS_OK;),
        MANAGER(
            rkvs_manager_add_namespace_autosave_task, const rkvs_autosave_config c = task();
            /* In place of the one that is running. */ if (const rkvs_status s =
                                                               rkvs_manager_stop_namespace_autosave(
                                                                   m, "users", e);
                                                           s < 0) return s;
            return rkvs_manager_add_namespace_autosave_task(m, "users", &c, e);),
        MANAGER(rkvs_manager_start_namespace_autosave_task,
                if (const rkvs_status s = rkvs_manager_stop_namespace_autosave(m, "users", e);
                    s < 0) return s;
                return rkvs_manager_start_namespace_autosave_task(m, "users", e);),
        MANAGER(rkvs_manager_start_missing_autosave_tasks, uint64_t count = 0;
                return rkvs_manager_start_missing_autosave_tasks(m, &count, e);),
        MANAGER(rkvs_manager_list_autosave_tasks, rkvs_list* out = nullptr;
                const rkvs_status s = rkvs_manager_list_autosave_tasks(m, &out, e);
                rkvs_list_release(out); return s;),
        MANAGER(rkvs_manager_close, return rkvs_manager_close(m, e);),
        NAMESPACE(rkvs_namespace_get, rkvs_value* out = nullptr;
                  const rkvs_status s = rkvs_namespace_get(n, "k1", 2, &out, e);
                  rkvs_value_release(out); return s;),
        NAMESPACE(rkvs_namespace_get_into, char buffer[16]; size_t size = 0;
                  return rkvs_namespace_get_into(n, "k1", 2, buffer, sizeof buffer, &size, e);),
        NAMESPACE(
            rkvs_namespace_get_with_version, uint64_t version = 0; rkvs_value* out = nullptr;
            const rkvs_status s = rkvs_namespace_get_with_version(n, "k1", 2, &out, &version, e);
            rkvs_value_release(out); return s;),
        NAMESPACE(rkvs_namespace_exists, return rkvs_namespace_exists(n, "k1", 2, e);),
        NAMESPACE(rkvs_namespace_set, rkvs_value* out = nullptr;
                  const rkvs_status s = rkvs_namespace_set(n, "k1", 2, "new", 3, nullptr, &out, e);
                  rkvs_value_release(out); return s;),
        NAMESPACE(rkvs_namespace_put, return rkvs_namespace_put(n, "k1", 2, "new", 3, nullptr, e);),
        NAMESPACE(rkvs_namespace_add, uint64_t version = 0;
                  return rkvs_namespace_add(n, "absent", 6, "new", 3, nullptr, &version, e);),
        NAMESPACE(
            rkvs_namespace_update, rkvs_value* out = nullptr;
            const rkvs_status s = rkvs_namespace_update(n, "k1", 2, "new", 3, nullptr, &out, e);
            rkvs_value_release(out); return s;),
        NAMESPACE(rkvs_namespace_compare_and_set, uint64_t version = 0;
                  if (const rkvs_status s =
                          rkvs_namespace_get_with_version(n, "k1", 2, nullptr, &version, e);
                      s < 0) return s;
                  return rkvs_namespace_compare_and_set(n, "k1", 2, version, "new", 3, nullptr,
                                                        &version, e);),
        NAMESPACE(rkvs_namespace_compare_and_delete, uint64_t version = 0;
                  if (const rkvs_status s =
                          rkvs_namespace_get_with_version(n, "k1", 2, nullptr, &version, e);
                      s < 0) return s;
                  return rkvs_namespace_compare_and_delete(n, "k1", 2, version, e);),
        NAMESPACE(rkvs_namespace_delete_key, return rkvs_namespace_delete_key(n, "k1", 2, e);),
        NAMESPACE(rkvs_namespace_consume, rkvs_value* out = nullptr;
                  const rkvs_status s = rkvs_namespace_consume(n, "k1", 2, &out, e);
                  rkvs_value_release(out); return s;),
        NAMESPACE(rkvs_namespace_ttl, int64_t ttl = 0;
                  return rkvs_namespace_ttl(n, "k1", 2, &ttl, e);),
        NAMESPACE(rkvs_namespace_touch, auto o = with_size<rkvs_write_options>();
                  o.expire_after_ms = 3600 * 1000; return rkvs_namespace_touch(n, "k1", 2, &o, e);),
        NAMESPACE(rkvs_namespace_persist, int32_t had = 0;
                  return rkvs_namespace_persist(n, "k1", 2, &had, e);),
        NAMESPACE(rkvs_namespace_increment, int64_t sum = 0;
                  return rkvs_namespace_increment(n, "n", 1, 2, nullptr, &sum, e);),
        NAMESPACE(rkvs_namespace_decrement, int64_t sum = 0;
                  return rkvs_namespace_decrement(n, "n", 1, 2, nullptr, &sum, e);),
        NAMESPACE(
            rkvs_namespace_transform, rkvs_value* out = nullptr;
            const rkvs_status s = rkvs_namespace_transform(n, "k1", 2, change, nullptr, &out, e);
            rkvs_value_release(out); return s;),
        NAMESPACE(rkvs_namespace_get_async, return w.finish(rkvs_namespace_get_async(
                                                n, "k1", 2, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_get_with_version_async,
                  return w.finish(rkvs_namespace_get_with_version_async(n, "k1", 2, &w.how, nullptr,
                                                                        nullptr, e));),
        NAMESPACE(rkvs_namespace_exists_async, return w.finish(rkvs_namespace_exists_async(
                                                   n, "k1", 2, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_delete_key_async, return w.finish(rkvs_namespace_delete_key_async(
                                                       n, "k1", 2, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_consume_async, return w.finish(rkvs_namespace_consume_async(
                                                    n, "k1", 2, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_ttl_async, return w.finish(rkvs_namespace_ttl_async(
                                                n, "k1", 2, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_persist_async, return w.finish(rkvs_namespace_persist_async(
                                                    n, "k1", 2, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_set_async,
                  return w.finish(rkvs_namespace_set_async(n, "k1", 2, "new", 3, nullptr, &w.how,
                                                           nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_put_async,
                  return w.finish(rkvs_namespace_put_async(n, "k1", 2, "new", 3, nullptr, &w.how,
                                                           nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_update_async,
                  return w.finish(rkvs_namespace_update_async(n, "k1", 2, "new", 3, nullptr, &w.how,
                                                              nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_add_async,
                  return w.finish(rkvs_namespace_add_async(n, "absent", 6, "new", 3, nullptr,
                                                           &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_compare_and_set_async, uint64_t version = 0;
                  if (const rkvs_status s =
                          rkvs_namespace_get_with_version(n, "k1", 2, nullptr, &version, e);
                      s < 0) return s;
                  return w.finish(rkvs_namespace_compare_and_set_async(
                      n, "k1", 2, version, "new", 3, nullptr, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_compare_and_delete_async, uint64_t version = 0;
                  if (const rkvs_status s =
                          rkvs_namespace_get_with_version(n, "k1", 2, nullptr, &version, e);
                      s < 0) return s;
                  return w.finish(rkvs_namespace_compare_and_delete_async(
                      n, "k1", 2, version, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_touch_async, auto o = with_size<rkvs_write_options>();
                  o.expire_after_ms = 3600 * 1000; return w.finish(
                      rkvs_namespace_touch_async(n, "k1", 2, &o, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_increment_async,
                  return w.finish(rkvs_namespace_increment_async(n, "n", 1, 2, nullptr, &w.how,
                                                                 nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_decrement_async,
                  return w.finish(rkvs_namespace_decrement_async(n, "n", 1, 2, nullptr, &w.how,
                                                                 nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_get_multiple, rkvs_batch_result* out = nullptr;
                  const rkvs_status s =
                      rkvs_namespace_get_multiple(n, kKeys, 2, RKVS_ALL_OR_NOTHING, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_get_multiple_packed, rkvs_batch_result* out = nullptr;
                  const rkvs_status s = rkvs_namespace_get_multiple_packed(
                      n, "k3k4", kOffsets, 2, RKVS_BEST_EFFORT, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_get_multiple_async,
                  return w.finish(rkvs_namespace_get_multiple_async(
                      n, kKeys, 2, RKVS_ALL_OR_NOTHING, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_get_multiple_packed_async,
                  return w.finish(rkvs_namespace_get_multiple_packed_async(
                      n, "k3k4", kOffsets, 2, RKVS_ALL_OR_NOTHING, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_exists_multiple, rkvs_batch_result* out = nullptr;
                  const rkvs_status s =
                      rkvs_namespace_exists_multiple(n, kKeys, 2, RKVS_ALL_OR_NOTHING, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_exists_multiple_packed, rkvs_batch_result* out = nullptr;
                  const rkvs_status s = rkvs_namespace_exists_multiple_packed(
                      n, "k3k4", kOffsets, 2, RKVS_BEST_EFFORT, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_exists_multiple_async,
                  return w.finish(rkvs_namespace_exists_multiple_async(
                      n, kKeys, 2, RKVS_ALL_OR_NOTHING, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_exists_multiple_packed_async,
                  return w.finish(rkvs_namespace_exists_multiple_packed_async(
                      n, "k3k4", kOffsets, 2, RKVS_ALL_OR_NOTHING, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_delete_multiple, rkvs_batch_result* out = nullptr;
                  const rkvs_status s =
                      rkvs_namespace_delete_multiple(n, kKeys, 2, RKVS_ALL_OR_NOTHING, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_delete_multiple_packed, rkvs_batch_result* out = nullptr;
                  const rkvs_status s = rkvs_namespace_delete_multiple_packed(
                      n, "k3k4", kOffsets, 2, RKVS_BEST_EFFORT, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_delete_multiple_async,
                  return w.finish(rkvs_namespace_delete_multiple_async(
                      n, kKeys, 2, RKVS_ALL_OR_NOTHING, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_delete_multiple_packed_async,
                  return w.finish(rkvs_namespace_delete_multiple_packed_async(
                      n, "k3k4", kOffsets, 2, RKVS_ALL_OR_NOTHING, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_consume_multiple, rkvs_batch_result* out = nullptr;
                  const rkvs_status s =
                      rkvs_namespace_consume_multiple(n, kKeys, 2, RKVS_ALL_OR_NOTHING, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_consume_multiple_packed, rkvs_batch_result* out = nullptr;
                  const rkvs_status s = rkvs_namespace_consume_multiple_packed(
                      n, "k3k4", kOffsets, 2, RKVS_BEST_EFFORT, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_consume_multiple_async,
                  return w.finish(rkvs_namespace_consume_multiple_async(
                      n, kKeys, 2, RKVS_ALL_OR_NOTHING, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_consume_multiple_packed_async,
                  return w.finish(rkvs_namespace_consume_multiple_packed_async(
                      n, "k3k4", kOffsets, 2, RKVS_ALL_OR_NOTHING, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_set_multiple, rkvs_batch_result* out = nullptr;
                  const rkvs_status s = rkvs_namespace_set_multiple(
                      n, kKeys, kValues, 2, RKVS_ALL_OR_NOTHING, nullptr, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_set_multiple_packed, rkvs_batch_result* out = nullptr;
                  const rkvs_status s =
                      rkvs_namespace_set_multiple_packed(n, "k3k4", kOffsets, "xyz", kValueOffsets,
                                                         2, RKVS_ALL_OR_NOTHING, nullptr, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(
            rkvs_namespace_set_multiple_async,
            return w.finish(rkvs_namespace_set_multiple_async(
                n, kKeys, kValues, 2, RKVS_ALL_OR_NOTHING, nullptr, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_set_multiple_packed_async,
                  return w.finish(rkvs_namespace_set_multiple_packed_async(
                      n, "k3k4", kOffsets, "xyz", kValueOffsets, 2, RKVS_ALL_OR_NOTHING, nullptr,
                      &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_update_multiple, rkvs_batch_result* out = nullptr;
                  const rkvs_status s = rkvs_namespace_update_multiple(
                      n, kKeys, kValues, 2, RKVS_ALL_OR_NOTHING, nullptr, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_update_multiple_packed, rkvs_batch_result* out = nullptr;
                  const rkvs_status s = rkvs_namespace_update_multiple_packed(
                      n, "k3k4", kOffsets, "xyz", kValueOffsets, 2, RKVS_ALL_OR_NOTHING, nullptr,
                      &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(
            rkvs_namespace_update_multiple_async,
            return w.finish(rkvs_namespace_update_multiple_async(
                n, kKeys, kValues, 2, RKVS_ALL_OR_NOTHING, nullptr, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_update_multiple_packed_async,
                  return w.finish(rkvs_namespace_update_multiple_packed_async(
                      n, "k3k4", kOffsets, "xyz", kValueOffsets, 2, RKVS_ALL_OR_NOTHING, nullptr,
                      &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_apply, rkvs_batch_result* out = nullptr;
                  const rkvs_status s = rkvs_namespace_apply(n, w.atomic, &out, e);
                  rkvs_batch_result_release(out); return s;),
        NAMESPACE(rkvs_namespace_apply_async, return w.finish(rkvs_namespace_apply_async(
                                                  n, w.atomic, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_list_keys, rkvs_list* out = nullptr;
                  const rkvs_status s = rkvs_namespace_list_keys(n, &out, e);
                  rkvs_list_release(out); return s;),
        NAMESPACE(rkvs_namespace_list_keys_async,
                  return w.finish(rkvs_namespace_list_keys_async(n, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_scan_open, auto o = with_size<rkvs_scan_options>(); o.prefix = "k";
                  o.prefix_size = 1; rkvs_scan* out = nullptr;
                  const rkvs_status s = rkvs_namespace_scan_open(n, &o, &out, e);
                  rkvs_scan_release(out); return s;),
        NAMESPACE(rkvs_namespace_delete_prefix, uint64_t count = 0;
                  return rkvs_namespace_delete_prefix(n, "k", 1, &count, e);),
        NAMESPACE(rkvs_namespace_delete_prefix_async,
                  return w.finish(
                      rkvs_namespace_delete_prefix_async(n, "k", 1, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_clear, uint64_t count = 0;
                  return rkvs_namespace_clear(n, &count, e);),
        NAMESPACE(rkvs_namespace_clear_async,
                  return w.finish(rkvs_namespace_clear_async(n, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_get_config, auto c = with_size<rkvs_namespace_config>();
                  return rkvs_namespace_get_config(n, &c, e);),
        NAMESPACE(rkvs_namespace_set_max_keys, return rkvs_namespace_set_max_keys(n, 100, e);),
        NAMESPACE(rkvs_namespace_set_max_bytes,
                  return rkvs_namespace_set_max_bytes(n, 100000000, e);),
        NAMESPACE(rkvs_namespace_set_max_value_size,
                  return rkvs_namespace_set_max_value_size(n, 1000, e);),
        NAMESPACE(rkvs_namespace_set_lock_timeout,
                  return rkvs_namespace_set_lock_timeout(n, 100, e);),
        NAMESPACE(rkvs_namespace_update_config, auto c = with_size<rkvs_namespace_config>();
                  c.max_keys = 100; return rkvs_namespace_update_config(n, &c, e);),
        NAMESPACE(rkvs_namespace_update_config_async, auto c = with_size<rkvs_namespace_config>();
                  c.max_keys = 100; return w.finish(
                      rkvs_namespace_update_config_async(n, &c, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_resize_shards,
                  return rkvs_namespace_resize_shards(n, 5, nullptr, e);),
        NAMESPACE(rkvs_namespace_resize_shards_async,
                  return w.finish(
                      rkvs_namespace_resize_shards_async(n, 5, &w.how, nullptr, nullptr, e));),
        NAMESPACE(rkvs_namespace_metadata, auto c = with_size<rkvs_namespace_stats>();
                  return rkvs_namespace_metadata(n, &c, e);),
        NAMESPACE(rkvs_namespace_shard_stats, rkvs_shard_stats s[4]; size_t count = 0;
                  return rkvs_namespace_shard_stats(n, s, sizeof s[0], 4, &count, e);),
        NAMESPACE(rkvs_namespace_shard_key_counts, uint64_t s[4]; size_t count = 0;
                  return rkvs_namespace_shard_key_counts(n, s, 4, &count, e);),
        OTHER(kScan, rkvs_scan, rkvs_scan_next, rkvs_batch_result* out = nullptr;
              const rkvs_status s = rkvs_scan_next(x, 100, &out, e); rkvs_batch_result_release(out);
              return s;),
        OTHER(kScan, rkvs_scan, rkvs_scan_next_async,
              return w.finish(rkvs_scan_next_async(x, 100, &w.how, nullptr, nullptr, e));),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_set,
              return rkvs_atomic_batch_set(x, "k1", 2, "new", 3, nullptr, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_add,
              return rkvs_atomic_batch_add(x, "k1", 2, "new", 3, nullptr, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_update,
              return rkvs_atomic_batch_update(x, "k1", 2, "new", 3, nullptr, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_delete_key,
              return rkvs_atomic_batch_delete_key(x, "k1", 2, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_consume,
              return rkvs_atomic_batch_consume(x, "k1", 2, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_check_exists,
              return rkvs_atomic_batch_check_exists(x, "k1", 2, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_check_absent,
              return rkvs_atomic_batch_check_absent(x, "k1", 2, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_compare_and_delete,
              return rkvs_atomic_batch_compare_and_delete(x, "k1", 2, 7, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_check_version,
              return rkvs_atomic_batch_check_version(x, "k1", 2, 7, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_compare_and_set,
              return rkvs_atomic_batch_compare_and_set(x, "k1", 2, 7, "new", 3, nullptr, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_increment,
              return rkvs_atomic_batch_increment(x, "k1", 2, 7, nullptr, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_decrement,
              return rkvs_atomic_batch_decrement(x, "k1", 2, 7, nullptr, e);),
        OTHER(kAtomic, rkvs_atomic_batch, rkvs_atomic_batch_clear,
              return rkvs_atomic_batch_clear(x, e);),
        OTHER(kResult, rkvs_batch_result, rkvs_batch_result_item,
              auto i = with_size<rkvs_batch_item>();
              return rkvs_batch_result_item(x, 1, &i, e);),
        OTHER(kResult, rkvs_batch_result, rkvs_batch_result_view,
              auto v = with_size<rkvs_batch_view>();
              return rkvs_batch_result_view(x, &v, e);),
        OTHER(kList, rkvs_list, rkvs_list_item, const void* data = nullptr; size_t size = 0;
              return rkvs_list_item(x, 0, &data, &size, e);),
        OTHER(kList, rkvs_list, rkvs_list_packed, const void* data = nullptr;
              const uint64_t* offsets = nullptr; size_t count = 0;
              return rkvs_list_packed(x, &data, &offsets, &count, e);),
        OTHER(kList, rkvs_list, rkvs_list_namespace_stats,
              auto s = with_size<rkvs_namespace_stats>();
              return rkvs_list_namespace_stats(h == w.list ? w.stats : x, 0, &s, e);),
        OTHER(kList, rkvs_list, rkvs_list_autosave_status,
              auto s = with_size<rkvs_autosave_status>();
              return rkvs_list_autosave_status(h == w.list ? w.autosave : x, 0, &s, e);),
        OTHER(kQueue, rkvs_queue, rkvs_queue_poll, rkvs_completion c; size_t count = 0;
              return rkvs_queue_poll(x, &c, 1, &count, e);),
        OTHER(
            kQueue, rkvs_queue, rkvs_queue_wait, const rkvs_status s = rkvs_queue_wait(x, 0, e);
            /* Nothing is in it. */ if (s != RKVS_E_TIMEOUT) return s; if (e != nullptr) {
              rkvs_error_release(*e);
              *e = nullptr;
            } return RKVS_OK;),
        OTHER(kQueue, rkvs_queue, rkvs_queue_close, return rkvs_queue_close(x, e);),
        OTHER(kOperation, rkvs_operation, rkvs_operation_cancel,
              return rkvs_operation_cancel(x, e);),
  };
  return *calls;
}

#undef MANAGER
#undef NAMESPACE
#undef OTHER

}  // namespace rkvs::capi_test
