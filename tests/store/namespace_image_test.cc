// Cuts under load: one instant, whatever writers, resizes, deletions and other cuts do meanwhile.
#include "store/namespace_image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/one_writer.h"

namespace rkvs::internal {
namespace {

constexpr int kAccounts = 400;
constexpr int64_t kStart = 1000;

std::string account(int64_t i) { return "account " + std::to_string(i); }

std::shared_ptr<NamespaceImpl> make(NamespaceConfig config = {}) {
  return *NamespaceImpl::create("test", config);
}

std::unique_ptr<Cut> cut_of(std::vector<std::shared_ptr<NamespaceImpl>> namespaces) {
  auto cut = Cut::take(std::move(namespaces));
  EXPECT_TRUE(cut.ok()) << cut.status().to_string();
  return *std::move(cut);
}

// Shard by shard, as a save reads it, which lets each shard go when it is through with it.
std::map<std::string, std::string> content(
    NamespaceImage& image, const std::function<void(uint32_t)>& after_shard = nullptr) {
  std::map<std::string, std::string> all;
  for (uint32_t shard = 0; shard < image.shard_count(); ++shard) {
    for (const Entry* entry : *image.entries(shard)) {
      EXPECT_TRUE(all.emplace(entry->key(), entry->value()).second) << "twice: " << entry->key();
    }
    image.release(shard);
    if (after_shard) after_shard(shard);
  }
  EXPECT_EQ(all.size(), image.keys);
  return all;
}

int64_t sum(const std::map<std::string, std::string>& accounts) {
  int64_t total = 0;
  for (const auto& [name, balance] : accounts) total += std::atoll(balance.c_str());
  return total;
}

// Moves money between two accounts, all-or-nothing; values change their size now and then, and some
// accounts are deleted and come back by way of a second one that gets all they had.
class Bank {
 public:
  explicit Bank(std::shared_ptr<NamespaceImpl> impl) : ns_(NamespaceImpl::handle(std::move(impl))) {
    for (int i = 0; i < kAccounts; ++i) {
      EXPECT_TRUE(ns_.set(account(i), std::to_string(kStart)).ok());
    }
  }

  // Each thread has accounts of its own, so that what it reads stays true until it writes.
  void work(int thread, int threads, const std::atomic<bool>& stop) {
    std::mt19937_64 random(static_cast<uint64_t>(thread) + 1);
    const int own = kAccounts / threads;
    std::vector<int64_t> balance(static_cast<size_t>(own), kStart);
    while (!stop.load(std::memory_order_relaxed)) {
      const size_t a = random() % balance.size();
      const size_t b = random() % balance.size();
      if (a == b) continue;
      const int64_t amount = static_cast<int64_t>(random() % 2000);
      balance[a] -= amount;
      balance[b] += amount;
      const std::string ka = account(thread * own + static_cast<int64_t>(a));
      const std::string kb = account(thread * own + static_cast<int64_t>(b));
      const std::string va = std::to_string(balance[a]);
      const std::string vb = std::to_string(balance[b]);
      const auto result = ns_.set_multiple({{ka, va}, {kb, vb}}, BatchMode::kAllOrNothing);
      if (result.status.code() == StatusCode::kNamespaceDeleted) return;
      ASSERT_TRUE(result.is_success()) << result.status.to_string();
      // Other ways to write, which leave the sums alone.
      switch (random() % 4) {
        case 0: ASSERT_TRUE(ns_.put(ka, va).ok()); break;
        case 1: ASSERT_TRUE(ns_.update(kb, vb).ok()); break;
        case 2: ASSERT_TRUE(ns_.set("zero " + ka, "0").ok()); break;
        default: ASSERT_TRUE(ns_.consume("zero " + kb).status().is_error() == false); break;
      }
    }
  }

