#include "capi/atomic_batch.h"

#include <memory>
#include <utility>

#include "capi/batch.h"
#include "capi/manager.h"
#include "capi/options.h"

using rkvs::AtomicBatch;
using rkvs::BatchResult;
using rkvs::CounterOptions;
using rkvs::Status;
using namespace rkvs::capi;

namespace {

// Content that no operation looks at.
AtomicBatchContent& content_to_change(rkvs_atomic_batch& batch) {
  if (!batch.is_shared.load(std::memory_order_relaxed)) return *batch.content;
  auto copy = std::make_shared<AtomicBatchContent>();
  for (AtomicBatch::Operation operation : batch.content->batch.operations()) {
    operation.key = copy->bytes.emplace_back(operation.key);
    operation.value = copy->bytes.emplace_back(operation.value);
    copy->batch.append(operation);
  }
  batch.content = std::move(copy);
  batch.is_shared.store(false, std::memory_order_relaxed);
  return *batch.content;
}

rkvs_status append(rkvs_atomic_batch* batch, AtomicBatch::Op op, const void* key, size_t key_size,
                   AtomicBatch::Operation operation, rkvs_error** error) {
  if (const rkvs_status bad = check_key(key, key_size)) {
    return refuse_argument(bad, error, "the key is NULL");
  }
  AtomicBatchContent& content = content_to_change(*batch);
  const size_t before = content.bytes.size();
  try {
    operation.op = op;
    operation.key = content.bytes.emplace_back(view(key, key_size));
    operation.value = content.bytes.emplace_back(operation.value);
    content.batch.append(operation);
  } catch (const std::bad_alloc&) {
    while (content.bytes.size() > before) content.bytes.pop_back();
    throw;
  }
  return RKVS_OK;
}

// An operation with a value.
rkvs_status append_write(rkvs_atomic_batch* batch, AtomicBatch::Op op, const void* key,
                         size_t key_size, uint64_t version, const void* value, size_t value_size,
                         const rkvs_write_options* options, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(batch)) return refuse_argument(bad, error, "not a batch");
    if (const rkvs_status bad = check_value(value, value_size)) {
      return refuse_argument(bad, error, "the value is NULL");
    }
    AtomicBatch::Operation operation;
    if (const Status bad = to_write_options(options, operation.options); !bad.ok()) {
      return finish(bad, error);
    }
    operation.value = view(value, value_size);
    operation.version = version;
    return append(batch, op, key, key_size, operation, error);
  });
}

// One without.
rkvs_status append_key(rkvs_atomic_batch* batch, AtomicBatch::Op op, const void* key,
                       size_t key_size, uint64_t version, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(batch)) return refuse_argument(bad, error, "not a batch");
    return append(batch, op, key, key_size, {.version = version}, error);
  });
}

rkvs_status append_counter(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                           int64_t delta, bool subtract, const rkvs_counter_options* options,
                           rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(batch)) return refuse_argument(bad, error, "not a batch");
    CounterOptions counter;
    if (const Status bad = to_counter_options(options, counter); !bad.ok()) {
      return finish(bad, error);
    }
    return append(batch, AtomicBatch::Op::kIncrement, key, key_size,
                  {.delta = delta,
                   .subtract = subtract,
                   .initial = counter.initial,
                   .options = {.expire_after = counter.expire_after}},
                  error);
  });
}

}  // namespace

rkvs_status rkvs_atomic_batch_create(rkvs_atomic_batch** batch, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check_slot(batch, error)) return bad;
    *batch = nullptr;
    if (forked()) return refuse_argument(RKVS_E_FORKED, error, "");
    *batch = new rkvs_atomic_batch();
    return RKVS_OK;
  });
}

rkvs_atomic_batch* rkvs_atomic_batch_retain(rkvs_atomic_batch* batch) { return retain(batch); }
void rkvs_atomic_batch_release(rkvs_atomic_batch* batch) { release(batch); }

size_t rkvs_atomic_batch_size(const rkvs_atomic_batch* batch) {
  return is_valid(batch) ? batch->content->batch.size() : 0;
}

rkvs_status rkvs_atomic_batch_clear(rkvs_atomic_batch* batch, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(batch)) return refuse_argument(bad, error, "not a batch");
    batch->content = std::make_shared<AtomicBatchContent>();
    batch->is_shared.store(false, std::memory_order_relaxed);
    return RKVS_OK;
  });
}

