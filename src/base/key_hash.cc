#include "base/key_hash.h"

#include <sys/random.h>

#include <chrono>

namespace rkvs::internal {
namespace {

uint64_t draw_seed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == sizeof seed) return seed;
  // No random source yet (early boot): the clock and this process's layout differ enough between
  // runs to keep placement from being the same everywhere.
  const auto now = std::chrono::high_resolution_clock::now().time_since_epoch().count();
  return XXH3_64bits(&now, sizeof now) ^ reinterpret_cast<uintptr_t>(&seed);
}

}  // namespace

KeyHash KeyHash::of_process() {
  static const uint64_t seed = draw_seed();
  return KeyHash(seed);
}

uint64_t KeyHash::hash_of_long(std::string_view key) const {
  return XXH3_64bits_withSeed(key.data(), key.size(), seed_);
}

}  // namespace rkvs::internal
