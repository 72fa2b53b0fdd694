// The training text as tokens, before any work: a missing tokenizer should not cost an hour first.
#ifndef LLMQ_COMPRESS_STAGES_TEXT_STAGE_H_
#define LLMQ_COMPRESS_STAGES_TEXT_STAGE_H_

#include "compress/run_context.h"

namespace llmq {

// Fills run.tokens and run.train. Throws Error{kInvalidArguments} if the text is too short,
// Error{kGeneral} if the tokenizer belongs to another model, Error{kOutOfMemory} if training would
// not fit.
void PrepareText(RunContext& run);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_TEXT_STAGE_H_
