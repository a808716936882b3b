// What long operations take: somebody to tell how far they are, and a way to end them early.
#ifndef RKVS_OPERATION_H_
#define RKVS_OPERATION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace rkvs {

// How far a save, load, clone or resize has come. Figures only grow while it runs.
struct Progress {
  uint64_t entries_done = 0;
  // 0 as long as it is not known. A load learns it namespace by namespace.
  uint64_t entries_total = 0;
  // Of values in a save and a clone, of the file in a load; 0 in a resize, which moves references
  // alone.
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;

  friend bool operator==(const Progress&, const Progress&) = default;
};

// Called on the thread that called the operation, never while a lock is held, some twenty times a
// second at most and once at the successful end. Must not throw.
using ProgressHook = std::function<void(const Progress&)>;

// Ends operations early. Copies are one token. Safe for concurrent use.
//
//   rkvs::CancelToken token = rkvs::CancelToken::create();
//   std::thread saver([&] { status = manager.save_all("store.rkvs", {.cancel = token}); });
//   token.cancel();  // the save ends soon, as Cancelled or, where it was done already, as Ok
class CancelToken {
 public:
  // Never cancelled.
  CancelToken() = default;
  // One that can be. Throws std::bad_alloc.
  static CancelToken create() {
    CancelToken token;
    token.flag_ = std::make_shared<std::atomic<bool>>(false);
    return token;
  }

  // For good. Without effect on a default-constructed token.
  void cancel() const noexcept {
    if (flag_ != nullptr) flag_->store(true, std::memory_order_release);
  }
  bool is_cancelled() const noexcept {
    return flag_ != nullptr && flag_->load(std::memory_order_acquire);
  }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

// Both are optional. An operation that was cancelled has changed nothing; it may take as long to
// undo what it did as it took to do it.
struct OperationOptions {
  ProgressHook progress{};
  CancelToken cancel{};
};

}  // namespace rkvs

#endif  // RKVS_OPERATION_H_
