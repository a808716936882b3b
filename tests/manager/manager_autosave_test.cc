// Autosave of whole stores: what is on the disk, after restarts too.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "manager/manager_impl.h"
#include "snapshot/writer.h"
#include "tests/manager/hooked_file_system.h"
#include "tests/manager/manager_test_util.h"
#include "tests/support/manual_clock.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using namespace std::chrono_literals;
using internal::ManagerImpl;
using internal::NamespaceImpl;
using testing::ManualClock;
using testing::scaled_down;
using testing::StopAtExit;
using Names = std::vector<std::string>;

// What a new process would find in the file.
std::unique_ptr<StorageManager> reload(const TempDir& directory, std::string_view file) {
  auto manager = std::make_unique<StorageManager>(StorageOptions{.directory = directory.path()});
  EXPECT_OK(manager->initialize(file));
  return manager;
}

// Stops the first thread that makes one certain call, until it is let go.
class Gate {
 public:
  Gate(HookedFileSystem& fs, std::string call) : call_(std::move(call)) {
    fs.set_hook([this](std::string_view name) {
      if (name == call_) wait_here();
      return 0;
    });
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
  void wait_here() {
    std::unique_lock lock(mutex_);
    visited_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }

  const std::string call_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool visited_ = false;
  bool open_ = false;
};

class ManagerAutosave : public ::testing::Test {
 protected:
  // Not initialised.
  void build(StorageOptions options = {}) {
    options.directory = directory_.path();
    options.log = [this](LogLevel level, std::string_view text) {
      {
        const std::lock_guard lock(mutex_);
        log_.emplace_back(level, std::string(text));
      }
      if (hook_) hook_();
    };
    manager_ = std::make_unique<ManagerImpl>(std::move(options), fs_, clock_);
  }
  void start(StorageOptions options = {}) {
    build(std::move(options));
    ASSERT_OK(manager_->initialize(std::nullopt));
  }
  Namespace create(std::string_view name) {
    auto created = manager_->create(name, {});
    EXPECT_OK(created);
    return NamespaceImpl::handle(*created);
  }
  AutosaveStatus status_of(std::string_view name) {
    const auto list = manager_->list_autosave();
    EXPECT_OK(list);
    for (const AutosaveStatus& status : *list) {
      if (status.namespace_name == name) return status;
    }
    ADD_FAILURE() << "no task \"" << name << '"';
    return {};
  }
  Names tasks() {
    Names names;
    for (const AutosaveStatus& status : *manager_->list_autosave()) {
      names.push_back(status.namespace_name);
    }
    return names;
  }
  size_t logged(LogLevel level, std::string_view text) {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (const auto& [at, message] : log_) {
      if (at == level && message.find(text) != std::string::npos) ++count;
    }
    return count;
  }
  Contents contents(std::string_view file, std::string_view name) {
    return contents_of(find(*reload(directory_, file), name));
  }

