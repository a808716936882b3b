#include "runtime/autosave.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/manual_clock.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using namespace std::chrono_literals;
using testing::is_ok;
using testing::ManualClock;
using testing::scaled_down;
using testing::test_scale;
using testing::Threads;

// What a task saves, in place of a store. Safe for concurrent use.
class FakeStore {
 public:
  Autosave::Job job() {
    return {.save = [this](const AutosavePattern&, const std::string& file) { return save(file); },
            .changes =
                [this] {
                  return AutosaveChanges{0, changes.load()};
                }};
  }
  void change(uint64_t by = 1) { changes.fetch_add(by); }
  // All saves that were tried.
  std::vector<std::string> files() const {
    const std::lock_guard lock(mutex_);
    return files_;
  }
  size_t saves() const { return files().size(); }
  // Called in the middle of each save; set it while there is none.
  std::function<Status()> in_save;

  std::atomic<uint64_t> changes{0};

 private:
  Status save(const std::string& file) {
    {
      const std::lock_guard lock(mutex_);
      files_.push_back(file);
    }
    return in_save ? in_save() : Status();
  }

  mutable std::mutex mutex_;
  std::vector<std::string> files_;
};

// Stops the first one that comes through, until it is let go.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    visited_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void await_visitor() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return visited_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool visited_ = false;
  bool open_ = false;
};

Autosave::Record record(std::string name, AutosaveConfig config, uint64_t owner = 1) {
  auto pattern = AutosavePattern::parse(config.file, name);
  EXPECT_TRUE(is_ok(pattern));
  return {std::move(name), owner, std::move(config), *std::move(pattern)};
}

// How many threads of this process are autosave's.
int autosave_threads() {
  int count = 0;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::ifstream in(task.path() / "comm");
    std::string name;
    if (std::getline(in, name) && name == "rkvs-autosave") ++count;
  }
  return count;
}

bool comes_true(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + 2min;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

class AutosaveTest : public ::testing::Test {
 protected:
  AutosaveTest()
      : autosave_(
            [this](LogLevel level, std::string_view text) {
              {
                const std::lock_guard lock(mutex_);
                log_.emplace_back(level, std::string(text));
              }
              if (hook_) hook_();
            },
            clock_) {}

  Status add(const std::string& name, const AutosaveConfig& config, uint64_t owner = 1) {
    return autosave_.add(record(name, config, owner), store_.job());
  }
  AutosaveStatus status_of(std::string_view name) {
    const auto list = autosave_.list();
    EXPECT_TRUE(is_ok(list));
    for (const AutosaveStatus& status : *list) {
      if (status.namespace_name == name) return status;
    }
    ADD_FAILURE() << "no task " << name;
    return {};
  }
  std::vector<std::pair<LogLevel, std::string>> log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

  ManualClock clock_;
  FakeStore store_;
  std::mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> log_;
  std::function<void()> hook_;
  Autosave autosave_;  // last: its thread ends first
};

// --- Ticks ---------------------------------------------------------------------------------------

TEST_F(AutosaveTest, D1_TheFirstSaveComesOneIntervalAfterTheStart) {
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f"})));
  clock_.await_idle();
  EXPECT_EQ(store_.saves(), 0U);
  clock_.advance_and_settle(10s - 1ns);
  EXPECT_EQ(store_.saves(), 0U);
  clock_.advance_and_settle(1ns);
  EXPECT_EQ(store_.files(), std::vector<std::string>{"f"});
  const AutosaveStatus status = status_of("n");
  EXPECT_EQ(status.saves, 1U);
  EXPECT_EQ(status.last_file, "f");
  EXPECT_EQ(status.last_success, clock_.wall_time());
  EXPECT_EQ(status.state, AutosaveState::kWaiting);
  EXPECT_FALSE(status.last_failure.has_value());
  EXPECT_TRUE(status.last_error.ok());
}

TEST_F(AutosaveTest, D1_ARecordAloneSavesNothing) {
  ASSERT_TRUE(*autosave_.keep(record("n", {.interval = 1s, .file = "f"})));
  ASSERT_TRUE(is_ok(add("other", {.interval = 100h, .file = "g"})));
  clock_.advance_and_settle(10h);
  EXPECT_EQ(store_.saves(), 0U);
  EXPECT_EQ(status_of("n").state, AutosaveState::kStopped);
  ASSERT_TRUE(is_ok(autosave_.start("n", 1, store_.job())));
  clock_.await_idle();
  EXPECT_EQ(store_.saves(), 0U);
  clock_.advance_and_settle(1s);
  EXPECT_EQ(store_.files(), std::vector<std::string>{"f"});
}

TEST_F(AutosaveTest, SavesAtEachTickThatFindsSomethingNew) {
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "{ns}-{ts}"})));
  clock_.advance_and_settle(10s);
  clock_.advance_and_settle(10s);
  clock_.advance_and_settle(10s);
  EXPECT_EQ(store_.saves(), 1U) << "the first, and nothing has changed since";
  store_.change();
  clock_.advance_and_settle(10s);
  EXPECT_EQ(store_.files(),
            (std::vector<std::string>{"n-20260102T030415.678Z", "n-20260102T030445.678Z"}));
  EXPECT_EQ(status_of("n").unchanged_ticks, 2U);
  EXPECT_EQ(status_of("n").skipped_ticks, 0U);
}

