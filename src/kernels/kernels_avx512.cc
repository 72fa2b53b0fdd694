// The kernels with AVX-512 (F, BW, DQ, VL): 16 columns at a time, a row of sign bits used as a lane
// mask.
//
// Compiled with its own flags; everything but the table is in an anonymous namespace and nothing of
// the standard library is called, so that no code of this file can run on a machine without
// AVX-512. Definitions: kernels_scalar.cc. Stage 2 sums in its order; other sums differ in order
// only.
#include <immintrin.h>

#include "kernels/matrix_product.h"

namespace llmq {
namespace {

constexpr int64_t kLanes = 16;

// The first n of 16 lanes; all for n >= 16.
__mmask16 First(int64_t n) {
  return n >= kLanes ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << n) - 1);
}

// Sign bits of up to 16 columns beginning at a byte border; reads no byte past the n-th bit.
__mmask16 Signs(const uint8_t* bytes, int64_t n) {
  return n > 8 ? static_cast<__mmask16>(bytes[0] | bytes[1] << 8)
               : static_cast<__mmask16>(bytes[0]);
}

__m512 LoadHalf(const void* data, int64_t n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(First(n), data));
}

__m512 Negate(__m512 x) {
  return _mm512_castsi512_ps(
      _mm512_xor_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MIN)));
}

float HalfAt(const void* data) { return _mm512_cvtss_f32(LoadHalf(data, 1)); }

void Scale(const uint16_t* g, const float* x, int64_t n, float* out) noexcept {
  for (int64_t j = 0; j < n; j += kLanes) {
    const __mmask16 in = First(n - j);
    const __m512 product = _mm512_mul_ps(LoadHalf(g + j, n - j), _mm512_maskz_loadu_ps(in, x + j));
    _mm512_mask_storeu_ps(out + j, in, product);
  }
}

// Rows [k, k + kRows) together, so that the columns are loaded once for all.
template <int kRows>
void LatentRows(const SignBits& v, const float* gx, const uint16_t* l, int64_t k, float* t) {
  const int64_t row_bytes = (v.cols + 7) / 8;
  const uint8_t* bytes = v.bytes + k * row_bytes;
  __m512 sums[kRows];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < v.cols; j += kLanes) {
    const __m512 x = _mm512_maskz_loadu_ps(First(v.cols - j), gx + j);
    const __m512 negative = Negate(x);
    for (int r = 0; r < kRows; ++r) {
      const __mmask16 signs = Signs(bytes + r * row_bytes + j / 8, v.cols - j);
      sums[r] = _mm512_add_ps(sums[r], _mm512_mask_blend_ps(signs, x, negative));
    }
  }
  for (int r = 0; r < kRows; ++r) t[k + r] = HalfAt(l + k + r) * _mm512_reduce_add_ps(sums[r]);
}

void Latent(const SignBits& v, const float* gx, const uint16_t* l, int64_t begin, int64_t end,
            float* t) noexcept {
  int64_t k = begin;
  for (; k + 8 <= end; k += 8) LatentRows<8>(v, gx, l, k, t);
  for (; k < end; ++k) LatentRows<1>(v, gx, l, k, t);
}

// Columns [j, j + 16 * kBlocks), of which those below `end` exist.
template <int kBlocks>
void OutputColumns(const SignBits& u, const float* t, const uint16_t* h, int64_t j, int64_t end,
                   float* y) {
  const int64_t row_bytes = (u.cols + 7) / 8;
  const uint8_t* bytes = u.bytes + j / 8;
  __m512 sums[kBlocks];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t k = 0; k < u.rows; ++k, bytes += row_bytes) {
    const __m512 positive = _mm512_set1_ps(t[k]);
    const __m512 negative = Negate(positive);
    for (int b = 0; b < kBlocks; ++b) {
      const __mmask16 signs = Signs(bytes + 2 * b, end - j - kLanes * b);
      sums[b] = _mm512_add_ps(sums[b], _mm512_mask_blend_ps(signs, positive, negative));
    }
  }
  for (int b = 0; b < kBlocks; ++b, j += kLanes) {
    const __mmask16 in = First(end - j);
    const __m512 product = _mm512_mul_ps(LoadHalf(h + j, end - j), sums[b]);
    _mm512_mask_storeu_ps(y + j, in, _mm512_add_ps(_mm512_maskz_loadu_ps(in, y + j), product));
  }
}

