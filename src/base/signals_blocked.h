// SignalsBlocked: for starting threads that leave signals to the program.
#ifndef RKVS_BASE_SIGNALS_BLOCKED_H_
#define RKVS_BASE_SIGNALS_BLOCKED_H_

#include <csignal>

namespace rkvs::internal {

// While one lives, its thread gets no signals, and the threads that it starts never do.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace rkvs::internal

#endif  // RKVS_BASE_SIGNALS_BLOCKED_H_
