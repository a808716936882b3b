// Namespace: every operation on keys.
#ifndef RKVS_NAMESPACE_H_
#define RKVS_NAMESPACE_H_

#include <rkvs/atomic_batch.h>
#include <rkvs/batch.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/scan.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>
#include <rkvs/value.h>
#include <rkvs/write_options.h>

#include <chrono>
#include <cstdint>
#include <functional>
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

  // The same, with the version of the entry. Versions of a key only grow and never come back, not
  // even when it was deleted meanwhile or the store was saved and loaded. They grow with every
  // write of a value; touch and persist leave them. Versions of different keys have nothing to do
  // with each other.
  Result<VersionedValue> get_with_version(std::string_view key) const;

  // Whether `key` is there.
  Result<bool> exists(std::string_view key) const;

  // Gives `key` this value, whether or not it had one; returns the value it had. Both arguments
  // are copied. KeyTooLarge, ValueTooLarge, TooManyKeys, MemoryLimit; with options InvalidArgument
  // (see WriteOptions).
  Result<std::optional<Value>> set(std::string_view key, std::string_view value);
  Result<std::optional<Value>> set(std::string_view key, std::string_view value,
                                   const WriteOptions& options);

  // Like set, without the old value. The memory of the old value is used again where nobody else
  // holds it, which makes this the faster one.
  Status put(std::string_view key, std::string_view value);
  Status put(std::string_view key, std::string_view value, const WriteOptions& options);

  // Stores a key that is absent and returns the entry's version. Exists if it is there, and then
  // nothing changes. The errors of set.
  Result<uint64_t> add(std::string_view key, std::string_view value,
                       const WriteOptions& options = {});

  // Gives a key that is there another value and returns the old one. NotFound if it is absent, and
  // then nothing is stored. ValueTooLarge, MemoryLimit, InvalidArgument.
  Result<Value> update(std::string_view key, std::string_view value,
                       const WriteOptions& options = {});

  // Gives a key another value if its entry has this version still, and returns the new version.
  // VersionMismatch if it has another, NotFound if the key is absent; then nothing changes. Keeps
  // the expiry where `options` say nothing else. ValueTooLarge, MemoryLimit, InvalidArgument.
  Result<uint64_t> compare_and_set(std::string_view key, uint64_t expected_version,
                                   std::string_view value, const WriteOptions& options = {});

  // Removes `key`; whether it was there. An absent key is not an error.
  Result<bool> delete_key(std::string_view key);

  // Removes `key` and returns its value: of several callers exactly one gets it. NotFound if it is
  // absent.
  Result<Value> consume(std::string_view key);

  // Removes `key` if its entry has this version still. VersionMismatch, NotFound.
  Status compare_and_delete(std::string_view key, uint64_t expected_version);

  // --- Expiry ----------------------------------------------------------------------------------
  // See WriteOptions. All: NotFound if the key is absent.

  // How long the entry has left, rounded up to 1 ms at least; nothing if it does not expire.
  Result<std::optional<std::chrono::milliseconds>> ttl(std::string_view key) const;
  // Gives the entry this expiry. The value and its version stay. InvalidArgument unless `options`
  // give expire_after or expire_at.
  Status touch(std::string_view key, const WriteOptions& options);
  Status touch(std::string_view key, std::chrono::milliseconds expire_after) {
    return touch(key, WriteOptions{.expire_after = expire_after});
  }
  // Takes the expiry away; whether there was one.
  Result<bool> persist(std::string_view key);

  // --- Read, change, write ---------------------------------------------------------------------

  // Adds `delta` to the decimal number that the value is, and returns the sum: an optional '-' and
  // digits, as increment itself writes it. A key that is absent counts from `options.initial`.
  // NotANumber if the value is something else or outside of int64, Overflow if the sum would be;
  // then nothing changes. Otherwise the errors of set.
  Result<int64_t> increment(std::string_view key, int64_t delta = 1,
                            const CounterOptions& options = {});
  Result<int64_t> decrement(std::string_view key, int64_t delta = 1,
                            const CounterOptions& options = {});

  // Calls `change` with the value that the key has, nothing if it is absent, and gives the key what
  // it returns; nothing removes the key or leaves it absent. Returns the value that the key has
  // now. Nobody else reads or writes the key meanwhile: `change` runs with the lock of its shard
  // held, so it should be short, and must not call this library: whatever it calls there is
  // WouldDeadlock. It is called again where there was no room for what it returned and room could
  // be made; the last call counts. Keeps the expiry. What `change` throws goes to the caller, and
  // nothing has changed. KeyTooLarge, ValueTooLarge, TooManyKeys, MemoryLimit.
  using TransformFunction =
      std::function<std::optional<std::string>(std::optional<std::string_view> value)>;
  Result<std::optional<Value>> transform(std::string_view key, const TransformFunction& change);

  // --- Many keys -------------------------------------------------------------------------------
  // See BatchMode and BatchResult. A missing key fails get, update, delete and consume of that
  // item. The options of set and update are those of all items.

  BatchResult get_multiple(std::span<const std::string_view> keys, BatchMode mode) const;
  // The item of a key that is there is Ok, the others are NotFound, which fails nothing.
  BatchResult exists_multiple(std::span<const std::string_view> keys, BatchMode mode) const;
  BatchResult set_multiple(std::span<const KeyValue> items, BatchMode mode,
                           const WriteOptions& options = {});
  BatchResult update_multiple(std::span<const KeyValue> items, BatchMode mode,
                              const WriteOptions& options = {});
  BatchResult delete_multiple(std::span<const std::string_view> keys, BatchMode mode);
  BatchResult consume_multiple(std::span<const std::string_view> keys, BatchMode mode);

  BatchResult get_multiple(std::initializer_list<std::string_view> keys, BatchMode mode) const {
    return get_multiple(std::span(keys.begin(), keys.size()), mode);
  }
  BatchResult exists_multiple(std::initializer_list<std::string_view> keys, BatchMode mode) const {
    return exists_multiple(std::span(keys.begin(), keys.size()), mode);
  }
  BatchResult set_multiple(std::initializer_list<KeyValue> items, BatchMode mode,
                           const WriteOptions& options = {}) {
    return set_multiple(std::span(items.begin(), items.size()), mode, options);
  }
  BatchResult update_multiple(std::initializer_list<KeyValue> items, BatchMode mode,
                              const WriteOptions& options = {}) {
    return update_multiple(std::span(items.begin(), items.size()), mode, options);
  }
  BatchResult delete_multiple(std::initializer_list<std::string_view> keys, BatchMode mode) {
    return delete_multiple(std::span(keys.begin(), keys.size()), mode);
  }
  BatchResult consume_multiple(std::initializer_list<std::string_view> keys, BatchMode mode) {
    return consume_multiple(std::span(keys.begin(), keys.size()), mode);
  }

  // Different operations, all or nothing, at one instant. See AtomicBatch. The errors of what is in
  // it; InvalidArgument for wrong options.
  BatchResult apply(const AtomicBatch& batch);

  // All keys, in no particular order. A key that is there during the whole call is in the list
  // exactly once; one that comes or goes meanwhile may or may not be. Each shard is read at one
  // instant. The deadline bounds each shard's lock.
  Result<std::vector<std::string>> list_keys() const;

  // A walk through the keys, step by step. NoMemory alone.
  Result<Scan> scan(ScanOptions options = {}) const;

  // Removes the keys that begin with `prefix` and returns how many there were: a key that is there
  // during the whole call is removed, one that comes meanwhile may stay. Works shard by shard; when
  // it fails, with Timeout for one, some are removed.
  Result<uint64_t> delete_prefix(std::string_view prefix);
  // Removes all keys at one instant and returns how many there were. Fast: what it removed is freed
  // afterwards.
  Result<uint64_t> clear();

  // --- Limits and shards -----------------------------------------------------------------------

  NamespaceConfig get_config() const;

  // LimitBelowUse when the namespace holds more keys than `max_keys` already.
  Status set_max_keys(uint64_t max_keys);
  // LimitBelowUse when the namespace takes more bytes already.
  Status set_max_bytes(uint64_t max_bytes);
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

  // Of each shard, the keys and bytes of one instant.
  Result<std::vector<ShardStats>> shard_stats() const;

  // The number of keys of each shard, of one instant.
  Result<std::vector<uint64_t>> shard_key_counts() const;

 private:
  friend class internal::NamespaceImpl;
  explicit Namespace(std::shared_ptr<internal::NamespaceImpl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<internal::NamespaceImpl> impl_;
};

}  // namespace rkvs

#endif  // RKVS_NAMESPACE_H_
