// Grouped rows times inputs in 8 bits with NEON: a quarter of a step, 4 runs, at a time.
//
// Before: group_kernels_scalar.cc defines them.
#include <arm_neon.h>

#include "base/half.h"
#include "kernels/group_input.h"
#include "kernels/versions.h"

namespace llmq {
namespace {

constexpr int kQuarters = 4;

// Sums of neighbouring pairs of 16-bit numbers of `low`, then of `high`, in 32 bits, and of these
// once more.
int32x4_t SumFours(int16x8_t low, int16x8_t high) {
  return vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
}

// A stream of 6-bit codes, 12 bytes, as 16 signed bytes.
int8x16_t SixBits(const std::byte* stream) {
  uint8_t bytes[16] = {};
  __builtin_memcpy(bytes, stream, 12);
  const uint8x16_t all = vld1q_u8(bytes);
  // The two bytes that hold a code, and how far it is up.
  const uint8x16_t pairs = {0, 1, 0, 1, 1, 2, 2, 3, 3, 4, 3, 4, 4, 5, 5, 6};
  const int16x8_t shifts = {0, -6, -4, -2, 0, -6, -4, -2};
  const auto eight = [&](uint8_t first) {
    const uint8x16_t two = vqtbl1q_u8(all, vaddq_u8(pairs, vdupq_n_u8(first)));
    return vmovn_u16(vshlq_u16(vreinterpretq_u16_u8(two), shifts));
  };
  const uint8x16_t codes = vandq_u8(vcombine_u8(eight(0), eight(6)), vdupq_n_u8(63));
  return vsubq_s8(vreinterpretq_s8_u8(codes), vdupq_n_s8(32));
}

// Sums of the 4 runs of a quarter of a step, whose codes are all there.
template <int bits>
int32x4_t RunSums(const std::byte* codes, const GroupStep<bits>& step, int quarter) {
  const int8x16_t values = vld1q_s8(step.values + 16 * quarter);
  if constexpr (bits != 4) {
    int8x16_t w;
    if constexpr (bits == 8) {
      w = vld1q_s8(reinterpret_cast<const int8_t*>(codes));
    } else {
      w = SixBits(codes);
    }
    return SumFours(vmull_s8(vget_low_s8(w), vget_low_s8(values)), vmull_high_s8(w, values));
  } else {
    const uint8x16_t loaded = vld1q_u8(reinterpret_cast<const uint8_t*>(codes));
    const int8x16_t eight = vdupq_n_s8(8);
    const int8x16_t even = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(loaded, vdupq_n_u8(15))), eight);
    const int8x16_t odd = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(loaded, 4)), eight);
    const int8x16_t odd_values = vld1q_s8(step.values + kStep<bits> / 2 + 16 * quarter);
    const int16x8_t low = vmull_s8(vget_low_s8(even), vget_low_s8(values));
    const int16x8_t high = vmull_high_s8(even, values);
    return SumFours(vmlal_s8(low, vget_low_s8(odd), vget_low_s8(odd_values)),
                    vmlal_high_s8(high, odd, odd_values));
  }
}

// Products of the scales of 16 groups, of which `n` are there.
void Scales(const std::byte* halves, int64_t n, const float* of_input, float* scales) {
  for (int64_t g = 0; g < kScaleGroups; ++g) {
    uint16_t half = 0;
    if (g < n) __builtin_memcpy(&half, halves + 2 * g, 2);
    scales[g] = HalfToFloat(half) * of_input[g];
  }
}

float Reduce(const float32x4_t* lanes) {
  const float32x4_t four = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[1], lanes[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

template <int bits>
float DotRow(const GroupRows& w, const std::byte* row, const GroupInput<bits>& input) {
  constexpr int64_t kGroup = kGroupValues<bits>, kBytes = kStepBytes<bits>;
  const int64_t groups = (w.cols + kGroup - 1) / kGroup;
  const int64_t code_bytes = (w.cols * bits + 7) / 8;
  const std::byte* halves = row + w.row_bytes - 2 * groups;  // the scales
  float32x4_t sums[kQuarters];
  for (float32x4_t& sum : sums) sum = vdupq_n_f32(0);
  float scales[kScaleGroups];
  for (int64_t group = 0; group < groups; group += kStepGroups<bits>) {
    if (group % kScaleGroups == 0)
      Scales(halves + 2 * group, groups - group, input.scales + group, scales);
    const int64_t step = group / kStepGroups<bits>;
    const std::byte* codes = row + step * kBytes;
    std::byte last[kBytes] = {};
    if (code_bytes - step * kBytes < kBytes) {
      __builtin_memcpy(last, codes, static_cast<size_t>(code_bytes - step * kBytes));
      codes = last;
    }
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
      const float scale = scales[group % kScaleGroups + (bits == 4 ? quarter : 0)];
      const int32x4_t runs =
          RunSums<bits>(codes + quarter * (kBytes / kQuarters), input.steps[step], quarter);
      sums[quarter] = vaddq_f32(sums[quarter], vmulq_f32(vdupq_n_f32(scale), vcvtq_f32_s32(runs)));
    }
  }
  return Reduce(sums);
}

template <int bits>
void Dots(const GroupRows& w, const std::byte* prepared, int64_t begin, int64_t end,
          float* y) noexcept {
  const auto input = ViewGroupInput<bits>(prepared, w.cols);
  for (int64_t i = begin; i < end; ++i) y[i] = DotRow<bits>(w, w.bytes + i * w.row_bytes, input);
}

}  // namespace

const GroupKernels kGroupsNeon = {Dots<8>, Dots<6>, Dots<4>};

}  // namespace llmq
