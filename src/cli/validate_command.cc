// llm-quantize littlebit validate: a compressed model beside its original.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/benchmark_source.h"
#include "cli/choice.h"
#include "cli/command.h"
#include "cli/compress_arguments.h"
#include "cli/human_units.h"
#include "cli/model_source.h"
#include "cli/quality_meter.h"
#include "cli/runtime_arguments.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

struct ValidateOptions {
  std::string original;
  std::string revision;
  std::string compressed;
  TextArguments text;
  Protocol protocol = Protocol::kPaper;
  bool coherence_test = false;
  std::optional<BenchmarkChoice> benchmark;
  std::string benchmark_data;
  int64_t benchmark_items = 0;  // 0: all
  int threads = 0;
  bool exact = true;
  KvType kv = KvType::kF32;
  RunDevice device = RunDevice::kAuto;
};

struct BenchmarkPair {
  BenchmarkResult original;
  BenchmarkResult compressed;
};

struct Validation {
  Quality quality;
  std::optional<BenchmarkPair> benchmark;
  double bpw = 0;  // of the compressed model's body; 0 if it is a directory
};

enum class Verdict { kGood, kAcceptable, kPoor };

// At most 10 % more perplexity is hard to notice; twice the perplexity is another model.
Verdict Judge(const Quality& quality) {
  const bool incoherent = quality.coherence && !quality.coherence->passed;
  if (quality.delta_pct > 100 || incoherent) return Verdict::kPoor;
  return quality.delta_pct > 10 ? Verdict::kAcceptable : Verdict::kGood;
}

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood: return "GOOD";
    case Verdict::kAcceptable: return "ACCEPTABLE";
    case Verdict::kPoor: return "POOR";
  }
  return "POOR";
}

std::string VerdictText(Verdict verdict, const Validation& validation) {
  const std::string expected =
      validation.bpw > 0 ? fmt::format(", expected for {:.2g} BPW", validation.bpw) : "";
  if (verdict == Verdict::kGood) return "GOOD (close to the original)";
  if (verdict == Verdict::kAcceptable) {
    return fmt::format("ACCEPTABLE ({})", validation.quality.severe()
                                              ? "significant quality loss" + expected
                                              : std::string("some quality loss"));
  }
  return fmt::format(
      "POOR ({})", validation.quality.delta_pct > 100 ? "severe quality loss" : "incoherent text");
}

Json BenchmarkJson(const char* name, const BenchmarkPair& pair) {
  const auto side = [](const BenchmarkResult& result) {
    Json json = {{result.metric, result.value}, {"items", result.items}};
    if (result.metric != "perplexity") json["acc"] = result.accuracy;
    return json;
  };
  return {{"name", name},
          {"metric", pair.original.metric},
          {"original", side(pair.original)},
          {"compressed", side(pair.compressed)}};
}

Json ValidationJson(const ValidateOptions& options, const Validation& validation) {
  const Verdict verdict = Judge(validation.quality);
  Json json = {{"status", "success"},
               {"original", options.original},
               {"compressed", options.compressed},
               {"quality_metrics", QualityJson(validation.quality, verdict != Verdict::kPoor)},
               {"verdict", VerdictName(verdict)},
               {"verdict_text", VerdictText(verdict, validation)}};
  if (validation.bpw > 0) json["achieved_bpw"] = validation.bpw;
  if (validation.quality.coherence) {
    json["coherence"] = CoherenceJson(*validation.quality.coherence, true);
  }
  if (validation.benchmark)
    json["benchmark"] = BenchmarkJson(BenchmarkName(*options.benchmark), *validation.benchmark);
  return json;
}

std::string ValidationText(const ValidateOptions& options, const Validation& validation) {
  const Quality& quality = validation.quality;
  std::string text = fmt::format(
      "Validation: {} vs {}\n\nQuality Metrics:\n  Perplexity (Original): {:.2f}\n"
      "  Perplexity (Compressed): {:.2f}\n  Perplexity Delta: {}\n"
      "  Measured On: {} ({} tokens in {} windows of {})\n",
      options.compressed, options.original, quality.original.perplexity,
      quality.compressed.perplexity, FormatDelta(quality.delta_pct), quality.dataset,
      quality.compressed.scored_tokens, quality.compressed.windows,
      quality.compressed.window_tokens);
  if (validation.benchmark) {
    const BenchmarkPair& pair = *validation.benchmark;
    text +=
        fmt::format("\nBenchmark {} ({}, {} items):\n  Original: {:.4f}\n  Compressed: {:.4f}\n",
                    BenchmarkName(*options.benchmark), pair.original.metric, pair.original.items,
                    pair.original.value, pair.compressed.value);
  }
  if (quality.coherence) {
    text += fmt::format("\nCoherence Test: {}\n", CoherenceText(*quality.coherence));
  }
  return text + fmt::format("\nVerdict: {}\n", VerdictText(Judge(quality), validation));
}

void CheckValues(const ValidateOptions& options) {
  CheckSampleCount(options.text.samples);
  if (!options.benchmark && (!options.benchmark_data.empty() || options.benchmark_items != 0)) {
    throw Error(
        ErrorCode::kInvalidArguments,
        fmt::format("{}: expected --benchmark beside it",
                    options.benchmark_data.empty() ? "--benchmark-items" : "--benchmark-data"),
        "Add --benchmark wikitext, hellaswag or arc");
  }
  if (options.benchmark_items < 0 || options.threads < 0 || options.threads > 4096) {
    throw Error(ErrorCode::kInvalidArguments,
                "--benchmark-items and --threads: expected 0 or more (threads: at most 4096)",
                "Run 'llm-quantize littlebit validate --help'");
  }
}

