// The I/O layer: names, directories, and files that replace their predecessor whole or not at all.
#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/failing_files.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using testing::FaultyFileSystem;
using testing::is_ok;

const std::string kName = "store.rkvs";

// What is on the disk, seen past the code under test.
class ScratchDirectory {
 public:
  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  void write(std::string_view name, std::string_view bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
  }
  // "<none>" where there is no such file.
  std::string read(std::string_view name) const {
    std::ifstream in(file(name), std::ios::binary);
    if (!in) return "<none>";
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Sorted, hidden ones included.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  bool has_temporary() const {
    const auto all = names();
    return std::any_of(all.begin(), all.end(),
                       [](const std::string& name) { return name.ends_with(".tmp"); });
  }

 private:
  const testing::TempDir directory_;
  const std::string path_ = directory_.path().string();
};

// Larger than AtomicFile's buffer, so that a save makes several writes.
std::string contents(char letter) { return std::string(200000, letter); }

Status save(const Directory& directory, const std::string& bytes, uint32_t generations = 3,
            const std::string& name = kName) {
  auto file = AtomicFile::create(directory, name, generations);
  if (!file.ok()) return file.status();
  // One part smaller than the buffer, one larger, and a small one behind.
  const size_t first = bytes.size() / 4;
  const size_t second = bytes.size() - 1;
  if (Status s = (*file)->append(std::string_view(bytes).substr(0, first)); !s.ok()) return s;
  if (Status s = (*file)->append(std::string_view(bytes).substr(first, second - first)); !s.ok()) {
    return s;
  }
  if (Status s = (*file)->append(std::string_view(bytes).substr(second)); !s.ok()) return s;
  return (*file)->commit();
}

Directory open(const ScratchDirectory& scratch, FileSystem& fs = FileSystem::posix()) {
  Result<Directory> directory = Directory::open(scratch.path(), fs);
  EXPECT_TRUE(directory.ok()) << directory.status().to_string();
  return std::move(directory).value();
}

bool mentions(const Status& status, std::string_view text) {
  return status.message().find(text) != std::string_view::npos;
}

// --- Names ---------------------------------------------------------------------------------------

TEST(FileName, AcceptsOneComponentOfUpTo200Bytes) {
  for (const std::string& name :
       {std::string("a"), std::string("store.rkvs"), std::string("a b\\c"), std::string("-x"),
        std::string("20260102T030405.678Z"), std::string("\xff\xfe"), std::string("a..b"),
        std::string(200, 'x')}) {
    EXPECT_TRUE(validate_file_name(name).ok()) << name;
  }
}

TEST(FileName, D10_RefusesWhatCouldLeaveTheDirectory) {
  using namespace std::string_literals;
  for (const std::string& name :
       {""s, "."s, ".."s, ".hidden"s, "/abs"s, "a/b"s, "../x"s, "a/"s, "a\0b"s, "\0"s,
        std::string(201, 'x'), std::string(100000, 'x')}) {
    const Status status = validate_file_name(name);
    EXPECT_EQ(status.code(), StatusCode::kInvalidName) << name;
    EXPECT_FALSE(status.message().empty());
  }
  const Status status = validate_file_name(std::string(201, 'x'));
  EXPECT_TRUE(mentions(status, "201") && mentions(status, "200")) << status.message();
  // An older generation of a file may be named, but nothing longer by other means.
  EXPECT_TRUE(is_ok(validate_file_name(generation_name(std::string(200, 'x'), 999))));
  EXPECT_FALSE(validate_file_name(std::string(200, 'x') + ".1000").ok());
  EXPECT_FALSE(validate_file_name(std::string(200, 'x') + ".1.1").ok());
}

TEST(FileName, TargetMustNotLookLikeAnOlderGeneration) {
  EXPECT_EQ(validate_target_name("store.rkvs.1", 3).code(), StatusCode::kInvalidName);
  EXPECT_EQ(validate_target_name("backup.999", 2).code(), StatusCode::kInvalidName);
  EXPECT_TRUE(validate_target_name("store.rkvs.1", 1).ok());  // no generations, no confusion
  EXPECT_TRUE(validate_target_name("backup.2024", 3).ok());
  EXPECT_TRUE(validate_target_name("backup.1a", 3).ok());
  EXPECT_TRUE(validate_target_name("backup1", 3).ok());
  EXPECT_EQ(validate_target_name("a", 0).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(validate_target_name("a", 1000).code(), StatusCode::kInvalidArgument);
}

TEST(FileName, GenerationZeroIsTheNameItself) {
  EXPECT_EQ(generation_name("a.b", 0), "a.b");
  EXPECT_EQ(generation_name("a.b", 12), "a.b.12");
}

// --- Directory -----------------------------------------------------------------------------------

TEST(DirectoryTest, D10_OperationsRefuseNamesThatLeaveIt) {
  const ScratchDirectory outer;
  ASSERT_EQ(::mkdir(outer.file("inner").c_str(), 0700), 0);
  outer.write("secret", "x");
  const Result<Directory> inner = Directory::open(outer.file("inner"));
  ASSERT_TRUE(inner.ok());
  for (const std::string& name : {std::string("../secret"), outer.file("secret")}) {
    EXPECT_EQ(inner->open_file(name).code(), StatusCode::kInvalidName);
    EXPECT_EQ(inner->remove(name).code(), StatusCode::kInvalidName);
    EXPECT_EQ(AtomicFile::create(*inner, name).code(), StatusCode::kInvalidName);
  }
  EXPECT_EQ(outer.read("secret"), "x");
}

TEST(DirectoryTest, D10_DoesNotFollowSymbolicLinks) {
  const ScratchDirectory outside;
  outside.write("secret", "outside");
  const ScratchDirectory scratch;
  ASSERT_EQ(::symlink(outside.file("secret").c_str(), scratch.file("link").c_str()), 0);
  const Directory directory = open(scratch);
  EXPECT_EQ(directory.open_file("link").code(), StatusCode::kIo);
  // Saving under the link's name never writes through it.
  EXPECT_EQ(save(directory, "new", 3, "link").code(), StatusCode::kIo);
  EXPECT_TRUE(is_ok(save(directory, "new", 1, "link")));
  EXPECT_EQ(outside.read("secret"), "outside");
  EXPECT_EQ(scratch.read("link"), "new");
}

TEST(DirectoryTest, D13_OnlyAbsenceIsNotFound) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  EXPECT_EQ(directory.open_file(kName).code(), StatusCode::kSnapshotNotFound);
  for (const int error : {EACCES, EIO, EMFILE, ELOOP, ENOTDIR, EPERM, ENOMEM}) {
    fs.fail_named("open", error);
    EXPECT_EQ(directory.open_file(kName).code(), StatusCode::kIo) << error;
  }
  EXPECT_EQ(Directory::open(scratch.file("none")).code(), StatusCode::kIo);
}

TEST(DirectoryTest, RefusesWhatIsNoRegularFileWithoutWaiting) {
  const ScratchDirectory scratch;
  ASSERT_EQ(::mkfifo(scratch.file("pipe").c_str(), 0600), 0);
  ASSERT_EQ(::mkdir(scratch.file("dir").c_str(), 0700), 0);
  const Directory directory = open(scratch);
  EXPECT_EQ(directory.open_file("pipe").code(), StatusCode::kIo);
  EXPECT_EQ(directory.open_file("dir").code(), StatusCode::kIo);
}

TEST(DirectoryTest, KeepsToItsDirectoryWhenThePathIsReplaced) {
  const ScratchDirectory outer;
  ASSERT_EQ(::mkdir(outer.file("data").c_str(), 0700), 0);
  const Result<Directory> directory = Directory::open(outer.file("data"));
  ASSERT_TRUE(directory.ok());
  ASSERT_EQ(::rename(outer.file("data").c_str(), outer.file("moved").c_str()), 0);
  ASSERT_EQ(::mkdir(outer.file("data").c_str(), 0700), 0);
  ASSERT_TRUE(is_ok(save(*directory, "x")));
  EXPECT_EQ(outer.read("moved/store.rkvs"), "x");
  EXPECT_EQ(outer.read("data/store.rkvs"), "<none>");
}

TEST(DirectoryTest, OpenOrCreateMakesAPrivateDirectoryAndSyncsItsParent) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const std::string path = scratch.file("new");
  const Result<Directory> made = Directory::open_or_create(path, fs);
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  EXPECT_EQ(fs.count("sync"), 1U);
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  EXPECT_TRUE(Directory::open_or_create(path, fs).ok());
  EXPECT_EQ(Directory::open_or_create(scratch.file("no/such"), fs).code(), StatusCode::kIo);
  scratch.write("file", "");
  EXPECT_EQ(Directory::open_or_create(scratch.file("file"), fs).code(), StatusCode::kIo);
}