TEST_F(AutosaveTest, SavesAfterSoManyChanges) {
  ASSERT_TRUE(is_ok(add("n", {.changes = 10, .file = "f"})));
  clock_.advance_and_settle(1h);
  EXPECT_EQ(store_.saves(), 0U);
  store_.change(9);
  clock_.advance_and_settle(1s);
  EXPECT_EQ(store_.saves(), 0U);
  store_.change(1);
  clock_.advance_and_settle(1s);
  EXPECT_EQ(store_.saves(), 1U);
  store_.change(9);
  clock_.advance_and_settle(1s);
  EXPECT_EQ(store_.saves(), 1U);
  store_.change(1);
  clock_.advance_and_settle(1s);
  EXPECT_EQ(store_.saves(), 2U);
}

TEST_F(AutosaveTest, D18_ASaveLongerThanItsIntervalSkipsTicksAndMakesNoBurst) {
  store_.in_save = [this] {
    if (store_.saves() == 1) clock_.advance(35s);
    store_.change();
    return Status();
  };
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f"})));
  clock_.advance(10s);
  ASSERT_TRUE(comes_true([&] { return status_of("n").saves == 1; }));
  clock_.await_idle();
  EXPECT_EQ(store_.saves(), 1U) << "at 45 s, and the ticks of 20, 30 and 40 s are gone";
  EXPECT_EQ(status_of("n").skipped_ticks, 3U);
  EXPECT_EQ(status_of("n").last_duration, 35s);
  clock_.advance_and_settle(5s);
  EXPECT_EQ(store_.saves(), 2U) << "at 50 s";
}

TEST_F(AutosaveTest, TasksThatAreDueTogetherAllGetTheirTurn) {
  constexpr size_t kTasks = 50;
  for (size_t i = 0; i < kTasks; ++i) {
    ASSERT_TRUE(is_ok(add("n" + std::to_string(i), {.interval = 10s, .file = "{ns}"})));
  }
  for (size_t tick = 1; tick <= 3; ++tick) {
    store_.change();
    clock_.advance_and_settle(10s);
    EXPECT_EQ(store_.saves(), tick * kTasks);
  }
  const auto list = autosave_.list();
  ASSERT_TRUE(is_ok(list));
  ASSERT_EQ(list->size(), kTasks);
  for (const AutosaveStatus& status : *list) {
    EXPECT_EQ(status.saves, 3U) << status.namespace_name;
    EXPECT_EQ(status.last_file, status.namespace_name);
  }
}

