/* The C API as a C program meets it, against the shared library. */
#include "check.h"

static int is_value(rkvs_namespace* ns, const char* key, const char* expected) {
  rkvs_value* value = NULL;
  const void* data = NULL;
  size_t size = 0;
  int same;
  if (rkvs_namespace_get(ns, key, strlen(key), &value, NULL) != RKVS_OK) return expected == NULL;
  rkvs_value_view(value, &data, &size);
  same = expected != NULL && data == rkvs_value_data(value) && is_bytes(data, size, expected);
  rkvs_value_release(value);
  return same;
}

static void test_library(void) {
  CHECK(rkvs_abi_version() == RKVS_ABI_VERSION);
  CHECK(strchr(rkvs_version_string(), '.') != NULL);
  CHECK(strcmp(rkvs_status_name(RKVS_OK), "RKVS_OK") == 0);
  CHECK(strcmp(rkvs_status_name(RKVS_E_TIMEOUT), "RKVS_E_TIMEOUT") == 0);
  CHECK(strcmp(rkvs_status_name(-1000), "RKVS_UNKNOWN") == 0);
  CHECK(rkvs_has_feature(RKVS_FEATURE_ASYNC) == 1);
  CHECK(rkvs_has_feature(1000) == 0);
  CHECK(rkvs_sizeof(RKVS_TYPE_COMPLETION) == sizeof(rkvs_completion));
}

static void test_one_key(rkvs_namespace* ns) {
  rkvs_value* old = NULL;
  rkvs_value* kept = NULL;
  uint64_t version = 0;
  uint64_t newer = 0;
  int64_t number = 0;
  int32_t had = -1;
  char buffer[8] = "";
  size_t size = 0;
  rkvs_write_options options;
  rkvs_counter_options counter;
  rkvs_error* error = NULL;

  CHECK_OK(rkvs_namespace_set(ns, "a", 1, "one", 3, NULL, &old, NULL));
  CHECK(old == NULL);
  CHECK_OK(rkvs_namespace_set(ns, "a", 1, "two", 3, NULL, &old, NULL));
  CHECK(is_bytes(rkvs_value_data(old), rkvs_value_size(old), "one"));
  rkvs_value_release(old);
  CHECK_OK(rkvs_namespace_set(ns, "a", 1, "three", 5, NULL, NULL, NULL));
  CHECK(is_value(ns, "a", "three"));
  CHECK_OK(rkvs_namespace_get_into(ns, "a", 1, buffer, sizeof buffer, &size, NULL));
  CHECK(is_bytes(buffer, size, "three"));
  memset(buffer, 'x', sizeof buffer);
  CHECK_OK(rkvs_namespace_get_into(ns, "a", 1, buffer, 4, &size, NULL));
  CHECK(size == 5 && buffer[0] == 'x');
  CHECK(rkvs_namespace_get_into(ns, "?", 1, buffer, 4, &size, &error) == RKVS_NOT_FOUND);
  CHECK(error == NULL && size == 0);

  CHECK_OK(rkvs_namespace_exists(ns, "a", 1, NULL));
  CHECK(rkvs_namespace_exists(ns, "?", 1, NULL) == RKVS_NOT_FOUND);
  CHECK(rkvs_namespace_add(ns, "a", 1, "x", 1, NULL, &version, NULL) == RKVS_EXISTS);
  CHECK_OK(rkvs_namespace_add(ns, "b", 1, "x", 1, NULL, &version, NULL));
  CHECK(version != 0);
  CHECK(rkvs_namespace_update(ns, "?", 1, "x", 1, NULL, NULL, NULL) == RKVS_NOT_FOUND);
  CHECK_OK(rkvs_namespace_update(ns, "b", 1, "y", 1, NULL, &old, NULL));
  CHECK(is_bytes(rkvs_value_data(old), rkvs_value_size(old), "x"));
  rkvs_value_release(old);
  CHECK(rkvs_namespace_compare_and_set(ns, "b", 1, version, "z", 1, NULL, &newer, NULL) ==
        RKVS_VERSION_MISMATCH);
  CHECK_OK(rkvs_namespace_get_with_version(ns, "b", 1, &kept, &version, NULL));
  CHECK_OK(rkvs_namespace_compare_and_set(ns, "b", 1, version, "z", 1, NULL, &newer, NULL));
  CHECK(newer > version);
  CHECK(rkvs_namespace_compare_and_delete(ns, "b", 1, version, NULL) == RKVS_VERSION_MISMATCH);
  CHECK_OK(rkvs_namespace_compare_and_delete(ns, "b", 1, newer, NULL));
  CHECK(rkvs_namespace_delete_key(ns, "b", 1, NULL) == RKVS_NOT_FOUND);
  /* What was read stays as it was. */
  CHECK(is_bytes(rkvs_value_data(kept), rkvs_value_size(kept), "y"));
  CHECK(rkvs_value_retain(kept) == kept);
  rkvs_value_release(kept);
  CHECK(is_bytes(rkvs_value_data(kept), rkvs_value_size(kept), "y"));
  rkvs_value_release(kept);
  CHECK_OK(rkvs_namespace_consume(ns, "a", 1, &old, NULL));
  CHECK(is_bytes(rkvs_value_data(old), rkvs_value_size(old), "three"));
  rkvs_value_release(old);
  CHECK(rkvs_namespace_consume(ns, "a", 1, &old, NULL) == RKVS_NOT_FOUND && old == NULL);

  CHECK_OK(rkvs_write_options_init(&options, sizeof options));
  options.expire_after_ms = 1000 * 3600;
  CHECK_OK(rkvs_namespace_put(ns, "e", 1, "", 0, &options, NULL));
  CHECK_OK(rkvs_namespace_ttl(ns, "e", 1, &number, NULL));
  CHECK(number > 1000 * 3000 && number <= 1000 * 3600);
  CHECK_OK(rkvs_namespace_persist(ns, "e", 1, &had, NULL));
  CHECK(had == 1);
  CHECK_OK(rkvs_namespace_ttl(ns, "e", 1, &number, NULL));
  CHECK(number == -1);
  CHECK_OK(rkvs_namespace_touch(ns, "e", 1, &options, NULL));
  CHECK(rkvs_namespace_touch(ns, "e", 1, NULL, &error) == RKVS_E_INVALID_ARGUMENT);
  CHECK(strlen(rkvs_error_message(error)) != 0);
  rkvs_error_release(error);
  options.expire_at_unix_ms = 1;
  CHECK(rkvs_namespace_put(ns, "e", 1, "", 0, &options, NULL) == RKVS_E_INVALID_ARGUMENT);
  options.expire_after_ms = 0;
  CHECK_OK(rkvs_namespace_put(ns, "e", 1, "", 0, &options, NULL));
  CHECK(rkvs_namespace_exists(ns, "e", 1, NULL) == RKVS_NOT_FOUND);

  CHECK_OK(rkvs_counter_options_init(&counter, sizeof counter));
  counter.initial = 100;
  CHECK_OK(rkvs_namespace_increment(ns, "c", 1, 5, &counter, &number, NULL));
  CHECK(number == 105);
  CHECK_OK(rkvs_namespace_decrement(ns, "c", 1, 6, NULL, &number, NULL));
  CHECK(number == 99);
  CHECK(rkvs_namespace_increment(ns, "c", 1, INT64_MAX, NULL, &number, NULL) == RKVS_E_OVERFLOW);
}