TEST(DirectoryTest, ListsAndRemovesVisibleFiles) {
  const ScratchDirectory scratch;
  for (const char* name : {"b", "a", ".hidden"}) scratch.write(name, "");
  const Directory directory = open(scratch);
  const auto names = directory.list();
  ASSERT_TRUE(names.ok());
  EXPECT_EQ(*names, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(is_ok(directory.remove("a")));
  EXPECT_TRUE(is_ok(directory.remove("a")));
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{".hidden", "b"}));
  // A second listing begins at the beginning.
  EXPECT_EQ(directory.list()->size(), 1U);
}

TEST(DirectoryTest, APathWithANulNamesNoDirectoryAndMakesNone) {
  const ScratchDirectory scratch;
  const std::string path = scratch.file("made") + std::string("\0elsewhere", 10);
  FaultyFileSystem fs;
  EXPECT_EQ(Directory::open(path, fs).code(), StatusCode::kIo);
  EXPECT_EQ(Directory::open_or_create(path, fs).code(), StatusCode::kIo);
  EXPECT_EQ(ReadableFile::open(path, fs).code(), StatusCode::kIo);
  EXPECT_TRUE(fs.calls().empty()) << "the system never sees the part in front";
  EXPECT_TRUE(scratch.names().empty());
}

TEST(DirectoryTest, ANewOneWhoseParentCannotBeSyncedIsNotGivenOut) {
  for (const char* const call : {"open_directory", "sync"}) {
    const ScratchDirectory scratch;
    FaultyFileSystem fs;
    fs.fail_named(call, EIO);
    const auto made = Directory::open_or_create(scratch.file("new"), fs);
    EXPECT_EQ(made.code(), StatusCode::kIo) << call;
    // The next attempt finds it there.
    fs.fail_named("", 0);
    EXPECT_TRUE(is_ok(Directory::open_or_create(scratch.file("new"), fs)));
  }
}

