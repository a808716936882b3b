// A namespace beside a ModelMap that does the same: the oracle of the fuzz targets.
#ifndef RKVS_FUZZ_CHECKED_NAMESPACE_H_
#define RKVS_FUZZ_CHECKED_NAMESPACE_H_

#include <rkvs/batch.h>
#include <rkvs/namespace.h>
#include <rkvs/options.h>
#include <rkvs/status.h>
#include <rkvs/value.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time_source.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/model_map.h"
#include "store/namespace_impl.h"

namespace rkvs::fuzz {

// Does every operation twice, on the namespace and on the map, and ends the process where what
// comes out differs. Values that were read are held for a while and have to stay what they were.
class CheckedNamespace {
 public:
  using Data = ModelMap::Data;
  using Texts = std::vector<std::string>;
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  // A namespace that was just created with this configuration, empty, whose time is `time`.
  CheckedNamespace(Namespace ns, const NamespaceConfig& config,
                   const internal::TimeSource& time = internal::TimeSource::real())
      : ns_(std::move(ns)),
        model_(config, time),
        shards_(config.shard_count == 0 ? kFirstAutomaticCount : config.shard_count) {}

  const Namespace& ns() const { return ns_; }
  const NamespaceConfig& config() const { return model_.config(); }
  const Data& data() const { return model_.data; }
  std::map<std::string, std::string> values() const {
    std::map<std::string, std::string> values;
    for (const auto& [key, entry] : data()) values[key] = entry.value;
    return values;
  }
  uint64_t total_size() const {
    return std::accumulate(
        data().begin(), data().end(), uint64_t{0},
        [](uint64_t sum, const auto& item) { return sum + item.second.value.size(); });
  }
  uint32_t shards() const { return shards_; }
  // 0 for a key that is absent.
  uint64_t version_of(const std::string& key) const {
    const auto it = data().find(key);
    return it == data().end() ? 0 : it->second.version;
  }

  // From now on every operation answers `code`.
  void close(StatusCode code) {
    closed_ = code;
    model_.data.clear();
  }
  // To be called whenever the time has changed.
  void time_passed() { model_.expire(); }
  // Goes on with another namespace that has the same content and configuration.
  void continue_with(Namespace other) {
    ns_ = std::move(other);
    shards_ = static_cast<uint32_t>(ns_.metadata()->shard_count);
    most_shards_ = std::max(most_shards_, shards_);
    learn_all();
  }

  // --- One key ---------------------------------------------------------------------------------

  void get(const std::string& key) {
    const Result<Value> result = ns_.get(key);
    expect(result.status(), find(key));
    if (result.ok()) hold(*result, data().at(key).value);
  }

  void exists(const std::string& key) {
    const Result<bool> result = ns_.exists(key);
    expect(result.status(), closed_.value_or(StatusCode::kOk));
    if (result.ok()) RKVS_FUZZ_CHECK(*result == data().contains(key));
  }

  void set(const std::string& key, const std::string& value, const WriteOptions& options = {}) {
    const auto result =
        options_are_default(options) ? ns_.set(key, value) : ns_.set(key, value, options);
    const auto old = written({.key = key, .value = value, .options = options}, result.status());
    if (!result.ok()) return;
    RKVS_FUZZ_CHECK(result->has_value() == old.has_value());
    if (old) hold(**result, *old);
  }

  void put(const std::string& key, const std::string& value, const WriteOptions& options = {}) {
    written({.key = key, .value = value, .options = options},
            options_are_default(options) ? ns_.put(key, value) : ns_.put(key, value, options));
  }

  void add(const std::string& key, const std::string& value, const WriteOptions& options = {}) {
    const Result<uint64_t> result = ns_.add(key, value, options);
    written({.key = key, .value = value, .when = ModelWrite::When::kAbsent, .options = options},
            result.status(), result.ok() ? *result : 0);
  }

  void update(const std::string& key, const std::string& value, const WriteOptions& options = {}) {
    const Result<Value> result = ns_.update(key, value, options);
    const auto old = written(
        {.key = key, .value = value, .when = ModelWrite::When::kPresent, .options = options},
        result.status());
    if (result.ok()) hold(*result, old.value());
  }

