// Batches of both modes, with keys that come twice and limits that are near, against a ModelMap.
#include <utility>

#include "fuzz/checked_namespace.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace {

using rkvs::BatchMode;
using rkvs::fuzz::CheckedNamespace;
using rkvs::fuzz::FuzzInput;
using rkvs::fuzz::key_of;
using rkvs::fuzz::value_of;

constexpr int kMostOperations = 60;

std::vector<std::string> keys_of(FuzzInput& input) {
  std::vector<std::string> keys;
  for (uint32_t n = input.below(12); n > 0; --n) keys.push_back(key_of(input));
  return keys;
}

std::vector<std::pair<std::string, std::string>> items_of(FuzzInput& input) {
  std::vector<std::pair<std::string, std::string>> items;
  for (uint32_t n = input.below(12); n > 0; --n) {
    std::string key = key_of(input);
    items.emplace_back(std::move(key), value_of(input));
  }
  return items;
}

// Longer than the slices in which best effort works, with a key in two of them.
std::vector<std::pair<std::string, std::string>> many_items(FuzzInput& input) {
  std::vector<std::pair<std::string, std::string>> items;
  const uint32_t size = 1020 + input.below(8);
  const uint32_t different = 1 + input.below(255) * 4;
  for (uint32_t i = 0; i < size; ++i) {
    items.emplace_back("many" + std::to_string(i % different), std::string(i % 7, 'v'));
  }
  return items;
}

void run(FuzzInput& input, bool thorough) {
  const auto hash = rkvs::fuzz::hash_of(input);
  rkvs::fuzz::FuzzTime time;
  CheckedNamespace ns = rkvs::fuzz::make_namespace(rkvs::fuzz::config_of(input), hash, time);
  int long_batches = thorough ? 1 : 0;
  for (int n = 0; n < kMostOperations && !input.empty(); ++n) {
    const uint32_t operation = input.below(24);
    const BatchMode mode = input.flag() ? BatchMode::kAllOrNothing : BatchMode::kBestEffort;
    switch (operation) {
      case 0:
      case 1: ns.get_multiple(keys_of(input), mode); break;
      case 2:
      case 3: ns.delete_multiple(keys_of(input), mode); break;
      case 4:
      case 5: ns.consume_multiple(keys_of(input), mode); break;
      case 6: ns.put(key_of(input), value_of(input)); break;
      case 7: ns.delete_key(key_of(input)); break;
      case 8: {
        if (long_batches-- <= 0) break;
        const auto items = many_items(input);
        ns.set_multiple(items, mode);
        std::vector<std::string> keys;
        for (const auto& item : items) keys.push_back(item.first);
        ns.get_multiple(keys, mode);
        ns.check_figures();
        if (input.flag()) ns.consume_multiple(keys, mode);
        break;
      }
      case 9: ns.exists_multiple(keys_of(input), mode); break;
      case 10:
      case 11:
      case 12: {
        const auto items = items_of(input);
        ns.update_multiple(items, mode, rkvs::fuzz::options_of(input, time));
        break;
      }
      case 13:
      case 14:
      case 15:
      case 16: {
        const auto items = items_of(input);
        ns.set_multiple(items, mode, rkvs::fuzz::options_of(input, time));
        break;
      }
      case 17:
        time.pass(input.below(32));
        ns.time_passed();
        continue;  // without a look at the figures, which has everything reclaimed
      default: ns.set_multiple(items_of(input), mode); break;
    }
    if (n % 4 == 3) ns.check_figures();
  }
  ns.check_values();
  if (thorough) ns.check_list();
  ns.check_held();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const rkvs::fuzz::LeakCheck leak_check;
  FuzzInput input(data, size);
  run(input, rkvs::fuzz::is_one_of(16, data, size));
  return 0;
}
