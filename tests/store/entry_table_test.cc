#include "store/entry_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <random>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "store/table_memory.h"
#include "tests/support/entry_table_util.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

TEST_F(EntryTableTest, EmptyTableHasNothingAndTakesNoMemory) {
  const EntryTable table;
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.memory(), 0U);
  EXPECT_EQ(table.find(1, kAny), nullptr);
  EXPECT_EQ(table.find(~uint64_t{0}, kAny), nullptr);
  EXPECT_EQ(table.find_exactly(1, kAny), nullptr);
  EXPECT_EQ(table.candidate(1), nullptr);
  EXPECT_TRUE(is_surely_absent(table, 1));
  table.prefetch(1);
  EXPECT_EQ(content_of(table), Content{});
  size_t position = 0;
  std::vector<uint64_t> hashes;
  EXPECT_FALSE(table.scan(position, 10, hashes));
  EXPECT_TRUE(hashes.empty());
}

TEST_F(EntryTableTest, FindsWhatWasInserted) {
  EntryTable table;
  for (uint64_t i = 0; i < 1000; ++i) insert(table, i * 0x9E3779B97F4A7C15U, fake(i));
  EXPECT_EQ(table.size(), 1000U);
  for (uint64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(contains(table, i * 0x9E3779B97F4A7C15U, fake(i)));
  }
  EXPECT_EQ(table.find_exactly(12345, kAny), nullptr);
}

TEST_F(EntryTableTest, FindsAllWhenHashesDifferInOneBitOnly) {
  // Among them those whose tags would be the mark of a free slot, and what is put in its place.
  for (const uint64_t base : {uint64_t{0}, ~uint64_t{0}, uint64_t{1} << 56}) {
    for (int bit = 0; bit < 64; ++bit) {
      const uint64_t other = base ^ uint64_t { 1 } << bit;
      EntryTable table;
      insert(table, base, fake(0));
      insert(table, other, fake(1));
      EXPECT_TRUE(contains(table, base, fake(0))) << bit;
      EXPECT_TRUE(contains(table, other, fake(1))) << bit;
      EXPECT_EQ(*table.find_exactly(base, kAny), fake(0)) << bit;
      EXPECT_EQ(*table.find_exactly(other, kAny), fake(1)) << bit;
      EXPECT_EQ(content_of(table).size(), 2U);
    }
  }
}

TEST_F(EntryTableTest, CopiesAllOfItsEntriesAndWritesNoFurther) {
  std::mt19937_64 random(1);
  EntryTable table;
  std::vector<std::pair<uint64_t, Entry*>> there;
  for (uint64_t i = 0; i < 3000; ++i) {
    there.emplace_back(random(), fake(i));
    insert(table, there.back().first, there.back().second);
    if (i % 3 == 0) {
      std::swap(there[random() % there.size()], there.back());
      erase(table, there.back().first, there.back().second);
      there.pop_back();
    }
    if (i % 100 != 0) continue;
    std::vector<Entry*> copy(table.size() + 2, fake(99999));
    ASSERT_EQ(table.copy_to(copy.data()), copy.data() + table.size());
    EXPECT_EQ(copy.back(), fake(99999));
    copy.resize(table.size());
    std::sort(copy.begin(), copy.end());
    std::vector<Entry*> expected;
    for (const auto& [hash, entry] : there) expected.push_back(entry);
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(copy, expected);
  }
}

TEST_F(EntryTableTest, EveryTagFindsItsEntryInAFullBucket) {
  for (uint64_t first = 0; first < 256; ++first) {
    EntryTable table;
    for (uint64_t i = 0; i < 7; ++i) insert(table, (first + i * 37) % 256 << 56, fake(i));
    for (uint64_t i = 0; i < 7; ++i) {
      ASSERT_TRUE(contains(table, (first + i * 37) % 256 << 56, fake(i))) << first;
    }
    for (uint64_t i = 0; i < 7; ++i) erase(table, (first + i * 37) % 256 << 56, fake(i));
    EXPECT_EQ(table.size(), 0U);
  }
}