// A task that is always due does not keep the others waiting.
TEST_F(AutosaveTest, ABusyTaskDoesNotStarveTheOthers) {
  FakeStore busy;
  busy.in_save = [] { return Status(StatusCode::kIo, "no disk"); };
  // Called when its failure is told: its next tick is there before anybody looks.
  hook_ = [this] { clock_.advance(1s); };
  ASSERT_TRUE(is_ok(autosave_.add(record("a", {.interval = 1s, .file = "a"}), busy.job())));
  ASSERT_TRUE(is_ok(add("b", {.interval = 5s, .file = "b"})));
  clock_.advance(1s);
  EXPECT_TRUE(comes_true([&] { return store_.saves() == 1; }));
  EXPECT_TRUE(is_ok(autosave_.stop("a")));
  EXPECT_GE(busy.saves(), 4U);
}

// --- Failures ------------------------------------------------------------------------------------

TEST_F(AutosaveTest, D18_FailuresAreInTheStatusAndInTheLogAndTheNextTickTriesAgain) {
  std::atomic<bool> broken{true};
  store_.in_save = [&] { return broken ? Status(StatusCode::kIo, "the disk is full") : Status(); };
  ASSERT_TRUE(is_ok(add("users", {.interval = 10s, .file = "f"})));
  clock_.advance_and_settle(10s);
  AutosaveStatus status = status_of("users");
  EXPECT_EQ(status.failures, 1U);
  EXPECT_EQ(status.saves, 0U);
  EXPECT_EQ(status.last_error.code(), StatusCode::kIo);
  EXPECT_EQ(status.last_failure, clock_.wall_time());
  EXPECT_EQ(status.last_file, "");
  EXPECT_EQ(status.state, AutosaveState::kWaiting);
  ASSERT_EQ(log().size(), 1U);
  EXPECT_EQ(log()[0].first, LogLevel::kError);
  for (const char* part : {"users", "\"f\"", "Io", "the disk is full"}) {
    EXPECT_NE(log()[0].second.find(part), std::string::npos) << log()[0].second;
  }

  clock_.advance_and_settle(10s);
  EXPECT_EQ(status_of("users").failures, 2U);
  broken = false;
  clock_.advance_and_settle(10s);
  status = status_of("users");
  EXPECT_EQ(status.saves, 1U);
  EXPECT_EQ(status.failures, 2U);
  EXPECT_EQ(status.last_error.code(), StatusCode::kIo) << "it stays to be read";
  ASSERT_EQ(log().size(), 3U);
  EXPECT_EQ(log()[2].first, LogLevel::kInfo) << log()[2].second;
}

TEST_F(AutosaveTest, D17_ATaskOutlivesWhateverItsFunctionsThrow) {
  store_.in_save = []() -> Status { throw std::bad_alloc(); };
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f"})));
  clock_.advance_and_settle(10s);
  EXPECT_EQ(status_of("n").last_error.code(), StatusCode::kNoMemory);
  EXPECT_EQ(status_of("n").state, AutosaveState::kWaiting);

  FakeStore other;
  std::atomic<bool> out_of_memory{false};
  Autosave::Job job = other.job();
  job.changes = [&]() -> AutosaveChanges {
    if (out_of_memory) throw std::bad_alloc();
    return {};
  };
  ASSERT_TRUE(is_ok(autosave_.add(record("m", {.interval = 10s, .file = "g"}), job)));
  clock_.advance_and_settle(10s);
  EXPECT_EQ(other.saves(), 1U);
  out_of_memory = true;
  clock_.advance_and_settle(10s);
  EXPECT_EQ(other.saves(), 2U) << "what is not known to be unchanged is saved";
}

// --- Stopping and replacing ----------------------------------------------------------------------

