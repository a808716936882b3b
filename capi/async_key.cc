// Asynchronous operations on one key.
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "capi/async_work.h"
#include "capi/manager.h"
#include "capi/options.h"

using rkvs::CounterOptions;
using rkvs::Namespace;
using rkvs::OperationOptions;
using rkvs::Status;
using rkvs::StatusCode;
using rkvs::WriteOptions;
using namespace rkvs::capi;

namespace {

struct KeyArguments {
  std::string_view key;
  std::string_view value;
  uint64_t version = 0;
  int64_t delta = 0;
  WriteOptions write;
  CounterOptions counter;
};

// --- The operations
// -------------------------------------------------------------------------------

Status get(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  auto got = ns.get(args.key);
  if (!got.ok()) return got.status();
  set_value(outcome, value_handle(std::move(got.value())));
  return Status();
}

Status get_with_version(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  auto got = ns.get_with_version(args.key);
  if (!got.ok()) return got.status();
  set_value(outcome, value_handle(std::move(got->value)));
  outcome.completion.version = got->version;
  return Status();
}

Status exists(Namespace& ns, const KeyArguments& args, Outcome& /*outcome*/) {
  const auto found = ns.exists(args.key);
  if (!found.ok()) return found.status();
  return *found ? StatusCode::kOk : StatusCode::kNotFound;
}

Status set(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  auto old = ns.set(args.key, args.value, args.write);
  if (!old.ok()) return old.status();
  if (old->has_value()) set_value(outcome, value_handle(*std::move(old.value())));
  return Status();
}

Status put(Namespace& ns, const KeyArguments& args, Outcome& /*outcome*/) {
  return ns.put(args.key, args.value, args.write);
}

Status add(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  const auto added = ns.add(args.key, args.value, args.write);
  if (added.ok()) outcome.completion.version = *added;
  return added.status();
}

Status update(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  auto old = ns.update(args.key, args.value, args.write);
  if (!old.ok()) return old.status();
  set_value(outcome, value_handle(std::move(old.value())));
  return Status();
}

Status compare_and_set(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  const auto set = ns.compare_and_set(args.key, args.version, args.value, args.write);
  if (set.ok()) outcome.completion.version = *set;
  return set.status();
}

Status compare_and_delete(Namespace& ns, const KeyArguments& args, Outcome& /*outcome*/) {
  return ns.compare_and_delete(args.key, args.version);
}

Status delete_key(Namespace& ns, const KeyArguments& args, Outcome& /*outcome*/) {
  const auto removed = ns.delete_key(args.key);
  if (!removed.ok()) return removed.status();
  return *removed ? StatusCode::kOk : StatusCode::kNotFound;
}

Status consume(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  auto old = ns.consume(args.key);
  if (!old.ok()) return old.status();
  set_value(outcome, value_handle(std::move(old.value())));
  return Status();
}

Status ttl(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  const auto left = ns.ttl(args.key);
  if (left.ok()) outcome.completion.number = left->has_value() ? (*left)->count() : -1;
  return left.status();
}

Status touch(Namespace& ns, const KeyArguments& args, Outcome& /*outcome*/) {
  return ns.touch(args.key, args.write);
}

Status persist(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  const auto had = ns.persist(args.key);
  if (had.ok()) outcome.completion.number = *had ? 1 : 0;
  return had.status();
}

Status increment(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  const auto sum = ns.increment(args.key, args.delta, args.counter);
  if (sum.ok()) outcome.completion.number = *sum;
  return sum.status();
}

Status decrement(Namespace& ns, const KeyArguments& args, Outcome& outcome) {
  const auto sum = ns.decrement(args.key, args.delta, args.counter);
  if (sum.ok()) outcome.completion.number = *sum;
  return sum.status();
}

// --- How they are begun
// ---------------------------------------------------------------------------

using KeyOperation = Status (*)(Namespace& ns, const KeyArguments& args, Outcome& outcome);

struct KeyWork : KeyWorkBase {
  KeyWork(rkvs_namespace* of, rkvs_operation_kind what, KeyOperation does)
      : KeyWorkBase(of, what), operation(does) {}

  Status run(Outcome& outcome, const OperationOptions* /*options*/) {
    return operation(ns->ns, args, outcome);
  }
  void own() {
    NamespaceWork::own();
    keep({&args.key, &args.value});
  }

  KeyOperation operation;
  KeyArguments args;
};

// Its place for the value is the caller's until it has completed.
struct GetIntoWork : KeyWorkBase {
  GetIntoWork(rkvs_namespace* of, std::string_view of_key, void* place, std::size_t room)
      : KeyWorkBase(of, RKVS_OP_GET_INTO), key(of_key), buffer(place), capacity(room) {}

