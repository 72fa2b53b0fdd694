// Every version of the kernels against the definition (kernels_scalar.cc), at every length 1..130,
// bit by bit; and the definition against double precision and numbers written out by hand.
//
// The tolerance of the definition: a float32 sum of n products, in any order, lies within
// (n + 2) 2^-24 sum |a_i b_i| of the exact one.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "base/half.h"
#include "kernels/sign_tiles.h"

namespace llmq {
namespace {

constexpr int64_t kMaxLength = 130;

// Bits as they are; NaNs compare equal whatever is in them.
std::vector<uint32_t> Patterns(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values)
    bits.push_back(std::isnan(value) ? 0x7fc00000u : std::bit_cast<uint32_t>(value));
  return bits;
}

// 64-byte aligned memory of exactly the size asked for, so that a sanitizer sees a step outside.
struct AlignedBytes {
  explicit AlignedBytes(int64_t size)
      : data(static_cast<std::byte*>(std::aligned_alloc(64, static_cast<size_t>(size))), &free) {
    std::memset(data.get(), 0xa5, static_cast<size_t>(size));
  }
  std::unique_ptr<std::byte, void (*)(void*)> data;
};

// Rows of random codes as llmq/group_quant.h lays them out, and what is wanted of them.
struct Grouped {
  int bits;
  int64_t rows, cols;
  int64_t group = bits == 4 ? 32 : 64;
  int64_t groups = (cols + group - 1) / group;
  int64_t code_bytes = ((bits * cols + 7) / 8 + 1) / 2 * 2;
  int64_t row_bytes = code_bytes + 2 * groups;
  std::vector<uint8_t> bytes{};

  GroupRows view() const {
    return {reinterpret_cast<const std::byte*>(bytes.data()), row_bytes, cols};
  }
  int Code(int64_t i, int64_t j) const {  // bit by bit
    int code = 0;
    for (int b = 0; b < bits; ++b) {
      const int64_t bit = bits * j + b;
      code |= (bytes[i * row_bytes + bit / 8] >> (bit % 8) & 1) << b;
    }
    return bits == 8 ? static_cast<int8_t>(code) : code - (1 << (bits - 1));
  }
  void SetScale(int64_t i, int64_t g, uint16_t half) {
    std::memcpy(bytes.data() + i * row_bytes + code_bytes + 2 * g, &half, 2);
  }
  float Scale(int64_t i, int64_t j) const {
    uint16_t half;
    std::memcpy(&half, bytes.data() + i * row_bytes + code_bytes + j / group * 2, 2);
    return HalfToFloat(half);
  }
  // Of row i: the product, and the sum of magnitudes that its rounding depends on.
  std::pair<double, double> Product(int64_t i, const std::vector<double>& x) const {
    double sum = 0, magnitude = 0;
    for (int64_t j = 0; j < cols; ++j) {
      const double product = static_cast<double>(Scale(i, j)) * Code(i, j) * x[j];
      sum += product;
      magnitude += std::fabs(product);
    }
    return {sum, magnitude};
  }
};

class KernelsTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!IsaAvailable(GetParam())) GTEST_SKIP() << "not available on this machine";
  }
  const KernelTable& kernels() const { return KernelsFor(GetParam()); }
  const KernelTable& law() const { return KernelsFor(Isa::kScalar); }

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
  // Exactly as many bytes as stated. Bits past a row's last column are set: nothing may count on
  // zeros there.
  std::vector<uint8_t> Bytes(int64_t n) {
    std::vector<uint8_t> bytes(n);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_());
    return bytes;
  }
  Grouped RandomGrouped(int bits, int64_t rows, int64_t cols) {
    Grouped w{.bits = bits, .rows = rows, .cols = cols};
    w.bytes = Bytes(rows * w.row_bytes);
    for (int64_t g = 0; g < rows * w.groups; ++g)
      w.SetScale(g / w.groups, g % w.groups, Halves(1)[0]);
    return w;
  }
  std::vector<uint32_t> Tiles(int64_t rows, int64_t cols) {
    const auto bytes = Bytes(rows * ((cols + 7) / 8));
    std::vector<uint32_t> words(SignTileWords(rows, cols));
    PackRows({bytes.data(), rows, cols}, words.data());
    return words;
  }
  static std::vector<float> Sums(const SignProduct& product, const SignTiles& signs,
                                 const uint16_t* scale, const std::vector<float>& x,
                                 int64_t begin = 0) {
    const AlignedBytes prepared(product.prepared_bytes(signs.cols));
    product.prepare(scale, x.data(), signs.cols, prepared.data.get());
    std::vector<float> out(signs.rows - begin);
    product.sums(signs, prepared.data.get(), begin, signs.rows, out.data());
    return out;
  }

  std::mt19937 random_{7};
};