  TempDir directory_;
  HookedFileSystem fs_;
  ManualClock clock_;
  std::mutex mutex_;
  std::vector<std::pair<LogLevel, std::string>> log_;
  std::function<void()> hook_;
  std::unique_ptr<ManagerImpl> manager_;
};

// --- Restarts (D1) -------------------------------------------------------------------------------

TEST(ManagerAutosaveRestart, D1_TwoHundredQuickRestartsNeverOverwriteTheStore) {
  const TempDir directory;
  Contents contents;
  for (int i = 0; i < 100; ++i) contents[std::to_string(i)] = std::string(100, 'v');
  {
    StorageManager manager = manager_in(directory);
    ASSERT_OK(manager.initialize());
    fill(*manager.create_namespace("n"), contents);
    ASSERT_OK(manager.save_all("store"));
  }
  for (int i = 0; i < 200; ++i) {
    SCOPED_TRACE(i);
    const AutosaveConfig often = {
        .interval = 1ms, .changes = 1, .file = "store", .final_save = i % 2 == 0};
    StorageManager manager =
        StorageManagerBuilder()
            .with_persistence(directory.path())
            .with_manager_autosave(often)
            .with_namespace_autosave("n", {.interval = 1ms, .file = "{ns}.one"})
            .build();
    if (i % 5 == 1) continue;  // it goes before it was initialised
    ASSERT_OK(manager.initialize("store"));
    ASSERT_EQ(manager.load_report()->keys, contents.size());
    ASSERT_TRUE(manager.load_report()->skipped.empty());
    if (i % 5 == 2) std::this_thread::sleep_for(3ms);
    if (i % 5 == 3) {
      ASSERT_OK(find(manager, "n").put("0", contents["0"]));
    }
  }
  EXPECT_EQ(contents_of(find(*reload(directory, "store"), "n")), contents);
}

TEST_F(ManagerAutosave, D1_NothingIsWrittenBeforeInitializeHasSucceeded) {
  write_file(directory_ / "store", "no snapshot at all");
  build({.manager_autosave = AutosaveConfig{.interval = 1s, .file = "store", .final_save = true},
         .namespace_autosave = {{"n", {.interval = 1s, .file = "n", .final_save = true}}}});
  clock_.advance(1h);
  EXPECT_CODE(manager_->initialize("store"), kSnapshotCorrupt);
  clock_.advance(1h);
  EXPECT_CODE(manager_->add_namespace_autosave("n", {.interval = 1s, .file = "x"}),
              kNotInitialized);
  EXPECT_CODE(manager_->start_namespace_autosave("n"), kNotInitialized);
  EXPECT_CODE(manager_->start_missing_autosave(), kNotInitialized);
  EXPECT_CODE(manager_->list_autosave(), kNotInitialized);
  EXPECT_CODE(manager_->stop_namespace_autosave("n"), kNotInitialized);
  EXPECT_CODE(manager_->stop_manager_autosave(), kNotInitialized);
  EXPECT_OK(manager_->close());
  EXPECT_EQ(directory_.names(), Names{"store"});
  EXPECT_EQ(read_file(directory_ / "store"), "no snapshot at all");
}

TEST_F(ManagerAutosave, D1_TheFirstSaveComesOneIntervalAfterInitialize) {
  start({.manager_autosave = AutosaveConfig{.interval = 10s, .file = "store"}});
  ASSERT_OK(create("n").put("k", "v"));
  clock_.advance_and_settle(10s - 1ms);
  EXPECT_TRUE(directory_.names().empty());
  clock_.advance_and_settle(1ms);
  EXPECT_EQ(directory_.names(), Names{"store"});
  EXPECT_EQ(contents("store", "n"), (Contents{{"k", "v"}}));
  const AutosaveStatus status = status_of("");
  EXPECT_TRUE(status.is_manager);
  EXPECT_EQ(status.saves, 1U);
  EXPECT_EQ(status.last_file, "store");
}

// --- Configuration -------------------------------------------------------------------------------

TEST_F(ManagerAutosave, D17_OptionsThatCannotWorkAreRefusedByInitialize) {
  const AutosaveConfig good = {.interval = 1s, .file = "f"};
  const auto initialize = [&](StorageOptions options) {
    build(std::move(options));
    Status status = manager_->initialize(std::nullopt);
    EXPECT_EQ(manager_->is_initialized(), status.ok());
    return status;
  };
  EXPECT_CODE(initialize({.manager_autosave = AutosaveConfig{.file = "f"}}), kInvalidArgument);
  EXPECT_CODE(initialize({.manager_autosave = AutosaveConfig{.interval = -1ms, .file = "f"}}),
              kInvalidArgument);
  EXPECT_CODE(initialize({.manager_autosave = AutosaveConfig{.interval = 1s, .file = "../f"}}),
              kInvalidName);
  EXPECT_CODE(initialize({.manager_autosave = AutosaveConfig{.interval = 1s, .file = "{ns}"}}),
              kInvalidName);
  EXPECT_CODE(initialize({.namespace_autosave = {{"n", {.interval = 1s, .file = "f.1"}}}}),
              kInvalidName);
  EXPECT_CODE(initialize({.namespace_autosave = {{"", good}}}), kInvalidName);
  EXPECT_CODE(initialize({.namespace_autosave = {{"a\nb", good}}}), kInvalidName);
  EXPECT_CODE(initialize({.namespace_autosave = {{"a", good}, {"b", good}}}), kInvalidArgument);
  EXPECT_CODE(initialize({.manager_autosave = good, .namespace_autosave = {{"a", good}}}),
              kInvalidArgument);
  EXPECT_OK(initialize({.manager_autosave = good,
                        .namespace_autosave = {{"a", {.changes = 1, .file = "{ns}"}},
                                               {"b", {.changes = 1, .file = "{ns}"}}}}));

  StorageManager nowhere({.manager_autosave = good});
  EXPECT_CODE(nowhere.initialize(), kNoPersistence);
}

TEST_F(ManagerAutosave, D17_TasksThatCannotWorkAreNotAdded) {
  start();
  create("n");
  const auto add = [&](AutosaveConfig config) {
    return manager_->add_namespace_autosave("n", config);
  };
  EXPECT_CODE(add({.file = "f"}), kInvalidArgument);
  EXPECT_CODE(add({.interval = kMaxAutosaveInterval + 1ms, .file = "f"}), kInvalidArgument);
  EXPECT_CODE(add({.interval = 1s}), kInvalidName);
  EXPECT_CODE(add({.interval = 1s, .file = "/etc/passwd"}), kInvalidName);
  EXPECT_CODE(add({.interval = 1s, .file = std::string(190, 'x') + "{ts}"}), kInvalidName);
  EXPECT_CODE(manager_->add_namespace_autosave("absent", {.interval = 1s, .file = "f"}),
              kNamespaceNotFound);
  EXPECT_TRUE(tasks().empty());

  StorageManager nowhere;
  ASSERT_OK(nowhere.initialize());
  ASSERT_OK(nowhere.create_namespace("n"));
  EXPECT_CODE(nowhere.add_namespace_autosave_task("n", {.interval = 1s, .file = "f"}),
              kNoPersistence);
}

TEST_F(ManagerAutosave, TasksOfTheOptionsBeginWithTheirNamespaces) {
  start({.namespace_autosave = {{"n", {.interval = 10s, .file = "{ns}.rkvs"}}}});
  EXPECT_EQ(status_of("n").state, AutosaveState::kStopped) << "it waits for its namespace";
  EXPECT_CODE(manager_->start_namespace_autosave("n"), kNamespaceNotFound);
  EXPECT_EQ(*manager_->start_missing_autosave(), 0U);
  for (const char* value : {"first", "second"}) {
    ASSERT_OK(create("n").put("k", value));
    EXPECT_EQ(status_of("n").state, AutosaveState::kWaiting);
    EXPECT_CODE(manager_->start_namespace_autosave("n"), kAutosaveExists);
    clock_.advance_and_settle(10s);
    EXPECT_EQ(contents("n.rkvs", "n"), (Contents{{"k", value}}));
    ASSERT_OK(manager_->remove("n"));
    EXPECT_EQ(status_of("n").state, AutosaveState::kStopped);
    clock_.advance(10h);
  }
  // Loaded and cloned ones as well.
  ASSERT_OK(manager_->load("n.rkvs", std::nullopt, std::nullopt));
  EXPECT_EQ(status_of("n").state, AutosaveState::kWaiting);
  ASSERT_OK(manager_->remove("n"));
  create("m");
  ASSERT_OK(manager_->clone("m", "n", {}));
  EXPECT_EQ(status_of("n").state, AutosaveState::kWaiting);
}

TEST_F(ManagerAutosave, TasksOfTheOptionsBeginWithWhatInitializeLoads) {
  {
    StorageManager manager = manager_in(directory_);
    ASSERT_OK(manager.initialize());
    ASSERT_OK(manager.create_namespace("n")->put("k", "v"));
    ASSERT_OK(manager.save_all("store"));
  }
  build({.namespace_autosave = {{"n", {.interval = 10s, .file = "{ns}.rkvs"}}}});
  ASSERT_OK(manager_->initialize("store"));
  EXPECT_EQ(status_of("n").state, AutosaveState::kWaiting);
  clock_.advance_and_settle(10s);
  EXPECT_EQ(contents("n.rkvs", "n"), (Contents{{"k", "v"}}));
}

TEST(ManagerAutosaveBuilder, PassesItsConfigurationOn) {
  const TempDir directory;
  const AutosaveConfig whole = {.interval = 1h, .changes = 7, .file = "w", .final_save = true};
  StorageManager manager = StorageManagerBuilder()
                               .with_persistence(directory.path())
                               .with_manager_autosave(whole)
                               .with_namespace_autosave("a", {.interval = 1h, .file = "old"})
                               .with_namespace_autosave("a", {.interval = 2h, .file = "a"})
                               .with_namespace_autosave("b", {.changes = 3, .file = "b"})
                               .build();
  ASSERT_OK(manager.initialize());
  const auto tasks = manager.list_autosave_tasks();
  ASSERT_OK(tasks);
  ASSERT_EQ(tasks->size(), 3U);
  EXPECT_TRUE((*tasks)[0].is_manager);
  EXPECT_EQ((*tasks)[0].config, whole);
  EXPECT_EQ((*tasks)[0].state, AutosaveState::kWaiting);
  EXPECT_EQ((*tasks)[1].namespace_name, "a");
  EXPECT_EQ((*tasks)[1].config.file, "a");
  EXPECT_EQ((*tasks)[2].namespace_name, "b");
  EXPECT_EQ((*tasks)[2].config.changes, 3U);
}

// --- Starting and stopping -----------------------------------------------------------------------

TEST_F(ManagerAutosave, D16_AddingOverARunningTaskIsRefusedAndOverAStoppedOneReplacesIt) {
  start();
  Namespace ns = create("n");
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "old"}));
  EXPECT_CODE(manager_->add_namespace_autosave("n", {.interval = 1s, .file = "new"}),
              kAutosaveExists);
  EXPECT_EQ(status_of("n").config.file, "old");
  ASSERT_OK(manager_->stop_namespace_autosave("n"));
  EXPECT_CODE(manager_->stop_namespace_autosave("n"), kAutosaveNotRunning);
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "new"}));
  ASSERT_OK(ns.put("k", "v"));
  clock_.advance_and_settle(1h);
  EXPECT_EQ(directory_.names(), Names{"new"});
  EXPECT_EQ(status_of("n").config.file, "new");
  ASSERT_OK(manager_->stop_namespace_autosave("n"));
  ASSERT_OK(ns.put("k", "w"));
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 100h, .file = "later"}));
  clock_.advance_and_settle(1h);
  EXPECT_EQ(directory_.names(), Names{"new"}) << "nothing that was stopped is still writing";
}

