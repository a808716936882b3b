#include "tests/support/linearizability.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <sstream>
#include <string_view>
#include <unordered_set>

namespace rkvs::testing {
namespace {

uint32_t count_present(const ModelState& state) {
  return static_cast<uint32_t>(
      std::count_if(state.begin(), state.end(), [](uint16_t value) { return value != kAbsent; }));
}

bool is_full(const ModelState& state, uint32_t max_keys) {
  return max_keys != 0 && count_present(state) >= max_keys;
}

// What one item of an operation does, and whether it can.
struct Step {
  StatusCode code = StatusCode::kOk;
  uint16_t seen = kAbsent;
};

// What each half of a pair does.
OpKind kind_of(OpKind kind, size_t half) {
  switch (kind) {
    case OpKind::kGetPair: return OpKind::kGet;
    case OpKind::kSetPair: return OpKind::kSet;
    case OpKind::kDeletePair: return OpKind::kDelete;
    case OpKind::kConsumePair: return OpKind::kConsume;
    case OpKind::kSetAddPair: return half == 0 ? OpKind::kSet : OpKind::kAdd;
    case OpKind::kMovePair: return half == 0 ? OpKind::kConsume : OpKind::kSet;
    default: return kind;
  }
}

Step step(const Op& op, size_t half, uint32_t max_keys, ModelState& state) {
  const OpKind kind = kind_of(op.kind, half);
  const uint16_t written = op.written[half];
  uint16_t& value = state[op.keys[half]];
  const bool absent = value == kAbsent;
  const auto old = static_cast<uint16_t>(value & ~kExpires);
  const auto expires = static_cast<uint16_t>(value & kExpires);
  const StatusCode found = absent ? StatusCode::kNotFound : StatusCode::kOk;
  const Step too_many{StatusCode::kTooManyKeys, kAbsent};
  const bool fits = !absent || !is_full(state, max_keys);
  switch (kind) {
    case OpKind::kGet: return {found, old};
    case OpKind::kExists: return {StatusCode::kOk, static_cast<uint16_t>(!absent)};
    case OpKind::kSet:
    case OpKind::kPut:
      if (!fits) return too_many;
      value = written;
      return {StatusCode::kOk, kind == OpKind::kPut ? kAbsent : old};
    case OpKind::kPutExpiring:
      if (!fits) return too_many;
      value = written | kExpires;
      return {};
    case OpKind::kUpdate:
      if (!absent) value = written;
      return {found, old};
    case OpKind::kDelete: value = kAbsent; return {found, kAbsent};
    case OpKind::kConsume: value = kAbsent; return {found, old};
    case OpKind::kCountKeys: return {StatusCode::kOk, static_cast<uint16_t>(count_present(state))};
    case OpKind::kAdd:
      if (!absent) return {StatusCode::kExists, kAbsent};
      if (!fits) return too_many;
      value = written;
      return {};
    case OpKind::kCompareAndSet:
      if (absent) return {found, kAbsent};
      if (old != op.expected) return {StatusCode::kVersionMismatch, kAbsent};
      value = written | expires;
      return {};
    case OpKind::kIncrement:
      if (!fits) return too_many;
      value = static_cast<uint16_t>(old + 1) | expires;
      return {StatusCode::kOk, static_cast<uint16_t>(old + 1)};
    case OpKind::kAdvance:
      for (uint16_t& any : state) {
        if ((any & kExpires) != 0) any = kAbsent;
      }
      return {};
    default: std::abort();
  }
}

void execute_pair(Op& op, uint32_t max_keys, ModelState& state) {
  ModelState after = state;
  op.code = StatusCode::kOk;
  for (size_t i = 0; i < 2; ++i) {
    const Step done = step(op, i, max_keys, after);
    op.item_codes[i] = done.code;
    op.seen[i] = done.seen;
    if (op.code == StatusCode::kOk) op.code = done.code;
  }
  if (op.code == StatusCode::kOk) {
    state = after;
    return;
  }
  for (size_t i = 0; i < 2; ++i) {
    op.seen[i] = kAbsent;
    if (op.item_codes[i] == StatusCode::kOk) op.item_codes[i] = StatusCode::kNotApplied;
  }
}

// Whether the map answers in this state as it is said to have done; then it is in the next state.
bool explains(const Op& op, uint32_t max_keys, ModelState& state) {
  Op again = op;
  execute(again, max_keys, state);
  return again.code == op.code && again.seen == op.seen && again.item_codes == op.item_codes;
}

// What the search has reached: which operations are done, and what the map then holds.
struct Configuration {
  uint64_t done = 0;
  ModelState state{};

