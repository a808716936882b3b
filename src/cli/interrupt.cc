#include "cli/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>

namespace rkvs::cli {
namespace {

std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free, "written by a signal handler");

// Readable once a signal has come; -1 before handle_signals().
int wake_fd = -1;

void remember(int signal) {
  const int saved_errno = errno;
  received.store(signal, std::memory_order_relaxed);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = write(wake_fd, &one, sizeof one);
  errno = saved_errno;
}

}  // namespace

void handle_signals() {
  wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action = {};
  action.sa_handler = remember;
  // No SA_RESTART: a read that waits for input must end.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    // What the parent ignores (nohup, a background job) stays ignored.
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
  }
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

Status check_interrupted() {
  return received.load(std::memory_order_relaxed) == 0 ? Status() : StatusCode::kCancelled;
}

Status wait_for_input(int fd) {
  // poll() passes over a wake_fd of -1.
  std::array<struct pollfd, 2> fds = {{{fd, POLLIN, 0}, {wake_fd, POLLIN, 0}}};
  // Whatever else poll() has to say, the read that follows says better.
  poll(fds.data(), fds.size(), /*milliseconds*/ -1);
  return check_interrupted();
}

void end_if_interrupted() {
  const int signal = received.load(std::memory_order_relaxed);
  if (signal == 0) return;
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
  raise(signal);
}

}  // namespace rkvs::cli
