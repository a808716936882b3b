#include "base/thread_slot.h"

#include <atomic>
#include <bit>

namespace rkvs::internal {

__thread uint32_t thread_slot_plus_one __attribute__((tls_model("initial-exec"))) = 0;

namespace {

static_assert(kThreadSlots == 64);
// Slots that are taken; the shared one always is.
std::atomic<uint64_t> taken{uint64_t{1} << kSharedThreadSlot};

// Gives the slot back when the thread ends. What the thread does after that, for objects that live
// still longer, it does in the shared slot.
struct SlotOwner {
  uint32_t slot = kSharedThreadSlot;
  ~SlotOwner() {
    thread_slot_plus_one = kSharedThreadSlot + 1;
    if (slot != kSharedThreadSlot) {
      // Whoever takes the slot next sees what was counted in it.
      taken.fetch_and(~(uint64_t{1} << slot), std::memory_order_release);
    }
  }
};
thread_local SlotOwner owner;

}  // namespace

uint32_t take_thread_slot() noexcept {
  uint64_t present = taken.load(std::memory_order_relaxed);
  uint32_t slot = kSharedThreadSlot;
  while (~present != 0) {
    slot = static_cast<uint32_t>(std::countr_one(present));
    if (taken.compare_exchange_weak(present, present | uint64_t{1} << slot,
                                    std::memory_order_acquire, std::memory_order_relaxed)) {
      break;
    }
    slot = kSharedThreadSlot;
  }
  owner.slot = slot;
  thread_slot_plus_one = slot + 1;
  return slot;
}

}  // namespace rkvs::internal
