#include "compress/calibrate/block_statistics.h"

#include <utility>

namespace llmq {
namespace {

at::Tensor Mean(const at::Tensor& sum, double tokens) {
  return (sum / tokens).to(at::kCPU, at::kFloat);
}

// One projection of all experts: sums with fewer tokens than kFewTokens are filled up.
void FillUp(const std::vector<SquareSum*>& experts, bool same_channels) {
  SquareSum all;
  for (const SquareSum* expert : experts) {
    if (!expert->sum.defined()) continue;
    all.sum = all.sum.defined() ? all.sum + expert->sum : expert->sum;
    all.tokens += expert->tokens;
  }
  const at::Tensor mean = all.sum / all.tokens;  // every token has experts, so there are some
  const at::Tensor lent = same_channels ? mean : mean.mean().expand_as(mean);
  for (SquareSum* expert : experts) {
    const double missing = static_cast<double>(kFewTokens) - expert->tokens;
    if (missing <= 0) continue;
    const at::Tensor more = lent * missing;
    expert->sum = expert->sum.defined() ? expert->sum + more : more;
    expert->tokens += missing;
  }
}

void FillUpExperts(const ModelConfig& config, int64_t layer, bool of_inputs,
                   std::vector<SquareSum>& totals) {
  if (!config.IsSparse(layer)) return;
  for (const Projection projection : {Projection::kGate, Projection::kUp, Projection::kDown}) {
    std::vector<SquareSum*> experts;
    for (int64_t expert = 0; expert < config.experts.count; ++expert) {
      experts.push_back(&totals[IndexInBlock(config, projection, expert)]);
    }
    // The residual stream goes into gate and up, and comes out of down.
    FillUp(experts, of_inputs != (projection == Projection::kDown));
  }
}

}  // namespace

void StoreInputs(const ModelConfig& config, int64_t layer, std::vector<SquareSum> totals,
                 int64_t all_tokens, std::span<ChannelStatistics> block) {
  for (size_t i = 0; i < block.size(); ++i) {
    block[i].tokens = static_cast<int64_t>(totals[i].tokens);
  }
  FillUpExperts(config, layer, true, totals);
  for (size_t i = 0; i < block.size(); ++i) {
    block[i].input = Mean(totals[i].sum, static_cast<double>(all_tokens));
  }
}

void StoreGradients(const ModelConfig& config, int64_t layer, std::vector<SquareSum> totals,
                    std::span<ChannelStatistics> block) {
  FillUpExperts(config, layer, false, totals);
  for (size_t i = 0; i < block.size(); ++i) {
    block[i].gradient = Mean(totals[i].sum, totals[i].tokens);
  }
}

}  // namespace llmq
