// Scales of any size in fp16: untouched where they fit, moved by powers of two where not.
#include "formats/half_scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/half.h"

namespace llmq {
namespace {

using Values = std::vector<float>;

std::vector<uint16_t> Halves(const Values& values) {
  std::vector<uint16_t> halves;
  for (const float value : values) halves.push_back(FloatToHalf(value));
  return halves;
}

// All products g_j h_i l_k agree to `tolerance`, relatively.
void ExpectSameProducts(const Values& g, const Values& h, const Values& l, double tolerance) {
  const auto scales = ToHalfScales(g, h, l);
  ASSERT_TRUE(scales);
  for (size_t i = 0; i < g.size(); ++i) {
    for (size_t j = 0; j < h.size(); ++j) {
      for (size_t k = 0; k < l.size(); ++k) {
        const double exact = static_cast<double>(g[i]) * h[j] * l[k];
        const double found = static_cast<double>(HalfToFloat(scales->g[i])) *
                             HalfToFloat(scales->h[j]) * HalfToFloat(scales->l[k]);
        ASSERT_NEAR(found, exact, tolerance * std::fabs(exact));
      }
    }
  }
}

TEST(HalfScalesTest, KeepsWhatFits) {
  const Values g = {0, 1.5f, -0x1p-14f}, h = {65504, -0.0f}, l = {0.1f, 0.2f};
  const auto scales = ToHalfScales(g, h, l);
  ASSERT_TRUE(scales);
  EXPECT_EQ(scales->g, Halves(g));
  EXPECT_EQ(scales->h, Halves(h));
  EXPECT_EQ(scales->l, Halves(l));
  EXPECT_LT(scales->worst_relative_error, 0x1p-11);
  EXPECT_GT(scales->worst_relative_error, 0);  // 0.1 is no fp16 number
}

TEST(HalfScalesTest, MovesPowersOfTwo) {
  ExpectSameProducts({0x1.8p-30f, 0x1p-30f}, {3}, {5}, 0);
  ExpectSameProducts({3}, {0x1.fp40f, -0x1p38f}, {0x1p-20f}, 0);
  ExpectSameProducts({0x1p-60f}, {0x1.8p50f}, {-0x1p10f, 0}, 0);
  ExpectSameProducts({0x1p20f}, {0x1p20f}, {0x1p-40f, 0x1p-30f}, 0);
  ExpectSameProducts({1e-38f}, {1e20f}, {1e18f}, 2e-3);
  ExpectSameProducts({65520}, {1}, {1}, 1e-3);  // would round to infinity
  // All 11 bits are needed: one step below the normal range would round.
  ExpectSameProducts({0x1.ffcp-15f}, {1}, {1}, 0);
  // The whole of the window, no step to spare: 2^-14 ... 2^15 after the move.
  ExpectSameProducts({0x1p-24f, 0x1p5f}, {0x1p-4f, 0x1p25f}, {0x1p-14f, 0x1p15f}, 0);
}

TEST(HalfScalesTest, ZerosTakeAnything) {
  const auto scales = ToHalfScales(Values{0, 0}, Values{0x1p40f}, Values{0x1p-50f});
  ASSERT_TRUE(scales);
  EXPECT_EQ(scales->worst_relative_error, 0);
  EXPECT_EQ(scales->g, (std::vector<uint16_t>{0, 0}));
}

TEST(HalfScalesTest, TellsWhatIsLost) {
  // More than fp16's range apart: the largest stays, the smallest is 0.
  const auto wide = ToHalfScales(Values{0x1p20f, 0x1p-40f}, Values{1}, Values{1});
  ASSERT_TRUE(wide);
  EXPECT_EQ(wide->worst_relative_error, 1);
  EXPECT_GT(HalfToFloat(wide->g[0]), 0);
  EXPECT_EQ(wide->g[1], 0);
  // All too small: the loss is shared. 2^-16 in each vector is a subnormal with 8 bits left.
  const Values small = {0x1.01p-16f};
  const auto shared = ToHalfScales(small, small, small);
  ASSERT_TRUE(shared);
  EXPECT_EQ(shared->g, Halves(small));
  EXPECT_EQ(shared->h, Halves(small));
  EXPECT_EQ(shared->l, Halves(small));
  EXPECT_EQ(shared->worst_relative_error, 0);
}

TEST(HalfScalesTest, TooLarge) {
  EXPECT_FALSE(ToHalfScales(Values{0x1p16f}, Values{0x1p16f}, Values{0x1p16f}));
  constexpr float kMax = std::numeric_limits<float>::max();
  EXPECT_FALSE(ToHalfScales(Values{kMax}, Values{kMax}, Values{kMax}));
  EXPECT_TRUE(ToHalfScales(Values{0x1p15f}, Values{0x1p16f}, Values{0x1p14f}));
}

}  // namespace
}  // namespace llmq
