// What every fuzz target needs: reading an input as decisions, and giving up when something is
// wrong.
#ifndef RKVS_FUZZ_FUZZ_INPUT_H_
#define RKVS_FUZZ_FUZZ_INPUT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

// Ends the process: that is how a fuzz target fails. A test that uses the same oracle fails in
// another way, and says how before it includes this.
#ifndef RKVS_FUZZ_FAIL
#define RKVS_FUZZ_FAIL(what) ::rkvs::fuzz::fail(what, __FILE__, __LINE__)
#endif
// Fails where `condition` does not hold.
#define RKVS_FUZZ_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : RKVS_FUZZ_FAIL("does not hold: " #condition))

namespace rkvs::fuzz {

[[noreturn]] inline void fail(const std::string& what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  std::abort();
}

// Reads an input from its front. What is behind the end reads as zero, so that every input means
// something and a longer one begins like the shorter one did.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  bool empty() const { return at_ == end_; }
  uint8_t byte() { return empty() ? uint8_t{0} : *at_++; }
  bool flag() { return (byte() & 1) != 0; }
  // A number below `n`, which is at most 256.
  uint32_t below(uint32_t n) { return byte() % n; }
  template <typename T, size_t kSize>
  const T& pick(const std::array<T, kSize>& choices) {
    static_assert(kSize <= 256);
    return choices[below(kSize)];
  }
  uint64_t number() {
    uint64_t number = 0;
    for (size_t n = below(9); n > 0; --n) number = number << 8 | byte();
    return number;
  }
  // Up to `n` bytes as they stand in the input.
  std::string bytes(size_t n) {
    const size_t left = static_cast<size_t>(end_ - at_);
    std::string bytes(reinterpret_cast<const char*>(at_), n < left ? n : left);
    at_ += bytes.size();
    return bytes;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_FUZZ_INPUT_H_
