// Asynchronous operations that take long: on all keys of a namespace, and on a manager.
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "capi/async_work.h"
#include "capi/batch.h"
#include "capi/list.h"
#include "capi/manager.h"
#include "capi/options.h"
#include "capi/scan.h"

using rkvs::NamespaceConfig;
using rkvs::OperationOptions;
using rkvs::Status;
using rkvs::StatusCode;
using namespace rkvs::capi;

namespace {

// For what an operation makes of its arguments it gets strings, because it never runs at once.
struct KeysWork : LongNamespaceWork {
  using Operation = Status (*)(KeysWork& self, Outcome& outcome, const OperationOptions& options);
  KeysWork(rkvs_namespace* of, rkvs_operation_kind what, Operation does)
      : LongNamespaceWork(of, what), operation(does) {}

  Status run(Outcome& outcome, const OperationOptions* options) {
    return operation(*this, outcome, *options);
  }

  Operation operation;
  std::string prefix;
  uint32_t shard_count = 0;
  NamespaceConfig config;
};

Status list_keys(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  const auto listed = self.ns->ns.list_keys();
  if (!listed.ok()) return listed.status();
  outcome.completion.list = make_list(*listed);
  return Status();
}

Status delete_prefix(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  const auto removed = self.ns->ns.delete_prefix(self.prefix);
  if (removed.ok()) outcome.completion.number = static_cast<int64_t>(*removed);
  return removed.status();
}

Status clear(KeysWork& self, Outcome& outcome, const OperationOptions& /*options*/) {
  const auto removed = self.ns->ns.clear();
  if (removed.ok()) outcome.completion.number = static_cast<int64_t>(*removed);
  return removed.status();
}

Status resize_shards(KeysWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  return self.ns->ns.resize_shards(self.shard_count, options);
}

Status update_config(KeysWork& self, Outcome& /*outcome*/, const OperationOptions& /*options*/) {
  return self.ns->ns.update_config(self.config);
}

// A step of a scan, which it has from its beginning to its end.
struct ScanWork : LongNamespaceWork {
  ScanWork(rkvs_scan* of, std::size_t most)
      : LongNamespaceWork(of->ns, RKVS_OP_SCAN_NEXT), scan(of), limit(most) {}
  ScanWork(ScanWork&& other) noexcept
      : LongNamespaceWork(std::move(other)),
        scan(other.scan),
        limit(other.limit),
        scan_owner(std::move(other.scan_owner)),
        has_claim(std::exchange(other.has_claim, false)) {}
  ScanWork& operator=(ScanWork&&) = delete;
  ~ScanWork() { give_back(); }

  bool claim() {
    has_claim = !scan->busy.exchange(true, std::memory_order_acquire);
    return has_claim;
  }
  void give_back() noexcept {
    if (std::exchange(has_claim, false)) scan->busy.store(false, std::memory_order_release);
  }
  Status run(Outcome& outcome, const OperationOptions* /*options*/) {
    if (Status bad = next_items(*scan, limit, outcome.completion.batch); !bad.ok()) {
      return bad;
    }
    outcome.completion.number = scan->left_over.empty() && scan->scan.is_done() ? 1 : 0;
    return Status();
  }
  // Whoever is told may take the next step at once.
  void before_delivery() noexcept { give_back(); }
  void own() {
    LongNamespaceWork::own();
    scan_owner.reset(retain(scan));
  }
  void let_go() noexcept {
    give_back();
    scan_owner.reset();
    LongNamespaceWork::let_go();
  }

  rkvs_scan* scan;
  std::size_t limit;
  HandleRef<rkvs_scan> scan_owner{};
  bool has_claim = false;
};

struct StoreWork : ManagerWork {
  using Operation = Status (*)(StoreWork& self, Outcome& outcome, const OperationOptions& options);
  StoreWork(rkvs_manager* of, rkvs_operation_kind what, Operation does)
      : ManagerWork(of, what), operation(does) {}

  Status run(Outcome& outcome, const OperationOptions* options) {
    return operation(*this, outcome, *options);
  }
  void let_go() noexcept {
    made.reset();
    ManagerWork::let_go();
  }

