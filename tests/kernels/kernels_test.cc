// Every version of the kernels against the definition (kernels_scalar.cc), at every length 1..130.
//
// The tolerance: two float32 sums of the same n products, in any order and with or without fused
// operations, lie within 2 (n + 2) 2^-24 sum |a_i b_i| of each other. What is stated exact must be
// equal to the bit.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/half.h"

namespace llmq {
namespace {

constexpr int64_t kMaxLength = 130;

class KernelsTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!IsaAvailable(GetParam())) GTEST_SKIP() << "not available on this machine";
  }
  const KernelTable& kernels() const { return KernelsFor(GetParam()); }
  const KernelTable& law() const { return kScalarKernels; }

  std::vector<float> Floats(int64_t n) {
    std::normal_distribution<float> normal;
    std::vector<float> values(n);
    for (float& value : values) value = normal(random_);
    return values;
  }
  std::vector<uint16_t> Halves(int64_t n) {
    std::vector<uint16_t> halves;
    for (const float value : Floats(n)) halves.push_back(FloatToHalf(value));
    return halves;
  }
  // Exactly as many bytes as stated, so that a sanitizer sees a read past the end. Bits past a
  // row's last column are set: no kernel may count on zeros there.
  std::vector<uint8_t> Bytes(int64_t n) {
    std::vector<uint8_t> bytes(n);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
    return bytes;
  }

  std::mt19937 random_{7};
};

double Tolerance(int64_t n, double magnitude) {
  return 2.0 * static_cast<double>(n + 2) * 0x1.0p-24 * magnitude;
}

double SumOfMagnitudes(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += std::fabs(value);
  return sum;
}

TEST_P(KernelsTest, ScaleIsExact) {
  for (int64_t n = 1; n <= kMaxLength; ++n) {
    const auto g = Halves(n);
    const auto x = Floats(n);
    std::vector<float> expected(n), found(n);
    law().scale(g.data(), x.data(), n, expected.data());
    kernels().scale(g.data(), x.data(), n, found.data());
    ASSERT_EQ(found, expected) << n;
    ASSERT_EQ(found[n - 1], HalfToFloat(g[n - 1]) * x[n - 1]);
  }
}

TEST_P(KernelsTest, LatentAtEveryWidth) {
  constexpr int64_t kRank = 13;  // one block of eight, one of four, one row
  for (int64_t d_in = 1; d_in <= kMaxLength; ++d_in) {
    const auto bytes = Bytes(kRank * ((d_in + 7) / 8));
    const SignBits v{bytes.data(), kRank, d_in};
    const auto gx = Floats(d_in);
    const auto l = Halves(kRank);
    std::vector<float> expected(kRank), found(kRank, -77.0f);
    law().latent(v, gx.data(), l.data(), 0, kRank, expected.data());
    kernels().latent(v, gx.data(), l.data(), 1, kRank - 1, found.data());
    for (int64_t k = 1; k < kRank - 1; ++k) {
      const double limit = std::fabs(HalfToFloat(l[k])) * SumOfMagnitudes(gx);
      ASSERT_NEAR(found[k], expected[k], Tolerance(d_in, limit)) << d_in << " " << k;
    }
    ASSERT_EQ(found.front(), -77.0f);  // outside the range: untouched
    ASSERT_EQ(found.back(), -77.0f);
    // Rows are computed each on its own: another split gives the same bits.
    std::vector<float> split(kRank, -77.0f);
    for (int64_t k = 1; k < kRank - 1; ++k)
      kernels().latent(v, gx.data(), l.data(), k, k + 1, split.data());
    ASSERT_EQ(split, found) << d_in;
  }
}

TEST_P(KernelsTest, OutputIsExactAtEveryWidth) {
  for (int64_t d_out = 1; d_out <= 2 * kMaxLength; ++d_out) {
    const int64_t rank = d_out % 17 + 1;
    const auto bytes = Bytes(rank * ((d_out + 7) / 8));
    const SignBits u{bytes.data(), rank, d_out};
    const auto t = Floats(rank);
    const auto h = Halves(d_out);
    const auto start = Floats(d_out);
    auto expected = start, found = start, split = start;
    law().output(u, t.data(), h.data(), 0, d_out, expected.data());
    kernels().output(u, t.data(), h.data(), 0, d_out, found.data());
    ASSERT_EQ(found, expected) << d_out;
    const int64_t border = d_out / 3 / 8 * 8;
    kernels().output(u, t.data(), h.data(), 0, border, split.data());
    kernels().output(u, t.data(), h.data(), border, d_out, split.data());
    ASSERT_EQ(split, expected) << d_out;
  }
}

