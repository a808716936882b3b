// What asynchronous operations give, to whom, and through which completion tokens.
#include <rkvs/async.h>
#include <rkvs/async.h>  // again

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <new>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/api/async_test_util.h"

namespace rkvs::testing {
namespace {

using namespace std::chrono_literals;
using asio::as_tuple;
using asio::deferred;
using boost::system::system_error;

class AsyncTokenTest : public AsyncTest {};

// --- Tokens and executors ------------------------------------------------------------------------

TEST_F(AsyncTokenTest, ACallbackRunsOnItsExecutorAndNeverInTheInitiatingFunction) {
  std::optional<std::thread::id> put_on;
  std::optional<std::thread::id> listed_on;
  ns_.async_put("key", "value", [&](error_code error) {
    EXPECT_FALSE(error);
    put_on = std::this_thread::get_id();
  });
  ns_.async_list_keys([&, move_only = std::make_unique<int>(7)](
                          error_code error, const std::vector<std::string>& keys) {
    EXPECT_FALSE(error);
    EXPECT_EQ(keys, std::vector<std::string>{"key"});
    EXPECT_EQ(*move_only, 7);
    listed_on = std::this_thread::get_id();
  });
  EXPECT_FALSE(put_on.has_value());
  EXPECT_EQ(*ns_.sync().get("key"), "value") << "the work was done at once";
  std::thread loop([&] { io_.run(); });  // ends by itself: both were outstanding work
  const std::thread::id id = loop.get_id();
  loop.join();
  EXPECT_EQ(put_on, id);
  EXPECT_EQ(listed_on, id);
}

TEST_F(AsyncTokenTest, AStrandIsKept) {
  auto strand = asio::make_strand(io_);
  int calls = 0;
  const auto check = [&](error_code error, auto&&) {
    EXPECT_FALSE(error);
    EXPECT_TRUE(strand.running_in_this_thread());
    ++calls;
  };
  ns_.async_get("key", asio::bind_executor(strand, check));
  ns_.async_list_keys(asio::bind_executor(strand, check));
  Threads threads;
  threads.start(2, [&](int) { io_.run(); });
  threads.join();
  EXPECT_EQ(calls, 2);
}

TEST_F(AsyncTokenTest, AFutureNeedsNoLoop) {
  AsyncNamespace ns(ns_.sync());  // without an executor
  ns.async_put("key", "value", asio::use_future).get();
  std::future<std::optional<Value>> value = ns.async_get("key", asio::use_future);
  EXPECT_EQ(*value.get(), "value");
  EXPECT_EQ(ns.async_list_keys(asio::use_future).get().size(), 1U);
}

TEST_F(AsyncTokenTest, AFutureThrowsTheError) {
  if (testing::is_instrumented()) {
    GTEST_SKIP() << "references to exceptions are counted in code that ThreadSanitizer cannot see";
  }
  AsyncNamespace ns(ns_.sync());
  ns.async_put("key", "value", asio::use_future).get();
  try {
    ns.async_increment("key", asio::use_future).get();
    ADD_FAILURE();
  } catch (const system_error& error) {
    EXPECT_EQ(error.code(), StatusCode::kNotANumber);
  }
}

TEST_F(AsyncTokenTest, CoroutinesTakeEveryAwaitableToken) {
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    co_await ns.async_put("key", "value");
    EXPECT_EQ(*co_await ns.async_get("key"), "value");
    EXPECT_EQ(*co_await ns.async_get("key", deferred), "value");
    EXPECT_EQ(*co_await ns.async_get("key", asio::use_awaitable), "value");
    auto [error, value] = co_await ns.async_get("key", as_tuple(deferred));
    EXPECT_FALSE(error);
    EXPECT_EQ(*value, "value");
    auto [failed, number] = co_await ns.async_increment("key", as_tuple(asio::use_awaitable));
    EXPECT_EQ(failed, StatusCode::kNotANumber);
    EXPECT_EQ(number, 0);
    error_code redirected;
    co_await ns.async_increment("key", asio::redirect_error(asio::use_awaitable, redirected));
    EXPECT_EQ(redirected, StatusCode::kNotANumber);
    EXPECT_EQ((co_await ns.async_list_keys()).size(), 1U);
    EXPECT_THROW((void)co_await ns.async_increment("key"), system_error);
  }(ns_));
}

