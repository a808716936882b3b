#include "store/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "store/table_memory.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

// Every hash is chosen by the test: collisions are those it wants.
class ShardTest : public ::testing::Test {
 protected:
  static HashedKey key(std::string_view name, uint64_t hash) { return {name, hash}; }

  static void add(Shard& shard, std::string_view name, uint64_t hash,
                  std::string_view value = "value") {
    reserve(shard, 1);
    const WriterLock lock(shard.mutex);
    shard.make_room(1);
    shard.insert(hash, Entry::create(name, value));
  }
  static void reserve(Shard& shard, size_t count) {
    const WriterLock lock(shard.mutex);
    if (const size_t bytes = shard.spare_needed(count); bytes != 0) {
      ASSERT_TRUE(TableMemory::add_spare(bytes));
    }
  }
  static std::string value(const Shard& shard, std::string_view name, uint64_t hash) {
    const ReaderLock lock(shard.mutex);
    const Entry* entry = shard.find({name, hash});
    return entry == nullptr ? "<none>" : std::string(entry->value());
  }
  static bool remove(Shard& shard, std::string_view name, uint64_t hash) {
    const WriterLock lock(shard.mutex);
    const EntryRef entry(shard.remove({name, hash}));
    return static_cast<bool>(entry);
  }
  static std::vector<std::string> names(const Shard& shard) {
    std::vector<std::string> all;
    const ReaderLock lock(shard.mutex);
    shard.for_each([&](Entry* entry) { all.emplace_back(entry->key()); });
    std::sort(all.begin(), all.end());
    return all;
  }
  // The accounts agree with what is really there.
  static void expect_accounts_right(const Shard& shard) {
    const ReaderLock lock(shard.mutex);
    ShardUsage counted;
    uint64_t entry_memory = 0;
    shard.for_each([&](Entry* entry) {
      ++counted.keys;
      counted.value_bytes += entry->value().size();
      entry_memory += entry->memory();
    });
    EXPECT_EQ(shard.usage().keys, counted.keys);
    EXPECT_EQ(shard.size(), counted.keys);
    EXPECT_EQ(shard.usage().value_bytes, counted.value_bytes);
    EXPECT_GE(shard.usage().memory_bytes, entry_memory);
  }

  Shard shard_;
};

TEST_F(ShardTest, EmptyShardHasNothing) {
  EXPECT_EQ(value(shard_, "k", 1), "<none>");
  EXPECT_FALSE(remove(shard_, "k", 1));
  expect_accounts_right(shard_);
  const ReaderLock lock(shard_.mutex);
  EXPECT_EQ(shard_.usage().memory_bytes, 0U);
  EXPECT_EQ(shard_.candidate(1), nullptr);
}

TEST_F(ShardTest, KeysWithOneHashAreKeptApart) {
  add(shard_, "a", 7, "A");
  add(shard_, "b", 7, "B");
  add(shard_, "c", 7, "C");
  add(shard_, "d", 8, "D");
  EXPECT_EQ(value(shard_, "a", 7), "A");
  EXPECT_EQ(value(shard_, "b", 7), "B");
  EXPECT_EQ(value(shard_, "c", 7), "C");
  EXPECT_EQ(value(shard_, "d", 8), "D");
  EXPECT_EQ(value(shard_, "e", 7), "<none>");
  EXPECT_EQ(names(shard_), (std::vector<std::string>{"a", "b", "c", "d"}));
  expect_accounts_right(shard_);
}

