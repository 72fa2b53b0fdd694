// How inputs become 8-bit numbers: the definition, shared by the kernels that are plain code.
//
// Before: a block of inputs in float32. After: products of integers. The vectorised sign kernels
// round in vectors of their own, to the same bits.
#ifndef LLMQ_KERNELS_INT8_BLOCK_H_
#define LLMQ_KERNELS_INT8_BLOCK_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace llmq {

// Rounds value(0) .. value(n - 1), f32, to out [n] and returns the scale: input = scale * out.
template <typename Value>
float RoundToInt8(int64_t n, const Value& value, int8_t* out) {
  uint32_t largest = 0;  // of |x|, compared as integers: a NaN is larger than all
  for (int64_t j = 0; j < n; ++j) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(value(j)) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  const float limit = std::bit_cast<float>(largest);
  const bool finite = largest < 0x7f800000u;
  const bool zero = limit < 0x1p-100f;  // nothing, and 127 / limit would overflow
  const float inverse = finite && !zero ? 127.0f / limit : 0.0f;
  for (int64_t j = 0; j < n; ++j)
    out[j] = static_cast<int8_t>(std::nearbyintf(inverse > 0 ? value(j) * inverse : 0.0f));
  // What is not finite stays so: the scale becomes NaN.
  return zero ? 0.0f : finite ? limit / 127.0f : std::bit_cast<float>(0x7fc00000u);
}

}  // namespace llmq

#endif  // LLMQ_KERNELS_INT8_BLOCK_H_
