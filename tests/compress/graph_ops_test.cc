// Steps with derivatives by hand against small operators in double precision.
#include "compress/train/graph_ops.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace llmq {
namespace {

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// Values and derivatives (along a random direction of the output) by every input.
void ExpectEqual(const Function& found, const Function& expected,
                 const std::vector<at::Tensor>& inputs, double tolerance) {
  std::vector<at::Tensor> own, own64;
  for (const at::Tensor& input : inputs) {
    own.push_back(input.clone().requires_grad_(true));
    own64.push_back(input.to(at::kDouble).requires_grad_(true));
  }
  const at::Tensor y = found(own), y64 = expected(own64);
  EXPECT_LT((y - y64).abs().max().item<double>(), tolerance);
  const at::Tensor direction = at::randn_like(y.detach());
  const auto gradients = torch::autograd::grad({(y * direction).sum()}, own);
  const auto gradients64 = torch::autograd::grad({(y64 * direction).sum()}, own64);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT((gradients[i] - gradients64[i]).abs().max().item<double>(), tolerance) << i;
  }
}

TEST(RmsNorm, EqualsItsFormula) {
  at::manual_seed(3);
  const double epsilon = 1e-3;  // large enough to be seen
  ExpectEqual([&](const auto& in) { return RmsNorm(in[0], in[1], epsilon); },
              [&](const auto& in) {
                return in[0] * (in[0].square().mean({-1}, true) + epsilon).rsqrt() * in[1];
              },
              {at::randn({2, 5, 24}) * 0.1, at::randn({24})}, 2e-4);
}

TEST(RmsNorm, TakesDerivativesThatDoNotLieInOrder) {
  const at::Tensor x = at::randn({2, 3, 4}).requires_grad_(true), weight = at::randn({4});
  const at::Tensor factor = at::randn({2, 4, 3});
  const auto derivative = [&](const at::Tensor& y) {
    return torch::autograd::grad({(y.transpose(1, 2) * factor).sum()}, {x})[0];
  };
  const at::Tensor plain = x / (x.square().mean(-1, true) + 1e-5).sqrt() * weight;
  EXPECT_TRUE(derivative(RmsNorm(x, weight, 1e-5)).allclose(derivative(plain), 1e-4, 1e-5));
}

TEST(RmsNorm, OfZerosIsZeroAndItsDerivativeFinite) {
  const at::Tensor x = at::zeros({1, 4}).requires_grad_(true);
  const at::Tensor y = RmsNorm(x, at::ones({4}), 1e-5);
  EXPECT_TRUE(y.equal(at::zeros({1, 4})));
  EXPECT_TRUE(torch::autograd::grad({y.sum()}, {x})[0].isfinite().all().item<bool>());
}

TEST(RotatePairs, TurnsPairsByTheirAngles) {
  at::manual_seed(4);
  const at::Tensor angles = at::randn({7, 6}, at::kDouble);
  const at::Tensor cosine = angles.cos(), sine = angles.sin();
  const at::Tensor x = at::randn({2, 7, 3, 12}).transpose(1, 2);  // as heads are: not contiguous
  ExpectEqual(
      [&](const auto& in) {
        return RotatePairs(in[0], cosine.to(at::kFloat), sine.to(at::kFloat));
      },
      [&](const auto& in) {
        const auto halves = in[0].chunk(2, -1);
        return at::cat(
            {halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine}, -1);
      },
      {x}, 1e-5);
}

}  // namespace
}  // namespace llmq
