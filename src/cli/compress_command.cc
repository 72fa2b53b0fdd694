// llm-quantize littlebit compress: model directory in, .littlebit file out.
//
// Everything that can be refused is refused before the work starts (compress_arguments.h); the work
// is compress_run.h, the result compress_report.h.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <system_error>

#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/compress_arguments.h"
#include "cli/compress_options.h"
#include "cli/compress_plan.h"
#include "cli/compress_run.h"
#include "cli/gguf_options.h"
#include "cli/human_units.h"
#include "cli/model_source.h"
#include "llmq/checkpoint.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "llmq/tokenizer.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

// What could fail in the conversion fails before the work. Returns bytes of disk that it will need.
uint64_t CheckConversion(const CompressArguments& arguments, const ModelFiles& files,
                         const ModelConfig& config) {
  if (arguments.format != "gguf-lossy") return 0;
  const LossyOptions options = MakeLossyOptions(arguments.gguf, arguments.threads);
  if (arguments.quality_threshold && options.max_shard_bytes > 0) {
    throw Error(ErrorCode::kInvalidArguments,
                "--quality-threshold and --max-shard-size: expected only one of them",
                "Leave out --max-shard-size and split the file with llama-gguf-split");
  }
  if (!arguments.export_metadata.empty()) {
    throw Error(ErrorCode::kInvalidArguments,
                "--export-metadata and --format gguf-lossy: expected only one of them: that file "
                "has no factors",
                "Compress to littlebit, export with 'info', then convert");
  }
  return PlannedGgufLossyBytes(files, config, options, arguments.model);
}

void CheckMetadataPath(const fs::path& path, const fs::path& model, const TextArguments& text) {
  if (IsStream(path)) return;
  if (!CanHoldFile(path)) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--export-metadata {}: expected a file to write, found a directory",
                            path.string()),
                "Choose another path");
  }
  CheckOutputIsNoInput(path, model, text);
  const fs::path parent = path.parent_path();
  EnsureWritableDirectory(parent.empty() ? fs::path(".") : parent);
}

// The places that will be written. Creates the directories.
void CheckDestinations(const CompressArguments& arguments, const fs::path& model) {
  const fs::path output = OutputPath(arguments);
  CheckCanHoldOutput(output);
  CheckOutputIsNoInput(output, model, arguments.text);
  EnsureWritableDirectory(arguments.output_dir);
  if (!arguments.export_metadata.empty()) {
    if (fs::weakly_canonical(arguments.export_metadata) == fs::weakly_canonical(output)) {
      throw Error(ErrorCode::kInvalidArguments,
                  fmt::format("--export-metadata {}: expected another path than the output's",
                              arguments.export_metadata),
                  "Choose another path");
    }
    CheckMetadataPath(arguments.export_metadata, model, arguments.text);
  }
  std::error_code failure;
  if (!arguments.resume.empty() && !fs::is_directory(arguments.resume, failure)) {
    throw Error(
        ErrorCode::kCheckpointError,
        fmt::format("--resume {}: expected a checkpoint directory, found {}", arguments.resume,
                    fs::exists(arguments.resume, failure) ? "something else" : "nothing"),
        "Give the --checkpoint-dir of the interrupted run, or start afresh without --resume");
  }
  const fs::path native = NativePath(output, OutputFormatFromName(arguments.format));
  if (native != output && fs::exists(native, failure)) {
    throw Error(
        ErrorCode::kInvalidArguments,
        fmt::format("{}: expected no file there, found one: a run that could not be converted "
                    "left it",
                    native.string()),
        "Convert it with 'llm-quantize littlebit convert', or move it away");
  }
}

void LogStart(const CompressArguments& arguments, const ModelConfig& config, int64_t parameters) {
  std::error_code ignored;
  const fs::path output = OutputPath(arguments);
  if (fs::exists(output, ignored)) LogInfo(fmt::format("Replacing {}", output.string()));
  if (!arguments.resume.empty()) {
    LogInfo(fmt::format("Resuming from checkpoint: {}", arguments.resume));
  }
  LogInfo(fmt::format("LittleBit compression: {}", arguments.model));
  LogInfo(
      arguments.rank
          ? fmt::format("Target: rank {}, Format: {}", *arguments.rank, arguments.format)
          : fmt::format("Target: {} BPW{}, Format: {}", FormatBpw(arguments.target_bpw),
                        arguments.budget_scope == BudgetScope::kFile ? " of the whole file" : "",
                        arguments.format));
  LogInfo(fmt::format("Rank selection: {}", arguments.rank ? "MANUAL" : "AUTO"));
  LogInfo(fmt::format("Model loaded: {} layers, {} parameters", config.num_layers,
                      FormatCount(parameters)));
}

