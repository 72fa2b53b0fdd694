#include "formats/fp8_scales.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "llmq/error.h"

namespace llmq {
namespace {

TensorView* Find(std::vector<TensorView>& tensors, const std::string& name) {
  const auto it =
      std::ranges::lower_bound(tensors, name, {}, [](const TensorView& t) { return t.name; });
  return it != tensors.end() && it->name == name ? &*it : nullptr;
}

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Which block of the matrix each element of `scale` belongs to; block_rows 0: none that fits.
BlockScales Layout(const ModelConfig& config, const TensorView& matrix, const TensorView& scale) {
  const int64_t rows = matrix.shape[0], cols = matrix.shape[1];
  const auto [block_rows, block_cols] = config.fp8_block;
  const int64_t count = scale.num_elements();
  if (block_rows > 0) {
    const std::vector<int64_t> expected = {CeilDivide(rows, block_rows),
                                           CeilDivide(cols, block_cols)};
    if (scale.shape != expected) return {};
    return {block_rows, block_cols, expected[1], {}};
  }
  if (count == 1) return {rows, cols, 1, {}};
  if (count == rows && !scale.shape.empty() && scale.shape[0] == rows) return {1, cols, 1, {}};
  return {};
}

AttachedScales Attach(const ModelConfig& config, const std::string& where, const TensorView& scale,
                      TensorView& matrix) {
  auto scales = std::make_shared<BlockScales>(Layout(config, matrix, scale));
  if (scales->block_rows == 0 || !IsFloat(scale.dtype)) {
    throw Error(
        ErrorCode::kGeneral,
        fmt::format("{}: {}: expected floating-point scales for the FP8 matrix {}, found {} "
                    "{}",
                    where, scale.name, matrix.ShapeText(), DTypeName(scale.dtype),
                    scale.ShapeText()),
        "Start from the original checkpoint in F32, F16 or BF16");
  }
  matrix.scales = scales;
  return {scale, std::move(scales)};
}

}  // namespace

std::vector<AttachedScales> AttachFp8Scales(const ModelConfig& config, const std::string& where,
                                            std::vector<TensorView>& tensors) {
  std::vector<AttachedScales> attached;
  std::set<std::string> used;
  for (const LinearSpec& linear : BlockLinears(config)) {
    TensorView* matrix = Find(tensors, linear.name + ".weight");
    if (matrix == nullptr || !IsFp8(matrix->dtype) || matrix->shape.size() != 2) continue;
    for (const char* suffix : {".weight_scale_inv", ".weight_scale"}) {
      const TensorView* scale = Find(tensors, linear.name + suffix);
      if (scale == nullptr || matrix->scales != nullptr) continue;
      attached.push_back(Attach(config, where, *scale, *matrix));
      used.insert(scale->name);
    }
    for (const char* suffix : {".input_scale", ".activation_scale"}) {
      used.insert(linear.name + suffix);
    }
  }
  std::erase_if(tensors, [&](const TensorView& tensor) { return used.contains(tensor.name); });
  return attached;
}

}  // namespace llmq
