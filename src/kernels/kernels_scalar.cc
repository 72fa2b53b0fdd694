// THE DEFINITION of the arithmetic of a compressed layer, of grouped tensors and of what stands
// between them.
//
// Plain float32, each operation rounded on its own (the build forbids contraction into fused
// operations), in an order that vectors can keep: sums of signs in fours, sums of products in 64
// lanes. Versions in other files give the same bits. This version runs where no other does.
#include <bit>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "base/half.h"
#include "kernels/group_rows.h"
#include "kernels/int8_block.h"
#include "kernels/versions.h"

namespace llmq {
namespace {

uint32_t Word(const SignTiles& signs, int64_t row, int64_t chunk) {
  const int64_t block = row / kTileRows * TileChunks(signs.cols) + chunk;
  return signs.words[block * kTileRows + row % kTileRows];
}
float WithSign(uint32_t bit, float value) { return bit & 1 ? -value : value; }

float Scaled(const uint16_t* scale, const float* x, int64_t j) {
  return scale == nullptr ? x[j] : HalfToFloat(scale[j]) * x[j];
}

// --- Float32 inputs: four columns at a time, then one after another. -----------------------------

// Prepared: [cols, padded with zeros to a multiple of 32] f32.
int64_t ExactBytes(int64_t cols) noexcept { return TileChunks(cols) * kTileCols * 4; }

void ExactPrepare(const uint16_t* scale, const float* x, int64_t cols,
                  std::byte* prepared) noexcept {
  auto* out = reinterpret_cast<float*>(prepared);
  for (int64_t j = 0; j < TileChunks(cols) * kTileCols; ++j)
    out[j] = j < cols ? Scaled(scale, x, j) : 0.0f;
}

void ExactSums(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
               float* out) noexcept {
  const auto* x = reinterpret_cast<const float*>(prepared);
  for (int64_t i = begin; i < end; ++i) {
    float sum = 0;
    for (int64_t j = 0; j < signs.cols; j += 4) {
      // The last chunk is summed to its end, zeros included: they turn -0 into +0.
      const uint32_t bits = Word(signs, i, j / kTileCols) >> (j % kTileCols);
      sum += (WithSign(bits, x[j]) + WithSign(bits >> 1, x[j + 1])) +
             (WithSign(bits >> 2, x[j + 2]) + WithSign(bits >> 3, x[j + 3]));
    }
    out[i - begin] = sum;
  }
}

// --- 8-bit inputs: blocks of 256 with a scale, summed as integers; then blocks as floats. --------

struct Int8Block {
  float scale;
  int8_t values[kInputBlock];
};

int64_t Int8Bytes(int64_t cols) noexcept {
  const int64_t blocks = (cols + kInputBlock - 1) / kInputBlock;
  return (blocks * static_cast<int64_t>(sizeof(Int8Block)) + 63) / 64 * 64;
}

void Int8Prepare(const uint16_t* scale, const float* x, int64_t cols,
                 std::byte* prepared) noexcept {
  auto* block = reinterpret_cast<Int8Block*>(prepared);
  for (int64_t begin = 0; begin < cols; begin += kInputBlock, ++block) {
    const int64_t n = cols - begin < kInputBlock ? cols - begin : kInputBlock;
    const auto scaled = [&](int64_t j) { return Scaled(scale, x, begin + j); };
    block->scale = RoundToInt8(n, scaled, block->values);
    std::memset(block->values + n, 0, static_cast<size_t>(kInputBlock - n));
  }
}

void Int8Sums(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
              float* out) noexcept {
  for (int64_t i = begin; i < end; ++i) {
    const auto* block = reinterpret_cast<const Int8Block*>(prepared);
    float total = 0;
    for (int64_t first = 0; first < signs.cols; first += kInputBlock, ++block) {
      int32_t sum = 0;
      for (int64_t j = first; j < first + kInputBlock && j < signs.cols; ++j) {
        const int32_t value = block->values[j - first];
        sum += (Word(signs, i, j / kTileCols) >> (j % kTileCols)) & 1 ? -value : value;
      }
      total += block->scale * static_cast<float>(sum);
    }
    out[i - begin] = total;
  }
}

// --- Sums of products, in lanes. -----------------------------------------------------------------

struct Lanes {
  float sum[kSumLanes] = {};

