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

  // [.., d_in] and [.., d_out] each; undefined where no token came by.
  const std::vector<at::Tensor>& inputs() const { return inputs_; }
  const std::vector<at::Tensor>& outputs() const { return outputs_; }

 private:
  const DenseLinears& linears_;
  LinearRange block_;
  mutable std::vector<at::Tensor> inputs_;
  mutable std::vector<at::Tensor> outputs_;
};

// Of what passed through a linear.
struct SquareSum {
  at::Tensor sum;  // [d] f64; undefined: nothing did
  double tokens = 0;
};

inline SquareSum SumOfSquares(const at::Tensor& rows) {  // [.., d], or undefined
  if (!rows.defined()) return {};
  const at::Tensor flat = rows.reshape({-1, rows.size(-1)});
  return {flat.square().sum(0, false, at::kDouble), static_cast<double>(flat.size(0))};
}

// Per sequence and linear of a block.
using SequenceSums = std::vector<std::vector<SquareSum>>;

// Over all sequences, always from the first to the last, per linear.
inline std::vector<SquareSum> TotalsOf(const SequenceSums& sums) {
  std::vector<SquareSum> totals(sums.front().size());
  for (const std::vector<SquareSum>& of_sequence : sums) {
    for (size_t i = 0; i < totals.size(); ++i) {
      const auto& [sum, tokens] = of_sequence[i];
      if (!sum.defined()) continue;
      totals[i].sum = totals[i].sum.defined() ? totals[i].sum + sum : sum;
      totals[i].tokens += tokens;
    }
  }
  return totals;
}

}  // namespace llmq

#endif  // LLMQ_COMPRESS_CALIBRATE_WATCHED_LINEARS_H_
