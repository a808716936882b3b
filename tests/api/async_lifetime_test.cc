// Asynchronous operations that meet cancellation, contention, exceptions and the end of what they
// belong to.
#include <rkvs/async.h>

#include <atomic>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <thread>
#include <vector>

#include "tests/api/async_test_util.h"

namespace rkvs::testing {
namespace {

using namespace std::chrono_literals;
using Type = asio::cancellation_type;

// What a handler was told, and how often.
struct Outcomes {
  int calls = 0;
  error_code error;

  auto handler() {
    return [this](error_code its_error, auto&&...) {
      ++calls;
      error = its_error;
    };
  }
};

class AsyncLifetimeTest : public AsyncTest {
 protected:
  auto with_signal(Outcomes& outcomes) {
    return asio::bind_cancellation_slot(signal_.slot(), outcomes.handler());
  }

  asio::cancellation_signal signal_;
};

// --- Cancellation --------------------------------------------------------------------------------

TEST_F(AsyncLifetimeTest, ASignalBeforeTheBeginningIsNone) {
  Outcomes listed;
  signal_.emit(Type::total);
  ns_.async_list_keys(with_signal(listed));
  io_.run();
  EXPECT_EQ(listed.calls, 1);
  EXPECT_FALSE(listed.error);
}

TEST_F(AsyncLifetimeTest, ACancelledCoroutineBeginsNothing) {
  error_code error;
  const auto body = [&]() -> asio::awaitable<void> {
    signal_.emit(Type::terminal);
    try {
      co_await ns_.async_put("key", "value");
    } catch (const boost::system::system_error& system_error) {
      error = system_error.code();
    }
    co_await asio::this_coro::reset_cancellation_state();
  };
  asio::co_spawn(io_, body(),
                 asio::bind_cancellation_slot(signal_.slot(), [](const std::exception_ptr&) {}));
  io_.run();
  EXPECT_EQ(error, asio::error::operation_aborted);
  EXPECT_FALSE(*ns_.sync().exists("key"));
}

TEST_F(AsyncLifetimeTest, OneInTheQueueEndsAtOnce) {
  fill(ns_);
  for (const Type type : {Type::total, Type::partial, Type::terminal}) {
    Gate gate;
    Outcomes resized;
    Outcomes cleared;
    const uint32_t shards = type == Type::total ? 2 : type == Type::partial ? 3 : 4;
    ns_.async_resize_shards(shards, gate.hook(), resized.handler());
    gate.wait_until_reached();
    ns_.async_clear(with_signal(cleared));
    signal_.emit(type);
    EXPECT_EQ(cleared.calls, 0) << "not inside of emit()";
    run_until([&] { return cleared.calls != 0; });  // while the other one is still on
    EXPECT_EQ(cleared.error, asio::error::operation_aborted);
    EXPECT_EQ(resized.calls, 0);
    gate.open();
    run_until([&] { return resized.calls != 0; });
    EXPECT_FALSE(resized.error);
    EXPECT_EQ(count_of(ns_.sync()), static_cast<uint64_t>(kKeys));
  }
}

TEST_F(AsyncLifetimeTest, ARunningResizeMovesBack) {
  fill(ns_);
  Gate gate;
  Outcomes resized;
  ns_.async_resize_shards(8, gate.hook(), with_signal(resized));
  gate.wait_until_reached();
  signal_.emit(Type::total);
  gate.open();
  io_.run();
  EXPECT_EQ(resized.calls, 1);
  EXPECT_EQ(resized.error, asio::error::operation_aborted);
  EXPECT_EQ(ns_.sync().get_config().shard_count, 1U);
  EXPECT_EQ(count_of(ns_.sync()), static_cast<uint64_t>(kKeys));
}

TEST_F(AsyncLifetimeTest, ARunningSaveLeavesNoFile) {
  fill(ns_);
  Gate gate;
  Outcomes saved;
  store_->async_save_all("file.rkvs", gate.hook(), with_signal(saved));
  gate.wait_until_reached();
  signal_.emit(Type::terminal);
  gate.open();
  io_.run();
  EXPECT_EQ(saved.calls, 1);
  EXPECT_EQ(saved.error, asio::error::operation_aborted);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() / "file.rkvs"));
}

