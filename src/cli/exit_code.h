// What the tool's exit codes mean, and how a Status becomes one.
#ifndef RKVS_CLI_EXIT_CODE_H_
#define RKVS_CLI_EXIT_CODE_H_

#include <rkvs/status.h>

namespace rkvs::cli {

// Part of the tool's interface: scripts depend on the numbers.
enum class ExitCode : int {
  kGood = 0,
  kUsage = 1,     // the command line is wrong; nothing was done
  kDamaged = 2,   // the snapshot, or a line of the input, is not what it should be
  kNotFound = 3,  // no such file, namespace or key
  kIo = 4,        // the system refused: input, output, memory
};

// Text behind the help of every command.
inline constexpr const char* kExitCodesHelp =
    "EXIT CODES\n"
    "  0  good\n"
    "  1  the command line is wrong\n"
    "  2  the snapshot or a line of the input is damaged, or of a newer format\n"
    "  3  no such file, namespace or key\n"
    "  4  input, output or memory failed\n";

ExitCode exit_code_of(StatusCode code);

// Says on standard error what went wrong, and returns the exit code for it. Cancelled is silent and
// good: whoever read the output has closed it, or a signal ends the tool anyway.
ExitCode report(const Status& status);

// The same for a command line that is wrong.
ExitCode report_usage(const char* message);

}  // namespace rkvs::cli

#endif  // RKVS_CLI_EXIT_CODE_H_
