// Random models and the measurement of speed: what is counted, not how fast it is.
#include "llmq/speed.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "base/file.h"
#include "llmq/bit_budget.h"
#include "llmq/error.h"
#include "llmq/group_quant.h"
#include "llmq/littlebit.h"

namespace llmq {
namespace {

ModelConfig SmallShape() {
  ModelConfig config = KnownShape("llama-2-7b");
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.num_layers = 2;
  config.num_heads = config.num_kv_heads = 4;
  config.head_dim = config.rope.dim = 64;
  config.vocab_size = 300;
  config.max_position = 64;
  return config;
}

TEST(KnownShapes, AreWhatTheirNamesSay) {
  const auto names = KnownShapes();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  const std::pair<const char*, double> kBillions[] = {
      {"tinyllama-1.1b", 1.10}, {"llama-3.2-1b", 1.24}, {"llama-3.2-3b", 3.21},
      {"llama-2-7b", 6.74},     {"mistral-7b", 7.24},   {"llama-3-8b", 8.03},
      {"llama-2-13b", 13.02},   {"llama-2-70b", 68.98}, {"mixtral-8x7b", 46.70},
      {"qwen3-30b-a3b", 30.53}};
  EXPECT_EQ(names.size(), std::size(kBillions));
  for (const auto& [name, billions] : kBillions) {
    double parameters = 0;
    for (const ExpectedTensor& tensor : ExpectedTensors(KnownShape(name))) {
      double elements = 1;
      for (const int64_t size : tensor.shape) elements *= static_cast<double>(size);
      parameters += elements;
    }
    EXPECT_NEAR(parameters * 1e-9, billions, 0.006) << name;
  }
  try {
    KnownShape("llama-9");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArguments);
    EXPECT_NE(error.message().find("llama-2-7b"), std::string::npos);
  }
}

// What is measured must be what the real model computes, rotation included.
TEST(KnownShapes, AgreeWithTheModelsOwnConfiguration) {
  for (const char* name : {"llama-2-7b", "llama-2-13b"}) {
    const std::string path = std::string(LLMQ_TEST_GOLDEN_DIR) + "/shapes/" + name + "/config.json";
    const ModelConfig expected = ParseModelConfig(ReadTextFile(path), "", path);
    const ModelConfig found = KnownShape(name);
    EXPECT_EQ(found.num_kv_heads, expected.num_kv_heads);
    EXPECT_EQ(found.head_dim, expected.head_dim);
    EXPECT_EQ(found.vocab_size, expected.vocab_size);
    EXPECT_EQ(ComputeRopeFrequencies(found.rope, 1).inverse,
              ComputeRopeFrequencies(expected.rope, 1).inverse);
  }
}

TEST(RandomModel, ComputesFiniteNumbersOfItsOwnSize) {
  const ModelConfig config = SmallShape();
  for (const double bpw : {0.0, 1.0}) {
    for (const bool exact : {true, false}) {
      const auto model = MakeRandomModel(config, {.bpw = bpw}, {.threads = 2, .exact = exact});
      const auto session = Session::Create(*model, 8);
      const auto logits = session->Append(std::vector<int32_t>{1, 2, 3, 299, 5});
      double largest = 0;
      for (const float logit : logits) {
        ASSERT_TRUE(std::isfinite(logit));
        largest = std::max(largest, static_cast<double>(std::fabs(logit)));
      }
      EXPECT_GT(largest, 1e-3);
      EXPECT_LT(largest, 1e3);
      EXPECT_THROW(model->tokenizer(), Error);
    }
  }
}

TEST(RandomModel, HasExpertsIfTheShapeHas) {
  ModelConfig config = KnownShape("qwen3-30b-a3b");
  config.hidden_size = 256;
  config.num_layers = 2;
  config.num_heads = config.num_kv_heads = 4;
  config.head_dim = config.rope.dim = 64;
  config.vocab_size = 300;
  config.experts.count = 10;
  config.experts.intermediate_size = 96;
  config.experts.sparse_layers.resize(2);
  for (const double bpw : {0.0, 1.0}) {
    const auto model = MakeRandomModel(config, {.bpw = bpw}, {.threads = 2});
    const auto session = Session::Create(*model, 0);
    for (const float logit : session->Append(std::vector<int32_t>{1, 2, 3})) {
      ASSERT_TRUE(std::isfinite(logit)) << bpw;
    }
    const int64_t block = 4 * 256 * 256 + 2 * 256 + 2 * 64 + 10 * (3 * 96 + 1) * 256;
    EXPECT_EQ(SizeOf(*model).parameters, 2 * block + 256 + 2 * 300 * 256);
  }
}

TEST(RandomModel, HasLayerNormsAndPositionsIfTheModelHas) {
  const ModelConfig config = ParseModelConfig(
      R"({"architectures": ["GPT2LMHeadModel"], "n_embd": 256, "n_layer": 2, "n_head": 4,
          "n_positions": 16, "vocab_size": 300})",
      "", "config.json");
  for (const double bpw : {0.0, 1.0}) {
    const auto model = MakeRandomModel(config, {.bpw = bpw}, {.threads = 2});
    const auto session = Session::Create(*model, 0);
    for (const float logit : session->Append(std::vector<int32_t>(16, 7))) {
      ASSERT_TRUE(std::isfinite(logit)) << bpw;
    }
    const int64_t block = 12 * 256 * 256 + 13 * 256;  // with all biases
    EXPECT_EQ(SizeOf(*model).parameters, 2 * block + 2 * 256 + (300 + 16) * 256);
  }
}

