// Pointers that must be given and are not, and those that may be left out, in every function of the
// C API that has them.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "tests/capi/world.h"

namespace rkvs::capi_test {
namespace {

// One call of a function, with something of it wrong or left out.
struct Use {
  const char* what;
  std::function<rkvs_status(rkvs_error**)> call;
};

void expect_each(const std::vector<Use>& uses, rkvs_status expected) {
  for (const Use& use : uses) {
    SCOPED_TRACE(use.what);
    rkvs_error* error = nullptr;
    EXPECT_EQ(use.call(&error), expected) << rkvs_error_message(error);
    EXPECT_EQ(rkvs_error_code(error), expected < 0 ? expected : RKVS_OK);
    if (expected < 0) {
      EXPECT_STRNE(rkvs_error_message(error), "");
    }
    rkvs_error_release(error);
    EXPECT_EQ(use.call(nullptr), expected);
  }
}

TEST(CApiNull, ANameThatIsNullIsRefusedByWhateverTakesOne) {
  World world;
  const std::string before = world.content();
  rkvs_manager* const m = world.manager;
  rkvs_namespace* ns = nullptr;
  rkvs_value* value = nullptr;
  rkvs_namespace_config limits = {};
  limits.struct_size = sizeof limits;
  rkvs_namespace_stats stats = {};
  stats.struct_size = sizeof stats;
  rkvs_autosave_config task = {};
  task.struct_size = sizeof task;
  const auto how = &world.how;
  expect_each(
      {
          {"initialize_file",
           [&](auto** e) { return rkvs_manager_initialize_file(m, nullptr, nullptr, e); }},
          {"create",
           [&](auto** e) { return rkvs_manager_create_namespace(m, nullptr, nullptr, &ns, e); }},
          {"get", [&](auto** e) { return rkvs_manager_get_namespace(m, nullptr, &ns, e); }},
          {"delete", [&](auto** e) { return rkvs_manager_delete_namespace(m, nullptr, e); }},
          {"clone from",
           [&](auto** e) {
             return rkvs_manager_clone_namespace(m, nullptr, "copy", nullptr, &ns, e);
           }},
          {"clone to",
           [&](auto** e) {
             return rkvs_manager_clone_namespace(m, "users", nullptr, nullptr, &ns, e);
           }},
          {"update_config",
           [&](auto** e) { return rkvs_manager_update_namespace_config(m, nullptr, &limits, e); }},
          {"stats", [&](auto** e) { return rkvs_manager_namespace_stats(m, nullptr, &stats, e); }},
          {"save_all", [&](auto** e) { return rkvs_manager_save_all(m, nullptr, nullptr, e); }},
          {"save name",
           [&](auto** e) { return rkvs_manager_save_namespace(m, nullptr, "f", nullptr, e); }},
          {"save file",
           [&](auto** e) { return rkvs_manager_save_namespace(m, "users", nullptr, nullptr, e); }},
          {"load",
           [&](auto** e) { return rkvs_manager_load_namespace(m, nullptr, nullptr, &value, e); }},
          {"load_as file",
           [&](auto** e) {
             return rkvs_manager_load_namespace_as(m, nullptr, "new", nullptr, nullptr, e);
           }},
          {"load_as name",
           [&](auto** e) {
             return rkvs_manager_load_namespace_as(m, "saved", nullptr, nullptr, nullptr, e);
           }},
          {"add task",
           [&](auto** e) {
             return rkvs_manager_add_namespace_autosave_task(m, nullptr, &task, e);
           }},
          {"start task",
           [&](auto** e) { return rkvs_manager_start_namespace_autosave_task(m, nullptr, e); }},
          {"stop task",
           [&](auto** e) { return rkvs_manager_stop_namespace_autosave(m, nullptr, e); }},
          {"get_async",
           [&](auto** e) {
             return rkvs_manager_get_namespace_async(m, nullptr, how, nullptr, nullptr, e);
           }},
          {"create_async",
           [&](auto** e) {
             return rkvs_manager_create_namespace_async(m, nullptr, nullptr, how, nullptr, nullptr,
                                                        e);
           }},
          {"clone_async",
           [&](auto** e) {
             return rkvs_manager_clone_namespace_async(m, "users", nullptr, how, nullptr, nullptr,
                                                       e);
           }},
          {"save_all_async",
           [&](auto** e) {
             return rkvs_manager_save_all_async(m, nullptr, how, nullptr, nullptr, e);
           }},
          {"load_as_async",
           [&](auto** e) {
             return rkvs_manager_load_namespace_as_async(m, "saved", nullptr, nullptr, how, nullptr,
                                                         nullptr, e);
           }},
      },
      RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(ns, nullptr);
  EXPECT_EQ(value, nullptr);
  EXPECT_EQ(world.content(), before);
}

TEST(CApiNull, NowhereForWhatAFunctionIsForIsRefused) {
  World world;
  const std::string before = world.content();
  rkvs_manager* const m = world.manager;
  rkvs_namespace* const ns = world.ns;
  size_t count = 0;
  char buffer[4];
  rkvs_completion completion = {};
  expect_each(
      {
          {"get_namespace",
           [&](auto** e) { return rkvs_manager_get_namespace(m, "users", nullptr, e); }},
          {"list_namespaces",
           [&](auto** e) { return rkvs_manager_list_namespaces(m, nullptr, e); }},
          {"all_stats", [&](auto** e) { return rkvs_manager_all_namespace_stats(m, nullptr, e); }},
          {"metrics_text", [&](auto** e) { return rkvs_manager_metrics_text(m, nullptr, e); }},
          {"namespace_count",
           [&](auto** e) { return rkvs_manager_namespace_count(m, nullptr, e); }},
          {"total_key_count",
           [&](auto** e) { return rkvs_manager_total_key_count(m, nullptr, e); }},
          {"load_report", [&](auto** e) { return rkvs_manager_load_report(m, nullptr, e); }},
          {"list_autosave",
           [&](auto** e) { return rkvs_manager_list_autosave_tasks(m, nullptr, e); }},
          {"get_config", [&](auto** e) { return rkvs_manager_get_config(m, nullptr, e); }},
          {"update_config", [&](auto** e) { return rkvs_manager_update_config(m, nullptr, e); }},
          {"namespace_stats",
           [&](auto** e) { return rkvs_manager_namespace_stats(m, "users", nullptr, e); }},
          {"add task",
           [&](auto** e) {
             return rkvs_manager_add_namespace_autosave_task(m, "users", nullptr, e);
           }},
          {"get", [&](auto** e) { return rkvs_namespace_get(ns, "k1", 2, nullptr, e); }},
          {"get_into size",
           [&](auto** e) { return rkvs_namespace_get_into(ns, "k1", 2, buffer, 4, nullptr, e); }},
          {"get_into buffer",
           [&](auto** e) { return rkvs_namespace_get_into(ns, "k1", 2, nullptr, 4, &count, e); }},
          {"get_into_async buffer",
           [&](auto** e) {
             return rkvs_namespace_get_into_async(ns, "k1", 2, nullptr, 4, &world.how, nullptr,
                                                  nullptr, e);
           }},
          {"ttl", [&](auto** e) { return rkvs_namespace_ttl(ns, "k1", 2, nullptr, e); }},
          {"transform",
           [&](auto** e) {
             return rkvs_namespace_transform(ns, "k1", 2, nullptr, nullptr, nullptr, e);
           }},
          {"list_keys", [&](auto** e) { return rkvs_namespace_list_keys(ns, nullptr, e); }},
          {"scan_open",
           [&](auto** e) { return rkvs_namespace_scan_open(ns, nullptr, nullptr, e); }},
          {"scan_next", [&](auto** e) { return rkvs_scan_next(world.scan, 1, nullptr, e); }},
          {"config", [&](auto** e) { return rkvs_namespace_get_config(ns, nullptr, e); }},
          {"update", [&](auto** e) { return rkvs_namespace_update_config(ns, nullptr, e); }},
          {"metadata", [&](auto** e) { return rkvs_namespace_metadata(ns, nullptr, e); }},
          {"shard_stats count",
           [&](auto** e) { return rkvs_namespace_shard_stats(ns, nullptr, 0, 0, nullptr, e); }},
          {"shard_stats array",
           [&](auto** e) {
             return rkvs_namespace_shard_stats(ns, nullptr, sizeof(rkvs_shard_stats), 1, &count, e);
           }},
          {"shard_key_counts count",
           [&](auto** e) { return rkvs_namespace_shard_key_counts(ns, nullptr, 0, nullptr, e); }},
          {"shard_key_counts array",
           [&](auto** e) { return rkvs_namespace_shard_key_counts(ns, nullptr, 1, &count, e); }},
          {"atomic_batch", [&](auto** e) { return rkvs_atomic_batch_create(nullptr, e); }},
          {"apply", [&](auto** e) { return rkvs_namespace_apply(ns, nullptr, nullptr, e); }},
          {"apply_async",
           [&](auto** e) {
             return rkvs_namespace_apply_async(ns, nullptr, &world.how, nullptr, nullptr, e);
           }},
          {"batch item",
           [&](auto** e) { return rkvs_batch_result_item(world.result, 0, nullptr, e); }},
          {"batch view",
           [&](auto** e) { return rkvs_batch_result_view(world.result, nullptr, e); }},
          {"list stats",
           [&](auto** e) { return rkvs_list_namespace_stats(world.stats, 0, nullptr, e); }},
          {"list shards",
           [&](auto** e) {
             return rkvs_list_shard_stats(world.shards, 0, nullptr, sizeof(rkvs_shard_stats), e);
           }},
          {"list report",
           [&](auto** e) { return rkvs_list_load_report(world.report_list, nullptr, e); }},
          {"queue", [&](auto** e) { return rkvs_queue_create(nullptr, e); }},
          {"poll count",
           [&](auto** e) { return rkvs_queue_poll(world.queue, &completion, 1, nullptr, e); }},
          {"poll array",
           [&](auto** e) { return rkvs_queue_poll(world.queue, nullptr, 1, &count, e); }},
      },
      RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(world.content(), before);
}

TEST(CApiNull, KeysAndPrefixesThatAreNullAreRefusedByTheAsynchronousFormsToo) {
  World world;
  rkvs_namespace* const ns = world.ns;
  const auto how = &world.how;
  const auto change = [](void*, const void*, size_t, rkvs_transform*) -> rkvs_status {
    return RKVS_OK;
  };
  expect_each(
      {
          {"get",
           [&](auto** e) {
             return rkvs_namespace_get_async(ns, nullptr, 1, how, nullptr, nullptr, e);
           }},
          {"get_into",
           [&](auto** e) {
             char buffer[4];
             return rkvs_namespace_get_into_async(ns, nullptr, 1, buffer, 4, how, nullptr, nullptr,
                                                  e);
           }},
          {"put key",
           [&](auto** e) {
             return rkvs_namespace_put_async(ns, nullptr, 1, "v", 1, nullptr, how, nullptr, nullptr,
                                             e);
           }},
          {"put value",
           [&](auto** e) {
             return rkvs_namespace_put_async(ns, "k1", 2, nullptr, 1, nullptr, how, nullptr,
                                             nullptr, e);
           }},
          {"transform",
           [&](auto** e) {
             return rkvs_namespace_transform(ns, nullptr, 1, change, nullptr, nullptr, e);
           }},
          {"transform_async",
           [&](auto** e) {
             return rkvs_namespace_transform_async(ns, nullptr, 1, change, nullptr, how, nullptr,
                                                   nullptr, e);
           }},
          {"delete_prefix",
           [&](auto** e) { return rkvs_namespace_delete_prefix(ns, nullptr, 1, nullptr, e); }},
          {"delete_prefix_async",
           [&](auto** e) {
             return rkvs_namespace_delete_prefix_async(ns, nullptr, 1, how, nullptr, nullptr, e);
           }},
          {"scan prefix",
           [&](auto** e) {
             rkvs_scan* scan = nullptr;
             rkvs_scan_options options = {};
             options.struct_size = sizeof options;
             options.prefix_size = 1;
             return rkvs_namespace_scan_open(ns, &options, &scan, e);
           }},
          {"scan limit",
           [&](auto** e) {
             rkvs_batch_result* items = nullptr;
             return rkvs_scan_next(world.scan, 0, &items, e);
           }},
          {"scan_async limit",
           [&](auto** e) { return rkvs_scan_next_async(world.scan, 0, how, nullptr, nullptr, e); }},
      },
      RKVS_E_INVALID_ARGUMENT);
}

TEST(CApiNull, ResultsThatNobodyWantsMayBeLeftOut) {
  World world;
  rkvs_manager* const m = world.manager;
  rkvs_namespace* const ns = world.ns;
  const rkvs_slice keys[] = {{"k8", 2}, {"k9", 2}};
  const rkvs_slice values[] = {{"1", 1}, {"2", 1}};
  int fresh = 0;
  std::string name;
  const auto fresh_name = [&] { return (name = "fresh" + std::to_string(fresh++)).c_str(); };
  uint64_t version = world.version;
  expect_each(
      {
          {"create",
           [&](auto** e) {
             return rkvs_manager_create_namespace(m, fresh_name(), nullptr, nullptr, e);
           }},
          {"clone",
           [&](auto** e) {
             return rkvs_manager_clone_namespace(m, "users", fresh_name(), nullptr, nullptr, e);
           }},
          {"load",
           [&](auto** e) {
             // The second time it is there.
             (void)rkvs_manager_delete_namespace(m, "other", nullptr);
             return rkvs_manager_load_namespace(m, "saved", nullptr, nullptr, e);
           }},
          {"start missing",
           [&](auto** e) { return rkvs_manager_start_missing_autosave_tasks(m, nullptr, e); }},
          {"get_with_version value",
           [&](auto** e) {
             return rkvs_namespace_get_with_version(ns, "k1", 2, nullptr, &version, e);
           }},
          {"get_with_version",
           [&](auto** e) {
             return rkvs_namespace_get_with_version(ns, "k1", 2, nullptr, nullptr, e);
           }},
          {"compare_and_set",
           [&](auto** e) {
             (void)rkvs_namespace_get_with_version(ns, "k1", 2, nullptr, &version, nullptr);
             return rkvs_namespace_compare_and_set(ns, "k1", 2, version, "v", 1, nullptr, nullptr,
                                                   e);
           }},
          {"set",
           [&](auto** e) { return rkvs_namespace_set(ns, "k1", 2, "v", 1, nullptr, nullptr, e); }},
          {"add",
           [&](auto** e) {
             const std::string key = fresh_name();
             return rkvs_namespace_add(ns, key.data(), key.size(), "v", 1, nullptr, nullptr, e);
           }},
          {"update",
           [&](auto** e) {
             return rkvs_namespace_update(ns, "k1", 2, "v", 1, nullptr, nullptr, e);
           }},
          {"consume",
           [&](auto** e) {
             (void)rkvs_namespace_put(ns, "k2", 2, "v", 1, nullptr, nullptr);
             return rkvs_namespace_consume(ns, "k2", 2, nullptr, e);
           }},
          {"persist", [&](auto** e) { return rkvs_namespace_persist(ns, "k1", 2, nullptr, e); }},
          {"increment",
           [&](auto** e) { return rkvs_namespace_increment(ns, "n", 1, 1, nullptr, nullptr, e); }},
          {"get_into without room",
           [&](auto** e) {
             size_t size = 7;
             (void)rkvs_namespace_put(ns, "empty", 5, "", 0, nullptr, nullptr);
             const rkvs_status status =
                 rkvs_namespace_get_into(ns, "empty", 5, nullptr, 0, &size, e);
             EXPECT_EQ(size, 0U);
             return status;
           }},
          {"get_multiple",
           [&](auto** e) {
             return rkvs_namespace_get_multiple(ns, keys, 2, RKVS_ALL_OR_NOTHING, nullptr, e);
           }},
          {"set_multiple",
           [&](auto** e) {
             return rkvs_namespace_set_multiple(ns, keys, values, 2, RKVS_ALL_OR_NOTHING, nullptr,
                                                nullptr, e);
           }},
          {"apply", [&](auto** e) { return rkvs_namespace_apply(ns, world.atomic, nullptr, e); }},
          {"list_item",
           [&](auto** e) { return rkvs_list_item(world.list, 0, nullptr, nullptr, e); }},
          {"list_packed",
           [&](auto** e) { return rkvs_list_packed(world.list, nullptr, nullptr, nullptr, e); }},
          {"list_numbers",
           [&](auto** e) { return rkvs_list_numbers(world.numbers, nullptr, nullptr, e); }},
          {"shard_stats for the count",
           [&](auto** e) {
             size_t count = 0;
             const rkvs_status status =
                 rkvs_namespace_shard_stats(ns, nullptr, sizeof(rkvs_shard_stats), 0, &count, e);
             EXPECT_GT(count, 0U);
             return status;
           }},
          {"delete_prefix",
           [&](auto** e) { return rkvs_namespace_delete_prefix(ns, "k5", 2, nullptr, e); }},
          {"clear", [&](auto** e) { return rkvs_namespace_clear(ns, nullptr, e); }},
      },
      RKVS_OK);
  rkvs_value_view(world.value, nullptr, nullptr);
  const void* data = nullptr;
  size_t size = 0;
  rkvs_value_view(world.value, &data, &size);
  EXPECT_EQ(std::string(static_cast<const char*>(data), size), "value");
}

TEST(CApiNull, NothingComesOfItemsThatAreNotThere) {
  World world;
  const void* data = nullptr;
  size_t size = 0;
  rkvs_namespace_stats stats = {};
  stats.struct_size = sizeof stats;
  rkvs_batch_item item = {};
  item.struct_size = sizeof item;
  const char* file = nullptr;
  expect_each(
      {
          {"list item",
           [&](auto** e) {
             return rkvs_list_item(world.list, rkvs_list_count(world.list), &data, &size, e);
           }},
          {"stats",
           [&](auto** e) { return rkvs_list_namespace_stats(world.stats, SIZE_MAX, &stats, e); }},
          {"a list of something else",
           [&](auto** e) { return rkvs_list_namespace_stats(world.list, 0, &stats, e); }},
          {"batch item",
           [&](auto** e) { return rkvs_batch_result_item(world.result, 2, &item, e); }},
          {"skipped file",
           [&](auto** e) {
             return rkvs_load_report_skipped(world.report, 0, &file, nullptr, nullptr, e);
           }},
      },
      RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(rkvs_batch_result_item_status(world.result, 2), RKVS_E_INVALID_ARGUMENT);
  EXPECT_EQ(rkvs_batch_result_value(world.result, 2), nullptr);
  EXPECT_EQ(data, nullptr);
  EXPECT_EQ(file, nullptr);
}

TEST(CApiNull, AReportSaysWhichFilesWereSkippedAndWhy) {
  World world;
  const std::string path = world.directory.path();
  rkvs_manager_release(world.manager);
  rkvs_namespace_release(world.ns);
  rkvs_scan_release(world.scan);
  world.manager = nullptr;
  world.ns = nullptr;
  world.scan = nullptr;
  // With a store of the same directory, whose newest file is damaged.
  std::filesystem::rename(path + "/saved", path + "/saved.1");
  std::ofstream(path + "/saved") << "no snapshot";
  rkvs_manager_options options;
  rkvs_manager_options_init(&options, sizeof options);
  options.directory = path.c_str();
  rkvs_manager* manager = nullptr;
  ASSERT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_manager_initialize_file(manager, "saved", nullptr, nullptr), RKVS_OK);
  rkvs_load_report* report = nullptr;
  ASSERT_EQ(rkvs_manager_load_report(manager, &report, nullptr), RKVS_OK);
  EXPECT_STREQ(rkvs_load_report_file(report), "saved.1");
  ASSERT_EQ(rkvs_load_report_skipped_count(report), 1U);
  const char* file = nullptr;
  const char* message = nullptr;
  rkvs_status reason = RKVS_OK;
  EXPECT_EQ(rkvs_load_report_skipped(report, 0, &file, &reason, &message, nullptr), RKVS_OK);
  EXPECT_STREQ(file, "saved");
  EXPECT_EQ(reason, RKVS_E_SNAPSHOT_CORRUPT);
  EXPECT_STRNE(message, "");
  EXPECT_EQ(rkvs_load_report_skipped(report, 0, nullptr, nullptr, nullptr, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_load_report_skipped(report, 1, nullptr, nullptr, nullptr, nullptr),
            RKVS_E_INVALID_ARGUMENT);
  rkvs_load_report_release(report);
  rkvs_manager_release(manager);
}

}  // namespace
}  // namespace rkvs::capi_test
