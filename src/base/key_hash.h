// The hash of a key, and what its bits are used for.
#ifndef RKVS_BASE_KEY_HASH_H_
#define RKVS_BASE_KEY_HASH_H_

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <string_view>

namespace rkvs::internal {

// A key and its hash: computed once for each operation, used for routing and for the table.
struct HashedKey {
  std::string_view key;
  uint64_t hash;
};

// Seeded XXH3-64. The seed differs from process to process, so that nobody who chooses keys can
// choose where they land; nothing that depends on it is ever written to a file.
//
// `mask` keeps all bits in use; tests weaken the hash with it to make 64-bit collisions happen.
class KeyHash {
 public:
  explicit KeyHash(uint64_t seed, uint64_t mask = ~uint64_t{0}) : seed_(seed), mask_(mask) {}

  // A KeyHash with this process's seed, drawn from the system's random source at first use.
  static KeyHash of_process();

  [[gnu::always_inline]] HashedKey operator()(std::string_view key) const {
    // Only what short keys need is worth its place in every operation.
    const uint64_t hash =
        key.size() <= 16 ? XXH3_64bits_withSeed(key.data(), key.size(), seed_) : hash_of_long(key);
    return {key, hash & mask_};
  }

 private:
  uint64_t hash_of_long(std::string_view key) const;

  uint64_t seed_;
  uint64_t mask_;
};

// Routing divides the hash space into this many buckets.
#ifdef RKVS_SCHEDULES  // few enough for a test of every order in which a resize can move them
inline constexpr uint32_t kBucketCount = 64;
#else
inline constexpr uint32_t kBucketCount = 65536;
#endif

// The bucket is bits 40-55: the tables of shards take a byte from bits 56-63, and the position from
// bit 6 up, which leaves those in between free while a shard's table has fewer than 2^34 lines.
inline uint32_t bucket_of(uint64_t hash) {
  return static_cast<uint32_t>(hash >> 40) & (kBucketCount - 1);
}

// Jump consistent hash (Lamping and Veach, 2014): maps `key` evenly to [0, count), and when count
// grows moves only the keys that go to the new numbers. Calls `visit(bucket, next)` for each number
// on the way: the result for every count in (bucket, next] is `bucket`.
template <typename Visit>
void jump_consistent_hash_steps(uint64_t key, int64_t count, Visit visit) {
  int64_t bucket = 0;
  for (;;) {
    key = key * 2862933555777941757ULL + 1;
    const auto next = static_cast<int64_t>(
        static_cast<double>(bucket + 1) *
        (static_cast<double>(int64_t{1} << 31) / static_cast<double>((key >> 33) + 1)));
    visit(bucket, next);
    if (next >= count) return;
    bucket = next;
  }
}

inline uint32_t jump_consistent_hash(uint64_t key, uint32_t count) {
  int64_t result = 0;
  jump_consistent_hash_steps(key, count, [&](int64_t bucket, int64_t) { result = bucket; });
  return static_cast<uint32_t>(result);
}

}  // namespace rkvs::internal

#endif  // RKVS_BASE_KEY_HASH_H_
