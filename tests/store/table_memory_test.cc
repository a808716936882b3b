#include "store/table_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <new>
#include <set>
#include <vector>

#include "base/arena.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using rkvs::testing::on_fresh_thread;

class TableMemoryTest : public ::testing::Test {
 protected:
  void TearDown() override {
    Arena::fail_nth_allocation_for_testing(0);
    TableMemory::free_dropped();
  }
};

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
    TableMemory::drop(block);
  });
}

TEST_F(TableMemoryTest, SpareThatIsMuchTooLargeIsNotUsed) {
  ASSERT_TRUE(TableMemory::add_spare(100000));
  EXPECT_FALSE(TableMemory::has_spare(1000));
  EXPECT_FALSE(TableMemory::has_spare(50000));
  EXPECT_TRUE(TableMemory::has_spare(90000));
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
  for (void* block : blocks) TableMemory::drop(block);
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
    TableMemory::drop(TableMemory::take(2048));
    EXPECT_GT(Arena::stats().bytes_in_use, before + 512 + 2048 + 512);
    TableMemory::free_dropped();
    EXPECT_EQ(Arena::stats().bytes_in_use, before + TableMemory::block_size(512));
  });
}

TEST_F(TableMemoryTest, ThreadThatEndsLeavesNothingBehind) {
  const size_t before = Arena::stats().bytes_in_use;
  on_fresh_thread([] {
    ASSERT_TRUE(TableMemory::add_spare(1000));
    TableMemory::drop(TableMemory::take(1000));
    ASSERT_TRUE(TableMemory::add_spare(2000));
  });
  EXPECT_EQ(Arena::stats().bytes_in_use, before);
}

}  // namespace
}  // namespace rkvs::internal