TEST_P(KernelsTest, ExpandSignsIsExact) {
  constexpr int64_t kRows = 3;
  for (int64_t cols = 1; cols <= kMaxLength; ++cols) {
    const auto bytes = Bytes(kRows * ((cols + 7) / 8));
    const SignBits bits{bytes.data(), kRows, cols};
    const int64_t begin = cols / 2 / 8 * 8;
    const int64_t end = cols - cols % 3 > begin ? cols - cols % 3 : cols;
    std::vector<float> expected(2 * (end - begin)), found(expected);
    law().expand_signs(bits, 1, kRows, begin, end, expected.data());
    kernels().expand_signs(bits, 1, kRows, begin, end, found.data());
    ASSERT_EQ(found, expected) << cols;
  }
}

// A matrix of one element type, deliberately one byte off any alignment.
struct DenseBytes {
  std::vector<std::byte> bytes;
  std::vector<float> values;  // what they stand for
  const std::byte* data() const { return bytes.data() + 1; }
};

DenseBytes MakeDense(DenseType type, const std::vector<float>& values) {
  const size_t size = type == DenseType::kF32 ? 4 : 2;
  DenseBytes dense;
  dense.bytes.resize(1 + values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    std::byte* at = dense.bytes.data() + 1 + i * size;
    if (type == DenseType::kF32) {
      std::memcpy(at, &values[i], 4);
      dense.values.push_back(values[i]);
      continue;
    }
    const bool half = type == DenseType::kF16;
    const uint16_t bits = half ? FloatToHalf(values[i]) : FloatToBf16(values[i]);
    std::memcpy(at, &bits, 2);
    dense.values.push_back(half ? HalfToFloat(bits) : Bf16ToFloat(bits));
  }
  return dense;
}

TEST_P(KernelsTest, DenseAtEveryWidthAndType) {
  constexpr int64_t kRows = 3;
  for (int type = 0; type < kNumDenseTypes; ++type) {
    for (int64_t cols = 1; cols <= kMaxLength; ++cols) {
      const DenseBytes w = MakeDense(static_cast<DenseType>(type), Floats(kRows * cols));
      const auto x = Floats(cols);
      std::vector<float> expected(kRows), found(kRows);
      law().dense_dot[type](w.data(), cols, x.data(), 0, kRows, expected.data());
      kernels().dense_dot[type](w.data(), cols, x.data(), 0, kRows, found.data());
      for (int64_t i = 0; i < kRows; ++i) {
        double magnitude = 0, exact = 0;
        for (int64_t j = 0; j < cols; ++j) {
          exact += static_cast<double>(w.values[i * cols + j]) * x[j];
          magnitude += std::fabs(w.values[i * cols + j] * x[j]);
        }
        ASSERT_NEAR(found[i], expected[i], Tolerance(cols, magnitude)) << type << " " << cols;
        ASSERT_NEAR(expected[i], exact, Tolerance(cols, magnitude)) << type << " " << cols;
      }
      std::vector<float> floats(cols);
      kernels().to_float[type](w.data(), cols, floats.data());
      ASSERT_EQ(floats, std::vector<float>(w.values.begin(), w.values.begin() + cols))
          << type << " " << cols;
    }
  }
}

TEST_P(KernelsTest, GroupDotAtEveryWidth) {
  constexpr int64_t kRows = 3;
  const auto dot = [](const KernelTable& table, int bits) {
    return bits == 8 ? table.group_dot8 : bits == 6 ? table.group_dot6 : table.group_dot4;
  };
  for (const int bits : {8, 6, 4}) {
    const int64_t group = bits == 4 ? 32 : 64;
    for (int64_t cols = 1; cols <= kMaxLength; ++cols) {
      const int64_t groups = (cols + group - 1) / group;
      const int64_t code_bytes = ((bits * cols + 7) / 8 + 1) / 2 * 2;
      const int64_t row_bytes = code_bytes + 2 * groups;
      auto bytes = Bytes(kRows * row_bytes);
      for (int64_t i = 0; i < kRows; ++i) {
        const auto scales = Halves(groups);
        std::memcpy(bytes.data() + i * row_bytes + code_bytes, scales.data(), 2 * groups);
      }
      const auto* w = reinterpret_cast<const std::byte*>(bytes.data());
      const auto x = Floats(cols);
      std::vector<float> expected(kRows), found(kRows);
      dot(law(), bits)(w, row_bytes, cols, x.data(), 0, kRows, expected.data());
      dot(kernels(), bits)(w, row_bytes, cols, x.data(), 0, kRows, found.data());
      for (int64_t i = 0; i < kRows; ++i) {
        double magnitude = 0, exact = 0;
        for (int64_t j = 0; j < cols; ++j) {
          uint16_t half;
          std::memcpy(&half, bytes.data() + i * row_bytes + code_bytes + j / group * 2, 2);
          int code = 0;  // bit by bit
          for (int b = 0; b < bits; ++b) {
            const int64_t bit = bits * j + b;
            code |= (bytes[i * row_bytes + bit / 8] >> (bit % 8) & 1) << b;
          }
          code = bits == 8 ? static_cast<int8_t>(code) : code - (1 << (bits - 1));
          const double product = static_cast<double>(HalfToFloat(half)) * code * x[j];
          exact += product;
          magnitude += std::fabs(product);
        }
        ASSERT_NEAR(found[i], expected[i], Tolerance(cols + 1, magnitude)) << bits << " " << cols;
        ASSERT_NEAR(expected[i], exact, Tolerance(cols + 1, magnitude)) << bits << " " << cols;
      }
    }
  }
}

