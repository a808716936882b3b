#include "runtime/autosave_schedule.h"

#include <algorithm>
#include <new>

#include "base/error.h"
#include "base/file.h"

namespace rkvs::internal {
namespace {

constexpr std::string_view kNamespacePlaceholder = "{ns}";
constexpr std::string_view kTimestampPlaceholder = "{ts}";
// '0' stands for a digit.
constexpr std::string_view kTimestampForm = "00000000T000000.000Z";
static_assert(kTimestampForm.size() == kTimestampSize);

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_timestamp(std::string_view text) {
  if (text.size() != kTimestampSize) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (kTimestampForm[i] == '0' ? !is_digit(text[i]) : text[i] != kTimestampForm[i]) return false;
  }
  return true;
}

// RFC 3986's unreserved characters as they are, all others as %XX, so that a name is one component
// and two names are never one file. A dot at the beginning would hide the file.
std::string percent_encoded(std::string_view name) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kUnreserved = "-._~";
  std::string text;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool plain = letter || is_digit(c) || kUnreserved.find(c) != std::string_view::npos;
    if (plain && !(c == '.' && text.empty())) {
      text.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text.append(1, '%').append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    }
  }
  return text;
}

void append_number(std::string& text, unsigned number, size_t digits) {
  const std::string plain = std::to_string(number);
  text.append(digits - std::min(digits, plain.size()), '0').append(plain);
}

Status invalid_pattern(std::string_view pattern, std::string_view why) {
  return make_error(StatusCode::kInvalidName, "autosave file \"",
                    pattern.substr(0, kMaxFileNameSize), "\" ", why);
}

// `at` is before the end of time.
AutosaveSchedule::Clock::time_point later(AutosaveSchedule::Clock::time_point at,
                                          AutosaveSchedule::Clock::duration by) {
  constexpr auto kEnd = AutosaveSchedule::Clock::time_point::max();
  return at.time_since_epoch().count() > 0 && kEnd - at < by ? kEnd : at + by;
}

}  // namespace

Status validate_autosave_times(const AutosaveConfig& config) {
  const auto interval = config.interval;
  if (interval.count() == 0) {
    if (config.changes != 0) return Status();
    return make_error(StatusCode::kInvalidArgument,
                      "autosave with interval 0 and changes 0 would never save");
  }
  if (interval < kMinAutosaveInterval || interval > kMaxAutosaveInterval) {
    return make_error(StatusCode::kInvalidArgument, "autosave interval ", interval.count(),
                      " ms is not within ", kMinAutosaveInterval.count(), " and ",
                      kMaxAutosaveInterval.count(), " ms");
  }
  return Status();
}

