// FP8 checkpoints: the scales of a matrix lie in a tensor of their own beside it.
//
// Before: safetensors_shards has all tensors. After: checkpoint's matrices have their values, and
// the scales are no tensors any more. Source: the "fp8" and "compressed-tensors" (float-quantized)
// layouts of transformers.
#ifndef LLMQ_FORMATS_FP8_SCALES_H_
#define LLMQ_FORMATS_FP8_SCALES_H_

#include <string>
#include <vector>

#include "llmq/model_config.h"
#include "llmq/tensor.h"

namespace llmq {

// Gives every FP8 matrix of the blocks its scales ("X.weight_scale_inv" or "X.weight_scale": one,
// one per row, or one per block of config.fp8_block) and takes them, and scales of activations, out
// of `tensors` (sorted by name). Throws Error{kGeneral} beginning with `where` for scales that do
// not fit. A matrix without any stays as it is; nobody accepts it.
void AttachFp8Scales(const ModelConfig& config, const std::string& where,
                     std::vector<TensorView>& tensors);

}  // namespace llmq

#endif  // LLMQ_FORMATS_FP8_SCALES_H_
