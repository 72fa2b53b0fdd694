// Whole compressions of a tiny model: what comes out, what is reported, and that threads do not
// matter.
#include "compress/pipeline.h"

#include <gtest/gtest.h>

#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "llmq/output_plan.h"
#include "tests/compress/recording_observer.h"
#include "tests/compress/tiny_run.h"
#include "tests/support/relative_error.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::FileBytes;
using testing::RecordingObserver;
using testing::TinyCheckpointOptions;
using testing::TinyModelOptions;
using testing::TinyRunOptions;

class PipelineTest : public ::testing::Test {
 protected:
  void MakeModel(const TinyCheckpointOptions& model = TinyModelOptions()) {
    testing::WriteTinyCheckpoint(directory_ / "model", model);
    options_ = TinyRunOptions(directory_.path());
  }
  CompressReport Run() { return RunPipeline(options_, observer_); }

  Error Failure() {
    try {
      (void)Run();
    } catch (const Error& error) {
      EXPECT_FALSE(std::filesystem::exists(options_.output));
      return error;
    }
    ADD_FAILURE() << "expected an error";
    return Error(ErrorCode::kGeneral, "none");
  }

  testing::TemporaryDirectory directory_;
  CompressOptions options_;
  RecordingObserver observer_;
};

TEST_F(PipelineTest, WritesAFileThatReadsBackAndReportsItsBytes) {
  TinyCheckpointOptions model = TinyModelOptions();
  model.attention_bias = model.mlp_bias = true;
  model.tied = false;
  MakeModel(model);
  const CompressReport report = Run();

  const LittleBitFile file(options_.output);
  file.Verify();
  EXPECT_EQ(report.file_bytes, std::filesystem::file_size(options_.output));
  EXPECT_DOUBLE_EQ(report.body_bpw, file.body_bpw());
  EXPECT_LE(report.body_bpw, options_.rank.target_bpw);
  const Checkpoint checkpoint(options_.model);
  const OutputPlan plan = PlanOutput(checkpoint.config(), checkpoint.files(), report.plan, {8, 8},
                                     checkpoint.tensors());
  EXPECT_EQ(report.file_bytes, plan.file_bytes);  // what --dry-run promises
  EXPECT_EQ(file.metadata().source_model, "tiny");
  EXPECT_EQ(file.metadata().seed, 7u);
  EXPECT_EQ(file.files(), checkpoint.files());

  ASSERT_EQ(report.layers.size(), 14u);
  for (const LayerReport& layer : report.layers) {
    const LittleBitSection* section = file.Find(layer.name + ".weight");
    ASSERT_NE(section, nullptr) << layer.name;
    EXPECT_EQ(section->littlebit_shape(), layer.shape);
    EXPECT_DOUBLE_EQ(section->relative_error, layer.relative_error);
  }
  const LittleBitSection* bias = file.Find("model.layers.0.mlp.up_proj.bias");
  const TensorView& original = checkpoint.Get("model.layers.0.mlp.up_proj.bias");
  EXPECT_TRUE(
      std::equal(bias->data.begin(), bias->data.end(), original.data.begin(), original.data.end()));
}

// Whether signs were trained, and whatever scales were rounded to.
TEST_F(PipelineTest, ErrorsAreThoseOfTheBytesInTheFile) {
  MakeModel();
  const Checkpoint checkpoint(options_.model);
  for (const int steps : {0, 4}) {
    testing::TrainSteps(options_, steps);
    for (const int bits : {kHalfScaleBits, 4}) {
      options_.rank.scale_bits = bits;
      const CompressReport report = Run();
      const LittleBitFile file(options_.output);
      EXPECT_EQ(file.format_version(), bits == 4 ? 3u : 1u);
      EXPECT_LE(report.body_bpw, options_.rank.target_bpw);
      for (const LayerReport& layer : report.layers) {
        const LittleBitSection* section = file.Find(layer.name + ".weight");
        EXPECT_EQ(section->littlebit_shape(), layer.shape);
        EXPECT_EQ(layer.shape.scale_bits, bits);
        const std::vector<float> weight = ToFloat(checkpoint.Get(layer.name + ".weight"));
        std::vector<float> dense(weight.size());
        ReconstructDense(layer.shape, section->data, dense);
        EXPECT_NEAR(layer.relative_error, testing::RelativeError(dense, weight), 1e-5)
            << layer.name;
      }
    }
  }
}