TEST(DirectoryTest, FailuresOfTheSystemAreIoAndNameTheDirectory) {
  const ScratchDirectory scratch;
  scratch.write(".a.1.2.tmp", "");
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  const auto expect_io = [&](const char* call, const auto& outcome) {
    EXPECT_EQ(outcome.code(), StatusCode::kIo) << call;
    EXPECT_TRUE(mentions(testing::status_of(outcome), scratch.path())) << call;
  };
  fs.fail_named("list", EIO);
  expect_io("list", directory.list());
  expect_io("list for temporaries", directory.remove_stale_temporaries());
  fs.fail_named("stat", EIO);
  expect_io("stat", directory.info());
  fs.fail_named("lock", ENOLCK);
  expect_io("lock", directory.lock());
  fs.fail_named("sync", EIO);
  expect_io("sync", directory.sync());
  fs.fail_named("sync", EINVAL);
  EXPECT_TRUE(is_ok(directory.sync())) << "a file system that has nothing to sync";
  EXPECT_EQ(scratch.names(), std::vector<std::string>{".a.1.2.tmp"});
}

TEST(DirectoryTest, TemporariesThatCannotBeOpenedOrRemovedStayAndDoNotCount) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  scratch.write(".a.1.2.tmp", "");
  for (const char* const call : {"open", "lock", "unlink"}) {
    fs.fail_named(call, EACCES);
    const auto removed = directory.remove_stale_temporaries();
    ASSERT_TRUE(is_ok(removed));
    EXPECT_EQ(*removed, 0U) << call;
    EXPECT_EQ(scratch.names(), std::vector<std::string>{".a.1.2.tmp"}) << call;
  }
  fs.fail_named("", 0);
  EXPECT_EQ(*directory.remove_stale_temporaries(), 1U);
  EXPECT_TRUE(scratch.names().empty());
}

TEST(DirectoryTest, MessagesShowNamesWithoutWhatATerminalWouldObey) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  const auto refused = directory.open_file("a/\x1b[2J\x7f" + std::string(300, 'x'));
  ASSERT_EQ(refused.code(), StatusCode::kInvalidName);
  EXPECT_EQ(refused.status().message().find('\x1b'), std::string_view::npos);
  EXPECT_EQ(refused.status().message().find('\x7f'), std::string_view::npos);
  EXPECT_TRUE(mentions(refused.status(), "a/?[2J?"));
  EXPECT_TRUE(mentions(refused.status(), "...\""));
}

TEST(DirectoryTest, LockIsHeldByOneObjectUntilItGoes) {
  const ScratchDirectory scratch;
  const Directory second = open(scratch);
  {
    const Directory first = open(scratch);
    EXPECT_TRUE(first.lock().ok());
    const Status status = second.lock();
    EXPECT_EQ(status.code(), StatusCode::kDirectoryLocked);
    EXPECT_TRUE(mentions(status, scratch.path()));
    const auto a = first.info();
    const auto b = second.info();
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_TRUE(a->device == b->device && a->inode == b->inode);
  }
  EXPECT_TRUE(second.lock().ok());
}

TEST(DirectoryTest, StaleTemporariesGoAndThoseInUseStay) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  const std::vector<std::string> keep = {"..7.tmp",   ".a.1.tmp",     ".a.b.1.tmp",
                                         "a.1.2.tmp", ".a.1.2.other", "store.rkvs.tmp"};
  for (const std::string& name : keep) scratch.write(name, "");
  scratch.write(".store.rkvs.12345.0.tmp", "left by a crash");
  scratch.write(".a.1.2.tmp", "");
  auto running = AtomicFile::create(directory, kName);
  ASSERT_TRUE(running.ok());
  ASSERT_TRUE(is_ok((*running)->append("alive")));

  const auto removed = directory.remove_stale_temporaries();
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ(*removed, 2U);
  EXPECT_EQ(scratch.names().size(), keep.size() + 1);
  EXPECT_TRUE(is_ok((*running)->commit()));
  EXPECT_EQ(scratch.read(kName), "alive");
}

