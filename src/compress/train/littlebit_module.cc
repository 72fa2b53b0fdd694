#include "compress/train/littlebit_module.h"

namespace llmq {

at::Tensor ApplyLittleBit(const std::vector<SignPath>& paths, const at::Tensor& x) {
  at::Tensor sum;
  for (const SignPath& path : paths) {
    const at::Tensor latent = at::linear(x * path.g, path.v) * path.l;  // [.., d_in] -> [.., r]
    const at::Tensor y = at::matmul(latent, path.u) * path.h;           // [.., r] -> [.., d_out]
    sum = sum.defined() ? sum + y : y;
  }
  return sum;
}

at::Tensor LittleBitLinears::Apply(size_t index, const at::Tensor& x) const {
  return ApplyLittleBit(layers_[index], x);
}

at::Tensor FoldedLinears::Apply(size_t index, const at::Tensor& x) const {
  const FoldedFactors& factors = layers_[index];
  return at::matmul(at::linear(x, factors.v), factors.u);  // [.., d_in] -> [.., R] -> [.., d_out]
}

}  // namespace llmq
