// The fits for eight groups at a time.
#include <immintrin.h>

#include "quants/fit_groups_lanes.h"

namespace llmq {
namespace {

struct Lanes8 {
  static constexpr int kWidth = 8;
  struct Mask {
    __m256 v;
    friend Mask operator&(Mask a, Mask b) { return {_mm256_and_ps(a.v, b.v)}; }
  };
  __m256 v;

  static Lanes8 Load(const float* from) { return {_mm256_load_ps(from)}; }
  static Lanes8 Of(float number) { return {_mm256_set1_ps(number)}; }
  void Store(float* to) const { _mm256_store_ps(to, v); }
  friend Lanes8 operator+(Lanes8 a, Lanes8 b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Lanes8 operator-(Lanes8 a, Lanes8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Lanes8 operator*(Lanes8 a, Lanes8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Lanes8 operator/(Lanes8 a, Lanes8 b) { return {_mm256_div_ps(a.v, b.v)}; }
  static Lanes8 Sqrt(Lanes8 a) { return {_mm256_sqrt_ps(a.v)}; }
  static Lanes8 Abs(Lanes8 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
  static Mask Less(Lanes8 a, Lanes8 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
  static Mask NotEqual(Lanes8 a, Lanes8 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ)}; }
  static Lanes8 Select(Mask mask, Lanes8 yes, Lanes8 no) {
    return {_mm256_blendv_ps(no.v, yes.v, mask.v)};
  }
  static bool Any(Mask mask) { return _mm256_movemask_ps(mask.v) != 0; }
  // clamp(NearestInt(a), low, high): the mantissa is clamped and put back under the exponent.
  static Lanes8 RoundToCode(Lanes8 a, int low, int high) {
    const __m256 shift = _mm256_set1_ps(kRoundingShift);
    __m256i bits = _mm256_castps_si256(_mm256_add_ps(a.v, shift));
    bits = _mm256_and_si256(bits, _mm256_set1_epi32(kMantissaMask));
    bits = _mm256_max_epi32(bits, _mm256_set1_epi32(kMantissaZero + low));
    bits = _mm256_min_epi32(bits, _mm256_set1_epi32(kMantissaZero + high));
    bits = _mm256_or_si256(bits, _mm256_set1_epi32(kRoundingExponent));
    return {_mm256_sub_ps(_mm256_castsi256_ps(bits), shift)};
  }
};

}  // namespace

// No code of this file may run before the machine is known to have it.
constinit const GroupFits kAvx2GroupFits = MakeGroupFits<Lanes8>();

}  // namespace llmq
