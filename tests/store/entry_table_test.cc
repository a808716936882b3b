#include "store/entry_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <new>
#include <random>
#include <set>
#include <vector>

#include "base/arena.h"
#include "store/table_memory.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using rkvs::testing::on_fresh_thread;
using rkvs::testing::scaled_down;

// The table never looks into entries: any address will do.
Entry* fake(uint64_t number) { return reinterpret_cast<Entry*>((number + 1) * 16); }

// Inserts as the store does: from a spare that was obtained before.
bool insert(EntryTable& table, uint64_t hash, Entry* entry) {
  if (const size_t bytes = table.spare_needed(1); bytes != 0) {
    EXPECT_TRUE(TableMemory::add_spare(bytes));
    table.make_room(1);
  }
  const bool inserted = table.insert(hash, entry);
  TableMemory::free_dropped();
  return inserted;
}

class EntryTableTest : public ::testing::Test {
 protected:
  void TearDown() override {
    Arena::fail_nth_allocation_for_testing(0);
    TableMemory::free_dropped();
  }
};

TEST_F(EntryTableTest, EmptyTableHasNothingAndTakesNoMemory) {
  const EntryTable table;
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.memory(), 0U);
  EXPECT_EQ(table.find(1), nullptr);
  table.prefetch(1);
}

TEST_F(EntryTableTest, FindsWhatWasInserted) {
  EntryTable table;
  for (uint64_t i = 0; i < 1000; ++i) ASSERT_TRUE(insert(table, i * 0x9E3779B97F4A7C15U, fake(i)));
  EXPECT_EQ(table.size(), 1000U);
  for (uint64_t i = 0; i < 1000; ++i) {
    Entry** slot = table.find(i * 0x9E3779B97F4A7C15U);
    ASSERT_NE(slot, nullptr);
    EXPECT_EQ(*slot, fake(i));
  }
  EXPECT_EQ(table.find(12345), nullptr);
}

TEST_F(EntryTableTest, SecondInsertOfAHashIsRefusedAndCostsNoRoom) {
  EntryTable table;
  ASSERT_TRUE(insert(table, 7, fake(1)));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(table.insert(7, fake(2)));
  EXPECT_EQ(*table.find(7), fake(1));
  EXPECT_EQ(table.size(), 1U);
}

TEST_F(EntryTableTest, FindsAllWhenHashesDifferInOneBitOnly) {
  for (int bit = 0; bit < 64; ++bit) {
    EntryTable table;
    ASSERT_TRUE(insert(table, 0, fake(0)));
    ASSERT_TRUE(insert(table, uint64_t{1} << bit, fake(1)));
    EXPECT_EQ(*table.find(0), fake(0));
    EXPECT_EQ(*table.find(uint64_t{1} << bit), fake(1));
  }
}

TEST_F(EntryTableTest, GrowsOnlyFromASpareThatIsAtHand) {
  EntryTable table;
  std::mt19937_64 random(1);
  size_t growths = 0;
  for (uint64_t i = 0; i < 100000 / (rkvs::testing::is_instrumented() ? 10 : 1); ++i) {
    const size_t bytes = table.spare_needed(1);
    if (bytes != 0) {
      ++growths;
      ASSERT_TRUE(TableMemory::add_spare(bytes));
    }
    // From here on there is no memory: what needs some would throw.
    Arena::fail_nth_allocation_for_testing(1);
    ASSERT_NO_THROW(table.make_room(1));
    ASSERT_NO_THROW(table.insert(random(), fake(i)));
    Arena::fail_nth_allocation_for_testing(0);
    TableMemory::free_dropped();
  }
  EXPECT_LT(growths, 20U);
}