  float Reduce() {
    for (int64_t half = kSumLanes / 2; half > 0; half /= 2) {
      for (int64_t i = 0; i < half; ++i) sum[i] += sum[i + half];
    }
    return sum[0];
  }
};

template <DenseType type>
float Element(const std::byte* w, int64_t index) {
  if constexpr (type == DenseType::kF32) {
    float value;
    std::memcpy(&value, w + index * 4, 4);
    return value;
  } else {
    uint16_t value;
    std::memcpy(&value, w + index * 2, 2);
    return type == DenseType::kF16 ? HalfToFloat(value) : Bf16ToFloat(value);
  }
}

template <DenseType type>
void DenseDot(const std::byte* w, int64_t cols, const float* x, int64_t begin, int64_t end,
              float* y) noexcept {
  for (int64_t i = begin; i < end; ++i) {
    Lanes lanes;
    for (int64_t j = 0; j < cols; ++j)
      lanes.sum[j % kSumLanes] += Element<type>(w, i * cols + j) * x[j];
    y[i] = lanes.Reduce();
  }
}

template <DenseType type>
void ToFloat(const std::byte* w, int64_t n, float* out) noexcept {
  for (int64_t j = 0; j < n; ++j) out[j] = Element<type>(w, j);
}

void ToHalf(const float* x, int64_t n, uint16_t* out) noexcept {
  for (int64_t j = 0; j < n; ++j) out[j] = FloatToHalf(x[j]);
}

template <int bits>
float GroupValue(const std::byte* row, int64_t row_bytes, int64_t cols, int64_t j) {
  return static_cast<float>(GroupCode<bits>(row, j)) * GroupScale<bits>(row, row_bytes, cols, j);
}

template <int bits>
void GroupDot(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x, int64_t begin,
              int64_t end, float* y) noexcept {
  for (int64_t i = begin; i < end; ++i) {
    Lanes lanes;
    for (int64_t j = 0; j < cols; ++j)
      lanes.sum[j % kSumLanes] += GroupValue<bits>(w + i * row_bytes, row_bytes, cols, j) * x[j];
    y[i] = lanes.Reduce();
  }
}

template <typename Value>
void WeightedRows(const Value& value, const float* weight, int64_t rows, int64_t cols, float* out) {
  for (int64_t c = 0; c < cols; ++c) {
    float sum = 0;
    for (int64_t i = 0; i < rows; ++i) sum += weight[i] * value(i, c);
    out[c] = sum;
  }
}
void WeightedSum(const float* m, const float* weight, int64_t rows, int64_t cols,
                 float* out) noexcept {
  WeightedRows([&](int64_t i, int64_t c) { return m[i * cols + c]; }, weight, rows, cols, out);
}
void WeightedSumHalf(const uint16_t* m, const float* weight, int64_t rows, int64_t cols,
                     float* out) noexcept {
  WeightedRows([&](int64_t i, int64_t c) { return HalfToFloat(m[i * cols + c]); }, weight, rows,
               cols, out);
}
void WeightedSumGroup8(const std::byte* m, int64_t row_bytes, const float* weight, int64_t rows,
                       int64_t cols, float* out) noexcept {
  WeightedRows(
      [&](int64_t i, int64_t c) { return GroupValue<8>(m + i * row_bytes, row_bytes, cols, c); },
      weight, rows, cols, out);
}

void Scale(const uint16_t* h, const float* s, int64_t n, float* y) noexcept {
  for (int64_t j = 0; j < n; ++j) y[j] = HalfToFloat(h[j]) * s[j];
}
void AddScaled(const uint16_t* h, const float* s, int64_t n, float* y) noexcept {
  for (int64_t j = 0; j < n; ++j) y[j] += HalfToFloat(h[j]) * s[j];
}

// --- Functions of one number. --------------------------------------------------------------------

// e^x to two units in the last place: x = n ln 2 + r, a polynomial in r (the Cephes library's
// coefficients), n into the exponent. Outside [-87, 88] the ends' values; NaN stays NaN.
float Exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  const float shifted = x * 0x1.715476p+0f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0x1.63p-1f) - n * -0x1.bd0106p-13f;
  float p = 1.9875691500e-4f;
  for (const float c :
       {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = p * r + c;
  p = (p * (r * r) + r) + 1.0f;
  const uint32_t exponent = (std::bit_cast<uint32_t>(shifted) + 127u) << 23;
  return p * std::bit_cast<float>(exponent);
}

void Softmax(float factor, int64_t n, float* x) noexcept {
  float largest = -INFINITY;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = x[i] * factor;
    largest = x[i] > largest ? x[i] : largest;
  }
  Lanes lanes;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = Exp(x[i] - largest);
    lanes.sum[i % kSumLanes] += x[i];
  }
  const float scale = 1.0f / lanes.Reduce();
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] * scale;
}

