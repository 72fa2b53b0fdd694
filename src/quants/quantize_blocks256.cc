// Blocks of 256 values (Q2_K to Q6_K): groups are fitted (fit_groups.h), their scales become small
// whole numbers under one fp16 scale per block, and codes are rounded again to what those say.
//
// Casts to a byte keep the low eight bits where ggml's do: scales that overflow make strange codes,
// and the same ones.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "quants/blocks.h"
#include "quants/nearest.h"
#include "quants/quantize_blocks.h"

namespace llmq {
namespace {

// Two blocks are fitted at a time: 16 groups of 32 fill the widest vectors.
constexpr int kBatch = 2;

// The fitted groups of one block.
template <int kGroups>
struct Fitted {
  static constexpr int kGroup = kBlock256 / kGroups;
  const float* values;  // [kGroups, kGroup] f32
  uint8_t* codes;       // [kGroups, kGroup]
  const float* scales;  // [kGroups] f32
  const float* minimums;

  // Codes of one group for the scale and minimum that the block will hold. A scale of 0 keeps the
  // codes of the fit, as in ggml: their bytes are part of the block.
  void RoundAgain(const GroupFits& fits, int group, float scale, float minimum, int low,
                  int high) const {
    if (scale == 0.0f) return;
    fits.round_codes(values + group * kGroup, kGroup, minimum, scale, low, high,
                     codes + group * kGroup);
  }
  float Largest(const float* numbers) const {  // and at least 0; NaN is passed over
    float largest = 0.0f;
    for (int group = 0; group < kGroups; ++group) {
      largest = numbers[group] > largest ? numbers[group] : largest;
    }
    return largest;
  }
  float LargestMagnitudeScale() const {  // the first of equals, signed
    float largest = 0.0f;
    for (int group = 0; group < kGroups; ++group) {
      if (std::fabs(scales[group]) > std::fabs(largest)) largest = scales[group];
    }
    return largest;
  }
};

uint8_t NearestByte(float value) { return static_cast<uint8_t>(NearestInt(value)); }

// Per 128 codes of 2 bits 32 bytes.
void PackPairsOfBits(const uint8_t codes[kBlock256], uint8_t qs[64]) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* from = codes + half * 128;
    for (int l = 0; l < 32; ++l) {
      qs[half * 32 + l] = static_cast<uint8_t>((from[l] & 3) | (from[l + 32] & 3) << 2 |
                                               (from[l + 64] & 3) << 4 | (from[l + 96] & 3) << 6);
    }
  }
}

void Pack(const GroupFits& fits, const Fitted<16>& fit, BlockQ2_K& block) {
  const float largest_scale = fit.Largest(fit.scales);
  const float largest_minimum = fit.Largest(fit.minimums);
  const float inverse_scale = 15.0f / largest_scale;
  const float inverse_minimum = 15.0f / largest_minimum;
  for (int group = 0; group < 16; ++group) {
    const int scale = largest_scale > 0 ? NearestByte(inverse_scale * fit.scales[group]) : 0;
    const int minimum =
        largest_minimum > 0 ? NearestByte(inverse_minimum * fit.minimums[group]) : 0;
    block.scales[group] = static_cast<uint8_t>(scale | minimum << 4);
  }
  block.d = FloatToHalf(largest_scale / 15.0f);
  block.dmin = FloatToHalf(largest_minimum / 15.0f);
  for (int group = 0; group < 16; ++group) {
    const float scale = HalfToFloat(block.d) * static_cast<float>(block.scales[group] & 15);
    const float minimum = HalfToFloat(block.dmin) * static_cast<float>(block.scales[group] >> 4);
    fit.RoundAgain(fits, group, scale, minimum, 0, 3);
  }
  PackPairsOfBits(fit.codes, block.qs);
}

// -> 6-bit scales, -32 to 31.
void ScalesQ3(const Fitted<16>& fit, float inverse, int8_t scales[16]) {
  for (int group = 0; group < 16; ++group) {
    const int8_t nearest = static_cast<int8_t>(NearestByte(inverse * fit.scales[group]));
    scales[group] = std::clamp<int8_t>(nearest, -32, 31);
  }
}

