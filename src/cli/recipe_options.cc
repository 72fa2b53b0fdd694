#include "cli/recipe_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <regex>
#include <string_view>

#include "cli/choice.h"
#include "llmq/error.h"

namespace llmq {
namespace {

const Choices<Recipe> kRecipes = {{"auto", Recipe::kAuto}, {"littlebit", Recipe::kLittleBit}};
const Choices<InitMethod> kInits = {{"dual-svid", InitMethod::kDualSvid},
                                    {"itq", InitMethod::kItq},
                                    {"admm", InitMethod::kAdmm},
                                    {"anneal", InitMethod::kAnneal},
                                    {"random", InitMethod::kRandom}};
const Choices<ImportanceMode> kImportances = {{"off", ImportanceMode::kOff},
                                              {"forward", ImportanceMode::kForward},
                                              {"full", ImportanceMode::kFull}};
const Choices<Allocation> kAllocations = {{"uniform", Allocation::kUniform},
                                          {"auto", Allocation::kAuto}};
const Choices<Residual> kResiduals = {{"auto", Residual::kAuto},
                                      {"spare", Residual::kSpare},
                                      {"on", Residual::kOn},
                                      {"off", Residual::kOff}};
const Choices<Surrogate> kSurrogates = {{"smooth-sign", Surrogate::kSmoothSign},
                                        {"straight-through", Surrogate::kStraightThrough}};

const Choices<bool> kSwitch = {{"on", true}, {"off", false}};
const Choices<Effort> kEfforts = {
    {"quick", Effort::kQuick}, {"standard", Effort::kStandard}, {"max", Effort::kMax}};

template <typename T>
std::string NameOf(const Choices<T>& choices, T value) {
  for (const auto& [name, choice] : choices) {
    if (choice == value) return name;
  }
  return "";
}

template <typename T>
[[noreturn]] void ThrowRange(const char* option, const char* expected, T found) {
  throw Error(ErrorCode::kInvalidArguments,
              fmt::format("{}: expected {}, found {}", option, expected, found),
              "Run 'llm-quantize littlebit compress --help'");
}

// Puts what was asked for in the recipe's place, and says so if it differs.
class Overrides {
 public:
  explicit Overrides(std::string text) : text_(std::move(text)) {}