void SwiGlu(const float* up, int64_t n, float* gate) noexcept {
  for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1.0f + Exp(-gate[i])) * up[i];
}

void RmsNorm(const float* x, const float* weight, double eps, int64_t n, float* out) noexcept {
  Lanes lanes;
  for (int64_t i = 0; i < n; ++i) lanes.sum[i % kSumLanes] += x[i] * x[i];
  const double mean = static_cast<double>(lanes.Reduce()) / static_cast<double>(n);
  const auto scale = static_cast<float>(1.0 / std::sqrt(mean + eps));
  for (int64_t i = 0; i < n; ++i) out[i] = weight[i] * (x[i] * scale);
}

void LayerNorm(const float* x, const float* weight, const float* bias, double eps, int64_t n,
               float* out) noexcept {
  Lanes sums, squares;
  for (int64_t i = 0; i < n; ++i) sums.sum[i % kSumLanes] += x[i];
  const auto mean = static_cast<float>(static_cast<double>(sums.Reduce()) / static_cast<double>(n));
  for (int64_t i = 0; i < n; ++i) {
    const float centred = x[i] - mean;
    squares.sum[i % kSumLanes] += centred * centred;
  }
  const double variance = static_cast<double>(squares.Reduce()) / static_cast<double>(n);
  const auto scale = static_cast<float>(1.0 / std::sqrt(variance + eps));
  for (int64_t i = 0; i < n; ++i) out[i] = weight[i] * ((x[i] - mean) * scale) + bias[i];
}

}  // namespace

const SignProduct kExactScalar = {ExactBytes, ExactPrepare, ExactSums};
const SignProduct kInt8Scalar = {Int8Bytes, Int8Prepare, Int8Sums};

const FloatKernels kFloatsScalar = {
    .dense_dot = {DenseDot<DenseType::kF32>, DenseDot<DenseType::kF16>, DenseDot<DenseType::kBF16>},
    .to_float = {ToFloat<DenseType::kF32>, ToFloat<DenseType::kF16>, ToFloat<DenseType::kBF16>},
    .to_half = ToHalf,
    .group_dot8 = GroupDot<8>,
    .group_dot6 = GroupDot<6>,
    .group_dot4 = GroupDot<4>,
    .weighted_sum = WeightedSum,
    .weighted_sum_half = WeightedSumHalf,
    .weighted_sum_group8 = WeightedSumGroup8,
    .scale = Scale,
    .add_scaled = AddScaled,
    .softmax = Softmax,
    .swiglu = SwiGlu,
    .rms_norm = RmsNorm,
    .layer_norm = LayerNorm,
};

}  // namespace llmq
