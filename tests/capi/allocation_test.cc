// Every function of the C API, with each of its allocations failing in turn, once or from then on:
// it answers RKVS_E_NO_MEMORY, or does without; it changes all or nothing, and leaks nothing (which
// AddressSanitizer sees).
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "base/arena.h"
#include "tests/capi/world.h"
#include "tests/manager/failing_new.h"

namespace rkvs::capi_test {
namespace {

using manager_test::fail_allocations_of_other_threads;
using manager_test::fail_allocations_of_this_thread;
using manager_test::stop_failing_allocations;

// What may be half-done when it fails, and says so.
bool is_whole(const std::string& name) {
  static const std::set<std::string> in_parts = {
      "rkvs_namespace_delete_prefix", "rkvs_namespace_delete_prefix_async",
      // Calls of these tests that consist of two.
      "rkvs_manager_add_namespace_autosave_task", "rkvs_manager_add_namespace_autosave_task_async",
      "rkvs_manager_start_namespace_autosave_task",
      "rkvs_manager_start_namespace_autosave_task_async"};
  return in_parts.count(name) == 0;
}

// A configuration that is in force although its resize met no memory.
bool applies_first(const std::string& name) {
  return name.find("resize_shards") != std::string::npos ||
         name.find("update_config") != std::string::npos ||
         name.find("update_namespace_config") != std::string::npos;
}

bool is_asynchronous(const std::string& name) { return name.find("_async") != std::string::npos; }

// Which allocations fail, and to whom an asynchronous call completes.
struct Failing {
  void (*arm)(int64_t n, bool for_good) noexcept;
  bool calls_back;
};

// How many allocations it took to succeed.
int fail_each(const Call& call, const Failing& failing, bool for_good) {
  // A world that a failure has left as it was serves again; whether it did is what is tested.
  // Success counts in a fresh one alone, where nothing is prepared yet.
  const bool is_reusable = is_whole(call.name) && !applies_first(call.name);
  std::unique_ptr<World> world;
  for (int n = 1;;) {
    SCOPED_TRACE(n);
    const bool is_fresh = world == nullptr;
    if (is_fresh) {
      world = std::make_unique<World>();
      if (failing.calls_back) world->call_back();
    }
    static const auto* const before = new std::string(world->content());
    void* const handle = handle_of(*world, call.kind);
    rkvs_error* error = nullptr;
    failing.arm(n, for_good);
    const rkvs_status status = call.call(*world, handle, &error);
    const bool failed = stop_failing_allocations();
    // Of what was pending the completion has the error.
    EXPECT_TRUE(error == nullptr || rkvs_error_code(error) == status);
    rkvs_error_release(error);
    if (status < 0) {
      EXPECT_EQ(status, RKVS_E_NO_MEMORY) << rkvs_status_name(status);
      if (is_reusable) {
        EXPECT_EQ(world->content(), *before);
      }
    }
    if (::testing::Test::HasFailure() || (is_fresh && !failed) || n > 400) return n;
    if (status >= 0 || !is_reusable) world.reset();
    if (is_fresh || status < 0) n += for_good && n > 4 ? n / 2 : 1;
  }
}

TEST(CApi, WithoutMemoryEveryFunctionSaysSoAndChangesNothing) {
  for (const Call& call : all_calls()) {
    SCOPED_TRACE(call.name);
    const Failing here = {fail_allocations_of_this_thread, false};
    for (const bool for_good : {false, true}) EXPECT_LT(fail_each(call, here, for_good), 400);
    if (HasFailure()) return;
  }
}

// With a callback every asynchronous operation runs on a thread of the store: it is begun without
// memory, or does its work without.
TEST(CApi, WithoutMemoryAsynchronousCallsCompleteOnceOrAreRefused) {
  constexpr Failing kBegun = {fail_allocations_of_this_thread, true};
  constexpr Failing kRun = {fail_allocations_of_other_threads, true};
  int allocations_of_others = 0;
  for (const Call& call : all_calls()) {
    if (!is_asynchronous(call.name)) continue;
    SCOPED_TRACE(call.name);
    EXPECT_LT(fail_each(call, kBegun, testing::is_instrumented()), 400);
    for (const bool for_good : {false, true}) {
      // One by one takes too long there.
      if (!for_good && testing::is_instrumented()) continue;
      const int n = fail_each(call, kRun, for_good);
      EXPECT_LT(n, 400);
      allocations_of_others += n - 1;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(allocations_of_others, 50);
}

// What is done at once has its result in the caller's structure, and with an error nothing there.
TEST(CApi, WithoutMemoryNothingIsLeftOfWhatIsDoneInline) {
  using Begin = rkvs_status (*)(World&, const rkvs_async*, rkvs_completion*, rkvs_error**);
  static constexpr rkvs_slice keys[] = {{"k1", 2}, {"k2", 2}};
  for (const Begin begin :
       {Begin([](World&w, const rkvs_async*how, rkvs_completion*out, rkvs_error**error) {
          return rkvs_namespace_set_async(w.ns, "k1", 2, "new", 3, nullptr, how, out, nullptr,
                                          error);
        }),
        Begin([](World&w, const rkvs_async*how, rkvs_completion*out, rkvs_error**error) {
          return rkvs_namespace_consume_multiple_async(w.ns, keys, 2, RKVS_ALL_OR_NOTHING, how, out,
                                                       nullptr, error);
        }),
        Begin([](World&w, const rkvs_async*how, rkvs_completion*out, rkvs_error**error) {
          return rkvs_namespace_apply_async(w.ns, w.atomic, how, out, nullptr, error);
        })}) {
    bool failed = true;
    for (int n = 1; failed && n < 100; ++n) {
      SCOPED_TRACE(n);
      World world;
      const std::string before = world.content();
      rkvs_async how = world.how;
      how.flags = RKVS_ALLOW_INLINE;
      rkvs_completion out = {};
      rkvs_error* error = nullptr;
      fail_allocations_of_this_thread(n, false);
      const rkvs_status status = begin(world, &how, &out, &error);
      failed = stop_failing_allocations();
      if (status == RKVS_DONE) {
        EXPECT_TRUE(out.status == RKVS_OK || (failed && out.status == RKVS_E_NO_MEMORY));
      } else {
        EXPECT_EQ(status, RKVS_E_NO_MEMORY);
        EXPECT_TRUE(failed);
        EXPECT_EQ(out.value, nullptr);
        EXPECT_EQ(out.batch, nullptr);
      }
      if (status != RKVS_DONE || out.status != RKVS_OK) {
        EXPECT_EQ(world.content(), before);
      }
      rkvs_completion_clear(&out);
      rkvs_error_release(error);
    }
    EXPECT_FALSE(failed);
  }
}

TEST(CApi, WithoutMemoryNothingIsOpened) {
  for (int n = 1; n < 100; ++n) {
    rkvs_manager* manager = nullptr;
    rkvs_error* error = nullptr;
    fail_allocations_of_this_thread(n, true);
    const rkvs_status status = rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &manager, &error);
    const bool failed = stop_failing_allocations();
    EXPECT_EQ(status, failed ? RKVS_E_NO_MEMORY : RKVS_OK);
    EXPECT_EQ(rkvs_error_code(error), status);
    rkvs_error_release(error);
    rkvs_manager_release(manager);
    if (!failed) return;
  }
  FAIL() << "never enough";
}

}  // namespace
}  // namespace rkvs::capi_test
