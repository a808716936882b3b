// Asynchronous saves, loads and autosave.
#include <new>
#include <utility>

#include "capi/async_long.h"

using rkvs::OperationOptions;
using rkvs::Status;
using namespace rkvs::capi;

namespace {

Status save_all(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  return self.store().save_all(self.file, options);
}

Status save_namespace(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  return self.store().save_namespace(self.name, self.file, options);
}

Status load_namespace(StoreWork& self, Outcome& outcome, const OperationOptions& options) {
  const auto loaded = self.store().load_namespace(self.file, options);
  if (!loaded.ok()) return loaded.status();
  try {
    set_value(outcome, make_value(*loaded));
  } catch (const std::bad_alloc&) {
    // Nothing is half-done.
    (void)self.store().delete_namespace(*loaded);
    throw;
  }
  return Status();
}

Status load_namespace_as(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  auto& store = self.store();
  return self.from.has_value()
             ? store.load_namespace_as(self.file, self.new_name, *self.from, options).status()
             : store.load_namespace_as(self.file, self.new_name, options).status();
}

// --- Autosave

Status add_task(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.store().add_namespace_autosave_task(self.name, self.autosave);
}

Status start_task(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.store().start_namespace_autosave_task(self.name);
}

Status start_missing_tasks(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return number_into(outcome, self.store().start_missing_autosave_tasks());
}

Status list_tasks(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return list_into(outcome, self.store().list_autosave_tasks());
}

Status stop_namespace(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.store().stop_namespace_autosave(self.name);
}

Status stop_manager(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.store().stop_manager_autosave();
}

}  // namespace

rkvs_status rkvs_manager_save_all_async(rkvs_manager* manager, const char* file,
                                        const rkvs_async* how, rkvs_completion* out,
                                        rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_SAVE_ALL, save_all, {how, out, operation, error},
               {{&StoreWork::file, file}});
}

rkvs_status rkvs_manager_save_namespace_async(rkvs_manager* manager, const char* name,
                                              const char* file, const rkvs_async* how,
                                              rkvs_completion* out, rkvs_operation** operation,
                                              rkvs_error** error) {
  return begin(manager, RKVS_OP_SAVE_NAMESPACE, save_namespace, {how, out, operation, error},
               {{&StoreWork::name, name}, {&StoreWork::file, file}});
}

rkvs_status rkvs_manager_load_namespace_async(rkvs_manager* manager, const char* file,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_LOAD_NAMESPACE, load_namespace, {how, out, operation, error},
               {{&StoreWork::file, file}});
}

rkvs_status rkvs_manager_load_namespace_as_async(rkvs_manager* manager, const char* file,
                                                 const char* new_name, const char* from,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_LOAD_NAMESPACE_AS, load_namespace_as, {how, out, operation, error},
               {{&StoreWork::file, file}, {&StoreWork::new_name, new_name}}, [&](StoreWork& work) {
                 if (from != nullptr) work.from = from;
                 return Status();
               });
}

rkvs_status rkvs_manager_add_namespace_autosave_task_async(
    rkvs_manager* manager, const char* name, const rkvs_autosave_config* config,
    const rkvs_async* how, rkvs_completion* out, rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_ADD_NAMESPACE_AUTOSAVE_TASK, add_task, {how, out, operation, error},
               {{&StoreWork::name, name}},
               [&](StoreWork& work) { return to_autosave_config(config, work.autosave); });
}

rkvs_status rkvs_manager_start_namespace_autosave_task_async(
    rkvs_manager* manager, const char* name, const rkvs_async* how, rkvs_completion* out,
    rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_START_NAMESPACE_AUTOSAVE_TASK, start_task,
               {how, out, operation, error}, {{&StoreWork::name, name}});
}

rkvs_status rkvs_manager_start_missing_autosave_tasks_async(rkvs_manager* manager,
                                                            const rkvs_async* how,
                                                            rkvs_completion* out,
                                                            rkvs_operation** operation,
                                                            rkvs_error** error) {
  return begin(manager, RKVS_OP_START_MISSING_AUTOSAVE_TASKS, start_missing_tasks,
               {how, out, operation, error});
}

rkvs_status rkvs_manager_list_autosave_tasks_async(rkvs_manager* manager, const rkvs_async* how,
                                                   rkvs_completion* out, rkvs_operation** operation,
                                                   rkvs_error** error) {
  return begin(manager, RKVS_OP_LIST_AUTOSAVE_TASKS, list_tasks, {how, out, operation, error});
}

rkvs_status rkvs_manager_stop_namespace_autosave_async(rkvs_manager* manager, const char* name,
                                                       const rkvs_async* how, rkvs_completion* out,
                                                       rkvs_operation** operation,
                                                       rkvs_error** error) {
  return begin(manager, RKVS_OP_STOP_NAMESPACE_AUTOSAVE, stop_namespace,
               {how, out, operation, error}, {{&StoreWork::name, name}});
}

rkvs_status rkvs_manager_stop_manager_autosave_async(rkvs_manager* manager, const rkvs_async* how,
                                                     rkvs_completion* out,
                                                     rkvs_operation** operation,
                                                     rkvs_error** error) {
  return begin(manager, RKVS_OP_STOP_MANAGER_AUTOSAVE, stop_manager, {how, out, operation, error});
}
