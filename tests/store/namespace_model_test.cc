// A namespace against a std::map, through thousands of random operations of every kind.
#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using testing::HashStrength;
using testing::is_ok;

// What a batch is expected to come to.
struct Expected {
  StatusCode status = StatusCode::kOk;
  std::vector<StatusCode> codes;
  std::vector<std::optional<std::string>> values;
};

class Model {
 public:
  using Data = std::map<std::string, std::string>;

  explicit Model(const NamespaceConfig& config) : config_(config) {}

  const Data& data() const { return data_; }
  NamespaceConfig& config() { return config_; }

  StatusCode set(const std::string& key, const std::string& value,
                 std::optional<std::string>* old) {
    return set(data_, key, value, old);
  }
  StatusCode remove(const std::string& key, std::optional<std::string>* old) {
    return remove(data_, key, old);
  }
  // Of a key that is there. No limit on keys applies to it.
  std::string replace(const std::string& key, const std::string& value) {
    return std::exchange(data_.at(key), value);
  }
  StatusCode get(const std::string& key, std::optional<std::string>* value) const {
    const auto it = data_.find(key);
    if (it == data_.end()) return StatusCode::kNotFound;
    *value = it->second;
    return StatusCode::kOk;
  }

  // The items one after another; all-or-nothing on a copy that counts only if all went well.
  template <typename Step>  // StatusCode(Data&, size_t i, std::optional<std::string>* value)
  Expected batch(size_t size, BatchMode mode, Step step) {
    Expected expected;
    expected.codes.resize(size);
    expected.values.resize(size);
    Data copy = data_;
    for (size_t i = 0; i < size; ++i) expected.codes[i] = step(copy, i, &expected.values[i]);
    if (mode == BatchMode::kBestEffort) {
      data_ = std::move(copy);
      return expected;
    }
    const auto failed = std::find_if(expected.codes.begin(), expected.codes.end(),
                                     [](StatusCode code) { return code != StatusCode::kOk; });
    if (failed == expected.codes.end()) {
      data_ = std::move(copy);
      return expected;
    }
    expected.status = *failed;
    for (StatusCode& code : expected.codes) {
      if (code == StatusCode::kOk) code = StatusCode::kNotApplied;
    }
    expected.values.assign(size, std::nullopt);
    return expected;
  }

  StatusCode set(Data& data, const std::string& key, const std::string& value,
                 std::optional<std::string>* old) const {
    if (key.size() > config_.max_key_size) return StatusCode::kKeyTooLarge;
    if (config_.max_value_size != 0 && value.size() > config_.max_value_size) {
      return StatusCode::kValueTooLarge;
    }
    const auto it = data.find(key);
    if (it != data.end()) {
      *old = std::exchange(it->second, value);
      return StatusCode::kOk;
    }
    if (config_.max_keys != 0 && data.size() >= config_.max_keys) return StatusCode::kTooManyKeys;
    data.emplace(key, value);
    return StatusCode::kOk;
  }
  static StatusCode remove(Data& data, const std::string& key, std::optional<std::string>* old) {
    const auto it = data.find(key);
    if (it == data.end()) return StatusCode::kNotFound;
    *old = std::move(it->second);
    data.erase(it);
    return StatusCode::kOk;
  }

 private:
  Data data_;
  NamespaceConfig config_;
};

std::optional<std::string> text_of(const std::optional<Value>& value) {
  return value.has_value() ? std::optional(value->to_string()) : std::nullopt;
}

class ModelTest : public ::testing::TestWithParam<std::tuple<HashStrength, int>> {
 protected:
  ModelTest() : random_(static_cast<uint64_t>(std::get<1>(GetParam()))), model_(config()) {
    ns_ = testing::make_namespace(config(), testing::key_hash(std::get<0>(GetParam())));
  }

  static NamespaceConfig config() {
    NamespaceConfig config;
    config.max_key_size = 6;
    config.max_value_size = 40;
    config.max_keys = 60;
    return config;
  }

