// The three scale vectors of a path from floats of any size to fp16.
//
// Before this: formats/packed_linear has read bf16 or f32 scales, which reach far beyond fp16.
// After this: core packs them. Only the products h_i l_k g_j count, so a power of two may move from
// one vector to another, which changes no product.
#ifndef LLMQ_FORMATS_HALF_SCALES_H_
#define LLMQ_FORMATS_HALF_SCALES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llmq {

struct HalfScales {
  std::vector<uint16_t> g;  // [d_in] fp16
  std::vector<uint16_t> h;  // [d_out] fp16
  std::vector<uint16_t> l;  // [r] fp16
  // The largest |stored - exact| / |exact| of a scale that is not 0, after the move.
  double worst_relative_error = 0;
};

// g [d_in], h [d_out], l [r], finite. Vectors that fit fp16's normal range stay untouched;
// otherwise powers of two move so that they do, or come as close as the values allow. nullopt if no
// choice keeps all of them below fp16's largest value.
std::optional<HalfScales> ToHalfScales(std::span<const float> g, std::span<const float> h,
                                       std::span<const float> l);

}  // namespace llmq

#endif  // LLMQ_FORMATS_HALF_SCALES_H_
