#include "runtime/layers.h"

#include <cmath>

namespace llmq {
namespace {

// Numbers worth a thread's attention: some microseconds.
constexpr int64_t kElementwisePiece = 1 << 13;

float GeluTanh(float x) {
  constexpr float kRoot = 0.7978845608028654f;  // sqrt(2 / pi)
  return 0.5f * x * (1.0f + std::tanh(kRoot * (x + 0.044715f * x * x * x)));
}

}  // namespace

void GeluGate(const float* up, int64_t n, float* gate) {
  for (int64_t i = 0; i < n; ++i) gate[i] = GeluTanh(gate[i]) * up[i];
}

void ActivateGate(Activation activation, const FloatKernels& floats, ThreadPool& pool,
                  const float* up, int64_t n, float* gate) {
  const bool gelu = activation == Activation::kGeluTanh;
  pool.ForEach(n, kElementwisePiece, [&](int, int64_t begin, int64_t end) {
    gelu ? GeluGate(up + begin, end - begin, gate + begin)
         : floats.swiglu(up + begin, end - begin, gate + begin);
  });
}

void SoftCap(double cap, float* x, int64_t n) {
  const auto c = static_cast<float>(cap);
  for (int64_t i = 0; i < n; ++i) x[i] = c * std::tanh(x[i] / c);
}

void AddInPlace(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void RopeTable::Fill(const RopeFrequencies& frequencies, int64_t first, int64_t tokens) {
  half_ = static_cast<int64_t>(frequencies.inverse.size());
  cos_.resize(static_cast<size_t>(tokens * half_));
  sin_.resize(static_cast<size_t>(tokens * half_));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = 0; i < half_; ++i) {
      const float angle = static_cast<float>(first + t) * frequencies.inverse[i];
      cos_[t * half_ + i] = std::cos(angle) * frequencies.attention_factor;
      sin_[t * half_ + i] = std::sin(angle) * frequencies.attention_factor;
    }
  }
}

void RopeTable::Apply(bool interleaved, int64_t tokens, int64_t heads, int64_t head_dim,
                      float* x) const {
  const int64_t stride = interleaved ? 2 : 1;        // from one pair to the next
  const int64_t distance = interleaved ? 1 : half_;  // from a pair's first to its second
  for (int64_t t = 0; t < tokens; ++t) {
    const float* cos = cos_.data() + t * half_;
    const float* sin = sin_.data() + t * half_;
    for (int64_t h = 0; h < heads; ++h, x += head_dim) {
      for (int64_t i = 0; i < half_; ++i) {
        float& first = x[i * stride];
        float& second = x[i * stride + distance];
        const float a = first;
        const float b = second;
        first = a * cos[i] - b * sin[i];
        second = b * cos[i] + a * sin[i];
      }
    }
  }
}

}  // namespace llmq
