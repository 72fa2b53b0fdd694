#include "compress/train/teacher.h"

#include <algorithm>
#include <tuple>

#include "compress/train/load_frame.h"
#include "compress/train/precision.h"

namespace llmq {
namespace {

at::Tensor Kept(const at::Tensor& x) { return x.to(at::kCPU, at::kBFloat16); }

}  // namespace

Answers Ask(const TrainableModel& model, const Teacher& teacher, const at::Tensor& tokens,
            TrainPrecision precision) {
  const at::NoGradGuard no_grad;
  const AutocastGuard autocast(precision, tokens.device());
  ForwardResult result = model.Forward(teacher.frame, teacher.linears, tokens);
  return {std::move(result.logits), {}, std::move(result.hidden)};
}

TopAnswers AskForTop(const Checkpoint& checkpoint, const TrainableModel& model,
                     const at::Tensor& tokens, int64_t k, at::Device device, WorkerPool& workers,
                     const std::function<bool(int64_t)>& progress) {
  const int64_t sequences = tokens.size(0);
  const FrameWeights before = LoadBeforeBlocks(checkpoint, device);
  std::vector<at::Tensor> activations(static_cast<size_t>(sequences));  // [1, T, hidden] bf16
  const auto for_each = [&](const std::function<void(at::Tensor&, int64_t)>& work) {
    workers.Run(sequences, [&](int64_t i) {
      const at::NoGradGuard no_grad;
      work(activations[static_cast<size_t>(i)], i);
    });
  };
  for_each([&](at::Tensor& x, int64_t i) {
    x = Kept(model.Embed(before, tokens.narrow(0, i, 1).to(device)));
  });
  for (int64_t layer = 0; layer < model.num_blocks(); ++layer) {
    const Teacher block = LoadBlock(checkpoint, layer, device);
    for_each([&](at::Tensor& x, int64_t) {
      x = Kept(model.Block(layer, block.frame, block.linears, x.to(device, at::kFloat)));
    });
    if (!progress(layer + 1)) return {};
  }
  const FrameWeights after = LoadAfterBlocks(checkpoint, device);
  const int64_t kept = std::min(k, after.head.size(0));
  TopAnswers top{at::empty({sequences, tokens.size(1), kept}, at::kInt),
                 at::empty({sequences, tokens.size(1), kept}, at::kFloat)};
  for_each([&](at::Tensor& x, int64_t i) {
    const at::Tensor logits = model.Logits(after, x.to(device, at::kFloat));
    const auto [log_p, indices] = at::log_softmax(logits, -1).topk(kept);  // [1, T, k]
    top.tokens.narrow(0, i, 1).copy_(indices);
    top.log_p.narrow(0, i, 1).copy_(log_p);
    x = at::Tensor();
  });
  return top;
}

}  // namespace llmq
