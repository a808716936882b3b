// One asynchronous call: what it does, whom it tells, and how it is begun.
//
// What an operation does is a Work (async_work.h): its arguments, run() and the handle that it
// works on. launch() looks at how it shall complete, and does it at once on the caller's thread
// where it is short and nothing is to be waited for; otherwise it becomes a Pending, which owns
// copies of the arguments and goes to a worker thread.
#ifndef RKVS_CAPI_ASYNC_H_
#define RKVS_CAPI_ASYNC_H_

#include <rkvs/async_access.h>
#include <rkvs/async_operation.h>
#include <rkvs/operation.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "capi/internal.h"
#include "capi/options.h"
#include "capi/queue.h"

namespace rkvs::capi {

// Whom a call tells, as its rkvs_async says. Borrows the queue.
struct Delivery {
  rkvs_queue* queue = nullptr;
  rkvs_callback callback = nullptr;
  void* user = nullptr;
  uint64_t tag = 0;
  std::optional<std::chrono::milliseconds> timeout{};
  rkvs_progress_callback progress = nullptr;
  void* progress_user = nullptr;
  bool allow_inline = false;
};
// InvalidArgument, Unsupported, Forked.
Status read_async(const rkvs_async* how, Delivery& delivery);

// The result of a Work on its way into a completion: its parts are the completion's.
struct Outcome {
  rkvs_completion& completion;
  // Of the item that an error is about.
  int64_t error_index = -1;
  // A best-effort batch that is RKVS_OK although locks could not be had: it did nothing with those
  // items, and may be tried again where there is time.
  bool has_timed_out = false;

  StatusCode code(const Status& status) const noexcept {
    return has_timed_out ? StatusCode::kTimeout : status.code();
  }
};

// Fills in what all completions have.
void finish_completion(rkvs_completion& completion, const Delivery& delivery,
                       rkvs_operation_kind kind, const Status& status,
                       int64_t error_index) noexcept;

// Says that this thread completes operations for others: in cancel and close. Callbacks then go to
// a thread of the store.
class CompletingForOthers {
 public:
  CompletingForOthers();
  ~CompletingForOthers();
  CompletingForOthers(const CompletingForOthers&) = delete;
  CompletingForOthers& operator=(const CompletingForOthers&) = delete;
  static bool is_on() noexcept;
};

// The part of an operation in flight that does not depend on what it does.
class PendingBase : public internal::AsyncOperation {
 public:
  bool is_complete() const noexcept { return complete_.load(std::memory_order_acquire); }

 protected:
  // Retains the queue, if there is one. Throws std::bad_alloc.
  explicit PendingBase(const Delivery& delivery);
  ~PendingBase() override;

  rkvs_completion& completion() noexcept { return node_->completion; }
  OperationOptions operation_options() const {
    return {.progress = progress_hook(delivery_.progress, delivery_.progress_user, cancel_token()),
            .cancel = cancel_token()};
  }
  // To the queue, or calls back, here and now. From then on the queue is not kept.
  void deliver() noexcept;

  const Delivery delivery_;

 private:
  struct ReleaseQueue {
    void operator()(rkvs_queue* queue) const noexcept { rkvs_queue_release(queue); }
  };

  std::unique_ptr<rkvs_queue, ReleaseQueue> queue_;
  std::unique_ptr<CompletionNode> node_;
  std::atomic<bool> complete_{false};
};

// A handle for cancelling; of nullptr for what is done already. Throws std::bad_alloc.
rkvs_operation* make_operation(std::shared_ptr<PendingBase> pending);

// Runs a Work; nothing that it throws gets out.
template <typename Work>
Status run_work(Work& work, Outcome& outcome, const OperationOptions* options) noexcept {
  try {
    return work.run(outcome, options);
  } catch (const std::bad_alloc&) {
    return StatusCode::kNoMemory;
  } catch (...) {
    return StatusCode::kInternal;
  }
}

// The same without waiting for any lock. False if that was not to be.
template <typename Work>
bool try_work(Work& work, Outcome& outcome, Status& status) {
  struct Attempt {
    Work& work;
    Outcome& outcome;
    Status& status;
  } attempt{work, outcome, status};
  return internal::try_now(
      [](void* context) {
        auto& self = *static_cast<Attempt*>(context);
        self.status = run_work(self.work, self.outcome, nullptr);
        return self.outcome.code(self.status);
      },
      &attempt);
}

template <typename Work>
class Pending final : public PendingBase {
 public:
  // `work` owns what it needs already. Throws std::bad_alloc.
  Pending(const Delivery& delivery, Work work) : PendingBase(delivery), work_(std::move(work)) {
    work_.prepare(completion());
  }