TEST_F(ManagerAutosave, StartsWhatIsStopped) {
  start({.manager_autosave = AutosaveConfig{.interval = 10s, .file = "all"}});
  for (const char* name : {"a", "b"}) {
    create(name);
    ASSERT_OK(manager_->add_namespace_autosave(name, {.interval = 10s, .file = "{ns}"}));
  }
  EXPECT_EQ(*manager_->start_missing_autosave(), 0U);
  EXPECT_CODE(manager_->start_namespace_autosave("absent"), kAutosaveNotConfigured);
  EXPECT_CODE(manager_->start_namespace_autosave(""), kAutosaveNotConfigured);
  EXPECT_CODE(manager_->stop_namespace_autosave(""), kAutosaveNotRunning);
  EXPECT_EQ(status_of("").state, AutosaveState::kWaiting) << "an empty name is not the manager's";
  ASSERT_OK(manager_->stop_manager_autosave());
  EXPECT_CODE(manager_->stop_manager_autosave(), kAutosaveNotRunning);
  ASSERT_OK(manager_->stop_namespace_autosave("a"));
  ASSERT_OK(manager_->stop_namespace_autosave("b"));
  ASSERT_OK(manager_->start_namespace_autosave("b"));
  EXPECT_EQ(*manager_->start_missing_autosave(), 2U);
  clock_.advance_and_settle(10s);
  EXPECT_EQ(directory_.names(), (Names{"a", "all", "b"}));
}

TEST_F(ManagerAutosave, ATaskThatCannotStartDoesNotHoldUpTheOthers) {
  start();
  for (const char* name : {"a", "b", "c"}) {
    create(name);
    ASSERT_OK(manager_->add_namespace_autosave(name, {.interval = 10s, .file = "{ns}"}));
    ASSERT_OK(manager_->stop_namespace_autosave(name));
  }
  create("d");
  ASSERT_OK(manager_->add_namespace_autosave("d", {.interval = 10s, .file = "b"}));
  EXPECT_CODE(manager_->start_missing_autosave(), kInvalidArgument);
  EXPECT_EQ(status_of("a").state, AutosaveState::kWaiting);
  EXPECT_EQ(status_of("b").state, AutosaveState::kStopped);
  EXPECT_CODE(status_of("b").last_error, kInvalidArgument);
  EXPECT_EQ(status_of("c").state, AutosaveState::kWaiting);
}

