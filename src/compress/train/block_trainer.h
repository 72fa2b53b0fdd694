// Training of one block by itself: its output is to be the original's, on what the compressed
// blocks before it hand on.
//
// Before: block_stage has the activations of one block's text. After: the block's dense weights
// have adapted (error absorption), or its signs, scales and norms have learned. As in trainer,
// derivatives per sequence on the workers and sums in a fixed order: the result does not depend on
// their number.
#ifndef LLMQ_COMPRESS_TRAIN_BLOCK_TRAINER_H_
#define LLMQ_COMPRESS_TRAIN_BLOCK_TRAINER_H_

#include <functional>
#include <optional>
#include <vector>

#include "compress/train/block_weights.h"
#include "compress/train/gradient_sum.h"
#include "compress/train/student.h"
#include "compress/worker_pool.h"

namespace llmq {

// Per sequence [1, T, hidden] bf16 on the CPU.
using Activations = std::vector<at::Tensor>;

// What moves in a block.
class BlockLearner {
 public:
  virtual ~BlockLearner() = default;
  virtual const std::vector<at::Tensor>& leaves() const = 0;
  // x [1, T, hidden] -> [1, T, hidden] with `leaves` in the place of leaves(). Thread-safe.
  virtual at::Tensor Forward(const TrainableModel& model, const std::vector<at::Tensor>& leaves,
                             const at::Tensor& x) const = 0;
  virtual void Move(size_t leaf, const at::Tensor& gradient, const UpdateStep& step) = 0;
};

// Dense matrices, norms and biases. A matrix's step is a share of its size.
class DenseBlock : public BlockLearner {
 public:
  // Changes the values of `weights`' tensors, but for matrices that `fixed` names by projection.
  DenseBlock(const BlockWeights& weights, const std::vector<bool>& fixed);
  const std::vector<at::Tensor>& leaves() const override { return leaves_; }
  at::Tensor Forward(const TrainableModel& model, const std::vector<at::Tensor>& leaves,
                     const at::Tensor& x) const override;
  void Move(size_t leaf, const at::Tensor& gradient, const UpdateStep& step) override;

 private:
  template <typename Visit>
  void VisitMoving(BlockWeights& weights, const Visit& visit) const;

  BlockWeights weights_;
  std::vector<bool> fixed_;
  std::vector<Parameter> parameters_;  // of the leaves
  std::vector<at::Tensor> leaves_;
};

// A student of one layer.
class SignBlock : public BlockLearner {
 public:
  explicit SignBlock(Student& student) : student_(student) {}
  const std::vector<at::Tensor>& leaves() const override { return student_.leaves(); }
  at::Tensor Forward(const TrainableModel& model, const std::vector<at::Tensor>& leaves,
                     const at::Tensor& x) const override;
  void Move(size_t leaf, const at::Tensor& gradient, const UpdateStep& step) override;

 private:
  Student& student_;
};

struct BlockTraining {
  int64_t passes = 1;  // over all sequences
  int64_t batch_sequences = 1;
  double learning_rate = 0;  // peak of the cosine
  double scale_rate = 1;
  Surrogate surrogate = Surrogate::kSmoothSign;
  uint64_t seed = 0;  // of the sequences' order
};

class BlockTrainer {
 public:
  // Borrows everything. `model` is of one layer; one target per input.
  BlockTrainer(const TrainableModel& model, const Activations& inputs, const Activations& targets,
               at::Device device, WorkerPool& workers)
      : model_(model), inputs_(inputs), targets_(targets), device_(device), workers_(workers) {}

  int64_t Steps(const BlockTraining& training) const;
  // The mean over the last pass of the sequences' losses, each before the step it was part of:
  // mean((y - t)^2) / mean(t^2). nullopt if `keep_going`, asked before every step, said no. Throws
  // Error{kFactorizationFailed} if a loss is not finite.
  std::optional<double> Train(BlockLearner& block, const BlockTraining& training,
                              const std::function<bool()>& keep_going) const;
  // The same without a step.
  double Loss(const BlockLearner& block) const;

 private:
  int64_t SequencesPerStep(const BlockTraining& training) const;
  int64_t StepsPerPass(const BlockTraining& training) const;
  at::Tensor LossOf(const BlockLearner& block, const std::vector<at::Tensor>& leaves,
                    int64_t sequence) const;
  double Step(BlockLearner& block, const at::Tensor& batch, const UpdateStep& update) const;
  LossGradients Differentiate(const BlockLearner& block, int64_t sequence, double share) const;

  const TrainableModel& model_;
  const Activations& inputs_;
  const Activations& targets_;
  at::Device device_;
  WorkerPool& workers_;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_BLOCK_TRAINER_H_