TEST_F(ShardTest, CollidingKeysSurviveTheRemovalOfEachOther) {
  // Whichever goes first.
  const std::vector<std::string> all = {"a", "b", "c"};
  for (const std::string& first : all) {
    Shard shard;
    for (const std::string& name : all) add(shard, name, 7, name);
    EXPECT_TRUE(remove(shard, first, 7));
    EXPECT_FALSE(remove(shard, first, 7));
    for (const std::string& name : all) {
      EXPECT_EQ(value(shard, name, 7), name == first ? "<none>" : name);
    }
    add(shard, first, 7, "again");
    EXPECT_EQ(value(shard, first, 7), "again");
    EXPECT_EQ(names(shard), all);
    expect_accounts_right(shard);
    for (const std::string& name : all) EXPECT_TRUE(remove(shard, name, 7));
    EXPECT_TRUE(names(shard).empty());
    expect_accounts_right(shard);
  }
}

TEST_F(ShardTest, ReplaceHandsOutTheOldEntryAndCountsTheNewOne) {
  for (const char* name : {"a", "b"}) add(shard_, name, 7, "12345");
  const WriterLock lock(shard_.mutex);
  for (const char* name : {"a", "b"}) {
    Entry** slot = shard_.find_slot(key(name, 7));
    ASSERT_NE(slot, nullptr);
    const EntryRef old(shard_.replace(7, slot, Entry::create(name, "1234567890")));
    EXPECT_EQ(old->value(), "12345");
    EXPECT_TRUE(old->is_sole_reference());
  }
  EXPECT_EQ(shard_.usage().value_bytes, 20U);
  EXPECT_EQ(shard_.size(), 2U);
}

TEST_F(ShardTest, EveryWriteTakesTheNextVersion) {
  add(shard_, "a", 1);
  add(shard_, "b", 2);
  const WriterLock lock(shard_.mutex);
  EXPECT_EQ(shard_.find(key("a", 1))->version(), 1U);
  EXPECT_EQ(shard_.find(key("b", 2))->version(), 2U);
  EntryRef old(shard_.replace(1, shard_.find_slot(key("a", 1)), Entry::create("a", "other")));
  EXPECT_EQ(shard_.find(key("a", 1))->version(), 3U);
  ASSERT_TRUE(shard_.overwrite_in_place(1, shard_.find_slot(key("a", 1)), "OTHER", 0));
  EXPECT_EQ(shard_.find(key("a", 1))->version(), 4U);
  EXPECT_EQ(shard_.last_version(), 4U);
  shard_.raise_version(3);
  EXPECT_EQ(shard_.last_version(), 4U);
  shard_.raise_version(10);
  EXPECT_EQ(shard_.last_version(), 10U);
}

TEST_F(ShardTest, OverwritesInPlaceOnlyWhatNobodyElseSees) {
  add(shard_, "a", 1, "12345");
  const WriterLock lock(shard_.mutex);
  Entry** slot = shard_.find_slot(key("a", 1));
  EXPECT_FALSE(shard_.overwrite_in_place(1, slot, "123456", 0));
  EXPECT_FALSE(shard_.overwrite_in_place(1, slot, "1234", 0));
  {
    const Value handle = (*slot)->share();
    EXPECT_FALSE(shard_.overwrite_in_place(1, slot, "abcde", 0));
    EXPECT_EQ(handle, "12345");
  }
  EXPECT_TRUE(shard_.overwrite_in_place(1, slot, "abcde", 0));
  EXPECT_EQ((*slot)->value(), "abcde");
}

TEST_F(ShardTest, InsertThatHasRoomNeedsNoMemoryWhateverItsHash) {
  add(shard_, "a", 7);
  reserve(shard_, 3);
  Entry* const b = Entry::create("b", "B");
  Entry* const c = Entry::create("c", "C");
  {
    const WriterLock lock(shard_.mutex);
    shard_.make_room(3);
    Arena::fail_nth_allocation_for_testing(1);
    shard_.insert(7, b);
    shard_.insert(7, c);
    Arena::fail_nth_allocation_for_testing(0);
    EXPECT_EQ(shard_.size(), 3U);
  }
  EXPECT_EQ(value(shard_, "b", 7), "B");
  EXPECT_EQ(value(shard_, "c", 7), "C");
}

