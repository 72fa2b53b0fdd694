// From a target in bits per weight to the rank of every layer, in bytes of the file.
//
// Before: the command line gives a target or a rank, model_config lists the linears. After:
// compress/pipeline factorizes to these ranks and formats/output_plan adds up the file. Source:
// arXiv 2506.13771, section 3 (bits of a factorized layer) and appendix (K/V rank on grouped-query
// models).
#include "llmq/bit_budget.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "llmq/error.h"

namespace llmq {
namespace {

// The paper reports that the residual path hurts models below 2 B parameters at 0.1 BPW and helps
// from 0.3 up.
constexpr double kResidualMinBpw = 0.3;
constexpr int64_t kResidualAlwaysWeights = 2'000'000'000;
constexpr int kBisectionSteps = 60;

bool IsKeyOrValue(const LinearSpec& linear) {
  return linear.projection == Projection::kK || linear.projection == Projection::kV;
}

int64_t TotalWeights(const std::vector<LinearSpec>& linears) {
  int64_t weights = 0;
  for (const LinearSpec& linear : linears) weights += linear.d_out * linear.d_in;
  return weights;
}

double KvRankFactor(const ModelConfig& config, const RankOptions& options) {
  if (options.kv_rank_factor > 0) return options.kv_rank_factor;
  return config.num_kv_heads < config.num_heads ? 4.0 : 1.0;
}

// A model's layers and how its ranks follow from one number, the base BPW.
class Allocator {
 public:
  Allocator(const ModelConfig& config, const RankOptions& options, int64_t paths)
      : linears_(BlockLinears(config)),
        options_(options),
        kv_rank_factor_(KvRankFactor(config, options)),
        paths_(paths) {}

  // The ranks whose bytes come closest to target_bpw from below.
  std::vector<int64_t> RanksWithin(double target_bpw) const {
    if (Fits(RanksAt(target_bpw), target_bpw)) return RanksAt(target_bpw);
    double low = 0, high = target_bpw;  // low fits (ranks of 0 need no bytes), high does not
    for (int step = 0; step < kBisectionSteps; ++step) {
      const double middle = (low + high) / 2;
      (Fits(RanksAt(middle), target_bpw) ? low : high) = middle;
    }
    return RanksAt(low);
  }

  // The first layer whose rank is too low to be useful, or nullopt.
  std::optional<size_t> FirstStarved(const std::vector<int64_t>& ranks) const {
    for (size_t i = 0; i < ranks.size(); ++i) {
      if (ranks[i] < LeastRank(linears_[i])) return i;
    }
    return std::nullopt;
  }

  const std::vector<LinearSpec>& linears() const { return linears_; }

 private:
  std::vector<int64_t> RanksAt(double base_bpw) const {
    std::vector<int64_t> ranks;
    for (const LinearSpec& linear : linears_) {
      const auto rank = static_cast<double>(
          RankForBpw(linear.d_out, linear.d_in, paths_, base_bpw, options_.scale_bits));
      const double factor = IsKeyOrValue(linear) ? kv_rank_factor_ : 1.0;
      ranks.push_back(std::min(static_cast<int64_t>(rank * factor),
                               LargestRank(linear, options_.overcompleteness)));
    }
    return ranks;
  }

  bool Fits(const std::vector<int64_t>& ranks, double target_bpw) const {
    int64_t bytes = 0;
    for (size_t i = 0; i < ranks.size(); ++i) {
      if (ranks[i] == 0) continue;
      bytes += LittleBitPayloadBytes(
          {linears_[i].d_out, linears_[i].d_in, ranks[i], paths_, options_.scale_bits});
    }
    return 8.0 * static_cast<double>(bytes) <=
           target_bpw * static_cast<double>(TotalWeights(linears_));
  }

