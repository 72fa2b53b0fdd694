// The payload's bytes, bit order and meaning of 1, and reconstruction against a plain triple loop.
#include "llmq/littlebit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/bytes.h"
#include "base/half.h"
#include "llmq/error.h"
#include "tests/support/relative_error.h"

namespace llmq {
namespace {

struct PathData {
  std::vector<float> v, u, g, h, l;

  PathData(const LittleBitShape& shape, std::mt19937& random) {
    std::normal_distribution<float> normal;
    for (auto [values, count] : {std::pair{&v, shape.rank * shape.d_in},
                                 {&u, shape.rank * shape.d_out},
                                 {&g, shape.d_in},
                                 {&h, shape.d_out},
                                 {&l, shape.rank}}) {
      values->resize(static_cast<size_t>(count));
      for (float& value : *values) value = normal(random);
    }
  }
  LittleBitPathValues values() const { return {v, u, g, h, l}; }
};

TEST(Payload, BytesOfAKnownLayer) {
  // [d_out 2, d_in 10], rank 1: v = 10 bits, u = 2 bits.
  const std::vector<float> v = {1, -1, 0, -0.0f, 2, 3, 4, -5, -6, 7};  // sign(0) = sign(-0) = +1
  const std::vector<float> u = {-1, 1};
  const std::vector<float> g(10, 1.0f), h = {2.0f, -0.5f}, l = {1.5f};
  const LittleBitPathValues path{v, u, g, h, l};
  const LittleBitLinear layer = PackLittleBit({2, 10, 1, 1}, {&path, 1});
  ASSERT_EQ(layer.payload.size(), 64u);
  const auto byte = [&](size_t i) { return static_cast<int>(layer.payload[i]); };
  EXPECT_EQ(byte(0), 0b10000010);  // columns 1 and 7
  EXPECT_EQ(byte(1), 0b00000001);  // column 8
  EXPECT_EQ(byte(8), 0b00000001);  // u begins at the next multiple of 8: row 0 is -1
  EXPECT_EQ(byte(17), 0x3c);       // g[0] = 1.0 = 0x3c00 at 16
  EXPECT_EQ(byte(41), 0x40);       // h[0] = 2.0 = 0x4000 at 40
  EXPECT_EQ(byte(43), 0xb8);       // h[1] = -0.5 = 0xb800
  EXPECT_EQ(byte(49), 0x3e);       // l[0] = 1.5 = 0x3e00 at 48
}

TEST(Payload, SizeNeedsNoPaddingForCommonShapes) {
  EXPECT_EQ(LittleBitPayloadBytes({512, 512, 37, 1}), AlignUp(37 * 128 + 2048 + 74, 64));
}

TEST(ReconstructDense, EqualsTheDefinition) {
  std::mt19937 random(7);
  for (const LittleBitShape shape : {LittleBitShape{5, 9, 3, 1}, {16, 24, 8, 2}, {1, 1, 1, 2}}) {
    std::vector<PathData> data;
    std::vector<LittleBitPathValues> paths;
    for (int64_t p = 0; p < shape.paths; ++p) data.emplace_back(shape, random);
    for (const PathData& path : data) paths.push_back(path.values());
    const LittleBitLinear layer = PackLittleBit(shape, paths);
    std::vector<float> dense(static_cast<size_t>(shape.d_out * shape.d_in));
    ReconstructDense(shape, layer.payload, dense);
    const auto round = [](float x) { return static_cast<double>(HalfToFloat(FloatToHalf(x))); };
    const auto sign = [](float x) { return x < 0 ? -1.0 : 1.0; };
    for (int64_t i = 0; i < shape.d_out; ++i) {
      for (int64_t j = 0; j < shape.d_in; ++j) {
        double expected = 0;
        for (const PathData& p : data) {
          for (int64_t k = 0; k < shape.rank; ++k) {
            expected += round(p.h[i]) * sign(p.u[k * shape.d_out + i]) * round(p.l[k]) *
                        sign(p.v[k * shape.d_in + j]) * round(p.g[j]);
          }
        }
        EXPECT_NEAR(dense[i * shape.d_in + j], expected, 1e-5 * (1 + std::fabs(expected)));
      }
    }
  }
}

// Codes have no sign: it goes into U and V, and what they stand for stays within a step of the
// grids, here some 3 % each with 4 bits.
TEST(PackLittleBit, MovesSignsOfScalesIntoSigns) {
  std::mt19937 random(11);
  for (const int bits : {8, 6, 4}) {
    const LittleBitShape half{23, 37, 5, 1}, shape{23, 37, 5, 1, bits};
    PathData data(half, random);
    for (std::vector<float>* scales : {&data.g, &data.h, &data.l}) {
      for (float& scale : *scales) scale = std::copysign(1 + 0.3f * std::tanh(scale), scale);
    }
    const LittleBitPathValues values = data.values();
    std::vector<float> expected(23 * 37), found(23 * 37);
    ReconstructDense(half, PackLittleBit(half, {&values, 1}).payload, expected);
    const LittleBitLinear packed = PackLittleBit(shape, {&values, 1});
    ReconstructDense(shape, packed.payload, found);
    EXPECT_LT(testing::RelativeError(found, expected), bits == 4   ? 0.05
                                                       : bits == 6 ? 0.012
                                                                   : 0.003);
  }
}

TEST(PackLittleBit, RefusesScalesThatFp16CannotHold) {
  std::mt19937 random(1);
  for (const float bad : {NAN, INFINITY, 70000.0f}) {
    PathData path({4, 4, 2, 1}, random);
    path.l[1] = bad;
    const LittleBitPathValues values = path.values();
    try {
      PackLittleBit({4, 4, 2, 1}, {&values, 1});
      FAIL() << bad;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kFactorizationFailed);
      EXPECT_NE(e.message().find("l[1]"), std::string::npos);
    }
  }
}

TEST(PackLittleBit, CopiesPathsAndFillsShorterOnes) {
  std::mt19937 random(3);
  const LittleBitShape long_shape{5, 9, 6, 1}, short_shape{5, 9, 2, 1};
  const PathData long_data(long_shape, random), short_data(short_shape, random);
  const LittleBitPathValues long_values = long_data.values(), short_values = short_data.values();
  const LittleBitLinear a = PackLittleBit(long_shape, {&long_values, 1});
  const LittleBitLinear b = PackLittleBit(short_shape, {&short_values, 1});
  EXPECT_EQ(PackLittleBit(long_shape, a.paths()).payload, a.payload);

  const std::vector<LittleBitPathView> both = {b.paths()[0], a.paths()[0]};
  const LittleBitShape shape{5, 9, 6, 2};
  const LittleBitLinear joined = PackLittleBit(shape, both);
  std::vector<float> of_a(45), of_b(45), found(45);
  ReconstructDense(long_shape, a.payload, of_a);
  ReconstructDense(short_shape, b.payload, of_b);
  ReconstructDense(shape, joined.payload, found);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], of_a[i] + of_b[i], 1e-5);
}

}  // namespace
}  // namespace llmq
