// Saving while the store is in use, several at once, and with disks that fail.
#include <gtest/gtest.h>
#include <rkvs/all.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "manager/manager_impl.h"
#include "tests/manager/hooked_file_system.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using namespace std::chrono_literals;
using internal::ManagerImpl;
using internal::NamespaceImpl;
using testing::scaled_down;
using testing::StopAtExit;

StorageManager ready(const TempDir& directory) {
  StorageManager manager = manager_in(directory);
  EXPECT_OK(manager.initialize());
  return manager;
}

// What a new process would find; nothing where the file cannot be loaded.
std::optional<StorageManager> reload(const TempDir& directory, std::string_view file) {
  StorageManager manager = manager_in(directory);
  const Status status = manager.initialize(file);
  EXPECT_OK(status);
  if (!status.ok()) return std::nullopt;
  return manager;
}

void expect_no_temporaries(const TempDir& directory) {
  for (const std::string& name : directory.names()) EXPECT_NE(name.front(), '.') << name;
}

// --- One instant (D7) ----------------------------------------------------------------------------

// Writers move money between their accounts by all-or-nothing batches that also write the number of
// the batch into several keys; resizes go on all the time. In every snapshot the money is all there
// and each writer's numbers agree.
TEST(SaveUnderLoad, D7_ASnapshotIsOneInstantOfEveryBatch) {
  constexpr int kWriters = 3;
  constexpr int kAccounts = 24;
  constexpr int kMoney = 1000;
  constexpr int kSerials = 5;
  const TempDir directory;
  StorageManager manager = ready(directory);
  Namespace bank = *manager.create_namespace("bank", {.shard_count = 24, .lock_timeout = 1min});
  const auto account = [](int w, int a) {
    return "account " + std::to_string(w) + "/" + std::to_string(a);
  };
  const auto serial = [](int w, int s) {
    return "serial " + std::to_string(w) + "/" + std::to_string(s);
  };
  for (int w = 0; w < kWriters; ++w) {
    for (int a = 0; a < kAccounts; ++a) {
      ASSERT_OK(bank.put(account(w, a), std::to_string(kMoney)));
    }
    for (int s = 0; s < kSerials; ++s) ASSERT_OK(bank.put(serial(w, s), "0"));
  }

  std::atomic<uint64_t> batches{0};
  std::atomic<bool> stop{false};
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  threads.start(kWriters, [&](int w) {
    std::mt19937 random(static_cast<unsigned>(w));
    std::vector<int> money(kAccounts, kMoney);
    for (int number = 1; !stop.load(); ++number) {
      const int from = static_cast<int>(random() % kAccounts);
      const int to = (from + 1 + static_cast<int>(random() % (kAccounts - 1))) % kAccounts;
      money[static_cast<size_t>(from)] -= 7;
      money[static_cast<size_t>(to)] += 7;
      std::vector<std::pair<std::string, std::string>> bytes = {
          {account(w, from), std::to_string(money[static_cast<size_t>(from)])},
          {account(w, to), std::to_string(money[static_cast<size_t>(to)])}};
      for (int s = 0; s < kSerials; ++s) bytes.emplace_back(serial(w, s), std::to_string(number));
      std::vector<KeyValue> items;
      for (const auto& [key, value] : bytes) items.push_back({key, value});
      EXPECT_OK(bank.set_multiple(items, BatchMode::kAllOrNothing));
      batches.fetch_add(1);
    }
  });
  threads.start([&] {
    const uint32_t counts[] = {5, 40, 24, 1, 60};
    for (int i = 0; !stop.load(); ++i) EXPECT_OK(bank.resize_shards(counts[i % 5]));
  });

  const int snapshots = scaled_down(40, 4) * test_scale();
  for (int i = 0; i < snapshots; ++i) {
    // Each snapshot is of another moment.
    const uint64_t seen = batches.load();
    while (batches.load() < seen + 3) std::this_thread::yield();
    ASSERT_OK(manager.save_all("bank.rkvs"));
    const auto saved = reload(directory, "bank.rkvs");
    ASSERT_TRUE(saved.has_value());
    const Contents contents = contents_of(find(*saved, "bank"));
    ASSERT_EQ(contents.size(), static_cast<size_t>(kWriters * (kAccounts + kSerials)));
    for (int w = 0; w < kWriters; ++w) {
      int sum = 0;
      for (int a = 0; a < kAccounts; ++a) sum += std::stoi(contents.at(account(w, a)));
      ASSERT_EQ(sum, kAccounts * kMoney) << "snapshot " << i << " has half of a batch";
      for (int s = 1; s < kSerials; ++s) {
        ASSERT_EQ(contents.at(serial(w, s)), contents.at(serial(w, 0))) << "snapshot " << i;
      }
    }
  }
}

