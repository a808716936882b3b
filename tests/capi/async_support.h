// What the tests of asynchronous calls of the C API share.
#ifndef RKVS_TESTS_CAPI_ASYNC_SUPPORT_H_
#define RKVS_TESTS_CAPI_ASYNC_SUPPORT_H_

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "tests/capi/world.h"

namespace rkvs::capi_test {

using namespace std::chrono_literals;

// A flag that somebody waits for.
class Signal {
 public:
  void raise() { raised_.store(true); }
  void wait() const {
    while (!raised_.load()) std::this_thread::sleep_for(1ms);
  }
  bool is_raised() const { return raised_.load(); }

 private:
  std::atomic<bool> raised_{false};
};

// Holds the lock of a key's shard while it lives.
class LockedKey {
 public:
  LockedKey(rkvs_namespace* ns, const char* key) {
    thread_ = std::thread([this, ns, key] {
      rkvs_namespace_transform(ns, key, strlen(key), hold, this, nullptr, nullptr);
    });
    held_.wait();
  }
  ~LockedKey() { release(); }
  void release() {
    let_go_.raise();
    if (thread_.joinable()) thread_.join();
  }

 private:
  static rkvs_status hold(void* user, const void*, size_t, rkvs_transform*) {
    auto* const self = static_cast<LockedKey*>(user);
    self->held_.raise();
    self->let_go_.wait();
    return RKVS_OK;
  }
  Signal held_;
  Signal let_go_;
  std::thread thread_;
};

struct CApiAsync : ::testing::Test {
  CApiAsync() {
    // What waits for a lock waits until the test lets it have it.
    EXPECT_EQ(rkvs_namespace_set_lock_timeout(world.ns, 600 * 1000, nullptr), RKVS_OK);
  }
  // The next completion of the queue, to be cleared.
  rkvs_completion next() {
    rkvs_completion completion = {};
    size_t count = 0;
    EXPECT_EQ(rkvs_queue_wait(world.queue, -1, nullptr), RKVS_OK);
    EXPECT_EQ(rkvs_queue_poll(world.queue, &completion, 1, &count, nullptr), RKVS_OK);
    EXPECT_EQ(count, 1U);
    return completion;
  }
  bool is_readable() {
    pollfd events = {rkvs_queue_fd(world.queue), POLLIN, 0};
    return poll(&events, 1, 0) == 1;
  }
  static std::string bytes_of(const rkvs_completion& completion) {
    return {static_cast<const char*>(completion.data), completion.size};
  }

  World world;
};

// What a callback was told.
struct Told {
  std::atomic<int> times{0};
  rkvs_status status = 0;
  std::thread::id thread;
  std::string value;
  Signal done;
};

inline void tell(void* user, const rkvs_completion* completion) {
  auto* const told = static_cast<Told*>(user);
  told->status = completion->status;
  told->thread = std::this_thread::get_id();
  told->value.assign(static_cast<const char*>(completion->data), completion->size);
  ++told->times;
  told->done.raise();
}

inline rkvs_async calling(rkvs_callback callback, void* user) {
  rkvs_async how;
  rkvs_async_init(&how, sizeof how);
  how.callback = callback;
  how.user = user;
  return how;
}

}  // namespace rkvs::capi_test

#endif  // RKVS_TESTS_CAPI_ASYNC_SUPPORT_H_
