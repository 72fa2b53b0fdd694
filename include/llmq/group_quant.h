// Embeddings and heads in groups of 8 or 4 bits: simple, symmetric, close to lossless.
//
// A row is cut into groups (the last may be short); each group has one fp16 scale d. 8 bits: groups
// of 64, code in [-127, 127], value d * code. 4 bits: groups of 32, code in [0, 15], value d *
// (code - 8), two codes per byte, the earlier one in the low half. A row's codes come first, then
// its scales; see section "Grouped tensors" of docs/format/littlebit.md.
#ifndef LLMQ_GROUP_QUANT_H_
#define LLMQ_GROUP_QUANT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "llmq/tensor.h"

namespace llmq {

struct GroupQuantShape {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 8;  // 8 or 4
};

constexpr int64_t GroupSize(int bits) { return bits == 8 ? 64 : 32; }  // values
int64_t GroupQuantRowBytes(const GroupQuantShape& shape);  // codes, then scales; a multiple of 2
int64_t GroupQuantBytes(const GroupQuantShape& shape);     // rows * row bytes

// values [rows, cols] f32 -> bytes [GroupQuantBytes]. Precondition: finite values.
void QuantizeGroups(const GroupQuantShape& shape, std::span<const float> values,
                    std::span<std::byte> out);
// table [rows, cols] of any float type -> bytes [GroupQuantBytes]. Row by row, so that no f32 copy
// of the table is made. Precondition: finite values.
std::vector<std::byte> QuantizeGroups(const GroupQuantShape& shape, const TensorView& table);

// out [cols] f32: one row.
void DequantizeGroupRow(const GroupQuantShape& shape, std::span<const std::byte> bytes, int64_t row,
                        std::span<float> out);

}  // namespace llmq

#endif  // LLMQ_GROUP_QUANT_H_
