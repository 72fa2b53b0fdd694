// The loss by hand on two tokens, and its derivative through a whole compressed model by finite
// differences.
#include "compress/train/distill_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/train/load_frame.h"
#include "compress/train/student.h"
#include "tests/compress/tiny_run.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

TEST(DistillLoss, IsZeroForEqualModels) {
  const ForwardResult same{at::randn({1, 3, 5}), {at::randn({1, 3, 4})}};
  EXPECT_NEAR(DistillLoss(same, same, 10).item<double>(), 0, 1e-6);
}

TEST(DistillLoss, EqualsTheFormula) {
  const at::Tensor teacher_logits = at::tensor({0.0f, 1.0f, 2.0f, -1.0f}).view({1, 2, 2});
  const at::Tensor student_logits = at::tensor({0.5f, 0.0f, 1.0f, 1.0f}).view({1, 2, 2});
  const ForwardResult teacher{teacher_logits,
                              {at::tensor({1.0f, 2.0f, 3.0f, 4.0f}).view({1, 2, 2})}};
  const ForwardResult student{student_logits,
                              {at::tensor({1.0f, 2.0f, 3.0f, 5.0f}).view({1, 2, 2})}};
  double kl = 0;
  for (const auto& [t0, t1, s0, s1] :
       {std::array{0.0, 1.0, 0.5, 0.0}, std::array{2.0, -1.0, 1.0, 1.0}}) {
    const double t_sum = std::exp(t0) + std::exp(t1), s_sum = std::exp(s0) + std::exp(s1);
    for (const auto& [t, s] : {std::pair(t0, s0), std::pair(t1, s1)}) {
      const double p = std::exp(t) / t_sum;
      kl += p * (std::log(p) - (s - std::log(s_sum)));
    }
  }
  const double hidden = (1.0 / 4) / ((1.0 + 4 + 9 + 16) / 4);
  EXPECT_NEAR(DistillLoss(teacher, student, 0).item<double>(), kl / 2, 1e-6);
  EXPECT_NEAR(DistillLoss(teacher, student, 3).item<double>(), kl / 2 + 3 * hidden, 1e-6);
}

TopAnswers Top(const at::Tensor& logits, int64_t k) {
  const auto [log_p, tokens] = at::log_softmax(logits, -1).topk(k);
  return {tokens.to(at::kInt), log_p};
}

TEST(TopLogitLoss, EqualsTheWholeIfAllTokensAreKnown) {
  const at::Tensor teacher = at::randn({2, 3, 5}) * 2, student = at::randn({2, 3, 5});
  EXPECT_NEAR(TopLogitLoss(Top(teacher, 5), student).item<double>(),
              LogitLoss(teacher, student).item<double>(), 1e-5);
}

TEST(TopLogitLoss, TakesTheRestAsOneToken) {
  const at::Tensor teacher = at::tensor({2.0f, 0.0f, 1.0f, -1.0f}).view({1, 1, 4});
  const at::Tensor student = at::tensor({0.5f, 1.0f, -1.0f, 0.0f}).view({1, 1, 4});
  const at::Tensor p = at::softmax(teacher, -1).flatten(), q = at::softmax(student, -1).flatten();
  const auto merged = [](const at::Tensor& all) {  // tokens 0 and 2 are the likeliest
    return at::stack({all[0], all[2], all[1] + all[3]});
  };
  const double expected = (merged(p) * (merged(p).log() - merged(q).log())).sum().item<double>();
  EXPECT_NEAR(TopLogitLoss(Top(teacher, 2), student).item<double>(), expected, 1e-6);
}

// A student of the tiny model, and the outputs it should have.
class WholeModelGradient : public ::testing::TestWithParam<TrainedPart> {
 protected:
  void SetUp() override {
    testing::WriteTinyCheckpoint(directory_ / "model", testing::TinyModelOptions());
    const Checkpoint checkpoint(directory_ / "model");
    const ModelConfig& config = checkpoint.config();
    const Teacher teacher = LoadTeacher(checkpoint, at::kCPU);
    std::vector<LayerFactors> layers;
    for (const LinearSpec& linear : BlockLinears(config)) {
      layers.push_back(FactorizeLayer(checkpoint.Get(linear.name + ".weight"),
                                      {linear.d_out, linear.d_in, 8, 2}, {}));
    }
    student_.emplace(config, std::move(layers),
                     StoredFrame(checkpoint, teacher.frame, {8, 8}, at::kCPU), at::kCPU,
                     GetParam());
    model_.emplace(config, 12, at::kCPU);
    tokens_ = at::arange(24, at::kLong).view({2, 12}) * 7 + 3;
    target_ = model_->Forward(teacher.frame, teacher.linears, tokens_);
  }

  double LossAt(const std::vector<at::Tensor>& leaves) const { return Loss(leaves).item<double>(); }
  at::Tensor Loss(const std::vector<at::Tensor>& leaves) const {
    return DistillLoss(
        target_, model_->Forward(student_->Frame(leaves), *student_->Linears(leaves), tokens_), 10);
  }

  testing::TemporaryDirectory directory_;
  std::optional<Student> student_;
  std::optional<TrainableModel> model_;
  at::Tensor tokens_;
  ForwardResult target_;
};

TEST_P(WholeModelGradient, AgreesWithFiniteDifferencesForEveryLeaf) {
  const std::vector<at::Tensor> leaves = student_->leaves();
  std::vector<at::Tensor> own;
  for (const at::Tensor& leaf : leaves) own.push_back(leaf.detach().clone().requires_grad_(true));
  const std::vector<at::Tensor> gradients = torch::autograd::grad({Loss(own)}, own);
  const at::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(uint64_t{5});
  for (size_t i = 0; i < leaves.size(); ++i) {
    // Along a random direction, in steps relative to the parameter, one float32 evaluation at each
    // side.
    const at::Tensor direction = at::randn(leaves[i].sizes(), generator, at::kFloat);
    const double size = leaves[i].norm().item<double>() / direction.norm().item<double>();
    const double step = 3e-3 * size;
    std::vector<at::Tensor> moved = leaves;
    moved[i] = leaves[i] + direction * step;
    const double above = LossAt(moved);
    moved[i] = leaves[i] - direction * step;
    const double below = LossAt(moved);
    const double expected = (above - below) / 2;
    const double found = (gradients[i] * direction).sum().item<double>() * step;
    EXPECT_NEAR(found, expected, 2e-5 + 0.02 * std::abs(expected)) << "leaf " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, WholeModelGradient,
                         ::testing::Values(TrainedPart::kAll, TrainedPart::kScales));

}  // namespace
}  // namespace llmq
