// Asynchronous batches.
#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include "capi/async_work.h"
#include "capi/atomic_batch.h"
#include "capi/batch.h"
#include "capi/manager.h"
#include "capi/options.h"

using rkvs::BatchItem;
using rkvs::BatchMode;
using rkvs::BatchResult;
using rkvs::OperationOptions;
using rkvs::Status;
using rkvs::WriteOptions;
using rkvs::internal::AsyncAccess;
using rkvs::internal::AsyncLane;
using namespace rkvs::capi;

namespace {

// A batch of any kind; those that derive have size() and run_batch().
template <typename Derived>
struct BatchWorkBase : NamespaceWork {
  using NamespaceWork::NamespaceWork;

  void prepare(rkvs_completion& completion) {
    completion.batch = new rkvs_batch_result(BatchResult());
  }
  Status run(Outcome& outcome, const OperationOptions* /*options*/) {
    BatchResult result = static_cast<Derived*>(this)->run_batch();
    Status status = result.status;
    outcome.error_index = status.is_error() ? index_of_failure(result) : -1;
    outcome.has_timed_out =
        std::any_of(result.items.begin(), result.items.end(),
                    [](const BatchItem& item) { return item.code == rkvs::StatusCode::kTimeout; });
    outcome.completion.batch->result = std::move(result);
    return status;
  }
  void fail(const Status& status, rkvs_completion& completion) noexcept {
    BatchResult result;
    result.status = status;
    try {
      result.items.resize(static_cast<Derived*>(this)->size());
      for (BatchItem& item : result.items) item.code = status.code();
    } catch (const std::bad_alloc&) {
      // The status of the whole says it.
    }
    completion.batch->result = std::move(result);
  }
  Status start(std::shared_ptr<rkvs::internal::AsyncOperation> pending,
               std::optional<std::chrono::milliseconds> timeout) const {
    const AsyncLane lane =
        static_cast<const Derived*>(this)->may_run_now() ? AsyncLane::kWait : AsyncLane::kLong;
    return AsyncAccess::start(ns->ns, std::move(pending), lane, timeout);
  }
};

struct BatchWork : BatchWorkBase<BatchWork> {
  BatchWork(rkvs_namespace* of, rkvs_operation_kind what, BatchBody does)
      : BatchWorkBase(of, what), body(does) {}

  std::size_t size() const { return input.size(); }
  BatchResult run_batch() { return body(ns->ns, input, mode, options); }
  bool may_run_now() const noexcept {
    const bool is_read = kind == RKVS_OP_GET_MULTIPLE || kind == RKVS_OP_EXISTS_MULTIPLE;
    return is_read ? AsyncAccess::is_short_read(size())
                   : AsyncAccess::is_short_write(ns->ns, size(), mode);
  }
  void own() {
    NamespaceWork::own();
    input.own();
  }

  BatchBody body;
  BatchInput input;
  BatchMode mode = BatchMode::kAllOrNothing;
  WriteOptions options;
};

struct ApplyWork : BatchWorkBase<ApplyWork> {
  ApplyWork(rkvs_namespace* of, std::shared_ptr<AtomicBatchContent> what)
      : BatchWorkBase(of, RKVS_OP_APPLY), content(std::move(what)) {}

  std::size_t size() const { return content->batch.size(); }
  BatchResult run_batch() { return ns->ns.apply(content->batch); }
  bool may_run_now() const noexcept {
    return AsyncAccess::is_short_write(ns->ns, size(), BatchMode::kAllOrNothing);
  }

  std::shared_ptr<AtomicBatchContent> content;  // its own: nobody changes it any more
};

template <typename Read>  // BatchInput()
rkvs_status begin(rkvs_namespace* ns, rkvs_operation_kind kind, BatchBody body, Read read,
                  rkvs_batch_mode mode, const rkvs_write_options* options, const Reply& reply) {
  return guarded(reply.error, [&]() -> rkvs_status {
    if (reply.operation != nullptr) *reply.operation = nullptr;
    if (const rkvs_status bad = check_namespace(ns, reply.error)) return bad;
    BatchWork work(ns, kind, body);
    if (const Status bad = to_mode(mode, work.mode); !bad.ok()) return finish(bad, reply.error);
    if (const Status bad = to_write_options(options, work.options); !bad.ok()) {
      return finish(bad, reply.error);
    }
    work.input = read();
    if (!work.input.status.ok()) return report(work.input.status, reply.error, work.input.index);
    Delivery delivery;
    if (const Status bad = read_async(reply.how, delivery); !bad.ok()) {
      return finish(bad, reply.error);
    }
    return launch(work, delivery, reply.out, reply.operation, reply.error);
  });
}

}  // namespace

rkvs_status rkvs_namespace_apply_async(rkvs_namespace* ns, rkvs_atomic_batch* batch,
                                       const rkvs_async* how, rkvs_completion* out,
                                       rkvs_operation** operation, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (operation != nullptr) *operation = nullptr;
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    if (const rkvs_status bad = check(batch)) return refuse_argument(bad, error, "not a batch");
    Delivery delivery;
    if (const Status bad = read_async(how, delivery); !bad.ok()) return finish(bad, error);
    batch->is_shared.store(true, std::memory_order_relaxed);
    ApplyWork work(ns, batch->content);
    return launch(work, delivery, out, operation, error);
  });
}

