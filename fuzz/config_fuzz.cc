// Limits and shard counts that change under the data, against a ModelMap; and every field against
// its documented range.
#include <array>
#include <chrono>
#include <limits>

#include "fuzz/checked_namespace.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace {

using rkvs::NamespaceConfig;
using rkvs::fuzz::CheckedNamespace;
using rkvs::fuzz::FuzzInput;
using rkvs::fuzz::key_of;
using rkvs::fuzz::value_of;
using Milliseconds = std::chrono::milliseconds;

constexpr int kMostOperations = 100;
// In one input of four: a resize goes through 65,536 buckets and takes far longer than everything
// else here together.
constexpr int kMostResizes = 2;

uint64_t max_keys_of(FuzzInput& input, const CheckedNamespace& ns) {
  const uint64_t keys = ns.data().size();
  switch (input.below(6)) {
    case 0: return 0;
    case 1: return keys;
    case 2: return keys + 1;
    case 3: return keys == 0 ? 0 : keys - 1;
    case 4: return input.below(8);
    default: return input.number();
  }
}

uint64_t max_value_size_of(FuzzInput& input) {
  static constexpr std::array<uint64_t, 8> sizes = {
      0, 1, 4, 16, 4096, uint64_t{1} << 30, (uint64_t{1} << 30) + 1, ~uint64_t{0}};
  return input.flag() ? input.pick(sizes) : input.number();
}

uint64_t max_key_size_of(FuzzInput& input) {
  static constexpr std::array<uint64_t, 8> sizes = {
      0, 1, 2, 16, 65536, uint64_t{1} << 20, (uint64_t{1} << 20) + 1, ~uint64_t{0}};
  return input.flag() ? input.pick(sizes) : input.number();
}

Milliseconds lock_timeout_of(FuzzInput& input) {
  static constexpr std::array<int64_t, 8> times = {-1,
                                                   0,
                                                   1,
                                                   500,
                                                   3'600'000,
                                                   3'600'001,
                                                   std::numeric_limits<int64_t>::max(),
                                                   std::numeric_limits<int64_t>::min()};
  return Milliseconds(input.flag() ? input.pick(times) : static_cast<int64_t>(input.number()));
}

// One that is refused, the present one, or, as long as there are resizes left, another one.
uint32_t shard_count_of(FuzzInput& input, const CheckedNamespace& ns, int& resizes) {
  static constexpr std::array<uint32_t, 4> refused = {4097, 65535, 65536, ~uint32_t{0}};
  static constexpr std::array<uint32_t, 12> counts = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 64, 0};
  const uint32_t kind = input.below(8);
  if (kind == 0) return input.pick(refused);
  if (kind == 1 || resizes == 0) return ns.config().shard_count;
  --resizes;
  if (kind == 2) return 4096;
  return input.pick(counts);
}

// Every field anew, most of them valid most of the time.
NamespaceConfig any_config(FuzzInput& input, const CheckedNamespace& ns, int& resizes) {
  NamespaceConfig config = ns.config();
  const uint8_t fields = input.byte();
  if ((fields & 1) != 0) config.max_keys = max_keys_of(input, ns);
  if ((fields & 2) != 0) config.max_value_size = max_value_size_of(input);
  if ((fields & 4) != 0) config.max_key_size = max_key_size_of(input);
  if ((fields & 8) != 0) config.lock_timeout = lock_timeout_of(input);
  if ((fields & 64) != 0) config.max_bytes = rkvs::fuzz::max_bytes_of(input, ns);
  if ((fields & 48) == 48) config.shard_count = shard_count_of(input, ns, resizes);
  return config;
}

void run(FuzzInput& input, bool lists) {
  const auto hash = rkvs::fuzz::hash_of(input);
  CheckedNamespace ns = rkvs::fuzz::make_namespace(rkvs::fuzz::config_of(input), hash);
  int resizes = input.below(4) == 3 ? kMostResizes : 0;
  for (int n = 0; n < kMostOperations && !input.empty(); ++n) {
    switch (input.below(16)) {
      case 0: ns.set_max_keys(max_keys_of(input, ns)); break;
      case 1: ns.set_max_value_size(max_value_size_of(input)); break;
      case 2: ns.set_lock_timeout(lock_timeout_of(input)); break;
      case 3: ns.update_config(any_config(input, ns, resizes)); break;
      case 4:
        ns.resize_shards(shard_count_of(input, ns, resizes));
        // Every key has come along.
        for (const auto& [key, value] : ns.values()) ns.exists(key);
        break;
      case 5: ns.get(key_of(input)); break;
      case 6: ns.delete_key(key_of(input)); break;
      case 7: ns.consume(key_of(input)); break;
      case 8: {
        const std::string key = key_of(input);
        ns.update(key, value_of(input));
        break;
      }
      case 10: ns.set_max_bytes(rkvs::fuzz::max_bytes_of(input, ns)); break;
      case 9: {
        const std::string first = key_of(input);
        const std::string second = key_of(input);
        ns.set_multiple({{first, "1"}, {second, "2"}}, rkvs::BatchMode::kAllOrNothing);
        break;
      }
      default: {
        const std::string key = key_of(input);
        ns.put(key, value_of(input));
        break;
      }
    }
    ns.check_figures();
  }
  ns.check_values();
  if (lists) ns.check_list();
  ns.check_held();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const rkvs::fuzz::LeakCheck leak_check;
  FuzzInput input(data, size);
  run(input, rkvs::fuzz::is_one_of(16, data, size));
  return 0;
}
