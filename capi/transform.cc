// transform: a function of the program reads, changes and writes a key.
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "capi/async_work.h"
#include "capi/internal.h"
#include "capi/manager.h"
#include "capi/value.h"

using rkvs::Namespace;
using rkvs::OperationOptions;
using rkvs::Status;
using rkvs::StatusCode;
using namespace rkvs::capi;

// Lives on the stack of rkvs_namespace_transform, for the time of one callback.
struct rkvs_transform : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B5431;
  rkvs_transform() : Handle(kMagic) {}
  ~rkvs_transform() { magic = 0; }

  bool decided = false;
  std::optional<std::string> value;  // nothing: to be removed
};

namespace {

// Leaves Namespace::transform without a change.
struct Unchanged {
  rkvs_status status;
};

}  // namespace

rkvs_status rkvs_transform_set(rkvs_transform* transform, const void* value, size_t value_size) {
  return guarded(nullptr, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(transform)) return bad;
    if (const rkvs_status bad = check_value(value, value_size)) return bad;
    // Not in place: what was set before stays where there is no memory.
    transform->value = std::string(view(value, value_size));
    transform->decided = true;
    return RKVS_OK;
  });
}

rkvs_status rkvs_transform_remove(rkvs_transform* transform) {
  return guarded(nullptr, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(transform)) return bad;
    transform->value.reset();
    transform->decided = true;
    return RKVS_OK;
  });
}

namespace {

// `value` receives what the key has afterwards, if anything, where the status is Ok. May be
// nullptr.
struct Transform {
  rkvs_transform_callback callback;
  void* user;

  Status run(Namespace& ns, std::string_view key, rkvs_value** value) const {
    const auto change = [&](std::optional<std::string_view> now) {
      rkvs_transform transform;
      rkvs_status status = RKVS_OK;
      {
        const CallbackGuard guard;
        // The values of the store have an address, empty ones too.
        status = now.has_value() ? callback(user, now->data(), now->size(), &transform)
                                 : callback(user, nullptr, 0, &transform);
      }
      if (status == RKVS_OK && transform.decided) return std::move(transform.value);
      if (status == RKVS_OK && value != nullptr && now.has_value()) *value = make_value(*now);
      throw Unchanged{status};
    };
    try {
      auto now = ns.transform(key, change);
      if (!now.ok()) return now.status();
      if (value != nullptr) *value = value_handle(std::move(now.value()));
      return Status();
    } catch (const Unchanged& unchanged) {
      return static_cast<StatusCode>(unchanged.status);
    }
  }
};

struct TransformWork : KeyWorkBase {
  TransformWork(rkvs_namespace* of, std::string_view of_key, Transform what)
      : KeyWorkBase(of, RKVS_OP_TRANSFORM), key(of_key), transform(what) {}

  Status run(Outcome& outcome, const OperationOptions* /*options*/) {
    rkvs_value* value = nullptr;
    Status status = transform.run(ns->ns, key, &value);
    if (value != nullptr) set_value(outcome, value);
    return status;
  }
  void own() {
    NamespaceWork::own();
    keep({&key});
  }

  std::string_view key;
  Transform transform;
};

rkvs_status check_arguments(const rkvs_namespace* ns, const void* key, size_t key_size,
                            rkvs_transform_callback callback, rkvs_error** error) {
  if (const rkvs_status bad = check_namespace(ns, error)) return bad;
  if (const rkvs_status bad = check_key(key, key_size)) {
    return refuse_argument(bad, error, "the key is NULL");
  }
  if (callback != nullptr) return RKVS_OK;
  return refuse_argument(RKVS_E_INVALID_ARGUMENT, error, "the callback is NULL");
}

}  // namespace

rkvs_status rkvs_namespace_transform(rkvs_namespace* ns, const void* key, size_t key_size,
                                     rkvs_transform_callback callback, void* user,
                                     rkvs_value** value, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (value != nullptr) *value = nullptr;
    if (const rkvs_status bad = check_arguments(ns, key, key_size, callback, error)) return bad;
    return finish(Transform{callback, user}.run(ns->ns, view(key, key_size), value), error);
  });
}

rkvs_status rkvs_namespace_transform_async(rkvs_namespace* ns, const void* key, size_t key_size,
                                           rkvs_transform_callback callback, void* user,
                                           const rkvs_async* how, rkvs_completion* out,
                                           rkvs_operation** operation, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (operation != nullptr) *operation = nullptr;
    if (const rkvs_status bad = check_arguments(ns, key, key_size, callback, error)) return bad;
    Delivery delivery;
    if (const Status bad = read_async(how, delivery); !bad.ok()) return finish(bad, error);
    TransformWork work(ns, view(key, key_size), {callback, user});
    return launch(work, delivery, out, operation, error);
  });
}