TEST_F(PipelineTest, CallsTheObserverFromOneThreadForEveryLayer) {
  MakeModel();
  (void)Run();
  EXPECT_TRUE(observer_.always_on_one_thread);
  EXPECT_EQ(observer_.layers.size(), 14u);
  EXPECT_EQ(observer_.stages, (std::vector<std::string>{"Factorizing", "Writing"}));
}

TEST_F(PipelineTest, TrainingLowersTheLossAndKeepsTheSize) {
  MakeModel();
  const uint64_t untrained = Run().file_bytes;
  testing::TrainSteps(options_, 40);
  const CompressReport report = Run();
  EXPECT_LT(report.last_loss, 0.8 * report.first_loss);
  EXPECT_EQ(report.trained_tokens, 40 * 64);
  EXPECT_EQ(LittleBitFile(options_.output).metadata().train_tokens, 40 * 64);
  // The same sections; only the number of tokens is written with more digits.
  EXPECT_NEAR(static_cast<double>(report.file_bytes), static_cast<double>(untrained), 64);
}

TEST_F(PipelineTest, TheResultDoesNotDependOnTheNumberOfThreads) {
  MakeModel();
  testing::TrainSteps(options_, 6);
  options_.train.batch_sequences = 6;
  options_.train.sequence_tokens =
      128;  // 4 sequences per micro-batch, so two micro-batches per step
  options_.train.tokens = 6 * 6 * 128;
  std::vector<std::string> files;
  for (const int threads : {1, 2, 3}) {
    options_.threads = threads;
    (void)Run();
    files.push_back(FileBytes(options_.output));
  }
  EXPECT_TRUE(files[0] == files[1]);
  EXPECT_TRUE(files[0] == files[2]);
  options_.seed = 8;
  (void)Run();
  EXPECT_FALSE(files[0] == FileBytes(options_.output));
}

TEST_F(PipelineTest, OtherInitializationsGiveLowerErrorsAndTheSameBytesOnAnyThreads) {
  MakeModel();
  testing::TrainSteps(options_, 3);
  const auto mean_error = [](const CompressReport& report) {
    double sum = 0;
    for (const LayerReport& layer : report.layers) sum += layer.relative_error;
    return sum / static_cast<double>(report.layers.size());
  };
  const double dual_svid = mean_error(Run());
  for (const InitMethod init : {InitMethod::kItq, InitMethod::kAdmm, InitMethod::kAnneal}) {
    options_.init = init;
    options_.threads = 1;
    EXPECT_LT(mean_error(Run()), dual_svid - 0.02) << InitMethodName(init);
    const std::string bytes = FileBytes(options_.output);
    options_.threads = 3;
    (void)Run();
    EXPECT_TRUE(bytes == FileBytes(options_.output)) << InitMethodName(init);
  }
}

TEST_F(PipelineTest, BothSurrogatesAndPrecisionsTrain) {
  MakeModel();
  testing::TrainSteps(options_, 30);
  options_.train.surrogate = Surrogate::kStraightThrough;
  options_.svd_precision = SvdPrecision::kFloat32;
  const CompressReport report = Run();
  EXPECT_LT(report.last_loss, report.first_loss);
}

TEST_F(PipelineTest, AFixedLatentScaleIsOneNumberAndStaysIt) {
  MakeModel();
  testing::TrainSteps(options_, 10);
  options_.train.latent_scale = false;
  (void)Run();
  const LittleBitFile file(options_.output);
  for (const LittleBitSection& section : file.sections()) {
    if (section.kind != StorageKind::kLittleBit) continue;
    for (const LittleBitPathView& path :
         ViewLittleBitPaths(section.littlebit_shape(), section.data)) {
      for (int64_t k = 0; k < path.l.size(); ++k) EXPECT_EQ(path.l[k], path.l[0]) << section.name;
    }
  }
}

