// Batches of one kind of operation.
#include "capi/batch.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "capi/manager.h"
#include "capi/options.h"

using rkvs::BatchMode;
using rkvs::BatchResult;
using rkvs::Status;
using rkvs::WriteOptions;
using namespace rkvs::capi;

namespace rkvs::capi {

namespace {

BatchInput refused(int64_t index, const char* why) {
  BatchInput input;
  input.status = internal::make_error(StatusCode::kInvalidArgument, why);
  input.index = index;
  return input;
}

// What stands in for the bytes of a key that is too large: batches hash all keys before they look
// at their sizes. Zeros that nobody writes to, in memory that nobody pays for.
char no_key[kLargestMaxKeySize + 1];

// The bytes of an item. One that is larger than `most` keeps a size that says so, and is never
// read: the caller may have no such bytes. A value of that size is refused before anything looks at
// it, and so need not be as long as it says.
std::string_view view_up_to(std::size_t most, const void* bytes, std::size_t size) {
  if (size <= most) return view(bytes, size);
  return {no_key, most + 1};
}

// One item of either form; false where it is none.
bool read(const rkvs_slice* from, std::size_t i, std::size_t most, std::string_view& to) {
  if (check_bytes(from[i].data, from[i].size) != RKVS_OK) return false;
  to = view_up_to(most, from[i].data, from[i].size);
  return true;
}

bool read(const Packed& from, std::size_t i, std::size_t most, std::string_view& to) {
  const uint64_t begin = from.offsets[i];
  const uint64_t end = from.offsets[i + 1];
  if (end < begin || end > PTRDIFF_MAX || (from.bytes == nullptr && end != begin)) return false;
  // Nothing is added to a pointer that may be NULL.
  to = end == begin ? std::string_view()
                    : view_up_to(most, static_cast<const char*>(from.bytes) + begin, end - begin);
  return true;
}

bool is_there(const rkvs_slice* from) { return from != nullptr; }
bool is_there(const Packed& from) { return from.offsets != nullptr; }

template <typename Form>
BatchInput read_all_keys(const Form& keys, std::size_t count) {
  if (count > kMostItems) return refused(-1, "too many items");
  if (count != 0 && !is_there(keys)) return refused(-1, "the keys are NULL");
  BatchInput input;
  input.keys.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!read(keys, i, kLargestMaxKeySize, input.keys[i])) {
      return refused(static_cast<int64_t>(i), "a key that is no bytes");
    }
  }
  return input;
}

template <typename Form>
BatchInput read_all_items(const Form& keys, const Form& values, std::size_t count) {
  if (count > kMostItems) return refused(-1, "too many items");
  if (count != 0 && !is_there(keys)) return refused(-1, "the keys are NULL");
  if (count != 0 && !is_there(values)) return refused(-1, "the values are NULL");
  BatchInput input;
  input.items.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!read(keys, i, kLargestMaxKeySize, input.items[i].key)) {
      return refused(static_cast<int64_t>(i), "a key that is no bytes");
    }
    if (!read(values, i, kLargestValueSize, input.items[i].value)) {
      return refused(static_cast<int64_t>(i), "a value that is no bytes");
    }
  }
  return input;
}

}  // namespace

BatchInput read_keys(const rkvs_slice* keys, std::size_t count) {
  return read_all_keys(keys, count);
}
BatchInput read_keys(const Packed& keys, std::size_t count) { return read_all_keys(keys, count); }
BatchInput read_items(const rkvs_slice* keys, const rkvs_slice* values, std::size_t count) {
  return read_all_items(keys, values, count);
}
BatchInput read_items(const Packed& keys, const Packed& values, std::size_t count) {
  return read_all_items(keys, values, count);
}

