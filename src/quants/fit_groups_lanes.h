// The fits of fit_groups.h over a vector type V whose lanes are independent groups.
//
// Each lane does the operations of ggml's reference functions in their order (sums run over the
// elements of one group), so that the result does not depend on the width and is ggml's bit for
// bit. No product may be fused into a sum: compile with -ffp-contract=off.
//
// V: struct with kWidth lanes of f32, Mask, Load, Of, Store, + - * /, Sqrt, Abs, Less, NotEqual,
// Select, Any, RoundToCode. Each .cc defines its own V in an unnamed namespace, which also keeps
// these templates local to it: no symbol is shared between instruction sets.
#ifndef LLMQ_QUANTS_FIT_GROUPS_LANES_H_
#define LLMQ_QUANTS_FIT_GROUPS_LANES_H_

#include <cstdint>

#include "quants/fit_groups.h"
#include "quants/nearest.h"

namespace llmq {

// How Q2_K, Q4_K and Q5_K search: numerators of 1 / scale are kMaxCode + kFirst + kStep * step.
struct Q2Rule {
  static constexpr int kGroup = 16, kMaxCode = 3, kLastStep = 15;
  static constexpr float kFirst = -0.5f, kStep = 0.1f;
  static constexpr bool kAbsoluteError = true;  // else squared
  static constexpr bool kAddRms = false;        // to the weight |x|
};
struct Q4Rule {
  static constexpr int kGroup = 32, kMaxCode = 15, kLastStep = 20;
  static constexpr float kFirst = -1.0f, kStep = 0.1f;
  static constexpr bool kAbsoluteError = false;
  static constexpr bool kAddRms = true;
};
struct Q5Rule {
  static constexpr int kGroup = 32, kMaxCode = 31, kLastStep = 15;
  static constexpr float kFirst = -0.5f, kStep = 0.1f;
  static constexpr bool kAbsoluteError = false;
  static constexpr bool kAddRms = true;
};

// Groups whose largest magnitude is below this have scale 0 in Q3_K and Q6_K.
inline constexpr float kEmptyGroup = 1e-15f;

// kWidth groups side by side: element i of lane g is group g's. Lanes past `groups` are zero.
template <class V, int kGroup>
struct LaneGroups {
  alignas(64) float values[kGroup * V::kWidth];  // [kGroup, kWidth] f32

  LaneGroups(const float* rows, int groups) {  // rows: [groups, kGroup] f32
    for (int lane = 0; lane < V::kWidth; ++lane) {
      for (int i = 0; i < kGroup; ++i) {
        values[i * V::kWidth + lane] = lane < groups ? rows[lane * kGroup + i] : 0.0f;
      }
    }
  }
  V operator[](int i) const { return V::Load(values + i * V::kWidth); }
};

// Writes lane g of `numbers` to out[g] for g < groups.
template <class V>
void StoreLanes(V numbers, int groups, float* out) {
  alignas(64) float lanes[V::kWidth];
  numbers.Store(lanes);
  for (int lane = 0; lane < groups; ++lane) out[lane] = lanes[lane];
}

// Writes whole numbers >= 0 in lane g to out[g * kGroup] for g < groups.
template <class V, int kGroup>
void StoreCodes(V numbers, int groups, uint8_t* out) {
  alignas(64) float lanes[V::kWidth];
  numbers.Store(lanes);
  for (int lane = 0; lane < groups; ++lane) out[lane * kGroup] = static_cast<uint8_t>(lanes[lane]);
}

// Q2_K, Q4_K, Q5_K: weighted least squares for scale and minimum over candidate scales; the best
// candidate is kept, lane by lane.
template <class V, class Rule>
class ScaleMinFit {
 public:
  ScaleMinFit(const float* rows, int groups) : x_(rows, groups), groups_(groups) {
    SumAndBound();
    // A constant group <= 0 has no range. 1 / 0 gives codes of NaN, which are 0, and scale 0; no
    // candidate passes. So it needs no branch.
    codes_inverse_ = V::Of(Rule::kMaxCode) / (maximum_ - minimum_);
    codes_minimum_ = minimum_;
    scale_ = V::Of(1.0f) / codes_inverse_;
    for (int i = 0; i < Rule::kGroup; ++i) Keep(i, Code(codes_inverse_, minimum_, x_[i]));
    error_ = ErrorOf(scale_, minimum_);
    for (int step = 0; step <= Rule::kLastStep; ++step) {
      Try(Rule::kFirst + Rule::kStep * static_cast<float>(step) + Rule::kMaxCode);
    }
  }

