// The fits for one group at a time: the definition, which every machine can run.
#include <cmath>

#include "quants/fit_groups_lanes.h"

namespace llmq {
namespace {

struct Lane {
  static constexpr int kWidth = 1;
  using Mask = bool;
  float v;

  static Lane Load(const float* from) { return {*from}; }
  static Lane Of(float number) { return {number}; }
  void Store(float* to) const { *to = v; }
  friend Lane operator+(Lane a, Lane b) { return {a.v + b.v}; }
  friend Lane operator-(Lane a, Lane b) { return {a.v - b.v}; }
  friend Lane operator*(Lane a, Lane b) { return {a.v * b.v}; }
  friend Lane operator/(Lane a, Lane b) { return {a.v / b.v}; }
  static Lane Sqrt(Lane a) { return {std::sqrt(a.v)}; }
  static Lane Abs(Lane a) { return {std::fabs(a.v)}; }
  static Mask Less(Lane a, Lane b) { return a.v < b.v; }
  static Mask NotEqual(Lane a, Lane b) { return a.v != b.v; }
  static Lane Select(Mask mask, Lane yes, Lane no) { return mask ? yes : no; }
  static bool Any(Mask mask) { return mask; }
  // clamp(NearestInt(a), low, high)
  static Lane RoundToCode(Lane a, int low, int high) {
    const int nearest = NearestInt(a.v);
    return {static_cast<float>(nearest < low ? low : nearest > high ? high : nearest)};
  }
};

}  // namespace

constinit const GroupFits kScalarGroupFits = MakeGroupFits<Lane>();

}  // namespace llmq
