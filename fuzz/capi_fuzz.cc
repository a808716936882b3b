// Sequences of calls of the C API on a few stores, against a model: every kind of handle, retained
// and released in any order, while operations are on and after all else has gone; synchronous
// calls, and asynchronous ones told inline, by queue or by callback, cancelled and closed under
// way; NULL, structures of other sizes, flags that do not exist.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include "capi/rkvs.h"
#include "fuzz/capi_atomics.h"
#include "fuzz/capi_calls.h"
#include "fuzz/capi_handles.h"
#include "fuzz/capi_operations.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/threads_gone.h"

namespace rkvs::fuzz {
namespace {

constexpr int kMostSteps = 120;
constexpr size_t kMostQueues = 4;

class Run : public AtomicSteps {
 public:
  explicit Run(FuzzInput& input) : AtomicSteps(input) {
    persists_ = input_.below(8) == 0;
    if (!persists_) return;
    for (const auto& entry : std::filesystem::directory_iterator(directory())) {
      std::filesystem::remove(entry.path());
    }
  }

  void run() {
    open();
    // Most of what follows needs these.
    create();
    make_queue();
    for (int n = 0; n < kMostSteps && !input_.empty(); ++n) step();
    finish();
  }

 private:
  void step() {
    const uint32_t kind = input_.below(64);
    switch (kind) {
      case 0: return open();
      case 1:
      case 2:
      case 3: return create();
      case 4: return get_namespace();
      case 5: return delete_namespace();
      case 6: return clone();
      case 7: return figures_of_store();
      case 8: return configure_store();
      case 9: return close();
      case 10: return initialize();
      case 11:
      case 12:
      case 13:
      case 14: return release();
      case 15:
      case 16: return retain();
      case 17: return make_queue();
      case 18: return close_queue();
      case 19: return calls_.poll();
      case 20: return calls_.release_queue();
      case 21: return calls_.cancel();
      case 22:
      case 23: return list_or_walk();
      case 24:
      case 25: return next_of_walk();
      case 26: return remove_many();
      case 27: return resize();
      case 28: return configure();
      case 29: return transform();
      case 30: return figures();
      case 31: return get_into();
      case 32: return check_all();
      case 33:
      case 34:
      case 35: return fill_atomic();
      case 36:
      case 37: return apply();
      case 38: return save();
      case 39: return load();
      case 40:
      case 41:
      case 42:
      case 43:
      case 44:
      case 45:
      case 46: {
        const NamespaceRef* const ns = settled();
        if (ns != nullptr) calls_.make(batch_call(input_, *ns), ns->handle);
        return;
      }
      default: {
        const NamespaceRef* const ns = settled();
        if (ns != nullptr) calls_.make(key_call(input_, *ns), ns->handle);
        return;
      }
    }
  }
  // --- Handles
  // --------------------------------------------------------------------------------------

  void make_queue() {
    if (calls_.queues.refs().size() >= kMostQueues) return;
    rkvs_queue* queue = nullptr;
    RKVS_FUZZ_CHECK(rkvs_queue_create(&queue, nullptr) == RKVS_OK);
    calls_.queues.add({queue, std::make_shared<QueueState>()});
  }

  void close_queue() {
    const QueueRef* const ref = calls_.queues.pick(input_);
    if (ref == nullptr || input_.below(4) != 0) return;
    RKVS_FUZZ_CHECK(rkvs_queue_close(ref->handle, nullptr) == RKVS_OK);
    ref->state->closed = true;
  }

  void retain() {
    switch (input_.below(11)) {
      case 0: return managers_.retain(input_);
      case 1: return scans_.retain(input_);
      case 2: return atomics_.retain(input_);
      case 3: return reports_.retain(input_);
      case 4: return calls_.values.retain(input_);
      case 5: return calls_.results.retain(input_);
      case 6: return calls_.lists.retain(input_);
      case 7: return calls_.errors.retain(input_);
      case 8: return calls_.operations.retain(input_);
      case 9:
        if (calls_.queues.refs().size() < kMostQueues) calls_.queues.retain(input_);
        return;
      default: return namespaces_.retain(input_);
    }
  }

  void release() {
    switch (input_.below(11)) {
      case 0: return managers_.release(input_);
      case 1: return scans_.release(input_);
      case 2: return atomics_.release(input_);
      case 3: return reports_.release(input_);
      case 4: return calls_.values.release(input_);
      case 5: return calls_.results.release(input_);
      case 6: return calls_.lists.release(input_);
      case 7: return calls_.errors.release(input_);
      case 8: return calls_.operations.release(input_);
      default: return namespaces_.release(input_);
    }
  }

  void check_all() {
    managers_.check();
    namespaces_.check();
    atomics_.check();
    reports_.check();
    calls_.values.check();
    calls_.results.check();
    for (const ResultRef& ref : calls_.results.refs()) ref.check_view();
    calls_.lists.check();
    calls_.errors.check();
    calls_.queues.check();
  }

  // Gives everything back, in an order of the input's choice: what keeps the store alive may go
  // first, or while operations are on.
  void finish() {
    if (persists_) calls_.settle_all();
    if (input_.below(4) == 0) {
      calls_.settle_all();
      check_all();
    }
    if (persists_ || input_.flag()) {
      for (const ManagerRef& ref : managers_.refs()) close(ref);
    }
    const uint32_t order = input_.below(4);
    for (uint32_t i = 0; i < 4; ++i) release_kind((i + order) % 4);
    // What calls back still may bring handles.
    calls_.settle_callbacks();
    for (uint32_t i = 0; i < 4; ++i) release_kind(i);
  }

  void release_kind(uint32_t kind) {
    switch (kind) {
      case 0: return managers_.release_all();
      case 1: return namespaces_.release_all();
      case 2: return calls_.release_all();
      default:
        scans_.release_all();
        atomics_.release_all();
        reports_.release_all();
    }
  }
};

}  // namespace
}  // namespace rkvs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const rkvs::fuzz::LeakCheck leak_check;
  // The last reference on a store may be that of an operation, and its end on another thread.
  const rkvs::fuzz::ThreadsGone threads_gone;
  rkvs::fuzz::FuzzInput input(data, size);
  rkvs::fuzz::Run(input).run();
  return 0;
}