// The options asked for a file that somebody else has by now: the namespace is there all the same.
TEST_F(ManagerAutosave, ATaskOfTheOptionsThatCannotStartIsToldAndLeavesTheNamespaceAlone) {
  start({.namespace_autosave = {{"n", {.interval = 10s, .file = "f"}}}});
  create("m");
  ASSERT_OK(manager_->add_namespace_autosave("m", {.interval = 10s, .file = "f"}));
  ASSERT_OK(create("n").put("k", "v"));
  EXPECT_EQ(status_of("n").state, AutosaveState::kStopped);
  EXPECT_CODE(status_of("n").last_error, kInvalidArgument);
  EXPECT_EQ(logged(LogLevel::kError, "\"n\" could not start"), 1U);
}

TEST_F(ManagerAutosave, D3_StoppingInMidSaveWaitsAndLeavesTheFileWhole) {
  for (const char* how : {"stop", "delete"}) {
    SCOPED_TRACE(how);
    start();
    ASSERT_OK(create("n").put("k", how));
    ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "f"}));
    Threads threads;
    Gate gate(fs_, "sync");
    clock_.advance(10s);
    gate.await_visitor();
    EXPECT_EQ(status_of("n").state, AutosaveState::kSaving);
    std::atomic<bool> returned{false};
    threads.start([&] {
      EXPECT_OK(how == std::string("stop") ? manager_->stop_namespace_autosave("n")
                                           : manager_->remove("n"));
      returned = true;
    });
    std::this_thread::sleep_for(20ms);
    EXPECT_FALSE(returned) << "it waits for the disk";
    gate.open();
    threads.join();
    fs_.set_hook(nullptr);
    EXPECT_EQ(contents("f", "n"), (Contents{{"k", how}}));
    for (const std::string& name : directory_.names()) EXPECT_NE(name.front(), '.') << name;
    EXPECT_EQ(tasks(), how == std::string("stop") ? Names{"n"} : Names{});
    manager_.reset();
  }
}

TEST_F(ManagerAutosave, D33_DeletingAnAbsentNamespaceLeavesEveryTaskAsItIs) {
  start({.namespace_autosave = {{"waits", {.interval = 10s, .file = "{ns}"}}}});
  ASSERT_OK(create("n").put("k", "v"));
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "{ns}"}));
  EXPECT_CODE(manager_->remove("waits"), kNamespaceNotFound);
  EXPECT_CODE(manager_->remove("absent"), kNamespaceNotFound);
  EXPECT_CODE(manager_->remove(""), kNamespaceNotFound);
  EXPECT_EQ(tasks(), (Names{"n", "waits"}));
  EXPECT_EQ(status_of("n").state, AutosaveState::kWaiting);
  clock_.advance_and_settle(10s);
  EXPECT_EQ(directory_.names(), Names{"n"});
}

// A namespace of the same name is another one: it has no task, and its file is its own.
TEST_F(ManagerAutosave, ANewNamespaceOfTheNameHasNothingOfTheOldOnesTask) {
  start();
  ASSERT_OK(create("n").put("k", "old"));
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "f"}));
  clock_.advance_and_settle(10s);
  ASSERT_OK(manager_->remove("n"));
  ASSERT_OK(create("n").put("k", "new"));
  EXPECT_CODE(manager_->start_namespace_autosave("n"), kAutosaveNotConfigured);
  EXPECT_TRUE(tasks().empty());
  clock_.advance(1h);
  EXPECT_EQ(contents("f", "n"), (Contents{{"k", "old"}}));
}

// The namespace goes between being found and getting its task.
TEST_F(ManagerAutosave, ATaskThatComesTooLateForItsNamespaceDoesNotStay) {
  start({.namespace_autosave = {{"m", {.interval = 10s, .file = "{ns}"}}}});
  create("n");
  clock_.call_in_next_now([&] { EXPECT_OK(manager_->remove("n")); });
  EXPECT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "{ns}"}));
  EXPECT_CODE(manager_->find("n"), kNamespaceNotFound);
  EXPECT_EQ(tasks(), Names{"m"});
  // The same with one of the options, which waits for the next of its name.
  clock_.call_in_next_now([&] { EXPECT_OK(manager_->remove("m")); });
  create("m");
  EXPECT_CODE(manager_->find("m"), kNamespaceNotFound);
  EXPECT_EQ(status_of("m").state, AutosaveState::kStopped);
  create("m");
  EXPECT_EQ(status_of("m").state, AutosaveState::kWaiting);
}

// --- What is saved -------------------------------------------------------------------------------

