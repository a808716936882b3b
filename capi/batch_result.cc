// What came of a batch, item by item or in columns.
#include <cstring>
#include <optional>
#include <utility>

#include "capi/batch.h"
#include "capi/options.h"
#include "capi/value.h"

using rkvs::BatchItem;
using rkvs::ScanItem;
using rkvs::StatusCode;
using namespace rkvs::capi;

namespace rkvs::capi {

rkvs_batch_result* make_scan_result(std::vector<ScanItem>& items) {
  auto made = std::make_unique<rkvs_batch_result>(BatchResult());
  made->has_keys = true;
  std::size_t size = 0;
  for (const ScanItem& item : items) size += item.key.size();
  made->keys.reserve(size);
  made->key_offsets.reserve(items.size() + 1);
  made->result.items.reserve(items.size());
  made->key_offsets.push_back(0);
  for (ScanItem& item : items) {
    made->keys.append(item.key);
    made->key_offsets.push_back(made->keys.size());
    made->result.items.push_back({StatusCode::kOk, std::move(item.value), item.version});
  }
  made->result.total_processed = items.size();
  return made.release();
}

}  // namespace rkvs::capi

namespace {

// A block with room for all columns; they begin in descending order of their alignment.
rkvs_batch_result::Columns make_columns(const std::vector<BatchItem>& items) {
  const size_t count = items.size();
  size_t bytes = 0;
  for (const BatchItem& item : items) bytes += item.value.has_value() ? item.value->size() : 0;
  const size_t fixed = (2 * count + 1) * sizeof(uint64_t) + count * (sizeof(rkvs_status) + 1);

  rkvs_batch_result::Columns columns;
  // Not make_unique, which would write zeros first.
  columns.block.reset(new unsigned char[fixed + bytes + 1]);
  auto* const offsets = reinterpret_cast<uint64_t*>(columns.block.get());
  uint64_t* const versions = offsets + count + 1;
  auto* const statuses = reinterpret_cast<rkvs_status*>(versions + count);
  auto* const has_value = reinterpret_cast<uint8_t*>(statuses + count);
  unsigned char* const values = has_value + count;
  uint64_t end = 0;
  for (size_t i = 0; i < count; ++i) {
    const BatchItem& item = items[i];
    offsets[i] = end;
    versions[i] = item.version;
    statuses[i] = code_of(item.code);
    has_value[i] = item.value.has_value() ? 1 : 0;
    if (!item.value.has_value() || item.value->empty()) continue;
    std::memcpy(values + end, item.value->data(), item.value->size());
    end += item.value->size();
  }
  offsets[count] = end;
  columns.value_offsets = offsets;
  columns.versions = versions;
  columns.statuses = statuses;
  columns.has_value = has_value;
  columns.values = values;
  return columns;
}

rkvs_batch_item item_of(const rkvs_batch_result& result, size_t index) {
  const BatchItem& item = result.result.items[index];
  rkvs_batch_item out = {};
  out.status = code_of(item.code);
  out.version = item.version;
  if (item.value.has_value()) {
    out.has_value = 1;
    out.value = item.value->data();
    out.value_size = item.value->size();
  }
  if (result.has_keys) {
    out.key = result.keys.data() + result.key_offsets[index];
    out.key_size = result.key_offsets[index + 1] - result.key_offsets[index];
  }
  return out;
}

}  // namespace

// Results are read without a lock, and so by a forked child too; columns aside.

size_t rkvs_batch_result_count(const rkvs_batch_result* result) {
  return is_valid(result) ? result->result.items.size() : 0;
}

rkvs_status rkvs_batch_result_status(const rkvs_batch_result* result) {
  return is_valid(result) ? code_of(result->result.status.code()) : RKVS_E_INVALID_ARGUMENT;
}

rkvs_status rkvs_batch_result_item_status(const rkvs_batch_result* result, size_t index) {
  if (!is_valid(result) || index >= result->result.items.size()) return RKVS_E_INVALID_ARGUMENT;
  return code_of(result->result.items[index].code);
}

rkvs_status rkvs_batch_result_item(const rkvs_batch_result* result, size_t index,
                                   rkvs_batch_item* item, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (!is_valid(result)) return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "not a result");
    const size_t count = result->result.items.size();
    if (index >= count) {
      return refuse(StatusCode::kInvalidArgument, error, "item ", index, " of ", count);
    }
    return finish(write_struct(item_of(*result, index), item), error);
  });
}

rkvs_value* rkvs_batch_result_value(const rkvs_batch_result* result, size_t index) {
  if (forked() || !is_valid(result) || index >= result->result.items.size()) return nullptr;
  const std::optional<rkvs::Value>& value = result->result.items[index].value;
  return value.has_value() ? value_handle(rkvs::Value(*value)) : nullptr;
}

rkvs_status rkvs_batch_result_view(rkvs_batch_result* result, rkvs_batch_view* view,
                                   rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(result)) return refuse_argument(bad, error, "not a result");
    const rkvs::internal::MutexLock lock(result->mutex);
    if (result->columns.block == nullptr) result->columns = make_columns(result->result.items);
    rkvs_batch_view out = {};
    out.status = code_of(result->result.status.code());
    out.count = result->result.items.size();
    out.total_processed = result->result.total_processed;
    out.duration_ns = static_cast<uint64_t>(result->result.duration.count());
    out.statuses = result->columns.statuses;
    out.versions = result->columns.versions;
    out.has_value = result->columns.has_value;
    out.values = result->columns.values;
    out.value_offsets = result->columns.value_offsets;
    out.keys = result->has_keys ? result->keys.data() : nullptr;
    out.key_offsets = result->has_keys ? result->key_offsets.data() : nullptr;
    return finish(write_struct(out, view), error);
  });
}

rkvs_batch_result* rkvs_batch_result_retain(rkvs_batch_result* result) { return retain(result); }
void rkvs_batch_result_release(rkvs_batch_result* result) { release(result); }
