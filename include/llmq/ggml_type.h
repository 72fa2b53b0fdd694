// The element types of GGUF tensors: blocks of 32 or 256 values that share scales, as ggml defines
// them.
//
// Sizes are known for every type of ggml, so that any file can be listed; values are read and
// written for those that IsQuantizable(). Quantizing gives the bytes of
// ggml's reference functions (without importance matrix), which docs/format/gguf.md names.
#ifndef LLMQ_GGML_TYPE_H_
#define LLMQ_GGML_TYPE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace llmq {

// Values are those of GGUF files. Types that are only listed, not read, have no name here.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kBF16 = 30,
};

struct GgmlTypeInfo {
  GgmlType type;
  const char* name;      // ggml's, "Q4_K" for example
  int64_t block_values;  // values per block; 1 for plain types
  int64_t block_bytes;
};

// nullptr for an id that ggml does not have (or has removed).
const GgmlTypeInfo* FindGgmlType(uint32_t id);
const GgmlTypeInfo* FindGgmlType(std::string_view name);  // upper case, exactly
// Precondition: FindGgmlType knows the type.
const GgmlTypeInfo& InfoOf(GgmlType type);

// Bytes of `values` consecutive values; nullopt if they are no whole blocks or overflow.
std::optional<uint64_t> GgmlBytes(GgmlType type, uint64_t values);

// F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K: DequantizeRow and QuantizeRows know
// them.
bool IsQuantizable(GgmlType type);

// `bytes` (GgmlBytes(type, out.size()), unaligned) -> values. Precondition: IsQuantizable(type) and
// the sizes agree. Any bytes are allowed: the values may then be NaN or infinite.
void DequantizeRow(GgmlType type, std::span<const std::byte> bytes, std::span<float> out);

// values [rows, cols] f32 row-major -> out, rows * GgmlBytes(type, cols) bytes, on `threads`
// threads (0: one per core), which do not change the bytes. Preconditions: IsQuantizable(type),
// whole blocks in a row, finite values.
void QuantizeRows(GgmlType type, int64_t rows, int64_t cols, std::span<const float> values,
                  std::span<std::byte> out, int threads);

// True if every scale in `bytes` (whole blocks of `type`) is finite: ggml refuses other blocks.
// Precondition: IsQuantizable(type).
bool ScalesAreFinite(GgmlType type, std::span<const std::byte> bytes);

}  // namespace llmq

#endif  // LLMQ_GGML_TYPE_H_
