// Joint-ITQ, LB-ADMM, annealed signs and what surrounds them, against Dual-SVID at equal rank,
// against the definition of least squares, and against matrices of the form itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compress/factorize/byte_rows.h"
#include "compress/factorize/factorize_layer.h"
#include "compress/torch_bridge.h"

namespace llmq {
namespace {

at::Tensor RandomMatrix(int64_t rows, int64_t cols, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn({rows, cols}, generator, at::kFloat);
}

at::Tensor RandomSigns(int64_t rows, int64_t cols, uint64_t seed) {
  return SignOf(RandomMatrix(rows, cols, seed));
}

// Singular values 1/k: what weights of language models look like.
at::Tensor Decaying(int64_t rows, int64_t cols, uint64_t seed) {
  const int64_t side = std::min(rows, cols);
  const at::Tensor u = std::get<0>(at::linalg_qr(RandomMatrix(rows, side, seed)));
  const at::Tensor v = std::get<0>(at::linalg_qr(RandomMatrix(cols, side, seed + 1)));
  return at::matmul(u / (at::arange(side, at::kFloat) + 1), v.t()) * 10;
}

LayerFactors Factorize(const at::Tensor& matrix, InitMethod init, int64_t rank, int64_t paths,
                       uint64_t seed = 0) {
  const at::Tensor dense = matrix.contiguous();
  const TensorView view{
      "layer.weight", DType::kF32, {dense.size(0), dense.size(1)}, std::as_bytes(AsSpan(dense))};
  FactorizeSettings settings;
  settings.init = init;
  settings.seed = seed;
  return FactorizeLayer(view, {dense.size(0), dense.size(1), rank, paths}, settings);
}

double ErrorOf(const at::Tensor& matrix, InitMethod init, int64_t rank, int64_t paths = 1) {
  return Factorize(matrix, init, rank, paths).relative_error;
}

void ExpectSound(const LayerFactors& factors) {
  for (const PathFactors& path : factors.paths) {
    for (const at::Tensor& tensor : {path.u, path.v, path.g, path.h, path.l}) {
      EXPECT_TRUE(at::isfinite(tensor).all().item<bool>());
    }
    for (const at::Tensor& scale : {path.g, path.h, path.l}) {
      EXPECT_GE(scale.min().item<float>(), 0);
      EXPECT_TRUE(scale.equal(RoundToHalf(scale)));
    }
  }
  EXPECT_TRUE(std::isfinite(factors.relative_error));
  EXPECT_NO_THROW((void)PackFactors(factors, "layer"));
}

// diag(h) U diag(l) V^T diag(g) with every part random, and the path that stands for it.
struct Planted {
  at::Tensor matrix;
  PathFactors path;
};

Planted Plant(int64_t rows, int64_t cols, int64_t rank, uint64_t seed) {
  const auto scale = [&](int64_t size, uint64_t part) {
    return RandomMatrix(1, size, seed + part).squeeze(0).abs() + 0.5;
  };
  PathFactors path{RandomSigns(rank, cols, seed), RandomSigns(rank, rows, seed + 1), scale(cols, 2),
                   scale(rows, 3), scale(rank, 4)};
  return {Reconstruct({path}), path};
}

// Every `step`-th sign turned, and scales of 1.
PathFactors Perturbed(const PathFactors& path, int64_t step) {
  PathFactors other{path.v.clone(), path.u.clone(), at::ones_like(path.g), at::ones_like(path.h),
                    at::ones_like(path.l)};
  for (at::Tensor* signs : {&other.v, &other.u}) {
    at::Tensor flat = signs->view(-1);
    flat.slice(0, 0, flat.numel(), step).neg_();
  }
  return other;
}

double ErrorOf(const at::Tensor& matrix, const PathFactors& path) {
  return RelativeError(matrix, Reconstruct({path}));
}

// As in a worker: small products waste their time on waking threads.
class SingleThreaded : public ::testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }
  void TearDown() override { at::set_num_threads(threads_); }

