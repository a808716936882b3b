// EntryTable where hashes, tags and buckets meet as they seldom do, and against a model.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <unordered_map>
#include <vector>

#include "store/entry_table.h"
#include "tests/support/entry_table_util.h"
#include "tests/support/test_util.h"

namespace rkvs::testing {
namespace {

// --- Entries with one hash, and buckets that are full -----------------------------------------

TEST_F(EntryTableTest, EntriesWithOneHashAreFoundOneByOneInWhateverOrderTheyGo) {
  for (const uint64_t count : {2U, 7U, 8U, 15U, 100U, 700U}) {
    std::vector<uint64_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    for (int round = 0; round < 4; ++round) {
      // Forwards, backwards, at random.
      if (round == 1) std::reverse(order.begin(), order.end());
      if (round > 1) std::shuffle(order.begin(), order.end(), std::mt19937_64(count + round));
      EntryTable table;
      // A hash whose first bucket is the last one of any table, and another one.
      const uint64_t hash = round % 2 == 0 ? ~uint64_t{0} : hash_of(0, 0);
      for (uint64_t i = 0; i < count; ++i) insert(table, hash, fake(i));
      for (uint64_t i = 0; i < count; ++i) ASSERT_TRUE(contains(table, hash, fake(i))) << i;
      std::set<Entry*> met;
      table.for_each_with(hash, [&](Entry** slot) { return met.insert(*slot).second; });
      ASSERT_EQ(met.size(), count);
      for (uint64_t gone = 0; gone < count; ++gone) {
        erase(table, hash, fake(order[gone]));
        ASSERT_EQ(table.find(hash, is(fake(order[gone]))), nullptr);
        // All of them after each would be quadratic: the next ones, and some.
        for (uint64_t i = gone + 1; i < count; i += 1 + (i - gone) * (count / 50)) {
          ASSERT_TRUE(contains(table, hash, fake(order[i]))) << i << " of " << count;
        }
      }
      EXPECT_EQ(table.size(), 0U);
      EXPECT_EQ(table.find(hash, kAny), nullptr);
      EXPECT_EQ(content_of(table), Content{});
    }
  }
}

TEST_F(EntryTableTest, SearchWithOneHashEndsWhereItIsTold) {
  EntryTable table;
  for (uint64_t i = 0; i < 30; ++i) insert(table, 5, fake(i));
  int visits = 0;
  table.for_each_with(5, [&](Entry**) { return ++visits < 12; });
  EXPECT_EQ(visits, 12);
}

TEST_F(EntryTableTest, OnlyEntriesOfExactlyTheHashAreMetWhereThatIsAsked) {
  // One bucket and one tag for all of them.
  EntryTable table;
  for (uint64_t i = 0; i < 60; ++i) insert(table, hash_of(3, 9, i % 6), fake(i));
  for (uint64_t rest = 0; rest < 6; ++rest) {
    std::set<Entry*> met;
    table.for_each_with(hash_of(3, 9, rest),
                        [&](Entry** slot) { return met.insert(*slot).second; });
    EXPECT_EQ(met.size(), 10U);
    for (uint64_t i = rest; i < 60; i += 6) EXPECT_EQ(met.count(fake(i)), 1U);
    EXPECT_EQ(table.find_exactly(hash_of(3, 9, rest), is(fake(rest + 1))), nullptr);
  }
  EXPECT_EQ(table.find_exactly(hash_of(3, 9, 6), kAny), nullptr);
}

TEST_F(EntryTableTest, ABucketForgetsThoseWhoPassedWhenTheyGo) {
  // 7 have place in the bucket, the others pass it: the count of them is exact up to 254.
  for (const uint64_t count : {7U, 8U, 14U, 15U, 200U, 261U}) {
    EntryTable table;
    make_room(table, 400);
    for (uint64_t i = 0; i < count; ++i) table.insert(hash_of(5, 1), fake(i));
    EXPECT_EQ(is_surely_absent(table, hash_of(5, 2)), count <= 7) << count;
    // Those in the bucket go first: the others are found behind free slots.
    for (uint64_t i = 0; i < count; ++i) {
      EXPECT_EQ(is_surely_absent(table, hash_of(5, 2)), count <= 7) << count << ", at " << i;
      erase(table, hash_of(5, 1), fake(i));
    }
    for (uint64_t bucket = 0; bucket < 128; ++bucket) {
      ASSERT_TRUE(is_surely_absent(table, hash_of(bucket, 2))) << bucket << " after " << count;
    }
  }
}

TEST_F(EntryTableTest, TooManyToCountAreRememberedUntilTheTableGrows) {
  for (const uint64_t count : {262U, 263U, 300U, 600U, 1000U}) {
    EntryTable table;
    make_room(table, 1000);
    for (uint64_t i = 0; i < count; ++i) table.insert(hash_of(5, 1), fake(i));
    // The other way round it would count down to nothing before the last of them.
    for (uint64_t i = count; i-- > 0;) {
      ASSERT_TRUE(contains(table, hash_of(5, 1), fake(i / 2)));
      ASSERT_TRUE(contains(table, hash_of(5, 1), fake(i)));
      erase(table, hash_of(5, 1), fake(i));
    }
    EXPECT_EQ(table.size(), 0U);
    EXPECT_FALSE(is_surely_absent(table, hash_of(5, 2))) << count;
    EXPECT_EQ(table.find(hash_of(5, 2), kAny), nullptr);
    EXPECT_EQ(table.find(hash_of(5, 1), kAny), nullptr);
    // In use meanwhile as any other.
    insert(table, hash_of(5, 2), fake(0));
    EXPECT_TRUE(contains(table, hash_of(5, 2), fake(0)));
    const size_t memory = table.memory();
    make_room(table, 2000);
    ASSERT_GT(table.memory(), memory);
    EXPECT_TRUE(contains(table, hash_of(5, 2), fake(0)));
    EXPECT_TRUE(is_surely_absent(table, hash_of(5, 3))) << count;
  }
}

TEST_F(EntryTableTest, EntriesThatPassedASaturatedBucketAreFoundToTheLast) {
  // First those in the bucket and next to it go, so that all that are left are beyond.
  EntryTable table;
  make_room(table, 1000);
  for (uint64_t i = 0; i < 900; ++i) table.insert(hash_of(5, 1), fake(i));
  for (uint64_t i = 0; i < 900; ++i) {
    ASSERT_TRUE(contains(table, hash_of(5, 1), fake(899))) << i;
    ASSERT_TRUE(contains(table, hash_of(5, 1), fake(i))) << i;
    erase(table, hash_of(5, 1), fake(i));
  }
}

TEST_F(EntryTableTest, TheBucketBehindTheLastIsTheFirst) {
  for (const size_t room : {8U, 11U, 22U, 44U, 352U}) {
    EntryTable table;
    make_room(table, room);
    // As large as it can be, and all of them want into the last one.
    const uint64_t last = 1023;
    uint64_t count = 0;
    for (; table.spare_needed(1) == 0; ++count) {
      table.insert(hash_of(last, count % 5, count), fake(count));
    }
    ASSERT_GT(count, 7U);
    // Those that went on to the first one.
    uintptr_t lowest = ~uintptr_t{0};
    for (uint64_t i = 0; i < count; ++i) {
      Entry** slot = table.find(hash_of(last, i % 5, i), is(fake(i)));
      ASSERT_NE(slot, nullptr) << i << " of " << count;
      lowest = std::min(lowest, reinterpret_cast<uintptr_t>(slot));
    }
    EXPECT_LT(lowest, reinterpret_cast<uintptr_t>(table.find(hash_of(last, 0), is(fake(0)))));
    EXPECT_EQ(content_of(table).size(), count);
    for (uint64_t i = 0; i < count; ++i) erase(table, hash_of(last, i % 5, i), fake(i));
    if (count < 262) {
      for (uint64_t bucket = 0; bucket < 1024; ++bucket) {
        ASSERT_TRUE(is_surely_absent(table, hash_of(bucket, 9)));
      }
    }
  }
}

TEST_F(EntryTableTest, LookForWhatIsAbsentEndsWhereEveryBucketWasPassed) {
  EntryTable table;
  make_room(table, 11);  // two buckets
  uint64_t next = 0;
  const auto add = [&](uint64_t bucket) { table.insert(hash_of(bucket, 1), fake(next++)); };
  for (int i = 0; i < 8; ++i) add(0);
  ASSERT_EQ(table.spare_needed(3), 0U);
  ASSERT_NE(table.spare_needed(4), 0U);
  // One of bucket 0 is in bucket 1. Now the other way round.
  for (uint64_t i = 0; i < 7; ++i) erase(table, hash_of(0, 1), fake(i));
  for (int i = 0; i < 7; ++i) add(1);
  for (const uint64_t bucket : {0U, 1U}) {
    EXPECT_FALSE(is_surely_absent(table, hash_of(bucket, 2)));
    EXPECT_EQ(table.find(hash_of(bucket, 2), kAny), nullptr);
    EXPECT_EQ(table.find(hash_of(bucket, 1), is(fake(1000))), nullptr);
    EXPECT_EQ(table.find_exactly(hash_of(bucket, 1, 1), kAny), nullptr);
  }
  EXPECT_TRUE(contains(table, hash_of(0, 1), fake(7)));
  for (uint64_t i = 8; i < 15; ++i) EXPECT_TRUE(contains(table, hash_of(1, 1), fake(i)));
}

// --- Against a model
// ------------------------------------------------------------------------------

// Hashes of few buckets and few tags, and few for each of those: much meets that seldom does.
struct Weakness {
  uint64_t buckets;
  uint64_t tags;
  uint64_t rests;
};

class EntryTableModelTest : public EntryTableTest {
 protected:
  void begin(uint64_t seed, const Weakness& weakness) {
    random_.seed(seed);
    weakness_ = weakness;
    table_.reset();
    model_.clear();
    present_.clear();
    slots_.clear();
    next_ = 0;
  }
  uint64_t random_hash() {
    // The buckets are the last one of every table, and the first ones; the tags 255, 0, 1 and so
    // on.
    return hash_of((random_() % weakness_.buckets + 1023) % 1024,
                   (random_() % weakness_.tags + 255) % 256, random_() % weakness_.rests);
  }
  void insert_one() {
    const uint64_t hash = random_hash();
    Entry* const entry = fake(next_++);
    if (table_.spare_needed(1) != 0) slots_.clear();
    insert(table_, hash, entry);
    model_.emplace(hash, entry);
    present_.emplace_back(hash, entry);
  }
  void erase_one() {
    if (present_.empty()) return;
    std::swap(present_[random_() % present_.size()], present_.back());
    const uint64_t hash = present_.back().first;
    Entry* const entry = present_.back().second;
    present_.pop_back();
    // By either way to find it.
    Entry** slot =
        next_ % 2 == 0 ? table_.find(hash, is(entry)) : table_.find_exactly(hash, is(entry));
    ASSERT_NE(slot, nullptr);
    table_.erase(hash, slot);
    slots_.erase(entry);
    const auto [first, last] = model_.equal_range(hash);
    model_.erase(std::find_if(first, last, [&](const auto& item) { return item.second == entry; }));
  }
  void expect_found(uint64_t hash, Entry* entry) {
    Entry** slot = table_.find(hash, is(entry));
    ASSERT_NE(slot, nullptr);
    ASSERT_EQ(*slot, entry);
    ASSERT_EQ(table_.find_exactly(hash, is(entry)), slot);
    // Until the table grows.
    ASSERT_EQ(slots_.emplace(entry, slot).first->second, slot) << "it has moved";
    Entry* at_once = nullptr;
    if (table_.find_at_once(hash, is(entry), at_once)) {
      ASSERT_EQ(at_once, entry);
    }
    Entry** slot_at_once = nullptr;
    if (table_.find_slot_at_once(hash, is(entry), slot_at_once)) {
      ASSERT_EQ(slot_at_once, slot);
    }
  }
  void expect_as_model(uint64_t hash) {
    std::set<Entry*> expected;
    const auto [first, last] = model_.equal_range(hash);
    for (auto it = first; it != last; ++it) expected.insert(it->second);
    std::set<Entry*> met;
    table_.for_each_with(hash, [&](Entry** slot) { return met.insert(*slot).second; });
    ASSERT_EQ(met, expected);
    ASSERT_EQ(table_.find_exactly(hash, kAny) != nullptr, !expected.empty());
    // One that was never there.
    Entry* const absent = fake(next_ + 1);
    ASSERT_EQ(table_.find(hash, is(absent)), nullptr);
    Entry* at_once = absent;
    if (table_.find_at_once(hash, is(absent), at_once)) {
      ASSERT_EQ(at_once, nullptr);
    }
    Entry** slot_at_once = &at_once;
    if (table_.find_slot_at_once(hash, is(absent), slot_at_once)) {
      ASSERT_EQ(slot_at_once, nullptr);
    }
  }
  void expect_all_as_model() {
    Content expected(model_.begin(), model_.end());
    std::sort(expected.begin(), expected.end());
    ASSERT_EQ(content_of(table_), expected);
    std::multiset<Entry*> entries;
    table_.for_each([&](Entry* entry) { entries.insert(entry); });
    std::multiset<Entry*> expected_entries;
    for (const auto& [hash, entry] : expected) expected_entries.insert(entry);
    ASSERT_EQ(entries, expected_entries);
    ASSERT_EQ(table_.size(), model_.size());
  }