TEST_F(AsyncLifetimeTest, OneThatWaitsForALockEndsWhileTheLockIsHeld) {
  Outcomes got;
  const HeldShard held(ns_.sync(), "key");
  ns_.async_get("key", with_signal(got));
  asio::post(io_, [&] { signal_.emit(Type::total); });
  io_.run();
  EXPECT_EQ(got.calls, 1);
  EXPECT_EQ(got.error, asio::error::operation_aborted);
}

TEST_F(AsyncLifetimeTest, AfterCompletionASignalDoesNothing) {
  Outcomes got;
  Outcomes listed;
  ns_.async_get("key", with_signal(got));
  signal_.emit(Type::total);  // done, and its handler is posted
  asio::cancellation_signal other;
  ns_.async_list_keys(asio::bind_cancellation_slot(
      other.slot(), [&](error_code error, const std::vector<std::string>&) {
        EXPECT_FALSE(other.slot().has_handler()) << "cleared before the handler is called";
        other.emit(Type::total);
        listed.handler()(error);
      }));
  io_.run();
  other.emit(Type::total);
  signal_.emit(Type::total);
  EXPECT_EQ(got.calls, 1);
  EXPECT_FALSE(got.error);
  EXPECT_EQ(listed.calls, 1);
  EXPECT_FALSE(listed.error);
}

TEST_F(AsyncLifetimeTest, ATimerMayEndTheWait) {
  const HeldShard held(ns_.sync(), "key");
  run([](AsyncNamespace ns) -> asio::awaitable<void> {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(co_await asio::this_coro::executor, 5ms);
    auto first = co_await (ns.async_get("key", asio::use_awaitable) ||
                           timer.async_wait(asio::use_awaitable));
    EXPECT_EQ(first.index(), 1U);
  }(ns_));
}

// --- Contention ----------------------------------------------------------------------------------

TEST_F(AsyncLifetimeTest, TheLoopGoesOnWhileAnOperationWaits) {
  Outcomes got;
  Outcomes put;
  Outcomes many;
  Outcomes best;
  int ticks = 0;
  // Whichever comes first when the shard is free.
  ASSERT_TRUE(Namespace(ns_.sync()).put("key", "before").ok());
  {
    const HeldShard held(ns_.sync(), "key");
    ns_.async_put("key", "value", put.handler());
    ns_.async_get_multiple({"key"}, BatchMode::kAllOrNothing, many.handler());
    ns_.async_exists_multiple({"key"}, BatchMode::kBestEffort,
                              [&](error_code error, const BatchResult& result) {
                                EXPECT_EQ(codes_of(result), std::vector{StatusCode::kOk});
                                best.handler()(error);
                              });
    for (int i = 0; i < 100; ++i) asio::post(io_, [&] { ++ticks; });
    run_until([&] { return ticks == 100; });
    EXPECT_EQ(put.calls + many.calls + best.calls, 0);
  }
  run_until([&] { return put.calls + many.calls + best.calls == 3; });
  EXPECT_FALSE(put.error || many.error || best.error);
  ns_.async_get("key", got.handler());
  run_until([&] { return got.calls == 1; });
}

TEST_F(AsyncLifetimeTest, ADeadlineEndsTheWait) {
  const HeldShard held(ns_.sync(), "key");
  Outcomes got;
  Outcomes set;
  const auto begin = std::chrono::steady_clock::now();
  ns_.with_timeout(5ms).async_get("key", got.handler());
  AsyncItems items{{"key", "value"}};
  std::vector<StatusCode> codes;
  ns_.with_timeout(5ms).async_set_multiple(items, BatchMode::kBestEffort,
                                           [&](error_code error, const BatchResult& result) {
                                             codes = codes_of(result);
                                             set.handler()(error);
                                           });
  io_.run();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 4ms);
  EXPECT_EQ(got.error, StatusCode::kTimeout);
  EXPECT_EQ(codes, std::vector{StatusCode::kTimeout});
}

