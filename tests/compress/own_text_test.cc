// What the original writes is drawn from its distribution, whatever the number of workers.
#include "compress/train/own_text.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "compress/train/load_frame.h"

namespace llmq {
namespace {

constexpr int64_t kLength = 24;
constexpr uint64_t kSeed = 5;

class OwnText : public ::testing::Test {
 protected:
  std::vector<int32_t> Write(const std::vector<int32_t>& starts, int workers,
                             uint64_t seed = kSeed) {
    WorkerPool pool(workers);
    return WriteOwnText(model_, teacher_, {starts, kLength, ends_, 1}, seed, at::kCPU, pool,
                        [](double) { return true; });
  }
  // Mean -log p of all but the first token, by one pass over the whole text.
  double Surprise(const std::vector<int32_t>& text) {
    const at::NoGradGuard no_grad;
    const at::Tensor ids = at::tensor(at::ArrayRef<int32_t>(text), at::kLong).view({-1, kLength});
    const at::Tensor logits =
        model_.Forward(teacher_.frame, teacher_.linears, ids).logits.narrow(1, 0, kLength - 1);
    const at::Tensor next = ids.narrow(1, 1, kLength - 1).unsqueeze(-1);
    return -at::log_softmax(logits, -1).gather(-1, next).mean().item<double>();
  }
  // What it would be on average: the entropy of the distributions that were drawn from.
  double Entropy(const std::vector<int32_t>& text) {
    const at::NoGradGuard no_grad;
    const at::Tensor ids = at::tensor(at::ArrayRef<int32_t>(text), at::kLong).view({-1, kLength});
    const at::Tensor log_p = at::log_softmax(
        model_.Forward(teacher_.frame, teacher_.linears, ids).logits.narrow(1, 0, kLength - 1), -1);
    return -(log_p.exp() * log_p).sum(-1).mean().item<double>();
  }

  std::vector<int64_t> ends_;
  Checkpoint checkpoint_{std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32"};
  Teacher teacher_ = LoadTeacher(checkpoint_, at::kCPU);
  TrainableModel model_{checkpoint_.config(), kLength, at::kCPU};
};

TEST_F(OwnText, IsAsSurprisingAsTheModelIsUnsure) {
  const std::vector<int32_t> text = Write(std::vector<int32_t>(100, 1), 2);
  ASSERT_EQ(text.size(), 100u * kLength);
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(text[static_cast<size_t>(i * kLength)], 1);
  // 2300 draws with a deviation of some 1.5 nats each: 0.15 is five deviations of the mean.
  EXPECT_NEAR(Surprise(text), Entropy(text), 0.15);
  EXPECT_GT(Entropy(text), 0.5);
}

TEST_F(OwnText, DependsOnSeedAndStartsOnly) {
  std::vector<int32_t> starts;
  for (int32_t i = 0; i < 70; ++i) starts.push_back(3 + i);  // three groups, one of them begun
  const std::vector<int32_t> text = Write(starts, 1);
  EXPECT_EQ(text, Write(starts, 3));
  EXPECT_NE(text, Write(starts, 1, kSeed + 1));
  const std::vector<int32_t> same(2, 7);
  const std::vector<int32_t> twice = Write(same, 1);
  EXPECT_FALSE(std::equal(twice.begin(), twice.begin() + kLength, twice.begin() + kLength));
}

TEST_F(OwnText, BeginsAnewWhereADocumentEnds) {
  const std::vector<int32_t> starts(32, 1);
  const std::vector<int32_t> text = Write(starts, 1);
  ends_ = {text[5], 2};
  const std::vector<int32_t> begun = Write(starts, 1);
  EXPECT_TRUE(std::equal(text.begin(), text.begin() + 5, begun.begin()));
  EXPECT_EQ(begun[5], 1);
  for (const int32_t id : begun) EXPECT_NE(id, text[5]);
}

TEST_F(OwnText, StopsWhenToldTo) {
  WorkerPool pool(1);
  const std::vector<int32_t> starts(4, 1);
  EXPECT_TRUE(
      WriteOwnText(model_, teacher_, {starts, kLength, {}, 1}, kSeed, at::kCPU, pool, [](double) {
        return false;
      }).empty());
}

}  // namespace
}  // namespace llmq