TEST_F(PipelineTest, StoresTheEmbeddingInTheChosenBits) {
  MakeModel();
  for (const int bits : {4, 6, 8, 16}) {
    options_.table_bits = {bits, bits};
    (void)Run();
    const LittleBitFile file(options_.output);
    const LittleBitSection* table = file.Find(kEmbeddingName);
    EXPECT_EQ(table->kind, bits == 16 ? StorageKind::kDense : StorageKind::kGroupQuant);
    EXPECT_EQ(table->bits, bits == 16 ? 0 : bits);
  }
}

TEST_F(PipelineTest, FillsABudgetOfTheWholeFile) {
  TinyCheckpointOptions model = TinyModelOptions();
  model.tied = false;
  MakeModel(model);
  options_.table_bits = {6, 4};
  options_.budget_scope = BudgetScope::kFile;
  options_.rank.target_bpw = 12;  // metadata and directory are most of such a small file
  const CompressReport report = Run();
  const LittleBitFile file(options_.output);
  EXPECT_EQ(report.table_bits, file.metadata().table_bits);
  EXPECT_EQ(file.metadata().budget_scope, BudgetScope::kFile);
  EXPECT_EQ(file.metadata().target_bpw, 12);
  EXPECT_EQ(file.Find(kEmbeddingName)->bits, 6);
  EXPECT_EQ(file.Find(kHeadName)->bits, 4);
  EXPECT_EQ(file.file_bytes(), report.file_bytes);
  EXPECT_LE(8 * static_cast<double>(report.file_bytes),
            12 * static_cast<double>(report.original_parameters));
}

TEST_F(PipelineTest, NamesAWeightThatIsNotFinite) {
  TinyCheckpointOptions model = TinyModelOptions();
  model.nan_tensor = "model.layers.1.mlp.up_proj.weight";
  MakeModel(model);
  const Error error = Failure();
  EXPECT_EQ(error.code(), ErrorCode::kFactorizationFailed);
  EXPECT_EQ(error.message(),
            "model.layers.1.mlp.up_proj.weight: expected finite weights, found 1 NaN and 0 Inf");
}

TEST_F(PipelineTest, NamesAnEmbeddingThatIsNotFinite) {
  TinyCheckpointOptions model = TinyModelOptions();
  model.infinite_tensor = kEmbeddingName;
  MakeModel(model);
  EXPECT_EQ(Failure().code(), ErrorCode::kFactorizationFailed);
}

TEST_F(PipelineTest, CompressesAZeroMatrix) {
  TinyCheckpointOptions model = TinyModelOptions();
  model.zero_tensor = "model.layers.0.self_attn.o_proj.weight";
  MakeModel(model);
  testing::TrainSteps(options_, 3);
  const CompressReport report = Run();
  EXPECT_EQ(report.layers[3].name, "model.layers.0.self_attn.o_proj");
  EXPECT_TRUE(std::isfinite(report.layers[3].relative_error));
  LittleBitFile(options_.output).Verify();
}

TEST_F(PipelineTest, RefusesATargetThatDoesNotFit) {
  MakeModel();
  options_.rank.target_bpw = 0.1;
  EXPECT_EQ(Failure().code(), ErrorCode::kRankSelectionFailed);
}

TEST_F(PipelineTest, RefusesTextOfOneToken) {
  MakeModel();
  testing::TrainSteps(options_, 3);
  options_.training_text.documents = {""};
  EXPECT_EQ(Failure().code(), ErrorCode::kInvalidArguments);
}

TEST_F(PipelineTest, RefusesAnUnknownDevice) {
  MakeModel();
  options_.device = "cuda:x";
  EXPECT_EQ(Failure().code(), ErrorCode::kInvalidArguments);
}

}  // namespace
}  // namespace llmq
