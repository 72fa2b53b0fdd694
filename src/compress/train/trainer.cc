#include "compress/train/trainer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "compress/train/micro_batch.h"
#include "llmq/error.h"

namespace llmq {
namespace {

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

Trainer::Trainer(const TrainableModel& model, const TrainOptions& options, const Teacher& teacher,
                 Student& student, DataLoader& data, WorkerPool& workers)
    : model_(model),
      options_(options),
      teacher_(teacher),
      student_(student),
      data_(data),
      workers_(workers),
      total_steps_(CeilDivide(options.tokens, options.batch_sequences * options.sequence_tokens)) {}

int64_t Trainer::trained_tokens() const {
  return step() * options_.batch_sequences * options_.sequence_tokens;
}

double Trainer::LearningRate(int64_t step) const {
  const double warmup = std::max(1.0, options_.warmup_share * static_cast<double>(total_steps_));
  const double done = static_cast<double>(step);
  if (done + 1 < warmup) return options_.learning_rate * (done + 1) / warmup;
  const double rest = std::max(1.0, static_cast<double>(total_steps_) - warmup);
  const double progress = std::clamp((done + 1 - warmup) / rest, 0.0, 1.0);
  return options_.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

void Trainer::ExpectFinite(double loss) const {
  if (std::isfinite(loss)) return;
  throw Error(ErrorCode::kFactorizationFailed,
              fmt::format("training step {}: expected a finite loss, found {}", step() + 1, loss),
              "Use a lower --train-lr, or --train-tokens 0");
}

double Trainer::Step() {
  const at::Device device = student_.parameters().front().value.device();
  const at::Tensor batch = data_.Batch(step()).to(device);  // [B, T]
  const size_t leaves = student_.leaves().size();
  const int64_t per_micro = MicroBatchSequences(options_);
  const int64_t micro_batches = CeilDivide(options_.batch_sequences, per_micro);

  // Waves of as many micro-batches as there are workers bound the memory; sums always go left to
  // right.
  LossGradients sum;
  for (int64_t first = 0; first < micro_batches; first += workers_.size()) {
    std::vector<LossGradients> wave(
        static_cast<size_t>(std::min<int64_t>(workers_.size(), micro_batches - first)));
    workers_.Run(static_cast<int64_t>(wave.size()), [&](int64_t i) {
      const int64_t begin = (first + i) * per_micro;
      const int64_t count = std::min(per_micro, options_.batch_sequences - begin);
      const double share =
          static_cast<double>(count) / static_cast<double>(options_.batch_sequences);
      wave[static_cast<size_t>(i)] = DifferentiateLoss(
          model_, teacher_, student_, batch.narrow(0, begin, count), options_, share);
    });
    for (const LossGradients& micro : wave) sum.loss += micro.loss;
    sum.gradients.resize(leaves);
    const bool last = first + workers_.size() >= micro_batches;
    if (last) ExpectFinite(sum.loss);
    const UpdateStep update{LearningRate(step()), step() + 1, options_.surrogate,
                            options_.scale_rate};
    workers_.Run(static_cast<int64_t>(leaves), [&](int64_t i) {
      const auto leaf = static_cast<size_t>(i);
      at::Tensor& total = sum.gradients[leaf];
      for (LossGradients& micro : wave) {
        at::Tensor& gradient = micro.gradients[leaf];
        total = total.defined() ? total.add_(gradient) : gradient;
      }
      if (last) student_.MoveLeaf(leaf, total, update);  // while the sum is in a core's cache
    });
  }
  losses_.push_back(sum.loss);
  return sum.loss;
}

}  // namespace llmq
