#include "runtime/autosave_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/support/test_util.h"

namespace rkvs::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::sys_days;
using std::chrono::system_clock;
using Steady = std::chrono::steady_clock;
using Look = AutosaveSchedule::Look;
using testing::is_ok;

system_clock::time_point at(int year, unsigned month, unsigned day, milliseconds since_midnight) {
  return sys_days(std::chrono::year(year) / month / day) + since_midnight;
}

// --- Times ---------------------------------------------------------------------------------------

TEST(AutosaveTimes, D17_AnIntervalOfZeroAndNoChangesIsRefused) {
  EXPECT_EQ(validate_autosave_times({.file = "f"}).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(is_ok(validate_autosave_times({.interval = 1ms})));
  EXPECT_TRUE(is_ok(validate_autosave_times({.changes = 1})));
  EXPECT_TRUE(is_ok(validate_autosave_times({.interval = 1ms, .changes = UINT64_MAX})));
}

TEST(AutosaveTimes, D17_IntervalsOutsideOfTheirRangeAreRefused) {
  EXPECT_TRUE(is_ok(validate_autosave_times({.interval = kMaxAutosaveInterval})));
  for (const milliseconds interval :
       {-1ms, milliseconds::min(), kMaxAutosaveInterval + 1ms, milliseconds::max()}) {
    const Status status = validate_autosave_times({.interval = interval, .changes = 1});
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << interval.count();
    EXPECT_NE(status.message().find(std::to_string(interval.count())), std::string::npos);
  }
}

TEST(AutosaveTimestamp, IsUtcOfAFixedForm) {
  EXPECT_EQ(autosave_timestamp(at(2026, 1, 2, 3h + 4min + 5s + 678ms)), "20260102T030405.678Z");
  EXPECT_EQ(autosave_timestamp(at(2024, 2, 29, 0ms)), "20240229T000000.000Z");
  EXPECT_EQ(autosave_timestamp(at(1999, 12, 31, 24h - 1ms)), "19991231T235959.999Z");
  EXPECT_EQ(autosave_timestamp(at(2026, 1, 2, 0ms) + 999us), "20260102T000000.000Z");
}

TEST(AutosaveTimestamp, TimesBeyondFourDigitsOfYearBecomeTheNearestWithin) {
  EXPECT_EQ(autosave_timestamp(at(1969, 12, 31, 0ms)), "19700101T000000.000Z");
  EXPECT_EQ(autosave_timestamp(system_clock::time_point::min()), "19700101T000000.000Z");
  // The last that a system_clock in nanoseconds has is in 2262.
  EXPECT_EQ(autosave_timestamp(system_clock::time_point::max()).substr(0, 4), "2262");
}

// --- Names ---------------------------------------------------------------------------------------

AutosavePattern pattern(std::string_view text, std::optional<std::string_view> name = "ns") {
  auto parsed = AutosavePattern::parse(text, name);
  EXPECT_TRUE(is_ok(parsed)) << text;
  return parsed.ok() ? *parsed : AutosavePattern();
}

std::string expand(std::string_view text, std::optional<std::string_view> name = "ns") {
  return pattern(text, name).file_at(at(2026, 1, 2, 3h + 4min + 5s + 678ms));
}

TEST(AutosavePattern, FillsInTheNamespaceAndTheTime) {
  EXPECT_EQ(expand("plain.rkvs"), "plain.rkvs");
  EXPECT_EQ(expand("plain.rkvs", std::nullopt), "plain.rkvs");
  EXPECT_EQ(expand("{ns}.rkvs", "users"), "users.rkvs");
  EXPECT_EQ(expand("{ns}-{ns}"), "ns-ns");
  EXPECT_EQ(expand("{ns}-{ts}.rkvs", "users"), "users-20260102T030405.678Z.rkvs");
  EXPECT_EQ(expand("{ts}", std::nullopt), "20260102T030405.678Z");
}

TEST(AutosavePattern, NamesOfNamespacesCannotLeaveTheDirectoryNorMeet) {
  EXPECT_EQ(expand("{ns}", "a/b"), "a%2Fb");
  EXPECT_EQ(expand("{ns}", "../x"), "%2E.%2Fx");
  EXPECT_EQ(expand("{ns}", ".hidden"), "%2Ehidden");
  EXPECT_EQ(expand("{ns}", "a.b-c_d~e"), "a.b-c_d~e");
  EXPECT_EQ(expand("{ns}", "a b{ts}"), "a%20b%7Bts%7D");
  EXPECT_EQ(expand("{ns}", "\xC3\xA4"), "%C3%A4");
  std::map<std::string, std::string> names;
  for (const char* name : {".x", "%2Ex", "%252Ex", "a/b", "a%2Fb", "a b", "a+b", "a%b", "ä", "Ä"}) {
    EXPECT_TRUE(names.emplace(expand("{ns}", name), name).second) << name;
  }
}

TEST(AutosavePattern, D10_NamesThatFilesMayNotHaveAreRefused) {
  for (const char* text : {"", "a/b", "/abs", "../x", "..", ".hidden", "f.1", "f.999", "{ns}/x",
                           "{ts}.7", "{ts}{ts}", "{ts}-{ts}", "{date}", "{", "}", "a{ns", "ns}"}) {
    EXPECT_EQ(AutosavePattern::parse(text, "ns").code(), StatusCode::kInvalidName) << text;
  }
  const std::string nul("a\0b", 3);
  EXPECT_EQ(AutosavePattern::parse(nul, "ns").code(), StatusCode::kInvalidName);
  EXPECT_EQ(AutosavePattern::parse("{ns}.rkvs", std::nullopt).code(), StatusCode::kInvalidName);
  // A name that ends like a generation once the namespace is filled in.
  EXPECT_EQ(AutosavePattern::parse("{ns}", "v.1").code(), StatusCode::kInvalidName);
  EXPECT_EQ(AutosavePattern::parse("f.{ns}", "1").code(), StatusCode::kInvalidName);
  EXPECT_EQ(expand("{ns}.rkvs", "v.1"), "v.1.rkvs");
}

TEST(AutosavePattern, TheLimitOfLengthCountsWhatIsFilledIn) {
  const auto code = [](const std::string& text, std::string_view name) {
    return AutosavePattern::parse(text, name).code();
  };
  EXPECT_EQ(code(std::string(200, 'x'), "n"), StatusCode::kOk);
  EXPECT_EQ(code(std::string(201, 'x'), "n"), StatusCode::kInvalidName);
  EXPECT_EQ(code(std::string(180, 'x') + "{ts}", "n"), StatusCode::kOk);
  EXPECT_EQ(code(std::string(181, 'x') + "{ts}", "n"), StatusCode::kInvalidName);
  const std::string name(128, 'n');
  EXPECT_EQ(code(std::string(72, 'x') + "{ns}", name), StatusCode::kOk);
  EXPECT_EQ(code(std::string(73, 'x') + "{ns}", name), StatusCode::kInvalidName);
  // Three bytes for one.
  EXPECT_EQ(code("{ns}", std::string(66, ' ')), StatusCode::kOk);
  EXPECT_EQ(code("{ns}", std::string(67, ' ')), StatusCode::kInvalidName);
}

TEST(AutosavePattern, MatchesItsOwnFilesToTheByte) {
  const AutosavePattern users = pattern("{ns}-{ts}.rkvs", "users");
  EXPECT_TRUE(users.matches("users-20260102T030405.678Z.rkvs"));
  for (const char* name :
       {"users-20260102T030405.678Z.rkvs.1", "users-20260102T030405.678Z.rkv",
        "users-20260102T030405.678Z_rkvs", "users-20260102t030405.678Z.rkvs",
        "users-2026010ZT030405.678Z.rkvs", "users-20260102T030405.6780.rkvs",
        "users-120260102T030405.678Z.rkvs", "users-.rkvs", "users-{ts}.rkvs",
        "users2-20260102T030405.678Z.rkvs", "xusers-20260102T030405.678Z.rkvs", "", "users.rkvs"}) {
    EXPECT_FALSE(users.matches(name)) << name;
  }
  EXPECT_TRUE(pattern("f").matches("f"));
  EXPECT_FALSE(pattern("f").matches("f.1"));
}

TEST(AutosavePattern, TellsWhoseFilesMeet) {
  const auto meet = [](const AutosavePattern& a, const AutosavePattern& b) {
    EXPECT_EQ(a.collides_with(b), b.collides_with(a));
    return a.collides_with(b);
  };
  EXPECT_TRUE(meet(pattern("f"), pattern("f", std::nullopt)));
  EXPECT_TRUE(meet(pattern("{ns}", "f"), pattern("f")));
  EXPECT_TRUE(meet(pattern("{ns}-{ts}", "f"), pattern("f-{ts}")));
  EXPECT_FALSE(meet(pattern("{ns}-{ts}", "f"), pattern("{ns}-{ts}", "g")));
  EXPECT_FALSE(meet(pattern("f"), pattern("f{ts}")));
  EXPECT_FALSE(meet(pattern("a{ts}"), pattern("{ts}a")));
  // One that would be removed as an old file of the other.
  EXPECT_TRUE(meet(pattern("f{ts}"), pattern("f20260102T030405.678Z")));
}

TEST(AutosavePattern, D18_OldFilesAreThoseOfThePatternBeyondTheNewest) {
  const AutosavePattern p = pattern("{ns}-{ts}", "n");
  const std::vector<std::string> names = {
      "n-20260105T000000.000Z",   "n-20260101T000000.000Z",  "n-20260103T000000.000Z",
      "n-20260102T000000.000Z",   "n-20260104T000000.000Z",  "m-20250101T000000.000Z",
      "n-20250101T000000.000Z.1", "nn-20250101T000000.000Z", "n-notes"};
  EXPECT_EQ(p.surplus(names, "n-20260105T000000.000Z", 3),
            (std::vector<std::string>{"n-20260101T000000.000Z", "n-20260102T000000.000Z"}));
  EXPECT_TRUE(p.surplus(names, "n-20260105T000000.000Z", 5).empty());
  EXPECT_TRUE(p.surplus(names, "n-20260105T000000.000Z", 50).empty());
  EXPECT_EQ(p.surplus(names, "n-20260105T000000.000Z", 1).size(), 4U);
  EXPECT_TRUE(p.surplus({}, "n-20260105T000000.000Z", 3).empty());
  EXPECT_TRUE(pattern("f").surplus({"f", "f.1", "g"}, "f", 1).empty()) << "no {ts}, no old files";
}

TEST(AutosavePattern, D18_TheFileJustWrittenStaysWhereTheClockWentBack) {
  const AutosavePattern p = pattern("{ts}");
  const std::vector<std::string> names = {"20260101T000000.000Z", "20270101T000000.000Z",
                                          "20270102T000000.000Z", "20270103T000000.000Z"};
  EXPECT_EQ(p.surplus(names, "20260101T000000.000Z", 3),
            (std::vector<std::string>{"20270101T000000.000Z"}));
}

// --- Schedule ------------------------------------------------------------------------------------

constexpr Steady::time_point kStart{1000s};

AutosaveSchedule every(milliseconds interval, uint64_t changes = 0,
                       const AutosaveChanges& at_start = {}) {
  return AutosaveSchedule({.interval = interval, .changes = changes, .file = "f"}, kStart,
                          at_start);
}

TEST(AutosaveSchedule, D1_TheFirstSaveComesOneIntervalAfterTheStart) {
  AutosaveSchedule schedule = every(10s);
  EXPECT_EQ(schedule.next_look(), kStart + 10s);
  EXPECT_FALSE(schedule.look(kStart, {0, 5}).save);
  EXPECT_FALSE(schedule.look(kStart + 10s - 1ns, {0, 5}).save);
  EXPECT_TRUE(schedule.look(kStart + 10s, {0, 5}).save);
}

TEST(AutosaveSchedule, TicksStayOnTheirGrid) {
  AutosaveSchedule schedule = every(10s);
  for (int tick = 1; tick < 100; ++tick) {
    const auto now = kStart + tick * 10s + 3s;  // always late
    const Look look = schedule.look(now, {0, static_cast<uint64_t>(tick)});
    EXPECT_TRUE(look.save);
    EXPECT_EQ(look.skipped, 0U);
    EXPECT_EQ(schedule.saved(now + 1s, {0, static_cast<uint64_t>(tick)}), 0U);
    EXPECT_EQ(schedule.next_look(), kStart + (tick + 1) * 10s);
  }
}

TEST(AutosaveSchedule, D18_TicksThatPassDuringASaveAreSkippedAndCounted) {
  AutosaveSchedule schedule = every(10s);
  ASSERT_TRUE(schedule.look(kStart + 10s, {0, 1}).save);
  // 20 s, 30 s and 40 s pass; exactly at the end one as well.
  EXPECT_EQ(schedule.saved(kStart + 40s, {0, 1}), 3U);
  EXPECT_EQ(schedule.next_look(), kStart + 50s);
  EXPECT_FALSE(schedule.look(kStart + 49s, {0, 2}).save);
  ASSERT_TRUE(schedule.look(kStart + 50s, {0, 2}).save);
  EXPECT_EQ(schedule.failed(kStart + 65s), 1U);
  EXPECT_EQ(schedule.next_look(), kStart + 70s);
}

TEST(AutosaveSchedule, D18_TicksThatPassWhileOthersSaveMakeOneSave) {
  AutosaveSchedule schedule = every(10s);
  const Look look = schedule.look(kStart + 45s, {0, 1});
  EXPECT_TRUE(look.save);
  EXPECT_EQ(look.skipped, 3U);
  schedule.saved(kStart + 46s, {0, 1});
  EXPECT_EQ(schedule.next_look(), kStart + 50s);
}

TEST(AutosaveSchedule, AnUnchangedStoreIsNotSavedAgainButTheFirstAlwaysIs) {
  AutosaveSchedule schedule = every(10s, 0, {7, 100});
  EXPECT_TRUE(schedule.has_unsaved({7, 100}));
  ASSERT_TRUE(schedule.look(kStart + 10s, {7, 100}).save) << "nothing has ever been written";
  schedule.saved(kStart + 11s, {7, 100});
  EXPECT_FALSE(schedule.has_unsaved({7, 100}));
  Look look = schedule.look(kStart + 20s, {7, 100});
  EXPECT_FALSE(look.save);
  EXPECT_TRUE(look.unchanged);
  look = schedule.look(kStart + 25s, {7, 101});
  EXPECT_FALSE(look.save || look.unchanged) << "between ticks";
  EXPECT_TRUE(schedule.look(kStart + 30s, {7, 101}).save);
  schedule.saved(kStart + 31s, {7, 101});
  EXPECT_TRUE(schedule.look(kStart + 40s, {8, 101}).save) << "a configuration has changed";
}

TEST(AutosaveSchedule, WhatChangedDuringASaveIsStillToBeSaved) {
  AutosaveSchedule schedule = every(10s);
  ASSERT_TRUE(schedule.look(kStart + 10s, {0, 5}).save);
  schedule.saved(kStart + 11s, {0, 5});
  EXPECT_TRUE(schedule.look(kStart + 20s, {0, 6}).save);
}

TEST(AutosaveSchedule, D18_AfterAFailureTheNextTickTriesAgain) {
  AutosaveSchedule schedule = every(10s);
  for (int tick = 1; tick < 5; ++tick) {
    ASSERT_TRUE(schedule.look(kStart + tick * 10s, {0, 1}).save) << tick;
    schedule.failed(kStart + tick * 10s + 1s);
    EXPECT_TRUE(schedule.has_unsaved({0, 1}));
  }
  ASSERT_TRUE(schedule.look(kStart + 50s, {0, 1}).save);
  schedule.saved(kStart + 51s, {0, 1});
  EXPECT_TRUE(schedule.look(kStart + 60s, {0, 1}).unchanged);
}

TEST(AutosaveSchedule, ChangesAreCountedFromTheLastSave) {
  constexpr auto kPoll = AutosaveSchedule::kPollInterval;
  AutosaveSchedule schedule = every(0ms, 100, {0, 1000});
  EXPECT_EQ(schedule.next_look(), kStart + kPoll);
  EXPECT_FALSE(schedule.look(kStart + kPoll, {0, 1099}).save);
  EXPECT_EQ(schedule.next_look(), kStart + 2 * kPoll);
  EXPECT_FALSE(schedule.look(kStart + 2 * kPoll - 1ms, {0, 2000}).save) << "not yet looked at";
  ASSERT_TRUE(schedule.look(kStart + 2 * kPoll, {0, 1100}).save);
  const auto saved = kStart + 2 * kPoll + 5s;
  EXPECT_EQ(schedule.saved(saved, {0, 1100}), 0U);
  EXPECT_EQ(schedule.next_look(), saved + kPoll);
  EXPECT_FALSE(schedule.look(saved + kPoll, {0, 1199}).save);
  EXPECT_TRUE(schedule.look(saved + 2 * kPoll, {0, 1200}).save);
}

TEST(AutosaveSchedule, ACountThatFellIsNoChange) {
  AutosaveSchedule schedule = every(0ms, 1, {0, 1000});
  EXPECT_FALSE(schedule.look(kStart + 1s, {0, 0}).save);
}

TEST(AutosaveSchedule, AfterAFailureChangesAloneWait) {
  AutosaveSchedule schedule = every(0ms, 1);
  ASSERT_TRUE(schedule.look(kStart + 1s, {0, 1}).save);
  schedule.failed(kStart + 2s);
  EXPECT_EQ(schedule.next_look(), kStart + 2s + AutosaveSchedule::kRetryDelay);
  EXPECT_TRUE(schedule.look(kStart + 2s + AutosaveSchedule::kRetryDelay, {0, 1}).save);
}

TEST(AutosaveSchedule, TimeAndChangesGoTogether) {
  AutosaveSchedule schedule = every(10s, 100);
  ASSERT_TRUE(schedule.look(kStart + 4s, {0, 100}).save) << "by changes";
  schedule.saved(kStart + 4s, {0, 100});
  EXPECT_TRUE(schedule.look(kStart + 10s, {0, 100}).unchanged);
  EXPECT_FALSE(schedule.look(kStart + 15s, {0, 150}).save);
  EXPECT_TRUE(schedule.look(kStart + 20s, {0, 150}).save) << "by time";
}

TEST(AutosaveSchedule, NothingOverflows) {
  AutosaveSchedule longest = every(kMaxAutosaveInterval, UINT64_MAX);
  EXPECT_EQ(longest.look(kStart + 1s, {0, UINT64_MAX}).save, true);
  longest.saved(kStart + 1s, {0, UINT64_MAX});
  EXPECT_FALSE(longest.look(kStart + 2s, {0, 0}).save);

  const auto late = Steady::time_point::max() - 1s;
  AutosaveSchedule at_the_end({.interval = kMaxAutosaveInterval, .changes = 1, .file = "f"}, late,
                              {});
  EXPECT_GE(at_the_end.next_look(), late);
  AutosaveSchedule shortest = every(1ms);
  const Look look = shortest.look(kStart + 24h * 365 * 100, {0, 1});
  EXPECT_TRUE(look.save);
  EXPECT_EQ(look.skipped, uint64_t{3'153'600'000'000} - 1);
  EXPECT_GT(shortest.next_look(), kStart + 24h * 365 * 100);
}

}  // namespace
}  // namespace rkvs::internal
