// The kernels with AVX2, FMA and F16C: 8 columns at a time, sign bits shifted into the lanes' sign
// position.
//
// Compiled with its own flags; everything but the table is in an anonymous namespace and nothing of
// the standard library is called, so that no code of this file can run on a machine without AVX2.
// Definitions: kernels_scalar.cc. Stage 2 sums in its order; other sums differ in order only.
#include <immintrin.h>

#include "kernels/matrix_product.h"

namespace llmq {
namespace {

constexpr int64_t kLanes = 8;
constexpr int64_t kWord = 32;  // sign bits taken at once

int64_t Min(int64_t a, int64_t b) { return a < b ? a : b; }

// All ones in the first n lanes.
__m256i First(int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(Min(n, kLanes))), index);
}
__m256 LoadFirst(const float* x, int64_t n) {
  return n >= kLanes ? _mm256_loadu_ps(x)
                     : _mm256_maskload_ps(x, First(n));  // n <= 0: zeros, reads nothing
}
void StoreFirst(float* out, int64_t n, __m256 value) {
  if (n >= kLanes) {
    _mm256_storeu_ps(out, value);
  } else {
    _mm256_maskstore_ps(out, First(n), value);
  }
}

// n bytes (at most 16), zeros after them.
__m128i LoadBytes(const void* data, int64_t n) {
  if (n >= 16) return _mm_loadu_si128(static_cast<const __m128i*>(data));
  alignas(16) uint8_t padded[16] = {};
  __builtin_memcpy(padded, data, static_cast<size_t>(n));
  return _mm_load_si128(reinterpret_cast<const __m128i*>(padded));
}
__m128i LoadShorts(const void* data, int64_t n) { return LoadBytes(data, 2 * Min(n, kLanes)); }
__m256 LoadHalf(const void* data, int64_t n) { return _mm256_cvtph_ps(LoadShorts(data, n)); }
float HalfAt(const void* data) { return _mm256_cvtss_f32(LoadHalf(data, 1)); }

// Sign bits of up to 32 columns beginning at a byte border, in every lane; reads no byte past the
// n-th bit.
__m256i Signs(const uint8_t* bytes, int64_t n) {
  uint32_t word = 0;
  __builtin_memcpy(&word, bytes, static_cast<size_t>(n >= kWord ? 4 : (n + 7) / 8));
  return _mm256_set1_epi32(static_cast<int>(word));
}
// x with the signs of bits 8b .. 8b+7 of the word applied.
__m256 ApplySigns(__m256i word, int b, __m256 x) {
  const __m256i shift =
      _mm256_sub_epi32(_mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24), _mm256_set1_epi32(8 * b));
  const __m256i sign =
      _mm256_and_si256(_mm256_sllv_epi32(word, shift), _mm256_set1_epi32(INT32_MIN));
  return _mm256_xor_ps(x, _mm256_castsi256_ps(sign));
}

float Reduce(__m256 sum) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

void Scale(const uint16_t* g, const float* x, int64_t n, float* out) noexcept {
  for (int64_t j = 0; j < n; j += kLanes) {
    StoreFirst(out + j, n - j, _mm256_mul_ps(LoadHalf(g + j, n - j), LoadFirst(x + j, n - j)));
  }
}

// Rows [k, k + kRows) together, so that the columns are loaded once for all.
template <int kRows>
void LatentRows(const SignBits& v, const float* gx, const uint16_t* l, int64_t k, float* t) {
  const int64_t row_bytes = (v.cols + 7) / 8;
  const uint8_t* bytes = v.bytes + k * row_bytes;
  __m256 sums[kRows];
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  for (int64_t j = 0; j < v.cols; j += kWord) {
    __m256 x[4];
    for (int b = 0; b < 4; ++b) {
      const int64_t n = v.cols - j - b * kLanes;
      x[b] = n > 0 ? LoadFirst(gx + j + b * kLanes, n) : _mm256_setzero_ps();
    }
    for (int r = 0; r < kRows; ++r) {
      const __m256i word = Signs(bytes + r * row_bytes + j / 8, v.cols - j);
      for (int b = 0; b < 4; ++b) sums[r] = _mm256_add_ps(sums[r], ApplySigns(word, b, x[b]));
    }
  }
  for (int r = 0; r < kRows; ++r) t[k + r] = HalfAt(l + k + r) * Reduce(sums[r]);
}

void Latent(const SignBits& v, const float* gx, const uint16_t* l, int64_t begin, int64_t end,
            float* t) noexcept {
  int64_t k = begin;
  for (; k + 4 <= end; k += 4) LatentRows<4>(v, gx, l, k, t);
  for (; k < end; ++k) LatentRows<1>(v, gx, l, k, t);
}