std::string autosave_timestamp(std::chrono::system_clock::time_point time) {
  using std::chrono::floor;
  using std::chrono::milliseconds;
  using std::chrono::sys_days;
  using std::chrono::sys_time;
  constexpr sys_time<milliseconds> kFirst{};
  constexpr sys_time<milliseconds> kLast =
      sys_days(std::chrono::year(9999) / 12 / 31) + std::chrono::days(1) - milliseconds(1);
  const auto at = std::clamp<sys_time<milliseconds>>(floor<milliseconds>(time), kFirst, kLast);
  const auto day = floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(at - day);
  std::string text;
  text.reserve(kTimestampSize);
  append_number(text, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  append_number(text, static_cast<unsigned>(date.month()), 2);
  append_number(text, static_cast<unsigned>(date.day()), 2);
  text.push_back('T');
  append_number(text, static_cast<unsigned>(clock.hours().count()), 2);
  append_number(text, static_cast<unsigned>(clock.minutes().count()), 2);
  append_number(text, static_cast<unsigned>(clock.seconds().count()), 2);
  text.push_back('.');
  append_number(text, static_cast<unsigned>(clock.subseconds().count()), 3);
  text.push_back('Z');
  return text;
}

// --- AutosavePattern -----------------------------------------------------------------------------

Result<AutosavePattern> AutosavePattern::parse(std::string_view pattern,
                                               std::optional<std::string_view> namespace_name) try {
  if (pattern.size() > kMaxFileNameSize) {
    return make_error(StatusCode::kInvalidName, "the autosave file name has ", pattern.size(),
                      " bytes; the limit is ", kMaxFileNameSize);
  }
  AutosavePattern parsed;
  std::string* part = &parsed.before_;
  for (std::string_view rest = pattern; !rest.empty();) {
    if (rest.starts_with(kNamespacePlaceholder)) {
      if (!namespace_name.has_value()) {
        return invalid_pattern(pattern, "has {ns}, but it is for all namespaces");
      }
      part->append(percent_encoded(*namespace_name));
      rest.remove_prefix(kNamespacePlaceholder.size());
    } else if (rest.starts_with(kTimestampPlaceholder)) {
      if (parsed.timestamped_) return invalid_pattern(pattern, "has {ts} more than once");
      parsed.timestamped_ = true;
      part = &parsed.after_;
      rest.remove_prefix(kTimestampPlaceholder.size());
    } else if (rest.front() == '{' || rest.front() == '}') {
      return invalid_pattern(pattern, "has a brace that belongs to neither {ns} nor {ts}");
    } else {
      part->push_back(rest.front());
      rest.remove_prefix(1);
    }
  }
  // A timestamp is always of the same size, so that any will do.
  const std::string example = parsed.file_at({});
  if (Status status = validate_target_name(example, kDefaultGenerations); !status.ok()) {
    return status;
  }
  return parsed;
} catch (const std::bad_alloc&) {
  return StatusCode::kNoMemory;
}

std::string AutosavePattern::file_at(std::chrono::system_clock::time_point now) const {
  return timestamped_ ? before_ + autosave_timestamp(now) + after_ : before_;
}

bool AutosavePattern::matches(std::string_view name) const {
  if (!timestamped_) return name == before_;
  return name.size() == before_.size() + kTimestampSize + after_.size() &&
         name.starts_with(before_) && name.ends_with(after_) &&
         is_timestamp(name.substr(before_.size(), kTimestampSize));
}

bool AutosavePattern::collides_with(const AutosavePattern& other) const {
  if (timestamped_ == other.timestamped_) {
    return before_ == other.before_ && after_ == other.after_;
  }
  return timestamped_ ? matches(other.before_) : other.matches(before_);
}

std::vector<std::string> AutosavePattern::surplus(const std::vector<std::string>& names,
                                                  std::string_view latest, size_t keep) const {
  std::vector<std::string> old;
  if (!timestamped_) return old;
  for (const std::string& name : names) {
    if (name != latest && matches(name)) old.push_back(name);
  }
  // They differ in their timestamps alone. `latest` is one of those that stay.
  std::sort(old.begin(), old.end());
  const size_t others = keep > 0 ? keep - 1 : 0;
  old.resize(old.size() - std::min(old.size(), others));
  return old;
}

// --- AutosaveSchedule ----------------------------------------------------------------------------

AutosaveSchedule::AutosaveSchedule(const AutosaveConfig& config, Clock::time_point now,
                                   const AutosaveChanges& changes)
    : interval_(config.interval), changes_(config.changes), baseline_(changes) {
  if (interval_.count() != 0) next_tick_ = later(now, interval_);
  if (changes_ != 0) next_poll_ = later(now, kPollInterval);
}

AutosaveSchedule::Clock::time_point AutosaveSchedule::next_look() const {
  return std::min(next_tick_, next_poll_);
}

// Moves next_tick_ behind `now` and returns by how many ticks.
uint64_t AutosaveSchedule::pass_ticks(Clock::time_point now) {
  if (now < next_tick_ || interval_.count() == 0) return 0;
  const auto beyond = (now - next_tick_) / interval_;
  next_tick_ = later(next_tick_ + beyond * interval_, interval_);
  return static_cast<uint64_t>(beyond) + 1;
}

AutosaveSchedule::Look AutosaveSchedule::look(Clock::time_point now,
                                              const AutosaveChanges& changes) {
  Look look;
  if (const uint64_t ticks = pass_ticks(now); ticks > 0) {
    look.skipped = ticks - 1;
    look.save = has_unsaved(changes);
    look.unchanged = !look.save;
  }
  if (now >= next_poll_) {
    next_poll_ = later(now, kPollInterval);
    if (changes.count > baseline_.count && changes.count - baseline_.count >= changes_) {
      look.save = true;
    }
  }
  return look;
}

uint64_t AutosaveSchedule::saved(Clock::time_point now, const AutosaveChanges& before) {
  baseline_ = before;
  saved_ = true;
  if (changes_ != 0) next_poll_ = later(now, kPollInterval);
  return pass_ticks(now);
}

uint64_t AutosaveSchedule::failed(Clock::time_point now) {
  if (changes_ != 0) next_poll_ = later(now, kRetryDelay);
  return pass_ticks(now);
}

}  // namespace rkvs::internal
