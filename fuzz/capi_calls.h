// Calls of the C API, now or asynchronously, and what comes of them.
//
// When an operation happens that runs on another thread is not known, what it does is: the model
// has done it when it was begun. So that the two agree, whatever could tell the difference waits
// until it has completed, and those that are on at the same time read, or work on different
// namespaces.
#ifndef RKVS_FUZZ_CAPI_CALLS_H_
#define RKVS_FUZZ_CAPI_CALLS_H_

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "capi/rkvs.h"
#include "fuzz/capi_handles.h"
#include "fuzz/capi_model.h"
#include "fuzz/fuzz_input.h"

namespace rkvs::fuzz {

// One call, to be made in either form.
struct Call {
  rkvs_operation_kind kind = RKVS_OP_NONE;
  std::shared_ptr<Store> store{};
  std::shared_ptr<Space> space{};  // nullptr: all of the store
  bool reads = false;
  Expected expected{};
  // Not RKVS_OK: an argument is wrong, and the call is refused.
  rkvs_status refused = RKVS_OK;
  // Fills in what its asynchronous form would have.
  std::function<rkvs_status(rkvs_completion&, rkvs_error**)> now{};
  std::function<rkvs_status(const rkvs_async*, rkvs_completion*, rkvs_operation**, rkvs_error**)>
      later{};
  // Takes back what the model has done.
  std::function<void()> undo = [] {};
  // Does what is to be done when it has succeeded; takes what it wants out of the completion.
  std::function<void(rkvs_completion&)> adopt = [](rkvs_completion&) {};
  // What it may come to instead, without having done anything.
  std::set<rkvs_status> also{};
};

// A call that is on, or was.
struct Pending {
  Call call;
  std::shared_ptr<QueueState> queue{};  // nullptr: calls back
  bool settled = false;
  // Given back by the callback.
  rkvs_namespace* parting = nullptr;

  std::mutex mutex{};
  std::condition_variable arrived{};
  int arrivals = 0;  // of its completion, which happens once
  rkvs_completion completion{};

  bool has_arrived() {
    const std::lock_guard<std::mutex> lock(mutex);
    return arrivals != 0;
  }
  void arrive(const rkvs_completion& came) {
    const std::lock_guard<std::mutex> lock(mutex);
    completion = came;
    ++arrivals;
    arrived.notify_all();
  }
  void wait() {
    std::unique_lock<std::mutex> lock(mutex);
    arrived.wait(lock, [&] { return arrivals != 0; });
  }
};

struct OperationRef {
  rkvs_operation* handle = nullptr;
  std::shared_ptr<Pending> of;  // nullptr: was done at once
  void retain() const { RKVS_FUZZ_CHECK(rkvs_operation_retain(handle) == handle); }
  void release() const { rkvs_operation_release(handle); }
  void check() const {}
};

class Calls {
 public:
  explicit Calls(FuzzInput& input) : input_(input) {}
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  Pool<ValueRef> values;
  Pool<ResultRef> results;
  Pool<ListRef> lists;
  Pool<ErrorRef> errors;
  Pool<QueueRef> queues;
  Pool<OperationRef> operations;

  // Waits for whatever could meet a call on `space`, or on the whole store where there is none.
  void settle(const Store* store, const Space* space, bool reads = false) {
    for (size_t i = 0; i < pending_.size(); ++i) {
      const Call& call = pending_[i]->call;
      const bool meets = call.store.get() == store &&
                         (space == nullptr || call.space == nullptr || call.space.get() == space);
      if (meets && !(reads && call.reads)) settle(*pending_[i]);
    }
    forget();
  }
  // Waits for calls on the whole store.
  void settle_wide(const Store* store) {
    for (size_t i = 0; i < pending_.size(); ++i) {
      if (pending_[i]->call.store.get() == store && !pending_[i]->call.space) settle(*pending_[i]);
    }
    forget();
  }
  void settle_all() {
    for (size_t i = 0; i < pending_.size(); ++i) settle(*pending_[i]);
    forget();
  }
  // What is on may come to `status` instead.
  void allow(const Store* store, const Space* space, rkvs_status status) {
    for (const auto& pending : pending_) {
      Call& call = pending->call;
      if (call.store.get() != store || (space != nullptr && call.space.get() != space)) continue;
      call.also.insert({status, RKVS_E_CANCELLED});
    }
  }
  // Makes the call in a form that the input says. What it may meet is settled.
  void make(Call call, rkvs_namespace* handle = nullptr) {
    const uint32_t form = call.later ? input_.below(8) : 0;
    if (form < 3 || (form == 7 && queues.empty())) return make_now(std::move(call));
    make_later(std::move(call), form, handle);
  }