  void Write(uint8_t* codes, float* scales, float* minimums) const {
    for (int i = 0; i < Rule::kGroup; ++i) {
      StoreCodes<V, Rule::kGroup>(Code(codes_inverse_, codes_minimum_, x_[i]), groups_, codes + i);
    }
    StoreLanes(scale_, groups_, scales);
    StoreLanes(V::Of(0.0f) - minimum_, groups_, minimums);
  }

 private:
  static V Code(V inverse, V minimum, V x) {
    return V::RoundToCode(inverse * (x - minimum), 0, Rule::kMaxCode);
  }
  void Keep(int i, V code) { code.Store(codes_ + i * V::kWidth); }
  V Kept(int i) const { return V::Load(codes_ + i * V::kWidth); }
  V Weight(int i) const { return V::Load(weights_ + i * V::kWidth); }

  void SumAndBound() {
    V rms = V::Of(0.0f);
    if constexpr (Rule::kAddRms) {
      for (int i = 0; i < Rule::kGroup; ++i) rms = rms + x_[i] * x_[i];
      rms = V::Sqrt(rms / V::Of(Rule::kGroup));
    }
    for (int i = 0; i < Rule::kGroup; ++i) {
      const V weight = Rule::kAddRms ? rms + V::Abs(x_[i]) : V::Abs(x_[i]);
      weight.Store(weights_ + i * V::kWidth);
    }
    minimum_ = maximum_ = x_[0];
    sum_w_ = Weight(0);
    sum_wx_ = sum_w_ * x_[0];
    for (int i = 1; i < Rule::kGroup; ++i) {
      const V x = x_[i];
      minimum_ = V::Select(V::Less(x, minimum_), x, minimum_);
      maximum_ = V::Select(V::Less(maximum_, x), x, maximum_);
      sum_w_ = sum_w_ + Weight(i);
      sum_wx_ = sum_wx_ + Weight(i) * x;
    }
    minimum_ = V::Select(V::Less(V::Of(0.0f), minimum_), V::Of(0.0f), minimum_);
  }

  // Weighted error of the kept codes.
  V ErrorOf(V scale, V minimum) const {
    V error = V::Of(0.0f);
    for (int i = 0; i < Rule::kGroup; ++i) {
      const V difference = scale * Kept(i) + minimum - x_[i];
      const V size = Rule::kAbsoluteError ? V::Abs(difference) : difference * difference;
      error = error + Weight(i) * size;
    }
    return error;
  }

  // One candidate: codes from a changed scale, then the scale and minimum that suit them best.
  void Try(float numerator) {
    const V zero = V::Of(0.0f);
    const V inverse = V::Of(numerator) / (maximum_ - minimum_);
    V sum_l = zero, sum_l2 = zero, sum_lx = zero;
    for (int i = 0; i < Rule::kGroup; ++i) {
      const V x = x_[i];
      const V code = Code(inverse, minimum_, x);
      Keep(i, code);
      const V wl = Weight(i) * code;
      sum_l = sum_l + wl;
      sum_l2 = sum_l2 + wl * code;
      sum_lx = sum_lx + wl * x;
    }
    const V determinant = sum_w_ * sum_l2 - sum_l * sum_l;
    V scale = (sum_w_ * sum_lx - sum_wx_ * sum_l) / determinant;
    V minimum = (sum_l2 * sum_wx_ - sum_l * sum_lx) / determinant;
    const typename V::Mask above_zero = V::Less(zero, minimum);
    minimum = V::Select(above_zero, zero, minimum);
    scale = V::Select(above_zero, sum_lx / sum_l2, scale);
    const V error = ErrorOf(scale, minimum);
    const typename V::Mask better = V::Less(zero, determinant) & V::Less(error, error_);
    error_ = V::Select(better, error, error_);
    scale_ = V::Select(better, scale, scale_);
    codes_inverse_ = V::Select(better, inverse, codes_inverse_);
    codes_minimum_ = V::Select(better, minimum_, codes_minimum_);
    minimum_ = V::Select(better, minimum, minimum_);
  }

