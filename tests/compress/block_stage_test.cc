// Block reconstruction: what it learns, what of it arrives in the file, and that neither threads
// nor an interruption change a byte.
#include "compress/stages/block_stage.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/half.h"
#include "compress/pipeline.h"
#include "compress/torch_bridge.h"
#include "compress/train/block_trainer.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "tests/compress/recording_observer.h"
#include "tests/compress/tiny_run.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::FileBytes;
using testing::RecordingObserver;

constexpr int64_t kLength = 16;

// ---- The trainer of one block ----

class BlockTrainerTest : public ::testing::Test {
 protected:
  BlockTrainerTest() : workers_(2) {
    testing::WriteTinyCheckpoint(directory_ / "model", testing::TinyModelOptions());
    const Checkpoint checkpoint(directory_ / "model");
    config_ = OneBlockConfig(checkpoint.config(), 1);
    weights_ = LoadBlockWeights(checkpoint, 1, at::kCPU);
    model_.emplace(config_, kLength, at::kCPU);
    at::manual_seed(3);
    const FrameWeights frame = OneBlockFrame(weights_);
    const DenseLinears linears(weights_.matrices);
    for (int i = 0; i < 6; ++i) {
      const at::Tensor x = at::randn({1, kLength, config_.hidden_size});
      targets_.push_back(model_->Block(0, frame, linears, x).to(at::kBFloat16));
      inputs_.push_back((x + 0.3 * at::randn_like(x)).to(at::kBFloat16));  // a prefix's error
    }
  }

  BlockTrainer Trainer() { return {*model_, inputs_, targets_, at::kCPU, workers_}; }
  static bool Always() { return true; }

  testing::TemporaryDirectory directory_;
  WorkerPool workers_;
  ModelConfig config_;
  BlockWeights weights_;
  std::optional<TrainableModel> model_;
  Activations inputs_, targets_;
};

TEST_F(BlockTrainerTest, DenseWeightsLearnToMendTheErrorOfTheirInput) {
  DenseBlock block(weights_, std::vector<bool>(weights_.matrices.size(), false));
  const double before = Trainer().Loss(block);
  const auto last =
      Trainer().Train(block, {.passes = 10, .batch_sequences = 2, .learning_rate = 5e-3}, Always);
  ASSERT_TRUE(last.has_value());
  EXPECT_LT(Trainer().Loss(block), 0.8 * before);
  EXPECT_LT(*last, before);
}

TEST_F(BlockTrainerTest, FixedMatricesStay) {
  const BlockWeights before = [&] {
    BlockWeights copy = weights_;
    for (at::Tensor& matrix : copy.matrices) matrix = matrix.clone();
    return copy;
  }();
  std::vector<bool> fixed(weights_.matrices.size(), false);
  fixed[0] = fixed[4] = true;
  DenseBlock block(weights_, fixed);
  (void)Trainer().Train(block, {.batch_sequences = 2, .learning_rate = 1e-2}, Always);
  for (size_t p = 0; p < weights_.matrices.size(); ++p) {
    EXPECT_EQ(at::equal(weights_.matrices[p], before.matrices[p]), fixed[p]) << p;
  }
}

TEST_F(BlockTrainerTest, LossIsTheMeanOverSequencesOfTheRelativeSquaredError) {
  const DenseBlock block(weights_, std::vector<bool>(weights_.matrices.size(), false));
  double expected = 0;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const at::Tensor y = model_->Block(0, OneBlockFrame(weights_), DenseLinears(weights_.matrices),
                                       inputs_[i].to(at::kFloat));
    const at::Tensor t = targets_[i].to(at::kDouble);
    expected += ((y - t).norm().square() / t.norm().square()).item<double>() / 6;
  }
  EXPECT_NEAR(Trainer().Loss(block), expected, 1e-6 * expected);
}

TEST_F(BlockTrainerTest, StopsBeforeTheNextStep) {
  DenseBlock block(weights_, std::vector<bool>(weights_.matrices.size(), false));
  int asked = 0;
  const auto loss = Trainer().Train(block, {.batch_sequences = 2, .learning_rate = 1e-3},
                                    [&] { return ++asked < 3; });
  EXPECT_FALSE(loss.has_value());
  EXPECT_EQ(asked, 3);
}

