// How far numbers are from those they should be.
#ifndef LLMQ_TESTS_SUPPORT_RELATIVE_ERROR_H_
#define LLMQ_TESTS_SUPPORT_RELATIVE_ERROR_H_

#include <cmath>
#include <cstddef>
#include <span>

namespace llmq::testing {

// ||found - expected|| / ||expected||. Precondition: as many of one as of the other.
inline double RelativeError(std::span<const float> found, std::span<const float> expected) {
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    size += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(error / size);
}

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_SUPPORT_RELATIVE_ERROR_H_