void PackScalesQ3(const int8_t scales[16], uint8_t packed[12]) {
  for (int group = 0; group < 16; ++group) {
    const int bits = scales[group] + 32;
    packed[group % 8] |= static_cast<uint8_t>((bits & 15) << (group / 8 * 4));
    packed[8 + group % 4] |= static_cast<uint8_t>((bits >> 4) << (group / 4 * 2));
  }
}

void Pack(const GroupFits& fits, const Fitted<16>& fit, BlockQ3_K& block) {
  std::memset(&block, 0, sizeof(block));
  const float largest = fit.LargestMagnitudeScale();
  int8_t scales[16] = {};
  if (largest != 0.0f) {
    const float inverse = -32.0f / largest;
    ScalesQ3(fit, inverse, scales);
    PackScalesQ3(scales, block.scales);
    block.d = FloatToHalf(1.0f / inverse);
  }
  for (int group = 0; group < 16; ++group) {
    const float scale = HalfToFloat(block.d) * static_cast<float>(scales[group]);
    fit.RoundAgain(fits, group, scale, 0.0f, -4, 3);
  }
  for (int i = 0; i < kBlock256; ++i) {
    block.hmask[i % 32] |= static_cast<uint8_t>((fit.codes[i] >> 2 & 1) << (i / 32));
  }
  PackPairsOfBits(fit.codes, block.qs);
}

// The 6-bit scales and minimums of 8 groups in 12 bytes.
void PackScaleMins(const uint8_t scales[8], const uint8_t minimums[8], uint8_t packed[12]) {
  for (int j = 0; j < 4; ++j) {
    const int scale = scales[j + 4];
    const int minimum = minimums[j + 4];
    packed[j] = static_cast<uint8_t>(scales[j] | scale >> 4 << 6);
    packed[j + 4] = static_cast<uint8_t>(minimums[j] | minimum >> 4 << 6);
    packed[j + 8] = static_cast<uint8_t>((scale & 15) | (minimum & 15) << 4);
  }
}

// Scales and final codes of Q4_K and Q5_K.
template <typename Block>
void ScaleAndRound(const GroupFits& fits, const Fitted<8>& fit, int largest_code, Block& block) {
  const float largest_scale = fit.Largest(fit.scales);
  const float largest_minimum = fit.Largest(fit.minimums);
  const float inverse_scale = largest_scale > 0 ? 63.0f / largest_scale : 0.0f;
  const float inverse_minimum = largest_minimum > 0 ? 63.0f / largest_minimum : 0.0f;
  uint8_t scales[8], minimums[8];
  for (int group = 0; group < 8; ++group) {
    scales[group] = std::min<uint8_t>(63, NearestByte(inverse_scale * fit.scales[group]));
    minimums[group] = std::min<uint8_t>(63, NearestByte(inverse_minimum * fit.minimums[group]));
  }
  PackScaleMins(scales, minimums, block.scales);
  block.d = FloatToHalf(largest_scale / 63.0f);
  block.dmin = FloatToHalf(largest_minimum / 63.0f);
  for (int group = 0; group < 8; ++group) {
    const float scale = HalfToFloat(block.d) * static_cast<float>(scales[group]);
    const float minimum = HalfToFloat(block.dmin) * static_cast<float>(minimums[group]);
    fit.RoundAgain(fits, group, scale, minimum, 0, largest_code);
  }
}

// Low nibbles, per 64 codes 32 bytes.
void PackLowNibbles(const uint8_t codes[kBlock256], uint8_t qs[128]) {
  for (int quarter = 0; quarter < 4; ++quarter) {
    const uint8_t* from = codes + quarter * 64;
    for (int l = 0; l < 32; ++l) {
      qs[quarter * 32 + l] = static_cast<uint8_t>((from[l] & 15) | (from[l + 32] & 15) << 4);
    }
  }
}

void Pack(const GroupFits& fits, const Fitted<8>& fit, BlockQ4_K& block) {
  ScaleAndRound(fits, fit, 15, block);
  PackLowNibbles(fit.codes, block.qs);
}

