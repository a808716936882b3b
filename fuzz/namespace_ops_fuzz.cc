// Operations on one key at a time, against a std::map.
#include "fuzz/checked_namespace.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace {

constexpr int kMostOperations = 200;

void run(rkvs::fuzz::FuzzInput& input, bool lists) {
  using rkvs::fuzz::key_of;
  using rkvs::fuzz::value_of;
  const auto hash = rkvs::fuzz::hash_of(input);
  rkvs::fuzz::CheckedNamespace ns = rkvs::fuzz::make_namespace(rkvs::fuzz::config_of(input), hash);
  for (int n = 0; n < kMostOperations && !input.empty(); ++n) {
    const uint32_t operation = input.below(16);
    const std::string key = key_of(input);
    switch (operation) {
      case 0:
      case 1:
      case 2: ns.set(key, value_of(input)); break;
      case 3:
      case 4:
      case 5:
      case 6: ns.put(key, value_of(input)); break;
      case 7:
      case 8: ns.update(key, value_of(input)); break;
      case 9:
      case 10: ns.delete_key(key); break;
      case 11: ns.consume(key); break;
      case 12: ns.exists(key); break;
      case 13: ns.check_held(); break;
      default: ns.get(key); break;
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
  rkvs::fuzz::FuzzInput input(data, size);
  run(input, rkvs::fuzz::is_one_of(16, data, size));
  return 0;
}