  Status run(Outcome& outcome, const OperationOptions* /*options*/) {
    const auto got = ns->ns.get(key);
    if (!got.ok()) return got.status();
    const std::string_view bytes = got->view();
    outcome.completion.size = bytes.size();
    if (bytes.size() > capacity) return Status();
    if (!bytes.empty()) std::memcpy(buffer, bytes.data(), bytes.size());
    outcome.completion.data = buffer;
    return Status();
  }
  void own() {
    NamespaceWork::own();
    keep({&key});
  }

  std::string_view key;
  void* buffer;
  std::size_t capacity;
};

// `fill(args)` adds to the arguments what the operation has beyond a key.
template <typename Fill>  // Status(KeyArguments&)
rkvs_status begin(rkvs_namespace* ns, rkvs_operation_kind kind, KeyOperation operation,
                  const void* key, size_t key_size, const Reply& reply, Fill fill) {
  return guarded(reply.error, [&]() -> rkvs_status {
    if (reply.operation != nullptr) *reply.operation = nullptr;
    if (const rkvs_status bad = check_namespace(ns, reply.error)) return bad;
    if (const rkvs_status bad = check_key(key, key_size)) {
      return refuse_argument(bad, reply.error, "the key is NULL");
    }
    KeyWork work(ns, kind, operation);
    work.args.key = view(key, key_size);
    if (const Status bad = fill(work.args); !bad.ok()) return finish(bad, reply.error);
    Delivery delivery;
    if (const Status bad = read_async(reply.how, delivery); !bad.ok()) {
      return finish(bad, reply.error);
    }
    return launch(work, delivery, reply.out, reply.operation, reply.error);
  });
}

rkvs_status begin(rkvs_namespace* ns, rkvs_operation_kind kind, KeyOperation operation,
                  const void* key, size_t key_size, const Reply& reply) {
  return begin(ns, kind, operation, key, key_size, reply, [](KeyArguments&) { return Status(); });
}

struct Write {
  const void* value;
  size_t value_size;
  const rkvs_write_options* options;
  uint64_t version = 0;
};

rkvs_status begin(rkvs_namespace* ns, rkvs_operation_kind kind, KeyOperation operation,
                  const void* key, size_t key_size, const Reply& reply, const Write& write) {
  return begin(ns, kind, operation, key, key_size, reply, [&write](KeyArguments& args) {
    if (const rkvs_status bad = check_value(write.value, write.value_size)) {
      return rkvs::internal::make_error(static_cast<StatusCode>(bad),
                                        "a value that is NULL or too large");
    }
    args.value = view(write.value, write.value_size);
    args.version = write.version;
    return to_write_options(write.options, args.write);
  });
}

rkvs_status begin_counter(rkvs_namespace* ns, rkvs_operation_kind kind, KeyOperation operation,
                          const void* key, size_t key_size, const Reply& reply, int64_t delta,
                          const rkvs_counter_options* options) {
  return begin(ns, kind, operation, key, key_size, reply, [&](KeyArguments& args) {
    args.delta = delta;
    return to_counter_options(options, args.counter);
  });
}

}  // namespace

rkvs_status rkvs_namespace_get_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const rkvs_async* how, rkvs_completion* out,
                                     rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_GET, get, key, key_size, {how, out, operation, error});
}

rkvs_status rkvs_namespace_get_into_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                          void* buffer, size_t capacity, const rkvs_async* how,
                                          rkvs_completion* out, rkvs_operation** operation,
                                          rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (operation != nullptr) *operation = nullptr;
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    if (const rkvs_status bad = check_key(key, key_size)) {
      return refuse_argument(bad, error, "the key is NULL");
    }
    if (buffer == nullptr && capacity != 0) {
      return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "the buffer is NULL");
    }
    Delivery delivery;
    if (const Status bad = read_async(how, delivery); !bad.ok()) return finish(bad, error);
    GetIntoWork work(ns, view(key, key_size), buffer, capacity);
    return launch(work, delivery, out, operation, error);
  });
}

rkvs_status rkvs_namespace_get_with_version_async(rkvs_namespace* ns, const void* key,
                                                  size_t key_size, const rkvs_async* how,
                                                  rkvs_completion* out, rkvs_operation** operation,
                                                  rkvs_error** error) {
  return begin(ns, RKVS_OP_GET_WITH_VERSION, get_with_version, key, key_size,
               {how, out, operation, error});
}

