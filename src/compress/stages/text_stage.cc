#include "compress/stages/text_stage.h"

#include <fmt/core.h>

#include <algorithm>

#include "compress/memory_check.h"
#include "compress/train/precision.h"
#include "llmq/error.h"
#include "llmq/recipe.h"
#include "llmq/tokenizer.h"

namespace llmq {
namespace {

constexpr int64_t kDefaultSequenceTokens = 256;

void ExpectIdsOfTheModel(const RunContext& run) {
  const int64_t vocabulary = run.checkpoint.config().vocab_size;
  for (const int32_t id : run.tokens) {
    if (id >= 0 && id < vocabulary) continue;
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected token ids below {}, found {}",
                            run.checkpoint.directory().string(), vocabulary, id),
                "The tokenizer belongs to another model");
  }
}

// A device's free memory is not asked for: there the user says so.
void ResolveCheckpointing(RunContext& run) {
  TrainOptions& train = run.train;
  if (train.gradient_checkpointing != GradientCheckpointing::kAuto) return;
  train.gradient_checkpointing = GradientCheckpointing::kOff;
  const std::optional<uint64_t> available = AvailableMemoryBytes();
  const uint64_t needed =
      EstimateTrainingBytes(run.checkpoint.config(), run.plan, train, run.workers.size());
  if (!run.device.device.is_cpu() || !available || needed <= *available) return;
  train.gradient_checkpointing = GradientCheckpointing::kOn;
  run.observer.Info("Gradient checkpointing: on, to fit into memory");
}

}  // namespace

void PrepareText(RunContext& run) {
  const ModelConfig& config = run.checkpoint.config();
  const auto tokenizer =
      Tokenizer::FromFiles(run.checkpoint.files(), run.checkpoint.directory().string());
  run.tokens = TokenizeDocuments(run.options.training_text, *tokenizer);
  ExpectIdsOfTheModel(run);
  run.train = run.options.train;
  if (run.train.learning_rate == 0) {
    run.train.learning_rate = LearningRateFor(run.plan.body_bpw);
  }
  run.report.learning_rate = run.train.learning_rate;
  if (run.train.sequence_tokens == 0) run.train.sequence_tokens = kDefaultSequenceTokens;
  run.train.sequence_tokens = std::min(
      {run.train.sequence_tokens, config.max_position, static_cast<int64_t>(run.tokens.size())});
  if (run.train.sequence_tokens < 2) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("{}: expected at least 2 tokens of training text, found {}",
                            run.options.training_text.name, run.tokens.size()),
                "Give more text, or use --recipe littlebit --train-tokens 0");
  }
  if (!run.trains()) return;
  run.train.precision = ResolvePrecision(run.train.precision, run.device.device);
  ResolveCheckpointing(run);
  if (run.device.device.is_cpu()) {
    ExpectMemory(EstimateTrainingBytes(config, run.plan, run.train, run.workers.size()),
                 AvailableMemoryBytes());
  }
}

}  // namespace llmq
