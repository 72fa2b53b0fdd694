// Models with experts in the workshop: routing and its derivatives against a sum over all experts,
// statistics of experts that few tokens reach, and whole runs.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "compress/calibrate/block_statistics.h"
#include "compress/pipeline.h"
#include "compress/stages/block_stage.h"
#include "compress/train/load_frame.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "llmq/recipe.h"
#include "tests/compress/recording_observer.h"
#include "tests/compress/tiny_run.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::FileBytes;
using testing::RecordingObserver;

const std::filesystem::path kParity = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity";

// ---- The forward pass ----

// The MLP part of a block with experts, written down as its definition: every expert for every
// token, weighed by its probability, or by 0 if it is not among the token's best.
at::Tensor SumOverAllExperts(const ModelConfig& config, const Teacher& teacher, int64_t layer,
                             const at::Tensor& x) {
  const size_t first = LinearsOfBlock(config, layer).begin;
  const auto apply = [&](Projection projection, int64_t mlp, const at::Tensor& in) {
    return teacher.linears.Apply(first + IndexInBlock(config, projection, mlp), in);
  };
  const auto mlp = [&](int64_t i) {
    const at::Tensor gate = apply(Projection::kGate, i, x);
    return apply(Projection::kDown, i, gate * at::sigmoid(gate) * apply(Projection::kUp, i, x));
  };
  const auto router = [&](Router which) {
    return at::matmul(x, teacher.frame.routers[RouterIndex(layer, which)].t());
  };
  const at::Tensor p = router(Router::kExperts).softmax(-1);  // [B, T, experts]
  const at::Tensor least =
      std::get<0>(p.topk(config.experts.per_token, -1)).narrow(-1, config.experts.per_token - 1, 1);
  at::Tensor w = p * (p >= least);
  if (config.experts.normalized) w = w / w.sum(-1, true);
  at::Tensor sum = at::zeros_like(x);
  for (int64_t i = 0; i < config.experts.count; ++i) sum = sum + w.narrow(-1, i, 1) * mlp(i);
  if (config.experts.shared_intermediate_size == 0) return sum;
  return sum + at::sigmoid(router(Router::kShared)) * mlp(config.experts.count);
}

class ExpertBlock : public ::testing::TestWithParam<std::pair<const char*, int64_t>> {};

TEST_P(ExpertBlock, EqualsTheSumOverAllExpertsAndItsDerivatives) {
  const auto [name, layer] = GetParam();
  const Checkpoint checkpoint(kParity / name);
  const ModelConfig& config = checkpoint.config();
  Teacher teacher = LoadTeacher(checkpoint, at::kCPU);
  const TrainableModel model(config, 24, at::kCPU);
  at::manual_seed(5);
  // Attention contributes nothing, so that the block is x + MLP(norm x).
  const std::vector<LinearSpec> linears = BlockLinears(config);
  std::vector<at::Tensor> weights;
  for (const LinearSpec& linear : linears) {
    const at::Tensor weight = LoadTensor(checkpoint, linear.name + ".weight", at::kCPU);
    weights.push_back(linear.projection == Projection::kO ? at::zeros_like(weight)
                                                          : weight.requires_grad_(true));
  }
  teacher.linears = DenseLinears(weights);
  const at::Tensor x = at::randn({2, 24, config.hidden_size}).requires_grad_(true);
  const at::Tensor norm = teacher.frame.norms[NormIndex(layer, BlockNorm::kMlp)].weight;
  const at::Tensor normed = x * at::rsqrt(x.square().mean(-1, true) + config.norm_eps) * norm;
  const at::Tensor expected = x + SumOverAllExperts(config, teacher, layer, normed);
  const at::Tensor found = model.Block(layer, teacher.frame, teacher.linears, x);
  EXPECT_LT((found - expected).abs().max().item<double>(), 1e-4);

  std::vector<at::Tensor> wanted = {x};
  const LinearRange block = LinearsOfBlock(config, layer);
  for (size_t i = block.begin + 4; i < block.end; ++i) wanted.push_back(weights[i]);
  const at::Tensor upstream = at::randn_like(x);
  const auto a = torch::autograd::grad({found}, wanted, {upstream}, true, false, true);
  const auto b = torch::autograd::grad({expected}, wanted, {upstream}, true, false, true);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const at::Tensor zero = at::zeros_like(wanted[i]);
    const at::Tensor difference = (a[i].defined() ? a[i] : zero) - (b[i].defined() ? b[i] : zero);
    EXPECT_LT(difference.norm().item<double>(), 1e-4 * (1 + b[i].norm().item<double>())) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ExpertBlock,
                         ::testing::Values(std::pair("mixtral", 1), std::pair("qwen2-moe", 0),
                                           std::pair("qwen2-moe-mixed", 3),
                                           std::pair("qwen3-moe", 1)));

