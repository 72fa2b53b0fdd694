#include "compress/train/trainer.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "compress/train/micro_batch.h"
#include "compress/train/schedule.h"

namespace llmq {
namespace {

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

Trainer::Trainer(const TrainableModel& model, const TrainOptions& options, Teaching teaching,
                 Student& student, DataLoader& data, WorkerPool& workers)
    : model_(model),
      options_(options),
      teaching_(std::move(teaching)),
      student_(student),
      data_(data),
      workers_(workers),
      total_steps_(CeilDivide(options.tokens, options.batch_sequences * options.sequence_tokens)) {}

int64_t Trainer::trained_tokens() const {
  return step() * options_.batch_sequences * options_.sequence_tokens;
}

double Trainer::Step() {
  const at::Device device = student_.parameters().front().value.device();
  const at::Tensor batch = data_.Batch(step()).to(device);  // [B, T]
  const int64_t per_micro = MicroBatchSequences(options_);
  const UpdateStep update{
      options_.learning_rate * ScheduledShare(options_.warmup_share, step(), total_steps_),
      step() + 1, options_.surrogate, options_.scale_rate};
  const auto differentiate = [&](int64_t part) {
    const int64_t begin = part * per_micro;
    const int64_t count = std::min(per_micro, options_.batch_sequences - begin);
    const at::Tensor tokens = batch.narrow(0, begin, count);
    const double share = static_cast<double>(count) / static_cast<double>(options_.batch_sequences);
    const Answers answers = teaching_(step() * options_.batch_sequences + begin, tokens);
    return DifferentiateLoss(model_, answers, student_, tokens, options_, share);
  };
  const auto move = [&](size_t leaf, const at::Tensor& gradient) {
    student_.MoveLeaf(leaf, gradient, update);
  };
  losses_.push_back(RunBatchStep(workers_, {.name = fmt::format("training step {}", step() + 1),
                                            .advice = "Use a lower --train-lr, or --train-tokens 0",
                                            .parts = MicroBatches(options_),
                                            .leaves = student_.leaves().size(),
                                            .differentiate = differentiate,
                                            .move = move}));
  return losses_.back();
}

}  // namespace llmq