static rkvs_status twice(void* user, const void* value, size_t size, rkvs_transform* transform) {
  char text[32];
  rkvs_namespace* ns = user;
  if (value == NULL) return RKVS_E_NOT_A_NUMBER;
  if (size > 8) return RKVS_OK;
  if (size == 0) return rkvs_transform_remove(transform);
  CHECK(rkvs_namespace_exists(ns, "other", 5, NULL) == RKVS_E_WOULD_DEADLOCK);
  memcpy(text, value, size);
  memcpy(text + size, value, size);
  return rkvs_transform_set(transform, text, 2 * size);
}

static void test_transform(rkvs_namespace* ns) {
  rkvs_value* value = NULL;
  rkvs_error* error = NULL;
  CHECK(rkvs_namespace_transform(ns, "t", 1, twice, ns, &value, &error) == RKVS_E_NOT_A_NUMBER);
  CHECK(rkvs_error_code(error) == RKVS_E_NOT_A_NUMBER);
  rkvs_error_release(error);
  CHECK_OK(rkvs_namespace_put(ns, "t", 1, "12345", 5, NULL, NULL));
  CHECK_OK(rkvs_namespace_transform(ns, "t", 1, twice, ns, NULL, NULL));
  CHECK(is_value(ns, "t", "1234512345"));
  CHECK_OK(rkvs_namespace_transform(ns, "t", 1, twice, ns, &value, NULL));
  CHECK(is_bytes(rkvs_value_data(value), rkvs_value_size(value), "1234512345"));
  rkvs_value_release(value);
  CHECK_OK(rkvs_namespace_put(ns, "t", 1, "", 0, NULL, NULL));
  CHECK_OK(rkvs_namespace_transform(ns, "t", 1, twice, ns, &value, NULL));
  CHECK(value == NULL && is_value(ns, "t", NULL));
}

