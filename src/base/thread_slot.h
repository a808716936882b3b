// A small number for each living thread.
#ifndef RKVS_BASE_THREAD_SLOT_H_
#define RKVS_BASE_THREAD_SLOT_H_

#include <cstdint>

namespace rkvs::internal {

// Threads have slots of their own while they live, from 0 to kThreadSlots - 2; whoever comes when
// all are taken shares the last one.
inline constexpr uint32_t kThreadSlots = 64;
inline constexpr uint32_t kSharedThreadSlot = kThreadSlots - 1;

// One more than the slot, 0 while the thread has none. `initial-exec` makes it one load.
extern __thread uint32_t thread_slot_plus_one __attribute__((tls_model("initial-exec")));

uint32_t take_thread_slot() noexcept;

inline uint32_t thread_slot() noexcept {
  const uint32_t slot = thread_slot_plus_one;
  return slot != 0 ? slot - 1 : take_thread_slot();
}

// False for the shared slot, and for a thread that has none yet.
inline bool has_own_thread_slot(uint32_t& slot) noexcept {
  slot = thread_slot_plus_one - 1;
  return slot < kSharedThreadSlot;
}

}  // namespace rkvs::internal

#endif  // RKVS_BASE_THREAD_SLOT_H_
