// Operations of histories, done by the real store: what the checker of linearizability is given.
#ifndef RKVS_TESTS_SUPPORT_LINEARIZABLE_STORE_H_
#define RKVS_TESTS_SUPPORT_LINEARIZABLE_STORE_H_

#include <rkvs/namespace.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/key_hash.h"
#include "store/namespace_impl.h"
#include "store/routing.h"
#include "tests/support/linearizability.h"
#include "tests/support/manual_time.h"

namespace rkvs::testing {

using internal::bucket_of;
using internal::KeyHash;
using internal::NamespaceImpl;
using internal::route_table;

inline constexpr size_t kKeys = 3;

// What histories are made on. run() is called by many threads at once.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual void run(Op& op) = 0;
  // After each history, by one thread alone: what was deleted is there again, and empty.
  virtual void renew() {}
};

// How often each OpKind is drawn, relative to the others.
using Mix = std::array<int, kOpKinds>;
inline constexpr Mix kMix = {4, 1, 3, 3, 2, 1, 2, 0, 2, 3, 0, 0, 0, 0, 3, 3, 1, 2, 2, 2};
// Near a limit an AtomicBatch tells what fails whatever the limit is first; the model does not.
inline constexpr Mix kMixWithLimit = {4, 1, 3, 3, 2, 1, 2, 0, 2, 2, 0, 0, 0, 0, 3, 3, 1, 2, 0, 0};
// With counts of all keys, which connect all operations.
inline constexpr Mix kMixWithCounts = {4, 1, 3, 3, 2, 1, 2, 2, 1, 1, 0, 0, 0, 0, 3, 3, 1, 2, 0, 0};
inline constexpr Mix kMixOfCompares = {2, 0, 1, 2, 0, 1, 0, 0, 2, 9, 0, 0, 0, 0, 1, 1, 0, 0, 2, 2};
inline constexpr Mix kMixOfCounters = {3, 0, 0, 1, 0, 1, 1, 0, 1, 0, 8, 0, 0, 0, 3, 1, 0, 1, 1, 1};
inline constexpr Mix kMixOfExpiries = {4, 1, 1, 1, 1, 0, 1, 0, 2, 2, 0, 6, 3, 0, 3, 1, 0, 1, 1, 1};
// A namespace that is deleted in every third history or so.
inline constexpr Mix kMixWithDeletes = {8, 2, 6, 6, 4, 2, 4, 4, 4, 6, 0, 0, 0, 1, 6, 6, 2, 4, 4, 4};

inline bool writes(OpKind kind) {
  switch (kind) {
    case OpKind::kGet:
    case OpKind::kExists:
    case OpKind::kDelete:
    case OpKind::kConsume:
    case OpKind::kCountKeys:
    case OpKind::kIncrement:
    case OpKind::kAdvance:
    case OpKind::kDeleteNamespace:
    case OpKind::kGetPair:
    case OpKind::kDeletePair:
    case OpKind::kConsumePair: return false;
    default: return true;
  }
}

// What one thread does in one history.
class OpDraw {
 public:
  using Kinds = std::discrete_distribution<int>;

  OpDraw(Kinds& kinds, std::mt19937_64& random) : kinds_(kinds), random_(random) {}

  // Writes `value`, if it writes, and the number after it where it writes two.
  Op next(uint16_t value) {
    Op op;
    op.kind = static_cast<OpKind>(kinds_(random_));
    op.keys = {static_cast<uint8_t>(random_() % kKeys), static_cast<uint8_t>(random_() % kKeys)};
    if (is_global(op.kind)) op.keys = {};
    if (op.kind == OpKind::kCompareAndSet) {
      op.expected = known_[op.keys[0]];
      if (op.expected == kAbsent) op.kind = OpKind::kGet;
    }
    if (writes(op.kind)) op.written[0] = value;
    if (writes(op.kind) && is_pair(op.kind)) op.written[1] = static_cast<uint16_t>(value + 1);
    return op;
  }
  // What came of it.
  void note(const Op& op) {
    for (size_t half = 0; half < (is_pair(op.kind) ? 2 : 1); ++half) {
      uint16_t& last = known_[op.keys[half]];
      if (op.kind == OpKind::kGet || op.kind == OpKind::kGetPair) last = op.seen[half];
      if (op.code == StatusCode::kOk && op.written[half] != kAbsent) last = op.written[half];
    }
  }