void Pack(const GroupFits& fits, const Fitted<8>& fit, BlockQ5_K& block) {
  ScaleAndRound(fits, fit, 31, block);
  PackLowNibbles(fit.codes, block.qs);
  std::memset(block.qh, 0, sizeof(block.qh));
  for (int i = 0; i < kBlock256; ++i) {
    block.qh[i % 32] |= static_cast<uint8_t>(fit.codes[i] >> 4 << (i / 32));
  }
}

void PackCodesQ6(const uint8_t codes[kBlock256], BlockQ6_K& block) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* from = codes + half * 128;
    for (int l = 0; l < 32; ++l) {
      const int q1 = from[l], q2 = from[l + 32], q3 = from[l + 64], q4 = from[l + 96];
      block.ql[half * 64 + l] = static_cast<uint8_t>((q1 & 15) | (q3 & 15) << 4);
      block.ql[half * 64 + 32 + l] = static_cast<uint8_t>((q2 & 15) | (q4 & 15) << 4);
      block.qh[half * 32 + l] =
          static_cast<uint8_t>(q1 >> 4 | q2 >> 4 << 2 | q3 >> 4 << 4 | q4 >> 4 << 6);
    }
  }
}

void Pack(const GroupFits& fits, const Fitted<16>& fit, BlockQ6_K& block) {
  constexpr float kEmptyBlock = 1e-15f;
  const float largest = fit.LargestMagnitudeScale();
  if (std::fabs(largest) < kEmptyBlock) {
    std::memset(&block, 0, sizeof(block));
    return;
  }
  const float inverse = -128.0f / largest;
  block.d = FloatToHalf(1.0f / inverse);
  for (int group = 0; group < 16; ++group) {
    block.scales[group] =
        static_cast<int8_t>(std::min(127, NearestInt(inverse * fit.scales[group])));
    const float scale = HalfToFloat(block.d) * static_cast<float>(block.scales[group]);
    fit.RoundAgain(fits, group, scale, 0.0f, -32, 31);
  }
  PackCodesQ6(fit.codes, block);
}

// fit(values, groups, codes, scales, minimums)
template <typename Block, int kGroups, typename Fit>
void FitAndPack(const GroupFits& fits, Fit fit, const float* values, int64_t blocks,
                std::byte* out) {
  uint8_t codes[kBatch * kBlock256];
  float scales[kBatch * kGroups];
  float minimums[kBatch * kGroups];
  for (int64_t first = 0; first < blocks; first += kBatch) {
    const int count = static_cast<int>(std::min<int64_t>(kBatch, blocks - first));
    fit(values, count * kGroups, codes, scales, minimums);
    for (int i = 0; i < count; ++i) {
      Block block;
      const Fitted<kGroups> fitted = {values, codes + i * kBlock256, scales + i * kGroups,
                                      minimums + i * kGroups};
      Pack(fits, fitted, block);
      std::memcpy(out, &block, sizeof(Block));
      values += kBlock256;
      out += sizeof(Block);
    }
  }
}

// Gives a fit without minimums the form of one with.
auto WithoutMinimums(FitScale fit) {
  return [fit](const float* values, int groups, uint8_t* codes, float* scales, float*) {
    fit(values, groups, codes, scales);
  };
}

}  // namespace

void QuantizeBlocks256(GgmlType type, const GroupFits& fits, const float* values, int64_t blocks,
                       std::byte* out) {
  switch (type) {
    case GgmlType::kQ2_K: return FitAndPack<BlockQ2_K, 16>(fits, fits.q2, values, blocks, out);
    case GgmlType::kQ3_K:
      return FitAndPack<BlockQ3_K, 16>(fits, WithoutMinimums(fits.q3), values, blocks, out);
    case GgmlType::kQ4_K: return FitAndPack<BlockQ4_K, 8>(fits, fits.q4, values, blocks, out);
    case GgmlType::kQ5_K: return FitAndPack<BlockQ5_K, 8>(fits, fits.q5, values, blocks, out);
    default: return FitAndPack<BlockQ6_K, 16>(fits, WithoutMinimums(fits.q6), values, blocks, out);
  }
}

}  // namespace llmq
