// What the structures with options mean, and that what a function does not know is refused by each
// that takes them, with nothing changed.
#include <gtest/gtest.h>
#include <time.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/capi/world.h"

namespace rkvs::capi_test {
namespace {

constexpr uint32_t kUnknownFlag = 1U << 20;

template <typename T>
T sized() {
  T structure = {};
  structure.struct_size = sizeof structure;
  return structure;
}

struct Use {
  const char* what;
  std::function<rkvs_status()> call;
};

void expect_each(const std::vector<Use>& uses, rkvs_status expected) {
  for (const Use& use : uses) EXPECT_EQ(use.call(), expected) << use.what;
}

bool is_asynchronous(const Call& call) {
  return std::string(call.name).find("_async") != std::string::npos;
}

TEST(CApiOptions, EveryAsynchronousFunctionRefusesAHowThatItCannotKeep) {
  World world;
  world.how.flags = kUnknownFlag;
  // Those that stop the autosave task first.
  ASSERT_EQ(rkvs_manager_stop_namespace_autosave(world.manager, "users", nullptr), RKVS_OK);
  const std::string before = world.content();
  for (const Call& call : all_calls()) {
    if (!is_asynchronous(call) ||
        std::string(call.name).find("_autosave_task_async") != std::string::npos) {
      continue;
    }
    SCOPED_TRACE(call.name);
    const auto expect = [&](rkvs_status expected) {
      rkvs_error* error = nullptr;
      EXPECT_EQ(call.call(world, handle_of(world, call.kind), &error), expected);
      EXPECT_EQ(rkvs_error_code(error), expected);
      rkvs_error_release(error);
      EXPECT_EQ(call.call(world, handle_of(world, call.kind), nullptr), expected);
    };
    const rkvs_async right = world.how;
    expect(RKVS_E_UNSUPPORTED);
    world.how.flags = 0;
    world.how.struct_size = 3;
    expect(RKVS_E_INVALID_ARGUMENT);
    world.how.struct_size = sizeof world.how;
    world.how.callback = [](void*, const rkvs_completion*) {};
    expect(RKVS_E_INVALID_ARGUMENT);
    world.how = right;
  }
  world.how.flags = 0;
  EXPECT_EQ(world.content(), before);
}

TEST(CApiOptions, WithoutAHowThereIsNobodyToTell) {
  World world;
  const std::string before = world.content();
  const rkvs_slice key = {"k1", 2};
  expect_each(
      {
          {"get",
           [&] {
             return rkvs_namespace_get_async(world.ns, "k1", 2, nullptr, nullptr, nullptr, nullptr);
           }},
          {"delete_multiple",
           [&] {
             return rkvs_namespace_delete_multiple_async(world.ns, &key, 1, RKVS_BEST_EFFORT,
                                                         nullptr, nullptr, nullptr, nullptr);
           }},
          {"apply",
           [&] {
             return rkvs_namespace_apply_async(world.ns, world.atomic, nullptr, nullptr, nullptr,
                                               nullptr);
           }},
          {"clear",
           [&] {
             return rkvs_namespace_clear_async(world.ns, nullptr, nullptr, nullptr, nullptr);
           }},
          {"scan",
           [&] { return rkvs_scan_next_async(world.scan, 1, nullptr, nullptr, nullptr, nullptr); }},
          {"close",
           [&] {
             return rkvs_manager_close_async(world.manager, nullptr, nullptr, nullptr, nullptr);
           }},
      },
      RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(world.content(), before);
}

TEST(CApiOptions, EveryFunctionThatWritesRefusesFlagsThatItDoesNotKnow) {
  World world;
  const std::string before = world.content();
  rkvs_namespace* const ns = world.ns;
  auto write = sized<rkvs_write_options>();
  write.flags = kUnknownFlag;
  auto counter = sized<rkvs_counter_options>();
  counter.flags = kUnknownFlag;
  const rkvs_slice key = {"k1", 2};
  const rkvs_slice value = {"v", 1};
  const uint64_t ends[] = {0, 1};
  const auto* const how = &world.how;
  const auto atomic = world.atomic;
  expect_each(
      {
          {"set", [&] { return rkvs_namespace_set(ns, "k", 1, "v", 1, &write, nullptr, nullptr); }},
          {"put", [&] { return rkvs_namespace_put(ns, "k", 1, "v", 1, &write, nullptr); }},
          {"add", [&] { return rkvs_namespace_add(ns, "k", 1, "v", 1, &write, nullptr, nullptr); }},
          {"update",
           [&] { return rkvs_namespace_update(ns, "k1", 2, "v", 1, &write, nullptr, nullptr); }},
          {"compare_and_set",
           [&] {
             return rkvs_namespace_compare_and_set(ns, "k1", 2, world.version, "v", 1, &write,
                                                   nullptr, nullptr);
           }},
          {"touch", [&] { return rkvs_namespace_touch(ns, "k1", 2, &write, nullptr); }},
          {"increment",
           [&] { return rkvs_namespace_increment(ns, "n", 1, 1, &counter, nullptr, nullptr); }},
          {"decrement",
           [&] { return rkvs_namespace_decrement(ns, "n", 1, 1, &counter, nullptr, nullptr); }},
          {"set_multiple",
           [&] {
             return rkvs_namespace_set_multiple(ns, &key, &value, 1, RKVS_BEST_EFFORT, &write,
                                                nullptr, nullptr);
           }},
          {"update_multiple_packed",
           [&] {
             return rkvs_namespace_update_multiple_packed(
                 ns, "k", ends, "v", ends, 1, RKVS_BEST_EFFORT, &write, nullptr, nullptr);
           }},
          {"set_async",
           [&] {
             return rkvs_namespace_set_async(ns, "k", 1, "v", 1, &write, how, nullptr, nullptr,
                                             nullptr);
           }},
          {"put_async",
           [&] {
             return rkvs_namespace_put_async(ns, "k", 1, "v", 1, &write, how, nullptr, nullptr,
                                             nullptr);
           }},
          {"increment_async",
           [&] {
             return rkvs_namespace_increment_async(ns, "n", 1, 1, &counter, how, nullptr, nullptr,
                                                   nullptr);
           }},
          {"touch_async",
           [&] {
             return rkvs_namespace_touch_async(ns, "k1", 2, &write, how, nullptr, nullptr, nullptr);
           }},
          {"set_multiple_async",
           [&] {
             return rkvs_namespace_set_multiple_async(ns, &key, &value, 1, RKVS_BEST_EFFORT, &write,
                                                      how, nullptr, nullptr, nullptr);
           }},
          {"set_multiple_packed_async",
           [&] {
             return rkvs_namespace_set_multiple_packed_async(ns, "k", ends, "v", ends, 1,
                                                             RKVS_BEST_EFFORT, &write, how, nullptr,
                                                             nullptr, nullptr);
           }},
          {"update_multiple_async",
           [&] {
             return rkvs_namespace_update_multiple_async(ns, &key, &value, 1, RKVS_BEST_EFFORT,
                                                         &write, how, nullptr, nullptr, nullptr);
           }},
          {"atomic set",
           [&] { return rkvs_atomic_batch_set(atomic, "k", 1, "v", 1, &write, nullptr); }},
          {"atomic increment",
           [&] { return rkvs_atomic_batch_increment(atomic, "n", 1, 1, &counter, nullptr); }},
      },
      RKVS_E_UNSUPPORTED);
  EXPECT_EQ(world.content(), before);
  EXPECT_EQ(rkvs_atomic_batch_size(atomic), 2U) << "what was refused is not in the batch";
}

TEST(CApiOptions, EveryBatchRefusesAModeThatThereIsNot) {
  World world;
  const std::string before = world.content();
  rkvs_namespace* const ns = world.ns;
  const rkvs_slice key = {"k1", 2};
  const rkvs_slice value = {"v", 1};
  const uint64_t ends[] = {0, 1};
  const auto* const how = &world.how;
  const rkvs_batch_mode mode = 7;
  expect_each(
      {
          {"get",
           [&] {
             return rkvs_namespace_get_multiple_async(ns, &key, 1, mode, how, nullptr, nullptr,
                                                      nullptr);
           }},
          {"exists",
           [&] {
             return rkvs_namespace_exists_multiple_packed_async(ns, "k", ends, 1, mode, how,
                                                                nullptr, nullptr, nullptr);
           }},
          {"delete",
           [&] { return rkvs_namespace_delete_multiple(ns, &key, 1, mode, nullptr, nullptr); }},
          {"consume",
           [&] {
             return rkvs_namespace_consume_multiple_packed(ns, "k", ends, 1, mode, nullptr,
                                                           nullptr);
           }},
          {"consume_async",
           [&] {
             return rkvs_namespace_consume_multiple_async(ns, &key, 1, mode, how, nullptr, nullptr,
                                                          nullptr);
           }},
          {"set",
           [&] {
             return rkvs_namespace_set_multiple(ns, &key, &value, 1, mode, nullptr, nullptr,
                                                nullptr);
           }},
          {"set_async",
           [&] {
             return rkvs_namespace_set_multiple_async(ns, &key, &value, 1, mode, nullptr, how,
                                                      nullptr, nullptr, nullptr);
           }},
          {"update_packed_async",
           [&] {
             return rkvs_namespace_update_multiple_packed_async(
                 ns, "k", ends, "v", ends, 1, mode, nullptr, how, nullptr, nullptr, nullptr);
           }},
      },
      RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(world.content(), before);
}

TEST(CApiOptions, EveryLongFunctionRefusesFlagsThatItDoesNotKnow) {
  World world;
  const std::string before = world.content();
  rkvs_manager* const m = world.manager;
  auto operation = sized<rkvs_operation_options>();
  operation.flags = kUnknownFlag;
  auto scan = sized<rkvs_scan_options>();
  scan.flags = kUnknownFlag;
  rkvs_scan* opened = nullptr;
  expect_each(
      {
          {"initialize",
           [&] { return rkvs_manager_initialize_file(m, "saved", &operation, nullptr); }},
          {"clone",
           [&] {
             return rkvs_manager_clone_namespace(m, "users", "new", &operation, nullptr, nullptr);
           }},
          {"save_all", [&] { return rkvs_manager_save_all(m, "file", &operation, nullptr); }},
          {"save",
           [&] { return rkvs_manager_save_namespace(m, "users", "file", &operation, nullptr); }},
          {"load",
           [&] { return rkvs_manager_load_namespace(m, "saved", &operation, nullptr, nullptr); }},
          {"load_as",
           [&] {
             return rkvs_manager_load_namespace_as(m, "saved", "new", nullptr, &operation, nullptr);
           }},
          {"resize",
           [&] { return rkvs_namespace_resize_shards(world.ns, 5, &operation, nullptr); }},
          {"scan", [&] { return rkvs_namespace_scan_open(world.ns, &scan, &opened, nullptr); }},
      },
      RKVS_E_UNSUPPORTED);
  EXPECT_EQ(opened, nullptr);
  EXPECT_EQ(world.content(), before);
  EXPECT_FALSE(std::filesystem::exists(world.directory.path() / "file"));
}

TEST(CApiOptions, ConfigurationsOfASizeThatNeverWasAreRefusedBeforeAnythingIsMade) {
  World world;
  const std::string before = world.content();
  rkvs_manager* const m = world.manager;
  rkvs_namespace_config limits = {};
  limits.struct_size = 3;
  rkvs_manager_config store = {};
  store.struct_size = 3;
  rkvs_autosave_config task = {};
  task.struct_size = 3;
  const auto* const how = &world.how;
  expect_each(
      {
          {"create",
           [&] { return rkvs_manager_create_namespace(m, "new", &limits, nullptr, nullptr); }},
          {"create_async",
           [&] {
             return rkvs_manager_create_namespace_async(m, "new", &limits, how, nullptr, nullptr,
                                                        nullptr);
           }},
          {"update of a namespace",
           [&] { return rkvs_manager_update_namespace_config(m, "users", &limits, nullptr); }},
          {"update of a namespace, async",
           [&] {
             return rkvs_manager_update_namespace_config_async(m, "users", &limits, how, nullptr,
                                                               nullptr, nullptr);
           }},
          {"update", [&] { return rkvs_namespace_update_config(world.ns, &limits, nullptr); }},
          {"update of the store", [&] { return rkvs_manager_update_config(m, &store, nullptr); }},
          {"update of the store, async",
           [&] {
             return rkvs_manager_update_config_async(m, &store, how, nullptr, nullptr, nullptr);
           }},
          {"task",
           [&] { return rkvs_manager_add_namespace_autosave_task(m, "users", &task, nullptr); }},
      },
      RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(world.content(), before);
}

// --- What they mean
// ----------------------------------------------------------------------------------

rkvs_status open_with(const rkvs_manager_options& options, rkvs_manager** manager) {
  return rkvs_manager_open(RKVS_ABI_VERSION, &options, manager, nullptr);
}

TEST(CApiOptions, AManagerIsNotOpenedWithOptionsThatContradictThemselves) {
  rkvs_manager* manager = nullptr;
  auto options = sized<rkvs_manager_options>();
  options.flags = kUnknownFlag;
  EXPECT_EQ(open_with(options, &manager), RKVS_E_UNSUPPORTED);
  options = sized<rkvs_manager_options>();
  options.reserved = 1;
  EXPECT_EQ(open_with(options, &manager), RKVS_E_UNSUPPORTED);
  options = sized<rkvs_manager_options>();
  options.worker_threads = 257;
  EXPECT_EQ(open_with(options, &manager), RKVS_E_INVALID_ARGUMENT);
  options = sized<rkvs_manager_options>();
  options.namespace_autosave_count = 1;
  EXPECT_EQ(open_with(options, &manager), RKVS_E_INVALID_ARGUMENT) << "a count without an array";
  auto task = sized<rkvs_autosave_config>();
  task.interval_ms = 1000;
  task.file = "f";
  rkvs_namespace_autosave tasks[] = {{"n", &task}, {nullptr, &task}};
  options.namespace_autosave = tasks;
  options.namespace_autosave_count = 2;
  EXPECT_EQ(open_with(options, &manager), RKVS_E_INVALID_ARGUMENT) << "a task of no namespace";
  tasks[1] = {"m", nullptr};
  EXPECT_EQ(open_with(options, &manager), RKVS_E_INVALID_ARGUMENT) << "a namespace without task";
  task.flags = kUnknownFlag;
  options = sized<rkvs_manager_options>();
  options.manager_autosave = &task;
  EXPECT_EQ(open_with(options, &manager), RKVS_E_UNSUPPORTED);
  EXPECT_EQ(manager, nullptr);
}

TEST(CApiOptions, TasksOfTheOptionsRunWithTheirNamespaces) {
  const testing::TempDir directory;
  const std::string path = directory.path();
  auto task = sized<rkvs_autosave_config>();
  task.interval_ms = 3600 * 1000;
  task.file = "{ns}.rkvs";
  task.flags = RKVS_AUTOSAVE_FINAL_SAVE;
  auto whole = task;
  whole.file = "whole.rkvs";
  const rkvs_namespace_autosave tasks[] = {{"n", &task}};
  auto options = sized<rkvs_manager_options>();
  options.directory = path.c_str();
  options.manager_autosave = &whole;
  options.namespace_autosave = tasks;
  options.namespace_autosave_count = 1;
  rkvs_manager* manager = nullptr;
  ASSERT_EQ(open_with(options, &manager), RKVS_OK);
  EXPECT_EQ(rkvs_manager_has_persistence(manager), 1);
  ASSERT_EQ(rkvs_manager_initialize(manager, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_manager_create_namespace(manager, "n", nullptr, nullptr, nullptr), RKVS_OK);
  uint64_t started = 7;
  EXPECT_EQ(rkvs_manager_start_missing_autosave_tasks(manager, &started, nullptr), RKVS_OK);
  rkvs_list* list = nullptr;
  ASSERT_EQ(rkvs_manager_list_autosave_tasks(manager, &list, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_list_count(list), 2U);
  rkvs_list_release(list);
  EXPECT_EQ(rkvs_manager_close(manager, nullptr), RKVS_OK);
  rkvs_manager_release(manager);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "n.rkvs"));
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "whole.rkvs"));
}

TEST(CApiOptions, ATaskThatHasSavedAndFailedSaysWhen) {
  const testing::TempDir directory;
  const std::string path = directory.path();
  auto options = sized<rkvs_manager_options>();
  options.directory = path.c_str();
  rkvs_manager* manager = nullptr;
  ASSERT_EQ(open_with(options, &manager), RKVS_OK);
  ASSERT_EQ(rkvs_manager_initialize(manager, nullptr), RKVS_OK);
  rkvs_namespace* ns = nullptr;
  ASSERT_EQ(rkvs_manager_create_namespace(manager, "n", nullptr, &ns, nullptr), RKVS_OK);
  auto task = sized<rkvs_autosave_config>();
  task.changes = 1;
  task.file = "n.rkvs";
  ASSERT_EQ(rkvs_manager_add_namespace_autosave_task(manager, "n", &task, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_namespace_put(ns, "k", 1, "v", 1, nullptr, nullptr), RKVS_OK);
  auto status = sized<rkvs_autosave_status>();
  // A generous time: the machine may be busy.
  for (int i = 0; i < 3000 && status.saves == 0; ++i) {
    rkvs_list* list = nullptr;
    ASSERT_EQ(rkvs_manager_list_autosave_tasks(manager, &list, nullptr), RKVS_OK);
    ASSERT_EQ(rkvs_list_autosave_status(list, 0, &status, nullptr), RKVS_OK);
    rkvs_list_release(list);
    struct timespec nap = {0, 10'000'000};
    nanosleep(&nap, nullptr);
  }
  EXPECT_EQ(status.saves, 1U);
  EXPECT_EQ(status.failures, 0U);
  EXPECT_GT(status.last_success_unix_ms, 1'500'000'000'000);
  EXPECT_EQ(status.last_failure_unix_ms, 0);
  EXPECT_EQ(status.last_error, RKVS_OK);
  rkvs_namespace_release(ns);
  rkvs_manager_release(manager);
}

TEST(CApiOptions, LimitsOfTheStoreAreThoseGivenLastAndNoneWhereLeftOpen) {
  World world;
  const auto configure = [&](uint32_t flags, uint64_t max_namespaces, uint64_t max_bytes) {
    auto config = sized<rkvs_manager_config>();
    config.flags = flags;
    config.max_namespaces = max_namespaces;
    config.max_bytes = max_bytes;
    ASSERT_EQ(rkvs_manager_update_config(world.manager, &config, nullptr), RKVS_OK);
    auto now = sized<rkvs_manager_config>();
    ASSERT_EQ(rkvs_manager_get_config(world.manager, &now, nullptr), RKVS_OK);
    EXPECT_EQ(now.max_namespaces, max_namespaces);
    EXPECT_EQ(now.max_bytes, max_bytes);
    EXPECT_EQ(now.flags, uint32_t{RKVS_SET_MAX_BYTES | RKVS_SET_MAX_NAMESPACES})
        << "what is in force is never open";
  };
  configure(0, 3, 1 << 20);
  configure(0, 0, 0);
  configure(RKVS_SET_MAX_BYTES | RKVS_SET_MAX_NAMESPACES, 1, 0);
  configure(RKVS_SET_MAX_BYTES, 0, 1 << 21);
  configure(RKVS_SET_MAX_NAMESPACES, 0, 0);
  auto unknown = sized<rkvs_manager_config>();
  unknown.flags = kUnknownFlag;
  EXPECT_EQ(rkvs_manager_update_config(world.manager, &unknown, nullptr), RKVS_E_UNSUPPORTED);
}

TEST(CApiOptions, ACounterMadeByACallLivesAsLongAsItSays) {
  World world;
  auto counter = sized<rkvs_counter_options>();
  counter.initial = 40;
  counter.expire_after_ms = 3600 * 1000;
  int64_t result = 0;
  ASSERT_EQ(rkvs_namespace_increment(world.ns, "fresh", 5, 2, &counter, &result, nullptr), RKVS_OK);
  EXPECT_EQ(result, 42);
  int64_t ttl = 0;
  ASSERT_EQ(rkvs_namespace_ttl(world.ns, "fresh", 5, &ttl, nullptr), RKVS_OK);
  EXPECT_GT(ttl, 3000 * 1000);
  EXPECT_LE(ttl, 3600 * 1000);
  int32_t had_expiry = 0;
  EXPECT_EQ(rkvs_namespace_persist(world.ns, "fresh", 5, &had_expiry, nullptr), RKVS_OK);
  EXPECT_EQ(had_expiry, 1);
  EXPECT_EQ(rkvs_namespace_persist(world.ns, "fresh", 5, &had_expiry, nullptr), RKVS_OK);
  EXPECT_EQ(had_expiry, 0);
}

TEST(CApiOptions, TimesBeyondWhatAClockCountsAreTheEarliestAndTheLatest) {
  World world;
  auto write = sized<rkvs_write_options>();
  write.expire_at_unix_ms = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(rkvs_namespace_put(world.ns, "late", 4, "v", 1, &write, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_namespace_exists(world.ns, "late", 4, nullptr), RKVS_OK);
  write.expire_at_unix_ms = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(rkvs_namespace_put(world.ns, "late", 4, "v", 1, &write, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_namespace_exists(world.ns, "late", 4, nullptr), RKVS_NOT_FOUND) << "at once";
  write.expire_after_ms = 5;
  EXPECT_EQ(rkvs_namespace_put(world.ns, "late", 4, "v", 1, &write, nullptr),
            RKVS_E_INVALID_ARGUMENT)
      << "two of three";
  rkvs_namespace_config limits = sized<rkvs_namespace_config>();
  limits.lock_timeout_ms = UINT64_MAX;
  EXPECT_EQ(rkvs_namespace_update_config(world.ns, &limits, nullptr), RKVS_E_INVALID_ARGUMENT);
}

TEST(CApiOptions, ProgressThatSaysNoEndsTheOperation) {
  World world;
  auto options = sized<rkvs_operation_options>();
  uint64_t done = 0;
  options.progress_user = &done;
  options.progress = [](void* user, const rkvs_progress* progress) -> int32_t {
    *static_cast<uint64_t*>(user) = progress->entries_done;
    return 0;
  };
  ASSERT_EQ(rkvs_manager_save_all(world.manager, "all", &options, nullptr), RKVS_OK);
  EXPECT_EQ(done, 11U) << "once at the end";
  done = 0;
  ASSERT_EQ(
      rkvs_manager_clone_namespace(world.manager, "users", "copy", &options, nullptr, nullptr),
      RKVS_OK);
  EXPECT_EQ(done, 11U);
}

}  // namespace
}  // namespace rkvs::capi_test
