// How <rkvs/async.h> runs one operation for a Boost.Asio completion token. A program has no use for
// what is in here, Outcome aside.
#ifndef RKVS_ASYNC_CALL_H_
#define RKVS_ASYNC_CALL_H_

#include <rkvs/async_access.h>
#include <rkvs/async_context.h>
#include <rkvs/async_error.h>
#include <rkvs/async_operation.h>
#include <rkvs/batch.h>
#include <rkvs/status.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace rkvs {

// What came of an operation that can end in several ways which are no errors.
template <typename T>
struct Outcome {
  // Ok, NotFound or VersionMismatch. NotApplied when the operation ended with an error.
  StatusCode code = StatusCode::kNotApplied;
  // Only where ok().
  T value{};

  bool ok() const noexcept { return code == StatusCode::kOk; }
};

namespace internal {

// A completion token for void(error_code, T); without T, for void(error_code).
template <typename Token, typename... T>
concept AsyncTokenFor =
    boost::asio::completion_token_for<Token, void(boost::system::error_code, T...)>;

// --- What an operation leaves
// ----------------------------------------------------------------------

// The status is Ok or an error: outcomes are in the value.
template <typename T>
struct AsyncResult {
  using Value = T;
  using Signature = void(boost::system::error_code, T);
  Status status{};
  T value{};
};
template <>
struct AsyncResult<void> {
  using Value = void;
  using Signature = void(boost::system::error_code);
  Status status{};
};

inline AsyncResult<void> to_async(Status status) { return {std::move(status)}; }
template <typename T>
AsyncResult<T> to_async(Result<T> result) {
  if (!result.ok()) return {std::move(result).status(), T()};
  return {Status(), *std::move(result)};
}
inline AsyncResult<BatchResult> to_async(BatchResult result) {
  Status status = result.status.is_error() ? result.status : Status();
  return {std::move(status), std::move(result)};
}
// For operations whose only outcome beside success is that there is no value.
template <typename T>
AsyncResult<std::optional<T>> to_optional(Result<T> result) {
  if (result.status().is_error()) return {std::move(result).status(), std::nullopt};
  if (!result.ok()) return {};
  return {Status(), std::optional<T>(*std::move(result))};
}
template <typename T>
AsyncResult<Outcome<T>> to_outcome(Result<T> result) {
  if (result.status().is_error()) return {std::move(result).status(), {}};
  if (!result.ok()) return {Status(), {result.code(), T()}};
  return {Status(), {StatusCode::kOk, *std::move(result)}};
}
inline AsyncResult<StatusCode> to_code(Status status) {
  if (status.is_error()) return {std::move(status), StatusCode::kNotApplied};
  return {Status(), status.code()};
}

// A whole-call error is that of every item.
inline BatchResult batch_not_run(std::size_t size, const Status& status) noexcept {
  BatchResult result;
  result.status = status;
  try {
    result.items.resize(size);
    for (BatchItem& item : result.items) item.code = status.code();
  } catch (const std::bad_alloc&) {
    // The status says it.
  }
  return result;
}

// What an attempt came to: an error if it may have been refused a wait.
template <typename T>
StatusCode attempt_code(const AsyncResult<T>& result) {
  return result.status.code();
}
inline StatusCode attempt_code(const AsyncResult<BatchResult>& result) {
  // A best-effort batch is Ok whatever its items say.
  for (const BatchItem& item : result.value.items) {
    if (item.code == StatusCode::kTimeout) return StatusCode::kTimeout;
  }
  return result.status.code();
}

// --- Where it begins
// -------------------------------------------------------------------------------

// kNow: at once, and on a worker thread only if a lock is not free. kIfShort: so too if the
// function's is_short(handle) says that it may be. kLong: on a worker thread. kSystem: on a thread
// of boost::asio::system_context, for what ends the worker threads.
enum class AsyncRoute { kNow, kIfShort, kLong, kSystem };

// What all calls of one AsyncNamespace or AsyncStorageManager have in common.
template <typename HandleType>
struct AsyncTarget {
  using Handle = HandleType;
  Handle handle;
  boost::asio::any_io_executor executor{boost::asio::system_executor()};
  std::optional<std::chrono::milliseconds> timeout{};
  Status* status = nullptr;  // gets the whole status, if somebody wants it
};

// A handle that can be copied and does not close the manager.
struct SharedManager {
  StorageManager manager;

