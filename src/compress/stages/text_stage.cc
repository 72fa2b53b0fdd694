#include "compress/stages/text_stage.h"

#include <fmt/core.h>

#include <algorithm>

#include "llmq/error.h"
#include "llmq/tokenizer.h"

namespace llmq {
namespace {

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

}  // namespace

int64_t SequenceTokens(const ModelConfig& config, const TrainOptions& train) {
  constexpr int64_t kDefault = 256;
  return std::min(train.sequence_tokens == 0 ? kDefault : train.sequence_tokens,
                  config.max_position);
}

void PrepareText(RunContext& run) {
  const auto tokenizer =
      Tokenizer::FromFiles(run.checkpoint.files(), run.checkpoint.directory().string());
  run.tokens = TokenizeDocuments(run.options.training_text, *tokenizer);
  run.bos = tokenizer->bos_id();
  ExpectIdsOfTheModel(run);
  run.train.sequence_tokens = std::min(SequenceTokens(run.checkpoint.config(), run.train),
                                       static_cast<int64_t>(run.tokens.size()));
  if (run.train.sequence_tokens >= 2) return;
  throw Error(ErrorCode::kInvalidArguments,
              fmt::format("{}: expected at least 2 tokens of training text, found {}",
                          run.options.training_text.name, run.tokens.size()),
              "Give more text, or use --recipe littlebit --train-tokens 0");
}

}  // namespace llmq
