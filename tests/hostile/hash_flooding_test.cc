// Keys chosen so that they meet under the hash without its seed do not meet in a store: what is
// asserted is where entries are, not how long it took to put them there.
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/key_hash.h"
#include "store/routing.h"
#include "tests/support/namespace_util.h"

namespace rkvs::testing {
namespace {

using internal::bucket_of;
using internal::route_table;
using internal::Shard;

constexpr const char* kPrintVariable = "RKVS_TEST_PRINT_HASH";

// XXH3 mixes 16 bytes of a key of 17 to 128 bytes by multiplying their halves, each combined with
// eight bytes of a published constant and the seed. With seed 0 a first half that equals the
// constant makes the product 0 whatever the second half is: any number of keys with one hash.
std::vector<std::string> keys_of_one_unseeded_hash(int count) {
  constexpr std::array<unsigned char, 8> kSecret = {0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe};
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) {
    std::string key(32, 'k');
    std::memcpy(key.data(), kSecret.data(), kSecret.size());
    std::memcpy(key.data() + 8, &i, sizeof i);
    keys.push_back(std::move(key));
  }
  return keys;
}

// Keys, looked for one by one, that an unseeded store would route to one shard of 64, and whose
// places in that shard's table begin in one sixteenth of it.
std::vector<std::string> keys_of_one_unseeded_place(size_t count) {
  const internal::KeyHash unseeded(0);
  const internal::RouteTable& table = *route_table(64);
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < count; ++i) {
    std::string key = "key:" + std::to_string(i);
    const uint64_t hash = unseeded(key).hash;
    if (table[bucket_of(hash)] == 7 && (hash >> 6 & 15) == 3) keys.push_back(std::move(key));
  }
  return keys;
}

Namespace filled(const std::vector<std::string>& keys, uint32_t shards, const KeyHash& hash) {
  Namespace ns = make_namespace(patient({.shard_count = shards}), hash);
  for (const std::string& key : keys) EXPECT_TRUE(is_ok(ns.put(key, "v")));
  return ns;
}

// Entries of a namespace that share all 64 bits with another one: looking for them is linear.
size_t colliding(const Namespace& ns) {
  auto& shards = NamespaceImpl::of(ns).shards();
  std::set<uint64_t> hashes;
  size_t count = 0;
  for (uint32_t i = 0; i < shards.routing().shard_count(); ++i) {
    const internal::ReaderLock lock(shards[i].mutex);
    shards[i].for_each_hashed([&](uint64_t hash, internal::Entry*) {
      if (!hashes.insert(hash).second) ++count;
    });
  }
  return count;
}

// How many keys want the fullest of `places` buckets of a table.
size_t most_in_one_place(const std::vector<std::string>& keys, const KeyHash& hash,
                         uint64_t places) {
  std::map<uint64_t, size_t> load;
  size_t most = 0;
  for (const std::string& key : keys) most = std::max(most, ++load[(hash(key).hash >> 6) % places]);
  return most;
}

// `count` keys over `shards` shards by chance: the mean and eight standard deviations either way,
// which one store in 10^12 leaves.
void expect_balanced(const Namespace& ns, double count, uint32_t shards) {
  const auto counts = *ns.shard_key_counts();
  ASSERT_EQ(counts.size(), shards);
  const double mean = count / shards;
  const double margin = 8 * std::sqrt(mean);
  EXPECT_LT(static_cast<double>(*std::max_element(counts.begin(), counts.end())), mean + margin);
  EXPECT_GT(static_cast<double>(*std::min_element(counts.begin(), counts.end())), mean - margin);
}

TEST(HashFlooding, KeysOfOneUnseededHashSpreadLikeAnyOthers) {
  constexpr int kCount = 4000;
  const auto keys = keys_of_one_unseeded_hash(kCount);
  std::set<uint64_t> unseeded;
  for (const std::string& key : keys) unseeded.insert(KeyHash(0)(key).hash);
  ASSERT_EQ(unseeded.size(), 1U) << "the attack is none";

  const Namespace ns = filled(keys, 16, KeyHash::of_process());
  EXPECT_EQ(count_of(ns), static_cast<uint64_t>(kCount));
  EXPECT_EQ(colliding(ns), 0U);
  expect_balanced(ns, kCount, 16);
  EXPECT_LT(most_in_one_place(keys, KeyHash::of_process(), 4096), 20U);
}

