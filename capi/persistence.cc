// Snapshots and autosave.
#include <memory>
#include <utility>

#include "capi/list.h"
#include "capi/manager.h"
#include "capi/options.h"
#include "capi/value.h"

using rkvs::AutosaveConfig;
using rkvs::OperationOptions;
using rkvs::Status;
using namespace rkvs::capi;

rkvs_status rkvs_manager_save_all(rkvs_manager* manager, const char* file,
                                  const rkvs_operation_options* options, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(file, error)) return bad;
    OperationOptions operation;
    if (const Status bad = to_operation_options(options, operation); !bad.ok()) {
      return finish(bad, error);
    }
    return finish(manager->manager.save_all(file, operation), error);
  });
}

rkvs_status rkvs_manager_save_namespace(rkvs_manager* manager, const char* name, const char* file,
                                        const rkvs_operation_options* options, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    if (const rkvs_status bad = check_name(file, error)) return bad;
    OperationOptions operation;
    if (const Status bad = to_operation_options(options, operation); !bad.ok()) {
      return finish(bad, error);
    }
    return finish(manager->manager.save_namespace(name, file, operation), error);
  });
}

rkvs_status rkvs_manager_load_namespace(rkvs_manager* manager, const char* file,
                                        const rkvs_operation_options* options, rkvs_value** name,
                                        rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (name != nullptr) *name = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(file, error)) return bad;
    OperationOptions operation;
    if (const Status bad = to_operation_options(options, operation); !bad.ok()) {
      return finish(bad, error);
    }
    auto loaded = manager->manager.load_namespace(file, operation);
    if (!loaded.ok()) return finish(loaded.status(), error);
    if (name == nullptr) return RKVS_OK;
    try {
      *name = rkvs::capi::make_value(*loaded);
    } catch (const std::bad_alloc&) {
      // Nothing is half-done.
      (void)manager->manager.delete_namespace(*loaded);
      throw;
    }
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_load_namespace_as(rkvs_manager* manager, const char* file,
                                           const char* new_name, const char* from,
                                           const rkvs_operation_options* options,
                                           rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(file, error)) return bad;
    if (const rkvs_status bad = check_name(new_name, error)) return bad;
    OperationOptions operation;
    if (const Status bad = to_operation_options(options, operation); !bad.ok()) {
      return finish(bad, error);
    }
    const auto loaded = from == nullptr
                            ? manager->manager.load_namespace_as(file, new_name, operation)
                            : manager->manager.load_namespace_as(file, new_name, from, operation);
    return finish(loaded.status(), error);
  });
}

// --- Autosave
// -------------------------------------------------------------------------------------

rkvs_status rkvs_manager_add_namespace_autosave_task(rkvs_manager* manager, const char* name,
                                                     const rkvs_autosave_config* config,
                                                     rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    AutosaveConfig autosave;
    if (const Status bad = to_autosave_config(config, autosave); !bad.ok()) {
      return finish(bad, error);
    }
    return finish(manager->manager.add_namespace_autosave_task(name, autosave), error);
  });
}

rkvs_status rkvs_manager_start_namespace_autosave_task(rkvs_manager* manager, const char* name,
                                                       rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    return finish(manager->manager.start_namespace_autosave_task(name), error);
  });
}

rkvs_status rkvs_manager_start_missing_autosave_tasks(rkvs_manager* manager, uint64_t* count,
                                                      rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (count != nullptr) *count = 0;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    const auto started = manager->manager.start_missing_autosave_tasks();
    if (!started.ok()) return finish(started.status(), error);
    if (count != nullptr) *count = *started;
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_list_autosave_tasks(rkvs_manager* manager, rkvs_list** list,
                                             rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(list, error)) return bad;
    *list = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    auto tasks = manager->manager.list_autosave_tasks();
    if (!tasks.ok()) return finish(tasks.status(), error);
    *list = make_list(std::move(tasks.value()));
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_stop_namespace_autosave(rkvs_manager* manager, const char* name,
                                                 rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    return finish(manager->manager.stop_namespace_autosave(name), error);
  });
}

rkvs_status rkvs_manager_stop_manager_autosave(rkvs_manager* manager, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    return finish(manager->manager.stop_manager_autosave(), error);
  });
}
