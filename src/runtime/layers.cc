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

float Gelu(float x) {
  constexpr float kRoot = 0.7071067811865476f;  // 1 / sqrt(2)
  return 0.5f * x * (1.0f + std::erf(kRoot * x));
}

float Silu(float x) { return x / (1.0f + std::exp(-x)); }

float Relu(float x) { return x < 0.0f ? 0.0f : x; }  // NaN stays

template <typename Function>
void Map(const Function& function, float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = function(x[i]);
}

void Activate(Activation activation, float* x, int64_t n) {
  switch (activation) {
    case Activation::kSilu: return Map(Silu, x, n);
    case Activation::kGeluTanh: return Map(GeluTanh, x, n);
    case Activation::kGelu: return Map(Gelu, x, n);
    case Activation::kRelu: return Map(Relu, x, n);
  }
}

}  // namespace

void ActivateGate(Activation activation, const FloatKernels& floats, ThreadPool& pool,
                  const float* up, int64_t n, float* gate) {
  pool.ForEach(n, kElementwisePiece, [&](int, int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    if (activation == Activation::kSilu) return floats.swiglu(up + begin, count, gate + begin);
    Activate(activation, gate + begin, count);
    for (int64_t i = begin; i < end; ++i) gate[i] *= up[i];
  });
}

void Activate(Activation activation, ThreadPool& pool, int64_t n, float* x) {
  pool.ForEach(n, kElementwisePiece, [&](int, int64_t begin, int64_t end) {
    Activate(activation, x + begin, end - begin);
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
  const auto size = static_cast<size_t>((first + tokens) * half_);
  if (cos_.size() < size) {
    cos_.resize(size);
    sin_.resize(size);
  }
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = 0; i < half_; ++i) {
      const float angle = static_cast<float>(first + t) * frequencies.inverse[i];
      cos_[(first + t) * half_ + i] = std::cos(angle) * frequencies.attention_factor;
      sin_[(first + t) * half_ + i] = std::sin(angle) * frequencies.attention_factor;
    }
  }
}

void RopeTable::Apply(bool interleaved, int64_t first, int64_t tokens, int64_t heads,
                      int64_t head_dim, float* x) const {
  const int64_t stride = interleaved ? 2 : 1;        // from one pair to the next
  const int64_t distance = interleaved ? 1 : half_;  // from a pair's first to its second
  for (int64_t t = 0; t < tokens; ++t) {
    const float* cos = cos_.data() + (first + t) * half_;
    const float* sin = sin_.data() + (first + t) * half_;
    for (int64_t h = 0; h < heads; ++h, x += head_dim) {
      for (int64_t i = 0; i < half_; ++i) {
        float& low = x[i * stride];
        float& high = x[i * stride + distance];
        const float a = low;
        const float b = high;
        low = a * cos[i] - b * sin[i];
        high = b * cos[i] + a * sin[i];
      }
    }
  }
}

}  // namespace llmq