// A writer counts in one namespace and then in the other: at every instant the first is level or
// one ahead.
TEST(SaveUnderLoad, D8_ASnapshotIsOneInstantOfAllNamespaces) {
  constexpr int kPairs = 10;
  const TempDir directory;
  StorageManager manager = ready(directory);
  std::vector<std::pair<Namespace, Namespace>> pairs;
  for (int p = 0; p < kPairs; ++p) {
    // The order of names is not that of creation.
    Namespace second = *manager.create_namespace("b" + std::to_string(p), {.lock_timeout = 1min});
    Namespace first = *manager.create_namespace("a" + std::to_string(p), {.lock_timeout = 1min});
    ASSERT_OK(first.put("n", "0"));
    ASSERT_OK(second.put("n", "0"));
    pairs.emplace_back(first, second);
  }
  std::atomic<uint64_t> rounds{0};
  std::atomic<bool> stop{false};
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  threads.start(2, [&](int t) {
    for (int n = 1; !stop.load(); ++n) {
      for (size_t p = static_cast<size_t>(t); p < kPairs; p += 2) {
        EXPECT_OK(pairs[p].first.put("n", std::to_string(n)));
        EXPECT_OK(pairs[p].second.put("n", std::to_string(n)));
      }
      rounds.fetch_add(1);
    }
  });
  const int snapshots = scaled_down(40, 4) * test_scale();
  for (int i = 0; i < snapshots; ++i) {
    const uint64_t seen = rounds.load();
    while (rounds.load() < seen + 3) std::this_thread::yield();
    ASSERT_OK(manager.save_all("all.rkvs"));
    const auto saved = reload(directory, "all.rkvs");
    ASSERT_TRUE(saved.has_value());
    for (int p = 0; p < kPairs; ++p) {
      const int first = std::stoi(find(*saved, "a" + std::to_string(p)).get("n")->to_string());
      const int second = std::stoi(find(*saved, "b" + std::to_string(p)).get("n")->to_string());
      ASSERT_TRUE(first == second || first == second + 1) << first << " and " << second;
    }
  }
}

TEST(SaveUnderLoad, NamespacesComeGoAndGrowDuringSaves) {
  const TempDir directory;
  StorageManager manager = ready(directory);
  ASSERT_OK(manager.create_namespace("stays")->put("k", "v"));
  std::atomic<bool> stop{false};
  Threads threads;
  const StopAtExit stop_at_exit(stop);
  threads.start(2, [&](int t) {
    for (int i = 0; !stop.load(); ++i) {
      const std::string name = "n" + std::to_string(t) + "/" + std::to_string(i % 3);
      if (auto ns = manager.create_namespace(name); ns.ok()) {
        EXPECT_OK(ns->set_multiple({{"x", name}, {"y", name}}, BatchMode::kAllOrNothing));
      }
      EXPECT_OK(manager.delete_namespace(name));
    }
  });
  threads.start([&] {
    for (int i = 0; !stop.load(); ++i) {
      Namespace growing = *manager.create_namespace("grows");
      for (int k = 0; k < 200 && !stop.load(); ++k) EXPECT_OK(growing.put(std::to_string(k), ""));
      EXPECT_OK(manager.delete_namespace("grows"));
    }
  });
  const int snapshots = scaled_down(60, 4) * test_scale();
  for (int i = 0; i < snapshots; ++i) {
    ASSERT_OK(manager.save_all("f"));
    const auto saved = reload(directory, "f");
    ASSERT_TRUE(saved.has_value());
    EXPECT_EQ(*find(*saved, "stays").get("k"), "v");
    const auto names = saved->list_namespaces();
    for (const std::string& name : *names) {
      if (name[0] != 'n') continue;
      const Contents contents = contents_of(find(*saved, name));
      EXPECT_TRUE(contents.empty() || contents == (Contents{{"x", name}, {"y", name}}));
    }
    // A namespace that is on its way out is not found or saved whole, never saved as nothing.
    const Status one = manager.save_namespace("n0/0", "one");
    if (one.ok()) {
      EXPECT_EQ(*reload(directory, "one")->namespace_count(), 1U);
    } else {
      EXPECT_CODE(one, kNamespaceNotFound);
    }
  }
}

