#include "compress/factorize/anneal.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "compress/factorize/byte_rows.h"
#include "compress/factorize/scales.h"

namespace llmq {
namespace {

constexpr double kFirstTemperature = 1.3;
constexpr double kLastTemperature = 0.4;
// Successive over-relaxation. Beyond 2 it diverges.
constexpr double kRelaxation = 1.8;
// Scales of single rows and columns, fitted while the means know little, run to one row and one
// column. For this share of the iterations norms are their profile.
constexpr double kPooledShare = 0.25;
constexpr int64_t kBlock = 64;         // rows of means between products with all others
constexpr int64_t kChunk = 256;        // columns: a strip's chunk stays in the first cache
constexpr double kLeastSquare = 0.01;  // of that of signs alone
// Of the root mean square: a row of zeros must not divide by one.
constexpr double kLeastScale = 1e-6;
constexpr double kTiny = 1e-30;

// One side of the product.
struct Side {
  at::Tensor means;  // [r, d] f32, in [-1, 1]
  at::Tensor gains;  // [r, d], the means before clamping
  at::Tensor scale;  // [d], h or g
};

struct Step {
  double temperature;
  double relaxation;
  bool pooled;
};

// A block of rows of `interaction` [r, r] times all means [r, d], in bytes if they hold both.
class MeanProducts {
 public:
  MeanProducts(const at::Tensor& interaction, const at::Tensor& means)
      : interaction_(ToByteRows(interaction)), means_(means) {
    if (interaction_.bytes.defined()) bytes_ = ToBytes(means);
  }

  at::Tensor Of(int64_t first, int64_t count) const {  // [w, r] . [r, d]
    if (!bytes_.defined()) return at::mm(interaction_.values.narrow(0, first, count), means_);
    const at::Tensor scale = interaction_.scale.narrow(0, first, count) / kLargestByte;  // [w]
    return at::_int_mm(interaction_.bytes.narrow(0, first, count), bytes_)
        .to(at::kFloat)
        .mul_(scale.unsqueeze(1));
  }

  void Changed(int64_t first, int64_t count) {
    if (!bytes_.defined()) return;
    bytes_.narrow(0, first, count).copy_(ToBytes(means_.narrow(0, first, count)));
  }

 private:
  static at::Tensor ToBytes(const at::Tensor& means) {
    return (means * kLargestByte).round_().to(at::kChar);
  }