void Output(const SignBits& u, const float* t, const uint16_t* h, int64_t begin, int64_t end,
            float* y) noexcept {
  int64_t j = begin;
  for (; j + 8 * kLanes <= end; j += 8 * kLanes) OutputColumns<8>(u, t, h, j, end, y);
  for (; j < end; j += kLanes) OutputColumns<1>(u, t, h, j, end, y);
}

void ExpandSigns(const SignBits& bits, int64_t row_begin, int64_t row_end, int64_t begin,
                 int64_t end, float* out) noexcept {
  const int64_t row_bytes = (bits.cols + 7) / 8;
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 minus_one = _mm512_set1_ps(-1.0f);
  for (int64_t k = row_begin; k < row_end; ++k, out += end - begin) {
    const uint8_t* row = bits.bytes + k * row_bytes;
    for (int64_t j = begin; j < end; j += kLanes) {
      const __mmask16 signs = Signs(row + j / 8, end - j);
      _mm512_mask_storeu_ps(out + j - begin, First(end - j),
                            _mm512_mask_blend_ps(signs, one, minus_one));
    }
  }
}

// Up to 16 elements as floats, zeros past the n-th.
template <DenseType type>
__m512 Load(const std::byte* w, int64_t n) {
  if constexpr (type == DenseType::kF32) return _mm512_maskz_loadu_ps(First(n), w);
  if constexpr (type == DenseType::kF16) return LoadHalf(w, n);
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(First(n), w));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
template <DenseType type>
constexpr int64_t kBytes = type == DenseType::kF32 ? 4 : 2;

template <DenseType type>
float DotRow(const std::byte* row, int64_t cols, const float* x) {
  __m512 sums[4];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  int64_t j = 0;
  for (; j + 4 * kLanes <= cols; j += 4 * kLanes) {
    for (int i = 0; i < 4; ++i) {
      const int64_t at = j + i * kLanes;
      sums[i] = _mm512_fmadd_ps(Load<type>(row + at * kBytes<type>, kLanes),
                                _mm512_loadu_ps(x + at), sums[i]);
    }
  }
  for (; j < cols; j += kLanes) {
    const __m512 values = _mm512_maskz_loadu_ps(First(cols - j), x + j);
    sums[0] = _mm512_fmadd_ps(Load<type>(row + j * kBytes<type>, cols - j), values, sums[0]);
  }
  return _mm512_reduce_add_ps(
      _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}

template <DenseType type>
void DenseDot(const std::byte* w, int64_t cols, const float* x, int64_t begin, int64_t end,
              float* y) noexcept {
  for (int64_t i = begin; i < end; ++i) y[i] = DotRow<type>(w + i * cols * kBytes<type>, cols, x);
}

template <DenseType type>
void ToFloat(const std::byte* w, int64_t n, float* out) noexcept {
  for (int64_t j = 0; j < n; j += kLanes) {
    _mm512_mask_storeu_ps(out + j, First(n - j), Load<type>(w + j * kBytes<type>, n - j));
  }
}

// sum_j code_j x_j over one group of n <= 64 8-bit codes, still in lanes.
__m512 GroupSum8(const std::byte* codes, const float* x, int64_t n) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < n; j += kLanes) {
    const __m128i bytes = _mm_maskz_loadu_epi8(First(n - j), codes + j);
    const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    sum = _mm512_fmadd_ps(values, _mm512_maskz_loadu_ps(First(n - j), x + j), sum);
  }
  return sum;
}

