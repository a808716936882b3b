#include "base/arena.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/arena_page_heap.h"
#include "base/arena_poison.h"
#include "base/arena_region.h"
#include "base/arena_size_class.h"
#include "tests/support/test_util.h"

#if defined(__SANITIZE_THREAD__)
#define RKVS_TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RKVS_TEST_TSAN 1
#endif
#endif

namespace rkvs::internal {
namespace {

#if defined(RKVS_ARENA_ASAN)
constexpr bool kAsan = true;
#else
constexpr bool kAsan = false;
#endif
#if defined(RKVS_TEST_TSAN)
constexpr bool kTsan = true;
#else
constexpr bool kTsan = false;
#endif

constexpr size_t kMiB = size_t{1} << 20;

size_t scale() {
  const char* text = std::getenv("RKVS_TEST_SCALE");
  const int value = text == nullptr ? 1 : std::atoi(text);
  return value < 1 ? 1 : static_cast<size_t>(value);
}

// A live block, filled from end to end with a pattern of its own. Those of odd seeds are packed.
struct Block {
  unsigned char* memory = nullptr;
  size_t bytes = 0;
  uint32_t seed = 0;

  static Block make(size_t bytes, uint32_t seed) {
    Block block{nullptr, bytes, seed};
    block.memory = static_cast<unsigned char*>(block.is_packed() ? Arena::allocate_packed(bytes)
                                                                 : Arena::allocate(bytes));
    if (block.memory != nullptr) block.fill();
    return block;
  }

  bool is_packed() const { return seed % 2 == 1; }
  size_t size() const {
    return is_packed() ? Arena::packed_block_size(bytes) : Arena::block_size(bytes);
  }

  // Both ends and a sample of the middle, so that large blocks do not take all the time.
  template <typename Visit>
  void visit(Visit visit) const {
    const size_t step = bytes <= 4096 ? 1 : 509;
    for (size_t i = 0; i < bytes; i += step) visit(i);
    if (bytes != 0) visit(bytes - 1);
  }
  unsigned char pattern(size_t i) const {
    return static_cast<unsigned char>(seed * 31 + i * 7 + 1);
  }
  void fill() const {
    visit([this](size_t i) { memory[i] = pattern(i); });
  }
  bool is_intact() const {
    bool intact = true;
    visit([&](size_t i) { intact = intact && memory[i] == pattern(i); });
    return intact;
  }
  void free() const {
    if (is_packed()) {
      Arena::deallocate_packed(memory, bytes);
    } else {
      Arena::deallocate(memory, bytes);
    }
  }
};

// Mostly entries, some tables, a few large values.
size_t random_size(std::mt19937_64& random) {
  switch (random() % 100) {
    case 0: return kMiB + random() % (4 * kMiB);
    case 1:
    case 2:
    case 3: return 32 * 1024 + random() % (kMiB - 32 * 1024);
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9: return random() % (40 * 1024);
    default: return random() % 700;
  }
}

struct ProcessMemory {
  size_t mapped = 0;
  size_t resident = 0;
};

ProcessMemory process_memory() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return {};
  unsigned long mapped = 0;
  unsigned long resident = 0;
  const int fields = std::fscanf(file, "%lu %lu", &mapped, &resident);
  std::fclose(file);
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return fields == 2 ? ProcessMemory{mapped * page, resident * page} : ProcessMemory{};
}

size_t resident_bytes() { return process_memory().resident; }

// Runs the function in a forked child; true if it returned true there.
bool holds_in_child(const std::function<bool()>& function) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) testing::end_child(function() ? 0 : 1);
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

