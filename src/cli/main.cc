// The rkvs tool: snapshots on the command line.
#include <rkvs/version.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <utility>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace rkvs::cli {
namespace {

constexpr const char* kDescription =
    "rkvs - look at, check, convert and rescue snapshots of the rkvs key-value store\n\n"
    "A snapshot holds whole namespaces as of one instant. The commands read files alone: they "
    "need\n"
    "no running store and never change the file they read.";

// Beside each command in the list of commands stands the first line of what its help says.
class Formatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* command, std::string name) const override {
    return "\n" + CLI::Formatter::make_usage(command, std::move(name));
  }
  std::string make_subcommand(const CLI::App* command) const override {
    std::ostringstream out;
    const std::string description = command->get_description();
    CLI::detail::format_help(out, command->get_name(),
                             description.substr(0, description.find('\n')), /*column*/ 12);
    return out.str();
  }
};

ExitCode run(int argc, char** argv) {
  CLI::App app(kDescription, "rkvs");
  app.formatter(std::make_shared<Formatter>());
  app.set_version_flag("--version", std::string("rkvs ") + RKVS_VERSION_STRING);
  app.require_subcommand(1);
  app.footer("Every command explains itself: rkvs COMMAND --help\n\n" +
             std::string(kExitCodesHelp));
  Action action;
  add_info(app, action);
  add_verify(app, action);
  add_export(app, action);
  add_import(app, action);
  add_dump(app, action);
  add_get(app, action);
  add_salvage(app, action);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream errors;
    const bool asked_for_help = app.exit(error, out, errors) == 0;
    if (asked_for_help) return report(print(out.str()));
    std::cerr << (argc < 2 ? app.help() : "rkvs: " + errors.str());
    return ExitCode::kUsage;
  }
  return action();
}

}  // namespace
}  // namespace rkvs::cli

int main(int argc, char** argv) {
  using rkvs::cli::ExitCode;
  rkvs::cli::handle_signals();
  ExitCode code = ExitCode::kIo;
  try {
    code = rkvs::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::cerr << "rkvs: out of memory\n";
  } catch (const std::exception& error) {
    std::cerr << "rkvs: internal error: " << error.what() << '\n';
  }
  rkvs::cli::end_if_interrupted();
  return static_cast<int>(code);
}
