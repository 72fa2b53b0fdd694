// Steps of training on a tiny model: which parameters move, and how alike the ways to the same step
// are.
#include "compress/train/trainer.h"

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "compress/train/distill_loss.h"
#include "compress/train/load_frame.h"
#include "tests/compress/tiny_run.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

class TrainerTest : public ::testing::Test {
 protected:
  static constexpr int64_t kSequenceTokens = 16;

  void SetUp() override {
    testing::WriteTinyCheckpoint(directory_ / "model", testing::TinyModelOptions());
    checkpoint_.emplace(directory_ / "model");
    teacher_.emplace(LoadTeacher(*checkpoint_, at::kCPU));
    options_.batch_sequences = 4;
    options_.sequence_tokens = kSequenceTokens;
    options_.tokens = 100 * 4 * kSequenceTokens;
    options_.learning_rate = 2e-3;
  }

  Student MakeStudent() const {
    std::vector<LayerFactors> layers;
    for (const LinearSpec& linear : BlockLinears(checkpoint_->config())) {
      layers.push_back(FactorizeLayer(checkpoint_->Get(linear.name + ".weight"),
                                      {linear.d_out, linear.d_in, 8, 2}, {}));
    }
    return Student(checkpoint_->config(), std::move(layers),
                   StoredFrame(*checkpoint_, teacher_->frame, {8, 8}, at::kCPU), at::kCPU,
                   options_.part);
  }

  // Losses of `steps` steps; then visit(trainer).
  std::vector<double> Train(Student& student, int64_t steps,
                            const std::function<void(Trainer&)>& visit = {}) const {
    const TrainableModel model(checkpoint_->config(), kSequenceTokens, at::kCPU);
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < 640; ++i) tokens.push_back(i * i * 7 % 512);
    DataLoader data(tokens, kSequenceTokens, options_.batch_sequences, 1);
    WorkerPool workers(2);
    const auto ask = [&](int64_t, const at::Tensor& batch) {
      return Ask(model, *teacher_, batch, options_.precision);
    };
    Trainer trainer(model, options_, ask, student, data, workers);
    for (int64_t i = 0; i < steps; ++i) trainer.Step();
    if (visit) visit(trainer);
    return trainer.losses();
  }

  testing::TemporaryDirectory directory_;
  std::optional<Checkpoint> checkpoint_;
  std::optional<Teacher> teacher_;
  TrainOptions options_;
};

TEST_F(TrainerTest, ScalesAloneLearnWhileSignsAndLatentsStay) {
  options_.part = TrainedPart::kScales;
  Student student = MakeStudent();
  std::vector<at::Tensor> before;
  for (const Parameter& parameter : student.parameters()) before.push_back(parameter.value.clone());
  const std::vector<double> losses = Train(student, 40);
  EXPECT_LT(losses.back(), 0.9 * losses.front());
  for (size_t i = 0; i < before.size(); ++i) {
    const Parameter& parameter = student.parameters()[i];
    EXPECT_EQ(parameter.moves(), !parameter.is_latent) << parameter.name;
    EXPECT_EQ(parameter.value.equal(before[i]), parameter.is_latent) << parameter.name;
  }
}

TEST_F(TrainerTest, BothPartsBeginAtTheSameLossAndResumeWhereTheyWere) {
  std::vector<double> first;
  for (const TrainedPart part : {TrainedPart::kAll, TrainedPart::kScales}) {
    options_.part = part;
    Student whole = MakeStudent(), stopped = MakeStudent(), resumed = MakeStudent();
    const std::vector<double> losses = Train(whole, 6);
    first.push_back(losses.front());
    Train(stopped, 3, [&](Trainer& trainer) { trainer.Save(directory_ / "state"); });
    std::vector<double> rest;
    Train(resumed, 0, [&](Trainer& trainer) {
      trainer.Load(directory_ / "state");
      while (trainer.step() < 6) trainer.Step();
      rest = trainer.losses();
    });
    EXPECT_EQ(losses, rest);
    for (size_t i = 0; i < whole.parameters().size(); ++i) {
      EXPECT_TRUE(whole.parameters()[i].value.equal(resumed.parameters()[i].value)) << i;
    }
  }
  EXPECT_NEAR(first[0], first[1], 1e-5 * first[0]);
}

TEST_F(TrainerTest, GradientCheckpointingChangesNoBit) {
  for (const TrainedPart part : {TrainedPart::kAll, TrainedPart::kScales}) {
    options_.part = part;
    options_.gradient_checkpointing = GradientCheckpointing::kOff;
    Student kept = MakeStudent(), remade = MakeStudent();
    const std::vector<double> losses = Train(kept, 3);
    options_.gradient_checkpointing = GradientCheckpointing::kOn;
    EXPECT_EQ(losses, Train(remade, 3));
    for (size_t i = 0; i < kept.parameters().size(); ++i) {
      EXPECT_TRUE(kept.parameters()[i].value.equal(remade.parameters()[i].value)) << i;
    }
  }
}

// Gradients handed from block to block against those of one graph over the whole model.
TEST_F(TrainerTest, GradientsOfBlocksAreThoseOfTheWhole) {
  const Student student = MakeStudent();
  const TrainableModel model(checkpoint_->config(), kSequenceTokens, at::kCPU);
  const at::Tensor tokens = at::arange(2 * kSequenceTokens).view({2, kSequenceTokens}) * 5;
  std::vector<at::Tensor> own;
  for (const at::Tensor& leaf : student.leaves()) own.push_back(leaf.detach().requires_grad_(true));
  for (const double hidden_weight : {0.0, 1.5}) {
    options_.hidden_weight = hidden_weight;
    const at::Tensor loss =
        DistillLoss(model.Forward(teacher_->frame, teacher_->linears, tokens),
                    model.Forward(student.Frame(own), *student.Linears(own), tokens),
                    hidden_weight) *
        0.25;
    const std::vector<at::Tensor> expected = torch::autograd::grad({loss}, own);
    const LossGradients found =
        DifferentiateLoss(model, Ask(model, *teacher_, tokens, options_.precision), student, tokens,
                          options_, /*share=*/0.25);
    EXPECT_NEAR(found.loss, loss.item<double>(), 1e-6);
    for (size_t i = 0; i < own.size(); ++i) {
      const double size = expected[i].abs().max().item<double>();
      EXPECT_LT((found.gradients[i] - expected[i]).abs().max().item<double>(), 1e-5 * size) << i;
    }
  }
}

TEST_F(TrainerTest, Bf16LearnsCloseToFloat32) {
  Student exact = MakeStudent(), rounded = MakeStudent();
  const std::vector<double> float32 = Train(exact, 30);
  options_.precision = TrainPrecision::kBf16;
  const std::vector<double> bf16 = Train(rounded, 30);
  EXPECT_NE(bf16.front(), float32.front());
  EXPECT_NEAR(bf16.front(), float32.front(), 0.02 * float32.front());
  EXPECT_LT(bf16.back(), 0.9 * bf16.front());
  for (const Parameter& parameter : rounded.parameters()) {
    EXPECT_EQ(parameter.value.scalar_type(), at::kFloat) << parameter.name;
  }
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
}

}  // namespace
}  // namespace llmq
