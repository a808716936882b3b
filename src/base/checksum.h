// The checksum of snapshot frames: XXH3-64 with seed 0, as xxHash 0.8 fixed it for all time.
#ifndef RKVS_BASE_CHECKSUM_H_
#define RKVS_BASE_CHECKSUM_H_

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <string_view>

namespace rkvs::internal {

// The checksum of bytes that come in pieces: it depends on their concatenation alone. It is there
// against accidents, not against intent: whoever can write the file can write the checksum.
class Checksum {
 public:
  Checksum() { XXH3_64bits_reset(&state_); }

  void update(std::string_view bytes) { XXH3_64bits_update(&state_, bytes.data(), bytes.size()); }
  // Of everything so far; more may follow.
  uint64_t digest() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_CHECKSUM_H_