TEST_F(BlockTrainerTest, RefusesALossThatIsNotFinite) {
  inputs_[2].fill_(std::numeric_limits<float>::infinity());
  DenseBlock block(weights_, std::vector<bool>(weights_.matrices.size(), false));
  EXPECT_THROW((void)Trainer().Train(block, {.learning_rate = 1e-3}, Always), Error);
}

TEST(UnpackFactors, StandsForTheSameMatrix) {
  const at::Tensor matrix = at::randn({24, 40});
  const TensorView view{"w", DType::kF32, {24, 40}, std::as_bytes(AsSpan(matrix))};
  const LayerFactors factors = FactorizeLayer(view, {24, 40, 9, 2}, {});
  const std::vector<PathFactors> unpacked = UnpackFactors(PackFactors(factors, "w"));
  EXPECT_TRUE(at::equal(Reconstruct(unpacked), Reconstruct(factors.paths)));
}

// ---- The stage ----

class BlockStageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::TinyCheckpointOptions model = testing::TinyModelOptions();
    model.attention_bias = true;
    testing::WriteTinyCheckpoint(directory_ / "model", model);
    options_ = testing::TinyRunOptions(directory_.path());
    options_.importance = ImportanceMode::kFull;
    options_.init = InitMethod::kAdmm;
    options_.calibration_sequences = 4;
    testing::TrainSteps(options_, 3);
    options_.train.tokens = 0;
    options_.train.block_tokens = 10 * kLength;
  }

  std::string Run(const std::string& name) {
    CompressOptions options = options_;
    options.output = directory_ / name;
    observer_ = {};
    report_ = RunPipeline(options, observer_);
    return FileBytes(options.output);
  }

  void RunStopped(const std::string& stage, int64_t done) {
    options_.checkpoint_dir = directory_ / "checkpoints";
    RecordingObserver observer;
    observer.StopAt(stage, done);
    options_.output = directory_ / "stopped";
    try {
      (void)RunPipeline(options_, observer);
      FAIL() << "expected a stop";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUserCancelled);
    }
    options_.resume = true;
  }

  std::filesystem::path OnlyDirectory() const {
    return std::filesystem::directory_iterator(options_.checkpoint_dir)->path();
  }

  std::vector<float> Stored(const std::string& file, const std::string& tensor) const {
    const LittleBitFile littlebit(directory_ / file);
    const LittleBitSection* section = littlebit.Find(tensor);
    EXPECT_NE(section, nullptr) << tensor;
    return ToFloat({tensor, section->dtype, section->shape, section->data});
  }

  testing::TemporaryDirectory directory_;
  CompressOptions options_;
  RecordingObserver observer_;
  CompressReport report_;
};

