// Whether the checker that judges histories of the real store (linearizability_test.cc) can be
// trusted: histories written by hand.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "tests/support/linearizability.h"

namespace rkvs::testing {
namespace {

Op single(OpKind kind, int key, int64_t called, int64_t returned, uint16_t written = kAbsent,
          uint16_t seen = kAbsent, StatusCode code = StatusCode::kOk) {
  Op op;
  op.kind = kind;
  op.keys[0] = static_cast<uint8_t>(key);
  op.written[0] = written;
  op.seen[0] = seen;
  op.code = code;
  op.called = called;
  op.returned = returned;
  return op;
}
Op put(int key, uint16_t value, int64_t called, int64_t returned) {
  return single(OpKind::kPut, key, called, returned, value);
}
Op get(int key, uint16_t seen, int64_t called, int64_t returned) {
  return single(OpKind::kGet, key, called, returned, kAbsent, seen,
                seen == kAbsent ? StatusCode::kNotFound : StatusCode::kOk);
}
Op consume(int key, uint16_t seen, int64_t called, int64_t returned) {
  Op op = get(key, seen, called, returned);
  op.kind = OpKind::kConsume;
  return op;
}
Op update(int key, uint16_t value, uint16_t seen, int64_t called, int64_t returned) {
  Op op = get(key, seen, called, returned);
  op.kind = OpKind::kUpdate;
  op.written[0] = value;
  return op;
}
Op pair(OpKind kind, std::array<uint16_t, 2> written, std::array<uint16_t, 2> seen, int64_t called,
        int64_t returned) {
  Op op;
  op.kind = kind;
  op.keys = {0, 1};
  op.written = written;
  op.seen = seen;
  op.called = called;
  op.returned = returned;
  return op;
}
Op set_pair(uint16_t a, uint16_t b, std::array<uint16_t, 2> old, int64_t called, int64_t returned) {
  return pair(OpKind::kSetPair, {a, b}, old, called, returned);
}
Op get_pair(uint16_t a, uint16_t b, int64_t called, int64_t returned) {
  return pair(OpKind::kGetPair, {}, {a, b}, called, returned);
}

bool holds(const History& history, const Model& model = {}) {
  return is_linearizable(history, model);
}

TEST(LinearizabilityChecker, AcceptsTheEmptyHistoryAndASequentialOne) {
  EXPECT_TRUE(holds({}));
  EXPECT_TRUE(
      holds({put(0, 1, 0, 1), get(0, 1, 2, 3), consume(0, 1, 4, 5), get(0, kAbsent, 6, 7)}));
}

TEST(LinearizabilityChecker, LetsAReadSeeAConcurrentWriteOrNot) {
  EXPECT_TRUE(holds({put(0, 1, 0, 10), get(0, 1, 1, 2)}));
  EXPECT_TRUE(holds({put(0, 1, 0, 10), get(0, kAbsent, 1, 2)}));
  // Both, in this order only.
  EXPECT_TRUE(holds({put(0, 1, 0, 10), get(0, kAbsent, 1, 2), get(0, 1, 3, 4)}));
  EXPECT_FALSE(holds({put(0, 1, 0, 10), get(0, 1, 1, 2), get(0, kAbsent, 3, 4)}));
}

TEST(LinearizabilityChecker, RefusesAStaleRead) {
  EXPECT_FALSE(holds({put(0, 1, 0, 1), put(0, 2, 2, 3), get(0, 1, 4, 5)}));
  EXPECT_FALSE(holds({put(0, 1, 0, 1), get(0, kAbsent, 2, 3)}));
}

TEST(LinearizabilityChecker, RefusesAValueThatNobodyWrote) {
  EXPECT_FALSE(holds({put(0, 1, 0, 10), get(0, 2, 1, 2)}));
  Model model;
  model.initial[0] = 2;
  EXPECT_TRUE(holds({put(0, 1, 0, 10), get(0, 2, 1, 2)}, model));
}

TEST(LinearizabilityChecker, RefusesALostUpdate) {
  Model model;
  model.initial[0] = 1;
  // Two updates cannot both replace 1.
  EXPECT_FALSE(holds({update(0, 2, 1, 0, 10), update(0, 3, 1, 0, 10)}, model));
  EXPECT_TRUE(holds({update(0, 2, 1, 0, 10), update(0, 3, 2, 0, 10)}, model));
}

TEST(LinearizabilityChecker, RefusesADoubleConsume) {
  Model model;
  model.initial[0] = 1;
  EXPECT_FALSE(holds({consume(0, 1, 0, 10), consume(0, 1, 0, 10)}, model));
  EXPECT_TRUE(holds({consume(0, 1, 0, 10), consume(0, kAbsent, 0, 10)}, model));
}

TEST(LinearizabilityChecker, RefusesATornPair) {
  Model model;
  model.initial = {1, 1};
  EXPECT_FALSE(holds({set_pair(2, 2, {1, 1}, 0, 10), get_pair(2, 1, 1, 9)}, model));
  EXPECT_FALSE(holds({set_pair(2, 2, {1, 1}, 0, 10), get(0, 2, 1, 2), get(1, 1, 3, 4)}, model));
  EXPECT_TRUE(holds({set_pair(2, 2, {1, 1}, 0, 10), get(0, 1, 1, 2), get(1, 2, 3, 4)}, model));
}

TEST(LinearizabilityChecker, RefusesAnOrderThatRealTimeRulesOut) {
  // Each read alone is fine, and so would both be in the other order.
  EXPECT_FALSE(holds({put(0, 1, 0, 10), put(0, 2, 11, 20), get(0, 2, 30, 31), get(0, 1, 32, 33)}));
  // Operations that touch in time may be ordered either way.
  EXPECT_TRUE(holds({put(0, 1, 0, 10), put(0, 2, 10, 20), get(0, 1, 21, 22)}));
  EXPECT_FALSE(holds({put(0, 1, 0, 10), put(0, 2, 11, 20), get(0, 1, 21, 22)}));
}

TEST(LinearizabilityChecker, RefusesReadersThatDisagreeOnAnOrder) {
  const History writes = {put(0, 1, 0, 50), put(0, 2, 0, 50)};
  History history = writes;
  history.insert(history.end(), {get(0, 1, 1, 2), get(0, 2, 3, 4), get(0, 1, 5, 6)});
  EXPECT_FALSE(holds(history));
  history.back() = get(0, 2, 5, 6);
  EXPECT_TRUE(holds(history));
}

TEST(LinearizabilityChecker, SeesAViolationThatTakesTwoKeys) {
  // Linearizable for each key alone, were the keys not read and written together.
  EXPECT_FALSE(holds({set_pair(1, 1, {}, 0, 10), set_pair(2, 2, {1, kAbsent}, 0, 10)}));
  EXPECT_TRUE(holds({set_pair(1, 1, {}, 0, 10), set_pair(2, 2, {1, 1}, 0, 10)}));
}

TEST(LinearizabilityChecker, JoinsKeysThatPairsConnect) {
  // Keys 0 and 1, then 1 and 2, then 2 and 0, in both directions.
  const auto linked = [](uint8_t a, uint8_t b, uint16_t value, std::array<uint16_t, 2> old,
                         int64_t called) {
    Op op = pair(OpKind::kSetPair, {value, value}, old, called, called + 1);
    op.keys = {a, b};
    return op;
  };
  EXPECT_TRUE(holds({linked(0, 1, 1, {}, 0), linked(1, 2, 2, {1, kAbsent}, 2),
                     linked(2, 0, 3, {2, 1}, 4), get(0, 3, 6, 7), get(1, 2, 8, 9)}));
  EXPECT_TRUE(holds({linked(1, 0, 1, {}, 0), linked(2, 1, 2, {kAbsent, 1}, 2),
                     linked(0, 2, 3, {1, 2}, 4), get(2, 3, 6, 7), get(1, 2, 8, 9)}));
  EXPECT_FALSE(holds({linked(1, 0, 1, {}, 0), linked(2, 1, 2, {kAbsent, 1}, 2),
                      linked(0, 2, 3, {1, 2}, 4), get(2, 2, 6, 7), get(1, 2, 8, 9)}));
}

TEST(LinearizabilityChecker, KnowsWhatAFailedPairSays) {
  Model model;
  model.initial = {1, kAbsent};
  Op op = pair(OpKind::kConsumePair, {}, {}, 0, 1);
  op.code = StatusCode::kNotFound;
  op.item_codes = {StatusCode::kNotApplied, StatusCode::kNotFound};
  EXPECT_TRUE(holds({op, get(0, 1, 2, 3)}, model));
  EXPECT_FALSE(holds({op, get(0, kAbsent, 2, 3)}, model));
  op.item_codes[0] = StatusCode::kOk;
  EXPECT_FALSE(holds({op}, model));
  // A key that is named twice is consumed once.
  Op twice = pair(OpKind::kConsumePair, {}, {}, 0, 1);
  twice.keys = {0, 0};
  twice.code = StatusCode::kNotFound;
  twice.item_codes = {StatusCode::kNotApplied, StatusCode::kNotFound};
  EXPECT_TRUE(holds({twice}, model));
}

TEST(LinearizabilityChecker, KnowsTheLimitOnKeys) {
  Model model;
  model.max_keys = 1;
  const auto refused = [](int key, int64_t called, int64_t returned) {
    return single(OpKind::kPut, key, called, returned, 9, kAbsent, StatusCode::kTooManyKeys);
  };
  EXPECT_TRUE(holds({put(0, 1, 0, 1), refused(1, 2, 3)}, model));
  EXPECT_FALSE(holds({put(0, 1, 0, 1), put(1, 1, 2, 3)}, model));
  // Refused although there was room all the time.
  EXPECT_FALSE(holds({put(0, 1, 0, 1), consume(0, 1, 2, 3), refused(1, 4, 5)}, model));
  EXPECT_TRUE(holds({put(0, 1, 0, 1), consume(0, 1, 2, 4), refused(1, 3, 5)}, model));
}

Op compare_and_set(int key, uint16_t expected, uint16_t value, int64_t called, int64_t returned,
                   StatusCode code = StatusCode::kOk) {
  Op op = single(OpKind::kCompareAndSet, key, called, returned, value, kAbsent, code);
  op.expected = expected;
  return op;
}

TEST(LinearizabilityChecker, RefusesTwoCompareAndSetsOverOneValue) {
  const StatusCode kMismatch = StatusCode::kVersionMismatch;
  Model model;
  model.initial[0] = 1;
  EXPECT_FALSE(holds({compare_and_set(0, 1, 2, 0, 10), compare_and_set(0, 1, 3, 0, 10)}, model));
  EXPECT_TRUE(
      holds({compare_and_set(0, 1, 2, 0, 10), compare_and_set(0, 1, 3, 0, 10, kMismatch)}, model));
  // Refused although nobody else wrote.
  EXPECT_FALSE(holds({compare_and_set(0, 1, 2, 0, 10, kMismatch)}, model));
  EXPECT_FALSE(holds({compare_and_set(1, 1, 2, 0, 10, kMismatch)}, model)) << "it is absent";
}

TEST(LinearizabilityChecker, KnowsAddsAndCounters) {
  const auto add = [](uint16_t value, StatusCode code) {
    return single(OpKind::kAdd, 0, 0, 10, value, kAbsent, code);
  };
  const auto increment = [](uint16_t sum) {
    return single(OpKind::kIncrement, 1, 0, 10, kAbsent, sum);
  };
  EXPECT_FALSE(holds({add(1, StatusCode::kOk), add(2, StatusCode::kOk)}));
  EXPECT_TRUE(holds({add(1, StatusCode::kOk), add(2, StatusCode::kExists), get(0, 1, 11, 12)}));
  EXPECT_FALSE(holds({increment(1), increment(1)}));
  EXPECT_TRUE(holds({increment(2), increment(1)}));
}

TEST(LinearizabilityChecker, KnowsThatACounterMayReachAValueThatIsWrittenLater) {
  // 1, then 2 by the counter, 5, and 2 once more by the put, which began before all of this.
  const History history = {
      single(OpKind::kPut, 0, 0, 1, 1), single(OpKind::kIncrement, 0, 2, 3, kAbsent, 2),
      single(OpKind::kSet, 0, 4, 5, 5, 2), single(OpKind::kPut, 0, 2, 9, 2), get(0, 2, 10, 11)};
  EXPECT_TRUE(holds(history));
}

TEST(LinearizabilityChecker, KnowsWhenKeysExpire) {
  const auto put_expiring = [](int64_t called, int64_t returned) {
    return single(OpKind::kPutExpiring, 0, called, returned, 1);
  };
  const auto advance = [](int64_t called, int64_t returned) {
    return single(OpKind::kAdvance, 0, called, returned);
  };
  EXPECT_TRUE(holds({put_expiring(0, 1), get(0, 1, 2, 3), advance(4, 5), get(0, kAbsent, 6, 7)}));
  EXPECT_FALSE(holds({put_expiring(0, 1), advance(4, 5), get(0, 1, 6, 7)})) << "too late";
  EXPECT_FALSE(holds({put_expiring(0, 1), get(0, kAbsent, 2, 3), advance(4, 5)})) << "too early";
  EXPECT_FALSE(holds({put_expiring(0, 1), get(0, 1, 4, 5), advance(2, 3)})) << "it had expired";
  // Concurrent: either way.
  EXPECT_TRUE(holds({put_expiring(0, 9), advance(2, 3), get(0, kAbsent, 10, 11)}));
  EXPECT_TRUE(holds({put_expiring(0, 9), advance(2, 3), get(0, 1, 10, 11)}));
}

TEST(LinearizabilityChecker, KnowsThatADeletedNamespaceStaysDeleted) {
  constexpr StatusCode kGone = StatusCode::kNamespaceDeleted;
  const auto refused = [](OpKind kind, int64_t called, int64_t returned) {
    return single(kind, 1, called, returned, 9, kAbsent, kGone);
  };
  const Op put_before = put(0, 1, 0, 1);
  const Op deleted = single(OpKind::kDeleteNamespace, 0, 2, 10);
  EXPECT_TRUE(holds({put_before, deleted, refused(OpKind::kPut, 11, 12)}));
  EXPECT_FALSE(holds({put_before, refused(OpKind::kPut, 11, 12)})) << "nobody deleted it";
  EXPECT_FALSE(holds({refused(OpKind::kPut, 0, 1), deleted})) << "too early";
  EXPECT_FALSE(holds({put_before, deleted, put(1, 1, 11, 12)})) << "too late";
  EXPECT_FALSE(holds({put_before, deleted, get(0, kAbsent, 11, 12)})) << "too late";
  // Concurrent: either way, but not alive again, for another key neither.
  EXPECT_TRUE(holds({put_before, deleted, get(0, 1, 3, 4), refused(OpKind::kGet, 5, 6)}));
  EXPECT_FALSE(holds({put_before, deleted, refused(OpKind::kGet, 3, 4), get(0, 1, 5, 6)}));
  EXPECT_FALSE(holds({put_before, deleted, refused(OpKind::kGet, 3, 4), put(2, 1, 5, 6)}));
  // A pair is refused whole, and a second delete is of another namespace.
  Op both = get_pair(kAbsent, kAbsent, 11, 12);
  both.code = kGone;
  both.item_codes = {kGone, kGone};
  EXPECT_TRUE(holds({deleted, both, single(OpKind::kDeleteNamespace, 0, 13, 14)}));
  both.item_codes[0] = StatusCode::kOk;
  EXPECT_FALSE(holds({deleted, both}));
}

TEST(LinearizabilityChecker, HandlesTheLongestHistory) {
  // Everything concurrent: 64! orders.
  History history;
  for (uint16_t i = 1; i <= kMaxHistory / 2; ++i) {
    history.push_back(update(0, static_cast<uint16_t>(i + 1), i, 0, 10));
    history.push_back(get(1, kAbsent, 0, 10));
  }
  Model model;
  model.initial[0] = 1;
  EXPECT_TRUE(holds(history, model));
  history.back() = get(1, 7, 0, 10);
  EXPECT_FALSE(holds(history, model));
}

}  // namespace
}  // namespace rkvs::testing
