// Keys by 128 bits of hash: what tells them apart in memory that does not depend on their length.
#ifndef RKVS_CLI_FINGERPRINT_H_
#define RKVS_CLI_FINGERPRINT_H_

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>

namespace rkvs::cli {

struct Fingerprint {
  uint64_t low = 0;
  uint64_t high = 0;

  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

// Every bit of a fingerprint is as good as any other.
struct FingerprintHash {
  // For Boost, which would mix them once more.
  using is_avalanching = void;  // NOLINT(readability-identifier-naming)
  size_t operator()(const Fingerprint& fingerprint) const { return fingerprint.low; }
};

// XXH3-128 with a seed of this run: which keys might collide, nobody can know beforehand. Among n
// keys the chance that any two of them do is about n^2 / 2^129: for a thousand million keys
// 1.5e-21.
class Fingerprinter {
 public:
  Fingerprinter() {
    std::random_device random;
    seed_ = (uint64_t{random()} << 32) | random();
  }

  Fingerprint operator()(std::string_view key) const {
    const XXH128_hash_t hash = XXH3_128bits_withSeed(key.data(), key.size(), seed_);
    return {hash.low64, hash.high64};
  }

 private:
  uint64_t seed_ = 0;
};

}  // namespace rkvs::cli

#endif  // RKVS_CLI_FINGERPRINT_H_
