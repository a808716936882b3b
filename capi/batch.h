// Batches: what comes in, and the one owner of what comes out.
#ifndef RKVS_CAPI_BATCH_H_
#define RKVS_CAPI_BATCH_H_

#include <rkvs/batch.h>
#include <rkvs/scan.h>
#include <rkvs/write_options.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "capi/internal.h"

struct rkvs_batch_result : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B4231;
  explicit rkvs_batch_result(rkvs::BatchResult what) : Handle(kMagic), result(std::move(what)) {}

  rkvs::BatchResult result;
  // Of a scan: the key of each item.
  bool has_keys = false;
  std::string keys;
  std::vector<uint64_t> key_offsets;

  // The columns, made when first asked for, in one block.
  struct Columns {
    std::unique_ptr<unsigned char[]> block;
    const rkvs_status* statuses = nullptr;
    const uint64_t* versions = nullptr;
    const uint8_t* has_value = nullptr;
    const unsigned char* values = nullptr;
    const uint64_t* value_offsets = nullptr;
  };
  rkvs::internal::Mutex mutex;
  Columns columns RKVS_GUARDED_BY(mutex);
};

namespace rkvs::capi {

// Bytes of items that follow each other, in the form of the _packed functions.
struct Packed {
  const void* bytes;
  const uint64_t* offsets;
};

// The most items of one call.
inline constexpr std::size_t kMostItems = 0x7FFFFFFF;

// The items of a batch: views of the caller's bytes, or, after own(), of a copy.
struct BatchInput {
  Status status{};
  int64_t index = -1;  // of the item that `status` is about
  std::vector<std::string_view> keys{};
  std::vector<KeyValue> items{};  // of those that write, instead of `keys`
  std::unique_ptr<char[]> bytes{};

  std::size_t size() const { return keys.size() + items.size(); }
  // Copies the bytes. Throws std::bad_alloc.
  void own();
};

// What the caller's arrays hold; may throw std::bad_alloc. A key or value beyond the largest size
// there is becomes one of a byte more than that, of which the caller's bytes are not read: the
// operation treats it as any that is too large. InvalidArgument.
BatchInput read_keys(const rkvs_slice* keys, std::size_t count);
BatchInput read_keys(const Packed& keys, std::size_t count);
BatchInput read_items(const rkvs_slice* keys, const rkvs_slice* values, std::size_t count);
BatchInput read_items(const Packed& keys, const Packed& values, std::size_t count);

// The same, when it is called: once everything else is known to be right.
inline auto keys_of(const rkvs_slice* keys, std::size_t count) {
  return [=] { return read_keys(keys, count); };
}
inline auto keys_of(const void* keys, const uint64_t* offsets, std::size_t count) {
  return [=] { return read_keys(Packed{keys, offsets}, count); };
}
inline auto items_of(const rkvs_slice* keys, const rkvs_slice* values, std::size_t count) {
  return [=] { return read_items(keys, values, count); };
}
inline auto items_of(const void* keys, const uint64_t* key_offsets, const void* values,
                     const uint64_t* value_offsets, std::size_t count) {
  return [=] {
    return read_items(Packed{keys, key_offsets}, Packed{values, value_offsets}, count);
  };
}

// The operations.
using BatchBody = BatchResult (*)(Namespace& ns, const BatchInput& input, BatchMode mode,
                                  const WriteOptions& options);
BatchResult get_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                         const WriteOptions& options);
BatchResult exists_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                            const WriteOptions& options);
BatchResult set_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                         const WriteOptions& options);
BatchResult update_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                            const WriteOptions& options);
BatchResult delete_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                            const WriteOptions& options);
BatchResult consume_multiple(Namespace& ns, const BatchInput& input, BatchMode mode,
                             const WriteOptions& options);

// The first item that failed by itself, or -1.
int64_t index_of_failure(const BatchResult& outcome) noexcept;

// The status of a batch; where it is an error, with the index of the first item that failed.
rkvs_status report_batch(const BatchResult& outcome, rkvs_error** error) noexcept;

// An owner for the items of a scan. Throws std::bad_alloc, and leaves `items` alone then.
rkvs_batch_result* make_scan_result(std::vector<ScanItem>& items);

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_BATCH_H_
