// Scales in few bits: the bytes of a known vector, errors within a step of the grid, what is
// refused.
#include "llmq/scale_vector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/half.h"
#include "llmq/error.h"
#include "tests/support/relative_error.h"

namespace llmq {
namespace {

std::vector<std::byte> Store(const std::vector<float>& scales, int bits) {
  std::vector<std::byte> bytes(
      static_cast<size_t>(ScaleBytes(static_cast<int64_t>(scales.size()), bits)));
  StoreScales(scales, bits, "h", bytes.data());
  return bytes;
}

std::vector<float> RoundTrip(const std::vector<float>& scales, int bits) {
  const std::vector<std::byte> bytes = Store(scales, bits);
  const ScaleView view(static_cast<int64_t>(scales.size()), bits, bytes.data());
  EXPECT_EQ(FindScaleFault(view), std::nullopt);
  std::vector<uint16_t> halves(scales.size());
  view.CopyTo(halves.data());
  std::vector<float> values;
  for (size_t i = 0; i < halves.size(); ++i) {
    EXPECT_EQ(view.half(static_cast<int64_t>(i)), halves[i]);
    EXPECT_EQ(view[static_cast<int64_t>(i)], HalfToFloat(halves[i]));
    values.push_back(HalfToFloat(halves[i]));
  }
  return values;
}

TEST(ScaleVector, BytesOfAKnownVector) {
  // 1 to 2 in fp16 is 0x3c00 to 0x4000, 1024 apart: 14 steps of 74 reach down to 0x3bf4.
  const std::vector<std::byte> bytes = Store({2.0f, 1.0f, 0.0f, -1.5f, 2.0f}, 4);
  const std::vector<int> expected = {0xaa, 0x3b, 74, 0, 0x1f, 0x80, 0x0f};
  ASSERT_EQ(bytes.size(), expected.size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(static_cast<int>(bytes[i]), expected[i]) << i;
  }
}

// Codes that reach from the largest to the smallest value are true to half a step; other ranges are
// taken only where they are better.
TEST(ScaleVector, ErrsByLessThanHalfAStep) {
  std::mt19937 random(5);
  std::lognormal_distribution<float> draw(-3.0f, 0.3f);
  for (const int bits : {8, 6, 4}) {
    for (const size_t size : {1u, 2u, 7u, 480u}) {
      std::vector<float> scales(size);
      for (float& scale : scales) scale = draw(random);
      const std::vector<float> found = RoundTrip(scales, bits);
      const auto [least, most] = std::minmax_element(scales.begin(), scales.end());
      // fp16's bits are at most 1/1024 of the value apart, and logarithms of 2 at least 0.9 of
      // them.
      const double range = std::log2(*most / *least) * 1024 * 1.1 + 2;
      const double step = std::ceil(range / ((1 << bits) - 2));
      EXPECT_LE(testing::RelativeError(found, scales), (step + 1) / 2 / 1024)
          << bits << " bits, " << size;
    }
  }
}

TEST(ScaleVector, KeepsZerosAndTheLargestValue) {
  for (const int bits : {8, 6, 4}) {
    EXPECT_EQ(RoundTrip({0.0f, -0.0f, 0.0f}, bits), (std::vector<float>{0, 0, 0}));
    EXPECT_EQ(RoundTrip({0.0f, 0.25f, -0.25f}, bits), (std::vector<float>{0, 0.25f, 0.25f}));
    // Far below the others: not worth their fineness.
    const std::vector<float> far = RoundTrip({1000.0f, 900.0f, 1e-4f, 800.0f}, bits);
    EXPECT_EQ(far[0], 1000.0f);
    EXPECT_NEAR(far[1], 900.0f, 20.0f);
    EXPECT_LT(far[2], 800.0f);
    EXPECT_NEAR(far[3], 800.0f, 20.0f);
    EXPECT_EQ(RoundTrip({65504.0f}, bits)[0], 65504.0f);
    EXPECT_EQ(RoundTrip({6e-8f}, bits)[0], HalfToFloat(1));
    EXPECT_EQ(RoundTrip({65504.0f, 6e-8f}, bits), (std::vector<float>{65504.0f, 0}));
  }
}

TEST(ScaleVector, SixteenBitsAreFp16WithItsSigns) {
  const std::vector<float> scales = {1.0f, -2.0f, 0.333251953125f};
  EXPECT_EQ(RoundTrip(scales, kHalfScaleBits), scales);
  EXPECT_EQ(ScaleBytes(3, kHalfScaleBits), 6);
  EXPECT_EQ(ScaleBytes(3, 4), 6);
  EXPECT_EQ(ScaleBytes(3, 6), 7);
  EXPECT_EQ(ScaleBytes(3, 8), 7);
}

TEST(ScaleVector, RefusesWhatFp16CannotHold) {
  for (const int bits : {kHalfScaleBits, 8, 4}) {
    for (const float bad : {NAN, INFINITY, 70000.0f}) {
      try {
        Store({1.0f, bad}, bits);
        FAIL() << bad;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kFactorizationFailed);
        EXPECT_NE(error.message().find("h[1]"), std::string::npos) << error.message();
      }
    }
  }
}

}  // namespace
}  // namespace llmq