rkvs_status rkvs_namespace_get_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                              size_t count, rkvs_batch_mode mode,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_GET_MULTIPLE, get_multiple, keys_of(keys, count), mode, nullptr,
               {how, out, operation, error});
}
rkvs_status rkvs_namespace_get_multiple_packed_async(rkvs_namespace* ns, const void* keys,
                                                     const uint64_t* key_offsets, size_t count,
                                                     rkvs_batch_mode mode, const rkvs_async* how,
                                                     rkvs_completion* out,
                                                     rkvs_operation** operation,
                                                     rkvs_error** error) {
  return begin(ns, RKVS_OP_GET_MULTIPLE, get_multiple, keys_of(keys, key_offsets, count), mode,
               nullptr, {how, out, operation, error});
}

rkvs_status rkvs_namespace_exists_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                                 size_t count, rkvs_batch_mode mode,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_EXISTS_MULTIPLE, exists_multiple, keys_of(keys, count), mode, nullptr,
               {how, out, operation, error});
}
rkvs_status rkvs_namespace_exists_multiple_packed_async(rkvs_namespace* ns, const void* keys,
                                                        const uint64_t* key_offsets, size_t count,
                                                        rkvs_batch_mode mode, const rkvs_async* how,
                                                        rkvs_completion* out,
                                                        rkvs_operation** operation,
                                                        rkvs_error** error) {
  return begin(ns, RKVS_OP_EXISTS_MULTIPLE, exists_multiple, keys_of(keys, key_offsets, count),
               mode, nullptr, {how, out, operation, error});
}

rkvs_status rkvs_namespace_delete_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                                 size_t count, rkvs_batch_mode mode,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_DELETE_MULTIPLE, delete_multiple, keys_of(keys, count), mode, nullptr,
               {how, out, operation, error});
}
rkvs_status rkvs_namespace_delete_multiple_packed_async(rkvs_namespace* ns, const void* keys,
                                                        const uint64_t* key_offsets, size_t count,
                                                        rkvs_batch_mode mode, const rkvs_async* how,
                                                        rkvs_completion* out,
                                                        rkvs_operation** operation,
                                                        rkvs_error** error) {
  return begin(ns, RKVS_OP_DELETE_MULTIPLE, delete_multiple, keys_of(keys, key_offsets, count),
               mode, nullptr, {how, out, operation, error});
}

rkvs_status rkvs_namespace_consume_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                                  size_t count, rkvs_batch_mode mode,
                                                  const rkvs_async* how, rkvs_completion* out,
                                                  rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_CONSUME_MULTIPLE, consume_multiple, keys_of(keys, count), mode, nullptr,
               {how, out, operation, error});
}
rkvs_status rkvs_namespace_consume_multiple_packed_async(
    rkvs_namespace* ns, const void* keys, const uint64_t* key_offsets, size_t count,
    rkvs_batch_mode mode, const rkvs_async* how, rkvs_completion* out, rkvs_operation** operation,
    rkvs_error** error) {
  return begin(ns, RKVS_OP_CONSUME_MULTIPLE, consume_multiple, keys_of(keys, key_offsets, count),
               mode, nullptr, {how, out, operation, error});
}

rkvs_status rkvs_namespace_set_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                              const rkvs_slice* values, size_t count,
                                              rkvs_batch_mode mode,
                                              const rkvs_write_options* options,
                                              const rkvs_async* how, rkvs_completion* out,
                                              rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_SET_MULTIPLE, set_multiple, items_of(keys, values, count), mode, options,
               {how, out, operation, error});
}
rkvs_status rkvs_namespace_set_multiple_packed_async(
    rkvs_namespace* ns, const void* keys, const uint64_t* key_offsets, const void* values,
    const uint64_t* value_offsets, size_t count, rkvs_batch_mode mode,
    const rkvs_write_options* options, const rkvs_async* how, rkvs_completion* out,
    rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_SET_MULTIPLE, set_multiple,
               items_of(keys, key_offsets, values, value_offsets, count), mode, options,
               {how, out, operation, error});
}

rkvs_status rkvs_namespace_update_multiple_async(rkvs_namespace* ns, const rkvs_slice* keys,
                                                 const rkvs_slice* values, size_t count,
                                                 rkvs_batch_mode mode,
                                                 const rkvs_write_options* options,
                                                 const rkvs_async* how, rkvs_completion* out,
                                                 rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_UPDATE_MULTIPLE, update_multiple, items_of(keys, values, count), mode,
               options, {how, out, operation, error});
}
rkvs_status rkvs_namespace_update_multiple_packed_async(
    rkvs_namespace* ns, const void* keys, const uint64_t* key_offsets, const void* values,
    const uint64_t* value_offsets, size_t count, rkvs_batch_mode mode,
    const rkvs_write_options* options, const rkvs_async* how, rkvs_completion* out,
    rkvs_operation** operation, rkvs_error** error) {
  return begin(ns, RKVS_OP_UPDATE_MULTIPLE, update_multiple,
               items_of(keys, key_offsets, values, value_offsets, count), mode, options,
               {how, out, operation, error});
}
