// The paper's arithmetic, checked against its own numbers, and the honesty of plans.
#include "llmq/bit_budget.h"

#include <gtest/gtest.h>

#include "llmq/error.h"

namespace llmq {
namespace {

ModelConfig LlamaLike(int64_t hidden, int64_t intermediate, int64_t layers, int64_t heads,
                      int64_t kv_heads) {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = hidden;
  config.intermediate_size = intermediate;
  config.num_layers = layers;
  config.num_heads = heads;
  config.num_kv_heads = kv_heads;
  config.head_dim = hidden / heads;
  config.vocab_size = 1000;
  return config;
}
ModelConfig Llama2_7B() { return LlamaLike(4096, 11008, 32, 32, 32); }
ModelConfig Llama3_8B() { return LlamaLike(4096, 14336, 32, 32, 8); }

TEST(RankForBpw, MatchesThePapersExamples) {
  EXPECT_EQ(RankForBpw(4096, 4096, 2, 0.55), 546);
  EXPECT_EQ(RankForBpw(4096, 11008, 2, 0.1), 133);
  // One path, ranks of the Gaussian table of the project's method notes.
  EXPECT_EQ(RankForBpw(4096, 11008, 1, 1.0), 2966);
  EXPECT_EQ(RankForBpw(4096, 11008, 1, 0.55), 1624);
  EXPECT_EQ(RankForBpw(4096, 11008, 1, 0.3), 878);
  EXPECT_EQ(RankForBpw(4096, 11008, 1, 0.1), 282);
}

TEST(RankForBpw, IsTheLargestThatFits) {
  for (const int64_t d_out : {64, 172, 256, 1408}) {
    for (const int64_t d_in : {64, 100, 512}) {
      for (const int64_t paths : {1, 2}) {
        for (const double bpw : {0.3, 0.55, 1.0, 2.0, 5.0}) {
          const int64_t rank = RankForBpw(d_out, d_in, paths, bpw);
          const double weights = static_cast<double>(d_out * d_in);
          if (rank > 0) {
            EXPECT_LE(LittleBitBpw({d_out, d_in, rank, paths}), bpw);
          }
          const auto next = LittleBitPayloadBytes({d_out, d_in, rank + 1, paths});
          EXPECT_GT(8.0 * static_cast<double>(next), bpw * weights);
        }
      }
    }
  }
}

TEST(RankForBpw, IsZeroWhereTheScalesAloneDoNotFit) {
  EXPECT_EQ(RankForBpw(288, 288, 1, 0.1), 0);
  EXPECT_EQ(RankForBpw(288, 288, 1, -1.0), 0);
}

TEST(LittleBitBpw, CountsThePapersBitsAndNothingElse) {
  // r(d_out + d_in + 16) + 16(d_out + d_in) per path; these sizes need no padding.
  const double bits = 2 * (544.0 * (8192 + 16) + 16.0 * 8192);
  EXPECT_DOUBLE_EQ(LittleBitBpw({4096, 4096, 544, 2}), bits / (4096.0 * 4096.0));
}

TEST(LittleBitBpw, CountsFewerBitsOfScales) {
  // Of each path U and V, then g and h with a grid of 4 bytes before their codes, then l the same;
  // every array to a multiple of 8 bytes, all to one of 64.
  constexpr int64_t kPath = 2 * 544 * 512 + 2 * 2056 + 280;
  EXPECT_EQ(LittleBitPayloadBytes({4096, 4096, 544, 2, 4}), (2 * kPath + 63) / 64 * 64);
  EXPECT_EQ(RankForBpw(4096, 11008, 1, 0.1, 4), 294);
  EXPECT_EQ(RankForBpw(288, 288, 1, 0.1, 4), 9);  // 16 bits a scale leave nothing
}

TEST(PlanRanks, StaysWithinTheTargetAndUsesIt) {
  for (const ModelConfig& config : {Llama2_7B(), Llama3_8B(), LlamaLike(512, 1408, 6, 8, 4)}) {
    for (const double target : {0.3, 0.55, 1.0}) {
      const RankPlan plan = PlanRanks(config, {.target_bpw = target});
      EXPECT_LE(plan.body_bpw, target);
      EXPECT_GT(plan.body_bpw, 0.985 * target);
      EXPECT_EQ(plan.layers.size(), static_cast<size_t>(7 * config.num_layers));
    }
  }
}

TEST(PlanRanks, GivesKeysAndValuesFourTimesTheRankOnGroupedQueryModels) {
  const RankPlan plan = PlanRanks(Llama3_8B(), {.target_bpw = 0.1, .residual = Residual::kOff});
  const PlannedLayer& k = plan.layers[1];
  ASSERT_EQ(k.linear.projection, Projection::kK);
  const RankPlan even = PlanRanks(
      Llama3_8B(), {.target_bpw = 0.1, .residual = Residual::kOff, .kv_rank_factor = 1.0});
  EXPECT_GT(k.shape.rank, 3 * even.layers[1].shape.rank);
  EXPECT_LT(plan.layers[0].shape.rank, even.layers[0].shape.rank);  // the others paid
  EXPECT_LE(plan.body_bpw, 0.1);
  // No group, no factor.
  const RankPlan full = PlanRanks(Llama2_7B(), {.target_bpw = 0.55});
  EXPECT_EQ(full.layers[0].shape.rank, full.layers[1].shape.rank);
}

TEST(PlanRanks, ResidualAutoFollowsThePapersFindings) {
  EXPECT_EQ(PlanRanks(LlamaLike(512, 1408, 6, 8, 4), {.target_bpw = 0.55}).paths, 2);
  EXPECT_EQ(PlanRanks(LlamaLike(512, 1408, 6, 8, 4), {.target_bpw = 0.2}).paths, 1);
  EXPECT_EQ(PlanRanks(Llama2_7B(), {.target_bpw = 0.1}).paths, 2);
}

// Small ranks leave some percent of a small target unspent; a second path would not spend them.
TEST(PlanRanks, ResidualSpareIsForTargetsThatOnePathCannotHold) {
  const ModelConfig small = LlamaLike(512, 1408, 6, 8, 4);
  const auto paths = [&](const ModelConfig& config, double bpw) {
    return PlanRanks(config, {.target_bpw = bpw, .residual = Residual::kSpare}).paths;
  };
  for (const double bpw : {0.12, 0.2, 0.25, 0.3, 0.35, 0.55, 0.7, 1.0}) {
    EXPECT_EQ(paths(small, bpw), 1) << bpw;
  }
  EXPECT_EQ(paths(small, 2.0), 2);  // full ranks of all matrices are 1.4 bits per weight
  EXPECT_EQ(paths(Llama2_7B(), 1.5), 1);
  EXPECT_EQ(paths(Llama2_7B(), 2.0), 2);
  const RankOptions overcomplete{
      .target_bpw = 2.0, .overcompleteness = 2, .residual = Residual::kSpare};
  const RankPlan plan = PlanRanks(small, overcomplete);
  EXPECT_EQ(plan.paths, 1);
  EXPECT_GE(plan.body_bpw, 1.99);
}

TEST(PlanRanks, ManualRankIsTakenAndCappedByTheLayer) {
  const RankPlan plan = PlanRanks(LlamaLike(512, 1408, 6, 8, 4), {.manual_rank = 300});
  EXPECT_EQ(plan.layers[0].shape.rank, 300);
  EXPECT_EQ(plan.layers[1].shape.rank, 256);  // k_proj is [256, 512]
}

TEST(PlanRanks, ManualRankHasTheResidualPathThatWasAskedFor) {
  const auto paths = [](Residual residual) {
    return PlanRanks(LlamaLike(512, 1408, 6, 8, 4), {.manual_rank = 30, .residual = residual})
        .paths;
  };
  EXPECT_EQ(paths(Residual::kAuto), 2);
  EXPECT_EQ(paths(Residual::kOn), 2);
  EXPECT_EQ(paths(Residual::kSpare), 1);
  EXPECT_EQ(paths(Residual::kOff), 1);
}

TEST(PlanRanks, InfeasibleTargetNamesTheLayerAndTheSmallestThatWorks) {
  const ModelConfig config = LlamaLike(288, 768, 6, 6, 6);
  try {
    PlanRanks(config, {.target_bpw = 0.1});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRankSelectionFailed);
    EXPECT_NE(e.message().find("model.layers.0.self_attn.q_proj [288, 288]"), std::string::npos)
        << e.message();
    EXPECT_NE(e.message().find("smallest feasible"), std::string::npos);
  }
  const SmallestFeasible smallest = FindSmallestFeasible(config, {});
  EXPECT_EQ(smallest.layer, "model.layers.0.self_attn.q_proj");
  EXPECT_NO_THROW(PlanRanks(config, {.target_bpw = smallest.bpw}));
  EXPECT_THROW(PlanRanks(config, {.target_bpw = smallest.bpw - 0.002}), Error);
}

TEST(PlanRanks, ATargetAboveTheOriginalsBitsIsNotAdvised) {
  try {
    PlanRanks(LlamaLike(512, 1408, 6, 8, 4), {.target_bpw = 1.0, .kv_rank_factor = 1e-4});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRankSelectionFailed);
    EXPECT_NE(e.suggestion().find("--kv-rank-factor"), std::string::npos) << e.suggestion();
  }
}

}  // namespace
}  // namespace llmq