// --- ReadableFile --------------------------------------------------------------------------------

TEST(ReadableFileTest, ReadsAcrossShortAndInterruptedReads) {
  const ScratchDirectory scratch;
  const std::string bytes = contents('r') + "end";
  scratch.write(kName, bytes);
  FaultyFileSystem fs;
  fs.shorten_transfers(7000);
  const Directory directory = open(scratch, fs);
  const auto file = directory.open_file(kName);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->size(), bytes.size());
  fs.fail_call(fs.calls().size() + 3, EINTR);
  std::string read(bytes.size() + 10, '\0');
  const auto n = (*file)->read_at(5, read.data(), read.size());
  ASSERT_TRUE(n.ok()) << n.status().to_string();
  EXPECT_EQ(fs.failed().size(), 1U);
  EXPECT_EQ(*n, bytes.size() - 5);
  EXPECT_EQ(read.substr(0, *n), bytes.substr(5));
}

TEST(ReadableFileTest, FailedReadIsIoAndNamesTheFile) {
  const ScratchDirectory scratch;
  scratch.write(kName, "abc");
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  const auto file = directory.open_file(kName);
  ASSERT_TRUE(file.ok());
  fs.fail_named("read_at", EIO);
  char c;
  const auto n = (*file)->read_at(0, &c, 1);
  EXPECT_EQ(n.code(), StatusCode::kIo);
  EXPECT_TRUE(mentions(n.status(), scratch.file(kName))) << n.status().message();
}

TEST(ReadableFileTest, OpensAnyPathForTools) {
  const ScratchDirectory scratch;
  scratch.write(".odd", "abc");
  ASSERT_EQ(::symlink(".odd", scratch.file("link").c_str()), 0);
  const auto file = ReadableFile::open(scratch.file("link"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->size(), 3U);
  EXPECT_EQ(ReadableFile::open(scratch.file("none")).code(), StatusCode::kSnapshotNotFound);
  EXPECT_EQ(ReadableFile::open(scratch.path()).code(), StatusCode::kIo);
  EXPECT_EQ(ReadableFile::open(std::string("a\0b", 3)).code(), StatusCode::kIo);
}

// --- AtomicFile ----------------------------------------------------------------------------------

TEST(AtomicFileTest, FileAppearsAtCommitAndIsPrivate) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  auto file = AtomicFile::create(directory, kName);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  ASSERT_TRUE(is_ok((*file)->append("hello ")));
  ASSERT_TRUE(is_ok((*file)->append("")));
  ASSERT_TRUE(is_ok((*file)->append("world")));
  EXPECT_EQ((*file)->size(), 11U);
  EXPECT_EQ(scratch.names(), std::vector<std::string>{(*file)->temporary_name()});
  ASSERT_TRUE(is_ok((*file)->commit()));
  EXPECT_EQ(scratch.names(), std::vector<std::string>{kName});
  EXPECT_EQ(scratch.read(kName), "hello world");
  struct stat info;
  ASSERT_EQ(::stat(scratch.file(kName).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  // Once means once.
  EXPECT_EQ((*file)->append("more").code(), StatusCode::kInternal);
  EXPECT_EQ((*file)->commit().code(), StatusCode::kInternal);
  file = StatusCode::kInternal;  // destroyed
  EXPECT_EQ(scratch.read(kName), "hello world");
}

TEST(AtomicFileTest, WritesEverySizeOfPiece) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  std::string expected;
  auto file = AtomicFile::create(directory, kName);
  ASSERT_TRUE(file.ok());
  for (const size_t size : {1UL, 65535UL, 1UL, 65536UL, 2UL, 65537UL, 40000UL, 40000UL, 300000UL,
                            3UL, 20000000UL, 1UL}) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    ASSERT_TRUE(is_ok((*file)->append(piece)));
    expected += piece;
  }
  ASSERT_TRUE(is_ok((*file)->commit()));
  EXPECT_TRUE(scratch.read(kName) == expected);
}

TEST(AtomicFileTest, D2_SyncsTheFileBeforeAndTheDirectoryAfterTheRename) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  for (int i = 0; i < 5; ++i) {
    const size_t before = fs.calls().size();
    ASSERT_TRUE(is_ok(save(directory, "x")));
    auto calls = fs.calls();
    calls.erase(calls.begin(), calls.begin() + static_cast<long>(before));
    std::string order;
    for (const std::string& call : calls) {
      if (call == "write" || call == "sync" || call == "rename" || call == "link" ||
          call == "unlink") {
        order += call + " ";
      }
    }
    std::string moves;
    if (i == 2) moves = "rename ";         // 1 to 2
    if (i >= 3) moves = "rename rename ";  // 2 to 3, 1 to 2
    if (i >= 1) moves += "link ";
    const std::string surplus = i < 3 ? "unlink " : "unlink unlink ";
    EXPECT_EQ(order, "write sync " + moves + "rename sync " + surplus) << i;
  }
}

