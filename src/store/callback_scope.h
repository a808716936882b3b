// CallbackScope: says that a thread is in a function that the store calls with a lock held.
#ifndef RKVS_STORE_CALLBACK_SCOPE_H_
#define RKVS_STORE_CALLBACK_SCOPE_H_

#include <utility>

#include "base/thread_slot.h"

namespace rkvs::internal {

// Every operation asks, so it must be one load: `initial-exec` costs some bytes of the static
// thread-local space instead of a call.
extern __thread bool callback_is_running __attribute__((tls_model("initial-exec")));

// Whoever is called back with a shard locked must not lock another: it could wait for itself, or
// for a thread that does the same the other way round.
inline bool is_called_back() { return callback_is_running; }

class CallbackScope {
 public:
  CallbackScope() { callback_is_running = true; }
  ~CallbackScope() {
    callback_is_running = false;
    thread_slot_plus_one = slot_plus_one_;
  }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  // Meanwhile the thread has no slot of its own, so that whoever has one is in no callback: one
  // question where a read would ask two.
  const uint32_t slot_plus_one_ = std::exchange(thread_slot_plus_one, kSharedThreadSlot + 1);
};

}  // namespace rkvs::internal

#endif  // RKVS_STORE_CALLBACK_SCOPE_H_