  void compare_and_set(const std::string& key, uint64_t version, const std::string& value,
                       const WriteOptions& options = {}) {
    const Result<uint64_t> result = ns_.compare_and_set(key, version, value, options);
    written({.key = key,
             .value = value,
             .when = ModelWrite::When::kPresent,
             .version = version,
             .options = options,
             .keeps_expiry = true},
            result.status(), result.ok() ? *result : 0);
  }

  void delete_key(const std::string& key) {
    const Result<bool> result = ns_.delete_key(key);
    expect(result.status(), closed_.value_or(StatusCode::kOk));
    if (result.ok()) RKVS_FUZZ_CHECK(*result == (model_.data.erase(key) != 0));
    learn(key);
  }

  void consume(const std::string& key) {
    const Result<Value> result = ns_.consume(key);
    expect(result.status(), find(key));
    if (!result.ok()) return;
    hold(*result, data().at(key).value);
    model_.data.erase(key);
    learn(key);
  }

  void compare_and_delete(const std::string& key, uint64_t version) {
    std::optional<std::string> old;
    expect(ns_.compare_and_delete(key, version),
           closed_ ? *closed_ : ModelMap::remove(model_.data, key, version, &old));
    learn(key);
  }

  void ttl(const std::string& key) {
    const auto result = ns_.ttl(key);
    expect(result.status(), find(key));
    if (!result.ok()) return;
    const auto left = model_.left(data().at(key));
    RKVS_FUZZ_CHECK(result->has_value() == left.has_value());
    if (left) RKVS_FUZZ_CHECK((*result)->count() == *left);
  }

  void touch(const std::string& key, const WriteOptions& options) {
    const bool valid = ModelMap::are_valid(options) && (options.expire_after || options.expire_at);
    const Status status = ns_.touch(key, options);
    if (is_refused_for_bytes(status.code(), key.size())) return learn(key);
    expect(status, valid ? find(key) : StatusCode::kInvalidArgument);
    if (!status.ok()) return;
    has_expiries_ = true;
    model_.data.at(key).expires_at = model_.expiry(options, false, 0);
    model_.expire();
    learn(key);
  }

  void persist(const std::string& key) {
    const Result<bool> result = ns_.persist(key);
    expect(result.status(), find(key));
    if (!result.ok()) return;
    RKVS_FUZZ_CHECK(*result == (std::exchange(model_.data.at(key).expires_at, 0) != 0));
    learn(key);
  }

  void increment(const std::string& key, int64_t delta, bool subtract = false,
                 const CounterOptions& options = {}) {
    const Result<int64_t> result =
        subtract ? ns_.decrement(key, delta, options) : ns_.increment(key, delta, options);
    std::optional<std::string> now;
    if (options.expire_after) has_expiries_ = true;
    if (!changed(result.status(), key, 20, [&](Data& data) {
          return model_.add(data, key, delta, subtract, options, &now);
        })) {
      return;
    }
    RKVS_FUZZ_CHECK(std::to_string(*result) == now.value());
  }

  // Makes `value` of whatever the key has.
  void transform(const std::string& key, const std::optional<std::string>& value) {
    std::optional<std::optional<std::string>> seen;
    const auto result = ns_.transform(key, [&](std::optional<std::string_view> present) {
      // Not by a conditional: g++ 12 takes its temporary for one that is not initialised.
      seen.emplace();
      if (present) seen->emplace(*present);
      return value;
    });
    const auto before = value_of(key);
    if (!changed(result.status(), key, value ? value->size() : 0, [&](Data& data) {
          if (value) return model_.put(data, key, *value, {});
          data.erase(key);
          return StatusCode::kOk;
        })) {
      return;
    }
    RKVS_FUZZ_CHECK(seen.has_value() && *seen == before);
    RKVS_FUZZ_CHECK(result->has_value() == value.has_value());
    if (value) hold(**result, *value);
  }

  // --- Batches ---------------------------------------------------------------------------------
  // An item acts when all before it have; an all-or-nothing batch in which one fails does nothing.

