#include "tests/capi/world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "capi/list.h"

namespace rkvs::capi_test {

namespace {

// A file with the namespace "other", saved once: saving takes its time.
const std::string& saved_file() {
  static const auto* const bytes = [] {
    const testing::TempDir directory;
    const std::string path = directory.path();
    rkvs_manager_options options;
    rkvs_manager_options_init(&options, sizeof options);
    options.directory = path.c_str();
    rkvs_manager* manager = nullptr;
    rkvs_namespace* other = nullptr;
    EXPECT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, nullptr), RKVS_OK);
    EXPECT_EQ(rkvs_manager_initialize(manager, nullptr), RKVS_OK);
    EXPECT_EQ(rkvs_manager_create_namespace(manager, "other", nullptr, &other, nullptr), RKVS_OK);
    EXPECT_EQ(rkvs_namespace_put(other, "key", 3, "value", 5, nullptr, nullptr), RKVS_OK);
    EXPECT_EQ(rkvs_manager_save_all(manager, "saved", nullptr, nullptr), RKVS_OK);
    rkvs_namespace_release(other);
    rkvs_manager_release(manager);
    std::ifstream file(directory.path() / "saved", std::ios::binary);
    return new std::string(std::istreambuf_iterator<char>(file), {});
  }();
  return *bytes;
}

}  // namespace

