// What the updates of one training step have in common, and the constants of the method.
#ifndef LLMQ_COMPRESS_TRAIN_UPDATE_STEP_H_
#define LLMQ_COMPRESS_TRAIN_UPDATE_STEP_H_

#include <cstdint>

#include "llmq/compress.h"

namespace llmq {

inline constexpr double kAdamBeta1 = 0.9;
inline constexpr double kAdamBeta2 = 0.999;
inline constexpr double kAdamEpsilon = 1e-8;
inline constexpr double kSmoothSignSharpness = 100;  // k of tanh(k x): sign_ste.h

struct UpdateStep {
  double learning_rate = 0;
  int64_t number = 1;  // counts from 1
  Surrogate surrogate = Surrogate::kSmoothSign;
  double scale_rate = 1;  // TrainOptions::scale_rate
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_UPDATE_STEP_H_
