/* Every asynchronous function of the C API, as a C program meets it: told through a queue, in a
 * poll() loop, with what each brings. What asynchronous calls promise is tested elsewhere, from
 * C++. */
#include <poll.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "check.h"

static rkvs_async how;
static rkvs_completion done;

/* Waits for what an asynchronous call has begun. Its completion is in `done` until the next one. */
static rkvs_status await(rkvs_status begun) {
  struct pollfd event;
  size_t count = 0;
  rkvs_completion_clear(&done);
  CHECK(begun == RKVS_PENDING);
  if (begun != RKVS_PENDING) return begun;
  event.fd = rkvs_queue_fd(how.queue);
  event.events = POLLIN;
  while (count == 0) {
    CHECK(poll(&event, 1, -1) == 1);
    CHECK_OK(rkvs_queue_poll(how.queue, &done, 1, &count, NULL));
  }
  CHECK(done.tag == how.tag);
  CHECK((done.error != NULL) == (done.status < 0));
  return done.status;
}

/* rkvs_X_async with these inputs; without an error its kind is the one that is expected. */
#define AWAIT(expected, X, ...) \
  CHECK(await(X##_async(__VA_ARGS__, &how, NULL, NULL, NULL)) == RKVS_OK && done.kind == (expected))

static int has(const char* expected) {
  return done.value != NULL && is_bytes(done.data, done.size, expected);
}

static int item_is(size_t index, const char* expected) {
  const void* data = NULL;
  size_t size = 0;
  return rkvs_list_item(done.list, index, &data, &size, NULL) == RKVS_OK &&
         is_bytes(data, size, expected);
}

static rkvs_status append(void* user, const void* value, size_t size, rkvs_transform* transform) {
  char text[16];
  CHECK(user == &done && size < 8);
  memcpy(text, value, size);
  text[size] = '!';
  return rkvs_transform_set(transform, text, size + 1);
}

static rkvs_status leave(void* user, const void* value, size_t size, rkvs_transform* transform) {
  (void)value;
  (void)size;
  (void)transform;
  return *(rkvs_status*)user;
}

static void test_one_key(rkvs_namespace* ns) {
  char buffer[8] = "";
  uint64_t version;
  rkvs_status refusal = RKVS_E_OVERFLOW;
  rkvs_write_options options;

  AWAIT(RKVS_OP_PUT, rkvs_namespace_put, ns, "a", 1, "one", 3, NULL);
  AWAIT(RKVS_OP_SET, rkvs_namespace_set, ns, "a", 1, "two", 3, NULL);
  CHECK(has("one"));
  AWAIT(RKVS_OP_UPDATE, rkvs_namespace_update, ns, "a", 1, "three", 5, NULL);
  CHECK(has("two"));
  AWAIT(RKVS_OP_GET, rkvs_namespace_get, ns, "a", 1);
  CHECK(has("three"));
  AWAIT(RKVS_OP_GET_INTO, rkvs_namespace_get_into, ns, "a", 1, buffer, sizeof buffer);
  CHECK(done.value == NULL && done.data == buffer && is_bytes(done.data, done.size, "three"));
  AWAIT(RKVS_OP_GET_INTO, rkvs_namespace_get_into, ns, "a", 1, buffer, 4);
  CHECK(done.data == NULL && done.size == 5);
  AWAIT(RKVS_OP_GET_INTO, rkvs_namespace_get_into, ns, "a", 1, NULL, 0);
  CHECK(done.data == NULL && done.size == 5);
  CHECK(await(rkvs_namespace_get_into_async(ns, "no", 2, buffer, 8, &how, NULL, NULL, NULL)) ==
        RKVS_NOT_FOUND);
  CHECK(rkvs_namespace_get_into_async(ns, "a", 1, NULL, 1, &how, NULL, NULL, NULL) ==
        RKVS_E_INVALID_ARGUMENT);
  AWAIT(RKVS_OP_GET_WITH_VERSION, rkvs_namespace_get_with_version, ns, "a", 1);
  version = done.version;
  AWAIT(RKVS_OP_COMPARE_AND_SET, rkvs_namespace_compare_and_set, ns, "a", 1, version, "four", 4,
        NULL);
  CHECK(done.version > version);
  version = done.version;
  AWAIT(RKVS_OP_COMPARE_AND_DELETE, rkvs_namespace_compare_and_delete, ns, "a", 1, version);
  CHECK(await(rkvs_namespace_exists_async(ns, "a", 1, &how, NULL, NULL, NULL)) == RKVS_NOT_FOUND);
  AWAIT(RKVS_OP_ADD, rkvs_namespace_add, ns, "a", 1, "new", 3, NULL);
  CHECK(done.version > version);
  AWAIT(RKVS_OP_EXISTS, rkvs_namespace_exists, ns, "a", 1);

  AWAIT(RKVS_OP_TRANSFORM, rkvs_namespace_transform, ns, "a", 1, append, &done);
  CHECK(has("new!"));
  CHECK(await(rkvs_namespace_transform_async(ns, "a", 1, leave, &refusal, &how, NULL, NULL,
                                             NULL)) == RKVS_E_OVERFLOW);
  CHECK(done.value == NULL && rkvs_error_code(done.error) == RKVS_E_OVERFLOW);
  refusal = RKVS_OK;
  AWAIT(RKVS_OP_TRANSFORM, rkvs_namespace_transform, ns, "a", 1, leave, &refusal);
  CHECK(has("new!"));
  CHECK(rkvs_namespace_transform_async(ns, "a", 1, NULL, NULL, &how, NULL, NULL, NULL) ==
        RKVS_E_INVALID_ARGUMENT);

  CHECK_OK(rkvs_write_options_init(&options, sizeof options));
  options.expire_after_ms = 3600 * 1000;
  AWAIT(RKVS_OP_TOUCH, rkvs_namespace_touch, ns, "a", 1, &options);
  AWAIT(RKVS_OP_TTL, rkvs_namespace_ttl, ns, "a", 1);
  CHECK(done.number > 0 && done.number <= 3600 * 1000);
  AWAIT(RKVS_OP_PERSIST, rkvs_namespace_persist, ns, "a", 1);
  CHECK(done.number == 1);
  AWAIT(RKVS_OP_INCREMENT, rkvs_namespace_increment, ns, "n", 1, 5, NULL);
  AWAIT(RKVS_OP_DECREMENT, rkvs_namespace_decrement, ns, "n", 1, 7, NULL);
  CHECK(done.number == -2);
  AWAIT(RKVS_OP_CONSUME, rkvs_namespace_consume, ns, "n", 1);
  CHECK(has("-2"));
  AWAIT(RKVS_OP_DELETE_KEY, rkvs_namespace_delete_key, ns, "a", 1);
}

static void expect_batch(rkvs_status first, rkvs_status second) {
  CHECK(rkvs_batch_result_count(done.batch) == 2);
  CHECK(rkvs_batch_result_item_status(done.batch, 0) == first);
  CHECK(rkvs_batch_result_item_status(done.batch, 1) == second);
}

static void test_batches(rkvs_namespace* ns) {
  const rkvs_slice keys[] = {{"k1", 2}, {"k2", 2}};
  const rkvs_slice values[] = {{"v1", 2}, {"v2", 2}};
  const uint64_t ends[] = {0, 2, 4};
  const rkvs_batch_mode all = RKVS_ALL_OR_NOTHING;
  const rkvs_batch_mode best = RKVS_BEST_EFFORT;
  rkvs_atomic_batch* batch = NULL;

  AWAIT(RKVS_OP_SET_MULTIPLE, rkvs_namespace_set_multiple, ns, keys, values, 2, all, NULL);
  AWAIT(RKVS_OP_GET_MULTIPLE, rkvs_namespace_get_multiple_packed, ns, "k1no", ends, 2, best);
  expect_batch(RKVS_OK, RKVS_NOT_FOUND);
  AWAIT(RKVS_OP_EXISTS_MULTIPLE, rkvs_namespace_exists_multiple, ns, keys, 2, all);
  AWAIT(RKVS_OP_EXISTS_MULTIPLE, rkvs_namespace_exists_multiple_packed, ns, "nok2", ends, 2, all);
  expect_batch(RKVS_NOT_FOUND, RKVS_OK);
  AWAIT(RKVS_OP_UPDATE_MULTIPLE, rkvs_namespace_update_multiple, ns, keys, values, 2, all, NULL);
  AWAIT(RKVS_OP_UPDATE_MULTIPLE, rkvs_namespace_update_multiple_packed, ns, "k1no", ends, "v3v4",
        ends, 2, best, NULL);
  expect_batch(RKVS_OK, RKVS_NOT_FOUND);
  AWAIT(RKVS_OP_GET_MULTIPLE, rkvs_namespace_get_multiple, ns, keys, 2, all);
  expect_batch(RKVS_OK, RKVS_OK);
  AWAIT(RKVS_OP_DELETE_MULTIPLE, rkvs_namespace_delete_multiple, ns, keys, 2, all);
  AWAIT(RKVS_OP_SET_MULTIPLE, rkvs_namespace_set_multiple_packed, ns, "k1k2", ends, "v1v2", ends, 2,
        all, NULL);
  AWAIT(RKVS_OP_CONSUME_MULTIPLE, rkvs_namespace_consume_multiple, ns, keys, 1, all);
  AWAIT(RKVS_OP_CONSUME_MULTIPLE, rkvs_namespace_consume_multiple_packed, ns, "k1k2", ends, 2,
        best);
  expect_batch(RKVS_NOT_FOUND, RKVS_OK);
  AWAIT(RKVS_OP_DELETE_MULTIPLE, rkvs_namespace_delete_multiple_packed, ns, "k1k2", ends, 2, best);
  expect_batch(RKVS_NOT_FOUND, RKVS_NOT_FOUND);

  CHECK_OK(rkvs_atomic_batch_create(&batch, NULL));
  CHECK_OK(rkvs_atomic_batch_set(batch, "a", 1, "1", 1, NULL, NULL));
  CHECK_OK(rkvs_atomic_batch_increment(batch, "a", 1, 1, NULL, NULL));
  AWAIT(RKVS_OP_APPLY, rkvs_namespace_apply, ns, batch);
  expect_batch(RKVS_OK, RKVS_OK);
  rkvs_atomic_batch_release(batch);
}

/* A namespace with the key "a" and nothing else. */
static void test_all_keys(rkvs_namespace* ns) {
  rkvs_scan* scan = NULL;
  size_t items = 0;

  AWAIT(RKVS_OP_LIST_KEYS, rkvs_namespace_list_keys, ns);
  CHECK(rkvs_list_count(done.list) == 1 && item_is(0, "a"));
  CHECK_OK(rkvs_namespace_scan_open(ns, NULL, &scan, NULL));
  do {
    AWAIT(RKVS_OP_SCAN_NEXT, rkvs_scan_next, scan, 10);
    items += rkvs_batch_result_count(done.batch);
  } while (done.status == RKVS_OK && done.number == 0);
  CHECK(items == 1);
  rkvs_scan_release(scan);
  AWAIT(RKVS_OP_DELETE_PREFIX, rkvs_namespace_delete_prefix, ns, "a", 1);
  CHECK(done.number == 1);
  AWAIT(RKVS_OP_PUT, rkvs_namespace_put, ns, "a", 1, "12345", 5, NULL);
  AWAIT(RKVS_OP_CLEAR, rkvs_namespace_clear, ns);
  CHECK(done.number == 1);
}

static void test_limits(rkvs_namespace* ns) {
  rkvs_namespace_config config;
  rkvs_namespace_stats stats;
  rkvs_shard_stats shard;
  const uint64_t* numbers = NULL;
  uint64_t keys = 0;
  size_t count = 0;
  size_t i;

  AWAIT(RKVS_OP_PUT, rkvs_namespace_put, ns, "a", 1, "12345", 5, NULL);
  AWAIT(RKVS_OP_SET_MAX_KEYS, rkvs_namespace_set_max_keys, ns, 11);
  AWAIT(RKVS_OP_SET_MAX_BYTES, rkvs_namespace_set_max_bytes, ns, 22 << 20);
  AWAIT(RKVS_OP_SET_MAX_VALUE_SIZE, rkvs_namespace_set_max_value_size, ns, 33);
  AWAIT(RKVS_OP_SET_LOCK_TIMEOUT, rkvs_namespace_set_lock_timeout, ns, 44);
  CHECK(await(rkvs_namespace_set_max_bytes_async(ns, 1, &how, NULL, NULL, NULL)) ==
        RKVS_E_LIMIT_BELOW_USE);
  AWAIT(RKVS_OP_GET_CONFIG, rkvs_namespace_get_config, ns);
  CHECK(rkvs_list_count(done.list) == 1 && item_is(0, rkvs_namespace_name(ns)));
  CHECK_OK(rkvs_namespace_config_init(&config, sizeof config));
  CHECK_OK(rkvs_list_namespace_config(done.list, 0, &config, NULL));
  CHECK(config.max_keys == 11 && config.max_bytes == 22 << 20 && config.max_value_size == 33 &&
        config.lock_timeout_ms == 44);
  CHECK(rkvs_list_namespace_config(done.list, 1, &config, NULL) == RKVS_E_INVALID_ARGUMENT);
  CHECK(rkvs_list_shard_stats(done.list, 0, &shard, sizeof shard, NULL) == RKVS_E_INVALID_ARGUMENT);
  CHECK(rkvs_list_numbers(done.list, NULL, NULL, NULL) == RKVS_E_INVALID_ARGUMENT);
  config.max_keys = 0;
  AWAIT(RKVS_OP_UPDATE_CONFIG, rkvs_namespace_update_config, ns, &config);
  CHECK(rkvs_namespace_update_config_async(ns, NULL, &how, NULL, NULL, NULL) ==
        RKVS_E_INVALID_ARGUMENT);
  AWAIT(RKVS_OP_RESIZE_SHARDS, rkvs_namespace_resize_shards, ns, 8);

  AWAIT(RKVS_OP_METADATA, rkvs_namespace_metadata, ns);
  CHECK_OK(rkvs_namespace_stats_init(&stats, sizeof stats));
  CHECK_OK(rkvs_list_namespace_stats(done.list, 0, &stats, NULL));
  CHECK(item_is(0, rkvs_namespace_name(ns)));
  CHECK(stats.shard_count == 8 && stats.key_count == 1 && stats.total_size == 5);
  AWAIT(RKVS_OP_SHARD_STATS, rkvs_namespace_shard_stats, ns);
  CHECK(rkvs_list_count(done.list) == 8 && item_is(7, ""));
  for (i = 0; i < 8; ++i) {
    CHECK_OK(rkvs_list_shard_stats(done.list, i, &shard, sizeof shard, NULL));
    keys += shard.key_count;
  }
  CHECK(keys == 1);
  CHECK(rkvs_list_shard_stats(done.list, 8, &shard, sizeof shard, NULL) == RKVS_E_INVALID_ARGUMENT);
  CHECK(rkvs_list_shard_stats(done.list, 0, NULL, sizeof shard, NULL) == RKVS_E_INVALID_ARGUMENT);
  CHECK(rkvs_list_shard_stats(done.list, 0, &shard, 8, NULL) == RKVS_E_INVALID_ARGUMENT);
  AWAIT(RKVS_OP_SHARD_KEY_COUNTS, rkvs_namespace_shard_key_counts, ns);
  CHECK_OK(rkvs_list_numbers(done.list, &numbers, &count, NULL));
  CHECK(count == 8 && rkvs_list_count(done.list) == 8);
  while (count != 0) keys -= numbers[--count];
  CHECK(keys == 0);
}

static void test_namespaces(rkvs_manager* manager) {
  rkvs_namespace_config config;
  rkvs_manager_config all;
  rkvs_namespace_stats stats;

  CHECK_OK(rkvs_namespace_config_init(&config, sizeof config));
  config.max_keys = 7;
  AWAIT(RKVS_OP_CREATE_NAMESPACE, rkvs_manager_create_namespace, manager, "made", &config);
  CHECK(strcmp(rkvs_namespace_name(done.ns), "made") == 0);
  CHECK_OK(rkvs_namespace_put(done.ns, "a", 1, "12", 2, NULL, NULL));
  CHECK(await(rkvs_manager_create_namespace_async(manager, "made", NULL, &how, NULL, NULL, NULL)) ==
        RKVS_E_NAMESPACE_EXISTS);
  CHECK(done.ns == NULL);
  CHECK(rkvs_manager_create_namespace_async(manager, NULL, NULL, &how, NULL, NULL, NULL) ==
        RKVS_E_INVALID_ARGUMENT);
  config.max_keys = 8;
  AWAIT(RKVS_OP_UPDATE_NAMESPACE_CONFIG, rkvs_manager_update_namespace_config, manager, "made",
        &config);
  AWAIT(RKVS_OP_GET_NAMESPACE, rkvs_manager_get_namespace, manager, "made");
  CHECK_OK(rkvs_namespace_get_config(done.ns, &config, NULL));
  CHECK(config.max_keys == 8);
  CHECK(await(rkvs_manager_get_namespace_async(manager, "none", &how, NULL, NULL, NULL)) ==
        RKVS_E_NAMESPACE_NOT_FOUND);
  AWAIT(RKVS_OP_CLONE_NAMESPACE, rkvs_manager_clone_namespace, manager, "made", "clone");
  CHECK_OK(rkvs_namespace_exists(done.ns, "a", 1, NULL));
  AWAIT(RKVS_OP_LIST_NAMESPACES, rkvs_manager_list_namespaces, manager);
  CHECK(rkvs_list_count(done.list) == 3 && item_is(0, "clone") && item_is(2, "users"));
  AWAIT(RKVS_OP_DELETE_NAMESPACE, rkvs_manager_delete_namespace, manager, "clone");

  CHECK_OK(rkvs_manager_config_init(&all, sizeof all));
  all.max_namespaces = 9;
  AWAIT(RKVS_OP_MANAGER_UPDATE_CONFIG, rkvs_manager_update_config, manager, &all);
  AWAIT(RKVS_OP_MANAGER_GET_CONFIG, rkvs_manager_get_config, manager);
  all.max_namespaces = 0;
  CHECK_OK(rkvs_list_manager_config(done.list, 0, &all, NULL));
  CHECK(all.max_namespaces == 9 && rkvs_list_count(done.list) == 1 && item_is(0, ""));
  CHECK(rkvs_list_manager_config(done.list, 1, &all, NULL) == RKVS_E_INVALID_ARGUMENT);
  AWAIT(RKVS_OP_NAMESPACE_STATS, rkvs_manager_namespace_stats, manager, "made");
  CHECK_OK(rkvs_namespace_stats_init(&stats, sizeof stats));
  CHECK_OK(rkvs_list_namespace_stats(done.list, 0, &stats, NULL));
  CHECK(rkvs_list_count(done.list) == 1 && stats.key_count == 1 && stats.total_size == 2);
  AWAIT(RKVS_OP_ALL_NAMESPACE_STATS, rkvs_manager_all_namespace_stats, manager);
  CHECK(rkvs_list_count(done.list) == 2 && item_is(1, "users"));
  AWAIT(RKVS_OP_METRICS_TEXT, rkvs_manager_metrics_text, manager);
  CHECK(done.value != NULL && done.size > 100);
  AWAIT(RKVS_OP_NAMESPACE_COUNT, rkvs_manager_namespace_count, manager);
  CHECK(done.number == 2);
  AWAIT(RKVS_OP_TOTAL_KEY_COUNT, rkvs_manager_total_key_count, manager);
  CHECK(done.number == 2);
}

static void test_persistence(rkvs_manager* manager) {
  rkvs_autosave_config task;
  rkvs_autosave_status status;

  AWAIT(RKVS_OP_SAVE_ALL, rkvs_manager_save_all, manager, "all");
  AWAIT(RKVS_OP_SAVE_NAMESPACE, rkvs_manager_save_namespace, manager, "made", "one");
  AWAIT(RKVS_OP_DELETE_NAMESPACE, rkvs_manager_delete_namespace, manager, "made");
  AWAIT(RKVS_OP_LOAD_NAMESPACE, rkvs_manager_load_namespace, manager, "one");
  CHECK(has("made"));
  AWAIT(RKVS_OP_LOAD_NAMESPACE_AS, rkvs_manager_load_namespace_as, manager, "all", "again", "made");

  CHECK_OK(rkvs_autosave_config_init(&task, sizeof task));
  task.interval_ms = 3600 * 1000;
  task.file = "auto-{ns}";
  AWAIT(RKVS_OP_ADD_NAMESPACE_AUTOSAVE_TASK, rkvs_manager_add_namespace_autosave_task, manager,
        "users", &task);
  AWAIT(RKVS_OP_STOP_NAMESPACE_AUTOSAVE, rkvs_manager_stop_namespace_autosave, manager, "users");
  AWAIT(RKVS_OP_START_NAMESPACE_AUTOSAVE_TASK, rkvs_manager_start_namespace_autosave_task, manager,
        "users");
  CHECK(await(rkvs_manager_start_namespace_autosave_task_async(manager, "users", &how, NULL, NULL,
                                                               NULL)) == RKVS_E_AUTOSAVE_EXISTS);
  AWAIT(RKVS_OP_STOP_NAMESPACE_AUTOSAVE, rkvs_manager_stop_namespace_autosave, manager, "users");
  AWAIT(RKVS_OP_START_MISSING_AUTOSAVE_TASKS, rkvs_manager_start_missing_autosave_tasks, manager);
  CHECK(done.number == 1);
  AWAIT(RKVS_OP_LIST_AUTOSAVE_TASKS, rkvs_manager_list_autosave_tasks, manager);
  CHECK_OK(rkvs_autosave_status_init(&status, sizeof status));
  CHECK_OK(rkvs_list_autosave_status(done.list, 0, &status, NULL));
  CHECK(item_is(0, "users") && strcmp(status.file, "auto-{ns}") == 0);
  CHECK(await(rkvs_manager_stop_manager_autosave_async(manager, &how, NULL, NULL, NULL)) ==
        RKVS_E_AUTOSAVE_NOT_RUNNING);
}

/* From the file that test_persistence has left. */
static void test_life(void) {
  rkvs_manager_options options;
  rkvs_manager* manager = NULL;
  rkvs_operation* operation = NULL;
  rkvs_load_report* report = NULL;

  CHECK_OK(rkvs_manager_options_init(&options, sizeof options));
  options.directory = directory;
  CHECK_OK(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, NULL));
  CHECK(await(rkvs_manager_namespace_count_async(manager, &how, NULL, NULL, NULL)) ==
        RKVS_E_NOT_INITIALIZED);
  AWAIT(RKVS_OP_INITIALIZE_FILE, rkvs_manager_initialize_file, manager, "all");
  AWAIT(RKVS_OP_INITIALIZE, rkvs_manager_initialize, manager);
  AWAIT(RKVS_OP_LOAD_REPORT, rkvs_manager_load_report, manager);
  CHECK(rkvs_list_count(done.list) == 1 && item_is(0, "all"));
  CHECK_OK(rkvs_list_load_report(done.list, &report, NULL));
  CHECK(rkvs_list_load_report(done.list, NULL, NULL) == RKVS_E_INVALID_ARGUMENT);
  rkvs_completion_clear(&done);
  CHECK(strcmp(rkvs_load_report_file(report), "all") == 0);
  CHECK(rkvs_load_report_namespaces(report) == 2 && rkvs_load_report_keys(report) == 2);
  rkvs_load_report_release(report);

  CHECK_OK(await(rkvs_manager_close_async(manager, &how, NULL, &operation, NULL)));
  CHECK(done.kind == RKVS_OP_CLOSE);
  CHECK(rkvs_operation_cancel(operation, NULL) == RKVS_DONE);
  CHECK(rkvs_operation_retain(operation) == operation);
  rkvs_operation_release(operation);
  rkvs_operation_release(operation);
  CHECK(rkvs_manager_namespace_count_async(manager, &how, NULL, NULL, NULL) == RKVS_E_CLOSED);
  AWAIT(RKVS_OP_CLOSE, rkvs_manager_close, manager);
  rkvs_manager_release(manager);
}

static void test_queue(void) {
  rkvs_queue* queue = rkvs_queue_retain(how.queue);
  size_t count = 0;
  CHECK(rkvs_queue_wait(queue, 1, NULL) == RKVS_E_TIMEOUT);
  CHECK_OK(rkvs_queue_close(queue, NULL));
  CHECK(rkvs_queue_wait(queue, -1, NULL) == RKVS_E_CLOSED);
  rkvs_queue_release(queue);
  CHECK(rkvs_queue_poll(how.queue, &done, 1, &count, NULL) == RKVS_E_CLOSED && count == 0);
  rkvs_queue_release(how.queue);
}

/* What a child process makes of it: before there was a store it may have one of its own; afterwards
 * everything is refused, and it may end as it likes. */
static int use_in_child(rkvs_status expected) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    rkvs_manager* manager = NULL;
    rkvs_queue* queue = NULL;
    rkvs_completion completion;
    size_t count = 0;
    rkvs_async to_queue;
    if (rkvs_manager_open(RKVS_ABI_VERSION, NULL, &manager, NULL) != expected) _exit(1);
    if (rkvs_queue_create(&queue, NULL) != expected) _exit(2);
    if (expected != RKVS_OK) exit(0);
    rkvs_async_init(&to_queue, sizeof to_queue);
    to_queue.queue = queue;
    if (rkvs_manager_initialize_async(manager, &to_queue, NULL, NULL, NULL) != RKVS_PENDING) {
      _exit(3);
    }
    if (rkvs_queue_wait(queue, -1, NULL) != RKVS_OK) _exit(4);
    if (rkvs_queue_poll(queue, &completion, 1, &count, NULL) != RKVS_OK || count != 1) _exit(5);
    if (completion.status != RKVS_OK) _exit(6);
    rkvs_manager_release(manager);
    rkvs_queue_release(queue);
    exit(0);
  }
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

