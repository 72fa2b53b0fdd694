// Stopping and continuing: the file of an interrupted run has the bytes of an uninterrupted one.
#include <gtest/gtest.h>

#include <tuple>

#include "base/file.h"
#include "compress/pipeline.h"
#include "llmq/error.h"
#include "tests/compress/recording_observer.h"
#include "tests/compress/tiny_run.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::FileBytes;
using testing::RecordingObserver;

class ResumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::WriteTinyCheckpoint(directory_ / "model", testing::TinyModelOptions());
    options_ = testing::TinyRunOptions(directory_.path());
    options_.threads = 1;  // so that a stop after n layers means n layers
    testing::TrainSteps(options_, 8);
  }

  std::string Uninterrupted() {
    CompressOptions options = options_;
    options.output = directory_ / "whole.littlebit";
    RecordingObserver observer;
    (void)RunPipeline(options, observer);
    return FileBytes(options.output);
  }

  void RunStopped(const std::string& stage, int64_t done) {
    options_.checkpoint_dir = directory_ / "checkpoints";
    RecordingObserver observer;
    observer.StopAt(stage, done);
    try {
      (void)RunPipeline(options_, observer);
      FAIL() << "expected a stop";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUserCancelled);
      EXPECT_EQ(error.suggestion(), "Continue with --resume " + options_.checkpoint_dir.string());
    }
    EXPECT_FALSE(std::filesystem::exists(options_.output));
  }

  RecordingObserver Resume() {
    options_.resume = true;
    RecordingObserver observer;
    (void)RunPipeline(options_, observer);
    EXPECT_FALSE(std::filesystem::exists(options_.checkpoint_dir));
    return observer;
  }

  std::filesystem::path OnlyDirectory() const {
    return std::filesystem::directory_iterator(options_.checkpoint_dir)->path();
  }

  testing::TemporaryDirectory directory_;
  CompressOptions options_;
};

class StopPoint : public ResumeTest,
                  public ::testing::WithParamInterface<std::pair<const char*, int>> {};

TEST_P(StopPoint, LeavesNoTraceInTheFile) {
  const std::string whole = Uninterrupted();
  RunStopped(GetParam().first, GetParam().second);
  options_.threads = 2;
  const RecordingObserver observer = Resume();
  EXPECT_GE(observer.done_at_begin[0],
            std::string(GetParam().first) == "Training" ? 14 : GetParam().second);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
}

INSTANTIATE_TEST_SUITE_P(Points, StopPoint,
                         ::testing::Values(std::pair("Factorizing", 1), std::pair("Factorizing", 9),
                                           std::pair("Training", 0), std::pair("Training", 3),
                                           std::pair("Training", 7)));

TEST_F(ResumeTest, WithoutTrainingTheLayersAreKeptToo) {
  options_.train.tokens = 0;
  const std::string whole = Uninterrupted();
  RunStopped("Factorizing", 5);
  const RecordingObserver observer = Resume();
  EXPECT_EQ(observer.layers.size() + static_cast<size_t>(observer.done_at_begin[0]), 14u);
  EXPECT_LT(observer.layers.size(), 14u);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
}

TEST_F(ResumeTest, StopsTwice) {
  const std::string whole = Uninterrupted();
  RunStopped("Training", 2);
  options_.resume = true;
  RunStopped("Training", 5);
  const RecordingObserver observer = Resume();
  EXPECT_EQ(observer.done_at_begin[1], 5);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
}

TEST_F(ResumeTest, RedoesADamagedLayerWithAWarning) {
  const std::string whole = Uninterrupted();
  RunStopped("Factorizing", 9);
  const std::filesystem::path layer = OnlyDirectory() / "layer-00004.state";
  std::string bytes = ReadTextFile(layer);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  WriteFileAtomically(layer, bytes);
  const RecordingObserver observer = Resume();
  ASSERT_EQ(observer.warnings.size(), 1u);
  EXPECT_NE(observer.warnings[0].find("layer-00004.state"), std::string::npos);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
}

TEST_F(ResumeTest, TrainsAgainAfterADamagedTrainingState) {
  const std::string whole = Uninterrupted();
  RunStopped("Training", 4);
  const std::filesystem::path state = OnlyDirectory() / "training.state";
  WriteFileAtomically(state, ReadTextFile(state).substr(0, 1000));
  const RecordingObserver observer = Resume();
  EXPECT_EQ(observer.warnings.size(), 1u);
  EXPECT_EQ(observer.done_at_begin[1], 0);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
}

TEST_F(ResumeTest, NamesTheOptionThatDiffers) {
  RunStopped("Training", 4);
  options_.resume = true;
  options_.train.learning_rate = 1e-3;
  RecordingObserver observer;
  try {
    (void)RunPipeline(options_, observer);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpointError);
    EXPECT_NE(error.message().find("learning rate: 0.001 now, 0.002 in the checkpoint"),
              std::string::npos)
        << error.message();
  }
}

TEST_F(ResumeTest, RefusesAnotherPrecisionButNotGradientCheckpointing) {
  const std::string whole = Uninterrupted();
  RunStopped("Training", 4);
  options_.resume = true;
  options_.train.precision = TrainPrecision::kBf16;
  RecordingObserver observer;
  try {
    (void)RunPipeline(options_, observer);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("training precision: bf16 now, float32 in the checkpoint"),
              std::string::npos)
        << error.message();
  }
  options_.train.precision = TrainPrecision::kFloat32;  // what auto was
  options_.train.gradient_checkpointing = GradientCheckpointing::kOn;
  EXPECT_EQ(Resume().done_at_begin[1], 4);
  EXPECT_TRUE(FileBytes(options_.output) == whole);
}

TEST_F(ResumeTest, SaysWhenThereIsNothing) {
  options_.checkpoint_dir = directory_ / "none";
  options_.resume = true;
  RecordingObserver observer;
  try {
    (void)RunPipeline(options_, observer);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpointError);
    EXPECT_NE(error.message().find("no checkpoint"), std::string::npos);
  }
}

}  // namespace
}  // namespace llmq