  std::mt19937_64 random_{1};
  Weakness weakness_{};
  EntryTable table_;
  std::unordered_multimap<uint64_t, Entry*> model_;
  Content present_;
  std::unordered_map<Entry*, Entry**> slots_;
  uint64_t next_ = 0;
};

constexpr Weakness kWeaknesses[] = {{1, 1, 1},  {1, 256, 1}, {2, 1, 3},     {3, 3, 3},
                                    {4, 2, 50}, {64, 4, 2},  {1024, 256, 9}};

TEST_F(EntryTableModelTest, BehavesLikeAMultimapThroughRandomInsertsAndErases) {
  uint64_t seed = 0;
  for (const Weakness& weakness : kWeaknesses) {
    begin(++seed, weakness);
    // With one hash for all every look is linear.
    const uint64_t most = weakness.buckets * weakness.tags * weakness.rests < 10 ? 500 : 1500;
    bool grows = true;
    for (int i = 0; i < scaled_down(12000); ++i) {
      // Up and down, to the top and to nothing.
      if (model_.size() >= most) grows = false;
      if (model_.empty()) grows = true;
      if (random_() % 4 != 0 ? grows : !grows) {
        insert_one();
      } else {
        erase_one();
      }
      ASSERT_EQ(table_.size(), model_.size());
      if (!present_.empty()) {
        const auto [hash, entry] = present_[random_() % present_.size()];
        expect_found(hash, entry);
      }
      if (i % 16 == 0) expect_as_model(random_hash());
      if (i % 1000 == 0) expect_all_as_model();
      if (HasFatalFailure()) GTEST_FAIL() << "step " << i << ", weakness " << seed;
    }
    for (const auto& [hash, entry] : present_) expect_found(hash, entry);
    expect_all_as_model();
    while (!present_.empty() && !HasFatalFailure()) erase_one();
    expect_all_as_model();
    if (HasFatalFailure()) return;
  }
}

TEST_F(EntryTableModelTest, ScanInStepsMeetsEverythingThatIsThereAllTheTime) {
  uint64_t seed = 100;
  for (const Weakness& weakness : kWeaknesses) {
    for (const size_t limit : {1U, 3U, 10U, 100U, 4096U}) {
      begin(++seed, weakness);
      for (int i = 0; i < 600; ++i) insert_one();
      // Some of the first ones go before, so that there are holes; those who stay are the model's.
      for (int i = 0; i < 200; ++i) erase_one();
      const Content staying = content_of(table_);
      // Of hashes that none of them has.
      constexpr uint64_t kGuest = uint64_t{1} << 50;
      Content guests;
      std::vector<uint64_t> seen;
      size_t position = 0;
      for (bool more = true; more;) {
        const size_t before = position;
        std::vector<uint64_t> found;
        found.reserve(limit + EntryTable::kScanExcess);
        const uint64_t* const place = found.data();
        more = table_.scan(position, limit, found);
        ASSERT_EQ(found.data(), place) << "more than was said";
        ASSERT_TRUE(position > before || !more);
        ASSERT_LE(position - before, limit);
        seen.insert(seen.end(), found.begin(), found.end());
        // Others come and go, as far as there is room.
        for (int i = 0; i < 20 && table_.spare_needed(1) == 0; ++i) {
          guests.emplace_back(random_hash() | kGuest, fake(next_++));
          table_.insert(guests.back().first, guests.back().second);
        }
        for (size_t i = random_() % 20; i > 0 && !guests.empty(); --i) {
          std::swap(guests[random_() % guests.size()], guests.back());
          erase(table_, guests.back().first, guests.back().second);
          guests.pop_back();
        }
      }
      // Each as often as it is there, at least.
      std::unordered_map<uint64_t, int64_t> owed;
      for (const auto& [hash, entry] : staying) ++owed[hash];
      for (const uint64_t hash : seen) --owed[hash];
      for (const auto& [hash, count] : owed) {
        ASSERT_LE(count, 0) << std::hex << hash << " missed with weakness " << seed;
      }
    }
  }
}

TEST_F(EntryTableTest, ScanMeetsEachOnceWhereNothingChanges) {
  for (const uint64_t count : {1U, 7U, 8U, 100U, 3000U}) {
    for (const size_t limit : {1U, 2U, 50U, 5000U}) {
      EntryTable table;
      std::multiset<uint64_t> expected;
      for (uint64_t i = 0; i < count; ++i) {
        const uint64_t hash = i / 2 * 0x9E3779B97F4A7C15U;
        insert(table, hash, fake(i));
        expected.insert(hash);
      }
      std::vector<uint64_t> seen;
      size_t position = 0;
      while (table.scan(position, limit, seen)) {
      }
      EXPECT_EQ(std::multiset<uint64_t>(seen.begin(), seen.end()), expected);
    }
  }
}

TEST_F(EntryTableTest, ScanOfATableThatIsNearlyEmptyStillGoesInSteps) {
  EntryTable table;
  constexpr uint64_t kCount = 50000;
  for (uint64_t i = 0; i < kCount; ++i) insert(table, i * 0x9E3779B97F4A7C15U, fake(i));
  for (uint64_t i = 0; i + 1 < kCount; ++i) erase(table, i * 0x9E3779B97F4A7C15U, fake(i));
  std::vector<uint64_t> seen;
  size_t position = 0;
  size_t steps = 0;
  for (bool more = true; more; ++steps) {
    const size_t before = position;
    more = table.scan(position, 100, seen);
    EXPECT_LE(position - before, 100U);
  }
  EXPECT_EQ(seen.size(), 1U);
  EXPECT_GT(steps, 50U);
}

}  // namespace
}  // namespace rkvs::testing
