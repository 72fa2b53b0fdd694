#include "cli/compress_arguments.h"

#include <fmt/format.h>

#include <cmath>
#include <regex>
#include <system_error>

#include "base/file.h"
#include "cli/gguf_options.h"
#include "cli/human_units.h"
#include "llmq/checkpoint.h"
#include "llmq/error.h"
#include "llmq/file_budget.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

template <typename T>
[[noreturn]] void ThrowRange(
    const char* option, const char* expected, T found,
    const char* suggestion = "Run 'llm-quantize littlebit compress --help'") {
  throw Error(ErrorCode::kInvalidArguments,
              fmt::format("{}: expected {}, found {}", option, expected, found), suggestion);
}

void CheckBpw(double bpw, const CompressEnvironment& environment) {
  const std::string low = FormatBpw(environment.min_bpw);
  const std::string high = FormatBpw(environment.max_bpw);
  const std::string suggestion = fmt::format("Use target BPW between {} and {}", low, high);
  const std::string found = FormatBpw(bpw);
  const auto refuse = [&](const std::string& message) {
    throw Error(ErrorCode::kInvalidBpwRange, message, suggestion);
  };
  if (std::isnan(bpw)) refuse(fmt::format("Target BPW {} is not a number", found));
  if (bpw < environment.min_bpw) {
    refuse(fmt::format("Target BPW {} is below minimum supported ({})", found, low));
  }
  if (bpw > environment.max_bpw) {
    refuse(fmt::format("Target BPW {} is above maximum supported ({})", found, high));
  }
}

void CheckTraining(const CompressArguments& arguments) {
  if (arguments.train.batch_sequences < 1 || arguments.train.batch_sequences > 4096) {
    ThrowRange("--train-batch", "1 to 4096 sequences", arguments.train.batch_sequences);
  }
}

void CheckConflicts(const CompressArguments& arguments) {
  if (!arguments.recipe.time_budget.empty() && arguments.quality_threshold) {
    throw Error(
        ErrorCode::kInvalidArguments,
        "--time-budget and --quality-threshold: expected only one of them: the search makes "
        "as many tries as it needs",
        "Leave out --time-budget");
  }
  if (arguments.rank && arguments.quality_threshold) {
    throw Error(ErrorCode::kInvalidArguments,
                "--rank and --quality-threshold: expected only one of them: the search for quality "
                "changes the BPW, which a manual rank overrides",
                "Leave out --rank");
  }
  if (arguments.quality_threshold && arguments.skip_validation) {
    throw Error(
        ErrorCode::kInvalidArguments,
        "--quality-threshold and --skip-validation: expected only one of them: the threshold "
        "is checked by the validation",
        "Leave out --skip-validation");
  }
  if (arguments.rank && arguments.budget_scope == BudgetScope::kFile) {
    throw Error(
        ErrorCode::kInvalidArguments,
        "--rank and --budget-scope file: expected only one of them: a manual rank overrides "
        "the budget",
        "Leave out --rank");
  }
  if (arguments.format != "littlebit" && arguments.budget_scope == BudgetScope::kFile) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--format {} and --budget-scope file: expected only one of them: the "
                            "budget counts the bytes of a .littlebit file",
                            arguments.format),
                "Compress to littlebit, then use 'littlebit convert'");
  }
  if (!arguments.resume.empty() && arguments.no_checkpoints) {
    throw Error(ErrorCode::kInvalidArguments,
                "--resume and --no-checkpoints: expected only one of them: a resumed run reads and "
                "writes checkpoints",
                "Leave out --no-checkpoints");
  }
  if (!arguments.resume.empty() && !arguments.checkpoint_dir.empty()) {
    throw Error(
        ErrorCode::kInvalidArguments,
        "--resume and --checkpoint-dir: expected only one of them: both name the checkpoint "
        "directory",
        "Leave out --checkpoint-dir");
  }
}

bool SameFile(const fs::path& a, const fs::path& b) {
  std::error_code failure;
  return fs::equivalent(a, b, failure) && !failure;  // compares device and inode
}

}  // namespace

void CheckSampleCount(int64_t samples) {
  if (samples >= 64 && samples <= 1024) return;
  ThrowRange("--calibration-samples", "64 to 1024", samples, "Choose a number in between");
}

