// The life of a store, its namespaces, its configuration and its figures.
#include "capi/manager.h"

#include <memory>
#include <new>
#include <utility>

#include "capi/async.h"
#include "capi/list.h"
#include "capi/options.h"
#include "capi/own_thread.h"
#include "capi/value.h"

using rkvs::NamespaceConfig;
using rkvs::OperationOptions;
using rkvs::Status;
using rkvs::StatusCode;
using rkvs::StorageConfig;
using rkvs::StorageOptions;
using namespace rkvs::capi;

namespace rkvs::capi {

rkvs_namespace* make_namespace(rkvs_manager* manager, Namespace ns) {
  return new rkvs_namespace(manager, std::move(ns));
}

namespace {

// False if this thread belongs to the store, and so cannot wait for it.
bool close_and_delete(rkvs_manager* manager) noexcept {
  const CompletingForOthers guard;
  if (manager->manager.close().code() == StatusCode::kWouldDeadlock) return false;
  delete manager;
  return true;
}

void destroy(rkvs_manager* manager) noexcept {
  if (!in_callback() && close_and_delete(manager)) return;
  // Without a thread to be had the store stays open, which is better than a thread that waits for
  // itself.
  (void)run_on_own_thread([manager] { (void)close_and_delete(manager); });
}

}  // namespace

}  // namespace rkvs::capi

// --- Life
// -----------------------------------------------------------------------------------------

rkvs_status rkvs_manager_open(uint32_t abi_version, const rkvs_manager_options* options,
                              rkvs_manager** manager, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(manager, error)) return bad;
    *manager = nullptr;
    if (rkvs::capi::forked()) return refuse_argument(RKVS_E_FORKED, error, "");
    if (abi_version != RKVS_ABI_VERSION) {
      return refuse(StatusCode::kUnsupported, error, "ABI version ", abi_version,
                    "; the library has ", RKVS_ABI_VERSION);
    }
    StorageOptions storage;
    if (const Status bad = to_storage_options(options, storage); !bad.ok()) {
      return finish(bad, error);
    }
    rkvs::capi::watch_forks();
    *manager = new rkvs_manager(std::move(storage));
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_initialize(rkvs_manager* manager, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    return finish(manager->manager.initialize(), error);
  });
}

rkvs_status rkvs_manager_initialize_file(rkvs_manager* manager, const char* file,
                                         const rkvs_operation_options* options,
                                         rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(file, error)) return bad;
    OperationOptions operation;
    if (const Status bad = to_operation_options(options, operation); !bad.ok()) {
      return finish(bad, error);
    }
    return finish(manager->manager.initialize(file, operation), error);
  });
}

rkvs_status rkvs_manager_is_initialized(rkvs_manager* manager) {
  if (const rkvs_status bad = check(manager)) return bad;
  return manager->manager.is_initialized() ? 1 : 0;
}

rkvs_status rkvs_manager_has_persistence(rkvs_manager* manager) {
  if (const rkvs_status bad = check(manager)) return bad;
  return manager->manager.has_persistence() ? 1 : 0;
}

rkvs_status rkvs_manager_close(rkvs_manager* manager, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (rkvs::capi::in_callback()) {
      return refuse(StatusCode::kWouldDeadlock, error, "a callback of the store cannot close it");
    }
    const rkvs::capi::CompletingForOthers guard;
    return finish(manager->manager.close(), error);
  });
}

rkvs_manager* rkvs_manager_retain(rkvs_manager* manager) { return rkvs::capi::retain(manager); }

void rkvs_manager_release(rkvs_manager* manager) {
  if (rkvs::capi::drop(manager)) rkvs::capi::destroy(manager);
}

// --- Namespaces
// -----------------------------------------------------------------------------------

rkvs_status rkvs_manager_create_namespace(rkvs_manager* manager, const char* name,
                                          const rkvs_namespace_config* config, rkvs_namespace** ns,
                                          rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (ns != nullptr) *ns = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    NamespaceConfig limits;
    if (const Status bad = to_namespace_config(config, limits); !bad.ok()) {
      return finish(bad, error);
    }
    // Before there is something to take back.
    std::unique_ptr<rkvs_namespace> handle;
    if (ns != nullptr) handle.reset(make_namespace(manager, rkvs::Namespace()));
    auto created = manager->manager.create_namespace(name, limits);
    if (!created.ok()) return finish(created.status(), error);
    if (ns == nullptr) return RKVS_OK;
    handle->ns = std::move(created.value());
    *ns = handle.release();
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_get_namespace(rkvs_manager* manager, const char* name, rkvs_namespace** ns,
                                       rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(ns, error)) return bad;
    *ns = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    auto found = manager->manager.get_namespace(name);
    if (!found.ok()) return finish(found.status(), error);
    *ns = make_namespace(manager, std::move(found.value()));
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_delete_namespace(rkvs_manager* manager, const char* name,
                                          rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    return finish(manager->manager.delete_namespace(name), error);
  });
}

