// Somebody else writes to the persistence directory, or to the one above it, while a store saves
// and loads there: whatever is put in the way, nothing outside of the directory is read, written or
// removed, nothing waits for ever, and no file of another owner is changed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "manager/manager_impl.h"
#include "tests/manager/hooked_file_system.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using internal::ManagerImpl;
using internal::NamespaceImpl;
namespace fs = std::filesystem;

constexpr std::string_view kPrecious = "precious";

// A directory that others may not touch, with a file that they would like to have changed, and
// beside it the one that is attacked.
class DirectoryAttack : public ::testing::Test {
 protected:
  DirectoryAttack() {
    fs::create_directory(data());
    fs::create_directory(elsewhere());
    write_file(victim(), kPrecious);
  }
  ~DirectoryAttack() override {
    EXPECT_EQ(read_file(victim()), kPrecious);
    EXPECT_EQ(names_in(elsewhere()), std::vector<std::string>{"victim"});
  }

  fs::path data() const { return outer_ / "data"; }
  fs::path elsewhere() const { return outer_ / "elsewhere"; }
  fs::path victim() const { return elsewhere() / "victim"; }

  static std::vector<std::string> names_in(const fs::path& directory) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(directory)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  StorageManager manager() const { return StorageManager({.directory = data()}); }
  StorageManager ready() const {
    StorageManager made = manager();
    EXPECT_OK(made.initialize());
    return made;
  }
  static void put(StorageManager& manager, std::string_view value) {
    auto ns = manager.get_namespace("n");
    if (!ns.ok()) ns = manager.create_namespace("n");
    EXPECT_OK(ns->put("k", value));
  }
  // What a new process finds.
  std::string value_in(std::string_view file, const fs::path& directory) const {
    StorageManager other({.directory = directory});
    const Status status = other.initialize(file);
    if (!status.ok()) return std::string(status_code_name(status.code()));
    auto ns = other.get_namespace("n");
    return ns.ok() ? ns->get("k")->to_string() : "<none>";
  }
  std::string value_in(std::string_view file) const { return value_in(file, data()); }

 private:
  const TempDir outer_;
};

// --- The directory itself ------------------------------------------------------------------------

TEST_F(DirectoryAttack, SavesStayInTheDirectoryThatWasOpenedWhenItsPathBecomesALink) {
  StorageManager manager = ready();
  put(manager, "1");
  ASSERT_OK(manager.save_all("f"));
  const fs::path moved = data().parent_path() / "moved";
  fs::rename(data(), moved);
  fs::create_directory_symlink(elsewhere(), data());
  put(manager, "2");
  EXPECT_OK(manager.save_all("f"));
  EXPECT_EQ(value_in("f", moved), "2");
  EXPECT_EQ(value_in("f.1", moved), "1");
}

// The first save locks the directory by its path: it must be the one that was loaded from.
TEST_F(DirectoryAttack, APathThatBecomesALinkBetweenLoadingAndTheFirstSaveIsIo) {
  {
    StorageManager first = ready();
    put(first, "1");
    ASSERT_OK(first.save_all("f"));
  }
  StorageManager manager = this->manager();
  ASSERT_OK(manager.initialize("f"));
  const fs::path moved = data().parent_path() / "moved";
  fs::rename(data(), moved);
  fs::create_directory_symlink(elsewhere(), data());
  put(manager, "2");
  EXPECT_CODE(manager.save_all("f"), kIo);
  EXPECT_EQ(value_in("f", moved), "1");
}