TEST(AtomicFileTest, LongestNameHasRoomForEverySuffix) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  const std::string name(kMaxFileNameSize, 'n');
  for (const char* bytes : {"1", "2", "3", "4"}) {
    const Status status = save(directory, bytes, 3, name);
    ASSERT_TRUE(status.ok()) << status.to_string();
  }
  EXPECT_EQ(scratch.read(name + ".2"), "2");
  EXPECT_TRUE(is_ok(directory.open_file(name + ".2")));
}

TEST(AtomicFileTest, D3_DroppedWithoutCommitLeavesThePreviousFileAlone) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  ASSERT_TRUE(is_ok(save(directory, "old")));
  {
    auto file = AtomicFile::create(directory, kName);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(is_ok((*file)->append(contents('n'))));
    EXPECT_TRUE(scratch.has_temporary());
  }
  EXPECT_EQ(scratch.names(), std::vector<std::string>{kName});
  EXPECT_EQ(scratch.read(kName), "old");
}

TEST(AtomicFileTest, GenerationsRotate) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  for (const char* bytes : {"1", "2", "3", "4", "5"}) ASSERT_TRUE(is_ok(save(directory, bytes)));
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{kName, kName + ".1", kName + ".2"}));
  EXPECT_EQ(scratch.read(kName), "5");
  EXPECT_EQ(scratch.read(kName + ".1"), "4");
  EXPECT_EQ(scratch.read(kName + ".2"), "3");
}

TEST(AtomicFileTest, FewerGenerationsDropTheSurplus) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  for (const char* bytes : {"1", "2", "3", "4", "5", "6"}) {
    ASSERT_TRUE(is_ok(save(directory, bytes, 5)));
  }
  EXPECT_EQ(scratch.read(kName + ".4"), "2");
  ASSERT_TRUE(is_ok(save(directory, "7", 2)));
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{kName, kName + ".1"}));
  EXPECT_EQ(scratch.read(kName + ".1"), "6");
}

TEST(AtomicFileTest, OneGenerationTouchesNothingElse) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  for (const char* name : {"store.rkvs.1", "store.rkvs.2"}) scratch.write(name, "somebody's");
  ASSERT_TRUE(is_ok(save(directory, "a", 1)));
  ASSERT_TRUE(is_ok(save(directory, "b", 1)));
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{kName, kName + ".1", kName + ".2"}));
  EXPECT_EQ(scratch.read(kName), "b");
  EXPECT_EQ(scratch.read(kName + ".1"), "somebody's");
}

TEST(AtomicFileTest, GapAmongGenerationsIsFilledBeforeOneIsDropped) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  for (const char* bytes : {"1", "2", "3"}) ASSERT_TRUE(is_ok(save(directory, bytes)));
  ASSERT_TRUE(is_ok(directory.remove(kName + ".1")));
  ASSERT_TRUE(is_ok(save(directory, "4")));
  EXPECT_EQ(scratch.read(kName + ".1"), "3");
  EXPECT_EQ(scratch.read(kName + ".2"), "1");
}

TEST(AtomicFileTest, NewestIsAlwaysUnderItsNameWhileGenerationsMove) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  for (const char* bytes : {"1", "2", "3"}) ASSERT_TRUE(is_ok(save(directory, bytes)));
  // Whatever call the save dies at, as a crash would have it: the file under NAME is whole.
  const size_t before = fs.calls().size();
  ASSERT_TRUE(is_ok(save(directory, "4")));
  const size_t calls = fs.calls().size() - before;
  ASSERT_GT(calls, 8U);
  for (size_t n = 0; n < calls; ++n) {
    fs.fail_call(fs.calls().size() + n, EIO, /*for_good=*/true);
    const Status status = save(directory, "5");
    const std::string newest = scratch.read(kName);
    EXPECT_TRUE(newest == "4" || newest == "5") << "call " << n << ": " << newest;
    // The one before it is there as well, moved up or not.
    EXPECT_TRUE(scratch.read(kName + ".1").size() == 1 || scratch.read(kName + ".2").size() == 1)
        << "call " << n;
    EXPECT_TRUE(newest == "5" || !status.ok()) << "call " << n;
    fs.fail_call(UINT64_MAX, 0);
    ASSERT_TRUE(directory.remove_stale_temporaries().ok());
    ASSERT_TRUE(is_ok(save(directory, "4")));
  }
}