  explicit SharedManager(const StorageManager& other) : manager(AsyncAccess::share(other)) {}
  SharedManager(const SharedManager& other) : SharedManager(other.manager) {}
  SharedManager(SharedManager&&) noexcept = default;
  SharedManager& operator=(SharedManager other) noexcept {
    manager = std::move(other.manager);
    return *this;
  }
  ~SharedManager() = default;
};

inline Status start_operation(const Namespace& handle, std::shared_ptr<AsyncOperation> operation,
                              AsyncLane lane, std::optional<std::chrono::milliseconds> timeout) {
  return AsyncAccess::start(handle, std::move(operation), lane, timeout);
}
inline Status start_operation(const SharedManager& handle,
                              std::shared_ptr<AsyncOperation> operation, AsyncLane,
                              std::optional<std::chrono::milliseconds> timeout) {
  return AsyncAccess::start(handle.manager, std::move(operation), timeout);
}

// --- How it ends
// -----------------------------------------------------------------------------------

// gcc 12 takes the destructor of an optional<Value> that is empty for one of a Value.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
// What is posted to the handler's executor.
template <typename Handler, typename T>
class AsyncCompletion {
 public:
  using allocator_type = boost::asio::associated_allocator_t<Handler>;

  AsyncCompletion(Handler handler, AsyncResult<T> result, Status* status, bool had_slot)
      : handler_(std::move(handler)),
        result_(std::move(result)),
        status_(status),
        had_slot_(had_slot) {}

  allocator_type get_allocator() const noexcept {
    return boost::asio::get_associated_allocator(handler_);
  }

  void operator()() {
    if (had_slot_) {
      auto slot = boost::asio::get_associated_cancellation_slot(handler_);
      if (slot.is_connected()) slot.clear();
    }
    const boost::system::error_code error = make_error_code(result_.status.code());
    if (status_ != nullptr) *status_ = std::move(result_.status);
    if constexpr (std::is_void_v<T>) {
      std::move(handler_)(error);
    } else {
      std::move(handler_)(error, std::move(result_.value));
    }
  }

 private:
  Handler handler_;
  AsyncResult<T> result_;
  Status* status_;
  bool had_slot_;
};
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

// An operation on a worker thread. Handler, arguments and result are in memory from the handler's
// allocator, which is given back before the handler is called; the operation itself, which may live
// a little longer, is not.
template <typename Handler, typename Target, typename Function, typename T>
class AsyncCall final : public AsyncContextMember {
 public:
  using Executor = boost::asio::associated_executor_t<Handler, boost::asio::any_io_executor>;

  AsyncCall(Handler&& handler, Target&& target, Function&& function)
      // Before the parts, which have no owner until this has been made.
      : context_(AsyncContext::of(boost::asio::get_associated_executor(handler, target.executor))),
        parts_(make(std::move(handler), std::move(target), std::move(function))) {}
  // Not begun, or completed.
  ~AsyncCall() override {
    if (parts_ != nullptr) drop();
  }

  static void begin(std::shared_ptr<AsyncCall> call, AsyncLane lane) {
    AsyncCall& self = *call;
    if (self.context_ != nullptr && !self.context_->add(self)) return;
    auto slot = boost::asio::get_associated_cancellation_slot(self.parts_->handler);
    if (slot.is_connected()) {
      self.parts_->has_slot = true;
      slot.assign(
          [weak = std::weak_ptr<AsyncOperation>(call)](boost::asio::cancellation_type type) {
            using Type = boost::asio::cancellation_type;
            if ((type & (Type::terminal | Type::partial | Type::total)) == Type::none) return;
            if (const auto operation = weak.lock()) operation->cancel();
          });
    }
    // For as long as it takes to begin, in case that it completes meanwhile.
    const typename Target::Handle handle = self.parts_->target.handle;
    const auto timeout = self.parts_->target.timeout;
    const Status status = start_operation(handle, call, lane, timeout);
    if (!status.ok()) self.complete(status);
  }

  static void begin_on_system(std::shared_ptr<AsyncCall> call) {
    if (call->context_ != nullptr && !call->context_->add(*call)) return;
    boost::asio::post(boost::asio::system_executor(), [call = std::move(call)] {
      call->run();
      call->complete(Status());
    });
  }

 private:
  // What belongs to the handler.
  struct Parts {
    Parts(Handler&& its_handler, Target&& its_target, Function&& its_function)
        : handler(std::move(its_handler)),
          target(std::move(its_target)),
          function(std::move(its_function)),
          work(boost::asio::get_associated_executor(handler, target.executor)) {}
    Handler handler;
    Target target;
    Function function;
    boost::asio::executor_work_guard<Executor> work;
    AsyncResult<T> result{};
    bool has_slot = false;
  };
  using Allocator = typename std::allocator_traits<
      boost::asio::associated_allocator_t<Handler>>::template rebind_alloc<Parts>;
  using Traits = std::allocator_traits<Allocator>;