TEST_F(DirectoryAttack, ADirectoryThatIsMadeIsForItsOwnerAloneWhateverTheMask) {
  fs::remove(data());
  const mode_t mask = umask(0);
  StorageManager manager = ready();
  put(manager, "1");
  EXPECT_OK(manager.save_all("f"));
  umask(mask);
  struct stat info {};
  ASSERT_EQ(stat(data().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  ASSERT_EQ(stat((data() / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
}

TEST_F(DirectoryAttack, AFileWhereTheDirectoryShouldBeIsIo) {
  fs::remove(data());
  write_file(data(), "no directory");
  StorageManager manager = ready();
  EXPECT_CODE(manager.save_all("f"), kIo);
  EXPECT_EQ(read_file(data()), "no directory");
}

// Whoever may open the directory may keep others from saving there, and no more than that.
TEST_F(DirectoryAttack, AForeignLockIsDirectoryLockedUntilItGoes) {
  const int fd = open(data().c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
  StorageManager manager = ready();
  put(manager, "1");
  EXPECT_CODE(manager.save_all("f"), kDirectoryLocked);
  close(fd);
  EXPECT_OK(manager.save_all("f"));
  EXPECT_EQ(value_in("f"), "1");
}

// --- Temporary files -----------------------------------------------------------------------------

// What somebody puts under a name before rkvs does.
struct Obstacle {
  const char* name;
  std::function<void(const fs::path& at, const fs::path& victim)> put;
};

const Obstacle kObstacles[] = {
    {"File", [](const fs::path& at, const fs::path&) { write_file(at, "theirs"); }},
    {"Link", [](const fs::path& at, const fs::path& to) { fs::create_symlink(to, at); }},
    {"DanglingLink",
     [](const fs::path& at, const fs::path& to) { fs::create_symlink(to.string() + ".none", at); }},
    {"HardLink", [](const fs::path& at, const fs::path& to) { fs::create_hard_link(to, at); }},
    {"Pipe", [](const fs::path& at, const fs::path&) { ASSERT_EQ(mkfifo(at.c_str(), 0666), 0); }},
    {"Directory", [](const fs::path& at, const fs::path&) { fs::create_directory(at); }},
};

void PrintTo(const Obstacle& obstacle, std::ostream* out) { *out << obstacle.name; }

class ObstacleAttack : public DirectoryAttack, public ::testing::WithParamInterface<Obstacle> {
 protected:
  void put_at(std::string_view name) { GetParam().put(data() / name, victim()); }
  // Replaces what is under the name.
  void replace(std::string_view name) {
    fs::remove_all(data() / name);
    put_at(name);
  }
};

INSTANTIATE_TEST_SUITE_P(All, ObstacleAttack, ::testing::ValuesIn(kObstacles),
                         [](const auto& row) { return std::string(row.param.name); });

// The number that the next temporary file of this process gets.
int next_temporary(const fs::path& directory) {
  const auto opened = internal::Directory::open(directory.string());
  EXPECT_TRUE(opened.ok());
  const auto file = internal::AtomicFile::create(*opened, "probe");
  EXPECT_TRUE(file.ok());
  const std::string name = (*file)->temporary_name();  // .probe.<pid>.<n>.tmp
  const size_t end = name.rfind('.');
  const size_t begin = name.rfind('.', end - 1) + 1;
  return std::stoi(name.substr(begin, end - begin)) + 1;
}

std::string temporary_name(int number) {
  return ".f." + std::to_string(getpid()) + "." + std::to_string(number) + ".tmp";
}

TEST_P(ObstacleAttack, ATemporaryNameThatIsTakenIsPassedOver) {
  StorageManager manager = ready();
  put(manager, "1");
  ASSERT_OK(manager.save_all("f"));
  const int next = next_temporary(data());
  for (int i = 0; i < 20; ++i) put_at(temporary_name(next + i));
  const auto before = names_in(data());
  put(manager, "2");
  EXPECT_OK(manager.save_all("f"));
  EXPECT_EQ(value_in("f"), "2");
  auto after = before;
  after.insert(std::lower_bound(after.begin(), after.end(), "f.1"), "f.1");
  EXPECT_EQ(names_in(data()), after);
}

TEST_P(ObstacleAttack, AllTemporaryNamesTakenIsIoAndTheFileStays) {
  StorageManager manager = ready();
  put(manager, "1");
  ASSERT_OK(manager.save_all("f"));
  const int next = next_temporary(data());
  for (int i = 0; i < 300; ++i) put_at(temporary_name(next + i));
  put(manager, "2");
  EXPECT_CODE(manager.save_all("f"), kIo);
  EXPECT_EQ(value_in("f"), "1");
}

// The first save of a manager removes what dead processes left.
TEST_P(ObstacleAttack, WhatLooksLikeAnOldTemporaryIsNeverFollowed) {
  put_at(".f.1.1.tmp");
  StorageManager manager = ready();
  put(manager, "1");
  EXPECT_OK(manager.save_all("f"));
  EXPECT_EQ(value_in("f"), "1");
}

// --- The file's own name -------------------------------------------------------------------------

// Whether the obstacle stands in the way of keeping what it replaces as an older generation.
bool is_regular(const Obstacle& obstacle) {
  const std::string_view name = obstacle.name;
  return name == "File" || name == "HardLink";
}

TEST_P(ObstacleAttack, UnderTheNameBeforeASaveNothingIsWrittenThroughIt) {
  put_at("f");
  StorageManager manager = ready();
  put(manager, "1");
  if (is_regular(GetParam())) {
    EXPECT_OK(manager.save_all("f"));
    EXPECT_EQ(value_in("f"), "1");
  } else {
    EXPECT_CODE(manager.save_all("f"), kIo);
  }
}

TEST_P(ObstacleAttack, UnderTheNameOfAnOlderGenerationTheNewestIsSavedOrAsBefore) {
  StorageManager manager = ready();
  put(manager, "1");
  ASSERT_OK(manager.save_all("f"));
  put_at("f.1");
  put_at("f.2");
  for (int i = 2; i < 6; ++i) {
    put(manager, std::to_string(i));
    const std::string before = value_in("f");
    const Status saved = manager.save_all("f");
    EXPECT_EQ(value_in("f"), saved.ok() ? std::to_string(i) : before) << saved.to_string();
  }
}

TEST_P(ObstacleAttack, UnderTheNameNothingIsReadThroughIt) {
  put_at("f");
  StorageManager manager = this->manager();
  const Status status = manager.initialize("f");
  // "precious" is no snapshot; no link is followed to find that out.
  if (is_regular(GetParam())) {
    EXPECT_CODE(status, kSnapshotCorrupt);
  } else {
    EXPECT_CODE(status, kIo);
  }
  EXPECT_FALSE(manager.is_initialized());
}

// At each call that a save makes, the file under its name is replaced just before.
TEST_P(ObstacleAttack, AtAnyMomentOfASaveNothingIsWrittenThroughIt) {
  for (const std::string_view moment :
       {"create", "write", "sync", "stat_at", "link", "rename", "sync_directory"}) {
    for (const std::string_view name : {"f", "f.1"}) {
      SCOPED_TRACE(std::string(name) + " before " + std::string(moment));
      fs::remove_all(data());
      fs::create_directory(data());
      HookedFileSystem disk;
      ManagerImpl manager({.directory = data()}, disk);
      ASSERT_OK(manager.initialize(std::nullopt));
      Namespace ns = NamespaceImpl::handle(*manager.create("n", {}));
      ASSERT_OK(ns.put("k", "1"));
      ASSERT_OK(manager.save(*manager.all(), "f", {}));
      bool replaced = false;
      disk.set_hook([&](std::string_view call) {
        if (call == moment && !std::exchange(replaced, true)) replace(name);
        return 0;
      });
      ASSERT_OK(ns.put("k", "2"));
      const Status status = manager.save(*manager.all(), "f", {});
      disk.set_hook(nullptr);
      EXPECT_TRUE(replaced);
      EXPECT_TRUE(status.ok() || status.code() == StatusCode::kIo) << status.to_string();
      // Where it was replaced behind the last rename, it is theirs.
      if (status.ok() && (moment != "sync_directory" || name != "f")) {
        EXPECT_EQ(value_in("f"), "2");
      }
      for (const std::string& left : names_in(data())) EXPECT_NE(left.front(), '.') << left;
      EXPECT_EQ(read_file(victim()), kPrecious);
    }
  }
}

// A file that is cut short or exchanged while it is being read is damage, or was read whole before.
TEST_F(DirectoryAttack, AFileThatChangesWhileItIsReadIsNeverLoadedInPart) {
  {
    StorageManager first = ready();
    put(first, "1");
    auto ns = first.get_namespace("n");
    for (int i = 0; i < 3000; ++i) {
      ASSERT_OK(ns->put("key" + std::to_string(i), std::string(1000, 'x')));
    }
    ASSERT_OK(first.save_all("f"));
  }
  const std::string whole = read_file(data() / "f");
  int damaged = 0;
  for (const size_t cut : {size_t{0}, whole.size() / 2, whole.size() - 1}) {
    for (int at = 1; at < 12; ++at) {
      write_file(data() / "f", whole);
      HookedFileSystem disk;
      ManagerImpl manager({.directory = data()}, disk);
      std::atomic<int> reads{0};
      disk.set_hook([&](std::string_view call) {
        if (call == "read_at" && reads.fetch_add(1) + 1 == at) fs::resize_file(data() / "f", cut);
        return 0;
      });
      const Status status = manager.initialize("f");
      if (status.ok()) {
        EXPECT_EQ(NamespaceImpl::handle(*manager.find("n")).metadata()->key_count, 3001U);
      } else {
        EXPECT_CODE(status, kSnapshotCorrupt);
        EXPECT_FALSE(manager.is_initialized());
        ++damaged;
      }
    }
  }
  EXPECT_GT(damaged, 3);
}

}  // namespace
}  // namespace rkvs
