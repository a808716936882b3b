// operator new that fails when a test wants it to, and counts. For programs with failing_new.cc.
#ifndef RKVS_TESTS_MANAGER_FAILING_NEW_H_
#define RKVS_TESTS_MANAGER_FAILING_NEW_H_

#include <cstdint>

namespace rkvs::manager_test {

// Makes the n-th allocation that the calling thread asks operator new for from now on fail, and
// with `for_good` all later ones as well. Other threads are left in peace.
void fail_allocations_of_this_thread(int64_t n, bool for_good) noexcept;

// The same for all threads but the calling one, which are counted together.
void fail_allocations_of_other_threads(int64_t n, bool for_good) noexcept;

// Ends both. True if an allocation failed.
bool stop_failing_allocations() noexcept;

// From here on the calling thread's allocations and deallocations are counted.
void start_counting_memory() noexcept;

// The most bytes that were in use at one time since then, beyond what was when it began.
int64_t peak_of_memory() noexcept;

}  // namespace rkvs::manager_test

#endif  // RKVS_TESTS_MANAGER_FAILING_NEW_H_
