// The truncated SVDs against LibTorch's own full SVD, which uses another algorithm.
#include "compress/factorize/svd.h"

#include <gtest/gtest.h>

#include <limits>

#include "llmq/error.h"

namespace llmq {
namespace {

at::Tensor RandomMatrix(int64_t rows, int64_t cols, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn({rows, cols}, generator, at::kDouble);
}

// Random singular vectors, singular values decay^k.
at::Tensor Decaying(int64_t rows, int64_t cols, double decay) {
  const at::Tensor u = std::get<0>(at::linalg_qr(RandomMatrix(rows, cols, 1)));
  const at::Tensor v = std::get<0>(at::linalg_qr(RandomMatrix(cols, cols, 2)));
  return at::matmul(u * at::pow(decay, at::arange(cols, at::kDouble)), v.t());
}

at::Tensor Product(const TruncatedSvd& svd) { return at::matmul(svd.u * svd.s, svd.v.t()); }

double Distance(const at::Tensor& a, const at::Tensor& b) { return (a - b).norm().item<double>(); }

// The best approximation of the rank, by LibTorch's SVD.
at::Tensor Reference(const at::Tensor& matrix, int64_t rank) {
  const auto [u, s, vh] = at::linalg_svd(matrix, /*full_matrices=*/false);
  return at::matmul(u.narrow(1, 0, rank) * s.narrow(0, 0, rank), vh.narrow(0, 0, rank));
}

TEST(ExactSvd, EqualsTheFullDecompositionForEveryShape) {
  for (const auto& [rows, cols] :
       {std::pair<int64_t, int64_t>{20, 33}, {33, 20}, {24, 24}, {1, 9}, {9, 1}}) {
    const at::Tensor matrix = RandomMatrix(rows, cols, 3);
    for (const int64_t rank : {int64_t{1}, std::min(rows, cols)}) {
      const TruncatedSvd svd = ExactSvd(matrix, rank);
      EXPECT_LT(Distance(Product(svd), Reference(matrix, rank)), 1e-10) << rows << "x" << cols;
      const at::Tensor identity = at::eye(rank, at::kDouble);
      EXPECT_LT(Distance(at::matmul(svd.u.t(), svd.u), identity), 1e-10);
      EXPECT_LT(Distance(at::matmul(svd.v.t(), svd.v), identity), 1e-10);
    }
  }
}

TEST(ExactSvd, OrdersSingularValuesLargestFirst) {
  const at::Tensor s = ExactSvd(RandomMatrix(30, 12, 4), 12).s;
  for (int64_t i = 1; i < 12; ++i) EXPECT_GE(s[i - 1].item<double>(), s[i].item<double>());
}

TEST(ExactSvd, HandlesRankDeficientAndZeroMatrices) {
  const at::Tensor one = at::matmul(RandomMatrix(16, 1, 5), RandomMatrix(1, 40, 6));
  const TruncatedSvd svd = ExactSvd(one, 8);
  EXPECT_LT(Distance(Product(svd), one), 1e-9);
  EXPECT_TRUE(at::isfinite(svd.v).all().item<bool>());
  const TruncatedSvd zero = ExactSvd(at::zeros({16, 40}, at::kDouble), 4);
  EXPECT_EQ(zero.s.abs().max().item<double>(), 0);
  EXPECT_EQ(zero.v.abs().max().item<double>(), 0);
}

TEST(RandomizedSvd, IsCloseToTheExactOneWhereTheSpectrumDecays) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{200, 120}, {120, 200}}) {
    const at::Tensor tall = Decaying(200, 120, 0.9);
    const at::Tensor matrix = rows == 200 ? tall : tall.t().contiguous();
    const TruncatedSvd svd = RandomizedSvd(matrix, 20, 11);
    const double best = Distance(matrix, Reference(matrix, 20));
    EXPECT_LT(Distance(matrix, Product(svd)), best * 1.001);
  }
}

TEST(RandomizedSvd, DependsOnTheSeedAndNothingElse) {
  const at::Tensor matrix = RandomMatrix(60, 80, 8);
  const at::Tensor first = RandomizedSvd(matrix, 5, 1).u;
  EXPECT_TRUE(first.equal(RandomizedSvd(matrix, 5, 1).u));
  EXPECT_FALSE(first.equal(RandomizedSvd(matrix, 5, 2).u));
}

TEST(ChooseSvdMethod, FollowsTheRule) {
  EXPECT_EQ(ChooseSvdMethod(1024, 8192, 1), SvdMethod::kExact);
  EXPECT_EQ(ChooseSvdMethod(1025, 8192, 256), SvdMethod::kRandomized);
  EXPECT_EQ(ChooseSvdMethod(8192, 1025, 257), SvdMethod::kExact);
}

TEST(MixSeed, SeparatesNamesAndSeeds) {
  EXPECT_NE(MixSeed(0, "a"), MixSeed(0, "b"));
  EXPECT_NE(MixSeed(0, "a"), MixSeed(1, "a"));
}

TEST(RobustSvd, AgreesInBothPrecisionsOnAFineMatrix) {
  const at::Tensor matrix = Decaying(60, 40, 0.8).to(at::kFloat);
  const at::Tensor wide = Product(RobustSvd(matrix, 10, {SvdPrecision::kFloat64, 0}, "m"));
  const TruncatedSvd narrow = RobustSvd(matrix, 10, {SvdPrecision::kFloat32, 0}, "m");
  EXPECT_EQ(narrow.u.scalar_type(), at::kFloat);
  EXPECT_LT(Distance(wide, Product(narrow).to(at::kDouble)), 1e-4);
}

TEST(RobustSvd, FallsBackToDoubleWhenFloatOverflows) {
  const at::Tensor matrix = (RandomMatrix(12, 20, 9) * 1e25).to(at::kFloat);  // squares pass 3e38
  const TruncatedSvd svd = RobustSvd(matrix, 12, {SvdPrecision::kFloat32, 0}, "m");
  EXPECT_EQ(svd.u.scalar_type(), at::kDouble);
  EXPECT_LT(Distance(Product(svd), matrix.to(at::kDouble)), 1e25 * 1e-6);
}

TEST(RobustSvd, NamesTheLayerWhenNothingHelps) {
  at::Tensor matrix = RandomMatrix(8, 8, 10).to(at::kFloat);
  matrix[3][3] = std::numeric_limits<float>::quiet_NaN();
  try {
    (void)RobustSvd(matrix, 4, {}, "model.layers.1.mlp.up_proj.weight");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFactorizationFailed);
    EXPECT_NE(error.message().find("SVD failed for layer model.layers.1.mlp.up_proj.weight"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace llmq
