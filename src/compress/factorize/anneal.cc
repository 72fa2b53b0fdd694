#include "compress/factorize/anneal.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace llmq {
namespace {

double Env(const char* n, double d) { const char* s = getenv(n); return s ? atof(s) : d; }
const double kFirstTemperature = Env("T0", 1.5);
const double kLastTemperature = Env("T1", 0.4);
const double kRelaxation = Env("OV", 1.7);
const int64_t kBlock = Env("BLK", 64);
const int64_t kStrip = Env("STRIP", 8);
constexpr double kTiny = 1e-30;

// One side of the product: means of random signs, what they were clamped from, and the scale.
struct Relaxed {
  at::Tensor means;  // [r, d] f32, in [-1, 1]
  at::Tensor gains;  // [r, d]
  at::Tensor scale;  // [d], h or g
};

// rows rows^T [r, r], from products of whole strips on and below the diagonal.
at::Tensor SymmetricGram(const at::Tensor& rows) {  // [r, d]
  const int64_t rank = rows.size(0);
  const int64_t width = (rank + 7) / 8;
  at::Tensor gram = at::empty({rank, rank}, rows.options());
  for (int64_t first = 0; first < rank; first += width) {
    const int64_t count = std::min(width, rank - first);
    const at::Tensor strip = rows.narrow(0, first, count);
    const at::Tensor left = gram.narrow(0, first, count).narrow(1, 0, first + count);
    left.copy_(at::mm(strip, rows.narrow(0, 0, first + count).t()));
    gram.narrow(1, first, count).narrow(0, 0, first).copy_(left.narrow(1, 0, first).t());
  }
  return gram;
}

// The entries of a few rows of means, one row after the other.
// wanted [w, d]: gains as of the means before the strip; weights [w, w].
void SweepStrip(at::Tensor wanted, const at::Tensor& weights, double relaxation, at::Tensor means) {
  const int64_t width = means.size(0);
  float* const wanted_data = wanted.data_ptr<float>();
  float* const mean_data = means.data_ptr<float>();
  const at::Tensor w = weights.contiguous();
  const float* const weight = w.data_ptr<float>();
  const int64_t size = means.size(1);
  constexpr int64_t kChunk = 256;
  const float over = relaxation;
  at::parallel_for(0, (size + kChunk - 1) / kChunk, 4, [&](int64_t begin, int64_t end) {
    float changes[64][kChunk];
    for (int64_t first = begin * kChunk; first < std::min(size, end * kChunk); first += kChunk) {
      const int64_t count = std::min(kChunk, size - first);
      for (int64_t i = 0; i < width; ++i) {
        float* const gain = wanted_data + i * size + first;
        for (int64_t j = 0; j < i; ++j) {
          const float factor = weight[i * width + j];
          for (int64_t c = 0; c < count; ++c) gain[c] -= factor * changes[j][c];
        }
        float* const mean = mean_data + i * size + first;
        for (int64_t c = 0; c < count; ++c) {
          const float best = std::min(1.0f, std::max(-1.0f, gain[c]));
          const float next = std::min(1.0f, std::max(-1.0f, mean[c] + over * (best - mean[c])));
          changes[i][c] = next - mean[c];
          mean[c] = next;
        }
      }
    }
  });
}

// matrix [d_near, d_far]
void Update(const at::Tensor& matrix, const Relaxed& far, double temperature, double relaxation,
            Relaxed& near) {
  const int64_t rank = near.means.size(0);
  const at::Tensor scaled = far.means * far.scale;                     // [r, d_far]
  const double curvature = far.scale.square().sum().item<double>();    // of a sign, for all alike
  const double unit = 1 / (temperature * curvature);
  at::Tensor target = at::mm(scaled, matrix.t());  // [r, d_near]
  target.mul_((near.scale.clamp_min(kTiny)).reciprocal().mul_(unit));
  at::Tensor gram = SymmetricGram(scaled).mul_(unit);  // [r, r]
  gram.fill_diagonal_(0);
  for (int64_t first = 0; first < rank; first += kBlock) {
    const int64_t block = std::min(kBlock, rank - first);
    at::Tensor wanted = near.gains.narrow(0, first, block);
    at::mm_out(wanted, gram.narrow(0, first, block), near.means);
    at::sub_out(wanted, target.narrow(0, first, block), wanted);
    at::Tensor before = near.means.narrow(0, first, block).clone();
    for (int64_t i = 0; i < block; i += kStrip) {
      const int64_t width = std::min(kStrip, block - i);
      at::Tensor strip = wanted.narrow(0, i, width);
      if (i > 0) {
        const at::Tensor changes = near.means.narrow(0, first, i) - before.narrow(0, 0, i);
        strip.addmm_(gram.narrow(0, first + i, width).narrow(1, first, i), changes, 1, -1);
      }
      SweepStrip(strip, gram.narrow(0, first + i, width).narrow(1, first + i, width), relaxation,
                 near.means.narrow(0, first + i, width));
    }
  }
  // <W, A> / <A, A> of every row, with what the means still vary.
  const at::Tensor along = (target * near.means).sum(0);            // [d], in units of 1/t
  const at::Tensor rest = (near.gains * near.means).sum(0);
  const at::Tensor square = (along - rest).add_(rank / temperature);
  near.scale = near.scale * (along / square).abs();
}

}  // namespace

PathFactors Anneal(const at::Tensor& matrix, int64_t rank, int iterations, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const int64_t d_out = matrix.size(0), d_in = matrix.size(1);
  const at::Tensor random = at::randn({rank, d_in}, generator, at::kFloat).to(matrix.options());
  const at::Tensor zeros = at::zeros({rank, d_out}, matrix.options());
  Relaxed v{SignOf(random), at::empty_like(random), at::ones({d_in}, matrix.options())};
  Relaxed u{zeros, at::empty_like(zeros),
            matrix.norm(2, 1).div_(std::sqrt(static_cast<double>(d_in * rank))).clamp_min(kTiny)};
  const at::Tensor turned = matrix.t();
  for (int step = 0; step < iterations; ++step) {
    const bool last = step + 1 == iterations;
    const double share = iterations > 1 ? static_cast<double>(step) / (iterations - 1) : 1;
    const double temperature =
        kFirstTemperature + (kLastTemperature - kFirstTemperature) * share;
    Update(matrix, v, temperature, last ? 1 : kRelaxation, u);
    Update(turned, u, temperature, last ? 1 : kRelaxation, v);
  }
  return {v.gains, u.gains, v.scale, u.scale, at::ones({rank}, matrix.options())};
}

}  // namespace llmq
