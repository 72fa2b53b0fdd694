#include "compress/train/block_trainer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "compress/factorize/scales.h"
#include "compress/train/data_loader.h"
#include "compress/train/schedule.h"

namespace llmq {
namespace {

constexpr double kWarmupShare = 0.05;

}  // namespace

// ---- Dense ----

// The tensors that move, always in the same order.
template <typename Visit>
void DenseBlock::VisitMoving(BlockWeights& weights, const Visit& visit) const {
  for (size_t p = 0; p < weights.matrices.size(); ++p) {
    if (!fixed_[p]) visit(weights.matrices[p]);
    if (weights.biases[p].defined()) visit(weights.biases[p]);
  }
  for (NormTensors& norm : weights.norms) {
    if (norm.weight.defined()) visit(norm.weight);
    if (norm.bias.defined()) visit(norm.bias);
  }
}

DenseBlock::DenseBlock(const BlockWeights& weights, const std::vector<bool>& fixed)
    : weights_(weights), fixed_(fixed) {
  VisitMoving(weights_, [&](const at::Tensor& value) {
    parameters_.push_back(
        {"", value, false, RootMeanSquare(value), at::zeros_like(value), at::zeros_like(value)});
    leaves_.push_back(value);
  });
}

at::Tensor DenseBlock::Forward(const TrainableModel& model, const std::vector<at::Tensor>& leaves,
                               const at::Tensor& x) const {
  BlockWeights weights = weights_;
  size_t next = 0;
  VisitMoving(weights, [&](at::Tensor& value) { value = leaves[next++]; });
  return model.Block(0, OneBlockFrame(weights), DenseLinears(weights.matrices), x);
}

void DenseBlock::Move(size_t leaf, const at::Tensor& gradient, const UpdateStep& step) {
  const at::NoGradGuard no_grad;
  MoveByAdamW(parameters_[leaf], gradient, step);
}

// ---- Signs ----

at::Tensor SignBlock::Forward(const TrainableModel& model, const std::vector<at::Tensor>& leaves,
                              const at::Tensor& x) const {
  return model.Block(0, student_.Frame(leaves), *student_.Linears(leaves), x);
}

void SignBlock::Move(size_t leaf, const at::Tensor& gradient, const UpdateStep& step) {
  student_.MoveLeaf(leaf, gradient, step);
}

// ---- Steps ----

at::Tensor BlockTrainer::LossOf(const BlockLearner& block, const std::vector<at::Tensor>& leaves,
                                int64_t sequence) const {
  const auto i = static_cast<size_t>(sequence);
  const at::Tensor y = block.Forward(model_, leaves, inputs_[i].to(device_, at::kFloat));
  const at::Tensor target = targets_[i].to(device_, at::kFloat);
  return (y - target).square().mean() / target.square().mean().clamp_min(1e-30);
}

LossGradients BlockTrainer::Differentiate(const BlockLearner& block, int64_t sequence,
                                          double share) const {
  std::vector<at::Tensor> own;  // this worker's graph ends in leaves of its own that share memory
  for (const at::Tensor& leaf : block.leaves()) own.push_back(leaf.detach().requires_grad_(true));
  const at::Tensor loss = LossOf(block, own, sequence) * share;
  return {loss.item<double>(),
          torch::autograd::grad({loss}, own, {}, std::nullopt, /*create_graph=*/false,
                                /*allow_unused=*/true)};
}

double BlockTrainer::Step(BlockLearner& block, const at::Tensor& batch,
                          const UpdateStep& update) const {
  const auto* sequences = batch.data_ptr<int64_t>();
  const double share = 1.0 / static_cast<double>(batch.numel());
  return RunBatchStep(
      workers_,
      {.name = "block training",
       .advice = "Use --block-tokens 0",
       .parts = batch.numel(),
       .leaves = block.leaves().size(),
       .differentiate = [&](int64_t i) { return Differentiate(block, sequences[i], share); },
       .move = [&](size_t leaf, const at::Tensor& sum) { block.Move(leaf, sum, update); }});
}

int64_t BlockTrainer::SequencesPerStep(const BlockTraining& training) const {
  return std::min(training.batch_sequences, static_cast<int64_t>(inputs_.size()));
}

int64_t BlockTrainer::StepsPerPass(const BlockTraining& training) const {
  const int64_t per_step = SequencesPerStep(training);
  return (static_cast<int64_t>(inputs_.size()) + per_step - 1) / per_step;
}

int64_t BlockTrainer::Steps(const BlockTraining& training) const {
  return training.passes * StepsPerPass(training);
}

std::optional<double> BlockTrainer::Train(BlockLearner& block, const BlockTraining& training,
                                          const std::function<bool()>& keep_going) const {
  std::vector<int32_t> indices(inputs_.size());  // to the loader, sequences of one token
  std::iota(indices.begin(), indices.end(), 0);
  const int64_t per_pass = StepsPerPass(training), steps = Steps(training);
  DataLoader order(std::move(indices), 1, SequencesPerStep(training), training.seed);
  double loss = 0;
  for (int64_t step = 0; step < steps; ++step) {
    if (!keep_going()) return std::nullopt;
    if (step % per_pass == 0) loss = 0;
    const UpdateStep update{training.learning_rate * ScheduledShare(kWarmupShare, step, steps),
                            step + 1, training.surrogate, training.scale_rate};
    loss += Step(block, order.Batch(step), update) / static_cast<double>(per_pass);
  }
  return loss;
}

double BlockTrainer::Loss(const BlockLearner& block) const {
  std::vector<double> losses(inputs_.size());
  workers_.Run(static_cast<int64_t>(losses.size()), [&](int64_t i) {
    const at::NoGradGuard no_grad;
    losses[static_cast<size_t>(i)] = LossOf(block, block.leaves(), i).item<double>();
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

}  // namespace llmq
