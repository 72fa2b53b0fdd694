#include "llmq/recipe.h"

#include <algorithm>

namespace llmq {
namespace {

// docs/results.md, "Training": with few tokens the paper's 4e-5 hardly moves a sign.
constexpr double kLittleBitRate = 3e-4;
// docs/results.md, "Recipes".
constexpr double kHighestRate = 1e-3;
constexpr double kHighestRateUpTo = 0.45;  // bits per weight
constexpr double kAutoScaleRate = 0.3;
constexpr int64_t kOvercompleteness = 4;
constexpr int kAutoScaleBits = 4;

}  // namespace

const char* RecipeName(Recipe recipe) { return recipe == Recipe::kAuto ? "auto" : "littlebit"; }

double LearningRateFor(double body_bpw) {
  return kHighestRate * std::min(1.0, kHighestRateUpTo / std::max(body_bpw, kHighestRateUpTo));
}

int64_t Overcompleteness(InitMethod init) {
  return init == InitMethod::kAnneal ? kOvercompleteness : 1;
}

void ApplyRecipe(Recipe recipe, CompressOptions& options) {
  const bool is_auto = recipe == Recipe::kAuto;
  options.init = is_auto ? InitMethod::kAnneal : InitMethod::kDualSvid;
  options.rank.overcompleteness = Overcompleteness(options.init);
  options.importance = is_auto ? ImportanceMode::kFull : ImportanceMode::kOff;
  options.allocation = is_auto ? Allocation::kAuto : Allocation::kUniform;
  options.rank.residual = is_auto ? Residual::kSpare : Residual::kAuto;
  options.rank.scale_bits = is_auto ? kAutoScaleBits : kHalfScaleBits;
  options.rank.kv_rank_factor = 0;
  options.train.block_tokens = 0;
  options.train.absorption = true;
  options.train.kd_tokens = 0;
  options.train.surrogate = Surrogate::kSmoothSign;
  options.train.learning_rate = is_auto ? 0 : kLittleBitRate;
  options.train.own_text = 0;
  options.train.scale_rate = is_auto ? kAutoScaleRate : 1;
}

void ApplyEffort(Effort effort, CompressOptions& options) {
  switch (effort) {
    case Effort::kQuick:
      options.factorize_iterations = 8;
      options.calibration_sequences = 16;
      options.train.tokens = 50'000;
      return;
    case Effort::kStandard: return;  // the options' own defaults
    case Effort::kMax:
      options.factorize_iterations = 48;
      options.calibration_sequences = 256;
      options.train.tokens = 2'000'000;
      return;
  }
}

}  // namespace llmq
