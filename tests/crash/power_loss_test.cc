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
    std::printf("%zu operations, %zu states, %zu of them different and loaded\n", log.size(),
                states_, loaded_.size());
    EXPECT_GT(states_, log.size());
  }

  PowerLoss::Options options() const {
    return {.single_blocks = 16,
            .random_states = static_cast<size_t>(scaled_down(8, 4) * test_scale())};
  }
  static size_t small(int n) { return static_cast<size_t>(3000 + 9000 * (n % 3)); }

  static constexpr size_t kLargest = 1'000'000;
  TempDir real_;
  std::set<std::string> whole_;

 private:
  size_t states_ = 0;
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

}  // namespace
}  // namespace rkvs
