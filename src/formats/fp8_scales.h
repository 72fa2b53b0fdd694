// FP8 checkpoints: the scales of a matrix lie in a tensor of their own beside it.
//
// Before: safetensors_shards has all tensors. After: checkpoint's matrices have their values, and
// the scales are no tensors any more. Source: the "fp8" and "compressed-tensors" (float-quantized)
// layouts of transformers.
#ifndef LLMQ_FORMATS_FP8_SCALES_H_
#define LLMQ_FORMATS_FP8_SCALES_H_

#include <memory>
#include <string>
#include <vector>

#include "llmq/model_config.h"
#include "llmq/tensor.h"

namespace llmq {

// Scales that a matrix has, without their values, and the tensor that holds these.
struct AttachedScales {
  TensorView tensor;
  std::shared_ptr<BlockScales> scales;

  void Read() const { scales->values = ToFloat(tensor); }
};

// Gives every FP8 matrix of the blocks its scales ("X.weight_scale_inv" or "X.weight_scale": one,
// one per row, or one per block of config.fp8_block) and takes them, and scales of activations, out
// of `tensors` (sorted by name). Their values are for the caller to Read(). Throws Error{kGeneral}
// beginning with `where` for scales that do not fit. A matrix without any stays as it is; nobody
// accepts it.
std::vector<AttachedScales> AttachFp8Scales(const ModelConfig& config, const std::string& where,
                                            std::vector<TensorView>& tensors);

}  // namespace llmq

#endif  // LLMQ_FORMATS_FP8_SCALES_H_
