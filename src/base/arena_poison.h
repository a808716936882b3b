// Marks for AddressSanitizer: memory of the arena that no caller owns is poisoned.
#ifndef RKVS_BASE_ARENA_POISON_H_
#define RKVS_BASE_ARENA_POISON_H_

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define RKVS_ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RKVS_ARENA_ASAN 1
#endif
#endif

#if defined(RKVS_ARENA_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

namespace rkvs::internal::arena {

#if defined(RKVS_ARENA_ASAN)
inline constexpr bool kPoisons = true;
inline void poison(const void* memory, size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void unpoison(const void* memory, size_t bytes) {
  __asan_unpoison_memory_region(memory, bytes);
}
// The leak checker follows pointers only through memory that it knows of.
inline void add_leak_root(const void* memory, size_t bytes) {
  __lsan_register_root_region(memory, bytes);
}
inline void remove_leak_root(const void* memory, size_t bytes) {
  __lsan_unregister_root_region(memory, bytes);
}
#else
inline constexpr bool kPoisons = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
inline void add_leak_root(const void*, size_t) {}
inline void remove_leak_root(const void*, size_t) {}
#endif

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_POISON_H_