TEST_F(AsyncLifetimeTest, WithoutADeadlineItIsTheNamespacesLockTimeout) {
  Namespace sync = ns_.sync();
  ASSERT_TRUE(is_ok(sync.set_lock_timeout(5ms)));
  const HeldShard held(ns_.sync(), "key");
  Outcomes got;
  ns_.async_get("key", got.handler());
  io_.run();
  EXPECT_EQ(got.error, StatusCode::kTimeout);
}

TEST_F(AsyncLifetimeTest, ADeadlineCountsInTheQueue) {
  fill(ns_);
  Gate gate;
  Outcomes resized;
  Outcomes listed;
  Outcomes stats;
  ns_.async_resize_shards(2, gate.hook(), resized.handler());
  gate.wait_until_reached();
  ns_.with_timeout(1ms).async_list_keys(listed.handler());
  store_->with_timeout(1ms).async_total_key_count(stats.handler());
  std::this_thread::sleep_for(5ms);
  gate.open();
  io_.run();
  EXPECT_FALSE(resized.error);
  EXPECT_EQ(listed.error, StatusCode::kTimeout);
  EXPECT_EQ(stats.error, StatusCode::kTimeout);
}

class AsyncTwoWorkersTest : public AsyncTest {
 protected:
  AsyncTwoWorkersTest() : AsyncTest(2) {}
};

TEST_F(AsyncTwoWorkersTest, TwoStepsOfAScanAtATimeAreRefused) {
  Outcomes steps[2];
  std::optional<AsyncScan> scan;
  ns_.async_put("key", "value", [](error_code) {});
  ns_.async_scan([&](error_code error, AsyncScan begun) {
    EXPECT_FALSE(error);
    scan = std::move(begun);
  });
  run_until([&] { return scan.has_value(); });
  {
    const HeldShard held(ns_.sync(), "key");
    scan->async_next(10, steps[0].handler());
    scan->async_next(10, steps[1].handler());
    run_until([&] { return steps[0].calls + steps[1].calls == 1; });
    EXPECT_EQ(steps[0].calls == 1 ? steps[0].error : steps[1].error, StatusCode::kBusy);
  }
  run_until([&] { return steps[0].calls + steps[1].calls == 2; });
  EXPECT_TRUE(!steps[0].error || !steps[1].error);
}

// --- Exceptions and memory -----------------------------------------------------------------------

TEST_F(AsyncLifetimeTest, WhatAHandlerThrowsLeavesTheLoopAndNothingElse) {
  int calls = 0;
  for (int i = 0; i < 3; ++i) {
    ns_.async_get("key", [&](error_code, const std::optional<Value>&) {
      ++calls;
      throw 1;
    });
    ns_.async_list_keys([&](error_code, const std::vector<std::string>&) {
      ++calls;
      throw 2;
    });
  }
  int thrown = 0;
  for (;;) {
    try {
      io_.run();
      break;
    } catch (int) {
      ++thrown;
    }
  }
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(thrown, 6);
}

struct Count {
  std::atomic<int> allocations{0};
  std::atomic<int> in_use{0};
};

template <typename T>
class CountingAllocator {
 public:
  using value_type = T;
  explicit CountingAllocator(Count& count) : count_(&count) {}
  template <typename U>
  explicit(false) CountingAllocator(const CountingAllocator<U>& other) : count_(other.count_) {}

  T* allocate(std::size_t n) {
    ++count_->allocations;
    ++count_->in_use;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* memory, std::size_t n) {
    --count_->in_use;
    std::allocator<T>().deallocate(memory, n);
  }
  friend bool operator==(const CountingAllocator&, const CountingAllocator&) = default;