// No result below this rate has been published without training over many tokens; the paper's 0.1
// and 0.3 BPW took 196 million (arXiv 2506.13771). Ranks are whole numbers: a target of 0.55 may
// come to a little less.
constexpr double kTrainedRatesBelow = 0.99 * 0.55;
constexpr int64_t kManyTokens = 10'000'000;

// What to expect of a target that the training at hand can hardly carry, before hours of work.
void WarnAboutLimits(const CompressArguments& arguments, const CompressOptions& options,
                     const RankPlan& ranks, CommandObserver& observer) {
  if (ranks.body_bpw >= kTrainedRatesBelow || options.train.tokens >= kManyTokens) return;
  if (!arguments.recipe.time_budget.empty()) return;  // the number of tokens is not known yet
  observer.Warning(fmt::format(
      "{:.2f} bits per weight need long training: the published results took 196 million tokens, "
      "this run has {}. Expect a clear loss of quality; the validation will say how much",
      ranks.body_bpw, FormatThousands(options.train.tokens)));
}

// FR-014. The contract's warning, and what the coherence test says.
void WarnAboutQuality(const CompressArguments& arguments, const CompressReport& report,
                      const Quality& quality, CommandObserver& observer) {
  if (quality.severe() && !arguments.quality_threshold) {
    observer.Warning(fmt::format(
        "Significant quality degradation (expected for {} BPW)",
        arguments.rank ? fmt::format("{:.2f}", report.body_bpw) : FormatBpw(arguments.target_bpw)));
  }
  if (quality.coherence && !quality.coherence->passed) {
    observer.Warning(
        fmt::format("Coherence test {}: the model may write repetitive or senseless text",
                    CoherenceText(*quality.coherence)));
  }
}

void LogEnd(const CompressOutcome& outcome) {
  LogInfo(fmt::format("Complete: {}{} ({})", outcome.files.front().string(),
                      outcome.files.size() > 1 ? ", ..." : "",
                      FormatBytes(outcome.report.file_bytes)));
}

// Bytes that the download of weights will take from the output directory's file system.
uint64_t BytesToCome(const ModelSource& source, const CompressArguments& arguments) {
  if (source.arriving() == nullptr) return 0;
  const uint64_t bytes = source.hub->model.ExpectRoom();
  return OnSameFileSystem(arguments.output_dir, source.directory) ? bytes : 0;
}

// From here on the missing weights come while the work goes on.
void StartDownload(ModelSource& source, const Checkpoint& checkpoint, CompressOptions& options,
                   CommandObserver& observer) {
  if (!source.hub) return;
  options.weights_digest = source.hub->model.WeightsDigest();
  options.arriving = source.arriving();
  if (options.arriving == nullptr) return;
  LogInfo(fmt::format("Downloading {} weight file{} of {} meanwhile",
                      options.arriving->files().size(),
                      options.arriving->files().size() == 1 ? "" : "s", source.name));
  source.hub->observer.GoToBackground();
  source.hub->weights->Start(checkpoint.FilesInOrder(), [&] { observer.ShowDownload(); });
}

std::optional<DownloadReport> DownloadOf(const ModelSource& source) {
  if (source.arriving() == nullptr) return std::nullopt;
  const DownloadObserver& observer = source.hub->observer;
  return DownloadReport{observer.bytes(), observer.seconds(),
                        source.hub->weights->waited_seconds()};
}

void DryRun(const CompressArguments& arguments, const ModelSource& source, Output& output) {
  if (arguments.format != "littlebit") LogWarning("Sizes are those of --format littlebit");
  const CompressPlan plan =
      source.has_headers()
          ? PlanFromCheckpoint(arguments, Checkpoint(source.directory, source.arriving()))
          : PlanFromConfig(arguments, source.directory);
  output.Result(PlanJson(arguments, plan),
                PlanText(arguments, plan, GetVerbosity() >= Verbosity::kVerbose));
}

// What is left to check when headers and texts are known: destinations, formats, the disk.
CompressPlan CheckBeforeWork(const CompressArguments& arguments, const ModelSource& source,
                             const Checkpoint& checkpoint) {
  const uint64_t gguf_bytes = CheckConversion(arguments, checkpoint.files(), checkpoint.config());
  CompressPlan plan = PlanFromCheckpoint(arguments, checkpoint);
  CheckDestinations(arguments, source.directory);
  CheckDiskSpace(arguments.output_dir,
                 plan.file.file_bytes + gguf_bytes + BytesToCome(source, arguments));
  return plan;
}

