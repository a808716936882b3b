// Asynchronous calls of the C API: each completes exactly once, to whom and where rkvs.h says.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/capi/async_support.h"
#include "tests/capi/world.h"

namespace rkvs::capi_test {
namespace {

using namespace std::chrono_literals;
using testing::scaled_down;
using testing::test_scale;
using testing::Threads;

TEST_F(CApiAsync, InlineIsDoneAtOnceAndToldToNobody) {
  rkvs_async how = world.how;
  how.flags = RKVS_ALLOW_INLINE;
  how.tag = 7;
  how.user = this;
  rkvs_completion out = {};
  rkvs_operation* operation = nullptr;
  ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, &out, &operation, nullptr),
            RKVS_DONE);
  EXPECT_EQ(operation, nullptr);
  EXPECT_EQ(out.tag, 7U);
  EXPECT_EQ(out.user, this);
  EXPECT_EQ(out.kind, RKVS_OP_GET);
  EXPECT_EQ(out.status, RKVS_OK);
  EXPECT_EQ(bytes_of(out), "value");
  rkvs_completion_clear(&out);
  EXPECT_EQ(out.value, nullptr);
  EXPECT_FALSE(is_readable());

  ASSERT_EQ(rkvs_namespace_get_async(world.ns, "absent", 6, &how, &out, nullptr, nullptr),
            RKVS_DONE);
  EXPECT_EQ(out.status, RKVS_NOT_FOUND);
  EXPECT_EQ(out.error, nullptr);
  ASSERT_EQ(rkvs_namespace_exists_async(world.ns, "absent", 6, &how, &out, nullptr, nullptr),
            RKVS_DONE);
  EXPECT_EQ(out.status, RKVS_NOT_FOUND);
  ASSERT_EQ(
      rkvs_namespace_increment_async(world.ns, "k1", 2, 1, nullptr, &how, &out, nullptr, nullptr),
      RKVS_DONE);
  EXPECT_EQ(out.status, RKVS_E_NOT_A_NUMBER);
  EXPECT_EQ(rkvs_error_code(out.error), RKVS_E_NOT_A_NUMBER);
  rkvs_completion_clear(&out);
}

TEST_F(CApiAsync, WithoutTheFlagOrAPlaceForItNothingIsInline) {
  rkvs_async how = world.how;
  rkvs_completion out = {};
  EXPECT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, &out, nullptr, nullptr),
            RKVS_PENDING);
  how.flags = RKVS_ALLOW_INLINE;
  EXPECT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(is_readable());
    rkvs_completion completion = next();
    EXPECT_EQ(bytes_of(completion), "value");
    rkvs_completion_clear(&completion);
  }
  EXPECT_FALSE(is_readable());
}

