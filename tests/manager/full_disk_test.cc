// A real file system that is full, of bytes or of inodes: a tmpfs of 1 MiB in a mount namespace of
// a process of its own. Skipped where neither root nor user namespaces are to be had.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;

constexpr const char* kDiskVariable = "RKVS_TEST_SMALL_DISK";
constexpr int kNotPossible = 77;

bool write_text(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return close(fd) == 0 && written;
}

// Gives this process mounts of its own, as root or as the root of a user namespace.
bool leave_mount_namespace() {
  const uid_t user = getuid();
  const gid_t group = getgid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    if (!write_text("/proc/self/setgroups", "deny") ||
        !write_text("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") ||
        !write_text("/proc/self/gid_map", "0 " + std::to_string(group) + " 1")) {
      return false;
    }
  }
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

// Runs the test of this name again, in a process that has a small disk at `directory`.
int run_on_small_disk(const std::string& test, const TempDir& directory, const char* options) {
  const std::string filter = "--gtest_filter=" + test;
  const pid_t process = fork();
  if (process == 0) {
    const char* const path = directory.path().c_str();
    if (!leave_mount_namespace() || mount("tmpfs", path, "tmpfs", 0, options) != 0 ||
        setenv(kDiskVariable, path, 1) != 0) {
      _exit(kNotPossible);
    }
    const char* const arguments[] = {"full_disk_test", filter.c_str(), "--gtest_brief=1", nullptr};
    execv("/proc/self/exe", const_cast<char* const*>(arguments));
    _exit(127);
  }
  int status = 0;
  waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define RUN_ON_SMALL_DISK(test, options)                                     \
  do {                                                                       \
    if (std::getenv(kDiskVariable) != nullptr) break;                        \
    const TempDir mount_point;                                               \
    const int code = run_on_small_disk(test, mount_point, options);          \
    if (code == kNotPossible) GTEST_SKIP() << "may not mount a file system"; \
    EXPECT_EQ(code, 0) << "failed in a process of its own; see its output";  \
    return;                                                                  \
  } while (false)

class Disk {
 public:
  Disk() : path_(std::getenv(kDiskVariable)) {}

  StorageManager manager() const { return StorageManager({.directory = path_}); }
  const std::filesystem::path& path() const { return path_; }
  size_t temporaries() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      count += entry.path().filename().string().front() == '.' ? 1 : 0;
    }
    return count;
  }
  std::filesystem::path outside(int number) const {
    return path_ / ("ballast " + std::to_string(number));
  }

 private:
  std::filesystem::path path_;
};

Contents contents_with(const std::string& mark, size_t size) {
  return {{"mark", mark}, {"bytes", std::string(size, 'x')}};
}

// Saves `contents`; what can be loaded afterwards is that, or, where there was no room, `before`.
// Whether there was room.
bool save_and_check(const Disk& disk, StorageManager& manager, const Contents& contents,
                    const Contents& before) {
  fill(find(manager, "n"), contents);
  const Status status = manager.save_all("f");
  if (!status.ok()) {
    EXPECT_CODE(status, kIo);
    EXPECT_NE(status.message().find("No space left on device"), std::string_view::npos)
        << status.message();
  }
  EXPECT_EQ(disk.temporaries(), 0U);
  StorageManager loaded = disk.manager();
  EXPECT_OK(loaded.initialize("f"));
  EXPECT_TRUE(loaded.load_report()->skipped.empty());
  EXPECT_EQ(contents_of(find(loaded, "n")), status.ok() ? contents : before);
  return status.ok();
}

TEST(FullDisk, D4_SavesThatDoNotFitAreIoAndThePreviousFileLoads) {
  RUN_ON_SMALL_DISK("FullDisk.D4_SavesThatDoNotFitAreIoAndThePreviousFileLoads", "size=1m");
  const Disk disk;
  StorageManager manager = disk.manager();
  ASSERT_OK(manager.initialize());
  ASSERT_OK(manager.create_namespace("n"));
  Contents before = contents_with("first", 10'000);
  fill(find(manager, "n"), before);
  ASSERT_OK(manager.save_all("f"));

  // The room that is left, from none to plenty, and several times over, so that generations rotate.
  int failed = 0;
  int passed = 0;
  for (int round = 0; round < 3; ++round) {
    for (size_t room = 0; room <= 120'000; room += 4096) {
      const auto ballast = disk.outside(0);
      std::filesystem::remove(ballast);
      const size_t free = std::filesystem::space(disk.path()).available;
      if (free > room) write_file(ballast, std::string(free - room, 'b'));
      const Contents after = contents_with(std::to_string(round) + "/" + std::to_string(room),
                                           30'000 + room % 3 * 10'000);
      if (save_and_check(disk, manager, after, before)) {
        ++passed;
        before = after;
      } else {
        ++failed;
      }
      ASSERT_FALSE(::testing::Test::HasFailure()) << room << " bytes of room";
    }
  }
  EXPECT_GT(failed, 3);
  EXPECT_GT(passed, 3);
  // One that fits nowhere, and then one that does.
  EXPECT_FALSE(save_and_check(disk, manager, contents_with("too large", 2 << 20), before));
  std::filesystem::remove(disk.outside(0));
  EXPECT_TRUE(save_and_check(disk, manager, contents_with("last", 20'000), before));
}

TEST(FullDisk, D4_NoInodesLeftIsIoAndThePreviousFileLoads) {
  RUN_ON_SMALL_DISK("FullDisk.D4_NoInodesLeftIsIoAndThePreviousFileLoads", "size=1m,nr_inodes=12");
  const Disk disk;
  StorageManager manager = disk.manager();
  ASSERT_OK(manager.initialize());
  ASSERT_OK(manager.create_namespace("n"));
  Contents before = contents_with("first", 100);
  fill(find(manager, "n"), before);
  ASSERT_OK(manager.save_all("f"));
  int failed = 0;
  for (int round = 0; round < 10; ++round) {
    // Takes all inodes but `left`.
    int files = 0;
    while (std::ofstream(disk.outside(files)).is_open()) ++files;
    for (int left = 0; left < 4; ++left) {
      const Contents after = contents_with(std::to_string(round) + "/" + std::to_string(left), 500);
      if (save_and_check(disk, manager, after, before)) {
        before = after;
      } else {
        ++failed;
      }
      if (files > 0) std::filesystem::remove(disk.outside(--files));
    }
    while (files > 0) std::filesystem::remove(disk.outside(--files));
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
  EXPECT_GT(failed, 3);
  EXPECT_TRUE(save_and_check(disk, manager, contents_with("last", 100), before));
}

}  // namespace
}  // namespace rkvs
