// The power goes after each operation of a save, and of what was not synced anything may be left:
// what loads is always the last save that was acknowledged or the one that was being made, whole,
// and never anything older.
//
// RKVS_TEST_SCALE multiplies the number of saves and of random states.
#include "tests/support/power_loss.h"

#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "manager/manager_impl.h"
#include "snapshot/writer.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using internal::AtomicFile;
using internal::Directory;
using internal::ManagerImpl;
using internal::NamespaceImpl;
using testing::DiskImage;
using testing::DiskOperation;
using testing::MemoryDisk;
using testing::PowerLoss;
using testing::scaled_down;

constexpr const char* kFile = "f";
constexpr int kEmpty = -1;

// Marks in the log: save number n begins, and is acknowledged.
uint64_t begins(int n) { return static_cast<uint64_t>(n) * 2; }
uint64_t is_acknowledged(int n) { return begins(n) + 1; }

// What a program was told of its saves until the power went.
struct Told {
  int acknowledged = kEmpty;
  int in_progress = kEmpty;  // or not acknowledged
  int acknowledgements = 0;

  void hear(uint64_t mark) {
    const auto n = static_cast<int>(mark / 2);
    (mark % 2 == 1 ? acknowledged : in_progress) = n;
    acknowledgements += mark % 2 == 1 ? 1 : 0;
  }
  bool allows(int n) const { return n == acknowledged || n == in_progress; }
};

class PowerLossTest : public ::testing::Test {
 protected:
  // What the store holds in save number n.
  static std::string value_of(int n, size_t size) {
    return std::string(size, static_cast<char>('a' + n % 26)) + std::to_string(n);
  }
  // Saves number `first` to `last`, of `size(n)` bytes each, by one manager.
  template <typename Size>
  void save(MemoryDisk& disk, int first, int last, Size size) {
    ManagerImpl manager({.directory = real_.path()}, disk);
    ASSERT_OK(manager.initialize(std::nullopt));
    Namespace ns = NamespaceImpl::handle(*manager.create("n", {}));
    for (int n = first; n <= last; ++n) {
      ASSERT_OK(ns.put("number", std::to_string(n)));
      ASSERT_OK(ns.put("value", value_of(n, size(n))));
      // Not to be made one chunk of.
      for (size_t i = 1; i * kLargest < size(n); ++i) {
        ASSERT_OK(ns.put("more" + std::to_string(i), value_of(n, kLargest)));
      }
      disk.mark(begins(n));
      ASSERT_OK(manager.save(*manager.all(), kFile, {}));
      disk.mark(is_acknowledged(n));
      whole_.insert(disk.contents(kFile));
    }
  }

  // A save as the store makes it, but of chunks of some 4.5 KB, of which there are three, in a file
  // of four blocks.
  void save_small_chunks(MemoryDisk& disk, int n) {
    const std::string number = std::to_string(n);
    const std::string value = value_of(n, 4500);
    const auto directory = Directory::open(real_.path().string(), disk);
    ASSERT_TRUE(directory.ok());
    disk.mark(begins(n));
    auto file = AtomicFile::create(*directory, kFile);
    ASSERT_OK(file);
    internal::SnapshotWriter writer(**file, 4600);
    ASSERT_OK(writer.begin({.created_unix_ms = 1, .library_version = "1", .namespace_count = 1}));
    ASSERT_OK(writer.begin_namespace({.name = "n",
                                      .entry_count = 4,
                                      .value_bytes = number.size() + 3 * value.size(),
                                      .last_version = 4}));
    ASSERT_OK(writer.add({.key = "number", .value = number, .version = 1}));
    uint64_t version = 1;
    int chunks = 0;
    for (const char* const key : {"value", "more1", "more2"}) {
      // A chunk is written when the next entry does not fit into it.
      const uint64_t before = writer.bytes_written();
      ASSERT_OK(writer.add({.key = key, .value = value, .version = ++version}));
      chunks += writer.bytes_written() > before ? 1 : 0;
    }
    ASSERT_OK(writer.end_namespace());
    EXPECT_EQ(chunks + 1, 3);
    ASSERT_OK(writer.finish());
    ASSERT_OK((*file)->commit());
    disk.mark(is_acknowledged(n));
    whole_.insert(disk.contents(kFile));
    EXPECT_GT(disk.contents(kFile).size(), 3 * PowerLoss::kBlock);
  }

  // The number of the save that a new process finds; kEmpty for an empty store.
  int loaded_from(MemoryDisk& disk) const {
    ManagerImpl manager({.directory = real_.path()}, disk);
    const Status status = manager.initialize(kFile);
    EXPECT_OK(status);
    if (!status.ok()) return -2;
    // NAME itself, and not what stands in for it when it is damaged.
    EXPECT_TRUE(manager.load_report()->skipped.empty()) << "the newest file is damaged";
    const auto found = manager.find("n");
    if (!found.ok()) return kEmpty;
    const Namespace ns = NamespaceImpl::handle(*found);
    const int n = std::stoi(ns.get("number")->to_string());
    const std::string value = ns.get("value")->to_string();
    EXPECT_EQ(value, value_of(n, value.size() - std::to_string(n).size()));
    return n;
  }

