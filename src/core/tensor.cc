// Element types and conversion to float: the first change of type on a weight's way.
//
// Before: formats/safetensors hands out views of the mapped file. After: float buffers for the
// compressor, the runtime's scratch and the NaN scan. Source: the safetensors format's dtype names.
#include "llmq/tensor.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"

namespace llmq {
namespace {

struct DTypeInfo {
  DType dtype;
  const char* name;
  size_t bytes;
};
constexpr std::array<DTypeInfo, 15> kDTypes = {{{DType::kF32, "F32", 4},
                                                {DType::kF16, "F16", 2},
                                                {DType::kBF16, "BF16", 2},
                                                {DType::kF64, "F64", 8},
                                                {DType::kI8, "I8", 1},
                                                {DType::kU8, "U8", 1},
                                                {DType::kI16, "I16", 2},
                                                {DType::kU16, "U16", 2},
                                                {DType::kI32, "I32", 4},
                                                {DType::kU32, "U32", 4},
                                                {DType::kI64, "I64", 8},
                                                {DType::kU64, "U64", 8},
                                                {DType::kBool, "BOOL", 1},
                                                {DType::kF8E4M3, "F8_E4M3", 1},
                                                {DType::kF8E5M2, "F8_E5M2", 1}}};

template <typename T>
T LoadAt(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// Counts values whose exponent bits are all ones; a non-zero mantissa among them is NaN.
template <typename Bits>
NonFiniteCount CountByBits(const std::byte* data, int64_t count, Bits exponent, Bits mantissa) {
  NonFiniteCount found;
  for (int64_t i = 0; i < count; ++i) {
    const Bits bits = LoadAt<Bits>(data, i);
    if ((bits & exponent) != exponent) continue;
    ++((bits & mantissa) != 0 ? found.nan : found.inf);
  }
  return found;
}

// Four bits of exponent biased by 7, three of mantissa; no infinity, one NaN per sign.
float E4M3ToFloat(uint8_t code) {
  const int exponent = (code >> 3) & 15, mantissa = code & 7;
  if ((code & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                   : std::ldexp(static_cast<float>(8 + mantissa), exponent - 7 - 3);
  return (code & 0x80) != 0 ? -size : size;
}

// The upper byte of a half.
float E5M2ToFloat(uint8_t code) { return HalfToFloat(static_cast<uint16_t>(code << 8)); }

void ConvertFp8(const TensorView& tensor, std::span<float> out) {
  std::array<float, 256> values;
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<uint8_t>(code);
    values[static_cast<size_t>(code)] =
        tensor.dtype == DType::kF8E4M3 ? E4M3ToFloat(byte) : E5M2ToFloat(byte);
  }
  const BlockScales& scales = *tensor.scales;
  const int64_t cols = tensor.shape.back();
  for (size_t i = 0; i < out.size(); ++i) {
    const auto row = static_cast<int64_t>(i) / cols, col = static_cast<int64_t>(i) % cols;
    const int64_t block = row / scales.block_rows * scales.blocks_per_row + col / scales.block_cols;
    out[i] =
        values[static_cast<uint8_t>(tensor.data[i])] * scales.values[static_cast<size_t>(block)];
  }
}

// Square pieces, so that both sides stay in the cache.
void CopyTransposed(const std::byte* from, int64_t stride, int64_t rows, int64_t cols, size_t bytes,
                    std::byte* to) {
  constexpr int64_t kPiece = 32;
  for (int64_t r0 = 0; r0 < rows; r0 += kPiece) {
    for (int64_t c0 = 0; c0 < cols; c0 += kPiece) {
      for (int64_t r = r0; r < std::min(rows, r0 + kPiece); ++r) {
        for (int64_t c = c0; c < std::min(cols, c0 + kPiece); ++c) {
          std::memcpy(to + static_cast<size_t>(r * cols + c) * bytes,
                      from + static_cast<size_t>(c * stride + r) * bytes, bytes);
        }
      }
    }
  }
}

// The same matrix row by row in `bytes`.
TensorView RowMajor(const TensorView& tensor, std::vector<std::byte>& bytes) {
  bytes = RowMajorBytes(tensor);
  TensorView view = tensor;
  view.data = bytes;
  view.column_stride = 0;
  return view;
}

NonFiniteCount CountE4M3(const std::byte* data, int64_t count) {
  NonFiniteCount found;
  for (int64_t i = 0; i < count; ++i) found.nan += (static_cast<uint8_t>(data[i]) & 0x7f) == 0x7f;
  return found;
}

}  // namespace

size_t DTypeBytes(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].bytes; }

const char* DTypeName(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

std::optional<DType> DTypeFromName(std::string_view safetensors_name) {
  for (const DTypeInfo& info : kDTypes) {
    if (safetensors_name == info.name) return info.dtype;
  }
  return std::nullopt;
}

bool IsFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kF64;
}

bool IsFp8(DType dtype) { return dtype == DType::kF8E4M3 || dtype == DType::kF8E5M2; }

bool HasFloatValues(const TensorView& tensor) {
  return IsFloat(tensor.dtype) || (IsFp8(tensor.dtype) && tensor.scales != nullptr);
}

int64_t TensorView::num_elements() const {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

std::string TensorView::ShapeText() const {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += fmt::format("{}{}", i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

std::vector<std::byte> RowMajorBytes(const TensorView& tensor) {
  const size_t bytes = DTypeBytes(tensor.dtype);
  std::vector<std::byte> out(static_cast<size_t>(tensor.num_elements()) * bytes);
  CopyTransposed(tensor.data.data(), tensor.column_stride, tensor.shape[0], tensor.shape[1], bytes,
                 out.data());
  return out;
}

void ConvertToFloat(const TensorView& tensor, std::span<float> out) {
  if (out.empty()) return;  // a tensor without elements has no address to copy from
  if (tensor.column_stride != 0) {
    std::vector<std::byte> bytes;
    return ConvertToFloat(RowMajor(tensor, bytes), out);
  }
  const std::byte* data = tensor.data.data();
  const auto count = static_cast<int64_t>(out.size());
  switch (tensor.dtype) {
    case DType::kF32: std::memcpy(out.data(), data, out.size_bytes()); break;
    case DType::kF16:
      for (int64_t i = 0; i < count; ++i) out[i] = HalfToFloat(LoadAt<uint16_t>(data, i));
      break;
    case DType::kBF16:
      for (int64_t i = 0; i < count; ++i) out[i] = Bf16ToFloat(LoadAt<uint16_t>(data, i));
      break;
    case DType::kF64:
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(LoadAt<double>(data, i));
      break;
    case DType::kF8E4M3:
    case DType::kF8E5M2: ConvertFp8(tensor, out); break;
    default: break;  // excluded by the precondition
  }
}

std::vector<float> ToFloat(const TensorView& tensor) {
  std::vector<float> out(static_cast<size_t>(tensor.num_elements()));
  ConvertToFloat(tensor, out);
  return out;
}

NonFiniteCount CountNonFinite(const TensorView& tensor) {
  if (tensor.column_stride != 0) {
    std::vector<std::byte> bytes;
    return CountNonFinite(RowMajor(tensor, bytes));
  }
  const std::byte* data = tensor.data.data();
  const int64_t count = tensor.num_elements();
  switch (tensor.dtype) {
    case DType::kF32: return CountByBits<uint32_t>(data, count, 0x7f800000u, 0x007fffffu);
    case DType::kF16: return CountByBits<uint16_t>(data, count, 0x7c00u, 0x03ffu);
    case DType::kBF16: return CountByBits<uint16_t>(data, count, 0x7f80u, 0x007fu);
    case DType::kF64:
      return CountByBits<uint64_t>(data, count, 0x7ff0000000000000u, 0x000fffffffffffffu);
    case DType::kF8E4M3: return CountE4M3(data, count);
    case DType::kF8E5M2: return CountByBits<uint8_t>(data, count, 0x7cu, 0x03u);
    default: return {};
  }
}

}  // namespace llmq