  void get_multiple(const Texts& keys, BatchMode mode) {
    check_batch(ns_.get_multiple(views(keys), mode), keys, mode, [&](Data&, size_t i) {
      return ModelItem{find(keys[i]), value_of(keys[i])};
    });
  }

  void exists_multiple(const Texts& keys, BatchMode mode) {
    const BatchResult result = ns_.exists_multiple(views(keys), mode);
    RKVS_FUZZ_CHECK(result.items.size() == keys.size());
    expect(result.status, closed_.value_or(StatusCode::kOk));
    for (size_t i = 0; i < keys.size(); ++i) RKVS_FUZZ_CHECK(result.items[i].code == find(keys[i]));
  }

  void set_multiple(const Pairs& items, BatchMode mode, const WriteOptions& options = {}) {
    write_multiple(items, mode, options, ModelWrite::When::kAlways);
  }
  void update_multiple(const Pairs& items, BatchMode mode, const WriteOptions& options = {}) {
    write_multiple(items, mode, options, ModelWrite::When::kPresent);
  }

  void delete_multiple(const Texts& keys, BatchMode mode) {
    check_batch(ns_.delete_multiple(views(keys), mode), keys, mode, [&](Data& data, size_t i) {
      std::optional<std::string> old;
      return ModelItem{ModelMap::remove(data, keys[i], {}, &old), std::nullopt};
    });
  }

  void consume_multiple(const Texts& keys, BatchMode mode) {
    check_batch(ns_.consume_multiple(views(keys), mode), keys, mode, [&](Data& data, size_t i) {
      ModelItem item;
      item.code = ModelMap::remove(data, keys[i], {}, &item.value);
      return item;
    });
  }

  void apply(const AtomicBatch& batch) {
    const auto& operations = batch.operations();
    Texts keys;
    bool valid = true;
    std::map<std::string_view, size_t> writers;  // the last operation that writes a key
    for (size_t i = 0; i < operations.size(); ++i) {
      using Op = AtomicBatch::Op;
      const auto& operation = operations[i];
      keys.emplace_back(operation.key);
      valid = valid && ModelMap::are_valid(operation.options);
      if (operation.options.expire_after || operation.options.expire_at) has_expiries_ = true;
      switch (operation.op) {
        case Op::kSet:
        case Op::kAdd:
        case Op::kUpdate:
        case Op::kCompareAndSet:
        case Op::kIncrement: writers[operation.key] = i; break;
        case Op::kDelete:
        case Op::kConsume:
        case Op::kCompareAndDelete: writers.erase(operation.key); break;
        default: break;
      }
    }
    const Room room = room_for(keys.size());
    const BatchResult result = ns_.apply(batch);
    if (!valid && !closed_) return check_refused(result, keys.size());
    check_batch(
        result, keys, BatchMode::kAllOrNothing,
        [&](Data& data, size_t i) { return model_.play(data, operations[i]); }, room);
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto writer = writers.find(keys[i]);
      const bool wrote = result.status.ok() && writer != writers.end() && writer->second == i;
      const uint64_t version = result.items[i].version;
      RKVS_FUZZ_CHECK((version != 0) == wrote);
      if (!wrote) continue;
      // What has expired already had a version all the same.
      const bool is_there = data().contains(keys[i]);
      RKVS_FUZZ_CHECK(is_there ? version == version_of(keys[i])
                               : version > last_versions_[keys[i]]);
      last_versions_[keys[i]] = version;
    }
  }

  // --- Many keys -------------------------------------------------------------------------------

