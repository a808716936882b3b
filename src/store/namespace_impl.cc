#include "store/namespace_impl.h"

#include <algorithm>
#include <tuple>

#include "store/byte_charge.h"
#include "store/reclaimed.h"

namespace rkvs::internal {
namespace {

uint64_t next_id() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

// How often a limit is tried again because entries expired meanwhile.
constexpr int kLimitTries = 3;
// Which of two limits refused a write: the manager's, if it has less than this left.
constexpr uint64_t kNearLimit = 64 * 1024;

uint64_t largest_value(const NamespaceConfig& config) {
  return config.max_value_size == 0 ? kLargestValueSize : config.max_value_size;
}

// What operations must not exceed.
std::tuple<uint64_t, uint64_t, uint64_t, uint64_t> limits_of(const NamespaceConfig& config) {
  return {config.max_keys, config.max_value_size, config.max_key_size, config.max_bytes};
}

uint32_t automatic_shard_count(uint64_t keys) {
  // Shards differ in size by some 20 %: leave room, so that loading does not end in a resize.
  for (const uint32_t count : kAutomaticShardCounts) {
    if (keys / count <= Resizer::kSplitThreshold * 3 / 4) return count;
  }
  return kAutomaticShardCounts.back();
}

// The length of the UTF-8 sequence at the front of `text`, 0 if there is none. Well-formed
// sequences as in Table 3-7 of the Unicode Standard.
size_t utf8_sequence(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](size_t i, unsigned char low, unsigned char high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned char low = lead == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
    const unsigned char high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
    return continues(1, low, high) && continues(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned char low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xF4 ? 0x8F : 0xBF;
    return continues(1, low, high) && continues(2, 0x80, 0xBF) && continues(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

bool is_control(std::string_view sequence) {
  const auto lead = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return lead < 0x20 || lead == 0x7F;
  // U+0080 to U+009F.
  return sequence.size() == 2 && lead == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;
}

}  // namespace

Status validate_config(const NamespaceConfig& config) {
  if (config.shard_count > kMaxShardCount) {
    return make_error(StatusCode::kInvalidArgument, "shard_count ", config.shard_count,
                      " is above the limit of ", kMaxShardCount);
  }
  if (config.max_value_size > kLargestValueSize) {
    return make_error(StatusCode::kInvalidArgument, "max_value_size ", config.max_value_size,
                      " is above the limit of ", kLargestValueSize, " bytes");
  }
  if (config.max_key_size < 1 || config.max_key_size > kLargestMaxKeySize) {
    return make_error(StatusCode::kInvalidArgument, "max_key_size ", config.max_key_size,
                      " is not within 1 and ", kLargestMaxKeySize, " bytes");
  }
  if (config.lock_timeout < kMinLockTimeout || config.lock_timeout > kMaxLockTimeout) {
    return make_error(StatusCode::kInvalidArgument, "lock_timeout ", config.lock_timeout.count(),
                      " ms is not within ", kMinLockTimeout.count(), " and ",
                      kMaxLockTimeout.count(), " ms");
  }
  return Status();
}

Status validate_namespace_name(std::string_view name) {
  if (name.empty())
    return make_error(StatusCode::kInvalidName, "a namespace name may not be empty");
  if (name.size() > kMaxNamespaceNameSize) {
    return make_error(StatusCode::kInvalidName, "the namespace name \"", name.substr(0, 32),
                      "...\" has ", name.size(), " bytes; the limit is ", kMaxNamespaceNameSize);
  }
  for (size_t i = 0; i < name.size();) {
    const size_t size = utf8_sequence(name.substr(i));
    if (size == 0) {
      return make_error(StatusCode::kInvalidName, "the namespace name is not UTF-8 at byte ", i);
    }
    if (is_control(name.substr(i, size))) {
      return make_error(StatusCode::kInvalidName,
                        "the namespace name has a control character at byte ", i);
    }
    i += size;
  }
  return Status();
}

Result<std::shared_ptr<NamespaceImpl>> NamespaceImpl::create(std::string_view name,
                                                             const NamespaceConfig& config,
                                                             uint64_t expected_keys,
                                                             const KeyHash& hash,
                                                             const TimeSource& time) {
  uint32_t count = config.shard_count;
  if (count == 0) {
    if (!build_automatic_route_tables()) return StatusCode::kNoMemory;
    count = automatic_shard_count(expected_keys);
  }
  auto shards = ShardSet::create(count, hash);
  if (!shards.ok()) return shards.status();
  try {
    return std::shared_ptr<NamespaceImpl>(
        new NamespaceImpl(name, config, *std::move(shards), time));
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  }
}

NamespaceImpl::NamespaceImpl(std::string_view name, const NamespaceConfig& config,
                             std::unique_ptr<ShardSet> shards, const TimeSource& time)
    : name_(name),
      id_(next_id()),
      shards_(std::move(shards)),
      resizer_(*shards_, usage_, config.shard_count == 0),
      time_(time),
      config_(config) {
  store_limits(config);
  usage_.set_limit(config.max_keys, 0);
  usage_.set_byte_limit(config.max_bytes, 0);
}

void NamespaceImpl::store_limits(const NamespaceConfig& config) {
  lock_timeout_.store(std::chrono::nanoseconds(config.lock_timeout).count(),
                      std::memory_order_relaxed);
  max_key_size_.store(config.max_key_size, std::memory_order_relaxed);
  largest_value_.store(largest_value(config), std::memory_order_relaxed);
}

Status NamespaceImpl::error(StatusCode code) const {
  switch (code) {
    case StatusCode::kTimeout:
      return make_error(code, "namespace \"", name_, "\": the lock_timeout of ",
                        lock_timeout_.load(std::memory_order_relaxed) / 1'000'000,
                        " ms passed while waiting for other operations");
    case StatusCode::kNamespaceDeleted:
      return make_error(code, "namespace \"", name_, "\" was deleted");
    case StatusCode::kClosed:
      return make_error(code, "namespace \"", name_, "\": its manager is closed");
    case StatusCode::kTooManyKeys:
      return make_error(code, "namespace \"", name_, "\" holds max_keys = ", usage_.max_keys(),
                        " keys already");
    case StatusCode::kMemoryLimit: return memory_error();
    case StatusCode::kKeyTooLarge:
      return make_error(code, "a key is larger than max_key_size = ",
                        max_key_size_.load(std::memory_order_relaxed), " bytes");
    case StatusCode::kValueTooLarge:
      return make_error(code, "a value is larger than the limit of ",
                        largest_value_.load(std::memory_order_relaxed), " bytes");
    case StatusCode::kWouldDeadlock:
      return make_error(code, "called by the function of a transform, which holds a lock");
    case StatusCode::kNotANumber:
      return make_error(code, "the value is not a decimal number that fits 64 bits");
    case StatusCode::kOverflow: return make_error(code, "the sum would not fit 64 bits");
    case StatusCode::kCancelled: return OperationMonitor::cancelled("the resize");
    case StatusCode::kBusy:
      return make_error(code, "namespace \"", name_, "\" is being resized already");
    default: return Status(code);
  }
}

Status NamespaceImpl::memory_error() const {
  const uint64_t own = usage_.max_bytes();
  const Budget* shared = usage_.shared();
  if (shared != nullptr && shared->limit() != 0 && shared->headroom() < kNearLimit) {
    return make_error(StatusCode::kMemoryLimit, "all namespaces together take ", shared->used(),
                      " bytes; the manager's max_bytes is ", shared->limit());
  }
  return make_error(StatusCode::kMemoryLimit, "namespace \"", name_,
                    "\" has no room for this within max_bytes = ", own);
}

Status NamespaceImpl::key_error(std::string_view key) const {
  if (shards_->routing().is_closed()) return error(shards_->closed_code());
  return make_error(StatusCode::kKeyTooLarge, "a key of ", key.size(), " bytes; max_key_size is ",
                    max_key_size_.load(std::memory_order_relaxed));
}

Status NamespaceImpl::value_error(std::string_view value) const {
  if (shards_->routing().is_closed()) return error(shards_->closed_code());
  return make_error(StatusCode::kValueTooLarge, "a value of ", value.size(),
                    " bytes; the limit is ", largest_value_.load(std::memory_order_relaxed));
}

NamespaceConfig NamespaceImpl::get_config() const {
  const MutexLock lock(config_mutex_);
  return config_;
}

template <typename Change>
Status NamespaceImpl::change_config(Change change) {
  Deadline limit = deadline();
  if (!config_mutex_.lock_until(limit)) return error(StatusCode::kTimeout);
  NamespaceConfig config = config_;
  change(config);
  Status status = apply_config(config, limit);
  config_mutex_.unlock();
  return status;
}

Status NamespaceImpl::apply_config(const NamespaceConfig& config, Deadline& limit) {
  if (shards_->routing().is_closed()) return error(shards_->closed_code());
  if (Status status = validate_config(config); !status.ok()) return status;
  if (limits_of(config) == limits_of(config_)) {
    store_limits(config);
  } else {
    for (int tries = 0;; ++tries) {
      OperationTime time(time_);
      reclaim_expired(time, limit);
      Status status = set_limits(config, limit);
      // What has expired since must not be in the way; but do not chase what expires all the time.
      time.reset();
      const bool again = has_expiries() && tries < kLimitTries && next_expiry() <= time.now();
      if (status.ok()) break;
      if (status.code() != StatusCode::kLimitBelowUse || !again) return status;
    }
  }
  config_ = config;
  return Status();
}

Status NamespaceImpl::set_limits(const NamespaceConfig& config, Deadline& limit) {
  {
    // With every shard held, so that nothing that was allowed before is stored after.
    const AllLock<Access::kWrite> all(*shards_, limit);
    if (!all.held()) return error(all.code());
    const ShardUsage used = sum(all);
    const uint64_t keys = used.keys;
    if (config.max_keys != 0 && config.max_keys < keys) {
      return make_error(StatusCode::kLimitBelowUse, "max_keys ", config.max_keys, " is below the ",
                        keys, " keys that namespace \"", name_, "\" holds");
    }
    if (config.max_bytes != 0 && config.max_bytes < used.memory_bytes) {
      return make_error(StatusCode::kLimitBelowUse, "max_bytes ", config.max_bytes,
                        " is below the ", used.memory_bytes, " bytes that namespace \"", name_,
                        "\" takes");
    }
    usage_.set_limit(config.max_keys, keys);
    usage_.set_byte_limit(config.max_bytes, used.memory_bytes);
    store_limits(config);
  }
  return Status();
}

Status NamespaceImpl::set_max_keys(uint64_t max_keys) {
  return change_config([=](NamespaceConfig& config) { config.max_keys = max_keys; });
}

Status NamespaceImpl::set_max_value_size(uint64_t max_value_size) {
  return change_config([=](NamespaceConfig& config) { config.max_value_size = max_value_size; });
}

Status NamespaceImpl::set_max_bytes(uint64_t max_bytes) {
  return change_config([=](NamespaceConfig& config) { config.max_bytes = max_bytes; });
}

Status NamespaceImpl::set_lock_timeout(std::chrono::milliseconds lock_timeout) {
  return change_config([=](NamespaceConfig& config) { config.lock_timeout = lock_timeout; });
}

Status NamespaceImpl::update_config(const NamespaceConfig& config) {
  if (is_called_back()) return error(StatusCode::kWouldDeadlock);
  // The resize is claimed first, so that it cannot be refused when the rest is applied already.
  if (!resizer_.claim()) return error(StatusCode::kBusy);
  Status status = change_config([&](NamespaceConfig& present) {
    const uint32_t shard_count = present.shard_count;
    present = config;
    if (config.shard_count <= kMaxShardCount) present.shard_count = shard_count;
  });
  if (status.ok()) status = resize_claimed(config.shard_count, {});
  resizer_.unclaim();
  return status;
}

Status NamespaceImpl::resize_shards(uint32_t shard_count, const OperationOptions& options) {
  if (is_called_back()) return error(StatusCode::kWouldDeadlock);
  if (shards_->routing().is_closed()) return error(shards_->closed_code());
  NamespaceConfig asked;
  asked.shard_count = shard_count;
  if (Status status = validate_config(asked); !status.ok()) return status;
  if (!resizer_.claim()) return error(StatusCode::kBusy);
  Status status = resize_claimed(shard_count, options);
  resizer_.unclaim();
  return status;
}

Status NamespaceImpl::resize_claimed(uint32_t shard_count, const OperationOptions& options) {
  if (shard_count == 0 && !build_automatic_route_tables()) return StatusCode::kNoMemory;
  OperationMonitor monitor(options);
  const StatusCode code = resizer_.resize(shard_count, monitor);
  if (code != StatusCode::kOk && !resizer_.is_moving_to(shard_count)) return error(code);
  {
    const MutexLock lock(config_mutex_);
    config_.shard_count = shard_count;
  }
  return code == StatusCode::kOk ? Status() : error(code);
}

Result<NamespaceStats> NamespaceImpl::stats() try {
  NamespaceStats stats;
  stats.name = name_;
  Deadline limit = deadline();
  OperationTime time(time_);
  reclaim_expired(time, limit);
  const AllLock<Access::kRead> all(*shards_, limit);
  if (!all.held()) return error(all.code());
  time.reset();
  // What has expired since is counted for nobody.
  const ShardUsage usage = has_expiries() ? live_sum(all, time.now()) : sum(all);
  stats.key_count = usage.keys;
  stats.total_size = usage.value_bytes;
  stats.memory_bytes = usage.memory_bytes;
  stats.shard_count = shards_->routing().shard_count();
  const ReadCounts reads = reads_.sum();
  stats.hits = reads.hits;
  stats.misses = reads.misses;
  for (uint32_t i = 0; i < shards_->constructed(); ++i) {
    const Shard& shard = (*shards_)[i];
    const Shard::Visits visits = shard.visits();
    stats.sets += shard.sets();
    stats.deletes += shard.deletes();
    stats.expired += shard.expired();
    stats.rejected += visits.rejected;
    stats.timeouts += visits.timeouts;
    stats.lock_waits += visits.lock_waits;
  }
  return stats;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

Result<std::vector<ShardStats>> NamespaceImpl::shard_stats() try {
  Deadline limit = deadline();
  OperationTime time(time_);
  reclaim_expired(time, limit);
  std::vector<ShardStats> list;
  list.reserve(kMaxShardCount);
  const AllLock<Access::kRead> all(*shards_, limit);
  if (!all.held()) return error(all.code());
  const uint32_t count = std::min(all.count(), shards_->routing().shard_count());
  time.reset();
  for (uint32_t i = 0; i < count; ++i) {
    const Shard& shard = (*shards_)[i];
    shard.mutex.assert_held_shared();
    const ShardUsage usage = has_expiries() ? shard.live_usage(time.now()) : shard.usage();
    const Shard::Visits visits = shard.visits();
    list.push_back({usage.keys, usage.value_bytes, usage.memory_bytes, visits.hits, visits.misses,
                    shard.sets(), shard.deletes(), shard.expired(), visits.rejected,
                    visits.timeouts, visits.lock_waits});
  }
  return list;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

void NamespaceImpl::count_refusal(StatusCode code, std::string_view key) const {
  switch (code) {
    case StatusCode::kTooManyKeys:
    case StatusCode::kMemoryLimit:
    case StatusCode::kKeyTooLarge:
    case StatusCode::kValueTooLarge: break;
    default: return;
  }
  // A key that is too large is not even hashed: the shard of the empty key stands for all of them.
  if (code == StatusCode::kKeyTooLarge) key = "";
  const uint32_t shard = shards_->routing().shard_of(bucket_of(shards_->hashed(key).hash));
  if (shard != Routing::kNoShard) (*shards_)[shard].count_rejected();
}

uint64_t NamespaceImpl::reclaim_expired(OperationTime& time, Deadline& limit) {
  if (!has_expiries() || is_called_back()) return 0;
  if (!limit.may_wait()) {
    limit.give_up();
    return 0;
  }
  uint64_t reclaimed = 0;
  for (uint32_t i = 0; i < shards_->constructed(); ++i) {
    Shard& shard = (*shards_)[i];
    while (shard.next_expiry() <= time.now()) {
      Reclaimed gone;
      if (!lock_shard<Access::kWrite>(shard, limit)) return reclaimed;
      const HeldShard<Access::kWrite> lock(shard);
      shard.mutex.assert_held();
      // What a save still needs of a closed namespace is on nobody's account any more.
      if (shards_->routing().is_closed()) return reclaimed;
      const ByteCharge charge(usage_, shard);
      if (!shard.prepare_write(Reclaimed::kPerStep)) break;
      gone.step(usage_, shard, time, Reclaimed::kPerStep);
      reclaimed += gone.size();
    }
  }
  return reclaimed;
}

bool NamespaceImpl::reclaim_for_room(OperationTime& time, Deadline& limit, StatusCode refusal,
                                     uint64_t keys) {
  const Budget* shared = usage_.shared();
  const bool by_all = refusal == StatusCode::kMemoryLimit && shared != nullptr &&
                      shared->limit() != 0 && on_full_ && !is_called_back();
  if (!has_expiries() && !by_all) return false;
  if (!limit.may_wait()) {
    limit.give_up();
    return false;
  }
  time.reset();
  if (reclaim_expired(time, limit) != 0) return true;
  // Somebody else may have been faster.
  if (refusal == StatusCode::kTooManyKeys) return usage_.headroom() > keys;
  if (!by_all) return false;
  const uint64_t before = shared->used();
  on_full_(limit);
  return shared->used() < before;
}

int64_t NamespaceImpl::next_expiry() const {
  int64_t next = ExpiryQueue::kNever;
  for (uint32_t i = 0; i < shards_->constructed(); ++i) {
    next = std::min(next, (*shards_)[i].next_expiry());
  }
  return next;
}

Result<uint64_t> NamespaceImpl::clear() try {
  std::vector<EntryTable> tables(kMaxShardCount);
  uint64_t removed = 0;
  {
    Deadline limit = deadline();
    OperationTime time(time_);
    reclaim_expired(time, limit);
    const AllLock<Access::kWrite> all(*shards_, limit);
    if (!all.held()) return error(all.code());
    for (uint32_t i = 0; i < all.count(); ++i) {
      Shard& shard = (*shards_)[i];
      shard.mutex.assert_held();
      if (!shard.prepare_write(shard.size())) return StatusCode::kNoMemory;
    }
    time.reset();
    removed = has_expiries() ? live_sum(all, time.now()).keys : sum(all).keys;
    for (uint32_t i = 0; i < all.count(); ++i) {
      Shard& shard = (*shards_)[i];
      shard.mutex.assert_held();
      const ByteCharge charge(usage_, shard);
      usage_.release(shard.size());
      shard.clear_into(tables[i]);
    }
  }
  for (EntryTable& table : tables) {
    table.for_each([](Entry* entry) { entry->release(); });
    table.reset();
  }
  TableMemory::free_dropped();
  return removed;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

uint64_t NamespaceImpl::changes() const {
  // Shards that were retired keep their count, and those that were never used have none.
  uint64_t changes = 0;
  for (uint32_t i = 0; i < shards_->constructed(); ++i) {
    changes += (*shards_)[i].sets() + (*shards_)[i].deletes();
  }
  return changes;
}

uint64_t NamespaceImpl::entry_bytes() const {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < shards_->constructed(); ++i) {
    const ReaderLock lock((*shards_)[i].mutex);
    bytes += (*shards_)[i].entry_memory();
  }
  return bytes;
}

bool NamespaceImpl::share_budget(std::shared_ptr<Budget> budget, bool even_if_it_does_not_fit) {
  Deadline never = Deadline::never();
  const AllLock<Access::kWrite> all(*shards_, never);
  const uint64_t memory = sum(all).memory_bytes;
  if (even_if_it_does_not_fit) {
    budget->charge(static_cast<int64_t>(memory));
  } else if (!budget->reserve(memory)) {
    return false;
  }
  usage_.share(std::move(budget));
  return true;
}

void NamespaceImpl::end(StatusCode code) {
  resizer_.close(code);
  return_bytes();
}

void NamespaceImpl::return_bytes() {
  // Nobody changes it any more: what it takes, others may have.
  if (closed_.exchange(true) || !usage_.counts_bytes()) return;
  int64_t memory = 0;
  for (uint32_t i = 0; i < shards_->constructed(); ++i) {
    const ReaderLock lock((*shards_)[i].mutex);
    memory += static_cast<int64_t>((*shards_)[i].memory());
  }
  usage_.charge_bytes(-memory);
}

}  // namespace rkvs::internal
