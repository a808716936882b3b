// What a run of the C API's fuzz target has in its hands, and what its steps share.
#ifndef RKVS_FUZZ_CAPI_STATE_H_
#define RKVS_FUZZ_CAPI_STATE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "capi/rkvs.h"
#include "fuzz/capi_calls.h"
#include "fuzz/capi_handles.h"
#include "fuzz/capi_model.h"
#include "fuzz/capi_operations.h"
#include "fuzz/fuzz_directory.h"
#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

inline const char* name_of(FuzzInput& input) {
  static const std::string too_long(129, 'x');
  static const std::array<const char*, 8> names = {"a",           "b",  "c", "d",
                                                   "caf\xc3\xa9", "\n", "",  too_long.c_str()};
  // Most of them good.
  const uint32_t kind = input.below(32);
  return names[kind < 8 ? kind : kind % 4];
}
inline bool is_valid_name(const std::string& name) {
  return !name.empty() && name.size() <= 128 && name != "\n";
}

// What a file holds.
struct SavedSpace {
  NamespaceConfig config;
  ModelMap::Data data;
};
struct SavedStore {
  uint64_t max_namespaces = 0;
  std::map<std::string, SavedSpace> spaces;
  uint64_t keys() const {
    uint64_t keys = 0;
    for (const auto& [name, space] : spaces) keys += space.data.size();
    return keys;
  }
};

class CapiState {
 protected:
  explicit CapiState(FuzzInput& input) : input_(input), calls_(input) {}

  const ManagerRef* settled_manager() {
    const ManagerRef* const ref = managers_.pick(input_);
    if (ref != nullptr) calls_.settle(ref->store.get(), nullptr);
    return ref;
  }

  static void expect(rkvs_status status, StatusCode code) {
    if (status == code_of(code)) return;
    RKVS_FUZZ_FAIL(std::string(rkvs_status_name(status)) + " where " +
                   rkvs_status_name(code_of(code)) + " was expected");
  }

  const NamespaceRef* settled(bool reads = false) {
    const NamespaceRef* ref = namespaces_.pick(input_);
    if (ref == nullptr) return nullptr;
    // What has been waited for may have brought handles, and so moved them.
    const size_t at = static_cast<size_t>(ref - namespaces_.refs().data());
    calls_.settle(ref->store.get(), ref->space.get(), reads);
    return &namespaces_.refs()[std::min(at, namespaces_.refs().size() - 1)];
  }

  // A call on a whole store.
  static Call store_call(const ManagerRef& ref, rkvs_operation_kind kind, StatusCode code) {
    Call call;
    call.kind = kind;
    call.store = ref.store;
    call.expected.status = code_of(code);
    return call;
  }

  // A call on all of a namespace.
  static Call space_call(const NamespaceRef& ref, rkvs_operation_kind kind) {
    Call call;
    call.kind = kind;
    call.store = ref.store;
    call.space = ref.space;
    call.expected.status = code_of(ref.space->closed.value_or(StatusCode::kOk));
    call.undo = [space = ref.space, before = ref.space->data(), config = ref.space->map.config()] {
      space->data() = before;
      space->map.config() = config;
    };
    return call;
  }

  static Argument text_argument(const std::string& text) {
    return {block_of(text.c_str(), text.size() + 1), text.size()};
  }

  static std::shared_ptr<Space> add_space(Store& store, const std::string& name,
                                          const SavedSpace& from) {
    auto space = std::make_shared<Space>(name, from.config);
    space->data() = from.data;
    store.spaces[name] = space;
    return space;
  }

  FuzzInput& input_;
  bool persists_ = false;
  std::map<std::string, SavedStore> files_;
  Pool<ManagerRef> managers_;
  Pool<NamespaceRef> namespaces_;
  Pool<ScanRef> scans_;
  Pool<AtomicRef> atomics_;
  Pool<ReportRef> reports_;
  Calls calls_;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CAPI_STATE_H_