int main(void) {
  rkvs_manager_options options;
  rkvs_manager* manager = NULL;
  rkvs_namespace* ns = NULL;
  rkvs_completion copy;

  if (!make_directory()) return 2;
  CHECK(use_in_child(RKVS_OK));
  CHECK_OK(rkvs_async_init(&how, sizeof how));
  CHECK_OK(rkvs_queue_create(&how.queue, NULL));
  how.tag = 77;
  CHECK_OK(rkvs_manager_options_init(&options, sizeof options));
  options.directory = directory;
  CHECK_OK(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, NULL));
  AWAIT(RKVS_OP_INITIALIZE, rkvs_manager_initialize, manager);
  AWAIT(RKVS_OP_CREATE_NAMESPACE, rkvs_manager_create_namespace, manager, "users", NULL);
  /* As good as the original. */
  rkvs_completion_retain(&done);
  copy = done;
  ns = rkvs_namespace_retain(copy.ns);
  rkvs_completion_clear(&copy);
  test_one_key(ns);
  test_batches(ns);
  test_all_keys(ns);
  test_limits(ns);
  test_namespaces(manager);
  test_persistence(manager);
  AWAIT(RKVS_OP_CLOSE, rkvs_manager_close, manager);
  rkvs_manager_release(manager);
  rkvs_namespace_release(ns);
  test_life();
  rkvs_completion_clear(&done);
  test_queue();
  /* With a thread that has closed a store in its past. */
  CHECK(use_in_child(RKVS_E_FORKED));
  return finish_tests();
}