  LaneGroups<V, Rule::kGroup> x_;
  int groups_;
  alignas(64) float weights_[Rule::kGroup * V::kWidth];  // [kGroup, kWidth] f32
  alignas(64) float codes_[Rule::kGroup * V::kWidth];    // of the candidate being tried
  V minimum_, maximum_, sum_w_, sum_wx_;
  V scale_, error_;                  // of the best candidate; minimum_ is its minimum
  V codes_inverse_, codes_minimum_;  // give the best candidate's codes
};

// The signed element of largest magnitude (the first of equals).
template <class V>
struct Extreme {
  V magnitude = V::Of(0.0f), value = V::Of(0.0f);

  void Take(V x) {
    const typename V::Mask larger = V::Less(magnitude, V::Abs(x));
    magnitude = V::Select(larger, V::Abs(x), magnitude);
    value = V::Select(larger, x, value);
  }
};

// Sums of a fit without minimum, weights x^2: scale = lx / l2.
template <class V>
struct SymmetricSums {
  V lx = V::Of(0.0f), l2 = V::Of(0.0f);

  void Add(V x, V code) {
    const V w = x * x;
    lx = lx + w * x * code;
    l2 = l2 + w * code * code;
  }
};

// Q6_K: the best of 19 scales around -32 / extreme, by (sum lx)^2 / (sum l2).
template <class V>
void FitLanesQ6(const float* rows, int groups, uint8_t* codes, float* scales) {
  constexpr int kGroup = 16, kLevels = 32;
  const LaneGroups<V, kGroup> x(rows, groups);
  const V zero = V::Of(0.0f);
  Extreme<V> extreme;
  for (int i = 0; i < kGroup; ++i) extreme.Take(x[i]);
  const auto code = [&](V inverse, int i) {
    return V::RoundToCode(inverse * x[i], -kLevels, kLevels - 1);
  };
  V best_inverse = zero, scale = zero, best = zero;
  const auto try_inverse = [&](V inverse, bool first) {
    SymmetricSums<V> sums;
    for (int i = 0; i < kGroup; ++i) sums.Add(x[i], code(inverse, i));
    if (first) {
      best_inverse = inverse;
      scale = V::Select(V::NotEqual(sums.l2, zero), sums.lx / sums.l2, zero);
      best = scale * sums.lx;
      return;
    }
    const typename V::Mask better =
        V::Less(zero, sums.l2) & V::Less(best * sums.l2, sums.lx * sums.lx);
    best_inverse = V::Select(better, inverse, best_inverse);
    scale = V::Select(better, sums.lx / sums.l2, scale);
    best = V::Select(better, scale * sums.lx, best);
  };
  try_inverse(V::Of(-kLevels) / extreme.value, true);
  for (int step = -9; step <= 9; ++step) {
    if (step == 0) continue;
    try_inverse(V::Of(-(kLevels + 0.1f * static_cast<float>(step))) / extreme.value, false);
  }
  const typename V::Mask empty = V::Less(extreme.magnitude, V::Of(kEmptyGroup));
  for (int i = 0; i < kGroup; ++i) {
    const V stored = V::Select(empty, zero, code(best_inverse, i) + V::Of(kLevels));
    StoreCodes<V, kGroup>(stored, groups, codes + i);
  }
  StoreLanes(V::Select(empty, zero, scale), groups, scales);
}

// Q3_K: codes from -4 / extreme, then up to five sweeps that move single codes while that makes
// (sum lx)^2 / (sum l2) larger.
template <class V>
class FitLanesQ3 {
 public:
  FitLanesQ3(const float* rows, int groups) : x_(rows, groups), groups_(groups) {
    for (int i = 0; i < kGroup; ++i) extreme_.Take(x_[i]);
    const V inverse = V::Of(-kLevels) / extreme_.value;
    for (int i = 0; i < kGroup; ++i) {
      codes_[i] = V::RoundToCode(inverse * x_[i], -kLevels, kLevels - 1);
      sums_.Add(x_[i], codes_[i]);
    }
    // A lane that did not change in one sweep does not change in the next.
    for (int sweep = 0; sweep < 5 && Sweep(); ++sweep) {
    }
  }

