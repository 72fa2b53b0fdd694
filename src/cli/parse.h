// The command line, turned into a function to run. The only file, with the Setup functions, that
// knows CLI11.
#ifndef LLMQ_CLI_PARSE_H_
#define LLMQ_CLI_PARSE_H_

#include <span>
#include <string>

#include "base/log.h"
#include "cli/command.h"

namespace llmq {

struct ParsedCommandLine {
  bool json = false;
  Verbosity verbosity = Verbosity::kNormal;
  std::string text;  // --help or --version: print this and do nothing else
  CommandRun run;    // empty if there is text
};

// `arguments` begin with the program's name. Throws Error{kInvalidArguments}, with "Did you mean"
// where a word is close to one that exists.
ParsedCommandLine ParseCommandLine(std::span<const char* const> arguments);

// Whether --format json stands anywhere in the arguments: errors of parsing are JSON too.
bool AsksForJson(std::span<const char* const> arguments);

// The candidate nearest to `word` if it is near enough to be meant, else "".
std::string ClosestWord(const std::string& word, std::span<const std::string> candidates);

}  // namespace llmq

#endif  // LLMQ_CLI_PARSE_H_
