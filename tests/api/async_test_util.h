// A store, an io_context, and operations that are held up where a test wants them.
#ifndef RKVS_TESTS_API_ASYNC_TEST_UTIL_H_
#define RKVS_TESTS_API_ASYNC_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <rkvs/async.h>
#include <rkvs/manager.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/namespace_util.h"
#include "tests/support/test_util.h"

namespace rkvs {

inline void PrintTo(const Value& value, std::ostream* out) { *out << value.view(); }

}  // namespace rkvs

namespace rkvs::testing {

namespace asio = boost::asio;
using boost::system::error_code;

// Holds up the operation whose progress hook this gives, from its first report on.
class Gate {
 public:
  ProgressHook hook() {
    return [state = state_](const Progress&) {
      if (state->was_reached) return;
      state->was_reached = true;
      state->reached.set_value();
      state->opened.get_future().wait();
    };
  }
  void wait_until_reached() { state_->reached.get_future().wait(); }
  void open() {
    if (!std::exchange(is_open_, true)) state_->opened.set_value();
  }
  ~Gate() { open(); }
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

 private:
  struct State {
    bool was_reached = false;  // of the thread that runs the operation
    std::promise<void> reached;
    std::promise<void> opened;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  bool is_open_ = false;
};

class AsyncTest : public ::testing::Test {
 protected:
  static constexpr int kKeys = 20000;  // enough for a save or a resize to report on its way

  explicit AsyncTest(uint32_t worker_threads = 1)
      : manager_(std::make_unique<StorageManager>(
            StorageOptions{.directory = dir_.path(), .worker_threads = worker_threads})) {
    EXPECT_TRUE(is_ok(manager_->initialize()));
    store_.emplace(*manager_, io_.get_executor());
    ns_ = make("n", 1);
  }

  AsyncNamespace make(const std::string& name, uint32_t shard_count) {
    NamespaceConfig config = patient();
    config.shard_count = shard_count;
    auto created = manager_->create_namespace(name, config);
    EXPECT_TRUE(is_ok(created));
    return AsyncNamespace(*std::move(created), io_.get_executor());
  }
  void fill(AsyncNamespace& ns) {
    std::vector<std::string> keys;
    for (int i = 0; i < kKeys; ++i) keys.push_back(numbered("key ", i));
    std::vector<KeyValue> items;
    for (const std::string& key : keys) items.push_back({key, "value"});
    Namespace sync = ns.sync();
    EXPECT_TRUE(sync.set_multiple(items, BatchMode::kBestEffort).is_success());
  }

  // Runs a coroutine to its end, and everything else that is on.
  void run(asio::awaitable<void> body) {
    bool is_done = false;
    asio::co_spawn(io_, std::move(body), [&](const std::exception_ptr& thrown) {
      is_done = true;
      if (thrown) std::rethrow_exception(thrown);
    });
    io_.restart();
    EXPECT_NO_THROW(io_.run());
    EXPECT_TRUE(is_done);
  }

  // Runs the loop until something is ready.
  template <typename Ready>
  void run_until(Ready ready) {
    io_.restart();
    while (!ready()) io_.run_one();
  }

  TempDir dir_;
  asio::io_context io_;
  std::unique_ptr<StorageManager> manager_;
  std::optional<AsyncStorageManager> store_;
  AsyncNamespace ns_;
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_API_ASYNC_TEST_UTIL_H_
