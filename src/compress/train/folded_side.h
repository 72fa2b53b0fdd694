// One side of one path as a step multiplies with it: diag(row) sign(latent) diag(column).
//
// Before: trainer has the gradient by this product, summed over the batch. After: latent and scales
// have moved, and the product is that of the next step. The gradients by the factors are read off
// the gradient by the product once per step, so the graph of a batch holds no scales and no signs.
#ifndef LLMQ_COMPRESS_TRAIN_FOLDED_SIDE_H_
#define LLMQ_COMPRESS_TRAIN_FOLDED_SIDE_H_

#include "compress/train/adamw.h"

namespace llmq {

// Borrows the parameters.
struct FoldedSide {
  Parameter* latent = nullptr;  // [r, d]: V or U
  Parameter* column = nullptr;  // [d]: g or h
  Parameter* row = nullptr;     // [r]: l; nullptr: the side of U has none
};

// product = diag(row) sign(latent) diag(column), [r, d] f32 on the device.
void Fold(const FoldedSide& side, const at::Tensor& product);

// One step. `gradient` [r, d]: of the loss by the product.
void UpdateFolded(const FoldedSide& side, const at::Tensor& gradient, const UpdateStep& step,
                  const at::Tensor& product);

// The same with LibTorch's operators, on any device: what UpdateFolded does where the latents are
// not in the CPU's memory.
void UpdateFoldedByOperators(const FoldedSide& side, const at::Tensor& gradient,
                             const UpdateStep& step, const at::Tensor& product);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_FOLDED_SIDE_H_
