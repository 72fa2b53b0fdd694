// Grouped 8- and 4-bit rows for embeddings and heads.
//
// Before: compress/export reads a dense tensor. After: formats/littlebit_writer stores the bytes;
// the runtime looks rows up or multiplies with them. Source: docs/format/littlebit.md, "Grouped
// tensors".
#include "llmq/group_quant.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"

namespace llmq {
namespace {

int64_t CodeBytes(const GroupQuantShape& shape) {
  // An odd row of 4-bit codes, or an odd number of 8-bit ones, is padded so that the scales stay
  // 2-aligned.
  const int64_t bytes = shape.bits == 8 ? shape.cols : (shape.cols + 1) / 2;
  return (bytes + 1) / 2 * 2;
}

int64_t GroupsPerRow(const GroupQuantShape& shape) {
  return (shape.cols + GroupSize(shape.bits) - 1) / GroupSize(shape.bits);
}

float MaxMagnitude(std::span<const float> group) {
  float largest = 0;
  for (const float value : group) largest = std::max(largest, std::fabs(value));
  return largest;
}

int Code(float value, float inverse_scale, int limit_low, int limit_high) {
  return static_cast<int>(std::clamp(std::nearbyint(value * inverse_scale),
                                     static_cast<float>(limit_low),
                                     static_cast<float>(limit_high)));
}

void QuantizeRow(const GroupQuantShape& shape, std::span<const float> row, std::byte* out) {
  const int64_t group_size = GroupSize(shape.bits);
  std::byte* scales = out + CodeBytes(shape);
  std::fill(out, scales, std::byte{0});
  for (int64_t group = 0; group < GroupsPerRow(shape); ++group) {
    const int64_t begin = group * group_size;
    const int64_t size = std::min(group_size, shape.cols - begin);
    const float largest = MaxMagnitude(row.subspan(begin, size));
    const uint16_t half =
        FloatToHalf(std::min(largest / (shape.bits == 8 ? 127.0f : 7.0f), 65504.0f));
    const float scale = HalfToFloat(half);  // codes fit the scale that is stored
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    std::memcpy(scales + group * 2, &half, 2);
    for (int64_t col = begin; col < begin + size; ++col) {
      if (shape.bits == 8) {
        out[col] = static_cast<std::byte>(Code(row[col], inverse, -127, 127));
      } else {
        out[col / 2] |=
            static_cast<std::byte>((Code(row[col], inverse, -8, 7) + 8) << (col % 2 * 4));
      }
    }
  }
}

}  // namespace

int64_t GroupQuantRowBytes(const GroupQuantShape& shape) {
  return CodeBytes(shape) + GroupsPerRow(shape) * 2;
}

int64_t GroupQuantBytes(const GroupQuantShape& shape) {
  return shape.rows * GroupQuantRowBytes(shape);
}

void QuantizeGroups(const GroupQuantShape& shape, std::span<const float> values,
                    std::span<std::byte> out) {
  for (int64_t row = 0; row < shape.rows; ++row) {
    QuantizeRow(shape, values.subspan(row * shape.cols, shape.cols),
                out.data() + row * GroupQuantRowBytes(shape));
  }
}

std::vector<std::byte> QuantizeGroups(const GroupQuantShape& shape, const TensorView& table) {
  std::vector<std::byte> bytes(static_cast<size_t>(GroupQuantBytes(shape)));
  const auto row_bytes = static_cast<size_t>(GroupQuantRowBytes(shape));
  const size_t source_row_bytes = static_cast<size_t>(shape.cols) * DTypeBytes(table.dtype);
  std::vector<float> values(static_cast<size_t>(shape.cols));
  for (size_t row = 0; row < static_cast<size_t>(shape.rows); ++row) {
    const TensorView source{table.name,
                            table.dtype,
                            {shape.cols},
                            table.data.subspan(row * source_row_bytes, source_row_bytes)};
    ConvertToFloat(source, values);
    QuantizeRow(shape, values, bytes.data() + row * row_bytes);
  }
  return bytes;
}

void DequantizeGroupRow(const GroupQuantShape& shape, std::span<const std::byte> bytes, int64_t row,
                        std::span<float> out) {
  const std::byte* codes = bytes.data() + row * GroupQuantRowBytes(shape);
  const std::byte* scales = codes + CodeBytes(shape);
  const int64_t group_size = GroupSize(shape.bits);
  for (int64_t begin = 0; begin < shape.cols; begin += group_size) {
    uint16_t half;
    std::memcpy(&half, scales + begin / group_size * 2, 2);
    const float scale = HalfToFloat(half);
    const int64_t end = std::min(begin + group_size, shape.cols);
    for (int64_t col = begin; col < end; ++col) {
      const int code =
          shape.bits == 8 ? static_cast<int8_t>(codes[col])
                          : static_cast<int>((codes[col / 2] >> (col % 2 * 4)) & std::byte{15}) - 8;
      out[col] = scale * static_cast<float>(code);
    }
  }
}

}  // namespace llmq