TEST_F(AsyncTokenTest, ADeferredOperationKeepsItsArgumentsAndRunsAsOftenAsItIsLaunched) {
  auto operation = [&] {
    std::string key = "a key that is too long to be stored within a string object";
    auto made = ns_.async_increment(key, 5);
    key.assign(key.size(), 'x');
    return made;
  }();
  EXPECT_EQ(ns_.sync().list_keys()->size(), 0U) << "nothing begins before it is launched";
  int64_t sum = 0;
  const auto add = [&](error_code error, int64_t value) {
    EXPECT_FALSE(error);
    sum = value;
  };
  operation(add);
  std::move(operation)(add);
  io_.run();
  EXPECT_EQ(sum, 10);
}

TEST_F(AsyncTokenTest, ANamedTokenIsNotMovedFrom) {
  auto count = std::make_shared<int>(0);
  const auto handler = [count](error_code, const std::optional<Value>&) { ++*count; };
  auto token = handler;
  ns_.async_get("key", token);
  ns_.async_get("key", token);
  io_.run();
  EXPECT_EQ(*count, 2);
}

// --- Errors --------------------------------------------------------------------------------------

TEST(AsyncError, CodesAreThoseOfTheLibrary) {
  const error_code error = StatusCode::kTooManyKeys;
  EXPECT_TRUE(error.failed());
  EXPECT_STREQ(error.category().name(), "rkvs");
  EXPECT_EQ(error.message(), "TooManyKeys");
  EXPECT_EQ(error.value(), static_cast<int>(StatusCode::kTooManyKeys));
  EXPECT_EQ(status_code_of(error), StatusCode::kTooManyKeys);
  EXPECT_FALSE(error_code(StatusCode::kOk).failed());
  EXPECT_FALSE(error_code(StatusCode::kNotFound).failed()) << "an outcome is no error";
  EXPECT_EQ(status_code_of(error_code()), StatusCode::kOk);
  EXPECT_EQ(status_code_of(asio::error::eof), StatusCode::kInternal);
  EXPECT_EQ(std::error_code(error).message(), "TooManyKeys");
}

TEST(AsyncError, GenericCodeUnderstandsThem) {
  namespace errc = boost::system::errc;
  EXPECT_EQ(error_code(StatusCode::kCancelled), asio::error::operation_aborted);
  EXPECT_EQ(error_code(StatusCode::kCancelled), errc::operation_canceled);
  EXPECT_EQ(status_code_of(asio::error::operation_aborted), StatusCode::kCancelled);
  EXPECT_EQ(error_code(StatusCode::kTimeout), errc::timed_out);
  EXPECT_EQ(error_code(StatusCode::kNoMemory), errc::not_enough_memory);
  EXPECT_EQ(error_code(StatusCode::kInvalidArgument), errc::invalid_argument);
  EXPECT_EQ(error_code(StatusCode::kIo), errc::io_error);
  EXPECT_EQ(error_code(StatusCode::kBusy), errc::device_or_resource_busy);
  EXPECT_EQ(error_code(StatusCode::kWouldDeadlock), errc::resource_deadlock_would_occur);
  EXPECT_EQ(error_code(StatusCode::kUnsupported), errc::not_supported);
  EXPECT_NE(error_code(StatusCode::kClosed), errc::timed_out);
  EXPECT_EQ(status_code_of(error_code(StatusCode::kNotFound)), StatusCode::kNotFound);
}

TEST_F(AsyncTokenTest, TheMessageIsThereForWhoWantsIt) {
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    Status status;
    const std::string key(kDefaultMaxKeySize + 1, 'k');
    auto [error, old] = co_await ns.with_status(status).async_set(key, "v", as_tuple(deferred));
    EXPECT_EQ(error, StatusCode::kKeyTooLarge);
    EXPECT_EQ(status.code(), StatusCode::kKeyTooLarge);
    EXPECT_NE(status.message().find("65537"), std::string_view::npos) << status.message();
    co_await ns.with_status(status).async_set("k", "v");
    EXPECT_TRUE(status.ok());
  }(ns_));
}

