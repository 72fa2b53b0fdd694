// llm-quantize littlebit run: a prompt in, its continuation out, as it is written.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "cli/choice.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/model_source.h"
#include "cli/runtime_arguments.h"
#include "llmq/error.h"
#include "llmq/model.h"

namespace llmq {
namespace {

struct RunOptions {
  std::string model;
  std::optional<std::string> prompt;  // "-": standard input
  std::string prompt_file;
  int64_t max_new = 128;
  SamplingOptions sampling;
  RuntimeArguments runtime;
};

[[noreturn]] void ThrowArgument(const std::string& message) {
  throw Error(ErrorCode::kInvalidArguments, message, "Run 'llm-quantize littlebit run --help'");
}

void CheckValues(const RunOptions& options) {
  const SamplingOptions& sampling = options.sampling;
  if (options.max_new < 0)
    ThrowArgument(fmt::format("-n: expected 0 or more, found {}", options.max_new));
  if (!(sampling.temperature >= 0 && sampling.temperature <= 100)) {
    ThrowArgument(fmt::format("--temperature: expected 0 to 100, found {}", sampling.temperature));
  }
  if (sampling.top_k < 0)
    ThrowArgument(fmt::format("--top-k: expected 0 or more, found {}", sampling.top_k));
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    ThrowArgument(
        fmt::format("--top-p: expected a number above 0 and at most 1, found {}", sampling.top_p));
  }
  if (options.prompt.has_value() == !options.prompt_file.empty()) {
    ThrowArgument("expected a prompt: one of --prompt and --prompt-file");
  }
}

std::string ReadPrompt(const RunOptions& options) {
  if (!options.prompt_file.empty()) return ReadTextFile(options.prompt_file, uint64_t{64} << 20);
  if (*options.prompt != "-") return *options.prompt;
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

std::vector<int32_t> EncodePrompt(const Model& model, const std::string& prompt) {
  std::vector<int32_t> ids = model.tokenizer().Encode(prompt, /*add_special=*/true);
  if (ids.empty())
    ThrowArgument("--prompt: expected some text, found none (and the model has no BOS)");
  const int64_t context = model.config().max_position;
  if (static_cast<int64_t>(ids.size()) >= context) {
    ThrowArgument(
        fmt::format("prompt: expected fewer than {} tokens (the model's context), found {}",
                    context, ids.size()));
  }
  return ids;
}

std::vector<int64_t> EndIds(const Model& model) {
  std::vector<int64_t> ids = model.config().eos_token_ids;
  if (const auto eos = model.tokenizer().eos_id()) ids.push_back(*eos);
  return ids;
}

// Seconds since the start, at the moments that matter.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

struct Written {
  std::string text;
  GenerateResult result;
  double first_token_seconds = 0;  // reading the prompt
  double seconds = 0;

  double tokens_per_second() const {
    const double writing = seconds - first_token_seconds;
    const auto after_first = static_cast<double>(result.tokens.size()) - 1;
    return after_first > 0 && writing > 0 ? after_first / writing : 0;
  }
};

// Text of the prompt that a stream gives out only with what follows: bytes that may still become
// another character.
std::string HeldBack(const Tokenizer& tokenizer, const std::vector<int32_t>& prompt) {
  TokenStream stream(tokenizer);
  for (const int32_t id : prompt) stream.Push(id);
  return stream.Flush();
}

Written Write(const Model& model, const std::vector<int32_t>& prompt, int64_t max_new,
              const SamplingOptions& sampling, Output& output) {
  const auto session = Session::Create(model, static_cast<int64_t>(prompt.size()) + max_new);
  Written written;
  TokenStream stream(model.tokenizer());
  for (const int32_t id : prompt) stream.Push(id);  // a word's space depends on what is before it
  std::string of_prompt = HeldBack(model.tokenizer(), prompt);
  const auto emit = [&](std::string piece) {
    if (piece.empty()) return;
    if (piece.starts_with(of_prompt)) piece.erase(0, of_prompt.size());
    of_prompt.clear();
    written.text += piece;
    if (!output.json()) output.Stream(piece);
  };
  const Stopwatch watch;
  written.result = Generate(*session, prompt, max_new, sampling, EndIds(model), [&](int32_t id) {
    if (written.first_token_seconds == 0) written.first_token_seconds = watch.seconds();
    emit(stream.Push(id));
    return !InterruptRequested();
  });
  emit(stream.Flush());
  written.seconds = watch.seconds();
  return written;
}

void RunRun(const RunOptions& options, Output& output) {
  CheckValues(options);
  const RuntimeOptions runtime = ToRuntimeOptions(options.runtime);
  const std::unique_ptr<Model> model = Model::Open(ResolveRunnable(options.model), runtime);
  const std::vector<int32_t> prompt = EncodePrompt(*model, ReadPrompt(options));
  const int64_t room = model->config().max_position - static_cast<int64_t>(prompt.size());
  if (options.max_new > room) {
    LogWarning(fmt::format("Writing at most {} tokens: the model's context is {}", room,
                           model->config().max_position));
  }
  const Written written =
      Write(*model, prompt, std::min(options.max_new, room), options.sampling, output);
  if (!output.json()) output.Stream("\n");
  ThrowIfInterrupted("writing");
  LogInfo(fmt::format("Prompt: {} tokens in {:.2f} s; written: {} tokens, {:.1f} tokens/s",
                      prompt.size(), written.first_token_seconds, written.result.tokens.size(),
                      written.tokens_per_second()));
  if (!output.json()) return;
  output.Result({{"status", "success"},
                 {"model", options.model},
                 {"text", written.text},
                 {"tokens", written.result.tokens},
                 {"prompt_tokens", prompt.size()},
                 {"generated_tokens", written.result.tokens.size()},
                 {"reached_end", written.result.reached_end},
                 {"prompt_seconds", written.first_token_seconds},
                 {"duration_seconds", written.seconds},
                 {"tokens_per_second", written.tokens_per_second()}},
                "");
}

}  // namespace

CommandRun SetupRun(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  app.add_option("FILE", options->model,
                 "Path to a .littlebit or GGUF file or a model directory, or org/name[@revision] "
                 "of the Hub")
      ->required();
  app.add_option("-p,--prompt", options->prompt, "Text to continue; - reads standard input")
      ->type_name("TEXT");
  app.add_option("--prompt-file", options->prompt_file, "File with the text to continue")
      ->type_name("PATH");
  app.add_option("-n,--tokens", options->max_new, "Maximum number of tokens to write")
      ->type_name("INT")
      ->capture_default_str();
  app.add_option("--temperature", options->sampling.temperature, "0: always the likeliest token")
      ->type_name("FLOAT")
      ->capture_default_str();
  app.add_option("--top-k", options->sampling.top_k, "Choose among the k likeliest tokens (0: all)")
      ->type_name("INT")
      ->capture_default_str();
  app.add_option("--top-p", options->sampling.top_p,
                 "Choose among tokens of this total probability")
      ->type_name("FLOAT")
      ->capture_default_str();
  AddSeed(app, options->sampling.seed, "Seed of the choice");
  AddRuntimeOptions(app, "--threads", options->runtime);
  app.footer(
      "Prints the continuation, without the prompt, on standard output; timing goes to stderr.\n\n"
      "Examples:\n"
      "  llm-quantize littlebit run ./model.littlebit -p \"Once upon a time\" -n 100\n"
      "  llm-quantize littlebit run ./model.littlebit -p - --temperature 0.8 --top-p 0.9 < "
      "story.txt");
  return [options](Output& output) { RunRun(*options, output); };
}

}  // namespace llmq
