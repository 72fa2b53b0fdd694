// Every matrix to its factors, block by block, each block trained on what those before it hand on
// (block reconstruction, as NanoQuant does). Memory: one block and the activations of its text.
//
// Before: plan_stage has ranks and statistics. After: as after factorize_stage, whose place this
// takes with --block-tokens; run.frame has the norms that have moved.
#ifndef LLMQ_COMPRESS_STAGES_BLOCK_STAGE_H_
#define LLMQ_COMPRESS_STAGES_BLOCK_STAGE_H_

#include "compress/run_context.h"

namespace llmq {

// Fills run.layers and run.frame. A block that is complete is kept in the checkpoint store. Throws
// Error{kFactorizationFailed} naming the tensor, Error{kUserCancelled} on a stop.
void CompressBlocks(RunContext& run);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_BLOCK_STAGE_H_
