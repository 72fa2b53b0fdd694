#include "compress/factorize/svd.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// Halko et al. advise 5 to 10; 16 costs little beside ranks above a hundred.
constexpr int64_t kOversampling = 16;
// Each power iteration squares the ratio between wanted and unwanted singular values.
constexpr int kPowerIterations = 3;
constexpr int64_t kExactSide = 1024;
constexpr double kJitter = 1e-10;

double Epsilon(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                             : std::numeric_limits<float>::epsilon();
}

// Completes orthonormal u [d_out, k]: s_k = |W^T u_k| is accurate where the root of an eigenvalue
// is not, and u (W^T u)^T is the projection of W on u whatever the eigensolver's error.
TruncatedSvd FromLeftVectors(const at::Tensor& matrix, const at::Tensor& u) {
  const at::Tensor projected =
      at::matmul(matrix.t(), u);              // [d_in, d_out] . [d_out, k] -> [d_in, k]
  const at::Tensor s = projected.norm(2, 0);  // [k]
  const double sides = static_cast<double>(std::max(matrix.size(0), matrix.size(1)));
  const at::Tensor kept = s > s.max() * (sides * Epsilon(matrix));
  const at::Tensor inverse = at::where(kept, 1 / s, at::zeros_like(s));
  return {u, at::where(kept, s, at::zeros_like(s)), projected * inverse};
}

TruncatedSvd Transposed(TruncatedSvd svd) {
  std::swap(svd.u, svd.v);
  return svd;
}

bool IsFinite(const TruncatedSvd& svd) {
  const at::Tensor sum = svd.u.sum() + svd.s.sum() + svd.v.sum();
  return at::isfinite(sum).item<bool>();
}

at::Tensor Orthonormal(const at::Tensor& tall) {
  return std::get<0>(at::linalg_qr(tall, "reduced"));
}

// nullopt if the solver fails or overflows; the reason goes to `failure`.
template <typename Decompose>
std::optional<TruncatedSvd> Try(const Decompose& decompose, std::string& failure) {
  try {
    TruncatedSvd svd = decompose();
    if (IsFinite(svd)) return svd;
    failure = "values that are not finite";
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::LinAlgError& error) {
    failure = error.what_without_backtrace();
  }
  return std::nullopt;
}

}  // namespace

TruncatedSvd TruncatedSvd::Leading(int64_t rank) const {
  return {u.narrow(1, 0, rank), s.narrow(0, 0, rank), v.narrow(1, 0, rank)};
}

TruncatedSvd ExactSvd(const at::Tensor& matrix, int64_t rank, double jitter) {
  if (matrix.size(0) > matrix.size(1)) return Transposed(ExactSvd(matrix.t(), rank, jitter));
  at::Tensor gram =
      at::matmul(matrix, matrix.t());  // [d_out, d_in] . [d_in, d_out] -> [d_out, d_out]
  if (jitter > 0) gram.diagonal().add_(gram.diagonal().mean() * jitter);
  const at::Tensor vectors = std::get<1>(at::linalg_eigh(gram, "L"));  // columns, smallest first
  const int64_t side = matrix.size(0);
  return FromLeftVectors(matrix, vectors.narrow(1, side - rank, rank).flip(1).contiguous());
}

TruncatedSvd RandomizedSvd(const at::Tensor& matrix, int64_t rank, uint64_t seed) {
  if (matrix.size(0) > matrix.size(1)) return Transposed(RandomizedSvd(matrix.t(), rank, seed));
  const int64_t width = std::min(rank + kOversampling, matrix.size(0));
  // The numbers come from the CPU on every device, so that a seed means the same test matrix.
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const at::Tensor test =
      at::randn({matrix.size(1), width}, generator, at::kDouble).to(matrix.options());
  at::Tensor range =
      Orthonormal(at::matmul(matrix, test));  // [d_out, d_in] . [d_in, w] -> [d_out, w]
  for (int step = 0; step < kPowerIterations; ++step) {
    const at::Tensor back = Orthonormal(at::matmul(matrix.t(), range));  // [d_in, w]
    range = Orthonormal(at::matmul(matrix, back));                       // [d_out, w]
  }
  const at::Tensor small =
      at::matmul(range.t(), matrix);  // [w, d_out] . [d_out, d_in] -> [w, d_in]
  TruncatedSvd svd = ExactSvd(small, rank);
  svd.u = at::matmul(range, svd.u);  // [d_out, w] . [w, k] -> [d_out, k]
  return svd;
}

SvdMethod ChooseSvdMethod(int64_t d_out, int64_t d_in, int64_t rank) {
  const int64_t side = std::min(d_out, d_in);
  return side <= kExactSide || rank * 4 > side ? SvdMethod::kExact : SvdMethod::kRandomized;
}

uint64_t MixSeed(uint64_t seed, const std::string& name) {
  const uint64_t mixed = Checksum64(AsBytes(name)) ^ (seed * 0x9e3779b97f4a7c15u);
  return mixed ^ (mixed >> 31);
}

TruncatedSvd RobustSvd(const at::Tensor& matrix, int64_t rank, const SvdSettings& settings,
                       const std::string& layer) {
  const bool exact = ChooseSvdMethod(matrix.size(0), matrix.size(1), rank) == SvdMethod::kExact;
  const auto decompose = [&](at::ScalarType precision, double jitter) {
    const at::Tensor converted = matrix.to(precision);
    return exact || jitter > 0 ? ExactSvd(converted, rank, jitter)
                               : RandomizedSvd(converted, rank, settings.seed);
  };
  std::string failure;
  const bool wants_double = settings.precision == SvdPrecision::kFloat64;
  if (!wants_double) {
    if (auto svd = Try([&] { return decompose(at::kFloat, 0); }, failure)) return *std::move(svd);
  }
  if (auto svd = Try([&] { return decompose(at::kDouble, 0); }, failure)) return *std::move(svd);
  if (auto svd = Try([&] { return decompose(at::kDouble, kJitter); }, failure))
    return *std::move(svd);
  throw Error(
      ErrorCode::kFactorizationFailed,
      fmt::format("SVD failed for layer {}: expected singular vectors, found: {}", layer, failure),
      "Check the model with llm-quantize info --check");
}

}  // namespace llmq
