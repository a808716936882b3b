// Steps of the C API's fuzz target on atomic batches.
#ifndef RKVS_FUZZ_CAPI_ATOMICS_H_
#define RKVS_FUZZ_CAPI_ATOMICS_H_

#include <memory>
#include <string>
#include <utility>

#include "capi/rkvs.h"
#include "fuzz/capi_calls.h"
#include "fuzz/capi_handles.h"
#include "fuzz/capi_model.h"
#include "fuzz/capi_operations.h"
#include "fuzz/capi_spaces.h"
#include "fuzz/fuzz_choices.h"
#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

class AtomicSteps : public SpaceSteps {
 protected:
  using SpaceSteps::SpaceSteps;

  // --- Atomic batches
  // -------------------------------------------------------------------------------

  void fill_atomic() {
    const bool fresh = input_.below(4) == 0 || atomics_.empty();
    if (fresh) {
      rkvs_atomic_batch* batch = nullptr;
      RKVS_FUZZ_CHECK(rkvs_atomic_batch_create(&batch, nullptr) == RKVS_OK);
      atomics_.add({batch, std::make_shared<AtomicContent>()});
    }
    const AtomicRef& ref = fresh ? atomics_.refs().back() : *atomics_.pick(input_);
    rkvs_atomic_batch* const handle = ref.handle;
    AtomicContent& content = *ref.content;
    if (input_.below(32) == 0 || content.batch.size() > 16) {
      RKVS_FUZZ_CHECK(rkvs_atomic_batch_clear(handle, nullptr) == RKVS_OK);
      content.batch.clear();
      return;
    }
    using Op = AtomicBatch::Op;
    const auto op = static_cast<Op>(input_.below(static_cast<uint32_t>(Op::kCheckAbsent) + 1));
    const std::string& key = content.bytes.emplace_back(c_key_of(input_));
    const std::string& value = content.bytes.emplace_back(number_or_value_of(input_));
    AtomicBatch::Operation operation{.op = op, .key = key};
    Argument k = argument_of(input_, key);
    Argument v;
    Shaped<rkvs_write_options> options;
    Shaped<rkvs_counter_options> counter;
    const bool writes =
        op == Op::kSet || op == Op::kAdd || op == Op::kUpdate || op == Op::kCompareAndSet;
    if (writes) {
      operation.value = value;
      v = argument_of(input_, value);
      if (input_.flag()) {
        operation.options = c_options_of(input_);
        options = shaped(input_, to_c(operation.options));
      }
    } else if (op == Op::kIncrement) {
      operation.delta = delta_of(input_);
      operation.subtract = input_.flag();
      if (input_.flag()) {
        const CounterOptions with{.initial = delta_of(input_)};
        operation.initial = with.initial;
        counter = shaped(input_, to_c(with));
      }
    }
    if (op == Op::kCompareAndSet || op == Op::kCompareAndDelete || op == Op::kCheckVersion) {
      operation.version = input_.number();
    }
    // Which of two mistakes is told is not said anywhere: one is enough.
    const bool is_refused = options.refused != RKVS_OK || counter.refused != RKVS_OK;
    if (is_refused) k.missing = v.missing = false;
    rkvs_status status = RKVS_E_INTERNAL;
    switch (op) {
      case Op::kSet:
        status = rkvs_atomic_batch_set(handle, k.data(), k.size, v.data(), v.size, options.get(),
                                       nullptr);
        break;
      case Op::kAdd:
        status = rkvs_atomic_batch_add(handle, k.data(), k.size, v.data(), v.size, options.get(),
                                       nullptr);
        break;
      case Op::kUpdate:
        status = rkvs_atomic_batch_update(handle, k.data(), k.size, v.data(), v.size, options.get(),
                                          nullptr);
        break;
      case Op::kCompareAndSet:
        status = rkvs_atomic_batch_compare_and_set(handle, k.data(), k.size, operation.version,
                                                   v.data(), v.size, options.get(), nullptr);
        break;
      case Op::kDelete:
        status = rkvs_atomic_batch_delete_key(handle, k.data(), k.size, nullptr);
        break;
      case Op::kConsume:
        status = rkvs_atomic_batch_consume(handle, k.data(), k.size, nullptr);
        break;
      case Op::kCompareAndDelete:
        status = rkvs_atomic_batch_compare_and_delete(handle, k.data(), k.size, operation.version,
                                                      nullptr);
        break;
      case Op::kIncrement:
        status = (operation.subtract ? rkvs_atomic_batch_decrement : rkvs_atomic_batch_increment)(
            handle, k.data(), k.size, operation.delta, counter.get(), nullptr);
        break;
      case Op::kCheckVersion:
        status =
            rkvs_atomic_batch_check_version(handle, k.data(), k.size, operation.version, nullptr);
        break;
      case Op::kCheckExists:
        status = rkvs_atomic_batch_check_exists(handle, k.data(), k.size, nullptr);
        break;
      case Op::kCheckAbsent:
        status = rkvs_atomic_batch_check_absent(handle, k.data(), k.size, nullptr);
        break;
    }
    const bool has_no_bytes = (k.missing && k.size != 0) || (v.missing && v.size != 0);
    const rkvs_status expected = has_no_bytes                 ? RKVS_E_INVALID_ARGUMENT
                                 : options.refused != RKVS_OK ? options.refused
                                                              : counter.refused;
    RKVS_FUZZ_CHECK(status == expected);
    if (status == RKVS_OK) content.batch.append(operation);
  }

  void apply() {
    const NamespaceRef* const ref = settled();
    const AtomicRef* const atomic = atomics_.pick(input_);
    if (ref == nullptr || atomic == nullptr) return;
    Space& space = *ref->space;
    const auto& operations = atomic->content->batch.operations();
    Texts keys;
    bool valid = true;
    for (const auto& operation : operations) {
      keys.emplace_back(operation.key);
      valid = valid && ModelMap::are_valid(operation.options);
    }
    Call call = space_call(*ref, RKVS_OP_APPLY);
    if (!valid && !space.closed) {
      call.expected.status = RKVS_E_INVALID_ARGUMENT;
      call.expected.items = std::make_shared<std::vector<ModelItem>>(
          keys.size(), ModelItem{StatusCode::kInvalidArgument});
    } else {
      call.expected = expect_batch(space, keys, true, [&](ModelMap::Data& data, size_t i) {
        return space.map.play(data, operations[i]);
      });
    }
    if (space.closed) call.also = {RKVS_E_INVALID_ARGUMENT};
    rkvs_namespace* const handle = ref->handle;
    rkvs_atomic_batch* const batch = atomic->handle;
    call.now = [=](rkvs_completion& c, rkvs_error** e) {
      return rkvs_namespace_apply(handle, batch, &c.batch, e);
    };
    call.later = [=](auto* how, auto* out, auto* op, auto* e) {
      return rkvs_namespace_apply_async(handle, batch, how, out, op, e);
    };
    calls_.make(std::move(call), handle);
  }
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CAPI_ATOMICS_H_