  void cancel() {
    const OperationRef* const ref = operations.pick(input_);
    if (ref == nullptr) return;
    if (ref->of) ref->of->call.also.insert(RKVS_E_CANCELLED);
    const rkvs_status status = rkvs_operation_cancel(ref->handle, nullptr);
    if (!ref->of || ref->of->settled) return RKVS_FUZZ_CHECK(status == RKVS_DONE);
    RKVS_FUZZ_CHECK(status == RKVS_OK || status == RKVS_DONE);
  }

  // Takes completions out of a queue. How many there are is not known.
  void poll() {
    const QueueRef* const ref = queues.pick(input_);
    if (ref == nullptr) return;
    poll(*ref, input_.below(4));
    forget();
  }

  // Gives a reference back, if operations that the model has to hear of can be heard of still.
  void release_queue() {
    const QueueRef* const ref = queues.pick(input_);
    if (ref == nullptr) return;
    const auto state = ref->state;
    if (handles_of(*state) == 1) {
      for (const auto& pending : pending_) {
        if (pending->queue == state) settle(*pending);
      }
      forget();
    }
    queues.release(ref);
  }

  // Callbacks use what is here until they have returned.
  void settle_callbacks() {
    for (size_t i = 0; i < pending_.size(); ++i) {
      if (!pending_[i]->queue) settle(*pending_[i]);
    }
  }
  // What is on then goes on, and what it tells to a queue is lost.
  void release_all() {
    operations.release_all();
    values.release_all();
    results.release_all();
    lists.release_all();
    errors.release_all();
    queues.release_all();
  }

  void hold(rkvs_error* error, rkvs_status status, int64_t index) {
    RKVS_FUZZ_CHECK((error != nullptr) == (status < 0));
    if (error == nullptr) return;
    ErrorRef ref{error, status, index, rkvs_error_message(error)};
    ref.check();
    errors.add(std::move(ref));
  }

 private:
  void make_now(Call call) {
    rkvs_completion completion = {};
    rkvs_error* error = nullptr;
    const bool told = input_.flag();
    completion.status = call.now(completion, told ? &error : nullptr);
    completion.kind = call.kind;
    completion.error = error;
    if (call.refused != RKVS_OK) {
      expect(completion.status, call.refused);
      RKVS_FUZZ_CHECK(completion.value == nullptr && completion.batch == nullptr);
      if (told) hold(error, completion.status, rkvs_error_index(error));
      return;
    }
    came(call, completion, told);
  }

