// The commands of the tool, one file each.
#ifndef RKVS_CLI_COMMANDS_H_
#define RKVS_CLI_COMMANDS_H_

#include <functional>
#include <string>

#include "cli/exit_code.h"

namespace CLI {
class App;
}

namespace rkvs::cli {

// What the command line asks for, set when it has been parsed.
using Action = std::function<ExitCode()>;

// Each adds its command with options and help to `app`, and sets `action`, which must outlive the
// app, where the command was chosen.
void add_info(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_dump(CLI::App& app, Action& action);
void add_import(CLI::App& app, Action& action);
void add_salvage(CLI::App& app, Action& action);
void add_get(CLI::App& app, Action& action);

// A command with what every one of them has: `description` above the options in its help, examples
// and exit codes below, and `summary` in the list of commands.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& summary,
                      const std::string& description, const std::string& examples);

}  // namespace rkvs::cli

#endif  // RKVS_CLI_COMMANDS_H_
