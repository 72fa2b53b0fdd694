// The trainer's forward pass against logits of Hugging Face transformers.
#include "compress/train/trainable_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "compress/train/load_frame.h"
#include "compress/train/precision.h"
#include "tests/support/read_array.h"

namespace llmq {
namespace {

using llmq::testing::ReadArray;

namespace fs = std::filesystem;

const fs::path kParity = fs::path(LLMQ_TEST_GOLDEN_DIR) / "parity";

// A golden model, or one of the shipped model's forms.
class Parity : public ::testing::TestWithParam<const char*> {
 protected:
  static Checkpoint Original() {
    const std::string name = GetParam();
    const bool shipped = name.starts_with("stories260k-");
    return Checkpoint(shipped ? fs::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / name.substr(12)
                              : kParity / name);
  }
  static std::vector<int32_t> Tokens() {
    return ReadArray<int32_t>(kParity / GetParam() / "tokens.i32");
  }
};

TEST_P(Parity, LogitsEqualThoseOfTransformers) {
  const Checkpoint checkpoint = Original();
  const std::vector<int32_t> tokens = Tokens();
  const auto expected = ReadArray<float>(kParity / GetParam() / "logits.f32");
  const auto length = static_cast<int64_t>(tokens.size());
  ASSERT_EQ(expected.size(), tokens.size() * static_cast<size_t>(checkpoint.config().vocab_size));

  const at::NoGradGuard no_grad;
  const Teacher teacher = LoadTeacher(checkpoint, at::kCPU);
  const TrainableModel model(checkpoint.config(), length, at::kCPU);
  const at::Tensor ids = at::tensor(at::ArrayRef<int32_t>(tokens), at::kLong).view({1, length});
  const at::Tensor logits = model.Forward(teacher.frame, teacher.linears, ids).logits.contiguous();
  const float* found = logits.data_ptr<float>();
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(found[i]) - expected[i]));
  }
  EXPECT_LT(largest, 1e-4);
}

// A text read in parts, each behind what the prefix keeps, has the logits of the text read at once.
TEST_P(Parity, ReadingOnEqualsReadingAtOnce) {
  const Checkpoint checkpoint = Original();
  const std::vector<int32_t> tokens = Tokens();
  const auto length = static_cast<int64_t>(tokens.size());
  const at::NoGradGuard no_grad;
  const Teacher teacher = LoadTeacher(checkpoint, at::kCPU);
  const TrainableModel model(checkpoint.config(), length, at::kCPU);
  const at::Tensor ids = at::tensor(at::ArrayRef<int32_t>(tokens), at::kLong).view({1, length});
  const at::Tensor both = at::cat({ids, ids.flip(1)});  // [2, T]
  const at::Tensor whole = model.Forward(teacher.frame, teacher.linears, both).logits;
  Prefix prefix = model.EmptyPrefix(2);
  for (int64_t begin = 0; begin < length;) {
    const int64_t count =
        begin == 0 ? length / 2 : std::min<int64_t>(1 + begin % 2, length - begin);
    const at::Tensor found =
        model.Continue(teacher.frame, teacher.linears, both.narrow(1, begin, count), prefix);
    begin += count;
    EXPECT_LT((found - whole.select(1, begin - 1)).abs().max().item<float>(), 1e-3) << begin;
  }
  EXPECT_EQ(prefix.positions, length);
}

// Products in bfloat16 change values and derivatives a little, whatever the architecture's steps.
TEST_P(Parity, LearnsInBfloat16LikeInFloat32) {
  const Checkpoint checkpoint = Original();
  const std::vector<int32_t> tokens = Tokens();
  const auto length = static_cast<int64_t>(tokens.size());
  const Teacher teacher = LoadTeacher(checkpoint, at::kCPU);
  const TrainableModel model(checkpoint.config(), length, at::kCPU);
  const at::Tensor ids = at::tensor(at::ArrayRef<int32_t>(tokens), at::kLong).view({1, length});
  FrameWeights frame = teacher.frame;
  frame.embedding = frame.embedding.detach().clone().requires_grad_();
  const auto gradient = [&](TrainPrecision precision) {
    at::Tensor loss;
    {
      const AutocastGuard guard(precision, at::kCPU);
      const at::Tensor logits = model.Forward(frame, teacher.linears, ids).logits.to(at::kFloat);
      loss = logits.log_softmax(-1).select(-1, 1).mean();
    }
    return torch::autograd::grad({loss}, {frame.embedding})[0].to(at::kDouble);
  };
  const at::Tensor exact = gradient(TrainPrecision::kFloat32);
  const at::Tensor rounded = gradient(TrainPrecision::kBf16);
  EXPECT_FALSE(rounded.equal(exact));
  EXPECT_LT((rounded - exact).norm().item<double>(), 0.1 * exact.norm().item<double>());
}

TEST(TrainableModel, ThePiecesMakeTheWhole) {
  const Checkpoint checkpoint(fs::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32");
  const at::NoGradGuard no_grad;
  const Teacher teacher = LoadTeacher(checkpoint, at::kCPU);
  const TrainableModel model(checkpoint.config(), 16, at::kCPU);
  const at::Tensor ids = at::arange(32).view({2, 16});
  const ForwardResult whole = model.Forward(teacher.frame, teacher.linears, ids);
  ASSERT_EQ(model.num_blocks(), checkpoint.config().num_layers);
  at::Tensor x = model.Embed(teacher.frame, ids);
  for (int64_t layer = 0; layer < model.num_blocks(); ++layer) {
    x = model.Block(layer, teacher.frame, teacher.linears, x);
    EXPECT_TRUE(x.equal(whole.hidden[static_cast<size_t>(layer)])) << layer;
  }
  EXPECT_TRUE(model.Logits(teacher.frame, x).equal(whole.logits));
}

INSTANTIATE_TEST_SUITE_P(
    Goldens, Parity,
    ::testing::Values("llama-bias-linear", "llama-dynamic", "llama-llama3", "llama-yarn",
                      "mistral-window", "qwen2-bias", "qwen2-window", "qwen3-norms", "gemma",
                      "gemma2", "gemma3", "phi3-partial", "phi3-longrope", "opt",
                      "opt-plain-linears", "gpt2", "gpt2-published", "gpt2-unscaled", "mixtral",
                      "mixtral-fused", "qwen2-moe", "qwen2-moe-mixed", "qwen3-moe",
                      "qwen3-moe-window", "llama-longrope", "phi4-mini", "opt-350m", "opt-narrow",
                      "gemma3-vision", "gemma3-vision-new", "stories260k-hf-bf16",
                      "stories260k-hf-f16", "stories260k-hf-f32"),
    [](const auto& golden) {
      std::string name = golden.param;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace llmq