TEST_F(AutosaveTest, D16_ARunningTaskIsNotReplacedAndAStoppedOneNeverSavesAgain) {
  FakeStore second;
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "first"})));
  EXPECT_EQ(autosave_.add(record("n", {.interval = 1s, .file = "second"}), second.job()).code(),
            StatusCode::kAutosaveExists);
  EXPECT_EQ(status_of("n").config.file, "first");
  ASSERT_TRUE(is_ok(autosave_.stop("n")));
  EXPECT_EQ(autosave_.stop("n").code(), StatusCode::kAutosaveNotRunning);
  EXPECT_EQ(autosave_.stop("absent").code(), StatusCode::kAutosaveNotRunning);
  ASSERT_TRUE(is_ok(autosave_.add(record("n", {.interval = 10s, .file = "second"}), second.job())));
  store_.change();
  second.change();
  clock_.advance_and_settle(10s);
  EXPECT_EQ(store_.saves(), 0U) << "the one that was stopped is gone";
  EXPECT_EQ(second.files(), std::vector<std::string>{"second"});
  EXPECT_EQ(autosave_.config_of("n")->file, "second") << "and this is what is recorded";
  EXPECT_EQ(autosave_.list()->size(), 1U);
}

TEST_F(AutosaveTest, D3_StoppingWaitsForTheSaveThatIsOn) {
  for (const bool forget : {false, true}) {
    FakeStore store;
    Gate gate;
    store.in_save = [&] {
      gate.pass();
      return Status();
    };
    ASSERT_TRUE(is_ok(autosave_.add(record("n", {.interval = 10s, .file = "f"}), store.job())));
    clock_.advance(10s);
    gate.await_visitor();
    EXPECT_EQ(status_of("n").state, AutosaveState::kSaving);
    std::atomic<bool> returned{false};
    Threads stopper;
    stopper.start([&] {
      if (forget) {
        autosave_.forget("n", 1);
      } else {
        EXPECT_TRUE(is_ok(autosave_.stop("n")));
      }
      returned = true;
    });
    std::this_thread::sleep_for(20ms);
    EXPECT_FALSE(returned);
    gate.open();
    stopper.join();
    EXPECT_EQ(store.saves(), 1U);
    if (!forget) {
      EXPECT_EQ(status_of("n").saves, 1U) << "it ended cleanly, and counts";
      EXPECT_EQ(status_of("n").state, AutosaveState::kStopped);
      autosave_.forget("n", 1);
    }
    EXPECT_TRUE(autosave_.list()->empty());
  }
}

// Stopped in mid-save, started again by somebody else, and stopped again: the save is still on.
TEST_F(AutosaveTest, D3_StoppingWaitsForASaveFromBeforeTheTaskWasStartedAgain) {
  Gate gate;
  store_.in_save = [&] {
    gate.pass();
    return Status();
  };
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f"})));
  clock_.advance(10s);
  gate.await_visitor();
  std::atomic<int> stopped{0};
  Threads stoppers;
  for (const bool forget : {false, true}) {
    stoppers.start([&, forget] {
      if (forget) {
        EXPECT_TRUE(comes_true([&] { return is_ok(autosave_.start("n", 1, store_.job())); }));
        autosave_.forget("n", 1);
      } else {
        EXPECT_TRUE(is_ok(autosave_.stop("n")));
      }
      ++stopped;
    });
  }
  EXPECT_TRUE(comes_true([&] { return autosave_.list()->empty(); }));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(stopped, 0);
  gate.open();
  stoppers.join();
  EXPECT_EQ(store_.saves(), 1U);
}

TEST_F(AutosaveTest, StartingAgainKeepsTheFiguresAndSavesOneIntervalLater) {
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f"})));
  EXPECT_EQ(autosave_.start("n", 1, store_.job()).code(), StatusCode::kAutosaveExists);
  EXPECT_EQ(autosave_.start("m", 1, store_.job()).code(), StatusCode::kAutosaveNotConfigured);
  clock_.advance_and_settle(10s);
  ASSERT_TRUE(is_ok(autosave_.stop("n")));
  clock_.advance(15s);
  ASSERT_TRUE(is_ok(autosave_.start("n", 1, store_.job())));
  clock_.advance_and_settle(9s);
  EXPECT_EQ(store_.saves(), 1U);
  clock_.advance_and_settle(1s);
  EXPECT_EQ(store_.saves(), 2U) << "the first of a task always writes";
  EXPECT_EQ(status_of("n").saves, 2U);
}

