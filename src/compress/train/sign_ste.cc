#include "compress/train/sign_ste.h"

namespace llmq {

at::Tensor SurrogateGradient(const at::Tensor& latent, Surrogate surrogate) {
  if (surrogate == Surrogate::kStraightThrough) return (latent.abs() < 1).to(latent.scalar_type());
  at::Tensor slope = (latent * kSmoothSignSharpness).tanh_();
  return slope.square_().neg_().add_(1).mul_(kSmoothSignSharpness);
}

}  // namespace llmq
