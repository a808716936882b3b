#include "store/entry.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using rkvs::testing::Threads;

size_t live_bytes() { return Arena::stats().bytes_in_use; }

TEST(Entry, HoldsKeyAndValueBytes) {
  const std::string_view key("k\0ey", 4);
  const std::string_view value("\0v\xFF", 3);
  const EntryRef entry(Entry::create(key, value));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->key(), key);
  EXPECT_EQ(entry->value(), value);
  EXPECT_EQ(entry->version(), 0U);
  EXPECT_FALSE(entry->has_expiry());
  EXPECT_EQ(entry->expires_at(), 0);
  EXPECT_EQ(entry->size(), 20U + 4 + 3);
}

TEST(Entry, HoldsEmptyKeyAndValue) {
  const EntryRef entry(Entry::create({}, {}));
  ASSERT_TRUE(entry);
  EXPECT_TRUE(entry->key().empty());
  EXPECT_TRUE(entry->value().empty());
  EXPECT_TRUE(entry->has_key(""));
  EXPECT_FALSE(entry->has_key(std::string_view("\0", 1)));
}

TEST(Entry, HoldsTheLargestKey) {
  const std::string key(1024 * 1024, 'k');
  const EntryRef entry(Entry::create(key, "value"));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->key(), key);
  EXPECT_EQ(entry->value(), "value");
}

TEST(Entry, ExpiryStandsBesideKeyAndValue) {
  for (const int64_t at : {int64_t{1}, int64_t{1} << 62, int64_t{-5}}) {
    const EntryRef entry(Entry::create("key", "value", at));
    ASSERT_TRUE(entry);
    EXPECT_TRUE(entry->has_expiry());
    EXPECT_EQ(entry->expires_at(), at);
    EXPECT_EQ(entry->key(), "key");
    EXPECT_EQ(entry->value(), "value");
    EXPECT_EQ(entry->size(), 20U + 8 + 3 + 5);
  }
}

TEST(Entry, HasKeyComparesAllBytes) {
  const EntryRef entry(Entry::create("abc", "abcd"));
  EXPECT_TRUE(entry->has_key("abc"));
  EXPECT_FALSE(entry->has_key("abd"));
  EXPECT_FALSE(entry->has_key("ab"));
  EXPECT_FALSE(entry->has_key("abca"));
}

TEST(Entry, VersionHas64Bits) {
  const EntryRef entry(Entry::create("k", "v"));
  for (const uint64_t version :
       {uint64_t{1}, uint64_t{0xFFFFFFFF}, uint64_t{1} << 32, ~uint64_t{0}}) {
    entry->set_version(version);
    EXPECT_EQ(entry->version(), version);
  }
  EXPECT_EQ(entry->value(), "v");
}

TEST(Entry, OverwriteKeepsKeyAndExpiry) {
  const EntryRef entry(Entry::create("key", "12345", 99));
  entry->overwrite_value("abcde");
  EXPECT_EQ(entry->value(), "abcde");
  EXPECT_EQ(entry->key(), "key");
  EXPECT_EQ(entry->expires_at(), 99);
}

TEST(Entry, LastReferenceFreesTheBlock) {
  const size_t before = live_bytes();
  Entry* entry = Entry::create("key", std::string(1000, 'v'));
  EXPECT_EQ(live_bytes() - before, entry->memory());
  entry->retain();
  EXPECT_FALSE(entry->is_sole_reference());
  entry->release();
  EXPECT_TRUE(entry->is_sole_reference());
  EXPECT_GT(live_bytes(), before);
  entry->release();
  EXPECT_EQ(live_bytes(), before);
}

TEST(Entry, CreateWithoutMemoryIsNull) {
  Arena::fail_nth_allocation_for_testing(1);
  EXPECT_EQ(Entry::create("key", "value"), nullptr);
  EXPECT_TRUE(EntryRef(Entry::create("key", "value")));
}

TEST(EntryRef, MovesItsOneReference) {
  const size_t before = live_bytes();
  {
    EntryRef a(Entry::create("k", "v"));
    EntryRef b(std::move(a));
    EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move)
    a = std::move(b);
    EXPECT_TRUE(a);
    EXPECT_TRUE(a->is_sole_reference());
    EntryRef(a.take());
    EXPECT_FALSE(a);
  }
  EXPECT_EQ(live_bytes(), before);
}

TEST(Value, DefaultIsEmpty) {
  const Value value;
  EXPECT_TRUE(value.empty());
  EXPECT_EQ(value.size(), 0U);
  EXPECT_EQ(value.view(), "");
  EXPECT_NE(value.data(), nullptr);
}

TEST(Value, SharesTheEntrysBytes) {
  const EntryRef entry(Entry::create("key", "value"));
  const Value value = entry->share();
  EXPECT_EQ(value.data(), entry->value().data());
  const Value copy = value;
  EXPECT_EQ(copy.data(), value.data());
  EXPECT_EQ(copy, "value");
  EXPECT_EQ(copy, value);
}

TEST(Value, KeepsTheBytesAliveAlone) {
  const size_t before = live_bytes();
  {
    Value value = Entry::adopt(Entry::create("key", "value"));
    Value copy = value;
    value = Value();
    EXPECT_EQ(copy, "value");
    Value moved = std::move(copy);
    EXPECT_TRUE(copy.empty());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(moved, "value");
    moved = *&moved;  // to itself
    EXPECT_EQ(moved, "value");
    Value other;
    moved.swap(other);
    EXPECT_TRUE(moved.empty());
    EXPECT_EQ(other.to_string(), "value");
    EXPECT_GT(live_bytes(), before);
  }
  EXPECT_EQ(live_bytes(), before);
}

TEST(Value, CopiesOfManyThreadsFreeTheBytesOnce) {
  Arena::trim();
  const size_t before = live_bytes();
  {
    const Value value = Entry::adopt(Entry::create("key", "value"));
    Threads threads;
    threads.start(4, [&](int) {
      for (int i = 0; i < 5000; ++i) {
        const Value copy = value;
        ASSERT_EQ(copy, "value");
      }
    });
  }
  EXPECT_EQ(live_bytes(), before);
}

}  // namespace
}  // namespace rkvs::internal
