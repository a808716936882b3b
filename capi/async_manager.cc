// Asynchronous operations on a store: its life, its namespaces, its configuration and figures.
#include <utility>

#include "capi/async_long.h"

using rkvs::OperationOptions;
using rkvs::Status;
using namespace rkvs::capi;

namespace {

// --- Life

Status initialize(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.store().initialize();
}

Status initialize_file(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  return self.store().initialize(self.file, options);
}

Status load_report(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return list_into(outcome, self.store().load_report());
}

// --- Namespaces

Status create_namespace(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return self.hand_over(outcome,
                        [&] { return self.store().create_namespace(self.name, self.config); });
}

Status get_namespace(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return self.hand_over(outcome, [&] { return self.store().get_namespace(self.name); });
}

Status clone_namespace(StoreWork& self, Outcome& outcome, const OperationOptions& options) {
  return self.hand_over(
      outcome, [&] { return self.store().clone_namespace(self.name, self.new_name, options); });
}

Status delete_namespace(StoreWork& self, Outcome& /*outcome*/,
                        const OperationOptions& /*options*/) {
  return self.store().delete_namespace(self.name);
}

Status list_namespaces(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return list_into(outcome, self.store().list_namespaces());
}

Status update_namespace_config(StoreWork& self, Outcome& /*outcome*/,
                               const OperationOptions& /*options*/) {
  return self.store().update_namespace_config(self.name, self.config);
}

// --- Configuration and figures

Status get_config(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  outcome.completion.list = make_list(self.store().get_config());
  return Status();
}

Status update_config(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.store().update_config(self.limits);
}

Status namespace_stats(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return one_stats_into(outcome, self.store().namespace_stats(self.name));
}

Status all_namespace_stats(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return list_into(outcome, self.store().all_namespace_stats());
}

Status metrics_text(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return take(self.store().metrics_text(),
              [&](const std::string& text) { set_value(outcome, make_value(text)); });
}

Status namespace_count(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return number_into(outcome, self.store().namespace_count());
}

Status total_key_count(StoreWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  return number_into(outcome, self.store().total_key_count());
}

}  // namespace

rkvs_status rkvs_manager_initialize_async(rkvs_manager* manager, const rkvs_async* how,
                                          rkvs_completion* out, rkvs_operation** operation,
                                          rkvs_error** error) {
  return begin(manager, RKVS_OP_INITIALIZE, initialize, {how, out, operation, error});
}

rkvs_status rkvs_manager_initialize_file_async(rkvs_manager* manager, const char* file,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_INITIALIZE_FILE, initialize_file, {how, out, operation, error},
               {{&StoreWork::file, file}});
}

rkvs_status rkvs_manager_load_report_async(rkvs_manager* manager, const rkvs_async* how,
                                           rkvs_completion* out, rkvs_operation** operation,
                                           rkvs_error** error) {
  return begin(manager, RKVS_OP_LOAD_REPORT, load_report, {how, out, operation, error});
}

rkvs_status rkvs_manager_create_namespace_async(rkvs_manager* manager, const char* name,
                                                const rkvs_namespace_config* config,
                                                const rkvs_async* how, rkvs_completion* out,
                                                rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_CREATE_NAMESPACE, create_namespace, {how, out, operation, error},
               {{&StoreWork::name, name}},
               [&](StoreWork& work) { return to_namespace_config(config, work.config); });
}

rkvs_status rkvs_manager_get_namespace_async(rkvs_manager* manager, const char* name,
                                             const rkvs_async* how, rkvs_completion* out,
                                             rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_GET_NAMESPACE, get_namespace, {how, out, operation, error},
               {{&StoreWork::name, name}});
}

rkvs_status rkvs_manager_clone_namespace_async(rkvs_manager* manager, const char* name,
                                               const char* new_name, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error) {
  return begin(manager, RKVS_OP_CLONE_NAMESPACE, clone_namespace, {how, out, operation, error},
               {{&StoreWork::name, name}, {&StoreWork::new_name, new_name}});
}

rkvs_status rkvs_manager_delete_namespace_async(rkvs_manager* manager, const char* name,
                                                const rkvs_async* how, rkvs_completion* out,
                                                rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_DELETE_NAMESPACE, delete_namespace, {how, out, operation, error},
               {{&StoreWork::name, name}});
}

rkvs_status rkvs_manager_list_namespaces_async(rkvs_manager* manager, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error) {
  return begin(manager, RKVS_OP_LIST_NAMESPACES, list_namespaces, {how, out, operation, error});
}

rkvs_status rkvs_manager_update_namespace_config_async(rkvs_manager* manager, const char* name,
                                                       const rkvs_namespace_config* config,
                                                       const rkvs_async* how, rkvs_completion* out,
                                                       rkvs_operation** operation,
                                                       rkvs_error** error) {
  return begin(manager, RKVS_OP_UPDATE_NAMESPACE_CONFIG, update_namespace_config,
               {how, out, operation, error}, {{&StoreWork::name, name}},
               [&](StoreWork& work) { return to_given_config(config, work.config); });
}

rkvs_status rkvs_manager_get_config_async(rkvs_manager* manager, const rkvs_async* how,
                                          rkvs_completion* out, rkvs_operation** operation,
                                          rkvs_error** error) {
  return begin(manager, RKVS_OP_MANAGER_GET_CONFIG, get_config, {how, out, operation, error});
}

rkvs_status rkvs_manager_update_config_async(rkvs_manager* manager,
                                             const rkvs_manager_config* config,
                                             const rkvs_async* how, rkvs_completion* out,
                                             rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_MANAGER_UPDATE_CONFIG, update_config, {how, out, operation, error},
               {}, [&](StoreWork& work) { return to_given_config(config, work.limits); });
}

rkvs_status rkvs_manager_namespace_stats_async(rkvs_manager* manager, const char* name,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_NAMESPACE_STATS, namespace_stats, {how, out, operation, error},
               {{&StoreWork::name, name}});
}

rkvs_status rkvs_manager_all_namespace_stats_async(rkvs_manager* manager, const rkvs_async* how,
                                                   rkvs_completion* out, rkvs_operation** operation,
                                                   rkvs_error** error) {
  return begin(manager, RKVS_OP_ALL_NAMESPACE_STATS, all_namespace_stats,
               {how, out, operation, error});
}

rkvs_status rkvs_manager_metrics_text_async(rkvs_manager* manager, const rkvs_async* how,
                                            rkvs_completion* out, rkvs_operation** operation,
                                            rkvs_error** error) {
  return begin(manager, RKVS_OP_METRICS_TEXT, metrics_text, {how, out, operation, error});
}

rkvs_status rkvs_manager_namespace_count_async(rkvs_manager* manager, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error) {
  return begin(manager, RKVS_OP_NAMESPACE_COUNT, namespace_count, {how, out, operation, error});
}

rkvs_status rkvs_manager_total_key_count_async(rkvs_manager* manager, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error) {
  return begin(manager, RKVS_OP_TOTAL_KEY_COUNT, total_key_count, {how, out, operation, error});
}
