// Every function of the C API, with each of its allocations failing in turn, once or from then on:
// it answers RKVS_E_NO_MEMORY, or does without; it changes all or nothing, and leaks nothing (which
// AddressSanitizer sees).
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/arena.h"
#include "capi/load_report.h"
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

// How to make what has no handle to work on; on success it is let go of again.
struct Creation {
  const char* name;
  rkvs_status (*create)(rkvs_error** error);
};

template <typename T>
rkvs_status keep_nothing(rkvs_status status, T* made, void (*release)(T*)) {
  EXPECT_EQ(made != nullptr, status == RKVS_OK);
  if (made != nullptr) release(made);
  return status;
}

constexpr Creation kCreations[] = {
    {"rkvs_manager_open",
     [](rkvs_error** error) {
       rkvs_manager* made = nullptr;
       const rkvs_status status = rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &made, error);
       return keep_nothing(status, made, rkvs_manager_release);
     }},
    {"rkvs_queue_create",
     [](rkvs_error** error) {
       rkvs_queue* made = nullptr;
       const rkvs_status status = rkvs_queue_create(&made, error);
       return keep_nothing(status, made, rkvs_queue_release);
     }},
    {"rkvs_atomic_batch_create",
     [](rkvs_error** error) {
       rkvs_atomic_batch* made = nullptr;
       const rkvs_status status = rkvs_atomic_batch_create(&made, error);
       return keep_nothing(status, made, rkvs_atomic_batch_release);
     }},
};

TEST(CApi, WithoutMemoryNothingIsCreated) {
  for (const Creation& creation : kCreations) {
    for (const bool for_good : {false, true}) {
      SCOPED_TRACE(creation.name);
      bool failed = true;
      int n = 0;
      while (failed && ++n < 100) {
        rkvs_error* error = nullptr;
        fail_allocations_of_this_thread(n, for_good);
        const rkvs_status status = creation.create(&error);
        failed = stop_failing_allocations();
        EXPECT_EQ(status, failed ? RKVS_E_NO_MEMORY : RKVS_OK) << n;
        EXPECT_EQ(rkvs_error_code(error), status);
        rkvs_error_release(error);
      }
      EXPECT_FALSE(failed) << "never enough";
      EXPECT_GT(n, 1) << "allocates nothing";
    }
  }
}

// What a transform's callback sees of it, which decides nothing then.
TEST(CApi, WithoutMemoryATransformSetsNothing) {
  World world;
  const std::string before = world.content();
  const rkvs_transform_callback callback = [](void* user, const void*, size_t,
                                              rkvs_transform* transform) -> rkvs_status {
    const std::string value(100, 'x');
    fail_allocations_of_this_thread(1, true);
    const rkvs_status set = rkvs_transform_set(transform, value.data(), value.size());
    EXPECT_TRUE(stop_failing_allocations());
    EXPECT_EQ(set, RKVS_E_NO_MEMORY);
    fail_allocations_of_this_thread(1, true);
    if (user != nullptr) {
      EXPECT_EQ(rkvs_transform_remove(transform), RKVS_OK);
    }
    EXPECT_FALSE(stop_failing_allocations());
    return RKVS_OK;
  };
  EXPECT_EQ(rkvs_namespace_transform(world.ns, "k1", 2, callback, nullptr, nullptr, nullptr),
            RKVS_OK);
  EXPECT_EQ(world.content(), before);
  EXPECT_EQ(rkvs_namespace_transform(world.ns, "k1", 2, callback, &world, nullptr, nullptr),
            RKVS_OK);
  EXPECT_EQ(rkvs_namespace_exists(world.ns, "k1", 2, nullptr), RKVS_NOT_FOUND);
}

// The last call that succeeded counts.
TEST(CApi, WithoutMemoryATransformKeepsWhatItHadSet) {
  World world;
  const rkvs_transform_callback callback = [](void*, const void*, size_t,
                                              rkvs_transform* transform) -> rkvs_status {
    const std::string value(100, 'x');
    EXPECT_EQ(rkvs_transform_set(transform, "first", 5), RKVS_OK);
    fail_allocations_of_this_thread(1, true);
    EXPECT_EQ(rkvs_transform_set(transform, value.data(), value.size()), RKVS_E_NO_MEMORY);
    EXPECT_TRUE(stop_failing_allocations());
    return RKVS_OK;
  };
  rkvs_value* now = nullptr;
  EXPECT_EQ(rkvs_namespace_transform(world.ns, "k1", 2, callback, nullptr, &now, nullptr), RKVS_OK);
  ASSERT_NE(now, nullptr);
  EXPECT_EQ(std::string(static_cast<const char*>(rkvs_value_data(now)), rkvs_value_size(now)),
            "first");
  rkvs_value_release(now);
}

TEST(CApi, WhatAllocatesNothingNeverAsksForMemory) {
  for (const QuietCall& call : quiet_calls()) {
    SCOPED_TRACE(call.name);
    World world;
    rkvs_error* error = nullptr;
    EXPECT_NE(rkvs_manager_get_namespace(world.manager, "absent", nullptr, &error), RKVS_OK);
    ASSERT_NE(error, nullptr);
    LoadReport report;
    report.skipped.push_back({"damaged", StatusCode::kSnapshotCorrupt});
    rkvs_load_report_release(std::exchange(world.report, new rkvs_load_report(std::move(report))));
    fail_allocations_of_this_thread(1, true);
    call.call(world, error);
    EXPECT_FALSE(stop_failing_allocations());
    rkvs_error_release(error);
  }
}

// So that no function is forgotten when one is added: each is tried with allocations that fail, or
// is known not to make any.
TEST(CApi, EveryExportedFunctionIsTriedWithoutMemory) {
  // By WithoutMemoryATransformSetsNothing, for they exist in a callback alone.
  std::multiset<std::string> tried = {"rkvs_transform_set", "rkvs_transform_remove"};
  for (const Creation& creation : kCreations) tried.insert(creation.name);
  for (const Call& call : all_calls()) tried.insert(call.name);
  for (const QuietCall& call : quiet_calls()) tried.insert(call.name);
  std::ifstream exports(RKVS_EXPORTS);
  ASSERT_TRUE(exports.is_open());
  size_t exported = 0;
  for (std::string name; std::getline(exports, name); ++exported) {
    EXPECT_EQ(tried.count(name), 1U) << name;
  }
  EXPECT_EQ(tried.size(), exported) << "one is in a list that is not exported";
  EXPECT_GT(exported, 200U);
}

}  // namespace
}  // namespace rkvs::capi_test