TEST_P(KernelsTest, SignProductsAtEveryWidth) {
  for (int64_t cols = 1; cols <= 3 * kMaxLength; ++cols) {
    const int64_t rows = cols % 90 + 1;  // up to five blocks and a part
    const auto words = Tiles(rows, cols);
    const SignTiles signs{words.data(), rows, cols};
    const auto x = Floats(cols);
    const auto scale = Halves(cols);
    for (const uint16_t* g : {static_cast<const uint16_t*>(nullptr), scale.data()}) {
      const auto exact = Sums(*law().exact, signs, g, x);
      ASSERT_EQ(Patterns(Sums(*kernels().exact, signs, g, x)), Patterns(exact)) << cols;
      const auto int8 = Sums(*law().int8, signs, g, x);
      ASSERT_EQ(Patterns(Sums(*kernels().int8, signs, g, x)), Patterns(int8)) << cols;
      const int64_t border = rows / 2 / kTileRows * kTileRows;  // another split, the same bits
      ASSERT_EQ(Sums(*kernels().exact, signs, g, x, border),
                std::vector<float>(exact.begin() + border, exact.end()));
      ASSERT_EQ(Sums(*kernels().int8, signs, g, x, border),
                std::vector<float>(int8.begin() + border, int8.end()));
    }
  }
}

TEST_P(KernelsTest, SignProductsOfUnusualInputs) {
  constexpr int64_t kRows = 70, kCols = 600;
  const auto words = Tiles(kRows, kCols);
  const SignTiles signs{words.data(), kRows, kCols};
  const float kInfinity = std::numeric_limits<float>::infinity();
  const float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float odd : {0.0f, -0.0f, 1e-42f, 1e-30f, 3e38f, kInfinity, -kInfinity, kNan}) {
    for (const bool everywhere : {false, true}) {
      auto x = everywhere ? std::vector<float>(kCols, odd) : Floats(kCols);
      x[300] = odd;
      for (const auto product : {&KernelTable::exact, &KernelTable::int8}) {
        const auto expected = Sums(*(law().*product), signs, nullptr, x);
        ASSERT_EQ(Patterns(Sums(*(kernels().*product), signs, nullptr, x)), Patterns(expected))
            << odd;
        if (!std::isfinite(odd)) {
          ASSERT_FALSE(std::isfinite(expected[0]));
        }
      }
    }
  }
}