// --- Results -------------------------------------------------------------------------------------

TEST_F(AsyncTokenTest, OperationsOnAKeyGiveOutcomesAndNotErrors) {
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    EXPECT_EQ(co_await ns.async_get("a"), std::nullopt);
    EXPECT_FALSE(co_await ns.async_exists("a"));
    EXPECT_EQ(co_await ns.async_update("a", "0"), std::nullopt);
    EXPECT_EQ(co_await ns.async_consume("a"), std::nullopt);
    EXPECT_FALSE((co_await ns.async_get_with_version("a")).has_value());
    EXPECT_FALSE(co_await ns.async_delete_key("a"));
    EXPECT_EQ((co_await ns.async_compare_and_set("a", 1, "0")).code, StatusCode::kNotFound);
    EXPECT_EQ(co_await ns.async_compare_and_delete("a", 1), StatusCode::kNotFound);
    EXPECT_EQ((co_await ns.async_ttl("a")).code, StatusCode::kNotFound);
    EXPECT_EQ((co_await ns.async_persist("a")).code, StatusCode::kNotFound);
    EXPECT_EQ(co_await ns.async_touch("a", 1h), StatusCode::kNotFound);

    const auto version = co_await ns.async_add("a", "1");
    EXPECT_TRUE(version.has_value());
    EXPECT_EQ(co_await ns.async_add("a", "2"), std::nullopt) << "Exists";
    const auto versioned = co_await ns.async_get_with_version("a");
    EXPECT_EQ(versioned->value, "1");
    EXPECT_EQ(versioned->version, *version);
    const auto mismatch = co_await ns.async_compare_and_set("a", *version + 1, "2");
    EXPECT_EQ(mismatch.code, StatusCode::kVersionMismatch);
    EXPECT_FALSE(mismatch.ok());
    const auto swapped = co_await ns.async_compare_and_set("a", *version, "2");
    EXPECT_TRUE(swapped.ok());
    EXPECT_GT(swapped.value, *version);
    EXPECT_EQ(*co_await ns.async_update("a", "3"), "2");
    EXPECT_EQ(*co_await ns.async_set("a", "4"), "3");
    EXPECT_EQ(co_await ns.async_set("b", "5"), std::nullopt);
    EXPECT_EQ(co_await ns.async_increment("a"), 5);
    EXPECT_EQ(co_await ns.async_increment("a", 5), 10);
    EXPECT_EQ(co_await ns.async_decrement("a"), 9);
    EXPECT_EQ(co_await ns.async_decrement("a", 2), 7);
    CounterOptions counter;
    counter.initial = 40;
    EXPECT_EQ(co_await ns.async_increment("c", 2, counter), 42);
    EXPECT_EQ(co_await ns.async_decrement("d", 2, counter), 38);

    EXPECT_EQ((co_await ns.async_ttl("a")).value, std::nullopt);
    EXPECT_FALSE((co_await ns.async_persist("a")).value);
    EXPECT_EQ(co_await ns.async_touch("a", 1h), StatusCode::kOk);
    EXPECT_GT((co_await ns.async_ttl("a")).value, 59min);
    EXPECT_TRUE((co_await ns.async_persist("a")).value);
    WriteOptions expiring;
    expiring.expire_after = 1h;
    co_await ns.async_put("a", "8", expiring);
    EXPECT_TRUE((co_await ns.async_ttl("a")).value.has_value());
    EXPECT_EQ(*co_await ns.async_set("a", "9", expiring), "8");
    EXPECT_EQ(*co_await ns.async_update("a", "10", expiring), "9");
    EXPECT_TRUE((co_await ns.async_add("e", "", expiring)).has_value());
    const auto now = co_await ns.async_get_with_version("a");
    EXPECT_TRUE((co_await ns.async_compare_and_set("a", now->version, "11", expiring)).ok());

    EXPECT_TRUE(co_await ns.async_exists("b"));
    EXPECT_TRUE(co_await ns.async_delete_key("b"));
    EXPECT_EQ(*co_await ns.async_consume("a"), "11");
    const auto last = co_await ns.async_get_with_version("e");
    EXPECT_EQ(co_await ns.async_compare_and_delete("e", last->version), StatusCode::kOk);
  }(ns_));
  EXPECT_EQ(sorted_keys(ns_.sync()), (std::vector<std::string>{"c", "d"}));
}