 private:
  Namespace ns_;
};

TEST(Cut, HoldsWhatWasThereAtItsInstantAndNothingThatCameLater) {
  const auto impl = make({.shard_count = 4});
  Namespace ns = NamespaceImpl::handle(impl);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ns.set("k" + std::to_string(i), "old").ok());
  const auto cut = cut_of({impl});
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(ns.put("k" + std::to_string(i), "new").ok());
  for (int i = 300; i < 600; ++i) ASSERT_TRUE(*ns.delete_key("k" + std::to_string(i)));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ns.set("later" + std::to_string(i), "x").ok());
  const auto saved = content(cut->namespaces().front());
  EXPECT_EQ(saved.size(), 1000U);
  for (const auto& [key, value] : saved) EXPECT_EQ(value, "old") << key;
  EXPECT_EQ(*ns.get("k7"), "new");
}

TEST(Cut, AnotherExpiryBringsNoKeyTwice) {
  // The entry that gets it keeps its version, which is older than the cut.
  const auto impl = make({.shard_count = 4});
  Namespace ns = NamespaceImpl::handle(impl);
  const auto key = [](int i) { return "k" + std::to_string(i); };
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ns.set(key(i), "old").ok());
  const auto cut = cut_of({impl});
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(ns.put(key(i), "new").ok());
  for (int i = 200; i < 500; ++i)
    ASSERT_TRUE(ns.touch(key(i), {.expire_after = std::chrono::hours(1)}).ok());
  for (int i = 400; i < 600; ++i) ASSERT_TRUE(ns.put(key(i), "new").ok());
  auto& image = cut->namespaces().front();
  size_t expiring = 0;
  for (uint32_t shard = 0; shard < image.shard_count(); ++shard) {
    for (const Entry* entry : *image.entries(shard)) expiring += entry->has_expiry() ? 1 : 0;
  }
  EXPECT_EQ(expiring, 0U);
  const auto saved = content(image);
  EXPECT_EQ(saved.size(), 1000U);
  for (const auto& [saved_key, value] : saved) EXPECT_EQ(value, "old") << saved_key;
}

TEST(Cut, HoldsWhatMovesIntoShardsThatItIsThroughWith) {
  const auto impl = make({.shard_count = 16});
  Namespace ns = NamespaceImpl::handle(impl);
  const auto key = [](int i) { return "k" + std::to_string(i); };
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(ns.set(key(i), "old").ok());
  const auto cut = cut_of({impl});
  const auto saved = content(cut->namespaces().front(), [&](uint32_t shard) {
    // Moves entries of later shards into this one and its predecessors, where they are replaced,
    // and back again.
    ASSERT_TRUE(ns.resize_shards(shard % 3 == 0 ? 1 + shard / 3 : 40).ok());
    for (int i = 0; i < 3000; ++i) {
      if (i % 5 == static_cast<int>(shard % 5)) {
        ASSERT_TRUE(*ns.delete_key(key(i)));
      }
      ASSERT_TRUE(ns.set(key(i), "new" + std::to_string(shard)).ok());
    }
  });
  EXPECT_EQ(saved.size(), 3000U);
  for (const auto& [saved_key, value] : saved) EXPECT_EQ(value, "old") << saved_key;
}

TEST(Cut, HoldsWhatHadMovedIntoAShardBeforeItWasThroughWithThat) {
  const auto impl = make({.shard_count = 16});
  Namespace ns = NamespaceImpl::handle(impl);
  const auto key = [](int i) { return "k" + std::to_string(i); };
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ns.set(key(i), "old").ok());
  const auto cut = cut_of({impl});
  ASSERT_TRUE(ns.resize_shards(3).ok());
  const auto saved = content(cut->namespaces().front(), [&](uint32_t shard) {
    if (shard != 0) return;
    // In place, if nobody holds the old ones.
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(ns.put(key(i), "new").ok());
  });
  EXPECT_EQ(saved.size(), 1000U);
  for (const auto& [saved_key, value] : saved) EXPECT_EQ(value, "old") << saved_key;
}

TEST(Cut, WritersKeepNothingBackForAShardThatItIsThroughWith) {
  const auto impl = make({.shard_count = 4});
  Namespace ns = NamespaceImpl::handle(impl);
  const auto key = [](int i) { return "k" + std::to_string(i); };
  const std::string value(1000, 'v');
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(ns.set(key(i), value).ok());
  const auto cut = cut_of({impl});
  EXPECT_EQ(content(cut->namespaces().front()).size(), 2000U);
  const size_t before = Arena::stats().bytes_in_use;
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(ns.put(key(i), value).ok());
  EXPECT_LT(Arena::stats().bytes_in_use, before + 100 * value.size());
}

