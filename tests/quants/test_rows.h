// Rows of every kind that blocks can meet, the same in scripts/golden/make_quants_golden.py: random
// bits from splitmix64, arithmetic exact in double, one rounding to f32.
#ifndef LLMQ_TESTS_QUANTS_TEST_ROWS_H_
#define LLMQ_TESTS_QUANTS_TEST_ROWS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace llmq {

// The place of a kind is its seed.
inline constexpr std::string_view kRowKinds[] = {
    "gaussian",          "cubed",         "zero",     "negative_zero", "constant",
    "negative_constant", "alternating",   "positive", "mixed",         "mixed_groups",
    "outliers",          "sparse",        "steps",    "denormal",      "tiny",
    "nearly_empty",      "half_overflow", "huge",     "largest",       "all_magnitudes"};

class RowSource {
 public:
  RowSource(std::string_view kind, uint64_t seed) : kind_(kind), state_(seed) {}

  std::vector<float> Take(int64_t count) {
    constexpr double kLargest = std::numeric_limits<float>::max();
    std::vector<float> row(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      row[static_cast<size_t>(i)] = static_cast<float>(std::clamp(Value(i), -kLargest, kLargest));
    }
    return row;
  }

 private:
  int64_t Below(uint64_t n) { return static_cast<int64_t>(NextRandom(state_) % n); }

  // Sum of twelve uniform numbers: variance 1.
  double Gaussian() {
    int64_t sum = -6 * (int64_t{1} << 24);
    for (int i = 0; i < 12; ++i) sum += static_cast<int64_t>(NextRandom(state_) >> 40);
    return static_cast<double>(sum) / (1 << 24);
  }

  // Times 2^e, one e in [low, low + count) per group.
  double ScaledGroup(int64_t i, int64_t group, int low, uint64_t count) {
    if (i % group == 0) exponent_ = low + static_cast<int>(Below(count));
    return std::ldexp(Gaussian(), exponent_);
  }

  double Cubed() {
    const double g = Gaussian();
    return g * g * g / 64;
  }

  double Value(int64_t i) {
    if (kind_ == "gaussian") return Gaussian() / 64;
    if (kind_ == "cubed") return Cubed();
    if (kind_ == "zero") return 0.0;
    if (kind_ == "negative_zero") return -0.0;
    if (kind_ == "constant") return 123.0 / 1024;
    if (kind_ == "negative_constant") return -123.0 / 1024;
    if (kind_ == "alternating") return (i % 2 == 0 ? 379.0 : -379.0) / 1024;
    if (kind_ == "positive") {
      return 1.0 + static_cast<double>(NextRandom(state_) >> 40) / (1 << 24);
    }
    if (kind_ == "mixed") return ScaledGroup(i, 1, -20, 41);
    if (kind_ == "mixed_groups") return ScaledGroup(i, 16, -30, 61);
    if (kind_ == "outliers") {
      const double size = Below(256) == 0 ? 64.0 : 1.0 / 64;
      return Gaussian() * size;
    }
    if (kind_ == "sparse") return Below(32) == 0 ? Gaussian() : 0.0;
    if (kind_ == "steps") return static_cast<double>(Below(17) - 8) / 8;
    if (kind_ == "denormal") return std::ldexp(static_cast<double>(Below(4096) - 2048), -149);
    if (kind_ == "tiny") return ScaledGroup(i, 16, -149, 30);
    if (kind_ == "nearly_empty") return ScaledGroup(i, 16, -56, 12);
    if (kind_ == "half_overflow") return ScaledGroup(i, 256, 12, 19);
    if (kind_ == "huge") return std::ldexp(Gaussian(), 100);
    if (kind_ == "largest") return std::ldexp(Gaussian(), 127);
    if (kind_ == "all_magnitudes") return ScaledGroup(i, 16, -149, 277);
    return std::nan("");  // no such kind
  }

  std::string kind_;
  uint64_t state_;
  int exponent_ = 0;
};

}  // namespace llmq

#endif  // LLMQ_TESTS_QUANTS_TEST_ROWS_H_
