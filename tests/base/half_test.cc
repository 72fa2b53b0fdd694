// Every 16-bit pattern, and rounding against the compiler's own _Float16.
#include "base/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

namespace llmq {
namespace {

TEST(Half, EveryPatternConvertsAndReturns) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float expected = static_cast<float>(std::bit_cast<_Float16>(half));
    const float got = HalfToFloat(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
      ASSERT_TRUE(std::isnan(HalfToFloat(FloatToHalf(got))));
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected)) << bits;
      ASSERT_EQ(FloatToHalf(got), half);
    }
  }
}

TEST(Half, RoundsAsTheCompilerDoes) {
  std::mt19937 random(1);
  for (int i = 0; i < 2'000'000; ++i) {
    // Half the cases from the range around fp16's, where rounding is interesting.
    uint32_t bits = random();
    if (i % 2 == 0) bits = (bits & 0x80ffffffu) + 0x32000000u + (bits % 0x16u << 24);
    const float value = std::bit_cast<float>(bits);
    if (std::isnan(value)) continue;
    ASSERT_EQ(FloatToHalf(value), std::bit_cast<uint16_t>(static_cast<_Float16>(value))) << value;
  }
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // tie, even below
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // tie, even above
  EXPECT_EQ(FloatToBf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_TRUE(std::isnan(Bf16ToFloat(FloatToBf16(std::nanf("")))));
  EXPECT_EQ(Bf16ToFloat(FloatToBf16(-INFINITY)), -INFINITY);
}

}  // namespace
}  // namespace llmq
