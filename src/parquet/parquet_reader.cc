#include "parquet/parquet_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "llmq/error.h"
#include "parquet/column_reader.h"
#include "parquet/read_budget.h"
#include "parquet/row_builder.h"

namespace llmq {
namespace {

// What a file may take in memory: as much as text that compresses very well, and not more than a
// machine of today bears. A small file may have many rows that are alike.
uint64_t MemoryBudget(uint64_t file_bytes) {
  constexpr uint64_t kLeast = uint64_t{64} << 20;
  constexpr uint64_t kMost = uint64_t{2} << 30;
  constexpr uint64_t kPerByte = 1000;
  return std::min(kMost, kLeast + std::min(file_bytes, kMost) * kPerByte);
}

[[noreturn]] void Fail(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kGeneral, where + ": " + what, "The file is damaged; fetch it again");
}

RowBuilder OpenColumn(std::span<const std::byte> file, const ParquetRowGroup& group,
                      const ParquetColumn& column, ReadBudget& budget, const std::string& where) {
  const std::string here = fmt::format("{}: column '{}'", where, column.name);
  std::vector<ColumnData> data;
  for (const ParquetLeaf& leaf : column.leaves) {
    data.push_back(ReadColumn(file, group.chunks[leaf.chunk], leaf, budget, here));
  }
  return {column, std::move(data), budget, here};
}

}  // namespace

ParquetReader::ParquetReader(std::span<const std::byte> file, std::string where)
    : file_(file),
      where_(std::move(where)),
      metadata_(ReadParquetMetadata(file_, where_)),
      columns_(MakeParquetColumns(metadata_, where_)) {
  size_t leaves = 0;
  for (const ParquetColumn& column : columns_) {
    leaves += column.leaves.size();
    names_.push_back(column.name);
  }
  int64_t rows = 0;
  for (const ParquetRowGroup& group : metadata_.row_groups) {
    if (group.chunks.size() != leaves) {
      Fail(where_, fmt::format("row group: expected {} columns as the schema has, found {}", leaves,
                               group.chunks.size()));
    }
    if (group.rows > metadata_.rows - rows) {
      Fail(where_, fmt::format("expected {} rows in all row groups, found more", metadata_.rows));
    }
    rows += group.rows;
  }
}

void ParquetReader::ForEachRow(const std::vector<std::string>& columns,
                               const std::function<void(int64_t, const Json&)>& visit) const {
  ReadBudget budget(MemoryBudget(file_.size()));
  int64_t number = 0;
  for (size_t i = 0; i < metadata_.row_groups.size(); ++i) {
    const ParquetRowGroup& group = metadata_.row_groups[i];
    const std::string where = fmt::format("{}: row group {}", where_, i);
    std::vector<std::pair<std::string, RowBuilder>> builders;
    for (const ParquetColumn& column : columns_) {
      if (std::ranges::count(columns, column.name) == 0) continue;
      builders.emplace_back(column.name, OpenColumn(file_, group, column, budget, where));
    }
    if (builders.empty()) return;
    for (int64_t row = 0; row < group.rows; ++row) {
      Json json = Json::object();
      for (auto& [name, builder] : builders) json[name] = builder.Next();
      visit(number++, json);
    }
    for (const auto& [name, builder] : builders) builder.ExpectEnd();
  }
}

}  // namespace llmq