static void test_batches(rkvs_namespace* ns) {
  const rkvs_slice keys[] = {{"x", 1}, {"y", 1}, {"x", 1}};
  const rkvs_slice values[] = {{"1", 1}, {"", 0}, {"333", 3}};
  static const uint64_t offsets[] = {0, 1, 2, 3};
  rkvs_batch_result* result = NULL;
  rkvs_batch_item item;
  rkvs_batch_view view;
  rkvs_value* value;
  rkvs_error* error = NULL;
  rkvs_atomic_batch* batch = NULL;

  CHECK_OK(
      rkvs_namespace_set_multiple(ns, keys, values, 3, RKVS_ALL_OR_NOTHING, NULL, &result, NULL));
  CHECK(rkvs_batch_result_count(result) == 3);
  CHECK_OK(rkvs_batch_result_status(result));
  CHECK_OK(rkvs_batch_item_init(&item, sizeof item));
  CHECK_OK(rkvs_batch_result_item(result, 0, &item, NULL));
  CHECK(item.status == RKVS_OK && item.has_value == 0 && item.value == NULL);
  CHECK_OK(rkvs_batch_result_item(result, 2, &item, NULL));
  CHECK(item.has_value == 1 && is_bytes(item.value, item.value_size, "1"));
  CHECK(rkvs_batch_result_item(result, 3, &item, NULL) == RKVS_E_INVALID_ARGUMENT);
  rkvs_batch_result_release(result);

  CHECK_OK(
      rkvs_namespace_get_multiple_packed(ns, "xy?", offsets, 3, RKVS_BEST_EFFORT, &result, NULL));
  CHECK_OK(rkvs_batch_view_init(&view, sizeof view));
  CHECK_OK(rkvs_batch_result_view(result, &view, NULL));
  CHECK(view.count == 3 && view.total_processed == 2);
  CHECK(view.statuses[0] == RKVS_OK && view.statuses[2] == RKVS_NOT_FOUND);
  CHECK(view.has_value[0] == 1 && view.has_value[1] == 1 && view.has_value[2] == 0);
  CHECK(view.value_offsets[1] == 3 && view.value_offsets[2] == 3 && view.value_offsets[3] == 3);
  CHECK(memcmp(view.values, "333", 3) == 0 && view.keys == NULL);
  value = rkvs_batch_result_value(result, 0);
  CHECK(rkvs_batch_result_value(result, 2) == NULL);
  rkvs_batch_result_release(result);
  CHECK(is_bytes(rkvs_value_data(value), rkvs_value_size(value), "333"));
  rkvs_value_release(value);

  CHECK(rkvs_namespace_delete_multiple_packed(ns, "xy?", offsets, 3, RKVS_ALL_OR_NOTHING, &result,
                                              NULL) == RKVS_NOT_FOUND);
  CHECK(rkvs_batch_result_item_status(result, 0) == RKVS_NOT_APPLIED);
  CHECK(rkvs_batch_result_item_status(result, 2) == RKVS_NOT_FOUND);
  rkvs_batch_result_release(result);
  CHECK_OK(rkvs_namespace_exists_multiple(ns, keys, 2, RKVS_ALL_OR_NOTHING, NULL, NULL));
  CHECK_OK(rkvs_namespace_get_multiple(ns, NULL, 0, RKVS_ALL_OR_NOTHING, &result, NULL));
  CHECK_OK(rkvs_batch_result_view(result, &view, NULL));
  CHECK(view.count == 0 && view.value_offsets[0] == 0);
  rkvs_batch_result_release(result);

  CHECK_OK(rkvs_atomic_batch_create(&batch, NULL));
  CHECK_OK(rkvs_atomic_batch_check_exists(batch, "x", 1, NULL));
  CHECK_OK(rkvs_atomic_batch_increment(batch, "x", 1, 1, NULL, NULL));
  CHECK_OK(rkvs_atomic_batch_delete_key(batch, "y", 1, NULL));
  CHECK_OK(rkvs_atomic_batch_add(batch, "z", 1, "new", 3, NULL, NULL));
  CHECK(rkvs_atomic_batch_size(batch) == 4);
  CHECK_OK(rkvs_namespace_apply(ns, batch, &result, NULL));
  CHECK_OK(rkvs_batch_result_item(result, 1, &item, NULL));
  CHECK(is_bytes(item.value, item.value_size, "334") && item.version != 0);
  rkvs_batch_result_release(result);
  CHECK(rkvs_namespace_apply(ns, batch, &result, &error) == RKVS_NOT_FOUND);
  CHECK(error == NULL);
  CHECK(rkvs_batch_result_item_status(result, 3) == RKVS_EXISTS);
  rkvs_batch_result_release(result);
  CHECK(is_value(ns, "x", "334") && is_value(ns, "y", NULL) && is_value(ns, "z", "new"));
  CHECK_OK(rkvs_atomic_batch_clear(batch, NULL));
  CHECK(rkvs_atomic_batch_size(batch) == 0);
  rkvs_atomic_batch_release(batch);
}

