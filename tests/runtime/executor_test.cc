#include "runtime/executor.h"

#include <gtest/gtest.h>
#include <rkvs/async_access.h>

#include <atomic>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/wait_limit.h"
#include "tests/support/namespace_util.h"

namespace rkvs::internal {
namespace {

using namespace std::chrono_literals;
using Clock = AsyncOperation::Clock;

// What a test operation does, and what came of it.
struct Probe {
  std::atomic<int> runs{0};
  std::atomic<int> completions{0};
  std::atomic<StatusCode> code{StatusCode::kOk};
  std::promise<StatusCode> done;
  std::future<StatusCode> completed = done.get_future();
};

class TestOperation final : public AsyncOperation {
 public:
  using Run = std::function<StatusCode(const CancelToken&)>;
  TestOperation(std::shared_ptr<Probe> probe, Run run)
      : probe_(std::move(probe)), run_(std::move(run)) {}

 private:
  StatusCode run() noexcept override {
    ++probe_->runs;
    return code_ = run_(cancel_token());
  }
  void complete(const Status& not_run) noexcept override {
    const StatusCode code = not_run.ok() ? code_ : not_run.code();
    probe_->code = code;
    if (++probe_->completions == 1) probe_->done.set_value(code);
  }

  const std::shared_ptr<Probe> probe_;
  const Run run_;
  StatusCode code_ = StatusCode::kInternal;
};

class ExecutorTest : public ::testing::Test {
 protected:
  ~ExecutorTest() override {
    open();
    executor_->close();
  }

  struct Started {
    std::shared_ptr<TestOperation> operation;
    std::shared_ptr<Probe> probe;
    Status status;

    StatusCode wait() const { return probe->completed.get(); }
  };
  Started start(
      TestOperation::Run run = [](const CancelToken&) { return StatusCode::kOk; },
      AsyncLane lane = AsyncLane::kLong, std::optional<Clock::time_point> deadline = std::nullopt) {
    auto probe = std::make_shared<Probe>();
    auto operation = std::make_shared<TestOperation>(probe, std::move(run));
    Status status = executor_->start(operation, lane, deadline);
    return {std::move(operation), std::move(probe), std::move(status)};
  }
  // Keeps a thread of the long lane until open() or, if it heeds that, until it is cancelled.
  Started block(bool heeds_cancel = false) {
    auto running = std::make_shared<std::promise<void>>();
    auto is_running = running->get_future();
    Started started = start([this, running, heeds_cancel](const CancelToken& cancel) {
      running->set_value();
      while (!open_) {
        if (heeds_cancel && cancel.is_cancelled()) return StatusCode::kCancelled;
        std::this_thread::sleep_for(1ms);
      }
      return StatusCode::kOk;
    });
    is_running.get();
    return started;
  }
  void open() { open_ = true; }

