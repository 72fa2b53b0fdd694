// The original's answers block by block, against those of the whole model at once.
#include "compress/train/teacher.h"

#include <gtest/gtest.h>

#include "compress/train/load_frame.h"
#include "tests/compress/tiny_run.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

TEST(AskForTop, GivesTheLikeliestTokensOfTheWholeModel) {
  const testing::TemporaryDirectory directory;
  testing::WriteTinyCheckpoint(directory / "model", testing::TinyModelOptions());
  const Checkpoint checkpoint(directory / "model");
  const TrainableModel model(checkpoint.config(), 12, at::kCPU);
  const at::Tensor tokens = (at::arange(36, at::kLong) * 7 + 3).view({3, 12});
  WorkerPool workers(2);
  const TopAnswers top =
      AskForTop(checkpoint, model, tokens, 5, at::kCPU, workers, [](int64_t) { return true; });
  const Teacher teacher = LoadTeacher(checkpoint, at::kCPU);
  const Answers answers = Ask(model, teacher, tokens, TrainPrecision::kFloat32);
  const at::Tensor log_p = at::log_softmax(answers.logits, -1);
  // Activations between blocks are kept in bfloat16: near, not equal.
  const at::Tensor of_top = log_p.gather(-1, top.tokens.to(at::kLong));
  EXPECT_EQ(top.tokens.sizes(), (at::IntArrayRef{3, 12, 5}));
  EXPECT_LT((of_top - top.log_p).abs().max().item<double>(), 0.05);
  EXPECT_LT((std::get<0>(log_p.topk(5)) - top.log_p).abs().max().item<double>(), 0.05);
}

TEST(AskForTop, StopsWhenToldTo) {
  const testing::TemporaryDirectory directory;
  testing::WriteTinyCheckpoint(directory / "model", testing::TinyModelOptions());
  const Checkpoint checkpoint(directory / "model");
  const TrainableModel model(checkpoint.config(), 4, at::kCPU);
  WorkerPool workers(1);
  const TopAnswers top = AskForTop(checkpoint, model, at::ones({2, 4}, at::kLong), 5, at::kCPU,
                                   workers, [](int64_t done) { return done < 1; });
  EXPECT_FALSE(top.tokens.defined());
}

}  // namespace
}  // namespace llmq