 private:
  Kinds& kinds_;
  std::mt19937_64& random_;
  std::array<uint16_t, kKeys> known_{};  // what the thread last saw or wrote
};

using Keys = std::array<std::string, kKeys>;

// Values of equal size are written in place where that is allowed: so most have one size.
inline std::string text_of(uint16_t value) {
  std::string text = std::to_string(value);
  text.insert(0, 5 - text.size(), '0');
  if (value % 8 == 0) text.append(3000, '.');
  return text;
}
inline uint16_t number_of(const Value& value) {
  const std::string_view text = value.view();
  size_t digits = 0;
  uint16_t number = 0;
  for (; digits < text.size() && text[digits] != '.'; ++digits) {
    number = static_cast<uint16_t>(number * 10 + (text[digits] - '0'));
  }
  return digits == text.size() || text.size() == digits + 3000 ? number : uint16_t{UINT16_MAX};
}

class Store : public Subject {
 public:
  // The namespace holds `others` keys that no operation here names.
  Store(Namespace ns, Keys keys, size_t others = 0, ManualTime* time = nullptr, bool counts = false)
      : ns_(std::move(ns)), keys_(std::move(keys)), others_(others), time_(time), counts_(counts) {}

  void run(Op& op) override {
    const std::string& key = keys_[op.keys[0]];
    // Numbers come again after many histories.
    for (const uint16_t value : op.written) {
      if (value != kAbsent) versions_[value] = 0;
    }
    switch (op.kind) {
      case OpKind::kGet: {
        const auto result = ns_.get_with_version(key);
        op.code = result.code();
        if (result.ok()) learn(op.seen[0] = number_of(result->value), result->version);
        return;
      }
      case OpKind::kAdd: return learn(op, ns_.add(key, text(op.written[0])));
      case OpKind::kCompareAndSet: {
        const uint64_t version = versions_[op.expected];
        if (version != 0) {
          return learn(op, ns_.compare_and_set(key, version, text(op.written[0])));
        }
        // Known to have been there, but not under which version: look.
        op.kind = OpKind::kGet;
        op.expected = kAbsent;
        op.written = {};
        return run(op);
      }
      case OpKind::kIncrement: {
        const auto result = ns_.increment(key);
        op.code = result.code();
        if (result.ok()) op.seen[0] = static_cast<uint16_t>(*result);
        return;
      }
      case OpKind::kPutExpiring:
        op.code = ns_.put(key, text(op.written[0]), {.expire_after = std::chrono::milliseconds(1)})
                      .code();
        return;
      case OpKind::kAdvance: time_->advance(std::chrono::milliseconds(1)); return;
      case OpKind::kUpdate: return take(op, ns_.update(key, text(op.written[0])));
      case OpKind::kConsume: return take(op, ns_.consume(key));
      case OpKind::kExists: {
        const auto result = ns_.exists(key);
        op.code = result.code();
        op.seen[0] = result.ok() && *result ? 1 : 0;
        return;
      }
      case OpKind::kSet: {
        const auto result = ns_.set(key, text(op.written[0]));
        op.code = result.code();
        if (result.ok() && result->has_value()) op.seen[0] = number_of(**result);
        return;
      }
      case OpKind::kPut: op.code = ns_.put(key, text(op.written[0])).code(); return;
      case OpKind::kDelete: {
        const auto result = ns_.delete_key(key);
        op.code = !result.ok() ? result.code() : *result ? StatusCode::kOk : StatusCode::kNotFound;
        return;
      }
      case OpKind::kCountKeys: {
        const auto result = ns_.metadata();
        op.code = result.code();
        if (result.ok()) op.seen[0] = static_cast<uint16_t>(result->key_count - others_);
        return;
      }
      default: run_pair(op);
    }
  }