/* Every other kind of batch, and every operation of atomic ones that test_batches leaves out. */
static void test_more_batches(rkvs_namespace* ns) {
  const rkvs_slice keys[] = {{"x", 1}, {"y", 1}};
  const rkvs_slice values[] = {{"1", 1}, {"2", 1}};
  static const uint64_t offsets[] = {0, 1, 2};
  const rkvs_batch_mode all = RKVS_ALL_OR_NOTHING;
  rkvs_batch_result* result = NULL;
  rkvs_batch_item item;
  rkvs_atomic_batch* batch = NULL;
  rkvs_error* error = NULL;
  uint64_t x = 0;
  uint64_t y = 0;

  CHECK_OK(rkvs_namespace_set_multiple_packed(ns, "xy", offsets, "12", offsets, 2, all, NULL, NULL,
                                              NULL));
  CHECK_OK(rkvs_namespace_update_multiple(ns, keys, values, 2, all, NULL, NULL, NULL));
  CHECK_OK(rkvs_namespace_update_multiple_packed(ns, "xy", offsets, "34", offsets, 2, all, NULL,
                                                 &result, NULL));
  CHECK_OK(rkvs_batch_item_init(&item, sizeof item));
  CHECK_OK(rkvs_batch_result_item(result, 1, &item, NULL));
  CHECK(is_bytes(item.value, item.value_size, "2"));
  CHECK(rkvs_batch_result_retain(result) == result);
  rkvs_batch_result_release(result);
  CHECK(rkvs_batch_result_count(result) == 2);
  rkvs_batch_result_release(result);
  CHECK_OK(rkvs_namespace_exists_multiple_packed(ns, "xy", offsets, 2, all, NULL, NULL));
  CHECK_OK(rkvs_namespace_consume_multiple(ns, keys, 1, all, &result, NULL));
  CHECK_OK(rkvs_batch_result_item(result, 0, &item, NULL));
  CHECK(is_bytes(item.value, item.value_size, "3"));
  rkvs_batch_result_release(result);
  CHECK(rkvs_namespace_consume_multiple_packed(ns, "xy", offsets, 2, all, NULL, NULL) ==
        RKVS_NOT_FOUND);
  CHECK_OK(rkvs_namespace_delete_multiple(ns, keys, 2, RKVS_BEST_EFFORT, NULL, NULL));
  CHECK(is_value(ns, "y", NULL));

  CHECK_OK(rkvs_namespace_add(ns, "x", 1, "7", 1, NULL, &x, NULL));
  CHECK_OK(rkvs_namespace_add(ns, "y", 1, "8", 1, NULL, &y, NULL));
  CHECK_OK(rkvs_atomic_batch_create(&batch, NULL));
  CHECK(rkvs_atomic_batch_retain(batch) == batch);
  rkvs_atomic_batch_release(batch);
  CHECK_OK(rkvs_atomic_batch_check_version(batch, "x", 1, x, NULL));
  CHECK_OK(rkvs_atomic_batch_check_absent(batch, "z?", 2, NULL));
  CHECK_OK(rkvs_atomic_batch_compare_and_set(batch, "x", 1, x, "10", 2, NULL, NULL));
  CHECK_OK(rkvs_atomic_batch_compare_and_delete(batch, "y", 1, y, NULL));
  CHECK_OK(rkvs_atomic_batch_decrement(batch, "x", 1, 1, NULL, NULL));
  CHECK_OK(rkvs_atomic_batch_set(batch, "y", 1, "again", 5, NULL, NULL));
  CHECK_OK(rkvs_atomic_batch_update(batch, "y", 1, "and again", 9, NULL, NULL));
  CHECK_OK(rkvs_atomic_batch_consume(batch, "y", 1, NULL));
  CHECK_OK(rkvs_namespace_apply(ns, batch, &result, NULL));
  CHECK(is_value(ns, "x", "9") && is_value(ns, "y", NULL));
  CHECK_OK(rkvs_batch_result_item(result, 7, &item, NULL));
  CHECK(is_bytes(item.value, item.value_size, "and again"));
  rkvs_batch_result_release(result);
  CHECK(rkvs_namespace_apply(ns, batch, NULL, NULL) == RKVS_VERSION_MISMATCH);
  rkvs_atomic_batch_release(batch);

  CHECK_OK(rkvs_namespace_put(ns, "y", 1, "text", 4, NULL, NULL));
  CHECK_OK(rkvs_atomic_batch_create(&batch, NULL));
  CHECK_OK(rkvs_atomic_batch_delete_key(batch, "x", 1, NULL));
  CHECK_OK(rkvs_atomic_batch_increment(batch, "y", 1, 1, NULL, NULL));
  CHECK(rkvs_namespace_apply(ns, batch, NULL, &error) == RKVS_E_NOT_A_NUMBER);
  CHECK(rkvs_error_retain(error) == error);
  rkvs_error_release(error);
  CHECK(rkvs_error_index(error) == 1);
  rkvs_error_release(error);
  CHECK(is_value(ns, "x", "9"));
  rkvs_atomic_batch_release(batch);
}

