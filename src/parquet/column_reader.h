// One leaf of one row group: pages in, levels and values out.
//
// Before: parquet_schema.h says which leaf. After: row_builder.h.
#ifndef LLMQ_PARQUET_COLUMN_READER_H_
#define LLMQ_PARQUET_COLUMN_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "parquet/parquet_schema.h"
#include "parquet/read_budget.h"

namespace llmq {

using ParquetValue = std::variant<bool, int64_t, double, std::string_view>;

// Moved, never copied: texts among the values borrow from the pages.
struct ColumnData {
  ColumnData() = default;
  ColumnData(ColumnData&&) = default;
  ColumnData& operator=(ColumnData&&) = default;

  std::vector<uint32_t> repetitions;  // [entries]
  std::vector<uint32_t> definitions;  // [entries]
  std::vector<ParquetValue> values;   // [entries whose definition is the leaf's most]
  std::vector<std::vector<std::byte>> pages;
};

// `file` is the whole file and must outlive the result. Throws Error{kGeneral} for damage and for
// what this reader does not know, by name.
ColumnData ReadColumn(std::span<const std::byte> file, const ParquetChunk& chunk,
                      const ParquetLeaf& leaf, ReadBudget& budget, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_PARQUET_COLUMN_READER_H_