// ---- Statistics ----

ModelConfig FourExperts() {
  ModelConfig config;
  config.num_layers = 1;
  config.experts = {.count = 4, .per_token = 1, .intermediate_size = 3};
  config.experts.sparse_layers = {true};
  return config;
}

// Expert e got tokens[e]; every token added `values` to each linear's sums.
std::vector<SquareSum> Totals(const std::vector<double>& tokens, const at::Tensor& values) {
  std::vector<SquareSum> totals(4, {100 * values, 100});  // attention
  for (const double n : tokens) {
    for (int projection = 0; projection < 3; ++projection) {
      totals.push_back(n == 0 ? SquareSum{} : SquareSum{n * values, n});
    }
  }
  return totals;
}

TEST(BlockStatistics, FillUpExpertsThatFewTokensReach) {
  const ModelConfig config = FourExperts();
  const at::Tensor values = at::tensor({1.0, 2.0, 6.0}, at::kDouble);
  std::vector<ChannelStatistics> block(4 + 4 * 3);
  StoreInputs(config, 0, Totals({0, 10, 40, 50}, values), 100, block);
  StoreGradients(config, 0, Totals({0, 10, 40, 50}, values), block);
  const auto at = [&](int64_t expert, Projection projection) -> const ChannelStatistics& {
    return block[IndexInBlock(config, projection, expert)];
  };
  const auto expect = [](const at::Tensor& found, const std::vector<double>& expected) {
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(found[static_cast<int64_t>(i)].item<double>(), expected[i], 1e-6) << i;
    }
  };
  EXPECT_EQ(at(0, Projection::kGate).tokens, 0);
  EXPECT_EQ(at(1, Projection::kDown).tokens, 10);
  // Enough tokens: inputs are means over all 100 tokens, derivatives over the expert's own.
  expect(at(2, Projection::kUp).input, {0.4, 0.8, 2.4});
  expect(at(2, Projection::kUp).gradient, {1, 2, 6});
  // None: as if 32 mean tokens had come; flat where channels are the expert's own.
  expect(at(0, Projection::kGate).input, {0.32, 0.64, 1.92});
  expect(at(0, Projection::kDown).input, {0.96, 0.96, 0.96});
  expect(at(0, Projection::kGate).gradient, {3, 3, 3});
  expect(at(0, Projection::kDown).gradient, {1, 2, 6});
  // Ten: 22 more.
  expect(at(1, Projection::kDown).input, {0.1 + 0.66, 0.2 + 0.66, 0.6 + 0.66});
  expect(block[0].input, {1, 2, 6});
}

// ---- Whole runs ----

