// Grouped rows read one code at a time: the definition, shared by the kernels that are plain code.
//
// Before: rows of 8-, 6- or 4-bit codes as llmq/group_quant.h lays them out.
#ifndef LLMQ_KERNELS_GROUP_ROWS_H_
#define LLMQ_KERNELS_GROUP_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"
#include "kernels/kernels.h"

namespace llmq {

// Code j of a row: bits `bits * j` and up of its bytes, the lowest first.
template <int bits>
int32_t GroupCode(const std::byte* row, int64_t j) {
  if constexpr (bits == 8) return static_cast<int8_t>(row[j]);
  const int64_t byte = j * bits / 8;
  const int shift = static_cast<int>(j * bits % 8);
  int code = static_cast<int>(row[byte]) >> shift;
  if (shift + bits > 8) code |= static_cast<int>(row[byte + 1]) << (8 - shift);
  return (code & ((1 << bits) - 1)) - (1 << (bits - 1));
}

// Scale of the group that column j is in. The scales end the row.
template <int bits>
float GroupScale(const std::byte* row, int64_t row_bytes, int64_t cols, int64_t j) {
  constexpr int64_t kGroup = kGroupValues<bits>;
  uint16_t half;
  std::memcpy(&half, row + row_bytes - 2 * ((cols + kGroup - 1) / kGroup) + 2 * (j / kGroup), 2);
  return HalfToFloat(half);
}

}  // namespace llmq

#endif  // LLMQ_KERNELS_GROUP_ROWS_H_