void BatchInput::own() {
  // What is too large is not the caller's: see view_up_to().
  const auto size_of = [](std::string_view piece, std::size_t most) {
    return piece.size() <= most ? piece.size() : 0;
  };
  std::size_t total = 0;
  for (const std::string_view key : keys) total += size_of(key, kLargestMaxKeySize);
  for (const KeyValue& item : items) {
    total += size_of(item.key, kLargestMaxKeySize) + size_of(item.value, kLargestValueSize);
  }
  bytes = std::make_unique<char[]>(total + 1);
  char* end = bytes.get();
  const auto take = [&](std::string_view& piece, std::size_t most) {
    if (piece.size() > most) return;
    if (!piece.empty()) std::memcpy(end, piece.data(), piece.size());
    piece = {end, piece.size()};
    end += piece.size();
  };
  for (std::string_view& key : keys) take(key, kLargestMaxKeySize);
  for (KeyValue& item : items) {
    take(item.key, kLargestMaxKeySize);
    take(item.value, kLargestValueSize);
  }
}

BatchResult get_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                         const WriteOptions& /*options*/) {
  return ns.get_multiple(input.keys, mode);
}
BatchResult exists_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                            const WriteOptions& /*options*/) {
  return ns.exists_multiple(input.keys, mode);
}
BatchResult set_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                         const WriteOptions& options) {
  return ns.set_multiple(input.items, mode, options);
}
BatchResult update_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                            const WriteOptions& options) {
  return ns.update_multiple(input.items, mode, options);
}
BatchResult delete_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                            const WriteOptions& /*options*/) {
  return ns.delete_multiple(input.keys, mode);
}
BatchResult consume_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                             const WriteOptions& /*options*/) {
  return ns.consume_multiple(input.keys, mode);
}

int64_t index_of_failure(const BatchResult& outcome) noexcept {
  const auto failed =
      std::find_if(outcome.items.begin(), outcome.items.end(), [](const BatchItem& item) {
        return item.code != StatusCode::kOk && item.code != StatusCode::kNotApplied;
      });
  return failed == outcome.items.end() ? -1 : failed - outcome.items.begin();
}

rkvs_status report_batch(const BatchResult& outcome, rkvs_error** error) noexcept {
  if (error == nullptr || !outcome.status.is_error()) return code_of(outcome.status.code());
  return report(outcome.status, error, index_of_failure(outcome));
}

}  // namespace rkvs::capi

namespace {

template <typename Read>  // BatchInput()
rkvs_status batch(rkvs_namespace* ns, Read read, rkvs_batch_mode mode,
                  const rkvs_write_options* options, rkvs_batch_result** result, rkvs_error** error,
                  BatchBody body) {
  return guarded(error, [&]() -> rkvs_status {
    if (result != nullptr) *result = nullptr;
    if (const rkvs_status bad = check_namespace(ns, error)) return bad;
    BatchMode how{};
    if (const Status bad = to_mode(mode, how); !bad.ok()) return finish(bad, error);
    WriteOptions write;
    if (const Status bad = to_write_options(options, write); !bad.ok()) return finish(bad, error);
    const BatchInput input = read();
    if (!input.status.ok()) return report(input.status, error, input.index);
    // Made before anything is changed: afterwards nothing can fail.
    std::unique_ptr<rkvs_batch_result> owner;
    if (result != nullptr) owner = std::make_unique<rkvs_batch_result>(BatchResult());
    BatchResult outcome = body(ns->ns, input, how, write);
    const rkvs_status status = report_batch(outcome, error);
    if (owner != nullptr) {
      owner->result = std::move(outcome);
      *result = owner.release();
    }
    return status;
  });
}

}  // namespace

rkvs_status rkvs_namespace_get_multiple(rkvs_namespace* ns, const rkvs_slice* keys, size_t count,
                                        rkvs_batch_mode mode, rkvs_batch_result** result,
                                        rkvs_error** error) {
  return batch(ns, keys_of(keys, count), mode, nullptr, result, error, get_multiple);
}
rkvs_status rkvs_namespace_get_multiple_packed(rkvs_namespace* ns, const void* keys,
                                               const uint64_t* key_offsets, size_t count,
                                               rkvs_batch_mode mode, rkvs_batch_result** result,
                                               rkvs_error** error) {
  return batch(ns, keys_of(keys, key_offsets, count), mode, nullptr, result, error, get_multiple);
}

