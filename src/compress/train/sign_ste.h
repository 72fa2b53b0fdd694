// The sign and what stands in for its derivative (arXiv 2506.13771, section 3.4).
//
// The forward value is sign(x), from dual_svid's SignOf. sign has no useful derivative, so training
// uses that of a smooth neighbour. The sign is the first operation on a latent, so the derivative
// by the latent is the derivative by the sign matrix times this surrogate, element by element:
// folded_side does it once per step instead of once per sequence.
#ifndef LLMQ_COMPRESS_TRAIN_SIGN_STE_H_
#define LLMQ_COMPRESS_TRAIN_SIGN_STE_H_

#include "compress/torch_headers.h"
#include "compress/train/update_step.h"

namespace llmq {

// gradient *= d sign / d latent, elementwise: SmoothSign k (1 - tanh^2(k x)) with k = 100, the
// derivative of tanh(k x); or straight-through, 1 for |x| < 1 and 0 beyond.
void MultiplyBySurrogate(const at::Tensor& gradient, const at::Tensor& latent, Surrogate surrogate);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_SIGN_STE_H_
