// Grouped rows times inputs in 8 bits with AVX-512 VBMI and VNNI: a step of 64 or 128 columns is
// one register of codes, its sums of runs one register of integers.
//
// Before: group_kernels_scalar.cc defines them. Compiled with its own flags; everything but the
// table is in an anonymous namespace and nothing of the standard library is called.
#include <immintrin.h>

#include "kernels/group_input.h"
#include "kernels/versions.h"

namespace llmq {
namespace {

// Rows at a time: they share what is read of the input, and their sums do not wait for each other.
constexpr int kRows = 4;

// All ones for the first n of 64 bytes.
__mmask64 FirstBytes(int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }
__mmask16 FirstLanes(int64_t n) {
  return n >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << n) - 1);
}

// A stream of 6-bit codes, 48 bytes, as bytes in order.
__m512i SixBits(__m512i stream) {
  const __m512i six_bytes = _mm512_set_epi64(
      0x00002f2e2d2c2b2a, 0x0000292827262524, 0x0000232221201f1e, 0x00001d1c1b1a1918,
      0x0000171615141312, 0x000011100f0e0d0c, 0x00000b0a09080706, 0x0000050403020100);
  const __m512i shifts = _mm512_set1_epi64(0x2a241e18120c0600);  // of 8 codes in 48 bits
  const __m512i spread = _mm512_permutexvar_epi8(six_bytes, stream);
  return _mm512_and_si512(_mm512_multishift_epi64_epi8(shifts, spread), _mm512_set1_epi8(63));
}

// Sums of the runs of a step, of which `bytes` are wanted.
template <int bits>
__m512i RunSums(const std::byte* codes, __mmask64 bytes, const GroupStep<bits>& step) {
  const __m512i loaded = _mm512_maskz_loadu_epi8(bytes, codes);
  const __m512i offsets = _mm512_load_si512(step.offsets);
  const __m512i values = _mm512_load_si512(step.values);
  if constexpr (bits == 8) {
    const __m512i positive = _mm512_xor_si512(loaded, _mm512_set1_epi8(-128));
    return _mm512_dpbusd_epi32(offsets, positive, values);
  } else if constexpr (bits == 6) {
    return _mm512_dpbusd_epi32(offsets, SixBits(loaded), values);
  } else {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i even = _mm512_and_si512(loaded, nibble);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi16(loaded, 4), nibble);
    const __m512i odd_values = _mm512_load_si512(step.values + 64);
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(offsets, even, values), odd, odd_values);
  }
}

// The scales of a step's groups in the lanes of their runs.
template <int bits>
__m512 RunScales(const float* scales) {
  if constexpr (bits != 4) return _mm512_set1_ps(*scales);
  const __m512i groups = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutexvar_ps(groups, _mm512_castps128_ps512(_mm_loadu_ps(scales)));
}

float Reduce(__m512 lanes) {
  const __m256 eight =
      _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// `count` rows from `row` on.
template <int bits, int count>
void DotRows(const GroupRows& w, const std::byte* row, const GroupInput<bits>& input, float* y) {
  constexpr int64_t kGroup = kGroupValues<bits>;
  const int64_t groups = (w.cols + kGroup - 1) / kGroup;
  const int64_t code_bytes = (w.cols * bits + 7) / 8;
  const std::byte* halves = row + w.row_bytes - 2 * groups;  // the scales
  __m512 sums[count];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t first = 0; first < groups; first += kScaleGroups) {
    alignas(64) float scales[count][kScaleGroups];
    const __m512 of_input = _mm512_load_ps(input.scales + first);
    for (int i = 0; i < count; ++i) {
      const std::byte* at = halves + i * w.row_bytes + 2 * first;
      _mm_prefetch(at + kRows * w.row_bytes, _MM_HINT_T1);
      const __m256i loaded = _mm256_maskz_loadu_epi16(FirstLanes(groups - first), at);
      _mm512_store_ps(scales[i], _mm512_mul_ps(_mm512_cvtph_ps(loaded), of_input));
    }
    for (int64_t g = 0; g < kScaleGroups && first + g < groups; g += kStepGroups<bits>) {
      const int64_t step = (first + g) / kStepGroups<bits>;
      const int64_t at = step * kStepBytes<bits>;
      const int64_t left = code_bytes - at;
      const __mmask64 bytes = FirstBytes(left < kStepBytes<bits> ? left : kStepBytes<bits>);
      for (int i = 0; i < count; ++i) {
        const std::byte* codes = row + i * w.row_bytes + at;
        _mm_prefetch(codes + kRows * w.row_bytes, _MM_HINT_T1);
        const __m512 runs = _mm512_cvtepi32_ps(RunSums<bits>(codes, bytes, input.steps[step]));
        sums[i] = _mm512_add_ps(sums[i], _mm512_mul_ps(RunScales<bits>(scales[i] + g), runs));
      }
    }
  }
  for (int i = 0; i < count; ++i) y[i] = Reduce(sums[i]);
}

template <int bits>
void Dots(const GroupRows& w, const std::byte* prepared, int64_t begin, int64_t end,
          float* y) noexcept {
  const auto input = ViewGroupInput<bits>(prepared, w.cols);
  int64_t i = begin;
  for (; i + kRows <= end; i += kRows)
    DotRows<bits, kRows>(w, w.bytes + i * w.row_bytes, input, y + i);
  for (; i < end; ++i) DotRows<bits, 1>(w, w.bytes + i * w.row_bytes, input, y + i);
}

}  // namespace

const GroupKernels kGroupsAvx512Vbmi = {Dots<8>, Dots<6>, Dots<4>};

}  // namespace llmq