rkvs_status rkvs_namespace_exists_multiple(rkvs_namespace* ns, const rkvs_slice* keys, size_t count,
                                           rkvs_batch_mode mode, rkvs_batch_result** result,
                                           rkvs_error** error) {
  return batch(ns, keys_of(keys, count), mode, nullptr, result, error, exists_multiple);
}
rkvs_status rkvs_namespace_exists_multiple_packed(rkvs_namespace* ns, const void* keys,
                                                  const uint64_t* key_offsets, size_t count,
                                                  rkvs_batch_mode mode, rkvs_batch_result** result,
                                                  rkvs_error** error) {
  return batch(ns, keys_of(keys, key_offsets, count), mode, nullptr, result, error,
               exists_multiple);
}

rkvs_status rkvs_namespace_delete_multiple(rkvs_namespace* ns, const rkvs_slice* keys, size_t count,
                                           rkvs_batch_mode mode, rkvs_batch_result** result,
                                           rkvs_error** error) {
  return batch(ns, keys_of(keys, count), mode, nullptr, result, error, delete_multiple);
}
rkvs_status rkvs_namespace_delete_multiple_packed(rkvs_namespace* ns, const void* keys,
                                                  const uint64_t* key_offsets, size_t count,
                                                  rkvs_batch_mode mode, rkvs_batch_result** result,
                                                  rkvs_error** error) {
  return batch(ns, keys_of(keys, key_offsets, count), mode, nullptr, result, error,
               delete_multiple);
}

rkvs_status rkvs_namespace_consume_multiple(rkvs_namespace* ns, const rkvs_slice* keys,
                                            size_t count, rkvs_batch_mode mode,
                                            rkvs_batch_result** result, rkvs_error** error) {
  return batch(ns, keys_of(keys, count), mode, nullptr, result, error, consume_multiple);
}
rkvs_status rkvs_namespace_consume_multiple_packed(rkvs_namespace* ns, const void* keys,
                                                   const uint64_t* key_offsets, size_t count,
                                                   rkvs_batch_mode mode, rkvs_batch_result** result,
                                                   rkvs_error** error) {
  return batch(ns, keys_of(keys, key_offsets, count), mode, nullptr, result, error,
               consume_multiple);
}

rkvs_status rkvs_namespace_set_multiple(rkvs_namespace* ns, const rkvs_slice* keys,
                                        const rkvs_slice* values, size_t count,
                                        rkvs_batch_mode mode, const rkvs_write_options* options,
                                        rkvs_batch_result** result, rkvs_error** error) {
  return batch(ns, items_of(keys, values, count), mode, options, result, error, set_multiple);
}
rkvs_status rkvs_namespace_set_multiple_packed(rkvs_namespace* ns, const void* keys,
                                               const uint64_t* key_offsets, const void* values,
                                               const uint64_t* value_offsets, size_t count,
                                               rkvs_batch_mode mode,
                                               const rkvs_write_options* options,
                                               rkvs_batch_result** result, rkvs_error** error) {
  return batch(ns, items_of(keys, key_offsets, values, value_offsets, count), mode, options, result,
               error, set_multiple);
}

rkvs_status rkvs_namespace_update_multiple(rkvs_namespace* ns, const rkvs_slice* keys,
                                           const rkvs_slice* values, size_t count,
                                           rkvs_batch_mode mode, const rkvs_write_options* options,
                                           rkvs_batch_result** result, rkvs_error** error) {
  return batch(ns, items_of(keys, values, count), mode, options, result, error, update_multiple);
}
rkvs_status rkvs_namespace_update_multiple_packed(rkvs_namespace* ns, const void* keys,
                                                  const uint64_t* key_offsets, const void* values,
                                                  const uint64_t* value_offsets, size_t count,
                                                  rkvs_batch_mode mode,
                                                  const rkvs_write_options* options,
                                                  rkvs_batch_result** result, rkvs_error** error) {
  return batch(ns, items_of(keys, key_offsets, values, value_offsets, count), mode, options, result,
               error, update_multiple);
}
