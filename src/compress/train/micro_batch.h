// How a batch is cut for the workers: one fact for the trainer and for the estimate of its memory.
#ifndef LLMQ_COMPRESS_TRAIN_MICRO_BATCH_H_
#define LLMQ_COMPRESS_TRAIN_MICRO_BATCH_H_

#include <algorithm>
#include <cstdint>

#include "llmq/compress.h"

namespace llmq {

// Sequences of a micro-batch hold about this many tokens: enough rows to keep a matrix product
// busy. A constant, because sums must not depend on the machine.
inline constexpr int64_t kMicroBatchTokens = 512;
// A batch feeds this many workers if it can.
inline constexpr int64_t kLeastMicroBatches = 4;

// At least one sequence. Precondition: options.sequence_tokens is positive.
inline int64_t MicroBatchSequences(const TrainOptions& options) {
  const int64_t share = options.batch_sequences / kLeastMicroBatches;
  return std::max<int64_t>(1, std::min(kMicroBatchTokens / options.sequence_tokens, share));
}

// Of a batch: as many workers at most have something to do.
inline int64_t MicroBatches(const TrainOptions& options) {
  const int64_t sequences = MicroBatchSequences(options);
  return (options.batch_sequences + sequences - 1) / sequences;
}

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_MICRO_BATCH_H_