// --- transform -----------------------------------------------------------------------------------

using Text = std::optional<std::string>;

// A transform of "k" that is inside of its function until let_go(), and makes "held" of the value.
class HeldTransform {
 public:
  explicit HeldTransform(Namespace ns) : thread_([this, ns]() mutable { hold(ns); }) {
    inside_.get_future().wait();
  }
  ~HeldTransform() { let_go(); }
  HeldTransform(const HeldTransform&) = delete;
  HeldTransform& operator=(const HeldTransform&) = delete;

  void let_go() {
    if (!thread_.joinable()) return;
    may_end_.set_value();
    thread_.join();
  }

 private:
  void hold(Namespace& ns) {
    EXPECT_TRUE(is_ok(ns.transform("k", [this](auto) -> Text {
      inside_.set_value();
      may_end_.get_future().wait();
      return "held";
    })));
  }

  std::promise<void> inside_;
  std::promise<void> may_end_;
  std::thread thread_;
};

TEST_F(AsyncTokenTest, TransformMakesChangesAndRemovesAValue) {
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    const auto append = [](std::optional<std::string_view> value) -> Text {
      return value.has_value() ? std::string(*value) + "+" : "start";
    };
    EXPECT_EQ(*co_await ns.async_transform("k", append), "start");
    EXPECT_EQ(*co_await ns.async_transform("k", append), "start+");
    const auto nothing = [](auto) -> Text { return std::nullopt; };
    EXPECT_EQ(co_await ns.async_transform("k", nothing), std::nullopt);
    EXPECT_FALSE(co_await ns.async_exists("k"));
    EXPECT_EQ(co_await ns.async_transform("k", nothing), std::nullopt) << "it stays absent";
  }(ns_));
}

TEST_F(AsyncTokenTest, WhatTheFunctionOfATransformThrowsIsAnErrorAndChangesNothing) {
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    co_await ns.async_put("k", "v");
    Status status;
    const auto throws = [](auto) -> Text { throw std::runtime_error("no such thing"); };
    auto [error, value] =
        co_await ns.with_status(status).async_transform("k", throws, as_tuple(deferred));
    EXPECT_EQ(error, StatusCode::kInternal);
    EXPECT_EQ(value, std::nullopt);
    EXPECT_NE(status.message().find("no such thing"), std::string_view::npos) << status.message();
    const auto throws_a_number = [](auto) -> Text { throw 7; };
    auto [other, none] = co_await ns.async_transform("k", throws_a_number, as_tuple(deferred));
    EXPECT_EQ(other, StatusCode::kInternal);
    EXPECT_EQ(none, std::nullopt);
    const auto no_memory = [](auto) -> Text { throw std::bad_alloc(); };
    auto [full, nothing] = co_await ns.async_transform("new", no_memory, as_tuple(deferred));
    EXPECT_EQ(full, StatusCode::kNoMemory);
    EXPECT_EQ(nothing, std::nullopt);
    EXPECT_EQ(*co_await ns.async_get("k"), "v") << "the lock is free again";
    EXPECT_EQ((co_await ns.async_metadata()).key_count, 1U);
  }(ns_));
}

TEST_F(AsyncTokenTest, ATransformThatWouldWaitCallsItsFunctionOnAWorkerThread) {
  HeldTransform held(ns_.sync());
  std::optional<std::thread::id> called_on;
  std::optional<Value> result;
  ns_.async_transform(
      "k",
      [&](std::optional<std::string_view> value) -> Text {
        called_on = std::this_thread::get_id();
        return std::string(value.value_or("absent")) + "+";
      },
      [&](error_code error, std::optional<Value> value) {
        EXPECT_FALSE(error);
        result = std::move(value);
      });
  held.let_go();
  io_.run();
  EXPECT_EQ(*result, "held+");
  EXPECT_TRUE(called_on.has_value() && *called_on != std::this_thread::get_id());
}

