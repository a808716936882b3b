// Autosave: how a task that saves by itself is configured, and what became of it.
#ifndef RKVS_AUTOSAVE_H_
#define RKVS_AUTOSAVE_H_

#include <rkvs/status.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace rkvs {

// How often a task may save by time; outside of it is InvalidArgument. The longest is ten years.
inline constexpr std::chrono::milliseconds kMinAutosaveInterval{1};
inline constexpr std::chrono::milliseconds kMaxAutosaveInterval{int64_t{3650} * 24 * 3600 * 1000};

// When a task saves, and to which file. A task saves one namespace, or, the manager's, all of them.
struct AutosaveConfig {
  // Save at each tick of this length, counted from the task's start, unless nothing has changed
  // since the last save that succeeded (the first always writes). Ticks that are missed are
  // skipped. 0 = not by time, else kMinAutosaveInterval to kMaxAutosaveInterval.
  std::chrono::milliseconds interval{0};
  // Save when so many entries were written or removed since the last save, or since the start of
  // the task; looked at about five times a second. 0 = not by changes. Both 0 is InvalidArgument.
  uint64_t changes = 0;
  // A file name inside the manager's directory: one path component. `{ns}` stands for the name of
  // the namespace, with a dot at its beginning and everything but letters, digits and "-._~" as
  // %XX; `{ts}`, once, for the time of the save as UTC, such as 20260102T030405.678Z. Other braces
  // are InvalidName, and so is a name that is over 200 bytes with all that filled in, begins with a
  // dot, or ends like an older generation (".1").
  //
  // Without {ts}, the two files before stay as FILE.1 and FILE.2. With it, the three newest files
  // of exactly this pattern stay, and older ones are removed.
  std::string file{};
  // Save once more when the manager is closed, unless nothing has changed since the last save.
  bool final_save = false;

  friend bool operator==(const AutosaveConfig&, const AutosaveConfig&) = default;
};

enum class AutosaveState {
  kWaiting,  // for its next tick, or for changes
  kSaving,
  kStopped,
};

// A task at one moment. Figures count from when it was added.
struct AutosaveStatus {
  // Empty for the manager's.
  std::string namespace_name{};
  bool is_manager = false;
  AutosaveConfig config{};
  AutosaveState state = AutosaveState::kStopped;
  uint64_t saves = 0;  // that succeeded
  uint64_t failures = 0;
  // Ticks that passed while this or another task was saving, and had no save of their own.
  uint64_t skipped_ticks = 0;
  // Ticks at which nothing had changed since the last save.
  uint64_t unchanged_ticks = 0;
  // What the last save that succeeded wrote; empty before it.
  std::string last_file{};
  std::optional<std::chrono::system_clock::time_point> last_success{};
  std::optional<std::chrono::system_clock::time_point> last_failure{};
  // Why the last failure failed, or why the task could not start; Ok before that. It stays after
  // later successes.
  Status last_error{};
  // How long the last save took, a failed one too.
  std::chrono::milliseconds last_duration{0};
};

}  // namespace rkvs

#endif  // RKVS_AUTOSAVE_H_