  template <typename T>
  void Set(std::string_view step, const std::optional<T>& wanted, const Choices<T>& choices,
           T& option) {
    if (!wanted || *wanted == option) return;
    option = *wanted;
    text_ += fmt::format(", {} {}", step, NameOf(choices, *wanted));
  }
  template <typename T>
  void Set(std::string_view step, const std::optional<T>& wanted, T& option) {
    if (!wanted || *wanted == option) return;
    option = *wanted;
    text_ += fmt::format(", {} {}", step, *wanted);
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Seconds of "2h", "90m", "1h30m", "45s": whole numbers, units falling.
double ParseDuration(const std::string& text) {
  static const std::regex kPattern("(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?");
  std::smatch match;
  double seconds = 0;
  if (std::regex_match(text, match, kPattern)) {
    const auto part = [&](size_t i) { return match[i].matched ? std::stod(match[i]) : 0.0; };
    seconds = part(1) * 3600 + part(2) * 60 + part(3);
  }
  if (seconds > 0) return seconds;
  throw Error(ErrorCode::kInvalidArguments,
              fmt::format("--time-budget: expected a duration, found '{}'", text),
              "Write it as 2h, 90m, 1h30m or 45s");
}

}  // namespace

void AddRecipeOptions(CLI::App& app, RecipeArguments& a) {
  AddChoice(app, "--recipe", a.recipe, kRecipes,
            "How to compress: auto (what measured best), littlebit (the paper)")
      ->default_str("auto");
  AddChoice(app, "--effort", a.effort, kEfforts, "How long to work: quick, standard, max")
      ->default_str("standard");
  app.add_option("--time-budget", a.time_budget,
                 "Train as long as the whole run may take: 2h, 90m, 1h30m (instead of tokens)")
      ->type_name("TIME");
  app.add_option("--train-tokens", a.train_tokens,
                 "Tokens to train on after factorization (0: none; as the effort if not set)")
      ->type_name("INT");
  AddChoice(app, "--init", a.init, kInits,
            "Factorization before training: dual-svid, itq, admm, anneal, random");
  AddChoice(app, "--importance", a.importance, kImportances,
            "Weigh channels by calibration: off, forward (less memory), full");
  AddChoice(app, "--allocation", a.allocation, kAllocations,
            "Bits of the matrices: uniform, auto (as measured)");
  AddChoice(app, "--residual", a.residual, kResiduals,
            "Second, residual path: auto, spare (if one is not enough), on, off");
  app.add_option("--scale-bits", a.scale_bits, "Bits of a scale: 16, 8, 6, 4")->type_name("INT");
  app.add_option("--kv-rank-factor", a.kv_rank_factor,
                 "Ranks of K and V times this if uniform (0: 4 for grouped-query models)")
      ->type_name("FLOAT");
  app.add_option("--train-lr", a.learning_rate,
                 "Peak learning rate (recipe auto: by the bits per weight)")
      ->type_name("FLOAT");
  app.add_option("--own-text", a.own_text,
                 "Share of the training text that the model writes itself (0.5 without any given)")
      ->type_name("FLOAT");
  AddChoice(app, "--surrogate", a.surrogate, kSurrogates,
            "Gradient of the sign: smooth-sign, straight-through");
  AddChoice(app, "--latent-scale", a.latent_scale, kSwitch,
            "A scale per latent dimension: on, off (to see what it is worth)");
  app.add_option("--block-tokens", a.block_tokens,
                 "Train blocks one by one, each pass on so many tokens (0: none)")
      ->type_name("INT");
  AddChoice(app, "--absorption", a.absorption, kSwitch,
            "Adapt a block's weights before it is factorized: on, off");
  app.add_option("--kd-tokens", a.kd_tokens, "Tokens to train scales alone on at the end (0: none)")
      ->type_name("INT");
}

void CheckRecipeValues(const RecipeArguments& arguments) {
  if (const auto rate = arguments.learning_rate; rate && !(*rate > 0 && *rate <= 1)) {
    ThrowRange("--train-lr", "a number above 0 and at most 1", *rate);
  }
  if (const auto share = arguments.own_text; share && !(*share >= 0 && *share <= 1)) {
    ThrowRange("--own-text", "a share from 0 to 1", *share);
  }
  if (const auto bits = arguments.scale_bits; bits && !IsScaleBits(*bits)) {
    ThrowRange("--scale-bits", "16, 8, 6 or 4", *bits);
  }
  if (const auto factor = arguments.kv_rank_factor; factor && !(*factor >= 0 && *factor <= 64)) {
    ThrowRange("--kv-rank-factor", "0 (automatic) to 64", *factor);
  }
  if (const auto tokens = arguments.block_tokens; tokens && *tokens < 0) {
    ThrowRange("--block-tokens", "0 or more", *tokens);
  }
  if (const auto tokens = arguments.kd_tokens; tokens && *tokens < 0) {
    ThrowRange("--kd-tokens", "0 or more", *tokens);
  }
  if (const auto tokens = arguments.train_tokens; tokens && *tokens < 0) {
    ThrowRange("--train-tokens", "0 or more", static_cast<double>(*tokens));
  }
  if (arguments.time_budget.empty()) return;
  (void)ParseDuration(arguments.time_budget);
  if (arguments.block_tokens.value_or(0) > 0 || arguments.kd_tokens.value_or(0) > 0) {
    throw Error(ErrorCode::kInvalidArguments,
                "--time-budget: expected neither --block-tokens nor --kd-tokens: it plans training "
                "of the whole model",
                "Leave out --time-budget, or the two");
  }
  if (arguments.train_tokens) {
    throw Error(ErrorCode::kInvalidArguments,
                "--time-budget and --train-tokens: expected only one of them: the time decides how "
                "many tokens there are",
                "Leave out --train-tokens");
  }
}

// Dual-SVID takes matrices as they are: nothing would read what calibration says of channels.
void DropUnusedImportance(const RecipeArguments& arguments, CompressOptions& options) {
  if (options.init != InitMethod::kDualSvid || options.allocation == Allocation::kAuto) return;
  if (arguments.importance.value_or(ImportanceMode::kOff) != ImportanceMode::kOff) {
    throw Error(ErrorCode::kInvalidArguments,
                "--importance: expected a factorization that weighs channels, found dual-svid",
                "Leave out --importance, or use --init itq, admm or anneal");
  }
  options.importance = ImportanceMode::kOff;
}

void ApplyRecipeArguments(const RecipeArguments& arguments, CompressOptions& options) {
  ApplyRecipe(arguments.recipe, options);
  ApplyEffort(arguments.effort, options);
  options.train.tokens = arguments.train_tokens.value_or(options.train.tokens);
  if (!arguments.time_budget.empty()) {
    options.time_budget_seconds = ParseDuration(arguments.time_budget);
  }
  Overrides overrides(RecipeName(arguments.recipe));
  overrides.Set("init", arguments.init, kInits, options.init);
  options.rank.overcompleteness = Overcompleteness(options.init);
  overrides.Set("importance", arguments.importance, kImportances, options.importance);
  overrides.Set("allocation", arguments.allocation, kAllocations, options.allocation);
  DropUnusedImportance(arguments, options);
  overrides.Set("residual", arguments.residual, kResiduals, options.rank.residual);
  overrides.Set("scale bits", arguments.scale_bits, options.rank.scale_bits);
  overrides.Set("kv rank factor", arguments.kv_rank_factor, options.rank.kv_rank_factor);
  overrides.Set("rate", arguments.learning_rate, options.train.learning_rate);
  overrides.Set("own text", arguments.own_text, options.train.own_text);
  overrides.Set("surrogate", arguments.surrogate, kSurrogates, options.train.surrogate);
  overrides.Set("latent scale", arguments.latent_scale, kSwitch, options.train.latent_scale);
  overrides.Set("block tokens", arguments.block_tokens, options.train.block_tokens);
  overrides.Set("absorption", arguments.absorption, kSwitch, options.train.absorption);
  overrides.Set("distillation tokens", arguments.kd_tokens, options.train.kd_tokens);
  options.recipe = overrides.text();
  options.train.may_go_by_blocks = arguments.recipe == Recipe::kAuto && !arguments.train_tokens &&
                                   !arguments.block_tokens && !arguments.kd_tokens &&
                                   arguments.time_budget.empty();
}

}  // namespace llmq