World::World() {
  const std::string path = directory.path();
  std::ofstream(directory.path() / "saved", std::ios::binary) << saved_file();
  rkvs_manager_options options;
  rkvs_manager_options_init(&options, sizeof options);
  options.directory = path.c_str();
  EXPECT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_manager_initialize(manager, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_manager_create_namespace(manager, "users", nullptr, &ns, nullptr), RKVS_OK);
  for (int i = 0; i < 10; ++i) {
    const std::string key = "k" + std::to_string(i);
    EXPECT_EQ(rkvs_namespace_put(ns, key.data(), key.size(), "value", 5, nullptr, nullptr), 0);
  }
  EXPECT_EQ(rkvs_namespace_put(ns, "n", 1, "5", 1, nullptr, nullptr), RKVS_OK);
  rkvs_autosave_config task;
  rkvs_autosave_config_init(&task, sizeof task);
  task.interval_ms = 1000 * 3600;
  task.file = "auto";
  EXPECT_EQ(rkvs_manager_add_namespace_autosave_task(manager, "users", &task, nullptr), RKVS_OK);

  EXPECT_EQ(rkvs_queue_create(&queue, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_atomic_batch_create(&atomic, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_atomic_batch_set(atomic, "a", 1, "1", 1, nullptr, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_atomic_batch_increment(atomic, "n", 1, 1, nullptr, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_namespace_scan_open(ns, nullptr, &scan, nullptr), RKVS_OK);
  const rkvs_slice keys[] = {{"k1", 2}, {"k2", 2}};
  EXPECT_EQ(rkvs_namespace_get_multiple(ns, keys, 2, RKVS_ALL_OR_NOTHING, &result, nullptr),
            RKVS_OK);
  EXPECT_EQ(rkvs_namespace_list_keys(ns, &list, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_manager_all_namespace_stats(manager, &stats, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_manager_list_autosave_tasks(manager, &autosave, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_manager_load_report(manager, &report, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_namespace_get_with_version(ns, "k1", 2, &value, &version, nullptr), RKVS_OK);
  // What asynchronous calls would bring, without the threads that they take.
  config = capi::make_list("users", NamespaceConfig());
  manager_config = capi::make_list(StorageConfig());
  shards = capi::make_list(std::vector<ShardStats>(2));
  numbers = capi::make_list(std::vector<uint64_t>{3, 4});
  report_list = capi::make_list(LoadReport());
  rkvs_async_init(&how, sizeof how);
  how.queue = queue;
  EXPECT_EQ(finish(rkvs_namespace_get_async(ns, "k1", 2, &how, nullptr, &operation, nullptr)),
            RKVS_OK);
}

World::~World() {
  // In no sensible order.
  rkvs_manager_release(manager);
  rkvs_queue_release(queue);
  rkvs_value_release(value);
  rkvs_namespace_release(ns);
  for (rkvs_list* const made : {config, manager_config, shards, numbers, report_list}) {
    rkvs_list_release(made);
  }
  rkvs_list_release(autosave);
  rkvs_list_release(stats);
  rkvs_list_release(list);
  rkvs_batch_result_release(result);
  rkvs_operation_release(operation);
  rkvs_load_report_release(report);
  rkvs_atomic_batch_release(atomic);
  rkvs_scan_release(scan);
}

rkvs_status World::finish(rkvs_status started) {
  if (started != RKVS_PENDING) return started;
  if (how.callback != nullptr) return wait_for_callback();
  rkvs_completion completion;
  size_t count = 0;
  while (count == 0) {
    EXPECT_EQ(rkvs_queue_wait(queue, -1, nullptr), RKVS_OK);
    EXPECT_EQ(rkvs_queue_poll(queue, &completion, 1, &count, nullptr), RKVS_OK);
  }
  const rkvs_status status = completion.status;
  EXPECT_EQ(completion.error != nullptr, status < 0);
  rkvs_completion_clear(&completion);
  return status;
}

void World::call_back() {
  how.queue = nullptr;
  how.user = this;
  how.callback = [](void* user, const rkvs_completion* completion) {
    World& self = *static_cast<World*>(user);
    const std::lock_guard<std::mutex> lock(self.mutex_);
    ++self.calls_;
    self.called_with_ = completion->status;
    self.called_.notify_all();
  };
}

rkvs_status World::wait_for_callback() {
  std::unique_lock<std::mutex> lock(mutex_);
  called_.wait(lock, [&] { return calls_ != 0; });
  EXPECT_EQ(calls_, 1);
  calls_ = 0;
  return called_with_;
}

std::string World::content() {
  std::vector<std::string> lines;
  rkvs_list* names = nullptr;
  EXPECT_EQ(rkvs_manager_list_namespaces(manager, &names, nullptr), RKVS_OK);
  for (size_t i = 0; i < rkvs_list_count(names); ++i) {
    const void* data = nullptr;
    size_t size = 0;
    EXPECT_EQ(rkvs_list_item(names, i, &data, &size, nullptr), RKVS_OK);
    const std::string name(static_cast<const char*>(data), size);
    rkvs_namespace* space = nullptr;
    EXPECT_EQ(rkvs_manager_get_namespace(manager, name.c_str(), &space, nullptr), RKVS_OK);
    rkvs_namespace_config limits;
    rkvs_namespace_config_init(&limits, sizeof limits);
    EXPECT_EQ(rkvs_namespace_get_config(space, &limits, nullptr), RKVS_OK);
    lines.push_back(name + " " + std::to_string(limits.max_keys) + " " +
                    std::to_string(limits.shard_count));
    rkvs_list* keys = nullptr;
    EXPECT_EQ(rkvs_namespace_list_keys(space, &keys, nullptr), RKVS_OK);
    for (size_t j = 0; j < rkvs_list_count(keys); ++j) {
      EXPECT_EQ(rkvs_list_item(keys, j, &data, &size, nullptr), RKVS_OK);
      rkvs_value* found = nullptr;
      EXPECT_EQ(rkvs_namespace_get(space, data, size, &found, nullptr), RKVS_OK);
      lines.push_back(
          name + "/" + std::string(static_cast<const char*>(data), size) + "=" +
          std::string(static_cast<const char*>(rkvs_value_data(found)), rkvs_value_size(found)));
      rkvs_value_release(found);
    }
    rkvs_list_release(keys);
    rkvs_namespace_release(space);
  }
  rkvs_list_release(names);
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

void* handle_of(World& world, Kind kind) {
  switch (kind) {
    case Kind::kManager: return world.manager;
    case Kind::kNamespace: return world.ns;
    case Kind::kScan: return world.scan;
    case Kind::kAtomic: return world.atomic;
    case Kind::kResult: return world.result;
    case Kind::kList: return world.list;
    case Kind::kReport: return world.report;
    case Kind::kQueue: return world.queue;
    case Kind::kOperation: return world.operation;
  }
  return nullptr;
}

}  // namespace rkvs::capi_test