TEST(Cut, D7_NeverSplitsABatchWhileShardsAreResized) {
  const auto impl = make({.shard_count = 8});
  Bank bank(impl);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) threads.emplace_back([&, t] { bank.work(t, 3, stop); });
  threads.emplace_back([&] {
    Namespace ns = NamespaceImpl::handle(impl);
    for (uint32_t i = 0; !stop; ++i) ASSERT_TRUE(ns.resize_shards(1 + i * 7 % 40).ok());
  });
  for (int i = 0; i < 60; ++i) {
    // Two that overlap, read in the order of their ends.
    const auto first = cut_of({impl});
    const auto second = cut_of({impl});
    EXPECT_EQ(sum(content(second->namespaces().front())), kAccounts * kStart);
    EXPECT_EQ(sum(content(first->namespaces().front())), kAccounts * kStart);
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  const auto last = cut_of({impl});
  EXPECT_EQ(sum(content(last->namespaces().front())), kAccounts * kStart);
}

TEST(Cut, IsAStateThatThereWasHoweverEntriesLeave) {
  const auto impl = make({.shard_count = 3});
  Namespace ns = NamespaceImpl::handle(impl);
  testing::OneWriter writer(ns, 7, 40);
  for (int i = 0; i < 100; ++i) writer.change();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int i = 0; !stop && i < 20'000; ++i) writer.change();
  });
  threads.emplace_back([&] {
    for (uint32_t i = 0; !stop; ++i) ASSERT_TRUE(ns.resize_shards(1 + i * 5 % 13).ok());
  });
  const auto save = [&] {
    for (int i = 0; i < 60; ++i) {
      const size_t from = writer.done();
      const auto cut = cut_of({impl});
      const size_t to = writer.begun();
      writer.expect_was_there(testing::OneWriter::content(*cut, [](uint32_t) {}), from, to);
    }
  };
  std::thread second(save);
  save();
  second.join();
  stop = true;
  for (auto& thread : threads) thread.join();
}

// What leaves a table while a save tells new entries from old ones is held back, however new it is:
// of a write that expires at once that is the old entry and the one that it wrote.
TEST(Cut, HasRoomForBothEntriesThatAWriteWhichExpiresAtOnceRemoves) {
  const auto impl = make({.shard_count = 1});
  Namespace ns = NamespaceImpl::handle(impl);
  const auto key = [](int i) { return "k" + std::to_string(i); };
  const WriteOptions over = {.expire_at =
                                 std::chrono::system_clock::time_point(std::chrono::seconds(1))};
  // As many as make a graveyard grow, more and fewer.
  for (const int count : {1, 62, 63, 64, 126, 200}) {
    for (const int way : {0, 1, 2}) {
      std::vector<std::string> keys;
      for (int i = 0; i < count; ++i) keys.push_back(key(i));
      for (const std::string& name : keys) ASSERT_TRUE(ns.put(name, "old").ok());
      SaveMark mark;
      ShardImage image;
      impl->shards().begin_save();
      {
        const WriterLock lock(impl->shards()[0].mutex);
        impl->shards()[0].attach(image, mark);
      }
      mark.selecting = true;
      if (way == 2) {
        AtomicBatch batch;
        for (const std::string& name : keys) batch.set(name, "new", over);
        ASSERT_TRUE(ns.apply(batch).is_success());
      } else {
        std::vector<KeyValue> items;
        for (const std::string& name : keys) items.push_back({name, "new"});
        const auto mode = way == 0 ? BatchMode::kAllOrNothing : BatchMode::kBestEffort;
        ASSERT_TRUE(ns.set_multiple(items, mode, over).is_success());
      }
      EXPECT_EQ(image.graveyard.size(), 2 * keys.size());
      impl->shards().end_save(mark);
      EXPECT_EQ(ns.list_keys()->size(), 0U);
    }
  }
}