TEST_F(AsyncTokenTest, WhatItThrowsOnAWorkerThreadIsAnErrorToo) {
  HeldTransform held(ns_.sync());
  error_code end;
  ns_.async_transform(
      "k", [](auto) -> Text { throw std::runtime_error("no"); },
      [&](error_code error, const std::optional<Value>&) { end = error; });
  held.let_go();
  io_.run();
  EXPECT_EQ(end, StatusCode::kInternal);
  EXPECT_EQ(*ns_.sync().get("k"), "held");
}

TEST_F(AsyncTokenTest, TheFunctionOfATransformMustNotCallTheStore) {
  int calls = 0;
  error_code inner;
  error_code outer;
  std::optional<Value> result;
  Namespace sync = ns_.sync();
  ns_.async_transform(
      "k",
      [&](auto) -> Text {
        ++calls;
        EXPECT_EQ(sync.get("k").code(), StatusCode::kWouldDeadlock);
        ns_.async_get("other",
                      [&](error_code error, const std::optional<Value>&) { inner = error; });
        return "changed";
      },
      [&](error_code error, std::optional<Value> value) {
        outer = error;
        result = std::move(value);
      });
  io_.run();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(inner, StatusCode::kWouldDeadlock);
  EXPECT_FALSE(outer);
  EXPECT_EQ(*result, "changed");
}

// With max_keys reached, room is made of keys that have expired: a walk that may have to wait,
// which the initiating function must not. What `change` returned there is of no use.
TEST_F(AsyncTokenTest, ATransformThatNeedsRoomCallsItsFunctionAgain) {
  NamespaceConfig config = patient();
  config.max_keys = 1;
  auto created = manager_->create_namespace("small", config);
  ASSERT_TRUE(is_ok(created));
  ASSERT_TRUE(is_ok(created->put("short", "v", WriteOptions{.expire_after = 1ms})));
  while (*created->exists("short")) std::this_thread::sleep_for(1ms);
  AsyncNamespace small(*created, io_.get_executor());
  int calls = 0;
  std::optional<Value> result;
  small.async_transform(
      "k", [&](auto) -> Text { return std::to_string(++calls); },
      [&](error_code error, std::optional<Value> value) {
        EXPECT_FALSE(error);
        result = std::move(value);
      });
  io_.run();
  EXPECT_GE(calls, 1) << "2, unless the store has been faster to remove what has expired";
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(*result, std::to_string(calls)) << "the last call counts";
}

// --- Many keys -----------------------------------------------------------------------------------

TEST_F(AsyncTokenTest, BatchesOwnTheirBytesHoweverLongTheyAre) {
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    constexpr auto kAll = BatchMode::kAllOrNothing;
    // At once, and on a worker thread.
    for (const int size : {10, 5000}) {
      AsyncItems items;
      std::vector<std::string> keys;
      for (int i = 0; i < size; ++i) {
        keys.push_back(numbered("key ", i));
        items.emplace_back(keys.back(), numbered("value ", i));
      }
      const auto count = static_cast<std::size_t>(size);
      EXPECT_EQ((co_await ns.async_set_multiple(items, kAll)).total_processed, count);
      EXPECT_EQ((co_await ns.async_update_multiple(items, kAll)).total_processed, count);
      const BatchResult got = co_await ns.async_get_multiple(keys, kAll);
      EXPECT_EQ(*got.items.back().value, items.back().second);
      keys.push_back("absent");
      const BatchResult missed = co_await ns.async_get_multiple(keys, kAll);
      EXPECT_EQ(missed.status.code(), StatusCode::kNotFound) << "an outcome, and no exception";
      EXPECT_EQ(missed.items.back().code, StatusCode::kNotFound);
      EXPECT_EQ((co_await ns.async_exists_multiple(keys, kAll)).total_processed, count);
      const BatchResult consumed = co_await ns.async_consume_multiple(keys, BatchMode::kBestEffort);
      EXPECT_EQ(consumed.total_processed, count);
      EXPECT_EQ((co_await ns.async_delete_multiple(keys, BatchMode::kBestEffort)).total_processed,
                0U);
    }
  }(ns_));
}

