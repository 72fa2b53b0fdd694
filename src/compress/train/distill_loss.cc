#include "compress/train/distill_loss.h"

namespace llmq {
namespace {

// A block whose output is zero everywhere must not divide by zero.
constexpr double kSmallestMeanSquare = 1e-12;

}  // namespace

at::Tensor DistillLoss(const ForwardResult& teacher, const ForwardResult& student,
                       double hidden_weight) {
  const at::Tensor log_t = at::log_softmax(teacher.logits, -1);  // [B, T, vocab]
  const at::Tensor log_s = at::log_softmax(student.logits, -1);  // [B, T, vocab]
  const double tokens = static_cast<double>(log_t.numel() / log_t.size(-1));
  at::Tensor loss = at::kl_div(log_s, log_t, at::Reduction::Sum, /*log_target=*/true) / tokens;
  if (hidden_weight == 0) return loss;
  for (size_t layer = 0; layer < teacher.hidden.size(); ++layer) {
    const at::Tensor& t = teacher.hidden[layer];
    const at::Tensor scale = t.square().mean().clamp_min(kSmallestMeanSquare);
    loss = loss + (student.hidden[layer] - t).square().mean() / scale * hidden_weight;
  }
  return loss;
}

}  // namespace llmq
