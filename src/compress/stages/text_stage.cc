#include "compress/stages/text_stage.h"

#include <fmt/core.h>

#include <algorithm>

#include "llmq/error.h"
#include "llmq/tokenizer.h"

namespace llmq {
namespace {

bool IsIdOfTheModel(const RunContext& run, int32_t id) {
  return id >= 0 && id < run.checkpoint.config().vocab_size;
}

void ExpectIdsOfTheModel(const RunContext& run) {
  for (const int32_t id : run.tokens) {
    if (IsIdOfTheModel(run, id)) continue;
    throw Error(
        ErrorCode::kGeneral,
        fmt::format("{}: expected token ids below {}, found {}",
                    run.checkpoint.directory().string(), run.checkpoint.config().vocab_size, id),
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
  if (run.bos && !IsIdOfTheModel(run, *run.bos)) run.bos.reset();  // a name that is never used
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
