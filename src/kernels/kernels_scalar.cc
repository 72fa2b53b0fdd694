// THE DEFINITION of the arithmetic of a compressed layer, of grouped tensors and of dense products.
//
// Plain float32, one operation after another in the order of the index, each rounded on its own
// (the build forbids contraction into fused operations). Versions in other files may sum in another
// order; the tests say by how much they may differ. This version runs where no other does.
#include <cstring>

#include "base/half.h"
#include "kernels/matrix_product.h"

namespace llmq {
namespace {

float Sign(const SignBits& bits, int64_t row, int64_t col) {
  const int64_t row_bytes = (bits.cols + 7) / 8;
  return (bits.bytes[row * row_bytes + col / 8] >> (col % 8)) & 1 ? -1.0f : 1.0f;
}

void Scale(const uint16_t* g, const float* x, int64_t n, float* out) noexcept {
  for (int64_t j = 0; j < n; ++j) out[j] = HalfToFloat(g[j]) * x[j];
}

void Latent(const SignBits& v, const float* gx, const uint16_t* l, int64_t begin, int64_t end,
            float* t) noexcept {
  for (int64_t k = begin; k < end; ++k) {
    float sum = 0;
    for (int64_t j = 0; j < v.cols; ++j) sum += Sign(v, k, j) * gx[j];
    t[k] = HalfToFloat(l[k]) * sum;
  }
}

void Output(const SignBits& u, const float* t, const uint16_t* h, int64_t begin, int64_t end,
            float* y) noexcept {
  for (int64_t j = begin; j < end; ++j) {
    float sum = 0;
    for (int64_t k = 0; k < u.rows; ++k) sum += Sign(u, k, j) * t[k];
    y[j] += HalfToFloat(h[j]) * sum;
  }
}

void ExpandSigns(const SignBits& bits, int64_t row_begin, int64_t row_end, int64_t begin,
                 int64_t end, float* out) noexcept {
  for (int64_t k = row_begin; k < row_end; ++k) {
    for (int64_t j = begin; j < end; ++j) *out++ = Sign(bits, k, j);
  }
}

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
    float sum = 0;
    for (int64_t j = 0; j < cols; ++j) sum += Element<type>(w, i * cols + j) * x[j];
    y[i] = sum;
  }
}

template <DenseType type>
void ToFloat(const std::byte* w, int64_t n, float* out) noexcept {
  for (int64_t j = 0; j < n; ++j) out[j] = Element<type>(w, j);
}

template <int bits>
float Code(const std::byte* row, int64_t j) {
  if constexpr (bits == 8) return static_cast<float>(static_cast<int8_t>(row[j]));
  // Code j is bits `bits * j` and up of the row's bytes, the lowest first.
  const int64_t byte = j * bits / 8;
  const int shift = static_cast<int>(j * bits % 8);
  int code = static_cast<int>(row[byte]) >> shift;
  if (shift + bits > 8) code |= static_cast<int>(row[byte + 1]) << (8 - shift);
  return static_cast<float>((code & ((1 << bits) - 1)) - (1 << (bits - 1)));
}

template <int bits>
void GroupDot(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x, int64_t begin,
              int64_t end, float* y) noexcept {
  constexpr int64_t kGroup = kGroupValues<bits>;
  for (int64_t i = begin; i < end; ++i) {
    const std::byte* row = w + i * row_bytes;
    const int64_t groups = (cols + kGroup - 1) / kGroup;
    const std::byte* scales = row + row_bytes - 2 * groups;  // the scales end the row
    float total = 0;
    for (int64_t group = 0; group < groups; ++group) {
      float sum = 0;
      for (int64_t j = group * kGroup; j < cols && j < (group + 1) * kGroup; ++j)
        sum += Code<bits>(row, j) * x[j];
      total += Element<DenseType::kF16>(scales, group) * sum;
    }
    y[i] = total;
  }
}

void WeightedSum(const float* m, const float* weight, int64_t rows, int64_t cols,
                 float* out) noexcept {
  for (int64_t c = 0; c < cols; ++c) {
    float sum = 0;
    for (int64_t i = 0; i < rows; ++i) sum += weight[i] * m[i * cols + c];
    out[c] = sum;
  }
}

}  // namespace

const KernelTable kScalarKernels = {
    .name = "scalar",
    .scale = Scale,
    .latent = Latent,
    .output = Output,
    .expand_signs = ExpandSigns,
    .dense_dot = {DenseDot<DenseType::kF32>, DenseDot<DenseType::kF16>, DenseDot<DenseType::kBF16>},
    .to_float = {ToFloat<DenseType::kF32>, ToFloat<DenseType::kF16>, ToFloat<DenseType::kBF16>},
    .group_dot8 = GroupDot<8>,
    .group_dot6 = GroupDot<6>,
    .group_dot4 = GroupDot<4>,
    .weighted_sum = WeightedSum,
    .matrix_product = MatrixProductScalar,
};

}  // namespace llmq
