#include "compress/train/sign_ste.h"

namespace llmq {

void MultiplyBySurrogate(const at::Tensor& gradient, const at::Tensor& latent,
                         Surrogate surrogate) {
  if (surrogate == Surrogate::kStraightThrough) {
    gradient.masked_fill_(latent.abs() >= 1, 0);
    return;
  }
  const at::Tensor smooth = (latent * kSmoothSignSharpness).tanh_();
  at::Tensor product = gradient;  // in place: tanh_backward is gradient (1 - smooth^2)
  at::tanh_backward_out(product, gradient, smooth).mul_(kSmoothSignSharpness);
}

}  // namespace llmq
