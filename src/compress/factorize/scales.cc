#include "compress/factorize/scales.h"

#include <cmath>

#include "compress/torch_bridge.h"

namespace llmq {
namespace {

// The leading pair of a matrix without negative entries is itself without negative entries and well
// separated (Perron, Frobenius); a handful of iterations reaches rounding.
constexpr int kPairIterations = 100;
constexpr double kPairTolerance = 1e-12;

}  // namespace

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

double RootMeanSquare(const at::Tensor& values) {
  return values.norm().item<double>() / std::sqrt(static_cast<double>(values.numel()));
}

void BalanceScales(at::Tensor& h, at::Tensor& l, at::Tensor& g) {
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

}  // namespace llmq
