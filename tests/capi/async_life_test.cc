// Asynchronous calls of the C API at the ends of things: stores that are closed by one, buffers and
// functions of the program that an operation uses, and what lives how long.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/capi/async_support.h"

namespace rkvs::capi_test {
namespace {

// --- Closing
// --------------------------------------------------------------------------------------

TEST_F(CApiAsync, ClosingEndsWhatIsInFlightAndIsToldLast) {
  LockedKey locked(world.ns, "k1");
  rkvs_async how = world.how;
  for (how.tag = 1; how.tag <= 3; ++how.tag) {
    ASSERT_EQ(rkvs_namespace_get_async(world.ns, "k1", 2, &how, nullptr, nullptr, nullptr),
              RKVS_PENDING);
  }
  rkvs_operation* operation = nullptr;
  ASSERT_EQ(rkvs_manager_close_async(world.manager, &how, nullptr, &operation, nullptr),
            RKVS_PENDING);
  EXPECT_EQ(rkvs_operation_cancel(operation, nullptr), RKVS_OK) << "which changes nothing";
  rkvs_operation_release(operation);
  for (int i = 0; i < 3; ++i) {
    rkvs_completion completion = next();
    EXPECT_EQ(completion.kind, RKVS_OP_GET);
    EXPECT_TRUE(completion.status == RKVS_E_CLOSED || completion.status == RKVS_E_CANCELLED);
    rkvs_completion_clear(&completion);
  }
  locked.release();
  rkvs_completion completion = next();
  EXPECT_EQ(completion.kind, RKVS_OP_CLOSE);
  EXPECT_EQ(completion.tag, 4U);
  EXPECT_EQ(completion.status, RKVS_OK);
  EXPECT_EQ(rkvs_namespace_exists(world.ns, "k1", 2, nullptr), RKVS_E_CLOSED);
  EXPECT_EQ(rkvs_namespace_metadata_async(world.ns, &world.how, nullptr, nullptr, nullptr),
            RKVS_E_CLOSED);
}

TEST_F(CApiAsync, AClosedQueueClosesNoStore) {
  ASSERT_EQ(rkvs_queue_close(world.queue, nullptr), RKVS_OK);
  EXPECT_EQ(rkvs_manager_close_async(world.manager, &world.how, nullptr, nullptr, nullptr),
            RKVS_E_CLOSED);
  EXPECT_EQ(rkvs_namespace_exists(world.ns, "k1", 2, nullptr), RKVS_OK);
}

struct Closer {
  World* world;
  rkvs_status begun = 0;
  Told closed{};
};

TEST_F(CApiAsync, ACallbackMayCloseItsStoreAsynchronously) {
  Closer closer{&world};
  const rkvs_async how = calling(
      [](void* user, const rkvs_completion*) {
        auto* const self = static_cast<Closer*>(user);
        const rkvs_async then = calling(tell, &self->closed);
        self->begun =
            rkvs_manager_close_async(self->world->manager, &then, nullptr, nullptr, nullptr);
      },
      &closer);
  ASSERT_EQ(rkvs_namespace_list_keys_async(world.ns, &how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  closer.closed.done.wait();
  EXPECT_EQ(closer.begun, RKVS_PENDING);
  EXPECT_EQ(closer.closed.status, RKVS_OK);
  EXPECT_EQ(closer.closed.times, 1);
  EXPECT_EQ(rkvs_namespace_exists(world.ns, "k1", 2, nullptr), RKVS_E_CLOSED);
}

// What rkvs_manager_close answers inside of each kind of callback.
struct Closings {
  rkvs_manager* manager = nullptr;
  rkvs_status log = 0;
  rkvs_status progress = 0;
  rkvs_status progress_of_async = 0;
  rkvs_status transform = 0;
};

TEST(CApiAsyncRelease, ClosingIsRefusedInEveryKindOfCallback) {
  World world;
  // Damaged, so that there is something to tell.
  std::ofstream(world.directory.path() / "broken", std::ios::binary) << "no snapshot";
  std::filesystem::copy_file(world.directory.path() / "saved", world.directory.path() / "broken.1");
  Closings closings;
  const std::string path = world.directory.path();
  rkvs_manager_options options;
  rkvs_manager_options_init(&options, sizeof options);
  options.directory = path.c_str();
  options.log_user = &closings;
  options.log = [](void* user, rkvs_log_level, const char*, size_t) {
    auto* const self = static_cast<Closings*>(user);
    self->log = rkvs_manager_close(self->manager, nullptr);
  };
  ASSERT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, &options, &closings.manager, nullptr), RKVS_OK);
  rkvs_operation_options tell_me;
  rkvs_operation_options_init(&tell_me, sizeof tell_me);
  tell_me.progress_user = &closings;
  tell_me.progress = [](void* user, const rkvs_progress*) -> int32_t {
    auto* const self = static_cast<Closings*>(user);
    self->progress = rkvs_manager_close(self->manager, nullptr);
    return 0;
  };
  ASSERT_EQ(rkvs_manager_initialize_file(closings.manager, "broken", &tell_me, nullptr), RKVS_OK);
  EXPECT_EQ(closings.log, RKVS_E_WOULD_DEADLOCK);
  EXPECT_EQ(closings.progress, RKVS_E_WOULD_DEADLOCK);

  rkvs_async how = world.how;
  how.progress_user = &closings;
  how.progress = [](void* user, const rkvs_progress*) -> int32_t {
    auto* const self = static_cast<Closings*>(user);
    self->progress_of_async = rkvs_manager_close(self->manager, nullptr);
    return 0;
  };
  EXPECT_EQ(world.finish(rkvs_manager_clone_namespace_async(closings.manager, "other", "copy", &how,
                                                            nullptr, nullptr, nullptr)),
            RKVS_OK);
  EXPECT_EQ(closings.progress_of_async, RKVS_E_WOULD_DEADLOCK);

  rkvs_namespace* ns = nullptr;
  ASSERT_EQ(rkvs_manager_get_namespace(closings.manager, "copy", &ns, nullptr), RKVS_OK);
  const auto close = [](void* user, const void*, size_t, rkvs_transform*) -> rkvs_status {
    auto* const self = static_cast<Closings*>(user);
    self->transform = rkvs_manager_close(self->manager, nullptr);
    return RKVS_OK;
  };
  EXPECT_EQ(world.finish(rkvs_namespace_transform_async(ns, "key", 3, close, &closings, &world.how,
                                                        nullptr, nullptr, nullptr)),
            RKVS_OK);
  EXPECT_EQ(closings.transform, RKVS_E_WOULD_DEADLOCK);
  EXPECT_EQ(rkvs_namespace_exists(ns, "key", 3, nullptr), RKVS_OK) << "nothing was closed";
  rkvs_namespace_release(ns);
  rkvs_manager_release(closings.manager);
}

TEST(CApiAsyncRelease, TheLastHandleMayGoWhileItsStoreIsBeingClosed) {
  World world;
  rkvs_manager* manager = nullptr;
  ASSERT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, nullptr, &manager, nullptr), RKVS_OK);
  ASSERT_EQ(rkvs_manager_close_async(manager, &world.how, nullptr, nullptr, nullptr), RKVS_PENDING);
  rkvs_manager_release(manager);
  EXPECT_EQ(world.finish(RKVS_PENDING), RKVS_OK);
}

