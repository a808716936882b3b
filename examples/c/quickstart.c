/* rkvs from C: a store, single keys, batches.
 *
 *   cc quickstart.c $(pkg-config --cflags --libs rkvs) && ./a.out
 */
#include <rkvs.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program with what the library has to say about it. */
static void check(rkvs_status status, rkvs_error* error) {
  if (status >= 0) return;
  fprintf(stderr, "%s: %s\n", rkvs_status_name(status), rkvs_error_message(error));
  rkvs_error_release(error);
  exit(1);
}

int main(void) {
  rkvs_error* error = NULL;
  rkvs_manager* manager = NULL;
  rkvs_namespace* users = NULL;
  rkvs_value* title = NULL;
  rkvs_batch_result* result = NULL;
  rkvs_batch_item item;
  const rkvs_slice keys[] = {{"ada", 3}, {"grace", 5}, {"nobody", 6}};
  size_t i;

  check(rkvs_manager_open(RKVS_ABI_VERSION, NULL, &manager, &error), error);
  check(rkvs_manager_initialize(manager, &error), error);
  check(rkvs_manager_create_namespace(manager, "users", NULL, &users, &error), error);

  check(rkvs_namespace_put(users, "ada", 3, "countess", 8, NULL, &error), error);
  check(rkvs_namespace_put(users, "grace", 5, "admiral", 7, NULL, &error), error);
  if (rkvs_namespace_get(users, "ada", 3, &title, &error) == RKVS_OK) {
    printf("ada is %.*s\n", (int)rkvs_value_size(title), (const char*)rkvs_value_data(title));
    rkvs_value_release(title);
  }

  check(rkvs_namespace_get_multiple(users, keys, 3, RKVS_BEST_EFFORT, &result, &error), error);
  rkvs_batch_item_init(&item, sizeof item);
  for (i = 0; i < rkvs_batch_result_count(result); ++i) {
    check(rkvs_batch_result_item(result, i, &item, &error), error);
    printf("%s: %.*s\n", rkvs_status_name(item.status), (int)item.value_size,
           item.has_value ? (const char*)item.value : "");
  }
  rkvs_batch_result_release(result);

  /* In any order. */
  rkvs_manager_release(manager);
  rkvs_namespace_release(users);
  return 0;
}
