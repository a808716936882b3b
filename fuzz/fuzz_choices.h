// Keys, values and configurations as fuzz targets choose them: few enough to meet often, and of all
// the sizes at which something changes.
#ifndef RKVS_FUZZ_FUZZ_CHOICES_H_
#define RKVS_FUZZ_FUZZ_CHOICES_H_

#include <rkvs/namespace.h>
#include <rkvs/options.h>

#include <array>
#include <cstdint>
#include <string>

#include "base/arena.h"
#include "base/key_hash.h"
#include "fuzz/checked_namespace.h"
#include "fuzz/fuzz_input.h"
#include "store/namespace_impl.h"
#include "store/table_memory.h"

namespace rkvs::fuzz {

inline std::string key_of(FuzzInput& input) {
  static const std::array<std::string, 14> keys = {
      "",
      "a",
      "b",
      "c",
      "ab",
      "key",
      std::string(1, '\0'),
      std::string(2, '\0'),
      std::string("a\0", 2),
      "\xff",
      "\x80\xfe",
      std::string(16, 'k'),
      std::string(17, 'k'),
      std::string(241, 'k')};  // XXH3 has another way of hashing from here on
  const uint32_t kind = input.below(64);
  // The largest key of the default configuration, and one more.
  if (kind == 63) return std::string(kDefaultMaxKeySize + input.below(2), 'k');
  // Now and then one that is not among the above.
  if (kind >= 56) return input.bytes(input.below(12));
  return keys[kind % keys.size()];
}

inline std::string value_of(FuzzInput& input) {
  static constexpr std::array<uint16_t, 16> sizes = {0,  1,  2,  3,   4,   7,    8,    15,
                                                     16, 17, 64, 100, 512, 4096, 4097, 6000};
  const size_t size = input.pick(sizes);
  return std::string(size, static_cast<char>(input.byte()));
}

// A hash that makes keys meet: in the table, in the bucket, in both.
inline internal::KeyHash hash_of(FuzzInput& input) {
  static constexpr std::array<uint64_t, 10> masks = {~uint64_t{0},
                                                     0,
                                                     1,
                                                     0x7F,
                                                     uint64_t{0xFE} << 56,
                                                     uint64_t{1} << 40,
                                                     uint64_t{7} << 40 | 1,
                                                     uint64_t{0xFFFF} << 40,
                                                     ~(uint64_t{0xFFFF} << 40),
                                                     ~uint64_t{0x7F}};
  return internal::KeyHash(0, input.pick(masks));
}

// A valid configuration with few shards.
inline NamespaceConfig config_of(FuzzInput& input) {
  static constexpr std::array<uint64_t, 8> max_keys = {0, 0, 0, 1, 2, 3, 5, 9};
  static constexpr std::array<uint64_t, 4> max_value_sizes = {0, 0, 4, 100};
  static constexpr std::array<uint64_t, 4> max_key_sizes = {kDefaultMaxKeySize, kDefaultMaxKeySize,
                                                            2, kLargestMaxKeySize};
  static constexpr std::array<uint32_t, 8> shard_counts = {1, 2, 3, 4, 5, 7, 16, 0};
  NamespaceConfig config;
  config.max_keys = input.pick(max_keys);
  config.max_value_size = input.pick(max_value_sizes);
  config.max_key_size = input.pick(max_key_sizes);
  config.shard_count = input.pick(shard_counts);
  // Nobody else is there to wait for; only the machine may stand still for a while.
  config.lock_timeout = kMaxLockTimeout;
  return config;
}

inline CheckedNamespace make_namespace(const NamespaceConfig& config,
                                       const internal::KeyHash& hash) {
  auto created = internal::NamespaceImpl::create("fuzz", config, 0, hash);
  RKVS_FUZZ_CHECK(created.ok());
  return {internal::NamespaceImpl::handle(*std::move(created)), config};
}

// True for one input in `n`: for what is too slow to be done for each, and shall not be done more
// often because it reaches code that nothing else does.
inline bool is_one_of(uint64_t n, const uint8_t* data, size_t size) {
  const internal::KeyHash hash(1);
  return hash({reinterpret_cast<const char*>(data), size}).hash % n == 0;
}

// Sees at its end that everything that was allocated since its beginning was given back.
class LeakCheck {
 public:
  LeakCheck() : before_(in_use()) {}
  ~LeakCheck() { RKVS_FUZZ_CHECK(in_use() == before_); }
  LeakCheck(const LeakCheck&) = delete;
  LeakCheck& operator=(const LeakCheck&) = delete;

 private:
  static size_t in_use() {
    // A thread keeps one spare block for tables: let it be the same one each time.
    RKVS_FUZZ_CHECK(internal::TableMemory::add_spare(256 * 1024));
    internal::TableMemory::free_dropped();
    return internal::Arena::stats().bytes_in_use;
  }

  const size_t before_;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_FUZZ_CHOICES_H_
