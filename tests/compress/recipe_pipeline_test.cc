// Compressions by recipe auto: calibrated, allocated, within the target, the same for any number of
// threads and after any stop; and runs that a time budget ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "compress/pipeline.h"
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
using testing::TinyCheckpointOptions;

class AutoRecipe : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::WriteTinyCheckpoint(directory_ / "model", testing::TinyModelOptions());
    options_ = testing::TinyRunOptions(directory_.path());
    testing::TrainSteps(options_, 3);
    ApplyRecipe(Recipe::kAuto, options_);
    options_.calibration_sequences = 4;
  }
  std::string Run() {
    RecordingObserver observer;
    report_ = RunPipeline(options_, observer);
    stages_ = observer.stages;
    return FileBytes(options_.output);
  }

  std::optional<ErrorCode> CodeOfRun() {
    try {
      (void)Run();
    } catch (const Error& error) {
      return error.code();
    }
    return std::nullopt;
  }

  testing::TemporaryDirectory directory_;
  CompressOptions options_;
  CompressReport report_;
  std::vector<std::string> stages_;
};

TEST_F(AutoRecipe, AllocatesWithinTheTargetAndSaysWhatItDid) {
  (void)Run();
  EXPECT_EQ(stages_, (std::vector<std::string>{"Calibrating", "Measuring", "Factorizing",
                                               "Training", "Writing"}));
  EXPECT_LE(report_.body_bpw, options_.rank.target_bpw);
  EXPECT_GT(report_.body_bpw, 0.97 * options_.rank.target_bpw);  // 64-byte sections of tiny layers
  const auto [low, high] =
      std::minmax_element(report_.layers.begin(), report_.layers.end(),
                          [](const LayerReport& a, const LayerReport& b) { return a.bpw < b.bpw; });
  EXPECT_LT(low->bpw, 0.95 * high->bpw);
  EXPECT_GT(report_.calibrate_seconds, 0);
  const double rate = LearningRateFor(options_.rank.target_bpw);  // by the BPW that ranks allow
  EXPECT_NEAR(report_.training.learning_rate, rate, 0.02 * rate);
  LittleBitFile(options_.output).Verify();
}

TEST_F(AutoRecipe, GivesTheSameBytesForAnyNumberOfThreads) {
  options_.threads = 1;
  const std::string one = Run();
  options_.threads = 3;
  EXPECT_TRUE(Run() == one);
}

TEST_F(AutoRecipe, GivesOtherBytesForEachStepLeftOut) {
  const std::string whole = Run();
  options_.importance = ImportanceMode::kForward;
  EXPECT_FALSE(Run() == whole);
  options_.importance = ImportanceMode::kOff;
  const std::string allocated = Run();
  EXPECT_FALSE(allocated == whole);
  options_.allocation = Allocation::kUniform;
  EXPECT_FALSE(Run() == allocated);
  EXPECT_EQ(stages_.front(), "Factorizing");
}

TEST_F(AutoRecipe, ResumesToTheSameBytesWithoutCalibratingAgain) {
  const std::string whole = Run();
  for (const auto& [stage, done] : {std::pair("Calibrating", 3), std::pair("Measuring", 5),
                                    std::pair("Factorizing", 4), std::pair("Training", 2)}) {
    options_.checkpoint_dir = directory_ / "checkpoints";
    options_.resume = false;
    RecordingObserver observer;
    observer.StopAt(stage, done);
    EXPECT_THROW((void)RunPipeline(options_, observer), Error) << stage;
    options_.resume = true;
    EXPECT_TRUE(Run() == whole) << stage;
    EXPECT_EQ(stages_.front(), stage == std::string("Training") ? "Factorizing" : stage);
  }
}

TEST_F(AutoRecipe, TrainsOnTextOfTheModelsOwn) {
  const std::string plain = Run();
  options_.train.own_text = 0.5;
  options_.threads = 1;
  const std::string own = Run();
  EXPECT_EQ(stages_, (std::vector<std::string>{"Calibrating", "Measuring", "Factorizing",
                                               "Writing text", "Training", "Writing"}));
  EXPECT_FALSE(own == plain);
  EXPECT_EQ(report_.training.own_text, 0.5);
  options_.threads = 3;
  EXPECT_TRUE(Run() == own);
  for (const char* stage : {"Writing text", "Training"}) {
    options_.checkpoint_dir = directory_ / "checkpoints";
    options_.resume = false;
    RecordingObserver observer;
    observer.StopAt(stage, stage == std::string("Training") ? 2 : 0);
    EXPECT_THROW((void)RunPipeline(options_, observer), Error) << stage;
    options_.resume = true;
    EXPECT_TRUE(Run() == own) << stage;
    const bool writes_again = std::ranges::count(stages_, "Writing text") > 0;
    EXPECT_EQ(writes_again, stage == std::string("Writing text"));
  }
}

