// Levels and values of a column's leaves back to the values of its rows.
//
// Before: column_reader.h. After: parquet_reader.h hands out the rows.
#ifndef LLMQ_PARQUET_ROW_BUILDER_H_
#define LLMQ_PARQUET_ROW_BUILDER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"
#include "parquet/column_reader.h"
#include "parquet/parquet_schema.h"

namespace llmq {

// Gives a column's value of one row after the other. The column and the budget must outlive it.
class RowBuilder {
 public:
  // `data`: of each leaf of the column.
  RowBuilder(const ParquetColumn& column, std::vector<ColumnData> data, ReadBudget& budget,
             std::string where);

  // Throws Error{kGeneral} if there are no more rows, or the leaves do not agree.
  Json Next();
  // Throws unless all rows have been taken.
  void ExpectEnd() const;

 private:
  // Entries [begin, end) of a leaf, a row's or an array element's.
  struct Entries {
    size_t begin = 0;
    size_t end = 0;
  };
  struct Cursor {
    size_t entry = 0;
    size_t value = 0;
  };

  Json Build(size_t leaf, size_t step, Entries entries);
  Json Inside(size_t leaf, size_t step, Entries entries);
  Json Value(size_t leaf);
  void Merge(Json& into, Json&& from) const;
  [[noreturn]] void Fail(const std::string& what) const;

  const ParquetColumn& column_;
  std::vector<ColumnData> data_;  // [leaves]
  std::vector<Cursor> cursors_;   // [leaves]
  ReadBudget& budget_;
  std::string where_;
};

}  // namespace llmq

#endif  // LLMQ_PARQUET_ROW_BUILDER_H_