  Operation operation;
  std::string file;
  std::string name;
  std::string new_name;
  std::optional<std::string> from;
  // For the handle of a clone.
  std::unique_ptr<rkvs_namespace> made;
};

Status initialize_file(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  return self.manager->manager.initialize(self.file, options);
}

Status delete_namespace(StoreWork& self, Outcome& /*outcome*/,
                        const OperationOptions& /*options*/) {
  return self.manager->manager.delete_namespace(self.name);
}

Status clone_namespace(StoreWork& self, Outcome& outcome, const OperationOptions& options) {
  // Before there is something to take back.
  if (self.made == nullptr) self.made.reset(make_namespace(self.manager, rkvs::Namespace()));
  auto cloned = self.manager->manager.clone_namespace(self.name, self.new_name, options);
  if (!cloned.ok()) return cloned.status();
  self.made->ns = std::move(cloned.value());
  outcome.completion.ns = self.made.release();
  return Status();
}

Status save_all(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  return self.manager->manager.save_all(self.file, options);
}

Status save_namespace(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  return self.manager->manager.save_namespace(self.name, self.file, options);
}

Status load_namespace(StoreWork& self, Outcome& outcome, const OperationOptions& options) {
  const auto loaded = self.manager->manager.load_namespace(self.file, options);
  if (!loaded.ok()) return loaded.status();
  try {
    set_value(outcome, make_value(*loaded));
  } catch (const std::bad_alloc&) {
    // Nothing is half-done.
    (void)self.manager->manager.delete_namespace(*loaded);
    throw;
  }
  return Status();
}

Status load_namespace_as(StoreWork& self, Outcome& /*outcome*/, const OperationOptions& options) {
  auto& manager = self.manager->manager;
  return self.from.has_value()
             ? manager.load_namespace_as(self.file, self.new_name, *self.from, options).status()
             : manager.load_namespace_as(self.file, self.new_name, options).status();
}

// --- How they are begun
// ---------------------------------------------------------------------------

template <typename Fill>  // Status(KeysWork&)
rkvs_status begin(rkvs_namespace* ns, rkvs_operation_kind kind, KeysWork::Operation operation,
                  const Reply& reply, Fill fill) {
  return guarded(reply.error, [&]() -> rkvs_status {
    if (reply.operation != nullptr) *reply.operation = nullptr;
    if (const rkvs_status bad = check_namespace(ns, reply.error)) return bad;
    KeysWork work(ns, kind, operation);
    if (const Status bad = fill(work); !bad.ok()) return finish(bad, reply.error);
    Delivery delivery;
    if (const Status bad = read_async(reply.how, delivery); !bad.ok()) {
      return finish(bad, reply.error);
    }
    return launch(work, delivery, reply.out, reply.operation, reply.error);
  });
}

struct Names {
  const char* file = nullptr;
  const char* name = nullptr;
  const char* new_name = nullptr;
};

rkvs_status begin(rkvs_manager* manager, rkvs_operation_kind kind, StoreWork::Operation operation,
                  const Reply& reply, std::initializer_list<const char*> needed, const Names& names,
                  const char* from = nullptr) {
  return guarded(reply.error, [&]() -> rkvs_status {
    if (reply.operation != nullptr) *reply.operation = nullptr;
    if (const rkvs_status bad = check_manager(manager, reply.error)) return bad;
    for (const char* const text : needed) {
      if (const rkvs_status bad = check_name(text, reply.error)) return bad;
    }
    StoreWork work(manager, kind, operation);
    if (names.file != nullptr) work.file = names.file;
    if (names.name != nullptr) work.name = names.name;
    if (names.new_name != nullptr) work.new_name = names.new_name;
    if (from != nullptr) work.from = from;
    Delivery delivery;
    if (const Status bad = read_async(reply.how, delivery); !bad.ok()) {
      return finish(bad, reply.error);
    }
    return launch(work, delivery, reply.out, reply.operation, reply.error);
  });
}

Status nothing_more(KeysWork& /*work*/) { return Status(); }

}  // namespace

// --- Namespaces
// -----------------------------------------------------------------------------------

rkvs_status rkvs_scan_next_async(rkvs_scan* scan, size_t limit, const rkvs_async* how,
                                 rkvs_completion* out, rkvs_operation** operation,
                                 rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (operation != nullptr) *operation = nullptr;
    if (const rkvs_status bad = check(scan)) return refuse_argument(bad, error, "not a scan");
    if (limit == 0) return refuse(StatusCode::kInvalidArgument, error, "a limit of 0");
    Delivery delivery;
    if (const Status bad = read_async(how, delivery); !bad.ok()) return finish(bad, error);
    ScanWork work(scan, limit);
    if (!work.claim()) return refuse(StatusCode::kBusy, error, "another step of this scan is on");
    return launch(work, delivery, out, operation, error);
  });
}

