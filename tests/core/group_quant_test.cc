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

std::vector<float> Gaussian(std::mt19937& random, size_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

TEST(GroupQuant, EveryErrorOfEightBitsIsAtMostHalfAStep) {
  std::mt19937 random(3);
  for (const int64_t cols : {1, 31, 32, 33, 64, 65, 127, 512}) {
    const std::vector<float> values = Gaussian(random, static_cast<size_t>(3 * cols));
    const std::vector<float> back = RoundTrip({3, cols, 8}, values);
    for (int64_t begin = 0; begin < 3 * cols; ++begin) {
      const int64_t col = begin % cols / GroupSize(8) * GroupSize(8);
      const int64_t group = begin / cols * cols + col;
      const int64_t end = std::min(group + GroupSize(8), (begin / cols + 1) * cols);
      float largest = 0;
      for (int64_t i = group; i < end; ++i) largest = std::max(largest, std::fabs(values[i]));
      // Half a step, and what rounding the scale to fp16 (2^-11 relative) moves the largest value.
      EXPECT_LE(std::fabs(back[begin] - values[begin]), 0.5f * largest / 127 + largest * 0x1p-11f)
          << cols;
    }
  }
}

double SquaredError(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0;
  for (size_t i = 0; i < a.size(); ++i) error += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return error;
}

// Of one group with the scale d, in doubles.
double ErrorAt(const std::vector<float>& group, int bits, double d) {
  const double low = -std::exp2(bits - 1), high = -low - 1;
  double error = 0;
  for (const double value : group) {
    error += std::pow(value - d * std::clamp(std::nearbyint(value / d), low, high), 2);
  }
  return error;
}

TEST(GroupQuant, TheScaleIsNearTheBestThereIs) {
  std::mt19937 random(4);
  for (const int bits : {6, 4}) {
    double found = 0, best = 0, plain = 0;
    for (int round = 0; round < 60; ++round) {
      const auto size =
          static_cast<size_t>(round % 3 == 0 ? 5 : GroupSize(bits));  // short ones too
      const std::vector<float> group = Gaussian(random, size);
      found += SquaredError(group, RoundTrip({1, static_cast<int64_t>(size), bits}, group));
      double largest = 0;
      for (const float value : group) largest = std::max(largest, std::fabs(double{value}));
      const double step = largest / (std::exp2(bits - 1) - 1);
      plain += ErrorAt(group, bits, step);
      double least = HUGE_VAL;
      for (double factor = 0.6; factor < 1.3; factor += 1e-4) {
        least = std::min(
            {least, ErrorAt(group, bits, factor * step), ErrorAt(group, bits, -factor * step)});
      }
      best += least;
    }
    EXPECT_LT(found, 1.1 * best) << bits;
    EXPECT_LT(found, (bits == 6 ? 0.9 : 0.75) * plain) << bits;
  }
}

TEST(GroupQuant, CodesOfEveryWidthComeBack) {
  // Multiples of a power of two, of which one has the lowest code: nothing is lost.
  for (const int bits : {8, 6, 4}) {
    for (int64_t cols = 1; cols <= 200; ++cols) {
      const GroupQuantShape shape{2, cols, bits};
      std::vector<float> values(static_cast<size_t>(2 * cols));
      const int low = bits == 8 ? -127 : -(1 << (bits - 1));
      const int span = bits == 8 ? 255 : 1 << bits;
      for (int64_t i = 0; i < 2 * cols; ++i) {
        const bool first = i % cols % GroupSize(bits) == 0;
        const int code = first ? low : low + static_cast<int>(i * 37 % span);
        values[static_cast<size_t>(i)] = static_cast<float>(code) * 0.25f;
      }
      EXPECT_EQ(RoundTrip(shape, values), values) << bits << " " << cols;
    }
  }
}

TEST(GroupQuant, AbsurdMagnitudesStayFinite) {
  for (const int bits : {8, 6, 4}) {
    for (const float value : {3e38f, 1e30f, 70000.0f, 1e-6f, 1e-30f, 1e-44f}) {
      const std::vector<float> values = {value, -value, 0.0f, value / 3};
      for (const float back : RoundTrip({1, 4, bits}, values)) {
        EXPECT_TRUE(std::isfinite(back)) << bits << " " << value;
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
  EXPECT_EQ(GroupQuantRowBytes({1, 512, 6}), 384 + 16);
  EXPECT_EQ(GroupQuantRowBytes({1, 64, 6}), 48 + 2);
  EXPECT_EQ(GroupQuantRowBytes({1, 65, 6}), 50 + 4);  // 390 bits are 49 bytes
  EXPECT_EQ(GroupQuantCodeBytes({1, 65, 6}), 49);
}

// Values that only one scale fits without error, and the bytes that the document then asks for.
TEST(GroupQuant, FourBitCodesSitLowHalfFirst) {
  std::vector<float> values(32, 0.0f);
  values[0] = -8.0f;
  values[1] = 7.0f;
  std::vector<std::byte> bytes(18);
  QuantizeGroups({1, 32, 4}, values, bytes);
  EXPECT_EQ(static_cast<int>(bytes[0]), 0 | 15 << 4);  // -8 + 8, 7 + 8
  EXPECT_EQ(static_cast<int>(bytes[17]), 0x3c);        // scale 1.0
}

TEST(GroupQuant, SixBitCodesAreAStreamLowestBitFirst) {
  const std::vector<float> values = {-32.0f, 31.0f, -31.0f, 1.0f, 2.0f};
  std::vector<std::byte> bytes(6);
  QuantizeGroups({1, 5, 6}, values, bytes);
  const uint64_t stream = 0u | 63u << 6 | 1u << 12 | 33u << 18 | uint64_t{34} << 24;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(static_cast<uint64_t>(bytes[static_cast<size_t>(i)]), stream >> (8 * i) & 255) << i;
  }
  EXPECT_EQ(static_cast<int>(bytes[5]), 0x3c);  // scale 1.0
}

}  // namespace
}  // namespace llmq