TEST_P(KernelsTest, WeightedSumAtEveryShape) {
  for (int64_t cols = 1; cols <= kMaxLength; ++cols) {
    const int64_t rows = cols % 7 + 1;
    const auto m = Floats(rows * cols);
    const auto weight = Floats(rows);
    std::vector<float> expected(cols), found(cols);
    law().weighted_sum(m.data(), weight.data(), rows, cols, expected.data());
    kernels().weighted_sum(m.data(), weight.data(), rows, cols, found.data());
    for (int64_t c = 0; c < cols; ++c) {
      double magnitude = 0;
      for (int64_t i = 0; i < rows; ++i) magnitude += std::fabs(weight[i] * m[i * cols + c]);
      ASSERT_NEAR(found[c], expected[c], Tolerance(rows, magnitude)) << rows << "x" << cols;
    }
  }
}

TEST_P(KernelsTest, MatrixProductAgreesWithTheDefinition) {
  for (const int64_t depth : {1, 7, 64, 130}) {
    for (const int64_t tokens : {1, 5, 33}) {
      const int64_t outputs = depth % 50 + 3;
      const int64_t x_stride = depth + 2, y_stride = outputs + 5;
      const auto x = Floats(tokens * x_stride);
      const auto w = Floats(outputs * depth);
      std::vector<float> transposed(w.size());
      for (int64_t i = 0; i < outputs; ++i) {
        for (int64_t j = 0; j < depth; ++j) transposed[j * outputs + i] = w[i * depth + j];
      }
      for (const bool turn : {false, true}) {
        std::vector<float> y(tokens * y_stride, -77.0f), row(outputs);
        kernels().matrix_product({x.data(), turn ? transposed.data() : w.data(), y.data(), tokens,
                                  outputs, depth, x_stride, y_stride, turn});
        for (int64_t t = 0; t < tokens; ++t) {
          const auto* bytes = reinterpret_cast<const std::byte*>(w.data());
          law().dense_dot[0](bytes, depth, x.data() + t * x_stride, 0, outputs, row.data());
          for (int64_t i = 0; i < outputs; ++i) {
            double magnitude = 0;
            for (int64_t j = 0; j < depth; ++j)
              magnitude += std::fabs(w[i * depth + j] * x[t * x_stride + j]);
            ASSERT_NEAR(y[t * y_stride + i], row[i], Tolerance(depth, magnitude))
                << depth << " " << tokens;
          }
          ASSERT_EQ(y[t * y_stride + outputs], -77.0f);  // between the rows: untouched
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, KernelsTest, testing::ValuesIn(kAllIsas),
                         [](const auto& isa) { return IsaName(isa.param); });

TEST(Dispatch, GivesWhatItNames) {
  EXPECT_TRUE(IsaAvailable(Isa::kScalar));
  for (const Isa isa : kAllIsas) {
    if (IsaAvailable(isa)) {
      EXPECT_STREQ(KernelsFor(isa).name, IsaName(isa));
    }
  }
}

// The definition itself, against signs and scales written out by hand.
TEST(ScalarKernels, ByHand) {
  const uint8_t v[] = {0b101, 0b010};  // rows (-,+,-) and (+,-,+)
  const float x[] = {1, 2, 4};
  const uint16_t l[] = {FloatToHalf(2.0f), FloatToHalf(0.5f)};
  float t[2];
  kScalarKernels.latent({v, 2, 3}, x, l, 0, 2, t);
  EXPECT_EQ(t[0], 2.0f * (-1 + 2 - 4));
  EXPECT_EQ(t[1], 0.5f * (1 - 2 + 4));

  const uint8_t u[] = {0b10, 0b11};  // k = 0: (+,-), k = 1: (-,-)
  const uint16_t h[] = {FloatToHalf(3.0f), FloatToHalf(-1.0f)};
  float y[] = {100, 200};
  kScalarKernels.output({u, 2, 2}, t, h, 0, 2, y);
  EXPECT_EQ(y[0], 100 + 3.0f * (t[0] - t[1]));
  EXPECT_EQ(y[1], 200 - 1.0f * (-t[0] - t[1]));
}

}  // namespace
}  // namespace llmq