// Every call of a save, once and for good, with every error: what was there before stays.
TEST(AtomicFileTest, D2_PreviousFileSurvivesEveryFailure) {
  const std::string first = contents('1');
  const std::string second = contents('2');
  const std::string third = contents('3');
  size_t calls = 0;
  {
    const ScratchDirectory scratch;
    FaultyFileSystem fs;
    const Directory directory = open(scratch, fs);
    ASSERT_TRUE(is_ok(save(directory, first)));
    ASSERT_TRUE(is_ok(save(directory, second)));
    const size_t before = fs.calls().size();
    ASSERT_TRUE(is_ok(save(directory, third)));
    calls = fs.calls().size() - before;
  }
  ASSERT_GT(calls, 10U);
  // Failing one of these takes nothing away from the new file.
  const std::set<std::string> harmless = {"close", "lock", "unlink", "start_writeback"};
  for (const int error : {EIO, ENOSPC}) {
    for (const bool for_good : {false, true}) {
      for (size_t n = 0; n < calls; ++n) {
        const ScratchDirectory scratch;
        FaultyFileSystem fs;
        const Directory directory = open(scratch, fs);
        ASSERT_TRUE(is_ok(save(directory, first)));
        ASSERT_TRUE(is_ok(save(directory, second)));
        fs.fail_call(fs.calls().size() + n, error, for_good);
        const Status status = save(directory, third);
        ASSERT_FALSE(fs.failed().empty());
        const std::string failed = fs.failed().front();
        SCOPED_TRACE("call " + std::to_string(n) + ", " + failed + (for_good ? " for good" : ""));

        const std::string newest = scratch.read(kName);
        if (status.ok()) {
          // D4: success only when nothing that matters failed.
          EXPECT_TRUE(harmless.contains(failed));
          EXPECT_TRUE(newest == third);
        } else {
          EXPECT_EQ(status.code(), StatusCode::kIo);
          EXPECT_TRUE(mentions(status, kName) || mentions(status, scratch.path()))
              << status.message();
          if (!for_good) {
            EXPECT_FALSE(harmless.contains(failed));
          }
          // Whole, in any case: only after the rename may it be the new one.
          EXPECT_TRUE(newest == second || (failed == "sync" && newest == third));
        }
        // The ones before it are there as well.
        std::multiset<std::string> older;
        for (uint32_t age = 1; age <= 3; ++age)
          older.insert(scratch.read(generation_name(kName, age)));
        EXPECT_TRUE(older.contains(first));
        if (newest == third) {
          EXPECT_TRUE(older.contains(second));
        }
        if (!for_good) {
          EXPECT_FALSE(scratch.has_temporary());
        }

        // And the next save works, and loses nothing either.
        fs.fail_call(UINT64_MAX, 0);
        ASSERT_TRUE(is_ok(save(directory, contents('4'))));
        EXPECT_TRUE(scratch.read(kName) == contents('4'));
        EXPECT_TRUE(scratch.read(kName + ".1") == newest);
      }
    }
  }
}

TEST(AtomicFileTest, D4_FullDiskIsReportedEvenForTheLastByte) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  auto file = AtomicFile::create(directory, kName);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(is_ok((*file)->append("still in the buffer")));
  fs.fail_named("write", ENOSPC);
  const Status status = (*file)->commit();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_TRUE(mentions(status, std::generic_category().message(ENOSPC))) << status.message();
  EXPECT_EQ(scratch.read(kName), "<none>");
}

TEST(AtomicFileTest, D4_FailedSyncIsFinal) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  auto file = AtomicFile::create(directory, kName);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(is_ok((*file)->append("x")));
  for (const int error : {EIO, EINTR}) {
    fs.fail_named("sync", error);
    EXPECT_EQ((*file)->commit().code(), StatusCode::kIo);
  }
  // A second attempt on the same descriptor would find nothing wrong.
  fs.fail_named("", 0);
  EXPECT_EQ((*file)->commit().code(), StatusCode::kIo);
  EXPECT_EQ((*file)->append("y").code(), StatusCode::kIo);
  EXPECT_EQ(fs.count("sync"), 1U);
  EXPECT_EQ(scratch.read(kName), "<none>");
}

TEST(AtomicFileTest, InterruptedCallsAreRepeated) {
  size_t calls = 0;  // of a save, more with each repetition
  for (size_t n = 0; n == 0 || n < calls; ++n) {
    const ScratchDirectory scratch;
    FaultyFileSystem fs;
    const Directory directory = open(scratch, fs);
    for (const char* bytes : {"1", "2", "3"}) ASSERT_TRUE(is_ok(save(directory, bytes)));
    const size_t before = fs.calls().size();
    fs.fail_call(before + n, EINTR);
    const Status status = save(directory, contents('4'));
    ASSERT_EQ(fs.failed().size(), 1U);
    const std::string failed = fs.failed().front();
    SCOPED_TRACE("call " + std::to_string(n) + ", " + failed);
    if (failed == "sync" || failed == "stat" || failed == "stat_at") {
      EXPECT_EQ(status.code(), StatusCode::kIo);  // sync is final; stat is never interrupted
    } else {
      EXPECT_TRUE(status.ok()) << status.to_string();
      EXPECT_TRUE(scratch.read(kName) == contents('4'));
      EXPECT_EQ(scratch.read(kName + ".2"), "2");
    }
    EXPECT_FALSE(scratch.has_temporary());
    calls = std::max(calls, fs.calls().size() - before - 1);
  }
  EXPECT_GT(calls, 10U);
}

