#include "compress/memory_check.h"

#include <gtest/gtest.h>

#include "llmq/error.h"

namespace llmq {
namespace {

ModelConfig Llama7B() {
  ModelConfig config;
  config.hidden_size = 4096;
  config.intermediate_size = 11008;
  config.num_layers = config.num_heads = config.num_kv_heads = 32;
  config.head_dim = 128;
  config.vocab_size = 32000;
  config.max_position = 4096;
  return config;
}

TEST(EstimateTrainingBytes, HasTheMagnitudeOfItsParts) {
  const ModelConfig config = Llama7B();
  RankOptions rank;
  rank.target_bpw = 1.0;
  const RankPlan plan = PlanRanks(config, rank);
  TrainOptions train;
  train.sequence_tokens = 256;
  const auto gigabytes = [&](int workers) {
    return static_cast<double>(EstimateTrainingBytes(config, plan, train, workers)) / 1e9;
  };
  // f32: teacher 27, five copies of nearly as many latents 128, one gradient per worker 25 and
  // activations.
  EXPECT_GT(gigabytes(1), 170);
  EXPECT_LT(gigabytes(1), 210);
  EXPECT_GT(gigabytes(2) - gigabytes(1), 25);
  train.batch_sequences = 2;  // two micro-batches: no work for a third worker
  EXPECT_GT(gigabytes(2) - gigabytes(1), 25);
  EXPECT_EQ(gigabytes(3), gigabytes(2));
}

TEST(EstimateTrainingBytes, KnowsWhatSavesMemory) {
  const ModelConfig config = Llama7B();
  RankOptions rank;
  rank.target_bpw = 1.0;
  const RankPlan plan = PlanRanks(config, rank);
  TrainOptions train;
  train.sequence_tokens = 512;
  train.batch_sequences = 4;
  const auto gigabytes = [&] {
    return static_cast<double>(EstimateTrainingBytes(config, plan, train, 1)) / 1e9;
  };
  const double whole = gigabytes();
  train.gradient_checkpointing = GradientCheckpointing::kOn;
  // 32 blocks of 512 tokens, each with 5 intermediate and 16 hidden sizes and its ranks: 8.8 GB.
  EXPECT_GT(whole - gigabytes(), 7);
  EXPECT_LT(whole - gigabytes(), 12);
  train.part = TrainedPart::kScales;  // no teacher, moments or gradients: two copies of six
  EXPECT_LT(gigabytes(), 0.5 * whole);
}

TEST(EstimateTrainingBytes, CountsTheExpertsThatATokenRuns) {
  ModelConfig config = Llama7B();
  config.experts = {.count = 8, .per_token = 2, .intermediate_size = 11008};
  config.experts.sparse_layers.assign(32, true);
  const RankPlan plan = PlanRanks(config, {.target_bpw = 1.0});
  TrainOptions train;
  train.sequence_tokens = 1024;
  const auto gigabytes = [&] {
    return static_cast<double>(EstimateTrainingBytes(config, plan, train, 1)) / 1e9;
  };
  const double two = gigabytes();
  config.experts.per_token = 3;
  // For each of 1024 tokens in 32 layers: 5 intermediate and 4 hidden sizes, and ranks.
  EXPECT_GT(gigabytes() - two, 32 * 1024 * 4e-9 * (5 * 11008 + 4 * 4096));
  EXPECT_LT(gigabytes() - two, 32 * 1024 * 4e-9 * (5 * 11008 + 4 * 4096 + 6 * 4096));
}

TEST(ExpectMemory, NamesBothNumbersAndTheWayOut) {
  EXPECT_NO_THROW(ExpectMemory(100, 100));
  EXPECT_NO_THROW(ExpectMemory(100, std::nullopt));
  try {
    ExpectMemory(8'000'000'000, 2'500'000'000);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    EXPECT_EQ(error.message(), "training: expected 8.0 GB of free memory, found 2.5 GB");
    EXPECT_NE(error.suggestion().find("--train-tokens 0"), std::string::npos);
  }
}

TEST(AvailableMemoryBytes, IsKnownOnLinux) {
  ASSERT_TRUE(AvailableMemoryBytes().has_value());
  EXPECT_GT(*AvailableMemoryBytes(), uint64_t{1} << 20);
}

}  // namespace
}  // namespace llmq
