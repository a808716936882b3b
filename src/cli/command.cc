#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace rkvs::cli {

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& summary,
                      const std::string& description, const std::string& examples) {
  // The list of commands shows the first line of the description.
  CLI::App* command = app.add_subcommand(name, summary + "\n\n" + description);
  command->footer("EXAMPLES\n" + examples + "\n" + kExitCodesHelp);
  return command;
}

}  // namespace rkvs::cli
