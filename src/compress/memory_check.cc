#include "compress/memory_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "compress/train/micro_batch.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int64_t kBytesPerValue = 4;  // everything is f32
// Of a latent that moves: itself, its sign with scales, two moments, and the sum of its gradients.
constexpr int64_t kCopiesOfMoving = 5;
// Of one that does not: itself and its sign.
constexpr int64_t kCopiesOfResting = 2;
// Per token and vocabulary entry: logits, logarithms and probabilities of the last step.
constexpr int64_t kVocabularyCopies = 6;

int64_t TableValues(const ModelConfig& config) {
  const int64_t one =
      (config.vocab_size + (config.HasProjectedEmbedding() ? config.hidden_size : 0)) *
      config.EmbeddingWidth();
  const int64_t positions = config.PositionRows() * config.hidden_size;
  return (config.tie_word_embeddings ? one : 2 * one) + positions;
}

// Values that the backward pass of one token needs of a layer's MLP or experts.
int64_t MlpValuesPerToken(const ModelConfig& config, int64_t layer) {
  const ExpertConfig& experts = config.experts;
  if (!config.IsSparse(layer)) return 5 * config.intermediate_size;
  // Each expert's copy of the token: as it is gathered, and what is made of it.
  return experts.per_token * (5 * experts.intermediate_size + 4 * config.hidden_size) +
         5 * experts.shared_intermediate_size;
}

// Of all blocks. Counted from trainable_model: what each operation saves.
int64_t BlockValuesPerToken(const ModelConfig& config, const RankPlan& plan,
                            const TrainOptions& options) {
  double values = 0;
  for (const PlannedLayer& layer : plan.layers) {
    const LittleBitShape& shape = layer.shape;
    const int64_t scaled =
        options.part == TrainedPart::kScales ? shape.paths * (shape.d_in + shape.d_out) : 0;
    values += TokenShare(config, layer.linear) *
              static_cast<double>(2 * shape.paths * shape.rank + scaled);
  }
  const int64_t heads = config.num_heads * config.head_dim;
  int64_t others = config.num_layers * (8 * config.hidden_size + 8 * heads);
  for (int64_t n = 0; n < config.num_layers; ++n) others += MlpValuesPerToken(config, n);
  return static_cast<int64_t>(values) + others;
}

int64_t ActivationsPerToken(const ModelConfig& config, const RankPlan& plan,
                            const TrainOptions& options) {
  const int64_t blocks = BlockValuesPerToken(config, plan, options);
  const int64_t vocabulary = kVocabularyCopies * config.vocab_size;
  // Hidden states that the whole model's training compares; inputs of the blocks are as many.
  const int64_t hidden = config.num_layers * config.hidden_size;
  const int64_t teacher = options.part == TrainedPart::kAll ? hidden : 0;
  if (options.gradient_checkpointing != GradientCheckpointing::kOn) {
    return blocks + teacher + vocabulary;
  }
  // Inputs of all blocks, and one block or the vocabulary.
  return hidden + teacher + std::max(blocks / config.num_layers, vocabulary);
}

}  // namespace

uint64_t EstimateTrainingBytes(const ModelConfig& config, const RankPlan& plan,
                               const TrainOptions& options, int workers) {
  const int64_t at_once = std::min<int64_t>(workers, MicroBatches(options));
  int64_t latents = 0;
  for (const PlannedLayer& layer : plan.layers) {
    const LittleBitShape& shape = layer.shape;
    latents += shape.paths * (shape.rank + 1) * (shape.d_in + shape.d_out);
  }
  const bool moving = options.part == TrainedPart::kAll;
  const int64_t micro_tokens = MicroBatchSequences(options) * options.sequence_tokens;
  const int64_t per_worker =
      (moving ? latents : 0) + micro_tokens * ActivationsPerToken(config, plan, options);
  // With the student's tables. Scales are trained on answers collected before.
  const int64_t teacher = (moving ? plan.body_weights : 0) + 2 * TableValues(config);
  const int64_t student = (moving ? kCopiesOfMoving : kCopiesOfResting) * latents;
  return static_cast<uint64_t>(kBytesPerValue * (teacher + student + at_once * per_worker));
}

std::optional<uint64_t> AvailableMemoryBytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    uint64_t kibibytes = 0;
    if (word == "MemAvailable:" && file >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

void ExpectMemory(uint64_t needed, std::optional<uint64_t> available) {
  if (!available || needed <= *available) return;
  const auto gigabytes = [](uint64_t bytes) { return static_cast<double>(bytes) / 1e9; };
  throw Error(
      ErrorCode::kOutOfMemory,
      fmt::format("training: expected {:.1f} GB of free memory, found {:.1f} GB", gigabytes(needed),
                  gigabytes(*available)),
      "Use --block-tokens 16384 --train-tokens 0 (block by block), a lower --target-bpw, or fewer "
      "--threads");
}

}  // namespace llmq