TEST_F(ShardTest, JournalNotesInsertsAndNothingElse) {
  add(shard_, "before", 1);
  {
    const WriterLock lock(shard_.mutex);
    ASSERT_TRUE(shard_.start_journal());
  }
  add(shard_, "x", 5);
  add(shard_, "y", 5);
  add(shard_, "z", 6);
  EXPECT_TRUE(remove(shard_, "z", 6));
  const WriterLock lock(shard_.mutex);
  std::vector<uint64_t> journal;
  EXPECT_TRUE(shard_.swap_journal(journal));
  EXPECT_EQ(journal, (std::vector<uint64_t>{5, 5, 6}));
  journal.clear();
  EXPECT_TRUE(shard_.swap_journal(journal));
  EXPECT_TRUE(journal.empty()) << "each is handed out once";
  shard_.stop_journal();
}

TEST_F(ShardTest, ScanInSlicesSeesEveryHashThatStaysWhateverHappensBetween) {
  for (uint64_t round = 0; round < 20; ++round) {
    Shard shard;
    std::mt19937_64 random(round);
    std::vector<uint64_t> stable;
    std::vector<uint64_t> others;
    for (int i = 0; i < 400; ++i) {
      stable.push_back(random());
      add(shard, "s" + std::to_string(i), stable.back());
      others.push_back(random());
      add(shard, "o" + std::to_string(i), others.back());
    }
    // Two that share their hash, of which the first goes.
    stable.push_back(7);
    add(shard, "first", 7);
    add(shard, "second", 7);
    EXPECT_TRUE(remove(shard, "first", 7));
    {
      const WriterLock lock(shard.mutex);
      ASSERT_TRUE(shard.start_journal());
    }
    std::vector<uint64_t> seen;
    size_t gone = 0;
    for (bool more = true; more;) {
      {
        const ReaderLock lock(shard.mutex);
        more = shard.scan_hashes(10, seen);
      }
      for (int i = 0; i < 5 && gone < others.size(); ++i, ++gone) {
        EXPECT_TRUE(remove(shard, "o" + std::to_string(gone), others[gone]));
      }
      // In some rounds it grows, once or several times.
      if (round % 3 != 0 && gone % 50 == 0 && gone < others.size()) {
        for (int i = 0; i < 300; ++i) add(shard, "n" + std::to_string(random()), random());
      }
    }
    std::sort(seen.begin(), seen.end());
    for (const uint64_t hash : stable) {
      EXPECT_TRUE(std::binary_search(seen.begin(), seen.end(), hash));
    }
    const WriterLock lock(shard.mutex);
    shard.stop_journal();
  }
}

TEST_F(ShardTest, ScanMeetsWhatAGrowthPutsBehindItsPlace) {
  // Seven fill the first bucket, and go to another one in a larger table; the eighth waits in the
  // second bucket until then.
  for (uint64_t i = 0; i < 7; ++i) add(shard_, std::to_string(i), uint64_t{32} << 6 | i << 20);
  add(shard_, "waits", uint64_t{7} << 20);
  {
    const WriterLock lock(shard_.mutex);
    ASSERT_TRUE(shard_.start_journal());
  }
  std::vector<uint64_t> seen;
  {
    const ReaderLock lock(shard_.mutex);
    ASSERT_TRUE(shard_.scan_hashes(1, seen));
  }
  ASSERT_EQ(seen.size(), 7U);
  for (uint64_t i = 0; i < 300; ++i) add(shard_, "n" + std::to_string(i), (i % 60 + 2) << 6);
  for (bool more = true; more;) {
    const ReaderLock lock(shard_.mutex);
    more = shard_.scan_hashes(10, seen);
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), uint64_t{7} << 20), 1);
  const WriterLock lock(shard_.mutex);
  shard_.stop_journal();
}

