// A namespace beside a std::map that does the same: the oracle of the fuzz targets.
#ifndef RKVS_FUZZ_CHECKED_NAMESPACE_H_
#define RKVS_FUZZ_CHECKED_NAMESPACE_H_

#include <rkvs/batch.h>
#include <rkvs/namespace.h>
#include <rkvs/options.h>
#include <rkvs/status.h>
#include <rkvs/value.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

// Does every operation twice, on the namespace and on the map, and ends the process where what
// comes out differs. Values that were read are held for a while and have to stay what they were.
class CheckedNamespace {
 public:
  // A namespace that was just created with this configuration, empty.
  CheckedNamespace(Namespace ns, const NamespaceConfig& config)
      : ns_(std::move(ns)),
        config_(config),
        shards_(config.shard_count == 0 ? kFirstAutomaticCount : config.shard_count) {}

  const Namespace& ns() const { return ns_; }
  const NamespaceConfig& config() const { return config_; }
  const std::map<std::string, std::string>& data() const { return data_; }
  uint64_t total_size() const {
    return std::accumulate(data_.begin(), data_.end(), uint64_t{0},
                           [](uint64_t sum, const auto& item) { return sum + item.second.size(); });
  }
  uint32_t shards() const { return shards_; }

  // From now on every operation answers `code`.
  void close(StatusCode code) {
    closed_ = code;
    data_.clear();
  }

  // --- One key ---------------------------------------------------------------------------------

  void get(const std::string& key) {
    const Result<Value> result = ns_.get(key);
    expect(result.status(), find(key));
    if (result.ok()) hold(*result, data_.at(key));
  }

  void exists(const std::string& key) {
    const Result<bool> result = ns_.exists(key);
    expect(result.status(), closed_.value_or(StatusCode::kOk));
    if (result.ok()) RKVS_FUZZ_CHECK(*result == data_.contains(key));
  }

  void set(const std::string& key, const std::string& value) {
    const Result<std::optional<Value>> result = ns_.set(key, value);
    const StatusCode code = set_code(key, value);
    expect(result.status(), code);
    if (!result.ok()) return;
    RKVS_FUZZ_CHECK(result->has_value() == data_.contains(key));
    if (result->has_value()) hold(**result, data_.at(key));
    store(key, value);
  }

  void put(const std::string& key, const std::string& value) {
    const StatusCode code = set_code(key, value);
    expect(ns_.put(key, value), code);
    if (code == StatusCode::kOk) store(key, value);
  }

  void update(const std::string& key, const std::string& value) {
    const Result<Value> result = ns_.update(key, value);
    expect(result.status(),
           closed_.value_or(is_value_too_large(value) ? StatusCode::kValueTooLarge : find(key)));
    if (!result.ok()) return;
    hold(*result, data_.at(key));
    store(key, value);
  }

  void delete_key(const std::string& key) {
    const Result<bool> result = ns_.delete_key(key);
    expect(result.status(), closed_.value_or(StatusCode::kOk));
    if (result.ok()) RKVS_FUZZ_CHECK(*result == (data_.erase(key) != 0));
  }

  void consume(const std::string& key) {
    const Result<Value> result = ns_.consume(key);
    expect(result.status(), find(key));
    if (!result.ok()) return;
    hold(*result, data_.at(key));
    data_.erase(key);
  }

  // --- Batches ---------------------------------------------------------------------------------
  // An item acts when all before it have; an all-or-nothing batch in which one fails does nothing.

  void get_multiple(const std::vector<std::string>& keys, BatchMode mode) {
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    check_batch(ns_.get_multiple(views, mode), keys.size(), mode, [&](size_t i) {
      return Item{find(keys[i]), value_of(keys[i])};
    });
  }

  void set_multiple(const std::vector<std::pair<std::string, std::string>>& items, BatchMode mode) {
    std::vector<KeyValue> views;
    for (const auto& [key, value] : items) views.push_back({.key = key, .value = value});
    check_batch(ns_.set_multiple(views, mode), items.size(), mode, [&](size_t i) {
      const auto& [key, value] = items[i];
      Item item{set_code(key, value), std::nullopt};
      if (item.code != StatusCode::kOk) return item;
      item.value = value_of(key);
      store(key, value);
      return item;
    });
  }

