// What a Namespace handle points to.
#ifndef RKVS_STORE_NAMESPACE_IMPL_H_
#define RKVS_STORE_NAMESPACE_IMPL_H_

#include <rkvs/namespace.h>
#include <rkvs/options.h>
#include <rkvs/stats.h>
#include <rkvs/status.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/key_hash.h"
#include "base/time_source.h"
#include "store/entry.h"
#include "store/namespace_metrics.h"
#include "store/read_counters.h"
#include "store/resizer.h"
#include "store/shard_set.h"
#include "store/usage.h"

namespace rkvs::internal {

class Executor;

// InvalidArgument unless every field is within its range.
Status validate_config(const NamespaceConfig& config);

// InvalidName unless `name` is 1 to 128 bytes of UTF-8 without control characters.
Status validate_namespace_name(std::string_view name);

class NamespaceImpl {
 public:
  ~NamespaceImpl() { return_bytes(); }
  NamespaceImpl(const NamespaceImpl&) = delete;
  NamespaceImpl& operator=(const NamespaceImpl&) = delete;

  // `name` and `config` are valid. With an automatic shard count it begins with as many shards as
  // `expected_keys` will need. NoMemory.
  static Result<std::shared_ptr<NamespaceImpl>> create(std::string_view name,
                                                       const NamespaceConfig& config,
                                                       uint64_t expected_keys = 0,
                                                       const KeyHash& hash = KeyHash::of_process(),
                                                       const TimeSource& time = TimeSource::real());

  static Namespace handle(std::shared_ptr<NamespaceImpl> impl) {
    return Namespace(std::move(impl));
  }
  static NamespaceImpl& of(const Namespace& handle) { return *handle.impl_; }

  const std::string& name() const { return name_; }
  // Grows with each namespace of the process: the order in which several are locked.
  uint64_t id() const { return id_; }
  ShardSet& shards() { return *shards_; }
  Resizer& resizer() { return resizer_; }
  Usage& usage() { return usage_; }
  const TimeSource& time() const { return time_; }

  Deadline deadline() const {
    return Deadline(std::chrono::nanoseconds(lock_timeout_.load(std::memory_order_relaxed)),
                    metrics_ == nullptr ? nullptr : &metrics_->lock_wait);
  }

  // Measures durations, and reads by shard, from now on. Before anybody else has the namespace.
  // Throws std::bad_alloc.
  void enable_metrics() { metrics_ = std::make_unique<NamespaceMetrics>(); }
  const NamespaceMetrics* metrics() const { return metrics_.get(); }
  // For a HistogramTimer: nullptr where nothing is measured.
  Histogram* histogram(OperationKind kind) const {
    return metrics_ == nullptr ? nullptr : &metrics_->operations[static_cast<size_t>(kind)];
  }
  ReadCounters& reads() { return reads_; }
  void count_read(Shard& shard, bool found) {
    reads_.count(found);
    if (metrics_ != nullptr) shard.count_reads(found ? 1 : 0, found ? 0 : 1);
  }
  // Notes that a limit refused a write of this key, if `code` says so.
  void count_refusal(StatusCode code, std::string_view key) const;

  // Ok, KeyTooLarge or ValueTooLarge. The codes alone are for batches, which check every item.
  StatusCode check_key(std::string_view key) const {
    return key.size() <= max_key_size_.load(std::memory_order_relaxed) ? StatusCode::kOk
                                                                       : StatusCode::kKeyTooLarge;
  }
  StatusCode check_value(std::string_view value) const {
    return value.size() <= largest_value_.load(std::memory_order_relaxed)
               ? StatusCode::kOk
               : StatusCode::kValueTooLarge;
  }

  // Both, and again with the shard's lock held: a limit only shrinks while all shards are held.
  Status check_sizes(std::string_view key, std::string_view value) const {
    if (check_key(key) != StatusCode::kOk) return key_error(key);
    if (check_value(value) != StatusCode::kOk) return value_error(value);
    return Status();
  }

  // A status with a message for a code that an operation met.
  Status error(StatusCode code) const;
  Status memory_error() const;
  Status key_error(std::string_view key) const;
  Status value_error(std::string_view value) const;

  NamespaceConfig get_config() const;
  Status set_max_keys(uint64_t max_keys);
  Status set_max_value_size(uint64_t max_value_size);
  Status set_max_bytes(uint64_t max_bytes);
  Status set_lock_timeout(std::chrono::milliseconds lock_timeout);
  Status update_config(const NamespaceConfig& config);
  Status resize_shards(uint32_t shard_count, const OperationOptions& options);

  // Removes everything; returns how many keys there were.
  Result<uint64_t> clear();
  Result<NamespaceStats> stats();
  Result<std::vector<ShardStats>> shard_stats();
  // How many times an entry was written or removed since the namespace was made. Only grows; takes
  // no lock.
  uint64_t changes() const;

