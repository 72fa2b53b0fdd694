// Dual-SVID, its residual path and the packed form, against matrices whose answer is known.
#include "compress/factorize/dual_svid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/half.h"
#include "compress/factorize/factorize_layer.h"
#include "compress/torch_bridge.h"
#include "llmq/error.h"

namespace llmq {
namespace {

at::Tensor RandomMatrix(int64_t rows, int64_t cols, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn({rows, cols}, generator, at::kFloat);
}

TensorView View(const at::Tensor& matrix) {
  return {
      "layer.weight", DType::kF32, {matrix.size(0), matrix.size(1)}, std::as_bytes(AsSpan(matrix))};
}

LayerFactors Factorize(const at::Tensor& matrix, int64_t rank, int64_t paths) {
  return FactorizeLayer(View(matrix), {matrix.size(0), matrix.size(1), rank, paths}, {});
}

void ExpectFinite(const LayerFactors& factors) {
  for (const PathFactors& path : factors.paths) {
    for (const at::Tensor& tensor : {path.u, path.v, path.g, path.h, path.l}) {
      EXPECT_TRUE(at::isfinite(tensor).all().item<bool>());
    }
  }
  EXPECT_TRUE(std::isfinite(factors.relative_error));
}

TEST(SignOf, CountsZeroAsPositive) {
  const at::Tensor x = at::tensor({-2.0f, -0.0f, 0.0f, 1e-30f, -1e-30f});
  EXPECT_TRUE(SignOf(x).equal(at::tensor({-1.0f, 1.0f, 1.0f, 1.0f, -1.0f})));
}

TEST(DualSvid, RecoversAMatrixOfItsOwnForm) {
  // diag(h) u v^T diag(g): rank 1 with any magnitudes is exactly representable, up to fp16.
  const at::Tensor matrix = at::matmul(RandomMatrix(24, 1, 1), RandomMatrix(1, 40, 2));
  const LayerFactors factors = Factorize(matrix, 1, 1);
  EXPECT_LT(factors.relative_error, 2e-3);
  EXPECT_TRUE(Reconstruct(factors.paths).sgn().equal(matrix.sgn()));
}

TEST(DualSvid, MatchesTheDefinitionOnASmallMatrix) {
  const at::Tensor matrix = RandomMatrix(12, 20, 3);
  const int64_t rank = 5;
  const auto [u, s, vh] = at::linalg_svd(matrix.to(at::kDouble), false);
  const at::Tensor u_latent = u.narrow(1, 0, rank) * s.narrow(0, 0, rank).sqrt();
  const at::Tensor v_latent = vh.narrow(0, 0, rank).t() * s.narrow(0, 0, rank).sqrt();
  const auto rank_one = [](const at::Tensor& magnitudes) {  // by a full SVD of |U'|
    const auto [a, b, ch] = at::linalg_svd(magnitudes, false);
    return std::pair(a.select(1, 0).abs(), (b[0] * ch[0]).abs());
  };
  const auto [h, l_u] = rank_one(u_latent.abs());
  const auto [g, l_v] = rank_one(v_latent.abs());
  const at::Tensor expected = at::matmul(u_latent.sgn() * h.unsqueeze(1) * (l_u * l_v),
                                         (v_latent.sgn() * g.unsqueeze(1)).t());
  const at::Tensor found = Reconstruct(Factorize(matrix, rank, 1).paths).to(at::kDouble);
  EXPECT_LT((found - expected).norm().item<double>(), 2e-3 * expected.norm().item<double>());
}

TEST(DualSvid, ErrorFallsWithRankAndWithTheSecondPath) {
  const at::Tensor matrix = RandomMatrix(96, 128, 4);
  const double low = Factorize(matrix, 16, 1).relative_error;
  const double high = Factorize(matrix, 64, 1).relative_error;
  const double two = Factorize(matrix, 64, 2).relative_error;
  EXPECT_LT(high, low - 0.02);
  EXPECT_LT(two, high - 0.02);
  EXPECT_LT(low, 1.0);
}

TEST(DualSvid, StaysInHalfPrecisionRangeForTinyAndHugeWeights) {
  const at::Tensor matrix = RandomMatrix(48, 64, 5);
  const double plain = Factorize(matrix, 16, 2).relative_error;
  for (const double scale : {1e-6, 1e4}) {
    const LayerFactors factors = Factorize(matrix * scale, 16, 2);
    ExpectFinite(factors);
    EXPECT_NEAR(factors.relative_error, plain, 2e-3) << scale;
    EXPECT_NO_THROW((void)PackFactors(factors, "layer"));
  }
}

TEST(DualSvid, SurvivesZeroConstantAndRankDeficientMatrices) {
  const LayerFactors zero = Factorize(at::zeros({16, 24}), 8, 2);
  ExpectFinite(zero);
  EXPECT_EQ(zero.relative_error, 0);
  EXPECT_EQ(zero.paths[0].h.abs().max().item<float>(), 0);

  const LayerFactors constant = Factorize(at::full({16, 24}, 0.25), 8, 2);
  ExpectFinite(constant);
  EXPECT_LT(constant.relative_error, 5e-3);

  at::Tensor half_empty = RandomMatrix(16, 24, 6);
  half_empty.narrow(0, 0, 8).zero_();
  ExpectFinite(Factorize(half_empty, 12, 2));
}

TEST(FactorizeLayer, ReportsTheErrorOfThePackedForm) {
  const at::Tensor matrix = RandomMatrix(40, 56, 7);
  for (const int64_t paths : {1, 2}) {
    const LayerFactors factors = Factorize(matrix, 20, paths);
    const LittleBitLinear packed = PackFactors(factors, "layer");
    at::Tensor dense = at::empty({40, 56}, at::kFloat);
    ReconstructDense(packed.shape, packed.payload, AsMutableSpan(dense));
    EXPECT_NEAR(RelativeError(matrix, dense), factors.relative_error, 1e-6);
    EXPECT_LT((dense - Reconstruct(factors.paths)).abs().max().item<float>(), 1e-5);
  }
}

TEST(FactorizeLayer, RefusesWeightsThatAreNotFinite) {
  at::Tensor matrix = RandomMatrix(8, 8, 8);
  for (int i = 0; i < 3; ++i) matrix[i][i] = std::numeric_limits<float>::quiet_NaN();
  matrix[7][0] = -std::numeric_limits<float>::infinity();
  try {
    (void)Factorize(matrix, 4, 1);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFactorizationFailed);
    EXPECT_EQ(error.message(), "layer.weight: expected finite weights, found 3 NaN and 1 Inf");
  }
}

TEST(FactorizeLayer, NamesTheLayerWhoseScaleOverflows) {
  const at::Tensor matrix = RandomMatrix(16, 16, 9) * 1e17;
  try {
    (void)Factorize(matrix, 8, 1);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFactorizationFailed);
    EXPECT_TRUE(error.message().starts_with("layer.weight: scale ")) << error.message();
  }
}

}  // namespace
}  // namespace llmq
