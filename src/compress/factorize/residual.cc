#include "compress/factorize/residual.h"

namespace llmq {

std::vector<PathFactors> ResidualPaths(const at::Tensor& weight, const LittleBitShape& shape,
                                       const PathFunction& factorize) {
  std::vector<PathFactors> paths;
  at::Tensor left_over = weight;  // [d_out, d_in]
  for (int64_t path = 0; path < shape.paths; ++path) {
    paths.push_back(factorize(left_over, shape.rank));
    if (path + 1 < shape.paths) {
      left_over = left_over - Reconstruct({paths.back()}, left_over.device());
    }
  }
  return paths;
}

std::vector<PathFactors> DualSvidPaths(const at::Tensor& weight, const LittleBitShape& shape,
                                       const SvdFunction& svd) {
  return ResidualPaths(weight, shape, [&](const at::Tensor& part, int64_t rank) {
    return DualSvid(svd(part, rank));
  });
}

}  // namespace llmq