  void Write(uint8_t* codes, float* scales) const {
    const V zero = V::Of(0.0f);
    const typename V::Mask empty = V::Less(extreme_.magnitude, V::Of(kEmptyGroup));
    for (int i = 0; i < kGroup; ++i) {
      const V stored = V::Select(empty, zero, codes_[i] + V::Of(kLevels));
      StoreCodes<V, kGroup>(stored, groups_, codes + i);
    }
    const V scale = V::Select(V::Less(zero, sums_.l2), sums_.lx / sums_.l2, zero);
    StoreLanes(V::Select(empty, zero, scale), groups_, scales);
  }

 private:
  static constexpr int kGroup = 16, kLevels = 4;

  // True if a code changed in any lane.
  bool Sweep() {
    const V zero = V::Of(0.0f);
    bool changed = false;
    for (int i = 0; i < kGroup; ++i) {
      const V x = x_[i];
      const V w = x * x;
      V lx = sums_.lx - w * x * codes_[i];
      V l2 = sums_.l2 - w * codes_[i] * codes_[i];
      const V moved = V::RoundToCode(x * l2 / lx, -kLevels, kLevels - 1);
      const typename V::Mask candidate = V::Less(zero, lx) & V::NotEqual(moved, codes_[i]);
      lx = lx + w * x * moved;
      l2 = l2 + w * moved * moved;
      const typename V::Mask better =
          candidate & V::Less(zero, l2) & V::Less(sums_.lx * sums_.lx * l2, lx * lx * sums_.l2);
      codes_[i] = V::Select(better, moved, codes_[i]);
      sums_.lx = V::Select(better, lx, sums_.lx);
      sums_.l2 = V::Select(better, l2, sums_.l2);
      changed |= V::Any(better);
    }
    return changed;
  }

  LaneGroups<V, kGroup> x_;
  int groups_;
  Extreme<V> extreme_;
  V codes_[kGroup];
  SymmetricSums<V> sums_;
};

// Calls fit(first group, number of groups <= kWidth) until all are done.
template <class V, class Fit>
void ForLanes(int groups, Fit fit) {
  for (int first = 0; first < groups; first += V::kWidth) {
    fit(first, groups - first < V::kWidth ? groups - first : V::kWidth);
  }
}

template <class V, class Rule>
void FitScaleMinGroups(const float* values, int groups, uint8_t* codes, float* scales,
                       float* minimums) {
  ForLanes<V>(groups, [&](int first, int count) {
    const ScaleMinFit<V, Rule> fit(values + first * Rule::kGroup, count);
    fit.Write(codes + first * Rule::kGroup, scales + first, minimums + first);
  });
}

template <class V>
void FitQ3Groups(const float* values, int groups, uint8_t* codes, float* scales) {
  ForLanes<V>(groups, [&](int first, int count) {
    FitLanesQ3<V>(values + first * 16, count).Write(codes + first * 16, scales + first);
  });
}

template <class V>
void FitQ6Groups(const float* values, int groups, uint8_t* codes, float* scales) {
  ForLanes<V>(groups, [&](int first, int count) {
    FitLanesQ6<V>(values + first * 16, count, codes + first * 16, scales + first);
  });
}

// Plain C++ that the compiler vectorises for the instruction set of V.
template <class V>
void RoundCodes(const float* values, int count, float minimum, float scale, int low, int high,
                uint8_t* codes) {
  for (int i = 0; i < count; ++i) {
    int32_t code = NearestInt((values[i] + minimum) / scale);
    code = code < low ? low : code;
    code = code > high ? high : code;
    codes[i] = static_cast<uint8_t>(code - low);
  }
}

template <class V>
constexpr GroupFits MakeGroupFits() {
  return {FitScaleMinGroups<V, Q2Rule>, FitQ3Groups<V>, FitScaleMinGroups<V, Q4Rule>,
          FitScaleMinGroups<V, Q5Rule>, FitQ6Groups<V>, RoundCodes<V>};
}

}  // namespace llmq

#endif  // LLMQ_QUANTS_FIT_GROUPS_LANES_H_