TEST(RandomModel, CountsBytesAsAFileHasThem) {
  const ModelConfig config = SmallShape();
  const auto model = MakeRandomModel(config, {.bpw = 1.0, .table_bits = 4}, {.threads = 1});
  const RankPlan plan = PlanRanks(config, {.target_bpw = 1.0});
  const int64_t table = GroupQuantBytes({config.vocab_size, config.hidden_size, 4});
  const ModelSize size = SizeOf(*model);
  EXPECT_EQ(size.bytes, static_cast<uint64_t>(plan.body_bytes + 2 * table));
  EXPECT_EQ(size.body_bpw, plan.body_bpw);
  const int64_t block = 4 * 256 * 256 + 3 * 256 * 512 + 2 * 256;
  EXPECT_EQ(size.parameters, 2 * block + 256 + 2 * 300 * 256);
  const ModelSize half = SizeOf(*MakeRandomModel(config, {.bpw = 0}, {.threads = 1}));
  EXPECT_EQ(half.bytes, static_cast<uint64_t>(2 * (size.parameters - 5 * 256)));
  EXPECT_THROW(MakeRandomModel(config, {.bpw = 0.01}, {.threads = 1}), Error);
}

TEST(MeasureSpeed, RunsWhatIsAskedForAndStops) {
  const auto model = MakeRandomModel(SmallShape(), {.bpw = 1.0}, {.threads = 1});
  const auto results =
      MeasureSpeed(*model, {.prompt_tokens = 20, .generated_tokens = 5, .repetitions = 3}, nullptr);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_EQ(results[0].name(), "pp20");
  EXPECT_EQ(results[1].name(), "tg5");
  for (const SpeedResult& result : results) {
    EXPECT_EQ(result.seconds.size(), 3u);
    EXPECT_GT(result.average_rate(), 0);
    EXPECT_GE(result.stddev_rate(), 0);
  }
  const auto only =
      MeasureSpeed(*model, {.prompt_tokens = 0, .generated_tokens = 2, .repetitions = 1}, nullptr);
  ASSERT_EQ(only.size(), 1u);
  EXPECT_EQ(only[0].stddev_rate(), 0);
  int asked = 0;
  EXPECT_THROW(MeasureSpeed(*model, {.prompt_tokens = 0, .generated_tokens = 50},
                            [&] { return ++asked < 10; }),
               Error);
  EXPECT_EQ(asked, 10);
  EXPECT_THROW(MeasureSpeed(*model, {.prompt_tokens = 65}, nullptr), Error);  // the context is 64
}

TEST(SpeedResult, AveragesAreOfTheRepetitions) {
  const SpeedResult result{.generated_tokens = 12, .seconds = {2, 3, 4}};
  EXPECT_DOUBLE_EQ(result.average_seconds(), 3);
  EXPECT_DOUBLE_EQ(result.stddev_seconds(), 1);
  EXPECT_DOUBLE_EQ(result.average_rate(), (6.0 + 4.0 + 3.0) / 3);
}

}  // namespace
}  // namespace llmq
