#include "base/key_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rkvs::internal {
namespace {

TEST(KeyHash, IsSeededXxh3) {
  // Values of XXH3_64bits_withSeed: the empty input, and a short one.
  EXPECT_EQ(KeyHash(0)("").hash, 0x2D06800538D394C2U);
  EXPECT_EQ(KeyHash(7)("abc").hash, XXH3_64bits_withSeed("abc", 3, 7));
}

TEST(KeyHash, KeepsTheKeyBesideTheHash) {
  const std::string_view key("a\0b", 3);
  const HashedKey hashed = KeyHash(1)(key);
  EXPECT_EQ(hashed.key.data(), key.data());
  EXPECT_EQ(hashed.key.size(), 3U);
}

TEST(KeyHash, CoversEveryByteOfTheKey) {
  const KeyHash hash(1);
  EXPECT_NE(hash(std::string_view("a\0b", 3)).hash, hash(std::string_view("a\0c", 3)).hash);
  EXPECT_NE(hash(std::string_view("a", 1)).hash, hash(std::string_view("a\0", 2)).hash);
  std::string key(100000, 'x');
  const uint64_t before = hash(key).hash;
  key.back() = 'y';
  EXPECT_NE(hash(key).hash, before);
}

TEST(KeyHash, OtherSeedsGiveOtherHashes) {
  EXPECT_NE(KeyHash(1)("key").hash, KeyHash(2)("key").hash);
}

TEST(KeyHash, OfProcessIsTheSameAllTheTime) {
  EXPECT_EQ(KeyHash::of_process()("key").hash, KeyHash::of_process()("key").hash);
  EXPECT_NE(KeyHash::of_process()("key").hash, KeyHash(0)("key").hash);
}

TEST(KeyHash, MaskWeakensIt) {
  const KeyHash weak(1, 0x7);
  std::vector<int> seen(8);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t hash = weak("key" + std::to_string(i)).hash;
    ASSERT_LT(hash, 8U);
    ++seen[hash];
  }
  EXPECT_GT(*std::min_element(seen.begin(), seen.end()), 0);
}

TEST(BucketOf, TakesBits40To55) {
  EXPECT_EQ(bucket_of(0), 0U);
  EXPECT_EQ(bucket_of(uint64_t{1} << 40), 1U);
  EXPECT_EQ(bucket_of(uint64_t{0xFFFF} << 40), kBucketCount - 1);
  EXPECT_EQ(bucket_of(~(uint64_t{0xFFFF} << 40)), 0U);
}

TEST(JumpConsistentHash, StaysWithinTheCount) {
  for (uint64_t key = 0; key < 2000; ++key) {
    EXPECT_EQ(jump_consistent_hash(key, 1), 0U);
    for (const uint32_t count : {2U, 3U, 17U, 4096U}) {
      ASSERT_LT(jump_consistent_hash(key * 0x9E3779B97F4A7C15U, count), count);
    }
  }
}

TEST(JumpConsistentHash, MovesKeysOnlyToTheNewNumbers) {
  for (uint64_t key = 0; key < 2000; ++key) {
    uint32_t before = 0;
    for (uint32_t count = 2; count < 100; ++count) {
      const uint32_t now = jump_consistent_hash(key * 0x9E3779B97F4A7C15U, count);
      ASSERT_TRUE(now == before || now == count - 1)
          << key << " went from " << before << " to " << now << " at " << count;
      before = now;
    }
  }
}

TEST(JumpConsistentHash, SpreadsEvenly) {
  constexpr uint32_t kCount = 16;
  std::vector<int> load(kCount);
  for (uint64_t key = 0; key < 64000; ++key) {
    ++load[jump_consistent_hash(key * 0x9E3779B97F4A7C15U, kCount)];
  }
  // 4,000 each, give or take; six standard deviations are 370.
  EXPECT_GT(*std::min_element(load.begin(), load.end()), 3600);
  EXPECT_LT(*std::max_element(load.begin(), load.end()), 4400);
}

TEST(JumpConsistentHash, StepsGiveTheResultOfEveryCount) {
  for (uint64_t key = 1; key < 200; ++key) {
    std::vector<uint32_t> result(65);
    jump_consistent_hash_steps(key, 64, [&](int64_t bucket, int64_t next) {
      for (int64_t count = bucket + 1; count <= next && count <= 64; ++count) {
        result[static_cast<size_t>(count)] = static_cast<uint32_t>(bucket);
      }
    });
    for (uint32_t count = 1; count <= 64; ++count) {
      ASSERT_EQ(result[count], jump_consistent_hash(key, count));
    }
  }
}

}  // namespace
}  // namespace rkvs::internal
