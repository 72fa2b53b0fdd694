// How much every channel of every matrix counts, measured on text: mean squares of what goes in and
// of the loss's derivative by what comes out (the diagonal Kronecker factors of the Fisher matrix).
//
// Before: pipeline cuts calibration sequences from the training text. After: importance.h makes
// weights for factorize/ of them, loss_curve.h a prediction of the loss for rank allocation. One
// block's weights are in memory at a time; between blocks, the activations in bfloat16.
#ifndef LLMQ_COMPRESS_CALIBRATE_CHANNEL_STATISTICS_H_
#define LLMQ_COMPRESS_CALIBRATE_CHANNEL_STATISTICS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "compress/train/trainable_model.h"
#include "compress/worker_pool.h"
#include "llmq/checkpoint.h"

namespace llmq {

// An expert sees only some of the tokens. So that input times gradient, whatever its share, is what
// an error costs per token of the text, the one mean is over all tokens and the other over its own.
struct ChannelStatistics {
  at::Tensor input;  // [d_in] f32, mean over all tokens of x^2, 0 for those that it did not see
  at::Tensor
      gradient;        // [d_out] f32, mean over the tokens it saw of g^2, where g is the derivative
                       // of the tokens' summed loss; undefined in the forward-only variant
  int64_t tokens = 0;  // that it saw
};

struct CalibrationSettings {
  bool gradients = true;  // false: one pass forward, and nothing kept but the current activations
  uint64_t seed = 0;      // of the labels that the model draws from its own distribution
  at::Device device = at::kCPU;
};

// tokens [N, T] i64 on the CPU, T as `model` was made for -> one per linear of BlockLinears.
// `progress` hears of every block passed, 2 * num_blocks of them with gradients, and returns false
// to stop: then the result is empty. Throws Error{kFactorizationFailed} for weights that are not
// finite. The result does not depend on the number of workers.
std::vector<ChannelStatistics> CollectStatistics(const Checkpoint& checkpoint,
                                                 const TrainableModel& model,
                                                 const at::Tensor& tokens,
                                                 const CalibrationSettings& settings,
                                                 WorkerPool& workers,
                                                 const std::function<bool(int64_t)>& progress);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_CALIBRATE_CHANNEL_STATISTICS_H_