  // Calls `between()` after each step.
  template <typename Between>
  void scan(const std::string& prefix, size_t limit, bool with_values, Between between) {
    Result<Scan> scan = ns_.scan({.prefix = prefix, .with_values = with_values});
    RKVS_FUZZ_CHECK(scan.ok());
    std::set<std::string> stays;
    for (const auto& [key, entry] : data()) {
      if (key.starts_with(prefix)) stays.insert(key);
    }
    std::set<std::string> seen;
    while (!scan->is_done()) {
      const auto items = scan->next(limit);
      expect(items.status(), closed_.value_or(StatusCode::kOk));
      if (!items.ok()) return;
      RKVS_FUZZ_CHECK(items->size() <= limit);
      for (const ScanItem& item : *items) {
        RKVS_FUZZ_CHECK(item.key.starts_with(prefix));
        RKVS_FUZZ_CHECK(seen.insert(item.key).second);
        RKVS_FUZZ_CHECK(item.value.has_value() == with_values);
        const auto it = data().find(item.key);
        if (it == data().end() || it->second.version != item.version) {
          // Replaced since the step that listed it.
          RKVS_FUZZ_CHECK(item.version <= last_versions_[item.key]);
        } else if (with_values) {
          hold(*item.value, it->second.value);
        }
      }
      between();
      std::erase_if(stays, [&](const auto& key) { return !data().contains(key); });
    }
    for (const std::string& key : stays) RKVS_FUZZ_CHECK(seen.contains(key));
    RKVS_FUZZ_CHECK(scan->next()->empty());
  }
  void scan(const std::string& prefix, size_t limit, bool with_values = true) {
    scan(prefix, limit, with_values, [] {});
  }

  void delete_prefix(const std::string& prefix) {
    const Result<uint64_t> removed = ns_.delete_prefix(prefix);
    expect(removed.status(), closed_.value_or(StatusCode::kOk));
    if (!removed.ok()) return;
    RKVS_FUZZ_CHECK(*removed == std::erase_if(model_.data, [&](const auto& item) {
      return item.first.starts_with(prefix);
    }));
  }

  void clear() {
    const Result<uint64_t> removed = ns_.clear();
    expect(removed.status(), closed_.value_or(StatusCode::kOk));
    if (!removed.ok()) return;
    RKVS_FUZZ_CHECK(*removed == data().size());
    model_.data.clear();
  }

  // --- Configuration ---------------------------------------------------------------------------

  void set_max_keys(uint64_t max_keys) {
    NamespaceConfig wanted = config();
    wanted.max_keys = max_keys;
    const uint64_t bytes = memory();
    expect_config(ns_.set_max_keys(max_keys), wanted, bytes);
  }
  void set_max_bytes(uint64_t max_bytes) {
    NamespaceConfig wanted = config();
    wanted.max_bytes = max_bytes;
    const uint64_t bytes = memory();
    expect_config(ns_.set_max_bytes(max_bytes), wanted, bytes);
  }
  void set_max_value_size(uint64_t size) {
    NamespaceConfig wanted = config();
    wanted.max_value_size = size;
    const uint64_t bytes = memory();
    expect_config(ns_.set_max_value_size(size), wanted, bytes);
  }
  void set_lock_timeout(std::chrono::milliseconds timeout) {
    NamespaceConfig wanted = config();
    wanted.lock_timeout = timeout;
    expect_config(ns_.set_lock_timeout(timeout), wanted);
  }
  void resize_shards(uint32_t count) {
    NamespaceConfig wanted = config();
    wanted.shard_count = count;
    expect_config(ns_.resize_shards(count), wanted);
  }
  void update_config(const NamespaceConfig& wanted) {
    const uint64_t bytes = memory();
    expect_config(ns_.update_config(wanted), wanted, bytes);
  }
  // The outcome of an update_config() that somebody else called, when the namespace took so many
  // bytes.
  void expect_config(const Status& status, const NamespaceConfig& wanted, uint64_t bytes = 0) {
    expect(status, config_code(wanted, bytes));
    if (!status.ok()) return;
    model_.config() = wanted;
    if (wanted.shard_count != 0 && wanted.shard_count != shards_) {
      shards_ = wanted.shard_count;
      has_moved_ = true;
    }
    most_shards_ = std::max(most_shards_, shards_);
  }

  // Whether every field is within the range that the public header documents.
  static bool is_valid(const NamespaceConfig& config) {
    return config.max_value_size <= 1024 * 1024 * 1024 && config.max_key_size != 0 &&
           config.max_key_size <= 1024 * 1024 && config.shard_count <= 4096 &&
           config.lock_timeout.count() >= 1 && config.lock_timeout.count() <= 60 * 60 * 1000;
  }

  // --- Looking at everything -------------------------------------------------------------------