TEST_F(EntryTableTest, AnEntryLiesInTheCacheLineOfItsTag) {
  EntryTable table;
  for (uint64_t i = 0; i < 5000; ++i) {
    const uint64_t hash = i * 0x9E3779B97F4A7C15U;
    insert(table, hash, fake(i));
    // The first word of a line holds the tags of the others.
    const auto slot = reinterpret_cast<uintptr_t>(table.find(hash, is(fake(i))));
    ASSERT_GE(slot % 64, 8U);
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

TEST_F(EntryTableTest, GrowthWithoutMemoryChangesNothing) {
  on_fresh_thread([] {
    EntryTable table;
    for (const uint64_t count : {0U, 7U, 11U, 88U}) {
      while (table.size() < count) insert(table, table.size() * 65, fake(table.size()));
      if (table.spare_needed(1) == 0) GTEST_FAIL() << count << " do not fill it";
      // The spare that the last growth left behind would do for none.
      const size_t memory = table.memory();
      const Content content = content_of(table);
      Arena::fail_nth_allocation_for_testing(1);
      EXPECT_THROW(table.make_room(1), std::bad_alloc);
      Arena::fail_nth_allocation_for_testing(0);
      EXPECT_EQ(table.memory(), memory);
      EXPECT_EQ(table.size(), count);
      EXPECT_EQ(content_of(table), content);
      for (uint64_t i = 0; i < count; ++i) EXPECT_TRUE(contains(table, i * 65, fake(i)));
      EXPECT_NE(table.spare_needed(1), 0U);
    }
  });
}

TEST_F(EntryTableTest, RoomForManyIsRoomForExactlyThatMany) {
  for (const size_t count : {1U, 2U, 3U, 6U, 7U, 8U, 11U, 12U, 15U, 22U, 23U, 29U, 1000U, 5632U}) {
    for (const size_t before : {0U, 1U, 5U, 7U, 11U, 500U}) {
      EntryTable table;
      std::mt19937_64 random(count * 1000 + before);
      for (size_t i = 0; i < before; ++i) insert(table, random(), fake(i));
      make_room(table, count);
      const size_t memory = table.memory();
      Arena::fail_nth_allocation_for_testing(1);
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(table.spare_needed(1), 0U);
        ASSERT_NO_THROW(table.make_room(1));
        ASSERT_NO_THROW(table.insert(random(), fake(before + i)));
      }
      Arena::fail_nth_allocation_for_testing(0);
      EXPECT_EQ(table.memory(), memory);
      EXPECT_EQ(table.size(), before + count);
    }
  }
}

TEST_F(EntryTableTest, TakesElevenEntriesForEachTwoBuckets) {
  EntryTable table;
  std::vector<size_t> full;
  for (uint64_t i = 0; i < 3000; ++i) {
    if (table.spare_needed(1) != 0) full.push_back(table.size());
    insert(table, i * 0x9E3779B97F4A7C15U, fake(i));
  }
  // One bucket takes as many as it has slots.
  EXPECT_EQ(full, (std::vector<size_t>{0, 7, 11, 22, 44, 88, 176, 352, 704, 1408, 2816}));
}

TEST_F(EntryTableTest, ChurnAtOneSizeNeverGrowsIt) {
  // An erased slot is free at once, and so is the room.
  for (const size_t live : {1U, 6U, 7U, 10U, 11U, 22U, 50U, 88U, 176U, 400U, 704U}) {
    EntryTable table;
    std::mt19937_64 random(live);
    std::vector<uint64_t> hashes(live);
    for (size_t i = 0; i < live; ++i) insert(table, hashes[i] = random(), fake(i));
    const size_t memory = table.memory();
    for (int i = 0; i < scaled_down(20000); ++i) {
      const size_t victim = random() % live;
      erase(table, hashes[victim], fake(victim));
      ASSERT_EQ(table.spare_needed(1), 0U);
      table.insert(hashes[victim] = random(), fake(victim));
    }
    EXPECT_EQ(table.size(), live);
    EXPECT_EQ(table.memory(), memory);
    for (size_t i = 0; i < live; ++i) EXPECT_TRUE(contains(table, hashes[i], fake(i)));
  }
}

// --- Memory
// ---------------------------------------------------------------------------------------

TEST_F(EntryTableTest, MemoryIsWhatTheArenaGave) {
  on_fresh_thread([] {
    const size_t before = Arena::stats().bytes_in_use;
    EntryTable table;
    for (uint64_t i = 0; i < 20000; ++i) {
      const size_t memory = table.memory();
      insert(table, i * 0x9E3779B97F4A7C15U, fake(i));
      if (table.memory() != memory) {
        ASSERT_EQ(Arena::stats().bytes_in_use - before, table.memory()) << "with " << i + 1;
      }
    }
    table.reset();
    TableMemory::free_dropped();
    EXPECT_EQ(table.memory(), 0U);
    EXPECT_EQ(table.size(), 0U);
    EXPECT_EQ(Arena::stats().bytes_in_use, before);
    insert(table, 1, fake(1));
    EXPECT_TRUE(contains(table, 1, fake(1)));
  });
}

TEST_F(EntryTableTest, DestructionGivesTheMemoryBack) {
  on_fresh_thread([] {
    const size_t before = Arena::stats().bytes_in_use;
    {
      EntryTable table;
      for (uint64_t i = 0; i < 100; ++i) insert(table, i << 6, fake(i));
    }
    TableMemory::free_dropped();
    EXPECT_EQ(Arena::stats().bytes_in_use, before);
  });
}

TEST_F(EntryTableTest, SwapExchangesEverything) {
  EntryTable small;
  EntryTable large;
  insert(small, 1, fake(1));
  for (uint64_t i = 0; i < 500; ++i) insert(large, i << 6, fake(i));
  const size_t small_memory = small.memory();
  const size_t large_memory = large.memory();
  const Content small_content = content_of(small);
  const Content large_content = content_of(large);
  const size_t large_spare = large.spare_needed(1000);
  small.swap(large);
  EXPECT_EQ(content_of(small), large_content);
  EXPECT_EQ(content_of(large), small_content);
  EXPECT_EQ(small.memory(), large_memory);
  EXPECT_EQ(large.memory(), small_memory);
  EXPECT_EQ(small.spare_needed(1000), large_spare);
  EXPECT_EQ(large.spare_needed(6), 0U);
  EXPECT_NE(large.spare_needed(7), 0U);
  for (uint64_t i = 0; i < 500; ++i) EXPECT_TRUE(contains(small, i << 6, fake(i)));
  EXPECT_TRUE(contains(large, 1, fake(1)));
  EntryTable empty;
  empty.swap(small);
  EXPECT_EQ(content_of(empty), large_content);
  EXPECT_EQ(small.size(), 0U);
  EXPECT_EQ(small.memory(), 0U);
  EXPECT_EQ(small.find(64, kAny), nullptr);
}

TEST_F(EntryTableTest, OnlyALargeTableThatIsEmptyIsDropped) {
  for (const uint64_t count : {1U, 7U, 44U, 45U, 1000U}) {
    EntryTable table;
    for (uint64_t i = 0; i < count; ++i) insert(table, i << 6, fake(i));
    const size_t memory = table.memory();
    for (uint64_t i = 0; i < count; ++i) {
      table.drop_if_emptied();
      ASSERT_EQ(table.memory(), memory) << "there is " << count - i;
      erase(table, i << 6, fake(i));
    }
    EXPECT_EQ(table.memory(), memory) << "erasing gives nothing back";
    EXPECT_EQ(table.spare_needed(count), 0U) << "nor takes room away";
    table.drop_if_emptied();
    // 1 KiB is kept.
    EXPECT_EQ(table.memory(), count <= 44 ? memory : 0U) << count;
    insert(table, 7, fake(7));
    EXPECT_TRUE(contains(table, 7, fake(7)));
  }
}

TEST_F(EntryTableTest, ForecastSaysWhatARealTableThenDoes) {
  for (uint64_t round = 0; round < 30; ++round) {
    EntryTable table;
    std::mt19937_64 random(round);
    Content present;
    // It may begin anywhere.
    for (uint64_t i = 0; i < round * 7; ++i) {
      present.emplace_back(random(), fake(i));
      insert(table, present.back().first, present.back().second);
    }
    EntryTable::Forecast forecast(table);
    for (int i = 0; i < 2000; ++i) {
      ASSERT_EQ(forecast.memory(), table.memory());
      if (random() % 3 != 0 || present.empty()) {
        ASSERT_EQ(forecast.spare_needed(), table.spare_needed(1)) << "at " << present.size();
        forecast.make_room();
        make_room(table, 1);
        ASSERT_EQ(forecast.memory(), table.memory());
        forecast.insert();
        present.emplace_back(random(), fake(static_cast<uint64_t>(i) + 1000));
        table.insert(present.back().first, present.back().second);
      } else {
        forecast.erase();
        erase(table, present.back().first, present.back().second);
        present.pop_back();
      }
    }
  }
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
      EXPECT_LE(table.memory(), 2200U);
      table.reset();
      TableMemory::free_dropped();
    }
  }
}

TEST_F(EntryTableTest, SpareForALargerTableIsNotTaken) {
  // It would be more than memory() says.
  on_fresh_thread([] {
    EntryTable larger;
    for (uint64_t i = 0; i < 7; ++i) insert(larger, i, fake(i));
    for (const uint64_t count : {11U, 22U, 44U, 88U, 5632U}) {
      while (larger.size() < count) insert(larger, larger.size() << 6, fake(larger.size()));
      EntryTable table;
      ASSERT_TRUE(TableMemory::add_spare(larger.spare_needed(1)));
      TableMemory::free_dropped();
      EXPECT_FALSE(TableMemory::has_spare(table.spare_needed(count)));
      const size_t before = Arena::stats().bytes_in_use;
      make_room(table, count);
      EXPECT_EQ(table.memory(), larger.memory());
      EXPECT_EQ(Arena::stats().bytes_in_use - before, table.memory());
    }
  });
}

}  // namespace
}  // namespace rkvs::testing