static void test_all_keys(rkvs_namespace* ns) {
  rkvs_list* list = NULL;
  rkvs_scan* scan = NULL;
  rkvs_scan_options options;
  rkvs_batch_result* items = NULL;
  rkvs_batch_view view;
  const void* bytes = NULL;
  const uint64_t* offsets = NULL;
  size_t count = 0;
  uint64_t removed = 0;
  size_t found = 0;
  int i;

  CHECK_OK(rkvs_namespace_clear(ns, NULL, NULL));
  for (i = 0; i < 300; ++i) {
    char key[16];
    sprintf(key, "%s%03d", i < 100 ? "a" : "b", i);
    CHECK_OK(rkvs_namespace_put(ns, key, 4, key, 4, NULL, NULL));
  }
  CHECK_OK(rkvs_namespace_list_keys(ns, &list, NULL));
  CHECK_OK(rkvs_list_packed(list, &bytes, &offsets, &count, NULL));
  CHECK(count == 300 && offsets[300] == 1200 && bytes != NULL && rkvs_list_count(list) == 300);
  rkvs_list_release(list);

  CHECK_OK(rkvs_scan_options_init(&options, sizeof options));
  options.prefix = "a";
  options.prefix_size = 1;
  CHECK_OK(rkvs_namespace_scan_open(ns, &options, &scan, NULL));
  CHECK_OK(rkvs_batch_view_init(&view, sizeof view));
  CHECK(rkvs_scan_retain(scan) == scan);
  rkvs_scan_release(scan);
  while (rkvs_scan_is_done(scan) == 0) {
    uint64_t j;
    CHECK_OK(rkvs_scan_next(scan, 7, &items, NULL));
    CHECK_OK(rkvs_batch_result_view(items, &view, NULL));
    CHECK(view.count <= 7 && view.key_offsets[view.count] == 4 * view.count);
    for (j = 0; j < view.count; ++j) {
      CHECK(((const char*)view.keys)[view.key_offsets[j]] == 'a');
      CHECK(view.versions[j] != 0);
    }
    CHECK(memcmp(view.keys, view.values, view.key_offsets[view.count]) == 0);
    found += (size_t)view.count;
    rkvs_batch_result_release(items);
  }
  CHECK(found == 100);
  CHECK(rkvs_scan_next(scan, 0, &items, NULL) == RKVS_E_INVALID_ARGUMENT);
  rkvs_scan_release(scan);

  CHECK_OK(rkvs_namespace_delete_prefix(ns, "b", 1, &removed, NULL));
  CHECK(removed == 200);
  CHECK_OK(rkvs_namespace_clear(ns, &removed, NULL));
  CHECK(removed == 100);
}