rkvs_status rkvs_manager_clone_namespace(rkvs_manager* manager, const char* name,
                                         const char* new_name,
                                         const rkvs_operation_options* options, rkvs_namespace** ns,
                                         rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (ns != nullptr) *ns = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    if (const rkvs_status bad = check_name(new_name, error)) return bad;
    OperationOptions operation;
    if (const Status bad = to_operation_options(options, operation); !bad.ok()) {
      return finish(bad, error);
    }
    std::unique_ptr<rkvs_namespace> handle;
    if (ns != nullptr) handle.reset(make_namespace(manager, rkvs::Namespace()));
    auto cloned = manager->manager.clone_namespace(name, new_name, operation);
    if (!cloned.ok()) return finish(cloned.status(), error);
    if (ns == nullptr) return RKVS_OK;
    handle->ns = std::move(cloned.value());
    *ns = handle.release();
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_list_namespaces(rkvs_manager* manager, rkvs_list** names,
                                         rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(names, error)) return bad;
    *names = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    const auto listed = manager->manager.list_namespaces();
    if (!listed.ok()) return finish(listed.status(), error);
    *names = make_list(*listed);
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_update_namespace_config(rkvs_manager* manager, const char* name,
                                                 const rkvs_namespace_config* config,
                                                 rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    NamespaceConfig limits;
    if (const Status bad = to_given_config(config, limits); !bad.ok()) {
      return finish(bad, error);
    }
    return finish(manager->manager.update_namespace_config(name, limits), error);
  });
}

// --- Configuration and figures
// --------------------------------------------------------------------

rkvs_status rkvs_manager_get_config(rkvs_manager* manager, rkvs_manager_config* config,
                                    rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    const auto now = rkvs::capi::from_storage_config(manager->manager.get_config());
    return finish(rkvs::capi::write_struct(now, config), error);
  });
}

rkvs_status rkvs_manager_update_config(rkvs_manager* manager, const rkvs_manager_config* config,
                                       rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    StorageConfig limits;
    if (const Status bad = to_given_config(config, limits); !bad.ok()) return finish(bad, error);
    return finish(manager->manager.update_config(limits), error);
  });
}

rkvs_status rkvs_manager_namespace_stats(rkvs_manager* manager, const char* name,
                                         rkvs_namespace_stats* stats, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    if (const rkvs_status bad = check_name(name, error)) return bad;
    const auto figures = manager->manager.namespace_stats(name);
    if (!figures.ok()) return finish(figures.status(), error);
    return finish(rkvs::capi::write_struct(rkvs::capi::from_stats(*figures), stats), error);
  });
}

rkvs_status rkvs_manager_all_namespace_stats(rkvs_manager* manager, rkvs_list** list,
                                             rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(list, error)) return bad;
    *list = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    auto all = manager->manager.all_namespace_stats();
    if (!all.ok()) return finish(all.status(), error);
    *list = make_list(std::move(all.value()));
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_metrics_text(rkvs_manager* manager, rkvs_value** text,
                                      rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(text, error)) return bad;
    *text = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    const auto metrics = manager->manager.metrics_text();
    if (!metrics.ok()) return finish(metrics.status(), error);
    *text = rkvs::capi::make_value(*metrics);
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_namespace_count(rkvs_manager* manager, uint64_t* count,
                                         rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(count, error)) return bad;
    *count = 0;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    const auto counted = manager->manager.namespace_count();
    if (!counted.ok()) return finish(counted.status(), error);
    *count = *counted;
    return RKVS_OK;
  });
}

rkvs_status rkvs_manager_total_key_count(rkvs_manager* manager, uint64_t* count,
                                         rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(count, error)) return bad;
    *count = 0;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    const auto counted = manager->manager.total_key_count();
    if (!counted.ok()) return finish(counted.status(), error);
    *count = *counted;
    return RKVS_OK;
  });
}
