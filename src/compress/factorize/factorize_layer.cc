#include "compress/factorize/factorize_layer.h"

#include <algorithm>

#include "base/half.h"
#include "compress/stored_table.h"
#include "compress/torch_bridge.h"
#include "llmq/error.h"

namespace llmq {
LayerFactors FactorizeLayer(const TensorView& weight, const LittleBitShape& shape,
                            const FactorizeSettings& settings) {
  ExpectFinite(weight);
  const at::NoGradGuard no_grad;
  const at::Tensor matrix = ToTorch(weight).to(settings.device);  // [d_out, d_in] f32
  const SvdSettings svd_settings{settings.precision, MixSeed(settings.seed, weight.name)};
  LayerFactors factors{shape, {}, 0};
  const auto svd = [&](const at::Tensor& part, int64_t rank) {
    return RobustSvd(part, rank, svd_settings, weight.name);
  };
  PathSettings path_settings;
  path_settings.method = settings.init;
  path_settings.seed = svd_settings.seed;
  if (settings.iterations > 0) path_settings.iterations = settings.iterations;
  path_settings.importance = settings.importance;
  factors.paths = ResidualPaths(matrix, shape, [&](const at::Tensor& part, int64_t rank) {
    PathFactors path = FactorizePath(part, rank, path_settings, svd);
    if (!settings.latent_scale) path.l = RoundToHalf(path.l.mean().expand_as(path.l)).contiguous();
    return path;
  });
  factors.relative_error = StoredError(matrix, PackFactors(factors, weight.name));
  return factors;
}

LittleBitLinear PackFactors(const LayerFactors& factors, const std::string& name) {
  std::vector<LittleBitPathValues> values;
  for (const PathFactors& path : factors.paths) {
    values.push_back(
        {AsSpan(path.v), AsSpan(path.u), AsSpan(path.g), AsSpan(path.h), AsSpan(path.l)});
  }
  try {
    return PackLittleBit(factors.shape, values);
  } catch (const Error& error) {
    throw Error(error.code(), name + ": " + error.message(), error.suggestion());
  }
}

double StoredError(const at::Tensor& matrix, const LittleBitLinear& linear) {
  return RelativeError(matrix, Reconstruct(UnpackFactors(linear), matrix.device()));
}

std::vector<PathFactors> UnpackFactors(const LittleBitLinear& linear) {
  const auto signs = [](const SignMatrixView& view) {
    at::Tensor tensor = at::empty({view.rows, view.cols}, at::kFloat);
    auto* out = tensor.data_ptr<float>();
    for (int64_t r = 0; r < view.rows; ++r) {
      for (int64_t c = 0; c < view.cols; ++c) *out++ = view.negative(r, c) ? -1.0f : 1.0f;
    }
    return tensor;
  };
  const auto scale = [](const ScaleView& scales) {
    at::Tensor tensor = at::empty({scales.size()}, at::kFloat);
    auto* out = tensor.data_ptr<float>();
    for (int64_t i = 0; i < scales.size(); ++i) out[i] = scales[i];
    return tensor;
  };
  std::vector<PathFactors> paths;
  for (const LittleBitPathView& path : linear.paths()) {
    paths.push_back({signs(path.v), signs(path.u), scale(path.g), scale(path.h), scale(path.l)});
  }
  return paths;
}

}  // namespace llmq
