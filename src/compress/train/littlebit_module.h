// The compressed linears in LibTorch: what the sign kernels of the runtime compute, differentiable.
//
// Before: student holds the leaves that these are made of. After: trainable_model calls Apply. Two
// forms of the same product: with the scales folded into the sign matrices (fewer passes over
// activations; signs and scales both move), and step by step (no product with a gradient's size of
// a sign matrix; only scales move). Both are equal to ReconstructDense of core times x up to
// rounding; tests hold them together.
#ifndef LLMQ_COMPRESS_TRAIN_LITTLEBIT_MODULE_H_
#define LLMQ_COMPRESS_TRAIN_LITTLEBIT_MODULE_H_

#include <utility>
#include <vector>

#include "compress/torch_headers.h"
#include "compress/train/trainable_model.h"

namespace llmq {

// One path ready to multiply with: the latents have become +1 and -1.
struct SignPath {
  at::Tensor v;  // [r, d_in], +1 or -1
  at::Tensor u;  // [r, d_out], +1 or -1
  at::Tensor g;  // [d_in]
  at::Tensor h;  // [d_out]
  at::Tensor l;  // [r]
};

// x [.., d_in] -> [.., d_out]: sum_p ((((x * g) V) * l) U^T) * h
at::Tensor ApplyLittleBit(const std::vector<SignPath>& paths, const at::Tensor& x);

class LittleBitLinears : public LinearSet {
 public:
  explicit LittleBitLinears(std::vector<std::vector<SignPath>> layers)
      : layers_(std::move(layers)) {}
  at::Tensor Apply(size_t index, const at::Tensor& x) const override;

 private:
  std::vector<std::vector<SignPath>> layers_;
};

// All paths of a linear, one below the other, as two factors: R is the sum of the paths' ranks.
struct FoldedFactors {
  at::Tensor v;  // [R, d_in]: l_k sign(V)_kj g_j
  at::Tensor u;  // [R, d_out]: sign(U)_kj h_j
};

class FoldedLinears : public LinearSet {
 public:
  explicit FoldedLinears(std::vector<FoldedFactors> layers) : layers_(std::move(layers)) {}
  at::Tensor Apply(size_t index, const at::Tensor& x) const override;

 private:
  std::vector<FoldedFactors> layers_;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_LITTLEBIT_MODULE_H_
