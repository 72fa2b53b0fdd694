// How the learning rate rises and falls over a training.
//
// Before: trainer and block_trainer count their steps. After: adamw takes the rate.
#ifndef LLMQ_COMPRESS_TRAIN_SCHEDULE_H_
#define LLMQ_COMPRESS_TRAIN_SCHEDULE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace llmq {

// Of the peak, at `step` of `total` (from 0): linear over `warmup_share` of the steps, then half a
// cosine that would reach zero one step after the last.
inline double ScheduledShare(double warmup_share, int64_t step, int64_t total) {
  const double warmup = std::max(1.0, warmup_share * static_cast<double>(total));
  const double done = static_cast<double>(step) + 1;
  if (done < warmup) return done / warmup;
  const double rest = std::max(1.0, static_cast<double>(total) + 1 - warmup);
  const double progress = std::clamp((done - warmup) / rest, 0.0, 1.0);
  return 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_SCHEDULE_H_