void RunValidate(const ValidateOptions& options, Output& output) {
  CheckValues(options);
  const std::filesystem::path original =
      ResolveModel(options.original, options.revision, ModelNeed::kWeights).directory;
  const std::filesystem::path other = ResolveRunnable(options.compressed);
  std::vector<std::filesystem::path> items;
  if (options.benchmark) items = BenchmarkFiles(*options.benchmark, options.benchmark_data);
  Progress progress;
  QualityMeter meter(original, ChooseText(options.text).held_out, options.text.samples,
                     options.threads, progress, options.protocol);
  const std::unique_ptr<Model> compressed =
      meter.Open(other, {.exact = options.exact, .kv = options.kv, .device = options.device});
  Validation validation;
  if (HoldsLittleBit(other)) {
    validation.bpw = LittleBitFile(other).body_bpw();
  }
  validation.quality = meter.Measure(*compressed);
  if (options.benchmark) {
    const auto measure = [&](const Model& model, const char* stage) {
      return RunBenchmark(model, ProtocolOf(*options.benchmark), items, options.benchmark_items,
                          meter.Watch(stage, "items"));
    };
    validation.benchmark = BenchmarkPair{measure(meter.original(), "Benchmark (original)"),
                                         measure(*compressed, "Benchmark (compressed)")};
  }
  if (options.coherence_test) validation.quality.coherence = meter.Coherence(*compressed);
  output.Result(ValidationJson(options, validation), ValidationText(options, validation));
}

void AddModels(CLI::App& app, ValidateOptions& options) {
  app.add_option("ORIGINAL", options.original,
                 "Original model directory, or org/name[@revision] of the Hub")
      ->required();
  app.add_option("COMPRESSED", options.compressed,
                 "Path to a .littlebit or GGUF file or a model directory, or org/name[@revision] "
                 "of the Hub")
      ->required();
  AddRevisionOption(app, options.revision);
}

void AddPerplexityOptions(CLI::App& app, ValidateOptions& options) {
  app.add_option("--calibration-data", options.text.calibration_data,
                 "Text whose held-out part measures: .txt, .jsonl, .json, .parquet (built-in text "
                 "if not set)")
      ->type_name("PATH");
  app.add_option("--held-out-data", options.text.held_out_data,
                 "Text to measure with, all of it, instead of the held-out part")
      ->type_name("PATH");
  app.add_option("--calibration-samples", options.text.samples,
                 "Maximum number of windows to measure on (64-1024)")
      ->type_name("INT")
      ->capture_default_str();
  const Choices<Protocol> protocols = {{"paper", Protocol::kPaper},
                                       {"llama.cpp", Protocol::kLlamaCpp}};
  AddChoice(app, "--protocol", options.protocol, protocols,
            "How perplexity is measured: paper, llama.cpp (as llama-perplexity does)")
      ->default_str("paper");
}

void AddBenchmarkOptions(CLI::App& app, ValidateOptions& options) {
  Choices<BenchmarkChoice> benchmarks;
  for (const auto choice :
       {BenchmarkChoice::kWikitext, BenchmarkChoice::kHellaSwag, BenchmarkChoice::kArc,
        BenchmarkChoice::kArcEasy, BenchmarkChoice::kArcChallenge}) {
    benchmarks[BenchmarkName(choice)] = choice;
  }
  AddChoice(app, "--benchmark", options.benchmark, benchmarks,
            "Run a benchmark: wikitext, hellaswag, arc (both), arc-easy, arc-challenge");
  app.add_option("--benchmark-data", options.benchmark_data,
                 "The benchmark's local file: Parquet, JSONL, text (from the Hub if not set)")
      ->type_name("PATH");
  app.add_option("--benchmark-items", options.benchmark_items,
                 "Maximum number of its items (0: all)")
      ->type_name("INT")
      ->capture_default_str();
}

void AddRuntimeOptions(CLI::App& app, ValidateOptions& options) {
  const Choices<bool> activations = {{"f32", true}, {"int8", false}};
  app.add_option("--activations", options.exact,
                 "Of the compressed model: f32, or int8 as run has them [f32]")
      ->type_name("TYPE")
      ->transform(OneOf(activations));
  AddKvOption(app, "Keys and values of the compressed model: f32, f16, q8 or latent [f32]",
              options.kv);
  AddDeviceOption(app, "Where to run the compressed model: auto, cpu or cuda [auto]",
                  options.device);
  app.add_option("--threads", options.threads, "Threads (0: one per core)")
      ->type_name("INT")
      ->capture_default_str();
}

constexpr const char* kFooter =
    "Verdicts: GOOD (at most 10 % more perplexity), ACCEPTABLE (at most 100 % more), POOR\n"
    "(more, or an incoherent model).\n\n"
    "Examples:\n"
    "  llm-quantize littlebit validate ./model ./model.littlebit --coherence-test\n"
    "  llm-quantize littlebit validate ./model ./model.littlebit --benchmark hellaswag";

}  // namespace

CommandRun SetupValidate(CLI::App& app) {
  auto options = std::make_shared<ValidateOptions>();
  AddModels(app, *options);
  AddPerplexityOptions(app, *options);
  app.add_flag("--coherence-test", options->coherence_test,
               "Run coherence test with sample prompts");
  AddBenchmarkOptions(app, *options);
  AddRuntimeOptions(app, *options);
  app.footer(kFooter);
  return [options](Output& output) { RunValidate(*options, output); };
}

}  // namespace llmq
