// Every call that a save, a rotation of generations or a load makes to the system fails, one after
// the other, in each of the ways in which it can: nothing that was there before is lost, what is
// loaded is never half of anything, and the next attempt succeeds.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "manager/manager_impl.h"
#include "tests/manager/hooked_file_system.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using internal::ManagerImpl;
using internal::NamespaceImpl;

struct Fault {
  const char* name;
  int error;  // 0: a transfer of one byte instead
  int calls;  // that fail, one behind the other
};
constexpr int kForGood = 1'000'000;

// Reports as "the 7th call" would: what fails is known before anything is called.
class FaultyDisk : public HookedFileSystem {
 public:
  // The n-th call from now on is the first that fails.
  void arm(const Fault& fault, int n) {
    fault_ = fault;
    n_ = n;
    seen_ = 0;
    first_.clear();
    set_hook([this](std::string_view call) { return next(call); });
  }
  // Whether the fault has happened.
  bool disarm() {
    set_hook(nullptr);
    n_ = 0;
    return !first_.empty();
  }
  // The call that failed first.
  const std::string& first() const { return first_; }

  int64_t write(int fd, const char* data, size_t size) override {
    return HookedFileSystem::write(fd, data, shortened(size));
  }
  int64_t read_at(int fd, char* data, size_t size, uint64_t offset) override {
    return HookedFileSystem::read_at(fd, data, shortened(size), offset);
  }

 private:
  bool is_due(int call) const { return n_ > 0 && call >= n_ && call - n_ < fault_.calls; }
  // Asked before the call is counted.
  size_t shortened(size_t size) const {
    return fault_.error == 0 && is_due(seen_ + 1) ? std::min<size_t>(size, 1) : size;
  }
  int next(std::string_view call) {
    if (!is_due(++seen_)) return 0;
    if (first_.empty()) first_ = call;
    return -fault_.error;
  }

  Fault fault_{};
  int n_ = 0;
  int seen_ = 0;
  std::string first_;
};

