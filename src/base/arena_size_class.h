// The size classes of the arena: which sizes share a class and how many pages a span of it takes.
#ifndef RKVS_BASE_ARENA_SIZE_CLASS_H_
#define RKVS_BASE_ARENA_SIZE_CLASS_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace rkvs::internal::arena {

// Pages are the arena's own unit, whatever the size of the system's pages.
inline constexpr size_t kPageBits = 12;
inline constexpr size_t kPageSize = size_t{1} << kPageBits;

inline constexpr size_t kAlignment = 16;
// Up to here classes are 16 bytes apart, above there are kSteps of them to each doubling.
inline constexpr size_t kMaxLinear = 512;
inline constexpr size_t kSteps = 8;
// Above this size a whole number of pages wastes no more than the classes would.
inline constexpr size_t kMaxSmall = 32 * 1024;

inline constexpr size_t kLinearClasses = kMaxLinear / kAlignment;
inline constexpr size_t kClasses =
    kLinearClasses + kSteps * (std::bit_width(kMaxSmall) - std::bit_width(kMaxLinear));

// The class of a size above kMaxLinear: the top four bits of bytes - 1 number the step.
constexpr size_t geometric_class(size_t bytes) {
  const size_t last = bytes - 1;
  const size_t doubling = static_cast<size_t>(std::bit_width(last)) -
                          static_cast<size_t>(std::bit_width(kMaxLinear));
  const size_t shift = doubling + std::bit_width(kMaxLinear) - 1 - std::bit_width(kSteps - 1);
  return kLinearClasses + doubling * kSteps + ((last >> shift) & (kSteps - 1));
}

// The class of a size of at most kMaxSmall bytes; 0 bytes are served as 1.
constexpr size_t class_of(size_t bytes) {
  if (bytes <= kMaxLinear) return bytes == 0 ? 0 : (bytes - 1) / kAlignment;
  return geometric_class(bytes);
}

struct SizeClass {
  uint32_t size;          // bytes of a block
  uint16_t span_pages;    // pages of a span
  uint16_t span_blocks;   // blocks in a span
  uint16_t cache_blocks;  // most blocks that a thread keeps
};

// A span is at least this long, so that a thread fetches from the page heap rarely.
inline constexpr size_t kMinSpanPages = 16;
inline constexpr size_t kMaxSpanPages = 64;
// Bytes of one class that a thread keeps at most.
inline constexpr size_t kCacheBytes = 32 * 1024;
inline constexpr size_t kMinCacheBlocks = 2;
inline constexpr size_t kMaxCacheBlocks = 256;

// The shortest span whose unusable tail is under 1/32 of it, or else the one with the least tail.
constexpr size_t choose_span_pages(size_t size) {
  size_t best = kMinSpanPages;
  for (size_t pages = kMinSpanPages; pages <= kMaxSpanPages; ++pages) {
    const size_t bytes = pages * kPageSize;
    if (bytes % size * 32 <= bytes) return pages;
    if (bytes % size * best * kPageSize < best * kPageSize % size * bytes) best = pages;
  }
  return best;
}

constexpr std::array<SizeClass, kClasses> make_size_classes() {
  std::array<SizeClass, kClasses> classes{};
  for (size_t c = 0; c < kClasses; ++c) {
    size_t size = (c + 1) * kAlignment;
    if (c >= kLinearClasses) {
      const size_t doubling = (c - kLinearClasses) / kSteps;
      const size_t step = (c - kLinearClasses) % kSteps;
      size = (kMaxLinear + kMaxLinear / kSteps * (step + 1)) << doubling;
    }
    const size_t pages = choose_span_pages(size);
    size_t cached = kCacheBytes / size;
    if (cached < kMinCacheBlocks) cached = kMinCacheBlocks;
    if (cached > kMaxCacheBlocks) cached = kMaxCacheBlocks;
    classes[c] = {static_cast<uint32_t>(size), static_cast<uint16_t>(pages),
                  static_cast<uint16_t>(pages * kPageSize / size), static_cast<uint16_t>(cached)};
  }
  return classes;
}

inline constexpr std::array<SizeClass, kClasses> kSizeClasses = make_size_classes();

static_assert(kSizeClasses[kClasses - 1].size == kMaxSmall);

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_SIZE_CLASS_H_
