// The compressed linears in LibTorch: what the sign kernels of the runtime compute, differentiable.
//
// Before: trainer turns latents into sign matrices. After: trainable_model calls Apply. Equal to
// ReconstructDense of core times x up to rounding; tests hold them together.
#ifndef LLMQ_COMPRESS_TRAIN_LITTLEBIT_MODULE_H_
#define LLMQ_COMPRESS_TRAIN_LITTLEBIT_MODULE_H_

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

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_LITTLEBIT_MODULE_H_
