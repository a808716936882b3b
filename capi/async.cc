#include "capi/async.h"

#include "capi/options.h"

using namespace rkvs::capi;

namespace rkvs::capi {

namespace {

__thread int completing_for_others __attribute__((tls_model("initial-exec"))) = 0;

}  // namespace

CompletingForOthers::CompletingForOthers() { ++completing_for_others; }
CompletingForOthers::~CompletingForOthers() { --completing_for_others; }
bool CompletingForOthers::is_on() noexcept { return completing_for_others != 0; }

Status read_async(const rkvs_async* how, Delivery& delivery) {
  if (how == nullptr) {
    return internal::make_error(StatusCode::kInvalidArgument, "nobody to tell: `how` is NULL");
  }
  rkvs_async from;
  if (Status bad = read_struct(how, from); !bad.ok()) return bad;
  if ((from.flags & ~uint32_t{RKVS_ALLOW_INLINE}) != 0) {
    return internal::make_error(StatusCode::kUnsupported, "a flag that is not known");
  }
  if ((from.queue == nullptr) == (from.callback == nullptr)) {
    return internal::make_error(StatusCode::kInvalidArgument,
                                "one of queue and callback, not both");
  }
  if (from.queue != nullptr && !is_valid(from.queue)) {
    return internal::make_error(StatusCode::kInvalidArgument, "not a queue");
  }
  delivery.queue = from.queue;
  delivery.callback = from.callback;
  delivery.user = from.user;
  delivery.tag = from.tag;
  if (from.timeout_ms != 0) delivery.timeout = to_milliseconds(from.timeout_ms);
  delivery.progress = from.progress;
  delivery.progress_user = from.progress_user;
  delivery.allow_inline = (from.flags & RKVS_ALLOW_INLINE) != 0;
  return Status();
}

void finish_completion(rkvs_completion& completion, const Delivery& delivery,
                       rkvs_operation_kind kind, const Status& status,
                       int64_t error_index) noexcept {
  completion.tag = delivery.tag;
  completion.user = delivery.user;
  completion.kind = kind;
  completion.status =
      status.is_error() ? report(status, &completion.error, error_index) : code_of(status.code());
}

PendingBase::PendingBase(const Delivery& delivery)
    : delivery_(delivery),
      queue_(retain(delivery.queue)),
      node_(std::make_unique<CompletionNode>()) {}

PendingBase::~PendingBase() = default;

void PendingBase::deliver() noexcept {
  complete_.store(true, std::memory_order_release);
  if (queue_ != nullptr) {
    queue_->push(std::move(node_));
    queue_.reset();
    return;
  }
  delivery_.callback(delivery_.user, &node_->completion);
  node_.reset();
}

rkvs_operation* make_operation(std::shared_ptr<PendingBase> pending) {
  return new rkvs_operation(std::move(pending));
}

}  // namespace rkvs::capi

rkvs_status rkvs_operation_cancel(rkvs_operation* operation, rkvs_error** error) {
  return guarded(error, [&]() -> rkvs_status {
    if (const rkvs_status bad = check(operation)) {
      return refuse_argument(bad, error, "not an operation");
    }
    if (operation->pending == nullptr || operation->pending->is_complete()) return RKVS_DONE;
    const CompletingForOthers guard;
    operation->pending->cancel();
    return RKVS_OK;
  });
}

rkvs_operation* rkvs_operation_retain(rkvs_operation* operation) { return retain(operation); }
void rkvs_operation_release(rkvs_operation* operation) { release(operation); }

void rkvs_completion_retain(const rkvs_completion* completion) {
  if (completion == nullptr) return;
  rkvs_value_retain(completion->value);
  rkvs_batch_result_retain(completion->batch);
  rkvs_list_retain(completion->list);
  rkvs_namespace_retain(completion->ns);
  rkvs_error_retain(completion->error);
}

void rkvs_completion_clear(rkvs_completion* completion) {
  if (completion == nullptr) return;
  // Most have one part or none.
  if (completion->value != nullptr) rkvs_value_release(completion->value);
  if (completion->batch != nullptr) rkvs_batch_result_release(completion->batch);
  if (completion->list != nullptr) rkvs_list_release(completion->list);
  if (completion->ns != nullptr) rkvs_namespace_release(completion->ns);
  if (completion->error != nullptr) rkvs_error_release(completion->error);
  *completion = {};
}
