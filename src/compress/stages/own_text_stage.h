// The part of the training text that the original model writes itself.
//
// Before: train_stage has loaded the original. After: it mixes what was written into the round.
#ifndef LLMQ_COMPRESS_STAGES_OWN_TEXT_STAGE_H_
#define LLMQ_COMPRESS_STAGES_OWN_TEXT_STAGE_H_

#include <vector>

#include "compress/run_context.h"
#include "compress/train/teacher.h"

namespace llmq {

// The share run.train.own_text of the sequences that training reads, one after the other; empty if
// it is 0. Kept in the checkpoint. Throws Error{kUserCancelled} on a stop.
std::vector<int32_t> WriteOwnText(RunContext& run, const TrainableModel& model,
                                  const Teacher& teacher);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STAGES_OWN_TEXT_STAGE_H_
