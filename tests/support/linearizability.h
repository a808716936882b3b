// A checker of linearizability for histories of a small map.
//
// A history is what several threads did and saw: each operation with the instants of its call and
// its return. It is linearizable when there is an order of all operations that keeps every
// "returned before the other was called" and in which each outcome is the one that a map used by
// one thread would have given. (Herlihy and Wing, 1990; the search is that of Wing and Gong, 1993,
// with Lowe's cache of configurations, 2017.)
#ifndef RKVS_TESTS_SUPPORT_LINEARIZABILITY_H_
#define RKVS_TESTS_SUPPORT_LINEARIZABILITY_H_

#include <rkvs/status.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rkvs::testing {

inline constexpr size_t kMaxModelKeys = 4;
inline constexpr size_t kMaxHistory = 64;  // operations
inline constexpr uint16_t kAbsent = 0;     // as a value: the key is not there

// The values of the keys.
using ModelState = std::array<uint16_t, kMaxModelKeys>;

struct Model {
  ModelState initial{};
  // As in NamespaceConfig: the most keys that are present at once, 0 = no limit.
  uint32_t max_keys = 0;
};

enum class OpKind : uint8_t {
  kGet,
  kExists,
  kSet,     // tells the old value
  kPut,     // does not
  kUpdate,  // tells the old value
  kDelete,  // code Ok: it was there; NotFound: it was not
  kConsume,
  kCountKeys,  // of the whole map; the result in seen[0]
  kAdd,
  kCompareAndSet,  // over the value `expected`: no value may be written twice where it is used
  kIncrement,      // by 1, from 0; tells the sum
  kPutExpiring,    // to be gone at the next kAdvance
  kAdvance,        // of the clock: what expires is gone
  // From then on every operation answers NamespaceDeleted, but for this one, which is Ok.
  kDeleteNamespace,
  // All or nothing, of two keys, which may be the same one.
  kGetPair,
  kSetPair,
  kDeletePair,
  kConsumePair,
  kSetAddPair,  // an AtomicBatch: sets the first key, adds the second
  kMovePair,    // an AtomicBatch: consumes the first key, sets the second
};
inline constexpr size_t kOpKinds = 20;
// Of values in a ModelState: the entry expires. Values that are written or seen are below.
inline constexpr uint16_t kExpires = 0x8000;
// Of every key in a ModelState: the namespace was deleted.
inline constexpr uint16_t kDeleted = 0xFFFF;

constexpr bool is_pair(OpKind kind) { return kind >= OpKind::kGetPair; }
// Whether it concerns all keys.
constexpr bool is_global(OpKind kind) {
  return kind == OpKind::kCountKeys || kind == OpKind::kAdvance || kind == OpKind::kDeleteNamespace;
}

// One operation: what was asked, what came out, and when.
struct Op {
  OpKind kind = OpKind::kGet;
  std::array<uint8_t, 2> keys{};      // the second for pairs alone
  std::array<uint16_t, 2> written{};  // not kAbsent
  uint16_t expected = kAbsent;        // by compare_and_set

  StatusCode code = StatusCode::kOk;                                       // of the call
  std::array<StatusCode, 2> item_codes{StatusCode::kOk, StatusCode::kOk};  // of pairs
  // get, consume: the value; set, update: the old one; exists: 0 or 1; kAbsent where there is none.
  std::array<uint16_t, 2> seen{};

  // Any clock that all threads share. Operations that touch in time count as concurrent.
  int64_t called = 0;
  int64_t returned = 0;
  int thread = 0;
};

using History = std::vector<Op>;

// Does what the operation asks, alone, and fills in what comes out.
void execute(Op& op, uint32_t max_keys, ModelState& state);

// At most kMaxHistory operations, in any order. An expiry counts from an instant of its put that
// may be before the one at which the value gets there: where the clock was advanced meanwhile, the
// entry may have expired when it comes. Keys that no operation connects are checked apart.
bool is_linearizable(const History& history, const Model& model);

// One line for each operation, in the order of the calls.
std::string to_string(const History& history, const Model& model);

}  // namespace rkvs::testing

#endif  // RKVS_TESTS_SUPPORT_LINEARIZABILITY_H_
