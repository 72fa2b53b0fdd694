// Calibration and rank allocation: what counts in this model, and how many bits each matrix gets.
//
// Before: text_stage has tokens. After: factorize_stage fits with the statistics to the ranks.
#ifndef LLMQ_COMPRESS_STAGES_PLAN_STAGE_H_
#define LLMQ_COMPRESS_STAGES_PLAN_STAGE_H_

#include "compress/run_context.h"

namespace llmq {

// Fills run.statistics if the options want importance or allocation, and run.plan with
// --allocation auto. Kept in the checkpoint store. Throws
// Error{kUserCancelled} on a stop.
void Plan(RunContext& run);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_PLAN_STAGE_H_