TEST_F(EntryTableTest, RoomForManyIsRoomForExactlyThatMany) {
  for (const size_t count : {1U, 2U, 3U, 6U, 7U, 8U, 13U, 14U, 15U, 27U, 28U, 29U, 1000U, 7168U}) {
    for (const size_t before : {0U, 1U, 5U, 7U, 14U, 500U}) {
      EntryTable table;
      std::mt19937_64 random(count * 1000 + before);
      for (size_t i = 0; i < before; ++i) ASSERT_TRUE(insert(table, random(), fake(i)));
      if (const size_t bytes = table.spare_needed(count); bytes != 0) {
        ASSERT_TRUE(TableMemory::add_spare(bytes));
        Arena::fail_nth_allocation_for_testing(1);
        ASSERT_NO_THROW(table.make_room(count));
      }
      EXPECT_EQ(table.spare_needed(count), 0U);
      Arena::fail_nth_allocation_for_testing(1);
      for (size_t i = 0; i < count; ++i) ASSERT_NO_THROW(table.insert(random(), fake(i)));
      Arena::fail_nth_allocation_for_testing(0);
      EXPECT_EQ(table.size(), before + count);
      TableMemory::free_dropped();
    }
  }
}

TEST_F(EntryTableTest, ChurnAtOneSizeNeverAllocatesUnasked) {
  // Deleted slots use up room that only a clean-up gives back.
  for (const size_t live : {1U, 3U, 6U, 7U, 13U, 14U, 50U, 111U, 112U, 400U, 447U, 448U}) {
    EntryTable table;
    std::mt19937_64 random(live);
    std::vector<uint64_t> hashes;
    size_t largest = 0;
    for (int i = 0; i < scaled_down(20000); ++i) {
      if (hashes.size() == live) {
        const size_t victim = random() % live;
        table.erase(hashes[victim]);
        hashes[victim] = hashes.back();
        hashes.pop_back();
      }
      if (const size_t bytes = table.spare_needed(1); bytes != 0) {
        ASSERT_TRUE(TableMemory::add_spare(bytes));
        Arena::fail_nth_allocation_for_testing(1);
        ASSERT_NO_THROW(table.make_room(1));
      }
      Arena::fail_nth_allocation_for_testing(1);
      hashes.push_back(random());
      ASSERT_NO_THROW(table.insert(hashes.back(), fake(1)));
      Arena::fail_nth_allocation_for_testing(0);
      TableMemory::free_dropped();
      largest = std::max(largest, table.memory());
    }
    EXPECT_EQ(table.size(), live);
    // Twice what is needed, twice for rounding up to a power of two, and a small table's floor.
    EXPECT_LE(largest, live * 17 * 4 + 512) << live;
  }
}

