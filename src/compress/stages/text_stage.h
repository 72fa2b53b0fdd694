// The training text as tokens, before any work: a missing tokenizer should not cost an hour first.
#ifndef LLMQ_COMPRESS_STAGES_TEXT_STAGE_H_
#define LLMQ_COMPRESS_STAGES_TEXT_STAGE_H_

#include "compress/run_context.h"

namespace llmq {

// The most tokens of a training sequence: what is asked for, within the model's context.
int64_t SequenceTokens(const ModelConfig& config, const TrainOptions& train);

// Fills run.tokens and run.train.sequence_tokens. Throws Error{kInvalidArguments} if the text is
// too short, Error{kGeneral} if the tokenizer belongs to another model.
void PrepareText(RunContext& run);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_TEXT_STAGE_H_
