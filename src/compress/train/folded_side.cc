#include "compress/train/folded_side.h"

#include "compress/factorize/dual_svid.h"
#include "compress/train/latent_loop.h"
#include "compress/train/sign_ste.h"

namespace llmq {
namespace {

float RowScale(const FoldedSide& side, int64_t k) {
  return side.row == nullptr ? 1.0f : side.row->value.data_ptr<float>()[k];
}

// All latents, each row in one pass. Fills the gradients by the scales; by_column begins at zero.
void MoveLatentRows(const FoldedSide& side, const at::Tensor& gradient, const UpdateStep& step,
                    const at::Tensor& by_column, const at::Tensor& by_row) {
  const int64_t d = gradient.size(1);
  const LatentStep latent_step = MakeLatentStep(step);  // a latent's own rate is 1
  for (int64_t k = 0; k < gradient.size(0); ++k) {
    by_row.data_ptr<float>()[k] =
        MoveLatents({.d = d,
                     .latent = side.latent->value.data_ptr<float>() + k * d,
                     .first_moment = side.latent->first_moment.data_ptr<float>() + k * d,
                     .second_moment = side.latent->second_moment.data_ptr<float>() + k * d,
                     .gradient = gradient.const_data_ptr<float>() + k * d,
                     .column = side.column->value.const_data_ptr<float>(),
                     .by_column = by_column.data_ptr<float>(),
                     .row = RowScale(side, k)},
                    latent_step);
  }
}

}  // namespace

void Fold(const FoldedSide& side, const at::Tensor& product) {
  const at::Tensor &latent = side.latent->value, &column = side.column->value;
  if (!product.is_cpu()) {
    product.copy_(SignOf(latent).mul_(column));
    if (side.row != nullptr) product.mul_(side.row->value.unsqueeze(1));
    return;
  }
  const int64_t d = product.size(1);
  for (int64_t k = 0; k < product.size(0); ++k) {
    FoldRow(latent.const_data_ptr<float>() + k * d, column.const_data_ptr<float>(),
            RowScale(side, k), product.data_ptr<float>() + k * d, d);
  }
}

void UpdateFoldedByOperators(const FoldedSide& side, const at::Tensor& gradient,
                             const UpdateStep& step, const at::Tensor& product) {
  const at::Tensor& column = side.column->value;                           // [d]
  const at::Tensor by_scales = SignOf(side.latent->value).mul_(gradient);  // [r, d]
  const at::Tensor by_latent = gradient * column;                          // [r, d]
  at::Tensor by_row;                                                       // [r]
  if (side.row != nullptr) {
    const at::Tensor row = side.row->value.unsqueeze(1);  // [r, 1]
    by_row = by_scales.mv(column);                        // [r, d] . [d]
    by_scales.mul_(row);
    by_latent.mul_(row);
  }
  MultiplyBySurrogate(by_latent, side.latent->value, step.surrogate);
  MoveByAdamW(*side.latent, by_latent, step);
  MoveByAdamW(*side.column, by_scales.sum(0), step);
  if (side.row != nullptr) MoveByAdamW(*side.row, by_row, step);
  Fold(side, product);
}

void UpdateFolded(const FoldedSide& side, const at::Tensor& gradient, const UpdateStep& step,
                  const at::Tensor& product) {
  if (!gradient.is_cpu()) {
    UpdateFoldedByOperators(side, gradient, step, product);
    return;
  }
  const at::Tensor by_column = at::zeros_like(side.column->value);              // [d]
  const at::Tensor by_row = at::empty({gradient.size(0)}, gradient.options());  // [r]
  MoveLatentRows(side, gradient.contiguous(), step, by_column, by_row);
  MoveByAdamW(*side.column, by_column, step);
  if (side.row != nullptr) MoveByAdamW(*side.row, by_row, step);
  Fold(side, product);
}

}  // namespace llmq
