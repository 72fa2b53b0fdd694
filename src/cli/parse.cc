#include "cli/parse.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <numeric>
#include <regex>
#include <string_view>
#include <vector>

#include "cli/choice.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr const char* kFooter = R"(Examples:
  llm-quantize littlebit compress ./model --target-bpw 0.5
  llm-quantize littlebit validate ./model ./model.littlebit --coherence-test
  llm-quantize littlebit run ./model.littlebit -p "Once upon a time" -n 100
  llm-quantize --format json littlebit info ./model.littlebit

'llm-quantize COMMAND --help' describes a command; docs/cli.md describes everything.)";

const Choices<Verbosity> kVerbosities = {{"quiet", Verbosity::kQuiet},
                                         {"normal", Verbosity::kNormal},
                                         {"verbose", Verbosity::kVerbose},
                                         {"debug", Verbosity::kDebug}};

std::shared_ptr<CLI::Formatter> MakeFormatter() {
  auto formatter = std::make_shared<CLI::Formatter>();
  formatter->label("SUBCOMMAND", "COMMAND");
  formatter->label("Positionals", "Arguments");
  formatter->label("REQUIRED", "");
  formatter->column_width(32);
  return formatter;
}

// The command the user got to: "llm-quantize littlebit compress".
const CLI::App* DeepestCommand(const CLI::App& app) {
  const CLI::App* deepest = &app;
  while (!deepest->get_subcommands().empty()) deepest = deepest->get_subcommands().front();
  return deepest;
}

std::string FullName(const CLI::App* app) {
  const std::string above = app->get_parent() != nullptr ? FullName(app->get_parent()) + " " : "";
  return above + app->get_name();
}

std::vector<std::string> OptionNames(const CLI::App* app) {
  std::vector<std::string> names;
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    }
  }
  return names;
}

std::vector<std::string> CommandNames(const CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

// A word that the grammar has no place for: an unknown option, command, or one argument too many.
Error UnexpectedWord(const CLI::App* command, const std::string& word) {
  const bool is_option = word.size() > 1 && word.front() == '-';
  const std::string name = word.substr(0, word.find('='));
  std::string closest;
  if (is_option) {
    closest = ClosestWord(name, OptionNames(command));
  } else {
    // "littelbit info m" is read as the command info: the misspelt word may belong to a level
    // above.
    for (const CLI::App* level = command; level != nullptr && closest.empty();
         level = level->get_parent()) {
      closest = ClosestWord(name, CommandNames(level));
    }
  }
  const bool is_command = !closest.empty() || !CommandNames(command).empty();
  const char* kind = is_option ? "option" : is_command ? "command" : "argument";
  const std::string help = fmt::format("Run '{} --help'", FullName(command));
  return Error(ErrorCode::kInvalidArguments,
               fmt::format("{}: unexpected {} '{}'", FullName(command), kind, name),
               closest.empty() ? help : fmt::format("Did you mean '{}'?", closest));
}

Error FromParseError(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = DeepestCommand(app);
  const std::vector<std::string> unexpected = app.remaining(true);
  if (!unexpected.empty()) return UnexpectedWord(command, unexpected.front());
  const std::string help = fmt::format("Run '{} --help'", FullName(command));
  if (!CommandNames(command).empty() && command->get_subcommands().empty()) {
    return Error(ErrorCode::kInvalidArguments,
                 fmt::format("{}: expected a command: {}", FullName(command),
                             fmt::join(CommandNames(command), ", ")),
                 help);
  }
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  const bool json_container = command->get_name() == "compress" &&
                              message.find("--format") != std::string::npos &&
                              message.find("json") != std::string::npos;
  return Error(ErrorCode::kInvalidArguments, fmt::format("{}: {}", FullName(command), message),
               json_container
                   ? "For JSON output write 'llm-quantize --format json littlebit compress ...'"
                   : help);
}

// What a value of an option of this type was expected to be, or nullptr if it is.
const char* ExpectedInstead(const std::string& type, const std::string& value) {
  static const std::regex kInteger("[+-]?(0|[1-9][0-9]*)");
  constexpr size_t kTooLong = 19;  // characters: what is shorter fits into 64 bits
  if (type == "INT") {
    if (!std::regex_match(value, kInteger)) return "a decimal integer";
    return value.size() < kTooLong ? nullptr : "an integer of at most 18 digits";
  }
  if (!value.empty()) return nullptr;
  return type == "FLOAT" ? "a number" : type == "PATH" ? "a path" : nullptr;
}

// CLI11 takes "" as 0, "010" as 8 and cuts integers that are too large. A script with an unset
// variable must not train on 0 tokens, or on the built-in text, unnoticed.
void CheckValues(const CLI::App& app) {
  const CLI::App* command = DeepestCommand(app);
  for (const CLI::Option* option : command->get_options()) {
    for (const std::string& value : option->results()) {
      const char* expected = ExpectedInstead(option->get_type_name(), value);
      if (expected == nullptr) continue;
      throw Error(ErrorCode::kInvalidArguments,
                  fmt::format("{}: {}: expected {}, found '{}'", FullName(command),
                              option->get_name(), expected, value),
                  fmt::format("Run '{} --help'", FullName(command)));
    }
  }
}

void AddGlobalOptions(CLI::App& app, ParsedCommandLine& parsed, std::string& format) {
  app.set_help_flag("-h,--help", "Show this message and exit");
  app.set_version_flag("--version", "llm-quantize, version " LLMQ_VERSION,
                       "Show the version and exit");
  app.add_option("--format", format, "Output format: human, json")
      ->type_name("TEXT")
      ->default_str("human")
      ->check(CLI::IsMember({"human", "json"}).description(""));
  AddChoice(app, "--verbosity", parsed.verbosity, kVerbosities, "quiet, normal, verbose or debug")
      ->default_str("normal");
}

}  // namespace