 private:
  template <typename>
  friend class CountingAllocator;
  Count* count_;
};

TEST_F(AsyncLifetimeTest, MemoryComesFromTheHandlersAllocatorAndIsBackBeforeItIsCalled) {
  Count now;
  Count later;
  int calls = 0;
  const auto check = [&](Count& count) {
    // An any_io_executor has its own idea of where its memory comes from.
    return asio::bind_executor(
        io_.get_executor(),
        asio::bind_allocator(CountingAllocator<int>(count), [&](error_code, auto&&) {
          EXPECT_EQ(count.in_use, 0);
          ++calls;
        }));
  };
  ns_.async_get("key", check(now));
  EXPECT_EQ(now.in_use, 1) << "its place in the queue";
  ns_.async_list_keys(check(later));
  io_.run();
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(now.allocations, 1);
  EXPECT_EQ(later.allocations, 2) << "the operation, and a place in the queue";
}

// --- Ends ----------------------------------------------------------------------------------------

TEST_F(AsyncLifetimeTest, TheEndOfTheManagerCompletesEverything) {
  fill(ns_);
  Gate gate;
  Outcomes resized;
  Outcomes listed;
  Outcomes got;
  Outcomes late;
  ns_.async_resize_shards(8, gate.hook(), resized.handler());
  gate.wait_until_reached();
  ns_.async_list_keys(listed.handler());
  Threads closer;
  {
    const HeldShard held(ns_.sync(), "key");
    ns_.async_get("key", got.handler());
    closer.start([&] { manager_.reset(); });
    run_until([&] { return listed.calls + got.calls == 2; });  // while the resize is on
    EXPECT_EQ(resized.calls, 0);
  }
  gate.open();
  run_until([&] { return resized.calls == 1; });
  closer.join();
  EXPECT_EQ(listed.error, StatusCode::kClosed);
  EXPECT_TRUE(got.error == StatusCode::kClosed || got.error == StatusCode::kCancelled);
  EXPECT_EQ(resized.error, asio::error::operation_aborted);
  // Handles may be used after it.
  ns_.async_list_keys(late.handler());
  store_->async_save_all("file.rkvs", late.handler());
  AsyncStorageManager copy(*store_);
  copy.async_close(late.handler());
  run_until([&] { return late.calls == 3; });
}

// Says when it is destroyed.
struct Tracer {
  explicit Tracer(std::atomic<int>& count) : destroyed(&count) {}
  Tracer(Tracer&& other) noexcept : destroyed(std::exchange(other.destroyed, nullptr)) {}
  ~Tracer() {
    if (destroyed != nullptr) ++*destroyed;
  }
  std::atomic<int>* destroyed;
};

TEST_F(AsyncLifetimeTest, TheEndOfTheLoopWaitsForWhatIsOnItsWayAndDropsTheHandlers) {
  fill(ns_);
  Namespace sync = ns_.sync();
  for (const bool use_strand : {false, true}) {
    std::atomic<int> dropped{0};
    int calls = 0;
    const auto handler = [&] {
      return [&calls, tracer = Tracer(dropped)](error_code, auto&&...) { ++calls; };
    };
    const auto begin = [&](std::optional<asio::io_context>& loop) {
      asio::any_io_executor executor = loop.emplace().get_executor();
      if (use_strand) executor = asio::make_strand(*loop);
      return AsyncNamespace(sync, executor);
    };
    std::optional<asio::io_context> loop;
    Gate gate;
    {
      AsyncNamespace ns = begin(loop);
      ns.async_resize_shards(8, gate.hook(), handler());
      gate.wait_until_reached();
      ns.async_list_keys(handler());  // queued
    }
    Threads opener;
    opener.start([&] {
      std::this_thread::sleep_for(5ms);
      gate.open();
    });
    loop.reset();
    EXPECT_EQ(dropped, 2);
    EXPECT_EQ(sync.get_config().shard_count, 1U) << "cancelled";

    const HeldShard held(sync, "key");
    begin(loop).async_get("key", handler());
    loop.reset();
    EXPECT_EQ(dropped, 3);
    EXPECT_EQ(calls, 0);
  }
}

