// Which tensors stand for a section: one arithmetic for the writer and the reader of gguf-ext.
#include <fmt/format.h>

#include "formats/gguf_ext.h"

namespace llmq {
namespace {

// Element types that GGUF has; the others travel as bytes.
std::optional<GgmlType> SameType(DType dtype) {
  switch (dtype) {
    case DType::kF32: return GgmlType::kF32;
    case DType::kF16: return GgmlType::kF16;
    case DType::kBF16: return GgmlType::kBF16;
    case DType::kF64: return GgmlType::kF64;
    case DType::kI8: return GgmlType::kI8;
    case DType::kI16: return GgmlType::kI16;
    case DType::kI32: return GgmlType::kI32;
    case DType::kI64: return GgmlType::kI64;
    default: return std::nullopt;
  }
}

int64_t Size(std::span<const std::byte> bytes) { return static_cast<int64_t>(bytes.size()); }

GgufTensor DenseTensor(const LittleBitSection& section, const std::string& name) {
  const std::optional<GgmlType> type = SameType(section.dtype);
  if (!type || section.data.empty()) {
    return {name, GgmlType::kI8, {Size(section.data)}, section.data};
  }
  std::vector<int64_t> shape = section.shape;
  if (shape.empty() || shape.size() > kMaxGgufDimensions) {
    shape = {Size(section.data) / static_cast<int64_t>(DTypeBytes(section.dtype))};
  }
  return {name, *type, shape, section.data};
}

// Five tensors a path, in the order of the payload.
std::vector<GgufTensor> FactorTensors(const LittleBitSection& section, const std::string& base) {
  std::vector<GgufTensor> tensors;
  const auto signs = [&](const std::string& name, const SignMatrixView& view) {
    tensors.push_back(
        {name, GgmlType::kI8, {view.rows, view.row_bytes()}, std::as_bytes(view.bytes)});
  };
  const auto scales = [&](const std::string& name, const ScaleView& view) {
    const bool halves = view.bits() == kHalfScaleBits;
    tensors.push_back({name,
                       halves ? GgmlType::kF16 : GgmlType::kI8,
                       {halves ? view.size() : Size(view.bytes())},
                       view.bytes()});
  };
  int number = 0;
  for (const LittleBitPathView& path :
       ViewLittleBitPaths(section.littlebit_shape(), section.data)) {
    const std::string prefix = ++number == 1 ? base : base + ".residual";
    signs(prefix + ".right_factor", path.v);
    signs(prefix + ".left_factor", path.u);
    scales(prefix + ".col_scales", path.g);
    scales(prefix + ".row_scales", path.h);
    scales(prefix + ".latent_scales", path.l);
  }
  return tensors;
}

}  // namespace

std::vector<GgufTensor> GgufExtTensors(const LittleBitSection& section, const std::string& base) {
  switch (section.kind) {
    case StorageKind::kLittleBit: return FactorTensors(section, base);
    case StorageKind::kDense: return {DenseTensor(section, base)};
    case StorageKind::kGroupQuant: {
      const GroupQuantShape shape = section.group_quant_shape();
      return {{base, GgmlType::kI8, {shape.rows, GroupQuantRowBytes(shape)}, section.data}};
    }
    case StorageKind::kFile:
    case StorageKind::kMetadata: break;
  }
  return {{base, GgmlType::kI8, {Size(section.data)}, section.data}};
}

}  // namespace llmq
