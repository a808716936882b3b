// What the kinds of Work have in common: see async.h.
#ifndef RKVS_CAPI_ASYNC_WORK_H_
#define RKVS_CAPI_ASYNC_WORK_H_

#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "capi/async.h"
#include "capi/internal.h"
#include "capi/value.h"

namespace rkvs::capi {

struct ReleaseHandle {
  void operator()(rkvs_namespace* ns) const noexcept { rkvs_namespace_release(ns); }
  void operator()(rkvs_manager* manager) const noexcept { rkvs_manager_release(manager); }
  void operator()(rkvs_scan* scan) const noexcept { rkvs_scan_release(scan); }
};
template <typename T>
using HandleRef = std::unique_ptr<T, ReleaseHandle>;

// On a namespace. Those that derive add `Status run(Outcome&, const OperationOptions*)`, which may
// be called again after an error and leaves nothing in the completion then, and hide what they do
// otherwise.
struct NamespaceWork {
  NamespaceWork(rkvs_namespace* of, rkvs_operation_kind what) : ns(of), kind(what) {}

  // Makes what the result needs, so that nothing can fail when the operation is done.
  void prepare(rkvs_completion& /*completion*/) {}
  // Keeps what was borrowed.
  void own() { owner.reset(retain(ns)); }
  // Lets it go again.
  void let_go() noexcept { owner.reset(); }
  // Called when all is done and nobody has been told yet.
  void before_delivery() noexcept {}
  // It was not run: there is what `status` says, and nothing else.
  void fail(const Status& /*status*/, rkvs_completion& /*completion*/) noexcept {}
  bool post(std::function<void()> work) const noexcept {
    return internal::AsyncAccess::post(ns->ns, std::move(work));
  }

  rkvs_namespace* ns;
  rkvs_operation_kind kind;
  HandleRef<rkvs_namespace> owner{};
};

// One on a single key: short, with one lock to wait for.
struct KeyWorkBase : NamespaceWork {
  using NamespaceWork::NamespaceWork;
  bool may_run_now() const noexcept { return true; }
  Status start(std::shared_ptr<internal::AsyncOperation> operation,
               std::optional<std::chrono::milliseconds> timeout) const {
    return internal::AsyncAccess::start(ns->ns, std::move(operation), internal::AsyncLane::kWait,
                                        timeout);
  }
  // Copies what the pieces are views of. Throws std::bad_alloc.
  void keep(std::initializer_list<std::string_view*> pieces) {
    std::size_t size = 1;
    for (const std::string_view* const piece : pieces) size += piece->size();
    kept = std::make_unique<char[]>(size);
    char* end = kept.get();
    for (std::string_view* const piece : pieces) {
      if (!piece->empty()) std::memcpy(end, piece->data(), piece->size());
      *piece = {end, piece->size()};
      end += piece->size();
    }
  }

  std::unique_ptr<char[]> kept{};
};

// One that takes long.
struct LongNamespaceWork : NamespaceWork {
  using NamespaceWork::NamespaceWork;
  bool may_run_now() const noexcept { return false; }
  Status start(std::shared_ptr<internal::AsyncOperation> operation,
               std::optional<std::chrono::milliseconds> timeout) const {
    return internal::AsyncAccess::start(ns->ns, std::move(operation), internal::AsyncLane::kLong,
                                        timeout);
  }
};

// On a manager; they take long all of them.
struct ManagerWork {
  ManagerWork(rkvs_manager* of, rkvs_operation_kind what) : manager(of), kind(what) {}

  void prepare(rkvs_completion& /*completion*/) {}
  void own() { owner.reset(retain(manager)); }
  void let_go() noexcept { owner.reset(); }
  void before_delivery() noexcept {}
  void fail(const Status& /*status*/, rkvs_completion& /*completion*/) noexcept {}
  bool post(std::function<void()> work) const noexcept {
    return internal::AsyncAccess::post(manager->manager, std::move(work));
  }
  bool may_run_now() const noexcept { return false; }
  Status start(std::shared_ptr<internal::AsyncOperation> operation,
               std::optional<std::chrono::milliseconds> timeout) const {
    return internal::AsyncAccess::start(manager->manager, std::move(operation), timeout);
  }

  rkvs_manager* manager;
  rkvs_operation_kind kind;
  HandleRef<rkvs_manager> owner{};
};

// Where a call tells what came of it.
struct Reply {
  const rkvs_async* how;
  rkvs_completion* out;
  rkvs_operation** operation;
  rkvs_error** error;
};

inline void set_value(Outcome& outcome, rkvs_value* value) noexcept {
  rkvs_completion& completion = outcome.completion;
  const std::string_view bytes = entry_of(value)->value();
  completion.value = value;
  completion.data = bytes.data();
  completion.size = bytes.size();
}

}  // namespace rkvs::capi

#endif  // RKVS_CAPI_ASYNC_WORK_H_