  friend bool operator==(const Configuration&, const Configuration&) = default;
};

struct ConfigurationHash {
  size_t operator()(const Configuration& c) const {
    static_assert(sizeof(ModelState) == sizeof(uint64_t));
    const uint64_t mixed =
        (c.done ^ std::rotl(std::bit_cast<uint64_t>(c.state), 31)) * 0x9E3779B97F4A7C15U;
    return static_cast<size_t>(mixed ^ mixed >> 32);
  }
};

// Those whose entries may have expired when they come.
uint64_t late_ones(const History& history) {
  uint64_t late = 0;
  for (size_t i = 0; i < history.size(); ++i) {
    const Op& put = history[i];
    if (put.kind != OpKind::kPutExpiring) continue;
    const bool meets = std::any_of(history.begin(), history.end(), [&](const Op& op) {
      return op.kind == OpKind::kAdvance && op.called <= put.returned && put.called <= op.returned;
    });
    if (meets) late |= uint64_t{1} << i;
  }
  return late;
}

// Whether it leaves the map as it is wherever it comes. A write does not, even where the value is
// there already: a counter may have come to it, and the write may have to come again later.
bool never_changes(const Op& op) {
  if (op.code != StatusCode::kOk) return true;
  switch (op.kind) {
    case OpKind::kGet:
    case OpKind::kExists:
    case OpKind::kCountKeys:
    case OpKind::kGetPair: return true;
    default: return false;
  }
}

bool search(const History& history, const Model& model) {
  if (history.size() > kMaxHistory) std::abort();
  const uint64_t late = late_ones(history);
  const uint64_t all =
      history.size() == kMaxHistory ? ~uint64_t{0} : (uint64_t{1} << history.size()) - 1;
  std::unordered_set<Configuration, ConfigurationHash> seen;
  std::vector<Configuration> open{{0, model.initial}};
  while (!open.empty()) {
    const Configuration at = open.back();
    open.pop_back();
    if (at.done == all) return true;
    // Whatever was called after another one returned cannot come before that one.
    int64_t horizon = std::numeric_limits<int64_t>::max();
    for (uint64_t rest = all & ~at.done; rest != 0; rest &= rest - 1) {
      horizon = std::min(horizon, history[static_cast<size_t>(std::countr_zero(rest))].returned);
    }
    const size_t before = open.size();
    for (uint64_t rest = all & ~at.done; rest != 0; rest &= rest - 1) {
      const Op& op = history[static_cast<size_t>(std::countr_zero(rest))];
      if (op.called > horizon) continue;
      Configuration next{at.done | (rest & ~(rest - 1)), at.state};
      if (!explains(op, model.max_keys, next.state)) continue;
      if ((late & rest & ~(rest - 1)) != 0) {
        Configuration gone = next;
        gone.state[op.keys[0]] = kAbsent;
        open.push_back(gone);
      } else if (next.state == at.state && never_changes(op)) {
        // It may as well come first: if any order works, this one does too.
        open.resize(before);
        open.push_back(next);
        break;
      }
      open.push_back(next);
    }
    // Another way may have led to the same configuration.
    const auto known = [&seen](const Configuration& c) { return !seen.insert(c).second; };
    open.erase(
        std::remove_if(open.begin() + static_cast<std::ptrdiff_t>(before), open.end(), known),
        open.end());
  }
  return false;
}

constexpr std::array<std::string_view, kOpKinds> kOpNames = {
    "get",         "exists",           "set",         "put",
    "update",      "delete_key",       "consume",     "count_keys",
    "add",         "compare_and_set",  "increment",   "put expiring",
    "advance",     "delete namespace", "get pair",    "set pair",
    "delete pair", "consume pair",     "set and add", "move"};

}  // namespace

void execute(Op& op, uint32_t max_keys, ModelState& state) {
  if (op.kind == OpKind::kDeleteNamespace) {
    op.code = StatusCode::kOk;
    return state.fill(kDeleted);
  }
  if (state[0] == kDeleted) {
    op.code = StatusCode::kNamespaceDeleted;
    if (is_pair(op.kind)) op.item_codes.fill(op.code);
    return op.seen.fill(kAbsent);
  }
  if (is_pair(op.kind)) return execute_pair(op, max_keys, state);
  const Step done = step(op, 0, max_keys, state);
  op.code = done.code;
  op.seen[0] = done.seen;
}

bool is_linearizable(const History& history, const Model& model) {
  // Linearizability is local: a history is linearizable when that of each object is. The objects
  // are the groups of keys that operations connect; a limit or a count connects them all.
  std::array<uint8_t, kMaxModelKeys> group{};
  std::iota(group.begin(), group.end(), uint8_t{0});
  const auto join = [&group](uint8_t a, uint8_t b) {
    const uint8_t from = group[a];
    const uint8_t to = group[b];
    std::replace(group.begin(), group.end(), from, to);
  };
  for (const Op& op : history) {
    if (is_pair(op.kind)) join(op.keys[0], op.keys[1]);
    if (is_global(op.kind) || model.max_keys != 0) group.fill(0);
  }
  for (uint8_t g = 0; g < kMaxModelKeys; ++g) {
    History part;
    std::copy_if(history.begin(), history.end(), std::back_inserter(part),
                 [&](const Op& op) { return group[op.keys[0]] == g; });
    if (!part.empty() && !search(part, model)) return false;
  }
  return true;
}

std::string to_string(const History& history, const Model& model) {
  History sorted = history;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Op& a, const Op& b) { return a.called < b.called; });
  const int64_t origin = sorted.empty() ? 0 : sorted.front().called;
  std::ostringstream out;
  out << "initially";
  for (size_t k = 0; k < kMaxModelKeys; ++k) out << " k" << k << '=' << model.initial[k];
  out << ", max_keys " << model.max_keys << '\n';
  for (const Op& op : sorted) {
    out << "  [" << op.called - origin << ", " << op.returned - origin << "] thread " << op.thread
        << ": " << kOpNames[static_cast<size_t>(op.kind)];
    for (size_t i = 0; i < (is_pair(op.kind) ? 2 : 1); ++i) {
      out << " k" << int{op.keys[i]};
      if (op.written[i] != kAbsent) out << ":=" << op.written[i];
    }
    if (op.kind == OpKind::kCompareAndSet) out << " over " << op.expected;
    out << " -> " << status_code_name(op.code);
    for (size_t i = 0; i < (is_pair(op.kind) ? 2 : 1); ++i) {
      if (is_pair(op.kind)) out << ' ' << status_code_name(op.item_codes[i]);
      if (op.seen[i] != kAbsent) out << " (" << op.seen[i] << ')';
    }
    out << '\n';
  }
  return out.str();
}

}  // namespace rkvs::testing
