// The arithmetic of folded_side on the CPU: one pass over a row of latents, their moments and their
// gradients, where LibTorch's operators would make a dozen.
//
// Before and after: folded_side. The bits do not depend on the instruction set: the same
// operations in the same order, four or eight at a time, without fused multiply-adds.
#ifndef LLMQ_COMPRESS_TRAIN_LATENT_LOOP_H_
#define LLMQ_COMPRESS_TRAIN_LATENT_LOOP_H_

#include <cstdint>

#include "compress/train/update_step.h"

namespace llmq {

// AdamW's, of one step.
struct LatentStep {
  float rate = 0;               // learning rate over the first moment's correction
  float second_correction = 1;  // 1 / sqrt(1 - beta2^step)
  Surrogate surrogate = Surrogate::kSmoothSign;
};

LatentStep MakeLatentStep(const UpdateStep& step);

// Row k of an [r, d] matrix whose product is row * sign(latent_j) * column_j. All [d] f32.
struct LatentRow {
  int64_t d = 0;
  float* latent = nullptr;
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  const float* gradient = nullptr;  // by the product
  const float* column = nullptr;
  float* by_column = nullptr;  // the row's share of the gradient by `column` is added
  float row = 1;
};

// Moves the latents. Returns the gradient by `row`.
float MoveLatents(const LatentRow& row, const LatentStep& step);

// product_j = row * sign(latent_j) * column_j
void FoldRow(const float* latent, const float* column, float row, float* product, int64_t d);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_LATENT_LOOP_H_
