// Asynchronous operations with each of their allocations failing in turn, on the thread that begins
// them or on those that run them. The handler is called once, with Ok or NoMemory; or, where there
// is no memory for the handler itself, the initiating function throws std::bad_alloc, or the
// handler is destroyed. Nothing leaks, and nothing is half-done.
#include <gtest/gtest.h>
#include <rkvs/async.h>
#include <rkvs/manager.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/arena.h"
#include "tests/manager/failing_new.h"
#include "tests/support/namespace_util.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

using boost::system::error_code;
using manager_test::fail_allocations_of_other_threads;
using manager_test::fail_allocations_of_this_thread;
using manager_test::stop_failing_allocations;

// Longer than what strings hold without an allocation.
std::string long_text(const char* what) {
  return std::string("longer than a string holds by itself: ") + what;
}

// A directory with a file that holds one namespace, made once.
const TempDir& directory() {
  static const auto* const made = [] {
    auto* const dir = new TempDir;
    StorageManager manager({.directory = dir->path()});
    EXPECT_TRUE(is_ok(manager.initialize()));
    EXPECT_TRUE(is_ok(manager.create_namespace("saved")->put("key", "value")));
    EXPECT_TRUE(is_ok(manager.save_all("file")));
    return dir;
  }();
  return *made;
}

struct World {
  World() : manager({.directory = directory().path(), .worker_threads = 1}) {
    EXPECT_TRUE(is_ok(manager.initialize()));
    NamespaceConfig config = patient();
    config.shard_count = 2;
    ns = *manager.create_namespace("n", config);
    EXPECT_TRUE(is_ok(ns.put(long_text("there"), long_text("value"))));
    EXPECT_TRUE(is_ok(ns.put("counter", "1")));
    users = AsyncNamespace(ns, io.get_executor());
    store.emplace(manager, io.get_executor());
  }

  std::map<std::string, std::string> content() const {
    std::map<std::string, std::string> content;
    for (const std::string& name : *manager.list_namespaces()) {
      const Namespace each = *manager.get_namespace(name);
      for (const std::string& key : *each.list_keys()) {
        content[name + "/" + key] = each.get(key)->view();
      }
      content[name] = std::to_string(each.get_config().shard_count);
    }
    return content;
  }

  StorageManager manager;
  Namespace ns;
  boost::asio::io_context io;  // first to end
  AsyncNamespace users;
  std::optional<AsyncStorageManager> store;
};

// What a handler was told, and how often.
struct Told {
  int calls = 0;
  error_code error;
};

// Copies of it say whether there is a handler still.
class Handler {
 public:
  explicit Handler(std::shared_ptr<Told> told) : told_(std::move(told)) {}
  template <typename... Results>
  void operator()(error_code error, const Results&...) {
    ++told_->calls;
    told_->error = error;
  }

 private:
  std::shared_ptr<Told> told_;
};

struct Operation {
  const char* name;
  std::function<void(World&, Handler)> begin;
  friend void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }
};

using Arm = void (*)(int64_t n, bool for_good) noexcept;

// Whether there were so many allocations.
bool run_once(const Operation& operation, Arm arm, int64_t n, bool for_good) {
  World world;
  const auto before = world.content();
  const auto told = std::make_shared<Told>();
  const bool here = arm == fail_allocations_of_this_thread;
  bool threw = false;
  Handler handler(told);
  arm(n, for_good);
  bool failed = false;
  try {
    operation.begin(world, std::move(handler));
  } catch (const std::bad_alloc&) {
    threw = true;
  }
  // The program's own loop is given its memory.
  if (here) failed = stop_failing_allocations();
  world.io.run();
  if (!here) failed = stop_failing_allocations();

  EXPECT_EQ(told.use_count(), 1) << "a handler is left";
  EXPECT_LE(told->calls, threw ? 0 : 1);
  if (!failed) {
    EXPECT_EQ(told->calls, 1);
    EXPECT_FALSE(told->error) << told->error.message();
  }
  EXPECT_TRUE(!threw || (failed && here));
  if (told->calls == 1 && told->error) {
    EXPECT_EQ(told->error, StatusCode::kNoMemory);
    EXPECT_EQ(world.content(), before) << "it changed something and then said NoMemory";
  }
  // Done once, or not at all; and the store works.
  const auto now = world.content();
  if (now != before) {
    World other;
    operation.begin(other, Handler(std::make_shared<Told>()));
    other.io.run();
    EXPECT_EQ(now, other.content()) << "half-done";
  }
  EXPECT_TRUE(is_ok(world.ns.put("probe", "alive")));
  return failed;
}

class AsyncAllocationFailure : public ::testing::TestWithParam<Operation> {};