TEST_F(ShardTest, MovesAllEntriesOfAHashWithTheirVersions) {
  Shard target;
  add(target, "other", 1);
  for (const char* name : {"a", "b", "c"}) add(shard_, name, 7, name);
  add(shard_, "stays", 8);
  EXPECT_TRUE(remove(shard_, "a", 7));
  reserve(target, 2);
  {
    const WriterLock lock_source(shard_.mutex);
    const WriterLock lock_target(target.mutex);
    const uint64_t version = shard_.find(key("c", 7))->version();
    ASSERT_TRUE(shard_.prepare_move(target, 0));
    target.make_room(2);
    target.raise_version(shard_.last_version());
    shard_.move_entries(7, target);
    shard_.move_entries(7, target);  // a hash may be in the list and in the journal
    EXPECT_EQ(target.find(key("c", 7))->version(), version);
    EXPECT_GE(target.last_version(), shard_.last_version());
  }
  EXPECT_EQ(names(shard_), std::vector<std::string>{"stays"});
  EXPECT_EQ(names(target), (std::vector<std::string>{"b", "c", "other"}));
  EXPECT_EQ(value(target, "b", 7), "b");
  expect_accounts_right(shard_);
  expect_accounts_right(target);
}

TEST_F(ShardTest, SwapOutLeavesItEmpty) {
  for (const char* name : {"a", "b"}) add(shard_, name, 7);
  EntryTable table;
  {
    const WriterLock lock(shard_.mutex);
    shard_.swap_out(table);
  }
  EXPECT_TRUE(names(shard_).empty());
  expect_accounts_right(shard_);
  EXPECT_EQ(table.size(), 2U);
  table.for_each([](Entry* entry) { entry->release(); });
}

TEST_F(ShardTest, DropsOnlyAnEmptyTable) {
  add(shard_, "a", 1);
  {
    const WriterLock lock(shard_.mutex);
    shard_.give_back_if_empty();
  }
  EXPECT_EQ(value(shard_, "a", 1), "value");
  EXPECT_TRUE(remove(shard_, "a", 1));
  const WriterLock lock(shard_.mutex);
  EXPECT_GT(shard_.usage().memory_bytes, 0U);
  shard_.give_back_if_empty();
  EXPECT_EQ(shard_.usage().memory_bytes, 0U);
}

TEST_F(ShardTest, LargeTableGoesOnceItIsEmptyAndThatIsAskedFor) {
  for (uint64_t i = 0; i < 1000; ++i) add(shard_, std::to_string(i), i << 6);
  for (uint64_t i = 0; i < 1000; ++i) {
    const WriterLock lock(shard_.mutex);
    shard_.drop_emptied_table();
    ASSERT_GT(shard_.usage().memory_bytes, 4096U);
    const EntryRef entry(shard_.remove({std::to_string(i), i << 6}));
    ASSERT_TRUE(entry);
    // Whoever removes one and puts in another needs no room.
    ASSERT_EQ(shard_.spare_needed(1), 0U);
  }
  {
    const WriterLock lock(shard_.mutex);
    shard_.drop_emptied_table();
    EXPECT_EQ(shard_.usage().memory_bytes, 0U);
    EXPECT_NE(shard_.spare_needed(1), 0U);
  }
  add(shard_, "again", 1);
  EXPECT_EQ(value(shard_, "again", 1), "value");
}

TEST_F(ShardTest, DestructionReleasesEverything) {
  rkvs::testing::on_fresh_thread([] {
    const size_t before = Arena::stats().bytes_in_use;
    {
      Shard shard;
      for (int i = 0; i < 500; ++i) {
        add(shard, std::to_string(i), static_cast<uint64_t>(i % 200), "some value");
      }
      EXPECT_GT(Arena::stats().bytes_in_use, before);
    }
    TableMemory::free_dropped();
    EXPECT_EQ(Arena::stats().bytes_in_use, before);
  });
}

}  // namespace
}  // namespace rkvs::internal
