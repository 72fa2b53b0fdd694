// llm-quantize info: what a model is, from its headers; with --check, whether its numbers are
// numbers.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "cli/compress_arguments.h"
#include "cli/human_units.h"
#include "cli/interrupt.h"
#include "cli/model_source.h"
#include "cli/progress.h"
#include "llmq/checkpoint.h"
#include "llmq/convert.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

struct ModelInfoOptions {
  std::string model;
  std::string revision;
  bool check = false;
};

struct Summary {
  std::string name;
  ModelConfig config;
  int64_t parameters = 0;
  std::string dtype;
};

// The name that torch uses for a type of safetensors, which config.json usually says itself.
std::string TorchName(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "float32";
    case DType::kF16: return "float16";
    case DType::kBF16: return "bfloat16";
    case DType::kF64: return "float64";
    default: return DTypeName(dtype);
  }
}

struct CheckResult {
  int64_t tensors = 0;
  int64_t nan = 0;
  int64_t inf = 0;
  std::vector<std::string> bad;  // "name (2 NaN, 1 Inf)"

  void Add(const TensorView& tensor) {
    const NonFiniteCount count = CountNonFinite(tensor);
    ++tensors;
    nan += count.nan;
    inf += count.inf;
    if (count.nan + count.inf == 0) return;
    bad.push_back(fmt::format("{} ({} NaN, {} Inf)", tensor.name, count.nan, count.inf));
  }
};

[[noreturn]] void ThrowNonFinite(const std::string& model, const CheckResult& check) {
  constexpr size_t kShown = 10;
  const std::vector<std::string> shown(
      check.bad.begin(), check.bad.begin() + static_cast<long>(std::min(kShown, check.bad.size())));
  throw Error(ErrorCode::kValidationFailed,
              fmt::format("{}: expected finite weights, found NaN or Inf in {} of {} tensors: {}{}",
                          model, check.bad.size(), check.tensors, fmt::join(shown, ", "),
                          check.bad.size() > kShown ? ", ..." : ""),
              "Download the model again, or repair these tensors");
}

CheckResult CheckCheckpoint(const Checkpoint& checkpoint) {
  CheckResult check;
  Progress progress;
  const auto total = static_cast<int64_t>(checkpoint.tensors().size());
  progress.Begin("Checking", total, 0, "tensors");
  for (const TensorView& tensor : checkpoint.tensors()) {
    check.Add(tensor);
    checkpoint.Release(tensor);
    ThrowIfInterrupted("checking weights");
    progress.Advance(check.tensors, tensor.name);
  }
  progress.End();
  return check;
}

// Dense tensors and the scales of compressed layers; signs and codes are finite by their
// nature.
void AddSection(const LittleBitSection& section, CheckResult& check) {
  if (section.kind == StorageKind::kDense) {
    check.Add({section.name, section.dtype, section.shape, section.data});
  }
  if (section.kind != StorageKind::kLittleBit) return;
  const auto add = [&](const char* part, const ScaleView& scale) {
    std::vector<uint16_t> halves(static_cast<size_t>(scale.size()));
    scale.CopyTo(halves.data());
    check.Add({fmt::format("{} {}", section.name, part),
               DType::kF16,
               {scale.size()},
               std::as_bytes(std::span(halves))});
  };
  for (const LittleBitPathView& path :
       ViewLittleBitPaths(section.littlebit_shape(), section.data)) {
    add("row scales", path.h);
    add("column scales", path.g);
    add("latent scales", path.l);
  }
}

CheckResult CheckLittleBit(const LittleBitFile& file) {
  file.Verify();  // checksums first: damaged bytes are a better explanation than odd numbers
  CheckResult check;
  for (const LittleBitSection& section : file.sections()) {
    AddSection(section, check);
    file.Release(section);
    ThrowIfInterrupted("checking weights");
  }
  return check;
}

Json SummaryJson(const Summary& summary) {
  Json json = {{"model_name", summary.name},
               {"architecture", summary.config.architecture},
               {"parameter_count", summary.parameters},
               {"hidden_size", summary.config.hidden_size},
               {"num_layers", summary.config.num_layers},
               {"num_heads", summary.config.num_heads},
               {"vocab_size", summary.config.vocab_size},
               {"torch_dtype", summary.dtype}};
  const ExpertConfig& experts = summary.config.experts;
  if (experts.count > 0) {
    json["num_experts"] = experts.count;
    json["experts_per_token"] = experts.per_token;
  }
  return json;
}

