// Embeddings and heads in groups of 8, 6 or 4 bits: simple and symmetric.
//
// A row is cut into groups (the last may be short); each group has one fp16 scale d, the codes are
// a stream of bits, lowest first. 8 bits: groups of 64, code in [-127, 127], value d * code. 6
// bits: groups of 64, code in [0, 63], value d * (code - 32). 4 bits: groups of 32, code in [0,
// 15], value d * (code - 8). A row's codes come first, then its scales; see section "Grouped
// tensors" of docs/format/littlebit.md.
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
  int bits = 8;  // 8, 6 or 4
};

// How embedding and head are stored; a tied head is the embedding.
struct TableBits {
  int embedding = 8;  // 16 (as it is), 8, 6 or 4
  int head = 8;
  bool operator==(const TableBits&) const = default;
};

constexpr bool IsGroupBits(int bits) { return bits == 8 || bits == 6 || bits == 4; }
constexpr bool IsTableBits(int bits) { return bits == 16 || IsGroupBits(bits); }

constexpr int64_t GroupSize(int bits) { return bits == 4 ? 32 : 64; }  // values
int64_t GroupQuantCodeBytes(const GroupQuantShape& shape);  // of a row, without the zeros behind
int64_t GroupQuantRowBytes(const GroupQuantShape& shape);   // codes, then scales; a multiple of 2
int64_t GroupQuantBytes(const GroupQuantShape& shape);      // rows * row bytes

// values [rows, cols] f32 -> bytes [GroupQuantBytes]. 8 bits: the largest magnitude of a group has
// the code 127. Fewer bits: the scale of least squared error among some around it. Precondition:
// finite values.
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