// Trims until no region is left but those in use, or for ten seconds: the background thread may
// add one that was wanted a moment ago.
void trim_to(size_t regions) {
  for (int i = 0; i < 1000; ++i) {
    Arena::trim();
    if (Arena::stats().regions <= regions) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// Waits for the background thread, for ten seconds at most.
bool reserve_appears() {
  for (int i = 0; i < 1000; ++i) {
    if (Arena::stats().reserve_regions > 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(ArenaSizeClass, IsTheSmallestThatHolds) {
  using namespace arena;
  for (size_t bytes = 0; bytes <= kMaxSmall; ++bytes) {
    const size_t packed = class_of<Fit::kPacked>(bytes);
    ASSERT_LT(packed, kClasses) << bytes;
    ASSERT_GE(kSizeClasses[packed].size, bytes);
    if (packed > 0) {
      ASSERT_LT(kSizeClasses[packed - 1].size, bytes);
    }
    const size_t aligned = class_of<Fit::kAligned>(bytes);
    ASSERT_LT(aligned, kClasses) << bytes;
    ASSERT_GE(kSizeClasses[aligned].size, bytes);
    ASSERT_EQ(kSizeClasses[aligned].size % kAlignment, 0u);
    if (aligned > 1 && bytes <= kMaxLinear) {
      ASSERT_LT(kSizeClasses[aligned - 2].size, bytes);
    }
  }
}

TEST(ArenaSizeClass, SpansWasteLittle) {
  using namespace arena;
  for (const SizeClass& size_class : kSizeClasses) {
    const size_t span = size_class.span_pages * kPageSize;
    EXPECT_EQ(size_class.span_blocks, span / size_class.size);
    EXPECT_LE(span % size_class.size * 16, span) << size_class.size;
    EXPECT_LE(size_class.span_blocks, kMaxSpanBlocks);
  }
}

TEST(Arena, BlocksAreAligned) {
  std::mt19937_64 random(1);
  std::vector<Block> blocks;
  for (size_t bytes = 0; bytes <= 600; ++bytes) {
    blocks.push_back(Block::make(bytes, 0));
    blocks.push_back(Block::make(bytes, 1));
  }
  for (uint32_t i = 0; i < 500; ++i) blocks.push_back(Block::make(random_size(random), i));
  for (const Block& block : blocks) {
    ASSERT_NE(block.memory, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.memory) % (block.is_packed() ? 8 : 16), 0u)
        << block.bytes;
  }
  for (const Block& block : blocks) block.free();
}

TEST(Arena, BlockSizeNeverShrinksAndWastesAnEighthAtMost) {
  size_t previous = 0;
  size_t previous_packed = 0;
  for (size_t bytes = 0; bytes <= 5 * kMiB; bytes += bytes < 70'000 ? 1 : 61) {
    const size_t size = Arena::block_size(bytes);
    ASSERT_GE(size, bytes);
    ASSERT_GE(size, previous) << bytes;
    // 16-byte steps waste up to 15 bytes; the page of a large block, up to 4095.
    ASSERT_LE(size - bytes, std::max<size_t>(bytes / 8, 16)) << bytes;
    ASSERT_EQ(Arena::block_size(size), size);
    previous = size;
    const size_t packed = Arena::packed_block_size(bytes);
    ASSERT_GE(packed, bytes);
    ASSERT_GE(packed, previous_packed) << bytes;
    ASSERT_LE(packed, size);
    ASSERT_LE(packed - bytes, std::max<size_t>(bytes / 8, 8)) << bytes;
    ASSERT_EQ(Arena::packed_block_size(packed), packed);
    previous_packed = packed;
  }
}

TEST(Arena, BlocksOfNoBytesAreDistinct) {
  void* a = Arena::allocate(0);
  void* b = Arena::allocate(0);
  EXPECT_NE(a, nullptr);
  EXPECT_NE(b, nullptr);
  EXPECT_NE(a, b);
  Arena::deallocate(a, 0);
  Arena::deallocate(b, 0);
  Arena::deallocate(nullptr, 17);
}

TEST(Arena, AbsurdSizesAreRefused) {
  const size_t in_use = Arena::stats().bytes_in_use;
  for (size_t bytes : {std::numeric_limits<size_t>::max(), std::numeric_limits<size_t>::max() / 2,
                       size_t{1} << 62, size_t{1} << 48}) {
    EXPECT_EQ(Arena::allocate(bytes), nullptr) << bytes;
  }
  EXPECT_EQ(Arena::stats().bytes_in_use, in_use);
}

TEST(Arena, ContentsStayAndAccountsAreExact) {
  std::mt19937_64 random(2);
  const Arena::Stats before = Arena::stats();
  size_t in_use = before.bytes_in_use;
  std::vector<Block> blocks;
  const size_t steps = 60'000 * scale();
  for (size_t step = 0; step < steps; ++step) {
    // Waves, so that spans and regions fill and empty.
    const bool grow = random() % 100 < (step / 8192 % 2 == 0 ? 60u : 40u);
    if (grow || blocks.empty()) {
      const Block block = Block::make(random_size(random), static_cast<uint32_t>(step));
      ASSERT_NE(block.memory, nullptr);
      in_use += block.size();
      blocks.push_back(block);
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      ASSERT_TRUE(blocks.back().is_intact());
      in_use -= blocks.back().size();
      blocks.back().free();
      blocks.pop_back();
    }
    if (step % 512 == 0) {
      const Arena::Stats stats = Arena::stats();
      ASSERT_EQ(stats.bytes_in_use, in_use);
      ASSERT_GE(stats.bytes_reserved, stats.bytes_in_use + stats.bytes_cached);
    }
  }
  const Arena::Stats stats = Arena::stats();
  EXPECT_EQ(stats.large_blocks - before.large_blocks,
            static_cast<size_t>(std::count_if(blocks.begin(), blocks.end(),
                                              [](const Block& b) { return b.bytes > kMiB; })));
  for (const Block& block : blocks) {
    ASSERT_TRUE(block.is_intact());
    block.free();
  }
  EXPECT_EQ(Arena::stats().bytes_in_use, before.bytes_in_use);
  EXPECT_EQ(Arena::stats().large_blocks, before.large_blocks);
}

TEST(Arena, BlocksNeverOverlap) {
  std::vector<std::pair<uintptr_t, size_t>> ranges;
  std::vector<Block> blocks;
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    blocks.push_back(Block::make(random() % 50 == 0 ? random() % 300'000 : random() % 3000, 0));
  }
  for (const Block& b : blocks) {
    ranges.emplace_back(reinterpret_cast<uintptr_t>(b.memory), b.size());
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    ASSERT_GE(ranges[i].first, ranges[i - 1].first + ranges[i - 1].second);
  }
  for (const Block& block : blocks) block.free();
}

TEST(Arena, PageRunsMergeWithTheirNeighbours) {
  trim_to(0);
  const size_t regions = Arena::stats().regions;
  // Fill some regions with tables of one size, free them in random order: only whole regions are
  // left, and they take blocks of another size.
  for (size_t bytes : {size_t{36'000}, size_t{140'000}, size_t{1'000'000}, size_t{280'000}}) {
    std::vector<Block> blocks;
    for (size_t total = 0; total < 24 * kMiB; total += bytes) {
      blocks.push_back(Block::make(bytes, static_cast<uint32_t>(total)));
    }
    std::shuffle(blocks.begin(), blocks.end(), std::mt19937_64(4));
    for (const Block& block : blocks) {
      ASSERT_TRUE(block.is_intact());
      block.free();
    }
    trim_to(regions);
    EXPECT_LE(Arena::stats().regions, regions) << bytes;
  }
}

TEST(Arena, OneSmallBlockCostsLittleMemory) {
  if (kAsan || kTsan) GTEST_SKIP() << "resident memory is the sanitizer's";
  // In a child whose arena starts anew, but for the blocks that other tests may have left.
  EXPECT_TRUE(holds_in_child([] {
    Arena::trim();
    const size_t before = resident_bytes();
    const Block block = Block::make(100, 5);
    const size_t after = resident_bytes();
    return block.memory != nullptr && after < before + 300 * 1024;
  }));
}

TEST(Arena, EmptyRegionsReturnToTheSystem) {
  constexpr size_t kThreads = 4;
  constexpr uint32_t kBlocks = 200'000;
  // Written before the first measurement, so that only the arena's memory grows.
  std::vector<std::vector<Block>> blocks(kThreads, std::vector<Block>(kBlocks));
  trim_to(0);
  const Arena::Stats before = Arena::stats();
  const size_t resident = resident_bytes();
  std::atomic<size_t> full{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = 0; i < kBlocks; ++i) blocks[t][i] = Block::make(63 + i % 400, i);
      full.fetch_add(1);
      while (!go) std::this_thread::yield();
      for (const Block& block : blocks[t]) block.free();
      Arena::trim();
    });
  }
  while (full < kThreads) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(Arena::stats().bytes_in_use, before.bytes_in_use + 200 * kMiB);
  EXPECT_LE(Arena::stats().bytes_reserved, before.bytes_reserved + 250 * kMiB);
  go = true;
  for (std::thread& thread : threads) thread.join();
  trim_to(before.regions);
  const Arena::Stats after = Arena::stats();
  EXPECT_EQ(after.bytes_in_use, before.bytes_in_use);
  EXPECT_LE(after.regions, before.regions);
  // What describes the regions stays, and so do the caches for later threads.
  EXPECT_LE(after.bytes_reserved, before.bytes_reserved + 3 * kMiB);
  if (!kAsan && !kTsan) {
    EXPECT_LE(resident_bytes(), resident + 5 * kMiB);
  }
}

// One thread allocates, another frees: what the one caches must find its way back to the other.
TEST(Arena, BlocksFlowBetweenThreadsWithoutGrowth) {
  constexpr size_t kSlots = 4096;
  const size_t count = (kAsan || kTsan ? 300'000 : 3'000'000) * scale();
  trim_to(0);
  const size_t before = Arena::stats().bytes_reserved;
  std::vector<std::atomic<unsigned char*>> ring(kSlots);
  std::thread consumer([&] {
    for (size_t i = 0; i < count; ++i) {
      unsigned char* block;
      while ((block = ring[i % kSlots].exchange(nullptr)) == nullptr) std::this_thread::yield();
      if (block[0] != static_cast<unsigned char>(i)) std::abort();
      Arena::deallocate(block, 48 + i % 200);
    }
  });
  size_t most = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t bytes = 48 + i % 200;
    auto* block = static_cast<unsigned char*>(Arena::allocate(bytes));
    ASSERT_NE(block, nullptr);
    block[0] = static_cast<unsigned char>(i);
    unsigned char* expected = nullptr;
    while (!ring[i % kSlots].compare_exchange_weak(expected, block)) {
      expected = nullptr;
      std::this_thread::yield();
    }
    if (i % 10'000 == 0) most = std::max(most, Arena::stats().bytes_reserved);
  }
  consumer.join();
  // At most 4096 blocks were alive (1 MiB), plus the caches and spans of 13 classes.
  EXPECT_LE(most, before + 10 * kMiB);
}

TEST(Arena, ThreadThatEndsGivesItsCacheBack) {
  const Arena::Stats before = Arena::stats();
  for (int round = 0; round < 50; ++round) {
    std::thread([&] {
      std::vector<Block> blocks;
      for (uint32_t i = 0; i < 2000; ++i) blocks.push_back(Block::make(i % 900, i));
      for (const Block& block : blocks) block.free();
      EXPECT_GT(Arena::stats().bytes_cached, before.bytes_cached);
    }).join();
    const Arena::Stats after = Arena::stats();
    EXPECT_EQ(after.bytes_cached, before.bytes_cached);
    EXPECT_EQ(after.bytes_in_use, before.bytes_in_use);
    EXPECT_EQ(after.thread_caches, before.thread_caches);
  }
}

struct FreesAtThreadExit {
  Block block;
  ~FreesAtThreadExit() {
    const Block another = Block::make(77, 1);
    another.free();
    block.free();
  }
};
thread_local FreesAtThreadExit t_frees_at_exit;

// The destructor of a pthread key runs after those of thread_local variables, so that it meets a
// thread whose cache is gone. It asks to be called again, until the system has had enough: then no
// other destructor could take down a second cache.
pthread_key_t g_late_key;

void free_late(void* block) {
  const Block another = Block::make(77, 2);
  another.free();
  Arena::deallocate(block, 77);
  // ThreadSanitizer takes its own view of the thread down in the last round.
  constexpr int kRounds = PTHREAD_DESTRUCTOR_ITERATIONS - (kTsan ? 2 : 0);
  static thread_local int calls = 0;
  if (++calls < kRounds) {
    ::pthread_setspecific(g_late_key, Arena::allocate(77));
  }
}

TEST(Arena, WorksWhileAThreadEnds) {
  const Block first = Block::make(77, 0);
  // Created later than the arena's own key, hence called later in each round.
  ASSERT_EQ(::pthread_key_create(&g_late_key, &free_late), 0);
  const Arena::Stats before = Arena::stats();
  std::thread([&] {
    t_frees_at_exit.block = Block::make(77, 1);
    ::pthread_setspecific(g_late_key, Arena::allocate(77));
  }).join();
  const Arena::Stats after = Arena::stats();
  EXPECT_EQ(after.bytes_in_use, before.bytes_in_use);
  EXPECT_EQ(after.bytes_cached, before.bytes_cached);
  EXPECT_EQ(after.thread_caches, before.thread_caches);
  ::pthread_key_delete(g_late_key);
  first.free();
}

TEST(Arena, WorksWhileTheProcessEnds) {
  struct FreesAtExit {
    Block block;
    ~FreesAtExit() {
      block.free();
      const Block another = Block::make(300'000, 1);
      if (!another.is_intact()) ::_exit(1);
      another.free();
    }
  };
  EXPECT_EXIT(
      {
        static FreesAtExit frees;
        frees.block = Block::make(1000, 3);
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(Arena, NthAllocationFailsOnDemand) {
  const size_t before = Arena::stats().bytes_in_use;
  for (size_t bytes : {size_t{100}, size_t{100'000}, size_t{3'000'000}}) {
    Arena::fail_nth_allocation_for_testing(3);
    const Block a = Block::make(bytes, 0);
    const Block b = Block::make(bytes, 1);
    const Block c = Block::make(bytes, 2);
    const Block d = Block::make(bytes, 3);
    EXPECT_NE(a.memory, nullptr);
    EXPECT_NE(b.memory, nullptr);
    EXPECT_EQ(c.memory, nullptr);
    EXPECT_NE(d.memory, nullptr);
    EXPECT_EQ(Arena::stats().bytes_in_use, before + a.size() + b.size() + d.size());
    for (const Block& block : {a, b, c, d}) block.free();
  }
  Arena::fail_nth_allocation_for_testing(1);
  Arena::fail_nth_allocation_for_testing(0);
  const Block e = Block::make(100, 5);
  EXPECT_NE(e.memory, nullptr);
  e.free();
  EXPECT_EQ(Arena::stats().bytes_in_use, before);
}

TEST(Arena, SurvivesTheEndOfAddressSpace) {
  if (kAsan || kTsan) GTEST_SKIP() << "the sanitizer needs the address space";
  EXPECT_TRUE(holds_in_child([] {
    std::vector<Block> blocks;
    blocks.reserve(4'000'000);
    const size_t before = Arena::stats().bytes_in_use;
    const size_t most = process_memory().mapped + 400 * kMiB;
    const rlimit limit{most, most};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) return false;
    std::mt19937_64 random(6);
    for (int round = 0; round < 3; ++round) {
      size_t in_use = before;
      for (const size_t bytes : {size_t{0}, size_t{2 * kMiB}, size_t{200'000}, size_t{144}}) {
        for (;;) {
          const Block block = Block::make(bytes != 0 ? bytes : random_size(random), 7);
          if (block.memory == nullptr) break;
          in_use += block.size();
          blocks.push_back(block);
        }
      }
      if (Arena::stats().bytes_in_use != in_use || in_use < before + 128 * kMiB) return false;
      for (const Block& block : blocks) {
        if (!block.is_intact()) return false;
        block.free();
      }
      blocks.clear();
      Arena::trim();
      if (Arena::stats().bytes_in_use != before) return false;
    }
    return true;
  }));
}

// Threads exchange blocks at random places; run under ThreadSanitizer and AddressSanitizer.
TEST(Arena, ConcurrentUseKeepsContentsAndAccounts) {
  constexpr size_t kThreads = 4;
  constexpr size_t kSlots = 512;
  const size_t steps = (kTsan ? 20'000 : 150'000) * scale();
  const Arena::Stats before = Arena::stats();
  std::vector<std::atomic<Block*>> slots(kSlots);
  std::atomic<bool> intact{true};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (size_t step = 0; step < steps; ++step) {
        Block* mine = nullptr;
        if (random() % 2 == 0) {
          mine = static_cast<Block*>(Arena::allocate(sizeof(Block)));
          const size_t bytes = random() % 500 == 0 ? random_size(random) : random() % 500;
          *mine = Block::make(bytes, static_cast<uint32_t>(step));
        }
        Block* other = slots[random() % kSlots].exchange(mine, std::memory_order_acq_rel);
        if (other == nullptr) continue;
        if (!other->is_intact()) intact = false;
        other->free();
        Arena::deallocate(other, sizeof(Block));
        if (step % 4096 == 0) Arena::trim();
      }
    });
  }
  std::thread watcher([&] {
    while (!done) {
      if (Arena::stats().bytes_in_use > before.bytes_in_use + 4096 * kMiB) intact = false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  watcher.join();
  for (std::atomic<Block*>& slot : slots) {
    Block* block = slot.load();
    if (block == nullptr) continue;
    if (!block->is_intact()) intact = false;
    block->free();
    Arena::deallocate(block, sizeof(Block));
  }
  EXPECT_TRUE(intact);
  EXPECT_EQ(Arena::stats().bytes_in_use, before.bytes_in_use);
  EXPECT_EQ(Arena::stats().thread_caches, before.thread_caches);
}

TEST(Arena, ReserveIsFilledAheadAndOnlyForLargeStores) {
  trim_to(0);
  std::vector<Block> blocks;
  const Arena::Stats before = Arena::stats();
  if (before.regions == 0) {
    for (uint32_t i = 0; i < 1000; ++i) blocks.push_back(Block::make(100, i));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(Arena::stats().regions, 1u);
  }
  for (uint32_t i = 0; i < 20'000; ++i) blocks.push_back(Block::make(100, i));
  EXPECT_TRUE(reserve_appears());
  if (!kTsan) {
    // A forked child does not rely on the thread of its parent.
    EXPECT_TRUE(holds_in_child([] {
      Arena::trim();
      if (Arena::stats().reserve_regions != 0) return false;
      return Block::make(100'000, 1).memory != nullptr && reserve_appears();
    }));
  }
  for (const Block& block : blocks) block.free();
}

TEST(Arena, FullRegionsOfOrdinaryPagesBecomeHugeOnesWhenGrowthPauses) {
  trim_to(0);
  const Arena::Stats before = Arena::stats();
  if (before.regions != 0)
    GTEST_SKIP() << "the first region, which has ordinary pages, is not ours";
  std::vector<uint64_t*> blocks(16 * kMiB / 1024);
  for (size_t i = 0; i < blocks.size(); ++i) {
    blocks[i] = static_cast<uint64_t*>(Arena::allocate(1024));
    ASSERT_NE(blocks[i], nullptr);
    for (size_t word = 0; word < 128; ++word) blocks[i][word] = i + word;
  }
  // Somebody writes all the while.
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (uint64_t round = 1; !stop; ++round) {
      for (uint64_t* block : blocks) block[127] = round;
      for (uint64_t* block : blocks) ASSERT_EQ(block[127], round);
    }
  });
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Arena::stats().promoted_regions == before.promoted_regions) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  stop = true;
  writer.join();
  for (size_t i = 0; i < blocks.size(); ++i) {
    for (size_t word = 0; word < 127; ++word) ASSERT_EQ(blocks[i][word], i + word);
    Arena::deallocate(blocks[i], 1024);
  }
  EXPECT_EQ(Arena::stats().bytes_in_use, before.bytes_in_use);
}

TEST(Arena, ForkedChildGoesOn) {
  if (kTsan) GTEST_SKIP() << "the sanitizer lets no forked child start a thread";
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      std::vector<Block> blocks(200);
      while (!done) {
        Block& block = blocks[random() % blocks.size()];
        block.free();
        block = Block::make(random() % 2000 == 0 ? random_size(random) : random() % 600, t);
      }
      for (const Block& block : blocks) block.free();
    });
  }
  const Block block = Block::make(500, 9);
  constexpr uint32_t kCount = 30'000;
  for (int round = 0; round < 10; ++round) {
    EXPECT_TRUE(holds_in_child([&] {
      const size_t before = Arena::stats().bytes_in_use;
      std::vector<Block> blocks;
      for (uint32_t i = 0; i < kCount; ++i) blocks.push_back(Block::make(i % 700, i));
      for (uint32_t i = 0; i < kCount / 100; ++i) blocks.push_back(Block::make(50'000 + i, i));
      for (const Block& b : blocks) {
        if (b.memory == nullptr || !b.is_intact()) return false;
        b.free();
      }
      if (!block.is_intact()) return false;
      block.free();
      std::thread([] { Block::make(100, 1).free(); }).join();
      return Arena::stats().bytes_in_use == before - block.size();
    }));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(block.is_intact());
  block.free();
}

#if defined(RKVS_ARENA_ASAN)
TEST(ArenaDeathTest, AddressSanitizerSeesUseAfterFree) {
  for (size_t bytes : {size_t{100}, size_t{100'000}}) {
    const Block block = Block::make(bytes, 1);
    volatile unsigned char* memory = block.memory;
    block.free();
    EXPECT_DEATH(memory[bytes / 2] = 1, "use-after-poison");
  }
}

TEST(ArenaDeathTest, AddressSanitizerSeesOverrun) {
  for (size_t bytes : {size_t{100}, size_t{100'000}, size_t{2'000'001}}) {
    // The second one comes from the thread's cache.
    const Block first = Block::make(bytes, 0);
    first.free();
    const Block block = Block::make(bytes, 0);
    volatile unsigned char* memory = block.memory;
    EXPECT_DEATH(memory[bytes] = 1, "use-after-poison");
    block.free();
  }
}
#endif

}  // namespace
}  // namespace rkvs::internal