  void make_later(Call call, uint32_t form, rkvs_namespace* handle) {
    const QueueRef* const queue = form >= 5 && !queues.empty() ? queues.pick(input_) : nullptr;
    auto pending = std::make_shared<Pending>();
    rkvs_async how;
    rkvs_async_init(&how, sizeof how);
    how.tag = next_tag_++;
    how.user = pending.get();
    if (form == 3 || form == 5) how.flags = RKVS_ALLOW_INLINE;
    if (queue != nullptr) {
      how.queue = queue->handle;
      pending->queue = queue->state;
    } else {
      how.callback = call_back;
    }
    // Nobody waits so long.
    if (input_.below(4) == 0) how.timeout_ms = std::numeric_limits<uint64_t>::max();
    rkvs_status bad = RKVS_OK;
    if (input_.below(32) == 0) bad = spoil(how);
    rkvs_completion out = {};
    const bool wants_out = input_.below(4) != 0;
    rkvs_operation* operation = nullptr;
    const bool wants_operation = input_.flag();
    rkvs_error* error = nullptr;
    if (queue == nullptr && handle != nullptr && input_.below(4) == 0) {
      pending->parting = rkvs_namespace_retain(handle);
    }
    pending->call = std::move(call);
    Call& made = pending->call;
    const rkvs_status status = made.later(&how, wants_out ? &out : nullptr,
                                          wants_operation ? &operation : nullptr, &error);
    // What it was given is gone now.
    made.now = nullptr;
    made.later = nullptr;
    if (status == RKVS_PENDING) {
      RKVS_FUZZ_CHECK(error == nullptr && made.refused == RKVS_OK && bad == RKVS_OK);
      RKVS_FUZZ_CHECK((operation != nullptr) == wants_operation);
      RKVS_FUZZ_CHECK(queue == nullptr || !queue->state->closed);
      if (queue != nullptr) ++queue->state->on_their_way;
      pending_.push_back(pending);
      if (operation != nullptr) operations.add({operation, pending});
      return;
    }
    RKVS_FUZZ_CHECK(operation == nullptr);
    rkvs_namespace_release(pending->parting);
    if (status == RKVS_DONE) {
      RKVS_FUZZ_CHECK(wants_out && (how.flags & RKVS_ALLOW_INLINE) != 0 && error == nullptr);
      RKVS_FUZZ_CHECK(out.tag == how.tag && out.user == how.user);
      RKVS_FUZZ_CHECK(made.refused == RKVS_OK && bad == RKVS_OK);
      return came(made, out, true);
    }
    // Refused: it has done nothing, and will not.
    const bool closed = queue != nullptr && queue->state->closed;
    // Also where its namespace had been deleted before.
    const bool over = made.store != nullptr && made.store->closed;
    RKVS_FUZZ_CHECK((made.refused != RKVS_OK && status == made.refused) ||
                    (bad != RKVS_OK && status == bad) ||
                    ((closed || over) && status == RKVS_E_CLOSED));
    hold(error, status, rkvs_error_index(error));
    made.undo();
  }

  // Makes it a `how` that nobody can mean.
  rkvs_status spoil(rkvs_async& how) {
    switch (input_.below(5)) {
      case 0: how.struct_size = 8; return RKVS_E_INVALID_ARGUMENT;
      case 1: how.flags |= 64; return RKVS_E_UNSUPPORTED;
      case 2:
        how.queue = nullptr;
        how.callback = nullptr;
        return RKVS_E_INVALID_ARGUMENT;
      case 3:
        how.callback = call_back;
        how.queue = reinterpret_cast<rkvs_queue*>(&how);
        return RKVS_E_INVALID_ARGUMENT;
      default: how.struct_size = 5000; return RKVS_E_INVALID_ARGUMENT;
    }
  }

  static void call_back(void* user, const rkvs_completion* completion) {
    auto* const pending = static_cast<Pending*>(user);
    RKVS_FUZZ_CHECK(completion->user == user);
    rkvs_completion_retain(completion);
    // The last handle on the store, perhaps.
    rkvs_namespace_release(std::exchange(pending->parting, nullptr));
    pending->arrive(*completion);
  }

  int handles_of(const QueueState& state) const {
    return static_cast<int>(
        std::count_if(queues.refs().begin(), queues.refs().end(),
                      [&](const auto& ref) { return ref.state.get() == &state; }));
  }

  void poll(const QueueRef& ref, size_t capacity) {
    std::vector<rkvs_completion> completions(capacity);
    size_t count = 0;
    const rkvs_status status =
        rkvs_queue_poll(ref.handle, completions.data(), capacity, &count, nullptr);
    QueueState& state = *ref.state;
    const bool over = state.closed && state.on_their_way == 0;
    RKVS_FUZZ_CHECK(status == (over ? RKVS_E_CLOSED : RKVS_OK) && count <= capacity);
    for (size_t i = 0; i < count; ++i) {
      auto* const pending = static_cast<Pending*>(completions[i].user);
      RKVS_FUZZ_CHECK(std::any_of(pending_.begin(), pending_.end(),
                                  [&](const auto& known) { return known.get() == pending; }));
      RKVS_FUZZ_CHECK(!pending->has_arrived() && pending->queue == ref.state);
      --state.on_their_way;
      pending->arrive(completions[i]);
    }
  }

