// Every function of the C API on managers that can fail.
#include "tests/capi/call_table.h"

namespace rkvs::capi_test {

namespace {

class Task : public Sized<rkvs_autosave_config> {
 public:
  Task() {
    content.interval_ms = 3600 * 1000;
    content.file = "other_auto";
  }
};

struct Limits : Sized<rkvs_namespace_config> {
  Limits() { content.max_keys = 1000; }
};

struct StoreLimits : Sized<rkvs_manager_config> {
  StoreLimits() { content.max_namespaces = 10; }
};

// Names longer than what a std::string keeps inside of itself, so that a copy allocates.
constexpr const char* kFresh = "a_namespace_that_is_new_in_the_store";
constexpr const char* kFile = "a_file_that_is_new_in_the_directory";

// The store has no task for all namespaces that could be stopped.
rkvs_status unless_none_runs(rkvs_status status, rkvs_error** error) {
  if (status != RKVS_E_AUTOSAVE_NOT_RUNNING) return status;
  if (error != nullptr) {
    rkvs_error_release(*error);
    *error = nullptr;
  }
  return RKVS_OK;
}

// Makes room for a call that starts the task which is running.
rkvs_status stop(rkvs_manager* manager, rkvs_error** error) {
  return rkvs_manager_stop_namespace_autosave(manager, "users", error);
}

}  // namespace

Calls manager_calls() {
  return {
      RKVS_CALL(rkvs_manager_initialize),
      RKVS_ASYNC_CALL(rkvs_manager_initialize_async),
      RKVS_CALL(rkvs_manager_initialize_file, "saved", nullptr),
      RKVS_ASYNC_CALL(rkvs_manager_initialize_file_async, "saved"),
      RKVS_CALL(rkvs_manager_load_report, Out<rkvs_load_report>()),
      RKVS_ASYNC_CALL(rkvs_manager_load_report_async),
      RKVS_CALL(rkvs_manager_close),
      RKVS_ASYNC_CALL(rkvs_manager_close_async),

      RKVS_CALL(rkvs_manager_create_namespace, kFresh, nullptr, Out<rkvs_namespace>()),
      RKVS_ASYNC_CALL(rkvs_manager_create_namespace_async, kFresh, nullptr),
      RKVS_CALL(rkvs_manager_get_namespace, "users", Out<rkvs_namespace>()),
      RKVS_ASYNC_CALL(rkvs_manager_get_namespace_async, "users"),
      RKVS_CALL(rkvs_manager_delete_namespace, "users"),
      RKVS_ASYNC_CALL(rkvs_manager_delete_namespace_async, "users"),
      RKVS_CALL(rkvs_manager_clone_namespace, "users", kFresh, nullptr, Out<rkvs_namespace>()),
      RKVS_ASYNC_CALL(rkvs_manager_clone_namespace_async, "users", kFresh),
      RKVS_CALL(rkvs_manager_list_namespaces, Out<rkvs_list>()),
      RKVS_ASYNC_CALL(rkvs_manager_list_namespaces_async),
      RKVS_CALL(rkvs_manager_update_namespace_config, "users", Limits()),
      RKVS_ASYNC_CALL(rkvs_manager_update_namespace_config_async, "users", Limits()),

      RKVS_CALL(rkvs_manager_get_config, Sized<rkvs_manager_config>()),
      RKVS_ASYNC_CALL(rkvs_manager_get_config_async),
      RKVS_CALL(rkvs_manager_update_config, StoreLimits()),
      RKVS_ASYNC_CALL(rkvs_manager_update_config_async, StoreLimits()),
      RKVS_CALL(rkvs_manager_namespace_stats, "users", Sized<rkvs_namespace_stats>()),
      RKVS_ASYNC_CALL(rkvs_manager_namespace_stats_async, "users"),
      RKVS_CALL(rkvs_manager_all_namespace_stats, Out<rkvs_list>()),
      RKVS_ASYNC_CALL(rkvs_manager_all_namespace_stats_async),
      RKVS_CALL(rkvs_manager_metrics_text, Out<rkvs_value>()),
      RKVS_ASYNC_CALL(rkvs_manager_metrics_text_async),
      RKVS_CALL(rkvs_manager_namespace_count, Slot<uint64_t>()),
      RKVS_ASYNC_CALL(rkvs_manager_namespace_count_async),
      RKVS_CALL(rkvs_manager_total_key_count, Slot<uint64_t>()),
      RKVS_ASYNC_CALL(rkvs_manager_total_key_count_async),

      RKVS_CALL(rkvs_manager_save_all, kFile, nullptr),
      RKVS_ASYNC_CALL(rkvs_manager_save_all_async, kFile),
      RKVS_CALL(rkvs_manager_save_namespace, "users", kFile, nullptr),
      RKVS_ASYNC_CALL(rkvs_manager_save_namespace_async, "users", kFile),
      RKVS_CALL(rkvs_manager_load_namespace, "saved", nullptr, Out<rkvs_value>()),
      RKVS_ASYNC_CALL(rkvs_manager_load_namespace_async, "saved"),
      RKVS_CALL(rkvs_manager_load_namespace_as, "saved", kFresh, "other", nullptr),
      RKVS_ASYNC_CALL(rkvs_manager_load_namespace_as_async, "saved", kFresh, "other"),

      RKVS_CALL_AS(rkvs_manager_add_namespace_autosave_task,
                   {
                     if (const rkvs_status s = stop(x, e); s < 0) return s;
                     return rkvs_manager_add_namespace_autosave_task(x, "users", Task(), e);
                   }),
      RKVS_CALL_AS(rkvs_manager_add_namespace_autosave_task_async,
                   {
                     if (const rkvs_status s = stop(x, e); s < 0) return s;
                     return w.finish(rkvs_manager_add_namespace_autosave_task_async(
                         x, "users", Task(), &w.how, nullptr, nullptr, e));
                   }),
      RKVS_CALL_AS(rkvs_manager_start_namespace_autosave_task,
                   {
                     if (const rkvs_status s = stop(x, e); s < 0) return s;
                     return rkvs_manager_start_namespace_autosave_task(x, "users", e);
                   }),
      RKVS_CALL_AS(rkvs_manager_start_namespace_autosave_task_async,
                   {
                     if (const rkvs_status s = stop(x, e); s < 0) return s;
                     return w.finish(rkvs_manager_start_namespace_autosave_task_async(
                         x, "users", &w.how, nullptr, nullptr, e));
                   }),
      RKVS_CALL(rkvs_manager_start_missing_autosave_tasks, Slot<uint64_t>()),
      RKVS_ASYNC_CALL(rkvs_manager_start_missing_autosave_tasks_async),
      RKVS_CALL(rkvs_manager_list_autosave_tasks, Out<rkvs_list>()),
      RKVS_ASYNC_CALL(rkvs_manager_list_autosave_tasks_async),
      RKVS_CALL(rkvs_manager_stop_namespace_autosave, "users"),
      RKVS_ASYNC_CALL(rkvs_manager_stop_namespace_autosave_async, "users"),
      RKVS_CALL_AS(rkvs_manager_stop_manager_autosave,
                   { return unless_none_runs(rkvs_manager_stop_manager_autosave(x, e), e); }),
      RKVS_CALL_AS(rkvs_manager_stop_manager_autosave_async,
                   {
                     return unless_none_runs(w.finish(rkvs_manager_stop_manager_autosave_async(
                                                 x, &w.how, nullptr, nullptr, e)),
                                             e);
                   }),
  };
}

}  // namespace rkvs::capi_test