  void check(const DiskImage& image, const PowerLoss::Origin& origin, const Told& told) {
    ++states_;
    // Every complete name is a complete file: nothing torn is ever renamed.
    std::set<int> ages;
    std::string all;
    for (const auto& [name, bytes] : image.files) {
      const bool temporary = name.front() == '.';
      EXPECT_TRUE(temporary || whole_.count(*bytes) != 0) << name << " is torn";
      // What is in temporaries makes no difference to a load; that there are some does to a save.
      all.append(name).push_back('\0');
      if (!temporary) all.append(std::to_string(std::hash<std::string>()(*bytes)));
    }
    if (origin.in_order && told.acknowledgements > 1) {
      // As far as names come back in order, an older one is always there besides.
      EXPECT_TRUE(image.files.count("f.1") != 0 || image.files.count("f.2") != 0);
    }
    // The same files load the same way.
    all.append(std::to_string(told.acknowledged)).push_back('/');
    all.append(std::to_string(told.in_progress));
    if (!loaded_.insert(all).second) return;
    MemoryDisk disk(real_.path(), image);
    const int found = loaded_from(disk);
    EXPECT_TRUE(told.allows(found)) << "found " << found << ", acknowledged " << told.acknowledged
                                    << ", being made " << told.in_progress;
    if (loaded_.size() % 5 == 0) expect_life(disk);
  }
  // A store that goes on from there saves and loads, and what the dead one left is cleared away.
  void expect_life(MemoryDisk& disk) {
    ManagerImpl manager({.directory = real_.path()}, disk);
    ASSERT_OK(manager.initialize(kFile));
    if (!manager.find("n").ok()) {
      ASSERT_OK(manager.create("n", {}));
    }
    Namespace ns = NamespaceImpl::handle(*manager.find("n"));
    ASSERT_OK(ns.put("number", "77"));
    ASSERT_OK(ns.put("value", value_of(77, 10)));
    ASSERT_OK(manager.save(*manager.all(), kFile, {}));
    EXPECT_EQ(loaded_from(disk), 77);
    std::vector<std::string> names;
    disk.list(0, &names);
    for (const std::string& name : names) EXPECT_NE(name.front(), '.') << name;
  }

  // Replays the log, with the power going after each of its operations.
  void replay(const DiskImage& before, const MemoryDisk& disk, const PowerLoss::Options& options,
              Told told = {}) {
    const auto& log = disk.log();
    PowerLoss loss(before, log);
    for (size_t n = 0; n <= log.size() && !HasFailure(); ++n) {
      if (n > 0 && log[n - 1].kind == DiskOperation::Kind::kMark) told.hear(log[n - 1].offset);
      loss.visit_states(n, options, [&](const DiskImage& image, const PowerLoss::Origin& origin) {
        SCOPED_TRACE("after operation " + std::to_string(n) + " of " + std::to_string(log.size()));
        if (!HasFailure()) check(image, origin, told);
      });
    }
    EXPECT_GT(states_, log.size());
    if (options.every_content) {
      EXPECT_TRUE(loss.is_complete());
      return;
    }
    std::printf("%zu operations, %zu states, %zu of them different and loaded\n", log.size(),
                states_, loaded_.size());
  }

  PowerLoss::Options options() const {
    return {.single_blocks = 16,
            .random_states = static_cast<size_t>(scaled_down(8, 4) * test_scale())};
  }
  static size_t small(int n) { return static_cast<size_t>(3000 + 9000 * (n % 3)); }

  static constexpr size_t kLargest = 1'000'000;
  TempDir real_;
  std::set<std::string> whole_;
  size_t states_ = 0;

 private:
  std::unordered_set<std::string> loaded_;
};

TEST_F(PowerLossTest, D2_LeavesTheLastSaveOrTheOneBeingMade) {
  const DiskImage before{.directory = false, .files = {}};
  MemoryDisk disk(real_.path(), before);
  save(disk, 0, 4 + test_scale(), small);
  replay(before, disk, options());
}

TEST_F(PowerLossTest, D2_LeavesTheLastSaveOrTheOneBeingMadeWithoutHardLinks) {
  const DiskImage before{.directory = false, .files = {}};
  MemoryDisk disk(real_.path(), before);
  disk.have_no_hard_links();
  save(disk, 0, 3 + test_scale(), small);
  replay(before, disk, options());
}

TEST_F(PowerLossTest, D2_LeavesTheLastSaveOrTheOneBeingMadeOfThreeChunks) {
  const DiskImage before{.directory = false, .files = {}};
  MemoryDisk disk(real_.path(), before);
  save(disk, 0, 1, [](int n) { return n == 0 ? size_t{5000} : 4 * kLargest; });
  EXPECT_GT(disk.contents(kFile).size(), 3 * kLargest);
  PowerLoss::Options few = options();
  few.single_blocks = 2 * static_cast<size_t>(test_scale());
  few.random_states = static_cast<size_t>(test_scale());
  replay(before, disk, few);
}

