// The asynchronous end of a store.
#include <functional>
#include <memory>
#include <utility>

#include "capi/async_work.h"
#include "capi/manager.h"
#include "capi/own_thread.h"

using rkvs::Status;
using rkvs::StatusCode;
using namespace rkvs::capi;

namespace {

// Not an operation of the store's executor, whose operations and threads it waits for.
class PendingClose final : public PendingBase {
 public:
  // Throws std::bad_alloc.
  PendingClose(const Delivery& delivery, rkvs_manager* manager)
      : PendingBase(delivery), manager_(retain(manager)) {}

  void close_and_tell() noexcept {
    (void)run();
    complete(Status());
    // Where this is the last reference there is nothing left to wait for.
    manager_.reset();
  }

 private:
  StatusCode run() noexcept override {
    const CompletingForOthers guard;
    status_ = manager_->manager.close();
    return status_.code();
  }
  void complete(const Status& /*not_run*/) noexcept override {
    finish_completion(completion(), delivery_, RKVS_OP_CLOSE, status_, -1);
    const CallbackGuard guard;
    deliver();
  }

  HandleRef<rkvs_manager> manager_;
  Status status_;
};

}  // namespace

rkvs_status rkvs_manager_close_async(rkvs_manager* manager, const rkvs_async* how,
                                     rkvs_completion* /*out*/, rkvs_operation** operation,
                                     rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (operation != nullptr) *operation = nullptr;
    if (const rkvs_status bad = check_manager(manager, error)) return bad;
    Delivery delivery;
    if (const Status bad = read_async(how, delivery); !bad.ok()) return finish(bad, error);
    const auto pending = std::make_shared<PendingClose>(delivery, manager);
    OperationHandle handle(nullptr, rkvs_operation_release);
    if (operation != nullptr) handle.reset(make_operation(pending));
    std::function<void()> work = [pending] { pending->close_and_tell(); };
    if (delivery.queue != nullptr && !delivery.queue->begin()) return refuse_closed(error);
    if (!run_on_own_thread(std::move(work))) {
      if (delivery.queue != nullptr) delivery.queue->give_up();
      return refuse(StatusCode::kNoMemory, error, "no thread or no memory to close a store");
    }
    if (operation != nullptr) *operation = handle.release();
    return RKVS_PENDING;
  });
}