  // Whether there ever was an entry that expires.
  bool has_expiries() const { return has_expiries_.load(std::memory_order_relaxed); }
  // To be called before one is put in. The first time, the hook is called; without a lock held.
  void note_expiries() {
    if (expiries_noted_.load(std::memory_order_relaxed)) [[likely]]
      return;
    has_expiries_.store(true, std::memory_order_relaxed);
    if (!on_expiries_ || on_expiries_()) expiries_noted_.store(true, std::memory_order_relaxed);
  }
  // What the manager does for its namespaces; both are called without a lock held, and must not
  // throw. Set before anybody else has the namespace.
  //   on_expiries: there are entries that expire; false if it should be told again.
  //   on_full: reclaims what has expired in all namespaces.
  void set_hooks(std::function<bool()> on_expiries, std::function<void(Deadline&)> on_full) {
    on_expiries_ = std::move(on_expiries);
    on_full_ = std::move(on_full);
  }
  // Where its manager runs asynchronous operations; nullptr without a manager. Nothing in here uses
  // it. Set before anybody else has the namespace.
  void set_executor(std::shared_ptr<Executor> executor) { executor_ = std::move(executor); }
  const std::shared_ptr<Executor>& executor() const { return executor_; }
  std::chrono::nanoseconds lock_timeout() const {
    return std::chrono::nanoseconds(lock_timeout_.load(std::memory_order_relaxed));
  }
  // Takes out every entry whose time has come, some at a time, as far as the deadline allows.
  // Returns how many there were.
  uint64_t reclaim_expired(OperationTime& time, Deadline& limit);
  // For an operation that a limit refused, without a lock held: whether it may try again, because
  // there is room now that there was not. `keys`: how many more had fitted.
  bool reclaim_for_room(OperationTime& time, Deadline& limit, StatusCode refusal,
                        uint64_t keys = 0);
  // Puts the bytes of this namespace, which nobody else has yet, on the account of several
  // together. False when there is no room for them.
  bool share_budget(std::shared_ptr<Budget> budget, bool even_if_it_does_not_fit);
  // What its entries take, without tables. Of a namespace that nobody else has yet.
  uint64_t entry_bytes() const;
  // When the next entry expires, or ExpiryQueue::kNever.
  int64_t next_expiry() const;

  // What is in the shards, with all of them locked.
  template <Access kAccess>
  ShardUsage sum(const AllLock<kAccess>& all) const;

  // The same without what has expired by `now`. Throws std::bad_alloc.
  template <Access kAccess>
  ShardUsage live_sum(const AllLock<kAccess>& all, int64_t now) const;

  // Ends the namespace: every operation that begins from now on answers `code`; frees the data.
  void close(StatusCode code) {
    end(code);
    free_data();
  }
  // Its halves: the second one may take long.
  void end(StatusCode code);
  void free_data() { shards_->clear(); }

 private:
  NamespaceImpl(std::string_view name, const NamespaceConfig& config,
                std::unique_ptr<ShardSet> shards, const TimeSource& time);

  // Applies `change` to the configuration, shard_count aside, if what comes out is valid.
  template <typename Change>  // void(NamespaceConfig&)
  Status change_config(Change change);
  Status apply_config(const NamespaceConfig& config, Deadline& limit) RKVS_REQUIRES(config_mutex_);
  // LimitBelowUse, and what its locks meet.
  Status set_limits(const NamespaceConfig& config, Deadline& limit);
  // Takes this namespace off the account of bytes.
  void return_bytes();
  void store_limits(const NamespaceConfig& config);
  Status resize_claimed(uint32_t shard_count, const OperationOptions& options);

  const std::string name_;
  const uint64_t id_;
  std::unique_ptr<ShardSet> shards_;
  Usage usage_;
  Resizer resizer_;
  ReadCounters reads_;
  std::unique_ptr<NamespaceMetrics> metrics_;
  const TimeSource& time_;
  std::atomic<bool> has_expiries_{false};
  std::atomic<bool> closed_{false};
  std::atomic<bool> expiries_noted_{false};
  std::function<bool()> on_expiries_;
  std::function<void(Deadline&)> on_full_;
  std::shared_ptr<Executor> executor_;

  // Read by every operation, changed one at a time with config_mutex_ held.
  std::atomic<int64_t> lock_timeout_;  // nanoseconds
  std::atomic<uint64_t> max_key_size_;
  std::atomic<uint64_t> largest_value_;
  mutable Mutex config_mutex_;  // before any shard's lock
  NamespaceConfig config_ RKVS_GUARDED_BY(config_mutex_);
};

template <Access kAccess>
ShardUsage NamespaceImpl::sum(const AllLock<kAccess>& all) const {
  ShardUsage sum;
  for (uint32_t i = 0; i < all.count(); ++i) {
    const Shard& shard = (*shards_)[i];
    shard.mutex.assert_held_shared();
    const ShardUsage usage = shard.usage();
    sum.keys += usage.keys;
    sum.value_bytes += usage.value_bytes;
    sum.memory_bytes += usage.memory_bytes;
  }
  return sum;
}

template <Access kAccess>
ShardUsage NamespaceImpl::live_sum(const AllLock<kAccess>& all, int64_t now) const {
  ShardUsage sum;
  for (uint32_t i = 0; i < all.count(); ++i) {
    const Shard& shard = (*shards_)[i];
    shard.mutex.assert_held_shared();
    const ShardUsage usage = shard.live_usage(now);
    sum.keys += usage.keys;
    sum.value_bytes += usage.value_bytes;
    sum.memory_bytes += usage.memory_bytes;
  }
  return sum;
}

}  // namespace rkvs::internal

#endif  // RKVS_STORE_NAMESPACE_IMPL_H_