 private:
  int threads_ = at::get_num_threads();
};
class Factorizers : public SingleThreaded {};
class FactorizePathTest : public SingleThreaded,
                          public ::testing::WithParamInterface<InitMethod> {};
class RefineTest : public SingleThreaded {};
class JointItqTest : public SingleThreaded {};
class AnnealTest : public SingleThreaded {};
class ByteRowsTest : public SingleThreaded {};

TEST_F(Factorizers, BeatDualSvidAtEqualRankOnAGaussian) {
  const at::Tensor matrix = RandomMatrix(96, 160, 1);
  for (const int64_t rank : {16, 48}) {
    const double svd = ErrorOf(matrix, InitMethod::kDualSvid, rank);
    const double itq = ErrorOf(matrix, InitMethod::kItq, rank);
    const double admm = ErrorOf(matrix, InitMethod::kAdmm, rank);
    EXPECT_LT(itq, svd - 0.03) << rank;
    const double anneal = ErrorOf(matrix, InitMethod::kAnneal, rank);
    EXPECT_LT(admm, svd - 0.03) << rank;
    EXPECT_LT(admm, itq) << rank;
    EXPECT_LT(anneal, admm - 0.002) << rank;
  }
}

TEST_F(Factorizers, BeatDualSvidOnADecayingSpectrumOfEitherShape) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{96, 160}, {160, 96}}) {
    const at::Tensor matrix = Decaying(rows, cols, 2);
    const double svd = ErrorOf(matrix, InitMethod::kDualSvid, 40);
    const double itq = ErrorOf(matrix, InitMethod::kItq, 40);
    const double admm = ErrorOf(matrix, InitMethod::kAdmm, 40);
    EXPECT_LT(itq, 0.55 * svd) << rows;
    const double anneal = ErrorOf(matrix, InitMethod::kAnneal, 40);
    EXPECT_LT(admm, 0.55 * svd) << rows;
    EXPECT_LT(admm, itq) << rows;
    EXPECT_LT(anneal, itq) << rows;
  }
}

TEST_F(Factorizers, AreBetterThanRandomSignsWithTheBestScales) {
  const at::Tensor matrix = Decaying(96, 128, 5);
  const LayerFactors random = Factorize(matrix, InitMethod::kRandom, 16, 1);
  ExpectSound(random);
  EXPECT_LT(random.relative_error, 1);  // some scale is better than none
  for (const InitMethod init :
       {InitMethod::kDualSvid, InitMethod::kItq, InitMethod::kAdmm, InitMethod::kAnneal}) {
    EXPECT_LT(ErrorOf(matrix, init, 16), 0.8 * random.relative_error) << InitMethodName(init);
  }
}

TEST_F(Factorizers, GainByASecondPath) {
  const at::Tensor matrix = RandomMatrix(96, 128, 3);
  for (const InitMethod init : {InitMethod::kItq, InitMethod::kAdmm, InitMethod::kAnneal}) {
    const double one = ErrorOf(matrix, init, 32, 1);
    const double two = ErrorOf(matrix, init, 32, 2);
    EXPECT_LT(two, one - 0.12) << InitMethodName(init);
    EXPECT_LT(two, ErrorOf(matrix, InitMethod::kDualSvid, 32, 2) - 0.1) << InitMethodName(init);
  }
}

