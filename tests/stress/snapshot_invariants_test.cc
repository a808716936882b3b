// What every snapshot must hold that is taken while everything else goes on: writers with batches,
// keys that come and go, resizes, namespaces that are deleted, a second saver, and disks that fail
// at times. Each file is loaded as another process would, and looked through.
//
// RKVS_TEST_SCALE multiplies the number of snapshots.
#include <gtest/gtest.h>
#include <rkvs/all.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "manager/manager_impl.h"
#include "store/table_memory.h"
#include "tests/manager/hooked_file_system.h"
#include "tests/manager/manager_test_util.h"

namespace rkvs {
namespace {

using namespace rkvs::manager_test;
using namespace std::chrono_literals;
using internal::ManagerImpl;
using internal::NamespaceImpl;
using internal::NamespacePtr;
using testing::scaled_down;
using testing::StopAtExit;
using Random = std::mt19937_64;

constexpr BatchMode kAll = BatchMode::kAllOrNothing;
constexpr std::chrono::minutes kPatience{10};

// Fails the n-th call that the thread makes from now on; 0 = none.
class UnreliableDisk : public HookedFileSystem {
 public:
  UnreliableDisk() {
    set_hook([](std::string_view) {
      if (countdown == 0 || --countdown != 0) return 0;
      return error;
    });
  }
  static void fail_in(int calls, int with_error) {
    countdown = calls;
    error = -with_error;
  }
  static bool has_failed() { return countdown == 0; }

 private:
  static thread_local int countdown;
  static thread_local int error;
};
thread_local int UnreliableDisk::countdown = 0;
thread_local int UnreliableDisk::error = 0;

// What the store is told by writers, and what a snapshot of it must be like.
class World {
 public:
  static constexpr int kWriters = 3;

  explicit World(ManagerImpl& manager)
      : manager_(manager),
        bank_(create("bank", 24)),
        ring_(create("ring", 7)),
        pairs_(create("pairs", 0)) {
    for (int w = 0; w < kWriters; ++w) {
      for (int a = 0; a < kAccounts; ++a) {
        EXPECT_OK(bank_.put(account(w, a), std::to_string(kMoney)));
      }
    }
    for (int i = 0; i < kNodes; ++i) EXPECT_OK(ring_.put(node(i), node((i + 1) % kNodes)));
    for (int i = 0; i < kCounters; ++i) {
      counters_.push_back(create("counter " + std::to_string(i), i % 3 == 0 ? 0 : 2));
      EXPECT_OK(counters_.back().put("n", "0"));
    }
  }

  // --- Writers ---

  // Moves money between two accounts of the writer's own.
  void transfer(int writer, Random& random) {
    const int from = static_cast<int>(random() % kAccounts);
    const int to = (from + 1 + static_cast<int>(random() % (kAccounts - 1))) % kAccounts;
    const std::string keys[] = {account(writer, from), account(writer, to)};
    const BatchResult before = bank_.get_multiple({keys[0], keys[1]}, kAll);
    ASSERT_TRUE(before.is_success()) << before.status.to_string();
    const int amount = static_cast<int>(random() % 100);
    const std::string less = std::to_string(std::stoi(before.items[0].value->to_string()) - amount);
    const std::string more = std::to_string(std::stoi(before.items[1].value->to_string()) + amount);
    const BatchResult after = bank_.set_multiple({{keys[0], less}, {keys[1], more}}, kAll);
    ASSERT_TRUE(after.is_success()) << after.status.to_string();
  }
  // Takes a node out of its place in the ring and puts it behind the next one. By one thread.
  void rotate(Random& random) {
    const std::string a = node(static_cast<int>(random() % kNodes));
    const std::string b = ring_.get(a)->to_string();
    const std::string c = ring_.get(b)->to_string();
    const std::string d = ring_.get(c)->to_string();
    const BatchResult result = ring_.set_multiple({{a, c}, {b, d}, {c, b}}, kAll);
    ASSERT_TRUE(result.is_success()) << result.status.to_string();
  }
  // Adds, changes or removes two keys that always have the same value: one that says whose it is
  // and is of another size each time, so that memory goes round.
  void change_a_pair(int writer, Random& random) {
    const int pair = static_cast<int>(random() % kPairs) * kWriters + writer;
    const std::string keys[] = {"left " + std::to_string(pair), "right " + std::to_string(pair)};
    if (random() % 3 == 0) {
      const BatchResult result = pairs_.delete_multiple({keys[0], keys[1]}, kAll);
      ASSERT_TRUE(result.is_success() || result.status.code() == StatusCode::kNotFound);
      return;
    }
    const std::string value = pair_value(pair, random() % 1000);
    const BatchResult result = pairs_.set_multiple({{keys[0], value}, {keys[1], value}}, kAll);
    ASSERT_TRUE(result.is_success()) << result.status.to_string();
  }
  // Gives one number after another to all counters, in order. By one thread.
  void count() {
    const int64_t number = counted_.load() + 1;
    counting_.store(number);
    for (Namespace& counter : counters_) EXPECT_OK(counter.put("n", std::to_string(number)));
    counted_.store(number);
  }
  int64_t counted() const { return counted_.load(); }
  int64_t counting() const { return counting_.load(); }

