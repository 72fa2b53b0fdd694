// What a command is to the program: a row of the table in commands.cc.
//
// Each *_command.cc holds an options struct, a Setup function that describes the options to CLI11,
// and a Run function that does the work. Only Setup sees CLI11; only main.cc prints errors and
// exits.
#ifndef LLMQ_CLI_COMMAND_H_
#define LLMQ_CLI_COMMAND_H_

#include <functional>
#include <span>
#include <string>

#include "cli/output.h"

namespace CLI {
class App;
}

namespace llmq {

// Runs the command with the options that parsing has filled in.
using CommandRun = std::function<void(Output&)>;

struct Command {
  const char* group;  // "" for the top level or "littlebit"
  const char* name;
  const char* summary;
  CommandRun (*setup)(CLI::App&);  // describes the options; the returned function borrows nothing
};

// In the order of --help.
std::span<const Command> Commands();

CommandRun SetupModelInfo(CLI::App& app);
CommandRun SetupCompress(CLI::App& app);
CommandRun SetupLittleBitInfo(CLI::App& app);
CommandRun SetupValidate(CLI::App& app);
CommandRun SetupConvert(CLI::App& app);
CommandRun SetupRun(CLI::App& app);
CommandRun SetupTokenize(CLI::App& app);
CommandRun SetupBench(CLI::App& app);

}  // namespace llmq

#endif  // LLMQ_CLI_COMMAND_H_