  static Parts* make(Handler&& handler, Target&& target, Function&& function) {
    Allocator allocator(boost::asio::get_associated_allocator(handler));
    Parts* const parts = std::to_address(Traits::allocate(allocator, 1));
    try {
      return ::new (static_cast<void*>(parts))
          Parts(std::move(handler), std::move(target), std::move(function));
    } catch (...) {
      Traits::deallocate(allocator, parts, 1);
      throw;
    }
  }
  void drop() noexcept override {
    Allocator allocator(boost::asio::get_associated_allocator(parts_->handler));
    Parts* const parts = std::exchange(parts_, nullptr);
    parts->~Parts();
    Traits::deallocate(allocator, parts, 1);
  }

  StatusCode run() noexcept override {
    try {
      parts_->result = parts_->function(parts_->target.handle, cancel_token());
      return attempt_code(parts_->result);
    } catch (const std::bad_alloc&) {
      parts_->result = {};
      parts_->result.status = StatusCode::kNoMemory;
      return StatusCode::kNoMemory;
    }
  }

  void complete(const Status& not_run) noexcept override {
    if (!not_run.ok()) {
      parts_->result = {};
      parts_->result.status = not_run;
      if constexpr (std::is_same_v<T, BatchResult>) {
        parts_->result.value = batch_not_run(parts_->function.size(), not_run);
      }
    }
    if (context_ != nullptr && !context_->begin_post(this)) return;
    try {
      const boost::asio::executor_work_guard<Executor> work = std::move(parts_->work);
      AsyncCompletion<Handler, T> completion(std::move(parts_->handler), std::move(parts_->result),
                                             parts_->target.status, parts_->has_slot);
      Allocator allocator(completion.get_allocator());
      Parts* const parts = std::exchange(parts_, nullptr);
      parts->~Parts();
      Traits::deallocate(allocator, parts, 1);
      boost::asio::post(work.get_executor(), std::move(completion));
    } catch (...) {
      // No memory for the handler's place in its queue: it is destroyed, as those are that are in
      // the queue of a context that ends.
    }
    if (context_ != nullptr) context_->end_post();
  }

  const std::shared_ptr<AsyncContext> context_;
  Parts* parts_;
};

template <AsyncRoute kRoute, typename T>
struct InitiateAsync {
  template <typename HandlerArgument, typename Target, typename Function>
  void operator()(HandlerArgument&& handler_argument, Target target, Function function) const {
    using Handler = std::decay_t<HandlerArgument>;
    Handler handler(std::forward<HandlerArgument>(handler_argument));
    AsyncLane lane = AsyncLane::kLong;
    bool now = kRoute == AsyncRoute::kNow;
    if constexpr (kRoute == AsyncRoute::kIfShort) now = function.is_short(target.handle);
    if (now) {
      Attempt<Target, Function> attempt{target, function, {}};
      if (try_now(attempt.run, &attempt)) {
        const auto executor = boost::asio::get_associated_executor(handler, target.executor);
        boost::asio::post(executor,
                          AsyncCompletion<Handler, T>(std::move(handler), std::move(attempt.result),
                                                      target.status, false));
        return;
      }
      lane = AsyncLane::kWait;
    }
    using Call = AsyncCall<Handler, Target, Function, T>;
    auto call = std::make_shared<Call>(std::move(handler), std::move(target), std::move(function));
    if constexpr (kRoute == AsyncRoute::kSystem) {
      Call::begin_on_system(std::move(call));
    } else {
      Call::begin(std::move(call), lane);
    }
  }

 private:
  template <typename Target, typename Function>
  struct Attempt {
    Target& target;
    Function& function;
    AsyncResult<T> result{};

    static StatusCode run(void* context) {
      auto& self = *static_cast<Attempt*>(context);
      try {
        self.result = self.function(self.target.handle, CancelToken());
        return attempt_code(self.result);
      } catch (const std::bad_alloc&) {
        self.result.status = StatusCode::kNoMemory;
        return StatusCode::kNoMemory;
      }
    }
  };
};

// `function(handle, cancel)` does the operation and returns an AsyncResult.
template <AsyncRoute kRoute, typename Token, typename Target, typename Function>
auto initiate_async(std::remove_reference_t<Token>& token, Target target, Function function) {
  using Returned = std::invoke_result_t<Function&, typename Target::Handle&, const CancelToken&>;
  return boost::asio::async_initiate<Token, typename Returned::Signature>(
      InitiateAsync<kRoute, typename Returned::Value>(), token, std::move(target),
      std::move(function));
}

}  // namespace internal
}  // namespace rkvs

#endif  // RKVS_ASYNC_CALL_H_
