// Asynchronous operations that never run at once: on all keys of a namespace, on its limits and
// figures, and on a manager. What each does is a function; its arguments are copied into the work.
#ifndef RKVS_CAPI_ASYNC_LONG_H_
#define RKVS_CAPI_ASYNC_LONG_H_

#include <rkvs/autosave.h>
#include <rkvs/options.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "capi/async_work.h"
#include "capi/list.h"
#include "capi/manager.h"
#include "capi/options.h"

namespace rkvs::capi {

// What a function returns that returns `T`: its Status, having given `use` the value, if any.
template <typename T, typename Use>
Status take(Result<T> result, Use use) {
  if (!result.ok()) return std::move(result).status();
  use(*std::move(result));
  return Status();
}

// The result as a list, as a number.
template <typename T>
Status list_into(Outcome& outcome, Result<T> result) {
  return take(std::move(result),
              [&](T found) { outcome.completion.list = make_list(std::move(found)); });
}
// The figures of one namespace: those of one item.
inline Status one_stats_into(Outcome& outcome, Result<NamespaceStats> result) {
  return take(std::move(result), [&](NamespaceStats stats) {
    std::vector<NamespaceStats> one;
    one.push_back(std::move(stats));
    outcome.completion.list = make_list(std::move(one));
  });
}
template <typename T>
Status number_into(Outcome& outcome, Result<T> result) {
  return take(std::move(result),
              [&](T found) { outcome.completion.number = static_cast<int64_t>(found); });
}

// What both kinds are: `Derived` is one of them, `Base` what it works on.
template <typename Derived, typename Base, typename Handle>
struct LongWork : Base {
  using Target = Handle;
  using Operation = Status (*)(Derived& self, Outcome& outcome, const OperationOptions& options);
  LongWork(Handle* of, rkvs_operation_kind what, Operation does)
      : Base(of, what), operation(does) {}

  Status run(Outcome& outcome, const OperationOptions* options) {
    return operation(static_cast<Derived&>(*this), outcome, *options);
  }

  Operation operation;
};

struct KeysWork : LongWork<KeysWork, LongNamespaceWork, rkvs_namespace> {
  using LongWork::LongWork;
  Namespace& space() const { return ns->ns; }

  std::string prefix;
  uint64_t number = 0;  // a limit, or how many shards
  NamespaceConfig config;
};

struct StoreWork : LongWork<StoreWork, ManagerWork, rkvs_manager> {
  using LongWork::LongWork;
  void let_go() noexcept {
    made.reset();
    ManagerWork::let_go();
  }
  StorageManager& store() const { return manager->manager; }

  // Hands over a namespace that `make()` makes. Its handle comes first: afterwards there would be
  // something to take back.
  template <typename Make>  // Result<Namespace>()
  Status hand_over(Outcome& outcome, Make make) {
    if (made == nullptr) made.reset(make_namespace(manager, Namespace()));
    return take(make(), [&](Namespace found) {
      made->ns = std::move(found);
      outcome.completion.ns = made.release();
    });
  }

  std::string file;
  std::string name;
  std::string new_name;
  std::optional<std::string> from;
  NamespaceConfig config;
  StorageConfig limits;
  AutosaveConfig autosave;
  std::unique_ptr<rkvs_namespace> made;
};

inline rkvs_status check_target(const rkvs_namespace* ns, rkvs_error** error) noexcept {
  return check_namespace(ns, error);
}
inline rkvs_status check_target(const rkvs_manager* manager, rkvs_error** error) noexcept {
  return check_manager(manager, error);
}

// Begins one of these. `fill(work)` adds the arguments, or says what is wrong with them.
template <typename Work, typename Fill>  // Status(Work&)
rkvs_status begin(typename Work::Target* target, rkvs_operation_kind kind,
                  typename Work::Operation operation, const Reply& reply, Fill fill) {
  return guarded(reply.error, [&]() -> rkvs_status {
    if (reply.operation != nullptr) *reply.operation = nullptr;
    if (const rkvs_status bad = check_target(target, reply.error)) return bad;
    Work work(target, kind, operation);
    if (const Status bad = fill(work); !bad.ok()) return finish(bad, reply.error);
    Delivery delivery;
    if (const Status bad = read_async(reply.how, delivery); !bad.ok()) {
      return finish(bad, reply.error);
    }
    return launch(work, delivery, reply.out, reply.operation, reply.error);
  });
}

// The text arguments of an operation on a manager, none of which may be NULL.
struct Text {
  std::string StoreWork::*to;
  const char* from;
};
using Texts = std::initializer_list<Text>;

template <typename Fill>  // Status(StoreWork&)
rkvs_status begin(rkvs_manager* manager, rkvs_operation_kind kind, StoreWork::Operation operation,
                  const Reply& reply, Texts texts, Fill fill) {
  return begin<StoreWork>(manager, kind, operation, reply, [&](StoreWork& work) -> Status {
    for (const Text& text : texts) {
      if (text.from == nullptr) {
        return internal::make_error(StatusCode::kInvalidArgument, "a name is NULL");
      }
      work.*text.to = text.from;
    }
    return fill(work);
  });
}

inline rkvs_status begin(rkvs_manager* manager, rkvs_operation_kind kind,
                         StoreWork::Operation operation, const Reply& reply, Texts texts = {}) {
  return begin(manager, kind, operation, reply, texts, [](StoreWork&) { return Status(); });
}
inline rkvs_status begin(rkvs_namespace* ns, rkvs_operation_kind kind,
                         KeysWork::Operation operation, const Reply& reply) {
  return begin<KeysWork>(ns, kind, operation, reply, [](KeysWork&) { return Status(); });
}
inline rkvs_status begin(rkvs_namespace* ns, rkvs_operation_kind kind,
                         KeysWork::Operation operation, const Reply& reply, uint64_t number) {
  return begin<KeysWork>(ns, kind, operation, reply, [number](KeysWork& work) {
    work.number = number;
    return Status();
  });
}

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_ASYNC_LONG_H_