  std::atomic<bool> open_{false};
  std::shared_ptr<Executor> executor_ = std::make_shared<Executor>(1, PostHook());
};

TEST_F(ExecutorTest, AnOperationRunsOnAnotherThreadAndCompletesOnce) {
  std::atomic<bool> on_worker{false};
  const Started started = start([&](const CancelToken&) {
    on_worker = executor_->on_worker_thread();
    return StatusCode::kNotFound;
  });
  ASSERT_TRUE(started.status.ok());
  EXPECT_EQ(started.wait(), StatusCode::kNotFound);
  EXPECT_TRUE(on_worker);
  EXPECT_FALSE(executor_->on_worker_thread());
  executor_->close();
  EXPECT_EQ(started.probe->completions, 1);
}

TEST_F(ExecutorTest, OneThatIsCancelledInTheQueueNeverRuns) {
  const Started first = block();
  const Started second = start();
  second.operation->cancel();
  EXPECT_EQ(second.wait(), StatusCode::kCancelled);  // while the first still runs
  open();
  EXPECT_EQ(first.wait(), StatusCode::kOk);
  executor_->close();
  EXPECT_EQ(second.probe->runs, 0);
  EXPECT_EQ(second.probe->completions, 1);
}

TEST_F(ExecutorTest, OneThatIsCancelledWhileItRunsSaysWhatCameOfIt) {
  const Started heeds = block(/*heeds_cancel*/ true);
  heeds.operation->cancel();
  EXPECT_EQ(heeds.wait(), StatusCode::kCancelled);
  const Started does_not = block();
  does_not.operation->cancel();
  open();
  EXPECT_EQ(does_not.wait(), StatusCode::kOk);
  does_not.operation->cancel();  // too late
  executor_->close();
  EXPECT_EQ(does_not.probe->completions, 1);
}

TEST_F(ExecutorTest, OneThatIsCancelledBeforeItsStartCompletesAsCancelled) {
  auto probe = std::make_shared<Probe>();
  auto operation =
      std::make_shared<TestOperation>(probe, [](const CancelToken&) { return StatusCode::kOk; });
  operation->cancel();
  ASSERT_TRUE(executor_->start(operation, AsyncLane::kLong, std::nullopt).ok());
  EXPECT_EQ(probe->completed.get(), StatusCode::kCancelled);
  EXPECT_EQ(probe->runs, 0);
}

TEST_F(ExecutorTest, CloseEndsWhatIsQueuedAndWaitsForWhatRuns) {
  const Started running = block(/*heeds_cancel*/ true);
  const Started queued = start();
  executor_->close();
  EXPECT_EQ(running.probe->code, StatusCode::kCancelled);
  EXPECT_EQ(queued.probe->code, StatusCode::kClosed);
  EXPECT_EQ(running.probe->completions, 1);
  EXPECT_EQ(queued.probe->completions, 1);
  EXPECT_EQ(queued.probe->runs, 0);
}

TEST_F(ExecutorTest, AfterCloseNothingStartsOrCompletes) {
  executor_->close();
  const Started late = start();
  EXPECT_EQ(late.status.code(), StatusCode::kClosed);
  EXPECT_EQ(late.probe->completions, 0);
  EXPECT_FALSE(executor_->post([] {}));
  executor_->close();
}

TEST_F(ExecutorTest, WhatIsPostedRunsBeforeCloseReturns) {
  std::atomic<bool> ran{false};
  std::atomic<bool> on_worker{false};
  ASSERT_TRUE(executor_->post([&] {
    std::this_thread::sleep_for(5ms);
    on_worker = executor_->on_worker_thread();
    ran = true;
  }));
  executor_->close();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(on_worker);
}

TEST_F(ExecutorTest, WaitingForALockDoesNotStandInLineBehindLongWork) {
  const Started running = block();
  const Started waits = start([](const CancelToken&) { return StatusCode::kOk; }, AsyncLane::kWait,
                              Clock::now() + 1h);
  EXPECT_EQ(waits.wait(), StatusCode::kOk);
  open();
}

StatusCode refused() {
  if (WaitLimit::current() != nullptr) WaitLimit::current()->note_refused();
  return StatusCode::kTimeout;
}

TEST_F(ExecutorTest, OneThatWasRefusedAWaitIsTriedAgainUntilItSucceeds) {
  std::atomic<int> left{5};
  const auto run = [&](const CancelToken&) { return --left == 0 ? StatusCode::kOk : refused(); };
  const Started started = start(run, AsyncLane::kWait, Clock::now() + 1h);
  EXPECT_EQ(started.wait(), StatusCode::kOk);
  EXPECT_EQ(started.probe->runs, 5);
}

TEST_F(ExecutorTest, OneThatIsRefusedToTheEndIsATimeoutAtItsDeadline) {
  const auto begin = Clock::now();
  const Started started =
      start([](const CancelToken&) { return refused(); }, AsyncLane::kWait, begin + 20ms);
  EXPECT_EQ(started.wait(), StatusCode::kTimeout);
  EXPECT_GE(Clock::now(), begin + 19ms);
  EXPECT_EQ(started.probe->completions, 1);
}

TEST_F(ExecutorTest, OneThatIsTriedAgainAndAgainCanBeCancelled) {
  const Started started =
      start([](const CancelToken&) { return refused(); }, AsyncLane::kWait, Clock::now() + 1h);
  while (started.probe->runs < 2) std::this_thread::yield();
  started.operation->cancel();
  EXPECT_EQ(started.wait(), StatusCode::kCancelled);
  executor_->close();
  EXPECT_EQ(started.probe->completions, 1);
}

TEST_F(ExecutorTest, LongWorkThatComesToItsTurnTooLateIsATimeout) {
  const Started running = block();
  const Started late = start([](const CancelToken&) { return StatusCode::kOk; }, AsyncLane::kLong,
                             Clock::now() + 1ms);
  std::this_thread::sleep_for(5ms);
  open();
  EXPECT_EQ(late.wait(), StatusCode::kTimeout);
  EXPECT_EQ(late.probe->runs, 0);
}

TEST_F(ExecutorTest, TheCallersExecutorRunsEverything) {
  std::deque<std::function<void()>> queue;
  executor_ = std::make_shared<Executor>(
      1, [&](std::function<void()> work) { queue.push_back(std::move(work)); });
  const Started first = start();
  const Started second = start();
  EXPECT_EQ(first.probe->completions, 0);
  ASSERT_EQ(queue.size(), 2U);
  queue.front()();
  EXPECT_EQ(first.probe->code, StatusCode::kOk);
  EXPECT_EQ(first.probe->completions, 1);
  queue.pop_front();
  queue.clear();  // drops the other one
  EXPECT_EQ(second.probe->code, StatusCode::kClosed);
  EXPECT_EQ(second.probe->completions, 1);
}

TEST_F(ExecutorTest, WithoutAThreadThereIsAnErrorAndNoCompletion) {
  executor_ =
      std::make_shared<Executor>(1, [](const std::function<void()>&) { throw std::bad_alloc(); });
  const Started started = start();
  // The executor has dropped it, or has never had it.
  EXPECT_EQ(started.probe->completions, started.status.ok() ? 1 : 0);
}

TEST_F(ExecutorTest, EveryOperationCompletesOnceWhateverMeetsIt) {
  constexpr int kOperations = 2000;
  executor_ = std::make_shared<Executor>(2, PostHook());
  std::vector<Started> started(kOperations);
  std::atomic<int> begun{0};
  std::thread canceller([&] {
    for (int i = 0; i < kOperations / 2; ++i) {
      while (begun <= i && begun >= 0) std::this_thread::yield();
      if (i % 2 == 0) started[static_cast<size_t>(i)].operation->cancel();
    }
  });
  std::thread closer([&] {
    while (begun < kOperations * 3 / 4) std::this_thread::yield();
    executor_->close();
  });
  for (int i = 0; i < kOperations; ++i) {
    const AsyncLane lane = i % 3 == 0 ? AsyncLane::kWait : AsyncLane::kLong;
    started[static_cast<size_t>(i)] =
        start([i](const CancelToken&) { return i % 5 == 0 ? refused() : StatusCode::kOk; }, lane,
              Clock::now() + 1ms);
    begun = i + 1;
  }
  canceller.join();
  closer.join();
  for (const Started& each : started) {
    EXPECT_EQ(each.probe->completions, each.status.ok() ? 1 : 0);
    if (!each.status.ok()) {
      EXPECT_EQ(each.status.code(), StatusCode::kClosed);
    }
  }
}

// --- Trying without waiting
// ------------------------------------------------------------------------

template <typename Run>
bool try_to(Run run) {
  return try_now([](void* context) { return (*static_cast<Run*>(context))(); }, &run);
}

TEST(TryNow, AnOperationThatWouldWaitHasNotHappened) {
  Namespace ns = testing::make_namespace({.shard_count = 1});
  ASSERT_TRUE(ns.set("key", "value").ok());
  Result<Value> got = StatusCode::kInternal;
  {
    Shard& shard = NamespaceImpl::of(ns).shards()[0];
    const WriterLock held(shard.mutex);
    EXPECT_FALSE(try_to([&] { return ns.get("key").code(); }));
    EXPECT_FALSE(try_to([&] { return ns.set("key", "other").code(); }));
    EXPECT_FALSE(try_to(
        [&] { return ns.delete_multiple({"key"}, BatchMode::kAllOrNothing).status.code(); }));
  }
  EXPECT_TRUE(try_to([&] { return (got = ns.get("key")).code(); }));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->view(), "value");
  EXPECT_TRUE(try_to([&] { return ns.get("absent").code(); }));
  // Nobody has timed out: they were only tried.
  EXPECT_EQ(ns.metadata()->timeouts, 0U);
}

}  // namespace
}  // namespace rkvs::internal
