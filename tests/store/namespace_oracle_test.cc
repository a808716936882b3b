// A namespace against the oracle of the fuzz targets, through thousands of random operations of
// every kind there is: expiries on a clock that stands still, versions, counters, batches of all
// kinds, scans, limits, resizes, saves and clones.
#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#define RKVS_FUZZ_FAIL(what) \
  throw std::logic_error(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " + (what))
#include "fuzz/checked_namespace.h"
#include "store/namespace_image.h"
#include "store/namespace_restore.h"
#include "tests/support/manual_time.h"
#include "tests/support/namespace_util.h"

namespace rkvs {
namespace {

using fuzz::CheckedNamespace;
using internal::NamespaceImpl;
using std::chrono::milliseconds;
using testing::HashStrength;

constexpr std::array<const char*, 5> kPrefixes = {"", "k", "k1", "k12", "absent"};

NamespaceConfig first_config() {
  NamespaceConfig config = testing::patient();
  config.max_key_size = 6;
  config.max_value_size = 40;
  config.max_keys = 60;
  config.shard_count = 5;
  return config;
}

class OracleTest : public ::testing::TestWithParam<std::tuple<HashStrength, int>> {
 protected:
  OracleTest()
      : random_(static_cast<uint64_t>(std::get<1>(GetParam()))),
        impl_(create(first_config())),
        ns_(NamespaceImpl::handle(impl_), first_config(), time_) {}

  std::shared_ptr<NamespaceImpl> create(const NamespaceConfig& config) {
    const auto hash = testing::key_hash(std::get<0>(GetParam()));
    return NamespaceImpl::create("test", config, 0, hash, time_).value();
  }

  size_t below(size_t limit) { return random_() % limit; }
  bool one_in(size_t n) { return below(n) == 0; }
  std::string key() {
    if (one_in(60)) return "too long a key";
    if (one_in(60)) return std::string("\0\xff", below(3));
    // Often one that is there.
    if (!one_in(3) && !ns_.data().empty()) {
      return std::next(ns_.data().begin(), static_cast<long>(below(ns_.data().size())))->first;
    }
    return "k" + std::to_string(below(90));
  }
  std::string value() {
    if (one_in(4)) return std::to_string(static_cast<int>(below(2000)) - 1000);
    if (one_in(30)) return std::to_string(INT64_MAX);
    return std::string(one_in(40) ? 41 : below(12), static_cast<char>('a' + below(26)));
  }
  BatchMode mode() { return one_in(2) ? BatchMode::kAllOrNothing : BatchMode::kBestEffort; }
  milliseconds after() { return milliseconds(one_in(50) ? 0 : 1 + below(60)); }
  std::chrono::system_clock::time_point at() {
    return std::chrono::system_clock::time_point(milliseconds(time_.unix_ms())) +
           milliseconds(1 + below(60));
  }
  // Now and then one that is over already.
  WriteOptions options() {
    if (one_in(20)) return {.expire_at = at() - milliseconds(100)};
    switch (below(7)) {
      case 0:
      case 1: return {.expire_after = after()};
      case 2: return {.expire_at = at()};
      case 3: return {.keep_ttl = true};
      case 4:
        if (one_in(10)) return {.expire_after = after(), .keep_ttl = true};
        return {.expire_after = milliseconds::max()};
      default: return {};
    }
  }
  uint64_t version(const std::string& k) { return ns_.version_of(k) + (one_in(4) ? below(3) : 0); }
  int64_t delta() {
    static constexpr std::array<int64_t, 6> kDeltas = {1, -1, 7, 0, INT64_MAX, INT64_MIN};
    return kDeltas[below(kDeltas.size())];
  }
  CounterOptions counter_options() {
    CounterOptions options{.initial = static_cast<int64_t>(below(100)) - 50};
    if (one_in(3)) options.expire_after = after();
    return options;
  }

  void single() {
    const std::string k = key();
    switch (below(14)) {
      case 0: return ns_.get(k);
      case 1: return ns_.exists(k);
      case 2: return ns_.set(k, value(), options());
      case 3: return ns_.put(k, value(), options());
      case 4: return ns_.add(k, value(), options());
      case 5: return ns_.update(k, value(), options());
      case 6: return ns_.delete_key(k);
      case 7: return ns_.consume(k);
      case 8: return ns_.compare_and_set(k, version(k), value(), options());
      case 9: return ns_.compare_and_delete(k, version(k));
      case 10: return one_in(2) ? ns_.ttl(k) : ns_.persist(k);
      case 11: return ns_.touch(k, options());
      case 12: return ns_.increment(k, delta(), one_in(2), counter_options());
      default: return ns_.transform(k, one_in(4) ? std::nullopt : std::optional(value()));
    }
  }

  void batch() {
    std::vector<std::string> keys;
    std::vector<std::pair<std::string, std::string>> items;
    for (size_t n = one_in(20) ? 30 + below(60) : below(8); n > 0; --n) {
      keys.push_back(key());
      items.emplace_back(keys.back(), value());
    }
    switch (below(7)) {
      case 0: return ns_.get_multiple(keys, mode());
      case 1: return ns_.exists_multiple(keys, mode());
      case 2:
      case 3: return ns_.set_multiple(items, mode(), options());
      case 4: return ns_.update_multiple(items, mode(), options());
      case 5: return ns_.delete_multiple(keys, mode());
      default: return ns_.consume_multiple(keys, mode());
    }
  }

  void mixed_batch() {
    std::vector<std::string> texts;
    const size_t size = one_in(20) ? 20 + below(40) : 1 + below(4);
    texts.reserve(2 * size);
    AtomicBatch batch;
    for (size_t i = 0; i < size; ++i) {
      const std::string& k = texts.emplace_back(key());
      const std::string& v = texts.emplace_back(value());
      const bool there = ns_.data().contains(k);
      switch (below(9)) {
        case 0: batch.set(k, v, options()); break;
        case 1: there ? batch.update(k, v, options()) : batch.add(k, v, options()); break;
        case 2: one_in(8) ? batch.update(k, v) : batch.set(k, v); break;
        case 3: one_in(2) ? batch.delete_key(k) : batch.consume(k); break;
        case 4: batch.compare_and_set(k, version(k), v, options()); break;
        case 5: batch.compare_and_delete(k, version(k)); break;
        case 6: batch.increment(k, delta(), counter_options()); break;
        case 7: batch.decrement(k, delta(), counter_options()); break;
        default:
          if (one_in(2)) batch.check_version(k, version(k));
          there ? batch.check_exists(k) : batch.check_absent(k);
      }
    }
    ns_.apply(batch);
  }

  void reconfigure() {
    NamespaceConfig config = ns_.config();
    switch (below(6)) {
      case 0: return ns_.set_max_keys(one_in(4) ? 0 : 30 + below(60));
      case 1: return ns_.set_max_value_size(one_in(3) ? 0 : 5 + below(60));
      case 2: return ns_.resize_shards(static_cast<uint32_t>(1 + below(40)));
      case 3:
      case 4: {
        const uint64_t now = ns_.ns().metadata()->memory_bytes;
        return ns_.set_max_bytes(one_in(2) ? 0 : one_in(4) ? now - 1 : now + below(3000));
      }
      default:
        config.max_keys = 30 + below(60);
        config.max_key_size = one_in(2) ? 6 : 1 + below(6);
        config.shard_count = static_cast<uint32_t>(1 + below(40));
        ns_.update_config(config);
        config.max_key_size = 6;
        return ns_.update_config(config);
    }
  }

  void many() {
    const std::string prefix = kPrefixes[below(kPrefixes.size())];
    switch (below(8)) {
      case 0: return ns_.clear();
      case 1: return ns_.delete_prefix("k" + std::to_string(below(10)));
      case 2: return ns_.check_list();
      case 3: return ns_.scan(prefix, 1 + below(5), one_in(2));
      default:
        // Everything else goes on meanwhile.
        return ns_.scan(prefix, 1 + below(20), one_in(2), [&] {
          switch (below(4)) {
            case 0: return single();
            case 1: return batch();
            case 2: return one_in(4) ? reconfigure() : pass_time();
            default: return;
          }
        });
    }
  }

  void pass_time() {
    time_.advance(milliseconds(below(12)));
    if (one_in(10)) time_.set_wall_clock_by(milliseconds(below(2000)) - milliseconds(1000));
    ns_.time_passed();
  }

  // --- Saves and clones --------------------------------------------------------------------------

  struct Save {
    std::unique_ptr<internal::Cut> cut;
    CheckedNamespace::Data data;
  };
  Save begin_save() { return {*internal::Cut::take({impl_}), ns_.data()}; }
  // What was there at the cut, with versions and expiries.
  static void check(const Save& save) {
    auto& image = save.cut->namespaces().front();
    size_t saved = 0;
    for (uint32_t i = 0; i < image.shard_count(); ++i) {
      for (const internal::Entry* entry : *image.entries(i)) {
        if (entry->has_expired_by(save.cut->steady_ms())) continue;
        ++saved;
        const auto it = save.data.find(std::string(entry->key()));
        ASSERT_NE(it, save.data.end());
        ASSERT_EQ(entry->value(), it->second.value);
        ASSERT_EQ(entry->version(), it->second.version);
        ASSERT_LE(entry->version(), image.last_version);
      }
    }
    ASSERT_EQ(saved, save.data.size());
  }
  // Goes on with a namespace that shares its entries with this one.
  void clone() {
    const auto cut = *internal::Cut::take({impl_});
    auto& image = cut->namespaces().front();
    auto copy = create(ns_.config());
    internal::Restorer restorer;
    internal::OperationTime time(cut->steady_ms());
    for (uint32_t i = 0; i < image.shard_count(); ++i) {
      ASSERT_EQ(restorer.share(*copy, *image.entries(i), time), StatusCode::kOk);
    }
    internal::restore_last_version(*copy, image.last_version);
    impl_ = std::exchange(copy, impl_);
    ns_.continue_with(NamespaceImpl::handle(impl_));
  }

  std::mt19937_64 random_;
  testing::ManualTime time_;
  std::shared_ptr<NamespaceImpl> impl_;
  CheckedNamespace ns_;
};

INSTANTIATE_TEST_SUITE_P(Runs, OracleTest,
                         ::testing::Combine(::testing::Values(HashStrength::kFull,
                                                              HashStrength::kWeak),
                                            ::testing::Values(1, 2, 3)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param) == HashStrength::kWeak
                                                  ? "WeakHash"
                                                  : "FullHash") +
                                  "Seed" + std::to_string(std::get<1>(param.param));
                         });

TEST_P(OracleTest, EveryOperationDoesWhatAMapWithAClockWould) {
  const int steps = testing::scaled_down(12000, 6) * testing::test_scale();
  std::optional<Save> save;
  int step = 0;
  try {
    for (; step < steps; ++step) {
      const size_t kind = below(1000);
      if (kind < 600) {
        single();
      } else if (kind < 740) {
        batch();
      } else if (kind < 850) {
        mixed_batch();
      } else if (kind < 940) {
        pass_time();
      } else if (kind < 965) {
        reconfigure();
      } else if (kind < 985) {
        many();
      } else if (kind < 995 && save) {
        ASSERT_NO_FATAL_FAILURE(check(*save)) << "step " << step;
        save.reset();
      } else if (kind < 995) {
        save = begin_save();
      } else if (!save && std::get<0>(GetParam()) == HashStrength::kFull) {
        ASSERT_NO_FATAL_FAILURE(clone()) << "step " << step;
      }
      // Seldom: whoever looks at the figures has everything reclaimed that has expired.
      if (step % 40 == 0) ns_.check_figures();
      if (step % 200 == 0) ns_.check_values();
    }
  } catch (const std::logic_error& failure) {
    FAIL() << "step " << step << ": " << failure.what();
  }
  save.reset();
  ns_.check_held();
  testing::expect_all_locks_free(ns_.ns());
}

}  // namespace
}  // namespace rkvs
