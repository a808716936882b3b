// Namespace: every operation on keys.
#ifndef RKVS_NAMESPACE_H_
#define RKVS_NAMESPACE_H_

#include <rkvs/batch.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>
#include <rkvs/value.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rkvs {

namespace internal {
class NamespaceImpl;
}  // namespace internal

// A handle to one namespace of a StorageManager: a map from keys to values, both any bytes, the
// empty ones included (an empty value is not a missing one).
//
// Handles are cheap to copy and move; all copies mean the same namespace. Every function may be
// called by any number of threads at the same time. Single-key operations are linearizable. A
// handle may outlive the namespace: after delete_namespace every operation is NamespaceDeleted,
// after the manager is gone Closed. A default-constructed or moved-from handle may only be
// assigned to or destroyed.
//
// Every operation has one deadline, the namespace's lock_timeout, and ends as Timeout when it
// passes; a Timeout has changed nothing (in best-effort batches: nothing of the items that say so).
// Besides the codes named at a function, every function can return Timeout, NamespaceDeleted,
// Closed and NoMemory. NotFound is an outcome and carries no message.
class Namespace {
 public:
  Namespace() = default;

  const std::string& name() const noexcept;

  // --- One key ---------------------------------------------------------------------------------

  // The value of `key`, without copying it. NotFound if it is absent.
  Result<Value> get(std::string_view key) const;

  // Whether `key` is there.
  Result<bool> exists(std::string_view key) const;

  // Gives `key` this value, whether or not it had one; returns the value it had. Both arguments
  // are copied. KeyTooLarge, ValueTooLarge, TooManyKeys.
  Result<std::optional<Value>> set(std::string_view key, std::string_view value);

  // Like set, without the old value. The memory of the old value is used again where nobody else
  // holds it, which makes this the faster one.
  Status put(std::string_view key, std::string_view value);

  // Gives a key that is there another value and returns the old one. NotFound if it is absent, and
  // then nothing is stored. ValueTooLarge.
  Result<Value> update(std::string_view key, std::string_view value);

  // Removes `key`; whether it was there. An absent key is not an error.
  Result<bool> delete_key(std::string_view key);

  // Removes `key` and returns its value: of several callers exactly one gets it. NotFound if it is
  // absent.
  Result<Value> consume(std::string_view key);

  // --- Many keys -------------------------------------------------------------------------------
  // See BatchMode and BatchResult. A missing key fails get, delete and consume of that item.

  BatchResult get_multiple(std::span<const std::string_view> keys, BatchMode mode) const;
  BatchResult set_multiple(std::span<const KeyValue> items, BatchMode mode);
  BatchResult delete_multiple(std::span<const std::string_view> keys, BatchMode mode);
  BatchResult consume_multiple(std::span<const std::string_view> keys, BatchMode mode);

  BatchResult get_multiple(std::initializer_list<std::string_view> keys, BatchMode mode) const {
    return get_multiple(std::span(keys.begin(), keys.size()), mode);
  }
  BatchResult set_multiple(std::initializer_list<KeyValue> items, BatchMode mode) {
    return set_multiple(std::span(items.begin(), items.size()), mode);
  }
  BatchResult delete_multiple(std::initializer_list<std::string_view> keys, BatchMode mode) {
    return delete_multiple(std::span(keys.begin(), keys.size()), mode);
  }
  BatchResult consume_multiple(std::initializer_list<std::string_view> keys, BatchMode mode) {
    return consume_multiple(std::span(keys.begin(), keys.size()), mode);
  }

  // All keys, in no particular order. A key that is there during the whole call is in the list
  // exactly once; one that comes or goes meanwhile may or may not be. Each shard is read at one
  // instant. The deadline bounds each shard's lock.
  Result<std::vector<std::string>> list_keys() const;

  // --- Limits and shards -----------------------------------------------------------------------

  NamespaceConfig get_config() const;

  // LimitBelowUse when the namespace holds more keys than `max_keys` already.
  Status set_max_keys(uint64_t max_keys);
  // Applies to values written from now on; larger ones stay. InvalidArgument above
  // kLargestValueSize.
  Status set_max_value_size(uint64_t max_value_size);
  // InvalidArgument outside of kMinLockTimeout and kMaxLockTimeout.
  Status set_lock_timeout(std::chrono::milliseconds lock_timeout);

  // Checks everything first and then applies everything, or nothing: the limits at one instant,
  // then the shards as resize_shards does. InvalidArgument, LimitBelowUse, Busy. If the resize
  // meets NoMemory, the configuration is in force all the same and the move goes on with later
  // inserts.
  Status update_config(const NamespaceConfig& config);

  // Moves the data to `shard_count` shards, more or fewer, while all other operations go on; done
  // when it returns. From then on the count is fixed; 0 makes it automatic again. Works in steps
  // that hold two shards for a few microseconds each, on the calling thread, and so has no deadline
  // as a whole. InvalidArgument above kMaxShardCount, Busy while another resize runs. Cancelled: it
  // has moved everything back.
  Status resize_shards(uint32_t shard_count, const OperationOptions& options = {});

  // --- Figures ---------------------------------------------------------------------------------

  // All figures of one instant.
  Result<NamespaceStats> metadata() const;

  // The number of keys of each shard, of one instant.
  Result<std::vector<uint64_t>> shard_key_counts() const;

 private:
  friend class internal::NamespaceImpl;
  explicit Namespace(std::shared_ptr<internal::NamespaceImpl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<internal::NamespaceImpl> impl_;
};

}  // namespace rkvs

#endif  // RKVS_NAMESPACE_H_