  void settle(Pending& pending) {
    if (pending.settled) return;
    if (pending.queue && !pending.has_arrived()) {
      const auto ref =
          std::find_if(queues.refs().begin(), queues.refs().end(),
                       [&](const auto& queue) { return queue.state == pending.queue; });
      RKVS_FUZZ_CHECK(ref != queues.refs().end());
      while (!pending.has_arrived()) {
        RKVS_FUZZ_CHECK(rkvs_queue_wait(ref->handle, -1, nullptr) == RKVS_OK);
        poll(*ref, 1);
      }
    }
    pending.wait();
    pending.settled = true;
    came(pending.call, pending.completion, true);
  }

  // Those that have come to an end, and are known to.
  void forget() {
    for (size_t i = 0; i < pending_.size();) {
      if (!pending_[i]->settled && pending_[i]->queue && pending_[i]->has_arrived()) {
        settle(*pending_[i]);
      }
      if (!pending_[i]->settled) {
        ++i;
        continue;
      }
      RKVS_FUZZ_CHECK(pending_[i]->arrivals == 1);
      old_.push_back(pending_[i]);
      pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  static void expect(rkvs_status status, rkvs_status expected) {
    if (status == expected) return;
    RKVS_FUZZ_FAIL(std::string(rkvs_status_name(status)) + " where " + rkvs_status_name(expected) +
                   " was expected");
  }

  // What came of it is what should have, and is kept.
  void came(Call& call, rkvs_completion& completion, bool told) {
    const Expected& expected = call.expected;
    RKVS_FUZZ_CHECK(completion.kind == call.kind);
    if (completion.status != expected.status && call.also.contains(completion.status)) {
      call.undo();
      return rkvs_completion_clear(&completion);
    }
    if (completion.status != expected.status) {
      RKVS_FUZZ_FAIL("operation " + std::to_string(call.kind) + ": " +
                     rkvs_status_name(completion.status) + " where " +
                     rkvs_status_name(expected.status) + " was expected");
    }
    if (told) {
      const int64_t index = rkvs_error_index(completion.error);
      if (expected.items && completion.status < 0) {
        const auto& items = *expected.items;
        const auto first = std::find_if(items.begin(), items.end(), [&](const ModelItem& item) {
          return code_of(item.code) == completion.status;
        });
        RKVS_FUZZ_CHECK(index == (first == items.end() ? -1 : first - items.begin()));
      }
      hold(completion.error, completion.status, index);
      completion.error = nullptr;
    }
    if (completion.status == RKVS_OK) {
      if (expected.number) RKVS_FUZZ_CHECK(completion.number == *expected.number);
      RKVS_FUZZ_CHECK((completion.version != 0) == expected.has_version);
      if (call.kind == RKVS_OP_TTL && !expected.number) RKVS_FUZZ_CHECK(completion.number > 0);
      call.adopt(completion);
    }
    if (expected.has_value) {
      RKVS_FUZZ_CHECK((completion.value != nullptr) == expected.value.has_value());
      if (completion.value != nullptr) {
        RKVS_FUZZ_CHECK(completion.data == rkvs_value_data(completion.value));
        RKVS_FUZZ_CHECK(completion.size == expected.value->size());
        values.add({std::exchange(completion.value, nullptr), *expected.value});
      }
    }
    if (expected.items && completion.batch != nullptr) {
      ResultRef ref{std::exchange(completion.batch, nullptr), completion.status, expected.items};
      ref.check();
      results.add(std::move(ref));
    }
    if (expected.keys && completion.list != nullptr) {
      ListRef ref{std::exchange(completion.list, nullptr), expected.keys};
      ref.check();
      lists.add(std::move(ref));
    }
    rkvs_completion_clear(&completion);
  }

  FuzzInput& input_;
  uint64_t next_tag_ = 1;
  std::vector<std::shared_ptr<Pending>> pending_;
  // Completions name these: one that came twice must find them.
  std::vector<std::shared_ptr<Pending>> old_;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_CAPI_CALLS_H_
