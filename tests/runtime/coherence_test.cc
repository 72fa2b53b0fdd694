// The coherence measure must let the original model pass and broken ones fail.
#include <gtest/gtest.h>

#include <memory>

#include "llmq/error.h"
#include "llmq/evaluate.h"
#include "tests/runtime/test_models.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

const std::filesystem::path kStories = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories-19m";

TEST(Coherence, TheOriginalPassesWithAndWithoutAJudge) {
  const auto model = Model::Open(kStories, 0);
  const auto judged = MeasureCoherence(*model, model.get(), nullptr);
  EXPECT_TRUE(judged.passed);
  EXPECT_EQ(judged.prompts.size(), 10u);
  EXPECT_GE(judged.coherent_prompts, 9);
  EXPECT_GT(judged.score, 0.8);
  const auto alone = MeasureCoherence(*model, nullptr, nullptr);
  EXPECT_TRUE(alone.passed);
  for (size_t i = 0; i < alone.prompts.size(); ++i) {
    EXPECT_EQ(alone.prompts[i].continuation, judged.prompts[i].continuation);  // deterministic
    EXPECT_EQ(alone.prompts[i].reference_nll, 0);
    EXPECT_GT(judged.prompts[i].reference_nll, 0);
  }
}

TEST(Coherence, ShuffledWeightsFailWithAndWithoutAJudge) {
  const testing::TemporaryDirectory directory;
  testing::WriteShuffled(kStories, directory / "shuffled", 1);
  std::filesystem::remove(directory / "shuffled" / "model.safetensors.index.json");
  const auto judge = Model::Open(kStories, 0);
  const auto model = Model::Open(directory / "shuffled", 0);
  const auto judged = MeasureCoherence(*model, judge.get(), nullptr);
  EXPECT_FALSE(judged.passed);
  EXPECT_EQ(judged.coherent_prompts, 0);
  EXPECT_LT(judged.score, 0.1);
  EXPECT_FALSE(MeasureCoherence(*model, nullptr, nullptr).passed);
}

TEST(Coherence, CompressedToGarbageFails) {
  const testing::TemporaryDirectory directory;
  const auto pair =
      testing::WriteCompressedPair(kStories, directory.path(), /*rank=*/8, /*paths=*/2, 8);
  const auto judge = Model::Open(kStories, 0);
  const auto result = MeasureCoherence(*Model::Open(pair.littlebit, 0), judge.get(), nullptr);
  EXPECT_FALSE(result.passed);
  EXPECT_LT(result.score, 0.2);
}

TEST(Coherence, CanBeStopped) {
  const auto model =
      Model::Open(std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32", 1);
  int64_t calls = 0;
  try {
    MeasureCoherence(*model, nullptr, [&](int64_t done, int64_t total) {
      EXPECT_EQ(done, calls);
      EXPECT_EQ(total, 10);
      return ++calls < 3;
    });
    FAIL() << "expected to be stopped";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUserCancelled);
  }
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace llmq
