// AsyncContext: what rkvs has on its way to one Boost.Asio execution context. For <rkvs/async.h>; a
// program has no use for it.
#ifndef RKVS_ASYNC_CONTEXT_H_
#define RKVS_ASYNC_CONTEXT_H_

#include <rkvs/async_operation.h>
#include <rkvs/options.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace rkvs {
namespace internal {

// An operation that completes to an execution context. The context's list of them owns it from the
// moment when it has completed to a context that is ending.
class AsyncContextMember : public AsyncOperation {
 protected:
  AsyncContextMember() = default;

 private:
  friend class AsyncContext;
  // Destroys the handler, without calling it.
  virtual void drop() noexcept = 0;

  AsyncContextMember* context_next_ = nullptr;
  AsyncContextMember* context_previous_ = nullptr;
  std::shared_ptr<AsyncOperation> completed_;  // to an ending context
  bool was_cancelled_ = false;                 // by it
};

// One for each execution context that operations in flight complete to. A worker thread must not
// post to a context that has been destroyed, nor may its handlers outlive it. So the end of the
// context cancels what is on its way to it, waits for it, and destroys the handlers, as it destroys
// those that it has in its queue.
class AsyncContext {
 public:
  // Of an executor; nullptr where it does not say which context it belongs to.
  template <typename Executor>
  static std::shared_ptr<AsyncContext> of(const Executor& executor) {
    namespace asio = boost::asio;
    if constexpr (!asio::execution::is_executor<Executor>::value) {
      return asio::use_service<Service>(executor.context()).context();  // a Networking TS executor
    } else if constexpr (asio::can_query<const Executor&, asio::execution::context_t>::value) {
      auto&& context = asio::query(executor, asio::execution::context);
      if constexpr (std::is_base_of_v<asio::execution_context,
                                      std::remove_cvref_t<decltype(context)>>) {
        return asio::use_service<Service>(static_cast<asio::execution_context&>(context)).context();
      }
    }
    return nullptr;
  }

  // False if the context is ending.
  bool add(AsyncContextMember& member) {
    const std::lock_guard lock(mutex_);
    if (is_ending_) return false;
    member.context_next_ = members_;
    if (members_ != nullptr) members_->context_previous_ = &member;
    members_ = &member;
    return true;
  }

  // The context stays until end_post(). False if it is ending; then the member, if any, is left to
  // it.
  bool begin_post(AsyncContextMember* member) {
    const std::lock_guard lock(mutex_);
    if (is_ending_) {
      if (member != nullptr) member->completed_ = member->shared_from_this();
      changed_.notify_all();
      return false;
    }
    if (member != nullptr) remove(*member);
    ++posting_;
    return true;
  }
  void end_post() {
    const std::lock_guard lock(mutex_);
    if (--posting_ == 0) changed_.notify_all();
  }

  // `executor` becomes empty when the context ends.
  void add(const std::shared_ptr<boost::asio::any_io_executor>& executor) {
    const std::lock_guard lock(mutex_);
    executors_.push_back(executor);
  }

 private:
  class Service final : public boost::asio::execution_context::service {
   public:
    using key_type = Service;
    inline static boost::asio::execution_context::id id;

    explicit Service(boost::asio::execution_context& owner) : service(owner) {}
    const std::shared_ptr<AsyncContext>& context() const { return context_; }

   private:
    void shutdown() override { context_->end(); }

    const std::shared_ptr<AsyncContext> context_ = std::make_shared<AsyncContext>();
  };

  void end() {
    std::unique_lock lock(mutex_);
    is_ending_ = true;
    while (AsyncContextMember* const member = next_to_cancel()) {
      member->was_cancelled_ = true;
      const std::shared_ptr<AsyncOperation> alive = member->shared_from_this();
      lock.unlock();
      alive->cancel();
      lock.lock();
    }
    changed_.wait(lock, [this] { return posting_ == 0 && all_completed(); });
    for (const auto& weak : executors_) {
      if (const auto executor = weak.lock()) *executor = nullptr;
    }
    while (AsyncContextMember* const member = members_) {
      remove(*member);
      const std::shared_ptr<AsyncOperation> alive = std::move(member->completed_);
      lock.unlock();
      member->drop();
      lock.lock();
    }
  }

  AsyncContextMember* next_to_cancel() const {
    AsyncContextMember* member = members_;
    while (member != nullptr && member->was_cancelled_) member = member->context_next_;
    return member;
  }
  bool all_completed() const {
    for (const AsyncContextMember* m = members_; m != nullptr; m = m->context_next_) {
      if (m->completed_ == nullptr) return false;
    }
    return true;
  }
  void remove(AsyncContextMember& member) {
    if (member.context_previous_ != nullptr) {
      member.context_previous_->context_next_ = member.context_next_;
    } else {
      members_ = member.context_next_;
    }
    if (member.context_next_ != nullptr) {
      member.context_next_->context_previous_ = member.context_previous_;
    }
    member.context_next_ = member.context_previous_ = nullptr;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_ending_ = false;
  int posting_ = 0;
  AsyncContextMember* members_ = nullptr;  // that have not completed, the newest first
  std::vector<std::weak_ptr<boost::asio::any_io_executor>> executors_;
};

}  // namespace internal

// For StorageOptions::post: the manager starts no threads for asynchronous operations and runs them
// on this executor. Give it one whose threads may be busy for as long as a save or a resize takes,
// a boost::asio::thread_pool for one: an io_context does nothing else while it runs one of them.
// Should the executor's context end before the manager, operations are Closed from then on.
inline PostHook executor_hook(boost::asio::any_io_executor executor) {
  auto context = internal::AsyncContext::of(executor);
  auto shared = std::make_shared<boost::asio::any_io_executor>(std::move(executor));
  if (context != nullptr) context->add(shared);
  return [context = std::move(context), shared = std::move(shared)](std::function<void()> work) {
    if (context == nullptr) return boost::asio::post(*shared, std::move(work));
    if (!context->begin_post(nullptr)) return;
    struct End {
      internal::AsyncContext& context;
      ~End() { context.end_post(); }
    };
    const End end{*context};
    boost::asio::post(*shared, std::move(work));
  };
}

}  // namespace rkvs

#endif  // RKVS_ASYNC_CONTEXT_H_