  // Nobody reads or writes these but saves.
  void come_and_go(Random& random) {
    const std::string name = "passing " + std::to_string(random() % 3);
    if (auto created = manager_.create(name, {}); created.ok()) {
      Namespace ns = NamespaceImpl::handle(*created);
      for (uint64_t i = random() % 300; i > 0; --i) {
        EXPECT_OK(ns.put(std::to_string(i), pair_value(static_cast<int>(i), 100)));
      }
    }
    if (random() % 2 == 0) {
      EXPECT_OK(manager_.remove(name));
    }
  }
  void resize(Random& random) {
    Namespace& ns = random() % 2 == 0 ? bank_ : pairs_;
    EXPECT_OK(ns.resize_shards(static_cast<uint32_t>(1 + random() % 60)));
  }

  // --- What a snapshot must be like ---

  // `least` and `most`: what had been counted before the save began, and when it had ended.
  static void audit(const StorageManager& saved, int64_t least, int64_t most) {
    const Contents bank = contents_of(find(saved, "bank"));
    ASSERT_EQ(bank.size(), static_cast<size_t>(kWriters * kAccounts));
    for (int w = 0; w < kWriters; ++w) {
      int sum = 0;
      for (int a = 0; a < kAccounts; ++a) sum += std::stoi(bank.at(account(w, a)));
      ASSERT_EQ(sum, kAccounts * kMoney) << "half of a batch";
    }

    const Contents ring = contents_of(find(saved, "ring"));
    ASSERT_EQ(ring.size(), static_cast<size_t>(kNodes));
    std::string at = node(0);
    for (int steps = 1; steps <= kNodes; ++steps) {
      at = ring.at(at);
      ASSERT_EQ(at == node(0), steps == kNodes) << "the ring is broken";
    }

    const Namespace pairs = find(saved, "pairs");
    const Contents both = contents_of(pairs);
    for (const auto& [key, value] : both) {
      const bool left = key.starts_with("left ");
      const int pair = std::stoi(key.substr(left ? 5 : 6));
      const auto other = both.find((left ? "right " : "left ") + std::to_string(pair));
      ASSERT_TRUE(other != both.end() && other->second == value) << "half of a pair: " << key;
      ASSERT_TRUE(value == pair_value(pair, size_of(value))) << "other bytes than were written";
    }

    int64_t previous = most;
    for (int i = 0; i < kCounters; ++i) {
      const auto text = find(saved, "counter " + std::to_string(i)).get("n");
      ASSERT_OK(text);
      const int64_t number = std::stoll(text->to_string());
      ASSERT_LE(number, previous) << "not of one instant: counter " << i;
      ASSERT_GE(number, least) << "older than the save";
      ASSERT_TRUE(i == 0 || previous <= number + 1) << "not of one instant: counter " << i;
      previous = number;
    }

    // Deleted namespaces are in it whole or not at all.
    const auto names = saved.list_namespaces();
    ASSERT_OK(names);
    ASSERT_LE(names->size(), static_cast<size_t>(kCounters + 6));
    for (const std::string& name : *names) {
      if (!name.starts_with("passing ")) continue;
      for (const auto& [key, value] : contents_of(find(saved, name))) {
        ASSERT_TRUE(value == pair_value(std::stoi(key), 100)) << name << ", " << key;
      }
    }
  }

