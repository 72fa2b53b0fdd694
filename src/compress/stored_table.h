// The embedding and an untied head as they will be stored: in groups of 8, 6 or 4 bits, or as
// they are.
//
// Before: a TensorView of the checkpoint. After: export writes the bytes; the student of the
// training reads the values that those bytes stand for, so that it learns to live with them.
#ifndef LLMQ_COMPRESS_STORED_TABLE_H_
#define LLMQ_COMPRESS_STORED_TABLE_H_

#include <cstddef>
#include <vector>

#include "compress/torch_headers.h"
#include "llmq/group_quant.h"
#include "llmq/tensor.h"

namespace llmq {

// QuantizeGroups of a table that comes from a checkpoint. Throws Error{kFactorizationFailed} naming
// the table if a value is not finite.
std::vector<std::byte> QuantizeTable(const TensorView& table, const GroupQuantShape& shape);

// [rows, cols] f32 on the CPU: what the stored table stands for. `bits` is 16 (kept as it is), 8,
// 6 or 4.
at::Tensor StoredTableValues(const TensorView& table, int bits);

// Throws Error{kFactorizationFailed} "name: expected finite weights, found N NaN and M Inf".
void ExpectFinite(const TensorView& tensor);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STORED_TABLE_H_
