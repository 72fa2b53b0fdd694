// Grouped 8-, 6- and 4-bit rows for embeddings and heads.
//
// Before: compress/export reads a dense tensor. After: formats/littlebit_writer stores the bytes;
// the runtime looks rows up or multiplies with them. Source: docs/format/littlebit.md, "Grouped
// tensors".
#include "llmq/group_quant.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "core/code_stream.h"

namespace llmq {
namespace {

constexpr float kLargestHalf = 65504.0f;

template <int bits>
constexpr int kLowest = bits == 8 ? -127 : -(1 << (bits - 1));
template <int bits>
constexpr int kHighest = (1 << (bits - 1)) - 1;
// What a stored code of fewer than 8 bits is larger by.
template <int bits>
constexpr int kOffset = bits == 8 ? 0 : 1 << (bits - 1);

int64_t GroupsPerRow(const GroupQuantShape& shape) {
  return (shape.cols + GroupSize(shape.bits) - 1) / GroupSize(shape.bits);
}

// The values of one group; zeros fill a short one and cost no error.
template <int bits>
using Group = std::array<float, static_cast<size_t>(GroupSize(bits))>;

// Eight sums side by side, whatever the compiler makes of them: the result is the same everywhere.
struct Sums {
  static constexpr size_t kLanes = 8;
  std::array<float, kLanes> lanes = {};
  float total() const {
    float sum = 0;
    for (const float lane : lanes) sum += lane;
    return sum;
  }
};

// The code nearest to value / scale, as a whole float. The sum with 1.5 * 2^23 leaves no bits for
// fractions: it rounds like nearbyint, half to even.
template <int bits>
float Code(float value, float inverse_scale) {
  constexpr float kRound = 0x1.8p23f;
  const float code = value * inverse_scale;
  const float low = code < kLowest<bits> ? static_cast<float>(kLowest<bits>) : code;
  const float clamped = low > kHighest<bits> ? static_cast<float>(kHighest<bits>) : low;
  return (clamped + kRound) - kRound;
}

float ToStoredScale(float scale) {
  return HalfToFloat(FloatToHalf(std::clamp(scale, -kLargestHalf, kLargestHalf)));
}

float Inverse(float scale) { return scale == 0 ? 0.0f : 1.0f / scale; }

// The value of largest magnitude, with its sign.
template <int bits>
float Extreme(const Group<bits>& group) {
  float extreme = 0;
  for (const float value : group) {
    if (std::fabs(value) > std::fabs(extreme)) extreme = value;
  }
  return extreme;
}

// The scale of least squared error for the codes that `inverse_scale` gives.
template <int bits>
float LeastSquaresScale(const Group<bits>& group, float inverse_scale) {
  Sums products, squares;
  for (size_t i = 0; i < group.size(); i += Sums::kLanes) {
    for (size_t lane = 0; lane < Sums::kLanes; ++lane) {
      const float code = Code<bits>(group[i + lane], inverse_scale);
      products.lanes[lane] += group[i + lane] * code;
      squares.lanes[lane] += code * code;
    }
  }
  return squares.total() == 0 ? 0.0f : products.total() / squares.total();
}

template <int bits>
float SquaredError(const Group<bits>& group, float scale) {
  const float inverse = Inverse(scale);
  Sums errors;
  for (size_t i = 0; i < group.size(); i += Sums::kLanes) {
    for (size_t lane = 0; lane < Sums::kLanes; ++lane) {
      const float error = group[i + lane] - scale * Code<bits>(group[i + lane], inverse);
      errors.lanes[lane] += error * error;
    }
  }
  return errors.total();
}

// The largest magnitude gets the lowest code, which reaches one step further than the highest, or a
// code up to an eighth nearer or further; for each of these the least squares. So d may be
// negative. Measured in docs/results.md, "Embeddings and head".
template <int bits>
float SearchScale(const Group<bits>& group) {
  constexpr int kSteps = 9;  // to each side
  constexpr float kStep = static_cast<float>(-kLowest<bits>) / 80;
  const float extreme = Extreme<bits>(group);
  float best = ToStoredScale(extreme / kLowest<bits>);
  if (best == 0) return 0;
  float least = SquaredError<bits>(group, best);
  for (int step = -kSteps; step <= kSteps; ++step) {
    const float code = kLowest<bits> + kStep * static_cast<float>(step);
    const float scale = ToStoredScale(LeastSquaresScale<bits>(group, code / extreme));
    const float error = SquaredError<bits>(group, scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

template <int bits>
float ChooseScale(const Group<bits>& group) {
  if constexpr (bits == 8) {
    return ToStoredScale(std::fabs(Extreme<bits>(group)) / kHighest<bits>);
  } else {
    return SearchScale<bits>(group);
  }
}

// Of 8 bits codes are signed bytes.
template <int bits>
uint32_t ToStored(int code) {
  return static_cast<uint32_t>(code + kOffset<bits>) & LargestCode(bits);
}

template <int bits>
int FromStored(uint32_t stored) {
  if constexpr (bits == 8) return static_cast<int8_t>(stored);
  return static_cast<int>(stored) - kOffset<bits>;
}

template <int bits>
void QuantizeRow(std::span<const float> row, std::byte* codes, std::byte* scales) {
  std::fill(codes, scales, std::byte{0});
  const auto cols = static_cast<int64_t>(row.size());
  for (int64_t begin = 0; begin < cols; begin += GroupSize(bits)) {
    const int64_t size = std::min(GroupSize(bits), cols - begin);
    Group<bits> group = {};
    std::copy_n(row.data() + begin, size, group.data());
    const float scale = ChooseScale<bits>(group);  // codes fit the scale that is stored
    const uint16_t half = FloatToHalf(scale);
    std::memcpy(scales + begin / GroupSize(bits) * 2, &half, 2);
    const float inverse = Inverse(scale);
    for (int64_t i = 0; i < size; ++i) {
      const float code = Code<bits>(group[static_cast<size_t>(i)], inverse);
      PutCode(codes, bits, begin + i, ToStored<bits>(static_cast<int>(code)));
    }
  }
}

template <int bits>
void DequantizeRow(const std::byte* codes, const std::byte* scales, std::span<float> out) {
  const auto cols = static_cast<int64_t>(out.size());
  for (int64_t begin = 0; begin < cols; begin += GroupSize(bits)) {
    uint16_t half;
    std::memcpy(&half, scales + begin / GroupSize(bits) * 2, 2);
    const float scale = HalfToFloat(half);
    const int64_t end = std::min(begin + GroupSize(bits), cols);
    for (int64_t j = begin; j < end; ++j) {
      const int code = FromStored<bits>(GetCode(codes, bits, j));
      out[static_cast<size_t>(j)] = scale * static_cast<float>(code);
    }
  }
}

void QuantizeRow(const GroupQuantShape& shape, std::span<const float> row, std::byte* out) {
  std::byte* scales = out + GroupQuantRowBytes(shape) - 2 * GroupsPerRow(shape);
  if (shape.bits == 8) return QuantizeRow<8>(row, out, scales);
  if (shape.bits == 6) return QuantizeRow<6>(row, out, scales);
  QuantizeRow<4>(row, out, scales);
}

}  // namespace

int64_t GroupQuantCodeBytes(const GroupQuantShape& shape) {
  return (shape.cols * shape.bits + 7) / 8;
}

int64_t GroupQuantRowBytes(const GroupQuantShape& shape) {
  // An odd number of bytes is padded so that the scales stay 2-aligned.
  return (GroupQuantCodeBytes(shape) + 1) / 2 * 2 + GroupsPerRow(shape) * 2;
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
  const std::byte* scales = codes + GroupQuantRowBytes(shape) - 2 * GroupsPerRow(shape);
  const auto values = out.first(static_cast<size_t>(shape.cols));
  if (shape.bits == 8) return DequantizeRow<8>(codes, scales, values);
  if (shape.bits == 6) return DequantizeRow<6>(codes, scales, values);
  DequantizeRow<4>(codes, scales, values);
}

}  // namespace llmq
