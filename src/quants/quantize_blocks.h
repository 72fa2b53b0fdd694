// Values -> blocks, one thread. Station before: quantize_rows.cc, which cuts the work; after: the
// bytes of a GGUF tensor. The bytes are those of ggml's reference functions.
#ifndef LLMQ_QUANTS_QUANTIZE_BLOCKS_H_
#define LLMQ_QUANTS_QUANTIZE_BLOCKS_H_

#include <cstddef>
#include <cstdint>

#include "llmq/ggml_type.h"
#include "quants/fit_groups.h"

namespace llmq {

// values: [blocks * block_values] f32, finite. out: [blocks * block_bytes], unaligned.
// Precondition of the first: F32, F16, BF16 and the types of 32 values; of the second: Q2_K to
// Q6_K.
void QuantizeSmallBlocks(GgmlType type, const float* values, int64_t blocks, std::byte* out);
void QuantizeBlocks256(GgmlType type, const GroupFits& fits, const float* values, int64_t blocks,
                       std::byte* out);

// Any type that IsQuantizable.
void QuantizeBlocks(GgmlType type, const GroupFits& fits, const float* values, int64_t blocks,
                    std::byte* out);

}  // namespace llmq

#endif  // LLMQ_QUANTS_QUANTIZE_BLOCKS_H_