// What the seed is for, and that the figures above would show its absence.
TEST(HashFlooding, WithoutASeedTheSameKeysWouldMeet) {
  constexpr size_t kCount = 500;
  const auto keys = keys_of_one_unseeded_hash(kCount);
  const Namespace ns = filled(keys, 16, KeyHash(0));
  EXPECT_EQ(colliding(ns), kCount - 1);
  const auto counts = *ns.shard_key_counts();
  EXPECT_EQ(*std::max_element(counts.begin(), counts.end()), kCount);
  EXPECT_EQ(most_in_one_place(keys, KeyHash(0), 4096), kCount);
  // Slow, and right.
  for (const std::string& key : keys) EXPECT_EQ(value_of(ns, key), "v");
  EXPECT_EQ(sorted_keys(ns), [&] {
    auto sorted = keys;
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }());
}

TEST(HashFlooding, KeysOfOneUnseededShardAndPlaceSpreadLikeAnyOthers) {
  constexpr size_t kCount = 1000;
  const auto keys = keys_of_one_unseeded_place(kCount);
  const Namespace unseeded = filled(keys, 64, KeyHash(0));
  const auto counts = *unseeded.shard_key_counts();
  ASSERT_EQ(*std::max_element(counts.begin(), counts.end()), kCount) << "the attack is none";

  const Namespace ns = filled(keys, 64, KeyHash::of_process());
  EXPECT_EQ(colliding(ns), 0U);
  expect_balanced(ns, kCount, 64);
  EXPECT_LT(most_in_one_place(keys, KeyHash::of_process(), 1024), 20U);
}

// Shards are added as data grows: chosen keys neither hold that up nor make it go on for ever.
TEST(HashFlooding, AutomaticShardsGrowUnderChosenKeysAsUnderAnyOthers) {
  constexpr int kCount = 150'000;
  const int count = scaled_down(kCount, 4);
  StorageManager manager;
  ASSERT_TRUE(is_ok(manager.initialize()));
  Namespace chosen = *manager.create_namespace("chosen", patient());
  Namespace other = *manager.create_namespace("other", patient());
  const auto keys = keys_of_one_unseeded_hash(count);
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(is_ok(chosen.put(keys[static_cast<size_t>(i)], "")));
    ASSERT_TRUE(is_ok(other.put(numbered("key", i), "")));
  }
  const auto fullest = [](const Namespace& ns) {
    const auto counts = *ns.shard_key_counts();
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), uint64_t{0}), count_of(ns));
    return *std::max_element(counts.begin(), counts.end());
  };
  EXPECT_EQ(colliding(chosen), 0U);
  // Growth goes on in the background: either may be one step ahead, which is a factor of 4.
  EXPECT_LT(fullest(chosen), 8 * fullest(other));
  EXPECT_LT(fullest(chosen), static_cast<uint64_t>(count) / 8);
}

std::string hash_in_another_process() {
  std::array<char, 4096> path{};
  if (readlink("/proc/self/exe", path.data(), path.size() - 1) < 0) return "";
  std::string command = kPrintVariable;
  command.append("=1 '").append(path.data());
  command.append("' --gtest_filter=HashFlooding.TheSeedIsAnotherInEveryProcess");
  std::FILE* const output = popen(command.c_str(), "r");
  if (output == nullptr) return "";
  std::string found;
  std::array<char, 512> line{};
  while (std::fgets(line.data(), line.size(), output) != nullptr) {
    if (std::strncmp(line.data(), "hash ", 5) == 0) found = line.data();
  }
  pclose(output);
  return found;
}

TEST(HashFlooding, TheSeedIsAnotherInEveryProcess) {
  const uint64_t hash = KeyHash::of_process()("key").hash;
  if (std::getenv(kPrintVariable) != nullptr) {
    std::printf("hash %016llx\n", static_cast<unsigned long long>(hash));
    return;
  }
  const std::string first = hash_in_another_process();
  const std::string second = hash_in_another_process();
  EXPECT_EQ(first.size(), std::string_view("hash 0123456789abcdef\n").size());
  EXPECT_NE(first, second);
  EXPECT_NE(hash, KeyHash(0)("key").hash);
}

}  // namespace
}  // namespace rkvs::testing
