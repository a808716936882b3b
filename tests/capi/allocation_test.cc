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

// How many allocations it took to succeed.
int fail_each(const Call& call, bool for_good) {
  // A world that a failure has left as it was serves again; whether it did is what is tested.
  // Success counts in a fresh one alone, where nothing is prepared yet.
  const bool is_reusable = is_whole(call.name) && !applies_first(call.name);
  std::unique_ptr<World> world;
  for (int n = 1;;) {
    SCOPED_TRACE(n);
    const bool is_fresh = world == nullptr;
    if (is_fresh) world = std::make_unique<World>();
    static const auto* const before = new std::string(world->content());
    void* const handle = handle_of(*world, call.kind);
    rkvs_error* error = nullptr;
    fail_allocations_of_this_thread(n, for_good);
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
    for (const bool for_good : {false, true}) EXPECT_LT(fail_each(call, for_good), 400);
    if (HasFailure()) return;
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
