// A block's dense linears that can be asked afterwards what went through them.
//
// Before: a block runs forward on one sequence. After: channel_statistics and block_stage sum up
// what they saw.
#ifndef LLMQ_COMPRESS_CALIBRATE_WATCHED_LINEARS_H_
#define LLMQ_COMPRESS_CALIBRATE_WATCHED_LINEARS_H_

#include <vector>

#include "compress/train/trainable_model.h"

namespace llmq {

// Dense linears that remember what went in and what came out.
class WatchedLinears : public LinearSet {
 public:
  WatchedLinears(const DenseLinears& linears, const LinearRange& block)
      : linears_(linears), block_(block), inputs_(block.size()), outputs_(block.size()) {}

  at::Tensor Apply(size_t index, const at::Tensor& x) const override {
    const at::Tensor y = linears_.Apply(index, x);
    inputs_[index - block_.begin] = x.detach();
    outputs_[index - block_.begin] = y;
    return y;
  }

  const std::vector<at::Tensor>& inputs() const { return inputs_; }    // [1, T, d_in] each
  const std::vector<at::Tensor>& outputs() const { return outputs_; }  // [1, T, d_out] each

 private:
  const DenseLinears& linears_;
  LinearRange block_;
  mutable std::vector<at::Tensor> inputs_;
  mutable std::vector<at::Tensor> outputs_;
};

inline at::Tensor SumOfSquares(const at::Tensor& rows) {  // [1, T, d] -> [d] f64
  return rows.flatten(0, 1).square().sum(0, false, at::kDouble);
}

// Per sequence and linear of a block, [d] f64.
using SequenceSums = std::vector<std::vector<at::Tensor>>;

// Over all sequences, always from the first to the last, and their `tokens` in all: [d] f32 on the
// CPU.
inline at::Tensor MeanOverTokens(const SequenceSums& sums, size_t linear, int64_t tokens) {
  at::Tensor sum = at::zeros_like(sums.front()[linear]);
  for (const std::vector<at::Tensor>& of_sequence : sums) sum.add_(of_sequence[linear]);
  return (sum / static_cast<double>(tokens)).to(at::kCPU, at::kFloat);
}

}  // namespace llmq

#endif  // LLMQ_COMPRESS_CALIBRATE_WATCHED_LINEARS_H_
