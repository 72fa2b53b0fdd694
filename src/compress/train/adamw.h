// One step of AdamW (without weight decay) on one tensor.
//
// Before: trainer has the gradient, summed over the batch. After: the parameter and its moments
// have moved, in one pass of LibTorch's own fused optimizer.
#ifndef LLMQ_COMPRESS_TRAIN_ADAMW_H_
#define LLMQ_COMPRESS_TRAIN_ADAMW_H_

#include <string>

#include "compress/torch_headers.h"
#include "compress/train/update_step.h"

namespace llmq {

// A tensor that training moves, or keeps.
struct Parameter {
  std::string name;  // "model.layers.0.self_attn.q_proj.path0.v", or a norm's or bias's tensor name
  at::Tensor value;  // f32, on the device
  bool is_latent = false;   // its sign is what the forward pass sees
  double rate = 1;          // of its learning rate to the run's
  at::Tensor first_moment;  // of AdamW, same shape; both undefined if the parameter does not move
  at::Tensor second_moment;

  bool moves() const { return first_moment.defined(); }
};

// Moves `parameter`, or a slice of one, along `gradient` of the same shape. Precondition: it moves.
void MoveByAdamW(const Parameter& parameter, const at::Tensor& gradient, const UpdateStep& step);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_ADAMW_H_
