// Keys, values and configurations as fuzz targets choose them: few enough to meet often, and of all
// the sizes at which something changes.
#ifndef RKVS_FUZZ_FUZZ_CHOICES_H_
#define RKVS_FUZZ_FUZZ_CHOICES_H_

#include <rkvs/namespace.h>
#include <rkvs/options.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include "base/arena.h"
#include "base/key_hash.h"
#include "base/time_source.h"
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

// What counters make something of, among others.
inline std::string number_or_value_of(FuzzInput& input) {
  static constexpr std::array<const char*, 10> numbers = {
      "0", "1", "-1", "99", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
      "",  "-", "007"};
  if (input.flag()) return value_of(input);
  return input.pick(numbers);
}

inline int64_t delta_of(FuzzInput& input) {
  static constexpr std::array<int64_t, 8> deltas = {1,
                                                    2,
                                                    0,
                                                    -1,
                                                    100,
                                                    std::numeric_limits<int64_t>::max(),
                                                    std::numeric_limits<int64_t>::min(),
                                                    std::numeric_limits<int64_t>::min() + 1};
  return input.pick(deltas);
}

// A clock that an input moves.
class FuzzTime final : public internal::TimeSource {
 public:
  int64_t steady_ms() const override { return steady_; }
  int64_t unix_ms() const override { return unix_; }

  void pass(int64_t ms) {
    steady_ += ms;
    unix_ += ms;
  }
  void set_wall_clock(int64_t ms) { unix_ = ms; }

 private:
  int64_t steady_ = 1000;
  int64_t unix_ = 1'800'000'000'000;
};

// Now and then what is refused, seldom what is over already.
inline WriteOptions options_of(FuzzInput& input, const FuzzTime& time) {
  using std::chrono::milliseconds;
  using Time = std::chrono::system_clock::time_point;
  const uint32_t kind = input.below(16);
  switch (kind) {
    case 0:
    case 1:
    case 2:
    case 3: return {.expire_after = milliseconds(1 + input.below(20))};
    case 4: return {.expire_at = Time(milliseconds(time.unix_ms() + 1 + input.below(20)))};
    case 5:
    case 6: return {.keep_ttl = true};
    case 7: {
      static constexpr std::array<int64_t, 4> odd = {0, -1, std::numeric_limits<int64_t>::min(),
                                                     std::numeric_limits<int64_t>::max()};
      return {.expire_after = milliseconds(input.pick(odd))};
    }
    case 8: return {.expire_after = milliseconds(1), .keep_ttl = true};
    case 9: return {.expire_at = Time(milliseconds(time.unix_ms() - input.below(20)))};
    case 10: return {.expire_at = input.flag() ? Time::min() : Time::max()};
    default: return {};
  }
}

inline CounterOptions counter_options_of(FuzzInput& input) {
  CounterOptions options{.initial = input.flag() ? 0 : delta_of(input)};
  if (input.below(4) == 0) options.expire_after = std::chrono::milliseconds(input.below(20));
  return options;
}

// The version that the key has, or one that it has not.
inline uint64_t version_of(FuzzInput& input, const CheckedNamespace& ns, const std::string& key) {
  const uint32_t kind = input.below(8);
  if (kind == 0) return input.number();
  return ns.version_of(key) + (kind == 1 ? 1 : 0);
}

// A limit that is near.
inline uint64_t max_bytes_of(FuzzInput& input, const CheckedNamespace& ns) {
  const auto stats = ns.ns().metadata();
  const uint64_t now = stats.ok() ? stats->memory_bytes : 0;
  switch (input.below(6)) {
    case 0: return 0;
    case 1: return now;
    case 2: return now == 0 ? 0 : now - 1;
    case 3: return now + input.below(256);
    case 4: return now + input.below(256) * 64;
    default: return input.number();
  }
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

inline CheckedNamespace make_namespace(
    const NamespaceConfig& config, const internal::KeyHash& hash,
    const internal::TimeSource& time = internal::TimeSource::real()) {
  auto created = internal::NamespaceImpl::create("fuzz", config, 0, hash, time);
  RKVS_FUZZ_CHECK(created.ok());
  return {internal::NamespaceImpl::handle(*std::move(created)), config, time};
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