TEST_F(AutosaveTest, ANameThatWasGivenAwayHasTheTaskOfItsLastOwner) {
  FakeStore later;
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f"}, 5)));
  // 5 is being deleted while 6 has come already.
  ASSERT_TRUE(is_ok(autosave_.add(record("n", {.interval = 10s, .file = "f"}, 6), later.job())));
  EXPECT_EQ(add("n", {.interval = 10s, .file = "f"}, 5).code(), StatusCode::kNamespaceNotFound);
  EXPECT_EQ(autosave_.start("n", 5, store_.job()).code(), StatusCode::kNamespaceNotFound);
  autosave_.forget("n", 5);
  clock_.advance_and_settle(10s);
  EXPECT_EQ(store_.saves(), 0U);
  EXPECT_EQ(later.saves(), 1U);
  autosave_.forget("n", 6);
  EXPECT_TRUE(autosave_.list()->empty());
}

TEST_F(AutosaveTest, RunningTasksDoNotShareFiles) {
  ASSERT_TRUE(is_ok(add("a", {.interval = 10s, .file = "f"})));
  EXPECT_EQ(add("b", {.interval = 10s, .file = "f"}).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(is_ok(add("b", {.interval = 10s, .file = "{ns}-{ts}"})));
  EXPECT_EQ(add("c", {.interval = 10s, .file = "b-{ts}"}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(autosave_.list()->size(), 2U) << "what is refused is not recorded";
  ASSERT_TRUE(is_ok(autosave_.stop("a")));
  EXPECT_TRUE(is_ok(add("c", {.interval = 10s, .file = "f"})));
  EXPECT_EQ(autosave_.start("a", 1, store_.job()).code(), StatusCode::kInvalidArgument);
}

TEST_F(AutosaveTest, TheThreadIsThereWhileTasksRun) {
  // Those of tests before this one may take a moment to go.
  ASSERT_TRUE(comes_true([] { return autosave_threads() == 0; }));
  ASSERT_TRUE(*autosave_.keep(record("kept", {.interval = 1s, .file = "k"})));
  EXPECT_EQ(autosave_threads(), 0);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(is_ok(add("a", {.interval = 1s, .file = "a"})));
    ASSERT_TRUE(is_ok(add("b", {.interval = 1s, .file = "b"})));
    EXPECT_TRUE(comes_true([&] { return autosave_threads() == 1; }));
    ASSERT_TRUE(is_ok(autosave_.stop("a")));
    clock_.await_idle();
    EXPECT_EQ(autosave_threads(), 1);
    autosave_.forget("b", 1);
    EXPECT_TRUE(comes_true([&] { return autosave_threads() == 0; }));
  }
}

// --- The end -------------------------------------------------------------------------------------

TEST_F(AutosaveTest, D18_ClosingSavesOnceMoreWhereThatWasAskedFor) {
  FakeStore final_one;
  FakeStore never;
  FakeStore stopped;
  FakeStore unchanged;
  const AutosaveConfig config = {.interval = 10s, .file = "{ns}", .final_save = true};
  ASSERT_TRUE(is_ok(autosave_.add(record("final", config), final_one.job())));
  ASSERT_TRUE(is_ok(autosave_.add(record("stopped", config), stopped.job())));
  ASSERT_TRUE(is_ok(autosave_.add(record("unchanged", config), unchanged.job())));
  ASSERT_TRUE(
      is_ok(autosave_.add(record("never", {.interval = 10s, .file = "{ns}"}), never.job())));
  clock_.advance_and_settle(10s);
  ASSERT_TRUE(is_ok(autosave_.stop("stopped")));
  for (FakeStore* store : {&final_one, &never, &stopped}) store->change();
  EXPECT_TRUE(is_ok(autosave_.close()));
  EXPECT_EQ(final_one.saves(), 2U);
  EXPECT_EQ(stopped.saves(), 1U);
  EXPECT_EQ(unchanged.saves(), 1U);
  EXPECT_EQ(never.saves(), 1U);
  EXPECT_TRUE(comes_true([] { return autosave_threads() == 0; }));
  for (const AutosaveStatus& status : *autosave_.list()) {
    EXPECT_EQ(status.state, AutosaveState::kStopped) << status.namespace_name;
  }

  EXPECT_EQ(add("n", config).code(), StatusCode::kClosed);
  EXPECT_EQ(autosave_.start("never", 1, never.job()).code(), StatusCode::kClosed);
  EXPECT_EQ(autosave_.keep(record("n", config)).code(), StatusCode::kClosed);
  EXPECT_EQ(autosave_.stop("never").code(), StatusCode::kAutosaveNotRunning);
}

TEST_F(AutosaveTest, D18_ATaskThatNeverSavedWritesAtTheEndWithoutAnyChange) {
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f", .final_save = true})));
  EXPECT_TRUE(is_ok(autosave_.close()));
  EXPECT_EQ(store_.saves(), 1U);
}

TEST_F(AutosaveTest, ClosingReturnsTheFirstErrorToEverybody) {
  FakeStore broken;
  broken.in_save = [] { return Status(StatusCode::kIo, "no disk"); };
  ASSERT_TRUE(is_ok(
      autosave_.add(record("a", {.interval = 1s, .file = "a", .final_save = true}), broken.job())));
  ASSERT_TRUE(is_ok(add("b", {.interval = 1s, .file = "b", .final_save = true})));
  Threads closers;
  closers.start(4, [&](int) { EXPECT_EQ(autosave_.close().code(), StatusCode::kIo); });
  closers.join();
  EXPECT_EQ(autosave_.close().code(), StatusCode::kIo);
  EXPECT_EQ(broken.saves(), 1U);
  EXPECT_EQ(store_.saves(), 1U) << "the others save all the same";
  ASSERT_EQ(log().size(), 1U);
}

TEST_F(AutosaveTest, ClosingWaitsForTheSaveThatIsOn) {
  Gate gate;
  store_.in_save = [&] {
    gate.pass();
    return Status();
  };
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f"})));
  clock_.advance(10s);
  gate.await_visitor();
  std::atomic<bool> closed{false};
  Threads closer;
  closer.start([&] {
    EXPECT_TRUE(is_ok(autosave_.close()));
    closed = true;
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(closed);
  gate.open();
  closer.join();
  EXPECT_EQ(status_of("n").saves, 1U);
}

// --- From the log hook ---------------------------------------------------------------------------

TEST_F(AutosaveTest, WhatWouldWaitForTheThreadIsWouldDeadlockOnIt) {
  FakeStore broken;
  broken.in_save = [] { return Status(StatusCode::kIo, "no disk"); };
  std::atomic<int> calls{0};
  hook_ = [&] {
    if (calls.fetch_add(1) != 0) return;
    EXPECT_TRUE(autosave_.on_own_thread());
    EXPECT_EQ(autosave_.stop("n").code(), StatusCode::kWouldDeadlock);
    EXPECT_EQ(autosave_.stop("other").code(), StatusCode::kWouldDeadlock);
    EXPECT_EQ(autosave_.close().code(), StatusCode::kWouldDeadlock);
    // Everything else works here.
    EXPECT_EQ(status_of("n").failures, 1U);
    EXPECT_TRUE(is_ok(add("added", {.interval = 10s, .file = "added"})));
    autosave_.forget("other", 1);
  };
  ASSERT_TRUE(is_ok(autosave_.add(record("n", {.interval = 10s, .file = "n"}), broken.job())));
  ASSERT_TRUE(is_ok(add("other", {.interval = 100s, .file = "other"})));
  EXPECT_FALSE(autosave_.on_own_thread());
  clock_.advance_and_settle(10s);
  clock_.advance_and_settle(10s);
  EXPECT_EQ(calls, 2) << "the task that could not be stopped goes on";
  EXPECT_EQ(store_.files(), std::vector<std::string>{"added"});
  EXPECT_EQ(autosave_.list()->size(), 2U);
}

// A save that, by its own doing, finds its namespace deleted, is no news.
TEST_F(AutosaveTest, WhatWasForgottenInMidSaveIsNotReported) {
  store_.in_save = [this] {
    autosave_.forget("n", 1);
    return Status(StatusCode::kNamespaceNotFound, "gone");
  };
  ASSERT_TRUE(is_ok(add("n", {.interval = 10s, .file = "f"})));
  ASSERT_TRUE(is_ok(add("other", {.interval = 100h, .file = "g"})));
  clock_.advance_and_settle(10s);
  EXPECT_EQ(store_.saves(), 1U);
  EXPECT_TRUE(log().empty());
}

// --- Everything at once --------------------------------------------------------------------------

// Each thread has names of its own and knows when one may save: from before it starts until the
// stop has returned.
TEST(AutosaveStress, D16_NothingSavesThatHasBeenStopped) {
  constexpr int kThreads = 4;
  const int rounds = scaled_down(400) * test_scale();
  Autosave autosave(nullptr);
  std::atomic<uint64_t> saves{0};
  std::atomic<bool> stop{false};
  Threads readers;
  const testing::StopAtExit stop_at_exit(stop);
  readers.start([&] {
    while (!stop.load()) EXPECT_TRUE(is_ok(autosave.list()));
  });
  Threads threads;
  threads.start(kThreads, [&](int t) {
    std::atomic<bool> allowed{false};
    std::atomic<uint64_t> changes{0};
    const std::string name = "n" + std::to_string(t);
    const Autosave::Job job = {.save =
                                   [&](const AutosavePattern&, const std::string&) {
                                     EXPECT_TRUE(allowed.load());
                                     std::this_thread::yield();
                                     EXPECT_TRUE(allowed.load());
                                     saves.fetch_add(1);
                                     return Status();
                                   },
                               .changes =
                                   [&] {
                                     return AutosaveChanges{0, ++changes};
                                   }};
    for (int i = 0; i < rounds; ++i) {
      allowed = true;
      const uint64_t owner = static_cast<uint64_t>(i);
      if (i % 3 == 2) {
        EXPECT_TRUE(is_ok(autosave.start(name, owner, job)));
      } else {
        EXPECT_TRUE(is_ok(autosave.add(record(name, {.interval = 1ms, .file = name}, owner), job)));
      }
      const uint64_t seen = saves.load();
      if (i % 4 == 0) {
        EXPECT_TRUE(comes_true([&] { return saves.load() > seen; }));
      }
      if (i % 3 == 1) {
        EXPECT_TRUE(is_ok(autosave.stop(name)));
      } else {
        autosave.forget(name, owner);
      }
      allowed = false;
    }
    autosave.forget(name, UINT64_MAX);
  });
  threads.join();
  EXPECT_GT(saves.load(), 0U);
  EXPECT_TRUE(autosave.list()->empty());
  EXPECT_TRUE(is_ok(autosave.close()));
}

// However close the last task's end and the next one's start come together, somebody is at work.
TEST(AutosaveStress, ATaskStartedAsTheThreadEndsIsRunAllTheSame) {
  const int rounds = scaled_down(300) * test_scale();
  Autosave autosave(nullptr);
  FakeStore store;
  for (int i = 0; i < rounds; ++i) {
    const size_t saves = store.saves();
    ASSERT_TRUE(is_ok(autosave.add(record("n", {.interval = 1ms, .file = "f"}), store.job())));
    ASSERT_TRUE(comes_true([&] { return store.saves() > saves; })) << i;
    ASSERT_TRUE(is_ok(autosave.stop("n")));
    if (i % 2 == 0) std::this_thread::yield();
  }
}

}  // namespace
}  // namespace rkvs::internal
