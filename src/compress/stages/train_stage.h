// Training of the whole model (QAT), with its progress in the checkpoint store.
//
// Before: factorize_stage has the factors. After: the writer takes what the student has learned.
#ifndef LLMQ_COMPRESS_STAGES_TRAIN_STAGE_H_
#define LLMQ_COMPRESS_STAGES_TRAIN_STAGE_H_

#include "compress/run_context.h"

namespace llmq {

// Makes run.student of run.layers, whose factors it takes, and trains it. Throws
// Error{kFactorizationFailed} if the loss is not finite, Error{kUserCancelled} on a stop.
void Train(RunContext& run);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_TRAIN_STAGE_H_
