// The table of block types. Which of them have values here is decided by DequantizeRow and
// QuantizeRows; the others are known by size only, so that a file with them can be listed.
#include "llmq/ggml_type.h"

#include <cassert>

namespace llmq {
namespace {

constexpr GgmlType Listed(uint32_t id) { return static_cast<GgmlType>(id); }

// In the order of the ids, which are part of the GGUF format. Missing ids were removed from ggml.
constexpr GgmlTypeInfo kTypes[] = {
    {GgmlType::kF32, "F32", 1, 4},       {GgmlType::kF16, "F16", 1, 2},
    {GgmlType::kQ4_0, "Q4_0", 32, 18},   {GgmlType::kQ4_1, "Q4_1", 32, 20},
    {GgmlType::kQ5_0, "Q5_0", 32, 22},   {GgmlType::kQ5_1, "Q5_1", 32, 24},
    {GgmlType::kQ8_0, "Q8_0", 32, 34},   {Listed(9), "Q8_1", 32, 36},
    {GgmlType::kQ2_K, "Q2_K", 256, 84},  {GgmlType::kQ3_K, "Q3_K", 256, 110},
    {GgmlType::kQ4_K, "Q4_K", 256, 144}, {GgmlType::kQ5_K, "Q5_K", 256, 176},
    {GgmlType::kQ6_K, "Q6_K", 256, 210}, {Listed(15), "Q8_K", 256, 292},
    {Listed(16), "IQ2_XXS", 256, 66},    {Listed(17), "IQ2_XS", 256, 74},
    {Listed(18), "IQ3_XXS", 256, 98},    {Listed(19), "IQ1_S", 256, 50},
    {Listed(20), "IQ4_NL", 32, 18},      {Listed(21), "IQ3_S", 256, 110},
    {Listed(22), "IQ2_S", 256, 82},      {Listed(23), "IQ4_XS", 256, 136},
    {GgmlType::kI8, "I8", 1, 1},         {GgmlType::kI16, "I16", 1, 2},
    {GgmlType::kI32, "I32", 1, 4},       {GgmlType::kI64, "I64", 1, 8},
    {GgmlType::kF64, "F64", 1, 8},       {Listed(29), "IQ1_M", 256, 56},
    {GgmlType::kBF16, "BF16", 1, 2},     {Listed(34), "TQ1_0", 256, 54},
    {Listed(35), "TQ2_0", 256, 66},      {Listed(39), "MXFP4", 32, 17},
    {Listed(40), "NVFP4", 64, 36},       {Listed(41), "Q1_0", 128, 18},
    {Listed(42), "Q2_0", 64, 18},
};

}  // namespace

const GgmlTypeInfo* FindGgmlType(uint32_t id) {
  for (const GgmlTypeInfo& info : kTypes) {
    if (static_cast<uint32_t>(info.type) == id) return &info;
  }
  return nullptr;
}

const GgmlTypeInfo* FindGgmlType(std::string_view name) {
  for (const GgmlTypeInfo& info : kTypes) {
    if (name == info.name) return &info;
  }
  return nullptr;
}

const GgmlTypeInfo& InfoOf(GgmlType type) {
  const GgmlTypeInfo* info = FindGgmlType(static_cast<uint32_t>(type));
  assert(info != nullptr);
  return *info;
}

std::optional<uint64_t> GgmlBytes(GgmlType type, uint64_t values) {
  const GgmlTypeInfo& info = InfoOf(type);
  const uint64_t block_values = static_cast<uint64_t>(info.block_values);
  if (values % block_values != 0) return std::nullopt;
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(values / block_values, static_cast<uint64_t>(info.block_bytes),
                             &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

bool IsQuantizable(GgmlType type) {
  switch (type) {
    case GgmlType::kF32:
    case GgmlType::kF16:
    case GgmlType::kBF16:
    case GgmlType::kQ8_0:
    case GgmlType::kQ4_0:
    case GgmlType::kQ4_1:
    case GgmlType::kQ5_0:
    case GgmlType::kQ5_1:
    case GgmlType::kQ2_K:
    case GgmlType::kQ3_K:
    case GgmlType::kQ4_K:
    case GgmlType::kQ5_K:
    case GgmlType::kQ6_K: return true;
    default: return false;
  }
}

}  // namespace llmq
