// Chooses three exponents whose sum is 0; see the header.
#include "formats/half_scales.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/half.h"

namespace llmq {
namespace {

constexpr double kLargestHalf = 65504;
constexpr int kAnyExponent = 400;  // more than floats differ by: a vector of zeros takes anything

// Multiplying by 2^e keeps the largest value finite for e <= high, and the smallest one that is not
// zero normal for e >= low. low > high: the values are more than fp16's range apart.
struct Window {
  int low = -kAnyExponent;
  int high = kAnyExponent;
};

Window FindWindow(std::span<const float> values) {
  double largest = 0, smallest = 0;  // magnitudes of those that are not zero
  for (const float value : values) {
    const double magnitude = std::fabs(value);
    if (magnitude == 0) continue;
    largest = std::max(largest, magnitude);
    smallest = smallest == 0 ? magnitude : std::min(smallest, magnitude);
  }
  if (largest == 0) return {};
  // x = m * 2^e with m in [0.5, 1): below 2^16 for 2^(16 - e), at least 2^-14 for 2^(-13 - e).
  int exponent = 0;
  std::frexp(largest, &exponent);
  Window window;
  window.high = 16 - exponent;
  if (std::ldexp(largest, window.high) > kLargestHalf) --window.high;
  std::frexp(smallest, &exponent);
  window.low = -13 - exponent;
  return window;
}

using Exponents = std::array<int, 3>;

// One step at a time from the vector with the most room: where there is not enough of it, all three
// lose alike.
std::optional<Exponents> ChooseExponents(const std::array<Window, 3>& windows) {
  Exponents exponents = {};
  int sum = 0;
  for (size_t i = 0; i < 3; ++i) {
    exponents[i] = std::min(std::max(0, windows[i].low), windows[i].high);
    sum += exponents[i];
  }
  const auto room = [&](size_t i) {
    return sum > 0 ? exponents[i] - windows[i].low : windows[i].high - exponents[i];
  };
  while (sum != 0) {
    size_t widest = 0;
    for (size_t i = 1; i < 3; ++i) widest = room(i) > room(widest) ? i : widest;
    if (sum < 0 && room(widest) <= 0) return std::nullopt;
    const int step = sum > 0 ? -1 : 1;
    exponents[widest] += step;
    sum += step;
  }
  return exponents;
}

std::vector<uint16_t> Round(std::span<const float> values, int exponent, double& worst) {
  std::vector<uint16_t> halves;
  halves.reserve(values.size());
  for (const float value : values) {
    const double exact = std::ldexp(static_cast<double>(value), exponent);
    const uint16_t half = FloatToHalf(static_cast<float>(exact));
    if (exact != 0)
      worst = std::max(worst, std::fabs(HalfToFloat(half) - exact) / std::fabs(exact));
    halves.push_back(half);
  }
  return halves;
}

}  // namespace

std::optional<HalfScales> ToHalfScales(std::span<const float> g, std::span<const float> h,
                                       std::span<const float> l) {
  const auto exponents = ChooseExponents({FindWindow(g), FindWindow(h), FindWindow(l)});
  if (!exponents) return std::nullopt;
  HalfScales scales;
  scales.g = Round(g, (*exponents)[0], scales.worst_relative_error);
  scales.h = Round(h, (*exponents)[1], scales.worst_relative_error);
  scales.l = Round(l, (*exponents)[2], scales.worst_relative_error);
  return scales;
}

}  // namespace llmq