 private:
  static constexpr int kAccounts = 24;
  static constexpr int kMoney = 1000;
  static constexpr int kNodes = 24;
  static constexpr int kPairs = 150;
  static constexpr int kCounters = 50;

  static std::string account(int writer, int number) {
    return "account " + std::to_string(writer) + "/" + std::to_string(number);
  }
  static std::string node(int number) { return "node " + std::to_string(number); }
  static std::string pair_value(int pair, size_t size) {
    std::string value = "of " + std::to_string(pair) + " size " + std::to_string(size) + " ";
    for (size_t i = 0; i < size; ++i) {
      value.push_back(static_cast<char>('a' + (static_cast<size_t>(pair) + i) % 26));
    }
    return value;
  }
  static size_t size_of(const std::string& value) {
    const size_t at = value.find(" size ");
    return at == std::string::npos ? 0 : std::stoul("0" + value.substr(at + 6, 4));
  }
  Namespace create(const std::string& name, uint32_t shards) {
    const auto created = manager_.create(name, {.shard_count = shards, .lock_timeout = kPatience});
    EXPECT_OK(created);
    return NamespaceImpl::handle(*created);
  }

  ManagerImpl& manager_;
  Namespace bank_;
  Namespace ring_;
  Namespace pairs_;
  std::vector<Namespace> counters_;
  std::atomic<int64_t> counting_{0};
  std::atomic<int64_t> counted_{0};
};

// Saves again and again, to a file of its own and one that both savers use, and looks through each.
class AuditingSaver {
 public:
  AuditingSaver(const TempDir& directory, ManagerImpl& manager, const World& world, int number)
      : directory_(directory),
        manager_(manager),
        world_(world),
        own_file_("saver " + std::to_string(number)),
        random_(static_cast<unsigned>(number)) {}

  void save_once() {
    const bool shared = random_() % 4 == 0;
    const std::string file = shared ? "shared" : own_file_;
    const int64_t counted_before = world_.counted();
    const int fails_in = random_() % 4 == 0 ? static_cast<int>(1 + random_() % 24) : 0;
    UnreliableDisk::fail_in(fails_in, random_() % 2 == 0 ? ENOSPC : EIO);
    const Status status = manager_.save(*manager_.all(), file, {});
    const bool failed = fails_in != 0 && UnreliableDisk::has_failed();
    UnreliableDisk::fail_in(0, 0);
    const int64_t counting_after = world_.counting();
    if (status.ok()) {
      ++saved_;
    } else {
      ++failed_;
      EXPECT_CODE(status, kIo);
      EXPECT_TRUE(failed) << status.to_string();
    }
    // Nobody else saves to this one: what is in it is known to be no older than the last success.
    const bool own = !shared;
    if (own && status.ok()) least_ = counted_before;
    StorageManager loaded = manager_in(directory_);
    ASSERT_OK(loaded.initialize(file));
    ASSERT_TRUE(loaded.load_report()->skipped.empty());
    if (*loaded.namespace_count() == 0) {
      // Nobody has got through yet.
      ASSERT_FALSE(status.ok());
      ASSERT_TRUE(shared || least_ < 0);
      return;
    }
    World::audit(loaded, own ? std::max<int64_t>(least_, 0) : 0,
                 shared ? world_.counting() : counting_after);
    ++audited_;
  }

  int saved() const { return saved_; }
  int failed() const { return failed_; }
  int audited() const { return audited_; }

