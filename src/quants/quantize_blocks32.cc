// Plain types and blocks of 32 values: one scale from the largest value, no search.
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "quants/blocks.h"
#include "quants/quantize_blocks.h"

namespace llmq {
namespace {

// d and what values are multiplied with to become codes.
struct BlockScale {
  float d, inverse;

  explicit BlockScale(float scale) : d(scale), inverse(scale != 0.0f ? 1.0f / scale : 0.0f) {}

  // A scale so small or so large that it has no inverse: ggml's cast of the resulting infinities
  // and NaN gives codes of 0 on x86.
  bool HasCodes() const { return std::isfinite(d) && std::isfinite(inverse); }
};

float ElementOfLargestMagnitude(const float x[kBlock32]) {
  float magnitude = 0.0f, element = 0.0f;
  for (int j = 0; j < kBlock32; ++j) {
    if (magnitude < std::fabs(x[j])) {
      magnitude = std::fabs(x[j]);
      element = x[j];
    }
  }
  return element;
}

struct Range {
  float minimum = std::numeric_limits<float>::max();
  float maximum = std::numeric_limits<float>::lowest();

  explicit Range(const float x[kBlock32]) {
    for (int j = 0; j < kBlock32; ++j) {
      minimum = x[j] < minimum ? x[j] : minimum;
      maximum = x[j] > maximum ? x[j] : maximum;
    }
  }
};

// min(largest, (x - minimum) * inverse + offset), cut to a whole number.
void CodesOf(const float x[kBlock32], BlockScale scale, float minimum, float offset, int largest,
             uint8_t codes[kBlock32]) {
  if (!scale.HasCodes()) {
    std::memset(codes, 0, kBlock32);
    return;
  }
  for (int j = 0; j < kBlock32; ++j) {
    const int code = static_cast<int>((x[j] - minimum) * scale.inverse + offset);
    codes[j] = static_cast<uint8_t>(code < largest ? code : largest);
  }
}

void PackNibbles(const uint8_t codes[kBlock32], uint8_t qs[16]) {
  for (int j = 0; j < 16; ++j) {
    qs[j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
  }
}

void PackHighBits(const uint8_t codes[kBlock32], uint8_t qh[4]) {
  uint32_t bits = 0;
  for (int j = 0; j < kBlock32; ++j) bits |= static_cast<uint32_t>(codes[j] >> 4 & 1) << j;
  std::memcpy(qh, &bits, sizeof(bits));
}

void Quantize(const float* x, BlockQ4_0& block) {
  const BlockScale scale(ElementOfLargestMagnitude(x) / -8.0f);
  uint8_t codes[kBlock32];
  CodesOf(x, scale, 0.0f, 8.5f, 15, codes);
  block.d = FloatToHalf(scale.d);
  PackNibbles(codes, block.qs);
}

void Quantize(const float* x, BlockQ4_1& block) {
  const Range range(x);
  const BlockScale scale((range.maximum - range.minimum) / 15.0f);
  uint8_t codes[kBlock32];
  CodesOf(x, scale, range.minimum, 0.5f, 15, codes);
  block.d = FloatToHalf(scale.d);
  block.m = FloatToHalf(range.minimum);
  PackNibbles(codes, block.qs);
}

void Quantize(const float* x, BlockQ5_0& block) {
  const BlockScale scale(ElementOfLargestMagnitude(x) / -16.0f);
  uint8_t codes[kBlock32];
  CodesOf(x, scale, 0.0f, 16.5f, 31, codes);
  block.d = FloatToHalf(scale.d);
  PackNibbles(codes, block.qs);
  PackHighBits(codes, block.qh);
}

void Quantize(const float* x, BlockQ5_1& block) {
  const Range range(x);
  const BlockScale scale((range.maximum - range.minimum) / 31.0f);
  uint8_t codes[kBlock32];
  // ggml does not limit the code here; it keeps 5 bits, and rounding never reaches 32.
  CodesOf(x, scale, range.minimum, 0.5f, 255, codes);
  block.d = FloatToHalf(scale.d);
  block.m = FloatToHalf(range.minimum);
  PackNibbles(codes, block.qs);
  PackHighBits(codes, block.qh);
}

// Half away from zero, as roundf. Precondition: |x| < 2^31. Vectorises where std::round does not.
int RoundHalfAway(float x) {
  const int whole = static_cast<int>(x);
  const float rest = x - static_cast<float>(whole);
  return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

void Quantize(const float* x, BlockQ8_0& block) {
  float magnitude = 0.0f;
  for (int j = 0; j < kBlock32; ++j) {
    magnitude = magnitude > std::fabs(x[j]) ? magnitude : std::fabs(x[j]);
  }
  const BlockScale scale(magnitude / 127.0f);
  block.d = FloatToHalf(scale.d);
  std::memset(block.qs, 0, sizeof(block.qs));
  if (!scale.HasCodes()) return;
  for (int j = 0; j < kBlock32; ++j) {
    block.qs[j] = static_cast<int8_t>(RoundHalfAway(x[j] * scale.inverse));
  }
}

template <typename Block>
void QuantizeAll(const float* values, int64_t blocks, std::byte* out) {
  for (int64_t i = 0; i < blocks; ++i) {
    Block block;
    Quantize(values + i * kBlock32, block);
    std::memcpy(out + i * static_cast<int64_t>(sizeof(Block)), &block, sizeof(Block));
  }
}

template <uint16_t (*kConvert)(float)>
void ConvertAll(const float* values, int64_t count, std::byte* out) {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t half = kConvert(values[i]);
    std::memcpy(out + 2 * i, &half, sizeof(half));
  }
}

}  // namespace

void QuantizeSmallBlocks(GgmlType type, const float* values, int64_t blocks, std::byte* out) {
  switch (type) {
    case GgmlType::kF32:
      std::memcpy(out, values, static_cast<size_t>(blocks) * sizeof(float));
      return;
    case GgmlType::kF16: return ConvertAll<FloatToHalf>(values, blocks, out);
    case GgmlType::kBF16: return ConvertAll<FloatToBf16>(values, blocks, out);
    case GgmlType::kQ4_0: return QuantizeAll<BlockQ4_0>(values, blocks, out);
    case GgmlType::kQ4_1: return QuantizeAll<BlockQ4_1>(values, blocks, out);
    case GgmlType::kQ5_0: return QuantizeAll<BlockQ5_0>(values, blocks, out);
    case GgmlType::kQ5_1: return QuantizeAll<BlockQ5_1>(values, blocks, out);
    default: return QuantizeAll<BlockQ8_0>(values, blocks, out);
  }
}

}  // namespace llmq
