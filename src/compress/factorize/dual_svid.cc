#include "compress/factorize/dual_svid.h"

#include "compress/factorize/scales.h"

namespace llmq {
PathFactors FactorsOfLatents(const at::Tensor& u, const at::Tensor& v) {
  auto [h, l_u] = LeadingPair(u.abs().to(at::kDouble));
  auto [g, l_v] = LeadingPair(v.abs().to(at::kDouble));
  at::Tensor l = l_u * l_v;
  BalanceScales(h, l, g);
  const auto latent = [](const at::Tensor& tall) {
    return tall.t().to(at::kFloat).to(at::kCPU).contiguous();  // [d, r] -> [r, d]
  };
  return {latent(v), latent(u), ToScale(g), ToScale(h), ToScale(l)};
}

PathFactors DualSvid(const TruncatedSvd& svd) {
  const at::Tensor root = svd.s.sqrt();
  return FactorsOfLatents(svd.u * root, svd.v * root);
}

at::Tensor SignOf(const at::Tensor& latent) { return (latent >= 0).to(at::kFloat).mul_(2).sub_(1); }

at::Tensor Reconstruct(const std::vector<PathFactors>& paths, at::Device device) {
  const auto there = [&](const at::Tensor& tensor) { return tensor.to(device); };
  at::Tensor sum;
  for (const PathFactors& path : paths) {
    const at::Tensor left = SignOf(there(path.u)) * there(path.h);  // [r, d_out]
    const at::Tensor right =
        SignOf(there(path.v)) * there(path.g) * there(path.l).unsqueeze(1);  // [r, d_in]
    const at::Tensor dense =
        at::matmul(left.t(), right);  // [d_out, r] . [r, d_in] -> [d_out, d_in]
    sum = sum.defined() ? sum.add_(dense) : dense;
  }
  return sum;
}

double RelativeError(const at::Tensor& weight, const at::Tensor& approximation) {
  const double error = (weight - approximation).norm(2, at::kDouble).item<double>();
  const double norm = weight.norm(2, at::kDouble).item<double>();
  return norm == 0 ? (error == 0 ? 0.0 : 1.0) : error / norm;
}

}  // namespace llmq