 protected:
  // Goes on with another namespace, while no operation is on.
  void use(Namespace ns) { ns_ = std::move(ns); }

 private:
  static void take(Op& op, const Result<Value>& result) {
    op.code = result.code();
    if (result.ok()) op.seen[0] = number_of(*result);
  }

  void run_pair(Op& op) {
    const std::array<std::string_view, 2> keys = {keys_[op.keys[0]], keys_[op.keys[1]]};
    BatchResult result;
    if (op.kind == OpKind::kGetPair) {
      result = ns_.get_multiple(keys, BatchMode::kAllOrNothing);
    } else if (op.kind == OpKind::kDeletePair) {
      result = ns_.delete_multiple(keys, BatchMode::kAllOrNothing);
    } else if (op.kind == OpKind::kConsumePair) {
      result = ns_.consume_multiple(keys, BatchMode::kAllOrNothing);
    } else if (op.kind == OpKind::kSetAddPair || op.kind == OpKind::kMovePair) {
      const std::array<std::string, 2> values = {text(op.written[0]), text(op.written[1])};
      AtomicBatch batch;
      if (op.kind == OpKind::kMovePair) {
        op.written[0] = kAbsent;
        batch.consume(keys[0]).set(keys[1], values[1]);
      } else {
        batch.set(keys[0], values[0]).add(keys[1], values[1]);
      }
      result = ns_.apply(batch);
    } else {
      const std::array<std::string, 2> values = {text(op.written[0]), text(op.written[1])};
      const std::array<KeyValue, 2> items = {
          {{.key = keys[0], .value = values[0]}, {.key = keys[1], .value = values[1]}}};
      result = ns_.set_multiple(items, BatchMode::kAllOrNothing);
    }
    op.code = result.status.code();
    for (size_t i = 0; i < 2; ++i) {
      op.item_codes[i] = result.items[i].code;
      if (result.items[i].value) op.seen[i] = number_of(*result.items[i].value);
    }
  }

  // Counters need numbers and nothing else.
  std::string text(uint16_t value) const {
    return counts_ ? std::to_string(value) : text_of(value);
  }
  // Which version a value was written under.
  void learn(uint16_t value, uint64_t version) { versions_[value] = version; }
  void learn(Op& op, const Result<uint64_t>& result) {
    op.code = result.code();
    if (result.ok()) learn(op.written[0], *result);
  }

  Namespace ns_;
  const Keys keys_;
  const size_t others_;
  ManualTime* const time_;
  const bool counts_;
  std::vector<std::atomic<uint64_t>> versions_ = std::vector<std::atomic<uint64_t>>(65536);
};

inline Namespace make_history_namespace(
    const NamespaceConfig& base, const KeyHash& hash,
    const internal::TimeSource& time = internal::TimeSource::real()) {
  NamespaceConfig config = base;
  // The machine may be busy; nothing here is about timeouts.
  config.lock_timeout = kMaxLockTimeout;
  return NamespaceImpl::handle(*NamespaceImpl::create("histories", config, 0, hash, time));
}

// Keys that a resize from `from` to `to` shards moves, out of different shards as far as possible;
// or keys that have one and the same hash.
inline Keys moving_keys(const KeyHash& hash, uint32_t from, uint32_t to, bool same_hash = false) {
  Keys keys;
  std::vector<uint64_t> hashes;
  for (int i = 0; hashes.size() < kKeys; ++i) {
    std::string key = "key" + std::to_string(i);
    const uint64_t h = hash(key).hash;
    const auto shard = [](uint32_t count, uint64_t of) {
      return (*route_table(count))[bucket_of(of)];
    };
    if (shard(from, h) == shard(to, h)) continue;
    const bool fits = std::all_of(hashes.begin(), hashes.end(), [&](uint64_t other) {
      return same_hash ? h == other : i > 10000 || shard(from, h) != shard(from, other);
    });
    if (!fits) continue;
    keys[hashes.size()] = std::move(key);
    hashes.push_back(h);
  }
  return keys;
}

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_LINEARIZABLE_STORE_H_
