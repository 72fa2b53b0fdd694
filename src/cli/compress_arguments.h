// What `littlebit compress` was asked to do, and the checks that come before any work.
//
// Before: compress_options.cc fills the struct from the command line. After: CompressOptions with
// nothing left to refuse but what the weights themselves hold.
#ifndef LLMQ_CLI_COMPRESS_ARGUMENTS_H_
#define LLMQ_CLI_COMPRESS_ARGUMENTS_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/environment.h"
#include "cli/gguf_options.h"
#include "cli/recipe_options.h"
#include "cli/text_choice.h"
#include "llmq/compress.h"

namespace llmq {

struct CompressArguments {
  std::string model;                // as given; after ResolveModel() without a revision
  std::string revision;             // of a model of the Hub; empty: main
  std::filesystem::path directory;  // of the model, after ResolveModel()
  double target_bpw = 0.5;
  std::optional<int64_t> rank;
  std::optional<double> quality_threshold;  // percent
  std::string format = "littlebit";
  GgufArguments gguf;
  std::string output_dir = ".";
  std::string output_name;  // empty: from the model's name
  TextArguments text;
  bool no_checkpoints = false;
  std::string checkpoint_dir;  // empty: from the environment
  std::string resume;          // empty: a fresh run
  bool skip_validation = false;
  RecipeArguments recipe;
  BudgetScope budget_scope = BudgetScope::kBody;
  std::string embedding_bits = "8";
  std::string head_bits;  // empty: as embedding_bits
  TrainOptions train;     // what no recipe sets
  std::string device = "auto";
  uint64_t seed = 0;
  int threads = 0;
  bool dry_run = false;
  std::string export_metadata;  // empty: no export
};

// Throws the contract's errors for values out of range: kInvalidBpwRange for --target-bpw,
// kInvalidArguments for the others.
void CheckCompressValues(const CompressArguments& arguments,
                         const CompressEnvironment& environment);

// --embedding-bits and --head-bits, with kAutoBits for auto.
TableBits WantedTableBits(const CompressArguments& arguments);

// Where the compressed model goes: output_dir / (output_name or "<ModelName>.littlebit", ".gguf",
// "-lossy-Q4_K_M.gguf").
std::filesystem::path OutputPath(const CompressArguments& arguments);

// Throws Error{kInvalidArguments} if `output` is one of the files that the command reads: those in
// the model's directory, the text files, and what `output` names by a link.
void CheckOutputIsNoInput(const std::filesystem::path& output,
                          const std::filesystem::path& model_directory, const TextArguments& text);

// Throws Error{kGeneral} if `directory` (which exists) has less room than `bytes`.
void CheckDiskSpace(const std::filesystem::path& directory, uint64_t bytes);

// --calibration-samples, shared with validate. Throws Error{kInvalidArguments}.
void CheckSampleCount(int64_t samples);

// What the ranks follow from.
RankOptions WantedRanks(const CompressArguments& arguments);

// Options of Compress() from the arguments, after all checks; without the training text.
CompressOptions MakeCompressOptions(const CompressArguments& arguments,
                                    const CompressEnvironment& environment);

}  // namespace llmq

#endif  // LLMQ_CLI_COMPRESS_ARGUMENTS_H_