  std::vector<LinearSpec> linears_;
  const RankOptions& options_;
  double kv_rank_factor_;
  int64_t paths_;
};

bool OnePathSpends(const ModelConfig& config, const RankOptions& options) {
  std::vector<int64_t> largest;
  for (const LinearSpec& linear : BlockLinears(config))
    largest.push_back(LargestRank(linear, options.overcompleteness));
  return MakeRankPlan(config, 1, options.scale_bits, largest).body_bpw >= options.target_bpw;
}

bool WantsResidual(const ModelConfig& config, const RankOptions& options) {
  if (options.residual == Residual::kSpare) return !OnePathSpends(config, options);
  if (options.residual != Residual::kAuto) return options.residual == Residual::kOn;
  return options.target_bpw >= kResidualMinBpw ||
         TotalWeights(BlockLinears(config)) >= kResidualAlwaysWeights;
}

RankPlan ManualPlan(const ModelConfig& config, const RankOptions& options) {
  const std::vector<LinearSpec> linears = BlockLinears(config);
  std::vector<int64_t> ranks;
  for (const LinearSpec& linear : linears) {
    ranks.push_back(std::min(options.manual_rank, LargestRank(linear, options.overcompleteness)));
  }
  // There is no target to spend, so kSpare has no use for a second path.
  const bool residual = options.residual == Residual::kOn || options.residual == Residual::kAuto;
  return MakeRankPlan(config, residual ? 2 : 1, options.scale_bits, ranks);
}

int64_t FewestPaths(const RankOptions& options) {
  return options.residual == Residual::kOn ? 2 : 1;
}

[[noreturn]] void ThrowStarved(const ModelConfig& config, const RankOptions& options,
                               const LinearSpec& linear, int64_t rank) {
  const SmallestFeasible smallest = FindSmallestFeasible(config, options);
  const std::string message = fmt::format(
      "{} [{}, {}]: expected room for rank {} at {} bits per weight, found room for "
      "rank {}",
      linear.name, linear.d_out, linear.d_in, LeastRank(linear), options.target_bpw, rank);
  constexpr double kOriginalBits = 16;
  if (smallest.bpw >= kOriginalBits) {
    throw Error(
        ErrorCode::kRankSelectionFailed,
        fmt::format("{}; no target below the original's {} bits has it", message, kOriginalBits),
        options.kv_rank_factor > 0 ? "Leave out --kv-rank-factor"
                                   : "This model is too small to be compressed");
  }
  throw Error(ErrorCode::kRankSelectionFailed,
              fmt::format("{}; smallest feasible for this model: {:.4g} BPW, set by {}", message,
                          smallest.bpw, smallest.layer),
              fmt::format("Use {:.4g} bits per weight or more", smallest.bpw));
}

}  // namespace

int64_t LeastRank(const LinearSpec& linear) {
  return std::min({kMinRank, linear.d_out, linear.d_in});
}

int64_t LargestRank(const LinearSpec& linear, int64_t overcompleteness) {
  return overcompleteness * std::min(linear.d_out, linear.d_in);
}

double LittleBitBpw(const LittleBitShape& shape) {
  return 8.0 * static_cast<double>(LittleBitPayloadBytes(shape)) /
         (static_cast<double>(shape.d_out) * static_cast<double>(shape.d_in));
}

int64_t RankForBpw(int64_t d_out, int64_t d_in, int64_t paths, double bpw, int scale_bits) {
  const double budget_bits = bpw * static_cast<double>(d_out) * static_cast<double>(d_in);
  // The paper's count without padding bounds the rank from above; bytes with padding decide.
  const double bits_per_rank =
      static_cast<double>(paths) * static_cast<double>(d_out + d_in + scale_bits);
  int64_t low = 0, high = static_cast<int64_t>(budget_bits / bits_per_rank) + 1;
  while (high - low > 1) {  // rank `low` fits, rank `high` does not
    const int64_t middle = low + (high - low) / 2;
    const int64_t bytes = LittleBitPayloadBytes({d_out, d_in, middle, paths, scale_bits});
    (8.0 * static_cast<double>(bytes) <= budget_bits ? low : high) = middle;
  }
  return low;
}

RankPlan PlanRanks(const ModelConfig& config, const RankOptions& options) {
  if (options.manual_rank > 0) return ManualPlan(config, options);
  int64_t paths = WantsResidual(config, options) ? 2 : 1;
  while (true) {
    const Allocator allocator(config, options, paths);
    const std::vector<int64_t> ranks = allocator.RanksWithin(options.target_bpw);
    const std::optional<size_t> starved = allocator.FirstStarved(ranks);
    if (!starved) return MakeRankPlan(config, paths, options.scale_bits, ranks);
    if (paths == FewestPaths(options)) {
      ThrowStarved(config, options, allocator.linears()[*starved], ranks[*starved]);
    }
    paths = FewestPaths(options);  // --residual auto: one path needs fewer bits for its scales
  }
}

RankPlan MakeRankPlan(const ModelConfig& config, int64_t paths, int scale_bits,
                      std::span<const int64_t> ranks) {
  const std::vector<LinearSpec> linears = BlockLinears(config);
  RankPlan plan{.paths = paths, .scale_bits = scale_bits};
  for (size_t i = 0; i < linears.size(); ++i) {
    const LittleBitShape shape{linears[i].d_out, linears[i].d_in, ranks[i], paths, scale_bits};
    plan.layers.push_back({linears[i], shape, LittleBitPayloadBytes(shape), LittleBitBpw(shape)});
    plan.body_bytes += plan.layers.back().bytes;
  }
  plan.body_weights = TotalWeights(linears);
  plan.body_bpw =
      8.0 * static_cast<double>(plan.body_bytes) / static_cast<double>(plan.body_weights);
  return plan;
}

SmallestFeasible FindSmallestFeasible(const ModelConfig& config, const RankOptions& options) {
  const Allocator allocator(config, options, FewestPaths(options));
  double low = 0, high = 1024;  // a 1x1 layer costs one section of 512 bits per weight
  for (int step = 0; step < kBisectionSteps; ++step) {
    const double middle = (low + high) / 2;
    (allocator.FirstStarved(allocator.RanksWithin(middle)) ? low : high) = middle;
  }
  const std::optional<size_t> starved = allocator.FirstStarved(allocator.RanksWithin(low));
  // Rounded up to four decimals, so that the number a user copies from the message works.
  return {std::ceil(high * 1e4) / 1e4, starved ? allocator.linears()[*starved].name : ""};
}

}  // namespace llmq
