// Weights in the memory of a GPU.
//
// Before: matrices as the CPU's kernels have them. After: parameters of cuda/compressed_kernel.h.
#ifndef LLMQ_CUDA_DEVICE_MATRIX_H_
#define LLMQ_CUDA_DEVICE_MATRIX_H_

#include <cstdint>
#include <span>
#include <vector>

#include "cuda/gpu.h"
#include "kernels/kernels.h"

namespace llmq::cuda {

// One path of a compressed matrix on the host.
struct HostPath {
  SignTiles v;        // [r, d_in]
  SignTiles u;        // [d_out, r]
  const uint16_t* g;  // [d_in] fp16
  const uint16_t* h;  // [d_out] fp16
  const uint16_t* l;  // [r] fp16
};

// A compressed matrix, copied to the device. Borrows the GPU.
class DeviceMatrix {
 public:
  DeviceMatrix() = default;
  DeviceMatrix(Gpu& gpu, std::span<const HostPath> paths);

  int d_in() const { return d_in_; }
  int d_out() const { return params_.d_out; }
  // Without bias and output.
  const MatrixParams& params() const { return params_; }
  int64_t bytes() const { return bytes_; }  // of signs and scales

 private:
  DeviceMemory memory_;
  MatrixParams params_ = {};
  int d_in_ = 0;
  int64_t bytes_ = 0;
};

// One launch for matrices with the same input: their latents get places. Tokens, input, outputs,
// partials and the meeting are still to be set.
CompressedParams CallOf(std::span<const DeviceMatrix* const> matrices);
// Floats that CompressedParams::partials needs.
int64_t PartialFloats(const CompressedParams& params, int tokens);

// The signs of a call's first stages and of its second stages, as ranges to be prefetched.
std::vector<PrefetchSpan> FirstStageSpans(const CompressedParams& params);
std::vector<PrefetchSpan> SecondStageSpans(const CompressedParams& params);
// As much as there is room for: half of the cache, so that nothing is gone before it is read.
void AddPrefetch(const Gpu& gpu, std::span<const PrefetchSpan> spans, CompressedParams& params);

}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_DEVICE_MATRIX_H_
