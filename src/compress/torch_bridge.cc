#include "compress/torch_bridge.h"

#include <algorithm>

namespace llmq {

at::Tensor ToTorch(const TensorView& view) {
  at::Tensor tensor = at::empty(view.shape, at::kFloat);
  ConvertToFloat(view, AsMutableSpan(tensor));
  return tensor;
}

at::Tensor ToTorch(std::span<const float> values, const std::vector<int64_t>& shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::copy(values.begin(), values.end(), tensor.data_ptr<float>());
  return tensor;
}

std::span<const float> AsSpan(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

std::span<float> AsMutableSpan(at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
}

at::Tensor RoundToHalf(const at::Tensor& tensor) { return tensor.to(at::kHalf).to(at::kFloat); }

}  // namespace llmq
