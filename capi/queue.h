// rkvs_queue: completions on their way to the program.
#ifndef RKVS_CAPI_QUEUE_H_
#define RKVS_CAPI_QUEUE_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/condition.h"
#include "base/mutex.h"
#include "base/thread_annotations.h"
#include "capi/internal.h"

namespace rkvs::capi {

// A completion and its place in a queue, made when an operation begins: later nothing can fail.
struct CompletionNode {
  CompletionNode() = default;
  ~CompletionNode() { rkvs_completion_clear(&completion); }
  CompletionNode(const CompletionNode&) = delete;
  CompletionNode& operator=(const CompletionNode&) = delete;

  rkvs_completion completion{};
  CompletionNode* next = nullptr;
};

}  // namespace rkvs::capi

struct rkvs_queue : rkvs::capi::Handle {
  static constexpr uint32_t kMagic = 0x524B5131;
  // Takes over `event_fd`, which is non-blocking.
  explicit rkvs_queue(int event_fd) : Handle(kMagic), fd_(event_fd) {}
  ~rkvs_queue();

  int fd() const { return fd_; }
  // False where the queue is closed. An operation that was let in ends with push() or give_up().
  bool begin() noexcept;
  void give_up() noexcept;
  void push(std::unique_ptr<rkvs::capi::CompletionNode> node) noexcept;

  // Ok with `count` completions, or Closed.
  rkvs::Status poll(rkvs_completion* completions, std::size_t capacity,
                    std::size_t& count) noexcept;
  // Ok, Timeout or Closed.
  rkvs::Status wait(std::chrono::steady_clock::time_point until) noexcept;
  void close() noexcept;
  bool is_closed() const noexcept { return closed_.load(std::memory_order_acquire); }

 private:
  // Makes the descriptor readable, or not.
  void raise() noexcept RKVS_REQUIRES(mutex_);
  void lower() noexcept RKVS_REQUIRES(mutex_);
  bool is_over() const RKVS_REQUIRES(mutex_) {
    return closed_ && first_ == nullptr && on_their_way_ == 0;
  }

  const int fd_;
  rkvs::internal::Mutex mutex_;
  rkvs::internal::Condition changed_;
  rkvs::capi::CompletionNode* first_ RKVS_GUARDED_BY(mutex_) = nullptr;
  rkvs::capi::CompletionNode* last_ RKVS_GUARDED_BY(mutex_) = nullptr;
  uint64_t on_their_way_ RKVS_GUARDED_BY(mutex_) = 0;
  uint32_t waiting_ RKVS_GUARDED_BY(mutex_) = 0;
  bool raised_ RKVS_GUARDED_BY(mutex_) = false;
  std::atomic<bool> closed_{false};  // set with mutex_ held
};

#endif  // RKVS_CAPI_QUEUE_H_
