// What a store and its namespaces should be, as a program that calls the C API sees them.
#ifndef RKVS_FUZZ_CAPI_MODEL_H_
#define RKVS_FUZZ_CAPI_MODEL_H_

#include <rkvs/options.h>
#include <rkvs/status.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time_source.h"
#include "capi/rkvs.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/model_map.h"

namespace rkvs::fuzz {

using Texts = std::vector<std::string>;

inline rkvs_status code_of(StatusCode code) { return static_cast<rkvs_status>(code); }

// A walk that is on: what it has returned, and what it must return still.
struct Walk {
  std::string prefix;
  bool with_values = true;
  std::set<std::string> stays;  // there since it began
  std::set<std::string> seen;
};

// A namespace, whoever has handles on it.
struct Space {
  Space(std::string its_name, const NamespaceConfig& config)
      : name(std::move(its_name)), map(config, internal::TimeSource::real()) {}

  const std::string name;
  ModelMap map;
  // What every operation answers, once it is gone.
  std::optional<StatusCode> closed;
  std::vector<std::weak_ptr<Walk>> walks;

  ModelMap::Data& data() { return map.data; }
  // To be called after each change. `touched`: keys that may have gone and come back within it.
  void changed(const Texts& touched = {}) {
    map.expire();
    std::erase_if(walks, [](const auto& walk) { return walk.expired(); });
    for (const auto& weak : walks) {
      const auto walk = weak.lock();
      for (const std::string& key : touched) walk->stays.erase(key);
      std::erase_if(walk->stays, [&](const auto& key) { return !data().contains(key); });
    }
  }
};

// A store, whoever has handles on it.
struct Store {
  bool initialized = false;
  bool closed = false;
  bool persistent = false;
  uint64_t max_namespaces = 0;
  std::map<std::string, std::shared_ptr<Space>> spaces;

