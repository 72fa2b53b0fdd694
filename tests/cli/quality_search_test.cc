// The search for BPW against models of quality whose answer is known.
#include "cli/quality_search.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace llmq {
namespace {

struct Outcome {
  std::vector<double> tried;
  std::optional<double> best;
  bool unachievable = false;
};

Outcome Search(double target, double max, int tries, const std::function<bool(double)>& passes) {
  QualitySearch search(target, max, tries);
  Outcome run;
  while (const auto bpw = search.Next()) {
    run.tried.push_back(*bpw);
    search.Report(passes(*bpw));
  }
  run.best = search.best();
  run.unachievable = search.unachievable();
  return run;
}

TEST(QualitySearch, TargetThatPassesIsTheOnlyTry) {
  const Outcome run = Search(0.3, 2.0, 10, [](double) { return true; });
  EXPECT_EQ(run.tried, std::vector<double>{0.3});
  EXPECT_EQ(run.best, 0.3);
}

TEST(QualitySearch, UnachievableThresholdCostsTwoTries) {
  const Outcome run = Search(0.3, 2.0, 10, [](double) { return false; });
  EXPECT_EQ(run.tried, (std::vector<double>{0.3, 2.0}));
  EXPECT_FALSE(run.best);
  EXPECT_TRUE(run.unachievable);
}

TEST(QualitySearch, TargetAtTheMaximumIsNotTriedTwice) {
  const Outcome run = Search(2.0, 2.0, 10, [](double) { return false; });
  EXPECT_EQ(run.tried, std::vector<double>{2.0});
  EXPECT_TRUE(run.unachievable);
}

// For every border: what is delivered passes, and is within 1 % (or the last interval) of the
// border.
TEST(QualitySearch, FindsTheBorder) {
  for (double border = 0.11; border < 2.0; border += 0.07) {
    const Outcome run = Search(0.1, 2.0, 30, [border](double bpw) { return bpw >= border; });
    ASSERT_TRUE(run.best) << border;
    EXPECT_GE(*run.best, border);
    EXPECT_LT(*run.best, border * 1.011);
    EXPECT_LT(run.tried.size(), 15u);
  }
}

TEST(QualitySearch, StopsWhenTriesAreUsedUpAndKeepsTheBestSoFar) {
  const Outcome run = Search(0.1, 2.0, 4, [](double bpw) { return bpw >= 0.9; });
  EXPECT_EQ(run.tried.size(), 4u);
  EXPECT_EQ(run.tried[1], 2.0);
  EXPECT_DOUBLE_EQ(*run.best, 1.05);  // 0.1 fails, 2.0, 1.05 pass, 0.575 fails
}

TEST(QualitySearch, OneTryThatFailsIsNoProofOfImpossibility) {
  const Outcome run = Search(0.1, 2.0, 1, [](double) { return false; });
  EXPECT_EQ(run.tried.size(), 1u);
  EXPECT_FALSE(run.best);
  EXPECT_FALSE(run.unachievable);
}

}  // namespace
}  // namespace llmq
