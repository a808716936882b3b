// AsyncNamespace: the operations of a Namespace for Boost.Asio. See <rkvs/async.h>.
#ifndef RKVS_ASYNC_NAMESPACE_H_
#define RKVS_ASYNC_NAMESPACE_H_

#include <rkvs/async_access.h>
#include <rkvs/async_batch.h>
#include <rkvs/async_call.h>
#include <rkvs/atomic_batch.h>
#include <rkvs/batch.h>
#include <rkvs/namespace.h>
#include <rkvs/operation.h>
#include <rkvs/options.h>
#include <rkvs/scan.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>
#include <rkvs/value.h>
#include <rkvs/write_options.h>

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/system_executor.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rkvs {

// A walk through all keys of a namespace: Scan, step by step on worker threads. Copies are one
// walk. A step that meets another one that has not ended is Busy.
class AsyncScan {
 public:
  using executor_type = boost::asio::any_io_executor;

  // One that is done.
  AsyncScan() = default;

  // See Scan::next.
  template <internal::AsyncTokenFor<std::vector<ScanItem>> Token = boost::asio::deferred_t>
  auto async_next(std::size_t limit, Token&& token = {}) {
    return internal::initiate_async<internal::AsyncRoute::kIfShort, Token>(token, target_,
                                                                           Step{walk_, limit});
  }
  // Whether everything has been returned. Not while a step is on.
  bool is_done() const noexcept { return walk_ == nullptr || walk_->scan.is_done(); }

  executor_type get_executor() const noexcept { return target_.executor; }

 private:
  friend class AsyncNamespace;
  struct Walk {
    explicit Walk(Scan its_scan) : scan(std::move(its_scan)) {}
    Scan scan;
    std::atomic<bool> is_stepping{false};
  };

  struct Step {
    std::shared_ptr<Walk> walk;
    std::size_t limit;

    bool is_short(const Namespace&) const { return walk == nullptr; }
    internal::AsyncResult<std::vector<ScanItem>> operator()(Namespace&, const CancelToken&) const {
      if (walk == nullptr) return {};
      if (walk->is_stepping.exchange(true, std::memory_order_acquire)) {
        return {Status(StatusCode::kBusy, "another step of this scan has not ended"), {}};
      }
      auto items = walk->scan.next(limit);
      walk->is_stepping.store(false, std::memory_order_release);
      return internal::to_async(std::move(items));
    }
  };

  std::shared_ptr<Walk> walk_;
  internal::AsyncTarget<Namespace> target_;
};

// A Namespace whose operations are asynchronous: each `async_` function does what the function of
// Namespace with the rest of its name does, takes its arguments by value, and a completion token
// after them. Where errors, results, threads and deadlines are concerned see <rkvs/async.h>.
//
// Cheap to copy; all functions may be called by any number of threads at the same time. As of a
// Namespace, nothing may be called of one that is default-constructed or moved from.
class AsyncNamespace {
 public:
  using executor_type = boost::asio::any_io_executor;

  AsyncNamespace() = default;
  // `executor` is for handlers that have none of their own.
  explicit AsyncNamespace(Namespace ns, executor_type executor = boost::asio::system_executor())
      : target_{std::move(ns), std::move(executor)} {}

  // The one whose operations these are.
  const Namespace& sync() const noexcept { return target_.handle; }
  executor_type get_executor() const noexcept { return target_.executor; }

  // The same namespace, with operations that end as Timeout when they have waited so long, for
  // locks and for a thread. Without it, waits for locks have the namespace's lock_timeout.
  AsyncNamespace with_timeout(std::chrono::milliseconds timeout) const {
    AsyncNamespace other(*this);
    other.target_.timeout = timeout;
    return other;
  }
  // The same namespace, with operations that write their whole Status, with the message that an
  // error_code has no place for, into `status` just before their handler is called.
  AsyncNamespace with_status(Status& status) const {
    AsyncNamespace other(*this);
    other.target_.status = &status;
    return other;
  }

  // --- One key ---------------------------------------------------------------------------------

  template <internal::AsyncTokenFor<std::optional<Value>> Token = boost::asio::deferred_t>
  auto async_get(std::string key, Token&& token = {}) const {
    return now<Token>(token, [key = std::move(key)](Namespace& ns, const CancelToken&) {
      return internal::to_optional(ns.get(key));
    });
  }
  template <internal::AsyncTokenFor<std::optional<VersionedValue>> Token = boost::asio::deferred_t>
  auto async_get_with_version(std::string key, Token&& token = {}) const {
    return now<Token>(token, [key = std::move(key)](Namespace& ns, const CancelToken&) {
      return internal::to_optional(ns.get_with_version(key));
    });
  }
  template <internal::AsyncTokenFor<bool> Token = boost::asio::deferred_t>
  auto async_exists(std::string key, Token&& token = {}) const {
    return now<Token>(token, [key = std::move(key)](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.exists(key));
    });
  }

  // The value that it had.
  template <internal::AsyncTokenFor<std::optional<Value>> Token = boost::asio::deferred_t>
  auto async_set(std::string key, std::string value, Token&& token = {}) {
    return async_set(std::move(key), std::move(value), WriteOptions(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<std::optional<Value>> Token = boost::asio::deferred_t>
  auto async_set(std::string key, std::string value, WriteOptions options, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key), value = std::move(value), options](
                                 Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.set(key, value, options));
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_put(std::string key, std::string value, Token&& token = {}) {
    return async_put(std::move(key), std::move(value), WriteOptions(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_put(std::string key, std::string value, WriteOptions options, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key), value = std::move(value), options](
                                 Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.put(key, value, options));
    });
  }
  // The entry's version; nothing if the key is there already.
  template <internal::AsyncTokenFor<std::optional<uint64_t>> Token = boost::asio::deferred_t>
  auto async_add(std::string key, std::string value, Token&& token = {}) {
    return async_add(std::move(key), std::move(value), WriteOptions(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<std::optional<uint64_t>> Token = boost::asio::deferred_t>
  auto async_add(std::string key, std::string value, WriteOptions options, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key), value = std::move(value), options](
                                 Namespace& ns, const CancelToken&) {
      return internal::to_optional(ns.add(key, value, options));
    });
  }
  // The value that it had; nothing if the key is absent.
  template <internal::AsyncTokenFor<std::optional<Value>> Token = boost::asio::deferred_t>
  auto async_update(std::string key, std::string value, Token&& token = {}) {
    return async_update(std::move(key), std::move(value), WriteOptions(),
                        std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<std::optional<Value>> Token = boost::asio::deferred_t>
  auto async_update(std::string key, std::string value, WriteOptions options, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key), value = std::move(value), options](
                                 Namespace& ns, const CancelToken&) {
      return internal::to_optional(ns.update(key, value, options));
    });
  }
  // The new version; NotFound, VersionMismatch.
  template <internal::AsyncTokenFor<Outcome<uint64_t>> Token = boost::asio::deferred_t>
  auto async_compare_and_set(std::string key, uint64_t expected_version, std::string value,
                             Token&& token = {}) {
    return async_compare_and_set(std::move(key), expected_version, std::move(value), WriteOptions(),
                                 std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<Outcome<uint64_t>> Token = boost::asio::deferred_t>
  auto async_compare_and_set(std::string key, uint64_t expected_version, std::string value,
                             WriteOptions options, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key), expected_version, value = std::move(value),
                              options](Namespace& ns, const CancelToken&) {
      return internal::to_outcome(ns.compare_and_set(key, expected_version, value, options));
    });
  }

  // Whether it was there.
  template <internal::AsyncTokenFor<bool> Token = boost::asio::deferred_t>
  auto async_delete_key(std::string key, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key)](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.delete_key(key));
    });
  }
  template <internal::AsyncTokenFor<std::optional<Value>> Token = boost::asio::deferred_t>
  auto async_consume(std::string key, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key)](Namespace& ns, const CancelToken&) {
      return internal::to_optional(ns.consume(key));
    });
  }
  // Ok, NotFound, VersionMismatch.
  template <internal::AsyncTokenFor<StatusCode> Token = boost::asio::deferred_t>
  auto async_compare_and_delete(std::string key, uint64_t expected_version, Token&& token = {}) {
    return now<Token>(token,
                      [key = std::move(key), expected_version](Namespace& ns, const CancelToken&) {
                        return internal::to_code(ns.compare_and_delete(key, expected_version));
                      });
  }

  // --- Expiry ----------------------------------------------------------------------------------

  // How long it has left, nothing if it does not expire; NotFound.
  template <internal::AsyncTokenFor<Outcome<std::optional<std::chrono::milliseconds>>> Token =
                boost::asio::deferred_t>
  auto async_ttl(std::string key, Token&& token = {}) const {
    return now<Token>(token, [key = std::move(key)](Namespace& ns, const CancelToken&) {
      return internal::to_outcome(ns.ttl(key));
    });
  }
  // Ok, NotFound.
  template <internal::AsyncTokenFor<StatusCode> Token = boost::asio::deferred_t>
  auto async_touch(std::string key, WriteOptions options, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key), options](Namespace& ns, const CancelToken&) {
      return internal::to_code(ns.touch(key, options));
    });
  }
  template <internal::AsyncTokenFor<StatusCode> Token = boost::asio::deferred_t>
  auto async_touch(std::string key, std::chrono::milliseconds expire_after, Token&& token = {}) {
    return async_touch(std::move(key), WriteOptions{.expire_after = expire_after},
                       std::forward<Token>(token));
  }
  // Whether there was an expiry; NotFound.
  template <internal::AsyncTokenFor<Outcome<bool>> Token = boost::asio::deferred_t>
  auto async_persist(std::string key, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key)](Namespace& ns, const CancelToken&) {
      return internal::to_outcome(ns.persist(key));
    });
  }

  // --- Read, change, write ---------------------------------------------------------------------

  // By 1, where no `delta` is given.
  template <internal::AsyncTokenFor<int64_t> Token = boost::asio::deferred_t>
  auto async_increment(std::string key, Token&& token = {}) {
    return async_increment(std::move(key), 1, std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<int64_t> Token = boost::asio::deferred_t>
  auto async_increment(std::string key, int64_t delta, Token&& token = {}) {
    return async_increment(std::move(key), delta, CounterOptions(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<int64_t> Token = boost::asio::deferred_t>
  auto async_increment(std::string key, int64_t delta, CounterOptions options, Token&& token = {}) {
    return now<Token>(token,
                      [key = std::move(key), delta, options](Namespace& ns, const CancelToken&) {
                        return internal::to_async(ns.increment(key, delta, options));
                      });
  }
  template <internal::AsyncTokenFor<int64_t> Token = boost::asio::deferred_t>
  auto async_decrement(std::string key, Token&& token = {}) {
    return async_decrement(std::move(key), 1, std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<int64_t> Token = boost::asio::deferred_t>
  auto async_decrement(std::string key, int64_t delta, Token&& token = {}) {
    return async_decrement(std::move(key), delta, CounterOptions(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<int64_t> Token = boost::asio::deferred_t>
  auto async_decrement(std::string key, int64_t delta, CounterOptions options, Token&& token = {}) {
    return now<Token>(token,
                      [key = std::move(key), delta, options](Namespace& ns, const CancelToken&) {
                        return internal::to_async(ns.decrement(key, delta, options));
                      });
  }

  // The value that it has now. `change` runs with the lock of the key's shard held, as it does for
  // Namespace::transform: in the initiating function or, where it would have had to wait, on a
  // worker thread, and never at the same time as its copies in this operation. It may be called
  // more than once, then the last call alone counts, and not at all. What it throws is Internal,
  // and nothing has changed; the message says what() (see with_status).
  template <internal::AsyncTokenFor<std::optional<Value>> Token = boost::asio::deferred_t>
  auto async_transform(std::string key, Namespace::TransformFunction change, Token&& token = {}) {
    return now<Token>(token, [key = std::move(key), change = std::move(change)](
                                 Namespace& ns, const CancelToken&) {
      return internal::to_async(internal::AsyncAccess::transform(ns, key, change));
    });
  }

  // --- Many keys -------------------------------------------------------------------------------
  // Short batches, of some 100 items, run at once, others on a worker thread. The result is given
  // together with an error too: its items say which of them were wrong.

  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_get_multiple(std::vector<std::string> keys, BatchMode mode, Token&& token = {}) const {
    return batch<Token>(token,
                        internal::AsyncKeyReads{&Namespace::get_multiple, std::move(keys), mode});
  }
  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_exists_multiple(std::vector<std::string> keys, BatchMode mode,
                             Token&& token = {}) const {
    return batch<Token>(
        token, internal::AsyncKeyReads{&Namespace::exists_multiple, std::move(keys), mode});
  }
  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_set_multiple(AsyncItems items, BatchMode mode, Token&& token = {}) {
    return async_set_multiple(std::move(items), mode, WriteOptions(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_set_multiple(AsyncItems items, BatchMode mode, WriteOptions options,
                          Token&& token = {}) {
    return batch<Token>(
        token, internal::AsyncItemBatch{&Namespace::set_multiple, std::move(items), mode, options});
  }
  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_update_multiple(AsyncItems items, BatchMode mode, Token&& token = {}) {
    return async_update_multiple(std::move(items), mode, WriteOptions(),
                                 std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_update_multiple(AsyncItems items, BatchMode mode, WriteOptions options,
                             Token&& token = {}) {
    return batch<Token>(token, internal::AsyncItemBatch{&Namespace::update_multiple,
                                                        std::move(items), mode, options});
  }
  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_delete_multiple(std::vector<std::string> keys, BatchMode mode, Token&& token = {}) {
    return batch<Token>(
        token, internal::AsyncKeyWrites{&Namespace::delete_multiple, std::move(keys), mode});
  }
  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_consume_multiple(std::vector<std::string> keys, BatchMode mode, Token&& token = {}) {
    return batch<Token>(
        token, internal::AsyncKeyWrites{&Namespace::consume_multiple, std::move(keys), mode});
  }
  // Copies the bytes that the batch views, before this returns.
  template <internal::AsyncTokenFor<BatchResult> Token = boost::asio::deferred_t>
  auto async_apply(const AtomicBatch& atomic_batch, Token&& token = {}) {
    return batch<Token>(token, internal::AsyncAtomicBatch(atomic_batch));
  }

  template <internal::AsyncTokenFor<std::vector<std::string>> Token = boost::asio::deferred_t>
  auto async_list_keys(Token&& token = {}) const {
    return in_background<Token>(token, [](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.list_keys());
    });
  }
  template <internal::AsyncTokenFor<AsyncScan> Token = boost::asio::deferred_t>
  auto async_scan(Token&& token = {}) const {
    return async_scan(ScanOptions(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<AsyncScan> Token = boost::asio::deferred_t>
  auto async_scan(ScanOptions options, Token&& token = {}) const {
    return now<Token>(token,
                      [options = std::move(options), target = target_](
                          Namespace& ns, const CancelToken&) -> internal::AsyncResult<AsyncScan> {
                        auto scan = ns.scan(options);
                        if (!scan.ok()) return {scan.status(), {}};
                        AsyncScan walk;
                        walk.walk_ = std::make_shared<AsyncScan::Walk>(*std::move(scan));
                        walk.target_ = target;
                        return {Status(), std::move(walk)};
                      });
  }
  template <internal::AsyncTokenFor<uint64_t> Token = boost::asio::deferred_t>
  auto async_delete_prefix(std::string prefix, Token&& token = {}) {
    return in_background<Token>(token,
                                [prefix = std::move(prefix)](Namespace& ns, const CancelToken&) {
                                  return internal::to_async(ns.delete_prefix(prefix));
                                });
  }
  template <internal::AsyncTokenFor<uint64_t> Token = boost::asio::deferred_t>
  auto async_clear(Token&& token = {}) {
    return in_background<Token>(
        token, [](Namespace& ns, const CancelToken&) { return internal::to_async(ns.clear()); });
  }

  // --- Limits and shards -----------------------------------------------------------------------

  template <internal::AsyncTokenFor<NamespaceConfig> Token = boost::asio::deferred_t>
  auto async_get_config(Token&& token = {}) const {
    return in_background<Token>(token, [](Namespace& ns, const CancelToken&) {
      return internal::AsyncResult<NamespaceConfig>{Status(), ns.get_config()};
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_set_max_keys(uint64_t max_keys, Token&& token = {}) {
    return in_background<Token>(token, [max_keys](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.set_max_keys(max_keys));
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_set_max_bytes(uint64_t max_bytes, Token&& token = {}) {
    return in_background<Token>(token, [max_bytes](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.set_max_bytes(max_bytes));
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_set_max_value_size(uint64_t max_value_size, Token&& token = {}) {
    return in_background<Token>(token, [max_value_size](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.set_max_value_size(max_value_size));
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_set_lock_timeout(std::chrono::milliseconds lock_timeout, Token&& token = {}) {
    return in_background<Token>(token, [lock_timeout](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.set_lock_timeout(lock_timeout));
    });
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_update_config(NamespaceConfig config, Token&& token = {}) {
    return in_background<Token>(token, [config](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.update_config(config));
    });
  }
  // Cancelled, it moves everything back. `progress` is called on a worker thread.
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_resize_shards(uint32_t shard_count, Token&& token = {}) {
    return async_resize_shards(shard_count, ProgressHook(), std::forward<Token>(token));
  }
  template <internal::AsyncTokenFor<> Token = boost::asio::deferred_t>
  auto async_resize_shards(uint32_t shard_count, ProgressHook progress, Token&& token = {}) {
    return in_background<Token>(token, [shard_count, progress = std::move(progress)](
                                           Namespace& ns, const CancelToken& cancel) {
      return internal::to_async(ns.resize_shards(shard_count, {progress, cancel}));
    });
  }

  // --- Figures ---------------------------------------------------------------------------------

  template <internal::AsyncTokenFor<NamespaceStats> Token = boost::asio::deferred_t>
  auto async_metadata(Token&& token = {}) const {
    return in_background<Token>(
        token, [](Namespace& ns, const CancelToken&) { return internal::to_async(ns.metadata()); });
  }
  template <internal::AsyncTokenFor<std::vector<ShardStats>> Token = boost::asio::deferred_t>
  auto async_shard_stats(Token&& token = {}) const {
    return in_background<Token>(token, [](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.shard_stats());
    });
  }
  template <internal::AsyncTokenFor<std::vector<uint64_t>> Token = boost::asio::deferred_t>
  auto async_shard_key_counts(Token&& token = {}) const {
    return in_background<Token>(token, [](Namespace& ns, const CancelToken&) {
      return internal::to_async(ns.shard_key_counts());
    });
  }

 private:
  template <typename Token, typename Function>
  auto now(std::remove_reference_t<Token>& token, Function function) const {
    return internal::initiate_async<internal::AsyncRoute::kNow, Token>(token, target_,
                                                                       std::move(function));
  }
  template <typename Token, typename Function>
  auto batch(std::remove_reference_t<Token>& token, Function function) const {
    return internal::initiate_async<internal::AsyncRoute::kIfShort, Token>(token, target_,
                                                                           std::move(function));
  }
  template <typename Token, typename Function>
  auto in_background(std::remove_reference_t<Token>& token, Function function) const {
    return internal::initiate_async<internal::AsyncRoute::kLong, Token>(token, target_,
                                                                        std::move(function));
  }

  internal::AsyncTarget<Namespace> target_;
};

}  // namespace rkvs

#endif  // RKVS_ASYNC_NAMESPACE_H_
