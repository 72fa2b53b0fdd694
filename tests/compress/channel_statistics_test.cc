// Statistics gathered block by block against derivatives of the whole model.
#include "compress/calibrate/channel_statistics.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "compress/calibrate/importance.h"
#include "compress/calibrate/loss_curve.h"
#include "compress/train/load_frame.h"

namespace llmq {
namespace {

constexpr int64_t kTokens = 32;
constexpr int64_t kSequences = 3;
constexpr uint64_t kSeed = 5;

// Everything that went in and came out of every linear.
class Recorder : public LinearSet {
 public:
  Recorder(const DenseLinears& linears, size_t count) : linears_(linears), in(count), out(count) {}
  at::Tensor Apply(size_t index, const at::Tensor& x) const override {
    in[index] = x;
    return out[index] = linears_.Apply(index, x);
  }

 private:
  const DenseLinears& linears_;

 public:
  mutable std::vector<at::Tensor> in, out;
};

class Statistics : public ::testing::Test {
 protected:
  std::vector<ChannelStatistics> Collect(int threads, bool gradients = true) const {
    WorkerPool workers(threads);
    return CollectStatistics(checkpoint, model, tokens, {gradients, kSeed, at::kCPU}, workers,
                             [](int64_t) { return true; });
  }

  const Checkpoint checkpoint{std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" /
                              "hf-f32"};
  const TrainableModel model{checkpoint.config(), kTokens, at::kCPU};
  const at::Tensor tokens = at::randint(3, 500, {kSequences, kTokens},
                                        at::make_generator<at::CPUGeneratorImpl>(1), at::kLong);
};

// Between blocks activations are kept in bfloat16: the same labels are drawn only from the same
// values. The derivative passes through the rounding.
at::Tensor Rounded(const at::Tensor& x) {
  return x + (x.detach().to(at::kBFloat16).to(at::kFloat) - x.detach());
}

// One graph from the tokens to the loss, one sequence after the other; tokens beyond the quantile
// are shortened by its definition.
TEST_F(Statistics, EqualThoseOfTheWholeModelsDerivatives) {
  const std::vector<ChannelStatistics> found = Collect(2);
  const Teacher teacher = LoadTeacher(checkpoint, at::kCPU);
  std::vector<at::Tensor> x2(found.size()), g2(found.size());
  for (int64_t i = 0; i < kSequences; ++i) {
    const Recorder recorder(teacher.linears, found.size());
    FrameWeights frame = teacher.frame;
    frame.embedding = frame.embedding.clone().requires_grad_(true);
    at::Tensor x = Rounded(model.Embed(frame, tokens.narrow(0, i, 1)));
    for (int64_t layer = 0; layer < model.num_blocks(); ++layer) {
      x = Rounded(model.Block(layer, frame, recorder, x));
    }
    const at::Tensor p = at::log_softmax(model.Logits(frame, x)[0], -1).exp();
    const at::Tensor labels =
        at::multinomial(p.detach(), 1, false,
                        at::make_generator<at::CPUGeneratorImpl>(kSeed + static_cast<uint64_t>(i)));
    const at::Tensor loss = -p.gather(1, labels).log().sum();
    const auto gradients = torch::autograd::grad({loss}, recorder.out);
    for (size_t k = 0; k < found.size(); ++k) {
      const at::Tensor norms = gradients[k][0].norm(2, {-1}, true);
      const at::Tensor limit = at::minimum(norms, norms.flatten().quantile(0.99));
      const at::Tensor g = (gradients[k][0] / norms * limit).square().sum(0);
      const at::Tensor in = recorder.in[k][0].detach().square().sum(0);
      x2[k] = i == 0 ? in : x2[k] + in;
      g2[k] = i == 0 ? g : g2[k] + g;
    }
  }
  for (size_t k = 0; k < found.size(); ++k) {
    const double all = kTokens * kSequences;
    const auto close = [&](const at::Tensor& a, const at::Tensor& b) {
      return (a - b).norm().item<double>() < 0.03 * b.norm().item<double>();
    };
    EXPECT_TRUE(close(found[k].input, x2[k] / all)) << k;
    EXPECT_TRUE(close(found[k].gradient, g2[k] / all)) << k;
  }
}

TEST_F(Statistics, DoNotDependOnTheNumberOfWorkers) {
  const auto one = Collect(1), three = Collect(3);
  for (size_t k = 0; k < one.size(); ++k) {
    EXPECT_TRUE(one[k].input.equal(three[k].input));
    EXPECT_TRUE(one[k].gradient.equal(three[k].gradient));
  }
}

TEST_F(Statistics, WithoutGradientsHaveTheSameInputsAndNoMore) {
  const auto both = Collect(1), forward = Collect(1, false);
  for (size_t k = 0; k < both.size(); ++k) {
    EXPECT_TRUE(both[k].input.equal(forward[k].input));
    EXPECT_FALSE(forward[k].gradient.defined());
  }
}

TEST_F(Statistics, StopWhenAsked) {
  WorkerPool workers(1);
  int64_t calls = 0;
  const auto stopped = CollectStatistics(checkpoint, model, tokens, {true, kSeed, at::kCPU},
                                         workers, [&](int64_t done) { return ++calls, done < 2; });
  EXPECT_TRUE(stopped.empty());
  EXPECT_EQ(calls, 2);
}

// A channel that weighs more is fitted better, and a matrix of which more is heard costs more.
TEST_F(Statistics, WeighChannelsAndMatrices) {
  const TensorView& weight = checkpoint.Get("model.layers.0.mlp.gate_proj.weight");
  const int64_t d_out = weight.shape[0], d_in = weight.shape[1];
  ChannelStatistics flat{at::ones({d_in}), at::ones({d_out})};
  ChannelStatistics loud{at::ones({d_in}), at::full({d_out}, 10.0)};
  const RankRange range{.middle = 16, .largest = 32};
  const LossCurve a = MeasureLossCurve(weight, flat, range, kSeed, at::kCPU);
  const LossCurve b = MeasureLossCurve(weight, loud, range, kSeed, at::kCPU);
  ASSERT_EQ(a.ranks, (std::vector<int64_t>{8, 16, 32}));
  for (size_t i = 0; i < a.losses.size(); ++i) {
    EXPECT_NEAR(b.losses[i], 10 * a.losses[i], 1e-3 * b.losses[i]);
    if (i > 0) {
      EXPECT_LT(a.losses[i], a.losses[i - 1]);
    }
  }

  flat.input[3] = 100;
  const Importance importance = ImportanceOf(flat);
  EXPECT_NEAR(importance.in.mean().item<double>(), 1, 1e-5);
  EXPECT_GT(importance.in[3].item<double>(), 10);
  EXPECT_GE(importance.in.min().item<double>(), 0.3);  // what shrinking leaves to the quiet ones
}

}  // namespace
}  // namespace llmq
