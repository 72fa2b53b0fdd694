// The fits for sixteen groups at a time.
#include <immintrin.h>

#include "quants/fit_groups_lanes.h"

namespace llmq {
namespace {

struct Lanes16 {
  static constexpr int kWidth = 16;
  struct Mask {
    __mmask16 v;
    friend Mask operator&(Mask a, Mask b) { return {_kand_mask16(a.v, b.v)}; }
  };
  __m512 v;

  static Lanes16 Load(const float* from) { return {_mm512_load_ps(from)}; }
  static Lanes16 Of(float number) { return {_mm512_set1_ps(number)}; }
  void Store(float* to) const { _mm512_store_ps(to, v); }
  friend Lanes16 operator+(Lanes16 a, Lanes16 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Lanes16 operator-(Lanes16 a, Lanes16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Lanes16 operator*(Lanes16 a, Lanes16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Lanes16 operator/(Lanes16 a, Lanes16 b) { return {_mm512_div_ps(a.v, b.v)}; }
  static Lanes16 Sqrt(Lanes16 a) { return {_mm512_sqrt_ps(a.v)}; }
  static Lanes16 Abs(Lanes16 a) { return {_mm512_abs_ps(a.v)}; }
  static Mask Less(Lanes16 a, Lanes16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
  static Mask NotEqual(Lanes16 a, Lanes16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NEQ_UQ)}; }
  static Lanes16 Select(Mask mask, Lanes16 yes, Lanes16 no) {
    return {_mm512_mask_blend_ps(mask.v, no.v, yes.v)};
  }
  static bool Any(Mask mask) { return mask.v != 0; }
  // clamp(NearestInt(a), low, high): the mantissa is clamped and put back under the exponent.
  static Lanes16 RoundToCode(Lanes16 a, int low, int high) {
    const __m512 shift = _mm512_set1_ps(kRoundingShift);
    __m512i bits = _mm512_castps_si512(_mm512_add_ps(a.v, shift));
    bits = _mm512_and_si512(bits, _mm512_set1_epi32(kMantissaMask));
    bits = _mm512_max_epi32(bits, _mm512_set1_epi32(kMantissaZero + low));
    bits = _mm512_min_epi32(bits, _mm512_set1_epi32(kMantissaZero + high));
    bits = _mm512_or_si512(bits, _mm512_set1_epi32(kRoundingExponent));
    return {_mm512_sub_ps(_mm512_castsi512_ps(bits), shift)};
  }
};

}  // namespace

// No code of this file may run before the machine is known to have it.
constinit const GroupFits kAvx512GroupFits = MakeGroupFits<Lanes16>();

}  // namespace llmq
