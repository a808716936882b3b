// Every function of the C API with handles that are none, of another kind, closed or of another
// process, and with structures and lengths that cannot be.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <set>
#include <string>

#include "tests/capi/world.h"

namespace rkvs::capi_test {
namespace {

// The functions that cannot fail, or have no handle to be wrong.
const std::set<std::string>& without_handles() {
  static const auto* const names = new std::set<std::string>{"rkvs_abi_version",
                                                             "rkvs_version_string",
                                                             "rkvs_status_name",
                                                             "rkvs_has_feature",
                                                             "rkvs_sizeof",
                                                             "rkvs_error_code",
                                                             "rkvs_error_message",
                                                             "rkvs_error_index",
                                                             "rkvs_value_data",
                                                             "rkvs_value_size",
                                                             "rkvs_value_view",
                                                             "rkvs_list_count",
                                                             "rkvs_load_report_file",
                                                             "rkvs_load_report_namespaces",
                                                             "rkvs_load_report_keys",
                                                             "rkvs_load_report_skipped_count",
                                                             "rkvs_load_report_skipped",
                                                             "rkvs_namespace_name",
                                                             "rkvs_batch_result_count",
                                                             "rkvs_batch_result_status",
                                                             "rkvs_batch_result_item_status",
                                                             "rkvs_batch_result_value",
                                                             "rkvs_atomic_batch_size",
                                                             "rkvs_completion_retain",
                                                             "rkvs_completion_clear",
                                                             "rkvs_queue_fd",
                                                             "rkvs_scan_is_done",
                                                             "rkvs_manager_is_initialized",
                                                             "rkvs_manager_has_persistence",
                                                             "rkvs_transform_set",
                                                             "rkvs_transform_remove",
                                                             "rkvs_manager_open",
                                                             "rkvs_queue_create",
                                                             "rkvs_atomic_batch_create"};
  return *names;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// So that no function is forgotten when one is added.
TEST(CApi, EveryExportedFunctionIsCalledByTheseTests) {
  std::set<std::string> called;
  for (const Call& call : all_calls()) called.insert(call.name);
  std::ifstream exports(RKVS_EXPORTS);
  ASSERT_TRUE(exports.is_open());
  for (std::string name; std::getline(exports, name);) {
    if (ends_with(name, "_retain") || ends_with(name, "_release") || ends_with(name, "_init")) {
      continue;
    }
    EXPECT_EQ(called.count(name) + without_handles().count(name), 1U) << name;
  }
}

TEST(CApi, RightArgumentsAreOk) {
  for (const Call& call : all_calls()) {
    SCOPED_TRACE(call.name);
    World world;
    rkvs_error* error = nullptr;
    const rkvs_status status = call.call(world, handle_of(world, call.kind), &error);
    if (std::string(call.name) == "rkvs_operation_cancel") {
      EXPECT_EQ(status, RKVS_DONE);
    } else {
      EXPECT_EQ(status, RKVS_OK) << rkvs_error_message(error);
    }
    EXPECT_EQ(error, nullptr);
    EXPECT_GE(call.call(world, handle_of(world, call.kind), nullptr), RKVS_E_INTERNAL);
    rkvs_error_release(error);
  }
}

void expect_refused(World& world, const Call& call, void* handle) {
  rkvs_error* error = nullptr;
  EXPECT_EQ(call.call(world, handle, &error), RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(rkvs_error_code(error), RKVS_E_INVALID_ARGUMENT);
  EXPECT_STRNE(rkvs_error_message(error), "");
  rkvs_error_release(error);
  EXPECT_EQ(call.call(world, handle, nullptr), RKVS_E_INVALID_ARGUMENT);
}

TEST(CApi, NullAndForeignHandlesAreRefused) {
  World world;
  const std::string before = world.content();
  for (const Call& call : all_calls()) {
    SCOPED_TRACE(call.name);
    expect_refused(world, call, nullptr);
    expect_refused(world, call, world.value);
    expect_refused(world, call,
                   call.kind == Kind::kManager ? static_cast<void*>(world.ns)
                                               : static_cast<void*>(world.manager));
    expect_refused(world, call,
                   call.kind == Kind::kQueue ? static_cast<void*>(world.list)
                                             : static_cast<void*>(world.queue));
  }
  EXPECT_EQ(world.content(), before);
}

TEST(CApi, FunctionsThatCannotFailTakeNullAndForeignHandles) {
  World world;
  for (void* const handle : {static_cast<void*>(nullptr), static_cast<void*>(world.value),
                             static_cast<void*>(world.queue)}) {
    EXPECT_EQ(rkvs_namespace_name(static_cast<rkvs_namespace*>(handle)), nullptr);
    EXPECT_EQ(rkvs_list_count(static_cast<rkvs_list*>(handle)), 0U);
    EXPECT_EQ(rkvs_batch_result_count(static_cast<rkvs_batch_result*>(handle)), 0U);
    EXPECT_EQ(rkvs_batch_result_status(static_cast<rkvs_batch_result*>(handle)),
              RKVS_E_INVALID_ARGUMENT);
    EXPECT_EQ(rkvs_batch_result_item_status(static_cast<rkvs_batch_result*>(handle), 0),
              RKVS_E_INVALID_ARGUMENT);
    EXPECT_EQ(rkvs_batch_result_value(static_cast<rkvs_batch_result*>(handle), 0), nullptr);
    EXPECT_EQ(rkvs_atomic_batch_size(static_cast<rkvs_atomic_batch*>(handle)), 0U);
    EXPECT_EQ(rkvs_scan_is_done(static_cast<rkvs_scan*>(handle)), RKVS_E_INVALID_ARGUMENT);
    EXPECT_EQ(rkvs_manager_is_initialized(static_cast<rkvs_manager*>(handle)),
              RKVS_E_INVALID_ARGUMENT);
    EXPECT_EQ(rkvs_manager_has_persistence(static_cast<rkvs_manager*>(handle)),
              RKVS_E_INVALID_ARGUMENT);
    EXPECT_STREQ(rkvs_load_report_file(static_cast<rkvs_load_report*>(handle)), "");
    EXPECT_EQ(rkvs_load_report_keys(static_cast<rkvs_load_report*>(handle)), 0U);
    EXPECT_EQ(rkvs_load_report_namespaces(static_cast<rkvs_load_report*>(handle)), 0U);
    EXPECT_EQ(rkvs_load_report_skipped_count(static_cast<rkvs_load_report*>(handle)), 0U);
    EXPECT_EQ(rkvs_load_report_skipped(static_cast<rkvs_load_report*>(handle), 0, nullptr, nullptr,
                                       nullptr, nullptr),
              RKVS_E_INVALID_ARGUMENT);
    EXPECT_STREQ(rkvs_error_message(static_cast<rkvs_error*>(handle)), "");
    EXPECT_EQ(rkvs_error_index(static_cast<rkvs_error*>(handle)), -1);
    rkvs_manager_retain(static_cast<rkvs_manager*>(handle));
    rkvs_manager_release(static_cast<rkvs_manager*>(handle));
    rkvs_namespace_release(static_cast<rkvs_namespace*>(handle));
    rkvs_batch_result_release(static_cast<rkvs_batch_result*>(handle));
    rkvs_list_release(static_cast<rkvs_list*>(handle));
    rkvs_load_report_release(static_cast<rkvs_load_report*>(handle));
    rkvs_atomic_batch_release(static_cast<rkvs_atomic_batch*>(handle));
    rkvs_scan_release(static_cast<rkvs_scan*>(handle));
    rkvs_operation_release(static_cast<rkvs_operation*>(handle));
    rkvs_error_release(static_cast<rkvs_error*>(handle));
  }
  EXPECT_EQ(rkvs_queue_fd(nullptr), -1);
  EXPECT_EQ(rkvs_queue_fd(reinterpret_cast<rkvs_queue*>(world.list)), -1);
  auto* const no_value = reinterpret_cast<rkvs_value*>(world.manager);
  EXPECT_EQ(rkvs_value_data(no_value), nullptr);
  EXPECT_EQ(rkvs_value_size(no_value), 0U);
  rkvs_value_release(no_value);
  rkvs_queue_release(reinterpret_cast<rkvs_queue*>(world.manager));
  EXPECT_EQ(rkvs_error_code(nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_transform_set(nullptr, "x", 1), RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(rkvs_transform_remove(reinterpret_cast<rkvs_transform*>(world.manager)),
            RKVS_E_INVALID_ARGUMENT);
  rkvs_completion_clear(nullptr);
  rkvs_completion_retain(nullptr);
}

// What goes on working when the store is closed.
bool works_closed(const Call& call) {
  static const std::set<std::string> names = {
      "rkvs_manager_get_config", "rkvs_manager_close", "rkvs_manager_close_async",
      "rkvs_namespace_get_config", "rkvs_namespace_scan_open"};
  const bool needs_store =
      call.kind == Kind::kManager || call.kind == Kind::kNamespace || call.kind == Kind::kScan;
  return !needs_store || names.count(call.name) != 0;
}

TEST(CApi, AClosedStoreAnswersClosed) {
  for (const Call& call : all_calls()) {
    if (works_closed(call)) continue;
    SCOPED_TRACE(call.name);
    World world;
    ASSERT_EQ(rkvs_manager_close(world.manager, nullptr), RKVS_OK);
    rkvs_error* error = nullptr;
    EXPECT_EQ(call.call(world, handle_of(world, call.kind), &error), RKVS_E_CLOSED);
    rkvs_error_release(error);
  }
}

TEST(CApi, BeforeInitializingNothingWorksAndNothingBreaks) {
  World world;
  rkvs_manager* fresh = nullptr;
  ASSERT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &fresh, nullptr), RKVS_OK);
  for (const Call& call : all_calls()) {
    const std::string name = call.name;
    if (call.kind != Kind::kManager || name.rfind("rkvs_manager_initialize", 0) == 0 ||
        name.rfind("rkvs_manager_get_config", 0) == 0 || name.rfind("rkvs_manager_close", 0) == 0) {
      continue;
    }
    SCOPED_TRACE(call.name);
    EXPECT_EQ(call.call(world, fresh, nullptr), RKVS_E_NOT_INITIALIZED);
  }
  rkvs_manager_release(fresh);
}

// --- Structures
// -----------------------------------------------------------------------------------

// A structure as a program would have it that was compiled with a later header.
template <typename T>
struct Later {
  T known = {};
  uint64_t more[2] = {0, 0};
};

template <typename T, typename Use>  // rkvs_status(T*)
void expect_sizes_are_checked(Use use) {
  Later<T> later;
  later.known.struct_size = sizeof(T) - 4;
  EXPECT_EQ(use(&later.known), RKVS_E_INVALID_ARGUMENT);
  later.known.struct_size = 0;
  EXPECT_EQ(use(&later.known), RKVS_E_INVALID_ARGUMENT);
  later.known.struct_size = 1U << 30;
  EXPECT_EQ(use(&later.known), RKVS_E_INVALID_ARGUMENT);
  later.known.struct_size = sizeof later;
  EXPECT_GE(use(&later.known), RKVS_OK);
}

template <typename T, typename Use>
void expect_unknown_fields_are_refused(Use use) {
  Later<T> later;
  later.known.struct_size = sizeof later;
  later.more[1] = 1;
  EXPECT_EQ(use(&later.known), RKVS_E_UNSUPPORTED);
}

TEST(CApi, OptionsOfAnotherSizeAreReadAsFarAsTheyAreKnown) {
  World world;
  const auto put = [&](rkvs_write_options* options) {
    return rkvs_namespace_put(world.ns, "x", 1, "y", 1, options, nullptr);
  };
  expect_sizes_are_checked<rkvs_write_options>(put);
  expect_unknown_fields_are_refused<rkvs_write_options>(put);
  const auto increment = [&](rkvs_counter_options* options) {
    return rkvs_namespace_increment(world.ns, "n", 1, 1, options, nullptr, nullptr);
  };
  expect_sizes_are_checked<rkvs_counter_options>(increment);
  expect_unknown_fields_are_refused<rkvs_counter_options>(increment);
  const auto update = [&](rkvs_namespace_config* config) {
    return rkvs_namespace_update_config(world.ns, config, nullptr);
  };
  expect_sizes_are_checked<rkvs_namespace_config>(update);
  expect_unknown_fields_are_refused<rkvs_namespace_config>(update);
  const auto update_manager = [&](rkvs_manager_config* config) {
    return rkvs_manager_update_config(world.manager, config, nullptr);
  };
  expect_sizes_are_checked<rkvs_manager_config>(update_manager);
  expect_unknown_fields_are_refused<rkvs_manager_config>(update_manager);
  const auto save = [&](rkvs_operation_options* options) {
    return rkvs_manager_save_all(world.manager, "file", options, nullptr);
  };
  expect_sizes_are_checked<rkvs_operation_options>(save);
  expect_unknown_fields_are_refused<rkvs_operation_options>(save);
  const auto scan = [&](rkvs_scan_options* options) {
    rkvs_scan* begun = nullptr;
    const rkvs_status status = rkvs_namespace_scan_open(world.ns, options, &begun, nullptr);
    rkvs_scan_release(begun);
    return status;
  };
  expect_sizes_are_checked<rkvs_scan_options>(scan);
  expect_unknown_fields_are_refused<rkvs_scan_options>(scan);
  const auto open = [&](rkvs_manager_options* options) {
    rkvs_manager* opened = nullptr;
    const rkvs_status status = rkvs_manager_open(RKVS_ABI_VERSION, options, &opened, nullptr);
    rkvs_manager_release(opened);
    return status;
  };
  expect_sizes_are_checked<rkvs_manager_options>(open);
  expect_unknown_fields_are_refused<rkvs_manager_options>(open);
  const auto get = [&](rkvs_async* how) {
    how->queue = world.queue;
    return world.finish(
        rkvs_namespace_get_async(world.ns, "k1", 2, how, nullptr, nullptr, nullptr));
  };
  expect_sizes_are_checked<rkvs_async>(get);
  expect_unknown_fields_are_refused<rkvs_async>(get);
  const auto autosave = [&](rkvs_autosave_config* config) {
    rkvs_manager_stop_namespace_autosave(world.manager, "users", nullptr);
    config->interval_ms = 1000 * 3600;
    config->file = "auto";
    return rkvs_manager_add_namespace_autosave_task(world.manager, "users", config, nullptr);
  };
  expect_sizes_are_checked<rkvs_autosave_config>(autosave);
  expect_unknown_fields_are_refused<rkvs_autosave_config>(autosave);
}

TEST(CApi, FiguresForAnotherSizeAreFilledInAsFarAsTheyAreKnown) {
  World world;
  expect_sizes_are_checked<rkvs_namespace_stats>(
      [&](rkvs_namespace_stats* s) { return rkvs_namespace_metadata(world.ns, s, nullptr); });
  expect_sizes_are_checked<rkvs_namespace_config>(
      [&](rkvs_namespace_config* c) { return rkvs_namespace_get_config(world.ns, c, nullptr); });
  expect_sizes_are_checked<rkvs_manager_config>(
      [&](rkvs_manager_config* c) { return rkvs_manager_get_config(world.manager, c, nullptr); });
  expect_sizes_are_checked<rkvs_batch_item>([&](rkvs_batch_item* item) {
    return rkvs_batch_result_item(world.result, 0, item, nullptr);
  });
  expect_sizes_are_checked<rkvs_batch_view>(
      [&](rkvs_batch_view* view) { return rkvs_batch_result_view(world.result, view, nullptr); });
  expect_sizes_are_checked<rkvs_autosave_status>([&](rkvs_autosave_status* status) {
    return rkvs_list_autosave_status(world.autosave, 0, status, nullptr);
  });

  Later<rkvs_namespace_stats> later;
  later.known.struct_size = sizeof later;
  later.more[0] = 7;
  ASSERT_EQ(rkvs_namespace_metadata(world.ns, &later.known, nullptr), RKVS_OK);
  EXPECT_EQ(later.known.key_count, 11U);
  EXPECT_EQ(later.more[0], 0U) << "a field that the library does not know stays as it was";

  rkvs_shard_stats shard[2];
  size_t count = 0;
  EXPECT_EQ(rkvs_namespace_shard_stats(world.ns, shard, sizeof shard[0] - 8, 2, &count, nullptr),
            RKVS_E_INVALID_ARGUMENT);
}

TEST(CApi, InitFunctionsFillWithZerosAndRefuseSizesThatNeverWere) {
  rkvs_write_options options;
  std::memset(&options, 0xFF, sizeof options);
  ASSERT_EQ(rkvs_write_options_init(&options, sizeof options), RKVS_OK);
  EXPECT_EQ(options.struct_size, sizeof options);
  EXPECT_EQ(options.flags, 0U);
  EXPECT_EQ(options.expire_after_ms, 0);
  EXPECT_EQ(rkvs_write_options_init(&options, 3), RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(rkvs_write_options_init(&options, SIZE_MAX), RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(rkvs_write_options_init(nullptr, sizeof options), RKVS_E_INVALID_ARGUMENT);
}

TEST(CApi, UnknownFlagsModesAndVersionsAreRefused) {
  World world;
  rkvs_write_options write;
  rkvs_write_options_init(&write, sizeof write);
  write.flags = 1U << 20;
  EXPECT_EQ(rkvs_namespace_put(world.ns, "x", 1, "y", 1, &write, nullptr), RKVS_E_UNSUPPORTED);
  EXPECT_EQ(rkvs_namespace_get_multiple(world.ns, nullptr, 0, 2, nullptr, nullptr),
            RKVS_E_INVALID_ARGUMENT);
  rkvs_manager* manager = nullptr;
  EXPECT_EQ(rkvs_manager_open(RKVS_ABI_VERSION + 1, nullptr, &manager, nullptr),
            RKVS_E_UNSUPPORTED);
  EXPECT_EQ(manager, nullptr);
  EXPECT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, nullptr, nullptr, nullptr),
            RKVS_E_INVALID_ARGUMENT);
  rkvs_async how;
  rkvs_async_init(&how, sizeof how);
  EXPECT_EQ(rkvs_namespace_clear_async(world.ns, &how, nullptr, nullptr, nullptr),
            RKVS_E_INVALID_ARGUMENT)
      << "nobody to tell";
  how.queue = world.queue;
  how.callback = [](void*, const rkvs_completion*) {};
  EXPECT_EQ(rkvs_namespace_clear_async(world.ns, &how, nullptr, nullptr, nullptr),
            RKVS_E_INVALID_ARGUMENT)
      << "queue and callback";
  how.callback = nullptr;
  how.queue = reinterpret_cast<rkvs_queue*>(world.ns);
  EXPECT_EQ(rkvs_namespace_clear_async(world.ns, &how, nullptr, nullptr, nullptr),
            RKVS_E_INVALID_ARGUMENT)
      << "a queue that is none";
}

TEST(CApi, EverySizeOfAStructureIsKnown) {
  for (rkvs_type type = RKVS_TYPE_MANAGER_OPTIONS; type <= RKVS_TYPE_PROGRESS; ++type) {
    EXPECT_GT(rkvs_sizeof(type), 0U) << type;
  }
  EXPECT_EQ(rkvs_sizeof(0), 0U);
  EXPECT_EQ(rkvs_sizeof(RKVS_TYPE_PROGRESS + 1), 0U);
  EXPECT_EQ(rkvs_sizeof(RKVS_TYPE_COMPLETION), sizeof(rkvs_completion));
}

// --- Lengths
// --------------------------------------------------------------------------------------

TEST(CApi, LengthsThatCannotBeAreRefusedBeforeAByteIsRead) {
  World world;
  rkvs_value* value = nullptr;
  uint64_t version = 0;
  for (const size_t size :
       {size_t{SIZE_MAX}, size_t{SIZE_MAX} / 2 + 1, size_t{1} << 40, size_t{(1U << 20) + 1}}) {
    SCOPED_TRACE(size);
    rkvs_error* error = nullptr;
    EXPECT_EQ(rkvs_namespace_get(world.ns, "x", size, &value, &error), RKVS_E_KEY_TOO_LARGE);
    EXPECT_EQ(rkvs_error_code(error), RKVS_E_KEY_TOO_LARGE);
    rkvs_error_release(error);
    EXPECT_EQ(rkvs_namespace_exists(world.ns, "x", size, nullptr), RKVS_E_KEY_TOO_LARGE);
    EXPECT_EQ(rkvs_namespace_put(world.ns, "x", size, "y", 1, nullptr, nullptr),
              RKVS_E_KEY_TOO_LARGE);
    EXPECT_EQ(rkvs_namespace_delete_key(world.ns, "x", size, nullptr), RKVS_E_KEY_TOO_LARGE);
    EXPECT_EQ(rkvs_namespace_delete_prefix(world.ns, "x", size, nullptr, nullptr),
              RKVS_E_KEY_TOO_LARGE);
    EXPECT_EQ(rkvs_atomic_batch_delete_key(world.atomic, "x", size, nullptr), RKVS_E_KEY_TOO_LARGE);
    EXPECT_EQ(rkvs_namespace_get_async(world.ns, "x", size, &world.how, nullptr, nullptr, nullptr),
              RKVS_E_KEY_TOO_LARGE);
  }
  for (const size_t size : {size_t{SIZE_MAX}, size_t{1} << 40, (size_t{1} << 30) + 1}) {
    SCOPED_TRACE(size);
    EXPECT_EQ(rkvs_namespace_put(world.ns, "x", 1, "y", size, nullptr, nullptr),
              RKVS_E_VALUE_TOO_LARGE);
    EXPECT_EQ(rkvs_namespace_add(world.ns, "x", 1, "y", size, nullptr, &version, nullptr),
              RKVS_E_VALUE_TOO_LARGE);
    EXPECT_EQ(rkvs_atomic_batch_set(world.atomic, "x", 1, "y", size, nullptr, nullptr),
              RKVS_E_VALUE_TOO_LARGE);
    EXPECT_EQ(rkvs_namespace_put_async(world.ns, "x", 1, "y", size, nullptr, &world.how, nullptr,
                                       nullptr, nullptr),
              RKVS_E_VALUE_TOO_LARGE);
  }
}

TEST(CApi, NullBytesAreRefusedUnlessThereAreNone) {
  World world;
  EXPECT_EQ(rkvs_namespace_put(world.ns, nullptr, 1, "y", 1, nullptr, nullptr),
            RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(rkvs_namespace_put(world.ns, "x", 1, nullptr, 1, nullptr, nullptr),
            RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(rkvs_namespace_put(world.ns, nullptr, 0, nullptr, 0, nullptr, nullptr), RKVS_OK);
  rkvs_value* value = nullptr;
  EXPECT_EQ(rkvs_namespace_get(world.ns, "", 0, &value, nullptr), RKVS_OK);
  EXPECT_NE(value, nullptr);
  EXPECT_NE(rkvs_value_data(value), nullptr);
  EXPECT_EQ(rkvs_value_size(value), 0U);
  rkvs_value_release(value);
}

TEST(CApi, BatchesOfWhatCannotBeAreRefusedWithTheIndex) {
  World world;
  rkvs_batch_result* result = nullptr;
  rkvs_error* error = nullptr;
  const auto expect_index = [&error](rkvs_status status, int64_t index) {
    EXPECT_EQ(status, RKVS_E_INVALID_ARGUMENT);
    EXPECT_EQ(rkvs_error_index(error), index);
    rkvs_error_release(error);
  };
  const auto mode = RKVS_BEST_EFFORT;
  const rkvs_slice no_bytes[] = {{"x", 1}, {nullptr, 1}};
  expect_index(rkvs_namespace_get_multiple(world.ns, no_bytes, 2, mode, &result, &error), 1);
  const rkvs_slice too_long[] = {{"x", SIZE_MAX}};
  expect_index(rkvs_namespace_get_multiple(world.ns, too_long, 1, mode, &result, &error), 0);
  const uint64_t falling[] = {0, 2, 1};
  expect_index(
      rkvs_namespace_get_multiple_packed(world.ns, "xyz", falling, 2, mode, &result, &error), 1);
  const uint64_t huge[] = {0, UINT64_MAX};
  expect_index(
      rkvs_namespace_delete_multiple_packed(world.ns, "xyz", huge, 1, mode, &result, &error), 0);
  const uint64_t fine[] = {0, 1};
  expect_index(rkvs_namespace_set_multiple_packed(world.ns, "x", fine, "y", huge, 1, mode, nullptr,
                                                  &result, &error),
               0);
  expect_index(rkvs_namespace_get_multiple(world.ns, no_bytes, SIZE_MAX, mode, &result, &error),
               -1);
  expect_index(rkvs_namespace_get_multiple(world.ns, nullptr, 1, mode, &result, &error), -1);
  EXPECT_EQ(result, nullptr);
}

TEST(CApi, ASliceBeyondTheLargestKeyFailsItsItemAlone) {
  World world;
  const std::string long_key((1U << 20) + 10, 'x');
  const rkvs_slice keys[] = {{"fine", 4}, {long_key.data(), long_key.size()}, {"x", PTRDIFF_MAX}};
  const rkvs_slice values[] = {{"1", 1}, {"2", 1}, {"3", 1}};
  rkvs_batch_result* result = nullptr;
  EXPECT_EQ(rkvs_namespace_set_multiple(world.ns, keys, values, 3, RKVS_BEST_EFFORT, nullptr,
                                        &result, nullptr),
            RKVS_OK);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 0), RKVS_OK);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 1), RKVS_E_KEY_TOO_LARGE);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 2), RKVS_E_KEY_TOO_LARGE);
  rkvs_batch_result_release(result);
  EXPECT_EQ(rkvs_namespace_get_multiple(world.ns, keys, 3, RKVS_BEST_EFFORT, &result, nullptr),
            RKVS_OK);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 0), RKVS_OK);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 1), RKVS_NOT_FOUND);
  EXPECT_EQ(rkvs_batch_result_item_status(result, 2), RKVS_NOT_FOUND);
  rkvs_batch_result_release(result);
}