// A store that saves when it ends, in a process that ends as soon as a callback has released it.
[[noreturn]] void release_in_a_callback_and_exit(const char* directory) {
  rkvs_manager_options options;
  rkvs_autosave_config autosave;
  rkvs_manager_options_init(&options, sizeof options);
  rkvs_autosave_config_init(&autosave, sizeof autosave);
  autosave.interval_ms = 3600 * 1000;
  autosave.file = "last";
  autosave.flags = RKVS_AUTOSAVE_FINAL_SAVE;
  options.directory = directory;
  options.manager_autosave = &autosave;
  static rkvs_manager* manager = nullptr;
  static Signal released;
  if (rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, nullptr) != RKVS_OK) std::exit(2);
  if (rkvs_manager_initialize(manager, nullptr) != RKVS_OK) std::exit(3);
  rkvs_namespace* ns = nullptr;
  if (rkvs_manager_create_namespace(manager, "users", nullptr, &ns, nullptr) != RKVS_OK) {
    std::exit(4);
  }
  rkvs_namespace_release(ns);
  const rkvs_async how = calling(
      [](void*, const rkvs_completion*) {
        rkvs_manager_release(manager);
        released.raise();
        // Without anybody who waits, the process would be gone before the store can be closed.
        std::this_thread::sleep_for(200ms);
      },
      nullptr);
  if (rkvs_manager_namespace_count_async(manager, &how, nullptr, nullptr, nullptr) !=
      RKVS_PENDING) {
    std::exit(5);
  }
  released.wait();
  std::exit(0);
}