// Columns [j, j + 32), of which those below `end` exist.
void OutputColumns(const SignBits& u, const float* t, const uint16_t* h, int64_t j, int64_t end,
                   float* y) {
  const int64_t row_bytes = (u.cols + 7) / 8;
  const uint8_t* bytes = u.bytes + j / 8;
  __m256 sums[4];
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  for (int64_t k = 0; k < u.rows; ++k, bytes += row_bytes) {
    const __m256i word = Signs(bytes, end - j);
    const __m256 value = _mm256_set1_ps(t[k]);
    for (int b = 0; b < 4; ++b) sums[b] = _mm256_add_ps(sums[b], ApplySigns(word, b, value));
  }
  for (int b = 0; b < 4 && j < end; ++b, j += kLanes) {
    const __m256 product = _mm256_mul_ps(LoadHalf(h + j, end - j), sums[b]);
    StoreFirst(y + j, end - j, _mm256_add_ps(LoadFirst(y + j, end - j), product));
  }
}

void Output(const SignBits& u, const float* t, const uint16_t* h, int64_t begin, int64_t end,
            float* y) noexcept {
  for (int64_t j = begin; j < end; j += kWord) OutputColumns(u, t, h, j, end, y);
}

void ExpandSigns(const SignBits& bits, int64_t row_begin, int64_t row_end, int64_t begin,
                 int64_t end, float* out) noexcept {
  const int64_t row_bytes = (bits.cols + 7) / 8;
  for (int64_t k = row_begin; k < row_end; ++k, out += end - begin) {
    const uint8_t* row = bits.bytes + k * row_bytes;
    for (int64_t j = begin; j < end; j += kLanes) {
      const __m256i word = _mm256_set1_epi32(row[j / 8]);
      StoreFirst(out + j - begin, end - j, ApplySigns(word, 0, _mm256_set1_ps(1.0f)));
    }
  }
}

// Up to 8 elements as floats, zeros past the n-th.
template <DenseType type>
__m256 Load(const std::byte* w, int64_t n) {
  if constexpr (type == DenseType::kF32)
    return _mm256_castsi256_ps(
        n >= kLanes ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w))
                    : _mm256_maskload_epi32(reinterpret_cast<const int*>(w), First(n)));
  if constexpr (type == DenseType::kF16) return LoadHalf(w, n);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(LoadShorts(w, n)), 16));
}
template <DenseType type>
constexpr int64_t kBytes = type == DenseType::kF32 ? 4 : 2;

template <DenseType type>
float DotRow(const std::byte* row, int64_t cols, const float* x) {
  __m256 sums[4];
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  int64_t j = 0;
  for (; j + 4 * kLanes <= cols; j += 4 * kLanes) {
    for (int i = 0; i < 4; ++i) {
      const int64_t at = j + i * kLanes;
      sums[i] = _mm256_fmadd_ps(Load<type>(row + at * kBytes<type>, kLanes),
                                _mm256_loadu_ps(x + at), sums[i]);
    }
  }
  for (; j < cols; j += kLanes) {
    sums[0] = _mm256_fmadd_ps(Load<type>(row + j * kBytes<type>, cols - j),
                              LoadFirst(x + j, cols - j), sums[0]);
  }
  return Reduce(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
}

template <DenseType type>
void DenseDot(const std::byte* w, int64_t cols, const float* x, int64_t begin, int64_t end,
              float* y) noexcept {
  for (int64_t i = begin; i < end; ++i) y[i] = DotRow<type>(w + i * cols * kBytes<type>, cols, x);
}

template <DenseType type>
void ToFloat(const std::byte* w, int64_t n, float* out) noexcept {
  for (int64_t j = 0; j < n; j += kLanes) {
    StoreFirst(out + j, n - j, Load<type>(w + j * kBytes<type>, n - j));
  }
}

// sum + codes * x over 16 signed bytes, of which the first n count.
__m256 AddCodes(__m128i codes, const float* x, int64_t n, __m256 sum) {
  const __m256 first = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
  sum = _mm256_fmadd_ps(first, LoadFirst(x, n), sum);
  if (n <= kLanes) return sum;
  const __m256 second = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)));
  return _mm256_fmadd_ps(second, LoadFirst(x + kLanes, n - kLanes), sum);
}

// sum_j code_j x_j over one group of n <= 64 8-bit codes, still in lanes.
__m256 GroupSum8(const std::byte* codes, const float* x, int64_t n) {
  __m256 sum = _mm256_setzero_ps();
  for (int64_t j = 0; j < n; j += 16)
    sum = AddCodes(LoadBytes(codes + j, n - j), x + j, n - j, sum);
  return sum;
}

// The same for n <= 32 4-bit codes: the earlier of a byte's two in its low half.
__m256 GroupSum4(const std::byte* codes, const float* x, int64_t n) {
  const __m128i bytes = LoadBytes(codes, (n + 1) / 2);
  const __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
  const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
  const __m128i eight = _mm_set1_epi8(8);
  const __m256 sum =
      AddCodes(_mm_sub_epi8(_mm_unpacklo_epi8(low, high), eight), x, n, _mm256_setzero_ps());
  if (n <= 16) return sum;
  return AddCodes(_mm_sub_epi8(_mm_unpackhi_epi8(low, high), eight), x + 16, n - 16, sum);
}

