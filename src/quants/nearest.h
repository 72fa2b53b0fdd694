// float -> nearest integer as ggml rounds: half to even, through the mantissa of a sum.
#ifndef LLMQ_QUANTS_NEAREST_H_
#define LLMQ_QUANTS_NEAREST_H_

#include <cstdint>

namespace llmq {

// 1.5 * 2^23: the last bit of a float of this size is worth 1.
inline constexpr float kRoundingShift = 12582912.0f;
inline constexpr int32_t kMantissaMask = 0x007fffff;
inline constexpr int32_t kMantissaZero = 0x00400000;      // the mantissa of kRoundingShift
inline constexpr int32_t kRoundingExponent = 0x4b000000;  // its exponent bits

// Defined for every float and part of the format beyond |value| < 2^22: larger values wrap, NaN
// and infinity become 0 and -2^22, and blocks with overflowing scales hold the outcome.
// Always inlined: this is compiled for several instruction sets, which must not share a symbol.
[[gnu::always_inline]] inline int32_t NearestInt(float value) {
  return (__builtin_bit_cast(int32_t, value + kRoundingShift) & kMantissaMask) - kMantissaZero;
}

}  // namespace llmq

#endif  // LLMQ_QUANTS_NEAREST_H_