rkvs_status rkvs_atomic_batch_set(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                  const void* value, size_t value_size,
                                  const rkvs_write_options* options, rkvs_error** error) {
  return append_write(batch, AtomicBatch::Op::kSet, key, key_size, 0, value, value_size, options,
                      error);
}

rkvs_status rkvs_atomic_batch_add(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                  const void* value, size_t value_size,
                                  const rkvs_write_options* options, rkvs_error** error) {
  return append_write(batch, AtomicBatch::Op::kAdd, key, key_size, 0, value, value_size, options,
                      error);
}

rkvs_status rkvs_atomic_batch_update(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                     const void* value, size_t value_size,
                                     const rkvs_write_options* options, rkvs_error** error) {
  return append_write(batch, AtomicBatch::Op::kUpdate, key, key_size, 0, value, value_size, options,
                      error);
}

rkvs_status rkvs_atomic_batch_compare_and_set(rkvs_atomic_batch* batch, const void* key,
                                              size_t key_size, uint64_t expected_version,
                                              const void* value, size_t value_size,
                                              const rkvs_write_options* options,
                                              rkvs_error** error) {
  return append_write(batch, AtomicBatch::Op::kCompareAndSet, key, key_size, expected_version,
                      value, value_size, options, error);
}

rkvs_status rkvs_atomic_batch_delete_key(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                         rkvs_error** error) {
  return append_key(batch, AtomicBatch::Op::kDelete, key, key_size, 0, error);
}

rkvs_status rkvs_atomic_batch_consume(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                      rkvs_error** error) {
  return append_key(batch, AtomicBatch::Op::kConsume, key, key_size, 0, error);
}

rkvs_status rkvs_atomic_batch_compare_and_delete(rkvs_atomic_batch* batch, const void* key,
                                                 size_t key_size, uint64_t expected_version,
                                                 rkvs_error** error) {
  return append_key(batch, AtomicBatch::Op::kCompareAndDelete, key, key_size, expected_version,
                    error);
}

rkvs_status rkvs_atomic_batch_check_version(rkvs_atomic_batch* batch, const void* key,
                                            size_t key_size, uint64_t expected_version,
                                            rkvs_error** error) {
  return append_key(batch, AtomicBatch::Op::kCheckVersion, key, key_size, expected_version, error);
}

rkvs_status rkvs_atomic_batch_check_exists(rkvs_atomic_batch* batch, const void* key,
                                           size_t key_size, rkvs_error** error) {
  return append_key(batch, AtomicBatch::Op::kCheckExists, key, key_size, 0, error);
}

rkvs_status rkvs_atomic_batch_check_absent(rkvs_atomic_batch* batch, const void* key,
                                           size_t key_size, rkvs_error** error) {
  return append_key(batch, AtomicBatch::Op::kCheckAbsent, key, key_size, 0, error);
}

rkvs_status rkvs_atomic_batch_increment(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                        int64_t delta, const rkvs_counter_options* options,
                                        rkvs_error** error) {
  return append_counter(batch, key, key_size, delta, false, options, error);
}

rkvs_status rkvs_atomic_batch_decrement(rkvs_atomic_batch* batch, const void* key, size_t key_size,
                                        int64_t delta, const rkvs_counter_options* options,
                                        rkvs_error** error) {
  return append_counter(batch, key, key_size, delta, true, options, error);
}

rkvs_status rkvs_namespace_apply(rkvs_namespace* ns, rkvs_atomic_batch* batch,
                                 rkvs_batch_result** result, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (result != nullptr) *result = nullptr;
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    if (const rkvs_status bad = check(batch)) return refuse_argument(bad, error, "not a batch");
    // Made before anything is changed: afterwards nothing can fail.
    std::unique_ptr<rkvs_batch_result> owner;
    if (result != nullptr) owner = std::make_unique<rkvs_batch_result>(BatchResult());
    BatchResult outcome = ns->ns.apply(batch->content->batch);
    const rkvs_status status = report_batch(outcome, error);
    if (owner != nullptr) {
      owner->result = std::move(outcome);
      *result = owner.release();
    }
    return status;
  });
}
