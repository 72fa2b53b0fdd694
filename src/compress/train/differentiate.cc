#include "compress/train/differentiate.h"

#include <memory>
#include <utility>

#include "compress/train/distill_loss.h"
#include "compress/train/precision.h"

namespace llmq {
namespace {

at::Tensor Leaf(const at::Tensor& value) { return value.detach().requires_grad_(true); }

// One micro-batch on its way down and up again.
class Differentiation {
 public:
  Differentiation(const TrainableModel& model, const Student& student, const TrainOptions& options,
                  double share)
      : model_(model), options_(options), share_(share) {
    // This worker's graphs end in leaves of its own that share the student's memory.
    for (const at::Tensor& leaf : student.leaves()) leaves_.push_back(Leaf(leaf));
    frame_ = student.Frame(leaves_);
    linears_ = student.Linears(leaves_);
    result_.gradients.resize(leaves_.size());
  }

  LossGradients Run(const Answers& answers, const at::Tensor& tokens) {
    const bool compares_hidden = options_.hidden_weight != 0 && !answers.hidden.empty();
    Forward(tokens);
    at::Tensor upstream = LogitGradient(answers);
    for (int64_t layer = model_.num_blocks() - 1; layer >= 0; --layer) {
      const auto at = static_cast<size_t>(layer);
      upstream =
          BlockGradient(layer, compares_hidden ? answers.hidden[at] : at::Tensor(), upstream);
    }
    return std::move(result_);
  }

 private:
  bool keeps_graphs() const {
    return options_.gradient_checkpointing != GradientCheckpointing::kOn;
  }

  at::Tensor RunBlock(int64_t layer, const at::Tensor& input) const {
    const AutocastGuard autocast(options_.precision, input.device());
    return model_.Block(layer, frame_, *linears_, input);
  }

  // [B, T] -> inputs_[i] and, if graphs are kept, outputs_[i] of each block, [B, T, hidden].
  void Forward(const at::Tensor& tokens) {
    const at::AutoGradMode grad_mode(keeps_graphs());
    inputs_.push_back(Leaf(model_.Embed(frame_, tokens)));
    for (int64_t layer = 0; layer < model_.num_blocks(); ++layer) {
      const at::Tensor output = RunBlock(layer, inputs_.back());
      if (keeps_graphs()) outputs_.push_back(output);
      inputs_.push_back(Leaf(output));
    }
  }

  // Adds to loss and gradients; returns the gradient by `input`. Undefined in `upstream`: 1.
  at::Tensor Backward(const std::vector<at::Tensor>& outputs,
                      const std::vector<at::Tensor>& upstream, const at::Tensor& input) {
    std::vector<at::Tensor> wanted = leaves_;
    wanted.push_back(input);
    std::vector<at::Tensor> found =
        torch::autograd::grad(outputs, wanted, upstream, /*retain_graph=*/std::nullopt,
                              /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < leaves_.size(); ++i) {  // each leaf belongs to one block
      if (found[i].defined()) result_.gradients[i] = std::move(found[i]);
    }
    return std::move(found.back());
  }

  at::Tensor LogitGradient(const Answers& answers) {
    const at::Tensor input = std::exchange(inputs_.back(), at::Tensor());
    inputs_.pop_back();
    at::Tensor logits;  // [B, T, vocab]
    {
      const AutocastGuard autocast(options_.precision, input.device());
      logits = model_.Logits(frame_, input);
    }
    const at::Tensor loss = (answers.logits.defined() ? LogitLoss(answers.logits, logits)
                                                      : TopLogitLoss(answers.top, logits)) *
                            share_;
    result_.loss += loss.item<double>();
    return Backward({loss}, {at::Tensor()}, input);
  }

  // `upstream`: by the block's output. Returns that by its input. Undefined in `teacher_hidden`:
  // not compared.
  at::Tensor BlockGradient(int64_t layer, const at::Tensor& teacher_hidden,
                           const at::Tensor& upstream) {
    const at::Tensor input = std::exchange(inputs_.back(), at::Tensor());
    inputs_.pop_back();
    at::Tensor output;
    if (keeps_graphs()) {
      output = std::exchange(outputs_.back(), at::Tensor());
      outputs_.pop_back();
    } else {
      output = RunBlock(layer, input);
    }
    if (!teacher_hidden.defined()) return Backward({output}, {upstream}, input);
    const at::Tensor loss = HiddenLoss(teacher_hidden, output) * (options_.hidden_weight * share_);
    result_.loss += loss.item<double>();
    return Backward({output, loss}, {upstream, at::Tensor()}, input);
  }

  const TrainableModel& model_;
  const TrainOptions& options_;
  double share_;
  std::vector<at::Tensor> leaves_;
  FrameWeights frame_;
  std::unique_ptr<LinearSet> linears_;
  std::vector<at::Tensor> inputs_;   // of each block, then of Logits
  std::vector<at::Tensor> outputs_;  // of each block, at the end of its graph
  LossGradients result_;
};

}  // namespace

LossGradients DifferentiateLoss(const TrainableModel& model, const Answers& answers,
                                const Student& student, const at::Tensor& tokens,
                                const TrainOptions& options, double share) {
  return Differentiation(model, student, options, share).Run(answers, tokens);
}

}  // namespace llmq