TEST_F(AsyncTokenTest, AnAtomicBatchMayEndBeforeItRuns) {
  auto operation = [&] {
    const std::string key(100, 'k');
    const std::string value(100, 'v');
    AtomicBatch batch;
    batch.check_absent(key).set(key, value).increment("n", 3);
    return ns_.async_apply(batch);
  }();
  run([](decltype(operation) apply) -> asio::awaitable<void> {
    const BatchResult result = co_await std::move(apply);
    EXPECT_TRUE(result.is_success());
    EXPECT_EQ(*result.items[2].value, "3");
  }(std::move(operation)));
  EXPECT_EQ(*ns_.sync().get(std::string(100, 'k')), std::string(100, 'v'));
}

TEST_F(AsyncTokenTest, ABatchThatFailsSaysWhichItem) {
  Namespace sync = ns_.sync();
  ASSERT_TRUE(is_ok(sync.set_max_value_size(3)));
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    AsyncItems items{{"a", "1"}, {"b", "1234"}};
    auto [error, result] =
        co_await ns.async_set_multiple(items, BatchMode::kAllOrNothing, as_tuple(deferred));
    EXPECT_EQ(error, StatusCode::kValueTooLarge);
    EXPECT_EQ(codes_of(result),
              (std::vector<StatusCode>{StatusCode::kNotApplied, StatusCode::kValueTooLarge}));
  }(ns_));
}

TEST_F(AsyncTokenTest, WhatTakesLongIsDoneElsewhereAndGivesTheSame) {
  fill(ns_);
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    EXPECT_EQ((co_await ns.async_list_keys()).size(), static_cast<std::size_t>(kKeys));
    std::set<std::string> seen;
    ScanOptions options;
    options.prefix = "key 1";
    AsyncScan scan = co_await ns.async_scan(options);
    while (!scan.is_done()) {
      for (const ScanItem& item : co_await scan.async_next(100)) {
        EXPECT_TRUE(seen.insert(item.key).second);
      }
    }
    EXPECT_EQ(seen.size(), 11111U);
    AsyncScan all = co_await ns.async_scan();
    EXPECT_FALSE(all.is_done());
    EXPECT_EQ((co_await AsyncScan().async_next(1)).size(), 0U);
    EXPECT_EQ(co_await ns.async_delete_prefix("key 1"), 11111U);
    EXPECT_EQ((co_await ns.async_metadata()).key_count, kKeys - 11111U);

    int reports = 0;
    co_await ns.async_resize_shards(4, [&](const Progress&) { ++reports; });
    EXPECT_GT(reports, 0);
    EXPECT_EQ((co_await ns.async_shard_key_counts()).size(), 4U);
    EXPECT_EQ((co_await ns.async_shard_stats()).size(), 4U);
    co_await ns.async_resize_shards(2);
    EXPECT_EQ(co_await ns.async_clear(), kKeys - 11111U);

    co_await ns.async_set_max_keys(11);
    co_await ns.async_set_max_bytes(uint64_t{1} << 30);
    co_await ns.async_set_max_value_size(12);
    co_await ns.async_set_lock_timeout(13s);
    NamespaceConfig config = co_await ns.async_get_config();
    EXPECT_EQ(config.max_keys, 11U);
    EXPECT_EQ(config.max_bytes, uint64_t{1} << 30);
    EXPECT_EQ(config.max_value_size, 12U);
    EXPECT_EQ(config.lock_timeout, 13s);
    config.max_keys = 0;
    co_await ns.async_update_config(config);
    EXPECT_EQ(co_await ns.async_get_config(), config);
  }(ns_));
}

