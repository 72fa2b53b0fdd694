#include "compress/factorize/dual_svid.h"

#include <cmath>
#include <utility>

#include "compress/torch_bridge.h"

namespace llmq {
namespace {

// The leading pair of a matrix without negative entries is itself without negative entries and well
// separated (Perron, Frobenius); a handful of iterations reaches rounding.
constexpr int kPairIterations = 100;
constexpr double kPairTolerance = 1e-12;

// magnitudes [d, r] >= 0 -> {left [d] of norm 1, right [r]} with magnitudes ~ left right^T. Zeros
// for zeros.
std::pair<at::Tensor, at::Tensor> LeadingPair(const at::Tensor& magnitudes) {
  at::Tensor right = magnitudes.sum(0);  // [r]
  at::Tensor left = at::zeros({magnitudes.size(0)}, magnitudes.options());
  double previous = 0;
  for (int step = 0; step < kPairIterations; ++step) {
    left = at::mv(magnitudes, right);  // [d, r] . [r] -> [d]
    const double norm = left.norm().item<double>();
    if (norm == 0) return {at::zeros_like(left), at::zeros_like(right)};
    left = left / norm;
    right = at::mv(magnitudes.t(), left);  // [r, d] . [d] -> [r]
    const double singular = right.norm().item<double>();
    if (std::abs(singular - previous) <= kPairTolerance * singular) break;
    previous = singular;
  }
  return {left, right};
}

double RootMeanSquare(const at::Tensor& vector) {
  return vector.norm().item<double>() / std::sqrt(static_cast<double>(vector.numel()));
}

// h, l and g get the same root mean square, the cube root of the product: none of the three over-
// or underflows fp16 before a product of them does.
void Balance(at::Tensor& h, at::Tensor& l, at::Tensor& g) {
  const double rms_h = RootMeanSquare(h), rms_l = RootMeanSquare(l), rms_g = RootMeanSquare(g);
  if (rms_h == 0 || rms_l == 0 || rms_g == 0) {
    h.zero_();
    l.zero_();
    g.zero_();
    return;
  }
  const double common = std::cbrt(rms_h) * std::cbrt(rms_l) * std::cbrt(rms_g);
  h.mul_(common / rms_h);
  l.mul_(common / rms_l);
  g.mul_(common / rms_g);
}

at::Tensor ToScale(const at::Tensor& values) {
  return RoundToHalf(values.to(at::kFloat)).to(at::kCPU);
}

}  // namespace

PathFactors DualSvid(const TruncatedSvd& svd) {
  const at::Tensor root = svd.s.sqrt();
  const at::Tensor u = svd.u * root;  // [d_out, r], U'
  const at::Tensor v = svd.v * root;  // [d_in, r], V'
  auto [h, l_u] = LeadingPair(u.abs().to(at::kDouble));
  auto [g, l_v] = LeadingPair(v.abs().to(at::kDouble));
  at::Tensor l = l_u * l_v;
  Balance(h, l, g);
  const auto latent = [](const at::Tensor& tall) {
    return tall.t().to(at::kFloat).to(at::kCPU).contiguous();  // [d, r] -> [r, d]
  };
  return {latent(v), latent(u), ToScale(g), ToScale(h), ToScale(l)};
}

at::Tensor SignOf(const at::Tensor& latent) { return (latent >= 0).to(at::kFloat).mul_(2).sub_(1); }

at::Tensor Reconstruct(const std::vector<PathFactors>& paths) {
  at::Tensor sum;
  for (const PathFactors& path : paths) {
    const at::Tensor left = SignOf(path.u) * path.h;                         // [r, d_out]
    const at::Tensor right = SignOf(path.v) * path.g * path.l.unsqueeze(1);  // [r, d_in]
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
