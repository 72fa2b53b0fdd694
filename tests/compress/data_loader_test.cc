#include "compress/train/data_loader.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace llmq {
namespace {

std::vector<int32_t> Counting(int32_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(DataLoader, ShowsEverySequenceOncePerEpochInANewOrder) {
  DataLoader loader(Counting(45), 4, 1, 3);  // 11 sequences and one token left over
  ASSERT_EQ(loader.sequences(), 11);
  std::vector<int64_t> epochs[2];
  for (int64_t step = 0; step < 22; ++step) {
    const at::Tensor batch = loader.Batch(step);
    const int64_t begin = batch[0][0].item<int64_t>();
    EXPECT_EQ(begin % 4, 0);
    EXPECT_TRUE(batch[0].equal(at::arange(begin, begin + 4, at::kLong)));
    epochs[step / 11].push_back(begin);
  }
  EXPECT_EQ(std::set(epochs[0].begin(), epochs[0].end()).size(), 11u);
  EXPECT_EQ(std::set(epochs[1].begin(), epochs[1].end()).size(), 11u);
  EXPECT_NE(epochs[0], epochs[1]);
}

TEST(DataLoader, ABatchDependsOnSeedAndStepOnly) {
  DataLoader walked(Counting(64), 4, 5, 3), jumped(Counting(64), 4, 5, 3),
      other(Counting(64), 4, 5, 4);
  for (int64_t step = 0; step < 9; ++step) (void)walked.Batch(step);
  EXPECT_TRUE(walked.Batch(9).equal(jumped.Batch(9)));  // 3 epochs in, batches that cross epochs
  EXPECT_TRUE(walked.Batch(2).equal(jumped.Batch(2)));
  EXPECT_FALSE(walked.Batch(0).equal(other.Batch(0)));
}

TEST(DataLoader, RepeatsASingleSequence) {
  DataLoader loader(Counting(5), 4, 3, 0);
  EXPECT_TRUE(loader.Batch(0)[2].equal(at::arange(4, at::kLong)));
}

TEST(DataLoader, AShareComesFromElsewhereInItsOrder) {
  std::vector<int32_t> other(12);
  std::iota(other.begin(), other.end(), 1000);  // 3 sequences
  DataLoader mixed(Counting(64), 4, 2, 3), plain(Counting(64), 4, 1, 3);
  mixed.MixIn(other, 0.5);
  for (int64_t step = 0; step < 20; ++step) {
    const at::Tensor batch = mixed.Batch(step);
    EXPECT_TRUE(batch[0].equal(plain.Batch(step)[0]));
    const int64_t begin = 1000 + step % 3 * 4;
    EXPECT_TRUE(batch[1].equal(at::arange(begin, begin + 4, at::kLong)));
  }
}

TEST(DataLoader, AShareMayBeUnevenOrAll) {
  const std::vector<int32_t> other(4, 1000);
  const auto count = [&](double share) {
    DataLoader mixed(Counting(64), 4, 10, 3);
    mixed.MixIn(other, share);
    return mixed.Batch(7).select(1, 0).eq(1000).sum().item<int64_t>();
  };
  EXPECT_EQ(count(0.3), 3);
  EXPECT_EQ(count(1), 10);
}

}  // namespace
}  // namespace llmq