TEST(CApiAsyncReleaseDeathTest, ExitWaitsForTheLastSavesOfWhatACallbackReleased) {
  // In a process of its own, which begins this test anew.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr auto kVariable = "RKVS_TEST_EXIT_DIRECTORY";
  const testing::TempDir directory;
  if (std::getenv(kVariable) == nullptr) setenv(kVariable, directory.path().c_str(), 1);
  EXPECT_EXIT(release_in_a_callback_and_exit(std::getenv(kVariable)), ::testing::ExitedWithCode(0),
              "");
  unsetenv(kVariable);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "last"));
}

// --- What belongs to the program
// ------------------------------------------------------------------

TEST_F(CApiAsync, ABufferIsLeftAloneByWhatDoesNotSucceed) {
  char buffer[8] = "before";
  LockedKey locked(world.ns, "k1");
  rkvs_operation* operation = nullptr;
  ASSERT_EQ(rkvs_namespace_get_into_async(world.ns, "k1", 2, buffer, sizeof buffer, &world.how,
                                          nullptr, &operation, nullptr),
            RKVS_PENDING);
  EXPECT_EQ(rkvs_operation_cancel(operation, nullptr), RKVS_OK);
  rkvs_operation_release(operation);
  rkvs_completion completion = next();
  EXPECT_EQ(completion.status, RKVS_E_CANCELLED);
  EXPECT_EQ(completion.data, nullptr);
  EXPECT_EQ(completion.size, 0U);
  rkvs_completion_clear(&completion);
  rkvs_async how = world.how;
  how.timeout_ms = 20;
  ASSERT_EQ(rkvs_namespace_get_into_async(world.ns, "k1", 2, buffer, sizeof buffer, &how, nullptr,
                                          nullptr, nullptr),
            RKVS_PENDING);
  completion = next();
  EXPECT_EQ(completion.status, RKVS_E_TIMEOUT);
  rkvs_completion_clear(&completion);
  EXPECT_STREQ(buffer, "before");
  // And one that waits for its turn writes it when that comes, wherever the key's bytes are by
  // then.
  std::string key = "k1";
  ASSERT_EQ(rkvs_namespace_get_into_async(world.ns, key.data(), key.size(), buffer, sizeof buffer,
                                          &world.how, nullptr, nullptr, nullptr),
            RKVS_PENDING);
  key.assign(key.size(), 'x');
  locked.release();
  completion = next();
  EXPECT_EQ(completion.status, RKVS_OK);
  EXPECT_EQ(completion.data, buffer);
  EXPECT_EQ(completion.value, nullptr);
  EXPECT_EQ(std::string(buffer, completion.size), "value");
}

struct Changer {
  std::atomic<int> times{0};
  std::thread::id thread{};
  rkvs_status inside = 0;
  rkvs_namespace* ns = nullptr;