TEST_F(ManagerAutosave, WhateverChangesTheStoreIsSavedAndAnUnchangedOneIsNot) {
  start({.manager_autosave = AutosaveConfig{.interval = 10s, .file = "all"}});
  Namespace ns = create("n");
  clock_.advance_and_settle(10s);
  ASSERT_EQ(status_of("").saves, 1U);
  const std::pair<const char*, std::function<void()>> changes[] = {
      {"a new key", [&] { EXPECT_OK(ns.put("k", "v")); }},
      {"the same value again", [&] { EXPECT_OK(ns.put("k", "v")); }},
      {"a key that goes", [&] { EXPECT_OK(ns.delete_key("k")); }},
      {"a batch",
       [&] {
         EXPECT_OK(ns.set_multiple({{"a", "1"}}, BatchMode::kAllOrNothing));
       }},
      {"a limit", [&] { EXPECT_OK(ns.set_max_keys(1000)); }},
      {"a namespace", [&] { create("m"); }},
      {"a namespace that goes", [&] { EXPECT_OK(manager_->remove("m")); }},
      {"one for another",
       [&] {
         EXPECT_OK(manager_->remove("n"));
         ns = create("n");
       }},
      {"the manager's limit", [&] { EXPECT_OK(manager_->update_config({.max_namespaces = 9})); }},
      {"a task, which is in the file too",
       [&] {
         EXPECT_OK(manager_->add_namespace_autosave("n", {.interval = 100h, .file = "{ns}"}));
       }},
  };
  uint64_t saves = 1;
  for (const auto& [what, change] : changes) {
    clock_.advance_and_settle(10s);
    EXPECT_EQ(status_of("").saves, saves) << "nothing before " << what;
    change();
    clock_.advance_and_settle(10s);
    EXPECT_EQ(status_of("").saves, ++saves) << what;
  }
  EXPECT_EQ(status_of("").unchanged_ticks, std::size(changes));
  // Reading changes nothing.
  EXPECT_OK(ns.exists("a"));
  EXPECT_OK(ns.list_keys());
  clock_.advance_and_settle(10s);
  EXPECT_EQ(status_of("").saves, saves);
}

TEST_F(ManagerAutosave, SavesByTheNumberOfChanges) {
  start({.manager_autosave = AutosaveConfig{.changes = 10, .file = "all"},
         .namespace_autosave = {{"n", {.changes = 5, .file = "{ns}"}}}});
  Namespace ns = create("n");
  Namespace other = create("other");
  for (int i = 0; i < 4; ++i) ASSERT_OK(ns.put("k", std::to_string(i)));
  clock_.advance_and_settle(1s);
  EXPECT_TRUE(directory_.names().empty());
  ASSERT_OK(ns.put("k", "4"));
  clock_.advance_and_settle(1s);
  EXPECT_EQ(directory_.names(), Names{"n"});
  EXPECT_EQ(contents("n", "n"), (Contents{{"k", "4"}}));
  for (int i = 0; i < 5; ++i) ASSERT_OK(other.put(std::to_string(i), "v"));
  clock_.advance_and_settle(1s);
  EXPECT_EQ(directory_.names(), (Names{"all", "n"}));
  EXPECT_EQ(status_of("n").saves, 1U);
  ASSERT_EQ(status_of("").saves, 1U);

  // What a namespace saw that is gone counts on, and its coming and going is one change each.
  Namespace goes = create("goes");
  for (int i = 0; i < 6; ++i) ASSERT_OK(goes.put("k", "v"));
  ASSERT_OK(manager_->remove("goes"));
  ASSERT_OK(other.put("k", "v"));
  clock_.advance_and_settle(1s);
  EXPECT_EQ(status_of("").saves, 1U);
  ASSERT_OK(other.put("k", "v"));
  clock_.advance_and_settle(1s);
  EXPECT_EQ(status_of("").saves, 2U);
}

// --- Files (D18) ---------------------------------------------------------------------------------

TEST_F(ManagerAutosave, D18_WithATimestampTheThreeNewestOfThePatternStay) {
  start();
  Namespace ns = create("n");
  create("nn");
  // Of others, or of nobody.
  const Names foreign = {"n-20250101T000000.000Z.rkvs.1", "n-notes.rkvs", "n-2025-01-01.rkvs",
                         "nn-20250101T000000.000Z.rkvs", "n-20250101T000000.000Z.rkvs~"};
  for (const std::string& name : foreign) write_file(directory_ / name, "mine");
  // Of an earlier process.
  write_file(directory_ / "n-20250101T000000.000Z.rkvs", "old");
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "{ns}-{ts}.rkvs"}));
  for (int i = 0; i < 6; ++i) {
    ASSERT_OK(ns.put("k", std::to_string(i)));
    clock_.advance_and_settle(10s);
    EXPECT_EQ(directory_.names().size(), foreign.size() + std::min<size_t>(3, i + 2U));
  }
  Names expected = {"n-20260102T030445.678Z.rkvs", "n-20260102T030455.678Z.rkvs",
                    "n-20260102T030505.678Z.rkvs"};
  EXPECT_EQ(contents(expected[2], "n"), (Contents{{"k", "5"}}));
  EXPECT_EQ(contents(expected[0], "n"), (Contents{{"k", "3"}}));
  EXPECT_EQ(status_of("n").last_file, expected[2]);
  expected.insert(expected.end(), foreign.begin(), foreign.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(directory_.names(), expected);

  // The clock goes back: what was just saved stays.
  clock_.set_wall_time(clock_.wall_time() - 24h * 365);
  ASSERT_OK(ns.put("k", "after"));
  clock_.advance_and_settle(10s);
  EXPECT_EQ(status_of("n").saves, 7U);
  EXPECT_EQ(contents(status_of("n").last_file, "n"), (Contents{{"k", "after"}}));
}

TEST_F(ManagerAutosave, D18_WithoutATimestampTheTwoFilesBeforeStay) {
  start();
  Namespace ns = create("n");
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "{ns}"}));
  for (int i = 0; i < 6; ++i) {
    ASSERT_OK(ns.put("k", std::to_string(i)));
    clock_.advance_and_settle(10s);
  }
  EXPECT_EQ(directory_.names(), (Names{"n", "n.1", "n.2"}));
  EXPECT_EQ(contents("n", "n"), (Contents{{"k", "5"}}));
  EXPECT_EQ(contents("n.2", "n"), (Contents{{"k", "3"}}));
}