  size_t below(size_t limit) { return random_() % limit; }
  std::string key() {
    if (below(50) == 0) return "too long a key";
    if (below(50) == 0) return "";
    return "k" + std::to_string(below(90));
  }
  std::string value() {
    return std::string(below(40) == 0 ? 41 : below(12), static_cast<char>('a' + below(26)));
  }
  BatchMode mode() { return below(2) == 0 ? BatchMode::kAllOrNothing : BatchMode::kBestEffort; }
  size_t batch_size() { return below(20) == 0 ? 30 + below(120) : below(8); }

  void single() {
    const std::string k = key();
    const std::string v = value();
    std::optional<std::string> expected;
    switch (below(7)) {
      case 0: {
        const StatusCode code = model_.get(k, &expected);
        const auto got = ns_.get(k);
        ASSERT_EQ(got.code(), code);
        if (got.ok()) {
          ASSERT_EQ(*got, *expected);
        }
        break;
      }
      case 1: {
        const StatusCode code = model_.set(k, v, &expected);
        const auto old = ns_.set(k, v);
        ASSERT_EQ(old.code(), code);
        if (old.ok()) {
          ASSERT_EQ(text_of(*old), expected);
        }
        break;
      }
      case 2: ASSERT_EQ(ns_.put(k, v).code(), model_.set(k, v, &expected)); break;
      case 3: {
        const bool too_large =
            v.size() > model_.config().max_value_size && model_.config().max_value_size != 0;
        StatusCode code = model_.data().count(k) == 0 ? StatusCode::kNotFound : StatusCode::kOk;
        if (too_large) code = StatusCode::kValueTooLarge;
        if (code == StatusCode::kOk) expected = model_.replace(k, v);
        const auto old = ns_.update(k, v);
        ASSERT_EQ(old.code(), code);
        if (old.ok()) {
          ASSERT_EQ(*old, *expected);
        }
        break;
      }
      case 4: {
        const auto deleted = ns_.delete_key(k);
        ASSERT_TRUE(is_ok(deleted));
        ASSERT_EQ(*deleted, model_.remove(k, &expected) == StatusCode::kOk);
        break;
      }
      case 5: {
        const auto old = ns_.consume(k);
        ASSERT_EQ(old.code(), model_.remove(k, &expected));
        if (old.ok()) {
          ASSERT_EQ(*old, *expected);
        }
        break;
      }
      default: {
        const auto exists = ns_.exists(k);
        ASSERT_TRUE(is_ok(exists));
        ASSERT_EQ(*exists, model_.data().count(k) == 1);
      }
    }
  }