TEST_F(EntryTableTest, BehavesLikeAMapThroughRandomInsertsAndErases) {
  EntryTable table;
  std::map<uint64_t, Entry*> model;
  std::mt19937_64 random(2);
  for (int i = 0; i < scaled_down(200000); ++i) {
    const uint64_t hash = random() % 3000 * 0x9E3779B97F4A7C15U;
    if (random() % 3 != 0) {
      ASSERT_EQ(insert(table, hash, fake(hash)), model.emplace(hash, fake(hash)).second);
    } else if (model.erase(hash) != 0) {
      table.erase(hash);
    } else {
      ASSERT_EQ(table.find(hash), nullptr);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  std::map<uint64_t, Entry*> content;
  table.for_each([&](uint64_t hash, Entry* entry) { content.emplace(hash, entry); });
  EXPECT_EQ(content, model);
}

TEST_F(EntryTableTest, MemoryIsWhatTheArenaGave) {
  on_fresh_thread([] {
    const size_t before = Arena::stats().bytes_in_use;
    EntryTable table;
    for (uint64_t i = 0; i < 1000; ++i) {
      ASSERT_TRUE(insert(table, i * 0x9E3779B97F4A7C15U, fake(i)));
    }
    EXPECT_EQ(Arena::stats().bytes_in_use - before, table.memory());
    table.reset();
    TableMemory::free_dropped();
    EXPECT_EQ(table.memory(), 0U);
    EXPECT_EQ(table.size(), 0U);
    EXPECT_EQ(Arena::stats().bytes_in_use, before);
    ASSERT_TRUE(insert(table, 1, fake(1)));
  });
}

TEST_F(EntryTableTest, LeftOverSpareOfAnotherSizeDoesNotGetInTheWay) {
  // A spare that nobody used stays with its thread: whatever its size, a table that then grows
  // gets what it was promised.
  for (size_t left = 64; left < 4000; left += 8) {
    for (const size_t inserts : {1U, 3U, 6U, 8U, 14U, 28U, 56U}) {
      EntryTable table;
      ASSERT_TRUE(TableMemory::add_spare(left));
      ASSERT_TRUE(TableMemory::add_spare(table.spare_needed(inserts)));
      Arena::fail_nth_allocation_for_testing(1);
      ASSERT_NO_THROW(table.make_room(inserts)) << "left " << left << ", for " << inserts;
      Arena::fail_nth_allocation_for_testing(0);
      EXPECT_LE(table.memory(), 1200U);
      table.reset();
      TableMemory::free_dropped();
    }
  }
}

using TableMemoryTest = EntryTableTest;

TEST_F(TableMemoryTest, SpareServesOneRequestOfItsSizeOrLess) {
  on_fresh_thread([] {
    ASSERT_TRUE(TableMemory::add_spare(1000));
    EXPECT_TRUE(TableMemory::has_spare(1000));
    EXPECT_TRUE(TableMemory::has_spare(900));
    EXPECT_FALSE(TableMemory::has_spare(1001));
    Arena::fail_nth_allocation_for_testing(1);
    void* block = TableMemory::take(950);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 16, 0U);
    EXPECT_FALSE(TableMemory::has_spare(950));
    EXPECT_THROW(TableMemory::take(950), std::bad_alloc);
    TableMemory::drop(block, 950);
  });
}

TEST_F(TableMemoryTest, SpareThatIsMuchTooLargeIsNotUsed) {
  ASSERT_TRUE(TableMemory::add_spare(100000));
  EXPECT_FALSE(TableMemory::has_spare(1000));
}

TEST_F(TableMemoryTest, AddSparesServesAllOneAfterAnother) {
  const std::array<size_t, 3> sizes = {500, 500, 2000};
  ASSERT_TRUE(TableMemory::add_spares(sizes.data(), sizes.size()));
  Arena::fail_nth_allocation_for_testing(1);
  std::vector<void*> blocks;
  for (const size_t size : sizes) {
    ASSERT_TRUE(TableMemory::has_spare(size));
    ASSERT_NO_THROW(blocks.push_back(TableMemory::take(size)));
  }
  EXPECT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(), 3U);
  for (size_t i = 0; i < blocks.size(); ++i) TableMemory::drop(blocks[i], sizes[i]);
}

TEST_F(TableMemoryTest, AddSpareWithoutMemorySaysSo) {
  Arena::fail_nth_allocation_for_testing(1);
  EXPECT_FALSE(TableMemory::add_spare(777));
  EXPECT_FALSE(TableMemory::has_spare(777));
  const std::array<size_t, 2> sizes = {640, 640};
  Arena::fail_nth_allocation_for_testing(2);
  EXPECT_FALSE(TableMemory::add_spares(sizes.data(), sizes.size()));
}

TEST_F(TableMemoryTest, FreeDroppedKeepsOneSpareAtMost) {
  on_fresh_thread([] {
    const size_t before = Arena::stats().bytes_in_use;
    const std::array<size_t, 3> sizes = {512, 2048, 512};
    ASSERT_TRUE(TableMemory::add_spares(sizes.data(), sizes.size()));
    TableMemory::drop(TableMemory::take(2048), 2048);
    EXPECT_GT(Arena::stats().bytes_in_use, before + 512 + 2048 + 512);
    TableMemory::free_dropped();
    EXPECT_EQ(Arena::stats().bytes_in_use, before + TableMemory::block_size(512));
  });
}

TEST_F(TableMemoryTest, ThreadThatEndsLeavesNothingBehind) {
  const size_t before = Arena::stats().bytes_in_use;
  on_fresh_thread([] {
    ASSERT_TRUE(TableMemory::add_spare(1000));
    TableMemory::drop(TableMemory::take(1000), 1000);
    ASSERT_TRUE(TableMemory::add_spare(2000));
  });
  EXPECT_EQ(Arena::stats().bytes_in_use, before);
}

}  // namespace
}  // namespace rkvs::internal