  void check_figures() const {
    const Result<NamespaceStats> stats = ns_.metadata();
    const Result<std::vector<uint64_t>> shards = ns_.shard_key_counts();
    expect(stats.status(), closed_.value_or(StatusCode::kOk));
    expect(shards.status(), closed_.value_or(StatusCode::kOk));
    if (!stats.ok()) return;
    check_stats(*stats);
    RKVS_FUZZ_CHECK(shards->size() == shards_);
    RKVS_FUZZ_CHECK(std::accumulate(shards->begin(), shards->end(), uint64_t{0}) == data().size());
    RKVS_FUZZ_CHECK(ns_.get_config() == config());
  }

  void check_stats(const NamespaceStats& stats) const {
    RKVS_FUZZ_CHECK(stats.name == ns_.name());
    RKVS_FUZZ_CHECK(stats.key_count == data().size());
    RKVS_FUZZ_CHECK(stats.total_size == total_size());
    RKVS_FUZZ_CHECK(stats.shard_count == shards_);
    uint64_t least = 0;
    uint64_t most = 0;
    for (const auto& [key, entry] : data()) {
      const uint64_t size = key.size() + entry.value.size();
      least += size;
      // Blocks are at most an eighth larger than what is asked for, or a page.
      most += 72 + size * 9 / 8;
      if (size > 16384) most += 4096;
    }
    RKVS_FUZZ_CHECK(stats.memory_bytes >= least);
    RKVS_FUZZ_CHECK(stats.memory_bytes <= most + tables(most_keys_));
    if (config().max_bytes == 0) return;
    // The account is what is there; and that is within the limit, but for what nobody is asked for:
    // queues of expiries, and the tables of a resize.
    const uint64_t room = internal::NamespaceImpl::of(ns_).usage().byte_headroom();
    RKVS_FUZZ_CHECK(room == config().max_bytes - std::min(config().max_bytes, stats.memory_bytes));
    const bool exact = !has_expiries_ && !has_moved_;
    const uint64_t beyond = stats.memory_bytes - std::min(config().max_bytes, stats.memory_bytes);
    RKVS_FUZZ_CHECK(beyond <= (exact ? 0 : tables(most_keys_)));
  }

  void check_values() {
    if (!closed_) learn_all();
  }

  // Slow: goes through 65,536 buckets for each shard.
  void check_list() const {
    Result<std::vector<std::string>> keys = ns_.list_keys();
    expect(keys.status(), closed_.value_or(StatusCode::kOk));
    if (!keys.ok()) return;
    std::sort(keys->begin(), keys->end());
    RKVS_FUZZ_CHECK(
        std::equal(keys->begin(), keys->end(), data().begin(), data().end(),
                   [](const auto& key, const auto& item) { return key == item.first; }));
  }

  void check_held() const {
    for (const auto& [value, text] : held_) RKVS_FUZZ_CHECK(value == std::string_view(text));
  }

 private:
  static constexpr uint32_t kFirstAutomaticCount = 16;

  static void expect(const Status& status, StatusCode code) {
    expect_code(status.code(), code);
    // Errors explain themselves, outcomes need not.
    if (status.is_error()) RKVS_FUZZ_CHECK(!status.message().empty());
  }
  static void expect_code(StatusCode code, StatusCode expected) {
    if (code == expected) return;
    RKVS_FUZZ_FAIL(std::string(status_code_name(code)) + " where " +
                   std::string(status_code_name(expected)) + " was expected");
  }
  static bool options_are_default(const WriteOptions& options) {
    return !options.expire_after && !options.expire_at && !options.keep_ttl;
  }
  static std::vector<std::string_view> views(const Texts& texts) {
    return {texts.begin(), texts.end()};
  }