bool AsksForJson(std::span<const char* const> arguments) {
  bool json = false;
  for (size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (word == "--") break;
    if (word == "--format=json") json = true;
    if (word == "--format" && i + 1 < arguments.size()) {
      json |= std::string_view(arguments[i + 1]) == "json";
    }
  }
  return json;
}

std::string ClosestWord(const std::string& word, std::span<const std::string> candidates) {
  // Levenshtein distance, one row at a time; a third of the letters may differ.
  const auto distance = [&word](const std::string& other) {
    std::vector<size_t> row(other.size() + 1);  // [other + 1]
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= other.size(); ++j) {
        const size_t changed = diagonal + (word[i - 1] == other[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
      }
    }
    return row.back();
  };
  std::string closest;
  size_t best = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t edits = distance(candidate);
    if (edits >= best || edits >= candidate.size()) continue;
    best = edits;
    closest = candidate;
  }
  return closest;
}

ParsedCommandLine ParseCommandLine(std::span<const char* const> arguments) {
  ParsedCommandLine parsed;
  std::string format = "human";
  CLI::App app("Compresses large language models below one bit per weight and runs them.",
               "llm-quantize");
  app.formatter(MakeFormatter());
  app.footer(kFooter);
  AddGlobalOptions(app, parsed, format);
  app.require_subcommand(1);
  app.fallthrough();  // inherited: global options may also stand after the command

  CLI::App* littlebit = app.add_subcommand("littlebit", "LittleBit ultra-low-bit compression");
  littlebit->group("Commands");
  littlebit->require_subcommand(1);
  for (const Command& command : Commands()) {
    CLI::App* group = std::string_view(command.group).empty() ? &app : littlebit;
    CLI::App* subcommand = group->add_subcommand(command.name, command.summary);
    subcommand->group("Commands");
    subcommand->callback([&parsed, run = command.setup(*subcommand)] { parsed.run = run; });
  }

  try {
    app.parse(static_cast<int>(arguments.size()), arguments.data());
    CheckValues(app);
  } catch (const CLI::CallForHelp&) {
    parsed.text = app.help();
  } catch (const CLI::CallForVersion& version) {
    parsed.text = std::string(version.what()) + "\n";
  } catch (const CLI::ParseError& error) {
    throw FromParseError(app, error);
  }
  parsed.json = format == "json";
  return parsed;
}

}  // namespace llmq