static void test_limits(rkvs_manager* manager, rkvs_namespace* ns) {
  rkvs_namespace_config config;
  rkvs_manager_config all;
  rkvs_namespace_stats stats;
  rkvs_shard_stats shards[8];
  uint64_t counts[8];
  size_t count = 0;
  uint64_t total = 0;
  rkvs_error* error = NULL;
  rkvs_list* list = NULL;
  rkvs_value* text = NULL;

  CHECK_OK(rkvs_namespace_put(ns, "one", 3, "12345", 5, NULL, NULL));
  CHECK_OK(rkvs_namespace_set_max_keys(ns, 1, NULL));
  CHECK(rkvs_namespace_put(ns, "two", 3, "", 0, NULL, &error) == RKVS_E_TOO_MANY_KEYS);
  CHECK(strchr(rkvs_error_message(error), '1') != NULL);
  rkvs_error_release(error);
  CHECK_OK(rkvs_namespace_set_max_value_size(ns, 10, NULL));
  CHECK(rkvs_namespace_put(ns, "one", 3, "12345678901", 11, NULL, NULL) == RKVS_E_VALUE_TOO_LARGE);
  CHECK_OK(rkvs_namespace_set_max_bytes(ns, 100u << 20, NULL));
  CHECK(rkvs_namespace_set_max_bytes(ns, 1, NULL) == RKVS_E_LIMIT_BELOW_USE);
  CHECK_OK(rkvs_namespace_set_lock_timeout(ns, 100, NULL));
  CHECK(rkvs_namespace_set_lock_timeout(ns, 0, NULL) == RKVS_E_INVALID_ARGUMENT);
  CHECK_OK(rkvs_namespace_config_init(&config, sizeof config));
  CHECK_OK(rkvs_namespace_get_config(ns, &config, NULL));
  CHECK(config.max_keys == 1 && config.max_value_size == 10 && config.lock_timeout_ms == 100);
  CHECK(config.max_key_size == 65536);
  config.max_keys = 0;
  config.max_value_size = 0;
  CHECK_OK(rkvs_namespace_update_config(ns, &config, NULL));
  CHECK_OK(rkvs_namespace_resize_shards(ns, 8, NULL, NULL));
  CHECK_OK(rkvs_namespace_stats_init(&stats, sizeof stats));
  CHECK_OK(rkvs_namespace_metadata(ns, &stats, NULL));
  CHECK(stats.shard_count == 8 && stats.key_count == 1 && stats.total_size == 5);
  CHECK_OK(rkvs_namespace_shard_stats(ns, shards, sizeof shards[0], 8, &count, NULL));
  CHECK(count == 8);
  while (count != 0) total += shards[--count].key_count;
  CHECK(total == 1);
  CHECK_OK(rkvs_namespace_shard_key_counts(ns, counts, 3, &count, NULL));
  CHECK(count == 8);

  CHECK_OK(rkvs_manager_config_init(&all, sizeof all));
  all.max_namespaces = 1;
  CHECK_OK(rkvs_manager_update_config(manager, &all, NULL));
  CHECK(rkvs_manager_create_namespace(manager, "more", NULL, NULL, NULL) ==
        RKVS_E_TOO_MANY_NAMESPACES);
  all.max_namespaces = 0;
  all.flags = RKVS_SET_MAX_NAMESPACES;
  CHECK_OK(rkvs_manager_update_config(manager, &all, NULL));
  CHECK_OK(rkvs_manager_get_config(manager, &all, NULL));
  CHECK(all.max_namespaces == 0);
  CHECK_OK(rkvs_manager_namespace_stats(manager, "users", &stats, NULL));
  CHECK(stats.key_count == 1);
  CHECK_OK(rkvs_manager_all_namespace_stats(manager, &list, NULL));
  CHECK_OK(rkvs_list_namespace_stats(list, 0, &stats, NULL));
  CHECK(rkvs_list_autosave_status(list, 0, NULL, NULL) == RKVS_E_INVALID_ARGUMENT);
  CHECK(rkvs_list_retain(list) == list);
  rkvs_list_release(list);
  CHECK(rkvs_list_count(list) == 1);
  rkvs_list_release(list);
  config.max_keys = 50;
  CHECK_OK(rkvs_manager_update_namespace_config(manager, "users", &config, NULL));
  CHECK_OK(rkvs_namespace_get_config(ns, &config, NULL));
  CHECK(config.max_keys == 50);
  CHECK_OK(rkvs_manager_namespace_count(manager, &total, NULL));
  CHECK(total == 1);
  CHECK_OK(rkvs_manager_total_key_count(manager, &total, NULL));
  CHECK(total == 1);
  CHECK_OK(rkvs_manager_metrics_text(manager, &text, NULL));
  CHECK(rkvs_value_size(text) > 100);
  rkvs_value_release(text);
}