void CheckCompressValues(const CompressArguments& arguments,
                         const CompressEnvironment& environment) {
  CheckBpw(arguments.target_bpw, environment);
  if (arguments.rank && *arguments.rank <= 0) {
    ThrowRange("--rank", "a positive integer", *arguments.rank);
  }
  if (const auto threshold = arguments.quality_threshold;
      threshold && !(std::isfinite(*threshold) && *threshold > 0)) {
    ThrowRange("--quality-threshold", "a positive percentage", *threshold);
  }
  CheckSampleCount(arguments.text.samples);
  (void)MakeLossyOptions(arguments.gguf, arguments.threads);  // whatever the format
  CheckTraining(arguments);
  CheckRecipeValues(arguments.recipe);
  if (arguments.threads < 0 || arguments.threads > 4096) {
    ThrowRange("--threads", "0 (one per core) to 4096", arguments.threads);
  }
  if (!std::regex_match(arguments.device, std::regex("auto|cpu|cuda(:[0-9]{1,3})?"))) {
    ThrowRange("--device", "auto, cpu, cuda or cuda:N", "'" + arguments.device + "'");
  }
  if (arguments.output_name.find('/') != std::string::npos) {
    ThrowRange("--output-name", "a file name without '/'", "'" + arguments.output_name + "'",
               "Name the directory with --output-dir");
  }
  if (!arguments.text.calibration_data.empty() &&
      SameFile(arguments.text.calibration_data, arguments.text.held_out_data)) {
    throw Error(
        ErrorCode::kInvalidArguments,
        "--held-out-data: expected another file than --calibration-data: a model measured on "
        "what it was trained on looks better than it is",
        "Leave out --held-out-data: part of the calibration data is set aside");
  }
  CheckConflicts(arguments);
}

TableBits WantedTableBits(const CompressArguments& arguments) {
  const auto bits = [](const std::string& text) {
    return text == "auto" ? kAutoBits : std::stoi(text);  // the parser has checked it
  };
  const bool same = arguments.head_bits.empty();
  return {bits(arguments.embedding_bits),
          bits(same ? arguments.embedding_bits : arguments.head_bits)};
}

fs::path OutputPath(const CompressArguments& arguments) {
  return fs::path(arguments.output_dir) /
         OutputFileName(ModelName(arguments.model), arguments.output_name,
                        OutputFormatFromName(arguments.format), arguments.gguf);
}

void CheckOutputIsNoInput(const fs::path& output, const fs::path& model_directory,
                          const TextArguments& text) {
  std::error_code failure;
  if (!fs::exists(output, failure)) return;
  const auto refuse_if = [&](const fs::path& input) {
    if (!SameFile(output, input)) return;
    throw Error(
        ErrorCode::kInvalidArguments,
        fmt::format("{}: writing it would overwrite the input {}", output.string(), input.string()),
        "Choose another --output-dir or --output-name");
  };
  for (const fs::directory_entry& entry : fs::directory_iterator(model_directory)) refuse_if(entry);
  for (const std::string& input : {text.calibration_data, text.held_out_data}) refuse_if(input);
}

void CheckDiskSpace(const fs::path& directory, uint64_t bytes) {
  const uint64_t free = FreeDiskBytes(directory);
  if (free >= bytes) return;
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected {} of free disk space, found {}", directory.string(),
                          FormatBytes(bytes), FormatBytes(free)),
              "Free disk space or choose another --output-dir");
}

RankOptions WantedRanks(const CompressArguments& arguments) {
  CompressOptions options;
  options.rank.target_bpw = arguments.target_bpw;
  options.rank.manual_rank = arguments.rank.value_or(0);
  ApplyRecipeArguments(arguments.recipe, options);
  return options.rank;
}

CompressOptions MakeCompressOptions(const CompressArguments& arguments,
                                    const CompressEnvironment& environment) {
  CompressOptions options;
  options.model = arguments.directory;
  options.source_name = arguments.model;
  options.output = OutputPath(arguments);
  options.rank.target_bpw = arguments.target_bpw;
  options.rank.manual_rank = arguments.rank.value_or(0);
  options.train = arguments.train;
  ApplyRecipeArguments(arguments.recipe, options);
  const bool has_no_text = arguments.text.calibration_data.empty();
  if (has_no_text && arguments.recipe.recipe == Recipe::kAuto && !arguments.recipe.own_text) {
    options.train.own_text = kOwnTextShare;
  }
  options.svd_precision = environment.precision;
  options.budget_scope = arguments.budget_scope;
  options.table_bits = WantedTableBits(arguments);
  options.device = arguments.device;
  options.threads = arguments.threads;
  options.seed = arguments.seed;
  options.resume = !arguments.resume.empty();
  if (options.resume) {
    options.checkpoint_dir = arguments.resume;
  } else if (!arguments.no_checkpoints) {
    options.checkpoint_dir = arguments.checkpoint_dir.empty()
                                 ? environment.checkpoint_dir
                                 : std::filesystem::path(arguments.checkpoint_dir);
  }
  return options;
}

}  // namespace llmq
