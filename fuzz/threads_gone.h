// Waiting for what an input leaves to other threads.
#ifndef RKVS_FUZZ_THREADS_GONE_H_
#define RKVS_FUZZ_THREADS_GONE_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

namespace rkvs::fuzz {

// Waits at its end until the threads that have begun since its beginning are gone. What they tear
// down must not be going on when a LeakCheck looks, and neither when LeakSanitizer does. For that
// knows a thread by the number that the system gave it, and stays with the first one that had it:
// after some 32,768 threads numbers come again, and what is referred to by nothing but the stack of
// a thread then counts as lost.
class ThreadsGone {
 public:
  ThreadsGone() : before_(threads()) {}
  // For as long as it takes: libFuzzer has a timeout.
  ~ThreadsGone() {
    while (threads() > before_) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  ThreadsGone(const ThreadsGone&) = delete;
  ThreadsGone& operator=(const ThreadsGone&) = delete;

 private:
  // A look may miss some where one ends meanwhile; hardly two looks.
  static size_t threads() { return std::max(look(), look()); }
  // Without the arena's own, which begins and ends when it likes.
  static size_t look() {
    size_t count = 0;
    std::error_code error;
    for (std::filesystem::directory_iterator at("/proc/self/task", error), end; !error && at != end;
         at.increment(error)) {
      std::string name;
      if (!std::getline(std::ifstream(at->path() / "comm"), name)) continue;
      if (name != "rkvs-arena") ++count;
    }
    return count;
  }

  const size_t before_;
};

}  // namespace rkvs::fuzz

#endif  // RKVS_FUZZ_THREADS_GONE_H_