std::string SummaryText(const Summary& summary) {
  const ExpertConfig& experts = summary.config.experts;
  return fmt::format(
      "Model: {}\nArchitecture: {}\nParameters: {}\nHidden Size: {}\nLayers: {}\nHeads: {}\n{}"
      "Vocab Size: {}\nDtype: {}\n",
      summary.name, summary.config.architecture, FormatThousands(summary.parameters),
      summary.config.hidden_size, summary.config.num_layers, summary.config.num_heads,
      experts.count == 0
          ? std::string()
          : fmt::format("Experts: {}, {} per token\n", experts.count, experts.per_token),
      summary.config.vocab_size, summary.dtype);
}

void Print(const ModelInfoOptions& options, const Summary& summary, const CheckResult* check,
           Output& output) {
  if (check != nullptr && !check->bad.empty()) ThrowNonFinite(options.model, *check);
  Json json = SummaryJson(summary);
  std::string text = SummaryText(summary);
  if (check != nullptr) {
    json["check"] = {{"tensors", check->tensors}, {"nan", check->nan}, {"inf", check->inf}};
    text += fmt::format("Check: {} tensors, no NaN or Inf\n", check->tensors);
  }
  output.Result(json, text);
}

void PrintGguf(const ModelInfoOptions& options, Output& output) {
  const DenseGgufSummary gguf = SummarizeDenseGguf(options.model);
  CheckResult check;
  if (options.check) {
    const GgufFile file{std::filesystem::path(options.model)};
    check = {.tensors = static_cast<int64_t>(file.tensors().size()), .bad = NonFiniteTensors(file)};
  }
  Print(options,
        {gguf.name.empty() ? ModelName(options.model) : gguf.name, gguf.config, gguf.parameters,
         gguf.type},
        options.check ? &check : nullptr, output);
}

// Of a model of the Hub that cannot be asked: the shapes that config.json implies.
Summary SummaryOfConfig(const ModelSource& source) {
  const ModelFiles files = ReadModelFiles(source.directory);
  ModelConfig config = ParseModelConfig(files, (source.directory / "config.json").string());
  int64_t parameters = 0;
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) {
    parameters +=
        std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
  }
  const std::string dtype = config.torch_dtype.empty() ? "unknown" : config.torch_dtype;
  return {ModelName(source.name), std::move(config), parameters, dtype};
}

void RunModelInfo(const ModelInfoOptions& options, Output& output) {
  std::error_code failure;
  const bool is_gguf = LooksLikeGguf(options.model);
  const bool is_file = std::filesystem::is_regular_file(options.model, failure);
  if (HoldsLittleBit(options.model) || (is_file && !is_gguf)) {
    const LittleBitFile file{std::filesystem::path(options.model)};
    const Summary summary = {file.metadata().source_model, file.config(),
                             file.metadata().original_parameters, file.config().torch_dtype};
    CheckResult check;
    if (options.check) check = CheckLittleBit(file);
    return Print(options, summary, options.check ? &check : nullptr, output);
  }
  if (is_gguf) return PrintGguf(options, output);
  const ModelSource source = ResolveModel(
      options.model, options.revision, options.check ? ModelNeed::kWeights : ModelNeed::kHeaders);
  if (source.hub && !source.has_headers()) {
    return Print(options, SummaryOfConfig(source), nullptr, output);
  }
  const Checkpoint checkpoint(source.directory, source.arriving());
  const ModelConfig& config = checkpoint.config();
  const Summary summary = {ModelName(source.name), config, checkpoint.parameter_count(),
                           config.torch_dtype.empty()
                               ? TorchName(checkpoint.Find(kEmbeddingName)->dtype)
                               : config.torch_dtype};
  CheckResult check;
  if (options.check) check = CheckCheckpoint(checkpoint);
  Print(options, summary, options.check ? &check : nullptr, output);
}

}  // namespace

CommandRun SetupModelInfo(CLI::App& app) {
  auto options = std::make_shared<ModelInfoOptions>();
  app.add_option("MODEL", options->model,
                 "Model directory, .littlebit or GGUF file, or org/name[@revision] of the Hub")
      ->required();
  AddRevisionOption(app, options->revision);
  app.add_flag("--check", options->check, "Read all weights and look for NaN and Inf");
  app.footer(
      "Examples:\n"
      "  llm-quantize info ./model\n"
      "  llm-quantize info meta-llama/Llama-2-7b-hf\n"
      "  llm-quantize --format json info ./model --check");
  return [options](Output& output) { RunModelInfo(*options, output); };
}

}  // namespace llmq