TEST_F(Factorizers, SurviveDegenerateMatrices) {
  at::Tensor outlier = RandomMatrix(24, 40, 4);
  outlier[3][5] = 1e4;
  at::Tensor half_empty = RandomMatrix(24, 40, 5);
  half_empty.narrow(0, 0, 12).zero_();
  for (const InitMethod init : {InitMethod::kItq, InitMethod::kAdmm, InitMethod::kAnneal}) {
    for (const int64_t paths : {1, 2}) {
      const LayerFactors zero = Factorize(at::zeros({16, 24}), init, 8, paths);
      ExpectSound(zero);
      EXPECT_EQ(zero.relative_error, 0);
      const LayerFactors constant = Factorize(at::full({16, 24}, 0.25), init, 8, paths);
      ExpectSound(constant);
      EXPECT_LT(constant.relative_error, 5e-3) << InitMethodName(init);
      ExpectSound(Factorize(half_empty, init, 8, paths));
      const LayerFactors spike = Factorize(outlier, init, 8, paths);
      ExpectSound(spike);
      EXPECT_LT(spike.relative_error, 0.5) << InitMethodName(init);
      ExpectSound(
          Factorize(RandomMatrix(8, 40, 6), init, 8, paths));  // the rank of its smaller side
      ExpectSound(Factorize(RandomMatrix(40, 8, 7), init, 8, paths));
      ExpectSound(Factorize(RandomMatrix(1, 9, 8), init, 1, paths));
      ExpectSound(Factorize(RandomMatrix(1, 1, 9), init, 1, paths));
    }
  }
}

TEST_F(Factorizers, DoNotDependOnTheSizeOfTheWeights) {
  const at::Tensor matrix = RandomMatrix(48, 64, 10);
  for (const InitMethod init : {InitMethod::kItq, InitMethod::kAdmm, InitMethod::kAnneal}) {
    const double plain = ErrorOf(matrix, init, 16, 2);
    for (const double size : {1e-6, 1e4}) {
      const LayerFactors factors = Factorize(matrix * size, init, 16, 2);
      ExpectSound(factors);
      EXPECT_NEAR(factors.relative_error, plain, 0.01) << InitMethodName(init) << " " << size;
    }
  }
}

TEST_F(Factorizers, GiveTheSameBitsForASeed) {
  const at::Tensor matrix = RandomMatrix(64, 80, 11);
  for (const InitMethod init : {InitMethod::kItq, InitMethod::kAdmm, InitMethod::kAnneal}) {
    const PathFactors first = Factorize(matrix, init, 24, 1, 5).paths[0];
    const PathFactors again = Factorize(matrix, init, 24, 1, 5).paths[0];
    const PathFactors other = Factorize(matrix, init, 24, 1, 6).paths[0];
    EXPECT_TRUE(first.u.equal(again.u) && first.v.equal(again.v) && first.g.equal(again.g) &&
                first.h.equal(again.h) && first.l.equal(again.l));
    EXPECT_FALSE(SignOf(first.u).equal(SignOf(other.u)));
  }
}

TEST_P(FactorizePathTest, LowersTheWeightedErrorByImportance) {
  const at::Tensor matrix = RandomMatrix(80, 112, 12);
  PathSettings settings;
  settings.method = GetParam();
  const PathFactors plain = FactorizePath(matrix, 24, settings, {});
  settings.importance.out = RandomMatrix(1, 80, 13).squeeze(0).square();
  settings.importance.in = RandomMatrix(1, 112, 14).squeeze(0).square();
  settings.importance.in[3] = 0;
  const at::Tensor weights =
      settings.importance.out.sqrt().unsqueeze(1) * settings.importance.in.sqrt();
  const auto weighted_error = [&](const PathFactors& path) {
    return RelativeError(matrix * weights, Reconstruct({path}) * weights);
  };
  const PathFactors weighted = FactorizePath(matrix, 24, settings, {});
  EXPECT_LT(weighted_error(weighted), weighted_error(plain) - 0.15);
  EXPECT_TRUE(at::isfinite(weighted.g).all().item<bool>());
  settings.importance.out = at::zeros({80});  // of no use: counts as none
  settings.importance.in = at::full({112}, 1e-12);
  EXPECT_NEAR(ErrorOf(matrix, FactorizePath(matrix, 24, settings, {})), ErrorOf(matrix, plain),
              1e-3);
}
INSTANTIATE_TEST_SUITE_P(Methods, FactorizePathTest,
                         ::testing::Values(InitMethod::kAdmm, InitMethod::kAnneal));

