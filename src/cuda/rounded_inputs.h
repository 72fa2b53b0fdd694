// Inputs rounded to bytes, as signs are multiplied with: one scale for 256 columns.
//
// Before: cuda/input_values.h. After: compressed_kernel.h keeps them in shared memory,
// prompt_kernels.h in the device's. The arithmetic is that of the CPU's 8-bit kernels
// (kernels_scalar.cc).
#ifndef LLMQ_CUDA_ROUNDED_INPUTS_H_
#define LLMQ_CUDA_ROUNDED_INPUTS_H_

#include "cuda/device_language.h"
#include "cuda/kernel_params.h"

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

// A block of columns as kernels read it: 8 x 8 words of four inputs, then their scale and their
// sum. Word 8 i + k holds the inputs of columns 32 i + k + {0, 8, 16, 24}.
constexpr int kScaleWord = 64;
constexpr int kSumWord = 65;

// Rounds a block of inputs as Int8Prepare of kernels_scalar.cc does. Every lane brings 8 columns in
// a row, which are one byte of eight words. `to` is shared memory.
LLMQ_DEVICE void PrepareColBlock(const float (&values)[8], int32_t* to) {
  unsigned largest = 0;
  LLMQ_UNROLL
  for (int i = 0; i < 8; ++i) {
    const unsigned magnitude = FloatBits(values[i]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  largest = WarpMax(largest);
  const float limit = BitsFloat(largest);
  const bool finite = largest < 0x7f800000u;
  const bool zero = limit < 0x1p-100f;
  const float inverse = finite && !zero ? 127.0f / limit : 0.0f;
  auto* bytes = reinterpret_cast<int8_t*>(to) + Lane() / 4 * 32 + Lane() % 4;
  int sum = 0;
  LLMQ_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int rounded = inverse > 0 ? static_cast<int>(RoundToEven(values[i] * inverse)) : 0;
    bytes[i * 4] = static_cast<int8_t>(rounded);
    sum += rounded;
  }
  sum = WarpSum(sum);
  if (Lane() == 0) {
    const float scale = zero ? 0.0f : finite ? limit / 127.0f : BitsFloat(0x7fc00000u);
    to[kScaleWord] = static_cast<int32_t>(FloatBits(scale));
    to[kSumWord] = sum;
  }
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_ROUNDED_INPUTS_H_
