// Allocation against the closed form: for losses c r^-beta the best ranks are known.
#include "llmq/rank_allocation.h"

#include <gtest/gtest.h>

#include <cmath>

namespace llmq {
namespace {

ModelConfig TwoBlocks() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = 512;
  config.intermediate_size = 1408;
  config.num_layers = 2;
  config.num_heads = 8;
  config.num_kv_heads = 4;
  config.head_dim = 64;
  config.vocab_size = 1000;
  return config;
}

LossCurve PowerLaw(double size, double beta) {
  LossCurve curve;
  for (const int64_t rank : {8, 64, 512}) {
    curve.ranks.push_back(rank);
    curve.losses.push_back(size * std::pow(static_cast<double>(rank), -beta));
  }
  return curve;
}

std::vector<LossCurve> Curves(const ModelConfig& config, double beta) {
  std::vector<LossCurve> curves;
  for (size_t i = 0; i < BlockLinears(config).size(); ++i) {
    curves.push_back(PowerLaw(1.0 + static_cast<double>(i), beta));
  }
  return curves;
}

RankPlan Allocate(const ModelConfig& config, const RankOptions& options,
                  const std::vector<LossCurve>& curves) {
  const RankPlan plan = PlanRanks(config, options);
  const double bits = options.target_bpw * static_cast<double>(plan.body_weights);
  return AllocateRanks(config, plan, options.overcompleteness, static_cast<int64_t>(bits / 8),
                       curves);
}

double TotalLoss(const RankPlan& plan, const std::vector<LossCurve>& curves) {
  double sum = 0;
  for (size_t i = 0; i < curves.size(); ++i) {
    sum += curves[i].At(static_cast<double>(plan.layers[i].shape.rank));
  }
  return sum;
}

TEST(LossCurve, IsThePowerLawBetweenAndBeyondItsPoints) {
  const LossCurve curve = PowerLaw(3.0, 0.7);
  for (const double rank : {1.0, 8.0, 20.0, 64.0, 100.0, 512.0, 2000.0}) {
    EXPECT_NEAR(curve.At(rank), 3.0 * std::pow(rank, -0.7), 1e-9);
  }
}

TEST(LossCurve, NeverRisesWithTheRank) {
  const LossCurve noisy{{8, 16, 32}, {1.0, 1.1, 0.0}};
  EXPECT_LE(noisy.At(16), noisy.At(8));
  EXPECT_LE(noisy.At(1000), noisy.At(16));
}

// d(loss)/d(rank) per byte is the same everywhere: r ~ (c / bytes per rank)^(1 / (1 + beta)).
TEST(AllocateRanks, ReachesTheClosedFormOptimum) {
  const ModelConfig config = TwoBlocks();
  const double beta = 0.8;
  const std::vector<LossCurve> curves = Curves(config, beta);
  const RankPlan plan = Allocate(config, {.target_bpw = 0.5, .residual = Residual::kOff}, curves);
  const auto want = [&](size_t i) {
    const LinearSpec& linear = plan.layers[i].linear;
    return std::pow(
        (1.0 + static_cast<double>(i)) / static_cast<double>(linear.d_out + linear.d_in + 16),
        1 / (1 + beta));
  };
  for (size_t i = 1; i < curves.size(); ++i) {
    const double got = static_cast<double>(plan.layers[i].shape.rank) /
                       static_cast<double>(plan.layers[0].shape.rank);
    EXPECT_NEAR(got, want(i) / want(0), 0.06 * want(i) / want(0)) << plan.layers[i].linear.name;
  }
}

TEST(AllocateRanks, SpendsTheTargetAndNeverMore) {
  const ModelConfig config = TwoBlocks();
  const std::vector<LossCurve> curves = Curves(config, 0.5);
  for (const double bpw : {0.15, 0.3, 0.55, 1.0, 1.5}) {
    const RankOptions options{.target_bpw = bpw, .residual = Residual::kOff, .kv_rank_factor = 1};
    const RankPlan plan = Allocate(config, options, curves);
    EXPECT_LE(plan.body_bpw, bpw);
    EXPECT_GE(plan.body_bpw, 0.995 * bpw);
    EXPECT_LE(TotalLoss(plan, curves), TotalLoss(PlanRanks(config, options), curves));
  }
}

TEST(AllocateRanks, LeavesTheLeastToAMatrixThatDoesNotMatterAndStopsAtTheSmallerSide) {
  const ModelConfig config = TwoBlocks();
  std::vector<LossCurve> curves = Curves(config, 0.5);
  for (double& loss : curves[0].losses) loss = 0;
  for (double& loss : curves[1].losses) loss *= 1e6;
  const RankPlan plan = Allocate(config, {.target_bpw = 0.55, .residual = Residual::kOff}, curves);
  EXPECT_EQ(plan.layers[0].shape.rank, kMinRank);
  EXPECT_EQ(plan.layers[1].shape.rank, 256);  // k_proj [256, 512]
  const RankPlan overcomplete = Allocate(
      config, {.target_bpw = 0.55, .overcompleteness = 3, .residual = Residual::kOff}, curves);
  EXPECT_EQ(overcomplete.layers[1].shape.rank, 3 * 256);
  EXPECT_LE(overcomplete.body_bpw, 0.55);
}

// What a target of the whole file leaves to the body is the bytes of the plan.
TEST(AllocateRanks, HasRoomInTheLeastPlanThatThereIs) {
  const ModelConfig config = TwoBlocks();
  RankOptions options{.residual = Residual::kOff, .kv_rank_factor = 1};
  options.target_bpw = FindSmallestFeasible(config, options).bpw;
  const RankPlan plan = PlanRanks(config, options);
  const RankPlan found = AllocateRanks(config, plan, 1, plan.body_bytes, Curves(config, 0.5));
  EXPECT_LE(found.body_bytes, plan.body_bytes);
  for (const PlannedLayer& layer : found.layers) EXPECT_GE(layer.shape.rank, kMinRank);
}

}  // namespace
}  // namespace llmq
