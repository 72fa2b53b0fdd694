// Grouped rows: error bounds that follow from the definition, odd widths, zeros, and exact bytes.
#include "llmq/group_quant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace llmq {
namespace {

std::vector<float> RoundTrip(const GroupQuantShape& shape, const std::vector<float>& values) {
  std::vector<std::byte> bytes(static_cast<size_t>(GroupQuantBytes(shape)));
  QuantizeGroups(shape, values, bytes);
  std::vector<float> out(values.size());
  for (int64_t row = 0; row < shape.rows; ++row) {
    DequantizeGroupRow(shape, bytes, row, std::span(out).subspan(row * shape.cols, shape.cols));
  }
  return out;
}

TEST(GroupQuant, EveryErrorIsAtMostHalfAStep) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const int bits : {8, 4}) {
    for (const int64_t cols : {1, 31, 32, 33, 64, 65, 127, 512}) {
      const GroupQuantShape shape{3, cols, bits};
      std::vector<float> values(static_cast<size_t>(3 * cols));
      for (float& value : values) value = normal(random);
      const std::vector<float> back = RoundTrip(shape, values);
      for (int64_t begin = 0; begin < 3 * cols; ++begin) {
        const int64_t col = begin % cols / GroupSize(bits) * GroupSize(bits);
        const int64_t group = begin / cols * cols + col;
        const int64_t end = std::min(group + GroupSize(bits), (begin / cols + 1) * cols);
        float largest = 0;
        for (int64_t i = group; i < end; ++i) largest = std::max(largest, std::fabs(values[i]));
        const float step = largest / (bits == 8 ? 127.0f : 7.0f);
        // Half a step, and what rounding the scale to fp16 (2^-11 relative) moves the largest
        // value.
        EXPECT_LE(std::fabs(back[begin] - values[begin]), 0.5f * step + largest * 0x1p-11f)
            << bits << " " << cols;
      }
    }
  }
}

TEST(GroupQuant, ZerosStayZeroAndExtremesSurvive) {
  const GroupQuantShape shape{1, 64, 8};
  std::vector<float> values(64, 0.0f);
  EXPECT_EQ(RoundTrip(shape, values), values);
  values[5] = 1e-12f;  // the scale underflows to zero
  EXPECT_EQ(RoundTrip(shape, values)[5], 0.0f);
  values[5] = -65504.0f;
  EXPECT_NEAR(RoundTrip(shape, values)[5], -65504.0f, 64.0f);
}

TEST(GroupQuant, BytesPerRow) {
  EXPECT_EQ(GroupQuantRowBytes({1, 512, 8}), 512 + 16);
  EXPECT_EQ(GroupQuantRowBytes({1, 512, 4}), 256 + 32);
  EXPECT_EQ(GroupQuantRowBytes({1, 65, 8}), 66 + 4);
  EXPECT_EQ(GroupQuantRowBytes({1, 33, 4}), 18 + 4);
}

TEST(GroupQuant, FourBitCodesSitLowHalfFirst) {
  std::vector<float> values(32, 0.0f);
  values[0] = 7.0f;
  values[1] = -7.0f;
  std::vector<std::byte> bytes(18);
  QuantizeGroups({1, 32, 4}, values, bytes);
  EXPECT_EQ(static_cast<int>(bytes[0]), 15 | 1 << 4);  // 7 + 8, -7 + 8
  EXPECT_EQ(static_cast<int>(bytes[17]), 0x3c);        // scale 1.0
}

}  // namespace
}  // namespace llmq
