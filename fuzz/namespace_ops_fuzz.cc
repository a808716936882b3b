// Operations on one key at a time, with expiries, versions and counters, against a ModelMap.
#include <optional>
#include <string>

#include "fuzz/checked_namespace.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace {

using rkvs::fuzz::CheckedNamespace;
using rkvs::fuzz::FuzzInput;
using rkvs::fuzz::FuzzTime;
using rkvs::fuzz::options_of;
using rkvs::fuzz::value_of;

constexpr int kMostOperations = 200;

void pass_time(FuzzInput& input, FuzzTime& time, CheckedNamespace& ns) {
  const uint32_t by = input.below(64);
  if (by == 63) {
    time.set_wall_clock(static_cast<int64_t>(input.number() >> 24));
  } else {
    time.pass(by < 32 ? by : int64_t{by} * 1000);
  }
  ns.time_passed();
}

void step(FuzzInput& input, FuzzTime& time, CheckedNamespace& ns) {
  const uint32_t operation = input.below(32);
  const std::string key = rkvs::fuzz::key_of(input);
  switch (operation) {
    case 0: return ns.set(key, value_of(input));
    case 1:
    case 2: {
      const std::string value = value_of(input);
      return ns.set(key, value, options_of(input, time));
    }
    case 3:
    case 4: return ns.put(key, value_of(input));
    case 5:
    case 6: {
      const std::string value = value_of(input);
      return ns.put(key, value, options_of(input, time));
    }
    case 7: return ns.put(key, rkvs::fuzz::number_or_value_of(input));
    case 8:
    case 9: {
      const std::string value = value_of(input);
      return ns.update(key, value, options_of(input, time));
    }
    case 10:
    case 11: {
      const std::string value = value_of(input);
      return ns.add(key, value, options_of(input, time));
    }
    case 12:
    case 13: {
      const uint64_t version = rkvs::fuzz::version_of(input, ns, key);
      const std::string value = value_of(input);
      return ns.compare_and_set(key, version, value, options_of(input, time));
    }
    case 14: return ns.compare_and_delete(key, rkvs::fuzz::version_of(input, ns, key));
    case 15: return ns.delete_key(key);
    case 16: return ns.consume(key);
    case 17: return ns.exists(key);
    case 18: return ns.ttl(key);
    case 19:
    case 20: return ns.touch(key, options_of(input, time));
    case 21: return ns.persist(key);
    case 22:
    case 23: {
      const bool subtract = input.flag();
      const int64_t delta = rkvs::fuzz::delta_of(input);
      return ns.increment(key, delta, subtract, rkvs::fuzz::counter_options_of(input));
    }
    case 24:
    case 25:
      return ns.transform(key, input.below(4) == 0 ? std::nullopt : std::optional(value_of(input)));
    case 26:
    case 27:
    case 28: return pass_time(input, time, ns);
    case 29: return ns.check_held();
    // Has everything reclaimed that has expired: not after each step.
    case 30: return ns.check_figures();
    default: return ns.get(key);
  }
}

void run(FuzzInput& input, bool lists) {
  const auto hash = rkvs::fuzz::hash_of(input);
  FuzzTime time;
  CheckedNamespace ns = rkvs::fuzz::make_namespace(rkvs::fuzz::config_of(input), hash, time);
  for (int n = 0; n < kMostOperations && !input.empty(); ++n) step(input, time, ns);
  ns.check_values();
  ns.check_figures();
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