 private:
  const TempDir& directory_;
  ManagerImpl& manager_;
  const World& world_;
  const std::string own_file_;
  Random random_;
  int64_t least_ = -1;  // counted before the last save to the own file that succeeded
  int saved_ = 0;
  int failed_ = 0;
  int audited_ = 0;
};

// Of entries and tables. A thread keeps a spare block for tables: let it be the same one each time.
size_t memory_in_use() {
  EXPECT_TRUE(internal::TableMemory::add_spare(256 * 1024));
  internal::TableMemory::free_dropped();
  return internal::Arena::stats().bytes_in_use;
}

TEST(SnapshotInvariants, D7_D8_HoldWhateverGoesOnMeanwhile) {
  const size_t memory_before = memory_in_use();
  const int snapshots = scaled_down(60, 6) * testing::test_scale();
  {
    const TempDir directory;
    UnreliableDisk disk;
    ManagerImpl manager({.directory = directory.path()}, disk);
    ASSERT_OK(manager.initialize(std::nullopt));
    World world(manager);
    std::vector<AuditingSaver> savers;
    for (int i = 0; i < 2; ++i) savers.emplace_back(directory, manager, world, i);

    std::atomic<bool> stop{false};
    std::atomic<uint64_t> rounds{0};
    Threads threads;
    const StopAtExit stop_at_exit(stop);
    threads.start(World::kWriters, [&](int writer) {
      Random random(static_cast<unsigned>(writer));
      while (!stop.load()) {
        world.transfer(writer, random);
        for (int i = 0; i < 4; ++i) world.change_a_pair(writer, random);
        if (writer == 0) world.rotate(random);
        if (writer == 1) world.count();
        rounds.fetch_add(1);
      }
    });
    threads.start([&] {
      Random random(9);
      while (!stop.load()) {
        world.come_and_go(random);
        world.resize(random);
      }
    });
    Threads saving;
    saving.start(2, [&](int i) {
      AuditingSaver& saver = savers[static_cast<size_t>(i)];
      for (int n = 0; n < snapshots && !::testing::Test::HasFailure(); ++n) {
        // Each is of another moment.
        const uint64_t seen = rounds.load();
        while (rounds.load() < seen + 3 && !stop.load()) std::this_thread::yield();
        saver.save_once();
      }
    });
    saving.join();
    stop.store(true);
    threads.join();
    int audited = 0;
    int failed = 0;
    for (const AuditingSaver& saver : savers) {
      audited += saver.audited();
      failed += saver.failed();
    }
    RecordProperty("snapshots", audited);
    RecordProperty("failed_saves", failed);
    if (!HasFailure()) {
      EXPECT_GE(audited, snapshots);
      EXPECT_GE(failed, 1);
    }
  }
  EXPECT_EQ(memory_in_use(), memory_before) << "something is still held";
}

// While nothing is saved, everything that saves held is given back, though the store lives on.
TEST(SnapshotInvariants, MemoryReturnsToWhereItWasWhenSavesHaveEnded) {
  const TempDir directory;
  UnreliableDisk disk;
  ManagerImpl manager({.directory = directory.path()}, disk);
  ASSERT_OK(manager.initialize(std::nullopt));
  const NamespacePtr impl = *manager.create("n", {.shard_count = 16, .lock_timeout = kPatience});
  Namespace ns = NamespaceImpl::handle(impl);
  const auto fill_with = [&](char c) {
    for (int i = 0; i < 4000; ++i) {
      ASSERT_OK(ns.set(std::to_string(i), std::string(200, c)).status());
    }
  };
  testing::on_fresh_thread([&] { fill_with('a'); });
  const auto shards_in_use = [&] { return *ns.shard_key_counts(); };
  const auto counts = shards_in_use();
  const size_t before = memory_in_use();
  for (const int fails_in : {0, 3, 6, 9, 0}) {
    std::atomic<bool> stop{false};
    Threads writer;
    writer.start([&] {
      for (char c = 'b'; !stop.load(); c = c == 'z' ? 'b' : static_cast<char>(c + 1)) fill_with(c);
    });
    for (int i = 0; i < 5; ++i) {
      UnreliableDisk::fail_in(fails_in, EIO);
      const Status status = manager.save(*manager.all(), "f", {});
      EXPECT_TRUE(status.ok() || fails_in != 0) << status.to_string();
    }
    UnreliableDisk::fail_in(0, 0);
    stop.store(true);
    writer.join();
    // Values have their size again, and keys their shards.
    testing::on_fresh_thread([&] { fill_with('a'); });
    EXPECT_EQ(shards_in_use(), counts);
    EXPECT_EQ(memory_in_use(), before);
  }
}

}  // namespace
}  // namespace rkvs
