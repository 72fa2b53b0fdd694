#include "compress/train/latent_loop.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace llmq {
namespace {

constexpr int64_t kLanes = 16;  // of the sum over a row: the order of its additions
using Lanes = std::array<float, kLanes>;

// exp(x) for x <= 0, to 2e-7 of itself; below -87 as at -87. x = n ln 2 + r; exp(r) by its series.
inline float ExpOfNegative(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the low bits
  const float bounded = std::max(x, -87.0f);
  const float shifted = bounded * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  constexpr float k3 = 1.0f / 6, k4 = 1.0f / 24, k5 = 1.0f / 120, k6 = 1.0f / 720;
  const float series = (((((k6 * r + k5) * r + k4) * r + k3) * r + 0.5f) * r + 1) * r + 1;
  return series * std::bit_cast<float>((std::bit_cast<int32_t>(shifted) << 23) + (127 << 23));
}

// d sign(x) / dx: sign_ste.h. 1 - tanh^2(k x) = 4 e / (1 + e)^2 with e = exp(-2 k |x|).
template <Surrogate kSurrogate>
inline float Slope(float x) {
  const float size = std::abs(x);
  if (kSurrogate == Surrogate::kStraightThrough) return size < 1 ? 1.0f : 0.0f;
  constexpr float kSharpness = static_cast<float>(kSmoothSignSharpness);
  const float e = ExpOfNegative(-2 * kSharpness * size);
  return 4 * kSharpness * e / ((1 + e) * (1 + e));
}

// `count` elements from `j` on, at most kLanes of them.
template <Surrogate kSurrogate>
[[gnu::always_inline]] inline void MoveSome(const LatentRow& row, const LatentStep& step, int64_t j,
                                            int64_t count, float* lanes) {
  constexpr float kBeta1 = static_cast<float>(kAdamBeta1), kBeta2 = static_cast<float>(kAdamBeta2);
  constexpr float kRest1 = static_cast<float>(1 - kAdamBeta1);
  constexpr float kRest2 = static_cast<float>(1 - kAdamBeta2);
  constexpr float kEpsilon = static_cast<float>(kAdamEpsilon);
  float *latent = row.latent + j, *first = row.first_moment + j, *second = row.second_moment + j;
  const float *gradient = row.gradient + j, *column = row.column + j;
  float* by_column = row.by_column + j;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float x = latent[i];
    const float by_product = gradient[i];
    const float by_scales = x < 0 ? -by_product : by_product;
    by_column[i] += by_scales * row.row;
    lanes[i] += by_scales * column[i];
    const float g = by_product * (row.row * column[i]) * Slope<kSurrogate>(x);
    const float m = kBeta1 * first[i] + kRest1 * g;
    const float v = kBeta2 * second[i] + kRest2 * g * g;
    first[i] = m;
    second[i] = v;
    latent[i] = x - step.rate * m / (std::sqrt(v) * step.second_correction + kEpsilon);
  }
}

template <Surrogate kSurrogate>
[[gnu::always_inline]] inline float MoveRow(const LatentRow& row, const LatentStep& step) {
  Lanes lanes = {};
  int64_t j = 0;
  for (; j + kLanes <= row.d; j += kLanes) MoveSome<kSurrogate>(row, step, j, kLanes, lanes.data());
  MoveSome<kSurrogate>(row, step, j, row.d - j, lanes.data());
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

[[gnu::always_inline]] inline float MoveBySurrogate(const LatentRow& row, const LatentStep& step) {
  if (step.surrogate == Surrogate::kSmoothSign) return MoveRow<Surrogate::kSmoothSign>(row, step);
  return MoveRow<Surrogate::kStraightThrough>(row, step);
}

#ifdef __x86_64__
[[gnu::target("avx2")]] float MoveBySurrogateAvx2(const LatentRow& row, const LatentStep& step) {
  return MoveBySurrogate(row, step);
}
#endif

}  // namespace

LatentStep MakeLatentStep(const UpdateStep& step) {
  const auto number = static_cast<double>(step.number);
  return {static_cast<float>(step.learning_rate / (1 - std::pow(kAdamBeta1, number))),
          static_cast<float>(1 / std::sqrt(1 - std::pow(kAdamBeta2, number))), step.surrogate};
}

float MoveLatents(const LatentRow& row, const LatentStep& step) {
#ifdef __x86_64__
  static const bool kAvx2 = __builtin_cpu_supports("avx2");
  if (kAvx2) return MoveBySurrogateAvx2(row, step);
#endif
  return MoveBySurrogate(row, step);
}

void FoldRow(const float* latent, const float* column, float row, float* product, int64_t d) {
  for (int64_t j = 0; j < d; ++j) {
    const float size = row * column[j];
    product[j] = latent[j] < 0 ? -size : size;
  }
}

}  // namespace llmq
