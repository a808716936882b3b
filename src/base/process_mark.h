// ProcessMark: tells the child of a fork from the process in which something was made.
#ifndef RKVS_BASE_PROCESS_MARK_H_
#define RKVS_BASE_PROCESS_MARK_H_

#include <rkvs/status.h>
#include <unistd.h>

#include "base/error.h"

namespace rkvs::internal {

// For what has threads, which a fork does not copy, or locks, which it copies as they are: in the
// child nobody would ever run the one or give back the other. Safe for concurrent use.
class ProcessMark {
 public:
  // A system call.
  bool is_forked() const noexcept { return ::getpid() != process_; }

  static Status error() {
    return make_error(StatusCode::kForked, "this process is a fork of the one with the store");
  }

 private:
  pid_t process_ = ::getpid();
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_PROCESS_MARK_H_