  StatusCode find(const std::string& key) const { return closed_ ? *closed_ : model_.find(key); }
  std::optional<std::string> value_of(const std::string& key) const {
    const auto it = data().find(key);
    return it == data().end() ? std::nullopt : std::optional(it->second.value);
  }
  StatusCode config_code(const NamespaceConfig& wanted, uint64_t bytes) const {
    if (closed_) return *closed_;
    if (!is_valid(wanted)) return StatusCode::kInvalidArgument;
    if (wanted.max_keys != 0 && wanted.max_keys < data().size()) return StatusCode::kLimitBelowUse;
    // A limit that stays is not asked again.
    const NamespaceConfig& now = config();
    const bool stays = wanted.max_keys == now.max_keys && wanted.max_bytes == now.max_bytes &&
                       wanted.max_key_size == now.max_key_size &&
                       wanted.max_value_size == now.max_value_size;
    if (!stays && wanted.max_bytes != 0 && wanted.max_bytes < bytes) {
      return StatusCode::kLimitBelowUse;
    }
    return StatusCode::kOk;
  }
  uint64_t memory() const {
    const Result<NamespaceStats> stats = ns_.metadata();
    return stats.ok() ? stats->memory_bytes : 0;
  }
  // What tables and queues that once held so many keys may take. They keep the size that they once
  // needed: slots of 17 bytes, at least seven sixteenths of them in use at that time, and items of
  // 16 bytes, up to half of them stale, in vectors that double.
  uint64_t tables(uint64_t keys) const { return uint64_t{most_shards_} * (640 + keys * 160); }

  // --- Writes ----------------------------------------------------------------------------------

  void note_keys(uint64_t coming) {
    most_keys_ = std::max<uint64_t>(most_keys_, data().size() + coming);
  }

  // Whether an operation that needed room for so many bytes was refused; then there was not much
  // left.
  bool is_refused_for_bytes(StatusCode code, size_t bytes) const {
    if (code != StatusCode::kMemoryLimit) return false;
    RKVS_FUZZ_CHECK(config().max_bytes != 0);
    RKVS_FUZZ_CHECK(memory() + bytes * 9 / 8 + 8192 + tables(most_keys_) > config().max_bytes);
    return true;
  }

  static bool expires(const Data& data, const std::string& key) {
    const auto it = data.find(key);
    return it != data.end() && it->second.expires_at != 0;
  }

  // What an operation on one key comes to. Whether it was done.
  template <typename Act>  // StatusCode(Data&)
  bool changed(const Status& status, const std::string& key, size_t size, Act act,
               uint64_t version = 0) {
    note_keys(1);
    if (is_refused_for_bytes(status.code(), key.size() + size)) {
      Data copy = data();
      const StatusCode code = act(copy);
      RKVS_FUZZ_CHECK(code == StatusCode::kOk || code == StatusCode::kTooManyKeys);
      learn(key);
      return false;
    }
    expect(status, closed_ ? *closed_ : act(model_.data));
    model_.expire();
    learn(key, version);
    return status.ok();
  }

  std::optional<std::string> written(const ModelWrite& write, const Status& status,
                                     uint64_t version = 0) {
    if (write.options.expire_after || write.options.expire_at) has_expiries_ = true;
    std::optional<std::string> old;
    const bool done = changed(
        status, write.key, write.value.size(),
        [&](Data& data) { return model_.write(data, write, &old); }, version);
    return done ? old : std::nullopt;
  }

  void write_multiple(const Pairs& items, BatchMode mode, const WriteOptions& options,
                      ModelWrite::When when) {
    std::vector<KeyValue> pairs;
    Texts keys;
    for (const auto& [key, value] : items) {
      pairs.push_back({.key = key, .value = value});
      keys.push_back(key);
    }
    if (options.expire_after || options.expire_at) has_expiries_ = true;
    const Room room = room_for(keys.size());
    const BatchResult result = when == ModelWrite::When::kPresent
                                   ? ns_.update_multiple(pairs, mode, options)
                                   : ns_.set_multiple(pairs, mode, options);
    if (!ModelMap::are_valid(options) && !closed_) return check_refused(result, keys.size());
    check_batch(
        result, keys, mode,
        [&](Data& data, size_t i) {
          ModelItem item;
          item.code = model_.write(
              data, {.key = keys[i], .value = items[i].second, .when = when, .options = options},
              &item.value);
          return item;
        },
        room);
  }

  // A batch that was wrong as a whole.
  static void check_refused(const BatchResult& result, size_t size) {
    expect(result.status, StatusCode::kInvalidArgument);
    RKVS_FUZZ_CHECK(result.items.size() == size && result.total_processed == 0);
    for (const BatchItem& item : result.items) {
      RKVS_FUZZ_CHECK(item.code == StatusCode::kInvalidArgument && !item.value);
    }
  }

