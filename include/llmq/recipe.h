// The named sequences of steps: what `--recipe` stands for. Each step can be chosen by itself too.
#ifndef LLMQ_RECIPE_H_
#define LLMQ_RECIPE_H_

#include "llmq/compress.h"

namespace llmq {

// kLittleBit is the paper (arXiv 2506.13771): Dual-SVID with a residual path, the same bits per
// weight everywhere but in K and V, then training with SmoothSign; embedding and head stay as they
// are. kAuto is what measured best (docs/results.md, "Recipes"): bits where they count, annealed
// signs on weighted channels, one path, and a larger rate for the signs.
enum class Recipe { kLittleBit, kAuto };

// How long to work: iterations of the factorization, calibration sequences, tokens of training.
enum class Effort { kQuick, kStandard, kMax };

const char* RecipeName(Recipe recipe);

// The peak of training's learning rate that measured best at a rate of bits: the fewer bits, the
// further the signs have to go.
double LearningRateFor(double body_bpw);

// TrainOptions::own_text of recipe auto where the user gives no text: the built-in one is seldom of
// the model's kind (docs/results.md, "Own text").
inline constexpr double kOwnTextShare = 0.5;

// RankOptions::overcompleteness of a start: the published ones begin with singular vectors.
int64_t Overcompleteness(InitMethod init);
// Allocation keeps ranks within the smaller side below this rate: there the loss that is predicted
// beyond it draws bits that are better spent elsewhere. Between the rates that were measured
// (docs/results.md, "Recipes").
inline constexpr double kOvercompleteFromBpw = 0.75;

// Sets the options of all steps; the others (target, text, tokens, device, ...) stay as they are.
void ApplyRecipe(Recipe recipe, CompressOptions& options);
void ApplyEffort(Effort effort, CompressOptions& options);

}  // namespace llmq

#endif  // LLMQ_RECIPE_H_
