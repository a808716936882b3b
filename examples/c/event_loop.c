/* rkvs in an event loop: the queue's file descriptor beside others in poll().
 *
 *   cc event_loop.c $(pkg-config --cflags --libs rkvs) && ./a.out DIRECTORY
 */
#include <poll.h>
#include <rkvs.h>
#include <stdio.h>
#include <stdlib.h>

enum { kTagGet = 1, kTagSave = 2, kTagLoad = 3 };

static void check(rkvs_status status, rkvs_error* error) {
  if (status >= 0) return;
  fprintf(stderr, "%s: %s\n", rkvs_status_name(status), rkvs_error_message(error));
  rkvs_error_release(error);
  exit(1);
}

/* What is to be done with a completion; also with one that came at once. */
static void handle(const rkvs_completion* done) {
  switch (done->tag) {
    case kTagGet: printf("ada is %.*s\n", (int)done->size, (const char*)done->data); break;
    case kTagSave: printf("saved: %s\n", rkvs_status_name(done->status)); break;
    default:
      printf("loaded: %s (%s)\n", rkvs_status_name(done->status), rkvs_error_message(done->error));
      break;
  }
}

int main(int argc, char** argv) {
  rkvs_error* error = NULL;
  rkvs_manager_options options;
  rkvs_manager* manager = NULL;
  rkvs_namespace* users = NULL;
  rkvs_queue* queue = NULL;
  rkvs_async how;
  rkvs_completion done[16];
  struct pollfd events[1];
  int waiting_for = 0;
  size_t count;
  size_t i;

  if (argc != 2) {
    fprintf(stderr, "usage: event_loop DIRECTORY\n");
    return 2;
  }
  rkvs_manager_options_init(&options, sizeof options);
  options.directory = argv[1];
  check(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, &error), error);
  check(rkvs_manager_initialize(manager, &error), error);
  check(rkvs_manager_create_namespace(manager, "users", NULL, &users, &error), error);
  check(rkvs_namespace_put(users, "ada", 3, "countess", 8, NULL, &error), error);
  check(rkvs_queue_create(&queue, &error), error);

  /* A get is done at once unless somebody holds its lock; a save never is. */
  rkvs_async_init(&how, sizeof how);
  how.queue = queue;
  how.flags = RKVS_ALLOW_INLINE;
  how.tag = kTagGet;
  switch (rkvs_namespace_get_async(users, "ada", 3, &how, &done[0], NULL, &error)) {
    case RKVS_DONE:
      handle(&done[0]);
      rkvs_completion_clear(&done[0]);
      break;
    case RKVS_PENDING: ++waiting_for; break;
    default: check(rkvs_error_code(error), error);
  }
  how.tag = kTagSave;
  check(rkvs_manager_save_all_async(manager, "users.rkvs", &how, NULL, NULL, &error), error);
  how.tag = kTagLoad; /* Which fails: there is no such file. */
  check(rkvs_manager_load_namespace_async(manager, "absent.rkvs", &how, NULL, NULL, &error), error);
  waiting_for += 2;

  events[0].fd = rkvs_queue_fd(queue);
  events[0].events = POLLIN;
  while (waiting_for > 0) {
    if (poll(events, 1, -1) < 0) return 1;
    check(rkvs_queue_poll(queue, done, 16, &count, &error), error);
    for (i = 0; i < count; ++i) {
      handle(&done[i]);
      rkvs_completion_clear(&done[i]);
    }
    waiting_for -= (int)count;
  }

  check(rkvs_manager_close(manager, &error), error);
  rkvs_queue_release(queue);
  rkvs_namespace_release(users);
  rkvs_manager_release(manager);
  return 0;
}
