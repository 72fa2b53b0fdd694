// What of the training fits into memory, before anything else: hours of work should not end in the
// kernel's killer.
//
// Before: pipeline has opened the checkpoint and planned the ranks. After: run.train says how to
// train, which the checkpoint's fingerprint and all later stages go by.
#ifndef LLMQ_COMPRESS_STAGES_MEMORY_STAGE_H_
#define LLMQ_COMPRESS_STAGES_MEMORY_STAGE_H_

#include "compress/run_context.h"

namespace llmq {

// Settles precision and gradient checkpointing of run.train. If training the whole model does not
// fit: block by block instead where run.train.may_go_by_blocks, saying so, otherwise throws
// Error{kOutOfMemory} with both numbers. A resumed run goes on in the way it began.
void FitIntoMemory(RunContext& run);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_MEMORY_STAGE_H_