  void delete_multiple(const std::vector<std::string>& keys, BatchMode mode) {
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    check_batch(ns_.delete_multiple(views, mode), keys.size(), mode, [&](size_t i) {
      const Item item{find(keys[i]), std::nullopt};
      data_.erase(keys[i]);
      return item;
    });
  }

  void consume_multiple(const std::vector<std::string>& keys, BatchMode mode) {
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    check_batch(ns_.consume_multiple(views, mode), keys.size(), mode, [&](size_t i) {
      const Item item{find(keys[i]), value_of(keys[i])};
      data_.erase(keys[i]);
      return item;
    });
  }

  // --- Configuration ---------------------------------------------------------------------------

  void set_max_keys(uint64_t max_keys) {
    NamespaceConfig wanted = config_;
    wanted.max_keys = max_keys;
    expect_config(ns_.set_max_keys(max_keys), wanted);
  }
  void set_max_value_size(uint64_t size) {
    NamespaceConfig wanted = config_;
    wanted.max_value_size = size;
    expect_config(ns_.set_max_value_size(size), wanted);
  }
  void set_lock_timeout(std::chrono::milliseconds timeout) {
    NamespaceConfig wanted = config_;
    wanted.lock_timeout = timeout;
    expect_config(ns_.set_lock_timeout(timeout), wanted);
  }
  void resize_shards(uint32_t count) {
    NamespaceConfig wanted = config_;
    wanted.shard_count = count;
    expect_config(ns_.resize_shards(count), wanted);
  }
  void update_config(const NamespaceConfig& wanted) {
    expect_config(ns_.update_config(wanted), wanted);
  }
  // The outcome of an update_config() that somebody else called.
  void expect_config(const Status& status, const NamespaceConfig& wanted) {
    expect(status, config_code(wanted));
    if (!status.ok()) return;
    config_ = wanted;
    if (wanted.shard_count != 0) shards_ = wanted.shard_count;
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
    RKVS_FUZZ_CHECK(std::accumulate(shards->begin(), shards->end(), uint64_t{0}) == data_.size());
    RKVS_FUZZ_CHECK(ns_.get_config() == config_);
  }

  void check_stats(const NamespaceStats& stats) const {
    RKVS_FUZZ_CHECK(stats.name == ns_.name());
    RKVS_FUZZ_CHECK(stats.key_count == data_.size());
    RKVS_FUZZ_CHECK(stats.total_size == total_size());
    RKVS_FUZZ_CHECK(stats.shard_count == shards_);
    uint64_t least = 0;
    uint64_t most = 0;
    for (const auto& [key, value] : data_) {
      least += key.size() + value.size();
      // Blocks are at most an eighth larger than what is asked for, or a page.
      most += 64 + (key.size() + value.size()) * 9 / 8;
      if (key.size() + value.size() > 16384) most += 4096;
    }
    RKVS_FUZZ_CHECK(stats.memory_bytes >= least);
    // Tables keep the size that they once needed: slots of 17 bytes, at least seven sixteenths of
    // them in use at that time.
    RKVS_FUZZ_CHECK(stats.memory_bytes <= most + uint64_t{most_shards_} * (512 + most_keys_ * 80));
  }

  void check_values() const {
    for (const auto& [key, value] : data_) {
      const Result<Value> found = ns_.get(key);
      RKVS_FUZZ_CHECK(found.ok() && *found == std::string_view(value));
    }
  }

  // Slow: goes through 65,536 buckets for each shard.
  void check_list() const {
    Result<std::vector<std::string>> keys = ns_.list_keys();
    expect(keys.status(), closed_.value_or(StatusCode::kOk));
    if (!keys.ok()) return;
    std::sort(keys->begin(), keys->end());
    RKVS_FUZZ_CHECK(
        std::equal(keys->begin(), keys->end(), data_.begin(), data_.end(),
                   [](const auto& key, const auto& item) { return key == item.first; }));
  }

  void check_held() const {
    for (const auto& [value, text] : held_) RKVS_FUZZ_CHECK(value == std::string_view(text));
  }

 private:
  static constexpr uint32_t kFirstAutomaticCount = 16;
  struct Item {
    StatusCode code;
    std::optional<std::string> value;
  };

