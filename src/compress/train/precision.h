// In which numbers training multiplies matrices: float32, or bfloat16 through LibTorch's autocast.
//
// Before: pipeline has the user's word and the device. After: differentiate runs forward passes
// under it. Values, moments, gradients, sums and losses are float32 in either case.
#ifndef LLMQ_COMPRESS_TRAIN_PRECISION_H_
#define LLMQ_COMPRESS_TRAIN_PRECISION_H_

#include "compress/torch_headers.h"
#include "llmq/compress.h"

namespace llmq {

// kAuto becomes bfloat16 on a CUDA device of compute capability 8 and above, otherwise float32: on
// the CPU it measured faster (150 against 80 GFLOPS on a core with AVX-512 BF16 instructions).
TrainPrecision ResolvePrecision(TrainPrecision precision, at::Device device);

// While it lives, the calling thread's matrix products on `device` are in `precision`. A backward
// pass must begin outside: its products follow the types of the forward pass.
class AutocastGuard {
 public:
  AutocastGuard(TrainPrecision precision, at::Device device);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_before_;
  bool cache_before_;
  at::ScalarType type_before_;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_PRECISION_H_
