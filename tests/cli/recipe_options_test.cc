// From options to steps: what a recipe sets, what single options change, and what is refused.
#include "cli/recipe_options.h"

#include <gtest/gtest.h>

#include "llmq/error.h"

namespace llmq {
namespace {

CompressOptions Applied(const RecipeArguments& arguments) {
  CompressOptions options;
  ApplyRecipeArguments(arguments, options);
  return options;
}

TEST(RecipeOptions, TheRecipesAreTheirSteps) {
  const CompressOptions best = Applied({});
  EXPECT_EQ(best.recipe, "auto");
  EXPECT_EQ(best.allocation, Allocation::kAuto);
  EXPECT_EQ(best.importance, ImportanceMode::kFull);
  const CompressOptions paper = Applied({.recipe = Recipe::kLittleBit});
  EXPECT_EQ(paper.recipe, "littlebit");
  EXPECT_EQ(paper.init, InitMethod::kDualSvid);
  EXPECT_EQ(paper.rank.residual, Residual::kAuto);
  EXPECT_EQ(paper.rank.scale_bits, kHalfScaleBits);
  EXPECT_EQ(best.rank.scale_bits, 4);
  EXPECT_FALSE(paper.calibrates());
}

TEST(RecipeOptions, SingleStepsWinAndAreNamed) {
  const CompressOptions options = Applied({.recipe = Recipe::kLittleBit,
                                           .init = InitMethod::kAdmm,
                                           .residual = Residual::kOff,
                                           .scale_bits = 8,
                                           .kv_rank_factor = 1.5,
                                           .surrogate = Surrogate::kSmoothSign});
  EXPECT_EQ(options.init, InitMethod::kAdmm);
  EXPECT_EQ(options.rank.scale_bits, 8);
  EXPECT_EQ(options.recipe, "littlebit, init admm, residual off, scale bits 8, kv rank factor 1.5");
  EXPECT_THROW(CheckRecipeValues({.scale_bits = 5}), Error);
}

TEST(RecipeOptions, DualSvidHasNoUseForImportanceButToAllocate) {
  const RecipeArguments allocated{.init = InitMethod::kDualSvid};
  EXPECT_EQ(Applied(allocated).importance, ImportanceMode::kFull);
  RecipeArguments uniform{.init = InitMethod::kDualSvid, .allocation = Allocation::kUniform};
  EXPECT_FALSE(Applied(uniform).calibrates());
  uniform.importance = ImportanceMode::kForward;
  EXPECT_THROW(Applied(uniform), Error);
}

TEST(RecipeOptions, EffortGivesTokensThatTheOptionOverrides) {
  EXPECT_LT(Applied({.effort = Effort::kQuick}).train.tokens, Applied({}).train.tokens);
  EXPECT_GT(Applied({.effort = Effort::kMax}).train.tokens, Applied({}).train.tokens);
  EXPECT_EQ(Applied({.effort = Effort::kMax, .train_tokens = 7}).train.tokens, 7);
}

TEST(RecipeOptions, ReadsDurations) {
  EXPECT_EQ(Applied({.time_budget = "2h"}).time_budget_seconds, 7200);
  EXPECT_EQ(Applied({.time_budget = "1h30m"}).time_budget_seconds, 5400);
  EXPECT_EQ(Applied({.time_budget = "90m"}).time_budget_seconds, 5400);
  EXPECT_EQ(Applied({.time_budget = "45s"}).time_budget_seconds, 45);
}

TEST(RecipeOptions, RefusesWhatIsNoDurationAndTwoAnswersToOneQuestion) {
  for (const char* wrong : {"2", "h", "0h", "-1h", "1.5h", "30m1h", "2 h", "99999999h", "two"}) {
    try {
      CheckRecipeValues({.time_budget = wrong});
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArguments) << wrong;
      EXPECT_NE(error.message().find("--time-budget"), std::string::npos) << wrong;
    }
  }
  EXPECT_THROW(CheckRecipeValues({.train_tokens = 5, .time_budget = "1h"}), Error);
}

}  // namespace
}  // namespace llmq
