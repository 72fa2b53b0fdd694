#include "compress/calibrate/loss_curve.h"

#include <algorithm>

#include "compress/calibrate/importance.h"
#include "compress/factorize/factorize_layer.h"
#include "compress/stored_table.h"
#include "compress/torch_bridge.h"

namespace llmq {
namespace {

// Enough to rank ranks: the errors are a few percent above those of the full effort, alike for all.
constexpr int kIterations = 6;
constexpr int kSweeps = 0;

// 1/2 sum_ij g_i^2 E_ij^2 x_j^2; without gradients every output counts the same.
double SecondOrderLoss(const at::Tensor& error, const ChannelStatistics& statistics) {
  const at::Tensor of_rows =
      at::mv(error.square(), statistics.input.to(error.device()));  // [d_out]
  if (!statistics.gradient.defined()) return 0.5 * of_rows.sum(at::kDouble).item<double>();
  return 0.5 * at::dot(of_rows, statistics.gradient.to(error.device())).item<double>();
}

std::vector<int64_t> Ranks(const RankRange& range) {
  std::vector<int64_t> ranks;
  for (const int64_t wanted : {range.middle / 2, range.middle, 2 * range.middle}) {
    const int64_t possible = std::clamp<int64_t>(wanted, 1, range.largest);
    if (ranks.empty() || possible > ranks.back()) ranks.push_back(possible);
  }
  if (ranks.size() == 1) ranks.insert(ranks.begin(), std::max<int64_t>(1, ranks[0] / 2));
  return ranks;
}

}  // namespace

LossCurve MeasureLossCurve(const TensorView& weight, const ChannelStatistics& statistics,
                           const RankRange& range, uint64_t seed, at::Device device) {
  ExpectFinite(weight);
  const at::NoGradGuard no_grad;
  const at::Tensor matrix = ToTorch(weight).to(device);  // [d_out, d_in]
  const PathSettings settings{.method = InitMethod::kAnneal,
                              .iterations = kIterations,
                              .sweeps = kSweeps,
                              .seed = MixSeed(seed, weight.name),
                              .importance = ImportanceOf(statistics)};
  LossCurve curve;
  for (const int64_t at_rank : Ranks(range)) {
    const PathFactors path = FactorizePath(matrix, at_rank, settings, {});
    curve.ranks.push_back(at_rank);
    curve.losses.push_back(SecondOrderLoss(matrix - Reconstruct({path}, device), statistics));
  }
  return curve;
}

}  // namespace llmq