// Every state that the model of power_loss.h allows, with nothing left out: after each operation of
// a save onto an older one, every part of the pending changes of names, and of the file, as long as
// it is not synced, every length to a sector with every block lost, torn behind each of its sectors
// or whole. As in all these tests, states that differ in temporaries alone are looked at, and one
// of them is loaded. With chunks of the usual 1 MiB there would be 9 to the power of 768 contents:
// of those the test above takes a sample.
TEST_F(PowerLossTest, D2_LeavesTheLastSaveOrTheOneBeingMadeInEveryStateOfASmallSaveOfThreeChunks) {
  DiskImage before;
  {
    MemoryDisk maker(real_.path(), before);
    save_small_chunks(maker, 0);
    before.files[kFile] = std::make_shared<const std::string>(maker.contents(kFile));
  }
  for (const bool links : {true, false}) {
    MemoryDisk disk(real_.path(), before);
    if (!links) disk.have_no_hard_links();
    save_small_chunks(disk, 1);
    replay(before, disk, {.every_content = true}, {.acknowledged = 0, .acknowledgements = 1});
  }
  // Apart from the samples of the other tests.
  RecordProperty("all_of_a_small_save", static_cast<int>(states_));
}

// Two saves that overlap: the last to be acknowledged is there, or, until then, either.
TEST_F(PowerLossTest, D6_LeavesOneOfTwoSavesThatOverlap) {
  std::string texts[2];
  {
    MemoryDisk maker(real_.path(), {});
    save(maker, 0, 0, small);
    texts[0] = maker.contents(kFile);
  }
  {
    MemoryDisk maker(real_.path(), {});
    save(maker, 1, 1, small);
    texts[1] = maker.contents(kFile);
  }
  const DiskImage before;
  MemoryDisk disk(real_.path(), before);
  const auto directory = Directory::open(real_.path().string(), disk);
  ASSERT_TRUE(directory.ok());
  auto first = AtomicFile::create(*directory, kFile);
  auto second = AtomicFile::create(*directory, kFile);
  for (size_t at = 0; at < std::max(texts[0].size(), texts[1].size()); at += 5000) {
    if (at < texts[0].size()) {
      ASSERT_OK((*first)->append(texts[0].substr(at, 5000)));
    }
    if (at < texts[1].size()) {
      ASSERT_OK((*second)->append(texts[1].substr(at, 5000)));
    }
  }
  disk.mark(begins(1));
  ASSERT_OK((*second)->commit());
  disk.mark(is_acknowledged(1));
  disk.mark(begins(0));
  ASSERT_OK((*first)->commit());
  disk.mark(is_acknowledged(0));
  replay(before, disk, options());
}

// That the states are those that a careless save would lose data in: the same file, written the
// same way but for one sync, does not stand up to them.
TEST_F(PowerLossTest, FindsFilesThatWereRenamedBeforeTheyWereSynced) {
  const DiskImage before;
  MemoryDisk disk(real_.path(), before);
  const int fd = disk.open(0, ".t", MemoryDisk::OpenMode::kCreateExclusive);
  const std::string bytes = value_of(1, 10'000);
  disk.write(fd, bytes.data(), bytes.size());
  disk.rename(0, ".t", kFile);
  PowerLoss loss(before, disk.log());
  size_t torn = 0;
  size_t lost = 0;
  loss.visit_states(disk.log().size(), {}, [&](const DiskImage& image, const PowerLoss::Origin&) {
    const auto found = image.files.find(kFile);
    lost += found == image.files.end() ? 1 : 0;
    torn += found != image.files.end() && *found->second != bytes ? 1 : 0;
  });
  EXPECT_GT(torn, 10U);
  EXPECT_GT(lost, 0U);
}

// That "every content" is what it says, of a file of two blocks and a bit, nowhere zero.
TEST_F(PowerLossTest, VisitsEveryContentOfASmallFile) {
  const DiskImage before;
  MemoryDisk disk(real_.path(), before);
  const int fd = disk.open(0, ".t", MemoryDisk::OpenMode::kCreateExclusive);
  const std::string bytes(2 * PowerLoss::kBlock + 100, 'x');
  disk.write(fd, bytes.data(), bytes.size());
  disk.rename(0, ".t", kFile);
  PowerLoss loss(before, disk.log());
  std::set<std::string> found;
  loss.visit_states(disk.log().size(), {.every_content = true},
                    [&](const DiskImage& image, const PowerLoss::Origin&) {
                      const auto file = image.files.find(kFile);
                      if (file != image.files.end()) found.insert(*file->second);
                    });
  EXPECT_TRUE(loss.is_complete());
  size_t expected = 1;  // nothing
  // By the sectors that the last block has: so many of them, or fewer, and of each whole one 0
  // to 8.
  for (size_t sectors = 1; sectors <= 8; ++sectors) expected += (sectors + 1) * (1 + 9);
  expected += 9 * 9 * 2;
  EXPECT_EQ(found.size(), expected);
}

}  // namespace
}  // namespace rkvs
