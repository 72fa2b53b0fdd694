// Ranks that differ: bits go where they lower the loss most, the sum stays within the target.
//
// Before: the compressor has measured for every matrix what a rank costs in loss. After: a RankPlan
// like PlanRanks's, which all that follows treats the same. The paper gives every matrix the same
// bits per weight and leaves non-uniform allocation open (arXiv 2506.13771, section 6).
#ifndef LLMQ_RANK_ALLOCATION_H_
#define LLMQ_RANK_ALLOCATION_H_

#include <cstdint>
#include <span>
#include <vector>

#include "llmq/bit_budget.h"
#include "llmq/model_config.h"

namespace llmq {

// What a matrix adds to the model's loss at some ranks (the sum over its paths), in a unit that all
// matrices share. Between and beyond the measured ranks: a power law, loss ~ rank^-beta, through
// the two nearest.
struct LossCurve {
  std::vector<int64_t> ranks;  // increasing, at least two, > 0
  std::vector<double> losses;  // of the same length, >= 0

  double At(double rank) const;
};

// Other ranks for `plan`, whose paths and scale bits stay: from the least that PlanRanks gives any
// matrix up to its LargestRank, together at most `body_bytes` of payloads.
// curves[i] belongs to plan.layers[i]. Precondition: `plan` is PlanRanks's and has no more bytes.
RankPlan AllocateRanks(const ModelConfig& config, const RankPlan& plan, int64_t overcompleteness,
                       int64_t body_bytes, std::span<const LossCurve> curves);

}  // namespace llmq

#endif  // LLMQ_RANK_ALLOCATION_H_
