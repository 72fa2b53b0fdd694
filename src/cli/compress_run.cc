#include "cli/compress_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "cli/human_units.h"
#include "cli/quality_search.h"
#include "llmq/error.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

// A compressed file that is deleted unless it is delivered.
class TryFile {
 public:
  TryFile() = default;
  explicit TryFile(fs::path path) : path_(std::move(path)) {}
  ~TryFile() { Remove(); }
  TryFile(TryFile&& other) noexcept { std::swap(path_, other.path_); }
  TryFile& operator=(TryFile&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }

  const fs::path& path() const { return path_; }
  void DeliverAs(const fs::path& output) {
    fs::rename(path_, FollowLinks(output));
    path_.clear();
  }

 private:
  void Remove() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove(path_, ignored);
  }
  fs::path path_;
};

// "m.littlebit" -> "m.try-0.3000.littlebit": beside the output, so that delivering it is a rename.
fs::path TryPath(const fs::path& output, double bpw) {
  return FollowLinks(output).parent_path() /
         fmt::format("{}.try-{:.4f}{}", output.stem().string(), bpw, output.extension().string());
}

// Checkpoints live in subdirectories named after the output: a try resumes only if it left one.
bool HasCheckpoint(const fs::path& directory, const fs::path& output) {
  std::error_code failure;
  const std::string name = output.stem().string() + "-";
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, failure)) {
    if (entry.path().filename().string().starts_with(name)) return true;
  }
  return false;
}

// Compresses to options.output in the format asked for. A GGUF file is made from a .littlebit file
// beside it, which stays if that fails: hours of work are not thrown away.
CompressOutcome CompressTo(const CompressArguments& arguments, const CompressOptions& options,
                           CommandObserver& observer, Progress& progress) {
  CompressOutcome outcome;
  outcome.files = {options.output};
  const OutputFormat format = OutputFormatFromName(arguments.format);
  if (format == OutputFormat::kLittleBit) {
    outcome.report = Compress(options, observer);
    return outcome;
  }
  CompressOptions native = options;
  native.output = NativePath(options.output, format);
  outcome.report = Compress(native, observer);
  try {
    const LossyOptions lossy = MakeLossyOptions(arguments.gguf, arguments.threads);
    const Conversion conversion =
        Convert(LittleBitFile(native.output), options.output, format, lossy, progress);
    for (const std::string& warning : conversion.warnings) observer.Warning(warning);
    outcome.report.file_bytes = conversion.bytes;
    outcome.files = conversion.files;
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("{} (converting; the compressed model is complete: {})",
                            error.message(), native.output.string()),
                fmt::format("{}; then 'llm-quantize littlebit convert'", error.suggestion()));
  }
  fs::remove(native.output);
  return outcome;
}

// Measuring runs the original, all of it.
void AwaitOriginal(const CompressOptions& options, CommandObserver& observer) {
  if (options.arriving != nullptr) WaitForAll(*options.arriving);
  observer.ShowDownload();
}

struct Best {
  TryFile file;
  CompressReport report;
  Quality quality;
};

[[noreturn]] void ThrowUnachieved(double threshold, const std::vector<QualityTry>& tries,
                                  bool unachievable) {
  const QualityTry& best = *std::ranges::min_element(tries, {}, &QualityTry::perplexity_delta_pct);
  throw Error(
      ErrorCode::kQualityThresholdExceeded,
      fmt::format(
          "Quality degradation ({:.1f}%) exceeds threshold ({}%) at {} BPW, the best of {} {}{}",
          best.perplexity_delta_pct, threshold, FormatBpw(best.target_bpw), tries.size(),
          tries.size() == 1 ? "try" : "tries",
          unachievable ? " up to the maximum BPW" : ", the most allowed"),
      unachievable
          ? "Train longer (--train-tokens), raise or remove --quality-threshold, or raise the "
            "maximum "
            "BPW (LLM_QUANTIZE_LITTLEBIT_MAX_BPW)"
          : "Increase --target-bpw or allow more tries (LLM_QUANTIZE_LITTLEBIT_RANK_SEARCH)");
}

}  // namespace

fs::path NativePath(const fs::path& output, OutputFormat format) {
  if (format == OutputFormat::kLittleBit) return output;
  return fs::path(output).concat(".littlebit");
}

CompressOutcome CompressOnce(const CompressArguments& arguments, const CompressOptions& options,
                             const TextDataset& held_out, CommandObserver& observer,
                             Progress& progress) {
  CompressOutcome outcome = CompressTo(arguments, options, observer, progress);
  if (arguments.skip_validation) return outcome;
  try {
    AwaitOriginal(options, observer);
    QualityMeter meter(options.model, held_out, arguments.text.samples, arguments.threads,
                       progress);
    const std::unique_ptr<Model> compressed = meter.Open(outcome.files.front());
    outcome.quality = meter.Measure(*compressed);
    outcome.quality->coherence = meter.Coherence(*compressed);
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("{} (measuring; the compressed file is complete: {})", error.message(),
                            outcome.files.front().string()),
                error.suggestion());
  }
  return outcome;
}

CompressOutcome CompressToThreshold(const CompressArguments& arguments,
                                    const CompressEnvironment& environment,
                                    const CompressOptions& options, const TextDataset& held_out,
                                    CommandObserver& observer, Progress& progress) {
  const double threshold = *arguments.quality_threshold;
  const OutputFormat format = OutputFormatFromName(arguments.format);
  QualitySearch search(arguments.target_bpw, environment.max_bpw, environment.rank_search);
  AwaitOriginal(options, observer);
  QualityMeter meter(options.model, held_out, arguments.text.samples, arguments.threads, progress);
  CompressOutcome outcome;
  std::optional<Best> best;
  while (const std::optional<double> bpw = search.Next()) {
    CompressOptions attempt = options;
    attempt.rank.target_bpw = *bpw;
    attempt.output = TryPath(options.output, *bpw);
    attempt.resume =
        options.resume && HasCheckpoint(options.checkpoint_dir, NativePath(attempt.output, format));
    observer.Info(fmt::format("Try {}: {:.4f} BPW", outcome.tries.size() + 1, *bpw));
    TryFile file(attempt.output);
    CompressReport report = CompressTo(arguments, attempt, observer, progress).report;
    Quality quality = meter.Measure(*meter.Open(attempt.output));
    const bool passed = quality.delta_pct <= threshold;
    observer.Info(fmt::format("Try {}: Perplexity {}, {} the threshold ({}%)",
                              outcome.tries.size() + 1, PerplexityText(quality),
                              passed ? "within" : "beyond", threshold));
    outcome.tries.push_back({*bpw, report.body_bpw, quality.delta_pct, passed});
    search.Report(passed);
    if (passed) best = Best{std::move(file), std::move(report), std::move(quality)};
  }
  if (!best) ThrowUnachieved(threshold, outcome.tries, search.unachievable());
  best->quality.coherence = meter.Coherence(*meter.Open(best->file.path()));
  best->file.DeliverAs(options.output);
  outcome.files = {options.output};
  outcome.report = std::move(best->report);
  outcome.quality = std::move(best->quality);
  return outcome;
}

}  // namespace llmq