TEST_F(RefineTest, FindsThePlantedFactorsFromAPerturbedStart) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{96, 128}, {128, 96}}) {
    const Planted planted = Plant(rows, cols, 12, 15);
    PathFactors path = Perturbed(planted.path, 7);
    EXPECT_GT(ErrorOf(planted.matrix, path), 0.3);
    Refine(planted.matrix, 8, path);
    EXPECT_LT(ErrorOf(planted.matrix, path), 1e-4);
    const at::Tensor product = at::matmul(SignOf(path.u).t(), SignOf(path.v));
    const at::Tensor expected = at::matmul(planted.path.u.t(), planted.path.v);
    EXPECT_TRUE(product.equal(expected));  // the signs of both sides of a column may be turned
  }
}

TEST_F(RefineTest, NeverIncreasesTheError) {
  for (const uint64_t seed : {16, 17, 18}) {
    const at::Tensor matrix = seed == 16 ? Decaying(70, 90, seed) : RandomMatrix(70, 90, seed);
    PathFactors path =
        Perturbed(Plant(70, 90, 70, seed).path, 2);  // more than one block of columns
    double before = ErrorOf(matrix, path);
    for (int sweep = 0; sweep < 6; ++sweep) {
      Refine(matrix, sweep % 2, path);  // scales alone, then both
      const double after = ErrorOf(matrix, path);
      EXPECT_LE(after, before + 1e-6) << seed << " " << sweep;
      before = after;
    }
  }
}

// A single sweep ends with g and l; at the end of many, all three scales are stationary.
TEST_F(RefineTest, SolvesTheNormalEquationsOfTheScales) {
  const at::Tensor matrix = RandomMatrix(40, 56, 19);
  PathFactors path = Plant(40, 56, 10, 20).path;
  for (int i = 0; i < 200; ++i) Refine(matrix, 0, path);
  const auto loss = [&](const PathFactors& moved) {
    return (matrix - Reconstruct({moved})).to(at::kDouble).square().sum().item<double>();
  };
  const double at_rest = loss(path);
  const double total = matrix.to(at::kDouble).square().sum().item<double>();
  for (at::Tensor PathFactors::*scale : {&PathFactors::g, &PathFactors::h, &PathFactors::l}) {
    for (const int64_t entry : {0, 3, 9}) {
      for (const double share : {-0.02, 0.02}) {  // of its size; both ways are uphill
        PathFactors moved = path;
        moved.*scale = (path.*scale).clone();
        const double size = (path.*scale).mean().item<double>();
        (moved.*scale)[entry].add_(share * size);
        EXPECT_GT(loss(moved), at_rest - 1e-8 * total);
      }
    }
  }
}

TEST_F(RefineTest, LeavesNoSignThatASingleFlipWouldImprove) {
  const at::Tensor matrix = RandomMatrix(20, 28, 21);
  PathFactors path = Plant(20, 28, 6, 22).path;
  for (int i = 0; i < 60; ++i) Refine(matrix, 1, path);
  const double at_rest = ErrorOf(matrix, path);
  for (at::Tensor PathFactors::*latent : {&PathFactors::u, &PathFactors::v}) {
    for (int64_t i = 0; i < (path.*latent).numel(); ++i) {
      PathFactors moved = path;
      moved.*latent = (path.*latent).clone();
      (moved.*latent).view(-1)[i].neg_();
      EXPECT_GT(ErrorOf(matrix, moved), at_rest - 1e-6);
    }
  }
}