static int32_t count_progress(void* user, const rkvs_progress* progress) {
  ++*(int*)user;
  CHECK(progress->entries_done <= 1);
  return 0;
}

static int32_t cancel(void* user, const rkvs_progress* progress) {
  (void)user;
  (void)progress;
  return 1;
}

static void test_snapshots(rkvs_manager* manager) {
  rkvs_operation_options options;
  rkvs_namespace* ns = NULL;
  rkvs_value* name = NULL;
  rkvs_list* list = NULL;
  rkvs_autosave_config task;
  rkvs_autosave_status status;
  const void* data = NULL;
  size_t size = 0;
  uint64_t count = 0;
  int calls = 0;

  CHECK_OK(rkvs_operation_options_init(&options, sizeof options));
  options.progress = count_progress;
  options.progress_user = &calls;
  CHECK_OK(rkvs_manager_save_all(manager, "all", &options, NULL));
  CHECK(calls >= 1);
  options.progress = cancel;
  /* It may be too late to cancel. */
  (void)rkvs_manager_save_all(manager, "all", &options, NULL);
  CHECK_OK(rkvs_manager_save_all(manager, "all", NULL, NULL));
  CHECK(rkvs_manager_save_all(manager, "../out", NULL, NULL) == RKVS_E_INVALID_NAME);
  CHECK_OK(rkvs_manager_save_namespace(manager, "users", "one", NULL, NULL));
  CHECK(rkvs_manager_save_namespace(manager, "none", "one", NULL, NULL) ==
        RKVS_E_NAMESPACE_NOT_FOUND);
  CHECK(rkvs_manager_load_namespace(manager, "one", NULL, &name, NULL) == RKVS_E_NAMESPACE_EXISTS);
  CHECK(rkvs_manager_load_namespace(manager, "none", NULL, &name, NULL) ==
        RKVS_E_SNAPSHOT_NOT_FOUND);
  CHECK_OK(rkvs_manager_load_namespace_as(manager, "one", "loaded", NULL, NULL, NULL));
  CHECK_OK(rkvs_manager_load_namespace_as(manager, "all", "loaded too", "users", NULL, NULL));
  CHECK_OK(rkvs_manager_clone_namespace(manager, "users", "clone", NULL, &ns, NULL));
  CHECK(is_value(ns, "one", "12345"));
  CHECK(strcmp(rkvs_namespace_name(ns), "clone") == 0);
  CHECK_OK(rkvs_manager_list_namespaces(manager, &list, NULL));
  CHECK(rkvs_list_count(list) == 4);
  CHECK_OK(rkvs_list_item(list, 0, &data, &size, NULL));
  CHECK(is_bytes(data, size, "clone"));
  rkvs_list_release(list);
  CHECK_OK(rkvs_manager_delete_namespace(manager, "clone", NULL));
  CHECK(rkvs_namespace_put(ns, "x", 1, "", 0, NULL, NULL) == RKVS_E_NAMESPACE_DELETED);
  rkvs_namespace_release(ns);

  CHECK_OK(rkvs_autosave_config_init(&task, sizeof task));
  task.interval_ms = 3600 * 1000;
  task.file = "auto-{ns}";
  task.flags = RKVS_AUTOSAVE_FINAL_SAVE;
  CHECK_OK(rkvs_manager_add_namespace_autosave_task(manager, "users", &task, NULL));
  CHECK(rkvs_manager_add_namespace_autosave_task(manager, "users", &task, NULL) ==
        RKVS_E_AUTOSAVE_EXISTS);
  CHECK_OK(rkvs_manager_stop_namespace_autosave(manager, "users", NULL));
  CHECK_OK(rkvs_manager_start_namespace_autosave_task(manager, "users", NULL));
  CHECK(rkvs_manager_start_namespace_autosave_task(manager, "users", NULL) ==
        RKVS_E_AUTOSAVE_EXISTS);
  CHECK_OK(rkvs_manager_stop_namespace_autosave(manager, "users", NULL));
  CHECK_OK(rkvs_manager_start_missing_autosave_tasks(manager, &count, NULL));
  CHECK(count == 1);
  CHECK_OK(rkvs_manager_list_autosave_tasks(manager, &list, NULL));
  CHECK_OK(rkvs_autosave_status_init(&status, sizeof status));
  CHECK_OK(rkvs_list_autosave_status(list, 0, &status, NULL));
  CHECK(status.state == RKVS_AUTOSAVE_WAITING && status.is_manager == 0);
  CHECK(strcmp(status.file, "auto-{ns}") == 0 && status.interval_ms == 3600 * 1000);
  CHECK(status.flags == RKVS_AUTOSAVE_FINAL_SAVE && strcmp(status.last_error_message, "") == 0);
  rkvs_list_release(list);
  CHECK(rkvs_manager_stop_manager_autosave(manager, NULL) == RKVS_E_AUTOSAVE_NOT_RUNNING);
}

