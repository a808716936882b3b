// Batches that own the bytes they are made of. See <rkvs/async.h>.
#ifndef RKVS_ASYNC_BATCH_H_
#define RKVS_ASYNC_BATCH_H_

#include <rkvs/async_access.h>
#include <rkvs/async_call.h>
#include <rkvs/atomic_batch.h>
#include <rkvs/batch.h>
#include <rkvs/namespace.h>
#include <rkvs/write_options.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rkvs {

// The keys and values of an asynchronous set_multiple or update_multiple.
using AsyncItems = std::vector<std::pair<std::string, std::string>>;

namespace internal {

struct AsyncKeyBatch {
  std::vector<std::string> keys;
  BatchMode mode;

  std::size_t size() const { return keys.size(); }
  // Throws std::bad_alloc.
  std::vector<std::string_view> views() const { return {keys.begin(), keys.end()}; }
};

// get_multiple, exists_multiple.
struct AsyncKeyReads : AsyncKeyBatch {
  using Function = BatchResult (Namespace::*)(std::span<const std::string_view>, BatchMode) const;
  AsyncKeyReads(Function its_function, std::vector<std::string> its_keys, BatchMode its_mode)
      : AsyncKeyBatch{std::move(its_keys), its_mode}, function(its_function) {}
  Function function;

  bool is_short(const Namespace&) const { return AsyncAccess::is_short_read(size()); }
  AsyncResult<BatchResult> operator()(Namespace& ns, const CancelToken&) const {
    return to_async((ns.*function)(views(), mode));
  }
};

// delete_multiple, consume_multiple.
struct AsyncKeyWrites : AsyncKeyBatch {
  using Function = BatchResult (Namespace::*)(std::span<const std::string_view>, BatchMode);
  AsyncKeyWrites(Function its_function, std::vector<std::string> its_keys, BatchMode its_mode)
      : AsyncKeyBatch{std::move(its_keys), its_mode}, function(its_function) {}
  Function function;

  bool is_short(const Namespace& ns) const { return AsyncAccess::is_short_write(ns, size(), mode); }
  AsyncResult<BatchResult> operator()(Namespace& ns, const CancelToken&) const {
    return to_async((ns.*function)(views(), mode));
  }
};

struct AsyncItemBatch {
  BatchResult (Namespace::*function)(std::span<const KeyValue>, BatchMode, const WriteOptions&);
  AsyncItems items;
  BatchMode mode;
  WriteOptions options;

  std::size_t size() const { return items.size(); }
  bool is_short(const Namespace& ns) const { return AsyncAccess::is_short_write(ns, size(), mode); }
  AsyncResult<BatchResult> operator()(Namespace& ns, const CancelToken&) const {
    std::vector<KeyValue> views;
    views.reserve(items.size());
    for (const auto& [key, value] : items) views.push_back({key, value});
    return to_async((ns.*function)(views, mode, options));
  }
};

class AsyncAtomicBatch {
 public:
  // Throws std::bad_alloc.
  explicit AsyncAtomicBatch(const AtomicBatch& batch) {
    auto bytes = std::make_shared<std::string>();
    std::size_t total = 0;
    for (const auto& operation : batch.operations()) {
      total += operation.key.size() + operation.value.size();
    }
    bytes->reserve(total);
    const auto keep = [&](std::string_view view) {
      const std::size_t begin = bytes->size();
      bytes->append(view);
      return std::string_view(bytes->data() + begin, view.size());
    };
    for (AtomicBatch::Operation operation : batch.operations()) {
      operation.key = keep(operation.key);
      operation.value = keep(operation.value);
      batch_.append(operation);
    }
    bytes_ = std::move(bytes);
  }

  std::size_t size() const { return batch_.size(); }
  bool is_short(const Namespace& ns) const {
    return AsyncAccess::is_short_write(ns, size(), BatchMode::kAllOrNothing);
  }
  AsyncResult<BatchResult> operator()(Namespace& ns, const CancelToken&) const {
    return to_async(ns.apply(batch_));
  }

 private:
  std::shared_ptr<const std::string> bytes_;  // that batch_ views; of all copies
  AtomicBatch batch_;
};

}  // namespace internal
}  // namespace rkvs

#endif  // RKVS_ASYNC_BATCH_H_