void LogOutcome(const CompressArguments& arguments, const CompressOutcome& outcome,
                CommandObserver& observer) {
  LogInfo(fmt::format("Achieved: {:.2f} BPW, {:.1f}x compression", outcome.report.body_bpw,
                      CompressionRatio(outcome.report)));
  if (outcome.quality) {
    LogInfo(fmt::format("Quality: Perplexity {}", PerplexityText(*outcome.quality)));
    WarnAboutQuality(arguments, outcome.report, *outcome.quality, observer);
  }
  LogEnd(outcome);
}

CompressOutcome CompressAsAsked(const CompressArguments& arguments,
                                const CompressEnvironment& environment,
                                const CompressOptions& options, const TextDataset& held_out,
                                CommandObserver& observer, Progress& progress) {
  CompressOutcome outcome =
      arguments.quality_threshold
          ? CompressToThreshold(arguments, environment, options, held_out, observer, progress)
          : CompressOnce(arguments, options, held_out, observer, progress);
  if (!arguments.export_metadata.empty()) {
    WriteTextOutput(arguments.export_metadata,
                    ExportFactorizationMetadata(LittleBitFile(options.output), true));
  }
  return outcome;
}

// What will be tokenized can be, and suffices. A model whose tokenizer nobody needs here is not
// refused: its file will hold it as it is.
void CheckText(const CompressArguments& arguments, const CompressOptions& options,
               const Checkpoint& checkpoint, const TextDataset& held_out,
               CommandObserver& observer) {
  try {
    const auto tokenizer = Tokenizer::FromFiles(checkpoint.files(), arguments.model);
    if (arguments.skip_validation) return;
    size_t tokens = 0;
    for (const std::string& document : held_out.documents) {
      tokens += tokenizer->Encode(document, /*add_special=*/true).size();
      if (tokens >= 2) return;  // long texts are read once, by whoever measures with them
    }
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("{}: expected at least 2 tokens of text to measure with, found {}",
                            held_out.name, tokens),
                "Give more text, other text with --held-out-data, or --skip-validation");
  } catch (const Error& error) {
    if (!arguments.skip_validation || options.reads_text()) throw;
    observer.Warning(
        fmt::format("{}: the compressed model will not read or write text", error.message()));
  }
}

void RunCompress(CompressArguments arguments, Output& output) {
  const auto begin = std::chrono::steady_clock::now();
  const CompressEnvironment environment = ReadCompressEnvironment(LookUpInProcess);
  CheckCompressValues(arguments, environment);
  const std::string named = arguments.model;
  ModelSource source = ResolveModel(named, arguments.revision, ModelNeed::kHeaders);
  arguments.directory = source.directory;
  arguments.model = source.name;
  ChosenText text = ChooseText(arguments.text);
  if (arguments.dry_run) return DryRun(arguments, source, output);
  if (source.hub && !source.has_headers()) {  // the Hub could not be asked: it must be, or says why
    source = ResolveModel(named, arguments.revision, ModelNeed::kWeights);
    arguments.directory = source.directory;
  }
  // Every header and shape, before hours of work and gigabytes.
  const Checkpoint checkpoint(source.directory, source.arriving());
  const CompressPlan plan = CheckBeforeWork(arguments, source, checkpoint);

  CompressOptions options = MakeCompressOptions(arguments, environment);
  options.training_text = std::move(text.training);
  LogStart(arguments, checkpoint.config(), checkpoint.parameter_count());
  Progress progress;
  CommandObserver observer(checkpoint.config(), progress,
                           source.hub ? &source.hub->observer : nullptr);
  CheckText(arguments, options, checkpoint, text.held_out, observer);
  StartDownload(source, checkpoint, options, observer);
  WarnAboutLimits(arguments, options, plan.ranks, observer);
  CompressOutcome outcome =
      CompressAsAsked(arguments, environment, options, text.held_out, observer, progress);
  LogOutcome(arguments, outcome, observer);
  outcome.warnings = observer.warnings();
  outcome.download = DownloadOf(source);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  output.Result(CompressJson(arguments, checkpoint.config(), outcome),
                CompressText(arguments, outcome));
}

constexpr const char* kFooter = R"(Examples:
  llm-quantize littlebit compress ./model
  llm-quantize littlebit compress meta-llama/Llama-2-7b-hf
  llm-quantize littlebit compress ./model --target-bpw 0.1
  llm-quantize littlebit compress ./model --target-bpw 0.3 --quality-threshold 30
  llm-quantize littlebit compress ./model --rank 128 -n model-r128
  llm-quantize littlebit compress ./model --resume ./.checkpoint/
  llm-quantize --format json littlebit compress ./model > result.json)";

}  // namespace

CommandRun SetupCompress(CLI::App& app) {
  auto arguments = std::make_shared<CompressArguments>();
  AddCompressOptions(app, *arguments);
  app.footer(kFooter);
  return [arguments](Output& output) { RunCompress(*arguments, output); };
}

}  // namespace llmq
