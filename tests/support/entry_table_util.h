// What tests of the hash table of a shard share.
#ifndef RKVS_TESTS_SUPPORT_ENTRY_TABLE_UTIL_H_
#define RKVS_TESTS_SUPPORT_ENTRY_TABLE_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "store/entry_table.h"
#include "store/table_memory.h"

namespace rkvs::testing {

using internal::Arena;
using internal::Entry;
using internal::EntryTable;
using internal::TableMemory;

// The table never looks into entries: any address will do.
inline Entry* fake(uint64_t number) { return reinterpret_cast<Entry*>((number + 1) * 16); }

// What a caller knows an entry by.
inline auto is(const Entry* wanted) {
  return [wanted](const Entry& entry) { return &entry == wanted; };
}

inline constexpr auto kAny = [](const Entry&) { return true; };

// The hash of an entry whose first bucket is this one, in tables of up to 2^10 buckets.
inline uint64_t hash_of(uint64_t bucket, uint64_t tag, uint64_t rest = 0) {
  return tag << 56 | rest << 16 | bucket << 6;
}

// Makes room as the store does: from a spare that was obtained before. Nothing else may allocate.
inline void make_room(EntryTable& table, size_t count) {
  if (const size_t bytes = table.spare_needed(count); bytes != 0) {
    ASSERT_TRUE(TableMemory::add_spare(bytes));
    Arena::fail_nth_allocation_for_testing(1);
    ASSERT_NO_THROW(table.make_room(count));
    Arena::fail_nth_allocation_for_testing(0);
    TableMemory::free_dropped();
  }
  ASSERT_EQ(table.spare_needed(count), 0U);
}

inline void insert(EntryTable& table, uint64_t hash, Entry* entry) {
  make_room(table, 1);
  table.insert(hash, entry);
}

inline bool contains(const EntryTable& table, uint64_t hash, const Entry* entry) {
  Entry** slot = table.find(hash, is(entry));
  return slot != nullptr && *slot == entry;
}

inline void erase(EntryTable& table, uint64_t hash, const Entry* entry) {
  Entry** slot = table.find(hash, is(entry));
  ASSERT_NE(slot, nullptr);
  table.erase(hash, slot);
}

// Whether one look at the hash's first bucket says that there is nothing: it is not, as long as an
// entry is known that had to go on.
inline bool is_surely_absent(const EntryTable& table, uint64_t hash) {
  Entry* entry = nullptr;
  const bool sure = table.find_at_once(
      hash, [](const Entry&) { return false; }, entry);
  return sure && entry == nullptr;
}

using Content = std::vector<std::pair<uint64_t, Entry*>>;

inline Content content_of(const EntryTable& table) {
  Content content;
  table.for_each_hashed([&](uint64_t hash, Entry* entry) { content.emplace_back(hash, entry); });
  std::sort(content.begin(), content.end());
  return content;
}

class EntryTableTest : public ::testing::Test {
 protected:
  void TearDown() override {
    Arena::fail_nth_allocation_for_testing(0);
    TableMemory::free_dropped();
  }
};

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_ENTRY_TABLE_UTIL_H_
