#include "compress/train/gradient_sum.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "llmq/error.h"

namespace llmq {

double RunBatchStep(WorkerPool& workers, const BatchStep& step) {
  LossGradients sum;
  sum.gradients.resize(step.leaves);
  for (int64_t first = 0; first < step.parts; first += workers.size()) {
    std::vector<LossGradients> wave(
        static_cast<size_t>(std::min<int64_t>(workers.size(), step.parts - first)));
    workers.Run(static_cast<int64_t>(wave.size()),
                [&](int64_t i) { wave[static_cast<size_t>(i)] = step.differentiate(first + i); });
    for (const LossGradients& part : wave) sum.loss += part.loss;
    const bool last = first + workers.size() >= step.parts;
    if (last && !std::isfinite(sum.loss)) {
      throw Error(ErrorCode::kFactorizationFailed,
                  fmt::format("{}: expected a finite loss, found {}", step.name, sum.loss),
                  step.advice);
    }
    workers.Run(static_cast<int64_t>(step.leaves), [&](int64_t i) {
      const auto leaf = static_cast<size_t>(i);
      at::Tensor& total = sum.gradients[leaf];
      for (const LossGradients& part : wave) {
        const at::Tensor& gradient = part.gradients[leaf];
        if (gradient.defined()) total = total.defined() ? total.add_(gradient) : gradient;
      }
      if (last && total.defined()) step.move(leaf, total);  // while the sum is in a core's cache
    });
  }
  return sum.loss;
}

}  // namespace llmq