  // What there is before a batch near a limit of bytes.
  struct Room {
    bool is_limited = false;
    uint64_t used = 0;
    bool tables_grow = false;  // they may have to, for the batch
  };
  Room room_for(size_t items) const {
    if (config().max_bytes == 0 || closed_) return {};
    Room room{true, memory()};
    auto& shards = internal::NamespaceImpl::of(ns_).shards();
    for (uint32_t i = 0; i < shards.routing().shard_count(); ++i) {
      const internal::ReaderLock lock(shards[i].mutex);
      if (shards[i].spare_needed(items) != 0) room.tables_grow = true;
    }
    return room;
  }
  static int64_t memory_of(const Data& data, const std::string& key) {
    const auto it = data.find(key);
    if (it == data.end()) return 0;
    const ModelEntry& entry = it->second;
    return static_cast<int64_t>(internal::Arena::packed_block_size(
        internal::Entry::size_of(key.size(), entry.value.size(), entry.expires_at != 0)));
  }

  // Follows the bytes of a batch, to see that its items are refused where they do not fit, and only
  // there.
  class Bytes {
   public:
    Bytes(const CheckedNamespace& self, const Room& room)
        : self_(self), room_(room), used_(static_cast<int64_t>(room.used)) {}

    // Of an item that takes the key from `before` bytes to `after`; whether it fits, if it must be
    // so or so.
    void check(int64_t before, int64_t after, bool expires, bool refused) {
      if (!room_.is_limited) return;
      const auto limit = static_cast<int64_t>(
          std::min<uint64_t>(self_.config().max_bytes, std::numeric_limits<int64_t>::max()));
      const int64_t need = std::max<int64_t>(after - before, 0);
      // Where entries expire, one that does not any more may have the room for it still.
      const int64_t unknown = self_.has_expiries_ ? 24 * ++items_ : 0;
      if ((before == 0 && room_.tables_grow) || expires) grows_ = true;
      const int64_t tables = grows_ ? static_cast<int64_t>(self_.tables(self_.most_keys_)) : 0;
      if (refused) {
        RKVS_FUZZ_CHECK(used_ + need + unknown + tables > limit);
        return;
      }
      // The last key to go may take its table with it.
      const bool needs = need > (unknown == 0 ? 0 : 24);
      if (needs && !shrinks_) RKVS_FUZZ_CHECK(used_ + need - unknown <= limit);
    }
    // Of an item that there are too many keys for: if it was to expire, the queue has grown for it.
    void note_too_many_keys() {
      if (self_.has_expiries_) grows_ = true;
    }
    // It is done, and the key has come to so much.
    void note(int64_t before, int64_t after) {
      if (after == 0) shrinks_ = true;
      used_ += after - before;
    }

   private:
    const CheckedNamespace& self_;
    const Room& room_;
    int64_t used_;
    int64_t items_ = 0;
    bool grows_ = false;
    bool shrinks_ = false;
  };