TEST_F(RefineTest, KeepsLatentsButMakesFlippedOnesSmall) {
  const at::Tensor matrix = RandomMatrix(32, 48, 23);
  PathFactors path = Plant(32, 48, 8, 24).path;  // latents +-1
  const at::Tensor before = path.u.clone();
  Refine(matrix, 2, path);
  const at::Tensor kept = SignOf(path.u) == before;
  EXPECT_TRUE(path.u.masked_select(kept).abs().eq(1).all().item<bool>());
  EXPECT_LT(path.u.masked_select(kept.logical_not()).abs().max().item<float>(), 0.5f);
  EXPECT_FALSE(kept.all().item<bool>());
}

TEST_F(JointItqTest, KeepsTheProductAndBringsFactorsNearSigns) {
  const FactorPair pair{RandomMatrix(60, 12, 25), RandomMatrix(90, 12, 26)};
  const auto share = [](const FactorPair& factors) {  // of rows' size that signs stand for
    const at::Tensor rows = at::cat({factors.u, factors.v});
    return (rows.norm(1, 1) / rows.norm(2, 1)).mean().item<double>();
  };
  const FactorPair turned = JointItq(pair, 0, 1);
  const FactorPair fitted = JointItq(pair, 30, 1);
  const at::Tensor product = at::matmul(pair.u, pair.v.t());
  EXPECT_LT(RelativeError(product, at::matmul(fitted.u, fitted.v.t())), 1e-5);
  EXPECT_GT(share(fitted), share(turned) + 0.07);
}

// Scales fitted to noise run to one outlying row; few columns and heavy tails are where it shows.
TEST_F(AnnealTest, DoesNotLoseItselfInOutliers) {
  for (const uint64_t seed : {31, 32, 33, 34}) {
    const at::Tensor tails = RandomMatrix(1, 256, seed).squeeze(0).abs().pow(3).add(0.1);
    const at::Tensor matrix = Decaying(192, 256, seed) * tails;
    EXPECT_LT(ErrorOf(matrix, InitMethod::kAnneal, 8), ErrorOf(matrix, InitMethod::kAdmm, 8) + 0.02)
        << seed;
  }
}

TEST_F(AnnealTest, GainsByMoreIterations) {
  const at::Tensor matrix = RandomMatrix(128, 256, 35);
  PathSettings settings;
  settings.method = InitMethod::kAnneal;
  double before = 1;
  for (const int iterations : {1, 4, 16, 48}) {
    settings.iterations = iterations;
    const double after = ErrorOf(matrix, FactorizePath(matrix, 48, settings, {}));
    EXPECT_LT(after, before - 0.004) << iterations;
    before = after;
  }
}

// Not all large: training turns the signs of small latents first.
TEST_F(AnnealTest, LatentsTellCloseCallsFromClearOnes) {
  const at::Tensor matrix = RandomMatrix(96, 128, 36);
  PathSettings settings;
  settings.method = InitMethod::kAnneal;
  const PathFactors path = FactorizePath(matrix, 24, settings, {});
  const double before = ErrorOf(matrix, path);
  const auto harm = [&](const at::Tensor& chosen) {
    PathFactors turned = path;
    turned.u = at::where(chosen, path.u.neg(), path.u);
    return ErrorOf(matrix, turned) - before;
  };
  const at::Tensor sizes = path.u.abs().flatten();
  const double small = std::get<0>(sizes.kthvalue(sizes.numel() / 20)).item<double>();
  const double large = std::get<0>(sizes.kthvalue(sizes.numel() * 19 / 20)).item<double>();
  EXPECT_LT(small, 0.5);
  EXPECT_LT(harm(path.u.abs() <= small), 0.3 * harm(path.u.abs() > large));
}

