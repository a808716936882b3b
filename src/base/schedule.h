// Points at which a test of the library decides which thread goes on.
#ifndef RKVS_BASE_SCHEDULE_H_
#define RKVS_BASE_SCHEDULE_H_

// Empty everywhere but in the copy of the library that tests/schedules runs (RKVS_SCHEDULES). There
// one thread runs at a time, and each point may hand over to another: so that every order in which
// threads can meet is one that a test can make, and make again. A point stands where what another
// thread does makes a difference: before and after the operations of locks, between looking at a
// shared number and changing it, between the steps of a change that others may see half done.
//
//   RKVS_SCHEDULE_POINT()   the point
//   RKVS_SCHEDULE_QUIET()   no points until the end of the block: for locks that say nothing about
//                           the store, and are taken as the history of the process has it
#ifdef RKVS_SCHEDULES

#include <atomic>
#include <cstdint>

namespace rkvs::internal::schedule {

// All three are the test's.
void point();
// Sleeps as futex_wait() does, without a time limit; false if the kernel has to do it.
bool wait(const std::atomic<uint32_t>& word, uint32_t expected, uint32_t mask);
// Wakes those who sleep in wait().
void wake(const std::atomic<uint32_t>& word, int count, uint32_t mask);

class Quiet {
 public:
  Quiet() { ++depth; }
  ~Quiet() { --depth; }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  static bool is_on() { return depth != 0; }

 private:
  static inline thread_local int depth = 0;
};

}  // namespace rkvs::internal::schedule

#define RKVS_SCHEDULE_POINT() ::rkvs::internal::schedule::point()
#define RKVS_SCHEDULE_QUIET() const ::rkvs::internal::schedule::Quiet schedule_is_quiet

#else

#define RKVS_SCHEDULE_POINT() static_cast<void>(0)
#define RKVS_SCHEDULE_QUIET() static_cast<void>(0)

#endif

#endif  // RKVS_BASE_SCHEDULE_H_