static void count_lines(void* user, rkvs_log_level level, const char* message, size_t size) {
  CHECK(level >= RKVS_LOG_DEBUG && level <= RKVS_LOG_ERROR && strlen(message) == size);
  ++*(int*)user;
}

static void test_loading(void) {
  rkvs_manager_options options;
  rkvs_manager* manager = NULL;
  rkvs_load_report* report = NULL;
  rkvs_namespace* ns = NULL;
  rkvs_status reason = 0;
  const char* file = NULL;
  const char* message = NULL;
  char path[sizeof directory + 8];
  FILE* damaged;
  int lines = 0;

  sprintf(path, "%s/all", directory);
  damaged = fopen(path, "wb");
  CHECK(damaged != NULL && fwrite("no snapshot", 11, 1, damaged) == 1);
  if (damaged != NULL) fclose(damaged);
  CHECK_OK(rkvs_manager_options_init(&options, sizeof options));
  options.directory = directory;
  options.log = count_lines;
  options.log_user = &lines;
  CHECK_OK(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, NULL));
  CHECK(rkvs_manager_is_initialized(manager) == 0 && rkvs_manager_has_persistence(manager) == 1);
  CHECK_OK(rkvs_manager_initialize_file(manager, "all", NULL, NULL));
  CHECK(rkvs_manager_is_initialized(manager) == 1);
  CHECK_OK(rkvs_manager_load_report(manager, &report, NULL));
  CHECK(strcmp(rkvs_load_report_file(report), "all.1") == 0);
  CHECK(rkvs_load_report_namespaces(report) == 1 && rkvs_load_report_keys(report) == 1);
  CHECK(rkvs_load_report_skipped_count(report) == 1);
  CHECK_OK(rkvs_load_report_skipped(report, 0, &file, &reason, &message, NULL));
  CHECK(file != NULL && strcmp(file, "all") == 0 && reason == RKVS_E_SNAPSHOT_CORRUPT &&
        strlen(message) > 0);
  CHECK(rkvs_load_report_retain(report) == report);
  rkvs_load_report_release(report);
  CHECK(rkvs_load_report_keys(report) == 1);
  rkvs_load_report_release(report);
  CHECK(lines > 0);
  CHECK_OK(rkvs_manager_get_namespace(manager, "users", &ns, NULL));
  CHECK(rkvs_manager_retain(manager) == manager);
  rkvs_manager_release(manager);
  rkvs_manager_release(manager);
  /* The namespace keeps its store. */
  CHECK(is_value(ns, "one", "12345"));
  rkvs_namespace_release(ns);
}

int main(void) {
  rkvs_manager_options options;
  rkvs_manager* manager = NULL;
  rkvs_namespace* ns = NULL;
  rkvs_namespace* same = NULL;

  if (!make_directory()) return 2;
  test_library();
  CHECK_OK(rkvs_manager_options_init(&options, sizeof options));
  options.directory = directory;
  CHECK_OK(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, NULL));
  CHECK_OK(rkvs_manager_initialize(manager, NULL));
  CHECK_OK(rkvs_manager_create_namespace(manager, "users", NULL, &ns, NULL));
  CHECK(rkvs_manager_create_namespace(manager, "users", NULL, &same, NULL) ==
        RKVS_E_NAMESPACE_EXISTS);
  CHECK(same == NULL);
  CHECK_OK(rkvs_manager_get_namespace(manager, "users", &same, NULL));
  test_one_key(same);
  rkvs_namespace_release(same);
  test_transform(ns);
  test_batches(ns);
  test_more_batches(ns);
  test_all_keys(ns);
  test_limits(manager, ns);
  test_snapshots(manager);
  CHECK_OK(rkvs_manager_close(manager, NULL));
  CHECK_OK(rkvs_manager_close(manager, NULL));
  CHECK(rkvs_namespace_put(ns, "x", 1, "", 0, NULL, NULL) == RKVS_E_CLOSED);
  rkvs_manager_release(manager);
  rkvs_namespace_release(ns);
  test_loading();
  return finish_tests();
}
