// The functions of the C API that allocate nothing, and so have no way to lack memory, by the
// reason why they do not.
#include <utility>

#include "tests/capi/call_table.h"

namespace rkvs::capi_test {

namespace {

// `handle` taken out of the world, whose last reference it is.
template <typename T>
T* taken(T*& handle) {
  return std::exchange(handle, nullptr);
}

// `w` is the world and `e` an error, for the time of a call.
#define RKVS_QUIET(function, ...)                                                               \
  QuietCall {                                                                                   \
#function, []([[maybe_unused]] World& w, [[maybe_unused]] rkvs_error*& e) {                   \
      (void)e;                                                                                    \
      __VA_ARGS__;                                                                                \
    } \
  }
#define RKVS_QUIET_INIT(name) \
  RKVS_QUIET(rkvs_##name##_init, rkvs_##name content; rkvs_##name##_init(&content, sizeof content))
#define RKVS_QUIET_RETAIN(kind, handle) \
  RKVS_QUIET(rkvs_##kind##_retain, rkvs_##kind##_release(rkvs_##kind##_retain(handle)))
#define RKVS_QUIET_RELEASE(kind, handle) \
  RKVS_QUIET(rkvs_##kind##_release, rkvs_##kind##_release(taken(handle)))

std::vector<QuietCall> all_quiet_calls() {
  return {
    // Constants of the library.
    RKVS_QUIET(rkvs_abi_version, rkvs_abi_version()),
        RKVS_QUIET(rkvs_version_string, rkvs_version_string()),
        RKVS_QUIET(rkvs_status_name, rkvs_status_name(RKVS_E_NO_MEMORY)),
        RKVS_QUIET(rkvs_has_feature, rkvs_has_feature(RKVS_FEATURE_PERSISTENCE)),
        RKVS_QUIET(rkvs_sizeof, rkvs_sizeof(RKVS_TYPE_ASYNC)),
        // Fill in a structure of the caller.
        RKVS_QUIET_INIT(async), RKVS_QUIET_INIT(autosave_config), RKVS_QUIET_INIT(autosave_status),
        RKVS_QUIET_INIT(batch_item), RKVS_QUIET_INIT(batch_view), RKVS_QUIET_INIT(counter_options),
        RKVS_QUIET_INIT(manager_config), RKVS_QUIET_INIT(manager_options),
        RKVS_QUIET_INIT(namespace_config), RKVS_QUIET_INIT(namespace_stats),
        RKVS_QUIET_INIT(operation_options), RKVS_QUIET_INIT(scan_options),
        RKVS_QUIET_INIT(write_options),
        // Count a reference.
        RKVS_QUIET_RETAIN(atomic_batch, w.atomic), RKVS_QUIET_RETAIN(batch_result, w.result),
        RKVS_QUIET_RETAIN(error, e), RKVS_QUIET_RETAIN(list, w.list),
        RKVS_QUIET_RETAIN(load_report, w.report), RKVS_QUIET_RETAIN(manager, w.manager),
        RKVS_QUIET_RETAIN(namespace, w.ns), RKVS_QUIET_RETAIN(operation, w.operation),
        RKVS_QUIET_RETAIN(queue, w.queue), RKVS_QUIET_RETAIN(scan, w.scan),
        RKVS_QUIET_RETAIN(value, w.value),
        RKVS_QUIET(rkvs_completion_retain, rkvs_completion c = {}; c.value = w.value;
                   c.batch = w.result; c.list = w.list; c.ns = w.ns; c.error = e;
                   rkvs_completion_retain(&c); rkvs_completion_clear(&c)),
        // Let go, of the last one too.
        RKVS_QUIET_RELEASE(atomic_batch, w.atomic), RKVS_QUIET_RELEASE(batch_result, w.result),
        RKVS_QUIET_RELEASE(error, e), RKVS_QUIET_RELEASE(list, w.list),
        RKVS_QUIET_RELEASE(load_report, w.report), RKVS_QUIET_RELEASE(namespace, w.ns),
        RKVS_QUIET_RELEASE(operation, w.operation), RKVS_QUIET_RELEASE(queue, w.queue),
        RKVS_QUIET_RELEASE(scan, w.scan), RKVS_QUIET_RELEASE(value, w.value),
        RKVS_QUIET(rkvs_completion_clear, rkvs_completion c = {}; c.value = taken(w.value);
                   c.batch = taken(w.result); c.list = taken(w.list); c.ns = taken(w.ns);
                   c.error = taken(e); rkvs_completion_clear(&c)),
        // What holds the store goes first. Closing it is what rkvs_manager_close does as well.
        RKVS_QUIET(rkvs_manager_release, rkvs_scan_release(taken(w.scan));
                   rkvs_operation_release(taken(w.operation)); rkvs_namespace_release(taken(w.ns));
                   rkvs_manager_release(taken(w.manager))),
        // Read a word of a handle, or what does not change any more, where it is.
        RKVS_QUIET(rkvs_atomic_batch_size, rkvs_atomic_batch_size(w.atomic)),
        RKVS_QUIET(rkvs_batch_result_count, rkvs_batch_result_count(w.result)),
        RKVS_QUIET(rkvs_batch_result_status, rkvs_batch_result_status(w.result)),
        RKVS_QUIET(rkvs_batch_result_item_status, rkvs_batch_result_item_status(w.result, 1)),
        RKVS_QUIET(rkvs_batch_result_value,
                   rkvs_value_release(rkvs_batch_result_value(w.result, 1))),
        RKVS_QUIET(rkvs_error_code, rkvs_error_code(e)),
        RKVS_QUIET(rkvs_error_index, rkvs_error_index(e)),
        RKVS_QUIET(rkvs_error_message, rkvs_error_message(e)),
        RKVS_QUIET(rkvs_list_count, rkvs_list_count(w.list)),
        RKVS_QUIET(rkvs_load_report_file, rkvs_load_report_file(w.report)),
        RKVS_QUIET(rkvs_load_report_namespaces, rkvs_load_report_namespaces(w.report)),
        RKVS_QUIET(rkvs_load_report_keys, rkvs_load_report_keys(w.report)),
        RKVS_QUIET(rkvs_load_report_skipped_count, rkvs_load_report_skipped_count(w.report)),
        // The test has put one into it.
        RKVS_QUIET(rkvs_load_report_skipped, const char* file; rkvs_status reason;
                   const char* message;
                   rkvs_load_report_skipped(w.report, 0, &file, &reason, &message, nullptr)),
        RKVS_QUIET(rkvs_manager_has_persistence, rkvs_manager_has_persistence(w.manager)),
        RKVS_QUIET(rkvs_manager_is_initialized, rkvs_manager_is_initialized(w.manager)),
        RKVS_QUIET(rkvs_namespace_name, rkvs_namespace_name(w.ns)),
        RKVS_QUIET(rkvs_queue_fd, rkvs_queue_fd(w.queue)),
        RKVS_QUIET(rkvs_scan_is_done, rkvs_scan_is_done(w.scan)),
        RKVS_QUIET(rkvs_value_data, rkvs_value_data(w.value)),
        RKVS_QUIET(rkvs_value_size, rkvs_value_size(w.value)),
        RKVS_QUIET(rkvs_value_view, const void* data; size_t size;
                   rkvs_value_view(w.value, &data, &size)),
  };
}

}  // namespace

const std::vector<QuietCall>& quiet_calls() {
  static const auto* const calls = new std::vector<QuietCall>(all_quiet_calls());
  return *calls;
}

}  // namespace rkvs::capi_test