TEST(AtomicFileTest, ShortWritesAreContinued) {
  for (const size_t most : {size_t{1000}, size_t{65536}, size_t{99999}}) {
    const ScratchDirectory scratch;
    FaultyFileSystem fs;
    const Directory directory = open(scratch, fs);
    fs.shorten_transfers(most);
    std::string bytes;
    for (int i = 0; i < 30000; ++i) bytes += std::to_string(i);
    ASSERT_TRUE(is_ok(save(directory, bytes)));
    EXPECT_TRUE(scratch.read(kName) == bytes);
    EXPECT_GE(fs.count("write"), bytes.size() / most);
  }
}

TEST(AtomicFileTest, WriteThatWritesNothingIsAnErrorNotALoop) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  fs.shorten_transfers(0);
  EXPECT_EQ(save(directory, "x").code(), StatusCode::kIo);
}

TEST(AtomicFileTest, RepeatedFailuresDoNotEatTheOlderGenerations) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  for (const char* bytes : {"1", "2", "3"}) ASSERT_TRUE(is_ok(save(directory, bytes)));
  fs.fail_rename_to(kName, EIO);  // the last step, after the generations have moved
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(save(directory, "lost").code(), StatusCode::kIo);
    EXPECT_EQ(scratch.read(kName), "3");
    EXPECT_EQ(scratch.read(kName + ".2"), "2");
    EXPECT_EQ(scratch.read(kName + ".3"), "1");
  }
  fs.fail_rename_to("", 0);
  ASSERT_TRUE(is_ok(save(directory, "4")));
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{kName, kName + ".1", kName + ".2"}));
  EXPECT_EQ(scratch.read(kName), "4");
  EXPECT_EQ(scratch.read(kName + ".1"), "3");
  EXPECT_EQ(scratch.read(kName + ".2"), "2");
}

TEST(AtomicFileTest, WithoutHardLinksThePreviousFileIsCopied) {
  for (const int error : {EPERM, EOPNOTSUPP, ENOSYS, EMLINK}) {
    const ScratchDirectory scratch;
    FaultyFileSystem fs;
    const Directory directory = open(scratch, fs);
    fs.fail_named("link", error);
    for (const char letter : {'1', '2', '3', '4'}) {
      const Status status = save(directory, contents(letter));
      ASSERT_TRUE(status.ok()) << status.to_string();
    }
    EXPECT_EQ(scratch.names(), (std::vector<std::string>{kName, kName + ".1", kName + ".2"}));
    EXPECT_TRUE(scratch.read(kName) == contents('4'));
    EXPECT_TRUE(scratch.read(kName + ".1") == contents('3'));
    EXPECT_TRUE(scratch.read(kName + ".2") == contents('2'));
  }
}

TEST(AtomicFileTest, WithoutHardLinksThePreviousFileSurvivesEveryFailure) {
  // First without a fault, to count the calls.
  size_t calls = 0;
  for (size_t n = SIZE_MAX; n == SIZE_MAX || n < calls; ++n) {
    const ScratchDirectory scratch;
    FaultyFileSystem fs;
    const Directory directory = open(scratch, fs);
    ASSERT_TRUE(is_ok(save(directory, contents('1'))));
    fs.fail_named("link", EPERM);
    const size_t before = fs.calls().size();
    if (n != SIZE_MAX) fs.fail_call(before + n, EIO);
    const Status status = save(directory, contents('2'));
    if (n == SIZE_MAX) {
      calls = fs.calls().size() - before;
    }
    const std::string newest = scratch.read(kName);
    EXPECT_TRUE(newest == contents('1') || newest == contents('2')) << "call " << n;
    EXPECT_TRUE(newest == contents('2') || !status.ok()) << "call " << n;
    EXPECT_FALSE(scratch.has_temporary()) << "call " << n;
    const std::string older = scratch.read(kName + ".1");
    EXPECT_TRUE(older == contents('1') || (older == "<none>" && newest == contents('1')))
        << "call " << n;
  }
  EXPECT_GT(calls, 15U);
}