  static rkvs_status change(void* user, const void* value, size_t size, rkvs_transform* transform) {
    auto* const self = static_cast<Changer*>(user);
    ++self->times;
    self->thread = std::this_thread::get_id();
    self->inside = rkvs_namespace_put(self->ns, "other", 5, "x", 1, nullptr, nullptr);
    const std::string changed = std::string(static_cast<const char*>(value), size) + "+";
    return rkvs_transform_set(transform, changed.data(), changed.size());
  }
};

TEST_F(CApiAsync, ATransformRunsHereIfItCanAndElseOnAThreadOfTheStore) {
  Changer changer;
  changer.ns = world.ns;
  rkvs_async how = world.how;
  how.flags = RKVS_ALLOW_INLINE;
  rkvs_completion out = {};
  const auto transform = [&](rkvs_operation** operation) {
    return rkvs_namespace_transform_async(world.ns, "k1", 2, Changer::change, &changer, &how, &out,
                                          operation, nullptr);
  };
  ASSERT_EQ(transform(nullptr), RKVS_DONE);
  EXPECT_EQ(out.kind, RKVS_OP_TRANSFORM);
  EXPECT_EQ(bytes_of(out), "value+");
  EXPECT_EQ(changer.thread, std::this_thread::get_id());
  EXPECT_EQ(changer.inside, RKVS_E_WOULD_DEADLOCK);
  rkvs_completion_clear(&out);

  LockedKey locked(world.ns, "k1");
  ASSERT_EQ(transform(nullptr), RKVS_PENDING);
  rkvs_operation* operation = nullptr;
  ASSERT_EQ(transform(&operation), RKVS_PENDING);
  EXPECT_EQ(rkvs_operation_cancel(operation, nullptr), RKVS_OK);
  rkvs_operation_release(operation);
  rkvs_completion completion = next();
  EXPECT_EQ(completion.status, RKVS_E_CANCELLED);
  rkvs_completion_clear(&completion);
  EXPECT_EQ(changer.times, 1) << "not called without the lock";
  locked.release();
  completion = next();
  EXPECT_EQ(completion.status, RKVS_OK);
  EXPECT_EQ(bytes_of(completion), "value++");
  rkvs_completion_clear(&completion);
  EXPECT_EQ(changer.times, 2);
  EXPECT_NE(changer.thread, std::this_thread::get_id());
}

// --- What lives how long
// --------------------------------------------------------------------------

TEST_F(CApiAsync, AnOperationThatHasCompletedKeepsNoQueue) {
  rkvs_queue* queue = nullptr;
  ASSERT_EQ(rkvs_queue_create(&queue, nullptr), RKVS_OK);
  const int fd = rkvs_queue_fd(queue);
  rkvs_async how = world.how;
  how.queue = queue;
  rkvs_operation* operation = nullptr;
  ASSERT_EQ(rkvs_namespace_list_keys_async(world.ns, &how, nullptr, &operation, nullptr),
            RKVS_PENDING);
  rkvs_queue_release(queue);
  // Closing waits until it has been told.
  ASSERT_EQ(rkvs_manager_close(world.manager, nullptr), RKVS_OK);
  EXPECT_EQ(fcntl(fd, F_GETFD), -1) << "the queue is there still";
  EXPECT_EQ(rkvs_operation_cancel(operation, nullptr), RKVS_DONE);
  rkvs_operation_release(operation);
}

TEST(CApi, TooManyWorkerThreadsAreRefusedAtOnce) {
  rkvs_manager_options options;
  rkvs_manager_options_init(&options, sizeof options);
  rkvs_manager* manager = nullptr;
  rkvs_error* error = nullptr;
  options.worker_threads = 257;
  EXPECT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, &error),
            RKVS_E_INVALID_ARGUMENT);
  EXPECT_NE(std::string(rkvs_error_message(error)).find("257"), std::string::npos);
  EXPECT_EQ(manager, nullptr);
  rkvs_error_release(error);
  options.worker_threads = 256;
  EXPECT_EQ(rkvs_manager_open(RKVS_ABI_VERSION, &options, &manager, nullptr), RKVS_OK);
  rkvs_manager_release(manager);
}

}  // namespace
}  // namespace rkvs::capi_test
