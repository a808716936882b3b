// Runs threads one at a time, in an order that a number determines.
//
// For the copy of the library that is built with RKVS_SCHEDULES: its points (base/schedule.h) ask
// the scheduler which thread goes on. So a run can be made again from its seed, and thousands of
// runs go through the orders in which threads can meet, those included that a machine would take
// years to come by. What is not a point is not interleaved: data races are for ThreadSanitizer, and
// memory is as if it were sequentially consistent.
//
// The threads are contexts of one thread of the system, so that going from one to another takes no
// turn of the machine. What the library keeps for each thread goes along with them where it could
// matter: the scheduler knows of it (TableMemory::Own, callback_is_running,
// thread_slot_plus_one).
//
// Seeds take turns between two ways of choosing. Either any thread may be next at each point, with
// a probability that the seed draws as well; or threads have priorities, and a few points of the
// run change them (Burckhardt and others, 2010: "A randomized scheduler with probabilistic
// guarantees of finding bugs"), which finds what needs one thread to stop for long at the wrong
// place.
#ifndef RKVS_TESTS_SCHEDULES_SCHEDULER_H_
#define RKVS_TESTS_SCHEDULES_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <vector>

namespace rkvs::testing {

// What a run was like.
struct ScheduleTrace {
  uint64_t digest = 0;    // of who went on at each point: equal for equal orders
  uint64_t points = 0;    // that the threads came by
  uint64_t switches = 0;  // after which another thread went on
};

// Runs the bodies, each as a thread of its own, to their ends. `length`: about how many points they
// come by. Seed 0: one body after another. Ends the process, with a message, where no thread can go
// on (each sleeps and nobody is left to wake it) or they go on for ever. By one thread at a time.
ScheduleTrace run_scheduled(uint64_t seed, uint64_t length,
                            const std::vector<std::function<void()>>& bodies);

// The number of the point that a scheduled run has come to: the time of a clock that all share.
int64_t schedule_time();

// What is run again and again: its threads, and what must be true at their end.
struct Scenario {
  std::vector<std::function<void()>> bodies;
  std::function<void()> check = [] {};
};

// Runs `count` (times RKVS_TEST_SCALE) schedules of what `make` gives, each of a scenario of its
// own, until one fails; then says its seed. With RKVS_SCHEDULE_SEED that one alone.
void explore(int count, const std::function<Scenario(uint64_t seed)>& make);

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SCHEDULES_SCHEDULER_H_
