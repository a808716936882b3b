// Namespaces without a manager, under a full or a weakened hash, and a look inside them.
#ifndef RKVS_TESTS_SUPPORT_NAMESPACE_UTIL_H_
#define RKVS_TESTS_SUPPORT_NAMESPACE_UTIL_H_

#include <gtest/gtest.h>
#include <rkvs/namespace.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/namespace_impl.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {

using internal::Access;
using internal::KeyHash;
using internal::NamespaceImpl;

// kWeak leaves 64 buckets, and eight hashes in each, with two tags and four places in a table: most
// keys of a test share all 64 bits with another one, and yet they spread over the shards.
enum class HashStrength { kFull, kWeak };

inline constexpr uint64_t kWeakMask = (uint64_t{0x3F} << 40) | (uint64_t{1} << 57) | 0xC0;

inline KeyHash key_hash(HashStrength strength) {
  return KeyHash(20260102, strength == HashStrength::kWeak ? kWeakMask : ~uint64_t{0});
}

inline std::string hash_name(const ::testing::TestParamInfo<HashStrength>& info) {
  return info.param == HashStrength::kWeak ? "WeakHash" : "FullHash";
}

// With so long a lock_timeout that no machine is busy enough to make a test fail by it.
inline NamespaceConfig patient(NamespaceConfig config = {}) {
  config.lock_timeout = std::chrono::minutes(5);
  return config;
}

inline Namespace make_namespace(const NamespaceConfig& config = patient(),
                                const KeyHash& hash = key_hash(HashStrength::kFull),
                                uint64_t expected_keys = 0) {
  auto impl = NamespaceImpl::create("test", config, expected_keys, hash);
  if (!impl.ok()) std::abort();
  return NamespaceImpl::handle(*std::move(impl));
}

// Runs its tests once with each hash.
class HashedTest : public ::testing::TestWithParam<HashStrength> {
 protected:
  static Namespace make(const NamespaceConfig& config = patient()) {
    return make_namespace(config, key_hash(GetParam()));
  }
  // How many keys a test may use: with the weak hash looking for one is linear.
  static int key_count(int full) {
    return GetParam() == HashStrength::kWeak ? std::min(full, 2000) : full;
  }
};

inline std::string numbered(std::string_view prefix, int64_t number) {
  return std::string(prefix) + std::to_string(number);
}

// The lock of the shard that a key is in now, held for the length of a scope. No resize may run.
class HeldShard {
 public:
  explicit HeldShard(const Namespace& ns, std::string_view key)
      : shard_(NamespaceImpl::of(ns).shards()[index_of(ns, key)]) {
    lock();
  }
  ~HeldShard() { unlock(); }
  HeldShard(const HeldShard&) = delete;
  HeldShard& operator=(const HeldShard&) = delete;

  static uint32_t index_of(const Namespace& ns, std::string_view key) {
    auto& shards = NamespaceImpl::of(ns).shards();
    return shards.routing().shard_of(internal::bucket_of(shards.hashed(key).hash));
  }

 private:
  void lock() RKVS_NO_THREAD_SAFETY_ANALYSIS { shard_.mutex.lock(); }
  void unlock() RKVS_NO_THREAD_SAFETY_ANALYSIS { shard_.mutex.unlock(); }

  internal::Shard& shard_;
};

inline std::vector<std::string> sorted_keys(const Namespace& ns) {
  auto keys = ns.list_keys();
  EXPECT_TRUE(is_ok(keys));
  if (!keys.ok()) return {};
  std::sort(keys->begin(), keys->end());
  return *std::move(keys);
}

inline NamespaceStats stats_of(const Namespace& ns) {
  auto stats = ns.metadata();
  EXPECT_TRUE(is_ok(stats));
  return stats.ok() ? *std::move(stats) : NamespaceStats{};
}

inline uint64_t count_of(const Namespace& ns) { return stats_of(ns).key_count; }

// The value, or a text that no test stores.
inline std::string value_of(const Namespace& ns, std::string_view key) {
  const auto value = ns.get(key);
  return value.ok() ? value->to_string() : "<" + std::string(status_code_name(value.code())) + ">";
}

// The codes of a batch's items, in order.
inline std::vector<StatusCode> codes_of(const BatchResult& result) {
  std::vector<StatusCode> codes;
  for (const BatchItem& item : result.items) codes.push_back(item.code);
  return codes;
}

// No lock is left held or marked.
inline void expect_all_locks_free(const Namespace& ns) {
  auto& shards = NamespaceImpl::of(ns).shards();
  for (uint32_t i = 0; i < shards.routing().shard_count(); ++i) {
    EXPECT_TRUE(shards[i].mutex.is_free()) << "shard " << i;
  }
}

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_NAMESPACE_UTIL_H_