rkvs_status rkvs_namespace_exists_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                        const rkvs_async* how, rkvs_completion* out,
                                        rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_EXISTS, exists, key, key_size, {how, out, operation, error});
}

rkvs_status rkvs_namespace_delete_key_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                            const rkvs_async* how, rkvs_completion* out,
                                            rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_DELETE_KEY, delete_key, key, key_size, {how, out, operation, error});
}

rkvs_status rkvs_namespace_consume_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                         const rkvs_async* how, rkvs_completion* out,
                                         rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_CONSUME, consume, key, key_size, {how, out, operation, error});
}

rkvs_status rkvs_namespace_ttl_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const rkvs_async* how, rkvs_completion* out,
                                     rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_TTL, ttl, key, key_size, {how, out, operation, error});
}

rkvs_status rkvs_namespace_persist_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                         const rkvs_async* how, rkvs_completion* out,
                                         rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_PERSIST, persist, key, key_size, {how, out, operation, error});
}

rkvs_status rkvs_namespace_set_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const void* value, size_t value_size,
                                     const rkvs_write_options* options, const rkvs_async* how,
                                     rkvs_completion* out, rkvs_operation** operation,
                                     rkvs_error** error) {
  return begin(ns, RKVS_OP_SET, set, key, key_size, {how, out, operation, error},
               Write{value, value_size, options});
}

rkvs_status rkvs_namespace_put_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const void* value, size_t value_size,
                                     const rkvs_write_options* options, const rkvs_async* how,
                                     rkvs_completion* out, rkvs_operation** operation,
                                     rkvs_error** error) {
  return begin(ns, RKVS_OP_PUT, put, key, key_size, {how, out, operation, error},
               Write{value, value_size, options});
}

rkvs_status rkvs_namespace_add_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                     const void* value, size_t value_size,
                                     const rkvs_write_options* options, const rkvs_async* how,
                                     rkvs_completion* out, rkvs_operation** operation,
                                     rkvs_error** error) {
  return begin(ns, RKVS_OP_ADD, add, key, key_size, {how, out, operation, error},
               Write{value, value_size, options});
}

rkvs_status rkvs_namespace_update_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                        const void* value, size_t value_size,
                                        const rkvs_write_options* options, const rkvs_async* how,
                                        rkvs_completion* out, rkvs_operation** operation,
                                        rkvs_error** error) {
  return begin(ns, RKVS_OP_UPDATE, update, key, key_size, {how, out, operation, error},
               Write{value, value_size, options});
}

rkvs_status rkvs_namespace_compare_and_set_async(rkvs_namespace* ns, const void* key,
                                                 size_t key_size, uint64_t expected_version,
                                                 const void* value, size_t value_size,
                                                 const rkvs_write_options* options,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_COMPARE_AND_SET, compare_and_set, key, key_size,
               {how, out, operation, error}, Write{value, value_size, options, expected_version});
}

rkvs_status rkvs_namespace_compare_and_delete_async(rkvs_namespace* ns, const void* key,
                                                    size_t key_size, uint64_t expected_version,
                                                    const rkvs_async* how, rkvs_completion* out,
                                                    rkvs_operation** operation,
                                                    rkvs_error** error) {
  return begin(ns, RKVS_OP_COMPARE_AND_DELETE, compare_and_delete, key, key_size,
               {how, out, operation, error}, [&](KeyArguments& args) {
                 args.version = expected_version;
                 return Status();
               });
}

rkvs_status rkvs_namespace_touch_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                       const rkvs_write_options* options, const rkvs_async* how,
                                       rkvs_completion* out, rkvs_operation** operation,
                                       rkvs_error** error) {
  return begin(ns, RKVS_OP_TOUCH, touch, key, key_size, {how, out, operation, error},
               Write{nullptr, 0, options});
}

rkvs_status rkvs_namespace_increment_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                           int64_t delta, const rkvs_counter_options* options,
                                           const rkvs_async* how, rkvs_completion* out,
                                           rkvs_operation** operation, rkvs_error** error) {
  return begin_counter(ns, RKVS_OP_INCREMENT, increment, key, key_size,
                       {how, out, operation, error}, delta, options);
}

rkvs_status rkvs_namespace_decrement_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                           int64_t delta, const rkvs_counter_options* options,
                                           const rkvs_async* how, rkvs_completion* out,
                                           rkvs_operation** operation, rkvs_error** error) {
  return begin_counter(ns, RKVS_OP_DECREMENT, decrement, key, key_size,
                       {how, out, operation, error}, delta, options);
}