  void batch() {
    const BatchMode m = mode();
    std::vector<std::string> keys;
    std::vector<std::string> values;
    for (size_t i = batch_size(); i > 0; --i) {
      // Removals of absent keys fail most all-or-nothing batches: often name what is there.
      if (below(3) != 0 && !model_.data().empty()) {
        keys.push_back(
            std::next(model_.data().begin(), static_cast<long>(below(model_.data().size())))
                ->first);
      } else {
        keys.push_back(key());
      }
      values.push_back(value());
    }
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<KeyValue> items;
    for (size_t i = 0; i < keys.size(); ++i) items.push_back({keys[i], values[i]});

    Expected expected;
    BatchResult result;
    const size_t kind = below(5);
    if (kind <= 1) {
      expected = model_.batch(keys.size(), m, [&](auto& data, size_t i, auto* old) {
        return model_.set(data, keys[i], values[i], old);
      });
      result = ns_.set_multiple(items, m);
    } else if (kind == 2) {
      expected = model_.batch(
          keys.size(), m, [&](auto&, size_t i, auto* found) { return model_.get(keys[i], found); });
      result = ns_.get_multiple(views, m);
    } else {
      expected = model_.batch(keys.size(), m, [&](auto& data, size_t i, auto* old) {
        return Model::remove(data, keys[i], old);
      });
      result = kind == 3 ? ns_.delete_multiple(views, m) : ns_.consume_multiple(views, m);
      if (kind == 3) expected.values.assign(keys.size(), std::nullopt);
    }
    ASSERT_EQ(result.status.code(), expected.status) << result.status.to_string();
    ASSERT_EQ(testing::codes_of(result), expected.codes) << "kind " << kind;
    size_t ok = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      ASSERT_EQ(text_of(result.items[i].value), expected.values[i]) << "item " << i;
      if (expected.codes[i] == StatusCode::kOk) ++ok;
    }
    ASSERT_EQ(result.total_processed, ok);
    ASSERT_EQ(result.is_success(), ok == keys.size());
  }

  void reconfigure() {
    NamespaceConfig config = model_.config();
    switch (below(4)) {
      case 0: {
        config.max_keys = below(4) == 0 ? 0 : 30 + below(60);
        const bool fits = config.max_keys == 0 || config.max_keys >= model_.data().size() ||
                          config.max_keys == model_.config().max_keys;
        const Status status = ns_.set_max_keys(config.max_keys);
        ASSERT_EQ(status.code(), fits ? StatusCode::kOk : StatusCode::kLimitBelowUse);
        if (fits) model_.config() = config;
        break;
      }
      case 1:
        config.max_value_size = below(3) == 0 ? 0 : 5 + below(60);
        ASSERT_TRUE(is_ok(ns_.set_max_value_size(config.max_value_size)));
        model_.config() = config;
        break;
      case 2:
        config.shard_count = static_cast<uint32_t>(below(40));
        ASSERT_TRUE(is_ok(ns_.resize_shards(config.shard_count)));
        model_.config() = config;
        break;
      default: {
        config.max_keys = 30 + below(60);
        config.max_key_size = 1 + below(6);
        config.shard_count = static_cast<uint32_t>(below(40));
        const bool fits = config.max_keys >= model_.data().size();
        const Status status = ns_.update_config(config);
        ASSERT_EQ(status.code(), fits ? StatusCode::kOk : StatusCode::kLimitBelowUse);
        if (fits) model_.config() = config;
        if (below(2) == 0) {
          config = model_.config();
          config.max_key_size = 6;
          ASSERT_TRUE(is_ok(ns_.update_config(config)));
          model_.config() = config;
        }
      }
    }
    ASSERT_EQ(ns_.get_config(), model_.config());
  }

  void compare() {
    uint64_t bytes = 0;
    std::vector<std::string> keys;
    for (const auto& [k, v] : model_.data()) {
      keys.push_back(k);
      bytes += v.size();
    }
    const NamespaceStats stats = testing::stats_of(ns_);
    ASSERT_EQ(stats.key_count, model_.data().size());
    ASSERT_EQ(stats.total_size, bytes);
    ASSERT_EQ(testing::sorted_keys(ns_), keys);
    const auto counts = ns_.shard_key_counts();
    ASSERT_TRUE(is_ok(counts));
    uint64_t sum = 0;
    for (const uint64_t count : *counts) sum += count;
    ASSERT_EQ(sum, stats.key_count);
    for (const auto& [k, v] : model_.data()) ASSERT_EQ(testing::value_of(ns_, k), v);
  }

  std::mt19937_64 random_;
  Model model_;
  Namespace ns_;
};

INSTANTIATE_TEST_SUITE_P(Runs, ModelTest,
                         ::testing::Combine(::testing::Values(HashStrength::kFull,
                                                              HashStrength::kWeak),
                                            ::testing::Values(1, 2, 3)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param) == HashStrength::kWeak
                                                  ? "WeakHash"
                                                  : "FullHash") +
                                  "Seed" + std::to_string(std::get<1>(param.param));
                         });

TEST_P(ModelTest, D22_D24_D26_D30_D31_EveryOperationDoesWhatAMapWould) {
  const int steps = testing::scaled_down(8000, 4) * testing::test_scale();
  for (int step = 0; step < steps; ++step) {
    const size_t kind = below(100);
    if (kind < 60) {
      ASSERT_NO_FATAL_FAILURE(single()) << "step " << step;
    } else if (kind < 96) {
      ASSERT_NO_FATAL_FAILURE(batch()) << "step " << step;
    } else {
      ASSERT_NO_FATAL_FAILURE(reconfigure()) << "step " << step;
    }
    if (step % 50 == 0) {
      ASSERT_NO_FATAL_FAILURE(compare()) << "step " << step;
    }
  }
  compare();
  testing::expect_all_locks_free(ns_);
}

}  // namespace
}  // namespace rkvs
