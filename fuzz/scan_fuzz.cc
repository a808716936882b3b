// Scans, delete_prefix and clear, while keys come and go, expire, and move between shards.
#include <array>
#include <string>

#include "fuzz/checked_namespace.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace {

using rkvs::fuzz::CheckedNamespace;
using rkvs::fuzz::FuzzInput;
using rkvs::fuzz::FuzzTime;
using rkvs::fuzz::key_of;

// Each goes through 65,536 buckets at least once, and so does each resize.
constexpr int kMostScans = 3;
constexpr int kMostResizes = 3;
constexpr int kMostOperations = 60;

class Run {
 public:
  explicit Run(FuzzInput& input)
      : input_(input),
        hash_(rkvs::fuzz::hash_of(input)),
        ns_(rkvs::fuzz::make_namespace(rkvs::fuzz::config_of(input), hash_, time_)) {}

  void run() {
    for (int n = 0; n < kMostOperations && !input_.empty(); ++n) {
      const uint32_t operation = input_.below(16);
      if (operation < 3) {
        scan();
      } else if (operation == 3 && scans_ < kMostScans) {
        ++scans_;
        ns_.delete_prefix(prefix());
      } else if (operation == 4 && input_.below(4) == 0) {
        ns_.clear();
      } else {
        change();
      }
    }
    ns_.check_values();
    ns_.check_figures();
    ns_.check_held();
  }

 private:
  std::string prefix() {
    static const std::array<std::string, 8> prefixes = {
        "", "a", "k", "ab", "key", std::string(1, '\0'), "\xff", std::string(17, 'k')};
    const uint32_t kind = input_.below(10);
    return kind < prefixes.size() ? prefixes[kind] : input_.bytes(input_.below(4));
  }

  void scan() {
    if (scans_++ >= kMostScans) return;
    const std::string begins = prefix();
    const size_t limit = 1 + input_.below(6);
    const bool with_values = input_.flag();
    ns_.scan(begins, limit, with_values, [this] {
      for (uint32_t n = input_.below(4); n > 0; --n) change();
    });
  }

  // Not more than one change of a key at a time: a scan takes a key that is there before and after
  // for one that stayed.
  void change() {
    const uint32_t operation = input_.below(16);
    const std::string key = key_of(input_);
    switch (operation) {
      case 0:
      case 1: return ns_.delete_key(key);
      case 2: return ns_.consume(key);
      case 3: {
        time_.pass(input_.below(16));
        return ns_.time_passed();
      }
      case 4:
      case 5:
        if (resizes_++ >= kMostResizes) return;
        return ns_.resize_shards(1 + input_.below(20));
      case 6: return ns_.touch(key, rkvs::fuzz::options_of(input_, time_));
      case 7:
      case 8: {
        const std::string value = rkvs::fuzz::value_of(input_);
        return ns_.put(key, value, rkvs::fuzz::options_of(input_, time_));
      }
      case 9: return ns_.increment(key, 1);
      default: return ns_.put(key, rkvs::fuzz::value_of(input_));
    }
  }

  FuzzInput& input_;
  const rkvs::internal::KeyHash hash_;
  FuzzTime time_;
  CheckedNamespace ns_;
  int scans_ = 0;
  int resizes_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const rkvs::fuzz::LeakCheck leak_check;
  FuzzInput input(data, size);
  Run(input).run();
  return 0;
}
