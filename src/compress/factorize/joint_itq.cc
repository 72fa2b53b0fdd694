#include "compress/factorize/joint_itq.h"

#include <cmath>

#include "compress/factorize/dual_svid.h"

namespace llmq {
namespace {

constexpr int kPolarSteps = 30;
constexpr double kPolarTolerance = 1e-4;  // of the last change; its square is below rounding

// Rows of norm 1 count equally, whatever their size: it is the row's scale h or g that carries it.
at::Tensor UnitRows(const at::Tensor& tall) {
  return tall / tall.norm(2, 1, /*keepdim=*/true).clamp_min(1e-30);
}

// An orthogonal matrix [rank, rank]. The numbers come from the CPU on every device.
at::Tensor RandomRotation(int64_t rank, uint64_t seed, const at::TensorOptions& options) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor random = at::randn({rank, rank}, generator, at::kFloat).to(options);
  return std::get<0>(at::linalg_qr(random, "reduced"));
}

// U V^T of the SVD U S V^T.
at::Tensor RotationBySvd(const at::Tensor& square) {
  const auto [left, values, right_t] = at::linalg_svd(square, /*full_matrices=*/false);
  return at::matmul(left, right_t);
}

// The same (Procrustes) by Newton's iteration for the polar factor, scaled (Higham 1986): about
// eight inverses, ten times faster than the SVD. Singular matrices are left to that.
at::Tensor NearestRotation(const at::Tensor& square) {
  at::Tensor found = square;  // [r, r]
  for (int step = 0; step < kPolarSteps; ++step) {
    const auto [inverse, failed] = at::linalg_inv_ex(found);
    const double scale = std::sqrt(inverse.norm().item<double>() / found.norm().item<double>());
    if (failed.item<int>() != 0 || !std::isfinite(scale)) break;
    const at::Tensor next = found * (0.5 * scale) + inverse.t() * (0.5 / scale);
    const double change = (next - found).norm().item<double>() / next.norm().item<double>();
    found = next;
    if (change < kPolarTolerance) return found;
  }
  return RotationBySvd(square);
}

}  // namespace

FactorPair JointItq(const FactorPair& pair, int rounds, uint64_t seed) {
  const at::Tensor rows = UnitRows(at::cat({pair.u, pair.v}));               // [d_out + d_in, r]
  at::Tensor rotation = RandomRotation(rows.size(1), seed, rows.options());  // [r, r]
  for (int round = 0; round < rounds; ++round) {
    const at::Tensor signs = SignOf(at::matmul(rows, rotation));  // [d_out + d_in, r]
    const at::Tensor correlation = at::matmul(rows.t(), signs);   // [r, r]
    rotation = NearestRotation(correlation);
  }
  return {at::matmul(pair.u, rotation), at::matmul(pair.v, rotation)};
}

}  // namespace llmq
