#include "compress/calibrate/channel_statistics.h"

#include <span>

#include "compress/calibrate/block_statistics.h"
#include "compress/calibrate/watched_linears.h"
#include "compress/train/load_frame.h"

namespace llmq {
namespace {

// A few tokens have gradients many times those of the rest; beyond this quantile of a sequence's
// norms they are shortened, so that they do not decide alone.
constexpr double kClippedAbove = 0.99;

at::Tensor Clipped(const at::Tensor& gradient) {                      // [.., d]
  const at::Tensor norms = gradient.norm(2, {-1}, /*keepdim=*/true);  // [.., 1]
  const at::Tensor limit = norms.flatten().quantile(kClippedAbove);
  return gradient * (limit / norms.clamp_min(1e-30)).clamp_max(1);
}

class Collector {
 public:
  Collector(const Checkpoint& checkpoint, const TrainableModel& model, const at::Tensor& tokens,
            const CalibrationSettings& settings, WorkerPool& workers)
      : checkpoint_(checkpoint),
        model_(model),
        tokens_(tokens),
        settings_(settings),
        workers_(workers),
        sequences_(tokens.size(0)),
        statistics_(BlockLinears(checkpoint.config()).size()) {}

  std::vector<ChannelStatistics> Run(const std::function<bool(int64_t)>& progress) {
    Embed(LoadBeforeBlocks(checkpoint_, settings_.device));
    int64_t done = 0;
    for (int64_t layer = 0; layer < model_.num_blocks(); ++layer) {
      Forward(layer);
      if (!progress(++done)) return {};
    }
    if (!settings_.gradients) return std::move(statistics_);
    Differentiate(LoadAfterBlocks(checkpoint_, settings_.device));
    for (int64_t layer = model_.num_blocks(); layer-- > 0;) {
      Backward(layer);
      if (!progress(++done)) return {};
    }
    return std::move(statistics_);
  }

 private:
  at::Tensor Sequence(const std::vector<at::Tensor>& all, int64_t i) const {
    return all[static_cast<size_t>(i)].to(settings_.device, at::kFloat);
  }
  static at::Tensor Kept(const at::Tensor& x) { return x.detach().to(at::kCPU, at::kBFloat16); }

  void Embed(const FrameWeights& frame) {
    const at::NoGradGuard no_grad;
    activations_.resize(static_cast<size_t>(sequences_));
    for (int64_t i = 0; i < sequences_; ++i) {
      activations_[static_cast<size_t>(i)] =
          Kept(model_.Embed(frame, tokens_.narrow(0, i, 1).to(settings_.device)));
    }
  }

  std::span<ChannelStatistics> Block(int64_t layer) {
    return std::span(statistics_).subspan(Range(layer).begin, Range(layer).size());
  }

  void Forward(int64_t layer) {
    const Teacher block = LoadBlock(checkpoint_, layer, settings_.device);
    if (settings_.gradients) block_inputs_.push_back(activations_);
    SequenceSums of_sequences(static_cast<size_t>(sequences_));
    workers_.Run(sequences_, [&](int64_t i) {
      const at::NoGradGuard no_grad;
      const WatchedLinears linears(block.linears, Range(layer));
      at::Tensor& x = activations_[static_cast<size_t>(i)];
      x = Kept(model_.Block(layer, block.frame, linears, Sequence(activations_, i)));
      for (const at::Tensor& input : linears.inputs()) {
        of_sequences[static_cast<size_t>(i)].push_back(SumOfSquares(input));
      }
    });
    StoreInputs(checkpoint_.config(), layer, TotalsOf(of_sequences), tokens_.numel(), Block(layer));
  }

  // activations_ become the loss's derivatives by the last block's output. The labels are drawn
  // from the model's own distribution: then mean squares of derivatives are the Fisher matrix's.
  void Differentiate(const FrameWeights& frame) {
    workers_.Run(sequences_, [&](int64_t i) {
      const at::Tensor x = Sequence(activations_, i).requires_grad_(true);
      const at::Tensor log_p =
          at::log_softmax(model_.Logits(frame, x).flatten(0, 1), -1);  // [T, V]
      at::Generator generator =
          at::make_generator<at::CPUGeneratorImpl>(settings_.seed + static_cast<uint64_t>(i));
      const at::Tensor labels =
          at::multinomial(log_p.detach().exp().cpu(), 1, false, generator).to(settings_.device);
      const at::Tensor loss = -log_p.gather(1, labels).sum();
      activations_[static_cast<size_t>(i)] = Kept(torch::autograd::grad({loss}, {x})[0]);
    });
  }

  void Backward(int64_t layer) {
    const Teacher block = LoadBlock(checkpoint_, layer, settings_.device);
    const std::vector<at::Tensor>& inputs = block_inputs_.back();
    SequenceSums of_sequences(static_cast<size_t>(sequences_));
    workers_.Run(sequences_, [&](int64_t i) {
      const WatchedLinears linears(block.linears, Range(layer));
      const at::Tensor x = Sequence(inputs, i).requires_grad_(true);
      const at::Tensor y = model_.Block(layer, block.frame, linears, x);
      std::vector<at::Tensor> wanted = {x};
      for (const at::Tensor& output : linears.outputs()) {
        if (output.defined()) wanted.push_back(output);
      }
      const std::vector<at::Tensor> gradients =
          torch::autograd::grad({y}, wanted, {Sequence(activations_, i)});
      size_t next = 1;
      for (const at::Tensor& output : linears.outputs()) {
        of_sequences[static_cast<size_t>(i)].push_back(
            output.defined() ? SumOfSquares(Clipped(gradients[next++])) : SquareSum());
      }
      activations_[static_cast<size_t>(i)] = Kept(gradients.front());
    });
    StoreGradients(checkpoint_.config(), layer, TotalsOf(of_sequences), Block(layer));
    block_inputs_.pop_back();
  }

  LinearRange Range(int64_t layer) const { return LinearsOfBlock(checkpoint_.config(), layer); }

  const Checkpoint& checkpoint_;
  const TrainableModel& model_;
  const at::Tensor& tokens_;
  const CalibrationSettings& settings_;
  WorkerPool& workers_;
  int64_t sequences_;
  std::vector<ChannelStatistics> statistics_;
  std::vector<at::Tensor> activations_;  // per sequence, [1, T, hidden] bf16; then its derivative
  std::vector<std::vector<at::Tensor>> block_inputs_;  // activations_ before each block
};

}  // namespace

std::vector<ChannelStatistics> CollectStatistics(const Checkpoint& checkpoint,
                                                 const TrainableModel& model,
                                                 const at::Tensor& tokens,
                                                 const CalibrationSettings& settings,
                                                 WorkerPool& workers,
                                                 const std::function<bool(int64_t)>& progress) {
  return Collector(checkpoint, model, tokens, settings, workers).Run(progress);
}

}  // namespace llmq
