#include "compress/factorize/path_factorizer.h"

#include "compress/factorize/scales.h"

namespace llmq {
namespace {

constexpr int kItqRounds = 30;
// A channel that never carries anything still has a weight, and its scale is divided by the root.
constexpr double kLeastImportance = 1e-4;  // of the mean

// Roots of the importance with mean 1, [d] f32.
at::Tensor RootOf(const at::Tensor& importance, int64_t size, const at::TensorOptions& options) {
  if (!importance.defined()) return at::ones({size}, options);
  const at::Tensor values = importance.to(at::kDouble);
  const double mean = values.mean().item<double>();
  if (mean <= 0) return at::ones({size}, options);
  return (values / mean).clamp_min(kLeastImportance).sqrt().to(options);
}

PathFactors ZeroPath(const at::Tensor& part, int64_t rank) {
  const auto zeros = [](at::IntArrayRef shape) { return at::zeros(shape, at::kFloat); };
  return {zeros({rank, part.size(1)}), zeros({rank, part.size(0)}), zeros({part.size(1)}),
          zeros({part.size(0)}), zeros({rank})};
}

FactorPair Latents(const at::Tensor& matrix, int64_t rank, const PathSettings& settings,
                   int iterations, const SvdFunction& svd) {
  if (settings.method == InitMethod::kAdmm) {
    return LbAdmm(matrix, rank, iterations, settings.seed);
  }
  const TruncatedSvd leading = svd(matrix, rank);
  const at::Tensor root = leading.s.sqrt();
  return JointItq({(leading.u * root).to(at::kFloat), (leading.v * root).to(at::kFloat)},
                  iterations, settings.seed);
}

PathFactors RandomPath(const at::Tensor& matrix, int64_t rank, uint64_t seed) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto latent = [&](int64_t size) { return at::randn({rank, size}, generator, at::kFloat); };
  const auto ones = [](int64_t size) { return at::ones({size}, at::kFloat); };
  return {latent(matrix.size(1)), latent(matrix.size(0)), ones(matrix.size(1)),
          ones(matrix.size(0)), ones(rank)};
}

PathFactors Start(const at::Tensor& matrix, int64_t rank, const PathSettings& settings,
                  int iterations, const SvdFunction& svd) {
  if (settings.method == InitMethod::kAnneal) {
    return Anneal(matrix, rank, iterations, settings.seed);
  }
  if (settings.method == InitMethod::kRandom) return RandomPath(matrix, rank, settings.seed);
  const FactorPair latents = Latents(matrix, rank, settings, iterations, svd);
  return FactorsOfLatents(latents.u, latents.v);
}

at::Tensor UnitSize(const at::Tensor& latent) {
  const double size = RootMeanSquare(latent);
  return (size > 0 ? latent / size : latent).to(at::kCPU).contiguous();
}

}  // namespace

FitEffort DefaultEffort(InitMethod method) {
  switch (method) {
    case InitMethod::kItq: return {kItqRounds, kRefineSweeps};
    case InitMethod::kAdmm: return {kAdmmIterations, kRefineSweeps};
    case InitMethod::kAnneal: return {kAnnealIterations, kAnnealSweeps};
    case InitMethod::kRandom:
    case InitMethod::kDualSvid: break;
  }
  return {};
}

PathFactors FactorizePath(const at::Tensor& part, int64_t rank, const PathSettings& settings,
                          const SvdFunction& svd) {
  if (settings.method == InitMethod::kDualSvid) return DualSvid(svd(part, rank));
  const double largest = part.abs().max().item<double>();
  if (largest == 0) return ZeroPath(part, rank);
  const at::Tensor root_out = RootOf(settings.importance.out, part.size(0), part.options());
  const at::Tensor root_in = RootOf(settings.importance.in, part.size(1), part.options());
  // Entries of at most about 1: sums of squares neither over- nor underflow in float32.
  const at::Tensor matrix = part / largest * root_out.unsqueeze(1) * root_in;  // [d_out, d_in]
  const FitEffort effort = DefaultEffort(settings.method);
  PathFactors path =
      Start(matrix, rank, settings, settings.iterations.value_or(effort.iterations), svd);
  for (at::Tensor* tensor : {&path.v, &path.u, &path.g, &path.h, &path.l}) {
    *tensor = tensor->to(part.device());
  }
  Refine(matrix, settings.sweeps.value_or(effort.sweeps), path);
  at::Tensor h = (path.h / root_out).to(at::kDouble);
  at::Tensor g = (path.g / root_in).to(at::kDouble);
  at::Tensor l = path.l.to(at::kDouble) * largest;
  BalanceScales(h, l, g);
  return {UnitSize(path.v / root_in), UnitSize(path.u / root_out), ToScale(g), ToScale(h),
          ToScale(l)};
}

}  // namespace llmq