TEST_F(AsyncTokenTest, TheManagersOperationsAreAllThere) {
  StorageManager manager(StorageOptions{.directory = dir_.path()});
  run([](AsyncStorageManager store) -> asio::awaitable<void> {
    EXPECT_FALSE(store.is_initialized());
    auto [early, none] = co_await store.async_get_namespace("a", as_tuple(deferred));
    EXPECT_EQ(early, StatusCode::kNotInitialized);
    co_await store.async_initialize("absent.rkvs");
    EXPECT_TRUE(store.is_initialized() && store.has_persistence());
    EXPECT_EQ((co_await store.async_load_report()).file, "");
    co_await store.async_initialize();

    NamespaceConfig config;
    config.max_keys = 5;
    AsyncNamespace a = co_await store.async_create_namespace("a", config);
    co_await a.async_put("key", "value");
    (void)co_await store.async_create_namespace("b");
    AsyncNamespace c = co_await store.async_clone_namespace("a", "c");
    EXPECT_EQ(*co_await c.async_get("key"), "value");
    AsyncNamespace again = co_await store.async_get_namespace("a");
    EXPECT_EQ(*co_await again.async_get("key"), "value");
    EXPECT_EQ((co_await store.async_list_namespaces()).size(), 3U);
    EXPECT_EQ(co_await store.async_namespace_count(), 3U);
    EXPECT_EQ(co_await store.async_total_key_count(), 2U);
    config.max_keys = 6;
    co_await store.async_update_namespace_config("a", config);
    EXPECT_EQ(a.sync().get_config().max_keys, 6U);
    StorageConfig limits;
    limits.max_namespaces = 9;
    co_await store.async_update_config(limits);
    EXPECT_EQ((co_await store.async_get_config()).max_namespaces, 9U);
    EXPECT_EQ((co_await store.async_namespace_stats("a")).key_count, 1U);
    EXPECT_EQ((co_await store.async_all_namespace_stats()).size(), 3U);
    EXPECT_NE((co_await store.async_metrics_text()).find("rkvs_"), std::string::npos);

    co_await store.async_save_all("all.rkvs");
    co_await store.async_save_namespace("a", "a.rkvs");
    co_await store.async_delete_namespace("a");
    auto [deleted, value] = co_await a.async_get("key", as_tuple(deferred));
    EXPECT_EQ(deleted, StatusCode::kNamespaceDeleted);
    EXPECT_EQ(co_await store.async_load_namespace("a.rkvs"), "a");
    EXPECT_EQ(co_await store.async_load_namespace_as("a.rkvs", "d"), "d");
    EXPECT_EQ(co_await store.async_load_namespace_as("all.rkvs", "e", std::string("c")), "e");
    AsyncNamespace e = co_await store.async_get_namespace("e");
    EXPECT_EQ(*co_await e.async_get("key"), "value");

    AutosaveConfig autosave;
    autosave.interval = 1h;
    autosave.file = "auto.rkvs";
    co_await store.async_add_namespace_autosave_task("a", autosave);
    EXPECT_EQ((co_await store.async_list_autosave_tasks()).size(), 1U);
    co_await store.async_stop_namespace_autosave("a");
    co_await store.async_start_namespace_autosave_task("a");
    co_await store.async_stop_namespace_autosave("a");
    EXPECT_EQ(co_await store.async_start_missing_autosave_tasks(), 1U);
    auto [stopped] = co_await store.async_stop_manager_autosave(as_tuple(deferred));
    EXPECT_EQ(stopped, StatusCode::kAutosaveNotRunning);

    Status status;
    auto [absent, nobody] =
        co_await store.with_status(status).async_get_namespace("x", as_tuple(deferred));
    EXPECT_EQ(absent, StatusCode::kNamespaceNotFound);
    EXPECT_NE(status.message().find("\"x\""), std::string_view::npos) << status.message();
    co_await store.async_close();
    auto [closed] = co_await store.async_save_all("all.rkvs", as_tuple(deferred));
    EXPECT_EQ(closed, StatusCode::kClosed);
  }(AsyncStorageManager(manager, io_.get_executor())));
  EXPECT_FALSE(manager.is_initialized());
}

}  // namespace
}  // namespace rkvs::testing
