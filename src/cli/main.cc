// llm-quantize: parses the command line, runs one command, and turns every failure into a message
// and an exit code. The only file that prints errors and exits.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <new>
#include <span>
#include <system_error>

#include "base/log.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// The exception in flight as the one error type. Call from a catch block.
Error CurrentError() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::kOutOfMemory, "Out of memory",
                 "Close other programs, or use a machine with more memory");
  } catch (const std::filesystem::filesystem_error& error) {
    return Error(ErrorCode::kGeneral,
                 fmt::format("{}: {}", error.path1().string(), error.code().message()),
                 "Check the path and its permissions");
  } catch (const std::system_error& error) {
    return Error(ErrorCode::kGeneral, fmt::format("The system refused: {}", error.what()),
                 "Check the limits of processes and memory (ulimit -a), or use fewer --threads");
  } catch (const std::exception& error) {
    return Error(ErrorCode::kGeneral, fmt::format("Unexpected failure: {}", error.what()),
                 "Please report this with the command line that led to it");
  }
}

// In JSON mode the error object is the result, on stdout; people read it on stderr.
void PrintError(const Error& error, bool json) {
  if (json) {
    try {
      Output(json, stdout).Result(ErrorObject(error), "");
      return;
    } catch (const Error&) {
      // stdout takes nothing: stderr is what is left.
    }
  }
  LogError("Error: " + error.message());
  if (!error.suggestion().empty()) LogError("Suggestion: " + error.suggestion());
}

int Main(std::span<const char* const> arguments) {
  bool json = AsksForJson(arguments);
  try {
    const ParsedCommandLine command = ParseCommandLine(arguments);
    json = command.json;
    SetVerbosity(command.verbosity);
    InstallSignalHandlers(/*announce=*/command.verbosity != Verbosity::kQuiet);
    if (!command.run) {
      Output(/*json=*/false, stdout).Stream(command.text);
      return 0;
    }
    Output output(json, stdout);
    command.run(output);
    return 0;
  } catch (...) {
    const Error error = CurrentError();
    PrintError(error, json);
    return error.exit_code();
  }
}

}  // namespace
}  // namespace llmq

int main(int argc, char** argv) {
  llmq::ReserveStandardStreams();
  return llmq::Main({argv, static_cast<size_t>(argc)});
}