  // Why nothing can be done with it, or Ok.
  StatusCode state() const {
    if (closed) return StatusCode::kClosed;
    return initialized ? StatusCode::kOk : StatusCode::kNotInitialized;
  }
  // Why a namespace of this name cannot be added, or Ok.
  StatusCode room_for(const std::string& name) const {
    if (spaces.contains(name)) return StatusCode::kNamespaceExists;
    const bool full = max_namespaces != 0 && spaces.size() >= max_namespaces;
    return full ? StatusCode::kTooManyNamespaces : StatusCode::kOk;
  }
  void close() {
    closed = true;
    for (auto& [name, space] : spaces) {
      if (!space->closed) space->closed = StatusCode::kClosed;
    }
  }
};

// What should come of a call. What it does not have is not looked at.
struct Expected {
  rkvs_status status = RKVS_OK;
  std::optional<std::string> value{};
  bool has_value = false;  // whether `value` is known: nothing is to come then where it is empty
  std::optional<int64_t> number{};
  bool has_version = false;
  std::shared_ptr<std::vector<ModelItem>> items{};
  std::shared_ptr<Texts> keys{};  // of a list, sorted
};

// An operation on one key.
struct KeyCall {
  rkvs_operation_kind kind = RKVS_OP_GET;
  std::string key{};
  std::string value{};
  uint64_t version = 0;
  int64_t delta = 0;
  WriteOptions options{};
  CounterOptions counter{};
};

// Does it to the model.
inline Expected expect(Space& space, const KeyCall& call) {
  Expected expected;
  ModelMap& map = space.map;
  const auto found = map.data.find(call.key);
  const bool is_there = found != map.data.end();
  const auto answer = [&](StatusCode code) {
    expected.status = code_of(space.closed.value_or(code));
    return expected.status == RKVS_OK;
  };
  const auto find = [&] { return answer(is_there ? StatusCode::kOk : StatusCode::kNotFound); };
  const auto tell = [&](std::optional<std::string> value) {
    expected.has_value = true;
    expected.value = std::move(value);
  };
  const auto write = [&](ModelWrite::When when, std::optional<uint64_t> version, bool keeps,
                         bool tells) {
    std::optional<std::string> old;
    const ModelWrite what = {.key = call.key,
                             .value = call.value,
                             .when = when,
                             .version = version,
                             .options = call.options,
                             .keeps_expiry = keeps};
    if (answer(space.closed ? *space.closed : map.write(map.data, what, &old)) && tells) tell(old);
  };
  using When = ModelWrite::When;
  switch (call.kind) {
    case RKVS_OP_GET:
    case RKVS_OP_GET_WITH_VERSION:
      if (find()) tell(found->second.value);
      expected.has_version = expected.status == RKVS_OK && call.kind == RKVS_OP_GET_WITH_VERSION;
      break;
    case RKVS_OP_EXISTS: find(); break;
    case RKVS_OP_SET: write(When::kAlways, {}, false, true); break;
    case RKVS_OP_PUT: write(When::kAlways, {}, false, false); break;
    case RKVS_OP_ADD:
      write(When::kAbsent, {}, false, false);
      expected.has_version = expected.status == RKVS_OK;
      break;
    case RKVS_OP_UPDATE: write(When::kPresent, {}, false, true); break;
    case RKVS_OP_COMPARE_AND_SET:
      write(When::kPresent, call.version, true, false);
      expected.has_version = expected.status == RKVS_OK;
      break;
    case RKVS_OP_COMPARE_AND_DELETE: {
      std::optional<std::string> old;
      answer(space.closed ? *space.closed : map.remove(map.data, call.key, call.version, &old));
      break;
    }
    case RKVS_OP_DELETE_KEY:
    case RKVS_OP_CONSUME:
      if (!find()) break;
      if (call.kind == RKVS_OP_CONSUME) tell(found->second.value);
      map.data.erase(found);
      break;
    case RKVS_OP_TTL:
      if (find() && found->second.expires_at == 0) expected.number = -1;
      break;
    case RKVS_OP_TOUCH: {
      const bool valid = ModelMap::are_valid(call.options) &&
                         (call.options.expire_after || call.options.expire_at);
      if (!valid) {
        expected.status = RKVS_E_INVALID_ARGUMENT;  // of what has ended too
      } else if (find()) {
        found->second.expires_at = map.expiry(call.options, false, 0);
      }
      break;
    }
    case RKVS_OP_PERSIST:
      if (!find()) break;
      expected.number = std::exchange(found->second.expires_at, 0) != 0 ? 1 : 0;
      break;
    case RKVS_OP_INCREMENT:
    case RKVS_OP_DECREMENT: {
      std::optional<std::string> now;
      const bool subtract = call.kind == RKVS_OP_DECREMENT;
      answer(space.closed ? *space.closed
                          : map.add(map.data, call.key, call.delta, subtract, call.counter, &now));
      if (now) expected.number = std::stoll(*now);
      break;
    }
    default: RKVS_FUZZ_FAIL("no operation on one key");
  }
  if (!space.closed) space.changed();
  return expected;
}

// A batch of which `act(data, i)` does the i-th item to the map.
template <typename Act>  // ModelItem(ModelMap::Data&, size_t)
Expected expect_batch(Space& space, const Texts& keys, bool atomic, Act act) {
  Expected expected;
  expected.items = std::make_shared<std::vector<ModelItem>>();
  StatusCode failure = space.closed.value_or(StatusCode::kOk);
  ModelMap::Data after = space.data();
  for (size_t i = 0; i < keys.size(); ++i) {
    ModelItem item{failure};
    if (!space.closed) item = act(after, i);
    if (item.code != StatusCode::kOk) item.value.reset();
    if (item.code == StatusCode::kOk) space.map.expire(after);
    if (failure == StatusCode::kOk && atomic) failure = item.code;
    expected.items->push_back(std::move(item));
  }
  expected.status = code_of(failure);
  if (failure == StatusCode::kOk) {
    space.data() = std::move(after);
    space.changed(keys);
    return expected;
  }
  for (ModelItem& item : *expected.items) {
    item.value.reset();
    if (item.code == StatusCode::kOk) item.code = StatusCode::kNotApplied;
  }
  return expected;
}

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CAPI_MODEL_H_
