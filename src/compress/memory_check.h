// Whether training fits into memory, asked before it begins rather than found out by the kernel's
// killer.
//
// Before: pipeline has the ranks. After: the same, if it fits.
#ifndef LLMQ_COMPRESS_MEMORY_CHECK_H_
#define LLMQ_COMPRESS_MEMORY_CHECK_H_

#include <cstdint>
#include <optional>

#include "llmq/bit_budget.h"
#include "llmq/compress.h"
#include "llmq/model_config.h"

namespace llmq {

// Teacher (if everything is trained), student, optimizer, gradients and activations, in f32.
// `options.sequence_tokens` is positive here; kAuto is taken as no gradient checkpointing.
uint64_t EstimateTrainingBytes(const ModelConfig& config, const RankPlan& plan,
                               const TrainOptions& options, int workers);

// MemAvailable of /proc/meminfo; nullopt if it cannot be read.
std::optional<uint64_t> AvailableMemoryBytes();

// Throws Error{kOutOfMemory} with both numbers if `needed` is more than what is available.
void ExpectMemory(uint64_t needed, std::optional<uint64_t> available);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_MEMORY_CHECK_H_