TEST(Cut, IsOneInstantOfAllNamespaces) {
  // A writer gives the same number to all namespaces, one after another: at any instant the numbers
  // fall by at most one on the way.
  std::vector<std::shared_ptr<NamespaceImpl>> namespaces;
  for (int i = 0; i < 12; ++i) namespaces.push_back(make({.shard_count = 3}));
  const auto write = [&](int number) {
    for (const auto& impl : namespaces) {
      ASSERT_TRUE(NamespaceImpl::handle(impl).set("number", std::to_string(number)).ok());
    }
  };
  write(0);
  std::atomic<bool> stop{false};
  std::atomic<int> written{0};
  std::thread writer([&] {
    for (int number = 1; !stop; ++number) {
      write(number);
      written = number;
    }
  });
  // Enough of both, however threads are scheduled.
  for (int round = 0; round < 200 || written < 1000; ++round) {
    const auto cut = cut_of(namespaces);
    std::vector<int> numbers;
    for (NamespaceImage& image : cut->namespaces()) {
      numbers.push_back(std::atoi(content(image).at("number").c_str()));
    }
    EXPECT_TRUE(std::is_sorted(numbers.rbegin(), numbers.rend()));
    EXPECT_LE(numbers.front() - numbers.back(), 1);
  }
  stop = true;
  writer.join();
}

TEST(Cut, OutlivesItsNamespace) {
  auto impl = make();
  Namespace ns = NamespaceImpl::handle(impl);
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(ns.set("k" + std::to_string(i), "v").ok());
  const auto cut = cut_of({impl});
  impl->close(StatusCode::kNamespaceDeleted);
  impl.reset();
  EXPECT_EQ(ns.get("k1").code(), StatusCode::kNamespaceDeleted);
  ns = Namespace();
  EXPECT_EQ(content(cut->namespaces().front()).size(), 5000U);
}

TEST(Cut, LeavesOutWhatWasDeletedBefore) {
  const auto gone = make();
  const auto there = make();
  ASSERT_TRUE(NamespaceImpl::handle(there).set("k", "v").ok());
  gone->close(StatusCode::kNamespaceDeleted);
  const auto cut = cut_of({gone, there});
  ASSERT_EQ(cut->namespaces().size(), 1U);
  // Still a working cut: what it holds is kept back.
  ASSERT_TRUE(NamespaceImpl::handle(there).set("k", "later").ok());
  EXPECT_EQ(content(cut->namespaces().front()).at("k"), "v");
}

TEST(Cut, GivesBackAllMemoryInTheEnd) {
  const auto impl = make();
  Namespace ns = NamespaceImpl::handle(impl);
  const std::string value(200, 'v');
  const auto key = [](int i) { return "k" + std::to_string(i); };
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(ns.set(key(i), value).ok());
  const size_t before = Arena::stats().bytes_in_use;
  {
    const auto cut = cut_of({impl});
    const auto overlapping = cut_of({impl});
    for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(ns.set(key(i), value).ok());
    ASSERT_TRUE(ns.resize_shards(64).ok());
    for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(ns.set(key(i), value).ok());
    EXPECT_GT(Arena::stats().bytes_in_use, before + 20'000 * value.size());
    EXPECT_EQ(content(cut->namespaces().front()).size(), 20'000U);
  }
  ASSERT_TRUE(ns.resize_shards(16).ok());
  const size_t after = Arena::stats().bytes_in_use;
  EXPECT_LT(after, before + before / 4);
}

TEST(Cut, EntriesWithOneHashAreKeptApart) {
  const auto impl =
      *NamespaceImpl::create("test", {.shard_count = 5}, 0, KeyHash(1, 0x70000000000));
  Namespace ns = NamespaceImpl::handle(impl);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(ns.set("k" + std::to_string(i), "old").ok());
  const auto cut = cut_of({impl});
  for (int i = 0; i < 300; i += 2) ASSERT_TRUE(*ns.delete_key("k" + std::to_string(i)));
  ASSERT_TRUE(ns.resize_shards(2).ok());
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(ns.set("k" + std::to_string(i), "new").ok());
  const auto saved = content(cut->namespaces().front());
  EXPECT_EQ(saved.size(), 300U);
  for (const auto& [key, saved_value] : saved) EXPECT_EQ(saved_value, "old");
}

}  // namespace
}  // namespace rkvs::internal
