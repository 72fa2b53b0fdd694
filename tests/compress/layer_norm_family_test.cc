// Whole compressions of models with LayerNorm, learned positions and an MLP without a gate: what
// block training and training move, what they leave, and that a stop leaves no trace.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "compress/pipeline.h"
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

class LayerNormFamily : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    options_ = testing::TinyRunOptions(directory_.path());
    options_.model = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity" / GetParam();
    options_.rank.target_bpw = 5;
    options_.importance = ImportanceMode::kFull;
    options_.calibration_sequences = 4;
    testing::TrainSteps(options_, 2);
    options_.train.block_tokens = 10 * kLength;
  }

  std::string Run(const std::string& name) {
    CompressOptions options = options_;
    options.output = directory_ / name;
    RecordingObserver observer;
    (void)RunPipeline(options, observer);
    return FileBytes(options.output);
  }

  testing::TemporaryDirectory directory_;
  CompressOptions options_;
};

TEST_P(LayerNormFamily, NormsAndBiasesAreTrainedAndTablesAreNot) {
  (void)Run("out");
  const Checkpoint checkpoint(options_.model);
  const LittleBitFile file(directory_ / "out");
  file.Verify();
  std::vector<std::string> moved;
  for (const LittleBitSection& section : file.sections()) {
    if (section.kind != StorageKind::kDense) continue;
    const TensorView& original = checkpoint.Get(section.name);
    if (!std::ranges::equal(section.data, original.data)) moved.push_back(section.name);
  }
  std::vector<std::string> expected;
  if (checkpoint.config().has_final_norm) {
    expected = {kFinalNormName, FinalNorm(checkpoint.config()).bias};
  }
  for (const NormSpec& norm : BlockNorms(checkpoint.config())) {
    expected.push_back(norm.name);
    expected.push_back(norm.bias);
  }
  for (const LinearSpec& linear : BlockLinears(checkpoint.config())) {
    if (linear.has_bias) expected.push_back(linear.name + ".bias");
  }
  // Softmax does not see what a key's bias adds to all scores of a query.
  const auto of_keys = [](const std::string& name) { return name.ends_with("k_proj.bias"); };
  std::erase_if(moved, of_keys);
  std::erase_if(expected, of_keys);
  std::ranges::sort(moved);
  std::ranges::sort(expected);
  EXPECT_EQ(moved, expected);
  EXPECT_NE(file.Find(kPositionsName), nullptr);
}

TEST_P(LayerNormFamily, AStopLeavesNoTrace) {
  const std::string whole = Run("whole");
  for (const auto& [stage, done] : {std::pair("Blocks", 1), std::pair("Training", 1)}) {
    CompressOptions options = options_;
    options.checkpoint_dir = directory_ / "checkpoints";
    options.output = directory_ / "stopped";
    RecordingObserver observer;
    observer.StopAt(stage, done);
    EXPECT_THROW((void)RunPipeline(options, observer), Error) << stage;
    options.resume = true;
    options.threads = 1;
    RecordingObserver again;
    (void)RunPipeline(options, again);
    EXPECT_TRUE(FileBytes(options.output) == whole) << stage;
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, LayerNormFamily,
                         ::testing::Values("gpt2-published", "opt", "opt-plain-linears", "opt-350m",
                                           "opt-narrow"),
                         [](const auto& golden) {
                           std::string name = golden.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace llmq
