// llm-quantize littlebit bench: how fast a model reads and writes, in llama-bench's words.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/choice.h"
#include "cli/command.h"
#include "cli/compress_report.h"
#include "cli/human_units.h"
#include "cli/interrupt.h"
#include "cli/model_source.h"
#include "cli/runtime_arguments.h"
#include "llmq/error.h"
#include "llmq/speed.h"

namespace llmq {
namespace {

enum class BenchWeights { kLittleBit, kF16 };

struct BenchOptions {
  std::string model;
  std::string shape;
  std::optional<double> bpw;
  BenchWeights weights = BenchWeights::kLittleBit;
  SpeedOptions speed;
  RuntimeArguments runtime;
};

struct Bench {
  std::string name;  // of the model
  std::string type;  // "llama-2-7b 0.55 BPW"
  ModelSize size;
  std::string kernels;
  int threads = 0;
  int64_t kv_bytes_per_token = 0;
  double load_seconds = 0;
  std::string begun;  // UTC
  std::vector<SpeedResult> results;
};

[[noreturn]] void ThrowArgument(const std::string& message) {
  throw Error(ErrorCode::kInvalidArguments, message, "Run 'llm-quantize littlebit bench --help'");
}

void CheckValues(const BenchOptions& options) {
  if (options.model.empty() == options.shape.empty()) ThrowArgument("expected FILE or --shape");
  const bool random = !options.shape.empty();
  if (!random && (options.bpw || options.weights != BenchWeights::kLittleBit))
    ThrowArgument("--bpw and --weights: expected --shape with them, found FILE");
  if (options.bpw && options.weights == BenchWeights::kF16)
    ThrowArgument("--bpw: expected weights of type littlebit, found f16");
  if (options.bpw && !(*options.bpw >= 0.05 && *options.bpw <= 4))
    ThrowArgument(fmt::format("--bpw: expected 0.05 to 4, found {}", *options.bpw));
  const SpeedOptions& speed = options.speed;
  if (speed.prompt_tokens < 0)
    ThrowArgument(fmt::format("-p: expected 0 or more, found {}", speed.prompt_tokens));
  if (speed.generated_tokens < 0)
    ThrowArgument(fmt::format("-n: expected 0 or more, found {}", speed.generated_tokens));
  if (speed.depth < 0) ThrowArgument(fmt::format("-d: expected 0 or more, found {}", speed.depth));
  if (speed.prompt_tokens + speed.generated_tokens == 0)
    ThrowArgument("-p and -n: expected one of them above 0, found 0");
  if (speed.repetitions < 1 || speed.repetitions > 1000)
    ThrowArgument(fmt::format("-r: expected 1 to 1000, found {}", speed.repetitions));
}

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::unique_ptr<Model> OpenOrMake(const BenchOptions& options, const RuntimeOptions& runtime) {
  if (options.shape.empty()) return Model::Open(ResolveRunnable(options.model), runtime);
  const double bpw = options.weights == BenchWeights::kF16 ? 0 : options.bpw.value_or(0.55);
  return MakeRandomModel(KnownShape(options.shape), {.bpw = bpw}, runtime);
}

Bench Measure(const BenchOptions& options) {
  Bench bench;
  bench.begun = UtcTime();
  const double begin = Seconds();
  const std::unique_ptr<Model> model = OpenOrMake(options, ToRuntimeOptions(options.runtime));
  bench.load_seconds = Seconds() - begin;
  bench.name = options.shape.empty() ? options.model : options.shape;
  bench.size = SizeOf(*model);
  bench.kernels = KernelsOf(*model);
  bench.threads = ThreadsOf(*model);
  bench.kv_bytes_per_token = KvBytesPerToken(*model);
  bench.type = options.shape.empty() ? model->config().model_type : options.shape;
  bench.type += bench.size.body_bpw > 0 ? fmt::format(" {:.3g} BPW", bench.size.body_bpw)
                : options.shape.empty() ? ""
                                        : " F16";
  bench.results = MeasureSpeed(*model, options.speed, [] { return !InterruptRequested(); });
  return bench;
}

// Only inputs of a compressed model are ever rounded.
const char* Activations(const BenchOptions& options, const Bench& bench) {
  return options.runtime.exact || bench.size.body_bpw == 0 ? "f32" : "int8";
}

std::string Table(const BenchOptions& options, const Bench& bench) {
  std::string text =
      "| model | size | params | kernels | activations | kv | threads | test | t/s |\n"
      "| --- | ---: | ---: | --- | --- | --- | ---: | ---: | ---: |\n";
  const RuntimeOptions runtime = ToRuntimeOptions(options.runtime);
  for (const SpeedResult& result : bench.results) {
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {:.2f} ± {:.2f} |\n", bench.type,
                        FormatBytes(bench.size.bytes), FormatCount(bench.size.parameters),
                        bench.kernels, Activations(options, bench), KvTypeName(runtime.kv),
                        bench.threads, result.name(), result.average_rate(), result.stddev_rate());
  }
  const SpeedResult& first = bench.results.front();
  text +=
      fmt::format("\nPeak memory: {}; keys and values: {} per token; loading: {:.2f} s",
                  FormatBytes(PeakMemoryBytes()),
                  FormatBytes(static_cast<uint64_t>(bench.kv_bytes_per_token)), bench.load_seconds);
  if (first.prompt_tokens > 0)
    text += fmt::format("; first token of {}: {:.3f} s", first.name(), first.average_seconds());
  return text + "\n";
}

// llama-bench's keys of one test.
Json ResultJson(const BenchOptions& options, const Bench& bench, const SpeedResult& result) {
  const RuntimeOptions runtime = ToRuntimeOptions(options.runtime);
  Json nanoseconds = Json::array();
  for (const double seconds : result.seconds) {
    nanoseconds.push_back(static_cast<int64_t>(seconds * 1e9));
  }
  return {{"model_filename", bench.name},
          {"model_type", bench.type},
          {"model_size", bench.size.bytes},
          {"model_n_params", bench.size.parameters},
          {"backends", bench.kernels == "cuda" ? "CUDA" : "CPU"},
          {"n_threads", bench.threads},
          {"type_k", KvTypeName(runtime.kv)},
          {"type_v", KvTypeName(runtime.kv)},
          {"n_prompt", result.prompt_tokens},
          {"n_gen", result.generated_tokens},
          {"n_depth", result.depth},
          {"test_time", bench.begun},
          {"avg_ns", static_cast<int64_t>(result.average_seconds() * 1e9)},
          {"stddev_ns", static_cast<int64_t>(result.stddev_seconds() * 1e9)},
          {"avg_ts", result.average_rate()},
          {"stddev_ts", result.stddev_rate()},
          {"cpu_ns", static_cast<int64_t>(result.cpu_seconds * 1e9)},
          {"samples_ns", nanoseconds},
          {"samples_ts", result.rates()}};
}

Json ReportJson(const BenchOptions& options, const Bench& bench) {
  Json json = {{"status", "success"},
               {"model", bench.name},
               {"kernels", bench.kernels},
               {"activations", Activations(options, bench)},
               {"body_bpw", bench.size.body_bpw},
               {"file_bytes", bench.size.bytes},
               {"peak_memory_bytes", PeakMemoryBytes()},
               {"kv_bytes_per_token", bench.kv_bytes_per_token},
               {"load_seconds", bench.load_seconds},
               {"first_token_seconds", nullptr},
               {"results", Json::array()}};
  if (bench.results.front().prompt_tokens > 0)
    json["first_token_seconds"] = bench.results.front().average_seconds();
  for (const SpeedResult& result : bench.results)
    json["results"].push_back(ResultJson(options, bench, result));
  return json;
}

void RunBench(const BenchOptions& options, Output& output) {
  CheckValues(options);
  const Bench bench = Measure(options);
  output.Result(ReportJson(options, bench), Table(options, bench));
}

}  // namespace