// --- No lock during I/O (D8) ---------------------------------------------------------------------

// Stops the first thread that makes one certain call, until it is let go.
class Gate {
 public:
  Gate(HookedFileSystem& fs, std::string call) : call_(std::move(call)) {
    fs.set_hook([this](std::string_view name) {
      if (name == call_) wait_here();
      return 0;
    });
  }
  ~Gate() { open(); }

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
    if (visited_) return;
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

class SlowDisk : public ::testing::Test {
 protected:
  SlowDisk() : manager_({.directory = directory_.path()}, fs_) {
    EXPECT_OK(manager_.initialize(std::nullopt));
  }
  Namespace create(std::string_view name) {
    auto created = manager_.create(name, {});
    EXPECT_OK(created);
    return NamespaceImpl::handle(*created);
  }
  // Everything that a program does with a store, while a save or load stands still.
  void use_everything() {
    Namespace ns = NamespaceImpl::handle(*manager_.find("n"));
    EXPECT_EQ(*ns.get("k"), "before");
    EXPECT_OK(ns.put("k", "after"));
    EXPECT_OK(ns.set_multiple({{"k", "after"}, {"l", "new"}}, BatchMode::kAllOrNothing));
    EXPECT_OK(ns.resize_shards(33));
    EXPECT_OK(ns.list_keys());
    EXPECT_OK(ns.metadata());
    create("created meanwhile");
    EXPECT_EQ(manager_.all()->size(), 3U);
    EXPECT_OK(manager_.update_config({.max_namespaces = 10}));
    EXPECT_OK(manager_.remove("goes"));
    EXPECT_EQ(*manager_.count(), 2U);
  }