TEST(AtomicFileTest, D6_OverlappingSavesEachStayWholeAndTheLastWins) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  auto a = AtomicFile::create(directory, kName);
  auto b = AtomicFile::create(directory, kName);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE((*a)->temporary_name(), (*b)->temporary_name());
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(is_ok((*a)->append(contents('a'))));
    ASSERT_TRUE(is_ok((*b)->append(contents('b'))));
  }
  ASSERT_TRUE(is_ok((*b)->commit()));
  EXPECT_TRUE(scratch.read(kName) == std::string(1000000, 'b'));
  ASSERT_TRUE(is_ok((*a)->commit()));
  EXPECT_TRUE(scratch.read(kName) == std::string(1000000, 'a'));
  EXPECT_TRUE(scratch.read(kName + ".1") == std::string(1000000, 'b'));
}

TEST(AtomicFileTest, D6_ConcurrentSavesNeverShowAPartOfAFile) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  ASSERT_TRUE(is_ok(save(directory, contents('0'))));
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::thread reader([&] {
    std::string bytes(contents('0').size() + 1, '\0');
    while (!stop) {
      const auto file = directory.open_file(kName);
      if (!file.ok()) {
        ++failures;
        continue;
      }
      const auto n = (*file)->read_at(0, bytes.data(), bytes.size());
      const std::string_view read(bytes.data(), n.ok() ? *n : 0);
      if (read != contents(bytes[0])) ++failures;
    }
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        if (!save(directory, contents(static_cast<char>('a' + t))).ok()) ++failures;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  stop = true;
  reader.join();
  EXPECT_EQ(failures, 0);
  EXPECT_FALSE(scratch.has_temporary());
  for (uint32_t age = 0; age < 3; ++age) {
    const std::string bytes = scratch.read(generation_name(kName, age));
    EXPECT_TRUE(bytes == contents(bytes[0])) << age;
  }
}

TEST(AtomicFileTest, ATakenTemporaryNameIsPassedOver) {
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  fs.fail_call(fs.calls().size(), EEXIST);
  EXPECT_TRUE(is_ok(save(directory, "x")));
  fs.fail_named("open", EEXIST);
  EXPECT_EQ(save(directory, "y").code(), StatusCode::kIo);
  EXPECT_EQ(scratch.read(kName), "x");
}

TEST(AtomicFileTest, ATemporaryThatACleanerTookIsMadeAgain) {
  // Between its creation and its lock another process may take it for a stale one.
  const ScratchDirectory scratch;
  FaultyFileSystem fs;
  const Directory directory = open(scratch, fs);
  const size_t before = fs.calls().size();
  fs.fail_call(before + 1, EWOULDBLOCK);
  EXPECT_TRUE(is_ok(save(directory, "x")));
  ASSERT_EQ(fs.failed(), std::vector<std::string>{"lock"});
  EXPECT_EQ(fs.count("lock"), 2U);
  EXPECT_EQ(scratch.read(kName), "x");
}

TEST(AtomicFileTest, ACommitThatIsRepeatedIsAMistakeAndLeavesTheFile) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  auto file = AtomicFile::create(directory, kName, 3);
  ASSERT_TRUE(is_ok(file));
  ASSERT_TRUE(is_ok((*file)->append("x")));
  ASSERT_TRUE(is_ok((*file)->commit()));
  EXPECT_EQ((*file)->commit().code(), StatusCode::kInternal);
  EXPECT_EQ((*file)->commit().code(), StatusCode::kInternal);
  EXPECT_EQ((*file)->append("y").code(), StatusCode::kInternal);
  EXPECT_EQ(scratch.read(kName), "x");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{kName});
}

TEST(AtomicFileTest, ASaveGoesOnWhereOneStoppedThatHadKeptThePrevious) {
  // NAME and NAME.1 are the same file: linked, but not replaced yet.
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  ASSERT_TRUE(is_ok(save(directory, "1")));
  std::filesystem::create_hard_link(scratch.file(kName), scratch.file(kName + ".1"));
  ASSERT_TRUE(is_ok(save(directory, "2")));
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{kName, kName + ".1"}));
  EXPECT_EQ(scratch.read(kName), "2");
  EXPECT_EQ(scratch.read(kName + ".1"), "1");
  // Where they differ, the older one moves on.
  ASSERT_TRUE(is_ok(save(directory, "3")));
  EXPECT_EQ(scratch.read(kName + ".1"), "2");
  EXPECT_EQ(scratch.read(kName + ".2"), "1");
}

TEST(AtomicFileTest, SurplusGenerationsAreRemovedUpToTheMostThereCanBe) {
  const ScratchDirectory scratch;
  const Directory directory = open(scratch);
  ASSERT_TRUE(is_ok(save(directory, "0", kMaxGenerations)));
  for (uint32_t age = 1; age <= kMaxGenerations; ++age) {
    scratch.write(generation_name(kName, age), std::to_string(age));
  }
  ASSERT_TRUE(is_ok(save(directory, "new", 2)));
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{kName, kName + ".1"}));
  EXPECT_EQ(scratch.read(kName + ".1"), "0");
}

}  // namespace
}  // namespace rkvs::internal