// One row after the other, element by element, in float64.
TEST_F(AnnealTest, StripStepsFollowTheirDefinition) {
  for (const int64_t width : {1, 7, 255, 300, 1100}) {
    const int64_t rows = width == 7 ? 3 : kStripRows;
    const at::Tensor weights = RandomMatrix(rows, rows, 37) * 0.3;
    const at::Tensor gains = RandomMatrix(rows, width, 38);
    const at::Tensor means = RandomMatrix(rows, width, 39).clamp(-1, 1);
    at::Tensor expected = means.to(at::kDouble).contiguous();
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t c = 0; c < width; ++c) {
        double gain = gains[i][c].item<double>();
        for (int64_t j = 0; j < i; ++j) {
          const double change = expected[j][c].item<double>() - means[j][c].item<double>();
          gain -= weights[i][j].item<double>() * change;
        }
        const double old = means[i][c].item<double>();
        expected[i][c] = std::clamp(old + 1.8 * (std::clamp(gain, -1.0, 1.0) - old), -1.0, 1.0);
      }
    }
    for (const auto step : {&RelaxStrip, &RelaxStripByOperators}) {
      at::Tensor step_gains = gains.clone(), step_means = means.clone();
      step(weights, 1.8, step_gains, step_means);
      EXPECT_LT((step_means - expected).abs().max().item<double>(), 1e-5) << width;
      // A mean that a step of 1 would give is its gain, clamped.
      at::Tensor one = means.clone(), one_gains = gains.clone();
      step(weights, 1, one_gains, one);
      EXPECT_LT((one - one_gains.clamp(-1, 1)).abs().max().item<double>(), 1e-6) << width;
    }
  }
}

TEST_F(AnnealTest, DoesNotDependOnTheNumberOfThreadsOfItsOwnLoop) {
  const at::Tensor weights = RandomMatrix(kStripRows, kStripRows, 40) * 0.3;
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    at::Tensor gains = RandomMatrix(kStripRows, 5000, 41);
    at::Tensor means = RandomMatrix(kStripRows, 5000, 42).clamp(-1, 1);
    RelaxStrip(weights, 1.8, gains, means);
    return means;
  };
  EXPECT_TRUE(run(1).equal(run(3)));
}

TEST_F(ByteRowsTest, ProductsAreNearThoseOfFloat32) {
  const at::Tensor a = RandomMatrix(50, 300, 43), b = RandomMatrix(40, 300, 44) * 1e-3;
  const ByteRows byte_a = ToByteRows(a), byte_b = ToByteRows(b);
  EXPECT_EQ(byte_a.bytes.defined(), HasByteProducts(a.device()));
  EXPECT_LT(RelativeError(at::mm(a, b.t()), ProductOfRows(byte_a, byte_b)), 0.02);
  const at::Tensor gram = GramOfRows(byte_a);
  EXPECT_TRUE(gram.equal(gram.t()));
  EXPECT_LT(RelativeError(at::mm(a, a.t()), gram), 0.02);
}

// One entry takes the byte's range from all others of its row.
TEST_F(ByteRowsTest, RowsThatBytesHoldBadlyStayFloats) {
  at::Tensor outlying = RandomMatrix(20, 400, 45);
  outlying.select(1, 7).mul_(60);
  const ByteRows rows = ToByteRows(outlying);
  EXPECT_FALSE(rows.bytes.defined());
  const ByteRows plain = ToByteRows(RandomMatrix(30, 400, 46));
  EXPECT_LT(RelativeError(at::mm(outlying, plain.values.t()), ProductOfRows(rows, plain)), 1e-6);
  const at::Tensor gram = GramOfRows(rows);
  EXPECT_TRUE(gram.equal(gram.t()));
  EXPECT_LT(RelativeError(at::mm(outlying, outlying.t()), gram), 1e-6);
}

TEST_F(ByteRowsTest, TakesZerosAndSingleRowsAndColumns) {
  for (const at::Tensor& values : {at::zeros({3, 40}), at::full({3, 1}, -2.0f),
                                   at::full({1, 17}, 5.0f), RandomSigns(20, 16, 47)}) {
    const ByteRows rows = ToByteRows(values);
    EXPECT_TRUE(GramOfRows(rows).allclose(at::mm(values, values.t()), 1e-5));
  }
}

}  // namespace
}  // namespace llmq