TEST_F(CApiAsync, CompletionsCarryWhatTheOperationReturns) {
  const rkvs_async& how = world.how;
  const auto expect = [&](rkvs_status begun, rkvs_operation_kind kind) {
    EXPECT_EQ(begun, RKVS_PENDING);
    rkvs_completion completion = next();
    EXPECT_EQ(completion.kind, kind);
    EXPECT_EQ(completion.status, RKVS_OK) << rkvs_error_message(completion.error);
    return completion;
  };
  auto* const ns = world.ns;
  rkvs_completion c =
      expect(rkvs_namespace_get_with_version_async(ns, "k1", 2, &how, nullptr, nullptr, nullptr),
             RKVS_OP_GET_WITH_VERSION);
  EXPECT_EQ(bytes_of(c), "value");
  EXPECT_NE(c.version, 0U);
  const uint64_t version = c.version;
  rkvs_completion_clear(&c);

  c = expect(rkvs_namespace_compare_and_set_async(ns, "k1", 2, version, "new", 3, nullptr, &how,
                                                  nullptr, nullptr, nullptr),
             RKVS_OP_COMPARE_AND_SET);
  EXPECT_GT(c.version, version);
  c = expect(
      rkvs_namespace_set_async(ns, "k1", 2, "newer", 5, nullptr, &how, nullptr, nullptr, nullptr),
      RKVS_OP_SET);
  EXPECT_EQ(bytes_of(c), "new");
  rkvs_completion_clear(&c);
  c = expect(rkvs_namespace_ttl_async(ns, "k1", 2, &how, nullptr, nullptr, nullptr), RKVS_OP_TTL);
  EXPECT_EQ(c.number, -1);
  c = expect(
      rkvs_namespace_decrement_async(ns, "n", 1, 7, nullptr, &how, nullptr, nullptr, nullptr),
      RKVS_OP_DECREMENT);
  EXPECT_EQ(c.number, -2);

  const rkvs_slice keys[] = {{"k1", 2}, {"k2", 2}};
  c = expect(rkvs_namespace_get_multiple_async(ns, keys, 2, RKVS_ALL_OR_NOTHING, &how, nullptr,
                                               nullptr, nullptr),
             RKVS_OP_GET_MULTIPLE);
  ASSERT_EQ(rkvs_batch_result_count(c.batch), 2U);
  rkvs_completion_clear(&c);
  size_t scanned = 0;  // a step may come back with nothing
  while (rkvs_scan_is_done(world.scan) == 0) {
    c = expect(rkvs_scan_next_async(world.scan, 1000, &how, nullptr, nullptr, nullptr),
               RKVS_OP_SCAN_NEXT);
    scanned += rkvs_batch_result_count(c.batch);
    EXPECT_EQ(c.number, rkvs_scan_is_done(world.scan));
    rkvs_completion_clear(&c);
  }
  EXPECT_EQ(scanned, 11U);
  c = expect(rkvs_namespace_list_keys_async(ns, &how, nullptr, nullptr, nullptr),
             RKVS_OP_LIST_KEYS);
  EXPECT_EQ(rkvs_list_count(c.list), 11U);
  rkvs_completion_clear(&c);
  c = expect(rkvs_namespace_delete_prefix_async(ns, "k", 1, &how, nullptr, nullptr, nullptr),
             RKVS_OP_DELETE_PREFIX);
  EXPECT_EQ(c.number, 10);
  c = expect(rkvs_manager_clone_namespace_async(world.manager, "users", "copy", &how, nullptr,
                                                nullptr, nullptr),
             RKVS_OP_CLONE_NAMESPACE);
  EXPECT_STREQ(rkvs_namespace_name(c.ns), "copy");
  rkvs_completion_clear(&c);
  c = expect(
      rkvs_manager_load_namespace_async(world.manager, "saved", &how, nullptr, nullptr, nullptr),
      RKVS_OP_LOAD_NAMESPACE);
  EXPECT_EQ(bytes_of(c), "other");
  rkvs_completion_clear(&c);
}