  const Work& work() const { return work_; }

 private:
  StatusCode run() noexcept override {
    Outcome outcome{completion()};
    try {
      const OperationOptions options = operation_options();
      status_ = run_work(work_, outcome, &options);
    } catch (const std::bad_alloc&) {
      status_ = StatusCode::kNoMemory;
    }
    error_index_ = outcome.error_index;
    return outcome.code(status_);
  }

  void complete(const Status& not_run) noexcept override {
    if (not_run.is_error()) {
      // An attempt that was refused a wait may have left something.
      status_ = not_run;
      error_index_ = -1;
      work_.fail(not_run, completion());
    }
    finish_completion(completion(), delivery_, work_.kind, status_, error_index_);
    if (delivery_.callback != nullptr && CompletingForOthers::is_on()) {
      const auto self = std::static_pointer_cast<Pending>(shared_from_this());
      try {
        if (work_.post([self] { self->end(); })) return;
      } catch (const std::bad_alloc&) {
        // Rather on this thread than never.
      }
    }
    end();
  }

  void end() noexcept {
    // What is let go here may be the last of its store, and this thread cannot wait for itself.
    const CallbackGuard guard;
    work_.before_delivery();
    // Before anybody is told: then the last handle is whichever the program releases last, and not
    // this one, of which it does not know.
    work_.let_go();
    deliver();
  }

  Work work_;
  Status status_;
  int64_t error_index_ = -1;
};

inline rkvs_status refuse_closed(rkvs_error** error) noexcept {
  return refuse(StatusCode::kClosed, error, "the queue is closed");
}

using OperationHandle = std::unique_ptr<rkvs_operation, void (*)(rkvs_operation*)>;

// See rkvs.h on asynchronous calls. `work` borrows the caller's bytes.
template <typename Work>
rkvs_status launch(Work& work, const Delivery& delivery, rkvs_completion* out,
                   rkvs_operation** operation, rkvs_error** error) {
  const bool is_inline = delivery.allow_inline && out != nullptr;
  if (is_inline && work.may_run_now()) {
    if (delivery.queue != nullptr && delivery.queue->is_closed()) return refuse_closed(error);
    *out = {};
    Outcome outcome{*out};
    Status status;
    work.prepare(*out);
    if (try_work(work, outcome, status)) {
      finish_completion(*out, delivery, work.kind, status, outcome.error_index);
      return RKVS_DONE;
    }
    rkvs_completion_clear(out);
  }
  if (!is_inline && delivery.queue != nullptr && work.may_run_now()) {
    // Done at once, and told through the queue.
    OperationHandle handle(nullptr, rkvs_operation_release);
    auto node = std::make_unique<CompletionNode>();
    if (operation != nullptr) handle.reset(make_operation(nullptr));
    Outcome outcome{node->completion};
    Status status;
    work.prepare(node->completion);
    if (!delivery.queue->begin()) return refuse_closed(error);
    if (try_work(work, outcome, status)) {
      finish_completion(node->completion, delivery, work.kind, status, outcome.error_index);
      delivery.queue->push(std::move(node));
      if (operation != nullptr) *operation = handle.release();
      return RKVS_PENDING;
    }
    delivery.queue->give_up();
  }
  work.own();
  const auto pending = std::make_shared<Pending<Work>>(delivery, std::move(work));
  OperationHandle handle(nullptr, rkvs_operation_release);
  if (operation != nullptr) handle.reset(make_operation(pending));
  if (delivery.queue != nullptr && !delivery.queue->begin()) return refuse_closed(error);
  const Status started = pending->work().start(pending, delivery.timeout);
  if (!started.ok()) {
    if (delivery.queue != nullptr) delivery.queue->give_up();
    return finish(started, error);
  }
  if (operation != nullptr) *operation = handle.release();
  return RKVS_PENDING;
}

}  // namespace rkvs::capi

struct rkvs_operation : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B4F31;
  explicit rkvs_operation(std::shared_ptr<rkvs::capi::PendingBase> of)
      : Handle(kMagic), pending(std::move(of)) {}

  // nullptr: done already.
  const std::shared_ptr<rkvs::capi::PendingBase> pending;
};

#endif  // RKVS_CAPI_ASYNC_H_
