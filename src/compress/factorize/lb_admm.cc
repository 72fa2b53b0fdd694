#include "compress/factorize/lb_admm.h"

#include <utility>

#include "compress/factorize/dual_svid.h"

namespace llmq {
namespace {

constexpr double kRidge = 0.03;  // beside a unit diagonal
// rho grows from the first to 1. From 0, as published, the first iterations are spent on what the
// start already is; with over-relaxation fewer are needed.
constexpr double kFirstRho = 0.2;
constexpr double kRelaxation = 1.5;
constexpr int kStartRounds = 3;
constexpr double kTiny = 1e-30;

at::Tensor UnitColumns(const at::Tensor& tall) {  // [d, r]
  return tall / tall.norm(2, 0, /*keepdim=*/true).clamp_min(kTiny);
}

at::Tensor Orthonormal(const at::Tensor& tall) {
  return std::get<0>(at::linalg_qr(tall, "reduced"));
}

// u v^T ~ matrix: the span of two passes of subspace iteration, which is all that ADMM needs.
FactorPair Subspace(const at::Tensor& matrix, int64_t rank, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor test =
      at::randn({matrix.size(1), rank}, generator, at::kFloat).to(matrix.options());
  const at::Tensor u = Orthonormal(at::mm(matrix, test));   // [d_out, d_in] . [d_in, r]
  const at::Tensor v = Orthonormal(at::mm(matrix.t(), u));  // [d_in, d_out] . [d_out, r]
  return {at::mm(matrix, v), v};                            // [d_out, d_in] . [d_in, r]
}

// One of the two factors: what fits the data, its projection and the dual, all [d, r].
class Factor {
 public:
  explicit Factor(at::Tensor latent)
      : latent_(std::move(latent)), right_(latent_.abs().sum(0)), dual_(at::zeros_like(latent_)) {
    projection_ = Project(latent_);
  }

  const at::Tensor& latent() const { return latent_; }

  // product [d, r] = W X (taken), gram [r, r] = X^T X (taken) of the other factor X with columns of
  // norm 1.
  void Update(at::Tensor product, at::Tensor gram, double rho, bool first) {
    if (first) FitSize(product, gram);
    gram.diagonal().add_(rho + kRidge);
    const at::Tensor triangle = at::linalg_cholesky(gram);
    product.add_(projection_, rho).sub_(dual_, rho);
    latent_ = at::cholesky_solve(product.t(), triangle).t();  // [d, r]
    dual_.add_(latent_, kRelaxation).add_(projection_, 1 - kRelaxation);
    projection_ = Project(dual_);
    dual_.sub_(projection_);
  }

 private:
  // sign(X) * rank-1(|X|) by one step of the power method from the last pair, which hardly moves.
  at::Tensor Project(const at::Tensor& values) {
    const at::Tensor magnitudes = values.abs();          // [d, r]
    const at::Tensor left = at::mv(magnitudes, right_);  // [d]
    const double square = left.dot(left).item<double>();
    right_ = at::mv(magnitudes.t(), left).div_(square > 0 ? square : 1);  // [r]
    return SignOf(values).mul_(left.unsqueeze(1)).mul_(right_);
  }

  // The projection of the start in the size that fits the data best; an arbitrary size would pull
  // the first iterations away from them.
  void FitSize(const at::Tensor& product, const at::Tensor& gram) {
    const double fit = (product * projection_).sum(at::kDouble).item<double>();
    const double square = (at::mm(projection_, gram) * projection_).sum(at::kDouble).item<double>();
    if (square > 0) projection_.mul_(fit / square);
  }

  at::Tensor latent_, right_, dual_, projection_;
};

}  // namespace

FactorPair LbAdmm(const at::Tensor& matrix, int64_t rank, int iterations, uint64_t seed) {
  const FactorPair start = JointItq(Subspace(matrix, rank, seed), kStartRounds, seed);
  Factor u(start.u), v(start.v);
  const at::Tensor turned = matrix.t();
  for (int step = 0; step < iterations; ++step) {
    const double rho = kFirstRho + (1 - kFirstRho) * step / iterations;
    const auto update = [&](Factor& factor, const at::Tensor& side, const Factor& other) {
      const at::Tensor unit = UnitColumns(other.latent());
      factor.Update(at::mm(side, unit), at::mm(unit.t(), unit), rho, step == 0);
    };
    update(u, matrix, v);
    update(v, turned, u);
  }
  // Each of the two stands for the whole matrix beside unit columns of the other; the roots share.
  const auto shared = [](const at::Tensor& latent) {
    return latent / latent.norm(2, 0, /*keepdim=*/true).sqrt().clamp_min(kTiny);
  };
  return {shared(u.latent()), shared(v.latent())};
}

}  // namespace llmq