TEST_F(AsyncLifetimeTest, ACoroutineMayOwnTheStoreAndEndWithTheLoop) {
  asio::io_context loop;
  asio::co_spawn(
      loop,
      []() -> asio::awaitable<void> {
        StorageManager manager;
        (void)manager.initialize();
        NamespaceConfig config = patient();
        config.shard_count = 1;
        AsyncNamespace ns(*manager.create_namespace("n", config));
        co_await ns.async_put("key", "value");
        const HeldShard held(ns.sync(), "key");
        (void)co_await ns.async_get("key");
        ADD_FAILURE() << "it waits for ever";
      },
      [](const std::exception_ptr&) { ADD_FAILURE() << "it never ends"; });
  loop.poll();
  loop.poll();
}

// --- The caller's executor -----------------------------------------------------------------------

TEST(AsyncExecutorHook, OperationsRunOnTheCallersThreads) {
  asio::io_context io;
  asio::thread_pool pool(1);
  StorageManager manager(StorageOptions{.post = executor_hook(pool.get_executor())});
  ASSERT_TRUE(is_ok(manager.initialize()));
  AsyncNamespace ns(*manager.create_namespace("n"), io.get_executor());
  Namespace sync = ns.sync();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(is_ok(sync.put(numbered("key ", i), "")));
  std::thread::id ran_on;
  ns.async_resize_shards(
      32, [&](const Progress&) { ran_on = std::this_thread::get_id(); }, [](error_code) {});
  io.run();
  std::thread::id pool_thread;
  asio::post(pool, [&] { pool_thread = std::this_thread::get_id(); });
  pool.join();
  EXPECT_EQ(ran_on, pool_thread);
}

TEST(AsyncExecutorHook, TheManagerMayEndWhileItsLoopStandsStill) {
  asio::io_context io;
  Outcomes outcomes[3];
  {
    StorageManager manager(StorageOptions{.post = executor_hook(io.get_executor())});
    ASSERT_TRUE(is_ok(manager.initialize()));
    AsyncStorageManager store(manager, io.get_executor());
    AsyncNamespace ns(*manager.create_namespace("n"), io.get_executor());
    ns.async_list_keys(outcomes[0].handler());
    io.run();
    EXPECT_EQ(outcomes[0].calls, 1);
    EXPECT_FALSE(outcomes[0].error);
    ns.async_list_keys(outcomes[1].handler());
    store.async_total_key_count(outcomes[2].handler());
  }
  EXPECT_EQ(outcomes[1].calls, 0);
  io.restart();
  io.run();
  for (int i = 1; i < 3; ++i) {
    EXPECT_EQ(outcomes[i].calls, 1);
    EXPECT_EQ(outcomes[i].error, StatusCode::kClosed);
  }
}

TEST(AsyncExecutorHook, TheLoopMayEndBeforeTheManager) {
  std::atomic<int> dropped{0};
  for (const bool use_strand : {false, true}) {
    std::optional<asio::io_context> io(std::in_place);
    asio::any_io_executor executor = io->get_executor();
    if (use_strand) executor = asio::make_strand(*io);
    StorageManager manager(StorageOptions{.post = executor_hook(executor)});
    ASSERT_TRUE(is_ok(manager.initialize()));
    const Namespace sync = *manager.create_namespace("n");
    AsyncNamespace(sync, executor).async_list_keys([tracer = Tracer(dropped)](error_code, auto&&) {
      ADD_FAILURE() << "there is no loop to call it";
    });
    executor = nullptr;
    io.reset();
    EXPECT_EQ(dropped, use_strand ? 2 : 1);
    asio::io_context other;
    Outcomes listed;
    AsyncNamespace(sync, other.get_executor()).async_list_keys(listed.handler());
    other.run();
    EXPECT_EQ(listed.error, StatusCode::kClosed);
  }
}

