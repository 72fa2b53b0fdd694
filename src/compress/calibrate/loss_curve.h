// What a matrix costs the model at a given rank, measured by factorizing it in a hurry.
//
// Before: channel_statistics. After: llmq/rank_allocation. The loss is the second-order term of the
// Fisher matrix with diagonal Kronecker factors, half the sum over i, j of g_i^2 x_j^2 (W -
// W')_ij^2, in nats per token, so that curves of different matrices can be added. It overestimates
// large errors.
#ifndef LLMQ_COMPRESS_CALIBRATE_LOSS_CURVE_H_
#define LLMQ_COMPRESS_CALIBRATE_LOSS_CURVE_H_

#include "compress/calibrate/channel_statistics.h"
#include "llmq/rank_allocation.h"
#include "llmq/tensor.h"

namespace llmq {

struct RankRange {
  int64_t middle = 1;
  int64_t largest = 1;
};

// At half, once and twice the middle rank, as far as the largest allows. Deterministic for a seed.
// Throws Error{kFactorizationFailed} naming weight.name if it is not finite.
LossCurve MeasureLossCurve(const TensorView& weight, const ChannelStatistics& statistics,
                           const RankRange& range, uint64_t seed, at::Device device);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_CALIBRATE_LOSS_CURVE_H_
