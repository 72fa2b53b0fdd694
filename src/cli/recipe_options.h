// The options that choose a recipe and change single steps of it.
//
// Before: the command line. After: compress_arguments makes CompressOptions of them, and
// compress_plan the ranks of a dry run.
#ifndef LLMQ_CLI_RECIPE_OPTIONS_H_
#define LLMQ_CLI_RECIPE_OPTIONS_H_

#include <optional>
#include <string>

#include "llmq/compress.h"
#include "llmq/recipe.h"

namespace CLI {
class App;
}

namespace llmq {

// What is not set is as the recipe has it.
struct RecipeArguments {
  Recipe recipe = Recipe::kAuto;
  std::optional<InitMethod> init;
  std::optional<ImportanceMode> importance;
  std::optional<Allocation> allocation;
  std::optional<Residual> residual;
  std::optional<int> scale_bits;
  std::optional<double> kv_rank_factor;
  std::optional<double> learning_rate;
  std::optional<double> own_text;
  std::optional<Surrogate> surrogate;
  std::optional<bool> latent_scale;
  std::optional<int64_t> block_tokens;
  std::optional<bool> absorption;
  std::optional<int64_t> kd_tokens;
  Effort effort = Effort::kStandard;
  std::optional<int64_t> train_tokens;
  std::string time_budget;  // "2h", "90m", "1h30m", "45s"; empty: none
};

void AddRecipeOptions(CLI::App& app, RecipeArguments& arguments);

// Throws Error{kInvalidArguments} for values out of range.
void CheckRecipeValues(const RecipeArguments& arguments);

// Sets the options of all steps and of the effort, and options.recipe: "auto", "littlebit, init
// admm".
void ApplyRecipeArguments(const RecipeArguments& arguments, CompressOptions& options);

}  // namespace llmq

#endif  // LLMQ_CLI_RECIPE_OPTIONS_H_