TEST_F(ManagerAutosave, D18_AFullDiskIsReportedTheFileStaysAndTheNextTickSucceeds) {
  start({.manager_autosave = AutosaveConfig{.interval = 10s, .file = "store"}});
  Namespace ns = create("n");
  ASSERT_OK(ns.put("k", "before"));
  clock_.advance_and_settle(10s);
  ASSERT_OK(ns.put("k", "after"));
  for (const char* call : {"create", "write", "sync", "rename"}) {
    SCOPED_TRACE(call);
    const uint64_t failures = status_of("").failures;
    fs_.set_hook([call](std::string_view name) { return name == call ? -ENOSPC : 0; });
    clock_.advance_and_settle(10s);
    fs_.set_hook(nullptr);
    EXPECT_EQ(status_of("").failures, failures + 1);
    EXPECT_CODE(status_of("").last_error, kIo);
    EXPECT_EQ(status_of("").saves, 1U);
    EXPECT_EQ(contents("store", "n"), (Contents{{"k", "before"}}));
  }
  EXPECT_EQ(logged(LogLevel::kError, "No space left"), 4U);
  clock_.advance_and_settle(10s);
  EXPECT_EQ(status_of("").saves, 2U);
  EXPECT_EQ(contents("store", "n"), (Contents{{"k", "after"}}));
}

TEST_F(ManagerAutosave, D18_OldFilesThatCannotBeRemovedDoNotMakeTheSaveAFailure) {
  start();
  Namespace ns = create("n");
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 10s, .file = "{ts}"}));
  fs_.set_hook([](std::string_view name) { return name == "unlink" ? -EROFS : 0; });
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(ns.put("k", std::to_string(i)));
    clock_.advance_and_settle(10s);
  }
  EXPECT_EQ(status_of("n").saves, 5U);
  EXPECT_EQ(status_of("n").failures, 0U);
  EXPECT_EQ(directory_.names().size(), 5U);
  EXPECT_EQ(logged(LogLevel::kWarning, "could not remove"), 2U);
  fs_.set_hook(nullptr);
  ASSERT_OK(ns.put("k", "last"));
  clock_.advance_and_settle(10s);
  EXPECT_EQ(directory_.names().size(), 3U) << "the next save catches up";
}

// --- The end -------------------------------------------------------------------------------------

TEST_F(ManagerAutosave, D18_ClosingSavesOnceMoreWhereThatWasAskedFor) {
  start({.config = {.max_namespaces = 7},
         .manager_autosave = AutosaveConfig{.interval = 1h, .file = "all", .final_save = true}});
  Namespace ns = create("n");
  create("m");
  ASSERT_OK(manager_->add_namespace_autosave("n", {.interval = 1h, .file = "n"}));
  ASSERT_OK(manager_->add_namespace_autosave("m", {.changes = 9, .file = "m", .final_save = true}));
  ASSERT_OK(ns.put("k", "last"));
  EXPECT_OK(manager_->close());
  EXPECT_EQ(directory_.names(), (Names{"all", "m"}));
  EXPECT_EQ(contents("all", "n"), (Contents{{"k", "last"}}));
  EXPECT_EQ(reload(directory_, "all")->get_config().max_namespaces, 7U);
  EXPECT_CODE(ns.get("k"), kClosed);
}

TEST(ManagerAutosaveEnd, DestroyingTheManagerClosesIt) {
  const TempDir directory;
  {
    StorageManager manager =
        StorageManagerBuilder()
            .with_persistence(directory.path())
            .with_manager_autosave({.interval = 1h, .file = "all", .final_save = true})
            .build();
    ASSERT_OK(manager.initialize());
    ASSERT_OK(manager.create_namespace("n")->put("k", "v"));
    StorageManager moved = std::move(manager);
    EXPECT_OK(manager.close()) << "nothing to close";
    EXPECT_TRUE(directory.names().empty());
  }
  EXPECT_EQ(contents_of(find(*reload(directory, "all"), "n")), (Contents{{"k", "v"}}));
}

TEST(ManagerAutosaveEnd, AfterClosingEverythingAnswersClosed) {
  const TempDir directory;
  StorageManager manager = manager_in(directory);
  ASSERT_OK(manager.initialize());
  Namespace ns = *manager.create_namespace("n");
  ASSERT_OK(manager.save_all("f"));
  EXPECT_OK(manager.close());
  EXPECT_OK(manager.close());
  EXPECT_FALSE(manager.is_initialized());
  EXPECT_TRUE(manager.has_persistence());
  EXPECT_CODE(ns.put("k", "v"), kClosed);
  EXPECT_CODE(manager.initialize(), kClosed);
  EXPECT_CODE(manager.initialize("f"), kClosed);
  EXPECT_CODE(manager.load_report(), kClosed);
  EXPECT_CODE(manager.create_namespace("a"), kClosed);
  EXPECT_CODE(manager.get_namespace("n"), kClosed);
  EXPECT_CODE(manager.delete_namespace("n"), kClosed);
  EXPECT_CODE(manager.clone_namespace("n", "m"), kClosed);
  EXPECT_CODE(manager.list_namespaces(), kClosed);
  EXPECT_CODE(manager.update_namespace_config("n", {}), kClosed);
  EXPECT_CODE(manager.update_config({}), kClosed);
  EXPECT_CODE(manager.namespace_stats("n"), kClosed);
  EXPECT_CODE(manager.all_namespace_stats(), kClosed);
  EXPECT_CODE(manager.namespace_count(), kClosed);
  EXPECT_CODE(manager.total_key_count(), kClosed);
  EXPECT_CODE(manager.save_all("f"), kClosed);
  EXPECT_CODE(manager.save_namespace("n", "f"), kClosed);
  EXPECT_CODE(manager.load_namespace("f"), kClosed);
  EXPECT_CODE(manager.load_namespace_as("f", "a"), kClosed);
  EXPECT_CODE(manager.load_namespace_as("f", "a", "n"), kClosed);
  EXPECT_CODE(manager.add_namespace_autosave_task("n", {.interval = 1s, .file = "f"}), kClosed);
  EXPECT_CODE(manager.start_namespace_autosave_task("n"), kClosed);
  EXPECT_CODE(manager.start_missing_autosave_tasks(), kClosed);
  EXPECT_CODE(manager.list_autosave_tasks(), kClosed);
  EXPECT_CODE(manager.stop_namespace_autosave("n"), kClosed);
  EXPECT_CODE(manager.stop_manager_autosave(), kClosed);

  StorageManager never = manager_in(directory);
  EXPECT_OK(never.close());
  EXPECT_CODE(never.initialize(), kClosed);
  EXPECT_CODE(never.create_namespace("a"), kClosed);
}