  static void expect(const Status& status, StatusCode code) {
    RKVS_FUZZ_CHECK(status.code() == code);
    // Errors explain themselves, outcomes need not.
    if (status.is_error()) RKVS_FUZZ_CHECK(!status.message().empty());
  }

  bool is_value_too_large(const std::string& value) const {
    return config_.max_value_size != 0 && value.size() > config_.max_value_size;
  }
  StatusCode find(const std::string& key) const {
    return closed_.value_or(data_.contains(key) ? StatusCode::kOk : StatusCode::kNotFound);
  }
  std::optional<std::string> value_of(const std::string& key) const {
    const auto it = data_.find(key);
    return it == data_.end() ? std::nullopt : std::optional(it->second);
  }
  StatusCode set_code(const std::string& key, const std::string& value) const {
    if (closed_) return *closed_;
    if (key.size() > config_.max_key_size) return StatusCode::kKeyTooLarge;
    if (is_value_too_large(value)) return StatusCode::kValueTooLarge;
    if (config_.max_keys != 0 && !data_.contains(key) && data_.size() >= config_.max_keys) {
      return StatusCode::kTooManyKeys;
    }
    return StatusCode::kOk;
  }
  StatusCode config_code(const NamespaceConfig& wanted) const {
    if (closed_) return *closed_;
    if (!is_valid(wanted)) return StatusCode::kInvalidArgument;
    if (wanted.max_keys != 0 && wanted.max_keys < data_.size()) return StatusCode::kLimitBelowUse;
    return StatusCode::kOk;
  }

  void store(const std::string& key, const std::string& value) {
    data_[key] = value;
    most_keys_ = std::max<uint64_t>(most_keys_, data_.size());
    most_shards_ = std::max(most_shards_, shards_);
  }

  template <typename Act>  // Item(size_t i); what the i-th item does to the map
  void check_batch(const BatchResult& result, size_t size, BatchMode mode, Act act) {
    RKVS_FUZZ_CHECK(result.items.size() == size);
    // Tables may make room for as many keys, even if some come twice or the batch fails.
    most_keys_ = std::max<uint64_t>(most_keys_, data_.size() + size);
    RKVS_FUZZ_CHECK(result.duration.count() >= 0);
    std::map<std::string, std::string> before;
    const bool atomic = mode == BatchMode::kAllOrNothing;
    if (atomic) before = data_;
    std::vector<Item> expected;
    StatusCode first_failure = StatusCode::kOk;
    for (size_t i = 0; i < size; ++i) {
      expected.push_back(act(i));
      if (first_failure == StatusCode::kOk) first_failure = expected.back().code;
    }
    if (closed_) first_failure = *closed_;
    const bool undone = first_failure != StatusCode::kOk && (atomic || closed_);
    if (undone && atomic) data_ = std::move(before);
    expect(result.status, undone ? first_failure : StatusCode::kOk);
    size_t processed = 0;
    for (size_t i = 0; i < size; ++i) {
      Item& item = expected[i];
      if (undone || item.code != StatusCode::kOk) item.value.reset();
      if (undone && item.code == StatusCode::kOk) item.code = StatusCode::kNotApplied;
      RKVS_FUZZ_CHECK(result.items[i].code == item.code);
      RKVS_FUZZ_CHECK(result.items[i].value.has_value() == item.value.has_value());
      if (item.value) hold(*result.items[i].value, *item.value);
      if (item.code == StatusCode::kOk) ++processed;
    }
    RKVS_FUZZ_CHECK(result.total_processed == processed);
    RKVS_FUZZ_CHECK(result.is_success() == (!undone && processed == size));
  }

  void hold(const Value& value, const std::string& expected) {
    RKVS_FUZZ_CHECK(value == std::string_view(expected));
    auto& place = held_[held_next_++ % held_.size()];
    RKVS_FUZZ_CHECK(place.first == std::string_view(place.second));
    place = {value, expected};
  }

  Namespace ns_;
  NamespaceConfig config_;
  std::map<std::string, std::string> data_;
  uint32_t shards_;  // in use
  uint32_t most_shards_ = shards_;
  uint64_t most_keys_ = 0;
  std::optional<StatusCode> closed_;
  std::array<std::pair<Value, std::string>, 8> held_;
  size_t held_next_ = 0;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CHECKED_NAMESPACE_H_
