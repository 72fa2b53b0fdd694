// Grouped rows times inputs in 8 bits with AVX2: 32 bytes of codes are the 8 runs of half a
// register's lanes.
//
// Before: group_kernels_scalar.cc defines them. Compiled with its own flags; everything but the
// table is in an anonymous namespace and nothing of the standard library is called.
#include <immintrin.h>

#include "kernels/group_input.h"
#include "kernels/versions.h"

namespace llmq {
namespace {

constexpr int kHalves = 2;  // registers of 8 lanes
constexpr int64_t kLanes = kRunLanes / kHalves;
constexpr int64_t kRowsAhead = 4;  // rows whose place is fetched while this one is read

// The first n bytes, zeros after them.
template <int64_t size>
void CopyFirst(const std::byte* from, int64_t n, std::byte* to) {
  __builtin_memset(to, 0, size);
  __builtin_memcpy(to, from, static_cast<size_t>(n));
}

__m256i Load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

// A stream of 6-bit codes, 24 bytes, as bytes in order: 3 bytes are 4 codes, the even ones moved
// down within 16 bits, the odd ones up.
__m256i SixBits(const std::byte* stream) {
  const auto load = [=](int at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(stream + at));
  };
  const __m256i bytes = _mm256_setr_m128i(load(0), load(8));  // of the second, the last 12 count
  const __m256i even_bytes =
      _mm256_setr_epi8(-1, 0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11,  //
                       -1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15);
  const __m256i odd_bytes =
      _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,  //
                       4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1);
  // Of two 16-bit numbers, the first's code is bits 8 to 13, the second's bits 4 to 9.
  const __m256i even =
      _mm256_mulhi_epu16(_mm256_shuffle_epi8(bytes, even_bytes), _mm256_set1_epi32(0x10000100));
  // Bits 6 to 11, and bits 2 to 7.
  const __m256i odd =
      _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, odd_bytes), _mm256_set1_epi32(0x00400004));
  return _mm256_or_si256(_mm256_and_si256(even, _mm256_set1_epi16(0x003f)),
                         _mm256_and_si256(odd, _mm256_set1_epi16(0x3f00)));
}

// Sums of the 8 runs of half a step, whose codes are all there.
template <int bits>
__m256i RunSums(const std::byte* codes, const GroupStep<bits>& step, int half) {
  const __m256i one = _mm256_set1_epi16(1);
  const __m256i values = Load(step.values + 32 * half);
  if constexpr (bits == 8) {
    // Products of magnitudes: sums of two fit 16 bits, whose limit unsigned codes would pass.
    const __m256i loaded = Load(codes);
    return _mm256_madd_epi16(
        _mm256_maddubs_epi16(_mm256_abs_epi8(loaded), _mm256_sign_epi8(values, loaded)), one);
  }
  const __m256i offsets = Load(step.offsets + kLanes * half);
  if constexpr (bits == 6)
    return _mm256_add_epi32(offsets,
                            _mm256_madd_epi16(_mm256_maddubs_epi16(SixBits(codes), values), one));
  const __m256i loaded = Load(codes);
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i even = _mm256_maddubs_epi16(_mm256_and_si256(loaded, nibble), values);
  const __m256i odd = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(loaded, 4), nibble),
                                           Load(step.values + kStep<bits> / 2 + 32 * half));
  return _mm256_add_epi32(offsets, _mm256_madd_epi16(_mm256_add_epi16(even, odd), one));
}

// The scales of half a step's groups in the lanes of their runs.
template <int bits>
__m256 RunScales(const float* scales, int half) {
  if constexpr (bits != 4) return _mm256_set1_ps(*scales);
  return _mm256_set_m128(_mm_set1_ps(scales[2 * half + 1]), _mm_set1_ps(scales[2 * half]));
}

float Reduce(const __m256* lanes) {
  const __m256 eight = _mm256_add_ps(lanes[0], lanes[1]);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// Products of the scales of 16 groups, of which `n` are there.
void Scales(const std::byte* halves, int64_t n, const float* of_input, float* scales) {
  alignas(32) std::byte first[2 * kScaleGroups];
  const bool whole = n >= kScaleGroups;
  if (!whole) CopyFirst<2 * kScaleGroups>(halves, 2 * n, first);
  const auto* from = reinterpret_cast<const __m128i*>(whole ? halves : first);
  for (int half = 0; half < kHalves; ++half) {
    const __m256 of_row = _mm256_cvtph_ps(_mm_loadu_si128(from + half));
    _mm256_store_ps(scales + kLanes * half,
                    _mm256_mul_ps(of_row, _mm256_load_ps(of_input + kLanes * half)));
  }
}

template <int bits>
float DotRow(const GroupRows& w, const std::byte* row, const GroupInput<bits>& input) {
  constexpr int64_t kGroup = kGroupValues<bits>, kBytes = kStepBytes<bits>;
  const int64_t groups = (w.cols + kGroup - 1) / kGroup;
  const int64_t code_bytes = (w.cols * bits + 7) / 8;
  const std::byte* halves = row + w.row_bytes - 2 * groups;  // the scales
  __m256 sums[kHalves] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  alignas(32) float scales[kScaleGroups];
  for (int64_t group = 0; group < groups; group += kStepGroups<bits>) {
    if (group % kScaleGroups == 0) {
      _mm_prefetch(halves + 2 * group + kRowsAhead * w.row_bytes, _MM_HINT_T1);
      Scales(halves + 2 * group, groups - group, input.scales + group, scales);
    }
    const int64_t step = group / kStepGroups<bits>;
    const std::byte* codes = row + step * kBytes;
    _mm_prefetch(codes + kRowsAhead * w.row_bytes, _MM_HINT_T1);
    std::byte last[kBytes];
    if (code_bytes - step * kBytes < kBytes) {
      CopyFirst<kBytes>(codes, code_bytes - step * kBytes, last);
      codes = last;
    }
    for (int half = 0; half < kHalves; ++half) {
      const __m256 runs = _mm256_cvtepi32_ps(
          RunSums<bits>(codes + half * (kBytes / kHalves), input.steps[step], half));
      sums[half] = _mm256_add_ps(
          sums[half], _mm256_mul_ps(RunScales<bits>(scales + group % kScaleGroups, half), runs));
    }
  }
  return Reduce(sums);
}

template <int bits>
void Dots(const GroupRows& w, const std::byte* prepared, int64_t begin, int64_t end,
          float* y) noexcept {
  const auto input = ViewGroupInput<bits>(prepared, w.cols);
  for (int64_t i = begin; i < end; ++i) y[i] = DotRow<bits>(w, w.bytes + i * w.row_bytes, input);
}

}  // namespace

const GroupKernels kGroupsAvx2 = {Dots<8>, Dots<6>, Dots<4>};

}  // namespace llmq
