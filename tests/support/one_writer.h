// OneWriter: changes a few keys in every way there is, and knows what the namespace held when.
#ifndef RKVS_TESTS_SUPPORT_ONE_WRITER_H_
#define RKVS_TESTS_SUPPORT_ONE_WRITER_H_

#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/namespace_image.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {

// The namespace starts empty and nobody else writes to it, so that there is one state after each
// change, and what a save finds must be one of those from its cut's beginning to its end.
class OneWriter {
 public:
  // Keys and values; the values of keys that expire have a mark.
  using State = std::map<std::string, std::string>;

  OneWriter(Namespace ns, uint64_t seed, int keys) : ns_(std::move(ns)), random_(seed) {
    for (int i = 0; i < keys; ++i) keys_.push_back("k" + std::to_string(i));
  }

  // By one thread at a time.
  void change() {
    using std::chrono::hours;
    static const WriteOptions kLater = {.expire_after = hours(1)};
    static const WriteOptions kOver = {
        .expire_at = std::chrono::system_clock::time_point(std::chrono::seconds(1))};
    State next = states_.back();
    const std::string a = any_key();
    const std::string b = any_key();
    const auto value = [&](bool is_long) {
      const std::string number = std::to_string(1000 + random_() % 9000);
      return is_long ? number + std::string(random_() % 80, '.') : number;
    };
    const std::string va = value(random_() % 4 == 0);
    const std::string vb = value(random_() % 4 == 0);
    const BatchMode mode = random_() % 2 == 0 ? BatchMode::kAllOrNothing : BatchMode::kBestEffort;
    const auto stays = next.find(a);
    switch (random_() % 12) {
      case 0:
        next[a] = va;
        next[b] = vb;
        begin(std::move(next));
        EXPECT_TRUE(is_ok(ns_.set_multiple({{a, a == b ? vb : va}, {b, vb}}, mode).status));
        break;
      case 1:
      case 2:
        next[a] = va;
        begin(std::move(next));
        EXPECT_TRUE(is_ok(ns_.put(a, va)));
        break;
      case 3:
        next[a] = expiring(va);
        begin(std::move(next));
        EXPECT_TRUE(is_ok(ns_.set(a, va, kLater)));
        break;
      case 4:
      case 5: {
        const bool is_there = stays != next.end();
        if (is_there) stays->second = expiring(stays->second);
        begin(std::move(next));
        EXPECT_EQ(ns_.touch(a, kLater).ok(), is_there);
        break;
      }
      case 6: {
        const bool is_there = stays != next.end();
        if (is_there) stays->second = lasting(stays->second);
        begin(std::move(next));
        EXPECT_EQ(ns_.persist(a).ok(), is_there);
        break;
      }
      case 7:
        next.erase(a);
        begin(std::move(next));
        EXPECT_TRUE(is_ok(ns_.delete_key(a)));
        break;
      case 8:
        // They expire at once, and so does what was there.
        next.erase(a);
        next.erase(b);
        begin(std::move(next));
        EXPECT_TRUE(is_ok(ns_.set_multiple({{a, va}, {b, vb}}, mode, kOver).status));
        break;
      case 9:
        if (stays == next.end()) {
          next[a] = va;
          begin(std::move(next));
          EXPECT_TRUE(is_ok(ns_.apply(AtomicBatch().set(a, vb, kLater).set(a, va)).status));
        } else {
          next.erase(a);
          next[b] = va;
          begin(std::move(next));
          EXPECT_TRUE(is_ok(ns_.apply(AtomicBatch().set(a, vb).delete_key(a).set(b, va)).status));
        }
        break;
      case 10: {
        const std::string prefix = a.substr(0, 2);
        std::erase_if(next, [&](const auto& item) { return item.first.starts_with(prefix); });
        // Not one instant where there are several.
        if (next.size() + 1 < states_.back().size()) break;
        begin(std::move(next));
        EXPECT_TRUE(is_ok(ns_.delete_prefix(prefix)));
        break;
      }
      default:
        if (random_() % 4 != 0) break;
        begin({});
        EXPECT_TRUE(is_ok(ns_.clear()));
        break;
    }
    done_.store(begun_.load());
  }

  // The number of the newest state that is certainly in force.
  size_t done() const { return done_.load(); }
  // Of the newest one that may be.
  size_t begun() const { return begun_.load(); }

  // What the image holds, as a save sees it, which lets each shard go when it is through with it.
  // `at_work(shard)` is called while it has the entries of each.
  template <typename AtWork>
  static State content(internal::Cut& cut, AtWork at_work) {
    State found;
    uint64_t entries = 0;
    internal::NamespaceImage& image = cut.namespaces().front();
    for (uint32_t shard = 0; shard < image.shard_count(); ++shard) {
      const auto held = image.entries(shard);
      EXPECT_TRUE(is_ok(held));
      if (!held.ok()) return {};
      at_work(shard);
      for (const internal::Entry* entry : *held) {
        ++entries;
        if (entry->has_expired_by(cut.steady_ms())) continue;
        const std::string value(entry->value());
        const bool expires = entry->expires_at() != 0;
        EXPECT_TRUE(found.emplace(entry->key(), expires ? expiring(value) : value).second)
            << entry->key() << " is there twice";
      }
      image.release(shard);
    }
    EXPECT_EQ(entries, image.keys);
    return found;
  }

  // `from`: done() before the cut; `to`: begun() after it.
  void expect_was_there(const State& found, size_t from, size_t to) {
    const std::lock_guard lock(mutex_);
    const auto begin = states_.begin() + static_cast<std::ptrdiff_t>(from);
    const auto end = states_.begin() + static_cast<std::ptrdiff_t>(to) + 1;
    EXPECT_NE(std::find(begin, end, found), end)
        << "no state from " << from << " to " << to << ": " << to_string(found)
        << "\nthe first: " << to_string(*begin) << "\nthe last: " << to_string(*(end - 1));
  }

 private:
  static constexpr char kMark = '@';
  static std::string lasting(std::string value) {
    if (value.ends_with(kMark)) value.pop_back();
    return value;
  }
  static std::string expiring(const std::string& value) { return lasting(value) + kMark; }
  static std::string to_string(const State& state) {
    std::string text;
    for (const auto& [key, value] : state) text += key + "=" + value + " ";
    return text;
  }

  const std::string& any_key() { return keys_[random_() % keys_.size()]; }
  // A change to this state begins.
  void begin(State state) {
    const std::lock_guard lock(mutex_);
    states_.push_back(std::move(state));
    begun_.store(states_.size() - 1);
  }

  Namespace ns_;
  std::mt19937_64 random_;
  std::vector<std::string> keys_;
  std::mutex mutex_;
  std::vector<State> states_{State()};  // by number
  std::atomic<size_t> begun_{0};
  std::atomic<size_t> done_{0};
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_ONE_WRITER_H_
