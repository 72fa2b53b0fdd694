// The sampler: greedy choice, determinism, and that it draws what it should.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "llmq/model.h"

namespace llmq {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::map<int32_t, int> Draw(const SamplingOptions& options, const std::vector<float>& logits,
                            int count) {
  Sampler sampler(options);
  std::map<int32_t, int> drawn;
  for (int i = 0; i < count; ++i) ++drawn[sampler.Sample(logits)];
  return drawn;
}

std::set<int32_t> Ids(const std::map<int32_t, int>& drawn) {
  std::set<int32_t> ids;
  for (const auto& [id, count] : drawn) ids.insert(id);
  return ids;
}

TEST(Sampler, GreedyTakesTheLargestAndOfEqualOnesTheFirst) {
  Sampler sampler({});
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, -1, kNan, -2}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{kNan, kNan}), 0);
  EXPECT_EQ(sampler.Sample(std::vector<float>{0, kInfinity, kInfinity}), 1);
}

TEST(Sampler, NumbersThatAreNoneDoNotBreakSampling) {
  const SamplingOptions hot{.temperature = 1, .top_k = 3, .top_p = 0.9, .seed = 1};
  EXPECT_EQ(Ids(Draw(hot, {kNan, 2, kNan, -kInfinity}, 50)), std::set<int32_t>{1});
  EXPECT_EQ(Ids(Draw(hot, {kNan, 2, kInfinity}, 50)), std::set<int32_t>{2});
  EXPECT_EQ(Ids(Draw(hot, {-kInfinity, -kInfinity}, 50)), std::set<int32_t>{0});
}

TEST(Sampler, SameSeedSameDraws) {
  const std::vector<float> logits(100, 0.0f);
  const auto draws = [&](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.Sample(logits));
    return ids;
  };
  EXPECT_EQ(draws(1), draws(1));
  EXPECT_NE(draws(1), draws(2));
}

// Frequencies against softmax(logits / temperature), within five standard deviations.
TEST(Sampler, DrawsByProbability) {
  constexpr int kCount = 40000;
  const std::vector<float> logits = {1.0f, 0.0f, 2.0f, -1.0f};
  for (const double temperature : {0.5, 1.0, 2.0}) {
    const auto drawn = Draw({.temperature = temperature, .seed = 3}, logits, kCount);
    double total = 0;
    for (const float logit : logits) total += std::exp(logit / temperature);
    for (int32_t id = 0; id < 4; ++id) {
      const double p = std::exp(logits[id] / temperature) / total;
      const double share = drawn.contains(id) ? static_cast<double>(drawn.at(id)) / kCount : 0;
      EXPECT_NEAR(share, p, 5 * std::sqrt(p * (1 - p) / kCount)) << temperature << " " << id;
    }
  }
}

TEST(Sampler, TopKAndTopPLeaveOutTheTail) {
  // Probabilities 0.5, 0.25, 0.125, 0.125; ids out of order.
  const std::vector<float> logits = {std::log(0.125f), std::log(0.5f), std::log(0.125f),
                                     std::log(0.25f)};
  const auto ids = [&](int64_t top_k, double top_p) {
    return Ids(Draw({.temperature = 1, .top_k = top_k, .top_p = top_p, .seed = 5}, logits, 2000));
  };
  EXPECT_EQ(ids(0, 1.0), (std::set<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(ids(3, 1.0), (std::set<int32_t>{0, 1, 3}));  // of the equal ones the first
  EXPECT_EQ(ids(99, 1.0), (std::set<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(ids(0, 0.7), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(ids(0, 0.4), (std::set<int32_t>{1}));
  EXPECT_EQ(ids(0, 0.0), (std::set<int32_t>{1}));
  EXPECT_EQ(ids(2, 0.7), (std::set<int32_t>{1, 3}));  // 0.5 / 0.75 does not reach 0.7
}

}  // namespace
}  // namespace llmq
