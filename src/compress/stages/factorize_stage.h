// Every matrix of the plan to its factors, one task per matrix, each kept in the checkpoint store.
//
// Before: plan_stage has ranks and statistics. After: train_stage or the writer takes the layers.
#ifndef LLMQ_COMPRESS_STAGES_FACTORIZE_STAGE_H_
#define LLMQ_COMPRESS_STAGES_FACTORIZE_STAGE_H_

#include "compress/run_context.h"

namespace llmq {

// How matrix `index` of the plan is factorized, with its importance.
FactorizeSettings FactorizationOf(const RunContext& run, size_t index);

// Fills run.layers. Throws Error{kFactorizationFailed} naming the tensor, Error{kUserCancelled} on
// a stop.
void Factorize(RunContext& run);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_FACTORIZE_STAGE_H_