TEST_F(ManagerAutosave, ClosingLetsOthersSaveIntoTheDirectory) {
  start({.manager_autosave = AutosaveConfig{.interval = 1h, .file = "all", .final_save = true}});
  ASSERT_OK(manager_->save(*manager_->all(), "f"));
  const auto other = internal::Directory::open(directory_.path().string());
  ASSERT_TRUE(other.ok());
  EXPECT_CODE(other->lock(), kDirectoryLocked);
  EXPECT_OK(manager_->close());
  EXPECT_OK(other->lock());
}

TEST_F(ManagerAutosave, ClosingReturnsTheFirstErrorOfTheLastSaves) {
  start({.manager_autosave = AutosaveConfig{.interval = 1h, .file = "all", .final_save = true}});
  Namespace ns = create("n");
  fs_.set_hook([](std::string_view name) { return name == "sync" ? -EIO : 0; });
  EXPECT_CODE(manager_->close(), kIo);
  EXPECT_CODE(manager_->close(), kIo);
  EXPECT_EQ(logged(LogLevel::kError, "all"), 1U);
  EXPECT_CODE(ns.get("k"), kClosed) << "closed all the same";
  EXPECT_TRUE(directory_.names().empty());
}

TEST_F(ManagerAutosave, ClosingFromTheLogHookOfAutosaveWouldDeadlockAndChangesNothing) {
  std::atomic<int> calls{0};
  start({.manager_autosave = AutosaveConfig{.interval = 10s, .file = "all"}});
  Namespace ns = create("n");
  create("goes");
  ASSERT_OK(manager_->add_namespace_autosave("goes", {.interval = 1h, .file = "{ns}"}));
  hook_ = [&] {
    if (calls.fetch_add(1) != 0) return;
    EXPECT_CODE(manager_->close(), kWouldDeadlock);
    EXPECT_CODE(manager_->stop_manager_autosave(), kWouldDeadlock);
    EXPECT_CODE(manager_->stop_namespace_autosave("goes"), kWouldDeadlock);
    EXPECT_OK(manager_->remove("goes"));
    EXPECT_OK(manager_->list_autosave());
    EXPECT_OK(manager_->find("n"));
  };
  fs_.set_hook([](std::string_view name) { return name == "create" ? -EIO : 0; });
  clock_.advance_and_settle(10s);
  fs_.set_hook(nullptr);
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(manager_->is_initialized());
  EXPECT_OK(ns.put("k", "v"));
  clock_.advance_and_settle(10s);
  EXPECT_EQ(status_of("").saves, 1U);
  EXPECT_EQ(tasks(), Names{""});
}

// --- In files ------------------------------------------------------------------------------------

TEST_F(ManagerAutosave, ConfigurationsTravelInFilesAndComeBackStopped) {
  const AutosaveConfig config = {.interval = 10s, .changes = 500, .file = "{ns}-{ts}"};
  AutosaveConfig asked = config;
  asked.final_save = true;
  start();
  for (const char* name : {"with", "without", "stopped"}) ASSERT_OK(create(name).put("k", name));
  ASSERT_OK(manager_->add_namespace_autosave("with", asked));
  ASSERT_OK(manager_->add_namespace_autosave("stopped", config));
  ASSERT_OK(manager_->stop_namespace_autosave("stopped"));
  ASSERT_OK(manager_->save(*manager_->all(), "all"));
  ASSERT_OK(manager_->save_namespace("with", "one"));

  build({.namespace_autosave = {{"stopped", {.interval = 77s, .file = "mine"}}}});
  const Names before = directory_.names();
  ASSERT_OK(manager_->initialize("all"));
  EXPECT_EQ(tasks(), (Names{"stopped", "with"}));
  EXPECT_EQ(status_of("with").state, AutosaveState::kStopped) << "a file starts nothing";
  EXPECT_EQ(status_of("with").config, config) << "final_save is not in files";
  EXPECT_EQ(status_of("stopped").config.file, "mine") << "what the program says wins";
  EXPECT_EQ(status_of("stopped").state, AutosaveState::kWaiting);
  clock_.advance_and_settle(20s);
  EXPECT_EQ(directory_.names(), before);
  EXPECT_EQ(*manager_->start_missing_autosave(), 1U);
  clock_.advance_and_settle(10s);
  EXPECT_EQ(status_of("with").saves, 1U);
  EXPECT_TRUE(status_of("with").last_file.starts_with("with-2026"));

  // By load_namespace, under another name too; what the file says is kept for the next save.
  start();
  ASSERT_OK(manager_->load("one", std::nullopt, std::nullopt));
  ASSERT_OK(manager_->load("one", "renamed", std::nullopt));
  EXPECT_EQ(tasks(), (Names{"renamed", "with"}));
  ASSERT_OK(manager_->save_namespace("renamed", "two"));
  ASSERT_OK(manager_->start_namespace_autosave("renamed"));
  clock_.advance_and_settle(10s);
  EXPECT_TRUE(status_of("renamed").last_file.starts_with("renamed-2026"));
  // Deleted, it is forgotten.
  ASSERT_OK(manager_->remove("with"));
  EXPECT_EQ(tasks(), Names{"renamed"});
  start();
  ASSERT_OK(manager_->load("two", std::nullopt, std::nullopt));
  EXPECT_EQ(status_of("renamed").config, config);
}