// Codes 0 to 7 of 6 bits that begin at byte `at` (0 or 6) of 12: each 32-bit lane takes the two
// bytes that hold its code.
template <int at>
__m256 Codes6(__m256i bytes) {
  const __m256i take = _mm256_setr_epi8(
      at + 0, at + 1, -1, -1, at + 0, at + 1, -1, -1, at + 1, at + 2, -1, -1, at + 2, -1, -1, -1,
      at + 3, at + 4, -1, -1, at + 3, at + 4, -1, -1, at + 4, at + 5, -1, -1, at + 5, -1, -1, -1);
  const __m256i pairs = _mm256_shuffle_epi8(bytes, take);
  const __m256i codes = _mm256_srlv_epi32(pairs, _mm256_setr_epi32(0, 6, 4, 2, 0, 6, 4, 2));
  return _mm256_cvtepi32_ps(
      _mm256_sub_epi32(_mm256_and_si256(codes, _mm256_set1_epi32(63)), _mm256_set1_epi32(32)));
}

// sum + codes * x over the 16 codes in the first 12 bytes, of which the first n count.
__m256 AddCodes6(__m128i bytes, const float* x, int64_t n, __m256 sum) {
  const __m256i both = _mm256_broadcastsi128_si256(bytes);
  sum = _mm256_fmadd_ps(Codes6<0>(both), LoadFirst(x, n), sum);
  if (n <= kLanes) return sum;
  return _mm256_fmadd_ps(Codes6<6>(both), LoadFirst(x + kLanes, n - kLanes), sum);
}

// The same for n <= 64 6-bit codes: a stream of bits, 16 codes in 12 bytes.
__m256 GroupSum6(const std::byte* codes, const float* x, int64_t n) {
  __m256 sum = _mm256_setzero_ps();
  if (n == 64) {  // 48 bytes, in loads of 16
    for (int i = 0; i < 3; ++i) sum = AddCodes6(LoadBytes(codes + 12 * i, 16), x + 16 * i, 16, sum);
    return AddCodes6(_mm_srli_si128(LoadBytes(codes + 32, 16), 4), x + 48, 16, sum);
  }
  for (int64_t j = 0; j < n; j += 16) {
    const int64_t bytes = (6 * (n - j) + 7) / 8;
    sum = AddCodes6(LoadBytes(codes + 12 * (j / 16), bytes), x + j, n - j, sum);
  }
  return sum;
}

template <int bits>
__m256 GroupSum(const std::byte* codes, const float* x, int64_t n) {
  if constexpr (bits == 8) return GroupSum8(codes, x, n);
  if constexpr (bits == 6) return GroupSum6(codes, x, n);
  return GroupSum4(codes, x, n);
}

template <int bits>
void GroupDot(const std::byte* w, int64_t row_bytes, int64_t cols, const float* x, int64_t begin,
              int64_t end, float* y) noexcept {
  constexpr int64_t kGroup = kGroupValues<bits>;
  const int64_t groups = (cols + kGroup - 1) / kGroup;
  for (int64_t i = begin; i < end; ++i) {
    const std::byte* row = w + i * row_bytes;
    const std::byte* scales = row + row_bytes - 2 * groups;  // the scales end the row
    __m256 total = _mm256_setzero_ps();
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t j = group * kGroup;
      const int64_t n = Min(cols - j, kGroup);
      const __m256 sum = GroupSum<bits>(row + j * bits / 8, x + j, n);
      total = _mm256_fmadd_ps(_mm256_set1_ps(HalfAt(scales + 2 * group)), sum, total);
    }
    y[i] = Reduce(total);
  }
}

void WeightedSum(const float* m, const float* weight, int64_t rows, int64_t cols,
                 float* out) noexcept {
  for (int64_t c = 0; c < cols; c += 4 * kLanes) {
    __m256 sums[4];
    for (__m256& sum : sums) sum = _mm256_setzero_ps();
    const int blocks = static_cast<int>(Min(4, (cols - c + kLanes - 1) / kLanes));
    for (int64_t i = 0; i < rows; ++i) {
      const __m256 factor = _mm256_set1_ps(weight[i]);
      for (int b = 0; b < blocks; ++b) {
        const int64_t at = c + b * kLanes;
        sums[b] = _mm256_fmadd_ps(factor, LoadFirst(m + i * cols + at, cols - at), sums[b]);
      }
    }
    for (int b = 0; b < blocks; ++b)
      StoreFirst(out + c + b * kLanes, cols - c - b * kLanes, sums[b]);
  }
}

}  // namespace

const KernelTable kAvx2Kernels = {
    .name = "avx2",
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
    .matrix_product = MatrixProductAvx2,
};

}  // namespace llmq