// Sequences so long that no machine has the memory; the text then cuts them.
TEST_F(AutoRecipe, GoesByBlocksIfTheWholeDoesNotFit) {
  TinyCheckpointOptions model = testing::TinyModelOptions();
  model.max_position = int64_t{1} << 28;
  testing::WriteTinyCheckpoint(directory_ / "long", model);
  options_.model = directory_ / "long";
  options_.train.sequence_tokens = model.max_position;
  EXPECT_EQ(CodeOfRun(), ErrorCode::kOutOfMemory);
  options_.train.may_go_by_blocks = true;
  (void)Run();
  EXPECT_EQ(stages_, (std::vector<std::string>{"Calibrating", "Measuring", "Blocks", "Writing"}));
  EXPECT_EQ(report_.trained_tokens, 0);
  EXPECT_GT(report_.training.block_tokens, 0);
  EXPECT_NE(LittleBitFile(options_.output).metadata().recipe.find("block by block"),
            std::string::npos);
}

TEST_F(AutoRecipe, GoesOnAsItBeganWhenMemoryHasComeFree) {
  const TrainOptions wanted = options_.train;
  options_.checkpoint_dir = directory_ / "checkpoints";
  options_.train.tokens = 0;  // what too little memory makes of it
  options_.train.block_tokens = 16384;
  RecordingObserver observer;
  observer.StopAt("Blocks", 1);
  EXPECT_THROW((void)RunPipeline(options_, observer), Error);
  options_.train = wanted;
  options_.train.may_go_by_blocks = true;
  options_.resume = true;
  (void)Run();
  EXPECT_EQ(stages_, (std::vector<std::string>{"Blocks", "Writing"}));
  EXPECT_EQ(report_.training.kd_tokens, 0);
}

TEST_F(AutoRecipe, ReportsNoTextOfItsOwnWhereNoneIsWritten) {
  options_.train.tokens = 0;
  options_.train.own_text = 0.5;
  (void)Run();
  EXPECT_EQ(report_.training.own_text, 0);
}

TEST_F(AutoRecipe, CalibratesWithoutTrainingToo) {
  (void)Run();
  const auto first_block = [&] {
    int64_t bytes = 0;
    for (size_t i = 0; i < report_.layers.size() / 2; ++i) {
      bytes += LittleBitPayloadBytes(report_.layers[i].shape);
    }
    return bytes;
  };
  const int64_t before_training = first_block();
  options_.train.tokens = 0;
  (void)Run();
  EXPECT_EQ(report_.trained_tokens, 0);
  EXPECT_EQ(stages_.front(), "Calibrating");
  EXPECT_GT(first_block(), before_training);  // no training makes up for its errors
}

TEST_F(AutoRecipe, AllocatesWhatAFileBudgetLeaves) {
  options_.budget_scope = BudgetScope::kFile;
  options_.rank.target_bpw = 18;
  options_.train.tokens = 0;
  (void)Run();
  const double file_bpw = 8.0 * static_cast<double>(report_.file_bytes) /
                          static_cast<double>(report_.original_parameters);
  EXPECT_LE(file_bpw, 18);
}

TEST_F(AutoRecipe, TrainsAsLongAsTheTimeBudgetAllows) {
  options_.train.tokens = 0;
  options_.time_budget_seconds = 6;
  (void)Run();
  EXPECT_GE(report_.trained_tokens, 5 * 64);
}

TEST_F(AutoRecipe, RefusesATimeBudgetTooShortForTheFirstStages) {
  options_.time_budget_seconds = 1e-6;
  try {
    (void)Run();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArguments);
    EXPECT_NE(error.message().find("--time-budget: expected at least"), std::string::npos);
  }
}

}  // namespace
}  // namespace llmq