TEST_P(AsyncAllocationFailure, IsToldOnceOrThrownAndHalvesNothing) {
  directory();
  for (const Arm arm : {fail_allocations_of_this_thread, fail_allocations_of_other_threads}) {
    SCOPED_TRACE(arm == fail_allocations_of_this_thread ? "where it begins" : "where it runs");
    for (const bool for_good : {false, true}) {
      bool failed = true;
      for (int64_t n = 1; failed && !HasFailure(); n += for_good && n > 4 ? n / 2 : 1) {
        SCOPED_TRACE("allocation " + std::to_string(n));
        ASSERT_LT(n, 400);
        const size_t in_use = internal::Arena::stats().bytes_in_use;
        // On a thread of its own, whose caches of blocks go with it.
        std::thread([&] { failed = run_once(GetParam(), arm, n, for_good); }).join();
        EXPECT_EQ(internal::Arena::stats().bytes_in_use, in_use) << "blocks of the arena leaked";
      }
    }
  }
}

const Operation kOperations[] = {
    // Done where they are begun.
    {"Get", [](World& w, Handler h) { w.users.async_get(long_text("there"), std::move(h)); }},
    {"Set",
     [](World& w, Handler h) {
       w.users.async_set(long_text("there"), long_text("new"), std::move(h));
     }},
    {"Consume",
     [](World& w, Handler h) { w.users.async_consume(long_text("there"), std::move(h)); }},
    {"Increment", [](World& w, Handler h) { w.users.async_increment("counter", std::move(h)); }},
    // On a few keys.
    {"SetMultiple",
     [](World& w, Handler h) {
       AsyncItems items;
       items.emplace_back(long_text("there"), long_text("new"));
       items.emplace_back(long_text("absent"), long_text("new"));
       w.users.async_set_multiple(std::move(items), BatchMode::kAllOrNothing, std::move(h));
     }},
    {"Apply",
     [](World& w, Handler h) {
       static const std::string absent = long_text("absent");
       AtomicBatch batch;
       batch.set(absent, absent).increment("counter");
       w.users.async_apply(batch, std::move(h));
     }},
    // On worker threads.
    {"ListKeys", [](World& w, Handler h) { w.users.async_list_keys(std::move(h)); }},
    {"Clear", [](World& w, Handler h) { w.users.async_clear(std::move(h)); }},
    {"CreateNamespace",
     [](World& w, Handler h) { w.store->async_create_namespace(long_text("new"), std::move(h)); }},
    {"CloneNamespace",
     [](World& w, Handler h) {
       w.store->async_clone_namespace("n", long_text("new"), std::move(h));
     }},
    {"LoadNamespaceAs",
     [](World& w, Handler h) {
       w.store->async_load_namespace_as("file", long_text("new"), std::move(h));
     }},
    {"SaveAll",
     [](World& w, Handler h) { w.store->async_save_all(long_text("saved"), std::move(h)); }},
};

INSTANTIATE_TEST_SUITE_P(All, AsyncAllocationFailure, ::testing::ValuesIn(kOperations),
                         [](const auto& row) { return std::string(row.param.name); });

// Holds the lock of a key's shard while it lives.
class HeldKey {
 public:
  HeldKey(Namespace ns, std::string key)
      : thread_([this, ns, key]() mutable {
          const auto ignored = ns.transform(key, [&](std::optional<std::string_view> now) {
            std::optional<std::string> same(now);
            held_.set_value();
            let_go_.get_future().wait();
            return same;
          });
          static_cast<void>(ignored);
        }) {
    held_.get_future().wait();
  }
  ~HeldKey() {
    let_go_.set_value();
    thread_.join();
  }

 private:
  std::promise<void> held_;
  std::promise<void> let_go_;
  std::thread thread_;
};

// The same for one that has to wait for a lock, and so is handed over with its arguments.
TEST(AsyncAllocationFailureOfWaiting, IsToldOnceOrThrown) {
  for (const Arm arm : {fail_allocations_of_this_thread, fail_allocations_of_other_threads}) {
    const bool here = arm == fail_allocations_of_this_thread;
    bool failed = true;
    for (int64_t n = 1; failed && n < 100; ++n) {
      SCOPED_TRACE(n);
      World world;
      const auto told = std::make_shared<Told>();
      bool threw = false;
      {
        const HeldKey held(world.ns, long_text("there"));
        Handler handler(told);
        arm(n, false);
        try {
          world.users.async_put(long_text("there"), long_text("new"), std::move(handler));
        } catch (const std::bad_alloc&) {
          threw = true;
        }
        if (here) failed = stop_failing_allocations();
      }
      world.io.run();
      if (!here) failed = stop_failing_allocations();
      EXPECT_EQ(told.use_count(), 1) << "a handler is left";
      EXPECT_LE(told->calls, threw ? 0 : 1);
      const bool is_done = world.ns.get(long_text("there"))->view() == long_text("new");
      EXPECT_TRUE(failed || (told->calls == 1 && !told->error && is_done));
      if (told->calls == 1 && told->error) {
        EXPECT_EQ(told->error, StatusCode::kNoMemory);
        EXPECT_FALSE(is_done);
      }
      EXPECT_FALSE(threw && is_done) << "it had not begun";
    }
    EXPECT_FALSE(failed);
  }
}

}  // namespace
}  // namespace rkvs::testing
