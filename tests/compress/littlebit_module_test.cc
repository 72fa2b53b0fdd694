// The trainer's compressed linear against core's dense reconstruction, and the sign's surrogates
// against finite differences.
#include "compress/train/littlebit_module.h"

#include <gtest/gtest.h>

#include "compress/factorize/factorize_layer.h"
#include "compress/torch_bridge.h"
#include "compress/train/sign_ste.h"

namespace llmq {
namespace {

at::Tensor RandomMatrix(int64_t rows, int64_t cols, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn({rows, cols}, generator, at::kFloat);
}

TEST(ApplyLittleBit, EqualsTheDenseMatrixOfThePackedLayer) {
  for (const int64_t paths : {1, 2}) {
    const LittleBitShape shape{40, 56, 20, paths};
    const at::Tensor weight = RandomMatrix(40, 56, 1);
    const TensorView view{"w", DType::kF32, {40, 56}, std::as_bytes(AsSpan(weight))};
    const LayerFactors factors = FactorizeLayer(view, shape, {});
    std::vector<SignPath> signs;
    for (const PathFactors& path : factors.paths) {
      signs.push_back({SignOf(path.v), SignOf(path.u), path.g, path.h, path.l});
    }
    const LittleBitLinear packed = PackFactors(factors, "w");
    at::Tensor dense = at::empty({40, 56}, at::kFloat);
    ReconstructDense(shape, packed.payload, AsMutableSpan(dense));

    const at::Tensor x = RandomMatrix(7, 56, 2);
    const at::Tensor expected = at::matmul(x.to(at::kDouble), dense.to(at::kDouble).t());
    EXPECT_LT((ApplyLittleBit(signs, x) - expected).abs().max().item<double>(), 1e-4);

    std::vector<at::Tensor> v, u;
    for (const SignPath& path : signs) {
      v.push_back(path.v * path.g * path.l.unsqueeze(1));
      u.push_back(path.u * path.h);
    }
    const FoldedLinears folded({{at::cat(v), at::cat(u)}});
    EXPECT_LT((folded.Apply(0, x) - expected).abs().max().item<double>(), 1e-4);
  }
}

at::Tensor SlopeOf(const at::Tensor& x, Surrogate surrogate) {
  const at::Tensor slope = at::full_like(x, 0.5);
  MultiplyBySurrogate(slope, x, surrogate);
  return slope * 2;
}

TEST(MultiplyBySurrogate, SmoothSignIsTheDerivativeOfAHyperbolicTangent) {
  const at::Tensor x = at::linspace(-0.08, 0.08, 161, at::kDouble);
  const double step = 1e-6;
  const at::Tensor difference =
      (((x + step) * kSmoothSignSharpness).tanh() - ((x - step) * kSmoothSignSharpness).tanh()) /
      (2 * step);
  EXPECT_LT((SlopeOf(x, Surrogate::kSmoothSign) - difference).abs().max().item<double>(), 1e-4);
}

TEST(MultiplyBySurrogate, StraightThroughIsOneInsideTheUnitInterval) {
  const at::Tensor x = at::tensor({-1.5f, -1.0f, -0.5f, 0.0f, 0.999f, 1.0f, 3.0f});
  EXPECT_TRUE(SlopeOf(x, Surrogate::kStraightThrough)
                  .equal(at::tensor({0.0f, 0.0f, 1.0f, 1.0f, 1.0f, 0.0f, 0.0f})));
}

}  // namespace
}  // namespace llmq