Contents contents_of(int state) {
  return {{"k", "state " + std::to_string(state)},
          {"large", std::string(static_cast<size_t>(150'000 + 1000 * state), 'x')},
          {"of " + std::to_string(state), ""}};
}

void become(Namespace ns, int state) {
  for (const auto& [key, value] : manager_test::contents_of(ns)) EXPECT_OK(ns.delete_key(key));
  fill(ns, contents_of(state));
}

// Which state it is, whole; -1 for anything else.
int state_of(const Namespace& ns) {
  const Contents found = manager_test::contents_of(ns);
  for (int state = 0; state < 6; ++state) {
    if (found == contents_of(state)) return state;
  }
  return -1;
}

// What is in a file as another process finds it; -1 where that is no state, or no file that loads.
int state_in(const TempDir& directory, std::string_view file) {
  StorageManager manager = manager_in(directory);
  const Status status = manager.load_report().status();
  EXPECT_CODE(status, kNotInitialized);
  EXPECT_OK(manager.initialize(file));
  if (!manager.is_initialized() || !manager.load_report()->skipped.empty()) return -1;
  if (*manager.namespace_count() == 0) return -1;
  return state_of(find(manager, "n"));
}

class IoFailure : public ::testing::TestWithParam<Fault> {
 protected:
  // Whether the operation shall not even notice: a call that a signal interrupted is made again, a
  // transfer that was cut short goes on. (For a sync there is no second try, and the rest are not
  // calls that wait.)
  bool shall_pass() const {
    if (GetParam().error == 0) return true;
    if (GetParam().error != EINTR) return false;
    static const std::set<std::string> repeated = {"make_directory", "open_directory", "create",
                                                   "open",           "write",          "read_at",
                                                   "rename",         "link",           "unlink"};
    return repeated.count(disk_.first()) != 0;
  }
  bool for_good() const { return GetParam().calls == kForGood; }

  // Runs `round(n)` for n = 1, 2, ..., until one comes through without meeting the fault.
  static void run_until_clean(const std::function<bool(int)>& round) {
    constexpr int kMany = 400;
    for (int n = 1;; ++n) {
      ASSERT_LT(n, kMany) << "never clean";
      SCOPED_TRACE("call " + std::to_string(n));
      const bool clean = !round(n);
      if (::testing::Test::HasFatalFailure()) return;
      if (clean) {
        EXPECT_GT(n, 3) << "nothing was tested";
        return;
      }
    }
  }

  // Saves with `saves` generations there already, under the fault.
  void fail_saves(int saves) {
    run_until_clean([&](int n) {
      const TempDir directory;
      disk_.disarm();
      ManagerImpl manager({.directory = directory.path()}, disk_);
      EXPECT_OK(manager.initialize(std::nullopt));
      Namespace ns = NamespaceImpl::handle(*manager.create("n", {}));
      for (int state = 0; state < saves; ++state) {
        become(ns, state);
        EXPECT_OK(manager.save(*manager.all(), "f", {}));
      }
      become(ns, saves);
      disk_.arm(GetParam(), n);
      const Status status = manager.save(*manager.all(), "f", {});
      const bool happened = disk_.disarm();
      SCOPED_TRACE(disk_.first() + ": " + status.to_string());
      if (!happened || shall_pass()) {
        EXPECT_OK(status);
      } else if (!status.ok()) {
        EXPECT_CODE(status, kIo);
      } else {
        static const std::set<std::string> matter = {"create", "write", "sync", "rename",
                                                     "sync_directory"};
        EXPECT_EQ(matter.count(disk_.first()), 0U) << "a failure that matters went unnoticed";
      }
      check_generations(directory, saves, status.ok());
      if (!for_good()) expect_no_temporaries(directory);

      EXPECT_OK(manager.save(*manager.all(), "f", {}));
      EXPECT_EQ(state_in(directory, "f"), saves);
      become(ns, saves + 1);
      EXPECT_OK(manager.save(*manager.all(), "f", {}));
      EXPECT_EQ(state_in(directory, "f"), saves + 1);
      return happened;
    });
  }

  // Every file is one of the states, older ones behind newer ones; the newest is `last`, or, where
  // it was not saved, the one before. No generation but the oldest may be lost.
  static void check_generations(const TempDir& directory, int last, bool saved) {
    int newest = -1;
    int newer = 99;
    std::set<int> states;
    for (const std::string name : {"f", "f.1", "f.2", "f.3"}) {
      if (!std::filesystem::exists(directory / name)) continue;
      const int state = state_in(directory, name);
      EXPECT_GE(state, 0) << name << " is not whole";
      EXPECT_LE(state, newer) << name << " is newer than what is before it";
      if (name == "f") newest = state;
      newer = state;
      states.insert(state);
    }
    if (last == 0 && !saved) {
      EXPECT_LE(newest, 0);
      return;
    }
    if (saved) {
      EXPECT_EQ(newest, last);
    } else {
      EXPECT_TRUE(newest == last || newest == last - 1) << newest;
    }
    // Of the states that were saved before, the newest two are there.
    for (int state = std::max(0, last - 2); state < last; ++state) {
      EXPECT_EQ(states.count(state), 1U) << "state " << state << " is lost";
    }
  }
  static void expect_no_temporaries(const TempDir& directory) {
    for (const std::string& name : directory.names()) EXPECT_NE(name.front(), '.') << name;
  }

  // A directory with three generations of "f": states 2, 1 and 0.
  static void save_three(const TempDir& directory) {
    StorageManager manager = manager_in(directory);
    ASSERT_OK(manager.initialize());
    Namespace ns = *manager.create_namespace("n");
    for (int state = 0; state < 3; ++state) {
      become(ns, state);
      ASSERT_OK(manager.save_all("f"));
    }
  }

  FaultyDisk disk_;
};

TEST_P(IoFailure, OfAFirstSaveLeavesNoFileOrAWholeOne) { fail_saves(0); }

TEST_P(IoFailure, OfASaveThatRotatesKeepsThePreviousGenerations) { fail_saves(4); }

TEST_P(IoFailure, OfALoadChangesNothingAndIsNotTakenForDamage) {
  const TempDir directory;
  save_three(directory);
  const auto names = directory.names();
  run_until_clean([&](int n) {
    ManagerImpl manager({.directory = directory.path()}, disk_);
    disk_.arm(GetParam(), n);
    const Status status = manager.initialize("f");
    const bool happened = disk_.disarm();
    SCOPED_TRACE(disk_.first() + ": " + status.to_string());
    if (!happened || shall_pass()) {
      EXPECT_OK(status);
    }
    if (!status.ok()) {
      EXPECT_CODE(status, kIo);
      EXPECT_FALSE(manager.is_initialized());
      EXPECT_OK(manager.initialize("f"));
    }
    // Nothing older was taken in its place.
    EXPECT_TRUE(manager.load_report()->skipped.empty());
    EXPECT_EQ(state_of(NamespaceImpl::handle(*manager.find("n"))), 2);
    EXPECT_EQ(directory.names(), names);
    return happened;
  });
}

TEST_P(IoFailure, OfALoadThatFallsBackNeverStartsEmpty) {
  const TempDir directory;
  save_three(directory);
  std::string bytes = read_file(directory / "f");
  bytes.resize(bytes.size() - 8);
  write_file(directory / "f", bytes);
  run_until_clean([&](int n) {
    ManagerImpl manager({.directory = directory.path()}, disk_);
    disk_.arm(GetParam(), n);
    const Status status = manager.initialize("f");
    const bool happened = disk_.disarm();
    SCOPED_TRACE(disk_.first() + ": " + status.to_string());
    if (!happened || shall_pass()) {
      EXPECT_OK(status);
      EXPECT_EQ(manager.load_report()->file, "f.1");
    }
    if (!status.ok()) {
      EXPECT_FALSE(manager.is_initialized());
      EXPECT_OK(manager.initialize("f"));
      EXPECT_EQ(manager.load_report()->file, "f.1");
    }
    const auto report = manager.load_report();
    const int expected = report->file == "f.1" ? 1 : 0;
    // What could not be read is named, whatever was loaded in its place.
    EXPECT_EQ(report->skipped.size(), static_cast<size_t>(2 - expected));
    EXPECT_EQ(state_of(NamespaceImpl::handle(*manager.find("n"))), expected);
    return happened;
  });
}

TEST_P(IoFailure, OfLoadingOneNamespaceAddsNone) {
  const TempDir directory;
  save_three(directory);
  run_until_clean([&](int n) {
    ManagerImpl manager({.directory = directory.path()}, disk_);
    EXPECT_OK(manager.initialize(std::nullopt));
    disk_.arm(GetParam(), n);
    const auto loaded = manager.load("f", "m", std::nullopt, {});
    const bool happened = disk_.disarm();
    SCOPED_TRACE(disk_.first() + ": " + loaded.status().to_string());
    if (!happened || shall_pass()) {
      EXPECT_OK(loaded);
    }
    if (!loaded.ok()) {
      EXPECT_CODE(loaded, kIo);
      EXPECT_EQ(*manager.count(), 0U);
      EXPECT_OK(manager.load("f", "m", std::nullopt, {}));
    }
    EXPECT_EQ(state_of(NamespaceImpl::handle(*manager.find("m"))), 2);
    return happened;
  });
}

// Seven interruptions in a row: for good would be waited for, and rightly so.
// With every change what the calls are likely to say; at release size what they may say besides.
std::vector<Fault> faults() {
  std::vector<Fault> all = {{"Eio", EIO, 1},         {"EioForGood", EIO, kForGood},
                            {"Enospc", ENOSPC, 1},   {"EnospcForGood", ENOSPC, kForGood},
                            {"Eintr", EINTR, 1},     {"EintrSevenTimes", EINTR, 7},
                            {"ShortTransfer", 0, 1}, {"ShortTransfersSevenTimes", 0, 7}};
  if (test_scale() > 1) {
    for (const Fault& fault : {Fault{"Edquot", EDQUOT, 1}, Fault{"EdquotForGood", EDQUOT, kForGood},
                               Fault{"Erofs", EROFS, 1}, Fault{"ErofsForGood", EROFS, kForGood},
                               Fault{"Eacces", EACCES, 1}, Fault{"EaccesForGood", EACCES, kForGood},
                               Fault{"Emfile", EMFILE, 1}, Fault{"Enomem", ENOMEM, 1},
                               Fault{"Estale", ESTALE, 1}, Fault{"Efbig", EFBIG, 1}}) {
      all.push_back(fault);
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Faults, IoFailure, ::testing::ValuesIn(faults()),
                         [](const auto& fault) { return std::string(fault.param.name); });

}  // namespace
}  // namespace rkvs
