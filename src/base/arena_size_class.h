// The size classes of the arena: which sizes share a class, and what a span of it holds.
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

// Up to kMaxLinear bytes classes are kGranule bytes apart, above there are kSteps to each doubling.
// Half of the former are multiples of kAlignment, and all of the latter.
inline constexpr size_t kGranule = 8;
inline constexpr size_t kAlignment = 16;
inline constexpr size_t kMaxLinear = 512;
inline constexpr size_t kSteps = 8;
// Above this size a whole number of pages wastes no more than the classes would.
inline constexpr size_t kMaxSmall = 32 * 1024;

inline constexpr size_t kLinearClasses = kMaxLinear / kGranule;
inline constexpr size_t kClasses =
    kLinearClasses + kSteps * (std::bit_width(kMaxSmall) - std::bit_width(kMaxLinear));

// The class of a size above kMaxLinear: the top four bits of bytes - 1 are one and the step.
constexpr size_t geometric_class(size_t bytes) {
  constexpr size_t kMaxLinearBits = std::bit_width(kMaxLinear);
  constexpr size_t kStepBits = std::bit_width(kSteps - 1);
  const size_t last = bytes - 1;
  const size_t doubling = static_cast<size_t>(std::bit_width(last)) - kMaxLinearBits;
  const size_t shift = doubling + kMaxLinearBits - 1 - kStepBits;
  return kLinearClasses + doubling * kSteps + ((last >> shift) & (kSteps - 1));
}

// What a block must be aligned to: kPacked to kGranule, kAligned to kAlignment.
enum class Fit { kPacked, kAligned };

// The class of a size of at most kMaxSmall bytes; 0 bytes are served as 1.
template <Fit fit>
constexpr size_t class_of(size_t bytes) {
  if (bytes > kMaxLinear) [[unlikely]]
    return geometric_class(bytes);
  const size_t size_class = (bytes - (bytes != 0 ? 1 : 0)) / kGranule;
  static_assert(kAlignment == 2 * kGranule);  // so that each second class is aligned
  return fit == Fit::kPacked ? size_class : size_class | 1;
}

struct SizeClass {
  uint32_t size;          // bytes of a block
  uint32_t inverse;       // 2^32 / size, rounded up: divides by multiplication
  uint16_t span_pages;    // pages of a span
  uint16_t span_blocks;   // blocks in a span
  uint16_t cache_blocks;  // most blocks that a thread keeps
};

// Each span has one bit for each of its blocks, in one cache line.
inline constexpr size_t kMaxSpanBlocks = 512;
// Long enough that a thread needs the page heap rarely; longer only where it saves memory.
inline constexpr size_t kSpanPages = 16;
inline constexpr size_t kMaxSpanPages = 64;
// Bytes of one class that a thread keeps at most.
inline constexpr size_t kCacheBytes = 32 * 1024;
inline constexpr size_t kMinCacheBlocks = 2;
inline constexpr size_t kMaxCacheBlocks = 256;

constexpr size_t choose_span_pages(size_t size) {
  const size_t most = kMaxSpanBlocks * size / kPageSize;
  if (most <= kSpanPages) return most;
  // The shortest whose unusable tail is under 1/32 of it.
  for (size_t pages = kSpanPages; pages <= kMaxSpanPages; ++pages) {
    const size_t bytes = pages * kPageSize;
    if (bytes % size * 32 <= bytes) return pages;
  }
  return kSpanPages;
}

constexpr std::array<SizeClass, kClasses> make_size_classes() {
  std::array<SizeClass, kClasses> classes{};
  for (size_t c = 0; c < kClasses; ++c) {
    size_t size = (c + 1) * kGranule;
    if (c >= kLinearClasses) {
      const size_t doubling = (c - kLinearClasses) / kSteps;
      const size_t step = (c - kLinearClasses) % kSteps;
      size = (kMaxLinear + kMaxLinear / kSteps * (step + 1)) << doubling;
    }
    const size_t pages = choose_span_pages(size);
    size_t cached = kCacheBytes / size;
    if (cached < kMinCacheBlocks) cached = kMinCacheBlocks;
    if (cached > kMaxCacheBlocks) cached = kMaxCacheBlocks;
    classes[c].size = static_cast<uint32_t>(size);
    classes[c].inverse = static_cast<uint32_t>(((uint64_t{1} << 32) + size - 1) / size);
    classes[c].span_pages = static_cast<uint16_t>(pages);
    classes[c].span_blocks = static_cast<uint16_t>(pages * kPageSize / size);
    classes[c].cache_blocks = static_cast<uint16_t>(cached);
  }
  return classes;
}

inline constexpr std::array<SizeClass, kClasses> kSizeClasses = make_size_classes();

static_assert(kSizeClasses[kClasses - 1].size == kMaxSmall);
static_assert(kSizeClasses[0].span_blocks <= kMaxSpanBlocks);

}  // namespace rkvs::internal::arena

#endif  // RKVS_BASE_ARENA_SIZE_CLASS_H_
