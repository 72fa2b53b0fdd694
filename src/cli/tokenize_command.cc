// llm-quantize tokenize: what a model's tokenizer makes of a text, and of ids.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/model_source.h"
#include "llmq/error.h"
#include "llmq/model.h"

namespace llmq {
namespace {

constexpr size_t kFlushBytes = size_t{1} << 16;

struct TokenizeOptions {
  std::string model;
  std::string revision;
  std::optional<std::string> text;
  std::string file;  // "-": standard input
  bool decode = false;
  bool no_special = false;
  bool pieces = false;
  bool json_lines = false;
};

[[noreturn]] void ThrowArgument(const std::string& message) {
  throw Error(ErrorCode::kInvalidArguments, message, "Run 'llm-quantize tokenize --help'");
}

void CheckOptions(const TokenizeOptions& options) {
  if (options.text && !options.file.empty()) {
    ThrowArgument("expected at most one of TEXT and --file, found both");
  }
  if (options.decode && options.pieces) {
    ThrowArgument("expected at most one of --decode and --pieces, found both");
  }
}

std::string ReadInput(const std::string& file) {
  if (!file.empty() && file != "-") return ReadTextFile(file);
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

// The inputs: TEXT as a whole, or the lines of a file. Nothing follows the last line's end.
std::vector<std::string> ReadInputs(const TokenizeOptions& options) {
  if (options.text) return {*options.text};
  const std::string all = ReadInput(options.file);
  std::vector<std::string> lines;
  for (size_t at = 0; at < all.size();) {
    const size_t end = std::min(all.find('\n', at), all.size());
    lines.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// The text that an input stands for; "line 3" begins messages.
std::string TextOf(const std::string& input, bool json_lines, const std::string& where) {
  if (!json_lines) return input;
  try {
    const Json json = ParseJson(input, where);
    if (json.is_string()) return json.get<std::string>();
  } catch (const Error& error) {  // the base library does not know that this is the user's argument
    ThrowArgument(error.message());
  }
  ThrowArgument(fmt::format("{}: expected a JSON string, found {}", where, input.substr(0, 60)));
}

// Ids between spaces, commas and brackets, so that a list in JSON is one too.
std::vector<int32_t> IdsOf(std::string_view input, int64_t vocab_size, const std::string& where) {
  constexpr std::string_view kBetween = " \t\r\n,[]";
  std::vector<int32_t> ids;
  for (size_t at = 0; (at = input.find_first_not_of(kBetween, at)) != std::string_view::npos;) {
    const size_t end = std::min(input.find_first_of(kBetween, at), input.size());
    const std::string_view word = input.substr(at, end - at);
    int32_t id = -1;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || stop != word.data() + word.size() || id < 0 || id >= vocab_size) {
      ThrowArgument(fmt::format("{}: expected ids from 0 to {}, found '{}'", where, vocab_size - 1,
                                word.substr(0, 60)));
    }
    ids.push_back(id);
    at = end;
  }
  return ids;
}

std::string PiecesText(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string out;
  for (const int32_t id : ids) {
    out += fmt::format("{}\t{}\n", id, DumpJson(Json(tokenizer.IdToToken(id))));
  }
  return out;
}

// One input through the tokenizer: as an entry of the JSON result, and as people read it.
class LineTool {
 public:
  LineTool(const TokenizeOptions& options, const Tokenizer& tokenizer, Output& output)
      : options_(options), tokenizer_(tokenizer), output_(output) {}

  void Take(const std::string& input, const std::string& where) {
    if (options_.decode) {
      const auto ids = IdsOf(input, tokenizer_.vocab_size(), where);
      const std::string text = tokenizer_.Decode(ids, /*skip_special=*/options_.no_special);
      if (output_.json()) return entries_.push_back({{"text", text}});
      return Print((options_.json_lines ? DumpJson(Json(text)) : text) + "\n");
    }
    const std::string text = TextOf(input, options_.json_lines, where);
    const auto ids = tokenizer_.Encode(text, /*add_special=*/!options_.no_special);
    if (output_.json()) return entries_.push_back(Entry(ids));
    const bool pieces = options_.pieces;
    Print((pieces ? PiecesText(tokenizer_, ids) : fmt::format("{}", fmt::join(ids, " "))) + "\n");
  }

  Json Finish() {
    Print("", /*flush=*/true);
    return std::move(entries_);
  }

 private:
  Json Entry(const std::vector<int32_t>& ids) const {
    Json entry = {{"ids", ids}};
    if (options_.pieces) {
      entry["pieces"] = Json::array();
      for (const int32_t id : ids) entry["pieces"].push_back(tokenizer_.IdToToken(id));
    }
    return entry;
  }

  // A write for every line would make many lines slow.
  void Print(std::string_view text, bool flush = false) {
    waiting_ += text;
    if (!flush && waiting_.size() < kFlushBytes) return;
    output_.Stream(waiting_);
    waiting_.clear();
  }

  const TokenizeOptions& options_;
  const Tokenizer& tokenizer_;
  Output& output_;
  std::string waiting_;
  Json entries_ = Json::array();
};

void RunTokenize(const TokenizeOptions& options, Output& output) {
  CheckOptions(options);
  std::error_code failure;
  const std::filesystem::path path = options.model;
  const bool file = std::filesystem::is_regular_file(path, failure);
  const std::unique_ptr<Tokenizer> tokenizer = OpenTokenizer(
      file ? path
           : ResolveModel(options.model, options.revision, ModelNeed::kSmallFiles).directory);
  const std::vector<std::string> inputs = ReadInputs(options);
  LineTool tool(options, *tokenizer, output);
  for (size_t i = 0; i < inputs.size(); ++i) {
    ThrowIfInterrupted("tokenizing");
    tool.Take(inputs[i], options.text ? "TEXT" : fmt::format("line {}", i + 1));
  }
  const Json entries = tool.Finish();
  if (!output.json()) return;
  const auto id_or_null = [](std::optional<int32_t> id) { return id ? Json(*id) : Json(); };
  output.Result({{"status", "success"},
                 {"model", options.model},
                 {"vocab_size", tokenizer->vocab_size()},
                 {"bos_id", id_or_null(tokenizer->bos_id())},
                 {"eos_id", id_or_null(tokenizer->eos_id())},
                 {"lines", entries}},
                "");
}

}  // namespace

CommandRun SetupTokenize(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  app.add_option("MODEL", options->model,
                 "Model directory, model of the Hub, .littlebit or GGUF file")
      ->required();
  AddRevisionOption(app, options->revision);
  app.add_option("TEXT", options->text, "Text, or ids with decode; else standard input is read")
      ->type_name("TEXT");
  app.add_option("-f,--file", options->file, "Read this file, line by line")->type_name("PATH");
  app.add_flag("--decode", options->decode, "Ids in, text out");
  app.add_flag("--no-special", options->no_special,
               "Add no begin or end token; decoding, leave special tokens out");
  app.add_flag("--pieces", options->pieces, "Show each token's piece beside its id");
  app.add_flag("--json-lines", options->json_lines, "Every text is a JSON string on its line");
  app.footer(
      "Prints the ids of each line of the input on a line. The weights are not read.\n\n"
      "Examples:\n"
      "  llm-quantize tokenize ./model \"Once upon a time\"\n"
      "  llm-quantize tokenize ./model.gguf --pieces --no-special < story.txt\n"
      "  llm-quantize tokenize ./model.littlebit --decode \"1 413 439 261 386\"");
  return [options](Output& output) { RunTokenize(*options, output); };
}

}  // namespace llmq
