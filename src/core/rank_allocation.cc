// Greedy allocation: the next rank goes to the matrix whose loss it lowers most per byte.
//
// Losses as power laws of the rank are convex, so the greedy choice is the best one up to the size
// of a step.
#include "llmq/rank_allocation.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <utility>

namespace llmq {
namespace {

constexpr double kSmallestLoss = 1e-300;  // its logarithm is finite
constexpr int64_t kStepsPerRank = 64;     // a step adds this share of the rank: 1/64

class GreedyAllocator {
 public:
  // `plan` has the shapes, the paths and, as ranks, the least that every matrix gets.
  GreedyAllocator(const RankPlan& plan, int64_t overcompleteness, std::span<const LossCurve> curves,
                  int64_t budget_bytes)
      : plan_(plan),
        overcompleteness_(overcompleteness),
        curves_(curves),
        free_bytes_(budget_bytes - plan.body_bytes) {
    for (const PlannedLayer& layer : plan.layers) ranks_.push_back(layer.shape.rank);
  }

  std::vector<int64_t> Run() {
    for (size_t i = 0; i < ranks_.size(); ++i) Offer(i, Step(i));
    while (!offers_.empty()) {
      const Candidate best = offers_.top();
      offers_.pop();
      const int64_t cost = Bytes(best.layer, best.step) - Bytes(best.layer, 0);
      if (cost <= free_bytes_) {
        free_bytes_ -= cost;
        ranks_[best.layer] += best.step;
        Offer(best.layer, Step(best.layer));
      } else if (best.step > 1) {
        Offer(best.layer, best.step / 2);
      }
    }
    return ranks_;
  }

 private:
  struct Candidate {
    double gain = 0;  // loss per byte
    size_t layer = 0;
    int64_t step = 0;
    bool operator<(const Candidate& other) const {  // of equal gains, the first layer goes first
      return gain != other.gain ? gain < other.gain : layer > other.layer;
    }
  };

  int64_t Step(size_t i) const { return std::max<int64_t>(1, ranks_[i] / kStepsPerRank); }

  int64_t Bytes(size_t i, int64_t more) const {
    LittleBitShape shape = plan_.layers[i].shape;
    shape.rank = ranks_[i] + more;
    return LittleBitPayloadBytes(shape);
  }

  // Without padding, which makes some ranks free and the next one twice as dear.
  int64_t BytesPerRank(size_t i) const {
    LittleBitShape one = plan_.layers[i].shape, two = one;
    one.rank = 8;
    two.rank = 16;
    return (LittleBitArrayBytes(two) - LittleBitArrayBytes(one)) / 8;
  }

  void Offer(size_t i, int64_t step) {
    step = std::min(step, LargestRank(plan_.layers[i].linear, overcompleteness_) - ranks_[i]);
    if (step < 1) return;
    const auto loss = [&](int64_t rank) {
      return curves_[i].At(static_cast<double>(rank * plan_.paths));
    };
    const double gain = loss(ranks_[i]) - loss(ranks_[i] + step);
    offers_.push({gain / static_cast<double>(step * BytesPerRank(i)), i, step});
  }

  const RankPlan& plan_;
  int64_t overcompleteness_;
  std::span<const LossCurve> curves_;
  int64_t free_bytes_;
  std::vector<int64_t> ranks_;
  std::priority_queue<Candidate> offers_;
};

}  // namespace

double LossCurve::At(double rank) const {
  size_t first = 0;  // of the two points that the line goes through
  while (first + 2 < ranks.size() && rank > static_cast<double>(ranks[first + 1])) ++first;
  const auto log_rank = [&](size_t i) { return std::log(static_cast<double>(ranks[i])); };
  const auto log_loss = [&](size_t i) { return std::log(std::max(losses[i], kSmallestLoss)); };
  const double slope =
      (log_loss(first + 1) - log_loss(first)) / (log_rank(first + 1) - log_rank(first));
  return std::exp(log_loss(first) + std::min(slope, 0.0) * (std::log(rank) - log_rank(first)));
}

RankPlan AllocateRanks(const ModelConfig& config, const RankPlan& plan, int64_t overcompleteness,
                       int64_t body_bytes, std::span<const LossCurve> curves) {
  std::vector<int64_t> ranks;
  for (const PlannedLayer& layer : plan.layers) ranks.push_back(LeastRank(layer.linear));
  const RankPlan least = MakeRankPlan(config, plan.paths, plan.scale_bits, ranks);
  GreedyAllocator allocator(least, overcompleteness, curves, body_bytes);
  return MakeRankPlan(config, plan.paths, plan.scale_bits, allocator.Run());
}

}  // namespace llmq