TEST_F(CApiAsync, FailedBatchesSayWhichItem) {
  const rkvs_slice keys[] = {{"k1", 2}, {"n", 1}};
  rkvs_atomic_batch* batch = nullptr;
  ASSERT_EQ(rkvs_atomic_batch_create(&batch, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_atomic_batch_check_exists(batch, "k1", 2, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_atomic_batch_increment(batch, "k1", 2, 1, nullptr, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_namespace_apply_async(world.ns, batch, &world.how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  rkvs_completion completion = next();
  EXPECT_EQ(completion.status, RKVS_E_NOT_A_NUMBER);
  EXPECT_EQ(rkvs_error_index(completion.error), 1);
  EXPECT_EQ(rkvs_batch_result_item_status(completion.batch, 0), RKVS_NOT_APPLIED);
  EXPECT_EQ(rkvs_batch_result_item_status(completion.batch, 1), RKVS_E_NOT_A_NUMBER);
  rkvs_completion_clear(&completion);
  rkvs_atomic_batch_release(batch);

  // One that cannot begin any more: its status is that of every item.
  LockedKey locked(world.ns, "k1");
  rkvs_operation* operation = nullptr;
  ASSERT_EQ(rkvs_namespace_delete_multiple_async(world.ns, keys, 2, RKVS_ALL_OR_NOTHING, &world.how,
                                                 nullptr, &operation, nullptr),
            RKVS_PENDING);
  EXPECT_EQ(rkvs_operation_cancel(operation, nullptr), RKVS_OK);
  completion = next();
  EXPECT_EQ(completion.status, RKVS_E_CANCELLED);
  ASSERT_EQ(rkvs_batch_result_count(completion.batch), 2U);
  EXPECT_EQ(rkvs_batch_result_item_status(completion.batch, 1), RKVS_E_CANCELLED);
  EXPECT_EQ(rkvs_operation_cancel(operation, nullptr), RKVS_DONE);
  rkvs_completion_clear(&completion);
  rkvs_operation_release(operation);
}

TEST_F(CApiAsync, WhatIsPendingHasCopiesOfItsArguments) {
  rkvs_atomic_batch* batch = nullptr;
  ASSERT_EQ(rkvs_atomic_batch_create(&batch, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_atomic_batch_set(batch, "from a batch", 12, "1", 1, nullptr, nullptr), RKVS_OK);
  {
    std::string key = "k1";
    std::string value = "written later";
    LockedKey locked(world.ns, "k1");
    rkvs_async how = world.how;
    how.flags = RKVS_ALLOW_INLINE;
    rkvs_completion out;
    ASSERT_EQ(rkvs_namespace_put_async(world.ns, key.data(), key.size(), value.data(), value.size(),
                                       nullptr, &how, &out, nullptr, nullptr),
              RKVS_PENDING)
        << "it would have to wait";
    const rkvs_slice keys[] = {{key.data(), key.size()}};
    ASSERT_EQ(rkvs_namespace_get_multiple_async(world.ns, keys, 1, RKVS_ALL_OR_NOTHING, &how, &out,
                                                nullptr, nullptr),
              RKVS_PENDING);
    ASSERT_EQ(rkvs_atomic_batch_set(batch, key.data(), 2, "2", 1, nullptr, nullptr), RKVS_OK);
    ASSERT_EQ(rkvs_namespace_apply_async(world.ns, batch, &how, &out, nullptr, nullptr),
              RKVS_PENDING);
    ASSERT_EQ(rkvs_atomic_batch_check_exists(batch, "never", 5, nullptr), RKVS_OK);
    EXPECT_EQ(rkvs_atomic_batch_size(batch), 3U);
    key.assign(key.size(), 'x');
    value.assign(value.size(), 'x');
    rkvs_async_init(&how, sizeof how);
  }
  rkvs_atomic_batch_release(batch);
  for (int i = 0; i < 3; ++i) {
    rkvs_completion completion = next();
    EXPECT_EQ(completion.status, RKVS_OK) << rkvs_error_message(completion.error);
    rkvs_completion_clear(&completion);
  }
  EXPECT_EQ(rkvs_namespace_exists(world.ns, "from a batch", 12, nullptr), RKVS_OK);
}

TEST_F(CApiAsync, AnOperationThatWaitsTooLongTimesOut) {
  LockedKey locked(world.ns, "k1");
  rkvs_async how = world.how;
  how.timeout_ms = 20;
  ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  rkvs_completion completion = next();
  EXPECT_EQ(completion.status, RKVS_E_TIMEOUT);
  EXPECT_EQ(completion.value, nullptr);
  rkvs_completion_clear(&completion);
}

TEST_F(CApiAsync, ABestEffortBatchWaitsForItsLocksLikeOthers) {
  const rkvs_slice keys[] = {{"k1", 2}, {"elsewhere", 9}};
  const rkvs_slice values[] = {{"1", 1}, {"2", 1}};
  LockedKey locked(world.ns, "k1");
  for (const uint32_t flags : {uint32_t{0}, uint32_t{RKVS_ALLOW_INLINE}}) {
    rkvs_async how = world.how;
    how.flags = flags;
    rkvs_completion out;
    EXPECT_EQ(rkvs_namespace_set_multiple_async(world.ns, keys, values, 2, RKVS_BEST_EFFORT,
                                                nullptr, &how, &out, nullptr, nullptr),
              RKVS_PENDING);
    EXPECT_EQ(rkvs_namespace_get_multiple_async(world.ns, keys, 2, RKVS_BEST_EFFORT, &how, &out,
                                                nullptr, nullptr),
              RKVS_PENDING);
  }
  locked.release();
  for (int i = 0; i < 4; ++i) {
    rkvs_completion completion = next();
    EXPECT_EQ(completion.status, RKVS_OK);
    EXPECT_EQ(rkvs_batch_result_item_status(completion.batch, 0), RKVS_OK);
    EXPECT_NE(rkvs_batch_result_item_status(completion.batch, 1), RKVS_E_TIMEOUT);
    rkvs_completion_clear(&completion);
  }
}

TEST_F(CApiAsync, OfItemsThatAreTooLargeNoByteIsRead) {
  const rkvs_slice keys[] = {{"fine", 4}, {"short", PTRDIFF_MAX}, {"k3", 2}};
  const rkvs_slice values[] = {{"1", 1}, {"2", 1}, {"3", PTRDIFF_MAX}};
  // Not done at once, and so copied.
  LockedKey locked(world.ns, "fine");
  ASSERT_EQ(rkvs_namespace_set_multiple_async(world.ns, keys, values, 3, RKVS_BEST_EFFORT, nullptr,
                                              &world.how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  locked.release();
  rkvs_completion completion = next();
  EXPECT_EQ(completion.status, RKVS_OK);
  EXPECT_EQ(rkvs_batch_result_item_status(completion.batch, 0), RKVS_OK);
  EXPECT_EQ(rkvs_batch_result_item_status(completion.batch, 1), RKVS_E_KEY_TOO_LARGE);
  EXPECT_EQ(rkvs_batch_result_item_status(completion.batch, 2), RKVS_E_VALUE_TOO_LARGE);
  rkvs_completion_clear(&completion);
}

// --- Callbacks
// ------------------------------------------------------------------------------------

TEST_F(CApiAsync, CallbacksComeOnceOnAThreadOfTheStore) {
  Told told;
  const rkvs_async how = calling(tell, &told);
  ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  told.done.wait();
  EXPECT_EQ(told.status, RKVS_OK);
  EXPECT_EQ(told.value, "value");
  EXPECT_NE(told.thread, std::this_thread::get_id());
}

TEST_F(CApiAsync, WhoCancelsOrClosesIsNotCalledBack) {
  LockedKey locked(world.ns, "k1");
  Told cancelled;
  Told closed;
  rkvs_async how = calling(tell, &cancelled);
  rkvs_operation* operation = nullptr;
  ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, nullptr, &operation, nullptr),
            RKVS_PENDING);
  EXPECT_EQ(rkvs_operation_cancel(operation, nullptr), RKVS_OK);
  cancelled.done.wait();
  EXPECT_EQ(cancelled.status, RKVS_E_CANCELLED);
  EXPECT_NE(cancelled.thread, std::this_thread::get_id());
  rkvs_operation_release(operation);

  how = calling(tell, &closed);
  ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  std::thread closer([&] { EXPECT_EQ(rkvs_manager_close(world.manager, nullptr), RKVS_OK); });
  closed.done.wait();
  // Which of the two depends on whether a thread was trying it at that moment.
  EXPECT_TRUE(closed.status == RKVS_E_CLOSED || closed.status == RKVS_E_CANCELLED);
  EXPECT_NE(closed.thread, closer.get_id());
  locked.release();
  closer.join();
  EXPECT_EQ(cancelled.times + closed.times, 2);
}

struct Caller {
  World* world;
  rkvs_status close = 0;
  rkvs_status wait = 0;
  rkvs_status put = 0;
  rkvs_status begun = 0;
  rkvs_value* kept = nullptr;
  Told next{};
  Signal done{};
};

TEST_F(CApiAsync, CallbacksMayCallAnythingButWhatWaits) {
  Caller caller{&world};
  const rkvs_async how = calling(
      [](void* user, const rkvs_completion* completion) {
        auto* const self = static_cast<Caller*>(user);
        const World& w = *self->world;
        self->close = rkvs_manager_close(w.manager, nullptr);
        self->wait = rkvs_queue_wait(w.queue, 0, nullptr);
        self->put = rkvs_namespace_put(w.ns, "from a callback", 15, "1", 1, nullptr, nullptr);
        const rkvs_async again = calling(tell, &self->next);
        self->begun = rkvs_namespace_get_async(w.ns, "from a callback", 15, &again, nullptr,
                                               nullptr, nullptr);
        self->kept = rkvs_value_retain(completion->value);
        self->done.raise();
      },
      &caller);
  ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  caller.done.wait();
  EXPECT_EQ(caller.close, RKVS_E_WOULD_DEADLOCK);
  EXPECT_EQ(caller.wait, RKVS_E_WOULD_DEADLOCK);
  EXPECT_EQ(caller.put, RKVS_OK);
  EXPECT_EQ(caller.begun, RKVS_PENDING);
  caller.next.done.wait();
  EXPECT_EQ(caller.next.value, "1");
  EXPECT_EQ(rkvs_value_size(caller.kept), 5U);
  rkvs_value_release(caller.kept);
  EXPECT_EQ(rkvs_manager_close(world.manager, nullptr), RKVS_OK);
}

TEST(CApiAsyncRelease, TheLastHandleMayBeReleasedInACallback) {
  rkvs_manager* manager = nullptr;
  rkvs_namespace* ns = nullptr;
  Told told;
  ASSERT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &manager, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_manager_initialize(manager, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_manager_create_namespace(manager, "users", nullptr, &ns, nullptr), RKVS_OK);
  struct Handles {
    rkvs_manager* manager;
    rkvs_namespace* ns;
    Signal released;
  } handles{manager, ns, {}};
  const rkvs_async how = calling(
      [](void* user, const rkvs_completion*) {
        auto* const self = static_cast<Handles*>(user);
        rkvs_manager_release(self->manager);
        rkvs_namespace_release(self->ns);
        self->released.raise();
      },
      &handles);
  ASSERT_EQ(rkvs_namespace_clear_async(ns, &how, nullptr, nullptr, nullptr), RKVS_PENDING);
  handles.released.wait();
}

// A store without files and a namespace of it; both are the caller's.
void open_store(rkvs_manager** manager, rkvs_namespace** ns) {
  ASSERT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, nullptr, manager, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_manager_initialize(*manager, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_manager_create_namespace(*manager, "users", nullptr, ns, nullptr), RKVS_OK);
}

TEST(CApiAsyncRelease, WhatIsInFlightKeepsTheStoreUntilItIsDone) {
  World world;
  rkvs_manager* manager = nullptr;
  rkvs_namespace* ns = nullptr;
  ASSERT_NO_FATAL_FAILURE(open_store(&manager, &ns));
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(rkvs_namespace_put(ns, &i, sizeof i, "v", 1, nullptr, nullptr), RKVS_OK);
  }
  ASSERT_EQ(rkvs_namespace_list_keys_async(ns, &world.how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  rkvs_namespace_release(ns);
  rkvs_manager_release(manager);
  EXPECT_EQ(world.finish(RKVS_PENDING), RKVS_OK);
}

TEST(CApiAsyncRelease, ANamespaceKeepsItsStore) {
  World world;
  rkvs_manager* manager = nullptr;
  rkvs_namespace* ns = nullptr;
  ASSERT_NO_FATAL_FAILURE(open_store(&manager, &ns));
  rkvs_manager_release(manager);
  EXPECT_EQ(rkvs_namespace_put(ns, "key", 3, "v", 1, nullptr, nullptr), RKVS_OK);
  EXPECT_EQ(world.finish(rkvs_namespace_list_keys_async(ns, &world.how, nullptr, nullptr, nullptr)),
            RKVS_OK);
  rkvs_namespace_release(ns);
}

TEST(CApiAsyncRelease, TheLastHandleMayGoWithAQueueThatOnlyAnOperationHas) {
  for (int i = 0; i < 50; ++i) {
    World world;
    rkvs_manager* manager = nullptr;
    rkvs_queue* queue = nullptr;
    ASSERT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &manager, nullptr), RKVS_OK);
    ASSERT_EQ(rkvs_manager_initialize(manager, nullptr), RKVS_OK);
    ASSERT_EQ(rkvs_manager_create_namespace(manager, "users", nullptr, nullptr, nullptr), RKVS_OK);
    ASSERT_EQ(rkvs_queue_create(&queue, nullptr), RKVS_OK);
    rkvs_async how = world.how;
    how.queue = queue;
    // The completion owns a namespace.
    EXPECT_EQ(rkvs_manager_clone_namespace_async(manager, "users", "copy", &how, nullptr, nullptr,
                                                 nullptr),
              RKVS_PENDING);
    rkvs_queue_release(queue);
    rkvs_manager_release(manager);
  }
}

// --- Queues
// ---------------------------------------------------------------------------------------

TEST_F(CApiAsync, AClosedQueueTakesNothingNewAndGivesOutWhatComes) {
  auto* const queue = world.queue;
  {
    LockedKey locked(world.ns, "k1");
    ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &world.how, nullptr, nullptr, nullptr),
              RKVS_PENDING);
    EXPECT_EQ(rkvs_queue_wait(queue, 1, nullptr), RKVS_E_TIMEOUT);
    ASSERT_EQ(rkvs_queue_close(queue, nullptr), RKVS_OK);
    EXPECT_TRUE(is_readable());
    EXPECT_EQ(rkvs_namespace_get_async(world.ns, "k2", 2, &world.how, nullptr, nullptr, nullptr),
              RKVS_E_CLOSED);
    EXPECT_EQ(rkvs_namespace_clear_async(world.ns, &world.how, nullptr, nullptr, nullptr),
              RKVS_E_CLOSED);
    rkvs_async how = world.how;
    how.flags = RKVS_ALLOW_INLINE;
    rkvs_completion out;
    EXPECT_EQ(rkvs_namespace_get_async(world.ns, "k2", 2, &how, &out, nullptr, nullptr),
              RKVS_E_CLOSED);
    size_t count = 0;
    EXPECT_EQ(rkvs_queue_poll(queue, &out, 1, &count, nullptr), RKVS_OK) << "one is on its way";
    EXPECT_EQ(count, 0U);
  }
  rkvs_completion completion = next();
  EXPECT_EQ(completion.status, RKVS_OK);
  rkvs_completion_clear(&completion);
  size_t count = 0;
  EXPECT_EQ(rkvs_queue_poll(queue, &completion, 1, &count, nullptr), RKVS_E_CLOSED);
  EXPECT_EQ(rkvs_queue_wait(queue, -1, nullptr), RKVS_E_CLOSED);
}

TEST_F(CApiAsync, WhoWaitsIsWokenByTheEndOfAQueue) {
  rkvs_queue* queue = nullptr;
  ASSERT_EQ(rkvs_queue_create(&queue, nullptr), RKVS_OK);
  std::thread waiter([&] { EXPECT_EQ(rkvs_queue_wait(queue, -1, nullptr), RKVS_E_CLOSED); });
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(rkvs_queue_close(queue, nullptr), RKVS_OK);
  waiter.join();
  rkvs_queue_release(queue);
}

TEST_F(CApiAsync, AQueueThatIsReleasedTakesWhatComesLaterWithIt) {
  rkvs_queue* queue = nullptr;
  ASSERT_EQ(rkvs_queue_create(&queue, nullptr), RKVS_OK);
  rkvs_async how = world.how;
  how.queue = queue;
  // One that lies in it, and one on its way.
  ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  ASSERT_EQ(rkvs_namespace_list_keys_async(world.ns, &how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  rkvs_queue_release(queue);
  EXPECT_EQ(rkvs_manager_close(world.manager, nullptr), RKVS_OK);
}

TEST_F(CApiAsync, PollMovesOutAsManyAsThereIsRoomFor) {
  rkvs_async how = world.how;
  for (how.tag = 0; how.tag < 5; ++how.tag) {
    ASSERT_EQ(rkvs_namespace_exists_async(world.ns, "k1", 2, &how, nullptr, nullptr, nullptr),
              RKVS_PENDING);
  }
  rkvs_completion completions[3];
  size_t count = 0;
  ASSERT_EQ(rkvs_queue_poll(world.queue, nullptr, 0, &count, nullptr), RKVS_OK);
  EXPECT_EQ(count, 0U);
  ASSERT_EQ(rkvs_queue_poll(world.queue, completions, 3, &count, nullptr), RKVS_OK);
  ASSERT_EQ(count, 3U);
  EXPECT_EQ(completions[0].tag, 0U);
  EXPECT_EQ(completions[2].tag, 2U);
  EXPECT_TRUE(is_readable());
  ASSERT_EQ(rkvs_queue_poll(world.queue, completions, 3, &count, nullptr), RKVS_OK);
  ASSERT_EQ(count, 2U);
  EXPECT_EQ(completions[1].tag, 4U);
  EXPECT_FALSE(is_readable());
}

// --- Long operations
// ------------------------------------------------------------------------------

TEST_F(CApiAsync, LongOperationsTellHowFarTheyAre) {
  rkvs_progress last = {};
  rkvs_async how = world.how;
  how.progress = [](void* user, const rkvs_progress* progress) -> int32_t {
    *static_cast<rkvs_progress*>(user) = *progress;
    return 0;
  };
  how.progress_user = &last;
  const auto expect_entries = [&](rkvs_status begun, uint64_t entries) {
    EXPECT_EQ(world.finish(begun), RKVS_OK);
    EXPECT_EQ(last.entries_done, entries);
    last = {};
  };
  auto* const store = world.manager;
  expect_entries(rkvs_manager_save_all_async(store, "file", &how, nullptr, nullptr, nullptr), 11);
  expect_entries(
      rkvs_manager_save_namespace_async(store, "users", "one", &how, nullptr, nullptr, nullptr),
      11);
  expect_entries(rkvs_manager_load_namespace_async(store, "saved", &how, nullptr, nullptr, nullptr),
                 1);
  expect_entries(rkvs_manager_load_namespace_as_async(store, "one", "loaded", nullptr, &how,
                                                      nullptr, nullptr, nullptr),
                 11);
  expect_entries(
      rkvs_manager_clone_namespace_async(store, "users", "copy", &how, nullptr, nullptr, nullptr),
      11);
  expect_entries(rkvs_namespace_resize_shards_async(world.ns, 5, &how, nullptr, nullptr, nullptr),
                 11);

  const std::string path = world.directory.path();
  rkvs_manager_options options;
  rkvs_manager_options_init(&options, sizeof options);
  options.directory = path.c_str();
  rkvs_manager* fresh = nullptr;
  ASSERT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, &options, &fresh, nullptr), RKVS_OK);
  expect_entries(rkvs_manager_initialize_file_async(fresh, "file", &how, nullptr, nullptr, nullptr),
                 11);
  rkvs_manager_release(fresh);
}

TEST_F(CApiAsync, AStepOfAScanIsDoneBeforeTheNextOneBegins) {
  // With one shard the step meets the lock.
  ASSERT_EQ(rkvs_namespace_resize_shards(world.ns, 1, nullptr, nullptr), RKVS_OK);
  rkvs_scan* scan = nullptr;
  ASSERT_EQ(rkvs_namespace_scan_open(world.ns, nullptr, &scan, nullptr), RKVS_OK);
  LockedKey locked(world.ns, "k1");
  ASSERT_EQ(rkvs_scan_next_async(scan, 10, &world.how, nullptr, nullptr, nullptr), RKVS_PENDING);
  rkvs_batch_result* items = nullptr;
  EXPECT_EQ(rkvs_scan_next_async(scan, 10, &world.how, nullptr, nullptr, nullptr), RKVS_E_BUSY);
  EXPECT_EQ(rkvs_scan_next(scan, 10, &items, nullptr), RKVS_E_BUSY);
  EXPECT_EQ(rkvs_scan_is_done(scan), 0);
  locked.release();
  rkvs_completion completion = next();
  EXPECT_EQ(completion.status, RKVS_OK);
  rkvs_completion_clear(&completion);
  EXPECT_EQ(rkvs_scan_next(scan, 10, &items, nullptr), RKVS_OK);
  rkvs_batch_result_release(items);
  rkvs_scan_release(scan);
}

// --- Load
// -----------------------------------------------------------------------------------------

rkvs_status append_or_empty(void* /*user*/, const void* value, size_t size,
                            rkvs_transform* transform) {
  return rkvs_transform_set(transform, value, size < 8 ? size : 0);
}

// Operations of all kinds, from several threads, to callbacks and a queue, some of them cancelled,
// and the store closed in the midst of it: each that was pending completes once, and no other does.
TEST_F(CApiAsync, EveryOperationCompletesExactlyOnceWhateverHappens) {
  // A million with RKVS_TEST_SCALE=25.
  const int kThreads = 4;
  const int per_thread = scaled_down(10'000, 10) * test_scale();
  const size_t total = static_cast<size_t>(kThreads) * static_cast<size_t>(per_thread);
  struct Count {
    std::atomic<uint32_t> times{0};
    std::atomic<bool> pending{false};
  };
  const auto counts = std::make_unique<Count[]>(total);
  const rkvs_callback once = [](void* user, const rkvs_completion* completion) {
    static_cast<Count*>(user)->times.fetch_add(1);
    EXPECT_EQ(completion->status < 0, completion->error != nullptr);
  };
  std::atomic<int> begun{0};
  std::atomic<bool> all_begun{false};
  std::atomic<uint64_t> refused{0};

  Threads threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.start([&, t] {
      for (int i = 0; i < per_thread; ++i) {
        const size_t id =
            static_cast<size_t>(t) * static_cast<size_t>(per_thread) + static_cast<size_t>(i);
        Count& count = counts[id];
        rkvs_async how;
        rkvs_async_init(&how, sizeof how);
        how.user = &count;
        if (i % 3 == 0) {
          how.callback = once;
        } else {
          how.queue = world.queue;
        }
        if (i % 5 == 0) how.flags = RKVS_ALLOW_INLINE;
        const std::string key = "k" + std::to_string(i % 50);
        const rkvs_slice keys[] = {{key.data(), key.size()}, {"k1", 2}};
        rkvs_completion out = {};
        rkvs_operation* operation = nullptr;
        rkvs_operation** const handle = i % 4 == 0 ? &operation : nullptr;
        rkvs_status status = RKVS_OK;
        auto* const ns = world.ns;
        switch (i % 8) {
          case 0:
          case 1:
            status =
                rkvs_namespace_get_async(ns, key.data(), key.size(), &how, &out, handle, nullptr);
            break;
          case 2:
            status = rkvs_namespace_set_async(ns, key.data(), key.size(), "x", 1, nullptr, &how,
                                              &out, handle, nullptr);
            break;
          case 3:
            status = rkvs_namespace_get_multiple_async(ns, keys, 2, RKVS_BEST_EFFORT, &how, &out,
                                                       handle, nullptr);
            break;
          case 4:
            status = rkvs_namespace_delete_multiple_async(ns, keys, 2, RKVS_ALL_OR_NOTHING, &how,
                                                          &out, handle, nullptr);
            break;
          case 5:
            status =
                rkvs_namespace_increment_async(ns, "n", 1, 1, nullptr, &how, &out, handle, nullptr);
            break;
          case 6:
            switch (i / 8 % 8) {
              case 0:
                status = rkvs_namespace_resize_shards_async(ns, static_cast<uint32_t>(1 + i % 7),
                                                            &how, &out, handle, nullptr);
                break;
              case 1:
                status = rkvs_namespace_metadata_async(ns, &how, &out, handle, nullptr);
                break;
              case 2:
                status = rkvs_manager_get_namespace_async(world.manager, "users", &how, &out,
                                                          handle, nullptr);
                break;
              case 3:
                status = rkvs_namespace_transform_async(ns, key.data(), key.size(), append_or_empty,
                                                        nullptr, &how, &out, handle, nullptr);
                break;
              default:
                status = rkvs_namespace_list_keys_async(ns, &how, &out, handle, nullptr);
                break;
            }
            break;
          default:
            status = rkvs_namespace_apply_async(ns, world.atomic, &how, &out, handle, nullptr);
            break;
        }
        if (status == RKVS_PENDING) count.pending.store(true);
        if (status == RKVS_DONE) rkvs_completion_clear(&out);
        if (status < 0) {
          EXPECT_EQ(status, RKVS_E_CLOSED);
          ++refused;
        }
        if (operation != nullptr) {
          EXPECT_GE(rkvs_operation_cancel(operation, nullptr), RKVS_OK);
          rkvs_operation_release(operation);
        }
        ++begun;
      }
    });
  }
  std::thread poller([&] {
    rkvs_completion completions[64];
    size_t polled = 0;
    for (;;) {
      const bool is_last = all_begun.load();
      ASSERT_EQ(rkvs_queue_poll(world.queue, completions, 64, &polled, nullptr), RKVS_OK);
      for (size_t i = 0; i < polled; ++i) {
        static_cast<Count*>(completions[i].user)->times.fetch_add(1);
        rkvs_completion_clear(&completions[i]);
      }
      if (polled == 0 && is_last) return;
      if (polled == 0) (void)rkvs_queue_wait(world.queue, 1, nullptr);
    }
  });
  // Close when most of it is done.
  while (begun.load() < static_cast<int>(total) / 10 * 9) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(rkvs_manager_close(world.manager, nullptr), RKVS_OK);
  threads.join();
  all_begun.store(true);
  poller.join();

  uint64_t pending = 0;
  for (size_t id = 0; id < total; ++id) {
    ASSERT_EQ(counts[id].times.load(), counts[id].pending.load() ? 1U : 0U) << id;
    pending += counts[id].pending.load() ? 1 : 0;
  }
  EXPECT_GT(pending, total / 4);
}

}  // namespace
}  // namespace rkvs::capi_test
