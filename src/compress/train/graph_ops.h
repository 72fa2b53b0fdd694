// Steps of the transformer whose derivatives are written by hand: what LibTorch's small operators
// would need a dozen passes over the activations for.
//
// Before and after: trainable_model, on the way of one activation. Tests hold each against the
// small operators, values and derivatives.
#ifndef LLMQ_COMPRESS_TRAIN_GRAPH_OPS_H_
#define LLMQ_COMPRESS_TRAIN_GRAPH_OPS_H_

#include "compress/torch_headers.h"

namespace llmq {

// x / sqrt(mean(x^2) + epsilon) * weight, the mean over the last axis. x [.., d] f32, weight [d].
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

// Pairs (i, i + d/2) of x's last axis turned by their angles. x [.., T, d]; cosine and sine
// [T, d/2], without derivatives.
at::Tensor RotatePairs(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_GRAPH_OPS_H_
