// What the child of a fork may do with its parent's store.
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using namespace std::chrono_literals;

class ManagerFork : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(manager_->initialize());
    ns_.emplace(*manager_->create_namespace("n"));
    ASSERT_OK(ns_->set("key", "saved"));
    // With a thread that the child will not have.
    ASSERT_OK(manager_->add_namespace_autosave_task(
        "n", {.interval = 1h, .file = "n.rkvs", .final_save = true}));
    ASSERT_OK(manager_->save_all("store.rkvs"));
    ASSERT_OK(ns_->set("key", "not saved yet"));
  }

  // What the function returns in a child, whose exit() it then is.
  template <typename Function>
  static int in_child(Function function) {
    const pid_t child = ::fork();
    if (child == 0) {
      // Not for ever, where it waits for what is not there.
      ::alarm(60);
      testing::end_child(function());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  TempDir directory_;
  std::unique_ptr<StorageManager> manager_ =
      std::make_unique<StorageManager>(StorageOptions{.directory = directory_.path()});
  std::optional<Namespace> ns_;
};

TEST_F(ManagerFork, EverythingOfTheManagerIsRefusedInTheChild) {
  const auto forked = [](const auto& result) { return code_of(result) == StatusCode::kForked; };
  EXPECT_EQ(in_child([&] {
              if (!forked(manager_->save_all("store.rkvs"))) return 1;
              if (!forked(manager_->create_namespace("other"))) return 2;
              if (!forked(manager_->get_namespace("n"))) return 3;
              if (!forked(manager_->initialize())) return 4;
              if (!forked(manager_->stop_manager_autosave())) return 5;
              return forked(manager_->close()) ? 0 : 6;
            }),
            0);
}

TEST_F(ManagerFork, AChildThatEndsSavesNothingAndWaitsForNobody) {
  EXPECT_EQ(in_child([&] {
              ns_.reset();
              manager_.reset();
              return 0;
            }),
            0);
  EXPECT_FALSE(std::filesystem::exists(directory_ / "n.rkvs"));
  // The parent's last save is still its own.
  EXPECT_OK(manager_->close());
  EXPECT_TRUE(std::filesystem::exists(directory_ / "n.rkvs"));
}

TEST_F(ManagerFork, AChildMayOpenAStoreOfItsOwn) {
  const TempDir other;
  EXPECT_EQ(in_child([&] {
              StorageManager manager({.directory = other.path()});
              if (!manager.initialize().ok()) return 1;
              auto ns = manager.create_namespace("n");
              if (!ns.ok() || !ns->set("key", "child").ok()) return 2;
              if (!manager.save_all("child.rkvs").ok()) return 3;
              return manager.close().ok() ? 0 : 4;
            }),
            0);
  EXPECT_EQ(*ns_->get("key"), "not saved yet");
}

}  // namespace
}  // namespace rkvs
