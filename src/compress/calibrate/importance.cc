#include "compress/calibrate/importance.h"

namespace llmq {
namespace {

constexpr double kShrink = 0.3;  // toward the mean

at::Tensor Shrunk(const at::Tensor& mean_squares) {  // [d], or undefined
  if (!mean_squares.defined()) return {};
  const double mean = mean_squares.mean().item<double>();
  if (!(mean > 0)) return {};
  return mean_squares / mean * (1 - kShrink) + kShrink;
}

}  // namespace

Importance ImportanceOf(const ChannelStatistics& statistics) {
  return {.out = Shrunk(statistics.gradient), .in = Shrunk(statistics.input)};
}

}  // namespace llmq
