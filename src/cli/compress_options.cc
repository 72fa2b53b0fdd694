#include "cli/compress_options.h"

#include "cli/choice.h"
#include "cli/gguf_options.h"
#include "cli/model_source.h"
#include "cli/recipe_options.h"

namespace llmq {
namespace {

const Choices<BudgetScope> kScopes = {{"body", BudgetScope::kBody}, {"file", BudgetScope::kFile}};
const Choices<TrainPrecision> kPrecisions = {{"auto", TrainPrecision::kAuto},
                                             {"float32", TrainPrecision::kFloat32},
                                             {"bf16", TrainPrecision::kBf16}};
const Choices<GradientCheckpointing> kGradientCheckpointing = {
    {"auto", GradientCheckpointing::kAuto},
    {"on", GradientCheckpointing::kOn},
    {"off", GradientCheckpointing::kOff}};

void AddContractOptions(CLI::App& app, CompressArguments& a) {
  app.add_option("MODEL", a.model, "Model directory, or org/name[@revision] of the Hub")
      ->required();
  AddRevisionOption(app, a.revision);
  app.add_option("--target-bpw", a.target_bpw, "Target bits per weight (0.1-2.0)")
      ->type_name("FLOAT")
      ->capture_default_str();
  app.add_option("--rank", a.rank, "Manual latent rank (auto-selected if not set)")
      ->type_name("INT");
  app.add_option("--quality-threshold", a.quality_threshold,
                 "Maximum perplexity increase in %; raises the BPW until it is met")
      ->type_name("FLOAT");
  app.add_option("--format", a.format, "Container: littlebit, gguf-ext, gguf-lossy")
      ->type_name("TEXT")
      ->capture_default_str()
      ->check(CLI::IsMember({"littlebit", "gguf-ext", "gguf-lossy"}).description(""));
  AddGgufOptions(app, a.gguf);
  app.add_option("-o,--output-dir", a.output_dir, "Output directory")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("-n,--output-name", a.output_name,
                 "Output filename (from the model's name if not set)")
      ->type_name("TEXT");
  app.add_option(
         "--calibration-data", a.text.calibration_data,
         "Text to train and measure with: .txt, .jsonl, .json, .parquet (built-in text if not set)")
      ->type_name("PATH");
  app.add_option("--calibration-samples", a.text.samples,
                 "Maximum number of windows to measure on (64-1024)")
      ->type_name("INT")
      ->capture_default_str();
  app.add_flag("--no-checkpoints", a.no_checkpoints, "Disable layer-level checkpoints");
  app.add_option("--checkpoint-dir", a.checkpoint_dir,
                 "Checkpoint directory (LLM_QUANTIZE_CHECKPOINT_DIR or ./.checkpoint)")
      ->type_name("PATH");
  app.add_option("--resume", a.resume, "Resume from the checkpoints in this directory")
      ->type_name("PATH");
  app.add_flag("--skip-validation", a.skip_validation, "Skip measuring quality after compression");
}

void AddMethodOptions(CLI::App& app, CompressArguments& a) {
  app.add_option("--held-out-data", a.text.held_out_data,
                 "Text to measure with (part of the calibration data if not set)")
      ->type_name("PATH");
  AddRecipeOptions(app, a.recipe);
  AddChoice(app, "--budget-scope", a.budget_scope, kScopes,
            "What the target BPW counts: body (the matrices), file (every byte)")
      ->default_str("body");
  const auto bits = CLI::IsMember({"16", "8", "6", "4", "auto"}).description("");
  app.add_option("--embedding-bits", a.embedding_bits,
                 "Bits of embedding and head: 16, 8, 6, 4 or auto")
      ->type_name("BITS")
      ->capture_default_str()
      ->check(bits);
  app.add_option("--head-bits", a.head_bits,
                 "Bits of an untied head (those of the embedding if not set)")
      ->type_name("BITS")
      ->check(bits);
}

void AddTrainingOptions(CLI::App& app, CompressArguments& a) {
  app.add_option("--train-batch", a.train.batch_sequences, "Sequences per training step")
      ->type_name("INT")
      ->capture_default_str();
  AddChoice(app, "--train-precision", a.train.precision, kPrecisions,
            "Matrix products in training: auto, float32, bf16 (auto: bf16 where it is fast)")
      ->default_str("auto");
  AddChoice(app, "--gradient-checkpointing", a.train.gradient_checkpointing, kGradientCheckpointing,
            "Less memory, a third more work in training: auto, on, off (auto: if needed)")
      ->default_str("auto");
}

void AddRunOptions(CLI::App& app, CompressArguments& a) {
  app.add_option("--device", a.device, "auto, cpu, cuda or cuda:N")
      ->type_name("TEXT")
      ->capture_default_str();
  AddSeed(app, a.seed, "Seed of everything random");
  app.add_option("--threads", a.threads, "Threads (0: one per core)")
      ->type_name("INT")
      ->capture_default_str();
  app.add_flag("--dry-run", a.dry_run, "Show ranks and sizes, compress nothing");
  app.add_option("--export-metadata", a.export_metadata,
                 "Also write ranks, scales and statistics to this JSON file")
      ->type_name("PATH");
}

}  // namespace

void AddCompressOptions(CLI::App& app, CompressArguments& arguments) {
  AddContractOptions(app, arguments);
  AddMethodOptions(app, arguments);
  AddTrainingOptions(app, arguments);
  AddRunOptions(app, arguments);
}

}  // namespace llmq