TEST_F(BlockStageTest, TakesThePlaceOfTheFactorization) {
  (void)Run("out");
  EXPECT_EQ(observer_.stages, (std::vector<std::string>{"Calibrating", "Blocks", "Writing"}));
  ASSERT_EQ(observer_.layers.size(), 14u);
  EXPECT_EQ(observer_.layers.front(), "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(observer_.layers.back(), "model.layers.1.mlp.down_proj");
  EXPECT_TRUE(observer_.always_on_one_thread);
  ASSERT_FALSE(observer_.shares.empty());
  EXPECT_TRUE(std::ranges::all_of(observer_.shares, [](double s) { return s >= 0 && s < 1; }));
  LittleBitFile(directory_ / "out").Verify();
}

TEST_F(BlockStageTest, ThreadsDoNotMatter) {
  options_.threads = 1;
  const std::string one = Run("one");
  options_.threads = 3;
  EXPECT_TRUE(Run("three") == one);
}

TEST_F(BlockStageTest, AbsorptionMatters) {
  const std::string with = Run("with");
  options_.train.absorption = false;
  EXPECT_FALSE(Run("without") == with);
}

TEST_F(BlockStageTest, TrainedNormsAndBiasesArriveInTheFile) {
  (void)Run("out");
  const Checkpoint checkpoint(options_.model);
  for (const std::string& name : {InputNormName(0), PostAttentionNormName(1),
                                  std::string("model.layers.1.self_attn.q_proj.bias")}) {
    EXPECT_NE(Stored("out", name), ToFloat(checkpoint.Get(name))) << name;
  }
  EXPECT_EQ(Stored("out", kFinalNormName), ToFloat(checkpoint.Get(kFinalNormName)));
}

TEST_F(BlockStageTest, TrainingStartsFromItsNorms) {
  (void)Run("blocks");
  options_.train.tokens = 4 * kLength;  // one step, too small to see in 16 bits
  options_.train.learning_rate = 1e-12;
  (void)Run("both");
  for (const std::string& name : {InputNormName(1), PostAttentionNormName(0),
                                  std::string("model.layers.0.self_attn.v_proj.bias")}) {
    EXPECT_EQ(Stored("both", name), Stored("blocks", name)) << name;
  }
}

class BlockStop : public BlockStageTest,
                  public ::testing::WithParamInterface<std::pair<int, int64_t>> {};

TEST_P(BlockStop, LeavesNoTraceInTheFile) {
  const auto [blocks_done, train_tokens] = GetParam();
  options_.train.tokens = train_tokens;
  const std::string whole = Run("whole");
  blocks_done < 2 ? RunStopped("Blocks", blocks_done) : RunStopped("Training", 1);
  options_.threads = 1;
  RecordingObserver observer;
  (void)RunPipeline(options_, observer);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
  EXPECT_FALSE(std::filesystem::exists(options_.checkpoint_dir));
  const auto blocks = std::find(observer.stages.begin(), observer.stages.end(), "Blocks");
  ASSERT_NE(blocks, observer.stages.end());
  EXPECT_EQ(observer.done_at_begin[static_cast<size_t>(blocks - observer.stages.begin())],
            blocks_done);
}

INSTANTIATE_TEST_SUITE_P(Points, BlockStop,
                         ::testing::Values(std::pair(0, 0), std::pair(1, 0),
                                           std::pair(1, 8 * kLength), std::pair(2, 8 * kLength)));

TEST_F(BlockStageTest, RedoesADamagedBlockWithAWarning) {
  options_.train.tokens = 8 * kLength;
  const std::string whole = Run("whole");
  RunStopped("Training", 1);
  const std::filesystem::path block = OnlyDirectory() / "block-00000.state";
  std::string bytes = ReadTextFile(block);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  WriteFileAtomically(block, bytes);
  RecordingObserver observer;
  (void)RunPipeline(options_, observer);
  ASSERT_EQ(observer.warnings.size(), 1u);
  EXPECT_NE(observer.warnings[0].find("block-00000.state"), std::string::npos);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
}

// ---- Scales alone, at the end ----

TEST_F(BlockStageTest, DistillationMovesScalesAndNoSign) {
  (void)Run("blocks");
  options_.train.kd_tokens = 12 * kLength;
  (void)Run("distilled");
  EXPECT_EQ(observer_.stages.at(3), "Distilling");
  EXPECT_EQ(report_.trained_tokens, 12 * kLength);
  const LittleBitFile before(directory_ / "blocks"), after(directory_ / "distilled");
  for (const LayerReport& layer : report_.layers) {
    const LittleBitSection* a = before.Find(layer.name + ".weight");
    const LittleBitSection* b = after.Find(layer.name + ".weight");
    const auto old_paths = ViewLittleBitPaths(layer.shape, a->data);
    const auto new_paths = ViewLittleBitPaths(layer.shape, b->data);
    for (size_t p = 0; p < old_paths.size(); ++p) {
      EXPECT_TRUE(std::ranges::equal(old_paths[p].v.bytes, new_paths[p].v.bytes)) << layer.name;
      EXPECT_TRUE(std::ranges::equal(old_paths[p].u.bytes, new_paths[p].u.bytes)) << layer.name;
      EXPECT_FALSE(std::ranges::equal(old_paths[p].g.bytes(), new_paths[p].g.bytes()))
          << layer.name;
    }
  }
}

TEST_F(BlockStageTest, DistillationResumes) {
  options_.train.tokens = 8 * kLength;
  options_.train.kd_tokens = 16 * kLength;
  const std::string whole = Run("whole");
  RunStopped("Distilling", 2);
  RecordingObserver observer;
  (void)RunPipeline(options_, observer);
  EXPECT_EQ(observer.stages.at(3), "Distilling");
  EXPECT_EQ(observer.done_at_begin.at(3), 2);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
}

}  // namespace
}  // namespace llmq
