// When an autosave task saves and under which name: no threads, no files, no clock.
#ifndef RKVS_RUNTIME_AUTOSAVE_SCHEDULE_H_
#define RKVS_RUNTIME_AUTOSAVE_SCHEDULE_H_

#include <rkvs/autosave.h>
#include <rkvs/status.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rkvs::internal {

// InvalidArgument unless interval and changes are within their ranges and one of them is set.
Status validate_autosave_times(const AutosaveConfig& config);

// "20260102T030405.678Z": UTC, always of kTimestampSize bytes, so that the order of names is that
// of times. Times before 1970 and after 9999 become the nearest one within.
inline constexpr size_t kTimestampSize = 20;
std::string autosave_timestamp(std::chrono::system_clock::time_point time);

// --- AutosavePattern -----------------------------------------------------------------------------

// The file names of one task.
class AutosavePattern {
 public:
  // `namespace_name` replaces {ns}; without one, {ns} is InvalidName. Every name that comes out of
  // a pattern is one that files may have. InvalidName, NoMemory.
  static Result<AutosavePattern> parse(std::string_view pattern,
                                       std::optional<std::string_view> namespace_name);

  bool timestamped() const { return timestamped_; }
  // The name of a save at `now`.
  std::string file_at(std::chrono::system_clock::time_point now) const;
  // Whether a save might have written a file of this name: to the byte, a timestamp where one
  // belongs.
  bool matches(std::string_view name) const;
  // Whether two tasks would get at each other's files: both write the same one, or one would remove
  // the other's as an old one of its own.
  bool collides_with(const AutosavePattern& other) const;
  // Of the names in a directory, those that are older than the `keep` newest of this pattern.
  // `latest`, which was just written, stays even where the clock went back and there are newer
  // names.
  std::vector<std::string> surplus(const std::vector<std::string>& names, std::string_view latest,
                                   size_t keep) const;

 private:
  std::string before_;  // all of the name where there is no timestamp
  std::string after_;
  bool timestamped_ = false;
};

// --- AutosaveSchedule ----------------------------------------------------------------------------

// How far what a task saves has changed. Two equal readings: nothing has, in between.
struct AutosaveChanges {
  // Another number for another configuration or other namespaces.
  uint64_t revision = 0;
  // Entries that were written or removed; grows.
  uint64_t count = 0;

  friend bool operator==(const AutosaveChanges&, const AutosaveChanges&) = default;
};

// The times of one task. Ticks are at `started` + n * interval, n = 1, 2, 3, ...
class AutosaveSchedule {
 public:
  using Clock = std::chrono::steady_clock;

  // How often changes are looked at, where the configuration asks for them.
  static constexpr std::chrono::milliseconds kPollInterval{200};
  // How long after a failure changes alone lead to no other save: a full disk stays full for a
  // while. Ticks are not held back.
  static constexpr std::chrono::seconds kRetryDelay{10};

  // `config` is valid. `now` and `changes` are those of the start of the task.
  AutosaveSchedule(const AutosaveConfig& config, Clock::time_point now,
                   const AutosaveChanges& changes);

  // Before this point look() has nothing to say.
  Clock::time_point next_look() const;

  struct Look {
    bool save = false;
    uint64_t skipped = 0;    // ticks that have passed without a look
    bool unchanged = false;  // it is time, but there is nothing new to save
  };
  // What is to be done at `now`. If it says save, saved() or failed() follow.
  Look look(Clock::time_point now, const AutosaveChanges& changes);

  // A save has ended. `before` is what had changed when it began: what changed during the save may
  // not be in the file. Both return how many ticks passed meanwhile: there is no save for them.
  uint64_t saved(Clock::time_point now, const AutosaveChanges& before);
  uint64_t failed(Clock::time_point now);

  // Whether there is anything that the last successful save does not have.
  bool has_unsaved(const AutosaveChanges& changes) const { return !saved_ || changes != baseline_; }

 private:
  uint64_t pass_ticks(Clock::time_point now);

  Clock::duration interval_;  // 0 = none
  uint64_t changes_;          // 0 = not by changes
  Clock::time_point next_tick_ = Clock::time_point::max();
  Clock::time_point next_poll_ = Clock::time_point::max();
  AutosaveChanges baseline_;  // at the last successful save, or at the start
  bool saved_ = false;
};

}  // namespace rkvs::internal

#endif  // RKVS_RUNTIME_AUTOSAVE_SCHEDULE_H_
