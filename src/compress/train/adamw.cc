#include "compress/train/adamw.h"

namespace llmq {

void MoveByAdamW(const Parameter& parameter, const at::Tensor& gradient, const UpdateStep& step) {
  const at::Tensor number =
      at::full({}, static_cast<double>(step.number), gradient.options().dtype(at::kFloat));
  const double rate = parameter.rate * (parameter.is_latent ? 1 : step.scale_rate);
  at::_fused_adamw_({parameter.value}, {gradient.contiguous()}, {parameter.first_moment},
                    {parameter.second_moment}, /*max_exp_avg_sqs=*/{}, {number},
                    step.learning_rate * rate, kAdamBeta1, kAdamBeta2, /*weight_decay=*/0,
                    kAdamEpsilon, /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace llmq