  template <typename Act>
  void check_batch(const BatchResult& result, const Texts& keys, BatchMode mode, Act act) {
    check_batch(result, keys, mode, act, Room());
  }
  template <typename Act>  // ModelItem(Data&, size_t i); what the i-th item does to the map
  void check_batch(const BatchResult& result, const Texts& keys, BatchMode mode, Act act,
                   const Room& room) {
    const size_t size = keys.size();
    const bool atomic = mode == BatchMode::kAllOrNothing;
    RKVS_FUZZ_CHECK(result.items.size() == size);
    RKVS_FUZZ_CHECK(result.duration.count() >= 0);
    // Tables may make room for as many keys, even if some come twice or the batch fails.
    note_keys(size);
    Data after = data();
    std::vector<ModelItem> expected;
    StatusCode first_failure = StatusCode::kOk;
    Bytes bytes{*this, room};
    for (size_t i = 0; i < size; ++i) {
      if (closed_) {
        expected.push_back({*closed_, std::nullopt});
        continue;
      }
      const bool refused = result.items[i].code == StatusCode::kMemoryLimit;
      if (refused) RKVS_FUZZ_CHECK(room.is_limited);
      const int64_t before = memory_of(after, keys[i]);
      // On a copy, where it is refused: it does nothing then.
      Data copy = refused ? after : Data();
      Data& target = refused ? copy : after;
      expected.push_back(act(target, i));
      ModelItem& item = expected.back();
      if (item.code == StatusCode::kTooManyKeys) bytes.note_too_many_keys();
      if (refused) {
        RKVS_FUZZ_CHECK(item.code == StatusCode::kOk || item.code == StatusCode::kTooManyKeys);
        // Of one that there are too many keys for as well, the map does not tell the size.
        if (item.code == StatusCode::kOk) {
          bytes.check(before, memory_of(target, keys[i]), expires(target, keys[i]), true);
        }
        item = {StatusCode::kMemoryLimit, std::nullopt};
      } else if (item.code == StatusCode::kOk) {
        bytes.check(before, memory_of(target, keys[i]), expires(target, keys[i]), false);
        model_.expire(target);
        bytes.note(before, memory_of(target, keys[i]));
      }
      if (first_failure == StatusCode::kOk) first_failure = item.code;
    }
    if (closed_) first_failure = *closed_;
    const bool undone = first_failure != StatusCode::kOk && (atomic || closed_);
    if (!undone) model_.data = std::move(after);
    expect(result.status, undone ? first_failure : StatusCode::kOk);
    size_t processed = 0;
    for (size_t i = 0; i < size; ++i) {
      ModelItem& item = expected[i];
      if (undone || item.code != StatusCode::kOk) item.value.reset();
      if (undone && item.code == StatusCode::kOk) item.code = StatusCode::kNotApplied;
      expect_code(result.items[i].code, item.code);
      RKVS_FUZZ_CHECK(result.items[i].value.has_value() == item.value.has_value());
      if (item.value) hold(*result.items[i].value, *item.value);
      if (item.code == StatusCode::kOk) ++processed;
    }
    RKVS_FUZZ_CHECK(result.total_processed == processed);
    RKVS_FUZZ_CHECK(result.is_success() == (!undone && processed == size));
    model_.expire();
    if (!closed_) {
      for (const std::string& key : keys) learn(key);
    }
  }

  // Looks at a key that may have been written: its value, and its version, which must be new if the
  // value is, and the one that was told.
  void learn(const std::string& key, uint64_t told = 0) {
    if (closed_) return;
    uint64_t& last = last_versions_[key];
    if (told != 0) RKVS_FUZZ_CHECK(told > last);
    const auto it = model_.data.find(key);
    const Result<VersionedValue> found = ns_.get_with_version(key);
    if (it == model_.data.end()) {
      RKVS_FUZZ_CHECK(found.code() == StatusCode::kNotFound);
      last = std::max(last, told);
      return;
    }
    ModelEntry& entry = it->second;
    RKVS_FUZZ_CHECK(found.ok() && found->value == std::string_view(entry.value));
    if (entry.version == 0) {
      RKVS_FUZZ_CHECK(found->version > last);
      entry.version = last = found->version;
    }
    RKVS_FUZZ_CHECK(found->version == entry.version);
    if (told != 0) RKVS_FUZZ_CHECK(told == entry.version);
  }
  void learn_all() {
    for (const auto& item : data()) learn(item.first);
  }

  void hold(const Value& value, const std::string& expected) {
    RKVS_FUZZ_CHECK(value == std::string_view(expected));
    auto& place = held_[held_next_++ % held_.size()];
    RKVS_FUZZ_CHECK(place.first == std::string_view(place.second));
    place = {value, expected};
  }

  Namespace ns_;
  ModelMap model_;
  uint32_t shards_;  // in use
  uint32_t most_shards_ = shards_;
  uint64_t most_keys_ = 0;
  bool has_expiries_ = false;
  bool has_moved_ = false;
  // The greatest version that each key ever had.
  std::map<std::string, uint64_t> last_versions_;
  std::optional<StatusCode> closed_;
  std::array<std::pair<Value, std::string>, 8> held_;
  size_t held_next_ = 0;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CHECKED_NAMESPACE_H_
