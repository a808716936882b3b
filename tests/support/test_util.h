// What tests of every layer share: reading statuses, places on disk, sizes, threads.
#ifndef RKVS_TESTS_SUPPORT_TEST_UTIL_H_
#define RKVS_TESTS_SUPPORT_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <rkvs/status.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

namespace rkvs {

// Found by GoogleTest: failures show names instead of bytes.
inline void PrintTo(StatusCode code, std::ostream* out) { *out << status_code_name(code); }
inline void PrintTo(const Status& status, std::ostream* out) { *out << status.to_string(); }

}  // namespace rkvs

#ifdef RKVS_COVERAGE
extern "C" void __gcov_dump(void);  // NOLINT(bugprone-reserved-identifier): libgcov's own name
#endif

namespace rkvs::testing {

// _exit() for children of a fork: where coverage is measured, what the child has executed counts.
[[noreturn]] inline void end_child(int status) {
#ifdef RKVS_COVERAGE
  __gcov_dump();
#endif
  ::_exit(status);
}

inline const Status& status_of(const Status& status) { return status; }
template <typename T>
const Status& status_of(const Result<T>& result) {
  return result.status();
}

// EXPECT_TRUE(is_ok(ns.put("k", "v"))): says the status where it is not Ok.
template <typename StatusOrResult>
::testing::AssertionResult is_ok(const StatusOrResult& what) {
  const Status& status = status_of(what);
  if (status.ok()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << status.to_string();
}

// RKVS_TEST_SCALE: how many times the usual amount of work heavy tests do.
inline int test_scale() {
  const char* text = std::getenv("RKVS_TEST_SCALE");
  const int scale = text == nullptr ? 1 : std::atoi(text);
  return scale < 1 ? 1 : scale;
}

// Whether code runs several times slower than it was compiled to.
constexpr bool is_instrumented() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(RKVS_COVERAGE)
  return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return true;
#else
  return false;
#endif
#else
  return false;
#endif
}

// `full` of something, or a fraction of it where every step is slow.
constexpr int scaled_down(int full, int divisor = 8) {
  return is_instrumented() ? full / divisor : full;
}

// An empty directory that goes away with everything in it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rkvs_test.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Threads that are joined at the end of the scope, or before by join().
class Threads {
 public:
  Threads() = default;
  ~Threads() { join(); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  void start(std::function<void()> body) { threads_.emplace_back(std::move(body)); }
  void start(int count, const std::function<void(int)>& body) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([body, i] { body(i); });
  }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<std::thread> threads_;
};

// Runs `body` on a thread of its own and waits for it: one that has no memory set aside yet, so
// that figures of the Arena come out exact.
inline void on_fresh_thread(const std::function<void()>& body) { std::thread(body).join(); }

// Sets the flag when the scope ends, whichever way: put it behind a Threads whose bodies run until
// the flag is set, so that a failed ASSERT does not leave them running.
class StopAtExit {
 public:
  explicit StopAtExit(std::atomic<bool>& stop) : stop_(stop) {}
  ~StopAtExit() { stop_.store(true); }
  StopAtExit(const StopAtExit&) = delete;
  StopAtExit& operator=(const StopAtExit&) = delete;

 private:
  std::atomic<bool>& stop_;
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_TEST_UTIL_H_