  TempDir directory_;
  HookedFileSystem fs_;
  ManagerImpl manager_;
};

TEST_F(SlowDisk, D8_NothingWaitsForASaveThatWaitsForTheDisk) {
  for (const char* call : {"create", "write", "sync", "rename", "sync_directory"}) {
    SCOPED_TRACE(call);
    ASSERT_OK(create("n").put("k", "before"));
    ASSERT_OK(create("goes").put("k", "here"));
    const std::string file = std::string("while in ") + call;
    {
      Threads saver;
      Gate gate(fs_, call);
      saver.start([&] { EXPECT_OK(manager_.save(*manager_.all(), file)); });
      gate.await_visitor();
      use_everything();
      gate.open();
      saver.join();
    }
    fs_.set_hook(nullptr);
    const auto saved = reload(directory_, file);
    ASSERT_TRUE(saved.has_value());
    if (std::string_view(call) != "create") {
      // The instant was before the disk stood still.
      EXPECT_EQ(contents_of(find(*saved, "n")), (Contents{{"k", "before"}}));
      EXPECT_EQ(contents_of(find(*saved, "goes")), (Contents{{"k", "here"}}));
      EXPECT_EQ(*saved->namespace_count(), 2U);
    }
    for (const char* name : {"n", "created meanwhile"}) ASSERT_OK(manager_.remove(name));
    ASSERT_OK(manager_.update_config({}));
  }
}

TEST_F(SlowDisk, D8_NothingWaitsForALoadThatWaitsForTheDisk) {
  ASSERT_OK(create("saved").put("k", "v"));
  ASSERT_OK(manager_.save(*manager_.all(), "f"));
  ASSERT_OK(manager_.remove("saved"));
  ASSERT_OK(create("n").put("k", "before"));
  create("goes");
  Threads loader;
  Gate gate(fs_, "read_at");
  loader.start([&] { EXPECT_OK(manager_.load("f", std::nullopt, std::nullopt)); });
  gate.await_visitor();
  use_everything();
  EXPECT_CODE(manager_.find("saved"), kNamespaceNotFound);
  gate.open();
  loader.join();
  EXPECT_EQ(*NamespaceImpl::handle(*manager_.find("saved")).get("k"), "v");
}

// Somebody creates a namespace of the name that a load is about to add: the load finds it taken.
TEST_F(SlowDisk, ALoadAsksAgainBeforeItAdds) {
  ASSERT_OK(create("n").put("k", "saved"));
  ASSERT_OK(manager_.save(*manager_.all(), "f"));
  ASSERT_OK(manager_.remove("n"));
  for (const bool renamed : {false, true}) {
    const std::string name = renamed ? "m" : "n";
    Threads loader;
    Gate gate(fs_, "read_at");
    loader.start([&] {
      EXPECT_CODE(manager_.load("f", renamed ? std::optional<std::string_view>("m") : std::nullopt,
                                std::nullopt),
                  kNamespaceExists);
    });
    gate.await_visitor();
    ASSERT_OK(create(name).put("k", "live"));
    gate.open();
    loader.join();
    fs_.set_hook(nullptr);
    EXPECT_EQ(*NamespaceImpl::handle(*manager_.find(name)).get("k"), "live");
  }
}

// --- Deleted in mid-save (D3) --------------------------------------------------------------------

TEST_F(SlowDisk, ASaveThatACloseOvertakesIsClosedAndLeavesTheFileAlone) {
  ASSERT_OK(create("n").put("k", "v"));
  ASSERT_OK(create("m").put("k", "v"));
  ASSERT_OK(manager_.save(*manager_.all(), "f"));
  const std::string before = read_file(directory_ / "f");
  const auto all = *manager_.all();
  {
    Threads saver;
    Gate gate(fs_, "create");  // before the cut
    saver.start([&] { EXPECT_CODE(manager_.save(all, "f"), kClosed); });
    gate.await_visitor();
    EXPECT_OK(manager_.close());
    gate.open();
    saver.join();
  }
  EXPECT_CODE(manager_.save(all, "f"), kClosed) << "and so is every later one";
  EXPECT_EQ(read_file(directory_ / "f"), before);
  EXPECT_EQ(directory_.names(), std::vector<std::string>{"f"});
}

TEST_F(SlowDisk, ASaveThatIsOnKeepsTheDirectoryLockedBeyondAClose) {
  ASSERT_OK(create("n").put("k", "v"));
  const auto lock_elsewhere = [&] {
    return internal::Directory::open(directory_.path().string())->lock().code();
  };
  Threads saver;
  Gate gate(fs_, "sync");  // after the cut
  saver.start([&] { EXPECT_OK(manager_.save(*manager_.all(), "f")); });
  gate.await_visitor();
  EXPECT_OK(manager_.close());
  EXPECT_EQ(lock_elsewhere(), StatusCode::kDirectoryLocked);
  gate.open();
  saver.join();
  EXPECT_EQ(lock_elsewhere(), StatusCode::kOk);
  StorageManager second = manager_in(directory_);
  ASSERT_OK(second.initialize("f"));
  EXPECT_EQ(*find(second, "n").get("k"), "v");
}

TEST_F(SlowDisk, D3_DeletingANamespaceInMidSaveLeavesTheFileWhole) {
  Namespace ns = create("n");
  Contents contents;
  for (int i = 0; i < 2000; ++i) contents[std::to_string(i)] = std::string(1000, 'x');
  fill(ns, contents);
  int writes = 0;
  fs_.set_hook([&](std::string_view call) {
    if (call == "write" && ++writes == 2) {
      EXPECT_OK(manager_.remove("n"));
    }
    return 0;
  });
  EXPECT_OK(manager_.save_namespace("n", "f"));
  EXPECT_GE(writes, 2);
  fs_.set_hook(nullptr);
  EXPECT_CODE(ns.get("1"), kNamespaceDeleted);
  EXPECT_EQ(contents_of(find(*reload(directory_, "f"), "n")), contents);
}

TEST_F(SlowDisk, D3_ANamespaceDeletedJustBeforeItIsSavedDoesNotReplaceItsFile) {
  ASSERT_OK(create("n").put("k", "v"));
  ASSERT_OK(create("other").put("k", "w"));
  ASSERT_OK(manager_.save_namespace("n", "f"));
  fs_.set_hook([&](std::string_view call) {
    if (call == "create") {
      EXPECT_OK(manager_.remove("n"));
    }
    return 0;
  });
  EXPECT_CODE(manager_.save_namespace("n", "f"), kNamespaceNotFound);
  fs_.set_hook(nullptr);
  EXPECT_EQ(directory_.names(), std::vector<std::string>{"f"});
  EXPECT_EQ(contents_of(find(*reload(directory_, "f"), "n")), (Contents{{"k", "v"}}));

  // A save of everything leaves it out.
  create("n");
  fs_.set_hook([&](std::string_view call) {
    if (call == "create") {
      EXPECT_OK(manager_.remove("n"));
    }
    return 0;
  });
  EXPECT_OK(manager_.save(*manager_.all(), "all"));
  fs_.set_hook(nullptr);
  EXPECT_EQ(*reload(directory_, "all")->list_namespaces(), std::vector<std::string>{"other"});
}

// --- Overlapping saves (D6) ----------------------------------------------------------------------

TEST(OverlappingSaves, D6_ToOneNameLeaveOneOfThemWhole) {
  constexpr int kSavers = 3;
  constexpr int kKeys = 300;
  const TempDir directory;
  // Each saver has a store of its own, in which everything has the saver's own size.
  const auto value = [](int t) { return std::string(static_cast<size_t>(1000 * (t + 1)), 'x'); };
  const int rounds = scaled_down(40, 4) * test_scale();
  std::atomic<int> running{kSavers};
  Threads threads;
  threads.start(kSavers, [&](int t) {
    StorageManager manager = ready(directory);
    Namespace ns = *manager.create_namespace("n");
    for (int k = 0; k < kKeys; ++k) EXPECT_OK(ns.put(std::to_string(k), value(t)));
    for (int i = 0; i < rounds; ++i) EXPECT_OK(manager.save_all("contested"));
    running.fetch_sub(1);
  });
  const auto check = [&](const StorageManager& manager) {
    const Contents contents = contents_of(find(manager, "n"));
    ASSERT_EQ(contents.size(), static_cast<size_t>(kKeys));
    for (const auto& [key, bytes] : contents) ASSERT_EQ(bytes.size(), contents.at("0").size());
  };
  while (running.load() != 0) {
    StorageManager manager = manager_in(directory);
    EXPECT_OK(manager.initialize("contested"));
    if (*manager.namespace_count() != 0) check(manager);  // else nobody has saved yet
  }
  threads.join();
  check(*reload(directory, "contested"));
  expect_no_temporaries(directory);
}

// --- Failing disks (D2, D4) ----------------------------------------------------------------------

// The n-th call to the system fails, for every n: whatever that leaves is the old file or the new
// one, whole, and only a failed sync of the directory leaves open which.
TEST(FailingDisk, D2_TheFileThatWasThereSurvivesAFailureOfAnyCall) {
  for (const int error : {ENOSPC, EIO}) {
    bool clean = false;
    for (int n = 1; !clean; ++n) {
      ASSERT_LT(n, 200);
      const TempDir directory;
      Contents before = {{"k", "before"}, {"large", std::string(200'000, 'b')}};
      Contents after = {{"k", "after"}, {"large", std::string(300'000, 'a')}};
      HookedFileSystem fs;
      ManagerImpl manager({.directory = directory.path()}, fs);
      ASSERT_OK(manager.initialize(std::nullopt));
      Namespace ns = NamespaceImpl::handle(*manager.create("n", {}));
      fill(ns, before);
      for (int i = 0; i < 3; ++i) ASSERT_OK(manager.save(*manager.all(), "f"));
      fill(ns, after);

      int calls = 0;
      std::string failed;
      fs.set_hook([&](std::string_view call) {
        if (++calls != n) return 0;
        failed = call;
        return -error;
      });
      const Status status = manager.save(*manager.all(), "f");
      fs.set_hook(nullptr);
      SCOPED_TRACE(failed + " failed: " + status.to_string());
      clean = calls < n;
      const auto reloaded = reload(directory, "f");
      ASSERT_TRUE(reloaded.has_value());
      const Contents found = contents_of(find(*reloaded, "n"));
      if (status.ok()) {
        EXPECT_EQ(found, after);
      } else {
        EXPECT_CODE(status, kIo);
        EXPECT_TRUE(found == before || (failed == "sync_directory" && found == after));
      }
      if (clean) {
        EXPECT_OK(status);
      }
      if (failed == "write" || failed == "sync" || failed == "rename") {
        EXPECT_FALSE(status.ok()) << "a failure that matters went unnoticed";
      }
      expect_no_temporaries(directory);

      // And the next save is as good as any.
      EXPECT_OK(manager.save(*manager.all(), "f"));
      EXPECT_EQ(contents_of(find(*reload(directory, "f"), "n")), after);
    }
  }
}

// A disk that does not recover: every call from the n-th on fails.
TEST(FailingDisk, D2_AndOneThatStaysBroken) {
  const TempDir directory;
  HookedFileSystem fs;
  ManagerImpl manager({.directory = directory.path()}, fs);
  ASSERT_OK(manager.initialize(std::nullopt));
  Namespace ns = NamespaceImpl::handle(*manager.create("n", {}));
  ASSERT_OK(ns.put("k", "before"));
  ASSERT_OK(manager.save(*manager.all(), "f"));
  ASSERT_OK(ns.put("k", "after"));
  for (int n = 1;; ++n) {
    ASSERT_LT(n, 200);
    int calls = 0;
    bool directory_synced = false;
    fs.set_hook([&](std::string_view call) {
      if (++calls >= n) return -EIO;
      if (call == "sync_directory") directory_synced = true;
      return 0;
    });
    const Status status = manager.save(*manager.all(), "f");
    fs.set_hook(nullptr);
    EXPECT_EQ(status.ok(), directory_synced);
    const auto reloaded = reload(directory, "f");
    ASSERT_TRUE(reloaded.has_value());
    const auto value = find(*reloaded, "n").get("k");
    EXPECT_TRUE(*value == "after" || (!status.ok() && *value == "before")) << value->view();
    if (status.ok()) break;
  }
}

// Saves a small file, then a large one where there is no room for it, and expects the small one.
template <typename RunOutOfRoom>
void expect_previous_file_survives(const TempDir& directory, RunOutOfRoom run_out_of_room,
                                   std::string_view words) {
  StorageManager manager = ready(directory);
  Namespace ns = *manager.create_namespace("n");
  ASSERT_OK(ns.put("k", "before"));
  ASSERT_OK(manager.save_all("f"));
  ASSERT_OK(ns.put("k", "after"));
  ASSERT_OK(ns.put("large", std::string(4 << 20, 'x')));
  const Status status = run_out_of_room([&] { return manager.save_all("f"); });
  EXPECT_CODE(status, kIo);
  EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
  expect_no_temporaries(directory);
  EXPECT_EQ(contents_of(find(*reload(directory, "f"), "n")), (Contents{{"k", "before"}}));
  // With room again, all is well again.
  ASSERT_OK(ns.consume("large"));
  EXPECT_OK(manager.save_all("f"));
  EXPECT_EQ(contents_of(find(*reload(directory, "f"), "n")), (Contents{{"k", "after"}}));
}

TEST(FailingDisk, D4_AFileThatMayNotGrowIsAnErrorAndThePreviousOneStays) {
  const TempDir directory;
  expect_previous_file_survives(
      directory,
      [](auto save) {
        rlimit before{};
        EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
        auto* const handler = signal(SIGXFSZ, SIG_IGN);
        rlimit small = before;
        small.rlim_cur = 1 << 20;
        EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
        const Status status = save();
        EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
        signal(SIGXFSZ, handler);
        return status;
      },
      "File too large");
}

TEST(FailingDisk, D4_AFullDiskIsAnErrorAndThePreviousFileStays) {
  const TempDir directory;
  if (mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "may not mount a small file system";
  }
  struct Unmount {
    const TempDir& directory;
    ~Unmount() { umount2(directory.path().c_str(), MNT_DETACH); }
  } const unmount{directory};
  expect_previous_file_survives(
      directory, [](auto save) { return save(); }, "No space left on device");
}

// --- Generations ---------------------------------------------------------------------------------

TEST(Generations, OlderFilesStayBesideTheNewOne) {
  const TempDir directory;
  StorageManager manager = ready(directory);
  Namespace ns = *manager.create_namespace("n");
  for (int i = 0; i < 6; ++i) {
    ASSERT_OK(ns.put("k", std::to_string(i)));
    ASSERT_OK(manager.save_all("f"));
  }
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"f", "f.1", "f.2"}));
  EXPECT_EQ(*find(*reload(directory, "f"), "n").get("k"), "5");
  EXPECT_EQ(*find(*reload(directory, "f.1"), "n").get("k"), "4");
  EXPECT_EQ(*find(*reload(directory, "f.2"), "n").get("k"), "3");
  EXPECT_CODE(manager.save_all("f.1"), kInvalidName) << "it would take a generation's place";
}

}  // namespace
}  // namespace rkvs
