// How a batch is cut for the workers: one fact for the trainer and for the estimate of its memory.
#ifndef LLMQ_COMPRESS_TRAIN_MICRO_BATCH_H_
#define LLMQ_COMPRESS_TRAIN_MICRO_BATCH_H_

#include <algorithm>
#include <cstdint>

#include "llmq/compress.h"

namespace llmq {

// Sequences of a micro-batch hold about this many tokens: enough rows to keep a matrix product
// busy, few enough that a batch feeds several workers. A constant, because sums must not depend on
// the machine.
inline constexpr int64_t kMicroBatchTokens = 512;

// At least one sequence. Precondition: options.sequence_tokens is positive.
inline int64_t MicroBatchSequences(const TrainOptions& options) {
  return std::clamp<int64_t>(kMicroBatchTokens / options.sequence_tokens, 1,
                             options.batch_sequences);
}

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_MICRO_BATCH_H_
