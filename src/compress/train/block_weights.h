// One block of the original model by itself: what is not compressed yet.
//
// Before: the checkpoint. After: block_trainer adapts it to what the blocks before it hand on, and
// block_stage factorizes its matrices. To the rest of train/ it is a model of one layer.
#ifndef LLMQ_COMPRESS_TRAIN_BLOCK_WEIGHTS_H_
#define LLMQ_COMPRESS_TRAIN_BLOCK_WEIGHTS_H_

#include <vector>

#include "compress/train/trainable_model.h"
#include "llmq/checkpoint.h"

namespace llmq {

// All f32, on one device.
struct BlockWeights {
  std::vector<at::Tensor> matrices;  // [d_out, d_in] per linear of the block
  std::vector<at::Tensor> biases;    // [d_out] per linear, undefined where there is none
  std::vector<NormTensors> norms;    // by BlockNorm
  std::vector<at::Tensor>
      routers;  // by Router, undefined where there is none; they stay as they are
};

// Throws Error{kFactorizationFailed} for weights that are not finite.
BlockWeights LoadBlockWeights(const Checkpoint& checkpoint, int64_t layer, at::Device device);

// What BlockWeights::routers is.
std::vector<at::Tensor> LoadRouters(const Checkpoint& checkpoint, int64_t layer, at::Device device);

// The same model with one layer, whose index is 0 and which does as that one does.
ModelConfig OneBlockConfig(const ModelConfig& config, int64_t layer);
// Its frame: norms and biases shared with `block`, no tables, a last norm that nobody uses.
FrameWeights OneBlockFrame(const BlockWeights& block);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_BLOCK_WEIGHTS_H_