TEST_F(ManagerAutosave, D11_AForgedConfigurationIsLeftOutAndTheDataLoads) {
  const internal::SnapshotAutosave forged[] = {
      {60000, 0, "../../etc/cron.d/evil"},
      {60000, 0, "/abs"},
      {60000, 0, ".hidden"},
      {60000, 0, "all.1"},
      {60000, 0, ""},
      {60000, 0, "{exec}"},
      {0, 0, "f"},
      {UINT64_MAX, 0, "f"},
      {uint64_t{1} << 63, 5, "f"},
  };
  const auto directory = internal::Directory::open(directory_.path().string());
  ASSERT_TRUE(directory.ok());
  for (const internal::SnapshotAutosave& autosave : forged) {
    SCOPED_TRACE(autosave.pattern + "/" + std::to_string(autosave.interval_ms));
    {
      auto file = internal::AtomicFile::create(*directory, "forged");
      ASSERT_TRUE(file.ok());
      internal::SnapshotWriter writer(**file);
      ASSERT_OK(writer.begin({.namespace_count = 1}));
      internal::SnapshotNamespace info;
      info.name = "n";
      info.entry_count = 1;
      info.value_bytes = 1;
      info.last_version = 1;
      info.autosave = autosave;
      ASSERT_OK(writer.begin_namespace(info));
      ASSERT_OK(writer.add({"k", "v", 1, 0}));
      ASSERT_OK(writer.end_namespace());
      ASSERT_OK(writer.finish());
      ASSERT_OK((*file)->commit());
    }
    log_.clear();
    build();
    ASSERT_OK(manager_->initialize("forged"));
    EXPECT_TRUE(tasks().empty());
    EXPECT_EQ(logged(LogLevel::kWarning, "not usable"), 1U);
    EXPECT_EQ(*NamespaceImpl::handle(*manager_->find("n")).get("k"), "v");
    EXPECT_EQ(*manager_->start_missing_autosave(), 0U);
  }
}

// --- Everything at once --------------------------------------------------------------------------

// Namespaces come and go with their tasks, under writers, while the manager saves everything; in
// the end every file is whole and every task gone that has no namespace.
TEST(ManagerAutosaveStress, TasksComeAndGoWithTheirNamespaces) {
  const TempDir directory;
  const int rounds = scaled_down(120) * test_scale();
  constexpr int kThreads = 3;
  {
    StorageManager manager =
        StorageManagerBuilder()
            .with_persistence(directory.path())
            .with_manager_autosave({.interval = 2ms, .file = "all", .final_save = true})
            .with_namespace_autosave("n0", {.changes = 1, .file = "{ns}"})
            .build();
    ASSERT_OK(manager.initialize());
    std::atomic<bool> stop{false};
    Threads watchers;
    const StopAtExit stop_at_exit(stop);
    watchers.start([&] {
      while (!stop.load()) {
        const auto list = manager.list_autosave_tasks();
        ASSERT_OK(list);
        for (const AutosaveStatus& status : *list) {
          EXPECT_EQ(status.failures, 0U)
              << status.namespace_name << ": " << status.last_error.to_string();
        }
        // Others stop and delete meanwhile.
        EXPECT_OK(manager.start_missing_autosave_tasks());
        std::this_thread::sleep_for(1ms);
      }
    });
    Threads threads;
    threads.start(kThreads, [&](int t) {
      const std::string name = "n" + std::to_string(t);
      const AutosaveConfig config = {.interval = 1ms, .file = t == 1 ? "{ns}" : "{ns}-{ts}"};
      for (int i = 0; i < rounds; ++i) {
        auto ns = manager.create_namespace(name);
        ASSERT_OK(ns);
        if (t != 0) {
          EXPECT_OK(manager.add_namespace_autosave_task(name, config));
        }
        for (int k = 0; k < 20; ++k) EXPECT_OK(ns->put(std::to_string(k), std::to_string(i)));
        if (i % 3 == 0) std::this_thread::sleep_for(2ms);
        if (i % 5 == 0) {
          const Status stopped = manager.stop_namespace_autosave(name);
          EXPECT_OK(stopped);
        }
        EXPECT_OK(manager.delete_namespace(name));
      }
    });
    threads.join();
    stop = true;
    watchers.join();
    const auto list = manager.list_autosave_tasks();
    ASSERT_OK(list);
    ASSERT_EQ(list->size(), 2U);
    EXPECT_TRUE((*list)[0].is_manager);
    EXPECT_EQ((*list)[1].namespace_name, "n0");
    EXPECT_EQ((*list)[1].state, AutosaveState::kStopped);
    ASSERT_OK(manager.create_namespace("last")->put("k", "v"));
    EXPECT_OK(manager.close());
  }
  for (const std::string& name : directory.names()) {
    EXPECT_NE(name.front(), '.') << name;
    StorageManager manager = manager_in(directory);
    EXPECT_OK(manager.initialize(name)) << name;
    EXPECT_TRUE(manager.load_report()->skipped.empty()) << name;
  }
  EXPECT_EQ(contents_of(find(*reload(directory, "all"), "last")), (Contents{{"k", "v"}}));
}

}  // namespace
}  // namespace rkvs