rkvs_status rkvs_namespace_list_keys_async(rkvs_namespace* ns, const rkvs_async* how,
                                           rkvs_completion* out, rkvs_operation** operation,
                                           rkvs_error** error) {
  return begin(ns, RKVS_OP_LIST_KEYS, list_keys, {how, out, operation, error}, nothing_more);
}

rkvs_status rkvs_namespace_delete_prefix_async(rkvs_namespace* ns, const void* prefix,
                                               size_t prefix_size, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error) {
  return begin(ns, RKVS_OP_DELETE_PREFIX, delete_prefix, {how, out, operation, error},
               [&](KeysWork& work) -> Status {
                 if (const rkvs_status bad = check_key(prefix, prefix_size)) {
                   return rkvs::internal::make_error(static_cast<StatusCode>(bad),
                                                     "a prefix that is NULL or too large");
                 }
                 work.prefix = view(prefix, prefix_size);
                 return Status();
               });
}

rkvs_status rkvs_namespace_clear_async(rkvs_namespace* ns, const rkvs_async* how,
                                       rkvs_completion* out, rkvs_operation** operation,
                                       rkvs_error** error) {
  return begin(ns, RKVS_OP_CLEAR, clear, {how, out, operation, error}, nothing_more);
}

rkvs_status rkvs_namespace_resize_shards_async(rkvs_namespace* ns, uint32_t shard_count,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_RESIZE_SHARDS, resize_shards, {how, out, operation, error},
               [&](KeysWork& work) {
                 work.shard_count = shard_count;
                 return Status();
               });
}

rkvs_status rkvs_namespace_update_config_async(rkvs_namespace* ns,
                                               const rkvs_namespace_config* config,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_UPDATE_CONFIG, update_config, {how, out, operation, error},
               [&](KeysWork& work) -> Status {
                 if (config == nullptr) {
                   return rkvs::internal::make_error(StatusCode::kInvalidArgument,
                                                     "`config` is NULL");
                 }
                 return to_namespace_config(config, work.config);
               });
}

// --- Managers -----------------------------------------------------------------------------------

rkvs_status rkvs_manager_initialize_file_async(rkvs_manager* manager, const char* file,
                                               const rkvs_async* how, rkvs_completion* out,
                                               rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_INITIALIZE_FILE, initialize_file, {how, out, operation, error},
               {file}, {.file = file});
}

rkvs_status rkvs_manager_delete_namespace_async(rkvs_manager* manager, const char* name,
                                                const rkvs_async* how, rkvs_completion* out,
                                                rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_DELETE_NAMESPACE, delete_namespace, {how, out, operation, error},
               {name}, {.name = name});
}

rkvs_status rkvs_manager_clone_namespace_async(rkvs_manager* manager, const char* name,
                                               const char* new_name, const rkvs_async* how,
                                               rkvs_completion* out, rkvs_operation** operation,
                                               rkvs_error** error) {
  return begin(manager, RKVS_OP_CLONE_NAMESPACE, clone_namespace, {how, out, operation, error},
               {name, new_name}, {.name = name, .new_name = new_name});
}

rkvs_status rkvs_manager_save_all_async(rkvs_manager* manager, const char* file,
                                        const rkvs_async* how, rkvs_completion* out,
                                        rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_SAVE_ALL, save_all, {how, out, operation, error}, {file},
               {.file = file});
}

rkvs_status rkvs_manager_save_namespace_async(rkvs_manager* manager, const char* name,
                                              const char* file, const rkvs_async* how,
                                              rkvs_completion* out, rkvs_operation** operation,
                                              rkvs_error** error) {
  return begin(manager, RKVS_OP_SAVE_NAMESPACE, save_namespace, {how, out, operation, error},
               {name, file}, {.file = file, .name = name});
}

rkvs_status rkvs_manager_load_namespace_async(rkvs_manager* manager, const char* file,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_LOAD_NAMESPACE, load_namespace, {how, out, operation, error},
               {file}, {.file = file});
}

rkvs_status rkvs_manager_load_namespace_as_async(rkvs_manager* manager, const char* file,
                                                 const char* new_name, const char* from,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error) {
  return begin(manager, RKVS_OP_LOAD_NAMESPACE_AS, load_namespace_as, {how, out, operation, error},
               {file, new_name}, {.file = file, .new_name = new_name}, from);
}