TEST_P(KernelsTest, LargestSumsDoNotOverflow) {  // every value at an end, every sign the same
  constexpr int64_t kRows = 16, kCols = 512;
  for (const uint32_t word : {0u, 0xffffffffu}) {
    const std::vector<uint32_t> words(SignTileWords(kRows, kCols), word);
    for (const float value : {127.0f, -127.0f, -8.0f}) {
      std::vector<float> x(kCols, value);
      if (value == -8.0f) x[0] = x[256] = 127.0f;
      double sum = 0;
      for (const float each : x) sum += word == 0 ? each : -each;
      const auto found = Sums(*kernels().int8, {words.data(), kRows, kCols}, nullptr, x);
      ASSERT_EQ(found, std::vector<float>(kRows, static_cast<float>(sum)));
    }
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

double Tolerance(int64_t n, double magnitude) {
  return static_cast<double>(n + 2) * 0x1.0p-24 * magnitude;
}

TEST_P(KernelsTest, DenseAtEveryWidthAndType) {
  constexpr int64_t kRows = 3;
  for (int type = 0; type < kNumDenseTypes; ++type) {
    for (int64_t cols = 1; cols <= kMaxLength; ++cols) {
      const DenseBytes w = MakeDense(static_cast<DenseType>(type), Floats(kRows * cols));
      const auto x = Floats(cols);
      std::vector<float> expected(kRows), found(kRows, -77.0f);
      law().floats->dense_dot[type](w.data(), cols, x.data(), 0, kRows, expected.data());
      kernels().floats->dense_dot[type](w.data(), cols, x.data(), 1, kRows, found.data());
      ASSERT_EQ(found[0], -77.0f);  // outside the range: untouched
      for (int64_t i = 1; i < kRows; ++i) {
        double magnitude = 0, exact = 0;
        for (int64_t j = 0; j < cols; ++j) {
          exact += static_cast<double>(w.values[i * cols + j]) * x[j];
          magnitude += std::fabs(w.values[i * cols + j] * x[j]);
        }
        ASSERT_EQ(found[i], expected[i]) << type << " " << cols;
        ASSERT_NEAR(expected[i], exact, Tolerance(cols, magnitude)) << type << " " << cols;
      }
      std::vector<float> floats(cols);
      kernels().floats->to_float[type](w.data(), cols, floats.data());
      ASSERT_EQ(floats, std::vector<float>(w.values.begin(), w.values.begin() + cols))
          << type << " " << cols;
    }
  }
}

TEST_P(KernelsTest, ToHalfIsExact) {
  for (int64_t n = 1; n <= kMaxLength; ++n) {
    auto x = Floats(n);
    x[n / 2] = n % 3 == 0 ? 1e-7f : n % 3 == 1 ? 1e6f : -65519.9f;
    std::vector<uint16_t> expected(n), found(n);
    law().floats->to_half(x.data(), n, expected.data());
    kernels().floats->to_half(x.data(), n, found.data());
    ASSERT_EQ(found, expected) << n;
  }
}

TEST_P(KernelsTest, GroupDotAtEveryWidth) {
  const auto dot = [](const KernelTable& table, int bits) {
    return bits == 8   ? table.floats->group_dot8
           : bits == 6 ? table.floats->group_dot6
                       : table.floats->group_dot4;
  };
  for (const int bits : {8, 6, 4}) {
    for (int64_t cols = 1; cols <= kMaxLength; ++cols) {
      const Grouped w = RandomGrouped(bits, 3, cols);
      const auto x = Floats(cols);
      std::vector<float> expected(w.rows), found(w.rows);
      const auto [bytes, row_bytes, unused] = w.view();
      dot(law(), bits)(bytes, row_bytes, cols, x.data(), 0, w.rows, expected.data());
      dot(kernels(), bits)(bytes, row_bytes, cols, x.data(), 0, w.rows, found.data());
      ASSERT_EQ(found, expected) << bits << " " << cols;
      for (int64_t i = 0; i < w.rows; ++i) {
        const auto [exact, magnitude] = w.Product(i, std::vector<double>(x.begin(), x.end()));
        ASSERT_NEAR(expected[i], exact, Tolerance(cols + 1, magnitude)) << bits << " " << cols;
      }
    }
  }
}

// What is left of x in 8 bits: a scale for each 256.
std::vector<double> Rounded(const std::vector<float>& x) {
  std::vector<double> rounded(x.begin(), x.end());
  for (size_t begin = 0; begin < x.size(); begin += 256) {
    const size_t end = std::min(begin + 256, x.size());
    float largest = 0;
    for (size_t j = begin; j < end; ++j) largest = std::max(largest, std::fabs(x[j]));
    for (size_t j = begin; j < end; ++j)
      rounded[j] = std::nearbyint(x[j] * (127 / largest)) * (static_cast<double>(largest) / 127);
  }
  return rounded;
}

std::vector<float> Int8Dots(const KernelTable& table, const Grouped& w, const std::vector<float>& x,
                            int64_t begin = 0) {
  const GroupKernels& kernels = *table.groups;
  const auto dots = w.bits == 8 ? kernels.dots8 : w.bits == 6 ? kernels.dots6 : kernels.dots4;
  const AlignedBytes input(GroupInputBytes(w.bits, w.cols));
  PrepareGroupInput(w.bits, x.data(), w.cols, input.data.get());
  std::vector<float> y(w.rows, -77.0f);
  dots(w.view(), input.data.get(), begin, w.rows, y.data());
  return y;
}

TEST_P(KernelsTest, Int8GroupDotAtEveryWidth) {
  for (const int bits : {8, 6, 4}) {
    for (int64_t cols = 1; cols <= 4 * kMaxLength; ++cols) {
      const Grouped w = RandomGrouped(bits, cols % 9 + 1, cols);
      const auto x = Floats(cols);
      const auto expected = Int8Dots(law(), w, x);
      ASSERT_EQ(Int8Dots(kernels(), w, x), expected) << bits << " " << cols;
      const auto rounded = Rounded(x);
      for (int64_t i = 0; i < w.rows; ++i) {
        const auto [exact, magnitude] = w.Product(i, rounded);
        ASSERT_NEAR(expected[i], exact, Tolerance(cols + 3, magnitude)) << bits << " " << cols;
      }
      const auto part = Int8Dots(kernels(), w, x, w.rows / 2);  // another split, the same bits
      for (int64_t i = 0; i < w.rows; ++i)
        ASSERT_EQ(part[i], i < w.rows / 2 ? -77.0f : expected[i]) << bits << " " << cols;
    }
  }
}

TEST_P(KernelsTest, Int8GroupDotOfExtremes) {
  const float kInfinity = std::numeric_limits<float>::infinity();
  const uint16_t kInfiniteHalf = 0x7c00;
  for (const int bits : {8, 6, 4}) {
    for (const uint8_t byte : {0x00, 0x80, 0xff}) {  // every code at an end
      Grouped w = RandomGrouped(bits, 5, 300);
      std::fill(w.bytes.begin(), w.bytes.end(), bits == 4 && byte == 0x80 ? 0x88 : byte);
      for (int64_t g = 0; g < w.groups * w.rows; ++g)
        w.SetScale(g / w.groups, g % w.groups, FloatToHalf(0.5f));
      for (const float value : {1.0f, -1.0f, 1e-42f, 3e38f, kInfinity, -kInfinity, NAN}) {
        std::vector<float> x(w.cols, value);
        const auto expected = Int8Dots(law(), w, x);
        ASSERT_EQ(Patterns(Int8Dots(kernels(), w, x)), Patterns(expected)) << bits << value;
        const double code = w.Code(0, 0), cols = static_cast<double>(w.cols);
        if (std::fabs(value) == 1.0f && (bits != 6 || byte != 0x80)) {  // where all codes are one
          ASSERT_NEAR(expected[0], 0.5 * code * cols * value, 1e-5 * std::fabs(code) * cols);
        }
        if (!std::isfinite(value)) {
          ASSERT_TRUE(std::isnan(expected[0]));
        }
      }
    }
    Grouped w = RandomGrouped(bits, 5, 300);  // a scale that is no number
    w.SetScale(3, w.groups - 1, kInfiniteHalf);
    const auto x = Floats(w.cols);
    ASSERT_EQ(Patterns(Int8Dots(kernels(), w, x)), Patterns(Int8Dots(law(), w, x))) << bits;
  }
}

TEST_P(KernelsTest, WeightedSumsAtEveryShape) {
  for (int64_t cols = 1; cols <= kMaxLength; ++cols) {
    const int64_t rows = cols % 7 + 1;
    const auto m = Floats(rows * cols);
    const auto weight = Floats(rows);
    std::vector<float> expected(cols), found(cols);
    law().floats->weighted_sum(m.data(), weight.data(), rows, cols, expected.data());
    kernels().floats->weighted_sum(m.data(), weight.data(), rows, cols, found.data());
    ASSERT_EQ(found, expected) << cols;
    for (int64_t c = 0; c < cols; ++c) {
      double magnitude = 0, exact = 0;
      for (int64_t i = 0; i < rows; ++i) {
        exact += static_cast<double>(weight[i]) * m[i * cols + c];
        magnitude += std::fabs(weight[i] * m[i * cols + c]);
      }
      ASSERT_NEAR(expected[c], exact, Tolerance(rows, magnitude)) << rows << "x" << cols;
    }
    const auto halves = Halves(rows * cols);
    law().floats->weighted_sum_half(halves.data(), weight.data(), rows, cols, expected.data());
    kernels().floats->weighted_sum_half(halves.data(), weight.data(), rows, cols, found.data());
    ASSERT_EQ(found, expected) << cols;
    for (int64_t c = 0; c < cols; ++c) {
      float sum = 0;
      for (int64_t i = 0; i < rows; ++i) sum += weight[i] * HalfToFloat(halves[i * cols + c]);
      ASSERT_EQ(expected[c], sum);
    }
    const int64_t groups = (cols + 63) / 64, row_bytes = (cols + 1) / 2 * 2 + 2 * groups;
    auto bytes = Bytes(rows * row_bytes);
    for (int64_t i = 0; i < rows; ++i)
      std::memcpy(bytes.data() + (i + 1) * row_bytes - 2 * groups, Halves(groups).data(),
                  2 * groups);
    const auto* rows8 = reinterpret_cast<const std::byte*>(bytes.data());
    law().floats->weighted_sum_group8(rows8, row_bytes, weight.data(), rows, cols, expected.data());
    kernels().floats->weighted_sum_group8(rows8, row_bytes, weight.data(), rows, cols,
                                          found.data());
    ASSERT_EQ(found, expected) << cols;
  }
}

TEST_P(KernelsTest, ScalesAndFunctionsAtEveryLength) {
  for (int64_t n = 1; n <= kMaxLength; ++n) {
    const auto h = Halves(n);
    const auto s = Floats(n), start = Floats(n);
    auto expected = start, found = start;
    law().floats->scale(h.data(), s.data(), n, expected.data());
    kernels().floats->scale(h.data(), s.data(), n, found.data());
    ASSERT_EQ(found, expected) << n;
    ASSERT_EQ(found[n - 1], HalfToFloat(h[n - 1]) * s[n - 1]);
    expected = found = start;
    law().floats->add_scaled(h.data(), s.data(), n, expected.data());
    kernels().floats->add_scaled(h.data(), s.data(), n, found.data());
    ASSERT_EQ(found, expected) << n;
    ASSERT_EQ(found[n - 1], start[n - 1] + HalfToFloat(h[n - 1]) * s[n - 1]);

    expected = found = start;
    law().floats->softmax(3.0f, n, expected.data());
    kernels().floats->softmax(3.0f, n, found.data());
    ASSERT_EQ(found, expected) << n;
    expected = found = start;
    law().floats->swiglu(s.data(), n, expected.data());
    kernels().floats->swiglu(s.data(), n, found.data());
    ASSERT_EQ(found, expected) << n;
    law().floats->rms_norm(start.data(), s.data(), 1e-5, n, expected.data());
    kernels().floats->rms_norm(start.data(), s.data(), 1e-5, n, found.data());
    ASSERT_EQ(found, expected) << n;
    const auto bias = Floats(n);
    law().floats->layer_norm(start.data(), s.data(), bias.data(), 1e-5, n, expected.data());
    kernels().floats->layer_norm(start.data(), s.data(), bias.data(), 1e-5, n, found.data());
    ASSERT_EQ(found, expected) << n;
  }
}

TEST_P(KernelsTest, FunctionsOfExtremesAndNaN) {
  const float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0.0f,
                                     -0.0f,
                                     1e-40f,
                                     50.0f,
                                     -87.5f,
                                     88.5f,
                                     -1e30f,
                                     1e30f,
                                     kInfinity,
                                     -kInfinity,
                                     std::numeric_limits<float>::quiet_NaN()};
  for (const float value : values) {
    for (int64_t n : {1, 5, 33}) {
      auto x = Floats(n);
      x[n / 2] = value;
      const auto up = Floats(n);
      auto expected = x, found = x;
      law().floats->swiglu(up.data(), n, expected.data());
      kernels().floats->swiglu(up.data(), n, found.data());
      ASSERT_EQ(Patterns(found), Patterns(expected)) << value;
      if (std::isnan(value)) {
        ASSERT_TRUE(std::isnan(found[n / 2]));
      }
      expected = found = x;
      law().floats->softmax(1.0f, n, expected.data());
      kernels().floats->softmax(1.0f, n, found.data());
      ASSERT_EQ(Patterns(found), Patterns(expected)) << value;
      if (std::isnan(value)) {
        ASSERT_TRUE(std::isnan(found[0]));
      }
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
      std::vector<float> y(tokens * y_stride, -77.0f), row(outputs);
      kernels().matrix_product(
          {x.data(), w.data(), y.data(), tokens, outputs, depth, x_stride, y_stride});
      for (int64_t t = 0; t < tokens; ++t) {
        const auto* bytes = reinterpret_cast<const std::byte*>(w.data());
        law().floats->dense_dot[0](bytes, depth, x.data() + t * x_stride, 0, outputs, row.data());
        for (int64_t i = 0; i < outputs; ++i) {
          double magnitude = 0;
          for (int64_t j = 0; j < depth; ++j)
            magnitude += std::fabs(w[i * depth + j] * x[t * x_stride + j]);
          ASSERT_NEAR(y[t * y_stride + i], row[i], 2 * Tolerance(depth, magnitude))
              << depth << " " << tokens;
        }
        ASSERT_EQ(y[t * y_stride + outputs], -77.0f);  // between the rows: untouched
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

// --- Tiles and the definition itself. ------------------------------------------------------------

TEST(SignTiles, HoldEverySignAndZerosAround) {
  std::mt19937 random(3);
  for (const int64_t rows : {1, 8, 15, 16, 17, 70}) {
    for (int64_t cols = 1; cols <= 2 * kMaxLength; ++cols) {
      const int64_t row_bytes = (cols + 7) / 8;
      std::vector<uint8_t> bytes(rows * row_bytes);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      for (const bool by_column : {false, true}) {
        const int64_t m = by_column ? cols : rows, n = by_column ? rows : cols;  // of the tiles
        std::vector<uint32_t> words(SignTileWords(m, n), 0xdeadbeefu);
        by_column ? PackColumns({bytes.data(), rows, cols}, words.data())
                  : PackRows({bytes.data(), rows, cols}, words.data());
        for (int64_t i = 0; i < TileBlocks(m) * 16; ++i) {
          for (int64_t j = 0; j < TileChunks(n) * 32; ++j) {
            const int64_t word = (i / 16 * TileChunks(n) + j / 32) * 16 + i % 16;
            const int64_t r = by_column ? j : i, c = by_column ? i : j;
            const bool inside = r < rows && c < cols;
            const uint32_t expected = inside ? bytes[r * row_bytes + c / 8] >> (c % 8) & 1 : 0;
            ASSERT_EQ(words[word] >> (j % 32) & 1, expected) << rows << " " << cols;
          }
        }
      }
    }
  }
}

TEST(ScalarKernels, SignProductByHand) {
  const uint8_t bytes[] = {0b101, 0b010};  // rows (-,+,-) and (+,-,+)
  std::vector<uint32_t> words(SignTileWords(2, 3));
  PackRows({bytes, 2, 3}, words.data());
  const SignTiles signs{words.data(), 2, 3};
  const float x[] = {1, 2, 4};
  const uint16_t g[] = {FloatToHalf(2.0f), FloatToHalf(0.5f), FloatToHalf(1.0f)};
  for (const SignProduct* product :
       {KernelsFor(Isa::kScalar).exact, KernelsFor(Isa::kScalar).int8}) {
    const AlignedBytes prepared(product->prepared_bytes(3));
    product->prepare(g, x, 3, prepared.data.get());
    float sums[2];
    product->sums(signs, prepared.data.get(), 0, 2, sums);
    // 2, 1, 4 in steps of 4 / 127: 64, 32, 127.
    const bool exact = product == KernelsFor(Isa::kScalar).exact;
    EXPECT_EQ(sums[0], exact ? -5.0f : (4.0f / 127) * (-64 + 32 - 127));
    EXPECT_EQ(sums[1], exact ? 5.0f : (4.0f / 127) * (64 - 32 + 127));
  }
}

TEST(ScalarKernels, Int8InputsAreAsCloseAsTheirSteps) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  constexpr int64_t kCols = 1000;
  std::vector<uint32_t> words(SignTileWords(1, kCols));
  for (uint32_t& word : words) word = random();
  std::vector<float> x(kCols);
  for (float& value : x) value = normal(random);
  x[700] = 50;  // an outlier costs its own block only
  float sums[2];
  double limit = 0;  // half a step for each value
  for (int64_t j = 0; j < kCols; ++j) limit += (j / 256 == 2 ? 50.0 : 5.0) / 127 / 2;
  for (const int i : {0, 1}) {
    const KernelTable& law = KernelsFor(Isa::kScalar);
    const SignProduct& product = i == 0 ? *law.exact : *law.int8;
    const AlignedBytes prepared(product.prepared_bytes(kCols));
    product.prepare(nullptr, x.data(), kCols, prepared.data.get());
    product.sums({words.data(), 1, kCols}, prepared.data.get(), 0, 1, sums + i);
  }
  EXPECT_NE(sums[0], sums[1]);
  EXPECT_NEAR(sums[0], sums[1], limit);
}

TEST(ScalarKernels, FunctionsAgreeWithTheMathLibrary) {
  const FloatKernels& law = *KernelsFor(Isa::kScalar).floats;
  const std::vector<float> one(1, 1.0f);
  for (float x = -80; x < 80; x += 0.0371f) {
    float gate = x;
    law.swiglu(one.data(), 1, &gate);
    const double expected = x / (1.0 + std::exp(-static_cast<double>(x)));
    ASSERT_NEAR(gate, expected, 4e-7 * std::fabs(expected) + 1e-30) << x;
    float pair[] = {0.0f, -std::fabs(x)};
    law.softmax(1.0f, 2, pair);
    const double second = 1.0 / (1.0 + std::exp(std::fabs(static_cast<double>(x))));
    ASSERT_NEAR(pair[1], second, 4e-7 * second) << x;
  }
  const float x[] = {3, -4};
  const float weight[] = {1, 2};
  float out[2];
  law.rms_norm(x, weight, 0.5, 2, out);
  EXPECT_NEAR(out[0], 3 / std::sqrt(13.0), 1e-6);
  EXPECT_NEAR(out[1], -8 / std::sqrt(13.0), 1e-6);
  const float bias[] = {10, 20};
  law.layer_norm(x, weight, bias, 0.5, 2, out);  // the mean is -0.5, the variance 12.25
  EXPECT_NEAR(out[0], 10 + 3.5 / std::sqrt(12.75), 1e-6);
  EXPECT_NEAR(out[1], 20 - 7 / std::sqrt(12.75), 1e-6);
}

}  // namespace
}  // namespace llmq
