// Fits a run into a time budget: what the stages will take here, and what is left for training.
//
// Before: text_stage has the sequence length. After: train_stage knows how many tokens it may plan
// for; it corrects the number as it goes, because other work may share the machine. The stages
// before training do not depend on the clock.
#ifndef LLMQ_COMPRESS_STAGES_TIME_STAGE_H_
#define LLMQ_COMPRESS_STAGES_TIME_STAGE_H_

#include "compress/run_context.h"

namespace llmq {

// Sets run.train.tokens and says the plan, if there is a time budget; nothing otherwise. Throws
// Error{kInvalidArguments} if the stages before training alone take longer, saying how long.
void PlanTime(RunContext& run);

// Steps that end when the budget does, after `done` of them, the last `measured` of which took
// `seconds`. At least `done`.
int64_t StepsWithin(const RunContext& run, int64_t done, int64_t measured, double seconds);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_TIME_STAGE_H_
