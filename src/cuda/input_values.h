// Inputs of a layer on their way from memory into registers: plain, normalised or gated.
//
// Before: device memory. After: compressed_kernel.h and step_kernels.h. Formulas as in
// kernels_scalar.cc; the sum of squares is added in another order.
#ifndef LLMQ_CUDA_INPUT_VALUES_H_
#define LLMQ_CUDA_INPUT_VALUES_H_

#include "cuda/device_language.h"
#include "cuda/kernel_params.h"

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

// x[i] = from[first + i] for i in [0, 8), zero from `cols` on. Rows are aligned to 16 bytes if
// their length is a multiple of 8.
LLMQ_DEVICE void LoadEight(const float* from, int cols, int first, float (&x)[8]) {
  if (cols % 8 == 0) {
    if (first >= cols) return;
    const float4 low = *reinterpret_cast<const float4*>(from + first);
    const float4 high = *reinterpret_cast<const float4*>(from + first + 4);
    x[0] = low.x;
    x[1] = low.y;
    x[2] = low.z;
    x[3] = low.w;
    x[4] = high.x;
    x[5] = high.y;
    x[6] = high.z;
    x[7] = high.w;
    return;
  }
  for (int i = 0; i < 8; ++i) x[i] = first + i < cols ? from[first + i] : 0.0f;
}

LLMQ_DEVICE float Silu(float x) { return x / (1.0f + expf(-x)); }

// x[i] = input of token t at column first + i. x is zero before.
LLMQ_DEVICE void InputValues(const InputParams& input, int cols, int t, int first, float inverse,
                             float (&x)[8]) {
  const int64_t row = int64_t{t} * cols;
  LoadEight(input.x + row, cols, first, x);
  if (input.form == InputForm::kPlain) return;
  float other[8] = {};
  if (input.form == InputForm::kNormed) {
    LoadEight(input.norm, cols, first, other);
    LLMQ_UNROLL
    for (int i = 0; i < 8; ++i) x[i] = other[i] * (x[i] * inverse);
  } else {
    LoadEight(input.up + row, cols, first, other);
    LLMQ_UNROLL
    for (int i = 0; i < 8; ++i) x[i] = Silu(x[i]) * other[i];
  }
}

// The inputs of one token as those of a call with one token.
LLMQ_DEVICE InputParams InputOfToken(InputParams input, int cols, int t) {
  input.x += int64_t{t} * cols;
  if (input.form == InputForm::kGated) input.up += int64_t{t} * cols;
  return input;
}

// x[i] *= scale[first + i], where columns are. scale [cols] fp16, aligned to 16 bytes and padded to
// a multiple of 8.
LLMQ_DEVICE void ScaleValues(const uint16_t* scale, int cols, int first, float (&x)[8]) {
  if (first >= cols) return;
  const uint4 eight = *reinterpret_cast<const uint4*>(scale + first);
  const uint32_t pairs[4] = {eight.x, eight.y, eight.z, eight.w};
  LLMQ_UNROLL
  for (int i = 0; i < 8; ++i) {
    x[i] = FromHalf(static_cast<uint16_t>(pairs[i / 2] >> (i % 2 * 16))) * x[i];
  }
}

// inverse[t] = 1 / rms of x [T, cols], in shared memory; all threads of a block together. Nothing
// if the input is not normalised. squares [T, kWarps] is scratch.
template <int T>
LLMQ_DEVICE void InverseRms(const InputParams& input, int cols, int tokens, float* squares,
                            float* inverse) {
  if (input.form != InputForm::kNormed) {
    // Read, but not used.
    if (threadIdx.x < T) inverse[threadIdx.x] = 1.0f;
    __syncthreads();
    return;
  }
  for (int t = 0; t < tokens; ++t) {
    float sum = 0;
    for (int first = static_cast<int>(threadIdx.x) * 8; first < cols; first += kThreads * 8) {
      float x[8] = {};
      LoadEight(input.x + int64_t{t} * cols, cols, first, x);
      LLMQ_UNROLL
      for (int i = 0; i < 8; ++i) sum += x[i] * x[i];
    }
    sum = WarpSum(sum);
    if (Lane() == 0) squares[t * kWarps + WarpIndex()] = sum;
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) < tokens) {
    const float* of_token = squares + threadIdx.x * kWarps;
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += of_token[w];
    const double mean = static_cast<double>(sum) / cols;
    inverse[threadIdx.x] = static_cast<float>(1.0 / sqrt(mean + input.eps));
  }
  __syncthreads();
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_INPUT_VALUES_H_