class ExpertRun : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::TinyCheckpointOptions model = testing::TinyModelOptions();
    model.architecture = "Qwen2MoeForCausalLM";
    model.num_layers = 3;
    model.config_overrides = R"({"num_experts": 5, "num_experts_per_tok": 2,
        "moe_intermediate_size": 48, "shared_expert_intermediate_size": 64,
        "mlp_only_layers": [1]})";
    testing::WriteTinyCheckpoint(directory_ / "model", model);
    options_ = testing::TinyRunOptions(directory_.path());
    options_.rank.target_bpw = 4;
    testing::TrainSteps(options_, 3);
    options_.importance = ImportanceMode::kFull;
    options_.allocation = Allocation::kAuto;
    options_.calibration_sequences = 4;
  }

  std::string Run(const std::string& name) {
    CompressOptions options = options_;
    options.output = directory_ / name;
    observer_ = {};
    report_ = RunPipeline(options, observer_);
    LittleBitFile(options.output).Verify();
    return FileBytes(options.output);
  }

  std::string RunStoppedAndResumed(const std::string& stage, int64_t done) {
    CompressOptions options = options_;
    options.output = directory_ / "stopped";
    options.checkpoint_dir = directory_ / "checkpoints";
    RecordingObserver observer;
    observer.StopAt(stage, done);
    EXPECT_THROW((void)RunPipeline(options, observer), Error);
    options.resume = true;
    options.threads = 1;
    observer_ = {};
    report_ = RunPipeline(options, observer_);
    return FileBytes(options.output);
  }

  testing::TemporaryDirectory directory_;
  CompressOptions options_;
  RecordingObserver observer_;
  CompressReport report_;
};

TEST_F(ExpertRun, EveryExpertIsCompressedAndRoutersStay) {
  (void)Run("out");
  EXPECT_EQ(report_.layers.size(), 2u * (4 + 6 * 3) + 7);
  const LittleBitFile file(directory_ / "out");
  const Checkpoint checkpoint(options_.model);
  for (const RouterSpec& router : BlockRouters(checkpoint.config())) {
    const LittleBitSection* section = file.Find(router.name);
    ASSERT_NE(section, nullptr) << router.name;
    EXPECT_EQ(section->kind, StorageKind::kDense);
    EXPECT_TRUE(std::ranges::equal(section->data, checkpoint.Get(router.name).data)) << router.name;
  }
  EXPECT_EQ(file.Find("model.layers.2.mlp.experts.4.down_proj.weight")->kind,
            StorageKind::kLittleBit);
}

TEST_F(ExpertRun, ExpertsThatFewTokensReachAreReported) {
  (void)Run("out");  // 64 tokens with 2 of 5 experts each: some get fewer than 32
  ASSERT_FALSE(report_.rarely_routed_experts.empty());
  for (const RareExpert& rare : report_.rarely_routed_experts) {
    EXPECT_TRUE(rare.layer == 0 || rare.layer == 2);
    EXPECT_TRUE(rare.expert >= 0 && rare.expert < 5);
    EXPECT_LT(rare.tokens, kFewTokens);
  }
  ASSERT_EQ(observer_.warnings.size(), 1u);
  EXPECT_NE(observer_.warnings[0].find("of 10 experts were reached by fewer than 32 of 64"),
            std::string::npos)
      << observer_.warnings[0];
}

TEST_F(ExpertRun, ThreadsAndStopsChangeNoByte) {
  const std::string whole = Run("whole");
  const auto rare = report_.rarely_routed_experts.size();
  options_.threads = 3;
  EXPECT_TRUE(Run("three") == whole);
  EXPECT_TRUE(RunStoppedAndResumed("Factorizing", 20) == whole);
  EXPECT_EQ(report_.rarely_routed_experts.size(), rare);
  EXPECT_TRUE(RunStoppedAndResumed("Training", 2) == whole);
}

TEST_F(ExpertRun, BlockByBlockAndDistilled) {
  options_.init = InitMethod::kAdmm;
  options_.allocation = Allocation::kUniform;
  options_.train.tokens = 0;
  options_.train.block_tokens = 160;
  options_.train.kd_tokens = 128;
  const std::string whole = Run("whole");
  options_.threads = 1;
  EXPECT_TRUE(Run("one") == whole);
  EXPECT_TRUE(RunStoppedAndResumed("Blocks", 1) == whole);
}

TEST_F(ExpertRun, CheckpointedGradientsAreTheSame) {
  options_.train.gradient_checkpointing = GradientCheckpointing::kOff;
  const std::string kept = Run("kept");
  options_.train.gradient_checkpointing = GradientCheckpointing::kOn;
  EXPECT_TRUE(Run("again") == kept);
}

}  // namespace
}  // namespace llmq