// --- Exactly once --------------------------------------------------------------------------------

TEST_F(AsyncTwoWorkersTest, ManyAtATimeCompleteOnceEach) {
  const int kOperations = scaled_down(20000) * (test_scale() > 1 ? 50 : 1);
  constexpr int kThreads = 2;
  std::vector<std::atomic<uint8_t>> calls(static_cast<std::size_t>(kOperations));
  std::atomic<int> failures{0};
  std::atomic<bool> stop{false};
  Threads holder;
  holder.start([&] {
    while (!stop) {
      { const HeldShard held(ns_.sync(), "key"); }
      std::this_thread::sleep_for(100us);
    }
  });
  {
    const StopAtExit stop_holder(stop);
    auto work = asio::make_work_guard(io_);
    Threads loops;
    loops.start(kThreads, [&](int) { io_.run(); });
    Threads starters;
    starters.start(kThreads, [&](int thread) {
      for (int i = thread; i < kOperations; i += kThreads) {
        const auto handler = [&, i](error_code error, auto&&...) {
          ++calls[static_cast<std::size_t>(i)];
          if (error) ++failures;
        };
        if (i % 100 == 0) {
          ns_.async_shard_key_counts(handler);
        } else if (i % 3 == 0) {
          AsyncNamespace(ns_).async_increment("key", handler);
        } else {
          ns_.async_get("key", handler);
        }
      }
    });
    starters.join();
    work.reset();
  }
  holder.join();
  for (const auto& count : calls) ASSERT_EQ(count.load(), 1);
  EXPECT_EQ(failures, 0);
  int increments = 0;
  for (int i = 0; i < kOperations; ++i) increments += i % 100 != 0 && i % 3 == 0 ? 1 : 0;
  EXPECT_EQ(value_of(ns_.sync(), "key"), std::to_string(increments));
}

TEST_F(AsyncTwoWorkersTest, WhateverMeetsThemTheyCompleteOnce) {
  const int kOperations = scaled_down(4000, 4);
  std::vector<int> calls(static_cast<std::size_t>(kOperations));
  std::deque<asio::cancellation_signal> signals;
  int unexpected = 0;
  std::atomic<bool> stop{false};
  Threads holder;
  holder.start([&] {
    while (!stop) {
      const HeldShard held(ns_.sync(), "key");
      std::this_thread::sleep_for(200us);
    }
  });
  const StopAtExit stop_holder(stop);
  for (int i = 0; i < kOperations; ++i) {
    signals.emplace_back();
    const auto handler = [&] {
      return asio::bind_cancellation_slot(
          signals.back().slot(), [&, i](error_code error, auto&&...) {
            ++calls[static_cast<std::size_t>(i)];
            if (error && error != StatusCode::kCancelled && error != StatusCode::kClosed) {
              ++unexpected;
            }
          });
    };
    switch (i % 4) {
      case 0: ns_.async_shard_key_counts(handler()); break;
      case 1: ns_.async_increment("key", handler()); break;
      case 2: ns_.async_get("key", handler()); break;
      default: store_->async_namespace_count(handler()); break;
    }
    // Some are cancelled at once, some later, most never.
    if (i % 7 == 0) signals.back().emit(Type::total);
    if (i % 5 == 0) signals[static_cast<std::size_t>(i / 2)].emit(Type::terminal);
    io_.restart();
    io_.poll_one();
    if (i == kOperations * 3 / 4) {
      stop = true;
      holder.join();
      manager_.reset();
    }
  }
  io_.restart();
  io_.run();
  for (const int count : calls) ASSERT_EQ(count, 1);
  EXPECT_EQ(unexpected, 0);
}

}  // namespace
}  // namespace rkvs::testing