// --- Fork
// -----------------------------------------------------------------------------------------

TEST(CApi, AForkedChildIsToldSoAndMayReleaseEverything) {
  World world;
  const pid_t child = fork();
  if (child == 0) {
    // Nothing of GoogleTest here: what went wrong is the exit status.
    for (const Call& call : all_calls()) {
      // Made of memory alone.
      const bool reads_memory =
          call.kind == Kind::kList ||
          (call.kind == Kind::kResult && std::string(call.name) == "rkvs_batch_result_item");
      rkvs_error* error = nullptr;
      const rkvs_status status = call.call(world, handle_of(world, call.kind), &error);
      if (status != (reads_memory ? RKVS_OK : RKVS_E_FORKED)) _exit(1);
      if (!reads_memory && rkvs_error_code(error) != RKVS_E_FORKED) _exit(2);
      rkvs_error_release(error);
    }
    rkvs_manager* manager = nullptr;
    if (rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &manager, nullptr) != RKVS_E_FORKED) _exit(3);
    if (rkvs_value_size(world.value) != 5) _exit(4);
    if (std::memcmp(rkvs_value_data(world.value), "value", 5) != 0) _exit(5);
    world.~World();
    testing::end_child(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  // The parent is as it was.
  EXPECT_EQ(rkvs_namespace_exists(world.ns, "k1", 2, nullptr), RKVS_OK);
}

}  // namespace
}  // namespace rkvs::capi_test