  ByteRows interaction_;
  at::Tensor means_, bytes_;
};

// A block of rows: gains [w, d] are those of the means before.
void RelaxBlock(const at::Tensor& interaction, double relaxation, at::Tensor gains,
                at::Tensor means) {
  const at::Tensor before = means.clone();
  for (int64_t first = 0; first < means.size(0); first += kStripRows) {
    const int64_t count = std::min(kStripRows, means.size(0) - first);
    at::Tensor strip_gains = gains.narrow(0, first, count);
    at::Tensor strip_means = means.narrow(0, first, count);
    const at::Tensor weights = interaction.narrow(0, first, count);  // [s, w]
    if (first > 0) {
      const at::Tensor changes = means.narrow(0, 0, first) - before.narrow(0, 0, first);
      strip_gains.addmm_(weights.narrow(1, 0, first), changes, 1, -1);  // [s, w] . [w, d]
    }
    const at::Tensor own = weights.narrow(1, first, count).contiguous();
    (means.device().is_cpu() ? RelaxStrip : RelaxStripByOperators)(own, relaxation, strip_gains,
                                                                   strip_means);
  }
}

at::Tensor AtLeast(const at::Tensor& scale) {  // [d]
  return scale.clamp_min(std::max(RootMeanSquare(scale) * kLeastScale, kTiny));
}

// <W_i, A_i> / E<A_i, A_i> for each row i, or for all rows together. In units of signs' square
// over the temperature, the gains' own.
void FitScale(const at::Tensor& target, const Step& step, Side& side) {
  const double signs = static_cast<double>(side.means.size(0)) / step.temperature;
  const at::Tensor along = (target * side.means).sum(0);     // [d]
  const at::Tensor rest = (side.gains * side.means).sum(0);  // [d]
  const at::Tensor square = (along - rest).add_(signs).clamp_min_(kLeastSquare * signs);
  if (!step.pooled) {
    side.scale = AtLeast(side.scale * (along / square).abs());
    return;
  }
  const at::Tensor weights = side.scale.square();
  const double ratio = along.dot(weights).item<double>() / square.dot(weights).item<double>();
  if (std::isfinite(ratio) && ratio != 0) side.scale = side.scale * std::abs(ratio);
}

// matrix [d_near, d_far]
void Update(const ByteRows& matrix, const Side& far, const Step& step, Side& near) {
  const ByteRows scaled = ToByteRows(far.means * far.scale);  // [r, d_far]
  // Of an entry of near, in units of its scale's square: the same for all, as signs are +-1.
  const double curvature = std::max(far.scale.square().sum().item<double>(), kTiny);
  const double unit = 1 / (step.temperature * curvature);
  at::Tensor target = ProductOfRows(scaled, matrix);  // [r, d_near]
  target.mul_(near.scale.reciprocal().mul_(unit));
  at::Tensor interaction = GramOfRows(scaled).mul_(unit);  // [r, r]
  interaction.fill_diagonal_(0);
  MeanProducts products(interaction, near.means);
  for (int64_t first = 0; first < near.means.size(0); first += kBlock) {
    const int64_t count = std::min(kBlock, near.means.size(0) - first);
    at::Tensor gains = near.gains.narrow(0, first, count);
    at::sub_out(gains, target.narrow(0, first, count), products.Of(first, count));
    RelaxBlock(interaction.narrow(0, first, count).narrow(1, first, count), step.relaxation, gains,
               near.means.narrow(0, first, count));
    products.Changed(first, count);
  }
  FitScale(target, step, near);
}

// Norms of rows [d, n], with mean square 1.
at::Tensor Profile(const at::Tensor& rows) {
  const at::Tensor norms = rows.square().sum(1).sqrt_();
  return AtLeast(norms / RootMeanSquare(norms));
}

}  // namespace

void RelaxStrip(const at::Tensor& weights, double relaxation, at::Tensor& gains,
                at::Tensor& means) {
  const int64_t count = means.size(0), size = means.size(1);
  float* const gain_data = gains.data_ptr<float>();
  float* const mean_data = means.data_ptr<float>();
  const float* const weight = weights.data_ptr<float>();
  const float step = static_cast<float>(relaxation);
  const auto clamp = [](float x) { return std::min(1.0f, std::max(-1.0f, x)); };
  const auto relax_chunk = [&](int64_t first, int64_t width) {
    std::array<std::array<float, kChunk>, kStripRows> changes;
    for (int64_t i = 0; i < count; ++i) {
      float* const gain = gain_data + i * size + first;
      float* const mean = mean_data + i * size + first;
      for (int64_t j = 0; j < i; ++j) {
        for (int64_t c = 0; c < width; ++c) gain[c] -= weight[i * count + j] * changes[j][c];
      }
      for (int64_t c = 0; c < width; ++c) {
        const float next = clamp(mean[c] + step * (clamp(gain[c]) - mean[c]));
        changes[i][c] = next - mean[c];
        mean[c] = next;
      }
    }
  };
  // Columns do not depend on each other: any split over threads gives the same.
  at::parallel_for(0, (size + kChunk - 1) / kChunk, 4, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      relax_chunk(chunk * kChunk, std::min(kChunk, size - chunk * kChunk));
    }
  });
}

void RelaxStripByOperators(const at::Tensor& weights, double relaxation, at::Tensor& gains,
                           at::Tensor& means) {
  const at::Tensor before = means.clone();
  for (int64_t i = 0; i < means.size(0); ++i) {
    at::Tensor gain = gains[i], mean = means[i];
    if (i > 0) {
      const at::Tensor changes = means.narrow(0, 0, i) - before.narrow(0, 0, i);  // [i, d]
      gain.addmv_(changes.t(), weights[i].narrow(0, 0, i), 1, -1);                // [d, i] . [i]
    }
    mean.lerp_(gain.clamp(-1, 1), relaxation).clamp_(-1, 1);
  }
}

PathFactors Anneal(const at::Tensor& matrix, int64_t rank, int iterations, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const int64_t d_out = matrix.size(0), d_in = matrix.size(1);
  const at::Tensor random = at::randn({rank, d_in}, generator, at::kFloat).to(matrix.options());
  const at::Tensor zeros = at::zeros({rank, d_out}, matrix.options());
  const double size = matrix.norm().item<double>() / std::sqrt(static_cast<double>(d_out * d_in));
  Side v{SignOf(random), at::zeros_like(random), Profile(matrix.t())};
  Side u{zeros, at::zeros_like(zeros), Profile(matrix) * (size / std::sqrt(rank))};
  const ByteRows rows = ToByteRows(matrix);
  const ByteRows columns = ToByteRows(matrix.t());
  for (int i = 0; i < iterations; ++i) {
    const double share = iterations > 1 ? static_cast<double>(i) / (iterations - 1) : 1;
    // Without over-relaxation at last, so that a mean is its gain, clamped.
    const Step step{kFirstTemperature + (kLastTemperature - kFirstTemperature) * share,
                    i + 1 < iterations ? kRelaxation : 1, i < kPooledShare * iterations};
    Update(rows, v, step, u);
    Update(columns, u, step, v);
  }
  return {v.gains, u.gains, v.scale, u.scale, at::ones({rank}, matrix.options())};
}

}  // namespace llmq
