// Atomic batches of everything that may be in one, near limits and with expiries, against a
// ModelMap.
#include <array>
#include <string>

#include "fuzz/checked_namespace.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace {

using rkvs::AtomicBatch;
using rkvs::fuzz::CheckedNamespace;
using rkvs::fuzz::FuzzInput;
using rkvs::fuzz::FuzzTime;
using rkvs::fuzz::key_of;

constexpr int kMostBatches = 40;
constexpr size_t kMostOperations = 12;

// Keeps the texts that a batch refers to.
class Batch {
 public:
  Batch(FuzzInput& input, const FuzzTime& time, const CheckedNamespace& ns) {
    for (size_t n = input.below(kMostOperations + 1); n > 0; --n) append(input, time, ns);
  }
  const AtomicBatch& batch() const { return batch_; }

 private:
  void append(FuzzInput& input, const FuzzTime& time, const CheckedNamespace& ns) {
    const uint32_t operation = input.below(16);
    const std::string& key = keep(key_of(input));
    const auto options = [&] { return rkvs::fuzz::options_of(input, time); };
    const auto value = [&]() -> const std::string& {
      return keep(rkvs::fuzz::number_or_value_of(input));
    };
    switch (operation) {
      case 0:
      case 1:
      case 2: {
        const std::string& text = value();
        batch_.set(key, text, options());
        return;
      }
      case 3:
      case 4: {
        const std::string& text = value();
        batch_.add(key, text, options());
        return;
      }
      case 5: {
        const std::string& text = value();
        batch_.update(key, text, options());
        return;
      }
      case 6: batch_.delete_key(key); return;
      case 7: batch_.consume(key); return;
      case 8: {
        const uint64_t version = rkvs::fuzz::version_of(input, ns, key);
        const std::string& text = value();
        batch_.compare_and_set(key, version, text, options());
        return;
      }
      case 9: batch_.compare_and_delete(key, rkvs::fuzz::version_of(input, ns, key)); return;
      case 10: {
        const int64_t delta = rkvs::fuzz::delta_of(input);
        batch_.increment(key, delta, rkvs::fuzz::counter_options_of(input));
        return;
      }
      case 11: {
        const int64_t delta = rkvs::fuzz::delta_of(input);
        batch_.decrement(key, delta, rkvs::fuzz::counter_options_of(input));
        return;
      }
      case 12: batch_.check_version(key, rkvs::fuzz::version_of(input, ns, key)); return;
      // Most batches shall not fail by these.
      case 13:
        ns.data().contains(key) != (input.below(16) == 0) ? batch_.check_exists(key)
                                                          : batch_.check_absent(key);
        return;
      default: {
        // What succeeds but for limits.
        const std::string& text = value();
        batch_.set(key, text);
        return;
      }
    }
  }
  const std::string& keep(std::string text) {
    texts_[size_] = std::move(text);
    return texts_[size_++];
  }

  AtomicBatch batch_;
  std::array<std::string, 2 * kMostOperations> texts_;
  size_t size_ = 0;
};

void run(FuzzInput& input, bool lists) {
  const auto hash = rkvs::fuzz::hash_of(input);
  FuzzTime time;
  CheckedNamespace ns = rkvs::fuzz::make_namespace(rkvs::fuzz::config_of(input), hash, time);
  for (int n = 0; n < kMostBatches && !input.empty(); ++n) {
    switch (input.below(8)) {
      case 0:
        time.pass(input.below(32));
        ns.time_passed();
        break;
      case 1: {
        const std::string key = key_of(input);
        ns.put(key, rkvs::fuzz::number_or_value_of(input));
        break;
      }
      case 2: ns.get(key_of(input)); break;
      case 3: ns.set_max_bytes(rkvs::fuzz::max_bytes_of(input, ns)); break;
      default: ns.apply(Batch(input, time, ns).batch()); break;
    }
    if (n % 4 == 3) ns.check_figures();
  }
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
