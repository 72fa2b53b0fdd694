// The arithmetic of bits: from a target in bits per weight to ranks, and back to bytes. One place
// owns it.
//
// The paper's count (arXiv 2506.13771, section 3 and appendix): r(d_out + d_in + 16) + 16(d_out +
// d_in) bits per path, with scales of other bits in place of 16. Bytes here are those of the file,
// padding included (LittleBitPayloadBytes), so what a plan promises is what the file holds. "Body
// BPW" is payload bits over the weights of the compressed matrices.
#ifndef LLMQ_BIT_BUDGET_H_
#define LLMQ_BIT_BUDGET_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "llmq/littlebit.h"
#include "llmq/model_config.h"

namespace llmq {

inline constexpr double kDefaultMinBpw = 0.1;
inline constexpr double kDefaultMaxBpw = 2.0;
// Below 8 latent dimensions a layer carries nothing worth its scales; the official code's minimum
// too.
inline constexpr int64_t kMinRank = 8;

// Payload bits per weight of one layer.
double LittleBitBpw(const LittleBitShape& shape);

// The largest rank whose payload fits in `bpw`, or 0 if not even rank 1 does. Not capped by the
// dimensions.
int64_t RankForBpw(int64_t d_out, int64_t d_in, int64_t paths, double bpw,
                   int scale_bits = kHalfScaleBits);

// kAuto is the paper's choice; kSpare takes a second path only if one cannot spend the target.
enum class Residual { kAuto, kSpare, kOn, kOff };

// What a target in bits per weight counts: the payloads of the compressed matrices over their
// weights, or all bytes of the file over the parameters of the original.
enum class BudgetScope { kBody, kFile };
constexpr const char* BudgetScopeName(BudgetScope scope) {
  return scope == BudgetScope::kFile ? "file" : "body";
}

struct RankOptions {
  double target_bpw = 0.5;
  int64_t manual_rank = 0;  // > 0: this rank for every layer (or its largest), target ignored
  // The largest rank of a matrix is this many times its smaller side. Signs, unlike singular
  // vectors, still gain beyond 1.
  int64_t overcompleteness = 1;
  Residual residual = Residual::kAuto;
  int scale_bits = kHalfScaleBits;  // or 8, 6, 4
  // Ranks of K and V projections are multiplied by this on grouped-query models and the others
  // lowered so that the total stays within the target (the paper's remedy for the GQA bottleneck).
  // 0: 4 on grouped-query models, 1 otherwise.
  double kv_rank_factor = 0;
};

struct PlannedLayer {
  LinearSpec linear;
  LittleBitShape shape;
  int64_t bytes = 0;  // payload
  double bpw = 0;
};

struct RankPlan {
  std::vector<PlannedLayer> layers;
  int64_t paths = 1;
  int scale_bits = kHalfScaleBits;
  int64_t body_bytes = 0;
  int64_t body_weights = 0;
  double body_bpw = 0;
};

// Throws Error{kRankSelectionFailed} naming the layer that does not fit and the smallest feasible
// BPW.
RankPlan PlanRanks(const ModelConfig& config, const RankOptions& options);

// The plan of these ranks, one per linear of BlockLinears(config).
RankPlan MakeRankPlan(const ModelConfig& config, int64_t paths, int scale_bits,
                      std::span<const int64_t> ranks);

// The smallest target for which PlanRanks succeeds with these options (one path, if residual is
// kAuto), and the layer that sets it.
struct SmallestFeasible {
  double bpw = 0;
  std::string layer;
};
SmallestFeasible FindSmallestFeasible(const ModelConfig& config, const RankOptions& options);

int64_t LeastRank(const LinearSpec& linear);
int64_t LargestRank(const LinearSpec& linear, int64_t overcompleteness);

}  // namespace llmq

#endif  // LLMQ_BIT_BUDGET_H_