CommandRun SetupBench(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  app.add_option(
      "FILE", options->model,
      "Path to a .littlebit or GGUF file or a model directory, or org/name[@revision] of the Hub");
  app.add_option("--shape", options->shape, "Random weights of a known model's shape instead")
      ->type_name("NAME");
  app.add_option("--bpw", options->bpw, "Bits per weight of random weights [0.55]")
      ->type_name("FLOAT");
  const Choices<BenchWeights> weights = {{"littlebit", BenchWeights::kLittleBit},
                                         {"f16", BenchWeights::kF16}};
  app.add_option("--weights", options->weights, "Random weights: littlebit or f16 [littlebit]")
      ->type_name("TYPE")
      ->transform(OneOf(weights));
  app.add_option("-p,--n-prompt", options->speed.prompt_tokens, "Tokens to read at once (0: none)")
      ->type_name("INT")
      ->capture_default_str();
  app.add_option("-n,--n-gen", options->speed.generated_tokens,
                 "Tokens to write one by one (0: none)")
      ->type_name("INT")
      ->capture_default_str();
  app.add_option("-d,--n-depth", options->speed.depth, "Tokens in the cache before each test")
      ->type_name("INT")
      ->capture_default_str();
  app.add_option("-r,--repetitions", options->speed.repetitions, "Repetitions of each test")
      ->type_name("INT")
      ->capture_default_str();
  AddRuntimeOptions(app, "-t,--threads", options->runtime);
  std::string names;
  for (const std::string& name : KnownShapes()) names += (names.empty() ? "" : ", ") + name;
  app.footer("Shapes are " + names +
             ".\n\nExamples:\n"
             "  llm-quantize littlebit bench ./model.littlebit\n"
             "  llm-quantize littlebit bench --shape llama-2-7b --bpw 0.55 -p 0 -n 32\n"
             "  llm-quantize littlebit bench --shape llama-2-7b --weights f16 -p 0 -n 8 -r 2");
  return [options](Output& output) { RunBench(*options, output); };
}

}  // namespace llmq