// The same for n <= 32 4-bit codes: the earlier of a byte's two in its low half.
__m512 GroupSum4(const std::byte* codes, const float* x, int64_t n) {
  const __m128i bytes = _mm_maskz_loadu_epi8(First((n + 1) / 2), codes);
  const __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
  const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
  const __m128i eight = _mm_set1_epi8(8);
  const __m128i first = _mm_sub_epi8(_mm_unpacklo_epi8(low, high), eight);
  const __m128i second = _mm_sub_epi8(_mm_unpackhi_epi8(low, high), eight);
  const __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(first)),
                                   _mm512_maskz_loadu_ps(First(n), x));
  if (n <= kLanes) return sum;
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(second)),
                         _mm512_maskz_loadu_ps(First(n - kLanes), x + kLanes), sum);
}

// The same for n <= 64 6-bit codes, a stream of bits: 16 codes in 12 bytes, of which each 32-bit
// lane takes the two that hold its code.
__m512 GroupSum6(const std::byte* codes, const float* x, int64_t n) {
  const __m128i lane = _mm_setr_epi8(0, 1, -1, -1, 0, 1, -1, -1, 1, 2, -1, -1, 2, 3, -1, -1);
  // The second four codes begin 3 bytes further on, and so forth.
  const __m512i take =
      _mm512_add_epi8(_mm512_broadcast_i32x4(lane),
                      _mm512_setr_epi32(0, 0, 0, 0, 0x0303, 0x0303, 0x0303, 0x0303, 0x0606, 0x0606,
                                        0x0606, 0x0606, 0x0909, 0x0909, 0x0909, 0x0909));
  const __m512i shift = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 6, 4, 2));
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < n; j += kLanes) {
    const int64_t bytes = n - j >= kLanes ? 12 : (6 * (n - j) + 7) / 8;
    const __m128i twelve = _mm_maskz_loadu_epi8(First(bytes), codes + 12 * (j / kLanes));
    const __m512i pairs = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(twelve), take);
    const __m512i stored = _mm512_and_si512(_mm512_srlv_epi32(pairs, shift), _mm512_set1_epi32(63));
    const __m512 values = _mm512_cvtepi32_ps(_mm512_sub_epi32(stored, _mm512_set1_epi32(32)));
    sum = _mm512_fmadd_ps(values, _mm512_maskz_loadu_ps(First(n - j), x + j), sum);
  }
  return sum;
}

template <int bits>
__m512 GroupSum(const std::byte* codes, const float* x, int64_t n) {
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
    __m512 total = _mm512_setzero_ps();
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t j = group * kGroup;
      const int64_t n = cols - j < kGroup ? cols - j : kGroup;
      const __m512 sum = GroupSum<bits>(row + j * bits / 8, x + j, n);
      total = _mm512_fmadd_ps(_mm512_set1_ps(HalfAt(scales + 2 * group)), sum, total);
    }
    y[i] = _mm512_reduce_add_ps(total);
  }
}

void WeightedSum(const float* m, const float* weight, int64_t rows, int64_t cols,
                 float* out) noexcept {
  for (int64_t c = 0; c < cols; c += 4 * kLanes) {
    __m512 sums[4];
    for (__m512& sum : sums) sum = _mm512_setzero_ps();
    for (int64_t i = 0; i < rows; ++i) {
      const __m512 factor = _mm512_set1_ps(weight[i]);
      for (int b = 0; b < 4 && c + b * kLanes < cols; ++b) {
        const int64_t at = c + b * kLanes;
        sums[b] = _mm512_fmadd_ps(
            factor, _mm512_maskz_loadu_ps(First(cols - at), m + i * cols + at), sums[b]);
      }
    }
    for (int b = 0; b < 4 && c + b * kLanes < cols; ++b) {
      const int64_t at = c + b * kLanes;
      _mm512_mask_storeu_ps(out + at, First(cols - at), sums[b]);
    }
  }
}

}  // namespace

const KernelTable kAvx512Kernels = {
    .name = "avx512",
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
    .matrix_product = MatrixProductAvx512,
};

}  // namespace llmq
